/* A company's own time: zones by name, and times as its clocks show them. */
#include "directory/local_time.h"

#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static void expect(struct directory_zone *z, const char *name, utc_ms t, const char *expected)
{
    SCOPED(buf_finish) struct buf b = buf_make(100);
    directory_zone_read(z, slice_str(name));
    directory_zone_add_time(z, &b, t);
    if (strcmp(buf_cstr(&b), expected) != 0)
        fail_msg("%s: %s, not %s", name, buf_cstr(&b), expected);
}

static void times_are_those_of_the_place_with_their_distance_from_utc(void **)
{
    SCOPED(directory_zone_finish) struct directory_zone z = {};
    const utc_ms winter = 1800000000000, summer = 1815000000000; /* 2027-01-15, 2027-07-07 22:40 */
    if (access("/usr/share/zoneinfo/Europe/Rome", R_OK) != 0)
        skip(); /* a machine without time zones */
    expect(&z, "", winter, "2027-01-15 08:00:00 +00:00");
    expect(&z, "Europe/Rome", winter, "2027-01-15 09:00:00 +01:00");
    expect(&z, "Europe/Rome", summer, "2027-07-08 00:40:00 +02:00");
    expect(&z, "America/St_Johns", winter, "2027-01-15 04:30:00 -03:30");
    expect(&z, "UTC", winter, "2027-01-15 08:00:00 +00:00");
}

static void a_zone_without_a_usable_file_is_utc(void **)
{
    static const char *const names[] = {
        "Europe/Atlantis", "Europe", "zone.tab", "",
        "Europe/a-name-of-more-than-the-sixty-signs-that-a-calendar-may-hold"};
    SCOPED(directory_zone_finish) struct directory_zone z = {};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        expect(&z, names[i], 1800000000000, "2027-01-15 08:00:00 +00:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_those_of_the_place_with_their_distance_from_utc),
        cmocka_unit_test(a_zone_without_a_usable_file_is_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
