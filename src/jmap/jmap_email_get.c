/* Email/get, /changes and /parse (RFC 8621 sections 4.2, 4.3 and 4.9).
 *
 * What lists show stands in the index; everything else is made from the bytes, by a gate. */
#include "jmap/jmap_email_int.h"

#include "email/email_list.h"

enum { BLOB_MAX = STORE_MESSAGE_MAX };

const struct jmap_type jmap_email_type = {.name = "Email", .letter = 'M', .type = ACCOUNT_EMAIL};

/* ---- properties that are no matter of bytes ---- */

static json_t *own_property(const struct account_email *e, enum email_field field)
{
    if (field == EMAIL_ID || field == EMAIL_BLOB_ID)
        return jmap_id_json('M', e->message);
    if (field == EMAIL_THREAD_ID)
        return jmap_id_json('T', e->thread);
    if (field == EMAIL_MAILBOX_IDS)
        return jmap_email_mailboxes(e);
    if (field == EMAIL_KEYWORDS)
        return jmap_email_keywords(e);
    if (field == EMAIL_SIZE)
        return json_integer(e->bytes);
    return field == EMAIL_RECEIVED_AT ? jmap_utc(e->received) : NULL;
}

static void add_own(const struct email_want *want, const struct account_email *e, json_t *object)
{
    json_object_set_new(object, "id", jmap_id_json('M', e->message));
    for (size_t i = 0; i < want->properties.n; i++) {
        const struct email_property *p = &want->properties.v[i];
        json_t *value = own_property(e, p->field);
        if (value)
            json_object_setn_new(object, p->text.p, p->text.n, value);
    }
}

/* ---- from the index ---- */

static bool is_in_fields(const struct email_property *p)
{
    return p->field < EMAIL_HEADERS || p->field == EMAIL_HAS_ATTACHMENT ||
           p->field == EMAIL_PREVIEW || slice_eq(p->text, SLICE("subject")) ||
           slice_eq(p->text, SLICE("from")) || slice_eq(p->text, SLICE("to"));
}

static bool are_fields_enough(const struct email_want *want)
{
    bool is = true;
    for (size_t i = 0; i < want->properties.n; i++)
        is &= is_in_fields(&want->properties.v[i]);
    return is;
}

static json_t *address(struct slice name, struct slice email)
{
    return json_pack("{s:o, s:o}", "name", name.n ? jmap_text(name) : json_null(), "email",
                     jmap_text(email));
}

static json_t *recipients(struct slice packed)
{
    json_t *all = json_array();
    struct slice name, email;
    while (email_list_to_next(&packed, &name, &email))
        json_array_append_new(all, address(name, email));
    return all;
}

static json_t *field_property(const struct record_fields *f, const struct email_property *p)
{
    if (p->field == EMAIL_HAS_ATTACHMENT)
        return json_boolean(f->has_attachment);
    if (p->field == EMAIL_PREVIEW)
        return jmap_text(f->preview);
    if (slice_eq(p->text, SLICE("subject")))
        return jmap_text(f->subject);
    if (slice_eq(p->text, SLICE("from")))
        return json_pack("[o]", address(f->from_name, f->from_address));
    if (slice_eq(p->text, SLICE("to")))
        return recipients(f->to);
    return NULL;
}

/* ---- many ---- */

struct getting {
    struct jmap_email_reading reading;
    const struct jmap_call *call;
    uint64_t *ids;
    size_t n;
    json_t **objects; /* of each id, as far as it is made */
    size_t next;      /* where the next answer of the index belongs */
};

/* Else it is made from the bytes: what is empty there may be missing or empty in the message. */
static bool are_fields_exact(const struct record_fields *f, const struct email_want *want)
{
    struct slice packed = f->to, name, email;
    bool has_to = email_list_to_next(&packed, &name, &email);
    for (size_t i = 0; i < want->properties.n; i++) {
        struct slice wanted = want->properties.v[i].text;
        if ((!has_to && slice_eq(wanted, SLICE("to"))) ||
            (f->subject.n == 0 && slice_eq(wanted, SLICE("subject"))))
            return false;
    }
    return f->from_address.n && !(f->odd & EMAIL_LIST_NOT_EXACT);
}

static bool take_fields(void *arg, uint64_t message, const struct record_fields *f)
{
    struct getting *g = arg;
    const struct email_properties *p = &g->reading.want.properties;
    while (g->next < g->n && g->ids[g->next] != message)
        g->next++;
    if (g->next == g->n || !are_fields_exact(f, &g->reading.want))
        return true;
    json_t *object = json_object();
    add_own(&g->reading.want, account_email(g->reading.r->account, message), object);
    for (size_t i = 0; i < p->n; i++) {
        json_t *value = field_property(f, &p->v[i]);
        if (value)
            json_object_setn_new(object, p->v[i].text.p, p->v[i].text.n, value);
    }
    g->objects[g->next++] = object;
    return true;
}

