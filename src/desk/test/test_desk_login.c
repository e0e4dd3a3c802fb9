/* Logging in at the desk: who may, what is written, and what is still true after a start. */
#include "desk/desk_login_int.h"
#include "desk_kit.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

static const char password[] = "correct horse battery";

/* ---- asking ---- */

struct asking {
    struct ipc_call call;
    struct slice body;
    struct admin_login_order order;
    bool is_done; /* under kit->lock, with what follows */
    struct desk_login_told told;
    struct ipc_called called;
    char cookie[100], text[1000];
    enum err err;
};

static void ask_end(struct asking *a)
{
    pthread_mutex_lock(&kit->lock);
    a->is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void ask_wait(struct asking *a, void (*fn)(void *))
{
    a->is_done = false;
    kit_on_loop(fn, a);
    pthread_mutex_lock(&kit->lock);
    while (!a->is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

static void who_told(void *arg, const struct desk_login_told *told)
{
    struct asking *a = arg;
    a->told = *told;
    ask_end(a);
}

static void who_now(void *arg)
{
    struct asking *a = arg;
    desk_login_who(kit->desk, &a->call, who_told, a);
}

static void page_told(void *arg, const struct ipc_called *called, struct slice body)
{
    struct asking *a = arg;
    a->called = *called;
    snprintf(a->cookie, sizeof(a->cookie), SLICE_FMT, SLICE_ARG(called->set_cookie));
    snprintf(a->text, sizeof(a->text), SLICE_FMT, SLICE_ARG(body));
    assert_int_equal(called->bytes, body.n);
    ask_end(a);
}

static void login_now(void *arg)
{
    struct asking *a = arg;
    desk_login(kit->desk, &a->call, a->body, page_told, a);
}

static void order_told(void *cookie, enum err err, const char *text)
{
    struct asking *a = cookie;
    a->err = err;
    snprintf(a->text, sizeof(a->text), "%s", text);
    ask_end(a);
}

static void order_now(void *arg)
{
    struct asking *a = arg;
    a->order.by = SLICE("luca");
    desk_login_order(kit->desk, &a->order, order_told, a);
}

static struct asking ask_order(enum admin_login_what what, uint64_t person, const char *text)
{
    struct asking a = {.order = {.what = what, .person = person, .text = slice_str(text)}};
    ask_wait(&a, order_now);
    return a;
}

static struct asking ask_page(enum ipc_call_kind kind, const char *body, const char *cookie,
                              const char *csrf)
{
    struct asking a = {.call = {.kind = (uint8_t)kind,
                                .cookie = slice_str(cookie),
                                .csrf = slice_str(csrf),
                                .client = SLICE("192.0.2.7"),
                                .agent = SLICE("Browser/1"),
                                .origin = SLICE("https://mail.example.test")},
                       .body = slice_str(body)};
    ask_wait(&a, login_now);
    return a;
}

static struct asking ask_who(enum ipc_call_kind kind, const char *authorization, const char *cookie,
                             const char *csrf)
{
    struct asking a = {.call = {.kind = (uint8_t)kind,
                                .authorization = slice_str(authorization),
                                .cookie = slice_str(cookie),
                                .csrf = slice_str(csrf),
                                .client = SLICE("192.0.2.7"),
                                .origin = SLICE("https://mail.example.test")}};
    ask_wait(&a, who_now);
    return a;
}

static struct asking ask_basic(const char *user, const char *secret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char plain[200], header[300] = "Basic ";
    size_t at = strlen(header);
    unsigned n = (unsigned)snprintf(plain, sizeof(plain) - 2, "%s:%s", user, secret);
    for (unsigned i = 0; i < n; i += 3) {
        unsigned char *p = (unsigned char *)plain + i;
        unsigned bits =
            (unsigned)p[0] << 16 | (i + 1 < n ? (unsigned)p[1] << 8 : 0) | (i + 2 < n ? p[2] : 0);
        for (unsigned k = 0; k < 4; k++)
            if (i + k <= n)
                header[at++] = digits[bits >> (18 - 6 * k) & 63];
    }
    header[at] = '\0';
    return ask_who(IPC_CALL_API, header, "", "");
}

static void take_csrf(const struct asking *a, char ret[LOGIN_CSRF_TEXT])
{
    const char *at = strstr(a->text, "\"csrf\":\"");
    assert_non_null(at);
    snprintf(ret, LOGIN_CSRF_TEXT, "%s", at + 8);
}

static void found_with_password(void)
{
    kit_found((struct kit_company){0});
    struct asking a = ask_order(ADMIN_LOGIN_PASSWORD, KIT_ANNA, password);
    if (a.err != ERR_OK)
        fail_msg("%s", a.text);
    assert_string_equal(a.text, "");
}

/* ---- tests ---- */

static void a_password_works_by_each_address_of_hers_also_after_a_start(void **)
{
    found_with_password();
    for (int i = 0; i < 2; i++) {
        struct asking a = ask_basic("anna@example.test", password);
        assert_int_equal(a.told.status, 200);
        assert_int_equal(a.told.person, KIT_ANNA);
        assert_int_equal(ask_basic("INFO@Example.TEST", password).told.person, KIT_ANNA);
        a = ask_basic("anna@example.test", "correct horse");
        assert_int_equal(a.told.status, 401);
        assert_true(a.told.has_challenge);
        kit_restart();
    }
    kit_await_event("login.password");
}

static void whoever_has_no_mailbox_cannot_log_in(void **)
{
    found_with_password();
    static const char *const users[] = {"luca@example.test", "sales@example.test", "nobody",
                                        "boxless@hosted.test", "anna"};
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
        assert_int_equal(ask_basic(users[i], password).told.status, 401);
    assert_int_equal(ask_order(ADMIN_LOGIN_PASSWORD, 9, password).err, ERR_INVALID);
    assert_int_equal(ask_order(ADMIN_LOGIN_CODE, 12345, "").err, ERR_INVALID);
    /* Not covered any more: nothing of hers opens. */
    struct asking token = ask_order(ADMIN_LOGIN_TOKEN_ADD, KIT_ANNA, "Phone");
    char header[100];
    snprintf(header, sizeof(header), "Bearer %.60s", token.text);
    assert_int_equal(ask_who(IPC_CALL_API, header, "", "").told.status, 200);
    struct kit_objects all = {.n = 0};
    struct dir_text address = {SLICE("anna@example.test")};
    struct dir_person anna = {.name = SLICE("Anna"),
                              .addresses = &address,
                              .n_addresses = 1,
                              .inbox = KIT_BOX_ANNA}; /* as the administration leaves it */
    dir_person_pack(kit_object(&all, OBJECT_PERSON, KIT_ANNA, KIT_TENANT, "anna@example.test"),
                    &anna);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    assert_int_equal(ask_who(IPC_CALL_API, header, "", "").told.status, 401);
    assert_int_equal(ask_basic("anna@example.test", password).told.status, 401);
}

static void a_page_logs_in_works_and_logs_out(void **)
{
    char csrf[LOGIN_CSRF_TEXT];
    found_with_password();
    struct asking in = ask_page(IPC_CALL_LOGIN,
                                "{\"address\":\"anna@example.test\",\"password\":\"correct horse "
                                "battery\"}",
                                "", "");
    assert_int_equal(in.called.status, 200);
    assert_int_equal(in.called.cookie_seconds, 30 * 24 * 3600);
    take_csrf(&in, csrf);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask_who(IPC_CALL_SESSION, "", in.cookie, "").told.person, KIT_ANNA);
        assert_int_equal(ask_who(IPC_CALL_API, "", in.cookie, csrf).told.person, KIT_ANNA);
        assert_true(ask_who(IPC_CALL_API, "", in.cookie, csrf).told.login != 0);
        assert_int_equal(ask_who(IPC_CALL_API, "", in.cookie, "").told.status, 403);
        assert_int_equal(ask_page(IPC_CALL_LOGOUT, "", in.cookie, "").called.status, 403);
        kit_restart();
    }
    struct asking out = ask_page(IPC_CALL_LOGOUT, "", in.cookie, csrf);
    assert_int_equal(out.called.status, 200);
    assert_string_equal(out.cookie, "-");
    struct asking late = ask_who(IPC_CALL_SESSION, "", in.cookie, "");
    assert_int_equal(late.told.status, 401);
    assert_true(late.told.is_cookie_over);
    assert_false(late.told.has_challenge);
    kit_restart();
    assert_int_equal(ask_who(IPC_CALL_SESSION, "", in.cookie, "").told.status, 401);
}

static void pages_of_others_are_refused(void **)
{
    found_with_password();
    struct asking a = {.call = {.kind = IPC_CALL_LOGIN,
                                .client = SLICE("192.0.2.7"),
                                .origin = SLICE("https://mail.example.test"),
                                .from_origin = SLICE("https://evil.test")},
                       .body = SLICE("{\"address\":\"anna@example.test\",\"password\":\"correct "
                                     "horse battery\"}")};
    ask_wait(&a, login_now);
    assert_int_equal(a.called.status, 403);
    assert_string_equal(a.cookie, "");
    a.call.from_origin = SLICE("https://MAIL.example.test");
    ask_wait(&a, login_now);
    assert_int_equal(a.called.status, 200);
    a.call.kind = IPC_CALL_SESSION;
    a.call.cookie = slice_str(a.cookie);
    a.call.from_origin = SLICE("null");
    ask_wait(&a, who_now);
    assert_int_equal(a.told.status, 403);
}

static void what_makes_no_sense_is_refused_in_words(void **)
{
    static const struct {
        const char *body;
        unsigned status;
    } rows[] = {
        {"", 400},
        {"{\"address\":\"anna@example.test\"}", 400},
        {"{\"address\":\"nobody@example.test\",\"password\":\"x\"}", 401},
        {"{\"address\":\"anna@example.test\",\"code\":\"1234 5678\"}", 401},
    };
    found_with_password();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct asking a = ask_page(IPC_CALL_LOGIN, rows[i].body, "", "");
        assert_int_equal(a.called.status, rows[i].status);
        assert_non_null(strstr(a.text, "\"detail\":\""));
        assert_string_equal(a.cookie, "");
    }
    assert_int_equal(ask_page(IPC_CALL_LOGOUT, "", "", "").called.status, 401);
    struct asking a = ask_who(IPC_CALL_API, "", "", "");
    assert_int_equal(a.told.status, 401);
    assert_true(a.told.has_challenge);
    assert_int_equal(ask_who(IPC_CALL_API, "Digest x", "", "").told.status, 401);
}

