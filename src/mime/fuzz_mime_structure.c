/* Any bytes as a message: the tree stays inside the message, and every part decodes to UTF-8. */
#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(struct slice m, const struct mime_structure *s, size_t i)
{
    const struct mime_part *p = &s->parts[i];
    SCOPED(buf_finish) struct buf text = buf_make(4096);
    must(p->parent < (int)i && p->depth < MIME_DEPTH_MAX);
    must(p->header_offset + p->header_len <= p->body_offset);
    must(p->body_offset <= m.n && p->body_len <= m.n - p->body_offset);
    must(p->n_lines <= p->body_len);
    must(mime_utf8_is_valid(p->name) && mime_utf8_is_valid(p->content_id));
    if (p->parent >= 0) {
        const struct mime_part *parent = &s->parts[p->parent];
        must(p->header_offset >= parent->body_offset);
        must(p->body_offset + p->body_len <= parent->body_offset + parent->body_len);
    }
    (void)mime_part_decode(m, p, &text); /* whatever is odd is fine */
    must(!slice_eq(p->type, SLICE("text")) || mime_utf8_is_valid(buf_slice(&text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice m = slice_of((const char *)data, size);
    SCOPED(arena_destroy) struct arena *a = arena_create(4 * 1024 * 1024);
    SCOPED(buf_finish) struct buf text = buf_make(2048);
    struct mime_structure s;
    mime_structure_parse(m, a, &s);
    must(s.n_parts >= 1);
    for (size_t i = 0; i < s.n_parts && i < 50; i++)
        check_part(m, &s, i);
    (void)mime_text(m, &s, &text); /* whatever is odd is fine */
    must(mime_utf8_is_valid(buf_slice(&text)));
    return 0;
}
