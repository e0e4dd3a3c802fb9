/* Who is it, and what becomes of those who guess. Argon2 is played by the test. */
#include "login/login_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

enum { ANNA = 4, LUCA = 5 };
static const utc_ms noon = (utc_ms)20000 * DAY_MS + DAY_MS / 2;
static const char home[] = "192.0.2.7", abroad[] = "198.51.100.9";

static struct login *l;
static utc_ms now;
static mono_us at;

static int setup(void **)
{
    l = login_create();
    now = noon;
    at = SECONDS(100000);
    return 0;
}

static int teardown(void **)
{
    login_destroy(&l);
    return 0;
}

static void pass(int64_t seconds)
{
    now += seconds * 1000;
    at += SECONDS(seconds);
}

/* Written, and started again: what counts must survive that. */
static void restart(void)
{
    struct login *again = login_create();
    struct errinfo ei;
    for (uint64_t id = ANNA; id <= LUCA; id++) {
        struct login_change c = {.what = LOGIN_NOTE, .person = id, .now = now};
        struct buf b = buf_make(LOGIN_BODY_MAX);
        assert_int_equal(login_propose(l, &c, &b, &ei), ERR_OK);
        struct record_item item = {
            .account = id, .kind = ITEM_LOGIN, .id = LOGIN_ITEM, .body = buf_slice(&b)};
        assert_int_equal(login_load(again, &item, &ei), ERR_OK);
        buf_finish(&b);
    }
    login_destroy(&l);
    l = again;
}

static void set_password(uint64_t person, const char *hash)
{
    struct login_change c = {.what = LOGIN_SET_PASSWORD, .person = person, .now = now};
    snprintf(c.password, sizeof(c.password), "%s", hash);
    login_apply(l, &c);
}

static struct login_told told;
static struct login_check check;

static enum login_verdict ask(enum login_way way, uint64_t person, const char *secret,
                              const char *client)
{
    struct login_ask a = {.way = way,
                          .person = person,
                          .address =
                              person ? SLICE("anna@example.test") : SLICE("nobody@example.test"),
                          .secret = slice_str(secret),
                          .client = slice_str(client),
                          .now = now,
                          .at = at};
    login_judge(l, &a, &told, &check);
    return told.verdict;
}

/* "hash of X" is what the password X hashes to. */
static enum login_verdict log_in(uint64_t person, const char *password, const char *client)
{
    char want[LOGIN_HASH_TEXT];
    if (ask(LOGIN_BY_PASSWORD, person, password, client) != LOGIN_CHECK)
        return told.verdict;
    snprintf(want, sizeof(want), "hash of %s", password);
    login_checked(l, &check, strcmp(check.hash, want) == 0 ? LOGIN_MATCHES : LOGIN_DIFFERS, now, at,
                  &told);
    return told.verdict;
}

static void the_right_password_is_let_in_and_no_other(void **)
{
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    assert_int_equal(told.person, ANNA);
    assert_int_equal(told.token, 0);
    assert_int_equal(log_in(ANNA, "Secret", home), LOGIN_NO);
    assert_int_equal(told.refusal, REFUSE_LOGIN_WRONG);
    assert_int_equal(log_in(LUCA, "secret", home), LOGIN_NO);
    assert_int_equal(log_in(0, "secret", home), LOGIN_NO);
    assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, "", home), LOGIN_NO);
    assert_int_equal(ask(LOGIN_BY_NOTHING, 0, "", home), LOGIN_NO);
    assert_int_equal(told.refusal, REFUSE_LOGIN_NEEDED);
}

static void a_password_that_was_right_is_not_hashed_again_for_ten_minutes(void **)
{
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, "secret", abroad), LOGIN_YES);
    assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, "secreT", home), LOGIN_CHECK);
    pass(601);
    assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, "secret", home), LOGIN_CHECK);
}

static void a_new_password_ends_the_old_one_at_once(void **)
{
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    assert_int_equal(log_in(ANNA, "changed", home), LOGIN_NO);
    set_password(ANNA, "hash of changed");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_NO);
    /* What was wrong before is not held against it. */
    assert_int_equal(log_in(ANNA, "changed", home), LOGIN_YES);
}

static void a_password_changed_while_the_old_one_was_checked_counts(void **)
{
    set_password(ANNA, "hash of secret");
    assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, "secret", home), LOGIN_CHECK);
    set_password(ANNA, "hash of changed");
    login_checked(l, &check, LOGIN_MATCHES, now, at, &told);
    assert_int_equal(told.verdict, LOGIN_NO);
}

