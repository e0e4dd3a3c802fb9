/* The values of settings: a scalar's text to its type, and back.
 *
 * Each type of settings_int.h has a row in `kinds`; nothing here knows YAML or keys. */
#include "daemon/settings_int.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};
/* Largest first: printing takes the first that divides. */
static const struct unit byte_units[] = {
    {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"d", 86400000000}, {"h", 3600000000}, {"min", 60000000},
                                         {"s", 1000000},     {"ms", 1000},      {NULL, 0}};
static const char *const levels[] = {"error", "warn", "info", "debug"};

/* ---- texts ---- */

static bool text_keep(const struct settings_row *row, struct slice text, void *field)
{
    if (text.n >= row->size)
        return false;
    memset(field, 0, row->size); /* no old bytes behind the terminator */
    memcpy(field, text.p, text.n);
    return true;
}

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* RFC 1123 section 2.1, with a dot in it: a greeting with a bare word is refused by many. */
static bool is_host_name(struct slice s)
{
    size_t n_labels = 0;
    if (s.n > 253)
        return false;
    for (bool is_more = true; is_more; n_labels++) {
        is_more = slice_find(s, '.') >= 0;
        struct slice label = slice_cut(s, '.', &s);
        if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!is_label_byte(ascii_lower(label.p[i])))
                return false;
    }
    return n_labels >= 2;
}

static bool name_set(const struct settings_row *row, struct slice text, void *field,
                     struct errinfo *why)
{
    char lower[256];
    bool is_none = text.n == 0 && row->fallback && !row->fallback[0];
    if (!is_none && !is_host_name(text)) {
        (void)err_set(why, ERR_INVALID, "is not a full host name");
        return false;
    }
    for (size_t i = 0; i < text.n; i++)
        lower[i] = ascii_lower(text.p[i]);
    return text_keep(row, slice_of(lower, text.n), field);
}

static bool path_set(const struct settings_row *row, struct slice text, void *field,
                     struct errinfo *why)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f) {
            (void)err_set(why, ERR_INVALID, "has a control character");
            return false;
        }
    if (text.n == 0 ? row->fallback == NULL || row->fallback[0] != '\0' : text.p[0] != '/') {
        (void)err_set(why, ERR_INVALID, "does not begin with /");
        return false;
    }
    if (!text_keep(row, text, field)) {
        (void)err_set(why, ERR_INVALID, "is too long");
        return false;
    }
    return true;
}

static bool word_set(const struct settings_row *row, struct slice text, void *field,
                     struct errinfo *why)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_label_byte(text.p[i]) && text.p[i] != '_') {
            (void)err_set(why, ERR_INVALID, "has a character that names of users do not have");
            return false;
        }
    if (text.n > 0 && text.p[0] == '-') {
        (void)err_set(why, ERR_INVALID, "begins with -");
        return false;
    }
    if (!text_keep(row, text, field)) {
        (void)err_set(why, ERR_INVALID, "is too long");
        return false;
    }
    return true;
}

/* scheme "://" name [":" port], in lower case: as browsers write it in Origin (RFC 6454). */
static bool origin_parse(struct slice text, char ret[SETTINGS_ORIGIN_BYTES])
{
    struct slice port, host = text;
    uint64_t number = 1;
    if (slice_istarts(text, SLICE("https://")))
        host = slice_skip(text, 8);
    else if (slice_istarts(text, SLICE("http://")))
        host = slice_skip(text, 7);
    bool has_port = slice_find(host, ':') >= 0;
    struct slice name = slice_cut(host, ':', &port);
    if (host.n == text.n || name.n == 0 || name.n > 253 || text.n >= SETTINGS_ORIGIN_BYTES ||
        (has_port && (!slice_u64(port, 65535, &number) || number == 0)))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!is_label_byte(ascii_lower(name.p[i])) && name.p[i] != '.')
            return false;
    memset(ret, 0, SETTINGS_ORIGIN_BYTES);
    for (size_t i = 0; i < text.n; i++)
        ret[i] = ascii_lower(text.p[i]);
    return true;
}

static bool origin_set(const struct settings_row *row, struct slice text, void *field,
                       struct errinfo *why)
{
    char origin[SETTINGS_ORIGIN_BYTES];
    if (text.n == 0)
        return text_keep(row, text, field);
    if (!origin_parse(text, origin)) {
        (void)err_set(why, ERR_INVALID, "is no web site");
        return false;
    }
    return text_keep(row, slice_str(origin), field);
}

