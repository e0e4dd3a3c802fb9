/* An order to give again outlives the program: it is written down before anybody is told that it
 * began, after each page, and when it ended. At the next start it goes on with the page that was
 * not done; what of it was given already is seen in the ledger. */
#include "desk/desk_again_int.h"

#include <stdio.h>

#include "base/pack_struct_begin.h"
#include "desk/again.def"
#include "base/pack_end.h"
#include "base/pack_write_begin.h"
#include "desk/again.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "desk/again.def"
#include "base/pack_end.h"

enum { BODY_BYTES = 2000 };

/* ---- writing ---- */

struct again_write {
    struct store_change change;
    struct buf facts;
    struct desk *desk;
    uint64_t primary;
    uint32_t number;
    enum err err;
};

static void pack(const struct again *a, struct buf *ret)
{
    const struct admin_again *t = &a->told;
    struct desk_again_body body = {.is_running = t->is_running,
                                   .is_dry = t->is_dry,
                                   .is_whole = t->is_whole,
                                   .since = t->since,
                                   .begun = a->begun,
                                   .after = a->after,
                                   .n_found = t->n_found,
                                   .n_looked = t->n_looked,
                                   .n_present = t->n_present,
                                   .n_absent = t->n_absent,
                                   .n_unsure = t->n_unsure,
                                   .n_given = t->n_given,
                                   .n_gone = t->n_gone,
                                   .n_mailboxes = t->n_mailboxes,
                                   .by = slice_str(a->who.by),
                                   .why = slice_str(a->who.why),
                                   .text = slice_str(t->text)};
    desk_again_body_pack(ret, &body);
}

static void written_on_loop(void *arg)
{
    struct again_write *w = arg;
    struct again *a = map_get(w->desk->agains, KEY(w->primary));
    /* Each is whole: what a later one has begun says this and more. */
    if (a && a->n_written == w->number)
        desk_again_kept(a, w->err);
    buf_finish(&w->facts);
    mem_free(&w);
}

static void written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct again_write *w = change->arg;
    w->err = err;
    desk_post(w->desk, written_on_loop, w);
}

void desk_again_keep(struct again *a)
{
    struct desk *d = a->desk;
    const struct directory_primary *p = directory_primary(d->directory, a->primary);
    SCOPED(buf_finish) struct buf body = buf_make(BODY_BYTES);
    pack(a, &body);
    must(!body.failed);
    struct record_object o = {.kind = OBJECT_AGAIN,
                              .id = a->primary,
                              .tenant = p ? p->tenant : 0,
                              .time = utc_now(),
                              .by = slice_str(a->who.by),
                              .name = p ? p->facts.name : SLICE(""),
                              .body = buf_slice(&body)};
    struct record_objects all = {&o, 1};
    struct again_write *w = mem_new(sizeof(*w));
    *w = (struct again_write){.facts = buf_make(BODY_BYTES + 1000),
                              .desk = d,
                              .primary = a->primary,
                              .number = ++a->n_written};
    record_objects_pack(&w->facts, &all);
    must(!w->facts.failed);
    w->change = (struct store_change){
        .type = RECORD_OBJECT, .facts = buf_slice(&w->facts), .done = written, .arg = w};
    store_submit(d->store, &w->change);
}

/* ---- at start ---- */

void desk_again_load(struct desk *d, const struct record_object *o)
{
    struct desk_again_body b;
    if (o->is_removed || !directory_primary(d->directory, o->id) ||
        !desk_again_body_unpack(o->body, NULL, &b))
        return;
    struct again *a = desk_again_of(d, o->id);
    a->begun = b.begun;
    a->after = b.after;
    a->is_resumed = b.is_running;
    a->phase = b.is_running ? AGAIN_WAITING_TO_READ : AGAIN_OVER;
    a->told = (struct admin_again){.is_running = b.is_running,
                                   .is_dry = b.is_dry,
                                   .is_whole = b.is_whole,
                                   .since = b.since,
                                   .n_found = b.n_found,
                                   .n_looked = b.n_looked,
                                   .n_present = b.n_present,
                                   .n_absent = b.n_absent,
                                   .n_unsure = b.n_unsure,
                                   .n_given = b.n_given,
                                   .n_gone = b.n_gone,
                                   .n_mailboxes = b.n_mailboxes};
    snprintf(a->who.by, sizeof(a->who.by), SLICE_FMT, SLICE_ARG(b.by));
    snprintf(a->who.why, sizeof(a->who.why), SLICE_FMT, SLICE_ARG(b.why));
    snprintf(
        a->told.text, sizeof(a->told.text), SLICE_FMT,
        SLICE_ARG(b.is_running ? SLICE("It goes on, since this node started again.") : b.text));
}
