/* Looks at domains as core asks for them, and what their findings set off. */
#include "desk_kit.h"

#include "desk/desk_state_int.h"
#include "watch/watch.h"

/* ---- the liaison ---- */

/* The next look at this domain (0: the node); other ones stay unanswered. */
static void next_look(uint64_t domain, struct ipc_domain_look *ret, struct arena *a)
{
    struct kit_frame f = {0};
    do {
        kit_expect(kit->liaison, IPC_T_domain_look, &f);
        assert_true(ipc_domain_look_unpack(arena_copy(a, f.payload), a, ret));
        assert_int_equal(f.tag, ret->domain);
    } while (ret->domain != domain);
    kit_frame_free(&f);
}

static void send_seen(uint64_t domain, bool is_blind, const struct ipc_finding *list, uint32_t n)
{
    struct ipc_finding copy[12];
    memcpy(copy, list, n * sizeof(*list));
    struct ipc_domain_seen seen = {
        .domain = domain, .is_blind = is_blind, .findings = copy, .n_findings = n};
    SCOPED(buf_finish) struct buf b = buf_make(50000);
    ipc_domain_seen_pack(&b, &seen);
    kit_put(kit->liaison, IPC_T_domain_seen, domain, &b);
}

static void answer(uint64_t domain, enum watch_check check, enum watch_class class)
{
    struct ipc_finding f = {.check = (uint8_t)check,
                            .class = (uint8_t) class,
                            .found = SLICE("what the test found"),
                            .expected = SLICE("what it expected"),
                            .why = SLICE("Because."),
                            .advice = SLICE("Write this.")};
    send_seen(domain, false, &f, 1);
}

/* ---- people ---- */

struct asked {
    uint64_t domain;
    pthread_mutex_t lock;
    bool is_done;
    enum err err;
    char text[200];
};

static void look_done(void *cookie, enum err err, const char *text)
{
    struct asked *q = cookie;
    pthread_mutex_lock(&q->lock);
    q->err = err;
    snprintf(q->text, sizeof(q->text), "%s", text);
    q->is_done = true;
    pthread_mutex_unlock(&q->lock);
}

static void ask_now(void *arg)
{
    struct asked *q = arg;
    kit_admin->host.look(kit_admin->host.arg, q->domain, look_done, q);
}

static void await(struct asked *q)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    for (bool is_done = false; !is_done; usleep(2000)) {
        pthread_mutex_lock(&q->lock);
        is_done = q->is_done;
        pthread_mutex_unlock(&q->lock);
        if (mono_now() > until)
            fail_msg("nobody answered");
    }
}

struct shown {
    const char *name, *check;
    char class[20], found[100];
    utc_ms since;
    bool is_stale;
};

static void show(void *cookie, const struct admin_watch *w)
{
    struct shown *s = cookie;
    if (!slice_eq(w->name, slice_str(s->name)) || strcmp(w->check, s->check) != 0)
        return;
    snprintf(s->class, sizeof(s->class), "%s", w->class);
    snprintf(s->found, sizeof(s->found), "%s", w->found);
    s->since = w->since;
    s->is_stale = w->is_stale;
}

static void show_now(void *arg)
{
    kit_admin->host.watches(kit_admin->host.arg, show, arg);
}

static struct shown shown_of(const char *name, const char *check)
{
    struct shown s = {.name = name, .check = check};
    kit_on_loop(show_now, &s);
    return s;
}

static void await_class(const char *name, const char *check, const char *class)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (strcmp(shown_of(name, check).class, class) != 0) {
        if (mono_now() > until)
            fail_msg("%s of %s is %s, not %s", check, name, shown_of(name, check).class, class);
        usleep(2000);
    }
}

/* ---- events ---- */

struct count {
    const char *name;
    int class; /* -1: any */
    unsigned n;
};

static bool count_event(void *arg, uint64_t, const struct record_event *e)
{
    struct count *c = arg;
    c->n += slice_eq(e->name, slice_str(c->name)) && (c->class < 0 || e->class == c->class);
    return true;
}

