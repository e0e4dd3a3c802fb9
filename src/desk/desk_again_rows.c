/* Which deliveries may be lost: read from the index page by page, so that neither a long time nor
 * long Message-IDs need much memory. On a worker. */
#include "desk/desk_again_int.h"

#include "mime/mime.h"

#include <stdlib.h>

enum {
    PAGE_ROWS = 20000,
    MESSAGE_ROWS = 2000, /* of one message, as in record_message: they are not taken apart */
    ADDRESS_MAX = 400,   /* as in record_rcpt */
    COPY_ROOM = 16,      /* an arena rounds up to this */
    SCRATCH_BYTES = 1 << 20,
};

static uint32_t page_rows(const struct again *a)
{
    uint32_t n = a->desk->o.again_rows;
    return n && n < PAGE_ROWS ? n : PAGE_ROWS;
}

/* Enough whatever the senders wrote: 32 MB at most, and with usual ids a tenth of it. */
static size_t page_bytes(void)
{
    return (size_t)(PAGE_ROWS + MESSAGE_ROWS) * (ADDRESS_MAX + AGAIN_ID_MAX + 2 * COPY_ROOM);
}

/* As it stands in the message: IMAP finds a text anywhere in the field, and without its brackets
 * <1@x> would be seen in <11@x>. Empty: none that can be looked for. */
static struct slice in_brackets(struct arena *a, struct slice id)
{
    if (id.n == 0 || id.n > AGAIN_ID_MAX - 2)
        return SLICE("");
    char *p = arena_new(a, id.n + 2);
    p[0] = '<';
    memcpy(p + 1, id.p, id.n);
    p[id.n + 1] = '>';
    return slice_of(p, id.n + 2);
}

/* Confirmed in the time that is missing: mail that had waited here may have come long before. What
 * was delivered since the order began did not get lost before it. */
static bool is_wanted(const struct again *a, const struct store_row *row)
{
    utc_ms at = row->last.time ? row->last.time : row->received;
    return at >= a->told.since && at < a->begun;
}

/* Decided or delivered since the order began: by the order itself? */
static bool is_doubtful(const struct again *a, const struct store_row *row)
{
    return a->is_resumed && row->received < a->begun && row->last.time >= a->begun;
}

static void keep_row(struct again *a, const struct store_row *row)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 1024;
        a->rows = mem_resize(a->rows, a->cap * sizeof(*a->rows));
    }
    a->last = row->message;
    a->rows[a->n++] = (struct again_row){.message = row->message,
                                         .person = row->facts.person,
                                         .rcpt = row->rcpt,
                                         .is_doubtful = is_doubtful(a, row),
                                         .address = arena_copy(a->arena, row->facts.address)};
}

/* The first page counts all of them, for people who want to know how long it takes. */
static bool take_row(void *arg, const struct store_row *row)
{
    struct again *a = arg;
    bool is_first = a->after == 0;
    bool is_delivered = row->last.disposition == DISPOSITION_DELIVERED;
    if (!(is_delivered && is_wanted(a, row)) && !is_doubtful(a, row))
        return !desk_is_ending(a->desk);
    if (a->n >= page_rows(a) && row->message != a->last)
        a->has_more = true;
    else if (!a->has_more)
        keep_row(a, row);
    a->n_counted += is_first;
    return is_first || !a->has_more;
}

struct was_given {
    const struct again *order;
    const struct again_row *row;
    bool is_so;
};

static bool look_back(void *arg, const struct record_result *r, bool is_begin, struct slice)
{
    struct was_given *w = arg;
    bool is_decision = !is_begin && !r->is_attempt && r->rcpt == w->row->rcpt &&
                       r->disposition == DISPOSITION_WAITING && r->time >= w->order->begun;
    w->is_so |= is_decision && slice_eq(r->by, slice_str(w->order->who.by)) &&
                slice_eq(r->text, slice_str(w->order->who.why));
    return !w->is_so;
}

