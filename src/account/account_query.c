/* Queries for emails (RFC 8621 section 4.4, RFC 8620 sections 5.5 and 5.6): which match, in which
 * order, which part of them. */
#include "account/account_int.h"

#include <stdlib.h>

/* ---- does it match? ---- */

bool account_is_in(const struct account_email *e, uint64_t mailbox)
{
    for (uint32_t i = 0; i < e->n_places; i++)
        if (e->places[i].mailbox == mailbox && !e->places[i].is_gone)
            return true;
    return false;
}

static bool has_id(const uint64_t *ids, size_t n, uint64_t id)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ids[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && ids[low] == id;
}

static bool is_in_another(const struct account_email *e, const uint64_t *ids, size_t n)
{
    for (uint32_t i = 0; i < e->n_places; i++)
        if (!e->places[i].is_gone && !has_id(ids, n, e->places[i].mailbox))
            return true;
    return false;
}

static const struct flag_name {
    struct slice name;
    uint32_t flag;
} flag_names[] = {
#define EMAIL_FLAG(id, flag, keyword) {SLICE(keyword), flag},
#include "account/email_flag.def"
#undef EMAIL_FLAG
};

uint32_t account_flag(struct slice keyword)
{
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
        if (slice_ieq(flag_names[i].name, keyword))
            return flag_names[i].flag;
    return 0;
}

bool account_has_keyword(const struct account_email *e, struct slice keyword)
{
    uint32_t flag = account_flag(keyword);
    if (flag)
        return e->flags & flag;
    for (uint32_t i = 0; i < e->n_keywords; i++)
        if (slice_ieq(e->keywords[i].text, keyword))
            return true;
    return false;
}

bool account_some_in_thread(const struct account *a, uint64_t thread, struct slice keyword,
                            bool *ret_all)
{
    const struct account_thread *t = account_thread_of(a, thread);
    bool some = false, all = true;
    for (size_t i = 0; t && i < t->n; i++) {
        const struct account_email *e = &account_entry(a, t->members[i])->e;
        bool has = account_has_keyword(e, keyword);
        some |= has && !e->is_gone;
        all &= has || e->is_gone;
    }
    if (ret_all)
        *ret_all = all;
    return some;
}

static bool matches_parts(const struct account *a, const struct account_filter *f,
                          const struct account_email *e)
{
    bool is_wanted = f->test == ACCOUNT_OR; /* one such part decides; NOT: one that matches */
    bool is_decided_by = f->test != ACCOUNT_AND;
    for (size_t i = 0; i < f->n_parts; i++)
        if (account_matches(a, &f->parts[i], e) == is_decided_by)
            return is_wanted;
    return !is_wanted;
}

bool account_matches(const struct account *a, const struct account_filter *f,
                     const struct account_email *e)
{
    bool all = false;
    switch (f->test) {
    case ACCOUNT_AND:
    case ACCOUNT_OR:
    case ACCOUNT_NOT:
        return matches_parts(a, f, e);
    case ACCOUNT_ALL:
        return true;
    case ACCOUNT_IN_MAILBOX:
        return account_is_in(e, f->number);
    case ACCOUNT_IN_MAILBOX_OTHER_THAN:
        return is_in_another(e, f->ids, f->n_ids);
    case ACCOUNT_BEFORE:
        return e->received < f->time;
    case ACCOUNT_AFTER:
        return e->received >= f->time;
    case ACCOUNT_MIN_SIZE:
        return e->bytes >= f->number;
    case ACCOUNT_MAX_SIZE:
        return e->bytes < f->number;
    case ACCOUNT_ALL_IN_THREAD_HAVE:
        (void)account_some_in_thread(a, e->thread, f->keyword, &all);
        return all;
    case ACCOUNT_SOME_IN_THREAD_HAVE:
        return account_some_in_thread(a, e->thread, f->keyword, NULL);
    case ACCOUNT_NONE_IN_THREAD_HAVE:
        return !account_some_in_thread(a, e->thread, f->keyword, NULL);
    case ACCOUNT_HAS:
        return account_has_keyword(e, f->keyword);
    case ACCOUNT_HAS_NOT:
        return !account_has_keyword(e, f->keyword);
    case ACCOUNT_HAS_ATTACHMENT:
        return !!(e->flags & EMAIL_ATTACHED) == !!f->number;
    case ACCOUNT_ONE_OF:
        return has_id(f->ids, f->n_ids, e->message);
    }
    return false;
}

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
    r->v = account_grow(r->v, r->n, &r->cap, sizeof(struct account_entry *));
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
static _Thread_local const struct account *sorted_account;
static _Thread_local const struct account_query *sorted_query;

