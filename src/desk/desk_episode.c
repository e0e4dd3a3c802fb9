/* Episodes: each emergency from its first failure to its end, written at each step.
 *
 * The object of an episode is submitted right behind the state that it is about. When the program
 * ends between the two, the state is one step ahead at the next start; desk_episode_check adds that
 * step then, so that none is lost and none is written twice. How far giving back is, is counted
 * here; what the statement says is counted from the ledger. */
#include "desk/desk_state_int.h"

#include "continuity/episode.h"

#include "base/pack_struct_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"

enum { SAVE_SECONDS = 10, WRITE_AGAIN_SECONDS = 1, RATE_SECONDS = 10 };

struct desk_episode {
    struct list node; /* in desk->episodes */
    uint64_t id, primary;
    struct buf packed;
    uint8_t phase;       /* of what is packed */
    bool is_over;        /* goes as soon as its last form is durable */
    bool is_removed;     /* a suspicion that came to nothing */
    uint32_t n_written;  /* writes begun: only the last one counts */
    mono_us write_again; /* the disk refused; 0: no */
    /* giving back */
    bool is_giving, is_moving; /* not paused */
    uint64_t n_given;          /* all, as far as it is packed */
    uint64_t n_new;            /* since then */
    mono_us new_us;            /* time of giving back since then */
    uint64_t seen_passed;      /* queue's counter at … */
    mono_us seen_at;
    double rate; /* a second, smoothed */
    mono_us next_save;
};

static struct desk_episode *find(struct desk *d, uint64_t primary)
{
    LIST_FOREACH (node, &d->episodes) {
        struct desk_episode *e = container_of(node, struct desk_episode, node);
        if (e->primary == primary && !e->is_over)
            return e;
    }
    return NULL;
}

static struct desk_episode *create(struct desk *d, uint64_t id, uint64_t primary)
{
    struct desk_episode *e = mem_new(sizeof(*e));
    e->id = id;
    e->primary = primary;
    e->packed = buf_make(EPISODE_BYTES_MAX);
    list_append(&d->episodes, &e->node);
    return e;
}

static void destroy(struct desk_episode *e)
{
    list_remove(&e->node);
    buf_finish(&e->packed);
    mem_free(&e);
}

void desk_episodes_clear(struct desk *d)
{
    LIST_FOREACH (node, &d->episodes)
        destroy(container_of(node, struct desk_episode, node));
}

static bool unpack(const struct desk_episode *e, struct arena *a, struct episode *ret)
{
    return e->packed.n > 0 && episode_unpack(buf_slice(&e->packed), a, ret);
}

/* ---- writing ---- */

struct episode_write {
    struct store_change change;
    struct buf facts;
    struct desk *desk;
    uint64_t id;
    uint32_t number;
    enum err err;
};

static struct desk_episode *find_id(struct desk *d, uint64_t id)
{
    LIST_FOREACH (node, &d->episodes) {
        struct desk_episode *e = container_of(node, struct desk_episode, node);
        if (e->id == id)
            return e;
    }
    return NULL;
}

static void written_on_loop(void *arg)
{
    struct episode_write *w = arg;
    struct desk_episode *e = find_id(w->desk, w->id);
    /* An episode is written whole: what a later write has begun says this and more. */
    if (e && e->n_written == w->number && w->err != ERR_OK)
        e->write_again = mono_now() + SECONDS(WRITE_AGAIN_SECONDS);
    else if (e && e->n_written == w->number && e->is_over)
        destroy(e);
    buf_finish(&w->facts);
    mem_free(&w);
}

static void written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct episode_write *w = change->arg;
    w->err = err;
    desk_post(w->desk, written_on_loop, w);
}

static void write_down(struct desk *d, struct desk_episode *e)
{
    const struct directory_primary *p = directory_primary(d->directory, e->primary);
    char name[MESSAGE_ID_TEXT];
    message_id_text(e->id, name);
    struct record_object o = {.kind = OBJECT_EPISODE,
                              .id = e->id,
                              .tenant = p ? p->tenant : 0,
                              .is_removed = e->is_removed,
                              .time = utc_now(),
                              .by = SLICE("core"),
                              .name = slice_str(name),
                              .body = buf_slice(&e->packed)};
    struct record_objects all = {&o, 1};
    struct episode_write *w = mem_new(sizeof(*w));
    *w = (struct episode_write){.facts = buf_make(EPISODE_BYTES_MAX + 1000),
                                .desk = d,
                                .id = e->id,
                                .number = ++e->n_written};
    record_objects_pack(&w->facts, &all);
    must(!w->facts.failed);
    e->write_again = 0;
    w->change = (struct store_change){
        .type = RECORD_OBJECT, .facts = buf_slice(&w->facts), .done = written, .arg = w};
    store_submit(d->store, &w->change);
}

/* ---- how far giving back is ---- */

static void smooth_rate(struct desk_episode *e, uint64_t n, double seconds)
{
    double part = seconds / (RATE_SECONDS + seconds);
    if (seconds <= 0)
        return;
    e->rate = e->rate > 0 ? e->rate + part * ((double)n / seconds - e->rate) : (double)n / seconds;
}

