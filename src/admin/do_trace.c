/* Messages from arrival to fate, and what happened at all (worker). */
#include "admin/admin_int.h"

enum { TRACE_MOST = 1000 };

/* ---- trace: first which messages, then each as a whole ---- */

struct finding {
    uint64_t *ids;
    uint32_t n, max;
    bool has_more;
};

static bool find_one(void *arg, const struct store_message *m)
{
    struct finding *f = arg;
    f->has_more = f->n == f->max;
    if (f->has_more)
        return false;
    f->ids[f->n++] = m->facts.id;
    return true;
}

static enum err write_found(struct admin_call *c, const struct names *names,
                            const struct finding *f, struct errinfo *ei)
{
    for (uint32_t i = 0; i < f->n; i++) {
        enum err err = write_message(c, names, f->ids[i], ei);
        if (err != ERR_OK && err != ERR_GONE)
            return err;
    }
    return ERR_OK;
}

void do_trace(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    struct errinfo ei = {};
    uint32_t limit = call_limit(c);
    struct finding f = {.max = limit < TRACE_MOST ? limit : TRACE_MOST};
    struct store_search what = {
        .text = slice_trim(call_param(c, "what")),
        .since = call_time(c, "since"),
        .until = call_time(c, "until"),
        .limit = f.max + 1, /* one more, to know whether there are more */
    };
    if (!names_load(c, &names) || !names_filter_tenant(c, &names, &what.tenant))
        return;
    f.ids = ARENA_ARRAY(c->arena, uint64_t, f.max + 1);
    enum err err = store_search(c->reader, &what, find_one, &f, &ei);
    out_object(&c->json, NULL);
    out_array(&c->json, "messages");
    if (err == ERR_OK)
        err = write_found(c, &names, &f, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    out_close(&c->json);
    out_truth(&c->json, "more", f.has_more);
    out_close(&c->json);
    call_done(c);
}

/* ---- events ---- */

struct telling {
    struct out *j;
    const struct names *names;
};

static bool tell_one(void *arg, uint64_t number, const struct record_event *e)
{
    const struct telling *t = arg;
    static const char *const classes[] = {
        [EVENT_INFO] = "info",
        [EVENT_NOTICE] = "notice",
        [EVENT_ALARM] = "alarm",
    };
    bool is_class = e->class >= EVENT_INFO && e->class <= EVENT_ALARM;
    out_object(t->j, NULL);
    out_number(t->j, "number", number);
    out_time(t->j, "time", e->time);
    out_word(t->j, "class", classes[is_class ? e->class : EVENT_INFO]);
    out_text(t->j, "name", e->name);
    out_text_if(t->j, "tenant", names_tenant(t->names, e->tenant));
    out_text_if(t->j, "subject", e->subject);
    out_text(t->j, "text", e->text);
    out_text_if(t->j, "by", e->by);
    out_close(t->j);
    return true;
}

void do_events(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    struct errinfo ei = {};
    struct telling t = {&c->json, &names};
    uint64_t tenant = 0;
    if (!names_load(c, &names) || !names_filter_tenant(c, &names, &tenant))
        return;
    out_object(&c->json, NULL);
    out_array(&c->json, "events");
    enum err err = store_each_event(c->reader, tenant, call_time(c, "since"), call_limit(c),
                                    tell_one, &t, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}
