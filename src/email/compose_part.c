/* The parts that a person's JSON describes: what is allowed (RFC 8621 section 4.6), and how
 * textBody, htmlBody and attachments become one structure. */
#include "email/compose_int.h"

enum {
    FIELDS_BYTES_MAX = 256 * 1024, /* of all parts */
    NAME_BYTES_MAX = 1000,
    TOKEN_MAX = 120,
    /* Those that are given as such, and of each part those that properties of its own become. */
    NOTED_MAX = EMAIL_HEADER_FIELDS_MAX + 5 * EMAIL_PARTS_MAX,
};

struct reading {
    struct compose *c;
    struct compose_part *part;
    struct slice property; /* of the Email: what faults name */
    struct map *seen;      /* its header fields */
    struct buf fields;
    struct slice part_id, blob_id, charset;
    const json_t *subs;
    bool has_size, has_type, has_charset, is_good;
    unsigned depth;
};

static struct compose_part *read_part(struct compose *c, const json_t *v, struct slice property,
                                      struct map *seen, unsigned depth);

static bool wrong(struct reading *r, const char *key, const char *why)
{
    r->is_good = false;
    return compose_bad(r->c, r->property, "%s: %s", key, why);
}

/* ---- names ------------------------------------------------------------------------------- */

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 127 || strchr("()<>@,;:\\\"/[]?=", s.p[i]))
            return false;
    return s.n > 0 && s.n <= TOKEN_MAX;
}

