/* Inside SPF: one evaluation, the terms of a record, macro strings. */
#ifndef TRUST_SPF_INT_H
#define TRUST_SPF_INT_H

#include "trust_int.h"

/* ---- terms (RFC 7208 section 4.6.1, 5, 6) -------------------------------------------------- */

enum spf_kind {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_REDIRECT,
    SPF_EXP,
    SPF_OTHER /* a modifier we do not know: no effect, but its syntax counts */
};

struct spf_term {
    enum spf_kind kind;
    char qualifier;      /* + - ? ~ ; '+' if none was written */
    struct slice domain; /* domain-spec; empty: the current domain */
    unsigned cidr4, cidr6;
    struct trust_ip ip; /* of ip4, ip6 */
};

enum spf_step { SPF_TERM, SPF_END, SPF_BROKEN };

/* The next term of what follows "v=spf1". */
enum spf_step spf_term_next(struct slice *rest, struct spf_term *ret);

struct spf_record {
    struct slice terms;
    struct slice redirect, exp; /* domain-specs; empty if absent (they cannot be empty) */
};
/* Checks all of the record, as section 4.6 demands, before anything of it is believed. */
bool spf_record_parse(struct slice text, struct spf_record *ret);
bool spf_is_record(struct slice text); /* begins with v=spf1 and SP or the end */

/* ---- one evaluation ------------------------------------------------------------------------ */

struct spf {
    const struct trust_dns *dns;
    const struct trust_sender *sender;
    struct slice local;  /* local part of the sender, "postmaster" if it has none */
    struct slice domain; /* its domain */
    unsigned n_terms;    /* terms so far that asked the DNS */
    unsigned n_void;     /* of them without an answer */
    const char *why;     /* the reason for an error */
    bool has_hosts;      /* below is filled */
    bool has_hosts_void; /* the reverse name has no PTR */
    size_t n_hosts;      /* names of the peer that lead back to it (section 5.5) */
    struct trust_name hosts[TRUST_SPF_HOSTS_MAX];
};

bool spf_ip_matches(const struct trust_ip *peer, const uint8_t *bytes, unsigned prefix);
/* Does `name` have the peer's address, by prefix? For A, AAAA answers. */
bool spf_answer_matches(const struct spf *s, const struct trust_answer *answer,
                        const struct spf_term *t);
uint16_t spf_address_type(const struct spf *s); /* A or AAAA, as the peer is */
void spf_find_hosts(struct spf *s);             /* fills s->hosts, once */

/* ---- macro strings (section 7) -------------------------------------------------------------- */

enum spf_use { SPF_USE_NAME, SPF_USE_TEXT }; /* TEXT: of an explanation, knows c r t too */

/* Checks one item at the start of `s` ("%{...}", "%%", or a plain byte): its length, 0 if broken.
 * `*ret_is_macro` says which. */
size_t spf_macro_length(struct slice s, enum spf_use use, bool *ret_is_macro);

/* Expands into `out`; false if broken or too long. `domain` is the current one (%{d}). */
bool spf_expand(struct spf *s, struct slice domain, struct slice text, enum spf_use use,
                struct buf *out);

/* The same for a name to ask for, cut from the left to TRUST_NAME_MAX; false if too long. The
 * result need not be a valid name. */
bool spf_expand_name(struct spf *s, struct slice domain, struct slice text, struct trust_name *ret);

#endif
