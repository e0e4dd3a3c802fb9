/* Email/query and /queryChanges (RFC 8621 sections 4.4 and 4.5), SearchSnippet/get (section 5). */
#include "jmap/jmap_email_int.h"

#include "search/search.h"

enum { LIMIT_MAX = 10000, SORTS_MAX = 20 };

struct query {
    struct jmap_run *r;
    const struct jmap_call *call;
    struct account_query q;
    struct account_filter filter;
    struct account_sort sorts[SORTS_MAX];
    bool has_text;
};

static const struct {
    const char *name;
    enum account_sort_by by;
    bool has_keyword;
} sort_properties[] = {
    {"receivedAt", ACCOUNT_BY_RECEIVED, false},
    {"size", ACCOUNT_BY_SIZE, false},
    {"from", ACCOUNT_BY_FROM, false},
    {"to", ACCOUNT_BY_TO, false},
    {"subject", ACCOUNT_BY_SUBJECT, false},
    {"sentAt", ACCOUNT_BY_SENT, false},
    {"hasKeyword", ACCOUNT_BY_HAS_KEYWORD, true},
    {"allInThreadHaveKeyword", ACCOUNT_BY_ALL_IN_THREAD_HAVE, true},
    {"someInThreadHaveKeyword", ACCOUNT_BY_SOME_IN_THREAD_HAVE, true},
};

static bool read_sort(struct query *x, const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "property"));
    const char *keyword = json_string_value(json_object_get(json, "keyword"));
    const json_t *up = json_object_get(json, "isAscending");
    size_t i = 0, n = sizeof(sort_properties) / sizeof(sort_properties[0]);
    while (name && i < n && strcmp(sort_properties[i].name, name) != 0)
        i++;
    bool is_typed = name && (!up || json_is_boolean(up)) &&
                    (i == n || !sort_properties[i].has_keyword || keyword);
    if (!is_typed) {
        jmap_refuse(x->r, x->call, "invalidArguments", "an entry of `sort` is malformed");
        return false;
    }
    enum account_collation collation;
    if (!jmap_collation(json, &collation) || i == n) {
        jmap_refuse(x->r, x->call, "unsupportedSort", "this server cannot sort like that");
        return false;
    }
    if (x->q.n_sorts == SORTS_MAX) {
        jmap_refuse_limit(x->r, x->call, REFUSE_JMAP_SHAPE, "unsupportedSort",
                          "this server sorts by %d properties at most", SORTS_MAX);
        return false;
    }
    x->sorts[x->q.n_sorts++] = (struct account_sort){
        .by = sort_properties[i].by,
        .is_ascending = !json_is_false(up),
        .collation = collation,
        .keyword = slice_str(keyword),
    };
    return true;
}

/* All but the filter. */
static bool read_question(struct query *x)
{
    const struct jmap_call *c = x->call;
    const json_t *sort = json_object_get(c->args, "sort"), *one;
    size_t i;
    if (!jmap_arg_account(x->r, c) ||
        !jmap_arg_bool(x->r, c, "collapseThreads", &x->q.collapse_threads) ||
        !jmap_arg_bool(x->r, c, "calculateTotal", &x->q.want_total))
        return false;
    if (sort && !json_is_null(sort) && !json_is_array(sort)) {
        jmap_refuse(x->r, c, "invalidArguments", "`sort` is a list");
        return false;
    }
    json_array_foreach(sort, i, one) if (!read_sort(x, one)) return false;
    x->q.sorts = x->sorts;
    x->q.until = x->r->until;
    return true;
}

static bool read_filter(struct query *x)
{
    const json_t *filter = json_object_get(x->call->args, "filter");
    if (!jmap_filter_read(x->r, x->call, filter, &x->filter, &x->has_text))
        return false;
    x->q.filter = x->filter.test == ACCOUNT_ALL ? NULL : &x->filter;
    return true;
}

static json_t *ids_json(const uint64_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, jmap_id_json('M', ids[i]));
    return list;
}

