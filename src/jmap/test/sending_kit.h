/* One person's JMAP on a real store in a folder of its own; the host reads and renders in the same
 * process. For tests: include it in one file of a program. */
#ifndef JMAP_TEST_JMAP_KIT_H
#define JMAP_TEST_JMAP_KIT_H

#include "base/log.h"
#include "base/mail.h"
#include "base/test/folder.h"
#include "jmap/jmap.h"
#include "jmap/jmap_item.h"
#include "store/store_account.h"

#include <pthread.h>

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunused-function"

enum { KIT_PERSON = 7, KIT_TENANT = 1, KIT_INBOX = 100 };

static struct kit {
    char folder[64];
    struct folder own;
    struct store *store;
    struct store_reader *reader;
    struct account_cache *accounts;
    struct jmap *jmap;
    struct slice addresses[2];
    struct jmap_caller who;
    uint64_t last_id, modseq;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned n_open;
    enum err written;
    uint64_t pos;
    /* sending */
    enum err may;       /* what may_submit says */
    size_t n_counted;   /* recipients that it said yes to, and that were not given back */
    enum err fields;    /* what the gate says */
    enum err withdrawn; /* what withdraw says */
    bool commit_lags;   /* what is committed is durable, and not to be seen yet */
    unsigned n_submitted;
    uint64_t submitted;
    utc_ms send_at;
} kit;

static void kit_written(struct store_change *change, enum err err, const struct errinfo *)
{
    pthread_mutex_lock(&kit.lock);
    kit.written = err == ERR_OK ? kit.written : err;
    kit.pos = change->pos > kit.pos ? change->pos : kit.pos;
    kit.n_open--;
    pthread_cond_broadcast(&kit.cond);
    pthread_mutex_unlock(&kit.lock);
}

/* One record, durable and applied. */
static enum err kit_write(enum record_type type, uint64_t id, const struct buf *facts,
                          struct slice body)
{
    struct store_change change = {
        .type = (uint16_t)type, .id = id, .facts = buf_slice(facts), .done = kit_written};
    change.body[0] = body;
    must(!facts->failed);
    kit.written = ERR_OK;
    kit.n_open = 1;
    store_submit(kit.store, &change);
    pthread_mutex_lock(&kit.lock);
    while (kit.n_open > 0)
        pthread_cond_wait(&kit.cond, &kit.lock);
    pthread_mutex_unlock(&kit.lock);
    return kit.written == ERR_OK ? store_wait_applied(kit.store, kit.pos, SECONDS(5)) : kit.written;
}

/* ---- the host ---- */

static bool kit_caught_up(void *)
{
    return true;
}

static uint64_t kit_next_id(void *)
{
    return ++kit.last_id;
}

static void kit_write_message(const struct jmap_message *m)
{
    struct record_fields fields = m->fields ? *m->fields : (struct record_fields){};
    struct record_message record = {.id = m->id,
                                    .received = utc_now(),
                                    .tenant = KIT_TENANT,
                                    .direction = DIRECTION_PERSON,
                                    .flags = m->fields ? 0 : MESSAGE_IS_BLOB,
                                    .bytes = (uint32_t)m->bytes.n,
                                    .fields = &fields,
                                    .n_fields = m->fields != NULL};
    SCOPED(buf_finish) struct buf facts = buf_make(100000);
    record_message_pack(&facts, &record);
    assert_int_equal(kit_write(RECORD_MESSAGE, m->id, &facts, m->bytes), ERR_OK);
}

static void kit_number(struct record_email *e)
{
    e->modseq = ++kit.modseq;
    e->counted = e->counted ? e->counted : e->modseq;
    for (uint32_t i = 0; i < e->n_places; i++) {
        struct record_place *p = &e->places[i];
        p->modseq = p->modseq ? p->modseq : e->modseq;
        p->uid = p->uid ? p->uid : (uint32_t)e->modseq;
    }
}

