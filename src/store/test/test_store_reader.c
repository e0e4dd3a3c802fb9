/* The readers' questions: filters, paging, history, search, retention, deadlines. */
#include "index_world.h"

/* ---- rows ---- */

enum { ROWS_MAX = 64 };
struct rows {
    uint64_t rows[ROWS_MAX]; /* message * 10 + rcpt */
    size_t n, stop_at;
};

static bool keep(void *arg, const struct store_row *row)
{
    struct rows *rows = arg;
    assert_true(rows->n < ROWS_MAX);
    rows->rows[rows->n++] = row->message * 10 + row->rcpt;
    return rows->n != rows->stop_at;
}

/* Ten messages of two tenants: number i has the disposition i % 7 + 1 and the primary i % 3; 4 and
 * 9 have a second row, which waits. 2 and 7 are possible doubles. */
static void fill(struct world *w)
{
    for (uint64_t i = 1; i <= 10; i++) {
        char address[30];
        (void)snprintf(address, sizeof(address), "b%llu@y.example", (unsigned long long)i);
        struct record_rcpt rcpts[2] = {
            {.address = slice_str(address), .primary = i % 3, .disposition = (uint8_t)(i % 7 + 1)},
            {.address = SLICE("Second@y.example"),
             .primary = 5,
             .disposition = DISPOSITION_WAITING},
        };
        struct record_message m = {.id = i,
                                   .tenant = 1 + i % 2,
                                   .direction = DIRECTION_IN,
                                   .mail_from = i % 2 ? SLICE("odd@x.example") : SLICE(""),
                                   .rcpts = rcpts,
                                   .n_rcpts = i == 4 || i == 9 ? 2 : 1};
        world_message(w, &m, 100);
    }
    world_attempt(w, 7, 0, 10);
    world_attempt(w, 2, 0, 10);
    world_interrupted(w, 20);
}

struct arrivals {
    size_t n, stop_at;
    uint64_t message[12];
    uint32_t n_rcpts[12], bytes[12];
};

static bool keep_arrival(void *arg, const struct store_arrival *a)
{
    struct arrivals *all = arg;
    assert_int_equal(a->direction, DIRECTION_IN);
    all->message[all->n] = a->message;
    all->n_rcpts[all->n] = a->n_rcpts;
    all->bytes[all->n] = a->bytes;
    return ++all->n != all->stop_at;
}

static void arrivals_tell_their_size_and_recipients(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_rcpt rcpts[3] = {
        {.address = SLICE("group@y.example"), .disposition = 1},
        {.address = SLICE("b@y.example"), .disposition = 1},
        {.address = SLICE("c@y.example"), .disposition = DISPOSITION_MERGED, .parent = 1}};
    for (uint64_t i = 1; i <= 3; i++) {
        struct record_message m = {.id = i,
                                   .received = (utc_ms)(i * 1000),
                                   .direction = DIRECTION_IN,
                                   .bytes = 1000 * (uint32_t)i,
                                   .prefix_bytes = 300,
                                   .rcpts = rcpts,
                                   .n_rcpts = 3};
        world_message(&w, &m, 10);
    }
    struct arrivals all = {};
    ok(&w, store_each_arrival(w.r, 2000, keep_arrival, &all, &w.ei));
    assert_int_equal(all.n, 2);
    assert_int_equal(all.message[0], 2);
    assert_int_equal(all.bytes[0], 1700);
    assert_int_equal(all.n_rcpts[0], 2); /* the group's member was not given by the sender */
    all = (struct arrivals){.stop_at = 1};
    ok(&w, store_each_arrival(w.r, 0, keep_arrival, &all, &w.ei));
    assert_int_equal(all.n, 1);
}

