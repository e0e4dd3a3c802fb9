/* Applying what comes into accounts, what people do there, and what the readers then say. */
#include "index_world.h"

/* Inbox 5 and another mailbox 6 of person 50; inbox 7 of person 70. */
static struct world accounts_make(void)
{
    struct world w = world_make();
    world_inbox(&w, 5, 50);
    world_mailbox(&w, (struct record_mailbox){
                          .id = 6, .person = 50, .tenant = 1, .role = SLICE("trash"), .modseq = 2});
    world_inbox(&w, 7, 70);
    return w;
}

static struct store_account account_of(struct world *w, uint64_t person)
{
    struct store_account a = {};
    ok(w, store_get_account(w->r, person, &a, &w->ei));
    return a;
}

static int64_t holders_of(struct world *w, uint64_t message)
{
    char sql[100];
    (void)snprintf(sql, sizeof(sql), "SELECT n_holders FROM message WHERE id = %llu",
                   (unsigned long long)message);
    return world_number(w, sql);
}

struct ids {
    uint64_t ids[40];
    size_t n, stop_at;
};

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool keep_email(void *arg, const struct store_email *e)
{
    struct ids *ids = arg;
    ids->ids[ids->n++] = e->message;
    return ids->n != ids->stop_at;
}

/* `expected`: message ids, growing, ended by 0. */
static void check_since(struct world *w, uint64_t since, const uint64_t *expected)
{
    struct ids ids = {};
    ok(w, store_each_email(w->r, 50, since, keep_email, &ids, &w->ei));
    qsort(ids.ids, ids.n, sizeof(ids.ids[0]), compare_ids);
    for (size_t i = 0; i < ids.n || expected[i]; i++)
        assert_int_equal(i < ids.n ? ids.ids[i] : 0, expected[i]);
}
#define CHECK_SINCE(w, since, ...) check_since(w, since, (const uint64_t[]){__VA_ARGS__, 0})

/* ---- mail that comes ---- */

static void mail_that_comes_is_an_email_of_the_account(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_fields fields = {.subject = SLICE("one"), .has_attachment = 1};
    struct record_rcpt rcpts[2] = {
        {.disposition = DISPOSITION_WAITING, .mailbox = 5, .uid = 3, .modseq = 3},
        {.disposition = DISPOSITION_WAITING, .mailbox = 7, .uid = 9, .modseq = 9},
    };
    struct record_message m = {.id = 10,
                               .received = 777,
                               .tenant = 1,
                               .direction = DIRECTION_IN,
                               .bytes = 1234,
                               .rcpts = rcpts,
                               .n_rcpts = 2,
                               .fields = &fields,
                               .n_fields = 1};
    world_message(&w, &m, 500);
    struct store_email e = world_email(&w, 50, 10);
    assert_int_equal(e.thread, 10);
    assert_int_equal(e.modseq, 3);
    assert_int_equal(e.created, 3);
    assert_int_equal(e.counted, 3);
    assert_int_equal(e.received, 777);
    assert_int_equal(e.bytes, 1234);
    assert_int_equal(e.flags, EMAIL_ATTACHED);
    assert_false(e.is_gone);
    assert_int_equal(e.list.n_keywords, 0);
    assert_int_equal(e.list.n_places, 1);
    assert_int_equal(e.list.places[0].mailbox, 5);
    assert_int_equal(e.list.places[0].uid, 3);
    assert_int_equal(e.list.places[0].modseq, 3);
    assert_false(e.list.places[0].is_gone);
    assert_int_equal(world_email(&w, 70, 10).modseq, 9);
    assert_int_equal(world_email(&w, 60, 10).message, 0);
    assert_int_equal(holders_of(&w, 10), 2);
    assert_int_equal(account_of(&w, 50).modseq, 3);
    assert_int_equal(account_of(&w, 70).modseq, 9);
    assert_int_equal(world_number(&w, "SELECT count(*) FROM email WHERE is_changed"), 0);
    world_check(&w);
}

static void what_an_account_has_already_or_has_no_mailbox_for_is_odd(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_rcpt rcpts[3] = {
        {.disposition = DISPOSITION_WAITING, .mailbox = 5, .uid = 3, .modseq = 3},
        {.disposition = DISPOSITION_WAITING, .mailbox = 6, .uid = 4, .modseq = 4},
        {.disposition = DISPOSITION_WAITING, .mailbox = 99, .uid = 1, .modseq = 1},
    };
    world_mail(&w, 10, rcpts, 3);
    assert_int_equal(index_n_odd(w.x), 2);
    assert_int_equal(holders_of(&w, 10), 1);
    assert_int_equal(world_email(&w, 50, 10).list.places[0].mailbox, 5);
    assert_int_equal(world_sums(&w, 0).accepted, 3);
    world_check(&w);
}

