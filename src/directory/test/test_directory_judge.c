/* Who is a recipient of ours: people, aliases, plus addresses, groups, roles, catch-all, and when
 * a stranger's address may be refused for good. */
#include "directory/directory.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void put(struct directory *d, enum object_kind kind, uint64_t id, const char *name,
                struct buf *body)
{
    struct record_object o = {.kind = (uint8_t)kind,
                              .id = id,
                              .tenant = kind == OBJECT_TENANT ? 0 : 1,
                              .name = slice_str(name),
                              .body = buf_slice(body)};
    struct errinfo ei;
    assert_int_equal(directory_apply(d, &o, &ei), ERR_OK);
    buf_finish(body);
}

static struct directory *company(bool has_catch_all)
{
    struct directory *d = directory_create();
    struct buf b = buf_make(10000);
    struct dir_tenant tenant = {SLICE("rossi")};
    dir_tenant_pack(&b, &tenant);
    put(d, OBJECT_TENANT, 1, "rossi", &b);
    struct dir_domain domain = {.name = SLICE("example.test"),
                                .primary = 7,
                                .form = DIR_INLINE,
                                .separators = SLICE("+"),
                                .catch_all =
                                    has_catch_all ? SLICE("anna@example.test") : SLICE("")};
    dir_domain_pack(&b, &domain);
    put(d, OBJECT_DOMAIN, 2, "example.test", &b);
    struct dir_text anna[] = {{SLICE("anna@example.test")}, {SLICE("info@example.test")}};
    struct dir_person person = {.name = SLICE("Anna"), .addresses = anna, .n_addresses = 2};
    dir_person_pack(&b, &person);
    put(d, OBJECT_PERSON, 3, "anna@example.test", &b);
    struct dir_text sales = {SLICE("sales@example.test")};
    struct dir_group group = {.name = SLICE("Sales"),
                              .addresses = &sales,
                              .n_addresses = 1,
                              .members = anna,
                              .n_members = 1};
    dir_group_pack(&b, &group);
    put(d, OBJECT_GROUP, 4, "sales@example.test", &b);
    return d;
}

static void a_company_of_before_languages_is_read(void **)
{
    struct directory *d = company(false);
    struct buf b = buf_make(1000);
    struct dir_tenant tenant = {SLICE("rossi"), SLICE("it")};
    dir_tenant_pack(&b, &tenant);
    put(d, OBJECT_TENANT, 1, "rossi", &b);
    assert_true(slice_eq(directory_tenant(d, 1)->facts.language, SLICE("it")));
    struct dir_tenant_1 old = {SLICE("rossi")};
    dir_tenant_1_pack(&b, &old);
    put(d, OBJECT_TENANT, 1, "rossi", &b);
    assert_true(slice_eq(directory_tenant(d, 1)->facts.name, SLICE("rossi")));
    assert_int_equal(directory_tenant(d, 1)->facts.language.n, 0);
    directory_destroy(&d);
}

static void selectors_of_a_domain_come_and_go(void **)
{
    struct directory *d = company(false);
    struct dir_text names[17] = {{SLICE("one")}, {SLICE("two")}};
    struct dir_selectors some = {names, 2}, many = {names, 17};
    struct buf b = buf_make(10000);
    struct errinfo ei;
    assert_null(directory_selectors(d, 2));
    dir_selectors_pack(&b, &some);
    put(d, OBJECT_SELECTORS, 2, "example.test", &b);
    const struct directory_selectors *s = directory_selectors(d, 2);
    assert_non_null(s);
    assert_int_equal(s->domain, 2);
    assert_int_equal(s->tenant, 1);
    assert_int_equal(s->facts.n_names, 2);
    assert_true(slice_eq(s->facts.names[1].text, SLICE("two")));
    assert_non_null(directory_domain(d, SLICE("example.test"))); /* it has the same id */
    dir_selectors_pack(&b, &many);
    assert_true(b.failed); /* more than the ceiling is never written */
    buf_finish(&b);
    struct record_object gone = {.kind = OBJECT_SELECTORS, .id = 2, .tenant = 1, .is_removed = 1};
    assert_int_equal(directory_apply(d, &gone, &ei), ERR_OK);
    assert_null(directory_selectors(d, 2));
    directory_destroy(&d);
}

static void what_is_kept_is_the_tenants_and_a_quota_may_be_ones_own(void **)
{
    struct directory *d = company(false);
    struct buf b = buf_make(10000);
    struct errinfo ei;
    const struct directory_person *anna = directory_person(d, 3);
    assert_int_equal(directory_keeping(d, 1)->days, 90);
    assert_int_equal(directory_keeping(d, 1)->hosted_days, 0);
    assert_int_equal(directory_quota(d, anna), 0);
    dir_keeping_pack(&b, &(struct dir_keeping){.days = 30, .quota_bytes = 5000});
    put(d, OBJECT_KEEPING, 1, "rossi", &b);
    assert_int_equal(directory_keeping(d, 1)->days, 30);
    assert_int_equal(directory_keeping(d, 2)->days, 90); /* another company's */
    assert_int_equal(directory_quota(d, anna), 5000);
    dir_quota_pack(&b, &(struct dir_quota){.bytes = 0});
    put(d, OBJECT_QUOTA, 3, "anna@example.test", &b);
    assert_int_equal(directory_quota(d, anna), 0); /* she may have any */
    struct record_object gone = {.kind = OBJECT_QUOTA, .id = 3, .tenant = 1, .is_removed = 1};
    assert_int_equal(directory_apply(d, &gone, &ei), ERR_OK);
    assert_int_equal(directory_quota(d, anna), 5000);
    directory_destroy(&d);
}

