/* Whoever watches an account hears of its changes: event streams, through the doors that hold them.
 * What changed is found out on a worker, a moment later, so that changes at once are told together.
 */
#include "desk/desk_jmap_int.h"
#include "desk/desk_login_int.h"
#include "desk/desk_push_int.h"

enum { CHANGED_MS = 200, AGAIN_MS = 5000, PATIENCE_MS = 5 };

struct watched {
    uint64_t person;
    uint64_t tags[DOORS_MAX]; /* of each door's latest call that watches; 0: none does */
    bool is_dirty;
    bool is_telling; /* a worker finds out what is new; it is there until that has ended */
    mono_us at;      /* told no sooner */
};

struct desk_tells {
    struct map *watched; /* person -> struct watched */
};

/* ---- who watches ---- */

static struct watched *find(struct desk *d, uint64_t person)
{
    return d->tells ? map_get(d->tells->watched, KEY(person)) : NULL;
}

static bool is_watched(const struct watched *w)
{
    for (size_t i = 0; i < DOORS_MAX; i++)
        if (w->tags[i])
            return true;
    return false;
}

/* False: somebody does watch, or what was begun has to end. */
static bool drop_unwatched(struct desk *d, struct watched *w)
{
    if (is_watched(w) || w->is_telling)
        return false;
    (void)map_del(d->tells->watched, KEY(w->person));
    mem_free(&w);
    return true;
}

void desk_jmap_watch(struct peer *door, uint64_t tag, uint64_t person)
{
    struct desk *d = door->desk;
    struct watched *w = find(d, person);
    if (!w) {
        w = mem_new(sizeof(*w));
        w->person = person;
        (void)map_put(d->tells->watched, KEY(person), w);
    }
    w->tags[door->number - 1] = tag;
}

bool desk_jmap_unwatch(struct peer *door, uint64_t tag, struct slice payload)
{
    SCOPED(arena_destroy) struct arena *arena = arena_create(4096);
    struct ipc_unwatch in;
    if (!ipc_unwatch_unpack(payload, arena, &in))
        return false;
    struct watched *w = find(door->desk, in.person);
    if (w && w->tags[door->number - 1] == tag) /* else a later one was answered meanwhile */
        w->tags[door->number - 1] = 0;
    if (w)
        (void)drop_unwatched(door->desk, w);
    return true;
}

void desk_jmap_door_lost(struct peer *door)
{
    struct desk *d = door->desk;
    size_t at = 0;
    void *value;
    while (d->tells && map_next(d->tells->watched, &at, NULL, &value)) {
        struct watched *w = value;
        w->tags[door->number - 1] = 0;
        (void)drop_unwatched(d, w);
    }
}

/* ---- telling ---- */

struct telling {
    struct worker_job job;
    uint64_t person;
    unsigned again_ms; /* it could not be found out: tried again after that; 0: it is not */
    struct buf state;
};

enum err desk_jmap_hold(struct desk *d, struct store_reader *reader, uint64_t person,
                        struct account **ret)
{
    struct errinfo ei;
    (void)desk_catch_up(d);
    return reader ? account_hold(desk_jmap_accounts(d), reader, person, MILLISECONDS(PATIENCE_MS),
                                 ret, &ei)
                  : ERR_IO;
}

static void tell_work(struct worker_job *job, struct store_reader *reader)
{
    struct telling *t = container_of(job, struct telling, job);
    struct account *a;
    enum err err = desk_jmap_hold(job->desk, reader, t->person, &a);
    if (err != ERR_OK) {
        t->again_ms = err == ERR_RETRY ? NEWS_AGAIN_MS : err == ERR_GONE ? 0 : AGAIN_MS;
        return;
    }
    jmap_state_change(t->person, a, &t->state);
    account_let_go(&a);
}

/* To each door where somebody watches by now: one that is new may be told of what it knows. */
static void send_state(struct desk *d, const struct watched *w, const struct telling *t)
{
    const struct ipc_changed c = {.person = t->person, .state = buf_slice(&t->state)};
    SCOPED(buf_finish) struct buf b = buf_make(4096);
    ipc_changed_pack(&b, &c);
    for (size_t i = 0; i < DOORS_MAX && t->state.n && !t->state.failed; i++)
        if (w->tags[i])
            (void)desk_send(d->doors[i].link, IPC_T_changed, 0, &b);
}

static void tell_finish(struct worker_job *job)
{
    struct telling *t = container_of(job, struct telling, job);
    struct desk *d = job->desk;
    struct watched *w = find(d, t->person); /* NULL: we are ending */
    if (w) {
        w->is_telling = false;
        send_state(d, w, t);
        if (t->again_ms) {
            w->is_dirty = true;
            w->at = mono_now() + MILLISECONDS(t->again_ms);
        }
        (void)drop_unwatched(d, w);
    }
    buf_finish(&t->state);
    mem_free(&t);
}

static void tell(struct desk *d, uint64_t person)
{
    struct telling *t = mem_new(sizeof(*t));
    t->job.work = tell_work;
    t->job.finish = tell_finish;
    t->person = person;
    t->state = buf_make(2000);
    desk_work(d, &t->job);
}

void desk_jmap_changed(struct desk *d, uint64_t person)
{
    struct watched *w = find(d, person);
    desk_find_changed(d, person);
    desk_push_changed(d, person);
    if (!w || w->is_dirty)
        return;
    w->is_dirty = true;
    w->at = mono_now() + MILLISECONDS(CHANGED_MS);
}

void desk_jmap_log_in_ended(struct desk *d, uint64_t person)
{
    struct watched *w = find(d, person);
    const struct ipc_unwatch unwatch = {.person = person};
    desk_push_log_in_ended(d, person);
    if (!w)
        return;
    SCOPED(buf_finish) struct buf b = buf_make(100);
    ipc_unwatch_pack(&b, &unwatch);
    for (size_t i = 0; i < DOORS_MAX; i++)
        if (w->tags[i])
            (void)desk_send(d->doors[i].link, IPC_T_unwatch, 0, &b);
    memset(w->tags, 0, sizeof(w->tags));
    (void)drop_unwatched(d, w);
}

void desk_jmap_tick(struct desk *d, mono_us now)
{
    size_t at = 0;
    void *value;
    while (map_next(d->tells->watched, &at, NULL, &value)) {
        struct watched *w = value;
        if (!w->is_dirty || w->is_telling || w->at > now)
            continue;
        w->is_dirty = false;                    /* what changes from now on is told once more */
        if (!desk_login_person(d, w->person)) { /* who has left us hears no more of it */
            desk_jmap_log_in_ended(d, w->person);
            continue;
        }
        w->is_telling = true;
        tell(d, w->person);
    }
}

void desk_tells_create(struct desk *d)
{
    d->tells = mem_new(sizeof(*d->tells));
    d->tells->watched = map_create();
}

void desk_tells_destroy(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (d->tells && map_next(d->tells->watched, &at, NULL, &value))
        mem_free(&value);
    if (d->tells)
        map_destroy(&d->tells->watched);
    mem_free(&d->tells);
}
