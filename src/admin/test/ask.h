/* Asking in tests: each answer is checked against the schema of its endpoint. */
#ifndef ADMIN_TEST_ASK_H
#define ADMIN_TEST_ASK_H

#include "fake.h"

#include <setjmp.h>
#include <cmocka.h>

/* Is the answer what the description promises? */
static inline void fake_check(struct fake_reply *r, const char *method, const char *target)
{
    struct slice rest, path = slice_cut(slice_str(target), '?', &rest);
    struct route route = admin_route(slice_str(method), path);
    bool is_health = route.endpoint && route.endpoint->answer == SCHEMA_HEALTH && r->status == 503;
    enum schema_id id = SCHEMA_PROBLEM;
    struct errinfo ei = {};
    json_t *value = NULL;
    assert_int_equal(r->n, 1);
    if (route.endpoint && (r->status < 400 || is_health)) {
        id = route.endpoint->answer;
        assert_int_equal(r->status, is_health ? 503 : route.endpoint->status);
    } else {
        assert_string_equal(r->type, "application/problem+json");
    }
    if (id == SCHEMA_NONE)
        return;
    value = json_loadb(r->body.p, r->body.n, JSON_REJECT_DUPLICATES, NULL);
    if (!value || schema_check(id, value, &ei) != ERR_OK)
        fail_msg("%s %s: %s: %s", method, target, ei.text, buf_cstr(&r->body));
    json_decref(value);
}

static inline struct fake_reply fake_ask(const char *method, const char *target, const char *body)
{
    struct fake_reply r = {};
    fake_send(&r, method, target, slice_str(body));
    fake_check(&r, method, target);
    return r;
}

static inline void fake_expect(const char *method, const char *target, const char *body,
                               uint16_t status, const char *part)
{
    struct fake_reply r = fake_ask(method, target, body);
    if (r.status != status || !strstr(buf_cstr(&r.body), part))
        fail_msg("%s %s: expected %u with %s, got %u: %s", method, target, status, part, r.status,
                 buf_cstr(&r.body));
    buf_finish(&r.body);
}

#endif
