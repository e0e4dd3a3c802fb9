/* Push subscriptions (RFC 8620 section 7.2): where a program wants to hear of changes while it is
 * not connected. They belong to the log-in that made them, not to the account; address and keys are
 * taken and never shown. Sending is desk's. */
#include "jmap/jmap_int.h"

#include "push/push.h"

enum {
    DEVICE_MAX = 300,
    TYPES_MAX = 50,
    TYPE_MAX = 100,
    CODE_BYTES = 16,
    CODE_TEXT = 27,
    LONGEST_MS = 7 * 24 * 3600 * 1000, /* RFC 8620 section 7.2: SHOULD be at least 7 days */
};

/* ---- get ---- */

static bool read_item(struct jmap_run *r, uint64_t id, struct jmap_item_push *ret)
{
    const struct account_item *item = account_item(r->account, ITEM_PUSH, id);
    return item && !item->is_gone && jmap_item_push_unpack(item->body, r->arena, ret);
}

/* Those of other log-ins are not there, nor is what is over but not yet cleared away. */
static bool read_own(struct jmap_run *r, uint64_t id, struct jmap_item_push *ret)
{
    return read_item(r, id, ret) && ret->login == r->who->login &&
           (ret->expires == 0 || ret->expires > utc_now());
}

static json_t *types_json(const struct jmap_item_push *p)
{
    json_t *list = p->has_types ? json_array() : json_null();
    for (uint32_t i = 0; p->has_types && i < p->n_types; i++)
        json_array_append_new(list, jmap_text(p->types[i].text));
    return list;
}

static json_t *make(struct jmap_run *r, uint64_t id)
{
    struct jmap_item_push p;
    if (!read_own(r, id, &p))
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "id", jmap_id_json('P', id), "deviceClientId",
                     jmap_text(p.device), "verificationCode",
                     p.confirmed.n ? jmap_text(p.confirmed) : json_null(), "expires",
                     p.expires ? jmap_utc(p.expires) : json_null(), "types", types_json(&p));
}

static uint64_t next(struct jmap_run *r, size_t *at)
{
    const struct account_item *item;
    struct jmap_item_push p;
    while ((item = account_next_item(r->account, ITEM_PUSH, at)))
        if (read_own(r, item->id, &p))
            return item->id;
    return 0;
}

static const char *const properties[] = {"id",      "deviceClientId", "verificationCode",
                                         "expires", "types",          NULL};
static const struct jmap_type subscription = {.name = "PushSubscription",
                                              .letter = 'P',
                                              .type = ACCOUNT_ITEM,
                                              .kind = ITEM_PUSH,
                                              .properties = properties,
                                              .make = make,
                                              .next = next,
                                              .has_no_account = true};

void jmap_push_get(struct jmap_run *r, const struct jmap_call *c)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(c->args, "properties"), i, one)
    {
        const char *name = json_string_value(one);
        if (!name || (strcmp(name, "url") != 0 && strcmp(name, "keys") != 0))
            continue;
        jmap_refuse(r, c, "forbidden", "`%s` is private to the device that set it", name);
        return;
    }
    jmap_get(r, c, &subscription);
}

/* ---- set ---- */

/* A subscription as it is to become, and the first thing that was wrong. */
struct wanted {
    struct jmap_run *r;
    struct jmap_item_push p;
    bool is_new, is_confirmed; /* the code came just now */
    json_t *error;
};

static void wrong(struct wanted *w, const char *property, const char *why)
{
    if (!w->error)
        w->error = jmap_set_error("invalidProperties", property, "%s", why);
}

static struct slice text_of(const json_t *value)
{
    return slice_of(json_string_value(value), json_string_length(value));
}

static void take_device(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    struct slice device = text_of(value);
    if (!w->is_new) {
        if (!slice_eq(device, w->p.device))
            wrong(w, "deviceClientId", "it does not change; make another subscription");
        return;
    }
    if (!json_is_string(value) || device.n == 0 || device.n > DEVICE_MAX)
        wrong(w, "deviceClientId", "a text of at most 300 bytes that names the device");
    w->p.device = arena_copy(w->r->arena, device);
}

