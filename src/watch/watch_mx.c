/* Where the mail of a domain goes (RFC 5321 section 5.1, RFC 7505) and how long it would take to
 * send it elsewhere. */
#include "watch/watch_int.h"

#include <stdio.h>

enum { TTL_INLINE = 3600, TTL_SECOND = 300 };

/* ---- reading --------------------------------------------------------------------------------- */

static void add_exchanger(struct watch_look *l, const struct watch_exchanger *x)
{
    size_t at = l->n_mx;
    while (at > 0 && l->mx[at - 1].preference > x->preference)
        at--;
    if (at == WATCH_HOSTS_MAX)
        return; /* further ones are less wanted than all that we have */
    size_t n_move = (l->n_mx < WATCH_HOSTS_MAX ? l->n_mx : WATCH_HOSTS_MAX - 1) - at;
    memmove(&l->mx[at + 1], &l->mx[at], n_move * sizeof(l->mx[0]));
    l->mx[at] = *x;
    l->n_mx += l->n_mx < WATCH_HOSTS_MAX;
}

/* By our name, or by another one that leads to us and nowhere else. */
static bool is_ours(const struct watch_look *l, const char *name)
{
    struct watch_addresses there;
    if (slice_ieq(slice_str(name), l->node->name))
        return true;
    watch_addresses(l->dns, name, &there);
    for (size_t i = 0; i < there.n; i++)
        if (!watch_has_address(l->own.list, l->own.n, there.list[i]))
            return false;
    return there.n > 0;
}

/* The null MX gives no exchanger; `*ret_is_null` says that it was there. */
static void read_exchangers(struct watch_look *l, const struct watch_records *r, bool *ret_is_null)
{
    *ret_is_null = false;
    for (size_t i = 0; i < r->n; i++) {
        struct watch_exchanger x = {};
        struct reader reader = reader_make(r->data[i]);
        if (reader.rest.n < 3)
            continue;
        /* Network order, which the reader does not know. */
        uint8_t high = read_u8(&reader), low = read_u8(&reader);
        x.preference = (uint16_t)(high << 8 | low);
        if (!watch_name_read(&reader.rest, x.name) || reader.rest.n > 0)
            continue;
        if (x.name[0] == '\0')
            *ret_is_null = true;
        else
            add_exchanger(l, &x);
    }
    for (size_t i = 0; i < l->n_mx; i++)
        l->mx[i].is_ours = is_ours(l, l->mx[i].name);
}

/* ---- where it goes --------------------------------------------------------------------------- */

static void list_exchangers(const struct watch_look *l, struct watch_finding *f)
{
    for (size_t i = 0; i < l->n_mx; i++) {
        char one[WATCH_NAME_MAX + 40];
        (void)snprintf(one, sizeof(one), "%u %s%s", l->mx[i].preference, l->mx[i].name,
                       l->mx[i].is_ours ? " (this node)" : "");
        watch_join(f->found, sizeof(f->found), one);
    }
}

static void advise(const struct watch_look *l, struct watch_finding *f)
{
    const struct watch_domain *d = l->domain;
    if (d->form == WATCH_SECOND)
        WATCH_SAY(f->advice,
                  "Write behind the mail system's own MX, with a higher number:  " SLICE_FMT
                  ". MX 20 " SLICE_FMT ".",
                  SLICE_ARG(d->name), SLICE_ARG(l->node->name));
    else
        WATCH_SAY(f->advice,
                  "Write as the only MX of the domain:  " SLICE_FMT ". 3600 MX 10 " SLICE_FMT ".",
                  SLICE_ARG(d->name), SLICE_ARG(l->node->name));
}

static void wrong(const struct watch_look *l, struct watch_finding *f, enum watch_class class,
                  const char *why)
{
    f->class = class;
    WATCH_SAY(f->why, "%s", why);
    advise(l, f);
}

/* Inline and hosted: everything comes to us. */
static void judge_alone(const struct watch_look *l, struct watch_finding *f, size_t n_ours)
{
    if (n_ours == 0)
        wrong(l, f, WATCH_ALARM,
              "Mail goes past this node: it is not kept, and not taken in an emergency.");
    else if (n_ours < l->n_mx && !l->mx[0].is_ours)
        wrong(l, f, WATCH_ALARM,
              "Most mail goes past this node: it is not kept, and waits or is lost when that host "
              "is down.");
    else if (n_ours < l->n_mx)
        wrong(l, f, WATCH_NOTICE,
              "Some mail goes past this node, spam above all: it is not kept here.");
}

