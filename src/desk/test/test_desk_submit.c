/* What people send: which messages it becomes, once each, when, and how much of it. */
#include "desk_kit_submit.h"

#include "desk/desk_state_int.h"

/* ---- tests ---- */

static void it_becomes_one_message_for_each_mail_system_and_one_for_the_world(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"luca@example.test", "one@world.test", "otto@other.test",
                              "sara@hosted.test", "two@world.test", "sales@example.test"}};
    put(&s);
    struct jmap_item_submission x = await_state(&s, JMAP_FINAL);
    assert_int_equal(x.n_parts, 4);
    static const uint16_t parts[] = {1, 2, 3, 4, 2, 1};
    for (int i = 0; i < 6; i++)
        assert_int_equal(x.rcpts[i].part, parts[i]);
    assert_false(has_blob(&s));
    struct kit_rows rows;
    kit_rows_of(x.parts[0].message, &rows);
    assert_int_equal(rows.n, 4); /* luca, sales, and its members */
    assert_int_equal(rows.rows[0].facts.mailbox, KIT_BOX_LUCA);
    assert_int_equal(rows.rows[2].facts.mailbox, KIT_BOX_ANNA); /* a member of the group */
    assert_int_equal(rows.rows[0].facts.primary, KIT_PRIMARY);
    kit_rows_of(x.parts[3].message, &rows); /* hosted here: it is there */
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.rows[0].facts.mailbox, KIT_BOX_SARA);
    assert_int_equal(rows.rows[0].last.disposition, DISPOSITION_DELIVERED);
    for (int i = 0; i < 3; i++) {
        struct kit_job j;
        kit_job(&j);
        assert_true(slice_eq(j.job.mail_from, SLICE("anna@example.test")));
        assert_non_null(memmem(j.content.p, j.content.n, MAIL, sizeof(MAIL) - 1));
        assert_non_null(memmem(j.content.p, j.content.n, "Staffetta-Trace:", 16));
        if (j.job.kind == IPC_JOB_WORLD)
            assert_true(j.job.n_rcpts == 2 && slice_eq(j.job.domain, SLICE("world.test")));
        kit_result(&j, kit_good);
        kit_job_free(&j);
    }
    kit_await(x.parts[1].message, 1, DISPOSITION_DELIVERED);
    assert_true(kit_is_answered(x.parts[1].message));
    kit_check_sums();
}

static void put_group(struct kit_objects *all, uint64_t id, const char *address,
                      const struct dir_text *members, uint32_t n)
{
    struct dir_text own = {slice_str(address)};
    struct dir_group group = {.name = own.text,
                              .addresses = &own,
                              .n_addresses = 1,
                              .members = (struct dir_text *)(uintptr_t)members,
                              .n_members = n};
    dir_group_pack(kit_object(all, OBJECT_GROUP, id, KIT_TENANT, address), &group);
}

/* all@ has sales@ (anna, luca), luca once more, and itself by way of board@. */
static void groups_in_groups_reach_everybody_once(void **)
{
    kit_found((struct kit_company){0});
    struct kit_objects groups = {.n = 0};
    static const struct dir_text of_all[] = {{{"sales@example.test", 18}},
                                             {{"luca@example.test", 17}},
                                             {{"board@example.test", 18}}},
                                 of_board[] = {{{"all@example.test", 16}},
                                               {{"sara@hosted.test", 16}}};
    put_group(&groups, 700, "all@example.test", of_all, 3);
    put_group(&groups, 701, "board@example.test", of_board, 2);
    assert_int_equal(kit_put_objects(&groups, NULL), ERR_OK);
    struct sub s = {.rcpts = {"all@example.test"}};
    put(&s);
    struct jmap_item_submission x = await_state(&s, JMAP_FINAL);
    struct kit_rows rows;
    kit_rows_of(x.parts[0].message, &rows);
    assert_int_equal(rows.n, 4); /* the group, anna, luca, sara */
    static const uint64_t boxes[] = {0, KIT_BOX_ANNA, KIT_BOX_LUCA, KIT_BOX_SARA};
    for (int i = 1; i < 4; i++) {
        assert_int_equal(rows.rows[i].facts.mailbox, boxes[i]);
        assert_int_equal(rows.rows[i].facts.parent, 1);
    }
    kit_end_job(kit_good);
    kit_check_sums();
}

