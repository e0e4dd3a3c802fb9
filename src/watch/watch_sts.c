/* MTA-STS (RFC 8461): a domain tells senders to which hosts they may bring its mail, and to check
 * their certificates. What it forgets to name gets no mail, also in an emergency. */
#include "watch/watch_int.h"

#include <stdio.h>

enum { DAY_SECONDS = 86400, ID_MAX = 32 };

static const char path[] = ".well-known/mta-sts.txt";

struct sts {
    const struct watch_look *look;
    struct watch_finding *f;
    struct watch_policy policy;
};

/* ---- the record ------------------------------------------------------------------------------ */

static bool has_id(struct slice record)
{
    while (record.n > 0) {
        struct slice part = slice_trim(slice_cut(record, ';', &record)), id;
        if (!slice_eq(slice_trim(slice_cut(part, '=', &id)), SLICE("id")))
            continue;
        id = slice_trim(id);
        for (size_t i = 0; i < id.n; i++) {
            char c = ascii_lower(id.p[i]);
            if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
                return false;
        }
        return id.n > 0 && id.n <= ID_MAX;
    }
    return false;
}

/* NULL: senders use it (section 3.1). */
static const char *record_fault(const struct watch_texts *texts)
{
    if (texts->n > 1)
        return "there are several records, so none counts";
    if (!slice_starts(texts->first, SLICE("v=STSv1;")))
        return "the record does not begin with \"v=STSv1;\"";
    return has_id(texts->first) ? NULL : "the record has no id= of 1 to 32 letters and digits";
}

/* ---- what keeps the policy from being used at all -------------------------------------------- */

static void broken(const struct sts *s, const char *what)
{
    struct slice name = s->look->domain->name;
    s->f->class = WATCH_NOTICE;
    WATCH_SAY(s->f->why,
              "Senders cannot use the policy: %.150s. Those that have an older one go by that, the "
              "others send without any.",
              what);
    WATCH_SAY(
        s->f->advice,
        "Publish one record:  _mta-sts." SLICE_FMT ". TXT \"v=STSv1; id=...\" (a new id after each "
        "change), and serve https://mta-sts." SLICE_FMT
        "/%s as text/plain, with a certificate for mta-sts." SLICE_FMT "; or remove the record.",
        SLICE_ARG(name), SLICE_ARG(name), path, SLICE_ARG(name));
}

static bool fetch(struct sts *s, struct arena *a)
{
    char host[WATCH_NAME_MAX + 10];
    struct watch_page page;
    const char *fault;
    (void)snprintf(host, sizeof(host), "mta-sts." SLICE_FMT, SLICE_ARG(s->look->domain->name));
    s->look->web->get(s->look->web->self, host, path, a, &page);
    switch (page.status) {
    case WATCH_FETCH_OURS:
        s->f->class = WATCH_UNKNOWN;
        WATCH_SAY(s->f->why,
                  "There is a policy, but this node could not fetch it: %.180s. That says nothing "
                  "about the domain.",
                  page.why);
        return false;
    case WATCH_FETCH_FAILED:
        broken(s, page.why);
        return false;
    case WATCH_FETCH_OK:
        break;
    }
    fault = watch_policy_read(page.text, &s->policy);
    if (fault)
        broken(s, fault);
    return !fault;
}

/* ---- what it says ---------------------------------------------------------------------------- */

static const char *mode_name(enum watch_mode mode)
{
    static const char *const names[] = {"none", "testing", "enforce"};
    return names[mode];
}

static void describe(const struct sts *s)
{
    struct watch_finding *f = s->f;
    struct slice rest = s->policy.text, mx;
    int64_t age = s->policy.max_age > WATCH_MAX_AGE_MOST ? 0 : (int64_t)s->policy.max_age;
    f->number = age;
    if (age > 0)
        WATCH_SAY(f->found, "mode %s for %s", mode_name(s->policy.mode), watch_span(age).s);
    else
        WATCH_SAY(f->found, "mode %s, max_age %llu", mode_name(s->policy.mode),
                  (unsigned long long)s->policy.max_age);
    while (watch_policy_mx(&rest, &mx)) {
        char one[WATCH_NAME_MAX + 10];
        (void)snprintf(one, sizeof(one), "mx " SLICE_FMT, SLICE_ARG(mx));
        watch_join(f->found, sizeof(f->found), one);
    }
}

/* The worst is told; of two that are as bad, the first. */
static bool is_worse(const struct sts *s, enum watch_class class)
{
    if (class <= s->f->class)
        return false;
    s->f->class = class;
    return true;
}

static enum watch_class class_of(const struct sts *s)
{
    return s->policy.mode == WATCH_MODE_ENFORCE ? WATCH_ALARM : WATCH_NOTICE;
}

static void judge_own_name(const struct sts *s, const char *host)
{
    struct slice name = s->look->domain->name;
    if (watch_policy_covers(&s->policy, host) || !is_worse(s, class_of(s)))
        return;
    WATCH_SAY(s->f->why, "%s %.120s: the policy does not name it. In an emergency that mail %s.",
              s->policy.mode == WATCH_MODE_ENFORCE
                  ? "Senders with MTA-STS refuse to deliver to"
                  : "As soon as the mode is enforce, senders with MTA-STS refuse to deliver to",
              host,
              s->policy.mode == WATCH_MODE_ENFORCE ? "does not come here" : "would not come here");
    WATCH_SAY(s->f->advice,
              "Add the line \"mx: %s\" to https://mta-sts." SLICE_FMT
              "/%s, then give _mta-sts." SLICE_FMT
              " a new id=: senders keep the old policy until they see it.",
              host, SLICE_ARG(name), path, SLICE_ARG(name));
}

