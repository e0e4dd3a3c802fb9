/* People's ways to log in, in memory as the store has them. */
#include "login/login_int.h"

#include <sodium.h>

#include "base/pack_write_begin.h"
#include "login/login.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "login/login.def"
#include "base/pack_end.h"

static_assert(HASH_BYTES == crypto_generichash_BYTES, "digests as login.def has them");
static_assert(LOGIN_HASH_TEXT == crypto_pwhash_STRBYTES, "of libsodium's passwords");

void login_before_sandbox(void)
{
    must(sodium_init() >= 0);
}

void login_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

void login_form_wipe(struct login_form *f)
{
    sodium_memzero(f, sizeof(*f));
}

uint32_t day_of(utc_ms t)
{
    return t > 0 ? (uint32_t)(t / DAY_MS) : 0;
}

bool is_over(const struct login_token *t, utc_ms now)
{
    return t->expires && t->expires <= now;
}

struct login *login_create(void)
{
    struct login *l = mem_new(sizeof(*l));
    l->persons = map_create();
    l->tokens = map_create();
    l->throttle = throttle_create();
    l->marks = marks_create();
    random_bytes(l->key, sizeof(l->key));
    return l;
}

static void drop_tokens(struct login *l, struct person *p)
{
    for (uint32_t i = 0; i < p->n_tokens; i++) {
        map_del(l->tokens, p->tokens[i]->facts.hash);
        mem_free(&p->tokens[i]);
    }
    p->n_tokens = 0;
}

void login_destroy(struct login **login)
{
    struct login *l = *login;
    size_t at = 0;
    void *value;
    if (!l)
        return;
    while (map_next(l->persons, &at, NULL, &value)) {
        struct person *p = value;
        drop_tokens(l, p);
        login_wipe(p, sizeof(*p));
        mem_free(&p);
    }
    map_destroy(&l->persons);
    map_destroy(&l->tokens);
    throttle_destroy(&l->throttle);
    marks_destroy(&l->marks);
    login_wipe(l->key, sizeof(l->key));
    mem_free(login);
}

struct person *person_of(const struct login *l, uint64_t id)
{
    return id ? map_get(l->persons, KEY(id)) : NULL;
}

/* ---- to and from the item ---- */

static struct slice bytes_of(const void *p, size_t n)
{
    return slice_of(p, n);
}

void person_facts(const struct person *p, struct arena *a, struct login_facts *ret)
{
    *ret = (struct login_facts){.password = slice_str(p->password),
                                .password_at = p->password_at,
                                .n_tokens = p->n_tokens,
                                .n_networks = p->n_networks,
                                .noted_day = p->noted_day};
    if (p->has_code) {
        ret->code_salt = bytes_of(p->code_salt, SALT_BYTES);
        ret->code_hash = bytes_of(p->code_hash, HASH_BYTES);
        ret->code_until = p->code_until;
        ret->code_tries = p->code_tries;
    }
    ret->tokens = ARENA_ARRAY(a, struct login_token, LOGIN_TOKENS_MAX + 1);
    for (uint32_t i = 0; i < p->n_tokens; i++)
        ret->tokens[i] = p->tokens[i]->facts;
    ret->networks = ARENA_ARRAY(a, struct login_network, LOGIN_NETWORKS_MAX);
    for (uint32_t i = 0; i < p->n_networks; i++)
        ret->networks[i] = (struct login_network){
            bytes_of(p->networks[i].place.p, p->networks[i].place.n), p->networks[i].day};
}

static void take_token(struct login *l, struct person *p, const struct login_token *from)
{
    struct token *t = mem_new(sizeof(*t));
    t->facts = *from;
    memcpy(t->hash, from->hash.p, HASH_BYTES);
    t->facts.hash = bytes_of(t->hash, HASH_BYTES);
    if (from->name.n)
        memcpy(t->name, from->name.p, from->name.n);
    t->facts.name = slice_of(t->name, from->name.n);
    p->tokens[p->n_tokens++] = t;
    map_put(l->tokens, t->facts.hash, p);
}

