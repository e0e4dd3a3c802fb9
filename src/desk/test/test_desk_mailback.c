/* What people did in their mailboxes is given back: what is asked of the liaison, what its answers
 * do, and what happens when anybody dies in the middle. The test plays the liaison; what people did
 * is written into the store while the desk is away. */
#include "desk_kit.h"

#include "store/store_account.h"

enum { BOX_DRAFTS = 200, BOX_CLIENTS, BOX_ROSSI, BOX_TRASH, DRAFT = 1000 };

/* ---- the company ---- */

static void let_us_in(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_host host = {SLICE("127.0.0.1"), 1143};
    struct dir_access access = {.hosts = &host,
                                .n_hosts = 1,
                                .tls = DIR_TLS_NEVER,
                                .master_user = SLICE("%s*admin"),
                                .master_secret = SLICE("secret")};
    dir_access_pack(kit_object(&all, OBJECT_ACCESS, KIT_PRIMARY, KIT_TENANT, "exchange"), &access);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void found_company(void)
{
    kit_found((struct kit_company){0});
    let_us_in();
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
    struct buf packed[400];
    struct store_change changes[400];
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

/* A message that is made here. */
static void write_draft(struct deeds *w, uint64_t id, uint64_t box, uint32_t flags)
{
    uint64_t modseq;
    struct record_fields fields = {.subject = SLICE("offer"),
                                   .from_address = SLICE("anna@example.test"),
                                   .message_id = SLICE("d@example.test"),
                                   .date = made_at};
    struct record_message m = {.id = id,
                               .received = made_at,
                               .tenant = KIT_TENANT,
                               .direction = DIRECTION_PERSON,
                               .bytes = sizeof(draft_body) - 1,
                               .fields = &fields,
                               .n_fields = 1};
    record_message_pack(deed(w), &m);
    submit(w, RECORD_MESSAGE, id, slice_str(draft_body));
    modseq = ++w->modseq;
    struct record_place place = {.mailbox = box, .uid = (uint32_t)modseq, .modseq = modseq};
    struct record_email e = {.account = KIT_ANNA,
                             .message = id,
                             .modseq = modseq,
                             .counted = modseq,
                             .received = made_at,
                             .flags = flags,
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

/* ---- what goes ---- */

static void what_people_did_goes_once(void **)
{
    struct deeds w;
    found_company();
    uint64_t read = delivered("anna@example.test", "read@outside.test");
    uint64_t filed = delivered("anna@example.test", "filed@outside.test");
    uint64_t deleted = delivered("anna@example.test", "deleted@outside.test");
    (void)delivered("anna@example.test", "untouched@outside.test");
    deeds_begin(&w);
    make_boxes(&w);
    change(&w, read, EMAIL_SEEN | EMAIL_ANSWERED, 0, false);
    change(&w, filed, 0, BOX_ROSSI, false);
    change(&w, deleted, EMAIL_SEEN, 0, true);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT | EMAIL_SEEN);
    deeds_end(&w);
    struct question q = next_question();
    const struct ipc_mailbox_op *op = q.todo.ops;
    char id[MESSAGE_ID_TEXT];
    message_id_text(read, id);
    assert_int_equal(q.todo.n_ops, 4);
    assert_true(slice_eq(q.todo.server[0].user, SLICE("anna@example.test*admin")));
    assert_int_equal(op[0].what, IPC_OP_SET);
    assert_true(slice_eq(op[0].trace, slice_str(id)));
    assert_true(slice_eq(op[0].message_id, SLICE("<read@outside.test>")));
    assert_true(has_flag(&op[0], "\\Seen") && has_flag(&op[0], "\\Answered"));
    assert_int_equal(op[0].fate, IPC_FATE_STAY);
    assert_int_equal(op[1].fate, IPC_FATE_MOVE);
    assert_int_equal(op[1].role, IPC_FOLDER_NONE);
    assert_int_equal(op[1].n_folder, 2);
    assert_true(slice_eq(op[1].folder[0].text, SLICE("Clients")));
    assert_true(slice_eq(op[1].folder[1].text, SLICE("Rossi")));
    assert_int_equal(op[1].from_role, IPC_FOLDER_INBOX);
    assert_int_equal(op[2].fate, IPC_FATE_TRASH);
    assert_int_equal(op[3].what, IPC_OP_APPEND);
    assert_int_equal(op[3].role, IPC_FOLDER_DRAFTS);
    assert_int_equal(op[3].internal_date, made_at);
    assert_true(has_flag(&op[3], "\\Draft"));
    assert_int_equal(op[3].trace.n, 0);
    assert_true(slice_eq(buf_slice(&q.content), slice_str(draft_body)));
    answer_well(&q);
    assert_int_equal(await_done(4).told.n_waiting, 0);
    nothing_goes();
    deeds_begin(&w); /* the program ends and begins again */
    deeds_end(&w);
    nothing_goes();
    assert_int_equal(show().told.n_done, 4);
}

static void what_was_given_before_is_changed_and_not_added_again(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question();
    answer_well(&q);
    (void)await_done(1);
    deeds_begin(&w); /* it was sent: another one takes its place */
    uint64_t modseq = ++w.modseq;
    struct record_place place = {
        .mailbox = BOX_DRAFTS, .uid = 5, .modseq = modseq, .is_gone = true};
    struct record_email e = {.account = KIT_ANNA,
                             .message = made_here(1),
                             .modseq = modseq,
                             .flags = EMAIL_DRAFT,
                             .is_gone = 1,
                             .places = &place,
                             .n_places = 1};
    record_emails_pack(deed(&w), &(struct record_emails){&e, 1});
    submit(&w, RECORD_EMAIL, 0, SLICE(""));
    write_draft(&w, made_here(2), BOX_TRASH, EMAIL_SEEN);
    deeds_end(&w);
    q = next_question();
    assert_int_equal(q.todo.n_ops, 2);
    assert_int_equal(q.todo.ops[0].what, IPC_OP_SET);
    assert_int_equal(q.todo.ops[0].fate, IPC_FATE_EXPUNGE);
    assert_int_equal(q.todo.ops[1].what, IPC_OP_APPEND);
    answer_well(&q);
    (void)await_done(3);
}

static struct question flags_change(uint64_t message, uint32_t flags)
{
    struct deeds w;
    deeds_begin(&w);
    change(&w, message, flags, 0, false);
    deeds_end(&w);
    return next_question();
}

static void expect_flags(const struct question *q, const char *add, const char *remove)
{
    const struct ipc_mailbox_op *op = &q->todo.ops[0];
    assert_int_equal(q->todo.n_ops, 1);
    assert_int_equal(op->n_flags_add, add ? 1 : 0);
    assert_int_equal(op->n_flags_remove, remove ? 1 : 0);
    assert_true(!add || slice_eq(op->flags_add[0].text, slice_str(add)));
    assert_true(!remove || slice_eq(op->flags_remove[0].text, slice_str(remove)));
}

/* Others may have changed over there what nobody touches here. */
static void only_flags_that_changed_here_are_changed_there(void **)
{
    found_company();
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    struct question q = flags_change(id, EMAIL_SEEN);
    expect_flags(&q, "\\Seen", NULL);
    answer(&q, (uint8_t[]){IPC_OP_UNSURE}, 1);
    kit_let_pass(61);
    q = next_question();
    expect_flags(&q, "\\Seen", NULL); /* not known to be so: said again */
    answer_well(&q);
    (void)await_done(1);
    q = flags_change(id, EMAIL_SEEN | EMAIL_FLAGGED);
    expect_flags(&q, "\\Flagged", NULL);
    answer_well(&q);
    (void)await_done(2);
    q = flags_change(id, EMAIL_FLAGGED | EMAIL_FORWARDED);
    expect_flags(&q, "$Forwarded", "\\Seen");
    answer_well(&q);
    (void)await_done(3);
    q = flags_change(id, EMAIL_FORWARDED);
    expect_flags(&q, NULL, "\\Flagged");
    answer_well(&q);
    (void)await_done(4);
    /* Set and taken away between two looks: nothing changed. */
    struct deeds w;
    deeds_begin(&w);
    change(&w, id, EMAIL_FORWARDED | EMAIL_SEEN, 0, false);
    change(&w, id, EMAIL_FORWARDED, 0, false);
    deeds_end(&w);
    nothing_goes();
    assert_int_equal(show().told.n_waiting, 0);
    kit_end_of_waiting();
}

/* 0: none, 1: there is what is known of its flags over there, 2: a tombstone of it. */
static int given_item(uint64_t message)
{
    struct errinfo ei;
    struct record_item item;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct store_reader *reader = kit_reader();
    enum err err = store_get_item(reader, KIT_ANNA, ITEM_GIVEN, message, a, &item, &ei);
    store_reader_close(&reader);
    return err != ERR_OK ? 0 : item.is_gone ? 2 : 1;
}

static void what_is_known_of_flags_ends_with_the_message(void **)
{
    struct deeds w;
    found_company();
    uint64_t deleted = delivered("anna@example.test", "a@outside.test");
    uint64_t old = delivered("anna@example.test", "b@outside.test");
    deeds_begin(&w);
    change(&w, deleted, EMAIL_SEEN, 0, false);
    change(&w, old, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    struct question q = next_question();
    answer_well(&q);
    (void)await_done(2);
    kit_stop();
    assert_int_equal(given_item(deleted), 1);
    assert_int_equal(given_item(old), 1);
    kit_start();
    deeds_begin(&w);
    change(&w, deleted, EMAIL_SEEN, 0, true);
    change(&w, old, EMAIL_SEEN | EMAIL_BY_RULE, 0, true);
    deeds_end(&w);
    q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    answer_well(&q);
    (void)await_done(3);
    kit_stop();
    assert_int_equal(given_item(deleted), 2);
    assert_int_equal(given_item(old), 2);
    kit_start();
}

static void what_lies_in_a_folder_that_was_renamed_is_moved_to_the_new_name(void **)
{
    enum { N = 120 }; /* more than a batch holds */
    static uint64_t ids[N];
    struct deeds w;
    found_company();
    for (size_t i = 0; i < N; i++)
        ids[i] = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    make_boxes(&w);
    for (size_t i = 0; i < N; i++)
        change(&w, ids[i], 0, BOX_ROSSI, false);
    deeds_end(&w);
    for (uint64_t n = 0; n < N;) {
        struct question q = next_question();
        n += q.todo.n_ops;
        answer_well(&q);
    }
    (void)await_done(N);
    deeds_begin(&w);
    rename_box(&w, BOX_CLIENTS, "Clients", 0); /* something else of it changed */
    deeds_end(&w);
    nothing_goes();
    deeds_begin(&w);
    rename_box(&w, BOX_CLIENTS, "Kunden", 0);
    deeds_end(&w);
    for (uint64_t n = 0; n < N;) {
        struct question q = next_question();
        for (uint32_t i = 0; i < q.todo.n_ops; i++) {
            const struct ipc_mailbox_op *op = &q.todo.ops[i];
            assert_int_equal(op->fate, IPC_FATE_MOVE);
            assert_int_equal(op->n_flags_add + op->n_flags_remove, 0);
            assert_int_equal(op->n_folder, 2);
            assert_true(slice_eq(op->folder[0].text, SLICE("Kunden")));
            assert_true(slice_eq(op->folder[1].text, SLICE("Rossi")));
        }
        n += q.todo.n_ops;
        assert_true(n <= N);
        answer_well(&q);
    }
    (void)await_done(2 * N);
    nothing_goes();
    deeds_begin(&w);
    deeds_end(&w);
    nothing_goes();
}

static void what_rules_of_ours_took_away_goes_nowhere(void **)
{
    struct deeds w;
    found_company();
    uint64_t old = delivered("anna@example.test", "old@outside.test");
    (void)delivered("anna@example.test", "boxless@outside.test");
    deeds_begin(&w);
    change(&w, old, EMAIL_SEEN | EMAIL_BY_RULE, 0, true);
    remove_box(&w, KIT_BOX_ANNA, "inbox");
    deeds_end(&w);
    nothing_goes();
    assert_int_equal(show().told.n_waiting, 0);
}

static void mail_that_waits_goes_before_what_was_done_with_it(void **)
{
    struct deeds w;
    found_company();
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"},
                                                           .message_id = "w@outside.test"});
    uint64_t untouched = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"}});
    assert_int_equal(kit_order(QUEUE_HOLD, id, 0), ERR_OK);
    assert_int_equal(kit_order(QUEUE_HOLD, untouched, 0), ERR_OK);
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    nothing_goes(); /* in an emergency */
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_RETURN), ERR_OK);
    nothing_goes(); /* it is held */
    struct asked a = show();
    assert_int_equal(a.told.n_waiting, 1);
    assert_string_equal(a.result, "delivery");
    assert_int_equal(kit_order(QUEUE_RELEASE, id, 0), ERR_OK);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_let_pass(61);
    struct question q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    assert_int_equal(q.todo.ops[0].what, IPC_OP_SET);
    answer_well(&q);
    assert_int_equal(await_done(1).told.n_waiting, 0);
    kit_end_of_waiting();
}

