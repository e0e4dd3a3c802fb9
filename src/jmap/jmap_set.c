/* /set, the same for all types (RFC 8620 section 5.3): one object after another, what became of
 * each, and the state before and after. */
#include "jmap/jmap_int.h"

#include <stdio.h>

enum { PATH_LOOKED_AT = 1000 }; /* bytes */

static const char *const set_args[] = {"create", "update", "destroy", NULL};
static const char *const account_args[] = {"accountId", "ifInState", NULL};

static bool arg_object(struct jmap_run *r, const struct jmap_call *c, const char *name,
                       json_t **ret)
{
    json_t *value = json_object_get(c->args, name), *one;
    const char *key;
    *ret = json_is_null(value) ? NULL : value;
    bool is_good = !*ret || json_is_object(value);
    if (is_good && *ret)
        json_object_foreach(value, key, one) is_good &= json_is_object(one);
    if (!is_good)
        jmap_refuse(r, c, "invalidArguments", "`%s` is an object of objects", name);
    return is_good;
}

static bool arg_destroy(struct jmap_run *r, const struct jmap_call *c, json_t **ret)
{
    json_t *value = json_object_get(c->args, "destroy"), *one;
    size_t i;
    *ret = json_is_null(value) ? NULL : value;
    bool is_good = !*ret || json_is_array(value);
    if (is_good && *ret)
        json_array_foreach(value, i, one) is_good &= json_is_string(one);
    if (!is_good)
        jmap_refuse(r, c, "invalidArguments", "`destroy` is a list of ids");
    return is_good;
}

static bool judge_names(struct jmap_run *r, const struct jmap_call *c,
                        const struct jmap_setter *setter)
{
    const char *names[16];
    size_t n = 0;
    for (size_t i = 0; set_args[i]; i++)
        names[n++] = set_args[i];
    for (size_t i = 0; !setter->type->has_no_account && account_args[i]; i++)
        names[n++] = account_args[i];
    for (size_t i = 0; setter->more_args && setter->more_args[i]; i++)
        names[n++] = setter->more_args[i];
    names[n] = NULL;
    return jmap_arg_names(r, c, names);
}

static bool begin(struct jmap_set *s, const struct jmap_setter *setter)
{
    struct jmap_run *r = s->r;
    const struct jmap_call *c = s->call;
    const char *if_in_state = NULL;
    char state[24];
    if (!jmap_changes_begin(r, c, setter->type, &s->old_state))
        return false;
    snprintf(state, sizeof(state), "%llu", (unsigned long long)s->old_state);
    if ((!setter->type->has_no_account && !jmap_arg_account(r, c)) || !judge_names(r, c, setter) ||
        !jmap_arg_text(r, c, "ifInState", &if_in_state) ||
        !arg_object(r, c, "create", &s->create) || !arg_object(r, c, "update", &s->update) ||
        !arg_destroy(r, c, &s->destroy))
        return false;
    if (if_in_state && strcmp(if_in_state, state) != 0) {
        jmap_refuse(r, c, "stateMismatch", NULL);
        return false;
    }
    return jmap_are_few_to_set(r, c,
                               json_object_size(s->create) + json_object_size(s->update) +
                                   json_array_size(s->destroy));
}

/* Objects that are not gathered for a flush leave nothing behind but JSON. */
static void begin_one(struct jmap_set *s, const struct jmap_setter *setter)
{
    if (!setter->flush)
        jmap_scratch_begin(s->r);
}

static void end_one(struct jmap_set *s, const struct jmap_setter *setter)
{
    if (!setter->flush)
        jmap_scratch_end(s->r);
}

static json_t *why_no_creation_id(const char *id)
{
    size_t n = strlen(id);
    for (size_t i = 0; i < n; i++)
        if (!strchr("-_", id[i]) && !(id[i] >= '0' && id[i] <= '9') &&
            !(ascii_lower(id[i]) >= 'a' && ascii_lower(id[i]) <= 'z'))
            n = 0;
    return n && n <= 255 ? NULL : jmap_set_error("invalidProperties", NULL, "no creation id");
}

