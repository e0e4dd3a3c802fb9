/* A person's account in a real store, and a host that does on one thread what desk does on many.
 * Requests are written with ' in place of ". */
#ifndef JMAP_TEST_JMAP_KIT_H
#define JMAP_TEST_JMAP_KIT_H

#include "email/email_list.h"
#include "jmap/jmap.h"
#include "jmap/jmap_item.h"

#include "base/mail.h"
#include "base/test/folder.h"
#include "mime/mime.h"
#include "store/store_account.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KIT_ANNA = 7, KIT_LUCA = 8, KIT_INBOX = 100 };

struct kit {
    struct folder folder;
    char dir[64];
    struct store *store;
    struct store_reader *reader;
    struct account_cache *accounts;
    struct jmap *jmap;
    uint64_t last_id, modseq[2]; /* of Anna, of Luca */
    struct slice address;
    struct jmap_caller anna, luca;
    enum err commit_fails;   /* not ERR_OK: the next commit does */
    bool commit_lags;        /* the next one is durable, and not to be seen yet */
    bool index_lags;         /* what is shown is older than what is durable */
    void (*on_commit)(void); /* these may be NULL */
    void (*on_read)(void);
    unsigned n_reads;
    void (*on_search)(void); /* then nothing is found; NULL: there is no index of words */
    struct {                 /* push subscriptions: what the host heard last */
        unsigned n, most;    /* calls; how many one may have */
        uint64_t id;
        struct buf body;
        bool has_states;
    } push;
    struct buf out;
};

/* ---- writing ---- */

struct kit_wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_done;
    enum err err;
};

static inline void kit_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct kit_wait *w = change->arg;
    pthread_mutex_lock(&w->lock);
    w->is_done = true;
    w->err = err;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static inline void kit_write(struct kit *k, enum record_type type, uint64_t id, struct buf *facts,
                             struct slice body)
{
    struct kit_wait w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, ERR_OK};
    struct store_change change = {
        .type = type, .id = id, .facts = buf_slice(facts), .done = kit_written, .arg = &w};
    change.body[0] = body;
    assert_false(facts->failed);
    store_submit(k->store, &change);
    pthread_mutex_lock(&w.lock);
    while (!w.is_done)
        pthread_cond_wait(&w.cond, &w.lock);
    pthread_mutex_unlock(&w.lock);
    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(store_wait_applied(k->store, change.pos, SECONDS(20)), ERR_OK);
    buf_clear(facts);
}

/* ---- the host ---- */

static inline uint64_t kit_next_id(void *arg)
{
    struct kit *k = arg;
    return ++k->last_id;
}

static inline enum err kit_fields(void *, struct slice message, struct arena *arena,
                                  struct record_fields *ret, struct errinfo *)
{
    struct mime_list_fields f;
    mime_list_fields(message, NULL, arena, &f);
    struct slice address = SLICE("");
    if (f.from.domain.n)
        address = slice_str(arena_printf(arena, SLICE_FMT "@" SLICE_FMT, SLICE_ARG(f.from.local),
                                         SLICE_ARG(f.from.domain)));
    struct slice refs = f.references.n    ? f.references.v[f.references.n - 1]
                        : f.in_reply_to.n ? f.in_reply_to.v[0]
                                          : SLICE("");
    struct slice to = f.to.n ? f.to.v[0].name : SLICE("");
    if (f.to.n && !to.n)
        to = slice_str(arena_printf(arena, SLICE_FMT "@" SLICE_FMT, SLICE_ARG(f.to.v[0].local),
                                    SLICE_ARG(f.to.v[0].domain)));
    *ret = (struct record_fields){.subject = f.subject,
                                  .base_subject = f.base_subject,
                                  .to = to,
                                  .from_name = f.from.name,
                                  .from_address = address,
                                  .message_id = f.message_id,
                                  .references = refs,
                                  .date = f.date,
                                  .preview = f.preview,
                                  .has_attachment = email_list_has_attachment(&f.structure)};
    return ERR_OK;
}

