/* Answers for people: aligned lines and tables, local times, sizes one can read. */
#include "cli/cli_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CELL_MAX = 60, LAST_CELL_MAX = 160, COLUMNS_MAX = 12, TEXT_MAX = 4000 };

void print(const struct buf *b)
{
    fwrite(b->p, 1, b->n, stdout);
    if (b->n > 0 && b->p[b->n - 1] != '\n')
        fputs("\n", stdout);
}

/* ---- bytes of strangers ---- */

/* Characters that do something to a terminal or to the order of what is shown. */
static bool is_tricky(uint32_t c)
{
    return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

/* The next character of valid UTF-8 (the JSON library has checked it). */
static uint32_t next_character(struct slice *s, size_t *ret_n)
{
    unsigned char first = (unsigned char)s->p[0];
    size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? first : first & (0xffu >> (n + 1));
    n = n > s->n ? s->n : n;
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s->p[i] & 0x3f);
    *ret_n = n;
    return c;
}

void add_safe(struct buf *b, struct slice s)
{
    while (s.n > 0) {
        size_t n;
        if (is_tricky(next_character(&s, &n)))
            buf_addc(b, '?');
        else
            buf_add(b, s.p, n);
        s = slice_skip(s, n);
    }
}

static size_t width_of(struct slice s)
{
    size_t width = 0, n;
    for (; s.n > 0; s = slice_skip(s, n)) {
        (void)next_character(&s, &n);
        width++;
    }
    return width;
}

/* At most `max` characters, the last one an ellipsis when there was more. */
static void add_clipped(struct buf *b, struct slice s, size_t max)
{
    bool is_long = width_of(s) > max;
    size_t n;
    for (size_t i = 0; s.n > 0 && i + is_long < max; i++) {
        (void)next_character(&s, &n);
        buf_add(b, s.p, n);
        s = slice_skip(s, n);
    }
    if (is_long)
        buf_adds(b, SLICE("…"));
}

/* ---- values ---- */

const json_t *member_at(const json_t *object, struct slice path)
{
    while (path.n > 0 && object) {
        struct slice name = slice_cut(path, '.', &path);
        char key[60];
        snprintf(key, sizeof(key), SLICE_FMT, SLICE_ARG(name));
        object = json_object_get(object, key);
    }
    return object;
}

/* `zone`: of the company that is spoken of; NULL: the reader's own. The name comes from the node,
 * and the library takes one without a file for UTC. */
static bool local_time(time_t t, const char *zone, struct tm *ret)
{
    const char *own = getenv("TZ");
    char kept[200] = "", there[100];
    if (!zone)
        return localtime_r(&t, ret) != NULL;
    if (own)
        (void)snprintf(kept, sizeof(kept), "%s", own);
    (void)snprintf(there, sizeof(there), ":%s", zone);
    setenv("TZ", there, 1);
    tzset();
    bool is_fine = localtime_r(&t, ret) != NULL;
    if (own)
        setenv("TZ", kept, 1);
    else
        unsetenv("TZ");
    tzset();
    return is_fine;
}

