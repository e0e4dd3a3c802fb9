/* Whole requests of one person, of several calls: @@ stands for the account. For tests: include it
 * in one file of a program. */
#ifndef JMAP_TEST_JMAP_CALLS_H
#define JMAP_TEST_JMAP_CALLS_H

#include "jmap_kit.h"

static struct kit kit;

static int open_kit(void **)
{
    kit_open(&kit);
    return 0;
}

static int close_kit(void **)
{
    kit_close(&kit);
    return 0;
}

/* Calls with @@ for the account; the array of responses, the caller's. */
static json_t *ask(const char *calls)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    buf_adds(&b, SLICE("{'using':['urn:ietf:params:jmap:core','urn:ietf:params:jmap:mail',"
                       "'urn:ietf:params:jmap:submission',"
                       "'urn:ietf:params:jmap:vacationresponse','urn:ietf:params:jmap:quota',"
                       "'urn:ietf:params:jmap:blob'],'methodCalls':"));
    for (const char *p = calls; *p; p++) {
        bool is_account = p[0] == '@' && p[1] == '@';
        if (is_account)
            buf_addf(&b, "'accountId':'%s'", kit_account(&kit.anna));
        else
            buf_addc(&b, *p);
        p += is_account;
    }
    buf_addc(&b, '}');
    json_t *answer = kit_ask_as(&kit, &kit.anna, buf_cstr(&b), NULL);
    json_t *responses = json_incref(json_object_get(answer, "methodResponses"));
    assert_non_null(responses);
    json_decref(answer);
    return responses;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_kit, close_kit)

#endif
