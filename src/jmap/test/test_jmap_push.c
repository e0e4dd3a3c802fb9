/* Push subscriptions as RFC 8620 section 7.2 has them: whose they are, what is shown of them, the
 * code that goes by the address, when they end. */
#include "jmap/test/jmap_kit.h"

#define POINT                                                                                      \
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
#define SECRET "BTBZMqHH6r4Tts7J_aSIgg"
#define DEVICE "'deviceClientId':'a phone','url':'https://push.test/anna'"

static struct kit kit;
static struct jmap_caller phone; /* Anna by a token of hers */

/* One call as it is; its answer's arguments, the caller's. */
static json_t *ask_as(const struct jmap_caller *who, const char *method, const char *args)
{
    char text[8000];
    snprintf(text, sizeof(text),
             "{'using':['urn:ietf:params:jmap:core'],'methodCalls':[['%s',{%s},'c0']]}", method,
             args);
    json_t *answer = kit_ask_as(&kit, who, text, NULL);
    json_t *result = json_incref((json_t *)(uintptr_t)kit_at(answer, "methodResponses.0.1"));
    json_decref(answer);
    return result;
}

static json_t *ask(const char *method, const char *args)
{
    return ask_as(&phone, method, args);
}

/* Its id, in static memory. */
static const char *create(const char *object)
{
    static char id[40];
    char args[4000];
    snprintf(args, sizeof(args), "'create':{'a':{%s}}", object);
    json_t *answer = ask("PushSubscription/set", args);
    snprintf(id, sizeof(id), "%s", kit_text(answer, "created.a.id"));
    json_decref(answer);
    assert_int_equal(id[0], 'P');
    return id;
}

static json_t *update(const char *id, const char *patch)
{
    char args[4000];
    snprintf(args, sizeof(args), "'update':{'%s':{%s}}", id, patch);
    return ask("PushSubscription/set", args);
}

static const char *code_sent(void)
{
    static char code[101];
    struct jmap_item_push p;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 16);
    assert_true(jmap_item_push_unpack(buf_slice(&kit.push.body), a, &p));
    snprintf(code, sizeof(code), SLICE_FMT, SLICE_ARG(p.sent));
    assert_true(strlen(code) >= 26); /* 128 bits */
    return code;
}

static size_t list_size(const json_t *answer)
{
    return json_array_size(kit_at(answer, "list"));
}

static int begin(void **)
{
    kit_open(&kit);
    phone = kit.anna;
    phone.login = 77;
    return 0;
}

static int end(void **)
{
    kit_close(&kit);
    return 0;
}

static void it_has_no_account_and_no_state(void **)
{
    json_t *got = ask("PushSubscription/get", "'ids':null");
    assert_int_equal(json_object_size(got), 2);
    assert_int_equal(list_size(got), 0);
    assert_int_equal(json_array_size(kit_at(got, "notFound")), 0);
    json_decref(got);
    json_t *set = ask("PushSubscription/set", "'create':{'a':{" DEVICE "}}");
    assert_null(json_object_get(set, "accountId"));
    assert_null(json_object_get(set, "oldState"));
    assert_null(json_object_get(set, "newState"));
    json_decref(set);
    json_t *no = ask("PushSubscription/get", "'accountId':'A1','ids':null");
    assert_string_equal(kit_text(no, "type"), "invalidArguments");
    json_decref(no);
    no = ask("PushSubscription/set", "'ifInState':'1'");
    assert_string_equal(kit_text(no, "type"), "invalidArguments");
    json_decref(no);
}

