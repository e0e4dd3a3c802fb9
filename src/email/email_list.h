/* What lists of mail show (sender, recipients, subject), kept beside the message when it is taken,
 * so that a list needs no bytes. It must be exactly what the bytes would say (email_render); where
 * the short form cannot be, that is said, and the bytes are asked. Pure. RFC 8621 section 4.1.3. */
#ifndef EMAIL_EMAIL_LIST_H
#define EMAIL_EMAIL_LIST_H

#include "mime/mime.h"

/* A bit of what is odd about a message, beside those of mime/text.h: its subject or author has to
 * be read from the bytes. (No bit says so of `to`: then nothing is packed.) */
#define EMAIL_LIST_NOT_EXACT (1u << 31)

/* The other arguments: what is kept of subject and author. 0 or EMAIL_LIST_NOT_EXACT. */
unsigned email_list_not_exact(const struct mime_list_fields *f, struct slice subject,
                              struct slice from_name, struct slice from_address);

/* RFC 8621 section 4.1.4. Memory for the time of the call: 24 bytes a part. */
bool email_list_has_attachment(const struct mime_structure *s);

/* The recipients of To as one text into `ret`, which is empty. Where they have to be read from the
 * bytes (there are none, too many for `ret`, groups, addresses that are no mailbox as written) it
 * only names the first. */
void email_list_to_pack(const struct mime_list_fields *f, struct buf *ret);
/* Takes the next one off. False at the end; at once: they have to be read from the bytes. */
bool email_list_to_next(struct slice *packed, struct slice *name, struct slice *address);
/* What they are sorted by (RFC 8621 section 4.4.2). */
struct slice email_list_to_first(struct slice packed);

#endif
