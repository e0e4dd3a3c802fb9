/* In the statement: what people did in their mailboxes here, and what of it is in the mail system's
 * (worker). What was given back is counted from the items of the accounts, what waits from the
 * emails that changed since. */
#include "admin/statement_int.h"

#include "continuity/mailback.h"
#include "store/store_account.h"

enum { PLAIN_MOST = 50 /* emails of an account that merely came, until there are no others */ };

struct counting {
    struct admin_call *c;
    struct statement *s;
    struct map *domains;      /* name -> uint64_t: its mail system; in the call's arena */
    struct map *given;        /* person -> uint64_t: modseq up to which it is given back */
    struct dir_tokens tokens; /* its grant only */
    bool has_logins;          /* of persons */
    uint32_t n_plain;
    enum err err;
    struct errinfo *ei;
};

static uint64_t *keep_number(struct counting *k, struct map *into, struct slice key, uint64_t n)
{
    uint64_t *value = ARENA_NEW(k->c->arena, uint64_t);
    *value = n;
    map_put(into, key, value);
    return value;
}

static bool keep_domain(void *arg, const struct record_object *o)
{
    struct counting *k = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct dir_domain f;
    if (!o->is_removed && dir_domain_unpack(o->body, a, &f))
        (void)keep_number(k, k->domains, f.name, f.primary);
    return true;
}

static bool see_access(void *arg, const struct record_object *o)
{
    struct counting *k = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct dir_access f;
    if (o->id == k->s->e.primary && !o->is_removed && dir_access_unpack(o->body, a, &f))
        k->s->did.has_access =
            f.n_hosts > 0 && (k->has_logins || directory_opens_all(&f, &k->tokens));
    return true;
}

static bool see_tokens(void *arg, const struct record_object *o)
{
    struct counting *k = arg;
    struct dir_tokens f;
    if (o->id == k->s->e.primary && !o->is_removed && dir_tokens_unpack(o->body, NULL, &f))
        k->tokens.grant = f.grant;
    return true;
}

static bool see_login(void *arg, const struct record_object *o)
{
    struct counting *k = arg;
    struct dir_mail_login f;
    k->has_logins |= !o->is_removed && dir_mail_login_unpack(o->body, NULL, &f) && f.secret.n > 0;
    return !k->has_logins;
}

/* The counts of an item are of one giving back. */
static bool is_of_this(const struct statement *s, const struct mailback_item *item)
{
    return item->round >= s->begin && (!s->e.end_at || item->round <= s->e.end_at);
}

static bool add_item(void *arg, const struct record_item *item)
{
    struct counting *k = arg;
    struct statement_did *did = &k->s->did;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct mailback_item f;
    if (item->is_gone || !mailback_item_unpack(item->body, a, &f) || f.primary != k->s->e.primary)
        return true;
    (void)keep_number(k, k->given, KEY(item->account), f.given);
    for (uint32_t i = 0; i < f.n_left; i++) {
        uint8_t why = f.left[i].why;
        did->waiting += why == MAILBACK_WAITS || why == MAILBACK_LATER;
        did->absent += why == MAILBACK_ABSENT;
        did->ambiguous += why == MAILBACK_AMBIGUOUS;
        did->refused += why == MAILBACK_REFUSED;
    }
    did->refused += f.n_unlisted;
    if (!is_of_this(k->s, &f))
        return true;
    did->mailboxes += f.n_done + f.n_already > 0;
    did->given += f.n_done;
    did->already += f.n_already;
    did->doubtful += f.n_doubtful;
    return true;
}

/* As it came, and nobody touched it. */
static bool is_plain(const struct store_email *e)
{
    return e->created == e->modseq && (e->flags & EMAIL_KEYWORD_BITS) == 0 && !e->is_gone &&
           e->list.n_places == 1;
}

static bool count_email(void *arg, const struct store_email *e)
{
    struct counting *k = arg;
    if (is_plain(e))
        return ++k->n_plain < PLAIN_MOST;
    k->s->did.waiting += !(e->is_gone && (e->flags & EMAIL_BY_RULE));
    return true;
}

static uint64_t primary_of(const struct counting *k, const struct dir_person *p)
{
    struct slice domain = p->n_addresses ? p->addresses[0].text : SLICE("");
    for (ptrdiff_t at; (at = slice_find(domain, '@')) >= 0;)
        domain = slice_skip(domain, (size_t)at + 1);
    const uint64_t *primary = map_get(k->domains, domain);
    return p->primary ? p->primary : primary ? *primary : 0;
}

static bool count_person(void *arg, const struct record_object *o)
{
    struct counting *k = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct dir_person f;
    if (o->is_removed || !dir_person_unpack(o->body, a, &f) || !f.is_covered ||
        primary_of(k, &f) != k->s->e.primary)
        return true;
    const uint64_t *given = map_get(k->given, KEY(o->id));
    k->n_plain = 0;
    /* Number 1 is that of the inbox itself; 0 would mean all, in another order. */
    k->err =
        store_each_email(k->c->reader, o->id, given && *given ? *given : 1, count_email, k, k->ei);
    return k->err == ERR_OK;
}

enum err statement_count_did(struct admin_call *c, struct statement *s, struct errinfo *ei)
{
    struct counting k = {.c = c, .s = s, .domains = map_create(), .given = map_create(), .ei = ei};
    enum err err = store_each_object(c->reader, OBJECT_DOMAIN, keep_domain, &k, ei);
    if (err == ERR_OK)
        err = store_each_object(c->reader, OBJECT_TOKENS, see_tokens, &k, ei);
    if (err == ERR_OK)
        err = store_each_object(c->reader, OBJECT_MAILLOGIN, see_login, &k, ei);
    if (err == ERR_OK)
        err = store_each_object(c->reader, OBJECT_ACCESS, see_access, &k, ei);
    if (err == ERR_OK)
        err = store_each_item(c->reader, 0, ITEM_RETURN, add_item, &k, ei);
    if (err == ERR_OK)
        err = store_each_object(c->reader, OBJECT_PERSON, count_person, &k, ei);
    map_destroy(&k.domains);
    map_destroy(&k.given);
    return err == ERR_OK ? k.err : err;
}

void statement_write_did(struct out *j, const struct statement *s)
{
    const struct statement_did *did = &s->did;
    out_object(j, "changes");
    out_number(j, "mailboxes", did->mailboxes);
    out_number(j, "given", did->given);
    out_number(j, "already", did->already);
    out_number(j, "doubtful", did->doubtful);
    out_number(j, "waiting", did->waiting);
    out_number(j, "absent", did->absent);
    out_number(j, "ambiguous", did->ambiguous);
    out_number(j, "refused", did->refused);
    out_close(j);
}