static inline void kit_put_message(struct kit *k, const struct jmap_message *m)
{
    SCOPED(buf_finish) struct buf facts = buf_make(STORE_RECORD_MAX);
    struct record_message r = {.id = m->id,
                               .received = 1000,
                               .tenant = 1,
                               .direction = DIRECTION_PERSON,
                               .flags = m->fields ? 0 : MESSAGE_IS_BLOB,
                               .bytes = (uint32_t)m->bytes.n};
    struct record_fields fields = m->fields ? *m->fields : (struct record_fields){};
    r.fields = &fields;
    r.n_fields = m->fields != NULL;
    record_message_pack(&facts, &r);
    kit_write(k, RECORD_MESSAGE, m->id, &facts, m->bytes);
}

static inline void kit_number(struct record_email *e, uint64_t modseq)
{
    e->modseq = modseq;
    e->counted = e->counted ? e->counted : modseq;
    for (uint32_t i = 0; i < e->n_places; i++) {
        e->places[i].modseq = e->places[i].modseq ? e->places[i].modseq : modseq;
        e->places[i].uid = e->places[i].uid ? e->places[i].uid : (uint32_t)modseq;
    }
}

static inline enum err kit_commit(void *arg, const struct jmap_caller *who, struct jmap_commit *c,
                                  struct errinfo *ei)
{
    struct kit *k = arg;
    SCOPED(buf_finish) struct buf facts = buf_make(STORE_RECORD_MAX);
    uint64_t *modseq = &k->modseq[who->person - KIT_ANNA];
    if (k->on_commit)
        k->on_commit();
    if (k->commit_fails != ERR_OK) {
        enum err err = k->commit_fails;
        k->commit_fails = ERR_OK;
        return err_set(ei, err, "the disk is full");
    }
    for (size_t i = 0; i < c->n_messages; i++)
        kit_put_message(k, &c->messages[i]);
    for (size_t i = 0; i < c->n_mailboxes; i++) {
        c->mailboxes[i].modseq = ++*modseq;
        c->mailboxes[i].created = c->mailboxes[i].created ? c->mailboxes[i].created : *modseq;
    }
    for (size_t i = 0; i < c->n_emails; i++)
        kit_number(&c->emails[i], ++*modseq);
    for (size_t i = 0; i < c->n_items; i++) {
        c->items[i].modseq = ++*modseq;
        c->items[i].created = c->items[i].created ? c->items[i].created : *modseq;
    }
    struct record_mailboxes boxes = {};
    struct record_emails emails = {.emails = c->emails, .n_emails = (uint32_t)c->n_emails};
    struct record_items items = {.items = c->items, .n_items = (uint32_t)c->n_items};
    boxes.mailboxes = c->mailboxes;
    boxes.n_mailboxes = (uint32_t)c->n_mailboxes;
    record_mailboxes_pack(&facts, &boxes);
    if (c->n_mailboxes)
        kit_write(k, RECORD_MAILBOX, 0, &facts, SLICE(""));
    buf_clear(&facts);
    record_emails_pack(&facts, &emails);
    if (c->n_emails)
        kit_write(k, RECORD_EMAIL, 0, &facts, SLICE(""));
    buf_clear(&facts);
    record_items_pack(&facts, &items);
    if (c->n_items)
        kit_write(k, RECORD_ITEM, 0, &facts, SLICE(""));
    bool lags = k->commit_lags;
    k->commit_lags = false;
    return lags ? err_set(ei, ERR_EXISTS, "the index is behind") : ERR_OK;
}

static inline bool kit_caught_up(void *arg)
{
    const struct kit *k = arg;
    return !k->index_lags;
}

static inline enum err kit_read(void *arg, struct store_reader *reader, uint64_t message,
                                struct buf *ret, struct errinfo *ei)
{
    struct kit *k = arg;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    struct record_extent *extents;
    k->n_reads++;
    if (k->on_read)
        k->on_read();
    size_t n;
    enum err err = store_get_extents(reader, message, arena, &extents, &n, ei);
    return err == ERR_OK ? store_read_body(k->store, message, extents, n, ret, ei) : err;
}

