/* Incidents, targets and the outbox between them, with a clock and a disk of the test's own. */
#include "alert/alert.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define MINUTE ((utc_ms)60000)
#define HOUR (60 * MINUTE)

enum { WEBHOOK = 11, MAILBOX = 12, ROSSI = 1, BIANCHI = 2, DISK_MAX = 4000 };

/* ---- a disk, a sender, a clock ---- */

static struct {
    struct alert_book *book;
    struct arena *arena;
    struct record_object disk[DISK_MAX];
    size_t n_disk, n_removed;
    bool is_held, is_failing, is_away;
    uint64_t tickets[100];
    size_t n_tickets;
    uint64_t last_id, has_message, next_ticket;
    utc_ms now;
    struct {
        enum alert_kind kind;
        uint64_t outbox, message, replaced;
        uint32_t number;
        char id[ALERT_ID_TEXT], body[20000];
    } sent[400];
    size_t n_sent;
    char told[2000];
    unsigned n_told;
} t;

static uint64_t next_id(void *)
{
    return ++t.last_id;
}

static struct slice tenant_name(void *, uint64_t tenant)
{
    return tenant == ROSSI ? SLICE("rossi") : SLICE("");
}

static void keep(const struct record_object *o)
{
    size_t i = 0;
    while (i < t.n_disk && (t.disk[i].kind != o->kind || t.disk[i].id != o->id))
        i++;
    if (o->is_removed) {
        t.n_removed++;
        if (i < t.n_disk)
            t.disk[i] = t.disk[--t.n_disk];
        return;
    }
    assert_true(i < DISK_MAX);
    t.disk[i] = *o;
    t.disk[i].body = arena_copy(t.arena, o->body);
    t.n_disk += i == t.n_disk;
}

static void write_down(void *, const struct record_objects *all, uint64_t ticket)
{
    assert_true(t.n_tickets < 100);
    t.next_ticket = ticket + 1;
    t.tickets[t.n_tickets++] = ticket;
    for (uint32_t i = 0; i < all->n_objects && !t.is_failing; i++)
        keep(&all->objects[i]);
}

static void settle(void)
{
    for (size_t i = 0; i < t.n_tickets && !t.is_held; i++)
        alert_written(t.book, t.tickets[i], t.is_failing ? ERR_FULL : ERR_OK, t.now);
    if (!t.is_held)
        t.n_tickets = 0;
}

static bool send_out(void *, enum alert_kind kind, const struct alert_sending *s)
{
    if (t.is_away)
        return false;
    assert_true(t.n_sent < 400 && s->body.n < sizeof(t.sent[0].body));
    t.sent[t.n_sent].kind = kind;
    t.sent[t.n_sent].outbox = s->outbox;
    t.sent[t.n_sent].number = s->number;
    t.sent[t.n_sent].message = s->message;
    t.sent[t.n_sent].replaced = s->replaced;
    snprintf(t.sent[t.n_sent].id, ALERT_ID_TEXT, "%s", s->id);
    memcpy(t.sent[t.n_sent].body, s->body.p, s->body.n);
    t.sent[t.n_sent++].body[s->body.n] = '\0';
    return true;
}

static void tell(void *, enum event_class, const char *name, uint64_t, struct slice, struct slice)
{
    snprintf(t.told, sizeof(t.told), "%s", name);
    t.n_told++;
}

static void open_book(void)
{
    struct alert_options o = {"mx1.example", NULL,     next_id, tenant_name,
                              write_down,    send_out, tell};
    t.book = alert_create(&o);
}

static int setup(void **)
{
    memset(&t, 0, sizeof(t));
    t.arena = arena_create((size_t)512 << 20);
    t.now = 1000000000000;
    t.last_id = 100;
    open_book();
    return 0;
}

static int teardown(void **)
{
    alert_destroy(&t.book);
    arena_destroy(&t.arena);
    return 0;
}

static bool has_message(void *, uint64_t id)
{
    return id == t.has_message;
}

