/* Who is it that asks over HTTPS? And logging in and out of pages. */
#include "desk/desk_jmap_int.h"
#include "desk/desk_login_int.h"

#include "wire/wire.h"

enum { SESSION_SECONDS = LOGIN_SESSION_DAYS * 24 * 3600, DAY_SECONDS = 24 * 3600 };

/* A password on its way through Argon2. */
struct checking {
    struct desk *desk;
    struct login_check check;
    bool has_challenge;
    desk_login_who_fn *done;
    void *arg;
};

/* ---- persons ---- */

const struct directory_person *desk_login_person(struct desk *d, uint64_t person)
{
    const struct directory_person *p = person ? directory_person(d->directory, person) : NULL;
    if (!p || !p->facts.is_covered || !p->facts.inbox || p->facts.kind == DIR_KIND_CONTACT)
        return NULL;
    return p;
}

/* Her id, or 0; `key` is the canonical address, or what was written where it is none. */
static uint64_t person_at(struct desk *d, struct slice address, struct buf *key)
{
    if (wire_address_key(address, key).fault != WIRE_FINE || key->failed) {
        buf_clear(key);
        buf_adds(key, address);
        return 0;
    }
    const struct directory_person *p = directory_person_at(d->directory, buf_slice(key));
    return p && desk_login_person(d, p->id) ? p->id : 0;
}

/* ---- what is told ---- */

static uint16_t status_of(enum refuse_id id)
{
    uint64_t status = 500;
    struct slice code = slice_str(refuse_row(id)->code);
    must(slice_u64(code, 599, &status)); /* a test looks at each row */
    return (uint16_t)status;
}

static struct desk_login_told refused(enum refuse_id id, uint32_t retry_after, bool has_challenge)
{
    uint16_t status = status_of(id);
    return (struct desk_login_told){
        .status = status,
        .words = refuse_row(id)->text,
        .retry_after = retry_after,
        .has_challenge = has_challenge && status == status_of(REFUSE_LOGIN_NEEDED),
    };
}

static struct desk_login_told refuse_call(enum refuse_id id, const struct ipc_call *call)
{
    (void)refuse(id, call->client);
    return refused(id, 0, false);
}

/* What the room decided, with all that follows from it. */
static struct desk_login_told tell(struct desk *d, const struct login_told *told,
                                   bool has_challenge)
{
    desk_login_note(d, told->note);
    if (told->is_guessed)
        desk_login_guessed(d, told->person);
    if (told->verdict == LOGIN_NO)
        return refused(told->refusal, told->retry_after, has_challenge);
    if (!desk_login_person(d, told->person)) { /* removed, or has no mailbox any more */
        (void)refuse(REFUSE_LOGIN_WRONG, SLICE("a person who has no mailbox"));
        return refused(REFUSE_LOGIN_WRONG, 0, has_challenge);
    }
    return (struct desk_login_told){
        .status = 200, .person = told->person, .login = told->token, .words = ""};
}

/* ---- passwords, codes, tokens ---- */

static void checked(void *arg, enum login_result result)
{
    struct checking *c = arg;
    struct login_told told;
    login_checked(c->desk->logins->login, &c->check, result, utc_now(), mono_now(), &told);
    struct desk_login_told answer = tell(c->desk, &told, c->has_challenge);
    c->done(c->arg, &answer);
    login_wipe(c, sizeof(*c));
    mem_free(&c);
}

static void judge(struct desk *d, const struct login_form *form, const struct ipc_call *call,
                  desk_login_who_fn *done, void *arg)
{
    SCOPED(buf_finish) struct buf key = buf_make(600);
    struct login_told told;
    struct checking *c = mem_new(sizeof(*c));
    *c = (struct checking){.desk = d,
                           .has_challenge = call->cookie.n == 0 && call->csrf.n == 0 &&
                                            call->kind != IPC_CALL_LOGIN,
                           .done = done,
                           .arg = arg};
    struct login_ask ask = {.way = form->way,
                            .secret = slice_of(form->secret, form->n_secret),
                            .client = call->client,
                            .now = utc_now(),
                            .at = mono_now()};
    if (form->way == LOGIN_BY_PASSWORD || form->way == LOGIN_BY_CODE) {
        ask.person = person_at(d, slice_of(form->address, form->n_address), &key);
        ask.address = buf_slice(&key);
    }
    login_judge(d->logins->login, &ask, &told, &c->check);
    if (told.verdict == LOGIN_CHECK) {
        if (!d->logins->pool || !login_pool_check(d->logins->pool, &c->check, checked, c))
            checked(c, LOGIN_NOT_TRIED);
        else
            login_wipe(c->check.secret, sizeof(c->check.secret)); /* the pool has its copy */
        return;
    }
    struct desk_login_told answer = tell(d, &told, c->has_challenge);
    login_wipe(c, sizeof(*c));
    mem_free(&c);
    done(arg, &answer);
}

