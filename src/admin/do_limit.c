/* Limits: what is in force since when, how often it refused, and what another value would have
 * refused. The last has two kinds of answers: exact, from the messages in the store, where these
 * show what the limit judges; else from the worst value of each hour, which processes report. */
#include "admin/admin_int.h"

enum { TRY_DAYS = 30 };
static const utc_ms DAY_MS = 86400000;

/* ---- all of them ---- */

static const char *const classes[] = {
    [REFUSE_PEER] = "peer",
    [REFUSE_NOTICE] = "notice",
    [REFUSE_ALARM] = "alarm",
};

static const char *who_set(const struct refuse_limit *limit)
{
    return limit->is_set ? "settings" : "built-in";
}

static void write_limit(struct out *j, enum refuse_id id, const struct admin_refusal *r)
{
    const struct refuse_row *row = refuse_row(id);
    struct refuse_limit limit = refuse_limit(id);
    out_object(j, NULL);
    out_word(j, "name", row->name);
    out_word(j, "owner", row->owner);
    out_number_if(j, "limit", limit.value);
    out_text_if(j, "unit", slice_str(row->unit));
    out_word(j, "set_by", who_set(&limit));
    if (limit.setting)
        out_word(j, "setting", limit.setting);
    out_time(j, "since", r->since);
    if (r->is_changed)
        out_number(j, "before", r->before);
    out_truth(j, "can_try", refuse_when(id) != REFUSE_NOT_MEASURED);
    out_word(j, "class", classes[row->class]);
    out_text_if(j, "reply", slice_str(row->code));
    out_word(j, "text", row->text);
    out_number(j, "count", r->n);
    out_number(j, "count_ever", r->n_ever);
    out_time(j, "last", r->last);
    out_text_if(j, "example", slice_str(r->who ? r->who : ""));
    out_close(j);
}

static void write_limit_of(struct admin_call *c, const struct directory_primary *p)
{
    struct out *j = &c->json;
    struct refuse_limit usual = refuse_limit(REFUSE_PRIMARY_BUSY);
    struct admin_primary_state state;
    bool is_own = p->facts.connections > 0;
    out_object(j, NULL);
    out_text(j, "primary", p->facts.name);
    out_text_if(j, "tenant", name_of_tenant(c->host, p->tenant));
    out_number(j, "deliveries", is_own ? p->facts.connections : usual.value);
    out_word(j, "set_by", is_own ? "person" : who_set(&usual));
    if (c->host->state(c->host->arg, p->id, &state))
        out_number_if(j, "message_bytes", state.size_max);
    out_close(j);
}

void do_limits(struct admin_call *c)
{
    struct admin_refusal *all = ARENA_ARRAY(c->arena, struct admin_refusal, REFUSE_N);
    const struct directory_primary *p;
    struct out *j = &c->json;
    c->host->refusals(c->host->arg, all);
    out_object(j, NULL);
    out_array(j, "limits");
    for (unsigned i = 0; i < REFUSE_N; i++)
        write_limit(j, i, &all[i]);
    out_close(j);
    out_array(j, "primaries");
    for (size_t at = 0; (p = directory_next_primary(c->host->directory, &at));)
        write_limit_of(c, p);
    out_close(j);
    out_close(j);
    call_done(c);
}

/* ---- another value: gathering ---- */

struct example {
    bool is_there;
    utc_ms time;
    uint64_t value, message;
    struct slice who; /* in the call's arena */
};

struct trial {
    struct admin_call *c;
    enum refuse_id id;
    uint64_t value;
    utc_ms since;
    uint64_t n, n_refused; /* messages, or hours */
    struct example first, worst;
    struct example high; /* the worst that was measured, accepted or not */
};

static bool is_about_messages(enum refuse_id id)
{
    return id == REFUSE_TOO_BIG || id == REFUSE_RECIPIENTS;
}

static void keep_example(struct trial *t, struct example *to, const struct example *e)
{
    *to = *e;
    to->is_there = true;
    to->who = arena_copy(t->c->arena, e->who);
}

