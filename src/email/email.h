/* A message's bytes as the properties of a JMAP Email, and back. RFC 8621 section 4.
 *
 * Rendering reads strangers' bytes, so it runs where nothing is owned (a gate); what asks for it
 * (struct email_want) travels there packed, what comes back is JSON text that its reader parses
 * again. Composing takes a person's JSON and gives bytes. Pure: no socket, file, clock, log.
 * All functions are reentrant; see mime/text.h for charset converters. Not here: properties that
 * are no matter of bytes (mailboxIds, keywords …), finding and keeping messages and blobs. */
#ifndef EMAIL_EMAIL_H
#define EMAIL_EMAIL_H

#include "base/base.h"

#include <jansson.h>

/* ---- what is wanted ---------------------------------------------------------------------- */

enum {
    EMAIL_PROPERTIES_MAX = 200,        /* in `properties`, and as many in `bodyProperties` */
    EMAIL_PROPERTY_BYTES_MAX = 256,    /* of one name, with "header:" and its suffixes */
    EMAIL_WANT_BYTES_MAX = 128 * 1024, /* packed */
};

/* The properties of an Email and of an EmailBodyPart, in one list. */
enum email_field {
    /* Not of the bytes: the caller's to fill. */
    EMAIL_ID,
    EMAIL_BLOB_ID, /* also of a part, there it is ours */
    EMAIL_THREAD_ID,
    EMAIL_MAILBOX_IDS,
    EMAIL_KEYWORDS,
    EMAIL_SIZE, /* also of a part, there it is ours */
    EMAIL_RECEIVED_AT,
    /* Of the header. */
    EMAIL_HEADERS, /* also of a part */
    EMAIL_HEADER,  /* header:NAME…, and messageId, from, subject …; also of a part */
    /* Of the body. */
    EMAIL_BODY_STRUCTURE,
    EMAIL_BODY_VALUES,
    EMAIL_TEXT_BODY,
    EMAIL_HTML_BODY,
    EMAIL_ATTACHMENTS,
    EMAIL_HAS_ATTACHMENT,
    EMAIL_PREVIEW,
    /* Of a part only. */
    EMAIL_PART_ID,
    EMAIL_NAME,
    EMAIL_TYPE,
    EMAIL_CHARSET,
    EMAIL_DISPOSITION,
    EMAIL_CID,
    EMAIL_LANGUAGE,
    EMAIL_LOCATION,
    EMAIL_SUB_PARTS,
    EMAIL_FIELD_N
};

/* RFC 8621 section 4.1.2. */
enum email_form {
    EMAIL_RAW,
    EMAIL_TEXT,
    EMAIL_ADDRESSES,
    EMAIL_GROUPED_ADDRESSES,
    EMAIL_MESSAGE_IDS,
    EMAIL_DATE,
    EMAIL_URLS,
    EMAIL_FORM_N
};

struct email_property {
    struct slice text; /* as asked for; the key of the answer */
    enum email_field field;
    struct slice header; /* EMAIL_HEADER: the field's name */
    enum email_form form;
    bool is_all; /* every field of that name, not the last one */
};

struct email_properties {
    struct email_property *v; /* no two with the same text */
    size_t n;
};

struct email_want {
    struct email_properties properties, body;
    bool has_text_values, has_html_values, has_all_values; /* fetch…BodyValues */
    /* No bodyProperties were named: those of `body`, and the parts of what has any. The usual list
     * has no subParts, but bodyStructure is "the full MIME structure" (section 4.1.4). */
    bool has_usual_body;
    uint64_t value_bytes_max; /* 0: no bound of the client's */
};

enum email_call { EMAIL_CALL_GET, EMAIL_CALL_PARSE }; /* they differ in the usual properties */

/* Reads the arguments properties, bodyProperties, fetchTextBodyValues, fetchHTMLBodyValues,
 * fetchAllBodyValues and maxBodyValueBytes (RFC 8621 sections 4.2 and 4.9) of `args`, an object;
 * others are not looked at. Texts are copied into `a` (at most 256 KiB).
 * ERR_INVALID: "invalidArguments", `ei` names the argument; ERR_LIMIT: too many properties,
 * "requestTooLarge". */
enum err email_want_parse(const json_t *args, enum email_call call, struct arena *a,
                          struct email_want *ret, struct errinfo *ei);
/* One name of a property; false: there is none like that, or a form that its field may not have
 * (section 4.1.3). Borrows `text`. */
bool email_property_parse(struct slice text, bool is_of_part, struct email_property *ret);
bool email_wants(const struct email_want *want, enum email_field field); /* of the Email itself */
/* Must the bytes be read at all? False: everything that is wanted is the caller's. */
bool email_wants_bytes(const struct email_want *want);

void email_want_pack(struct buf *b, const struct email_want *want);
/* False: nonsense; everything is checked as by email_want_parse. Borrows `s`. */
bool email_want_unpack(struct slice s, struct arena *a, struct email_want *ret);

/* ---- blobs ------------------------------------------------------------------------------- */

/* "M" + 13 letters: a message; "U" + 13 letters: an upload. A part of it, or of the message that
 * such a part is: "-<offset>-<len>-<b|q|n>", in the bytes of what stands before it, decoded from
 * base64, quoted-printable, or as they are. */
