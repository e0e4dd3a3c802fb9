/* staffetta.yaml to settings: the file's tree is walked beside the table.
 *
 * libyaml gives the tree (YAML 1.1); scalars are text here, whatever they look like. All problems
 * are gathered, so that a person mends them in one go. */
#include "daemon/settings_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { WORD_MAX = 100, LISTEN_MAX_KEYS = 8 };

struct reading {
    yaml_document_t document;
    struct settings *s;
    struct settings_problems *problems;
    bool is_tls_set[SETTINGS_LISTENS_MAX];
};

/* ---- small things ---- */

static uint32_t line_of(const yaml_node_t *node)
{
    return (uint32_t)node->start_mark.line + 1;
}

static struct slice scalar_of(const yaml_node_t *node)
{
    return slice_of((const char *)node->data.scalar.value, node->data.scalar.length);
}

/* For a message: at most 60 bytes, without control characters. */
static const char *shown(struct slice s, char ret[64])
{
    size_t n = s.n < 60 ? s.n : 60;
    for (size_t i = 0; i < n; i++)
        ret[i] = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? '?' : s.p[i];
    ret[n] = '\0';
    return ret;
}

/* Changes needed to make b out of a: each a letter more, less or other. Short words only. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t n = strlen(b);
    if (n > WORD_MAX || strlen(a) > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (best > row[j] + 1)
                best = row[j] + 1;
            if (best > row[j - 1] + 1)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

static void advise_key(const char *wrong, char ret[240])
{
    char best[WORD_MAX] = "";
    unsigned nearest = 4; /* further away it is another word */
    const char *last = strchr(wrong, '.') ? strchr(wrong, '.') + 1 : wrong;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const char *key = settings_rows[i].key, *dot = strchr(key, '.');
        char section[WORD_MAX];
        snprintf(section, sizeof(section), "%.*s", dot ? (int)(dot - key) : 0, key);
        unsigned d = distance(wrong, key), d_section = distance(wrong, section);
        if (dot && strcmp(last, dot + 1) == 0)
            d = 0; /* the right word in the wrong place */
        if (d >= nearest && d_section >= nearest)
            continue;
        nearest = d < d_section ? d : d_section;
        snprintf(best, sizeof(best), "%s", d <= d_section ? key : section);
    }
    if (best[0])
        snprintf(ret, 240, "Did you mean %s? All keys are in staffetta.yaml(5).", best);
    else
        snprintf(ret, 240, "All keys are in staffetta.yaml(5).");
}

static bool is_section(const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < SETTINGS_ROWS; i++)
        if (strncmp(settings_rows[i].key, key, n) == 0 && settings_rows[i].key[n] == '.')
            return true;
    return false;
}

/* ---- lists and scalars ---- */

static void value_wrong(struct reading *r, const yaml_node_t *node, const char *key,
                        const struct settings_row *row, const char *why)
{
    char advice[240], right[240], text[64] = "the value";
    settings_value_advice(row, right);
    snprintf(advice, sizeof(advice), "Right would be %.220s.", right);
    if (node->type == YAML_SCALAR_NODE)
        shown(scalar_of(node), text);
    settings_problem_add(r->problems, line_of(node), advice, "%s: \"%s\" %s", key, text, why);
}

static void read_scalar(struct reading *r, const yaml_node_t *node, const char *key,
                        const struct settings_row *row, void *field)
{
    struct errinfo why = {};
    if (node->type != YAML_SCALAR_NODE)
        value_wrong(r, node, key, row, "is not one value");
    else if (!settings_value_set(row, scalar_of(node), field, &why))
        value_wrong(r, node, key, row, why.text);
}

