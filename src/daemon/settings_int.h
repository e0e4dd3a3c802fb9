/* Inside settings: the table and its types. */
#ifndef DAEMON_SETTINGS_INT_H
#define DAEMON_SETTINGS_INT_H

#include "daemon/settings.h"

enum settings_type {
    SETTINGS_NAME,      /* host name with a dot: char[] */
    SETTINGS_PATH,      /* absolute, or "" where the default is "": char[] */
    SETTINGS_WORD,      /* user or group name: char[] */
    SETTINGS_BOOL,      /* bool */
    SETTINGS_NUMBER,    /* uint64_t */
    SETTINGS_BYTES,     /* uint64_t, with a unit */
    SETTINGS_TIME,      /* uint64_t microseconds, with a unit */
    SETTINGS_PERCENT,   /* uint64_t */
    SETTINGS_LEVEL,     /* uint32_t */
    SETTINGS_NETWORKS,  /* struct settings_networks */
    SETTINGS_ADDRESSES, /* struct settings_addresses */
    SETTINGS_ORIGIN,    /* a web site, or "" where the default is "": char[] */
    SETTINGS_ORIGINS,   /* struct settings_origins */
    SETTINGS_LISTENS,   /* struct settings_listen[], n_listens beside it */
};

struct settings_row {
    const char *key;
    enum settings_type type;
    uint32_t offset, size; /* of the field */
    const char *unit;
    const char *fallback; /* as in the file; NULL: must be given */
    uint64_t least, most;
    bool is_reloadable;
    const char *sentence;
};

#define SETTING(...) +1
enum {
    SETTINGS_ROWS = 0
#include "daemon/settings.def"
};
#undef SETTING
static_assert((int)SETTINGS_ROWS <= (int)SETTINGS_KEYS_MAX, "a line for each key");

extern const struct settings_row settings_rows[SETTINGS_ROWS];
const struct settings_row *settings_row_of(const char *key); /* NULL: no such key */

static inline void *settings_field(struct settings *s, const struct settings_row *row)
{
    return (char *)s + row->offset;
}
static inline const void *settings_field_of(const struct settings *s,
                                            const struct settings_row *row)
{
    return (const char *)s + row->offset;
}

/* ---- values: text to type and back (settings_value.c) ---- */

/* One scalar into the row's field; for lists one entry is added. False: `why` says what is wrong
 * with the text, the field is unchanged. Not for SETTINGS_LISTENS. */
bool settings_value_set(const struct settings_row *row, struct slice text, void *field,
                        struct errinfo *why);
bool settings_value_is_valid(const struct settings_row *row, const void *field);
/* What would be right, in words: "a size with its unit, such as 50 MiB, from 64 KiB to 1 GiB". */
void settings_value_advice(const struct settings_row *row, char ret[240]);
/* As in the file, lists as [a, b]. Not for SETTINGS_LISTENS. */
void settings_value_text(const struct settings_row *row, const void *field, struct buf *ret);

bool settings_network_parse(struct slice text, struct settings_network *ret);
bool settings_address_parse(struct slice text, struct settings_address *ret);
void settings_network_text(const struct settings_network *n, struct buf *ret);
bool settings_networks_are_valid(const struct settings_networks *list);
bool settings_address_is_valid(const struct settings_address *a);
bool settings_address_is_loopback(const struct settings_address *a);

#endif