static void rows_are_filtered_and_come_oldest_first(void **)
{
    static const struct {
        struct store_row_filter filter;
        size_t n;
        uint64_t rows[6];
    } cases[] = {
        {{0}, 5, {20, 41, 70, 90, 91}},
        {{.disposition = DISPOSITION_WAITING}, 3, {41, 70, 91}},
        {{.disposition = DISPOSITION_HELD}, 2, {20, 90}},
        {{.disposition = DISPOSITION_DELIVERED}, 2, {10, 80}},
        {{.disposition = DISPOSITION_REFUSED}, 1, {60}},
        {{.tenant = 1}, 2, {20, 41}},
        {{.tenant = 2}, 3, {70, 90, 91}},
        {{.primary = 1}, 1, {70}},
        {{.primary = 5}, 2, {41, 91}},
        {{.address = {"B9@Y.example", 12}}, 1, {90}},
        {{.address = {"second@y.example", 16}}, 2, {41, 91}},
        {{.address = {"ODD@x.example", 13}}, 3, {70, 90, 91}},
        {{.address = {"x.example", 9}}, 0, {0}},
        {{.after = 4}, 3, {70, 90, 91}},
        {{.after = 9}, 0, {0}},
        {{.limit = 1}, 1, {20}},
        {{.limit = 3}, 3, {20, 41, 70}},
        {{.limit = 4}, 5, {20, 41, 70, 90, 91}}, /* the rows of 9 stay together */
        {{.after = 2, .limit = 1, .tenant = 2}, 1, {70}},
        {{.is_doubles_only = true}, 2, {20, 70}},
        {{.is_doubles_only = true, .disposition = DISPOSITION_HELD}, 1, {20}},
        {{.is_doubles_only = true, .after = 2}, 1, {70}},
        {{.is_any = true, .last = 4}, 5, {10, 20, 30, 40, 41}},
        {{.is_any = true, .primary = 1, .after = 1}, 3, {40, 70, 100}},
        {{.last = 7}, 3, {20, 41, 70}},
    };
    SCOPED(world_finish) struct world w = world_make();
    fill(&w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rows rows = {};
        ok(&w, store_each_row(w.r, &cases[i].filter, keep, &rows, &w.ei));
        assert_int_equal(rows.n, cases[i].n);
        for (size_t k = 0; k < rows.n; k++)
            assert_int_equal(rows.rows[k], cases[i].rows[k]);
    }
    struct rows rows = {.stop_at = 2};
    ok(&w, store_each_row(w.r, &(struct store_row_filter){}, keep, &rows, &w.ei));
    assert_int_equal(rows.n, 2);
    rows = (struct rows){.stop_at = 1};
    ok(&w, store_each_row_of(w.r, 9, keep, &rows, &w.ei));
    assert_int_equal(rows.n, 1);
    rows = (struct rows){};
    ok(&w, store_each_row_of(w.r, 99, keep, &rows, &w.ei));
    assert_int_equal(rows.n, 0);
}

static bool check_all_fields(void *arg, const struct store_row *row)
{
    assert_true(slice_eq(row->facts.address, SLICE("b@y.example")));
    assert_true(slice_eq(row->mail_from, SLICE("a@x.example")));
    assert_true(slice_eq(row->last.text, SLICE("try later")));
    assert_true(slice_eq(row->last.enhanced, SLICE("4.2.1")));
    assert_int_equal(row->facts.primary, 9);
    assert_int_equal(row->bytes, 500);
    assert_int_equal(row->received, 1042);
    assert_int_equal(row->tenant, 1);
    (*(int *)arg)++;
    return true;
}

static void a_row_has_all_that_the_queue_needs(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    int n = 0;
    world_simple(&w, 42);
    world_result(&w, (struct record_result){.message = 42,
                                            .disposition = DISPOSITION_WAITING,
                                            .is_attempt = 1,
                                            .attempts = 1,
                                            .code = 450,
                                            .enhanced = SLICE("4.2.1"),
                                            .text = SLICE("try later")});
    ok(&w, store_each_row(w.r, &(struct store_row_filter){}, check_all_fields, &n, &w.ei));
    assert_int_equal(n, 1);
}

/* ---- the sums of a primary in an interval ---- */

enum { SPAN_SINCE = 100000 };

/* Message n was received at 1000 n. Rows of primary 7; 99 and 100 came before the interval, 99 was
 * settled before it too; 104 goes elsewhere; 106 is refused, 107 has a child and an alias. */