/* What the file may not say, another process may not either. */
static bool text_is_valid(const struct settings_row *row, const void *field)
{
    char scratch[512];
    must(row->size <= sizeof(scratch));
    if (!memchr(field, '\0', row->size))
        return false;
    struct slice text = slice_str(field);
    if (row->type == SETTINGS_NAME)
        return name_set(row, text, scratch, NULL);
    if (row->type == SETTINGS_PATH)
        return path_set(row, text, scratch, NULL);
    if (row->type == SETTINGS_ORIGIN)
        return origin_set(row, text, scratch, NULL);
    return word_set(row, text, scratch, NULL);
}

static void text_text(const struct settings_row *, const void *field, struct buf *ret)
{
    buf_addc(ret, '"'); /* YAML's double quotes know the escapes of JSON */
    for (const char *p = field; *p; p++) {
        if (*p == '"' || *p == '\\')
            buf_addc(ret, '\\');
        buf_addc(ret, *p);
    }
    buf_addc(ret, '"');
}

/* ---- numbers ---- */

static bool number_in_bounds(const struct settings_row *row, uint64_t value, struct errinfo *why)
{
    if (value < row->least)
        (void)err_set(why, ERR_INVALID, "is too small");
    if (value > row->most)
        (void)err_set(why, ERR_INVALID, "is too large");
    return value >= row->least && value <= row->most;
}

static bool number_set(const struct settings_row *row, struct slice text, void *field,
                       struct errinfo *why)
{
    uint64_t value;
    if (row->type == SETTINGS_PERCENT && text.n > 0 && text.p[text.n - 1] == '%')
        text = slice_trim(slice_of(text.p, text.n - 1));
    if (!slice_u64(text, UINT64_MAX, &value)) {
        (void)err_set(why, ERR_INVALID, "is not a number");
        return false;
    }
    if (!number_in_bounds(row, value, why))
        return false;
    memcpy(field, &value, sizeof(value));
    return true;
}

static const struct unit *units_of(const struct settings_row *row)
{
    return row->type == SETTINGS_TIME ? time_units : byte_units;
}

static bool united_set(const struct settings_row *row, struct slice text, void *field,
                       struct errinfo *why)
{
    size_t n = 0;
    uint64_t value;
    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    struct slice unit = slice_trim(slice_skip(text, n));
    if (n == 0 || !slice_u64(slice_of(text.p, n), UINT64_MAX, &value)) {
        (void)err_set(why, ERR_INVALID, "does not begin with a whole number");
        return false;
    }
    if (unit.n == 0) {
        /* 50 of what? A guess would be wrong by a factor of a million for somebody. */
        (void)err_set(why, ERR_INVALID, "has no unit");
        return false;
    }
    for (const struct unit *u = units_of(row); u->name; u++) {
        if (!slice_eq(unit, slice_str(u->name)))
            continue;
        if (!number_in_bounds(row, value > UINT64_MAX / u->factor ? UINT64_MAX : value * u->factor,
                              why))
            return false;
        value *= u->factor;
        memcpy(field, &value, sizeof(value));
        return true;
    }
    (void)err_set(why, ERR_INVALID, "has an unknown unit");
    return false;
}

static bool number_is_valid(const struct settings_row *row, const void *field)
{
    uint64_t value;
    memcpy(&value, field, sizeof(value));
    return value >= row->least && value <= row->most;
}

static void united_add(const struct unit *u, uint64_t value, struct buf *ret)
{
    while (u[1].name && (value % u->factor != 0 || value == 0))
        u++;
    buf_addf(ret, "%" PRIu64 " %s", value / u->factor, u->name);
}

static void number_add(const struct settings_row *row, uint64_t value, struct buf *ret)
{
    if (row->type == SETTINGS_BYTES || row->type == SETTINGS_TIME)
        united_add(units_of(row), value, ret);
    else
        buf_addf(ret, "%" PRIu64 "%s", value, row->type == SETTINGS_PERCENT ? " %" : "");
}

static void number_text(const struct settings_row *row, const void *field, struct buf *ret)
{
    uint64_t value;
    memcpy(&value, field, sizeof(value));
    number_add(row, value, ret);
}

/* ---- words of a list ---- */