/* The list of people is complete: who is not in it does not exist. */
static void complete_list(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_snapshot snapshot = {.at = utc_now() + 1000000, .n_people = 3};
    dir_snapshot_pack(kit_object(&all, OBJECT_SNAPSHOT, 50, KIT_TENANT, "list"), &snapshot);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void ask_now(void *)
{
    struct directory_route r;
    (void)desk_judge_rcpt(kit->desk, SLICE("nobody@example.test"), 0, &r);
}

static void found_with_a_complete_list(void)
{
    kit_found((struct kit_company){0});
    kit_on_loop(ask_now, NULL); /* the first time somebody tries it … */
    complete_list();            /* … lies before the list */
}

static void who_does_not_exist_comes_back_as_a_notice(void **)
{
    found_with_a_complete_list();
    struct sub s = {.rcpts = {"nobody@example.test", "luca@example.test"}};
    put(&s);
    struct jmap_item_submission x = await_state(&s, JMAP_FINAL);
    assert_int_equal(x.n_parts, 1);
    assert_int_equal(x.rcpts[0].part, 0);
    assert_int_equal(x.rcpts[0].refusal, 1 + REFUSE_UNKNOWN_PERSON);
    bool has_notice = false;
    for (int i = 0; i < 2; i++) { /* in any order */
        struct kit_job j;
        kit_job(&j);
        if (j.job.mail_from.n == 0) {
            has_notice = true;
            assert_true(slice_eq(j.job.rcpts[0].address, SLICE("anna@example.test")));
            assert_non_null(memmem(j.content.p, j.content.n, "nobody@example.test", 19));
            assert_non_null(memmem(j.content.p, j.content.n, "Status: 5.1.1", 13));
        } else {
            assert_int_equal(j.job.n_rcpts, 1);
        }
        kit_result(&j, kit_good);
        kit_job_free(&j);
    }
    assert_true(has_notice);
    struct sub never = {.rcpts = {"nobody@example.test"}, .notify = WIRE_NOTIFY_NEVER};
    put(&never);
    await_state(&never, JMAP_FINAL);
    kit_expect_quiet(kit->courier);
}

/* With the whole message it is longer than a record. */
static void a_notice_that_the_disk_refuses_is_tried_again(void **)
{
    enum { BYTES = STORE_INLINE_MAX - 1000 };
    char *mail = mem_new(BYTES + 1);
    memset(mail, 'x', BYTES);
    memcpy(mail, MAIL, sizeof(MAIL) - 1);
    for (size_t i = sizeof(MAIL); i < BYTES; i += 70)
        memcpy(mail + i, "\r\n", 2);
    found_with_a_complete_list();
    struct sub s = {.rcpts = {"nobody@example.test"},
                    .ret = WIRE_RET_FULL,
                    .mail = mail,
                    .send_at = utc_now() + 60000};
    put(&s);
    kit_expect_quiet(kit->courier);
    disk_fail_after(2, 1, ENOSPC); /* the plan and a chunk are written, the record is not */
    kit_utc_later += 61;
    kit_await_event("store.write_failed");
    struct kit_job j = {0};
    for (int i = 0; i < 20 && look(&s).state != JMAP_FINAL; i++) {
        kit_utc_later += 15;
        usleep(300000);
    }
    assert_int_equal(look(&s).state, JMAP_FINAL);
    kit_job(&j);
    assert_int_equal(j.job.message, look(&s).notice);
    assert_true(j.content.n > STORE_INLINE_MAX);
    kit_result(&j, kit_good);
    kit_job_free(&j);
    kit_expect_quiet(kit->courier); /* one is enough */
    mem_free(&mail);
}

static void who_may_have_no_more_notices_sends_all_the_same(void **)
{
    uint64_t most = refuse_row(REFUSE_NOTICES)->limit;
    found_with_a_complete_list();
    for (uint64_t i = 0; i <= most; i++) {
        struct sub s = {.rcpts = {"nobody@example.test"}};
        put(&s);
        await_state(&s, JMAP_FINAL);
    }
}

static void what_waits_for_its_time_can_be_withdrawn_and_only_then(void **)
{
    kit_found((struct kit_company){0});
    struct errinfo ei;
    struct sub s = {.rcpts = {"luca@example.test"}, .send_at = utc_now() + 600000};
    put(&s);
    assert_int_equal(desk_withdraw(kit->desk, s.id, &ei), ERR_OK);
    assert_int_equal(desk_withdraw(kit->desk, s.id, &ei), ERR_CONFLICT);
    struct sub other = {.rcpts = {"luca@example.test"}, .send_at = utc_now() + 200};
    put(&other);
    await_state(&other, JMAP_FINAL);
    assert_true(utc_now() >= other.send_at);
    assert_int_equal(look(&s).state, JMAP_PENDING); /* its person says what becomes of it */
    assert_int_equal(desk_withdraw(kit->desk, other.id, &ei), ERR_CONFLICT);
    kit_end_job(kit_good);
    kit_expect_quiet(kit->courier);
    desk_submitted(kit->desk, KIT_ANNA, s.id, utc_now()); /* undoing it failed */
    await_state(&s, JMAP_FINAL);
    kit_end_job(kit_good);
}

static void what_is_due_is_found_at_start(void **)
{
    kit_found((struct kit_company){0});
    struct sub due = {.rcpts = {"luca@example.test"}, .is_silent = true};
    struct sub going = {.rcpts = {"luca@example.test"}, .is_silent = true, .state = JMAP_GOING};
    struct sub later = {
        .rcpts = {"luca@example.test"}, .is_silent = true, .send_at = utc_now() + 600000};
    struct sub canceled = {
        .rcpts = {"luca@example.test"}, .is_silent = true, .state = JMAP_CANCELED};
    put(&due);
    put(&going);
    put(&later);
    put(&canceled);
    kit_expect_quiet(kit->courier);
    kit_restart();
    kit_end_job(kit_good);
    kit_end_job(kit_good);
    await_state(&due, JMAP_FINAL);
    await_state(&going, JMAP_FINAL);
    kit_expect_quiet(kit->courier);
    struct errinfo ei;
    assert_int_equal(look(&later).state, JMAP_PENDING);
    assert_int_equal(look(&canceled).state, JMAP_CANCELED);
    assert_int_equal(desk_withdraw(kit->desk, later.id, &ei), ERR_OK);
}

/* Ended between the first message and the second. */
static void after_an_end_in_the_middle_only_what_lacks_is_made(void **)
{
    kit_found((struct kit_company){0});
    struct sub first = {.rcpts = {"one@world.test"}};
    put(&first);
    struct jmap_item_submission x = await_state(&first, JMAP_FINAL);
    kit_end_job(kit_good);
    kit_await(x.parts[0].message, 0, DISPOSITION_DELIVERED);
    struct jmap_item_part parts[] = {x.parts[0],
                                     {.message = x.parts[0].message + 100000000,
                                      .tenant = KIT_TENANT,
                                      .primary = KIT_PRIMARY,
                                      .is_inward = 1}};
    struct sub s = {.rcpts = {"one@world.test", "luca@example.test"},
                    .state = JMAP_GOING,
                    .is_silent = true,
                    .parts = parts,
                    .n_parts = 2};
    put(&s);
    kit_restart();
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.message, parts[1].message);
    assert_int_equal(j.job.n_rcpts, 1);
    kit_result(&j, kit_good);
    kit_job_free(&j);
    await_state(&s, JMAP_FINAL);
    kit_expect_quiet(kit->courier);
    kit_check_sums();
}

