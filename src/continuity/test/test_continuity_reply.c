/* Every row of the reply table, and the retry plan. */
#include "continuity/continuity.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { W = 1, /* the sender waits */ A = 2, /* all recipients alike */ K = 4 /* known */ };

static const struct row {
    enum continuity_phase phase;
    uint16_t code, class, subject, detail;
    unsigned who;
    enum continuity_fate fate;
    enum continuity_evidence evidence;
    bool rests;
} primary_rows[] =
    {
        /* success */
        {AT_DOT, 250, 2, 0, 0, W | A | K, FATE_DELIVERED, EVIDENCE_GOOD, false},
        {AT_DOT, 250, 0, 0, 0, K, FATE_DELIVERED, EVIDENCE_GOOD, false},
        /* silence, wherever */
        {AT_NAME, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_CONNECT, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_BANNER, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_EHLO, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_TLS, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_MAIL, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_RCPT, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_DATA, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_DOT, 0, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        /* 5xx about us, before or at MAIL: never a bounce */
        {AT_BANNER, 554, 5, 7, 1, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_EHLO, 550, 5, 7, 1, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_TLS, 550, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_MAIL, 550, 5, 7, 1, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, true},
        {AT_MAIL, 552, 5, 3, 4, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, true},
        /* 5xx for a recipient we know: relaying denied, user unknown, policy */
        {AT_RCPT, 550, 5, 1, 1, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_RCPT, 554, 5, 7, 1, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_RCPT, 550, 0, 0, 0, K, FATE_WAIT, EVIDENCE_REFUSES, false},
        /* 5xx for a recipient we do not know (postmaster without an owner) */
        {AT_RCPT, 550, 5, 1, 1, W | A, FATE_PASS, EVIDENCE_NONE, false},
        {AT_RCPT, 550, 5, 1, 1, W, FATE_HOLD, EVIDENCE_NONE, false},
        {AT_RCPT, 550, 5, 1, 1, 0, FATE_HOLD, EVIDENCE_NONE, false},
        /* 5xx about the content, the sender waits: passed through */
        {AT_DOT, 554, 5, 7, 1, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DOT, 550, 5, 7, 0, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DOT, 554, 5, 6, 0, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DOT, 550, 5, 7, 26, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DOT, 554, 0, 0, 0, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DOT, 554, 5, 0, 0, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DOT, 552, 5, 3, 4, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DOT, 552, 5, 2, 3, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        {AT_DATA, 554, 5, 6, 1, W | A | K, FATE_PASS, EVIDENCE_GOOD, false},
        /* the same after our 250, or for some recipients only: held */
        {AT_DOT, 554, 5, 7, 1, A | K, FATE_HOLD, EVIDENCE_GOOD, false},
        {AT_DOT, 554, 5, 7, 1, W | K, FATE_HOLD, EVIDENCE_GOOD, false},
        {AT_DOT, 554, 0, 0, 0, K, FATE_HOLD, EVIDENCE_GOOD, false},
        /* 5xx at the dot that is not about the content: kept */
        {AT_DOT, 550, 5, 7, 8, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_DOT, 554, 5, 3, 0, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_DOT, 554, 5, 4, 6, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_DOT, 552, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_DOT, 552, 5, 2, 2, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_DATA, 554, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        {AT_DATA, 503, 5, 5, 1, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, false},
        /* 4xx: waits; about the system: evidence, and it rests */
        {AT_BANNER, 421, 4, 3, 2, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_EHLO, 450, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_BAD, true},
        {AT_MAIL, 421, 4, 3, 2, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, true},
        {AT_MAIL, 452, 4, 3, 1, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, true},
        {AT_RCPT, 450, 4, 2, 0, W | A | K, FATE_WAIT, EVIDENCE_NONE, false},
        {AT_RCPT, 452, 4, 2, 2, W | K, FATE_WAIT, EVIDENCE_NONE, false},
        {AT_RCPT, 452, 4, 3, 1, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, true},
        {AT_DOT, 451, 4, 7, 1, W | A | K, FATE_WAIT, EVIDENCE_NONE, false},
        {AT_DOT, 421, 0, 0, 0, W | A | K, FATE_WAIT, EVIDENCE_REFUSES, true},
        {AT_DOT, 452, 4, 3, 1, K, FATE_WAIT, EVIDENCE_REFUSES, true},
},
  world_rows[] = {
      {AT_DOT, 250, 2, 0, 0, 0, FATE_DELIVERED, EVIDENCE_NONE, false},
      {AT_CONNECT, 0, 0, 0, 0, 0, FATE_WAIT, EVIDENCE_NONE, true},
      {AT_DOT, 0, 0, 0, 0, 0, FATE_WAIT, EVIDENCE_NONE, false},
      {AT_RCPT, 550, 5, 1, 1, 0, FATE_RETURN, EVIDENCE_NONE, false},
      {AT_NAME, 556, 5, 1, 10, 0, FATE_RETURN, EVIDENCE_NONE, false},
      {AT_BANNER, 554, 5, 7, 1, 0, FATE_RETURN, EVIDENCE_NONE, false},
      {AT_DOT, 554, 5, 6, 0, 0, FATE_RETURN, EVIDENCE_NONE, false},
      {AT_RCPT, 450, 4, 2, 0, 0, FATE_WAIT, EVIDENCE_NONE, false},
      {AT_MAIL, 421, 4, 3, 2, 0, FATE_WAIT, EVIDENCE_NONE, true},
};

static void check(const struct row *rows, size_t n, bool is_primary)
{
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        struct continuity_verdict v = continuity_judge(
            (struct continuity_reply){r->phase, r->code, r->class, r->subject, r->detail},
            (struct continuity_asker){is_primary, r->who & W, r->who & A, r->who & K});
        if (v.fate != r->fate || v.evidence != r->evidence || v.is_about_destination != r->rests)
            fail_msg("row %zu: phase %d, %u %u.%u.%u, who %u gave fate %d evidence %d rests %d", i,
                     r->phase, r->code, r->class, r->subject, r->detail, r->who, v.fate, v.evidence,
                     v.is_about_destination);
    }
}

static void every_reply_of_a_primary_has_its_fate(void **)
{
    check(primary_rows, sizeof(primary_rows) / sizeof(primary_rows[0]), true);
}

static void every_reply_of_the_world_has_its_fate(void **)
{
    check(world_rows, sizeof(world_rows) / sizeof(world_rows[0]), false);
}

static void no_refusal_of_a_primary_ever_returns_mail_after_our_250(void **)
{
    for (int phase = AT_NAME; phase < AT_N; phase++)
        for (uint16_t code = 400; code < 600; code++)
            for (uint16_t subject = 0; subject < 8; subject++)
                for (uint16_t detail = 0; detail < 30; detail++) {
                    struct continuity_reply r = {(enum continuity_phase)phase, code,
                                                 (uint16_t)(code / 100), subject, detail};
                    struct continuity_verdict v = continuity_judge(
                        r, (struct continuity_asker){
                               .is_primary = true, .is_known = true, .is_alone = true});
                    assert_true(v.fate == FATE_WAIT || v.fate == FATE_HOLD);
                }
}

static void retries_spread_and_grow_and_never_end_for_a_primary(void **)
{
    for (uint32_t attempts = 1; attempts < 50; attempts++)
        for (uint32_t random = 0; random < 1000000; random += 99991) {
            utc_ms primary = continuity_retry_ms(attempts, true, random);
            assert_true(primary >= 8000 && primary <= 350000);
            utc_ms world = continuity_retry_ms(attempts, false, random);
            assert_true(world >= 100000 && world <= 16300000);
        }
    assert_true(continuity_retry_ms(5, false, 0) != continuity_retry_ms(5, false, 12345));
    assert_true(continuity_rest_ms(100, true, 0) <= 17000); /* giving back must start soon */
    assert_false(continuity_is_expired(0, (utc_ms)400 * 86400000, true));
    assert_true(continuity_is_expired(0, (utc_ms)6 * 86400000, false));
    assert_false(continuity_is_expired(0, (utc_ms)4 * 86400000, false));
    assert_int_equal(continuity_expires_at(1000, true), 0);
    utc_ms at = continuity_expires_at(1000, false);
    assert_false(continuity_is_expired(1000, at, false));
    assert_true(continuity_is_expired(1000, at + 1, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reply_of_a_primary_has_its_fate),
        cmocka_unit_test(every_reply_of_the_world_has_its_fate),
        cmocka_unit_test(no_refusal_of_a_primary_ever_returns_mail_after_our_250),
        cmocka_unit_test(retries_spread_and_grow_and_never_end_for_a_primary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
