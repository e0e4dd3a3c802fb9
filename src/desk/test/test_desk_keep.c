/* How long mail is kept, and what never goes: by age, by size, and the tombstones that stay behind.
 * Days pass in a moment; what people do is written as JMAP writes it. */
#include "desk_kit.h"

#include "desk/desk_account_int.h"
#include "desk/desk_state_int.h"
#include "store/store_account.h"

#include <sqlite3.h>

enum { DAYS_USUAL = 90, TOMBSTONE_DAYS = 30 };

static void found_company(void)
{
    kit_found((struct kit_company){0});
}

static void keep(struct dir_keeping keeping)
{
    struct kit_objects all = {.n = 0};
    dir_keeping_pack(kit_object(&all, OBJECT_KEEPING, KIT_TENANT, KIT_TENANT, "rossi"), &keeping);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void let_days_pass(time_t days)
{
    kit_let_hours_pass(24 * days + 1);
}

/* One that was asked something and does not answer for hours is taken for dead. */
static void another_gate(void)
{
    fd_close(&kit->gate);
    kit->gate = kit_link(IPC_GATE, 1);
}

static uint64_t came(const char *rcpt, size_t size)
{
    another_gate();
    return kit_accept(kit->gate, &(struct kit_mail){.rcpts = {rcpt}, .size = size});
}

/* What the store puts off goes with the next thing that cannot wait: its clock is not the loop's.
 */
static void nudge(void)
{
    struct kit_objects all = {.n = 0};
    kit_person(&all, 10, "new@hosted.test", NULL, 0);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    usleep(3000);
}

/* Long enough for a look, if there is one. */
static void look_on(void)
{
    for (int i = 0; i < 10; i++)
        nudge();
    usleep(1000 * KIT_QUIET_MS);
    nudge();
}

static uint64_t delivered(const char *rcpt, size_t size)
{
    struct kit_rows all = {.n = 0};
    uint64_t message = came(rcpt, size);
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    kit_end_job(kit_good);
    while (all.n == 0 || all.rows[0].last.disposition != DISPOSITION_DELIVERED) {
        if (mono_now() > until)
            fail_msg("it never was delivered");
        nudge();
        kit_rows_of(message, &all);
    }
    return message;
}

/* ---- what people do ---- */

struct deed {
    uint64_t message; /* 0: one of their own */
    uint32_t flags;
    bool is_gone;
    struct store_change changes[2];
    struct buf packed[2];
    unsigned n_left; /* under kit->lock */
};

static void deed_done(struct store_change *change, enum err err, const struct errinfo *)
{
    struct deed *x = change->arg;
    must(err == ERR_OK);
    pthread_mutex_lock(&kit->lock);
    x->n_left--;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void submit(struct deed *x, unsigned n, enum record_type type, struct slice body)
{
    must(!x->packed[n].failed);
    x->changes[n] = (struct store_change){.type = type,
                                          .id = type == RECORD_MESSAGE ? x->message : 0,
                                          .facts = buf_slice(&x->packed[n]),
                                          .body[0] = body,
                                          .done = deed_done,
                                          .arg = x};
    x->n_left++;
    store_submit(kit->desk->store, &x->changes[n]);
}

static void do_now(void *arg)
{
    struct deed *x = arg;
    bool is_own = x->message == 0;
    uint64_t modseq = desk_account_next(kit->desk, KIT_ANNA);
    x->packed[0] = buf_make(10000);
    x->packed[1] = buf_make(10000);
    if (is_own) {
        x->message = desk_next_id(kit->desk);
        struct record_message m = {.id = x->message,
                                   .received = utc_now(),
                                   .tenant = KIT_TENANT,
                                   .direction = DIRECTION_PERSON,
                                   .bytes = sizeof(kit_body) - 1};
        record_message_pack(&x->packed[0], &m);
        submit(x, 0, RECORD_MESSAGE, slice_str(kit_body));
    }
    struct record_place place = {
        .mailbox = KIT_BOX_ANNA, .uid = (uint32_t)modseq, .modseq = modseq, .is_gone = x->is_gone};
    struct record_email e = {.account = KIT_ANNA,
                             .message = x->message,
                             .modseq = modseq,
                             .counted = modseq,
                             .flags = x->flags,
                             .is_gone = x->is_gone,
                             .places = &place,
                             .n_places = 1};
    record_emails_pack(&x->packed[1], &(struct record_emails){&e, 1});
    submit(x, 1, RECORD_EMAIL, SLICE(""));
}

static void end_deed(struct deed *x)
{
    pthread_mutex_lock(&kit->lock);
    while (x->n_left > 0)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
    buf_finish(&x->packed[0]);
    buf_finish(&x->packed[1]);
}

static uint64_t deed(struct deed x)
{
    kit_on_loop(do_now, &x);
    end_deed(&x);
    return x.message;
}

struct look {
    bool is_running;
    mono_us next;
};

static void read_look(void *arg)
{
    *(struct look *)arg =
        (struct look){kit->desk->keep.expiry.is_running, kit->desk->keep.expiry.next};
}

/* It is not durable before end_slow_deed. A look from before must not wait for it. */
static void begin_slow_deed(struct deed *x)
{
    struct look now;
    do {
        usleep(5000);
        kit_on_loop(read_look, &now);
    } while (now.is_running);
    disk_set(true, false);
    kit_on_loop(do_now, x);
}

static void end_slow_deed(struct deed *x)
{
    disk_set(false, false);
    end_deed(x);
    nudge();
}

/* ---- what the index says ---- */

enum state { HERE, TOMBSTONE, NOTHING };

static enum state state_of(uint64_t person, uint64_t message)
{
    struct store_reader *reader = kit_reader();
    struct arena *a = arena_create(1 << 20);
    struct store_email e = {};
    struct errinfo ei;
    enum err err = store_get_email(reader, person, message, a, &e, &ei);
    arena_destroy(&a);
    store_reader_close(&reader);
    return err != ERR_OK ? NOTHING : e.is_gone ? TOMBSTONE : HERE;
}

static void await_state(uint64_t person, uint64_t message, enum state want)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (state_of(person, message) != want) {
        if (mono_now() > until)
            fail_msg("it never was in state %d", want);
        kit_let_pass(3600); /* to the next look */
        nudge();
    }
}

static struct store_account account_of(uint64_t person)
{
    struct store_reader *reader = kit_reader();
    struct store_account a = {};
    struct errinfo ei;
    assert_int_equal(store_get_account(reader, person, &a, &ei), ERR_OK);
    store_reader_close(&reader);
    return a;
}

/* ---- by age ---- */

static void what_came_goes_after_90_days_and_what_nobody_else_has_stays(void **)
{
    found_company();
    uint64_t old = delivered("anna@example.test", 0);
    uint64_t hosted = came("sara@hosted.test", 0);
    uint64_t draft = deed((struct deed){.flags = EMAIL_DRAFT});
    uint64_t sent = deed((struct deed){.flags = EMAIL_SEEN});
    uint64_t waiting = came("anna@example.test", 0);
    let_days_pass(DAYS_USUAL - 1);
    look_on();
    assert_int_equal(state_of(KIT_ANNA, old), HERE);
    let_days_pass(1);
    await_state(KIT_ANNA, old, TOMBSTONE);
    assert_int_equal(state_of(KIT_SARA, hosted), HERE);
    assert_int_equal(state_of(KIT_ANNA, draft), HERE);
    assert_int_equal(state_of(KIT_ANNA, sent), HERE);
    assert_int_equal(state_of(KIT_ANNA, waiting), HERE);
}

static void a_company_says_how_long(void **)
{
    found_company();
    keep((struct dir_keeping){.days = 20, .hosted_days = 10, .own_days = 1});
    uint64_t old = delivered("anna@example.test", 0);
    uint64_t hosted = came("sara@hosted.test", 0);
    uint64_t sent = deed((struct deed){.flags = EMAIL_SEEN});
    let_days_pass(11);
    await_state(KIT_SARA, hosted, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, old), HERE);
    let_days_pass(10);
    await_state(KIT_ANNA, old, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, sent), HERE); /* her mail system cannot be given it */
}

