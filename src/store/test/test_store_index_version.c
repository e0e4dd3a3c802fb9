/* Indexes of other versions: newer, older, and those that are not what their number says. */
#include "index_old.h"
#include "index_world.h"

static void a_newer_index_is_refused_with_words_that_help(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    index_close(&w.x);
    store_reader_close(&w.r);
    world_sql(w.path, "PRAGMA user_version = 7");
    uint64_t applied = 0;
    const char *words = "this index was written by a newer version of Staffetta (7, this one knows "
                        "5); install that version or run `staffetta store rebuild`";
    assert_int_equal(index_open(w.path, &w.x, &w.ei), ERR_INVALID);
    assert_null(w.x);
    assert_non_null(strstr(w.ei.text, words));
    assert_int_equal(store_reader_open(w.dir, &w.r, &w.ei), ERR_INVALID);
    assert_non_null(strstr(w.ei.text, words));
    assert_int_equal(index_verify(w.path, &applied, &w.ei), ERR_INVALID);
    assert_int_equal(index_copy(w.path, "/tmp/never", &applied, &w.ei), ERR_INVALID);
}

static const struct record_mailbox_v1 old_inbox = {.id = 5,
                                                   .person = 50,
                                                   .tenant = 1,
                                                   .name = SLICE("Inbox"),
                                                   .role = SLICE("inbox"),
                                                   .uid_validity = 9,
                                                   .modseq = 1};

static void put_old_inbox(struct world *w)
{
    struct record_mailbox_v1 m = old_inbox;
    struct record_mailboxes_v1 list = {.mailboxes = &m, .n_mailboxes = 1};
    record_mailboxes_v1_pack(&w->pack, &list);
    w->version = 1;
    world_apply(w, RECORD_MAILBOX, 0, 0);
}

/* What world_covered brings has uids of its own. */
static void make_version_2(const char *path)
{
    world_sql(path, INDEX_OLD_2 "UPDATE entry SET uid = modseq - 100");
}

static int64_t version_of(const char *path)
{
    SCOPED(index_db_close) sqlite3 *db = NULL;
    struct errinfo ei = {};
    int64_t version = 0;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(index_db_number(db, "PRAGMA user_version", &version, &ei), ERR_OK);
    return version;
}

static void an_older_index_gets_the_tables_that_it_lacks_and_goes_on(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    char copy[160];
    uint64_t applied = 0;
    struct record_fields fields = {.message_id = SLICE("<one@x.example>")};
    put_old_inbox(&w);
    world_covered(&w, 41, 1, &fields);
    world_simple(&w, 42);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    index_close(&w.x);
    store_reader_close(&w.r);
    world_sql(w.path, INDEX_OLD_1);
    world_sql(w.path, "UPDATE entry SET uid = modseq - 100");
    assert_int_equal(store_reader_open(w.dir, &w.r, &w.ei), ERR_CORRUPT); /* the writer is first */
    ok(&w, index_verify(w.path, &applied, &w.ei));
    assert_int_equal(applied, w.pos);
    /* A snapshot of it stays as it is, and can be restored. */
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", w.dir);
    ok(&w, index_copy(w.path, copy, &applied, &w.ei));
    assert_int_equal(version_of(copy), 1);
    world_sql(copy, "PRAGMA journal_mode = DELETE");
    ok(&w, index_open(w.path, &w.x, &w.ei));
    assert_int_equal(index_old_version(w.x), 1);
    assert_int_equal(index_applied(w.x), w.pos);
    SCOPED(buf_finish) struct buf after = world_dump(&w);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
    ok(&w, store_reader_open(w.dir, &w.r, &w.ei));
    /* What was not there can be written now. */
    struct record_high high = {.refusal = 3, .time = 7200000};
    struct record_highs highs = {.highs = &high, .n_highs = 1};
    record_highs_pack(&w.pack, &highs);
    world_apply(&w, RECORD_HIGH, 0, 0);
    world_covered(&w, 43, 2, &fields);
    index_close(&w.x);
    ok(&w, index_open(w.path, &w.x, &w.ei));
    assert_int_equal(index_old_version(w.x), 0);
    assert_int_equal(version_of(w.path), INDEX_VERSION);
    struct index *x = NULL;
    ok(&w, index_open(copy, &x, &w.ei));
    assert_int_equal(index_old_version(x), 1);
    index_close(&x);
}

