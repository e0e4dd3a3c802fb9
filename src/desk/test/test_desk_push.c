/* Who hears of changes, and when: event streams and push subscriptions. */
#include "desk/desk_account_int.h"
#include "desk/desk_jmap_int.h"
#include "desk/desk_login_int.h"
#include "desk/desk_push_int.h"
#include "desk_kit.h"

#include "base/refuse.h"
#include "jmap/jmap_item.h"

static const struct kit_mail for_anna = {.rcpts = {"anna@example.test"}};

/* ---- event streams ---- */

static void watch_now(void *)
{
    desk_jmap_watch(&kit->desk->doors[0], 1, KIT_ANNA);
}

static void found_watched(void)
{
    kit_found((struct kit_company){0});
    kit->door = kit_link(IPC_DOOR, 1);
    kit_on_loop(watch_now, NULL);
}

enum { STATE = 500, LONGER_US = 600000 }; /* than what changes is told together */

static void next_changed(char to[STATE])
{
    SCOPED(arena_destroy) struct arena *a = arena_create(10000);
    struct kit_frame f = {};
    struct ipc_changed c;
    kit_expect(kit->door, IPC_T_changed, &f);
    assert_true(ipc_changed_unpack(f.payload, a, &c));
    assert_int_equal(c.person, KIT_ANNA);
    (void)snprintf(to, STATE, SLICE_FMT, SLICE_ARG(c.state));
    kit_frame_free(&f);
}

static void gone_now(void *arg)
{
    const uint64_t *message = arg;
    struct record_email email = {
        .account = KIT_ANNA, .message = *message, .thread = *message, .received = utc_now()};
    desk_emails_gone(kit->desk, &email, 1);
}

static void items_done(void *, enum err err)
{
    must(err == ERR_OK);
}

static void item_now(void *)
{
    struct record_item item = {.account = KIT_ANNA,
                               .kind = ITEM_IDENTITY,
                               .id = desk_next_id(kit->desk),
                               .body = SLICE("x")};
    desk_account_items(kit->desk, &item, 1, items_done, NULL);
}

/* The disk takes longer than those wait who find out what is new: they would tell the old, and
 * never of it again. */
static void what_we_change_ourselves_is_told_when_it_is_durable(void **)
{
    char was[STATE], is[STATE];
    found_watched();
    uint64_t id = kit_accept(kit->gate, &for_anna);
    next_changed(was);
    disk_set(true, false);
    kit_on_loop(gone_now, &id);
    usleep(LONGER_US);
    disk_set(false, false);
    next_changed(is);
    assert_string_not_equal(is, was);
    disk_set(true, false);
    kit_on_loop(item_now, NULL);
    usleep(LONGER_US);
    disk_set(false, false);
    next_changed(was);
    assert_string_not_equal(is, was);
}

/* Of what changes in the account after that; it is there still. */
static void who_has_left_hears_no_more(void **)
{
    struct kit_objects all = {.n = 0};
    struct kit_frame f = {};
    struct ipc_unwatch unwatch;
    found_watched();
    kit_person(&all, KIT_ANNA, "anna@example.test", NULL, 0);
    assert_int_equal(kit_put_objects(&all, NULL), ERR_OK);
    kit_on_loop(item_now, NULL);
    do
        assert_true(kit_get(kit->door, &f, KIT_WAIT_MS));
    while (f.type != IPC_T_changed && f.type != IPC_T_unwatch);
    assert_int_equal(f.type, IPC_T_unwatch);
    assert_true(ipc_unwatch_unpack(f.payload, NULL, &unwatch));
    assert_int_equal(unwatch.person, KIT_ANNA);
    kit_frame_free(&f);
    kit_on_loop(item_now, NULL);
    usleep(LONGER_US);
    kit_expect_quiet(kit->door);
}

/* ---- subscriptions ---- */

#define URL "https://push.test/anna"
#define CODE "the-code"

