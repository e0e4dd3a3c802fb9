/* The desk's life: recovery, links, the tick, gathering what is written at the end of a turn. */
#include "desk/desk_account_int.h"
#include "desk/desk_jmap_int.h"
#include "desk/desk_parse_int.h"
#include "desk/desk_push_int.h"
#include "desk/desk_login_int.h"
#include "desk/desk_submit_int.h"
#include "desk/desk_vacation_int.h"
#include "desk/desk_state_int.h"
#include "desk/desk_watch_int.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { TICK_MS = 100, RUNNING_BYTES = 256 << 20 };

/* ---- small things that all parts use ---- */

/* Larger than every id before, also over restarts with a clock that went back. */
uint64_t desk_next_id(struct desk *d)
{
    /* Also threads ask that run people's requests. */
    uint64_t now = (uint64_t)utc_now() << 20, last = d->last_id, next;
    do {
        next = now > last ? now : last + 1;
    } while (!atomic_compare_exchange_weak(&d->last_id, &last, next));
    return next;
}

void desk_post(struct desk *d, void (*fn)(void *arg), void *arg)
{
    net_loop_post(d->o.loop, fn, arg);
}

static void post_from_queue(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    desk_post(arg, fn, fn_arg);
}

bool desk_send(struct net_link *link, enum ipc_type type, uint64_t tag, struct buf *payload)
{
    return link && !payload->failed &&
           net_link_send(link, (uint16_t)type, tag, buf_slice(payload), SLICE("")) == ERR_OK;
}

void desk_peer_nonsense(struct desk *d, enum ipc_role role, unsigned number, const char *why)
{
    log_event(EV_IPC_NONSENSE, "peer=%s/%u what=%s", ipc_role_name(role), number, why);
    d->o.nonsense(d->o.arg, role, number, why);
}

static void on_late(struct net_late *late)
{
    struct desk *d = container_of(late, struct desk, late);
    queue_flush(d->queue);
    desk_write_answered(d);
}

static void on_uncork(struct net_late *late)
{
    struct desk *d = container_of(late, struct desk, uncork);
    d->is_corked = false;
    store_uncork(d->store);
}

/* A turn brings messages of many sessions: they share a batch and its sync. One alone pays nothing
 * for it but the rest of its turn. */
void desk_turn(struct desk *d)
{
    if (d->is_corked)
        return;
    d->is_corked = true;
    store_cork(d->store);
    net_loop_late(d->o.loop, &d->uncork);
}

void desk_late(struct desk *d)
{
    net_loop_late(d->o.loop, &d->late);
}

/* ---- what the store and the queue tell ---- */

static void tell_from_queue(void *arg, enum event_class class, const char *name, uint64_t tenant,
                            struct slice subject, struct slice text)
{
    desk_event(arg, class, name, tenant, subject, text, SLICE("queue"));
}

struct store_word {
    struct desk *desk;
    enum event_class class;
    char name[80], text[1000];
};

static void store_said(void *arg)
{
    struct store_word *w = arg;
    desk_event(w->desk, w->class, w->name, 0, SLICE("store"), slice_str(w->text), SLICE("store"));
    mem_free(&w);
}

/* Any of the store's threads; also before the desk is whole: then only the log gets it. */
static void store_tells(void *arg, enum event_class class, const char *name, const char *text)
{
    struct desk *d = arg;
    if (!d->store) {
        log_event(class == EVENT_INFO ? EV_STORE_OPEN : EV_STORE_TROUBLE, "what=%s text=\"%s\"",
                  name, text);
        return;
    }
    struct store_word *w = mem_new(sizeof(*w));
    w->desk = d;
    w->class = class;
    snprintf(w->name, sizeof(w->name), "%s", name);
    snprintf(w->text, sizeof(w->text), "%s", text);
    desk_post(d, store_said, w);
}

/* ---- facts for the gates ---- */

