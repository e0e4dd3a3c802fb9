/* Messages and ledger rows as JSON (worker). */
#include "admin/admin_int.h"

static void write_id(struct out *j, const char *key, uint64_t id)
{
    char text[MESSAGE_ID_TEXT];
    message_id_text(id, text);
    out_word(j, key, text);
}

/* Why something is held, by its name in the table of limits. */
static void write_reason(struct out *j, uint32_t refusal)
{
    if (refusal > 0 && refusal <= REFUSE_N)
        out_word(j, "reason", refuse_row(refusal - 1)->name);
}

static bool is_disposition(uint8_t d)
{
    return d >= DISPOSITION_WAITING && d < DISPOSITION_N;
}

void write_row(struct out *j, const struct names *n, const struct store_row *row, const char *fate)
{
    const struct record_result *last = &row->last;
    uint8_t disposition =
        is_disposition(last->disposition) ? last->disposition : row->facts.disposition;
    out_object(j, NULL);
    write_id(j, "message", row->message);
    out_number(j, "rcpt", row->rcpt);
    out_text_if(j, "tenant", names_tenant(n, row->tenant));
    out_text(j, "from", row->mail_from);
    out_text(j, "to", row->facts.address);
    out_time(j, "received", row->received);
    out_number(j, "bytes", row->bytes);
    out_word(j, "disposition", disposition_name(disposition));
    if (fate)
        out_word(j, "fate", fate);
    out_text_if(j, "primary", names_primary(n, row->facts.primary));
    out_number(j, "attempts", last->attempts);
    out_truth(j, "attempting", row->is_attempting);
    out_truth(j, "possible_double", row->is_possible_double);
    out_time(j, "changed", last->time);
    out_time(j, "due", last->due);
    out_number_if(j, "code", last->code);
    out_text_if(j, "enhanced", last->enhanced);
    out_text_if(j, "text", last->text);
    out_text_if(j, "remote", last->remote);
    write_reason(j, last->refusal ? last->refusal : row->facts.refusal);
    out_text_if(j, "by", last->by);
    if (row->facts.parent > 0)
        out_number(j, "group", row->facts.parent - 1u);
    out_close(j);
}

/* ---- a whole message ---- */

struct rows {
    struct out *j;
    const struct names *names;
};

static bool write_one_row(void *arg, const struct store_row *row)
{
    const struct rows *r = arg;
    write_row(r->j, r->names, row, NULL);
    return true;
}

/* The queue's key of a primary is "p" and its id; people know its name. */
static void write_destination(const struct rows *r, struct slice key)
{
    uint64_t id = 0;
    bool is_primary =
        slice_starts(key, SLICE("p")) && slice_u64(slice_skip(key, 1), UINT64_MAX, &id);
    struct slice name = is_primary ? names_primary(r->names, id) : SLICE("");
    out_text_if(r->j, "destination", name.n ? name : key);
}

static bool write_step(void *arg, const struct record_result *r, bool is_begin,
                       struct slice destination)
{
    const struct rows *rows = arg;
    struct out *j = rows->j;
    out_object(j, NULL);
    out_time(j, "time", r->time);
    out_word(j, "what", is_begin ? "begun" : r->is_attempt ? "ended" : "decided");
    out_number(j, "rcpt", r->rcpt);
    write_destination(rows, destination);
    if (!is_begin) {
        if (is_disposition(r->disposition))
            out_word(j, "disposition", disposition_name(r->disposition));
        out_number_if(j, "code", r->code);
        out_text_if(j, "enhanced", r->enhanced);
        out_text_if(j, "text", r->text);
        out_text_if(j, "remote", r->remote);
        write_reason(j, r->refusal);
        out_text_if(j, "by", r->by);
    }
    out_close(j);
    return true;
}

static void write_facts(struct out *j, const struct names *n, const struct store_message *m)
{
    static const char *const directions[] = {
        [DIRECTION_IN] = "in",
        [DIRECTION_OUT] = "out",
        [DIRECTION_PERSON] = "person",
        [DIRECTION_NOTICE] = "notice",
    };
    const struct record_message *f = &m->facts;
    bool is_direction = f->direction >= DIRECTION_IN && f->direction <= DIRECTION_NOTICE;
    write_id(j, "message", f->id);
    out_time(j, "received", f->received);
    out_text_if(j, "tenant", names_tenant(n, f->tenant));
    out_word(j, "direction", directions[is_direction ? f->direction : DIRECTION_IN]);
    out_text(j, "from", f->mail_from);
    out_text_if(j, "client", f->client);
    out_text_if(j, "helo", f->helo);
    out_number(j, "bytes", f->bytes);
    out_truth(j, "encrypted", f->flags & MESSAGE_TLS);
    out_truth(j, "answered", m->is_answered);
    out_truth(j, "dropped", m->is_dropped);
    out_text_if(j, "subject", m->fields.subject);
    out_text_if(j, "author", m->fields.from_address);
    out_text_if(j, "message_id", m->fields.message_id);
}

enum err write_message(struct admin_call *c, const struct names *n, uint64_t id, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(8 << 20);
    struct store_message m = {};
    struct rows rows = {&c->json, n};
    enum err err = store_get_message(c->reader, id, a, &m, ei);
    if (err != ERR_OK)
        return err;
    out_object(&c->json, NULL);
    write_facts(&c->json, n, &m);
    out_array(&c->json, "rows");
    err = store_each_row_of(c->reader, id, write_one_row, &rows, ei);
    if (err != ERR_OK)
        return err;
    out_close(&c->json);
    out_array(&c->json, "history");
    err = store_each_history(c->reader, id, write_step, &rows, ei);
    if (err != ERR_OK)
        return err;
    out_close(&c->json);
    out_close(&c->json);
    return ERR_OK;
}
