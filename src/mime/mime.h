/* Messages as bytes: header fields, MIME structure by offsets, and the fields that a list of
 * mail shows.
 *
 * Pure: no socket, clock, log or file; all memory comes from the caller's arena. Slices in results
 * point into the message or into the arena and live as long as both. Nothing here fails: broken
 * mail gives the best that can be read, and `odd` says what was wrong. Every bound below ends in
 * an `odd` bit, never in an error. Time is linear in the message, whatever it says.
 * Results never refer to each other's temporary memory, so all functions are reentrant; see
 * mime/text.h for the one thing kept per thread (charset converters).
 * Line ends are CRLF or LF; a CR alone is an ordinary byte.
 * RFC 5322, 2045 to 2049, 2183, 2231, 6532. Writing headers is not done here. */
#ifndef MIME_MIME_H
#define MIME_MIME_H

#include "base/base.h"
#include "mime/address.h"
#include "mime/text.h"

enum {
    MIME_HEADER_BYTES_MAX = 256 * 1024, /* of one header (message or part) that are looked at */
    MIME_HEADER_FIELDS_MAX = 2000,      /* of one header */
    MIME_DEPTH_MAX = 32,                /* of parts in parts; the message itself has depth 0 */
    MIME_PARTS_MAX = 1000,              /* of one message, the message itself is the first */
    MIME_PARAMS_MAX = 64,               /* of one field */
    MIME_SUBJECT_MAX = 512,             /* bytes of a decoded subject */
    MIME_FILENAME_MAX = 255,            /* bytes of a decoded file name */
    MIME_PREVIEW_MAX = 256,             /* bytes of a preview */
};

/* ---- header fields ----------------------------------------------------------------------- */

struct mime_field {
    struct slice name;  /* as written, without blanks before the colon; empty: a broken line */
    struct slice value; /* raw: after the colon, folding kept, without the last line end */
    size_t offset, len; /* the whole field with all its lines and line ends, in the message */
};

enum mime_walk_state {
    MIME_WALK_OPEN,     /* more may come */
    MIME_WALK_DONE,     /* the end of the header was reached */
    MIME_WALK_TOO_LONG, /* stopped at MIME_HEADER_BYTES_MAX: fields behind were not seen */
    MIME_WALK_TOO_MANY  /* stopped at MIME_HEADER_FIELDS_MAX: fields behind were not seen */
};

/* A walk over the fields of one header, in order. The header ends at the first empty line, not
 * at a broken one: a receiver that skips broken lines must not see fields that we did not see.
 * A leading mbox line ("From " and no colon next) is passed over. A field longer than what is
 * left of MIME_HEADER_BYTES_MAX is not given. */
struct mime_walk {
    struct slice message;
    size_t at, end; /* next byte to look at; where the walk must stop */
    size_t limit;   /* end, or where MIME_HEADER_BYTES_MAX cuts */
    unsigned n_fields;
    enum mime_walk_state state;
};
struct mime_walk mime_walk_make(struct slice message);
/* The same over message[offset, offset + len): a part's header from its struct mime_part. */
struct mime_walk mime_walk_range(struct slice message, size_t offset, size_t len);
bool mime_walk_next(struct mime_walk *w, struct mime_field *ret); /* false: see w->state */

/* First field of that name (ASCII case ignored); false if none was seen. */
bool mime_field_find(struct slice message, struct slice name, struct mime_field *ret);

struct mime_split {
    size_t header_offset; /* 0, or behind an mbox line */
    size_t header_len;    /* all fields with their line ends, without the empty line */
    size_t body_offset;   /* behind the empty line; the message's length if there is no body */
};
struct mime_split mime_split(struct slice message);

/* Where fields stand, in order, so that a caller can cut them out: each span is a whole field. */
struct mime_span {
    size_t offset, len;
};
struct mime_spans {
    struct mime_span *v;
    size_t n;
};
struct mime_names {
    const struct slice *v;
    size_t n;
};

/* ---- values with parameters -------------------------------------------------------------- */

struct mime_param {
    struct slice name;  /* as written, without the RFC 2231 suffixes */
    struct slice value; /* UTF-8, one line; at most MIME_PARAM_VALUE_MAX bytes, cut there */
};
enum { MIME_PARAM_VALUE_MAX = 2048 };
struct mime_params {
    struct slice value; /* before the first ';': "text/plain", "attachment"; comments removed */
    struct mime_param *v;
    size_t n;
    unsigned odd; /* MIME_ODD_PARAMS, _CHARSET, _BYTES, _CUT, _MEMORY */
};
/* Content-Type, Content-Disposition and their like. Continuations are joined (RFC 2231), also
 * encoded words are decoded, which RFC 2047 forbids there and everybody writes. */
void mime_params_parse(struct slice raw, struct arena *a, struct mime_params *ret);
/* The first value of that name, or the empty slice. */
struct slice mime_params_get(const struct mime_params *params, struct slice name);

/* ---- structure --------------------------------------------------------------------------- */

