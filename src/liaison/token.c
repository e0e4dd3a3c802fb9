/* Tokens that are good still, and conversations that are opened with them. */
#include "liaison/token_int.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

enum {
    ENTRIES_MAX = 4096,
    KEY_BYTES = 32,
    MARGIN_SECONDS = 60,  /* a conversation shall not begin with one that ends at once */
    UNTOLD_SECONDS = 300, /* where nobody said how long it is good */
    LIVES_MAX_SECONDS = 86400,
    WAIT_SECONDS = 1, /* between looks whether we are stopping */
};

struct entry {
    char key[KEY_BYTES];
    struct buf token, refresh; /* `refresh`: took the place of the one in the key; or empty */
    mono_us until;
    bool is_asking; /* a thread asks: it alone changes the entry, nobody frees it */
};
struct liaison_tokens {
    token_tell_fn tell; /* set once */
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct map *entries; /* under lock: key -> struct entry */
};

static void wipe(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->cap);
    b->n = 0;
}

static void entry_destroy(struct entry *e)
{
    wipe(&e->token);
    wipe(&e->refresh);
    buf_finish(&e->token);
    buf_finish(&e->refresh);
    mem_free(&e);
}

struct liaison_tokens *liaison_tokens_create(token_tell_fn tell, void *arg)
{
    struct liaison_tokens *t = mem_new(sizeof(*t));
    pthread_condattr_t attributes;
    t->tell = tell;
    t->arg = arg;
    must(pthread_mutex_init(&t->lock, NULL) == 0 && pthread_condattr_init(&attributes) == 0 &&
         pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&t->wake, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    t->entries = map_create();
    return t;
}

void liaison_tokens_destroy(struct liaison_tokens **tokens)
{
    struct liaison_tokens *t = *tokens;
    size_t at = 0;
    void *value;
    if (!t)
        return;
    while (map_next(t->entries, &at, NULL, &value))
        entry_destroy(value);
    map_destroy(&t->entries);
    (void)pthread_cond_destroy(&t->wake);
    (void)pthread_mutex_destroy(&t->lock);
    mem_free(tokens);
}

/* ---- which one ---------------------------------------------------------------------------------
 */

static struct slice user_of(const struct ipc_server *s)
{
    return s->act_as.n ? s->act_as : s->user;
}

static void add_part(EVP_MD_CTX *c, struct slice s)
{
    uint64_t n = s.n;
    must(EVP_DigestUpdate(c, &n, sizeof(n)) && EVP_DigestUpdate(c, s.n ? s.p : "", s.n));
}

/* An application's token opens all mailboxes; the others are one person's. */
static void make_key(const struct ipc_server *s, char ret[KEY_BYTES])
{
    const struct ipc_token_source *from = &s->token[0];
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL));
    must(EVP_DigestUpdate(c, &from->grant, 1));
    add_part(c, from->url);
    add_part(c, from->client_id);
    add_part(c, from->client_secret);
    add_part(c, from->scope);
    add_part(c, from->grant == IPC_GRANT_ASSERTION ? user_of(s) : SLICE(""));
    add_part(c, from->grant == IPC_GRANT_REFRESH ? s->secret : SLICE(""));
    must(EVP_DigestFinal_ex(c, (unsigned char *)ret, NULL));
    EVP_MD_CTX_free(c);
}

/* Room for one more: the one that ends first goes. Under lock. */
static void make_room(struct liaison_tokens *t)
{
    struct entry *first = NULL;
    size_t at = 0;
    void *value;
    if (map_size(t->entries) < ENTRIES_MAX)
        return;
    while (map_next(t->entries, &at, NULL, &value)) {
        struct entry *e = value;
        if (!e->is_asking && (!first || e->until < first->until))
            first = e;
    }
    if (!first)
        return; /* as many as there are threads are asked for, never more */
    (void)map_del(t->entries, slice_of(first->key, KEY_BYTES));
    entry_destroy(first);
}

/* Under lock. */
static struct entry *entry_of(struct liaison_tokens *t, const char key[KEY_BYTES])
{
    struct entry *e = map_get(t->entries, slice_of(key, KEY_BYTES));
    if (e)
        return e;
    make_room(t);
    e = mem_new(sizeof(*e));
    memcpy(e->key, key, KEY_BYTES);
    e->token = buf_make(TOKEN_MAX);
    e->refresh = buf_make(TOKEN_MAX);
    map_put(t->entries, slice_of(e->key, KEY_BYTES), e);
    return e;
}

/* ---- getting one -------------------------------------------------------------------------------
 */

/* Until nobody asks for it; under lock. False: we are stopping, or it took too long. */
static bool wait_for(struct liaison_tokens *t, const char key[KEY_BYTES], mono_us deadline,
                     struct entry **ret)
{
    for (;;) {
        struct entry *e = entry_of(t, key); /* another one after each wait: it may be gone */
        mono_us now = mono_now(), most = now + SECONDS(WAIT_SECONDS);
        *ret = e;
        if (!e->is_asking)
            return true;
        if (now >= deadline)
            return false;
        mono_us until = deadline < most ? deadline : most;
        struct timespec at = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
        (void)pthread_cond_timedwait(&t->wake, &t->lock, &at);
    }
}

static mono_us end_of(uint32_t lives_sec)
{
    mono_us lives = SECONDS(lives_sec == 0                  ? UNTOLD_SECONDS
                            : lives_sec > LIVES_MAX_SECONDS ? LIVES_MAX_SECONDS
                                                            : lives_sec);
    mono_us margin = lives / 2 < SECONDS(MARGIN_SECONDS) ? lives / 2 : SECONDS(MARGIN_SECONDS);
    return mono_now() + lives - margin;
}

/* One refresh token took the place of another: whoever still names the old one gets the new one's
 * tokens. */
