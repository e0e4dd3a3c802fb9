/* Plans are changed and approved, decisions reach the desk with their reasons, history is played
 * again. */
#include "ask.h"

#define PLAN "/v1/primaries/exchange/plan"
#define STATE "/v1/state/exchange"

static int start(void **)
{
    fake_start();
    fake_company();
    return 0;
}

static int stop(void **)
{
    fake_stop();
    return 0;
}

static uint64_t primary(void)
{
    return directory_find(fake.host.directory, OBJECT_PRIMARY, 0, SLICE("exchange"));
}

static void a_plan_counts_when_it_is_approved(void **)
{
    fake_expect("GET", PLAN, "", 200, "\"version\":0");
    fake_expect("POST", PLAN "/approve", "", 409, "waits for approval");
    fake_expect("PATCH", PLAN, "{\"emergency_after\":60,\"tell_after\":30,\"why\":\"shop\"}", 200,
                "\"pending\":{\"version\":1");
    assert_null(directory_plan(fake.host.directory, primary()));
    fake_expect("POST", PLAN "/approve", "", 200, "\"approved_by\":\"uid 0 (root)\"");
    assert_int_equal(directory_plan(fake.host.directory, primary())->emergency_after_sec, 60);
    fake_expect("PATCH", PLAN, "{\"return\":\"auto\",\"why\":\"nights\"}", 200, "\"version\":2");
    assert_false(directory_plan(fake.host.directory, primary())->is_return_auto);
    fake_expect("GET", PLAN "/history", "", 200, "\"why\":\"shop\"");
    fake_expect("GET", "/v1/primaries/none/plan", "", 404, "none");
}