static void fill_span(struct world *w)
{
    for (uint64_t i = 98; i <= 110; i++) {
        struct record_rcpt rcpts[3] = {
            {.address = SLICE("b@y.example"), .primary = i == 104 ? 8 : 7, .disposition = 1},
            {.address = SLICE("c@y.example"), .primary = 7, .disposition = 6, .parent = 1},
            {.address = SLICE("d@y.example"), .primary = 7, .disposition = 6},
        };
        struct record_message m = {.id = i,
                                   .tenant = 1,
                                   .received = (utc_ms)i * 1000,
                                   .direction = DIRECTION_IN,
                                   .rcpts = rcpts,
                                   .n_rcpts = i == 107 ? 3 : 1};
        world_message(w, &m, 100);
    }
    static const struct {
        uint64_t message;
        enum disposition what;
        utc_ms time;
        uint8_t is_double;
    } results[] = {{98, DISPOSITION_DELIVERED, 98500, 0},   {99, DISPOSITION_DELIVERED, 99500, 0},
                   {100, DISPOSITION_DELIVERED, 120000, 0}, {101, DISPOSITION_DELIVERED, 120000, 1},
                   {102, DISPOSITION_HELD, 120000, 0},      {103, DISPOSITION_RETURNED, 120000, 0},
                   {105, DISPOSITION_REMOVED, 120000, 0},   {106, DISPOSITION_REFUSED, 120000, 0}};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        world_result(w, (struct record_result){.message = results[i].message,
                                               .disposition = (uint8_t)results[i].what,
                                               .time = results[i].time,
                                               .is_attempt = 1,
                                               .is_double = results[i].is_double});
}

struct walked {
    const struct store_span *span;
    struct store_sums sums;
};

static bool walk(void *arg, const struct store_row *row)
{
    struct walked *x = arg;
    if (!store_span_has(x->span, row))
        return true;
    x->sums.by[row->last.disposition]++;
    x->sums.n_possible_doubles += row->is_possible_double;
    x->sums.accepted +=
        row->received >= x->span->since && row->last.disposition != DISPOSITION_REFUSED;
    return true;
}

static void the_index_counts_an_interval_as_one_who_walks_it(void **)
{
    static const struct store_span spans[] = {
        {.primary = 7, .first = 99, .last = 109, .since = SPAN_SINCE},
        {.primary = 7, .first = 1, .last = 1000, .since = SPAN_SINCE},
        {.primary = 7, .first = 101, .last = 103, .since = SPAN_SINCE},
        {.primary = 7, .first = 1, .last = 1000, .since = 0},
        {.primary = 8, .first = 1, .last = 1000, .since = 0},
        {.primary = 9, .first = 1, .last = 1000, .since = 0},
    };
    SCOPED(world_finish) struct world w = world_make();
    fill_span(&w);
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        struct store_sums sums;
        struct walked x = {.span = &spans[i]};
        ok(&w, store_sums_span(w.r, &spans[i], &sums, &w.ei));
        ok(&w, store_each_row(w.r, &(struct store_row_filter){.is_any = true}, walk, &x, &w.ei));
        assert_memory_equal(&sums, &x.sums, sizeof(sums));
    }
    struct store_sums sums;
    ok(&w, store_sums_span(w.r, &spans[0], &sums, &w.ei));
    assert_int_equal(sums.accepted, 9); /* 100 to 109 but 104 and 106, and the alias of 107 */
    assert_int_equal(sums.by[DISPOSITION_DELIVERED], 2);
    assert_int_equal(sums.by[DISPOSITION_WAITING], 3);
    assert_int_equal(sums.by[DISPOSITION_MERGED], 1);
    assert_int_equal(sums.n_possible_doubles, 1);
}

static void a_held_reader_sees_one_moment(void **)
{
    struct store_span all = {.primary = 9, .first = 1, .last = 1000};
    struct store_sums before, after;
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    store_reader_hold(w.r);
    ok(&w, store_sums_span(w.r, &all, &before, &w.ei));
    world_simple(&w, 2);
    ok(&w, store_sums_span(w.r, &all, &after, &w.ei));
    store_reader_let_go(w.r);
    assert_int_equal(before.accepted, 1);
    assert_int_equal(after.accepted, 1);
    ok(&w, store_sums_span(w.r, &all, &after, &w.ei));
    assert_int_equal(after.accepted, 2);
}

/* ---- moments ---- */

struct nested {
    struct world *w;
    int n;
};

