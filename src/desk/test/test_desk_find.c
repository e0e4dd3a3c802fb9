/* The index of words is filled behind the mail, whatever the mail is, and loses what accounts lose.
 */
#include "desk_kit.h"

#include "desk/desk_account_int.h"
#include "desk/desk_find_int.h"
#include "desk/desk_int.h"
#include "desk/desk_parse_int.h"
#include "ipc/ipc.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

enum { HITS_MAX = 20 };

/* ---- a gate that reads words ---- */

/* What it says of each message, by what is asked. NULL: too much. */
struct words {
    const char *header, *less, *text;
};
static const struct words usual = {"{\"from\":[{\"name\":\"Anna\",\"email\":\"a@b.test\"}],"
                                   "\"subject\":\"plum cake\","
                                   "\"attachments\":[{\"name\":\"recipe.pdf\"}]}",
                                   NULL, "take ten plums"};

static void say(int gate, uint64_t tag, const char *text)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 16);
    struct ipc_parsed parsed = {.is_done = text != NULL, .is_too_much = text == NULL};
    parsed.bytes = text ? (uint32_t)strlen(text) : 0;
    if (text)
        kit_put_content(gate, tag, slice_str(text));
    ipc_parsed_pack(&b, &parsed);
    kit_put(gate, IPC_T_parsed, tag, &b);
}

/* Answers what is asked about one message. */
static void read_one(int gate, struct words w)
{
    struct kit_frame f = {0};
    struct ipc_parse ask = {0};
    for (bool is_less = false; ask.what != IPC_PARSE_TEXT; is_less = true) {
        kit_expect(gate, IPC_T_parse, &f);
        assert_true(ipc_parse_unpack(f.payload, NULL, &ask));
        say(gate, f.tag, ask.what == IPC_PARSE_TEXT ? w.text : is_less ? w.less : w.header);
    }
    kit_frame_free(&f);
}

/* ---- what is found ---- */

static bool is_found(uint64_t account, const char *expression, uint64_t message)
{
    struct store_search_reader *r = NULL;
    struct store_search_hit hits[HITS_MAX];
    struct store_search_question q = {
        .account = account, .expression = slice_str(expression), .limit = HITS_MAX};
    struct errinfo ei;
    size_t n = 0;
    bool is = false;
    if (store_search_reader_open(kit->folder, &r, &ei) != ERR_OK)
        return false;
    if (store_search_ask(r, &q, hits, &n, &ei) != ERR_OK)
        n = 0;
    for (size_t i = 0; i < n; i++)
        is |= hits[i].message == message;
    store_search_reader_close(&r);
    return is;
}

static void await(uint64_t account, const char *expression, uint64_t message, bool wanted)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (is_found(account, expression, message) != wanted) {
        if (mono_now() > until)
            fail_msg("%s %s", expression, wanted ? "is not found" : "is still found");
        usleep(5000);
    }
}

/* ---- what accounts do ---- */

static enum err written;

static void destroy_now(void *arg)
{
    const uint64_t *message = arg;
    struct record_email email = {
        .account = KIT_ANNA, .message = *message, .thread = *message, .received = utc_now()};
    desk_emails_gone(kit->desk, &email, 1);
}

static void destroy(uint64_t message)
{
    kit_on_loop(destroy_now, &message);
}

/* A message of Anna's that is no mail, under an id that was given before; as a draft is written. */
struct draft {
    uint64_t id;
    uint32_t n_keywords;
};

static void *write_draft(void *arg)
{
    static char text[256];
    const struct draft *w = arg;
    struct record_keyword keywords[100];
    struct jmap_host host;
    struct errinfo ei;
    struct record_fields fields = {.subject = SLICE("draft")};
    struct record_place place = {.mailbox = KIT_BOX_ANNA};
    struct record_email email = {.account = KIT_ANNA,
                                 .message = w->id,
                                 .received = utc_now(),
                                 .flags = EMAIL_DRAFT,
                                 .keywords = keywords,
                                 .n_keywords = w->n_keywords,
                                 .places = &place,
                                 .n_places = 1};
    struct jmap_message message = {
        .id = w->id, .bytes = SLICE("Subject: draft\r\n\r\nx\r\n"), .fields = &fields};
    struct jmap_commit c = {.messages = &message, .n_messages = 1, .emails = &email, .n_emails = 1};
    struct jmap_caller anna = {.person = KIT_ANNA, .tenant = KIT_TENANT};
    memset(text, 'k', sizeof(text) - 1);
    for (uint32_t i = 0; i < w->n_keywords; i++)
        keywords[i].text = slice_str(text);
    desk_jmap_host(kit->desk, &host);
    written = host.commit(host.arg, &anna, &c, &ei);
    return NULL;
}

