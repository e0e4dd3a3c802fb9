/* How long and how much mail is kept: of a company, and the quota of one person. */
#include "admin/admin_int.h"

static const char *const names[] = {"days",    "essential_days", "hosted_days", "own_days",
                                    "max_mib", "essential_mib",  "quota_mib"};
enum { N_VALUES = sizeof(names) / sizeof(names[0]), MIB = 1 << 20 };

static void get_values(const struct dir_keeping *k, uint64_t ret[N_VALUES])
{
    const uint64_t values[] = {
        k->days,        k->essential_days,        k->hosted_days,      k->own_days,
        k->bytes / MIB, k->essential_bytes / MIB, k->quota_bytes / MIB};
    static_assert(sizeof(values) == N_VALUES * sizeof(values[0]), "each has its name");
    memcpy(ret, values, sizeof(values));
}

/* ---- a company ---- */

void do_keeping_show(struct admin_call *c)
{
    const struct directory_tenant *t = call_tenant(c, c->part[0]);
    uint64_t values[N_VALUES];
    if (!t)
        return;
    get_values(directory_keeping(c->host->directory, t->id), values);
    out_object(&c->json, NULL);
    out_text(&c->json, "tenant", t->facts.name);
    for (size_t i = 0; i < N_VALUES; i++)
        out_number(&c->json, names[i], values[i]);
    out_close(&c->json);
    call_done(c);
}

void do_keeping_set(struct admin_call *c)
{
    const struct directory_tenant *t = call_tenant(c, c->part[0]);
    uint64_t v[N_VALUES];
    if (!t)
        return;
    get_values(directory_keeping(c->host->directory, t->id), v);
    for (size_t i = 0; i < N_VALUES; i++)
        v[i] = body_number(c->body, names[i], v[i]);
    struct dir_keeping k = {.days = (uint32_t)v[0],
                            .essential_days = (uint32_t)v[1],
                            .hosted_days = (uint32_t)v[2],
                            .own_days = (uint32_t)v[3],
                            .bytes = v[4] * MIB,
                            .essential_bytes = v[5] * MIB,
                            .quota_bytes = v[6] * MIB};
    SCOPED(buf_finish) struct buf body = buf_make(100);
    dir_keeping_pack(&body, &k);
    struct record_object o = call_object(c, OBJECT_KEEPING, t->id, t->facts.name, &body);
    o.id = t->id;
    call_put(c, &o, do_keeping_show);
}

/* ---- a person ---- */

void do_quota_show(struct admin_call *c)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    uint64_t bytes = directory_quota(c->host->directory, p);
    bool is_own = directory_own_quota(c->host->directory, p->id) != NULL;
    out_object(&c->json, NULL);
    out_text(&c->json, "address", p->facts.addresses[0].text);
    out_number(&c->json, "quota_mib", bytes / MIB);
    out_truth(&c->json, "own", is_own);
    out_word(&c->json, "text",
             bytes == 0 ? "No bound."
             : is_own   ? "Set for this person."
                        : "The company's.");
    out_close(&c->json);
    call_done(c);
}

void do_quota_set(struct admin_call *c)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    SCOPED(buf_finish) struct buf body = buf_make(100);
    dir_quota_pack(&body, &(struct dir_quota){body_number(c->body, "quota_mib", 0) * MIB});
    struct record_object o =
        call_object(c, OBJECT_QUOTA, p->tenant, p->facts.addresses[0].text, &body);
    o.id = p->id;
    call_put(c, &o, do_quota_show);
}

void do_quota_remove(struct admin_call *c)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    if (!directory_own_quota(c->host->directory, p->id)) {
        do_quota_show(c);
        return;
    }
    SCOPED(buf_finish) struct buf none = buf_make(1);
    struct record_object o =
        call_object(c, OBJECT_QUOTA, p->tenant, p->facts.addresses[0].text, &none);
    o.id = p->id;
    o.is_removed = true;
    call_put(c, &o, do_quota_show);
}