static bool is_looked_at(const struct jmap_set *s, const char *key)
{
    return json_object_get(s->created, key) || json_object_get(s->not_created, key);
}

/* It refers to one that is still to be created in this call. */
static bool must_wait(const struct jmap_set *s, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const char *text = json_string_value(value);
        if (text && text[0] == '#' && json_object_get(s->create, text + 1) &&
            !is_looked_at(s, text + 1))
            return true;
    }
    return false;
}

static void create_one(struct jmap_set *s, const struct jmap_setter *setter, const char *key,
                       json_t *object)
{
    uint64_t id = 0;
    json_t *set = NULL, *error = why_no_creation_id(key);
    if (!error && jmap_is_late(s->r))
        error = jmap_set_late(s->r);
    begin_one(s, setter);
    if (!error)
        error = setter->create(s, object, &id, &set);
    end_one(s, setter);
    if (error) {
        json_object_set_new(s->not_created, key, error);
        json_decref(set);
        return;
    }
    set = set ? set : json_object();
    json_object_set_new(set, "id", jmap_type_id(setter->type, id));
    if (!setter->is_gathered)
        json_object_set(s->r->created, key, json_object_get(set, "id"));
    json_object_set_new(s->created, key, set);
}

/* RFC 8620 5.3: what is referred to is created before those that refer to it, whatever the order in
 * which they were written; those that refer to each other in a circle come last, and fail. */
static void create_all(struct jmap_set *s, const struct jmap_setter *setter)
{
    const char *key;
    json_t *object;
    size_t n_before;
    do {
        n_before = json_object_size(s->created) + json_object_size(s->not_created);
        json_object_foreach(s->create, key, object)
        {
            if (!is_looked_at(s, key) && !must_wait(s, object))
                create_one(s, setter, key, object);
        }
    } while (json_object_size(s->created) + json_object_size(s->not_created) > n_before);
    json_object_foreach(s->create, key, object)
    {
        if (!is_looked_at(s, key))
            create_one(s, setter, key, object);
    }
}

/* What was written may be referred to from now on. */
static void publish_created(struct jmap_set *s)
{
    const char *key;
    json_t *set;
    json_object_foreach(s->created, key, set)
        json_object_set(s->r->created, key, json_object_get(set, "id"));
}

/* RFC 8620 5.3: what is destroyed in the same call is not updated. */
static bool will_be_destroyed(const struct jmap_set *s, const struct jmap_type *t, uint64_t id)
{
    const json_t *one;
    size_t i;
    json_array_foreach(s->destroy, i, one)
    {
        if (jmap_type_id_or_created(s->r, t, json_string_value(one)) == id)
            return true;
    }
    return false;
}

/* By which name the answer speaks of it: its id, also where it was asked for by a creation id. */
static json_t *name_of(const struct jmap_type *t, uint64_t id, const char *asked)
{
    return id ? jmap_type_id(t, id) : json_string(asked);
}

/* Which things are updated: true where two names stand for one, its id and a creation id. */
static json_t *count_updated(const struct jmap_set *s, const struct jmap_type *t)
{
    json_t *names = json_object(), *patch;
    const char *key;
    json_object_foreach(s->update, key, patch)
    {
        json_t *name = name_of(t, jmap_type_id_or_created(s->r, t, key), key);
        const char *text = json_string_value(name);
        json_object_set_new(names, text, json_boolean(json_object_get(names, text)));
        json_decref(name);
    }
    return names;
}

static void update_all(struct jmap_set *s, const struct jmap_setter *setter)
{
    const char *key;
    json_t *patch, *names = count_updated(s, setter->type);
    json_object_foreach(s->update, key, patch)
    {
        json_t *set = NULL, *error = NULL;
        uint64_t id = jmap_type_id_or_created(s->r, setter->type, key);
        begin_one(s, setter);
        json_t *name = name_of(setter->type, id, key);
        bool is_twice = json_is_true(json_object_get(names, json_string_value(name)));
        if (!id)
            error = jmap_set_error("notFound", NULL, "there is none with this id");
        else if (will_be_destroyed(s, setter->type, id))
            error = jmap_set_error("willDestroy", NULL, "this call destroys it as well");
        else if (is_twice) /* an object has no order: neither is the first */
            error = jmap_set_error("invalidPatch", NULL,
                                   "two patches are for this one, by its id and by a creation id");
        else if (jmap_is_late(s->r))
            error = jmap_set_late(s->r);
        else
            error = setter->update(s, id, patch, &set);
        end_one(s, setter);
        if (error)
            json_object_set_new(s->not_updated, json_string_value(name), error);
        else
            json_object_set_new(s->updated, json_string_value(name),
                                set ? json_incref(set) : json_null());
        json_decref(set);
        json_decref(name);
    }
    json_decref(names);
}

