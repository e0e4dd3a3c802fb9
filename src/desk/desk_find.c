/* Filling the index of words behind the mail (store_search.h): a thread of its own reads messages
 * that are not in it yet, has a gate take the words out, and writes them in batches.
 *
 * Nothing waits for it. While mail waits to be written it rests; the newest mail comes first. What
 * it has reached stands in the index itself, so it goes on there after any end. */
#include "desk/desk_jmap_int.h"

#include "store/store_account.h"
#include "store/store_search.h"

#include <stdio.h>

enum {
    BATCH = 64,
    ACCOUNTS_MAX = 2000, /* of one message */
    TEXT_MAX = STORE_SEARCH_FIELD_MAX,
    REST_MS = 300,
    BUSY_RECORDS = 300, /* that are written in a second: mail goes first, … */
    BUSY_SECONDS = 5,   /* … but even then one batch in so long a time */
    PURGE_SECONDS = 3600,
    PURGE_AFTER_MS = 86400 * 1000,
};

struct finder {
    struct desk *desk;
    pthread_t thread;
    _Atomic unsigned n_alive;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_over; /* under lock */
    struct store_search_writer *search;
    struct store_reader *reader;
    struct jmap_host host;
    struct email_want want; /* addresses and subject, as texts */
    struct arena *kept;     /* what `want` is made of */
    struct arena *arena;    /* of a batch */
    mono_us purge_at;
    mono_us looked_at, batch_at; /* at the store's figures; the last batch began */
    uint64_t n_records;          /* that were written until then */
    bool is_busy;
};

/* ---- one message ---- */

static bool add_account(void *arg, const struct store_row *row)
{
    struct store_search_text *t = arg;
    uint64_t *accounts = (uint64_t *)(uintptr_t)t->accounts;
    if (row->facts.mailbox && t->n_accounts < ACCOUNTS_MAX)
        accounts[t->n_accounts++] = row->facts.person;
    return true;
}

/* Names and addresses of a list, one behind the other. */
static struct slice people_of(const struct finder *f, const json_t *object, const char *name)
{
    static const char *const members[] = {"name", "email"};
    SCOPED(buf_finish) struct buf b = buf_make(TEXT_MAX);
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(object, name), i, one)
    {
        for (size_t k = 0; k < 2; k++) {
            const json_t *value = json_object_get(one, members[k]);
            buf_add(&b, json_string_value(value), json_string_length(value));
            buf_addc(&b, ' ');
        }
    }
    return b.n ? arena_copy(f->arena, buf_slice(&b)) : SLICE("");
}

static enum err read_header(struct finder *f, struct slice bytes, struct store_search_text *t,
                            struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf text = buf_make(1 << 20);
    enum err err = f->host.render(f->host.arg, bytes, SLICE(""), &f->want, &text, ei);
    if (err != ERR_OK)
        return err;
    json_t *o = json_loadb(text.p, text.n, 0, NULL);
    t->from = people_of(f, o, "from");
    t->to = people_of(f, o, "to");
    t->cc = people_of(f, o, "cc");
    t->bcc = people_of(f, o, "bcc");
    const json_t *subject = json_object_get(o, "subject");
    t->subject =
        arena_copy(f->arena, slice_of(json_string_value(subject), json_string_length(subject)));
    json_decref(o);
    return ERR_OK;
}

/* What cannot be read, by us or by a gate, has no words: search does not stand still for it. Only
 * what passes (no gate, no room) is tried again. */
static enum err read_words(struct finder *f, struct store_search_text *t, struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf bytes = buf_make(STORE_MESSAGE_MAX);
    SCOPED(buf_finish) struct buf words = buf_make(TEXT_MAX);
    enum err err = f->host.read(f->host.arg, f->reader, t->message, &bytes, ei);
    if (err == ERR_OK)
        err = read_header(f, buf_slice(&bytes), t, ei);
    if (err == ERR_OK)
        err = desk_parse_text(f->desk, buf_slice(&bytes), &words, ei);
    if (err == ERR_OK)
        t->body = arena_copy(f->arena, buf_slice(&words));
    return err == ERR_RETRY || err == ERR_CANCELED || err == ERR_LIMIT ? err : ERR_OK;
}

static enum err fill_text(struct finder *f, const struct record_message *m,
                          struct store_search_text *t, struct errinfo *ei)
{
    uint64_t *accounts = ARENA_ARRAY(f->arena, uint64_t, ACCOUNTS_MAX);
    *t = (struct store_search_text){.message = m->id, .accounts = accounts};
    if (m->direction == DIRECTION_PERSON && !(m->flags & MESSAGE_IS_BLOB)) {
        accounts[0] = message_id_parse(m->helo);
        t->n_accounts = accounts[0] != 0;
    }
    enum err err = store_each_row_of(f->reader, m->id, add_account, t, ei);
    return err == ERR_OK && t->n_accounts ? read_words(f, t, ei) : err;
}

/* ---- a batch ---- */

struct batch {
    struct finder *f;
    struct record_message found[BATCH];
    size_t n;
};

static bool take_message(void *arg, const struct record_message *m)
{
    struct batch *b = arg;
    b->found[b->n] = *m;
    b->found[b->n++].helo = arena_copy(b->f->arena, m->helo);
    return b->n < BATCH;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct record_message *)a)->id, y = ((const struct record_message *)b)->id;
    return x < y ? -1 : x > y;
}