static void a_company_may_keep_it_for_ever(void **)
{
    found_company();
    keep((struct dir_keeping){.hosted_days = 1});
    uint64_t kept = delivered("anna@example.test", 0);
    uint64_t hosted = came("sara@hosted.test", 0);
    let_days_pass(9000);
    await_state(KIT_SARA, hosted, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, kept), HERE);
}

static void essential_people_keep_it_longer(void **)
{
    found_company();
    struct kit_objects all = {.n = 0};
    struct dir_text address = {SLICE("luca@example.test")};
    struct dir_person luca = {.name = SLICE("Luca"),
                              .addresses = &address,
                              .n_addresses = 1,
                              .is_covered = 1,
                              .is_essential = 1,
                              .inbox = KIT_BOX_LUCA};
    dir_person_pack(kit_object(&all, OBJECT_PERSON, KIT_LUCA, KIT_TENANT, "luca@example.test"),
                    &luca);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    uint64_t of_luca = delivered("luca@example.test", 0);
    uint64_t of_anna = delivered("anna@example.test", 0);
    let_days_pass(DAYS_USUAL);
    await_state(KIT_ANNA, of_anna, TOMBSTONE);
    assert_int_equal(state_of(KIT_LUCA, of_luca), HERE);
    let_days_pass(366 - DAYS_USUAL);
    await_state(KIT_LUCA, of_luca, TOMBSTONE);
}

