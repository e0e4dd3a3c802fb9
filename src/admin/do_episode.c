/* Emergencies that there were: the list, the statement, each message (worker). */
#include "admin/statement_int.h"

static void write_id(struct out *j, const char *key, uint64_t id)
{
    char text[MESSAGE_ID_TEXT];
    message_id_text(id, text);
    out_word(j, key, text);
}

/* ---- one ---- */

static void write_steps(struct out *j, const struct episode *e)
{
    out_array(j, "steps");
    for (uint32_t i = 0; i < e->n_steps; i++) {
        const struct episode_step *step = &e->steps[i];
        bool is_state = step->state >= STATE_STANDBY && step->state < STATE_N;
        out_object(j, NULL);
        out_time(j, "time", step->time);
        out_word(j, "what", episode_kind_name(step->kind));
        out_word(j, "state", continuity_state_name(is_state ? step->state : STATE_STANDBY));
        out_text(j, "by", step->by);
        out_text_if(j, "why", step->why);
        out_close(j);
    }
    out_close(j);
}

static void write_episode(struct out *j, const char *key, uint64_t id, const struct episode *e,
                          const struct names *names)
{
    out_object(j, key);
    write_id(j, "id", id);
    out_text(j, "primary", names_primary(names, e->primary));
    out_text(j, "tenant", names_tenant(names, names_tenant_of(names, e->primary)));
    out_text(j, "zone", names_zone(names, names_tenant_of(names, e->primary)));
    out_truth(j, "over", e->end_at != 0);
    out_time(j, "first_failure", e->first_bad);
    out_time(j, "suspect", e->suspect_at);
    out_time(j, "emergency", e->emergency_at);
    out_time(j, "ready", e->ready_at);
    out_time(j, "returning", e->return_at);
    out_time(j, "end", e->end_at);
    utc_ms until = e->end_at ? e->end_at : utc_now();
    utc_ms lasted = until - episode_begin(e);
    out_number(j, "seconds", lasted > 0 ? (uint64_t)lasted / 1000 : 0);
    out_number(j, "deaths", e->n_deaths);
    out_number(j, "pauses", e->n_pauses);
    out_number(j, "isolations", e->n_isolations);
    out_number_if(j, "steps_left_out", e->n_left_out);
    write_steps(j, e);
    out_close(j);
}

/* ---- the list, newest first ---- */

struct kept_one {
    uint64_t id;
    char *body;
    size_t n;
};
struct keeping {
    struct admin_call *c;
    const struct names *names;
    uint64_t tenant, primary;
    uint32_t limit, n; /* a ring of the newest `limit` */
    struct kept_one *ring;
};

static bool keep_one(void *arg, const struct record_object *o)
{
    struct keeping *k = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct episode e;
    if (!episode_unpack(o->body, a, &e) || !e.emergency_at ||
        (k->tenant && names_tenant_of(k->names, e.primary) != k->tenant) ||
        (k->primary && e.primary != k->primary))
        return true;
    struct kept_one *one = &k->ring[k->n++ % k->limit];
    mem_free(&one->body);
    *one = (struct kept_one){o->id, mem_new(o->body.n), o->body.n};
    memcpy(one->body, o->body.p, o->body.n);
    return true;
}

static void write_list(struct keeping *k)
{
    uint32_t n = k->n < k->limit ? k->n : k->limit;
    out_object(&k->c->json, NULL);
    out_array(&k->c->json, "episodes");
    for (uint32_t i = 1; i <= n; i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        const struct kept_one *one = &k->ring[(k->n - i) % k->limit];
        struct episode e;
        must(episode_unpack(slice_of(one->body, one->n), a, &e)); /* it was, a moment ago */
        write_episode(&k->c->json, NULL, one->id, &e, k->names);
    }
    out_close(&k->c->json);
    out_truth(&k->c->json, "more", k->n > n);
    out_close(&k->c->json);
}

