/* Figures in Prometheus's text format (version 0.0.4). A family is one HELP, one TYPE, its samples
 * together; counters end in _total, units are seconds and bytes. */
#include "admin/admin_int.h"

#include "wire/wire.h"

enum { PROCESSES_MAX = 64, FIGURES_MAX = 1000 };

struct metrics {
    struct admin_call *c;
    struct buf *b;
};

static void family(struct metrics *m, const char *name, const char *type, const char *help)
{
    buf_addf(m->b, "# HELP staffetta_%s %s\n# TYPE staffetta_%s %s\n", name, help, name, type);
}

static void one(struct metrics *m, const char *name, const char *type, const char *help,
                uint64_t value)
{
    family(m, name, type, help);
    buf_addf(m->b, "staffetta_%s %llu\n", name, (unsigned long long)value);
}

/* ` label="value"`: backslash, quote and line end are escaped, what is no text is '?'. */
static void label(struct metrics *m, char before, const char *name, struct slice value)
{
    bool is_text = wire_utf8_valid(value);
    buf_addf(m->b, "%c%s=\"", before, name);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"')
            buf_addc(m->b, '\\');
        if ((unsigned char)c < ' ' || c == 0x7f || (!is_text && (unsigned char)c > 0x7f))
            c = '?';
        buf_addc(m->b, c);
    }
    buf_addc(m->b, '"');
}

static void value(struct metrics *m, uint64_t n)
{
    buf_addf(m->b, "} %llu\n", (unsigned long long)n);
}

static uint64_t seconds(utc_ms t)
{
    return t > 0 ? (uint64_t)t / 1000 : 0;
}

static void about_node(struct metrics *m)
{
    const struct admin_host *h = m->c->host;
    family(m, "info", "gauge", "The program and this node; the value is always 1.");
    buf_adds(m->b, SLICE("staffetta_info"));
    label(m, '{', "version", slice_str(h->version));
    label(m, ',', "node", slice_str(h->node));
    value(m, 1);
    one(m, "start_time_seconds", "gauge", "When this core process started, in seconds since 1970.",
        seconds(h->started));
    one(m, "open", "gauge", "1 when new mail is taken, 0 when it is refused for the moment.",
        h->closed_for(h->arg) == 0);
}

static void about_queue(struct metrics *m)
{
    struct queue_figures f = queue_figures(m->c->host->queue);
    utc_ms age = f.oldest ? utc_now() - f.oldest : 0;
    one(m, "queue_waiting_recipients", "gauge", "Recipients whose mail waits.", f.n_rows);
    one(m, "queue_planned_deliveries", "gauge", "Deliveries that are planned.", f.n_items);
    one(m, "queue_running_deliveries", "gauge", "Deliveries that run.", f.n_running);
    one(m, "queue_resting_destinations", "gauge", "Destinations that rest after failures.",
        f.n_resting);
    one(m, "queue_memory_bytes", "gauge", "Message bytes held in memory.", f.bytes_memory);
    one(m, "queue_oldest_age_seconds", "gauge", "Age of the oldest message that waits.",
        seconds(age));
    one(m, "delivered_recipients_total", "counter", "Recipients delivered.", f.n_delivered);
    one(m, "failed_attempts_total", "counter", "Delivery attempts that failed.",
        f.n_failed_attempts);
}

static void about_store(struct metrics *m)
{
    struct store_figures f = store_figures(m->c->host->store);
    one(m, "store_failed", "gauge", "1 when the store stopped accepting because the disk failed.",
        f.is_failed);
    one(m, "store_batches_total", "counter", "Groups of changes written.", f.n_batches);
    one(m, "store_syncs_total", "counter", "Times the disk was told to make them durable.",
        f.n_syncs);
    one(m, "store_records_total", "counter", "Changes written.", f.n_records);
    one(m, "store_written_bytes_total", "counter", "Bytes written to the log.", f.bytes_written);
    one(m, "store_body_bytes_total", "counter", "Of these, bytes of messages.", f.bytes_body);
    one(m, "store_segments", "gauge", "Files of the log.", f.n_segments);
    one(m, "store_pool_segments", "gauge", "Empty log files kept ready.", f.n_pool);
    one(m, "store_recycled_segments_total", "counter", "Log files used again.", f.n_recycled);
    one(m, "store_index_lag_bytes", "gauge", "Log that the index does not show yet.",
        f.end > f.applied ? f.end - f.applied : 0);
    one(m, "store_disk_free_bytes", "gauge", "Free on the disk.", f.disk_free_bytes);
    one(m, "store_disk_size_bytes", "gauge", "Size of the disk.", f.disk_total_bytes);
}

