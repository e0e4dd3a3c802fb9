/* Queries for emails (RFC 8621 section 4.4, RFC 8620 sections 5.5 and 5.6): which match, in which
 * order, which part of them. */
#include "account/account_int.h"

#include <stdlib.h>

/* ---- all results, in order ---- */

struct results {
    struct account_entry **v;
    size_t n, cap;
    struct map *threads; /* seen so far, when they are collapsed */
};

static bool is_first_of_thread(struct results *r, const struct account_email *e)
{
    return !r->threads || !map_put(r->threads, KEY(e->thread), r);
}

static void results_add(struct results *r, struct account_entry *e)
{
    r->v = mem_grow(r->v, r->n, &r->cap, sizeof(struct account_entry *));
    r->v[r->n++] = e;
}

static void results_finish(struct results *r)
{
    mem_free(&r->v);
    map_destroy(&r->threads);
}

static bool is_newest_first(const struct account_query *q)
{
    return q->n_sorts == 0 ||
           (q->n_sorts == 1 && q->sorts[0].by == ACCOUNT_BY_RECEIVED && !q->sorts[0].is_ascending);
}

/* qsort has no argument for it; a view is held by one thread, and a thread sorts one at a time. */
static _Thread_local const struct account_match *sorted_by;

static int by_query(const void *x, const void *y)
{
    return account_compare(sorted_by, *(struct account_entry *const *)x,
                           *(struct account_entry *const *)y);
}

static void collapse(struct results *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (is_first_of_thread(r, &r->v[i]->e))
            r->v[n++] = r->v[i];
    r->n = n;
}

/* Looked at each time so many emails were judged, the first time before any. */
enum { LOOK_AT_CLOCK = 256 };

static bool is_late(const struct account_query *q, size_t n_judged)
{
    return q->until && n_judged % LOOK_AT_CLOCK == 0 && mono_now() > q->until;
}

/* All that match, newest first, or the first `want` results if the order is that already (0: all).
 * ERR_RETRY: too late. */
static enum err gather(const struct account_match *m, size_t want, struct results *r,
                       struct errinfo *ei)
{
    bool is_quick = is_newest_first(m->q);
    for (size_t i = m->a->n_by_received; i-- > 0;) {
        struct account_entry *e = m->a->by_received[i];
        if (is_late(m->q, m->a->n_by_received - 1 - i))
            return err_set(ei, ERR_RETRY, "looking through so many emails takes too long");
        if (m->filter && !account_matches(m, m->filter, &e->e))
            continue;
        if (is_quick && !is_first_of_thread(r, &e->e))
            continue;
        results_add(r, e);
        if (is_quick && want && r->n == want)
            break;
    }
    return ERR_OK;
}

static void put_in_order(const struct account_match *m, struct results *r)
{
    if (is_newest_first(m->q))
        return;
    sorted_by = m;
    if (r->n > 1)
        qsort(r->v, r->n, sizeof(struct account_entry *), by_query);
    if (m->q->collapse_threads)
        collapse(r);
}

/* The first `want` results; all if it is 0 or the order must be made first. */
static enum err find(const struct account *a, const struct account_query *q, size_t want,
                     struct arena *arena, struct results *r, struct errinfo *ei)
{
    struct account_match m;
    *r = (struct results){.threads = q->collapse_threads ? map_create() : NULL};
    enum err err = account_match_init(&m, a, q, arena, ei);
    if (err == ERR_OK)
        err = gather(&m, want, r, ei);
    if (err == ERR_OK)
        put_in_order(&m, r);
    account_match_finish(&m);
    return err;
}

/* ---- the part that was asked for ---- */

/* How many there are without looking at each: of everything, or of one mailbox. */
static bool quick_total(const struct account *a, const struct account_query *q, uint64_t *ret)
{
    if (!q->filter || q->filter->test == ACCOUNT_ALL) {
        *ret = a->n_by_received;
        return !q->collapse_threads;
    }
    if (q->filter->test != ACCOUNT_IN_MAILBOX)
        return false;
    const struct mailbox_entry *m = account_mailbox_entry(a, q->filter->number);
    *ret = !m ? 0 : q->collapse_threads ? m->m.n_threads : m->m.n_emails;
    return true;
}

static int64_t index_of(const struct results *r, uint64_t id)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i]->e.message == id)
            return (int64_t)i;
    return -1;
}

/* How many results are needed from the beginning; 0: all. */
static size_t needed(const struct account_query *q, bool has_total)
{
    if (q->anchor || q->position < 0 || (q->want_total && !has_total) ||
        (uint64_t)q->position > SIZE_MAX / 2 - q->limit)
        return 0;
    return (size_t)q->position + q->limit;
}

/* Where the part begins (RFC 8620 5.5); ERR_GONE: no such anchor. */
static enum err begin_of(const struct account_query *q, const struct results *r, uint64_t total,
                         uint64_t *ret, struct errinfo *ei)
{
    int64_t begin = q->position;
    if (q->anchor) {
        int64_t at = index_of(r, q->anchor);
        if (at < 0)
            return err_set(ei, ERR_GONE, "the anchor is not among the results");
        if (__builtin_add_overflow(at, q->anchor_offset, &begin))
            begin = q->anchor_offset < 0 ? 0 : INT64_MAX;
    } else if (begin < 0) {
        begin += (int64_t)total;
    }
    *ret = begin < 0 ? 0 : (uint64_t)begin;
    return ERR_OK;
}

