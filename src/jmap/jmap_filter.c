/* Filters of Email/query (RFC 8621 section 4.4.1) as tests that an account can answer.
 *
 * Words are looked up first: their answer is a list of messages. `text` is read as people type it
 * into a search box, with from:, before: and so on (room search); the other conditions about words
 * mean just these words. Fields of headers: jmap_filter_header.c. */
#include "jmap/jmap_email_int.h"

#include "search/search.h"

#include <stdlib.h>

enum { FILTER_DEPTH_MAX = 20, CONDITIONS_MAX = 500 };
enum { HITS_MORE = 10000 /* of emails that went meanwhile, and are not yet out of the words */ };

struct reading {
    struct jmap_run *r;
    const struct jmap_call *call;
    unsigned n;
    bool *has_text;
    bool is_only_judged; /* nothing is looked up */
};

static bool bad(struct reading *x, const char *key, const char *why)
{
    jmap_refuse(x->r, x->call, "invalidArguments", "the filter's `%.60s` %s", key, why);
    return false;
}

static bool failed(struct reading *x, enum err err, const struct errinfo *ei)
{
    jmap_refuse_err(x->r, x->call, err, ei);
    return false;
}

/* So many conditions more were met; too many are refused. */
static bool are_few_more(struct reading *x, size_t n, unsigned depth)
{
    x->n += n < CONDITIONS_MAX ? (unsigned)n : CONDITIONS_MAX + 1;
    if (!jmap_has_room(x->r)) {
        jmap_refuse_limit(x->r, x->call, REFUSE_JMAP_MEMORY, "requestTooLarge",
                          "the filter's conditions have found more than can be kept");
        return false;
    }
    struct errinfo ei;
    if (jmap_is_late(x->r))
        return failed(x, jmap_late(&ei), &ei);
    if (x->n <= CONDITIONS_MAX && depth <= FILTER_DEPTH_MAX)
        return true;
    jmap_refuse_limit(x->r, x->call, REFUSE_JMAP_SHAPE, "unsupportedFilter",
                      "a filter has at most %d conditions, one in another at most %d times",
                      CONDITIONS_MAX, FILTER_DEPTH_MAX);
    return false;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void jmap_filter_one_of(struct account_filter *ret, struct arena *arena, const uint64_t *ids,
                        size_t n)
{
    uint64_t *sorted = ARENA_ARRAY(arena, uint64_t, n + 1);
    if (n > 0)
        memcpy(sorted, ids, n * sizeof(*ids));
    if (n > 1)
        qsort(sorted, n, sizeof(*sorted), by_number);
    *ret = (struct account_filter){.test = ACCOUNT_ONE_OF, .ids = sorted, .n_ids = n};
}

/* ---- words ---- */

static enum err look_up(struct reading *x, const struct search_tree *tree, uint16_t node,
                        uint64_t **ret, size_t *ret_n, enum search_cover *ret_cover,
                        struct errinfo *ei)
{
    struct jmap_run *r = x->r;
    SCOPED(buf_finish) struct buf expression = buf_make(SEARCH_EXPRESSION_MAX);
    *ret_n = 0;
    *ret_cover = search_match_expression(tree, node, &expression);
    if (*ret_cover == SEARCH_COVER_NONE)
        return ERR_OK;
    /* All of them: what else is asked, and what is not to be there, needs the old ones, too. */
    size_t max = account_n_emails(r->account) + HITS_MORE;
    return r->host->search(r->host->arg, r->who->person, buf_slice(&expression), max, r->until,
                           r->arena, ret, ret_n, ei);
}

/* For search_judge: one message, and the hits of conditions that were looked up by themselves. */
struct judging {
    struct reading *x;
    const struct search_tree *tree;
    const struct account_email *e;
    struct {
        uint16_t node;
        const uint64_t *ids; /* sorted */
        size_t n;
    } sets[SEARCH_NODES_MAX];
    size_t n_sets;
};

static bool is_in_named(const struct judging *j, struct slice name)
{
    const struct account *a = j->x->r->account;
    for (uint32_t i = 0; i < j->e->n_places; i++) {
        const struct account_mailbox *m =
            j->e->places[i].is_gone ? NULL : account_mailbox(a, j->e->places[i].mailbox);
        if (m && (search_is_same(m->name, name) || (m->role.n && search_is_same(m->role, name))))
            return true;
    }
    return false;
}

static bool has_flag(const struct account_email *e, enum search_flag flag)
{
    switch (flag) {
    case SEARCH_UNREAD:
        return !(e->flags & EMAIL_SEEN);
    case SEARCH_READ:
        return e->flags & EMAIL_SEEN;
    case SEARCH_FLAGGED:
        return e->flags & EMAIL_FLAGGED;
    case SEARCH_ANSWERED:
        return e->flags & EMAIL_ANSWERED;
    case SEARCH_DRAFT:
        return e->flags & EMAIL_DRAFT;
    case SEARCH_FLAG_N:
        break;
    }
    return false;
}

static bool has_hit(const struct judging *j, uint16_t node)
{
    for (size_t i = 0; i < j->n_sets; i++)
        if (j->sets[i].node == node)
            return bsearch(&j->e->message, j->sets[i].ids, j->sets[i].n, sizeof(uint64_t),
                           by_number) != NULL;
    return true; /* the root's expression has said it */
}

static bool ask(void *arg, uint16_t node)
{
    const struct judging *j = arg;
    const struct search_node *n = &j->tree->nodes[node];
    switch ((enum search_kind)n->kind) {
    case SEARCH_DATE:
        return j->e->received >= n->from && j->e->received < n->until;
    case SEARCH_SIZE:
        return (int64_t)j->e->bytes >= n->from && (int64_t)j->e->bytes < n->until;
    case SEARCH_MAILBOX:
        return is_in_named(j, search_text(j->tree, n));
    case SEARCH_FLAG:
        return has_flag(j->e, n->flag);
    case SEARCH_ATTACHMENT:
        return j->e->flags & EMAIL_ATTACHED;
    case SEARCH_AND:
    case SEARCH_OR:
    case SEARCH_NOT:
    case SEARCH_TEXT:
        break;
    }
    return has_hit(j, node);
}

static enum err look_up_parts(struct judging *j, struct errinfo *ei)
{
    uint16_t at = 0, node;
    while (search_next_text(j->tree, &at, &node) && j->n_sets < SEARCH_NODES_MAX) {
        uint64_t *ids = NULL;
        size_t n = 0;
        enum search_cover cover;
        enum err err = look_up(j->x, j->tree, node, &ids, &n, &cover, ei);
        if (err != ERR_OK)
            return err;
        if (n > 1)
            qsort(ids, n, sizeof(*ids), by_number);
        j->sets[j->n_sets].node = node;
        j->sets[j->n_sets].ids = ids;
        j->sets[j->n_sets++].n = n;
    }
    return ERR_OK;
}

/* Of these hits, or of all emails, those that the whole tree is true of. */
static size_t judge_hits(struct judging *j, const uint64_t *hits, size_t n_hits, bool is_all,
                         uint64_t *ret)
{
    const struct account *a = j->x->r->account;
    size_t n = 0, n_all = is_all ? account_n_emails(a) : n_hits;
    for (size_t i = 0; i < n_all; i++) {
        j->e = is_all ? account_nth_email(a, i) : account_email(a, hits[i]);
        if (j->e && !j->e->is_gone && search_judge(j->tree, ask, j))
            ret[n++] = j->e->message;
    }
    return n;
}

/* What the expression could not say is judged. */
static enum err judge_all(struct judging *j, enum search_cover cover, uint64_t **hits, size_t *n,
                          struct errinfo *ei)
{
    struct jmap_run *r = j->x->r;
    bool is_all = cover == SEARCH_COVER_NONE;
    enum err err = look_up_parts(j, ei);
    if (err != ERR_OK)
        return err;
    size_t n_judged = is_all ? account_n_emails(r->account) : *n;
    uint64_t *found = arena_try(r->arena, (n_judged + 1) * sizeof(*found));
    if (!found)
        return err_set(ei, ERR_LIMIT, "these conditions find more than fits into one request");
    *n = judge_hits(j, *hits, *n, is_all, found);
    *hits = found;
    return ERR_OK;
}

static bool find_tree(struct reading *x, const struct search_tree *tree, struct account_filter *ret)
{
    struct errinfo ei;
    uint64_t *hits = NULL;
    size_t n = 0;
    enum search_cover cover;
    if (tree->is_cut) { /* it would find more than was asked for */
        jmap_refuse(x->r, x->call, "unsupportedFilter", "too many words, or too deep");
        return false;
    }
    *x->has_text = true;
    if (x->is_only_judged)
        return true;
    struct judging *j = mem_new(sizeof(*j));
    jmap_scratch_begin(x->r); /* of all that is found on the way only the last list stays */
    *j = (struct judging){.x = x, .tree = tree};
    enum err err = look_up(x, tree, 0, &hits, &n, &cover, &ei);
    if (err == ERR_OK && cover != SEARCH_COVER_ALL)
        err = judge_all(j, cover, &hits, &n, &ei);
    mem_free(&j);
    jmap_filter_one_of(ret, x->r->whole, hits, n);
    jmap_scratch_end(x->r);
    return err == ERR_OK || failed(x, err, &ei);
}

static bool find_typed(struct reading *x, struct slice text, struct account_filter *ret)
{
    struct search_options o = {.now = utc_now()};
    struct search_tree *tree = mem_new(sizeof(*tree));
    search_read(text, &o, tree);
    bool is_good = find_tree(x, tree, ret);
    mem_free(&tree);
    return is_good;
}

static bool find_words(struct reading *x, enum search_field field, struct slice text,
                       struct account_filter *ret)
{
    struct search_tree *tree = mem_new(sizeof(*tree));
    search_begin(tree, SEARCH_AND);
    (void)search_add_words(tree, 0, field, text);
    bool is_good = find_tree(x, tree, ret);
    mem_free(&tree);
    return is_good;
}

/* ---- conditions ---- */

static bool read_mailboxes(struct reading *x, const json_t *value, struct account_filter *ret)
{
    const json_t *one;
    size_t i;
    uint64_t *ids = ARENA_ARRAY(x->r->arena, uint64_t, json_array_size(value) + 1);
    if (!json_is_array(value))
        return bad(x, "inMailboxOtherThan", "is a list of ids");
    json_array_foreach(value, i, one) ids[i] = jmap_id_or_created(x->r, 'B', one);
    if (json_array_size(value) > 1)
        qsort(ids, json_array_size(value), sizeof(*ids), by_number);
    *ret = (struct account_filter){
        .test = ACCOUNT_IN_MAILBOX_OTHER_THAN, .ids = ids, .n_ids = json_array_size(value)};
    return true;
}

enum value_kind { VALUE_ID, VALUE_DATE, VALUE_NUMBER, VALUE_BOOL, VALUE_KEYWORD };
static const struct {
    const char *name;
    enum account_test test;
    enum value_kind kind;
} conditions[] = {
    {"inMailbox", ACCOUNT_IN_MAILBOX, VALUE_ID},
    {"before", ACCOUNT_BEFORE, VALUE_DATE},
    {"after", ACCOUNT_AFTER, VALUE_DATE},
    {"minSize", ACCOUNT_MIN_SIZE, VALUE_NUMBER},
    {"maxSize", ACCOUNT_MAX_SIZE, VALUE_NUMBER},
    {"allInThreadHaveKeyword", ACCOUNT_ALL_IN_THREAD_HAVE, VALUE_KEYWORD},
    {"someInThreadHaveKeyword", ACCOUNT_SOME_IN_THREAD_HAVE, VALUE_KEYWORD},
    {"noneInThreadHaveKeyword", ACCOUNT_NONE_IN_THREAD_HAVE, VALUE_KEYWORD},
    {"hasKeyword", ACCOUNT_HAS, VALUE_KEYWORD},
    {"notKeyword", ACCOUNT_HAS_NOT, VALUE_KEYWORD},
    {"hasAttachment", ACCOUNT_HAS_ATTACHMENT, VALUE_BOOL},
};
static const struct {
    const char *name;
    enum search_field field;
} texts[] = {{"from", SEARCH_FROM}, {"to", SEARCH_TO},           {"cc", SEARCH_CC},
             {"bcc", SEARCH_BCC},   {"subject", SEARCH_SUBJECT}, {"body", SEARCH_BODY}};

static bool read_value(struct reading *x, const char *key, enum value_kind kind,
                       const json_t *value, struct account_filter *ret)
{
    switch (kind) {
    case VALUE_ID:
        ret->number = jmap_id_or_created(x->r, 'B', value);
        return json_is_string(value) || bad(x, key, "is an id");
    case VALUE_DATE:
        return jmap_utc_parse(value, &ret->time) || bad(x, key, "is a UTC date");
    case VALUE_NUMBER:
        ret->number = (uint64_t)json_integer_value(value);
        return (json_is_integer(value) && json_integer_value(value) >= 0) ||
               bad(x, key, "is a number that is not negative");
    case VALUE_BOOL:
        ret->number = json_is_true(value);
        return json_is_boolean(value) || bad(x, key, "is true or false");
    case VALUE_KEYWORD:
        if (!json_is_string(value))
            return bad(x, key, "is a keyword");
        ret->keyword = arena_copy(x->r->arena, slice_str(json_string_value(value)));
        return true;
    }
    return false;
}

static bool read_one(struct reading *x, const char *key, const json_t *value,
                     struct account_filter *ret)
{
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
        if (strcmp(conditions[i].name, key) != 0)
            continue;
        ret->test = conditions[i].test;
        return read_value(x, key, conditions[i].kind, value, ret);
    }
    if (strcmp(key, "inMailboxOtherThan") == 0)
        return read_mailboxes(x, value, ret);
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i].name, key) == 0)
            return json_is_string(value) ? find_words(x, texts[i].field, text, ret)
                                         : bad(x, key, "is a text");
    if (strcmp(key, "text") == 0)
        return json_is_string(value) ? find_typed(x, text, ret) : bad(x, key, "is a text");
    jmap_refuse(x->r, x->call, "unsupportedFilter", "there is no condition \"%.60s\"", key);
    return false;
}