/* NULL: senders accept it for this name (section 4.2). */
static const char *certificate_fault(const struct sts *s, const char *host)
{
    const struct watch_certificate *c = &s->look->node->certificate;
    if (c->n == 0)
        return "this node has none";
    if (c->until < s->look->now)
        return "it has ended";
    if (c->n_leaf > 0 && !watch_certificate_names(c, host))
        return "it is not for that name";
    if (c->vouched == WATCH_VOUCHED_NO)
        return "no authority that others trust stands behind it";
    return NULL;
}

static void judge_own_certificate(const struct sts *s, const char *host)
{
    const char *fault = certificate_fault(s, host);
    if (!fault || !is_worse(s, class_of(s)))
        return;
    WATCH_SAY(s->f->why, "%s the certificate of this node for %.120s: %s.",
              s->policy.mode == WATCH_MODE_ENFORCE
                  ? "Senders with MTA-STS bring no mail here, since they refuse"
                  : "As soon as the mode is enforce, senders with MTA-STS refuse",
              host, fault);
    WATCH_SAY(s->f->advice,
              "Give this node a certificate for %s from an authority that is commonly trusted "
              "(tls.certificate, tls.key).",
              host);
}

static void judge_other_name(const struct sts *s, const char *host)
{
    struct slice name = s->look->domain->name;
    if (watch_policy_covers(&s->policy, host) || !is_worse(s, WATCH_NOTICE))
        return;
    WATCH_SAY(s->f->why,
              "The MX names %.150s and the policy does not: senders with MTA-STS go past "
              "it.",
              host);
    WATCH_SAY(s->f->advice,
              "Add the line \"mx: %s\" to https://mta-sts." SLICE_FMT
              "/%s, then give _mta-sts." SLICE_FMT " a new id=; or remove that MX.",
              host, SLICE_ARG(name), path, SLICE_ARG(name));
}

static void judge_age(const struct sts *s)
{
    bool is_long = s->policy.max_age > WATCH_MAX_AGE_MOST;
    bool is_short = s->policy.mode == WATCH_MODE_ENFORCE && s->policy.max_age < DAY_SECONDS;
    if ((!is_long && !is_short) || !is_worse(s, WATCH_NOTICE))
        return;
    WATCH_SAY(s->f->why, "%s",
              is_long
                  ? "No policy may be kept longer than a year: some senders ignore one that says "
                    "so."
                  : "Who can disturb DNS or the web server for that short time gets round the "
                    "policy.");
    WATCH_SAY(s->f->advice, "Write \"max_age: 604800\" (a week) or more, at most %d.",
              WATCH_MAX_AGE_MOST);
}

static void judge_policy(const struct sts *s)
{
    const struct watch_look *l = s->look;
    char own[WATCH_NAME_MAX];
    size_t n_ours = 0;
    describe(s);
    if (s->policy.mode == WATCH_MODE_NONE)
        return; /* it takes back what was there before */
    for (size_t i = 0; i < l->n_mx; i++)
        if (l->mx[i].is_ours) {
            n_ours++;
            judge_own_name(s, l->mx[i].name);
            judge_own_certificate(s, l->mx[i].name);
        }
    if (n_ours == 0) { /* not yet an MX: the name that it would get */
        (void)snprintf(own, sizeof(own), SLICE_FMT, SLICE_ARG(l->node->name));
        judge_own_name(s, own);
        judge_own_certificate(s, own);
    }
    for (size_t i = 0; i < l->n_mx; i++)
        if (!l->mx[i].is_ours)
            judge_other_name(s, l->mx[i].name);
    judge_age(s);
}

void watch_judge_sts(struct watch_look *l)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(2 * TRUST_ANSWER_MAX);
    struct sts s = {.look = l, .f = watch_add(l->all, WATCH_STS)};
    struct watch_records r;
    struct watch_texts texts;
    watch_ask(l->dns, WATCH_TYPE_TXT, a, &r, "_mta-sts." SLICE_FMT, SLICE_ARG(l->domain->name));
    WATCH_SAY(s.f->expected, "none, or a policy that names " SLICE_FMT, SLICE_ARG(l->node->name));
    if (watch_is_unanswered(s.f, &r, "MTA-STS"))
        return;
    if (!watch_texts_find(&r, a, SLICE("v=STSv1"), &texts)) {
        WATCH_SAY(s.f->found, "none: nothing can contradict the MX");
        return;
    }
    WATCH_SAY(s.f->found, "\"" SLICE_FMT "\"", SLICE_ARG(texts.first));
    const char *fault = record_fault(&texts);
    if (fault) {
        broken(&s, fault);
    } else if (l->is_mx_unknown) {
        s.f->class = WATCH_UNKNOWN;
        WATCH_SAY(s.f->why, "The mail exchangers are not known.");
    } else if (fetch(&s, a)) {
        judge_policy(&s);
    }
}
