/* Indexes of other versions: newer, older, and those that are not what their number says. */
#include "index_world.h"

static void a_newer_index_is_refused_with_words_that_help(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    index_close(&w.x);
    store_reader_close(&w.r);
    world_sql(w.path, "PRAGMA user_version = 7");
    uint64_t applied = 0;
    const char *words = "this index was written by a newer version of Staffetta (7, this one knows "
                        "2); install that version or run `staffetta store rebuild`";
    assert_int_equal(index_open(w.path, &w.x, &w.ei), ERR_INVALID);
    assert_null(w.x);
    assert_non_null(strstr(w.ei.text, words));
    assert_int_equal(store_reader_open(w.dir, &w.r, &w.ei), ERR_INVALID);
    assert_non_null(strstr(w.ei.text, words));
    assert_int_equal(index_verify(w.path, &applied, &w.ei), ERR_INVALID);
    assert_int_equal(index_copy(w.path, "/tmp/never", &applied, &w.ei), ERR_INVALID);
}

/* As the first version wrote it. */
static void make_old(const char *path)
{
    world_sql(path, "INSERT OR IGNORE INTO thread SELECT * FROM thread_new; DROP TABLE thread_new;"
                    " DROP TABLE evidence; DROP TABLE high; PRAGMA user_version = 1");
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
    world_mailbox(&w, (struct record_mailbox){.id = 5, .person = 50, .tenant = 1});
    world_covered(&w, 41, 1, &fields);
    world_simple(&w, 42);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    index_close(&w.x);
    store_reader_close(&w.r);
    make_old(w.path);
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

static void an_older_index_that_has_them_already_keeps_what_is_in_them(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_evidence run = {.primary = 9, .first = 1000, .last = 2000, .kind = 1, .n = 3};
    struct record_evidences all = {.runs = &run, .n_runs = 1};
    record_evidences_pack(&w.pack, &all);
    world_apply(&w, RECORD_EVIDENCE, 0, 0);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    index_close(&w.x);
    world_sql(w.path, "PRAGMA user_version = 1");
    ok(&w, index_open(w.path, &w.x, &w.ei));
    SCOPED(buf_finish) struct buf after = world_dump(&w);
    assert_non_null(strstr(buf_cstr(&after), "evidence"));
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
}

static void an_index_that_lacks_a_table_is_corrupt(void **)
{
    static const char *const names[] = {"history", "high", "thread_new", "aside"};
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
        cmocka_unit_test(an_older_index_that_has_them_already_keeps_what_is_in_them),
        cmocka_unit_test(an_index_that_lacks_a_table_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
