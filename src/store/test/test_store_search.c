/* The search's file: what is found by whom, filling in both directions, erasing down to the bytes,
 * and that nothing happens to it that time does not mend: kill, garbage, a full disk. */
#include "base/test/folder.h"
#include "store/index_db_int.h"
#include "store/store_files.h"
#include "store/store_search.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

struct world {
    char dir[64], path[160];
    struct folder folder;
    struct store_search_writer *s;
    struct store_search_reader *r;
    char told[400];
    int n_told;
    struct errinfo ei;
};

static void ok(const struct world *w, enum err err)
{
    if (err != ERR_OK)
        fail_msg("%s: %s", err_name(err), w->ei.text);
}

static void note(void *arg, enum event_class class, const char *name, const char *text)
{
    struct world *w = arg;
    assert_int_equal(class, EVENT_NOTICE);
    assert_string_equal(name, "search.anew");
    (void)snprintf(w->told, sizeof(w->told), "%s", text);
    w->n_told++;
}

static void world_open(struct world *w)
{
    struct store_search_options o = {.dir = w->dir, .free_percent = 1, .tell = note, .tell_arg = w};
    ok(w, store_search_open(&o, &w->s, &w->ei));
}

static struct world *world_make(void)
{
    struct world *w = mem_new(sizeof(*w));
    char folder[80];
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/test_store_search.XXXXXX");
    assert_true(folder_make(&w->folder, w->dir));
    (void)snprintf(folder, sizeof(folder), "%s/index", w->dir);
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(w->path, sizeof(w->path), "%s/search.db", folder);
    world_open(w);
    ok(w, store_search_reader_open(w->dir, &w->r, &w->ei));
    return w;
}

static void world_finish(struct world *w)
{
    store_search_reader_close(&w->r);
    store_search_close(&w->s);
    assert_true(folder_finish(&w->folder));
    mem_free(&w);
}

static struct store_search_marks marks(struct world *w)
{
    struct store_search_marks m = {};
    ok(w, store_search_marks(w->s, &m, &w->ei));
    return m;
}

/* Message `id` with this body, in one account; looked at: only it. */
static enum err try_add(struct world *w, uint64_t account, uint64_t id, const char *body)
{
    struct store_search_text t = {
        .message = id, .accounts = &account, .n_accounts = 1, .body = slice_str(body)};
    struct store_search_batch b = {&t, 1, id, id};
    return store_search_add(w->s, &b, &w->ei);
}

static void add(struct world *w, uint64_t account, uint64_t id, const char *body)
{
    ok(w, try_add(w, account, id, body));
}

/* The ids of the hits, as one line. */
static const char *ask_with(struct world *w, struct store_search_question q, const char *expression)
{
    static char line[400];
    static struct store_search_hit hits[STORE_SEARCH_LIMIT_MAX];
    size_t n = 0, at = 0;
    q.expression = slice_str(expression);
    q.limit = q.limit ? q.limit : 50;
    ok(w, store_search_ask(w->r, &q, hits, &n, &w->ei));
    line[0] = '\0';
    for (size_t i = 0; i < n && at < sizeof(line); i++)
        at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%llu", i ? " " : "",
                               (unsigned long long)hits[i].message);
    return line;
}

static const char *ask(struct world *w, uint64_t account, const char *expression)
{
    return ask_with(w, (struct store_search_question){.account = account}, expression);
}

/* ---- finding ---- */

