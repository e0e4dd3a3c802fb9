/* People from a file: JSON as the interface has it, or CSV (RFC 4180): address, name, aliases
 * separated by ';', covered or relayed. */
#include "cli/cli_int.h"

#include <errno.h>
#include <stdio.h>

enum { FIELDS = 4, FIELD_MAX = 40000 };

/* The next field of a CSV line, without quotes; moves `*rest` behind its comma or to its line end.
 * False: a quote is not closed, or something stands behind it. */
static bool next_field(struct slice *rest, struct buf *ret)
{
    buf_clear(ret);
    if (rest->n > 0 && rest->p[0] == '"') {
        for (*rest = slice_skip(*rest, 1);; *rest = slice_skip(*rest, 1)) {
            if (rest->n == 0)
                return false;
            if (rest->p[0] == '"') {
                *rest = slice_skip(*rest, 1);
                if (rest->n == 0 || rest->p[0] != '"')
                    break;
            }
            buf_addc(ret, rest->p[0]);
        }
        while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\t'))
            *rest = slice_skip(*rest, 1);
    } else {
        while (rest->n > 0 && rest->p[0] != ',' && rest->p[0] != '\n') {
            buf_addc(ret, rest->p[0]);
            *rest = slice_skip(*rest, 1);
        }
    }
    while (rest->n > 0 && rest->p[0] == '\r')
        *rest = slice_skip(*rest, 1);
    return !ret->failed && (rest->n == 0 || rest->p[0] == ',' || rest->p[0] == '\n');
}

static json_t *aliases_of(struct slice list)
{
    json_t *aliases = json_array();
    while (list.n > 0) {
        struct slice one = slice_trim(slice_cut(list, ';', &list));
        if (one.n > 0)
            (void)json_array_append_new(aliases, json_stringn(one.p, one.n));
    }
    return aliases;
}

/* One line's fields as a person; a third field that is empty says that there are no aliases, a line
 * without one says nothing about them. NULL: `why` says what is wrong. */
static json_t *person_of(const struct buf fields[FIELDS], size_t n_fields, const char **why)
{
    struct slice address = slice_trim(buf_slice(&fields[0]));
    struct slice name = slice_trim(buf_slice(&fields[1]));
    struct slice kind = slice_trim(buf_slice(&fields[3]));
    bool is_relayed = slice_ieq(kind, SLICE("relayed"));
    *why = "the address is missing";
    if (address.n == 0)
        return NULL;
    *why = "the fourth field must be covered or relayed";
    if (kind.n > 0 && !is_relayed && !slice_ieq(kind, SLICE("covered")))
        return NULL;
    *why = "it is not UTF-8";
    json_t *p = json_object();
    if (json_object_set_new(p, "address", json_stringn(address.p, address.n)) != 0 ||
        (name.n > 0 && json_object_set_new(p, "name", json_stringn(name.p, name.n)) != 0) ||
        (n_fields > 2 &&
         json_object_set_new(p, "aliases", aliases_of(buf_slice(&fields[2]))) != 0) ||
        (kind.n > 0 && json_object_set_new(p, "covered", json_boolean(!is_relayed)) != 0)) {
        json_decref(p);
        return NULL;
    }
    return p;
}

/* Reads one line's fields; false: more than four, or quotes that make no sense. */
static bool read_line(struct slice *rest, struct buf fields[FIELDS], size_t *n_fields,
                      unsigned *n_lines)
{
    const char *from = rest->p;
    bool is_good = true;
    for (size_t i = 0; i < FIELDS; i++)
        buf_clear(&fields[i]);
    for (size_t i = 0; is_good; i++) {
        is_good = i < FIELDS && next_field(rest, &fields[i]);
        *n_fields = i + 1;
        if (!is_good || rest->n == 0 || rest->p[0] == '\n')
            break;
        *rest = slice_skip(*rest, 1);
    }
    if (rest->n > 0 && rest->p[0] == '\n')
        *rest = slice_skip(*rest, 1);
    for (; from < rest->p; from++)
        *n_lines += *from == '\n'; /* quoted fields may hold several */
    return is_good;
}

static json_t *parse_csv(const char *file, struct slice rest)
{
    struct buf fields[FIELDS];
    json_t *persons = json_array();
    const char *why = NULL;
    unsigned line = 1;
    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = buf_make(FIELD_MAX);
    while (rest.n > 0 && !why) {
        unsigned n_lines = 0;
        size_t n_fields = 0;
        bool is_note = rest.p[0] == '#';
        if (is_note) {
            (void)slice_cut(rest, '\n', &rest);
            line++;
            continue;
        }
        bool is_good = read_line(&rest, fields, &n_fields, &n_lines);
        struct slice first = slice_trim(buf_slice(&fields[0]));
        bool is_empty = first.n == 0 && fields[1].n == 0 && fields[2].n == 0;
        bool is_head = json_array_size(persons) == 0 && slice_ieq(first, SLICE("address"));
        if (!is_good)
            why = "it has more than four fields, or a quote too few";
        json_t *p = is_good && !is_empty && !is_head ? person_of(fields, n_fields, &why) : NULL;
        if (p) {
            why = NULL;
            (void)json_array_append_new(persons, p);
        }
        if (why)
            complain(0,
                     "%s, line %u cannot be used: %s. Nothing was done. A line is address, name, "
                     "aliases separated by ;, covered or relayed.",
                     file, line, why);
        line += n_lines;
    }
    for (size_t i = 0; i < FIELDS; i++)
        buf_finish(&fields[i]);
    if (why) {
        json_decref(persons);
        return NULL;
    }
    return persons;
}

static json_t *parse_json(const char *file, struct slice text)
{
    json_error_t why;
    json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    if (!v) {
        complain(0, "%s is not JSON: %s (line %d). Nothing was done.", file, why.text, why.line);
        return NULL;
    }
    json_t *persons = json_is_object(v) ? json_object_get(v, "persons") : v;
    json_incref(persons);
    json_decref(v);
    if (json_is_array(persons))
        return persons;
    json_decref(persons);
    complain(0,
             "%s holds no list of people. Nothing was done. It must be [{\"address\": ...}, "
             "...].",
             file);
    return NULL;
}

json_t *people_parse(const char *file, struct slice text)
{
    if (slice_starts(text, SLICE("\xef\xbb\xbf"))) /* as spreadsheets write it */
        text = slice_skip(text, 3);
    struct slice seen = slice_trim(text);
    if (seen.n > 0 && (seen.p[0] == '[' || seen.p[0] == '{'))
        return parse_json(file, text);
    return parse_csv(file, text);
}

json_t *people_read(const char *file)
{
    SCOPED(buf_finish) struct buf b = buf_make(FILE_MAX);
    FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "rb");
    if (!f) {
        complain(0, "%s cannot be read: %s. Nothing was done.", file, strerror(errno));
        return NULL;
    }
    char bytes[65536];
    size_t n;
    while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
        buf_add(&b, bytes, n);
    bool is_broken = ferror(f) != 0;
    if (f != stdin)
        fclose(f);
    if (!is_broken && !b.failed)
        return people_parse(file, buf_slice(&b));
    complain(0,
             is_broken ? "%s cannot be read to its end. Nothing was done."
                       : "%s is bigger than 8 MiB. Nothing was done. Import it in parts.",
             file);
    return NULL;
}
