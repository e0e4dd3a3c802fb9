/* What a submission says of each recipient (RFC 8621 section 7, deliveryStatus), whatever the
 * ledger has of it. */
#include "sending_kit.h"

#include <regex.h>

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const struct fate {
    enum disposition disposition;
    uint16_t code;
    const char *enhanced, *text, *delivered, *reply; /* reply: NULL: of our own words */
} rows[] = {
    {DISPOSITION_WAITING, 0, "", "", "queued", NULL},
    {DISPOSITION_WAITING, 0, "", "no answer in time", "queued", NULL},
    {DISPOSITION_WAITING, 451, "4.7.1", "come later", "queued", "451 4.7.1 come later"},
    {DISPOSITION_WAITING, 451, "", "come later", "queued", "451 come later"},
    {DISPOSITION_HELD, 0, "", "", "queued", NULL},
    {DISPOSITION_HELD, 0, "", "too many at once", "queued", NULL},
    {DISPOSITION_DELIVERED, 250, "2.0.0", "taken", "unknown", "250 2.0.0 taken"},
    {DISPOSITION_DELIVERED, 0, "", "", "unknown", NULL},
    {DISPOSITION_RETURNED, 550, "5.1.1", "nobody here", "no", "550 5.1.1 nobody here"},
    {DISPOSITION_RETURNED, 0, "", "there is no such host", "no", NULL},
    {DISPOSITION_REMOVED, 0, "", "", "no", NULL},
    {DISPOSITION_REMOVED, 0, "", "it was a test", "no", NULL},
    {DISPOSITION_REFUSED, 0, "", "", "no", NULL},
};

static const char *address_of(size_t i)
{
    static char text[40];
    snprintf(text, sizeof(text), "r%zu@y.test", i);
    return text;
}

/* A message of one recipient a row, and what became of each. */
static void write_message(uint64_t id)
{
    SCOPED(buf_finish) struct buf facts = buf_make(100000);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct record_rcpt rcpts[N_OF(rows)] = {};
    struct record_fields fields = {.subject = SLICE("a subject")};
    for (size_t i = 0; i < N_OF(rows); i++) {
        rcpts[i].address = arena_copy(a, slice_str(address_of(i)));
        rcpts[i].disposition = DISPOSITION_WAITING;
    }
    struct record_message record = {.id = id,
                                    .received = utc_now(),
                                    .tenant = KIT_TENANT,
                                    .direction = DIRECTION_PERSON,
                                    .bytes = 5,
                                    .rcpts = rcpts,
                                    .n_rcpts = N_OF(rows),
                                    .fields = &fields,
                                    .n_fields = 1};
    record_message_pack(&facts, &record);
    assert_int_equal(kit_write(RECORD_MESSAGE, id, &facts, SLICE("hello")), ERR_OK);
    struct record_result results[N_OF(rows)] = {};
    for (size_t i = 0; i < N_OF(rows); i++)
        results[i] = (struct record_result){.message = id,
                                            .rcpt = (uint16_t)i,
                                            .time = utc_now(),
                                            .disposition = rows[i].disposition,
                                            .attempts = 1,
                                            .code = rows[i].code,
                                            .enhanced = slice_str(rows[i].enhanced),
                                            .text = slice_str(rows[i].text)};
    struct record_results all = {.results = results, .n_results = N_OF(rows)};
    buf_clear(&facts);
    record_results_pack(&facts, &all);
    assert_int_equal(kit_write(RECORD_RESULT, 0, &facts, SLICE("")), ERR_OK);
}

/* A submission that became this message. */
static void write_submission(uint64_t id, uint64_t message)
{
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct jmap_item_rcpt rcpts[N_OF(rows) + 2] = {};
    struct jmap_item_part part = {.message = message, .tenant = KIT_TENANT};
    for (size_t i = 0; i < N_OF(rows) + 2; i++) {
        rcpts[i].address = arena_copy(a, slice_str(address_of(i)));
        rcpts[i].part = i < N_OF(rows);
    }
    rcpts[N_OF(rows)].refusal = 1; /* nobody has that address; the last one is not sent yet */
    struct jmap_item_submission s = {.identity = 1,
                                     .email = 2,
                                     .thread = 2,
                                     .created = utc_now(),
                                     .send_at = utc_now(),
                                     .state = JMAP_FINAL,
                                     .mail_from = SLICE("anna@example.test"),
                                     .rcpts = rcpts,
                                     .n_rcpts = N_OF(rows) + 2,
                                     .parts = &part,
                                     .n_parts = 1};
    jmap_item_submission_pack(&body, &s);
    struct record_item item = {
        .account = KIT_PERSON, .kind = ITEM_SUBMISSION, .id = id, .body = buf_slice(&body)};
    struct jmap_commit c = {.items = &item, .n_items = 1};
    struct errinfo ei;
    assert_int_equal(kit_commit(NULL, NULL, &c, &ei), ERR_OK);
}

static void every_fate_is_said_in_the_form_of_the_standard(void **)
{
    regex_t ours;
    assert_int_equal(
        regcomp(&ours, "^[245][0-9][0-9] [245]\\.[0-9]+\\.[0-9]+ [[:print:]]+$", REG_EXTENDED), 0);
    write_message(5000);
    write_submission(6000, 5000);
    json_t *a = kit_ask("[['EmailSubmission/get', {'accountId':@@,'ids':null}, 'a']]");
    json_t *all = kit_at(a, "0.1.list.0.deliveryStatus");
    assert_int_equal(json_object_size(all), N_OF(rows) + 2);
    for (size_t i = 0; i < N_OF(rows) + 2; i++) {
        json_t *one = json_object_get(all, address_of(i));
        const char *reply = kit_text(one, "smtpReply");
        const struct fate *f = i < N_OF(rows) ? &rows[i] : NULL;
        const char *want = f ? f->delivered : i == N_OF(rows) ? "no" : "queued";
        if (strcmp(kit_text(one, "delivered"), want) != 0)
            fail_msg("%zu: %s, not %s", i, kit_text(one, "delivered"), want);
        assert_string_equal(kit_text(one, "displayed"), "unknown");
        assert_int_equal(json_object_size(one), 3);
        if (f && f->reply)
            assert_string_equal(reply, f->reply);
        else if (regexec(&ours, reply, 0, NULL, 0) != 0)
            fail_msg("%zu: %s", i, reply);
        if (f && f->text[0])
            assert_non_null(strstr(reply, f->text));
    }
    json_decref(a);
    regfree(&ours);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_fate_is_said_in_the_form_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