static inline enum err kit_render(void *, struct slice message, struct slice blob,
                                  const struct email_want *want, struct buf *ret,
                                  struct errinfo *ei)
{
    return email_render(message, blob, want, ret, ei);
}

static inline enum err kit_search(void *arg, uint64_t, struct slice, size_t, mono_us,
                                  struct arena *arena, uint64_t **ret, size_t *ret_n,
                                  struct errinfo *ei)
{
    struct kit *k = arg;
    if (k->on_search) {
        k->on_search();
        *ret = ARENA_NEW(arena, uint64_t);
        *ret_n = 0;
        return ERR_OK;
    }
    return err_set(ei, ERR_RETRY, "no index of words here");
}

static inline enum err kit_may_subscribe(void *arg, const struct jmap_caller *, size_t n_has,
                                         struct errinfo *ei)
{
    const struct kit *k = arg;
    return n_has < k->push.most ? ERR_OK : err_set(ei, ERR_LIMIT, "too many");
}

static inline void kit_subscribed(void *arg, const struct jmap_caller *, uint64_t subscription,
                                  struct slice body, const struct jmap_states *now)
{
    struct kit *k = arg;
    k->push.n++;
    k->push.id = subscription;
    k->push.has_states = now != NULL;
    buf_clear(&k->push.body);
    buf_adds(&k->push.body, body);
}

/* ---- beginning and end ---- */

/* Everybody may send, and nothing is. */
static inline enum err kit_may_submit(void *, const struct jmap_caller *, size_t, struct errinfo *)
{
    return ERR_OK;
}

static inline void kit_unsubmitted(void *, const struct jmap_caller *, size_t, utc_ms)
{
}

static inline void kit_submitted(void *, const struct jmap_caller *, uint64_t, utc_ms)
{
}

static inline enum err kit_withdraw(void *, const struct jmap_caller *, uint64_t, struct errinfo *)
{
    return ERR_OK;
}

static inline void kit_add_account(struct kit *k, uint64_t person, uint64_t inbox)
{
    SCOPED(buf_finish) struct buf facts = buf_make(4096);
    struct record_mailbox m = {.id = inbox,
                               .person = person,
                               .tenant = 1,
                               .name = SLICE("Inbox"),
                               .role = SLICE("inbox"),
                               .uid_validity = 1,
                               .modseq = ++k->modseq[person - KIT_ANNA],
                               .is_subscribed = 1,
                               .created = 1};
    struct record_mailboxes all = {.mailboxes = &m, .n_mailboxes = 1};
    record_mailboxes_pack(&facts, &all);
    kit_write(k, RECORD_MAILBOX, 0, &facts, SLICE(""));
}

static inline void kit_open(struct kit *k)
{
    static const struct slice addresses[2] = {SLICE("anna@example.test"),
                                              SLICE("luca@example.test")};
    struct errinfo ei = {};
    /* As core's ids: they begin with the time. */
    *k = (struct kit){.last_id = (uint64_t)utc_now() << 20, .out = buf_make(64 << 20)};
    k->push.most = 20;
    k->push.body = buf_make(JMAP_ITEM_BODY_MAX);
    snprintf(k->dir, sizeof(k->dir), "/tmp/jmap-XXXXXX");
    assert_true(folder_make(&k->folder, k->dir));
    struct store_options o = {.dir = k->dir, .segment_bytes = 4 << 20, .n_pool = 1};
    assert_int_equal(store_open(&o, &k->store, &ei), ERR_OK);
    kit_add_account(k, KIT_ANNA, KIT_INBOX);
    kit_add_account(k, KIT_LUCA, KIT_INBOX + 1);
    assert_int_equal(store_reader_open(k->dir, &k->reader, &ei), ERR_OK);
    struct jmap_host host = {.arg = k,
                             .node = "mx1.test",
                             .version = "0",
                             .next_id = kit_next_id,
                             .caught_up = kit_caught_up,
                             .commit = kit_commit,
                             .read = kit_read,
                             .render = kit_render,
                             .fields = kit_fields,
                             .search = kit_search,
                             .may_submit = kit_may_submit,
                             .unsubmitted = kit_unsubmitted,
                             .submitted = kit_submitted,
                             .withdraw = kit_withdraw,
                             .may_subscribe = kit_may_subscribe,
                             .subscribed = kit_subscribed};
    k->accounts = account_cache_create(64 << 20);
    k->jmap = jmap_create(&host, k->accounts);
    k->anna = (struct jmap_caller){.person = KIT_ANNA,
                                   .tenant = 1,
                                   .name = SLICE("Anna"),
                                   .addresses = &addresses[0],
                                   .n_addresses = 1,
                                   .size_max = 1 << 20,
                                   .origin = SLICE("https://mail.test")};
    k->luca = k->anna;
    k->luca.person = KIT_LUCA;
    k->luca.addresses = &addresses[1];
}

