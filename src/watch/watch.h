/* What goes wrong slowly, or was wrong from the start, before it hurts: the DNS records of a
 * domain, certificates, room on the disk, the age of what waits.
 *
 * Each judgement is a finding: what was found, what was expected, why it matters, what to do. Pure:
 * no clock, no log, no sockets; a look at a domain blocks only in `watch_dns.ask` and
 * `watch_web.get`. What they say is hostile: every count has a ceiling, every text comes out as
 * printable ASCII. Lives in liaison (looks) and in core (forecasts). RFC 7208 (SPF), 9989 (DMARC),
 * 6376 (DKIM), 8461 (MTA-STS), 6698 and 7672 (DANE). */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "trust/trust.h"
#include "wire/wire.h"

/* ---- findings ------------------------------------------------------------------------------- */

/* The numbers travel and are kept: append only. */
enum watch_check {
    /* of a domain */
    WATCH_MX,   /* where its mail goes */
    WATCH_TTL,  /* how long a switch of the MX would take */
    WATCH_SPF,  /* may we send in its name? */
    WATCH_DKIM, /* are our keys published? */
    WATCH_DMARC,
    WATCH_STS,  /* MTA-STS */
    WATCH_TLSA, /* DANE of those of its mail exchangers that are us */
    WATCH_NS,   /* do its name servers outlive its own network? */
    /* of this node */
    WATCH_ADDRESS, /* does our name lead to us? */
    WATCH_REVERSE, /* do our addresses have names? */
    WATCH_CERTIFICATE,
    WATCH_SPACE, /* room on the disk */
    WATCH_FILES, /* inodes */
    WATCH_HELD,  /* mail that waits for a person */
    /* of a primary */
    WATCH_QUEUE,            /* age of what waits although the primary is well */
    WATCH_KEPT,             /* when what is kept for it fills the disk */
    WATCH_PEER_CERTIFICATE, /* its own */
    WATCH_N
};
const char *watch_check_name(enum watch_check c);  /* "mx" */
const char *watch_check_title(enum watch_check c); /* "mail exchangers (MX)" */

enum watch_class {
    WATCH_UNKNOWN, /* could not be looked at: says nothing */
    WATCH_OK,
    WATCH_NOTICE,
    WATCH_ALARM,
    WATCH_CLASS_N
};
const char *watch_class_name(enum watch_class c); /* "ok" */

enum { WATCH_FOUND_MAX = 400, WATCH_TEXT_MAX = 300, WATCH_ADVICE_MAX = 600 };
struct watch_finding {
    enum watch_check check;
    enum watch_class class;
    int64_t number; /* TTL: seconds; certificates: utc_ms of their end; space, files, kept: seconds
                     * until full, -1 not in sight; held, queue: how many; else 0 */
    char found[WATCH_FOUND_MAX + 1];
    char expected[WATCH_TEXT_MAX + 1];
    char why[WATCH_TEXT_MAX + 1];      /* why it matters, or why it is unknown */
    char advice[WATCH_ADVICE_MAX + 1]; /* what to write or do; "" when all is well */
};
enum { WATCH_LOOK_MAX = 12 };
struct watch_findings {
    struct watch_finding list[WATCH_LOOK_MAX];
    size_t n;
};

/* ---- looking at DNS -------------------------------------------------------------------------- */

enum watch_answer {
    WATCH_ANSWER_OK,      /* at least one record */
    WATCH_ANSWER_NO_NAME, /* the name does not exist */
    WATCH_ANSWER_NO_DATA, /* it exists, not with this type */
    WATCH_ANSWER_NONE,    /* nobody answered, or it failed */
    WATCH_ANSWER_BOGUS    /* signed, and wrongly */
};
enum watch_type {
    WATCH_TYPE_A = 1,
    WATCH_TYPE_NS = 2,
    WATCH_TYPE_PTR = 12,
    WATCH_TYPE_MX = 15,
    WATCH_TYPE_TXT = 16,
    WATCH_TYPE_AAAA = 28,
    WATCH_TYPE_TLSA = 52
};
struct watch_records {
    enum watch_answer status;
    bool is_secure; /* DNSSEC validated */
    uint32_t ttl;
    const struct slice *data; /* as in DNS, names uncompressed; with OK only */
    size_t n;
};
/* Blocks; keeps its own deadline: after it everything is WATCH_ANSWER_NONE. Records go into `a`
 * (its ceiling is TRUST_ANSWER_MAX: arena_try). Follows CNAME. Sets all of *ret. */