static void draft(struct draft w)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_draft, &w), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(written, ERR_OK);
}

static void next_id(void *arg)
{
    *(uint64_t *)arg = desk_next_id(kit->desk);
}

static const struct kit_mail for_anna = {.rcpts = {"anna@example.test"}};

/* A message, and its words: a question that came while another is handed over would be skipped. */
static uint64_t take(struct words w)
{
    uint64_t id = kit_accept(kit->gate, &for_anna);
    read_one(kit->gate, w);
    return id;
}

/* ---- tests ---- */

static void words_of_all_fields_are_found_by_who_has_the_mail(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = take(usual);
    await(KIT_ANNA, "subject:\"cake\"", id, true);
    assert_true(is_found(KIT_ANNA, "from:\"anna\"", id));
    assert_true(is_found(KIT_ANNA, "names:\"recipe\"", id));
    assert_true(is_found(KIT_ANNA, "body:\"plums\"", id));
    assert_false(is_found(KIT_LUCA, "body:\"plums\"", id));
}

static void a_message_with_too_many_words_does_not_stop_the_others(void **)
{
    static char most[IPC_PARSED_TEXT_MAX + 1];
    kit_found((struct kit_company){0});
    memset(most, 'a', sizeof(most) - 1);
    for (size_t i = 30; i < sizeof(most) - 1; i += 30)
        most[i] = ' ';
    const struct {
        struct words w;
        const char *found;
    } rows[] = {
        {{NULL, "{\"subject\":\"many\"}", NULL}, "subject:\"many\""},
        {{NULL, NULL, "only text"}, "body:\"only\""},
        {{"{\"subject\":\"whole\"}", NULL, most}, "subject:\"whole\""},
        {{"no JSON", NULL, "text"}, "body:\"text\""},
        {usual, "subject:\"cake\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t id = take(rows[i].w);
        await(KIT_ANNA, rows[i].found, id, true);
    }
}

static void what_is_destroyed_is_not_found_any_more(void **)
{
    kit_found((struct kit_company){0});
    uint64_t gone = take(usual), stays = take(usual);
    await(KIT_ANNA, "\"plums\"", stays, true);
    destroy(gone);
    await(KIT_ANNA, "\"plums\"", gone, false);
    assert_true(is_found(KIT_ANNA, "\"plums\"", stays));
}

/* The search was made anew, or is behind: the ledger still knows whose it was. */
static void what_was_destroyed_before_does_not_come_in_again(void **)
{
    struct errinfo ei;
    kit_found((struct kit_company){0});
    uint64_t gone = take(usual), stays = take(usual);
    await(KIT_ANNA, "\"plums\"", stays, true);
    destroy(gone);
    await(KIT_ANNA, "\"plums\"", gone, false);
    kit_stop();
    assert_int_equal(store_search_drop(kit->folder, &ei), ERR_OK);
    kit_start();
    kit->gate = kit_link(IPC_GATE, 1);
    read_one(kit->gate, usual);
    await(KIT_ANNA, "\"plums\"", stays, true);
    assert_false(is_found(KIT_ANNA, "\"plums\"", gone));
}

/* Whoever destroyed it, search was not told: the program had ended before. */
static void what_went_unseen_goes_after_the_next_start(void **)
{
    struct store_search_options o = {.dir = kit->folder};
    struct store_search_writer *s = NULL;
    uint64_t anna = KIT_ANNA;
    struct errinfo ei;
    kit_found((struct kit_company){0});
    uint64_t stays = take(usual);
    await(KIT_ANNA, "\"plums\"", stays, true);
    kit_stop();
    uint64_t gone = stays - 1; /* as of a message that the index has no row of any more */
    assert_int_equal(store_search_open(&o, &s, &ei), ERR_OK);
    struct store_search_text t = {
        .message = gone, .accounts = &anna, .n_accounts = 1, .body = SLICE("plums")};
    assert_int_equal(store_search_add(s, &(struct store_search_batch){.texts = &t, .n = 1}, &ei),
                     ERR_OK);
    store_search_close(&s);
    assert_true(is_found(KIT_ANNA, "\"plums\"", gone));
    kit_start();
    await(KIT_ANNA, "\"plums\"", gone, false);
    assert_true(is_found(KIT_ANNA, "\"plums\"", stays));
}

/* Its id was given first; the mail that came later is written, and looked at, before it. */
static void what_becomes_durable_behind_the_mark_is_found(void **)
{
    uint64_t early = 0;
    kit_found((struct kit_company){0});
    kit_on_loop(next_id, &early);
    uint64_t late = take(usual);
    await(KIT_ANNA, "\"plums\"", late, true);
    assert_true(early < late);
    draft((struct draft){.id = early});
    read_one(kit->gate, (struct words){"{\"subject\":\"draft\"}", NULL, "x"});
    await(KIT_ANNA, "subject:\"draft\"", early, true);
    assert_false(is_found(KIT_LUCA, "subject:\"draft\"", early));
}

static void stopping_waits_for_no_gate(void **)
{
    struct kit_frame f = {0};
    kit_found((struct kit_company){0});
    (void)kit_accept(kit->gate, &for_anna);
    kit_expect(kit->gate, IPC_T_parse, &f); /* and no answer */
    fd_close(&kit->gate);
    mono_us began = mono_now();
    kit_stop();
    assert_true(mono_now() - began < SECONDS(8));
    kit_start();
    kit_frame_free(&f);
}

static void a_search_file_that_is_damaged_is_made_anew(void **)
{
    kit_found((struct kit_company){0});
    uint64_t id = take(usual);
    await(KIT_ANNA, "\"plums\"", id, true);
    desk_find_damaged(kit->desk);
    read_one(kit->gate, (struct words){"{\"subject\":\"anew\"}", NULL, "x"});
    await(KIT_ANNA, "\"anew\"", id, true);
}

/* The old file goes, a new one cannot be made, and an account changes that has to be compared; then
 * the disk is well again. */
static void a_search_file_that_could_not_be_made_anew_is_filled_later(void **)
{
    char path[200], wal[210];
    struct stat st = {};
    kit_found((struct kit_company){0});
    uint64_t gone = take(usual), id = take(usual);
    await(KIT_ANNA, "\"plums\"", id, true);
    (void)snprintf(path, sizeof(path), "%s/index/search.db", kit->folder);
    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    int old = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(old >= 0);
    assert_int_equal(unlink(wal), 0);
    assert_int_equal(mkdir(wal, 0700), 0); /* no file can stand here */
    desk_find_damaged(kit->desk);
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    do {
        assert_true(mono_now() < until);
        usleep(5000);
        assert_int_equal(fstat(old, &st), 0);
    } while (st.st_nlink > 0);
    destroy(gone);
    assert_int_equal(rmdir(wal), 0);
    fd_close(&old);
    read_one(kit->gate, (struct words){"{\"subject\":\"anew\"}", NULL, "x"});
    await(KIT_ANNA, "\"anew\"", id, true);
}

static enum err read_nothing(void *, struct store_reader *, uint64_t, struct buf *,
                             struct errinfo *ei)
{
    return err_set(ei, ERR_CORRUPT, "not readable");
}

/* Whoever has it may have put a hundred words of her own on each. */
static void a_batch_takes_no_more_memory_however_large_what_accounts_keep_is(void **)
{
    enum { MANY = 20, OF_A_MESSAGE = 20000 };
    struct finder *f = mem_new(sizeof(*f)); /* not running: by hand */
    struct store_search_options o = {.dir = kit->folder};
    uint64_t id = 0;
    bool did = false;
    struct errinfo ei;
    kit_found((struct kit_company){0});
    fd_close(&kit->gate); /* nobody fills before us */
    for (int i = 0; i < MANY; i++) {
        kit_on_loop(next_id, &id);
        draft((struct draft){.id = id, .n_keywords = 100});
    }
    kit_stop();
    f->host.read = read_nothing;
    f->arena = arena_create((size_t)MANY * OF_A_MESSAGE);
    assert_int_equal(store_reader_open(kit->folder, &f->reader, &ei), ERR_OK);
    assert_int_equal(store_search_open(&o, &f->search, &ei), ERR_OK);
    while (find_fill(f, true, &did, &ei) == ERR_OK && did)
        did = false;
    assert_true(is_found(KIT_ANNA, "\"\x01\"", id));
    store_search_close(&f->search);
    store_reader_close(&f->reader);
    arena_destroy(&f->arena);
    mem_free(&f);
    kit_start();
}

/* ---- what people are told ---- */

/* Standard error goes into a file between the two. */
struct log {
    int file, before;
};

static struct log begin_log(void)
{
    char path[] = "/tmp/desk-log-XXXXXX";
    struct log l = {mkstemp(path), dup(STDERR_FILENO)};
    assert_true(l.file >= 0);
    assert_int_equal(unlink(path), 0);
    (void)dup2(l.file, STDERR_FILENO);
    return l;
}

static void end_log(struct log *l)
{
    (void)dup2(l->before, STDERR_FILENO);
    fd_close(&l->before);
    fd_close(&l->file);
}

static void await_line(struct log *l, const char *part)
{
    static char text[20000];
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    do {
        usleep(5000);
        ssize_t n = pread(l->file, text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = '\0';
    } while (!strstr(text, part) && mono_now() < until);
    if (strstr(text, part))
        return;
    end_log(l);
    fail_msg("nobody was told: %s", part);
}

static void await_search_file(void)
{
    struct store_search_reader *r = NULL;
    struct errinfo ei;
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (store_search_reader_open(kit->folder, &r, &ei) != ERR_OK && mono_now() < until)
        usleep(5000);
    assert_non_null(r);
    store_search_reader_close(&r);
}

static void search_that_cannot_be_opened_or_purged_is_told(void **)
{
    char path[200];
    sqlite3 *db = NULL;
    struct errinfo ei;
    (void)snprintf(path, sizeof(path), "%s/index/search.db", kit->folder);
    kit_stop();
    assert_int_equal(store_search_drop(kit->folder, &ei), ERR_OK);
    assert_int_equal(mkdir(path, 0700), 0);
    struct log log = begin_log();
    kit_start();
    await_line(&log, "what=\"search is not filled\"");
    kit_stop();
    assert_int_equal(rmdir(path), 0);
    kit_start();
    await_search_file();
    kit_stop();
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO removed VALUES (1, -5, 1, 0)", 0, 0, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    kit_start();
    await_line(&log, "what=\"words of removed mail stay in the search\"");
    end_log(&log);
}

static struct admin_search shown(void)
{
    struct admin_search s;
    desk_find_progress(kit->desk, &s);
    return s;
}

static struct admin_search await_shown(bool is_whole)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    struct admin_search s = shown();
    for (; !s.is_known || s.is_whole != is_whole; s = shown()) {
        if (mono_now() > until)
            fail_msg("search never was%s whole", is_whole ? "" : " not");
        usleep(5000);
    }
    return s;
}

static void how_much_is_found_can_be_seen(void **)
{
    enum { DAYS = 10, DAY_MS = 86400000 };
    utc_ms now = utc_now();
    kit_found((struct kit_company){0});
    uint64_t newest = take(usual), oldest = (uint64_t)(now - (utc_ms)DAYS * DAY_MS) << 20;
    await(KIT_ANNA, "\"plums\"", newest, true);
    assert_int_equal(await_shown(true).percent, 100);
    draft((struct draft){.id = oldest});
    struct admin_search s = await_shown(false);
    assert_int_equal(s.percent, 0);
    assert_true(s.from >= now && s.upto >= s.from);
    read_one(kit->gate, usual);
    s = await_shown(true);
    assert_int_equal(s.percent, 100);
    assert_true(s.from == now - (utc_ms)DAYS * DAY_MS && s.upto >= now);
    assert_string_equal(s.why, "");
}

/* What else is asked for, or must not be there, is compared with them. */
static void all_that_match_are_found_however_many(void **)
{
    enum { MANY = STORE_SEARCH_LIMIT_MAX + 2 };
    struct store_search_options o = {.dir = kit->folder};
    struct store_search_writer *s = NULL;
    struct store_search_text *texts = mem_new(MANY * sizeof(*texts));
    struct desk *d = mem_new(sizeof(*d)); /* not running: it would compare */
    struct arena *a = arena_create(1 << 20), *small = arena_create(1000);
    struct jmap_host host;
    struct errinfo ei;
    uint64_t anna = KIT_ANNA, *ids = NULL;
    size_t n = 0;
    kit_stop();
    for (size_t i = 0; i < MANY; i++)
        texts[i] = (struct store_search_text){
            .message = 1 + i, .accounts = &anna, .n_accounts = 1, .body = SLICE("x")};
    struct store_search_batch batch = {.texts = texts, .n = MANY, .first = 1, .last = MANY};
    assert_int_equal(store_search_open(&o, &s, &ei), ERR_OK);
    assert_int_equal(store_search_add(s, &batch, &ei), ERR_OK);
    store_search_close(&s);
    d->o.data = kit->folder;
    desk_jmap_host(d, &host);
    assert_int_equal(host.search(d, anna, SLICE("\"x\""), MANY + 9, 0, a, &ids, &n, &ei), ERR_OK);
    assert_int_equal(n, MANY);
    assert_true(ids[0] == MANY && ids[MANY - 1] == 1);
    assert_int_equal(host.search(d, anna, SLICE("\"x\""), 5, 0, a, &ids, &n, &ei), ERR_OK);
    assert_int_equal(n, 5);
    assert_int_equal(host.search(d, anna, SLICE("\"x\""), MANY, 0, small, &ids, &n, &ei),
                     ERR_LIMIT);
    desk_jmap_search_close();
    arena_destroy(&small);
    arena_destroy(&a);
    mem_free(&d);
    mem_free(&texts);
    kit_start();
}

struct question {
    size_t n;
    enum err err;
};

static void *ask(void *arg)
{
    struct question *q = arg;
    struct arena *a = arena_create(1 << 20);
    struct jmap_host host;
    struct errinfo ei;
    uint64_t *ids;
    desk_jmap_host(kit->desk, &host);
    q->err = host.search(host.arg, KIT_ANNA, SLICE("\"plums\""), 5, 0, a, &ids, &q->n, &ei);
    desk_jmap_search_close();
    arena_destroy(&a);
    return NULL;
}

static void who_searches_finds_what_came_before(void **)
{
    struct question q = {0};
    pthread_t thread;
    kit_found((struct kit_company){0});
    (void)kit_accept(kit->gate, &for_anna);
    assert_int_equal(pthread_create(&thread, NULL, ask, &q), 0);
    read_one(kit->gate, usual);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(q.err, ERR_OK);
    assert_int_equal(q.n, 1);
}

/* The gate does not answer, and a whole index cannot be waited for. */
static void who_searches_does_not_wait_for_ever(void **)
{
    struct question q = {.n = 7};
    pthread_t thread;
    kit_found((struct kit_company){0});
    (void)kit_accept(kit->gate, &for_anna);
    assert_int_equal(pthread_create(&thread, NULL, ask, &q), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(q.err, ERR_OK);
    assert_int_equal(q.n, 0);
    read_one(kit->gate, usual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_of_all_fields_are_found_by_who_has_the_mail,
                                        kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_message_with_too_many_words_does_not_stop_the_others,
                                        kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(who_searches_finds_what_came_before, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(who_searches_does_not_wait_for_ever, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(what_is_destroyed_is_not_found_any_more, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(what_was_destroyed_before_does_not_come_in_again, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(what_went_unseen_goes_after_the_next_start, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(what_becomes_durable_behind_the_mark_is_found, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(how_much_is_found_can_be_seen, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(search_that_cannot_be_opened_or_purged_is_told, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(
            a_batch_takes_no_more_memory_however_large_what_accounts_keep_is, kit_setup,
            kit_teardown),
        cmocka_unit_test_setup_teardown(all_that_match_are_found_however_many, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(stopping_waits_for_no_gate, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_search_file_that_is_damaged_is_made_anew, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(a_search_file_that_could_not_be_made_anew_is_filled_later,
                                        kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