static void give_up_now(void *arg)
{
    desk_give_up(kit->desk, *(const uint64_t *)arg);
}

/* The first try failed behind its chunks, and the next one comes before they are given up. */
static void what_is_left_of_a_try_takes_nothing_of_the_next_one(void **)
{
    kit_found((struct kit_company){0});
    struct jmap_item_part part = {.message = desk_next_id(kit->desk), .tenant = KIT_TENANT};
    struct sub s = {.rcpts = {"one@world.test"},
                    .state = JMAP_GOING,
                    .is_silent = true,
                    .parts = &part,
                    .n_parts = 1};
    put(&s);
    kit_on_loop(give_up_now, &part.message);
    desk_submitted(kit->desk, KIT_ANNA, s.id, 0);
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (look(&s).state != JMAP_FINAL && mono_now() < until) {
        kit_utc_later += 15;
        usleep(300000);
    }
    assert_int_equal(look(&s).state, JMAP_FINAL);
    usleep(500000); /* whatever is still to be given up */
    struct store_reader *reader = kit_reader();
    struct store_message m;
    struct errinfo ei;
    assert_int_equal(store_get_message(reader, part.message, seen_arena, &m, &ei), ERR_OK);
    assert_false(m.is_dropped);
    store_reader_close(&reader);
    kit_end_job(kit_good);
}

