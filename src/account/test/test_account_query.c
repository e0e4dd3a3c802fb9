/* Queries, compared with the same question answered the slow way. */
#include "account_kit.h"

/* ---- the slow way ---- */

static struct kit *sorting;
static const struct account_query *sorting_by;

static int slow_compare(const void *x, const void *y)
{
    const struct account_email *a = &sorting->emails[*(const size_t *)x];
    const struct account_email *b = &sorting->emails[*(const size_t *)y];
    for (size_t i = 0; i < sorting_by->n_sorts; i++) {
        const struct account_sort *s = &sorting_by->sorts[i];
        int64_t c = 0;
        if (s->by == ACCOUNT_BY_RECEIVED)
            c = a->received - b->received;
        else if (s->by == ACCOUNT_BY_SIZE)
            c = (int64_t)a->bytes - b->bytes;
        else
            c = account_has_keyword(a, s->keyword) - account_has_keyword(b, s->keyword);
        if (c)
            return (c < 0) == s->is_ascending ? -1 : 1;
    }
    if (a->received != b->received)
        return a->received > b->received ? -1 : 1;
    return a->message > b->message ? -1 : 1;
}

static size_t slow_query(struct kit *k, const struct account_query *q, uint64_t box, uint64_t *ret)
{
    size_t all[KIT_EMAILS], n = 0, n_ret = 0;
    for (size_t i = 0; i < k->n; i++)
        if (!k->emails[i].is_gone && (box == 0 || kit_is_in(&k->emails[i], box)))
            all[n++] = i;
    sorting = k;
    sorting_by = q;
    if (n)
        qsort(all, n, sizeof(all[0]), slow_compare);
    for (size_t i = 0; i < n; i++) {
        bool is_first = true;
        for (size_t j = 0; j < i; j++)
            is_first &= k->emails[all[j]].thread != k->emails[all[i]].thread;
        if (is_first || !q->collapse_threads)
            ret[n_ret++] = k->emails[all[i]].message;
    }
    return n_ret;
}

/* ---- tests ---- */

static void assert_part(struct kit *k, struct account_query *q, const uint64_t *want, size_t n)
{
    struct account_result r;
    struct errinfo ei;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    assert_int_equal(account_query(k->a, NULL, q, arena, &r, &ei), ERR_OK);
    int64_t from = q->position < 0 ? q->position + (int64_t)n : q->position;
    from = from < 0 ? 0 : from;
    size_t left = (size_t)from < n ? n - (size_t)from : 0;
    assert_int_equal(r.n_ids, left < q->limit ? left : q->limit);
    for (size_t i = 0; i < r.n_ids; i++)
        assert_int_equal(r.ids[i], want[(size_t)from + i]);
    if (q->want_total)
        assert_int_equal(r.total, n);
    if (n == 0)
        return;
    struct account_query by_anchor = *q;
    by_anchor.anchor = want[n / 2];
    by_anchor.anchor_offset = -2;
    assert_int_equal(account_query(k->a, NULL, &by_anchor, arena, &r, &ei), ERR_OK);
    assert_int_equal(r.position, n / 2 < 2 ? 0 : n / 2 - 2);
    by_anchor.anchor = 1;
    assert_int_equal(account_query(k->a, NULL, &by_anchor, arena, &r, &ei), ERR_GONE);
}

static void answers_are_those_of_the_slow_way(void **)
{
    static const struct account_sort sorts[][2] = {
        {{ACCOUNT_BY_RECEIVED, false, {}}},
        {{ACCOUNT_BY_RECEIVED, true, {}}},
        {{ACCOUNT_BY_SIZE, true, {}}},
        {{ACCOUNT_BY_HAS_KEYWORD, false, SLICE("$seen")}, {ACCOUNT_BY_SIZE, false, {}}},
    };
    struct kit k;
    kit_open(&k, 11);
    for (int i = 0; i < 1500; i++) {
        kit_step(&k);
        if (i % 3)
            continue;
        uint64_t want[KIT_EMAILS];
        unsigned box = kit_random(&k, KIT_BOXES + 1);
        struct account_filter in = {.test = ACCOUNT_IN_MAILBOX, .number = box_id(box)};
        unsigned by = kit_random(&k, 5);
        struct account_query q = {.filter = box < KIT_BOXES ? &in : NULL,
                                  .sorts = by < 4 ? sorts[by] : NULL,
                                  .n_sorts = by < 3    ? 1
                                             : by == 3 ? 2
                                                       : 0,
                                  .collapse_threads = kit_random(&k, 2),
                                  .want_total = kit_random(&k, 2),
                                  .position = (int)kit_random(&k, 30) - 10,
                                  .limit = 1 + kit_random(&k, 20)};
        size_t n = slow_query(&k, &q, box < KIT_BOXES ? box_id(box) : 0, want);
        assert_part(&k, &q, want, n);
    }
    account_view_destroy(&k.a);
}

