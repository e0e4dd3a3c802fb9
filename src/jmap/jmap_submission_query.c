/* EmailSubmission/query and /queryChanges (RFC 8621 sections 7.3 and 7.4). */
#include "jmap/jmap_submission_int.h"

#include <stdlib.h>

enum { CONDITION_DEPTH_MAX = 20, CONDITIONS_MAX = 500, SORTS_MAX = 20 };

struct query {
    struct jmap_run *r;
    const struct jmap_call *call;
    const json_t *filter, *sort; /* NULL: none */
    size_t n_conditions;         /* with the ids that they name */
};

struct found {
    uint64_t id, email, thread;
    utc_ms send_at;
};

static bool is_id_list(const json_t *value)
{
    const json_t *one;
    size_t i;
    json_array_foreach(value, i, one) if (!json_is_string(one)) return false;
    return json_is_array(value);
}

/* So many conditions, or ids in one of them, more were met; too many are refused: each is compared
 * with each submission. */
static bool are_few_more(struct query *q, size_t n, int depth)
{
    q->n_conditions += n;
    if (q->n_conditions <= CONDITIONS_MAX && depth <= CONDITION_DEPTH_MAX)
        return true;
    jmap_refuse_limit(q->r, q->call, REFUSE_JMAP_SHAPE, "unsupportedFilter",
                      "a filter has at most %d conditions and ids, one in another at most %d times",
                      CONDITIONS_MAX, CONDITION_DEPTH_MAX);
    return false;
}

static bool judge_condition(struct query *q, const json_t *f)
{
    static const char *const lists[] = {"identityIds", "emailIds", "threadIds"};
    const char *key;
    utc_ms time;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        bool is_list = false;
        for (size_t i = 0; i < 3; i++)
            is_list |= strcmp(key, lists[i]) == 0;
        bool is_time = strcmp(key, "before") == 0 || strcmp(key, "after") == 0;
        bool is_status = strcmp(key, "undoStatus") == 0;
        if (!is_list && !is_time && !is_status) {
            jmap_refuse(q->r, q->call, "unsupportedFilter",
                        "EmailSubmission/query cannot filter by \"%.60s\"", key);
            return false;
        }
        if (!are_few_more(q, is_list ? json_array_size(value) : 0, 0))
            return false;
        if (is_list   ? is_id_list(value)
            : is_time ? jmap_utc_parse(value, &time)
                      : json_is_string(value))
            continue;
        jmap_refuse(q->r, q->call, "invalidArguments", "the filter's `%s` has a wrong type", key);
        return false;
    }
    return true;
}

static bool judge_filter(struct query *q, const json_t *f, int depth)
{
    const char *name = json_string_value(json_object_get(f, "operator"));
    const json_t *conditions = json_object_get(f, "conditions"), *one;
    size_t i;
    if (!are_few_more(q, 1, depth))
        return false;
    if (!json_is_object(f)) {
        jmap_refuse(q->r, q->call, "invalidArguments", "a filter is an object");
        return false;
    }
    if (!json_object_get(f, "operator"))
        return judge_condition(q, f);
    if (!name || !json_is_array(conditions) ||
        (strcmp(name, "AND") != 0 && strcmp(name, "OR") != 0 && strcmp(name, "NOT") != 0)) {
        jmap_refuse(q->r, q->call, "invalidArguments", "a filter operator is AND, OR or NOT");
        return false;
    }
    json_array_foreach(conditions, i, one) if (!judge_filter(q, one, depth + 1)) return false;
    return true;
}

static bool has_id(struct jmap_run *r, const json_t *list, char letter, uint64_t id)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) if (jmap_id_or_created(r, letter, one) == id) return true;
    return false;
}

static bool matches_condition(struct jmap_run *r, const json_t *f,
                              const struct jmap_item_submission *s)
{
    const char *key;
    utc_ms time = 0;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        bool is;
        if (strcmp(key, "identityIds") == 0)
            is = has_id(r, value, 'I', s->identity);
        else if (strcmp(key, "emailIds") == 0)
            is = has_id(r, value, 'M', s->email);
        else if (strcmp(key, "threadIds") == 0)
            is = has_id(r, value, 'T', s->thread);
        else if (strcmp(key, "undoStatus") == 0)
            is = strcmp(json_string_value(value), jmap_undo_status(s)) == 0;
        else if (strcmp(key, "before") == 0)
            is = jmap_utc_parse(value, &time) && s->send_at < time;
        else
            is = jmap_utc_parse(value, &time) && s->send_at >= time;
        if (!is)
            return false;
    }
    return true;
}

static bool matches(struct jmap_run *r, const json_t *f, const struct jmap_item_submission *s)
{
    const char *name = json_string_value(json_object_get(f, "operator"));
    const json_t *one;
    size_t i;
    if (!name)
        return matches_condition(r, f, s);
    bool is_decided_by = strcmp(name, "AND") != 0;
    json_array_foreach(json_object_get(f, "conditions"), i,
                       one) if (matches(r, one, s) == is_decided_by) return name[0] == 'O';
    return name[0] != 'O';
}

/* ---- their order ---- */

static _Thread_local const json_t *sorting;