static void nonsense_is_no_plan(void **)
{
    static const char *const wrong[] = {
        "{\"bad_for_suspect\":0,\"why\":\"x\"}", "{\"suspect_within\":0,\"why\":\"x\"}",
        "{\"method\":\"pigeon\",\"why\":\"x\"}", "{\"tell_after\":500,\"why\":\"x\"}",
        "{\"canary_every\":1,\"why\":\"x\"}",    "{\"emergency_after\":60}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        fake_expect("PATCH", PLAN, wrong[i], 400, "Nothing was changed");
    assert_null(directory_plans(fake.host.directory, primary()));
}

static void the_plan_in_force_survives_many_drafts(void **)
{
    fake_do("PATCH", PLAN, "{\"calm\":77,\"why\":\"x\"}");
    fake_do("POST", PLAN "/approve", "");
    for (int i = 0; i < 120; i++)
        fake_do("PATCH", PLAN, "{\"calm\":1,\"why\":\"a draft\"}");
    const struct directory_plans *all = directory_plans(fake.host.directory, primary());
    assert_int_equal(all->facts.n_versions, 50);
    assert_int_equal(directory_plan(fake.host.directory, primary())->calm_sec, 77);
    assert_int_equal(all->facts.versions[49].version, 121);
}

static void decisions_need_a_reason_and_reach_the_desk(void **)
{
    static const struct {
        const char *target;
        enum continuity_evidence what;
    } cases[] = {
        {STATE "/emergency", EVIDENCE_SAY_EMERGENCY},
        {STATE "/return", EVIDENCE_SAY_RETURN},
        {STATE "/approve", EVIDENCE_SAY_APPROVE},
        {STATE "/isolate", EVIDENCE_SAY_ISOLATE},
        {STATE "/clean", EVIDENCE_SAY_CLEAN},
        {STATE "/pause", EVIDENCE_SAY_PAUSE},
        {STATE "/resume", EVIDENCE_SAY_RESUME},
        {"/v1/clock/confirm", EVIDENCE_CLOCK_CONFIRMED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_expect("POST", cases[i].target, "{\"why\":\"  \"}", 400, "reason is empty");
        fake_expect("POST", cases[i].target, "{\"why\":\"it burns\"}", 200, "");
        assert_int_equal(fake.decided, cases[i].what);
        assert_string_equal(fake.decided_why, "it burns");
    }
}

static void maintenance_ends_after_it_begins(void **)
{
    fake_expect("POST", STATE "/maintenance",
                "{\"from\":\"2026-01-02\",\"until\":\"2026-01-01\",\"why\":\"x\"}", 400, "ends");
    fake_expect("POST", STATE "/maintenance",
                "{\"from\":\"08:30\",\"until\":\"2026-11-30\",\"why\":\"x\"}", 400,
                "cannot be read");
    fake_expect("POST", STATE "/maintenance", "{\"until\":\"2999-01-01\",\"why\":\"x\"}", 400,
                "30 days");
    fake_expect("POST", STATE "/maintenance", "{\"why\":\"done early\"}", 200, "");
    assert_true(fake.maintained[0] == fake.maintained[1]);
}

static void what_a_person_did_is_shown_tried_and_given_back(void **)
{
    static const char box[] = "/v1/mailboxes/anna@rossi.example";
    static const char back[] = "/v1/mailboxes/anna@rossi.example/return";
    fake_expect("GET", box, "", 200, "\"given\":3");
    fake_expect("GET", box, "", 200, "1 changes wait for their turn");
    fake_expect("POST", back, "{\"dry_run\":true,\"why\":\"x\"}", 200, "\"result\":\"would\"");
    fake_expect("POST", back, "{\"dry_run\":true,\"why\":\"x\"}", 200, "Nothing was changed");
    fake_expect("POST", back, "{\"why\":\"x\"}", 200, "It is given back now");
    fake.mailback_why = "it is isolated";
    fake_expect("GET", box, "", 200, "1 changes wait: it is isolated.");
    fake_expect("POST", back, "{\"why\":\"x\"}", 409, "it is isolated");
    fake_expect("GET", "/v1/mailboxes/nobody@rossi.example", "", 404, "Nobody");
}

static void giving_again_needs_a_time_and_a_reason(void **)
{
    fake_expect("GET", STATE "/again", "", 200, "Nothing was ever given again");
    fake_expect("POST", STATE "/again", "{\"since\":\"2026-01-01\",\"why\":\" \"}", 400, "reason");
    fake_expect("POST", STATE "/again", "{\"since\":\"2999-01-01\",\"why\":\"x\"}", 400, "passed");
    fake_expect("POST", STATE "/again", "{\"since\":\"2026-01-01\",\"dry_run\":true,\"why\":\"x\"}",
                200, "\"running\":true,\"dry_run\":true,\"since\":\"2026-01-01T");
    fake_expect("POST", STATE "/again", "{\"since\":\"2026-01-01\",\"why\":\"x\"}", 409, "runs");
    fake_expect("POST", STATE "/again/stop", "{\"why\":\" \"}", 400, "reason");
    fake_expect("POST", STATE "/again/stop", "{\"why\":\"x\"}", 200, "\"running\":false");
    fake_expect("POST", STATE "/again/stop", "{\"why\":\"x\"}", 409, "nothing is being given");
}

static void secrets_are_never_shown(void **)
{
    fake_expect("PATCH", "/v1/primaries/exchange/access",
                "{\"hosts\":[\"imap.rossi.example\"],\"canary\":\"canary@rossi.example\","
                "\"user\":\"canary\",\"secret\":\"s3cr3t-word\"}",
                200, "\"has_secret\":true");
    struct fake_reply r = fake_ask("GET", "/v1/primaries/exchange/access", "");
    assert_null(strstr(buf_cstr(&r.body), "s3cr3t-word"));
    assert_non_null(strstr(buf_cstr(&r.body), "imap.rossi.example:143"));
    buf_finish(&r.body);
    fake_expect("PATCH", "/v1/primaries/exchange/access", "{\"canary\":\"nonsense\"}", 400, "");
}

static void tokens_and_log_ins_of_persons_are_kept_and_not_shown(void **)
{
    static const char tokens[] = "/v1/primaries/exchange/access/tokens";
    static const char login[] = "/v1/mailboxes/anna@rossi.example/login";
    static const char *const at[] = {tokens, login};
    fake_expect("GET", tokens, "", 200, "\"grant\":\"none\"");
    fake_expect("PATCH", tokens, "{\"grant\":\"client\"}", 400, "https");
    fake_expect("PATCH", tokens, "{\"grant\":\"client\",\"url\":\"http://x.example/t\"}", 400,
                "https");
    fake_expect("PATCH", tokens, "{\"grant\":\"client\",\"url\":\"https://x.example/t\"}", 400,
                "no id");
    fake_expect("PATCH", tokens,
                "{\"grant\":\"client\",\"url\":\"https://x.example/t\",\"client_id\":\"a\"}", 400,
                "no secret");
    fake_expect("PATCH", tokens,
                "{\"grant\":\"client\",\"url\":\"https://x.example/t\",\"client_id\":\"a\","
                "\"client_secret\":\"s3cr3t-word\"}",
                200, "\"has_client_secret\":true");
    fake_expect("PATCH", tokens, "{\"scope\":\"all\"}", 200, "\"client_id\":\"a\"");
    fake_expect("GET", login, "", 200, "log-in for everybody");
    fake_expect("PATCH", login, "{}", 400, "Neither");
    fake_expect("PATCH", login, "{\"secret\":\"s3cr3t-word\",\"mechanism\":\"xoauth2\"}", 200,
                "\"mechanism\":\"xoauth2\",\"has_secret\":true");
    fake_expect("GET", "/v1/mailboxes/nobody@rossi.example/login", "", 404, "Nobody");
    for (size_t i = 0; i < 2; i++) {
        struct fake_reply r = fake_ask("GET", at[i], "");
        assert_null(strstr(buf_cstr(&r.body), "s3cr3t-word"));
        buf_finish(&r.body);
        fake_expect("DELETE", at[i], "", 200, "\"removed\"");
    }
    fake_expect("GET", login, "", 200, "\"has_secret\":false");
    fake_expect("GET", tokens, "", 200, "\"grant\":\"none\"");
}

static void holidays_are_days(void **)
{
    fake_expect("PATCH", "/v1/tenants/rossi/calendar",
                "{\"zone\":\"Europe/Rome\",\"holidays\":[\"2026-12-25\"]}", 200, "2026-12-25");
    fake_expect("PATCH", "/v1/tenants/rossi/calendar", "{\"holidays\":[\"soon\"]}", 400, "no");
    fake_expect("PATCH", "/v1/tenants/rossi/calendar", "{\"zone\":\"../../etc\"}", 400, "zone");
    fake_expect("GET", "/v1/tenants/rossi/calendar", "", 200, "Europe/Rome");
}

static void a_company_says_what_is_kept_and_what_it_leaves_out_stays(void **)
{
    fake_expect("GET", "/v1/tenants/rossi/keeping", "", 200, "\"days\":90,\"essential_days\":366");
    fake_expect("PATCH", "/v1/tenants/rossi/keeping",
                "{\"days\":30,\"max_mib\":2000,\"quota_mib\":500}", 200,
                "\"days\":30,\"essential_days\":366,\"hosted_days\":0,\"own_days\":0,"
                "\"max_mib\":2000,\"essential_mib\":0,\"quota_mib\":500");
    fake_expect("PATCH", "/v1/tenants/rossi/keeping", "{\"hosted_days\":400}", 200,
                "\"days\":30,\"essential_days\":366,\"hosted_days\":400");
    fake_expect("GET", "/v1/tenants/rossi/keeping", "", 200, "\"max_mib\":2000");
    fake_expect("PATCH", "/v1/tenants/rossi/keeping", "{\"days\":-1}", 400, "days");
    fake_expect("PATCH", "/v1/tenants/rossi/keeping", "{\"days\":99999}", 400, "36500");
    fake_expect("GET", "/v1/tenants/nobody/keeping", "", 404, "nobody");
}

static void a_person_may_have_another_quota_than_the_company(void **)
{
    static const char path[] = "/v1/persons/anna@rossi.example/quota";
    fake_expect("PATCH", "/v1/tenants/rossi/keeping", "{\"quota_mib\":500}", 200, "");
    fake_expect("GET", path, "", 200, "\"quota_mib\":500,\"own\":false");
    fake_expect("PATCH", path, "{\"quota_mib\":5000000}", 200,
                "\"quota_mib\":5000000,\"own\":true");
    fake_expect("PATCH", path, "{\"quota_mib\":0}", 200, "\"own\":true,\"text\":\"No bound.\"");
    fake_expect("DELETE", path, "", 200, "\"quota_mib\":500,\"own\":false");
    fake_expect("DELETE", path, "", 200, "\"quota_mib\":500");
    fake_expect("PATCH", path, "{}", 400, "quota_mib");
    fake_expect("GET", "/v1/persons/x@rossi.example/quota", "", 404, "Nobody");
}

static void history_shows_what_another_plan_would_have_done(void **)
{
    utc_ms now = utc_now(), minute = 60000;
    struct record_evidence runs[] = {
        {primary(), now - 60 * minute, now - 40 * minute, EVIDENCE_GOOD, 120, SLICE("")},
        {primary(), now - 40 * minute + 1, now - 37 * minute, EVIDENCE_BAD, 180, SLICE("silent")},
        {primary(), now - 37 * minute + 1, now - 20 * minute, EVIDENCE_GOOD, 120, SLICE("")},
    };
    memcpy(fake.evidence, runs, sizeof(runs));
    fake.n_evidence = 3;
    fake_expect("GET", STATE "/replay", "", 200, "\"emergencies\":0,\"told\":1");
    fake_expect("GET", STATE "/replay?emergency_after=120", "", 200, "\"emergencies\":1");
    fake_expect("GET", STATE "/replay?bad_for_suspect=1000", "", 200, "\"changes\":[]");
    fake_expect("GET", "/v1/state/nobody/replay", "", 404, "no mail system");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_plan_counts_when_it_is_approved, start, stop),
        cmocka_unit_test_setup_teardown(nonsense_is_no_plan, start, stop),
        cmocka_unit_test_setup_teardown(the_plan_in_force_survives_many_drafts, start, stop),
        cmocka_unit_test_setup_teardown(decisions_need_a_reason_and_reach_the_desk, start, stop),
        cmocka_unit_test_setup_teardown(maintenance_ends_after_it_begins, start, stop),
        cmocka_unit_test_setup_teardown(what_a_person_did_is_shown_tried_and_given_back, start,
                                        stop),
        cmocka_unit_test_setup_teardown(giving_again_needs_a_time_and_a_reason, start, stop),
        cmocka_unit_test_setup_teardown(secrets_are_never_shown, start, stop),
        cmocka_unit_test_setup_teardown(tokens_and_log_ins_of_persons_are_kept_and_not_shown, start,
                                        stop),
        cmocka_unit_test_setup_teardown(holidays_are_days, start, stop),
        cmocka_unit_test_setup_teardown(a_company_says_what_is_kept_and_what_it_leaves_out_stays,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_person_may_have_another_quota_than_the_company, start,
                                        stop),
        cmocka_unit_test_setup_teardown(history_shows_what_another_plan_would_have_done, start,
                                        stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
