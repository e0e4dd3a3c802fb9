/* The statement of an emergency: every row that went to this primary in its time, counted one by
 * one, and the same interval counted again by the index (worker). */
#include "admin/statement_int.h"

static const char *const fate_names[FATE_N] = {
    [FATE_MEANWHILE] = "meanwhile", [FATE_GIVEN_BACK] = "given_back",
    [FATE_PASSED_ON] = "passed_on", [FATE_WAITING] = "waiting",
    [FATE_IS_HELD] = "held",        [FATE_IS_RETURNED] = "returned",
    [FATE_REMOVED] = "removed",     [FATE_MERGED] = "merged",
    [FATE_NONE] = "refused",
};

const char *fate_name(enum fate f)
{
    return fate_names[f];
}

enum fate fate_of(const struct episode *e, const struct store_row *row)
{
    switch ((enum disposition)row->last.disposition) {
    case DISPOSITION_DELIVERED:
        if (!e->return_at || row->last.time < e->return_at)
            return FATE_MEANWHILE;
        return row->received < e->return_at ? FATE_GIVEN_BACK : FATE_PASSED_ON;
    case DISPOSITION_WAITING:
        return FATE_WAITING;
    case DISPOSITION_HELD:
        return FATE_IS_HELD;
    case DISPOSITION_RETURNED:
        return FATE_IS_RETURNED;
    case DISPOSITION_REMOVED:
        return FATE_REMOVED;
    case DISPOSITION_MERGED:
        return FATE_MERGED;
    case DISPOSITION_REFUSED:
    case DISPOSITION_N:
        break;
    }
    return FATE_NONE;
}

/* ---- which episode ---- */

struct finding {
    struct admin_call *c;
    struct statement *s;
    bool is_found;
};

static bool find_one(void *arg, const struct record_object *o)
{
    struct finding *f = arg;
    if (o->id != f->s->id)
        return true;
    struct slice body = arena_copy(f->c->arena, o->body);
    f->is_found = episode_unpack(body, f->c->arena, &f->s->e) && f->s->e.emergency_at;
    return false;
}

/* Ids of messages begin with their time. */
static uint64_t first_id(utc_ms t)
{
    return t > 0 ? (uint64_t)t << 20 : 0;
}

static void set_span(struct statement *s)
{
    s->now = utc_now();
    s->begin = episode_begin(&s->e);
    s->span = (struct store_span){.primary = s->e.primary,
                                  .first = first_id(s->begin),
                                  .last = first_id((s->e.end_at ? s->e.end_at : s->now) + 1) - 1,
                                  .since = s->begin};
    if (s->e.first_message && s->e.first_message < s->span.first)
        s->span.first = s->e.first_message;
}

bool statement_find(struct admin_call *c, struct names *names, struct statement *ret)
{
    struct finding f = {.c = c, .s = ret};
    struct errinfo ei = {};
    *ret = (struct statement){.id = message_id_parse(c->part[0])};
    if (!names_load(c, names) || !names_load_zones(c, names))
        return false;
    enum err err = store_each_object(c->reader, OBJECT_EPISODE, find_one, &f, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return false;
    }
    if (!f.is_found) {
        call_refuse(c, 404,
                    "There is no emergency %s. Nothing was done. `staffetta state history` lists "
                    "those that there were.",
                    log_text(c->part[0]));
        return false;
    }
    ret->primary = names_primary(names, ret->e.primary);
    ret->tenant = names_tenant(names, names_tenant_of(names, ret->e.primary));
    directory_zone_read(&ret->zone, names_zone(names, names_tenant_of(names, ret->e.primary)));
    set_span(ret);
    return true;
}

/* ---- counting ---- */

static void count_notice(struct statement *s, const struct store_row *row)
{
    bool is_silent = slice_eq(row->last.by, SLICE("the sender wanted no notice (NOTIFY)"));
    if (is_silent || s->last_noticed == row->message)
        return; /* one notice for all rows of a message */
    s->last_noticed = row->message;
    s->notices++;
}

/* Was it still here when giving back began (or is it now)? */
static bool was_kept(const struct episode *e, const struct store_row *row, enum fate fate)
{
    if (fate == FATE_WAITING || fate == FATE_IS_HELD)
        return !e->return_at || row->received < e->return_at;
    return e->return_at && row->received < e->return_at && row->last.time >= e->return_at;
}

static bool count_row(void *arg, const struct store_row *row)
{
    struct statement *s = arg;
    enum fate fate = fate_of(&s->e, row);
    if (!store_span_has(&s->span, row) || fate == FATE_NONE)
        return true;
    s->accepted += row->received >= s->begin;
    s->before += row->received < s->begin;
    s->n[fate]++;
    s->by[row->last.disposition]++;
    s->kept += was_kept(&s->e, row, fate);
    s->bytes += row->bytes;
    s->doubles += row->is_possible_double;
    if (fate == FATE_IS_RETURNED)
        count_notice(s, row);
    uint32_t why = row->last.refusal ? row->last.refusal : row->facts.refusal;
    if (fate == FATE_IS_HELD)
        s->held_for[why <= REFUSE_N ? why : 0]++;
    boxes_add(&s->boxes, row, fate);
    return true;
}

bool statement_make(struct admin_call *c, struct names *names, struct statement *ret)
{
    struct errinfo ei = {};
    if (!statement_find(c, names, ret))
        return false;
    struct store_row_filter all = {.primary = ret->span.primary,
                                   .after = ret->span.first ? ret->span.first - 1 : 0,
                                   .last = ret->span.last,
                                   .is_any = true};
    ret->boxes = boxes_make(c);
    enum err err = store_each_row(c->reader, &all, count_row, ret, &ei);
    if (err == ERR_OK)
        err = store_sums_span(c->reader, &ret->span, &ret->ledger, &ei);
    if (err == ERR_OK)
        err = boxes_sort(&ret->boxes, &ei);
    if (err == ERR_OK)
        err = statement_count_did(c, ret, &ei);
    if (err != ERR_OK)
        call_fail(c, err, ei.text);
    return err == ERR_OK;
}

void statement_finish(struct statement *s)
{
    directory_zone_finish(&s->zone);
    if (s->boxes.by)
        boxes_finish(&s->boxes);
}

/* ---- the proof ---- */

uint64_t statement_owed(const struct statement *s)
{
    return s->accepted + s->before;
}

uint64_t statement_found(const struct statement *s)
{
    uint64_t found = 0;
    for (int f = 0; f < FATE_NONE; f++)
        found += s->n[f];
    return found;
}

bool statement_is_proved(const struct statement *s)
{
    for (int d = DISPOSITION_WAITING; d < DISPOSITION_REFUSED; d++)
        if (s->by[d] != s->ledger.by[d])
            return false;
    return s->accepted == s->ledger.accepted && statement_owed(s) == statement_found(s);
}
