/* The bytes of a message that goes out: lines end as SMTP wants it, what must not be seen is taken
 * out, what must be there is put in.
 *
 * The lines come first, and what is judged afterwards is what goes out: nobody who gets it finds an
 * author, or any other field, that was not looked at here. The header is read by a gate: the bytes
 * may be a stranger's. */
#include "jmap/jmap_submission_int.h"

#include "mime/mime.h"

enum { LINE_MAX = 998 };

static json_t *invalid(const char *property, const char *why)
{
    return jmap_set_error("invalidEmail", property, "%s", why);
}

json_t *jmap_too_large(const struct jmap_caller *who)
{
    uint64_t max = who->size_max ? who->size_max : STORE_MESSAGE_MAX;
    json_t *error = jmap_set_error("tooLarge", NULL, "larger than a message may be here");
    json_object_set_new(error, "maxSize", json_integer((json_int_t)max));
    return error;
}

/* ---- its lines ---- */

/* RFC 5322 section 2.2: nothing but printable characters, blanks, and the ends of its lines. Some
 * readers take a CR alone, or another control, for the end of a line: a field would begin there for
 * them that is none for others. */
static bool has_control(struct slice header)
{
    for (size_t i = 0; i < header.n; i++) {
        unsigned char c = (unsigned char)header.p[i];
        bool is_end = c == '\n' || (c == '\r' && i + 1 < header.n && header.p[i + 1] == '\n');
        if (!is_end && ((c < ' ' && c != '\t') || c == 0x7f))
            return true;
    }
    return false;
}

/* Lines end in CRLF, also where a CR or an LF stood alone, and are short enough for everybody (RFC
 * 5321 section 4.5.3.1.6). NULL, or why it cannot be sent. */
static const char *add_lines(const struct jmap_run *r, struct slice in, struct buf *out)
{
    for (size_t at = 0; at < in.n;) {
        size_t end = at;
        while (end < in.n && in.p[end] != '\r' && in.p[end] != '\n' && in.p[end] != '\0')
            end++;
        if (end < in.n && in.p[end] == '\0')
            return "it has a NUL";
        if (end - at > LINE_MAX) {
            jmap_count(REFUSE_JMAP_SIZE, "line", r->who);
            return "a line is longer than 998 bytes";
        }
        buf_add(out, in.p + at, end - at);
        buf_adds(out, SLICE("\r\n"));
        at = end + (end + 1 < in.n && in.p[end] == '\r' && in.p[end + 1] == '\n' ? 2 : 1);
    }
    return NULL;
}

/* The same message in lines that everybody reads alike. */
static json_t *straighten(const struct jmap_run *r, struct slice in, struct buf *out)
{
    struct mime_split split = mime_split(in);
    struct slice header = slice_of(in.p + split.header_offset, split.header_len);
    const char *why = has_control(header) ? "it has a control character, or half an end of a line"
                                          : add_lines(r, header, out);
    if (why)
        return invalid("headers", why);
    buf_adds(out, SLICE("\r\n"));
    why = add_lines(r, slice_skip(in, split.body_offset), out);
    if (why)
        return invalid("bodyStructure", why);
    return out->failed ? jmap_too_large(r->who) : NULL;
}

/* ---- its header, as properties ---- */

static json_t *read_header(struct jmap_run *r, struct slice bytes, const char *blob, json_t **ret,
                           struct errinfo *ei)
{
    struct jmap_email_reading g = {.r = r};
    json_t *args = json_pack("{s:[s, s, s, s, s, s, s]}", "properties", "from", "sender", "to",
                             "cc", "bcc", "messageId", "sentAt");
    *ret = json_object();
    enum err err = email_want_parse(args, EMAIL_CALL_GET, r->arena, &g.want, ei);
    if (err == ERR_OK)
        err = jmap_email_render(&g, bytes, blob, *ret, ei);
    json_decref(args);
    return err == ERR_OK ? NULL : jmap_set_err(err, ei);
}

static bool are_own(const struct jmap_caller *who, const json_t *list)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        const json_t *email = json_object_get(one, "email");
        if (!jmap_is_own_address(who,
                                 slice_of(json_string_value(email), json_string_length(email))))
            return false;
    }
    return true;
}

static json_t *judge_authors(const struct jmap_caller *who, const json_t *header)
{
    const json_t *from = json_object_get(header, "from"),
                 *sender = json_object_get(header, "sender");
    if (json_array_size(from) == 0)
        return invalid("from", "a message has an author");
    if (json_array_size(sender) > 1)
        return invalid("sender", "a message has one sender at most");
    if (json_array_size(from) > 1 && json_array_size(sender) == 0)
        return invalid("sender", "where there are several authors, the sender is named");
    if (!are_own(who, from) || !are_own(who, sender))
        return jmap_set_error("forbiddenFrom", NULL,
                              "the author is not among the addresses that this person has here");
    return NULL;
}

/* ---- its fields ---- */

static bool is_named(const struct mime_field *f, const char *name)
{
    return slice_ieq(f->name, slice_str(name));
}

/* RFC 5322 section 3.6: at most one of each of these. */
static const struct {
    const char *name, *property;
} once[] = {{"From", "from"},
            {"Sender", "sender"},
            {"Reply-To", "replyTo"},
            {"To", "to"},
            {"Cc", "cc"},
            {"Message-ID", "messageId"},
            {"In-Reply-To", "inReplyTo"},
            {"Date", "sentAt"},
            {"Subject", "subject"},
            {"References", "references"}};