/* The program dies; what is on the disk is all there is. */
static void restart(void)
{
    static const enum object_kind order[] = {OBJECT_TARGET, OBJECT_INCIDENT, OBJECT_OUTBOX};
    struct errinfo ei;
    alert_destroy(&t.book);
    t.n_tickets = 0;
    open_book();
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < t.n_disk; i++)
            if (t.disk[i].kind == order[k])
                assert_int_equal(alert_apply(t.book, &t.disk[i], &ei), ERR_OK);
    alert_loaded(t.book, has_message, NULL);
}

static void target(uint64_t id, uint64_t tenant, enum alert_kind kind, enum event_class least)
{
    struct errinfo ei;
    struct alert_target_body f = {.name = kind == ALERT_MAIL ? SLICE("post") : SLICE("hook"),
                                  .kind = (uint8_t)kind,
                                  .url = SLICE("https://hooks.example/x"),
                                  .address = SLICE("luca@elsewhere.example"),
                                  .least = (uint8_t)least};
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    alert_target_body_pack(&b, &f);
    struct record_object o = {
        .kind = OBJECT_TARGET, .id = id, .tenant = tenant, .body = buf_slice(&b)};
    keep(&o);
    assert_int_equal(alert_apply(t.book, &o, &ei), ERR_OK);
}

struct said {
    const char *key, *happened;
    uint64_t tenant;
    enum event_class class;
    bool is_over;
};

static bool report(struct said s)
{
    struct alert_report r = {.tenant = s.tenant,
                             .key = slice_str(s.key),
                             .name = SLICE("primary.emergency"),
                             .subject = SLICE("exchange"),
                             .class = s.class ? s.class : EVENT_ALARM,
                             .happened = slice_str(s.happened ? s.happened : "It is down."),
                             .did = SLICE("Mail is kept."),
                             .can = SLICE("Repair it."),
                             .evidence = SLICE("line 1\nline 2"),
                             .by = SLICE("probe"),
                             .is_over = s.is_over};
    bool is_kept = alert_report(t.book, &r, t.now);
    settle();
    return is_kept;
}

/* Time goes on, in steps of a tick. */
static void pass(utc_ms ms)
{
    for (utc_ms until = t.now + ms; t.now < until;) {
        t.now += until - t.now < 500 ? until - t.now : 500;
        alert_tick(t.book, t.now);
        settle();
    }
}

static void answer(size_t k, bool is_there, bool is_refused, const char *text)
{
    struct alert_answer a = {is_there, is_refused, slice_str(text)};
    alert_sent(t.book, t.sent[k].outbox, t.sent[k].number, &a, t.now);
    settle();
}

static const struct alert_incident *only_incident(void)
{
    size_t at = 0;
    const struct alert_incident *i = alert_next_incident(t.book, &at);
    assert_non_null(i);
    assert_null(alert_next_incident(t.book, &at));
    return i;
}

static const struct alert_outbox *only_outbox(void)
{
    size_t at = 0;
    return alert_next_outbox(t.book, only_incident()->id, &at);
}

/* ---- incidents ---- */

static void reports_about_one_thing_are_one_incident(void **)
{
    assert_true(report((struct said){.key = "primary/1", .class = EVENT_NOTICE}));
    t.now += MINUTE;
    assert_true(report((struct said){.key = "primary/1", .happened = "Worse."}));
    assert_true(report((struct said){.key = "primary/1", .class = EVENT_INFO}));
    const struct alert_incident *i = only_incident();
    assert_int_equal(i->body.n_updates, 3);
    assert_int_equal(i->body.class, EVENT_ALARM);
    assert_int_equal(i->body.updates[1].number, 2);
    assert_true(slice_eq(i->body.updates[1].happened, SLICE("Worse.")));
    assert_true(slice_eq(i->body.updates[1].evidence, SLICE("line 1\nline 2")));
    assert_int_equal(i->body.updates[1].time - i->body.opened, MINUTE);
}

static void companies_and_keys_stay_apart(void **)
{
    report((struct said){.key = "primary/1", .tenant = ROSSI});
    report((struct said){.key = "primary/1", .tenant = BIANCHI});
    report((struct said){.key = "primary/2", .tenant = ROSSI});
    assert_int_equal(alert_figures(t.book).n_open, 3);
    assert_int_equal(alert_find(t.book, BIANCHI, SLICE("primary/1"))->tenant, BIANCHI);
    assert_null(alert_find(t.book, BIANCHI, SLICE("primary/2")));
}

