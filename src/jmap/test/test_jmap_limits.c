/* No limit is silent: whatever refuses "too much" is counted by the table of refusals. */
#include "jmap_kit.h"

#include "base/refuse.h"

#define USING                                                                                      \
    "'using':['urn:ietf:params:jmap:core','urn:ietf:params:jmap:mail','urn:ietf:params:jmap:blob'" \
    ",'urn:ietf:params:jmap:submission','urn:ietf:params:jmap:vacationresponse']"

static int open_kit(void **state)
{
    struct kit *k = mem_new(sizeof(*k));
    kit_open(k);
    *state = k;
    return 0;
}

static int close_kit(void **state)
{
    struct kit *k = *state;
    kit_close(k);
    mem_free(&k);
    return 0;
}

static void forget_counts(void)
{
    struct refuse_count counts[REFUSE_N];
    (void)refuse_take_counts(counts);
}

/* Exactly one row was counted, this one, with an example. */
static void assert_counted(enum refuse_id id)
{
    struct refuse_count counts[REFUSE_N];
    assert_true(refuse_take_counts(counts));
    for (int i = 0; i < REFUSE_N; i++)
        if (i != (int)id && counts[i].n)
            fail_msg("%s was counted, not %s", refuse_row(i)->name, refuse_row(id)->name);
    assert_true(counts[id].n > 0);
    assert_true(counts[id].who[0] != '\0');
}

/* ---- building what is too much ---- */

static void repeat(struct buf *b, const char *head, const char *one, unsigned n, const char *tail)
{
    buf_addf(b, "%s", head);
    for (unsigned i = 0; i < n; i++) {
        buf_addf(b, "%s", i ? "," : "");
        for (const char *p = one; *p; p++)
            if (*p == '@') /* its number */
                buf_addf(b, "%u", i);
            else
                buf_addc(b, *p);
    }
    buf_addf(b, "%s", tail);
}

/* `args` of one call with `n` times `one` between `head` and `tail`. */
struct row {
    const char *method, *head, *one;
    unsigned n;
    const char *tail;
    const char *path, *type; /* what the answer says where */
    enum refuse_id id;
};

static void assert_row(struct kit *k, const struct row *row)
{
    SCOPED(buf_finish) struct buf b = buf_make(4 << 20);
    buf_addf(&b, "{" USING ",'methodCalls':[['%s',{'accountId':'%s',", row->method,
             kit_account(&k->anna));
    repeat(&b, row->head, row->one, row->n, row->tail);
    buf_addf(&b, "},'c']]}");
    forget_counts();
    json_t *a = kit_ask_as(k, &k->anna, buf_cstr(&b), NULL);
    const json_t *result = kit_at(a, "methodResponses.0.1");
    if (strcmp(kit_text(result, row->path), row->type) != 0)
        fail_msg("%s: %s", row->method, json_dumps(result, 0));
    assert_counted(row->id);
    json_decref(a);
}

