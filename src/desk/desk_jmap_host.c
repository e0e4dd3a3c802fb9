/* What requests of people may use of core: numbers, durable changes, bytes, gates.
 *
 * All of it is called on worker threads and waits. Numbers of an account are given on the loop, in
 * the order in which records go to the store: deliveries take theirs there too. */
#include "desk/desk_account_int.h"
#include "desk/desk_jmap_int.h"
#include "desk/desk_parse_int.h"
#include "desk/desk_push_int.h"
#include "desk/desk_submit_int.h"
#include "desk/desk_state_int.h"
#include "desk/desk_vacation_int.h"

#include "store/store_search.h"

#include <stdio.h>

enum { APPLY_SECONDS = 20, READ_TRIES = 3, PARSE_SECONDS = 15 };

/* ---- waiting on a worker for what the loop or the store will say ---- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    size_t n_open; /* under lock */
    enum err err;  /* under lock; the first that is not OK */
    struct errinfo ei;
    uint64_t pos; /* under lock; the largest of what was written */
};

static void waiter_init(struct waiter *w, size_t n)
{
    *w = (struct waiter){.n_open = n};
    must(pthread_mutex_init(&w->lock, NULL) == 0);
    must(pthread_cond_init(&w->cond, NULL) == 0);
}

static void waiter_done(struct waiter *w, enum err err, const struct errinfo *ei, uint64_t pos)
{
    pthread_mutex_lock(&w->lock);
    if (w->err == ERR_OK && err != ERR_OK) {
        w->err = err;
        w->ei = ei ? *ei : (struct errinfo){};
    }
    if (pos > w->pos)
        w->pos = pos;
    w->n_open--;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

/* Everything that was begun ends: the store and the loop promise it, also when they stop. */
static enum err waiter_wait(struct waiter *w, struct errinfo *ei)
{
    pthread_mutex_lock(&w->lock);
    while (w->n_open > 0)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    (void)pthread_cond_destroy(&w->cond);
    (void)pthread_mutex_destroy(&w->lock);
    if (w->err != ERR_OK && ei)
        *ei = w->ei;
    return w->err;
}

static void written(struct store_change *change, enum err err, const struct errinfo *ei)
{
    waiter_done(change->arg, err, ei, change->pos);
}

/* ---- messages without recipients ---- */

enum { FACTS_MAX = STORE_RECORD_MAX - STORE_INLINE_MAX - 64 };

/* All but the last MiB, as chunks; where they lie into `extents`. */
static enum err write_chunks(struct desk *d, const struct jmap_message *m, size_t n,
                             struct record_extent *extents, struct errinfo *ei)
{
    struct store_change *chunks = mem_new(n * sizeof(*chunks));
    struct waiter w;
    waiter_init(&w, n);
    for (size_t i = 0; i < n; i++) {
        chunks[i] =
            (struct store_change){.type = RECORD_CHUNK, .id = m->id, .done = written, .arg = &w};
        chunks[i].body[0] = slice_of(m->bytes.p + i * STORE_CHUNK_BYTES, STORE_CHUNK_BYTES);
        store_submit(d->store, &chunks[i]);
    }
    enum err err = waiter_wait(&w, ei);
    for (size_t i = 0; i < n && err == ERR_OK; i++)
        extents[i] = store_body_extent(&chunks[i]);
    mem_free(&chunks);
    return err;
}

static enum err write_message(struct desk *d, const struct jmap_caller *who,
                              const struct jmap_message *m, struct errinfo *ei)
{
    struct record_extent extents[STORE_CHUNKS_MAX];
    char owner[MESSAGE_ID_TEXT];
    size_t n = m->bytes.n > STORE_INLINE_MAX ? (m->bytes.n - 1) / STORE_CHUNK_BYTES : 0;
    if (m->bytes.n > STORE_MESSAGE_MAX)
        return err_set(ei, ERR_LIMIT, "larger than a message may be here");
    enum err err = n ? write_chunks(d, m, n, extents, ei) : ERR_OK;
    if (err != ERR_OK)
        return err;
    message_id_text(who->person, owner);
    struct record_message record = {.id = m->id,
                                    .received = utc_now(),
                                    .tenant = who->tenant,
                                    .direction = DIRECTION_PERSON,
                                    .helo = slice_str(owner),
                                    .flags = m->fields ? 0 : MESSAGE_IS_BLOB,
                                    .bytes = (uint32_t)m->bytes.n,
                                    .chunks = extents,
                                    .n_chunks = (uint32_t)n};
    struct record_fields fields = m->fields ? *m->fields : (struct record_fields){};
    record.fields = &fields;
    record.n_fields = m->fields != NULL;
    SCOPED(buf_finish) struct buf facts = buf_make(FACTS_MAX);
    record_message_pack(&facts, &record);
    if (facts.failed)
        return err_set(ei, ERR_LIMIT, "the header of this message is larger than can be kept");
    struct waiter w;
    struct store_change change = {.type = RECORD_MESSAGE,
                                  .id = m->id,
                                  .facts = buf_slice(&facts),
                                  .done = written,
                                  .arg = &w};
    change.body[0] = slice_skip(m->bytes, n * STORE_CHUNK_BYTES);
    waiter_init(&w, 1);
    store_submit(d->store, &change);
    return waiter_wait(&w, ei);
}

/* ---- changes of an account ---- */

struct commit {
    struct desk *desk;
    const struct jmap_caller *who;
    struct jmap_commit *c;
    struct waiter w;
    struct buf facts[3];
    struct store_change changes[3];
    size_t n_changes;
};

static void number_email(struct record_email *e, uint64_t modseq)
{
    e->modseq = modseq;
    if (e->counted == 0)
        e->counted = modseq;
    for (uint32_t i = 0; i < e->n_places; i++) {
        struct record_place *p = &e->places[i];
        if (p->modseq == 0)
            p->modseq = modseq;
        if (p->uid == 0)
            p->uid = (uint32_t)modseq;
    }
}

static void add_change(struct commit *k, enum record_type type)
{
    struct buf *facts = &k->facts[k->n_changes];
    k->changes[k->n_changes++] = (struct store_change){
        .type = type, .facts = buf_slice(facts), .done = written, .arg = &k->w};
}

static struct buf *new_facts(struct commit *k)
{
    k->facts[k->n_changes] = buf_make(STORE_RECORD_MAX);
    return &k->facts[k->n_changes];
}

/* Three records at most, one after another in the log: an email never stands before its mailbox. */
static bool pack(struct commit *k, struct desk_account *account)
{
    struct jmap_commit *c = k->c;
    bool is_good = true;
    for (size_t i = 0; i < c->n_mailboxes; i++) {
        c->mailboxes[i].modseq = ++account->modseq;
        c->mailboxes[i].created =
            c->mailboxes[i].created ? c->mailboxes[i].created : account->modseq;
    }
    for (size_t i = 0; i < c->n_emails; i++)
        number_email(&c->emails[i], ++account->modseq);
    for (size_t i = 0; i < c->n_items; i++) {
        c->items[i].modseq = ++account->modseq;
        c->items[i].created = c->items[i].created ? c->items[i].created : account->modseq;
    }
    if (c->n_mailboxes) {
        struct record_mailboxes all = {.mailboxes = c->mailboxes,
                                       .n_mailboxes = (uint32_t)c->n_mailboxes};
        record_mailboxes_pack(new_facts(k), &all);
        is_good &= !k->facts[k->n_changes].failed;
        add_change(k, RECORD_MAILBOX);
    }
    if (c->n_emails) {
        struct record_emails all = {.emails = c->emails, .n_emails = (uint32_t)c->n_emails};
        record_emails_pack(new_facts(k), &all);
        is_good &= !k->facts[k->n_changes].failed;
        add_change(k, RECORD_EMAIL);
    }
    if (c->n_items) {
        struct record_items all = {.items = c->items, .n_items = (uint32_t)c->n_items};
        record_items_pack(new_facts(k), &all);
        is_good &= !k->facts[k->n_changes].failed;
        add_change(k, RECORD_ITEM);
    }
    return is_good;
}

static void commit_on_loop(void *arg)
{
    struct commit *k = arg;
    struct desk *d = k->desk;
    struct errinfo ei;
    struct desk_account *account = desk_account(d, k->who->person);
    if (!account || d->is_stopping) {
        waiter_done(&k->w, err_set(&ei, ERR_CANCELED, "we are stopping"), &ei, 0);
        return;
    }
    if (!pack(k, account)) {
        waiter_done(&k->w, err_set(&ei, ERR_LIMIT, "more at once than can be written together"),
                    &ei, 0);
        return;
    }
    for (size_t i = 0; i < k->c->n_items; i++) {
        const struct record_item *item = &k->c->items[i];
        if (item->kind == ITEM_SUBMISSION && item->is_gone)
            desk_fate_forget(d, item->id);
        else if (item->kind == ITEM_VACATION)
            desk_vacation_said(d, item);
    }
    pthread_mutex_lock(&k->w.lock); /* whoever waits may wake without a reason */
    k->w.n_open = k->n_changes;
    pthread_mutex_unlock(&k->w.lock);
    /* `k` lies on the stack of a worker that goes on as soon as the last change is answered, by
     * the store's thread: behind the last submit it is not looked at. */
    const uint64_t person = k->who->person;
    const size_t n = k->n_changes;
    const bool has_emails = k->c->n_emails > 0;
    desk_turn(d);
    for (size_t i = 0; i < n; i++)
        store_submit(d->store, &k->changes[i]);
    if (has_emails)
        desk_mailback_soon(d, person);
    desk_jmap_changed(d, person);
}

static enum err write_commit(struct desk *d, const struct jmap_caller *who, struct jmap_commit *c,
                             struct errinfo *ei)
{
    struct commit k = {.desk = d, .who = who, .c = c};
    waiter_init(&k.w, 1);
    desk_post(d, commit_on_loop, &k);
    enum err err = waiter_wait(&k.w, ei);
    for (size_t i = 0; i < k.n_changes; i++)
        buf_finish(&k.facts[i]);
    if (err != ERR_OK)
        return err;
    if (store_wait_applied(d->store, k.w.pos, SECONDS(APPLY_SECONDS)) != ERR_OK)
        return err_set(ei, ERR_EXISTS, "it is written, but the index is behind; look again soon");
    return ERR_OK;
}

static enum err host_commit(void *arg, const struct jmap_caller *who, struct jmap_commit *c,
                            struct errinfo *ei)
{
    struct desk *d = arg;
    enum err err = ERR_OK;
    for (size_t i = 0; i < c->n_messages && err == ERR_OK; i++)
        err = write_message(d, who, &c->messages[i], ei);
    if (err == ERR_OK && (c->n_emails || c->n_mailboxes || c->n_items))
        err = write_commit(d, who, c, ei);
    if (err == ERR_FULL)
        (void)refuse(REFUSE_DISK_LOW, SLICE("jmap"));
    return err;
}

static uint64_t host_next_id(void *arg)
{
    return desk_next_id(arg);
}

/* ---- bytes ---- */

static enum err host_read(void *arg, struct store_reader *reader, uint64_t message, struct buf *ret,
                          struct errinfo *ei)
{
    struct desk *d = arg;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    enum err err = ERR_GONE;
    /* Its place may change while it is read: copied forward to another segment. */
    for (int i = 0; i < READ_TRIES && err == ERR_GONE; i++) {
        struct record_extent *extents;
        size_t n;
        buf_clear(ret);
        arena_reset(arena);
        err = store_get_extents(reader, message, arena, &extents, &n, ei);
        if (err != ERR_OK)
            return err;
        err = store_read_body(d->store, message, extents, n, ret, ei);
    }
    return err;
}

/* ---- gates ---- */

struct parsing {
    struct desk *desk;
    struct desk_parse_ask ask;
    struct waiter w;
    struct buf *bytes;
    struct arena *arena;
    struct record_fields *fields;
};

static void parsed(void *arg, const struct desk_parsed *p)
{
    struct parsing *k = arg;
    struct errinfo ei = {};
    enum err err = p->err;
    if (err == ERR_OK && k->bytes)
        buf_adds(k->bytes, p->bytes);
    if (err == ERR_OK && k->bytes && k->bytes->failed)
        err = err_set(&ei, ERR_LIMIT, "the answer would be larger than this server gives");
    else if (err == ERR_OK && k->fields && p->fields)
        desk_copy_fields(k->arena, p->fields, k->fields);
    else if (err != ERR_OK)
        (void)err_set(&ei, err, "%s", p->why);
    waiter_done(&k->w, err, &ei, 0);
}

static void parse_on_loop(void *arg)
{
    struct parsing *k = arg;
    struct errinfo ei;
    enum err err = desk_parse(k->desk, &k->ask, &ei);
    if (err != ERR_OK)
        waiter_done(&k->w, err, &ei, 0);
}

/* Worker threads. */
static enum err ask_gate(struct parsing *k, struct slice message, struct errinfo *ei)
{
    struct queue_body *body = queue_body_create(0, 0);
    if (message.n > STORE_MESSAGE_MAX || !queue_body_add(&body, message, STORE_MESSAGE_MAX)) {
        queue_body_unref(&body);
        return err_set(ei, ERR_LIMIT, "larger than a message may be here");
    }
    k->ask.body = body;
    k->ask.done = parsed;
    k->ask.arg = k;
    waiter_init(&k->w, 1);
    desk_post(k->desk, parse_on_loop, k);
    enum err err = waiter_wait(&k->w, ei);
    queue_body_unref(&body);
    return err;
}

static enum err host_render(void *arg, struct slice message, struct slice blob_prefix,
                            const struct email_want *want, struct buf *ret, struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf packed = buf_make(EMAIL_WANT_BYTES_MAX);
    email_want_pack(&packed, want);
    struct parsing k = {.desk = arg, .bytes = ret};
    k.ask.what = IPC_PARSE_EMAIL;
    k.ask.want = buf_slice(&packed);
    k.ask.blob = blob_prefix;
    return ask_gate(&k, message, ei);
}

static enum err host_fields(void *arg, struct slice message, struct arena *arena,
                            struct record_fields *ret, struct errinfo *ei)
{
    struct parsing k = {.desk = arg, .arena = arena, .fields = ret};
    k.ask.what = IPC_PARSE_FIELDS;
    return ask_gate(&k, message, ei);
}

enum err desk_parse_text(struct desk *d, struct slice message, struct buf *ret, struct errinfo *ei)
{
    struct parsing k = {.desk = d, .bytes = ret};
    k.ask.what = IPC_PARSE_TEXT;
    return ask_gate(&k, message, ei);
}

/* ---- search ---- */

/* One a thread, like the index's readers: opened when it is first needed. */
static _Thread_local struct store_search_reader *search_reader;

void desk_jmap_search_close(void)
{
    store_search_reader_close(&search_reader);
}

static enum err ask_search(struct desk *d, const struct store_search_question *q,
                           struct store_search_hit *hits, size_t *ret_n, struct errinfo *ei)
{
    enum err err = search_reader ? ERR_OK : store_search_reader_open(d->o.data, &search_reader, ei);
    if (err == ERR_OK)
        err = store_search_ask(search_reader, q, hits, ret_n, ei);
    if (err == ERR_CORRUPT || err == ERR_IO)
        store_search_reader_close(&search_reader);
    if (err == ERR_CORRUPT)
        desk_find_damaged(d); /* the writer makes it anew */
    return err;
}

/* Page by page, each where the one before ended. */
static enum err search_all(struct desk *d, struct store_search_question *q, size_t max,
                           struct buf *ret, struct errinfo *ei)
{
    struct store_search_hit *hits = mem_new(STORE_SEARCH_LIMIT_MAX * sizeof(*hits));
    enum err err = ERR_OK;
    size_t n = 0;
    do {
        size_t left = max - ret->n / sizeof(uint64_t);
        q->limit = left < STORE_SEARCH_LIMIT_MAX ? (uint32_t)left : STORE_SEARCH_LIMIT_MAX;
        err = ask_search(d, q, hits, &n, ei);
        for (size_t i = 0; err == ERR_OK && i < n; i++) {
            buf_add(ret, &hits[i].message, sizeof(hits[i].message));
            q->before = hits[i].at;
        }
    } while (err == ERR_OK && n == STORE_SEARCH_LIMIT_MAX && ret->n / sizeof(uint64_t) < max);
    mem_free(&hits);
    return err;
}

static enum err host_search(void *arg, uint64_t person, struct slice match, size_t max,
                            mono_us until, struct arena *arena, uint64_t **ret, size_t *ret_n,
                            struct errinfo *ei)
{
    struct store_search_question q = {.account = person, .expression = match, .deadline = until};
    SCOPED(buf_finish) struct buf found = buf_make(max * sizeof(uint64_t));
    desk_find_wait(arg, person, until);
    enum err err = search_all(arg, &q, max, &found, ei);
    if (err != ERR_OK)
        return err_set(ei, ERR_RETRY,
                       "searching is not possible at the moment; the index of words is being made");
    uint64_t *ids = arena_try(arena, found.n + sizeof(uint64_t));
    if (!ids)
        return err_set(ei, ERR_LIMIT, "these conditions find more than fits into one request");
    if (found.n)
        memcpy(ids, found.p, found.n);
    *ret = ids;
    *ret_n = found.n / sizeof(uint64_t);
    return ERR_OK;
}

/* ---- sending ---- */

static enum err host_may_submit(void *arg, const struct jmap_caller *who, size_t n_rcpts,
                                struct errinfo *ei)
{
    struct slice name = who->n_addresses ? who->addresses[0] : who->name;
    return desk_may_submit(arg, who->person, name, n_rcpts, ei);
}

static void host_unsubmitted(void *arg, const struct jmap_caller *who, size_t n_rcpts,
                             utc_ms counted)
{
    desk_unsubmitted(arg, who->person, n_rcpts, counted);
}

static void host_submitted(void *arg, const struct jmap_caller *who, uint64_t submission,
                           utc_ms send_at)
{
    desk_submitted(arg, who->person, submission, send_at);
}

static bool host_caught_up(void *arg)
{
    struct desk *d = arg;
    /* A damaged index shows what it can, and nothing is written by it: the store refuses that. */
    return desk_catch_up(d) || store_recovered(d->store)->is_damaged;
}

static enum err host_withdraw(void *arg, const struct jmap_caller *, uint64_t submission,
                              struct errinfo *ei)
{
    return desk_withdraw(arg, submission, ei);
}

/* ---- pushes ---- */

static enum err host_may_subscribe(void *arg, const struct jmap_caller *who, size_t n_has,
                                   struct errinfo *ei)
{
    return desk_may_subscribe(arg, who, n_has, ei);
}

static void host_subscribed(void *arg, const struct jmap_caller *who, uint64_t subscription,
                            struct slice body, const struct jmap_states *now)
{
    desk_subscribed(arg, who->person, subscription, body, now);
}

void desk_jmap_host(struct desk *d, struct jmap_host *ret)
{
    *ret = (struct jmap_host){.arg = d,
                              .node = d->o.node,
                              .version = VERSION,
                              .next_id = host_next_id,
                              .caught_up = host_caught_up,
                              .commit = host_commit,
                              .read = host_read,
                              .render = host_render,
                              .fields = host_fields,
                              .search = host_search,
                              .may_submit = host_may_submit,
                              .unsubmitted = host_unsubmitted,
                              .submitted = host_submitted,
                              .withdraw = host_withdraw,
                              .may_subscribe = host_may_subscribe,
                              .subscribed = host_subscribed};
}
