/* Incidents: what people are told now. Every room's trouble comes in by desk_report; the book
 * (room alert) decides, and what it wants written and sent goes out here. */
#include "desk/desk_int.h"

struct desk_alerts {
    struct alert_book *book;
    struct list writes;  /* struct alert_write: not yet answered by the store */
    struct list waiters; /* struct waiter: people whose word is not durable yet */
};

struct waiter {
    struct list node;
    uint64_t ticket;
    void (*done)(void *cookie, enum err err, const char *why);
    void *cookie;
};

/* ---- writing ---- */

struct alert_write {
    struct list node;
    struct store_change change;
    struct desk *desk; /* NULL: the desk is gone, nobody wants to know */
    struct net_loop *loop;
    uint64_t ticket;
    struct buf facts;
    enum err err;
};

static void answer_waiters(struct desk *d, uint64_t ticket, enum err err)
{
    LIST_FOREACH (node, &d->alerts->waiters) {
        struct waiter *w = container_of(node, struct waiter, node);
        if (w->ticket > ticket)
            continue;
        list_remove(node);
        w->done(w->cookie, err, err == ERR_OK ? "" : "it is known here but not written down yet");
        mem_free(&w);
    }
}

static void write_done(void *arg)
{
    struct alert_write *w = arg;
    list_remove(&w->node);
    if (w->desk) {
        answer_waiters(w->desk, w->ticket, w->err);
        alert_written(desk_book(w->desk), w->ticket, w->err, utc_now());
        desk_alerts_tick(w->desk, utc_now()); /* now it may leave */
    }
    buf_finish(&w->facts);
    mem_free(&w);
}

static void written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct alert_write *w = change->arg;
    w->err = err;
    net_loop_post(w->loop, write_done, w);
}

static void write_down(void *arg, const struct record_objects *objects, uint64_t ticket)
{
    struct desk *d = arg;
    struct alert_write *w = mem_new(sizeof(*w));
    w->desk = d;
    w->loop = d->o.loop;
    w->ticket = ticket;
    w->facts = buf_make(STORE_RECORD_MAX);
    list_append(&d->alerts->writes, &w->node);
    record_objects_pack(&w->facts, objects);
    must(!w->facts.failed); /* the book keeps its portions small */
    w->change = (struct store_change){
        .type = RECORD_OBJECT, .facts = buf_slice(&w->facts), .done = written, .arg = w};
    store_submit(d->store, &w->change);
}

/* ---- life ---- */

static uint64_t next_id(void *arg)
{
    return desk_next_id(arg);
}

static struct slice tenant_name(void *arg, uint64_t tenant)
{
    struct desk *d = arg;
    const struct directory_tenant *t = tenant ? directory_tenant(d->directory, tenant) : NULL;
    return t ? t->facts.name : SLICE("");
}

static void tell(void *arg, enum event_class class, const char *name, uint64_t tenant,
                 struct slice subject, struct slice text)
{
    desk_event(arg, class, name, tenant, subject, text, SLICE("alert"));
}

void desk_alerts_create(struct desk *d)
{
    struct alert_options o = {.node = d->o.node,
                              .arg = d,
                              .next_id = next_id,
                              .tenant_name = tenant_name,
                              .write = write_down,
                              .send = desk_alert_send,
                              .tell = tell};
    d->alerts = mem_new(sizeof(*d->alerts));
    d->alerts->book = alert_create(&o);
    list_init(&d->alerts->writes);
    list_init(&d->alerts->waiters);
    d->hooks = desk_hooks_create(d);
}

void desk_alerts_destroy(struct desk *d)
{
    if (!d->alerts)
        return;
    LIST_FOREACH (node, &d->alerts->writes) {
        list_remove(node);
        container_of(node, struct alert_write, node)->desk = NULL;
    }
    for (struct list *node; (node = list_pop(&d->alerts->waiters));) {
        struct waiter *w = container_of(node, struct waiter, node);
        mem_free(&w);
    }
    desk_hooks_destroy(&d->hooks);
    alert_destroy(&d->alerts->book);
    mem_free(&d->alerts);
}

struct alert_book *desk_book(struct desk *d)
{
    return d->alerts->book;
}

void desk_alerts_apply(struct desk *d, const struct record_object *o)
{
    struct errinfo ei;
    if (alert_apply(d->alerts->book, o, &ei) != ERR_OK)
        log_event(EV_STORE_TROUBLE, "what=\"unreadable object\" why=%s",
                  log_text(slice_str(ei.text)));
}

static bool load_one(void *arg, const struct record_object *o)
{
    struct desk *d = arg;
    desk_alerts_apply(d, o);
    if (o->id > d->last_id)
        d->last_id = o->id;
    return true;
}

static bool has_message(void *arg, uint64_t id)
{
    struct store_message m;
    struct errinfo ei;
    SCOPED(arena_destroy) struct arena *a = arena_create(4 << 20);
    return store_get_message(arg, id, a, &m, &ei) == ERR_OK;
}

enum err desk_alerts_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    static const enum object_kind kinds[] = {OBJECT_TARGET, OBJECT_INCIDENT, OBJECT_OUTBOX};
    enum err err = ERR_OK;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && err == ERR_OK; i++)
        err = store_each_object(reader, kinds[i], load_one, d, ei);
    if (err == ERR_OK)
        alert_loaded(d->alerts->book, has_message, reader);
    return err;
}

void desk_alerts_tick(struct desk *d, utc_ms now)
{
    if (!d->is_stopping)
        alert_tick(d->alerts->book, now);
}

/* ---- the one door ---- */

void desk_report(struct desk *d, const struct desk_report *r)
{
    SCOPED(buf_finish) struct buf text = buf_make(6000);
    buf_addf(&text, SLICE_FMT, SLICE_ARG(r->happened));
    if (r->did.n)
        buf_addf(&text, " " SLICE_FMT, SLICE_ARG(r->did));
    if (r->can.n)
        buf_addf(&text, " " SLICE_FMT, SLICE_ARG(r->can));
    desk_event(d, r->class, r->name, r->tenant, r->subject, buf_slice(&text), r->by);
    struct alert_report report = {.tenant = r->tenant,
                                  .key = r->key,
                                  .name = slice_str(r->name),
                                  .subject = r->subject,
                                  .class = r->class,
                                  .happened = r->happened,
                                  .did = r->did,
                                  .can = r->can,
                                  .evidence = r->evidence,
                                  .by = r->by,
                                  .is_over = r->is_over};
    (void)alert_report(d->alerts->book, &report, utc_now()); /* the event stands in any case */
}

void desk_incident_take(void *arg, uint64_t incident, struct slice by, struct slice why,
                        void (*done)(void *cookie, enum err err, const char *why), void *cookie)
{
    struct desk *d = arg;
    struct errinfo ei = {""};
    struct waiter *w = mem_new(sizeof(*w));
    struct alert_taker who = {by, why};
    *w = (struct waiter){.done = done, .cookie = cookie};
    enum err err = alert_take(d->alerts->book, incident, who, utc_now(), &w->ticket, &ei);
    if (err == ERR_OK) {
        list_append(&d->alerts->waiters, &w->node);
        return;
    }
    done(cookie, err, ei.text);
    mem_free(&w);
}