static int compare(const void *x, const void *y)
{
    const struct found *a = x, *b = y;
    const json_t *one;
    size_t i;
    json_array_foreach(sorting, i, one)
    {
        const char *by = json_string_value(json_object_get(one, "property"));
        int sign = json_is_false(json_object_get(one, "isAscending")) ? -1 : 1;
        int d = by[0] == 'e'   ? (a->email > b->email) - (a->email < b->email)
                : by[0] == 't' ? (a->thread > b->thread) - (a->thread < b->thread)
                               : (a->send_at > b->send_at) - (a->send_at < b->send_at);
        if (d)
            return sign * d;
    }
    return (a->id > b->id) - (a->id < b->id);
}

static bool judge_sort(const struct query *q)
{
    static const char *const known[] = {"emailId", "threadId", "sentAt", "sendAt"};
    const json_t *one;
    size_t i;
    if (q->sort && !json_is_array(q->sort)) {
        jmap_refuse(q->r, q->call, "invalidArguments", "`sort` is a list");
        return false;
    }
    if (json_array_size(q->sort) > SORTS_MAX) {
        jmap_refuse_limit(q->r, q->call, REFUSE_JMAP_SHAPE, "unsupportedSort",
                          "this server sorts by %d properties at most", SORTS_MAX);
        return false;
    }
    json_array_foreach(q->sort, i, one)
    {
        const char *by = json_string_value(json_object_get(one, "property"));
        const json_t *up = json_object_get(one, "isAscending");
        enum account_collation collation;
        bool is_known = false;
        for (size_t k = 0;
             by && jmap_collation(one, &collation) && k < sizeof(known) / sizeof(known[0]); k++)
            is_known |= strcmp(by, known[k]) == 0;
        if (is_known && (!up || json_is_boolean(up)))
            continue;
        jmap_refuse(q->r, q->call, is_known || !by ? "invalidArguments" : "unsupportedSort",
                    "EmailSubmission/query cannot sort like that");
        return false;
    }
    return true;
}

static const json_t *given(const struct jmap_call *c, const char *name)
{
    const json_t *value = json_object_get(c->args, name);
    return json_is_null(value) ? NULL : value;
}

/* False: too late, the call is refused. */
static bool find(const struct query *q, struct found **ret, size_t *ret_n)
{
    struct jmap_run *r = q->r;
    struct errinfo ei;
    size_t at = 0, n_items = 0;
    while (jmap_submission_next(r, &at))
        n_items++;
    *ret = ARENA_ARRAY(r->arena, struct found, n_items + 1);
    *ret_n = 0;
    at = 0;
    for (uint64_t id; (id = jmap_submission_next(r, &at)) != 0;) {
        struct jmap_item_submission s;
        if (jmap_is_late(r)) {
            jmap_refuse_err(r, q->call, jmap_late(&ei), &ei);
            return false;
        }
        jmap_scratch_begin(r);
        if (jmap_submission_read(r, id, &s) && (!q->filter || matches(r, q->filter, &s)))
            (*ret)[(*ret_n)++] = (struct found){id, s.email, s.thread, s.send_at};
        jmap_scratch_end(r);
    }
    sorting = q->sort;
    if (*ret_n > 1)
        qsort(*ret, *ret_n, sizeof(**ret), compare);
    return true;
}

static bool judge_query(struct query *q, const char *const *names)
{
    q->filter = given(q->call, "filter");
    q->sort = given(q->call, "sort");
    return jmap_arg_account(q->r, q->call) && jmap_arg_names(q->r, q->call, names) &&
           (!q->filter || judge_filter(q, q->filter, 0)) && judge_sort(q);
}

static bool find_ids(const struct query *q, const uint64_t **ret, size_t *ret_n)
{
    struct found *found;
    if (!find(q, &found, ret_n))
        return false;
    uint64_t *ids = ARENA_ARRAY(q->r->arena, uint64_t, *ret_n + 1);
    for (size_t i = 0; i < *ret_n; i++)
        ids[i] = found[i].id;
    *ret = ids;
    return true;
}

void jmap_submission_query(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId", "filter",         "sort",
                                        "position",  "anchor",         "anchorOffset",
                                        "limit",     "calculateTotal", NULL};
    struct query q = {.r = r, .call = c};
    struct jmap_window w = {.limit = JMAP_NO_LIMIT};
    const uint64_t *ids;
    size_t from, n;
    if (!judge_query(&q, names) || !jmap_window_args(r, c, &w) || !find_ids(&q, &ids, &n) ||
        !jmap_window_find(r, c, &w, 'S', ids, n, &from))
        return;
    json_t *list = json_array();
    for (size_t i = from; i < n && i - from < w.limit; i++)
        json_array_append_new(list, jmap_id_json('S', ids[i]));
    jmap_answer(r, c, c->name,
                jmap_window_answer(r, c, &w, jmap_type_state(r, &jmap_submission_type), true, from,
                                   list, n));
}

void jmap_submission_query_changes(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId",  "filter", "sort",           "sinceQueryState",
                                        "maxChanges", "upToId", "calculateTotal", NULL};
    struct query q = {.r = r, .call = c};
    struct jmap_results now = {};
    if (judge_query(&q, names) && find_ids(&q, &now.ids, &now.n))
        jmap_query_changes(r, c, &jmap_submission_type, &now);
}
