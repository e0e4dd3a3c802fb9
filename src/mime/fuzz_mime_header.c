/* Any bytes as the values of header fields: encoded words, parameters, dates, ids, subjects. What
 * comes out is one line of valid UTF-8. */
#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(struct slice s)
{
    must(mime_utf8_is_valid(s));
    for (size_t i = 0; i < s.n; i++)
        must((unsigned char)s.p[i] >= ' ' && s.p[i] != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice raw = slice_of((const char *)data, size);
    SCOPED(arena_destroy) struct arena *a = arena_create(4 * 1024 * 1024);
    SCOPED(buf_finish) struct buf text = buf_make(size % 100 + 1);
    struct mime_params params;
    struct mime_ids ids;
    struct mime_date date;
    (void)mime_header_text(raw, &text); /* whatever is odd is fine */
    check_line(buf_slice(&text));
    must(mime_subject_base(buf_slice(&text), NULL).n <= text.n);
    mime_params_parse(raw, a, &params);
    for (size_t i = 0; i < params.n; i++)
        if (!slice_ieq(params.v[i].name, SLICE("boundary")))
            check_line(params.v[i].value);
    (void)mime_ids_parse(raw, a, &ids); /* whatever is odd is fine */
    for (size_t i = 0; i < ids.n; i++)
        check_line(ids.v[i]);
    if (mime_date_parse(raw, &date) == MIME_DATE_OK)
        must(date.at >= -2208988800000 - 86400000 && date.at < 253402300800000 + 86400000);
    return 0;
}
