/* Path, query and body of a row's request, from what was given. */
#include "cli/cli_int.h"

#include <stdio.h>
#include <time.h>

void add_escaped(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (is_plain)
            buf_addc(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

void add_query(struct buf *path, const char *name, struct slice value)
{
    bool has_query = slice_find(buf_slice(path), '?') >= 0;
    buf_addf(path, "%c%s=", has_query ? '&' : '?', name);
    add_escaped(path, value);
}

/* ---- times ---- */

static void to_text(utc_ms t, char ret[40])
{
    snprintf(ret, 40, "%s", utc_rfc3339(t).s);
}

/* "90m", "2h", "3d": so long ago; "+2h": in so long. */
static bool from_now(struct slice s, utc_ms now, char ret[40])
{
    static const struct {
        char letter;
        utc_ms ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}, {'w', 604800000}};
    uint64_t n;
    bool is_ahead = slice_starts(s, SLICE("+"));
    if (is_ahead)
        s = slice_skip(s, 1);
    if (s.n < 2 || !slice_u64(slice_of(s.p, s.n - 1), 1000000, &n))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (s.p[s.n - 1] == units[i].letter) {
            to_text(is_ahead ? now + (utc_ms)n * units[i].ms : now - (utc_ms)n * units[i].ms, ret);
            return true;
        }
    return false;
}

/* A clock or calendar time of this place. */
static bool here(const char *text, utc_ms now, char ret[40])
{
    static const char *const forms[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
                                        "%Y-%m-%dT%H:%M",    "%Y-%m-%d",          "%H:%M"};
    time_t today = (time_t)(now / 1000);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm;
        if (!localtime_r(&today, &tm))
            return false;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        const char *end = strptime(text, forms[i], &tm);
        if (!end || *end)
            continue;
        tm.tm_isdst = -1;
        time_t t = mktime(&tm);
        to_text((utc_ms)t * 1000, ret);
        return t > 0;
    }
    return false;
}

bool time_parse(const char *text, utc_ms now, char ret[40])
{
    struct slice s = slice_str(text);
    if (from_now(s, now, ret) || here(text, now, ret))
        return true;
    /* With a zone of its own: the node understands it, or says why not. */
    if (s.n < 20 || s.n > 35 || slice_find(s, 'T') < 0)
        return false;
    snprintf(ret, 40, "%s", text);
    return true;
}

/* ---- flags ---- */

static json_t *text_of(const char *value)
{
    json_t *v = json_string(value);
    if (!v)
        complain(0, "\"%s\" is not UTF-8. Nothing was done.", value);
    return v;
}

