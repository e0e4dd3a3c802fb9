/* Primaries as they are experienced, decisions of people, and what survives a start: states,
 * orders about rows, changes, the disk. */
#include "desk_kit.h"

static const struct kit_mail to_anna = {.rcpts = {"anna@example.test"}};

/* ---- states ---- */

struct state {
    uint64_t primary;
    struct admin_primary_state s;
    bool is_known;
};

static void read_state(void *arg)
{
    struct state *s = arg;
    s->is_known = kit_admin->host.state(kit_admin->host.arg, s->primary, &s->s);
}

static enum continuity_state state_of(uint64_t primary)
{
    struct state s = {.primary = primary};
    kit_on_loop(read_state, &s);
    assert_true(s.is_known);
    return s.s.p.state;
}

static void await_state(uint64_t primary, enum continuity_state want)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (state_of(primary) != want) {
        if (mono_now() > until)
            fail_msg("it is %s, not %s", continuity_state_name(state_of(primary)),
                     continuity_state_name(want));
        usleep(2000);
    }
}

/* The next probe of this primary sees this; of which only primary, tag and text are filled in. */
static void probe_tells(uint64_t primary, struct ipc_observed o)
{
    struct kit_frame f = {0};
    struct ipc_probe probe;
    struct arena *a = arena_create(1 << 20);
    do {
        kit_expect(kit->liaison, IPC_T_probe, &f);
        arena_reset(a);
        assert_true(ipc_probe_unpack(f.payload, a, &probe));
        assert_int_equal(f.tag, probe.primary);
    } while (probe.primary != primary);
    o.primary = primary;
    o.text = SLICE("as the test says");
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    ipc_observed_pack(&b, &o);
    kit_put(kit->liaison, IPC_T_observed, primary, &b);
    kit_frame_free(&f);
    arena_destroy(&a);
}

static void probe_sees(uint64_t primary, uint16_t code)
{
    probe_tells(primary, (struct ipc_observed){.phase = code ? SMTP_PHASE_DOT : SMTP_PHASE_CONNECT,
                                               .code = code,
                                               .abilities = IPC_ABILITIES_KNOWN,
                                               .software = SLICE("Postfix")});
}

static void failed_deliveries_make_a_primary_suspect_and_it_survives_a_start(void **)
{
    kit_found((struct kit_company){0});
    for (int i = 0; i < 3; i++)
        (void)kit_accept(kit->gate, &to_anna);
    for (int i = 0; i < 3; i++) {
        kit_end_job(kit_silent);
        usleep(1000);
    }
    await_state(KIT_PRIMARY, STATE_SUSPECT);
    kit_await_event("primary.suspect");
    kit_restart();
    assert_int_equal(state_of(KIT_PRIMARY), STATE_SUSPECT);
    assert_int_equal(state_of(KIT_OTHER_PRIMARY), STATE_STANDBY);
}

static void one_good_probe_ends_a_suspicion_and_mail_flows(void **)
{
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    probe_sees(KIT_PRIMARY, 0);
    probe_sees(KIT_PRIMARY, 0); /* sooner than that of a healthy one */
    uint64_t lost = kit_accept(kit->gate, &to_anna);
    kit_end_job(kit_silent);
    await_state(KIT_PRIMARY, STATE_SUSPECT);
    kit_await(lost, 0, DISPOSITION_WAITING);
    assert_int_equal(kit_order(QUEUE_REMOVE, lost, 0), ERR_OK);
    uint64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = kit_accept(kit->gate, &to_anna);
    struct kit_job first;
    kit_job(&first);
    kit_expect_quiet(kit->courier); /* one at a time */
    probe_sees(KIT_PRIMARY, 250);
    await_state(KIT_PRIMARY, STATE_STANDBY);
    kit_end_job(kit_good);
    kit_end_job(kit_good);
    kit_result(&first, kit_good);
    for (int i = 0; i < 3; i++)
        kit_await(ids[i], 0, DISPOSITION_DELIVERED);
    kit_job_free(&first);
}

