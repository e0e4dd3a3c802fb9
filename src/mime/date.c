/* Dates of mail, as they are written and not only as they should be. RFC 5322 sections 3.3, 4.3.
 * Words may come in any order that leaves no doubt. */
#include "mime/mime_int.h"

enum { DATE_BYTES_MAX = 128 };

struct date_words {
    int year, month, day; /* month 1..12, 0: not seen */
    int hour, minute, second;
    int zone_min;
    bool has_year, has_time, has_zone;
    bool is_pm, is_am;
};

static const char *const MONTHS[12] = {"january",   "february", "march",    "april",
                                       "may",       "june",     "july",     "august",
                                       "september", "october",  "november", "december"};

static const struct {
    char name[5];
    int hours;
} ZONES[] = {
    {"ut", 0},    {"utc", 0},   {"gmt", 0},   {"z", 0},     {"est", -5},  {"edt", -4},
    {"cst", -6},  {"cdt", -5},  {"mst", -7},  {"mdt", -6},  {"pst", -8},  {"pdt", -7},
    {"wet", 0},   {"west", 1},  {"bst", 1},   {"cet", 1},   {"met", 1},   {"mez", 1},
    {"cest", 2},  {"mest", 2},  {"mesz", 2},  {"eet", 2},   {"eest", 3},  {"msk", 3},
    {"jst", 9},   {"kst", 9},   {"hkt", 8},   {"sgt", 8},   {"aest", 10}, {"aedt", 11},
    {"nzst", 12}, {"nzdt", 13}, {"hst", -10}, {"akst", -9}, {"akdt", -8},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Up to `max` digits at s[*at]; -1 if none or more than that. */
static int number(struct slice s, size_t *at, size_t max)
{
    int v = 0;
    size_t start = *at;
    while (*at < s.n && is_digit(s.p[*at])) {
        if (*at - start == max)
            return -1;
        v = v * 10 + (s.p[(*at)++] - '0');
    }
    return *at > start ? v : -1;
}

/* "+0200", "-05:30", "+2": behind the sign. */
static void read_zone(struct date_words *d, struct slice s)
{
    if (d->has_zone || s.n < 2)
        return;
    size_t at = 1, start = 1;
    int v = number(s, &at, 4), minutes = 0;
    if (v < 0)
        return;
    if (at - start <= 2 && at < s.n && s.p[at] == ':') {
        at++;
        minutes = number(s, &at, 2);
    } else if (at - start > 2) {
        minutes = v % 100;
        v /= 100;
    }
    if (minutes < 0 || minutes > 59 || v > 23)
        return; /* no such zone: as if none was written */
    d->zone_min = (v * 60 + minutes) * (s.p[0] == '-' ? -1 : 1);
    d->has_zone = true;
}

/* Time with what may be glued to it: "10:11:12+0200", "10:11PM". */
static struct slice read_time(struct date_words *d, struct slice s)
{
    size_t at = 0;
    d->hour = number(s, &at, 2);
    at++;
    d->minute = number(s, &at, 2);
    if (at < s.n && s.p[at] == ':') {
        at++;
        d->second = number(s, &at, 2);
    }
    if (at < s.n && s.p[at] == '.') {
        at++;
        while (at < s.n && is_digit(s.p[at]))
            at++;
    }
    d->has_time = d->hour >= 0 && d->minute >= 0 && d->second >= 0;
    return slice_skip(s, at);
}

static bool is_start_of(struct slice s, const char *name)
{
    return s.n >= 3 && s.n <= strlen(name) && slice_ieq(s, slice_of(name, s.n));
}

static void read_name(struct date_words *d, struct slice s)
{
    for (int m = 0; m < 12 && d->month == 0; m++)
        if (s.p[0] == MONTHS[m][0] || s.p[0] + 32 == MONTHS[m][0])
            d->month = is_start_of(s, MONTHS[m]) ? m + 1 : 0;
    d->is_pm = d->is_pm || slice_ieq(s, SLICE("pm"));
    d->is_am = d->is_am || slice_ieq(s, SLICE("am"));
    for (size_t i = 0; i < sizeof(ZONES) / sizeof(ZONES[0]) && !d->has_zone; i++) {
        if (ascii_lower(s.p[0]) != ZONES[i].name[0] || !slice_ieq(s, slice_str(ZONES[i].name)))
            continue;
        d->zone_min = ZONES[i].hours * 60;
        d->has_zone = true;
    }
    /* Names of days and of unknown zones, also the single letters of RFC 822, say nothing. */
}

static void read_number(struct date_words *d, struct slice s)
{
    size_t at = 0;
    int v = number(s, &at, 4);
    if (v < 0)
        return;
    if (at <= 2 && d->day == 0) {
        d->day = v ? v : -1;
    } else if (!d->has_year && at >= 2) {
        /* RFC 5322 section 4.3: two digits below 50 are of this century, three count from 1900 */
        bool is_since_1900 = at == 3 || (v >= 100 && v < 200); /* "0102", of old clocks */
        d->year = at == 2 ? v + (v < 50 ? 2000 : 1900) : is_since_1900 ? v + 1900 : v;
        d->has_year = true;
    }
}

/* One word of letters or digits, or a sign with its digits, off the front of `s`. */
static struct slice read_date_word(struct date_words *d, struct slice s)
{
    size_t n = 0;
    if (is_digit(s.p[0])) {
        while (n < s.n && is_digit(s.p[n]))
            n++;
        if (n <= 2 && n + 1 < s.n && s.p[n] == ':' && is_digit(s.p[n + 1]) && !d->has_time)
            return read_time(d, s);
        read_number(d, slice_of(s.p, n));
        return slice_skip(s, n);
    }
    bool is_sign = s.p[0] == '+' || s.p[0] == '-';
    if (is_sign && d->has_time && s.n > 1 && is_digit(s.p[1])) {
        n = 1;
        while (n < s.n && (is_digit(s.p[n]) || s.p[n] == ':'))
            n++;
        read_zone(d, slice_of(s.p, n));
        return slice_skip(s, n);
    }
    while (n < s.n && ascii_lower(s.p[n]) >= 'a' && ascii_lower(s.p[n]) <= 'z')
        n++;
    struct slice name = slice_of(s.p, n);
    struct slice rest = slice_skip(s, n);
    bool is_offset = n && rest.n > 1 && (rest.p[0] == '+' || rest.p[0] == '-') &&
                     is_digit(rest.p[1]) && d->has_time; /* GMT+0200 is meant as +0200 */
    if (n && !is_offset)
        read_name(d, name);
    return n ? rest : slice_skip(s, 1);
}

/* Year, month and day in numbers with dashes come only as ISO 8601. */
static struct slice read_iso_day(struct date_words *d, struct slice s)
{
    size_t at = 0;
    int year = number(s, &at, 4);
    if (year < 1000 || at != 4 || s.n < 10 || s.p[4] != '-' || s.p[7] != '-')
        return s;
    at = 5;
    int month = number(s, &at, 2);
    at = 8;
    int day = number(s, &at, 2);
    if (month < 1 || day < 1)
        return s;
    d->year = year;
    d->month = month;
    d->day = day;
    d->has_year = true;
    return slice_skip(s, at);
}

static int days_in_month(int year, int month)
{
    static const int DAYS[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return DAYS[month - 1] + (month == 2 && is_leap);
}

/* Days since 1970-01-01; the year is counted from March so that the leap day comes last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static bool is_possible(const struct date_words *d)
{
    return d->year >= 1900 && d->year <= 9999 && d->month <= 12 && d->day >= 1 &&
           d->day <= days_in_month(d->year, d->month) && d->hour <= 23 && d->minute <= 59 &&
           d->second <= 60;
}

/* Without comments, folding and blanks around colons, which RFC 5322 section 4.3 allows. */
static struct slice date_text(struct slice raw, char text[static DATE_BYTES_MAX])
{
    size_t n = 0;
    unsigned depth = 0;
    raw = slice_trim(raw);
    for (size_t i = 0; i < raw.n && n < DATE_BYTES_MAX; i++) {
        char c = is_blank(raw.p[i]) ? ' ' : raw.p[i];
        depth += c == '(';
        bool is_comment = depth > 0;
        depth -= c == ')' && depth > 0;
        if (is_comment)
            c = ' ';
        while (c == ':' && n > 0 && text[n - 1] == ' ')
            n--;
        if (c != ' ' || (n > 0 && text[n - 1] != ' ' && text[n - 1] != ':'))
            text[n++] = c;
    }
    return slice_of(text, n);
}

enum mime_date_result mime_date_parse(struct slice raw, struct mime_date *ret)
{
    char text[DATE_BYTES_MAX];
    struct slice s = date_text(raw, text);
    struct date_words d = {0};
    s = read_iso_day(&d, s);
    while (s.n)
        s = read_date_word(&d, s);
    if (d.month == 0 || d.day == 0 || !d.has_year)
        return MIME_DATE_BROKEN;
    if (d.has_time && d.hour <= 12 && (d.is_pm || d.is_am))
        d.hour = d.hour % 12 + (d.is_pm ? 12 : 0);
    if (!d.has_time)
        d.hour = d.minute = d.second = 0;
    if (!is_possible(&d))
        return MIME_DATE_IMPOSSIBLE;
    int64_t seconds = days_of(d.year, d.month, d.day) * 86400 + d.hour * 3600 + d.minute * 60 +
                      d.second - (int64_t)d.zone_min * 60;
    *ret = (struct mime_date){.at = seconds * 1000, .zone_min = d.zone_min};
    return MIME_DATE_OK;
}