static void keep_worse(struct trial *t, struct example *to, const struct example *e)
{
    if (!to->is_there || refuse_is_worse(t->id, e->value, to->value))
        keep_example(t, to, e);
}

static void judge(struct trial *t, const struct example *e)
{
    t->n++;
    if (!refuse_would(t->id, t->value, e->value))
        return;
    t->n_refused++;
    if (!t->first.is_there)
        keep_example(t, &t->first, e);
    keep_worse(t, &t->worst, e);
}

static bool judge_arrival(void *arg, const struct store_arrival *a)
{
    struct trial *t = arg;
    struct example e = {.time = a->received,
                        .value = t->id == REFUSE_TOO_BIG ? a->bytes : a->n_rcpts,
                        .message = a->message,
                        .who = a->client};
    /* Our own words and what people write here came through no gate. */
    if (a->direction != DIRECTION_NOTICE && a->direction != DIRECTION_PERSON)
        judge(t, &e);
    return true;
}

static bool judge_hour(void *arg, const struct record_high *high)
{
    struct trial *t = arg;
    struct example e = {.time = high->time, .value = high->value, .who = high->who};
    keep_worse(t, &t->high, &e);
    if (!is_about_messages(t->id))
        judge(t, &e);
    return true;
}

/* ---- another value: the answer ---- */

static void add_value(struct buf *b, const struct trial *t, uint64_t value)
{
    refuse_add_value(b, t->id, value);
}

static void add_example(struct buf *b, const struct trial *t, const struct example *e)
{
    add_value(b, t, e->value);
    buf_addf(b, " at %s", utc_rfc3339(e->time).s);
    if (e->who.n)
        buf_addf(b, " by %.*s", SLICE_ARG(e->who));
    if (e->message) {
        char id[MESSAGE_ID_TEXT];
        message_id_text(e->message, id);
        buf_addf(b, " (message %s)", id);
    }
}

static void add_share(struct buf *b, const struct trial *t)
{
    uint64_t hundredths = t->n ? t->n_refused * 10000 / t->n : 0;
    buf_addf(b, " (%llu.%02llu %%)", (unsigned long long)hundredths / 100,
             (unsigned long long)hundredths % 100);
}

static void describe_messages(struct buf *b, const struct trial *t)
{
    struct refuse_limit now = refuse_limit(t->id);
    buf_addf(b, "%llu of the %llu messages that were accepted in this time would have been refused",
             (unsigned long long)t->n_refused, (unsigned long long)t->n);
    if (t->n_refused)
        add_share(b, t);
    buf_adds(b, SLICE(". Counted exactly: each message in the store was looked at."));
    if (t->value >= now.value) {
        buf_adds(b, SLICE(" What the limit in force, "));
        add_value(b, t, now.value);
        buf_adds(b, SLICE(", refused is not among them"));
        if (t->high.is_there && refuse_would(t->id, now.value, t->high.value)) {
            buf_adds(b, SLICE("; the most that was asked for is "));
            add_example(b, t, &t->high);
        }
        buf_addc(b, '.');
    }
}

static void describe_hours(struct buf *b, const struct trial *t)
{
    static const char *const words[] = {
        [REFUSE_NOT_MEASURED] = "",
        [REFUSE_ABOVE] = "had more than",
        [REFUSE_FROM] = "reached",
        [REFUSE_BELOW] = "had less than",
    };
    if (t->n == 0) {
        buf_adds(b, SLICE("Nothing was measured in this time, so nothing can be said."));
        return;
    }
    buf_addf(b, "%llu of the %llu hours in which it was measured %s ",
             (unsigned long long)t->n_refused, (unsigned long long)t->n, words[refuse_when(t->id)]);
    add_value(b, t, t->value);
    if (t->n_refused)
        add_share(b, t);
    buf_adds(b, SLICE("; nearest came "));
    add_example(b, t, &t->high);
    buf_adds(b, SLICE(". This is told by the worst value of each hour: in such an hour something "
                      "would have been refused, but how much is not known."));
}

