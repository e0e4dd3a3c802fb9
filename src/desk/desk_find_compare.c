/* Comparing what search has with what accounts have, so that it has all of it and nothing else.
 *
 * The marks of the search say which message ids were looked at, and an id is no promise of order:
 * it is given before the bytes are written, so a large message, a draft, or what a submission
 * names before a crash, may become durable when the mark has passed it. What does have an order is
 * the change number of an account: it is given as the record goes to the log. So whoever changes
 * an account tells us its number (desk_find_changed), and when the index has come so far, what
 * changed since the number that we saw last is looked at: an email that is gone must not be in
 * the search, one that is there must be, if its id lies between the marks.
 *
 * That misses nothing. Filling and comparing take turns on one thread, and each sees a later state
 * of the index than the one before. An email above the upper mark when its account is compared is
 * in the index by then: filling, which comes later, finds it. One between the marks is found here.
 * Numbers seen are kept in memory only, and some rows leave the index without a trace (a message
 * whose sender was refused in the end): so every account is compared as a whole after each start
 * and once a day. What is gone is so out of the search in seconds, at the latest after a day, and
 * STORE_SEARCH_ERASE_DAYS begin then. */
#include "desk/desk_find_int.h"

#include "desk/desk_account_int.h"

enum {
    TURN_MS = 200,      /* of comparing; then it is others' turn */
    APPLY_SECONDS = 60, /* a number that is not reached by then was never written */
    WHOLE_HOURS = 24,
    PAGE = 1000, /* messages or accounts at once */
    CHANGES_BYTES_MAX = 256 << 20,
};

struct find_account {
    struct list node;
    uint64_t person, modseq; /* the number that it will reach; 0: any */
    mono_us until;
};

enum err find_index_err(enum err err)
{
    return err == ERR_CORRUPT ? ERR_IO : err;
}

/* ---- one account ---- */

struct comparing {
    struct finder *f;
    uint64_t person;
    struct store_search_marks marks;
    struct buf live, gone; /* of uint64_t, messages */
    uint64_t lost[PAGE];   /* to be removed */
    size_t n_lost;
};

static size_t count(const struct buf *b)
{
    return b->n / sizeof(uint64_t);
}

static uint64_t nth(const struct buf *b, size_t i)
{
    uint64_t id;
    memcpy(&id, b->p + i * sizeof(id), sizeof(id));
    return id;
}

static bool note_email(void *arg, const struct store_email *e)
{
    struct comparing *c = arg;
    buf_add(e->is_gone ? &c->gone : &c->live, &e->message, sizeof(e->message));
    return true;
}

static enum err remove_lost(struct comparing *c, struct errinfo *ei)
{
    size_t n = c->n_lost;
    c->n_lost = 0;
    return n ? store_search_remove(c->f->search, c->person, c->lost, n, utc_now(), ei) : ERR_OK;
}

static enum err lose(struct comparing *c, uint64_t message, struct errinfo *ei)
{
    c->lost[c->n_lost++] = message;
    return c->n_lost == PAGE ? remove_lost(c, ei) : ERR_OK;
}

/* ERR_LIMIT: more than can be noted; what is noted comes in first. */
static enum err miss(struct comparing *c, uint64_t message, struct errinfo *ei)
{
    struct finder *f = c->f;
    if (message < c->marks.first || message > c->marks.last)
        return ERR_OK; /* filling comes to it */
    if (f->compare.n_late == FIND_LATE_MAX)
        return err_set(ei, ERR_LIMIT, "search: much came late");
    f->compare.late[f->compare.n_late++] = (struct find_late){message, c->person};
    return ERR_OK;
}

static enum err is_in_search(struct comparing *c, uint64_t message, bool *ret, struct errinfo *ei)
{
    uint64_t next = 0;
    size_t n = 0;
    enum err err = store_search_messages(c->f->search, c->person, message - 1, &next, 1, &n, ei);
    *ret = n == 1 && next == message;
    return err;
}

static enum err compare_changed(struct comparing *c, struct errinfo *ei)
{
    enum err err = ERR_OK;
    bool is_in = false;
    for (size_t i = 0; i < count(&c->gone) && err == ERR_OK; i++) {
        err = is_in_search(c, nth(&c->gone, i), &is_in, ei);
        if (err == ERR_OK && is_in)
            err = lose(c, nth(&c->gone, i), ei);
    }
    for (size_t i = 0; i < count(&c->live) && err == ERR_OK; i++) {
        err = is_in_search(c, nth(&c->live, i), &is_in, ei);
        if (err == ERR_OK && !is_in)
            err = miss(c, nth(&c->live, i), ei);
    }
    return err;
}