static void refused_mail_goes_out_of_all_accounts_when_nothing_of_it_is_left(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_rcpt rcpts[2] = {
        {.disposition = DISPOSITION_WAITING, .mailbox = 5, .uid = 8, .modseq = 8},
        {.disposition = DISPOSITION_WAITING, .mailbox = 7, .uid = 9, .modseq = 9},
    };
    struct record_result result = {
        .message = 1, .is_attempt = 1, .disposition = DISPOSITION_REFUSED};
    world_mail(&w, 1, rcpts, 2);
    world_result(&w, result);
    assert_int_equal(world_sums(&w, 0).accepted, 1);
    assert_int_equal(world_sums(&w, 0).by[DISPOSITION_REFUSED], 1);
    assert_int_equal(holders_of(&w, 1), 2);
    result.rcpt = 1;
    world_result(&w, result);
    struct store_sums sums = world_sums(&w, 0);
    assert_int_equal(sums.accepted, 0);
    assert_int_equal(world_sum(&sums), 0);
    assert_int_equal(holders_of(&w, 1), 0);
    struct store_email e = world_email(&w, 50, 1);
    assert_true(e.is_gone && e.list.places[0].is_gone);
    assert_int_equal(e.modseq, 8);
    assert_int_equal(account_of(&w, 50).modseq, 8);
    /* Whoever refuses tells the accounts. */
    world_put_email(&w,
                    (struct record_email){.account = 50, .message = 1, .modseq = 11, .is_gone = 1});
    e = world_email(&w, 50, 1);
    assert_int_equal(e.modseq, 11);
    assert_int_equal(e.created, 8);
    CHECK_SINCE(&w, 8, 1);
    assert_int_equal(holders_of(&w, 1), 0);
    /* Again changes nothing; a person who undoes it gets it counted again. */
    world_result(&w, result);
    assert_int_equal(world_sums(&w, 0).accepted, 0);
    result.disposition = DISPOSITION_HELD;
    world_result(&w, result);
    sums = world_sums(&w, 0);
    assert_int_equal(sums.accepted, 1);
    assert_int_equal(world_sum(&sums), 1);
    world_check(&w);
}

static void mail_that_is_refused_at_once_is_in_no_account(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_rcpt rcpt = {.disposition = DISPOSITION_REFUSED, .mailbox = 5, .uid = 1};
    world_mail(&w, 1, &rcpt, 1);
    assert_int_equal(world_number(&w, "SELECT count(*) FROM email"), 0);
    assert_int_equal(world_sums(&w, 0).accepted, 0);
    assert_int_equal(index_n_odd(w.x), 0);
}

static void a_large_message_that_was_overtaken_is_found_by_its_number(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    world_covered(&w, 10, 1, NULL);
    world_apply(&w, RECORD_CHUNK, 11, 100); /* its record comes after that of 12 */
    world_covered(&w, 12, 2, NULL);
    world_covered(&w, 11, 3, NULL);
    world_covered(&w, 13, 4, NULL);
    assert_int_equal(world_number(&w, "SELECT sum(message) FROM email WHERE is_changed"), 11);
    CHECK_SINCE(&w, 0, 10, 11, 12, 13);
    CHECK_SINCE(&w, 100, 10, 11, 12, 13);
    CHECK_SINCE(&w, 101, 11, 12, 13);
    CHECK_SINCE(&w, 102, 11, 13);
    CHECK_SINCE(&w, 103, 13);
    CHECK_SINCE(&w, 104, 0);
    assert_int_equal(account_of(&w, 50).modseq, 104);
    world_check(&w);
    /* A chunked one that nothing overtook is like any other. */
    world_apply(&w, RECORD_CHUNK, 20, 100);
    world_covered(&w, 20, 5, NULL);
    assert_int_equal(world_number(&w, "SELECT count(*) FROM email WHERE is_changed"), 1);
    CHECK_SINCE(&w, 104, 20);
}

/* ---- what people do ---- */

static struct record_place places_56[2] = {{.mailbox = 5, .uid = 101, .modseq = 110, .is_gone = 1},
                                           {.mailbox = 6, .uid = 110, .modseq = 110}};

