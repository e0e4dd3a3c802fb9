/* Mailboxes (RFC 8621 section 2): get, changes, query. Changing them: jmap_mailbox_set.c. */
#include "jmap/jmap_mailbox_int.h"

#include <stdlib.h>

/* ---- get and changes ---- */

static json_t *rights(const struct account_mailbox *m)
{
    bool is_inbox = slice_eq(m->role, SLICE("inbox"));
    return json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "mayReadItems", 1,
                     "mayAddItems", 1, "mayRemoveItems", 1, "maySetSeen", 1, "maySetKeywords", 1,
                     "mayCreateChild", 1, "mayRename", !is_inbox, "mayDelete", !is_inbox,
                     "maySubmit", 1);
}

json_t *jmap_mailbox_make(struct jmap_run *r, uint64_t id)
{
    const struct account_mailbox *m = account_mailbox(r->account, id);
    if (!m || m->is_gone)
        return NULL;
    json_t *o =
        json_pack("{s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:o, s:b}", "id", jmap_id_json('B', id),
                  "name", jmap_text(m->name), "sortOrder", (int)m->sort_order, "totalEmails",
                  (json_int_t)m->n_emails, "unreadEmails", (json_int_t)m->n_unread, "totalThreads",
                  (json_int_t)m->n_threads, "unreadThreads", (json_int_t)m->n_unread_threads,
                  "myRights", rights(m), "isSubscribed", m->is_subscribed);
    json_object_set_new(o, "parentId", m->parent ? jmap_id_json('B', m->parent) : json_null());
    json_object_set_new(o, "role", m->role.n ? jmap_text(m->role) : json_null());
    return o;
}

static uint64_t next(struct jmap_run *r, size_t *at)
{
    const struct account_mailbox *m;
    while ((m = account_next_mailbox(r->account, at)))
        if (!m->is_gone)
            return m->id;
    return 0;
}

static const char *const properties[] = {
    "id",           "name",         "parentId",      "role",     "sortOrder",    "totalEmails",
    "unreadEmails", "totalThreads", "unreadThreads", "myRights", "isSubscribed", NULL};
const struct jmap_type jmap_mailbox_type = {.name = "Mailbox",
                                            .letter = 'B',
                                            .type = ACCOUNT_MAILBOX,
                                            .properties = properties,
                                            .make = jmap_mailbox_make,
                                            .next = next};

void jmap_mailbox_get(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_get(r, c, &jmap_mailbox_type);
}

static void add_updated_properties(const struct account_changes *changes, json_t *answer)
{
    json_object_set_new(answer, "updatedProperties",
                        changes->is_counts_only
                            ? json_pack("[s, s, s, s]", "totalEmails", "unreadEmails",
                                        "totalThreads", "unreadThreads")
                            : json_null());
}

void jmap_mailbox_changes(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_changes(r, c, &jmap_mailbox_type, add_updated_properties);
}

/* ---- query ---- */

enum { DEPTH_MAX = 20, CONDITIONS_MAX = 200, SORTS_MAX = 20 };

struct query {
    struct jmap_run *r;
    const struct jmap_call *call;
    const json_t *filter, *sort;
    bool as_tree, filter_as_tree;
    unsigned n_conditions;
};

static bool refuse_filter(struct query *q, const char *what)
{
    jmap_refuse(q->r, q->call, "unsupportedFilter", "Mailbox/query cannot filter by \"%.60s\"",
                what);
    return false;
}

static bool judge_condition(struct query *q, const json_t *f)
{
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        bool is_text = strcmp(key, "name") == 0;
        bool is_text_or_null = strcmp(key, "parentId") == 0 || strcmp(key, "role") == 0;
        bool is_bool = strcmp(key, "hasAnyRole") == 0 || strcmp(key, "isSubscribed") == 0;
        if (!is_text && !is_text_or_null && !is_bool)
            return refuse_filter(q, key);
        if ((is_bool && json_is_boolean(value)) || (!is_bool && json_is_string(value)) ||
            (is_text_or_null && json_is_null(value)))
            continue;
        jmap_refuse(q->r, q->call, "invalidArguments", "the filter's `%s` has a wrong type", key);
        return false;
    }
    return true;
}

