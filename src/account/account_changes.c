/* What changed since a state (RFC 8620 section 5.2).
 *
 * Each thing that changed has one number in the order of changes: when it was created, if that was
 * since then; otherwise when it changed last. With one number they go by their ids. Going through
 * them in that order, a client that stops anywhere and goes on from there hears of each creation
 * exactly once, and of every change behind the place where it stopped. */
#include "account/account_int.h"

#include <stdlib.h>

enum what { NOTHING, CREATED, UPDATED, DESTROYED };

struct found {
    uint64_t id, at; /* `at`: its number in the order of changes */
    enum what what;
    bool is_counts_only;
};

struct search {
    const struct account *a;
    struct account_told since;
    uint64_t before; /* nothing up to this number is untold */
    struct arena *arena;
    struct found *found;
    size_t n, cap;
};

/* Does the client know what became of this thing with that number? */
static bool is_told(const struct search *s, uint64_t at, uint64_t id)
{
    return at < s->since.modseq || (at == s->since.modseq && id <= s->since.id);
}

static void add(struct search *s, uint64_t id, enum what what, uint64_t at, bool is_counts_only)
{
    s->found = mem_grow(s->found, s->n, &s->cap, sizeof(*s->found));
    s->found[s->n++] = (struct found){id, at, what, is_counts_only};
}

static void add_thing(struct search *s, uint64_t id, uint64_t created, uint64_t modseq,
                      bool is_gone)
{
    bool is_known = is_told(s, created, id);
    if (is_told(s, modseq, id) || (is_gone && !is_known))
        return;
    if (!is_known)
        add(s, id, CREATED, created, false);
    else
        add(s, id, is_gone ? DESTROYED : UPDATED, modseq, false);
}

/* ---- emails: newest change first ---- */

#define CHANGED_SINCE(it, s)                                                                       \
    struct list *it = (s)->a->changed.prev;                                                        \
    it != &(s)->a->changed &&container_of(it, struct account_entry, changed)->e.modseq >           \
              (s)->before;                                                                         \
    it = it->prev

static void find_emails(struct search *s)
{
    for (CHANGED_SINCE(it, s)) {
        const struct account_email *e = &container_of(it, struct account_entry, changed)->e;
        add_thing(s, e->message, e->created, e->modseq, e->is_gone);
    }
}

/* ---- threads: an email joined or left ---- */

/* Number of the last time its list of emails changed. */
static uint64_t membership(const struct account_email *e)
{
    return e->is_gone ? e->modseq : e->created;
}

struct step {
    uint64_t at;
    int by; /* an email joins: 1; leaves: -1 */
};

static int in_time(const void *x, const void *y)
{
    uint64_t a = ((const struct step *)x)->at, b = ((const struct step *)y)->at;
    return a < b ? -1 : a > b;
}

/* A thread may end and begin again, when an answer comes to what was destroyed: each time is told,
 * and those in one answer are made one (join). */
static void tell_steps(struct search *s, uint64_t id, struct step *steps, size_t n, size_t n_here)
{
    uint64_t updated = 0, told = 0; /* told: of its beginning or end, last */
    if (n)
        qsort(steps, n, sizeof(*steps), in_time);
    for (size_t i = 0; i < n; i++) {
        size_t before = n_here;
        n_here += (size_t)steps[i].by;
        if (before > 0 && n_here > 0) {
            updated = steps[i].at > told ? steps[i].at : 0; /* several at one time */
            continue;
        }
        add(s, id, before ? DESTROYED : CREATED, steps[i].at, false);
        told = steps[i].at;
        updated = 0;
    }
    if (updated)
        add(s, id, UPDATED, updated, false);
}

