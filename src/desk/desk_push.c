/* Push subscriptions: which there are, which have something to be told, when they end.
 *
 * The item in the account is the truth; here is a copy of those that live, made from the items at
 * start. They belong to the log-in that made them and end with it: that is looked at before each
 * push, when a log-in ends, and once a minute. Not for the push itself: desk_push_send.c. */
#include "desk/desk_push_int.h"

#include "desk/desk_account_int.h"
#include "desk/desk_login_int.h"

#include "jmap/jmap_item.h"
#include "store/store_account.h"

enum {
    TOGETHER_MS = 500,  /* changes of so long are told together */
    SWEEP_SECONDS = 60, /* between two looks for what is over */
    AFTER_START_MS = 60000,
    HOUR_MS = 3600000,
};

struct person { /* who has subscriptions */
    uint64_t id;
    struct list pushes;
};
struct rate { /* how many somebody made in this hour */
    uint32_t n;
};
struct desk_pushes {
    struct map *all;     /* id -> struct desk_push */
    struct map *persons; /* id -> struct person */
    struct list due;
    struct desk_push_sends *sends; /* desk_push_send.c */
    mono_us next_sweep;
    pthread_mutex_t lock;
    struct map *rates;     /* under lock: person -> struct rate */
    int64_t rates_of;      /* under lock: the hour they are of */
    _Atomic size_t n_live; /* for threads */
};

/* ---- one of them ---- */

static void free_text(char **text)
{
    if (*text)
        login_wipe(*text, strlen(*text));
    mem_free(text);
}

static void forget(struct desk *d, struct desk_push *p)
{
    struct desk_pushes *all = d->pushes;
    struct person *person = map_get(all->persons, KEY(p->person));
    (void)map_del(all->all, KEY(p->id));
    all->n_live--;
    list_remove(&p->of_due);
    list_remove(&p->of_person);
    if (person && list_empty(&person->pushes)) {
        (void)map_del(all->persons, KEY(p->person));
        mem_free(&person);
    }
    free_text(&p->url);
    free_text(&p->code);
    login_wipe(&p->keys, sizeof(p->keys));
    mem_free(&p);
}

struct desk_push_sends *desk_push_sends(const struct desk *d)
{
    return d->pushes->sends;
}

struct desk_push *desk_push_find(struct desk *d, uint64_t id)
{
    return map_get(d->pushes->all, KEY(id));
}

static struct desk_push *make(struct desk *d, uint64_t person_id, uint64_t id)
{
    struct desk_pushes *all = d->pushes;
    struct person *person = map_get(all->persons, KEY(person_id));
    struct desk_push *p = mem_new(sizeof(*p));
    if (!person) {
        person = mem_new(sizeof(*person));
        person->id = person_id;
        list_init(&person->pushes);
        (void)map_put(all->persons, KEY(person_id), person);
    }
    p->person = person_id;
    p->id = id;
    list_init(&p->of_due);
    list_append(&person->pushes, &p->of_person);
    (void)map_put(all->all, KEY(id), p);
    all->n_live++;
    return p;
}

static bool has_work(const struct desk_push *p)
{
    return p->is_verified ? p->is_dirty : p->is_code_due;
}

static void look_at(struct desk *d, struct desk_push *p)
{
    if (!has_work(p) || p->is_busy || p->is_ending)
        list_remove(&p->of_due);
    else if (list_empty(&p->of_due))
        list_append(&d->pushes->due, &p->of_due);
}

void desk_push_wait(struct desk *d, struct desk_push *p, mono_us wait)
{
    p->is_busy = false;
    p->not_before = mono_now() + wait;
    look_at(d, p);
}

/* ---- the end of one ---- */

struct ending {
    struct desk *desk;
    uint64_t id;
};

static void ended(void *arg, enum err err)
{
    struct ending *e = arg;
    struct desk_push *p = desk_push_find(e->desk, e->id);
    if (p && (err == ERR_OK || err == ERR_GONE))
        forget(e->desk, p);
    else if (p)
        p->is_ending = false; /* the next sweep tries again */
    mem_free(&e);
}

void desk_push_end(struct desk *d, struct desk_push *p, const char *why)
{
    char id[MESSAGE_ID_TEXT], person[MESSAGE_ID_TEXT];
    struct record_item item = {.account = p->person, .kind = ITEM_PUSH, .id = p->id, .is_gone = 1};
    struct ending *e = mem_new(sizeof(*e));
    if (p->is_ending) {
        mem_free(&e);
        return;
    }
    message_id_text(p->id, id);
    message_id_text(p->person, person);
    log_event(EV_PUSH_ENDED, "subscription=%s person=%s why=\"%s\"", id, person, why);
    *e = (struct ending){d, p->id};
    p->over = why;
    p->is_ending = true;
    look_at(d, p);
    desk_account_items(d, &item, 1, ended, e);
}

/* ---- its log-in ---- */

