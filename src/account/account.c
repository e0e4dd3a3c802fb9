/* The cache of views: holding one, and taking up what changed. */
#include "account/account_int.h"

#include <errno.h>
#include <time.h>

/* ---- the cache ---- */

struct account_cache *account_cache_create(size_t bytes_max)
{
    struct account_cache *c = mem_new(sizeof(*c));
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes) == 0);
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    must(pthread_mutex_init(&c->lock, NULL) == 0);
    must(pthread_cond_init(&c->freed, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    c->by_person = map_create();
    list_init(&c->views);
    c->bytes_max = bytes_max;
    return c;
}

void account_cache_destroy(struct account_cache **address)
{
    struct account_cache *c = *address;
    if (!c)
        return;
    LIST_FOREACH (it, &c->views) {
        struct account *a = container_of(it, struct account, node);
        must(!a->is_held);
        account_view_destroy(&a);
    }
    map_destroy(&c->by_person);
    (void)pthread_cond_destroy(&c->freed);
    (void)pthread_mutex_destroy(&c->lock);
    mem_free(address);
}

size_t account_cache_bytes(const struct account_cache *c)
{
    return c->bytes;
}

/* Under lock. */
static void forget(struct account_cache *c, struct account *a)
{
    list_remove(&a->node);
    (void)map_del(c->by_person, KEY(a->person));
    c->bytes -= a->counted_bytes;
    account_view_destroy(&a);
}

/* Under lock: the longest unused go until the rest has room. */
static void make_room(struct account_cache *c)
{
    LIST_FOREACH (it, &c->views) {
        struct account *a = container_of(it, struct account, node);
        if (c->bytes <= c->bytes_max)
            return;
        if (!a->is_held && a->n_waiting == 0)
            forget(c, a);
    }
}

/* Under lock: its memory as it is now. */
static void count_bytes(struct account *a)
{
    size_t now = account_view_bytes(a);
    a->cache->bytes += now - a->counted_bytes;
    a->counted_bytes = now;
}

/* Under lock. False: somebody held it all the time. */
static bool wait_for(struct account_cache *c, struct account *a, mono_us until)
{
    struct timespec at = {.tv_sec = until / SECONDS(1), .tv_nsec = until % SECONDS(1) * 1000};
    int rc = 0;
    a->n_waiting++;
    while (a->is_held && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&c->freed, &c->lock, &at);
    a->n_waiting--;
    return !a->is_held;
}

/* ---- taking up ---- */

static bool take_mailbox(void *arg, const struct record_mailbox *m)
{
    account_view_mailbox(arg, &(struct account_mailbox){
                                  .id = m->id,
                                  .parent = m->parent,
                                  .modseq = m->modseq,
                                  .created = m->created,
                                  .name = m->name,
                                  .role = m->role,
                                  .sort_order = m->sort_order,
                                  .uid_validity = m->uid_validity,
                                  .is_subscribed = m->is_subscribed,
                                  .is_gone = m->is_removed,
                              });
    return true;
}

static bool take_email(void *arg, const struct store_email *e)
{
    account_view_email(arg, &(struct account_email){
                                .message = e->message,
                                .thread = e->thread,
                                .modseq = e->modseq,
                                .created = e->created,
                                .counted = e->counted,
                                .received = e->received,
                                .bytes = e->bytes,
                                .flags = e->flags,
                                .n_places = e->list.n_places,
                                .n_keywords = e->list.n_keywords,
                                .places = e->list.places,
                                .keywords = e->list.keywords,
                                .is_gone = e->is_gone,
                            });
    return true;
}

static bool take_item(void *arg, const struct record_item *i)
{
    account_view_item(arg, i->kind,
                      &(struct account_item){.id = i->id,
                                             .modseq = i->modseq,
                                             .created = i->created,
                                             .body = i->body,
                                             .is_gone = i->is_gone});
    return true;
}

static enum err take_up_all(struct account *a, struct store_reader *reader, struct errinfo *ei)
{
    enum err err = store_each_mailbox_of(reader, a->person, take_mailbox, a, ei);
    if (err == ERR_OK)
        err = store_each_email(reader, a->person, a->emails_seen, take_email, a, ei);
    for (enum item_kind kind = ITEM_IDENTITY; kind <= ITEM_PUSH && err == ERR_OK; kind++)
        err = store_each_item(reader, a->person, kind, take_item, a, ei);
    return err;
}

enum err account_catch_up(struct account *a, struct store_reader *reader, struct errinfo *ei)
{
    struct store_account now;
    store_reader_hold(reader); /* all of one moment */
    enum err err = store_get_account(reader, a->person, &now, ei);
    /* Half of it may be here from a time that failed, and be another one by now: taking all up
     * compares no versions. And what went meanwhile may have left no tombstone any more. */
    if (err == ERR_OK && (a->emails_seen == 0 || a->emails_seen < now.floor))
        account_view_clear(a);
    bool is_new = err == ERR_OK && now.modseq != a->emails_seen;
    bool is_first = a->emails_seen == 0;
    if (is_new && is_first)
        account_view_begin(a);
    account_view_gather(a);
    if (is_new)
        err = take_up_all(a, reader, ei);
    account_view_settle(a);
    if (is_new && is_first)
        account_view_end(a);
    store_reader_let_go(reader);
    if (err != ERR_OK)
        return err;
    if (a->floor < now.floor)
        account_view_purge(a, now.floor);
    a->floor = now.floor;
    a->emails_seen = now.modseq;
    a->modseq = now.modseq;
    return ERR_OK;
}

/* ---- holding ---- */

/* Under lock: the view of this person, held by nobody else from now on; NULL: not in time. */
static struct account *hold_view(struct account_cache *c, uint64_t person, mono_us until)
{
    struct account *a = map_get(c->by_person, KEY(person));
    if (a && a->is_held && !wait_for(c, a, until))
        return NULL;
    if (!a) {
        a = account_view_create(person);
        a->cache = c;
        (void)map_put(c->by_person, KEY(person), a);
        list_append(&c->views, &a->node);
    }
    a->is_held = true;
    list_remove(&a->node);
    list_append(&c->views, &a->node);
    return a;
}

enum err account_hold(struct account_cache *c, struct store_reader *reader, uint64_t person,
                      mono_us patience, struct account **ret, struct errinfo *ei)
{
    *ret = NULL;
    pthread_mutex_lock(&c->lock);
    struct account *a = hold_view(c, person, mono_now() + patience);
    pthread_mutex_unlock(&c->lock);
    if (!a)
        return err_set(ei, ERR_RETRY,
                       "this mailbox is busy with other requests of the same person");
    enum err err = account_catch_up(a, reader, ei);
    if (err != ERR_OK)
        account_let_go(&a); /* perhaps half of it was taken up: the next one reads it again */
    *ret = a;
    return err;
}

void account_cache_limit(struct account_cache *c, size_t bytes_max)
{
    pthread_mutex_lock(&c->lock);
    c->bytes_max = bytes_max;
    make_room(c);
    pthread_mutex_unlock(&c->lock);
}

void account_let_go(struct account **address)
{
    struct account *a = *address;
    if (!a)
        return;
    struct account_cache *c = a->cache;
    pthread_mutex_lock(&c->lock);
    a->is_held = false;
    count_bytes(a);
    make_room(c);
    pthread_cond_broadcast(&c->freed);
    pthread_mutex_unlock(&c->lock);
    *address = NULL;
}

/* ---- what is in it ---- */

uint64_t account_modseq(const struct account *a)
{
    return a->modseq;
}

uint64_t account_floor(const struct account *a)
{
    return a->floor;
}

uint64_t account_bytes(const struct account *a)
{
    return a->mail_bytes;
}

const struct account_email *account_email(const struct account *a, uint64_t message)
{
    const struct account_entry *e = account_entry(a, message);
    return e ? &e->e : NULL;
}

size_t account_n_emails(const struct account *a)
{
    return a->n_by_received;
}

const struct account_email *account_nth_email(const struct account *a, size_t n)
{
    return n < a->n_by_received ? &a->by_received[a->n_by_received - 1 - n]->e : NULL;
}

size_t account_thread(const struct account *a, uint64_t thread, uint64_t *ret, size_t max)
{
    const struct account_thread *t = account_thread_of(a, thread);
    size_t n = 0;
    for (size_t i = 0; t && i < t->n; i++) {
        if (t->members[i]->e.is_gone)
            continue;
        if (n < max)
            ret[n] = t->members[i]->e.message;
        n++;
    }
    return n;
}

const struct account_mailbox *account_mailbox(const struct account *a, uint64_t id)
{
    const struct mailbox_entry *m = account_mailbox_entry(a, id);
    return m ? &m->m : NULL;
}

const struct account_mailbox *account_mailbox_by_role(const struct account *a, struct slice role)
{
    for (size_t i = 0; i < a->n_mailboxes; i++)
        if (!a->mailboxes[i]->m.is_gone && slice_eq(a->mailboxes[i]->m.role, role))
            return &a->mailboxes[i]->m;
    return NULL;
}

const struct account_mailbox *account_next_mailbox(const struct account *a, size_t *at)
{
    return *at < a->n_mailboxes ? &a->mailboxes[(*at)++]->m : NULL;
}

const struct account_item *account_item(const struct account *a, enum item_kind kind, uint64_t id)
{
    for (size_t i = 0; i < a->n_items; i++)
        if (a->items[i]->kind == kind && a->items[i]->i.id == id)
            return &a->items[i]->i;
    return NULL;
}

const struct account_item *account_next_item(const struct account *a, enum item_kind kind,
                                             size_t *at)
{
    while (*at < a->n_items) {
        const struct item_entry *e = a->items[(*at)++];
        if (e->kind == kind)
            return &e->i;
    }
    return NULL;
}
