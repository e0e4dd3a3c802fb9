/* `staffetta check`: everything that a person would look at, one after the other. */
#include "cli/cli_int.h"

#include <stdio.h>

struct findings {
    const struct cli *c;
    json_t *list;
    bool has_failed;
};

/* `result`: "ok", "note" (worth knowing) or "FAIL". */
static void note(struct findings *f, const char *result, const char *what, const char *text)
{
    json_t *one = json_pack("{s:s, s:s, s:s}", "result", result, "what", what, "text", text);
    if (one) /* texts of the interface are UTF-8 */
        (void)json_array_append_new(f->list, one);
    f->has_failed = f->has_failed || strcmp(result, "FAIL") == 0;
}

static const char *text_at(const json_t *v, const char *path)
{
    const char *s = json_string_value(member_at(v, slice_str(path)));
    return s ? s : "";
}

static double number_at(const json_t *v, const char *path)
{
    return (double)json_integer_value(member_at(v, slice_str(path)));
}

/* Asks; a refusal is a finding of its own, and the answer's json is NULL. */
static struct answer look(struct findings *f, const char *method, const char *path,
                          const char *what)
{
    struct answer a = ask(f->c, method, path, NULL);
    if (a.status == 200 && a.json)
        return a;
    note(f, "FAIL", what, a.json ? text_at(a.json, "detail") : "The node gave no answer.");
    answer_finish(&a);
    return (struct answer){};
}

static bool check_node(struct findings *f)
{
    SCOPED(answer_finish) struct answer a = look(f, "GET", "/v1/status", "node");
    char text[200];
    if (!a.json)
        return false;
    bool is_open = json_is_true(json_object_get(a.json, "open"));
    note(f, is_open ? "ok" : "FAIL", "new mail", text_at(a.json, "text"));
    bool works = json_is_true(member_at(a.json, SLICE("store.ok")));
    note(f, works ? "ok" : "FAIL", "store",
         works ? "Changes are written and synced." : "It stopped accepting: the disk failed.");
    const json_t *search = json_object_get(a.json, "search");
    if (search)
        note(f, json_is_true(json_object_get(search, "complete")) ? "ok" : "note", "search",
             text_at(search, "text"));
    double size = number_at(a.json, "store.disk_total_bytes");
    double percent = size > 0 ? 100 * number_at(a.json, "store.disk_free_bytes") / size : 0;
    double alarm = number_at(a.json, "disk_alarm_percent"); /* store.alarm_percent */
    snprintf(text, sizeof(text), "%.0f %% of the disk are free; the alarm comes below %.0f %%.",
             percent, alarm);
    note(f, size == 0 ? "note" : percent < alarm ? "FAIL" : "ok", "disk", text);
    return true;
}

static void check_primary(struct findings *f, const json_t *primary)
{
    SCOPED(buf_finish) struct buf path = buf_make(2000);
    const char *name = text_at(primary, "name");
    buf_adds(&path, SLICE("/v1/primaries/"));
    add_escaped(&path, slice_str(name));
    buf_adds(&path, SLICE("/check"));
    add_query(&path, "tenant", slice_str(text_at(primary, "tenant")));
    SCOPED(answer_finish) struct answer a = look(f, "POST", buf_cstr(&path), name);
    if (a.json)
        note(f, json_is_true(json_object_get(a.json, "ok")) ? "ok" : "FAIL", name,
             text_at(a.json, "text"));
}

static void check_primaries(struct findings *f)
{
    SCOPED(answer_finish) struct answer a = look(f, "GET", "/v1/primaries", "mail systems");
    const json_t *all = json_object_get(a.json, "primaries");
    if (a.json && json_array_size(all) == 0)
        note(f, "note", "mail systems", "None yet: staffetta primary add.");
    for (size_t i = 0; i < json_array_size(all); i++)
        check_primary(f, json_array_get(all, i));
}

