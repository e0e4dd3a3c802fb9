/* Any bytes as an address list: every word of it is one line of valid UTF-8. */
#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(struct slice s, size_t max)
{
    must(s.n <= max && mime_utf8_is_valid(s));
    for (size_t i = 0; i < s.n; i++)
        must((unsigned char)s.p[i] >= ' ' && s.p[i] != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(4 * 1024 * 1024);
    struct mime_addresses list = {0};
    (void)mime_addresses_parse(slice_of((const char *)data, size), a, &list); /* odd or not */
    must(list.n <= MIME_ADDRESSES_MAX);
    for (size_t i = 0; i < list.n; i++) {
        check_line(list.v[i].name, MIME_NAME_MAX);
        check_line(list.v[i].group, MIME_NAME_MAX);
        check_line(list.v[i].local, MIME_ADDRESS_PART_MAX);
        check_line(list.v[i].domain, MIME_ADDRESS_PART_MAX);
    }
    return 0;
}
