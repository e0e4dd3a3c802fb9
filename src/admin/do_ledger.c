/* The ledger: everything that was accepted is somewhere, or this says where it is not (worker). */
#include "admin/admin_int.h"

#include <stdio.h>

enum { COUNTING_SECONDS = 15 }; /* of a request's thirty */

static uint64_t found(const struct store_sums *s)
{
    return s->by[DISPOSITION_WAITING] + s->by[DISPOSITION_DELIVERED] + s->by[DISPOSITION_HELD] +
           s->by[DISPOSITION_RETURNED] + s->by[DISPOSITION_REMOVED] + s->by[DISPOSITION_MERGED];
}

static void write_sums(struct out *j, const char *key, struct slice tenant,
                       const struct store_sums *s)
{
    out_object(j, key);
    out_text_if(j, "tenant", tenant);
    out_truth(j, "balanced", s->accepted == found(s));
    out_number(j, "accepted", s->accepted);
    out_number(j, "waiting", s->by[DISPOSITION_WAITING]);
    out_number(j, "delivered", s->by[DISPOSITION_DELIVERED]);
    out_number(j, "held", s->by[DISPOSITION_HELD]);
    out_number(j, "returned", s->by[DISPOSITION_RETURNED]);
    out_number(j, "removed", s->by[DISPOSITION_REMOVED]);
    out_number(j, "merged", s->by[DISPOSITION_MERGED]);
    out_number(j, "attempting", s->n_attempting);
    out_number(j, "possible_doubles", s->n_possible_doubles);
    out_number(j, "unanswered", s->n_unanswered);
    out_close(j);
}

static unsigned long long ull(uint64_t n)
{
    return n;
}

/* The verdict in words. */
static void say(struct buf *b, const struct store_sums *s, const char *off)
{
    if (s->accepted == found(s) && !off[0])
        buf_addf(b, "Everything adds up: %llu recipients accepted, and the fate of each is known.",
                 ull(s->accepted));
    else if (s->accepted > found(s))
        buf_addf(b,
                 "It does NOT add up: %llu recipients accepted, but only %llu are accounted "
                 "for. Nothing was changed. Run `staffetta store verify` now and keep the disk "
                 "as it is.",
                 ull(s->accepted), ull(found(s)));
    else if (s->accepted < found(s))
        buf_addf(b,
                 "It does NOT add up: %llu recipients accepted, but %llu are in the ledger. "
                 "Nothing was changed. Run `staffetta store verify` now.",
                 ull(s->accepted), ull(found(s)));
    else
        buf_addf(b,
                 "The sum adds up, but the company %s does NOT. Nothing was changed. Run "
                 "`staffetta store verify` now.",
                 off);
    if (s->n_possible_doubles)
        buf_addf(b,
                 " %llu %s may have arrived twice: `staffetta ledger doubles` lists what and to "
                 "whom.",
                 ull(s->n_possible_doubles),
                 s->n_possible_doubles == 1 ? "delivery" : "deliveries");
    if (s->n_unanswered)
        buf_addf(b, " Of %llu %s the sender may not know that we have it, and may send it again.",
                 ull(s->n_unanswered), s->n_unanswered == 1 ? "message" : "messages");
}

/* Company by company, as long as there is time. `off`: one that does not add up; empty: none. */
struct counting {
    struct admin_call *c;
    mono_us until;
    bool is_partial;
    char off[200];
};

static enum err count_one(struct counting *k, uint64_t id, struct slice name, struct errinfo *ei)
{
    struct store_sums sums = {};
    k->is_partial = k->is_partial || mono_now() > k->until;
    if (k->is_partial)
        return ERR_OK;
    enum err err = store_sums(k->c->reader, id, &sums, ei);
    if (err != ERR_OK)
        return err;
    if (sums.accepted != found(&sums))
        snprintf(k->off, sizeof(k->off), "%s", log_text(name));
    write_sums(&k->c->json, NULL, name, &sums);
    return ERR_OK;
}

static enum err count_each(struct counting *k, const struct names *names, uint64_t only,
                           struct errinfo *ei)
{
    size_t at = 0;
    struct slice key;
    void *value;
    enum err err = ERR_OK;
    while (err == ERR_OK && map_next(names->tenants, &at, &key, &value)) {
        uint64_t id;
        memcpy(&id, key.p, sizeof(id));
        if (only == 0 || id == only)
            err = count_one(k, id, names_tenant(names, id), ei);
    }
    return err;
}

void do_ledger(struct admin_call *c)
{
    SCOPED(names_finish) struct names names = {};
    SCOPED(buf_finish) struct buf text = buf_make(2000);
    struct counting k = {.c = c, .until = mono_now() + SECONDS(COUNTING_SECONDS)};
    struct errinfo ei = {};
    struct store_sums total = {};
    uint64_t only = 0;
    if (!names_load(c, &names) || !names_filter_tenant(c, &names, &only))
        return;
    enum err err = store_sums(c->reader, only, &total, &ei);
    out_object(&c->json, NULL);
    out_array(&c->json, "tenants");
    if (err == ERR_OK)
        err = count_each(&k, &names, only, &ei);
    if (err != ERR_OK) {
        call_fail(c, err, ei.text);
        return;
    }
    out_close(&c->json);
    say(&text, &total, k.off);
    out_truth(&c->json, "balanced", total.accepted == found(&total) && !k.off[0]);
    out_text(&c->json, "text", buf_slice(&text));
    write_sums(&c->json, "total", only ? names_tenant(&names, only) : SLICE(""), &total);
    out_truth(&c->json, "partial", k.is_partial);
    out_close(&c->json);
    call_done(c);
}
