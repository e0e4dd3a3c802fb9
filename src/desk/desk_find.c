/* Filling the index of words behind the mail (store_search.h): a thread of its own reads messages
 * that are not in it yet, has a gate take the words out, and writes them in batches; and takes out
 * what accounts have no more.
 *
 * Nothing waits for it. While mail waits to be written it rests; the newest mail comes first. What
 * it has reached stands in the index itself, so it goes on there after any end. */
#include "desk/desk_find_int.h"

#include "desk/desk_account_int.h"

#include <stdio.h>

enum {
    REST_MS = 300,
    AWAITED_REST_MS = 20, /* while somebody waits: of what is not written yet, or has no gate */
    BUSY_RECORDS = 300,   /* that are written in a second: mail goes first, … */
    BUSY_SECONDS = 5,     /* … but even then one turn in so long a time */
    PURGE_SECONDS = 3600,
    PURGE_AFTER_MS = 86400 * 1000,
    PURGE_LATE_MS = 3 * 86400 * 1000, /* then it does not wait until all is filled */
    REBUILD_SECONDS = 600,            /* not sooner after the last time */
};

/* ---- a turn ---- */

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
    if (f->is_busy && now < f->turned_at + SECONDS(BUSY_SECONDS))
        return true;
    f->turned_at = now;
    return false;
}

/* In the order in which people would miss it: what must not be found any more, new mail, the rest.
 * It ends with the first thing that fails, so that this is what is tried again. */
static enum err take_turn(struct finder *f, bool *ret_did, struct errinfo *ei)
{
    bool is_new = false;
    uint64_t turn = find_begin_turn(f);
    enum err err = find_compare(f, ret_did, ei);
    if (err == ERR_OK)
        err = find_fill_late(f, ret_did, ei);
    if (err == ERR_OK)
        err = find_fill(f, true, &is_new, ei);
    if (err == ERR_OK)
        find_end_turn(f, turn, !is_new);
    if (err == ERR_OK && !is_new)
        err = find_fill(f, false, ret_did, ei);
    *ret_did |= is_new;
    return err;
}

/* Merging goes better while nothing is filled. What fails is told each time: that is once an hour,
 * and STORE_SEARCH_ERASE_DAYS run. */
static enum err purge(struct finder *f, bool is_idle, bool *ret_did)
{
    struct errinfo ei;
    bool more = false;
    if (mono_now() < f->purge_at)
        return ERR_OK;
    enum err err = store_search_purge(f->search, utc_now(),
                                      is_idle ? PURGE_AFTER_MS : PURGE_LATE_MS, &more, &ei);
    if (err != ERR_OK)
        log_event(EV_STORE_TROUBLE, "what=\"words of removed mail stay in the search\" why=%s",
                  log_text(slice_str(ei.text)));
    if (err != ERR_OK || !more)
        f->purge_at = mono_now() + SECONDS(PURGE_SECONDS);
    *ret_did |= more;
    return err;
}

/* The same trouble is told once. */
static void note_trouble(struct finder *f, enum err err, const struct errinfo *ei)
{
    char text[sizeof(f->trouble)] = "";
    if (err == ERR_CANCELED)
        return;
    if (err != ERR_OK)
        (void)snprintf(text, sizeof(text), "%.190s", ei->text);
    if (text[0] && strcmp(text, f->trouble) != 0)
        log_event(EV_STORE_TROUBLE, "what=\"search is not filled\" why=%s",
                  log_text(slice_str(text)));
    memcpy(f->trouble, text, sizeof(text));
}

static void make_anew(struct finder *f)
{
    struct errinfo ei;
    f->rebuild_at = mono_now() + SECONDS(REBUILD_SECONDS);
    enum err err = store_search_rebuild(f->search, &ei);
    note_trouble(f, err, &ei);
    find_compare_forget(f);
}

static bool take_damage(struct finder *f)
{
    pthread_mutex_lock(&f->lock);
    bool is = f->is_damaged;
    f->is_damaged = false;
    pthread_mutex_unlock(&f->lock);
    return is;
}

/* True: something was done, there may be more. */
static bool work_once(struct finder *f)
{
    struct errinfo ei = {};
    bool did = false;
    if (is_busy(f) && !find_is_awaited(f))
        return false;
    enum err err = take_turn(f, &did, &ei);
    note_trouble(f, err, &ei);
    bool is_damaged = take_damage(f) || err == ERR_CORRUPT;
    if (err != ERR_CORRUPT)
        is_damaged |= purge(f, err == ERR_OK && !did, &did) == ERR_CORRUPT;
    if (is_damaged && mono_now() > f->rebuild_at)
        make_anew(f);
    return did && err == ERR_OK;
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
    enum err err = f->reader ? ERR_OK : store_reader_open(f->desk->o.data, &f->reader, &ei);
    if (err == ERR_OK && !f->search)
        err = store_search_open(&o, &f->search, &ei);
    if (err != ERR_OK)
        note_trouble(f, err, &ei);
    return err == ERR_OK;
}

/* False: it is over. */
static bool rest(struct finder *f)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += (find_is_awaited(f) ? AWAITED_REST_MS : REST_MS) * 1000000;
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
    while (!is_over(f)) {
        bool is_open = open_all(f);
        find_show_progress(f);
        if ((!is_open || !work_once(f)) && !rest(f))
            break;
    }
    store_search_close(&f->search);
    store_reader_close(&f->reader);
    f->n_alive--;
    return NULL;
}

void desk_find_start(struct desk *d)
{
    struct finder *f = mem_new(sizeof(*f));
    f->desk = d;
    f->arena = arena_create(FIND_ARENA_BYTES);
    desk_jmap_host(d, &f->host);
    find_words_create(f);
    find_compare_create(f);
    find_wait_create(f);
    f->told = map_create();
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
    pthread_cond_broadcast(&f->wait.settled);
    pthread_mutex_unlock(&f->lock);
    desk_turn_until(d, &f->n_alive);
    pthread_join(f->thread, NULL);
}

void desk_find_destroy(struct desk *d)
{
    struct finder *f = d->finder;
    if (!f)
        return;
    (void)pthread_cond_destroy(&f->cond);
    (void)pthread_mutex_destroy(&f->lock);
    find_words_destroy(f);
    find_compare_destroy(f);
    find_wait_destroy(f);
    map_destroy(&f->told);
    arena_destroy(&f->arena);
    mem_free(&d->finder);
}

/* ---- what others say ---- */

void desk_find_changed(struct desk *d, uint64_t person)
{
    struct finder *f = d->finder;
    const struct desk_account *account = desk_account(d, person);
    if (!f || !account)
        return;
    pthread_mutex_lock(&f->lock); /* NOLINTNEXTLINE: a number */
    (void)map_put(f->told, KEY(person), (void *)(uintptr_t)account->modseq);
    find_wait_changed(f, person);
    pthread_mutex_unlock(&f->lock);
}

static void damaged(void *arg)
{
    struct desk *d = arg;
    struct finder *f = d->finder;
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->is_damaged = true;
    pthread_mutex_unlock(&f->lock);
}

void desk_find_damaged(struct desk *d)
{
    desk_post(d, damaged, d); /* the finder ends on the loop */
}
