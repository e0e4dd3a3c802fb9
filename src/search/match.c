/* What FTS5 can say of a tree, and the rest of it.
 *
 * A subtree is about words when all its leaves are; those become expressions. The conditions of a
 * root AND that are about words are one expression together ("covered"): its hits are judged by the
 * rest. */
#include "search/search_int.h"

/* Finds every message: store/store_search.h. */
#define EVERY "\"\001\""

static const char *const columns[SEARCH_FIELD_N] = {
    [SEARCH_FROM] = "from",       [SEARCH_TO] = "to",     [SEARCH_CC] = "cc",
    [SEARCH_BCC] = "bcc",         [SEARCH_BODY] = "body", [SEARCH_NAMES] = "names",
    [SEARCH_SUBJECT] = "subject",
};

static const struct search_node *node_at(const struct search_tree *tree, uint16_t at)
{
    must(at < tree->n_nodes);
    return &tree->nodes[at];
}

static bool is_text(const struct search_tree *tree, uint16_t at)
{
    const struct search_node *node = node_at(tree, at);
    if (node->kind > SEARCH_NOT)
        return node->kind == SEARCH_TEXT;
    for (uint16_t i = node->first; i != SEARCH_NONE; i = tree->nodes[i].next)
        if (!is_text(tree, i))
            return false;
    return node->first != SEARCH_NONE;
}

/* ---- writing ---- */

static void write_node(const struct search_tree *tree, uint16_t at, struct buf *b);

/* A string of FTS5: quotes are doubled, NUL would end it, SEARCH_EVERY's byte means something. */
static void write_text(const struct search_tree *tree, const struct search_node *node,
                       struct buf *b)
{
    struct slice text = search_text(tree, node);
    if (!search_has_word(text)) {
        buf_adds(b, slice_str(EVERY));
        return;
    }
    if (node->field != SEARCH_ANY)
        buf_addf(b, "%s : ", columns[node->field]);
    buf_addc(b, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"')
            buf_addc(b, '"');
        buf_addc(b, (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i]);
    }
    buf_addc(b, '"');
    if (node->is_prefix)
        buf_adds(b, SLICE(" *"));
}

/* All children, with `between` between them. */
static void write_children(const struct search_tree *tree, const struct search_node *node,
                           const char *between, struct buf *b)
{
    size_t n = 0;
    for (uint16_t i = node->first; i != SEARCH_NONE; i = tree->nodes[i].next) {
        if (n++ > 0)
            buf_adds(b, slice_str(between));
        write_node(tree, i, b);
    }
}

/* FTS5 has no NOT by itself: everything without these. */
static void write_not(const struct search_tree *tree, const struct search_node *node, struct buf *b)
{
    buf_adds(b, slice_str("(" EVERY " NOT ("));
    write_children(tree, node, " OR ", b);
    buf_adds(b, SLICE("))"));
}

/* The children about words: first what must be there, then what must not. */
static void write_and(const struct search_tree *tree, const struct search_node *node, struct buf *b)
{
    size_t n_with = 0, n_without = 0;
    buf_adds(b, SLICE("(("));
    for (uint16_t i = node->first; i != SEARCH_NONE; i = tree->nodes[i].next) {
        if (tree->nodes[i].kind == SEARCH_NOT || !is_text(tree, i))
            continue;
        buf_adds(b, n_with++ > 0 ? SLICE(" AND ") : SLICE(""));
        write_node(tree, i, b);
    }
    buf_adds(b, n_with == 0 ? slice_str(EVERY ")") : SLICE(")"));
    for (uint16_t i = node->first; i != SEARCH_NONE; i = tree->nodes[i].next) {
        if (tree->nodes[i].kind != SEARCH_NOT || !is_text(tree, i))
            continue;
        buf_adds(b, n_without++ > 0 ? SLICE(" OR ") : SLICE(" NOT ("));
        write_children(tree, &tree->nodes[i], " OR ", b);
    }
    buf_adds(b, n_without > 0 ? SLICE("))") : SLICE(")"));
}

static void write_or(const struct search_tree *tree, const struct search_node *node, struct buf *b)
{
    buf_addc(b, '(');
    write_children(tree, node, " OR ", b);
    buf_addc(b, ')');
}

static void write_node(const struct search_tree *tree, uint16_t at, struct buf *b)
{
    const struct search_node *node = node_at(tree, at);
    if (node->kind == SEARCH_TEXT)
        write_text(tree, node, b);
    else if (node->kind == SEARCH_AND)
        write_and(tree, node, b);
    else if (node->kind == SEARCH_OR)
        write_or(tree, node, b);
    else
        write_not(tree, node, b);
}

enum search_cover search_match_expression(const struct search_tree *tree, uint16_t node,
                                          struct buf *ret)
{
    const struct search_node *top = node_at(tree, node);
    if (is_text(tree, node)) {
        write_node(tree, node, ret);
        return SEARCH_COVER_ALL;
    }
    if (top->kind != SEARCH_AND)
        return SEARCH_COVER_NONE;
    for (uint16_t i = top->first; i != SEARCH_NONE; i = tree->nodes[i].next)
        if (is_text(tree, i)) {
            write_and(tree, top, ret);
            return SEARCH_COVER_PART;
        }
    return SEARCH_COVER_NONE;
}

/* ---- judging ---- */

static bool judge(const struct search_tree *tree, uint16_t at, search_ask_fn *ask, void *arg)
{
    const struct search_node *node = node_at(tree, at);
    if (node->kind > SEARCH_NOT || is_text(tree, at))
        return ask(arg, at);
    /* AND ends with the first that is not, OR and NOT with the first that is. */
    bool ends_with = node->kind != SEARCH_AND;
    for (uint16_t i = node->first; i != SEARCH_NONE; i = tree->nodes[i].next)
        if (judge(tree, i, ask, arg) == ends_with)
            return node->kind == SEARCH_OR;
    return node->kind != SEARCH_OR;
}

bool search_judge(const struct search_tree *tree, search_ask_fn *ask, void *arg)
{
    const struct search_node *root = node_at(tree, 0);
    if (is_text(tree, 0))
        return true;
    if (root->kind != SEARCH_AND)
        return judge(tree, 0, ask, arg);
    for (uint16_t i = root->first; i != SEARCH_NONE; i = tree->nodes[i].next)
        if (!is_text(tree, i) && !judge(tree, i, ask, arg))
            return false;
    return true;
}

bool search_next_text(const struct search_tree *tree, uint16_t *at, uint16_t *ret_node)
{
    while (*at < tree->n_nodes) {
        uint16_t i = (*at)++;
        uint16_t parent = tree->nodes[i].parent;
        bool is_covered =
            parent == SEARCH_NONE || (parent == 0 && tree->nodes[0].kind == SEARCH_AND);
        if (is_covered || !is_text(tree, i) || is_text(tree, parent))
            continue;
        *ret_node = i;
        return true;
    }
    return false;
}