static void news_and_ends_of_nothing_begin_nothing(void **)
{
    assert_false(report((struct said){.key = "disk", .class = EVENT_INFO}));
    assert_false(report((struct said){.key = "disk", .is_over = true}));
    assert_int_equal(alert_figures(t.book).n_open, 0);
}

static void what_comes_back_within_half_an_hour_is_the_same(void **)
{
    report((struct said){.key = "disk"});
    uint64_t id = only_incident()->id;
    report((struct said){.key = "disk", .is_over = true, .class = EVENT_INFO});
    assert_true(only_incident()->body.closed > 0);
    t.now += 29 * MINUTE;
    assert_false(report((struct said){.key = "disk", .class = EVENT_INFO}));
    assert_true(report((struct said){.key = "disk"}));
    assert_int_equal(only_incident()->id, id);
    assert_int_equal(only_incident()->body.closed, 0);
    assert_int_equal(only_incident()->body.n_reopened, 1);
    assert_int_equal(alert_figures(t.book).n_open, 1);
    report((struct said){.key = "disk", .is_over = true});
    t.now += 31 * MINUTE;
    assert_true(report((struct said){.key = "disk"}));
    assert_true(alert_find(t.book, 0, SLICE("disk"))->id != id);
}

static void the_latest_updates_are_kept_in_number_and_in_bytes(void **)
{
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (int i = 0; i < 60; i++)
        report((struct said){.key = "a"});
    const struct alert_incident *a = alert_find(t.book, 0, SLICE("a"));
    assert_int_equal(a->body.n_updates, ALERT_UPDATES_MAX);
    assert_int_equal(a->body.updates[0].number, 11);
    assert_int_equal(a->body.updates[49].number, 60);
    for (int i = 0; i < 49; i++)
        report((struct said){.key = "b", .happened = text});
    const struct alert_incident *b = alert_find(t.book, 0, SLICE("b"));
    assert_true(b->body.n_updates < 49 && b->body.n_updates > 30);
    assert_int_equal(b->body.updates[b->body.n_updates - 1].number, 49);
}

static void beyond_a_thousand_it_is_said_and_old_ones_go(void **)
{
    char key[20];
    for (int i = 0; i < ALERT_OPEN_MAX; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_true(report((struct said){.key = key}));
    }
    assert_false(report((struct said){.key = "more"}));
    assert_false(report((struct said){.key = "still more"}));
    assert_int_equal(t.n_told, 1); /* once an hour */
    assert_string_equal(t.told, "alert.full");
    for (int i = 0; i < ALERT_CLOSED_MAX + 10; i++) {
        t.now++;
        snprintf(key, sizeof(key), "k%d", i);
        assert_true(report((struct said){.key = key, .is_over = true}));
    }
    assert_null(alert_find(t.book, 0, SLICE("k9")));
    assert_non_null(alert_find(t.book, 0, SLICE("k10")));
    assert_int_equal(t.n_removed, 10);
    assert_int_equal(t.n_disk, ALERT_OPEN_MAX - 10);
    assert_true(report((struct said){.key = "more"}));
}

static void somebody_takes_care_and_all_survives_a_start(void **)
{
    struct errinfo ei;
    report((struct said){.key = "primary/1", .tenant = ROSSI, .happened = "caf\xc3\xa9 \xff\x01"});
    uint64_t id = only_incident()->id;
    uint64_t ticket, before = t.next_ticket;
    struct alert_taker luca = {SLICE("luca"), SLICE("on my way")};
    assert_int_equal(alert_take(t.book, id, luca, t.now, &ticket, &ei), ERR_OK);
    assert_int_equal(ticket, before);
    assert_int_equal(alert_take(t.book, 5, luca, t.now, &ticket, &ei), ERR_GONE);
    settle();
    restart();
    const struct alert_incident *i = only_incident();
    assert_int_equal(i->id, id);
    assert_int_equal(i->tenant, ROSSI);
    assert_true(slice_eq(i->body.taken_by, SLICE("luca")));
    assert_int_equal(i->body.n_updates, 2);
    assert_true(slice_eq(i->body.updates[0].happened, SLICE("caf?? ? ")));
    report((struct said){.key = "primary/1", .tenant = ROSSI});
    assert_int_equal(only_incident()->body.updates[2].number, 3);
}