/* True: something was done, there may be more. */
static bool fill(struct finder *f, bool is_up, struct errinfo *ei)
{
    struct store_search_marks marks = store_search_marks(f->search);
    struct batch b = {.f = f};
    uint64_t first = is_up ? marks.last + 1 : 1;
    uint64_t last = is_up ? UINT64_MAX >> 1 : marks.first - 1;
    if (!is_up && marks.first <= 1)
        return false;
    if (marks.last == 0) /* nothing yet: begin with the newest */
        is_up = false;
    struct store_interval in = {first, last, !is_up, BATCH};
    if (store_each_message(f->reader, &in, take_message, &b, ei) != ERR_OK || b.n == 0)
        return false;
    qsort(b.found, b.n, sizeof(b.found[0]), by_id);
    struct store_search_text *texts = ARENA_ARRAY(f->arena, struct store_search_text, b.n);
    for (size_t i = 0; i < b.n; i++)
        if (fill_text(f, &b.found[i], &texts[i], ei) != ERR_OK)
            return false;
    struct store_search_batch batch = {.texts = texts,
                                       .n = b.n,
                                       .first = is_up ? first : b.found[0].id,
                                       .last =
                                           is_up || marks.last == 0 ? b.found[b.n - 1].id : last};
    return store_search_add(f->search, &batch, ei) == ERR_OK;
}

/* Gates read words with the processor that they take mail with. */
static bool is_busy(struct finder *f)
{
    mono_us now = mono_now(), since = now - f->looked_at;
    if (since > MILLISECONDS(REST_MS) / 2) {
        uint64_t n = store_figures(f->desk->store).n_records;
        f->is_busy = (n - f->n_records) * (uint64_t)SECONDS(1) > (uint64_t)since * BUSY_RECORDS;
        f->n_records = n;
        f->looked_at = now;
    }
    if (f->is_busy && now < f->batch_at + SECONDS(BUSY_SECONDS))
        return true;
    f->batch_at = now;
    return false;
}

static bool work_once(struct finder *f)
{
    struct errinfo ei = {};
    bool more = false;
    if (is_busy(f))
        return false;
    arena_reset(f->arena);
    bool did = fill(f, true, &ei) || fill(f, false, &ei);
    if (!did && mono_now() > f->purge_at) {
        if (store_search_purge(f->search, utc_now(), PURGE_AFTER_MS, &more, &ei) != ERR_OK || !more)
            f->purge_at = mono_now() + SECONDS(PURGE_SECONDS);
        did = more;
    }
    return did;
}

/* ---- the thread ---- */

static void tell(void *, enum event_class, const char *name, const char *text)
{
    log_event(EV_STORE_TROUBLE, "what=%s why=%s", name, log_text(slice_str(text)));
}

static bool open_all(struct finder *f)
{
    struct errinfo ei;
    struct store_search_options o = {.dir = f->desk->o.data, .tell = tell, .tell_arg = f};
    if (!f->reader && store_reader_open(f->desk->o.data, &f->reader, &ei) != ERR_OK)
        return false;
    return f->search || store_search_open(&o, &f->search, &ei) == ERR_OK;
}

/* False: it is over. */
static bool rest(struct finder *f)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += REST_MS * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    pthread_mutex_lock(&f->lock);
    if (!f->is_over)
        (void)pthread_cond_timedwait(&f->cond, &f->lock, &at);
    bool is_over = f->is_over;
    pthread_mutex_unlock(&f->lock);
    return !is_over;
}

static bool is_over(struct finder *f)
{
    pthread_mutex_lock(&f->lock);
    bool is = f->is_over;
    pthread_mutex_unlock(&f->lock);
    return is;
}

static void *find_on(void *arg)
{
    struct finder *f = arg;
    while (!is_over(f))
        if (!open_all(f) || !work_once(f))
            if (!rest(f))
                break;
    store_search_close(&f->search);
    store_reader_close(&f->reader);
    f->n_alive--;
    return NULL;
}

static void make_want(struct finder *f)
{
    struct errinfo ei;
    json_t *args =
        json_pack("{s:[s, s, s, s, s]}", "properties", "from", "to", "cc", "bcc", "subject");
    must(email_want_parse(args, EMAIL_CALL_GET, f->kept, &f->want, &ei) == ERR_OK);
    json_decref(args);
}

void desk_find_start(struct desk *d)
{
    struct finder *f = mem_new(sizeof(*f));
    f->desk = d;
    f->arena = arena_create(256 << 20);
    desk_jmap_host(d, &f->host);
    f->kept = arena_create(64 << 10);
    make_want(f);
    must(pthread_mutex_init(&f->lock, NULL) == 0);
    must(pthread_cond_init(&f->cond, NULL) == 0);
    f->n_alive = 1;
    must(pthread_create(&f->thread, NULL, find_on, f) == 0);
    d->finder = f;
}

void desk_find_stop(struct desk *d)
{
    struct finder *f = d->finder;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->is_over = true;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->lock);
    desk_turn_until(d, &f->n_alive);
    pthread_join(f->thread, NULL);
    (void)pthread_cond_destroy(&f->cond);
    (void)pthread_mutex_destroy(&f->lock);
    arena_destroy(&f->kept);
    arena_destroy(&f->arena);
    mem_free(&d->finder);
}
