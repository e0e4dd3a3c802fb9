/* What was seen of primaries is written down in runs, so that history can be played again: so many
 * times the same, from then until then. */
#include "desk/desk_state_int.h"

#include <stdio.h>

enum {
    RUN_GOOD_MS = 3600000, /* a run of good news is written at least so often … */
    RUN_BAD_MS = 60000,    /* … one of bad news so often */
    RUNS_MAX = 1000,       /* in one record */
};

struct evidence_change {
    struct store_change change;
    struct buf facts;
};

/* What is lost with a failing disk is a minute of history, which nobody can ask for. */
static void evidence_written(struct store_change *change, enum err, const struct errinfo *)
{
    struct evidence_change *e = change->arg;
    buf_finish(&e->facts);
    mem_free(&e);
}

static void write_runs(struct desk *d, struct record_evidence *runs, uint32_t n)
{
    struct evidence_change *e = mem_new(sizeof(*e));
    struct record_evidences all = {runs, n};
    e->facts = buf_make(STORE_RECORD_MAX);
    record_evidences_pack(&e->facts, &all);
    must(!e->facts.failed); /* RUNS_MAX runs of bounded text */
    e->change = (struct store_change){.type = RECORD_EVIDENCE,
                                      .is_lazy = true,
                                      .facts = buf_slice(&e->facts),
                                      .done = evidence_written,
                                      .arg = e};
    store_submit(d->store, &e->change);
}

static struct record_evidence run_of(uint64_t primary, const struct desk_run *r)
{
    return (struct record_evidence){.primary = primary,
                                    .first = r->first,
                                    .last = r->last,
                                    .kind = (uint8_t)r->kind,
                                    .n = r->n,
                                    .text = slice_str(r->text)};
}

static size_t lane_of(enum continuity_evidence e)
{
    switch ((int)e) {
    case EVIDENCE_GOOD:
    case EVIDENCE_GREETS:
    case EVIDENCE_BAD:
    case EVIDENCE_REFUSES:
        return ASPECT_TAKES;
    case EVIDENCE_CANARY_GOOD:
    case EVIDENCE_CANARY_BAD:
        return ASPECT_ARRIVES;
    case EVIDENCE_LOGIN_GOOD:
    case EVIDENCE_LOGIN_BAD:
        return ASPECT_LETS_IN;
    default:
        return ASPECT_N;
    }
}

static bool is_good(enum continuity_evidence e)
{
    return e == EVIDENCE_GOOD || e == EVIDENCE_GREETS || e == EVIDENCE_CANARY_GOOD ||
           e == EVIDENCE_LOGIN_GOOD;
}

void desk_evidence_note(struct desk *d, struct desk_primary *p, enum continuity_evidence e,
                        struct slice text, utc_ms now)
{
    if (e == EVIDENCE_NONE)
        return;
    size_t lane = lane_of(e);
    struct desk_run one = {.kind = e, .first = now, .last = now, .n = 1};
    struct desk_run *r = lane < ASPECT_N ? &p->seen[lane] : &one;
    if (r != &one && r->n > 0 && r->kind != e) {
        struct record_evidence run = run_of(p->id, r);
        write_runs(d, &run, 1);
        r->n = 0;
    }
    if (r->n == 0)
        *r = (struct desk_run){.kind = e, .first = now};
    if (r != &one)
        r->n++;
    r->last = now;
    if (!is_good(e))
        (void)snprintf(r->text, sizeof(r->text), "%.*s",
                       (int)(text.n < sizeof(r->text) ? text.n : sizeof(r->text) - 1),
                       text.n ? text.p : "");
    if (r != &one)
        return;
    struct record_evidence run = run_of(p->id, r); /* a person's word, or about ourselves */
    write_runs(d, &run, 1);
}

/* Runs that last long are written in pieces; all of them when we stop. */
void desk_evidence_flush(struct desk *d, bool is_all)
{
    struct record_evidence *runs = mem_new(RUNS_MAX * sizeof(*runs));
    uint32_t n = 0;
    size_t at = 0;
    void *value;
    utc_ms now = utc_now();
    while (map_next(d->primaries, &at, NULL, &value)) {
        struct desk_primary *p = value;
        for (size_t lane = 0; lane < ASPECT_N; lane++) {
            struct desk_run *r = &p->seen[lane];
            utc_ms longest = is_good(r->kind) ? RUN_GOOD_MS : RUN_BAD_MS;
            if (r->n == 0 || (!is_all && now - r->first < longest))
                continue;
            runs[n++] = run_of(p->id, r);
            if (n == RUNS_MAX) {
                write_runs(d, runs, n);
                n = 0;
            }
            r->n = 0;
        }
    }
    if (n > 0)
        write_runs(d, runs, n);
    mem_free(&runs);
}
