/* What people did in their continuity mailboxes goes into the primary's: whose turn it is, and
 * whether anything may go at all. One mailbox of a primary at a time, the essential ones first;
 * what fails has to wait longer each time. */
#include "desk/desk_mailback_int.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    AT_ONCE = 8,     /* mailboxes, over all primaries */
    ASKED_MOST = 16, /* looks that people wait for */
    WALK_RETURNING_SECONDS = 10,
    WALK_STANDBY_SECONDS = 60,
    PAUSE_MOST_SECONDS = 300,
    BOX_PAUSE_SECONDS = 5,
    BOX_PAUSE_MOST_SECONDS = 1800,
    OURS_PAUSE_SECONDS = 2,
};

/* ---- boxes and people ---- */

struct mailback_box *desk_mailback_box(struct desk *d, uint64_t person)
{
    struct mailback_box *box = map_get(d->mailbacks->boxes, KEY(person));
    if (box)
        return box;
    box = mem_new(sizeof(*box));
    box->person = person;
    map_put(d->mailbacks->boxes, KEY(person), box);
    return box;
}

uint64_t desk_mailback_primary_of(struct desk *d, const struct directory_person *p)
{
    if (p->facts.primary || p->facts.n_addresses == 0)
        return p->facts.primary;
    const struct directory_domain *domain =
        directory_domain(d->directory, desk_domain_of(p->facts.addresses[0].text));
    return domain ? domain->facts.primary : 0;
}

static bool has_open_left(const struct mailback_box *box)
{
    for (uint32_t i = 0; i < box->n_left; i++)
        if (mailback_is_open(box->left[i].why))
            return true;
    return false;
}

static bool is_due(struct desk *d, uint64_t person, mono_us now)
{
    const struct directory_person *p = directory_person(d->directory, person);
    const struct desk_account *account = desk_account(d, person);
    const struct mailback_box *box = map_get(d->mailbacks->boxes, KEY(person));
    if (!p || !p->facts.is_covered || !account)
        return false;
    if (!box)
        return account->modseq > 0;
    return now >= box->next && (account->modseq > box->looked.modseq || box->is_wanted ||
                                box->is_unkept || has_open_left(box));
}

/* ---- may anything go? ---- */

static bool can_be_opened(struct desk *d, uint64_t primary, uint64_t person)
{
    const struct directory_access *access = directory_access(d->directory, primary);
    const struct directory_tokens *tokens = directory_tokens(d->directory, primary);
    if (!access || access->facts.n_hosts == 0)
        return false;
    return directory_mail_login(d->directory, person) ||
           directory_opens_all(&access->facts, tokens ? &tokens->facts : NULL);
}

/* NULL: its mailboxes may be looked into. */
static const char *why_no_look(struct desk *d, uint64_t primary)
{
    const struct directory_access *access = directory_access(d->directory, primary);
    const struct desk_primary *p = desk_primary(d, primary);
    if (!p)
        return "the mail system was removed";
    if (!access || access->facts.n_hosts == 0)
        return "nobody said how its mailboxes are opened: staffetta access set --host "
               "--master-user --master-secret";
    if (p->p.is_isolated)
        return "it is isolated after an attack: nothing is given to it until it is declared clean";
    return NULL;
}

const char *desk_mailback_why_not(struct desk *d, uint64_t primary)
{
    const char *why = why_no_look(d, primary);
    const struct desk_primary *p = desk_primary(d, primary);
    if (why)
        return why;
    if (p->p.is_paused)
        return "giving back is paused: staffetta state resume";
    if (p->p.state != STATE_RETURNING && p->p.state != STATE_STANDBY)
        return "it is not given back to at the moment";
    if (d->control.is_blind)
        return "this node sees nothing outside";
    if (continuity_way(&p->p) == WAY_CLOSED)
        return "it may lose what it takes: a canary was lost";
    return NULL;
}

