/* EmailSubmission/set (RFC 8621 section 7.5).
 *
 * What is to be sent is kept as it is at that moment, as an upload that the submission names: the
 * email may change or go afterwards. First that and the submission are durable, then core sends
 * when the time has come; whoever ends the program in between finds it pending after the start. */
#include "jmap/jmap_submission_int.h"

/* ---- onSuccessUpdateEmail, onSuccessDestroyEmail ---- */

struct setting {
    json_t *emails; /* submission id -> email id, of all that were touched */
};

static void note_email(struct jmap_set *s, uint64_t id, uint64_t email)
{
    struct setting *x = s->arg;
    char text[JMAP_ID_TEXT];
    jmap_id('S', id, text);
    json_object_set_new(x->emails, text, jmap_id_json('M', email));
}

/* ---- create ---- */

static json_t *judge_names(const json_t *object)
{
    static const char *const names[] = {"identityId", "emailId", "envelope"};
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)object;
    json_object_foreach(o, key, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            is_known |= strcmp(key, names[i]) == 0;
        if (!is_known)
            return jmap_set_error("invalidProperties", key, "the server sets this property");
    }
    return NULL;
}

static json_t *judge_sender(struct jmap_run *r, const json_t *object,
                            struct jmap_item_identity *identity, struct jmap_item_submission *s)
{
    s->identity = jmap_id_or_created(r, 'I', json_object_get(object, "identityId"));
    if (!s->identity || !jmap_identity_read(r, s->identity, identity))
        return jmap_set_error("invalidProperties", "identityId", "there is no such identity");
    if (r->who->may_send)
        return NULL;
    return jmap_set_error("forbiddenToSend", NULL, SLICE_FMT, SLICE_ARG(r->who->may_not));
}

static json_t *find_email(struct jmap_run *r, const json_t *object, struct jmap_item_submission *s)
{
    s->email = jmap_id_or_created(r, 'M', json_object_get(object, "emailId"));
    const struct account_email *e = s->email ? account_email(r->account, s->email) : NULL;
    if (!e || e->is_gone)
        return jmap_set_error("invalidProperties", "emailId", "there is no such email");
    s->thread = e->thread;
    return NULL;
}

static json_t *take_envelope(struct jmap_run *r, const json_t *object, const json_t *header,
                             const struct jmap_item_identity *identity,
                             struct jmap_item_submission *s)
{
    const json_t *envelope = json_object_get(object, "envelope");
    utc_ms hold = 0;
    json_t *error = envelope && !json_is_null(envelope)
                        ? jmap_envelope_read(r, envelope, s, &hold)
                        : jmap_envelope_derive(r, header, identity, s);
    if (error)
        return error;
    s->created = utc_now();
    s->send_at = hold > s->created ? hold : s->created;
    /* What does not wait cannot be undone: it is on its way when the answer arrives. */
    s->state = hold > s->created ? JMAP_PENDING : JMAP_GOING;
    if (wire_utf8_valid(s->mail_from))
        for (size_t i = 0; i < s->mail_from.n; i++)
            s->flags |= (unsigned char)s->mail_from.p[i] >= 0x80 ? MESSAGE_SMTPUTF8 : 0u;
    return NULL;
}

static json_t *judge_ceilings(struct jmap_run *r, const struct jmap_item_submission *s)
{
    struct errinfo ei;
    enum err err = r->host->may_submit(r->host->arg, r->who, s->n_rcpts, &ei);
    if (err == ERR_OK)
        return NULL;
    return err == ERR_LIMIT    ? jmap_set_error("rateLimit", NULL, "%s", ei.text)
           : err == ERR_DENIED ? jmap_set_error("forbiddenToSend", NULL, "%s", ei.text)
                               : jmap_set_err(err, &ei);
}

/* The bytes and the submission that names them. */
static json_t *write_new(struct jmap_run *r, uint64_t id, struct jmap_item_submission *s,
                         struct slice bytes, bool *ret_is_durable)
{
    struct errinfo ei;
    struct record_fields fields = {};
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX - JMAP_PARTS_BYTES);
    enum err err = r->host->fields(r->host->arg, bytes, r->arena, &fields, &ei);
    if (err != ERR_OK)
        return jmap_set_err(err, &ei);
    s->blob = r->host->next_id(r->host->arg);
    jmap_item_submission_pack(&body, s);
    if (body.failed) { /* hundreds of very long addresses */
        json_t *error = jmap_set_error("tooManyRecipients", NULL,
                                       "too many, or with too long "
                                       "addresses, for one message");
        json_object_set_new(error, "maxRecipients", json_integer(s->n_rcpts / 2));
        return error;
    }
    struct jmap_message message = {.id = s->blob, .bytes = bytes, .fields = &fields};
    struct record_item items[] = {
        {.account = r->who->person, .kind = ITEM_BLOB, .id = s->blob},
        {.account = r->who->person, .kind = ITEM_SUBMISSION, .id = id, .body = buf_slice(&body)}};
    struct jmap_commit c = {.messages = &message, .n_messages = 1, .items = items, .n_items = 2};
    err = jmap_commit_now(r, &c, &ei);
    *ret_is_durable = jmap_is_durable(err);
    if (*ret_is_durable) /* whether it is seen here or not: after a start it would be sent */
        r->host->submitted(r->host->arg, r->who, id, s->send_at);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

