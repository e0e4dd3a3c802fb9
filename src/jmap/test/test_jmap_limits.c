/* No limit is silent: whatever refuses "too much" is counted by the table of refusals. */
#include "jmap_kit.h"

#include "base/refuse.h"
#include "jmap/jmap_item.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define USING                                                                                      \
    "'using':['urn:ietf:params:jmap:core','urn:ietf:params:jmap:mail','urn:ietf:params:jmap:blob'" \
    ",'urn:ietf:params:jmap:submission','urn:ietf:params:jmap:vacationresponse'"                   \
    ",'urn:ietf:params:jmap:quota']"

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

/* ---- time that passes for the requests only ---- */

static _Thread_local time_t later, step; /* step: with each look at the clock */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int result = (int)syscall(SYS_clock_gettime, clock, ret);
    later += step;
    ret->tv_sec += later;
    return result;
}

static void a_minute_passes(void)
{
    later += 60;
}

/* ---- building what is too much ---- */

static void repeat(struct buf *b, const char *head, const char *one, unsigned n, const char *tail)
{
    buf_addf(b, "%s", head);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            buf_addc(b, ',');
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
        {"Mailbox/query", "'sort':[", "{'property':'sortOrder'}", 21, "]", "type",
         "unsupportedSort", REFUSE_JMAP_SHAPE},
        {"EmailSubmission/query", "'filter':{'operator':'OR','conditions':[",
         "{'undoStatus':'final'}", 501, "]}", "type", "unsupportedFilter", REFUSE_JMAP_SHAPE},
        {"EmailSubmission/query", "'filter':{'emailIds':[", "'M@'", 501, "]}", "type",
         "unsupportedFilter", REFUSE_JMAP_SHAPE},
        {"EmailSubmission/queryChanges", "'sinceQueryState':'0','filter':{'threadIds':[", "'T@'",
         501, "]}", "type", "unsupportedFilter", REFUSE_JMAP_SHAPE},
        {"EmailSubmission/query", "'sort':[", "{'property':'emailId'}", 21, "]", "type",
         "unsupportedSort", REFUSE_JMAP_SHAPE},
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
                {"EmailSubmission/query", "unsupportedFilter"},
                {"Quota/query", "unsupportedFilter"}};
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

/* ---- many emails ---- */

enum { BATCH = 2000 };
struct batch {
    struct kit_wait wait; /* of the last of them */
    struct buf facts[BATCH];
    struct store_change changes[BATCH];
    struct record_email emails[BATCH];
    struct record_place places[BATCH];
};

static void one_written(struct store_change *, enum err err, const struct errinfo *)
{
    assert_int_equal(err, ERR_OK);
}

static void put_batch(struct kit *k, struct batch *b)
{
    struct errinfo ei;
    struct record_fields fields = {.subject = SLICE("Hello")};
    b->wait = (struct kit_wait){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, ERR_OK};
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t id = kit_next_id(k);
        struct record_message m = {.id = id,
                                   .tenant = 1,
                                   .direction = DIRECTION_PERSON,
                                   .bytes = 5,
                                   .fields = &fields,
                                   .n_fields = 1};
        b->facts[i] = buf_make(10000);
        record_message_pack(&b->facts[i], &m);
        b->changes[i] = (struct store_change){.type = RECORD_MESSAGE,
                                              .id = id,
                                              .facts = buf_slice(&b->facts[i]),
                                              .done = i + 1 < BATCH ? one_written : kit_written,
                                              .arg = &b->wait};
        b->changes[i].body[0] = SLICE("a: b\n");
        b->places[i] = (struct record_place){.mailbox = KIT_INBOX};
        b->emails[i] = (struct record_email){.account = KIT_ANNA,
                                             .message = id,
                                             .received = 1000,
                                             .thread = id,
                                             .places = &b->places[i],
                                             .n_places = 1};
        store_submit(k->store, &b->changes[i]);
    }
    pthread_mutex_lock(&b->wait.lock);
    while (!b->wait.is_done)
        pthread_cond_wait(&b->wait.cond, &b->wait.lock);
    pthread_mutex_unlock(&b->wait.lock);
    struct jmap_commit c = {.emails = b->emails, .n_emails = BATCH};
    assert_int_equal(kit_commit(k, &k->anna, &c, &ei), ERR_OK);
    for (size_t i = 0; i < BATCH; i++)
        buf_finish(&b->facts[i]);
}

static void put_emails(struct kit *k, size_t n)
{
    struct batch *b = mem_new(sizeof(*b));
    for (size_t i = 0; i < n; i += BATCH)
        put_batch(k, b);
    mem_free(&b);
}

