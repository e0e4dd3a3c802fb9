/* A store, its reader and a queue made of arrays, behind the real headers. */
#ifndef ADMIN_TEST_FAKE_STORE_H
#define ADMIN_TEST_FAKE_STORE_H

#include "admin/admin_int.h"
#include "store/store_account.h"

enum { FAKE_MAX = 64 };

struct fake_order {
    enum queue_order what;
    uint64_t message;
    uint16_t rcpt;
};
struct fake_done {
    void (*fn)(void *cookie, enum err err, const char *why);
    void *cookie;
    enum err err;
    const char *why;
};

static struct {
    struct arena *arena;
    struct admin_host host;
    struct alert_book *alerts;
    struct admin *admin;
    struct record_object *objects; /* as they are now */
    size_t n_objects, max_objects;
    struct record_mailbox *mailboxes;
    size_t n_mailboxes, max_mailboxes, n_puts;
    uint64_t last_id;
    enum err put_err;
    bool is_late; /* done callbacks wait for fake_turn */
    struct fake_done waiting[200];
    size_t n_waiting;
    enum continuity_evidence decided;
    uint64_t decided_about;
    uint64_t looked_at;
    enum err look_err;
    struct admin_watch watches[8];
    size_t n_watches;
    char login[400]; /* what, token and text of the last order */
    char decided_why[400];
    struct fake_order orders[FAKE_MAX];
    size_t n_orders;
    uint32_t closed_for;
    bool has_nothing_waiting;
    enum err reader_err;
    struct store_message messages[FAKE_MAX];
    size_t n_messages;
    struct store_row rows[FAKE_MAX];
    size_t n_rows;
    struct record_event events[FAKE_MAX];
    size_t n_events;
    uint64_t lost; /* rows accepted that no disposition has */
    bool is_returning;
    int n_held;          /* readers that see one moment */
    const char *explain; /* of the queue */
    struct store_search searched;
    struct store_row_filter filtered;
    struct record_evidence evidence[8];
    size_t n_evidence;
    struct record_high highs[8];
    size_t n_highs;
    struct store_arrival arrivals[8];
    size_t n_arrivals;
    struct record_item items[4];
    size_t n_items;
    struct store_email emails[8];
    uint64_t email_accounts[8];
    size_t n_emails;
    utc_ms maintained[2];
    struct admin_again again;
    size_t n_again;
    const char *mailback_why; /* nothing is given back, for this; NULL: it is */
    struct admin_search search;
} fake;

/* ---- the store's reader ---- */

struct store_reader {
    int nothing;
};
static struct store_reader fake_reader;

enum err store_each_object(struct store_reader *, enum object_kind kind, store_object_fn *fn,
                           void *arg, struct errinfo *ei)
{
    for (size_t i = 0; i < fake.n_objects; i++)
        if (fake.objects[i].kind == kind && !fake.objects[i].is_removed &&
            !fn(arg, &fake.objects[i]))
            break;
    return fake.reader_err ? err_set(ei, fake.reader_err, "the disk is tired") : ERR_OK;
}

enum err store_each_high(struct store_reader *, uint32_t refusal, utc_ms since, store_high_fn *fn,
                         void *arg, struct errinfo *ei)
{
    for (size_t i = 0; i < fake.n_highs; i++)
        if (fake.highs[i].refusal == refusal && fake.highs[i].time >= since &&
            !fn(arg, &fake.highs[i]))
            break;
    return fake.reader_err ? err_set(ei, fake.reader_err, "the disk is tired") : ERR_OK;
}

enum err store_each_item(struct store_reader *, uint64_t account, enum item_kind kind,
                         store_item_fn *fn, void *arg, struct errinfo *)
{
    for (size_t i = 0; i < fake.n_items; i++)
        if (fake.items[i].kind == kind && (!account || fake.items[i].account == account) &&
            !fn(arg, &fake.items[i]))
            break;
    return ERR_OK;
}

enum err store_each_email(struct store_reader *, uint64_t account, uint64_t since,
                          store_email_fn *fn, void *arg, struct errinfo *)
{
    for (size_t i = 0; i < fake.n_emails; i++)
        if (fake.email_accounts[i] == account && fake.emails[i].modseq > since &&
            !fn(arg, &fake.emails[i]))
            break;
    return ERR_OK;
}

enum err store_each_arrival(struct store_reader *, utc_ms since, store_arrival_fn *fn, void *arg,
                            struct errinfo *ei)
{
    for (size_t i = 0; i < fake.n_arrivals; i++)
        if (fake.arrivals[i].received >= since && !fn(arg, &fake.arrivals[i]))
            break;
    return fake.reader_err ? err_set(ei, fake.reader_err, "the disk is tired") : ERR_OK;
}

enum err store_get_message(struct store_reader *, uint64_t id, struct arena *,
                           struct store_message *ret, struct errinfo *ei)
{
    for (size_t i = 0; i < fake.n_messages; i++)
        if (fake.messages[i].facts.id == id) {
            *ret = fake.messages[i];
            return ERR_OK;
        }
    return err_set(ei, ERR_GONE, "no such message");
}

enum err store_each_row_of(struct store_reader *, uint64_t message, store_row_fn *fn, void *arg,
                           struct errinfo *)
{
    for (size_t i = 0; i < fake.n_rows; i++)
        if (fake.rows[i].message == message && !fn(arg, &fake.rows[i]))
            break;
    return ERR_OK;
}

