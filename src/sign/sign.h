/* Signs: DKIM signatures over what we send, and the trace header's MAC by which we know again
 * what passed through us. Keys come and go as text; where they are kept is not our business.
 *
 * Pure but for the random numbers of key generation. A key may be used by several threads at once;
 * everything else belongs to the caller. */
#ifndef SIGN_SIGN_H
#define SIGN_SIGN_H

#include "base/base.h"

/* ---- keys --------------------------------------------------------------------------------- */

enum sign_key_kind { SIGN_KEY_RSA2048, SIGN_KEY_ED25519, SIGN_KEY_N };

#define SIGN_PEM_MAX 16384

struct sign_key;

/* Makes a new key. ERR_IO: the generator failed. An RSA key takes up to a second. */
enum err sign_key_create(enum sign_key_kind kind, struct sign_key **ret, struct errinfo *ei);

/* Reads an unencrypted private key, PKCS#8 or PKCS#1 in PEM. RSA of 1024 to 4096 bits or Ed25519;
 * ERR_INVALID for anything else. `pem` is borrowed; wiping it is the caller's. */
enum err sign_key_load(struct slice pem, struct sign_key **ret, struct errinfo *ei);
void sign_key_destroy(struct sign_key **key); /* wipes; takes NULL */

/* The private key as PKCS#8 PEM. The caller wipes the buffer (sign_wipe) when done. */
enum err sign_key_pem(const struct sign_key *key, struct buf *out, struct errinfo *ei);
void sign_wipe(struct buf *b);

/* The text of the TXT record at SELECTOR._domainkey.DOMAIN: "v=DKIM1; k=rsa; p=..." (RFC 6376
 * section 3.6.1, RFC 8463 section 4). Longer than 255 bytes for RSA: whoever writes a zone cuts
 * it into strings. */
enum err sign_key_record(const struct sign_key *key, struct buf *out, struct errinfo *ei);

const char *sign_key_algorithm(const struct sign_key *key); /* "rsa-sha256", "ed25519-sha256" */

/* ---- DKIM (RFC 6376, 8301, 8463) ---------------------------------------------------------- */

struct sign_dkim {
    const struct sign_key *key;
    struct slice domain;   /* d=, A-labels */
    struct slice selector; /* s= */
    utc_ms now;            /* t= */
    int64_t lifetime_sec;  /* x= is now + this; 0: none */
};

/* Adds "DKIM-Signature: ...CRLF" to `out`; it goes before everything else of the message.
 * relaxed/relaxed over the whole body. Signed are the fields a reader sees or a program obeys, all
 * that are there; those that must not be added later (From, To, Subject, ...) once more.
 * `message`: whole, CRLF line ends, borrowed. O(message).
 * ERR_INVALID: no From or several, or an impossible domain or selector. ERR_LIMIT: too many or too
 * large header fields (SIGN_FIELDS_MAX, SIGN_HEADER_MAX). ERR_FULL: `out` is too small. ERR_IO: the
 * library failed. Nothing is added on error. */
enum err sign_dkim(const struct sign_dkim *with, struct slice message, struct buf *out,
                   struct errinfo *ei);

/* ---- the trace header --------------------------------------------------------------------- */

#define SIGN_TRACE_NAME "Staffetta-Trace"
#define SIGN_TRACE_KEY 32
#define SIGN_TRACE_ID_MAX 128 /* bytes of a tenant or message id */

/* What we write on everything we relay: whose it is, which message, when we took it, and which
 * primary gave it to us. Ids are 1..SIGN_TRACE_ID_MAX printable ASCII bytes without blank or ';'.
 */
struct sign_trace {
    struct slice tenant;
    struct slice message;
    int64_t taken_sec; /* since 1970, not negative */
    uint64_t primary;  /* id of the primary it came from; 0: from elsewhere */
};

/* Adds "Staffetta-Trace: v=1; t=...; i=...; d=...; p=...; s=MAC CRLF", folded below 78 columns
 * where the ids allow it. The MAC is HMAC-SHA-256 over all other values. ERR_INVALID: an id that
 * cannot be written; ERR_FULL: no room in `out`; nothing is added then. */
enum err sign_trace_make(const uint8_t key[SIGN_TRACE_KEY], const struct sign_trace *t,
                         struct buf *out, struct errinfo *ei);

/* True if `value` (what follows "Staffetta-Trace:", folded anyhow between the tags and inside s=)
 * was made with this key; then `*ret` borrows from `value`. Constant time in the MAC. False needs
 * no reason: the header is a forgery, damaged, or from another key, and is to be removed. */
bool sign_trace_check(const uint8_t key[SIGN_TRACE_KEY], struct slice value,
                      struct sign_trace *ret);

#endif