/* A value of the row's type; a list is emptied first, since it replaces the default. */
static void read_value(struct reading *r, const yaml_node_t *node, const char *key,
                       const struct settings_row *row, void *field)
{
    if (row->type != SETTINGS_NETWORKS && row->type != SETTINGS_ADDRESSES &&
        row->type != SETTINGS_ORIGINS) {
        read_scalar(r, node, key, row, field);
        return;
    }
    memset(field, 0, row->size);
    if (node->type != YAML_SEQUENCE_NODE) {
        value_wrong(r, node, key, row, "is not a list");
        return;
    }
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; item < node->data.sequence.items.top && r->problems->n_more == 0; item++)
        read_scalar(r, yaml_document_get_node(&r->document, *item), key, row, field);
}

/* ---- listen ---- */

static bool read_word(struct reading *r, const yaml_node_t *node, const char *key,
                      const char *const words[], uint32_t *ret)
{
    char text[64], advice[240] = "Right would be one of:";
    for (uint32_t i = 0; words[i]; i++) {
        if (node->type == YAML_SCALAR_NODE && slice_eq(scalar_of(node), slice_str(words[i]))) {
            *ret = i;
            return true;
        }
        size_t n = strlen(advice);
        snprintf(advice + n, sizeof(advice) - n, "%s %s", i ? "," : "", words[i]);
    }
    shown(node->type == YAML_SCALAR_NODE ? scalar_of(node) : SLICE("the value"), text);
    settings_problem_add(r->problems, line_of(node), advice, "%s: \"%s\" is unknown", key, text);
    return false;
}

static void read_listen_at(struct reading *r, const yaml_node_t *node, struct settings_listen *l)
{
    char text[64];
    bool is_scalar = node->type == YAML_SCALAR_NODE;
    if (is_scalar && settings_address_parse(scalar_of(node), &l->at))
        return;
    l->at.port = 1; /* given, though wrong: not also missing */
    settings_problem_add(r->problems, line_of(node),
                         "Right would be address:port such as 0.0.0.0:25 or \"[::]:25\".",
                         "listen.at: \"%s\" is no address with a port",
                         shown(is_scalar ? scalar_of(node) : SLICE("the value"), text));
}

static void read_listen_key(struct reading *r, const yaml_node_t *key, const yaml_node_t *value,
                            struct settings_listen *l, bool *ret_is_tls_set)
{
    static const char *const services[] = {"smtp", "submission", "https", "metrics", NULL};
    static const char *const tls[] = {"none", "starttls", "implicit", NULL};
    static const struct settings_row networks = {.type = SETTINGS_NETWORKS,
                                                 .size = sizeof(struct settings_networks)};
    struct slice name = key->type == YAML_SCALAR_NODE ? scalar_of(key) : SLICE("");
    char text[64];
    if (slice_eq(name, SLICE("for"))) {
        uint32_t service = 0;
        if (read_word(r, value, "listen.for", services, &service))
            l->service = SETTINGS_SMTP + service;
        else
            l->service = SETTINGS_ADMIN; /* given, though wrong: not also missing */
    } else if (slice_eq(name, SLICE("at"))) {
        read_listen_at(r, value, l);
    } else if (slice_eq(name, SLICE("tls"))) {
        *ret_is_tls_set = read_word(r, value, "listen.tls", tls, &l->tls);
    } else if (slice_eq(name, SLICE("proxy"))) {
        read_value(r, value, "listen.proxy", &networks, &l->proxy);
    } else if (slice_eq(name, SLICE("xclient"))) {
        read_value(r, value, "listen.xclient", &networks, &l->xclient);
    } else {
        settings_problem_add(r->problems, line_of(key),
                             "Right would be one of: for, at, tls, proxy, xclient.",
                             "listen: unknown key \"%s\"", shown(name, text));
    }
}

