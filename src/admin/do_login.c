/* How people log in: passwords, one-time codes, tokens of programs. A secret that is made is in one
 * answer, and never anywhere else. */
#include "admin/admin_int.h"

#include <stdio.h>

enum { TOKEN_ID_TEXT = MESSAGE_ID_TEXT + 1 };

struct login_work {
    uint64_t person, token;
    enum admin_login_what what;
    struct slice address, name;
    uint32_t n_sessions;
    bool is_given; /* the password: not to be said again */
};

/* "Lmhqbd7jzbf2aa": what lists show, and what removing takes. */
static void token_id(uint64_t id, char ret[TOKEN_ID_TEXT])
{
    ret[0] = 'L';
    message_id_text(id, ret + 1);
}

/* ---- answers ---- */

static void write_removed(struct admin_call *c, const struct login_work *w)
{
    char what[500];
    bool is_end = w->what == ADMIN_LOGIN_END;
    if (is_end)
        (void)snprintf(what, sizeof(what), "%u sessions of " SLICE_FMT, w->n_sessions,
                       SLICE_ARG(w->address));
    else
        (void)snprintf(what, sizeof(what), SLICE_FMT, SLICE_ARG(w->name));
    out_object(&c->json, NULL);
    out_word(&c->json, "removed", what);
    out_word(&c->json, "text",
             is_end ? "Every page has to log in again; a one-time code is void. Programs with a "
                      "token go on."
                    : "It opens nothing from now on.");
    out_close(&c->json);
}

static void write_made(struct admin_call *c, const struct login_work *w, const char *secret)
{
    static const char *const words[] = {
        [ADMIN_LOGIN_PASSWORD] = "The old password opens nothing any more, and every session has "
                                 "ended. Programs with a token go on.",
        [ADMIN_LOGIN_CODE] = "It opens one session, within 15 minutes. A new code voids this one; "
                             "so do five wrong tries.",
        [ADMIN_LOGIN_TOKEN_ADD] = "It is shown this once. A program uses it in place of the "
                                  "password, or as a bearer token.",
    };
    out_object(&c->json, NULL);
    out_text(&c->json, "address", w->address);
    if (w->what == ADMIN_LOGIN_CODE) {
        out_word(&c->json, "code", secret);
        out_time(&c->json, "until", c->host->login_state(c->host->arg, w->person).code_until);
    } else if (w->what == ADMIN_LOGIN_TOKEN_ADD) {
        out_text(&c->json, "name", w->name);
        out_word(&c->json, "token", secret);
    } else if (!w->is_given) {
        out_word(&c->json, "password", secret);
    }
    out_word(&c->json, "text", words[w->what]);
    out_close(&c->json);
}

static void login_done(void *cookie, enum err err, const char *text)
{
    struct admin_call *c = cookie;
    const struct login_work *w = c->work;
    c->has_secret = true;
    if (err != ERR_OK) {
        call_fail(c, err, text);
        return;
    }
    if (w->what == ADMIN_LOGIN_END || w->what == ADMIN_LOGIN_TOKEN_REMOVE)
        write_removed(c, w);
    else
        write_made(c, w, text);
    call_done(c);
}

/* ---- orders ---- */

static struct login_work *make_work(struct admin_call *c, enum admin_login_what what)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return NULL;
    struct login_work *w = ARENA_NEW(c->arena, struct login_work);
    *w = (struct login_work){.person = p->id,
                             .what = what,
                             .address = arena_copy(c->arena, p->facts.addresses[0].text),
                             .n_sessions = c->host->login_state(c->host->arg, p->id).n_sessions};
    c->work = w;
    return w;
}

static void order(struct admin_call *c, struct slice text)
{
    const struct login_work *w = c->work;
    struct admin_login_order o = {
        .what = w->what, .person = w->person, .token = w->token, .text = text, .by = c->by};
    c->host->login(c->host->arg, &o, login_done, c);
}

void do_password_set(struct admin_call *c)
{
    struct slice password = body_text(c->body, "password");
    bool is_made = body_truth(c->body, "generate", false);
    c->has_secret = true;
    if (is_made == (password.n > 0)) {
        call_refuse(c, 400,
                    "Give a \"password\", or \"generate\": true to have one made. Nothing was "
                    "changed.");
        return;
    }
    struct login_work *w = make_work(c, ADMIN_LOGIN_PASSWORD);
    if (!w)
        return;
    w->is_given = !is_made;
    order(c, password);
}

void do_code_make(struct admin_call *c)
{
    if (make_work(c, ADMIN_LOGIN_CODE))
        order(c, SLICE(""));
}

void do_logout(struct admin_call *c)
{
    if (make_work(c, ADMIN_LOGIN_END))
        order(c, SLICE(""));
}

void do_token_add(struct admin_call *c)
{
    struct login_work *w = make_work(c, ADMIN_LOGIN_TOKEN_ADD);
    if (!w)
        return;
    w->name = arena_copy(c->arena, body_text(c->body, "name"));
    order(c, w->name);
}

/* By its id, or, if it is a program's, by its name. */
static bool find_token(struct admin_call *c, struct login_work *w)
{
    struct admin_login_token t;
    char id[TOKEN_ID_TEXT];
    size_t at = 0;
    while (c->host->login_next_token(c->host->arg, w->person, &at, &t)) {
        token_id(t.id, id);
        if (!slice_ieq(c->part[1], slice_str(id)) &&
            (t.is_session || !slice_ieq(c->part[1], t.name)))
            continue;
        w->token = t.id;
        w->name = arena_copy(c->arena, t.name.n > 0 ? t.name : slice_str(id));
        return true;
    }
    return false;
}

void do_token_remove(struct admin_call *c)
{
    struct login_work *w = make_work(c, ADMIN_LOGIN_TOKEN_REMOVE);
    if (!w)
        return;
    if (find_token(c, w)) {
        order(c, SLICE(""));
        return;
    }
    call_refuse(c, 404,
                "There is no token %s of %s. Nothing was changed. `staffetta person token list` "
                "shows all.",
                log_text(c->part[1]), log_text(w->address));
}

void do_token_list(struct admin_call *c)
{
    struct admin_login_token t;
    char id[TOKEN_ID_TEXT];
    size_t at = 0;
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    struct admin_login s = c->host->login_state(c->host->arg, p->id);
    struct out *j = &c->json;
    out_object(j, NULL);
    out_text(j, "address", p->facts.addresses[0].text);
    out_truth(j, "has_password", s.has_password);
    out_time(j, "password_at", s.password_at);
    out_time(j, "code_until", s.code_until);
    out_array(j, "tokens");
    while (c->host->login_next_token(c->host->arg, p->id, &at, &t)) {
        token_id(t.id, id);
        out_object(j, NULL);
        out_word(j, "id", id);
        out_text(j, "name", t.name);
        out_word(j, "kind", t.is_session ? "session" : "app");
        out_time(j, "created", t.created);
        out_time(j, "used", t.used);
        out_time(j, "expires", t.expires);
        out_close(j);
    }
    out_close(j);
    out_close(j);
    call_done(c);
}