static bool ask_again(void *arg, const struct store_row *row)
{
    struct nested *nested = arg;
    struct world *w = nested->w;
    world_simple(w, 100 + row->message); /* comes too late for this moment */
    struct rows rows = {};
    ok(w, store_each_row(w->r, &(struct store_row_filter){}, keep, &rows, &w->ei));
    assert_int_equal(rows.n, 5);
    struct store_message m;
    assert_int_equal(store_get_message(w->r, 100 + row->message, w->arena, &m, &w->ei), ERR_GONE);
    nested->n++;
    return true;
}

static void questions_inside_a_question_see_the_same_moment(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    fill(&w);
    struct nested nested = {.w = &w};
    ok(&w, store_each_row(w.r, &(struct store_row_filter){}, ask_again, &nested, &w.ei));
    assert_int_equal(nested.n, 5);
    struct rows rows = {};
    ok(&w, store_each_row(w.r, &(struct store_row_filter){}, keep, &rows, &w.ei));
    assert_int_equal(rows.n, 9); /* 102, 104, 107, 109 */
}

static void a_question_ends_at_its_deadline(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    for (uint64_t i = 1; i <= 3000; i++)
        world_simple(&w, i);
    ok(&w, index_commit(w.x, w.pos, &w.ei));
    struct store_sums sums = {.accepted = 77};
    store_reader_deadline(w.r, mono_now() - 1);
    assert_int_equal(store_sums(w.r, 0, &sums, &w.ei), ERR_RETRY);
    assert_int_equal(sums.accepted, 77);
    store_reader_deadline(w.r, mono_now() + SECONDS(60));
    ok(&w, store_sums(w.r, 0, &sums, &w.ei));
    assert_int_equal(sums.accepted, 3000);
    store_reader_deadline(w.r, 0);
    ok(&w, store_sums(w.r, 0, &sums, &w.ei));
}

static void an_unreadable_row_is_told_and_never_guessed(void **)
{
    static const char *const damage[] = {
        "UPDATE ledger SET facts = x'01'",    "UPDATE ledger SET facts = zeroblob(5000)",
        "UPDATE message SET facts = x'ff'",   "UPDATE ledger SET last = x'00'",
        "UPDATE ledger SET disposition = 55",
    };
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        SCOPED(world_finish) struct world w = world_make();
        world_simple(&w, 1);
        ok(&w, index_db_exec(w.x->db, damage[i], &w.ei));
        struct rows rows = {};
        struct store_sums sums;
        enum err err = store_each_row_of(w.r, 1, keep, &rows, &w.ei);
        if (err == ERR_OK)
            err = store_sums(w.r, 0, &sums, &w.ei);
        assert_int_equal(err, ERR_CORRUPT);
    }
    SCOPED(world_finish) struct world w = world_make();
    struct record_extent *extents = NULL;
    struct store_message m;
    size_t n = 0;
    world_simple(&w, 1);
    ok(&w, index_db_exec(w.x->db, "UPDATE message SET extents = x'0102'", &w.ei));
    assert_int_equal(store_get_extents(w.r, 1, w.arena, &extents, &n, &w.ei), ERR_CORRUPT);
    ok(&w, index_db_exec(w.x->db, "UPDATE meta SET unanswered = zeroblob(100000)", &w.ei));
    assert_int_equal(store_get_message(w.r, 1, w.arena, &m, &w.ei), ERR_CORRUPT);
}

/* ---- history ---- */

static bool tell(void *arg, const struct record_result *r, bool is_begin, struct slice destination)
{
    struct buf *b = arg;
    if (is_begin)
        buf_addf(b, "%lld/%u begin " SLICE_FMT "\n", (long long)r->time, r->rcpt,
                 SLICE_ARG(destination));
    else
        buf_addf(b, "%lld/%u %s %u " SLICE_FMT "\n", (long long)r->time, r->rcpt,
                 disposition_name((enum disposition)r->disposition), r->code, SLICE_ARG(r->text));
    return true;
}

static void check_history(struct world *w, uint64_t message, const char *expected)
{
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ok(w, store_each_history(w->r, message, tell, &b, &w->ei));
    assert_string_equal(buf_cstr(&b), expected);
}