static void take_url(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    const char *why =
        json_is_string(value) ? push_url_fault(text_of(value)) : "an address is a text";
    if (!w->is_new)
        why = "it does not change; destroy the subscription and make another one";
    if (why)
        wrong(w, "url", why);
    w->p.url = arena_copy(w->r->arena, text_of(value));
}

static void take_keys(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    struct slice p256dh = text_of(json_object_get(value, "p256dh")),
                 auth = text_of(json_object_get(value, "auth"));
    struct push_keys keys;
    if (!w->is_new)
        wrong(w, "keys", "they do not change; destroy the subscription and make another one");
    if (json_is_null(value))
        return;
    if (!json_is_object(value) || json_object_size(value) != 2 ||
        !push_keys_parse(p256dh, auth, &keys))
        wrong(
            w, "keys",
            "an object is wanted with `p256dh`, a public key on P-256 of 65 bytes, and `auth`, 16 "
            "bytes, both in URL-safe base64 (RFC 8291), or null");
    w->p.p256dh = arena_copy(w->r->arena, p256dh);
    w->p.auth = arena_copy(w->r->arena, auth);
}

static void take_code(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    struct slice code = text_of(value);
    if (w->is_new && !json_is_null(value))
        wrong(w, "verificationCode", "it is not there before we have sent it");
    else if (!w->is_new && json_is_null(value) && w->p.confirmed.n == 0)
        return;
    else if (!w->is_new && (!json_is_string(value) || !slice_eq(code, w->p.sent)))
        wrong(w, "verificationCode", "that is not what was sent to the address");
    else if (!w->is_new) {
        w->is_confirmed = w->p.confirmed.n == 0;
        w->p.confirmed = w->p.sent;
    }
}

/* RFC 8620 section 7.2: bounded, unless the log-in is. */
static void bound_expires(struct wanted *w, utc_ms at)
{
    utc_ms most = (utc_now() + LONGEST_MS) / 1000 * 1000;
    w->p.expires = !w->r->who->is_login_timed && (at == 0 || at > most) ? most : at;
}

static void take_expires(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    utc_ms at = 0;
    if (!json_is_null(value) && !jmap_utc_parse(value, &at))
        wrong(w, "expires", "a UTC date is wanted, or null");
    else if (!json_is_null(value) && at <= utc_now())
        wrong(w, "expires", "that is over");
    bound_expires(w, at);
}

static void take_types(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    const json_t *one;
    size_t i;
    w->p.has_types = !json_is_null(value);
    w->p.n_types = 0;
    if (json_is_null(value))
        return;
    if (!json_is_array(value) || json_array_size(value) > TYPES_MAX) {
        wrong(w, "types", "a list of at most 50 names of types is wanted, or null");
        return;
    }
    w->p.types = ARENA_ARRAY(w->r->arena, struct jmap_item_word, TYPES_MAX);
    json_array_foreach(value, i, one)
    {
        struct slice name = text_of(one);
        if (!json_is_string(one) || name.n == 0 || name.n > TYPE_MAX) {
            wrong(w, "types", "a name of a type is a text, and a short one");
            return;
        }
        w->p.types[w->p.n_types++].text = arena_copy(w->r->arena, name);
    }
}

static const struct jmap_property settable[] = {
    {"deviceClientId", take_device}, {"url", take_url},         {"keys", take_keys},
    {"verificationCode", take_code}, {"expires", take_expires}, {"types", take_types},
};

static void take_all(struct wanted *w, const json_t *object, const json_t *now)
{
    const char *key =
        jmap_take_all(settable, sizeof(settable) / sizeof(settable[0]), w, object, now);
    if (key)
        wrong(w, key, "there is no such property, or the server sets it");
}