static void one_that_is_damaged_is_told_to_people(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"one@world.test"}, .is_damaged = true};
    put(&s);
    kit_await_event("submission.unreadable");
    kit_expect_quiet(kit->courier);
}

static void one_that_is_damaged_at_start_is_told_to_people(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"one@world.test"}, .is_damaged = true, .is_silent = true};
    put(&s);
    assert_false(kit_has_event("submission.unreadable"));
    kit_restart();
    kit_await_event("submission.unreadable");
}

static void who_was_removed_sends_no_more(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"luca@example.test"}, .send_at = utc_now() + 60000};
    put(&s);
    struct kit_objects all = {.n = 0};
    kit_person(&all, KIT_ANNA, "anna@example.test", NULL, 0);
    all.list[0].is_removed = 1;
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    kit_utc_later += 61;
    await_state(&s, JMAP_CANCELED);
    assert_false(has_blob(&s));
    kit_expect_quiet(kit->courier);
}

static void a_disk_that_refuses_is_tried_again(void **)
{
    kit_found((struct kit_company){0});
    struct sub s = {.rcpts = {"luca@example.test"}, .send_at = utc_now() + 60000};
    put(&s);
    kit_expect_quiet(kit->courier);
    disk_fail_with(1, ENOSPC, false);
    kit_utc_later += 61; /* due, and its plan does not become durable */
    kit_await_event("store.write_failed");
    kit_expect_quiet(kit->courier);
    kit_utc_later += 15;
    kit_end_job(kit_good);
    await_state(&s, JMAP_FINAL);
    kit_expect_quiet(kit->courier);
}

static void a_person_who_sends_very_much_is_stopped(void **)
{
    kit_found((struct kit_company){0});
    struct errinfo ei;
    uint64_t minute = refuse_row(REFUSE_SENDING_MINUTE)->limit;
    uint64_t hour = refuse_row(REFUSE_SENDING_HOUR)->limit;
    struct slice who = SLICE("anna@example.test");
    assert_int_equal(desk_may_submit(kit->desk, KIT_ANNA, who, hour, &ei), ERR_OK);
    assert_int_equal(desk_may_submit(kit->desk, KIT_ANNA, who, 1, &ei), ERR_LIMIT);
    assert_non_null(strstr(ei.text, "in an hour"));
    assert_int_equal(desk_may_submit(kit->desk, KIT_LUCA, who, 1, &ei), ERR_OK);
    unsigned n = 1;
    while (n <= minute + 1 && desk_may_submit(kit->desk, KIT_LUCA, who, 1, &ei) == ERR_OK)
        n++;
    assert_true(n == minute || n == 2 * minute); /* a minute may begin in between */
    assert_non_null(strstr(ei.text, "30 messages"));
}

