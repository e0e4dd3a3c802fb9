/* What a client wants to see of an Email: the names of properties, header forms, how it travels.
 * RFC 8621 sections 4.1.1 to 4.1.4, 4.2, 4.9. Not here: their values. */
#include "email/email_int.h"

enum { OF_EMAIL = 1, OF_PART = 2 };

#define ROW(text, field, where)                                                                    \
    {                                                                                              \
        {text, sizeof(text) - 1}, field, where, {NULL, 0}, EMAIL_RAW                               \
    }
#define HEADER(text, name, form)                                                                   \
    {                                                                                              \
        {text, sizeof(text) - 1}, EMAIL_HEADER, OF_EMAIL, {name, sizeof(name) - 1}, form           \
    }
static const struct row {
    struct slice text;
    enum email_field field;
    int where;
    struct slice header;
    enum email_form form;
} ROWS[] = {
    ROW("id", EMAIL_ID, OF_EMAIL),
    ROW("blobId", EMAIL_BLOB_ID, OF_EMAIL | OF_PART),
    ROW("threadId", EMAIL_THREAD_ID, OF_EMAIL),
    ROW("mailboxIds", EMAIL_MAILBOX_IDS, OF_EMAIL),
    ROW("keywords", EMAIL_KEYWORDS, OF_EMAIL),
    ROW("size", EMAIL_SIZE, OF_EMAIL | OF_PART),
    ROW("receivedAt", EMAIL_RECEIVED_AT, OF_EMAIL),
    ROW("headers", EMAIL_HEADERS, OF_EMAIL | OF_PART),
    HEADER("messageId", "Message-ID", EMAIL_MESSAGE_IDS),
    HEADER("inReplyTo", "In-Reply-To", EMAIL_MESSAGE_IDS),
    HEADER("references", "References", EMAIL_MESSAGE_IDS),
    HEADER("sender", "Sender", EMAIL_ADDRESSES),
    HEADER("from", "From", EMAIL_ADDRESSES),
    HEADER("to", "To", EMAIL_ADDRESSES),
    HEADER("cc", "Cc", EMAIL_ADDRESSES),
    HEADER("bcc", "Bcc", EMAIL_ADDRESSES),
    HEADER("replyTo", "Reply-To", EMAIL_ADDRESSES),
    HEADER("subject", "Subject", EMAIL_TEXT),
    HEADER("sentAt", "Date", EMAIL_DATE),
    ROW("bodyStructure", EMAIL_BODY_STRUCTURE, OF_EMAIL),
    ROW("bodyValues", EMAIL_BODY_VALUES, OF_EMAIL),
    ROW("textBody", EMAIL_TEXT_BODY, OF_EMAIL),
    ROW("htmlBody", EMAIL_HTML_BODY, OF_EMAIL),
    ROW("attachments", EMAIL_ATTACHMENTS, OF_EMAIL),
    ROW("hasAttachment", EMAIL_HAS_ATTACHMENT, OF_EMAIL),
    ROW("preview", EMAIL_PREVIEW, OF_EMAIL),
    ROW("partId", EMAIL_PART_ID, OF_PART),
    ROW("name", EMAIL_NAME, OF_PART),
    ROW("type", EMAIL_TYPE, OF_PART),
    ROW("charset", EMAIL_CHARSET, OF_PART),
    ROW("disposition", EMAIL_DISPOSITION, OF_PART),
    ROW("cid", EMAIL_CID, OF_PART),
    ROW("language", EMAIL_LANGUAGE, OF_PART),
    ROW("location", EMAIL_LOCATION, OF_PART),
    ROW("subParts", EMAIL_SUB_PARTS, OF_PART),
};
#undef ROW
#undef HEADER
enum { N_ROWS = sizeof(ROWS) / sizeof(ROWS[0]) };

/* ---- header forms ------------------------------------------------------------------------ */

static const struct slice FORMS[EMAIL_FORM_N] = {
    [EMAIL_RAW] = {"asRaw", 5},
    [EMAIL_TEXT] = {"asText", 6},
    [EMAIL_ADDRESSES] = {"asAddresses", 11},
    [EMAIL_GROUPED_ADDRESSES] = {"asGroupedAddresses", 18},
    [EMAIL_MESSAGE_IDS] = {"asMessageIds", 12},
    [EMAIL_DATE] = {"asDate", 6},
    [EMAIL_URLS] = {"asURLs", 6},
};