static void nothing_goes_to_who_is_isolated_or_has_no_log_in(void **)
{
    struct deeds w;
    kit_found((struct kit_company){0});
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    nothing_goes();
    struct asked a = show();
    assert_int_equal(a.told.n_waiting, 1);
    assert_string_equal(a.what_is_done, "flags");
    assert_non_null(strstr(a.text, "access set"));
    assert_int_equal(ask(ADMIN_MAILBACK_DRY).change.err, ERR_CONFLICT);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_ISOLATE), ERR_OK);
    let_us_in();
    nothing_goes();
    assert_non_null(strstr(show().text, "isolated"));
}

static void put_login(uint8_t mechanism, const char *user, const char *secret)
{
    struct kit_objects all = {.n = 0};
    struct dir_host host = {SLICE("127.0.0.1"), 1143};
    struct dir_access access = {.hosts = &host, .n_hosts = 1, .mechanism = DIR_XOAUTH2};
    struct dir_tokens tokens = {.grant = DIR_GRANT_REFRESH,
                                .url = SLICE("https://login.test/token"),
                                .client_id = SLICE("app")};
    struct dir_mail_login login = {
        .mechanism = mechanism, .user = slice_str(user), .secret = slice_str(secret)};
    dir_access_pack(kit_object(&all, OBJECT_ACCESS, KIT_PRIMARY, KIT_TENANT, "exchange"), &access);
    dir_tokens_pack(kit_object(&all, OBJECT_TOKENS, KIT_PRIMARY, KIT_TENANT, "exchange"), &tokens);
    dir_mail_login_pack(
        kit_object(&all, OBJECT_MAILLOGIN, KIT_ANNA, KIT_TENANT, "anna@example.test"), &login);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void tell_refresh(const char *old, const char *fresh)
{
    SCOPED(buf_finish) struct buf b = buf_make(20000);
    ipc_token_new_pack(&b, &(struct ipc_token_new){.primary = KIT_PRIMARY,
                                                   .person = KIT_ANNA,
                                                   .old = slice_str(old),
                                                   .fresh = slice_str(fresh)});
    kit_put(kit->liaison, IPC_T_token_new, 0, &b);
}

static void a_person_may_have_a_log_in_of_their_own(void **)
{
    struct deeds w;
    kit_found((struct kit_company){0});
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    put_login(DIR_PLAIN, "anna.own", "pw");
    struct question q = next_question();
    const struct ipc_server *server = &q.todo.server[0];
    assert_int_equal(server->mechanism, IPC_LOGIN_ANY);
    assert_true(slice_eq(server->user, SLICE("anna.own")));
    assert_true(slice_eq(server->secret, SLICE("pw")));
    assert_int_equal(server->n_token + server->act_as.n, 0);
    answer(&q, (uint8_t[]){IPC_OP_NOT_TRIED}, 1);
    put_login(DIR_XOAUTH2, "", "first"); /* and it is tried at once */
    q = next_question();
    server = &q.todo.server[0];
    assert_int_equal(server->mechanism, IPC_LOGIN_XOAUTH2);
    assert_true(slice_eq(server->user, SLICE("anna@example.test")));
    assert_true(slice_eq(server->secret, SLICE("first")));
    assert_int_equal(server->token[0].grant, IPC_GRANT_REFRESH);
    assert_int_equal(server->token[0].person, KIT_ANNA);
    tell_refresh("first", "second");
    tell_refresh("nobody's", "stolen");
    answer(&q, (uint8_t[]){IPC_OP_NOT_TRIED}, 1);
    nothing_goes();
    kit_let_pass(61);
    q = next_question();
    assert_true(slice_eq(q.todo.server[0].secret, SLICE("second")));
    answer_well(&q);
    (void)await_done(1);
    kit_end_of_waiting();
    deeds_begin(&w); /* the program ends and begins again */
    change(&w, id, EMAIL_SEEN | EMAIL_FLAGGED, 0, false);
    deeds_end(&w);
    q = next_question();
    assert_true(slice_eq(q.todo.server[0].secret, SLICE("second")));
    answer_well(&q);
    (void)await_done(2);
}

/* All emails of a mailbox that is removed change at one number: more than a batch holds. */
static void what_changed_at_one_number_goes_in_several_batches(void **)
{
    enum { N = 120 };
    struct deeds w;
    uint32_t n = 0;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    for (unsigned i = 0; i < N; i++)
        write_draft(&w, made_here(i), BOX_CLIENTS, EMAIL_SEEN);
    deeds_end(&w);
    while (n < N) {
        struct question q = next_question();
        n += q.todo.n_ops;
        answer_well(&q);
    }
    (void)await_done(N);
    deeds_begin(&w);
    remove_box(&w, BOX_CLIENTS, "");
    deeds_end(&w);
    for (n = 0; n < N;) {
        struct question q = next_question();
        for (uint32_t i = 0; i < q.todo.n_ops; i++)
            assert_int_equal(q.todo.ops[i].fate, IPC_FATE_TRASH);
        n += q.todo.n_ops;
        answer_well(&q);
    }
    assert_int_equal(n, N);
    assert_int_equal(await_done(2 * N).told.n_done, 2 * N);
    nothing_goes();
}

/* ---- what the answers do ---- */

static void each_result_has_its_end(void **)
{
    static const uint8_t results[] = {IPC_OP_DONE,      IPC_OP_ALREADY, IPC_OP_ABSENT,
                                      IPC_OP_AMBIGUOUS, IPC_OP_REFUSED, IPC_OP_UNSURE,
                                      IPC_OP_NOT_TRIED};
    enum { N = sizeof(results) };
    struct deeds w;
    uint64_t ids[N];
    found_company();
    for (size_t i = 0; i < N; i++) {
        char id[40];
        (void)snprintf(id, sizeof(id), "%zu@outside.test", i);
        ids[i] = delivered("anna@example.test", id);
    }
    deeds_begin(&w);
    for (size_t i = 0; i < N; i++)
        change(&w, ids[i], EMAIL_FLAGGED, 0, false);
    deeds_end(&w);
    struct question q = next_question();
    assert_int_equal(q.todo.n_ops, N);
    answer(&q, results, N);
    struct asked a = await_done(1);
    assert_int_equal(a.told.n_already, 1);
    assert_int_equal(a.told.n_absent, 1);
    assert_int_equal(a.told.n_ambiguous, 1);
    assert_int_equal(a.told.n_refused, 1);
    assert_int_equal(a.told.n_waiting, 2);
    kit_let_pass(61);
    q = next_question(); /* those that have no sure answer */
    assert_int_equal(q.todo.n_ops, 2);
    answer(&q, (uint8_t[]){IPC_OP_ALREADY, IPC_OP_DONE}, 2);
    assert_int_equal(await_done(2).told.n_already, 2);
    kit_let_pass(122);
    nothing_goes();
    assert_int_equal(ask(ADMIN_MAILBACK_RETURN).change.err, ERR_OK);
    q = next_question(); /* a person wants them tried again */
    assert_int_equal(q.todo.n_ops, 3);
    answer_well(&q);
    a = await_done(5);
    assert_int_equal(a.told.n_absent + a.told.n_ambiguous + a.told.n_refused, 0);
    kit_end_of_waiting();
}

static void who_cannot_get_in_waits_longer_each_time(void **)
{
    struct deeds w;
    found_company();
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    struct question q = next_question();
    answer(&q, (uint8_t[]){IPC_OP_NOT_TRIED}, 1);
    nothing_goes();
    assert_non_null(strstr(show().text, "at login: so it went"));
    kit_let_pass(61);
    q = next_question();
    answer(&q, (uint8_t[]){IPC_OP_NOT_TRIED}, 1);
    nothing_goes();
    kit_let_pass(61 + 61);
    q = next_question();
    answer_well(&q);
    (void)await_done(1);
    assert_string_equal(show().text, "");
    kit_end_of_waiting();
}

static void an_answer_that_does_not_fit_is_nonsense(void **)
{
    struct deeds w;
    found_company();
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    struct question q = next_question();
    q.todo.n_ops = 2;
    answer_well(&q);
    assert_true(kit_is_closed(kit->liaison));
    kit_await_nonsense(1);
    assert_int_equal(show().told.n_done, 0);
}

static void a_dry_run_changes_nothing(void **)
{
    struct deeds w;
    found_company();
    uint64_t id = delivered("anna@example.test", "a@outside.test");
    deeds_begin(&w);
    change(&w, id, EMAIL_SEEN, 0, false);
    deeds_end(&w);
    struct question q = next_question(); /* the real one waits for its answer */
    struct asked a = {.what = ADMIN_MAILBACK_DRY};
    kit_on_loop(ask_now, &a.change);
    struct question dry = next_question();
    assert_true(dry.todo.is_dry);
    assert_int_equal(dry.todo.n_ops, 1);
    answer(&dry, (uint8_t[]){IPC_OP_WOULD}, 1);
    kit_wait_change(&a.change);
    assert_int_equal(a.change.err, ERR_OK);
    assert_string_equal(a.result, "would");
    assert_int_equal(show().told.n_done, 0);
    answer_well(&q);
    (void)await_done(1);
}

/* ---- deaths ---- */

static void who_speaks_with_mailboxes_dies_and_is_asked_again(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question();
    forget(&q);
    fd_close(&kit->liaison);
    usleep(20000);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_let_pass(61);
    q = next_question();
    assert_int_equal(q.todo.ops[0].what, IPC_OP_APPEND);
    assert_true(slice_eq(buf_slice(&q.content), slice_str(draft_body)));
    answer(&q, (uint8_t[]){IPC_OP_ALREADY}, 1);
    while (show().told.n_already == 0)
        usleep(5000);
    assert_int_equal(show().told.n_doubtful, 1);
    kit_end_of_waiting();
}

static void the_program_dies_in_the_middle_and_knows_what_was_on_its_way(void **)
{
    struct deeds w;
    found_company();
    deeds_begin(&w);
    make_boxes(&w);
    write_draft(&w, made_here(1), BOX_DRAFTS, EMAIL_DRAFT);
    deeds_end(&w);
    struct question q = next_question(); /* it has no answer */
    forget(&q);
    deeds_begin(&w);
    deeds_end(&w);
    q = next_question();
    assert_int_equal(q.todo.n_ops, 1);
    assert_int_equal(show().told.n_doubtful, 1);
    answer(&q, (uint8_t[]){IPC_OP_ALREADY}, 1);
    while (show().told.n_already == 0)
        usleep(5000);
    assert_int_equal(show().told.n_doubtful, 1);
    deeds_begin(&w);
    deeds_end(&w);
    nothing_goes();
    assert_int_equal(show().told.n_doubtful, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(what_people_did_goes_once),
        TEST(what_was_given_before_is_changed_and_not_added_again),
        TEST(only_flags_that_changed_here_are_changed_there),
        TEST(what_is_known_of_flags_ends_with_the_message),
        TEST(what_lies_in_a_folder_that_was_renamed_is_moved_to_the_new_name),
        TEST(what_rules_of_ours_took_away_goes_nowhere),
        TEST(mail_that_waits_goes_before_what_was_done_with_it),
        TEST(nothing_goes_to_who_is_isolated_or_has_no_log_in),
        TEST(a_person_may_have_a_log_in_of_their_own),
        TEST(what_changed_at_one_number_goes_in_several_batches),
        TEST(each_result_has_its_end),
        TEST(who_cannot_get_in_waits_longer_each_time),
        TEST(an_answer_that_does_not_fit_is_nonsense),
        TEST(a_dry_run_changes_nothing),
        TEST(who_speaks_with_mailboxes_dies_and_is_asked_again),
        TEST(the_program_dies_in_the_middle_and_knows_what_was_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
