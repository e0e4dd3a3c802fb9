/* The DKIM keys that we sign with: made here, published by a person, used when they are active. The
 * secret half never leaves core. */
#include "admin/admin_int.h"

#include <stdio.h>
#include <time.h>

enum { STRING_MAX = 250, BODY_MAX = 50000 };

static const char *const states[] = {
    [DIR_DKIM_NEW] = "new", [DIR_DKIM_ACTIVE] = "active", [DIR_DKIM_RETIRED] = "retired"};
static const char *const kinds[] = {"rsa-sha256", "ed25519-sha256"};

/* ---- showing ---- */

/* A line for a zone file: a TXT record is made of strings of at most 255 bytes. */
static struct slice zone_line(struct admin_call *c, const struct dir_dkim_key *key,
                              struct slice domain)
{
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    buf_addf(&b, SLICE_FMT "._domainkey." SLICE_FMT ". IN TXT (", SLICE_ARG(key->selector),
             SLICE_ARG(domain));
    for (struct slice left = key->record; left.n > 0;) {
        size_t n = left.n < STRING_MAX ? left.n : STRING_MAX;
        buf_addf(&b, " \"" SLICE_FMT "\"", SLICE_ARG(slice_of(left.p, n)));
        left = slice_skip(left, n);
    }
    buf_adds(&b, SLICE(" )"));
    return arena_copy(c->arena, buf_slice(&b));
}

static void write_key(struct admin_call *c, const struct dir_dkim_key *key, struct slice domain)
{
    struct out *j = &c->json;
    out_object(j, NULL);
    out_text(j, "selector", key->selector);
    out_word(j, "algorithm", kinds[key->kind <= 1 ? key->kind : 0]);
    out_word(j, "state", states[key->state <= DIR_DKIM_RETIRED ? key->state : DIR_DKIM_NEW]);
    out_time(j, "created", key->created);
    out_time(j, "changed", key->changed);
    out_text(j, "record", key->record);
    out_text(j, "dns", zone_line(c, key, domain));
    out_close(j);
}

static const char *words_about(const struct dir_dkim *f)
{
    unsigned n[3] = {};
    for (uint32_t i = 0; i < f->n_keys; i++)
        n[f->keys[i].state <= DIR_DKIM_RETIRED ? f->keys[i].state : 0]++;
    if (f->n_keys == 0)
        return "No keys: what people send from here is not signed. `staffetta dkim create` makes "
               "them.";
    if (n[DIR_DKIM_NEW])
        return "Write the records of the new keys into the DNS; `staffetta domain check` says when "
               "they are seen; then `staffetta dkim activate` lets them sign.";
    return n[DIR_DKIM_ACTIVE] ? "What people send from here is signed."
                              : "No key is active: what people send from here is not signed.";
}

static void write_keys(struct admin_call *c, const struct directory_domain *d)
{
    static const struct dir_dkim none;
    const struct directory_dkim *dkim = directory_dkim(c->host->directory, d->id);
    const struct dir_dkim *f = dkim ? &dkim->facts : &none;
    out_object(&c->json, NULL);
    out_text(&c->json, "domain", d->facts.name);
    out_array(&c->json, "keys");
    for (uint32_t i = 0; i < f->n_keys; i++)
        write_key(c, &f->keys[i], d->facts.name);
    out_close(&c->json);
    out_word(&c->json, "text", words_about(f));
    out_close(&c->json);
}

void do_dkim_keys(struct admin_call *c)
{
    const struct directory_domain *d = call_path_domain(c);
    if (!d)
        return;
    write_keys(c, d);
    call_done(c);
}

/* ---- changing ---- */

/* Of this call, while it goes on. */
struct changing {
    struct slice domain;
    struct dir_dkim f;
};

static void written(struct admin_call *c)
{
    const struct changing *x = c->work;
    const struct directory_domain *d = directory_domain(c->host->directory, x->domain);
    must(d); /* changes take turns */
    write_keys(c, d);
    call_done(c);
}

static void put(struct admin_call *c, const struct directory_domain *d)
{
    const struct changing *x = c->work;
    SCOPED(buf_finish) struct buf body = buf_make(BODY_MAX);
    dir_dkim_pack(&body, &x->f);
    struct record_object o = call_object(c, OBJECT_DKIM, d->tenant, x->domain, &body);
    o.id = d->id;
    call_put(c, &o, written);
}

/* Copies: the directory's own go away while this waits. */
static struct changing *begin(struct admin_call *c, const struct directory_domain *d)
{
    const struct directory_dkim *now = directory_dkim(c->host->directory, d->id);
    struct changing *x = ARENA_NEW(c->arena, struct changing);
    x->domain = arena_copy(c->arena, d->facts.name);
    x->f.keys = ARENA_ARRAY(c->arena, struct dir_dkim_key, DIRECTORY_DKIM_MAX);
    for (uint32_t i = 0; now && i < now->facts.n_keys; i++) {
        struct dir_dkim_key *key = &x->f.keys[x->f.n_keys++];
        *key = now->facts.keys[i];
        key->selector = arena_copy(c->arena, key->selector);
        key->record = arena_copy(c->arena, key->record);
        key->secret = arena_copy(c->arena, key->secret);
    }
    c->work = x;
    return x;
}

