/* Email/set, /import and /copy (RFC 8621 sections 4.6 to 4.8). */
#include "jmap/jmap_email_int.h"

#include "mime/mime.h"

enum { COMPOSE_MEMORY_MAX = 128 << 20, BODIES_BYTES_MAX = 64 << 20 };

/* ---- composing ---- */

struct composing {
    struct jmap_run *r;
    struct slice ids[EMAIL_BLOBS_MAX];
    struct buf blobs[EMAIL_BLOBS_MAX];
    bool is_there[EMAIL_BLOBS_MAX];
    size_t n;
};

static bool lend_blob(void *arg, struct slice id, struct slice *ret)
{
    struct composing *k = arg;
    for (size_t i = 0; i < k->n; i++) {
        if (!slice_eq(k->ids[i], id))
            continue;
        *ret = buf_slice(&k->blobs[i]);
        return k->is_there[i];
    }
    return false;
}

static enum err fetch_blobs(struct composing *k, const json_t *object, struct errinfo *ei)
{
    size_t bytes = 0;
    k->n = email_compose_blobs(object, k->r->arena, k->ids);
    for (size_t i = 0; i < k->n; i++) {
        k->blobs[i] = buf_make(STORE_MESSAGE_MAX);
        enum err err = jmap_blob_read(k->r, arena_cstr(k->r->arena, k->ids[i]), &k->blobs[i], ei);
        if (err != ERR_OK && err != ERR_GONE)
            return err;
        k->is_there[i] = err == ERR_OK;
        bytes += k->blobs[i].n;
        if (bytes > COMPOSE_MEMORY_MAX)
            return err_set(ei, ERR_LIMIT, "the attachments are larger than a message may be");
    }
    return ERR_OK;
}

/* The message into `ret`, which is the caller's; or a SetError. */
static json_t *compose(struct jmap_run *r, const json_t *object, struct buf *ret)
{
    struct errinfo ei;
    struct composing *k = mem_new(sizeof(*k));
    struct email_fault fault = {};
    struct email_composed told;
    struct slice domain = SLICE("localhost"), rest;
    if (r->who->n_addresses) {
        (void)slice_cut(r->who->addresses[0], '@', &rest);
        domain = rest.n ? rest : domain;
    }
    k->r = r;
    jmap_scratch_begin(r);
    enum err err = fetch_blobs(k, object, &ei);
    struct email_compose_options o = {
        .domain = domain, .now = utc_now(), .blob = lend_blob, .arg = k};
    random_bytes(o.random, sizeof(o.random));
    json_t *error = err == ERR_OK ? NULL : jmap_set_err(err, &ei);
    if (!error && !email_compose(object, &o, r->arena, ret, &told, &fault))
        error = email_fault_json(&fault);
    jmap_scratch_end(r);
    for (size_t i = 0; i < k->n; i++)
        buf_finish(&k->blobs[i]);
    mem_free(&k);
    return error;
}

/* ---- Email/set ---- */

struct setting {
    struct jmap_email_batch batch;
    struct buf *bodies; /* of new messages, until they are written */
    size_t n_bodies, cap_bodies;
};

static struct buf *new_body(struct setting *x)
{
    x->bodies = mem_grow(x->bodies, x->n_bodies, &x->cap_bodies, sizeof(x->bodies[0]));
    x->bodies[x->n_bodies] = buf_make(STORE_MESSAGE_MAX);
    return &x->bodies[x->n_bodies++];
}

static void drop_last(struct setting *x)
{
    buf_finish(&x->bodies[--x->n_bodies]);
}

/* `ret` stays when nothing is said. */
static json_t *take_received(const json_t *object, utc_ms *ret)
{
    const json_t *value = json_object_get(object, "receivedAt");
    if (value && !json_is_null(value) && !jmap_utc_parse(value, ret))
        return jmap_set_error("invalidProperties", "receivedAt", "a UTC date is wanted");
    return NULL;
}