/* A phone with last year's password asks each minute for ever. */
static void the_same_wrong_password_again_and_again_costs_nobody_anything(void **)
{
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "old", home), LOGIN_NO);
    for (int i = 0; i < 50; i++) {
        pass(60);
        assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, "old", home), LOGIN_NO);
        assert_int_equal(told.refusal, REFUSE_LOGIN_WRONG);
    }
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    /* And it looks the same where nobody has the address. */
    assert_int_equal(log_in(0, "old", home), LOGIN_NO);
    assert_int_equal(ask(LOGIN_BY_PASSWORD, 0, "old", home), LOGIN_NO);
}

static void what_could_not_be_checked_is_not_held_against_anybody(void **)
{
    set_password(ANNA, "hash of secret");
    for (int i = 0; i < 100; i++) {
        char guess[20];
        snprintf(guess, sizeof(guess), "%d", i);
        assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, guess, home), LOGIN_CHECK);
        login_checked(l, &check, LOGIN_NOT_TRIED, now, at, &told);
        assert_int_equal(told.refusal, REFUSE_LOGIN_BUSY);
        assert_true(told.retry_after > 0);
    }
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
}

/* ---- attacks ---- */

static void client_number(unsigned i, char ret[32])
{
    snprintf(ret, 32, "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
}

/* All at once: none of the answers is known when the next guess comes. */
static void ten_thousand_guesses_at_once_get_only_the_free_ones(void **)
{
    unsigned n_checked = 0;
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    for (unsigned i = 0; i < 10000; i++) {
        char guess[20];
        snprintf(guess, sizeof(guess), "%u", i);
        n_checked += ask(LOGIN_BY_PASSWORD, ANNA, guess, abroad) == LOGIN_CHECK;
    }
    assert_int_equal(n_checked, 10);
}

/* 10,000 guesses over an hour from 10,000 networks: they get some dozens, and Anna still works at
 * home, and from a new place by a code. */
static void guessing_from_everywhere_costs_the_guessers_and_not_anna(void **)
{
    unsigned n_checked = 0, n_told = 0;
    char client[32], code[LOGIN_CODE_TEXT];
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    for (unsigned i = 0; i < 10000; i++) {
        char guess[20];
        snprintf(guess, sizeof(guess), "%u", i);
        client_number(i * 257, client);
        if (i % 3 == 0)
            pass(1);
        bool was_checked = ask(LOGIN_BY_PASSWORD, ANNA, guess, client) == LOGIN_CHECK;
        if (was_checked)
            login_checked(l, &check, LOGIN_DIFFERS, now, at, &told);
        n_checked += was_checked;
        n_told += told.is_guessed;
        assert_true(was_checked || (told.refusal == REFUSE_LOGIN_TOO_MANY &&
                                    told.retry_after >= 1 && told.retry_after <= 120));
    }
    assert_in_range(n_checked, 10, 60);
    assert_int_equal(n_told, 1);
    pass(601); /* nothing is remembered but the place */
    for (unsigned i = 0; i < 20; i++) {
        client_number(i, client);
        (void)log_in(ANNA, "wrong again", client);
    }
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    struct login_change c;
    login_make_code(&c, ANNA, now, code);
    login_apply(l, &c);
    assert_int_equal(ask(LOGIN_BY_CODE, ANNA, code, "203.0.113.5"), LOGIN_YES);
}

/* One network that tries many addresses, known or not, is slowed down as one. */
static void trying_many_addresses_from_one_network_is_slow(void **)
{
    unsigned n_checked = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char address[40];
        snprintf(address, sizeof(address), "person%u@example.test", i);
        struct login_ask a = {.way = LOGIN_BY_PASSWORD,
                              .address = slice_str(address),
                              .secret = SLICE("summer"),
                              .client = slice_str(abroad),
                              .now = now,
                              .at = at};
        login_judge(l, &a, &told, &check);
        n_checked += told.verdict == LOGIN_CHECK;
    }
    assert_int_equal(n_checked, 10);
    n_checked = 0;
    for (unsigned i = 0; i < 1000; i++) { /* a whole /48 */
        char client[60];
        snprintf(client, sizeof(client), "2001:db8:1:%x::1", i);
        n_checked += ask(LOGIN_BY_PASSWORD, i + 100, "summer", client) == LOGIN_CHECK;
    }
    assert_int_equal(n_checked, 50);
}