static void add_networks(struct desk *d, const struct directory_primary *p, struct arena *a,
                         struct ipc_facts *facts)
{
    for (uint32_t i = 0; i < p->facts.n_networks && facts->n_networks < 4096; i++) {
        unsigned char *bytes = arena_new(a, 16);
        uint8_t prefix;
        size_t n = directory_network(p->facts.networks[i].text, bytes, &prefix);
        if (n == 0)
            continue; /* checked when it was set; an older version may have let it through */
        facts->networks[facts->n_networks++] =
            (struct ipc_network){.address = slice_of((const char *)bytes, n),
                                 .prefix = prefix,
                                 .tenant = p->tenant,
                                 .primary = p->id,
                                 .is_shared = p->facts.is_shared,
                                 .certificate = p->facts.certificate};
    }
    (void)d;
}

static bool make_facts(struct desk *d, struct buf *ret)
{
    struct arena *a = arena_create(4 << 20);
    const struct directory_primary *p;
    size_t at = 0;
    struct ipc_facts facts = {.generation = directory_generation(d->directory),
                              .refusal = d->is_stopping ? 1 + REFUSE_STOPPING : d->closed_for,
                              .networks = ARENA_ARRAY(a, struct ipc_network, 4096)};
    while ((p = directory_next_primary(d->directory, &at)))
        add_networks(d, p, a, &facts);
    ipc_facts_pack(ret, &facts);
    arena_destroy(&a);
    return !ret->failed;
}

void desk_send_facts(struct desk *d)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    if (!make_facts(d, &b))
        return;
    for (size_t i = 0; i < GATES_MAX; i++)
        (void)desk_send(d->gates[i].link, IPC_T_facts, 0, &b);
}

/* ---- room for new mail ---- */

static bool is_below(const struct store_figures *f, uint32_t percent)
{
    return f->disk_total_bytes && f->disk_free_bytes < f->disk_total_bytes / 100 * percent;
}

static uint32_t reason_to_close(struct desk *d)
{
    struct store_figures f = store_figures(d->store);
    /* Opens again a little above the line, or it would open and close each second. */
    bool was_low = d->closed_for == 1 + REFUSE_DISK_LOW;
    if (f.disk_total_bytes)
        refuse_measure(REFUSE_DISK_LOW, f.disk_free_bytes / (f.disk_total_bytes / 100 + 1),
                       SLICE(""));
    if (store_recovered(d->store)->is_damaged || f.is_failed)
        return 1 + REFUSE_STORE_FAILED;
    if (is_below(&f, d->o.limits.free_percent + was_low))
        return 1 + REFUSE_DISK_LOW;
    return 0;
}

static void look_at_room(struct desk *d)
{
    uint32_t reason = reason_to_close(d);
    if (reason == d->closed_for)
        return;
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    if (reason)
        buf_addf(&text, "New mail is not taken: %s.",
                 refuse_row((enum refuse_id)(reason - 1))->text);
    else
        buf_adds(&text, SLICE("New mail is taken again."));
    if (reason)
        (void)refuse((enum refuse_id)(reason - 1), SLICE("core"));
    d->closed_for = reason;
    struct desk_report r = {
        .key = SLICE("mail"),
        .class = reason ? EVENT_ALARM : EVENT_INFO,
        .name = reason ? "mail.closed" : "mail.open",
        .subject = SLICE("new mail"),
        .happened = buf_slice(&text),
        .did = reason ? SLICE("Senders are asked to come again; what was accepted is safe.")
                      : SLICE(""),
        .can = reason ? SLICE("`staffetta check` says what is wrong.") : SLICE(""),
        .by = SLICE("core"),
        .is_over = !reason};
    desk_report(d, &r);
    desk_send_facts(d);
}

/* ---- time ---- */

static void stop_if_done(struct desk *d, mono_us now)
{
    if (!d->stopped)
        return;
    bool is_idle = d->n_accepting == 0 && d->n_jobs == 0 && !d->is_changing &&
                   queue_figures(d->queue).n_running == 0 && desk_jmap_is_idle(d);
    if (!is_idle && now < d->stop_at)
        return;
    void (*stopped)(void *) = d->stopped;
    d->stopped = NULL;
    stopped(d->stopped_arg);
}

