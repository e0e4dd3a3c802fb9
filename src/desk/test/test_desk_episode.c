/* Episodes as they are written: step by step, over starts, with a disk that refuses, and how far
 * giving back is. */
#include "desk_kit.h"

#include "continuity/episode.h"

#include "base/pack_struct_begin.h"
#include "desk/state.def"
#include "base/pack_end.h"

static const struct kit_mail to_anna = {.rcpts = {"anna@example.test"}};
static const struct kit_mail to_luca = {.rcpts = {"luca@example.test"}};

/* ---- what the index says ---- */

struct found {
    size_t n, n_open;
    uint64_t id; /* of the newest */
    char steps[500], bys[500], whys[1000];
    struct episode e; /* without its texts */
};

static void add_word(char *to, size_t n, struct slice word)
{
    size_t at = strlen(to);
    (void)snprintf(to + at, n - at, "%s" SLICE_FMT, at ? " " : "", SLICE_ARG(word));
}

static bool look_at(void *arg, const struct record_object *o)
{
    struct found *f = arg;
    struct arena *a = arena_create(1 << 20);
    assert_true(episode_unpack(o->body, a, &f->e));
    assert_int_equal(o->tenant, KIT_TENANT);
    f->n++;
    f->n_open += f->e.phase != EPISODE_CLOSED;
    f->id = o->id;
    f->steps[0] = f->bys[0] = f->whys[0] = 0;
    for (uint32_t i = 0; i < f->e.n_steps; i++) {
        add_word(f->steps, sizeof(f->steps), slice_str(episode_kind_name(f->e.steps[i].kind)));
        add_word(f->bys, sizeof(f->bys), f->e.steps[i].by);
        add_word(f->whys, sizeof(f->whys), f->e.steps[i].why);
    }
    f->e.steps = NULL;
    arena_destroy(&a);
    return true;
}

static struct found look(void)
{
    struct found f = {};
    struct store_reader *reader = kit_reader();
    struct errinfo ei;
    assert_int_equal(store_each_object(reader, OBJECT_EPISODE, look_at, &f, &ei), ERR_OK);
    store_reader_close(&reader);
    return f;
}

static struct found await_steps(const char *want)
{
    struct found f;
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (f = look(), strcmp(f.steps, want) != 0) {
        if (mono_now() > until)
            fail_msg("the steps are: %s", f.steps);
        usleep(2000);
    }
    return f;
}

static void decide(enum continuity_evidence what)
{
    assert_int_equal(kit_decide(KIT_PRIMARY, what), ERR_OK);
}

struct progress {
    struct admin_progress p;
    bool is_there;
};

static void read_progress(void *arg)
{
    struct progress *p = arg;
    p->is_there = kit_admin->host.progress(kit_admin->host.arg, KIT_PRIMARY, &p->p);
}

/* ---- */

static void an_emergency_is_one_object_from_its_beginning_to_its_end(void **)
{
    kit_found((struct kit_company){0});
    decide(EVIDENCE_SAY_EMERGENCY);
    struct found f = await_steps("emergency");
    assert_int_equal(f.e.phase, EPISODE_OPEN);
    assert_int_equal(f.e.primary, KIT_PRIMARY);
    uint64_t id = f.id;
    decide(EVIDENCE_SAY_RETURN);
    f = await_steps("emergency returning end");
    assert_int_equal(f.n, 1);
    assert_int_equal(f.id, id);
    assert_int_equal(f.e.phase, EPISODE_CLOSED);
    assert_true(f.e.end_at >= f.e.return_at && f.e.return_at >= f.e.emergency_at);
    assert_non_null(strstr(f.whys, "the test wants it"));
    decide(EVIDENCE_SAY_EMERGENCY);
    f = await_steps("emergency");
    assert_int_equal(f.n, 2);
    assert_true(f.id > id);
}

static void a_suspicion_leaves_nothing_behind(void **)
{
    kit_found((struct kit_company){0});
    for (int i = 0; i < 3; i++)
        (void)kit_accept(kit->gate, &to_anna);
    for (int i = 0; i < 3; i++)
        kit_end_job(kit_silent);
    struct found f = await_steps("suspect");
    assert_int_equal(f.e.phase, EPISODE_SUSPICION);
    assert_true(f.e.first_bad && f.e.first_bad <= f.e.suspect_at);
    kit_end_job(kit_good); /* the next attempt goes well */
    await_steps("");
    assert_int_equal(look().n, 0);
}

