/* Blob/upload, /get and /lookup (RFC 9404). */
#include "jmap/jmap_email_int.h"

#include <openssl/evp.h>

enum { SOURCES_MAX = 64 };

/* ---- base64 ---- */

static bool is_utf8(struct slice s)
{
    json_t *text = json_stringn(s.p ? s.p : "", s.n);
    json_decref(text);
    return text != NULL;
}

static json_t *base64_json(struct slice s)
{
    char *text = mem_new(4 * (s.n / 3 + 1) + 1);
    int n = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)s.p, (int)s.n);
    json_t *value = json_stringn(text, (size_t)n);
    mem_free(&text);
    return value;
}

/* RFC 4648 section 4: nothing but its letters, padded, and nothing behind the padding. */
static bool is_base64(struct slice s)
{
    size_t n = s.n;
    for (size_t i = 0; i < 2 && n > 0 && s.p[n - 1] == '='; i++)
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = s.p[i], low = ascii_lower(c);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return s.n % 4 == 0;
}

static bool add_base64(struct buf *b, struct slice text)
{
    unsigned char *out = mem_new(text.n / 4 * 3 + 4);
    int n = is_base64(text) ? EVP_DecodeBlock(out, (const unsigned char *)text.p, (int)text.n) : -1;
    for (size_t i = 0; n > 0 && i < 2 && text.p[text.n - 1 - i] == '='; i++)
        n--;
    if (n >= 0)
        buf_add(b, out, (size_t)n);
    mem_free(&out);
    return n >= 0;
}

/* ---- Blob/upload ---- */

static json_t *bad_source(const char *why)
{
    return jmap_set_error("invalidProperties", "data", "%s", why);
}

static bool is_given(const json_t *value)
{
    return value && !json_is_null(value);
}

/* A part of a blob, as long as the blob is. */
static json_t *add_range(struct buf *b, const json_t *source, struct slice whole)
{
    const json_t *offset = json_object_get(source, "offset");
    const json_t *length = json_object_get(source, "length");
    json_int_t from = json_integer_value(offset);
    if (from < 0 || from > (json_int_t)whole.n)
        return bad_source("the offset lies behind the blob's end");
    json_int_t left = (json_int_t)whole.n - from;
    json_int_t n = is_given(length) ? json_integer_value(length) : left;
    if (n < 0 || n > left)
        return bad_source("the blob is not that long");
    buf_add(b, whole.p + from, (size_t)n);
    return NULL;
}

/* What is meant is never guessed (RFC 9404 section 4.1). NULL, or a SetError. */
static json_t *judge_source(const json_t *source)
{
    static const char *const known[] = {"data:asText", "data:asBase64", "blobId", "offset",
                                        "length"};
    unsigned n_given = 0;
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)source;
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (i < 5 && strcmp(known[i], key) != 0)
            i++;
        if (i == 5 ||
            (is_given(value) && !(i < 3 ? json_is_string(value) : json_is_integer(value))))
            return bad_source("a source has a property that is none, or of a wrong type");
        n_given += i < 3 && is_given(value);
    }
    if (n_given != 1)
        return bad_source("each is one of data:asText, data:asBase64, blobId");
    bool has_range =
        is_given(json_object_get(source, "offset")) || is_given(json_object_get(source, "length"));
    return has_range && !is_given(json_object_get(source, "blobId"))
               ? bad_source("offset and length are for a blobId")
               : NULL;
}

static json_t *add_source(struct jmap_run *r, struct buf *b, const json_t *source)
{
    const json_t *text = json_object_get(source, "data:asText");
    const json_t *base64 = json_object_get(source, "data:asBase64");
    const char *blob = json_string_value(json_object_get(source, "blobId"));
    struct errinfo ei;
    json_t *error = judge_source(source);
    if (error)
        return error;
    if (is_given(text))
        buf_add(b, json_string_value(text), json_string_length(text));
    if (is_given(base64) &&
        !add_base64(b, slice_of(json_string_value(base64), json_string_length(base64))))
        return bad_source("no base64");
    if (!blob)
        return NULL;
    SCOPED(buf_finish) struct buf whole = buf_make(STORE_MESSAGE_MAX);
    enum err err = jmap_blob_read(r, blob, &whole, &ei);
    if (err == ERR_GONE)
        return jmap_set_error("blobNotFound", NULL, "there is no blob %.80s", blob);
    return err == ERR_OK ? add_range(b, source, buf_slice(&whole)) : jmap_set_err(err, &ei);
}

