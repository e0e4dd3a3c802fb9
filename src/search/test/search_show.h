/* For tests: a tree as one line. */
#ifndef SEARCH_TEST_SEARCH_SHOW_H
#define SEARCH_TEST_SEARCH_SHOW_H

#include "search/search.h"

#include <inttypes.h>

static inline void show_range(const struct search_node *n, struct buf *b)
{
    buf_adds(b, n->kind == SEARCH_DATE ? SLICE("date ") : SLICE("size "));
    if (n->from != INT64_MIN)
        buf_addf(b, "%" PRId64, n->from);
    buf_adds(b, SLICE(".."));
    if (n->until != INT64_MAX)
        buf_addf(b, "%" PRId64, n->until);
}

static inline void show_node(const struct search_tree *t, uint16_t at, struct buf *b)
{
    static const char *const fields[] = {"any", "from",    "to",   "cc",
                                         "bcc", "subject", "body", "names"};
    static const char *const flags[] = {"unread", "read", "flagged", "answered", "draft"};
    static const char *const nodes[] = {"and", "or", "not"};
    const struct search_node *n = &t->nodes[at];
    struct slice text = search_text(t, n);
    if (n->kind <= SEARCH_NOT) {
        buf_addf(b, "%s(", nodes[n->kind]);
        for (uint16_t i = n->first; i != SEARCH_NONE; i = t->nodes[i].next) {
            buf_adds(b, i == n->first ? SLICE("") : SLICE(" "));
            show_node(t, i, b);
        }
        buf_addc(b, ')');
    } else if (n->kind == SEARCH_TEXT) {
        buf_addf(b, "%s=" SLICE_FMT "%s", fields[n->field], SLICE_ARG(text),
                 n->is_prefix ? "~" : "");
    } else if (n->kind == SEARCH_DATE || n->kind == SEARCH_SIZE) {
        show_range(n, b);
    } else if (n->kind == SEARCH_MAILBOX) {
        buf_addf(b, "in=" SLICE_FMT, SLICE_ARG(text));
    } else {
        buf_adds(b, slice_str(n->kind == SEARCH_FLAG ? flags[n->flag] : "attachment"));
    }
}

static inline void show(const struct search_tree *t, struct buf *b)
{
    buf_clear(b);
    show_node(t, 0, b);
}

#endif