static void what_was_not_sent_is_given_back(void **)
{
    kit_found((struct kit_company){0});
    struct errinfo ei;
    uint64_t minute = refuse_row(REFUSE_SENDING_MINUTE)->limit;
    uint64_t hour = refuse_row(REFUSE_SENDING_HOUR)->limit;
    struct slice who = SLICE("anna@example.test");
    for (uint64_t i = 0; i <= 2 * minute; i++) {
        utc_ms now = utc_now();
        assert_int_equal(desk_may_submit(kit->desk, KIT_ANNA, who, hour, &ei), ERR_OK);
        desk_unsubmitted(kit->desk, KIT_ANNA, hour, now);
    }
    assert_int_equal(desk_may_submit(kit->desk, KIT_ANNA, who, hour, &ei), ERR_OK);
    desk_unsubmitted(kit->desk, KIT_ANNA, hour, utc_now() - (utc_ms)25 * 3600 * 1000);
    assert_int_equal(desk_may_submit(kit->desk, KIT_ANNA, who, 1, &ei), ERR_LIMIT);
    desk_unsubmitted(kit->desk, KIT_LUCA, hour, utc_now()); /* more than there ever was */
    assert_int_equal(desk_may_submit(kit->desk, KIT_LUCA, who, hour, &ei), ERR_OK);
    assert_int_equal(desk_may_submit(kit->desk, KIT_LUCA, who, 1, &ei), ERR_LIMIT);
}

static void what_was_sent_counts_after_a_start_too(void **)
{
    kit_found((struct kit_company){0});
    struct errinfo ei;
    struct sub s = {.rcpts = {"luca@example.test", "sara@hosted.test"}, .send_at = utc_now()};
    put(&s);
    await_state(&s, JMAP_FINAL);
    kit_end_job(kit_good);
    kit_restart();
    uint64_t hour = refuse_row(REFUSE_SENDING_HOUR)->limit;
    struct slice who = SLICE("anna@example.test");
    assert_int_equal(desk_may_submit(kit->desk, KIT_ANNA, who, hour - 1, &ei), ERR_LIMIT);
    assert_int_equal(desk_may_submit(kit->desk, KIT_ANNA, who, hour - 2, &ei), ERR_OK);
}

struct may {
    uint64_t person;
    enum continuity_state state;
    bool is;
    char words[400];
};

static void may_now(void *arg)
{
    struct may *m = arg;
    SCOPED(buf_finish) struct buf words = buf_make(400);
    if (m->state)
        desk_primary(kit->desk, KIT_PRIMARY)->p.state = m->state;
    m->is = desk_may_send(kit->desk, directory_person(kit->desk->directory, m->person), &words);
    snprintf(m->words, sizeof(m->words), "%s", buf_cstr(&words));
}

static bool may(uint64_t person, enum continuity_state state)
{
    struct may m = {.person = person, .state = state};
    kit_on_loop(may_now, &m);
    assert_int_equal(m.is, m.words[0] == '\0'); /* a refusal says why */
    return m.is;
}

