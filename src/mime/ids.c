/* Lists of message ids. RFC 5322 sections 3.6.4 and 4.5.4. */
#include "mime/mime_int.h"

/* The first id and a ring of the last ones, as they stand. */
struct kept {
    struct slice v[MIME_IDS_MAX];
    size_t n_seen;
};

static void keep(struct kept *k, struct slice id)
{
    id = slice_trim(id);
    if (id.n == 0 || id.n > MIME_ID_MAX)
        return;
    size_t at = k->n_seen++;
    if (at >= MIME_IDS_MAX)
        at = 1 + (at - 1) % (MIME_IDS_MAX - 1);
    k->v[at] = id;
}

static void keep_bracketed(struct kept *k, struct slice raw)
{
    for (size_t at = 0; at < raw.n;) {
        const char *open = memchr(raw.p + at, '<', raw.n - at);
        if (!open)
            return;
        size_t start = (size_t)(open - raw.p) + 1, end = start;
        while (end < raw.n && raw.p[end] != '>' && raw.p[end] != '<')
            end++;
        keep(k, slice_from_to(raw, start, end));
        at = end;
    }
}

static void keep_words(struct kept *k, struct slice raw)
{
    for (size_t at = 0; at < raw.n;) {
        size_t start = at;
        while (at < raw.n && !is_blank(raw.p[at]) && raw.p[at] != ',')
            at++;
        struct slice word = slice_from_to(raw, start, at);
        if (word.n && slice_find(word, '@') >= 0)
            keep(k, word);
        at++;
    }
}

bool id_clean(struct slice id, struct arena *a, struct slice *ret)
{
    size_t n_odd = 0;
    unsigned char any = 0;
    for (size_t i = 0; i < id.n; i++) {
        n_odd += (unsigned char)id.p[i] <= ' ' || id.p[i] == 127;
        any |= (unsigned char)id.p[i];
    }
    bool is_text = any < 0x80 || mime_utf8_is_valid(id);
    *ret = id;
    if (n_odd == 0 && is_text)
        return true;
    *ret = slice_of("", 0);
    char *p = arena_try(a, id.n);
    if (!p)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < id.n; i++) {
        unsigned char c = (unsigned char)id.p[i];
        if (!is_blank(id.p[i]))
            p[n++] = c < ' ' || c == 127 || (c >= 0x80 && !is_text) ? '?' : id.p[i];
    }
    *ret = slice_of(p, n);
    return true;
}

struct slice id_first(struct slice raw)
{
    ptrdiff_t open = slice_find(raw, '<');
    struct slice rest, id = open < 0 ? raw : slice_skip(raw, (size_t)open + 1);
    return slice_trim(slice_cut(id, '>', &rest));
}

unsigned mime_ids_parse(struct slice raw, struct arena *a, struct mime_ids *ret)
{
    struct kept k;
    k.n_seen = 0;
    *ret = (struct mime_ids){0};
    if (slice_find(raw, '<') >= 0)
        keep_bracketed(&k, raw);
    else
        keep_words(&k, raw);
    size_t n = k.n_seen < MIME_IDS_MAX ? k.n_seen : MIME_IDS_MAX;
    if (n == 0)
        return 0;
    ret->v = arena_try(a, n * sizeof(*ret->v));
    if (!ret->v)
        return MIME_ODD_MEMORY;
    ret->is_cut = k.n_seen > MIME_IDS_MAX;
    size_t ring = MIME_IDS_MAX - 1, oldest = ret->is_cut ? (k.n_seen - 1) % ring : 0;
    for (size_t i = 0; i < n; i++) {
        size_t from = i == 0 ? 0 : 1 + (oldest + i - 1) % ring;
        if (!id_clean(k.v[from], a, &ret->v[ret->n]))
            return MIME_ODD_MEMORY;
        ret->n++;
    }
    return ret->is_cut ? MIME_ODD_IDS : 0;
}