static void on_tick(void *arg)
{
    struct desk *d = arg;
    mono_us now = mono_now();
    queue_tick(d->queue);
    desk_pending_tick(d, now);
    desk_parse_tick(d, now);
    desk_jmap_tick(d, now);
    desk_submit_tick(d);
    desk_fate_tick(d, now);
    desk_submit_purge_tick(d, now);
    desk_pushes_tick(d, now);
    if (d->n_ticks % 5 == 0) {
        desk_state_tick(d, now);
        desk_episode_tick(d, now);
    }
    if (d->n_ticks % 10 == 0) {
        desk_room_tick(d, now); /* the alarm comes before the refusal */
        look_at_room(d);
        desk_watch_tick(d, now);
        desk_report_tick(d);
        desk_events_again(d);
        desk_retention_tick(d, now);
        desk_evidence_flush(d, false);
        desk_silence_tick(d, now);
        desk_again_tick(d, now);
        desk_mailback_tick(d, now);
        desk_check_tick(d, now);
        desk_values_tick(d, utc_now());
        desk_limits_tick(d, utc_now());
        desk_hooks_tick(d);
        desk_logins_tick(d, now);
    }
    desk_alerts_tick(d, utc_now());
    d->n_ticks++;
    desk_late(d);
    net_timer_set(d->tick, d->o.tick ? d->o.tick : MILLISECONDS(TICK_MS));
    stop_if_done(d, now);
}

/* ---- start ---- */

static bool load_object(void *arg, const struct record_object *o)
{
    struct desk *d = arg;
    struct errinfo ei;
    if (o->kind == OBJECT_STATE)
        desk_state_load(d, o);
    else if (o->kind == OBJECT_LIMIT)
        desk_value_load(d, o);
    else if (o->kind == OBJECT_BASELINE)
        desk_silence_load(d, o);
    else if (o->kind == OBJECT_WATCH)
        desk_watch_load(d, o);
    else if (o->kind == OBJECT_EPISODE)
        desk_episode_load(d, o);
    else if (o->kind == OBJECT_AGAIN)
        desk_again_load(d, o);
    else if (o->kind == OBJECT_KEY && !o->is_removed && slice_eq(o->name, SLICE("trace")) &&
             o->body.n == SIGN_TRACE_KEY) {
        memcpy(d->trace_key, o->body.p, SIGN_TRACE_KEY);
        d->has_trace_key = true;
    } else if (directory_apply(d->directory, o, &ei) != ERR_OK)
        log_event(EV_STORE_TROUBLE, "what=\"unreadable object\" why=%s",
                  log_text(slice_str(ei.text)));
    if (o->id > d->last_id)
        d->last_id = o->id;
    return true;
}

static bool load_row(void *arg, const struct store_row *row)
{
    struct desk *d = arg;
    queue_load(d->queue, row, desk_is_known(d, row));
    return true;
}

static bool check_episode(void *arg, const struct record_object *o)
{
    desk_episode_check(arg, o);
    return true;
}

static enum err load(struct desk *d, struct errinfo *ei)
{
    /* A watch is compared with what it was of: its domain and selectors come first. */
    static const enum object_kind kinds[] = {
        OBJECT_TENANT,    OBJECT_PRIMARY, OBJECT_DOMAIN, OBJECT_PERSON,   OBJECT_GROUP,
        OBJECT_SNAPSHOT,  OBJECT_KEY,     OBJECT_PLAN,   OBJECT_CALENDAR, OBJECT_ACCESS,
        OBJECT_SELECTORS, OBJECT_EPISODE, OBJECT_STATE,  OBJECT_BASELINE, OBJECT_WATCH,
        OBJECT_LIMIT,     OBJECT_AGAIN,   OBJECT_DKIM,   OBJECT_TOKENS,   OBJECT_MAILLOGIN,
        OBJECT_KEEPING,   OBJECT_QUOTA};
    struct store_reader *reader;
    enum err err = store_reader_open(d->o.data, &reader, ei);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && err == ERR_OK; i++)
        err = store_each_object(reader, kinds[i], load_object, d, ei);
    if (err == ERR_OK)
        err = desk_accounts_load(d, reader, ei);
    if (err == ERR_OK)
        err = desk_logins_load(d, reader, ei);
    if (err == ERR_OK)
        err = desk_mailback_load(d, reader, ei);
    struct store_row_filter waiting = {.disposition = DISPOSITION_WAITING};
    if (err == ERR_OK)
        err = store_each_row(reader, &waiting, load_row, d, ei);
    if (err == ERR_OK)
        err = desk_submit_load(d, reader, ei);
    if (err == ERR_OK)
        err = desk_vacations_load(d, reader, ei);
    if (err == ERR_OK)
        err = desk_pushes_load(d, reader, ei);
    if (err == ERR_OK)
        err = desk_alerts_load(d, reader, ei);
    if (err == ERR_OK)
        err = store_each_object(reader, OBJECT_STATE, check_episode, d, ei);
    if (err == ERR_OK)
        err = desk_highs_load(d, reader, ei);
    store_reader_close(&reader);
    return err;
}

