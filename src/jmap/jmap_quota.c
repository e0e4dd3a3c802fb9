/* Quota (RFC 9425): one for the bytes of a person's mail, where somebody set one. */
#include "jmap/jmap_int.h"

enum { FILTER_DEPTH_MAX = 20 };

#define QUOTA_NAME "mail"

/* Seen by those only who know what it is about (section 4.1, types). */
static bool is_there(const struct jmap_run *r)
{
    return r->who->quota_bytes && r->using & CAP_MAIL;
}

static json_t *make(struct jmap_run *r, uint64_t id)
{
    uint64_t limit = r->who->quota_bytes;
    if (!is_there(r) || id != r->who->person)
        return NULL;
    return json_pack("{s:o, s:s, s:I, s:I, s:I, s:s, s:s, s:[s], s:n, s:n}", "id",
                     jmap_id_json('Q', id), "resourceType", "octets", "used",
                     (json_int_t)account_bytes(r->account), "hardLimit", (json_int_t)limit,
                     "warnLimit", (json_int_t)(limit / 10 * 9), "scope", "account", "name",
                     QUOTA_NAME, "types", "Email", "softLimit", "description");
}

static uint64_t next(struct jmap_run *r, size_t *at)
{
    return is_there(r) && (*at)++ == 0 ? r->who->person : 0;
}

static const char *const properties[] = {"id",        "resourceType", "used",  "hardLimit",
                                         "scope",     "name",         "types", "warnLimit",
                                         "softLimit", "description",  NULL};
/* It changes when emails come and go, as threads do. */
static const struct jmap_type quota = {.name = "Quota",
                                       .letter = 'Q',
                                       .type = ACCOUNT_THREAD,
                                       .properties = properties,
                                       .make = make,
                                       .next = next};

void jmap_quota_get(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_get(r, c, &quota);
}

void jmap_quota_changes(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId", "sinceState", "maxChanges", NULL};
    uint64_t since = 0, max = 1, now = jmap_type_state(r, &quota);
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names) ||
        !jmap_arg_state(r, c, "sinceState", &since) || !jmap_arg_unsigned(r, c, "maxChanges", &max))
        return;
    if (since > now || since < account_floor(r->account) || max == 0) {
        jmap_refuse(r, c, max ? "cannotCalculateChanges" : "invalidArguments", NULL);
        return;
    }
    json_t *updated = json_array();
    if (since < now && is_there(r))
        json_array_append_new(updated, jmap_id_json('Q', r->who->person));
    /* All that ever changes of it: the administration may set another limit. */
    jmap_answer(r, c, c->name,
                json_pack("{s:O, s:o, s:o, s:b, s:[], s:o, s:[], s:[s, s, s]}", "accountId",
                          json_object_get(c->args, "accountId"), "oldState", jmap_state(since),
                          "newState", jmap_state(now), "hasMoreChanges", 0, "created", "updated",
                          updated, "destroyed", "updatedProperties", "used", "hardLimit",
                          "warnLimit"));
}

/* ---- query: of one at most ---- */

static bool judge_condition(struct jmap_run *r, const struct jmap_call *c, const json_t *f,
                            bool *ret)
{
    static const struct {
        const char *name, *value;
    } rows[] = {{"scope", "account"}, {"resourceType", "octets"}, {"type", "Email"}};
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        const char *text = json_string_value(value);
        size_t i = 0;
        while (i < 3 && strcmp(rows[i].name, key) != 0)
            i++;
        bool is_name = strcmp(key, "name") == 0;
        if (!is_name && i == 3)
            jmap_refuse(r, c, "unsupportedFilter", "Quota/query cannot filter by \"%.60s\"", key);
        else if (!text)
            jmap_refuse(r, c, "invalidArguments", "the filter's `%s` is a text", key);
        else
            *ret &= is_name ? strstr(QUOTA_NAME, text) != NULL : strcmp(rows[i].value, text) == 0;
        if (!text || (!is_name && i == 3))
            return false;
    }
    return true;
}

static bool judge_filter(struct jmap_run *r, const struct jmap_call *c, const json_t *f, int depth,
                         bool *ret)
{
    const char *name = json_string_value(json_object_get(f, "operator"));
    const json_t *conditions = json_object_get(f, "conditions"), *one;
    bool is_or = name && name[0] == 'O', any = false;
    size_t i;
    *ret = true;
    if (json_is_object(f) && !json_object_get(f, "operator"))
        return judge_condition(r, c, f, ret);
    if (depth == FILTER_DEPTH_MAX) {
        jmap_refuse_limit(r, c, REFUSE_JMAP_SHAPE, "unsupportedFilter",
                          "conditions stand in each other at most %d times", FILTER_DEPTH_MAX);
        return false;
    }
    if (!name || !json_is_array(conditions) ||
        (strcmp(name, "AND") != 0 && strcmp(name, "OR") != 0 && strcmp(name, "NOT") != 0)) {
        jmap_refuse(r, c, "invalidArguments", "`filter` is no filter");
        return false;
    }
    json_array_foreach(conditions, i, one)
    {
        bool is;
        if (!judge_filter(r, c, one, depth + 1, &is))
            return false;
        any |= is;
        *ret &= is;
    }
    *ret = name[0] == 'A' ? *ret : is_or ? any : !any;
    return true;
}

static bool judge_sort(struct jmap_run *r, const struct jmap_call *c, const json_t *sort)
{
    const json_t *one;
    size_t i;
    bool is_list = !sort || json_is_null(sort) || json_is_array(sort);
    if (!is_list)
        jmap_refuse(r, c, "invalidArguments", "`sort` is a list");
    json_array_foreach(sort, i, one)
    {
        const char *by = json_string_value(json_object_get(one, "property"));
        if (by && (strcmp(by, "name") == 0 || strcmp(by, "used") == 0))
            continue;
        jmap_refuse(r, c, by ? "unsupportedSort" : "invalidArguments",
                    "Quota/query sorts by name and used");
        return false;
    }
    return is_list;
}

void jmap_quota_query(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId", "filter",         "sort",
                                        "position",  "anchor",         "anchorOffset",
                                        "limit",     "calculateTotal", NULL};
    const json_t *filter = json_object_get(c->args, "filter");
    struct jmap_window w = {.limit = JMAP_NO_LIMIT};
    uint64_t id = r->who->person;
    bool is = true;
    size_t from;
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names) ||
        (filter && !json_is_null(filter) && !judge_filter(r, c, filter, 0, &is)) ||
        !judge_sort(r, c, json_object_get(c->args, "sort")) || !jmap_window_args(r, c, &w))
        return;
    is &= is_there(r);
    if (!jmap_window_find(r, c, &w, 'Q', &id, is, &from))
        return;
    json_t *ids = json_array();
    if (from < is && w.limit > 0)
        json_array_append_new(ids, jmap_id_json('Q', id));
    jmap_answer(r, c, c->name,
                jmap_window_answer(r, c, &w, jmap_type_state(r, &quota), false, from, ids, is));
}

void jmap_quota_query_changes(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId",  "filter", "sort",           "sinceQueryState",
                                        "maxChanges", "upToId", "calculateTotal", NULL};
    uint64_t since;
    if (jmap_arg_account(r, c) && jmap_arg_names(r, c, names) &&
        jmap_arg_state(r, c, "sinceQueryState", &since))
        jmap_refuse(r, c, "cannotCalculateChanges",
                    "ask again with Quota/query: it is one at most");
}
