/* Taking emails, mailboxes and items into a view, one by one, in any order.
 *
 * The arrays are sorted; what comes is nearly always the newest, so it is put at their end. */
#include "account/account_int.h"

#include <stdlib.h>

struct account *account_view_create(uint64_t person)
{
    struct account *a = mem_new(sizeof(*a));
    a->person = person;
    a->bytes = sizeof(*a);
    a->threads = map_create();
    list_init(&a->node);
    list_init(&a->changed);
    return a;
}

static void entry_free(struct account_entry **e)
{
    if (*e)
        mem_free(&(*e)->words);
    mem_free(e);
}

static void free_all(struct account *a)
{
    size_t at = 0;
    void *value;
    for (size_t i = 0; i < a->n_by_id; i++)
        entry_free(&a->by_id[i]);
    while (map_next(a->threads, &at, NULL, &value)) {
        struct account_thread *t = value;
        mem_free(&t->members);
        mem_free(&t);
    }
    map_destroy(&a->threads);
    for (size_t i = 0; i < a->n_mailboxes; i++)
        mem_free(&a->mailboxes[i]);
    for (size_t i = 0; i < a->n_items; i++)
        mem_free(&a->items[i]);
    mem_free(&a->by_id);
    mem_free(&a->by_received);
    mem_free(&a->mailboxes);
    mem_free(&a->items);
    mem_free(&a->touched);
    mem_free(&a->taken_out);
}

/* A thread has a copy of its key; a map has 4/3 to 4 places for each. */
size_t account_view_bytes(const struct account *a)
{
    enum { MAP_ENTRY = 32, PLACES = 3 };
    size_t n = a->cap_by_id + a->cap_by_received + a->cap_mailboxes + a->cap_touched +
               a->cap_items + a->cap_taken_out;
    return a->bytes + n * sizeof(void *) +
           map_size(a->threads) * (account_block(sizeof(uint64_t)) + MAP_ENTRY * PLACES);
}

void account_view_destroy(struct account **address)
{
    if (!*address)
        return;
    free_all(*address);
    mem_free(address);
}

/* What belongs to the cache stays: others may wait for this view. */
void account_view_clear(struct account *a)
{
    free_all(a);
    a->bytes = sizeof(*a);
    a->threads = map_create();
    list_init(&a->changed);
    a->emails_seen = a->modseq = a->floor = a->mail_bytes = a->trash = 0;
    a->thread_state = a->mailbox_state = a->delivered = 0;
    memset(a->item_state, 0, sizeof(a->item_state));
    a->n_by_id = a->cap_by_id = a->n_by_received = a->cap_by_received = 0;
    a->n_mailboxes = a->cap_mailboxes = a->n_touched = a->cap_touched = 0;
    a->n_items = a->cap_items = a->n_taken_out = a->cap_taken_out = 0;
}

/* ---- sorted arrays of pointers ---- */

