/* What status codes mean, and the composer of delivery notices: multipart/report with a text for
 * people, message/delivery-status and the original's header or the whole of it (RFC 3461, 3462,
 * 3464; RFC 6533 for UTF-8).
 *
 * Pure. Everything in the inputs may be hostile (a peer's reply, a stranger's message): controls
 * never reach the notice, lines are at most 998 bytes and end in CRLF. To whom a notice may go,
 * and that it leaves with MAIL FROM:<>, is the caller's business. */
#ifndef WIRE_DSN_H
#define WIRE_DSN_H

#include "wire/wire.h"

enum wire_language { WIRE_EN, WIRE_IT, WIRE_DE, WIRE_FR, WIRE_ES, WIRE_LANGUAGE_N };
extern const char *const wire_language_tags[WIRE_LANGUAGE_N]; /* "en", … */
/* "it" or "it-CH"; one that there are no words of: English. */
enum wire_language wire_language_of(struct slice tag);

/* What a code speaks about: its subject. */
enum wire_about {
    WIRE_ABOUT_OTHER,    /* X.0 and unknown subjects */
    WIRE_ABOUT_ADDRESS,  /* X.1 the address itself */
    WIRE_ABOUT_MAILBOX,  /* X.2 this mailbox: full, disabled */
    WIRE_ABOUT_SYSTEM,   /* X.3 the receiving system: full, busy, message too big for it */
    WIRE_ABOUT_NETWORK,  /* X.4 network and routing */
    WIRE_ABOUT_PROTOCOL, /* X.5 the dialogue */
    WIRE_ABOUT_CONTENT,  /* X.6 content, media, conversion */
    WIRE_ABOUT_POLICY    /* X.7 security and policy */
};
enum wire_about wire_status_about(struct wire_status status);
/* Half a sentence in plain words: "the mailbox is full"; never NULL. */
const char *wire_status_meaning(struct wire_status status, enum wire_language language);

#define WIRE_DSN_RCPTS_MAX 1000

enum wire_dsn_action { WIRE_DSN_FAILED, WIRE_DSN_DELAYED, WIRE_DSN_DELIVERED, WIRE_DSN_RELAYED };

struct wire_dsn_rcpt {
    enum wire_dsn_action action;
    struct wire_status status;      /* class 0: made up from the action (X.0.0) */
    struct slice final;             /* address that we tried */
    struct slice orcpt_type, orcpt; /* as in struct wire_rcpt; empty: not given */
    struct slice remote_mta;        /* name of the other server; may be empty */
    struct slice diagnostic;        /* its reply ("550 5.1.1 no such user"); may be empty */
    utc_ms last_attempt;            /* 0: none */
    utc_ms retry_until; /* DELAYED only; 0: it is never given up, and the text says so */
};

struct wire_dsn {
    struct slice reporting_mta;  /* our host name, also behind "From: Mail Delivery System" */
    struct slice from;           /* address of the From field, usually postmaster@ */
    struct slice to;             /* return path of the original */
    struct slice message_id;     /* of the notice, without <> */
    uint64_t nonce;              /* random: makes the boundary */
    utc_ms date;                 /* of the notice */
    utc_ms arrival;              /* of the original; 0: not said */
    struct slice envid;          /* xtext as in struct wire_mail; empty: not given */
    struct slice original;       /* the message, or only its header; may be empty */
    bool with_whole;             /* RET=FULL; honoured when something failed and the lines of the
                                    original fit (998 bytes, CRLF), else only its header is given */
    bool with_utf8;              /* the original came with SMTPUTF8: types of RFC 6533 */
    enum wire_language language; /* of the part for people */
    struct slice in_reply_to; /* Message-ID of the original without <>: puts the notice beside it in
                                 a conversation; empty: none */
    const struct wire_dsn_rcpt *rcpts;
    size_t n_rcpts; /* 1..WIRE_DSN_RCPTS_MAX (must) */
};

/* What the notice itself needs from the next server. */
struct wire_dsn_needs {
    bool needs_8bitmime, needs_smtputf8;
};

/* Its subject, as people read it. */
const char *wire_dsn_subject(const struct wire_dsn *dsn);

/* Append the notice, header and body. When `out` hits its ceiling it has failed (try again without
 * `with_whole`). */
struct wire_dsn_needs wire_dsn_compose(const struct wire_dsn *dsn, struct buf *out);

#endif