static void words_are_found_in_their_fields_by_their_account(void **state)
{
    (void)state;
    struct world *w = world_make();
    uint64_t accounts[] = {7, 8};
    struct store_search_text t[] = {
        {.message = 11,
         .accounts = accounts,
         .n_accounts = 2,
         .from = SLICE("Anna <anna@a.example>"),
         .to = SLICE("bob@b.example"),
         .cc = SLICE("carl@c.example"),
         .bcc = SLICE("dora@d.example"),
         .subject = SLICE("Angebot f\xc3\xbcr M\xc3\xa4rz"),
         .body = SLICE("the offer of march"),
         .names = SLICE("offer-2026.pdf")},
        {.message = 12,
         .accounts = accounts,
         .n_accounts = 1,
         .subject = SLICE("bob"),
         .body = SLICE("offering xyz\xff\x00q")},
    };
    struct store_search_batch b = {t, 2, 1, 20};
    ok(w, store_search_add(w->s, &b, &w->ei));
    static const struct {
        uint64_t account;
        const char *expression, *ids;
    } rows[] = {
        {7, "\"offer\"", "11"},
        {7, "\"offer\" *", "12 11"},
        {7, "\"of\" *", "12 11"},
        {7, "\"o\" *", "12 11"},
        {8, "\"off\" *", "11"},
        {9, "\"off\" *", ""},
        {7, "\"fur marz\"", "11"},
        {7, "\"F\xc3\x9cR\"", "11"},
        {7, "\"marz fur\"", ""},
        {7, "from : \"anna@a.example\"", "11"},
        {7, "to : \"anna\"", ""},
        {7, "\"bob\"", "12 11"},
        {7, "to : \"bob\"", "11"},
        {7, "cc : \"carl\" AND bcc : \"dora\"", "11"},
        {7, "names : \"2026\"", "11"},
        {7, "(\"bob\") NOT (\"anna\")", "12"},
        {7, "\"\001\"", "12 11"},
        {8, "\"\001\" NOT (\"anna\")", ""},
        {8, "\"\001\"", "11"},
        {7, "\"q\"", "12"},
        {7, "((((((((((((((((((((((((((((\"q\" OR \"b\"))))))))))))))))))))))))))))", "12 11"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(ask(w, rows[i].account, rows[i].expression), rows[i].ids) != 0)
            fail_msg("%s: %s", rows[i].expression, ask(w, rows[i].account, rows[i].expression));
    world_finish(w);
}

static void hits_come_newest_first_in_pages_and_within_an_interval(void **state)
{
    (void)state;
    struct world *w = world_make();
    for (uint64_t id = 101; id <= 110; id++)
        add(w, 1 + id % 2, id, "word");
    struct store_search_question q = {.account = 1, .limit = 2};
    struct store_search_hit hits[2];
    size_t n = 0;
    assert_string_equal(ask_with(w, q, "\"word\""), "110 108");
    q.expression = SLICE("\"word\"");
    ok(w, store_search_ask(w->r, &q, hits, &n, &w->ei));
    q.before = hits[1].at;
    assert_string_equal(ask_with(w, q, "\"word\""), "106 104");
    q = (struct store_search_question){.account = 1, .min = 103, .max = 107};
    assert_string_equal(ask_with(w, q, "\"word\""), "106 104");
    q.max = 101;
    assert_string_equal(ask_with(w, q, "\"word\""), "");
    q.min = 0;
    q.max = 104;
    assert_string_equal(ask_with(w, q, "\"word\""), "104 102");
    world_finish(w);
}

static void a_message_that_comes_late_into_an_account_is_found_there(void **state)
{
    (void)state;
    struct world *w = world_make();
    uint64_t account = 2;
    for (uint64_t id = 101; id <= 104; id++)
        add(w, id == 102 ? 1 : 2, id, "word");
    struct store_search_text t = {
        .message = 102, .accounts = &account, .n_accounts = 1, .body = SLICE("word")};
    struct store_search_batch late = {&t, 1, 0, 0};
    ok(w, store_search_add(w->s, &late, &w->ei));
    ok(w, store_search_add(w->s, &late, &w->ei)); /* once more changes nothing */
    assert_string_equal(ask(w, 2, "\"word\""), "102 104 103 101");
    assert_string_equal(
        ask_with(w, (struct store_search_question){.account = 2, .max = 103}, "\"word\""),
        "102 103 101");
    assert_int_equal(marks(w).last, 104);
    world_finish(w);
}

static void questions_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct world *w = world_make();
    static const char *const bad[] = {"\"a", "x : \"a\"", "\"a\" AND", "NEAR(", ""};
    struct store_search_hit hit;
    size_t n;
    add(w, 1, 1, "b");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct store_search_question q = {
            .account = 1, .limit = 1, .expression = slice_str(bad[i])};
        assert_int_equal(store_search_ask(w->r, &q, &hit, &n, &w->ei), ERR_INVALID);
    }
    struct store_search_question q = {.account = 1, .expression = SLICE("\"b\"")};
    assert_int_equal(store_search_ask(w->r, &q, &hit, &n, &w->ei), ERR_INVALID);
    q.limit = 1;
    q.deadline = 1; /* long ago */
    assert_int_equal(store_search_ask(w->r, &q, &hit, &n, &w->ei), ERR_RETRY);
    assert_string_equal(ask(w, 1, "\"b\""), "1");
    world_finish(w);
}

