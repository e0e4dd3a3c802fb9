/* What people type. First it is cut into items, each of which is understood or read as words; then
 * items become nodes. */
#include "search/search_int.h"

/* More items than there can be nodes for, however many of them are OR: an OR that is cut at the
 * last item never becomes nodes. */
enum { ITEMS_MAX = 2 * SEARCH_NODES_MAX + 2, TYPING_LETTERS = 2 };

struct item {
    enum search_name op; /* NAME_NONE: none */
    struct slice value;  /* without quotes and `*` */
    struct slice all;    /* operator and value as they stand there, without `-` */
    bool is_or, is_not, is_prefix;
    bool is_open; /* the input ends in it, with nothing to show that it is all */
};

struct typed {
    struct slice rest;
    struct item items[ITEMS_MAX];
    size_t n;
    bool is_cut;
};

/* ---- cutting ---- */

/* Length of the blank (also one that a web page makes) or quotation mark at the start; 0: none. */
static size_t blank(struct slice s)
{
    if (s.n > 0 && (unsigned char)s.p[0] <= ' ')
        return 1;
    return slice_starts(s, SLICE("\xc2\xa0")) ? 2 : 0;
}

static size_t quote(struct slice s)
{
    static const struct slice quotes[] = {
        {"\"", 1},           {"\xe2\x80\x9c", 3}, {"\xe2\x80\x9d", 3}, {"\xe2\x80\x9e", 3},
        {"\xe2\x80\x9f", 3}, {"\xc2\xab", 2},     {"\xc2\xbb", 2},
    };
    for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++)
        if (slice_starts(s, quotes[i]))
            return quotes[i].n;
    return 0;
}

static void skip_blanks(struct slice *s)
{
    for (size_t n; (n = blank(*s)) > 0;)
        *s = slice_skip(*s, n);
}

static size_t word_length(struct slice s)
{
    size_t n = 0;
    while (n < s.n && blank(slice_skip(s, n)) == 0)
        n++;
    return n;
}

/* A backslash and what it takes the meaning from (RFC 8621 section 4.4.1). Both stay in the phrase:
 * no word has such letters. */
static bool is_escape(struct slice s)
{
    return s.n > 1 && s.p[0] == '\\' && strchr("'\"\\", s.p[1]);
}

/* Of a phrase between two apostrophes, with them; 0: there is none. An apostrophe alone belongs to
 * a word, as does one with a letter on its other side. */
static size_t between_apostrophes(struct slice s)
{
    if (s.n < 3 || s.p[0] != '\'')
        return 0;
    for (size_t n = 1; n < s.n; n += is_escape(slice_skip(s, n)) ? 2 : 1) {
        bool is_end = n + 1 == s.n || s.p[n + 1] == '*' || blank(slice_skip(s, n + 1)) > 0;
        if (s.p[n] == '\'' && n > 1 && is_end)
            return n + 1;
    }
    return 0;
}

/* The phrase behind an opening quotation mark: to the next one, or to the end. */
static void take_phrase(struct typed *t, struct item *item, size_t n_quote)
{
    t->rest = slice_skip(t->rest, n_quote);
    size_t n = 0;
    while (n < t->rest.n && quote(slice_skip(t->rest, n)) == 0)
        n += is_escape(slice_skip(t->rest, n)) ? 2 : 1;
    item->value = slice_of(t->rest.p, n);
    item->is_open = n == t->rest.n;
    t->rest = slice_skip(t->rest, n);
    t->rest = slice_skip(t->rest, quote(t->rest));
}

static void take_word(struct typed *t, struct item *item)
{
    size_t n = word_length(t->rest);
    item->value = slice_of(t->rest.p, n);
    item->is_open = n == t->rest.n;
    item->is_prefix = n > 0 && t->rest.p[n - 1] == '*';
    t->rest = slice_skip(t->rest, n);
}

static void take_star(struct typed *t, struct item *item)
{
    if (slice_starts(t->rest, SLICE("*"))) {
        item->is_prefix = true;
        t->rest = slice_skip(t->rest, 1);
    }
}

static void take_value(struct typed *t, struct item *item)
{
    size_t n_quote = quote(t->rest), n = between_apostrophes(t->rest);
    if (n_quote > 0) {
        take_phrase(t, item, n_quote);
        take_star(t, item);
    } else if (n > 0) {
        item->value = slice_of(t->rest.p + 1, n - 2);
        t->rest = slice_skip(t->rest, n);
        take_star(t, item);
    } else {
        take_word(t, item);
    }
}

