/* What is remembered of limits over restarts: the value in force and since when, how often it
 * refused and whom last. Not the telling of people when one begins to block: desk_limit.c. */
#include "desk/desk_int.h"

#include <stdio.h>

#include "base/pack_struct_begin.h"
#include "desk/limit.def"
#include "base/pack_end.h"
#include "base/pack_write_begin.h"
#include "desk/limit.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "desk/limit.def"
#include "base/pack_end.h"

enum {
    SAVE_MS = 600000, /* counts of a limit are written at most so often, but the first at once */
    BODY_MAX = 200,
    RECORD_ROOM = REFUSE_N * 1000,
};

void desk_value_load(struct desk *d, const struct record_object *o)
{
    struct desk_limit_body body;
    uint32_t id = 0;
    while (id < REFUSE_N && !slice_eq(o->name, slice_str(refuse_row((enum refuse_id)id)->name)))
        id++;
    if (id == REFUSE_N || o->is_removed || !desk_limit_body_unpack(o->body, NULL, &body))
        return; /* of another version of the program */
    struct desk_value *v = &d->values[id];
    *v = (struct desk_value){.object = o->id, .value = body.value, .is_set = body.is_set};
    v->saved = o->time;
    snprintf(d->refusal_who[id], sizeof(d->refusal_who[id]), "%.*s", SLICE_ARG(body.who));
    d->refusals[id] = (struct admin_refusal){.n_ever = body.n_refused,
                                             .last = body.last,
                                             .who = d->refusal_who[id],
                                             .since = body.since,
                                             .is_changed = body.is_changed,
                                             .before = body.before};
}

/* ---- writing ---- */

struct values_change {
    struct store_change change;
    struct desk *desk;
    struct buf facts;
};

static void values_free(struct values_change *w)
{
    buf_finish(&w->facts);
    mem_free(&w);
}

static void values_failed(void *arg)
{
    struct values_change *w = arg;
    for (uint32_t i = 0; i < REFUSE_N; i++)
        w->desk->values[i].is_unsaved = true; /* again, not at once */
    values_free(w);
}

static void values_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct values_change *w = change->arg;
    if (err == ERR_IO || err == ERR_FULL)
        desk_post(w->desk, values_failed, w);
    else
        values_free(w);
}

static void pack_value(struct desk *d, uint32_t id, utc_ms now, struct buf *ret)
{
    struct desk_value *v = &d->values[id];
    const struct admin_refusal *r = &d->refusals[id];
    struct desk_limit_body body = {.value = v->value,
                                   .is_set = v->is_set,
                                   .since = r->since,
                                   .is_changed = r->is_changed,
                                   .before = r->before,
                                   .n_refused = r->n_ever,
                                   .last = r->last,
                                   .who = slice_str(d->refusal_who[id])};
    desk_limit_body_pack(ret, &body);
    v->saved = now;
    v->is_unsaved = false;
    if (!v->object)
        v->object = desk_next_id(d);
}

void desk_values_save(struct desk *d, bool is_all)
{
    static struct record_object objects[REFUSE_N];
    static char rooms[REFUSE_N][BODY_MAX];
    struct record_objects all = {objects, 0};
    utc_ms now = utc_now();
    for (uint32_t i = 0; i < REFUSE_N; i++) {
        struct desk_value *v = &d->values[i];
        if (!v->is_unsaved || (!is_all && now >= v->saved && now < v->saved + SAVE_MS))
            continue;
        SCOPED(buf_finish) struct buf body = buf_make(BODY_MAX);
        pack_value(d, i, now, &body);
        must(!body.failed);
        memcpy(rooms[i], body.p, body.n);
        objects[all.n_objects++] =
            (struct record_object){.kind = OBJECT_LIMIT,
                                   .id = v->object,
                                   .time = now,
                                   .by = SLICE("desk"),
                                   .name = slice_str(refuse_row((enum refuse_id)i)->name),
                                   .body = slice_of(rooms[i], body.n)};
    }
    if (all.n_objects == 0)
        return;
    struct values_change *w = mem_new(sizeof(*w));
    w->desk = d;
    w->facts = buf_make(RECORD_ROOM);
    record_objects_pack(&w->facts, &all);
    must(!w->facts.failed);
    w->change = (struct store_change){.type = RECORD_OBJECT,
                                      .is_lazy = true,
                                      .facts = buf_slice(&w->facts),
                                      .done = values_written,
                                      .arg = w};
    store_submit(d->store, &w->change);
}

/* ---- changes ---- */

static void tell_change(struct desk *d, uint32_t id, struct refuse_limit limit, uint64_t before)
{
    const struct refuse_row *row = refuse_row((enum refuse_id)id);
    SCOPED(buf_finish) struct buf text = buf_make(500);
    buf_addf(&text, "%s: ", row->name);
    refuse_add_value(&text, (enum refuse_id)id, before);
    buf_adds(&text, SLICE(" -> "));
    refuse_add_value(&text, (enum refuse_id)id, limit.value);
    if (limit.is_set)
        buf_addf(&text, ". %s in the settings file says so.", limit.setting);
    else if (limit.setting)
        buf_addf(&text, ". That is the built-in value; %s in the settings file gives another.",
                 limit.setting);
    else
        buf_adds(&text, SLICE(". This version of the program has another value built in."));
    buf_addf(&text, " What it would have refused before: staffetta limits try %s %llu --since 30d.",
             row->name, (unsigned long long)limit.value);
    desk_event(d, EVENT_INFO, "limit.changed", 0, slice_str(row->name), buf_slice(&text),
               limit.is_set ? SLICE("settings file") : SLICE("built-in"));
}

static void look_at(struct desk *d, uint32_t id, utc_ms now)
{
    struct desk_value *v = &d->values[id];
    struct admin_refusal *r = &d->refusals[id];
    struct refuse_limit limit = refuse_limit((enum refuse_id)id);
    bool is_first = r->since == 0;
    if (!is_first && v->value == limit.value && v->is_set == limit.is_set)
        return;
    if (!is_first && v->value != limit.value) {
        r->before = v->value;
        r->is_changed = true;
        tell_change(d, id, limit, v->value);
    }
    if (is_first || v->value != limit.value)
        r->since = now;
    v->value = limit.value;
    v->is_set = limit.is_set;
    v->is_unsaved = true;
    v->saved = 0; /* at once */
}

void desk_values_tick(struct desk *d, utc_ms now)
{
    for (uint32_t i = 0; i < REFUSE_N; i++)
        if (refuse_limit((enum refuse_id)i).value)
            look_at(d, i, now);
    desk_values_save(d, false);
}
