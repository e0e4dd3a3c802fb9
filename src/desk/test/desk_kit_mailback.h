/* Tests of giving back: what people do is written into the store while the desk is away, and the
 * test plays the liaison. */
#ifndef DESK_KIT_MAILBACK_H
#define DESK_KIT_MAILBACK_H

#include "desk_kit.h"

#include "store/store_account.h"

enum { BOX_DRAFTS = 200, BOX_CLIENTS, BOX_ROSSI, BOX_TRASH, DRAFT = 1000 };

/* ---- the company ---- */

static void found_company(void)
{
    kit_found((struct kit_company){0});
    kit_open_mailboxes();
}

static uint64_t delivered(const char *rcpt, const char *id)
{
    uint64_t message = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {rcpt}, .message_id = id});
    kit_end_job(kit_good);
    kit_await(message, 0, DISPOSITION_DELIVERED);
    return message;
}

/* ---- what people do ---- */

struct deeds {
    struct store *store;
    struct buf packed[1000];
    struct store_change changes[1000];
    size_t n;
    uint64_t modseq;
};

static void deed_done(struct store_change *, enum err err, const struct errinfo *ei)
{
    if (err != ERR_OK)
        fail_msg("%s", ei->text);
}

/* The desk ends; until deeds_end things are done in Anna's mailbox. */
static void deeds_begin(struct deeds *w)
{
    struct errinfo ei;
    struct store_account account;
    kit_stop();
    *w = (struct deeds){};
    struct store_reader *reader = kit_reader();
    if (store_get_account(reader, KIT_ANNA, &account, &ei) == ERR_OK)
        w->modseq = account.modseq;
    store_reader_close(&reader);
    struct store_options o = {.dir = kit->folder, .segment_bytes = 4 << 20, .n_pool = 1};
    assert_int_equal(store_open(&o, &w->store, &ei), ERR_OK);
}

static void deeds_end(struct deeds *w)
{
    store_close(&w->store);
    for (size_t i = 0; i < w->n; i++)
        buf_finish(&w->packed[i]);
    kit_start();
    kit->gate = kit_link(IPC_GATE, 1);
    kit->courier = kit_link(IPC_COURIER, 1);
    kit->liaison = kit_link(IPC_LIAISON, 1);
}

static struct buf *deed(struct deeds *w)
{
    assert_in_range(w->n, 0, sizeof(w->packed) / sizeof(w->packed[0]) - 1);
    w->packed[w->n] = buf_make(STORE_RECORD_MAX);
    return &w->packed[w->n];
}

static void submit(struct deeds *w, uint16_t type, uint64_t id, struct slice body)
{
    struct store_change *c = &w->changes[w->n];
    assert_false(w->packed[w->n].failed);
    *c = (struct store_change){.type = type,
                               .id = id,
                               .facts = buf_slice(&w->packed[w->n]),
                               .body[0] = body,
                               .done = deed_done};
    w->n++;
    store_submit(w->store, c);
}

static void make_box(struct deeds *w, uint64_t id, const char *name, const char *role,
                     uint64_t parent)
{
    struct record_mailbox m = {.id = id,
                               .person = KIT_ANNA,
                               .tenant = KIT_TENANT,
                               .name = slice_str(name),
                               .role = slice_str(role),
                               .uid_validity = 1,
                               .modseq = ++w->modseq,
                               .parent = parent,
                               .created = w->modseq};
    record_mailboxes_pack(deed(w), &(struct record_mailboxes){&m, 1});
    submit(w, RECORD_MAILBOX, 0, SLICE(""));
}

static void rename_box(struct deeds *w, uint64_t id, const char *name, uint64_t parent)
{
    struct record_mailbox m = {.id = id,
                               .person = KIT_ANNA,
                               .tenant = KIT_TENANT,
                               .name = slice_str(name),
                               .uid_validity = 1,
                               .modseq = ++w->modseq,
                               .parent = parent,
                               .created = 1};
    record_mailboxes_pack(deed(w), &(struct record_mailboxes){&m, 1});
    submit(w, RECORD_MAILBOX, 0, SLICE(""));
}

static void remove_box(struct deeds *w, uint64_t id, const char *role)
{
    struct record_mailbox m = {.id = id,
                               .person = KIT_ANNA,
                               .tenant = KIT_TENANT,
                               .name = SLICE("x"),
                               .role = slice_str(role),
                               .uid_validity = 1,
                               .modseq = ++w->modseq,
                               .is_removed = 1};
    record_mailboxes_pack(deed(w), &(struct record_mailboxes){&m, 1});
    submit(w, RECORD_MAILBOX, 0, SLICE(""));
}

