/* IMAP, client side: reading what a server says, building what we say.
 *
 * RFC 3501 (rev1) and 9051 (rev2), with SPECIAL-USE (6154), UIDPLUS (4315), LITERAL+ (7888),
 * ESEARCH (4731), response codes (5530), UTF8 (6855), MOVE (6851), NAMESPACE (2342), BINARY (3516),
 * APPENDLIMIT (7889). Pure: bytes in, values out; no socket, clock
 * or log. The server is hostile: everything is bounded, nothing recurses. */
#ifndef IMAP_IMAP_H
#define IMAP_IMAP_H

#include "base/base.h"

enum {
    IMAP_RESPONSE_MAX = 256 << 10, /* bytes of one response with its literals; more is endless */
    IMAP_DEPTH_MAX = 64,           /* parentheses within parentheses */
    IMAP_SECTIONS_MAX = 4,         /* BODY[...] of one FETCH that are kept */
    IMAP_NAMESPACES_MAX = 8,       /* of one answer that are kept */
    IMAP_TAG_MAX = 16,
};

/* ---- framing ----------------------------------------------------------------------------------
 */

enum imap_result {
    IMAP_MORE,
    IMAP_DONE,     /* one response is there */
    IMAP_NONSENSE, /* no IMAP */
    IMAP_ENDLESS,  /* over IMAP_RESPONSE_MAX */
};
struct imap_reader {
    struct buf text;    /* one response, literals in place */
    struct buf scratch; /* strings without their escapes */

    /* inside */
    enum imap_result result;
    size_t line_at, literal_left;
};
void imap_reader_init(struct imap_reader *r);
void imap_reader_finish(struct imap_reader *r);
void imap_reader_clear(struct imap_reader *r); /* ready for the next response; memory kept */
/* Takes bytes up to the end of one response, any split; `*ret_used` says how many. Bytes behind it
 * are the caller's: the next response, or an attack behind the answer to STARTTLS. Lines may end in
 * LF alone. Results other than MORE stick until clear; then no input is taken. */
enum imap_result imap_reader_feed(struct imap_reader *r, struct slice input, size_t *ret_used);

/* ---- responses --------------------------------------------------------------------------------
 */

enum imap_kind { IMAP_UNTAGGED, IMAP_TAGGED, IMAP_CONTINUE };
enum imap_word {
    IMAP_OTHER, /* one that we do not need; only its frame was looked at */
    IMAP_OK,
    IMAP_NO,
    IMAP_BAD,
    IMAP_PREAUTH,
    IMAP_BYE,
    IMAP_CAPABILITY,
    IMAP_LIST,   /* also XLIST */
    IMAP_SEARCH, /* also ESEARCH */
    IMAP_EXISTS,
    IMAP_EXPUNGE,
    IMAP_FETCH,
    IMAP_NAMESPACE,
    IMAP_STATUS,
};
enum imap_code { /* the response codes that change what we do */
                 IMAP_CODE_NONE,
                 IMAP_CODE_OTHER,
                 IMAP_CODE_ALERT,
                 IMAP_CODE_CAPABILITY,
                 IMAP_CODE_UIDVALIDITY, /* n[0] */
                 IMAP_CODE_UIDNEXT,     /* n[0] */
                 IMAP_CODE_READ_ONLY,
                 IMAP_CODE_READ_WRITE,
                 IMAP_CODE_TRYCREATE,
                 IMAP_CODE_APPENDUID,            /* n[0] validity, n[1] the first UID */
                 IMAP_CODE_UNAVAILABLE,          /* their back end is down for the moment */
                 IMAP_CODE_AUTHENTICATIONFAILED, /* wrong user or password */
                 IMAP_CODE_AUTHORIZATIONFAILED,  /* may not act as that user */
                 IMAP_CODE_EXPIRED,              /* the password is too old */
                 IMAP_CODE_PRIVACYREQUIRED,      /* not without TLS */
                 IMAP_CODE_CONTACTADMIN,
                 IMAP_CODE_NOPERM,
                 IMAP_CODE_INUSE,
                 IMAP_CODE_LIMIT,
                 IMAP_CODE_OVERQUOTA,
                 IMAP_CODE_NONEXISTENT,
                 IMAP_CODE_PERMANENTFLAGS, /* `flags` */
                 IMAP_CODE_COPYUID,        /* n[0] validity, n[1] the UID there, of one message */
                 IMAP_CODE_TOOBIG,
                 IMAP_CODE_ALREADYEXISTS,
                 IMAP_CODE_CANNOT,
};
enum { /* CAPABILITY; others are not noted */
       IMAP_CAP_REV1 = 1 << 0,
       IMAP_CAP_REV2 = 1 << 1,
       IMAP_CAP_STARTTLS = 1 << 2,
       IMAP_CAP_LOGINDISABLED = 1 << 3,
       IMAP_CAP_PLAIN = 1 << 4,
       IMAP_CAP_XOAUTH2 = 1 << 5,
       IMAP_CAP_SASL_IR = 1 << 6,
       IMAP_CAP_LITERAL_PLUS = 1 << 7,
       IMAP_CAP_LITERAL_MINUS = 1 << 8,
       IMAP_CAP_UIDPLUS = 1 << 9,
       IMAP_CAP_SPECIAL_USE = 1 << 10,
       IMAP_CAP_UTF8_ACCEPT = 1 << 11,
       IMAP_CAP_ESEARCH = 1 << 12,
       IMAP_CAP_MOVE = 1 << 13,
       IMAP_CAP_NAMESPACE = 1 << 14,
       IMAP_CAP_XLIST = 1 << 15,
       IMAP_CAP_BINARY = 1 << 16,
       IMAP_CAP_APPENDLIMIT = 1 << 17,
       IMAP_CAP_CREATE_SPECIAL_USE = 1 << 18,
};
enum {                                /* attributes of a folder in LIST */
       IMAP_FOLDER_NOSELECT = 1 << 0, /* also NonExistent */
       IMAP_FOLDER_ALL = 1 << 1,
       IMAP_FOLDER_ARCHIVE = 1 << 2,
       IMAP_FOLDER_DRAFTS = 1 << 3,
       IMAP_FOLDER_FLAGGED = 1 << 4,
       IMAP_FOLDER_JUNK = 1 << 5,
       IMAP_FOLDER_SENT = 1 << 6,
       IMAP_FOLDER_TRASH = 1 << 7,
};