enum {
    TEXT_BIT = 1 << EMAIL_TEXT,
    ADDRESSES_BIT = 1 << EMAIL_ADDRESSES | 1 << EMAIL_GROUPED_ADDRESSES,
    IDS_BIT = 1 << EMAIL_MESSAGE_IDS,
    DATE_BIT = 1 << EMAIL_DATE,
    URLS_BIT = 1 << EMAIL_URLS,
};

/* Fields that RFC 5322 or RFC 2369 define: the forms besides Raw that they may have (RFC 8621
 * section 4.1.2). Every other field may have every form. */
static const struct {
    struct slice name;
    unsigned forms;
} DEFINED[] = {
    {{"Subject", 7}, TEXT_BIT},
    {{"Comments", 8}, TEXT_BIT},
    {{"Keywords", 8}, TEXT_BIT},
    {{"From", 4}, ADDRESSES_BIT},
    {{"Sender", 6}, ADDRESSES_BIT},
    {{"Reply-To", 8}, ADDRESSES_BIT},
    {{"To", 2}, ADDRESSES_BIT},
    {{"Cc", 2}, ADDRESSES_BIT},
    {{"Bcc", 3}, ADDRESSES_BIT},
    {{"Resent-From", 11}, ADDRESSES_BIT},
    {{"Resent-Sender", 13}, ADDRESSES_BIT},
    {{"Resent-Reply-To", 15}, ADDRESSES_BIT},
    {{"Resent-To", 9}, ADDRESSES_BIT},
    {{"Resent-Cc", 9}, ADDRESSES_BIT},
    {{"Resent-Bcc", 10}, ADDRESSES_BIT},
    {{"Message-ID", 10}, IDS_BIT},
    {{"In-Reply-To", 11}, IDS_BIT},
    {{"References", 10}, IDS_BIT},
    {{"Resent-Message-ID", 17}, IDS_BIT},
    {{"Date", 4}, DATE_BIT},
    {{"Resent-Date", 11}, DATE_BIT},
    {{"List-Help", 9}, URLS_BIT},
    {{"List-Unsubscribe", 16}, URLS_BIT},
    {{"List-Subscribe", 14}, URLS_BIT},
    {{"List-Post", 9}, URLS_BIT},
    {{"List-Owner", 10}, URLS_BIT},
    {{"List-Archive", 12}, URLS_BIT},
    {{"Return-Path", 11}, 0},
    {{"Received", 8}, 0},
};

static bool may_have_form(struct slice header, enum email_form form)
{
    if (form == EMAIL_RAW)
        return true;
    for (size_t i = 0; i < sizeof(DEFINED) / sizeof(DEFINED[0]); i++)
        if (slice_ieq(header, DEFINED[i].name))
            return DEFINED[i].forms & 1u << form;
    return true;
}

bool email_is_field_name(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 127 || name.p[i] == ':')
            return false; /* RFC 5322 section 3.6.8, ftext */
    return name.n > 0;
}

/* "NAME", "NAME:asText", "NAME:all", "NAME:asText:all". */
static bool parse_header(struct slice s, struct email_property *ret)
{
    struct slice rest, more, form;
    ret->field = EMAIL_HEADER;
    ret->header = slice_cut(s, ':', &rest);
    ret->form = EMAIL_RAW;
    ret->is_all = false;
    if (!email_is_field_name(ret->header) || s.p[s.n - 1] == ':')
        return false;
    if (rest.n == 0)
        return true;
    form = slice_cut(rest, ':', &more);
    if (slice_eq(form, SLICE("all"))) {
        ret->is_all = true;
        return more.n == 0;
    }
    int i = 0;
    while (i < EMAIL_FORM_N && !slice_eq(form, FORMS[i]))
        i++;
    if (i == EMAIL_FORM_N)
        return false;
    ret->form = (enum email_form)i;
    ret->is_all = more.n > 0;
    return may_have_form(ret->header, ret->form) && (more.n == 0 || slice_eq(more, SLICE("all")));
}

