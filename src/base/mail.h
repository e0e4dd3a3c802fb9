/* Words about messages that all processes share: flags and ids. */
#ifndef BASE_MAIL_H
#define BASE_MAIL_H

#include "base/base.h"

enum message_flags {
    MESSAGE_TLS = 1,
    MESSAGE_SMTPUTF8 = 2,
    MESSAGE_8BIT = 4,
    MESSAGE_FROM_PRIMARY = 8,   /* came from the tenant's primary: never offered to it again */
    MESSAGE_SENDER_PROVED = 16, /* return path passed SPF or aligned DKIM: notices may go there */
    MESSAGE_CUT_THROUGH = 32,   /* the sender waits for the primary's answer */
    MESSAGE_IS_BLOB = 64,       /* bytes that a person uploaded, no mail */
};

/* Ids of messages as people see them: 13 letters of base32, and back (0: not one). */
#define MESSAGE_ID_TEXT 14
void message_id_text(uint64_t id, char ret[MESSAGE_ID_TEXT]);
uint64_t message_id_parse(struct slice text);

#endif