/* Without a complete list nobody is refused as unknown, and mistakes wait instead of bouncing. */
static void check_people(struct findings *f)
{
    SCOPED(answer_finish) struct answer a = look(f, "GET", "/v1/tenants", "companies");
    const json_t *all = json_object_get(a.json, "tenants");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *t = json_array_get(all, i);
        bool has_list = text_at(t, "complete_at")[0] != '\0';
        note(f, has_list ? "ok" : "note", text_at(t, "name"),
             has_list ? "Its list of people is complete."
                      : "Its list of people was never complete, so unknown recipients are asked to "
                        "try again, not refused: staffetta person import --complete.");
    }
}

/* Mail between colleagues of a domain whose MX is the primary never passes here. */
static void check_domains(struct findings *f)
{
    SCOPED(answer_finish) struct answer a = look(f, "GET", "/v1/domains", "domains");
    const json_t *all = json_object_get(a.json, "domains");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *d = json_array_get(all, i);
        if (strcmp(text_at(d, "form"), "second") == 0)
            note(f, "note", text_at(d, "name"),
                 "We are the second MX: mail that only the primary sees is not kept here until "
                 "journal copies or synchronisation are set up.");
    }
}

/* What is watched, as far as it is not well; each primary's own lines were there before. */
static void check_watches(struct findings *f)
{
    SCOPED(answer_finish) struct answer a = look(f, "GET", "/v1/watches", "watches");
    const json_t *all = json_object_get(a.json, "watches");
    size_t n_well = 0;
    for (size_t i = 0; i < json_array_size(all); i++) {
        SCOPED(buf_finish) struct buf text = buf_make(4000);
        const json_t *w = json_array_get(all, i);
        const char *class = text_at(w, "class");
        bool is_alarm = strcmp(class, "alarm") == 0;
        n_well += strcmp(class, "ok") == 0;
        if (!is_alarm && strcmp(class, "notice") != 0)
            continue;
        buf_addf(&text, "%s: %s. %s %s", text_at(w, "title"), text_at(w, "found"),
                 text_at(w, "why"), text_at(w, "advice"));
        note(f, is_alarm ? "FAIL" : "note", text_at(w, "name"), buf_cstr(&text));
    }
    if (n_well > 0) {
        char text[100];
        snprintf(text, sizeof(text), "%zu of %zu are well.", n_well, json_array_size(all));
        note(f, "ok", "watches", text);
    }
}

static void check_ledger(struct findings *f)
{
    SCOPED(answer_finish) struct answer a = look(f, "GET", "/v1/ledger", "ledger");
    if (a.json)
        note(f, json_is_true(json_object_get(a.json, "balanced")) ? "ok" : "FAIL", "ledger",
             text_at(a.json, "text"));
}

int run_check(struct cli *c)
{
    struct findings f = {.c = c, .list = json_array()};
    if (check_node(&f)) {
        check_primaries(&f);
        check_people(&f);
        check_domains(&f);
        check_watches(&f);
        check_ledger(&f);
    }
    if (c->is_json) {
        SCOPED(buf_finish) struct buf b = buf_make(ANSWER_MAX);
        json_t *all = json_pack("{s:b, s:O}", "ok", !f.has_failed, "checks", f.list);
        char *text = json_dumps(all, JSON_COMPACT);
        buf_adds(&b, slice_str(text));
        print(&b);
        mem_free(&text);
        json_decref(all);
    } else {
        for (size_t i = 0; i < json_array_size(f.list); i++) {
            SCOPED(buf_finish) struct buf b = buf_make(8000);
            const json_t *one = json_array_get(f.list, i);
            buf_addf(&b, "%-4s  ", text_at(one, "result"));
            add_safe(&b, slice_str(text_at(one, "what")));
            buf_adds(&b, SLICE(": "));
            add_safe(&b, slice_str(text_at(one, "text")));
            print(&b);
        }
    }
    json_decref(f.list);
    return f.has_failed ? EXIT_FAILED : EXIT_FINE;
}
