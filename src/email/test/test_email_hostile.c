/* Messages made to be expensive: 50 MB of everything, within a second and 64 MiB. Work is looked at
 * loosely, since other programs share the machine; memory exactly. */
#include "email/email.h"

#include "mime/text.h"

#include <sys/resource.h>
#include <time.h>

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "email/test/email_test.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SLOW 1
#endif
#endif
#ifndef IS_SLOW
#define IS_SLOW 0
#endif

enum {
    MEBI = 1024 * 1024,
    SIZE = IS_SLOW ? MEBI : 50 * MEBI,
    OUT_MAX = 4 * MEBI,
    RSS_KIB_MAX = 64 * 1024, /* besides the message */
    PROMISED_US = 1000 * 1000,
    NOT_LINEAR = 8,
};

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static long rss_kib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static const char EVERYTHING[] =
    "{'properties':['headers','from','to','header:To:asGroupedAddresses:all','references',"
    "'header:X:asURLs:all','bodyStructure','textBody','htmlBody','attachments','hasAttachment',"
    "'preview','bodyValues','subject','header:a:all'],'bodyProperties':['partId','blobId','size',"
    "'headers','name','type','charset','disposition','cid','language','location','subParts',"
    "'header:Content-Type:asText','header:x:asAddresses:all'],'fetchAllBodyValues':true}";

static void check_cost(const struct buf *m, const char *args, const char *what)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(MEBI);
    SCOPED(buf_finish) struct buf out = buf_make(OUT_MAX);
    struct email_want want;
    struct errinfo ei;
    json_t *v = json_of(args);
    assert_int_equal(email_want_parse(v, EMAIL_CALL_GET, a, &want, &ei), ERR_OK);
    json_decref(v);
    int64_t start = cpu_us();
    enum err err = email_render(buf_slice(m), slice_str(BLOB), &want, &out, &ei);
    int64_t spent = cpu_us() - start;
    assert_true(err == ERR_OK || err == ERR_LIMIT);
    json_t *got = err == ERR_OK ? json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (err == ERR_OK && !got)
        fail_msg("%s: no JSON", what);
    json_decref(got);
    if (!IS_SLOW && spent > PROMISED_US)
        printf("%s: %lld us\n", what, (long long)spent);
    if (!IS_SLOW && spent > NOT_LINEAR * PROMISED_US)
        fail_msg("%s: %lld us", what, (long long)spent);
}

#define IN_B "Content-Type: multipart/mixed; boundary=b\n\n"

static const struct shape {
    const char *what, *start, *unit;
} SHAPES[] = {
    {"a million parts", IN_B, "--b\n\nx\n"},
    {"a thousand parts with many fields", IN_B "--b\n", "x:\ny:\nz:\nx: a\n\n--b\n"},
    {"nested multiparts", "", "Content-Type: multipart/mixed; boundary=b\n\n--b\n"},
    {"addresses", "To: ", "a@b, "},
    {"addresses in many fields", "To: a@b\n", "To: a:b@c,d@e;\n"},
    {"fields", "X: y\n", "a:b\n"},
    {"one large text", "\n", "a line of it\n"},
    {"one large text to be escaped", "\n", "\x01\""},
    {"large HTML", "Content-Type: text/html\n\n", "<a b='"},
    {"base64", "Content-Transfer-Encoding: base64\n\n",
     "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\n"},
    {"quoted-printable", "Content-Transfer-Encoding: quoted-printable\n\n", "=41=\n"},
    {"bad letters", "Content-Type: text/plain; charset=gb2312\n\n", "\xff"},
    {"parts in base64", IN_B,
     "--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nYWFh\n"},
    {"comments in dispositions", IN_B, "--b\nContent-Disposition: ((((((((((((((((((((\n\nx\n"},
};

static void fifty_megabytes_of_anything_cost_a_second_and_64_mebibytes(void **)
{
    SCOPED(buf_finish) struct buf m = buf_make(SIZE + 1024);
    buf_reserve(&m, SIZE + 1024);
    memset(m.p, 1, SIZE); /* the message itself is not counted */
    long before = rss_kib();
    for (size_t i = 0; i < N_OF(SHAPES); i++) {
        const struct shape *s = &SHAPES[i];
        buf_clear(&m);
        buf_adds(&m, slice_str(s->start));
        while (m.n + strlen(s->unit) < SIZE)
            buf_adds(&m, slice_str(s->unit));
        check_cost(&m, EVERYTHING, s->what);
    }
    if (!IS_SLOW && rss_kib() - before > RSS_KIB_MAX)
        fail_msg("%ld KiB", rss_kib() - before);
}

/* Two hundred readings of large fields in each of a thousand parts. */
static void what_costs_too_much_to_find_is_refused(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(MEBI);
    SCOPED(buf_finish) struct buf m = buf_make(60 * MEBI), out = buf_make(OUT_MAX);
    struct email_want want;
    struct errinfo ei;
    json_t *args = json_of("{'properties':['bodyStructure']}"), *list = json_array();
    json_object_set_new(args, "bodyProperties", list);
    json_array_append_new(list, json_string("subParts"));
    for (int i = 1; i < EMAIL_PROPERTIES_MAX; i++) {
        char name[40] = "header:xxxxxxxx:asDate";
        for (int bit = 0; bit < 8; bit++)
            name[7 + bit] = i & 1 << bit ? 'X' : 'x';
        json_array_append_new(list, json_string(name));
    }
    assert_int_equal(email_want_parse(args, EMAIL_CALL_GET, a, &want, &ei), ERR_OK);
    json_decref(args);
    buf_adds(&m, SLICE(IN_B));
    for (int part = 0; part < 900; part++) {
        buf_addf(&m, "--b\nxxxxxxxx: ");
        for (int i = 0; i < 500; i++)
            buf_addf(&m, "((((((((((((((((((((((((((((((((((((((((((((((((((((((((");
        buf_addf(&m, "\n\n");
    }
    int64_t start = cpu_us();
    assert_int_equal(email_render(buf_slice(&m), slice_str(BLOB), &want, &out, &ei), ERR_LIMIT);
    assert_true(IS_SLOW || cpu_us() - start < NOT_LINEAR * PROMISED_US);
}

int main(void)
{
    (void)mime_charset_preload(); /* not to be timed */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_megabytes_of_anything_cost_a_second_and_64_mebibytes),
        cmocka_unit_test(what_costs_too_much_to_find_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