struct order { /* of log-ins; and the token that there is then */
    struct admin_login_order order;
    uint64_t token;
    bool is_done; /* under kit->lock */
};

static void ordered(void *cookie, enum err err, const char *)
{
    struct order *o = cookie;
    struct admin_login_token t = {};
    size_t at = 0;
    must(err == ERR_OK);
    if (kit_admin->host.login_next_token(kit->desk, o->order.person, &at, &t))
        o->token = t.id;
    pthread_mutex_lock(&kit->lock);
    o->is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void order_now(void *arg)
{
    struct order *o = arg;
    desk_login_order(kit->desk, &o->order, ordered, o);
}

static uint64_t order(enum admin_login_what what, uint64_t token)
{
    struct order o = {.order = {.what = what,
                                .person = KIT_ANNA,
                                .token = token,
                                .text = SLICE("Phone"),
                                .by = SLICE("luca")}};
    kit_on_loop(order_now, &o);
    pthread_mutex_lock(&kit->lock);
    while (!o.is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
    return o.token;
}

struct subscription {
    uint64_t id, login;
    utc_ms made;
    bool is_confirmed;
    enum err err;
};

static void next_id(void *arg)
{
    *(uint64_t *)arg = desk_next_id(kit->desk);
}

/* As PushSubscription/set does, on a thread. It is told of all states when it is confirmed. */
static void *write_subscription(void *arg)
{
    struct subscription *s = arg;
    struct jmap_host host;
    struct jmap_states none = {};
    struct errinfo ei;
    const struct jmap_caller anna = {.person = KIT_ANNA, .tenant = KIT_TENANT, .login = s->login};
    const struct jmap_item_push push = {.device = SLICE("phone"),
                                        .url = SLICE(URL),
                                        .sent = SLICE(CODE),
                                        .confirmed = s->is_confirmed ? SLICE(CODE) : SLICE(""),
                                        .login = s->login,
                                        .made = s->made};
    SCOPED(buf_finish) struct buf body = buf_make(JMAP_ITEM_BODY_MAX);
    jmap_item_push_pack(&body, &push);
    struct record_item item = {
        .account = KIT_ANNA, .kind = ITEM_PUSH, .id = s->id, .body = buf_slice(&body)};
    struct jmap_commit c = {.items = &item, .n_items = 1};
    desk_jmap_host(kit->desk, &host);
    s->err = host.commit(host.arg, &anna, &c, &ei);
    host.subscribed(host.arg, &anna, s->id, buf_slice(&body), s->is_confirmed ? &none : NULL);
    return NULL;
}

static void write_it(struct subscription *s)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_subscription, s), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(s->err, ERR_OK);
}

struct pushed { /* what the liaison was asked */
    uint64_t tag;
    char body[500], topic[40];
    bool is_sealed;
};

static void take_push(struct kit_frame *f, struct pushed *ret)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(20000);
    struct ipc_push p;
    assert_true(ipc_push_unpack(f->payload, a, &p));
    assert_true(slice_eq(p.url, SLICE(URL)));
    ret->tag = f->tag;
    ret->is_sealed = p.is_sealed;
    (void)snprintf(ret->body, sizeof(ret->body), SLICE_FMT, SLICE_ARG(p.body));
    (void)snprintf(ret->topic, sizeof(ret->topic), SLICE_FMT, SLICE_ARG(p.topic));
    kit_frame_free(f);
}

static struct pushed next_push(void)
{
    struct pushed ret;
    struct kit_frame f = {};
    kit_expect(kit->liaison, IPC_T_push, &f);
    take_push(&f, &ret);
    return ret;
}

/* What is due by then has been asked. */
static void no_push(void)
{
    enum { SOME_TICKS_MS = 400 };
    struct kit_frame f = {};
    kit_let_pass(2); /* longer than what changes is told together */
    while (kit_get(kit->liaison, &f, SOME_TICKS_MS))
        assert_int_not_equal(f.type, IPC_T_push);
    kit_frame_free(&f);
}