enum err jmap_email_render(struct jmap_email_reading *g, struct slice bytes, const char *blob,
                           json_t *object, struct errinfo *ei)
{
    struct jmap_run *r = g->r;
    SCOPED(buf_finish) struct buf text = buf_make(JMAP_ANSWER_MAX);
    enum err err = r->host->render(r->host->arg, bytes, slice_str(blob), &g->want, &text, ei);
    unsigned depth;
    r->n_bytes += text.n;
    r->n_values += err == ERR_OK ? jmap_count_values(buf_slice(&text), &depth) : 0;
    if (err == ERR_OK && (r->n_bytes > JMAP_ANSWER_MAX || r->n_values > JMAP_VALUES_MAX))
        return err_set(ei, ERR_LIMIT, "the answer would be larger than this server gives");
    if (err != ERR_OK)
        return err;
    json_t *made = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(made)) {
        json_decref(made);
        return err_set(ei, ERR_IO, "a gate gave nonsense");
    }
    json_object_update(object, made);
    json_decref(made);
    return ERR_OK;
}

static enum err make_from_bytes(struct getting *g, size_t at, struct errinfo *ei)
{
    struct jmap_run *r = g->reading.r;
    const struct account_email *e = account_email(r->account, g->ids[at]);
    char blob[JMAP_ID_TEXT];
    json_t *object = json_object();
    enum err err = ERR_OK;
    add_own(&g->reading.want, e, object);
    if (email_wants_bytes(&g->reading.want)) {
        SCOPED(buf_finish) struct buf bytes = buf_make(BLOB_MAX);
        jmap_id('M', e->message, blob);
        err = r->host->read(r->host->arg, r->reader, e->message, &bytes, ei);
        if (err == ERR_OK)
            err = jmap_email_render(&g->reading, buf_slice(&bytes), blob, object, ei);
    }
    if (err == ERR_OK)
        g->objects[at] = object;
    else
        json_decref(object);
    return err;
}

static enum err make_all(struct getting *g, struct errinfo *ei)
{
    struct jmap_run *r = g->reading.r;
    enum err err = ERR_OK;
    if (email_wants_bytes(&g->reading.want) && are_fields_enough(&g->reading.want))
        err = store_each_fields(r->reader, r->who->person, g->ids, g->n, take_fields, g, ei);
    for (size_t i = 0; i < g->n && err == ERR_OK; i++) {
        if (jmap_is_late(r))
            return jmap_late(ei);
        if (!g->objects[i])
            err = make_from_bytes(g, i, ei);
    }
    return err;
}

enum err jmap_email_object(struct jmap_run *r, uint64_t id, const json_t *want, json_t **ret,
                           struct errinfo *ei)
{
    json_t *object = NULL;
    struct getting g = {.reading.r = r, .ids = &id, .n = 1, .objects = &object};
    enum err err = email_want_parse(want, EMAIL_CALL_GET, r->arena, &g.reading.want, ei);
    if (err == ERR_OK)
        err = make_all(&g, ei);
    if (err == ERR_OK)
        *ret = object;
    return err;
}

/* ---- Email/get ---- */

static bool take_ids(struct getting *g, json_t *not_found)
{
    struct jmap_run *r = g->reading.r;
    const json_t *ids = json_object_get(g->call->args, "ids"), *one;
    size_t i, n_all = account_n_emails(r->account);
    bool is_all = !ids || json_is_null(ids);
    if (!is_all && !json_is_array(ids)) {
        jmap_refuse(r, g->call, "invalidArguments", "`ids` is a list of ids, or null");
        return false;
    }
    if (!jmap_are_few_to_get(r, g->call, is_all ? n_all : json_array_size(ids)))
        return false;
    g->ids = ARENA_ARRAY(r->arena, uint64_t, JMAP_OBJECTS_GET_MAX + 1);
    for (i = 0; is_all && i < n_all; i++)
        g->ids[g->n++] = account_nth_email(r->account, i)->message;
    json_t *seen = json_object();
    bool is_good = true;
    json_array_foreach(ids, i, one)
    {
        uint64_t id = 0;
        const char *text = json_string_value(one);
        is_good &= text != NULL;
        if (!text || json_object_get(seen, text))
            continue;
        json_object_set_new(seen, text, json_true());
        const struct account_email *e =
            jmap_id_parse('M', text, &id) ? account_email(r->account, id) : NULL;
        if (e && !e->is_gone)
            g->ids[g->n++] = id;
        else
            json_array_append_new(not_found, json_string(text));
    }
    json_decref(seen);
    if (!is_good)
        jmap_refuse(r, g->call, "invalidArguments", "`ids` holds something that is no id");
    return is_good;
}

static const char *const get_args[] = {"accountId",
                                       "ids",
                                       "properties",
                                       "bodyProperties",
                                       "fetchTextBodyValues",
                                       "fetchHTMLBodyValues",
                                       "fetchAllBodyValues",
                                       "maxBodyValueBytes",
                                       NULL};

