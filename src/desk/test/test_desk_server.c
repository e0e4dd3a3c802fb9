/* Refresh tokens that take each other's place: what core keeps of them. */
#include "desk/desk_int.h"
#include "desk_kit.h"

enum { TRIES = 2000 };

static void found(void)
{
    kit_found((struct kit_company){0});
    kit->liaison = kit_link(IPC_LIAISON, 1);
}

struct put {
    struct kit_change change;
    struct record_object object;
    struct buf body;
};

static struct buf *put_begin(struct put *p, enum object_kind kind, uint64_t id, const char *name)
{
    *p = (struct put){.body = buf_make(100000)};
    p->object = (struct record_object){.kind = (uint8_t)kind,
                                       .id = id,
                                       .tenant = KIT_TENANT,
                                       .time = utc_now(),
                                       .by = SLICE("test"),
                                       .name = slice_str(name)};
    p->change.objects = (struct record_objects){&p->object, 1};
    return &p->body;
}

/* It waits for its turn when this returns, or for its sync. */
static void put_start(struct put *p)
{
    p->object.body = buf_slice(&p->body);
    kit_on_loop(kit_change_put, &p->change);
}

static void put_wait(struct put *p)
{
    kit_wait_change(&p->change);
    assert_int_equal(p->change.err, ERR_OK);
    buf_finish(&p->body);
}

static void put_login(struct put *p, const char *user, const char *secret)
{
    struct dir_mail_login f = {
        .mechanism = DIR_XOAUTH2, .user = slice_str(user), .secret = slice_str(secret)};
    dir_mail_login_pack(put_begin(p, OBJECT_MAILLOGIN, KIT_ANNA, "anna@example.test"), &f);
    put_start(p);
}

static void put_access(struct put *p, uint16_t port, const char *test, const char *master)
{
    struct dir_host host = {SLICE("127.0.0.1"), port};
    struct dir_access f = {.hosts = &host,
                           .n_hosts = 1,
                           .mechanism = DIR_XOAUTH2,
                           .secret = slice_str(test),
                           .master_secret = slice_str(master)};
    dir_access_pack(put_begin(p, OBJECT_ACCESS, KIT_PRIMARY, "exchange"), &f);
    put_start(p);
}

static void tell(uint64_t person, const char *asked, const char *old, const char *fresh)
{
    SCOPED(buf_finish) struct buf b = buf_make(20000);
    ipc_token_new_pack(&b, &(struct ipc_token_new){.primary = KIT_PRIMARY,
                                                   .person = person,
                                                   .old = slice_str(old),
                                                   .fresh = slice_str(fresh),
                                                   .asked = slice_str(asked)});
    kit_put(kit->liaison, IPC_T_token_new, 0, &b);
}

struct seen {
    char user[50], secret[50], test[50], master[50];
    uint16_t port;
    size_t n_changes;
};

static void copy(char to[50], struct slice from)
{
    (void)snprintf(to, 50, SLICE_FMT, SLICE_ARG(from));
}

static void see_now(void *arg)
{
    struct seen *s = arg;
    const struct directory_mail_login *l = directory_mail_login(kit->desk->directory, KIT_ANNA);
    const struct directory_access *a = directory_access(kit->desk->directory, KIT_PRIMARY);
    *s = (struct seen){};
    if (l) {
        copy(s->user, l->facts.user);
        copy(s->secret, l->facts.secret);
    }
    if (a) {
        copy(s->test, a->facts.secret);
        copy(s->master, a->facts.master_secret);
        s->port = a->facts.n_hosts ? a->facts.hosts[0].port : 0;
    }
    LIST_FOREACH (node, &kit->desk->changes)
        s->n_changes++;
}

static struct seen see(void)
{
    struct seen s;
    kit_on_loop(see_now, &s);
    return s;
}

static void await_secret(const char *secret)
{
    for (int i = 0; i < TRIES && strcmp(see().secret, secret) != 0; i++)
        usleep(1000);
    assert_string_equal(see().secret, secret);
}

static void await_master(const char *secret)
{
    for (int i = 0; i < TRIES && strcmp(see().master, secret) != 0; i++)
        usleep(1000);
    assert_string_equal(see().master, secret);
}

static void await_changes(size_t n)
{
    for (int i = 0; i < TRIES && see().n_changes != n; i++)
        usleep(1000);
    assert_int_equal(see().n_changes, n);
}

/* The liaison got the second and the third; what it told of the second never came. */
static void a_refresh_token_after_one_that_was_lost_is_written_down(void **)
{
    struct put p;
    found();
    put_login(&p, "", "first");
    put_wait(&p);
    tell(KIT_ANNA, "first", "second", "third");
    await_secret("third");
    tell(KIT_ANNA, "first", "third", "fourth"); /* asked for long ago */
    await_secret("fourth");
    tell(KIT_ANNA, "nobody's", "stolen", "fifth");
    tell(KIT_ANNA, "fourth", "fourth", "sixth"); /* a sign that the one before was looked at */
    await_secret("sixth");
    put_access(&p, 143, "test", "one");
    put_wait(&p);
    tell(0, "one", "two", "three");
    await_master("three");
    assert_string_equal(see().test, "test");
}

static void what_was_told_is_told_again_after_a_disk_without_room(void **)
{
    struct put p;
    found();
    put_login(&p, "", "first");
    put_wait(&p);
    disk_set(true, false);
    tell(KIT_ANNA, "first", "first", "second");
    disk_fail_what_waits(ENOSPC);
    disk_set(false, false);
    tell(KIT_ANNA, "first", "first", "second");
    await_secret("second");
}

static void a_change_that_waits_before_it_is_not_overwritten(void **)
{
    struct put first, next;
    found();
    put_access(&first, 143, "test", "one");
    put_wait(&first);
    put_login(&first, "anna", "first");
    put_wait(&first);
    disk_set(true, false);
    put_access(&first, 144, "test", "one");
    disk_wait_for_sync();
    put_login(&next, "", "mine"); /* she agreed anew */
    await_changes(1);
    tell(0, "one", "one", "two");
    tell(KIT_ANNA, "first", "first", "second");
    await_changes(3);
    disk_set(false, false);
    put_wait(&first);
    put_wait(&next);
    await_master("two");
    await_changes(0);
    assert_int_equal(see().port, 144);
    assert_string_equal(see().test, "test");
    assert_string_equal(see().secret, "mine");
    put_login(&next, "last", "mine"); /* and the queue goes on */
    put_wait(&next);
    assert_string_equal(see().user, "last");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
        TEST(a_refresh_token_after_one_that_was_lost_is_written_down),
        TEST(what_was_told_is_told_again_after_a_disk_without_room),
        TEST(a_change_that_waits_before_it_is_not_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