static void answer(const struct pushed *to, uint16_t status, uint32_t retry_after)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_pushed_pack(&b, &(struct ipc_pushed){.status = status, .retry_after = retry_after});
    kit_put(kit->liaison, IPC_T_pushed, to->tag, &b);
}

static bool has(const struct pushed *p, const char *text)
{
    return strstr(p->body, text) != NULL;
}

static struct subscription subscribe(void)
{
    struct subscription s = {.made = utc_now()};
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    s.login = order(ADMIN_LOGIN_TOKEN_ADD, 0);
    kit_on_loop(next_id, &s.id);
    write_it(&s);
    return s;
}

static void something_changes(void)
{
    kit_on_loop(item_now, NULL);
}

/* One that was confirmed and knows all that there is. */
static struct subscription confirmed(void)
{
    struct subscription s = subscribe();
    struct pushed p = next_push();
    assert_true(has(&p, CODE));
    answer(&p, 201, 0);
    something_changes(); /* there is something to know */
    s.is_confirmed = true;
    write_it(&s);
    p = next_push();
    answer(&p, 201, 0);
    return s;
}

struct look {
    uint64_t id;
    bool is_there;
};

static void look_now(void *arg)
{
    struct look *l = arg;
    l->is_there = desk_push_find(kit->desk, l->id) != NULL;
}

static void await_end(const struct subscription *s)
{
    struct look l = {.id = s->id, .is_there = true};
    for (int i = 0; i < 2000 && l.is_there; i++) {
        kit_on_loop(look_now, &l);
        usleep(1000);
    }
    assert_false(l.is_there);
}

static void found_again(void)
{
    kit_restart();
    kit->liaison = kit_link(IPC_LIAISON, 1);
}

static void who_confirmed_the_code_is_told_of_what_changes(void **)
{
    struct subscription s = subscribe();
    struct pushed p = next_push();
    assert_true(has(&p, "PushVerification") && has(&p, CODE));
    assert_string_equal(p.topic, "");
    answer(&p, 201, 0);
    (void)kit_accept(kit->gate, &for_anna);
    no_push(); /* but for the code, nothing goes to who has not confirmed it */
    s.is_confirmed = true;
    write_it(&s);
    p = next_push();
    assert_true(has(&p, "StateChange") && has(&p, "\"Mailbox\""));
    answer(&p, 201, 0);
    (void)kit_accept(kit->gate, &for_anna);
    p = next_push();
    assert_true(has(&p, "\"Email\"") && has(&p, "\"EmailDelivery\""));
    assert_false(has(&p, "\"Identity\""));
    assert_string_not_equal(p.topic, "");
    (void)kit_accept(kit->gate, &for_anna);
    no_push(); /* nothing is told twice at the same time */
    answer(&p, 201, 0);
    p = next_push();
    answer(&p, 201, 0);
    no_push();
    kit_end_of_waiting();
}

static void who_does_not_answer_well_waits(void **)
{
    (void)confirmed();
    something_changes();
    struct pushed p = next_push();
    answer(&p, 503, 600);
    no_push();
    kit_let_pass(590);
    no_push();
    kit_let_pass(200);
    struct pushed again = next_push();
    assert_string_equal(again.body, p.body);
    assert_true(again.tag > p.tag);
    answer(&again, 200, 0);
    no_push();
    kit_end_of_waiting();
}

static void an_address_that_is_gone_ends_it_for_good(void **)
{
    struct subscription s = confirmed();
    something_changes();
    struct pushed p = next_push();
    answer(&p, 404, 0);
    await_end(&s);
    found_again();
    kit_let_pass(100);
    no_push();
    kit_end_of_waiting();
}

/* It ends once more, though nothing else says that it is over. */
static void its_end_is_written_again_when_it_could_not_be(void **)
{
    struct subscription s = confirmed();
    something_changes();
    struct pushed p = next_push();
    disk_set(true, false);
    answer(&p, 410, 0);
    disk_fail_what_waits(ENOSPC);
    disk_set(false, false);
    no_push();
    kit_let_pass(120); /* longer than between two looks */
    await_end(&s);
    kit_end_of_waiting();
}