/* ---- cookies ---- */

/* Those that only read are safe by themselves: other pages cannot see what they answer. */
static bool needs_csrf(uint8_t kind)
{
    return kind == IPC_CALL_API || kind == IPC_CALL_UPLOAD || kind == IPC_CALL_CHECK ||
           kind == IPC_CALL_LOGOUT;
}

static bool is_foreign(const struct ipc_call *call)
{
    return call->from_origin.n > 0 && !slice_ieq(call->from_origin, call->origin);
}

static struct desk_login_told judge_cookie(struct desk *d, const struct ipc_call *call)
{
    struct login_told told;
    if (call->cookie.n == 0)
        return refuse_call(REFUSE_LOGIN_NEEDED, call);
    if (is_foreign(call) || (needs_csrf(call->kind) && !login_csrf_fits(call->cookie, call->csrf)))
        return refuse_call(REFUSE_LOGIN_FOREIGN, call);
    login_session(d->logins->login, call->cookie, call->client, utc_now(), &told);
    struct desk_login_told answer = tell(d, &told, false);
    answer.is_cookie_over = answer.status != 200;
    return answer;
}

void desk_login_who(struct desk *d, const struct ipc_call *call, desk_login_who_fn *done, void *arg)
{
    struct login_form form = {};
    if (call->authorization.n == 0 && call->cookie.n > 0) {
        struct desk_login_told told = judge_cookie(d, call);
        done(arg, &told);
        return;
    }
    if (call->authorization.n > 0 && !login_read_header(call->authorization, &form)) {
        struct desk_login_told told = refuse_call(REFUSE_LOGIN_WRONG, call);
        told.has_challenge = call->cookie.n == 0 && call->csrf.n == 0;
        done(arg, &told);
        return;
    }
    judge(d, &form, call, done, arg);
    login_form_wipe(&form);
}

/* ---- answers ---- */

static void begin_answer(struct ipc_called *ret, uint16_t status, const char *type)
{
    *ret = (struct ipc_called){.status = status, .type = slice_str(type)};
}

/* What is said are texts of ours: nothing in them needs an escape. */
static void add_problem(const char *words, uint16_t status, struct buf *body)
{
    const char *title = status == 401   ? "Not logged in"
                        : status == 403 ? "Not allowed"
                        : status == 400 ? "Not understood"
                                        : "Not now";
    buf_addf(body, "{\"type\":\"about:blank\",\"status\":%u,\"title\":\"%s\",\"detail\":\"", status,
             title);
    for (; *words; words++) {
        if (*words == '"' || *words == '\\')
            buf_addc(body, '\\');
        buf_addc(body, *words);
    }
    buf_adds(body, SLICE("\"}"));
}

void desk_login_problem(const struct desk_login_told *told, struct ipc_called *ret,
                        struct buf *body)
{
    begin_answer(ret, told->status, "application/problem+json");
    ret->has_challenge = told->has_challenge;
    ret->retry_after = told->retry_after;
    if (told->is_cookie_over)
        ret->set_cookie = SLICE("-");
    add_problem(told->words, told->status, body);
    ret->bytes = (uint32_t)body->n;
}

/* ---- logging in and out ---- */

/* One log-in (or out) from a page. */
struct paging {
    struct desk *desk;
    struct login_change change;
    char token[LOGIN_TOKEN_TEXT];
    char client[64];
    char name[LOGIN_NAME_MAX];
    size_t n_name;
    desk_login_fn *done;
    void *arg;
};

static void paging_end(struct paging *p, const struct ipc_called *called, struct slice body)
{
    p->done(p->arg, called, body);
    login_wipe(p, sizeof(*p));
    mem_free(&p);
}

static void paging_refuse(struct paging *p, const struct desk_login_told *told)
{
    struct ipc_called called;
    SCOPED(buf_finish) struct buf body = buf_make(4000);
    desk_login_problem(told, &called, &body);
    paging_end(p, &called, buf_slice(&body));
}

static void paging_not_kept(struct paging *p, enum err err)
{
    bool is_limit = err == ERR_LIMIT;
    if (!is_limit)
        (void)refuse(REFUSE_LOGIN_NOT_KEPT, slice_str(p->client));
    struct desk_login_told told =
        refused(is_limit ? REFUSE_LOGIN_TOKENS : REFUSE_LOGIN_NOT_KEPT, is_limit ? 0 : 60, false);
    paging_refuse(p, &told);
}

