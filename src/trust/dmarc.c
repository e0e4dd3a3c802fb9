/* DMARC (RFC 9989): whose policy holds for the author's domain, and does anything that passed
 * belong to the same organisation. Organisations are found by walking up the DNS (section 4.10);
 * there is no list of public suffixes. */
#include "trust_int.h"

enum { WALK_MAX = 8 }; /* questions of one walk, and labels above which it takes a short cut */

enum psd { PSD_UNKNOWN, PSD_YES, PSD_NO };

/* TRUST_POLICY_* or one of these. */
enum { POLICY_ABSENT = -1, POLICY_BAD = -2 };

struct dmarc_record {
    enum psd psd;
    int p, sp, np;
    bool is_strict_spf, is_strict_dkim, is_test, has_reports;
};

struct walk {
    struct slice start;
    struct slice names[WALK_MAX]; /* where there was a record, longest first */
    struct dmarc_record records[WALK_MAX];
    size_t n;
};

const char *trust_dmarc_text(enum trust_dmarc_result r)
{
    static const char *const names[TRUST_DMARC_N] = {"none", "pass", "fail", "temperror",
                                                     "permerror"};
    return names[r];
}

const char *trust_policy_text(enum trust_policy p)
{
    switch (p) {
    case TRUST_POLICY_NONE:
        return "none";
    case TRUST_POLICY_QUARANTINE:
        return "quarantine";
    case TRUST_POLICY_REJECT:
        return "reject";
    }
    return "none";
}

/* ---- records (section 4.7) ---------------------------------------------------------------- */

static int parse_policy(struct slice value)
{
    if (slice_ieq(value, SLICE("none")))
        return TRUST_POLICY_NONE;
    if (slice_ieq(value, SLICE("quarantine")))
        return TRUST_POLICY_QUARANTINE;
    return slice_ieq(value, SLICE("reject")) ? TRUST_POLICY_REJECT : POLICY_BAD;
}

static void parse_tag(struct slice name, struct slice value, struct dmarc_record *r)
{
    if (slice_ieq(name, SLICE("p")))
        r->p = parse_policy(value);
    else if (slice_ieq(name, SLICE("sp")))
        r->sp = parse_policy(value);
    else if (slice_ieq(name, SLICE("np")))
        r->np = parse_policy(value);
    else if (slice_ieq(name, SLICE("aspf")))
        r->is_strict_spf = slice_ieq(value, SLICE("s"));
    else if (slice_ieq(name, SLICE("adkim")))
        r->is_strict_dkim = slice_ieq(value, SLICE("s"));
    else if (slice_ieq(name, SLICE("t")))
        r->is_test = slice_ieq(value, SLICE("y"));
    else if (slice_ieq(name, SLICE("rua")))
        r->has_reports = slice_istarts(value, SLICE("mailto:"));
    else if (slice_ieq(name, SLICE("psd")) && slice_ieq(value, SLICE("y")))
        r->psd = PSD_YES;
    else if (slice_ieq(name, SLICE("psd")) && slice_ieq(value, SLICE("n")))
        r->psd = PSD_NO;
}

/* v=DMARC1 must come first; any other mistake costs only the tag it is in. */
static bool parse_record(struct slice text, struct dmarc_record *ret)
{
    struct slice rest, value;
    struct slice first = slice_cut(text, ';', &rest);
    struct slice name = slice_trim(slice_cut(first, '=', &value));
    if (text.n > TRUST_TXT_MAX || !slice_ieq(name, SLICE("v")) ||
        !slice_eq(slice_trim(value), SLICE("DMARC1")))
        return false;
    *ret = (struct dmarc_record){.p = POLICY_ABSENT, .sp = POLICY_ABSENT, .np = POLICY_ABSENT};
    while (rest.n > 0) {
        struct slice spec = slice_cut(rest, ';', &rest);
        name = slice_trim(slice_cut(spec, '=', &value));
        parse_tag(name, slice_trim(value), ret);
    }
    return true;
}

bool trust_dmarc_read(struct slice record, struct trust_dmarc_record *ret)
{
    struct dmarc_record r;
    if (!parse_record(record, &r))
        return false;
    *ret = (struct trust_dmarc_record){
        .has_policy = r.p != POLICY_ABSENT,
        .is_policy_readable = r.p != POLICY_BAD && r.sp != POLICY_BAD && r.np != POLICY_BAD,
        .has_reports = r.has_reports,
        .is_test = r.is_test,
        .policy = r.p > TRUST_POLICY_NONE ? (enum trust_policy)r.p : TRUST_POLICY_NONE};
    return true;
}