static void about_search(struct metrics *m)
{
    struct admin_search s = {};
    m->c->host->search(m->c->host->arg, &s);
    if (s.is_known)
        one(m, "search_filled_percent", "gauge",
            "Of the time that the mail here spans, so much is found by search.", s.percent);
}

/* One sample a primary and state, as Prometheus's own state sets have it. */
static void states_of(struct metrics *m, const struct directory_primary *p)
{
    const struct admin_host *h = m->c->host;
    struct admin_primary_state s;
    if (!h->state(h->arg, p->id, &s))
        s = (struct admin_primary_state){.p = continuity_start(0)};
    for (unsigned i = STATE_STANDBY; i < STATE_N; i++) {
        buf_adds(m->b, SLICE("staffetta_primary_state"));
        label(m, '{', "tenant", name_of_tenant(h, p->tenant));
        label(m, ',', "primary", p->facts.name);
        label(m, ',', "state", slice_str(continuity_state_name(i)));
        value(m, s.p.state == i);
    }
}

static uint64_t waiting_of(const struct admin_host *h, const struct directory_primary *p)
{
    return queue_waiting_for(h->queue, p->id);
}

static uint64_t probe_of(const struct admin_host *h, const struct directory_primary *p)
{
    struct admin_primary_state s;
    return h->state(h->arg, p->id, &s) ? seconds(s.last_probe) : 0;
}

static void each_primary(struct metrics *m, const char *name, const char *help,
                         uint64_t (*of)(const struct admin_host *h,
                                        const struct directory_primary *p))
{
    const struct admin_host *h = m->c->host;
    const struct directory_primary *p;
    family(m, name, "gauge", help);
    for (size_t at = 0; (p = directory_next_primary(h->directory, &at));) {
        buf_addf(m->b, "staffetta_%s", name);
        label(m, '{', "tenant", name_of_tenant(h, p->tenant));
        label(m, ',', "primary", p->facts.name);
        value(m, of(h, p));
    }
}

static void about_primaries(struct metrics *m)
{
    const struct directory_primary *p;
    family(m, "primary_state", "gauge", "1 for the state the mail system is in, 0 for the others.");
    for (size_t at = 0; (p = directory_next_primary(m->c->host->directory, &at));)
        states_of(m, p);
    each_primary(m, "primary_waiting_recipients", "Recipients whose mail waits for it.",
                 waiting_of);
    each_primary(m, "primary_last_probe_time_seconds",
                 "When it was looked at last, in seconds since 1970; 0: never.", probe_of);
}

static void about_refusals(struct metrics *m)
{
    struct admin_refusal *all = ARENA_ARRAY(m->c->arena, struct admin_refusal, REFUSE_N);
    m->c->host->refusals(m->c->host->arg, all);
    family(m, "refusals_total", "counter", "How often each limit was reached or mail was refused.");
    for (unsigned i = 0; i < REFUSE_N; i++) {
        buf_adds(m->b, SLICE("staffetta_refusals_total"));
        label(m, '{', "name", slice_str(refuse_row(i)->name));
        value(m, all[i].n);
    }
}

static void about_processes(struct metrics *m)
{
    struct admin_process all[PROCESSES_MAX];
    const struct admin_host *h = m->c->host;
    size_t n = h->processes(h->arg, all, PROCESSES_MAX);
    n = n < PROCESSES_MAX ? n : PROCESSES_MAX;
    family(m, "process_restarts_total", "counter",
           "How often a process of ours was started again.");
    for (size_t i = 0; i < n; i++) {
        buf_addf(m->b, "staffetta_process_restarts_total{role=\"%s\",number=\"%u\"} %u\n",
                 all[i].role, all[i].number, all[i].n_restarts);
    }
    family(m, "process_up", "gauge", "1 when the process runs.");
    for (size_t i = 0; i < n; i++)
        buf_addf(m->b, "staffetta_process_up{role=\"%s\",number=\"%u\"} %d\n", all[i].role,
                 all[i].number, all[i].pid != 0);
}