void jmap_email_query(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {
        "accountId",    "filter", "sort",           "position",        "anchor",
        "anchorOffset", "limit",  "calculateTotal", "collapseThreads", NULL};
    struct query x = {.r = r, .call = c};
    struct jmap_window w = {.limit = LIMIT_MAX};
    struct account_result result;
    struct errinfo ei;
    if (!jmap_arg_names(r, c, names) || !read_question(&x) || !read_filter(&x) ||
        !jmap_window_args(r, c, &w))
        return;
    x.q.position = w.position;
    x.q.anchor_offset = w.anchor_offset;
    x.q.limit = (size_t)w.limit;
    if (w.anchor && !jmap_id_parse('M', w.anchor, &x.q.anchor)) {
        jmap_refuse(r, c, "anchorNotFound", NULL);
        return;
    }
    enum err err = account_query(r->account, r->reader, &x.q, r->arena, &result, &ei);
    if (err == ERR_GONE)
        jmap_refuse(r, c, "anchorNotFound", NULL);
    else if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    else
        jmap_answer(r, c, c->name,
                    jmap_window_answer(r, c, &w, jmap_type_state(r, &jmap_email_type), !x.has_text,
                                       result.position, ids_json(result.ids, result.n_ids),
                                       result.total));
}

/* ---- Email/queryChanges ---- */

static json_t *added_json(const struct account_query_changes *ch)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ch->n_added; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:I}", "id", jmap_id_json('M', ch->added[i].id),
                                        "index", (json_int_t)ch->added[i].index));
    return list;
}

static void give_changes(const struct query *x, const struct account_query_changes *ch,
                         uint64_t since)
{
    struct jmap_run *r = x->r;
    json_t *answer =
        json_pack("{s:O, s:o, s:o, s:o, s:o}", "accountId",
                  json_object_get(x->call->args, "accountId"), "oldQueryState", jmap_state(since),
                  "newQueryState", jmap_state(jmap_type_state(r, &jmap_email_type)), "removed",
                  ids_json(ch->removed, ch->n_removed), "added", added_json(ch));
    if (x->q.want_total)
        json_object_set_new(answer, "total", json_integer((json_int_t)ch->total));
    jmap_answer(r, x->call, x->call->name, answer);
}

/* What its words find was known to another index of words then: that is not even looked up. */
static bool read_filter_of_changes(struct query *x)
{
    if (!jmap_filter_judge(x->r, x->call, json_object_get(x->call->args, "filter"), &x->has_text))
        return false;
    if (!x->has_text)
        return read_filter(x);
    jmap_refuse(x->r, x->call, "cannotCalculateChanges", "the search index may know more by now");
    return false;
}

void jmap_email_query_changes(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId",       "filter",          "sort",
                                        "sinceQueryState", "maxChanges",      "upToId",
                                        "calculateTotal",  "collapseThreads", NULL};
    struct query x = {.r = r, .call = c};
    uint64_t since = 0, max = UINT64_MAX, up_to = 0;
    const char *up_to_text = NULL;
    struct account_query_changes ch;
    struct errinfo ei;
    if (!jmap_arg_names(r, c, names) || !read_question(&x) ||
        !jmap_arg_state(r, c, "sinceQueryState", &since) ||
        !jmap_arg_unsigned(r, c, "maxChanges", &max) ||
        !jmap_arg_text(r, c, "upToId", &up_to_text) || !read_filter_of_changes(&x))
        return;
    if (up_to_text)
        (void)jmap_id_parse('M', up_to_text, &up_to);
    enum err err =
        account_query_changes(r->account, r->reader, &x.q, since, up_to, r->arena, &ch, &ei);
    if (err == ERR_GONE)
        jmap_refuse(r, c, "cannotCalculateChanges", "%s", ei.text);
    else if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    else if (ch.n_removed + ch.n_added > max)
        jmap_refuse(r, c, "tooManyChanges", "ask for the list itself");
    else
        give_changes(&x, &ch, since);
}

/* ---- SearchSnippet/get ---- */

struct snipping {
    struct jmap_run *r;
    struct search_tree *tree;
    json_t *list;
};