struct imap_section {
    struct slice name;  /* as the server wrote it: "TEXT", "HEADER.FIELDS (MESSAGE-ID)", "" */
    struct slice bytes; /* empty for NIL */
    uint32_t origin;    /* of a partial fetch */
};
enum imap_whose { IMAP_MINE, IMAP_OTHER_PERSONS, IMAP_SHARED };
struct imap_namespace {
    enum imap_whose whose;
    struct slice prefix; /* as on the wire: "INBOX." */
    char delimiter;      /* 0: none */
};
struct imap_response {
    enum imap_kind kind;
    struct slice tag; /* TAGGED */
    enum imap_word word;
    uint32_t number;      /* EXISTS, EXPUNGE, FETCH: the number in front */
    struct slice text;    /* OK .. BYE, CONTINUE: for people (or base64) */
    enum imap_code code;  /* OK .. BYE */
    uint32_t code_n[2];   /* its numbers */
    unsigned caps;        /* CAPABILITY, or OK with that code */
    unsigned folder;      /* LIST: IMAP_FOLDER_ bits */
    char delimiter;       /* LIST: between levels, 0: none */
    struct slice name;    /* LIST: as on the wire, to be sent back the same */
    struct slice set;     /* SEARCH: numbers, for imap_set_next */
    struct slice for_tag; /* ESEARCH: of which command; empty: not said */
    uint32_t uid;         /* FETCH; 0: not said */
    bool has_flags;       /* FETCH */
    bool is_deleted;      /* FETCH: among the flags */
    struct slice flags;   /* FETCH, PERMANENTFLAGS: for imap_flags_next */
    bool has_append_limit;
    uint32_t append_limit; /* bytes; with the capability, or STATUS; 2^32-1: that or more */
    struct imap_namespace namespaces[IMAP_NAMESPACES_MAX];
    size_t n_namespaces;
    struct imap_section sections[IMAP_SECTIONS_MAX];
    size_t n_sections;
};
/* After IMAP_DONE; may be repeated. False: nonsense. Slices are borrowed from `r` until clear. */
bool imap_response_parse(struct imap_reader *r, struct imap_response *ret);
/* Walk "3 5 7" or "3:5,7". False at the end. from <= to; "*" does not occur (parsing refuses it).
 */
bool imap_set_next(struct slice *set, uint32_t *ret_from, uint32_t *ret_to);
/* Walk flags; false at the end. */
bool imap_flags_next(struct slice *flags, struct slice *ret);
bool imap_flags_has(struct slice flags, struct slice flag); /* letter case does not count */

/* ---- commands ---------------------------------------------------------------------------------
 */

/* A command that is being written. Where a literal begins, the server must say "+" before it gets
 * the next bytes, unless it takes literals without (LITERAL+): `waits` are these places. */
enum { IMAP_WAITS_MAX = 4, IMAP_COMMAND_MAX = 64 << 10 };
struct imap_command {
    struct buf out;
    unsigned caps; /* IMAP_CAP_ bits of the server */
    size_t waits[IMAP_WAITS_MAX];
    size_t n_waits;
    struct slice content; /* borrowed; stands at content_at, where nothing of it is in `out` */
    size_t content_at;
    bool failed; /* a string that cannot be sent (NUL), or too many or too long ones */
};
void imap_command_init(struct imap_command *c);
void imap_command_finish(struct imap_command *c); /* wipes: there may be a password in it */
void imap_command_begin(struct imap_command *c, struct slice tag, unsigned caps);
/* Bytes of ours, in order: words, blanks, numbers. */
void imap_command_add(struct imap_command *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Any bytes as a string: quoted if it can be, else a literal. */
void imap_command_string(struct imap_command *c, struct slice s);
/* A message as a literal, any size, as it is: only its announcement goes into `out`. Once in a
 * command. With a NUL in it a literal8 where the server knows that (RFC 3516); a large one waits
 * for the server's consent, also where it need not. */
void imap_command_content(struct imap_command *c, struct slice content);
void imap_command_end(struct imap_command *c); /* CRLF */

/* "21-Nov-2026 21:40:00 +0000", without quotes, as APPEND wants it. Cut to the years 1970 .. 9999.
 */
struct utc_text imap_date_time(utc_ms t);
/* May it be sent as a flag: an atom, or a backslash and one? Not \Recent, which is the server's. */
bool imap_flag_is_sendable(struct slice flag);

/* SASL, in base64. PLAIN (RFC 4616): `act_as` may be empty. */
void imap_sasl_plain(struct buf *out, struct slice act_as, struct slice user, struct slice secret);
void imap_sasl_xoauth2(struct buf *out, struct slice user, struct slice token);

/* ---- names of folders -------------------------------------------------------------------------
 */

/* UTF-8 to modified UTF-7 (RFC 3501 section 5.1.3) and back. False: not UTF-8, or not such a name
 * (then it is to be shown as it is); nothing is written. */
bool imap_name_encode(struct slice utf8, struct buf *out);
bool imap_name_decode(struct slice name, struct buf *out);

#endif
