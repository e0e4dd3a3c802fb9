/* Pushing changes to a resource that a client has named (RFC 8620 section 7.2): whether an address
 * can be one, encryption for the client (RFC 8291), and when to try again after which answer.
 *
 * Pure: bytes and values in, bytes and values out. Not here: subscriptions (room jmap), sending
 * (room desk, the liaison), where a request may lead (the liaison, which knows the address). */
#ifndef PUSH_PUSH_H
#define PUSH_PUSH_H

#include "base/base.h"

/* ---- addresses --------------------------------------------------------------------------- */

enum { PUSH_URL_MAX = 1000 };
/* Why nothing can be pushed there, in words; NULL: it looks well. "https://", a host, printable
 * ASCII without user names and fragments; where it leads is not looked at. */
const char *push_url_fault(struct slice url);

/* ---- encryption (RFC 8291, RFC 8188) ----------------------------------------------------- */

enum {
    PUSH_POINT = 65,         /* bytes of a P-256 public key, uncompressed */
    PUSH_SECRET = 16,        /* bytes of the authentication secret */
    PUSH_KEY_TEXT_MAX = 100, /* of either in base64 */
    PUSH_PLAIN_MAX = 3072,   /* one record, padded to a multiple of 256 */
    PUSH_SEALED_MAX = 4096,
};
struct push_keys {
    unsigned char point[PUSH_POINT], secret[PUSH_SECRET];
};
/* URL-safe base64, padded or not. False: these are no such keys; the point is on the curve. */
bool push_keys_parse(struct slice p256dh, struct slice auth, struct push_keys *ret);
/* Encrypts for whoever has the private half: a body with Content-Encoding aes128gcm is appended, at
 * most PUSH_SEALED_MAX bytes. A new key pair each time. ERR_LIMIT: larger than PUSH_PLAIN_MAX;
 * ERR_INVALID: the keys are none. Any thread; about 0.2 ms. */
enum err push_seal(const struct push_keys *keys, struct slice plain, struct buf *ret,
                   struct errinfo *ei);

/* ---- pace -------------------------------------------------------------------------------- */

/* Of one subscription; all zero at first. */
struct push_pace {
    uint32_t n_failed;     /* one after another */
    utc_ms failing_since;  /* by their fault alone; 0: it works, or did not fail like that */
    uint32_t interval_sec; /* at least, between two that go well; it grows when we are asked to */
};
struct push_answer {
    uint16_t status;      /* of HTTP; 0: none */
    bool is_ours;         /* nobody was asked, for a reason of ours */
    uint32_t retry_after; /* seconds; 0: not said */
};
enum push_verdict {
    PUSH_TOLD,  /* the next one not before *ret_wait */
    PUSH_LATER, /* the same again, not before *ret_wait */
    PUSH_GONE,  /* never again: they do not know it any more, or failed for three days */
};
/* Did nobody take it, so that sending the very same again is no second request? */
bool push_may_repeat(uint16_t status);
/* `chance` spreads what failed together. */
enum push_verdict push_judge(struct push_pace *p, const struct push_answer *a, utc_ms now,
                             uint16_t chance, mono_us *ret_wait);

#endif