enum err store_each_row(struct store_reader *, const struct store_row_filter *f, store_row_fn *fn,
                        void *arg, struct errinfo *)
{
    fake.filtered = *f;
    uint32_t n = 0;
    for (size_t i = 0; i < fake.n_rows; i++) {
        const struct store_row *r = &fake.rows[i];
        bool is_open =
            r->last.disposition == DISPOSITION_WAITING || r->last.disposition == DISPOSITION_HELD;
        if (r->message <= f->after || (f->tenant && r->tenant != f->tenant) ||
            (f->primary && r->facts.primary != f->primary) ||
            (f->is_doubles_only ? !r->is_possible_double
             : f->disposition   ? r->last.disposition != f->disposition
                                : !is_open && !f->is_any) ||
            (f->last && r->message > f->last))
            continue;
        if ((f->limit && n++ == f->limit) || !fn(arg, r))
            break;
    }
    return ERR_OK;
}

enum err store_search(struct store_reader *, const struct store_search *what, store_message_fn *fn,
                      void *arg, struct errinfo *)
{
    fake.searched = *what;
    for (size_t i = fake.n_messages; i > 0; i--)
        if (!fn(arg, &fake.messages[i - 1]))
            break;
    return ERR_OK;
}

enum err store_each_history(struct store_reader *, uint64_t message, store_history_fn *fn,
                            void *arg, struct errinfo *)
{
    struct record_result begin = {.message = message, .time = 1000};
    struct record_result end = {.message = message,
                                .time = 2000,
                                .is_attempt = 1,
                                .disposition = DISPOSITION_WAITING,
                                .code = 451,
                                .text = SLICE("later \xff please")};
    if (fn(arg, &begin, true, SLICE("mail.rossi.example")))
        (void)!fn(arg, &end, false, SLICE(""));
    return ERR_OK;
}

enum err store_sums(struct store_reader *, uint64_t tenant, struct store_sums *ret,
                    struct errinfo *)
{
    struct store_sums s = {.n_unanswered = 2};
    for (size_t i = 0; i < fake.n_rows; i++)
        if (tenant == 0 || fake.rows[i].tenant == tenant) {
            s.accepted++;
            s.by[fake.rows[i].last.disposition]++;
            s.n_possible_doubles += fake.rows[i].is_possible_double;
        }
    s.accepted += fake.lost;
    *ret = s;
    return ERR_OK;
}

enum err store_each_event(struct store_reader *, uint64_t tenant, utc_ms since, uint32_t limit,
                          store_event_fn *fn, void *arg, struct errinfo *)
{
    for (size_t i = fake.n_events; i > 0 && limit > 0; i--)
        if ((tenant == 0 || fake.events[i - 1].tenant == tenant) &&
            fake.events[i - 1].time >= since && limit-- > 0 && !fn(arg, i, &fake.events[i - 1]))
            break;
    return ERR_OK;
}

enum err store_each_evidence(struct store_reader *, uint64_t primary, utc_ms since,
                             store_evidence_fn *fn, void *arg, struct errinfo *)
{
    for (size_t i = 0; i < fake.n_evidence; i++)
        if (fake.evidence[i].primary == primary && fake.evidence[i].first >= since &&
            !fn(arg, &fake.evidence[i]))
            break;
    return ERR_OK;
}

void store_reader_hold(struct store_reader *)
{
    fake.n_held++;
}

void store_reader_let_go(struct store_reader *)
{
    fake.n_held--;
}

bool store_span_has(const struct store_span *span, const struct store_row *row)
{
    bool is_open =
        row->last.disposition == DISPOSITION_WAITING || row->last.disposition == DISPOSITION_HELD;
    return row->message >= span->first && row->message <= span->last &&
           row->facts.primary == span->primary && !row->facts.parent &&
           (row->received >= span->since || is_open || row->last.time >= span->since);
}

enum err store_sums_span(struct store_reader *, const struct store_span *span,
                         struct store_sums *ret, struct errinfo *)
{
    struct store_sums s = {.accepted = fake.lost};
    for (size_t i = 0; i < fake.n_rows; i++) {
        if (!store_span_has(span, &fake.rows[i]) ||
            fake.rows[i].last.disposition == DISPOSITION_REFUSED)
            continue;
        s.accepted += fake.rows[i].received >= span->since;
        s.by[fake.rows[i].last.disposition]++;
        s.n_possible_doubles += fake.rows[i].is_possible_double;
    }
    *ret = s;
    return ERR_OK;
}

/* ---- the store and the queue ---- */

struct store_figures store_figures(struct store *)
{
    return (struct store_figures){.n_batches = 7,
                                  .n_syncs = 7,
                                  .n_records = 40,
                                  .end = 4096,
                                  .applied = 4000,
                                  .disk_free_bytes = 1,
                                  .disk_total_bytes = 10};
}

enum err store_snapshot(struct store *, struct errinfo *ei)
{
    return fake.reader_err ? err_set(ei, fake.reader_err, "the disk is tired") : ERR_OK;
}

struct queue_figures queue_figures(const struct queue *)
{
    return (struct queue_figures){.n_rows = 3, .n_delivered = 12};
}

uint64_t queue_waiting_for(const struct queue *, uint64_t)
{
    return fake.has_nothing_waiting ? 0 : 3;
}

void queue_explain(const struct queue *, uint64_t, struct buf *ret)
{
    buf_adds(ret, slice_str(fake.explain));
}

#endif
