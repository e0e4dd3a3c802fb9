/* The index as a whole: opening, transactions, crashes, copies, and that the same log always gives
 * the same index. */
#include "index_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- opening ---- */

static void an_index_opens_as_it_was_closed(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    assert_int_equal(index_applied(w.x), 0);
    world_simple(&w, 42);
    world_result(&w, (struct record_result){.message = 9, .disposition = DISPOSITION_HELD});
    uint64_t applied = index_applied(w.x);
    assert_int_equal(applied, w.pos);
    index_close(&w.x);
    assert_null(w.x);
    index_close(&w.x); /* takes NULL */
    ok(&w, index_open(w.path, &w.x, &w.ei));
    assert_int_equal(index_applied(w.x), applied);
    assert_int_equal(index_last_id(w.x), 42);
    assert_int_equal(index_n_odd(w.x), 1);
}

static void write_file(const char *path, const void *p, size_t n, off_t at)
{
    SCOPED(fd_close) int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, n, at), n);
}

static void a_file_that_is_no_index_is_not_touched(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    char path[100];
    (void)snprintf(path, sizeof(path), "%s/other.db", w.dir);
    struct index *x = NULL;
    world_sql(path, "CREATE TABLE t (a)");
    assert_int_equal(index_open(path, &x, &w.ei), ERR_CORRUPT);
    world_sql(path, "PRAGMA user_version = 1");
    assert_int_equal(index_open(path, &x, &w.ei), ERR_CORRUPT);
    (void)snprintf(path, sizeof(path), "%s/text", w.dir);
    char text[4096];
    memset(text, 'x', sizeof(text));
    write_file(path, text, sizeof(text), 0);
    assert_int_equal(index_open(path, &x, &w.ei), ERR_CORRUPT);
    (void)snprintf(path, sizeof(path), "%s/missing/index.db", w.dir);
    assert_int_equal(index_open(path, &x, &w.ei), ERR_IO);
    assert_null(x);
}

static void an_index_whose_tables_go_while_it_is_open_is_corrupt(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_sql(w.path, "DROP TABLE ledger");
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    struct record_rcpt rcpt = {.disposition = DISPOSITION_WAITING};
    struct record_message m = {.id = 1, .rcpts = &rcpt, .n_rcpts = 1};
    record_message_pack(&w.pack, &m);
    /* Not ERR_CORRUPT, which would be said of the record, and it would be set aside. */
    assert_int_equal(world_try(&w, RECORD_MESSAGE, 1, 1), ERR_IO);
    record_message_pack(&w.pack, &m);
    assert_int_equal(world_try(&w, RECORD_MESSAGE, 1, 1), ERR_IO);
    assert_int_equal(index_commit(w.x, w.pos, &w.ei), ERR_CORRUPT);
    index_abort(w.x);
    w.is_in_transaction = false;
}

static void an_index_without_its_position_is_corrupt(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    index_close(&w.x);
    world_sql(w.path, "DELETE FROM meta");
    assert_int_equal(index_open(w.path, &w.x, &w.ei), ERR_CORRUPT);
}