/* ---- filling ---- */

static void filling_goes_up_and_down_and_nowhere_else(void **state)
{
    (void)state;
    struct world *w = world_make();
    assert_int_equal(marks(w).last, 0);
    add(w, 1, 100, "x");
    add(w, 1, 101, "x");
    add(w, 1, 99, "x");
    add(w, 1, 98, "x");
    add(w, 1, 102, "x");
    assert_int_equal(try_add(w, 1, 104, "x"), ERR_INVALID);
    assert_int_equal(try_add(w, 1, 96, "x"), ERR_INVALID);
    assert_int_equal(try_add(w, 1, 100, "x"), ERR_INVALID);
    assert_string_equal(ask(w, 1, "\"x\""), "102 101 100 99 98");
    struct store_search_batch empty = {NULL, 0, 1, 97};
    ok(w, store_search_add(w->s, &empty, &w->ei));
    assert_int_equal(marks(w).first, 1);
    assert_int_equal(marks(w).last, 102);
    struct store_search_text two[] = {{.message = 104}, {.message = 103}};
    struct store_search_batch unsorted = {two, 2, 103, 104};
    assert_int_equal(store_search_add(w->s, &unsorted, &w->ei), ERR_INVALID);
    struct store_search_marks marks = {};
    ok(w, store_search_reader_marks(w->r, &marks, &w->ei));
    assert_int_equal(marks.last, 102);
    world_finish(w);
}

static void a_batch_downwards_keeps_the_order(void **state)
{
    (void)state;
    struct world *w = world_make();
    uint64_t account = 1;
    struct store_search_text t[3];
    add(w, 1, 100, "x");
    for (uint64_t below = 100; below > 91; below -= 3) {
        for (uint64_t i = 0; i < 3; i++)
            t[i] = (struct store_search_text){.message = below - 3 + i,
                                              .accounts = &account,
                                              .n_accounts = 1,
                                              .body = SLICE("x")};
        struct store_search_batch b = {t, 3, below - 3, below - 1};
        ok(w, store_search_add(w->s, &b, &w->ei));
    }
    assert_string_equal(ask(w, 1, "\"x\""), "100 99 98 97 96 95 94 93 92 91");
    world_finish(w);
}

static void a_message_is_searchable_up_to_its_bound(void **state)
{
    (void)state;
    struct world *w = world_make();
    char *p = mem_new(STORE_SEARCH_FIELD_MAX + 100);
    memset(p, 'a', STORE_SEARCH_FIELD_MAX + 50);
    for (size_t i = 60; i < STORE_SEARCH_FIELD_MAX + 50; i += 60)
        p[i] = ' ';
    memcpy(p + 120, " inside ", 8);
    memcpy(p + STORE_SEARCH_FIELD_MAX + 10, " outside ", 9);
    add(w, 1, 1, p);
    assert_string_equal(ask(w, 1, "\"inside\""), "1");
    assert_string_equal(ask(w, 1, "\"outside\""), "");
    p[60] = '\0'; /* a word that is cut when it is added is cut when it is asked for */
    char expression[80];
    (void)snprintf(expression, sizeof(expression), "\"%s\"", p);
    assert_string_equal(ask(w, 1, expression), "1");
    mem_free(&p);
    world_finish(w);
}