static void add_time(struct buf *b, const char *text, const char *zone)
{
    struct tm tm = {};
    char shown[40] = "";
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    time_t t = end ? timegm(&tm) : 0;
    struct tm local;
    bool is_time = end && local_time(t, zone, &local);
    if (is_time)
        strftime(shown, sizeof(shown), "%Y-%m-%d %H:%M:%S", &local);
    add_safe(b, slice_str(shown[0] ? shown : text));
    if (is_time && zone) {
        long minutes = (local.tm_gmtoff < 0 ? -local.tm_gmtoff : local.tm_gmtoff) / 60;
        buf_addf(b, " %c%02ld:%02ld", local.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
    }
}

static void add_size(struct buf *b, json_int_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t unit = 0;
    while (n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        n /= 1024;
        unit++;
    }
    buf_addf(b, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

/* Times of an object that names a time zone are that zone's. */
static const char *zone_of(const json_t *object)
{
    return json_string_value(json_object_get(object, "zone"));
}

static void add_value(struct buf *b, const json_t *v, char format, const char *zone)
{
    if (json_is_string(v) && format == '@')
        add_time(b, json_string_value(v), zone);
    else if (json_is_string(v))
        add_safe(b, slice_of(json_string_value(v), json_string_length(v)));
    else if (json_is_integer(v) && format == '#')
        add_size(b, json_integer_value(v));
    else if (json_is_integer(v))
        buf_addf(b, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        buf_adds(b, json_is_true(v) ? SLICE("yes") : SLICE("no"));
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i > 0)
            buf_adds(b, SLICE(", "));
        add_value(b, json_array_get(v, i), 0, zone);
    }
}

/* "Title=member@" -> its parts. */
struct column {
    struct slice title, member;
    char format;
};

static struct column next_column(struct slice *rest)
{
    struct column c = {};
    c.title = slice_cut(slice_cut(*rest, '|', rest), '=', &c.member);
    char last = c.member.n ? c.member.p[c.member.n - 1] : 0;
    if (last == '@' || last == '#') {
        c.format = last;
        c.member.n--;
    }
    return c;
}

/* ---- lines and tables ---- */

void show_lines(const char *lines, const json_t *object)
{
    SCOPED(buf_finish) struct buf out = buf_make(1 << 20);
    struct slice rest = slice_str(lines);
    size_t width = 0;
    while (rest.n > 0) {
        struct column c = next_column(&rest);
        if (member_at(object, c.member) && width_of(c.title) > width)
            width = width_of(c.title);
    }
    rest = slice_str(lines);
    while (rest.n > 0) {
        struct column c = next_column(&rest);
        const json_t *v = member_at(object, c.member);
        if (!v || (json_is_array(v) && json_array_size(v) == 0))
            continue;
        buf_addf(&out, SLICE_FMT "%*s", SLICE_ARG(c.title), (int)(width - width_of(c.title) + 2),
                 "");
        add_value(&out, v, c.format, zone_of(object));
        buf_addc(&out, '\n');
    }
    print(&out);
}

/* The last column may be long: it pushes nothing aside. */
static void add_cell(struct buf *b, const struct column *c, const json_t *row, const char *zone,
                     bool is_last)
{
    SCOPED(buf_finish) struct buf whole = buf_make(1 << 20);
    const json_t *v = member_at(row, c->member);
    add_value(&whole, v, c->format, zone_of(row) ? zone_of(row) : zone);
    if (whole.n == 0)
        buf_addc(b, '-');
    else
        add_clipped(b, buf_slice(&whole), is_last ? LAST_CELL_MAX : CELL_MAX);
}

/* Numbers stand at the right. */
static bool is_number(const struct column *c, const json_t *list)
{
    const json_t *v = NULL;
    for (size_t i = 0; i < json_array_size(list) && !v; i++)
        v = member_at(json_array_get(list, i), c->member);
    return json_is_integer(v);
}

static void pad(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(out, ' ');
}

static void add_aligned(struct buf *out, struct slice text, size_t width, bool is_right,
                        bool is_last)
{
    size_t gap = width - width_of(text);
    if (is_right)
        pad(out, gap);
    buf_adds(out, text);
    if (!is_right && !is_last)
        pad(out, gap);
    if (!is_last)
        pad(out, 2);
}

void show_table(const struct table *t, const json_t *list, const char *zone)
{
    SCOPED(buf_finish) struct buf out = buf_make(ANSWER_MAX);
    struct column columns[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX], n = 0;
    struct slice rest = slice_str(t->columns);
    if (json_array_size(list) == 0) {
        printf("%s\n", t->if_empty);
        return;
    }
    for (; rest.n > 0 && n < COLUMNS_MAX; n++) {
        columns[n] = next_column(&rest);
        widths[n] = width_of(columns[n].title);
        for (size_t i = 0; i < json_array_size(list); i++) {
            SCOPED(buf_finish) struct buf cell = buf_make(TEXT_MAX);
            add_cell(&cell, &columns[n], json_array_get(list, i), zone, rest.n == 0);
            size_t width = width_of(buf_slice(&cell));
            widths[n] = width > widths[n] ? width : widths[n];
        }
    }
    for (size_t k = 0; k < n; k++)
        add_aligned(&out, columns[k].title, widths[k], is_number(&columns[k], list), k + 1 == n);
    buf_addc(&out, '\n');
    for (size_t i = 0; i < json_array_size(list); i++) {
        for (size_t k = 0; k < n; k++) {
            SCOPED(buf_finish) struct buf cell = buf_make(TEXT_MAX);
            add_cell(&cell, &columns[k], json_array_get(list, i), zone, k + 1 == n);
            add_aligned(&out, buf_slice(&cell), widths[k], is_number(&columns[k], list),
                        k + 1 == n);
        }
        buf_addc(&out, '\n');
    }
    print(&out);
}

void show(const struct view *v, const json_t *answer)
{
    if (v->lines)
        show_lines(v->lines, answer);
    for (size_t i = 0; i < sizeof(v->tables) / sizeof(v->tables[0]); i++) {
        const struct table *t = &v->tables[i];
        if (!t->member)
            break;
        if (v->lines || i > 0)
            printf("\n");
        if (t->title)
            printf("%s\n", t->title);
        show_table(t, json_object_get(answer, t->member), zone_of(answer));
    }
    const char *next = json_string_value(json_object_get(answer, "next"));
    if (next)
        printf("There is more: --after %s\n", next);
}

/* ---- a message ---- */

void show_message(const json_t *message)
{
    static const struct table rows = {NULL, "rows",
                                      "#=rcpt|To=to|Fate=disposition|Mail system=primary|"
                                      "Try=attempts|Next=due@|Why=reason|Said last=text",
                                      "No recipients."};
    static const struct table history = {NULL, "history",
                                         "Time=time@|What=what|#=rcpt|To=destination|"
                                         "Fate=disposition|Code=code|By=by|Text=text",
                                         "Nothing was tried yet."};
    show_lines("Message=message|Received=received@|Company=tenant|Direction=direction|From=from|"
               "Author=author|Subject=subject|Message-ID=message_id|Came from=client|Named=helo|"
               "Size=bytes#|Encrypted=encrypted|Sender knows=answered|Bytes given up=dropped",
               message);
    printf("\n");
    show_table(&rows, json_object_get(message, "rows"), NULL);
    printf("\n");
    show_table(&history, json_object_get(message, "history"), NULL);
}