static void note_refresh(struct liaison_tokens *t, uint64_t primary, const struct ipc_server *s,
                         struct slice used, const struct token_answer *a)
{
    struct ipc_token_new told = {.primary = primary,
                                 .person = s->token[0].person,
                                 .old = used,
                                 .fresh = buf_slice(&a->refresh)};
    bool is_other = a->refresh.n > 0 && !slice_eq(told.fresh, used);
    if (is_other && s->token[0].grant == IPC_GRANT_REFRESH && t->tell)
        t->tell(t->arg, &told);
}

static void keep(struct entry *e, const struct token_answer *a)
{
    wipe(&e->token);
    buf_reserve(&e->token, TOKEN_MAX);
    buf_adds(&e->token, buf_slice(&a->token));
    e->until = end_of(a->lives_sec);
    if (a->refresh.n == 0)
        return;
    wipe(&e->refresh);
    buf_reserve(&e->refresh, TOKEN_MAX);
    buf_adds(&e->refresh, buf_slice(&a->refresh));
}

/* Under both names: core asks by the new refresh token as soon as it has written it down. */
static void keep_all(struct liaison_tokens *t, struct entry *e, const struct ipc_server *s,
                     const struct token_answer *a)
{
    char key[KEY_BYTES];
    struct ipc_server next = *s;
    keep(e, a);
    if (a->refresh.n == 0 || s->token[0].grant != IPC_GRANT_REFRESH)
        return;
    next.secret = buf_slice(&a->refresh);
    make_key(&next, key);
    struct entry *other = entry_of(t, key); /* `e` is being asked for: it is not freed for room */
    if (other != e && !other->is_asking)
        keep(other, a);
}

static bool ask(struct liaison_tokens *t, const struct courier_network *net, uint64_t primary,
                const struct ipc_server *s, struct entry *e, mono_us deadline,
                struct mailbox_end *end)
{
    struct token_answer a;
    struct slice refresh = e->refresh.n ? buf_slice(&e->refresh) : s->secret;
    token_answer_init(&a);
    e->is_asking = true;
    pthread_mutex_unlock(&t->lock);
    bool has_token = token_ask(net, &s->token[0], user_of(s), refresh, deadline, &a);
    if (has_token)
        note_refresh(t, primary, s, refresh, &a);
    pthread_mutex_lock(&t->lock);
    if (has_token)
        keep_all(t, e, s, &a);
    e->is_asking = false;
    (void)pthread_cond_broadcast(&t->wake);
    *end = a.end;
    token_answer_finish(&a);
    return has_token;
}

bool token_get(struct liaison_tokens *t, const struct courier_network *net, uint64_t primary,
               const struct ipc_server *s, mono_us deadline, struct buf *ret, bool *ret_is_kept,
               struct mailbox_end *end)
{
    char key[KEY_BYTES];
    struct entry *e;
    make_key(s, key);
    pthread_mutex_lock(&t->lock);
    bool is_free = wait_for(t, key, deadline, &e);
    *ret_is_kept = is_free && e->token.n > 0 && mono_now() < e->until;
    if (!is_free)
        mailbox_end_ours(end, IPC_STEP_LOGIN, "no token: another thread waits for it too long");
    bool has_token = *ret_is_kept || (is_free && ask(t, net, primary, s, e, deadline, end));
    if (has_token) {
        buf_reserve(ret, TOKEN_MAX);
        buf_adds(ret, buf_slice(&e->token));
    }
    pthread_mutex_unlock(&t->lock);
    return has_token;
}

void token_drop(struct liaison_tokens *t, const struct ipc_server *s, struct slice token)
{
    char key[KEY_BYTES];
    make_key(s, key);
    pthread_mutex_lock(&t->lock);
    struct entry *e = map_get(t->entries, slice_of(key, KEY_BYTES));
    if (e && !e->is_asking && slice_eq(buf_slice(&e->token), token))
        wipe(&e->token);
    pthread_mutex_unlock(&t->lock);
}

/* ---- opening -----------------------------------------------------------------------------------
 */

void mailbox_way_finish(struct mailbox_way *w)
{
    wipe(&w->token);
    buf_finish(&w->token);
}

/* With a token. `*ret_is_kept`: a new one may do better than this. */
static struct mailbox *enter(struct mailbox_way *w, mono_us deadline, utc_ms *cert_until,
                             bool *ret_is_kept, struct mailbox_end *end)
{
    mailbox_way_finish(w);
    w->token = buf_make(TOKEN_MAX);
    if (!token_get(w->tokens, w->net, w->primary, w->server, deadline, &w->token, ret_is_kept, end))
        return NULL;
    w->with_token = *w->server;
    w->with_token.secret = buf_slice(&w->token);
    struct mailbox *m = mailbox_open(w->net, &w->with_token, deadline, cert_until, end);
    if (!m && end->step == IPC_STEP_LOGIN)
        token_drop(w->tokens, w->server, buf_slice(&w->token));
    return m;
}

struct mailbox *mailbox_enter(struct mailbox_way *w, mono_us deadline, utc_ms *cert_until,
                              struct mailbox_end *end)
{
    bool is_kept = false;
    if (w->server->n_token == 0 || w->server->mechanism != IPC_LOGIN_XOAUTH2)
        return mailbox_open(w->net, w->server, deadline, cert_until, end);
    if (!w->tokens) {
        mailbox_end_ours(end, IPC_STEP_LOGIN, "no tokens can be asked for here");
        return NULL;
    }
    struct mailbox *m = enter(w, deadline, cert_until, &is_kept, end);
    if (!m && is_kept && end->step == IPC_STEP_LOGIN)
        m = enter(w, deadline, cert_until, &is_kept, end);
    return m;
}
