/* Mail through the desk: taken, durable, delivered, answered; and again after a start. */
#include "desk/desk_int.h"
#include "store/store_account.h"
#include "desk_kit.h"

#include <sqlite3.h>

static const struct kit_mail to_anna = {.rcpts = {"anna@example.test"}};

static void mail_is_taken_delivered_and_accounted_for(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_anna);
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.message, id);
    assert_int_equal(j.job.kind, IPC_JOB_PRIMARY);
    assert_int_equal(j.job.n_hosts, 1);
    assert_int_equal(j.job.n_rcpts, 1);
    assert_true(slice_eq(j.job.rcpts[0].address, SLICE("anna@example.test")));
    kit_result(&j, kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_job_free(&j);
    kit_answered(kit->gate, id, true);
    kit_check_sums();
}

static void no_reply_leaves_before_the_sync(void **)
{
    kit_found((struct kit_company){0});
    disk_set(true, false);
    uint64_t tag = kit_send(kit->gate, &to_anna);
    disk_wait_for_sync();
    struct kit_frame f = {0};
    while (kit_get(kit->gate, &f, KIT_QUIET_MS))
        assert_int_not_equal(f.type, IPC_T_taken);
    kit_expect_quiet(kit->courier); /* nor does a delivery begin */
    disk_set(false, false);
    assert_int_equal(kit_taken(kit->gate, tag).refusal, 0);
    kit_end_job(kit_good);
    kit_frame_free(&f);
}

static void a_sender_waits_for_the_primarys_reply(void **)
{
    kit_found((struct kit_company){.is_cut_through = true});
    uint64_t tag = kit_send(kit->gate, &to_anna);
    struct kit_job j;
    kit_job(&j);
    kit_expect_quiet(kit->gate);
    kit_result(&j, kit_good);
    assert_int_equal(kit_taken(kit->gate, tag).message, j.job.message);
    kit_await(j.job.message, 0, DISPOSITION_DELIVERED);
    kit_job_free(&j);
}