/* Even a colleague who guesses in the same office cannot keep her out for long. */
static void at_a_place_of_hers_the_wait_is_short(void **)
{
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    pass(601);
    for (unsigned i = 0; i < 1000; i++) {
        char guess[20];
        snprintf(guess, sizeof(guess), "%u", i);
        (void)log_in(ANNA, guess, home);
        pass(1);
    }
    (void)log_in(ANNA, "x", home);
    pass(31);
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
}

static void places_are_remembered_over_a_start_and_forgotten_in_a_month(void **)
{
    set_password(ANNA, "hash of secret");
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    assert_int_equal(log_in(ANNA, "secret", "2001:db8::1"), LOGIN_YES);
    restart();
    (void)ask(LOGIN_BY_PASSWORD, ANNA, "x", "2001:db8::ffff:2");
    assert_true(check.is_welcome);
    (void)ask(LOGIN_BY_PASSWORD, ANNA, "x", "::ffff:192.0.2.7");
    assert_true(check.is_welcome);
    (void)ask(LOGIN_BY_PASSWORD, ANNA, "x", "192.0.2.8");
    assert_false(check.is_welcome);
    (void)ask(LOGIN_BY_PASSWORD, ANNA, "x", "");
    assert_false(check.is_welcome);
    (void)ask(LOGIN_BY_PASSWORD, LUCA, "x", home);
    assert_false(check.is_welcome);
    pass(31 * 24 * 3600);
    (void)ask(LOGIN_BY_PASSWORD, ANNA, "x", home);
    assert_false(check.is_welcome);
}

/* ---- codes ---- */

static void make_code(uint64_t person, char ret[LOGIN_CODE_TEXT])
{
    struct login_change c;
    login_make_code(&c, person, now, ret);
    login_apply(l, &c);
}

static void a_code_works_once_and_for_a_quarter_of_an_hour(void **)
{
    char code[LOGIN_CODE_TEXT], plain[9];
    make_code(ANNA, code);
    snprintf(plain, sizeof(plain), "%.4s%.4s", code, code + 5);
    assert_int_equal(ask(LOGIN_BY_CODE, LUCA, code, home), LOGIN_NO);
    assert_int_equal(ask(LOGIN_BY_CODE, ANNA, plain, home), LOGIN_YES);
    assert_int_equal(ask(LOGIN_BY_CODE, ANNA, code, home), LOGIN_NO);
    make_code(ANNA, code);
    restart();
    pass(14 * 60);
    assert_true(login_state(l, ANNA, now).code_until > now);
    pass(61);
    assert_int_equal(login_state(l, ANNA, now).code_until, 0);
    assert_int_equal(ask(LOGIN_BY_CODE, ANNA, code, home), LOGIN_NO);
}

static void a_code_is_gone_after_five_wrong_tries_also_over_a_start(void **)
{
    char code[LOGIN_CODE_TEXT], wrong[LOGIN_CODE_TEXT];
    make_code(ANNA, code);
    snprintf(wrong, sizeof(wrong), "%s", code);
    wrong[0] = wrong[0] == '9' ? '0' : '9';
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(LOGIN_BY_CODE, ANNA, wrong, home), LOGIN_NO);
        assert_int_equal(told.note, ANNA);
        restart();
    }
    assert_int_equal(ask(LOGIN_BY_CODE, ANNA, code, home), LOGIN_NO);
    make_code(ANNA, code);
    assert_int_equal(ask(LOGIN_BY_CODE, ANNA, "nonsense", home), LOGIN_NO);
    assert_int_equal(ask(LOGIN_BY_CODE, ANNA, code, home), LOGIN_YES);
}

/* ---- tokens ---- */

static uint64_t make_token(uint64_t person, enum login_kind kind, const char *name,
                           char ret[LOGIN_TOKEN_TEXT])
{
    struct login_change c;
    struct errinfo ei;
    struct buf b = buf_make(LOGIN_BODY_MAX);
    login_make_token(&c, person, kind, slice_str(name), now, ret);
    enum err err = login_propose(l, &c, &b, &ei);
    assert_false(b.failed);
    buf_finish(&b);
    if (err != ERR_OK)
        return 0;
    login_apply(l, &c);
    return c.token;
}