static enum search_name operator_of(struct slice name)
{
    for (unsigned i = 0; i <= NAME_SMALLER; i++)
        if (search_is_named(name, (enum search_name)i))
            return (enum search_name)i;
    return NAME_NONE;
}

/* `name:` in front of a value; blanks may stand between. Without any value it is a word. */
static void take_operator(struct typed *t, struct item *item)
{
    struct slice word = slice_of(t->rest.p, word_length(t->rest));
    ptrdiff_t colon = slice_find(word, ':');
    if (colon <= 0)
        return;
    enum search_name name = operator_of(slice_of(word.p, (size_t)colon));
    struct slice value = slice_skip(t->rest, (size_t)colon + 1);
    skip_blanks(&value);
    if (name == NAME_NONE || value.n == 0)
        return;
    item->op = name;
    t->rest = value;
}

/* In capitals, and nothing else. */
static bool is_or(struct slice word)
{
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] < 'A' || word.p[i] > 'Z')
            return false;
    return search_is_named(word, NAME_OR);
}

static bool take_item(struct typed *t)
{
    skip_blanks(&t->rest);
    if (t->rest.n == 0)
        return false;
    struct item item = {.op = NAME_NONE};
    if (t->rest.p[0] == '-' && t->rest.n > 1 && blank(slice_skip(t->rest, 1)) == 0) {
        item.is_not = true;
        t->rest = slice_skip(t->rest, 1);
    }
    const char *from = t->rest.p;
    if (quote(t->rest) == 0)
        take_operator(t, &item);
    bool is_quoted = quote(t->rest) > 0;
    take_value(t, &item);
    item.all = slice_of(from, (size_t)(t->rest.p - from));
    item.is_or = !is_quoted && !item.is_not && is_or(item.all);
    if (!search_has_word(item.value) && item.op != NAME_IN) {
        if (item.op == NAME_NONE || !search_has_word(item.all))
            return true; /* nothing but punctuation */
        item.op = NAME_NONE;
        item.value = item.all;
    }
    if (t->n == ITEMS_MAX)
        t->is_cut = true;
    else
        t->items[t->n++] = item;
    return !t->is_cut;
}

/* ---- nodes ---- */

static bool is_typing_prefix(const struct item *item)
{
    size_t at = 0, n = 0;
    struct slice word, last = {};
    if (!item->is_open)
        return false;
    while (search_next_word(item->value, &at, &word))
        last = word;
    if (last.n == 0 || last.p + last.n != item->value.p + item->value.n)
        return false;
    uint32_t c;
    for (; last.n > 0; n++)
        last = slice_skip(last, search_char(last, &c));
    return n >= TYPING_LETTERS;
}

static bool add_words(struct search_tree *tree, uint16_t parent, enum search_field field,
                      const struct item *item)
{
    return search_add_text(tree, parent, field, item->value, item->is_prefix) != SEARCH_NONE;
}

/* False: the value makes no sense for this operator. */
static bool add_day(struct search_tree *tree, uint16_t parent, const struct item *item,
                    const struct search_options *options)
{
    int64_t from, until;
    if (!search_value_date(item->value, options, &from, &until))
        return false;
    if (item->op == NAME_BEFORE) {
        until = from;
        from = INT64_MIN;
    }
    if (item->op == NAME_AFTER)
        until = INT64_MAX;
    (void)search_add_range(tree, parent, SEARCH_DATE, from, until);
    return true;
}

static bool add_size(struct search_tree *tree, uint16_t parent, const struct item *item)
{
    int64_t bytes;
    if (!search_value_size(item->value, &bytes))
        return false;
    if (item->op == NAME_LARGER)
        (void)search_add_range(tree, parent, SEARCH_SIZE, bytes + 1, INT64_MAX);
    else
        (void)search_add_range(tree, parent, SEARCH_SIZE, INT64_MIN, bytes);
    return true;
}

static bool add_flag(struct search_tree *tree, uint16_t parent, struct slice value)
{
    static const enum search_name names[SEARCH_FLAG_N] = {[SEARCH_UNREAD] = NAME_UNREAD,
                                                          [SEARCH_READ] = NAME_READ,
                                                          [SEARCH_FLAGGED] = NAME_FLAGGED,
                                                          [SEARCH_ANSWERED] = NAME_ANSWERED,
                                                          [SEARCH_DRAFT] = NAME_DRAFT};
    for (unsigned i = 0; i < SEARCH_FLAG_N; i++)
        if (search_is_named(value, names[i])) {
            (void)search_add_flag(tree, parent, (enum search_flag)i);
            return true;
        }
    return false;
}

