/* Accounts as a whole: a random walk through everything that can happen to them, compared with a
 * plain model in memory; the same log applied in other pieces, or by a process that is killed again
 * and again, gives the same index. */
#include "index_world.h"

#include <signal.h>
#include <sys/wait.h>

enum {
    STEPS = 1500,
    ACCOUNTS = 3,
    BOXES = 3, /* of an account; the first one is its inbox and stays */
    MESSAGES = 400,
    PLACES = 4,
};

/* ---- the model ---- */

struct model_place {
    uint64_t mailbox, modseq;
    bool is_gone;
};

struct model_email {
    bool is_there, is_gone;
    uint64_t modseq, created, counted;
    uint32_t flags, n_places;
    struct model_place places[PLACES];
};

struct model {
    struct model_email emails[ACCOUNTS][MESSAGES];
    bool has_message[MESSAGES], is_dropped[MESSAGES], has_blob[ACCOUNTS][MESSAGES];
    bool has_box[ACCOUNTS][BOXES];
    uint64_t modseq[ACCOUNTS], floor[ACCOUNTS];
};

static uint64_t person_of(unsigned account)
{
    return 50 + account;
}

static uint64_t box_of(unsigned account, unsigned box)
{
    return 500 + account * 10 + box;
}

static unsigned model_holders(const struct model *m, unsigned message)
{
    unsigned n = 0;
    for (unsigned a = 0; a < ACCOUNTS; a++)
        n += (m->emails[a][message].is_there && !m->emails[a][message].is_gone) +
             m->has_blob[a][message];
    return n;
}

/* ---- the walk: each step packs one record and says what it means ---- */

struct step {
    uint16_t type;
    uint64_t id;
    struct slice facts;
};

struct walk {
    struct arena *arena;
    struct buf pack;
    uint64_t state;
    unsigned last_message;
    struct model model;
    struct step steps[STEPS];
    size_t n;
};

static unsigned any(struct walk *w, unsigned below)
{
    w->state = w->state * 6364136223846793005 + 1442695040888963407;
    return (unsigned)((w->state >> 33) % below);
}

static void keep(struct walk *w, uint16_t type, uint64_t id)
{
    assert_false(w->pack.failed);
    w->steps[w->n++] = (struct step){type, id, arena_copy(w->arena, buf_slice(&w->pack))};
    buf_clear(&w->pack);
}

static void walk_mailbox(struct walk *w, unsigned a, unsigned box, bool is_removed)
{
    struct model *m = &w->model;
    struct record_mailbox one = {.id = box_of(a, box),
                                 .person = person_of(a),
                                 .tenant = 1,
                                 .role = box ? SLICE("") : SLICE("inbox"),
                                 .modseq = ++m->modseq[a],
                                 .is_removed = is_removed};
    struct record_mailboxes list = {.mailboxes = &one, .n_mailboxes = 1};
    record_mailboxes_pack(&w->pack, &list);
    keep(w, RECORD_MAILBOX, 0);
    for (unsigned i = 0; i < MESSAGES && is_removed && m->has_box[a][box]; i++) {
        struct model_email *e = &m->emails[a][i];
        bool was_in = false, is_gone = true;
        if (!e->is_there || e->is_gone)
            continue;
        for (unsigned k = 0; k < e->n_places; k++) {
            struct model_place *p = &e->places[k];
            bool is_it = p->mailbox == one.id && !p->is_gone;
            was_in |= is_it;
            if (is_it)
                *p = (struct model_place){p->mailbox, one.modseq, true};
            is_gone &= p->is_gone;
        }
        if (!was_in)
            continue;
        e->modseq = e->counted = one.modseq;
        e->is_gone = is_gone;
    }
    m->has_box[a][box] = !is_removed;
}