void do_episode_list(struct admin_call *c)
{
    enum { EPISODES_MAX = 1000 };
    SCOPED(names_finish) struct names names = {};
    struct errinfo ei = {};
    uint32_t limit = call_limit(c);
    struct keeping k = {
        .c = c, .names = &names, .limit = limit < EPISODES_MAX ? limit : EPISODES_MAX};
    if (!names_load(c, &names) || !names_load_zones(c, &names) ||
        !names_filter_tenant(c, &names, &k.tenant) ||
        !names_filter_primary(c, &names, k.tenant, &k.primary))
        return;
    k.ring = mem_new(k.limit * sizeof(*k.ring));
    enum err err = store_each_object(c->reader, OBJECT_EPISODE, keep_one, &k, &ei);
    if (err == ERR_OK)
        write_list(&k);
    for (uint32_t i = 0; i < k.limit; i++)
        mem_free(&k.ring[i].body);
    mem_free(&k.ring);
    if (err == ERR_OK)
        call_done(c);
    else
        call_fail(c, err, ei.text);
}

/* ---- the statement ---- */

static void write_sums(struct out *j, const struct statement *s)
{
    out_object(j, "sums");
    out_number(j, "accepted", s->accepted);
    out_number(j, "waited_before", s->before);
    out_number(j, "kept", s->kept);
    for (int f = 0; f < FATE_NONE; f++)
        out_number(j, fate_name((enum fate)f), s->n[f]);
    out_number(j, "notices", s->notices);
    out_number(j, "possible_doubles", s->doubles);
    out_number(j, "bytes", s->bytes);
    out_close(j);
}

static void write_ledger(struct out *j, const struct statement *s)
{
    out_object(j, "ledger");
    out_number(j, "accepted", s->ledger.accepted);
    for (int d = DISPOSITION_WAITING; d < DISPOSITION_REFUSED; d++)
        out_number(j, disposition_name(d), s->ledger.by[d]);
    out_number(j, "possible_doubles", s->ledger.n_possible_doubles);
    out_close(j);
}

static void write_held(struct out *j, const struct statement *s)
{
    out_array(j, "held_for");
    for (uint32_t i = 0; i <= REFUSE_N; i++) {
        if (!s->held_for[i])
            continue;
        out_object(j, NULL);
        out_word(j, "reason", i ? refuse_row(i - 1)->name : "by-hand");
        out_word(j, "text", i ? refuse_row(i - 1)->text : "a person held it");
        out_number(j, "recipients", s->held_for[i]);
        out_close(j);
    }
    out_close(j);
}

static void write_boxes(struct out *j, const struct statement *s, uint32_t limit)
{
    out_array(j, "mailboxes");
    for (size_t i = 0; i < s->boxes.n && i < limit; i++) {
        const struct box *box = s->boxes.list[i];
        out_object(j, NULL);
        out_text(j, "address", box->address);
        out_truth(j, "essential", box->is_essential);
        out_number(j, "recipients", box->n_rows);
        out_number(j, "bytes", box->bytes);
        for (int f = 0; f < FATE_NONE; f++)
            out_number(j, fate_name((enum fate)f), box->n[f]);
        out_close(j);
    }
    out_close(j);
    out_number(j, "n_mailboxes", s->boxes.n);
}

struct doubling {
    struct admin_call *c;
    const struct statement *s;
    const struct names *names;
    struct buf *lines;
    uint64_t n;
    uint32_t limit;
};

static bool write_double(void *arg, const struct store_row *row)
{
    struct doubling *x = arg;
    char id[MESSAGE_ID_TEXT];
    if (!store_span_has(&x->s->span, row) || row->last.disposition == DISPOSITION_REFUSED)
        return true;
    if (x->n++ < x->limit)
        write_row(&x->c->json, x->names, row, fate_name(fate_of(&x->s->e, row)));
    if (x->n > DOUBLES_SHOWN)
        return true;
    message_id_text(row->message, id);
    buf_addf(x->lines, "  %s  ", id);
    add_words(x->lines, row->facts.address);
    buf_addf(x->lines, "\n");
    return true;
}