static void each_code_of_sqlite_has_one_of_ours(void **)
{
    static const struct {
        int rc;
        enum err err;
    } cases[] = {
        {SQLITE_FULL, ERR_FULL},
        {SQLITE_IOERR, ERR_IO},
        {SQLITE_IOERR_WRITE, ERR_IO},
        {SQLITE_IOERR_FSYNC, ERR_IO},
        {SQLITE_CANTOPEN, ERR_IO},
        {SQLITE_READONLY, ERR_IO},
        {SQLITE_PERM, ERR_IO},
        {SQLITE_BUSY, ERR_RETRY},
        {SQLITE_BUSY_SNAPSHOT, ERR_RETRY},
        {SQLITE_LOCKED, ERR_RETRY},
        {SQLITE_INTERRUPT, ERR_RETRY},
        {SQLITE_CORRUPT, ERR_CORRUPT},
        {SQLITE_NOTADB, ERR_CORRUPT},
        {SQLITE_CONSTRAINT, ERR_CORRUPT},
        {SQLITE_ERROR, ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(index_db_err(NULL, NULL, cases[i].rc, "x"), cases[i].err);
}

/* ---- transactions ---- */

static void an_abort_takes_everything_back(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    uint64_t pos = w.pos;
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    world_simple(&w, 2);
    world_ids(&w, RECORD_ANSWERED, 1);
    world_ids(&w, RECORD_DROPPED, 1);
    world_ids(&w, RECORD_ANSWERED, 99);
    index_abort(w.x);
    index_abort(w.x); /* none is open */
    w.is_in_transaction = false;
    w.pos = pos;
    struct record_ids open = {};
    ok(&w, index_unanswered(w.x, w.arena, &open, &w.ei));
    assert_int_equal(open.n_ids, 1);
    assert_int_equal(open.ids[0].id, 1);
    assert_int_equal(index_last_id(w.x), 1);
    assert_int_equal(index_n_odd(w.x), 0);
    ok(&w, index_begin(w.x, &w.ei));
    ok(&w, index_commit(w.x, index_applied(w.x), &w.ei));
    SCOPED(buf_finish) struct buf after = world_dump(&w);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
}

static void a_full_disk_fails_the_transaction_and_the_next_one_works(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    uint64_t applied = index_applied(w.x), pos = w.pos;
    int64_t n_pages = 0;
    char sql[60];
    ok(&w, index_db_number(w.x->db, "PRAGMA page_count", &n_pages, &w.ei));
    (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld", (long long)n_pages);
    ok(&w, index_db_exec(w.x->db, sql, &w.ei));
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    enum err err = ERR_OK;
    uint64_t n = 0;
    while (err == ERR_OK && n++ < 1000) {
        struct record_event event = {.time = 1,
                                     .text = SLICE("a text that takes room on the disk")};
        record_event_pack(&w.pack, &event);
        err = world_try(&w, RECORD_EVENT, 0, 0);
    }
    assert_int_equal(err, ERR_FULL);
    record_event_pack(&w.pack, &(struct record_event){});
    assert_int_equal(world_try(&w, RECORD_EVENT, 0, 0), ERR_FULL); /* nothing more in this one */
    assert_int_equal(index_commit(w.x, w.pos, &w.ei), ERR_FULL);
    index_abort(w.x);
    w.is_in_transaction = false;
    w.pos = pos;
    assert_int_equal(index_applied(w.x), applied);
    assert_int_equal(world_sums(&w, 0).accepted, 1);
    ok(&w, index_db_exec(w.x->db, "PRAGMA max_page_count = 100000", &w.ei));
    world_simple(&w, 2);
    assert_int_equal(world_sums(&w, 0).accepted, 2);
}

static bool never(void *, const struct store_row *)
{
    return false;
}

struct slow_reader {
    struct world *w;
    enum err checkpoint;
};
static bool checkpoint_meanwhile(void *arg, const struct store_row *)
{
    struct slow_reader *slow = arg;
    world_simple(slow->w, 2);
    slow->checkpoint = index_checkpoint(slow->w->x, &slow->w->ei);
    return false;
}

static void a_checkpoint_says_when_a_reader_is_in_its_way(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    world_simple(&w, 1);
    ok(&w, index_checkpoint(w.x, &w.ei));
    struct slow_reader slow = {.w = &w};
    struct store_row_filter all = {};
    ok(&w, store_each_row(w.r, &all, checkpoint_meanwhile, &slow, &w.ei));
    assert_int_equal(slow.checkpoint, ERR_RETRY);
    ok(&w, store_each_row(w.r, &all, never, NULL, &w.ei));
    ok(&w, index_checkpoint(w.x, &w.ei));
}

static void the_wal_is_brought_in_when_it_is_large(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    w.x->step_pages = w.x->checkpoint_pages = 50;
    int most = 0;
    for (uint64_t i = 1; i < 200; i++) {
        world_simple(&w, i);
        most = w.x->wal_pages > most ? w.x->wal_pages : most;
    }
    assert_in_range(most, 50, 100);
    assert_int_equal(w.x->checkpoint_pages % 50 < 50, 1);
}

/* ---- the same log, the same index ---- */

struct generated {
    uint16_t type;
    uint64_t id, pos;
    uint32_t body_bytes;
    struct slice facts;
};

enum { GENERATED = 3000, MAILBOXES = 4 };

struct generator {
    struct arena *arena;
    struct buf pack;
    uint64_t state, pos, last_message;
    uint64_t modseq;
    struct generated records[GENERATED];
    size_t n;
};

static uint64_t any(struct generator *g, uint64_t below)
{
    g->state = g->state * 6364136223846793005 + 1442695040888963407;
    return (g->state >> 33) % below;
}

static void keep_record(struct generator *g, uint16_t type, uint64_t id, uint32_t body_bytes)
{
    assert_false(g->pack.failed);
    g->records[g->n++] = (struct generated){.type = type,
                                            .id = id,
                                            .pos = g->pos,
                                            .body_bytes = body_bytes,
                                            .facts = arena_copy(g->arena, buf_slice(&g->pack))};
    g->pos += 4096 + body_bytes;
    buf_clear(&g->pack);
}

/* A message that there was, or (rarely) one that there was not. */
static uint64_t some_message(struct generator *g)
{
    return 1 + any(g, g->last_message + 2);
}

static void generate_message(struct generator *g)
{
    char id[30], ref[30];
    struct record_rcpt rcpts[3];
    uint32_t n_rcpts = (uint32_t)(1 + any(g, 3));
    uint64_t number = ++g->last_message;
    (void)snprintf(id, sizeof(id), "<%llu@x>", (unsigned long long)any(g, number * 2));
    (void)snprintf(ref, sizeof(ref), "<%llu@x>", (unsigned long long)any(g, number * 2));
    for (uint32_t i = 0; i < n_rcpts; i++) {
        uint64_t box = any(g, MAILBOXES + 2); /* two of them: none */
        rcpts[i] = (struct record_rcpt){.address = slice_str(id),
                                        .disposition = (uint8_t)(1 + any(g, DISPOSITION_N)),
                                        .is_attempting = (uint8_t)any(g, 2),
                                        .parent = (uint16_t)(i ? any(g, 2) : 0)};
        if (box >= MAILBOXES)
            continue;
        rcpts[i].mailbox = 1 + box;
        rcpts[i].modseq = ++g->modseq;
        rcpts[i].uid = (uint32_t)g->modseq;
    }
    struct record_fields fields = {.message_id = slice_str(id),
                                   .references = any(g, 2) ? slice_str(ref) : SLICE("")};
    if (any(g, 20) == 0)
        number += 3; /* overtakes the next ones */
    struct record_message m = {.id = any(g, 100) ? number : some_message(g),
                               .tenant = 1 + any(g, 2),
                               .received = (utc_ms)number,
                               .direction = (uint8_t)(1 + any(g, 4)),
                               .rcpts = rcpts,
                               .n_rcpts = n_rcpts,
                               .fields = &fields,
                               .n_fields = 1};
    record_message_pack(&g->pack, &m);
    keep_record(g, RECORD_MESSAGE, m.id, (uint32_t)any(g, 300000));
}

static void generate_results(struct generator *g)
{
    struct record_result list[4];
    struct record_results results = {.results = list, .n_results = (uint32_t)(1 + any(g, 4))};
    for (uint32_t i = 0; i < results.n_results; i++)
        list[i] = (struct record_result){.message = some_message(g),
                                         .rcpt = (uint16_t)any(g, 3),
                                         .time = (utc_ms)g->pos,
                                         .disposition = (uint8_t)any(g, DISPOSITION_N + 1),
                                         .is_attempt = (uint8_t)any(g, 2),
                                         .is_double = any(g, 20) == 0};
    record_results_pack(&g->pack, &results);
    keep_record(g, RECORD_RESULT, 0, 0);
}

static void generate_ids(struct generator *g, uint16_t type)
{
    struct record_id list[5];
    struct record_ids ids = {.ids = list, .n_ids = (uint32_t)any(g, 6)};
    for (uint32_t i = 0; i < ids.n_ids; i++)
        list[i].id = some_message(g);
    record_ids_pack(&g->pack, &ids);
    keep_record(g, type, 0, 0);
}

static void generate_attempt(struct generator *g)
{
    struct record_row row = {.message = some_message(g), .rcpt = (uint16_t)any(g, 3)};
    struct record_attempt attempt = {
        .time = (utc_ms)g->pos, .destination = SLICE("mx"), .rows = &row, .n_rows = 1};
    record_attempt_pack(&g->pack, &attempt);
    keep_record(g, RECORD_ATTEMPT, row.message, 0);
}

static void generate_mailbox(struct generator *g, uint64_t box, bool is_removed)
{
    struct record_mailbox m = {.id = 1 + box,
                               .person = 100 + box / 2,
                               .tenant = 1,
                               .role = box % 2 ? SLICE("sent") : SLICE("inbox"),
                               .modseq = ++g->modseq,
                               .is_removed = is_removed};
    struct record_mailboxes list = {.mailboxes = &m, .n_mailboxes = 1};
    record_mailboxes_pack(&g->pack, &list);
    keep_record(g, RECORD_MAILBOX, 0, 0);
}

/* What a person does with an email, or a copy, an import, a draft. */
static void generate_email(struct generator *g)
{
    struct record_keyword keywords[] = {{SLICE("work")}, {SLICE("later")}};
    struct record_place places[3];
    uint64_t account = any(g, MAILBOXES / 2);
    struct record_email e = {.account = 100 + account,
                             .message = some_message(g),
                             .thread = any(g, 3),
                             .modseq = ++g->modseq,
                             .counted = g->modseq,
                             .received = (utc_ms)any(g, 1000),
                             .flags = (uint32_t)any(g, 1 << 20),
                             .is_gone = any(g, 3) == 0,
                             .keywords = keywords,
                             .n_keywords = (uint32_t)any(g, 3),
                             .places = places,
                             .n_places = (uint32_t)(1 + any(g, 3))};
    for (uint32_t i = 0; i < e.n_places; i++)
        places[i] = (struct record_place){.mailbox = 1 + 2 * account + any(g, 2),
                                          .uid = (uint32_t)g->modseq,
                                          .modseq = g->modseq,
                                          .is_gone = e.is_gone || (i && any(g, 2))};
    struct record_emails list = {.emails = &e, .n_emails = 1};
    record_emails_pack(&g->pack, &list);
    keep_record(g, RECORD_EMAIL, e.message, 0);
}

static void generate_item(struct generator *g)
{
    struct record_item item = {.account = 100 + any(g, MAILBOXES / 2),
                               .kind = (uint8_t)(1 + any(g, ITEM_LOGIN)),
                               .modseq = ++g->modseq,
                               .is_gone = any(g, 3) == 0,
                               .body = SLICE("body")};
    item.id = item.kind == ITEM_BLOB ? some_message(g) : any(g, 20);
    struct record_items list = {.items = &item, .n_items = 1};
    record_items_pack(&g->pack, &list);
    keep_record(g, RECORD_ITEM, item.id, 0);
}

static void generate_purged(struct generator *g)
{
    struct record_purged purged = {.account = 100 + any(g, MAILBOXES / 2),
                                   .floor = any(g, g->modseq + 1)};
    struct record_purges list = {&purged, 1};
    record_purges_pack(&g->pack, &list);
    keep_record(g, RECORD_PURGED, 0, 0);
}

/* A chunk, and sometimes a move of what it may be a copy of. */
static void generate_copy(struct generator *g)
{
    uint64_t message = some_message(g);
    struct record_extent extent = {.rec = g->pos, .pos = g->pos + 50};
    for (size_t i = 0; i < g->n; i++)
        if (g->records[i].type == RECORD_MESSAGE && g->records[i].id == message)
            extent.bytes = g->records[i].body_bytes;
    keep_record(g, RECORD_CHUNK, message, extent.bytes);
    if (any(g, 3) == 0)
        return;
    struct record_moved moved = {.message = message, .extents = &extent, .n_extents = 1};
    record_moved_pack(&g->pack, &moved);
    keep_record(g, RECORD_MOVED, message, 0);
}

static void generate_other(struct generator *g)
{
    uint64_t which = any(g, 40);
    if (which == 0) {
        record_interrupted_pack(&g->pack, &(struct record_interrupted){.time = (utc_ms)g->pos});
        keep_record(g, RECORD_INTERRUPTED, 0, 0);
    } else if (which < 3) {
        generate_mailbox(g, any(g, MAILBOXES), any(g, 3) == 0);
    } else if (which < 20) {
        record_event_pack(&g->pack, &(struct record_event){.time = (utc_ms)any(g, 1000)});
        keep_record(g, RECORD_EVENT, 0, 0);
    } else {
        struct record_object o = {.kind = (uint8_t)any(g, 3),
                                  .id = any(g, 20),
                                  .is_removed = any(g, 4) == 0,
                                  .name = SLICE("n")};
        struct record_objects list = {.objects = &o, .n_objects = 1};
        record_objects_pack(&g->pack, &list);
        keep_record(g, RECORD_OBJECT, 0, 0);
    }
}

static void generate(struct generator *g, uint64_t seed)
{
    *g = (struct generator){.state = seed, .pos = 4096};
    g->arena = arena_create(64 << 20);
    g->pack = buf_make(1 << 20);
    for (uint64_t i = 0; i < MAILBOXES; i++)
        generate_mailbox(g, i, false);
    while (g->n + 2 < GENERATED) {
        uint64_t which = any(g, 100);
        if (which < 25)
            generate_message(g);
        else if (which < 35)
            generate_email(g);
        else if (which < 37)
            generate_item(g);
        else if (which == 37 && any(g, 4) == 0)
            generate_purged(g);
        else if (which < 55)
            generate_results(g);
        else if (which < 70)
            generate_attempt(g);
        else if (which < 80)
            generate_ids(g, RECORD_ANSWERED);
        else if (which < 83)
            generate_ids(g, RECORD_UNANSWERED);
        else if (which < 88)
            generate_ids(g, RECORD_DROPPED);
        else if (which < 94)
            generate_copy(g);
        else
            generate_other(g);
    }
}

static void generator_finish(struct generator *g)
{
    arena_destroy(&g->arena);
    buf_finish(&g->pack);
}

static void apply_one(struct world *w, const struct generated *one)
{
    struct index_record r = {.type = one->type,
                             .id = one->id,
                             .pos = one->pos,
                             .facts = one->facts,
                             .body_pos = one->pos + 60,
                             .body_bytes = one->body_bytes};
    ok(w, index_apply(w->x, &r, &w->ei));
}

/* In transactions of random sizes; some are aborted half-way, some ends close the index. */
static void apply_in_pieces(struct world *w, const struct generator *from, uint64_t seed,
                            uint64_t most)
{
    struct generator dice = {.state = seed};
    for (size_t at = 0; at < from->n;) {
        size_t n = (size_t)(1 + any(&dice, most));
        n = n > from->n - at ? from->n - at : n;
        ok(w, index_begin(w->x, &w->ei));
        if (any(&dice, 4) == 0) {
            for (size_t i = 0; i < n / 2; i++)
                apply_one(w, &from->records[at + i]);
            index_abort(w->x);
            ok(w, index_begin(w->x, &w->ei));
        }
        for (size_t i = 0; i < n; i++)
            apply_one(w, &from->records[at + i]);
        at += n;
        ok(w, index_commit(w->x, at < from->n ? from->records[at].pos : from->pos, &w->ei));
        if (any(&dice, 20) == 0) {
            index_close(&w->x);
            ok(w, index_open(w->path, &w->x, &w->ei));
        }
    }
}

static void check_sums(struct world *w)
{
    for (uint64_t tenant = 0; tenant < 3; tenant++) {
        struct store_sums sums = world_sums(w, tenant);
        assert_int_equal(sums.accepted, world_sum(&sums));
        assert_true(sums.accepted > 100);
    }
}

/* What the zones say is what the messages say, and each message is found in its segments. */
static void check_places(struct world *w, uint64_t last_message)
{
    struct world_use counted = {};
    uint64_t n_places = 0, n_found = 0;
    ok(w, index_db_exec(w->x->db, "BEGIN", &w->ei));
    int64_t n_loose = 0;
    ok(w, index_db_number(w->x->db, "SELECT coalesce(sum(bytes), 0) FROM loose", &n_loose, &w->ei));
    ok(w, index_db_exec(w->x->db, "COMMIT", &w->ei));
    uint64_t total = (uint64_t)n_loose;
    for (uint64_t id = 1; id <= last_message; id++) {
        struct record_extent *extents = NULL;
        size_t n = 0;
        arena_reset(w->arena);
        if (store_get_extents(w->r, id, w->arena, &extents, &n, &w->ei) != ERR_OK)
            continue;
        assert_int_equal(n, 1);
        counted.bytes[(extents[0].rec >> 20) % 64] += extents[0].bytes;
        total += extents[0].bytes;
        n_places += extents[0].bytes > 0;
    }
    struct world_use use = {};
    uint64_t in_zones = 0;
    ok(w, index_segment_use(w->path, 256 << 20, world_add_use, &use, &w->ei));
    for (uint64_t segment = 0; segment < 64; segment++) {
        struct index_place *places = NULL;
        size_t n = 0;
        in_zones += use.bytes[segment];
        arena_reset(w->arena);
        ok(w, index_messages_in(w->path, segment << 22, (segment + 1) << 22, 2000, w->arena,
                                &places, &n, &w->ei));
        n_found += n;
    }
    assert_int_equal(in_zones, total);
    assert_int_equal(n_found, n_places);
}

static void the_same_log_gives_the_same_index_however_it_is_cut(void **)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        static struct generator g;
        generate(&g, seed);
        SCOPED(world_finish) struct world a = world_make();
        SCOPED(world_finish) struct world b = world_make();
        apply_in_pieces(&a, &g, seed, 40);
        apply_in_pieces(&b, &g, seed + 100, 1000);
        SCOPED(buf_finish) struct buf dump_a = world_dump(&a);
        SCOPED(buf_finish) struct buf dump_b = world_dump(&b);
        assert_true(dump_a.n > 100000);
        assert_true(slice_eq(buf_slice(&dump_a), buf_slice(&dump_b)));
        check_sums(&a);
        check_places(&a, g.last_message + 3);
        world_check(&a);
        uint64_t applied = 0;
        ok(&a, index_verify(a.path, &applied, &a.ei));
        generator_finish(&g);
    }
}

/* ---- crashes ---- */

/* Messages 1, 2, 3 … at positions that follow from their numbers, in transactions of many sizes,
 * until it is killed. */
_Noreturn static void run_until_killed(const char *path, int ready)
{
    static struct world w;
    w.pack = buf_make(1 << 20);
    if (index_open(path, &w.x, &w.ei) != ERR_OK)
        _exit(1);
    w.is_in_transaction = true;
    w.x->step_pages = w.x->checkpoint_pages = 100; /* be killed in checkpoints too */
    uint64_t number = index_applied(w.x) / WORLD_STEP;
    number = number ? number : 1;
    (void)!write(ready, "x", 1);
    for (uint64_t size = 1;; size = size % 50 + 1) {
        if (index_begin(w.x, &w.ei) != ERR_OK)
            _exit(1);
        for (uint64_t i = 0; i < size; i++) {
            w.pos = number * WORLD_STEP;
            world_simple(&w, number++);
        }
        if (index_commit(w.x, number * WORLD_STEP, &w.ei) != ERR_OK)
            _exit(1);
    }
}

static void a_kill_at_any_moment_leaves_whole_transactions(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    uint64_t before = 0;
    for (unsigned round = 0; round < 8; round++) {
        index_close(&w.x);
        int ends[2];
        char byte;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            run_until_killed(w.path, ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        (void)usleep(1000 + round * 3571);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        (void)close(ends[0]);
        (void)close(ends[1]);
        ok(&w, index_open(w.path, &w.x, &w.ei));
        uint64_t applied = index_applied(w.x), n = applied ? applied / WORLD_STEP - 1 : 0;
        struct store_sums sums = world_sums(&w, 0);
        assert_true(n >= before);
        assert_int_equal(sums.accepted, n);
        assert_int_equal(sums.by[DISPOSITION_WAITING], n);
        assert_int_equal(world_use(&w).bytes[0], n > 255 ? 255 * 500 : n * 500);
        ok(&w, index_verify(w.path, &applied, &w.ei));
        before = n;
    }
    assert_true(before > 0);
}

/* ---- copies ---- */

struct copied {
    char path[160];
    uint64_t applied;
};

static struct copied copy_of(struct world *w)
{
    struct copied c = {};
    (void)snprintf(c.path, sizeof(c.path), "%s/copy.db", w->dir);
    ok(w, index_copy(w->path, c.path, &c.applied, &w->ei));
    return c;
}

static void a_copy_is_the_index_of_one_moment_and_opens_as_one(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    static struct generator g;
    generate(&g, 9);
    apply_in_pieces(&w, &g, 9, 500);
    SCOPED(buf_finish) struct buf before = world_dump(&w);
    uint64_t applied = index_applied(w.x);
    struct copied copy = copy_of(&w);
    assert_int_equal(copy.applied, applied);
    w.pos = g.pos;
    world_simple(&w, 5000); /* goes on */
    copy_of(&w);            /* replaces it */
    struct world c = w;
    (void)snprintf(c.path, sizeof(c.path), "%s", copy.path);
    copy = copy_of(&w);
    assert_int_equal(copy.applied, w.pos);
    char beside[170];
    (void)snprintf(beside, sizeof(beside), "%s-wal", copy.path);
    assert_int_equal(access(beside, F_OK), -1); /* one file, whole */
    SCOPED(buf_finish) struct buf dump_w = world_dump(&w);
    SCOPED(buf_finish) struct buf dump_c = world_dump(&c);
    assert_true(slice_eq(buf_slice(&dump_w), buf_slice(&dump_c)));
    assert_false(slice_eq(buf_slice(&dump_w), buf_slice(&before)));
    struct index *x = NULL;
    ok(&w, index_open(copy.path, &x, &w.ei));
    assert_int_equal(index_applied(x), w.pos);
    index_close(&x);
    generator_finish(&g);
}

static void a_damaged_copy_is_found(void **)
{
    static const char zeros[4096];
    SCOPED(world_finish) struct world w = world_make();
    for (uint64_t i = 1; i < 40; i++)
        world_simple(&w, i);
    struct stat st;
    struct copied copy = copy_of(&w);
    assert_int_equal(stat(copy.path, &st), 0);
    unsigned n_found = 0, n_pages = (unsigned)(st.st_size / 4096);
    assert_true(n_pages > 15);
    for (unsigned page = 0; page < n_pages; page++) {
        uint64_t applied = 77;
        copy = copy_of(&w);
        write_file(copy.path, zeros, sizeof(zeros), (off_t)page * 4096);
        enum err err = index_verify(copy.path, &applied, &w.ei);
        n_found += err == ERR_CORRUPT && applied == 77;
    }
    assert_int_equal(n_found, n_pages);
    copy = copy_of(&w);
    assert_int_equal(truncate(copy.path, st.st_size / 2), 0);
    assert_int_equal(index_verify(copy.path, &copy.applied, &w.ei), ERR_CORRUPT);
}

static void a_copy_that_fails_is_not_left_behind(void **)
{
    static const char zeros[4096];
    SCOPED(world_finish) struct world w = world_make();
    for (uint64_t i = 1; i < 40; i++)
        world_simple(&w, i);
    struct copied copy = copy_of(&w);
    store_reader_close(&w.r);
    index_close(&w.x);
    write_file(w.path, zeros, sizeof(zeros), 5 * 4096);
    assert_int_equal(index_copy(w.path, copy.path, &copy.applied, &w.ei), ERR_CORRUPT);
    assert_int_equal(access(copy.path, F_OK), -1);
    assert_int_equal(index_copy("/tmp/no/such", copy.path, &copy.applied, &w.ei), ERR_IO);
    assert_int_equal(index_copy(w.path, "/tmp/no/such", &copy.applied, &w.ei), ERR_IO);
}

static void the_use_of_segments_wants_whole_zones(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct world_use use;
    assert_int_equal(index_segment_use(w.path, 0, world_add_use, &use, &w.ei), ERR_INVALID);
    assert_int_equal(index_segment_use(w.path, 3 << 19, world_add_use, &use, &w.ei), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_opens_as_it_was_closed),
        cmocka_unit_test(a_file_that_is_no_index_is_not_touched),
        cmocka_unit_test(an_index_whose_tables_go_while_it_is_open_is_corrupt),
        cmocka_unit_test(an_index_without_its_position_is_corrupt),
        cmocka_unit_test(each_code_of_sqlite_has_one_of_ours),
        cmocka_unit_test(an_abort_takes_everything_back),
        cmocka_unit_test(a_full_disk_fails_the_transaction_and_the_next_one_works),
        cmocka_unit_test(a_checkpoint_says_when_a_reader_is_in_its_way),
        cmocka_unit_test(the_wal_is_brought_in_when_it_is_large),
        cmocka_unit_test(the_same_log_gives_the_same_index_however_it_is_cut),
        cmocka_unit_test(a_kill_at_any_moment_leaves_whole_transactions),
        cmocka_unit_test(a_copy_is_the_index_of_one_moment_and_opens_as_one),
        cmocka_unit_test(a_damaged_copy_is_found),
        cmocka_unit_test(a_copy_that_fails_is_not_left_behind),
        cmocka_unit_test(the_use_of_segments_wants_whole_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
