/* Prints what src/mime reads in each message file, one JSON object a line: for the conformance
 * test, which compares it with what others read, and for looking at a strange mail. */
#include "mime/mime.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 64 * 1024 * 1024, ARENA_MAX = 16 * 1024 * 1024, OUT_MAX = 64 * 1024 * 1024 };

static void add_string(struct buf *b, struct slice s)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == '"' || c == '\\')
            buf_addf(b, "\\u%04x", c);
        else
            buf_addc(b, s.p[i]);
    }
    buf_addc(b, '"');
}

static void add_text(struct buf *b, const char *key, struct slice s)
{
    buf_addf(b, ", \"%s\": ", key);
    add_string(b, s);
}

static void add_number(struct buf *b, const char *key, int64_t v)
{
    buf_addf(b, ", \"%s\": %lld", key, (long long)v);
}

static void add_addresses(struct buf *b, const char *key, const struct mime_addresses *list)
{
    buf_addf(b, ", \"%s\": [", key);
    for (size_t i = 0; i < list->n; i++) {
        const struct mime_address *m = &list->v[i];
        buf_adds(b, i ? SLICE(", [") : SLICE("["));
        add_string(b, m->name);
        buf_adds(b, SLICE(", "));
        add_string(b, m->local);
        buf_adds(b, SLICE(", "));
        add_string(b, m->domain);
        buf_adds(b, SLICE(", "));
        add_string(b, m->group);
        buf_addc(b, ']');
    }
    buf_addc(b, ']');
}

static void add_ids(struct buf *b, const char *key, const struct mime_ids *ids)
{
    buf_addf(b, ", \"%s\": [", key);
    for (size_t i = 0; i < ids->n; i++) {
        buf_adds(b, i ? SLICE(", ") : SLICE(""));
        add_string(b, ids->v[i]);
    }
    buf_addc(b, ']');
}

static void add_part(struct buf *b, struct slice message, const struct mime_part *p)
{
    SCOPED(buf_finish) struct buf text = buf_make(OUT_MAX);
    bool is_text = slice_eq(p->type, SLICE("text"));
    buf_addf(b, "{\"parent\": %d", p->parent);
    add_text(b, "type", p->type);
    add_text(b, "subtype", p->subtype);
    add_text(b, "charset", p->charset);
    add_text(b, "name", p->name);
    add_text(b, "content_id", p->content_id);
    add_number(b, "disposition", p->disposition);
    add_number(b, "encoding", p->encoding);
    add_number(b, "header_offset", (int64_t)p->header_offset);
    add_number(b, "header_len", (int64_t)p->header_len);
    add_number(b, "body_offset", (int64_t)p->body_offset);
    add_number(b, "body_len", (int64_t)p->body_len);
    add_number(b, "n_lines", (int64_t)p->n_lines);
    add_number(b, "text_odd", is_text ? mime_part_decode(message, p, &text) : 0);
    add_text(b, "text", buf_slice(&text));
    buf_addc(b, '}');
}

static void add_message(struct buf *b, const char *path, struct slice message, struct arena *a)
{
    struct mime_list_fields f;
    mime_list_fields(message, NULL, a, &f);
    buf_adds(b, SLICE("{\"file\": "));
    add_string(b, slice_str(path));
    add_text(b, "subject", f.subject);
    add_text(b, "base_subject", f.base_subject);
    add_text(b, "message_id", f.message_id);
    add_text(b, "preview", f.preview);
    add_number(b, "odd", f.odd);
    add_number(b, "n_received", f.n_received);
    if (f.has_date)
        add_number(b, "date", f.date);
    add_addresses(b, "from", &f.all_from);
    add_addresses(b, "sender", &f.sender);
    add_addresses(b, "reply_to", &f.reply_to);
    add_addresses(b, "to", &f.to);
    add_addresses(b, "cc", &f.cc);
    add_ids(b, "in_reply_to", &f.in_reply_to);
    add_ids(b, "references", &f.references);
    buf_adds(b, SLICE(", \"parts\": ["));
    for (size_t i = 0; i < f.structure.n_parts; i++) {
        buf_adds(b, i ? SLICE(", ") : SLICE(""));
        add_part(b, message, &f.structure.parts[i]);
    }
    buf_adds(b, SLICE("]}\n"));
}

static bool read_file(const char *path, struct buf *ret)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    char piece[65536];
    for (size_t n; (n = fread(piece, 1, sizeof(piece), f)) > 0;)
        buf_add(ret, piece, n);
    bool is_good = !ferror(f) && !ret->failed;
    fclose(f);
    return is_good;
}

int main(int argc, char **argv)
{
    (void)mime_charset_preload(); /* what is missing shows in the output */
    for (int i = 1; i < argc; i++) {
        SCOPED(buf_finish) struct buf message = buf_make(FILE_MAX);
        SCOPED(buf_finish) struct buf out = buf_make(OUT_MAX);
        SCOPED(arena_destroy) struct arena *a = arena_create(ARENA_MAX);
        if (!read_file(argv[i], &message)) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        add_message(&out, argv[i], buf_slice(&message), a);
        if (out.failed || fwrite(out.p, 1, out.n, stdout) != out.n)
            return 1;
    }
    return 0;
}