/* ---- the outbox ---- */

static void a_target_is_told_once_and_what_it_reads_is_complete(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    report((struct said){.key = "primary/1", .tenant = ROSSI, .happened = "It \"fell\"."});
    pass(1000);
    assert_int_equal(t.n_sent, 1);
    static const char *const parts[] = {"\"state\":\"open\"",
                                        "\"class\":\"alarm\"",
                                        "\"name\":\"primary.emergency\"",
                                        "\"update\":1",
                                        "\"subject\":\"exchange\"",
                                        "\"happened\":\"It \\\"fell\\\".\"",
                                        "\"tenant\":\"rossi\"",
                                        "\"did\":\"Mail is kept.\"",
                                        "\"can\":\"Repair it.\"",
                                        "\"node\":\"mx1.example\"",
                                        "\"evidence\":\"line 1\\nline 2\"",
                                        "\"earlier\":[]"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!strstr(t.sent[0].body, parts[i]))
            fail_msg("%s is missing in %s", parts[i], t.sent[0].body);
    answer(0, true, false, "200 OK");
    pass(HOUR);
    assert_int_equal(t.n_sent, 1);
    assert_int_equal(only_outbox()->body.told, 1);
    assert_true(slice_eq(only_outbox()->body.answer, SLICE("200 OK")));
    report((struct said){.key = "primary/1", .tenant = ROSSI, .class = EVENT_INFO});
    pass(MINUTE);
    assert_int_equal(t.n_sent, 1); /* news only join */
    report(
        (struct said){.key = "primary/1", .tenant = ROSSI, .is_over = true, .class = EVENT_INFO});
    pass(1000);
    assert_int_equal(t.n_sent, 2);
    assert_non_null(strstr(t.sent[1].body, "\"state\":\"over\""));
    assert_non_null(strstr(t.sent[1].body, "\"earlier\":[{\"update\":2"));
}

static void it_is_tried_again_later_and_later_with_one_id(void **)
{
    static const int rests[] = {1, 5, 30, 120, 600, 1800, 3600, 3600};
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    report((struct said){.key = "disk"});
    pass(500);
    for (size_t k = 0; k < sizeof(rests) / sizeof(rests[0]); k++) {
        assert_int_equal(t.n_sent, k + 1);
        answer(k, false, false, "no connection");
        pass(rests[k] * 1000 - 1);
        assert_int_equal(t.n_sent, k + 1);
        restart(); /* a start forgets nothing */
        pass(1);
        pass(500);
        assert_string_equal(t.sent[k + 1].id, t.sent[0].id);
        assert_string_equal(t.sent[k + 1].body, t.sent[0].body);
    }
    answer(t.n_sent - 1, true, false, "200");
    pass(HOUR * 2);
    assert_int_equal(t.n_sent, sizeof(rests) / sizeof(rests[0]) + 1);
}

static void a_target_that_fails_hears_things_in_their_order(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    report((struct said){.key = "a", .happened = "first"});
    t.now += 10;
    report((struct said){.key = "b", .happened = "second"});
    pass(500);
    assert_int_equal(t.n_sent, 1); /* one at a time */
    answer(0, false, false, "503");
    pass(500);
    assert_int_equal(t.n_sent, 1);
    restart();
    pass(600);
    assert_int_equal(t.n_sent, 2);
    assert_non_null(strstr(t.sent[1].body, "first"));
    answer(1, true, false, "200");
    assert_int_equal(t.n_sent, 3);
    assert_non_null(strstr(t.sent[2].body, "second"));
}

static void what_a_target_refuses_holds_nothing_else_back(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    report((struct said){.key = "a", .happened = "first"});
    t.now += 10;
    report((struct said){.key = "b", .happened = "second"});
    pass(500);
    answer(0, false, true, "413 too much");
    pass(500);
    assert_int_equal(t.n_sent, 2);
    assert_non_null(strstr(t.sent[1].body, "second"));
}