static void a_refusal_of_the_content_goes_to_the_sender(void **)
{
    kit_found((struct kit_company){.is_cut_through = true});
    uint64_t tag = kit_send(
        kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test", "info@example.test"}});
    struct kit_job j;
    kit_job(&j);
    kit_result(&j, kit_content);
    struct ipc_taken taken = kit_taken(kit->gate, tag);
    assert_int_equal(taken.message, 0);
    assert_int_equal(taken.refusal, 1 + REFUSE_CONTENT_REFUSED);
    assert_int_equal(taken.code, 554);
    assert_true(slice_eq(taken.enhanced, SLICE("5.6.0")));
    kit_await(j.job.message, 0, DISPOSITION_REFUSED);
    kit_await(j.job.message, 1, DISPOSITION_REFUSED); /* her alias goes with it */
    kit_check_sums();
    assert_true(kit_is_answered(j.job.message)); /* nobody waits to hear of it */
    kit_job_free(&j);
}

/* Somebody may have seen it while its sender waited. */
static void a_message_that_is_refused_goes_out_of_the_account_with_a_number_of_its_own(void **)
{
    kit_found((struct kit_company){.is_cut_through = true});
    uint64_t tag = kit_send(kit->gate, &to_anna);
    struct store_email e = {};
    struct errinfo ei;
    struct kit_job j;
    kit_job(&j);
    kit_result(&j, kit_content);
    assert_int_equal(kit_taken(kit->gate, tag).message, 0);
    kit_await(j.job.message, 0, DISPOSITION_REFUSED);
    for (int i = 0; i < 500 && e.modseq <= e.created; i++) {
        struct store_reader *reader = kit_reader();
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        assert_int_equal(store_get_email(reader, KIT_ANNA, j.job.message, a, &e, &ei), ERR_OK);
        store_reader_close(&reader);
        usleep(10000);
    }
    assert_true(e.is_gone);
    assert_int_equal(e.created, 1);
    assert_int_equal(e.modseq, 2);
    kit_job_free(&j);
}

static void a_sender_does_not_wait_for_ever(void **)
{
    kit_found((struct kit_company){.is_cut_through = true});
    uint64_t tag = kit_send(kit->gate, &to_anna);
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(kit_taken(kit->gate, tag).message, j.job.message); /* after its time */
    kit_result(&j, kit_content);
    kit_await(j.job.message, 0, DISPOSITION_HELD); /* too late to pass it through */
    kit_await_event("queue.held");
    kit_job_free(&j);
}

static void a_large_message_arrives_byte_for_byte(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id =
        kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"}, .size = 3 << 20});
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.message, id);
    assert_true(j.content.n > 3 << 20);
    for (size_t i = 18; i < 3 << 20; i++)
        if (j.content.p[j.content.n - (3 << 20) + i] != (char)('a' + i / 7 % 26))
            fail_msg("byte %zu is another one", i);
    kit_result(&j, kit_silent);
    kit_job_free(&j);
    /* And again from the store, after a start. */
    kit_await(id, 0, DISPOSITION_WAITING);
    kit_restart();
    kit_job(&j);
    for (size_t i = 18; i < 3 << 20; i++)
        if (j.content.p[j.content.n - (3 << 20) + i] != (char)('a' + i / 7 % 26))
            fail_msg("byte %zu is another one after the start", i);
    kit_result(&j, kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_job_free(&j);
}

static void raise_limit(void *)
{
    static const struct desk_limits largest = {.free_percent = 1,
                                               .alarm_percent = 2,
                                               .message_bytes = STORE_MESSAGE_MAX,
                                               .bytes_in_flight = 2ULL * STORE_MESSAGE_MAX,
                                               .queue_items = 1000,
                                               .per_destination = 20,
                                               .per_primary = 20};
    desk_limits(kit->desk, &largest);
}

static void the_largest_message_that_can_be_announced_has_a_place_in_the_log(void **)
{
    kit_found((struct kit_company){0});
    kit_on_loop(raise_limit, NULL);
    struct kit_mail mail = {.rcpts = {"anna@example.test"},
                            .size = STORE_MESSAGE_MAX - DESK_PREFIX_MAX};
    uint64_t id = kit_accept(kit->gate, &mail);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    mail.size = STORE_MESSAGE_MAX; /* with our headers it is more than a record names */
    assert_int_equal(kit_refused(kit->gate, &mail), REFUSE_TOO_BIG);
}

static void a_message_without_a_byte_is_a_message(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id =
        kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"}, .body = ""});
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
}

static void what_waits_is_there_after_a_start(void **)
{
    uint64_t ids[3];
    kit_found((struct kit_company){0});
    fd_close(&kit->courier);
    for (int i = 0; i < 3; i++)
        ids[i] = kit_accept(
            kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test", "luca@example.test"}});
    kit_restart();
    for (int i = 0; i < 3; i++) {
        struct kit_job j;
        kit_job(&j);
        assert_true(j.job.message >= ids[0] && j.job.message <= ids[2]);
        assert_int_equal(j.job.n_rcpts, 2); /* one delivery for both */
        assert_true(slice_eq(j.job.mail_from, SLICE("sender@outside.test")));
        assert_non_null(memmem(j.content.p, j.content.n, kit_body, sizeof(kit_body) - 1));
        kit_result(&j, kit_good);
        kit_job_free(&j);
    }
    for (int i = 0; i < 3; i++)
        kit_await(ids[i], 1, DISPOSITION_DELIVERED);
    kit_check_sums();
}

static void a_lost_courier_leaves_a_possible_double(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_anna);
    struct kit_job j;
    struct kit_rows rows;
    kit_job(&j);
    kit_job_free(&j);
    fd_close(&kit->courier);
    kit_await(id, 0, DISPOSITION_WAITING);
    kit_rows_of(id, &rows);
    assert_true(rows.rows[0].is_possible_double);
    assert_int_equal(rows.rows[0].last.attempts, 1);
    kit->courier = kit_link(IPC_COURIER, 1);
    kit_end_job(kit_good); /* as soon as there is another */
    kit_await(id, 0, DISPOSITION_DELIVERED);
}

static void a_courier_that_could_not_try_is_no_evidence(void **)
{
    kit_found((struct kit_company){0});
    for (int i = 0; i < 4; i++) {
        uint64_t id = kit_accept(kit->gate, &to_anna);
        kit_end_job((struct kit_reply){SMTP_PHASE_NONE, 0, "", false});
        kit_await(id, 0, DISPOSITION_WAITING);
    }
    assert_false(kit_has_event("primary.suspect"));
}

/* Between the index and its disk: while this is open nobody else writes there. */
static sqlite3 *index_lock(void)
{
    char path[300];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/index/index.db", kit->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void what_the_index_does_not_know_yet_is_not_doubted(void **)
{
    kit_found((struct kit_company){0});
    sqlite3 *lock = index_lock();
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_end_job((struct kit_reply){SMTP_PHASE_CONNECT, 0, "", false});
    (void)usleep(1200000); /* its bytes are looked for again after half a second's rest */
    assert_int_equal(sqlite3_close(lock), SQLITE_OK);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_check_sums();
}

/* ---- a disk that refuses ---- */

static void read_queue(void *arg)
{
    *(struct queue_figures *)arg = queue_figures(kit_admin->host.queue);
}

/* Nothing of it waits, runs, or lies in memory, a moment after its sender heard of it. */
static void expect_empty_queue(void)
{
    struct queue_figures f;
    kit_on_loop(read_queue, &f);
    for (int ms = 0; ms < KIT_WAIT_MS && f.bytes_memory > 0; ms += 10) {
        (void)usleep(10000);
        kit_on_loop(read_queue, &f);
    }
    assert_int_equal(f.n_rows, 0);
    assert_int_equal(f.n_running, 0);
    assert_int_equal(f.bytes_memory, 0);
}

static void what_could_not_be_written_is_refused_and_nothing_is_left(void **)
{
    struct kit_rows rows;
    kit_found((struct kit_company){0});
    static const size_t sizes[] = {100, (1 << 20) + 100}; /* inline, in chunks */
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct kit_mail mail = {.rcpts = {"anna@example.test"}, .size = sizes[i]};
        struct ipc_taken taken = {};
        /* Now and then the store's own house-keeping has the failing sync: the next file. */
        for (int tries = 0; tries < 100; tries++) {
            disk_fail(1);
            taken = kit_taken(kit->gate, kit_send(kit->gate, &mail));
            if (taken.refusal)
                break;
            kit_end_job(kit_good);
            kit_await(taken.message, 0, DISPOSITION_DELIVERED);
        }
        assert_int_equal(taken.refusal, 1 + REFUSE_STORE_FAILED);
        kit_expect_quiet(kit->courier);
        expect_empty_queue();
    }
    kit_await_event("store.write-failed");
    disk_fail(0);
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    expect_empty_queue();
    kit_rows_of(id, &rows);
    assert_true(rows.rows[0].facts.uid >= 1); /* with gaps, no more */
    kit_check_sums();
}

static int count_loose(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/index/index.db", kit->folder);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM loose", -1, &stmt, NULL), 0);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