static void read_listen(struct reading *r, const yaml_node_t *node, struct settings_listen *l,
                        bool *ret_is_tls_set)
{
    struct slice seen[LISTEN_MAX_KEYS];
    size_t n_seen = 0;
    l->line = line_of(node);
    if (node->type != YAML_MAPPING_NODE) {
        settings_problem_add(r->problems, l->line,
                             "Right would be for example {for: smtp, at: 0.0.0.0:25}.",
                             "listen: an entry is not a list of keys");
        return;
    }
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top && n_seen < LISTEN_MAX_KEYS; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
        struct slice name = key->type == YAML_SCALAR_NODE ? scalar_of(key) : SLICE("");
        char text[64];
        for (size_t i = 0; i < n_seen; i++)
            if (slice_eq(seen[i], name))
                settings_problem_add(r->problems, line_of(key), "Remove one of the two.",
                                     "listen: \"%s\" is given twice", shown(name, text));
        seen[n_seen++] = name;
        read_listen_key(r, key, yaml_document_get_node(&r->document, pair->value), l,
                        ret_is_tls_set);
    }
    if (l->service == 0 || l->at.port == 0)
        settings_problem_add(r->problems, l->line,
                             "Right would be for example {for: smtp, at: 0.0.0.0:25}.",
                             "listen: an entry without \"%s\"", l->service == 0 ? "for" : "at");
}

static void read_listens(struct reading *r, const yaml_node_t *node)
{
    if (node->type != YAML_SEQUENCE_NODE) {
        settings_problem_add(r->problems, line_of(node),
                             "Right would be for example [{for: smtp, at: 0.0.0.0:25}].",
                             "listen: is not a list");
        return;
    }
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *entry = yaml_document_get_node(&r->document, *item);
        if (r->s->n_listens == SETTINGS_LISTENS_MAX) {
            settings_problem_add(r->problems, line_of(entry), "At most 16 entries are possible.",
                                 "listen: too many entries");
            return;
        }
        uint32_t i = r->s->n_listens++;
        read_listen(r, entry, &r->s->listens[i], &r->is_tls_set[i]);
    }
}

/* ---- the tree ---- */

static void read_key(struct reading *r, const char *name, const yaml_node_t *key,
                     const yaml_node_t *value)
{
    char advice[240];
    const struct settings_row *row = settings_row_of(name);
    if (!row) {
        advise_key(name, advice);
        settings_problem_add(r->problems, line_of(key), advice, "unknown key \"%s\"", name);
        return;
    }
    uint32_t *line = &r->s->lines[row - settings_rows];
    if (*line > 0) {
        snprintf(advice, sizeof(advice), "It stands in line %u already; remove one of the two.",
                 *line);
        settings_problem_add(r->problems, line_of(key), advice, "%s is given twice", name);
        return;
    }
    *line = line_of(key);
    if (row->type == SETTINGS_LISTENS)
        read_listens(r, value);
    else
        read_value(r, value, name, row, settings_field(r->s, row));
}

/* One mapping; `section` is NULL at the top. */
static void read_mapping(struct reading *r, const yaml_node_t *node, const char *section)
{
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top && r->problems->n_more == 0; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&r->document, pair->value);
        char text[64], name[160];
        if (key->type != YAML_SCALAR_NODE) {
            settings_problem_add(r->problems, line_of(key), "Keys are single words.",
                                 "a key that is a list");
            continue;
        }
        shown(scalar_of(key), text);
        snprintf(name, sizeof(name), "%s%s%s", section ? section : "", section ? "." : "", text);
        if (section || !is_section(text))
            read_key(r, name, key, value);
        else if (value->type == YAML_MAPPING_NODE)
            read_mapping(r, value, text);
        else
            settings_problem_add(r->problems, line_of(key),
                                 "Write the keys of the section below it, indented, or remove it.",
                                 "the section \"%s\" has no keys", text);
    }
}

static void apply_defaults(struct settings *s)
{
    struct errinfo why;
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct settings_row *row = &settings_rows[i];
        if (!row->fallback || row->type == SETTINGS_LISTENS)
            continue;
        struct slice text = slice_str(row->fallback);
        void *field = settings_field(s, row);
        bool is_list = text.n >= 2 && text.p[0] == '[';
        if (is_list)
            text = slice_of(text.p + 1, text.n - 2);
        if (text.n > 0)
            must(settings_value_set(row, text, field, &why)); /* lists: none or one entry */
    }
}