static enum err kit_commit(void *, const struct jmap_caller *, struct jmap_commit *c,
                           struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf facts = buf_make(STORE_RECORD_MAX);
    struct record_mailboxes mailboxes = {c->mailboxes, (uint32_t)c->n_mailboxes};
    struct record_emails emails = {c->emails, (uint32_t)c->n_emails};
    struct record_items items = {c->items, (uint32_t)c->n_items};
    enum err err = ERR_OK;
    for (size_t i = 0; i < c->n_messages; i++)
        kit_write_message(&c->messages[i]);
    for (size_t i = 0; i < c->n_mailboxes; i++) {
        c->mailboxes[i].modseq = ++kit.modseq;
        c->mailboxes[i].created = c->mailboxes[i].created ? c->mailboxes[i].created : kit.modseq;
    }
    for (size_t i = 0; i < c->n_emails; i++)
        kit_number(&c->emails[i]);
    for (size_t i = 0; i < c->n_items; i++)
        c->items[i].modseq = ++kit.modseq;
    record_mailboxes_pack(&facts, &mailboxes);
    if (c->n_mailboxes)
        err = kit_write(RECORD_MAILBOX, 0, &facts, SLICE(""));
    buf_clear(&facts);
    record_emails_pack(&facts, &emails);
    if (c->n_emails && err == ERR_OK)
        err = kit_write(RECORD_EMAIL, 0, &facts, SLICE(""));
    buf_clear(&facts);
    record_items_pack(&facts, &items);
    if (c->n_items && err == ERR_OK)
        err = kit_write(RECORD_ITEM, 0, &facts, SLICE(""));
    return err == ERR_OK && kit.commit_lags ? err_set(ei, ERR_EXISTS, "the index is behind") : err;
}

static enum err kit_read(void *, struct store_reader *reader, uint64_t message, struct buf *ret,
                         struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct record_extent *extents;
    size_t n;
    enum err err = store_get_extents(reader, message, a, &extents, &n, ei);
    return err == ERR_OK ? store_read_body(kit.store, message, extents, n, ret, ei) : err;
}

static enum err kit_render(void *, struct slice message, struct slice blob,
                           const struct email_want *want, struct buf *ret, struct errinfo *ei)
{
    return email_render(message, blob, want, ret, ei);
}

static enum err kit_fields(void *, struct slice, struct arena *, struct record_fields *ret,
                           struct errinfo *ei)
{
    if (kit.fields != ERR_OK)
        return err_set(ei, kit.fields, "no gate has time");
    *ret = (struct record_fields){.subject = SLICE("a subject"), .date = 1};
    return ERR_OK;
}

static enum err kit_may_submit(void *, const struct jmap_caller *, size_t n, struct errinfo *ei)
{
    if (kit.may != ERR_OK)
        return err_set(ei, kit.may, "too many at once");
    kit.n_counted += n;
    return ERR_OK;
}

static void kit_unsubmitted(void *, const struct jmap_caller *, size_t n, utc_ms counted)
{
    assert_true(n <= kit.n_counted && counted <= utc_now());
    kit.n_counted -= n;
}

static void kit_submitted(void *, const struct jmap_caller *, uint64_t submission, utc_ms send_at)
{
    kit.n_submitted++;
    kit.submitted = submission;
    kit.send_at = send_at;
}

static enum err kit_withdraw(void *, const struct jmap_caller *, uint64_t, struct errinfo *ei)
{
    return kit.withdrawn == ERR_OK ? ERR_OK : err_set(ei, kit.withdrawn, "too late");
}

/* ---- life ---- */

