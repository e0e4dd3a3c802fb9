/* Submissions within the room. */
#ifndef JMAP_JMAP_SUBMISSION_INT_H
#define JMAP_JMAP_SUBMISSION_INT_H

#include "jmap/jmap_email_int.h"

#include "wire/wire.h"

enum { SUBMISSION_RCPTS_MAX = 1000, SUBMISSION_HOLD_MAX = 31 * 86400 };

extern const struct jmap_type jmap_submission_type;
/* False: there is none. Borrowed from the account until it is caught up. */
bool jmap_submission_read(struct jmap_run *r, uint64_t id, struct jmap_item_submission *ret);
json_t *jmap_submission_make(struct jmap_run *r, uint64_t id);
uint64_t jmap_submission_next(struct jmap_run *r, size_t *at); /* *at starts at 0; 0 at the end */
const char *jmap_undo_status(const struct jmap_item_submission *s);

/* ---- jmap_envelope.c: to whom, and how ---- */
/* What the client gave as `envelope`, into `s`; the time until which it is to be held into
 * `*ret_hold` (0: not). NULL, or a SetError. */
json_t *jmap_envelope_read(struct jmap_run *r, const json_t *envelope,
                           struct jmap_item_submission *s, utc_ms *ret_hold);
/* From the header (RFC 8621 section 7): `header` has the properties from, sender, to, cc, bcc. */
json_t *jmap_envelope_derive(struct jmap_run *r, const json_t *header,
                             const struct jmap_item_identity *identity,
                             struct jmap_item_submission *s);
json_t *jmap_envelope_json(const struct jmap_item_submission *s);

/* ---- jmap_outgoing.c: the bytes that go out ---- */
json_t *jmap_too_large(const struct jmap_caller *who); /* tooLarge, and how large it may be */
struct jmap_outgoing {
    struct buf bytes; /* without Bcc, with Message-ID and Date, lines that end in CRLF */
    json_t *header;   /* from, sender, to, cc, bcc, as the email has them */
    uint32_t flags;   /* enum message_flags that its bytes need */
};
/* NULL, or a SetError. Finish it in both cases. */
json_t *jmap_outgoing_make(struct jmap_run *r, uint64_t email, struct jmap_outgoing *ret);
void jmap_outgoing_finish(struct jmap_outgoing *o);

#endif