/* ---- the walk (section 4.10) -------------------------------------------------------------- */

/* TRUST_DNS_OK and *ret, or that there is none (two are none), or TEMPFAIL. */
static enum trust_dns_status find_record(const struct trust_dns *dns, struct slice domain,
                                         struct dmarc_record *ret)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    SCOPED(buf_finish) struct buf name = buf_make(TRUST_NAME_MAX);
    struct trust_answer answer;
    size_t n = 0;
    buf_adds(&name, SLICE("_dmarc."));
    buf_adds(&name, domain);
    if (name.failed)
        return TRUST_DNS_NODATA; /* too long to exist */
    enum trust_dns_status status = trust_ask(dns, buf_slice(&name), TRUST_DNS_TXT, a, &answer);
    if (status != TRUST_DNS_OK)
        return status;
    for (size_t i = 0; i < answer.n_records && n < 2; i++) {
        struct dmarc_record r;
        if (!parse_record(answer.records[i], &r))
            continue;
        *ret = r;
        n++;
    }
    return n == 1 ? TRUST_DNS_OK : TRUST_DNS_NODATA;
}

static struct slice next_target(struct slice domain)
{
    size_t labels = trust_name_labels(domain);
    size_t keep = labels < WALK_MAX ? labels - 1 : WALK_MAX - 1;
    for (; labels > keep; labels--)
        domain = trust_name_parent(domain);
    return domain;
}

static enum trust_dns_status walk_up(const struct trust_dns *dns, struct slice start,
                                     struct walk *w)
{
    struct slice at = start;
    w->start = start;
    w->n = 0;
    while (at.n > 0) {
        struct dmarc_record r;
        enum trust_dns_status status = find_record(dns, at, &r);
        if (status == TRUST_DNS_TEMPFAIL)
            return status;
        if (status == TRUST_DNS_OK) {
            w->names[w->n] = at;
            w->records[w->n++] = r;
            if (r.psd != PSD_UNKNOWN)
                break;
        }
        at = next_target(at);
    }
    return TRUST_DNS_OK;
}

/* The name one label longer than `above`, on the way to `name`. */
static struct slice one_below(struct slice name, struct slice above)
{
    size_t want = trust_name_labels(above) + 1;
    while (trust_name_labels(name) > want)
        name = trust_name_parent(name);
    return name;
}

/* Section 4.10.2. Only the last record of a walk can carry psd=. */
static struct slice organization(const struct walk *w)
{
    if (w->n == 0)
        return w->start;
    const struct dmarc_record *last = &w->records[w->n - 1];
    struct slice name = w->names[w->n - 1];
    if (last->psd == PSD_YES && name.n != w->start.n)
        return one_below(w->start, name);
    return name;
}

enum trust_dns_status trust_same_organization(const struct trust_dns *dns, struct slice a,
                                              struct slice b, bool *ret_is)
{
    struct walk wa, wb;
    *ret_is = a.n > 0 && slice_ieq(a, b);
    if (*ret_is || !trust_name_is_valid(a) || !trust_name_is_valid(b))
        return TRUST_DNS_OK;
    if (walk_up(dns, a, &wa) != TRUST_DNS_OK)
        return TRUST_DNS_TEMPFAIL;
    if (!trust_name_is_below(b, organization(&wa)))
        return TRUST_DNS_OK;
    if (walk_up(dns, b, &wb) != TRUST_DNS_OK)
        return TRUST_DNS_TEMPFAIL;
    *ret_is = slice_ieq(organization(&wa), organization(&wb));
    return TRUST_DNS_OK;
}

/* ---- the policy (section 4.10.1) ---------------------------------------------------------- */

/* The record that holds for the author: its own, its organisation's, its public suffix's. */
static const struct dmarc_record *applicable(const struct walk *w, bool *ret_is_own)
{
    struct slice org = organization(w);
    *ret_is_own = w->n > 0 && w->names[0].n == w->start.n;
    if (*ret_is_own)
        return &w->records[0];
    for (size_t i = 0; i < w->n; i++)
        if (w->names[i].n == org.n)
            return &w->records[i];
    if (w->n > 0 && w->records[w->n - 1].psd == PSD_YES)
        return &w->records[w->n - 1];
    return NULL;
}

