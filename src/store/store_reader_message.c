/* Reading messages: one, where its bytes lie, its history, search. */
#include "store/store_reader_int.h"

#include <stdlib.h>

/* ---- one message ---- */

static enum err load_unanswered(struct store_reader *r, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_UNANSWERED);
    if (!store_query_next(&q, ei))
        return q.err == ERR_OK ? store_query_unreadable(&q, ei) : q.err;
    struct reader packed = reader_make(column_slice(q.stmt, 0));
    size_t n = packed.rest.n / sizeof(uint64_t);
    if (n > INDEX_UNANSWERED_MAX)
        return store_query_unreadable(&q, ei);
    r->unanswered = ARENA_ARRAY(r->arena, uint64_t, n);
    for (r->n_unanswered = 0; r->n_unanswered < n; r->n_unanswered++)
        r->unanswered[r->n_unanswered] = read_u64(&packed);
    r->has_unanswered = true;
    return ERR_OK;
}

enum err store_query_is_open(struct store_reader *r, uint64_t message, bool *ret,
                             struct errinfo *ei)
{
    enum err err = r->has_unanswered ? ERR_OK : load_unanswered(r, ei);
    if (err != ERR_OK)
        return err;
    size_t from = 0, to = r->n_unanswered;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (r->unanswered[middle] < message)
            from = middle + 1;
        else
            to = middle;
    }
    *ret = from < r->n_unanswered && r->unanswered[from] == message;
    return ERR_OK;
}

static bool unpack_message(struct slice facts, struct slice fields, struct arena *a,
                           struct store_message *ret)
{
    ret->fields = (struct record_fields){};
    return record_message_unpack(facts, a, &ret->facts) &&
           (fields.n == 0 || record_fields_unpack(fields, a, &ret->fields));
}

enum err store_query_message(struct store_query *q, struct store_message *ret, struct errinfo *ei)
{
    bool is_open = false;
    enum err err = store_query_is_open(q->r, column_u64(q->stmt, 0), &is_open, ei);
    if (err != ERR_OK)
        return q->err = err;
    if (!unpack_message(column_slice(q->stmt, 2), column_slice(q->stmt, 3), q->arena, ret))
        return store_query_unreadable(q, ei);
    ret->is_dropped = sqlite3_column_int(q->stmt, 1) == 0;
    ret->is_answered = !is_open && sqlite3_column_int(q->stmt, 4) == 0;
    return ERR_OK;
}

enum err store_get_message(struct store_reader *r, uint64_t id, struct arena *a,
                           struct store_message *ret, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_MESSAGE);
    bind_u64(q.stmt, 1, id);
    if (!store_query_next(&q, ei))
        return q.err != ERR_OK ? q.err : err_set(ei, ERR_GONE, "no such message");
    struct store_message m = {};
    enum err err = store_query_message(&q, &m, ei);
    if (err != ERR_OK)
        return err;
    /* Once more, from copies that stay. */
    if (!unpack_message(arena_copy(a, column_slice(q.stmt, 2)),
                        arena_copy(a, column_slice(q.stmt, 3)), a, &m))
        return store_query_unreadable(&q, ei);
    *ret = m;
    return ERR_OK;
}

enum err store_get_extents(struct store_reader *r, uint64_t id, struct arena *a,
                           struct record_extent **ret, size_t *ret_n, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_EXTENTS);
    bind_u64(q.stmt, 1, id);
    if (!store_query_next(&q, ei))
        return q.err != ERR_OK ? q.err : err_set(ei, ERR_GONE, "its bytes are not kept");
    if (!index_extents_unpack(column_slice(q.stmt, 0), a, ret, ret_n))
        return store_query_unreadable(&q, ei);
    return ERR_OK;
}

/* ---- history ---- */

enum { HISTORY_BYTES = 64 << 20 }; /* 2000 recipients, 100 attempts each */

struct step {
    struct step *next;
    struct record_result result;
    struct slice destination;
    bool is_begin;
    uint32_t number; /* as they were found: decides when times are equal */
};

struct history {
    struct arena *arena;
    struct step *steps; /* last found first */
    uint32_t n;
    uint64_t message;
};

static struct step *add_step(struct history *h, uint16_t rcpt, utc_ms time)
{
    struct step *step = arena_try(h->arena, sizeof(*step));
    if (!step)
        return NULL;
    step->result = (struct record_result){.message = h->message, .rcpt = rcpt, .time = time};
    step->number = h->n++;
    step->next = h->steps;
    h->steps = step;
    return step;
}

static bool add_begin(struct history *h, uint16_t rcpt, utc_ms begun, struct slice destination)
{
    struct step *step = add_step(h, rcpt, begun);
    if (!step || destination.n > HISTORY_BYTES - arena_used(h->arena))
        return false;
    step->is_begin = true;
    step->destination = arena_copy(h->arena, destination);
    return true;
}

