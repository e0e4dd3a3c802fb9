/* What people type: any bytes give a tree within its bounds, whose expression is strings and our
 * own syntax only. First byte: whether somebody is typing. */
#include "search/search.h"

/* Outside of strings: columns, operators, brackets. */
static bool is_ours(struct slice e)
{
    bool is_in = false;
    for (size_t i = 0; i < e.n; i++) {
        if (e.p[i] == '"')
            is_in = !is_in;
        else if (!is_in && !strchr("abcdefjmnorstuyANDORT ():*", e.p[i]))
            return false;
        if (e.p[i] == '\0')
            return false;
    }
    return !is_in;
}

static bool never(void *arg, uint16_t node)
{
    (void)arg;
    return node % 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct search_tree tree;
    struct slice input = slice_of((const char *)data, size);
    struct search_options options = {.now = 1793000000000, .is_typing = size > 0 && data[0] & 1};
    search_read(slice_skip(input, 1), &options, &tree);
    must(tree.n_nodes >= 1 && tree.n_nodes <= SEARCH_NODES_MAX && tree.n_text <= SEARCH_TEXT_MAX);
    SCOPED(buf_finish) struct buf b = buf_make(SEARCH_EXPRESSION_MAX);
    (void)search_match_expression(&tree, 0, &b);
    must(!b.failed && is_ours(buf_slice(&b)));
    (void)search_judge(&tree, never, NULL);
    for (uint16_t at = 0, node; search_next_text(&tree, &at, &node);) {
        buf_clear(&b);
        must(search_match_expression(&tree, node, &b) == SEARCH_COVER_ALL && !b.failed);
    }
    (void)search_add_words(&tree, 0, SEARCH_SUBJECT, input);
    return 0;
}