static void more_than_the_session_announces_is_counted(void **state)
{
    static const struct row rows[] = {
        {"Email/get", "'ids':[", "'M@'", JMAP_OBJECTS_GET_MAX + 1, "]", "type", "requestTooLarge",
         REFUSE_JMAP_LIMIT},
        {"Mailbox/get", "'ids':[", "'B@'", JMAP_OBJECTS_GET_MAX + 1, "]", "type", "requestTooLarge",
         REFUSE_JMAP_LIMIT},
        {"Email/parse", "'blobIds':[", "'M@'", JMAP_OBJECTS_GET_MAX + 1, "]", "type",
         "requestTooLarge", REFUSE_JMAP_LIMIT},
        {"Blob/get", "'ids':[", "'M@'", JMAP_OBJECTS_GET_MAX + 1, "]", "type", "requestTooLarge",
         REFUSE_JMAP_LIMIT},
        {"Blob/lookup", "'typeNames':['Email'],'ids':[", "'M@'", JMAP_OBJECTS_GET_MAX + 1, "]",
         "type", "requestTooLarge", REFUSE_JMAP_LIMIT},
        {"SearchSnippet/get", "'emailIds':[", "'M@'", JMAP_OBJECTS_GET_MAX + 1, "]", "type",
         "requestTooLarge", REFUSE_JMAP_LIMIT},
        {"Thread/get", "'ids':null", "", 0, "", "type", "requestTooLarge", REFUSE_JMAP_LIMIT},
        {"Email/set", "'destroy':[", "'M@'", JMAP_OBJECTS_SET_MAX + 1, "]", "type",
         "requestTooLarge", REFUSE_JMAP_LIMIT},
        {"Email/import", "'emails':{", "'k@':{}", JMAP_OBJECTS_SET_MAX + 1, "}", "type",
         "requestTooLarge", REFUSE_JMAP_LIMIT},
        {"Blob/upload", "'create':{", "'k@':{}", JMAP_OBJECTS_SET_MAX + 1, "}", "type",
         "requestTooLarge", REFUSE_JMAP_LIMIT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_row(*state, &rows[i]);
}

static void what_is_more_complicated_than_is_read_is_counted(void **state)
{
    static const struct row rows[] = {
        {"Email/query", "'filter':{'operator':'OR','conditions':[", "{'hasKeyword':'k@'}", 600,
         "]}", "type", "unsupportedFilter", REFUSE_JMAP_SHAPE},
        {"Email/query", "'sort':[", "{'property':'size'}", 21, "]", "type", "unsupportedSort",
         REFUSE_JMAP_SHAPE},
        {"Mailbox/query", "'filter':{'operator':'OR','conditions':[", "{'name':'n@'}", 300, "]}",
         "type", "unsupportedFilter", REFUSE_JMAP_SHAPE},
        {"Blob/upload", "'create':{'k':{'data':[", "{'data:asText':'@'}", 65, "]}}",
         "notCreated.k.type", "invalidProperties", REFUSE_JMAP_SHAPE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_row(*state, &rows[i]);
}

static void deep_things_are_counted(void **state)
{
    static const struct {
        const char *method, *type;
    } rows[] = {{"Email/query", "unsupportedFilter"},
                {"Mailbox/query", "unsupportedFilter"},
                {"EmailSubmission/query", "unsupportedFilter"}};
    struct kit *k = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(100000);
        buf_addf(&b, "{" USING ",'methodCalls':[['%s',{'accountId':'%s','filter':", rows[i].method,
                 kit_account(&k->anna));
        for (int n = 0; n < 25; n++)
            buf_addf(&b, "{'operator':'AND','conditions':[");
        buf_addf(&b, "{}");
        for (int n = 0; n < 25; n++)
            buf_addf(&b, "]}");
        buf_addf(&b, "},'c']]}");
        forget_counts();
        json_t *a = kit_ask_as(k, &k->anna, buf_cstr(&b), NULL);
        assert_text(a, "methodResponses.0.1.type", rows[i].type);
        assert_counted(REFUSE_JMAP_SHAPE);
        json_decref(a);
    }
    char *deep = mem_new(1001);
    memset(deep, '[', 1000);
    forget_counts();
    json_decref(kit_ask_as(k, &k->anna, deep, NULL));
    assert_counted(REFUSE_JMAP_SHAPE);
    mem_free(&deep);
}

static void more_than_one_thing_may_have_is_counted(void **state)
{
    struct kit *k = *state;
    char inbox[20] = "B";
    message_id_text(KIT_INBOX, inbox + 1);
    char head[200];
    snprintf(head, sizeof(head), "'create':{'k':{'mailboxIds':{'%s':true},'keywords':{", inbox);
    const struct row keywords = {
        "Email/set",     head, "'k@':true", 101, "}}}", "notCreated.k.type", "tooManyKeywords",
        REFUSE_JMAP_MANY};
    static const struct row mailboxes = {"Email/set",
                                         "'create':{'k':{'mailboxIds':{",
                                         "'B@':true",
                                         101,
                                         "}}}",
                                         "notCreated.k.type",
                                         "tooManyMailboxes",
                                         REFUSE_JMAP_MANY};
    assert_row(k, &keywords);
    assert_row(k, &mailboxes);
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    buf_addf(&b, "'create':{'k':{'name':'");
    for (int i = 0; i < 256; i++)
        buf_addc(&b, 'n');
    const struct row name = {
        "Mailbox/set",       buf_cstr(&b),    "", 0, "'}}", "notCreated.k.type",
        "invalidProperties", REFUSE_JMAP_MANY};
    assert_row(k, &name);
}

static void a_full_mailbox_and_a_large_message_are_counted(void **state)
{
    struct kit *k = *state;
    char inbox[20] = "B", text[300];
    message_id_text(KIT_INBOX, inbox + 1);
    snprintf(text, sizeof(text), "'create':{'k':{'mailboxIds':{'%s':true},'subject':'Hello'}}",
             inbox);
    k->anna.quota_bytes = 10;
    forget_counts();
    json_t *a = kit_call(k, "Email/set", text);
    assert_text(a, "notCreated.k.type", "overQuota");
    assert_counted(REFUSE_JMAP_QUOTA);
    json_decref(a);
    k->anna.quota_bytes = 0;
    k->anna.size_max = 10;
    a = kit_call(k, "Email/set", text);
    assert_text(a, "notCreated.k.type", "tooLarge");
    assert_counted(REFUSE_JMAP_SIZE);
    json_decref(a);
    k->anna.size_max = 1 << 20;
}

static void what_is_refused_before_any_call_is_counted(void **state)
{
    struct kit *k = *state;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    repeat(&b, "{" USING ",'methodCalls':[", "['Core/echo',{},'@']", JMAP_CALLS_MAX + 1, "]}");
    forget_counts();
    json_decref(kit_ask_as(k, &k->anna, buf_cstr(&b), NULL));
    assert_counted(REFUSE_JMAP_LIMIT);
    char *large = mem_new(JMAP_SIZE_UPLOAD_MAX + 1);
    memset(large, ' ', JMAP_SIZE_REQUEST_MAX + 1);
    large[JMAP_SIZE_REQUEST_MAX + 1] = '\0';
    json_decref(kit_ask_as(k, &k->anna, large, NULL));
    assert_counted(REFUSE_JMAP_LIMIT);
    buf_clear(&k->out);
    assert_int_equal(jmap_upload(k->jmap, k->reader, &k->anna, slice_str(kit_account(&k->anna)),
                                 SLICE(""), slice_of(large, JMAP_SIZE_UPLOAD_MAX + 1), &k->out),
                     413);
    assert_non_null(strstr(buf_cstr(&k->out), "maxSizeUpload"));
    assert_counted(REFUSE_JMAP_LIMIT);
    mem_free(&large);
}

/* The index of words does not answer. */
static void what_can_be_tried_later_is_counted(void **state)
{
    struct kit *k = *state;
    forget_counts();
    json_t *a = kit_call(k, "Email/query", "'filter':{'text':'word'}");
    assert_text(a, "type", "serverUnavailable");
    assert_counted(REFUSE_JMAP_BUSY);
    json_decref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_the_session_announces_is_counted),
        cmocka_unit_test(what_is_more_complicated_than_is_read_is_counted),
        cmocka_unit_test(deep_things_are_counted),
        cmocka_unit_test(more_than_one_thing_may_have_is_counted),
        cmocka_unit_test(a_full_mailbox_and_a_large_message_are_counted),
        cmocka_unit_test(what_is_refused_before_any_call_is_counted),
        cmocka_unit_test(what_can_be_tried_later_is_counted),
    };
    return cmocka_run_group_tests(tests, open_kit, close_kit);
}
