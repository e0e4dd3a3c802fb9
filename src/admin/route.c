/* The table of endpoints, and which of them a request means. */
#include "admin/admin_int.h"

#include "wire/wire.h"

#include <stdio.h>
#include <time.h>

#define LOOP CALL_LOOP
#define CHANGE CALL_CHANGE
#define WORKER CALL_WORKER
const struct endpoint admin_endpoints[] = {
#define ENDPOINT(method, path, place, handler, params, body, answer, status, summary)              \
    {#method, path, place, do_##handler, params, SCHEMA_##body, SCHEMA_##answer, status, summary},
#include "admin/admin_endpoint.def"
#undef ENDPOINT
};
const size_t admin_n_endpoints = sizeof(admin_endpoints) / sizeof(admin_endpoints[0]);

static const struct param params[] = {
#define PARAM(name, type, max, words, text) {#name, TYPE_##type, max, words, text},
#include "admin/admin_endpoint.def"
#undef PARAM
};

const struct param *admin_param(struct slice name)
{
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
        if (slice_eq(name, slice_str(params[i].name)))
            return &params[i];
    return NULL;
}

/* The next "/part" of a path. */
static bool next_part(struct slice *rest, struct slice *ret)
{
    if (rest->n == 0 || rest->p[0] != '/')
        return false;
    struct slice s = slice_skip(*rest, 1);
    ptrdiff_t end = slice_find(s, '/');
    *ret = slice_of(s.p, end < 0 ? s.n : (size_t)end);
    *rest = slice_skip(s, ret->n);
    return true;
}

/* Does the path follow the pattern? What stands for its {} goes into r->parts. */
static bool follows(const char *pattern, struct slice path, struct route *r)
{
    struct slice wanted = slice_str(pattern), want, have;
    r->n_parts = 0;
    while (next_part(&wanted, &want)) {
        if (!next_part(&path, &have))
            return false;
        if (want.p[0] != '{') {
            if (!slice_eq(want, have))
                return false;
        } else if (have.n == 0 || r->n_parts == 2) {
            return false;
        } else {
            r->parts[r->n_parts++] = have;
        }
    }
    return path.n == 0;
}

struct route admin_route(struct slice method, struct slice path)
{
    struct route r = {};
    struct route best = {};
    size_t n = 0;
    if (path.n == 0 || path.n > PATH_MAX_BYTES || path.p[0] != '/')
        return r;
    for (size_t i = 0; i < admin_n_endpoints; i++) {
        const struct endpoint *e = &admin_endpoints[i];
        if (!follows(e->pattern, path, &r))
            continue;
        if (slice_eq(method, slice_str(e->method))) {
            r.endpoint = e;
            return r;
        }
        if (!strstr(best.methods, e->method))
            n += (size_t)snprintf(best.methods + n, sizeof(best.methods) - n, "%s%s", n ? ", " : "",
                                  e->method);
    }
    return best;
}

enum admin_place admin_place(struct slice method, struct slice path)
{
    struct route r = admin_route(method, path);
    return r.endpoint && r.endpoint->place == CALL_WORKER ? ADMIN_WORKER : ADMIN_LOOP;
}

/* ---- escapes and times ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool admin_unescape(struct arena *a, struct slice s, bool with_plus, struct slice *ret)
{
    char *p = arena_new(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && with_plus) {
            c = ' ';
        }
        if ((unsigned char)c < ' ' || c == 0x7f)
            return false;
        p[n++] = c;
    }
    *ret = slice_of(p, n);
    return wire_utf8_valid(*ret);
}

/* `n` digits at `*at`; -1: they are none. */
static int digits(struct slice s, size_t *at, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++, (*at)++) {
        if (*at >= s.n || s.p[*at] < '0' || s.p[*at] > '9')
            return -1;
        value = value * 10 + s.p[*at] - '0';
    }
    return value;
}

static bool mark(struct slice s, size_t *at, char c)
{
    if (*at >= s.n || s.p[*at] != c)
        return false;
    (*at)++;
    return true;
}

/* "Z", "+01:00", or nothing (then it is UTC); in minutes. */
static bool read_zone(struct slice s, size_t *at, int *ret_minutes)
{
    *ret_minutes = 0;
    if (*at == s.n || mark(s, at, 'Z') || mark(s, at, 'z'))
        return *at == s.n;
    int sign = mark(s, at, '+') ? 1 : mark(s, at, '-') ? -1 : 0;
    int hours = digits(s, at, 2);
    bool has_colon = mark(s, at, ':');
    int minutes = digits(s, at, 2);
    *ret_minutes = sign * (hours * 60 + minutes);
    return sign != 0 && has_colon && hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60 &&
           *at == s.n;
}

utc_ms admin_time(struct slice s)
{
    struct tm tm = {};
    size_t at = 0;
    int year = digits(s, &at, 4), zone = 0;
    bool is_date = mark(s, &at, '-');
    int month = digits(s, &at, 2);
    is_date = is_date && mark(s, &at, '-');
    int day = digits(s, &at, 2);
    if (!is_date || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
        return -1;
    if (at < s.n) {
        if (!mark(s, &at, 'T') && !mark(s, &at, 't') && !mark(s, &at, ' '))
            return -1;
        tm.tm_hour = digits(s, &at, 2);
        bool is_clock = mark(s, &at, ':');
        tm.tm_min = digits(s, &at, 2);
        if (mark(s, &at, ':'))
            tm.tm_sec = digits(s, &at, 2);
        if (mark(s, &at, '.'))
            while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
                at++; /* milliseconds do not matter when people ask */
        if (!is_clock || tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 ||
            tm.tm_sec < 0 || tm.tm_sec > 60 || !read_zone(s, &at, &zone))
            return -1;
    }
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    return ((utc_ms)timegm(&tm) - (utc_ms)zone * 60) * 1000;
}
