/* Grammar and engines of SMTP, server side, and what both sides share: addresses, status codes,
 * commands, lines, message content, replies, PROXY. (Client side: client.h. Notices: dsn.h.)
 *
 * Pure: bytes in, typed values or bytes out; no socket, clock, log. What a peer gets wrong is an
 * ordinary typed result. Slices in results are borrowed from the input. Texts called `why` are
 * static, ASCII, and never hold a peer's bytes. Any thread, one at a time per object. */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/base.h"

#define WIRE_COMMAND_MAX 4096 /* bytes of a command line with CRLF; a default for wire_lines */
#define WIRE_PATH_MAX 256     /* RFC 5321 section 4.5.3.1, in octets, with < and > */
#define WIRE_DOMAIN_MAX 255
/* DEVIATES: the RFC says 64, and also to impose no limit where that can be avoided. Return paths of
 * mailing lists and reply addresses of ticket systems are longer: only the path limits them. */
#define WIRE_LOCAL_MAX (WIRE_PATH_MAX - 2)

enum wire_fault {
    WIRE_FINE = 0,
    WIRE_SYNTAX,          /* does not follow the grammar */
    WIRE_UNKNOWN_PARAM,   /* a parameter that we do not know */
    WIRE_DUPLICATE_PARAM, /* the same parameter twice */
    WIRE_BAD_VALUE,       /* a known parameter with an impossible value */
    WIRE_NON_ASCII,       /* bytes over 127 without SMTPUTF8, or not valid UTF-8 with it */
    WIRE_TOO_LONG         /* local part, domain, path or parameter over its limit */
};
struct wire_verdict {
    enum wire_fault fault;
    const char *why; /* "" when fine */
};
struct wire_ip {
    uint8_t version;   /* 4, 6, or 0: none */
    uint8_t bytes[16]; /* network order, 4 or 16 of them; the rest is 0 */
};
struct wire_ip_text {
    char s[48]; /* "192.0.2.1", "2001:db8::1", "" for none */
};
/* Either version, no brackets; IPv4 inside IPv6 (::ffff:192.0.2.1) becomes IPv4. */
bool wire_ip_parse(struct slice text, struct wire_ip *ret);
struct wire_ip_text wire_ip_text(struct wire_ip ip);

/* ---- addresses (RFC 5321 section 4.1.2, RFC 6531) ------------------------------------------ */

struct wire_address {
    struct slice text;   /* local@domain without <> and source route; empty: the null path <> */
    struct slice local;  /* as sent, quotes included */
    struct slice domain; /* as sent; brackets included if is_literal; empty: <postmaster> */
    bool is_quoted, is_literal;
    bool is_utf8; /* has bytes over 127 (valid UTF-8) */
};

/* Split and check `local@domain` (no <>). No control characters, no empty parts. Underscores in
 * domains are let pass. On a fault `*ret` is untouched. */
struct wire_verdict wire_address_split(struct slice address, bool with_utf8,
                                       struct wire_address *ret);
/* The local part without quotes and backslashes; returns its length (<= local.n). */
size_t wire_local_plain(struct slice local, char ret[WIRE_LOCAL_MAX]);
/* What directories look up: domain and local part in lower case (ASCII letters only), the local
 * part quoted only when it must be. Two addresses of one mailbox give the same bytes, except that
 * U-labels and A-labels of a domain stay different. UTF-8 is allowed. Appends to `out`; nothing is
 * written on a fault. */
struct wire_verdict wire_address_key(struct slice address, struct buf *out);
struct wire_verdict wire_domain_check(struct slice domain, bool with_utf8); /* no literals */

/* xtext (RFC 3461 section 4) and UTF-8. Decoding appends; any byte may come out, also controls. On
 * bad input it is false and nothing is kept. `out` may be NULL: only check. */
void wire_xtext_add(struct buf *out, struct slice plain);
bool wire_xtext_decode(struct slice xtext, struct buf *out);
bool wire_utf8_valid(struct slice s); /* RFC 3629: no surrogates, no overlong forms */
/* Enhanced status codes (RFC 3463); what they mean is in dsn.h. */
struct wire_status {
    uint8_t class;            /* 2, 4, 5; 0: none */
    uint16_t subject, detail; /* 0..999 */
};
struct wire_status_text {
    char s[12]; /* "5.1.1", "" for none */
};
bool wire_status_parse(struct slice s, struct wire_status *ret); /* the whole slice, "5.1.1" */
struct wire_status_text wire_status_text(struct wire_status status);

