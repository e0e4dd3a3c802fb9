/* Will others believe mail that we send in the name of the domain? SPF (RFC 7208), DMARC (RFC
 * 9989); keys are watch_dkim.c's. */
#include "watch/watch_int.h"

#include <stdio.h>

/* ---- SPF: asked as a receiver would ---------------------------------------------------------- */

static bool put_record(uint16_t type, struct slice data, struct arena *a, struct slice *ret)
{
    char name[WATCH_NAME_MAX];
    switch (type) {
    case TRUST_DNS_A:
    case TRUST_DNS_AAAA:
        *ret = data;
        return watch_ip_read(type, data).version != 0;
    case TRUST_DNS_MX:
        data = slice_skip(data, 2);
        break;
    case TRUST_DNS_PTR:
        break;
    default:
        return watch_text_read(data, a, ret);
    }
    if (!watch_name_read(&data, name) || data.n > 0)
        return false;
    char *copy = arena_try(a, strlen(name) + 1);
    if (copy)
        *ret = slice_of(memcpy(copy, name, strlen(name) + 1), strlen(name));
    return copy != NULL;
}

static enum trust_dns_status ask_for_trust(void *self, struct slice name, uint16_t type,
                                           struct arena *a, struct trust_answer *ret)
{
    const struct watch_dns *dns = self;
    struct watch_records r = {};
    dns->ask(dns->self, name, type, a, &r);
    struct slice *records = arena_try(a, (r.n + 1) * sizeof(*records));
    if (r.status == WATCH_ANSWER_NO_NAME)
        return TRUST_DNS_NXDOMAIN;
    if (r.status == WATCH_ANSWER_NO_DATA)
        return TRUST_DNS_NODATA;
    if (r.status != WATCH_ANSWER_OK || !records)
        return TRUST_DNS_TEMPFAIL;
    *ret = (struct trust_answer){.records = records};
    for (size_t i = 0; i < r.n; i++)
        if (put_record(type, r.data[i], a, &records[ret->n_records]))
            ret->n_records++;
    return ret->n_records ? TRUST_DNS_OK : TRUST_DNS_NODATA;
}

static enum trust_spf_result evaluate(const struct watch_look *l, struct wire_ip ip,
                                      const char **ret_why)
{
    char from[WATCH_NAME_MAX + 20];
    struct watch_dns copy = *l->dns;
    struct trust_dns dns = {ask_for_trust, &copy};
    (void)snprintf(from, sizeof(from), "postmaster@" SLICE_FMT, SLICE_ARG(l->domain->name));
    struct trust_sender sender = {.peer.is_v6 = ip.version == 6,
                                  .helo = l->node->name,
                                  .mail_from = slice_str(from),
                                  .receiver = l->node->name,
                                  .now = l->now};
    struct trust_spf spf;
    memcpy(sender.peer.bytes, ip.bytes, sizeof(sender.peer.bytes));
    trust_spf_check(&dns, &sender, &spf);
    *ret_why = spf.why;
    return spf.result;
}

static enum watch_class class_of(enum trust_spf_result r)
{
    switch (r) {
    case TRUST_SPF_PASS:
        return WATCH_OK;
    case TRUST_SPF_FAIL:
    case TRUST_SPF_PERMERROR:
        return WATCH_ALARM;
    case TRUST_SPF_NONE:
    case TRUST_SPF_NEUTRAL:
    case TRUST_SPF_SOFTFAIL:
        return WATCH_NOTICE;
    case TRUST_SPF_TEMPERROR:
    case TRUST_SPF_N:
        break;
    }
    return WATCH_UNKNOWN;
}

static void advise_spf(const struct watch_look *l, struct watch_finding *f, struct slice record)
{
    struct slice rest = slice_trim(slice_skip(record, strlen("v=spf1")));
    if (record.n == 0)
        WATCH_SAY(f->advice,
                  "Write, with every other host that sends mail of the domain:  " SLICE_FMT
                  ". TXT \"v=spf1 mx a:" SLICE_FMT " ~all\"",
                  SLICE_ARG(l->domain->name), SLICE_ARG(l->node->name));
    else
        WATCH_SAY(f->advice, "Write:  " SLICE_FMT ". TXT \"v=spf1 a:" SLICE_FMT "%s" SLICE_FMT "\"",
                  SLICE_ARG(l->domain->name), SLICE_ARG(l->node->name), rest.n ? " " : "",
                  SLICE_ARG(rest));
}