static void chunks_of_a_message_that_failed_are_given_up(void **)
{
    static const struct kit_mail large = {.rcpts = {"anna@example.test"}, .size = 12 << 20};
    struct ipc_taken taken;
    kit_found((struct kit_company){0});
    for (;;) { /* the chunks of one batch fail, others are there */
        disk_set(true, false);
        uint64_t tag = kit_send(kit->gate, &large);
        disk_fail_what_waits(ENOSPC);
        taken = kit_taken(kit->gate, tag);
        if (taken.refusal)
            break;
        kit_end_job(kit_good); /* it was a file that was being prepared */
        kit_await(taken.message, 0, DISPOSITION_DELIVERED);
    }
    usleep(20000); /* the index knows */
    mono_us until = mono_now() + SECONDS(5);
    while (count_loose() > 0 && mono_now() < until)
        usleep(20000);
    assert_int_equal(count_loose(), 0);
}

static void a_log_without_room_says_that_there_is_no_room(void **)
{
    static const struct {
        size_t size;
        unsigned n_syncs; /* that find no room */
    } tries[] = {{100, 1}, {3 << 20, 0}, {3 << 20, 1000}};
    kit_found((struct kit_company){0});
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        const struct kit_mail mail = {.rcpts = {"anna@example.test"}, .size = tries[i].size};
        struct ipc_taken taken;
        for (;;) { /* what was prepared is used up first */
            disk_fail_with(tries[i].n_syncs, ENOSPC, true);
            taken = kit_taken(kit->gate, kit_send(kit->gate, &mail));
            if (taken.refusal)
                break;
            kit_end_job(kit_good);
            kit_await(taken.message, 0, DISPOSITION_DELIVERED);
        }
        assert_string_equal(refuse_row((enum refuse_id)(taken.refusal - 1))->code, "452 4.3.1");
        disk_fail(0);
        while (kit_taken(kit->gate, kit_send(kit->gate, &mail)).refusal)
            usleep(5000); /* by itself, as soon as there is room */
        kit_end_job(kit_good);
    }
}