static bool bool_set(const struct settings_row *, struct slice text, void *field,
                     struct errinfo *why)
{
    bool is_true = slice_eq(text, SLICE("true"));
    if (!is_true && !slice_eq(text, SLICE("false"))) {
        (void)err_set(why, ERR_INVALID, "is neither true nor false");
        return false;
    }
    memcpy(field, &is_true, sizeof(is_true));
    return true;
}

static bool bool_is_valid(const struct settings_row *, const void *field)
{
    return *(const unsigned char *)field <= 1;
}

static void bool_text(const struct settings_row *, const void *field, struct buf *ret)
{
    buf_adds(ret, slice_str(*(const unsigned char *)field ? "true" : "false"));
}

static bool level_set(const struct settings_row *, struct slice text, void *field,
                      struct errinfo *why)
{
    for (uint32_t i = 0; i <= LOG_DEBUG; i++)
        if (slice_eq(text, slice_str(levels[i]))) {
            memcpy(field, &i, sizeof(i));
            return true;
        }
    (void)err_set(why, ERR_INVALID, "is no level of the log");
    return false;
}

static bool level_is_valid(const struct settings_row *, const void *field)
{
    uint32_t level;
    memcpy(&level, field, sizeof(level));
    return level <= LOG_DEBUG;
}

static void level_text(const struct settings_row *row, const void *field, struct buf *ret)
{
    uint32_t level;
    memcpy(&level, field, sizeof(level));
    buf_adds(ret, slice_str(level_is_valid(row, field) ? levels[level] : "unknown"));
}

/* ---- web sites ---- */

static bool origins_set(const struct settings_row *, struct slice text, void *field,
                        struct errinfo *why)
{
    struct settings_origins *list = field;
    char origin[SETTINGS_ORIGIN_BYTES];
    if (!origin_parse(text, origin)) {
        (void)err_set(why, ERR_INVALID, "is no web site");
        return false;
    }
    if (list->n == SETTINGS_ORIGINS_MAX) {
        (void)err_set(why, ERR_INVALID, "is one web site too many");
        return false;
    }
    memcpy(list->list[list->n++], origin, sizeof(origin));
    return true;
}

static bool origins_is_valid(const struct settings_row *, const void *field)
{
    const struct settings_origins *list = field;
    char scratch[SETTINGS_ORIGIN_BYTES];
    if (list->n > SETTINGS_ORIGINS_MAX)
        return false;
    for (uint32_t i = 0; i < list->n; i++)
        if (!memchr(list->list[i], '\0', SETTINGS_ORIGIN_BYTES) ||
            !origin_parse(slice_str(list->list[i]), scratch))
            return false;
    return true;
}

static void origins_text(const struct settings_row *, const void *field, struct buf *ret)
{
    const struct settings_origins *list = field;
    buf_addc(ret, '[');
    for (uint32_t i = 0; i < list->n; i++)
        buf_addf(ret, "%s\"%s\"", i ? ", " : "", list->list[i]);
    buf_addc(ret, ']');
}

/* ---- addresses and networks ---- */

/* 4 or 16; 0: neither. */
static size_t address_bytes(struct slice text, uint8_t ret[16])
{
    char copy[64];
    if (text.n == 0 || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n))
        return 0;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (inet_pton(AF_INET, copy, ret) == 1)
        return 4;
    return inet_pton(AF_INET6, copy, ret) == 1 ? 16 : 0;
}

bool settings_network_parse(struct slice text, struct settings_network *ret)
{
    struct settings_network n = {};
    uint64_t prefix;
    struct slice bits;
    bool has_bits = slice_find(text, '/') >= 0;
    struct slice address = slice_cut(text, '/', &bits);
    n.n_bytes = (uint8_t)address_bytes(address, n.bytes);
    prefix = n.n_bytes * 8u;
    if (n.n_bytes == 0 || (has_bits && (bits.n > 3 || !slice_u64(bits, prefix, &prefix))))
        return false;
    n.prefix = (uint8_t)prefix;
    for (unsigned i = 0; i < n.n_bytes; i++) {
        unsigned kept = prefix > i * 8 ? (unsigned)prefix - i * 8 : 0;
        if (kept < 8 && (n.bytes[i] & (0xff >> kept)))
            return false; /* 192.0.2.1/24: which of the two was meant? */
    }
    *ret = n;
    return true;
}