/* ---- comparing ---- */

/* All of an account, three at a time. */
static const char *list(struct world *w, uint64_t account)
{
    static char line[400];
    uint64_t ids[3], after = 0;
    size_t n = 3, at = 0;
    line[0] = '\0';
    while (n == 3) {
        ok(w, store_search_messages(w->s, account, after, ids, 3, &n, &w->ei));
        for (size_t i = 0; i < n; i++)
            at += (size_t)snprintf(line + at, sizeof(line) - at, "%llu ",
                                   (unsigned long long)(after = ids[i]));
    }
    return line;
}

static void what_is_in_can_be_listed_to_be_compared(void **state)
{
    (void)state;
    struct world *w = world_make();
    uint64_t accounts[3], gone = 5;
    size_t n = 0;
    for (uint64_t id = 1; id <= 11; id++)
        add(w, id == 11 ? 70 : 9, id, "x");
    ok(w, store_search_remove(w->s, 9, &gone, 1, 0, &w->ei));
    assert_string_equal(list(w, 9), "1 2 3 4 6 7 8 9 10 ");
    assert_string_equal(list(w, 70), "11 ");
    assert_string_equal(list(w, 71), "");
    ok(w, store_search_accounts(w->s, 0, accounts, 3, &n, &w->ei));
    assert_int_equal(n, 2);
    assert_int_equal(accounts[0], 9);
    assert_int_equal(accounts[1], 70);
    ok(w, store_search_accounts(w->s, 9, accounts, 1, &n, &w->ei));
    assert_int_equal(n, 1);
    assert_int_equal(accounts[0], 70);
    world_finish(w);
}

/* ---- erasing ---- */

static void purge_all(struct world *w, bool is_reopening)
{
    bool is_more = true;
    for (int i = 0; is_more; i++) {
        assert_true(i < 1000);
        ok(w, store_search_purge(w->s, 1000, 0, &is_more, &w->ei));
        if (!is_reopening)
            continue;
        store_search_close(&w->s);
        world_open(w);
    }
}

static bool is_on_disk(const struct world *w, const char *what)
{
    static const char *const ends[] = {"", "-wal"};
    bool is_there = false;
    for (int i = 0; i < 2; i++) {
        char path[200];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s%s", w->path, ends[i]);
        SCOPED(fd_close) int fd = open(path, O_RDONLY);
        if (fd < 0 || fstat(fd, &st) != 0)
            continue;
        char *p = mem_new((size_t)st.st_size + 1);
        assert_int_equal(pread(fd, p, (size_t)st.st_size, 0), st.st_size);
        is_there |= memmem(p, (size_t)st.st_size, what, strlen(what)) != NULL;
        mem_free(&p);
    }
    return is_there;
}