/* What the order has given before the program ended is counted and not given again. */
static enum err settle_doubts(struct again *a, struct store_reader *reader, struct errinfo *ei)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n && !desk_is_ending(a->desk); i++) {
        struct was_given w = {.order = a, .row = &a->rows[i]};
        if (!w.row->is_doubtful) {
            a->rows[n++] = a->rows[i];
            continue;
        }
        enum err err = store_each_history(reader, w.row->message, look_back, &w, ei);
        if (err != ERR_OK)
            return err;
        a->n_given += w.is_so;
        a->n_counted -= !w.is_so && a->after == 0;
    }
    a->n = n;
    return ERR_OK;
}

/* What is known of the messages themselves. */
static enum err complete(struct again *a, struct store_reader *reader, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *scratch = arena_create(SCRATCH_BYTES);
    for (size_t i = 0; i < a->n && !desk_is_ending(a->desk); i++) {
        struct again_row *row = &a->rows[i];
        struct store_message m;
        if (i > 0 && row[-1].message == row->message) {
            row->is_dropped = row[-1].is_dropped;
            row->id = row[-1].id;
            continue;
        }
        arena_reset(scratch);
        enum err err = store_get_message(reader, row->message, scratch, &m, ei);
        if (err != ERR_OK)
            return err;
        row->is_dropped = m.is_dropped;
        row->id = in_brackets(a->arena, m.fields.message_id);
    }
    return ERR_OK;
}

static int by_person(const void *x, const void *y)
{
    const struct again_row *a = x, *b = y;
    if (a->person != b->person)
        return a->person < b->person ? -1 : 1;
    int order = slice_cmp(a->address, b->address);
    return order ? order : a->message < b->message ? -1 : a->message > b->message;
}

void desk_again_gather(struct worker_job *job, struct store_reader *reader)
{
    struct again *a = container_of(job, struct again, job);
    struct errinfo ei;
    struct store_row_filter filter = {.disposition = a->is_resumed ? 0 : DISPOSITION_DELIVERED,
                                      .is_any = a->is_resumed,
                                      .primary = a->primary,
                                      .after = a->after};
    desk_again_forget(a);
    a->last = a->after;
    a->n_given = 0;
    a->n_counted = a->after ? a->told.n_found : 0;
    a->arena = arena_create(page_bytes());
    a->err = reader && desk_catch_up(a->desk) ? ERR_OK : ERR_RETRY;
    if (a->err == ERR_OK)
        a->err = store_each_row(reader, &filter, take_row, a, &ei);
    if (a->err == ERR_OK && a->is_resumed)
        a->err = settle_doubts(a, reader, &ei);
    if (a->err == ERR_OK)
        a->err = complete(a, reader, &ei);
    if (a->err == ERR_OK && a->n > 0)
        qsort(a->rows, a->n, sizeof(*a->rows), by_person);
}

/* A sender may write a Message-ID without brackets or with blanks in it; it is kept here as others
 * write theirs, and what was looked for does not stand in the message. */
static bool stands_in(struct slice message, struct slice id)
{
    struct mime_field field;
    return mime_field_find(message, SLICE("Message-ID"), &field) &&
           memmem(field.value.p, field.value.n, id.p, id.n);
}

void desk_again_check(struct worker_job *job, struct store_reader *reader)
{
    struct again *a = container_of(job, struct again, job);
    struct errinfo ei;
    for (size_t i = a->first; i < a->end && !desk_is_ending(a->desk); i++) {
        struct again_row *row = &a->rows[i];
        struct queue_body *body = NULL;
        if (row->has != IPC_HAS_ABSENT || row->is_dropped)
            continue;
        enum err err =
            reader ? desk_read_body(a->desk, reader, row->message, &body, &ei) : ERR_RETRY;
        row->is_dropped = err == ERR_GONE;
        if (err != ERR_GONE && (err != ERR_OK || !stands_in(queue_body_slice(body), row->id)))
            row->has = IPC_HAS_UNSURE;
        queue_body_unref(&body);
    }
}

void desk_again_forget(struct again *a)
{
    arena_destroy(&a->arena);
    mem_free(&a->rows);
    a->n = a->cap = a->first = a->end = 0;
    a->has_more = false;
}