bool email_property_parse(struct slice text, bool is_of_part, struct email_property *ret)
{
    *ret = (struct email_property){.text = text};
    if (text.n > EMAIL_PROPERTY_BYTES_MAX)
        return false;
    if (slice_starts(text, SLICE("header:")))
        return parse_header(slice_skip(text, 7), ret);
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!(ROWS[i].where & (is_of_part ? OF_PART : OF_EMAIL)) || !slice_eq(text, ROWS[i].text))
            continue;
        ret->field = ROWS[i].field;
        ret->header = ROWS[i].header;
        ret->form = ROWS[i].form;
        return true;
    }
    return false;
}

/* ---- lists of properties ----------------------------------------------------------------- */

/* False if it is no property. The same one again is left out. */
static bool add_property(struct email_properties *list, struct slice text, bool is_of_part)
{
    struct email_property p;
    if (!email_property_parse(text, is_of_part, &p))
        return false;
    for (size_t i = 0; i < list->n; i++)
        if (slice_eq(list->v[i].text, text))
            return true;
    list->v[list->n++] = p;
    return true;
}

static void add_usual(struct email_properties *list, const char *const *names, bool is_of_part)
{
    for (; *names; names++)
        must(add_property(list, slice_str(*names), is_of_part));
}

/* RFC 8621 sections 4.2 and 4.9. */
static void usual_properties(enum email_call call, struct email_properties *ret)
{
    static const char *const OF_STORE[] = {"id",       "blobId", "threadId",   "mailboxIds",
                                           "keywords", "size",   "receivedAt", NULL};
    static const char *const OF_BYTES[] = {
        "messageId", "inReplyTo",  "references", "sender",   "from",        "to",
        "cc",        "bcc",        "replyTo",    "subject",  "sentAt",      "hasAttachment",
        "preview",   "bodyValues", "textBody",   "htmlBody", "attachments", NULL};
    if (call == EMAIL_CALL_GET)
        add_usual(ret, OF_STORE, false);
    add_usual(ret, OF_BYTES, false);
}

static void usual_body_properties(struct email_properties *ret)
{
    static const char *const NAMES[] = {"partId",   "blobId",   "size",        "name",
                                        "type",     "charset",  "disposition", "cid",
                                        "language", "location", NULL};
    add_usual(ret, NAMES, true);
}

/* The names of argument `key`, or none and *ret_is_given false. */
static enum err parse_list(const json_t *args, const char *key, struct arena *a,
                           struct email_properties *ret, bool *ret_is_given, struct errinfo *ei)
{
    const json_t *list = json_object_get(args, key);
    bool is_of_part = strcmp(key, "bodyProperties") == 0;
    *ret_is_given = list && !json_is_null(list);
    if (!*ret_is_given)
        return ERR_OK;
    if (!json_is_array(list))
        return err_set(ei, ERR_INVALID, "%s: must be a list of names of properties", key);
    size_t n = json_array_size(list);
    if (n > EMAIL_PROPERTIES_MAX)
        return err_set(ei, ERR_LIMIT, "%s: %zu names, at most %d can be asked for at once", key, n,
                       EMAIL_PROPERTIES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct slice text = email_json_text(json_array_get(list, i));
        if (!text.p || text.n > EMAIL_PROPERTY_BYTES_MAX)
            return err_set(ei, ERR_INVALID, "%s: number %zu is no name of a property", key, i);
        if (!add_property(ret, arena_copy(a, text), is_of_part))
            return err_set(ei, ERR_INVALID,
                           "%s: \"" SLICE_FMT "\" is no property, or has a form that its header "
                           "field may not have",
                           key, (int)(text.n > 100 ? 100 : text.n), text.p);
    }
    return ERR_OK;
}

static enum err parse_flag(const json_t *args, const char *key, bool *ret, struct errinfo *ei)
{
    const json_t *v = json_object_get(args, key);
    if (v && !json_is_null(v) && !json_is_boolean(v))
        return err_set(ei, ERR_INVALID, "%s: must be true or false", key);
    *ret = json_is_true(v);
    return ERR_OK;
}