static void key_written(void *cookie, enum err err, const char *why)
{
    (void)cookie;
    if (err != ERR_OK)
        log_event(EV_STORE_TROUBLE, "what=\"the key of this node\" why=%s",
                  log_text(slice_str(why)));
}

/* The key that proves our own trace headers: made once for a node. */
static void make_trace_key(struct desk *d)
{
    random_bytes(d->trace_key, sizeof(d->trace_key));
    struct record_object o = {.kind = OBJECT_KEY,
                              .id = desk_next_id(d),
                              .time = utc_now(),
                              .by = SLICE("start"),
                              .name = SLICE("trace"),
                              .body = slice_of((const char *)d->trace_key, sizeof(d->trace_key))};
    struct record_objects all = {&o, 1};
    d->has_trace_key = true;
    desk_put(d, &all, NULL, key_written, d);
}

static void make_queue(struct desk *d)
{
    struct queue_options o = {
        .store = d->store,
        .items_max = d->o.limits.queue_items,
        .per_destination = d->o.limits.per_destination,
        .per_primary = d->o.limits.per_primary,
        .running_max = d->o.jobs,
        .running_bytes_max = RUNNING_BYTES,
        .arg = d,
        .post = post_from_queue,
        .deliver = desk_deliver,
        .fetch = desk_fetch,
        .answer = desk_queue_answer,
        .evidence = desk_evidence,
        .way = desk_way,
        .is_essential = desk_is_essential,
        .ceiling = desk_ceiling,
        .notice = desk_notice,
        .delayed = desk_delayed,
        .tell = tell_from_queue,
        .done = desk_message_done,
        .moved = desk_fate_moved,
        .drained = desk_drained,
    };
    d->queue = queue_create(&o);
}

void desk_limits(struct desk *d, const struct desk_limits *limits)
{
    uint64_t web_bytes = d->o.limits.web_bytes;
    d->o.limits = *limits;
    if (web_bytes > limits->web_bytes) /* what is under way was let in by the old one */
        d->o.limits.web_bytes = web_bytes;
    queue_limits(d->queue, limits->queue_items, limits->per_destination, limits->per_primary);
    desk_jmap_limits(d);
}

static void init_memory(struct desk *d)
{
    d->directory = directory_create();
    d->accounts = map_create();
    d->primaries = map_create();
    d->silences = map_create();
    d->checks = map_create();
    d->agains = map_create();
    desk_mailback_create(d);
    desk_watch_start(d);
    d->waiting = map_create();
    d->notices = map_create();
    desk_alerts_create(d);
    desk_parse_create(d);
    desk_logins_create(d);
    desk_submit_create(d);
    desk_fates_create(d);
    desk_vacations_create(d);
    desk_pushes_create(d);
    list_init(&d->pending);
    list_init(&d->changes);
    list_init(&d->events);
    list_init(&d->episodes);
    list_init(&d->late.node);
    d->late.fn = on_late;
    list_init(&d->uncork.node);
    d->uncork.fn = on_uncork;
    d->started = utc_now();
    for (unsigned i = 0; i < GATES_MAX; i++) {
        struct gate *g = &d->gates[i];
        *g = (struct gate){
            .desk = d, .number = i + 1, .uploads = map_create(), .told = map_create()};
    }
    for (unsigned i = 0; i < DOORS_MAX; i++)
        d->doors[i] =
            (struct peer){.desk = d, .role = IPC_DOOR, .number = i + 1, .uploads = map_create()};
    d->courier =
        (struct peer){.desk = d, .role = IPC_COURIER, .number = 1, .uploads = map_create()};
    d->liaison =
        (struct peer){.desk = d, .role = IPC_LIAISON, .number = 1, .uploads = map_create()};
    d->resolver =
        (struct peer){.desk = d, .role = IPC_RESOLVER, .number = 1, .uploads = map_create()};
}

