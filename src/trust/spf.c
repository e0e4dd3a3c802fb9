/* check_host() of RFC 7208 section 4: the sender policy of a domain, evaluated for one peer. The
 * whole recursion counts its terms together, so depth and questions are bounded by ten. */
#include "spf_int.h"

#include <stdio.h>

enum spf_match { SPF_NO, SPF_YES, SPF_TEMP, SPF_PERM };

static enum trust_spf_result check_host(struct spf *s, struct slice domain, struct trust_spf *top);

const char *trust_spf_text(enum trust_spf_result r)
{
    static const char *const names[TRUST_SPF_N] = {"none",     "neutral",   "pass",     "fail",
                                                   "softfail", "temperror", "permerror"};
    return names[r];
}

static enum spf_match broken(struct spf *s, const char *why)
{
    s->why = why;
    return SPF_PERM;
}

static enum spf_match no_answer(struct spf *s)
{
    s->why = "no answer from the DNS";
    return SPF_TEMP;
}

/* ---- addresses ---------------------------------------------------------------------------- */

bool spf_ip_matches(const struct trust_ip *peer, const uint8_t *bytes, unsigned prefix)
{
    size_t whole = prefix / 8;
    unsigned rest = prefix % 8;
    if (memcmp(peer->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || (peer->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

uint16_t spf_address_type(const struct spf *s)
{
    return s->sender->peer.is_v6 ? TRUST_DNS_AAAA : TRUST_DNS_A;
}

bool spf_answer_matches(const struct spf *s, const struct trust_answer *answer,
                        const struct spf_term *t)
{
    const struct trust_ip *peer = &s->sender->peer;
    for (size_t i = 0; i < answer->n_records; i++) {
        struct slice r = answer->records[i];
        if (r.n == (peer->is_v6 ? 16 : 4) &&
            spf_ip_matches(peer, (const uint8_t *)r.p, peer->is_v6 ? t->cidr6 : t->cidr4))
            return true;
    }
    return false;
}

/* ---- the peer's own names (section 5.5) --------------------------------------------------- */

static void reverse_name(const struct trust_ip *ip, struct buf *out)
{
    if (!ip->is_v6) {
        buf_addf(out, "%u.%u.%u.%u.in-addr.arpa", ip->bytes[3], ip->bytes[2], ip->bytes[1],
                 ip->bytes[0]);
        return;
    }
    for (size_t i = 16; i > 0; i--)
        buf_addf(out, "%x.%x.", ip->bytes[i - 1] & 15u, ip->bytes[i - 1] >> 4);
    buf_adds(out, SLICE("ip6.arpa"));
}

static bool leads_back(struct spf *s, struct slice host)
{
    static const struct spf_term exact = {.cidr4 = 32, .cidr6 = 128};
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct trust_answer answer;
    return trust_ask(s->dns, host, spf_address_type(s), a, &answer) == TRUST_DNS_OK &&
           spf_answer_matches(s, &answer, &exact);
}

void spf_find_hosts(struct spf *s)
{
    if (s->has_hosts)
        return;
    s->has_hosts = true;
    SCOPED(buf_finish) struct buf name = buf_make(TRUST_NAME_MAX);
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct trust_answer answer;
    reverse_name(&s->sender->peer, &name);
    enum trust_dns_status status = trust_ask(s->dns, buf_slice(&name), TRUST_DNS_PTR, a, &answer);
    s->has_hosts_void = status == TRUST_DNS_NXDOMAIN || status == TRUST_DNS_NODATA;
    if (status != TRUST_DNS_OK)
        return; /* an error is no match (section 5.5) */
    for (size_t i = 0; i < answer.n_records && i < TRUST_SPF_HOSTS_MAX; i++) {
        struct slice host = trust_name_trim(answer.records[i]);
        if (!trust_name_is_valid(host) || !leads_back(s, host))
            continue;
        struct trust_name *keep = &s->hosts[s->n_hosts++];
        memcpy(keep->p, host.p, host.n);
        keep->n = host.n;
    }
}

/* ---- mechanisms --------------------------------------------------------------------------- */

/* A question that a term asks of the policy's own names. Names without an answer are counted
 * (section 4.6.4); the hosts behind an MX and the peer's PTR names are not: the publisher is not
 * answerable for an IPv4-only host, nor for the peer's reverse zone. */
static enum spf_match ask_term(struct spf *s, struct slice name, uint16_t type, struct arena *a,
                               struct trust_answer *ret)
{
    switch (trust_ask(s->dns, name, type, a, ret)) {
    case TRUST_DNS_OK:
        return SPF_YES;
    case TRUST_DNS_NXDOMAIN:
    case TRUST_DNS_NODATA:
        return ++s->n_void > TRUST_SPF_VOID_MAX ? broken(s, "too many names without an answer")
                                                : SPF_NO;
    case TRUST_DNS_TEMPFAIL:
        break;
    }
    return no_answer(s);
}

static enum spf_match match_a(struct spf *s, struct slice name, const struct spf_term *t)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct trust_answer answer;
    enum spf_match m = ask_term(s, name, spf_address_type(s), a, &answer);
    if (m != SPF_YES)
        return m;
    return spf_answer_matches(s, &answer, t) ? SPF_YES : SPF_NO;
}

static enum spf_match match_exists(struct spf *s, struct slice name)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct trust_answer answer;
    return ask_term(s, name, TRUST_DNS_A, a, &answer);
}

static enum spf_match match_mx(struct spf *s, struct slice name, const struct spf_term *t)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct trust_answer hosts;
    enum spf_match m = ask_term(s, name, TRUST_DNS_MX, a, &hosts);
    if (m != SPF_YES)
        return m;
    if (hosts.n_records > TRUST_SPF_HOSTS_MAX)
        return broken(s, "too many MX records");
    for (size_t i = 0; i < hosts.n_records; i++) {
        SCOPED(arena_destroy) struct arena *b = arena_create(TRUST_ANSWER_MAX);
        struct trust_answer answer;
        switch (trust_ask(s->dns, hosts.records[i], spf_address_type(s), b, &answer)) {
        case TRUST_DNS_OK:
            if (spf_answer_matches(s, &answer, t))
                return SPF_YES;
            break;
        case TRUST_DNS_NXDOMAIN:
        case TRUST_DNS_NODATA:
            break;
        case TRUST_DNS_TEMPFAIL:
            return no_answer(s);
        }
    }
    return SPF_NO;
}

static enum spf_match match_ptr(struct spf *s, struct slice name)
{
    spf_find_hosts(s);
    if (s->has_hosts_void && ++s->n_void > TRUST_SPF_VOID_MAX)
        return broken(s, "too many names without an answer");
    for (size_t i = 0; i < s->n_hosts; i++)
        if (trust_name_is_below(slice_of(s->hosts[i].p, s->hosts[i].n), name))
            return SPF_YES;
    return SPF_NO;
}

/* Section 5.2: what the included policy says becomes a match, none, or an error. */
static enum spf_match match_include(struct spf *s, struct slice name)
{
    switch (check_host(s, name, NULL)) {
    case TRUST_SPF_PASS:
        return SPF_YES;
    case TRUST_SPF_FAIL:
    case TRUST_SPF_SOFTFAIL:
    case TRUST_SPF_NEUTRAL:
        return SPF_NO;
    case TRUST_SPF_TEMPERROR:
        return SPF_TEMP;
    case TRUST_SPF_NONE:
        return broken(s, "an included domain has no policy");
    case TRUST_SPF_PERMERROR:
    case TRUST_SPF_N:
        break;
    }
    return SPF_PERM;
}

/* Mechanisms that ask the DNS, with their name expanded. */
static enum spf_match match_asking(struct spf *s, struct slice domain, const struct spf_term *t)
{
    struct trust_name name;
    if (++s->n_terms > TRUST_SPF_TERMS_MAX)
        return broken(s, "too many terms that ask the DNS");
    if (!spf_expand_name(s, domain, t->domain.n ? t->domain : SLICE("%{d}"), &name))
        return broken(s, "a macro expands to too much");
    struct slice target = slice_of(name.p, name.n);
    switch (t->kind) {
    case SPF_INCLUDE:
        return match_include(s, target);
    case SPF_A:
        return match_a(s, target, t);
    case SPF_MX:
        return match_mx(s, target, t);
    case SPF_PTR:
        return match_ptr(s, target);
    case SPF_EXISTS:
        return match_exists(s, target);
    case SPF_ALL:
    case SPF_IP4:
    case SPF_IP6:
    case SPF_REDIRECT:
    case SPF_EXP:
    case SPF_OTHER:
        break;
    }
    return SPF_NO;
}

static enum spf_match match_term(struct spf *s, struct slice domain, const struct spf_term *t)
{
    const struct trust_ip *peer = &s->sender->peer;
    switch (t->kind) {
    case SPF_ALL:
        return SPF_YES;
    case SPF_IP4:
        return !peer->is_v6 && spf_ip_matches(peer, t->ip.bytes, t->cidr4) ? SPF_YES : SPF_NO;
    case SPF_IP6:
        return peer->is_v6 && spf_ip_matches(peer, t->ip.bytes, t->cidr6) ? SPF_YES : SPF_NO;
    case SPF_INCLUDE:
    case SPF_A:
    case SPF_MX:
    case SPF_PTR:
    case SPF_EXISTS:
        return match_asking(s, domain, t);
    case SPF_REDIRECT:
    case SPF_EXP:
    case SPF_OTHER:
        break;
    }
    return SPF_NO;
}

/* ---- records ------------------------------------------------------------------------------ */

static enum trust_spf_result qualified(char qualifier)
{
    switch (qualifier) {
    case '-':
        return TRUST_SPF_FAIL;
    case '~':
        return TRUST_SPF_SOFTFAIL;
    case '?':
        return TRUST_SPF_NEUTRAL;
    }
    return TRUST_SPF_PASS;
}

/* First match wins; TRUST_SPF_N: none matched. */
static enum trust_spf_result evaluate(struct spf *s, struct slice domain, struct slice terms)
{
    struct slice rest = terms;
    struct spf_term t;
    while (spf_term_next(&rest, &t) == SPF_TERM) {
        switch (match_term(s, domain, &t)) {
        case SPF_YES:
            return qualified(t.qualifier);
        case SPF_NO:
            break;
        case SPF_TEMP:
            return TRUST_SPF_TEMPERROR;
        case SPF_PERM:
            return TRUST_SPF_PERMERROR;
        }
    }
    return TRUST_SPF_N;
}

/* Sections 4.3 to 4.5: the one record of a domain. TRUST_SPF_N: here it is. */
static enum trust_spf_result find_record(struct spf *s, struct slice domain, struct arena *a,
                                         struct slice *ret)
{
    struct trust_answer answer;
    bool has_record = false;
    if (trust_name_labels(domain) < 2)
        return TRUST_SPF_NONE;
    switch (trust_ask(s->dns, domain, TRUST_DNS_TXT, a, &answer)) {
    case TRUST_DNS_OK:
        break;
    case TRUST_DNS_NXDOMAIN:
    case TRUST_DNS_NODATA:
        return TRUST_SPF_NONE;
    case TRUST_DNS_TEMPFAIL:
        (void)no_answer(s);
        return TRUST_SPF_TEMPERROR;
    }
    for (size_t i = 0; i < answer.n_records; i++) {
        if (!spf_is_record(answer.records[i]))
            continue;
        if (has_record) {
            (void)broken(s, "more than one policy");
            return TRUST_SPF_PERMERROR;
        }
        has_record = true;
        *ret = answer.records[i];
    }
    return has_record ? TRUST_SPF_N : TRUST_SPF_NONE;
}

/* Section 6.2: anything wrong means no explanation. It will stand in a reply line, so only
 * printable ASCII is let through. */
static void explain(struct spf *s, struct slice domain, struct slice spec, struct trust_spf *ret)
{
    struct trust_name name;
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    SCOPED(buf_finish) struct buf text = buf_make(sizeof(ret->explanation) - 1);
    struct trust_answer answer;
    if (spec.n == 0 || !spf_expand_name(s, domain, spec, &name) ||
        trust_ask(s->dns, slice_of(name.p, name.n), TRUST_DNS_TXT, a, &answer) != TRUST_DNS_OK ||
        answer.n_records != 1 || !spf_expand(s, domain, answer.records[0], SPF_USE_TEXT, &text))
        return;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return;
    memcpy(ret->explanation, buf_cstr(&text), text.n + 1);
}

/* `*domain` becomes the target of a redirect (section 6.1); false: the result is an error. */
static bool follow_redirect(struct spf *s, struct slice spec, struct trust_name *domain)
{
    struct trust_name target;
    if (++s->n_terms > TRUST_SPF_TERMS_MAX) {
        (void)broken(s, "too many terms that ask the DNS");
        return false;
    }
    if (!spf_expand_name(s, slice_of(domain->p, domain->n), spec, &target)) {
        (void)broken(s, "a macro expands to too much");
        return false;
    }
    *domain = target;
    return true;
}

/* One record; TRUST_SPF_N: go on with the redirect that `*domain` now names. */
static enum trust_spf_result check_record(struct spf *s, struct trust_name *domain,
                                          struct trust_spf *top)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(TRUST_ANSWER_MAX);
    struct slice at = slice_of(domain->p, domain->n), text;
    struct spf_record record;
    enum trust_spf_result r = find_record(s, at, a, &text);
    if (r != TRUST_SPF_N)
        return r;
    if (!spf_record_parse(text, &record)) {
        (void)broken(s, "the policy has a syntax error");
        return TRUST_SPF_PERMERROR;
    }
    r = evaluate(s, at, record.terms);
    if (r == TRUST_SPF_FAIL && top)
        explain(s, at, record.exp, top);
    if (r != TRUST_SPF_N)
        return r;
    if (record.redirect.n == 0)
        return TRUST_SPF_NEUTRAL;
    return follow_redirect(s, record.redirect, domain) ? TRUST_SPF_N : TRUST_SPF_PERMERROR;
}