/* Facts about a thread are kept by its number: no two may have one, and none a number too large. */
static void threads_that_go_leave_the_others_their_own_facts(void **)
{
    struct kit k;
    struct errinfo ei;
    struct account_filter some = {.test = ACCOUNT_SOME_IN_THREAD_HAVE, .keyword = SLICE("$seen")};
    struct account_query q = {.filter = &some, .limit = 100};
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    struct account_result r;
    kit_open(&k, 3);
    for (unsigned i = 0; i < 20; i++)
        kit_add(&k, 1000 + i, k.n, 0);
    for (size_t i = 0; i < 15; i++) {
        k.emails[i].is_gone = true;
        k.emails[i].modseq = k.emails[i].counted = ++k.modseq;
        kit_place(&k, i, 0, true);
        kit_put(&k, i);
    }
    account_view_purge(k.a, k.modseq);
    for (unsigned i = 0; i < 20; i++)
        kit_add(&k, 2000 + i, k.n, 0);
    for (size_t i = 15; i < k.n; i += 2) {
        k.emails[i].flags |= EMAIL_SEEN;
        k.emails[i].modseq = ++k.modseq;
        kit_put(&k, i);
    }
    assert_int_equal(account_query(k.a, NULL, &q, arena, &r, &ei), ERR_OK);
    assert_int_equal(r.n_ids, 13);
    for (size_t i = 0; i < r.n_ids; i++)
        assert_true(account_email(k.a, r.ids[i])->flags & EMAIL_SEEN);
    account_view_destroy(&k.a);
}

/* What a client makes of the changes of a query is the new answer (RFC 8620 5.6); one that knew the
 * beginning of the old one knows the beginning of the new one. */
static void changes_lead_from_the_old_answer_to_the_new(void **)
{
    static const struct account_sort by_flag = {ACCOUNT_BY_HAS_KEYWORD, false, SLICE("$flagged")};
    struct kit k;
    kit_open(&k, 17);
    for (int round = 0; round < 300; round++) {
        uint64_t list[2 * KIT_EMAILS], want[KIT_EMAILS];
        struct account_filter in = {.test = ACCOUNT_IN_MAILBOX,
                                    .number = box_id(kit_random(&k, KIT_BOXES))};
        struct account_query q = {.filter = &in,
                                  .sorts = &by_flag,
                                  .n_sorts = kit_random(&k, 2),
                                  .collapse_threads = kit_random(&k, 2)};
        size_t n = slow_query(&k, &q, in.number, list);
        bool knows_all = n == 0 || kit_random(&k, 2);
        n = knows_all ? n : 1 + kit_random(&k, (unsigned)n);
        uint64_t up_to = knows_all ? 0 : list[n - 1];
        uint64_t since = account_state(k.a, ACCOUNT_EMAIL, 0);
        for (unsigned i = kit_random(&k, 9); i-- > 0;)
            kit_step(&k);
        SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
        struct account_query_changes ch;
        struct errinfo ei;
        assert_int_equal(account_query_changes(k.a, NULL, &q, since, up_to, arena, &ch, &ei),
                         ERR_OK);
        for (size_t i = 0; i < ch.n_removed; i++)
            for (size_t j = 0; j < n; j++)
                if (list[j] == ch.removed[i]) {
                    memmove(list + j, list + j + 1, (n - j - 1) * sizeof(list[0]));
                    n--;
                    break;
                }
        for (size_t i = 0; i < ch.n_added; i++) {
            assert_true(ch.added[i].index <= n || !knows_all);
            if (ch.added[i].index > n)
                break;
            memmove(list + ch.added[i].index + 1, list + ch.added[i].index,
                    (n - ch.added[i].index) * sizeof(list[0]));
            list[ch.added[i].index] = ch.added[i].id;
            n++;
        }
        size_t n_want = slow_query(&k, &q, in.number, want);
        assert_int_equal(ch.total, n_want);
        assert_true(n == n_want || (n < n_want && !knows_all));
        assert_memory_equal(list, want, n * sizeof(list[0]));
    }
    account_view_destroy(&k.a);
}

static void flag(struct kit *k, size_t n)
{
    k->emails[n].flags ^= EMAIL_FLAGGED;
    k->emails[n].modseq = ++k->modseq;
    kit_put(k, n);
}

