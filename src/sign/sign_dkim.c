/* The DKIM signer: relaxed/relaxed over the whole body (RFC 6376 section 5). One form only: it is
 * the one that survives relays which refold or trim. */
#include "sign_int.h"

enum { LINE_COLUMNS = 76 };

/* What is signed. `is_closed`: named once more than it occurs, so that adding another one breaks
 * the signature (section 8.15). Not closed: what mailing lists and relays rightly add. */
static const struct signed_field {
    const char *name;
    bool is_closed;
} signed_fields[] = {
    {"From", true},
    {"Sender", false},
    {"Reply-To", true},
    {"To", true},
    {"Cc", true},
    {"Subject", true},
    {"Date", true},
    {"Message-ID", true},
    {"In-Reply-To", false},
    {"References", false},
    {"MIME-Version", true},
    {"Content-Type", true},
    {"Content-Transfer-Encoding", true},
    {"Content-Disposition", false},
    {"Content-ID", false},
    {"Content-Description", false},
    {"Auto-Submitted", false},
    {"List-Id", false},
    {"List-Post", false},
    {"List-Help", false},
    {"List-Subscribe", false},
    {"List-Unsubscribe", false},
    {"List-Unsubscribe-Post", false},
    {"List-Archive", false},
};
enum { N_SIGNED = sizeof(signed_fields) / sizeof(signed_fields[0]) };

/* Letters, digits, '-' and '_' in labels of 1..63 bytes. */
static bool is_dns_name(struct slice s)
{
    size_t label = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (c == '.' && label > 0)
            label = 0;
        else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
            label++;
        else
            return false;
        if (label > 63)
            return false;
    }
    return label > 0;
}

static size_t count_fields(const struct sign_message *m, struct slice name)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_fields; i++)
        n += sign_field_is(&m->fields[i], name) ? 1 : 0;
    return n;
}

/* Adds `word` to the h= list, on a new line when this one is full. */
static void add_name(struct buf *out, const char *word, size_t *column)
{
    size_t n = strlen(word);
    if (*column + n + 1 > LINE_COLUMNS) {
        buf_adds(out, SLICE("\r\n\t"));
        *column = 8;
    }
    buf_addf(out, "%s:", word);
    *column += n + 1;
}

/* The h= list, and the fields it names in canonical form, last of a name first (section 5.4.2). */
static void add_signed_fields(const struct sign_message *m, struct buf *header, struct buf *hashed)
{
    buf_adds(header, SLICE("\r\n\th="));
    size_t column = 10;
    for (size_t row = 0; row < N_SIGNED; row++) {
        struct slice name = slice_str(signed_fields[row].name);
        for (size_t i = m->n_fields; i > 0; i--) {
            if (!sign_field_is(&m->fields[i - 1], name))
                continue;
            sign_canon_field(SIGN_RELAXED, &m->fields[i - 1], hashed);
            add_name(header, name.p, &column);
        }
        if (signed_fields[row].is_closed)
            add_name(header, name.p, &column);
    }
    if (!header->failed)
        header->n--; /* the last ':' */
    buf_addc(header, ';');
}

static void add_folded_base64(struct buf *out, const uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at < n; at += 51) { /* 68 columns a line */
        if (at > 0)
            buf_adds(out, SLICE("\r\n\t"));
        sign_base64_add(out, bytes + at, n - at < 51 ? n - at : 51);
    }
}

/* Everything up to "b=". */
static void add_tags(const struct sign_dkim *with, const struct sign_message *m, struct buf *header,
                     struct buf *hashed)
{
    struct sign_digest body = {.limit = UINT64_MAX};
    sign_canon_body(SIGN_RELAXED, m->body, &body, 1);
    int64_t now_sec = with->now / 1000;
    buf_addf(header, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=",
             sign_key_algorithm(with->key));
    buf_adds(header, with->domain);
    buf_adds(header, SLICE(";\r\n\ts="));
    buf_adds(header, with->selector);
    buf_addf(header, "; t=%lld;", (long long)now_sec);
    if (with->lifetime_sec > 0)
        buf_addf(header, " x=%lld;", (long long)(now_sec + with->lifetime_sec));
    add_signed_fields(m, header, hashed);
    buf_adds(header, SLICE("\r\n\tbh="));
    sign_base64_add(header, body.sha256, sizeof(body.sha256));
    buf_adds(header, SLICE(";\r\n\tb="));
}

static enum err make_header(const struct sign_dkim *with, const struct sign_message *m,
                            struct buf *header, struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf hashed = buf_make(2 * SIGN_HEADER_MAX);
    add_tags(with, m, header, &hashed);
    struct slice rest = buf_slice(header);
    struct sign_field own;
    must(sign_field_next(&rest, &own));
    sign_canon_own(SIGN_RELAXED, &own, SLICE(""), &hashed);
    if (hashed.failed || header->failed)
        return err_set(ei, ERR_LIMIT, "the header is too large to sign");
    uint8_t digest[SIGN_DIGEST], signature[SIGNATURE_MAX];
    size_t n;
    sign_sha256(buf_slice(&hashed), digest);
    enum err e = sign_key_use(with->key, digest, signature, &n, ei);
    if (e != ERR_OK)
        return e;
    add_folded_base64(header, signature, n);
    buf_adds(header, SLICE("\r\n"));
    return ERR_OK;
}

static enum err sign_split(const struct sign_dkim *with, const struct sign_message *m,
                           struct buf *out, struct errinfo *ei)
{
    if (count_fields(m, SLICE("From")) != 1)
        return err_set(ei, ERR_INVALID, "a message to sign has exactly one From");
    SCOPED(buf_finish) struct buf header = buf_make(64 * 1024);
    enum err e = make_header(with, m, &header, ei);
    if (e != ERR_OK)
        return e;
    char *room = buf_room(out, header.n);
    if (!room)
        return err_set(ei, ERR_FULL, "no room for a signature of %zu bytes", header.n);
    memcpy(room, header.p, header.n);
    return ERR_OK;
}

enum err sign_dkim(const struct sign_dkim *with, struct slice message, struct buf *out,
                   struct errinfo *ei)
{
    if (!is_dns_name(with->domain) || with->domain.n > 253 || !is_dns_name(with->selector) ||
        with->selector.n + with->domain.n > 240)
        return err_set(ei, ERR_INVALID, "impossible DKIM domain or selector");
    struct sign_message *m = mem_new(sizeof(*m));
    enum err e = sign_message_split(message, m)
                     ? sign_split(with, m, out, ei)
                     : err_set(ei, ERR_LIMIT, "the header is too large to sign");
    mem_free(&m);
    return e;
}
