/* Keys, and what a signature of ours looks like. That it verifies is tested where the verifier is
 * (trust), and with python3-dkim (tests/conformance). */
#include "sign/sign.h"
#include "sign/canon.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static const char message[] = "Received: from a\r\n"
                              "From: Ann <ann@example.com>\r\n"
                              "To: bob@example.net\r\n"
                              "References: <1@x>\r\n"
                              "\t<2@x>\r\n"
                              "Subject: hello\r\n"
                              "\r\n"
                              "text\r\n";

static struct sign_key *key_of(enum sign_key_kind kind)
{
    struct sign_key *key = NULL;
    struct errinfo ei;
    assert_int_equal(sign_key_create(kind, &key, &ei), ERR_OK);
    return key;
}

static void a_key_goes_out_and_comes_back_the_same(void **)
{
    for (int kind = 0; kind < SIGN_KEY_N; kind++) {
        struct errinfo ei;
        SCOPED(sign_key_destroy) struct sign_key *key = key_of((enum sign_key_kind)kind);
        SCOPED(sign_key_destroy) struct sign_key *again = NULL;
        SCOPED(buf_finish) struct buf record = buf_make(2000);
        SCOPED(buf_finish) struct buf record_again = buf_make(2000);
        SCOPED(sign_wipe) struct buf pem = buf_make(SIGN_PEM_MAX);
        assert_int_equal(sign_key_pem(key, &pem, &ei), ERR_OK);
        assert_true(slice_starts(buf_slice(&pem), SLICE("-----BEGIN PRIVATE KEY-----\n")));
        assert_int_equal(sign_key_load(buf_slice(&pem), &again, &ei), ERR_OK);
        assert_int_equal(sign_key_record(key, &record, &ei), ERR_OK);
        assert_int_equal(sign_key_record(again, &record_again, &ei), ERR_OK);
        assert_string_equal(buf_cstr(&record), buf_cstr(&record_again));
        struct sign_tags t;
        assert_true(sign_tags_parse(buf_slice(&record), &t));
        assert_true(slice_eq(*sign_tags_get(&t, "v"), SLICE("DKIM1")));
        assert_true(slice_eq(*sign_tags_get(&t, "k"),
                             kind == SIGN_KEY_RSA2048 ? SLICE("rsa") : SLICE("ed25519")));
        uint8_t raw[1000];
        size_t n;
        assert_true(sign_base64_read(*sign_tags_get(&t, "p"), raw, sizeof(raw), &n));
        assert_int_equal(n, kind == SIGN_KEY_RSA2048 ? 294 : 32);
    }
}

static void what_is_no_usable_key_is_refused_without_asking_anybody(void **)
{
    static const char *const bad[] = {
        "",
        "nonsense",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        /* encrypted: must not prompt for a pass phrase */
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiULPpnzPuK2wICCAAw\n"
        "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMzHxxZo1f6a2XE+95OhaA8EQMZ7\n"
        "T2V6XTTHXwBazqr40en+eJhhBlCnh5Jf9oZdmVrRiAMJEUTvkak/HBJy1qrhjHwt\n"
        "tc6hILu3yJzYSQQ7ZzQ=\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n",
        /* P-256 */
        "-----BEGIN PRIVATE KEY-----\n"
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRP5oUgnifiXv/c6S\n"
        "zDWAsCklO75DT165rvNqfSHHO6qhRANCAAQ4cbkDuldM66OaUlHCby7mFKGWrHJe\n"
        "elE63+JobM2CZoMYHMc3ajygft4v4uXNwmwy44AHpdGeHnmM3fdtWnAf\n"
        "-----END PRIVATE KEY-----\n",
        /* RSA of 512 bits */
        "-----BEGIN RSA PRIVATE KEY-----\n"
        "MIIBOgIBAAJBALJJRkO9DdpcEiEP2EuRJU9+MMaG5IzkQ/LIHR2jqlrN/8suVDPM\n"
        "9oUVhFWQH0Z13UamgSPj9vY2EgeOKKLmCNcCAwEAAQJAEkBIDiUrZuAoBvRtSwcX\n"
        "z7R2X8xtVzMC9bagrGkVxmfGZ4YijYETcO97egatYmmCEaM6MU2gAh7eXkIURBbv\n"
        "CQIhAOKss+KWw/GpbsyPKJKoraH7hOhrWyD7Z2KohKwgKV1lAiEAyVn71WjZg8Uk\n"
        "IGJPm9Z9FKwd5tj5u4vPsle7W4k3V4sCHzNa7WZowfv+ZxvxUz/m92+7jGEb8YmH\n"
        "a+TuSSC2KKkCIQCb3Zhgv2WB553ro67Uh9kTo5kSFmxbjgMdn2Rdm37HuQIhAIm/\n"
        "xDhh5FhMZ4+WaebtwxW63ILynI2OY91j70Sh0Dzz\n"
        "-----END RSA PRIVATE KEY-----\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sign_key *key = NULL;
        struct errinfo ei = {};
        assert_int_equal(sign_key_load(slice_str(bad[i]), &key, &ei), ERR_INVALID);
        assert_null(key);
        assert_true(ei.text[0] != '\0');
    }
}

