/* Any bytes as a time zone: refused, or every instant has an offset of less than two days. */
#include "continuity/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const utc_ms instants[] = {INT64_MIN, -1, 0, 1795305600000, 32503680000000, INT64_MAX};
    struct continuity_zone z;
    if (continuity_zone_parse(slice_of((const char *)data, size), &z, NULL) != ERR_OK)
        return 0;
    for (size_t i = 0; i < sizeof(instants) / sizeof(instants[0]); i++) {
        int32_t offset = continuity_zone_offset(&z, instants[i]);
        struct silence_when w = continuity_local(&z, instants[i]);
        must(offset > -2 * 86400 && offset < 2 * 86400);
        must(w.weekday < 7 && w.hour < 24);
    }
    return 0;
}