/* Sometimes its id is smaller than that of one before it. */
static void walk_delivery(struct walk *w)
{
    struct model *m = &w->model;
    struct record_rcpt rcpts[ACCOUNTS];
    struct record_fields fields = {.has_attachment = any(w, 2) != 0};
    unsigned number = w->last_message + 1 + (any(w, 6) == 0) * 2;
    if (any(w, 6) == 0)
        for (unsigned i = 1; i < w->last_message; i++)
            number = m->has_message[i] ? number : i;
    if (number >= MESSAGES)
        return;
    struct record_message message = {.id = number,
                                     .tenant = 1,
                                     .received = 7,
                                     .direction = DIRECTION_IN,
                                     .bytes = number,
                                     .rcpts = rcpts,
                                     .fields = &fields,
                                     .n_fields = 1};
    w->last_message = number > w->last_message ? number : w->last_message;
    m->has_message[number] = true;
    for (unsigned a = 0; a < ACCOUNTS; a++) {
        if (any(w, 2))
            continue;
        uint64_t modseq = ++m->modseq[a];
        rcpts[message.n_rcpts++] = (struct record_rcpt){.disposition = DISPOSITION_DELIVERED,
                                                        .person = person_of(a),
                                                        .mailbox = box_of(a, 0),
                                                        .uid = (uint32_t)modseq,
                                                        .modseq = modseq};
        m->emails[a][number] =
            (struct model_email){.is_there = true,
                                 .modseq = modseq,
                                 .created = modseq,
                                 .counted = modseq,
                                 .flags = fields.has_attachment ? EMAIL_ATTACHED : 0,
                                 .n_places = 1,
                                 .places = {{box_of(a, 0), modseq, false}}};
    }
    record_message_pack(&w->pack, &message);
    keep(w, RECORD_MESSAGE, number);
}

static void walk_email(struct walk *w)
{
    struct model *m = &w->model;
    unsigned a = any(w, ACCOUNTS), number = 1 + any(w, w->last_message + 1);
    struct record_place places[PLACES];
    if (number >= MESSAGES)
        return;
    struct model_email *e = &m->emails[a][number];
    struct record_email put = {.account = person_of(a),
                               .message = number,
                               .modseq = ++m->modseq[a],
                               .counted = any(w, 2) ? m->modseq[a] : 1,
                               .flags = any(w, 1 << 20),
                               .is_gone = any(w, 3) == 0,
                               .places = places,
                               .n_places = 1 + any(w, PLACES)};
    for (unsigned k = 0; k < put.n_places; k++)
        places[k] = (struct record_place){.mailbox = box_of(a, any(w, BOXES)),
                                          .uid = (uint32_t)put.modseq,
                                          .modseq = put.modseq,
                                          .is_gone = put.is_gone || (k && any(w, 2))};
    struct record_emails list = {.emails = &put, .n_emails = 1};
    record_emails_pack(&w->pack, &list);
    keep(w, RECORD_EMAIL, number);
    if (!m->has_message[number]) {
        m->modseq[a]--; /* it is nobody's */
        return;
    }
    bool is_late = m->is_dropped[number] && !put.is_gone;
    struct model_email old = *e;
    *e = (struct model_email){.is_there = true,
                              .is_gone = put.is_gone || is_late,
                              .modseq = put.modseq,
                              .created = old.is_there ? old.created : put.modseq,
                              .counted = put.counted,
                              .flags = (put.flags & EMAIL_KEYWORD_BITS) | old.flags >> 16 << 16,
                              .n_places = put.n_places};
    for (unsigned k = 0; k < put.n_places; k++)
        e->places[k] =
            (struct model_place){places[k].mailbox, put.modseq, places[k].is_gone || is_late};
}

static void walk_blob(struct walk *w)
{
    struct model *m = &w->model;
    unsigned a = any(w, ACCOUNTS), number = 1 + any(w, w->last_message + 1);
    if (number >= MESSAGES || !m->has_message[number] || m->is_dropped[number])
        return;
    m->has_blob[a][number] = any(w, 2);
    struct record_item item = {.account = person_of(a),
                               .kind = ITEM_BLOB,
                               .id = number,
                               .modseq = ++m->modseq[a],
                               .is_gone = !m->has_blob[a][number]};
    struct record_items list = {.items = &item, .n_items = 1};
    record_items_pack(&w->pack, &list);
    keep(w, RECORD_ITEM, number);
}

static void walk_dropped(struct walk *w)
{
    unsigned number = 1 + any(w, w->last_message + 1);
    struct record_id one = {.id = number};
    struct record_ids ids = {.ids = &one, .n_ids = 1};
    if (number >= MESSAGES)
        return;
    record_ids_pack(&w->pack, &ids);
    keep(w, RECORD_DROPPED, 0);
    w->model.is_dropped[number] |=
        w->model.has_message[number] && model_holders(&w->model, number) == 0;
}