static json_t *write(struct wanted *w, uint64_t id)
{
    struct jmap_run *r = w->r;
    struct jmap_states now;
    struct errinfo ei;
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    jmap_item_push_pack(&body, &w->p);
    jmap_states_of(r->account, &now);
    enum err err = jmap_item_put(r, ITEM_PUSH, id, &body, &ei);
    if (jmap_is_durable(err))
        r->host->subscribed(r->host->arg, r->who, id, buf_slice(&body),
                            w->is_confirmed ? &now : NULL);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

/* Of all log-ins of this person. */
static size_t count(struct jmap_run *r)
{
    const struct account_item *item;
    size_t at = 0, n = 0;
    while ((item = account_next_item(r->account, ITEM_PUSH, &at)))
        n += !item->is_gone;
    return n;
}

static json_t *judge_amount(struct jmap_run *r)
{
    struct errinfo ei;
    if (r->host->may_subscribe(r->host->arg, r->who, count(r), &ei) != ERR_OK)
        return jmap_set_error("rateLimit", NULL, "%s", ei.text);
    return NULL;
}

static void make_code(struct wanted *w)
{
    unsigned char bytes[CODE_BYTES];
    char text[CODE_TEXT];
    random_bytes(bytes, sizeof(bytes));
    base32_text(bytes, sizeof(bytes), text);
    w->p.sent = arena_copy(w->r->arena, slice_str(text));
}

/* What the client did not say, or what became of what it said. */
static json_t *what_was_set(struct wanted *w, uint64_t id, const json_t *object)
{
    json_t *set = make(w->r, id);
    jmap_leave_untold(set, object);
    if (w->is_new && !json_object_get(object, "keys"))
        json_object_set_new(set, "keys", json_null());
    return set;
}

static json_t *create(struct jmap_set *s, json_t *object, uint64_t *ret_id, json_t **ret_set)
{
    struct jmap_run *r = s->r;
    struct wanted w = {.r = r, .is_new = true};
    uint64_t id = r->host->next_id(r->host->arg);
    w.p.login = r->who->login;
    w.p.made = utc_now();
    if (!json_object_get(object, "deviceClientId"))
        wrong(&w, "deviceClientId", "a subscription names its device");
    if (!json_object_get(object, "url"))
        wrong(&w, "url", "a subscription has an address");
    if (!json_object_get(object, "expires"))
        bound_expires(&w, 0);
    take_all(&w, object, NULL);
    if (!w.error)
        w.error = judge_amount(r);
    make_code(&w);
    if (!w.error)
        w.error = write(&w, id);
    if (w.error)
        return w.error;
    *ret_id = id;
    *ret_set = what_was_set(&w, id, object);
    return NULL;
}

static json_t *update(struct jmap_set *s, uint64_t id, json_t *patch, json_t **ret_set)
{
    struct wanted w = {.r = s->r};
    if (!read_own(s->r, id, &w.p))
        return jmap_set_error("notFound", NULL, "there is no such subscription of this log-in");
    json_t *now = make(s->r, id);
    json_t *then = json_copy(now);
    w.error = jmap_patch(then, patch);
    /* A date that stays is not bounded anew. */
    if (!w.error && json_equal(json_object_get(now, "expires"), json_object_get(then, "expires")))
        json_object_del(then, "expires");
    if (!w.error)
        take_all(&w, then, now);
    json_decref(now);
    json_decref(then);
    if (!w.error)
        w.error = write(&w, id);
    if (w.error)
        return w.error;
    json_t *set = what_was_set(&w, id, patch), *expires = json_object_get(set, "expires");
    if (expires && json_object_get(patch, "expires"))
        *ret_set = json_pack("{s:O}", "expires", expires);
    json_decref(set);
    return NULL;
}

static json_t *destroy(struct jmap_set *s, uint64_t id)
{
    struct jmap_run *r = s->r;
    struct jmap_item_push p;
    struct errinfo ei;
    if (!read_own(r, id, &p))
        return jmap_set_error("notFound", NULL, "there is no such subscription of this log-in");
    enum err err = jmap_item_put(r, ITEM_PUSH, id, NULL, &ei);
    if (jmap_is_durable(err))
        r->host->subscribed(r->host->arg, r->who, id, SLICE(""), NULL);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

void jmap_push_set(struct jmap_run *r, const struct jmap_call *c)
{
    static const struct jmap_setter setter = {
        .type = &subscription, .create = create, .update = update, .destroy = destroy};
    (void)jmap_set_run(r, c, &setter);
}
