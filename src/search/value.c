/* What stands behind an operator: days and sizes; and the names that people use for things. */
#include "search/search_int.h"

enum { DAY_MS = 86400000, YEAR_LEAST = 1900, YEAR_MOST = 9999 };

static const char *const names[NAME_N] = {
#define NAME(id, en, it, de, fr, es) [NAME_##id] = en " " it " " de " " fr " " es,
#include "search/operator.def"
#undef NAME
};

const char *search_name_list(enum search_name name)
{
    return names[name];
}

static bool is_one_of(struct slice word, const char *list)
{
    struct slice rest = slice_str(list);
    while (rest.n > 0) {
        struct slice name = slice_cut(rest, ' ', &rest);
        if (name.n > 0 && search_word_is(word, name, false))
            return true;
    }
    return false;
}

bool search_is_named(struct slice word, enum search_name name)
{
    return is_one_of(word, names[name]);
}

/* ---- days ---- */

/* Days since 1970-01-01 of a date of the Gregorian calendar; months may run over. Years are counted
 * from March, so that the leap day is the last. */
static int64_t day_of(int64_t year, int64_t month, int64_t day)
{
    year += (month - 1) / 12;
    month = (month - 1) % 12 + 1;
    int64_t y = month > 2 ? year : year - 1;
    int64_t from_march = (month + 9) % 12;
    int64_t in_year = (153 * from_march + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + in_year - 719468;
}

/* Midnight of that day. An offset holds for an instant, and which one it is depends on the offset:
 * the second look is right but where the clock jumps at midnight itself. */
static int64_t midnight(int64_t day, const struct search_options *o)
{
    int64_t local = day * DAY_MS;
    if (!o->offset)
        return local;
    int64_t t = local - (int64_t)o->offset(o->arg, local) * 1000;
    return local - (int64_t)o->offset(o->arg, t) * 1000;
}

static int64_t today(const struct search_options *o)
{
    int64_t local = o->now + (o->offset ? (int64_t)o->offset(o->arg, o->now) * 1000 : 0);
    return local / DAY_MS - (local % DAY_MS < 0);
}

/* One to three numbers with the same of - . / between them. */
static size_t split_numbers(struct slice text, uint64_t ret[3], size_t *ret_digits)
{
    char between = 0;
    size_t n = 0;
    while (n < 3) {
        size_t digits = 0;
        while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
            digits++;
        if (digits == 0 || digits > 4 || !slice_u64(slice_of(text.p, digits), 9999, &ret[n]))
            return 0;
        if (n++ == 0)
            *ret_digits = digits;
        text = slice_skip(text, digits);
        if (text.n == 0)
            return n;
        char c = text.p[0];
        if ((c != '-' && c != '.' && c != '/') || (between && c != between))
            return 0;
        between = c;
        text = slice_skip(text, 1);
    }
    return 0;
}

/* Year first, or the day: nobody here writes the month first. */
static bool read_date(struct slice text, int64_t *ret_from, int64_t *ret_until)
{
    uint64_t v[3] = {};
    size_t digits = 0, n = split_numbers(text, v, &digits);
    if (n == 0 || (digits != 4 && n != 3))
        return false;
    if (digits != 4) {
        uint64_t day = v[0];
        v[0] = v[2] < 100 ? 2000 + v[2] : v[2];
        v[2] = day;
    }
    int64_t year = (int64_t)v[0], month = n > 1 ? (int64_t)v[1] : 1;
    int64_t day = n > 2 ? (int64_t)v[2] : 1;
    if (year < YEAR_LEAST || year > YEAR_MOST || month < 1 || month > 12 || day < 1)
        return false;
    *ret_from = day_of(year, month, day);
    if (*ret_from >= day_of(year, month + 1, 1))
        return false;
    if (n == 1)
        *ret_until = day_of(year + 1, 1, 1);
    else
        *ret_until = n == 2 ? day_of(year, month + 1, 1) : *ret_from + 1;
    return true;
}

bool search_value_date(struct slice text, const struct search_options *options, int64_t *ret_from,
                       int64_t *ret_until)
{
    int64_t from = 0, until = 0;
    bool is_yesterday = search_is_named(text, NAME_YESTERDAY);
    if (is_yesterday || search_is_named(text, NAME_TODAY)) {
        from = today(options) - is_yesterday;
        until = from + 1;
    } else if (!read_date(text, &from, &until)) {
        return false;
    }
    *ret_from = midnight(from, options);
    *ret_until = midnight(until, options);
    return true;
}

/* ---- sizes ---- */

/* The k, M, G at the end, with or without bytes (B, octets). */
static unsigned unit_shift(struct slice unit, bool *ret_is_unit)
{
    static const struct {
        const char *names;
        unsigned shift;
    } units[] = {
        {"b byte bytes octets", 0}, {"k kb kib ko", 10}, {"m mb mib mo", 20}, {"g gb gib go", 30}};
    *ret_is_unit = true;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (is_one_of(unit, units[i].names))
            return units[i].shift;
    *ret_is_unit = unit.n == 0;
    return 0;
}

bool search_value_size(struct slice text, int64_t *ret)
{
    enum { DIGITS_MAX = 12 };
    int64_t whole = 0, part = 0, scale = 1;
    size_t at = 0, n = 0;
    for (; at < text.n && text.p[at] >= '0' && text.p[at] <= '9'; at++, n++)
        whole = n < DIGITS_MAX ? whole * 10 + (text.p[at] - '0') : whole;
    if (n == 0 || n > DIGITS_MAX)
        return false;
    if (at < text.n && (text.p[at] == '.' || text.p[at] == ','))
        for (at++; at < text.n && text.p[at] >= '0' && text.p[at] <= '9'; at++)
            if (scale < 1000) {
                part = part * 10 + (text.p[at] - '0');
                scale *= 10;
            }
    bool is_unit = false;
    unsigned shift = unit_shift(slice_skip(text, at), &is_unit);
    if (!is_unit || whole > (INT64_MAX >> 1) >> shift)
        return false;
    *ret = (whole << shift) + (part << shift) / scale;
    return true;
}
