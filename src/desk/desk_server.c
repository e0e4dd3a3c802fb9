/* How mailboxes of a primary are opened: by a log-in of the person, else by the one for everybody
 * (a master user, or an application's tokens); the test mailbox by its own. And the refresh tokens
 * that take each other's place. */
#include "desk/desk_state_int.h"

#include "base/log.h"

#include <stdio.h>

enum {
    LOGIN_BYTES = 400,          /* no server knows a longer name */
    LOGIN_SECRET_BYTES = 8000,  /* as in dir_mail_login … */
    ACCESS_SECRET_BYTES = 4000, /* … and in dir_access */
};

/* ---- its parts ---- */

uint32_t desk_hosts(const struct dir_host *from, uint32_t n, struct ipc_host to[DESK_HOSTS_MAX])
{
    for (uint32_t i = 0; i < n && i < DESK_HOSTS_MAX; i++)
        to[i] = (struct ipc_host){from[i].name, from[i].port};
    return n < DESK_HOSTS_MAX ? n : DESK_HOSTS_MAX;
}

static uint8_t mechanism_of(uint8_t dir)
{
    static const uint8_t mechanisms[] = {[DIR_PLAIN] = IPC_LOGIN_ANY,
                                         [DIR_LOGIN] = IPC_LOGIN_LOGIN,
                                         [DIR_XOAUTH2] = IPC_LOGIN_XOAUTH2};
    return mechanisms[dir <= DIR_XOAUTH2 ? dir : DIR_PLAIN];
}

static void fill(const struct dir_access *f, uint8_t mechanism, struct desk_server *ret)
{
    static const uint8_t ways[] = {[DIR_TLS_MAY] = IPC_TLS_MAY,
                                   [DIR_TLS_MUST] = IPC_TLS_MUST,
                                   [DIR_TLS_VERIFY] = IPC_TLS_VERIFY,
                                   [DIR_TLS_NEVER] = IPC_TLS_NEVER};
    ret->server = (struct ipc_server){
        .hosts = ret->hosts,
        .n_hosts = desk_hosts(f->hosts, f->n_hosts, ret->hosts),
        .tls = ways[f->tls <= DIR_TLS_NEVER ? f->tls : DIR_TLS_VERIFY],
        .is_implicit = f->is_tls_at_once,
        .tls_name = f->tls_name,
        .mechanism = mechanism_of(mechanism),
    };
}

/* Where the token comes from; without an endpoint the secret is the token. */
static void add_source(const struct dir_tokens *t, uint8_t grant, uint64_t person,
                       struct desk_server *ret)
{
    if (ret->server.mechanism != IPC_LOGIN_XOAUTH2 || !t || grant == DIR_GRANT_NONE)
        return;
    static_assert((int)DIR_GRANT_ASSERTION == (int)IPC_GRANT_ASSERTION);
    ret->source = (struct ipc_token_source){.grant = grant,
                                            .url = t->url,
                                            .client_id = t->client_id,
                                            .client_secret = t->client_secret,
                                            .scope = t->scope,
                                            .person = person};
    ret->server.token = &ret->source;
    ret->server.n_token = 1;
}

static const struct dir_tokens *tokens_of(const struct desk *d, uint64_t primary)
{
    const struct directory_tokens *t = directory_tokens(d->directory, primary);
    return t ? &t->facts : NULL;
}

/* ---- whose ---- */

void desk_server_test(struct desk *d, const struct directory_access *a, struct desk_server *ret)
{
    const struct dir_tokens *t = tokens_of(d, a->primary);
    fill(&a->facts, a->facts.mechanism, ret);
    ret->server.user = a->facts.user;
    ret->server.secret = a->facts.secret;
    add_source(t, t ? t->grant : DIR_GRANT_NONE, 0, ret);
}

/* "%s*master", "domain\\svc\\%s": the mailbox stands in the log-in; else it is the authorisation
 * name beside it (RFC 4616). */