static void what_is_not_given_back_stays(void **)
{
    found_company();
    kit_open_mailboxes();
    keep((struct dir_keeping){.days = 20, .own_days = 20});
    uint64_t read = delivered("anna@example.test", 0);
    uint64_t unread = delivered("anna@example.test", 0);
    deed((struct deed){.message = read, .flags = EMAIL_SEEN});
    uint64_t sent = deed((struct deed){.flags = EMAIL_SEEN});
    let_days_pass(21);
    await_state(KIT_ANNA, unread, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, read), HERE);
    assert_int_equal(state_of(KIT_ANNA, sent), HERE);
}

/* People read it when there is nothing else to be read. */
static void nothing_goes_while_the_mail_system_is_not_well(void **)
{
    found_company();
    keep((struct dir_keeping){.days = 20, .hosted_days = 20});
    uint64_t old = delivered("anna@example.test", 0);
    uint64_t hosted = came("sara@hosted.test", 0);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    let_days_pass(21);
    await_state(KIT_SARA, hosted, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, old), HERE);
}

/* ---- what happens meanwhile ---- */

/* Days pass, and what may go is put together; it waits for the disk, or is over. */
static void begin_look(time_t days)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    struct look before, now;
    kit_on_loop(read_look, &before);
    let_days_pass(days);
    do {
        assert_true(mono_now() < until);
        usleep(5000);
        kit_on_loop(read_look, &now);
    } while (!now.is_running && now.next == before.next);
    usleep(1000 * KIT_QUIET_MS);
}

static void a_change_that_is_still_being_written_is_not_overruled(void **)
{
    found_company();
    kit_open_mailboxes();
    keep((struct dir_keeping){.days = 20});
    uint64_t read = delivered("anna@example.test", 0);
    uint64_t unread = delivered("anna@example.test", 0);
    struct deed x = {.message = read, .flags = EMAIL_SEEN};
    begin_slow_deed(&x);
    begin_look(21);
    end_slow_deed(&x);
    await_state(KIT_ANNA, unread, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, read), HERE);
}

static void isolate(void *)
{
    desk_primary(kit->desk, KIT_PRIMARY)->p.is_isolated = true;
}

static void nothing_goes_when_the_mail_system_fails_at_that_moment(void **)
{
    found_company();
    keep((struct dir_keeping){.days = 20, .hosted_days = 20});
    uint64_t old = delivered("anna@example.test", 0);
    uint64_t hosted = came("sara@hosted.test", 0);
    struct deed x = {.flags = EMAIL_SEEN};
    begin_slow_deed(&x);
    begin_look(21);
    kit_on_loop(isolate, NULL);
    end_slow_deed(&x);
    await_state(KIT_SARA, hosted, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, old), HERE);
}

