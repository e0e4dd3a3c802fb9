/* Giving back more than what is new: flags that were taken away, folders that were renamed; and
 * with log-ins of persons. */
#include "desk_kit_mailback.h"

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
                                                   .fresh = slice_str(fresh),
                                                   .asked = slice_str(old)});
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(only_flags_that_changed_here_are_changed_there),
        TEST(what_is_known_of_flags_ends_with_the_message),
        TEST(what_lies_in_a_folder_that_was_renamed_is_moved_to_the_new_name),
        TEST(a_person_may_have_a_log_in_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