/* ---- new keys ---- */

static bool has_selector(const struct dir_dkim *f, struct slice selector)
{
    for (uint32_t i = 0; i < f->n_keys; i++)
        if (slice_eq(f->keys[i].selector, selector))
            return true;
    return false;
}

/* "sf20261122r": the day and the kind, and a letter where that day has one already. */
static struct slice new_selector(struct admin_call *c, const struct dir_dkim *f, uint8_t kind)
{
    char day[16] = "";
    time_t now = (time_t)(utc_now() / 1000);
    struct tm tm;
    if (gmtime_r(&now, &tm))
        (void)strftime(day, sizeof(day), "%Y%m%d", &tm);
    struct slice selector = slice_str(arena_printf(c->arena, "sf%s%c", day, kind == 0 ? 'r' : 'e'));
    for (char more = 'b'; has_selector(f, selector); more++)
        selector = slice_str(arena_printf(c->arena, "sf%s%c%c", day, kind == 0 ? 'r' : 'e', more));
    return selector;
}

/* Those that were retired longest ago make room. */
static bool make_room(struct dir_dkim *f, uint32_t n)
{
    while (f->n_keys + n > DIRECTORY_DKIM_MAX) {
        uint32_t i = 0;
        while (i < f->n_keys && f->keys[i].state != DIR_DKIM_RETIRED)
            i++;
        if (i == f->n_keys)
            return false;
        f->n_keys--;
        memmove(&f->keys[i], &f->keys[i + 1], (f->n_keys - i) * sizeof(*f->keys));
    }
    return true;
}

static void made(void *cookie, enum err err, const char *why, const struct admin_key keys[2])
{
    struct admin_call *c = cookie;
    struct changing *x = c->work;
    const struct directory_domain *d = directory_domain(c->host->directory, x->domain);
    if (err != ERR_OK || !d) {
        call_fail(c, err == ERR_OK ? ERR_GONE : err, err == ERR_OK ? "the domain is gone" : why);
        return;
    }
    for (uint8_t i = 0; i < 2; i++)
        x->f.keys[x->f.n_keys++] =
            (struct dir_dkim_key){.selector = new_selector(c, &x->f, i),
                                  .kind = i,
                                  .state = DIR_DKIM_NEW,
                                  .created = utc_now(),
                                  .changed = utc_now(),
                                  .record = arena_copy(c->arena, keys[i].record),
                                  .secret = arena_copy(c->arena, keys[i].secret)};
    put(c, d);
}

void do_dkim_create(struct admin_call *c)
{
    const struct directory_domain *d = call_path_domain(c);
    if (!d)
        return;
    struct changing *x = begin(c, d);
    if (!make_room(&x->f, 2))
        call_refuse(c, 409,
                    "%s has %u keys that are new or active, and %d is the most. Nothing was "
                    "changed. `staffetta dkim retire` takes one out of use.",
                    log_text(d->facts.name), x->f.n_keys, DIRECTORY_DKIM_MAX);
    else
        c->host->make_keys(c->host->arg, made, c);
}

/* ---- their states ---- */

static void set_state(struct admin_call *c, enum dir_dkim_state state)
{
    const struct directory_domain *d = call_path_domain(c);
    if (!d)
        return;
    struct changing *x = begin(c, d);
    struct dir_dkim_key *key = NULL;
    for (uint32_t i = 0; i < x->f.n_keys; i++)
        if (slice_ieq(x->f.keys[i].selector, c->part[1]))
            key = &x->f.keys[i];
    if (!key) {
        call_refuse(c, 404,
                    "%s has no key with the selector %s. Nothing was changed. `staffetta dkim "
                    "show` lists them.",
                    log_text(d->facts.name), log_text(c->part[1]));
        return;
    }
    /* One of each kind signs: the new one takes the place of the one before. */
    for (uint32_t i = 0; i < x->f.n_keys && state == DIR_DKIM_ACTIVE; i++) {
        struct dir_dkim_key *other = &x->f.keys[i];
        if (other == key || other->kind != key->kind || other->state != DIR_DKIM_ACTIVE)
            continue;
        other->state = DIR_DKIM_RETIRED;
        other->changed = utc_now();
    }
    key->state = (uint8_t)state;
    key->changed = utc_now();
    put(c, d);
}

void do_dkim_activate(struct admin_call *c)
{
    set_state(c, DIR_DKIM_ACTIVE);
}

void do_dkim_retire(struct admin_call *c)
{
    set_state(c, DIR_DKIM_RETIRED);
}