/* The last one of 3 4 2 1 0 comes to the front, and the first one moves: 0 4 3 2 1. */
static void the_last_one_that_is_known_may_move_itself(void **)
{
    static const struct account_sort by_flag = {ACCOUNT_BY_HAS_KEYWORD, false, SLICE("$flagged")};
    const struct account_query q = {.sorts = &by_flag, .n_sorts = 1};
    struct account_query_changes ch;
    struct errinfo ei;
    struct kit k;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    kit_open(&k, 1);
    for (unsigned i = 0; i < 5; i++)
        kit_add(&k, 1000 + i, 9, 0);
    flag(&k, 3);
    uint64_t since = k.modseq, last = k.emails[0].message;
    flag(&k, 3);
    flag(&k, 0);
    assert_int_equal(account_query_changes(k.a, NULL, &q, since, last, arena, &ch, &ei), ERR_OK);
    assert_int_equal(ch.n_removed, 2);
    assert_int_equal(ch.n_added, 2);
    assert_int_equal(ch.added[0].id, last);
    assert_int_equal(ch.added[1].id, k.emails[3].message);
    assert_int_equal(ch.added[1].index, 2);
    account_view_destroy(&k.a);
}

static size_t matching(struct kit *k, const struct account_filter *f)
{
    struct account_query q = {.filter = f, .limit = KIT_EMAILS};
    struct account_result r;
    struct errinfo ei;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    assert_int_equal(account_query(k->a, NULL, &q, arena, &r, &ei), ERR_OK);
    return r.n_ids;
}

static void filters_mean_what_they_say(void **)
{
    struct kit k;
    static const uint64_t two[] = {100, 102}, trash[] = {1001};
    kit_open(&k, 1);
    kit_add(&k, 1000, 9, 0); /* 100: a thread with 101; read, flagged by a word of its own */
    kit_add(&k, 1010, 0, 1); /* 101: in the trash */
    kit_add(&k, 1020, 9, 0); /* 102: alone, with an attachment */
    k.emails[0].flags = EMAIL_SEEN;
    k.emails[0].n_keywords = 1;
    k.keywords[0][0].text = SLICE("Work");
    k.emails[2].flags = EMAIL_ATTACHED;
    for (size_t i = 0; i < 3; i++) {
        k.emails[i].modseq = ++k.modseq;
        kit_put(&k, i);
    }
    const struct account_filter seen = {.test = ACCOUNT_HAS, .keyword = SLICE("$seen")};
    const struct account_filter late = {.test = ACCOUNT_AFTER, .time = 1010};
    const struct account_filter both[] = {seen, late};
    const struct {
        struct account_filter f;
        size_t n;
    } rows[] = {
        {{.test = ACCOUNT_ALL}, 3},
        {seen, 1},
        {late, 2},
        {{.test = ACCOUNT_BEFORE, .time = 1010}, 1},
        {{.test = ACCOUNT_HAS_NOT, .keyword = SLICE("$seen")}, 2},
        {{.test = ACCOUNT_HAS, .keyword = SLICE("work")}, 1},
        {{.test = ACCOUNT_ALL_IN_THREAD_HAVE, .keyword = SLICE("$seen")}, 0},
        {{.test = ACCOUNT_SOME_IN_THREAD_HAVE, .keyword = SLICE("$seen")}, 2},
        {{.test = ACCOUNT_NONE_IN_THREAD_HAVE, .keyword = SLICE("$seen")}, 1},
        {{.test = ACCOUNT_IN_MAILBOX, .number = 1001}, 1},
        {{.test = ACCOUNT_IN_MAILBOX_OTHER_THAN, .ids = trash, .n_ids = 1}, 2},
        {{.test = ACCOUNT_MIN_SIZE, .number = 11}, 2},
        {{.test = ACCOUNT_MAX_SIZE, .number = 11}, 1},
        {{.test = ACCOUNT_HAS_ATTACHMENT, .number = 1}, 1},
        {{.test = ACCOUNT_HAS_ATTACHMENT, .number = 0}, 2},
        {{.test = ACCOUNT_ONE_OF, .ids = two, .n_ids = 2}, 2},
        {{.test = ACCOUNT_AND, .parts = both, .n_parts = 2}, 0},
        {{.test = ACCOUNT_OR, .parts = both, .n_parts = 2}, 3},
        {{.test = ACCOUNT_NOT, .parts = both, .n_parts = 2}, 0},
        {{.test = ACCOUNT_NOT, .parts = both, .n_parts = 1}, 2},
        {{.test = ACCOUNT_AND}, 3},
        {{.test = ACCOUNT_OR}, 0},
        {{.test = ACCOUNT_NOT}, 3},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (matching(&k, &rows[i].f) != rows[i].n)
            print_message("row %zu\n", i);
        assert_int_equal(matching(&k, &rows[i].f), rows[i].n);
    }
    account_view_destroy(&k.a);
}