static void it_goes_on_after_a_start_at_each_step(void **)
{
    kit_found((struct kit_company){0});
    uint64_t kept;
    decide(EVIDENCE_SAY_EMERGENCY);
    kit_restart();
    kept = kit_accept(kit->gate, &to_anna);
    await_steps("emergency");
    decide(EVIDENCE_SAY_RETURN);
    await_steps("emergency returning");
    kit_restart();
    decide(EVIDENCE_SAY_EMERGENCY);
    kit_restart();
    await_steps("emergency returning emergency");
    decide(EVIDENCE_SAY_RETURN);
    kit_end_job(kit_good);
    kit_await(kept, 0, DISPOSITION_DELIVERED);
    struct found f = await_steps("emergency returning emergency returning end");
    assert_int_equal(f.n, 1);
    kit_restart();
    f = look();
    assert_int_equal(f.n_open, 0);
    assert_string_equal(f.steps, "emergency returning emergency returning end");
}

/* The state is in the log, the program ended before the episode followed. */
static void state_alone(enum continuity_state state, const char *by, const char *why)
{
    struct kit_objects all = {.n = 0};
    struct desk_state_body b = {.state = (uint8_t)state,
                                .since = utc_now(),
                                .flags = 1, /* a person declared it */
                                .by = slice_str(by),
                                .why = slice_str(why)};
    desk_state_body_pack(kit_object(&all, OBJECT_STATE, KIT_PRIMARY, KIT_TENANT, "exchange"), &b);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    kit_restart();
}

static void a_step_that_was_lost_with_the_program_is_added_once(void **)
{
    kit_found((struct kit_company){0});
    uint64_t kept = kit_accept(kit->gate, &to_anna);
    state_alone(STATE_EMERGENCY, "luca", "fire");
    struct found f = await_steps("emergency");
    assert_string_equal(f.bys, "luca");
    assert_string_equal(f.whys, "fire");
    assert_int_equal(f.e.first_message, kept); /* what waited already */
    kit_restart();
    assert_int_equal(look().n, 1);
    assert_string_equal(look().steps, "emergency");
    state_alone(STATE_RETURNING, "anna", "water");
    f = await_steps("emergency returning");
    assert_string_equal(f.bys, "luca anna");
    state_alone(STATE_STANDBY, "queue", "done");
    f = await_steps("emergency returning end");
    assert_int_equal(f.n_open, 0);
    assert_int_equal(f.n, 1);
}

static void a_step_that_the_disk_refuses_is_written_later(void **)
{
    kit_found((struct kit_company){0});
    disk_fail(2);
    (void)kit_decide(KIT_PRIMARY, EVIDENCE_SAY_EMERGENCY); /* the state itself may be refused */
    await_steps("emergency");
}

static void progress_is_counted_from_the_beginning_of_giving_back(void **)
{
    struct progress p = {};
    kit_found((struct kit_company){0});
    kit_on_loop(read_progress, &p);
    assert_false(p.is_there);
    decide(EVIDENCE_SAY_EMERGENCY);
    for (int i = 0; i < 4; i++)
        (void)kit_accept(kit->gate, i % 2 ? &to_luca : &to_anna);
    kit_on_loop(read_progress, &p);
    assert_false(p.is_there); /* nothing is given back yet */
    decide(EVIDENCE_SAY_RETURN);
    kit_on_loop(read_progress, &p);
    assert_true(p.is_there);
    assert_int_equal(p.p.done, 0);
    assert_int_equal(p.p.total, 4);
    kit_end_job(kit_good);
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (kit_on_loop(read_progress, &p), p.p.done != 1)
        assert_true(mono_now() < until);
    assert_int_equal(p.p.total, 4);
    usleep(20000);
    kit_on_loop(read_progress, &p);
    assert_true(p.p.per_second_1000 > 0 && p.p.remaining_seconds > 0);
}