static const json_t *or_none(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

/* Those that one call makes are held together until they are written. */
static json_t *judge_room(const struct setting *x)
{
    struct jmap_run *r = x->batch.r;
    if (jmap_has_room(r) && x->batch.bytes < BODIES_BYTES_MAX)
        return NULL;
    jmap_count(REFUSE_JMAP_MEMORY, "Email/set", r->who);
    return jmap_set_error("rateLimit", NULL,
                          "all that this call makes is larger than can be written together; make "
                          "this one in another call");
}

static json_t *create(struct jmap_set *s, json_t *object, uint64_t *ret_id, json_t **)
{
    struct setting *x = s->arg;
    utc_ms received = utc_now();
    json_t *error = judge_room(x);
    if (error)
        return error;
    struct buf *body = new_body(x);
    error = take_received(object, &received);
    if (!error)
        error = compose(s->r, object, body);
    if (!error && s->r->who->size_max && body->n > s->r->who->size_max)
        error = jmap_set_error("tooLarge", NULL, "larger than a message may be here");
    if (!error)
        error = jmap_email_add(&x->batch, buf_slice(body), or_none(object, "mailboxIds"),
                               or_none(object, "keywords"), received, ret_id);
    if (error)
        drop_last(x);
    return error;
}

/* What of an email a patch is about, as it is now: always its mailboxes and keywords; whatever else
 * the patch names may be there as long as it stays as it is (RFC 8620 section 5.3). */
static json_t *as_it_is(struct jmap_run *r, const struct account_email *e, const json_t *patch,
                        json_t **ret)
{
    struct errinfo ei;
    const char *path;
    json_t *value, *others = json_array(), *error = NULL, *p = (json_t *)(uintptr_t)patch;
    *ret = json_object();
    json_object_foreach(p, path, value)
    {
        struct slice rest, first = slice_cut(slice_str(path), '/', &rest);
        if (!slice_eq(first, SLICE("mailboxIds")) && !slice_eq(first, SLICE("keywords")))
            json_array_append_new(others, json_stringn(first.p, first.n));
    }
    enum err err = ERR_OK;
    if (json_array_size(others) > 0) {
        json_decref(*ret);
        *ret = NULL;
        json_t *want = json_pack("{s:O}", "properties", others);
        err = jmap_email_object(r, e->message, want, ret, &ei);
        json_decref(want);
    }
    if (err == ERR_INVALID)
        error = jmap_set_error("invalidProperties", json_string_value(json_array_get(others, 0)),
                               "%s", ei.text);
    else if (err != ERR_OK)
        error = jmap_set_err(err, &ei);
    json_decref(others);
    json_object_set_new(*ret, "mailboxIds", jmap_email_mailboxes(e));
    json_object_set_new(*ret, "keywords", jmap_email_keywords(e));
    return error;
}

static json_t *judge_unchanged(json_t *now, const json_t *then)
{
    const char *key;
    json_t *value;
    json_object_foreach(now, key, value)
    {
        bool may_change = strcmp(key, "mailboxIds") == 0 || strcmp(key, "keywords") == 0;
        if (!may_change && !json_equal(value, json_object_get(then, key)))
            return jmap_set_error("invalidProperties", key, "an email's content does not change");
    }
    return NULL;
}

/* Keywords are the same in either case (RFC 8621 section 4.1.1): the patch with theirs in lower
 * case. */
static json_t *lowered(struct jmap_run *r, const json_t *patch)
{
    const char *path;
    json_t *value, *all = json_object(), *p = (json_t *)(uintptr_t)patch;
    json_object_foreach(p, path, value)
    {
        char *copy = arena_cstr(r->arena, slice_str(path));
        for (char *c = copy; slice_starts(slice_str(path), SLICE("keywords/")) && *c; c++)
            *c = ascii_lower(*c);
        json_object_set(all, copy, value);
    }
    return all;
}

static json_t *patch_record(struct jmap_run *r, const struct account_email *e, const json_t *patch,
                            struct record_email *ret)
{
    json_t *now = NULL, *error = as_it_is(r, e, patch, &now);
    json_t *then = json_deep_copy(now), *none = json_object(), *changes = lowered(r, patch);
    if (!error)
        error = jmap_patch(then, changes);
    if (!error)
        error = judge_unchanged(now, then);
    jmap_email_record(r, e, ret);
    const json_t *keywords = or_none(then, "keywords");
    if (!error)
        error = jmap_email_set_mailboxes(r, ret, json_object_get(then, "mailboxIds"));
    if (!error)
        error = jmap_email_set_keywords(r, ret, keywords ? keywords : none);
    json_decref(changes);
    json_decref(none);
    json_decref(then);
    json_decref(now);
    return error;
}

static json_t *update(struct jmap_set *s, uint64_t id, json_t *patch, json_t **)
{
    struct setting *x = s->arg;
    struct record_email record;
    const struct account_email *e = account_email(s->r->account, id);
    if (!e || e->is_gone)
        return jmap_set_error("notFound", NULL, "there is no such email");
    json_t *error = patch_record(s->r, e, patch, &record);
    if (!error)
        *jmap_email_batch_change(&x->batch) = record;
    return error;
}

static json_t *destroy(struct jmap_set *s, uint64_t id)
{
    struct setting *x = s->arg;
    const struct account_email *e = account_email(s->r->account, id);
    if (!e || e->is_gone)
        return jmap_set_error("notFound", NULL, "there is no such email");
    struct record_email *record = jmap_email_batch_change(&x->batch);
    jmap_email_record(s->r, e, record);
    jmap_email_destroy(record);
    return NULL;
}

/* What was not written did not happen: every one of them says why. */
static void move_all(json_t *from, json_t *to, const json_t *error)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(from)) {
        json_array_foreach(from, i, value)
            json_object_set_new(to, json_string_value(value), json_deep_copy(error));
        json_array_clear(from);
        return;
    }
    json_object_foreach(from, key, value) json_object_set_new(to, key, json_deep_copy(error));
    json_object_clear(from);
}