static bool exists(const struct trust_dns *dns, struct slice domain)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct trust_answer answer;
    return trust_ask(dns, domain, TRUST_DNS_A, a, &answer) != TRUST_DNS_NXDOMAIN;
}

/* False: the record is so broken that DMARC does not apply. */
static bool choose_policy(const struct trust_dns *dns, const struct walk *w,
                          const struct dmarc_record *r, bool is_own, enum trust_policy *ret)
{
    int p = r->p;
    if (r->p == POLICY_BAD || r->sp == POLICY_BAD || r->np == POLICY_BAD) {
        *ret = TRUST_POLICY_NONE;
        return r->has_reports;
    }
    if (!is_own && r->sp != POLICY_ABSENT)
        p = r->sp;
    if (!is_own && r->np != POLICY_ABSENT && !exists(dns, w->start))
        p = r->np;
    if (p == POLICY_ABSENT)
        p = TRUST_POLICY_NONE;
    if (r->is_test && p > TRUST_POLICY_NONE)
        p--; /* one step milder while the owner tries it out */
    *ret = (enum trust_policy)p;
    return true;
}

/* ---- alignment ---------------------------------------------------------------------------- */

struct aligning {
    const struct trust_dns *dns;
    const struct walk *author;
    bool has_tempfail;
};

static bool is_aligned(struct aligning *al, struct slice domain, bool is_strict)
{
    struct walk w;
    if (slice_ieq(domain, al->author->start))
        return true;
    struct slice org = organization(al->author);
    if (is_strict || !trust_name_is_below(domain, org))
        return false;
    if (walk_up(al->dns, domain, &w) != TRUST_DNS_OK) {
        al->has_tempfail = true;
        return false;
    }
    return slice_ieq(organization(&w), org);
}

static void align(struct aligning *al, const struct dmarc_record *r, const struct trust_spf *spf,
                  const struct trust_dkim *dkim, struct trust_dmarc *ret)
{
    al->has_tempfail = spf->result == TRUST_SPF_TEMPERROR;
    if (spf->result == TRUST_SPF_PASS)
        ret->is_spf_aligned = is_aligned(al, spf->domain, r->is_strict_spf);
    for (size_t i = 0; i < dkim->n_sigs && !ret->is_dkim_aligned; i++) {
        const struct trust_dkim_sig *sig = &dkim->sigs[i];
        if (sig->result == TRUST_DKIM_TEMPERROR)
            al->has_tempfail = true;
        /* DEVIATES: a key in test mode (t=y) counts, as it does for the large receivers: many
         * owners never took the tag away, and their mail would fail here only. */
        if (sig->result == TRUST_DKIM_PASS)
            ret->is_dkim_aligned = is_aligned(al, sig->domain, r->is_strict_dkim);
    }
}

void trust_dmarc_check_split(const struct trust_dns *dns, const struct sign_message *m,
                             const struct trust_spf *spf, const struct trust_dkim *dkim,
                             struct trust_dmarc *ret)
{
    struct walk w;
    bool is_own;
    *ret = (struct trust_dmarc){.result = TRUST_DMARC_PERMERROR};
    if (!trust_author_domain(m, &ret->author))
        return;
    ret->result = TRUST_DMARC_TEMPERROR;
    if (walk_up(dns, ret->author, &w) != TRUST_DNS_OK)
        return;
    ret->result = TRUST_DMARC_NONE;
    const struct dmarc_record *r = applicable(&w, &is_own);
    if (!r || !choose_policy(dns, &w, r, is_own, &ret->policy))
        return;
    struct aligning al = {.dns = dns, .author = &w};
    align(&al, r, spf, dkim, ret);
    if (ret->is_spf_aligned || ret->is_dkim_aligned)
        ret->result = TRUST_DMARC_PASS;
    else
        ret->result = al.has_tempfail ? TRUST_DMARC_TEMPERROR : TRUST_DMARC_FAIL;
}

void trust_dmarc_check(const struct trust_dns *dns, struct slice message,
                       const struct trust_spf *spf, const struct trust_dkim *dkim,
                       struct trust_dmarc *ret)
{
    struct sign_message *m = mem_new(sizeof(*m));
    *ret = (struct trust_dmarc){.result = TRUST_DMARC_PERMERROR};
    if (sign_message_split(message, m))
        trust_dmarc_check_split(dns, m, spf, dkim, ret);
    mem_free(&m);
}