static struct slice lower(struct compose *c, struct slice s)
{
    char *copy = arena_new(c->a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        copy[i] = ascii_lower(s.p[i]);
    return slice_of(copy, s.n);
}

bool compose_field_note(struct compose *c, struct map *seen, struct slice name,
                        struct slice property)
{
    if (++c->n_noted > NOTED_MAX)
        return compose_bad(c, property, "too many header fields");
    struct slice key = lower(c, name);
    struct slice *kept = arena_new(c->a, sizeof(*kept));
    *kept = property;
    struct slice *before = map_put(seen, key, kept);
    if (!before)
        return true;
    (void)compose_bad(c, *before, "the header field " SLICE_FMT " is given more than once",
                      SLICE_ARG(name));
    return compose_bad(c, property, "the header field " SLICE_FMT " is given more than once",
                       SLICE_ARG(name));
}

/* ---- properties of a part ---------------------------------------------------------------- */

static void take_text(struct reading *r, const char *key, const json_t *v, struct slice *ret,
                      size_t max)
{
    struct slice s = email_json_text(v);
    if (!s.p || !is_plain_text(s) || s.n > max)
        (void)wrong(r, key, "must be a string without line ends, and not too long");
    else
        *ret = s;
}

static void take_type(struct reading *r, const json_t *v)
{
    struct slice s = SLICE(""), sub;
    take_text(r, "type", v, &s, 2 * TOKEN_MAX);
    struct slice type = slice_cut(s, '/', &sub);
    if (is_token(type) && is_token(sub))
        r->part->type = lower(r->c, s);
    else
        (void)wrong(r, "type", "must be a media type like text/plain");
}

static void take_cid(struct reading *r, const json_t *v)
{
    struct slice s = SLICE("");
    take_text(r, "cid", v, &s, WORD_MAX);
    for (size_t i = 0; i < s.n; i++)
        if (email_is_blank(s.p[i]) || s.p[i] == '<' || s.p[i] == '>') {
            (void)wrong(r, "cid", "holds a blank or an angle bracket");
            return;
        }
    r->part->cid = s;
}

static void take_languages(struct reading *r, const json_t *v)
{
    SCOPED(buf_finish) struct buf b = buf_make(LINE_USUAL * 8);
    if (!json_is_array(v)) {
        (void)wrong(r, "language", "must be a list of language tags");
        return;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        struct slice tag = email_json_text(json_array_get(v, i));
        if (!tag.p || !is_token(tag)) {
            (void)wrong(r, "language", "must be a list of language tags");
            return;
        }
        buf_addf(&b, i ? ", " : "");
        buf_adds(&b, tag);
    }
    if (b.failed)
        (void)wrong(r, "language", "has too many tags");
    else
        r->part->languages = arena_copy(r->c->a, buf_slice(&b));
}

static void take_location(struct reading *r, const json_t *v)
{
    struct slice s = SLICE("");
    take_text(r, "location", v, &s, WORD_MAX);
    for (size_t i = 0; i < s.n; i++)
        if (email_is_blank(s.p[i]) || (unsigned char)s.p[i] >= 128) {
            (void)wrong(r, "location", "must be a URI without blanks, in ASCII");
            return;
        }
    r->part->location = s;
}

static void take_disposition(struct reading *r, const json_t *v)
{
    struct slice s = SLICE("");
    take_text(r, "disposition", v, &s, TOKEN_MAX);
    if (is_token(s))
        r->part->disposition = lower(r->c, s);
    else
        (void)wrong(r, "disposition", "must be a word like attachment or inline");
}

/* A Content-Type that is given as a field decides what the part is. */
static void take_own_type(struct reading *r, struct slice value)
{
    struct mime_params params;
    mime_params_parse(value, r->c->a, &params);
    struct slice sub, type = slice_cut(params.value, '/', &sub);
    if (!is_token(type) || !is_token(sub) || slice_ieq(type, SLICE("multipart"))) {
        (void)wrong(r, "header:Content-Type", "must be a media type, and none of a multipart");
        return;
    }
    r->part->type = lower(r->c, params.value);
    r->part->has_own_type = true;
    struct slice charset = mime_params_get(&params, SLICE("charset"));
    r->part->charset = charset;
}

static void take_header(struct reading *r, struct slice key, const json_t *v)
{
    struct email_property p;
    if (!email_property_parse(key, true, &p) || p.field != EMAIL_HEADER) {
        (void)wrong(r, "header", "no such property of a body part can be set");
        return;
    }
    if (slice_ieq(p.header, SLICE("Content-Transfer-Encoding")) ||
        slice_ieq(p.header, SLICE("MIME-Version"))) {
        (void)wrong(r, "header", "how a part is encoded is not the client's to say");
        return;
    }
    size_t before = r->fields.n;
    if (!compose_field_note(r->c, r->seen, p.header, r->property)) {
        r->is_good = false;
        return;
    }
    r->is_good = compose_field(r->c, &p, v, r->property, &r->fields) && r->is_good;
    if (r->fields.n == before || r->fields.failed)
        return;
    struct slice value;
    (void)slice_cut(slice_of(r->fields.p + before, r->fields.n - before), ':', &value);
    if (slice_ieq(p.header, SLICE("Content-Type")))
        take_own_type(r, arena_copy(r->c->a, slice_trim(value)));
    if (slice_ieq(p.header, SLICE("Content-Disposition")))
        r->part->has_own_disposition = true;
}

static void take_property(struct reading *r, const char *key, const json_t *v)
{
    struct slice k = slice_str(key);
    if (json_is_null(v))
        return;
    r->has_size = r->has_size || slice_eq(k, SLICE("size"));
    r->has_type = r->has_type || slice_eq(k, SLICE("type"));
    r->has_charset = r->has_charset || slice_eq(k, SLICE("charset"));
    if (slice_eq(k, SLICE("partId")))
        take_text(r, key, v, &r->part_id, 255);
    else if (slice_eq(k, SLICE("blobId")))
        take_text(r, key, v, &r->blob_id, 255);
    else if (slice_eq(k, SLICE("name")))
        take_text(r, key, v, &r->part->name, NAME_BYTES_MAX);
    else if (slice_eq(k, SLICE("type")))
        take_type(r, v);
    else if (slice_eq(k, SLICE("charset")))
        take_text(r, key, v, &r->charset, TOKEN_MAX);
    else if (slice_eq(k, SLICE("disposition")))
        take_disposition(r, v);
    else if (slice_eq(k, SLICE("cid")))
        take_cid(r, v);
    else if (slice_eq(k, SLICE("language")))
        take_languages(r, v);
    else if (slice_eq(k, SLICE("location")))
        take_location(r, v);
    else if (slice_eq(k, SLICE("subParts")))
        r->subs = v;
    else if (!slice_eq(k, SLICE("size")))
        take_header(r, k, v);
}

/* What is said by a property may not be said by a field too. */
static void note_properties(struct reading *r)
{
    const struct compose_part *p = r->part;
    const struct {
        bool is_given;
        struct slice field;
    } NOTES[] = {
        {r->has_type || r->has_charset || (p->has_own_type && p->name.n && !p->disposition.n),
         SLICE("Content-Type")},
        {p->disposition.n || p->name.n, SLICE("Content-Disposition")},
        {p->cid.n, SLICE("Content-ID")},
        {p->languages.n, SLICE("Content-Language")},
        {p->location.n, SLICE("Content-Location")},
    };
    for (size_t i = 0; i < sizeof(NOTES) / sizeof(NOTES[0]); i++)
        if (NOTES[i].is_given)
            r->is_good =
                compose_field_note(r->c, r->seen, NOTES[i].field, r->property) && r->is_good;
}

/* ---- content ----------------------------------------------------------------------------- */

static void take_value(struct reading *r)
{
    const json_t *value =
        json_object_getn(r->c->values, r->part_id.p, r->part_id.n); /* NULL without values */
    struct slice type = r->part->type, text = email_json_text(json_object_get(value, "value"));
    r->part->is_value = true;
    if (!text.p) {
        (void)wrong(r, "partId", "there is no such text in bodyValues");
        return;
    }
    r->part->bytes = text;
    if (r->has_charset)
        (void)wrong(r, "charset", "must be left out where partId is given");
    if (r->part->has_own_type && r->part->charset.n && !slice_ieq(r->part->charset, SLICE("utf-8")))
        (void)wrong(r, "header:Content-Type", "texts of bodyValues are written in utf-8");
    if (r->has_size)
        (void)wrong(r, "size", "must be left out where partId is given");
    if (type.n && !slice_starts(type, SLICE("text/")))
        (void)wrong(r, "type", "what is in bodyValues must be text");
}

static void take_blob(struct reading *r)
{
    struct email_fault *fault = r->c->fault;
    if (r->c->o->blob && r->c->o->blob(r->c->o->arg, r->blob_id, &r->part->bytes))
        return;
    r->is_good = false;
    if (fault->kind == EMAIL_FINE)
        fault->kind = EMAIL_BLOB_NOT_FOUND;
    for (size_t i = 0; i < fault->n_not_found; i++)
        if (slice_eq(fault->not_found[i], r->blob_id))
            return;
    if (fault->n_not_found < EMAIL_BLOBS_MAX)
        fault->not_found[fault->n_not_found++] = arena_copy(r->c->a, r->blob_id);
}

static void take_subs(struct reading *r)
{
    struct compose_part **end = &r->part->sub;
    if (r->part_id.p || r->blob_id.p || r->part->has_own_type || !json_is_array(r->subs) ||
        json_array_size(r->subs) == 0) {
        (void)wrong(r, "subParts", "must be a list of parts, and nothing else be in the part");
        return;
    }
    if (r->part->type.n == 0)
        r->part->type = SLICE("multipart/mixed");
    if (r->depth + 1 >= COMPOSE_DEPTH_MAX) {
        (void)wrong(r, "subParts", "parts in parts in parts: too deep");
        return;
    }
    r->part->number = r->c->n_multiparts++;
    for (size_t i = 0; i < json_array_size(r->subs); i++) {
        SCOPED(map_destroy) struct map *seen = map_create();
        struct compose_part *sub =
            read_part(r->c, json_array_get(r->subs, i), r->property, seen, r->depth + 1);
        r->is_good = sub && r->is_good;
        *end = sub;
        if (sub) /* else the others are looked at for what is wrong with them too */
            end = &sub->next;
    }
}

static void take_content(struct reading *r)
{
    bool is_multipart = slice_starts(r->part->type, SLICE("multipart/"));
    if (r->subs && r->part->type.n && !is_multipart)
        (void)wrong(r, "subParts", "only a multipart has parts");
    else if (r->subs || is_multipart)
        take_subs(r);
    else if (r->part_id.p && r->blob_id.p)
        (void)wrong(r, "partId", "partId and blobId exclude each other");
    else if (r->part_id.p)
        take_value(r);
    else if (r->blob_id.p)
        take_blob(r);
    else
        (void)wrong(r, "partId", "neither partId nor blobId is given");
}

static void read_all(struct reading *r, const json_t *v)
{
    const char *key;
    const json_t *value;
    void *it = json_object_iter((json_t *)(uintptr_t)v); /* it is only read */
    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
        key = json_object_iter_key(it);
        value = json_object_iter_value(it);
        take_property(r, key, value);
    }
    if (!r->part->has_own_type)
        r->part->charset = r->charset;
    note_properties(r);
    r->c->n_field_bytes += r->fields.n;
    take_content(r);
    if (r->part->type.n == 0)
        r->part->type = r->part_id.p ? SLICE("text/plain") : SLICE("application/octet-stream");
    if (r->fields.failed)
        (void)wrong(r, "header", "too much of it");
    r->part->fields = arena_copy(r->c->a, buf_slice(&r->fields));
}

