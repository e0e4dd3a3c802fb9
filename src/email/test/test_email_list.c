/* What lists show is what the bytes say, or it is said that it is not. */
#include "email/email_list.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static unsigned read_fields(struct arena *a, const char *message, struct mime_list_fields *f,
                            struct buf *to)
{
    mime_list_fields(slice_str(message), NULL, a, f);
    email_list_to_pack(f, to);
    SCOPED(buf_finish) struct buf address = buf_make(1000);
    buf_adds(&address, f->from.local);
    buf_addc(&address, '@');
    buf_adds(&address, f->from.domain);
    return email_list_not_exact(f, f->subject, f->from.name, buf_slice(&address));
}

static void what_is_not_exact_is_said(void **)
{
    static const struct {
        const char *message;
        bool is_exact;
    } cases[] = {
        {"From: a@b\nSubject: x\n\n", true},
        {"From: A B <a@b>\n\n", true},
        {"From: =?utf-8?q?J=C3=BCrgen?= <a@b>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\n", true},
        {"Subject: x\n\n", false},
        {"From: a@b, c@d\n\n", false},
        {"From: a@b\nFrom: c@d\n\n", false},
        {"From: a@b\nSubject: x\nSubject: y\n\n", false},
        {"From: a@b\nSubject: x=?utf-8?q?y?=\n\n", false},
        {"From: \"a b\"@c\n\n", false},
        {"From: Team: a@b;\n\n", false},
        {"From: root\n\n", false},
        {"From: a@b\nSubject: u\xcc\x88\n\n", false},
        {"From: u\xcc\x88 <a@b>\n\n", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        SCOPED(buf_finish) struct buf to = buf_make(1000);
        struct mime_list_fields f;
        bool is_exact = read_fields(a, cases[i].message, &f, &to) == 0;
        if (is_exact != cases[i].is_exact)
            fail_msg("%s: %d", cases[i].message, is_exact);
    }
}

static void recipients_come_back_as_they_were(void **)
{
    static const struct {
        const char *to, *expect, *first;
    } cases[] = {
        {"a@b", "|a@b;", "a@b"},
        {"Anna Rossi <a@b>, c@d", "Anna Rossi|a@b;|c@d;", "Anna Rossi"},
        {"\"Rossi, Anna\" <a@b>", "Rossi, Anna|a@b;", "Rossi, Anna"},
        {"undisclosed-recipients:;", "", ""},
        {"Team: Anna <a@b>, c@d;", "", "Anna"},
        {"a@b, \"x y\"@z", "", "a@b"},
        {"root", "", "root"},
        {"", "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
        SCOPED(buf_finish)
        struct buf to = buf_make(1000), message = buf_make(1000), found = buf_make(1000);
        struct mime_list_fields f;
        buf_addf(&message, "From: a@b\r\nTo: %s\r\n\r\n%c", cases[i].to, '\0');
        (void)read_fields(a, message.p, &f, &to); /* it is the recipients that count here */
        struct slice rest = buf_slice(&to), name, address;
        while (email_list_to_next(&rest, &name, &address))
            buf_addf(&found, "%.*s|%.*s;", (int)name.n, name.p, (int)address.n, address.p);
        struct slice first = email_list_to_first(buf_slice(&to));
        if (!slice_eq(buf_slice(&found), slice_str(cases[i].expect)) ||
            !slice_eq(first, slice_str(cases[i].first)))
            fail_msg("%s: %.*s, first %.*s", cases[i].to, (int)found.n, found.p, (int)first.n,
                     first.p);
    }
}

static void too_many_are_read_from_the_bytes(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf to = buf_make(100), message = buf_make(4000);
    struct mime_list_fields f;
    buf_addf(&message, "To: ");
    for (int i = 0; i < 50; i++)
        buf_addf(&message, "%s person%d@example.test", i ? "," : "", i);
    buf_addf(&message, "\r\n\r\n%c", '\0');
    (void)read_fields(a, message.p, &f, &to); /* it is the recipients that count here */
    struct slice rest = buf_slice(&to), name, address;
    assert_false(email_list_to_next(&rest, &name, &address));
    assert_true(slice_eq(email_list_to_first(buf_slice(&to)), SLICE("person0@example.test")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_exact_is_said),
        cmocka_unit_test(recipients_come_back_as_they_were),
        cmocka_unit_test(too_many_are_read_from_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