static void walk_purged(struct walk *w)
{
    struct model *m = &w->model;
    unsigned a = any(w, ACCOUNTS);
    struct record_purged purged = {.account = person_of(a),
                                   .floor = any(w, (unsigned)m->modseq[a] + 1)};
    purged.mark = any(w, 2) ? m->modseq[a] : 0;
    struct record_purges list = {&purged, 1};
    record_purges_pack(&w->pack, &list);
    keep(w, RECORD_PURGED, 0);
    if (purged.floor > m->floor[a])
        m->floor[a] = purged.floor;
    for (unsigned i = 0; i < MESSAGES; i++)
        if (m->emails[a][i].is_gone && m->emails[a][i].modseq <= purged.floor)
            m->emails[a][i] = (struct model_email){};
}

static void walk_one(struct walk *w)
{
    unsigned which = any(w, 100);
    if (which < 30)
        walk_delivery(w);
    else if (which < 75)
        walk_email(w);
    else if (which < 85)
        walk_blob(w);
    else if (which < 95)
        walk_dropped(w);
    else if (which < 97)
        walk_purged(w);
    else
        walk_mailbox(w, any(w, ACCOUNTS), 1 + any(w, BOXES - 1), any(w, 2));
}

static void walk_begin(struct walk *w, uint64_t seed)
{
    *w = (struct walk){.state = seed};
    w->arena = arena_create(16 << 20);
    w->pack = buf_make(1 << 20);
    for (unsigned a = 0; a < ACCOUNTS; a++)
        for (unsigned box = 0; box < BOXES; box++)
            walk_mailbox(w, a, box, false);
}

static void walk_finish(struct walk *w)
{
    arena_destroy(&w->arena);
    buf_finish(&w->pack);
}

/* ---- comparing ---- */

struct seen {
    const struct model *model;
    unsigned account;
    uint64_t since;
    bool is_told[MESSAGES];
};

static bool compare(void *arg, const struct store_email *e)
{
    struct seen *s = arg;
    assert_true(e->message < MESSAGES);
    const struct model_email *m = &s->model->emails[s->account][e->message];
    assert_true(m->is_there);
    assert_false(s->is_told[e->message]);
    s->is_told[e->message] = true;
    assert_true(e->modseq > s->since);
    assert_int_equal(e->modseq, m->modseq);
    assert_int_equal(e->created, m->created);
    assert_int_equal(e->counted, m->counted);
    assert_int_equal(e->flags & EMAIL_KEYWORD_BITS, m->flags & EMAIL_KEYWORD_BITS);
    assert_int_equal(e->bytes, e->message);
    assert_int_equal(e->is_gone, m->is_gone);
    assert_int_equal(e->list.n_places, m->n_places);
    for (unsigned k = 0; k < m->n_places; k++) {
        assert_int_equal(e->list.places[k].mailbox, m->places[k].mailbox);
        assert_int_equal(e->list.places[k].modseq, m->places[k].modseq);
        assert_int_equal(e->list.places[k].is_gone, m->places[k].is_gone);
    }
    return true;
}

static void compare_since(struct world *w, const struct model *m, unsigned a, uint64_t since)
{
    struct seen s = {.model = m, .account = a, .since = since};
    ok(w, store_each_email(w->r, person_of(a), since, compare, &s, &w->ei));
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(s.is_told[i], m->emails[a][i].is_there && m->emails[a][i].modseq > since);
}

static void compare_all(struct world *w, struct walk *walk)
{
    const struct model *m = &walk->model;
    for (unsigned a = 0; a < ACCOUNTS; a++) {
        struct store_account account;
        ok(w, store_get_account(w->r, person_of(a), &account, &w->ei));
        assert_int_equal(account.modseq, m->modseq[a]);
        assert_int_equal(account.floor, m->floor[a]);
        assert_int_equal(account.inbox, box_of(a, 0));
        compare_since(w, m, a, 0);
        for (int i = 0; i < 4; i++)
            compare_since(w, m, a, 1 + any(walk, (unsigned)m->modseq[a]));
    }
    for (unsigned i = 1; i < MESSAGES; i++) {
        struct store_message message;
        arena_reset(w->arena);
        enum err err = store_get_message(w->r, i, w->arena, &message, &w->ei);
        assert_int_equal(err, m->has_message[i] ? ERR_OK : ERR_GONE);
        if (err == ERR_OK)
            assert_int_equal(message.is_dropped, m->is_dropped[i]);
    }
    world_check(w);
}

