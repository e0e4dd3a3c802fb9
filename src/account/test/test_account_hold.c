/* Holding a view over a real store, whose index cannot be read for a moment. */
#include "account/account.h"

#include "base/test/folder.h"
#include "store/store.h"
#include "store/store_account.h"

#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdio.h>

#include <cmocka.h>

enum { PERSON = 7, BOX = 100, FIRST = 1001, SECOND = 1002, PATIENCE_MS = 1000 };

struct world {
    struct folder folder;
    char dir[64];
    struct store *store;
    struct store_reader *reader;
    struct account_cache *cache;
};

/* ---- the store ---- */

struct written {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_done;
    enum err err;
};

static void note_written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct written *w = change->arg;
    pthread_mutex_lock(&w->lock);
    w->is_done = true;
    w->err = err;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static void put(struct world *w, enum record_type type, uint64_t id, const struct buf *facts)
{
    struct written done = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, ERR_OK};
    struct store_change change = {
        .type = type, .id = id, .facts = buf_slice(facts), .done = note_written, .arg = &done};
    change.body[0] = type == RECORD_MESSAGE ? SLICE("x\r\n") : SLICE("");
    assert_false(facts->failed);
    store_submit(w->store, &change);
    pthread_mutex_lock(&done.lock);
    while (!done.is_done)
        pthread_cond_wait(&done.cond, &done.lock);
    pthread_mutex_unlock(&done.lock);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(store_wait_applied(w->store, change.pos, SECONDS(20)), ERR_OK);
}

static void put_box(struct world *w, uint64_t modseq)
{
    SCOPED(buf_finish) struct buf facts = buf_make(4096);
    struct record_mailbox box = {.id = BOX,
                                 .person = PERSON,
                                 .tenant = 1,
                                 .name = SLICE("Inbox"),
                                 .role = SLICE("inbox"),
                                 .uid_validity = 1,
                                 .modseq = modseq,
                                 .created = modseq};
    record_mailboxes_pack(&facts, &(struct record_mailboxes){&box, 1});
    put(w, RECORD_MAILBOX, 0, &facts);
}

static void put_message(struct world *w, uint64_t id)
{
    SCOPED(buf_finish) struct buf facts = buf_make(4096);
    struct record_message m = {
        .id = id, .received = 1000, .tenant = 1, .direction = DIRECTION_PERSON, .bytes = 3};
    record_message_pack(&facts, &m);
    put(w, RECORD_MESSAGE, id, &facts);
}

static void put_email(struct world *w, uint64_t message, uint64_t modseq, uint32_t flags,
                      bool is_gone)
{
    SCOPED(buf_finish) struct buf facts = buf_make(4096);
    struct record_place place = {
        .mailbox = BOX, .uid = (uint32_t)modseq, .modseq = modseq, .is_gone = is_gone};
    struct record_email e = {.account = PERSON,
                             .message = message,
                             .modseq = modseq,
                             .counted = modseq,
                             .received = 1000,
                             .flags = flags,
                             .is_gone = is_gone,
                             .places = &place,
                             .n_places = 1};
    record_emails_pack(&facts, &(struct record_emails){&e, 1});
    put(w, RECORD_EMAIL, 0, &facts);
}

/* Behind the store: one row. */
static void change_index(const struct world *w, const char *sql)
{
    char path[100];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof(path), "%s/index/index.db", w->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void world_open(struct world *w)
{
    struct errinfo ei;
    *w = (struct world){.cache = account_cache_create(1 << 20)};
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/account-XXXXXX");
    assert_true(folder_make(&w->folder, w->dir));
    struct store_options o = {.dir = w->dir, .segment_bytes = 4 << 20, .n_pool = 1};
    assert_int_equal(store_open(&o, &w->store, &ei), ERR_OK);
    put_box(w, 1);
    put_message(w, FIRST);
    put_message(w, SECOND);
    put_email(w, FIRST, 2, 0, false);
    put_email(w, SECOND, 3, 0, false);
    assert_int_equal(store_reader_open(w->dir, &w->reader, &ei), ERR_OK);
}

static void world_close(struct world *w)
{
    account_cache_destroy(&w->cache);
    store_reader_close(&w->reader);
    store_close(&w->store);
    assert_true(folder_finish(&w->folder));
}

static enum err hold(struct world *w, struct account **ret)
{
    struct errinfo ei;
    return account_hold(w->cache, w->reader, PERSON, MILLISECONDS(PATIENCE_MS), ret, &ei);
}

/* ---- tests ---- */

/* The first email was taken up when the second one could not be read; then it changes. */
static void what_was_half_loaded_is_loaded_anew(void **)
{
    for (int is_gone = 0; is_gone < 2; is_gone++) {
        struct world w;
        struct account *a = NULL;
        world_open(&w);
        change_index(&w, "UPDATE email SET lists = x'ff' WHERE message = 1002");
        assert_int_equal(hold(&w, &a), ERR_CORRUPT);
        assert_null(a);
        change_index(&w, "UPDATE email SET lists = (SELECT lists FROM email WHERE message = 1001)"
                         " WHERE message = 1002");
        put_email(&w, FIRST, 4, EMAIL_SEEN, is_gone);
        assert_int_equal(hold(&w, &a), ERR_OK);
        assert_int_equal(account_n_emails(a), is_gone ? 1 : 2);
        assert_int_equal(account_email(a, FIRST)->is_gone, is_gone);
        assert_int_equal(account_email(a, FIRST)->flags, EMAIL_SEEN);
        assert_int_equal(account_mailbox(a, BOX)->n_emails, is_gone ? 1 : 2);
        assert_int_equal(account_mailbox(a, BOX)->n_unread, 1);
        account_let_go(&a);
        world_close(&w);
    }
}

/* Some changes were taken up, others not: those come the next time. */
static void changes_that_were_half_taken_up_come_the_next_time(void **)
{
    struct world w;
    struct account *a = NULL;
    world_open(&w);
    assert_int_equal(hold(&w, &a), ERR_OK);
    account_let_go(&a);
    put_email(&w, FIRST, 4, EMAIL_SEEN, false);
    put_email(&w, SECOND, 5, EMAIL_SEEN, false);
    change_index(&w, "UPDATE email SET lists = x'ff' WHERE message = 1002");
    assert_int_equal(hold(&w, &a), ERR_CORRUPT);
    change_index(&w, "UPDATE email SET lists = (SELECT lists FROM email WHERE message = 1001)"
                     " WHERE message = 1002");
    assert_int_equal(hold(&w, &a), ERR_OK);
    assert_int_equal(account_email(a, FIRST)->flags, EMAIL_SEEN);
    assert_int_equal(account_email(a, SECOND)->flags, EMAIL_SEEN);
    assert_int_equal(account_mailbox(a, BOX)->n_unread, 0);
    account_let_go(&a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_half_loaded_is_loaded_anew),
        cmocka_unit_test(changes_that_were_half_taken_up_come_the_next_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