static void take_into(struct login *l, struct person *p, const struct login_facts *f)
{
    memset(p->password, 0, sizeof(p->password));
    if (f->password.n)
        memcpy(p->password, f->password.p, f->password.n);
    p->password_at = f->password_at;
    p->has_code = f->code_salt.n == SALT_BYTES && f->code_hash.n == HASH_BYTES;
    if (p->has_code) {
        memcpy(p->code_salt, f->code_salt.p, SALT_BYTES);
        memcpy(p->code_hash, f->code_hash.p, HASH_BYTES);
    }
    p->code_until = f->code_until;
    p->code_tries = f->code_tries;
    for (uint32_t i = 0; i < f->n_tokens; i++)
        take_token(l, p, &f->tokens[i]);
    p->n_networks = f->n_networks;
    for (uint32_t i = 0; i < f->n_networks; i++) {
        const struct login_network *n = &f->networks[i];
        p->networks[i].place = (struct login_place){.n = (uint8_t)n->address.n};
        if (n->address.n)
            memcpy(p->networks[i].place.p, n->address.p, n->address.n);
        p->networks[i].day = n->day;
    }
    p->noted_day = f->noted_day;
}

/* The facts may point into the very person: they are packed and read back. */
void person_take(struct login *l, uint64_t id, const struct login_facts *f)
{
    struct person *p = person_of(l, id);
    SCOPED(buf_finish) struct buf b = buf_make(LOGIN_BODY_MAX);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 16);
    struct login_facts copy;
    login_facts_pack(&b, f);
    must(!b.failed && login_facts_unpack(buf_slice(&b), a, &copy));
    if (!p) {
        p = mem_new(sizeof(*p));
        p->id = id;
        map_put(l->persons, KEY(id), p);
    }
    drop_tokens(l, p);
    take_into(l, p, &copy);
    login_wipe(b.p, b.n);
}

static bool are_tokens_good(const struct login_facts *f)
{
    for (uint32_t i = 0; i < f->n_tokens; i++)
        if (f->tokens[i].hash.n != HASH_BYTES || f->tokens[i].id == 0)
            return false;
    return true;
}

enum err login_load(struct login *l, const struct record_item *item, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 16);
    struct login_facts none = {}, f;
    if (item->kind != ITEM_LOGIN || item->id != LOGIN_ITEM)
        return ERR_OK;
    if (item->is_gone) {
        if (person_of(l, item->account))
            person_take(l, item->account, &none);
        return ERR_OK;
    }
    if (!login_facts_unpack(item->body, a, &f) || !are_tokens_good(&f))
        return err_set(ei, ERR_CORRUPT, "the log-in facts of a person are unreadable");
    person_take(l, item->account, &f);
    return ERR_OK;
}

/* ---- looking ---- */

struct login_state login_state(const struct login *l, uint64_t person, utc_ms now)
{
    struct login_state ret = {};
    const struct person *p = person_of(l, person);
    if (!p)
        return ret;
    ret.has_password = p->password[0] != '\0';
    ret.password_at = p->password_at;
    ret.code_until = p->has_code && p->code_until > now ? p->code_until : 0;
    for (uint32_t i = 0; i < p->n_tokens; i++) {
        const struct login_token *t = &p->tokens[i]->facts;
        ret.n_sessions += t->kind == LOGIN_SESSION && !is_over(t, now);
        ret.n_apps += t->kind == LOGIN_APP && !is_over(t, now);
    }
    return ret;
}

bool login_next_token(const struct login *l, uint64_t person, utc_ms now, size_t *at,
                      struct login_token *ret)
{
    const struct person *p = person_of(l, person);
    while (p && *at < p->n_tokens) {
        *ret = p->tokens[(*at)++]->facts;
        if (!is_over(ret, now))
            return true;
    }
    return false;
}