static void address_and_keys_are_never_shown(void **)
{
    char args[200];
    json_t *set = ask("PushSubscription/set", "'create':{'a':{" DEVICE ",'keys':{'p256dh':'" POINT
                                              "','auth':'" SECRET "'}}}");
    assert_null(kit_at(set, "created.a.url"));
    assert_null(kit_at(set, "created.a.keys"));
    assert_true(json_is_null(kit_at(set, "created.a.types")));
    assert_true(json_is_null(kit_at(set, "created.a.verificationCode")));
    snprintf(args, sizeof(args), "'ids':['%s']", kit_text(set, "created.a.id"));
    json_t *got = ask("PushSubscription/get", args);
    assert_string_equal(kit_text(got, "list.0.deviceClientId"), "a phone");
    assert_int_equal(json_object_size(kit_at(got, "list.0")), 5);
    assert_true(json_is_null(kit_at(got, "list.0.verificationCode")));
    json_decref(got);
    json_decref(set);
    static const char *const secret[] = {"'properties':['url']", "'properties':['id','keys']"};
    for (size_t i = 0; i < 2; i++) {
        got = ask("PushSubscription/get", secret[i]);
        assert_string_equal(kit_text(got, "type"), "forbidden");
        json_decref(got);
    }
    got = ask("PushSubscription/get", "'properties':['expires']");
    assert_int_equal(json_object_size(kit_at(got, "list.0")), 2);
    json_decref(got);
}

static void it_belongs_to_the_log_in_that_made_it(void **)
{
    char args[200];
    struct jmap_caller laptop = phone;
    laptop.login = 78;
    const char *id = create(DEVICE);
    json_t *got = ask_as(&laptop, "PushSubscription/get", "'ids':null");
    assert_int_equal(list_size(got), 0);
    json_decref(got);
    snprintf(args, sizeof(args), "'ids':['%s']", id);
    got = ask_as(&laptop, "PushSubscription/get", args);
    assert_string_equal(kit_text(got, "notFound.0"), id);
    json_decref(got);
    snprintf(args, sizeof(args), "'destroy':['%s'],'update':{'%s':{'types':null}}", id, id);
    got = ask_as(&laptop, "PushSubscription/set", args);
    assert_string_equal(kit_text(json_object_get(got, "notDestroyed"), id), "(nothing)");
    assert_string_equal(kit_text(json_object_get(json_object_get(got, "notDestroyed"), id), "type"),
                        "notFound");
    json_decref(got);
    got = ask("PushSubscription/get", "'ids':null");
    assert_int_equal(list_size(got), 1);
    json_decref(got);
    got = ask_as(&kit.luca, "PushSubscription/get", "'ids':null");
    assert_int_equal(list_size(got), 0);
    json_decref(got);
}

static void what_cannot_be_one_is_refused_in_words(void **)
{
    static const struct {
        const char *object, *property;
    } rows[] = {
        {"'url':'https://push.test/'", "deviceClientId"},
        {"'deviceClientId':'x'", "url"},
        {"'deviceClientId':'','url':'https://push.test/'", "deviceClientId"},
        {"'deviceClientId':'x','url':'http://push.test/'", "url"},
        {"'deviceClientId':'x','url':'https://user@push.test/'", "url"},
        {"'deviceClientId':'x','url':7", "url"},
        {DEVICE ",'verificationCode':'abc'", "verificationCode"},
        {DEVICE ",'keys':{'p256dh':'" POINT "'}", "keys"},
        {DEVICE ",'keys':{'p256dh':'" SECRET "','auth':'" SECRET "'}", "keys"},
        {DEVICE ",'keys':'x'", "keys"},
        {DEVICE ",'expires':'tomorrow'", "expires"},
        {DEVICE ",'expires':'2001-01-01T00:00:00Z'", "expires"},
        {DEVICE ",'types':'Email'", "types"},
        {DEVICE ",'types':[7]", "types"},
        {DEVICE ",'id':'P1'", "id"},
        {DEVICE ",'color':'red'", "color"},
    };
    char args[2000];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(args, sizeof(args), "'create':{'a':{%s}}", rows[i].object);
        json_t *answer = ask("PushSubscription/set", args);
        assert_string_equal(kit_text(answer, "notCreated.a.type"), "invalidProperties");
        assert_string_equal(kit_text(answer, "notCreated.a.properties.0"), rows[i].property);
        json_decref(answer);
    }
    assert_int_equal(kit.push.n, 0);
}

