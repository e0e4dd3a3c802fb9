/* Changes of a person's ways to log in: what her item says afterwards. */
#include "login/login_int.h"

#include "base/log.h"

static void remove_at(struct login_facts *f, uint32_t i)
{
    memmove(&f->tokens[i], &f->tokens[i + 1], (f->n_tokens - i - 1) * sizeof(*f->tokens));
    f->n_tokens--;
}

static void end_sessions(struct login_facts *f)
{
    for (uint32_t i = f->n_tokens; i-- > 0;)
        if (f->tokens[i].kind == LOGIN_SESSION)
            remove_at(f, i);
}

static void end_code(struct login_facts *f)
{
    f->code_salt = f->code_hash = SLICE("");
    f->code_until = 0;
    f->code_tries = 0;
}

/* The session that was not used for longest. */
static bool drop_oldest_session(struct login_facts *f)
{
    uint32_t oldest = f->n_tokens;
    for (uint32_t i = 0; i < f->n_tokens; i++)
        if (f->tokens[i].kind == LOGIN_SESSION &&
            (oldest == f->n_tokens || f->tokens[i].used_day < f->tokens[oldest].used_day))
            oldest = i;
    if (oldest == f->n_tokens)
        return false;
    remove_at(f, oldest);
    return true;
}

static bool is_name_taken(const struct login_facts *f, struct slice name)
{
    for (uint32_t i = 0; i < f->n_tokens; i++)
        if (f->tokens[i].kind == LOGIN_APP && slice_ieq(f->tokens[i].name, name))
            return true;
    return false;
}

static enum err add_token(struct login_facts *f, const struct login_change *c, struct errinfo *ei)
{
    struct slice name = slice_of(c->name, c->n_name);
    for (uint32_t i = f->n_tokens; i-- > 0;)
        if (is_over(&f->tokens[i], c->now))
            remove_at(f, i);
    if (c->kind == LOGIN_APP && is_name_taken(f, name))
        return err_set(ei, ERR_EXISTS, "there is a token called %s already", log_text(name));
    if (f->n_tokens >= LOGIN_TOKENS_MAX && !drop_oldest_session(f)) {
        (void)refuse(REFUSE_LOGIN_TOKENS, name);
        return err_set(ei, ERR_LIMIT, "there are %d app tokens already", LOGIN_TOKENS_MAX);
    }
    bool is_session = c->kind == LOGIN_SESSION;
    f->tokens[f->n_tokens++] = (struct login_token){
        .id = c->token,
        .hash = slice_of((const char *)c->hash, HASH_BYTES),
        .kind = (uint8_t)c->kind,
        .name = name,
        .created = c->now,
        .expires = is_session ? c->now + (utc_ms)LOGIN_SESSION_DAYS * DAY_MS : 0,
        .used_day = is_session ? day_of(c->now) : 0,
    };
    return ERR_OK;
}

static enum err remove_token(struct login_facts *f, const struct login_change *c,
                             struct errinfo *ei)
{
    for (uint32_t i = 0; i < f->n_tokens; i++)
        if (f->tokens[i].id == c->token) {
            remove_at(f, i);
            return ERR_OK;
        }
    return err_set(ei, ERR_GONE, "there is no such token");
}

static enum err change(struct login_facts *f, const struct login_change *c, struct errinfo *ei)
{
    switch (c->what) {
    case LOGIN_SET_PASSWORD:
        f->password = slice_str(c->password);
        f->password_at = c->now;
        end_sessions(f);
        return ERR_OK;
    case LOGIN_SET_CODE:
        f->code_salt = slice_of((const char *)c->salt, SALT_BYTES);
        f->code_hash = slice_of((const char *)c->hash, HASH_BYTES);
        f->code_until = c->now + (utc_ms)LOGIN_CODE_MINUTES * 60 * 1000;
        f->code_tries = LOGIN_CODE_TRIES;
        return ERR_OK;
    case LOGIN_ADD_TOKEN:
        return add_token(f, c, ei);
    case LOGIN_REMOVE_TOKEN:
        return remove_token(f, c, ei);
    case LOGIN_END_SESSIONS:
        end_sessions(f);
        end_code(f);
        return ERR_OK;
    case LOGIN_NOTE:
        f->noted_day = day_of(c->now);
        return ERR_OK;
    }
    must(false);
    return ERR_INVALID;
}

static enum err changed(const struct login *l, const struct login_change *c, struct arena *a,
                        struct login_facts *ret, struct errinfo *ei)
{
    static const struct person nobody;
    const struct person *p = person_of(l, c->person);
    person_facts(p ? p : &nobody, a, ret);
    return change(ret, c, ei);
}

enum err login_propose(const struct login *l, const struct login_change *c, struct buf *ret,
                       struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 16);
    struct login_facts f;
    enum err err = changed(l, c, a, &f, ei);
    if (err == ERR_OK)
        login_facts_pack(ret, &f);
    return err;
}

/* Done anew on what memory says by now: a code that was used up meanwhile stays so. */
void login_apply(struct login *l, const struct login_change *c)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 16);
    struct login_facts f;
    struct errinfo ei;
    if (changed(l, c, a, &f, &ei) == ERR_OK)
        person_take(l, c->person, &f);
}
