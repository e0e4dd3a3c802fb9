/* A view that grows by single changes, compared with counting everything anew. */
#include "account_kit.h"

#include <malloc.h>

/* Counts the slow way, as RFC 8621 section 2 words it. */
static void count(const struct kit *k, uint64_t box, uint32_t ret[4])
{
    memset(ret, 0, 4 * sizeof(*ret));
    for (size_t i = 0; i < k->n; i++) {
        const struct account_email *e = &k->emails[i];
        if (!kit_is_in(e, box))
            continue;
        ret[0]++;
        ret[1] += !(e->flags & (EMAIL_SEEN | EMAIL_DRAFT));
        bool is_first = true, is_unread = false;
        for (size_t j = 0; j < k->n; j++) {
            const struct account_email *o = &k->emails[j];
            if (o->thread != e->thread || o->is_gone)
                continue;
            is_first &= j >= i || !kit_is_in(o, box);
            bool in_trash = kit_is_in(o, box_id(1)), in_other = false;
            for (unsigned b = 0; b < KIT_BOXES; b++)
                in_other |= b != 1 && kit_is_in(o, box_id(b));
            bool is_shown = box == box_id(1) ? in_trash : in_other;
            is_unread |= is_shown && !(o->flags & (EMAIL_SEEN | EMAIL_DRAFT));
        }
        ret[2] += is_first;
        ret[3] += is_first && is_unread;
    }
}

static void assert_same_counts(const struct kit *k)
{
    for (unsigned i = 0; i < KIT_BOXES; i++) {
        uint32_t want[4];
        const struct account_mailbox *m = account_mailbox(k->a, box_id(i));
        count(k, box_id(i), want);
        assert_int_equal(m->n_emails, want[0]);
        assert_int_equal(m->n_unread, want[1]);
        assert_int_equal(m->n_threads, want[2]);
        assert_int_equal(m->n_unread_threads, want[3]);
    }
}

static void counts_are_right_after_every_change(void **)
{
    for (unsigned seed = 1; seed < 8; seed++) {
        struct kit k;
        kit_open(&k, seed);
        for (int i = 0; i < 300; i++) {
            kit_step(&k);
            assert_same_counts(&k);
        }
        account_view_destroy(&k.a);
    }
}

/* Also when all is counted anew in between, as for another trash. */
static void counts_are_right_after_changes_that_come_together(void **)
{
    for (unsigned seed = 1; seed < 8; seed++) {
        struct kit k;
        kit_open(&k, seed);
        for (int i = 0; i < 60; i++) {
            account_view_gather(k.a);
            for (unsigned n = kit_random(&k, 20); n-- > 0;)
                kit_step(&k);
            if (i % 20 == 19)
                account_count_all(k.a);
            for (unsigned n = kit_random(&k, 5); n-- > 0;)
                kit_step(&k);
            account_view_settle(k.a);
            assert_same_counts(&k);
        }
        account_view_destroy(&k.a);
    }
}

/* The view in the kit is loaded anew, without tombstones up to `floor`. Returns the old one. */
static struct account *load_anew(struct kit *k, uint64_t floor)
{
    struct account *grown = k->a;
    k->a = account_view_create(7);
    account_view_begin(k->a);
    for (unsigned i = 0; i < KIT_BOXES; i++)
        account_view_mailbox(k->a, &k->boxes[i]);
    for (size_t i = k->n; i-- > 0;) /* in another order */
        if (!k->emails[i].is_gone || k->emails[i].modseq > floor)
            kit_put(k, i);
    account_view_end(k->a);
    k->a->floor = floor;
    return grown;
}

static void assert_same(const struct account *one, const struct account *other)
{
    assert_int_equal(account_n_emails(one), account_n_emails(other));
    for (size_t i = 0; i < account_n_emails(other); i++) {
        const struct account_email *e = account_nth_email(other, i);
        assert_int_equal(account_nth_email(one, i)->message, e->message);
        uint64_t ids[KIT_EMAILS], others[KIT_EMAILS];
        size_t n = account_thread(other, e->thread, ids, KIT_EMAILS);
        assert_int_equal(account_thread(one, e->thread, others, KIT_EMAILS), n);
        assert_memory_equal(ids, others, n * sizeof(ids[0]));
    }
    for (int t = 0; t < ACCOUNT_ITEM; t++)
        assert_int_equal(account_state(one, t, 0), account_state(other, t, 0));
    assert_int_equal(account_bytes(one), account_bytes(other));
}

/* A view that is loaded at once is the same as one that grew. */
static void loading_gives_what_growing_gives(void **)
{
    struct kit k;
    kit_open(&k, 5);
    for (int i = 0; i < 800; i++)
        kit_step(&k);
    struct account *grown = load_anew(&k, 0);
    assert_same_counts(&k);
    assert_same(k.a, grown);
    account_view_destroy(&grown);
    account_view_destroy(&k.a);
}

