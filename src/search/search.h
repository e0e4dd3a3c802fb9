/* What people type into a search box, and what is done with it without a database.
 *
 *     search_read               text -> a bounded tree of conditions
 *     search_match_expression   the conditions about words -> an FTS5 expression
 *     search_judge              the other conditions, for one message
 *     search_snippet            what was found, marked, for showing (RFC 8621 section 5)
 *
 * Pure: no clock, no zone, no store. Everything read is hostile; nothing of it can fail: what makes
 * no sense as an operator is read as words.
 *
 * What people may type: words and "phrases", all of which must be there; wor* for how a word
 * begins; -word for what must not be there; a OR b (binds tighter than the blank between words);
 *     from: to: cc: bcc: subject: body: filename: in:   with a word or a "phrase"
 *     has:attachment   is:unread|read|flagged|answered|draft
 *     before: after: on:   with 2026-11-01, 1.11.2026, 1/11/2026 (day first), 2026-11, 2026, today,
 *                          yesterday; `after` includes its day
 *     larger: smaller:   with 500k, 10M, 1.5G
 * all of it also by the names in operator.def (Italian, German, French, Spanish). Case and accents
 * make no difference. */
#ifndef SEARCH_SEARCH_H
#define SEARCH_SEARCH_H

#include "base/base.h"

enum {
    SEARCH_NODES_MAX = 100,
    SEARCH_TEXT_MAX = 4096, /* bytes of text in a tree, and of input that is looked at */
    SEARCH_DEPTH_MAX = 12,
    SEARCH_NONE = 0xffff, /* no node */
    SEARCH_SNIPPET_MAX = 255,
    SEARCH_EXPRESSION_MAX = 65536,
};

enum search_kind {
    SEARCH_AND,        /* all children; without any: everything */
    SEARCH_OR,         /* one child; without any: nothing */
    SEARCH_NOT,        /* none of its children */
    SEARCH_TEXT,       /* `field` has the words of `text`, one right behind the other */
    SEARCH_DATE,       /* from <= received < until, utc_ms; INT64_MIN, INT64_MAX: open */
    SEARCH_SIZE,       /* from <= bytes < until */
    SEARCH_MAILBOX,    /* in the mailbox named `text`; search_is_same compares names */
    SEARCH_FLAG,       /* `flag` */
    SEARCH_ATTACHMENT, /* has one */
};
enum search_field {
    SEARCH_ANY,
    SEARCH_FROM,
    SEARCH_TO,
    SEARCH_CC,
    SEARCH_BCC,
    SEARCH_SUBJECT,
    SEARCH_BODY,
    SEARCH_NAMES, /* of attachments */
    SEARCH_FIELD_N
};
enum search_flag {
    SEARCH_UNREAD,
    SEARCH_READ,
    SEARCH_FLAGGED,
    SEARCH_ANSWERED,
    SEARCH_DRAFT,
    SEARCH_FLAG_N
};

struct search_node {
    uint8_t kind;                       /* enum search_kind */
    uint8_t field;                      /* enum search_field */
    uint8_t flag;                       /* enum search_flag */
    uint8_t depth;                      /* 0: the root */
    bool is_prefix;                     /* TEXT: its last word is the beginning of one */
    uint16_t parent, first, last, next; /* first and last child; sibling; or SEARCH_NONE */
    uint16_t text_at, text_n;
    int64_t from, until;
};

/* In the caller's memory; may be copied. Node 0 is the root. */
struct search_tree {
    struct search_node nodes[SEARCH_NODES_MAX];
    uint16_t n_nodes, n_text;
    bool is_cut; /* something did not fit and is left out; typed: finds more than was asked for */
    char text[SEARCH_TEXT_MAX];
};

struct search_options {
    utc_ms now;
    /* Seconds east of Greenwich at that instant; NULL: UTC. */
    int32_t (*offset)(void *arg, utc_ms t);
    void *arg;
    bool is_typing; /* the last word, from two letters on, finds what begins so */
};