static void destroy_all(struct jmap_set *s, const struct jmap_setter *setter)
{
    json_t *one, *seen = json_object();
    size_t i;
    json_array_foreach(s->destroy, i, one)
    {
        uint64_t id = jmap_type_id_or_created(s->r, setter->type, json_string_value(one));
        json_t *name = name_of(setter->type, id, json_string_value(one)), *error = NULL;
        bool is_new = !json_object_get(seen, json_string_value(name));
        json_object_set_new(seen, json_string_value(name), json_true());
        begin_one(s, setter);
        if (is_new)
            error = jmap_is_late(s->r) ? jmap_set_late(s->r)
                    : id               ? setter->destroy(s, id)
                         : jmap_set_error("notFound", NULL, "there is none with this id");
        end_one(s, setter);
        if (error)
            json_object_set_new(s->not_destroyed, json_string_value(name), error);
        else if (is_new)
            json_array_append(s->destroyed, name);
        json_decref(name);
    }
    json_decref(seen);
}

static void flush(struct jmap_set *s, const struct jmap_setter *setter, json_t *done,
                  json_t *not_done)
{
    if (setter->flush)
        setter->flush(s, done, not_done);
    arena_reset(s->r->arena); /* whatever was gathered is written */
}

static void give_answer(struct jmap_set *s, const struct jmap_type *t)
{
    json_t *answer = json_object();
    if (!t->has_no_account) {
        json_object_set(answer, "accountId", json_object_get(s->call->args, "accountId"));
        json_object_set_new(answer, "oldState", jmap_old_state(s->r, s->old_state));
        json_object_set_new(answer, "newState", jmap_state(jmap_type_state(s->r, t)));
    }
    json_object_set(answer, "created", jmap_or_null(s->created));
    json_object_set(answer, "updated", jmap_or_null(s->updated));
    json_object_set(answer, "destroyed", jmap_or_null(s->destroyed));
    json_object_set(answer, "notCreated", jmap_or_null(s->not_created));
    json_object_set(answer, "notUpdated", jmap_or_null(s->not_updated));
    json_object_set(answer, "notDestroyed", jmap_or_null(s->not_destroyed));
    jmap_answer(s->r, s->call, s->call->name, answer);
}

static void end(struct jmap_set *s)
{
    json_decref(s->created);
    json_decref(s->updated);
    json_decref(s->destroyed);
    json_decref(s->not_created);
    json_decref(s->not_updated);
    json_decref(s->not_destroyed);
}

bool jmap_set_run(struct jmap_run *r, const struct jmap_call *c, const struct jmap_setter *setter)
{
    struct jmap_set s = {.r = r, .call = c};
    if (!begin(&s, setter))
        return false;
    s.created = json_object();
    s.updated = json_object();
    s.destroyed = json_array();
    s.not_created = json_object();
    s.not_updated = json_object();
    s.not_destroyed = json_object();
    s.arg = setter->arg;
    create_all(&s, setter);
    flush(&s, setter, s.created, s.not_created);
    publish_created(&s);
    update_all(&s, setter);
    flush(&s, setter, s.updated, s.not_updated);
    destroy_all(&s, setter);
    flush(&s, setter, s.destroyed, s.not_destroyed);
    bool is_seen = jmap_changes_end(r, c);
    if (is_seen)
        give_answer(&s, setter->type);
    end(&s);
    return is_seen;
}

/* ---- what is written, and what is seen of it ---- */

