/* zone_probe FILE: instants (seconds, one a line) to offsets, by our reader of time zones. */
#include <stdio.h>
#include <stdlib.h>

#include "continuity/zone.h"

int main(int argc, char **argv)
{
    static char bytes[ZONE_BYTES_MAX + 1];
    struct errinfo ei;
    struct continuity_zone z;
    char line[64];
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!f)
        return 2;
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    if (continuity_zone_parse(slice_of(bytes, n), &z, &ei) != ERR_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], ei.text);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin))
        printf("%d\n", continuity_zone_offset(&z, strtoll(line, NULL, 10) * 1000));
    return 0;
}