/* It counts for its person only when it stands in the store. */
static json_t *count_and_write(struct jmap_run *r, uint64_t id, struct jmap_item_submission *s,
                               struct slice bytes)
{
    bool is_durable = false;
    json_t *error = judge_ceilings(r, s);
    if (error)
        return error;
    error = write_new(r, id, s, bytes, &is_durable);
    if (!is_durable)
        r->host->unsubmitted(r->host->arg, r->who, s->n_rcpts, s->created);
    return error;
}

static json_t *create_one(struct jmap_run *r, const json_t *object, uint64_t id,
                          struct jmap_item_submission *s)
{
    struct jmap_item_identity identity;
    struct jmap_outgoing o = {};
    json_t *error = judge_names(object);
    if (!error)
        error = judge_sender(r, object, &identity, s);
    if (!error)
        error = find_email(r, object, s);
    if (!error)
        error = jmap_outgoing_make(r, s->email, &o);
    if (!error)
        error = take_envelope(r, object, o.header, &identity, s);
    s->flags |= o.flags;
    if (!error)
        error = count_and_write(r, id, s, buf_slice(&o.bytes));
    jmap_outgoing_finish(&o);
    return error;
}

static json_t *create(struct jmap_set *set, json_t *object, uint64_t *ret_id, json_t **ret_set)
{
    struct jmap_run *r = set->r;
    struct jmap_item_submission s = {};
    uint64_t id = r->host->next_id(r->host->arg);
    json_t *error = create_one(r, object, id, &s);
    if (error)
        return error;
    *ret_id = id;
    *ret_set = jmap_submission_make(r, id);
    if (*ret_set)
        jmap_leave_untold(*ret_set, object);
    note_email(set, id, s.email);
    return NULL;
}

/* ---- update: undo ---- */

static json_t *cannot_unsend(void)
{
    return jmap_set_error("cannotUnsend", NULL,
                          "it is too late: the message is on its way or was sent");
}