static void words_that_wait_together_go_as_one(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    t.is_away = true;
    report((struct said){.key = "a", .happened = "one"});
    pass(MINUTE);
    report((struct said){.key = "a", .happened = "two"});
    report((struct said){.key = "a", .happened = "three", .is_over = true});
    pass(MINUTE);
    t.is_away = false;
    pass(1000);
    assert_int_equal(t.n_sent, 1);
    assert_int_equal(t.sent[0].number, 3);
    assert_non_null(strstr(t.sent[0].body, "\"state\":\"over\""));
    assert_non_null(strstr(t.sent[0].body, "\"happened\":\"one\"},{\"update\":2"));
    answer(0, true, false, "200");
    pass(HOUR);
    assert_int_equal(t.n_sent, 1);
}

static void each_hears_what_it_wants_and_the_end_of_what_it_knows(void **)
{
    target(WEBHOOK, BIANCHI, ALERT_WEBHOOK, EVENT_NOTICE);
    target(WEBHOOK + 100, ROSSI, ALERT_WEBHOOK, EVENT_ALARM);
    report((struct said){.key = "a", .tenant = ROSSI, .class = EVENT_NOTICE});
    report((struct said){.key = "n"});
    pass(1000);
    assert_int_equal(t.n_sent, 0); /* too light; another company's; the node's */
    report((struct said){.key = "a", .tenant = ROSSI});
    pass(1000);
    assert_int_equal(t.n_sent, 1);
    answer(0, true, false, "200");
    report((struct said){.key = "a", .tenant = ROSSI, .class = EVENT_NOTICE});
    pass(1000);
    assert_int_equal(t.n_sent, 1);
    report((struct said){.key = "a", .tenant = ROSSI, .class = EVENT_INFO, .is_over = true});
    pass(1000);
    assert_int_equal(t.n_sent, 2);
    report((struct said){.key = "b", .tenant = ROSSI, .class = EVENT_NOTICE});
    report((struct said){.key = "b", .tenant = ROSSI, .class = EVENT_INFO, .is_over = true});
    answer(1, true, false, "200");
    pass(1000);
    assert_int_equal(t.n_sent, 2); /* what it never heard of need not end for it */
}

static void nobody_is_told_what_a_crash_could_undo(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    t.is_held = true;
    report((struct said){.key = "a"});
    pass(2000);
    assert_int_equal(t.n_sent, 0);
    t.is_held = false;
    settle();
    pass(500);
    assert_int_equal(t.n_sent, 1);
}

static void a_disk_that_fails_or_hangs_keeps_no_alarm_back(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    t.is_failing = true;
    report((struct said){.key = "disk"});
    pass(1000);
    assert_int_equal(t.n_sent, 1);
    answer(0, true, false, "200");
    t.is_failing = false;
    pass(2000);
    restart();
    assert_int_equal(only_outbox()->body.told, 1); /* written as soon as it could be */
    t.is_held = true;
    report((struct said){.key = "hang"});
    pass(4500);
    assert_int_equal(t.n_sent, 1);
    pass(1000);
    assert_int_equal(t.n_sent, 2);
}

static void after_a_day_it_is_given_up_and_said(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    report((struct said){.key = "a"});
    for (size_t k = 0; t.n_told == 0; k++) {
        pass(HOUR + 1000);
        assert_true(k < 40);
        while (t.n_sent > 0 && only_outbox()->is_sending)
            answer(t.n_sent - 1, false, false, "no connection");
    }
    assert_string_equal(t.told, "alert.given-up");
    size_t n = t.n_sent;
    pass(48 * HOUR);
    assert_int_equal(t.n_sent, n);
    assert_int_equal(only_outbox()->body.given_up, 1);
    assert_int_equal(alert_figures(t.book).n_given_up, 1);
    report((struct said){.key = "a"}); /* news are a new try */
    pass(1000);
    assert_int_equal(t.n_sent, n + 1);
}

static void a_sender_that_dies_or_is_silent_costs_no_word(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    report((struct said){.key = "a"});
    pass(500);
    alert_sender_lost(t.book, ALERT_WEBHOOK);
    pass(500);
    assert_int_equal(t.n_sent, 2);
    assert_int_equal(only_outbox()->body.attempts, 0);
    assert_string_equal(t.sent[1].id, t.sent[0].id);
    pass(MINUTE + 3000); /* no answer at all */
    assert_int_equal(t.n_sent, 3);
    answer(0, true, false, "200"); /* the first one's, late */
    assert_int_equal(only_outbox()->body.told, 1);
    pass(HOUR);
    assert_int_equal(t.n_sent, 3);
}