static void session_written(void *cookie, enum err err, const char *)
{
    struct paging *p = cookie;
    struct ipc_called called;
    char csrf[LOGIN_CSRF_TEXT], id[MESSAGE_ID_TEXT];
    SCOPED(buf_finish) struct buf body = buf_make(1000);
    if (err != ERR_OK) {
        paging_not_kept(p, err);
        return;
    }
    struct slice token = slice_str(p->token);
    login_csrf(token, csrf);
    message_id_text(p->change.token, id);
    utc_ms until = p->change.now + (utc_ms)SESSION_SECONDS * 1000;
    begin_answer(&called, 200, "application/json");
    buf_addf(&body, "{\"csrf\":\"%s\",\"session\":{\"id\":\"L%s\",\"until\":\"%s\"}}", csrf, id,
             utc_rfc3339(until).s);
    called.set_cookie = token;
    called.cookie_seconds = SESSION_SECONDS;
    called.person = p->change.person;
    called.bytes = (uint32_t)body.n;
    paging_end(p, &called, buf_slice(&body));
    login_wipe(csrf, sizeof(csrf));
    login_wipe(body.p, body.n);
}

static void logged_in(void *arg, const struct desk_login_told *told)
{
    struct paging *p = arg;
    if (told->status == 200 && told->login) { /* a token makes no session that outlives it */
        (void)refuse(REFUSE_LOGIN_WRONG, slice_str(p->client));
        struct desk_login_told no = refused(REFUSE_LOGIN_WRONG, 0, false);
        paging_refuse(p, &no);
        return;
    }
    if (told->status != 200) {
        paging_refuse(p, told);
        return;
    }
    login_make_token(&p->change, told->person, LOGIN_SESSION, slice_of(p->name, p->n_name),
                     utc_now(), p->token);
    desk_login_change(p->desk, &p->change, session_written, p);
}

/* As the page calls itself, or as the browser does. */
static void take_name(struct paging *p, struct slice name, struct slice agent)
{
    struct slice s = name.n > 0 ? name : agent;
    s.n = s.n < LOGIN_NAME_MAX ? s.n : LOGIN_NAME_MAX;
    while (s.n > 0 && !wire_utf8_valid(s))
        s.n--; /* cut within a character; nonsense ends as nothing */
    for (size_t i = 0; i < s.n; i++)
        p->name[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i];
    p->n_name = s.n;
}

static void log_in(struct paging *p, const struct ipc_call *call, struct slice body)
{
    struct login_form form;
    const char *why;
    if (is_foreign(call)) {
        struct desk_login_told told = refuse_call(REFUSE_LOGIN_FOREIGN, call);
        paging_refuse(p, &told);
        return;
    }
    if (!login_read_json(body, &form, &why)) {
        struct desk_login_told told = refuse_call(REFUSE_LOGIN_FORM, call);
        told.words = why;
        paging_refuse(p, &told);
        return;
    }
    take_name(p, slice_of(form.name, form.n_name), call->agent);
    judge(p->desk, &form, call, logged_in, p);
    login_form_wipe(&form);
}

static void session_ended(void *cookie, enum err err, const char *)
{
    struct paging *p = cookie;
    struct ipc_called called;
    if (err != ERR_OK && err != ERR_GONE) {
        paging_not_kept(p, err);
        return;
    }
    desk_jmap_log_in_ended(p->desk, p->change.person);
    begin_answer(&called, 200, "application/json");
    called.set_cookie = SLICE("-");
    called.bytes = 2;
    paging_end(p, &called, SLICE("{}"));
}

static void log_out(struct paging *p, const struct ipc_call *call)
{
    struct desk_login_told told = judge_cookie(p->desk, call);
    if (told.status != 200) {
        paging_refuse(p, &told);
        return;
    }
    p->change = (struct login_change){
        .what = LOGIN_REMOVE_TOKEN, .person = told.person, .token = told.login, .now = utc_now()};
    desk_login_change(p->desk, &p->change, session_ended, p);
}

void desk_login(struct desk *d, const struct ipc_call *call, struct slice body, desk_login_fn *done,
                void *arg)
{
    struct paging *p = mem_new(sizeof(*p));
    *p = (struct paging){.desk = d, .done = done, .arg = arg};
    if (call->client.n < sizeof(p->client) && call->client.n > 0)
        memcpy(p->client, call->client.p, call->client.n);
    if (call->kind == IPC_CALL_LOGIN)
        log_in(p, call, body);
    else
        log_out(p, call);
}
