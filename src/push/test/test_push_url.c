/* Addresses that can be pushed to, as far as one sees it. */
#include "push/push.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void only_whole_encrypted_addresses_are_taken(void **)
{
    static const struct {
        const char *url;
        bool is_good;
    } rows[] = {
        {"https://push.example.test/abc?d=e", true},
        {"HTTPS://push.example.test", true},
        {"https://push.example.test:8443/", true},
        {"https://[2001:db8::1]/x", true},
        {"http://push.example.test/", false},
        {"https:/push.example.test/", false},
        {"https://", false},
        {"https:///x", false},
        {"https://:443/", false},
        {"https://anna@push.example.test/", false},
        {"https://push.example.test\\@inside/", false},
        {"https://push.example.test/a b", false},
        {"https://push.example.test/a\r\nX: y", false},
        {"https://push.example.test/\xc3\xa4", false},
        {"https://push.example.test/#x", false},
        {"ftp://push.example.test/", false},
        {"file:///etc/passwd", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(push_url_fault(slice_str(rows[i].url)) == NULL, rows[i].is_good);
    char text[PUSH_URL_MAX + 2];
    memset(text, 'x', sizeof(text));
    memcpy(text, "https://", 8);
    assert_null(push_url_fault(slice_of(text, PUSH_URL_MAX)));
    assert_non_null(push_url_fault(slice_of(text, PUSH_URL_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_whole_encrypted_addresses_are_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
