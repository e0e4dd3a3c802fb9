/* What SPF, DKIM and DMARC say together, and as a header field (RFC 8601). */
#include "trust_int.h"

/* May a notice go to the return path? Only if it is proved to be the sender's: a forged one would
 * make us the source of unwanted mail (RFC 3464 leaves this open; RFC 3834 section 4 does not). */
static bool path_is_proved(const struct trust_dns *dns, const struct trust_sender *sender,
                           const struct trust_verdict *v)
{
    struct slice domain = trust_path_domain(sender->mail_from);
    if (domain.n == 0)
        return false;
    if (v->spf.result == TRUST_SPF_PASS && !v->spf.is_helo)
        return true;
    for (size_t i = 0; i < v->dkim.n_sigs; i++) {
        const struct trust_dkim_sig *sig = &v->dkim.sigs[i];
        bool is_same = false;
        /* With l= anybody can add to a signed message; such a one proves nothing here. */
        if (sig->result != TRUST_DKIM_PASS || sig->is_partial)
            continue;
        if (trust_same_organization(dns, domain, sig->domain, &is_same) == TRUST_DNS_OK && is_same)
            return true;
    }
    return false;
}

void trust_judge(const struct trust_dns *dns, const struct trust_sender *sender,
                 struct slice message, struct trust_verdict *ret)
{
    struct trust_verdict v = {.dmarc.result = TRUST_DMARC_PERMERROR};
    struct sign_message *m = mem_new(sizeof(*m));
    trust_spf_check(dns, sender, &v.spf);
    if (sign_message_split(message, m)) {
        trust_dkim_verify_split(dns, m, sender->now, &v.dkim);
        trust_dmarc_check_split(dns, m, &v.spf, &v.dkim, &v.dmarc);
    }
    mem_free(&m);
    v.may_notify = path_is_proved(dns, sender, &v);
    *ret = v;
}

/* ---- Authentication-Results --------------------------------------------------------------- */

/* " name=value", quoted where RFC 2045 asks for it; nothing if the value cannot be written. */
static void add_property(struct buf *out, const char *name, struct slice value)
{
    bool is_token = value.n > 0;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c <= ' ' || c > '~')
            return;
        is_token = is_token && !strchr("()<>@,;:\\\"/[]?=", c);
    }
    if (value.n == 0)
        return;
    buf_addf(out, " %s=%s", name, is_token ? "" : "\"");
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, value.p[i]);
    }
    if (!is_token)
        buf_addc(out, '"');
}

static void add_reason(struct buf *out, const char *why)
{
    if (*why)
        buf_addf(out, " reason=\"%s\"", why);
}

static void add_dkim(const struct trust_dkim *dkim, struct buf *out)
{
    if (dkim->n_sigs == 0)
        buf_adds(out, SLICE(";\r\n\tdkim=none"));
    for (size_t i = 0; i < dkim->n_sigs; i++) {
        const struct trust_dkim_sig *sig = &dkim->sigs[i];
        buf_addf(out, ";\r\n\tdkim=%s", trust_dkim_text(sig->result));
        add_reason(out, sig->why);
        add_property(out, "header.d", sig->domain);
        add_property(out, "header.s", sig->selector);
        add_property(out, "header.a", slice_str(sig->algorithm));
        add_property(out, "header.b", slice_str(sig->start));
    }
}

void trust_results_header(const struct trust_verdict *v, struct slice server, struct buf *out)
{
    buf_adds(out, SLICE("Authentication-Results: "));
    buf_adds(out, server);
    buf_addf(out, ";\r\n\tspf=%s", trust_spf_text(v->spf.result));
    add_reason(out, v->spf.why);
    add_property(out, v->spf.is_helo ? "smtp.helo" : "smtp.mailfrom", v->spf.domain);
    add_dkim(&v->dkim, out);
    buf_addf(out, ";\r\n\tdmarc=%s", trust_dmarc_text(v->dmarc.result));
    if (v->dmarc.result == TRUST_DMARC_PASS || v->dmarc.result == TRUST_DMARC_FAIL)
        buf_addf(out, " policy.dmarc=%s", trust_policy_text(v->dmarc.policy));
    add_property(out, "header.from", v->dmarc.author);
    buf_adds(out, SLICE("\r\n"));
}