static unsigned n_events(const char *name, int class)
{
    struct count c = {name, class, 0};
    struct store_reader *reader = kit_reader();
    struct errinfo ei;
    assert_int_equal(store_each_event(reader, 0, 0, 0, count_event, &c, &ei), ERR_OK);
    store_reader_close(&reader);
    return c.n;
}

/* ---- tests ---- */

static struct asked by_hand(uint64_t domain)
{
    struct asked q = {.domain = domain, .lock = PTHREAD_MUTEX_INITIALIZER};
    return q;
}

/* Somebody asks, the liaison sees this, the answer is there. */
static void look_and_see(uint64_t domain, enum watch_check check, enum watch_class class)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_domain_look look;
    struct asked q = by_hand(domain);
    kit_on_loop(ask_now, &q);
    next_look(domain, &look, a);
    answer(domain, check, class);
    await(&q);
    assert_int_equal(q.err, ERR_OK);
}

static void a_domain_is_looked_at_with_what_is_known_of_it(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_domain_look look;
    struct asked q = by_hand(KIT_DOMAIN);
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_on_loop(ask_now, &q);
    next_look(KIT_DOMAIN, &look, a);
    assert_true(slice_eq(look.name, SLICE("example.test")));
    assert_int_equal(look.form, WATCH_INLINE);
    assert_int_equal(look.ttl_known, 0);
    struct ipc_finding f = {.check = WATCH_TTL, .class = WATCH_OK, .number = 7200};
    send_seen(KIT_DOMAIN, false, &f, 1);
    await(&q);
    q = by_hand(KIT_DOMAIN);
    kit_on_loop(ask_now, &q);
    next_look(KIT_DOMAIN, &look, a);
    assert_int_equal(look.ttl_known, 7200);
    assert_in_range(look.ttl_age, 0, 5);
}

static void name_selectors(struct dir_text *names, uint32_t n)
{
    struct kit_objects all = {.n = 0};
    struct record_mailboxes none = {};
    struct dir_selectors selectors = {names, n};
    dir_selectors_pack(kit_object(&all, OBJECT_SELECTORS, KIT_DOMAIN, KIT_TENANT, "example.test"),
                       &selectors);
    assert_int_equal(kit_put_objects(&all, &none), ERR_OK);
}

static void selectors_are_looked_at_at_once_and_forgotten_when_they_go(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_domain_look look;
    struct dir_text names[] = {{SLICE("one")}, {SLICE("two")}};
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    look_and_see(KIT_DOMAIN, WATCH_DKIM, WATCH_UNKNOWN);
    assert_string_equal(shown_of("example.test", "dkim").class, "unknown");
    name_selectors(names, 2);
    next_look(KIT_DOMAIN, &look, a); /* nobody asked */
    assert_int_equal(look.n_selectors, 2);
    assert_true(slice_eq(look.selectors[1].name, SLICE("two")));
    assert_false(look.selectors[1].is_ours);
    answer(KIT_DOMAIN, WATCH_DKIM, WATCH_ALARM);
    kit_await_event("domain.dkim");
    assert_int_equal(n_events("domain.dkim", EVENT_NOTICE), 1); /* it is being set up */
    kit_restart();
    kit->liaison = kit_link(IPC_LIAISON, 1);
    assert_string_equal(shown_of("example.test", "dkim").class, "alarm");
    name_selectors(names, 0);
    /* What the answer that is under way says is of the selectors that there were. */
    do {
        next_look(KIT_DOMAIN, &look, a);
        answer(KIT_DOMAIN, WATCH_DKIM, look.n_selectors ? WATCH_ALARM : WATCH_UNKNOWN);
    } while (look.n_selectors > 0);
    kit_await_event("domain.dkim.fine");
    assert_string_equal(shown_of("example.test", "dkim").class, "unknown");
    assert_int_equal(n_events("domain.dkim", -1), 1);
}

