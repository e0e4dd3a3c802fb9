/* Does the way back work? Tried part by part when a person asks, long before it is needed. */
#include "desk/desk_state_int.h"

#include <stdio.h>

enum {
    LOOK_TIMEOUT_MS = 20000,
    CANARY_TIMEOUT_MS = 90000,
    GRACE_MS = 30000, /* a look may have to wait for others before it begins */
};

struct desk_check {
    struct desk *desk;
    uint64_t primary, tag;  /* tag: of the look that runs; no other answer counts */
    enum admin_check_id at; /* which one: LOGIN, MASTER or TAKES */
    bool is_looking;
    mono_us until; /* an answer that comes later does not come */
    struct admin_check rows[CHECK_N];
    char from[321];
    void (*done)(void *cookie, enum err err, const struct admin_check rows[CHECK_N]);
    void *cookie;
};

static void say(struct desk_check *c, enum admin_check_id id, bool is_well, struct slice text)
{
    c->rows[id].result = is_well ? CHECK_WELL : CHECK_FAILED;
    snprintf(c->rows[id].text, sizeof(c->rows[id].text), "%.*s", (int)(text.n < 299 ? text.n : 299),
             text.n ? text.p : "");
}

static void skip(struct desk_check *c, enum admin_check_id id, const char *why)
{
    c->rows[id].result = CHECK_NOT_TRIED;
    snprintf(c->rows[id].text, sizeof(c->rows[id].text), "%s", why);
}

static void finish(struct desk_check *c, enum err err)
{
    map_del(c->desk->checks, KEY(c->tag));
    c->done(c->cookie, err, c->rows);
    mem_free(&c);
}

/* ---- SMTP: connect, encryption, size ---- */

static void judge_tls(struct desk_check *c, const struct desk_primary *p, uint8_t wanted)
{
    char text[200];
    int64_t days = (p->cert_until - utc_now()) / 86400000;
    if (p->cert_until == 0) {
        if (wanted == DIR_TLS_NEVER)
            skip(c, CHECK_TLS, "not wanted: --tls never");
        else /* where it is wanted, the probe would have ended there */
            say(c, CHECK_TLS, wanted == DIR_TLS_MAY,
                SLICE("it offers no encryption: mail goes in the clear"));
        return;
    }
    snprintf(text, sizeof(text), "encrypted%s; its certificate ends in %lld days",
             wanted == DIR_TLS_VERIFY ? ", and it is who it says" : "", (long long)days);
    say(c, CHECK_TLS, days > 0 || wanted != DIR_TLS_VERIFY, slice_str(text));
}

static void judge_size(struct desk_check *c, const struct desk_primary *p)
{
    char text[200];
    uint64_t ours = c->desk->o.limits.message_bytes;
    snprintf(text, sizeof(text), "it takes up to %u bytes, this node up to %llu", p->size_max,
             (unsigned long long)ours);
    if (p->size_max == 0)
        say(c, CHECK_SIZE, true, SLICE("it names no limit"));
    else
        say(c, CHECK_SIZE, p->size_max >= ours, slice_str(text));
}

/* ---- IMAP: the looks, one after the other ---- */

static void take_new_tag(struct desk_check *c)
{
    (void)map_del(c->desk->checks, KEY(c->tag));
    c->tag = DESK_CHECK_TAG | desk_next_id(c->desk);
    map_put(c->desk->checks, KEY(c->tag), c);
}

static bool send_look(struct desk_check *c)
{
    const struct directory_access *a = directory_access(c->desk->directory, c->primary);
    const struct directory_primary *p = directory_primary(c->desk->directory, c->primary);
    if (!a || !p || !c->desk->liaison.link)
        return false;
    take_new_tag(c);
    struct desk_look look = {.primary = p,
                             .access = a,
                             .is_canary = c->at == CHECK_TAKES,
                             .is_master = c->at == CHECK_MASTER,
                             .from = slice_str(c->at == CHECK_TAKES ? c->from : ""),
                             .tag = c->tag,
                             .timeout_ms =
                                 c->at == CHECK_TAKES ? CANARY_TIMEOUT_MS : LOOK_TIMEOUT_MS};
    c->until = mono_now() + MILLISECONDS(look.timeout_ms + GRACE_MS);
    c->is_looking = desk_look_send(c->desk, &look);
    return c->is_looking;
}

static const char *why_not(const struct desk_check *c, enum admin_check_id id)
{
    const struct directory_access *a = directory_access(c->desk->directory, c->primary);
    const struct directory_tokens *t = directory_tokens(c->desk->directory, c->primary);
    if (!a || a->facts.n_hosts == 0)
        return "nobody said how its mailboxes are reached: staffetta access set";
    if (id == CHECK_MASTER)
        return directory_opens_all(&a->facts, t ? &t->facts : NULL)
                   ? NULL
                   : "no log-in for everybody is known: staffetta access set --master-user, or "
                     "staffetta access token set";
    return a->facts.canary.n ? NULL : "no test mailbox is known: staffetta access set --canary";
}