static bool find_token(struct desk *d, uint64_t person, uint64_t login, struct login_token *ret)
{
    size_t at = 0;
    utc_ms now = utc_now();
    while (login_next_token(d->logins->login, person, now, &at, ret))
        if (ret->id == login)
            return true;
    return false;
}

bool desk_push_is_timed(struct desk *d, uint64_t person, uint64_t login)
{
    struct login_token token;
    return login && find_token(d, person, login, &token) && token.kind == LOGIN_SESSION;
}

/* A password is a log-in, too: a new one ends what the old one made. */
static bool has_log_in(struct desk *d, const struct desk_push *p)
{
    struct login_token token;
    if (!desk_login_person(d, p->person))
        return false;
    if (p->login)
        return find_token(d, p->person, p->login, &token);
    struct login_state state = login_state(d->logins->login, p->person, utc_now());
    return state.has_password && state.password_at <= p->made;
}

/* NULL: it lives. */
static const char *why_over(struct desk *d, const struct desk_push *p)
{
    if (p->over)
        return p->over;
    if (p->expires && p->expires <= utc_now())
        return "its time is over";
    return has_log_in(d, p) ? NULL : "its log-in has ended";
}

void desk_push_log_in_ended(struct desk *d, uint64_t person_id)
{
    struct person *person = d->pushes ? map_get(d->pushes->persons, KEY(person_id)) : NULL;
    if (!person)
        return;
    LIST_FOREACH (node, &person->pushes) {
        struct desk_push *p = container_of(node, struct desk_push, of_person);
        const char *why = why_over(d, p);
        if (why)
            desk_push_end(d, p, why);
    }
}

static void sweep(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->pushes->all, &at, NULL, &value)) {
        const char *why = why_over(d, value);
        if (why)
            desk_push_end(d, value, why);
    }
}

/* ---- time ---- */

void desk_push_changed(struct desk *d, uint64_t person_id)
{
    struct person *person = d->pushes ? map_get(d->pushes->persons, KEY(person_id)) : NULL;
    if (!person)
        return;
    mono_us soon = mono_now() + MILLISECONDS(TOGETHER_MS);
    LIST_FOREACH (node, &person->pushes) {
        struct desk_push *p = container_of(node, struct desk_push, of_person);
        if (p->is_dirty && !p->is_unhurried)
            continue;
        if (p->is_verified && (p->not_before < soon || p->is_unhurried))
            p->not_before = soon;
        p->is_dirty = true;
        p->is_unhurried = false;
        look_at(d, p);
    }
}

void desk_pushes_tick(struct desk *d, mono_us now)
{
    struct desk_pushes *all = d->pushes;
    LIST_FOREACH (node, &all->due) {
        struct desk_push *p = container_of(node, struct desk_push, of_due);
        if (d->is_stopping || !d->liaison.link || !desk_push_has_room(d))
            break;
        if (p->not_before > now)
            continue;
        const char *why = why_over(d, p);
        if (why) {
            desk_push_end(d, p, why);
            continue;
        }
        p->is_busy = true;
        look_at(d, p);
        desk_push_send(d, p);
    }
    if (now < all->next_sweep || d->is_stopping)
        return;
    all->next_sweep = now + SECONDS(SWEEP_SECONDS);
    desk_push_sends_tick(d, now);
    sweep(d);
}

/* ---- what people set ---- */

static uint32_t types_of(const struct jmap_item_push *item)
{
    uint32_t types = 0;
    for (uint32_t i = 0; i < item->n_types; i++)
        types |= jmap_pushed_type(item->types[i].text);
    return item->has_types ? types : JMAP_PUSHED_ALL;
}

static char *keep(struct slice text)
{
    char *to = mem_new(text.n + 1);
    memcpy(to, text.n ? text.p : "", text.n);
    return to;
}

/* A new one, or one that was changed; `*ret_is_new`. NULL: it cannot be read. */
static struct desk_push *take(struct desk *d, uint64_t person, uint64_t id, struct slice body,
                              bool *ret_is_new)
{
    struct jmap_item_push item;
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 16);
    if (!jmap_item_push_unpack(body, arena, &item))
        return NULL;
    struct desk_push *p = desk_push_find(d, id);
    *ret_is_new = !p;
    if (!p) {
        p = make(d, person, id);
        p->url = keep(item.url);
        p->code = keep(item.sent);
        p->has_keys = item.p256dh.n && push_keys_parse(item.p256dh, item.auth, &p->keys);
        p->login = item.login;
        p->made = item.made;
    }
    p->expires = item.expires;
    p->types = types_of(&item);
    p->is_verified = item.confirmed.n > 0;
    return p;
}

struct setting { /* on its way from a thread to the loop */
    struct desk *desk;
    uint64_t person, id;
    struct buf body;
    struct jmap_states now;
    bool has_states;
};