static void with_its_target_everything_for_it_goes(void **)
{
    struct errinfo ei;
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    t.is_away = true;
    report((struct said){.key = "a"});
    report((struct said){.key = "b"});
    struct record_object o = {.kind = OBJECT_TARGET, .id = WEBHOOK, .is_removed = 1};
    keep(&o);
    assert_int_equal(alert_apply(t.book, &o, &ei), ERR_OK);
    pass(2000);
    t.is_away = false;
    pass(MINUTE);
    assert_int_equal(t.n_sent, 0);
    assert_int_equal(alert_figures(t.book).n_waiting, 0);
    assert_int_equal(t.n_disk, 2); /* the incidents */
}

static void a_clock_that_goes_back_keeps_nothing_for_days(void **)
{
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_NOTICE);
    report((struct said){.key = "a"});
    pass(500);
    answer(0, false, false, "no connection");
    t.now -= 48 * HOUR;
    pass(1500);
    assert_int_equal(t.n_sent, 2);
}

/* ---- mail ---- */

static void a_mail_can_be_read_by_all_and_is_one_conversation(void **)
{
    target(MAILBOX, 0, ALERT_MAIL, EVENT_NOTICE);
    struct alert_report r = {.key = SLICE("p"),
                             .name = SLICE("primary.emergency"),
                             .subject = SLICE("M\xc3\xbcnchen"),
                             .class = EVENT_ALARM,
                             .happened = SLICE("Gr\xc3\xbc\xc3\x9f"
                                               "e = none")};
    assert_true(alert_report(t.book, &r, t.now));
    settle();
    pass(1500);
    assert_int_equal(t.n_sent, 1);
    char *body = t.sent[0].body;
    for (const char *p = body; *p; p++)
        assert_true(*p > 0 || *p == '\r' || *p == '\n');
    assert_non_null(strstr(body, "\r\nSubject: =?UTF-8?Q?=5Balarm=5D=20M=C3=BCnchen"));
    assert_non_null(strstr(body, "Gr=C3=BC=C3=9Fe =3D none"));
    assert_non_null(strstr(body, "\r\nAuto-Submitted: auto-generated\r\n"));
    assert_non_null(strstr(body, "From: Staffetta <alert@mx1.example>\r\n"));
    assert_null(strstr(body, "References:"));
    char first[100];
    const char *id = strstr(body, "Message-ID: ");
    snprintf(first, sizeof(first), "%.*s", (int)strcspn(id + 12, "\r"), id + 12);
    answer(0, true, false, "in our queue");
    uint64_t message = t.sent[0].message;
    r.is_over = true;
    assert_true(alert_report(t.book, &r, t.now));
    settle();
    pass(1500);
    assert_int_equal(t.n_sent, 2);
    assert_true(t.sent[1].message != message);
    assert_int_equal(t.sent[1].replaced, message);
    char references[130];
    snprintf(references, sizeof(references), "\r\nReferences: %s\r\n", first);
    assert_non_null(strstr(t.sent[1].body, references));
    snprintf(references, sizeof(references), "Message-ID: %s\r\n", first);
    assert_null(strstr(t.sent[1].body, references));
}

static void lines_of_a_mail_are_short(void **)
{
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    target(MAILBOX, 0, ALERT_MAIL, EVENT_NOTICE);
    report((struct said){.key = "p", .happened = text});
    pass(1500);
    for (const char *p = t.sent[0].body; *p; p += strcspn(p, "\n") + 1)
        assert_true(strcspn(p, "\n") <= 77);
}