/* ---- groups, aliases, mailboxes ---- */

static void a_group_has_a_row_for_each_member_and_one_delivery(void **)
{
    struct kit_rows rows;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"sales@example.test"}});
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.n_rcpts, 1);
    kit_result(&j, kit_good);
    kit_job_free(&j);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.n, 3);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(rows.rows[i].facts.parent, 1);
        assert_int_equal(rows.rows[i].last.disposition, DISPOSITION_MERGED);
        assert_int_equal(rows.rows[i].facts.mailbox, i == 1 ? KIT_BOX_ANNA : KIT_BOX_LUCA);
        assert_int_equal(rows.rows[i].facts.uid, 1);
    }
    kit_check_sums();
}

static void two_aliases_of_one_person_are_one_delivery(void **)
{
    struct kit_rows rows;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(
        kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test", "INFO@Example.Test",
                                                "anna+bills@example.test", "luca@example.test"}});
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.n_rcpts, 2);
    kit_result(&j, kit_good);
    kit_job_free(&j);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.n, 4);
    assert_int_equal(rows.rows[1].last.disposition, DISPOSITION_MERGED);
    assert_int_equal(rows.rows[2].last.disposition, DISPOSITION_MERGED);
    assert_int_equal(rows.rows[3].last.disposition, DISPOSITION_DELIVERED);
    kit_check_sums();
}

static void hosted_mail_is_delivered_by_being_here(void **)
{
    struct kit_rows rows;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"sara@hosted.test"}});
    kit_expect_quiet(kit->courier);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.rows[0].facts.mailbox, KIT_BOX_SARA);
}

static void who_asked_hears_that_hosted_mail_is_delivered(void **)
{
    static const struct {
        uint8_t notify;
        uint32_t flags;
        bool is_told;
    } cases[] = {{WIRE_NOTIFY_SUCCESS, MESSAGE_SENDER_PROVED, true},
                 {WIRE_NOTIFY_SUCCESS, 0, false}, /* nobody knows who that is */
                 {WIRE_NOTIFY_FAILURE, MESSAGE_SENDER_PROVED, false},
                 {0, MESSAGE_SENDER_PROVED, false}};
    kit_found((struct kit_company){0});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit_mail mail = {
            .rcpts = {"sara@hosted.test", "boxless@hosted.test", "nobody@hosted.test"},
            .mail_from = "luca@example.test",
            .flags = cases[i].flags,
            .notify = cases[i].notify};
        uint64_t id = kit_accept(kit->gate, &mail);
        kit_await(id, 0, DISPOSITION_DELIVERED);
        if (!cases[i].is_told) {
            kit_expect_quiet(kit->courier);
            continue;
        }
        struct kit_job j;
        kit_job(&j);
        const char *text = buf_cstr(&j.content);
        assert_int_equal(j.job.mail_from.n, 0);
        assert_non_null(strstr(text, "Subject: Your message was delivered\r\n"));
        assert_non_null(strstr(text, "Final-Recipient: rfc822; sara@hosted.test\r\n"
                                     "Action: delivered\r\nStatus: 2.0.0\r\n"));
        assert_non_null(strstr(text, "Final-Recipient: rfc822; nobody@hosted.test\r\n"));
        assert_null(strstr(text, "boxless@")); /* held: that is no delivery */
        assert_non_null(strstr(text, "Subject: hello"));
        kit_result(&j, kit_good);
        kit_job_free(&j);
    }
    kit_check_sums();
}

static void hosted_mail_without_a_mailbox_is_held_and_announced(void **)
{
    struct kit_rows rows;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(
        kit->gate, &(struct kit_mail){.rcpts = {"boxless@hosted.test", "sara@hosted.test"}});
    kit_await(id, 0, DISPOSITION_HELD);
    kit_await(id, 1, DISPOSITION_DELIVERED);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.rows[0].facts.refusal, 1 + REFUSE_HOLD_NO_MAILBOX);
    kit_await_event("queue.held");
    kit_check_sums();
}

