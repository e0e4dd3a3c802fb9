/* A snippet of any text for any search: valid UTF-8, within its length, marks and escapes whole.
 * Input: what was typed, NUL, the text. */
#include "search/search_int.h"

static void check(struct slice s, size_t max)
{
    int depth = 0;
    must(s.n <= max);
    for (size_t at = 0; at < s.n;) {
        struct slice rest = slice_skip(s, at);
        uint32_t c;
        size_t n = search_char(rest, &c);
        must(c != SEARCH_BAD_CHAR || n == 3);
        must(c >= ' ' && c != '>' && c != '"' && c != '\'');
        if (c == '<') {
            must(slice_starts(rest, depth ? SLICE("</mark>") : SLICE("<mark>")));
            n = depth ? 7 : 6;
            depth = !depth;
        }
        if (c == '&')
            must(slice_find(slice_of(rest.p, rest.n < 6 ? rest.n : 6), ';') > 0);
        at += n;
    }
    must(depth == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct search_tree tree;
    struct search_options options = {.is_typing = true};
    struct slice text, typed = slice_cut(slice_of((const char *)data, size), '\0', &text);
    search_read(typed, &options, &tree);
    SCOPED(buf_finish) struct buf b = buf_make(20 * size + 64);
    if (search_snippet(&tree, SEARCH_BODY, text, SEARCH_SNIPPET_MAX, &b))
        must(b.n > 0);
    must(!b.failed);
    check(buf_slice(&b), SEARCH_SNIPPET_MAX);
    buf_clear(&b);
    (void)search_snippet(&tree, SEARCH_SUBJECT, text, 0, &b);
    must(!b.failed);
    check(buf_slice(&b), SIZE_MAX);
    return 0;
}