/* One of the two is looked at first. */
static void expect_only_other_goes(const char *sql, bool is_luca)
{
    char path[300];
    sqlite3 *db = NULL;
    found_company();
    uint64_t of_anna = delivered("anna@example.test", 0);
    uint64_t of_luca = delivered("luca@example.test", 0);
    (void)snprintf(path, sizeof(path), "%s/index/index.db", kit->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    let_days_pass(DAYS_USUAL);
    await_state(is_luca ? KIT_LUCA : KIT_ANNA, is_luca ? of_luca : of_anna, TOMBSTONE);
}

static void an_account_that_cannot_be_read_holds_up_nobody_else(void **)
{
    expect_only_other_goes("UPDATE email SET lists = x'ff' WHERE account = 4", true);
}

static void nor_does_another_one(void **)
{
    expect_only_other_goes("UPDATE email SET lists = x'ff' WHERE account = 5", false);
}

/* ---- by size ---- */

static void above_its_size_a_mailbox_loses_the_oldest(void **)
{
    found_company();
    keep((struct dir_keeping){.bytes = 25000});
    uint64_t first = delivered("anna@example.test", 10000);
    uint64_t draft = deed((struct deed){.flags = EMAIL_DRAFT});
    uint64_t second = delivered("anna@example.test", 10000);
    uint64_t hosted[3];
    for (int i = 0; i < 3; i++)
        hosted[i] = came("sara@hosted.test", 10000);
    kit_let_hours_pass(2);
    look_on();
    assert_int_equal(state_of(KIT_ANNA, first), HERE); /* it is just full */
    uint64_t third = delivered("anna@example.test", 10000);
    kit_let_hours_pass(2);
    await_state(KIT_ANNA, first, TOMBSTONE);
    assert_int_equal(state_of(KIT_ANNA, second), HERE);
    assert_int_equal(state_of(KIT_ANNA, third), HERE);
    assert_int_equal(state_of(KIT_ANNA, draft), HERE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(state_of(KIT_SARA, hosted[i]), HERE);
}

/* ---- full mailboxes ---- */

static enum refuse_id ask(const char *address)
{
    another_gate();
    return kit_ask(kit->gate, address, 0);
}

static void await_answer(const char *address, enum refuse_id want)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (ask(address) != want) {
        if (mono_now() > until)
            fail_msg("it never was %s", want == REFUSE_N ? "fine" : refuse_row(want)->name);
        kit_let_pass(20); /* to the next count */
        nudge();
    }
}

static void a_full_hosted_mailbox_lets_senders_wait(void **)
{
    found_company();
    keep((struct dir_keeping){.quota_bytes = 25000});
    uint64_t first = came("sara@hosted.test", 10000);
    for (int i = 0; i < 2; i++)
        (void)came("sara@hosted.test", 10000);
    await_answer("sara@hosted.test", REFUSE_MAILBOX_FULL);
    assert_int_equal(refuse_row(REFUSE_MAILBOX_FULL)->code[0], '4');
    assert_int_equal(state_of(KIT_SARA, first), HERE); /* what is there stays */
    struct kit_objects all = {.n = 0};
    dir_quota_pack(kit_object(&all, OBJECT_QUOTA, KIT_SARA, KIT_TENANT, "sara@hosted.test"),
                   &(struct dir_quota){.bytes = 100000});
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    await_answer("sara@hosted.test", REFUSE_N);
    dir_quota_pack(kit_object(&all, OBJECT_QUOTA, KIT_SARA, KIT_TENANT, "sara@hosted.test"),
                   &(struct dir_quota){.bytes = 25000});
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    await_answer("sara@hosted.test", REFUSE_MAILBOX_FULL);
    keep((struct dir_keeping){.hosted_days = 1});
    let_days_pass(2);
    await_state(KIT_SARA, first, TOMBSTONE);
    await_answer("sara@hosted.test", REFUSE_N); /* there is room again */
}

/* Its mail system has no such bound: no mail is ever refused for our copy of it. */
static void mail_for_a_mail_system_of_the_company_is_taken_whatever_the_quota_is(void **)
{
    found_company();
    keep((struct dir_keeping){.quota_bytes = 1});
    (void)came("sara@hosted.test", 10000);
    await_answer("sara@hosted.test", REFUSE_MAILBOX_FULL);
    uint64_t one = delivered("anna@example.test", 10000);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ask("anna@example.test"), REFUSE_N);
        kit_let_pass(20);
        nudge();
    }
    uint64_t two = delivered("anna@example.test", 10000);
    assert_int_equal(state_of(KIT_ANNA, one), HERE);
    assert_int_equal(state_of(KIT_ANNA, two), HERE);
}