static void take_part(const struct account_query *q, const struct results *r, struct arena *arena,
                      struct account_result *ret)
{
    size_t from = ret->position < r->n ? (size_t)ret->position : r->n;
    size_t n = r->n - from < q->limit ? r->n - from : q->limit;
    ret->ids = ARENA_ARRAY(arena, uint64_t, n + 1);
    for (; ret->n_ids < n; ret->n_ids++)
        ret->ids[ret->n_ids] = r->v[from + ret->n_ids]->e.message;
}

static bool needs_words(const struct account_query *q)
{
    for (size_t i = 0; i < q->n_sorts; i++)
        if (q->sorts[i].by == ACCOUNT_BY_FROM || q->sorts[i].by == ACCOUNT_BY_TO ||
            q->sorts[i].by == ACCOUNT_BY_SUBJECT || q->sorts[i].by == ACCOUNT_BY_SENT)
            return true;
    return false;
}

enum err account_query(struct account *a, struct store_reader *reader,
                       const struct account_query *q, struct arena *arena,
                       struct account_result *ret, struct errinfo *ei)
{
    struct results r;
    uint64_t total = 0;
    *ret = (struct account_result){};
    enum err err = needs_words(q) ? account_sort_words(a, reader, q->until, ei) : ERR_OK;
    if (err != ERR_OK)
        return err;
    bool has_total = quick_total(a, q, &total);
    size_t need = needed(q, has_total);
    err = find(a, q, need, arena, &r, ei);
    if (!has_total)
        total = r.n; /* exact when all were found, which is so when it is asked for */
    ret->total = total;
    if (err == ERR_OK)
        err = begin_of(q, &r, total, &ret->position, ei);
    if (err == ERR_OK)
        take_part(q, &r, arena, ret);
    results_finish(&r);
    return err;
}

/* ---- what changed in it ---- */

static void touch_thread(const struct account_thread *t, struct map *touched)
{
    for (size_t i = 0; i < t->n; i++)
        (void)map_put(touched, KEY(t->members[i]->e.message), t->members[i]);
}

/* Emails whose place in the results may differ: those that changed, and with them their threads,
 * where one email decides about another. */
static struct map *touched_since(const struct account *a, const struct account_query *q,
                                 uint64_t since)
{
    struct map *touched = map_create();
    SCOPED(map_destroy) struct map *threads = map_create();
    bool is_thread_wise = q->collapse_threads || q->n_sorts > 0 || q->filter;
    for (struct list *it = a->changed.prev; it != &a->changed; it = it->prev) {
        struct account_entry *e = container_of(it, struct account_entry, changed);
        if (e->e.modseq <= since)
            break;
        struct account_thread *t = account_thread_of(a, e->e.thread);
        if (!is_thread_wise)
            (void)map_put(touched, KEY(e->e.message), e);
        else if (!map_put(threads, KEY(t->id), t))
            touch_thread(t, touched);
    }
    return touched;
}

static void list_removed(const struct map *touched, uint64_t since, struct arena *arena,
                         struct account_query_changes *ret)
{
    size_t at = 0;
    void *value;
    ret->removed = ARENA_ARRAY(arena, uint64_t, map_size(touched) + 1);
    while (map_next(touched, &at, NULL, &value)) {
        const struct account_email *e = &((struct account_entry *)value)->e;
        if (e->created <= since)
            ret->removed[ret->n_removed++] = e->message;
    }
}

/* Whatever stays untouched keeps its order: in front of such an email, and of it alone, a client
 * knows all the others. One that may have moved itself says nothing (RFC 8620 section 5.6). */
static void list_added(const struct map *touched, const struct results *r, uint64_t up_to_id,
                       struct arena *arena, struct account_query_changes *ret)
{
    bool is_bound = up_to_id && !map_get(touched, KEY(up_to_id));
    ret->added = ARENA_ARRAY(arena, struct account_added, map_size(touched) + 1);
    for (size_t i = 0; i < r->n; i++) {
        uint64_t id = r->v[i]->e.message;
        if (map_get(touched, KEY(id)))
            ret->added[ret->n_added++] = (struct account_added){id, i};
        if (is_bound && id == up_to_id)
            break;
    }
}

enum err account_query_changes(struct account *a, struct store_reader *reader,
                               const struct account_query *q, uint64_t since, uint64_t up_to_id,
                               struct arena *arena, struct account_query_changes *ret,
                               struct errinfo *ei)
{
    struct results r;
    *ret = (struct account_query_changes){};
    if (since < a->floor || since > account_state(a, ACCOUNT_EMAIL, 0))
        return err_set(ei, ERR_GONE, "this state is too old, or was never given");
    enum err err = needs_words(q) ? account_sort_words(a, reader, q->until, ei) : ERR_OK;
    if (err != ERR_OK)
        return err;
    SCOPED(map_destroy) struct map *touched = touched_since(a, q, since);
    err = find(a, q, 0, arena, &r, ei);
    if (err == ERR_OK) {
        ret->total = r.n;
        list_removed(touched, since, arena, ret);
        list_added(touched, &r, up_to_id, arena, ret);
    }
    results_finish(&r);
    return err;
}