static void entries_of_mailboxes_become_emails_of_accounts(void **)
{
    static const struct {
        uint64_t message;
        uint32_t uid;
    } mails[] = {{41, 1}, {45, 2}, {43, 3}, {44, 4}, {60, 5}, {46, 6}}; /* some came late */
    SCOPED(world_finish) struct world w = world_make();
    struct record_fields fields = {.message_id = SLICE("<one@x.example>"), .has_attachment = 1};
    put_old_inbox(&w);
    for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++)
        world_covered(&w, mails[i].message, mails[i].uid, &fields);
    world_check(&w);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    index_close(&w.x);
    store_reader_close(&w.r);
    make_version_2(w.path);
    ok(&w, index_open(w.path, &w.x, &w.ei));
    SCOPED(buf_finish) struct buf after = world_dump(&w);
    assert_non_null(strstr(buf_cstr(&after), "is_changed=1"));
    assert_string_equal(buf_cstr(&before), buf_cstr(&after));
    world_check(&w);
    ok(&w, store_reader_open(w.dir, &w.r, &w.ei));
    struct store_account account;
    ok(&w, store_get_account(w.r, 50, &account, &w.ei));
    assert_int_equal(account.inbox, 5);
    assert_int_equal(account.modseq, 106);
}

static void tombstones_of_version_4_are_found_after_the_upgrade(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    put_old_inbox(&w);
    world_covered(&w, 41, 1, NULL);
    world_put_email(
        &w, (struct record_email){.account = 50, .message = 41, .modseq = 200, .is_gone = 1});
    index_close(&w.x);
    store_reader_close(&w.r);
    world_sql(w.path, INDEX_OLD_4);
    ok(&w, index_open(w.path, &w.x, &w.ei));
    assert_int_equal(index_old_version(w.x), 4);
    assert_int_equal(world_number(&w, "SELECT count(*) FROM email"), 1);
    world_purge(&w, (struct record_purged){.account = 50, .floor = 200});
    assert_int_equal(world_number(&w, "SELECT count(*) FROM email"), 0);
    world_check(&w);
}

static void an_older_index_that_has_them_already_keeps_what_is_in_them(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_evidence run = {.primary = 9, .first = 1000, .last = 2000, .kind = 1, .n = 3};
    struct record_evidences all = {.runs = &run, .n_runs = 1};
    record_evidences_pack(&w.pack, &all);
    world_apply(&w, RECORD_EVIDENCE, 0, 0);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    index_close(&w.x);
    make_version_2(w.path);
    world_sql(w.path, "DELETE FROM mailbox; PRAGMA user_version = 1");
    ok(&w, index_open(w.path, &w.x, &w.ei));
    SCOPED(buf_finish) struct buf after = world_dump(&w);
    assert_non_null(strstr(buf_cstr(&after), "evidence"));
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
}

static void an_index_that_lacks_a_table_is_corrupt(void **)
{
    static const char *const names[] = {"history", "high", "thread_new", "email", "aside"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        SCOPED(world_finish) struct world w = world_make();
        char sql[100];
        uint64_t applied;
        (void)snprintf(sql, sizeof(sql), "DROP TABLE %s", names[i]);
        index_close(&w.x);
        world_sql(w.path, sql);
        assert_int_equal(index_open(w.path, &w.x, &w.ei), ERR_CORRUPT);
        assert_non_null(strstr(w.ei.text, names[i]));
        assert_int_equal(index_verify(w.path, &applied, &w.ei), ERR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_index_is_refused_with_words_that_help),
        cmocka_unit_test(an_older_index_gets_the_tables_that_it_lacks_and_goes_on),
        cmocka_unit_test(entries_of_mailboxes_become_emails_of_accounts),
        cmocka_unit_test(tombstones_of_version_4_are_found_after_the_upgrade),
        cmocka_unit_test(an_older_index_that_has_them_already_keeps_what_is_in_them),
        cmocka_unit_test(an_index_that_lacks_a_table_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