/* `top` takes the explanation; NULL inside an include, where there is none. */
static enum trust_spf_result check_host(struct spf *s, struct slice domain, struct trust_spf *top)
{
    struct trust_name at;
    if (domain.n > TRUST_NAME_MAX)
        return TRUST_SPF_NONE;
    memcpy(at.p, domain.n ? domain.p : "", domain.n);
    at.n = domain.n;
    enum trust_spf_result r = check_record(s, &at, top);
    while (r == TRUST_SPF_N) {
        r = check_record(s, &at, top);
        if (r == TRUST_SPF_NONE) {
            (void)broken(s, "the redirect leads to no policy");
            return TRUST_SPF_PERMERROR;
        }
    }
    return r;
}

void trust_spf_check(const struct trust_dns *dns, const struct trust_sender *sender,
                     struct trust_spf *ret)
{
    struct slice path = sender->mail_from;
    struct trust_spf result = {.is_helo = path.n == 0, .why = ""};
    result.domain = result.is_helo ? trust_name_trim(sender->helo) : trust_path_domain(path);
    struct spf *s = mem_new(sizeof(*s));
    s->dns = dns;
    s->sender = sender;
    s->why = "";
    s->domain = result.domain;
    s->local = SLICE("postmaster");
    ptrdiff_t n_local = result.is_helo || result.domain.n == 0 ? 0 : result.domain.p - path.p - 1;
    if (n_local > 0)
        s->local = slice_of(path.p, (size_t)n_local);
    if (s->local.n <= TRUST_LOCAL_MAX && s->domain.n <= TRUST_NAME_MAX)
        result.result = check_host(s, s->domain, &result);
    if (result.result == TRUST_SPF_TEMPERROR || result.result == TRUST_SPF_PERMERROR)
        result.why = s->why;
    mem_free(&s);
    *ret = result;
}
