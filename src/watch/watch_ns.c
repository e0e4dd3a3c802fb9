/* Do the name servers of a domain outlive the network of the company? If they stand beside its mail
 * server, DNS dies with it, and after one TTL nobody finds even us. */
#include "watch/watch_int.h"

#include <stdio.h>

enum { SERVERS_MAX = 8, STEPS_MAX = 8 };

struct servers {
    char name[SERVERS_MAX][WATCH_NAME_MAX];
    bool is_inside[SERVERS_MAX];
    size_t n, n_inside, n_known;
};

static void read_servers(const struct watch_records *r, struct servers *ret)
{
    for (size_t i = 0; i < r->n && ret->n < SERVERS_MAX; i++) {
        struct slice data = r->data[i];
        if (watch_name_read(&data, ret->name[ret->n]) && data.n == 0 && ret->name[ret->n][0])
            ret->n++;
    }
}

/* The name servers of the zone that the domain is in; false: unanswered, `*ret_last` says how. */
static bool find_servers(const struct watch_look *l, struct servers *ret,
                         struct watch_records *ret_last)
{
    struct slice at = l->domain->name;
    *ret_last = (struct watch_records){.status = WATCH_ANSWER_NO_DATA};
    for (int step = 0; step < STEPS_MAX && at.n > 0 && ret->n == 0; step++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
        struct watch_records r;
        watch_ask(l->dns, WATCH_TYPE_NS, a, &r, SLICE_FMT, SLICE_ARG(at));
        ret_last->status = r.status;
        if (r.status == WATCH_ANSWER_NONE || r.status == WATCH_ANSWER_BOGUS)
            return false;
        read_servers(&r, ret);
        (void)slice_cut(at, '.', &at);
    }
    return true;
}

static bool is_inside(const struct watch_domain *d, const struct wire_ip *ip)
{
    for (size_t i = 0; i < d->n_networks; i++)
        if (watch_network_has(d->networks[i], *ip))
            return true;
    return false;
}

/* A server with one foot outside is outside. */
static void place_servers(const struct watch_look *l, struct servers *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct watch_addresses there;
        size_t n_inside = 0;
        watch_addresses(l->dns, s->name[i], &there);
        for (size_t k = 0; k < there.n; k++)
            n_inside += is_inside(l->domain, &there.list[k]);
        s->is_inside[i] = there.n > 0 && n_inside == there.n;
        s->n_inside += s->is_inside[i];
        s->n_known += there.n > 0;
    }
}

static void list_servers(const struct servers *s, struct watch_finding *f)
{
    for (size_t i = 0; i < s->n; i++) {
        char one[WATCH_NAME_MAX + 40];
        (void)snprintf(one, sizeof(one), "%s%s", s->name[i],
                       s->is_inside[i] ? " (inside the company's network)" : "");
        watch_join(f->found, sizeof(f->found), one);
    }
}

void watch_judge_ns(struct watch_look *l)
{
    struct watch_finding *f = watch_add(l->all, WATCH_NS);
    struct servers s = {};
    struct watch_records last;
    WATCH_SAY(f->expected, "at least one outside the company's own network");
    if (!find_servers(l, &s, &last)) {
        (void)watch_is_unanswered(f, &last, "the name servers");
        return;
    }
    place_servers(l, &s);
    list_servers(&s, f);
    if (s.n == 0) {
        WATCH_SAY(f->found, "no name servers");
        return; /* then the MX says what is wrong */
    }
    if (s.n_known == 0) {
        f->class = WATCH_UNKNOWN;
        WATCH_SAY(f->why, "Where they stand could not be looked up.");
        return;
    }
    /* Of those whose address nobody knows no help is to be expected either. */
    if (s.n_inside < s.n_known)
        return;
    f->class = WATCH_NOTICE;
    WATCH_SAY(f->why, "If the company's network is down, its DNS is down with it: after the TTL of "
                      "its records nobody finds this node either, and mail goes back to its "
                      "senders.");
    WATCH_SAY(f->advice,
              "Add a name server elsewhere (most registrars offer one) to the NS "
              "records of " SLICE_FMT ".",
              SLICE_ARG(l->domain->name));
}