struct watch_dns {
    void (*ask)(void *self, struct slice name, uint16_t type, struct arena *a,
                struct watch_records *ret);
    void *self;
};

/* ---- looking at pages ------------------------------------------------------------------------ */

enum watch_fetch {
    WATCH_FETCH_OK,
    WATCH_FETCH_FAILED, /* theirs: no address, no connection, a wrong certificate, another status */
    WATCH_FETCH_OURS    /* we could not try, or not judge: says nothing about them */
};
enum { WATCH_PAGE_MAX = 64 << 10 }; /* RFC 8461 section 3.3 */
struct watch_page {
    enum watch_fetch status;
    struct slice text;            /* with OK only; at most WATCH_PAGE_MAX */
    char why[WATCH_TEXT_MAX + 1]; /* not OK: what happened, in words */
};
/* GET https://HOST/PATH. OK: status 200 and text/plain, over TLS with a certificate for HOST from
 * an authority that we know; no redirect was followed (RFC 8461 section 3.3). Blocks; keeps its own
 * deadline. The text goes into `a` (arena_try). Sets all of *ret. */
struct watch_web {
    void (*get)(void *self, const char *host, const char *path, struct arena *a,
                struct watch_page *ret);
    void *self;
};
struct watch_outside {
    struct watch_dns dns;
    struct watch_web web;
};

/* ---- who we are, and whom we look at --------------------------------------------------------- */

enum watch_vouched {
    WATCH_VOUCHED_UNKNOWN, /* we know no authorities */
    WATCH_VOUCHED_YES,     /* an authority that is commonly trusted stands behind it */
    WATCH_VOUCHED_NO
};
/* A certificate and its chain, as far as TLSA, its end and its names go. */
enum { WATCH_CHAIN_MAX = 8, WATCH_SHA256 = 32, WATCH_SHA512 = 64, WATCH_LEAF_MAX = 16 << 10 };
struct watch_certificate {
    utc_ms until;                 /* of the first */
    enum watch_vouched vouched;   /* said by whoever knows the authorities */
    uint8_t leaf[WATCH_LEAF_MAX]; /* DER of the first */
    size_t n_leaf;                /* 0: too large to keep */
    size_t n;                     /* in the chain; 0: there is none */
    struct {
        uint8_t whole256[WATCH_SHA256], whole512[WATCH_SHA512]; /* of the DER */
        uint8_t key256[WATCH_SHA256], key512[WATCH_SHA512];     /* of its SubjectPublicKeyInfo */
    } chain[WATCH_CHAIN_MAX];
};
/* PEM of our own file. False: no certificate in it. */
bool watch_certificate_read(struct slice pem, struct watch_certificate *ret);
/* May a host of this name show it (RFC 6125)? */
bool watch_certificate_names(const struct watch_certificate *c, const char *host);

enum { WATCH_ADDRESSES_MAX = 16 };
struct watch_node {
    struct slice name; /* as in greetings */
    /* From where we send, as the settings say; none: where our name leads. */
    struct wire_ip addresses[WATCH_ADDRESSES_MAX];
    size_t n_addresses;
    struct watch_certificate certificate;
};

struct watch_selector {
    struct slice name;
    bool is_ours; /* of a key that this node signs with; else of the company's own mail system */
};
enum { WATCH_SELECTORS_MAX = 32 };
enum watch_form { WATCH_INLINE = 1, WATCH_SECOND = 2, WATCH_HOSTED = 3 }; /* as enum dir_form */
struct watch_domain {
    struct slice name;
    enum watch_form form;
    const struct slice *networks; /* of its primary: "192.0.2.0/24" */
    size_t n_networks;
    const struct watch_selector *selectors; /* of DKIM keys; at most WATCH_SELECTORS_MAX */
    size_t n_selectors;
    uint32_t ttl_known; /* of the MX as we saw it freshly; 0: never */
    int64_t ttl_age;    /* seconds since then: what a cache says meanwhile is only a rest */
};