static void set_on_loop(void *arg)
{
    struct setting *s = arg;
    bool is_new = false;
    struct desk_push *p = desk_push_find(s->desk, s->id);
    if (s->body.n > 0)
        p = take(s->desk, s->person, s->id, buf_slice(&s->body), &is_new);
    else if (p)
        forget(s->desk, p);
    if (s->body.n > 0 && p) {
        p->is_code_due |= is_new; /* at once */
        if (s->has_states) {
            p->told = s->now;
            p->is_dirty = true; /* what came meanwhile; nothing, if nothing did */
        }
        look_at(s->desk, p);
    }
    if (s->body.n > 0)
        login_wipe(s->body.p, s->body.n);
    buf_finish(&s->body);
    mem_free(&s);
}

void desk_subscribed(struct desk *d, uint64_t person, uint64_t id, struct slice body,
                     const struct jmap_states *now)
{
    struct setting *s = mem_new(sizeof(*s));
    *s = (struct setting){
        .desk = d, .person = person, .id = id, .body = buf_make(JMAP_ITEM_BODY_MAX)};
    buf_reserve(&s->body, body.n); /* growing would leave copies behind */
    buf_adds(&s->body, body);
    s->has_states = now != NULL;
    if (now)
        s->now = *now;
    desk_post(d, set_on_loop, s);
}

/* ---- how many ---- */

static void forget_rates(struct desk_pushes *all)
{
    size_t at = 0;
    void *value;
    while (map_next(all->rates, &at, NULL, &value))
        mem_free(&value);
    map_destroy(&all->rates);
}

/* One more in this hour? */
static uint32_t count_made(struct desk_pushes *all, uint64_t person)
{
    int64_t hour = utc_now() / HOUR_MS;
    pthread_mutex_lock(&all->lock);
    if (hour != all->rates_of) {
        forget_rates(all);
        all->rates = map_create();
        all->rates_of = hour;
    }
    struct rate *rate = map_get(all->rates, KEY(person));
    if (!rate) {
        rate = mem_new(sizeof(*rate));
        (void)map_put(all->rates, KEY(person), rate);
    }
    uint32_t n = ++rate->n;
    pthread_mutex_unlock(&all->lock);
    return n;
}

/* NULL: it may be made. */
static const char *judge(enum refuse_id id, uint64_t value, struct slice who)
{
    refuse_measure(id, value, who);
    return refuse_would(id, refuse_limit(id).value, value) ? refuse(id, who)->text : NULL;
}

enum err desk_may_subscribe(struct desk *d, const struct jmap_caller *who, size_t n_has,
                            struct errinfo *ei)
{
    struct slice name = who->n_addresses ? who->addresses[0] : who->name;
    const char *why = judge(REFUSE_PUSH_PERSON, n_has + 1, name);
    if (!why)
        why = judge(REFUSE_PUSH_TOTAL, d->pushes->n_live + 1, name);
    if (!why) /* what is refused before does not count as made */
        why = judge(REFUSE_PUSH_RATE, count_made(d->pushes, who->person), name);
    return why ? err_set(ei, ERR_LIMIT, "Not made: %s.", why) : ERR_OK;
}

/* ---- beginning and end ---- */

void desk_pushes_create(struct desk *d)
{
    struct desk_pushes *all = mem_new(sizeof(*all));
    all->all = map_create();
    all->persons = map_create();
    all->rates = map_create();
    list_init(&all->due);
    must(pthread_mutex_init(&all->lock, NULL) == 0);
    d->pushes = all;
    all->sends = desk_push_sends_create();
}

void desk_pushes_destroy(struct desk *d)
{
    struct desk_pushes *all = d->pushes;
    size_t at = 0;
    void *value;
    if (!all)
        return;
    while (map_next(all->all, &at, NULL, &value))
        forget(d, value);
    map_destroy(&all->all);
    map_destroy(&all->persons);
    forget_rates(all);
    (void)pthread_mutex_destroy(&all->lock);
    desk_push_sends_destroy(&all->sends);
    mem_free(&d->pushes);
}

/* What changed while we were not there is not known: it is told within a minute, not to all at
 * once. A code is sent again only if its subscription is so young that it may not have left: there
 * is one request to an address before it is confirmed (RFC 8620 section 8.6). */
static bool load_one(void *arg, const struct record_item *item)
{
    struct desk *d = arg;
    uint16_t chance;
    bool is_new;
    struct desk_push *p = NULL;
    if (!item->is_gone)
        p = take(d, item->account, item->id, item->body, &is_new);
    if (!p)
        return true;
    random_bytes(&chance, sizeof(chance));
    p->is_dirty = p->is_unhurried = true;
    p->is_code_due = p->made > utc_now() - AFTER_START_MS;
    p->not_before = mono_now() + MILLISECONDS(chance % AFTER_START_MS);
    if (!p->is_verified)
        p->not_before = 0;
    look_at(d, p);
    return true;
}

enum err desk_pushes_load(struct desk *d, struct store_reader *reader, struct errinfo *ei)
{
    return store_each_item(reader, 0, ITEM_PUSH, load_one, d, ei);
}