static void erase_words(bool is_reopening)
{
    struct world *w = world_make();
    SCOPED(buf_finish) struct buf body = buf_make(1 << 20);
    for (uint64_t id = 1; id <= 300; id++) {
        /* Enough of them for a merge of several slices that leaves pages free. */
        buf_clear(&body);
        buf_addf(&body, "common%s the of and x%llux", id % 10 == 0 ? " qzsecretword" : "",
                 (unsigned long long)id);
        for (uint64_t i = 0; i < 400; i++)
            buf_addf(&body, " %llu%s", (unsigned long long)(i * 7919 * id % 1000003),
                     id % 10 == 0 ? "secretword" : "plain");
        add(w, 1 + id % 3, id, buf_cstr(&body));
    }
    /* In the middle of a word: how it begins may be shared with its neighbour. */
    assert_true(is_on_disk(w, "secretword"));
    uint64_t ids[30];
    for (uint64_t i = 0; i < 30; i++)
        ids[i] = 10 * (i + 1);
    for (uint64_t account = 1; account <= 3; account++)
        ok(w, store_search_remove(w->s, account, ids, 30, 500, &w->ei));
    for (uint64_t account = 1; account <= 3; account++)
        assert_string_equal(ask(w, account, "\"qzsecretword\""), "");
    bool is_more = true;
    ok(w, store_search_purge(w->s, 1000, 501, &is_more, &w->ei)); /* not yet */
    assert_false(is_more);
    struct store_search_figures f;
    ok(w, store_search_figures(w->s, &f, &w->ei));
    assert_int_equal(f.n_entries, 270);
    assert_int_equal(f.n_removed, 30);
    assert_int_equal(f.removed_at, 500);
    purge_all(w, is_reopening);
    ok(w, store_search_figures(w->s, &f, &w->ei));
    assert_int_equal(f.n_removed, 0);
    assert_false(is_on_disk(w, "secretword"));
    assert_string_equal(ask(w, 2, "\"x1x\""), "1");
    assert_string_equal(ask_with(w, (struct store_search_question){.account = 1, .limit = 3},
                                 "\"common\" \"the of\""),
                        "297 294 291");
    add(w, 1, 301, "qzsecretword again");
    assert_string_equal(ask(w, 1, "\"qzsecretword\""), "301");
    world_finish(w);
}

static void removed_words_leave_the_disk(void **state)
{
    (void)state;
    erase_words(false);
}

static void erasing_goes_on_after_any_end(void **state)
{
    (void)state;
    erase_words(true);
}

static void an_account_goes_as_a_whole_and_may_come_again(void **state)
{
    (void)state;
    struct world *w = world_make();
    for (uint64_t id = 1; id <= 20; id++)
        add(w, 1 + id % 2, id, "qzsecretword x");
    ok(w, store_search_remove_account(w->s, 1, 0, &w->ei));
    ok(w, store_search_remove_account(w->s, 55, 0, &w->ei));
    assert_string_equal(ask(w, 1, "\"x\""), "");
    assert_string_equal(ask(w, 2, "\"\001\""), "19 17 15 13 11 9 7 5 3 1");
    add(w, 1, 21, "x");
    assert_string_equal(ask(w, 1, "\"x\""), "21");
    purge_all(w, false);
    assert_string_equal(ask(w, 1, "\"x\""), "21");
    assert_string_equal(ask(w, 2, "\"qzsecretword\""), "19 17 15 13 11 9 7 5 3 1");
    world_finish(w);
}

/* ---- what may happen ---- */

static void garbage_is_replaced_and_told(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "no database at all, but long enough to be looked at as one would be: 100 bytes and more, "
        "so"
        " that it has room for a header",
        NULL, /* another program's */
        NULL, /* another version's */
        NULL, /* damaged inside */
    };
    for (int i = 0; i < 4; i++) {
        struct world *w = world_make();
        for (uint64_t id = 1; id <= 50; id++)
            add(w, 1, id, "word");
        store_search_close(&w->s);
        store_search_reader_close(&w->r);
        if (i == 0) {
            char wal[200]; /* from which SQLite would mend it */
            (void)snprintf(wal, sizeof(wal), "%s-wal", w->path);
            assert_int_equal(unlink(wal), 0);
            FILE *f = fopen(w->path, "wb");
            assert_non_null(f);
            assert_true(fputs(garbage[0], f) >= 0);
            assert_int_equal(fclose(f), 0);
        } else {
            static const char *const changes[] = {"", "PRAGMA application_id = 7",
                                                  "PRAGMA user_version = 99", "DELETE FROM meta"};
            SCOPED(index_db_close) sqlite3 *db = NULL;
            ok(w, index_db_open(w->path, SQLITE_OPEN_READWRITE, &db, &w->ei));
            ok(w, index_db_exec(db, changes[i], &w->ei));
        }
        assert_int_equal(w->n_told, 0);
        world_open(w);
        assert_int_equal(w->n_told, 1);
        assert_non_null(strstr(w->told, "Mail is not touched"));
        assert_int_equal(marks(w).last, 0);
        ok(w, store_search_reader_open(w->dir, &w->r, &w->ei));
        add(w, 1, 50, "word");
        assert_string_equal(ask(w, 1, "\"word\""), "50");
        world_finish(w);
    }
}