/* NULL: it is wrong, the fault says why. */
static struct compose_part *read_part(struct compose *c, const json_t *v, struct slice property,
                                      struct map *seen, unsigned depth)
{
    struct reading r = {
        .c = c, .property = property, .seen = seen, .is_good = true, .depth = depth};
    if (!json_is_object(v)) {
        (void)compose_bad(c, property, "must hold EmailBodyPart objects");
        return NULL;
    }
    if (++c->n_parts > EMAIL_PARTS_MAX) {
        (void)compose_bad(c, property, "too many parts, at most %d", EMAIL_PARTS_MAX);
        return NULL;
    }
    r.part = ARENA_NEW(c->a, struct compose_part);
    r.part->property = arena_cstr(c->a, property);
    r.fields =
        buf_make(c->n_field_bytes < FIELDS_BYTES_MAX ? FIELDS_BYTES_MAX - c->n_field_bytes : 1);
    read_all(&r, v);
    buf_finish(&r.fields);
    return r.is_good ? r.part : NULL;
}

struct compose_part *compose_structure(struct compose *c, const json_t *part)
{
    return read_part(c, part, SLICE("bodyStructure"), c->seen, 0);
}

/* ---- textBody, htmlBody, attachments ------------------------------------------------------ */

/* The one part of textBody or htmlBody; NULL if there is none, or it is wrong. */
static struct compose_part *read_body(struct compose *c, const char *key, struct slice type)
{
    const json_t *list = json_object_get(c->create, key);
    struct slice property = slice_str(key);
    if (!list || json_is_null(list))
        return NULL;
    if (!json_is_array(list) || json_array_size(list) != 1) {
        (void)compose_bad(c, property, "must be a list with exactly one part");
        return NULL;
    }
    SCOPED(map_destroy) struct map *seen = map_create();
    const json_t *v = json_array_get(list, 0);
    const json_t *given = json_object_get(v, "type");
    bool is_typed = json_object_get(v, "header:Content-Type") || (given && !json_is_null(given));
    struct compose_part *part = read_part(c, v, property, seen, 1);
    if (part && !is_typed)
        part->type = type;
    if (part && !slice_eq(part->type, type)) {
        (void)compose_bad(c, property, "its part must be of type " SLICE_FMT, SLICE_ARG(type));
        return NULL;
    }
    return part;
}