/* ---- tombstones ---- */

static bool keep_mark(void *arg, const struct store_purgeable *p)
{
    *(uint64_t *)arg = p->mark;
    return false;
}

/* Hours pass until it is noted that this account has tombstones. */
static void await_mark(uint64_t person)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    uint64_t mark = 0;
    struct errinfo ei;
    while (mark == 0) {
        struct store_purge_wish wish = {.after = person - 1, .before = INT64_MAX, .most = 1};
        kit_let_hours_pass(1);
        struct store_reader *reader = kit_reader();
        assert_int_equal(store_each_purgeable(reader, &wish, keep_mark, &mark, &ei), ERR_OK);
        store_reader_close(&reader);
        if (mono_now() > until)
            fail_msg("nobody noted when tombstones were there");
        nudge();
    }
}

static void a_tombstone_goes_after_a_month_and_the_floor_rises(void **)
{
    found_company();
    uint64_t old = delivered("anna@example.test", 0);
    uint64_t here = delivered("anna@example.test", 0);
    deed((struct deed){.message = old, .is_gone = true});
    await_state(KIT_ANNA, old, TOMBSTONE);
    uint64_t floor = account_of(KIT_ANNA).modseq;
    await_mark(KIT_ANNA);
    let_days_pass(TOMBSTONE_DAYS / 2);
    look_on();
    assert_int_equal(state_of(KIT_ANNA, old), TOMBSTONE);
    assert_int_equal(account_of(KIT_ANNA).floor, 0);
    let_days_pass(TOMBSTONE_DAYS / 2);
    await_state(KIT_ANNA, old, NOTHING);
    assert_int_equal(state_of(KIT_ANNA, here), HERE);
    assert_int_equal(account_of(KIT_ANNA).floor, floor);
    assert_int_equal(account_of(KIT_ANNA).modseq, floor);
    kit_end_of_waiting();
    kit_stop(); /* and what is made anew is the same */
    kit_start();
    assert_int_equal(state_of(KIT_ANNA, old), NOTHING);
    assert_int_equal(account_of(KIT_ANNA).floor, floor);
}

/* It says that somebody deleted it: the primary's has to go, too. */
static void a_tombstone_that_is_not_given_back_stays(void **)
{
    found_company();
    kit_open_mailboxes();
    uint64_t old = delivered("anna@example.test", 0);
    uint64_t hosted = came("sara@hosted.test", 0);
    deed((struct deed){.message = old, .is_gone = true});
    keep((struct dir_keeping){.hosted_days = 1});
    let_days_pass(2);
    await_state(KIT_SARA, hosted, TOMBSTONE);
    await_mark(KIT_ANNA);
    await_mark(KIT_SARA);
    let_days_pass(TOMBSTONE_DAYS + 1);
    await_state(KIT_SARA, hosted, NOTHING);
    assert_int_equal(state_of(KIT_ANNA, old), TOMBSTONE);
    assert_int_equal(account_of(KIT_ANNA).floor, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(what_came_goes_after_90_days_and_what_nobody_else_has_stays),
        TEST(a_company_says_how_long),
        TEST(a_company_may_keep_it_for_ever),
        TEST(essential_people_keep_it_longer),
        TEST(what_is_not_given_back_stays),
        TEST(nothing_goes_while_the_mail_system_is_not_well),
        TEST(a_change_that_is_still_being_written_is_not_overruled),
        TEST(nothing_goes_when_the_mail_system_fails_at_that_moment),
        TEST(an_account_that_cannot_be_read_holds_up_nobody_else),
        TEST(nor_does_another_one),
        TEST(above_its_size_a_mailbox_loses_the_oldest),
        TEST(a_full_hosted_mailbox_lets_senders_wait),
        TEST(mail_for_a_mail_system_of_the_company_is_taken_whatever_the_quota_is),
        TEST(a_tombstone_goes_after_a_month_and_the_floor_rises),
        TEST(a_tombstone_that_is_not_given_back_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