static bool read_any(struct reading *x, const json_t *json, unsigned depth,
                     struct account_filter *ret);

static bool read_condition(struct reading *x, const json_t *json, struct account_filter *ret)
{
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)json;
    if (!are_few_more(x, json_object_size(json), 0))
        return false;
    struct account_filter *parts =
        ARENA_ARRAY(x->r->arena, struct account_filter, json_object_size(json) + 1);
    size_t n = 0;
    json_object_foreach(o, key, value)
    {
        bool is_header =
            strcmp(key, "header") == 0; /* last: it is asked of what all others leave */
        if (!are_few_more(x, 0, 0) || (!is_header && !read_one(x, key, value, &parts[n++])))
            return false;
    }
    value = json_object_get(o, "header");
    if (value) {
        const struct account_filter others = {.test = ACCOUNT_AND, .parts = parts, .n_parts = n};
        if (!jmap_filter_header(x->r, x->call, value, x->is_only_judged ? NULL : &others,
                                &parts[n++]))
            return false;
    }
    *ret = n == 1 ? parts[0]
                  : (struct account_filter){.test = ACCOUNT_AND, .parts = parts, .n_parts = n};
    return true;
}

static bool read_operator(struct reading *x, const json_t *json, unsigned depth,
                          struct account_filter *ret)
{
    static const struct {
        const char *name;
        enum account_test test;
    } rows[] = {{"AND", ACCOUNT_AND}, {"OR", ACCOUNT_OR}, {"NOT", ACCOUNT_NOT}};
    const char *name = json_string_value(json_object_get(json, "operator"));
    const json_t *parts = json_object_get(json, "conditions"), *one;
    size_t i, n = json_array_size(parts), row = 0;
    while (row < 3 && (!name || strcmp(rows[row].name, name) != 0))
        row++;
    if (row == 3 || !json_is_array(parts) || json_object_size(json) != 2)
        return bad(x, "operator", "is AND, OR or NOT, and beside it are `conditions`");
    if (!are_few_more(x, n, depth))
        return false;
    struct account_filter *list = ARENA_ARRAY(x->r->arena, struct account_filter, n + 1);
    json_array_foreach(parts, i, one) if (!read_any(x, one, depth + 1, &list[i])) return false;
    *ret = (struct account_filter){.test = rows[row].test, .parts = list, .n_parts = n};
    return true;
}

static bool read_any(struct reading *x, const json_t *json, unsigned depth,
                     struct account_filter *ret)
{
    if (!json_is_object(json))
        return bad(x, "conditions", "are no objects");
    return json_object_get(json, "operator") ? read_operator(x, json, depth, ret)
                                             : read_condition(x, json, ret);
}

bool jmap_filter_judge(struct jmap_run *r, const struct jmap_call *c, const json_t *json,
                       bool *ret_has_text)
{
    struct account_filter filter = {.test = ACCOUNT_ALL};
    struct reading x = {.r = r, .call = c, .has_text = ret_has_text, .is_only_judged = true};
    *ret_has_text = false;
    return !json || json_is_null(json) || read_any(&x, json, 0, &filter);
}

bool jmap_filter_read(struct jmap_run *r, const struct jmap_call *c, const json_t *json,
                      struct account_filter *ret, bool *ret_has_text)
{
    struct reading x = {.r = r, .call = c, .has_text = ret_has_text};
    *ret_has_text = false;
    *ret = (struct account_filter){.test = ACCOUNT_ALL};
    return !json || json_is_null(json) || read_any(&x, json, 0, ret);
}