static void drop_bodies(struct setting *x)
{
    while (x->n_bodies > 0)
        drop_last(x);
}

static bool has_blob(const json_t *part, unsigned depth)
{
    const json_t *one;
    size_t i;
    if (json_is_string(json_object_get(part, "blobId")))
        return true;
    json_array_foreach(json_object_get(part, "subParts"), i, one)
    {
        if (depth < JMAP_DEPTH_MAX && has_blob(one, depth + 1))
            return true;
    }
    return false;
}

/* The parts of a new message have ids of their own in place of those of the blobs that they were
 * made of: whoever created it is told (RFC 8620 section 6). */
static void tell_blobs(struct jmap_run *r, uint64_t id, const json_t *object, json_t *created)
{
    static const char *const lists[] = {"attachments", "textBody", "htmlBody"};
    struct errinfo ei;
    const json_t *one;
    json_t *changed = json_array(), *now = NULL;
    size_t i, k;
    if (has_blob(json_object_get(object, "bodyStructure"), 0))
        json_array_append_new(changed, json_string("bodyStructure"));
    for (k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
        bool is = false;
        json_array_foreach(json_object_get(object, lists[k]), i, one) is |= has_blob(one, 0);
        if (is)
            json_array_append_new(changed, json_string(lists[k]));
    }
    json_t *want =
        json_pack("{s:o, s:[s, s, s, s, s, s, s]}", "properties", changed, "bodyProperties",
                  "partId", "blobId", "size", "type", "name", "cid", "subParts");
    if (json_array_size(changed) && jmap_email_object(r, id, want, &now, &ei) == ERR_OK)
        json_object_update(created, now);
    json_decref(now);
    json_decref(want);
}

/* Of the kind that was looked at last: all of it is in one batch. */
static void write_all(struct jmap_set *s, json_t *done, json_t *not_done)
{
    struct setting *x = s->arg;
    struct errinfo ei;
    const char *key;
    json_t *value;
    enum err err = jmap_email_batch_write(&x->batch, &ei);
    drop_bodies(x);
    if (err != ERR_OK) {
        json_t *error = jmap_set_err(err, &ei);
        move_all(done, not_done, error);
        json_decref(error);
    } else if (done == s->created) {
        json_object_foreach(done, key, value)
        {
            uint64_t id = 0;
            (void)jmap_id_parse('M', json_string_value(json_object_get(value, "id")), &id);
            json_t *all = jmap_email_created(s->r, id);
            json_object_update(value, all);
            json_decref(all);
            tell_blobs(s->r, id, json_object_get(s->create, key), value);
        }
    }
}

void jmap_email_set(struct jmap_run *r, const struct jmap_call *c)
{
    struct setting x = {.batch.r = r};
    const struct jmap_setter setter = {.type = &jmap_email_type,
                                       .create = create,
                                       .update = update,
                                       .destroy = destroy,
                                       .flush = write_all,
                                       .is_gathered = true,
                                       .arg = &x};
    (void)jmap_set_run(r, c, &setter);
    drop_bodies(&x);
    mem_free(&x.bodies);
    jmap_email_batch_finish(&x.batch);
}

/* ---- Email/import ---- */

struct importing {
    struct setting x;
    json_t *created, *not_created;
};

/* When it came to the last system that took it, by the topmost Received field; or now. */
static utc_ms received_of(struct slice bytes)
{
    struct mime_walk w = mime_walk_make(bytes);
    struct mime_date date;
    utc_ms now = utc_now();
    for (struct mime_field f; mime_walk_next(&w, &f);) {
        const char *semicolon = f.value.n ? memrchr(f.value.p, ';', f.value.n) : NULL;
        if (!slice_ieq(f.name, SLICE("Received")))
            continue;
        if (!semicolon)
            break;
        size_t at = (size_t)(semicolon - f.value.p) + 1;
        bool is_date = mime_date_parse(slice_skip(f.value, at), &date) == MIME_DATE_OK;
        return is_date && date.at <= now ? date.at : now;
    }
    return now;
}

