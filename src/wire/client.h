/* SMTP, client side: replies of the peer, its abilities, our MAIL and RCPT lines, dot-stuffing.
 *
 * Pure, as wire.h. The abilities are one struct for both sides: the server writes its EHLO reply
 * from it, the client reads one into it. */
#ifndef WIRE_CLIENT_H
#define WIRE_CLIENT_H

#include "wire/wire.h"

/* ---- replies of the peer -------------------------------------------------------------------- */

#define WIRE_REPLY_LINE_MAX 2048   /* bytes of a line that are kept */
#define WIRE_REPLY_LINES_MAX 128   /* more lines are bad */
#define WIRE_REPLY_TEXT_MAX 16384  /* bytes of text that are kept */
#define WIRE_REPLY_INPUT_MAX 65536 /* bytes of a reply in all; more is bad */

enum wire_reply_result {
    WIRE_REPLY_MORE,
    WIRE_REPLY_DONE,
    WIRE_REPLY_NOT_SMTP,   /* no code 200..599 or no blank or hyphen behind it */
    WIRE_REPLY_CODE_MIXED, /* lines of one reply with different codes */
    WIRE_REPLY_ENDLESS     /* over WIRE_REPLY_LINES_MAX or WIRE_REPLY_INPUT_MAX */
};
struct wire_reply {
    unsigned code;             /* 200..599 */
    struct wire_status status; /* enhanced code of the first line that has one; class 0: none */
    unsigned n_lines;
    bool is_cut;     /* some text was left out */
    struct buf text; /* lines joined with LF, without codes; controls became '?' */

    /* inside */
    enum wire_reply_result result;
    unsigned line_code, line_n;
    size_t n_input, line_at;
    uint8_t state;
    bool is_last;
};
void wire_reply_init(struct wire_reply *r);
void wire_reply_finish(struct wire_reply *r);
void wire_reply_clear(struct wire_reply *r); /* ready for the next reply; memory kept */
/* Takes bytes up to the end of one reply; `*ret_used` says how many. Bytes behind it are the
 * caller's: the next reply when pipelining, an attack behind the reply to STARTTLS. Lines may end
 * in LF alone. Results other than MORE stick until clear; then no input is taken. */
enum wire_reply_result wire_reply_feed(struct wire_reply *r, struct slice input, size_t *ret_used);

/* ---- abilities (EHLO) ----------------------------------------------------------------------- */

enum {
    WIRE_CAP_PIPELINING = 1 << 0,
    WIRE_CAP_SIZE = 1 << 1,
    WIRE_CAP_8BITMIME = 1 << 2,
    WIRE_CAP_SMTPUTF8 = 1 << 3,
    WIRE_CAP_CHUNKING = 1 << 4,
    WIRE_CAP_ENHANCEDSTATUSCODES = 1 << 5,
    WIRE_CAP_DSN = 1 << 6,
    WIRE_CAP_STARTTLS = 1 << 7,
    WIRE_CAP_AUTH = 1 << 8,
    WIRE_CAP_XCLIENT = 1 << 9,
    WIRE_CAP_REQUIRETLS = 1 << 10,
    WIRE_CAP_LIMITS = 1 << 11,
    WIRE_CAP_BINARYMIME = 1 << 12,
    WIRE_CAP_VRFY = 1 << 13,
    WIRE_CAP_ETRN = 1 << 14
};
enum { /* mechanisms of AUTH; others are not noted */
       WIRE_AUTH_PLAIN = 1 << 0,
       WIRE_AUTH_LOGIN = 1 << 1,
       WIRE_AUTH_CRAM_MD5 = 1 << 2,
       WIRE_AUTH_SCRAM_SHA_1 = 1 << 3,
       WIRE_AUTH_SCRAM_SHA_256 = 1 << 4,
       WIRE_AUTH_OAUTHBEARER = 1 << 5,
       WIRE_AUTH_XOAUTH2 = 1 << 6,
       WIRE_AUTH_EXTERNAL = 1 << 7
};
enum { /* attributes of XCLIENT */
       WIRE_XATTR_NAME = 1 << 0,
       WIRE_XATTR_ADDR = 1 << 1,
       WIRE_XATTR_PORT = 1 << 2,
       WIRE_XATTR_PROTO = 1 << 3,
       WIRE_XATTR_HELO = 1 << 4,
       WIRE_XATTR_LOGIN = 1 << 5,
       WIRE_XATTR_DESTADDR = 1 << 6,
       WIRE_XATTR_DESTPORT = 1 << 7
};
struct wire_caps {
    unsigned flags;      /* WIRE_CAP_ bits */
    unsigned auth;       /* WIRE_AUTH_ bits */
    unsigned xclient;    /* WIRE_XATTR_ bits */
    uint64_t size_bytes; /* SIZE; 0: no limit said */
    uint32_t rcpt_max;   /* LIMITS RCPTMAX (RFC 9422); 0: not said */
    uint32_t mail_max;   /* LIMITS MAILMAX */
};
/* `text`: of the reply to EHLO, lines joined with LF; the first line is the greeting and ignored,
 * unknown words and bad values too. */
void wire_caps_parse(struct slice text, struct wire_caps *ret);
/* Server side: the whole reply "250-host", one line an ability. `host` is our own domain. */
void wire_caps_reply(struct buf *out, struct slice host, const struct wire_caps *caps);

/* ---- commands ------------------------------------------------------------------------------- */

/* Append "MAIL FROM:<..> ...CRLF" with those parameters that are given and that `caps` offers
 * (SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH; NOTIFY, ORCPT). Whether a message may go there without
 * them is the caller's to judge. Everything is checked again, because envelopes come from other
 * processes: on a fault nothing is written. */
struct wire_verdict wire_mail_add(struct buf *out, const struct wire_mail *mail,
                                  const struct wire_caps *caps);
struct wire_verdict wire_rcpt_add(struct buf *out, const struct wire_rcpt *rcpt,
                                  const struct wire_caps *caps);
/* Append "XCLIENT NAME=.. ...CRLF" with what is not ABSENT and what `caps` offers; nothing if that
 * leaves nothing. */
void wire_xclient_add(struct buf *out, const struct wire_xclient *x, const struct wire_caps *caps);

/* ---- content -------------------------------------------------------------------------------- */

/* Dot-stuffing (RFC 5321 section 4.5.2) for DATA, any split of the message. What leaves has only
 * CRLF line ends and no NUL, whatever came in: lone CR and LF become CRLF, NUL is left out, both
 * counted (stored mail is clean, so a count is worth a line in the log). Start from {}. */
struct wire_stuff {
    uint64_t n_fixed;
    bool in_line, after_cr; /* inside */
};
void wire_stuff_feed(struct wire_stuff *s, struct slice piece, struct buf *out);
void wire_stuff_end(struct wire_stuff *s, struct buf *out); /* CRLF if missing, then . CRLF */

#endif
