/* The desk's test kit: what a person sends, put as JMAP puts it; and DKIM keys. */
#ifndef DESK_TEST_DESK_KIT_SUBMIT_H
#define DESK_TEST_DESK_KIT_SUBMIT_H

#include "desk_kit.h"

#include "desk/desk_submit_int.h"
#include "store/store_account.h"

static const char MAIL[] = "From: Anna <anna@example.test>\r\nTo: x@y.test\r\nSubject: hello\r\n"
                           "Message-ID: <1@example.test>\r\n"
                           "Date: Sun, 22 Nov 2026 05:00:00 +0000\r\n\r\nhello\r\n";

/* ---- submissions ---- */

struct sub {
    uint64_t id, blob;
    utc_ms send_at;
    enum jmap_submission_state state;
    const char *rcpts[8];
    uint8_t notify, ret;
    struct jmap_item_part *parts;
    uint32_t n_parts;
    const char *mail; /* NULL: MAIL */
    bool is_silent;   /* the desk is not told of it: it finds it at start */
    bool is_damaged;  /* its item */
    /* the writing */
    struct store_change message, item;
    struct buf facts, items, body;
    unsigned n_left; /* under kit->lock */
};

static void sub_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct sub *s = change->arg;
    must(err == ERR_OK);
    pthread_mutex_lock(&kit->lock);
    s->n_left--;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void pack_message(struct sub *s)
{
    struct record_fields fields = {.subject = SLICE("hello"),
                                   .from_address = SLICE("anna@example.test"),
                                   .message_id = SLICE("1@example.test"),
                                   .date = 1};
    struct record_message m = {.id = s->blob,
                               .received = utc_now(),
                               .tenant = KIT_TENANT,
                               .direction = DIRECTION_PERSON,
                               .bytes = (uint32_t)strlen(s->mail),
                               .fields = &fields,
                               .n_fields = 1};
    s->facts = buf_make(10000);
    record_message_pack(&s->facts, &m);
    s->message = (struct store_change){.type = RECORD_MESSAGE,
                                       .id = s->blob,
                                       .facts = buf_slice(&s->facts),
                                       .done = sub_written,
                                       .arg = s};
    s->message.body[0] = slice_str(s->mail);
}

static void pack_items(struct sub *s)
{
    struct jmap_item_rcpt rcpts[8] = {0};
    struct jmap_item_submission x = {.identity = 1,
                                     .email = 1,
                                     .blob = s->blob,
                                     .created = utc_now(),
                                     .send_at = s->send_at,
                                     .state = (uint8_t)s->state,
                                     .ret = s->ret,
                                     .mail_from = SLICE("anna@example.test"),
                                     .rcpts = rcpts,
                                     .parts = s->parts,
                                     .n_parts = s->n_parts};
    for (; x.n_rcpts < 8 && s->rcpts[x.n_rcpts]; x.n_rcpts++)
        rcpts[x.n_rcpts] =
            (struct jmap_item_rcpt){.address = slice_str(s->rcpts[x.n_rcpts]),
                                    .notify = s->notify,
                                    .part = (uint16_t)(s->n_parts ? 1 + x.n_rcpts : 0)};
    s->body = buf_make(JMAP_ITEM_BODY_MAX);
    jmap_item_submission_pack(&s->body, &x);
    s->body.n = s->is_damaged ? 5 : s->body.n;
    struct desk_account *account = desk_account(kit->desk, KIT_ANNA);
    struct record_item items[] = {
        {.account = KIT_ANNA, .kind = ITEM_BLOB, .id = s->blob, .modseq = ++account->modseq},
        {.account = KIT_ANNA,
         .kind = ITEM_SUBMISSION,
         .id = s->id,
         .modseq = ++account->modseq,
         .body = buf_slice(&s->body)}};
    struct record_items all = {items, 2};
    s->items = buf_make(100000);
    record_items_pack(&s->items, &all);
    s->item = (struct store_change){
        .type = RECORD_ITEM, .facts = buf_slice(&s->items), .done = sub_written, .arg = s};
}

