/* Emails as records: where they are, what they are marked with, new ones (RFC 8621 section 4.1.1).
 */
#include "jmap/jmap_email_int.h"

/* ---- as they are ---- */

json_t *jmap_email_mailboxes(const struct account_email *e)
{
    json_t *o = json_object();
    char id[JMAP_ID_TEXT];
    for (uint32_t i = 0; i < e->n_places; i++) {
        jmap_id('B', e->places[i].mailbox, id);
        if (!e->places[i].is_gone)
            json_object_set_new(o, id, json_true());
    }
    return o;
}

json_t *jmap_email_keywords(const struct account_email *e)
{
    static const struct {
        const char *keyword;
        uint32_t flag;
    } rows[] = {
#define EMAIL_FLAG(name, flag, keyword) {keyword, flag},
#include "account/email_flag.def"
#undef EMAIL_FLAG
    };
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (e->flags & rows[i].flag)
            json_object_set_new(o, rows[i].keyword, json_true());
    for (uint32_t i = 0; i < e->n_keywords; i++) {
        struct slice k = e->keywords[i].text;
        json_object_setn_new(o, k.p, k.n, json_true());
    }
    return o;
}

/* With room for one place in each mailbox more than it is in now. */
void jmap_email_record(struct jmap_run *r, const struct account_email *e, struct record_email *ret)
{
    *ret = (struct record_email){.account = r->who->person,
                                 .message = e->message,
                                 .counted = e->counted,
                                 .received = e->received,
                                 .flags = e->flags & EMAIL_KEYWORD_BITS,
                                 .n_keywords = e->n_keywords};
    ret->places = ARENA_ARRAY(r->arena, struct record_place, e->n_places + PLACES_MAX);
    ret->keywords = ARENA_ARRAY(r->arena, struct record_keyword, e->n_keywords + 1);
    /* Of those that it has left, the oldest are forgotten when there are very many. */
    uint32_t n_forget = e->n_places > PLACES_MAX / 2 ? e->n_places - PLACES_MAX / 2 : 0;
    for (uint32_t i = 0; i < e->n_places; i++) {
        if (e->places[i].is_gone && n_forget > 0) {
            n_forget--;
            continue;
        }
        ret->places[ret->n_places++] = e->places[i];
    }
    for (uint32_t i = 0; i < e->n_keywords; i++)
        ret->keywords[i].text = arena_copy(r->arena, e->keywords[i].text);
}

/* ---- mailboxes ---- */

static json_t *no_mailboxes(const char *why)
{
    return jmap_set_error("invalidProperties", "mailboxIds", "%s", why);
}

static struct record_place *place_in(struct record_email *e, uint64_t mailbox)
{
    for (uint32_t i = 0; i < e->n_places; i++)
        if (e->places[i].mailbox == mailbox && !e->places[i].is_gone)
            return &e->places[i];
    return NULL;
}

static bool has_id(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static json_t *read_mailboxes(struct jmap_run *r, const json_t *mailboxes, uint64_t *ret, size_t *n)
{
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)mailboxes;
    if (!json_is_object(mailboxes) || json_object_size(mailboxes) == 0)
        return no_mailboxes("an email is in at least one mailbox");
    if (json_object_size(mailboxes) > JMAP_MAILBOXES_PER_EMAIL_MAX)
        return jmap_set_error("tooManyMailboxes", NULL, "an email is in at most %d mailboxes",
                              JMAP_MAILBOXES_PER_EMAIL_MAX);
    json_object_foreach(o, key, value)
    {
        json_t *text = json_string(key);
        uint64_t id = jmap_id_or_created(r, 'B', text);
        json_decref(text);
        const struct account_mailbox *m = id ? account_mailbox(r->account, id) : NULL;
        if (!m || m->is_gone)
            return no_mailboxes("there is no such mailbox");
        if (!json_is_true(value))
            return no_mailboxes("the value of each is true");
        if (!has_id(ret, *n, id))
            ret[(*n)++] = id;
    }
    return NULL;
}

json_t *jmap_email_set_mailboxes(struct jmap_run *r, struct record_email *e,
                                 const json_t *mailboxes)
{
    uint64_t ids[PLACES_MAX];
    size_t n = 0;
    json_t *error = read_mailboxes(r, mailboxes, ids, &n);
    if (error)
        return error;
    for (uint32_t i = 0; i < e->n_places; i++) {
        struct record_place *p = &e->places[i];
        if (p->is_gone || has_id(ids, n, p->mailbox))
            continue;
        p->is_gone = 1;
        p->modseq = 0;
        e->counted = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (place_in(e, ids[i]))
            continue;
        e->places[e->n_places++] = (struct record_place){.mailbox = ids[i]};
        e->counted = 0;
    }
    return NULL;
}

/* ---- keywords ---- */

static bool is_keyword(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] >= 127 || strchr("(){]%*\"\\", text[i]))
            return false;
    return n > 0 && n <= KEYWORD_BYTES_MAX;
}

