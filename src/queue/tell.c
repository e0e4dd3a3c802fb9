/* What senders asked to hear besides failures (RFC 3461, NOTIFY): that their message was relayed to
 * a system which confirms nothing, and, once, that it has waited for hours. Who did not ask is not
 * told. These notices are a courtesy: where none can be sent, nothing is held for it. */
#include "queue/queue_int.h"

#include "wire/wire.h"

enum { DELAY_MS = 4 * 3600 * 1000 };

/* ---- relayed ---- */

static void told(struct queue *, struct notice_wait *w, enum err)
{
    mem_free(&w);
}

static void forget(struct notice_wait *w)
{
    mem_free(&w);
}

void queue_tell_relayed(struct queue *q, struct queue_notice *notice)
{
    struct notice_wait *w = mem_new(sizeof(*w));
    w->noticed = told;
    w->drop = forget;
    list_init(&w->node);
    notice->news = QUEUE_RELAYED;
    if (!queue_notice(q, notice, w))
        mem_free(&w);
}

/* ---- delayed ---- */

static bool wants_delay(const struct queue_row *row)
{
    return (row->notify & WIRE_NOTIFY_DELAY) && !row->is_told;
}

void queue_be_patient(struct queue *q, struct queue_message *m, const struct queue_row *rows,
                      size_t n_rows)
{
    for (size_t k = 0; k < n_rows && m->facts.mail_from.n > 0 && list_empty(&m->patient); k++)
        if (wants_delay(&rows[k]))
            list_append(&q->patient, &m->patient);
}

/* A result would close an attempt that runs: it is told behind it. */
static bool is_at_rest(const struct queue_message *m)
{
    LIST_FOREACH (node, &m->items)
        if (!queue_item_is_at_rest(container_of(node, struct item, in_message)))
            return false;
    return true;
}

static void note_told(struct queue *q, struct item *i, struct queue_row *row)
{
    struct record_result result = {.message = i->m->facts.id,
                                   .rcpt = row->rcpt,
                                   .time = utc_now(),
                                   .disposition = DISPOSITION_WAITING,
                                   .attempts = row->attempts,
                                   .due = i->due,
                                   .text = slice_str(i->why ? i->why : ""),
                                   .by = SLICE(QUEUE_TOLD_BY)};
    row->is_told = true;
    i->noted_at = q->n_flushes;
    queue_note_result(q, &result);
}

static void tell(struct queue *q, struct queue_message *m)
{
    struct queue_row *rows = mem_new(ITEM_ROWS_MAX * sizeof(*rows));
    struct queue_outcome *outcomes = mem_new(ITEM_ROWS_MAX * sizeof(*outcomes));
    struct queue_notice notice = {
        .news = QUEUE_DELAYED, .facts = &m->facts, .rows = rows, .outcomes = outcomes};
    LIST_FOREACH (node, &m->items) {
        struct item *i = container_of(node, struct item, in_message);
        for (size_t k = 0; k < i->n_rows && notice.n < ITEM_ROWS_MAX; k++) {
            if (!wants_delay(&i->rows[k]))
                continue;
            rows[notice.n] = i->rows[k];
            outcomes[notice.n++] = (struct queue_outcome){
                .text = slice_str(i->why ? i->why : ""),
                .until = continuity_expires_at(m->facts.received, i->d->primary != 0)};
            note_told(q, i, &i->rows[k]);
        }
    }
    if (notice.n > 0)
        q->o.delayed(q->o.arg, &notice);
    mem_free(&rows);
    mem_free(&outcomes);
}

void queue_tell_delayed(struct queue *q)
{
    utc_ms before = utc_now() - DELAY_MS;
    if (q->n_unwritten > 0 || q->is_clock_doubted)
        return; /* decisions stay behind what happened before them; hours need a clock */
    LIST_FOREACH (node, &q->patient) {
        struct queue_message *m = container_of(node, struct queue_message, patient);
        if (!m->is_accepted || m->facts.received > before)
            return; /* the others came later */
        if (!is_at_rest(m))
            continue;
        list_remove(&m->patient);
        tell(q, m);
    }
}