/* What is decided by the view would undo what it lacks. */
static enum err behind(struct errinfo *ei)
{
    return err_set(ei, ERR_RETRY,
                   "what was written before is not to be seen yet; try again in a few seconds");
}

bool jmap_changes_begin(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t,
                        uint64_t *ret)
{
    struct errinfo ei;
    if (r->is_behind) {
        jmap_refuse_err(r, c, behind(&ei), &ei);
        return false;
    }
    r->has_foreign = false;
    *ret = jmap_type_state(r, t);
    return true;
}

bool jmap_changes_end(struct jmap_run *r, const struct jmap_call *c)
{
    if (r->is_behind)
        jmap_refuse_limit(
            r, c, REFUSE_JMAP_BUSY, "serverPartialFail",
            "this is written, all or a part of it, but not to be seen yet; look again "
            "in a few seconds, and do not repeat it before");
    return !r->is_behind;
}

json_t *jmap_old_state(const struct jmap_run *r, uint64_t before)
{
    return r->has_foreign ? json_null() : jmap_state(before);
}

enum err jmap_commit_now(struct jmap_run *r, struct jmap_commit *c, struct errinfo *ei)
{
    if (r->is_behind)
        return behind(ei);
    uint64_t before = account_modseq(r->account);
    enum err err = r->host->commit(r->host->arg, r->who, c, ei);
    if (err == ERR_OK && account_catch_up(r->account, r->reader, ei) != ERR_OK)
        err = ERR_EXISTS;
    uint64_t n_own = c->n_mailboxes + c->n_emails + c->n_items; /* each has a number of its own */
    r->has_foreign |= err == ERR_OK && account_modseq(r->account) != before + n_own;
    r->is_behind = err == ERR_EXISTS;
    return err;
}

const char *jmap_take_all(const struct jmap_property *known, size_t n, void *arg,
                          const json_t *object, const json_t *now)
{
    const char *key, *wrong = NULL;
    json_t *value, *o = (json_t *)(uintptr_t)object;
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (i < n && strcmp(known[i].name, key) != 0)
            i++;
        if (i < n)
            known[i].take(arg, value);
        else if (!now || !json_equal(json_object_get(now, key), value))
            wrong = key;
    }
    return wrong;
}

void jmap_leave_untold(json_t *made, const json_t *asked)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(made, next, key, value)
    {
        if (json_equal(json_object_get(asked, key), value))
            json_object_del(made, key);
    }
}

/* ---- patches ---- */

static json_t *bad_patch(const char *path, const char *why)
{
    return jmap_set_error("invalidPatch", NULL, "\"%.60s\" %s", path, why);
}

/* The last step's name into `ret`, the object it is in returned; NULL: no such place. */
static json_t *place_of(json_t *object, const char *path, char ret[256])
{
    struct slice rest = slice_str(path), raw;
    for (;;) {
        bool has_more = slice_find(rest, '/') >= 0;
        raw = slice_cut(rest, '/', &rest);
        if (raw.n >= 256 || !jmap_pointer_step(raw, ret))
            return NULL;
        if (!has_more)
            return object;
        object = json_object_get(object, ret);
        if (!json_is_object(object))
            return NULL;
    }
}

/* No path may be the beginning of another one's. Nothing lies deeper than what is looked at. */
static const char *overlapping(const json_t *patch)
{
    const char *path;
    json_t *value, *p = (json_t *)(uintptr_t)patch;
    json_object_foreach(p, path, value)
    {
        for (size_t i = 0; path[i] && i < PATH_LOOKED_AT; i++)
            if (path[i] == '/' && json_object_getn(patch, path, i))
                return path;
    }
    return NULL;
}

json_t *jmap_patch(json_t *object, const json_t *patch)
{
    const char *path = overlapping(patch);
    json_t *value, *p = (json_t *)(uintptr_t)patch;
    char name[256];
    if (path)
        return bad_patch(path, "is patched, and what it is in as well");
    json_object_foreach(p, path, value)
    {
        json_t *in = place_of(object, path, name);
        if (!in)
            return bad_patch(path, "leads nowhere");
        if (json_is_null(value) && in != object)
            json_object_del(in, name);
        else
            json_object_set(in, name, value);
    }
    return NULL;
}
