/* People's ways to log in: read at start, written when they change. A change counts when it is
 * durable; those of one person take turns, since each is decided on the one before. */
#include "desk/desk_account_int.h"
#include "desk/desk_login_int.h"

#include "store/store_account.h"

#include <stdio.h>
#include <stdlib.h>

enum { WRITES_MAX = 1000, LOOK_SECONDS = 600, GUESSED_OVER_MS = 24 * 3600 * 1000 };

struct writing {
    struct list node;
    struct desk *desk;
    struct login_change change;
    struct store_change store;
    struct buf facts;
    bool is_under_way;
    enum err err;
    struct errinfo why;
    desk_login_written_fn *done;
    void *cookie;
};

static void next_writes(struct desk *d);

/* ---- life ---- */

static void post_from_pool(void *arg, void (*fn)(void *), void *fn_arg)
{
    desk_post(arg, fn, fn_arg);
}

void desk_logins_create(struct desk *d)
{
    struct desk_logins *l = mem_new(sizeof(*l));
    l->login = login_create();
    l->pool = login_pool_create(post_from_pool, d);
    l->busy = map_create();
    list_init(&l->writes);
    d->logins = l;
}

static bool load_one(void *arg, const struct record_item *item)
{
    struct desk *d = arg;
    struct errinfo ei;
    if (login_load(d->logins->login, item, &ei) != ERR_OK)
        log_event(EV_STORE_TROUBLE, "what=\"how a person logs in\" person=%llx why=%s",
                  (unsigned long long)item->account, log_text(slice_str(ei.text)));
    return true;
}

enum err desk_logins_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    return store_each_item(reader, 0, ITEM_LOGIN, load_one, d, ei);
}

void desk_logins_stop(struct desk *d)
{
    login_pool_destroy(&d->logins->pool);
}

/* ---- one change ---- */

static void writing_tell(struct writing *w)
{
    struct desk_logins *l = w->desk->logins;
    list_remove(&w->node);
    l->n_writes--;
    if (w->done)
        w->done(w->cookie, w->err, w->err == ERR_OK ? "" : w->why.text);
    else if (w->err != ERR_OK && w->err != ERR_CANCELED)
        log_event(EV_STORE_TROUBLE, "what=\"when people logged in\" why=%s",
                  log_text(slice_str(w->why.text)));
    buf_finish(&w->facts);
    login_wipe(w, sizeof(*w));
    mem_free(&w);
}

static void writing_ended(void *arg)
{
    struct writing *w = arg;
    struct desk *d = w->desk;
    map_del(d->logins->busy, KEY(w->change.person));
    if (w->err == ERR_OK)
        login_apply(d->logins->login, &w->change);
    writing_tell(w);
    next_writes(d);
}

static void written(struct store_change *change, enum err err, const struct errinfo *ei)
{
    struct writing *w = change->arg;
    w->err = err;
    if (err != ERR_OK)
        w->why = *ei;
    desk_post(w->desk, writing_ended, w);
}

/* Packs what her item says after the change. */
static enum err prepare(struct writing *w)
{
    struct desk *d = w->desk;
    SCOPED(buf_finish) struct buf body = buf_make(LOGIN_BODY_MAX);
    enum err err = login_propose(d->logins->login, &w->change, &body, &w->why);
    if (err != ERR_OK)
        return err;
    must(!body.failed); /* a full item fits: a test of the room says so */
    struct record_item item = {.account = w->change.person,
                               .kind = ITEM_LOGIN,
                               .id = LOGIN_ITEM,
                               .modseq = desk_account_next(d, w->change.person),
                               .body = buf_slice(&body)};
    struct record_items items = {&item, 1};
    item.created = item.modseq;
    if (item.modseq == 0)
        return err_set(&w->why, ERR_GONE, "this person has no mailbox here");
    record_items_pack(&w->facts, &items);
    must(!w->facts.failed);
    return ERR_OK;
}

static void begin(struct writing *w)
{
    struct desk *d = w->desk;
    w->is_under_way = true;
    map_put(d->logins->busy, KEY(w->change.person), w);
    w->err = prepare(w);
    if (w->err != ERR_OK) {
        desk_post(d, writing_ended, w); /* not within the caller's call */
        return;
    }
    w->store = (struct store_change){.type = RECORD_ITEM,
                                     .is_lazy = w->change.what == LOGIN_NOTE,
                                     .facts = buf_slice(&w->facts),
                                     .done = written,
                                     .arg = w};
    store_submit(d->store, &w->store);
}