enum err desk_create(const struct desk_options *o, struct desk **ret, struct errinfo *ei)
{
    struct desk *d = mem_new(sizeof(*d));
    d->o = *o;
    d->o.jobs = o->jobs ? o->jobs : (uint32_t)refuse_row(REFUSE_COURIER_JOBS)->limit;
    d->o.store_changes =
        o->store_changes ? o->store_changes : (uint32_t)refuse_row(REFUSE_STORE_BUSY)->limit;
    init_memory(d);
    struct store_options options = {.dir = o->data,
                                    .segment_bytes = o->segment_bytes,
                                    .n_pool = o->store_pool,
                                    .lock_wait = SECONDS(10),
                                    .tell = store_tells,
                                    .tell_arg = d,
                                    .progress = o->progress,
                                    .progress_arg = o->arg};
    struct store *store = NULL;
    enum err err = store_open(&options, &store, ei);
    if (err != ERR_OK)
        return err; /* the process ends with it */
    d->store = store;
    d->last_id = store_recovered(store)->last_id;
    make_queue(d);
    err = load(d, ei);
    if (err != ERR_OK)
        return err;
    desk_workers_start(d);
    if (!d->has_trace_key && !store_recovered(store)->is_damaged)
        make_trace_key(d);
    struct admin_host host;
    desk_host(d, &host);
    d->admin = admin_create(&host);
    d->closed_for = reason_to_close(d);
    desk_tells_create(d);
    desk_jmap_create(d);
    desk_find_start(d);
    d->tick = net_timer_create(o->loop, on_tick, d);
    net_timer_set(d->tick, 0);
    const struct store_recovery *r = store_recovered(store);
    log_event(EV_STORE_OPEN, "replayed=%llu unanswered=%llu possible_doubles=%llu waiting=%llu",
              (unsigned long long)r->n_replayed, (unsigned long long)r->n_unanswered,
              (unsigned long long)r->n_possible_doubles,
              (unsigned long long)queue_figures(d->queue).n_rows);
    *ret = d;
    return ERR_OK;
}

/* ---- links ---- */

static struct net_link *open_link(struct desk *d, int fd, void *arg,
                                  void (*frame)(void *, struct net_link *, struct net_frame *),
                                  void (*closed)(void *, struct net_link *))
{
    struct net_link_options o = {.frame_max = IPC_LIST_FRAME_MAX,
                                 .queue_max = DESK_LINK_BYTES,
                                 .frame = frame,
                                 .closed = closed,
                                 .arg = arg};
    return net_link_open(d->o.loop, fd, &o);
}

static void link_gate(struct desk *d, unsigned number, int fd)
{
    if (number < 1 || number > GATES_MAX) {
        (void)close(fd);
        return;
    }
    struct gate *g = &d->gates[number - 1];
    if (g->link)
        desk_gate_lost(g);
    g->link = open_link(d, fd, g, desk_gate_frame, desk_gate_closed);
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    if (make_facts(d, &b))
        (void)desk_send(g->link, IPC_T_facts, 0, &b);
    desk_parse_gate_up(d);
}

static void link_door(struct desk *d, unsigned number, int fd)
{
    if (number < 1 || number > DOORS_MAX) {
        (void)close(fd);
        return;
    }
    struct peer *door = &d->doors[number - 1];
    if (door->link)
        desk_door_closed(door, NULL);
    door->link = open_link(d, fd, door, desk_door_frame, desk_door_closed);
}

void desk_link(struct desk *d, enum ipc_role peer, unsigned number, int fd)
{
    if (peer == IPC_GATE) {
        link_gate(d, number, fd);
    } else if (peer == IPC_COURIER) {
        if (d->courier.link)
            desk_courier_closed(&d->courier, NULL);
        d->courier.link = open_link(d, fd, &d->courier, desk_courier_frame, desk_courier_closed);
        if (!d->is_stopping)
            queue_start(d->queue);
    } else if (peer == IPC_LIAISON) {
        if (d->liaison.link)
            desk_liaison_closed(&d->liaison, NULL);
        d->liaison.link = open_link(d, fd, &d->liaison, desk_liaison_frame, desk_liaison_closed);
    } else if (peer == IPC_DOOR) {
        link_door(d, number, fd);
    } else if (peer == IPC_RESOLVER) {
        if (d->resolver.link)
            desk_resolver_closed(&d->resolver, NULL);
        d->resolver.link =
            open_link(d, fd, &d->resolver, desk_resolver_frame, desk_resolver_closed);
    } else {
        (void)close(fd);
    }
}