static void an_email_is_flagged_moved_destroyed_and_comes_back(void **)
{
    struct record_keyword work = {SLICE("work")};
    struct record_place inbox = {.mailbox = 5, .uid = 101, .modseq = 101};
    static const struct record_place in_inbox = {.mailbox = 5, .uid = 101, .modseq = 101};
    const struct {
        const char *what;
        struct record_email put;
        int64_t holders;
    } cases[] = {
        {"read",
         {.modseq = 105,
          .counted = 105,
          .received = 1,
          .flags = EMAIL_SEEN,
          .keywords = &work,
          .n_keywords = 1,
          .places = &inbox,
          .n_places = 1},
         1},
        {"moved",
         {.modseq = 110, .counted = 110, .received = 2, .places = places_56, .n_places = 2},
         1},
        {"again the same",
         {.modseq = 110, .counted = 110, .received = 2, .places = places_56, .n_places = 2},
         1},
        {"destroyed", {.modseq = 111, .counted = 111, .is_gone = 1}, 0},
        {"destroyed again", {.modseq = 112, .counted = 112, .is_gone = 1}, 0},
        {"back", {.modseq = 113, .thread = 4, .places = &inbox, .n_places = 1}, 1},
    };
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_fields fields = {.has_attachment = 1};
    inbox = in_inbox;
    world_covered(&w, 10, 1, &fields);
    world_covered(&w, 11, 2, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record_email put = cases[i].put;
        put.account = 50;
        put.message = 10;
        world_put_email(&w, put);
        struct store_email e = world_email(&w, 50, 10);
        print_message("%s\n", cases[i].what);
        assert_int_equal(e.modseq, put.modseq);
        assert_int_equal(e.counted, put.counted ? put.counted : put.modseq);
        assert_int_equal(e.created, 101);
        assert_int_equal(e.received, put.received);
        assert_int_equal(e.thread, put.thread ? put.thread : 10);
        assert_int_equal(e.flags, put.flags | EMAIL_ATTACHED);
        assert_int_equal(e.is_gone, put.is_gone);
        assert_int_equal(e.list.n_keywords, put.n_keywords);
        if (put.n_keywords)
            assert_true(slice_eq(e.list.keywords[0].text, SLICE("work")));
        assert_int_equal(e.list.n_places, put.n_places);
        for (uint32_t k = 0; k < put.n_places; k++) {
            assert_int_equal(e.list.places[k].mailbox, put.places[k].mailbox);
            assert_int_equal(e.list.places[k].uid, put.places[k].uid);
            assert_int_equal(e.list.places[k].is_gone, put.places[k].is_gone);
        }
        assert_int_equal(holders_of(&w, 10), cases[i].holders);
        assert_int_equal(account_of(&w, 50).modseq, put.modseq);
        CHECK_SINCE(&w, put.modseq - 1, 10);
        CHECK_SINCE(&w, put.modseq, 0);
        CHECK_SINCE(&w, 101, 10, 11);
        world_check(&w);
    }
    assert_int_equal(index_n_odd(w.x), 0);
}

static void what_was_read_does_not_hide_what_came_before_it(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    for (uint32_t i = 1; i <= 9; i++)
        world_covered(&w, 10 + i, i, NULL);
    for (uint64_t i = 0; i < 3; i++)
        world_put_email(
            &w, (struct record_email){.account = 50, .message = 19 - 2 * i, .modseq = 110 + i});
    CHECK_SINCE(&w, 105, 15, 16, 17, 18, 19);
    CHECK_SINCE(&w, 107, 15, 17, 18, 19);
    CHECK_SINCE(&w, 109, 15, 17, 19);
    CHECK_SINCE(&w, 111, 15);
    struct ids one = {.stop_at = 1};
    ok(&w, store_each_email(w.r, 50, 101, keep_email, &one, &w.ei));
    assert_int_equal(one.n, 1);
    struct ids four = {.stop_at = 4};
    ok(&w, store_each_email(w.r, 50, 101, keep_email, &four, &w.ei));
    assert_int_equal(four.n, 4);
}