/* A key in PEM has lines; the node takes blanks for their ends. */
static json_t *text_of_secret(const char *bytes, size_t n)
{
    char *copy = mem_new(n + 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = bytes[i] == '\n' || bytes[i] == '\r' ? ' ' : bytes[i];
    json_t *v = json_stringn(copy, n);
    explicit_bzero(copy, n);
    mem_free(&copy);
    if (!v)
        complain(0, "the secret is not UTF-8. Nothing was done.");
    return v;
}

/* All of standard input without the line end behind it: a password, a token, a key in PEM. */
static json_t *read_secret(const char *name)
{
    enum { SECRET_MAX = 16 << 10 };
    char bytes[SECRET_MAX + 1];
    size_t n = fread(bytes, 1, sizeof(bytes), stdin);
    bool is_whole = n <= SECRET_MAX && !ferror(stdin);
    while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
        n--;
    json_t *v = is_whole && n > 0 ? text_of_secret(bytes, n) : NULL;
    explicit_bzero(bytes, sizeof(bytes));
    if (!is_whole || n == 0)
        complain(0, "--%s -: standard input holds no secret that can be used. Nothing was done.",
                 name);
    return v;
}

static bool put(json_t *body, const char *member, json_t *take_value)
{
    return take_value && json_object_set_new(body, member, take_value) == 0;
}

static bool read_time(const struct flag *f, const char *value, char ret[40])
{
    if (time_parse(value, utc_now(), ret))
        return true;
    complain(0,
             "--%s: \"%s\" is not a time. Nothing was done. Write 2h, +2h, 3d, 08:30, "
             "2026-11-21 or 2026-11-21T08:30:00Z.",
             f->name, value);
    return false;
}

static bool flag_into_body(const struct cli *c, size_t i, json_t *body)
{
    const struct flag *f = c->values[i].flag;
    const char *value = c->values[i].value;
    char time[40];
    uint64_t n;
    switch (f->kind) {
    case FLAG_TEXT:
        return put(body, f->member, text_of(value));
    case FLAG_SECRET:
        return put(body, f->member,
                   strcmp(value, "-") == 0 ? read_secret(f->name)
                                           : text_of_secret(value, strlen(value)));
    case FLAG_TIME:
        return read_time(f, value, time) && put(body, f->member, text_of(time));
    case FLAG_ON:
    case FLAG_OFF:
        return put(body, f->member, json_boolean(f->kind == FLAG_ON && !c->values[i].is_off));
    case FLAG_NUMBER:
        if (!slice_u64(slice_str(value), INT32_MAX, &n)) {
            complain(0, "--%s must be a number, not \"%s\". Nothing was done.", f->name, value);
            return false;
        }
        return put(body, f->member, json_integer((json_int_t)n));
    case FLAG_LIST: {
        json_t *list = json_object_get(body, f->member);
        if (!list && !put(body, f->member, json_array()))
            return false;
        list = json_object_get(body, f->member);
        /* --alias "" says: none at all. */
        return !value[0] || json_array_append_new(list, text_of(value)) == 0;
    }
    }
    return false;
}

static bool flag_into_query(const struct cli *c, size_t i, struct buf *path)
{
    const struct flag *f = c->values[i].flag;
    char time[40];
    const char *value = c->values[i].value;
    if (f->kind == FLAG_TIME) {
        if (!read_time(f, value, time))
            return false;
        value = time;
    }
    add_query(path, f->member, slice_str(value));
    return true;
}

/* Does the flag of this row go into the query although there is a body? */
static bool is_marked(const struct command *row, const char *flag, char sign)
{
    struct slice rest = slice_str(row->flags), mark;
    while (rest.n > 0) {
        struct slice word = slice_cut(rest, ' ', &rest);
        if (slice_find(word, sign) >= 0 && slice_eq(slice_cut(word, sign, &mark), slice_str(flag)))
            return true;
    }
    return false;
}

/* ---- the whole ---- */

/* The value of the argument that the row calls `name`; NULL: there is none. */
static const char *arg_called(const struct cli *c, struct slice name)
{
    struct slice rest = slice_str(c->command->args), mapped;
    for (size_t i = 0; rest.n > 0; i++) {
        struct slice arg = slice_cut(slice_cut(rest, ' ', &rest), ':', &mapped);
        if (slice_eq(arg, name))
            return c->args[i];
    }
    return NULL;
}

static void build_path(const struct cli *c, struct buf *path)
{
    struct slice rest = slice_str(c->command->path);
    while (rest.n > 0) {
        bool has_place = slice_find(rest, '{') >= 0;
        buf_adds(path, slice_cut(rest, '{', &rest));
        if (has_place)
            add_escaped(path, slice_str(arg_called(c, slice_cut(rest, '}', &rest))));
    }
}

static bool build_args(const struct cli *c, struct buf *path, json_t *body)
{
    struct slice rest = slice_str(c->command->args);
    for (size_t i = 0; rest.n > 0; i++) {
        struct slice mapped;
        (void)slice_cut(slice_cut(rest, ' ', &rest), ':', &mapped);
        if (mapped.n > 0 && mapped.p[mapped.n - 1] == ']')
            mapped.n--;
        if (mapped.n == 0 || !c->args[i])
            continue;
        char name[40];
        snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(mapped));
        if (!body)
            add_query(path, name, slice_str(c->args[i]));
        else if (!put(body, name, text_of(c->args[i])))
            return false;
    }
    return true;
}

bool request_build(const struct cli *c, struct buf *path, json_t **ret_body)
{
    const struct command *row = c->command;
    bool has_body = strcmp(row->method, "POST") == 0 || strcmp(row->method, "PATCH") == 0;
    json_t *body = has_body ? json_object() : NULL;
    struct slice fixed, fixed_name = slice_cut(slice_str(row->fixed), '=', &fixed);
    char name[40];
    build_path(c, path);
    bool is_good = build_args(c, path, body);
    snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(fixed_name));
    if (name[0] && body)
        is_good = is_good && put(body, name, json_stringn(fixed.p, fixed.n));
    else if (name[0])
        add_query(path, name, fixed);
    for (size_t i = 0; i < c->n_values && is_good; i++)
        is_good = body && !is_marked(row, c->values[i].flag->name, '?')
                      ? flag_into_body(c, i, body)
                      : flag_into_query(c, i, path);
    /* What takes no member takes no body at all. */
    if (!is_good || (body && json_object_size(body) == 0 && strcmp(row->method, "PATCH") != 0)) {
        json_decref(body);
        body = NULL;
    }
    *ret_body = body;
    return is_good && !path->failed;
}
