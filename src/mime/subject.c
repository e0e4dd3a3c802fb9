/* The base subject, by which replies without references find their thread. RFC 5256 section 2.1,
 * with the marks that programs of other languages write. */
#include "mime/mime_int.h"

/* Before a colon; case ignored. */
static const char *const MARKS[] = {
    "re",
    "fw",
    "fwd",
    "aw",
    "wg",
    "r",
    "i",
    "rif",
    "inoltra",
    "sv",
    "vs",
    "vb",
    "antw",
    "doorst",
    "tr",
    "rv",
    "res",
    "enc",
    "odp",
    "pd",
    "ynt",
    "ilt",
    "bls",
    "fs",
    "\xe5\x9b\x9e\xe5\xa4\x8d",
    "\xe7\xad\x94\xe5\xa4\x8d",
    "\xe8\xbd\xac\xe5\x8f\x91",
    "\xe5\x9b\x9e\xe8\xa6\x86",
    "\xe8\xbd\x89\xe5\xaf\x84",
};

static struct slice skip_blanks(struct slice s)
{
    while (s.n && is_wsp(s.p[0]))
        s = slice_skip(s, 1);
    return s;
}

/* Behind a "[…]" at the start, or `s` itself. */
static struct slice skip_blob(struct slice s)
{
    if (s.n == 0 || s.p[0] != '[')
        return s;
    for (size_t i = 1; i < s.n && s.p[i] != '['; i++)
        if (s.p[i] == ']')
            return skip_blanks(slice_skip(s, i + 1));
    return s;
}

/* "[2]", "^2", "(2)" between a mark and its colon. */
static struct slice skip_count(struct slice s)
{
    if (s.n == 0 || !strchr("[^(", s.p[0]) || s.p[0] == '\0')
        return s;
    size_t i = 1;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    if (i == 1)
        return s;
    if (s.p[0] != '^' && i < s.n && (s.p[i] == ']' || s.p[i] == ')'))
        i++;
    return skip_blanks(slice_skip(s, i));
}

/* Behind a mark with its colon at the start, or `s` itself. */
static struct slice skip_mark(struct slice s)
{
    static const struct slice WIDE_COLON = {"\xef\xbc\x9a", 3};
    for (size_t i = 0; i < sizeof(MARKS) / sizeof(MARKS[0]); i++) {
        struct slice mark = slice_str(MARKS[i]);
        if (!slice_istarts(s, mark))
            continue;
        struct slice rest = skip_count(skip_blanks(slice_skip(s, mark.n)));
        rest = skip_count(skip_blob(rest));
        if (rest.n && rest.p[0] == ':')
            return skip_blanks(slice_skip(rest, 1));
        if (slice_starts(rest, WIDE_COLON))
            return skip_blanks(slice_skip(rest, WIDE_COLON.n));
    }
    return s;
}

/* Marks and, before more text, list names off the front. */
static struct slice strip_front(struct slice s, bool *is_marked)
{
    for (;;) {
        struct slice rest = skip_mark(s);
        if (rest.n < s.n) {
            *is_marked = true;
            s = rest;
            continue;
        }
        rest = skip_blob(s);
        if (rest.n == s.n || rest.n == 0)
            return s;
        s = rest;
    }
}

static struct slice strip_back(struct slice s, bool *is_marked)
{
    static const struct slice FORWARDED = {"(fwd)", 5};
    for (;;) {
        s = slice_trim(s);
        bool has_mark =
            s.n >= FORWARDED.n && slice_ieq(slice_skip(s, s.n - FORWARDED.n), FORWARDED);
        if (!has_mark)
            return s;
        *is_marked = true;
        s.n -= FORWARDED.n;
    }
}

struct slice mime_subject_base(struct slice subject, bool *ret_is_reply)
{
    bool is_marked = false;
    struct slice s = slice_trim(subject);
    for (;;) {
        s = strip_front(strip_back(s, &is_marked), &is_marked);
        bool is_wrapped = s.n > 6 && (slice_istarts(s, SLICE("[fwd:")) && s.p[s.n - 1] == ']');
        if (!is_wrapped)
            break;
        is_marked = true;
        s = slice_trim(slice_of(s.p + 5, s.n - 6));
    }
    if (ret_is_reply)
        *ret_is_reply = is_marked;
    return s;
}