struct mailback_done desk_mailback_done(struct desk *d, uint64_t person)
{
    const struct directory_person *p = directory_person(d->directory, person);
    const struct mailback_box *box = map_get(d->mailbacks->boxes, KEY(person));
    uint64_t primary = p ? desk_mailback_primary_of(d, p) : 0;
    const struct desk_primary *state = primary ? desk_primary(d, primary) : NULL;
    struct mailback_done done = {.is_calm = true, .is_hosted = p && !primary};
    if (!state || !p->facts.is_covered)
        return done;
    done.is_calm = state->p.state == STATE_STANDBY && !state->p.is_isolated;
    done.is_wanted = can_be_opened(d, primary, person);
    if (done.is_wanted && box) {
        done.upto = box->looked.modseq;
        done.left = box->left;
        done.n_left = box->n_left;
    }
    return done;
}

/* ---- whose turn it is ---- */

static struct mailback_line *line_of(struct desk *d, uint64_t primary)
{
    struct mailback_line *line = map_get(d->mailbacks->lines, KEY(primary));
    if (line)
        return line;
    line = mem_new(sizeof(*line));
    line->primary = primary;
    map_put(d->mailbacks->lines, KEY(primary), line);
    return line;
}

static struct desk *sorting; /* loop thread only */

static int rank(uint64_t person)
{
    const struct directory_person *p = directory_person(sorting->directory, person);
    const struct mailback_box *box = map_get(sorting->mailbacks->boxes, KEY(person));
    return box && box->is_wanted ? 0 : p && p->facts.is_essential ? 1 : 2;
}

static int by_rank(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    int order = rank(a) - rank(b);
    return order ? order : a < b ? -1 : a > b;
}

static void walk(struct desk *d, struct mailback_line *line, mono_us now)
{
    const struct directory_person *p;
    size_t at = 0;
    line->n_todo = line->at = 0;
    while ((p = directory_next_person(d->directory, &at))) {
        if (!is_due(d, p->id, now) || desk_mailback_primary_of(d, p) != line->primary ||
            !desk_server_is_known(d, line->primary, p))
            continue;
        if (line->n_todo == line->cap_todo) {
            line->cap_todo = line->cap_todo ? 2 * line->cap_todo : 64;
            line->todo = mem_resize(line->todo, line->cap_todo * sizeof(*line->todo));
        }
        line->todo[line->n_todo++] = p->id;
    }
    sorting = d;
    if (line->n_todo > 0)
        qsort(line->todo, line->n_todo, sizeof(*line->todo), by_rank);
}

static void line_over(struct giving *g, const char *failed);

static bool begin_next(struct desk *d, struct mailback_line *line, mono_us now)
{
    for (; line->at < line->n_todo; line->at++) {
        uint64_t person = line->todo[line->at];
        if (!is_due(d, person, now))
            continue;
        line->now = desk_giving_begin(d, GIVING_CHANGES, person, line->primary);
        line->now->over = line_over;
        return true;
    }
    return false;
}

static unsigned n_running(const struct desk *d)
{
    size_t at = 0;
    void *value;
    unsigned n = 0;
    while (map_next(d->mailbacks->lines, &at, NULL, &value))
        n += ((const struct mailback_line *)value)->now != NULL;
    return n;
}

/* Once for each giving back, when nothing more is to be done. */
static void tell(struct desk *d, struct mailback_line *line)
{
    const struct directory_primary *p = directory_primary(d->directory, line->primary);
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    if (line->n_given == 0 || line->told == line->round || !p)
        return;
    line->told = line->round;
    buf_addf(&text,
             "What people did in their mailboxes here is in their mailboxes over there: %llu "
             "changes were given back. What could not be is in the statement, and mailbox by "
             "mailbox in `staffetta mailbox show`.",
             (unsigned long long)line->n_given);
    desk_event(d, EVENT_NOTICE, "primary.mailboxes", p->tenant, p->facts.name, buf_slice(&text),
               SLICE("core"));
}

static void go_on(struct desk *d, struct mailback_line *line, mono_us now)
{
    const struct desk_primary *p = desk_primary(d, line->primary);
    if (d->is_stopping || line->now || now < line->next ||
        desk_mailback_why_not(d, line->primary) || n_running(d) >= AT_ONCE)
        return;
    if (begin_next(d, line, now) || now < line->next_walk)
        return;
    line->next_walk = now + SECONDS(p->p.state == STATE_RETURNING ? WALK_RETURNING_SECONDS
                                                                  : WALK_STANDBY_SECONDS);
    walk(d, line, now);
    if (!begin_next(d, line, now) && p->p.state == STATE_STANDBY)
        tell(d, line);
}