/* ---- what several keys say together ---- */

static void check_listen(struct reading *r, struct settings_listen *l, bool is_tls_set)
{
    bool has_certificate = r->s->tls.certificate[0] != '\0';
    const char *name = settings_service_name(l->service);
    if (!is_tls_set && l->service == SETTINGS_SMTP && has_certificate)
        l->tls = SETTINGS_TLS_STARTTLS;
    if (!is_tls_set && l->service == SETTINGS_SUBMISSION)
        l->tls = SETTINGS_TLS_STARTTLS;
    if (!is_tls_set && l->service == SETTINGS_HTTPS)
        l->tls = SETTINGS_TLS_IMPLICIT;
    bool is_web = l->service == SETTINGS_HTTPS || l->service == SETTINGS_METRICS;
    if (l->tls != SETTINGS_TLS_NONE && !has_certificate)
        settings_problem_add(r->problems, l->line,
                             "Set tls.certificate and tls.key, or write tls: none.",
                             "listen: %s with TLS, but there is no certificate", name);
    if (l->tls == SETTINGS_TLS_NONE && !settings_address_is_loopback(&l->at) &&
        (l->service == SETTINGS_SUBMISSION || l->service == SETTINGS_HTTPS))
        settings_problem_add(r->problems, l->line,
                             l->service == SETTINGS_HTTPS
                                 ? "Write tls: implicit; none is for 127.0.0.1 and ::1 only."
                                 : "Write tls: starttls or implicit; none is for 127.0.0.1 and ::1 "
                                   "only.",
                             "listen: %s without TLS would show passwords to everybody", name);
    if ((l->service == SETTINGS_METRICS && l->tls != SETTINGS_TLS_NONE) ||
        (is_web && l->tls == SETTINGS_TLS_STARTTLS))
        settings_problem_add(r->problems, l->line,
                             "https takes none or implicit, metrics only none.",
                             "listen: this tls is not possible for %s", name);
    if (is_web && (l->xclient.n > 0 || l->proxy.n > 0))
        settings_problem_add(r->problems, l->line,
                             "Remove the list. Web proxies belong in https.proxies.",
                             "listen: proxy or xclient is not possible for %s", name);
}

static void check_listens(struct reading *r)
{
    struct settings *s = r->s;
    if (settings_line(s, "listen") > 0 && s->n_listens == 0)
        settings_problem_add(r->problems, settings_line(s, "listen"),
                             "Right would be for example [{for: smtp, at: 0.0.0.0:25}].",
                             "listen: the list is empty");
    for (uint32_t i = 0; i < s->n_listens; i++) {
        check_listen(r, &s->listens[i], r->is_tls_set[i]);
        for (uint32_t j = 0; j < i; j++)
            if (s->listens[i].at.n_bytes > 0 &&
                memcmp(&s->listens[i].at, &s->listens[j].at, sizeof(s->listens[i].at)) == 0)
                settings_problem_add(r->problems, s->listens[i].line,
                                     "One address and port can serve one purpose only.",
                                     "listen: the entry of line %u has the same address and port",
                                     s->listens[j].line);
    }
    s->listens[s->n_listens++] = (struct settings_listen){.service = SETTINGS_ADMIN};
}