enum mime_disposition {
    MIME_DISPOSITION_NONE,
    MIME_DISPOSITION_INLINE,
    MIME_DISPOSITION_ATTACHMENT,
    MIME_DISPOSITION_OTHER /* an attachment, too (RFC 2183 section 2.8) */
};

struct mime_part {
    int parent;           /* index, always lower than the own; -1: the message itself */
    unsigned depth;       /* 0: the message itself */
    size_t header_offset; /* in the message */
    size_t header_len;    /* all fields with their line ends, without the empty line */
    size_t body_offset;
    size_t body_len;            /* without the line end that belongs to a boundary line */
    size_t n_lines;             /* of the body; a last line without line end counts */
    struct slice type, subtype; /* lower case; "text" "plain" if absent or broken (RFC 2045 5.2) */
    struct slice charset;       /* as written, or empty */
    struct slice name;          /* file name, UTF-8, one line; no path is removed; or empty */
    struct slice content_id;    /* without < >, or empty */
    struct slice boundary;      /* of a multipart, or empty */
    enum mime_disposition disposition;
    enum mime_encoding encoding;
    bool is_multipart; /* type multipart; its parts follow it in the array */
    bool is_message;   /* message/rfc822 or /global whose message is the next entry in the array */
    bool is_opaque;    /* not looked into, since a bound was reached */
};

struct mime_structure {
    struct mime_part *parts; /* depth first, as in the message; parts[0] is the message */
    size_t n_parts;          /* >= 1, 0 only if the arena had no room at all */
    bool is_cut;             /* MIME_PARTS_MAX, MIME_DEPTH_MAX or the arena ended the parse */
    unsigned odd;            /* bits of enum mime_odd */
};

/* Past MIME_PARTS_MAX the rest of the message is one opaque leaf; past MIME_DEPTH_MAX a multipart
 * or message is an opaque leaf. Memory: about 200 bytes a part and its decoded names, at most
 * 4 MiB; with less in the arena the result is cut (MIME_ODD_MEMORY).
 * Boundary lines match as a whole, blanks at the end ignored. */
void mime_structure_parse(struct slice message, struct arena *a, struct mime_structure *ret);

/* The body of a part with its transfer encoding removed and, for type text, in UTF-8, appended to
 * `ret` up to its ceiling. Returns odd bits (MIME_ODD_CUT: the ceiling was reached). */
unsigned mime_part_decode(struct slice message, const struct mime_part *part, struct buf *ret);

/* Words of the message for a search index: text parts in order (of alternatives the plain one),
 * HTML stripped, white space folded, up to the ceiling of `ret`. Returns odd bits. */
unsigned mime_text(struct slice message, const struct mime_structure *s, struct buf *ret);

/* The first words of the message for a person, one line, appended to `ret` up to its ceiling: of a
 * plain text, else of an HTML one. Returns odd bits. */
unsigned mime_preview(struct slice message, const struct mime_structure *s, struct buf *ret);

/* ---- what a list of mail shows ----------------------------------------------------------- */

struct mime_list_fields {
    struct slice subject;      /* decoded, one line, <= MIME_SUBJECT_MAX; or empty */
    struct slice base_subject; /* part of subject without Re:, Fwd:, AW: and [list] (RFC 5256) */
    bool is_reply;             /* such a prefix was there */
    struct mime_address from;  /* first author with a domain, or else the first; or all empty */
    struct mime_addresses all_from, sender, reply_to, to, cc, bcc;
    bool has_date; /* date is valid */
    utc_ms date;   /* of the Date field */
    int date_zone_min;
    struct slice message_id;     /* without < >; or empty */
    struct mime_ids in_reply_to; /* without < > */
    struct mime_ids references;  /* oldest first */
    struct slice preview;        /* UTF-8, one line, <= MIME_PREVIEW_MAX, or empty */
    unsigned n_received;         /* Received fields: hops so far */
    size_t size;                 /* of the message in bytes */
    struct mime_structure structure;
    struct mime_spans spans;           /* fields of the asked names */
    enum mime_walk_state header_state; /* not MIME_WALK_DONE: fields, also spans, are missing */
    unsigned odd;                      /* bits of enum mime_odd, also the structure's */
};

/* Everything at once. `cut` (may be NULL): names of fields whose spans are wanted; when
 * header_state is not MIME_WALK_DONE the spans are incomplete and the caller should refuse the
 * message rather than pass on what it could not see. Of fields that may stand once the first
 * counts, address lists are joined. Memory: a few KiB for ordinary mail, at most 8 MiB. */
void mime_list_fields(struct slice message, const struct mime_names *cut, struct arena *a,
                      struct mime_list_fields *ret);

/* Part of `subject` without reply and forward marks and list names (RFC 5256 section 2.1, more
 * marks than there); `*ret_is_reply` (may be NULL) tells if there was a mark. */
struct slice mime_subject_base(struct slice subject, bool *ret_is_reply);

#endif