static bool has_keyword(const struct record_email *e, struct slice keyword)
{
    for (uint32_t i = 0; i < e->n_keywords; i++)
        if (slice_eq(e->keywords[i].text, keyword))
            return true;
    return false;
}

json_t *jmap_email_set_keywords(struct jmap_run *r, struct record_email *e, const json_t *keywords)
{
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)keywords;
    uint32_t before = e->flags;
    if (!json_is_object(keywords))
        return jmap_set_error("invalidProperties", "keywords", "an object of keyword: true");
    if (json_object_size(keywords) > KEYWORDS_MAX)
        return jmap_set_error("tooManyKeywords", NULL, "at most %d keywords", KEYWORDS_MAX);
    e->flags = 0;
    e->n_keywords = 0;
    e->keywords = ARENA_ARRAY(r->arena, struct record_keyword, json_object_size(keywords) + 1);
    json_object_foreach(o, key, value)
    {
        if (!is_keyword(key) || !json_is_true(value))
            return jmap_set_error("invalidProperties", "keywords", "\"%.60s\" is no keyword: true",
                                  key);
        uint32_t flag = account_flag(slice_str(key));
        e->flags |= flag;
        if (flag)
            continue;
        char *lower = arena_cstr(r->arena, slice_str(key));
        for (char *p = lower; *p; p++)
            *p = ascii_lower(*p);
        if (!has_keyword(e, slice_str(lower)))
            e->keywords[e->n_keywords++].text = slice_str(lower);
    }
    if ((before ^ e->flags) & (EMAIL_SEEN | EMAIL_DRAFT))
        e->counted = 0;
    return NULL;
}

void jmap_email_destroy(struct record_email *e)
{
    e->is_gone = 1;
    e->counted = 0;
    for (uint32_t i = 0; i < e->n_places; i++) {
        if (e->places[i].is_gone)
            continue;
        e->places[i].is_gone = 1;
        e->places[i].modseq = 0;
    }
}

/* ---- new ones ---- */

static bool is_over_quota(const struct jmap_email_batch *b, size_t n)
{
    const struct jmap_caller *who = b->r->who;
    return who->quota_bytes && account_bytes(b->r->account) + b->bytes + n > who->quota_bytes;
}

struct record_email *jmap_email_batch_change(struct jmap_email_batch *b)
{
    b->emails = mem_grow(b->emails, b->n_emails, &b->cap_emails, sizeof(b->emails[0]));
    return &b->emails[b->n_emails++];
}

json_t *jmap_email_add(struct jmap_email_batch *b, struct slice bytes, const json_t *mailboxes,
                       const json_t *keywords, utc_ms received, uint64_t *ret_id)
{
    struct jmap_run *r = b->r;
    struct errinfo ei;
    struct record_fields *fields = ARENA_NEW(r->arena, struct record_fields);
    struct record_email e = {.account = r->who->person, .received = received};
    e.places = ARENA_ARRAY(r->arena, struct record_place, PLACES_MAX);
    json_t *error = jmap_email_set_mailboxes(r, &e, mailboxes);
    if (!error && keywords)
        error = jmap_email_set_keywords(r, &e, keywords);
    if (error)
        return error;
    if (is_over_quota(b, bytes.n))
        return jmap_set_error("overQuota", NULL, "the mailbox is full");
    enum err err = r->host->fields(r->host->arg, bytes, r->arena, fields, &ei);
    if (err != ERR_OK)
        return jmap_set_err(err, &ei);
    e.message = r->host->next_id(r->host->arg);
    e.counted = 0;
    b->messages = mem_grow(b->messages, b->n_messages, &b->cap_messages, sizeof(b->messages[0]));
    b->messages[b->n_messages++] =
        (struct jmap_message){.id = e.message, .bytes = bytes, .fields = fields};
    b->bytes += bytes.n;
    *jmap_email_batch_change(b) = e;
    *ret_id = e.message;
    return NULL;
}

enum err jmap_email_batch_write(struct jmap_email_batch *b, struct errinfo *ei)
{
    struct jmap_commit c = {.messages = b->messages,
                            .n_messages = b->n_messages,
                            .emails = b->emails,
                            .n_emails = b->n_emails};
    enum err err = b->n_emails ? jmap_commit_now(b->r, &c, ei) : ERR_OK;
    b->n_messages = b->n_emails = 0;
    b->bytes = 0;
    return err;
}

void jmap_email_batch_finish(struct jmap_email_batch *b)
{
    mem_free(&b->messages);
    mem_free(&b->emails);
}

json_t *jmap_email_created(struct jmap_run *r, uint64_t id)
{
    const struct account_email *e = account_email(r->account, id);
    return json_pack("{s:o, s:o, s:o, s:I}", "id", jmap_id_json('M', id), "blobId",
                     jmap_id_json('M', id), "threadId", jmap_id_json('T', e ? e->thread : id),
                     "size", (json_int_t)(e ? e->bytes : 0));
}
