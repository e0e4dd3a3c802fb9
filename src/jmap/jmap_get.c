/* /get and /changes, the same for all types (RFC 8620 sections 5.1 and 5.2). */
#include "jmap/jmap_int.h"

uint64_t jmap_type_state(const struct jmap_run *r, const struct jmap_type *t)
{
    return account_state(r->account, t->type, t->kind);
}

json_t *jmap_type_id(const struct jmap_type *t, uint64_t id)
{
    return t->only ? json_string(t->only) : jmap_id_json(t->letter, id);
}

uint64_t jmap_type_id_or_created(const struct jmap_run *r, const struct jmap_type *t,
                                 const char *text)
{
    if (t->only)
        return strcmp(text, t->only) == 0;
    json_t *value = json_string(text);
    uint64_t id = jmap_id_or_created(r, t->letter, value);
    json_decref(value);
    return id;
}

static bool is_among(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

bool jmap_properties(struct jmap_run *r, const struct jmap_call *c, const char *const *known,
                     json_t **ret)
{
    json_t *wanted = json_object_get(c->args, "properties"), *one;
    size_t i;
    *ret = NULL;
    if (!wanted || json_is_null(wanted))
        return true;
    if (!json_is_array(wanted)) {
        jmap_refuse(r, c, "invalidArguments", "`properties` is a list of names");
        return false;
    }
    json_array_foreach(wanted, i, one)
    {
        const char *name = json_string_value(one);
        if (name && is_among(name, known))
            continue;
        jmap_refuse(r, c, "invalidArguments", "there is no property \"%.60s\"", name ? name : "");
        return false;
    }
    *ret = wanted;
    return true;
}

void jmap_strip(json_t *object, const json_t *wanted)
{
    const char *key;
    json_t *value, *one;
    void *next;
    size_t i;
    json_object_foreach_safe(object, next, key, value)
    {
        bool is_wanted = strcmp(key, "id") == 0;
        json_array_foreach(wanted, i, one) is_wanted |= strcmp(json_string_value(one), key) == 0;
        if (!is_wanted)
            json_object_del(object, key);
    }
}

struct getting {
    struct jmap_run *r;
    const struct jmap_type *type;
    json_t *wanted, *list, *not_found;
};

static void get_one(struct getting *g, uint64_t id)
{
    if (jmap_is_late(g->r)) /* the call is refused */
        return;
    jmap_scratch_begin(g->r);
    json_t *object = g->type->make(g->r, id);
    jmap_scratch_end(g->r);
    if (!object) {
        json_array_append_new(g->not_found, jmap_type_id(g->type, id));
        return;
    }
    if (g->wanted)
        jmap_strip(object, g->wanted);
    json_array_append_new(g->list, object);
}

/* Ids are asked for twice at times; each is answered once (RFC 8620 5.1). */
static void get_listed(struct getting *g, const json_t *ids)
{
    json_t *seen = json_object(), *one;
    size_t i;
    json_array_foreach(ids, i, one)
    {
        const char *text = json_string_value(one);
        uint64_t id = g->type->only && strcmp(text, g->type->only) == 0;
        if (json_object_get(seen, text))
            continue;
        json_object_set_new(seen, text, json_true());
        if (g->type->only ? id != 0 : jmap_id_parse(g->type->letter, text, &id))
            get_one(g, id);
        else
            json_array_append(g->not_found, one);
    }
    json_decref(seen);
}

/* How many are asked for when no ids are named; where all cannot be had, more than anybody may. */
static size_t count_all(struct jmap_run *r, const struct jmap_type *t)
{
    size_t n = 0, at = 0;
    while (t->next && t->next(r, &at))
        n++;
    return t->next ? n : SIZE_MAX;
}

static bool judge_ids(struct jmap_run *r, const struct jmap_call *c, const json_t *ids,
                      const struct jmap_type *t)
{
    const json_t *one;
    size_t i;
    if (ids && !json_is_array(ids)) {
        jmap_refuse(r, c, "invalidArguments", "`ids` is a list of ids, or null");
        return false;
    }
    json_array_foreach(ids, i, one)
    {
        if (json_is_string(one))
            continue;
        jmap_refuse(r, c, "invalidArguments", "`ids` holds something that is no id");
        return false;
    }
    return jmap_are_few_to_get(r, c, ids ? json_array_size(ids) : count_all(r, t));
}

static void answer_get(struct getting *g, const struct jmap_call *c)
{
    json_t *answer = json_pack("{s:O, s:O}", "list", g->list, "notFound", g->not_found);
    if (!g->type->has_no_account) {
        json_object_set(answer, "accountId", json_object_get(c->args, "accountId"));
        json_object_set_new(answer, "state", jmap_state(jmap_type_state(g->r, g->type)));
    }
    jmap_answer(g->r, c, c->name, answer);
}

void jmap_get(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t)
{
    static const char *const names[] = {"accountId", "ids", "properties", NULL};
    const char *const *allowed = t->has_no_account ? names + 1 : names;
    const json_t *ids = json_object_get(c->args, "ids");
    struct getting g = {.r = r, .type = t};
    ids = json_is_null(ids) ? NULL : ids;
    if ((!t->has_no_account && !jmap_arg_account(r, c)) || !jmap_arg_names(r, c, allowed) ||
        !judge_ids(r, c, ids, t) || !jmap_properties(r, c, t->properties, &g.wanted))
        return;
    g.list = json_array();
    g.not_found = json_array();
    if (ids) {
        get_listed(&g, ids);
    } else {
        size_t at = 0;
        for (uint64_t id; (id = t->next(r, &at)) != 0;)
            get_one(&g, id);
    }
    struct errinfo ei;
    if (jmap_is_late(r))
        jmap_refuse_err(r, c, jmap_late(&ei), &ei);
    else
        answer_get(&g, c);
    json_decref(g.list);
    json_decref(g.not_found);
}

static json_t *ids_json(char letter, const uint64_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, jmap_id_json(letter, ids[i]));
    return list;
}

void jmap_changes(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t,
                  void (*more)(const struct account_changes *changes, json_t *answer))
{
    static const char *const names[] = {"accountId", "sinceState", "maxChanges", NULL};
    uint64_t max = 0;
    struct account_told since;
    struct account_changes changes;
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names) ||
        !jmap_arg_told(r, c, "sinceState", &since) || !jmap_arg_unsigned(r, c, "maxChanges", &max))
        return;
    const json_t *asked = json_object_get(c->args, "maxChanges");
    if (asked && !json_is_null(asked) && max == 0) {
        jmap_refuse(r, c, "invalidArguments", "`maxChanges` is larger than 0");
        return;
    }
    if (account_changes(r->account, t->type, t->kind, since, (size_t)max, r->arena, &changes) !=
        ERR_OK) {
        jmap_refuse(r, c, "cannotCalculateChanges", "what changed since then is not known here");
        return;
    }
    json_t *answer =
        json_pack("{s:O, s:o, s:o, s:b, s:o, s:o, s:o}", "accountId",
                  json_object_get(c->args, "accountId"), "oldState", jmap_state_told(since),
                  "newState", jmap_state_told(changes.until), "hasMoreChanges", changes.has_more,
                  "created", ids_json(t->letter, changes.created, changes.n_created), "updated",
                  ids_json(t->letter, changes.updated, changes.n_updated), "destroyed",
                  ids_json(t->letter, changes.destroyed, changes.n_destroyed));
    if (more)
        more(&changes, answer);
    jmap_answer(r, c, c->name, answer);
}