static void how_many_there_may_be_is_measured(void **)
{
    struct refuse_high highs[REFUSE_N];
    struct jmap_caller anna = {.person = KIT_ANNA, .name = SLICE("anna")};
    struct errinfo ei;
    kit_found((struct kit_company){0});
    uint64_t most = refuse_limit(REFUSE_PUSH_PERSON).value;
    (void)refuse_take_highs(mono_now(), highs);
    assert_int_equal(desk_may_subscribe(kit->desk, &anna, most - 1, &ei), ERR_OK);
    assert_int_equal(desk_may_subscribe(kit->desk, &anna, most, &ei), ERR_LIMIT);
    assert_true(refuse_take_highs(mono_now(), highs));
    assert_int_equal(highs[REFUSE_PUSH_PERSON].value, most + 1);
    assert_int_equal(highs[REFUSE_PUSH_TOTAL].value, 1);
    assert_int_equal(highs[REFUSE_PUSH_RATE].value, 1);
    most = refuse_limit(REFUSE_PUSH_RATE).value;
    for (uint64_t i = 1; i < most; i++)
        assert_int_equal(desk_may_subscribe(kit->desk, &anna, 0, &ei), ERR_OK);
    assert_int_equal(desk_may_subscribe(kit->desk, &anna, 0, &ei), ERR_LIMIT);
}

static void it_ends_with_its_log_in(void **)
{
    struct subscription s = confirmed();
    (void)order(ADMIN_LOGIN_TOKEN_REMOVE, s.login);
    await_end(&s);
    something_changes();
    no_push();
    kit_end_of_waiting();
}

static void it_outlives_the_program(void **)
{
    (void)confirmed();
    found_again();
    kit_let_pass(61); /* not to all at once */
    struct pushed p = next_push();
    assert_true(has(&p, "StateChange") && has(&p, "\"Identity\""));
    answer(&p, 201, 0);
    kit_end_of_waiting();
}

static void what_nobody_answered_is_told_again(void **)
{
    (void)confirmed();
    something_changes();
    struct pushed p = next_push(), again;
    fd_close(&kit->liaison); /* it may have been sent, or not */
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_let_pass(10);
    again = next_push();
    assert_string_equal(again.body, p.body);
    p = again;
    kit_let_pass(600); /* the answer may come still */
    no_push();
    kit_let_pass(400); /* it was lost */
    no_push();
    kit_let_pass(10);
    again = next_push();
    assert_string_equal(again.body, p.body);
    answer(&p, 404, 0); /* late: of no question any more */
    answer(&again, 200, 0);
    no_push();
    something_changes();
    (void)next_push();
    kit_end_of_waiting();
}

static void what_we_change_ourselves_is_pushed_when_it_is_durable(void **)
{
    (void)confirmed();
    uint64_t id = kit_accept(kit->gate, &for_anna);
    struct pushed p = next_push(), then;
    answer(&p, 201, 0);
    disk_set(true, false);
    kit_on_loop(gone_now, &id);
    usleep(2 * LONGER_US);
    disk_set(false, false);
    then = next_push();
    assert_string_not_equal(then.body, p.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(what_we_change_ourselves_is_told_when_it_is_durable),
        TEST(who_has_left_hears_no_more),
        TEST(who_confirmed_the_code_is_told_of_what_changes),
        TEST(who_does_not_answer_well_waits),
        TEST(an_address_that_is_gone_ends_it_for_good),
        TEST(its_end_is_written_again_when_it_could_not_be),
        TEST(it_ends_with_its_log_in),
        TEST(how_many_there_may_be_is_measured),
        TEST(it_outlives_the_program),
        TEST(what_nobody_answered_is_told_again),
        TEST(what_we_change_ourselves_is_pushed_when_it_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