/* A thread of so many, that nobody goes through for each of its emails: that would not end. */
enum { LONG = 60000 };

static struct account *long_thread(void)
{
    struct account *a = account_view_create(7);
    struct account_mailbox box = {.id = 1000, .modseq = 1, .created = 1};
    account_view_begin(a);
    account_view_mailbox(a, &box);
    for (uint64_t i = 0; i < LONG; i++) {
        struct record_place place = {1000, (uint32_t)(2 + i), 2 + i, 0};
        struct account_email e = {.message = 100 + i,
                                  .thread = 100,
                                  .modseq = 2 + i,
                                  .created = 2 + i,
                                  .counted = 2 + i,
                                  .received = (utc_ms)(LONG - i),
                                  .places = &place,
                                  .n_places = 1};
        account_view_email(a, &e);
    }
    account_view_end(a);
    return a;
}

static void a_very_long_thread_is_gone_through_once(void **)
{
    static const struct account_filter in_thread[] = {
        {.test = ACCOUNT_NONE_IN_THREAD_HAVE, .keyword = SLICE("$seen")},
        {.test = ACCOUNT_NONE_IN_THREAD_HAVE, .keyword = SLICE("work")},
        {.test = ACCOUNT_NONE_IN_THREAD_HAVE, .keyword = SLICE("Work")}};
    static const struct account_filter all = {
        .test = ACCOUNT_AND, .parts = in_thread, .n_parts = 3};
    static const struct account_sort sort = {.by = ACCOUNT_BY_ALL_IN_THREAD_HAVE,
                                             .keyword = SLICE("$flagged")};
    struct account *a = long_thread();
    struct account_query q = {.filter = &all, .sorts = &sort, .n_sorts = 1, .limit = 10};
    struct account_result r;
    struct account_query_changes ch;
    struct account_changes changes;
    struct errinfo ei;
    SCOPED(arena_destroy) struct arena *arena = arena_create(64 << 20);
    assert_int_equal(account_query(a, NULL, &q, arena, &r, &ei), ERR_OK);
    assert_int_equal(r.total, LONG);
    assert_int_equal(account_query_changes(a, NULL, &q, 1, 0, arena, &ch, &ei), ERR_OK);
    assert_int_equal(ch.n_added, LONG);
    assert_int_equal(account_changes(a, ACCOUNT_MAILBOX, 0, ACCOUNT_TOLD(1), 0, arena, &changes),
                     ERR_OK);
    assert_int_equal(changes.n_updated, 1);
    account_view_destroy(&a);
}

static void changes_of_a_very_long_thread_are_counted_together(void **)
{
    struct account *a = long_thread();
    account_view_gather(a);
    for (uint64_t i = 0; i < LONG; i++) {
        struct account_email e = *account_email(a, 100 + i);
        struct record_place place = e.places[0];
        e.modseq = e.counted = 100000 + i;
        e.flags = EMAIL_SEEN;
        e.places = &place;
        account_view_email(a, &e);
    }
    account_view_settle(a);
    assert_int_equal(account_mailbox(a, 1000)->n_emails, LONG);
    assert_int_equal(account_mailbox(a, 1000)->n_unread, 0);
    assert_int_equal(account_mailbox(a, 1000)->n_threads, 1);
    assert_int_equal(account_mailbox(a, 1000)->n_unread_threads, 0);
    account_view_destroy(&a);
}

static void a_question_that_takes_too_long_is_not_answered(void **)
{
    struct kit k;
    kit_open(&k, 1);
    kit_add(&k, 1000, 9, 0);
    struct account_query q = {.limit = 10, .until = mono_now() - 1};
    struct account_result r;
    struct account_query_changes ch;
    struct errinfo ei;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    assert_int_equal(account_query(k.a, NULL, &q, arena, &r, &ei), ERR_RETRY);
    assert_int_equal(account_query_changes(k.a, NULL, &q, 0, 0, arena, &ch, &ei), ERR_RETRY);
    q.until = mono_now() + SECONDS(60);
    assert_int_equal(account_query(k.a, NULL, &q, arena, &r, &ei), ERR_OK);
    assert_int_equal(r.n_ids, 1);
    account_view_destroy(&k.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_the_slow_way),
        cmocka_unit_test(threads_that_go_leave_the_others_their_own_facts),
        cmocka_unit_test(changes_lead_from_the_old_answer_to_the_new),
        cmocka_unit_test(the_last_one_that_is_known_may_move_itself),
        cmocka_unit_test(filters_mean_what_they_say),
        cmocka_unit_test(a_very_long_thread_is_gone_through_once),
        cmocka_unit_test(changes_of_a_very_long_thread_are_counted_together),
        cmocka_unit_test(a_question_that_takes_too_long_is_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