static void a_draft_a_copy_and_an_import_are_emails_of_messages_without_recipients(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_fields one = {.message_id = SLICE("<one@x>")};
    struct record_fields two = {.message_id = SLICE("<two@x>"), .references = SLICE("<one@x>")};
    struct record_message m = {.id = 20,
                               .tenant = 1,
                               .direction = DIRECTION_PERSON,
                               .bytes = 99,
                               .fields = &two,
                               .n_fields = 1};
    world_covered(&w, 10, 1, &one);
    world_message(&w, &m, 99);
    struct record_ids open = {};
    ok(&w, index_unanswered(w.x, w.arena, &open, &w.ei));
    assert_int_equal(open.n_ids, 1); /* nobody waits for an answer about the second */
    struct record_place place = {.mailbox = 6, .uid = 105, .modseq = 105};
    struct record_email draft = {.account = 50,
                                 .message = 20,
                                 .modseq = 105,
                                 .counted = 105,
                                 .received = 5,
                                 .flags = EMAIL_DRAFT | EMAIL_SEEN,
                                 .places = &place,
                                 .n_places = 1};
    world_put_email(&w, draft);
    struct store_email e = world_email(&w, 50, 20);
    assert_int_equal(e.thread, 10); /* as for mail that comes */
    assert_int_equal(e.created, 105);
    assert_int_equal(e.bytes, 99);
    assert_int_equal(e.flags, EMAIL_DRAFT | EMAIL_SEEN);
    CHECK_SINCE(&w, 101, 20);
    /* Into another account: the same bytes, a thread of its own. */
    draft.account = 70;
    draft.modseq = 8;
    world_put_email(&w, draft);
    assert_int_equal(world_email(&w, 70, 20).thread, 20);
    assert_int_equal(holders_of(&w, 20), 2);
    draft.is_gone = 1;
    draft.modseq = 9;
    world_put_email(&w, draft);
    assert_int_equal(holders_of(&w, 20), 1);
    assert_int_equal(account_of(&w, 70).modseq, 9);
    assert_int_equal(index_n_odd(w.x), 0);
    draft.message = 999; /* there is none */
    world_put_email(&w, draft);
    assert_int_equal(index_n_odd(w.x), 1);
    assert_int_equal(world_email(&w, 70, 999).message, 0);
    world_check(&w);
}

static void what_comes_to_hold_bytes_that_are_given_up_is_gone(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_place place = {.mailbox = 7, .uid = 9, .modseq = 9};
    struct record_email e = {.account = 50, .message = 10, .modseq = 110, .is_gone = 1};
    world_covered(&w, 10, 1, NULL);
    world_put_email(&w, e);
    world_ids(&w, RECORD_DROPPED, 10);
    assert_true(world_get(&w, 10).is_dropped);
    e.is_gone = 0;
    e.modseq = 111;
    world_put_email(&w, e); /* taken back too late */
    assert_true(world_email(&w, 50, 10).is_gone);
    assert_int_equal(world_email(&w, 50, 10).modseq, 111);
    e = (struct record_email){
        .account = 70, .message = 10, .modseq = 9, .places = &place, .n_places = 1};
    world_put_email(&w, e); /* copied too late */
    assert_true(world_email(&w, 70, 10).is_gone);
    assert_true(world_email(&w, 70, 10).list.places[0].is_gone);
    world_put_item(&w, (struct record_item){.account = 70, .kind = ITEM_BLOB, .id = 10});
    assert_int_equal(index_n_odd(w.x), 3);
    world_check(&w);
}

/* ---- mailboxes ---- */

static bool keep_mailbox(void *arg, const struct record_mailbox *m)
{
    struct record_mailbox *list = arg;
    while (list->id)
        list++;
    *list = *m;
    return true;
}

static void a_mailbox_that_is_removed_lets_its_emails_go_and_leaves_a_tombstone(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_place both[2] = {{.mailbox = 5, .uid = 102, .modseq = 102},
                                   {.mailbox = 6, .uid = 110, .modseq = 110}};
    for (uint32_t i = 1; i <= 3; i++)
        world_covered(&w, 10 + i, i, NULL);
    world_put_email(&w, (struct record_email){.account = 50,
                                              .message = 12,
                                              .modseq = 110,
                                              .counted = 110,
                                              .places = both,
                                              .n_places = 2});
    world_put_email(&w, (struct record_email){.account = 50,
                                              .message = 13,
                                              .modseq = 111,
                                              .counted = 111,
                                              .places = &both[1],
                                              .n_places = 1});
    struct record_mailbox gone = {
        .id = 5, .person = 50, .tenant = 1, .modseq = 120, .is_removed = 1, .created = 1};
    world_mailbox(&w, gone);
    struct store_email e = world_email(&w, 50, 11);
    assert_true(e.is_gone && e.list.places[0].is_gone);
    assert_int_equal(e.modseq, 120);
    assert_int_equal(e.counted, 120);
    e = world_email(&w, 50, 12);
    assert_false(e.is_gone);
    assert_true(e.list.places[0].is_gone);
    assert_int_equal(e.list.places[0].modseq, 120);
    assert_false(e.list.places[1].is_gone);
    assert_int_equal(world_email(&w, 50, 13).modseq, 111);
    assert_int_equal(holders_of(&w, 11), 0);
    assert_int_equal(holders_of(&w, 12), 1);
    CHECK_SINCE(&w, 111, 11, 12);
    struct store_account a = account_of(&w, 50);
    assert_int_equal(a.inbox, 0);
    assert_int_equal(a.modseq, 120);
    struct record_mailbox list[3] = {};
    ok(&w, store_each_mailbox_of(w.r, 50, keep_mailbox, list, &w.ei));
    assert_int_equal(list[0].id, 5);
    assert_true(list[0].is_removed);
    assert_int_equal(list[1].id, 6);
    assert_false(list[1].is_removed);
    assert_int_equal(list[2].id, 0);
    world_covered(&w, 30, 40, NULL); /* nothing comes into it any more */
    assert_int_equal(index_n_odd(w.x), 1);
    assert_int_equal(world_email(&w, 50, 30).message, 0);
    gone.id = 77;
    world_mailbox(&w, gone); /* never was */
    gone.id = 7;
    world_mailbox(&w, gone); /* another account's */
    assert_int_equal(index_n_odd(w.x), 3);
    assert_int_equal(account_of(&w, 70).inbox, 7);
    world_check(&w);
}

