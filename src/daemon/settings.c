/* Settings: the table, and what may be asked about a whole struct. */
#include "daemon/settings_int.h"

#include <stdio.h>

#define FIELD(f) offsetof(struct settings, f), sizeof(((struct settings *)0)->f)
const struct settings_row settings_rows[SETTINGS_ROWS] = {
#define SETTING(key, field, type, unit, fallback, least, most, is_reloadable, sentence)            \
    {key, SETTINGS_##type, FIELD(field), unit, fallback, least, most, is_reloadable, sentence},
#include "daemon/settings.def"
#undef SETTING
};

const struct settings_row *settings_row_of(const char *key)
{
    for (size_t i = 0; i < SETTINGS_ROWS; i++)
        if (strcmp(settings_rows[i].key, key) == 0)
            return &settings_rows[i];
    return NULL;
}

uint32_t settings_line(const struct settings *s, const char *key)
{
    const struct settings_row *row = settings_row_of(key);
    must(row);
    return s->lines[row - settings_rows];
}

void settings_problem_add(struct settings_problems *p, uint32_t line, const char *advice,
                          const char *format, ...)
{
    if (p->n == SETTINGS_PROBLEMS_MAX) {
        p->n_more++;
        return;
    }
    struct settings_problem *one = &p->list[p->n++];
    va_list args;
    va_start(args, format);
    vsnprintf(one->what, sizeof(one->what), format, args);
    va_end(args);
    snprintf(one->advice, sizeof(one->advice), "%s", advice);
    one->line = line;
}

void settings_problems_text(const struct settings_problems *p, const char *file, const char *done,
                            struct buf *ret)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct settings_problem *one = &p->list[i];
        if (one->line > 0)
            buf_addf(ret, "%s:%u: %s\n", file, one->line, one->what);
        else
            buf_addf(ret, "%s: %s\n", file, one->what);
        if (one->advice[0])
            buf_addf(ret, "    %s\n", one->advice);
    }
    if (p->n_more > 0)
        buf_addf(ret, "and %u more.\n", p->n_more);
    buf_addf(ret, "%s\n", done);
}

static bool listen_is_valid(const struct settings_listen *l, bool is_last)
{
    bool is_admin = l->service == SETTINGS_ADMIN;
    if (l->service < SETTINGS_SMTP || l->service > SETTINGS_ADMIN || is_admin != is_last)
        return false;
    if (l->tls > SETTINGS_TLS_IMPLICIT)
        return false;
    if (is_admin ? l->at.n_bytes != 0 : !settings_address_is_valid(&l->at))
        return false;
    return settings_networks_are_valid(&l->proxy) && settings_networks_are_valid(&l->xclient);
}

bool settings_is_valid(const struct settings *s)
{
    if (s->n_listens < 2 || s->n_listens > SETTINGS_LISTENS_MAX + 1)
        return false;
    for (uint32_t i = 0; i < s->n_listens; i++)
        if (!listen_is_valid(&s->listens[i], i + 1 == s->n_listens))
            return false;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct settings_row *row = &settings_rows[i];
        if (row->type != SETTINGS_LISTENS &&
            !settings_value_is_valid(row, settings_field_of(s, row)))
            return false;
    }
    return true;
}

static bool listens_may_replace(const struct settings *old, const struct settings *fresh)
{
    if (old->n_listens != fresh->n_listens)
        return false;
    for (uint32_t i = 0; i < old->n_listens; i++) {
        const struct settings_listen *a = &old->listens[i], *b = &fresh->listens[i];
        if (a->service != b->service || a->tls != b->tls ||
            memcmp(&a->at, &b->at, sizeof(a->at)) != 0)
            return false;
    }
    return true;
}

bool settings_may_replace(const struct settings *old, const struct settings *fresh, char ret[64])
{
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct settings_row *row = &settings_rows[i];
        if (row->is_reloadable)
            continue;
        bool is_same = row->type == SETTINGS_LISTENS
                           ? listens_may_replace(old, fresh)
                           : memcmp(settings_field_of(old, row), settings_field_of(fresh, row),
                                    row->size) == 0;
        if (is_same)
            continue;
        snprintf(ret, 64, "%s", row->key);
        return false;
    }
    return true;
}

const char *settings_service_name(uint32_t service)
{
    static const char *const names[] = {"unknown", "smtp",    "submission",
                                        "https",   "metrics", "admin"};
    return service <= SETTINGS_ADMIN ? names[service] : names[0];
}