static void make_boxes(struct deeds *w)
{
    make_box(w, BOX_DRAFTS, "Drafts", "drafts", 0);
    make_box(w, BOX_CLIENTS, "Clients", "", 0);
    make_box(w, BOX_ROSSI, "Rossi", "", BOX_CLIENTS);
    make_box(w, BOX_TRASH, "Trash", "trash", 0);
}

/* `to`: where it is moved; 0: it stays in the inbox. */
static void change(struct deeds *w, uint64_t message, uint32_t flags, uint64_t to, bool is_gone)
{
    uint64_t modseq = ++w->modseq;
    struct record_place places[] = {
        {.mailbox = KIT_BOX_ANNA, .uid = 1, .modseq = to ? modseq : 1, .is_gone = to || is_gone},
        {.mailbox = to, .uid = (uint32_t)modseq, .modseq = modseq, .is_gone = is_gone}};
    struct record_email e = {.account = KIT_ANNA,
                             .message = message,
                             .modseq = modseq,
                             .counted = modseq,
                             .received = utc_now(),
                             .flags = flags,
                             .is_gone = is_gone,
                             .places = places,
                             .n_places = to ? 2 : 1};
    record_emails_pack(deed(w), &(struct record_emails){&e, 1});
    submit(w, RECORD_EMAIL, 0, SLICE(""));
}

static const char draft_body[] = "From: <anna@example.test>\r\nMessage-ID: <d@example.test>\r\n"
                                 "Subject: offer\r\n\r\nDear Rossi\r\n";

/* Young enough for the retention. */
static utc_ms made_at;

static uint64_t made_here(unsigned n)
{
    made_at = made_at ? made_at : utc_now();
    return ((uint64_t)made_at << 20) + n;
}

struct made {
    uint64_t id, box;
    uint32_t flags;
    uint32_t bytes;         /* that are said of it; 0: as many as it has */
    uint32_t message_flags; /* MESSAGE_FROM_PRIMARY: they have it as well */
};

static void write_made(struct deeds *w, const struct made *made)
{
    uint64_t modseq, id = made->id;
    struct record_fields fields = {.subject = SLICE("offer"),
                                   .from_address = SLICE("anna@example.test"),
                                   .message_id = SLICE("d@example.test"),
                                   .date = made_at};
    struct record_message m = {.id = id,
                               .received = made_at,
                               .tenant = KIT_TENANT,
                               .direction = DIRECTION_PERSON,
                               .bytes = made->bytes ? made->bytes : sizeof(draft_body) - 1,
                               .flags = made->message_flags,
                               .fields = &fields,
                               .n_fields = 1};
    record_message_pack(deed(w), &m);
    submit(w, RECORD_MESSAGE, id, slice_str(draft_body));
    modseq = ++w->modseq;
    struct record_place place = {.mailbox = made->box, .uid = (uint32_t)modseq, .modseq = modseq};
    struct record_email e = {.account = KIT_ANNA,
                             .message = id,
                             .modseq = modseq,
                             .counted = modseq,
                             .received = made_at,
                             .flags = made->flags,
                             .places = &place,
                             .n_places = 1};
    record_emails_pack(deed(w), &(struct record_emails){&e, 1});
    submit(w, RECORD_EMAIL, 0, SLICE(""));
}

/* A message that is made here. */
static void write_draft(struct deeds *w, uint64_t id, uint64_t box, uint32_t flags)
{
    write_made(w, &(struct made){.id = id, .box = box, .flags = flags});
}

static void destroy_draft(struct deeds *w, uint64_t id, uint64_t box)
{
    uint64_t modseq = ++w->modseq;
    struct record_place place = {.mailbox = box, .uid = 5, .modseq = modseq, .is_gone = true};
    struct record_email e = {.account = KIT_ANNA,
                             .message = id,
                             .modseq = modseq,
                             .flags = EMAIL_DRAFT,
                             .is_gone = 1,
                             .places = &place,
                             .n_places = 1};
    record_emails_pack(deed(w), &(struct record_emails){&e, 1});
    submit(w, RECORD_EMAIL, 0, SLICE(""));
}

/* ---- the liaison ---- */

struct question {
    uint64_t tag;
    struct ipc_mailbox_do todo;
    struct arena *arena;
    struct buf content;
};