/* An object of state as an earlier core wrote it, read at the next start. */
static void write_state(enum continuity_state state, utc_ms first_bad)
{
    struct kit_objects all = {.n = 0};
    struct buf *b = kit_object(&all, OBJECT_STATE, KIT_PRIMARY, KIT_TENANT, "exchange");
    buf_u8(b, (uint8_t)state);
    buf_u64(b, (uint64_t)first_bad);
    buf_u64(b, (uint64_t)first_bad);
    buf_u32(b, 0);
    buf_u64(b, 0);
    buf_u64(b, 0);
    buf_bytes(b, SLICE("probe"));
    buf_bytes(b, SLICE("no answer"));
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void the_time_in_which_we_were_away_proves_nothing(void **)
{
    kit_found((struct kit_company){0});
    write_state(STATE_SUSPECT, utc_now() - 3600 * 1000);
    kit_restart();
    assert_int_equal(state_of(KIT_PRIMARY), STATE_SUSPECT);
    usleep(200000); /* some ticks of the states */
    assert_int_equal(state_of(KIT_PRIMARY), STATE_SUSPECT);
}

static void a_state_that_does_not_exist_is_not_taken_over(void **)
{
    kit_found((struct kit_company){0});
    write_state(0, utc_now());
    kit_restart();
    assert_int_equal(state_of(KIT_PRIMARY), STATE_STANDBY);
    write_state(STATE_N, utc_now());
    kit_restart();
    assert_int_equal(state_of(KIT_PRIMARY), STATE_STANDBY);
}

static void what_a_person_began_only_a_person_ends(void **)
{
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_expect_quiet(kit->courier);
    probe_sees(KIT_PRIMARY, 250);
    kit_await_event("primary.ready");
    assert_int_equal(state_of(KIT_PRIMARY), STATE_EMERGENCY);
    kit_restart(); /* also after a start */
    kit->liaison = kit_link(IPC_LIAISON, 1);
    probe_sees(KIT_PRIMARY, 250);
    kit_expect_quiet(kit->courier);
    assert_int_equal(state_of(KIT_PRIMARY), STATE_EMERGENCY);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_INVALID);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_RETURN), ERR_OK);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    await_state(KIT_PRIMARY, STATE_STANDBY); /* everything was given back */
    kit_await_event("primary.returning");
    assert_int_equal(kit_decide(999, EVIDENCE_SAY_RETURN), ERR_GONE);
}

static void a_delivery_from_before_says_nothing_in_an_emergency(void **)
{
    struct kit_job j;
    kit_found((struct kit_company){0});
    (void)kit_accept(kit->gate, &to_anna);
    kit_job(&j);
    write_state(STATE_EMERGENCY, utc_now()); /* not by hand: a good sign would end it */
    kit_job_free(&j);
    kit_restart();
    assert_int_equal(state_of(KIT_PRIMARY), STATE_EMERGENCY);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    probe_sees(KIT_PRIMARY, 250);
    await_state(KIT_PRIMARY, STATE_RETURNING);
    kit_job(&j);
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    kit_result(&j, kit_good);
    kit_await(j.job.message, 0, DISPOSITION_DELIVERED);
    assert_int_equal(state_of(KIT_PRIMARY), STATE_EMERGENCY);
    assert_false(kit_has_event("primary.ready"));
    kit_job_free(&j);
}

static void a_liaison_that_dies_is_no_evidence(void **)
{
    kit_found((struct kit_company){0});
    for (int i = 0; i < 4; i++) {
        struct kit_frame f = {0};
        kit->liaison = kit_link(IPC_LIAISON, 1);
        kit_expect(kit->liaison, IPC_T_probe, &f);
        kit_frame_free(&f);
        fd_close(&kit->liaison);
    }
    assert_int_equal(state_of(KIT_PRIMARY), STATE_STANDBY);
}

