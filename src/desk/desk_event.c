/* Events: things that people should know later. The log line is written at once; the record as soon
 * as the disk takes it. */
#include "desk/desk_int.h"

enum { EVENTS_MAX = 1000 }; /* that wait for a disk that refuses; the log has all of them */

struct event_change {
    struct store_change change;
    struct list node; /* in desk->events */
    struct desk *desk;
    struct buf facts;
};

static void event_free(struct event_change *e)
{
    buf_finish(&e->facts);
    mem_free(&e);
}

/* On the loop: an alarm about the disk is not lost because of the disk. */
static void keep_event(void *arg)
{
    struct event_change *e = arg;
    struct desk *d = e->desk;
    if (d->n_events >= EVENTS_MAX) {
        event_free(e);
        return;
    }
    d->n_events++;
    list_append(&d->events, &e->node);
}

static void event_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct event_change *e = change->arg;
    if (err == ERR_IO || err == ERR_FULL)
        desk_post(e->desk, keep_event, e);
    else
        event_free(e);
}

static void submit(struct event_change *e)
{
    e->change = (struct store_change){.type = RECORD_EVENT,
                                      .is_lazy = true,
                                      .facts = buf_slice(&e->facts),
                                      .done = event_written,
                                      .arg = e};
    store_submit(e->desk->store, &e->change);
}

void desk_events_again(struct desk *d)
{
    struct list now;
    list_init(&now);
    for (struct list *node; (node = list_pop(&d->events));)
        list_append(&now, node);
    d->n_events = 0;
    for (struct list *node; (node = list_pop(&now));)
        submit(container_of(node, struct event_change, node));
}

void desk_events_clear(struct desk *d)
{
    for (struct list *node; (node = list_pop(&d->events));)
        event_free(container_of(node, struct event_change, node));
}

static struct slice at_most(struct slice s, size_t max)
{
    return slice_of(s.p, s.n < max ? s.n : max);
}

void desk_event(struct desk *d, enum event_class class, const char *name, uint64_t tenant,
                struct slice subject, struct slice text, struct slice by)
{
    static const enum log_event_id lines[] = {[EVENT_INFO] = EV_TELL_INFO,
                                              [EVENT_NOTICE] = EV_TELL_NOTICE,
                                              [EVENT_ALARM] = EV_TELL_ALARM};
    struct record_event facts = {.time = utc_now(),
                                 .tenant = tenant,
                                 .class = (uint8_t) class,
                                 .name = at_most(slice_str(name), 80),
                                 .subject = at_most(subject, 300),
                                 .text = at_most(text, 2000),
                                 .by = at_most(by, 200)};
    log_event(lines[class], "name=%s subject=%s text=%s", name, log_text(subject), log_text(text));
    struct event_change *e = mem_new(sizeof(*e));
    e->desk = d;
    e->facts = buf_make(4000);
    list_init(&e->node);
    record_event_pack(&e->facts, &facts);
    submit(e);
}