/* `packed` empty: an attempt whose result nobody saw. */
static bool add_end(struct history *h, uint16_t rcpt, struct slice packed, utc_ms ended)
{
    struct step *step = add_step(h, rcpt, ended);
    if (!step || packed.n > HISTORY_BYTES - arena_used(h->arena))
        return false;
    if (packed.n)
        return record_result_unpack(arena_copy(h->arena, packed), h->arena, &step->result);
    step->result.disposition = DISPOSITION_WAITING;
    step->result.is_attempt = 1;
    step->result.text = SLICE("no result was seen; the message may have arrived");
    return true;
}

static enum err gather_past(struct store_reader *r, struct history *h, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_HISTORY);
    bind_u64(q.stmt, 1, h->message);
    while (store_query_next(&q, ei)) {
        uint16_t rcpt = (uint16_t)sqlite3_column_int(q.stmt, 0);
        utc_ms begun = sqlite3_column_int64(q.stmt, 1);
        if (begun && !add_begin(h, rcpt, begun, column_slice(q.stmt, 2)))
            return store_query_unreadable(&q, ei);
        if (!add_end(h, rcpt, column_slice(q.stmt, 4), sqlite3_column_int64(q.stmt, 3)))
            return store_query_unreadable(&q, ei);
    }
    return q.err;
}

/* The last attempt and result of a row, and the attempt under way, stand in the row itself. */
static enum err gather_rows(struct store_reader *r, struct history *h, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_HISTORY_ROWS);
    bind_u64(q.stmt, 1, h->message);
    while (store_query_next(&q, ei)) {
        uint16_t rcpt = (uint16_t)sqlite3_column_int(q.stmt, 0);
        utc_ms last_begun = sqlite3_column_int64(q.stmt, 1);
        struct slice last = column_slice(q.stmt, 3);
        bool is_good = last.n == 0 || last_begun == 0 ||
                       add_begin(h, rcpt, last_begun, column_slice(q.stmt, 2));
        is_good = is_good && (last.n == 0 || add_end(h, rcpt, last, 0));
        if (is_good && sqlite3_column_int(q.stmt, 6))
            is_good = add_begin(h, rcpt, sqlite3_column_int64(q.stmt, 4), column_slice(q.stmt, 5));
        if (!is_good)
            return store_query_unreadable(&q, ei);
    }
    return q.err;
}

static int compare_steps(const void *a, const void *b)
{
    const struct step *x = *(const struct step *const *)a, *y = *(const struct step *const *)b;
    if (x->result.time != y->result.time)
        return x->result.time < y->result.time ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void tell_history(const struct history *h, store_history_fn *fn, void *arg)
{
    struct step **steps = mem_new(h->n * sizeof(struct step *));
    uint32_t n = 0;
    for (struct step *step = h->steps; step; step = step->next)
        steps[n++] = step;
    qsort(steps, n, sizeof(struct step *), compare_steps);
    for (uint32_t i = 0; i < n; i++)
        if (!fn(arg, &steps[i]->result, steps[i]->is_begin, steps[i]->destination))
            break;
    mem_free(&steps);
}

enum err store_each_history(struct store_reader *r, uint64_t message, store_history_fn *fn,
                            void *arg, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *arena = arena_create(HISTORY_BYTES);
    struct history h = {.arena = arena, .message = message};
    /* Held until the end, so that both parts are of one moment. */
    SCOPED(store_query_end) struct store_query moment = store_query_begin(r, READ_MESSAGE);
    (void)moment; /* clang does not count its end as a use */
    enum err err = gather_past(r, &h, ei);
    if (err == ERR_OK)
        err = gather_rows(r, &h, ei);
    if (err != ERR_OK)
        return err;
    tell_history(&h, fn, arg);
    return ERR_OK;
}

/* ---- search ---- */

static struct slice without_brackets(struct slice id)
{
    id = slice_trim(id);
    if (id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
        return slice_of(id.p + 1, id.n - 2);
    return id;
}

static bool contains(struct slice text, struct slice part)
{
    for (; text.n >= part.n; text = slice_skip(text, 1))
        if (slice_istarts(text, part))
            return true;
    return false;
}

/* "a@b.example", "@b.example" or "b.example". */
static bool is_address(struct slice address, struct slice what)
{
    if (slice_ieq(address, what))
        return true;
    if (slice_starts(what, SLICE("@")))
        what = slice_skip(what, 1);
    size_t at = address.n;
    while (at > 0 && address.p[at - 1] != '@')
        at--;
    return at > 0 && what.n > 0 && slice_ieq(slice_skip(address, at), what);
}

static enum err has_rcpt(struct store_reader *r, uint64_t message, struct slice text, bool *ret,
                         struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_RCPTS);
    bind_u64(q.stmt, 1, message);
    *ret = false;
    while (!*ret && store_query_next(&q, ei)) {
        struct record_rcpt rcpt = {};
        if (!record_rcpt_unpack(column_slice(q.stmt, 0), q.arena, &rcpt))
            return store_query_unreadable(&q, ei);
        *ret = is_address(rcpt.address, text);
    }
    return q.err;
}

static enum err is_match(struct store_reader *r, const struct store_message *m, struct slice text,
                         bool *ret, struct errinfo *ei)
{
    *ret = text.n == 0 || message_id_parse(text) == m->facts.id ||
           slice_ieq(without_brackets(m->fields.message_id), without_brackets(text)) ||
           is_address(m->facts.mail_from, text) || is_address(m->fields.from_address, text) ||
           contains(m->fields.subject, text);
    bool can_be_rcpt =
        slice_find(text, ' ') < 0 && (slice_find(text, '@') >= 0 || slice_find(text, '.') >= 0);
    return *ret || !can_be_rcpt ? ERR_OK : has_rcpt(r, m->facts.id, text, ret, ei);
}

/* Ids begin with the time at which they were given; a day of room for clocks that were set. */
static uint64_t first_id_since(utc_ms since)
{
    enum { DAY_MS = 86400 * 1000 };
    return store_id_at(since - DAY_MS);
}

/* What people copy from a screen is mostly an id: then no other message is looked at. */
static enum err is_id(struct store_reader *r, uint64_t id, bool *ret, struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_MESSAGE);
    bind_u64(q.stmt, 1, id);
    *ret = store_query_next(&q, ei);
    return q.err;
}