/* ---- time ---- */

/* The looking through emails, and the second condition, come too late. */
static void what_takes_too_long_is_counted(void **state)
{
    static const char *const filters[] = {
        "'filter':{'from':'a'}",
        "'filter':{'operator':'OR','conditions':[{'from':'a'},{'from':'b'}]}"};
    struct kit *k = *state;
    put_emails(k, 1);
    k->on_search = a_minute_passes;
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        forget_counts();
        json_t *a = kit_call(k, "Email/query", filters[i]);
        assert_text(a, "type", "serverUnavailable");
        assert_counted(REFUSE_JMAP_TIME);
        json_decref(a);
    }
    k->on_search = NULL;
    later = 0;
}

static void assert_found(struct kit *k, const char *filter, unsigned n)
{
    char args[300];
    snprintf(args, sizeof(args), "'limit':1,'calculateTotal':true,'filter':%s", filter);
    json_t *a = kit_call(k, "Email/query", args);
    if (!json_is_integer(kit_at(a, "total")) || json_integer_value(kit_at(a, "total")) != n)
        fail_msg("%s: %s", filter, json_dumps(a, 0));
    json_decref(a);
}

/* All of them are read, unless other conditions leave few; too late, nothing is said. */
static void headers_are_looked_up_in_all_emails_or_not_at_all(void **state)
{
    struct kit *k = *state;
    char inbox[20] = "B", args[400];
    message_id_text(KIT_INBOX, inbox + 1);
    snprintf(args, sizeof(args),
             "'create':{'k':{'mailboxIds':{'%s':true},'keywords':{'$flagged':true},"
             "'header:X-Kind:asText':'Gr\xc3\xbc\xc3\x9f'}}",
             inbox);
    json_decref(kit_call(k, "Email/set", args));
    assert_found(k, "{'header':['A']}", BATCH);
    assert_found(k, "{'header':['a','B']}", BATCH);
    assert_found(k, "{'header':['x-kind']}", 1);
    assert_found(k, "{'header':['X-Kind','gr\xc3\xbc']}", 1); /* encoded there */
    assert_found(k, "{'header':['X-Kind','=?utf-8?']}", 1);
    assert_found(k, "{'operator':'NOT','conditions':[{'header':['a']}]}", 1);
    k->n_reads = 0;
    assert_found(k, "{'header':['A'],'hasKeyword':'$flagged'}", 0);
    assert_int_equal(k->n_reads, 1);
    k->on_read = a_minute_passes;
    forget_counts();
    json_t *a = kit_call(k, "Email/query", "'filter':{'header':['a']}");
    assert_text(a, "type", "serverUnavailable");
    assert_counted(REFUSE_JMAP_TIME);
    json_decref(a);
    k->on_read = NULL;
    later = 0;
}

/* Each of these has done one thing when its time is over. */
static void what_is_left_when_time_is_over_is_not_done(void **state)
{
    struct kit *k = *state;
    k->on_commit = a_minute_passes;
    forget_counts();
    json_t *a =
        kit_call(k, "Mailbox/set", "'create':{'late1':{'name':'L1'},'late2':{'name':'L2'}}");
    assert_non_null(kit_at(a, "created.late1.id"));
    assert_text(a, "notCreated.late2.type", "rateLimit");
    assert_counted(REFUSE_JMAP_TIME);
    json_decref(a);
    a = kit_call(k, "Mailbox/set", "'create':{'late2':{'name':'L2'}},'destroy':['Bx']");
    assert_non_null(kit_at(a, "created.late2.id"));
    assert_text(a, "notDestroyed.Bx.type", "rateLimit");
    assert_counted(REFUSE_JMAP_TIME);
    json_decref(a);
    a = kit_call(
        k, "Blob/upload",
        "'create':{'a':{'data':[{'data:asText':'x'}]},'b':{'data':[{'data:asText':'x'}]}}");
    assert_text(a, "notCreated.b.type", "rateLimit");
    assert_counted(REFUSE_JMAP_TIME);
    json_decref(a);
    k->on_commit = NULL;
    later = 0;
}

/* ---- memory ---- */

static void put_items(struct kit *k, struct record_item *items, size_t n)
{
    struct errinfo ei;
    struct jmap_commit c = {.items = items, .n_items = n};
    assert_int_equal(kit_commit(k, &k->anna, &c, &ei), ERR_OK);
}