static bool judge_filter(struct query *q, const json_t *f, int depth)
{
    const json_t *operator= json_object_get(f, "operator");
    const char *name = json_string_value(operator);
    const json_t *conditions = json_object_get(f, "conditions"), *one;
    size_t i;
    if (depth > DEPTH_MAX || ++q->n_conditions > CONDITIONS_MAX) {
        jmap_refuse_limit(q->r, q->call, REFUSE_JMAP_SHAPE, "unsupportedFilter",
                          "a filter has at most %d conditions, one in another at most %d times",
                          CONDITIONS_MAX, DEPTH_MAX);
        return false;
    }
    if (!json_is_object(f)) {
        jmap_refuse(q->r, q->call, "invalidArguments", "`filter` is no filter");
        return false;
    }
    if (!operator)
        return judge_condition(q, f);
    if (!name || !json_is_array(conditions) ||
        (strcmp(name, "AND") != 0 && strcmp(name, "OR") != 0 && strcmp(name, "NOT") != 0)) {
        jmap_refuse(q->r, q->call, "invalidArguments", "a filter operator is AND, OR or NOT");
        return false;
    }
    json_array_foreach(conditions, i, one) if (!judge_filter(q, one, depth + 1)) return false;
    return true;
}

static bool matches_condition(const struct query *q, const json_t *f,
                              const struct account_mailbox *m)
{
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        bool is = true;
        if (strcmp(key, "parentId") == 0)
            is = json_is_null(value)
                     ? m->parent == 0
                     : m->parent && m->parent == jmap_id_or_created(q->r, 'B', value);
        else if (strcmp(key, "name") == 0)
            is = jmap_contains(m->name, slice_str(json_string_value(value)));
        else if (strcmp(key, "role") == 0)
            is = slice_eq(m->role, slice_str(json_string_value(value)));
        else if (strcmp(key, "hasAnyRole") == 0)
            is = (m->role.n > 0) == json_is_true(value);
        else
            is = m->is_subscribed == json_is_true(value);
        if (!is)
            return false;
    }
    return true;
}

static bool matches(const struct query *q, const json_t *f, const struct account_mailbox *m)
{
    const char *name = json_string_value(json_object_get(f, "operator"));
    const json_t *one;
    size_t i;
    if (!name)
        return matches_condition(q, f, m);
    bool is_decided_by = strcmp(name, "AND") != 0;
    json_array_foreach(json_object_get(f, "conditions"), i,
                       one) if (matches(q, one, m) == is_decided_by) return name[0] == 'O';
    return name[0] != 'O';
}

/* ---- their order ---- */

static _Thread_local const struct query *sorting;

