/* Any bytes as a received message: the list's fields keep their bounds, spans can be spliced, and
 * with less memory there is no more than with all of it. */
#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(struct slice m, const struct mime_list_fields *f)
{
    size_t at = 0, header_end = mime_split(m).body_offset;
    must(f->subject.n <= MIME_SUBJECT_MAX && mime_utf8_is_valid(f->subject));
    must(f->preview.n <= MIME_PREVIEW_MAX && mime_utf8_is_valid(f->preview));
    must(f->base_subject.n <= f->subject.n && mime_utf8_is_valid(f->message_id));
    must(f->size == m.n && f->references.n <= MIME_IDS_MAX);
    for (size_t i = 0; i < f->spans.n; i++) {
        must(f->spans.v[i].offset >= at && f->spans.v[i].len > 0);
        at = f->spans.v[i].offset + f->spans.v[i].len;
        must(at <= header_end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice NAMES[] = {{"Received", 8}, {"To", 2}};
    static const struct mime_names CUT = {NAMES, 2};
    struct slice m = slice_of((const char *)data, size);
    SCOPED(arena_destroy) struct arena *a = arena_create(8 * 1024 * 1024);
    SCOPED(arena_destroy) struct arena *small = arena_create(size);
    struct mime_list_fields all, some;
    mime_list_fields(m, &CUT, a, &all);
    must(!(all.odd & MIME_ODD_MEMORY));
    check_fields(m, &all);
    mime_list_fields(m, &CUT, small, &some);
    check_fields(m, &some);
    must(some.to.n <= all.to.n && some.structure.n_parts <= all.structure.n_parts);
    return 0;
}