static struct compose_part *multipart(struct compose *c, const char *type, struct compose_part *sub)
{
    struct compose_part *part = ARENA_NEW(c->a, struct compose_part);
    part->type = slice_str(type);
    part->sub = sub;
    part->number = c->n_multiparts++;
    return part;
}

/* Pictures that the HTML shows go beside it, all others behind everything. */
static void read_attachments(struct compose *c, bool has_html, struct compose_part **beside,
                             struct compose_part **behind)
{
    const json_t *list = json_object_get(c->create, "attachments");
    if (!list || json_is_null(list))
        return;
    if (!json_is_array(list)) {
        (void)compose_bad(c, SLICE("attachments"), "must be a list of parts");
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        SCOPED(map_destroy) struct map *seen = map_create();
        struct compose_part *part =
            read_part(c, json_array_get(list, i), SLICE("attachments"), seen, 1);
        if (!part)
            continue;
        if (part->sub)
            (void)compose_bad(c, SLICE("attachments"), "an attachment has no subParts");
        bool is_beside =
            has_html && part->cid.n && !slice_eq(part->disposition, SLICE("attachment"));
        if (!is_beside && part->disposition.n == 0 && !part->has_own_disposition)
            part->disposition = SLICE("attachment"); /* or it could be shown as a body */
        struct compose_part ***end = is_beside ? &beside : &behind;
        **end = part;
        *end = &part->next;
    }
}

struct compose_part *compose_lists(struct compose *c)
{
    struct compose_part *text = read_body(c, "textBody", SLICE("text/plain"));
    struct compose_part *html = read_body(c, "htmlBody", SLICE("text/html"));
    struct compose_part *beside = NULL, *behind = NULL, *body;
    read_attachments(c, html != NULL, &beside, &behind);
    if (c->fault->kind != EMAIL_FINE)
        return NULL;
    if (html && beside) {
        html->next = beside;
        html = multipart(c, "multipart/related", html);
    }
    body = text ? text : html;
    if (text && html) {
        text->next = html;
        body = multipart(c, "multipart/alternative", text);
    }
    if (!body && !behind) {
        body = ARENA_NEW(c->a, struct compose_part);
        *body = (struct compose_part){
            .type = SLICE("text/plain"), .is_value = true, .bytes = SLICE("")};
    }
    if (!behind)
        return body;
    if (body)
        body->next = behind;
    return multipart(c, "multipart/mixed", body ? body : behind);
}

/* ---- bodyValues -------------------------------------------------------------------------- */

bool compose_values_check(struct compose *c)
{
    const json_t *values = json_object_get(c->create, "bodyValues"), *v, *flag;
    static const char *const FLAGS[] = {"isEncodingProblem", "isTruncated"};
    if (!values || json_is_null(values))
        return true;
    if (!json_is_object(values))
        return compose_bad(c, SLICE("bodyValues"), "must be an object");
    c->values = values;
    void *it = json_object_iter((json_t *)(uintptr_t)values); /* it is only read */
    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)values, it)) {
        v = json_object_iter_value(it);
        if (!json_is_string(json_object_get(v, "value")))
            return compose_bad(c, SLICE("bodyValues"), "each must have a value that is a string");
        for (size_t i = 0; i < 2; i++) {
            flag = json_object_get(v, FLAGS[i]);
            if (flag && !json_is_null(flag) && !json_is_false(flag))
                return compose_bad(c, SLICE("bodyValues"), "%s must be false or left out",
                                   FLAGS[i]);
        }
    }
    return true;
}