static void a_mail_that_was_handed_over_is_not_written_twice(void **)
{
    target(MAILBOX, 0, ALERT_MAIL, EVENT_NOTICE);
    report((struct said){.key = "p"});
    pass(1500);
    assert_int_equal(t.n_sent, 1);
    restart(); /* it never got there */
    pass(1500);
    assert_int_equal(t.n_sent, 2);
    assert_int_equal(t.sent[1].message, t.sent[0].message);
    t.has_message = t.sent[1].message; /* it did, but nobody could note it */
    restart();
    pass(HOUR);
    assert_int_equal(t.n_sent, 2);
    assert_int_equal(only_outbox()->body.told, 1);
    assert_int_equal(only_outbox()->body.earlier, t.has_message);
}

static void a_test_goes_out_at_once(void **)
{
    struct errinfo ei;
    target(WEBHOOK, 0, ALERT_WEBHOOK, EVENT_ALARM);
    target(MAILBOX, 0, ALERT_MAIL, EVENT_ALARM);
    assert_int_equal(alert_test(t.book, WEBHOOK, "test.1", t.now, &ei), ERR_OK);
    assert_int_equal(alert_test(t.book, MAILBOX, "test.2", t.now, &ei), ERR_OK);
    assert_int_equal(alert_test(t.book, 5, "test.3", t.now, &ei), ERR_GONE);
    assert_non_null(strstr(t.sent[0].body, "\"state\":\"test\""));
    assert_non_null(strstr(t.sent[1].body, "[test]"));
    assert_int_equal(t.sent[0].outbox, 0);
    t.is_away = true;
    assert_int_equal(alert_test(t.book, WEBHOOK, "test.4", t.now, &ei), ERR_RETRY);
}

/* ---- addresses ---- */

static void addresses_of_webhooks_are_judged(void **)
{
    static const struct {
        const char *url;
        bool is_good;
    } cases[] = {
        {"https://hooks.example/a?b=c", true},
        {"http://127.0.0.1:8080/x", true},
        {"HTTPS://Hooks.Example", true},
        {"https://[2001:db8::1]:8443/x", true},
        {"https://[2001:db8::1]/", true},
        {"ftp://hooks.example/", false},
        {"https://", false},
        {"https:///x", false},
        {"https://user@hooks.example/", false},
        {"https://good.example@evil.example/", false},
        {"https://hooks.example:0/", false},
        {"https://hooks.example:65536/", false},
        {"https://hooks.example:8x/", false},
        {"https://hooks.example/#x", false},
        {"https://hooks.example/a b", false},
        {"https://hooks.example/\r\nX: y", false},
        {"https://hooks.example\\@evil.example/", false},
        {"https://h\xc3\xb6oks.example/", false},
        {"https://[::1/", false},
        {"https://[::1]x/", false},
        {"file:///etc/passwd", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if ((alert_url_fault(slice_str(cases[i].url)) == NULL) != cases[i].is_good)
            fail_msg("%s", cases[i].url);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reports_about_one_thing_are_one_incident),
        TEST(companies_and_keys_stay_apart),
        TEST(news_and_ends_of_nothing_begin_nothing),
        TEST(what_comes_back_within_half_an_hour_is_the_same),
        TEST(the_latest_updates_are_kept_in_number_and_in_bytes),
        TEST(beyond_a_thousand_it_is_said_and_old_ones_go),
        TEST(somebody_takes_care_and_all_survives_a_start),
        TEST(a_target_is_told_once_and_what_it_reads_is_complete),
        TEST(it_is_tried_again_later_and_later_with_one_id),
        TEST(a_target_that_fails_hears_things_in_their_order),
        TEST(what_a_target_refuses_holds_nothing_else_back),
        TEST(words_that_wait_together_go_as_one),
        TEST(each_hears_what_it_wants_and_the_end_of_what_it_knows),
        TEST(nobody_is_told_what_a_crash_could_undo),
        TEST(a_disk_that_fails_or_hangs_keeps_no_alarm_back),
        TEST(after_a_day_it_is_given_up_and_said),
        TEST(a_sender_that_dies_or_is_silent_costs_no_word),
        TEST(with_its_target_everything_for_it_goes),
        TEST(a_clock_that_goes_back_keeps_nothing_for_days),
        TEST(a_mail_can_be_read_by_all_and_is_one_conversation),
        TEST(lines_of_a_mail_are_short),
        TEST(a_mail_that_was_handed_over_is_not_written_twice),
        TEST(a_test_goes_out_at_once),
        TEST(addresses_of_webhooks_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
