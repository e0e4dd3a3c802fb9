/* Arguments of method calls: their types, and words when they have another. */
#include "jmap/jmap_int.h"

#include <stdio.h>
#include <time.h>

#define INT_MAX_JMAP 9007199254740991 /* RFC 8620 1.3: 2^53 - 1 */

static json_t *arg(const struct jmap_call *c, const char *name)
{
    json_t *value = json_object_get(c->args, name);
    return json_is_null(value) ? NULL : value;
}

static bool is_no(struct jmap_run *r, const struct jmap_call *c, const char *name, const char *what)
{
    jmap_refuse(r, c, "invalidArguments", "`%s` is %s", name, what);
    return false;
}

bool jmap_arg_account(struct jmap_run *r, const struct jmap_call *c)
{
    uint64_t id = 0;
    const char *text = json_string_value(arg(c, "accountId"));
    if (!text)
        return is_no(r, c, "accountId", "an id and must be there");
    if (jmap_id_parse('A', text, &id) && id == r->who->person)
        return true;
    jmap_refuse(r, c, "accountNotFound", NULL);
    return false;
}

void jmap_refuse_copy(struct jmap_run *r, const struct jmap_call *c)
{
    uint64_t id = 0;
    const char *from = json_string_value(arg(c, "fromAccountId"));
    if (!jmap_arg_account(r, c))
        return;
    if (!from)
        (void)is_no(r, c, "fromAccountId", "an id and must be there");
    else if (jmap_id_parse('A', from, &id) && id == r->who->person)
        (void)is_no(r, c, "fromAccountId", "another account than `accountId`");
    else
        jmap_refuse(r, c, "fromAccountNotFound", NULL);
}

bool jmap_arg_bool(struct jmap_run *r, const struct jmap_call *c, const char *name, bool *ret)
{
    const json_t *value = arg(c, name);
    if (value && !json_is_boolean(value))
        return is_no(r, c, name, "true or false");
    if (value)
        *ret = json_is_true(value);
    return true;
}

bool jmap_arg_int(struct jmap_run *r, const struct jmap_call *c, const char *name, int64_t *ret)
{
    const json_t *value = arg(c, name);
    if (value && (!json_is_integer(value) || json_integer_value(value) > INT_MAX_JMAP ||
                  json_integer_value(value) < -INT_MAX_JMAP))
        return is_no(r, c, name, "a whole number");
    if (value)
        *ret = json_integer_value(value);
    return true;
}

bool jmap_arg_unsigned(struct jmap_run *r, const struct jmap_call *c, const char *name,
                       uint64_t *ret)
{
    int64_t n = 0;
    if (!jmap_arg_int(r, c, name, &n))
        return false;
    if (n < 0)
        return is_no(r, c, name, "a whole number that is not negative");
    if (arg(c, name))
        *ret = (uint64_t)n; /* what is there otherwise may be more than fits into n */
    return true;
}

bool jmap_arg_text(struct jmap_run *r, const struct jmap_call *c, const char *name,
                   const char **ret)
{
    const json_t *value = arg(c, name);
    if (value && !json_is_string(value))
        return is_no(r, c, name, "a string");
    if (value)
        *ret = json_string_value(value);
    return true;
}

bool jmap_arg_told(struct jmap_run *r, const struct jmap_call *c, const char *name,
                   struct account_told *ret)
{
    const char *text = NULL;
    struct slice id;
    uint64_t modseq = 0;
    if (!jmap_arg_text(r, c, name, &text))
        return false;
    if (!text)
        return is_no(r, c, name, "a state and must be there");
    bool is_whole = strchr(text, '.') == NULL;
    *ret = ACCOUNT_TOLD(0);
    if (slice_u64(slice_cut(slice_str(text), '.', &id), INT64_MAX, &modseq) &&
        (is_whole || slice_u64(id, UINT64_MAX - 1, &ret->id))) {
        ret->modseq = modseq;
        return true;
    }
    jmap_refuse(r, c, "cannotCalculateChanges", "this server never gave the state \"%.40s\"", text);
    return false;
}

bool jmap_arg_state(struct jmap_run *r, const struct jmap_call *c, const char *name, uint64_t *ret)
{
    struct account_told told;
    if (!jmap_arg_told(r, c, name, &told))
        return false;
    *ret = told.modseq;
    if (told.id == UINT64_MAX)
        return true;
    jmap_refuse(r, c, "cannotCalculateChanges", "that is a state in the midst of /changes");
    return false;
}

bool jmap_arg_names(struct jmap_run *r, const struct jmap_call *c, const char *const names[])
{
    const char *key;
    json_t *value;
    json_object_foreach(c->args, key, value)
    {
        bool is_known = false;
        for (size_t i = 0; names[i] && !is_known; i++)
            is_known = strcmp(names[i], key) == 0;
        if (is_known)
            continue;
        jmap_refuse(r, c, "invalidArguments", "%s takes no argument \"%.60s\"", c->name, key);
        return false;
    }
    return true;
}

bool jmap_contains(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.n <= text.n; i++)
        if (slice_ieq(slice_of(text.p + i, part.n), part))
            return true;
    return false;
}

bool jmap_collation(const json_t *sort, enum account_collation *ret)
{
    static const struct {
        const char *name;
        enum account_collation collation;
    } rows[] = {{"i;ascii-casemap", ACCOUNT_ASCII_CASEMAP},
                {"i;ascii-numeric", ACCOUNT_ASCII_NUMERIC},
                {"i;octet", ACCOUNT_OCTET}};
    const json_t *value = json_object_get(sort, "collation");
    const char *name = json_string_value(value);
    *ret = ACCOUNT_FOR_PEOPLE;
    for (size_t i = 0; name && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        *ret = rows[i].collation;
        return true;
    }
    return !value || json_is_null(value);
}

static bool has_shape(const char *text, const char *shape)
{
    for (; *shape; shape++, text++)
        if (*shape == '0' ? *text < '0' || *text > '9' : *text != *shape)
            return false;
    return true;
}

/* ".123" of a second, if it is there, at *at; what is beyond milliseconds does not count. */
static bool read_fraction(const char **at, utc_ms *ret)
{
    int digits = 0;
    if (**at != '.')
        return true;
    for (++*at; **at >= '0' && **at <= '9'; ++*at, digits++)
        *ret = digits < 3 ? *ret * 10 + (**at - '0') : *ret;
    for (int i = digits; i < 3; i++)
        *ret *= 10;
    return digits > 0;
}

/* No 31 February: the library would make another day of it. */
static bool is_day(struct tm tm)
{
    int day = tm.tm_mday, month = tm.tm_mon;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    (void)timegm(&tm);
    return tm.tm_mday == day && tm.tm_mon == month;
}

/* "2026-11-22T04:00:00Z", with a fraction of a second or none. */
bool jmap_utc_parse(const json_t *value, utc_ms *ret)
{
    const char *text = json_string_value(value), *at;
    struct tm tm = {};
    utc_ms fraction = 0;
    if (!text || !has_shape(text, "0000-00-00T00:00:00") ||
        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return false;
    at = text + strlen("0000-00-00T00:00:00");
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!read_fraction(&at, &fraction) || strcmp(at, "Z") != 0 || !is_day(tm) || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    *ret = (utc_ms)timegm(&tm) * 1000 + fraction;
    return true;
}