static void a_key_in_the_old_form_is_read_too(void **)
{
    static const char pkcs1[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                                "MIICWwIBAAKBgQDdRYmYjyJ++2tWSjhRnDFD1M8eaXxxCvy6KgoM9hPcijk5+gPU\n"
                                "MsCJ81h+EqWipUWVKQvb2LYF01p1JVzVCEB05/mAgTMlRyBSOdoSLTczH5tU5ZUO\n"
                                "7pjjgw8WAU9B6ymO5fjoOY4T6nYW94GL7yLdI6SXlKKBkubA1aFTQDzZiwIDAQAB\n"
                                "AoGAX9zljOPONSdlzF+hYLIDofiLtwhKcospDNpzukPOPQjhXB3WFNPcGKgF2bDo\n"
                                "c7uYltPOoHOWAJYdpY0HWAAYM/+ln1jIekkpA0BKICJrh/Qi1TvSyrgkbzgDzLZT\n"
                                "Tuba5KltieHQzZ8hpjHkCkWp9MJ7PwwsWXapD9wubUtmmAECQQDvSpiyoHAvnNw5\n"
                                "OXux58M9dTviwdvw0Z++x1VDAaBHw1z5Ort1UK580MoT+DuSWlLP8HtkxYfgGCGb\n"
                                "x7NlZPwBAkEA7LjVHxlrXmfyz/1sxr5luZq6tBzGwEt3slQifz42Iqg+ayGz/WyQ\n"
                                "yc7V5U97WtfBjENGeDvGryH7aBCqKXwFiwJACfIrzqDkiNYYQTimb4qWjuNkjdRI\n"
                                "9AWCgkd+v749jz4Li0BpskKcPgvfmlzi/P5MGuCAAHxFXYcjPnpadohwAQJAA4Z9\n"
                                "Jglq3+0MYKyVgiAzw5/aR/RlwVdeYPl/ygVTKRD4XQATfiKvxVGfPdsBK0krSLt3\n"
                                "wTKistj+tX4KCrQeIQJAPA8kwuzI+ve1A00IuVWsVDGXhIUwjegBV7jwLtvs3x4d\n"
                                "9Z4k+kp0M6pZGYJpdQCwk0M9absvkQt5LsrhKDXVYA==\n"
                                "-----END RSA PRIVATE KEY-----\n";
    SCOPED(sign_key_destroy) struct sign_key *key = NULL;
    struct errinfo ei;
    assert_int_equal(sign_key_load(slice_str(pkcs1), &key, &ei), ERR_OK);
    assert_string_equal(sign_key_algorithm(key), "rsa-sha256");
}

/* The tags of the one signature that `out` holds. */
static void tags_of(const struct buf *out, struct sign_tags *ret)
{
    struct slice rest = buf_slice(out);
    struct sign_field f;
    assert_true(sign_field_next(&rest, &f));
    assert_int_equal(rest.n, 0);
    assert_true(sign_field_is(&f, SLICE("DKIM-Signature")));
    assert_true(sign_tags_parse(f.value, ret));
}

static void a_signature_names_what_is_there_and_closes_what_must_not_be_added(void **)
{
    SCOPED(sign_key_destroy) struct sign_key *key = key_of(SIGN_KEY_ED25519);
    SCOPED(buf_finish) struct buf out = buf_make(10000);
    struct sign_dkim with = {.key = key,
                             .domain = SLICE("example.com"),
                             .selector = SLICE("s1"),
                             .now = 1700000000123,
                             .lifetime_sec = 3600};
    struct errinfo ei;
    struct sign_tags t;
    assert_int_equal(sign_dkim(&with, slice_str(message), &out, &ei), ERR_OK);
    tags_of(&out, &t);
    assert_true(slice_eq(*sign_tags_get(&t, "a"), SLICE("ed25519-sha256")));
    assert_true(slice_eq(*sign_tags_get(&t, "c"), SLICE("relaxed/relaxed")));
    assert_true(slice_eq(*sign_tags_get(&t, "d"), SLICE("example.com")));
    assert_true(slice_eq(*sign_tags_get(&t, "s"), SLICE("s1")));
    assert_true(slice_eq(*sign_tags_get(&t, "t"), SLICE("1700000000")));
    assert_true(slice_eq(*sign_tags_get(&t, "x"), SLICE("1700003600")));
    SCOPED(buf_finish) struct buf names = buf_make(1000);
    struct slice h = *sign_tags_get(&t, "h");
    for (size_t i = 0; i < h.n; i++)
        if (!sign_is_blank(h.p[i]))
            buf_addc(&names, h.p[i]);
    assert_string_equal(buf_cstr(&names),
                        "From:From:Reply-To:To:To:Cc:Subject:Subject:Date:Message-ID:References:"
                        "MIME-Version:Content-Type:Content-Transfer-Encoding");
    for (struct slice rest = buf_slice(&out); rest.n > 0;)
        assert_true(slice_cut(rest, '\n', &rest).n <= 79);
}

static void what_cannot_be_signed_is_refused_and_nothing_is_added(void **)
{
    SCOPED(sign_key_destroy) struct sign_key *key = key_of(SIGN_KEY_ED25519);
    const struct {
        const char *domain, *selector, *message;
        size_t room;
        enum err want;
    } rows[] = {
        {"example.com", "s1", "To: x\r\n\r\n", 10000, ERR_INVALID},
        {"example.com", "s1", "From: x\r\nFROM: y\r\n\r\n", 10000, ERR_INVALID},
        {"example..com", "s1", message, 10000, ERR_INVALID},
        {"exam;ple.com", "s1", message, 10000, ERR_INVALID},
        {"example.com", "", message, 10000, ERR_INVALID},
        {"example.com", "s1\r\n", message, 10000, ERR_INVALID},
        {"example.com", "s1", message, 100, ERR_FULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf out = buf_make(rows[i].room);
        struct sign_dkim with = {.key = key,
                                 .domain = slice_str(rows[i].domain),
                                 .selector = slice_str(rows[i].selector)};
        struct errinfo ei;
        assert_int_equal(sign_dkim(&with, slice_str(rows[i].message), &out, &ei), rows[i].want);
        assert_int_equal(out.n, 0);
    }
}

static void a_header_too_large_is_not_signed(void **)
{
    SCOPED(sign_key_destroy) struct sign_key *key = key_of(SIGN_KEY_ED25519);
    SCOPED(buf_finish) struct buf text = buf_make(100000), out = buf_make(100000);
    for (int i = 0; i <= SIGN_FIELDS_MAX; i++)
        buf_adds(&text, SLICE("X: y\r\n"));
    buf_adds(&text, SLICE("From: a@example.com\r\n\r\n"));
    struct sign_dkim with = {.key = key, .domain = SLICE("a.example"), .selector = SLICE("s")};
    struct errinfo ei;
    assert_int_equal(sign_dkim(&with, buf_slice(&text), &out, &ei), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_goes_out_and_comes_back_the_same),
        cmocka_unit_test(what_is_no_usable_key_is_refused_without_asking_anybody),
        cmocka_unit_test(a_key_in_the_old_form_is_read_too),
        cmocka_unit_test(a_signature_names_what_is_there_and_closes_what_must_not_be_added),
        cmocka_unit_test(what_cannot_be_signed_is_refused_and_nothing_is_added),
        cmocka_unit_test(a_header_too_large_is_not_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
