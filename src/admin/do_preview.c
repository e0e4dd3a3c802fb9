/* What giving back would bring where, and how long that takes (worker). */
#include "admin/statement_int.h"

struct preview {
    struct boxes boxes;
    uint64_t n_messages, n_rows, bytes, n_held, held_bytes, last_message;
    utc_ms oldest;
    /* the rate last seen */
    uint64_t primary, rate_1000;
    utc_ms rate_at;
    bool is_append; /* the plan in force says so */
};

static bool count_row(void *arg, const struct store_row *row)
{
    struct preview *p = arg;
    if (row->facts.parent)
        return true;
    if (row->last.disposition == DISPOSITION_HELD) {
        p->n_held++;
        p->held_bytes += row->bytes;
        boxes_add(&p->boxes, row, FATE_IS_HELD);
        return true;
    }
    boxes_add(&p->boxes, row, FATE_WAITING);
    p->n_rows++;
    if (!p->oldest || row->received < p->oldest)
        p->oldest = row->received;
    if (row->message == p->last_message)
        return true;
    p->last_message = row->message; /* one delivery for all recipients of a message */
    p->n_messages++;
    p->bytes += row->bytes;
    return true;
}

/* Episodes come in the order of time: the last one that knows it counts. */
static bool find_rate(void *arg, const struct record_object *o)
{
    struct preview *p = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct episode e;
    if (!episode_unpack(o->body, a, &e) || e.primary != p->primary || !episode_rate_1000(&e))
        return true;
    p->rate_1000 = episode_rate_1000(&e);
    p->rate_at = e.end_at ? e.end_at : e.return_at;
    return true;
}

/* Of the versions the last one that was approved is in force. */
static bool see_plan(void *arg, const struct record_object *o)
{
    struct preview *p = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(4 << 20);
    struct dir_plans f;
    if (o->id != p->primary || o->is_removed || !dir_plans_unpack(o->body, a, &f))
        return true;
    for (uint32_t i = 0; i < f.n_versions; i++)
        if (f.versions[i].approved_at)
            p->is_append = f.versions[i].is_return_append;
    return false;
}

static uint64_t seconds_for(const struct preview *p)
{
    return p->rate_1000 ? 1 + p->n_messages * 1000 / p->rate_1000 : 0;
}

static size_t n_boxes_with_mail(const struct preview *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->boxes.n; i++)
        n += p->boxes.list[i]->n[FATE_WAITING] > 0;
    return n;
}

static void say(const struct preview *p, struct slice name, struct buf *b)
{
    size_t n_boxes = n_boxes_with_mail(p);
    if (p->n_messages == 0) {
        buf_addf(b, "Nothing waits for " SLICE_FMT ".", SLICE_ARG(name));
    } else {
        add_count(b, p->n_messages);
        buf_addf(b, " %s (", p->n_messages == 1 ? "message" : "messages");
        add_size(b, p->bytes);
        buf_addf(b,
                 ") for %zu %s would go to " SLICE_FMT " %s: new mail first, then essential "
                 "mailboxes, within these the oldest first.",
                 n_boxes, n_boxes == 1 ? "mailbox" : "mailboxes", SLICE_ARG(name),
                 p->is_append ? "straight into the mailboxes by IMAP (other recipients by SMTP)"
                              : "by SMTP");
        if (p->rate_1000) {
            buf_addf(b, " That takes about ");
            add_duration(b, (utc_ms)seconds_for(p) * 1000);
            buf_addf(b, ", as fast as it took mail the last time.");
        } else {
            buf_addf(b, " How long that takes is not known: nothing was given back to it before.");
        }
    }
    if (p->n_held)
        buf_addf(b, " %llu held %s would stay here until a person decides: `staffetta hold list`.",
                 (unsigned long long)p->n_held, p->n_held == 1 ? "delivery" : "deliveries");
}

static void write_box(struct out *j, const struct box *box)
{
    out_object(j, NULL);
    out_text(j, "address", box->address);
    out_truth(j, "essential", box->is_essential);
    out_number(j, "recipients", box->n[FATE_WAITING]);
    out_number(j, "held", box->n[FATE_IS_HELD]);
    out_number(j, "bytes", box->bytes);
    out_time(j, "oldest", box->oldest);
    out_close(j);
}

static void write_preview(struct admin_call *c, const struct preview *p, const struct names *names,
                          uint64_t first)
{
    struct slice name = names_primary(names, p->primary);
    SCOPED(buf_finish) struct buf text = buf_make(3000);
    struct out *j = &c->json;
    uint64_t limit = call_limit(c), at = first;
    say(p, name, &text);
    out_object(j, NULL);
    out_text(j, "primary", name);
    out_text(j, "zone", names_zone(names, names_tenant_of(names, p->primary)));
    out_text(j, "text", buf_slice(&text));
    out_word(j, "method", p->is_append ? "append" : "smtp");
    out_number(j, "messages", p->n_messages);
    out_number(j, "recipients", p->n_rows);
    out_number(j, "bytes", p->bytes);
    out_time(j, "oldest", p->oldest);
    out_number(j, "held", p->n_held);
    out_number(j, "held_bytes", p->held_bytes);
    out_number_if(j, "per_minute", p->rate_1000 * 60 / 1000);
    out_time(j, "rate_seen", p->rate_at);
    out_number_if(j, "seconds", seconds_for(p));
    out_array(j, "mailboxes");
    for (; at < p->boxes.n && at < first + limit; at++)
        write_box(j, p->boxes.list[at]);
    out_close(j);
    out_number(j, "n_mailboxes", p->boxes.n);
    if (at < p->boxes.n)
        out_number(j, "next", at);
    out_close(j);
}

static enum err look(struct admin_call *c, struct preview *p, struct errinfo *ei)
{
    struct store_row_filter open = {.primary = p->primary};
    enum err err = store_each_row(c->reader, &open, count_row, p, ei);
    if (err == ERR_OK)
        err = store_each_object(c->reader, OBJECT_EPISODE, find_rate, p, ei);
    if (err == ERR_OK)
        err = store_each_object(c->reader, OBJECT_PLAN, see_plan, p, ei);
    return err == ERR_OK ? boxes_sort(&p->boxes, ei) : err;
}

void do_state_preview(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    struct errinfo ei = {};
    struct preview p = {};
    uint64_t tenant = 0, first = 0;
    struct slice after = call_param(c, "after");
    if (after.n > 0 && !slice_u64(after, BOXES_MAX, &first)) {
        call_refuse(c, 400, "after= must be the `next` of the list before. Nothing was done.");
        return;
    }
    if (!names_load(c, &names) || !names_load_zones(c, &names) ||
        !names_filter_tenant(c, &names, &tenant) ||
        !names_find_primary(c, &names, tenant, c->part[0], &p.primary))
        return;
    p.boxes = boxes_make(c);
    enum err err = look(c, &p, &ei);
    if (err == ERR_OK)
        write_preview(c, &p, &names, first);
    boxes_finish(&p.boxes);
    if (err == ERR_OK)
        call_done(c);
    else
        call_fail(c, err, ei.text);
}
