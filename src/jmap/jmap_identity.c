/* Identities (RFC 8621 section 6): under which of the person's own addresses mail goes out. */
#include "jmap/jmap_int.h"

#include "wire/wire.h"

enum { IDENTITIES_MAX = 100, ADDRESSES_MAX = 20, ADDRESS_NAME_MAX = 300 };

/* ---- addresses ---- */

bool jmap_is_own_address(const struct jmap_caller *who, struct slice address)
{
    SCOPED(buf_finish) struct buf key = buf_make(600);
    if (wire_address_key(address, &key).fault != WIRE_FINE)
        return false;
    for (size_t i = 0; i < who->n_addresses; i++)
        if (slice_eq(who->addresses[i], buf_slice(&key)))
            return true;
    return false;
}

static json_t *addresses_json(const struct jmap_item_address *list, uint32_t n)
{
    json_t *all = n ? json_array() : json_null();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(all, json_pack("{s:o, s:o}", "name",
                                             list[i].name.n ? jmap_text(list[i].name) : json_null(),
                                             "email", jmap_text(list[i].email)));
    return all;
}

/* ---- get and changes ---- */

bool jmap_identity_read(struct jmap_run *r, uint64_t id, struct jmap_item_identity *ret)
{
    const struct account_item *item = account_item(r->account, ITEM_IDENTITY, id);
    return item && !item->is_gone && jmap_item_identity_unpack(item->body, r->arena, ret);
}

static bool is_main(const struct jmap_caller *who, const struct jmap_item_identity *i)
{
    return who->n_addresses && slice_eq(who->addresses[0], i->email);
}

static json_t *make(struct jmap_run *r, uint64_t id)
{
    struct jmap_item_identity i;
    if (!jmap_identity_read(r, id, &i))
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "id", jmap_id_json('I', id),
                     "name", jmap_text(i.name), "email", jmap_text(i.email), "replyTo",
                     addresses_json(i.reply_to, i.n_reply_to), "bcc",
                     addresses_json(i.bcc, i.n_bcc), "textSignature", jmap_text(i.text_signature),
                     "htmlSignature", jmap_text(i.html_signature), "mayDelete",
                     !(i.is_provided && is_main(r->who, &i)));
}

static uint64_t next(struct jmap_run *r, size_t *at)
{
    const struct account_item *item;
    while ((item = account_next_item(r->account, ITEM_IDENTITY, at)))
        if (!item->is_gone)
            return item->id;
    return 0;
}

static const char *const properties[] = {
    "id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete", NULL};
static const struct jmap_type identity = {.name = "Identity",
                                          .letter = 'I',
                                          .type = ACCOUNT_ITEM,
                                          .kind = ITEM_IDENTITY,
                                          .properties = properties,
                                          .make = make,
                                          .next = next};

void jmap_identity_get(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_get(r, c, &identity);
}

void jmap_identity_changes(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_changes(r, c, &identity, NULL);
}

/* ---- set ---- */

/* An identity as it is to become, and the first thing that was wrong. */
struct wanted {
    struct jmap_run *r;
    struct jmap_item_identity i;
    bool is_new;
    json_t *error;
};

static void wrong(struct wanted *w, const char *property, const char *why)
{
    if (!w->error)
        w->error = jmap_set_error("invalidProperties", property, "%s", why);
}