static void a_code_opens_a_session_once(void **)
{
    char body[200];
    kit_found((struct kit_company){0});
    struct asking code = ask_order(ADMIN_LOGIN_CODE, KIT_LUCA, "");
    assert_int_equal(strlen(code.text), LOGIN_CODE_TEXT - 1);
    kit_restart();
    snprintf(body, sizeof(body), "{\"address\":\"luca@example.test\",\"code\":\"%s\"}", code.text);
    struct asking in = ask_page(IPC_CALL_LOGIN, body, "", "");
    assert_int_equal(in.called.status, 200);
    assert_int_equal(ask_who(IPC_CALL_SESSION, "", in.cookie, "").told.person, KIT_LUCA);
    assert_int_equal(ask_page(IPC_CALL_LOGIN, body, "", "").called.status, 401);
    kit_restart(); /* nor after a start */
    assert_int_equal(ask_page(IPC_CALL_LOGIN, body, "", "").called.status, 401);
    kit_await_event("login.code");
}

/* A token that is taken away must not have left a session behind. */
static void an_app_token_makes_no_session(void **)
{
    char body[300];
    kit_found((struct kit_company){0});
    struct asking token = ask_order(ADMIN_LOGIN_TOKEN_ADD, KIT_ANNA, "Phone");
    assert_int_equal(ask_basic("anna@example.test", token.text).told.status, 200);
    assert_int_equal(ask_basic("luca@example.test", token.text).told.status, 401);
    snprintf(body, sizeof(body), "{\"address\":\"anna@example.test\",\"password\":\"%.60s\"}",
             token.text);
    assert_int_equal(ask_page(IPC_CALL_LOGIN, body, "", "").called.status, 401);
    assert_int_equal(ask_order(ADMIN_LOGIN_TOKEN_ADD, KIT_ANNA, "Phone").err, ERR_EXISTS);
    assert_int_equal(ask_order(ADMIN_LOGIN_TOKEN_ADD, KIT_ANNA, "").err, ERR_INVALID);
}

