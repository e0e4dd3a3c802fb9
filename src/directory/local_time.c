/* The zone of a company, read from the system's files, and times as its clocks show them. */
#include "directory/local_time.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void directory_zone_read(struct directory_zone *z, struct slice name)
{
    char path[DIRECTORY_ZONE_NAME_MAX + 30];
    struct errinfo ei;
    if (name.n > DIRECTORY_ZONE_NAME_MAX)
        name = SLICE("");
    if (slice_eq(name, slice_str(z->name)))
        return;
    directory_zone_finish(z);
    snprintf(z->name, sizeof(z->name), SLICE_FMT, SLICE_ARG(name));
    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", z->name);
    SCOPED(fd_close) int fd = z->name[0] ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    if (fd < 0)
        return;
    z->bytes = buf_make(ZONE_BYTES_MAX);
    char *to = buf_room(&z->bytes, ZONE_BYTES_MAX);
    ssize_t n = to ? read(fd, to, ZONE_BYTES_MAX) : -1;
    if (n > 0) /* a damaged one leaves UTC */
        (void)continuity_zone_parse(slice_of(to, (size_t)n), &z->zone, &ei);
}

void directory_zone_finish(struct directory_zone *z)
{
    buf_finish(&z->bytes);
    *z = (struct directory_zone){};
}

void directory_zone_add_time(const struct directory_zone *z, struct buf *b, utc_ms t)
{
    int32_t east = continuity_zone_offset(&z->zone, t);
    struct utc_text there = utc_rfc3339(t + (utc_ms)east * 1000);
    int32_t minutes = (east < 0 ? -east : east) / 60;
    buf_addf(b, "%.10s %.8s %c%02d:%02d", there.s, there.s + 11, east < 0 ? '-' : '+', minutes / 60,
             minutes % 60);
}