/* What it says of the time since then, thing by thing. */
static void assert_same_changes(const struct account *one, const struct account *other,
                                uint64_t since)
{
    SCOPED(arena_destroy) struct arena *arena = arena_create(4 << 20);
    for (int t = 0; t < ACCOUNT_ITEM; t++) {
        struct account_changes a, b;
        assert_int_equal(account_changes(one, t, 0, ACCOUNT_TOLD(since), 0, arena, &a),
                         account_changes(other, t, 0, ACCOUNT_TOLD(since), 0, arena, &b));
        if (since < one->floor)
            continue;
        assert_int_equal(a.n_created, b.n_created);
        assert_int_equal(a.n_updated, b.n_updated);
        assert_int_equal(a.n_destroyed, b.n_destroyed);
        assert_memory_equal(a.created, b.created, a.n_created * sizeof(a.created[0]));
        assert_memory_equal(a.updated, b.updated, a.n_updated * sizeof(a.updated[0]));
        assert_memory_equal(a.destroyed, b.destroyed, a.n_destroyed * sizeof(a.destroyed[0]));
    }
}

static void a_purge_leaves_what_loading_without_tombstones_gives(void **)
{
    for (unsigned seed = 1; seed < 6; seed++) {
        struct kit k;
        kit_open(&k, seed);
        for (int i = 0; i < 500; i++)
            kit_step(&k);
        uint64_t floor = k.modseq / 2;
        account_view_purge(k.a, floor);
        k.a->floor = floor;
        assert_same_counts(&k);
        struct account *purged = load_anew(&k, floor);
        assert_int_equal(purged->n_by_id, k.a->n_by_id);
        assert_int_equal(map_size(purged->threads), map_size(k.a->threads));
        assert_same(purged, k.a);
        for (uint64_t since = floor - 5; since < k.modseq; since += 7)
            assert_same_changes(purged, k.a, since);
        account_view_destroy(&k.a);
        k.a = purged;
        for (int i = 0; i < 100; i++) { /* and life goes on */
            kit_step(&k);
            assert_same_counts(&k);
        }
        account_view_purge(k.a, k.modseq);
        assert_int_equal(k.a->n_by_id, account_n_emails(k.a));
        account_view_destroy(&k.a);
    }
}

static void mailboxes_and_items_that_are_gone_go_with_a_purge(void **)
{
    struct kit k;
    kit_open(&k, 1);
    k.boxes[4].is_gone = true;
    kit_box(&k, 4);
    for (uint64_t id = 1; id <= 3; id++)
        account_view_item(
            k.a, ITEM_PUSH,
            &(struct account_item){.id = id, .modseq = ++k.modseq, .is_gone = id < 3});
    account_view_purge(k.a, k.modseq - 2);
    assert_null(account_mailbox(k.a, box_id(4)));
    assert_non_null(account_mailbox(k.a, box_id(3)));
    assert_null(account_item(k.a, ITEM_PUSH, 1));
    assert_non_null(account_item(k.a, ITEM_PUSH, 2)); /* went after that */
    assert_non_null(account_item(k.a, ITEM_PUSH, 3));
    account_view_destroy(&k.a);
}

static void what_is_older_than_what_is_known_changes_nothing(void **)
{
    struct kit k;
    kit_open(&k, 1);
    kit_add(&k, 1000, 99, 0);
    struct account_email old = k.emails[0];
    k.emails[0].flags = EMAIL_SEEN;
    k.emails[0].modseq = k.emails[0].counted = ++k.modseq;
    kit_put(&k, 0);
    account_view_email(k.a, &old);
    assert_int_equal(account_email(k.a, 100)->flags, EMAIL_SEEN);
    assert_int_equal(account_mailbox(k.a, box_id(0))->n_unread, 0);
    account_view_destroy(&k.a);
}

static void another_trash_counts_anew(void **)
{
    struct kit k;
    kit_open(&k, 1);
    kit_add(&k, 1000, 99, 3);
    kit_add(&k, 1001, 0, 0);
    k.emails[1].flags = EMAIL_SEEN;
    k.emails[1].modseq = ++k.modseq;
    kit_put(&k, 1);
    assert_int_equal(account_mailbox(k.a, box_id(0))->n_unread_threads, 1);
    struct account_mailbox trash = k.boxes[1], folder = k.boxes[3];
    trash.role = SLICE("");
    trash.modseq = ++k.modseq;
    account_view_mailbox(k.a, &trash);
    folder.role = SLICE("trash");
    folder.modseq = ++k.modseq;
    account_view_mailbox(k.a, &folder);
    assert_int_equal(account_mailbox(k.a, box_id(0))->n_unread_threads, 0);
    assert_int_equal(account_mailbox(k.a, box_id(3))->n_unread_threads, 1);
    account_view_destroy(&k.a);
}

