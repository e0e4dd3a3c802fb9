/* Text out of mail: transfer encodings, charsets, encoded words, and what was odd.
 *
 * Everything that comes out as text is valid UTF-8. Results are appended to a struct buf up to its
 * ceiling and cut there at a character; the buffer never fails because of it.
 * RFC 2045 section 6, RFC 2047, RFC 2231, RFC 3629. */
#ifndef MIME_TEXT_H
#define MIME_TEXT_H

#include "base/base.h"

/* What was odd in a message or a value; bits, never a failure. */
enum mime_odd {
    MIME_ODD_HEADER_LONG = 1 << 0, /* a header over MIME_HEADER_BYTES_MAX */
    MIME_ODD_HEADER_MANY = 1 << 1, /* more than MIME_HEADER_FIELDS_MAX fields */
    MIME_ODD_HEADER_LINE = 1 << 2, /* a line that is no field and no continuation */
    MIME_ODD_MBOX_LINE = 1 << 3,   /* a leading "From " line */
    MIME_ODD_DUPLICATE = 1 << 4,   /* From, To, Date, Subject or Message-ID more than once */
    MIME_ODD_PARTS = 1 << 5,       /* more than MIME_PARTS_MAX parts */
    MIME_ODD_DEPTH = 1 << 6,       /* deeper than MIME_DEPTH_MAX */
    MIME_ODD_PARAMS = 1 << 7,      /* more than MIME_PARAMS_MAX parameters */
    MIME_ODD_BOUNDARY = 1 << 8,    /* a multipart without a boundary, or it never comes */
    MIME_ODD_UNCLOSED = 1 << 9,    /* a multipart without its closing line */
    MIME_ODD_ADDRESSES = 1 << 10,  /* more than MIME_ADDRESSES_MAX addresses */
    MIME_ODD_ADDRESS = 1 << 11,    /* an address that could not be read */
    MIME_ODD_IDS = 1 << 12,        /* more than MIME_IDS_MAX ids */
    MIME_ODD_DATE = 1 << 13,       /* a date that could not be read */
    MIME_ODD_CHARSET = 1 << 14,    /* a charset that we do not know */
    MIME_ODD_BYTES = 1 << 15,      /* bytes that are not in their charset or encoding */
    MIME_ODD_CUT = 1 << 16,        /* a text was cut at its bound */
    MIME_ODD_MEMORY = 1 << 17,     /* the arena was full */
    MIME_ODD_LENIENT = 1 << 18,    /* a subject that reads otherwise by mime_header_text_strict */
};

/* ---- transfer encodings ------------------------------------------------------------------ */

enum mime_encoding {
    MIME_ENCODING_IDENTITY, /* 7bit, 8bit, binary, absent */
    MIME_ENCODING_BASE64,
    MIME_ENCODING_QP,
    MIME_ENCODING_UNKNOWN /* passed through unchanged (RFC 2045 section 6.4 allows no more) */
};
enum mime_encoding mime_encoding_of(struct slice raw); /* a Content-Transfer-Encoding value */

/* Feed any pieces, then end. Tolerant: base64 skips foreign bytes and starts anew behind padding;
 * quoted-printable shows a broken escape as it stands. */
struct mime_decoder {
    enum mime_encoding encoding;
    unsigned odd;  /* MIME_ODD_BYTES, MIME_ODD_CUT so far */
    uint32_t bits; /* base64: what waits for more digits */
    unsigned n_bits;
    char held[80]; /* quoted-printable: blanks or the start of an escape */
    size_t n_held;
};
struct mime_decoder mime_decoder_make(enum mime_encoding encoding);
/* Both append to `ret`; false once its ceiling is reached (what fits was written; feeding more
 * writes nothing). */
bool mime_decoder_feed(struct mime_decoder *d, struct slice piece, struct buf *ret);
bool mime_decoder_end(struct mime_decoder *d, struct buf *ret);

/* ---- charsets ---------------------------------------------------------------------------- */

/* Open the converters of all allowed charsets now; call it in the main thread before a sandbox
 * forbids opening files. Without it they are opened at first use. Each thread has its own (glibc's
 * converters are not for sharing); what this call loaded serves the other threads' opens without
 * files. Returns how many of the allowed charsets the system does not have. */
unsigned mime_charset_preload(void);

/* Bytes in `charset` to UTF-8, appended to `ret`. Bad bytes become U+FFFD (MIME_ODD_BYTES). An
 * unknown charset is read as UTF-8 (MIME_ODD_CHARSET). An empty charset or us-ascii with 8-bit
 * bytes is UTF-8 if it is valid as such and windows-1252 otherwise; iso-8859-1 is read as
 * windows-1252, its superset, as everybody does. Returns odd bits. */
unsigned mime_charset_decode(struct slice charset, struct slice bytes, struct buf *ret);
bool mime_charset_is_known(struct slice charset);

bool mime_utf8_is_valid(struct slice s);
/* Length <= max, cut at a character of valid UTF-8. */
size_t mime_utf8_cut(struct slice s, size_t max);

/* Valid UTF-8 in normalization form C (UAX #15), appended to `ret`, up to its ceiling. Letters with
 * more than 64 marks are composed in pieces. */
void mime_utf8_compose(struct slice s, struct buf *ret);
/* Is it so for certain? A quick look: false says only that it may not be. */
bool mime_utf8_is_composed(struct slice s);

/* ---- header text ------------------------------------------------------------------------- */

/* An unstructured field's value as one line: unfolded, encoded words decoded (also where RFC 2047
 * does not allow them, also characters split between words), raw 8-bit bytes as by an empty
 * charset, control characters to blanks, blanks at both ends removed. Returns odd bits. */
unsigned mime_header_text(struct slice raw, struct buf *ret);

/* The same, but encoded words only where RFC 2047 allows them: between blanks or the ends of the
 * value, without blanks inside, in a charset that we know. Everything else stays as written, as
 * RFC 8621 section 4.1.2.2 demands; what it hides in control characters is dropped. */
unsigned mime_header_text_strict(struct slice raw, struct buf *ret);

/* ---- HTML -------------------------------------------------------------------------------- */

/* The words of an HTML text (valid UTF-8): tags, comments, script, style and title dropped,
 * character references decoded, white space folded to single blanks. Appended to `ret`, up to its
 * ceiling. Returns odd bits. For reading by people and search, never for showing as HTML. */
unsigned mime_html_text(struct slice html, struct buf *ret);
/* The same with the words of the attributes alt and title: for search. */
unsigned mime_html_words(struct slice html, struct buf *ret);
/* The same folding for plain text. */
unsigned mime_plain_text(struct slice text, struct buf *ret);

#endif