static json_t *cancel(struct jmap_run *r, uint64_t id, struct jmap_item_submission *s)
{
    struct errinfo ei;
    enum err err =
        s->state == JMAP_PENDING ? r->host->withdraw(r->host->arg, r->who, id, &ei) : ERR_CONFLICT;
    if (err == ERR_CONFLICT)
        return cannot_unsend();
    if (err != ERR_OK)
        return jmap_set_err(err, &ei);
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    s->state = JMAP_CANCELED;
    jmap_item_submission_pack(&body, s);
    const struct account_item *was = account_item(r->account, ITEM_SUBMISSION, id);
    struct record_item items[] = {
        {.account = r->who->person, .kind = ITEM_BLOB, .id = s->blob, .is_gone = 1},
        {.account = r->who->person,
         .kind = ITEM_SUBMISSION,
         .id = id,
         .created = was ? was->created : 0,
         .body = buf_slice(&body)}};
    struct jmap_commit c = {.items = items, .n_items = 2};
    err = body.failed ? err_set(&ei, ERR_LIMIT, "larger than can be kept")
                      : jmap_commit_now(r, &c, &ei);
    if (jmap_is_durable(err))
        r->host->unsubmitted(r->host->arg, r->who, s->n_rcpts, s->created);
    else /* nothing was said about it */
        r->host->submitted(r->host->arg, r->who, id, s->send_at);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

static json_t *update(struct jmap_set *set, uint64_t id, json_t *patch, json_t **)
{
    struct jmap_run *r = set->r;
    struct jmap_item_submission s;
    const char *wrong = NULL, *key;
    json_t *value;
    if (!jmap_submission_read(r, id, &s))
        return jmap_set_error("notFound", NULL, "there is no such submission");
    json_t *now = jmap_submission_make(r, id);
    json_t *then = json_deep_copy(now);
    json_t *error = jmap_patch(then, patch);
    json_object_foreach(then, key, value) if (strcmp(key, "undoStatus") != 0 &&
                                              !json_equal(json_object_get(now, key), value)) wrong =
        key;
    if (!error && wrong)
        error = jmap_set_error("invalidProperties", wrong, "only undoStatus may change");
    const char *was = json_string_value(json_object_get(now, "undoStatus"));
    const char *is = json_string_value(json_object_get(then, "undoStatus"));
    if (!error && (!is || strcmp(was, is) != 0))
        error = is && strcmp(is, "canceled") == 0
                    ? cancel(r, id, &s)
                    : jmap_set_error("invalidProperties", "undoStatus",
                                     "it may only be set to \"canceled\"");
    if (!error)
        note_email(set, id, s.email);
    json_decref(now);
    json_decref(then);
    return error;
}

/* ---- destroy: forgets, and unsends nothing ---- */

static json_t *destroy(struct jmap_set *set, uint64_t id)
{
    struct jmap_run *r = set->r;
    struct jmap_item_submission s;
    struct errinfo ei;
    if (!jmap_submission_read(r, id, &s))
        return jmap_set_error("notFound", NULL, "there is no such submission");
    if (s.state == JMAP_PENDING || s.state == JMAP_GOING)
        return jmap_set_error("forbidden", NULL,
                              "it is not sent yet: cancel it, or wait until it is");
    uint64_t email = s.email;
    enum err err = jmap_item_put(r, ITEM_SUBMISSION, id, NULL, &ei);
    if (err != ERR_OK)
        return jmap_set_err(err, &ei);
    note_email(set, id, email);
    return NULL;
}

/* ---- the emails, afterwards ---- */

/* The email of a submission that is named by id or creation id; NULL: that did not succeed. */
static const char *email_of(const struct setting *x, struct jmap_run *r, const char *name)
{
    char id[JMAP_ID_TEXT];
    json_t *text = json_string(name);
    uint64_t submission = jmap_id_or_created(r, 'S', text);
    json_decref(text);
    jmap_id('S', submission, id);
    return submission ? json_string_value(json_object_get(x->emails, id)) : NULL;
}

static json_t *emails_to_update(const struct setting *x, struct jmap_run *r, const json_t *wanted)
{
    const char *key;
    json_t *patch, *all = json_object(), *o = (json_t *)(uintptr_t)wanted;
    json_object_foreach(o, key, patch)
    {
        const char *email = email_of(x, r, key);
        if (email)
            json_object_set(all, email, patch);
    }
    return all;
}

static json_t *emails_to_destroy(const struct setting *x, struct jmap_run *r, const json_t *wanted)
{
    const json_t *one;
    json_t *all = json_array();
    size_t i;
    json_array_foreach(wanted, i, one)
    {
        const char *email = email_of(x, r, json_string_value(one));
        if (email)
            json_array_append_new(all, json_string(email));
    }
    return all;
}

/* RFC 8621 section 7.5: one implicit Email/set, answered behind this one with its call id. */
static void set_emails(const struct setting *x, struct jmap_run *r, const struct jmap_call *c,
                       const json_t *to_update, const json_t *to_destroy)
{
    json_t *update_args = emails_to_update(x, r, to_update);
    json_t *destroy_args = emails_to_destroy(x, r, to_destroy);
    struct jmap_call email = {.name = "Email/set", .id = c->id};
    if (json_object_size(update_args) || json_array_size(destroy_args)) {
        email.args =
            json_pack("{s:O, s:O, s:O}", "accountId", json_object_get(c->args, "accountId"),
                      "update", update_args, "destroy", destroy_args);
        jmap_email_set(r, &email);
        json_decref(email.args);
    }
    json_decref(update_args);
    json_decref(destroy_args);
}

static bool judge_success(struct jmap_run *r, const struct jmap_call *c, const json_t *to_update,
                          const json_t *to_destroy)
{
    const char *key;
    json_t *value;
    size_t i;
    bool is_good =
        (!to_update || json_is_object(to_update)) && (!to_destroy || json_is_array(to_destroy));
    if (is_good)
        json_object_foreach((json_t *)(uintptr_t)to_update, key, value) is_good &=
            json_is_object(value);
    if (is_good)
        json_array_foreach(to_destroy, i, value) is_good &= json_is_string(value);
    if (!is_good)
        jmap_refuse(
            r, c, "invalidArguments",
            "`onSuccessUpdateEmail` maps ids to patches, `onSuccessDestroyEmail` lists ids");
    return is_good;
}

static const json_t *given(const struct jmap_call *c, const char *name)
{
    const json_t *value = json_object_get(c->args, name);
    return json_is_null(value) ? NULL : value;
}

void jmap_submission_set(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const more[] = {"onSuccessUpdateEmail", "onSuccessDestroyEmail", NULL};
    const json_t *to_update = given(c, more[0]), *to_destroy = given(c, more[1]);
    struct setting x = {};
    const struct jmap_setter setter = {.type = &jmap_submission_type,
                                       .more_args = more,
                                       .create = create,
                                       .update = update,
                                       .destroy = destroy,
                                       .arg = &x};
    if (!judge_success(r, c, to_update, to_destroy))
        return;
    x.emails = json_object();
    if (jmap_set_run(r, c, &setter))
        set_emails(&x, r, c, to_update, to_destroy);
    json_decref(x.emails);
}