static void apply_step(struct world *w, const struct step *step, uint64_t pos)
{
    struct index_record r = {
        .type = step->type, .id = step->id, .pos = pos, .facts = step->facts, .body_bytes = 10};
    ok(w, index_apply(w->x, &r, &w->ei));
}

/* Steps from..to, in transactions of up to `most`. */
static void apply_steps(struct world *w, const struct walk *walk, size_t to, size_t most)
{
    while (index_applied(w->x) / WORLD_STEP < to) {
        size_t from = (size_t)(index_applied(w->x) / WORLD_STEP);
        size_t end = from + most < to ? from + most : to;
        ok(w, index_begin(w->x, &w->ei));
        for (size_t i = from; i < end; i++)
            apply_step(w, &walk->steps[i], (i + 1) * WORLD_STEP);
        ok(w, index_commit(w->x, end * WORLD_STEP, &w->ei));
    }
}

static struct walk walk;

static void accounts_are_what_a_plain_model_says(void **)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        SCOPED(world_finish) struct world w = world_make();
        SCOPED(world_finish) struct world again = world_make();
        walk_begin(&walk, seed);
        while (walk.n < STEPS) {
            walk_one(&walk);
            if (walk.n % 100 != 0)
                continue;
            apply_steps(&w, &walk, walk.n, 1 + (size_t)seed * 7);
            compare_all(&w, &walk);
        }
        apply_steps(&w, &walk, walk.n, 1000);
        compare_all(&w, &walk);
        apply_steps(&again, &walk, walk.n, 333);
        SCOPED(buf_finish) struct buf one = world_dump(&w);
        SCOPED(buf_finish) struct buf other = world_dump(&again);
        assert_true(one.n > 50000);
        assert_true(slice_eq(buf_slice(&one), buf_slice(&other)));
        assert_int_equal(world_number(&w, "SELECT count(*) > 20 FROM email WHERE NOT is_changed"),
                         1);
        walk_finish(&walk);
    }
}

/* ---- killed in the middle ---- */

_Noreturn static void run_until_killed(const char *path, int ready)
{
    static struct world w;
    if (index_open(path, &w.x, &w.ei) != ERR_OK)
        _exit(1);
    (void)!write(ready, "x", 1);
    for (size_t most = 1;; most = most % 20 + 1) {
        size_t from = (size_t)(index_applied(w.x) / WORLD_STEP);
        if (from + most > walk.n)
            _exit(0);
        if (index_begin(w.x, &w.ei) != ERR_OK)
            _exit(1);
        for (size_t i = from; i < from + most; i++)
            apply_step(&w, &walk.steps[i], (i + 1) * WORLD_STEP);
        if (index_commit(w.x, (from + most) * WORLD_STEP, &w.ei) != ERR_OK)
            _exit(1);
    }
}

static void run_child(struct world *w, unsigned delay_us)
{
    int ends[2], status = 0;
    char byte;
    index_close(&w->x);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_until_killed(w->path, ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    (void)usleep(delay_us);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    ok(w, index_open(w->path, &w->x, &w->ei));
}

static void an_index_that_is_killed_again_and_again_comes_out_the_same(void **)
{
    SCOPED(world_finish) struct world killed = world_make();
    SCOPED(world_finish) struct world whole = world_make();
    walk_begin(&walk, 99);
    while (walk.n < STEPS)
        walk_one(&walk);
    for (unsigned round = 0; round < 8; round++) {
        run_child(&killed, 500 + round * 700);
        world_check(&killed);
    }
    apply_steps(&killed, &walk, walk.n, 100);
    apply_steps(&whole, &walk, walk.n, STEPS);
    SCOPED(buf_finish) struct buf one = world_dump(&killed);
    SCOPED(buf_finish) struct buf other = world_dump(&whole);
    assert_true(slice_eq(buf_slice(&one), buf_slice(&other)));
    compare_all(&killed, &walk);
    walk_finish(&walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_are_what_a_plain_model_says),
        cmocka_unit_test(an_index_that_is_killed_again_and_again_comes_out_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