static mono_us pause(unsigned n, unsigned first, unsigned most)
{
    mono_us seconds = first;
    while (n-- > 1 && seconds < most)
        seconds *= 2;
    return SECONDS(seconds < most ? seconds : most);
}

static void note_failure(struct mailback_line *line, struct mailback_box *box,
                         const struct giving *g, const char *failed)
{
    mono_us now = mono_now();
    line->n_failed++;
    line->next = now + (g->is_ours ? SECONDS(OURS_PAUSE_SECONDS)
                                   : pause(line->n_failed, 1, PAUSE_MOST_SECONDS));
    snprintf(box->text, sizeof(box->text), "%s", failed);
    if (g->is_ours)
        return; /* says nothing about this mailbox */
    box->n_failed++;
    box->next = now + pause(box->n_failed, BOX_PAUSE_SECONDS, BOX_PAUSE_MOST_SECONDS);
    line->at++;
}

static void line_over(struct giving *g, const char *failed)
{
    struct desk *d = g->desk;
    struct mailback_line *line = line_of(d, g->primary);
    struct mailback_box *box = desk_mailback_box(d, g->person);
    line->now = NULL;
    if (failed) {
        note_failure(line, box, g, failed);
    } else {
        line->n_failed = box->n_failed = 0;
        box->text[0] = '\0';
        line->n_given += g->n_ops;
        box->is_going_on = g->has_more;
        if (!g->has_more) {
            box->is_wanted &= !g->is_all_left;
            line->at++;
        }
    }
    desk_giving_destroy(g);
    go_on(d, line, mono_now());
}

void desk_mailback_tick(struct desk *d, mono_us now)
{
    const struct directory_primary *p;
    size_t at = 0;
    desk_giving_tick(d, now);
    desk_append_tick(d, now);
    while ((p = directory_next_primary(d->directory, &at))) {
        struct mailback_line *line = line_of(d, p->id);
        go_on(d, line, now);
    }
}

void desk_mailback_round(struct desk *d, uint64_t primary, utc_ms begun, bool is_new)
{
    struct mailback_line *line = line_of(d, primary);
    if (begun <= line->round)
        return;
    line->round = begun;
    line->told = is_new ? 0 : begun;
    line->n_given = 0;
    line->next = line->next_walk = 0;
}

void desk_mailback_soon(struct desk *d, uint64_t account)
{
    const struct directory_person *p = directory_person(d->directory, account);
    uint64_t primary = p ? desk_mailback_primary_of(d, p) : 0;
    struct mailback_line *line = primary ? line_of(d, primary) : NULL;
    mono_us soon = mono_now() + SECONDS(WALK_RETURNING_SECONDS);
    if (line && line->next_walk > soon)
        line->next_walk = soon;
}

static void try_at_once(struct mailback_line *line)
{
    line->next = line->next_walk = 0;
    line->n_failed = 0;
    line->n_todo = line->at = 0;
}

void desk_mailback_apply(struct desk *d, const struct record_object *o)
{
    bool is_person = o->kind == OBJECT_MAILLOGIN;
    const struct directory_person *p = is_person ? directory_person(d->directory, o->id) : NULL;
    uint64_t primary = p ? desk_mailback_primary_of(d, p) : o->id;
    size_t at = 0;
    void *value;
    if ((!is_person && o->kind != OBJECT_ACCESS && o->kind != OBJECT_TOKENS) || (is_person && !p) ||
        slice_eq(o->by, DESK_TOKEN_GIVER))
        return;
    while (map_next(d->mailbacks->boxes, &at, NULL, &value)) {
        struct mailback_box *box = value;
        const struct directory_person *of = directory_person(d->directory, box->person);
        if (!of || (is_person ? of != p : desk_mailback_primary_of(d, of) != primary))
            continue;
        box->next = 0;
        box->n_failed = 0;
    }
    if (primary)
        try_at_once(line_of(d, primary));
}

/* ---- what people ask ---- */