static void a_probe_that_fails_through_us_is_no_evidence(void **)
{
    static const struct {
        struct ipc_observed seen;
        bool is_evidence;
    } rows[] = {
        {{.phase = SMTP_PHASE_NAME, .is_ours = 1}, false},    /* our resolver */
        {{.phase = SMTP_PHASE_CONNECT, .is_ours = 1}, false}, /* our sandbox, our descriptors */
        {{.phase = SMTP_PHASE_TLS, .is_ours = 1}, false},     /* no authority to check with */
        {{.phase = SMTP_PHASE_NAME}, true},                   /* there is no such name */
        {{.phase = SMTP_PHASE_CONNECT}, true},
        {{.phase = SMTP_PHASE_TLS}, true},
        {{.phase = SMTP_PHASE_BANNER, .code = 554}, true},
    };
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int n = 0; n < 4; n++) {
            probe_tells(KIT_PRIMARY, rows[i].seen);
            usleep(20000);
            kit_let_pass(11); /* it is asked again */
        }
        if (rows[i].is_evidence)
            await_state(KIT_PRIMARY, STATE_SUSPECT);
        assert_int_equal(state_of(KIT_PRIMARY),
                         rows[i].is_evidence ? STATE_SUSPECT : STATE_STANDBY);
        probe_tells(KIT_PRIMARY, (struct ipc_observed){.phase = SMTP_PHASE_DOT, .code = 250});
        await_state(KIT_PRIMARY, STATE_STANDBY);
        kit_let_pass(11);
    }
    kit_end_of_waiting();
}

static void what_was_not_asked_is_not_evidence(void **)
{
    struct ipc_observed o = {.primary = KIT_PRIMARY, .phase = SMTP_PHASE_CONNECT};
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    probe_sees(KIT_PRIMARY, 250);
    ipc_observed_pack(&b, &o);
    for (int i = 0; i < 5; i++)
        kit_put(kit->liaison, IPC_T_observed, KIT_PRIMARY, &b);
    struct ipc_controlled c = {.is_done = 1, .n = 1, .n_bad = 1};
    buf_clear(&b);
    ipc_controlled_pack(&b, &c);
    kit_put(kit->liaison, IPC_T_controlled, 0, &b);
    usleep(20000);
    assert_int_equal(state_of(KIT_PRIMARY), STATE_STANDBY);
    assert_int_equal(kit_count_nonsense(), 0);
    /* What the store had put off goes with it. */
    assert_int_equal(kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY), ERR_OK);
    kit_await_event("primary.emergency");
    assert_false(kit_has_event("node.blind"));
}

/* ---- orders about rows ---- */

static uint64_t held_message(void)
{
    uint64_t id = kit_accept(kit->gate, &(struct kit_mail){.rcpts = {"anna@example.test"},
                                                           .flags = MESSAGE_SENDER_PROVED});
    kit_end_job(kit_content);
    kit_await(id, 0, DISPOSITION_HELD);
    return id;
}

static void what_is_held_is_released_returned_or_removed(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = held_message();
    assert_int_equal(kit_order(QUEUE_RELEASE, id, 0), ERR_OK);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    id = held_message();
    assert_int_equal(kit_order(QUEUE_REMOVE, id, 0), ERR_OK);
    kit_await(id, 0, DISPOSITION_REMOVED);
    assert_int_equal(kit_order(QUEUE_REMOVE, id, 0), ERR_INVALID);
    id = held_message();
    assert_int_equal(kit_order(QUEUE_RETURN, id, 0), ERR_OK);
    kit_await(id, 0, DISPOSITION_RETURNED);
    struct kit_job j;
    kit_job(&j); /* the notice, to a sender that was proved */
    assert_int_equal(j.job.kind, IPC_JOB_WORLD);
    assert_true(slice_eq(j.job.rcpts[0].address, SLICE("sender@outside.test")));
    assert_non_null(memmem(j.content.p, j.content.n, "Subject: hello", 14)); /* what it was */
    kit_result(&j, kit_good);
    kit_job_free(&j);
    assert_int_equal(kit_order(QUEUE_REMOVE, 12345, 0), ERR_GONE);
    assert_int_equal(kit_order(QUEUE_REMOVE, id, 5), ERR_GONE);
    kit_check_sums();
}

static void a_sender_that_was_not_proved_gets_no_notice(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_end_job(kit_content);
    kit_await(id, 0, DISPOSITION_HELD);
    assert_int_equal(kit_order(QUEUE_RETURN, id, 0), ERR_DENIED);
    kit_await(id, 0, DISPOSITION_HELD);
}