static inline void kit_close(struct kit *k)
{
    jmap_destroy(&k->jmap);
    account_cache_destroy(&k->accounts);
    store_reader_close(&k->reader);
    store_close(&k->store);
    assert_true(folder_finish(&k->folder));
    buf_finish(&k->out);
    buf_finish(&k->push.body);
}

/* ---- asking ---- */

/* The whole answer, which is the caller's; `ret_status` may be NULL. `text`: ' stands for ". */
static inline json_t *kit_ask_as(struct kit *k, const struct jmap_caller *who, const char *text,
                                 unsigned *ret_status)
{
    char *json = mem_str(text);
    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    buf_clear(&k->out);
    unsigned status = jmap_api(k->jmap, k->reader, who, slice_str(json), &k->out);
    mem_free(&json);
    if (ret_status)
        *ret_status = status;
    json_t *answer = json_loadb(k->out.p, k->out.n, 0, NULL);
    assert_non_null(answer);
    return answer;
}

static inline const char *kit_account(const struct jmap_caller *who)
{
    static char text[20];
    text[0] = 'A';
    message_id_text(who->person, text + 1);
    return text;
}

/* One call: `args` without accountId. Its arguments, the caller's; for an error {"type": …}. */
static inline json_t *kit_call_as(struct kit *k, const struct jmap_caller *who, const char *method,
                                  const char *args)
{
    static char text[200000];
    snprintf(text, sizeof(text),
             "{'using':['urn:ietf:params:jmap:core','urn:ietf:params:jmap:mail',"
             "'urn:ietf:params:jmap:quota','urn:ietf:params:jmap:blob'],"
             "'methodCalls':[['%s',{'accountId':'%s'%s%s},'c0']]}",
             method, kit_account(who), args[0] ? "," : "", args);
    json_t *answer = kit_ask_as(k, who, text, NULL);
    json_t *response = json_array_get(json_object_get(answer, "methodResponses"), 0);
    assert_non_null(response);
    json_t *result = json_incref(json_array_get(response, 1));
    json_decref(answer);
    return result;
}

static inline json_t *kit_call(struct kit *k, const char *method, const char *args)
{
    return kit_call_as(k, &k->anna, method, args);
}

/* Where a path of names and numbers ("created.a.id", "list.0.name") leads; NULL: nowhere. */
static inline const json_t *kit_at(const json_t *o, const char *path)
{
    char step[80];
    while (o && *path) {
        size_t n = strcspn(path, ".");
        snprintf(step, sizeof(step), "%.*s", (int)n, path);
        o = json_is_array(o) ? json_array_get(o, (size_t)atol(step)) : json_object_get(o, step);
        path += n + (path[n] == '.');
    }
    return o;
}

static inline const char *kit_text(const json_t *o, const char *path)
{
    const char *text = json_string_value(kit_at(o, path));
    return text ? text : "(nothing)";
}

#define assert_text(o, path, want) assert_string_equal(kit_text(o, path), want)
#define assert_number(o, path, want)                                                               \
    assert_int_equal(json_integer_value(kit_at(o, path)), (json_int_t)(want))

#endif