static bool take_want(struct jmap_run *r, const struct jmap_call *c, enum email_call call,
                      struct email_want *ret)
{
    struct errinfo ei;
    enum err err = email_want_parse(c->args, call, r->arena, ret, &ei);
    if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    return err == ERR_OK;
}

static void give_get(struct getting *g, json_t *not_found)
{
    json_t *list = json_array();
    for (size_t i = 0; i < g->n; i++)
        json_array_append(list, g->objects[i]);
    jmap_answer(g->reading.r, g->call, "Email/get",
                json_pack("{s:O, s:o, s:o, s:O}", "accountId",
                          json_object_get(g->call->args, "accountId"), "state",
                          jmap_state(jmap_type_state(g->reading.r, &jmap_email_type)), "list", list,
                          "notFound", not_found));
}

void jmap_email_get(struct jmap_run *r, const struct jmap_call *c)
{
    struct getting g = {.reading.r = r, .call = c};
    struct errinfo ei;
    json_t *not_found = json_array();
    if (jmap_arg_account(r, c) && jmap_arg_names(r, c, get_args) &&
        take_want(r, c, EMAIL_CALL_GET, &g.reading.want) && take_ids(&g, not_found)) {
        g.objects = ARENA_ARRAY(r->arena, json_t *, g.n + 1);
        enum err err = make_all(&g, &ei);
        if (err == ERR_OK)
            give_get(&g, not_found);
        else
            jmap_refuse_err(r, c, err, &ei);
        for (size_t i = 0; i < g.n; i++)
            json_decref(g.objects[i]);
    }
    json_decref(not_found);
}

void jmap_email_changes(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_changes(r, c, &jmap_email_type, NULL);
}

/* ---- Email/parse ---- */

static void add_parse_own(const struct email_want *want, const char *blob, size_t size,
                          json_t *object)
{
    for (size_t i = 0; i < want->properties.n; i++) {
        const struct email_property *p = &want->properties.v[i];
        if (p->field > EMAIL_RECEIVED_AT)
            continue;
        json_object_setn_new(object, p->text.p, p->text.n,
                             p->field == EMAIL_BLOB_ID ? json_string(blob)
                             : p->field == EMAIL_SIZE  ? json_integer((json_int_t)size)
                                                       : json_null());
    }
}

struct parsing {
    struct jmap_email_reading reading;
    json_t *parsed, *not_parsable, *not_found;
};

static enum err parse_one(struct parsing *p, const char *blob, struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf bytes = buf_make(BLOB_MAX);
    if (jmap_is_late(p->reading.r))
        return jmap_late(ei);
    enum err err = jmap_blob_read(p->reading.r, blob, &bytes, ei);
    if (err == ERR_GONE) {
        json_array_append_new(p->not_found, json_string(blob));
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    if (!jmap_blob_is_message(buf_slice(&bytes))) {
        json_array_append_new(p->not_parsable, json_string(blob));
        return ERR_OK;
    }
    json_t *object = json_object();
    add_parse_own(&p->reading.want, blob, bytes.n, object);
    if (email_wants_bytes(&p->reading.want))
        err = jmap_email_render(&p->reading, buf_slice(&bytes), blob, object, ei);
    if (err == ERR_OK)
        json_object_set(p->parsed, blob, object);
    json_decref(object);
    return err;
}

static bool judge_blobs(struct jmap_run *r, const struct jmap_call *c, const json_t *ids)
{
    const json_t *one;
    size_t i;
    bool is_good = json_is_array(ids);
    json_array_foreach(ids, i, one) is_good &= json_is_string(one);
    if (!is_good)
        jmap_refuse(r, c, "invalidArguments", "`blobIds` is a list of ids");
    return is_good && jmap_are_few_to_get(r, c, json_array_size(ids));
}

void jmap_email_parse(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId",
                                        "blobIds",
                                        "properties",
                                        "bodyProperties",
                                        "fetchTextBodyValues",
                                        "fetchHTMLBodyValues",
                                        "fetchAllBodyValues",
                                        "maxBodyValueBytes",
                                        NULL};
    struct parsing p = {.reading.r = r};
    struct errinfo ei;
    const json_t *ids = json_object_get(c->args, "blobIds"), *one;
    enum err err = ERR_OK;
    size_t i;
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names) || !judge_blobs(r, c, ids) ||
        !take_want(r, c, EMAIL_CALL_PARSE, &p.reading.want))
        return;
    p.parsed = json_object();
    p.not_parsable = json_array();
    p.not_found = json_array();
    json_array_foreach(ids, i, one) if (err == ERR_OK) err =
        parse_one(&p, jmap_blob_id(r, json_string_value(one)), &ei);
    if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    else
        jmap_answer(r, c, c->name,
                    json_pack("{s:O, s:O, s:O, s:O}", "accountId",
                              json_object_get(c->args, "accountId"), "parsed",
                              jmap_or_null(p.parsed), "notParsable", jmap_or_null(p.not_parsable),
                              "notFound", jmap_or_null(p.not_found)));
    json_decref(p.parsed);
    json_decref(p.not_parsable);
    json_decref(p.not_found);
}