struct admin_mailback_waiter {
    unsigned n_tries;
    void (*done)(void *cookie, enum err err, const struct admin_mailback *told, const char *why);
    void *cookie;
};

static const char *why_name(enum mailback_why why)
{
    static const char *const names[MAILBACK_WHYS] = {
        [MAILBACK_NOT] = "waiting",         [MAILBACK_WAITS] = "delivery",
        [MAILBACK_LATER] = "later",         [MAILBACK_ABSENT] = "absent",
        [MAILBACK_AMBIGUOUS] = "ambiguous", [MAILBACK_REFUSED] = "refused"};
    return names[why];
}

static const char *what_name(const struct ipc_mailbox_op *op)
{
    if (op->what == IPC_OP_APPEND)
        return "add";
    switch ((enum ipc_fate)op->fate) {
    case IPC_FATE_MOVE:
        return "move";
    case IPC_FATE_TRASH:
    case IPC_FATE_EXPUNGE:
        return "delete";
    case IPC_FATE_STAY:
        break;
    }
    return "flags";
}

static void count(struct admin_mailback *t, enum mailback_why why)
{
    t->n_waiting += why == MAILBACK_NOT || why == MAILBACK_WAITS || why == MAILBACK_LATER;
    t->n_absent += why == MAILBACK_ABSENT;
    t->n_ambiguous += why == MAILBACK_AMBIGUOUS;
    t->n_refused += why == MAILBACK_REFUSED;
}

static size_t list_changes(const struct giving *g, struct admin_mailback *t,
                           struct admin_mailback_change *list)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct mailback_change *c = &g->changes[i];
        bool is_asked = c->verdict == MAILBACK_DO && g->what == GIVING_DRY;
        if (c->verdict == MAILBACK_NOTHING)
            continue;
        count(t, c->why);
        list[n++] = (struct admin_mailback_change){
            .message = c->message,
            .what = c->verdict == MAILBACK_DO ? what_name(&c->op) : "none",
            .result = is_asked ? ipc_op_result_name(c->result) : why_name(c->why),
            .subject = c->subject,
            .folder = c->folder,
            .text = c->text};
    }
    return n;
}

/* What is left for good is not looked at anew. */
static size_t list_left(const struct giving *g, struct admin_mailback *t,
                        struct admin_mailback_change *list)
{
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_left; i++) {
        const struct mailback_left *left = &g->left[i];
        if (mailback_is_open(left->why))
            continue;
        count(t, left->why);
        list[n++] = (struct admin_mailback_change){.message = left->message,
                                                   .what = "none",
                                                   .result = why_name(left->why),
                                                   .text = slice_str(left->text)};
    }
    return n;
}

/* A batch ended meanwhile: what is told would be of two moments. */
static bool ask_again(struct giving *g)
{
    enum { TRIES = 3 };
    struct desk *d = g->desk;
    struct admin_mailback_waiter *w = g->waiter;
    if (g->what != GIVING_LOOK || d->is_stopping || ++w->n_tries == TRIES ||
        desk_mailback_box(d, g->person)->n_settled == g->n_settled)
        return false;
    struct giving *anew = desk_giving_begin(d, g->what, g->person, g->primary);
    anew->over = g->over;
    anew->waiter = w;
    desk_giving_destroy(g);
    return true;
}

/* NULL: there is a log-in for that mailbox. */
static const char *why_closed(struct desk *d, uint64_t primary, uint64_t person)
{
    const struct directory_person *p = directory_person(d->directory, person);
    return desk_server_is_known(d, primary, p) ? NULL : DESK_NO_LOGIN;
}