static void readers_follow_to_a_file_that_is_made_anew(void **state)
{
    (void)state;
    struct world *w = world_make();
    add(w, 1, 5, "word");
    assert_string_equal(ask(w, 1, "\"word\""), "5");
    ok(w, store_search_rebuild(w->s, &w->ei));
    assert_int_equal(marks(w).last, 0);
    assert_string_equal(ask(w, 1, "\"word\""), "");
    add(w, 1, 6, "word");
    assert_string_equal(ask(w, 1, "\"word\""), "6");
    world_finish(w);
}

/* The first thing that is asked after the trouble has passed opens it, whatever it is. */
static void a_file_that_could_not_be_made_anew_is_there_when_the_disk_is_well(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct world *w = world_make();
        struct store_search_figures figures;
        uint64_t ids[1];
        size_t n = 1;
        bool more = true;
        add(w, 1, 5, "word");
        assert_int_equal(unlink(w->path), 0);
        assert_int_equal(mkdir(w->path, 0700), 0); /* nothing can be there instead */
        assert_int_equal(store_search_rebuild(w->s, &w->ei), ERR_IO);
        assert_int_not_equal(store_search_messages(w->s, 1, 0, ids, 1, &n, &w->ei), ERR_OK);
        assert_int_equal(rmdir(w->path), 0);
        if (i == 0)
            ok(w, store_search_messages(w->s, 1, 0, ids, 1, &n, &w->ei));
        else if (i == 1)
            ok(w, store_search_accounts(w->s, 0, ids, 1, &n, &w->ei));
        else if (i == 2)
            ok(w, store_search_purge(w->s, 1, 0, &more, &w->ei));
        else if (i == 3)
            ok(w, store_search_figures(w->s, &figures, &w->ei));
        assert_int_equal(marks(w).last, 0);
        assert_int_equal(i < 2 ? n : 0, 0);
        assert_false(i == 2 && more);
        add(w, 1, 6, "word");
        assert_string_equal(ask(w, 1, "\"word\""), "6");
        world_finish(w);
    }
}

static void without_a_file_there_is_nothing_to_ask(void **state)
{
    (void)state;
    struct store_search_reader *r = NULL;
    struct errinfo ei;
    assert_int_equal(store_search_reader_open("/nonexistent", &r, &ei), ERR_RETRY);
    assert_null(r);
}

static int no_room(void *, const char *, uint64_t *ret_free, uint64_t *ret_total)
{
    *ret_free = 14;
    *ret_total = 100;
    return 0;
}

static void search_stops_before_mail_has_no_room(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct store_files files = store_files_real;
    files.free_space = no_room;
    add(w, 1, 1, "word");
    store_search_close(&w->s);
    struct store_search_options o = {.dir = w->dir, .files = &files};
    ok(w, store_search_open(&o, &w->s, &w->ei));
    assert_int_equal(try_add(w, 1, 2, "word"), ERR_FULL);
    assert_non_null(strstr(w->ei.text, "mail comes first"));
    assert_string_equal(ask(w, 1, "\"word\""), "1");
    assert_int_equal(marks(w).last, 1);
    world_finish(w);
}