struct listing {
    size_t n;
    uint64_t id;
    struct admin_login state;
};

static void list_now(void *arg)
{
    struct listing *l = arg;
    struct admin_login_token t;
    size_t at = 0;
    l->n = 0;
    while (kit_admin->host.login_next_token(kit->desk, KIT_ANNA, &at, &t)) {
        l->id = t.id;
        l->n++;
    }
    l->state = kit_admin->host.login_state(kit->desk, KIT_ANNA);
}

static void tokens_are_listed_and_ended(void **)
{
    struct listing l;
    found_with_password();
    struct asking token = ask_order(ADMIN_LOGIN_TOKEN_ADD, KIT_ANNA, "Phone");
    struct asking in = ask_page(IPC_CALL_LOGIN,
                                "{\"address\":\"anna@example.test\",\"password\":\"correct horse "
                                "battery\"}",
                                "", "");
    kit_on_loop(list_now, &l);
    assert_int_equal(l.n, 2);
    assert_true(l.state.has_password);
    assert_int_equal(l.state.n_apps, 1);
    assert_int_equal(ask_order(ADMIN_LOGIN_END, KIT_ANNA, "").err, ERR_OK);
    assert_int_equal(ask_who(IPC_CALL_SESSION, "", in.cookie, "").told.status, 401);
    assert_int_equal(ask_basic("anna@example.test", token.text).told.status, 200);
    kit_on_loop(list_now, &l);
    assert_int_equal(l.n, 1);
    struct asking remove = {
        .order = {.what = ADMIN_LOGIN_TOKEN_REMOVE, .person = KIT_ANNA, .token = l.id}};
    ask_wait(&remove, order_now);
    assert_int_equal(remove.err, ERR_OK);
    assert_int_equal(ask_basic("anna@example.test", token.text).told.status, 401);
    ask_wait(&remove, order_now);
    assert_int_equal(remove.err, ERR_GONE);
}