void settings_network_text(const struct settings_network *n, struct buf *ret)
{
    char text[INET6_ADDRSTRLEN] = "";
    (void)!inet_ntop(n->n_bytes == 4 ? AF_INET : AF_INET6, n->bytes, text, sizeof(text));
    buf_addf(ret, "%s/%u", text, n->prefix);
}

bool settings_address_parse(struct slice text, struct settings_address *ret)
{
    struct settings_address a = {};
    uint64_t port;
    size_t at = text.n;
    while (at > 0 && text.p[at - 1] != ':')
        at--;
    if (at == 0 || !slice_u64(slice_skip(text, at), 65535, &port) || port == 0)
        return false;
    struct slice host = slice_of(text.p, at - 1);
    bool is_bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (is_bracketed)
        host = slice_of(host.p + 1, host.n - 2);
    a.n_bytes = (uint8_t)address_bytes(host, a.bytes);
    a.port = (uint16_t)port;
    if (a.n_bytes != (is_bracketed ? 16 : 4))
        return false;
    *ret = a;
    return true;
}

void settings_address_text(const struct settings_address *a, char ret[64])
{
    char text[INET6_ADDRSTRLEN] = "";
    (void)!inet_ntop(a->n_bytes == 4 ? AF_INET : AF_INET6, a->bytes, text, sizeof(text));
    snprintf(ret, 64, a->n_bytes == 4 ? "%s:%u" : "[%s]:%u", text, a->port);
}

bool settings_address_is_valid(const struct settings_address *a)
{
    return (a->n_bytes == 4 || a->n_bytes == 16) && a->port != 0;
}

bool settings_address_is_loopback(const struct settings_address *a)
{
    static const uint8_t six[16] = {[15] = 1};
    return a->n_bytes == 4 ? a->bytes[0] == 127 : memcmp(a->bytes, six, sizeof(six)) == 0;
}

bool settings_networks_are_valid(const struct settings_networks *list)
{
    if (list->n > SETTINGS_NETWORKS_MAX)
        return false;
    for (uint32_t i = 0; i < list->n; i++) {
        const struct settings_network *n = &list->list[i];
        if ((n->n_bytes != 4 && n->n_bytes != 16) || n->prefix > n->n_bytes * 8)
            return false;
    }
    return true;
}

bool settings_networks_have(const struct settings_networks *list, const unsigned char *bytes,
                            size_t n_bytes)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct settings_network *n = &list->list[i];
        size_t whole = n->prefix / 8, rest = n->prefix % 8;
        if (n->n_bytes != n_bytes || memcmp(n->bytes, bytes, whole) != 0)
            continue;
        if (rest == 0 || (n->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0)
            return true;
    }
    return false;
}

static bool networks_set(const struct settings_row *, struct slice text, void *field,
                         struct errinfo *why)
{
    struct settings_networks *list = field;
    struct settings_network n;
    if (!settings_network_parse(text, &n)) {
        (void)err_set(why, ERR_INVALID, "is no network");
        return false;
    }
    if (list->n == SETTINGS_NETWORKS_MAX) {
        (void)err_set(why, ERR_INVALID, "is one network too many");
        return false;
    }
    list->list[list->n++] = n;
    return true;
}

static bool networks_is_valid(const struct settings_row *, const void *field)
{
    return settings_networks_are_valid(field);
}

static void networks_text(const struct settings_row *, const void *field, struct buf *ret)
{
    const struct settings_networks *list = field;
    buf_addc(ret, '[');
    for (uint32_t i = 0; i < list->n; i++) {
        buf_adds(ret, slice_str(i ? ", \"" : "\""));
        settings_network_text(&list->list[i], ret);
        buf_addc(ret, '"');
    }
    buf_addc(ret, ']');
}

static bool addresses_set(const struct settings_row *, struct slice text, void *field,
                          struct errinfo *why)
{
    struct settings_addresses *list = field;
    struct settings_address a;
    if (!settings_address_parse(text, &a)) {
        (void)err_set(why, ERR_INVALID, "is no address with a port");
        return false;
    }
    if (list->n == SETTINGS_ADDRESSES_MAX) {
        (void)err_set(why, ERR_INVALID, "is one address too many");
        return false;
    }
    list->list[list->n++] = a;
    return true;
}