static void plan_late(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_plan version = {.version = 1, .approved_at = 1, .is_sending_late = 1};
    struct dir_plans plans = {&version, 1};
    dir_plans_pack(kit_object(&all, OBJECT_PLAN, KIT_PRIMARY, KIT_TENANT, "plan"), &plans);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void sending_begins_when_the_mail_system_is_in_trouble(void **)
{
    kit_found((struct kit_company){0});
    assert_false(may(KIT_ANNA, STATE_STANDBY));
    assert_true(may(KIT_ANNA, STATE_SUSPECT));
    assert_true(may(KIT_ANNA, STATE_EMERGENCY));
    assert_true(may(KIT_ANNA, STATE_RETURNING));
    assert_true(may(KIT_SARA, 0)); /* hosted: always */
    plan_late();
    assert_false(may(KIT_ANNA, STATE_SUSPECT));
    assert_true(may(KIT_ANNA, STATE_EMERGENCY));
}

static bool is_gone(const struct sub *s)
{
    struct store_reader *reader = kit_reader();
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct record_item item = {};
    struct errinfo ei;
    assert_int_equal(store_get_item(reader, KIT_ANNA, ITEM_SUBMISSION, s->id, a, &item, &ei),
                     ERR_OK);
    store_reader_close(&reader);
    return item.is_gone;
}

static void await_settled(const struct sub *s)
{
    for (int i = 0; i < KIT_WAIT_MS / 3 && !look(s).is_settled; i++)
        usleep(3000);
    assert_true(look(s).is_settled);
}

static void what_is_over_for_a_month_goes_and_the_rest_stays(void **)
{
    kit_found((struct kit_company){0});
    struct sub over = {.rcpts = {"one@world.test"}}, waits = {.rcpts = {"luca@example.test"}},
               young = {.rcpts = {"one@world.test"}};
    struct sub canceled = {.rcpts = {"one@world.test"}, .is_silent = true, .state = JMAP_CANCELED};
    put(&over);
    await_state(&over, JMAP_FINAL);
    kit_end_job(kit_good);
    await_settled(&over);
    put(&waits);
    await_state(&waits, JMAP_FINAL);
    put(&canceled);
    kit_utc_later += 31 * 86400;
    put(&young);
    await_state(&young, JMAP_FINAL);
    kit_restart();
    for (int i = 0; i < KIT_WAIT_MS / 3 && !(is_gone(&over) && is_gone(&canceled)); i++)
        usleep(3000);
    assert_true(is_gone(&over) && is_gone(&canceled));
    assert_false(is_gone(&waits) || is_gone(&young));
}

/* ---- signatures ---- */

static void expect_signatures(bool has_rsa, bool has_ed25519)
{
    struct sub s = {.rcpts = {"one@world.test"}};
    struct kit_job j;
    put(&s);
    kit_job(&j);
    bool rsa = memmem(j.content.p, j.content.n, "s=sf1r;", 7);
    bool ed25519 = memmem(j.content.p, j.content.n, "s=sf1e;", 7);
    assert_int_equal(rsa, has_rsa);
    assert_int_equal(ed25519, has_ed25519);
    kit_result(&j, kit_good);
    kit_job_free(&j);
    await_state(&s, JMAP_FINAL);
}

static void active_keys_sign_and_others_do_not(void **)
{
    kit_found((struct kit_company){0});
    expect_signatures(false, false);
    put_keys("01", NULL); /* new, active */
    expect_signatures(false, true);
    put_keys("11", NULL);
    expect_signatures(true, true);
    put_keys("12", NULL); /* active, retired */
    expect_signatures(true, false);
}

/* What is held may go when its domain has gone to somebody else. */
static void nobody_signs_with_a_key_of_another_tenant(void **)
{
    kit_found((struct kit_company){0});
    put_keys("11", NULL);
    struct sub held = {.rcpts = {"one@world.test"}, .send_at = utc_now() + 60000};
    put(&held);
    struct kit_objects all = {.n = 0};
    struct dir_domain domain = {
        .name = SLICE("example.test"), .primary = KIT_OTHER_PRIMARY, .form = DIR_INLINE};
    dir_domain_pack(kit_object(&all, OBJECT_DOMAIN, KIT_DOMAIN, KIT_OTHER_TENANT, "example.test"),
                    &domain);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    kit_utc_later += 61;
    struct kit_job j;
    kit_job(&j);
    assert_null(memmem(j.content.p, j.content.n, "DKIM-Signature", 14));
    kit_result(&j, kit_good);
    kit_job_free(&j);
    await_state(&held, JMAP_FINAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_becomes_one_message_for_each_mail_system_and_one_for_the_world),
        TEST(groups_in_groups_reach_everybody_once),
        TEST(who_does_not_exist_comes_back_as_a_notice),
        TEST(a_notice_that_the_disk_refuses_is_tried_again),
        TEST(who_may_have_no_more_notices_sends_all_the_same),
        TEST(what_waits_for_its_time_can_be_withdrawn_and_only_then),
        TEST(what_is_due_is_found_at_start),
        TEST(after_an_end_in_the_middle_only_what_lacks_is_made),
        TEST(what_is_left_of_a_try_takes_nothing_of_the_next_one),
        TEST(one_that_is_damaged_is_told_to_people),
        TEST(one_that_is_damaged_at_start_is_told_to_people),
        TEST(who_was_removed_sends_no_more),
        TEST(a_disk_that_refuses_is_tried_again),
        TEST(a_person_who_sends_very_much_is_stopped),
        TEST(what_was_not_sent_is_given_back),
        TEST(what_was_sent_counts_after_a_start_too),
        TEST(sending_begins_when_the_mail_system_is_in_trouble),
        TEST(what_is_over_for_a_month_goes_and_the_rest_stays),
        TEST(active_keys_sign_and_others_do_not),
        TEST(nobody_signs_with_a_key_of_another_tenant),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_destroy(&seen_arena);
    return failed;
}