static void fill_master(const struct dir_access *f, struct slice mailbox, struct desk_server *ret)
{
    ptrdiff_t at = slice_find(f->master_user, '%');
    bool has_place = at >= 0 && slice_starts(slice_skip(f->master_user, (size_t)at), SLICE("%s"));
    struct ipc_server *s = &ret->server;
    s->secret = f->master_secret;
    s->user = f->master_user;
    if (!has_place) {
        s->act_as = mailbox;
        s->mechanism = s->mechanism == IPC_LOGIN_ANY ? IPC_LOGIN_PLAIN : s->mechanism;
        return;
    }
    int n = snprintf(ret->user, sizeof(ret->user), "%.*s%.*s%.*s", (int)at, f->master_user.p,
                     SLICE_ARG(mailbox), (int)(f->master_user.n - (size_t)at - 2),
                     f->master_user.p + at + 2);
    s->user = slice_of(ret->user, n > 0 && (size_t)n < sizeof(ret->user) ? (size_t)n : 0);
}

static bool fits(const struct ipc_server *s)
{
    return s->user.n > 0 && s->user.n <= LOGIN_BYTES && s->act_as.n <= LOGIN_BYTES;
}

bool desk_server_all(struct desk *d, const struct directory_access *a, struct slice mailbox,
                     struct desk_server *ret)
{
    const struct dir_tokens *t = tokens_of(d, a->primary);
    if (!directory_opens_all(&a->facts, t))
        return false;
    fill(&a->facts, a->facts.mechanism, ret);
    if (a->facts.master_user.n > 0)
        fill_master(&a->facts, mailbox, ret);
    else
        ret->server.user = mailbox; /* the application's token opens it in its owner's name */
    add_source(t, t ? t->grant : DIR_GRANT_NONE, 0, ret);
    return fits(&ret->server);
}

static bool own(struct desk *d, const struct directory_access *a, struct slice mailbox,
                const struct directory_mail_login *l, struct desk_server *ret)
{
    fill(&a->facts, l->facts.mechanism, ret);
    ret->server.user = mailbox;
    ret->server.secret = l->facts.secret;
    add_source(tokens_of(d, a->primary), DIR_GRANT_REFRESH, l->person, ret);
    return fits(&ret->server);
}

bool desk_server_of(struct desk *d, uint64_t primary, const struct directory_person *p,
                    struct desk_server *ret)
{
    const struct directory_access *a = directory_access(d->directory, primary);
    const struct directory_mail_login *l = p ? directory_mail_login(d->directory, p->id) : NULL;
    if (!a || a->facts.n_hosts == 0 || !p || p->facts.n_addresses == 0)
        return false;
    struct slice mailbox = l && l->facts.user.n ? l->facts.user : p->facts.addresses[0].text;
    return l && l->facts.secret.n ? own(d, a, mailbox, l, ret)
                                  : desk_server_all(d, a, mailbox, ret);
}

bool desk_server_is_known(struct desk *d, uint64_t primary, const struct directory_person *p)
{
    const struct directory_access *a = directory_access(d->directory, primary);
    const struct directory_mail_login *l = p ? directory_mail_login(d->directory, p->id) : NULL;
    bool is_own = l && l->facts.secret.n > 0;
    return a && a->facts.n_hosts > 0 &&
           (is_own || directory_opens_all(&a->facts, tokens_of(d, primary)));
}

/* ---- refresh tokens that take each other's place (RFC 6749 section 6) ---- */

struct token_put { /* waits for its turn among the changes */
    struct buf frame;
    struct ipc_token_new told; /* in there */
};

static void token_put_free(struct token_put **address)
{
    struct token_put *t = *address;
    explicit_bzero(t->frame.p, t->frame.cap);
    buf_finish(&t->frame);
    mem_free(address);
}

/* Not written: it is told again with the next token that is asked for by the old one. */
static void written(void *cookie, enum err err, const char *why)
{
    struct token_put *t = cookie;
    if (err != ERR_OK)
        log_event(EV_STORE_TROUBLE,
                  "what=\"another refresh token could not be written down\" why=%s",
                  log_text(slice_str(why)));
    token_put_free(&t);
}