static enum err write_doubles(struct doubling *x, struct errinfo *ei)
{
    struct store_row_filter f = {.is_doubles_only = true,
                                 .primary = x->s->span.primary,
                                 .after = x->s->span.first ? x->s->span.first - 1 : 0,
                                 .last = x->s->span.last};
    out_array(&x->c->json, "doubles");
    enum err err = store_each_row(x->c->reader, &f, write_double, x, ei);
    out_close(&x->c->json);
    if (x->n > DOUBLES_SHOWN)
        buf_addf(x->lines, "  … and %llu more: `staffetta ledger doubles` lists them.\n",
                 (unsigned long long)(x->n - DOUBLES_SHOWN));
    return err;
}

/* One member a line: no text of ours has control characters. */
static void write_lines(struct out *j, struct slice text)
{
    enum { LINE_MAX_BYTES = 400 }; /* as long as a text in a list may be */
    out_array(j, "text");
    while (text.n > 0) {
        struct slice line = slice_cut(text, '\n', &text);
        size_t n = line.n < LINE_MAX_BYTES ? line.n : LINE_MAX_BYTES;
        while (n < line.n && n > 0 && (line.p[n] & 0xC0) == 0x80)
            n--; /* no half of a letter */
        out_text(j, NULL, slice_of(line.p, n));
    }
    out_close(j);
}

static enum err write_statement(struct admin_call *c, const struct statement *s,
                                const struct names *names, struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf lines = buf_make(100000), text = buf_make(400000);
    struct out *j = &c->json;
    struct doubling x = {.c = c, .s = s, .names = names, .lines = &lines, .limit = call_limit(c)};
    out_object(j, NULL);
    write_episode(j, "episode", s->id, &s->e, names);
    out_truth(j, "proved", statement_is_proved(s));
    write_sums(j, s);
    write_ledger(j, s);
    write_held(j, s);
    write_boxes(j, s, x.limit);
    statement_write_did(j, s);
    enum err err = write_doubles(&x, ei);
    statement_text(s, &lines, &text);
    write_lines(j, buf_slice(&text));
    out_close(j);
    return err;
}

static void report(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    SCOPED(statement_finish) struct statement s = {};
    struct errinfo ei = {};
    if (!statement_make(c, &names, &s))
        return;
    enum err err = write_statement(c, &s, &names, &ei);
    if (err == ERR_OK)
        call_done(c);
    else
        call_fail(c, err, ei.text);
}

void do_episode_report(struct admin_call *c)
{
    struct store_reader *reader = c->reader; /* the call is gone afterwards */
    store_reader_hold(reader);               /* all of it is of one moment */
    report(c);
    store_reader_let_go(reader);
}

/* ---- each message ---- */

struct listing {
    struct admin_call *c;
    const struct statement *s;
    const struct names *names;
    uint64_t message, next; /* the last one that was listed; the one it stopped at */
    uint32_t n, limit;
};

/* The rows of one message stay together, so that `after` loses none. */
static bool list_one(void *arg, const struct store_row *row)
{
    struct listing *l = arg;
    if (!store_span_has(&l->s->span, row) || row->last.disposition == DISPOSITION_REFUSED)
        return true;
    if (l->n >= l->limit && row->message != l->message) {
        l->next = l->message;
        return false;
    }
    write_row(&l->c->json, l->names, row, fate_name(fate_of(&l->s->e, row)));
    l->message = row->message;
    l->n++;
    return true;
}

void do_episode_messages(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    SCOPED(statement_finish) struct statement s = {};
    struct errinfo ei = {};
    struct slice after = call_param(c, "after");
    if (after.n > 0 && message_id_parse(after) == 0) {
        call_refuse(c, 400, "after= must be the `next` of the list before. Nothing was done.");
        return;
    }
    if (!statement_find(c, &names, &s))
        return;
    struct listing l = {.c = c, .s = &s, .names = &names, .limit = call_limit(c)};
    struct store_row_filter f = {.primary = s.span.primary, .last = s.span.last, .is_any = true};
    f.after = after.n > 0 ? message_id_parse(after) : s.span.first ? s.span.first - 1 : 0;
    out_object(&c->json, NULL);
    out_array(&c->json, "rows");
    enum err err = store_each_row(c->reader, &f, list_one, &l, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    out_close(&c->json);
    if (l.next)
        write_id(&c->json, "next", l.next);
    out_close(&c->json);
    call_done(c);
}