/* All words of the filter, whatever stands around them: they are only marked. */
static void gather_words(struct search_tree *tree, const json_t *filter, unsigned depth)
{
    static const struct {
        const char *name;
        enum search_field field;
    } texts[] = {{"text", SEARCH_ANY}, {"subject", SEARCH_SUBJECT}, {"body", SEARCH_BODY}};
    const json_t *one;
    size_t i;
    const char *operator= json_string_value(json_object_get(filter, "operator"));
    if (depth > 20 || (operator&& strcmp(operator, "NOT") == 0))
        return;
    json_array_foreach(json_object_get(filter, "conditions"), i, one)
        gather_words(tree, one, depth + 1);
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const json_t *text = json_object_get(filter, texts[i].name);
        if (json_is_string(text))
            (void)search_add_words(tree, 0, texts[i].field,
                                   slice_of(json_string_value(text), json_string_length(text)));
    }
}

static json_t *snippet(const struct snipping *s, enum search_field field, struct slice text,
                       size_t max)
{
    SCOPED(buf_finish) struct buf b = buf_make(6 * text.n + 4096);
    if (!search_snippet(s->tree, field, text, max, &b) || b.failed)
        return json_null();
    return jmap_text(buf_slice(&b));
}

static bool take_snippet(void *arg, uint64_t message, const struct record_fields *f)
{
    struct snipping *s = arg;
    json_array_append_new(s->list,
                          json_pack("{s:o, s:o, s:o}", "emailId", jmap_id_json('M', message),
                                    "subject", snippet(s, SEARCH_SUBJECT, f->subject, 0), "preview",
                                    snippet(s, SEARCH_BODY, f->preview, 255)));
    return true;
}

static size_t split_ids(struct jmap_run *r, const json_t *ids, uint64_t *ret, json_t *not_found)
{
    const json_t *one;
    json_t *seen = json_object();
    size_t i, n = 0;
    json_array_foreach(ids, i, one)
    {
        uint64_t id = 0;
        if (json_object_get(seen, json_string_value(one)))
            continue;
        json_object_set_new(seen, json_string_value(one), json_true());
        const struct account_email *e =
            jmap_id_parse('M', json_string_value(one), &id) ? account_email(r->account, id) : NULL;
        if (e && !e->is_gone)
            ret[n++] = id;
        else
            json_array_append(not_found, (json_t *)(uintptr_t)one);
    }
    json_decref(seen);
    return n;
}

static bool judge_snippets(struct jmap_run *r, const struct jmap_call *c, const json_t *ids)
{
    static const char *const names[] = {"accountId", "filter", "emailIds", NULL};
    const json_t *one;
    size_t i;
    bool is_list = json_is_array(ids);
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names))
        return false;
    json_array_foreach(ids, i, one) is_list &= json_is_string(one);
    bool has_text;
    if (is_list)
        return jmap_are_few_to_get(r, c, json_array_size(ids)) &&
               jmap_filter_judge(r, c, json_object_get(c->args, "filter"), &has_text);
    jmap_refuse(r, c, "invalidArguments", "`emailIds` is a list of ids");
    return false;
}

void jmap_snippet_get(struct jmap_run *r, const struct jmap_call *c)
{
    const json_t *ids = json_object_get(c->args, "emailIds");
    struct errinfo ei;
    if (!judge_snippets(r, c, ids))
        return;
    struct snipping s = {.r = r, .tree = mem_new(sizeof(*s.tree)), .list = json_array()};
    uint64_t *wanted = ARENA_ARRAY(r->arena, uint64_t, json_array_size(ids) + 1);
    json_t *not_found = json_array();
    search_begin(s.tree, SEARCH_OR);
    gather_words(s.tree, json_object_get(c->args, "filter"), 0);
    size_t n = split_ids(r, ids, wanted, not_found);
    enum err err = store_each_fields(r->reader, r->who->person, wanted, n, take_snippet, &s, &ei);
    if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    else
        jmap_answer(r, c, c->name,
                    json_pack("{s:O, s:O, s:O}", "accountId", json_object_get(c->args, "accountId"),
                              "list", s.list, "notFound", jmap_or_null(not_found)));
    json_decref(s.list);
    json_decref(not_found);
    mem_free(&s.tree);
}