/* Many at once: each is decided on what the one before made. */
static void changes_of_one_person_take_turns(void **)
{
    enum { N = 20 };
    static struct asking asks[N];
    struct listing l;
    kit_found((struct kit_company){0});
    disk_set(true, false);
    for (int i = 0; i < N; i++) {
        char name[20];
        snprintf(name, sizeof(name), "Phone %d", i);
        asks[i] = (struct asking){
            .order = {.what = ADMIN_LOGIN_TOKEN_ADD, .person = KIT_ANNA, .text = slice_str(name)}};
        kit_on_loop(order_now, &asks[i]);
    }
    disk_set(false, false);
    for (int i = 0; i < N; i++) {
        pthread_mutex_lock(&kit->lock);
        while (!asks[i].is_done)
            pthread_cond_wait(&kit->cond, &kit->lock);
        pthread_mutex_unlock(&kit->lock);
        assert_int_equal(asks[i].err, ERR_OK);
    }
    kit_restart();
    kit_on_loop(list_now, &l);
    assert_int_equal(l.n, N);
}

static void what_the_disk_refuses_does_not_count(void **)
{
    found_with_password();
    disk_fail_with(8, ENOSPC, false);
    struct asking in = ask_page(IPC_CALL_LOGIN,
                                "{\"address\":\"anna@example.test\",\"password\":\"correct horse "
                                "battery\"}",
                                "", "");
    assert_int_equal(in.called.status, 503);
    assert_string_equal(in.cookie, "");
    disk_fail(0);
}

static void those_in_charge_learn_that_somebody_guesses(void **)
{
    struct asking a;
    found_with_password();
    for (int i = 0; i < 30; i++) {
        char guess[30];
        snprintf(guess, sizeof(guess), "wrong password %d", i);
        a = ask_basic("anna@example.test", guess);
        assert_true(a.told.status == 401 || a.told.status == 429);
    }
    assert_int_equal(a.told.status, 429);
    assert_true(a.told.retry_after > 0);
    kit_await_event("login.guessed");
}

/* What is asked at the very end is still answered. */
static void whoever_waits_at_the_end_is_told(void **)
{
    static struct asking asks[10];
    found_with_password();
    for (int i = 0; i < 10; i++) {
        asks[i] = (struct asking){.order = {.what = ADMIN_LOGIN_PASSWORD,
                                            .person = KIT_ANNA,
                                            .text = slice_str(password)}};
        kit_on_loop(order_now, &asks[i]);
    }
    kit_restart();
    for (int i = 0; i < 10; i++)
        assert_true(asks[i].is_done);
}

int main(void)
{
    login_before_sandbox();
    const struct CMUnitTest tests[] = {
        TEST(a_password_works_by_each_address_of_hers_also_after_a_start),
        TEST(whoever_has_no_mailbox_cannot_log_in),
        TEST(a_page_logs_in_works_and_logs_out),
        TEST(pages_of_others_are_refused),
        TEST(what_makes_no_sense_is_refused_in_words),
        TEST(a_code_opens_a_session_once),
        TEST(an_app_token_makes_no_session),
        TEST(tokens_are_listed_and_ended),
        TEST(changes_of_one_person_take_turns),
        TEST(what_the_disk_refuses_does_not_count),
        TEST(those_in_charge_learn_that_somebody_guesses),
        TEST(whoever_waits_at_the_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