/* Counts what passed since the last look, if that was giving back. */
static void follow(struct desk *d, struct desk_episode *e)
{
    const struct desk_primary *p = map_get(d->primaries, KEY(e->primary));
    struct queue_progress now = queue_progress(d->queue, e->primary);
    mono_us at = mono_now();
    uint64_t n = now.n_passed - e->seen_passed;
    if (e->is_giving)
        e->n_new += n; /* also what ran when it was paused */
    if (e->is_moving) {
        e->new_us += at - e->seen_at;
        smooth_rate(e, n, (double)(at - e->seen_at) / 1e6);
    }
    e->seen_passed = now.n_passed;
    e->seen_at = at;
    e->is_giving = p && p->p.state == STATE_RETURNING;
    e->is_moving = e->is_giving && continuity_way(&p->p) != WAY_CLOSED;
}

static void add_given(struct desk_episode *e)
{
    if (e->n_new == 0 && e->new_us == 0)
        return;
    episode_add_given(&e->packed, e->n_new, e->new_us / 1000);
    e->n_given += e->n_new;
    e->n_new = 0;
    e->new_us = 0;
}

bool desk_progress(void *arg, uint64_t primary, struct admin_progress *ret)
{
    struct desk *d = arg;
    struct desk_episode *e = find(d, primary);
    const struct desk_primary *p = map_get(d->primaries, KEY(primary));
    if (!e || !p || p->p.state != STATE_RETURNING)
        return false;
    follow(d, e);
    uint64_t n_waiting = queue_progress(d->queue, primary).n_waiting;
    *ret = (struct admin_progress){.done = e->n_given + e->n_new};
    ret->total = ret->done + n_waiting;
    if (!e->is_moving || e->rate <= 0)
        return true;
    ret->per_second_1000 = (uint64_t)(e->rate * 1000);
    double left = (double)n_waiting / e->rate;
    ret->remaining_seconds = left < 1e9 ? 1 + (uint64_t)left : 0;
    return true;
}

/* ---- steps ---- */

static void apply(struct desk *d, struct desk_episode *e, const struct episode_news *news)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct episode now;
    follow(d, e);
    add_given(e);
    enum episode_change change = episode_note(&e->packed, news);
    if (change == EPISODE_NOTHING) {
        destroy(e);
        return;
    }
    e->phase = unpack(e, a, &now) ? now.phase : 0;
    e->is_removed = change == EPISODE_FORGET;
    e->is_over = e->is_removed || e->phase == EPISODE_CLOSED;
    write_down(d, e);
}

static void note(struct desk *d, struct episode_news *news)
{
    struct desk_episode *e = find(d, news->primary);
    if (!e && news->p->state == STATE_STANDBY)
        return;
    if (!e) {
        e = create(d, desk_next_id(d), news->primary);
        news->first_message = queue_oldest_for(d->queue, news->primary);
    }
    apply(d, e, news);
}

void desk_episode_note(struct desk *d, const struct desk_primary *p, enum continuity_state old,
                       struct slice by, struct slice why)
{
    struct episode_news news = {
        .primary = p->id, .p = &p->p, .old = old, .now = utc_now(), .by = by, .why = why};
    if (p->p.state == STATE_RETURNING)
        desk_mailback_round(d, p->id, p->p.since, true);
    note(d, &news);
}

/* ---- at start ---- */

void desk_episode_load(struct desk *d, const struct record_object *o)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct episode e;
    if (o->is_removed || !episode_unpack(o->body, a, &e))
        return;
    if (e.return_at)
        desk_mailback_round(d, e.primary, e.return_at, e.phase != EPISODE_CLOSED);
    if (e.phase == EPISODE_CLOSED)
        return;
    struct desk_episode *mine = create(d, o->id, e.primary);
    buf_add(&mine->packed, o->body.p, o->body.n);
    mine->phase = e.phase;
    mine->n_given = e.n_given;
}

void desk_episode_check(struct desk *d, const struct record_object *state)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    const struct desk_primary *p = map_get(d->primaries, KEY(state->id));
    struct desk_episode *mine = find(d, state->id);
    struct desk_state_body body;
    struct episode e = {};
    bool has_one = mine && unpack(mine, a, &e);
    if (!p || (has_one ? episode_is_current(&e, &p->p) : p->p.state == STATE_STANDBY) ||
        !desk_state_body_unpack(state->body, a, &body))
        return;
    struct episode_news news = {.primary = p->id,
                                .p = &p->p,
                                .old = has_one && e.n_steps ? e.steps[e.n_steps - 1].state
                                                            : STATE_STANDBY,
                                .now = state->time,
                                .by = body.by,
                                .why = body.why};
    note(d, &news);
}

/* ---- time ---- */

static void tick_one(struct desk *d, struct desk_episode *e, mono_us now)
{
    if (e->write_again && now >= e->write_again) {
        write_down(d, e);
        return;
    }
    if (e->is_over)
        return;
    follow(d, e);
    if (e->n_new == 0 || now < e->next_save)
        return;
    e->next_save = now + SECONDS(SAVE_SECONDS);
    add_given(e);
    write_down(d, e);
}

void desk_episode_tick(struct desk *d, mono_us now)
{
    LIST_FOREACH (node, &d->episodes)
        tick_one(d, container_of(node, struct desk_episode, node), now);
}
