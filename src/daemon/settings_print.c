/* The settings as text: in effect (YAML), and the table as the operator's pages. */
#include "daemon/settings_int.h"

#include <stdio.h>

/* ---- in effect ---- */

static void networks_add(const char *key, const struct settings_networks *list, struct buf *ret)
{
    static const struct settings_row row = {.type = SETTINGS_NETWORKS};
    if (list->n == 0)
        return;
    buf_addf(ret, ", %s: ", key);
    settings_value_text(&row, list, ret);
}

static void listen_add(const struct settings_listen *l, struct buf *ret)
{
    static const char *const tls[] = {"none", "starttls", "implicit"};
    char at[64];
    settings_address_text(&l->at, at);
    buf_addf(ret, "  - {for: %s, at: \"%s\", tls: %s", settings_service_name(l->service), at,
             tls[l->tls]);
    networks_add("proxy", &l->proxy, ret);
    networks_add("xclient", &l->xclient, ret);
    buf_adds(ret, SLICE("}\n"));
}

void settings_print(const struct settings *s, struct buf *ret)
{
    char section[64] = "";
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct settings_row *row = &settings_rows[i];
        struct slice key;
        struct slice above = slice_cut(slice_str(row->key), '.', &key);
        if (key.n > 0 && !slice_eq(above, slice_str(section))) {
            snprintf(section, sizeof(section), SLICE_FMT, SLICE_ARG(above));
            buf_addf(ret, "%s:\n", section);
        }
        if (row->type == SETTINGS_LISTENS) {
            buf_addf(ret, "%s:\n", row->key);
            for (uint32_t k = 0; k + 1 < s->n_listens; k++)
                listen_add(&s->listens[k], ret);
            continue;
        }
        buf_addf(ret, "  " SLICE_FMT ": ", SLICE_ARG(key));
        settings_value_text(row, settings_field_of(s, row), ret);
        buf_addc(ret, '\n');
    }
}

/* ---- the table ---- */

static const struct {
    const char *key, *type, *fallback, *sentence;
} listen_keys[] = {
#define SETTING(...)
#define LISTEN_KEY(key, type, fallback, sentence) {key, type, fallback, sentence},
#include "daemon/settings.def"
#undef SETTING
};

static void advice_of(const struct settings_row *row, char ret[240])
{
    if (row->type == SETTINGS_LISTENS)
        snprintf(ret, 240, "a list of at most 16 entries");
    else
        settings_value_advice(row, ret);
}

static const char *fallback_of(const struct settings_row *row)
{
    if (!row->fallback)
        return "must be given";
    return row->fallback[0] ? row->fallback : "not set";
}

void settings_markdown(struct buf *ret)
{
    char advice[240];
    buf_adds(ret, SLICE("# Settings\n\n"
                        "The keys of `staffetta.yaml`. Made from the program's own table by\n"
                        "`staffetta settings --markdown`; do not edit. `staffetta serve --check` "
                        "judges a file,\n`staffetta serve --print-config` shows what is in effect. "
                        "An unknown key, a key given twice or\na wrong value refuses the start. "
                        "Keys with *reload* change on SIGHUP (`systemctl reload\n"
                        "staffetta`), the others need a restart.\n\n"
                        "| key | value | default | |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct settings_row *row = &settings_rows[i];
        advice_of(row, advice);
        buf_addf(ret, "| `%s` | %s | %s | %s%s |\n", row->key, advice, fallback_of(row),
                 row->sentence, row->is_reloadable ? " *reload*" : "");
    }
    buf_adds(ret, SLICE("\n## Entries of `listen`\n\n| key | value | default | |\n"
                        "|---|---|---|---|\n"));
    for (size_t i = 0; i < sizeof(listen_keys) / sizeof(listen_keys[0]); i++)
        buf_addf(ret, "| `%s` | %s | %s | %s |\n", listen_keys[i].key, listen_keys[i].type,
                 listen_keys[i].fallback, listen_keys[i].sentence);
}

static void manual_entry(struct buf *ret, const char *key, const char *fallback, const char *value,
                         const char *sentence)
{
    buf_addf(ret, ".TP\n.B %s\n%s\nValue: %s.\nDefault: %s.\n", key, sentence, value, fallback);
}

void settings_manual(struct buf *ret)
{
    char advice[240], sentence[600];
    buf_adds(
        ret,
        SLICE(".\\\" Made by staffetta settings --manual; do not edit.\n"
              ".TH STAFFETTA.YAML 5 \"\" \"Staffetta\" \"Staffetta\"\n"
              ".SH NAME\nstaffetta.yaml \\- settings of a Staffetta node\n"
              ".SH DESCRIPTION\n"
              "YAML: a section and below it, indented, its keys. What belongs to a company\n"
              "(domains, people, plans) is not here but in the store. An unknown key, a key\n"
              "given twice or a wrong value refuses the start; staffetta serve --check judges\n"
              "a file without starting.\n"
              ".SH KEYS\n"));
    for (size_t i = 0; i < SETTINGS_ROWS; i++) {
        const struct settings_row *row = &settings_rows[i];
        advice_of(row, advice);
        snprintf(sentence, sizeof(sentence), "%s%s", row->sentence,
                 row->is_reloadable ? "\nCan be changed while running (SIGHUP)." : "");
        manual_entry(ret, row->key, fallback_of(row), advice, sentence);
    }
    buf_adds(ret, SLICE(".SH ENTRIES OF LISTEN\n"));
    for (size_t i = 0; i < sizeof(listen_keys) / sizeof(listen_keys[0]); i++)
        manual_entry(ret, listen_keys[i].key, listen_keys[i].fallback, listen_keys[i].type,
                     listen_keys[i].sentence);
    buf_adds(ret, SLICE(".SH EXAMPLE\n.nf\n"
                        "node:     {name: mx1.example.com, data: /var/lib/staffetta}\n"
                        "network:  {internet: true, resolver: [127.0.0.1:53]}\n"
                        "listen:\n"
                        "  - {for: smtp, at: 0.0.0.0:25}\n"
                        "  - {for: submission, at: 0.0.0.0:465, tls: implicit}\n"
                        "tls:      {certificate: /etc/staffetta/tls.crt, key: "
                        "/etc/staffetta/tls.key}\n"
                        "limits:   {message: 50 MiB}\n"
                        ".fi\n.SH SEE ALSO\nstaffetta(8)\n"));
}