/* The worst of all our addresses is what counts: any of them may send. */
static void judge_addresses(const struct watch_look *l, struct watch_finding *f, struct slice text)
{
    f->class = l->own.n ? WATCH_OK : WATCH_UNKNOWN;
    if (l->own.n == 0)
        WATCH_SAY(f->why, "From which addresses this node sends is not known: its name leads "
                          "nowhere, and node.addresses is not set.");
    WATCH_SAY(f->found, "\"" SLICE_FMT "\"", SLICE_ARG(text));
    for (size_t i = 0; i < l->own.n; i++) {
        const char *why;
        enum trust_spf_result r = evaluate(l, l->own.list[i], &why);
        enum watch_class class = class_of(r);
        if (class == WATCH_UNKNOWN && f->class == WATCH_OK) {
            f->class = class;
            WATCH_SAY(f->why, "A part of the record could not be looked up.");
        }
        if (class <= f->class || class < WATCH_NOTICE)
            continue;
        f->class = class;
        WATCH_SAY(f->found, "%s for %s (%s%s\"" SLICE_FMT "\")", trust_spf_text(r),
                  wire_ip_text(l->own.list[i]).s, why, why[0] ? ": " : "", SLICE_ARG(text));
        WATCH_SAY(f->why, "What this node sends for the domain in an emergency is %s.",
                  class == WATCH_ALARM ? "refused by many receivers" : "taken for spam by many");
        advise_spf(l, f, text);
    }
}

void watch_judge_spf(struct watch_look *l)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(2 * TRUST_ANSWER_MAX);
    struct watch_finding *f = watch_add(l->all, WATCH_SPF);
    struct watch_records r;
    struct watch_texts texts;
    watch_ask(l->dns, WATCH_TYPE_TXT, a, &r, SLICE_FMT, SLICE_ARG(l->domain->name));
    WATCH_SAY(f->expected, "one record that lets this node send (pass)");
    if (watch_is_unanswered(f, &r, "SPF"))
        return;
    (void)watch_texts_find(&r, a, SLICE("v=spf1"), &texts);
    if (texts.n == 1) {
        judge_addresses(l, f, texts.first);
        return;
    }
    f->class = texts.n ? WATCH_ALARM : WATCH_NOTICE;
    if (texts.n) {
        WATCH_SAY(f->found, "%zu SPF records", texts.n);
        WATCH_SAY(f->why, "With more than one nobody can say which holds: all mail of the domain "
                          "counts as wrongly published (RFC 7208 section 3.2).");
        WATCH_SAY(f->advice, "Make one record of them, with a:" SLICE_FMT " in it.",
                  SLICE_ARG(l->node->name));
        return;
    }
    WATCH_SAY(f->found, "no SPF record");
    WATCH_SAY(f->why, "Large receivers take mail of domains without SPF for spam.");
    advise_spf(l, f, SLICE(""));
}

/* ---- DMARC ----------------------------------------------------------------------------------- */

static void broken_dmarc(const struct watch_look *l, struct watch_finding *f, struct slice at,
                         const char *what)
{
    f->class = WATCH_NOTICE;
    WATCH_SAY(f->why,
              "%s: receivers treat the domain as if it had no policy, and large ones want one.",
              what);
    WATCH_SAY(f->advice,
              "Write one record:  _dmarc." SLICE_FMT
              ". TXT \"v=DMARC1; p=none; rua=mailto:postmaster@" SLICE_FMT
              "\", and a stricter p= when the reports are clean.",
              SLICE_ARG(at), SLICE_ARG(l->domain->name));
}

static void judge_dmarc_record(const struct watch_look *l, struct watch_finding *f, struct slice at,
                               const struct watch_texts *texts)
{
    struct trust_dmarc_record record;
    bool is_inherited = at.n < l->domain->name.n;
    WATCH_SAY(f->found, "\"" SLICE_FMT "\"%s" SLICE_FMT, SLICE_ARG(texts->first),
              is_inherited ? " of " : "", SLICE_ARG(is_inherited ? at : SLICE("")));
    if (!trust_dmarc_read(texts->first, &record))
        broken_dmarc(l, f, at, "The record does not begin with \"v=DMARC1;\"");
    else if (texts->n > 1)
        broken_dmarc(l, f, at, "There are several records, so none counts");
    else if (!record.is_policy_readable)
        broken_dmarc(l, f, at, "A policy (p=, sp=, np=) is none of none, quarantine, reject");
    else if (!record.has_policy)
        broken_dmarc(l, f, at, "The policy (p=) is missing");
}

/* The domain's own record, or that of a domain above it, as receivers walk (section 4.10). */
void watch_judge_dmarc(struct watch_look *l)
{
    struct watch_finding *f = watch_add(l->all, WATCH_DMARC);
    struct slice at = l->domain->name;
    WATCH_SAY(f->expected, "one record with a policy");
    for (int step = 0; step < 8 && slice_find(at, '.') > 0; step++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(2 * TRUST_ANSWER_MAX);
        struct watch_records r;
        struct watch_texts texts;
        watch_ask(l->dns, WATCH_TYPE_TXT, a, &r, "_dmarc." SLICE_FMT, SLICE_ARG(at));
        if (watch_is_unanswered(f, &r, "DMARC"))
            return;
        if (watch_texts_find(&r, a, SLICE("v=DMARC1"), &texts)) {
            judge_dmarc_record(l, f, at, &texts);
            return;
        }
        if (texts.other.n && at.n == l->domain->name.n) {
            WATCH_SAY(f->found, "\"" SLICE_FMT "\"", SLICE_ARG(texts.other));
            broken_dmarc(l, f, at, "What is published there is no DMARC record");
            return;
        }
        (void)slice_cut(at, '.', &at);
    }
    WATCH_SAY(f->found, "no DMARC record");
    broken_dmarc(l, f, l->domain->name, "Nothing is published");
}