static void a_removed_mailbox_with_thousands_of_emails_lets_all_go(void **)
{
    enum { MANY = 1501 };
    SCOPED(world_finish) struct world w = accounts_make();
    ok(&w, index_begin(w.x, &w.ei));
    w.is_in_transaction = true;
    for (uint32_t i = 1; i <= MANY; i++)
        world_covered(&w, 10 + i, i, NULL);
    world_mailbox(&w, (struct record_mailbox){
                          .id = 5, .person = 50, .tenant = 1, .modseq = 9000, .is_removed = 1});
    ok(&w, index_commit(w.x, w.pos, &w.ei));
    w.is_in_transaction = false;
    assert_int_equal(world_number(&w, "SELECT count(*) FROM email WHERE is_gone"), MANY);
    assert_int_equal(world_number(&w, "SELECT sum(n_holders) FROM message"), 0);
    world_check(&w);
}

static void a_mailbox_of_the_first_version_is_read(void **)
{
    SCOPED(world_finish) struct world w = world_make();
    struct record_mailbox_v1 old = {.id = 5,
                                    .person = 50,
                                    .tenant = 1,
                                    .name = SLICE("Posta"),
                                    .role = SLICE("inbox"),
                                    .uid_validity = 9,
                                    .modseq = 3};
    struct record_mailboxes_v1 list = {.mailboxes = &old, .n_mailboxes = 1};
    record_mailboxes_v1_pack(&w.pack, &list);
    w.version = 1;
    world_apply(&w, RECORD_MAILBOX, 0, 0);
    struct record_mailbox got[2] = {};
    ok(&w, store_each_mailbox_of(w.r, 50, keep_mailbox, got, &w.ei));
    assert_int_equal(got[0].uid_validity, 9);
    assert_int_equal(got[0].created, 3);
    assert_int_equal(got[0].is_subscribed, 1);
    assert_int_equal(got[0].parent, 0);
    assert_int_equal(account_of(&w, 50).inbox, 5);
    /* A version that is not known yet is not guessed at. */
    record_mailboxes_v1_pack(&w.pack, &list);
    w.version = 3;
    assert_int_equal(world_try(&w, RECORD_MAILBOX, 0, 0), ERR_CORRUPT);
}

/* ---- items ---- */

static bool keep_item(void *arg, const struct record_item *item)
{
    struct ids *ids = arg;
    ids->ids[ids->n++] = item->account * 1000 + item->id;
    return ids->n != ids->stop_at;
}

