/* Words and values of answers, and the counting of those that say "too much". */
#include "jmap/jmap_int.h"

#include <stdio.h>

/* ---- no limit is silent ---- */

/* Whoever says one of these refuses by a limit: none of them leaves uncounted. Not among them:
 * rateLimit, which core judged and counted, and what the mail program's own numbers ask for. */
static const struct {
    const char *type;
    enum refuse_id id;
} limit_types[] = {
    {"requestTooLarge", REFUSE_JMAP_LIMIT},  {"serverUnavailable", REFUSE_JMAP_BUSY},
    {"tooLarge", REFUSE_JMAP_SIZE},          {"overQuota", REFUSE_JMAP_QUOTA},
    {"tooManyMailboxes", REFUSE_JMAP_MANY},  {"tooManyKeywords", REFUSE_JMAP_MANY},
    {"tooManyRecipients", REFUSE_JMAP_MANY},
};

static void count_type(const char *type, struct slice who)
{
    for (size_t i = 0; i < sizeof(limit_types) / sizeof(limit_types[0]); i++)
        if (strcmp(limit_types[i].type, type) == 0)
            (void)refuse(limit_types[i].id, who);
}

void jmap_count(enum refuse_id id, const char *what, const struct jmap_caller *who)
{
    SCOPED(buf_finish) struct buf example = buf_make(1000);
    buf_addf(&example, "%.40s " SLICE_FMT, what,
             SLICE_ARG(who->n_addresses ? who->addresses[0] : who->name));
    (void)refuse(id, buf_slice(&example));
}

/* ---- answers ---- */

void jmap_answer(struct jmap_run *r, const struct jmap_call *c, const char *name, json_t *args)
{
    json_array_append_new(r->answers, json_pack("[s, o, s]", name, args, c->id));
}

static void __attribute__((format(printf, 4, 0)))
say_error(struct jmap_run *r, const struct jmap_call *c, const char *type, const char *description,
          va_list values)
{
    char text[300] = "";
    if (description)
        vsnprintf(text, sizeof(text), description, values);
    json_t *o = json_pack("{s:s}", "type", type);
    if (text[0])
        json_object_set_new(o, "description", jmap_text(slice_str(text)));
    jmap_answer(r, c, "error", o);
}

void jmap_refuse(struct jmap_run *r, const struct jmap_call *c, const char *type,
                 const char *description, ...)
{
    va_list values;
    count_type(type, slice_str(c->name));
    va_start(values, description);
    say_error(r, c, type, description, values);
    va_end(values);
}

void jmap_refuse_limit(struct jmap_run *r, const struct jmap_call *c, enum refuse_id id,
                       const char *type, const char *description, ...)
{
    va_list values;
    jmap_count(id, c->name, r->who);
    va_start(values, description);
    say_error(r, c, type, description, values);
    va_end(values);
}

bool jmap_are_few_to_get(struct jmap_run *r, const struct jmap_call *c, size_t n)
{
    if (n > JMAP_OBJECTS_GET_MAX)
        jmap_refuse_limit(r, c, REFUSE_JMAP_LIMIT, "requestTooLarge",
                          "at most %d at once (maxObjectsInGet)", JMAP_OBJECTS_GET_MAX);
    return n <= JMAP_OBJECTS_GET_MAX;
}

bool jmap_are_few_to_set(struct jmap_run *r, const struct jmap_call *c, size_t n)
{
    if (n > JMAP_OBJECTS_SET_MAX)
        jmap_refuse_limit(r, c, REFUSE_JMAP_LIMIT, "requestTooLarge",
                          "at most %d at once (maxObjectsInSet)", JMAP_OBJECTS_SET_MAX);
    return n <= JMAP_OBJECTS_SET_MAX;
}

/* Errors of the world, as RFC 8620 3.6.2 names them. */
static const char *type_of(enum err err)
{
    switch (err) {
    case ERR_RETRY:
    case ERR_CANCELED:
    case ERR_FULL:
    case ERR_CONFLICT:
        return "serverUnavailable";
    case ERR_LIMIT:
        return "requestTooLarge";
    case ERR_DENIED:
        return "forbidden";
    case ERR_INVALID:
        return "invalidArguments";
    case ERR_OK:
    case ERR_GONE:
    case ERR_EXISTS:
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_N:
        break;
    }
    return "serverFail";
}

void jmap_refuse_err(struct jmap_run *r, const struct jmap_call *c, enum err err,
                     const struct errinfo *ei)
{
    if (err == ERR_LIMIT)
        jmap_refuse_limit(r, c, REFUSE_JMAP_SIZE, type_of(err), "%s", ei->text);
    else if (err == ERR_RETRY && mono_now() > r->until)
        jmap_refuse_limit(r, c, REFUSE_JMAP_TIME, type_of(err), "%s", ei->text);
    else
        jmap_refuse(r, c, type_of(err), "%s", ei->text);
}

json_t *jmap_set_error(const char *type, const char *property, const char *description, ...)
{
    char text[300];
    va_list values;
    va_start(values, description);
    vsnprintf(text, sizeof(text), description, values);
    va_end(values);
    count_type(type, slice_str(text));
    json_t *o = json_pack("{s:s, s:o}", "type", type, "description", jmap_text(slice_str(text)));
    if (property)
        json_object_set_new(o, "properties", json_pack("[s]", property));
    return o;
}