static void the_history_of_an_ordinary_message_comes_from_its_row(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_rcpt rcpt = {.disposition = DISPOSITION_WAITING, .is_attempting = 1};
    world_mail(&w, 10, &rcpt, 1); /* received at 1010 */
    check_history(&w, 10, "1010/0 begin \n");
    world_result(&w, (struct record_result){.message = 10,
                                            .time = 1500,
                                            .is_attempt = 1,
                                            .disposition = DISPOSITION_DELIVERED,
                                            .code = 250,
                                            .text = SLICE("ok")});
    check_history(&w, 10, "1010/0 begin \n1500/0 delivered 250 ok\n");
    int64_t n = 1;
    ok(&w, index_db_number(w.x->db, "SELECT count(*) FROM history", &n, &w.ei));
    assert_int_equal(n, 0);
    check_history(&w, 11, "");
}

static void a_long_history_is_told_in_order_of_time(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_rcpt rcpts[2] = {{.disposition = DISPOSITION_WAITING},
                                   {.disposition = DISPOSITION_WAITING}};
    world_mail(&w, 1, rcpts, 2);
    world_attempt(&w, 1, 0, 100);
    world_attempt(&w, 1, 1, 110);
    world_result(&w, (struct record_result){.message = 1,
                                            .time = 120,
                                            .is_attempt = 1,
                                            .attempts = 1,
                                            .disposition = DISPOSITION_WAITING,
                                            .code = 451,
                                            .text = SLICE("later")});
    world_interrupted(&w, 150);
    world_attempt(&w, 1, 0, 200);
    world_result(&w, (struct record_result){.message = 1,
                                            .time = 210,
                                            .is_attempt = 1,
                                            .attempts = 2,
                                            .disposition = DISPOSITION_HELD,
                                            .code = 554,
                                            .text = SLICE("no")});
    world_result(&w, (struct record_result){.message = 1,
                                            .time = 300,
                                            .disposition = DISPOSITION_WAITING,
                                            .by = SLICE("luca"),
                                            .text = SLICE("again")});
    world_attempt(&w, 1, 0, 310);
    world_attempt(&w, 1, 0, 320); /* odd: the one before has no result */
    check_history(&w, 1,
                  "100/0 begin mx.example\n"
                  "110/1 begin mx.example\n"
                  "120/0 waiting 451 later\n"
                  "150/1 waiting 0 no result was seen; the message may have arrived\n"
                  "200/0 begin mx.example\n"
                  "210/0 held 554 no\n"
                  "300/0 waiting 0 again\n"
                  "310/0 begin mx.example\n"
                  "320/0 waiting 0 no result was seen; the message may have arrived\n"
                  "320/0 begin mx.example\n");
}

/* ---- search ---- */

static bool keep_message(void *arg, const struct store_message *m)
{
    struct rows *rows = arg;
    rows->rows[rows->n++] = m->facts.id & 0xff;
    return rows->n != rows->stop_at;
}

static const utc_ms DAY = 86400 * 1000;

static uint64_t id_at(utc_ms day, uint64_t number)
{
    return (uint64_t)(day * DAY) << 20 | number;
}

static void fill_search(struct world *w)
{
    static const struct {
        const char *from, *rcpt, *header_from, *subject, *message_id;
    } mails[] = {
        {"mario@rossi.example", "anna@y.example", "Mario@rossi.example", "Offerta 2026", "<1@r>"},
        {"", "luca@y.example", "", "Undelivered", "<2@r>"},
        {"bounce@list.example", "anna@y.example", "info@verdi.example", "Newsletter", "<3@r>"},
        {"mario@rossi.example", "sara@z.example", "mario@rossi.example", "re: OFFERTA", "<4@r>"},
    };
    for (uint64_t i = 0; i < 4; i++) {
        struct record_rcpt rcpt = {.address = slice_str(mails[i].rcpt),
                                   .disposition = DISPOSITION_WAITING};
        struct record_fields fields = {.subject = slice_str(mails[i].subject),
                                       .from_address = slice_str(mails[i].header_from),
                                       .message_id = slice_str(mails[i].message_id)};
        struct record_message m = {.id = id_at(20000 + 10 * (utc_ms)i, i + 1),
                                   .received = (20000 + 10 * (utc_ms)i) * DAY - 5,
                                   .tenant = 1 + i / 3,
                                   .direction = DIRECTION_IN,
                                   .mail_from = slice_str(mails[i].from),
                                   .rcpts = &rcpt,
                                   .n_rcpts = 1,
                                   .fields = &fields,
                                   .n_fields = i != 1}; /* one without fields */
        world_message(w, &m, 10);
    }
}

