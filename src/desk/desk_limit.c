/* No limit is silent (promise 3): when one begins to block, whoever answers for it hears of it,
 * and again when an hour was quiet; not each time. */
#include "desk/desk_int.h"

#include <stdio.h>

enum {
    QUIET_MS = 3600 * 1000,    /* without a refusal: it is over */
    DAY_MS = 24 * 3600 * 1000, /* a notice about the same limit once in this time */
    COUNT_MS = 600 * 1000,     /* between two updates with counts */
    KEY_MAX = 120,
};

static struct slice key_of(uint32_t refusal, char room[KEY_MAX])
{
    snprintf(room, KEY_MAX, "limit/%s", refuse_row((enum refuse_id)refusal)->name);
    return slice_str(room);
}

static const struct alert_incident *incident_of(struct desk *d, uint32_t refusal)
{
    char room[KEY_MAX];
    return alert_find(desk_book(d), 0, key_of(refusal, room));
}

static utc_ms last_word(const struct alert_incident *i)
{
    return i && i->body.n_updates ? i->body.updates[i->body.n_updates - 1].time : 0;
}

static void report(struct desk *d, uint32_t refusal, enum event_class class, struct slice happened,
                   bool is_over)
{
    char room[KEY_MAX];
    const struct refuse_row *row = refuse_row((enum refuse_id)refusal);
    SCOPED(buf_finish) struct buf did = buf_make(1000);
    if (!is_over && row->code[0])
        buf_addf(&did, "The other side was told %s %s.", row->code, row->text);
    struct desk_report r = {
        .key = key_of(refusal, room),
        .class = class,
        .name = row->name,
        .subject = slice_str(row->name),
        .happened = happened,
        .did = buf_slice(&did),
        .can = is_over ? SLICE("")
                       : SLICE("`staffetta limits` shows every limit and how often it was reached; "
                               "raise it if those who are refused are right."),
        .by = slice_str(row->owner),
        .is_over = is_over};
    desk_report(d, &r);
}

static void describe(struct desk *d, uint32_t refusal, uint64_t n, struct buf *b)
{
    const struct refuse_row *row = refuse_row((enum refuse_id)refusal);
    buf_addf(b, "%s: %s.", row->name, row->text);
    struct refuse_limit limit = refuse_limit((enum refuse_id)refusal);
    if (limit.value)
        buf_addf(b, " The limit is %llu %s (%s).", (unsigned long long)limit.value, row->unit,
                 limit.setting ? limit.setting : "built in");
    buf_addf(b, " Refused %llu times", (unsigned long long)n);
    if (d->refusal_who[refusal][0])
        buf_addf(b, ", last %s", d->refusal_who[refusal]);
    buf_addc(b, '.');
}

/* An alert of ours that its target's mail system refuses must not be a reason for the next one: it
 * stays an event, or two mails an hour would go there for ever. */
static bool is_about_an_alert(struct desk *d, uint32_t refusal)
{
    struct slice who = slice_str(d->refusal_who[refusal]);
    const struct alert_target *t;
    if (refusal != REFUSE_HOLD_REFUSED || who.n == 0)
        return false;
    for (size_t at = 0; (t = alert_next_target(desk_book(d), &at));)
        if (t->body.kind == ALERT_MAIL && slice_ieq(desk_domain_of(t->body.address), who))
            return true;
    return false;
}

/* It was quiet before. Of a lesser one people hear once a day; more often it is only an event. */
static void begins(struct desk *d, uint32_t refusal, uint64_t n, utc_ms now)
{
    const struct refuse_row *row = refuse_row((enum refuse_id)refusal);
    const struct alert_incident *i = incident_of(d, refusal);
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    describe(d, refusal, n, &text);
    utc_ms last = last_word(i);
    bool is_new = !last || now < last || now >= last + DAY_MS;
    bool is_alarm = row->class == REFUSE_ALARM;
    if (is_alarm && !is_about_an_alert(d, refusal))
        report(d, refusal, EVENT_ALARM, buf_slice(&text), false);
    else if (!is_alarm && is_new)
        report(d, refusal, EVENT_NOTICE, buf_slice(&text), false);
    else
        desk_event(d, is_alarm ? EVENT_ALARM : EVENT_NOTICE, row->name, 0,
                   slice_str(d->refusal_who[refusal]), buf_slice(&text), slice_str(row->owner));
}

void desk_limit_reached(struct desk *d, uint32_t refusal, uint64_t n)
{
    const struct admin_refusal *before = &d->refusals[refusal];
    utc_ms now = utc_now();
    if (refuse_row((enum refuse_id)refusal)->class == REFUSE_PEER ||
        d->closed_for == 1 + refusal) /* that is the incident "mail" */
        return;
    const struct alert_incident *i = incident_of(d, refusal);
    bool is_open = i && i->body.closed == 0;
    bool was_quiet = before->n == 0 || now < before->last || now - before->last > QUIET_MS;
    if (!is_open && was_quiet) {
        begins(d, refusal, n, now);
        return;
    }
    utc_ms last = last_word(i);
    if (!is_open || (now >= last && now < last + COUNT_MS))
        return; /* the count is in `staffetta limits` */
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    describe(d, refusal, before->n + n, &text);
    report(d, refusal, EVENT_INFO, buf_slice(&text), false);
}

void desk_limits_tick(struct desk *d, utc_ms now)
{
    for (uint32_t k = 0; k < REFUSE_N; k++) {
        if (refuse_row((enum refuse_id)k)->class == REFUSE_PEER)
            continue;
        const struct alert_incident *i = incident_of(d, k);
        if (!i || i->body.closed)
            continue;
        utc_ms last = d->refusals[k].last > last_word(i) ? d->refusals[k].last : last_word(i);
        if (now >= last && now < last + QUIET_MS)
            continue;
        SCOPED(buf_finish) struct buf text = buf_make(1000);
        buf_addf(&text, "%s: nothing was refused for an hour; %llu times since the start.",
                 refuse_row((enum refuse_id)k)->name, (unsigned long long)d->refusals[k].n);
        report(d, k, EVENT_INFO, buf_slice(&text), true);
    }
}