static void find_thread(struct search *s, const struct account_thread *t)
{
    struct step *steps = mem_new(2 * t->n * sizeof(*steps));
    size_t n = 0, n_here = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct account_email *e = &t->members[i]->e;
        bool is_known = is_told(s, e->created, t->id);
        bool has_left = e->is_gone && is_told(s, e->modseq, t->id);
        n_here += is_known && !has_left;
        if (!is_known)
            steps[n++] = (struct step){e->created, 1};
        if (e->is_gone && !has_left)
            steps[n++] = (struct step){e->modseq, -1};
    }
    tell_steps(s, t->id, steps, n, n_here);
    mem_free(&steps);
}

static void find_threads(struct search *s)
{
    SCOPED(map_destroy) struct map *seen = map_create();
    for (CHANGED_SINCE(it, s)) {
        const struct account_email *e = &container_of(it, struct account_entry, changed)->e;
        struct account_thread *t = account_thread_of(s->a, e->thread);
        if (!is_told(s, membership(e), t->id) && !map_put(seen, KEY(t->id), t))
            find_thread(s, t);
    }
}

/* ---- mailboxes: their own properties, or their counts ---- */

static void note_mailbox(const struct account *a, uint64_t mailbox, uint64_t at, uint64_t *counted)
{
    size_t i = account_mailbox_place(a, mailbox);
    if (i < a->n_mailboxes && a->mailboxes[i]->m.id == mailbox && counted[i] < at)
        counted[i] = at;
}

/* What it has left, it left when that place says: it may have changed again since. */
static void note_left(struct search *s, const struct account_email *changed, uint64_t *counted)
{
    for (uint32_t i = 0; i < changed->n_places; i++) {
        const struct record_place *p = &changed->places[i];
        if (p->is_gone && p->modseq > s->before)
            note_mailbox(s->a, p->mailbox, p->modseq, counted);
    }
}

/* A change in one email of a thread counts for every mailbox that the thread is in: unread threads
 * are counted there. Each thread is gone through once, at its latest change. */
static void note_thread(struct search *s, const struct account_thread *t, uint64_t *counted)
{
    uint64_t at = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct account_email *e = &t->members[i]->e;
        at = e->counted > at ? e->counted : at;
    }
    for (size_t i = 0; i < t->n; i++) {
        const struct account_email *e = &t->members[i]->e;
        for (uint32_t k = 0; k < e->n_places; k++)
            if (!e->places[k].is_gone)
                note_mailbox(s->a, e->places[k].mailbox, at, counted);
    }
}

/* Into `counted`: the last change of the counts of each mailbox since then. */
static void note_counts(struct search *s, uint64_t *counted)
{
    SCOPED(map_destroy) struct map *seen = map_create();
    for (CHANGED_SINCE(it, s)) {
        const struct account_email *e = &container_of(it, struct account_entry, changed)->e;
        if (e->counted <= s->before)
            continue;
        struct account_thread *t = account_thread_of(s->a, e->thread);
        note_left(s, e, counted);
        if (!map_put(seen, KEY(t->id), t))
            note_thread(s, t, counted);
    }
}

static void find_mailboxes(struct search *s)
{
    uint64_t *counted = mem_new((s->a->n_mailboxes + 1) * sizeof(*counted));
    note_counts(s, counted);
    for (size_t i = 0; i < s->a->n_mailboxes; i++) {
        const struct account_mailbox *m = &s->a->mailboxes[i]->m;
        if (!is_told(s, m->modseq, m->id))
            add_thing(s, m->id, m->created,
                      !m->is_gone && counted[i] > m->modseq ? counted[i] : m->modseq, m->is_gone);
        else if (!is_told(s, counted[i], m->id) && !m->is_gone)
            add(s, m->id, UPDATED, counted[i], true);
    }
    mem_free(&counted);
}

static void find_items(struct search *s, enum item_kind kind)
{
    for (size_t i = 0; i < s->a->n_items; i++) {
        const struct item_entry *e = s->a->items[i];
        if (e->kind == kind)
            add_thing(s, e->i.id, e->i.created, e->i.modseq, e->i.is_gone);
    }
}

/* ---- the answer ---- */