static void what_waits_is_held_and_stays_held_over_a_start(void **)
{
    kit_found((struct kit_company){0});
    fd_close(&kit->courier);
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_await(id, 0, DISPOSITION_WAITING);
    assert_int_equal(kit_order(QUEUE_HOLD, id, 0), ERR_OK);
    kit_restart();
    kit_expect_quiet(kit->courier);
    kit_await(id, 0, DISPOSITION_HELD);
}

/* ---- changes ---- */

static void many_changes_are_done_one_after_the_other(void **)
{
    static struct kit_change changes[300];
    static struct kit_objects objects[300];
    unsigned n_ok = 0, n_refused = 0;
    kit_found((struct kit_company){0});
    disk_set(true, false); /* the first stays under way */
    for (uint64_t i = 0; i < 300; i++) {
        char name[40];
        snprintf(name, sizeof(name), "p%llu@example.test", (unsigned long long)i);
        objects[i].n = 0;
        kit_person(&objects[i], 1000 + i, name, NULL, 0);
        objects[i].list[0].name = SLICE("somebody");
        objects[i].list[0].body = buf_slice(&objects[i].bodies[0]);
        changes[i] = (struct kit_change){.objects = {objects[i].list, 1}};
        kit_on_loop(kit_change_put, &changes[i]);
    }
    disk_set(false, false);
    for (int i = 0; i < 300; i++) {
        kit_wait_change(&changes[i]);
        n_ok += changes[i].err == ERR_OK;
        n_refused += changes[i].err == ERR_LIMIT;
        buf_finish(&objects[i].bodies[0]);
    }
    assert_int_equal(n_ok, 257); /* one under way, 256 that wait */
    assert_int_equal(n_refused, 43);
    assert_int_equal(kit_ask(kit->gate, "p256@example.test", 0), REFUSE_N);
    assert_int_equal(kit_ask(kit->gate, "p257@example.test", 0), REFUSE_UNSURE_PERSON);
}

static void a_body_that_nobody_can_read_is_refused_before_it_is_written(void **)
{
    struct kit_objects all = {.n = 0};
    kit_found((struct kit_company){0});
    buf_adds(kit_object(&all, OBJECT_PERSON, 77, KIT_TENANT, "x"), SLICE("nonsense"));
    assert_int_equal(kit_put_objects(&all, NULL), ERR_INVALID);
    kit_restart();
    assert_int_equal(kit_ask(kit->gate, "anna@example.test", 0), REFUSE_N);
}

static void a_change_that_cannot_be_written_changes_nothing(void **)
{
    struct kit_objects all = {.n = 0};
    kit_found((struct kit_company){0});
    char name[40];
    enum err err = ERR_OK;
    for (int i = 0; err == ERR_OK; i++) { /* the store's own house-keeping may have that sync */
        snprintf(name, sizeof(name), "new%d@example.test", i);
        kit_person(&all, 50, name, NULL, 0);
        disk_fail(1);
        err = kit_put_objects(&all, NULL);
    }
    assert_int_equal(err, ERR_IO);
    assert_int_equal(kit_ask(kit->gate, name, 0), REFUSE_UNSURE_PERSON);
    disk_fail(0);
    kit_person(&all, 50, "new@example.test", NULL, 0);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    assert_int_equal(kit_ask(kit->gate, "new@example.test", 0), REFUSE_N);
}