static void go_on(struct desk_check *c)
{
    static const enum admin_check_id order[] = {CHECK_LOGIN, CHECK_MASTER, CHECK_TAKES};
    size_t i = 0;
    while (i < sizeof(order) / sizeof(order[0]) && c->rows[order[i]].text[0])
        i++;
    for (; i < sizeof(order) / sizeof(order[0]); i++) {
        c->at = order[i];
        const char *why = why_not(c, c->at);
        if (!why && send_look(c))
            return; /* its answer goes on */
        skip(c, c->at, why ? why : "our probing process is starting again; try in a few seconds");
        if (c->at == CHECK_TAKES)
            skip(c, CHECK_ARRIVES, c->rows[CHECK_TAKES].text);
    }
    finish(c, ERR_OK);
}

bool desk_check_seen(struct desk *d, uint64_t tag, const struct ipc_mailbox_seen *s)
{
    struct desk_check *c = map_get(d->checks, KEY(tag));
    if (!c || !c->is_looking)
        return true; /* nobody waits for it any more */
    if (s->primary != c->primary ||
        s->what != (c->at == CHECK_TAKES ? IPC_LOOK_CANARY : IPC_LOOK_LOGIN))
        return false;
    char text[300];
    c->is_looking = false;
    snprintf(text, sizeof(text), "at %s: %.*s", ipc_look_step_name(s->step),
             (int)(s->text.n < 250 ? s->text.n : 250), s->text.n ? s->text.p : "");
    if (c->at != CHECK_TAKES) {
        say(c, c->at, s->is_well, s->is_well ? SLICE("the log-in works") : slice_str(text));
    } else if (s->is_well) {
        snprintf(text, sizeof(text), "readable in %.*s after %u ms",
                 (int)(s->folder.n < 100 ? s->folder.n : 100), s->folder.n ? s->folder.p : "",
                 s->arrived_ms);
        say(c, CHECK_TAKES, true, SLICE("mail of a stranger with a strict policy is taken"));
        say(c, CHECK_ARRIVES, true, slice_str(text));
    } else if (s->step > IPC_STEP_SEND) {
        say(c, CHECK_TAKES, true, SLICE("mail of a stranger with a strict policy is taken"));
        say(c, CHECK_ARRIVES, false, slice_str(text));
    } else {
        say(c, CHECK_TAKES, false, slice_str(text));
        skip(c, CHECK_ARRIVES, "it was not taken");
    }
    go_on(c);
    return true;
}

/* ---- the beginning ---- */

static void probed(void *cookie, enum err err, const char *text)
{
    struct desk_check *c = cookie;
    const struct desk_primary *p = map_get(c->desk->primaries, KEY(c->primary));
    const struct directory_primary *facts = directory_primary(c->desk->directory, c->primary);
    if (!p || !facts || err == ERR_GONE || err == ERR_RETRY) {
        finish(c, err == ERR_OK ? ERR_GONE : err);
        return;
    }
    say(c, CHECK_CONNECT, err == ERR_OK, slice_str(text));
    if (err != ERR_OK) {
        finish(c, ERR_OK);
        return;
    }
    judge_tls(c, p, facts->facts.tls);
    judge_size(c, p);
    go_on(c);
}

void desk_check(void *arg, uint64_t primary, struct slice from,
                void (*done)(void *cookie, enum err err, const struct admin_check rows[CHECK_N]),
                void *cookie)
{
    struct desk *d = arg;
    struct desk_check *c = mem_new(sizeof(*c));
    c->desk = d;
    c->primary = primary;
    c->tag = DESK_CHECK_TAG | desk_next_id(d);
    c->done = done;
    c->cookie = cookie;
    snprintf(c->from, sizeof(c->from), "%.*s", (int)(from.n < 320 ? from.n : 320), from.p);
    map_put(d->checks, KEY(c->tag), c);
    desk_probe(d, primary, probed, c);
}

/* ---- looks that have no answer ---- */

static struct desk_check *first_over(struct desk *d, mono_us now)
{
    size_t at = 0;
    void *value;
    while (map_next(d->checks, &at, NULL, &value)) {
        struct desk_check *c = value;
        if (c->is_looking && now >= c->until)
            return c;
    }
    return NULL;
}

static void give_up(struct desk *d, mono_us now, const char *why)
{
    for (struct desk_check *c; (c = first_over(d, now));) {
        c->is_looking = false;
        skip(c, c->at, why);
        if (c->at == CHECK_TAKES)
            skip(c, CHECK_ARRIVES, why);
        go_on(c); /* which changes the map */
    }
}

void desk_check_tick(struct desk *d, mono_us now)
{
    give_up(d, now, "our probing process gave no answer");
}

/* What comes next waits for nobody: the process is away. */
void desk_check_lost(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->checks, &at, NULL, &value))
        ((struct desk_check *)value)->until = 0;
    give_up(d, 0, "our probing process ended in the middle of it");
}

void desk_check_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->checks, &at, NULL, &value))
        mem_free(&value);
    map_destroy(&d->checks);
}
