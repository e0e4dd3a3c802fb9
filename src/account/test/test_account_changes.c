/* What changed since a state, followed by a client that knows only what it was told. */
#include "account_kit.h"

/* A client that knows only what it was told. */
struct client {
    struct account_told state;
    uint64_t ids[KIT_EMAILS];
    uint64_t seen[KIT_EMAILS]; /* the change number of each, as of when it was fetched */
    size_t n;
};

static size_t find(const struct client *c, uint64_t id)
{
    size_t i = 0;
    while (i < c->n && c->ids[i] != id)
        i++;
    return i;
}

static uint64_t version(const struct kit *k, enum account_type type, uint64_t id)
{
    if (type == ACCOUNT_EMAIL) {
        const struct account_email *e = account_email(k->a, id);
        return e->is_gone ? 0 : e->modseq;
    }
    if (type == ACCOUNT_MAILBOX) {
        const struct account_mailbox *m = account_mailbox(k->a, id);
        return 1 + m->n_emails + 1000ULL * m->n_unread + 1000000ULL * m->n_threads +
               1000000000ULL * m->n_unread_threads + (m->modseq << 40);
    }
    uint64_t members[KIT_EMAILS], sum = 0;
    size_t n = account_thread(k->a, id, members, KIT_EMAILS);
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + members[i];
    return n ? 1 + sum : 0;
}

static void fetch(const struct kit *k, enum account_type type, struct client *c, uint64_t id)
{
    size_t at = find(c, id);
    c->seen[at] = version(k, type, id);
    c->ids[at] = id;
    c->n += at == c->n;
}

/* One answer; does it go on? Each id at most once, created ones new, others known, or, of destroyed
 * ones, perhaps not. */
static bool sync_once(const struct kit *k, enum account_type type, struct client *c, size_t max)
{
    struct account_changes ch;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    enum err err = account_changes(k->a, type, 0, c->state, max, arena, &ch);
    assert_int_equal(err, ERR_OK);
    assert_true(max == 0 || ch.n_created + ch.n_updated + ch.n_destroyed <= max);
    for (size_t i = 0; i < ch.n_created; i++) {
        assert_int_equal(find(c, ch.created[i]), c->n);
        fetch(k, type, c, ch.created[i]);
    }
    for (size_t i = 0; i < ch.n_updated; i++) {
        assert_true(find(c, ch.updated[i]) < c->n);
        fetch(k, type, c, ch.updated[i]);
    }
    for (size_t i = 0; i < ch.n_destroyed; i++) {
        size_t at = find(c, ch.destroyed[i]);
        if (at == c->n)
            continue;
        c->n--;
        c->ids[at] = c->ids[c->n];
        c->seen[at] = c->seen[c->n];
    }
    c->state = ch.until;
    return ch.has_more;
}

static void assert_in_sync(const struct kit *k, enum account_type type, const struct client *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        uint64_t now = version(k, type, c->ids[i]);
        assert_int_equal(c->seen[i], now);
    }
    if (type == ACCOUNT_EMAIL) {
        assert_int_equal(c->n, account_n_emails(k->a));
    } else if (type == ACCOUNT_THREAD) {
        for (size_t i = 0; i < k->n; i++)
            n += k->emails[i].thread == k->emails[i].message &&
                 version(k, type, k->emails[i].thread) != 0;
        assert_int_equal(c->n, n);
    } else {
        assert_int_equal(c->n, KIT_BOXES);
    }
}

static void a_client_that_follows_changes_knows_everything(void **)
{
    static const enum account_type types[] = {ACCOUNT_EMAIL, ACCOUNT_THREAD, ACCOUNT_MAILBOX};
    for (unsigned seed = 1; seed < 100; seed++) {
        struct kit k;
        struct client clients[3] = {{ACCOUNT_TOLD(0)}, {ACCOUNT_TOLD(0)}, {ACCOUNT_TOLD(0)}};
        kit_open(&k, seed);
        for (int i = 0; i < 200; i++) {
            kit_step(&k);
            for (int t = 0; t < 3; t++) {
                if (kit_random(&k, 8) != 0)
                    continue;
                /* Sometimes it goes on in the middle of what happens. */
                while (sync_once(&k, types[t], &clients[t], kit_random(&k, 6)))
                    if (kit_random(&k, 3) == 0)
                        kit_step(&k);
                while (sync_once(&k, types[t], &clients[t], 0))
                    ;
                assert_in_sync(&k, types[t], &clients[t]);
            }
        }
        account_view_destroy(&k.a);
    }
}

