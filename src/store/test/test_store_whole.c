/* The whole store, with real files and the real index: written, killed, opened, verified, rebuilt.
 */
#include "index_old.h"
#include "store/index_db_int.h"
#include "store/store_int.h"
#include "store/store_search.h"

#include "base/test/folder.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL = 4 << 20, BODY = 200000 };

static char dir[64];
static struct folder own;
static char body[BODY];

static int make_dir(void **)
{
    (void)snprintf(dir, sizeof(dir), "test-store-XXXXXX");
    for (int i = 0; i < BODY; i++)
        body[i] = (char)(i * 31 % 251);
    return folder_make(&own, dir) ? 0 : -1;
}

static int remove_dir(void **)
{
    return folder_finish(&own) ? 0 : -1;
}

static char told[1000]; /* by the last store: names of events, one after the other */

static void hear(void *, enum event_class, const char *name, const char *)
{
    size_t n = strlen(told);
    (void)snprintf(told + n, sizeof(told) - n, "%s ", name);
}

static struct store *open_store(void)
{
    struct errinfo ei = {};
    struct store *s = NULL;
    struct store_options o = {.dir = dir, .segment_bytes = SMALL, .n_pool = 1, .tell = hear};
    told[0] = '\0';
    if (store_open(&o, &s, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
    return s;
}

struct sent {
    struct store_change change;
    struct buf facts;
    _Atomic int state; /* 0 under way, 1 durable, 2 refused */
};

static void on_done(struct store_change *c, enum err err, const struct errinfo *)
{
    atomic_store(&container_of(c, struct sent, change)->state, err == ERR_OK ? 1 : 2);
}

static void send_message(struct store *s, struct sent *m, uint64_t id, size_t bytes)
{
    struct record_rcpt rcpt = {
        .address = SLICE("one@example.org"), .primary = 1, .disposition = DISPOSITION_WAITING};
    struct record_fields fields = {.subject = SLICE("Hello")};
    struct record_message facts = {.id = id,
                                   .tenant = 1,
                                   .direction = DIRECTION_IN,
                                   .rcpts = &rcpt,
                                   .n_rcpts = 1,
                                   .fields = &fields,
                                   .n_fields = 1,
                                   .bytes = (uint32_t)bytes,
                                   .received = utc_now()};
    m->facts = buf_make(10000);
    record_message_pack(&m->facts, &facts);
    m->change = (struct store_change){
        .type = RECORD_MESSAGE, .id = id, .done = on_done, .facts = buf_slice(&m->facts)};
    m->change.body[0] = slice_of(body, bytes / 2);
    m->change.body[2] = slice_of(body + bytes / 2, bytes - bytes / 2);
    atomic_store(&m->state, 0);
    store_submit(s, &m->change);
}

static void wait_for(struct store *s, struct sent *m)
{
    while (atomic_load(&m->state) == 0)
        (void)store_wait_applied(s, UINT64_MAX, 200);
    buf_finish(&m->facts);
}

static void send_some(struct store *s, uint64_t from, unsigned n)
{
    static struct sent all[64];
    must(n <= 64);
    for (unsigned i = 0; i < n; i++)
        send_message(s, &all[i], from + i, 1 + (from + i) * 7919 % BODY);
    for (unsigned i = 0; i < n; i++) {
        wait_for(s, &all[i]);
        assert_int_equal(all[i].state, 1);
    }
}

static void check_bodies(struct store *s, uint64_t from, unsigned n)
{
    struct errinfo ei = {};
    uint64_t end = store_figures(s).end;
    assert_int_equal(store_wait_applied(s, end - 1, SECONDS(10)), ERR_OK);
    SCOPED(arena_destroy) struct arena *a = arena_create(64 << 20);
    unsigned n_found = 0;
    for (uint64_t pos = 0; pos < end; pos += INDEX_ZONE_BYTES) {
        struct index_place *places;
        size_t n_places;
        assert_int_equal(index_messages_in(s->index_path, pos, pos + INDEX_ZONE_BYTES, 1000, a,
                                           &places, &n_places, &ei),
                         ERR_OK);
        for (size_t i = 0; i < n_places; i++) {
            uint64_t id = places[i].message;
            SCOPED(buf_finish) struct buf b = buf_make(BODY);
            if (id < from || id >= from + n)
                continue;
            assert_int_equal(
                store_read_body(s, id, places[i].extents, places[i].n_extents, &b, &ei), ERR_OK);
            assert_int_equal(b.n, 1 + id * 7919 % BODY);
            assert_memory_equal(b.p, body, b.n);
            n_found++;
        }
    }
    assert_int_equal(n_found, n);
}

static unsigned n_said;

static void say(void *arg, const char *text)
{
    if (arg)
        fprintf(stderr, "%s\n", text);
    n_said++;
}

static void add_line(void *arg, struct slice line)
{
    buf_adds(arg, line);
    buf_addc(arg, '\n');
}

static void dump(struct buf *ret)
{
    char path[200];
    struct errinfo ei = {};
    *ret = buf_make(16 << 20);
    (void)snprintf(path, sizeof(path), "%s/index/index.db", dir);
    if (index_dump(path, add_line, ret, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
}

static void written_closed_opened_verified_and_rebuilt_it_is_the_same(void **)
{
    struct errinfo ei = {};
    struct store *s = open_store();
    send_some(s, 1, 60);
    assert_int_equal(store_snapshot(s, &ei), ERR_OK);
    send_some(s, 61, 60);
    assert_int_equal(store_verify(dir, say, stderr), 0); /* while it is open */
    store_close(&s);
    s = open_store();
    assert_int_equal(store_recovered(s)->last_id, 120);
    check_bodies(s, 1, 120);
    store_close(&s);
    SCOPED(buf_finish) struct buf before = {};
    SCOPED(buf_finish) struct buf after = {};
    dump(&before);
    if (store_rebuild(dir, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
    dump(&after);
    assert_true(before.n > 1000);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
    assert_int_equal(store_verify(dir, say, stderr), 0);
}

/* Its words may be of mail that is no longer there; nobody else would make it anew. */
static void rebuilding_drops_the_search_which_is_filled_again(void **)
{
    struct store_search_options o = {.dir = dir, .free_percent = 1};
    struct store_search_writer *search = NULL;
    uint64_t account = 1;
    struct store_search_marks marks = {};
    struct store_search_text text = {
        .message = 1, .accounts = &account, .n_accounts = 1, .body = SLICE("hello")};
    struct store_search_batch batch = {&text, 1, 1, 60};
    struct errinfo ei = {};
    struct store *s = open_store();
    send_some(s, 1, 60);
    store_close(&s);
    assert_int_equal(store_search_open(&o, &search, &ei), ERR_OK);
    assert_int_equal(store_search_add(search, &batch, &ei), ERR_OK);
    store_search_close(&search);
    if (store_rebuild(dir, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
    assert_int_equal(store_search_open(&o, &search, &ei), ERR_OK);
    assert_int_equal(store_search_marks(search, &marks, &ei), ERR_OK);
    assert_int_equal(marks.last, 0);
    store_search_close(&search);
}

/* Closes it, does something to the index behind its back, opens it. */
static struct store *change_index(struct store *s, const char *sql, struct buf *before)
{
    SCOPED(index_db_close) sqlite3 *db = NULL;
    struct errinfo ei = {};
    char path[200];
    store_close(&s);
    dump(before);
    (void)snprintf(path, sizeof(path), "%s/index/index.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (index_db_exec(db, sql, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
    index_db_close(&db);
    return open_store();
}

static void expect_the_same(struct store *s, const struct buf *before)
{
    SCOPED(buf_finish) struct buf after = {};
    check_bodies(s, 1, 80);
    store_close(&s);
    dump(&after);
    assert_true(slice_eq(buf_slice(before), buf_slice(&after)));
    assert_int_equal(store_verify(dir, say, stderr), 0);
}

static void an_index_of_the_version_before_goes_on_where_it_was(void **)
{
    struct errinfo ei = {};
    SCOPED(buf_finish) struct buf before = {};
    struct store *s = open_store();
    send_some(s, 1, 40);
    send_some(s, 41, 40);
    store_close(&s);
    s = open_store(); /* what nobody answered is written once */
    s = change_index(s, INDEX_OLD_1, &before);
    assert_non_null(strstr(told, "store.index_upgraded"));
    assert_null(strstr(told, "store.index_rebuilt"));
    assert_int_equal(store_recovered(s)->n_replayed, 0); /* not made anew */
    assert_int_equal(store_snapshot(s, &ei), ERR_OK);
    expect_the_same(s, &before);
}

static void an_index_that_lacks_a_table_is_made_anew(void **)
{
    struct errinfo ei = {};
    SCOPED(buf_finish) struct buf before = {};
    struct store *s = open_store();
    send_some(s, 1, 40);
    assert_int_equal(store_snapshot(s, &ei), ERR_OK);
    send_some(s, 41, 40);
    store_close(&s);
    s = open_store();
    s = change_index(s, "DROP TABLE high", &before);
    assert_non_null(strstr(told, "store.index_rebuilt"));
    expect_the_same(s, &before);
}

static void verify_finds_a_turned_bit(void **)
{
    char path[200];
    char byte;
    struct store *s = open_store();
    send_some(s, 1, 40);
    check_bodies(s, 1, 40);
    store_close(&s);
    (void)snprintf(path, sizeof(path), "%s/log/00000000.seg", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, 1000000), 1);
    byte ^= 8;
    assert_int_equal(pwrite(fd, &byte, 1, 1000000), 1);
    (void)close(fd);
    n_said = 0;
    unsigned n = store_verify(dir, say, NULL);
    assert_in_range(n, 1, 3);
    assert_int_equal(n_said, n);
}

/* The program is killed while it writes: what it said to be durable is there. */
static void a_killed_program_loses_nothing_it_promised(void **)
{
    int pipe_fds[2];
    uint64_t promised = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        struct errinfo ei = {};
        struct store *s = NULL;
        struct store_options o = {.dir = dir, .segment_bytes = SMALL, .n_pool = 1};
        static struct sent m;
        if (store_open(&o, &s, &ei) != ERR_OK)
            _exit(1);
        for (uint64_t id = 1;; id++) {
            send_message(s, &m, id, 1 + id * 7919 % BODY);
            wait_for(s, &m);
            if (write(pipe_fds[1], &id, sizeof(id)) != sizeof(id))
                _exit(1);
        }
    }
    (void)close(pipe_fds[1]);
    while (promised < 100 &&
           read(pipe_fds[0], &promised, sizeof(promised)) == (ssize_t)sizeof(promised))
        ;
    kill(child, SIGKILL);
    uint64_t more;
    while (read(pipe_fds[0], &more, sizeof(more)) == (ssize_t)sizeof(more))
        promised = more;
    (void)close(pipe_fds[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(promised >= 100);
    struct store *s = open_store();
    assert_false(store_recovered(s)->is_damaged);
    assert_true(store_recovered(s)->n_unanswered >= promised);
    check_bodies(s, 1, (unsigned)promised);
    store_close(&s);
    assert_int_equal(store_verify(dir, say, stderr), 0);
}

static void the_lock_keeps_a_second_process_out(void **)
{
    struct store *s = open_store();
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct errinfo ei;
        struct store *second;
        struct store_options o = {.dir = dir, .segment_bytes = SMALL, .n_pool = 1};
        _exit(store_open(&o, &second, &ei) == ERR_CONFLICT ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(&s);
}

/* A write that the system cuts short is gone on with, until the system says why it is not. */
static void a_short_write_of_the_system_is_an_error_and_not_a_success(void **)
{
    const struct store_files *f = &store_files_real;
    char path[200];
    char back[9000];
    struct rlimit old;
    struct iovec iov[3] = {{body, 3000}, {body + 3000, 3000}, {body + 6000, 3000}};
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    int fd = f->open(f->self, path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(f->pwritev(f->self, fd, iov, 3, 0), 9000);
    assert_int_equal(f->pread(f->self, fd, back, sizeof(back), 0), 9000);
    assert_memory_equal(back, body, 9000);
    assert_int_equal(f->pread(f->self, fd, back, sizeof(back), 8000), 1000);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = {10000, old.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(f->pwritev(f->self, fd, iov, 3, 5000), -1);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(f->size(f->self, fd), 10000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(f->pread(f->self, fd, back, 5000, 5000), 5000);
    assert_memory_equal(back, body, 5000); /* it went on in the middle of the second part */
    assert_int_equal(f->close(f->self, fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_closed_opened_verified_and_rebuilt_it_is_the_same,
                                        make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(rebuilding_drops_the_search_which_is_filled_again, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(an_index_of_the_version_before_goes_on_where_it_was,
                                        make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(an_index_that_lacks_a_table_is_made_anew, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(verify_finds_a_turned_bit, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_killed_program_loses_nothing_it_promised, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(the_lock_keeps_a_second_process_out, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_short_write_of_the_system_is_an_error_and_not_a_success,
                                        make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