static int by_query(const void *x, const void *y)
{
    return account_compare(sorted_account, sorted_query, *(struct account_entry *const *)x,
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

/* The first `want` results; all if it is 0 or the order must be made first. */
static void find(const struct account *a, const struct account_query *q, size_t want,
                 struct results *r)
{
    bool is_quick = is_newest_first(q);
    *r = (struct results){.threads = q->collapse_threads ? map_create() : NULL};
    for (size_t i = a->n_by_received; i-- > 0;) {
        struct account_entry *e = a->by_received[i];
        if (q->filter && !account_matches(a, q->filter, &e->e))
            continue;
        if (is_quick && !is_first_of_thread(r, &e->e))
            continue;
        results_add(r, e);
        if (is_quick && want && r->n == want)
            return;
    }
    if (is_quick)
        return;
    sorted_account = a;
    sorted_query = q;
    if (r->n > 1)
        qsort(r->v, r->n, sizeof(struct account_entry *), by_query);
    if (q->collapse_threads)
        collapse(r);
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
                         uint64_t *ret)
{
    int64_t begin = q->position;
    if (q->anchor) {
        int64_t at = index_of(r, q->anchor);
        if (at < 0)
            return ERR_GONE;
        if (__builtin_add_overflow(at, q->anchor_offset, &begin))
            begin = q->anchor_offset < 0 ? 0 : INT64_MAX;
    } else if (begin < 0) {
        begin += (int64_t)total;
    }
    *ret = begin < 0 ? 0 : (uint64_t)begin;
    return ERR_OK;
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
    enum err err = needs_words(q) ? account_sort_words(a, reader, ei) : ERR_OK;
    if (err != ERR_OK)
        return err;
    bool has_total = quick_total(a, q, &total);
    size_t need = needed(q, has_total);
    find(a, q, need, &r);
    if (!has_total)
        total = r.n; /* exact when all were found, which is so when it is asked for */
    err = begin_of(q, &r, total, &ret->position);
    if (err == ERR_OK) {
        size_t from = ret->position < r.n ? (size_t)ret->position : r.n;
        size_t n = r.n - from < q->limit ? r.n - from : q->limit;
        ret->ids = ARENA_ARRAY(arena, uint64_t, n + 1);
        for (; ret->n_ids < n; ret->n_ids++)
            ret->ids[ret->n_ids] = r.v[from + ret->n_ids]->e.message;
        ret->total = total;
    } else {
        err = err_set(ei, err, "the anchor is not among the results");
    }
    results_finish(&r);
    return err;
}

/* ---- what changed in it ---- */

/* Emails whose place in the results may differ: those that changed, and with them their threads,
 * where one email decides about another. */
static struct map *touched_since(const struct account *a, const struct account_query *q,
                                 uint64_t since)
{
    struct map *touched = map_create();
    bool is_thread_wise = q->collapse_threads || q->n_sorts > 0 || q->filter;
    for (struct list *it = a->changed.prev; it != &a->changed; it = it->prev) {
        struct account_entry *e = container_of(it, struct account_entry, changed);
        if (e->e.modseq <= since)
            break;
        (void)map_put(touched, KEY(e->e.message), e);
        const struct account_thread *t = account_thread_of(a, e->e.thread);
        for (size_t i = 0; is_thread_wise && i < t->n; i++)
            (void)map_put(touched, KEY(t->members[i]), account_entry(a, t->members[i]));
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

enum err account_query_changes(struct account *a, struct store_reader *reader,
                               const struct account_query *q, uint64_t since, uint64_t up_to_id,
                               size_t max, struct arena *arena, struct account_query_changes *ret,
                               struct errinfo *ei)
{
    struct results r;
    *ret = (struct account_query_changes){};
    if (since < a->floor || since > account_state(a, ACCOUNT_EMAIL, 0))
        return err_set(ei, ERR_GONE, "this state is too old, or was never given");
    enum err err = needs_words(q) ? account_sort_words(a, reader, ei) : ERR_OK;
    if (err != ERR_OK)
        return err;
    SCOPED(map_destroy) struct map *touched = touched_since(a, q, since);
    find(a, q, 0, &r);
    ret->total = r.n;
    list_removed(touched, since, arena, ret);
    ret->added = ARENA_ARRAY(arena, struct account_added, map_size(touched) + 1);
    for (size_t i = 0; i < r.n; i++) {
        uint64_t id = r.v[i]->e.message;
        if (map_get(touched, KEY(id)))
            ret->added[ret->n_added++] = (struct account_added){id, i};
        if (id == up_to_id)
            break;
    }
    results_finish(&r);
    if (max && ret->n_removed + ret->n_added > max)
        return err_set(ei, ERR_LIMIT, "more than %zu changes", max);
    return ERR_OK;
}