/* The disk refuses in the middle of a transaction, at more and more bytes. */
static void a_write_that_fails_leaves_everything_as_it_was(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct rlimit old, limit;
    uint64_t id = 0;
    int n_failed = 0;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    SCOPED(buf_finish) struct buf body = buf_make(1 << 20);
    for (int i = 0; i < 20000; i++)
        buf_addf(&body, "w%d ", i * 7919 % 100003);
    for (rlim_t bytes = 1000; bytes < 2000000; bytes = bytes * 3 / 2) {
        limit = old;
        limit.rlim_cur = bytes;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        enum err err = try_add(w, 1, id + 1, buf_cstr(&body));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        n_failed += err != ERR_OK;
        id += err == ERR_OK;
        assert_true(err == ERR_OK || err == ERR_IO || err == ERR_FULL);
        assert_int_equal(marks(w).last, id);
    }
    assert_true(n_failed > 3);
    add(w, 1, id + 1, "word w0");
    struct store_search_question q = {.account = 1, .limit = 1};
    char expected[30];
    (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)id + 1);
    assert_string_equal(ask_with(w, q, "\"w0\""), expected);
    assert_int_equal(w->n_told, 0);
    world_finish(w);
}

static _Noreturn void fill_until_killed(struct world *w, int fd)
{
    struct store_search_options o = {.dir = w->dir, .free_percent = 1};
    if (store_search_open(&o, &w->s, &w->ei) != ERR_OK)
        _exit(1);
    for (uint64_t id = marks(w).last + 1;; id++) {
        char body[80];
        (void)snprintf(body, sizeof(body), "common n%llu z%llu", (unsigned long long)id,
                       (unsigned long long)id % 3);
        if (try_add(w, 1, id, body) != ERR_OK || write(fd, "x", 1) != 1)
            _exit(2);
    }
}

static void a_kill_loses_nothing_that_is_marked(void **state)
{
    (void)state;
    struct world *w = world_make();
    uint64_t last = 0;
    store_search_close(&w->s);
    store_search_reader_close(&w->r);
    for (int round = 0; round < 8; round++) {
        int fds[2];
        char byte;
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            fill_until_killed(w, fds[1]);
        (void)close(fds[1]);
        for (int i = 0; i < 20 + 17 * round; i++)
            assert_int_equal(read(fds[0], &byte, 1), 1);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void)close(fds[0]);
        world_open(w);
        ok(w, store_search_reader_open(w->dir, &w->r, &w->ei));
        assert_true(marks(w).last >= last + 20);
        last = marks(w).last;
        static struct store_search_hit hits[STORE_SEARCH_LIMIT_MAX];
        struct store_search_question q = {
            .account = 1, .limit = STORE_SEARCH_LIMIT_MAX, .expression = SLICE("\"common\"")};
        size_t n = 0;
        ok(w, store_search_ask(w->r, &q, hits, &n, &w->ei));
        assert_int_equal(n, last);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(hits[i].message, last - i);
        store_search_reader_close(&w->r);
        store_search_close(&w->s);
    }
    assert_int_equal(w->n_told, 0);
    world_finish(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found_in_their_fields_by_their_account),
        cmocka_unit_test(hits_come_newest_first_in_pages_and_within_an_interval),
        cmocka_unit_test(a_message_that_comes_late_into_an_account_is_found_there),
        cmocka_unit_test(questions_that_make_no_sense_are_refused),
        cmocka_unit_test(filling_goes_up_and_down_and_nowhere_else),
        cmocka_unit_test(a_batch_downwards_keeps_the_order),
        cmocka_unit_test(a_message_is_searchable_up_to_its_bound),
        cmocka_unit_test(what_is_in_can_be_listed_to_be_compared),
        cmocka_unit_test(removed_words_leave_the_disk),
        cmocka_unit_test(erasing_goes_on_after_any_end),
        cmocka_unit_test(an_account_goes_as_a_whole_and_may_come_again),
        cmocka_unit_test(garbage_is_replaced_and_told),
        cmocka_unit_test(readers_follow_to_a_file_that_is_made_anew),
        cmocka_unit_test(a_file_that_could_not_be_made_anew_is_there_when_the_disk_is_well),
        cmocka_unit_test(without_a_file_there_is_nothing_to_ask),
        cmocka_unit_test(search_stops_before_mail_has_no_room),
        cmocka_unit_test(a_write_that_fails_leaves_everything_as_it_was),
        cmocka_unit_test(a_kill_loses_nothing_that_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
