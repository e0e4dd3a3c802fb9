/* Tokens that are good still, and conversations that are opened with them. */
#include "liaison/token_int.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

enum {
    ENTRIES_MAX = 4096,
    KEY_BYTES = 32,
    NAMES_MAX = 8,        /* refresh tokens in turn by which core may still ask for one */
    MARGIN_SECONDS = 60,  /* a conversation shall not begin with one that ends at once */
    UNTOLD_SECONDS = 300, /* where nobody said how long it is good */
    LIVES_MAX_SECONDS = 86400,
    WAIT_SECONDS = 1, /* between looks whether we are stopping */
};

/* What one agreement gives, under each refresh token that it had: whoever still names an old one
 * gets the newest's tokens, and nobody asks twice with the same one. */
struct entry {
    char names[NAMES_MAX][KEY_BYTES]; /* keys; the one that was asked for last is the first */
    unsigned n_names;
    struct buf token, refresh; /* `refresh`: took the place of those in the keys; or empty */
    struct buf before;         /* what `refresh` itself took the place of */
    mono_us until;
    bool is_asking; /* a thread asks: it alone changes the entry, nobody frees it */
    bool is_owed;   /* core has not named `refresh` yet: it may have nothing of it */
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

/* With all its names. Under lock. */
static void entry_destroy(struct liaison_tokens *t, struct entry *e)
{
    for (unsigned i = 0; i < e->n_names; i++)
        (void)map_del(t->entries, slice_of(e->names[i], KEY_BYTES));
    wipe(&e->token);
    wipe(&e->refresh);
    wipe(&e->before);
    buf_finish(&e->token);
    buf_finish(&e->refresh);
    buf_finish(&e->before);
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
        entry_destroy(t, value);
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

static bool goes_before(const struct entry *a, const struct entry *b)
{
    return a->is_owed != b->is_owed ? b->is_owed : a->until < b->until;
}

/* Room for one more: the one that ends first goes, of those that core has written down if there are
 * any. Under lock. */
static void make_room(struct liaison_tokens *t)
{
    struct entry *first = NULL;
    size_t at = 0;
    void *value;
    if (map_size(t->entries) < ENTRIES_MAX)
        return;
    while (map_next(t->entries, &at, NULL, &value)) {
        struct entry *e = value;
        if (!e->is_asking && (!first || goes_before(e, first)))
            first = e;
    }
    if (first) /* else as many as there are threads are asked for, never more */
        entry_destroy(t, first);
}

/* The name at `from` stands at `to` now, before those that were there. */
static void move_name(struct entry *e, unsigned from, unsigned to)
{
    char key[KEY_BYTES];
    memcpy(key, e->names[from], KEY_BYTES);
    memmove(e->names[to + 1], e->names[to], (size_t)(from - to) * KEY_BYTES);
    memcpy(e->names[to], key, KEY_BYTES);
}

/* In place of the one that nobody asked for the longest; behind what core asks by now. Under lock.
 */
static void add_name(struct liaison_tokens *t, struct entry *e, const char key[KEY_BYTES])
{
    if (e->n_names == NAMES_MAX)
        (void)map_del(t->entries, slice_of(e->names[--e->n_names], KEY_BYTES));
    memcpy(e->names[e->n_names++], key, KEY_BYTES);
    move_name(e, e->n_names - 1, e->n_names > 1);
    (void)map_put(t->entries, slice_of(key, KEY_BYTES), e);
}

/* Under lock. */
static struct entry *entry_of(struct liaison_tokens *t, const char key[KEY_BYTES])
{
    struct entry *e = map_get(t->entries, slice_of(key, KEY_BYTES));
    if (!e) {
        make_room(t);
        e = mem_new(sizeof(*e));
        e->token = buf_make(TOKEN_MAX);
        e->refresh = buf_make(TOKEN_MAX);
        e->before = buf_make(TOKEN_MAX);
        add_name(t, e, key);
    }
    unsigned i = 0;
    while (memcmp(e->names[i], key, KEY_BYTES) != 0)
        i++;
    move_name(e, i, 0);
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

static void set(struct buf *b, struct slice s)
{
    wipe(b);
    buf_reserve(b, TOKEN_MAX); /* growing would leave copies behind */
    buf_adds(b, s);
}

/* Another refresh token: core asks by it as soon as it has written it down. Under lock. */
static void keep_refresh(struct liaison_tokens *t, struct entry *e, const struct ipc_server *s,
                         struct slice used, struct slice fresh)
{
    char key[KEY_BYTES];
    struct ipc_server next = *s;
    set(&e->before, used);
    set(&e->refresh, fresh);
    next.secret = fresh;
    make_key(&next, key);
    struct entry *other = map_get(t->entries, slice_of(key, KEY_BYTES));
    if (other == e || (other && other->is_asking))
        return;
    if (other)
        entry_destroy(t, other);
    add_name(t, e, key);
}

static bool ask(struct liaison_tokens *t, const struct courier_network *net,
                const struct ipc_server *s, struct entry *e, mono_us deadline,
                struct mailbox_end *end)
{
    struct token_answer a;
    struct buf used = buf_make(TOKEN_MAX);
    set(&used, e->refresh.n ? buf_slice(&e->refresh) : s->secret);
    token_answer_init(&a);
    e->is_asking = true;
    pthread_mutex_unlock(&t->lock);
    bool has_token = token_ask(net, &s->token[0], user_of(s), buf_slice(&used), deadline, &a);
    pthread_mutex_lock(&t->lock);
    if (has_token) {
        set(&e->token, buf_slice(&a.token));
        e->until = end_of(a.lives_sec);
    }
    if (has_token && s->token[0].grant == IPC_GRANT_REFRESH && a.refresh.n > 0 &&
        !slice_eq(buf_slice(&a.refresh), buf_slice(&used)))
        keep_refresh(t, e, s, buf_slice(&used), buf_slice(&a.refresh));
    e->is_asking = false;
    (void)pthread_cond_broadcast(&t->wake);
    *end = a.end;
    token_answer_finish(&a);
    wipe(&used);
    buf_finish(&used);
    return has_token;
}

/* A refresh token that core does not name is told: each time, since what it was told before may
 * have been lost on the way (its link full, or away) or not been written (no disk), and without it
 * a person would have to agree anew. Under lock, which is let go meanwhile; `e` may be gone then.
 */
static void tell_refresh(struct liaison_tokens *t, uint64_t primary, const struct ipc_server *s,
                         struct entry *e)
{
    struct buf old = buf_make(TOKEN_MAX), fresh = buf_make(TOKEN_MAX);
    e->is_owed = e->refresh.n > 0 && !slice_eq(buf_slice(&e->refresh), s->secret);
    if (!e->is_owed || !t->tell)
        return;
    set(&old, buf_slice(&e->before));
    set(&fresh, buf_slice(&e->refresh));
    const struct ipc_token_new told = {.primary = primary,
                                       .person = s->token[0].person,
                                       .old = buf_slice(&old),
                                       .fresh = buf_slice(&fresh),
                                       .asked = s->secret};
    pthread_mutex_unlock(&t->lock);
    t->tell(t->arg, &told);
    wipe(&old);
    wipe(&fresh);
    buf_finish(&old);
    buf_finish(&fresh);
    pthread_mutex_lock(&t->lock);
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
    bool has_token = *ret_is_kept || (is_free && ask(t, net, s, e, deadline, end));
    if (has_token) {
        buf_reserve(ret, TOKEN_MAX);
        buf_adds(ret, buf_slice(&e->token));
    }
    if (is_free)
        tell_refresh(t, primary, s, e);
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