static void asked_over(struct giving *g, const char *failed)
{
    if (!failed && ask_again(g))
        return;
    struct desk *d = g->desk;
    const struct mailback_box *box = desk_mailback_box(d, g->person);
    const char *why_not = desk_mailback_why_not(d, g->primary);
    const char *closed = why_closed(d, g->primary, g->person);
    struct admin_mailback_waiter *w = g->waiter;
    struct admin_mailback t = {.is_more = g->has_more,
                               .is_dry = g->what == GIVING_DRY,
                               .time = box->time,
                               .n_done = box->n_done,
                               .n_already = box->n_already,
                               .n_doubtful = box->n_doubtful,
                               .n_refused = box->n_unlisted};
    d->mailbacks->n_asked--;
    if (failed) {
        w->done(w->cookie, ERR_RETRY, NULL, failed);
    } else {
        t.changes = arena_new(g->arena, (g->n + g->n_left + 1) * sizeof(*t.changes));
        t.n_changes = list_left(g, &t, t.changes);
        t.n_changes += list_changes(g, &t, t.changes + t.n_changes);
        if (t.n_waiting > 0)
            t.text = why_not ? why_not : closed ? closed : box->text;
        w->done(w->cookie, ERR_OK, &t, "");
    }
    mem_free(&w);
    desk_giving_destroy(g);
}

static void want(struct desk *d, uint64_t person, uint64_t primary)
{
    struct mailback_box *box = desk_mailback_box(d, person);
    struct mailback_line *line = line_of(d, primary);
    box->is_wanted = true;
    box->next = 0;
    try_at_once(line);
}

void desk_mailback(void *arg, const struct admin_mailback_order *o,
                   void (*done)(void *cookie, enum err err, const struct admin_mailback *told,
                                const char *why),
                   void *cookie)
{
    struct desk *d = arg;
    const struct directory_person *p = directory_person(d->directory, o->person);
    uint64_t primary = p ? desk_mailback_primary_of(d, p) : 0;
    const char *why_not = !primary                         ? NULL
                          : o->what == ADMIN_MAILBACK_SHOW ? NULL
                          : o->what == ADMIN_MAILBACK_DRY  ? why_no_look(d, primary)
                                                           : desk_mailback_why_not(d, primary);
    if (primary && !why_not && o->what != ADMIN_MAILBACK_SHOW)
        why_not = why_closed(d, primary, p->id);
    if (!p || !primary || !p->facts.is_covered || !desk_account(d, o->person)) {
        done(cookie, ERR_GONE, NULL, "this person has no mailbox here that is given back");
        return;
    }
    if (d->mailbacks->n_asked >= ASKED_MOST) {
        done(cookie, ERR_LIMIT, NULL, "others ask the same at the moment; try again");
        return;
    }
    if (why_not) {
        done(cookie, ERR_CONFLICT, NULL, why_not);
        return;
    }
    struct giving *g = desk_giving_begin(
        d, o->what == ADMIN_MAILBACK_DRY ? GIVING_DRY : GIVING_LOOK, o->person, primary);
    g->over = asked_over;
    g->waiter = mem_new(sizeof(*g->waiter));
    *g->waiter = (struct admin_mailback_waiter){.done = done, .cookie = cookie};
    d->mailbacks->n_asked++;
    if (o->what != ADMIN_MAILBACK_RETURN)
        return;
    want(d, o->person, primary);
    desk_event(d, EVENT_INFO, "mailbox.return", p->tenant, p->facts.addresses[0].text, o->why,
               o->by);
}

/* ---- life ---- */

void desk_mailback_create(struct desk *d)
{
    d->mailbacks = mem_new(sizeof(*d->mailbacks));
    *d->mailbacks = (struct desk_mailbacks){.lines = map_create(),
                                            .boxes = map_create(),
                                            .givings = map_create(),
                                            .appends = map_create(),
                                            .lost = mono_now()};
}

void desk_mailback_clear(struct desk *d)
{
    struct desk_mailbacks *m = d->mailbacks;
    size_t at = 0;
    void *value;
    while (map_next(m->givings, &at, NULL, &value)) {
        struct giving *g = value;
        mem_free(&g->waiter);
        desk_giving_destroy(g);
    }
    for (at = 0; map_next(m->boxes, &at, NULL, &value);) {
        struct mailback_box *box = value;
        mem_free(&box->left);
        mem_free(&box);
    }
    for (at = 0; map_next(m->lines, &at, NULL, &value);) {
        struct mailback_line *line = value;
        mem_free(&line->todo);
        mem_free(&line);
    }
    desk_append_clear(d);
    map_destroy(&m->givings);
    map_destroy(&m->boxes);
    map_destroy(&m->lines);
    mem_free(&d->mailbacks);
}