static void messages_are_found_by_what_people_know_of_them(void **)
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(id_at(20020, 3), id);
    const struct {
        const char *text;
        uint64_t tenant;
        utc_ms since, until;
        uint32_t limit;
        size_t n;
        uint64_t found[4];
    } cases[] = {
        {"", 0, 0, 0, 0, 4, {4, 3, 2, 1}},
        {"", 1, 0, 0, 0, 3, {3, 2, 1}},
        {"", 0, 0, 0, 2, 2, {4, 3}},
        {"", 0, 20015 * DAY, 0, 0, 2, {4, 3}},
        {"", 0, 20020 * DAY - 5, 0, 0, 2, {4, 3}},
        {"", 0, 20020 * DAY - 4, 0, 0, 1, {4}},
        {"", 0, 0, 20020 * DAY - 5, 0, 3, {3, 2, 1}},
        {"", 0, 20005 * DAY, 20015 * DAY, 0, 1, {2}},
        {id, 0, 0, 0, 0, 1, {3}},
        {id, 2, 0, 0, 0, 0, {0}},
        {"aaaaaaaaaaaaa", 0, 0, 0, 0, 0, {0}},
        {"<3@r>", 0, 0, 0, 0, 1, {3}},
        {" 3@R ", 0, 0, 0, 0, 1, {3}},
        {"MARIO@rossi.example", 0, 0, 0, 0, 2, {4, 1}},
        {"info@verdi.example", 0, 0, 0, 0, 1, {3}},
        {"@list.example", 0, 0, 0, 0, 1, {3}},
        {"rossi.example", 0, 0, 0, 0, 2, {4, 1}},
        {"ossi.example", 0, 0, 0, 0, 0, {0}},
        {"anna@Y.example", 0, 0, 0, 0, 2, {3, 1}},
        {"z.example", 0, 0, 0, 0, 1, {4}},
        {"offerta", 0, 0, 0, 0, 2, {4, 1}},
        {"news", 0, 0, 0, 0, 1, {3}},
        {"Undelivered", 0, 0, 0, 0, 0, {0}}, /* had no fields */
        {"@", 0, 0, 0, 0, 0, {0}},
    };
    SCOPED(world_finish) struct world w = world_make();
    fill_search(&w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rows rows = {};
        struct store_search what = {.text = slice_str(cases[i].text),
                                    .tenant = cases[i].tenant,
                                    .since = cases[i].since,
                                    .until = cases[i].until,
                                    .limit = cases[i].limit};
        ok(&w, store_search(w.r, &what, keep_message, &rows, &w.ei));
        if (rows.n != cases[i].n)
            fail_msg("\"%s\" (case %zu) finds %zu", cases[i].text, i, rows.n);
        for (size_t k = 0; k < rows.n; k++)
            assert_int_equal(rows.rows[k], cases[i].found[k]);
    }
    struct rows rows = {.stop_at = 1};
    ok(&w, store_search(w.r, &(struct store_search){}, keep_message, &rows, &w.ei));
    assert_int_equal(rows.n, 1);
}

/* ---- retention ---- */

static void check_droppable(struct world *w, uint32_t limit, uint32_t n, uint64_t first)
{
    struct record_ids ids = {};
    ok(w, store_droppable(w->r, limit, w->arena, &ids, &w->ei));
    assert_int_equal(ids.n_ids, n);
    if (n)
        assert_int_equal(ids.ids[0].id & 0xff, first);
}