static void put_group(uint64_t id, const char *address, const char *member, const char *other)
{
    struct kit_objects all = {.n = 0};
    struct dir_text addresses = {slice_str(address)};
    struct dir_text members[] = {{slice_str(member)}, {slice_str(other)}};
    struct dir_group group = {.name = slice_str(address),
                              .addresses = &addresses,
                              .n_addresses = 1,
                              .members = members,
                              .n_members = other ? 2 : 1};
    dir_group_pack(kit_object(&all, OBJECT_GROUP, id, KIT_TENANT, address), &group);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void a_hosted_group_is_delivered_when_each_member_has_it(void **)
{
    kit_found((struct kit_company){0});
    put_group(60, "all@hosted.test", "sara@hosted.test", NULL);
    put_group(61, "some@hosted.test", "sara@hosted.test", "boxless@hosted.test");
    put_group(62, "others@hosted.test", "sara@hosted.test", "who@world.test");
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"all@hosted.test"}});
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_await(id, 1, DISPOSITION_MERGED);
    id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"some@hosted.test"}});
    kit_await(id, 0, DISPOSITION_HELD); /* somebody would never see it */
    id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"others@hosted.test"}});
    kit_await(id, 0, DISPOSITION_HELD);
    kit_check_sums();
}

static bool check_order(void *arg, const struct store_email *e)
{
    struct {
        uint64_t modseq;
        unsigned n;
    } *last = arg;
    assert_int_equal(e->list.places[0].mailbox, KIT_BOX_ANNA);
    assert_int_equal(e->list.places[0].uid, e->modseq);
    assert_true(last->n == 0 || e->modseq > last->modseq);
    last->modseq = e->modseq;
    last->n++;
    return true;
}

/* Whoever asks for changes again and again must see each number only after all smaller ones. */
static void numbers_of_an_account_grow_in_the_order_of_the_log(void **)
{
    static const struct kit_mail large = {.rcpts = {"anna@example.test"}, .size = 2 << 20};
    uint64_t ids[2] = {0, 0};
    struct kit_rows rows[2];
    kit_found((struct kit_company){0});
    disk_set(true, false);
    uint64_t first = kit_send(kit->gate, &large); /* its chunks are written first */
    disk_wait_for_sync();
    uint64_t second = kit_send(kit->gate, &to_anna);
    usleep(50000);
    disk_set(false, false);
    for (int i = 0; i < 2; i++) {
        struct kit_frame f = {0};
        struct ipc_taken taken;
        kit_expect(kit->gate, IPC_T_taken, &f);
        assert_true(ipc_taken_unpack(f.payload, NULL, &taken));
        assert_true(f.tag == first || f.tag == second);
        ids[i] = taken.message; /* in the order of their records */
        kit_frame_free(&f);
    }
    assert_true(ids[0] > ids[1]); /* the small one was quicker */
    for (int i = 0; i < 2; i++) {
        kit_end_job(kit_good);
        kit_await(ids[i], 0, DISPOSITION_DELIVERED);
        kit_rows_of(ids[i], &rows[i]);
    }
    assert_true(rows[0].rows[0].facts.uid < rows[1].rows[0].facts.uid);
    assert_true(rows[0].rows[0].facts.modseq < rows[1].rows[0].facts.modseq);
}

static void numbers_of_an_account_go_on_after_a_start(void **)
{
    struct {
        uint64_t modseq;
        unsigned n;
    } last = {0, 0};
    struct errinfo ei;
    kit_found((struct kit_company){0});
    uint64_t id = 0;
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            kit_restart();
        id = kit_accept(kit->gate, &to_anna);
        kit_end_job(kit_good);
    }
    kit_await(id, 0, DISPOSITION_DELIVERED);
    struct store_reader *reader = kit_reader();
    assert_int_equal(store_each_email(reader, KIT_ANNA, 0, check_order, &last, &ei), ERR_OK);
    store_reader_close(&reader);
    assert_int_equal(last.n, 4);
}

/* ---- who knows that we have it ---- */

