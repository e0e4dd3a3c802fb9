/* The node: status, health, store. */
#include "admin/admin_int.h"

#include <stdio.h>

enum { PROCESSES_MAX = 64 };

static const struct refuse_row *closed_for(const struct admin_host *h)
{
    uint32_t refusal = h->closed_for(h->arg);
    return refusal > 0 && refusal <= REFUSE_N ? refuse_row(refusal - 1) : NULL;
}

void write_health(struct admin_call *c)
{
    const struct refuse_row *row = closed_for(c->host);
    out_truth(&c->json, "open", row == NULL);
    if (row)
        out_word(&c->json, "reason", row->name);
    out_word(&c->json, "text", row ? row->text : "New mail is taken.");
}

void do_health(struct admin_call *c)
{
    out_object(&c->json, NULL);
    write_health(c);
    out_close(&c->json);
    call_status(c, closed_for(c->host) ? 503 : 200);
}

void write_queue_figures(struct admin_call *c, const char *key)
{
    struct queue_figures f = queue_figures(c->host->queue);
    struct out *j = &c->json;
    out_object(j, key);
    out_number(j, "waiting", f.n_rows);
    out_number(j, "items", f.n_items);
    out_number(j, "running", f.n_running);
    out_number(j, "resting", f.n_resting);
    out_number(j, "memory_bytes", f.bytes_memory);
    out_number(j, "delivered", f.n_delivered);
    out_number(j, "failed_attempts", f.n_failed_attempts);
    out_time(j, "oldest", f.oldest);
    out_close(j);
}

void write_store_figures(struct admin_call *c, const char *key)
{
    struct store_figures f = store_figures(c->host->store);
    struct out *j = &c->json;
    out_object(j, key);
    out_truth(j, "ok", !f.is_failed);
    out_number(j, "disk_free_bytes", f.disk_free_bytes);
    out_number(j, "disk_total_bytes", f.disk_total_bytes);
    out_number(j, "batches", f.n_batches);
    out_number(j, "syncs", f.n_syncs);
    out_number(j, "records", f.n_records);
    out_number(j, "written_bytes", f.bytes_written);
    out_number(j, "body_bytes", f.bytes_body);
    out_number(j, "segments", f.n_segments);
    out_number(j, "pool", f.n_pool);
    out_number(j, "recycled", f.n_recycled);
    out_number(j, "end", f.end);
    out_number(j, "applied", f.applied);
    out_close(j);
}

void do_store(struct admin_call *c)
{
    write_store_figures(c, NULL);
    call_done(c);
}

/* On a worker: the store's own functions may be called from any thread. */
void do_snapshot(struct admin_call *c)
{
    struct errinfo ei = {};
    enum err err = store_snapshot(c->host->store, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    out_object(&c->json, NULL);
    out_word(&c->json, "text",
             "A verified snapshot of the index is on the disk; log files that "
             "it makes superfluous are used again.");
    write_store_figures(c, "store");
    out_close(&c->json);
    call_done(c);
}

static void write_processes(struct admin_call *c)
{
    struct admin_process all[PROCESSES_MAX];
    struct out *j = &c->json;
    size_t n = c->host->processes(c->host->arg, all, PROCESSES_MAX);
    out_array(j, "processes");
    for (size_t i = 0; i < n && i < PROCESSES_MAX; i++) {
        out_object(j, NULL);
        out_word(j, "role", all[i].role);
        out_number(j, "number", all[i].number);
        out_number(j, "pid", all[i].pid);
        out_number(j, "restarts", all[i].n_restarts);
        out_time(j, "since", all[i].since);
        out_close(j);
    }
    out_close(j);
}

static void write_search(struct admin_call *c)
{
    struct admin_search s = {};
    struct out *j = &c->json;
    char text[500];
    c->host->search(c->host->arg, &s);
    if (!s.is_known)
        return;
    const char *waits = s.why[0] ? " It waits: " : "";
    if (s.is_whole)
        (void)snprintf(text, sizeof(text), "All mail that is here is found.");
    else if (s.from == 0)
        (void)snprintf(
            text, sizeof(text),
            "No words are found yet: the index is being made, the newest mail first.%s%s", waits,
            s.why);
    else
        (void)snprintf(text, sizeof(text),
                       "What came from %.16sZ to %.16sZ is found, %u %%; the rest follows.%s%s",
                       utc_rfc3339(s.from).s, utc_rfc3339(s.upto).s, s.percent, waits, s.why);
    out_object(j, "search");
    out_truth(j, "complete", s.is_whole);
    out_number(j, "percent", s.percent);
    out_time(j, "from", s.from);
    out_time(j, "upto", s.upto);
    out_word(j, "text", text);
    out_close(j);
}

void do_status(struct admin_call *c)
{
    const struct directory_primary *p;
    struct out *j = &c->json;
    out_object(j, NULL);
    out_word(j, "version", c->host->version);
    out_word(j, "node", c->host->node);
    out_time(j, "started", c->host->started);
    out_time(j, "now", utc_now());
    write_health(c);
    out_number(j, "disk_alarm_percent", c->host->disk_alarm_percent(c->host->arg));
    out_array(j, "primaries");
    for (size_t at = 0; (p = directory_next_primary(c->host->directory, &at));)
        write_state(c, NULL, p);
    out_close(j);
    write_processes(c);
    write_queue_figures(c, "queue");
    write_store_figures(c, "store");
    write_search(c);
    out_close(j);
    call_done(c);
}