static json_t *upload_one(struct jmap_run *r, const json_t *object, json_t **ret_created)
{
    SCOPED(buf_finish) struct buf b = buf_make(JMAP_SIZE_REQUEST_MAX);
    const json_t *data = json_object_get(object, "data"), *one;
    const json_t *type = json_object_get(object, "type");
    struct errinfo ei;
    uint64_t id = 0;
    size_t i;
    if (jmap_is_late(r))
        return jmap_set_late(r);
    if (json_array_size(data) > SOURCES_MAX)
        jmap_count(REFUSE_JMAP_SHAPE, "maxDataSources", r->who);
    if (!json_is_array(data) || json_array_size(data) > SOURCES_MAX)
        return jmap_set_error("invalidProperties", "data", "a list of at most %d", SOURCES_MAX);
    if (is_given(type) && !json_is_string(type))
        return jmap_set_error("invalidProperties", "type", "a text is wanted, or null");
    json_array_foreach(data, i, one)
    {
        json_t *error = b.failed ? NULL : add_source(r, &b, one);
        if (error)
            return error;
    }
    if (b.failed)
        return jmap_set_error("tooLarge", NULL, "larger than %d bytes", JMAP_SIZE_REQUEST_MAX);
    enum err err =
        jmap_keep_upload(r->host, r->reader, r->who, b.n ? buf_slice(&b) : SLICE(""), &id, &ei);
    if (err != ERR_OK)
        return jmap_set_err(err, &ei);
    *ret_created = json_pack("{s:o, s:O?, s:I}", "id", jmap_id_json('U', id), "type",
                             json_is_string(type) ? type : NULL, "size", (json_int_t)b.n);
    return NULL;
}

void jmap_blob_upload(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId", "create", NULL};
    json_t *create = json_object_get(c->args, "create"), *one;
    const char *key;
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names))
        return;
    if (!json_is_object(create)) {
        jmap_refuse(r, c, "invalidArguments", "`create` is an object of uploads");
        return;
    }
    if (!jmap_are_few_to_set(r, c, json_object_size(create)))
        return;
    json_t *created = json_object(), *not_created = json_object();
    struct errinfo ei;
    json_object_foreach(create, key, one)
    {
        json_t *made = NULL, *error = upload_one(r, one, &made);
        json_object_set_new(error ? not_created : created, key, error ? error : made);
        if (made)
            json_object_set(r->created, key, json_object_get(made, "id"));
    }
    /* Uploads have numbers as well: a /set behind this call is not to take them for others'. */
    enum err err = account_catch_up(r->account, r->reader, &ei);
    if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    else
        jmap_answer(r, c, c->name,
                    json_pack("{s:O, s:n, s:O, s:O}", "accountId",
                              json_object_get(c->args, "accountId"), "oldState", "created",
                              jmap_or_null(created), "notCreated", jmap_or_null(not_created)));
    json_decref(created);
    json_decref(not_created);
}

/* ---- Blob/get ---- */

struct getting {
    struct jmap_run *r;
    const json_t *properties; /* NULL: data and size */
    uint64_t offset, length;
    bool has_length;
};

static bool wants(const struct getting *g, const char *name)
{
    const json_t *one;
    size_t i;
    if (!g->properties)
        return strcmp(name, "data") == 0 || strcmp(name, "size") == 0;
    json_array_foreach(g->properties, i,
                       one) if (strcmp(json_string_value(one), name) == 0) return true;
    return false;
}

static json_t *digest(struct slice s, const EVP_MD *md)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(s.p ? s.p : "", s.n, sum, &n, md, NULL) != 1)
        return json_null();
    return base64_json(slice_of((const char *)sum, n));
}