/* Into the header of a message as it stands: no line ends. */
static bool is_one_line(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

static struct slice text_of(struct wanted *w, const json_t *value, const char *property, size_t max)
{
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    if (text.n > max)
        jmap_count(REFUSE_JMAP_SIZE, property, w->r->who);
    if (!json_is_string(value) || text.n > max) {
        wrong(w, property, "a text is wanted, and not a very long one");
        return SLICE("");
    }
    return arena_copy(w->r->arena, text);
}

static void take_name(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->i.name = text_of(w, value, "name", 1000);
    if (!is_one_line(w->i.name))
        wrong(w, "name", "a name has no control characters");
}

static void take_email(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    struct slice email = text_of(w, value, "email", 400);
    if (!w->is_new && !slice_eq(email, w->i.email))
        wrong(w, "email", "the address of an identity does not change");
    else if (w->is_new && !w->error && !jmap_is_own_address(w->r->who, email))
        w->error = jmap_set_error("forbiddenFrom", "email",
                                  "it is not among the addresses that this person has here");
    w->i.email = email;
}

static bool take_address(struct wanted *w, const json_t *one, struct jmap_item_address *ret)
{
    const json_t *name = json_object_get(one, "name"), *email = json_object_get(one, "email");
    struct wire_address address;
    *ret = (struct jmap_item_address){
        .name = slice_of(json_string_value(name), json_string_length(name)),
        .email = slice_of(json_string_value(email), json_string_length(email))};
    if (ret->name.n > ADDRESS_NAME_MAX)
        jmap_count(REFUSE_JMAP_SIZE, "name", w->r->who);
    if (!json_is_object(one) || !json_is_string(email) ||
        (name && !json_is_string(name) && !json_is_null(name)) || ret->name.n > ADDRESS_NAME_MAX ||
        !is_one_line(ret->name) ||
        wire_address_split(ret->email, true, &address).fault != WIRE_FINE)
        return false;
    ret->name = arena_copy(w->r->arena, ret->name);
    ret->email = arena_copy(w->r->arena, ret->email);
    return true;
}

static void take_addresses(struct wanted *w, const char *property, const json_t *value,
                           struct jmap_item_address **ret, uint32_t *ret_n)
{
    const json_t *one;
    size_t i;
    *ret = ARENA_ARRAY(w->r->arena, struct jmap_item_address, ADDRESSES_MAX);
    *ret_n = 0;
    if (json_is_null(value))
        return;
    if (json_array_size(value) > ADDRESSES_MAX)
        jmap_count(REFUSE_JMAP_MANY, property, w->r->who);
    if (!json_is_array(value) || json_array_size(value) > ADDRESSES_MAX) {
        wrong(w, property, "a list of at most 20 addresses is wanted, or null");
        return;
    }
    json_array_foreach(value, i, one)
    {
        if (take_address(w, one, &(*ret)[*ret_n]))
            ++*ret_n;
        else
            wrong(w, property, "something in it is no address");
    }
}

static void take_reply_to(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    take_addresses(w, "replyTo", value, &w->i.reply_to, &w->i.n_reply_to);
}

static void take_bcc(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    take_addresses(w, "bcc", value, &w->i.bcc, &w->i.n_bcc);
}

static void take_text_signature(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->i.text_signature = text_of(w, value, "textSignature", 10000);
}

static void take_html_signature(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->i.html_signature = text_of(w, value, "htmlSignature", 20000);
}

static const struct jmap_property settable[] = {
    {"name", take_name},
    {"email", take_email},
    {"replyTo", take_reply_to},
    {"bcc", take_bcc},
    {"textSignature", take_text_signature},
    {"htmlSignature", take_html_signature},
};

static void take_all(struct wanted *w, const json_t *object, const json_t *now)
{
    const char *key =
        jmap_take_all(settable, sizeof(settable) / sizeof(settable[0]), w, object, now);
    if (key)
        wrong(w, key, "the server sets this property");
}

static enum err put(struct jmap_run *r, uint64_t id, const struct jmap_item_identity *i,
                    struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    jmap_item_identity_pack(&body, i);
    return jmap_item_put(r, ITEM_IDENTITY, id, &body, ei);
}

static json_t *write(struct wanted *w, uint64_t id)
{
    struct errinfo ei;
    enum err err = put(w->r, id, &w->i, &ei);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

static size_t count(struct jmap_run *r)
{
    size_t at = 0, n = 0;
    while (next(r, &at))
        n++;
    return n;
}

static json_t *create(struct jmap_set *s, json_t *object, uint64_t *ret_id, json_t **ret_set)
{
    struct jmap_run *r = s->r;
    struct wanted w = {.r = r, .is_new = true};
    uint64_t id = r->host->next_id(r->host->arg);
    if (!json_object_get(object, "email"))
        wrong(&w, "email", "an identity has an address");
    take_all(&w, object, NULL);
    if (!w.error && count(r) >= IDENTITIES_MAX)
        w.error = jmap_set_error("overQuota", NULL, "at most %d identities", IDENTITIES_MAX);
    if (!w.error)
        w.error = write(&w, id);
    if (w.error)
        return w.error;
    *ret_id = id;
    *ret_set = make(r, id);
    jmap_leave_untold(*ret_set, object);
    return NULL;
}

static json_t *update(struct jmap_set *s, uint64_t id, json_t *patch, json_t **)
{
    struct wanted w = {.r = s->r};
    if (!jmap_identity_read(s->r, id, &w.i))
        return jmap_set_error("notFound", NULL, "there is no such identity");
    json_t *now = make(s->r, id);
    json_t *then = json_deep_copy(now);
    w.error = jmap_patch(then, patch);
    if (!w.error)
        take_all(&w, then, now);
    bool is_same = json_equal(now, then);
    json_decref(now);
    json_decref(then);
    if (!w.error && !is_same)
        w.error = write(&w, id);
    return w.error;
}

static json_t *destroy(struct jmap_set *s, uint64_t id)
{
    struct jmap_item_identity i;
    struct errinfo ei;
    if (!jmap_identity_read(s->r, id, &i))
        return jmap_set_error("notFound", NULL, "there is no such identity");
    if (i.is_provided && is_main(s->r->who, &i))
        return jmap_set_error("forbidden", NULL, "the identity of the main address stays");
    enum err err = jmap_item_put(s->r, ITEM_IDENTITY, id, NULL, &ei);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

void jmap_identity_set(struct jmap_run *r, const struct jmap_call *c)
{
    static const struct jmap_setter setter = {
        .type = &identity, .create = create, .update = update, .destroy = destroy};
    (void)jmap_set_run(r, c, &setter);
}

/* ---- the one that everybody has ---- */

enum err jmap_identity_provide(struct jmap_run *r, struct errinfo *ei)
{
    struct jmap_item_identity i;
    size_t at = 0;
    if (!r->who->n_addresses)
        return ERR_OK;
    for (uint64_t id; (id = next(r, &at)) != 0;)
        if (jmap_identity_read(r, id, &i) && is_main(r->who, &i))
            return ERR_OK;
    i = (struct jmap_item_identity){
        .name = r->who->name, .email = r->who->addresses[0], .is_provided = 1};
    return put(r, r->host->next_id(r->host->arg), &i, ei);
}
