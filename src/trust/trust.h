/* Is this sender who it claims to be? SPF, DKIM verification, DMARC, and what they say together.
 *
 * Straight-line evaluation for a worker thread: it blocks only in `trust_dns.ask`. No sockets, no
 * clock, no log in here. Every count a peer controls has a ceiling below; a message is read once,
 * whatever is in it. Names are A-labels (RFC 5891): a domain with other bytes has no records.
 * Results borrow from the message and from the sender that were asked about. */
#ifndef TRUST_TRUST_H
#define TRUST_TRUST_H

#include "base/base.h"

/* ---- the resolver we ask ------------------------------------------------------------------ */

#define TRUST_NAME_MAX 253
#define TRUST_TXT_MAX 16384            /* longer records are broken records */
#define TRUST_ANSWER_MAX (1024 * 1024) /* ceiling of the arena an answer is put in */

enum trust_dns_status {
    TRUST_DNS_OK,       /* at least one record */
    TRUST_DNS_NXDOMAIN, /* the name does not exist */
    TRUST_DNS_NODATA,   /* it exists, not with this type */
    TRUST_DNS_TEMPFAIL  /* no answer, SERVFAIL, bogus, out of time */
};
enum trust_dns_type {
    TRUST_DNS_A = 1,
    TRUST_DNS_PTR = 12,
    TRUST_DNS_MX = 15,
    TRUST_DNS_TXT = 16,
    TRUST_DNS_AAAA = 28
};

/* A: 4 bytes a record; AAAA: 16; MX, PTR: the host's name without the dot at its end, in no order
 * (empty for the root); TXT: the strings of a record joined. */
struct trust_answer {
    const struct slice *records;
    size_t n_records;
};

/* `name`: labels of 1..63 bytes (any but NUL and '.') between dots, at most TRUST_NAME_MAX, no dot
 * at the end. `ask` follows CNAME, blocks, and keeps the deadline: once that is over every answer
 * is TRUST_DNS_TEMPFAIL. Records go into `a` (its ceiling is TRUST_ANSWER_MAX: arena_try). `*ret`
 * is set with TRUST_DNS_OK only. */
struct trust_dns {
    enum trust_dns_status (*ask)(void *self, struct slice name, uint16_t type, struct arena *a,
                                 struct trust_answer *ret);
    void *self;
};

/* ---- who sent it -------------------------------------------------------------------------- */

struct trust_ip {
    bool is_v6;
    uint8_t bytes[16]; /* network order; 4 of them if not is_v6 */
};
/* Text to address; an IPv4 address mapped into IPv6 becomes IPv4. False if it is none. */
bool trust_ip_parse(struct slice text, struct trust_ip *ret);

struct trust_sender {
    struct trust_ip peer;
    struct slice helo;      /* as the peer said it */
    struct slice mail_from; /* without <>; empty for the null path */
    struct slice receiver;  /* our own name, for explanations; may be empty */
    utc_ms now;
};

/* ---- SPF (RFC 7208) ----------------------------------------------------------------------- */

#define TRUST_SPF_TERMS_MAX 10 /* terms that ask the DNS (section 4.6.4) */
#define TRUST_SPF_VOID_MAX 2   /* of them without an answer */
#define TRUST_SPF_HOSTS_MAX 10 /* MX and PTR names of a term */
#define TRUST_LOCAL_MAX 256    /* bytes of a local part */

enum trust_spf_result {
    TRUST_SPF_NONE,
    TRUST_SPF_NEUTRAL,
    TRUST_SPF_PASS,
    TRUST_SPF_FAIL,
    TRUST_SPF_SOFTFAIL,
    TRUST_SPF_TEMPERROR,
    TRUST_SPF_PERMERROR,
    TRUST_SPF_N
};

struct trust_spf {
    enum trust_spf_result result;
    struct slice domain;   /* that was asked: of MAIL FROM, or HELO */
    bool is_helo;          /* the null path: postmaster@HELO was checked */
    const char *why;       /* static text for errors, "" otherwise */
    char explanation[512]; /* the publisher's words with FAIL, or ""; printable ASCII */
};

/* Always gives a result. At most 1 + 10 + 10 * 10 + 11 + 1 questions: the record, ten terms,
 * ten hosts each, the peer's own names, the explanation. */
void trust_spf_check(const struct trust_dns *dns, const struct trust_sender *sender,
                     struct trust_spf *ret);
const char *trust_spf_text(enum trust_spf_result r); /* "softfail" */

/* ---- DKIM (RFC 6376, 8301, 8463) ---------------------------------------------------------- */

#define TRUST_DKIM_MAX 5 /* signatures that are evaluated, from the top */
#define TRUST_RSA_BITS_MIN 1024
#define TRUST_RSA_BITS_MAX 4096