static bool addresses_is_valid(const struct settings_row *, const void *field)
{
    const struct settings_addresses *list = field;
    if (list->n > SETTINGS_ADDRESSES_MAX)
        return false;
    for (uint32_t i = 0; i < list->n; i++)
        if (!settings_address_is_valid(&list->list[i]))
            return false;
    return true;
}

static void addresses_text(const struct settings_row *, const void *field, struct buf *ret)
{
    const struct settings_addresses *list = field;
    buf_addc(ret, '[');
    for (uint32_t i = 0; i < list->n; i++) {
        char text[64];
        settings_address_text(&list->list[i], text);
        buf_addf(ret, "%s\"%s\"", i ? ", " : "", text);
    }
    buf_addc(ret, ']');
}

/* ---- the types ---- */

static const struct {
    bool (*set)(const struct settings_row *row, struct slice text, void *field,
                struct errinfo *why);
    bool (*is_valid)(const struct settings_row *row, const void *field);
    void (*text)(const struct settings_row *row, const void *field, struct buf *ret);
    const char *advice; /* what is right; bounds are added for numbers */
} kinds[] = {
    [SETTINGS_NAME] = {name_set, text_is_valid, text_text,
                       "a full host name such as mx1.example.com"},
    [SETTINGS_PATH] = {path_set, text_is_valid, text_text,
                       "an absolute path of at most 255 bytes, such as /etc/staffetta/tls.key"},
    [SETTINGS_WORD] = {word_set, text_is_valid, text_text,
                       "small letters, digits, - and _, as in names of users"},
    [SETTINGS_BOOL] = {bool_set, bool_is_valid, bool_text, "true or false"},
    [SETTINGS_NUMBER] = {number_set, number_is_valid, number_text, "a whole number"},
    [SETTINGS_BYTES] = {united_set, number_is_valid, number_text,
                        "a whole number and B, KiB, MiB or GiB, such as 50 MiB"},
    [SETTINGS_TIME] = {united_set, number_is_valid, number_text,
                       "a whole number and ms, s, min, h or d, such as 30 s"},
    [SETTINGS_PERCENT] = {number_set, number_is_valid, number_text,
                          "a whole number of percent, such as 10 %"},
    [SETTINGS_LEVEL] = {level_set, level_is_valid, level_text, "error, warn, info or debug"},
    [SETTINGS_NETWORKS] = {networks_set, networks_is_valid, networks_text,
                           "a list of at most 32 networks such as [192.0.2.0/24, 2001:db8::/32], "
                           "without bits behind the prefix"},
    [SETTINGS_ADDRESSES] = {addresses_set, addresses_is_valid, addresses_text,
                            "a list of at most 8 addresses with ports such as "
                            "[127.0.0.1:53, \"[::1]:53\"]"},
    [SETTINGS_ORIGIN] = {origin_set, text_is_valid, text_text,
                         "https:// and a name, without a path, such as https://mail.example.com"},
    [SETTINGS_ORIGINS] = {origins_set, origins_is_valid, origins_text,
                          "a list of at most 8 web sites without paths such as "
                          "[https://webmail.example.com]"},
};

bool settings_value_set(const struct settings_row *row, struct slice text, void *field,
                        struct errinfo *why)
{
    must(row->type < SETTINGS_LISTENS);
    return kinds[row->type].set(row, text, field, why);
}

bool settings_value_is_valid(const struct settings_row *row, const void *field)
{
    must(row->type < SETTINGS_LISTENS);
    return kinds[row->type].is_valid(row, field);
}

void settings_value_text(const struct settings_row *row, const void *field, struct buf *ret)
{
    must(row->type < SETTINGS_LISTENS);
    kinds[row->type].text(row, field, ret);
}

void settings_value_advice(const struct settings_row *row, char ret[240])
{
    must(row->type < SETTINGS_LISTENS);
    SCOPED(buf_finish) struct buf b = buf_make(240);
    buf_adds(&b, slice_str(kinds[row->type].advice));
    if (row->type == SETTINGS_NUMBER && row->unit[0])
        buf_addf(&b, " of %s", row->unit);
    if (row->most > 0) {
        buf_adds(&b, SLICE(", from "));
        number_add(row, row->least, &b);
        buf_adds(&b, SLICE(" to "));
        number_add(row, row->most, &b);
    }
    snprintf(ret, 240, "%s", buf_cstr(&b));
}