static void who_became_worse_is_told_once_and_again_when_it_is_well(void **)
{
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_ALARM);
    kit_await_event("domain.mx");
    assert_int_equal(n_events("domain.mx", EVENT_NOTICE), 1); /* it never was right: set up */
    look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_OK);
    kit_await_event("domain.mx.fine");
    for (int i = 0; i < 3; i++)
        look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_ALARM);
    look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_UNKNOWN);
    struct shown s = shown_of("example.test", "mx");
    assert_string_equal(s.class, "alarm"); /* what was known is the best that we know */
    assert_true(s.is_stale);
    look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_ALARM);
    assert_false(shown_of("example.test", "mx").is_stale);
    look_and_see(KIT_DOMAIN, WATCH_SPF, WATCH_NOTICE);
    kit_await_event("domain.spf");
    assert_int_equal(n_events("domain.mx", -1), 2);
    assert_int_equal(n_events("domain.mx", EVENT_ALARM), 1);
    assert_int_equal(n_events("domain.mx.fine", -1), 1);
}

static void nobody_is_told_while_no_name_can_be_resolved(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_domain_look look;
    struct asked q = by_hand(KIT_DOMAIN);
    struct ipc_finding f = {.check = WATCH_MX, .class = WATCH_ALARM};
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_on_loop(ask_now, &q);
    next_look(KIT_DOMAIN, &look, a);
    send_seen(KIT_DOMAIN, true, &f, 1);
    await(&q);
    assert_int_equal(q.err, ERR_RETRY);
    assert_non_null(strstr(q.text, "network.resolver"));
    assert_string_equal(shown_of("example.test", "mx").class, "");
    look_and_see(KIT_DOMAIN, WATCH_SPF, WATCH_NOTICE);
    kit_await_event("domain.spf");
    assert_false(kit_has_event("domain.mx"));
}

static void what_was_found_survives_a_start_and_is_not_told_again(void **)
{
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_OK);
    look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_ALARM);
    kit_await_event("domain.mx");
    utc_ms since = shown_of("example.test", "mx").since;
    kit_restart();
    kit->liaison = kit_link(IPC_LIAISON, 1);
    struct shown s = shown_of("example.test", "mx");
    assert_string_equal(s.class, "alarm");
    assert_string_equal(s.found, "what the test found");
    assert_int_equal(s.since, since);
    look_and_see(KIT_DOMAIN, WATCH_MX, WATCH_ALARM);
    look_and_see(KIT_DOMAIN, WATCH_SPF, WATCH_NOTICE);
    kit_await_event("domain.spf");
    assert_int_equal(n_events("domain.mx", -1), 1);
    await_class("exchange", "queue", "ok"); /* seen at once after a start, then each minute */
    await_class("exchange", "kept", "ok");
}

static void the_node_is_looked_at_by_itself(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_domain_look look;
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    mono_us until = mono_now() + SECONDS(12);
    struct kit_frame f = {0};
    for (bool is_there = false; !is_there;) {
        assert_true(mono_now() < until);
        if (!kit_get(kit->liaison, &f, 12000) || f.type != IPC_T_domain_look)
            continue;
        assert_true(ipc_domain_look_unpack(arena_copy(a, f.payload), a, &look));
        is_there = look.domain == 0 && look.name.n == 0;
    }
    kit_frame_free(&f);
    answer(0, WATCH_CERTIFICATE, WATCH_ALARM);
    kit_await_event("node.certificate");
    await_class("mx1.staffetta.example", "certificate", "alarm");
    assert_int_equal(n_events("node.certificate", EVENT_ALARM), 1);
    /* These need nobody's answer. */
    assert_string_not_equal(shown_of("mx1.staffetta.example", "space").class, "");
    await_class("mx1.staffetta.example", "held", "ok");
}