static json_t *import_one(struct importing *m, const json_t *import, uint64_t *ret_id)
{
    struct jmap_run *r = m->x.batch.r;
    struct errinfo ei;
    const char *blob = json_string_value(json_object_get(import, "blobId"));
    if (jmap_is_late(r))
        return jmap_set_late(r);
    if (!blob)
        return jmap_set_error("invalidProperties", "blobId", "an id is wanted");
    struct buf *body = new_body(&m->x);
    enum err err = jmap_blob_read(r, blob, body, &ei);
    if (err == ERR_GONE)
        return jmap_set_error("invalidProperties", "blobId", "there is no such blob");
    if (err != ERR_OK)
        return jmap_set_err(err, &ei);
    if (!jmap_blob_is_message(buf_slice(body)))
        return jmap_set_error("invalidEmail", NULL, "these bytes are no message");
    utc_ms received = received_of(buf_slice(body));
    json_t *error = take_received(import, &received);
    if (error)
        return error;
    return jmap_email_add(&m->x.batch, buf_slice(body), or_none(import, "mailboxIds"),
                          or_none(import, "keywords"), received, ret_id);
}

/* Each is written alone: one that is over the quota does not take the others along. */
static void import_all(struct importing *m, const json_t *emails)
{
    struct jmap_run *r = m->x.batch.r;
    struct errinfo ei;
    const char *key;
    json_t *one, *o = (json_t *)(uintptr_t)emails;
    json_object_foreach(o, key, one)
    {
        uint64_t id = 0;
        if (r->is_behind)
            break;
        jmap_scratch_begin(r);
        json_t *error = import_one(m, one, &id);
        enum err err = error ? ERR_OK : jmap_email_batch_write(&m->x.batch, &ei);
        if (err != ERR_OK)
            error = jmap_set_err(err, &ei);
        drop_bodies(&m->x);
        jmap_scratch_end(r);
        if (error) {
            json_object_set_new(m->not_created, key, error);
            continue;
        }
        json_object_set_new(m->created, key, jmap_email_created(r, id));
        json_object_set_new(r->created, key, jmap_id_json('M', id));
    }
}

static bool judge_import(struct jmap_run *r, const struct jmap_call *c, const json_t *emails)
{
    static const char *const names[] = {"accountId", "ifInState", "emails", NULL};
    const char *if_in_state = NULL, *key;
    uint64_t state;
    json_t *one, *o = (json_t *)(uintptr_t)emails;
    bool is_good = json_is_object(emails);
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names) ||
        !jmap_arg_text(r, c, "ifInState", &if_in_state))
        return false;
    json_object_foreach(o, key, one) is_good &= json_is_object(one);
    if (!is_good)
        jmap_refuse(r, c, "invalidArguments", "`emails` is an object of imports");
    else if (if_in_state && (!slice_u64(slice_str(if_in_state), INT64_MAX, &state) ||
                             state != jmap_type_state(r, &jmap_email_type)))
        jmap_refuse(r, c, "stateMismatch", NULL);
    else
        return jmap_are_few_to_set(r, c, json_object_size(emails));
    return false;
}

void jmap_email_import(struct jmap_run *r, const struct jmap_call *c)
{
    struct importing m = {.x.batch.r = r};
    const json_t *emails = json_object_get(c->args, "emails");
    uint64_t before;
    if (!jmap_changes_begin(r, c, &jmap_email_type, &before) || !judge_import(r, c, emails))
        return;
    m.created = json_object();
    m.not_created = json_object();
    import_all(&m, emails);
    if (jmap_changes_end(r, c))
        jmap_answer(r, c, c->name,
                    json_pack("{s:O, s:o, s:o, s:O, s:O}", "accountId",
                              json_object_get(c->args, "accountId"), "oldState",
                              jmap_old_state(r, before), "newState",
                              jmap_state(jmap_type_state(r, &jmap_email_type)), "created",
                              jmap_or_null(m.created), "notCreated", jmap_or_null(m.not_created)));
    json_decref(m.created);
    json_decref(m.not_created);
    mem_free(&m.x.bodies);
    jmap_email_batch_finish(&m.x.batch);
}

/* ---- Email/copy ---- */

void jmap_email_copy(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"fromAccountId",
                                        "ifFromInState",
                                        "accountId",
                                        "ifInState",
                                        "create",
                                        "onSuccessDestroyOriginal",
                                        "destroyFromIfInState",
                                        NULL};
    if (jmap_arg_names(r, c, names))
        jmap_refuse_copy(r, c);
}
