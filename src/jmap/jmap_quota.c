/* Quota (RFC 9425): one for the bytes of a person's mail, where somebody set one. */
#include "jmap/jmap_int.h"

static json_t *make(struct jmap_run *r, uint64_t id)
{
    uint64_t limit = r->who->quota_bytes;
    if (!limit || id != r->who->person)
        return NULL;
    return json_pack("{s:o, s:s, s:I, s:I, s:I, s:s, s:s, s:[s], s:n, s:n}", "id",
                     jmap_id_json('Q', id), "resourceType", "octets", "used",
                     (json_int_t)account_bytes(r->account), "hardLimit", (json_int_t)limit,
                     "warnLimit", (json_int_t)(limit / 10 * 9), "scope", "account", "name", "mail",
                     "types", "Email", "softLimit", "description");
}

static uint64_t next(struct jmap_run *r, size_t *at)
{
    return r->who->quota_bytes && (*at)++ == 0 ? r->who->person : 0;
}

static const char *const properties[] = {"id",        "resourceType", "used",  "hardLimit",
                                         "scope",     "name",         "types", "warnLimit",
                                         "softLimit", "description",  NULL};
/* It changes with the emails. */
static const struct jmap_type quota = {.name = "Quota",
                                       .letter = 'Q',
                                       .type = ACCOUNT_EMAIL,
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
    if (since < now && r->who->quota_bytes)
        json_array_append_new(updated, jmap_id_json('Q', r->who->person));
    jmap_answer(r, c, c->name,
                json_pack("{s:O, s:o, s:o, s:b, s:[], s:o, s:[], s:[s]}", "accountId",
                          json_object_get(c->args, "accountId"), "oldState", jmap_state(since),
                          "newState", jmap_state(now), "hasMoreChanges", 0, "created", "updated",
                          updated, "destroyed", "updatedProperties", "used"));
}

/* ---- query: of one at most ---- */

static bool is_wanted(const json_t *list, const char *value)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) if (json_is_string(one) &&
                                         strcmp(json_string_value(one), value) == 0) return true;
    return false;
}

static bool judge_filter(struct jmap_run *r, const struct jmap_call *c, const json_t *f, bool *ret)
{
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        if (strcmp(key, "name") == 0 && json_is_string(value)) {
            *ret &= strstr("mail", json_string_value(value)) != NULL;
        } else if (strcmp(key, "scope") == 0 && json_is_array(value)) {
            *ret &= is_wanted(value, "account");
        } else if (strcmp(key, "resourceType") == 0 && json_is_array(value)) {
            *ret &= is_wanted(value, "octets");
        } else if (strcmp(key, "type") == 0 && json_is_array(value)) {
            *ret &= is_wanted(value, "Email");
        } else {
            jmap_refuse(r, c, "unsupportedFilter", "Quota/query cannot filter by \"%.60s\"", key);
            return false;
        }
    }
    return true;
}

void jmap_quota_query(struct jmap_run *r, const struct jmap_call *c)
{
    struct jmap_window w = {.limit = JMAP_NO_LIMIT};
    uint64_t id = r->who->person;
    bool is = r->who->quota_bytes != 0;
    size_t from;
    if (!jmap_arg_account(r, c) || !judge_filter(r, c, json_object_get(c->args, "filter"), &is) ||
        !jmap_window_args(r, c, &w) || !jmap_window_find(r, c, &w, 'Q', &id, is, &from))
        return;
    json_t *ids = json_array();
    if (from < is && w.limit > 0)
        json_array_append_new(ids, jmap_id_json('Q', id));
    jmap_answer(r, c, c->name,
                jmap_window_answer(r, c, &w, jmap_type_state(r, &quota), false, from, ids, is));
}

void jmap_quota_query_changes(struct jmap_run *r, const struct jmap_call *c)
{
    if (jmap_arg_account(r, c))
        jmap_refuse(r, c, "cannotCalculateChanges",
                    "ask again with Quota/query: it is one at most");
}