static void sub_put_now(void *arg)
{
    struct sub *s = arg;
    s->id = s->id ? s->id : desk_next_id(kit->desk);
    s->blob = desk_next_id(kit->desk);
    s->state = s->state ? s->state : JMAP_PENDING;
    s->n_left = 2;
    s->mail = s->mail ? s->mail : MAIL;
    pack_message(s);
    pack_items(s);
    store_submit(kit->desk->store, &s->message);
    store_submit(kit->desk->store, &s->item);
}

/* As JMAP does it: durable, then the desk is told. */
static void put(struct sub *s)
{
    kit_on_loop(sub_put_now, s);
    pthread_mutex_lock(&kit->lock);
    while (s->n_left > 0)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
    buf_finish(&s->facts);
    buf_finish(&s->items);
    buf_finish(&s->body);
    if (!s->is_silent)
        desk_submitted(kit->desk, KIT_ANNA, s->id, s->send_at);
}

static struct arena *seen_arena;

/* As the index shows it now. */
static struct jmap_item_submission look(const struct sub *s)
{
    struct store_reader *reader = kit_reader();
    struct record_item item;
    struct jmap_item_submission x = {};
    struct errinfo ei;
    arena_destroy(&seen_arena);
    seen_arena = arena_create(1 << 20);
    enum err err = store_get_item(reader, KIT_ANNA, ITEM_SUBMISSION, s->id, seen_arena, &item, &ei);
    store_reader_close(&reader);
    if (err == ERR_OK)
        assert_true(jmap_item_submission_unpack(item.body, seen_arena, &x));
    return x;
}

static struct jmap_item_submission await_state(const struct sub *s, enum jmap_submission_state want)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    struct jmap_item_submission x = {};
    while (mono_now() < until) {
        x = look(s);
        if (x.state == want)
            return x;
        usleep(3000);
    }
    fail_msg("it is in state %d", x.state);
    return x;
}

static bool has_blob(const struct sub *s)
{
    struct store_reader *reader = kit_reader();
    struct arena *a = arena_create(1 << 20);
    struct record_item item = {};
    struct errinfo ei;
    enum err err = store_get_item(reader, KIT_ANNA, ITEM_BLOB, s->blob, a, &item, &ei);
    arena_destroy(&a);
    store_reader_close(&reader);
    return err == ERR_OK && !item.is_gone;
}

/* ---- keys ---- */

/* RSA as sf1r, Ed25519 as sf1e, of example.test, with these states (digits); their records go to
 * `records` (may be NULL). */
static void put_keys(const char *states, struct buf records[2])
{
    static const enum sign_key_kind kinds[] = {SIGN_KEY_RSA2048, SIGN_KEY_ED25519};
    struct kit_objects all = {.n = 0};
    struct dir_dkim_key keys[2];
    struct buf secrets[2];
    struct errinfo ei;
    for (size_t i = 0; i < 2; i++) {
        struct sign_key *key;
        secrets[i] = buf_make(SIGN_PEM_MAX);
        assert_int_equal(sign_key_create(kinds[i], &key, &ei), ERR_OK);
        assert_int_equal(sign_key_pem(key, &secrets[i], &ei), ERR_OK);
        if (records)
            assert_int_equal(sign_key_record(key, &records[i], &ei), ERR_OK);
        sign_key_destroy(&key);
        keys[i] = (struct dir_dkim_key){.selector = i ? SLICE("sf1e") : SLICE("sf1r"),
                                        .kind = (uint8_t)i,
                                        .state = (uint8_t)(states[i] - '0'),
                                        .secret = buf_slice(&secrets[i])};
    }
    struct dir_dkim dkim = {keys, 2};
    dir_dkim_pack(kit_object(&all, OBJECT_DKIM, KIT_DOMAIN, KIT_TENANT, "example.test"), &dkim);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    buf_finish(&secrets[0]);
    buf_finish(&secrets[1]);
}

#endif
