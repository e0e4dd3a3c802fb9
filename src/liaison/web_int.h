/* Inside liaison: one HTTP request over libcurl's easy interface: no redirects, no proxy, no files,
 * little memory. Where it may lead is asked of its caller's rule, for every address. */
#ifndef LIAISON_WEB_INT_H
#define LIAISON_WEB_INT_H

#include "courier/peer.h"

#include <openssl/ssl.h>

/* Those who may vouch for a server. Set once; its locks are its own. */
struct web_authorities {
    X509_STORE *store;
    size_t n;
};
/* Before the sandbox and before any thread; PEM, used in the call only. `ret` is empty at first,
 * and forgets what it had. */
void web_authorities_read(struct slice pem, struct web_authorities *ret);

/* May a request go there? NULL: yes; else why not, in words. */
typedef const char *(*web_rule_fn)(const struct net_policy *p,
                                   const struct sockaddr_storage *address, bool is_encrypted);

struct web_request {
    const struct courier_network *network;
    const struct web_authorities *authorities;
    web_rule_fn rule;
    const char *what; /* "webhook", for words */
    const char *url;  /* http or https */
    mono_us deadline; /* for all of it */
    bool is_post;
    struct slice body;
    const char *const *headers; /* "Name: value"; NULL at the end */
    size_t answer_max;          /* bytes that are kept of its body */
};

enum web_end {
    WEB_ANSWERED,
    WEB_FAILED, /* theirs: no address, no connection, no HTTP, a wrong certificate, too slow */
    WEB_OURS    /* our resolver, our policy, our way out, our authorities; or we are stopping */
};
enum { WEB_WHY_MAX = 300 };
struct web_answer {
    enum web_end end;
    uint16_t status;           /* of HTTP, with ANSWERED */
    uint32_t retry_after;      /* seconds, as Retry-After says; 0: it does not */
    bool is_cut;               /* the body is longer than answer_max */
    char type[100];            /* Content-Type; "" when there is none */
    char why[WEB_WHY_MAX + 1]; /* what failed, printable ASCII */
    struct buf body;           /* the caller's */
};
/* Blocks. Sets all of *ret. */
void web_ask(const struct web_request *q, struct web_answer *ret);

/* A stranger's words, for a line of text: at most `room` - 1 bytes of printable ASCII. */
void web_clean(struct slice from, char *to, size_t room);

#endif