static enum err parse_values(const json_t *args, struct email_want *ret, struct errinfo *ei)
{
    const struct {
        const char *key;
        bool *flag;
    } FLAGS[] = {{"fetchTextBodyValues", &ret->has_text_values},
                 {"fetchHTMLBodyValues", &ret->has_html_values},
                 {"fetchAllBodyValues", &ret->has_all_values}};
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++) {
        enum err err = parse_flag(args, FLAGS[i].key, FLAGS[i].flag, ei);
        if (err != ERR_OK)
            return err;
    }
    const json_t *max = json_object_get(args, "maxBodyValueBytes");
    if (max && !json_is_null(max) && (!json_is_integer(max) || json_integer_value(max) < 0))
        return err_set(ei, ERR_INVALID, "maxBodyValueBytes: must be a whole number, 0 or more");
    ret->value_bytes_max = (uint64_t)json_integer_value(max);
    return ERR_OK;
}

static struct email_properties list_make(struct arena *a)
{
    return (struct email_properties){ARENA_ARRAY(a, struct email_property, EMAIL_PROPERTIES_MAX),
                                     0};
}

enum err email_want_parse(const json_t *args, enum email_call call, struct arena *a,
                          struct email_want *ret, struct errinfo *ei)
{
    struct email_want want = {.properties = list_make(a), .body = list_make(a)};
    bool is_given, is_body_given;
    enum err err = parse_list(args, "properties", a, &want.properties, &is_given, ei);
    if (err == ERR_OK)
        err = parse_list(args, "bodyProperties", a, &want.body, &is_body_given, ei);
    if (err == ERR_OK)
        err = parse_values(args, &want, ei);
    if (err != ERR_OK)
        return err;
    if (!is_given)
        usual_properties(call, &want.properties);
    want.has_usual_body = !is_body_given;
    if (!is_body_given)
        usual_body_properties(&want.body);
    *ret = want;
    return ERR_OK;
}

bool email_wants(const struct email_want *want, enum email_field field)
{
    for (size_t i = 0; i < want->properties.n; i++)
        if (want->properties.v[i].field == field)
            return true;
    return false;
}

bool email_wants_bytes(const struct email_want *want)
{
    for (size_t i = 0; i < want->properties.n; i++)
        if (want->properties.v[i].field >= EMAIL_HEADERS)
            return true;
    return false;
}

/* ---- on the way -------------------------------------------------------------------------- */

enum { HAS_TEXT = 1, HAS_HTML = 2, HAS_ALL = 4, HAS_USUAL_BODY = 8, HAS_BITS = 15 };

static void pack_list(struct buf *b, const struct email_properties *list)
{
    buf_u16(b, (uint16_t)list->n);
    for (size_t i = 0; i < list->n; i++)
        buf_bytes(b, list->v[i].text);
}

void email_want_pack(struct buf *b, const struct email_want *want)
{
    buf_u8(b,
           (uint8_t)((want->has_text_values ? HAS_TEXT : 0) |
                     (want->has_html_values ? HAS_HTML : 0) | (want->has_all_values ? HAS_ALL : 0) |
                     (want->has_usual_body ? HAS_USUAL_BODY : 0)));
    buf_u64(b, want->value_bytes_max);
    pack_list(b, &want->properties);
    pack_list(b, &want->body);
}

static bool unpack_list(struct reader *r, struct arena *a, bool is_of_part,
                        struct email_properties *ret)
{
    size_t n = read_u16(r);
    if (r->failed || n > EMAIL_PROPERTIES_MAX)
        return false;
    *ret = list_make(a);
    for (size_t i = 0; i < n; i++)
        if (!add_property(ret, read_bytes(r, EMAIL_PROPERTY_BYTES_MAX), is_of_part) || r->failed)
            return false;
    return true;
}

bool email_want_unpack(struct slice s, struct arena *a, struct email_want *ret)
{
    struct reader r = reader_make(s);
    uint8_t flags = read_u8(&r);
    struct email_want want = {.has_text_values = flags & HAS_TEXT,
                              .has_html_values = flags & HAS_HTML,
                              .has_all_values = flags & HAS_ALL,
                              .has_usual_body = flags & HAS_USUAL_BODY};
    want.value_bytes_max = read_u64(&r);
    if (!unpack_list(&r, a, false, &want.properties) || !unpack_list(&r, a, true, &want.body) ||
        r.failed || r.rest.n > 0 || flags > HAS_BITS)
        return false;
    *ret = want;
    return true;
}
