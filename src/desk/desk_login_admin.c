/* What the administration does about people's ways to log in. */
#include "desk/desk_jmap_int.h"
#include "desk/desk_login_int.h"

#include "wire/wire.h"

#include <stdio.h>

enum { DAY_MS = 24 * 3600 * 1000 };

struct order {
    struct desk *desk;
    enum admin_login_what what;
    uint64_t person;
    struct login_change change;
    char secret[LOGIN_SECRET_MAX + 1]; /* that was made; "": none was */
    char by[200];
    void (*done)(void *cookie, enum err err, const char *text);
    void *cookie;
};

static void order_end(struct order *o, enum err err, const char *text)
{
    o->done(o->cookie, err, text);
    login_wipe(o, sizeof(*o));
    mem_free(&o);
}

/* Never the secret itself. */
static void note_event(const struct order *o)
{
    static const struct {
        const char *name, *text;
    } words[] = {
        [ADMIN_LOGIN_PASSWORD] = {"login.password", "A new password was set; sessions ended."},
        [ADMIN_LOGIN_CODE] = {"login.code", "A one-time code to log in was made."},
        [ADMIN_LOGIN_TOKEN_ADD] = {"login.token", "A token for a program was made."},
        [ADMIN_LOGIN_TOKEN_REMOVE] = {"login.token-removed", "A token or session was ended."},
        [ADMIN_LOGIN_END] = {"login.ended", "All sessions were ended."},
    };
    const struct directory_person *p = directory_person(o->desk->directory, o->person);
    if (p)
        desk_event(o->desk, EVENT_INFO, words[o->what].name, p->tenant, p->facts.addresses[0].text,
                   slice_str(words[o->what].text), slice_str(o->by));
}

static void order_written(void *cookie, enum err err, const char *why)
{
    struct order *o = cookie;
    if (err != ERR_OK) {
        order_end(o, err, why);
        return;
    }
    note_event(o);
    if (o->what != ADMIN_LOGIN_CODE && o->what != ADMIN_LOGIN_TOKEN_ADD)
        desk_jmap_log_in_ended(o->desk, o->person);
    order_end(o, ERR_OK, o->secret);
}

static void hashed(void *arg, const char *hash)
{
    struct order *o = arg;
    if (!hash) {
        order_end(o, ERR_RETRY, "the password could not be hashed at this moment");
        return;
    }
    o->change =
        (struct login_change){.what = LOGIN_SET_PASSWORD, .person = o->person, .now = utc_now()};
    (void)snprintf(o->change.password, sizeof(o->change.password), "%s", hash);
    desk_login_change(o->desk, &o->change, order_written, o);
}

static void set_password(struct order *o, struct slice password, struct slice address)
{
    struct errinfo ei;
    if (password.n == 0) {
        login_make_word(o->secret);
        password = slice_str(o->secret);
    }
    const char *fault = login_word_fault(password, address);
    if (fault) {
        (void)err_set(&ei, ERR_INVALID, "this cannot be a password: %s", fault);
        order_end(o, ERR_INVALID, ei.text);
    } else if (!o->desk->logins->pool ||
               !login_pool_hash(o->desk->logins->pool, password, hashed, o)) {
        (void)refuse(REFUSE_LOGIN_BUSY, slice_str(o->by));
        order_end(o, ERR_RETRY, "too many people log in at this moment");
    }
}

/* What people call a program. */
static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= LOGIN_NAME_MAX && wire_utf8_valid(s);
}

static void make_change(struct order *o, const struct admin_login_order *order)
{
    utc_ms now = utc_now();
    struct login_change simple = {.person = o->person, .now = now, .token = order->token};
    switch (order->what) {
    case ADMIN_LOGIN_PASSWORD: /* not here: it is hashed first */
        return;
    case ADMIN_LOGIN_CODE:
        login_make_code(&o->change, o->person, now, o->secret);
        return;
    case ADMIN_LOGIN_TOKEN_ADD:
        login_make_token(&o->change, o->person, LOGIN_APP, order->text, now, o->secret);
        return;
    case ADMIN_LOGIN_TOKEN_REMOVE:
        simple.what = LOGIN_REMOVE_TOKEN;
        o->change = simple;
        return;
    case ADMIN_LOGIN_END:
        simple.what = LOGIN_END_SESSIONS;
        o->change = simple;
        return;
    }
}

void desk_login_order(void *arg, const struct admin_login_order *order,
                      void (*done)(void *cookie, enum err err, const char *text), void *cookie)
{
    struct desk *d = arg;
    const struct directory_person *p = desk_login_person(d, order->person);
    struct order *o = mem_new(sizeof(*o));
    *o = (struct order){
        .desk = d, .what = order->what, .person = order->person, .done = done, .cookie = cookie};
    (void)snprintf(o->by, sizeof(o->by), SLICE_FMT, SLICE_ARG(order->by));
    if (!p) {
        order_end(o, ERR_INVALID, "this person has no mailbox here and cannot log in");
    } else if (order->what == ADMIN_LOGIN_PASSWORD) {
        set_password(o, order->text, p->facts.addresses[0].text);
    } else if (order->what == ADMIN_LOGIN_TOKEN_ADD && !is_name(order->text)) {
        order_end(o, ERR_INVALID, "a token needs a name of at most 100 bytes");
    } else {
        make_change(o, order);
        desk_login_change(d, &o->change, order_written, o);
    }
}

struct admin_login desk_login_state(void *arg, uint64_t person)
{
    struct desk *d = arg;
    struct login_state s = login_state(d->logins->login, person, utc_now());
    return (struct admin_login){.has_password = s.has_password,
                                .password_at = s.password_at,
                                .code_until = s.code_until,
                                .n_sessions = s.n_sessions,
                                .n_apps = s.n_apps};
}

bool desk_login_next_token(void *arg, uint64_t person, size_t *at, struct admin_login_token *ret)
{
    struct desk *d = arg;
    struct login_token t;
    if (!login_next_token(d->logins->login, person, utc_now(), at, &t))
        return false;
    *ret = (struct admin_login_token){.id = t.id,
                                      .is_session = t.kind == LOGIN_SESSION,
                                      .name = t.name,
                                      .created = t.created,
                                      .expires = t.expires,
                                      .used = (utc_ms)t.used_day * DAY_MS};
    return true;
}