static void make_luca_essential(void)
{
    struct kit_objects all = {.n = 0};
    struct dir_text address = {SLICE("luca@example.test")};
    struct dir_person luca = {.name = SLICE("Luca"),
                              .addresses = &address,
                              .n_addresses = 1,
                              .is_covered = 1,
                              .is_essential = 1,
                              .inbox = KIT_BOX_LUCA};
    dir_person_pack(kit_object(&all, OBJECT_PERSON, KIT_LUCA, KIT_TENANT, "luca"), &luca);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
}

static void expect_first(const struct kit_mail *mail)
{
    kit_found((struct kit_company){0});
    decide(EVIDENCE_SAY_EMERGENCY);
    for (int i = 0; i < 3; i++)
        (void)kit_accept(kit->gate, &to_anna);
    uint64_t first = kit_accept(kit->gate, mail);
    make_luca_essential(); /* when it waits already */
    decide(EVIDENCE_SAY_RETURN);
    struct kit_job j;
    kit_job(&j);
    assert_int_equal(j.job.message, first);
    kit_job_free(&j);
}

static void essential_mailboxes_are_given_back_first(void **)
{
    expect_first(&to_luca);
}

static void a_group_with_an_essential_member_is_given_back_first(void **)
{
    expect_first(&(struct kit_mail){.rcpts = {"Sales@example.test"}});
}

/* Emergencies that were over long ago, or a moment ago; `id` grows with their time. */
static void put_over(uint64_t from, uint32_t n, uint64_t primary, utc_ms end)
{
    struct kit_objects all = {.n = 0};
    struct episode e = {
        .phase = EPISODE_CLOSED, .primary = primary, .emergency_at = end - 1000, .end_at = end};
    for (uint64_t id = from; id < from + n; id++) {
        episode_pack(kit_object(&all, OBJECT_EPISODE, id, KIT_TENANT, "e"), &e);
        if (all.n == 32 || id == from + n - 1)
            assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    }
}

static void await_episodes(size_t n)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (look().n != n) {
        if (mono_now() > until)
            fail_msg("there are %zu", look().n);
        usleep(2000);
    }
}

static bool is_first(void *arg, const struct record_object *o)
{
    *(uint64_t *)arg = o->id;
    return false;
}

static uint64_t oldest(void)
{
    uint64_t id = 0;
    struct errinfo ei;
    struct store_reader *reader = kit_reader();
    assert_int_equal(store_each_object(reader, OBJECT_EPISODE, is_first, &id, &ei), ERR_OK);
    store_reader_close(&reader);
    return id;
}

static void what_was_over_five_years_ago_goes_but_not_a_primarys_last_one(void **)
{
    const utc_ms year = 366LL * 86400000, now = utc_now();
    kit_found((struct kit_company){0});
    put_over(1, 3, KIT_PRIMARY, now - 6 * year);
    put_over(4, 1, KIT_PRIMARY, now - 4 * year);
    put_over(5, 2, 4711, now - 6 * year);
    kit_restart();
    await_episodes(2);
    assert_int_equal(oldest(), 4);
    assert_int_equal(look().id, 6);
}

static void the_newest_thousand_of_a_primary_stay(void **)
{
    kit_found((struct kit_company){0});
    put_over(1, 1, 4711, utc_now());
    put_over(2, 1103, KIT_PRIMARY, utc_now());
    decide(EVIDENCE_SAY_EMERGENCY); /* one that is not over is not counted */
    await_steps("emergency");
    kit_restart();
    await_episodes(1 + 1000 + 1); /* a hundred at a time */
    assert_int_equal(oldest(), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_emergency_is_one_object_from_its_beginning_to_its_end),
        TEST(a_suspicion_leaves_nothing_behind),
        TEST(it_goes_on_after_a_start_at_each_step),
        TEST(a_step_that_was_lost_with_the_program_is_added_once),
        TEST(a_step_that_the_disk_refuses_is_written_later),
        TEST(progress_is_counted_from_the_beginning_of_giving_back),
        TEST(essential_mailboxes_are_given_back_first),
        TEST(a_group_with_an_essential_member_is_given_back_first),
        TEST(what_was_over_five_years_ago_goes_but_not_a_primarys_last_one),
        TEST(the_newest_thousand_of_a_primary_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