static void check_together(struct reading *r)
{
    struct settings *s = r->s;
    for (size_t i = 0; i < SETTINGS_ROWS; i++)
        if (!settings_rows[i].fallback && s->lines[i] == 0)
            settings_problem_add(r->problems, 0, settings_rows[i].sentence,
                                 "%s is missing and has no default", settings_rows[i].key);
    if ((s->tls.certificate[0] == '\0') != (s->tls.key[0] == '\0'))
        settings_problem_add(r->problems,
                             settings_line(s, s->tls.key[0] ? "tls.key" : "tls.certificate"),
                             "Set both, or none of them.", "tls.%s is missing",
                             s->tls.key[0] ? "certificate" : "key");
    if (s->store.alarm_percent <= s->store.free_percent)
        settings_problem_add(r->problems, settings_line(s, "store.alarm_percent"),
                             "The alarm must come before mail is refused: raise it or lower "
                             "store.free_percent.",
                             "store.alarm_percent is not above store.free_percent");
    if (s->limits.header_bytes > s->limits.message_bytes)
        settings_problem_add(r->problems, settings_line(s, "limits.header"),
                             "A header is part of its message: lower it or raise limits.message.",
                             "limits.header is larger than limits.message");
    if (s->limits.bytes_in_flight / s->gate.count < s->limits.message_bytes)
        settings_problem_add(r->problems, settings_line(s, "limits.bytes_in_flight"),
                             "Each gate has its part of it, in which one message of full size must "
                             "fit: raise it, or lower limits.message or gate.count.",
                             "limits.bytes_in_flight is smaller than limits.message times "
                             "gate.count");
    if (s->https.bytes_per_address >= s->https.bytes)
        settings_problem_add(r->problems, settings_line(s, "https.bytes_per_address"),
                             "One address could take what there is for all: lower it, or raise "
                             "https.bytes.",
                             "https.bytes_per_address is not below https.bytes");
    if (strlen(s->admin.socket) > 107)
        settings_problem_add(r->problems, settings_line(s, "admin.socket"),
                             "The names of Unix sockets have at most 107 bytes.",
                             "admin.socket is too long");
    check_listens(r);
}

/* ---- the door ---- */

static void syntax_wrong(struct reading *r, const yaml_parser_t *parser)
{
    settings_problem_add(r->problems, (uint32_t)parser->problem_mark.line + 1,
                         "Look at the indentation, the colons and the quotes near this line.",
                         "this is not YAML: %s",
                         parser->problem ? parser->problem : "it cannot be read");
}

static void read_document(struct reading *r)
{
    yaml_node_t *root = yaml_document_get_root_node(&r->document);
    if (root && root->type == YAML_MAPPING_NODE)
        read_mapping(r, root, NULL);
    else if (root)
        settings_problem_add(r->problems, line_of(root), "Right would be \"key: value\" lines.",
                             "the file has no keys");
    check_together(r);
}

static void read_file(struct reading *r, yaml_parser_t *parser)
{
    if (!yaml_parser_load(parser, &r->document)) {
        syntax_wrong(r, parser);
        return;
    }
    read_document(r);
    yaml_document_delete(&r->document);
    if (!yaml_parser_load(parser, &r->document)) {
        syntax_wrong(r, parser);
        return;
    }
    yaml_node_t *second = yaml_document_get_root_node(&r->document);
    if (second)
        settings_problem_add(r->problems, line_of(second), "Remove the line --- and one part.",
                             "there is a second document in the file");
    yaml_document_delete(&r->document);
}

bool settings_parse(struct slice text, struct settings *ret, struct settings_problems *ret_problems)
{
    struct reading *r = mem_new(sizeof(*r));
    r->s = ret;
    r->problems = ret_problems;
    memset(ret, 0, sizeof(*ret));
    memset(ret_problems, 0, sizeof(*ret_problems));
    apply_defaults(ret);
    yaml_parser_t parser;
    if (text.n > SETTINGS_FILE_MAX) {
        settings_problem_add(ret_problems, 0, "A settings file has at most 256 KiB.",
                             "the file is too large");
    } else {
        must(yaml_parser_initialize(&parser));
        yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
        read_file(r, &parser);
        yaml_parser_delete(&parser);
    }
    mem_free(&r);
    if (ret_problems->n == 0)
        return true;
    memset(ret, 0, sizeof(*ret));
    return false;
}
