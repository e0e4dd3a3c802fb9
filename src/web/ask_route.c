/* Which paths there are for people (RFC 8620; our own for logging in), and what a query says. */
#include "web/ask_int.h"

#include <stdio.h>

/* ---- routes ---- */

/* clang-format off */
static const struct ask_route routes[] = {
    {"/.well-known/jmap",  ASK_CALL, IPC_CALL_SESSION,  ASK_GET,  true,  false, 0},
    {"/jmap/session",      ASK_CALL, IPC_CALL_SESSION,  ASK_GET,  true,  false, 0},
    {"/jmap/api",          ASK_CALL, IPC_CALL_API,      ASK_POST, true,  true,  WEB_CALL_BODY_MAX},
    {"/jmap/upload/",      ASK_CALL, IPC_CALL_UPLOAD,   ASK_POST, true,  false, WEB_UPLOAD_MAX},
    {"/jmap/download/",    ASK_CALL, IPC_CALL_DOWNLOAD, ASK_GET,  true,  false, 0},
    {"/jmap/eventsource/", ASK_CALL, IPC_CALL_WATCH,    ASK_GET,  true,  false, 0},
    {"/auth/login",        ASK_CALL, IPC_CALL_LOGIN,    ASK_POST, false, true,  WEB_LOGIN_BODY_MAX},
    {"/auth/logout",       ASK_CALL, IPC_CALL_LOGOUT,   ASK_POST, false, false, WEB_LOGIN_BODY_MAX},
    {"/health",            ASK_HEALTH, IPC_CALL_N,      ASK_GET,  false, false, 0},
};
/* clang-format on */

static bool is_letter_or_digit(char c)
{
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

/* RFC 8620 section 1.2: the identifiers of JMAP. */
static bool is_id(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter_or_digit(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return s.n > 0 && s.n <= 255;
}

/* What follows the path of the row: {accountId}/, {accountId}/{blobId}/{name}, nothing. */
static bool take_rest(struct slice rest, struct ask_path *a)
{
    if (a->route->call == IPC_CALL_WATCH)
        return rest.n == 0;
    a->account = slice_cut(rest, '/', &rest);
    if (!is_id(a->account))
        return false;
    if (a->route->call == IPC_CALL_UPLOAD)
        return rest.n == 0; /* with or without the last slash */
    bool has_name = slice_find(rest, '/') >= 0;
    a->blob = slice_cut(rest, '/', &a->name);
    return has_name && is_id(a->blob) && slice_find(a->name, '/') < 0;
}

bool web_ask_route(struct slice path, struct ask_path *ret)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        struct slice row = slice_str(routes[i].path);
        struct ask_path a = {.route = &routes[i]};
        bool is_open = row.p[row.n - 1] == '/';
        /* EventSource without its slash is what people type. */
        if (a.route->call == IPC_CALL_WATCH && slice_eq(path, slice_of(row.p, row.n - 1)))
            path = row;
        if (is_open ? !slice_starts(path, row) : !slice_eq(path, row))
            continue;
        if (is_open && !take_rest(slice_skip(path, row.n), &a))
            return false;
        *ret = a;
        return true;
    }
    return false;
}

/* ---- escapes and queries ---- */

static int hex_of(char c)
{
    char lower = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool web_ask_decode(struct slice escaped, struct buf *ret)
{
    for (size_t i = 0; i < escaped.n; i++) {
        if (escaped.p[i] != '%') {
            buf_addc(ret, escaped.p[i]);
            continue;
        }
        int high = i + 2 < escaped.n ? hex_of(escaped.p[i + 1]) : -1;
        int low = i + 2 < escaped.n ? hex_of(escaped.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        buf_addc(ret, (char)(high * 16 + low));
        i += 2;
    }
    return !ret->failed;
}

struct slice web_ask_query(struct slice query, const char *key)
{
    while (query.n > 0) {
        struct slice value, pair = slice_cut(query, '&', &query);
        if (slice_eq(slice_cut(pair, '=', &value), slice_str(key)))
            return value;
    }
    return SLICE("");
}

/* ---- what an event stream is for ---- */

/* Names of types: letters and digits, separated by commas. */
static bool take_types(struct slice text, struct ask_watch *ret)
{
    if (text.n == 0 || slice_eq(text, SLICE("*"))) {
        ret->types[0] = '\0';
        return true;
    }
    for (size_t i = 0; i < text.n; i++)
        if (!is_letter_or_digit(text.p[i]) && text.p[i] != ',')
            return false;
    snprintf(ret->types, sizeof(ret->types), SLICE_FMT, SLICE_ARG(text));
    return text.n < sizeof(ret->types);
}

/* "no" where nothing is said: a client that forgets it wants to be told. */
static bool take_close(struct slice text, struct ask_watch *ret)
{
    ret->closes_after_state = slice_eq(text, SLICE("state"));
    return ret->closes_after_state || text.n == 0 || slice_eq(text, SLICE("no"));
}

static bool take_ping(struct slice text, struct ask_watch *ret)
{
    uint64_t seconds = 0;
    if (text.n > 0 && !slice_u64(text, UINT64_MAX, &seconds))
        return false;
    ret->ping = seconds > ASK_PING_MOST ? ASK_PING_MOST : (uint16_t)seconds;
    if (ret->ping > 0 && ret->ping < ASK_PING_LEAST)
        ret->ping = ASK_PING_LEAST;
    return true;
}

bool web_ask_watch(struct slice query, struct ask_watch *ret)
{
    static const struct {
        const char *key;
        bool (*take)(struct slice text, struct ask_watch *ret);
    } keys[] = {{"types", take_types}, {"closeafter", take_close}, {"ping", take_ping}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        SCOPED(buf_finish) struct buf value = buf_make(ASK_TYPES_MAX + 1);
        if (!web_ask_decode(web_ask_query(query, keys[i].key), &value) ||
            !keys[i].take(buf_slice(&value), ret))
            return false;
    }
    return true;
}