static void a_liaison_that_dies_answers_who_waits(void **)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct ipc_domain_look look;
    struct asked q = by_hand(KIT_DOMAIN), gone = by_hand(4711), away = by_hand(KIT_DOMAIN);
    kit_found((struct kit_company){0});
    kit_on_loop(ask_now, &away);
    await(&away);
    assert_int_equal(away.err, ERR_RETRY);
    kit->liaison = kit_link(IPC_LIAISON, 1);
    kit_on_loop(ask_now, &gone);
    await(&gone);
    assert_int_equal(gone.err, ERR_GONE);
    kit_on_loop(ask_now, &q);
    next_look(KIT_DOMAIN, &look, a);
    close(kit->liaison);
    kit->liaison = -1;
    await(&q);
    assert_int_equal(q.err, ERR_RETRY);
}

static void findings_that_cannot_be_are_nonsense(void **)
{
    static const struct {
        uint64_t domain;
        struct ipc_finding f;
    } rows[] = {
        {KIT_DOMAIN, {.check = WATCH_MX, .class = WATCH_CLASS_N}},
        {KIT_DOMAIN, {.check = WATCH_N, .class = WATCH_OK}},
        {KIT_DOMAIN, {.check = WATCH_CERTIFICATE, .class = WATCH_OK}}, /* of the node */
        {0, {.check = WATCH_MX, .class = WATCH_OK}},
        {0, {.check = WATCH_SPACE, .class = WATCH_OK}}, /* core's own */
    };
    kit_found((struct kit_company){0});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned n = kit_count_nonsense();
        kit->liaison = kit_link(IPC_LIAISON, 1);
        send_seen(rows[i].domain, false, &rows[i].f, 1);
        mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
        while (kit_count_nonsense() == n) {
            if (mono_now() > until)
                fail_msg("row %zu was believed", i);
            usleep(2000);
        }
        close(kit->liaison);
        kit->liaison = -1;
    }
}

static void probe_now(void *arg)
{
    struct asked *q = arg;
    desk_probe(kit->desk, q->domain, look_done, q);
}

static void another_software_and_a_certificate_that_ends_are_told(void **)
{
    static const char *const greetings[] = {"mail.test ESMTP Exim 4.96 Sun, 22 Nov 2026 10:00:00",
                                            "mail.test ESMTP Exim 4.96 Sun, 22 Nov 2026 10:00:01",
                                            "mail.test ESMTP Exim 4.98 Sun, 22 Nov 2026 10:00:02"};
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
    for (size_t i = 0; i < 3; i++) {
        struct asked q = by_hand(KIT_PRIMARY);
        struct kit_frame f = {0};
        struct ipc_observed o = {.primary = KIT_PRIMARY,
                                 .phase = SMTP_PHASE_MAIL,
                                 .code = 250,
                                 .text = SLICE("ok"),
                                 .cert_until = utc_now() + 3 * 86400 * 1000,
                                 .software = slice_str(greetings[i])};
        SCOPED(buf_finish) struct buf b = buf_make(2000);
        kit_on_loop(probe_now, &q);
        do
            kit_expect(kit->liaison, IPC_T_probe, &f);
        while (f.tag != KIT_PRIMARY);
        ipc_observed_pack(&b, &o);
        kit_put(kit->liaison, IPC_T_observed, KIT_PRIMARY, &b);
        await(&q);
        assert_int_equal(q.err, ERR_OK);
        kit_frame_free(&f);
    }
    kit_await_event("primary.software");
    assert_int_equal(n_events("primary.software", EVENT_INFO), 1);
    kit_await_event("primary.certificate"); /* it ends in three days */
    await_class("exchange", "primary-certificate", "alarm");
    assert_int_equal(n_events("primary.certificate", EVENT_ALARM), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_domain_is_looked_at_with_what_is_known_of_it),
        TEST(selectors_are_looked_at_at_once_and_forgotten_when_they_go),
        TEST(who_became_worse_is_told_once_and_again_when_it_is_well),
        TEST(nobody_is_told_while_no_name_can_be_resolved),
        TEST(what_was_found_survives_a_start_and_is_not_told_again),
        TEST(the_node_is_looked_at_by_itself),
        TEST(a_liaison_that_dies_answers_who_waits),
        TEST(findings_that_cannot_be_are_nonsense),
        TEST(another_software_and_a_certificate_that_ends_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