static void only_the_code_that_was_sent_confirms_it(void **)
{
    char patch[200];
    const char *id = create(DEVICE), *code = code_sent();
    static const char *const wrong[] = {"'verificationCode':'abc'", "'verificationCode':7",
                                        "'verificationCode':''"};
    for (size_t i = 0; i < 3; i++) {
        json_t *no = update(id, wrong[i]);
        const json_t *error = json_object_get(json_object_get(no, "notUpdated"), id);
        assert_string_equal(kit_text(error, "type"), "invalidProperties");
        json_decref(no);
    }
    assert_int_equal(kit.push.n, 1);
    snprintf(patch, sizeof(patch), "'verificationCode':'%s'", code);
    json_t *yes = update(id, patch);
    assert_true(json_is_null(json_object_get(json_object_get(yes, "updated"), id)));
    json_decref(yes);
    assert_int_equal(kit.push.n, 2);
    assert_true(kit.push.has_states); /* what the client knows at this moment */
    json_t *got = ask("PushSubscription/get", "'ids':null");
    assert_string_equal(kit_text(got, "list.0.verificationCode"), code);
    json_decref(got);
    json_decref(update(id, patch)); /* once more is no news */
    assert_false(kit.push.has_states);
    json_decref(update(id, "'types':['Email']"));
    got = ask("PushSubscription/get", "'ids':null");
    assert_string_equal(kit_text(got, "list.0.verificationCode"), code);
    assert_string_equal(kit_text(got, "list.0.types.0"), "Email");
    json_decref(got);
}

static void address_keys_and_device_do_not_change(void **)
{
    static const char *const patches[] = {"'url':'https://push.test/other'", "'url':null",
                                          "'keys':null", "'deviceClientId':'another'",
                                          "'keys/auth':'" SECRET "'"};
    const char *id = create(DEVICE);
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        json_t *no = update(id, patches[i]);
        const json_t *error = json_object_get(json_object_get(no, "notUpdated"), id);
        assert_string_equal(kit_text(error, "type"), i == 4 ? "invalidPatch" : "invalidProperties");
        json_decref(no);
    }
    json_t *yes = update(id, "'deviceClientId':'a phone'");
    assert_non_null(json_object_get(json_object_get(yes, "updated"), id));
    json_decref(yes);
}

static bool is_about(const json_t *date, utc_ms wanted)
{
    struct utc_text a = utc_rfc3339(wanted), b = utc_rfc3339(wanted - 5000);
    const char *text = json_string_value(date);
    return text && strncmp(text, a.s, 17) <= 0 && strncmp(text, b.s, 17) >= 0;
}

static void it_ends_within_a_week_unless_its_log_in_ends_by_itself(void **)
{
    const utc_ms week = 7 * 24 * 3600 * 1000, day = 24 * 3600 * 1000;
    char args[300];
    json_t *set = ask("PushSubscription/set", "'create':{'a':{" DEVICE "},'b':{" DEVICE
                                              ",'expires':'2099-01-01T00:00:00Z'}}");
    assert_true(is_about(kit_at(set, "created.a.expires"), utc_now() + week));
    assert_true(is_about(kit_at(set, "created.b.expires"), utc_now() + week));
    struct utc_text soon = utc_rfc3339(utc_now() + day);
    memcpy(soon.s + 19, "Z", 2);
    snprintf(args, sizeof(args), "'expires':'%s'", soon.s);
    const char *id = kit_text(set, "created.a.id");
    json_t *yes = update(id, args);
    assert_true(json_is_null(json_object_get(json_object_get(yes, "updated"), id)));
    json_decref(yes);
    yes = update(id, "'expires':'2098-01-01T00:00:00Z'");
    const json_t *now = json_object_get(json_object_get(yes, "updated"), id);
    assert_true(is_about(json_object_get(now, "expires"), utc_now() + week));
    json_decref(yes);
    json_decref(set);
    phone.is_login_timed = true;
    set = ask("PushSubscription/set",
              "'create':{'a':{" DEVICE "},'b':{" DEVICE ",'expires':'2099-01-01T00:00:00Z'}}");
    assert_true(json_is_null(kit_at(set, "created.a.expires")));
    assert_null(kit_at(set, "created.b.expires"));
    json_decref(set);
}

