/* A tenant's own time: from an instant to its local hour, by the bytes of a time zone.
 *
 * The C library's zones are one for the whole process, a tenant's is its own; and who decides reads
 * no files. So the caller brings the bytes of a compiled zone (TZif, RFC 8536; such as
 * /usr/share/zoneinfo/Europe/Rome), and they may be hostile. Pure. */
#ifndef CONTINUITY_ZONE_H
#define CONTINUITY_ZONE_H

#include "base/base.h"
#include "continuity/continuity.h"

enum { ZONE_BYTES_MAX = 64 * 1024 }; /* the largest real ones have about 4 KiB */

/* One of the two changes in each year (POSIX TZ, RFC 8536 section 3.3.1). */
struct continuity_zone_rule {
    enum { ZONE_MONTH_WEEK_DAY, ZONE_DAY_WITHOUT_LEAP, ZONE_DAY_OF_YEAR } kind;
    uint16_t month, week, day;
    int32_t time; /* seconds after local midnight, by the clock before the change */
};

/* All zero: UTC. */
struct continuity_zone {
    struct slice times, indexes, types; /* of the caller's bytes, checked */
    bool has_footer, has_summer;        /* for times after the last one above */
    int32_t standard, summer;           /* seconds east of Greenwich */
    struct continuity_zone_rule begins, ends;
};

/* `tzif`: the whole file, version 2 or later; borrowed for as long as `*ret` is used.
 * ERR_INVALID, with the reason: no such file, damaged, larger than ZONE_BYTES_MAX, or one that
 * counts leap seconds. `*ret` is untouched then. */
enum err continuity_zone_parse(struct slice tzif, struct continuity_zone *ret, struct errinfo *ei);
/* Seconds east of Greenwich at that instant. Every instant has one, also before the zone's first
 * and for all years to come. */
int32_t continuity_zone_offset(const struct continuity_zone *z, utc_ms t);
/* The tenant's hour. `is_holiday` stays false: the caller knows the holidays, and
 * continuity_local_day gives the date to ask for (days since 1970-01-01). */
struct silence_when continuity_local(const struct continuity_zone *z, utc_ms t);
int64_t continuity_local_day(const struct silence_when *w);

#endif