/* ---- commands ------------------------------------------------------------------------------ */

enum wire_verb {
    WIRE_VERB_UNKNOWN,
    WIRE_VERB_HELO,
    WIRE_VERB_EHLO,
    WIRE_VERB_MAIL,
    WIRE_VERB_RCPT,
    WIRE_VERB_DATA,
    WIRE_VERB_BDAT,
    WIRE_VERB_RSET,
    WIRE_VERB_NOOP,
    WIRE_VERB_QUIT,
    WIRE_VERB_VRFY,
    WIRE_VERB_EXPN,
    WIRE_VERB_HELP,
    WIRE_VERB_ETRN,
    WIRE_VERB_STARTTLS,
    WIRE_VERB_AUTH,
    WIRE_VERB_XCLIENT,
    WIRE_VERB_HTTP, /* a web request (GET, POST ...): somebody uses a browser against us; hang up */
    WIRE_VERB_N
};
struct wire_command {
    enum wire_verb verb;
    struct slice args; /* without blanks at both ends */
};
struct wire_command wire_command_parse(struct slice line); /* one line without CRLF */
const char *wire_verb_name(enum wire_verb verb);           /* "MAIL"; "?" for UNKNOWN */
/* Each parser takes the args of its command; on a fault `*ret` is untouched. */
enum wire_helo_kind {
    WIRE_HELO_DOMAIN,
    WIRE_HELO_LITERAL, /* [192.0.2.1], [IPv6:...] */
    WIRE_HELO_ODD      /* visible ASCII, but neither of the two: real clients do this */
};
struct wire_helo {
    enum wire_helo_kind kind;
    struct slice name; /* as sent, 1..255 bytes */
    struct wire_ip ip; /* of a literal */
};
struct wire_verdict wire_helo_parse(struct slice args, struct wire_helo *ret);

enum wire_body { WIRE_BODY_7BIT, WIRE_BODY_8BITMIME, WIRE_BODY_BINARYMIME };
enum wire_ret { WIRE_RET_NONE, WIRE_RET_FULL, WIRE_RET_HDRS };
struct wire_mail {
    struct wire_address from; /* from.text.n == 0: <> */
    uint64_t size_bytes;
    bool has_size, has_body, has_smtputf8, has_auth;
    enum wire_body body; /* BINARYMIME is recognised so that it can be refused by name */
    enum wire_ret ret;
    struct slice envid; /* xtext as sent, valid, 1..100 bytes; empty: not given */
    struct slice auth;  /* xtext as sent, valid ("<>" possible); if has_auth */
};
struct wire_verdict wire_mail_parse(struct slice args, struct wire_mail *ret);

enum {
    WIRE_NOTIFY_NEVER = 1,
    WIRE_NOTIFY_SUCCESS = 2,
    WIRE_NOTIFY_FAILURE = 4,
    WIRE_NOTIFY_DELAY = 8
};
struct wire_rcpt {
    struct wire_address to;  /* domain.n == 0: <postmaster> */
    unsigned notify;         /* WIRE_NOTIFY_ bits; 0: not given; NEVER stands alone */
    struct slice orcpt_type; /* "rfc822", "utf-8"; empty: not given */
    struct slice orcpt;      /* xtext (or the utf-8 forms of RFC 6533) as sent, valid, <= 500 */
};
struct wire_verdict wire_rcpt_parse(struct slice args, bool with_utf8, struct wire_rcpt *ret);

struct wire_bdat {
    uint64_t size_bytes;
    bool is_last;
};
struct wire_verdict wire_bdat_parse(struct slice args, struct wire_bdat *ret);

struct wire_auth {
    struct slice mechanism;
    struct slice initial; /* base64 as sent, "=" is the empty one; if has_initial */
    bool has_initial;
};
struct wire_verdict wire_auth_parse(struct slice args, struct wire_auth *ret);