static json_t *make(struct getting *g, const char *id, struct slice whole)
{
    size_t from = g->offset < whole.n ? (size_t)g->offset : whole.n;
    size_t left = whole.n - from;
    struct slice part =
        slice_of(whole.p + from, g->has_length && g->length < left ? (size_t)g->length : left);
    bool is_text = is_utf8(part);
    json_t *o = json_pack("{s:s}", "id", id);
    g->r->n_bytes += part.n;
    if (wants(g, "size"))
        json_object_set_new(o, "size", json_integer((json_int_t)whole.n));
    if ((wants(g, "data") && is_text) || wants(g, "data:asText"))
        json_object_set_new(o, "data:asText", is_text ? jmap_text(part) : json_null());
    if ((wants(g, "data") && !is_text) || wants(g, "data:asBase64"))
        json_object_set_new(o, "data:asBase64", base64_json(part));
    if ((wants(g, "data") || wants(g, "data:asText")) && !is_text)
        json_object_set_new(o, "isEncodingProblem", json_true());
    if (g->offset > whole.n || (g->has_length && g->length > left))
        json_object_set_new(o, "isTruncated", json_true());
    if (wants(g, "digest:sha"))
        json_object_set_new(o, "digest:sha", digest(part, EVP_sha1()));
    if (wants(g, "digest:sha-256"))
        json_object_set_new(o, "digest:sha-256", digest(part, EVP_sha256()));
    return o;
}

static bool judge_get(struct getting *g, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId", "ids", "properties", "offset", "length", NULL};
    static const char *const known[] = {
        "id", "data", "data:asText", "data:asBase64", "digest:sha", "digest:sha-256", "size", NULL};
    const json_t *ids = json_object_get(c->args, "ids"), *one;
    json_t *wanted;
    size_t i;
    bool is_good = json_is_array(ids);
    if (!jmap_arg_account(g->r, c) || !jmap_arg_names(g->r, c, names) ||
        !jmap_properties(g->r, c, known, &wanted) ||
        !jmap_arg_unsigned(g->r, c, "offset", &g->offset) ||
        !jmap_arg_unsigned(g->r, c, "length", &g->length))
        return false;
    g->properties = wanted;
    g->has_length = json_is_integer(json_object_get(c->args, "length"));
    json_array_foreach(ids, i, one) is_good &= json_is_string(one);
    if (!is_good)
        jmap_refuse(g->r, c, "invalidArguments", "`ids` is a list of ids");
    return is_good && jmap_are_few_to_get(g->r, c, json_array_size(ids));
}

void jmap_blob_get(struct jmap_run *r, const struct jmap_call *c)
{
    struct getting g = {.r = r};
    const json_t *one;
    struct errinfo ei = {};
    enum err err = ERR_OK;
    size_t i;
    if (!judge_get(&g, c))
        return;
    json_t *list = json_array(), *missing = json_array(), *seen = json_object();
    json_array_foreach(json_object_get(c->args, "ids"), i, one)
    {
        const char *id = jmap_blob_id(r, json_string_value(one));
        SCOPED(buf_finish) struct buf whole = buf_make(STORE_MESSAGE_MAX);
        if (json_object_get(seen, id))
            continue;
        json_object_set_new(seen, id, json_true());
        err = jmap_is_late(r) ? jmap_late(&ei) : jmap_blob_read(r, id, &whole, &ei);
        if (err == ERR_GONE)
            json_array_append_new(missing, json_string(id));
        else if (err == ERR_OK)
            json_array_append_new(list, make(&g, id, whole.n ? buf_slice(&whole) : SLICE("")));
        if (r->n_bytes > JMAP_ANSWER_MAX)
            err = err_set(&ei, ERR_LIMIT, "the answer would be larger than this server gives");
        if (err != ERR_OK && err != ERR_GONE)
            break;
        err = ERR_OK;
    }
    if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    else
        jmap_answer(r, c, c->name,
                    json_pack("{s:O, s:O, s:O}", "accountId", json_object_get(c->args, "accountId"),
                              "list", list, "notFound", missing));
    json_decref(list);
    json_decref(missing);
    json_decref(seen);
}