static void nothing_new_gives_nothing(void **)
{
    struct kit k;
    kit_open(&k, 3);
    for (int i = 0; i < 100; i++)
        kit_step(&k);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    for (int t = 0; t < ACCOUNT_ITEM; t++) {
        struct account_changes ch;
        uint64_t state = account_state(k.a, t, 0);
        assert_int_equal(account_changes(k.a, t, 0, ACCOUNT_TOLD(state), 0, arena, &ch), ERR_OK);
        assert_int_equal(ch.n_created + ch.n_updated + ch.n_destroyed, 0);
        assert_int_equal(ch.until.modseq, state);
        assert_int_equal(account_changes(k.a, t, 0, ACCOUNT_TOLD(state + 1), 0, arena, &ch),
                         ERR_GONE);
    }
    account_view_destroy(&k.a);
}

static void what_came_and_went_is_not_told(void **)
{
    struct kit k;
    struct account_changes ch;
    kit_open(&k, 3);
    kit_add(&k, 1000, 9, 0);
    uint64_t since = k.modseq;
    kit_add(&k, 1001, 9, 0);
    k.emails[1].is_gone = true;
    k.emails[1].modseq = k.emails[1].counted = ++k.modseq;
    kit_place(&k, 1, 0, true);
    kit_put(&k, 1);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    for (int t = 0; t < ACCOUNT_MAILBOX; t++) {
        assert_int_equal(account_changes(k.a, t, 0, ACCOUNT_TOLD(since), 0, arena, &ch), ERR_OK);
        assert_int_equal(ch.n_created + ch.n_updated + ch.n_destroyed, 0);
    }
    account_view_destroy(&k.a);
}

static void before_the_floor_nothing_can_be_said(void **)
{
    struct kit k;
    struct account_changes ch;
    kit_open(&k, 3);
    kit_add(&k, 1000, 9, 0);
    k.a->floor = k.modseq;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    assert_int_equal(
        account_changes(k.a, ACCOUNT_EMAIL, 0, ACCOUNT_TOLD(k.modseq - 1), 0, arena, &ch),
        ERR_GONE);
    assert_int_equal(account_changes(k.a, ACCOUNT_EMAIL, 0, ACCOUNT_TOLD(k.modseq), 0, arena, &ch),
                     ERR_OK);
    account_view_destroy(&k.a);
}

static void counts_alone_are_told_as_such(void **)
{
    struct kit k;
    struct account_changes ch;
    kit_open(&k, 3);
    kit_add(&k, 1000, 9, 0);
    uint64_t since = account_state(k.a, ACCOUNT_MAILBOX, 0);
    kit_add(&k, 1001, 9, 3);
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    assert_int_equal(account_changes(k.a, ACCOUNT_MAILBOX, 0, ACCOUNT_TOLD(since), 0, arena, &ch),
                     ERR_OK);
    assert_int_equal(ch.n_updated, 1);
    assert_true(ch.is_counts_only);
    kit_box(&k, 3);
    assert_int_equal(account_changes(k.a, ACCOUNT_MAILBOX, 0, ACCOUNT_TOLD(since), 0, arena, &ch),
                     ERR_OK);
    assert_int_equal(ch.n_updated, 1);
    assert_false(ch.is_counts_only);
    account_view_destroy(&k.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_follows_changes_knows_everything),
        cmocka_unit_test(nothing_new_gives_nothing),
        cmocka_unit_test(what_came_and_went_is_not_told),
        cmocka_unit_test(before_the_floor_nothing_can_be_said),
        cmocka_unit_test(counts_alone_are_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