static void next_writes(struct desk *d)
{
    LIST_FOREACH (node, &d->logins->writes) {
        struct writing *w = container_of(node, struct writing, node);
        if (!w->is_under_way && !map_get(d->logins->busy, KEY(w->change.person)))
            begin(w);
    }
}

void desk_login_change(struct desk *d, const struct login_change *c, desk_login_written_fn *done,
                       void *cookie)
{
    if (d->logins->n_writes >= WRITES_MAX) {
        if (done)
            done(cookie, ERR_RETRY, "too many people log in at this moment");
        return;
    }
    struct writing *w = mem_new(sizeof(*w));
    w->desk = d;
    w->change = *c;
    w->facts = buf_make(2 * LOGIN_BODY_MAX);
    w->done = done;
    w->cookie = cookie;
    list_append(&d->logins->writes, &w->node);
    d->logins->n_writes++;
    next_writes(d);
}

void desk_login_note(struct desk *d, uint64_t person)
{
    struct login_change c = {.what = LOGIN_NOTE, .person = person, .now = utc_now()};
    if (person)
        desk_login_change(d, &c, NULL, NULL);
}

void desk_logins_destroy(struct desk *d)
{
    struct desk_logins *l = d->logins;
    while (!list_empty(&l->writes)) {
        struct writing *w = container_of(l->writes.next, struct writing, node);
        w->err = err_set(&w->why, ERR_CANCELED, "stopping");
        writing_tell(w);
    }
    login_destroy(&l->login);
    map_destroy(&l->busy);
    mem_free(&d->logins);
}

/* ---- what others learn ---- */

static void key_of(uint64_t person, char ret[40])
{
    (void)snprintf(ret, 40, "login/%llx", (unsigned long long)person);
}

static void report(struct desk *d, const struct directory_person *p, bool is_over)
{
    char key[40];
    key_of(p->id, key);
    struct desk_report r = {
        .tenant = p->tenant,
        .key = slice_str(key),
        .class = is_over ? EVENT_INFO : EVENT_NOTICE,
        .name = is_over ? "login.quiet" : "login.guessed",
        .subject = p->facts.addresses[0].text,
        .happened = is_over ? SLICE("Nobody guessed at the password of this person for a day.")
                            : SLICE("Somebody tries one password or code after the other to log in "
                                    "as this person."),
        .did = is_over ? SLICE("")
                       : SLICE("Each further try from there has to wait, and longer each time. She "
                               "herself logs in as usual where she did lately, and everywhere "
                               "with a code."),
        .can = is_over ? SLICE("")
                       : SLICE("If her password is a weak one, set another: `staffetta person "
                               "password`. If she stands at a new place and has to wait, print a "
                               "code for her: `staffetta person code`."),
        .by = SLICE("login"),
        .is_over = is_over};
    desk_report(d, &r);
}

void desk_login_guessed(struct desk *d, uint64_t person)
{
    const struct directory_person *p = directory_person(d->directory, person);
    if (p)
        report(d, p, false);
}

/* Of which person is this incident? 0: of none. */
static uint64_t person_of_key(struct slice key)
{
    char text[40], *end = NULL;
    struct slice hex = slice_skip(key, strlen("login/"));
    if (!slice_starts(key, SLICE("login/")) || hex.n == 0 || hex.n >= sizeof(text))
        return 0;
    memcpy(text, hex.p, hex.n);
    text[hex.n] = '\0';
    uint64_t person = strtoull(text, &end, 16);
    return *end ? 0 : person;
}

/* The first one that is over; the book changes with it. */
static const struct directory_person *find_over(struct desk *d, utc_ms now)
{
    const struct alert_incident *i;
    size_t at = 0;
    while ((i = alert_next_incident(desk_book(d), &at))) {
        uint64_t person = i->body.closed ? 0 : person_of_key(i->body.key);
        uint32_t n = i->body.n_updates;
        utc_ms last = n > 0 ? i->body.updates[n - 1].time : i->body.opened;
        if (person && last + GUESSED_OVER_MS < now && directory_person(d->directory, person))
            return directory_person(d->directory, person);
    }
    return NULL;
}

void desk_logins_tick(struct desk *d, mono_us now)
{
    const struct directory_person *p;
    if (now < d->logins->next_tick)
        return;
    d->logins->next_tick = now + SECONDS(LOOK_SECONDS);
    for (int i = 0; i < ALERT_OPEN_MAX && (p = find_over(d, utc_now())); i++)
        report(d, p, true);
}