static void app_tokens_work_as_bearer_and_as_password_of_their_owner_only(void **)
{
    char token[LOGIN_TOKEN_TEXT], session[LOGIN_TOKEN_TEXT];
    uint64_t id = make_token(ANNA, LOGIN_APP, "Thunderbird", token);
    make_token(ANNA, LOGIN_SESSION, "", session);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(LOGIN_BY_TOKEN, 0, token, home), LOGIN_YES);
        assert_int_equal(told.person, ANNA);
        assert_int_equal(told.token, id);
        assert_int_equal(ask(LOGIN_BY_PASSWORD, ANNA, token, home), LOGIN_YES);
        assert_int_equal(ask(LOGIN_BY_PASSWORD, LUCA, token, home), LOGIN_NO);
        assert_int_equal(ask(LOGIN_BY_PASSWORD, 0, token, home), LOGIN_NO);
        /* A session is for the cookie only. */
        assert_int_equal(ask(LOGIN_BY_TOKEN, 0, session, home), LOGIN_NO);
        restart();
    }
    struct login_change c = {.what = LOGIN_REMOVE_TOKEN, .person = ANNA, .token = id, .now = now};
    login_apply(l, &c);
    assert_int_equal(ask(LOGIN_BY_TOKEN, 0, token, home), LOGIN_NO);
    struct errinfo ei;
    SCOPED(buf_finish) struct buf b = buf_make(LOGIN_BODY_MAX);
    assert_int_equal(login_propose(l, &c, &b, &ei), ERR_GONE);
}

static enum login_verdict by_cookie(const char *cookie)
{
    login_session(l, slice_str(cookie), slice_str(home), now, &told);
    return told.verdict;
}

static void a_session_lives_a_month_longer_with_each_day_it_is_used(void **)
{
    char cookie[LOGIN_TOKEN_TEXT];
    unsigned n_notes = 0;
    make_token(ANNA, LOGIN_SESSION, "Firefox", cookie);
    for (int i = 0; i < 400; i++) { /* written once a day, not at each request */
        assert_int_equal(by_cookie(cookie), LOGIN_YES);
        n_notes += told.note == ANNA;
        pass(6 * 3600);
    }
    assert_in_range(n_notes, 99, 102);
    restart();
    pass(29 * 24 * 3600);
    assert_int_equal(by_cookie(cookie), LOGIN_YES);
    pass(31 * 24 * 3600);
    assert_int_equal(by_cookie(cookie), LOGIN_NO);
    assert_int_equal(told.refusal, REFUSE_LOGIN_NEEDED);
    assert_int_equal(login_state(l, ANNA, now).n_sessions, 0);
}

static void a_new_password_and_logging_out_end_sessions_but_no_app(void **)
{
    char cookie[LOGIN_TOKEN_TEXT], token[LOGIN_TOKEN_TEXT], of_luca[LOGIN_TOKEN_TEXT];
    make_token(ANNA, LOGIN_APP, "Phone", token);
    make_token(LUCA, LOGIN_SESSION, "", of_luca);
    for (int i = 0; i < 2; i++) {
        make_token(ANNA, LOGIN_SESSION, "", cookie);
        assert_int_equal(by_cookie(cookie), LOGIN_YES);
        struct login_change end = {.what = LOGIN_END_SESSIONS, .person = ANNA, .now = now};
        if (i == 0)
            login_apply(l, &end);
        else
            set_password(ANNA, "hash of changed");
        assert_int_equal(by_cookie(cookie), LOGIN_NO);
        assert_int_equal(by_cookie(of_luca), LOGIN_YES);
        assert_int_equal(ask(LOGIN_BY_TOKEN, 0, token, home), LOGIN_YES);
    }
}

static void the_session_unused_for_longest_makes_room(void **)
{
    char cookies[LOGIN_TOKENS_MAX + 1][LOGIN_TOKEN_TEXT], token[LOGIN_TOKEN_TEXT], name[20];
    for (int i = 0; i <= LOGIN_TOKENS_MAX; i++) {
        assert_true(make_token(ANNA, LOGIN_SESSION, "", cookies[i]));
        pass(3600);
    }
    assert_int_equal(login_state(l, ANNA, now).n_sessions, LOGIN_TOKENS_MAX);
    assert_int_equal(by_cookie(cookies[0]), LOGIN_NO);
    assert_int_equal(by_cookie(cookies[LOGIN_TOKENS_MAX]), LOGIN_YES);
    for (int i = 0; i < LOGIN_TOKENS_MAX; i++) {
        snprintf(name, sizeof(name), "app %d", i);
        assert_true(make_token(ANNA, LOGIN_APP, name, token));
    }
    assert_false(make_token(ANNA, LOGIN_APP, "one more", token));
    assert_false(make_token(ANNA, LOGIN_SESSION, "", token));
    assert_int_equal(login_state(l, ANNA, now).n_apps, LOGIN_TOKENS_MAX);
    assert_false(make_token(ANNA, LOGIN_APP, "APP 7", token)); /* the name is taken */
}

