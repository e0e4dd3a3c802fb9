/* Who may say what to whom, the names of types and roles, and the maxima of what travels. */
#include "ipc/ipc.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { S = IPC_SUPERVISOR, G = IPC_GATE, D = IPC_DOOR, C = IPC_CORE, K = IPC_COURIER };
enum { L = IPC_LIAISON, R = IPC_RESOLVER, ALL = G | D | C | K | L | R };

/* Written by hand from the design: each type, from whom, to whom. */
static const struct {
    const char *name;
    enum ipc_type type;
    int from, to;
} table[] = {
    {"content", IPC_T_content, G | D | C, C | K | D | G | L},
    {"facts", IPC_T_facts, C, G},
    {"rcpt_ask", IPC_T_rcpt_ask, G, C},
    {"rcpt_told", IPC_T_rcpt_told, C, G},
    {"take", IPC_T_take, G, C},
    {"taken", IPC_T_taken, C, G},
    {"drop", IPC_T_drop, G | D, C},
    {"answered", IPC_T_answered, G, C},
    {"refusals", IPC_T_refusals, G | D | K | L | R, C},
    {"figures", IPC_T_figures, G | D | K | L | R, C},
    {"job", IPC_T_job, C, K},
    {"result", IPC_T_result, K, C},
    {"probe", IPC_T_probe, C, L},
    {"observed", IPC_T_observed, L, C},
    {"name_ask", IPC_T_name_ask, G | K | L, R},
    {"name_told", IPC_T_name_told, R, G | K | L},
    {"request", IPC_T_request, D, C},
    {"response", IPC_T_response, C, D},
    {"link", IPC_T_link, S, ALL},
    {"ready", IPC_T_ready, ALL, S},
    {"nonsense", IPC_T_nonsense, ALL, S},
    {"stop", IPC_T_stop, S, ALL},
    {"ping", IPC_T_ping, S, ALL},
    {"pong", IPC_T_pong, ALL, S},
    {"progress", IPC_T_progress, ALL, S},
    {"failed", IPC_T_failed, ALL, S},
    {"settings", IPC_T_settings, S, ALL},
    {"processes", IPC_T_processes, S, C},
    {"mailbox_look", IPC_T_mailbox_look, C, L},
    {"mailbox_seen", IPC_T_mailbox_seen, L, C},
    {"mailbox_has", IPC_T_mailbox_has, C, L},
    {"mailbox_has_told", IPC_T_mailbox_has_told, L, C},
    {"control", IPC_T_control, C, L},
    {"controlled", IPC_T_controlled, L, C},
    {"hook", IPC_T_hook, C, L},
    {"hooked", IPC_T_hooked, L, C},
    {"domain_look", IPC_T_domain_look, C, L},
    {"domain_seen", IPC_T_domain_seen, L, C},
    {"highs", IPC_T_highs, G | D | K | L | R, C},
    {"parse", IPC_T_parse, C, G},
    {"parsed", IPC_T_parsed, G, C},
    {"call", IPC_T_call, D, C},
    {"called", IPC_T_called, C, D},
    {"changed", IPC_T_changed, C, D},
    {"unwatch", IPC_T_unwatch, D | C, C | D},
    {"mailbox_do", IPC_T_mailbox_do, C, L},
    {"mailbox_did", IPC_T_mailbox_did, L, C},
    {"token_new", IPC_T_token_new, L, C},
    {"push", IPC_T_push, C, L},
    {"pushed", IPC_T_pushed, L, C},
};
enum { TABLE = sizeof(table) / sizeof(table[0]) };

static void only_those_may_speak_who_are_in_the_table(void **)
{
    assert_int_equal(TABLE, IPC_T_N - 1); /* a new type is a new row here */
    for (size_t i = 0; i < TABLE; i++)
        for (int from = 1; from <= R; from *= 2)
            for (int to = 1; to <= R; to *= 2) {
                bool may = (table[i].from & from) && (table[i].to & to);
                if (ipc_may_send((uint16_t)table[i].type, (enum ipc_role)from, (enum ipc_role)to) !=
                    may)
                    fail_msg("%s from %s to %s", table[i].name, ipc_role_name((enum ipc_role)from),
                             ipc_role_name((enum ipc_role)to));
            }
}

static void what_is_no_type_may_be_sent_by_nobody(void **)
{
    static const uint16_t types[] = {IPC_T_NONE, IPC_T_N, IPC_T_N + 1, 0x7fff, 0xffff};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        assert_false(ipc_may_send(types[i], IPC_GATE, IPC_CORE));
        assert_false(ipc_may_send(types[i], IPC_SUPERVISOR, IPC_GATE));
        assert_string_equal(ipc_type_name(types[i]), "unknown");
    }
    assert_false(ipc_may_send(IPC_T_take, (enum ipc_role)0, IPC_CORE));
    assert_false(ipc_may_send(IPC_T_take, IPC_GATE, (enum ipc_role)0));
}

static void names_are_those_of_the_list(void **)
{
    for (size_t i = 0; i < TABLE; i++)
        assert_string_equal(ipc_type_name((uint16_t)table[i].type), table[i].name);
    assert_string_equal(ipc_role_name(IPC_RESOLVER), "resolver");
    assert_string_equal(ipc_role_name((enum ipc_role)3), "unknown");
    assert_string_equal(smtp_phase_name(SMTP_PHASE_DOT), "dot");
    assert_string_equal(smtp_phase_name(SMTP_PHASE_NONE), "nowhere");
    assert_string_equal(smtp_phase_name(SMTP_PHASE_N), "unknown");
    assert_string_equal(smtp_phase_name(255), "unknown");
    assert_string_equal(ipc_look_step_name(IPC_STEP_NONE), "nowhere");
    assert_string_equal(ipc_look_step_name(IPC_STEP_FETCH), "fetch");
    assert_string_equal(ipc_look_step_name(IPC_STEP_N), "unknown");
}

static void texts_and_lists_end_at_their_maximum(void **)
{
    static char text[401];
    struct arena *a = arena_create(1 << 20);
    struct buf b = buf_make(100000);
    struct ipc_rcpt_ask ask = {.address = slice_of(text, 400)}, back;
    ipc_rcpt_ask_pack(&b, &ask);
    assert_false(b.failed);
    assert_true(ipc_rcpt_ask_unpack(buf_slice(&b), a, &back));
    buf_clear(&b);
    ask.address.n = 401;
    ipc_rcpt_ask_pack(&b, &ask);
    assert_true(b.failed);
    buf_clear(&b);
    buf_bytes(&b, slice_of(text, 401)); /* as somebody else might pack it */
    buf_u64(&b, 0);
    buf_u64(&b, 0);
    assert_false(ipc_rcpt_ask_unpack(buf_slice(&b), a, &back));
    buf_clear(&b);
    struct ipc_answered answered;
    buf_u32(&b, 10001); /* of at most 10000 */
    for (int i = 0; i < 10001; i++) {
        buf_u64(&b, 1);
        buf_u8(&b, 1);
    }
    assert_false(b.failed);
    assert_false(ipc_answered_unpack(buf_slice(&b), a, &answered));
    buf_clear(&b);
    buf_u32(&b, 0xffffffff); /* memory for a list is asked for only when its bytes are there */
    assert_false(ipc_answered_unpack(buf_slice(&b), a, &answered));
    buf_finish(&b);
    arena_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_may_speak_who_are_in_the_table),
        cmocka_unit_test(what_is_no_type_may_be_sent_by_nobody),
        cmocka_unit_test(names_are_those_of_the_list),
        cmocka_unit_test(texts_and_lists_end_at_their_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