/* Both ascend: what one side lacks shows as they pass by. */
static enum err compare_all(struct comparing *c, struct errinfo *ei)
{
    uint64_t page[PAGE], after = 0;
    size_t n = PAGE, at = 0;
    enum err err = ERR_OK;
    while (n == PAGE && err == ERR_OK) {
        err = store_search_messages(c->f->search, c->person, after, page, PAGE, &n, ei);
        for (size_t i = 0; i < n && err == ERR_OK; i++) {
            after = page[i];
            for (; at < count(&c->live) && nth(&c->live, at) < after && err == ERR_OK; at++)
                err = miss(c, nth(&c->live, at), ei);
            if (at < count(&c->live) && nth(&c->live, at) == after)
                at++;
            else if (err == ERR_OK)
                err = lose(c, after, ei);
        }
    }
    for (; at < count(&c->live) && err == ERR_OK; at++)
        err = miss(c, nth(&c->live, at), ei);
    return err;
}

static enum err compare_since(struct comparing *c, uint64_t since, struct errinfo *ei)
{
    c->live = buf_make(CHANGES_BYTES_MAX);
    c->gone = buf_make(CHANGES_BYTES_MAX);
    enum err err =
        find_index_err(store_each_email(c->f->reader, c->person, since, note_email, c, ei));
    if (err == ERR_OK && (c->live.failed || c->gone.failed))
        err = err_set(ei, ERR_LIMIT, "search: more emails than an account can have");
    if (err == ERR_OK)
        err = since ? compare_changed(c, ei) : compare_all(c, ei);
    /* What was found to be gone goes also when the rest has to wait. */
    enum err end = remove_lost(c, ei);
    buf_finish(&c->live);
    buf_finish(&c->gone);
    return err == ERR_OK ? end : err;
}

/* `*ret_modseq`: the number that it has reached. */
static enum err compare_account(struct finder *f, uint64_t person, bool is_whole,
                                uint64_t *ret_modseq, struct errinfo *ei)
{
    struct store_account account = {};
    struct comparing c = {.f = f, .person = person};
    uint64_t since = (uintptr_t)map_get(f->compare.seen, KEY(person));
    enum err err = store_search_marks(f->search, &c.marks, ei);
    if (err != ERR_OK)
        return err;
    /* Read first: what comes after it is looked at again. An account that is not there has no
     * emails, and must have no words. */
    err = store_get_account(f->reader, person, &account, ei);
    if (err != ERR_OK && err != ERR_GONE)
        return find_index_err(err);
    *ret_modseq = account.modseq;
    if (is_whole || since < account.floor || account.modseq == 0)
        since = 0;
    if (since && since == account.modseq)
        return ERR_OK;
    err = compare_since(&c, since, ei);
    if (err == ERR_OK && account.modseq) /* NOLINTNEXTLINE: a number */
        (void)map_put(f->compare.seen, KEY(person), (void *)(uintptr_t)account.modseq);
    return err;
}

/* ---- which accounts ---- */

static void add_dirty(struct finder *f, uint64_t person, uint64_t modseq)
{
    struct find_account *a = map_get(f->compare.dirty_of, KEY(person));
    if (!a) {
        a = mem_new(sizeof(*a));
        a->person = person;
        list_init(&a->node);
        list_append(&f->compare.dirty, &a->node);
        (void)map_put(f->compare.dirty_of, KEY(person), a);
    }
    a->modseq = modseq;
    a->until = mono_now() + SECONDS(APPLY_SECONDS);
}

static void take_told(struct finder *f)
{
    struct map *fresh = map_create();
    size_t at = 0;
    struct slice key;
    void *value;
    pthread_mutex_lock(&f->lock);
    struct map *told = f->told;
    f->told = fresh;
    pthread_mutex_unlock(&f->lock);
    while (map_next(told, &at, &key, &value)) {
        uint64_t person;
        memcpy(&person, key.p, sizeof(person));
        add_dirty(f, person, (uintptr_t)value);
    }
    map_destroy(&told);
}

