/* Compiled time zones (TZif version 2 and later, RFC 8536): what the bytes say is checked once,
 * then asked by bisection; later times follow the footer's rule. */
#include "continuity/zone.h"

enum { HEAD = 44, TYPE = 6, TIME = 8, DAY_SECONDS = 86400, HOUR_SECONDS = 3600 };
enum { OFFSET_LEAST = -89999, OFFSET_MOST = 93599 }; /* RFC 8536 section 3.2 */
enum { RULE_HOURS_MOST = 167, POSIX_HOURS_MOST = 24 };

/* ---- numbers, big endian ---- */

static uint32_t u32_at(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t time_at(const struct continuity_zone *z, size_t i)
{
    const char *p = z->times.p + i * TIME;
    return (int64_t)((uint64_t)u32_at(p) << 32 | u32_at(p + 4));
}

static int32_t type_offset(const struct continuity_zone *z, size_t type)
{
    return (int32_t)u32_at(z->types.p + type * TYPE);
}

static size_t index_at(const struct continuity_zone *z, size_t i)
{
    return (uint8_t)z->indexes.p[i];
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- the footer: a POSIX TZ string ---- */

struct text {
    struct slice rest;
    bool failed; /* sticks */
};

static bool take(struct text *t, char c)
{
    if (t->failed || t->rest.n == 0 || t->rest.p[0] != c)
        return false;
    t->rest = slice_skip(t->rest, 1);
    return true;
}

static uint32_t take_number(struct text *t, uint32_t least, uint32_t most)
{
    uint32_t v = 0;
    size_t n = 0;
    while (n < t->rest.n && n < 4 && t->rest.p[n] >= '0' && t->rest.p[n] <= '9')
        v = v * 10 + (uint32_t)(t->rest.p[n++] - '0');
    if (n == 0 || v < least || v > most)
        t->failed = true;
    t->rest = slice_skip(t->rest, n);
    return v;
}

static bool is_letter(char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

static void take_name(struct text *t)
{
    size_t n = 0;
    if (take(t, '<')) {
        ptrdiff_t end = slice_find(t->rest, '>');
        t->failed |= end < 3;
        t->rest = slice_skip(t->rest, end < 0 ? 0 : (size_t)end + 1);
        return;
    }
    while (n < t->rest.n && is_letter(t->rest.p[n]))
        n++;
    t->failed |= n < 3;
    t->rest = slice_skip(t->rest, n);
}

/* [+-]hh[:mm[:ss]] in seconds */
static int32_t take_clock(struct text *t, uint32_t hours_most)
{
    bool is_negative = take(t, '-');
    if (!is_negative)
        (void)take(t, '+');
    uint32_t v = take_number(t, 0, hours_most) * HOUR_SECONDS;
    if (take(t, ':')) {
        v += take_number(t, 0, 59) * 60;
        if (take(t, ':'))
            v += take_number(t, 0, 59);
    }
    return t->failed ? 0 : is_negative ? -(int32_t)v : (int32_t)v;
}

static struct continuity_zone_rule take_rule(struct text *t)
{
    struct continuity_zone_rule r = {.kind = ZONE_DAY_OF_YEAR, .time = 2 * HOUR_SECONDS};
    t->failed |= !take(t, ',');
    if (take(t, 'M')) {
        r.kind = ZONE_MONTH_WEEK_DAY;
        r.month = (uint16_t)take_number(t, 1, 12);
        t->failed |= !take(t, '.');
        r.week = (uint16_t)take_number(t, 1, 5);
        t->failed |= !take(t, '.');
        r.day = (uint16_t)take_number(t, 0, 6);
    } else if (take(t, 'J')) {
        r.kind = ZONE_DAY_WITHOUT_LEAP;
        r.day = (uint16_t)take_number(t, 1, 365);
    } else {
        r.day = (uint16_t)take_number(t, 0, 365);
    }
    if (take(t, '/'))
        r.time = take_clock(t, RULE_HOURS_MOST);
    return r;
}

static bool parse_footer(struct slice footer, struct continuity_zone *z)
{
    struct text t = {.rest = footer};
    if (footer.n == 0)
        return true;
    z->has_footer = true;
    take_name(&t);
    z->standard = -take_clock(&t, POSIX_HOURS_MOST); /* POSIX counts towards the west */
    if (t.failed || t.rest.n == 0)
        return !t.failed;
    z->has_summer = true;
    take_name(&t);
    bool is_given = t.rest.n > 0 && t.rest.p[0] != ',';
    z->summer = is_given ? -take_clock(&t, POSIX_HOURS_MOST) : z->standard + HOUR_SECONDS;
    z->begins = take_rule(&t);
    z->ends = take_rule(&t);
    return !t.failed && t.rest.n == 0;
}

/* ---- the file ---- */

struct counts {
    uint32_t isut, isstd, leap, time, type, name;
};

/* The bytes of a block are `*ret_n`; false: no header, or one of nonsense. */
static bool read_head(struct slice s, size_t time_bytes, struct counts *c, size_t *ret_n)
{
    if (s.n < HEAD || !slice_starts(s, SLICE("TZif")))
        return false;
    const char *p = s.p + 20;
    *c = (struct counts){u32_at(p),      u32_at(p + 4),  u32_at(p + 8),
                         u32_at(p + 12), u32_at(p + 16), u32_at(p + 20)};
    if (c->isut > ZONE_BYTES_MAX || c->isstd > ZONE_BYTES_MAX || c->leap > ZONE_BYTES_MAX ||
        c->time > ZONE_BYTES_MAX || c->type > ZONE_BYTES_MAX || c->name > ZONE_BYTES_MAX)
        return false;
    *ret_n = c->time * (time_bytes + 1) + (size_t)c->type * TYPE + c->name +
             c->leap * (time_bytes + 4) + c->isstd + c->isut;
    return *ret_n <= s.n - HEAD;
}

static bool is_sound(const struct continuity_zone *z)
{
    size_t n_types = z->types.n / TYPE;
    for (size_t i = 0; i < n_types; i++) {
        int32_t offset = type_offset(z, i);
        if (offset < OFFSET_LEAST || offset > OFFSET_MOST)
            return false;
    }
    for (size_t i = 0; i < z->indexes.n; i++)
        if (index_at(z, i) >= n_types || (i > 0 && time_at(z, i) <= time_at(z, i - 1)))
            return false;
    return n_types > 0;
}

enum err continuity_zone_parse(struct slice tzif, struct continuity_zone *ret, struct errinfo *ei)
{
    struct continuity_zone z = {};
    struct counts c;
    size_t n;
    if (tzif.n > ZONE_BYTES_MAX)
        return err_set(ei, ERR_INVALID, "a time zone has at most %d bytes", ZONE_BYTES_MAX);
    if (!read_head(tzif, 4, &c, &n))
        return err_set(ei, ERR_INVALID, "this is no compiled time zone");
    if (tzif.p[4] < '2')
        return err_set(ei, ERR_INVALID, "a time zone of version 1, which ends in 2037");
    tzif = slice_skip(tzif, HEAD + n); /* the first block repeats the second in fewer bits */
    if (!read_head(tzif, TIME, &c, &n))
        return err_set(ei, ERR_INVALID, "the time zone is damaged: its second block");
    if (c.leap > 0)
        return err_set(ei, ERR_INVALID, "this time zone counts leap seconds; take the usual one");
    struct slice rest = slice_skip(tzif, HEAD);
    z.times = slice_of(rest.p, (size_t)c.time * TIME);
    z.indexes = slice_of(rest.p + z.times.n, c.time);
    z.types = slice_of(rest.p + z.times.n + c.time, (size_t)c.type * TYPE);
    if (!is_sound(&z))
        return err_set(ei, ERR_INVALID, "the time zone is damaged: its changes");
    rest = slice_skip(rest, n);
    struct slice footer = slice_skip(rest, 1);
    ptrdiff_t end = slice_find(footer, '\n');
    if (rest.n == 0 || rest.p[0] != '\n' || end < 0 ||
        !parse_footer(slice_of(footer.p, (size_t)end), &z))
        return err_set(ei, ERR_INVALID, "the time zone is damaged: its rule for the future");
    *ret = z;
    return ERR_OK;
}

/* ---- the calendar (proleptic Gregorian), days since 1970-01-01 ---- */

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t day_of_year_begin(int64_t year)
{
    int64_t before = year - 1;
    return before * 365 + floor_div(before, 4) - floor_div(before, 100) + floor_div(before, 400) -
           719162;
}

static int64_t year_of_day(int64_t day)
{
    /* 146097 days are 400 years; the guess is at most one year off. */
    int64_t year = 1970 + floor_div(day * 400, 146097);
    while (day < day_of_year_begin(year))
        year--;
    while (day >= day_of_year_begin(year + 1))
        year++;
    return year;
}

static int64_t rule_day(const struct continuity_zone_rule *r, int64_t year)
{
    static const uint16_t before[13] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int64_t begin = day_of_year_begin(year);
    int leap = is_leap(year);
    if (r->kind == ZONE_DAY_OF_YEAR)
        return begin + r->day;
    if (r->kind == ZONE_DAY_WITHOUT_LEAP)
        return begin + r->day - 1 + (leap && r->day > 59);
    int64_t first = begin + before[r->month - 1] + (leap && r->month > 2);
    int64_t next = begin + before[r->month] + (leap && r->month > 1);
    int64_t weekday = (first + 4) - 7 * floor_div(first + 4, 7); /* 0 Sunday */
    int64_t day = first + (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
    return day < next ? day : day - 7; /* week 5: the last one */
}

/* ---- asking ---- */

/* The latest change of three years decides: a rule's time may lie days outside of its own year. */
static int32_t footer_offset(const struct continuity_zone *z, int64_t t)
{
    if (!z->has_summer)
        return z->standard;
    int64_t year = year_of_day(floor_div(t, DAY_SECONDS)), latest = INT64_MIN;
    int32_t offset = z->standard;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t begin = rule_day(&z->begins, y) * DAY_SECONDS + z->begins.time - z->standard;
        int64_t end = rule_day(&z->ends, y) * DAY_SECONDS + z->ends.time - z->summer;
        if (end <= t && end > latest) {
            latest = end;
            offset = z->standard;
        }
        if (begin <= t && begin >= latest) { /* summer all year: it ends when it begins again */
            latest = begin;
            offset = z->summer;
        }
    }
    return offset;
}

int32_t continuity_zone_offset(const struct continuity_zone *z, utc_ms ms)
{
    if (z->types.n == 0)
        return 0;
    int64_t t = floor_div(ms, 1000);
    size_t low = 0, high = z->indexes.n; /* how many changes are not after t */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (time_at(z, middle) <= t)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->indexes.n && z->has_footer)
        return footer_offset(z, t);
    return type_offset(z, low == 0 ? 0 : index_at(z, low - 1));
}

struct silence_when continuity_local(const struct continuity_zone *z, utc_ms ms)
{
    int64_t hour = floor_div(floor_div(ms, 1000) + continuity_zone_offset(z, ms), HOUR_SECONDS);
    int64_t day = floor_div(hour, 24);
    return (struct silence_when){
        .local_hour = hour,
        .weekday = (uint8_t)(day + 3 - 7 * floor_div(day + 3, 7)), /* 1970 began on a Thursday */
        .hour = (uint8_t)(hour - day * 24),
    };
}

int64_t continuity_local_day(const struct silence_when *w)
{
    return floor_div(w->local_hour, 24);
}