static void complete_list(struct directory *d, utc_ms at)
{
    struct buf b = buf_make(100);
    struct dir_snapshot snapshot = {.at = at};
    dir_snapshot_pack(&b, &snapshot);
    put(d, OBJECT_SNAPSHOT, 9, "people", &b);
}

static void addresses_find_their_owner(void **)
{
    static const struct {
        const char *key;
        enum directory_verdict verdict;
        uint64_t person, group;
    } cases[] = {
        {"anna@example.test", DIRECTORY_KNOWN, 3, 0},
        {"info@example.test", DIRECTORY_KNOWN, 3, 0},
        {"anna+bills@example.test", DIRECTORY_KNOWN, 3, 0},
        {"anna+a+b@example.test", DIRECTORY_KNOWN, 3, 0},
        {"+anna@example.test", DIRECTORY_UNSURE, 0, 0},
        {"anna-bills@example.test", DIRECTORY_UNSURE, 0, 0},
        {"sales@example.test", DIRECTORY_KNOWN, 0, 4},
        {"postmaster@example.test", DIRECTORY_KNOWN, 0, 0},
        {"abuse@example.test", DIRECTORY_KNOWN, 0, 0},
        {"bob@example.test", DIRECTORY_UNSURE, 0, 0},
        {"anna@other.test", DIRECTORY_NOT_OURS, 0, 0},
        {"\"a@b\"@example.test", DIRECTORY_UNSURE, 0, 0},
        {"postmaster", DIRECTORY_NOT_OURS, 0, 0},
    };
    struct directory *d = company(false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct directory_route route;
        assert_int_equal(directory_judge(d, slice_str(cases[i].key), 1000, &route),
                         cases[i].verdict);
        assert_int_equal(route.person ? route.person->id : 0, cases[i].person);
        assert_int_equal(route.group ? route.group->id : 0, cases[i].group);
        if (cases[i].verdict == DIRECTORY_KNOWN)
            assert_int_equal(route.primary, 7);
    }
    directory_destroy(&d);
}

static void a_catch_all_takes_what_nobody_owns(void **)
{
    struct directory *d = company(true);
    struct directory_route route;
    assert_int_equal(directory_judge(d, SLICE("bob@example.test"), 1, &route), DIRECTORY_KNOWN);
    assert_int_equal(route.person->id, 3);
    directory_destroy(&d);
}

static void unknown_is_said_only_from_a_list_newer_than_the_first_try(void **)
{
    struct directory *d = company(false);
    struct directory_route route;
    struct slice bob = SLICE("bob@example.test");
    complete_list(d, 500);
    assert_int_equal(directory_judge(d, bob, 1000, &route), DIRECTORY_UNSURE);
    assert_int_equal(directory_judge(d, bob, 2000, &route), DIRECTORY_UNSURE);
    complete_list(d, 1500);
    assert_int_equal(directory_judge(d, bob, 3000, &route), DIRECTORY_UNKNOWN);
    directory_destroy(&d);
}

static void a_removed_person_is_gone_and_a_changed_one_is_changed(void **)
{
    struct directory *d = company(false);
    struct directory_route route;
    struct buf b = buf_make(1000);
    struct dir_text only = {SLICE("anna@example.test")};
    struct dir_person person = {.name = SLICE("Anna"), .addresses = &only, .n_addresses = 1};
    uint64_t before = directory_generation(d);
    dir_person_pack(&b, &person);
    put(d, OBJECT_PERSON, 3, "anna@example.test", &b);
    assert_true(directory_generation(d) > before);
    assert_int_equal(directory_judge(d, SLICE("info@example.test"), 1, &route), DIRECTORY_UNSURE);
    struct record_object gone = {.kind = OBJECT_PERSON, .id = 3, .tenant = 1, .is_removed = 1};
    assert_int_equal(directory_apply(d, &gone, NULL), ERR_OK);
    assert_int_equal(directory_judge(d, SLICE("anna@example.test"), 1, &route), DIRECTORY_UNSURE);
    assert_int_equal(directory_find(d, OBJECT_PERSON, 1, SLICE("anna@example.test")), 0);
    assert_int_equal(directory_find(d, OBJECT_DOMAIN, 0, SLICE("example.test")), 2);
    directory_destroy(&d);
}

static void networks_are_read_strictly(void **)
{
    unsigned char bytes[16];
    uint8_t prefix;
    assert_int_equal(directory_network(SLICE("192.0.2.0/24"), bytes, &prefix), 4);
    assert_int_equal(prefix, 24);
    assert_int_equal(directory_network(SLICE("2001:db8::1"), bytes, &prefix), 16);
    assert_int_equal(prefix, 128);
    assert_int_equal(directory_network(SLICE("192.0.2.0/33"), bytes, &prefix), 0);
    assert_int_equal(directory_network(SLICE("192.0.2/24"), bytes, &prefix), 0);
    assert_int_equal(directory_network(SLICE("192.0.2.0/"), bytes, &prefix), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_company_of_before_languages_is_read),
        cmocka_unit_test(selectors_of_a_domain_come_and_go),
        cmocka_unit_test(what_is_kept_is_the_tenants_and_a_quota_may_be_ones_own),
        cmocka_unit_test(addresses_find_their_owner),
        cmocka_unit_test(a_catch_all_takes_what_nobody_owns),
        cmocka_unit_test(unknown_is_said_only_from_a_list_newer_than_the_first_try),
        cmocka_unit_test(a_removed_person_is_gone_and_a_changed_one_is_changed),
        cmocka_unit_test(networks_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