/* Not where somebody set another one meanwhile. */
static bool is_place(struct slice secret, const struct ipc_token_new *t)
{
    bool is_old = slice_eq(secret, t->old) || slice_eq(secret, t->asked);
    return secret.n > 0 && is_old && !slice_eq(secret, t->fresh);
}

static void pack(struct record_object *o, struct buf *body, struct buf *objects)
{
    struct record_objects all = {o, 1};
    must(!body->failed); /* nothing in it is longer than what it was read from */
    o->time = utc_now();
    o->by = DESK_TOKEN_GIVER;
    o->body = buf_slice(body);
    record_objects_pack(objects, &all);
    explicit_bzero(body->p, body->cap);
}

static void make_person(struct desk *d, const struct ipc_token_new *t, struct buf *objects)
{
    const struct directory_mail_login *l = directory_mail_login(d->directory, t->person);
    const struct directory_person *p = directory_person(d->directory, t->person);
    if (!l || !p || p->facts.n_addresses == 0 || t->fresh.n > LOGIN_SECRET_BYTES ||
        !is_place(l->facts.secret, t))
        return;
    SCOPED(buf_finish) struct buf body = buf_make(20000);
    struct dir_mail_login f = l->facts;
    f.secret = t->fresh;
    buf_reserve(&body, 20000);
    dir_mail_login_pack(&body, &f);
    pack(&(struct record_object){.kind = OBJECT_MAILLOGIN,
                                 .id = p->id,
                                 .tenant = p->tenant,
                                 .name = p->facts.addresses[0].text},
         &body, objects);
}

static void make_access(struct desk *d, const struct ipc_token_new *t, struct buf *objects)
{
    const struct directory_access *a = directory_access(d->directory, t->primary);
    const struct directory_primary *p = directory_primary(d->directory, t->primary);
    if (!a || !p || t->fresh.n > ACCESS_SECRET_BYTES)
        return;
    SCOPED(buf_finish) struct buf body = buf_make(40000);
    struct dir_access f = a->facts;
    bool is_master = is_place(f.master_secret, t), is_test = is_place(f.secret, t);
    f.master_secret = is_master ? t->fresh : f.master_secret;
    f.secret = is_test ? t->fresh : f.secret;
    if (!is_master && !is_test)
        return;
    buf_reserve(&body, 40000);
    dir_access_pack(&body, &f);
    pack(
        &(struct record_object){
            .kind = OBJECT_ACCESS, .id = p->id, .tenant = p->tenant, .name = p->facts.name},
        &body, objects);
}

static void make(struct desk *d, void *cookie, struct buf *objects)
{
    const struct ipc_token_new *t = &((struct token_put *)cookie)->told;
    if (t->person)
        make_person(d, t, objects);
    else
        make_access(d, t, objects);
}

/* Else it need not wait for a turn: most that is told again has been written by then. */
static bool has_place(const struct desk *d, const struct ipc_token_new *t)
{
    const struct directory_mail_login *l = directory_mail_login(d->directory, t->person);
    const struct directory_access *a = directory_access(d->directory, t->primary);
    return t->person ? l && is_place(l->facts.secret, t)
                     : a && (is_place(a->facts.secret, t) || is_place(a->facts.master_secret, t));
}

bool desk_server_token(struct desk *d, struct net_frame *f)
{
    struct token_put *t = mem_new(sizeof(*t));
    t->frame = buf_make(f->payload.n + 1);
    buf_reserve(&t->frame, f->payload.n);
    buf_adds(&t->frame, f->payload);
    bool is_good = ipc_token_new_unpack(buf_slice(&t->frame), NULL, &t->told) &&
                   t->told.old.n > 0 && t->told.fresh.n > 0 && t->told.asked.n > 0;
    if (is_good && has_place(d, &t->told))
        desk_put_made(d, make, written, t);
    else
        token_put_free(&t);
    return is_good;
}