/* ---- Blob/lookup: which things are made of these bytes? ---- */

static void match(struct jmap_run *r, const char *type, uint64_t message, json_t *ret)
{
    const struct account_email *e = account_email(r->account, message);
    json_t *ids = json_array();
    if (e && !e->is_gone && strcmp(type, "Email") == 0)
        json_array_append_new(ids, jmap_id_json('M', message));
    if (e && !e->is_gone && strcmp(type, "Thread") == 0)
        json_array_append_new(ids, jmap_id_json('T', e->thread));
    for (uint32_t i = 0; e && !e->is_gone && i < e->n_places; i++)
        if (strcmp(type, "Mailbox") == 0 && !e->places[i].is_gone)
            json_array_append_new(ids, jmap_id_json('B', e->places[i].mailbox));
    json_object_set_new(ret, type, ids);
}

static bool judge_lookup(struct jmap_run *r, const struct jmap_call *c, const json_t *types,
                         const json_t *ids)
{
    static const char *const names[] = {"accountId", "typeNames", "ids", NULL};
    const json_t *one;
    size_t i;
    bool is_good = json_is_array(types) && json_is_array(ids);
    if (!jmap_arg_account(r, c) || !jmap_arg_names(r, c, names))
        return false;
    json_array_foreach(ids, i, one) is_good &= json_is_string(one);
    json_array_foreach(types, i, one) is_good &= json_is_string(one);
    if (!is_good) {
        jmap_refuse(r, c, "invalidArguments", "`typeNames` and `ids` are lists of strings");
        return false;
    }
    if (!jmap_are_few_to_get(r, c, json_array_size(ids)))
        return false;
    json_array_foreach(types, i, one)
    {
        const char *type = json_string_value(one);
        bool is_known = strcmp(type, "Email") == 0 || strcmp(type, "Thread") == 0 ||
                        strcmp(type, "Mailbox") == 0;
        if (is_known && r->using & CAP_MAIL)
            continue;
        jmap_refuse(r, c, "unknownDataType", "\"%.60s\" has no blobs here", type);
        return false;
    }
    return true;
}

void jmap_blob_lookup(struct jmap_run *r, const struct jmap_call *c)
{
    const json_t *types = json_object_get(c->args, "typeNames");
    const json_t *ids = json_object_get(c->args, "ids"), *one, *type;
    size_t i, k;
    if (!judge_lookup(r, c, types, ids))
        return;
    json_t *list = json_array(), *missing = json_array();
    json_array_foreach(ids, i, one)
    {
        struct email_blob b;
        const char *id = jmap_blob_id(r, json_string_value(one));
        json_t *matched = json_object();
        /* One that is not there is answered like one that nothing is made of: whether somebody else
         * has it is not told (RFC 9404 section 4.3). */
        bool is_id = email_blob_parse(slice_str(id), &b);
        json_array_foreach(types, k, type)
            match(r, json_string_value(type), is_id && b.kind == 'M' ? b.id : 0, matched);
        if (is_id)
            json_array_append_new(list, json_pack("{s:s, s:O}", "id", id, "matchedIds", matched));
        else
            json_array_append_new(missing, json_string(id));
        json_decref(matched);
    }
    jmap_answer(r, c, c->name,
                json_pack("{s:O, s:o, s:o}", "accountId", json_object_get(c->args, "accountId"),
                          "list", list, "notFound", missing));
}

/* ---- Blob/copy (RFC 8620 section 6.3) ---- */

void jmap_blob_copy(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"fromAccountId", "accountId", "blobIds", NULL};
    const json_t *ids = json_object_get(c->args, "blobIds"), *one;
    size_t i;
    bool is_good = json_is_array(ids);
    json_array_foreach(ids, i, one) is_good &= json_is_string(one);
    if (!jmap_arg_names(r, c, names))
        return;
    if (is_good)
        jmap_refuse_copy(r, c);
    else
        jmap_refuse(r, c, "invalidArguments", "`blobIds` is a list of ids");
}
