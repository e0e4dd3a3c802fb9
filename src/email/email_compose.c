/* Email/set's create as a message: the properties of the Email itself, and what must stand in every
 * message. RFC 8621 section 4.6. */
#include "email/compose_int.h"

#include <stdio.h>

bool compose_bad(struct compose *c, struct slice property, const char *format, ...)
{
    struct email_fault *fault = c->fault;
    if (fault->kind != EMAIL_INVALID_PROPERTIES) {
        va_list args;
        va_start(args, format);
        int n = snprintf(fault->description, sizeof(fault->description),
                         "%.*s: ", (int)(property.n > 80 ? 80 : property.n), property.p);
        vsnprintf(fault->description + n, sizeof(fault->description) - (size_t)n, format, args);
        va_end(args);
    }
    fault->kind = EMAIL_INVALID_PROPERTIES; /* before blobs that are not there */
    for (size_t i = 0; i < fault->n_properties; i++)
        if (slice_eq(fault->properties[i], property))
            return false;
    if (fault->n_properties < EMAIL_FAULTS_MAX)
        fault->properties[fault->n_properties++] = arena_copy(c->a, property);
    return false;
}

json_t *email_fault_json(const struct email_fault *fault)
{
    static const char *const TYPES[] = {"", "invalidProperties", "blobNotFound", "tooLarge"};
    json_t *v = json_object(), *list = json_array();
    must(fault->kind != EMAIL_FINE);
    json_object_set_new(v, "type", json_string(TYPES[fault->kind]));
    for (size_t i = 0; i < fault->n_properties; i++)
        json_array_append_new(list, json_stringn(fault->properties[i].p, fault->properties[i].n));
    for (size_t i = 0; i < fault->n_not_found && fault->kind == EMAIL_BLOB_NOT_FOUND; i++)
        json_array_append_new(list, json_stringn(fault->not_found[i].p, fault->not_found[i].n));
    if (fault->kind == EMAIL_INVALID_PROPERTIES)
        json_object_set_new(v, "properties", list);
    else if (fault->kind == EMAIL_BLOB_NOT_FOUND)
        json_object_set_new(v, "notFound", list);
    else
        json_decref(list);
    if (fault->description[0])
        json_object_set_new(v, "description", json_string(fault->description));
    return v;
}

/* ---- properties of the Email ------------------------------------------------------------- */

static bool is_one_of(struct slice s, const char *const *names)
{
    for (; *names; names++)
        if (slice_eq(s, slice_str(*names)))
            return true;
    return false;
}

static void take_header(struct compose *c, const struct email_property *p, const json_t *v)
{
    if (slice_istarts(p->header, SLICE("Content-"))) {
        (void)compose_bad(c, p->text, "fields of the body are set on body parts only");
        return;
    }
    if (slice_ieq(p->header, SLICE("MIME-Version"))) {
        (void)compose_bad(c, p->text, "this field is written by the server");
        return;
    }
    bool is_id = slice_ieq(p->header, SLICE("Message-ID")) && p->form == EMAIL_MESSAGE_IDS;
    if (is_id && !p->is_all && json_array_size(v) > 1) {
        (void)compose_bad(c, p->text, "a message has one Message-ID");
        return;
    }
    bool is_empty = json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0);
    if (is_empty || compose_field_note(c, c->seen, p->header, p->text))
        (void)compose_field(c, p, v, p->text, c->out); /* the fault has it */
}

static void take_property(struct compose *c, struct slice key, const json_t *v)
{
    static const char *const OF_CALLER[] = {"mailboxIds", "keywords", "receivedAt", NULL};
    static const char *const OF_BODY[] = {"bodyStructure", "bodyValues",  "textBody",
                                          "htmlBody",      "attachments", NULL};
    struct email_property p;
    if (is_one_of(key, OF_CALLER) || is_one_of(key, OF_BODY))
        return;
    if (!email_property_parse(key, false, &p))
        (void)compose_bad(c, key, "there is no such property, or no such form of this field");
    else if (p.field == EMAIL_HEADERS)
        (void)compose_bad(c, key, "header fields are set one by one, as header:NAME");
    else if (p.field != EMAIL_HEADER)
        (void)compose_bad(c, key, "this is the server's to say");
    else
        take_header(c, &p, v);
}