static int compare_siblings(const struct account_mailbox *a, const struct account_mailbox *b)
{
    const json_t *one;
    size_t i;
    json_array_foreach(sorting->sort, i, one)
    {
        const char *by = json_string_value(json_object_get(one, "property"));
        bool is_descending = json_is_false(json_object_get(one, "isAscending"));
        enum account_collation collation;
        (void)jmap_collation(one, &collation); /* judged before */
        int c = strcmp(by, "name") == 0
                    ? account_collate(collation, a->name, b->name)
                    : (a->sort_order > b->sort_order) - (a->sort_order < b->sort_order);
        if (c)
            return is_descending ? -c : c;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

static unsigned depth_of(const struct jmap_run *r, const struct account_mailbox *m)
{
    unsigned n = 0;
    while (m && m->parent && n < DEPTH_MAX) {
        m = account_mailbox(r->account, m->parent);
        n++;
    }
    return n;
}

static const struct account_mailbox *ancestor(const struct jmap_run *r,
                                              const struct account_mailbox *m, unsigned n)
{
    while (n-- > 0 && m)
        m = account_mailbox(r->account, m->parent);
    return m;
}

/* A parent stands before its children, which stand before its next sibling. */
static int compare_in_tree(const struct account_mailbox *a, const struct account_mailbox *b)
{
    unsigned da = depth_of(sorting->r, a), db = depth_of(sorting->r, b);
    unsigned n = da < db ? da : db;
    const struct account_mailbox *x = ancestor(sorting->r, a, da - n);
    const struct account_mailbox *y = ancestor(sorting->r, b, db - n);
    if (x == y)
        return da < db ? -1 : da > db;
    while (x && y && x->parent != y->parent) {
        x = account_mailbox(sorting->r->account, x->parent);
        y = account_mailbox(sorting->r->account, y->parent);
    }
    return x && y ? compare_siblings(x, y) : 0;
}

static int compare(const void *x, const void *y)
{
    const struct account_mailbox *a = *(const struct account_mailbox *const *)x;
    const struct account_mailbox *b = *(const struct account_mailbox *const *)y;
    return sorting->as_tree ? compare_in_tree(a, b) : compare_siblings(a, b);
}

static bool judge_sort(struct query *q)
{
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
        if (!by || (up && !json_is_boolean(up))) {
            jmap_refuse(q->r, q->call, "invalidArguments", "an entry of `sort` names a property");
            return false;
        }
        enum account_collation collation;
        bool is_known = strcmp(by, "name") == 0 || strcmp(by, "sortOrder") == 0;
        if (is_known && jmap_collation(one, &collation))
            continue;
        jmap_refuse(q->r, q->call, "unsupportedSort", "Mailbox/query cannot sort by \"%.60s\"", by);
        return false;
    }
    return true;
}

/* With filterAsTree, who has an ancestor that does not match is left out. */
static bool is_result(const struct query *q, const struct account_mailbox *m)
{
    for (unsigned n = 0; m && n <= DEPTH_MAX; n++) {
        if (q->filter && !matches(q, q->filter, m))
            return false;
        if (!q->filter_as_tree || !m->parent)
            break;
        m = account_mailbox(q->r->account, m->parent);
    }
    return true;
}

/* False: too late, the call is refused. */
static bool find(const struct query *q, const struct account_mailbox **ret, size_t *ret_n)
{
    const struct account_mailbox *m;
    struct errinfo ei;
    size_t at = 0, n = 0;
    while ((m = account_next_mailbox(q->r->account, &at))) {
        if (jmap_is_late(q->r)) {
            jmap_refuse_err(q->r, q->call, jmap_late(&ei), &ei);
            return false;
        }
        if (!m->is_gone && is_result(q, m))
            ret[n++] = m;
    }
    sorting = q;
    if (n > 1)
        qsort(ret, n, sizeof(*ret), compare);
    *ret_n = n;
    return true;
}

static bool judge_query(struct query *q, const char *const *names)
{
    q->filter = json_object_get(q->call->args, "filter");
    q->filter = json_is_null(q->filter) ? NULL : q->filter;
    q->sort = json_object_get(q->call->args, "sort");
    q->sort = json_is_null(q->sort) ? NULL : q->sort;
    return jmap_arg_account(q->r, q->call) && jmap_arg_names(q->r, q->call, names) &&
           jmap_arg_bool(q->r, q->call, "sortAsTree", &q->as_tree) &&
           jmap_arg_bool(q->r, q->call, "filterAsTree", &q->filter_as_tree) &&
           (!q->filter || judge_filter(q, q->filter, 0)) && judge_sort(q);
}

static size_t count_mailboxes(const struct jmap_run *r)
{
    size_t at = 0, n = 0;
    while (account_next_mailbox(r->account, &at))
        n++;
    return n;
}

static bool find_ids(const struct query *q, const uint64_t **ret, size_t *ret_n)
{
    struct arena *arena = q->r->arena;
    const struct account_mailbox **all =
        ARENA_ARRAY(arena, const struct account_mailbox *, count_mailboxes(q->r) + 1);
    if (!find(q, all, ret_n))
        return false;
    uint64_t *ids = ARENA_ARRAY(arena, uint64_t, *ret_n + 1);
    for (size_t i = 0; i < *ret_n; i++)
        ids[i] = all[i]->id;
    *ret = ids;
    return true;
}

void jmap_mailbox_query(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId",    "filter",         "sort",   "sortAsTree",
                                        "filterAsTree", "position",       "anchor", "anchorOffset",
                                        "limit",        "calculateTotal", NULL};
    struct query q = {.r = r, .call = c};
    struct jmap_window w = {.limit = JMAP_NO_LIMIT};
    const uint64_t *ids;
    size_t n, from = 0;
    if (!judge_query(&q, names) || !jmap_window_args(r, c, &w) || !find_ids(&q, &ids, &n) ||
        !jmap_window_find(r, c, &w, 'B', ids, n, &from))
        return;
    size_t n_here = n - from < w.limit ? n - from : (size_t)w.limit;
    json_t *list = json_array();
    for (size_t i = 0; i < n_here; i++)
        json_array_append_new(list, jmap_id_json('B', ids[from + i]));
    jmap_answer(
        r, c, c->name,
        jmap_window_answer(r, c, &w, jmap_type_state(r, &jmap_mailbox_type), true, from, list, n));
}

void jmap_mailbox_query_changes(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {
        "accountId",       "filter",     "sort",   "sortAsTree",     "filterAsTree",
        "sinceQueryState", "maxChanges", "upToId", "calculateTotal", NULL};
    struct query q = {.r = r, .call = c};
    struct jmap_results now = {};
    if (!judge_query(&q, names) || !find_ids(&q, &now.ids, &now.n))
        return;
    now.moves_others = q.as_tree || q.filter_as_tree;
    jmap_query_changes(r, c, &jmap_mailbox_type, &now);
}
