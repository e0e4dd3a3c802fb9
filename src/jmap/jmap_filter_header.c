/* The condition `header` of Email/query (RFC 8621 section 4.4.1).
 *
 * Any field of any message may be asked for, and the index holds a few of them only: the headers
 * are read from the stored bytes, by a gate, one message after another until the request's time is
 * over. The answer is that of all messages, or none is given. */
#include "jmap/jmap_email_int.h"

#include "mime/mime.h"

struct asking {
    struct jmap_email_reading reading;
    const char *part; /* NULL: the field is there */
};

/* As it stands there, and where the field may have that form, as people read it. */
static bool parse_want(struct asking *a, const char *name)
{
    struct jmap_run *r = a->reading.r;
    struct errinfo ei;
    json_t *raw = json_sprintf("header:%s:asRaw:all", name);
    json_t *text = json_sprintf("header:%s:asText:all", name);
    json_t *both = json_pack("{s:[O, O]}", "properties", raw, text);
    json_t *one = json_pack("{s:[O]}", "properties", raw);
    enum err err = email_want_parse(both, EMAIL_CALL_GET, r->arena, &a->reading.want, &ei);
    if (err != ERR_OK)
        err = email_want_parse(one, EMAIL_CALL_GET, r->arena, &a->reading.want, &ei);
    json_decref(raw);
    json_decref(text);
    json_decref(both);
    json_decref(one);
    return err == ERR_OK;
}

static bool is_in(const json_t *fields, const char *part)
{
    const json_t *all, *one;
    const char *key;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)fields, key, all)
    {
        json_array_foreach(all, i, one)
        {
            if (!part || jmap_contains(slice_str(json_string_value(one)), slice_str(part)))
                return true;
        }
    }
    return false;
}

/* One whose bytes were given up meanwhile is on its way out of the account: it does not match. */
static enum err judge(struct asking *a, uint64_t message, bool *ret, struct errinfo *ei)
{
    struct jmap_run *r = a->reading.r;
    char blob[JMAP_ID_TEXT];
    SCOPED(buf_finish) struct buf bytes = buf_make(STORE_MESSAGE_MAX);
    *ret = false;
    jmap_id('M', message, blob);
    if (jmap_is_late(r))
        return jmap_late(ei);
    enum err err = r->host->read(r->host->arg, r->reader, message, &bytes, ei);
    if (err != ERR_OK)
        return err == ERR_GONE ? ERR_OK : err;
    size_t n = mime_split(buf_slice(&bytes)).body_offset;
    size_t n_bytes = r->n_bytes, n_values = r->n_values;
    json_t *fields = json_object();
    err = jmap_email_render(&a->reading, slice_of(bytes.p, n), blob, fields, ei);
    *ret = err == ERR_OK && is_in(fields, a->part);
    json_decref(fields);
    r->n_bytes = n_bytes; /* nothing of it is in an answer */
    r->n_values = n_values;
    return err;
}

/* In the scratch, all but the answer. */
static enum err judge_all(struct asking *a, const struct account_filter *among,
                          struct account_filter *ret, struct errinfo *ei)
{
    struct jmap_run *r = a->reading.r;
    struct account_result all;
    size_t n = 0;
    const struct account_query q = {
        .filter = among, .limit = account_n_emails(r->account), .until = r->until};
    enum err err = account_query(r->account, r->reader, &q, r->arena, &all, ei);
    for (size_t i = 0; err == ERR_OK && i < all.n_ids; i++) {
        bool is = false;
        err = judge(a, all.ids[i], &is, ei);
        if (is)
            all.ids[n++] = all.ids[i];
    }
    if (err == ERR_OK)
        jmap_filter_one_of(ret, r->whole, all.ids, n);
    return err;
}

bool jmap_filter_header(struct jmap_run *r, const struct jmap_call *c, const json_t *value,
                        const struct account_filter *among, struct account_filter *ret)
{
    struct asking a = {.reading.r = r, .part = json_string_value(json_array_get(value, 1))};
    const char *name = json_string_value(json_array_get(value, 0));
    size_t n = json_array_size(value);
    struct errinfo ei;
    bool is_good = name && (n == 1 || (n == 2 && a.part));
    jmap_scratch_begin(r);
    is_good = is_good && parse_want(&a, name);
    enum err err = is_good && among ? judge_all(&a, among, ret, &ei) : ERR_OK;
    jmap_scratch_end(r);
    if (!is_good)
        jmap_refuse(r, c, "invalidArguments", "the filter's `header` is [name] or [name, text]");
    else if (err != ERR_OK)
        jmap_refuse_err(r, c, err, &ei);
    return is_good && err == ERR_OK;
}
