/* Inside watch: questions, names of records, texts of findings. */
#ifndef WATCH_WATCH_INT_H
#define WATCH_WATCH_INT_H

#include "watch/watch.h"

enum { WATCH_NAME_MAX = 256, WATCH_HOSTS_MAX = 16 };

/* ---- texts ---- */

/* Start the next finding; it is OK until somebody says otherwise. */
struct watch_finding *watch_add(struct watch_findings *all, enum watch_check check);
/* Set one text (printf format). What is not printable ASCII becomes '?'. */
void watch_say(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define WATCH_SAY(text, ...) watch_say((text), sizeof(text), __VA_ARGS__)
/* Add to a text, with ", " before unless it is the first; "..." when it is full. */
void watch_join(char *text, size_t size, const char *more);
/* No answer, or a forged one: the finding says why nothing is known. True: so it is. */
bool watch_is_unanswered(struct watch_finding *f, const struct watch_records *r, const char *what);

/* ---- records ---- */

/* A name in wire format at the start of `*data`; the rest stays there. False: no host name. The
 * root gives "". */
bool watch_name_read(struct slice *data, char ret[WATCH_NAME_MAX]);
/* The strings of a TXT record joined, as they are. False: broken. */
bool watch_text_read(struct slice data, struct arena *a, struct slice *ret);
/* An address of this type; version 0: broken. */
struct wire_ip watch_ip_read(uint16_t type, struct slice data);

/* One question; the name is a printf format. Names that cannot be in DNS give NO_NAME. */
void watch_ask(const struct watch_dns *dns, uint16_t type, struct arena *a,
               struct watch_records *ret, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

struct watch_addresses {
    struct wire_ip list[WATCH_ADDRESSES_MAX];
    size_t n;
    bool is_unanswered; /* of A or AAAA there is no answer */
};
/* Where a host name leads. */
void watch_addresses(const struct watch_dns *dns, const char *host, struct watch_addresses *ret);
bool watch_has_address(const struct wire_ip *list, size_t n, struct wire_ip ip);
/* "192.0.2.0/24" or an address has this one. */
bool watch_network_has(struct slice network, struct wire_ip ip);
/* Our own: of the settings, else where our name leads. */
void watch_own_addresses(const struct watch_dns *dns, const struct watch_node *node,
                         struct watch_addresses *ret);

/* The first TXT records at a name that begin with a version tag such as "v=spf1". */
struct watch_texts {
    enum watch_answer status;
    struct slice first; /* in the arena */
    struct slice other; /* the first that does not begin so */
    size_t n;           /* that begin so */
};
bool watch_texts_find(const struct watch_records *r, struct arena *a, struct slice begins,
                      struct watch_texts *ret);

/* ---- judgements, one file each kind ---- */

struct watch_exchanger {
    char name[WATCH_NAME_MAX];
    uint16_t preference;
    bool is_ours;
};
struct watch_look {
    const struct watch_dns *dns;
    const struct watch_web *web;
    const struct watch_node *node;
    const struct watch_domain *domain;
    utc_ms now;
    struct watch_addresses own;
    struct watch_exchanger mx[WATCH_HOSTS_MAX]; /* most wanted first */
    size_t n_mx;
    bool is_mx_unknown; /* nobody answered */
    struct watch_findings *all;
};
void watch_judge_mx(struct watch_look *l); /* fills mx; MX and TTL */
void watch_judge_spf(struct watch_look *l);
void watch_judge_dkim(struct watch_look *l);
void watch_judge_dmarc(struct watch_look *l);
void watch_judge_sts(struct watch_look *l);
void watch_judge_tlsa(struct watch_look *l);
void watch_judge_ns(struct watch_look *l);

#endif
