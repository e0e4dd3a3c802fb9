/* Short questions to one person's JMAP: ' stands for ", and $NAME for what `keep` kept by that
 * name. For tests: include it in one file of a program. */
#ifndef JMAP_TEST_JMAP_ASK_H
#define JMAP_TEST_JMAP_ASK_H

#include "jmap_kit.h"

#pragma GCC diagnostic ignored "-Wunused-function"

enum { ASK_NAMES = 40, ASK_TEXT = 150000 };

static struct kit *k; /* of the test that runs */
static struct {
    char name[20], value[100];
} kept[ASK_NAMES];

static int ask_open(void **)
{
    k = mem_new(sizeof(*k));
    kit_open(k);
    memset(kept, 0, sizeof(kept));
    return 0;
}

static int ask_close(void **)
{
    kit_close(k);
    mem_free(&k);
    return 0;
}

static void keep_text(const char *name, const char *value)
{
    size_t i = 0;
    while (kept[i].name[0] && strcmp(kept[i].name, name) != 0)
        must(++i < ASK_NAMES);
    snprintf(kept[i].name, sizeof(kept[i].name), "%s", name);
    snprintf(kept[i].value, sizeof(kept[i].value), "%s", value);
}

/* What was kept by the name at the start of `text`; NULL: nothing. */
static const char *kept_at(const char *text, size_t *ret_n)
{
    size_t n = 0;
    while (text[n] >= 'A' && text[n] <= 'Z')
        n++;
    for (size_t i = 0; n && i < ASK_NAMES; i++)
        if (strlen(kept[i].name) == n && memcmp(kept[i].name, text, n) == 0) {
            *ret_n = n;
            return kept[i].value;
        }
    return NULL;
}

/* With what was kept put in its place; the caller's. */
static char *filled(const char *text)
{
    SCOPED(buf_finish) struct buf b = buf_make(ASK_TEXT);
    for (; *text; text++) {
        size_t n = 0;
        const char *value = *text == '$' ? kept_at(text + 1, &n) : NULL;
        if (value)
            buf_addf(&b, "%s", value);
        else
            buf_addc(&b, *text);
        text += n;
    }
    must(!b.failed);
    return mem_str(buf_cstr(&b));
}

/* The answer to one call; the caller's. */
static json_t *ask(const char *method, const char *args)
{
    char *text = filled(args);
    json_t *a = kit_call(k, method, text);
    mem_free(&text);
    return a;
}

static void expect(const json_t *o, const char *path, const char *want)
{
    char *place = filled(path), *wanted = filled(want);
    json_t *found = (json_t *)(uintptr_t)kit_at(o, place);
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    for (char *p = wanted; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (!text || strcmp(text, wanted) != 0)
        fail_msg("%s is %s, not %s, in %s", place, text ? text : "not there", wanted,
                 json_dumps(o, JSON_INDENT(1)));
    free(text);
    mem_free(&place);
    mem_free(&wanted);
}

/* One call, and one thing of its answer. */
static void check(const char *method, const char *args, const char *path, const char *want)
{
    json_t *a = ask(method, args);
    expect(a, path, want);
    json_decref(a);
}

static void keep(const char *name, const char *method, const char *args, const char *path)
{
    json_t *a = ask(method, args);
    if (!json_is_string(kit_at(a, path)))
        fail_msg("no %s in %s", path, json_dumps(a, JSON_INDENT(1)));
    keep_text(name, kit_text(a, path));
    json_decref(a);
}

/* The mailbox of this role, as $NAME. */
static void keep_box(const char *name, const char *role)
{
    char args[100];
    snprintf(args, sizeof(args), "'filter':{'role':'%s'}", role);
    keep(name, "Mailbox/query", args, "ids.0");
}

/* An upload of these bytes (JSON escapes), as $NAME. */
static void keep_blob(const char *name, const char *text)
{
    SCOPED(buf_finish) struct buf args = buf_make(ASK_TEXT);
    buf_addf(&args, "'create':{'b':{'data':[{'data:asText':'%s'}]}}", text);
    keep(name, "Blob/upload", buf_cstr(&args), "created.b.id");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, ask_open, ask_close)

#endif