static void items_are_put_whole_and_told_by_kind(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_item item = {
        .account = 70, .kind = ITEM_PUSH, .id = 3, .modseq = 4, .body = SLICE("first")};
    world_put_item(&w, item);
    item.body = SLICE("second");
    item.modseq = 5;
    world_put_item(&w, item);
    item.account = 50;
    item.id = 2;
    world_put_item(&w, item);
    item.kind = ITEM_VACATION;
    item.is_gone = 1;
    item.modseq = 6;
    world_put_item(&w, item);
    struct record_item got;
    ok(&w, store_get_item(w.r, 70, ITEM_PUSH, 3, w.arena, &got, &w.ei));
    assert_true(slice_eq(got.body, SLICE("second")));
    assert_int_equal(got.modseq, 5);
    assert_int_equal(got.created, 4); /* it came with its first record */
    ok(&w, store_get_item(w.r, 50, ITEM_VACATION, 2, w.arena, &got, &w.ei));
    assert_true(got.is_gone);
    assert_int_equal(store_get_item(w.r, 50, ITEM_PUSH, 3, w.arena, &got, &w.ei), ERR_GONE);
    static const struct {
        uint64_t account;
        enum item_kind kind;
        uint64_t ids[3];
    } cases[] = {
        {50, ITEM_PUSH, {50002}},     {70, ITEM_PUSH, {70003}}, {0, ITEM_PUSH, {50002, 70003}},
        {50, ITEM_VACATION, {50002}}, {0, ITEM_LOGIN, {0}},     {99, ITEM_PUSH, {0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ids ids = {};
        ok(&w, store_each_item(w.r, cases[i].account, cases[i].kind, keep_item, &ids, &w.ei));
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(ids.ids[k], cases[i].ids[k]);
    }
    assert_int_equal(account_of(&w, 50).modseq, 6);
    assert_int_equal(account_of(&w, 70).modseq, 5);
    item.is_gone = 0; /* comes again */
    item.modseq = 7;
    world_put_item(&w, item);
    ok(&w, store_get_item(w.r, 50, ITEM_VACATION, 2, w.arena, &got, &w.ei));
    assert_int_equal(got.created, 7);
}

static void an_upload_is_held_by_its_item(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct record_item blob = {.account = 50, .kind = ITEM_BLOB, .id = 20, .modseq = 3};
    world_put_item(&w, blob); /* of nothing */
    assert_int_equal(index_n_odd(w.x), 1);
    struct record_message m = {
        .id = 20, .tenant = 1, .direction = DIRECTION_PERSON, .flags = MESSAGE_IS_BLOB};
    world_message(&w, &m, 77);
    for (int again = 0; again < 2; again++) {
        world_put_item(&w, blob);
        assert_int_equal(holders_of(&w, 20), 1);
    }
    blob.account = 70;
    world_put_item(&w, blob);
    assert_int_equal(holders_of(&w, 20), 2);
    world_check(&w);
    blob.is_gone = 1;
    world_put_item(&w, blob);
    world_put_item(&w, blob);
    assert_int_equal(holders_of(&w, 20), 1);
    world_check(&w);
}

/* ---- tombstones ---- */

static void a_purge_drops_tombstones_up_to_its_floor_and_nothing_else(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    for (uint32_t i = 1; i <= 4; i++)
        world_covered(&w, 10 + i, i, NULL);
    for (uint64_t i = 0; i < 3; i++)
        world_put_email(&w,
                        (struct record_email){
                            .account = 50, .message = 11 + i, .modseq = 110 + i, .is_gone = i < 2});
    world_put_item(&w, (struct record_item){
                           .account = 50, .kind = ITEM_PUSH, .id = 1, .modseq = 113, .is_gone = 1});
    world_put_item(&w, (struct record_item){
                           .account = 50, .kind = ITEM_PUSH, .id = 2, .modseq = 115, .is_gone = 1});
    world_mailbox(&w, (struct record_mailbox){
                          .id = 6, .person = 50, .tenant = 1, .modseq = 114, .is_removed = 1});
    struct record_purged_v1 old = {.account = 50, .floor = 110};
    record_purged_v1_pack(&w.pack, &old);
    w.version = 1;
    world_apply(&w, RECORD_PURGED, 0, 0);
    CHECK_SINCE(&w, 0, 12, 13, 14);
    assert_int_equal(account_of(&w, 50).floor, 110);
    world_purge(&w, (struct record_purged){.account = 50, .floor = 114});
    CHECK_SINCE(&w, 0, 13, 14);
    assert_int_equal(account_of(&w, 50).floor, 114);
    assert_int_equal(account_of(&w, 50).modseq, 115);
    assert_int_equal(world_number(&w, "SELECT sum(id) FROM item"), 2);
    assert_int_equal(world_number(&w, "SELECT count(*) FROM mailbox"), 2);
    world_purge(&w, (struct record_purged){.account = 50, .floor = 1}); /* never downwards */
    assert_int_equal(account_of(&w, 50).floor, 114);
    world_purge(&w, (struct record_purged){.account = 999, .floor = 1, .mark = 1});
    assert_int_equal(index_n_odd(w.x), 1);
    world_check(&w);
}

static bool keep_purgeable(void *arg, const struct store_purgeable *p)
{
    struct store_purgeable *to = arg;
    while (to->account.person)
        to++;
    *to = *p;
    return true;
}

static size_t purgeable(struct world *w, uint64_t after, utc_ms before,
                        struct store_purgeable ret[4])
{
    struct store_purge_wish wish = {.after = after, .before = before, .most = 2};
    size_t n = 0;
    memset(ret, 0, 4 * sizeof(*ret));
    ok(w, store_each_purgeable(w->r, &wish, keep_purgeable, ret, &w->ei));
    while (ret[n].account.person)
        n++;
    return n;
}

static void tombstones_may_go_when_their_account_was_marked_long_ago(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    struct store_purgeable p[4];
    assert_int_equal(purgeable(&w, 0, 1000, p), 0); /* nothing is gone */
    for (uint32_t i = 1; i <= 4; i++)
        world_covered(&w, 10 + i, i, NULL);
    for (uint64_t i = 0; i < 3; i++)
        world_put_email(&w, (struct record_email){
                                .account = 50, .message = 11 + i, .modseq = 110 + i, .is_gone = 1});
    assert_int_equal(purgeable(&w, 0, 1000, p), 1);
    assert_int_equal(p[0].mark, 0);
    assert_int_equal(p[0].upto, 0); /* when they went nobody knows yet */
    assert_int_equal(p[0].account.modseq, 112);
    assert_int_equal(purgeable(&w, 50, 1000, p), 0);
    world_purge(&w, (struct record_purged){.account = 50, .mark = 112, .time = 1000});
    CHECK_SINCE(&w, 0, 11, 12, 13, 14);
    assert_int_equal(account_of(&w, 50).floor, 0);
    assert_int_equal(purgeable(&w, 0, 1000, p), 0);
    world_put_email(
        &w, (struct record_email){.account = 50, .message = 14, .modseq = 113, .is_gone = 1});
    assert_int_equal(purgeable(&w, 0, 1001, p), 1);
    assert_int_equal(p[0].upto, 111);
    assert_false(p[0].is_all);
    world_purge(&w, (struct record_purged){.account = 50, .floor = 111});
    assert_int_equal(purgeable(&w, 0, 1001, p), 1);
    assert_int_equal(p[0].upto, 112); /* 113 is younger than the mark */
    assert_true(p[0].is_all);
    world_purge(&w, (struct record_purged){.account = 50, .floor = 112, .mark = 113, .time = 2000});
    CHECK_SINCE(&w, 0, 14);
    assert_int_equal(purgeable(&w, 0, 2000, p), 0);
    assert_int_equal(purgeable(&w, 0, 2001, p), 1);
    assert_int_equal(p[0].upto, 113);
    world_check(&w);
}

static void keep_contradiction(void *, const char *text)
{
    assert_string_equal(text, "a tombstone that was purged, and is there: account, number 50, 110");
}

static void a_tombstone_that_should_be_purged_is_found_by_verify(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    world_covered(&w, 11, 1, NULL);
    world_put_email(
        &w, (struct record_email){.account = 50, .message = 11, .modseq = 110, .is_gone = 1});
    world_check(&w);
    world_sql(w.path, "UPDATE account SET floor = 110 WHERE person = 50");
    unsigned n = 0;
    ok(&w, index_check(w.path, keep_contradiction, NULL, &n, &w.ei));
    assert_int_equal(n, 1);
}

/* ---- lists and retention ---- */

static bool keep_fields(void *arg, uint64_t message, const struct record_fields *fields)
{
    struct ids *ids = arg;
    ids->ids[ids->n++] = message * 1000 + fields->subject.n;
    return ids->n != ids->stop_at;
}

static void fields_are_told_of_what_the_account_has_in_the_order_asked_for(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    static const uint64_t asked[] = {13, 11, 99, 12, 11, 14, 20};
    static const uint64_t told[] = {13000, 11003, 11003};
    world_covered(&w, 11, 1, &(struct record_fields){.subject = SLICE("one")});
    world_covered(&w, 12, 2, &(struct record_fields){.subject = SLICE("gone")});
    struct record_rcpt rcpt = {.disposition = DISPOSITION_WAITING, .mailbox = 5, .modseq = 103};
    world_mail(&w, 13, &rcpt, 1); /* no fields */
    rcpt.mailbox = 7;
    world_mail(&w, 20, &rcpt, 1); /* another account's */
    world_put_email(
        &w, (struct record_email){.account = 50, .message = 12, .modseq = 110, .is_gone = 1});
    struct ids ids = {};
    ok(&w, store_each_fields(w.r, 50, asked, 7, keep_fields, &ids, &w.ei));
    assert_int_equal(ids.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ids.ids[i], told[i]);
    struct ids one = {.stop_at = 1};
    ok(&w, store_each_fields(w.r, 50, asked, 7, keep_fields, &one, &w.ei));
    assert_int_equal(one.n, 1);
}

static bool keep_old(void *arg, const struct store_email *e, enum store_origin origin, bool is_open)
{
    struct ids *ids = arg;
    ids->ids[ids->n++] = (e->message & 0xff) * 100 + origin * 10 + is_open;
    return ids->n != ids->stop_at;
}

static void what_came_long_ago_is_told_with_where_it_came_from(void **)
{
    SCOPED(world_finish) struct world w = accounts_make();
    for (uint32_t i = 1; i <= 5; i++) {
        struct record_rcpt rcpts[2] = {
            {.disposition = i == 4 ? DISPOSITION_WAITING : DISPOSITION_DELIVERED,
             .primary = i == 3 ? 0 : 9,
             .mailbox = 5,
             .modseq = 10 + i},
            {.disposition = DISPOSITION_DELIVERED, .primary = 9, .mailbox = 7, .modseq = 10 + i},
        };
        world_mail(&w, (uint64_t)(1000 * i) << 20 | i, rcpts, i == 2 ? 2 : i == 5 ? 0 : 1);
    }
    world_put_email(&w, (struct record_email){
                            .account = 50, .message = 1000 << 20 | 1, .modseq = 20, .is_gone = 1});
    world_put_email(&w, (struct record_email){.account = 50,
                                              .message = (uint64_t)5000 << 20 | 5,
                                              .modseq = 21}); /* a draft */
    static const struct {
        utc_ms before;
        uint64_t ids[5];
    } cases[] = {
        {0, {0}}, {1500, {0}}, {2001, {200}}, {3500, {200, 310}}, {INT64_MAX, {200, 310, 401, 520}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ids ids = {};
        ok(&w, store_each_old(w.r, 50, cases[i].before, keep_old, &ids, &w.ei));
        for (size_t k = 0; k < 5; k++)
            assert_int_equal(ids.ids[k], cases[i].ids[k]);
    }
    struct ids one = {.stop_at = 1};
    ok(&w, store_each_old(w.r, 50, INT64_MAX, keep_old, &one, &w.ei));
    assert_int_equal(one.n, 1);
    uint64_t bytes = 1;
    ok(&w, store_account_bytes(w.r, 50, &bytes, &w.ei));
    assert_int_equal(bytes, 4 * 500);
    ok(&w, store_account_bytes(w.r, 51, &bytes, &w.ei));
    assert_int_equal(bytes, 0);
}

static void a_contradiction_between_the_tables_is_found(void **)
{
    static const char *const damages[] = {
        "UPDATE message SET n_holders = 2",
        "UPDATE message SET has_holder = 0",
        "UPDATE message SET is_kept = 0",
        "DELETE FROM message",
        "UPDATE account SET modseq = 1",
        "UPDATE account SET inbox = 77",
        "UPDATE email SET is_gone = 1 WHERE NOT is_changed",
        "UPDATE email SET modseq = modseq + 7 WHERE message = 11",
        "DELETE FROM account WHERE person = 70",
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        SCOPED(world_finish) struct world w = accounts_make();
        unsigned n = 0;
        for (uint32_t k = 1; k <= 3; k++)
            world_covered(&w, 10 + k, k, NULL);
        world_put_email(&w, (struct record_email){.account = 50, .message = 10 + 3, .modseq = 110});
        world_check(&w);
        ok(&w, index_db_exec(w.x->db, damages[i], &w.ei));
        ok(&w, index_check(w.path, world_contradiction, NULL, &n, &w.ei));
        assert_true(n > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_that_comes_is_an_email_of_the_account),
        cmocka_unit_test(what_an_account_has_already_or_has_no_mailbox_for_is_odd),
        cmocka_unit_test(refused_mail_goes_out_of_all_accounts_when_nothing_of_it_is_left),
        cmocka_unit_test(mail_that_is_refused_at_once_is_in_no_account),
        cmocka_unit_test(a_large_message_that_was_overtaken_is_found_by_its_number),
        cmocka_unit_test(an_email_is_flagged_moved_destroyed_and_comes_back),
        cmocka_unit_test(what_was_read_does_not_hide_what_came_before_it),
        cmocka_unit_test(a_draft_a_copy_and_an_import_are_emails_of_messages_without_recipients),
        cmocka_unit_test(what_comes_to_hold_bytes_that_are_given_up_is_gone),
        cmocka_unit_test(a_mailbox_that_is_removed_lets_its_emails_go_and_leaves_a_tombstone),
        cmocka_unit_test(a_removed_mailbox_with_thousands_of_emails_lets_all_go),
        cmocka_unit_test(a_mailbox_of_the_first_version_is_read),
        cmocka_unit_test(items_are_put_whole_and_told_by_kind),
        cmocka_unit_test(an_upload_is_held_by_its_item),
        cmocka_unit_test(a_purge_drops_tombstones_up_to_its_floor_and_nothing_else),
        cmocka_unit_test(tombstones_may_go_when_their_account_was_marked_long_ago),
        cmocka_unit_test(a_tombstone_that_should_be_purged_is_found_by_verify),
        cmocka_unit_test(fields_are_told_of_what_the_account_has_in_the_order_asked_for),
        cmocka_unit_test(what_came_long_ago_is_told_with_where_it_came_from),
        cmocka_unit_test(a_contradiction_between_the_tables_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