static void put_submissions(struct kit *k, size_t n)
{
    struct record_item *items = mem_new(n * sizeof(*items));
    struct jmap_item_part part = {.message = 5};
    struct jmap_item_rcpt rcpt = {.address = SLICE("x@example.test"), .part = 1};
    struct jmap_item_submission s = {
        .state = JMAP_FINAL, .rcpts = &rcpt, .n_rcpts = 1, .parts = &part, .n_parts = 1};
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    jmap_item_submission_pack(&body, &s);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct record_item){.account = KIT_ANNA,
                                        .kind = ITEM_SUBMISSION,
                                        .id = kit_next_id(k),
                                        .body = buf_slice(&body)};
    put_items(k, items, n);
    mem_free(&items);
}

/* What became of each is looked up in the ledger, whose rows take a lot of memory for a moment. */
static void many_submissions_in_many_calls_share_no_memory(void **state)
{
    enum { N = 900 };
    struct kit *k = *state;
    SCOPED(buf_finish) struct buf text = buf_make(100000);
    put_submissions(k, N);
    repeat(&text, "{" USING ",'methodCalls':[",
           "['EmailSubmission/get',{'accountId':'#','ids':null},'@']", 4, "]}");
    SCOPED(buf_finish) struct buf whole = buf_make(200000);
    for (const char *p = buf_cstr(&text); *p; p++)
        if (*p == '#')
            buf_addf(&whole, "%s", kit_account(&k->anna));
        else
            buf_addc(&whole, *p);
    json_t *a = kit_ask_as(k, &k->anna, buf_cstr(&whole), NULL);
    assert_int_equal(json_array_size(kit_at(a, "methodResponses.0.1.list")), N);
    assert_int_equal(json_array_size(kit_at(a, "methodResponses.3.1.list")), N);
    json_decref(a);
}

/* A mailbox or a submission that is looked at takes a second. */
static void queries_end_when_their_time_is_over(void **state)
{
    static const char *const methods[] = {"Mailbox/query", "Mailbox/queryChanges",
                                          "EmailSubmission/query", "EmailSubmission/queryChanges"};
    struct kit *k = *state;
    SCOPED(buf_finish) struct buf create = buf_make(10000);
    repeat(&create, "'create':{", "'c@':{'name':'slow @'}", 30, "}");
    json_decref(kit_call(k, "Mailbox/set", buf_cstr(&create)));
    put_submissions(k, 30);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(2000);
        buf_addf(&b, "{" USING ",'methodCalls':[['%s',{'accountId':'%s',%s},'c']]}", methods[i],
                 kit_account(&k->anna), i % 2 ? "'sinceQueryState':'0'" : "'filter':null");
        forget_counts();
        step = 1;
        json_t *a = kit_ask_as(k, &k->anna, buf_cstr(&b), NULL);
        step = later = 0;
        assert_text(a, "methodResponses.0.1.type", "serverUnavailable");
        assert_counted(REFUSE_JMAP_TIME);
        json_decref(a);
    }
}

/* Each answer holds the one before twice: the last would have 2^31 of the first. */
static void answers_that_grow_by_references_end_at_the_ceiling(void **state)
{
    struct kit *k = *state;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    char ten[11] = "0123456789";
    buf_addf(&b, "{" USING ",'methodCalls':[['Core/echo',{'x':'");
    for (int i = 0; i < 10000; i++)
        buf_add(&b, ten, 10);
    buf_addf(&b, "'},'0']");
    for (int i = 1; i < JMAP_CALLS_MAX; i++)
        buf_addf(&b,
                 ",['Core/echo',{'#a':{'resultOf':'%d','name':'Core/echo','path':''},"
                 "'#b':{'resultOf':'%d','name':'Core/echo','path':''}},'%d']",
                 i - 1, i - 1, i);
    buf_addf(&b, "]}");
    forget_counts();
    json_t *a = kit_ask_as(k, &k->anna, buf_cstr(&b), NULL);
    const json_t *answers = kit_at(a, "methodResponses");
    assert_int_equal(json_array_size(answers), JMAP_CALLS_MAX);
    assert_text(a, "methodResponses.5.0", "Core/echo");
    size_t n = 0;
    while (strcmp(json_string_value(json_array_get(json_array_get(answers, n), 0)), "error") != 0)
        n++;
    const json_t *error = json_array_get(json_array_get(answers, n), 1);
    assert_text(error, "type", "requestTooLarge");
    assert_text(json_array_get(json_array_get(answers, n + 1), 1), "type",
                "invalidResultReference");
    assert_counted(REFUSE_JMAP_SIZE);
    json_decref(a);
}