uint64_t account_state(const struct account *a, enum account_type type, enum item_kind kind)
{
    uint64_t state = 0;
    switch (type) {
    case ACCOUNT_EMAIL:
        if (!list_empty(&a->changed))
            state = container_of(a->changed.prev, struct account_entry, changed)->e.modseq;
        break;
    case ACCOUNT_THREAD:
        state = a->thread_state;
        break;
    case ACCOUNT_MAILBOX:
        state = a->mailbox_state;
        break;
    case ACCOUNT_ITEM:
        state = a->item_state[kind];
        break;
    case ACCOUNT_TYPE_N:
        must(!"a type");
    }
    return state > a->floor ? state : a->floor;
}

uint64_t account_delivered(const struct account *a)
{
    return a->delivered > a->floor ? a->delivered : a->floor;
}

static int in_order(const void *x, const void *y)
{
    const struct found *a = x, *b = y;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* What all that is told of one thing makes together: was it there before, is it there now?
 * `found` is sorted by `at`; the first of each thing stays. */
static size_t join(struct found *found, size_t n)
{
    SCOPED(map_destroy) struct map *seen = map_create();
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct found *first = map_get(seen, KEY(found[i].id));
        if (first) {
            bool was = first->what != CREATED && first->what != NOTHING;
            bool is = found[i].what != DESTROYED;
            first->what = was ? (is ? UPDATED : DESTROYED) : (is ? CREATED : NOTHING);
            continue;
        }
        found[n_kept] = found[i];
        (void)map_put(seen, KEY(found[n_kept].id), &found[n_kept]);
        n_kept++;
    }
    return n_kept;
}

static void sort_out(struct search *s, size_t n, struct account_changes *ret)
{
    ret->created = ARENA_ARRAY(s->arena, uint64_t, n + 1);
    ret->updated = ARENA_ARRAY(s->arena, uint64_t, n + 1);
    ret->destroyed = ARENA_ARRAY(s->arena, uint64_t, n + 1);
    ret->is_counts_only = true;
    n = join(s->found, n);
    for (size_t i = 0; i < n; i++) {
        const struct found *f = &s->found[i];
        switch (f->what) {
        case CREATED:
            ret->created[ret->n_created++] = f->id;
            break;
        case UPDATED:
            ret->updated[ret->n_updated++] = f->id;
            ret->is_counts_only &= f->is_counts_only;
            break;
        case DESTROYED:
            ret->destroyed[ret->n_destroyed++] = f->id;
            break;
        case NOTHING: /* came and went */
            break;
        }
    }
    ret->is_counts_only &= ret->n_updated > 0;
}

enum err account_changes(const struct account *a, enum account_type type, enum item_kind kind,
                         struct account_told since, size_t max, struct arena *arena,
                         struct account_changes *ret)
{
    bool is_whole = since.id == UINT64_MAX;
    struct search s = {.a = a, .since = since, .arena = arena};
    *ret = (struct account_changes){.until = ACCOUNT_TOLD(account_state(a, type, kind))};
    if (since.modseq < a->floor + !is_whole || since.modseq > ret->until.modseq)
        return ERR_GONE;
    s.before = since.modseq - !is_whole;
    switch (type) {
    case ACCOUNT_EMAIL:
        find_emails(&s);
        break;
    case ACCOUNT_THREAD:
        find_threads(&s);
        break;
    case ACCOUNT_MAILBOX:
        find_mailboxes(&s);
        break;
    case ACCOUNT_ITEM:
        find_items(&s, kind);
        break;
    case ACCOUNT_TYPE_N:
        must(!"a type");
    }
    if (s.n)
        qsort(s.found, s.n, sizeof(*s.found), in_order);
    ret->has_more = max && s.n > max;
    size_t n = ret->has_more ? max : s.n;
    if (ret->has_more)
        ret->until = (struct account_told){s.found[n - 1].at, s.found[n - 1].id};
    if (ret->has_more && s.found[n].at > s.found[n - 1].at)
        ret->until.id = UINT64_MAX;
    sort_out(&s, n, ret);
    mem_free(&s.found);
    return ERR_OK;
}
