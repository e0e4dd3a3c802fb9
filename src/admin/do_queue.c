/* What waits and what is held: lists and single messages from the index, explanations and orders
 * from the queue itself. */
#include "admin/admin_int.h"

#include <stdio.h>

/* ---- reading (worker) ---- */

struct listing {
    struct admin_call *c;
    const struct names *names;
    uint32_t n;
    uint64_t last;
};

static bool list_one(void *arg, const struct store_row *row)
{
    struct listing *l = arg;
    write_row(&l->c->json, l->names, row, NULL);
    l->n++;
    l->last = row->message;
    return true;
}

static void list_rows(struct admin_call *c, const struct names *names, struct store_row_filter *f)
{
    struct errinfo ei = {};
    struct listing l = {.c = c, .names = names};
    struct slice after = call_param(c, "after");
    f->limit = call_limit(c);
    f->after = message_id_parse(after);
    if (after.n > 0 && f->after == 0) {
        call_refuse(c, 400, "after= must be the `next` of the list before. Nothing was done.");
        return;
    }
    out_object(&c->json, NULL);
    out_array(&c->json, "rows");
    enum err err = store_each_row(c->reader, f, list_one, &l, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    out_close(&c->json);
    if (l.n >= f->limit) {
        char next[MESSAGE_ID_TEXT];
        message_id_text(l.last, next);
        out_word(&c->json, "next", next);
    }
    out_close(&c->json);
    call_done(c);
}

static enum disposition disposition_of(struct slice word)
{
    for (unsigned i = DISPOSITION_WAITING; i < DISPOSITION_N; i++)
        if (slice_eq(word, slice_str(disposition_name(i))))
            return i;
    return 0;
}

void do_queue_list(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    struct store_row_filter f = {
        .address = call_param(c, "address"),
        .disposition = disposition_of(call_param(c, "disposition")),
    };
    if (names_load(c, &names) && names_filter_tenant(c, &names, &f.tenant) &&
        names_filter_primary(c, &names, f.tenant, &f.primary))
        list_rows(c, &names, &f);
}

void do_ledger_doubles(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    struct store_row_filter f = {.is_doubles_only = true};
    if (names_load(c, &names) && names_filter_tenant(c, &names, &f.tenant))
        list_rows(c, &names, &f);
}

static void no_such_message(struct admin_call *c)
{
    call_refuse(c, 404,
                "There is no message %s. Nothing was changed. `staffetta trace` finds messages by "
                "address, subject or Message-ID.",
                log_text(c->part[0]));
}

void do_queue_show(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    struct errinfo ei = {};
    uint64_t id;
    if (!call_message(c, &id) || !names_load(c, &names))
        return;
    enum err err = write_message(c, &names, id, &ei);
    if (err == ERR_GONE)
        no_such_message(c);
    else if (err != ERR_OK)
        call_fail(c, err, ei.text);
    else
        call_done(c);
}

/* ---- explaining (loop) ---- */

void do_queue_why(struct admin_call *c)
{
    SCOPED(buf_finish) struct buf text = buf_make(4000);
    uint64_t id;
    if (!call_message(c, &id))
        return;
    queue_explain(c->host->queue, id, &text);
    bool is_waiting = text.n > 0;
    if (!is_waiting)
        buf_adds(&text, SLICE("It does not wait: it is delivered, held, returned, removed, or "
                              "there is no such message. `staffetta queue show` says which."));
    out_object(&c->json, NULL);
    out_text(&c->json, "message", c->part[0]);
    out_truth(&c->json, "waiting", is_waiting);
    out_text(&c->json, "text", buf_slice(&text));
    out_close(&c->json);
    call_done(c);
}

/* ---- ordering (loop): recipient by recipient, until there is no further one ---- */

struct ordering {
    struct admin_call *c;
    enum queue_order what;
    uint64_t message;
    uint16_t rcpt;
    uint16_t n_done, n_refused;
    bool is_single;
    bool is_asking, is_answered; /* the host may answer within the call */
    enum err err, worst;
    char why[300];
};

static enum queue_order order_of(struct slice word)
{
    static const char *const orders[] = {
        [QUEUE_HOLD] = "hold",     [QUEUE_RELEASE] = "release", [QUEUE_RETRY] = "retry",
        [QUEUE_RETURN] = "return", [QUEUE_REMOVE] = "remove",
    };
    for (unsigned i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
        if (slice_eq(word, slice_str(orders[i])))
            return i;
    return QUEUE_RETRY;
}

static void finish_order(struct ordering *o)
{
    struct admin_call *c = o->c;
    if (o->n_done == 0 && o->n_refused == 0) {
        if (o->is_single && o->rcpt > 0)
            call_refuse(c, 404,
                        "Message %s has no recipient %u. Nothing was changed. `staffetta "
                        "queue show` lists its recipients.",
                        log_text(c->part[0]), o->rcpt);
        else
            no_such_message(c);
        return;
    }
    if (o->n_done == 0) {
        /* "Makes no sense" is about the row as it is now, not about the request. */
        call_fail(c, o->worst == ERR_INVALID ? ERR_CONFLICT : o->worst, o->why);
        return;
    }
    out_close(&c->json);
    out_number(&c->json, "done", o->n_done);
    out_close(&c->json);
    call_done(c);
}

static void note_answer(struct ordering *o, const char *why)
{
    struct out *j = &o->c->json;
    out_object(j, NULL);
    out_number(j, "rcpt", o->rcpt);
    out_truth(j, "done", o->err == ERR_OK);
    if (o->err != ERR_OK) {
        out_word(j, "text", why && why[0] ? why : err_name(o->err));
        o->n_refused++;
        o->worst = o->err;
        snprintf(o->why, sizeof(o->why), "%s", why ? why : "");
    } else {
        o->n_done++;
    }
    out_close(j);
}

static void order_next(struct ordering *o);

static void ordered(void *cookie, enum err err, const char *why)
{
    struct ordering *o = cookie;
    o->err = err;
    o->is_answered = true;
    if (err != ERR_GONE)
        note_answer(o, why);
    if (!o->is_asking)
        order_next(o);
}

/* One after the other; a loop instead of recursion when the host answers at once. */
static void order_next(struct ordering *o)
{
    struct admin_call *c = o->c;
    struct slice why = body_text(c->body, "why");
    for (;;) {
        if (o->is_answered) {
            bool is_last = o->is_single || o->err == ERR_GONE || o->rcpt == UINT16_MAX - 1;
            if (is_last) {
                finish_order(o);
                return;
            }
            o->rcpt++;
        }
        o->is_answered = false;
        o->is_asking = true;
        c->host->order(c->host->arg, o->what, o->message, o->rcpt, c->by, why, ordered, o);
        o->is_asking = false;
        if (!o->is_answered)
            return;
    }
}

void do_queue_do(struct admin_call *c)
{
    uint64_t id;
    if (!call_message(c, &id))
        return;
    if (slice_trim(body_text(c->body, "why")).n == 0) {
        call_refuse(c, 400,
                    "The reason is empty. Nothing was changed. Everybody will ask later: "
                    "say it in \"why\" (on the command line --why).");
        return;
    }
    struct ordering *o = ARENA_NEW(c->arena, struct ordering);
    o->c = c;
    o->what = order_of(body_text(c->body, "order"));
    o->message = id;
    o->is_single = body_has(c->body, "rcpt");
    o->rcpt = (uint16_t)body_number(c->body, "rcpt", 0);
    out_object(&c->json, NULL);
    out_text(&c->json, "message", c->part[0]);
    out_array(&c->json, "rows");
    order_next(o);
}