static void items_are_kept_by_kind_and_id(void **)
{
    struct account *a = account_view_create(7);
    static const struct {
        enum item_kind kind;
        uint64_t id, modseq;
    } rows[] = {{ITEM_SUBMISSION, 5, 1}, {ITEM_IDENTITY, 9, 2},   {ITEM_SUBMISSION, 3, 3},
                {ITEM_IDENTITY, 2, 4},   {ITEM_SUBMISSION, 5, 6}, {ITEM_SUBMISSION, 5, 5}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        account_view_item(a, rows[i].kind,
                          &(struct account_item){.id = rows[i].id,
                                                 .modseq = rows[i].modseq,
                                                 .created = rows[i].modseq,
                                                 .body = SLICE("body")});
    size_t at = 0;
    assert_int_equal(account_next_item(a, ITEM_SUBMISSION, &at)->id, 3);
    const struct account_item *i = account_next_item(a, ITEM_SUBMISSION, &at);
    assert_int_equal(i->id, 5);
    assert_int_equal(i->modseq, 6);
    assert_int_equal(i->created, 1);
    assert_null(account_next_item(a, ITEM_SUBMISSION, &at));
    assert_int_equal(account_state(a, ACCOUNT_ITEM, ITEM_IDENTITY), 4);
    assert_null(account_item(a, ITEM_IDENTITY, 5));
    account_view_destroy(&a);
}

/* `n` emails, three to a thread, every tenth with a keyword of its own, taken up as from the index.
 */
static struct account *load_many(uint64_t n)
{
    struct account *a = account_view_create(7);
    struct record_keyword work = {SLICE("work")};
    account_view_begin(a);
    for (uint64_t i = 1; i <= n; i++) {
        struct record_place place = {.mailbox = 1 + i % 4, .uid = (uint32_t)i, .modseq = i};
        account_view_email(a, &(struct account_email){.message = i,
                                                      .thread = i - i % 3,
                                                      .modseq = i,
                                                      .created = i,
                                                      .counted = i,
                                                      .received = (utc_ms)(i * 7919 % n),
                                                      .bytes = 1000,
                                                      .places = &place,
                                                      .n_places = 1,
                                                      .keywords = &work,
                                                      .n_keywords = i % 10 == 0});
    }
    account_view_end(a);
    return a;
}

static void what_is_counted_is_the_memory_that_a_view_has(void **)
{
    static const uint64_t sizes[] = {1000, 20000, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct mallinfo2 before = mallinfo2();
        struct account *a = load_many(sizes[i]);
        struct mallinfo2 after = mallinfo2();
        size_t real = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
        size_t counted = account_view_bytes(a);
        print_message("%llu emails: %zu bytes, counted %zu\n", (unsigned long long)sizes[i], real,
                      counted);
        if (after.uordblks > 0) { /* the allocator of a sanitizer says nothing */
            assert_true(counted > real / 10 * 9);
            assert_true(counted < real / 10 * 12);
        }
        account_view_purge(a, 0);
        assert_int_equal(account_view_bytes(a), counted);
        account_view_destroy(&a);
    }
}

/* Else a cache would empty itself, or fill for ever. */
static void counted_bytes_come_back_when_things_go(void **)
{
    struct kit k;
    kit_open(&k, 3);
    for (int i = 0; i < 400; i++)
        kit_step(&k);
    account_view_purge(k.a, k.modseq);
    size_t purged = k.a->bytes;
    struct account *old = load_anew(&k, k.modseq);
    size_t members = 0, grown = 0, at = 0;
    void *value;
    while (map_next(k.a->threads, &at, NULL, &value))
        members += ((struct account_thread *)value)->cap;
    for (at = 0; map_next(old->threads, &at, NULL, &value);)
        grown += ((struct account_thread *)value)->cap;
    assert_int_equal(purged - grown * sizeof(uint64_t), k.a->bytes - members * sizeof(uint64_t));
    account_view_destroy(&old);
    account_view_clear(k.a);
    assert_int_equal(k.a->bytes, sizeof(*k.a));
    account_view_destroy(&k.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_right_after_every_change),
        cmocka_unit_test(counts_are_right_after_changes_that_come_together),
        cmocka_unit_test(loading_gives_what_growing_gives),
        cmocka_unit_test(a_purge_leaves_what_loading_without_tombstones_gives),
        cmocka_unit_test(mailboxes_and_items_that_are_gone_go_with_a_purge),
        cmocka_unit_test(what_is_counted_is_the_memory_that_a_view_has),
        cmocka_unit_test(counted_bytes_come_back_when_things_go),
        cmocka_unit_test(what_is_older_than_what_is_known_changes_nothing),
        cmocka_unit_test(another_trash_counts_anew),
        cmocka_unit_test(items_are_kept_by_kind_and_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