void desk_processes(struct desk *d, const struct ipc_processes *p)
{
    d->n_processes = p->n_processes < 64 ? p->n_processes : 64;
    memcpy(d->processes, p->processes, d->n_processes * sizeof(*d->processes));
}

/* ---- stop ---- */

void desk_stop(struct desk *d, mono_us within, void (*done)(void *arg), void *arg)
{
    d->is_stopping = true;
    d->stopped = done;
    d->stopped_arg = arg;
    d->stop_at = mono_now() + within;
    queue_stop(d->queue);
    desk_values_save(d, true);
    desk_send_facts(d);
}

static void free_values(struct map **m)
{
    size_t at = 0;
    void *value;
    while (map_next(*m, &at, NULL, &value))
        mem_free(&value);
    map_destroy(m);
}

static void close_links(struct desk *d)
{
    struct peer *peers[] = {&d->courier, &d->liaison, &d->resolver};
    for (size_t i = 0; i < GATES_MAX; i++) {
        struct gate *g = &d->gates[i];
        net_link_close(&g->link);
        desk_gate_clear(g);
        map_destroy(&g->told);
        map_destroy(&g->uploads);
    }
    for (size_t i = 0; i < DOORS_MAX; i++) {
        desk_door_closed(&d->doors[i], NULL);
        map_destroy(&d->doors[i].uploads);
    }
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        net_link_close(&peers[i]->link);
        map_destroy(&peers[i]->uploads);
    }
}

/* Threads have posted what became of changes: it is heard while there is somebody to hear it. A
 * disk that says nothing for so long is not waited for. */
static void settle(struct desk *d)
{
    enum { SETTLE_SECONDS = 5 };
    mono_us until = mono_now() + SECONDS(SETTLE_SECONDS);
    bool is_quiet = false;
    while (!is_quiet && mono_now() < until) {
        /* In this order: when nothing waits all answers are posted, and what an answer sets off (a
         * person's next change) is a further round. */
        bool is_written = store_backlog(d->store).changes == 0;
        is_quiet = !net_loop_settle(d->o.loop) && is_written;
        if (!is_quiet)
            usleep(1000);
    }
}

void desk_destroy(struct desk **desk)
{
    struct desk *d = *desk;
    if (!d)
        return;
    net_timer_destroy(&d->tick);
    queue_flush(d->queue);
    desk_write_answered(d);
    desk_find_stop(d);
    desk_jmap_stop(d);
    desk_workers_stop(d);
    queue_stop(d->queue);
    desk_parse_clear(d);
    desk_logins_stop(d);
    settle(d);
    desk_jmap_destroy(d);
    desk_find_destroy(d);
    desk_tells_destroy(d);
    store_close(&d->store);
    /* From here on it is memory only. */
    list_remove(&d->late.node);
    close_links(d);
    desk_logins_destroy(d);
    admin_destroy(&d->admin);
    queue_destroy(&d->queue);
    for (struct list *node; (node = list_pop(&d->pending));) {
        struct accept *a = container_of(node, struct accept, node);
        mem_free(&a->put);
        mem_free(&a);
    }
    desk_change_clear(d);
    desk_events_clear(d);
    desk_alerts_destroy(d);
    desk_state_clear(d);
    desk_silence_clear(d);
    desk_check_clear(d);
    desk_again_clear(d);
    desk_mailback_clear(d);
    desk_watch_clear(d);
    desk_episodes_clear(d);
    desk_submit_clear(d);
    desk_fates_clear(d);
    desk_vacations_clear(d);
    desk_pushes_destroy(d);
    desk_notices_forget(d);
    map_destroy(&d->notices);
    map_destroy(&d->waiting);
    map_destroy(&d->group_ranks);
    free_values(&d->accounts);
    directory_destroy(&d->directory);
    mem_free(&d->answered);
    mem_free(&d->unanswered);
    mem_free(&d->loose);
    mem_free(desk);
}