/* Where `key` is or would be, from the end: the newest is asked for most. */
static size_t place_of_id(const struct account *a, uint64_t message)
{
    size_t low = 0, high = a->n_by_id;
    if (high && a->by_id[high - 1]->e.message < message)
        return high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (a->by_id[mid]->e.message < message)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int compare_received(const struct account_email *x, const struct account_email *y)
{
    if (x->received != y->received)
        return x->received < y->received ? -1 : 1;
    return x->message < y->message ? -1 : x->message > y->message;
}

static size_t place_of_received(const struct account *a, const struct account_email *e)
{
    size_t low = 0, high = a->n_by_received;
    if (high && compare_received(&a->by_received[high - 1]->e, e) < 0)
        return high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_received(&a->by_received[mid]->e, e) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void put_at(struct account_entry **array, size_t n, size_t at, struct account_entry *e)
{
    memmove(array + at + 1, array + at, (n - at) * sizeof(*array));
    array[at] = e;
}

static void take_from(struct account_entry **array, size_t n, size_t at)
{
    memmove(array + at, array + at + 1, (n - at - 1) * sizeof(*array));
}

struct account_entry *account_entry(const struct account *a, uint64_t message)
{
    size_t at = place_of_id(a, message);
    return at < a->n_by_id && a->by_id[at]->e.message == message ? a->by_id[at] : NULL;
}

/* ---- threads ---- */

struct account_thread *account_thread_of(const struct account *a, uint64_t thread)
{
    return map_get(a->threads, KEY(thread));
}

/* Nearly always at the end. */
static size_t place_in_thread(const struct account_thread *t, const struct account_email *e)
{
    size_t low = 0, high = t->n;
    if (high && compare_received(&t->members[high - 1]->e, e) < 0)
        return high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_received(&t->members[mid]->e, e) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t members_bytes(size_t cap)
{
    return cap ? account_block(cap * sizeof(struct account_entry *)) : 0;
}

static void join_thread(struct account *a, struct account_entry *c)
{
    const struct account_email *e = &c->e;
    struct account_thread *t = account_thread_of(a, e->thread);
    if (!t) {
        t = mem_new(sizeof(*t));
        t->id = e->thread;
        t->number = map_size(a->threads);
        map_put(a->threads, KEY(e->thread), t);
        a->bytes += account_block(sizeof(*t));
    }
    size_t before = t->cap;
    t->members = mem_grow(t->members, t->n, &t->cap, sizeof(*t->members));
    a->bytes += members_bytes(t->cap) - members_bytes(before);
    size_t at = place_in_thread(t, e);
    memmove(t->members + at + 1, t->members + at, (t->n - at) * sizeof(*t->members));
    t->members[at] = c;
    t->n++;
    t->n_here += !e->is_gone;
}

/* ---- emails ---- */

static size_t entry_bytes(const struct account_email *e)
{
    size_t n = sizeof(struct account_entry) + e->n_places * sizeof(e->places[0]) +
               e->n_keywords * sizeof(e->keywords[0]);
    for (uint32_t i = 0; i < e->n_keywords; i++)
        n += e->keywords[i].text.n;
    return n;
}

static struct account_entry *entry_copy(const struct account_email *e)
{
    struct account_entry *c = mem_new(entry_bytes(e));
    struct record_place *places = (struct record_place *)(void *)(c + 1);
    struct record_keyword *keywords = (struct record_keyword *)(void *)(places + e->n_places);
    char *text = (char *)(keywords + e->n_keywords);
    c->e = *e;
    list_init(&c->changed);
    for (uint32_t i = 0; i < e->n_places; i++)
        places[i] = e->places[i];
    for (uint32_t i = 0; i < e->n_keywords; i++) {
        struct slice k = e->keywords[i].text;
        memcpy(text, k.p ? k.p : "", k.n);
        keywords[i].text = slice_of(text, k.n);
        text += k.n;
    }
    c->e.places = places;
    c->e.keywords = keywords;
    return c;
}

/* In the order of change numbers; nearly always at the end. */
static void link_changed(struct account *a, struct account_entry *c)
{
    struct list *after = a->changed.prev;
    if (!a->is_counting_late)
        while (after != &a->changed &&
               container_of(after, struct account_entry, changed)->e.modseq > c->e.modseq)
            after = after->prev;
    list_prepend(after, &c->changed); /* right behind it */
}

static void leave_received(struct account *a, const struct account_entry *c)
{
    size_t at = place_of_received(a, &c->e);
    must(at < a->n_by_received && a->by_received[at] == c);
    take_from(a->by_received, a->n_by_received, at);
    a->n_by_received--;
}

static void join_received(struct account *a, struct account_entry *c)
{
    a->by_received = mem_grow(a->by_received, a->n_by_received, &a->cap_by_received,
                              sizeof(struct account_entry *));
    /* Many at once are sorted at the end. */
    size_t at = a->is_counting_late ? a->n_by_received : place_of_received(a, &c->e);
    put_at(a->by_received, a->n_by_received, at, c);
    a->n_by_received++;
}

/* ---- threads are counted once, however many of their emails change ---- */

/* Before something of it changes. */
static void take_out(struct account *a, struct account_thread *t)
{
    if (t->is_taken_out)
        return;
    account_count_thread(a, t, -1);
    if (!a->is_gathering)
        return;
    a->taken_out =
        mem_grow(a->taken_out, a->n_taken_out, &a->cap_taken_out, sizeof(struct account_thread *));
    a->taken_out[a->n_taken_out++] = t;
    t->is_taken_out = true;
}

/* Afterwards; a new one was not counted before. */
static void put_back(struct account *a, struct account_thread *t)
{
    if (!t->is_taken_out)
        account_count_thread(a, t, 1);
}

void account_view_gather(struct account *a)
{
    a->is_gathering = true;
}

void account_view_settle(struct account *a)
{
    a->is_gathering = false;
    while (a->n_taken_out > 0) {
        struct account_thread *t = a->taken_out[--a->n_taken_out];
        t->is_taken_out = false;
        account_count_thread(a, t, 1);
    }
}

/* Was it noticed by those who watch mailboxes? */
static void note_counted(struct account *a, const struct account_email *e)
{
    if (a->mailbox_state < e->counted)
        a->mailbox_state = e->counted;
    uint64_t membership = e->is_gone ? e->modseq : e->created;
    if (a->thread_state < membership)
        a->thread_state = membership;
    if (a->delivered < e->created)
        a->delivered = e->created;
    if (a->modseq < e->modseq)
        a->modseq = e->modseq;
}

static void add_new(struct account *a, struct account_entry *c)
{
    a->by_id = mem_grow(a->by_id, a->n_by_id, &a->cap_by_id, sizeof(struct account_entry *));
    put_at(a->by_id, a->n_by_id, place_of_id(a, c->e.message), c);
    a->n_by_id++;
    if (!a->is_counting_late) {
        struct account_thread *t = account_thread_of(a, c->e.thread);
        if (t)
            take_out(a, t);
        join_thread(a, c);
    }
}

/* `old` leaves everything in which `c` takes its place. */
static void replace(struct account *a, struct account_entry *old, struct account_entry *c)
{
    struct account_thread *t = account_thread_of(a, old->e.thread);
    c->e.thread = old->e.thread; /* for good */
    c->e.created = old->e.created;
    c->e.received = old->e.received;
    c->words = old->words;
    old->words = NULL;
    take_out(a, t);
    account_count_email(a, &old->e, -1);
    t->n_here += (size_t)!c->e.is_gone;
    t->n_here -= (size_t)!old->e.is_gone;
    a->mail_bytes -= old->e.is_gone ? 0 : old->e.bytes;
    a->bytes -= account_block(entry_bytes(&old->e));
    if (!old->e.is_gone)
        leave_received(a, old);
    list_remove(&old->changed);
    t->members[place_in_thread(t, &old->e)] = c;
    a->by_id[place_of_id(a, old->e.message)] = c;
    entry_free(&old);
}

void account_view_email(struct account *a, const struct account_email *e)
{
    struct account_entry *old = account_entry(a, e->message);
    if (old && (a->is_counting_late || old->e.modseq >= e->modseq))
        return;
    struct account_entry *c = entry_copy(e);
    if (old)
        replace(a, old, c);
    else
        add_new(a, c);
    a->bytes += account_block(entry_bytes(&c->e));
    a->mail_bytes += c->e.is_gone ? 0 : c->e.bytes;
    link_changed(a, c);
    if (!c->e.is_gone)
        join_received(a, c);
    note_counted(a, &c->e);
    if (a->is_counting_late)
        return;
    account_count_email(a, &c->e, 1);
    put_back(a, account_thread_of(a, c->e.thread));
}

/* ---- many at once ---- */

static int order_received(const void *x, const void *y)
{
    return compare_received(&(*(struct account_entry *const *)x)->e,
                            &(*(struct account_entry *const *)y)->e);
}

static int order_modseq(const void *x, const void *y)
{
    uint64_t a = (*(struct account_entry *const *)x)->e.modseq;
    uint64_t b = (*(struct account_entry *const *)y)->e.modseq;
    return a < b ? -1 : a > b;
}

void account_view_begin(struct account *a)
{
    must(!a->is_counting_late);
    a->is_counting_late = true;
}

/* Threads are joined in the order of `received`, so that each finds its place at the end. */
static void join_all(struct account *a, struct account_entry **all)
{
    for (size_t i = 0; i < a->n_by_id; i++)
        all[i] = a->by_id[i];
    qsort(all, a->n_by_id, sizeof(struct account_entry *), order_received);
    size_t at = 0;
    void *value;
    while (map_next(a->threads, &at, NULL, &value)) {
        ((struct account_thread *)value)->n = 0;
        ((struct account_thread *)value)->n_here = 0;
    }
    for (size_t i = 0; i < a->n_by_id; i++)
        join_thread(a, all[i]);
}

void account_view_end(struct account *a)
{
    struct account_entry **all = mem_new((a->n_by_id + 1) * sizeof(struct account_entry *));
    a->is_counting_late = false;
    join_all(a, all);
    qsort(all, a->n_by_id, sizeof(struct account_entry *), order_modseq);
    list_init(&a->changed);
    for (size_t i = 0; i < a->n_by_id; i++) {
        list_init(&all[i]->changed);
        list_append(&a->changed, &all[i]->changed);
    }
    mem_free(&all);
    if (a->n_by_received > 1)
        qsort(a->by_received, a->n_by_received, sizeof(struct account_entry *), order_received);
    account_count_all(a);
}

/* ---- mailboxes and items ---- */

size_t account_mailbox_place(const struct account *a, uint64_t id)
{
    size_t low = 0, high = a->n_mailboxes;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (a->mailboxes[mid]->m.id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct mailbox_entry *account_mailbox_entry(const struct account *a, uint64_t id)
{
    size_t at = account_mailbox_place(a, id);
    return at < a->n_mailboxes && a->mailboxes[at]->m.id == id ? a->mailboxes[at] : NULL;
}

static struct mailbox_entry *mailbox_copy(const struct account_mailbox *m)
{
    struct mailbox_entry *c = mem_new(sizeof(*c) + m->name.n + m->role.n);
    char *text = (char *)(c + 1);
    c->m = *m;
    memcpy(text, m->name.p ? m->name.p : "", m->name.n);
    c->m.name = slice_of(text, m->name.n);
    memcpy(text + m->name.n, m->role.p ? m->role.p : "", m->role.n);
    c->m.role = slice_of(text + m->name.n, m->role.n);
    return c;
}

static void find_trash(struct account *a)
{
    a->trash = 0;
    for (size_t i = 0; i < a->n_mailboxes; i++)
        if (!a->mailboxes[i]->m.is_gone && slice_eq(a->mailboxes[i]->m.role, SLICE("trash")))
            a->trash = a->mailboxes[i]->m.id;
}

static void insert_mailbox(struct account *a, struct mailbox_entry *c)
{
    size_t at = account_mailbox_place(a, c->m.id);
    a->mailboxes =
        mem_grow(a->mailboxes, a->n_mailboxes, &a->cap_mailboxes, sizeof(struct mailbox_entry *));
    memmove(a->mailboxes + at + 1, a->mailboxes + at,
            (a->n_mailboxes - at) * sizeof(struct mailbox_entry *));
    a->mailboxes[at] = c;
    a->n_mailboxes++;
}

static size_t mailbox_bytes(const struct account_mailbox *m)
{
    return account_block(sizeof(struct mailbox_entry) + m->name.n + m->role.n);
}

/* Its counts stay. */
static void replace_mailbox(struct account *a, struct mailbox_entry *old, struct mailbox_entry *c)
{
    c->m.created = old->m.created;
    c->m.n_emails = old->m.n_emails;
    c->m.n_unread = old->m.n_unread;
    c->m.n_threads = old->m.n_threads;
    c->m.n_unread_threads = old->m.n_unread_threads;
    a->bytes -= mailbox_bytes(&old->m);
    a->mailboxes[account_mailbox_place(a, old->m.id)] = c;
    mem_free(&old);
}

void account_view_mailbox(struct account *a, const struct account_mailbox *m)
{
    struct mailbox_entry *old = account_mailbox_entry(a, m->id);
    uint64_t trash = a->trash;
    if (old && old->m.modseq >= m->modseq)
        return;
    if (old)
        replace_mailbox(a, old, mailbox_copy(m));
    else
        insert_mailbox(a, mailbox_copy(m));
    a->bytes += mailbox_bytes(m);
    if (a->mailbox_state < m->modseq)
        a->mailbox_state = m->modseq;
    if (a->modseq < m->modseq)
        a->modseq = m->modseq;
    find_trash(a);
    if (a->trash != trash && !a->is_counting_late)
        account_count_all(a); /* what is only in the trash counts differently */
}

static int compare_item(const struct item_entry *x, enum item_kind kind, uint64_t id)
{
    if (x->kind != kind)
        return x->kind < kind ? -1 : 1;
    return x->i.id < id ? -1 : x->i.id > id;
}

void account_view_item(struct account *a, enum item_kind kind, const struct account_item *i)
{
    size_t at = a->n_items;
    while (at > 0 && compare_item(a->items[at - 1], kind, i->id) >= 0)
        at--;
    struct item_entry *old = at < a->n_items ? a->items[at] : NULL;
    bool is_known = old && compare_item(old, kind, i->id) == 0;
    if (is_known && old->i.modseq >= i->modseq)
        return;
    struct item_entry *c = mem_new(sizeof(*c) + i->body.n);
    c->kind = kind;
    c->i = *i;
    memcpy(c + 1, i->body.p ? i->body.p : "", i->body.n);
    c->i.body = slice_of((const char *)(c + 1), i->body.n);
    a->bytes += account_block(sizeof(*c) + i->body.n);
    if (is_known) {
        c->i.created = old->i.is_gone ? i->created : old->i.created;
        a->bytes -= account_block(sizeof(*old) + old->i.body.n);
        mem_free(&a->items[at]);
    } else {
        a->items = mem_grow(a->items, a->n_items, &a->cap_items, sizeof(struct item_entry *));
        memmove(a->items + at + 1, a->items + at, (a->n_items - at) * sizeof(struct item_entry *));
        a->n_items++;
    }
    a->items[at] = c;
    if (a->item_state[kind] < i->modseq)
        a->item_state[kind] = i->modseq;
    if (a->modseq < i->modseq)
        a->modseq = i->modseq;
}

/* ---- tombstones go ---- */

static void leave_thread(struct account *a, const struct account_email *e)
{
    struct account_thread *t = account_thread_of(a, e->thread);
    size_t at = 0;
    while (at < t->n && t->members[at]->e.message != e->message)
        at++;
    must(at < t->n);
    memmove(t->members + at, t->members + at + 1, (t->n - at - 1) * sizeof(*t->members));
    if (--t->n > 0)
        return;
    (void)map_del(a->threads, KEY(t->id));
    a->bytes -= account_block(sizeof(*t)) + members_bytes(t->cap);
    mem_free(&t->members);
    mem_free(&t);
}

static void purge_emails(struct account *a, uint64_t floor)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n_by_id; i++) {
        struct account_entry *c = a->by_id[i];
        if (!c->e.is_gone || c->e.modseq > floor) {
            a->by_id[n++] = c;
            continue;
        }
        leave_thread(a, &c->e);
        list_remove(&c->changed);
        a->bytes -= account_block(entry_bytes(&c->e));
        a->bytes -= c->words ? account_block(c->words->bytes) : 0;
        entry_free(&c);
    }
    a->n_by_id = n;
}

/* Queries count on numbers without gaps. */
static void number_threads(struct account *a)
{
    size_t at = 0, n = 0;
    void *value;
    while (map_next(a->threads, &at, NULL, &value))
        ((struct account_thread *)value)->number = n++;
}

void account_view_purge(struct account *a, uint64_t floor)
{
    size_t n = 0;
    purge_emails(a, floor);
    number_threads(a);
    for (size_t i = 0; i < a->n_mailboxes; i++) {
        struct mailbox_entry *m = a->mailboxes[i];
        if (m->m.is_gone && m->m.modseq <= floor) {
            a->bytes -= mailbox_bytes(&m->m);
            mem_free(&m);
        } else {
            a->mailboxes[n++] = m;
        }
    }
    a->n_mailboxes = n;
    n = 0;
    for (size_t i = 0; i < a->n_items; i++) {
        struct item_entry *c = a->items[i];
        if (c->i.is_gone && c->i.modseq <= floor) {
            a->bytes -= account_block(sizeof(*c) + c->i.body.n);
            mem_free(&c);
        } else {
            a->items[n++] = c;
        }
    }
    a->n_items = n;
}