static void replies_that_reached_the_sender_are_written_down(void **)
{
    kit_found((struct kit_company){0});
    uint64_t a = kit_accept(kit->gate, &to_anna);
    uint64_t b = kit_accept(kit->gate, &to_anna);
    uint64_t c = kit_accept(kit->gate, &to_anna);
    kit_answered(kit->gate, a, true);
    kit_answered(kit->gate, b, false);
    for (int i = 0; i < 3; i++)
        kit_end_job(kit_good);
    kit_await(c, 0, DISPOSITION_DELIVERED);
    fd_close(&kit->gate); /* it says nothing about the third */
    kit_stop();
    assert_true(kit_is_answered(a));
    assert_false(kit_is_answered(b));
    assert_false(kit_is_answered(c));
    kit_start();
}

static void a_gate_speaks_only_for_its_own_messages(void **)
{
    kit_found((struct kit_company){0});
    int other = kit_link(IPC_GATE, 2);
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_answered(other, id, true);
    assert_int_equal(kit_ask(other, "anna@example.test", 0), REFUSE_N); /* it was read */
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    fd_close(&kit->gate);
    kit_stop();
    assert_false(kit_is_answered(id));
    (void)close(other);
    kit_start();
}

static void a_gate_that_dies_while_its_sender_waits_leaves_it_unanswered(void **)
{
    kit_found((struct kit_company){.is_cut_through = true});
    (void)kit_send(kit->gate, &to_anna);
    struct kit_job j;
    kit_job(&j);
    fd_close(&kit->gate);
    kit->gate = kit_link(IPC_GATE, 1); /* its successor did not ask */
    kit_result(&j, kit_good);
    kit_await(j.job.message, 0, DISPOSITION_DELIVERED);
    kit_expect_quiet(kit->gate);
    kit_stop();
    assert_false(kit_is_answered(j.job.message));
    kit_job_free(&j);
    kit_start();
}

/* ---- notices ---- */

static const struct kit_mail to_the_world = {.rcpts = {"who@world.test"},
                                             .mail_from = "anna@example.test",
                                             .from_address = "anna@example.test",
                                             .from_primary = KIT_PRIMARY};

static void what_the_world_refuses_comes_back_with_a_notice(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_the_world);
    kit_end_job(kit_unknown);
    struct kit_job j;
    kit_job(&j); /* the notice */
    assert_int_equal(j.job.mail_from.n, 0);
    assert_int_equal(j.job.kind, IPC_JOB_PRIMARY);
    assert_true(slice_eq(j.job.rcpts[0].address, SLICE("anna@example.test")));
    assert_non_null(memmem(j.content.p, j.content.n, "who@world.test", 14));
    assert_non_null(memmem(j.content.p, j.content.n, "5.1.1", 5));
    kit_await(id, 0, DISPOSITION_RETURNED);
    kit_result(&j, kit_good);
    kit_await(j.job.message, 0, DISPOSITION_DELIVERED);
    kit_job_free(&j);
    kit_check_sums();
}

static void a_notice_for_somebody_unknown_of_a_domain_of_ours_goes_to_its_primary(void **)
{
    struct kit_mail printer = to_the_world;
    printer.mail_from = "printer@example.test";
    kit_found((struct kit_company){0});
    (void)kit_accept(kit->gate, &printer);
    kit_end_job(kit_unknown);
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.kind, IPC_JOB_PRIMARY);
    kit_result(&j, kit_good);
    kit_job_free(&j);
}

static void a_flood_of_notices_to_one_sender_is_held_instead(void **)
{
    unsigned limit = (unsigned)refuse_row(REFUSE_NOTICES)->limit;
    uint64_t id = 0;
    kit_found((struct kit_company){0});
    for (unsigned i = 0; i < limit + 1; i++) {
        id = kit_accept(kit->gate, &to_the_world);
        kit_end_job(kit_unknown);
        if (i < limit)
            kit_end_job(kit_good); /* the notice */
    }
    kit_await(id, 0, DISPOSITION_HELD);
    kit_expect_quiet(kit->courier);
    kit_await_event("queue.held");
}