/* Every "*" makes an array of its own: a small request could fill the memory with copies. */
static void references_take_no_more_values_than_a_request(void **state)
{
    enum { N = 50000 };
    static const struct {
        const char *one, *path;
        unsigned n_refs;
        const char *name; /* of the answer */
    } rows[] = {{"0", "/l/*", JMAP_VALUES_MAX / N / 2, "Core/echo"},
                {"0", "/l/*", JMAP_VALUES_MAX / N + 1, "error"},
                {"[]", "/l/*/*", JMAP_VALUES_MAX / N + 1, "error"}};
    struct kit *k = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
        char one[100];
        repeat(&b, "{" USING ",'methodCalls':[['Core/echo',{'l':[", rows[i].one, N, "]},'0']");
        snprintf(one, sizeof(one), "'#a@':{'resultOf':'0','name':'Core/echo','path':'%s'}",
                 rows[i].path);
        repeat(&b, ",['Core/echo',{", one, rows[i].n_refs, "},'1']]}");
        forget_counts();
        json_t *a = kit_ask_as(k, &k->anna, buf_cstr(&b), NULL);
        assert_text(a, "methodResponses.1.0", rows[i].name);
        json_decref(a);
        if (strcmp(rows[i].name, "error") == 0)
            assert_counted(REFUSE_JMAP_SHAPE);
    }
}

static void a_request_of_very_many_values_is_not_read(void **state)
{
    struct kit *k = *state;
    SCOPED(buf_finish) struct buf b = buf_make(JMAP_SIZE_REQUEST_MAX);
    char head[400];
    snprintf(head, sizeof(head),
             "{" USING ",'methodCalls':[['Email/query',{'accountId':'%s','filter':"
             "{'operator':'OR','conditions':[",
             kit_account(&k->anna));
    repeat(&b, head, "1", 3 * JMAP_VALUES_MAX, "]}},'c']]}");
    unsigned status;
    forget_counts();
    json_decref(kit_ask_as(k, &k->anna, buf_cstr(&b), &status));
    assert_int_equal(status, 400);
    assert_counted(REFUSE_JMAP_SHAPE);
}

static json_t *upload(struct kit *k, size_t n)
{
    char *bytes = mem_new(n);
    memset(bytes, 'x', n);
    buf_clear(&k->out);
    assert_int_equal(jmap_upload(k->jmap, k->reader, &k->anna, slice_str(kit_account(&k->anna)),
                                 SLICE("text/plain"), slice_of(bytes, n), &k->out),
                     201);
    mem_free(&bytes);
    return json_loadb(k->out.p, k->out.n, 0, NULL);
}

/* A small request, a large attachment a thousand times. */
static void what_one_call_makes_is_not_held_without_end(void **state)
{
    struct kit *k = *state;
    char inbox[20] = "B", one[300];
    message_id_text(KIT_INBOX, inbox + 1);
    json_t *blob = upload(k, 1000000);
    snprintf(one, sizeof(one), "'k@':{'mailboxIds':{'%s':true},'attachments':[{'blobId':'%s'}]}",
             inbox, kit_text(blob, "blobId"));
    k->anna.size_max = 10 << 20;
    k->commit_fails = ERR_FULL; /* they are not to be written here */
    const struct row row = {"Email/set", "'create':{",           one,         200,
                            "}",         "notCreated.k199.type", "rateLimit", REFUSE_JMAP_MEMORY};
    assert_row(k, &row);
    k->anna.size_max = 1 << 20;
    json_decref(blob);
}

/* Each of these conditions finds everything. */
static void conditions_that_find_too_much_are_refused(void **state)
{
    struct kit *k = *state;
    put_emails(k, 20000);
    static const struct row row = {"Email/query",
                                   "'filter':{'operator':'AND','conditions':[",
                                   "{'text':'is:unread'}",
                                   240,
                                   "]}",
                                   "type",
                                   "requestTooLarge",
                                   REFUSE_JMAP_MEMORY};
    assert_row(k, &row);
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
        cmocka_unit_test(what_takes_too_long_is_counted),
        cmocka_unit_test(headers_are_looked_up_in_all_emails_or_not_at_all),
        cmocka_unit_test(what_is_left_when_time_is_over_is_not_done),
        cmocka_unit_test(many_submissions_in_many_calls_share_no_memory),
        cmocka_unit_test(queries_end_when_their_time_is_over),
        cmocka_unit_test(answers_that_grow_by_references_end_at_the_ceiling),
        cmocka_unit_test(references_take_no_more_values_than_a_request),
        cmocka_unit_test(a_request_of_very_many_values_is_not_read),
        cmocka_unit_test(what_one_call_makes_is_not_held_without_end),
        cmocka_unit_test(conditions_that_find_too_much_are_refused),
    };
    return cmocka_run_group_tests(tests, open_kit, close_kit);
}