enum { EMAIL_BLOB_STEPS_MAX = 3, EMAIL_BLOB_TEXT = 96 };
struct email_blob_step {
    uint32_t offset, len;
    char encoding; /* 'b', 'q', 'n' */
};
struct email_blob {
    char kind; /* 'M' or 'U' */
    uint64_t id;
    struct email_blob_step steps[EMAIL_BLOB_STEPS_MAX];
    size_t n_steps;
};
/* False: none of ours. Only what email_blob_write writes is taken. */
bool email_blob_parse(struct slice text, struct email_blob *ret);
void email_blob_write(const struct email_blob *blob, char ret[EMAIL_BLOB_TEXT]); /* terminated */
/* The part's bytes out of the whole's, appended to `ret`. ERR_GONE: it lies outside; ERR_LIMIT:
 * over the ceiling of `ret`. Memory: at most two times the whole besides `ret`. */
enum err email_blob_decode(struct slice whole, const struct email_blob_step *steps, size_t n_steps,
                           struct buf *ret);

/* ---- rendering --------------------------------------------------------------------------- */

enum {
    EMAIL_VALUE_BYTES_MAX = 8 * 1024 * 1024,    /* of one bodyValue; past it, isTruncated */
    EMAIL_RENDER_MEMORY_MAX = 32 * 1024 * 1024, /* besides the message and `ret` */
};

/* The wanted properties that come from the bytes, as one JSON object, appended to `ret`. It is
 * valid UTF-8 without control characters, keys as asked for.
 * `blob`: the message's own blob id; parts get it with their step. Empty, or with all steps used
 * up: blobIds of parts are null.
 * Broken mail gives the best that can be read. Bodies are cut (isTruncated) where the ceiling of
 * `ret` leaves no more room. Of the bounds of mime/mime.h, those of header and parts hold here too.
 * ERR_LIMIT: what is asked for besides the bodies does not fit or costs too much to find; nothing
 * usable is in `ret`. Thread: any. Cost: about 1 s of one processor for 50 MB at worst. */
enum err email_render(struct slice message, struct slice blob, const struct email_want *want,
                      struct buf *ret, struct errinfo *ei);

/* Words for a search index: what mime_text gives, then the names of attachments, one line, up to
 * the ceiling of `ret`. */
void email_text(struct slice message, struct buf *ret);

/* ---- composing --------------------------------------------------------------------------- */

enum {
    EMAIL_PARTS_MAX = 500, /* of a message that is composed */
    EMAIL_HEADER_FIELDS_MAX = 500,
    EMAIL_FAULTS_MAX = 16, /* properties that a fault names */
    EMAIL_BLOBS_MAX = 500,
};

/* A SetError of RFC 8620 section 5.3 and RFC 8621 section 4.6. */
enum email_fault_kind {
    EMAIL_FINE,
    EMAIL_INVALID_PROPERTIES,
    EMAIL_BLOB_NOT_FOUND,
    EMAIL_TOO_LARGE
};
struct email_fault {
    enum email_fault_kind kind;
    struct slice properties[EMAIL_FAULTS_MAX]; /* of INVALID_PROPERTIES; in the arena */
    size_t n_properties;
    struct slice not_found[EMAIL_BLOBS_MAX]; /* of BLOB_NOT_FOUND; in the arena */
    size_t n_not_found;
    char description[256];
};
/* The SetError; the caller owns it. `kind` is not EMAIL_FINE. */
json_t *email_fault_json(const struct email_fault *fault);

struct email_compose_options {
    struct slice domain; /* right side of a Message-ID that we make; a host name */
    utc_ms now;          /* of the Date field, if none is given */
    unsigned char random[32];
    /* The bytes of a blob, which live until email_compose returns; false: there is none, or it is
     * not for this account. Called once for each mention. */
    bool (*blob)(void *arg, struct slice id, struct slice *ret);
    void *arg;
};

struct email_composed {
    bool needs_utf8; /* a header that is only for SMTPUTF8 (RFC 6532): local parts, raw values */
    bool has_8bit;   /* bodies that are only for 8BITMIME */
};

/* The blob ids that `create` mentions, so that they can be fetched before; at most
 * EMAIL_BLOBS_MAX, in `a`, each once. Says nothing about their being valid. */
size_t email_compose_blobs(const json_t *create, struct arena *a,
                           struct slice ret[EMAIL_BLOBS_MAX]);

/* The message that Email/set's `create` describes (RFC 8621 section 4.6), appended to `ret`: CRLF
 * line ends, no line over 998 bytes, header lines of 78 where words allow it. mailboxIds, keywords
 * and receivedAt are not looked at. What is not given and must stand there (Message-ID, Date,
 * MIME-Version) is added. True: `ret` is a whole message that ends with a line end. False: see
 * `fault`, `ret` is of no use. `a`: at most 8 MiB besides what a fault names. */
bool email_compose(const json_t *create, const struct email_compose_options *o, struct arena *a,
                   struct buf *ret, struct email_composed *ret_told, struct email_fault *fault);

#endif
