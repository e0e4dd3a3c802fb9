/* What the tests of this room share. Included after cmocka.h. */
#ifndef EMAIL_TEST_EMAIL_TEST_H
#define EMAIL_TEST_EMAIL_TEST_H

#include <stdlib.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char BLOB[] = "Maaaaaaaaaaaab";

/* JSON in the test's own text: ' stands for ". */
static inline json_t *json_of(const char *text)
{
    json_error_t error;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    for (const char *p = text; *p; p++)
        buf_addc(&b, *p == '\'' ? '"' : *p);
    json_t *v = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!v)
        fail_msg("%s: %s", error.text, text);
    return v;
}

static inline void check_json(const json_t *got, const char *expected, const char *of)
{
    json_t *want = json_of(expected);
    if (!json_equal(got, want)) {
        char *text = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);
        fail_msg("%s: %s\ninstead of %s", of, text, expected);
    }
    json_decref(want);
}

/* What a client that sends these arguments of Email/get is given. */
static inline json_t *render_slice(struct slice message, const char *args)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf packed = buf_make(EMAIL_WANT_BYTES_MAX);
    SCOPED(buf_finish) struct buf out = buf_make(16 << 20);
    struct email_want asked, want;
    struct errinfo ei = {0};
    json_t *v = json_of(args);
    if (email_want_parse(v, EMAIL_CALL_GET, a, &asked, &ei) != ERR_OK)
        fail_msg("%s: %s", args, ei.text);
    json_decref(v);
    email_want_pack(&packed, &asked);
    assert_true(email_want_unpack(buf_slice(&packed), a, &want));
    if (email_render(message, slice_str(BLOB), &want, &out, &ei) != ERR_OK)
        fail_msg("%s: %s", args, ei.text);
    json_error_t error;
    json_t *ret = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    if (!ret)
        fail_msg("%s: %.*s", error.text, (int)out.n, out.p);
    return ret;
}

static inline json_t *render(const char *message, const char *args)
{
    return render_slice(slice_str(message), args);
}

#endif