static void what_is_done_and_held_by_nobody_may_be_dropped(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_inbox(&w, 5, 50);
    for (uint64_t i = 1; i <= 6; i++) {
        struct record_rcpt rcpts[2] = {
            {.disposition = DISPOSITION_DELIVERED,
             .mailbox = i > 3 ? 5 : 0,
             .uid = (uint32_t)i + 1,
             .modseq = i + 1},
            {.disposition = DISPOSITION_DELIVERED},
        };
        struct record_message m = {.id = id_at(20000 + (utc_ms)i, i),
                                   .received = (20000 + (utc_ms)i) * DAY - 9,
                                   .direction = DIRECTION_IN,
                                   .rcpts = rcpts,
                                   .n_rcpts = 2};
        if (i == 1)
            rcpts[1].disposition = DISPOSITION_HELD;
        if (i == 2 || i == 4)
            rcpts[1].is_attempting = 1;
        world_message(&w, &m, 10);
    }
    check_droppable(&w, 10, 1, 3);
    check_droppable(&w, 0, 0, 0);
    for (uint64_t i = 4; i <= 5; i++) /* 4 has an attempt under way */
        world_put_email(&w, (struct record_email){.account = 50,
                                                  .message = id_at(20000 + (utc_ms)i, i),
                                                  .modseq = 10 + i,
                                                  .is_gone = 1});
    check_droppable(&w, 10, 2, 3);
    check_droppable(&w, 1, 1, 3);
    world_result(&w, (struct record_result){.message = id_at(20002, 2),
                                            .rcpt = 1,
                                            .is_attempt = 1,
                                            .disposition = DISPOSITION_DELIVERED});
    check_droppable(&w, 10, 3, 2);
    world_result(&w, (struct record_result){.message = id_at(20001, 1),
                                            .rcpt = 1,
                                            .disposition = DISPOSITION_RETURNED});
    check_droppable(&w, 10, 4, 1);
    world_ids(&w, RECORD_DROPPED, id_at(20001, 1));
    check_droppable(&w, 10, 3, 2);
}

static void what_has_no_recipients_has_an_hour_until_something_holds_it(void **)
{
    enum { MINUTE = 60 * 1000 };
    SCOPED(world_finish) struct world w = world_make();
    utc_ms now = utc_now();
    uint64_t young = (uint64_t)(now - 50 * MINUTE) << 20 | 7;
    uint64_t old = (uint64_t)(now - 70 * MINUTE) << 20 | 8;
    world_mail(&w, old, NULL, 0);
    world_mail(&w, young, NULL, 0);
    check_droppable(&w, 10, 1, 8);
    world_put_item(&w, (struct record_item){.account = 50, .kind = ITEM_BLOB, .id = old});
    check_droppable(&w, 10, 0, 0);
    world_put_item(&w,
                   (struct record_item){.account = 50, .kind = ITEM_BLOB, .id = old, .is_gone = 1});
    check_droppable(&w, 10, 1, 8);
}

/* ---- opening ---- */

static void a_reader_of_nothing_says_so(void **)
{
    struct errinfo ei;
    struct store_reader *r = NULL;
    assert_int_equal(store_reader_open("/tmp/no/such/store", &r, &ei), ERR_IO);
    assert_null(r);
    store_reader_close(&r); /* takes NULL */
    SCOPED(world_finish) struct world w = world_make();
    struct store_message m = {.is_dropped = true};
    assert_int_equal(store_get_message(w.r, 1, w.arena, &m, &w.ei), ERR_GONE);
    assert_true(m.is_dropped); /* untouched */
    struct store_sums sums = world_sums(&w, 0);
    assert_int_equal(sums.accepted, 0);
    char statement[] = "DELETE FROM meta";
    assert_int_equal(index_db_exec(w.r->db, statement, &w.ei), ERR_IO); /* it cannot write */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrivals_tell_their_size_and_recipients),
        cmocka_unit_test(rows_are_filtered_and_come_oldest_first),
        cmocka_unit_test(a_row_has_all_that_the_queue_needs),
        cmocka_unit_test(the_index_counts_an_interval_as_one_who_walks_it),
        cmocka_unit_test(a_held_reader_sees_one_moment),
        cmocka_unit_test(questions_inside_a_question_see_the_same_moment),
        cmocka_unit_test(a_question_ends_at_its_deadline),
        cmocka_unit_test(an_unreadable_row_is_told_and_never_guessed),
        cmocka_unit_test(the_history_of_an_ordinary_message_comes_from_its_row),
        cmocka_unit_test(a_long_history_is_told_in_order_of_time),
        cmocka_unit_test(messages_are_found_by_what_people_know_of_them),
        cmocka_unit_test(what_is_done_and_held_by_nobody_may_be_dropped),
        cmocka_unit_test(what_has_no_recipients_has_an_hour_until_something_holds_it),
        cmocka_unit_test(a_reader_of_nothing_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
