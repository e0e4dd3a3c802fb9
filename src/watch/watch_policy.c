/* MTA-STS policies, read as strictly as a careful sender reads them (RFC 8461 section 3.2): what
 * some senders could not use is no policy for them. Keys and words are case-sensitive, hosts are
 * not. */
#include "watch/watch_int.h"

enum { KEY_MAX = 32, DIGITS_MAX = 10 };

struct line {
    struct slice key, value;
};

/* ---- lines ----------------------------------------------------------------------------------- */

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_key(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter_or_digit(s.p[i]) && (i == 0 || slice_find(SLICE("_-."), s.p[i]) < 0))
            return false;
    return s.n > 0 && s.n <= KEY_MAX;
}

static bool has_controls(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return true;
    return false;
}

enum what { LINE_PAIR, LINE_BROKEN, LINE_NONE };

/* The next line that is not empty; lines end with LF or CRLF, the last one perhaps with neither. */
static enum what line_next(struct slice *rest, struct line *ret)
{
    struct slice s = {};
    while (rest->n > 0 && s.n == 0)
        s = slice_trim(slice_cut(*rest, '\n', rest));
    if (s.n == 0)
        return LINE_NONE;
    ret->key = slice_cut(s, ':', &ret->value);
    ret->value = slice_trim(ret->value);
    bool is_pair = is_key(ret->key) && ret->value.n > 0 && !has_controls(ret->value);
    return is_pair ? LINE_PAIR : LINE_BROKEN;
}

static bool is_host(struct slice s)
{
    size_t label = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool is_dot = s.p[i] == '.';
        if (!is_dot && !is_letter_or_digit(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
        if (is_dot && label == 0)
            return false;
        label = is_dot ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && s.n <= TRUST_NAME_MAX;
}

static bool is_pattern(struct slice s)
{
    return is_host(slice_starts(s, SLICE("*.")) ? slice_skip(s, 2) : s);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* What was read so far; of each key the first counts. */
struct reading {
    struct slice version, mode, max_age;
    size_t n_mx;
};

static const char *take_line(struct reading *r, const struct line *line)
{
    const struct {
        struct slice key;
        struct slice *to;
    } keys[] = {{SLICE("version"), &r->version},
                {SLICE("mode"), &r->mode},
                {SLICE("max_age"), &r->max_age}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (slice_eq(line->key, keys[i].key) && keys[i].to->n == 0)
            *keys[i].to = line->value;
    if (!slice_eq(line->key, SLICE("mx")))
        return NULL;
    r->n_mx++;
    return is_pattern(line->value) ? NULL : "an mx in it is no host name";
}

static bool mode_of(struct slice word, enum watch_mode *ret)
{
    static const char *const words[] = {"none", "testing", "enforce"};
    for (unsigned i = WATCH_MODE_NONE; i <= WATCH_MODE_ENFORCE; i++)
        if (slice_eq(word, slice_str(words[i]))) {
            *ret = i;
            return true;
        }
    return false;
}

static const char *judge_reading(const struct reading *r, struct watch_policy *ret)
{
    if (r->version.n == 0)
        return "the line \"version: STSv1\" is missing";
    if (!slice_eq(r->version, SLICE("STSv1")))
        return "its version is not STSv1";
    if (r->mode.n == 0)
        return "the line \"mode: ...\" is missing";
    if (!mode_of(r->mode, &ret->mode))
        return "its mode is none of enforce, testing, none";
    if (r->max_age.n == 0)
        return "the line \"max_age: ...\" is missing";
    if (r->max_age.n > DIGITS_MAX || !slice_u64(r->max_age, UINT64_MAX, &ret->max_age))
        return "its max_age is no number of seconds";
    if (r->n_mx == 0 && ret->mode != WATCH_MODE_NONE)
        return "it names no mx";
    return NULL;
}

const char *watch_policy_read(struct slice text, struct watch_policy *ret)
{
    struct slice rest = text;
    struct watch_policy policy = {.text = text};
    struct reading reading = {};
    struct line line;
    const char *fault = text.n > WATCH_PAGE_MAX ? "it is longer than 64 KiB" : NULL;
    for (enum what what; !fault && (what = line_next(&rest, &line)) != LINE_NONE;)
        fault =
            what == LINE_PAIR ? take_line(&reading, &line) : "a line in it is no \"key: value\"";
    if (!fault)
        fault = judge_reading(&reading, &policy);
    if (!fault)
        *ret = policy;
    return fault;
}

bool watch_policy_mx(struct slice *rest, struct slice *ret)
{
    struct line line;
    for (enum what what; (what = line_next(rest, &line)) != LINE_NONE;)
        if (what == LINE_PAIR && slice_eq(line.key, SLICE("mx"))) {
            *ret = line.value;
            return true;
        }
    return false;
}

bool watch_policy_covers(const struct watch_policy *p, const char *host)
{
    struct slice pattern, rest = p->text, name = slice_str(host), behind;
    (void)slice_cut(name, '.', &behind);
    while (watch_policy_mx(&rest, &pattern)) {
        bool is_star = slice_starts(pattern, SLICE("*."));
        if (slice_ieq(is_star ? slice_skip(pattern, 2) : pattern, is_star ? behind : name))
            return true;
    }
    return false;
}