json_t *jmap_set_err(enum err err, const struct errinfo *ei)
{
    const char *type = err == ERR_DENIED  ? "forbidden"
                       : err == ERR_LIMIT ? "tooLarge"
                                          : "serverFail";
    if (err == ERR_RETRY) /* no SetError says "later" */
        (void)refuse(REFUSE_JMAP_BUSY, slice_str(ei->text));
    return jmap_set_error(type, NULL, "%s", ei->text);
}

json_t *jmap_set_late(const struct jmap_run *r)
{
    jmap_count(REFUSE_JMAP_TIME, "set", r->who);
    return jmap_set_error("rateLimit", NULL, "this call takes too long; set fewer things at once");
}

json_t *jmap_or_null(json_t *value)
{
    size_t n = json_is_array(value) ? json_array_size(value) : json_object_size(value);
    return n ? value : json_null();
}

json_t *jmap_text(struct slice s)
{
    json_t *text = json_stringn(s.p ? s.p : "", s.n);
    if (text)
        return text;
    SCOPED(buf_finish) struct buf b = buf_make(s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        buf_addc(&b, (unsigned char)s.p[i] < 0x80 ? s.p[i] : '?');
    return json_stringn(b.p, b.n);
}

json_t *jmap_utc(utc_ms t)
{
    struct utc_text text = utc_rfc3339(t);
    struct slice rest, seconds = slice_cut(slice_str(text.s), '.', &rest);
    return json_sprintf(SLICE_FMT "Z", SLICE_ARG(seconds));
}

json_t *jmap_state(uint64_t state)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)state);
    return json_string(text);
}

json_t *jmap_state_told(struct account_told told)
{
    if (told.id == UINT64_MAX)
        return jmap_state(told.modseq);
    return json_sprintf("%llu.%llu", (unsigned long long)told.modseq, (unsigned long long)told.id);
}

/* ---- I-JSON (RFC 7493 section 2.1): no text has code points that are no characters ---- */

/* Bytes of the one that begins here: U+FDD0 to U+FDEF, and the last two of each plane; 0: none. */
static size_t no_character(const char *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    if (n >= 3 && b[0] == 0xef &&
        ((b[1] == 0xb7 && b[2] >= 0x90 && b[2] <= 0xaf) || (b[1] == 0xbf && b[2] >= 0xbe)))
        return 3;
    if (n >= 4 && b[0] >= 0xf0 && (b[1] & 0x0f) == 0x0f && b[2] == 0xbf && b[3] >= 0xbe)
        return 4;
    return 0;
}

static bool is_clean(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0xef && no_character(text + i, n - i))
            return false;
    return true;
}

bool jmap_is_ijson(const json_t *value)
{
    const char *key;
    json_t *one, *o = (json_t *)(uintptr_t)value;
    size_t i;
    if (json_is_string(value))
        return is_clean(json_string_value(value), json_string_length(value));
    json_array_foreach(value, i, one) if (!jmap_is_ijson(one)) return false;
    json_object_foreach(o, key,
                        one) if (!is_clean(key, strlen(key)) || !jmap_is_ijson(one)) return false;
    return true;
}

/* Strangers' mail may have them. The library never cuts a character in two. */
static int write_piece(const char *text, size_t n, void *out)
{
    struct buf *b = out;
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bad = (unsigned char)text[i] >= 0xef ? no_character(text + i, n - i) : 0;
        if (!bad)
            continue;
        buf_add(b, text + from, i - from);
        buf_adds(b, SLICE("\xef\xbf\xbd"));
        i += bad - 1;
        from = i + 1;
    }
    buf_add(b, text + from, n - from);
    return b->failed ? -1 : 0; /* values that stand in others many times would never end */
}

void jmap_write(struct buf *out, json_t *take)
{
    (void)json_dump_callback(take, write_piece, out, JSON_COMPACT); /* `out` knows of a failure */
    json_decref(take);
}

/* ---- ids ---- */

void jmap_id(char letter, uint64_t id, char ret[JMAP_ID_TEXT])
{
    ret[0] = letter;
    message_id_text(id, ret + 1);
}

json_t *jmap_id_json(char letter, uint64_t id)
{
    char text[JMAP_ID_TEXT];
    jmap_id(letter, id, text);
    return json_string(text);
}

bool jmap_id_parse(char letter, const char *text, uint64_t *ret)
{
    char again[JMAP_ID_TEXT];
    if (!text || text[0] != letter || strlen(text) != JMAP_ID_TEXT - 1)
        return false;
    *ret = message_id_parse(slice_str(text + 1));
    jmap_id(letter, *ret, again);
    return *ret != 0 && strcmp(again, text) == 0;
}

uint64_t jmap_id_or_created(const struct jmap_run *r, char letter, const json_t *value)
{
    const char *text = json_string_value(value);
    uint64_t id = 0;
    if (text && text[0] == '#')
        text = json_string_value(json_object_get(r->created, text + 1));
    return jmap_id_parse(letter, text, &id) ? id : 0;
}