/* False: none came in that time. */
static bool get_question(struct question *q, int timeout_ms)
{
    struct kit_frame f = {0};
    mono_us until = mono_now() + MILLISECONDS(timeout_ms);
    *q = (struct question){.arena = arena_create(8 << 20), .content = buf_make(64 << 20)};
    while (mono_now() < until && kit_get(kit->liaison, &f, timeout_ms)) {
        if (f.type == IPC_T_content)
            buf_adds(&q->content, f.payload);
        if (f.type != IPC_T_mailbox_do)
            continue;
        q->tag = f.tag;
        assert_true(ipc_mailbox_do_unpack(arena_copy(q->arena, f.payload), q->arena, &q->todo));
        kit_frame_free(&f);
        return true;
    }
    kit_frame_free(&f);
    return false;
}

static struct question next_question(void)
{
    struct question q;
    if (!get_question(&q, KIT_WAIT_MS))
        fail_msg("nothing is given back");
    return q;
}

static void forget(struct question *q)
{
    arena_destroy(&q->arena);
    buf_finish(&q->content);
}

/* Results of the ops in order; the rest: done. */
static void answer(struct question *q, const uint8_t *results, uint32_t n)
{
    static struct ipc_op_result rows[200];
    bool is_any = false;
    for (uint32_t i = 0; i < q->todo.n_ops; i++) {
        rows[i] = (struct ipc_op_result){.result = i < n ? results[i] : (uint8_t)IPC_OP_DONE,
                                         .folder = SLICE("INBOX"),
                                         .text = SLICE("in words")};
        is_any |= rows[i].result != IPC_OP_NOT_TRIED;
    }
    struct ipc_mailbox_did did = {.primary = q->todo.primary,
                                  .step = is_any ? IPC_STEP_PUT : IPC_STEP_LOGIN,
                                  .text = SLICE("so it went"),
                                  .results = rows,
                                  .n_results = q->todo.n_ops};
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    ipc_mailbox_did_pack(&b, &did);
    kit_put(kit->liaison, IPC_T_mailbox_did, q->tag, &b);
    forget(q);
}

static void answer_well(struct question *q)
{
    answer(q, NULL, 0);
}

static void nothing_goes(void)
{
    struct question q;
    enum { LONG_ENOUGH_MS = 400 }; /* several looks */
    if (get_question(&q, LONG_ENOUGH_MS))
        fail_msg("%u changes go", q.todo.n_ops);
    forget(&q);
}

/* ---- the administration ---- */

struct asked {
    struct kit_change change;
    enum admin_mailback_what what;
    struct admin_mailback told;
    struct admin_mailback_change changes[20];
    char text[300], result[20], what_is_done[20];
};

static void heard(void *cookie, enum err err, const struct admin_mailback *told, const char *why)
{
    struct asked *a = cookie;
    if (told) {
        a->told = *told;
        snprintf(a->text, sizeof(a->text), "%s", told->text ? told->text : "");
        if (told->n_changes > 0) {
            snprintf(a->result, sizeof(a->result), "%s", told->changes[0].result);
            snprintf(a->what_is_done, sizeof(a->what_is_done), "%s", told->changes[0].what);
        }
    }
    kit_change_done(&a->change, err, why);
}

static void ask_now(void *arg)
{
    struct kit_change *c = arg;
    struct asked *a = container_of(c, struct asked, change);
    struct admin_mailback_order o = {.person = KIT_ANNA, .what = a->what};
    kit_admin->host.mailback(kit_admin->host.arg, &o, heard, a);
}

static struct asked ask(enum admin_mailback_what what)
{
    struct asked a = {.what = what};
    (void)kit_change(&a.change, ask_now);
    return a;
}

static struct asked show(void)
{
    struct asked a = ask(ADMIN_MAILBACK_SHOW);
    assert_int_equal(a.change.err, ERR_OK);
    return a;
}

/* Until what the last answer said is in memory. */
static struct asked await_done(uint64_t n_done)
{
    struct asked a;
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while ((a = show()).told.n_done < n_done) {
        if (mono_now() > until)
            fail_msg("only %llu are done", (unsigned long long)a.told.n_done);
        usleep(5000);
    }
    return a;
}

static bool has_flag(const struct ipc_mailbox_op *op, const char *flag)
{
    for (uint32_t i = 0; i < op->n_flags_add; i++)
        if (slice_eq(op->flags_add[i].text, slice_str(flag)))
            return true;
    return false;
}

#endif