static void one_that_is_destroyed_is_gone_and_told_so(void **)
{
    char args[200];
    const char *id = create(DEVICE);
    snprintf(args, sizeof(args), "'destroy':['%s','Pnothing']", id);
    json_t *set = ask("PushSubscription/set", args);
    assert_string_equal(kit_text(set, "destroyed.0"), id);
    assert_non_null(kit_at(set, "notDestroyed.Pnothing"));
    json_decref(set);
    assert_int_equal(kit.push.n, 2);
    assert_int_equal(kit.push.body.n, 0);
    json_t *got = ask("PushSubscription/get", "'ids':null");
    assert_int_equal(list_size(got), 0);
    json_decref(got);
}

static void there_are_so_many_and_no_more(void **)
{
    kit.push.most = 2;
    (void)create(DEVICE);
    (void)create(DEVICE);
    json_t *no = ask("PushSubscription/set", "'create':{'a':{" DEVICE "}}");
    assert_string_equal(kit_text(no, "notCreated.a.type"), "rateLimit");
    json_decref(no);
    kit.push.most = 20;
    kit.commit_fails = ERR_FULL;
    no = ask("PushSubscription/set", "'create':{'a':{" DEVICE "}}");
    assert_non_null(kit_at(no, "notCreated.a"));
    assert_int_equal(kit.push.n, 2);
    json_decref(no);
}

static void what_is_durable_but_not_seen_is_pushed_to_all_the_same(void **)
{
    json_decref(ask("PushSubscription/get", "'ids':null")); /* the account is whole */
    kit.commit_lags = true;
    json_t *a = ask("PushSubscription/set", "'create':{'a':{" DEVICE "}}");
    assert_string_equal(kit_text(a, "type"), "serverPartialFail");
    assert_int_equal(kit.push.n, 1);
    assert_true(kit.push.body.n > 0);
    json_decref(a);
}

static void only_what_changed_and_is_wanted_is_pushed(void **)
{
    const struct jmap_states now = {{5, 5, 6, 1, 1, 1, 1, 5}}, told = {{4, 5, 4, 1, 1, 1, 1, 4}};
    bool is_mail;
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    assert_true(jmap_push_state(7, &now, &told, JMAP_PUSHED_ALL, &b, &is_mail));
    assert_false(is_mail);
    json_t *o = json_loadb(b.p, b.n, 0, NULL);
    assert_string_equal(kit_text(o, "@type"), "StateChange");
    const json_t *changed = json_object_get(json_object_get(o, "changed"), kit_account(&kit.anna));
    assert_int_equal(json_object_size(changed), 3);
    assert_string_equal(kit_text(changed, "Mailbox"), "6");
    json_decref(o);
    buf_clear(&b);
    uint32_t delivery = jmap_pushed_type(SLICE("EmailDelivery"));
    assert_true(jmap_push_state(7, &now, &told, delivery, &b, &is_mail));
    assert_true(is_mail);
    buf_clear(&b);
    assert_false(
        jmap_push_state(7, &now, &told, jmap_pushed_type(SLICE("Identity")), &b, &is_mail));
    assert_false(jmap_push_state(7, &now, &now, JMAP_PUSHED_ALL, &b, &is_mail));
    assert_int_equal(b.n, 0);
    assert_int_equal(jmap_pushed_type(SLICE("CalendarEvent")), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(it_has_no_account_and_no_state),
        TEST(address_and_keys_are_never_shown),
        TEST(it_belongs_to_the_log_in_that_made_it),
        TEST(what_cannot_be_one_is_refused_in_words),
        TEST(only_the_code_that_was_sent_confirms_it),
        TEST(address_keys_and_device_do_not_change),
        TEST(it_ends_within_a_week_unless_its_log_in_ends_by_itself),
        TEST(one_that_is_destroyed_is_gone_and_told_so),
        TEST(there_are_so_many_and_no_more),
        TEST(what_is_durable_but_not_seen_is_pushed_to_all_the_same),
        TEST(only_what_changed_and_is_wanted_is_pushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