/* XCLIENT as Postfix documents it. Values are decoded, printable ASCII, without blanks. */
enum wire_xclient_kind {
    WIRE_XCLIENT_ABSENT,
    WIRE_XCLIENT_GIVEN,
    WIRE_XCLIENT_UNAVAILABLE, /* [UNAVAILABLE]: there is none */
    WIRE_XCLIENT_TEMPUNAVAIL  /* [TEMPUNAVAIL]: could not be found out now */
};
struct wire_xclient_text {
    enum wire_xclient_kind kind;
    char s[256]; /* terminated */
};
struct wire_xclient {
    struct wire_xclient_text name, helo, login;
    enum wire_xclient_kind addr_kind, port_kind, proto_kind, destaddr_kind, destport_kind;
    struct wire_ip addr, destaddr;
    uint16_t port, destport;
    bool is_esmtp; /* PROTO */
};
struct wire_verdict wire_xclient_parse(struct slice args, struct wire_xclient *ret);

/* ---- lines --------------------------------------------------------------------------------- */
/* Cuts any split of the input into lines that end in CRLF. Eight bytes when idle: the beginning of
 * a line waits in the caller's buffer (ceiling >= max_bytes), which may be freed when empty. */
struct wire_lines {
    uint32_t max_bytes; /* with CRLF; >= 4 */
    bool is_skipping, after_cr;
};
/* MORE: the input is used up. The four faults are told once and at once; the rest of that line, up
 * to its CRLF, is skipped, so that nothing hidden in it is taken for a command. */
enum wire_line {
    WIRE_LINE_MORE,
    WIRE_LINE_WHOLE,
    WIRE_LINE_BARE_LF,
    WIRE_LINE_BARE_CR,
    WIRE_LINE_NUL,
    WIRE_LINE_TOO_LONG
};
struct wire_lines wire_lines_make(uint32_t max_bytes);
/* Takes the next line off `*input`. WHOLE: `*ret` is the line without CRLF, borrowed from the
 * input or, if it came in pieces, from `partial` (then empty; valid until it is used again). */
enum wire_line wire_lines_next(struct wire_lines *l, struct slice *input, struct buf *partial,
                               struct slice *ret);

/* ---- message content ----------------------------------------------------------------------- */
/* What must not be passed on (RFC 5321 section 2.3.8) and what decides the way; start from {}. */
struct wire_content {
    uint64_t n_bytes, n_bare_cr, n_bare_lf, n_nul;
    bool has_8bit;
    bool after_cr; /* the last byte was CR: its fate depends on the next piece */
};
void wire_content_check(struct wire_content *c, struct slice piece); /* BDAT: across all chunks */
void wire_content_end(struct wire_content *c); /* no more pieces: a CR at the end is bare */
bool wire_content_is_clean(const struct wire_content *c);

/* DATA decoder. The end is only CRLF.CRLF (or .CRLF at the very beginning); a dot is taken off
 * only behind CRLF. Bare CR, LF and NUL come out as they are and are counted. Start from {}. */
struct wire_data {
    struct wire_content content; /* of what came out; wire_content_end is done at the end */
    bool is_done;                /* the end was seen; feed it no more */
    bool is_discarded; /* `out` was full: input is still taken up to the end, nothing is written */
    uint8_t state;     /* inside */
};
/* Returns how many bytes of `input` were used: all of them, or up to the end of data. Decoded
 * bytes are appended to `out`; when its ceiling is hit it has failed. `out` NULL: discard. */
size_t wire_data_feed(struct wire_data *d, struct slice input, struct buf *out);

/* ---- replies ------------------------------------------------------------------------------- */
/* Append a reply. `code` is our own text: "250", "452 4.5.3" (as in the table of refusals), checked
 * by must(). LF in `text` begins a new line of the reply, long lines are broken at blanks (512
 * bytes a line with CRLF, at most 32 lines, the rest is left out); every other byte that is not
 * printable ASCII becomes '?', so text of a peer is safe here. */
void wire_reply_add(struct buf *out, const char *code, struct slice text);

/* ---- PROXY protocol, versions 1 and 2 ------------------------------------------------------ */
#define WIRE_PROXY_MAX 4096 /* bytes of a whole header; longer is bad */
enum wire_proxy_result { WIRE_PROXY_MORE, WIRE_PROXY_DONE, WIRE_PROXY_BAD };
struct wire_proxy {
    bool has_addresses; /* false: LOCAL, UNKNOWN or not IP; the connection's own addresses count */
    struct wire_ip source, destination;
    uint16_t source_port, destination_port;
};
/* `input`: everything since the connection opened. DONE: `*ret` and `*ret_used` (bytes of the
 * header) are set. MORE: call again with more. BAD: no such header; close. */
enum wire_proxy_result wire_proxy_parse(struct slice input, struct wire_proxy *ret,
                                        size_t *ret_used);

#endif