static void a_mailbox_that_is_removed_takes_no_mail(void **)
{
    struct kit_rows rows;
    struct record_mailbox box = {
        .id = KIT_BOX_ANNA, .person = KIT_ANNA, .tenant = KIT_TENANT, .is_removed = 1};
    struct kit_objects none = {.n = 0};
    struct record_mailboxes boxes = {&box, 1};
    kit_found((struct kit_company){0});
    assert_int_equal(kit_put_objects(&none, &boxes), ERR_OK);
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_end_job(kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_rows_of(id, &rows);
    assert_int_equal(rows.rows[0].facts.mailbox, 0);
}

static void changes_reach_the_gates(void **)
{
    struct kit_frame f = {0};
    struct ipc_facts facts;
    struct arena *a = arena_create(1 << 20);
    kit_expect(kit->gate, IPC_T_facts, &f);
    assert_true(ipc_facts_unpack(f.payload, a, &facts));
    uint64_t generation = facts.generation;
    assert_int_equal(facts.refusal, 0);
    assert_int_equal(facts.n_networks, 0);
    kit_found((struct kit_company){0});
    struct kit_objects all = {.n = 0};
    struct dir_host host = {SLICE("127.0.0.1"), 25};
    struct dir_text networks[] = {{SLICE("192.0.2.0/24")}, {SLICE("nonsense")}};
    struct dir_primary p = {.name = SLICE("exchange"),
                            .hosts = &host,
                            .n_hosts = 1,
                            .networks = networks,
                            .n_networks = 2};
    dir_primary_pack(kit_object(&all, OBJECT_PRIMARY, KIT_PRIMARY, KIT_TENANT, "exchange"), &p);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    do {
        kit_expect(kit->gate, IPC_T_facts, &f);
        arena_reset(a);
        assert_true(ipc_facts_unpack(f.payload, a, &facts));
    } while (facts.n_networks == 0);
    assert_true(facts.generation > generation);
    assert_int_equal(facts.n_networks, 1);
    assert_int_equal(facts.networks[0].prefix, 24);
    assert_int_equal(facts.networks[0].primary, KIT_PRIMARY);
    kit_frame_free(&f);
    arena_destroy(&a);
}

/* ---- the disk ---- */

static void await_facts(uint32_t refusal)
{
    struct kit_frame f = {0};
    struct ipc_facts facts = {.refusal = 12345};
    struct arena *a = arena_create(1 << 20);
    do {
        kit_expect(kit->gate, IPC_T_facts, &f);
        arena_reset(a);
        assert_true(ipc_facts_unpack(f.payload, a, &facts));
    } while (facts.refusal != refusal);
    kit_frame_free(&f);
    arena_destroy(&a);
}

static void a_low_disk_closes_new_mail_and_opens_it_again(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_anna);
    struct kit_job j;
    kit_job(&j);
    disk_set(false, true);
    await_facts(1 + REFUSE_DISK_LOW);
    assert_int_equal(kit_refused(kit->gate, &to_anna), REFUSE_DISK_LOW);
    kit_await_event("disk.low");
    kit_await_event("mail.closed");
    kit_result(&j, kit_good); /* what is here goes on */
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_job_free(&j);
    disk_set(false, false);
    await_facts(0);
    (void)kit_accept(kit->gate, &to_anna);
    kit_end_job(kit_good);
    kit_await_event("mail.open");
    kit_await_event("disk.fine");
}

static void who_stops_takes_no_new_mail_and_lets_results_in(void **)
{
    struct kit_job j;
    kit_found((struct kit_company){0});
    uint64_t id = kit_accept(kit->gate, &to_anna);
    kit_job(&j);
    kit_on_loop(kit_stop_now, NULL);
    await_facts(1 + REFUSE_STOPPING);
    assert_int_equal(kit_refused(kit->gate, &to_anna), REFUSE_STOPPING);
    kit_result(&j, kit_good);
    kit_await(id, 0, DISPOSITION_DELIVERED);
    kit_job_free(&j);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failed_deliveries_make_a_primary_suspect_and_it_survives_a_start),
        TEST(one_good_probe_ends_a_suspicion_and_mail_flows),
        TEST(the_time_in_which_we_were_away_proves_nothing),
        TEST(a_state_that_does_not_exist_is_not_taken_over),
        TEST(what_a_person_began_only_a_person_ends),
        TEST(a_delivery_from_before_says_nothing_in_an_emergency),
        TEST(a_liaison_that_dies_is_no_evidence),
        TEST(a_probe_that_fails_through_us_is_no_evidence),
        TEST(what_was_not_asked_is_not_evidence),
        TEST(what_is_held_is_released_returned_or_removed),
        TEST(a_sender_that_was_not_proved_gets_no_notice),
        TEST(what_waits_is_held_and_stays_held_over_a_start),
        TEST(many_changes_are_done_one_after_the_other),
        TEST(a_body_that_nobody_can_read_is_refused_before_it_is_written),
        TEST(a_change_that_cannot_be_written_changes_nothing),
        TEST(a_mailbox_that_is_removed_takes_no_mail),
        TEST(changes_reach_the_gates),
        TEST(a_low_disk_closes_new_mail_and_opens_it_again),
        TEST(who_stops_takes_no_new_mail_and_lets_results_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