/* One finding for each thing that can be asked; in the order of enum watch_check. */
void watch_look_domain(const struct watch_outside *outside, const struct watch_node *node,
                       const struct watch_domain *domain, utc_ms now, struct watch_findings *ret);
/* Address, reverse names, certificate. */
void watch_look_node(const struct watch_dns *dns, const struct watch_node *node, utc_ms now,
                     struct watch_findings *ret);
/* Nothing was answered at all: that is our resolver's trouble, not the domain's. */
bool watch_is_blind(const struct watch_findings *f);

/* ---- MTA-STS policies (RFC 8461 section 3.2) --------------------------------------------------
 */

enum watch_mode { WATCH_MODE_NONE, WATCH_MODE_TESTING, WATCH_MODE_ENFORCE };
enum { WATCH_MAX_AGE_MOST = 31557600 };
struct watch_policy {
    enum watch_mode mode;
    uint64_t max_age;  /* seconds, as written */
    struct slice text; /* all of it, borrowed */
};
/* NULL: it is one; else why senders cannot use it, static text. Unknown keys are ignored, and all
 * but the first of each known one, except mx. At most WATCH_PAGE_MAX bytes. O(n). */
const char *watch_policy_read(struct slice text, struct watch_policy *ret);
/* The next mx ("mail.rossi.example", "*.rossi.example"): `*rest` begins as policy->text. */
bool watch_policy_mx(struct slice *rest, struct slice *ret);
/* Does one of them stand for this host (section 4.1)? A star is the whole leftmost label. */
bool watch_policy_covers(const struct watch_policy *p, const char *host);

/* ---- certificates, forecasts ----------------------------------------------------------------- */

/* Notice three weeks before its end, alarm one week. `check`: ours or a primary's; `whose` for the
 * words: "of this node". */
void watch_certificate_judge(enum watch_check check, const char *whose, utc_ms until, utc_ms now,
                             struct watch_finding *ret);

/* Samples of one value over a day. */
enum { WATCH_SAMPLES = 720, WATCH_SAMPLE_SECONDS = 120 };
struct watch_trend {
    struct {
        mono_us at;
        double value;
    } sample[WATCH_SAMPLES]; /* a ring */
    size_t n, next;
};
/* Takes the sample if the last one is old enough; older than a day fall out. */
void watch_trend_add(struct watch_trend *t, mono_us now, double value);
/* Seconds until `value` (now) reaches `floor` at the pace of the last day (least squares), or,
 * where that is faster, of the last hour. -1: not in sight (grows, too few samples, less than
 * `noise` of change, over a year). */
int64_t watch_trend_until(const struct watch_trend *t, mono_us now, double value, double floor,
                          double noise);

struct watch_room {
    uint64_t n_free, n_total; /* bytes or files; total 0: not known */
    unsigned refuse_percent;  /* below it new mail is refused; for files: our own line */
    unsigned alarm_percent;   /* below it those in charge are told */
    int64_t until_refused;    /* seconds, -1: not in sight */
};
/* WATCH_SPACE or WATCH_FILES. */
void watch_room_judge(enum watch_check check, const struct watch_room *room,
                      struct watch_finding *ret);

struct watch_waiting {
    bool is_well; /* the primary is in standby: then nothing should wait for long */
    uint64_t n_rows;
    int64_t age;        /* seconds, of the oldest */
    int64_t until_full; /* seconds at the present rate of arrival; -1: not in sight */
};
void watch_queue_judge(const struct watch_waiting *w, struct watch_finding *ret);
void watch_kept_judge(const struct watch_waiting *w, struct watch_finding *ret);
void watch_held_judge(uint64_t n_held, struct watch_finding *ret);

/* What a greeting says of the software behind it: words and versions, without times and ids, so
 * that it changes when the software does. */
enum { WATCH_SOFTWARE_MAX = 120 };
void watch_software(struct slice greeting, char ret[WATCH_SOFTWARE_MAX + 1]);

/* "about 3 hours", "12 days". */
struct watch_span_text {
    char s[32];
};
struct watch_span_text watch_span(int64_t seconds);

#endif
