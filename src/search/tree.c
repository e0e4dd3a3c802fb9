/* Building a tree of conditions, within its bounds. */
#include "search/search_int.h"

struct slice search_text(const struct search_tree *tree, const struct search_node *node)
{
    return slice_of(tree->text + node->text_at, node->text_n);
}

static uint16_t put_node(struct search_tree *tree, struct search_node node)
{
    uint16_t at = tree->n_nodes++;
    node.first = node.last = node.next = SEARCH_NONE;
    tree->nodes[at] = node;
    return at;
}

void search_begin(struct search_tree *tree, enum search_kind root)
{
    must(root == SEARCH_AND || root == SEARCH_OR || root == SEARCH_NOT);
    tree->n_nodes = tree->n_text = 0;
    tree->is_cut = false;
    (void)put_node(tree, (struct search_node){.kind = (uint8_t)root, .parent = SEARCH_NONE});
}

static uint16_t add(struct search_tree *tree, uint16_t parent, struct search_node node)
{
    if (parent == SEARCH_NONE)
        return SEARCH_NONE;
    must(parent < tree->n_nodes && tree->nodes[parent].kind <= SEARCH_NOT);
    struct search_node *above = &tree->nodes[parent];
    if (tree->n_nodes == SEARCH_NODES_MAX || above->depth == SEARCH_DEPTH_MAX) {
        tree->is_cut = true;
        return SEARCH_NONE;
    }
    node.parent = parent;
    node.depth = (uint8_t)(above->depth + 1);
    uint16_t at = put_node(tree, node);
    if (above->last == SEARCH_NONE)
        above->first = at;
    else
        tree->nodes[above->last].next = at;
    above->last = at;
    return at;
}

uint16_t search_add(struct search_tree *tree, uint16_t parent, enum search_kind kind)
{
    return add(tree, parent, (struct search_node){.kind = (uint8_t)kind});
}

/* Text goes in only with its node. */
static uint16_t add_with_text(struct search_tree *tree, uint16_t parent, struct search_node node,
                              struct slice text)
{
    if (text.n > (size_t)(SEARCH_TEXT_MAX - tree->n_text)) {
        tree->is_cut = true;
        return SEARCH_NONE;
    }
    node.text_at = tree->n_text;
    node.text_n = (uint16_t)text.n;
    uint16_t at = add(tree, parent, node);
    if (at == SEARCH_NONE || text.n == 0)
        return at;
    memcpy(tree->text + tree->n_text, text.p, text.n);
    tree->n_text = (uint16_t)(tree->n_text + text.n);
    return at;
}

uint16_t search_add_text(struct search_tree *tree, uint16_t parent, enum search_field field,
                         struct slice text, bool is_prefix)
{
    struct search_node node = {
        .kind = SEARCH_TEXT, .field = (uint8_t)field, .is_prefix = is_prefix};
    return add_with_text(tree, parent, node, text);
}

uint16_t search_add_mailbox(struct search_tree *tree, uint16_t parent, struct slice name)
{
    return add_with_text(tree, parent, (struct search_node){.kind = SEARCH_MAILBOX}, name);
}

uint16_t search_add_range(struct search_tree *tree, uint16_t parent, enum search_kind kind,
                          int64_t from, int64_t until)
{
    must(kind == SEARCH_DATE || kind == SEARCH_SIZE);
    return add(tree, parent,
               (struct search_node){.kind = (uint8_t)kind, .from = from, .until = until});
}

uint16_t search_add_flag(struct search_tree *tree, uint16_t parent, enum search_flag flag)
{
    return add(tree, parent, (struct search_node){.kind = SEARCH_FLAG, .flag = (uint8_t)flag});
}
