/* A company's own time: the zone its calendar names, as the system's files have it, for what people
 * read. Decisions and documents count in UTC. */
#ifndef DIRECTORY_LOCAL_TIME_H
#define DIRECTORY_LOCAL_TIME_H

#include "continuity/zone.h"

enum { DIRECTORY_ZONE_NAME_MAX = 60 };

/* All zero: UTC. One owner, one thread. */
struct directory_zone {
    char name[DIRECTORY_ZONE_NAME_MAX + 1]; /* "" : UTC */
    struct buf bytes;                       /* of the file; `zone` points into it */
    struct continuity_zone zone;
};

/* `name`: of dir_calendar ("Europe/Rome"; empty: UTC). The file /usr/share/zoneinfo/NAME is read
 * when the name is another one than before; a name without a usable file counts as UTC. */
void directory_zone_read(struct directory_zone *z, struct slice name);
void directory_zone_finish(struct directory_zone *z); /* it may be used again: UTC */
/* "2026-11-21 09:31:02 +01:00": the clock of that place and how far it is from UTC. */
void directory_zone_add_time(const struct directory_zone *z, struct buf *b, utc_ms t);

#endif