static void kit_open(void)
{
    struct errinfo ei;
    struct store_options o = {.dir = kit.folder, .segment_bytes = 4 << 20, .n_pool = 1};
    if (store_open(&o, &kit.store, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
}

static int kit_setup(void **)
{
    struct errinfo ei;
    kit = (struct kit){.last_id = 1ull << 40, .modseq = 1};
    pthread_mutex_init(&kit.lock, NULL);
    pthread_cond_init(&kit.cond, NULL);
    log_init("test", LOG_ERROR);
    snprintf(kit.folder, sizeof(kit.folder), "/tmp/jmap-XXXXXX");
    assert_true(folder_make(&kit.own, kit.folder));
    kit_open();
    struct record_mailbox inbox = {.id = KIT_INBOX,
                                   .person = KIT_PERSON,
                                   .tenant = KIT_TENANT,
                                   .name = SLICE("Inbox"),
                                   .role = SLICE("inbox"),
                                   .uid_validity = 1};
    struct jmap_commit c = {.mailboxes = &inbox, .n_mailboxes = 1};
    assert_int_equal(kit_commit(NULL, NULL, &c, &ei), ERR_OK);
    assert_int_equal(store_reader_open(kit.folder, &kit.reader, &ei), ERR_OK);
    kit.accounts = account_cache_create(64 << 20);
    const struct jmap_host host = {.node = "mx1.staffetta.example",
                                   .version = "0",
                                   .next_id = kit_next_id,
                                   .caught_up = kit_caught_up,
                                   .commit = kit_commit,
                                   .read = kit_read,
                                   .render = kit_render,
                                   .fields = kit_fields,
                                   .may_submit = kit_may_submit,
                                   .unsubmitted = kit_unsubmitted,
                                   .submitted = kit_submitted,
                                   .withdraw = kit_withdraw};
    kit.jmap = jmap_create(&host, kit.accounts);
    kit.addresses[0] = SLICE("anna@example.test");
    kit.addresses[1] = SLICE("info@example.test");
    kit.who = (struct jmap_caller){.person = KIT_PERSON,
                                   .tenant = KIT_TENANT,
                                   .name = SLICE("Anna Rossi"),
                                   .addresses = kit.addresses,
                                   .n_addresses = 2,
                                   .size_max = 1 << 20,
                                   .may_send = true,
                                   .origin = SLICE("https://mail.example.test")};
    return 0;
}

static int kit_teardown(void **)
{
    jmap_destroy(&kit.jmap);
    account_cache_destroy(&kit.accounts);
    store_reader_close(&kit.reader);
    store_close(&kit.store);
    assert_true(folder_finish(&kit.own));
    pthread_cond_destroy(&kit.cond);
    pthread_mutex_destroy(&kit.lock);
    return 0;
}

/* ---- asking ---- */

/* The answers to these method calls (JSON with ' for ", the account's id for @); the caller's. */
static json_t *kit_ask(const char *calls)
{
    SCOPED(buf_finish) struct buf body = buf_make(1 << 20), out = buf_make(16 << 20);
    char id[MESSAGE_ID_TEXT];
    message_id_text(KIT_PERSON, id);
    buf_adds(&body, SLICE("{\"using\":[\"urn:ietf:params:jmap:core\",\"urn:ietf:params:jmap:mail\","
                          "\"urn:ietf:params:jmap:submission\","
                          "\"urn:ietf:params:jmap:vacationresponse\"],\"methodCalls\":"));
    for (const char *p = calls; *p; p++) {
        if (*p == '@' && p[1] == '@')
            buf_addf(&body, "\"A%s\"", id);
        else if (!(*p == '@' && p > calls && p[-1] == '@'))
            buf_addc(&body, *p == '\'' ? '"' : *p);
    }
    buf_addc(&body, '}');
    unsigned status = jmap_api(kit.jmap, kit.reader, &kit.who, buf_slice(&body), &out);
    if (status != 200)
        fail_msg("%u " SLICE_FMT, status, SLICE_ARG(buf_slice(&out)));
    json_t *whole = json_loadb(out.p, out.n, 0, NULL);
    json_t *answers = json_incref(json_object_get(whole, "methodResponses"));
    json_decref(whole);
    return answers;
}

/* A place in JSON: "1.list.0.name". NULL: there is none. */
static json_t *kit_at(json_t *from, const char *path)
{
    char step[100];
    while (from && *path) {
        size_t n = strcspn(path, ".");
        snprintf(step, sizeof(step), "%.*s", (int)n, path);
        path += n + (path[n] == '.');
        from = json_is_array(from) ? json_array_get(from, strtoul(step, NULL, 10))
                                   : json_object_get(from, step);
    }
    return from;
}

static const char *kit_text(json_t *from, const char *path)
{
    const char *text = json_string_value(kit_at(from, path));
    return text ? text : "";
}

static void kit_expect(json_t *from, const char *path, const char *want)
{
    json_t *found = kit_at(from, path);
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    char wanted[2000];
    size_t n = 0;
    for (; want[n] && n < sizeof(wanted) - 1; n++)
        wanted[n] = want[n] == '\'' ? '"' : want[n];
    wanted[n] = '\0';
    if (!text || strcmp(text, wanted) != 0) {
        char *all = json_dumps(from, JSON_INDENT(1));
        fail_msg("%s is %s, not %s, in %s", path, text ? text : "not there", wanted, all);
    }
    free(text);
}

#endif