/* The largest item that there can be fits. */
static void a_full_item_fits_and_comes_back_whole(void **)
{
    char token[LOGIN_TOKEN_TEXT], code[LOGIN_CODE_TEXT], name[LOGIN_NAME_MAX + 1], client[32];
    memset(name, 'n', sizeof(name));
    name[LOGIN_NAME_MAX] = '\0';
    set_password(ANNA, "hash of secret");
    for (int i = 0; i < LOGIN_TOKENS_MAX; i++) {
        snprintf(name, 4, "%03d", i);
        name[3] = 'n';
        assert_true(make_token(ANNA, LOGIN_APP, name, token));
    }
    for (unsigned i = 0; i < 20; i++) {
        client_number(i << 8, client);
        pass(24 * 3600);
        assert_int_equal(log_in(ANNA, "secret", client), LOGIN_YES);
    }
    make_code(ANNA, code);
    restart();
    struct login_state s = login_state(l, ANNA, now);
    assert_true(s.has_password);
    assert_int_equal(s.n_apps, LOGIN_TOKENS_MAX);
    assert_true(s.code_until > now);
    assert_int_equal(ask(LOGIN_BY_TOKEN, 0, token, home), LOGIN_YES);
    size_t at_token = 0, n = 0;
    struct login_token t;
    while (login_next_token(l, ANNA, now, &at_token, &t))
        n += t.name.n == LOGIN_NAME_MAX && t.kind == LOGIN_APP;
    assert_int_equal(n, LOGIN_TOKENS_MAX);
    (void)ask(LOGIN_BY_PASSWORD, ANNA, "x", client);
    assert_true(check.is_welcome);
}

static void items_that_make_no_sense_change_nothing(void **)
{
    struct errinfo ei;
    struct login_facts f = {.password = SLICE("hash of other")};
    struct login_token bad = {.id = 1, .hash = SLICE("short")};
    set_password(ANNA, "hash of secret");
    SCOPED(buf_finish) struct buf b = buf_make(LOGIN_BODY_MAX);
    f.tokens = &bad;
    f.n_tokens = 1;
    login_facts_pack(&b, &f);
    struct record_item item = {
        .account = ANNA, .kind = ITEM_LOGIN, .id = LOGIN_ITEM, .body = buf_slice(&b)};
    assert_int_equal(login_load(l, &item, &ei), ERR_CORRUPT);
    item.body = SLICE("junk");
    assert_int_equal(login_load(l, &item, &ei), ERR_CORRUPT);
    item.id = 2;
    assert_int_equal(login_load(l, &item, &ei), ERR_OK);
    assert_int_equal(log_in(ANNA, "secret", home), LOGIN_YES);
    item.id = LOGIN_ITEM;
    item.is_gone = 1;
    assert_int_equal(login_load(l, &item, &ei), ERR_OK);
    assert_false(login_state(l, ANNA, now).has_password);
}

int main(void)
{
    login_before_sandbox();
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_is_let_in_and_no_other),
        TEST(a_password_that_was_right_is_not_hashed_again_for_ten_minutes),
        TEST(a_new_password_ends_the_old_one_at_once),
        TEST(a_password_changed_while_the_old_one_was_checked_counts),
        TEST(the_same_wrong_password_again_and_again_costs_nobody_anything),
        TEST(what_could_not_be_checked_is_not_held_against_anybody),
        TEST(ten_thousand_guesses_at_once_get_only_the_free_ones),
        TEST(guessing_from_everywhere_costs_the_guessers_and_not_anna),
        TEST(trying_many_addresses_from_one_network_is_slow),
        TEST(at_a_place_of_hers_the_wait_is_short),
        TEST(places_are_remembered_over_a_start_and_forgotten_in_a_month),
        TEST(a_code_works_once_and_for_a_quarter_of_an_hour),
        TEST(a_code_is_gone_after_five_wrong_tries_also_over_a_start),
        TEST(app_tokens_work_as_bearer_and_as_password_of_their_owner_only),
        TEST(a_session_lives_a_month_longer_with_each_day_it_is_used),
        TEST(a_new_password_and_logging_out_end_sessions_but_no_app),
        TEST(the_session_unused_for_longest_makes_room),
        TEST(a_full_item_fits_and_comes_back_whole),
        TEST(items_that_make_no_sense_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