/* Second: the primary first, then we. */
static void judge_second(const struct watch_look *l, struct watch_finding *f, size_t n_ours)
{
    if (n_ours == 0)
        wrong(l, f, WATCH_ALARM,
              "When the mail system is down nobody brings its mail here: it stays with its "
              "senders, and comes back to them after some days.");
    else if (l->mx[0].is_ours)
        wrong(l, f, WATCH_NOTICE,
              "Senders come here first, on normal days too: the domain is set up as `second`, so "
              "the mail system should be more wanted (a lower number).");
}

static void judge_exchangers(struct watch_look *l, struct watch_finding *f, bool is_null)
{
    size_t n_ours = 0;
    for (size_t i = 0; i < l->n_mx; i++)
        n_ours += l->mx[i].is_ours;
    list_exchangers(l, f);
    if (l->n_mx == 0) {
        WATCH_SAY(f->found, "%s",
                  is_null ? "a null MX: the domain says that it takes no mail"
                          : "MX records, none with a usable name");
        wrong(l, f, WATCH_ALARM, "Nobody can send mail to this domain.");
    } else if (l->domain->form == WATCH_SECOND) {
        judge_second(l, f, n_ours);
    } else {
        judge_alone(l, f, n_ours);
    }
}

/* ---- how long a switch takes ------------------------------------------------------------------
 */

/* A cache gives the rest of the time only: what was seen freshly holds until it must have run out.
 */
static uint32_t ttl_of(const struct watch_domain *d, uint32_t seen)
{
    return seen < d->ttl_known && d->ttl_age < (int64_t)d->ttl_known ? d->ttl_known : seen;
}

static void judge_ttl(struct watch_look *l, const struct watch_records *r)
{
    struct watch_finding *f = watch_add(l->all, WATCH_TTL);
    bool is_second = l->domain->form == WATCH_SECOND;
    uint32_t best = is_second ? TTL_SECOND : TTL_INLINE;
    WATCH_SAY(f->expected, "at most %u seconds", best);
    if (watch_is_unanswered(f, r, "the MX"))
        return;
    if (r->status != WATCH_ANSWER_OK) {
        WATCH_SAY(f->found, "no MX, so nothing to switch");
        return;
    }
    f->number = ttl_of(l->domain, r->ttl);
    WATCH_SAY(f->found,
              "%lld seconds: after a change of the MX it takes up to %s until all senders "
              "follow",
              (long long)f->number, watch_span(f->number).s);
    if (f->number <= best)
        return;
    f->class = WATCH_NOTICE;
    WATCH_SAY(f->why, "%s",
              is_second ? "In an emergency the MX may have to be switched to this node, and back "
                          "afterwards: senders keep the old answer for so long."
                        : "If this node had to be replaced, senders would keep the old answer for "
                          "so long.");
    WATCH_SAY(f->advice, "Set the TTL of the MX records of " SLICE_FMT " to %u.",
              SLICE_ARG(l->domain->name), best);
}

void watch_judge_mx(struct watch_look *l)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct watch_finding *f = watch_add(l->all, WATCH_MX);
    struct watch_records r;
    bool is_null;
    watch_ask(l->dns, WATCH_TYPE_MX, a, &r, SLICE_FMT, SLICE_ARG(l->domain->name));
    if (l->domain->form == WATCH_SECOND)
        WATCH_SAY(f->expected, "the mail system, then " SLICE_FMT, SLICE_ARG(l->node->name));
    else
        WATCH_SAY(f->expected, SLICE_FMT " alone", SLICE_ARG(l->node->name));
    if (r.status == WATCH_ANSWER_OK) {
        read_exchangers(l, &r, &is_null);
        judge_exchangers(l, f, is_null);
    } else if (watch_is_unanswered(f, &r, "the MX")) {
        l->is_mx_unknown = true;
    } else {
        bool is_gone = r.status == WATCH_ANSWER_NO_NAME;
        WATCH_SAY(f->found, "%s", is_gone ? "the domain does not exist in DNS" : "no MX");
        wrong(l, f, WATCH_ALARM,
              is_gone ? "Mail to this domain is refused everywhere."
                      : "Senders try the address of the domain itself, not this node.");
    }
    judge_ttl(l, &r);
}
