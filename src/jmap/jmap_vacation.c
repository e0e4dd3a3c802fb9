/* The answer to whoever writes while the person is away (RFC 8621 section 8): what it says and from
 * when until when. Sending it is not done here. */
#include "jmap/jmap_int.h"

enum { SUBJECT_MAX = 1000, TEXT_MAX = 20000, HTML_MAX = 40000 };

static void read_item(struct jmap_run *r, struct jmap_item_vacation *ret)
{
    const struct account_item *item = account_item(r->account, ITEM_VACATION, JMAP_VACATION_ID);
    if (!item || item->is_gone || !jmap_item_vacation_unpack(item->body, r->arena, ret))
        *ret = (struct jmap_item_vacation){};
}

static json_t *text_or_null(struct slice s)
{
    return s.n ? jmap_text(s) : json_null();
}

static json_t *time_or_null(utc_ms t)
{
    return t ? jmap_utc(t) : json_null();
}

static json_t *make(struct jmap_run *r, uint64_t)
{
    struct jmap_item_vacation v;
    read_item(r, &v);
    return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "id", "singleton", "isEnabled",
                     v.is_enabled, "fromDate", time_or_null(v.from), "toDate",
                     time_or_null(v.until), "subject", text_or_null(v.subject), "textBody",
                     text_or_null(v.text), "htmlBody", text_or_null(v.html));
}

static uint64_t next(struct jmap_run *, size_t *at)
{
    return (*at)++ == 0 ? JMAP_VACATION_ID : 0;
}

static const char *const properties[] = {"id",      "isEnabled", "fromDate", "toDate",
                                         "subject", "textBody",  "htmlBody", NULL};
static const struct jmap_type vacation = {.name = "VacationResponse",
                                          .only = "singleton",
                                          .type = ACCOUNT_ITEM,
                                          .kind = ITEM_VACATION,
                                          .properties = properties,
                                          .make = make,
                                          .next = next};

void jmap_vacation_get(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_get(r, c, &vacation);
}

/* ---- set ---- */

struct wanted {
    struct jmap_run *r;
    struct jmap_item_vacation v;
    json_t *error;
};

static void wrong(struct wanted *w, const char *property, const char *why)
{
    if (!w->error)
        w->error = jmap_set_error("invalidProperties", property, "%s", why);
}

static void take_enabled(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    if (!json_is_boolean(value))
        wrong(w, "isEnabled", "true or false");
    w->v.is_enabled = json_is_true(value);
}

static void take_from(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->v.from = 0;
    if (!json_is_null(value) && !jmap_utc_parse(value, &w->v.from))
        wrong(w, "fromDate", "a UTC date is wanted, or null");
}

static void take_until(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->v.until = 0;
    if (!json_is_null(value) && !jmap_utc_parse(value, &w->v.until))
        wrong(w, "toDate", "a UTC date is wanted, or null");
}

static struct slice take_text(struct wanted *w, const char *property, const json_t *value,
                              size_t max)
{
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    if (text.n > max)
        jmap_count(REFUSE_JMAP_SIZE, property, w->r->who);
    if ((!json_is_string(value) && !json_is_null(value)) || text.n > max)
        wrong(w, property, "a text is wanted, and not a very long one, or null");
    return arena_copy(w->r->arena, text);
}

static void take_subject(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->v.subject = take_text(w, "subject", value, SUBJECT_MAX);
    for (size_t i = 0; i < w->v.subject.n; i++)
        if ((unsigned char)w->v.subject.p[i] < ' ')
            wrong(w, "subject", "a subject has no control characters");
}

static void take_text_body(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->v.text = take_text(w, "textBody", value, TEXT_MAX);
}

static void take_html_body(void *arg, const json_t *value)
{
    struct wanted *w = arg;
    w->v.html = take_text(w, "htmlBody", value, HTML_MAX);
}

static const struct jmap_property settable[] = {
    {"isEnabled", take_enabled}, {"fromDate", take_from},      {"toDate", take_until},
    {"subject", take_subject},   {"textBody", take_text_body}, {"htmlBody", take_html_body},
};

static json_t *write(struct wanted *w)
{
    struct errinfo ei;
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    jmap_item_vacation_pack(&body, &w->v);
    enum err err = jmap_item_put(w->r, ITEM_VACATION, JMAP_VACATION_ID, &body, &ei);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

static json_t *create(struct jmap_set *, json_t *, uint64_t *, json_t **)
{
    return jmap_set_error("singleton", NULL, "there is one, and it is there already");
}

static json_t *update(struct jmap_set *s, uint64_t id, json_t *patch, json_t **)
{
    struct wanted w = {.r = s->r};
    read_item(s->r, &w.v);
    json_t *now = make(s->r, id);
    json_t *then = json_deep_copy(now);
    w.error = jmap_patch(then, patch);
    const char *key =
        w.error ? NULL
                : jmap_take_all(settable, sizeof(settable) / sizeof(settable[0]), &w, then, now);
    if (key)
        wrong(&w, key, "there is no such property, or the server sets it");
    bool is_same = json_equal(now, then);
    json_decref(now);
    json_decref(then);
    if (!w.error && !is_same)
        w.error = write(&w);
    return w.error;
}

static json_t *destroy(struct jmap_set *, uint64_t)
{
    return jmap_set_error("singleton", NULL, "it may be switched off, but stays");
}

void jmap_vacation_set(struct jmap_run *r, const struct jmap_call *c)
{
    static const struct jmap_setter setter = {
        .type = &vacation, .create = create, .update = update, .destroy = destroy};
    (void)jmap_set_run(r, c, &setter);
}