static void delay_now(void *arg)
{
    const uint64_t *id = arg;
    struct queue_facts facts = {.id = *id};
    struct queue_row row = {.address = SLICE("anna@example.test"),
                            .orcpt = SLICE("rfc822;anna@example.test")};
    struct queue_outcome outcome = {.text = SLICE("connection refused"), .until = 1800000000000};
    struct queue_notice n = {
        .news = QUEUE_DELAYED, .facts = &facts, .rows = &row, .outcomes = &outcome, .n = 1};
    desk_delayed(kit->desk, &n);
}

static void a_delay_is_told_to_who_may_be_told(void **)
{
    kit_found((struct kit_company){0});
    for (int is_proved = 0; is_proved < 2; is_proved++) {
        struct kit_mail mail = {.rcpts = {"anna@example.test"},
                                .mail_from = "luca@example.test",
                                .flags = is_proved ? MESSAGE_SENDER_PROVED : 0};
        uint64_t id = kit_accept(kit->gate, &mail);
        kit_end_job((struct kit_reply){SMTP_PHASE_RCPT, 452, "4.2.2", false});
        kit_await(id, 0, DISPOSITION_WAITING);
        kit_on_loop(delay_now, &id);
        if (!is_proved) {
            kit_expect_quiet(kit->courier);
            continue;
        }
        struct kit_job j;
        kit_job(&j);
        const char *text = buf_cstr(&j.content);
        assert_int_equal(j.job.mail_from.n, 0);
        assert_non_null(strstr(text, "Action: delayed\r\nStatus: 4.0.0"));
        assert_non_null(strstr(text, "could not be delivered yet"));
        assert_non_null(strstr(text, "Will-Retry-Until: Fri, 15 Jan 2027 08:00:00 +0000\r\n"));
        assert_non_null(strstr(text, "Original-Recipient: rfc822; anna@example.test"));
        assert_non_null(strstr(text, "Subject: hello")); /* its header, from the store */
        kit_result(&j, kit_good);
        kit_job_free(&j);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
#define TEST_IMPATIENT(f) cmocka_unit_test_setup_teardown(f, setup_impatient, kit_teardown)

static int setup_impatient(void **state)
{
    kit_answer_within = MILLISECONDS(50);
    int result = kit_setup(state);
    kit_answer_within = 0;
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mail_is_taken_delivered_and_accounted_for),
        TEST(no_reply_leaves_before_the_sync),
        TEST(a_sender_waits_for_the_primarys_reply),
        TEST(a_refusal_of_the_content_goes_to_the_sender),
        TEST(a_message_that_is_refused_goes_out_of_the_account_with_a_number_of_its_own),
        TEST_IMPATIENT(a_sender_does_not_wait_for_ever),
        TEST(a_large_message_arrives_byte_for_byte),
        TEST(the_largest_message_that_can_be_announced_has_a_place_in_the_log),
        TEST(a_message_without_a_byte_is_a_message),
        TEST(what_waits_is_there_after_a_start),
        TEST(a_lost_courier_leaves_a_possible_double),
        TEST(a_courier_that_could_not_try_is_no_evidence),
        TEST(what_the_index_does_not_know_yet_is_not_doubted),
        TEST(what_could_not_be_written_is_refused_and_nothing_is_left),
        TEST(chunks_of_a_message_that_failed_are_given_up),
        TEST(a_log_without_room_says_that_there_is_no_room),
        TEST(a_group_has_a_row_for_each_member_and_one_delivery),
        TEST(two_aliases_of_one_person_are_one_delivery),
        TEST(hosted_mail_is_delivered_by_being_here),
        TEST(who_asked_hears_that_hosted_mail_is_delivered),
        TEST(hosted_mail_without_a_mailbox_is_held_and_announced),
        TEST(a_hosted_group_is_delivered_when_each_member_has_it),
        TEST(numbers_of_an_account_grow_in_the_order_of_the_log),
        TEST(numbers_of_an_account_go_on_after_a_start),
        TEST(replies_that_reached_the_sender_are_written_down),
        TEST(a_gate_speaks_only_for_its_own_messages),
        TEST(a_gate_that_dies_while_its_sender_waits_leaves_it_unanswered),
        TEST(what_the_world_refuses_comes_back_with_a_notice),
        TEST(a_notice_for_somebody_unknown_of_a_domain_of_ours_goes_to_its_primary),
        TEST(a_delay_is_told_to_who_may_be_told),
        TEST(a_flood_of_notices_to_one_sender_is_held_instead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