enum err store_search(struct store_reader *r, const struct store_search *what, store_message_fn *fn,
                      void *arg, struct errinfo *ei)
{
    struct slice text = slice_trim(what->text);
    uint64_t id = message_id_parse(text);
    bool is_one = false;
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_SEARCH);
    enum err err = id ? is_id(r, id, &is_one, ei) : ERR_OK;
    if (err != ERR_OK)
        return err;
    bind_u64(q.stmt, 1, is_one ? id : first_id_since(what->since));
    bind_u64(q.stmt, 5, is_one ? id : INT64_MAX);
    bind_u64(q.stmt, 2, what->tenant);
    bind_i64(q.stmt, 3, what->since ? what->since : INT64_MIN);
    bind_i64(q.stmt, 4, what->until ? what->until : INT64_MAX);
    for (uint32_t n = 0; (what->limit == 0 || n < what->limit) && store_query_next(&q, ei);) {
        struct store_message m = {};
        bool is_found = false;
        err = store_query_message(&q, &m, ei);
        if (err == ERR_OK)
            err = is_match(r, &m, text, &is_found, ei);
        if (err != ERR_OK)
            return err;
        n += is_found;
        if (is_found && !fn(arg, &m))
            break;
    }
    return q.err;
}

enum err store_each_arrival(struct store_reader *r, utc_ms since, store_arrival_fn *fn, void *arg,
                            struct errinfo *ei)
{
    SCOPED(store_query_end) struct store_query q = store_query_begin(r, READ_ARRIVALS);
    bind_u64(q.stmt, 1, first_id_since(since));
    bind_i64(q.stmt, 2, since);
    while (store_query_next(&q, ei)) {
        struct record_message m = {};
        if (!record_message_unpack(column_slice(q.stmt, 1), q.arena, &m))
            return store_query_unreadable(&q, ei);
        struct store_arrival a = {.message = m.id,
                                  .received = m.received,
                                  .direction = m.direction,
                                  .bytes = m.bytes - m.prefix_bytes,
                                  .n_rcpts = (uint32_t)column_u64(q.stmt, 2),
                                  .client = m.client,
                                  .mail_from = m.mail_from};
        if (!fn(arg, &a))
            break;
    }
    return q.err;
}

enum err store_each_message(struct store_reader *r, const struct store_interval *in,
                            store_facts_fn *fn, void *arg, struct errinfo *ei)
{
    SCOPED(store_query_end)
    struct store_query q =
        store_query_begin(r, in->is_newest_first ? READ_MESSAGES_DOWN : READ_MESSAGES_UP);
    bind_u64(q.stmt, 1, in->first);
    bind_u64(q.stmt, 2, in->last < INT64_MAX ? in->last : INT64_MAX);
    bind_i64(q.stmt, 3, in->limit ? (int64_t)in->limit : -1);
    while (store_query_next(&q, ei)) {
        struct record_message m = {};
        if (!record_message_unpack(column_slice(q.stmt, 0), q.arena, &m))
            return store_query_unreadable(&q, ei);
        if (!fn(arg, &m))
            break;
    }
    return q.err;
}