static bool add_attachment(struct search_tree *tree, uint16_t parent, struct slice value)
{
    if (!search_is_named(value, NAME_ATTACHMENT))
        return false;
    (void)search_add(tree, parent, SEARCH_ATTACHMENT);
    return true;
}

static bool add_mailbox(struct search_tree *tree, uint16_t parent, struct slice value)
{
    if (value.n > 0)
        (void)search_add_mailbox(tree, parent, value);
    return value.n > 0;
}

/* There is room for it: the caller counted. */
static bool add_operator(struct search_tree *tree, uint16_t parent, const struct item *item,
                         const struct search_options *options)
{
    if (item->op <= NAME_NAMES) {
        static const enum search_field fields[] = {
            [NAME_FROM] = SEARCH_FROM,       [NAME_TO] = SEARCH_TO,     [NAME_CC] = SEARCH_CC,
            [NAME_BCC] = SEARCH_BCC,         [NAME_BODY] = SEARCH_BODY, [NAME_NAMES] = SEARCH_NAMES,
            [NAME_SUBJECT] = SEARCH_SUBJECT,
        };
        return add_words(tree, parent, fields[item->op], item);
    }
    if (item->op == NAME_IN)
        return add_mailbox(tree, parent, item->value);
    if (item->op == NAME_HAS)
        return add_attachment(tree, parent, item->value);
    if (item->op == NAME_IS)
        return add_flag(tree, parent, item->value);
    if (item->op == NAME_LARGER || item->op == NAME_SMALLER)
        return add_size(tree, parent, item);
    return item->op != NAME_NONE && add_day(tree, parent, item, options);
}

static void add_item(struct search_tree *tree, uint16_t parent, const struct item *item,
                     const struct search_options *options)
{
    if (item->is_not)
        parent = search_add(tree, parent, SEARCH_NOT);
    if (parent == SEARCH_NONE || add_operator(tree, parent, item, options))
        return;
    struct item words = *item;
    words.value = item->op == NAME_NONE ? item->value : item->all;
    (void)add_words(tree, parent, SEARCH_ANY, &words);
}

/* Items with OR between them; gives how many belong together. */
static size_t group_length(const struct item *items, size_t n)
{
    size_t at = 1;
    while (at + 1 < n && items[at].is_or && !items[at + 1].is_or)
        at += 2;
    return at;
}

/* A group that has no room is left out as a whole, with all behind it: half an OR would find less.
 */
static bool add_group(struct search_tree *tree, const struct item *items, size_t n,
                      const struct search_options *options)
{
    size_t n_nodes = n > 1 ? 1 : 0;
    for (size_t i = 0; i < n; i += 2)
        n_nodes += items[i].is_not ? 2 : 1;
    if (n_nodes > (size_t)(SEARCH_NODES_MAX - tree->n_nodes))
        return false;
    uint16_t parent = n > 1 ? search_add(tree, 0, SEARCH_OR) : 0;
    for (size_t i = 0; i < n; i += 2)
        add_item(tree, parent, &items[i], options);
    return true;
}

void search_read(struct slice input, const struct search_options *options, struct search_tree *ret)
{
    struct typed t = {.rest = input, .is_cut = input.n > SEARCH_TEXT_MAX};
    if (t.is_cut)
        t.rest.n = SEARCH_TEXT_MAX;
    search_begin(ret, SEARCH_AND);
    while (take_item(&t))
        continue;
    if (options->is_typing && t.n > 0 && !t.is_cut && is_typing_prefix(&t.items[t.n - 1]))
        t.items[t.n - 1].is_prefix = true;
    bool is_room = true;
    for (size_t i = 0, n; i < t.n && is_room; i += n) {
        n = group_length(t.items + i, t.n - i);
        is_room = add_group(ret, t.items + i, n, options);
    }
    ret->is_cut |= t.is_cut || !is_room;
}

uint16_t search_add_words(struct search_tree *tree, uint16_t parent, enum search_field field,
                          struct slice input)
{
    uint16_t all = search_add(tree, parent, SEARCH_AND);
    struct typed t = {.rest = input};
    for (skip_blanks(&t.rest); t.rest.n > 0 && all != SEARCH_NONE; skip_blanks(&t.rest)) {
        struct item item = {};
        take_value(&t, &item);
        if (search_has_word(item.value) && !add_words(tree, all, field, &item))
            return SEARCH_NONE;
    }
    return all;
}
