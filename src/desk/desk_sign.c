/* DKIM signatures (RFC 6376, 8463) over what people send, with the active keys of their domain. */
#include "desk/desk_submit_int.h"

#include "wire/wire.h"

static const struct directory_domain *domain_of(struct desk *d, struct slice author)
{
    SCOPED(buf_finish) struct buf key = buf_make(600);
    if (wire_address_key(author, &key).fault != WIRE_FINE)
        return NULL;
    return directory_domain(d->directory, desk_domain_of(buf_slice(&key)));
}

void desk_signing_of(struct desk *d, uint64_t tenant, struct slice author, struct arena *a,
                     struct desk_signing *ret)
{
    const struct directory_domain *domain = domain_of(d, author);
    const struct directory_dkim *dkim = domain ? directory_dkim(d->directory, domain->id) : NULL;
    *ret = (struct desk_signing){.domain = SLICE("")};
    if (!dkim)
        return;
    if (domain->tenant != tenant) { /* it went to somebody else while the message was held */
        log_event(EV_DESK_UNSIGNED, "domain=%s selector= why=%s", log_text(domain->facts.name),
                  log_text(SLICE("the domain is not the sender's tenant's")));
        return;
    }
    ret->domain = arena_copy(a, domain->facts.name);
    for (uint32_t i = 0; i < dkim->facts.n_keys; i++) {
        const struct dir_dkim_key *key = &dkim->facts.keys[i];
        if (key->state != DIR_DKIM_ACTIVE)
            continue;
        ret->keys[ret->n].selector = arena_copy(a, key->selector);
        ret->keys[ret->n++].secret = arena_copy(a, key->secret);
    }
}

void desk_sign(const struct desk_signing *s, struct slice message, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        struct sign_key *key = NULL;
        struct errinfo ei;
        enum err err = sign_key_load(s->keys[i].secret, &key, &ei);
        struct sign_dkim with = {
            .key = key, .domain = s->domain, .selector = s->keys[i].selector, .now = utc_now()};
        if (err == ERR_OK)
            err = sign_dkim(&with, message, out, &ei);
        if (err != ERR_OK)
            log_event(EV_DESK_UNSIGNED, "domain=%s selector=%s why=%s", log_text(s->domain),
                      log_text(s->keys[i].selector), log_text(slice_str(ei.text)));
        sign_key_destroy(&key);
    }
}

/* ---- new keys ---- */

struct making {
    struct worker_job job;
    struct buf record[2], secret[2];
    enum err err;
    struct errinfo ei;
    void (*done)(void *cookie, enum err err, const char *why, const struct admin_key keys[2]);
    void *cookie;
};

static enum err make_one(struct making *m, size_t i)
{
    static const enum sign_key_kind kinds[] = {SIGN_KEY_RSA2048, SIGN_KEY_ED25519};
    struct sign_key *key = NULL;
    enum err err = sign_key_create(kinds[i], &key, &m->ei);
    if (err == ERR_OK)
        err = sign_key_pem(key, &m->secret[i], &m->ei);
    if (err == ERR_OK)
        err = sign_key_record(key, &m->record[i], &m->ei);
    sign_key_destroy(&key);
    return err;
}

static void make_work(struct worker_job *job, struct store_reader *)
{
    struct making *m = container_of(job, struct making, job);
    for (size_t i = 0; i < 2 && m->err == ERR_OK; i++)
        m->err = make_one(m, i);
}

static void make_finish(struct worker_job *job)
{
    struct making *m = container_of(job, struct making, job);
    struct admin_key keys[2];
    for (size_t i = 0; i < 2; i++)
        keys[i] = (struct admin_key){buf_slice(&m->record[i]), buf_slice(&m->secret[i])};
    m->done(m->cookie, m->err, m->err == ERR_OK ? "" : m->ei.text, keys);
    for (size_t i = 0; i < 2; i++) {
        sign_wipe(&m->secret[i]);
        buf_finish(&m->secret[i]);
        buf_finish(&m->record[i]);
    }
    mem_free(&m);
}

void desk_make_keys(void *arg,
                    void (*done)(void *cookie, enum err err, const char *why,
                                 const struct admin_key keys[2]),
                    void *cookie)
{
    struct making *m = mem_new(sizeof(*m));
    for (size_t i = 0; i < 2; i++) {
        m->record[i] = buf_make(1000);
        m->secret[i] = buf_make(8000);
    }
    m->done = done;
    m->cookie = cookie;
    m->job.work = make_work;
    m->job.finish = make_finish;
    desk_work(arg, &m->job);
}