static void write_example(struct out *j, const char *key, const struct example *e)
{
    if (!e->is_there)
        return;
    out_object(j, key);
    out_time(j, "time", e->time);
    out_number(j, "value", e->value);
    out_text_if(j, "who", e->who);
    if (e->message) {
        char id[MESSAGE_ID_TEXT];
        message_id_text(e->message, id);
        out_word(j, "message", id);
    }
    out_close(j);
}

static void write_trial(struct trial *t)
{
    struct out *j = &t->c->json;
    const struct refuse_row *row = refuse_row(t->id);
    bool is_exact = is_about_messages(t->id);
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    if (is_exact)
        describe_messages(&text, t);
    else
        describe_hours(&text, t);
    out_object(j, NULL);
    out_word(j, "name", row->name);
    out_number(j, "value", t->value);
    out_text_if(j, "unit", slice_str(row->unit));
    out_number_if(j, "in_force", refuse_limit(t->id).value);
    out_time(j, "since", t->since);
    out_word(j, "counted", is_exact ? "messages" : "hours");
    out_number(j, "of", t->n);
    out_number(j, "refused", t->n_refused);
    out_text(j, "text", buf_slice(&text));
    write_example(j, "first", &t->first);
    write_example(j, "worst", &t->worst);
    write_example(j, "highest", &t->high);
    out_close(j);
}

/* ---- another value: the question ---- */

/* "50", and for bytes "20 MiB". */
static bool read_value(enum refuse_id id, struct slice s, uint64_t *ret)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t n = 0;
    uint64_t number;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    struct slice unit = slice_trim(slice_skip(s, n));
    bool is_bytes = strncmp(refuse_row(id)->unit, "bytes", 5) == 0;
    if (!slice_u64(slice_of(s.p, n), (uint64_t)1 << 62, &number))
        return false;
    if (unit.n == 0) {
        *ret = number;
        return true;
    }
    for (unsigned i = 0; is_bytes && i < sizeof(units) / sizeof(units[0]); i++)
        if (slice_eq(unit, slice_str(units[i])) && number <= UINT64_MAX >> (10 * i)) {
            *ret = number << (10 * i);
            return true;
        }
    return false;
}

static bool find_limit(struct admin_call *c, enum refuse_id *ret)
{
    for (unsigned i = 0; i < REFUSE_N; i++)
        if (slice_eq(c->part[0], slice_str(refuse_row(i)->name))) {
            *ret = i;
            return true;
        }
    call_refuse(c, 404, "There is no limit called %s. `staffetta limits` lists them.",
                log_text(c->part[0]));
    return false;
}

static bool read_question(struct admin_call *c, struct trial *t)
{
    struct slice value = call_param(c, "value");
    utc_ms since = call_time(c, "since");
    t->since = since ? since : utc_now() - TRY_DAYS * DAY_MS;
    if (!find_limit(c, &t->id))
        return false;
    if (refuse_when(t->id) == REFUSE_NOT_MEASURED) {
        call_refuse(c, 400,
                    "How near %s came is not measured, so no other value can be tried. "
                    "`staffetta limits` says which can.",
                    refuse_row(t->id)->name);
        return false;
    }
    if (!read_value(t->id, value, &t->value)) {
        call_refuse(c, 400,
                    "%s is no value of %s. Write a whole number%s: "
                    "value=%llu is the one in force.",
                    log_text(value), refuse_row(t->id)->name,
                    strncmp(refuse_row(t->id)->unit, "bytes", 5) == 0 ? ", or 20 MiB" : "",
                    (unsigned long long)refuse_limit(t->id).value);
        return false;
    }
    return true;
}

void do_limit_try(struct admin_call *c)
{
    struct trial t = {.c = c};
    struct errinfo ei;
    if (!read_question(c, &t))
        return;
    enum err err = store_each_high(c->reader, t.id, t.since, judge_hour, &t, &ei);
    if (err == ERR_OK && is_about_messages(t.id))
        err = store_each_arrival(c->reader, t.since, judge_arrival, &t, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    write_trial(&t);
    call_done(c);
}