static void take_properties(struct compose *c)
{
    json_t *create = (json_t *)(uintptr_t)c->create; /* it is only read */
    for (void *it = json_object_iter(create); it; it = json_object_iter_next(create, it))
        take_property(c, slice_str(json_object_iter_key(it)), json_object_iter_value(it));
}

/* Message-ID (RFC 5322 section 3.6.4) and Date (section 3.6.1), if the client left them out. */
static void add_missing(struct compose *c)
{
    char unique[32];
    base32_text(c->o->random, 15, unique);
    if (!map_get(c->seen, SLICE("message-id")))
        buf_addf(c->out, "Message-ID: <%.24s@" SLICE_FMT ">\r\n", unique, SLICE_ARG(c->o->domain));
    if (!map_get(c->seen, SLICE("date")))
        buf_addf(c->out, "Date: %s\r\n", utc_rfc5322(c->o->now).s);
}

/* ---- body -------------------------------------------------------------------------------- */

static bool is_given(const struct compose *c, const char *key)
{
    const json_t *v = json_object_get(c->create, key);
    return v && !json_is_null(v);
}

static struct compose_part *read_body(struct compose *c)
{
    static const char *const LISTS[] = {"textBody", "htmlBody", "attachments"};
    if (!compose_values_check(c))
        return NULL;
    if (!is_given(c, "bodyStructure"))
        return compose_lists(c);
    for (size_t i = 0; i < 3; i++)
        if (is_given(c, LISTS[i]))
            (void)compose_bad(c, slice_str(LISTS[i]), "excludes bodyStructure");
    return compose_structure(c, json_object_get(c->create, "bodyStructure"));
}

static void write_message(struct compose *c)
{
    take_properties(c);
    struct compose_part *top = read_body(c);
    if (c->fault->kind != EMAIL_FINE)
        return;
    must(top);
    add_missing(c);
    compose_stem_make(c, top);
    compose_part_write(c, top, true);
    if (!c->out->failed)
        return;
    c->fault->kind = EMAIL_TOO_LARGE;
    snprintf(c->fault->description, sizeof(c->fault->description),
             "the message would be over %zu bytes", c->out->max);
}

bool email_compose(const json_t *create, const struct email_compose_options *o, struct arena *a,
                   struct buf *ret, struct email_composed *ret_told, struct email_fault *fault)
{
    SCOPED(map_destroy) struct map *seen = map_create();
    struct compose c = {.create = create,
                        .o = o,
                        .a = a,
                        .out = ret,
                        .told = ret_told,
                        .fault = fault,
                        .seen = seen};
    *fault = (struct email_fault){.kind = EMAIL_FINE};
    *ret_told = (struct email_composed){0};
    write_message(&c);
    return fault->kind == EMAIL_FINE;
}

/* ---- blobs that are mentioned ------------------------------------------------------------ */

struct mentions {
    struct arena *a;
    struct slice *v;
    size_t n;
};

static void collect(struct mentions *m, const json_t *part, unsigned depth)
{
    struct slice id = email_json_text(json_object_get(part, "blobId"));
    const json_t *subs = json_object_get(part, "subParts");
    bool is_new = id.n > 0 && id.n <= 255 && m->n < EMAIL_BLOBS_MAX;
    for (size_t i = 0; i < m->n && is_new; i++)
        is_new = !slice_eq(m->v[i], id);
    if (is_new)
        m->v[m->n++] = arena_copy(m->a, id);
    for (size_t i = 0; i < json_array_size(subs) && depth < COMPOSE_DEPTH_MAX; i++)
        collect(m, json_array_get(subs, i), depth + 1);
}

size_t email_compose_blobs(const json_t *create, struct arena *a, struct slice ret[EMAIL_BLOBS_MAX])
{
    static const char *const LISTS[] = {"textBody", "htmlBody", "attachments"};
    struct mentions m = {a, ret, 0};
    collect(&m, json_object_get(create, "bodyStructure"), 0);
    for (size_t i = 0; i < 3; i++) {
        const json_t *list = json_object_get(create, LISTS[i]);
        for (size_t k = 0; k < json_array_size(list); k++)
            collect(&m, json_array_get(list, k), 0);
    }
    return m.n;
}