/* Those that change get new numbers meanwhile; those that do not are found as they were. */
static enum err compare_dirty(struct finder *f, mono_us until, bool *ret_did, struct errinfo *ei)
{
    size_t n = map_size(f->compare.dirty_of);
    for (; n > 0 && mono_now() < until; n--) {
        struct find_account *a = container_of(f->compare.dirty.next, struct find_account, node);
        uint64_t reached = 0;
        enum err err = compare_account(f, a->person, false, &reached, ei);
        if (err != ERR_OK)
            return err;
        list_remove(&a->node);
        if (reached < a->modseq && mono_now() < a->until) {
            list_append(&f->compare.dirty, &a->node);
            continue;
        }
        (void)map_del(f->compare.dirty_of, KEY(a->person));
        mem_free(&a);
    }
    *ret_did |= n > 0;
    return ERR_OK;
}

static void add_whole(struct finder *f, uint64_t person)
{
    struct find_account *a = mem_new(sizeof(*a));
    a->person = person;
    list_init(&a->node);
    list_append(&f->compare.whole, &a->node);
}

static bool add_account(void *arg, const struct store_account *a)
{
    add_whole(arg, a->person);
    return true;
}

/* Of the index, and those that only the search still knows. */
static enum err gather_whole(struct finder *f, struct errinfo *ei)
{
    uint64_t page[PAGE], after = 0;
    size_t n = PAGE;
    enum err err = find_index_err(store_each_account(f->reader, add_account, f, ei));
    while (n == PAGE && err == ERR_OK) {
        err = store_search_accounts(f->search, after, page, PAGE, &n, ei);
        for (size_t i = 0; i < n && err == ERR_OK; i++) {
            struct store_account account;
            after = page[i];
            if (store_get_account(f->reader, after, &account, ei) == ERR_GONE)
                add_whole(f, after);
        }
    }
    if (err == ERR_OK)
        f->compare.whole_at = mono_now() + SECONDS(WHOLE_HOURS * 3600);
    return err;
}

static enum err compare_whole(struct finder *f, mono_us until, bool *ret_did, struct errinfo *ei)
{
    enum err err = ERR_OK;
    uint64_t reached = 0;
    if (list_empty(&f->compare.whole) && mono_now() > f->compare.whole_at)
        err = gather_whole(f, ei);
    while (err == ERR_OK && !list_empty(&f->compare.whole) && mono_now() < until) {
        struct find_account *a = container_of(f->compare.whole.next, struct find_account, node);
        err = compare_account(f, a->person, true, &reached, ei);
        if (err != ERR_OK)
            break;
        list_remove(&a->node);
        mem_free(&a);
    }
    *ret_did |= !list_empty(&f->compare.whole);
    return err;
}

enum err find_compare(struct finder *f, bool *ret_did, struct errinfo *ei)
{
    mono_us until = mono_now() + MILLISECONDS(TURN_MS);
    take_told(f);
    bool is_due = map_size(f->compare.dirty_of) || !list_empty(&f->compare.whole) ||
                  mono_now() > f->compare.whole_at;
    if (!is_due || f->compare.n_late > 0)
        return ERR_OK;
    /* An index that stands still, damaged, says nothing about what is gone. */
    if (!desk_catch_up(f->desk))
        return ERR_OK;
    enum err err = compare_dirty(f, until, ret_did, ei);
    if (err == ERR_OK)
        err = compare_whole(f, until, ret_did, ei);
    if (err != ERR_LIMIT)
        return err;
    *ret_did = true;
    return ERR_OK;
}

/* ---- life ---- */

static void drop_list(struct list *l)
{
    for (struct list *node; (node = list_pop(l));) {
        struct find_account *a = container_of(node, struct find_account, node);
        mem_free(&a);
    }
}

void find_compare_again(struct finder *f)
{
    for (size_t i = 0; i < f->compare.n_late; i++)
        (void)map_del(f->compare.seen, KEY(f->compare.late[i].account));
    f->compare.n_late = 0;
}

void find_compare_forget(struct finder *f)
{
    map_destroy(&f->compare.seen);
    f->compare.seen = map_create();
    f->compare.n_late = 0;
}

void find_compare_create(struct finder *f)
{
    f->compare.seen = map_create();
    f->compare.dirty_of = map_create();
    list_init(&f->compare.dirty);
    list_init(&f->compare.whole);
}

void find_compare_destroy(struct finder *f)
{
    drop_list(&f->compare.dirty);
    drop_list(&f->compare.whole);
    map_destroy(&f->compare.seen);
    map_destroy(&f->compare.dirty_of);
}