enum { N_ONCE = sizeof(once) / sizeof(once[0]) };

static json_t *judge_fields(const struct jmap_run *r, struct slice bytes)
{
    unsigned n[N_ONCE] = {};
    struct mime_walk w = mime_walk_make(bytes);
    for (struct mime_field f; mime_walk_next(&w, &f);) {
        if (f.name.n == 0)
            return invalid("headers", "a line of its header is no field");
        for (size_t i = 0; i < N_ONCE; i++)
            n[i] += is_named(&f, once[i].name);
    }
    for (size_t i = 0; i < N_ONCE; i++)
        if (n[i] > 1)
            return jmap_set_error("invalidEmail", once[i].property,
                                  "its header has the field %s %u times", once[i].name, n[i]);
    if (w.state == MIME_WALK_DONE)
        return NULL;
    jmap_count(REFUSE_JMAP_SIZE, "header", r->who);
    return invalid("headers", "its header is too large");
}

static struct slice domain_of(const struct jmap_caller *who)
{
    struct slice rest;
    (void)slice_cut(who->addresses[0], '@', &rest);
    return rest.n ? rest : SLICE("localhost");
}

/* What is taken out is for nobody else; what lists and loops are known by is not for us to write.
 */
static bool is_left_out(const struct mime_field *f)
{
    return is_named(f, "Bcc") || is_named(f, "Resent-Bcc") || is_named(f, "Return-Path") ||
           is_named(f, "Staffetta-Trace");
}

static void add_missing(struct jmap_run *r, const json_t *header, struct buf *out)
{
    if (!json_is_string(json_object_get(header, "sentAt")))
        buf_addf(out, "Date: %s\r\n", utc_rfc5322(utc_now()).s);
    if (json_array_size(json_object_get(header, "messageId")) != 1) {
        char id[MESSAGE_ID_TEXT];
        message_id_text(r->host->next_id(r->host->arg), id);
        buf_addf(out, "Message-ID: <%s@" SLICE_FMT ">\r\n", id, SLICE_ARG(domain_of(r->who)));
    }
}

static void add_fields(struct jmap_run *r, struct slice bytes, const json_t *header,
                       struct buf *out)
{
    bool has_date = json_is_string(json_object_get(header, "sentAt"));
    bool has_id = json_array_size(json_object_get(header, "messageId")) == 1;
    struct mime_walk w = mime_walk_make(bytes);
    for (struct mime_field f; mime_walk_next(&w, &f);) {
        /* One that says nothing makes place for ours. */
        bool is_replaced =
            (is_named(&f, "Date") && !has_date) || (is_named(&f, "Message-ID") && !has_id);
        if (!is_left_out(&f) && !is_replaced)
            buf_add(out, bytes.p + f.offset, f.len);
    }
    add_missing(r, header, out);
}

static bool is_8bit(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return true;
    return false;
}

/* ---- the whole ---- */

static json_t *write(struct jmap_run *r, struct slice bytes, struct jmap_outgoing *o)
{
    add_fields(r, bytes, o->header, &o->bytes);
    size_t header_bytes = o->bytes.n;
    buf_adds(&o->bytes, SLICE("\r\n"));
    buf_adds(&o->bytes, slice_skip(bytes, mime_split(bytes).body_offset));
    uint64_t max = r->who->size_max;
    if (o->bytes.failed || (max && o->bytes.n > max))
        return jmap_too_large(r->who);
    struct slice whole = buf_slice(&o->bytes);
    if (is_8bit(slice_of(whole.p, header_bytes)))
        o->flags |= MESSAGE_SMTPUTF8 | MESSAGE_8BIT;
    if (is_8bit(slice_skip(whole, header_bytes)))
        o->flags |= MESSAGE_8BIT;
    return NULL;
}

/* NULL, or a SetError. */
static json_t *read_lines(struct jmap_run *r, const char *blob, struct buf *ret)
{
    struct errinfo ei;
    SCOPED(buf_finish) struct buf bytes = buf_make(STORE_MESSAGE_MAX);
    enum err err = jmap_blob_read(r, blob, &bytes, &ei);
    if (err == ERR_GONE)
        return jmap_set_error("invalidProperties", "emailId", "there is no such email");
    return err == ERR_OK ? straighten(r, buf_slice(&bytes), ret) : jmap_set_err(err, &ei);
}

json_t *jmap_outgoing_make(struct jmap_run *r, uint64_t email, struct jmap_outgoing *ret)
{
    struct errinfo ei;
    char blob[JMAP_ID_TEXT];
    SCOPED(buf_finish) struct buf bytes = buf_make(STORE_MESSAGE_MAX);
    *ret = (struct jmap_outgoing){.bytes = buf_make(STORE_MESSAGE_MAX)};
    jmap_id('M', email, blob);
    json_t *error = read_lines(r, blob, &bytes);
    if (!error)
        error = judge_fields(r, buf_slice(&bytes));
    if (!error)
        error = read_header(r, buf_slice(&bytes), blob, &ret->header, &ei);
    if (!error)
        error = judge_authors(r->who, ret->header);
    return error ? error : write(r, buf_slice(&bytes), ret);
}

void jmap_outgoing_finish(struct jmap_outgoing *o)
{
    buf_finish(&o->bytes);
    json_decref(o->header);
    o->header = NULL;
}