static void about_figures(struct metrics *m)
{
    const struct admin_host *h = m->c->host;
    struct admin_figure *all = ARENA_ARRAY(m->c->arena, struct admin_figure, FIGURES_MAX);
    size_t n = h->figures(h->arg, all, FIGURES_MAX);
    family(m, "process_figure", "gauge", "Figures of the other processes, by name.");
    for (size_t i = 0; i < n && i < FIGURES_MAX; i++) {
        buf_adds(m->b, SLICE("staffetta_process_figure"));
        label(m, '{', "process", slice_str(all[i].process));
        label(m, ',', "name", slice_str(all[i].name));
        value(m, all[i].value);
    }
}

struct watch_sample {
    struct metrics *m;
    const char *name, *check; /* of the family; only this check, NULL: all */
    int64_t scale;            /* of the number; 0: the class */
};

static void watch_sample(void *cookie, const struct admin_watch *w)
{
    struct watch_sample *s = cookie;
    if (s->check && strcmp(s->check, w->check) != 0)
        return;
    if (s->scale && (w->rank == 0 || w->number < 0))
        return; /* not known, or not in sight */
    buf_addf(s->m->b, "staffetta_%s", s->name);
    label(s->m, '{', "about", slice_str(w->about));
    label(s->m, ',', "tenant", name_of_tenant(s->m->c->host, w->tenant));
    label(s->m, ',', "name", w->name);
    if (!s->check)
        label(s->m, ',', "check", slice_str(w->check));
    value(s->m, s->scale ? (uint64_t)(w->number / s->scale) : w->rank);
}

static void about_watches(struct metrics *m)
{
    static const struct {
        const char *name, *check, *help;
        int64_t scale;
    } families[] = {
        {"watch_class", NULL,
         "What was found about each thing that is watched: 0 unknown, 1 well, 2 notice, 3 alarm.",
         0},
        {"certificate_expiry_time_seconds", "certificate",
         "When the certificate of this node ends, in seconds since 1970.", 1000},
        {"primary_certificate_expiry_time_seconds", "primary-certificate",
         "When the certificate of a mail system ends, in seconds since 1970.", 1000},
        {"mx_ttl_seconds", "ttl", "How long senders may remember the MX of a domain.", 1},
        {"disk_full_forecast_seconds", "space",
         "Time until new mail is refused for want of room, at the present pace; absent: not in "
         "sight.",
         1},
        {"files_full_forecast_seconds", "files",
         "Time until the inodes run out, at the present pace; absent: not in sight.", 1},
        {"kept_full_forecast_seconds", "kept",
         "Time until what is kept for a mail system that is down fills the disk; absent: not in "
         "sight.",
         1},
        {"held_recipients", "held", "Recipients whose mail waits for a person.", 1},
    };
    struct store_figures f = store_figures(m->c->host->store);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        struct watch_sample s = {m, families[i].name, families[i].check, families[i].scale};
        family(m, families[i].name, "gauge", families[i].help);
        m->c->host->watches(m->c->host->arg, watch_sample, &s);
    }
    one(m, "store_disk_free_files", "gauge", "Free inodes of the disk.", f.disk_free_files);
    one(m, "store_disk_files", "gauge", "Inodes of the disk; 0: it has no such limit.",
        f.disk_total_files);
}

void do_metrics(struct admin_call *c)
{
    struct metrics m = {c, &c->out};
    about_node(&m);
    about_queue(&m);
    about_store(&m);
    about_search(&m);
    about_primaries(&m);
    about_watches(&m);
    about_refusals(&m);
    about_processes(&m);
    about_figures(&m);
    call_text(c, "text/plain; version=0.0.4; charset=utf-8");
}