/* ---- making a tree ---- */

/* What was typed, as the root of `ret` (an AND). Input behind SEARCH_TEXT_MAX is not looked at. */
void search_read(struct slice input, const struct search_options *options, struct search_tree *ret);

/* By hand, for the filters of JMAP: an empty root of that kind, then children below any node. Each
 * gives the new node, or SEARCH_NONE (and is_cut) when there is no room or it would be too deep;
 * a `parent` of SEARCH_NONE gives SEARCH_NONE. Refuse the filter then: an OR that lost a child
 * finds less than was asked for. Text without a letter or digit stands for everything. */
void search_begin(struct search_tree *tree, enum search_kind root);
uint16_t search_add(struct search_tree *tree, uint16_t parent, enum search_kind kind);
uint16_t search_add_text(struct search_tree *tree, uint16_t parent, enum search_field field,
                         struct slice text, bool is_prefix);
uint16_t search_add_range(struct search_tree *tree, uint16_t parent, enum search_kind kind,
                          int64_t from, int64_t until); /* DATE, SIZE */
uint16_t search_add_flag(struct search_tree *tree, uint16_t parent, enum search_flag flag);
uint16_t search_add_mailbox(struct search_tree *tree, uint16_t parent, struct slice name);
/* The words and phrases of `input`, all of which `field` must have, without operators
 * (RFC 8621 section 4.4.1: a filter's `subject`, `from` …), below an AND of their own. */
uint16_t search_add_words(struct search_tree *tree, uint16_t parent, enum search_field field,
                          struct slice input);

struct slice search_text(const struct search_tree *tree, const struct search_node *node);

/* ---- finding ---- */

enum search_cover {
    SEARCH_COVER_ALL,  /* the hits of the expression are the answer */
    SEARCH_COVER_PART, /* the answer is among them: search_judge each */
    SEARCH_COVER_NONE, /* there is no expression: search_judge every message */
};
/* What FTS5 can say about `node` (0: all of it), appended to `ret` (ceiling:
 * SEARCH_EXPRESSION_MAX). Columns from to cc bcc subject body names. No byte that a person typed is
 * FTS5's syntax: everything is inside of strings. "\x01" as a string stands for every message. */
enum search_cover search_match_expression(const struct search_tree *tree, uint16_t node,
                                          struct buf *ret);

/* Is this message an answer, of which the expression for the root (if there was one) has a hit?
 * `ask` says it for one node: any but AND, OR and NOT, or one of search_next_text. */
typedef bool search_ask_fn(void *arg, uint16_t node);
bool search_judge(const struct search_tree *tree, search_ask_fn *ask, void *arg);
/* Conditions about words that stand beside others below an OR or a NOT, so that no one expression
 * can say it all; each needs an expression (search_match_expression) and the set of its hits.
 * Begin with `*at` = 0; false: no more. Rare: nobody types them without operators. */
bool search_next_text(const struct search_tree *tree, uint16_t *at, uint16_t *ret_node);

/* ---- showing ---- */

/* `text` (UTF-8; anything else is shown as U+FFFD) as HTML with <mark> around what was found in
 * that field. `max`: 0: all of it; else (64 or more) the best part, at most so many octets, cut
 * between characters, never inside of a mark (RFC 8621 section 5.1: a preview has at most 255).
 * False, and nothing appended: nothing of it was looked for. `ret` must have room: 6 octets for
 * each of text, 13 for each mark; what does not fit makes it fail. */
bool search_snippet(const struct search_tree *tree, enum search_field field, struct slice text,
                    size_t max, struct buf *ret);

/* Do the two have the same words, whatever their case, accents and punctuation? */
bool search_is_same(struct slice a, struct slice b);
/* The order of two texts for people: case and accents do not count, the rest goes by code points.
 */
int search_compare(struct slice a, struct slice b);

#endif