/* The results of RFC 8601 section 2.7.1. */
enum trust_dkim_result {
    TRUST_DKIM_NONE, /* not signed */
    TRUST_DKIM_PASS,
    TRUST_DKIM_FAIL,      /* it does not fit the message, or its time is over */
    TRUST_DKIM_POLICY,    /* too weak: rsa-sha1, a key below 1024 bits (RFC 8301) */
    TRUST_DKIM_NEUTRAL,   /* we cannot read it: syntax, version, algorithm */
    TRUST_DKIM_TEMPERROR, /* no answer for the key */
    TRUST_DKIM_PERMERROR, /* no usable key, From not signed or not just once */
    TRUST_DKIM_N
};

struct trust_dkim_sig {
    enum trust_dkim_result result;
    struct slice domain, selector; /* d=, s=; empty if unreadable */
    const char *algorithm;         /* "rsa-sha256", "ed25519-sha256", "rsa-sha1" or "" */
    char start[9];                 /* of b=, to tell signatures apart (RFC 6008) */
    bool is_partial;               /* l= leaves a part of the body unsigned */
    bool is_testing;               /* the key record says t=y */
    const char *why;               /* static text; "" with PASS */
};
struct trust_dkim {
    struct trust_dkim_sig sigs[TRUST_DKIM_MAX];
    size_t n_sigs;
    size_t n_ignored; /* signatures beyond TRUST_DKIM_MAX */
};

/* `message`: whole, as received. No more than two passes over the body. A header beyond
 * SIGN_FIELDS_MAX or SIGN_HEADER_MAX counts as unsigned (and for DMARC as without an author). */
void trust_dkim_verify(const struct trust_dns *dns, struct slice message, utc_ms now,
                       struct trust_dkim *ret);
const char *trust_dkim_text(enum trust_dkim_result r);
/* One key record as its owner should see it. NULL: usable; else why not, static text. */
struct trust_dkim_key {
    bool is_ed25519, is_testing; /* t=y */
    unsigned bits;
};
const char *trust_dkim_key_read(struct slice record, struct trust_dkim_key *ret);

/* ---- DMARC (RFC 9989) --------------------------------------------------------------------- */

enum trust_dmarc_result {
    TRUST_DMARC_NONE, /* no policy published, or no author domain to look for one */
    TRUST_DMARC_PASS,
    TRUST_DMARC_FAIL,
    TRUST_DMARC_TEMPERROR,
    TRUST_DMARC_PERMERROR, /* no From, several, or several domains in it */
    TRUST_DMARC_N
};
enum trust_policy { TRUST_POLICY_NONE, TRUST_POLICY_QUARANTINE, TRUST_POLICY_REJECT };

struct trust_dmarc {
    enum trust_dmarc_result result;
    enum trust_policy policy; /* what the owner asks for, t=y already applied */
    struct slice author;      /* domain of From; empty if there is not exactly one */
    bool is_spf_aligned, is_dkim_aligned;
};

/* At most 8 questions each for the author's, SPF's and the signatures' domains. */
void trust_dmarc_check(const struct trust_dns *dns, struct slice message,
                       const struct trust_spf *spf, const struct trust_dkim *dkim,
                       struct trust_dmarc *ret);
const char *trust_dmarc_text(enum trust_dmarc_result r);
/* One TXT record as its owner should see it. False: it is no DMARC record at all (section 4.7). */
struct trust_dmarc_record {
    bool has_policy;         /* p= is there */
    bool is_policy_readable; /* p=, sp= and np= say something that exists, or nothing */
    bool has_reports, is_test;
    enum trust_policy policy; /* of p= */
};
bool trust_dmarc_read(struct slice record, struct trust_dmarc_record *ret);
const char *trust_policy_text(enum trust_policy p);

/* Do the two domains belong to the same organisation (relaxed alignment, section 4.10.2)?
 * TRUST_DNS_OK and `*ret_is`, or TRUST_DNS_TEMPFAIL. */
enum trust_dns_status trust_same_organization(const struct trust_dns *dns, struct slice a,
                                              struct slice b, bool *ret_is);

/* ---- all together ------------------------------------------------------------------------- */

struct trust_verdict {
    struct trust_spf spf;
    struct trust_dkim dkim;
    struct trust_dmarc dmarc;
    bool may_notify; /* the return path is the sender's own: a notice will not hit a stranger */
};

/* `may_notify`: MAIL FROM is not null, and SPF passed for it, or a signature over the whole body
 * passed whose domain is of the same organisation as MAIL FROM's. In doubt: false. */
void trust_judge(const struct trust_dns *dns, const struct trust_sender *sender,
                 struct slice message, struct trust_verdict *ret);

/* Adds "Authentication-Results: SERVER; spf=...CRLF" (RFC 8601), one method a line. `server`: our
 * authserv-id, a domain name. The buffer's own failure says when it was too small. */
void trust_results_header(const struct trust_verdict *v, struct slice server, struct buf *out);

#endif
