/* Checking JSON against the rows of admin_schema.def. */
#include "admin/schema_int.h"

#include <stdio.h>

#define SCHEMA(id, name, text) static const struct schema_field fields_##id[] = {
#define FIELD(type, name, need, max, text) {#name, text, TYPE_##type, need, max, NULL, 0},
#define WORD(name, need, words, text) {#name, text, TYPE_WORD, need, 0, words, 0},
#define PART(type, name, need, max, schema, text)                                                  \
    {#name, text, TYPE_##type, need, max, NULL, SCHEMA_##schema},
#define SCHEMA_END(id)                                                                             \
    }                                                                                              \
    ;
#include "admin/admin_schema.def"
#undef SCHEMA
#undef FIELD
#undef WORD
#undef PART
#undef SCHEMA_END

static const struct schema schemas[SCHEMA_N] = {
#define SCHEMA(id, name, text)                                                                     \
    [SCHEMA_##id] = {name, text, fields_##id, sizeof(fields_##id) / sizeof(fields_##id[0])},
#define FIELD(type, name, need, max, text)
#define WORD(name, need, words, text)
#define PART(type, name, need, max, schema, text)
#define SCHEMA_END(id)
#include "admin/admin_schema.def"
#undef SCHEMA
#undef FIELD
#undef WORD
#undef PART
#undef SCHEMA_END
};

const struct schema *schema_row(enum schema_id id)
{
    must(id > SCHEMA_NONE && id < SCHEMA_N);
    return &schemas[id];
}

bool schema_is_word(const char *words, struct slice s)
{
    struct slice rest = slice_str(words);
    while (rest.n > 0)
        if (slice_eq(slice_cut(rest, '|', &rest), s))
            return true;
    return false;
}

/* ---- checking values ---- */

static struct slice string_of(const json_t *v)
{
    return slice_of(json_string_value(v), json_string_length(v));
}

static enum err check_text(const char *name, const json_t *v, uint64_t max, struct errinfo *ei)
{
    if (!json_is_string(v))
        return err_set(ei, ERR_INVALID, "\"%s\" must be a text", name);
    struct slice s = string_of(v);
    if (max && s.n > max)
        return err_set(ei, ERR_INVALID, "\"%s\" is longer than %llu bytes", name,
                       (unsigned long long)max);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return err_set(ei, ERR_INVALID, "\"%s\" has a control character in it", name);
    return ERR_OK;
}

static enum err check_texts(const struct schema_field *f, const json_t *v, struct errinfo *ei)
{
    enum { ITEM_MAX = 400 };
    if (!json_is_array(v))
        return err_set(ei, ERR_INVALID, "\"%s\" must be a list of texts", f->name);
    if (f->max && json_array_size(v) > f->max)
        return err_set(ei, ERR_INVALID, "\"%s\" has more than %llu items", f->name,
                       (unsigned long long)f->max);
    for (size_t i = 0; i < json_array_size(v); i++) {
        enum err err = check_text(f->name, json_array_get(v, i), ITEM_MAX, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err check_number(const struct schema_field *f, const json_t *v, struct errinfo *ei)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return err_set(ei, ERR_INVALID, "\"%s\" must be a whole number from 0", f->name);
    if (f->max && (uint64_t)json_integer_value(v) > f->max)
        return err_set(ei, ERR_INVALID, "\"%s\" is more than %llu", f->name,
                       (unsigned long long)f->max);
    return ERR_OK;
}

static enum err check_word(const struct schema_field *f, const json_t *v, struct errinfo *ei)
{
    if (json_is_string(v) && schema_is_word(f->words, string_of(v)))
        return ERR_OK;
    return err_set(ei, ERR_INVALID, "\"%s\" must be one of %s", f->name, f->words);
}

static enum err check_many(const struct schema_field *f, const json_t *v, struct errinfo *ei)
{
    if (!json_is_array(v))
        return err_set(ei, ERR_INVALID, "\"%s\" must be a list", f->name);
    if (f->max && json_array_size(v) > f->max)
        return err_set(ei, ERR_INVALID, "\"%s\" has more than %llu items", f->name,
                       (unsigned long long)f->max);
    for (size_t i = 0; i < json_array_size(v); i++) {
        enum err err = schema_check(f->part, json_array_get(v, i), ei);
        if (err != ERR_OK)
            return err_prefix(ei, err, "\"%s\", item %zu", f->name, i + 1);
    }
    return ERR_OK;
}

static enum err check_one(const struct schema_field *f, const json_t *v, struct errinfo *ei)
{
    enum err err = schema_check(f->part, v, ei);
    return err == ERR_OK ? ERR_OK : err_prefix(ei, err, "\"%s\"", f->name);
}

static enum err check_field(const struct schema_field *f, const json_t *v, struct errinfo *ei)
{
    switch (f->type) {
    case TYPE_TEXT:
        return check_text(f->name, v, f->max, ei);
    case TYPE_TIME:
        return check_text(f->name, v, 40, ei);
    case TYPE_NUMBER:
        return check_number(f, v, ei);
    case TYPE_TRUTH:
        return json_is_boolean(v)
                   ? ERR_OK
                   : err_set(ei, ERR_INVALID, "\"%s\" must be true or false", f->name);
    case TYPE_TEXTS:
        return check_texts(f, v, ei);
    case TYPE_WORD:
        return check_word(f, v, ei);
    case TYPE_ONE:
        return check_one(f, v, ei);
    case TYPE_MANY:
        return check_many(f, v, ei);
    }
    return ERR_INVALID;
}

static bool is_known(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (strcmp(s->fields[i].name, name) == 0)
            return true;
    return false;
}

static enum err unknown_member(const struct schema *s, const json_t *value, struct errinfo *ei)
{
    char known[200] = "";
    json_t *members = (json_t *)(uintptr_t)value; /* the library's iterator is not const */
    void *at = json_object_iter(members);
    while (at && is_known(s, json_object_iter_key(at)))
        at = json_object_iter_next(members, at);
    must(at); /* there are more members than known ones */
    size_t n = 0;
    for (size_t i = 0; i < s->n_fields && n < sizeof(known) - 40; i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
                              s->fields[i].name);
    return err_set(ei, ERR_INVALID, "\"%.40s\" is not known here; known are: %s",
                   json_object_iter_key(at), known);
}

enum err schema_check(enum schema_id id, const json_t *value, struct errinfo *ei)
{
    const struct schema *s = schema_row(id);
    if (!json_is_object(value))
        return err_set(ei, ERR_INVALID, "an object {...} was expected");
    size_t n_seen = 0;
    for (size_t i = 0; i < s->n_fields; i++) {
        const json_t *v = json_object_get(value, s->fields[i].name);
        if (!v && s->fields[i].need == MUST)
            return err_set(ei, ERR_INVALID, "\"%s\" is missing", s->fields[i].name);
        enum err err = v ? check_field(&s->fields[i], v, ei) : ERR_OK;
        if (err != ERR_OK)
            return err;
        n_seen += v != NULL;
    }
    if (n_seen == json_object_size(value))
        return ERR_OK;
    return unknown_member(s, value, ei);
}

/* ---- parsing ---- */

/* Before the library builds anything: not deeper and not more than we can use. */
static enum err look_over(struct slice body, struct errinfo *ei)
{
    size_t depth = 0, n = 0;
    bool in_string = false;
    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        n += c == ',' || c == '[' || c == '{';
        if ((c == '[' || c == '{') && ++depth > SCHEMA_DEPTH_MAX)
            return err_set(ei, ERR_INVALID, "the JSON is nested deeper than %d", SCHEMA_DEPTH_MAX);
        if ((c == ']' || c == '}') && depth > 0)
            depth--;
        if (n > SCHEMA_VALUES_MAX)
            return err_set(ei, ERR_INVALID, "the JSON has more than %d values", SCHEMA_VALUES_MAX);
    }
    return ERR_OK;
}

enum err schema_read(enum schema_id id, struct slice body, json_t **ret, struct errinfo *ei)
{
    if (slice_trim(body).n == 0)
        return err_set(ei, ERR_INVALID, "a JSON object was expected, but the body is empty");
    enum err err = look_over(body, ei);
    if (err != ERR_OK)
        return err;
    json_error_t why;
    json_t *value = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &why);
    if (!value)
        return err_set(ei, ERR_INVALID, "not JSON: %s (line %d, column %d)", why.text, why.line,
                       why.column);
    err = schema_check(id, value, ei);
    if (err != ERR_OK) {
        json_decref(value);
        return err;
    }
    *ret = value;
    return ERR_OK;
}

/* ---- members of a checked body ---- */

bool body_has(const json_t *body, const char *name)
{
    return json_object_get(body, name) != NULL;
}

struct slice body_text(const json_t *body, const char *name)
{
    const json_t *v = json_object_get(body, name);
    return v ? string_of(v) : SLICE("");
}

uint64_t body_number(const json_t *body, const char *name, uint64_t if_absent)
{
    const json_t *v = json_object_get(body, name);
    return v ? (uint64_t)json_integer_value(v) : if_absent;
}

bool body_truth(const json_t *body, const char *name, bool if_absent)
{
    const json_t *v = json_object_get(body, name);
    return v ? json_is_true(v) : if_absent;
}

const json_t *body_list(const json_t *body, const char *name, size_t *ret_n)
{
    const json_t *v = json_object_get(body, name);
    *ret_n = json_array_size(v);
    return v;
}

struct slice body_item(const json_t *list, size_t i)
{
    return string_of(json_array_get(list, i));
}
