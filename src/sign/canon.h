/* What the DKIM signer and the DKIM verifier have in common (RFC 6376): the message cut into
 * fields, both canonical forms, the body digest, tag lists, base64.
 *
 * Pure. The message has CRLF line ends; a lone CR or LF is an ordinary byte here (whoever accepts
 * mail has refused it already). Nothing is decoded: this room sees bytes, not structure. Any
 * thread; nothing is shared. */
#ifndef SIGN_CANON_H
#define SIGN_CANON_H

#include "base/base.h"

#define SIGN_FIELDS_MAX 1000          /* header fields of a message that we sign or verify */
#define SIGN_HEADER_MAX (1024 * 1024) /* their bytes in all */
#define SIGN_TAGS_MAX 32
#define SIGN_DIGEST 32 /* bytes of SHA-256, the only digest (RFC 8301) */

/* One header field, borrowed from the message. */
struct sign_field {
    struct slice raw;   /* all lines, with the last CRLF if there is one */
    struct slice name;  /* without trailing blanks; empty if the line has no colon */
    struct slice value; /* what follows the colon, folds as they are, without the last CRLF */
    uint32_t name_hash; /* of the name in lower case: compare before slice_ieq */
};

/* About 56 KiB: on the heap, please. */
struct sign_message {
    struct sign_field fields[SIGN_FIELDS_MAX];
    size_t n_fields;
    struct slice body; /* after the empty line; empty if there is none */
};

/* Cuts the first field off `*rest`; false at the empty line or the end, `*rest` then is at it. */
bool sign_field_next(struct slice *rest, struct sign_field *ret);
uint32_t sign_name_hash(struct slice name);
bool sign_field_is(const struct sign_field *f, struct slice name); /* case does not matter */

/* False if the header has more than SIGN_FIELDS_MAX fields or SIGN_HEADER_MAX bytes. `ret` borrows
 * from `message`. O(n) in the header. */
bool sign_message_split(struct slice message, struct sign_message *ret);

enum sign_canon { SIGN_SIMPLE, SIGN_RELAXED };

/* Adds the canonical form of one field, with CRLF at its end (RFC 6376 section 3.4.1, 3.4.2). */
void sign_canon_field(enum sign_canon c, const struct sign_field *f, struct buf *out);

/* The same for the signature's own field: the bytes of `b_value` (a part of f->raw, may be empty)
 * are taken out first and there is no CRLF at the end (section 3.7). */
void sign_canon_own(enum sign_canon c, const struct sign_field *f, struct slice b_value,
                    struct buf *out);

/* One digest that is wanted of a canonical body. */
struct sign_digest {
    uint64_t limit; /* in: only so many canonical bytes (l=); UINT64_MAX means all */
    uint8_t sha256[SIGN_DIGEST];
    bool is_partial; /* out: the body goes on after the limit */
    bool is_short;   /* out: the body is shorter than a limit that is not UINT64_MAX */
};

/* Fills in `n` digests (at most 16) in one pass over the body, whatever their limits: O(body).
 * RFC 6376 section 3.4.3, 3.4.4. */
void sign_canon_body(enum sign_canon c, struct slice body, struct sign_digest *wants, size_t n);

void sign_sha256(struct slice bytes, uint8_t ret[SIGN_DIGEST]);

/* ---- tag lists: "v=1; a=rsa-sha256" (RFC 6376 section 3.2) -------------------------------- */

struct sign_tag {
    struct slice name, value; /* blanks and folds around them are gone, those inside are not */
};
struct sign_tags {
    struct sign_tag tags[SIGN_TAGS_MAX];
    size_t n;
};

/* False on bad syntax, a name that comes twice (the whole list is void then), or too many. */
bool sign_tags_parse(struct slice text, struct sign_tags *ret);
const struct slice *sign_tags_get(const struct sign_tags *t,
                                  const char *name); /* NULL: not there */
bool sign_is_blank(char c);                          /* SP, TAB, CR, LF */

/* ---- base64 (RFC 4648 section 4) ---------------------------------------------------------- */

void sign_base64_add(struct buf *out, const void *bytes, size_t n); /* one line, padded */
/* Blanks and folds anywhere are skipped; anything else that is not base64, and more than `max`
 * bytes, gives false. */
bool sign_base64_read(struct slice text, uint8_t *ret, size_t max, size_t *ret_n);

#endif
