/* Links: frames arrive whole and in order, ceilings hold, nonsense closes, descriptors travel. */
#include "net/net.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct seen {
    struct net_loop *loop;
    size_t n, bytes, stop_after;
    uint64_t last_tag, fd_tag;
    int fd;
    uint16_t last_type;
    bool is_closed, is_in_order;
};

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct seen *s = arg;
    if (f->tag != s->last_tag + 1)
        s->is_in_order = false;
    s->last_tag = f->tag;
    s->last_type = f->type;
    s->bytes += f->payload.n;
    if (f->fd >= 0) {
        s->fd = f->fd;
        s->fd_tag = f->tag;
    }
    if (++s->n == s->stop_after)
        net_loop_stop(s->loop);
}

static void on_closed(void *arg, struct net_link *)
{
    struct seen *s = arg;
    s->is_closed = true;
    net_loop_stop(s->loop);
}

static struct net_link *open_end(struct seen *s, int fd, bool takes_fds)
{
    struct net_link_options o = {.frame_max = 1 << 20,
                                 .queue_max = 64 << 20,
                                 .frame = on_frame,
                                 .closed = on_closed,
                                 .arg = s,
                                 .takes_fds = takes_fds};
    return net_link_open(s->loop, fd, &o);
}

struct sender {
    struct net_link *link;
    int n;
};

static void *send_many(void *arg)
{
    struct sender *s = arg;
    static char bytes[200000];
    for (int i = 1; i <= s->n; i++) {
        size_t n = (size_t)(i * 37) % sizeof(bytes);
        while (net_link_send(s->link, 7, (uint64_t)i, slice_of(bytes, n / 2),
                             slice_of(bytes, n - n / 2)) != ERR_OK)
            usleep(100);
    }
    return NULL;
}

static void frames_from_another_thread_arrive_whole_and_in_order(void **)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct net_loop *loop = net_loop_create();
    struct seen a = {.loop = loop}, b = {.loop = loop, .stop_after = 3000, .is_in_order = true};
    struct net_link *left = open_end(&a, fds[0], false), *right = open_end(&b, fds[1], false);
    struct sender sender = {left, 3000};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_many, &sender), 0);
    net_loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(b.n, 3000);
    assert_true(b.is_in_order);
    net_link_close(&left);
    net_link_close(&right);
    net_loop_destroy(&loop);
}

static void a_full_queue_says_no_and_loses_nothing(void **)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct net_loop *loop = net_loop_create();
    struct seen a = {.loop = loop}, b = {.loop = loop, .is_in_order = true};
    struct net_link_options o = {
        .frame_max = 1000, .queue_max = 10000, .frame = on_frame, .closed = on_closed, .arg = &a};
    struct net_link *left = net_link_open(loop, fds[0], &o), *right = open_end(&b, fds[1], false);
    char bytes[1000] = {0};
    uint64_t n = 0;
    while (net_link_send(left, 1, n + 1, slice_of(bytes, 1000), SLICE("")) == ERR_OK)
        n++;
    assert_in_range(n, 5, 10); /* on the loop's thread nothing leaves before the turn ends */
    b.stop_after = n;
    net_loop_run(loop);
    assert_int_equal(b.n, n);
    net_link_close(&left);
    net_link_close(&right);
    net_loop_destroy(&loop);
}

static void nonsense_is_handed_out_as_such_and_closes_the_link(void **)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct net_loop *loop = net_loop_create();
    struct seen b = {.loop = loop};
    struct net_link *right = open_end(&b, fds[1], false);
    assert_int_equal(write(fds[0], "\xff\xff\xff\xff\1\0\0\0\0\0\0\0\0\0\0\0", 16), 16);
    net_loop_run(loop);
    assert_true(b.is_closed);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.last_type, NET_NONSENSE);
    assert_int_equal(net_link_send(right, 1, 1, SLICE("x"), SLICE("")), ERR_GONE);
    net_link_close(&right);
    close(fds[0]);
    net_loop_destroy(&loop);
}

static void a_descriptor_travels_with_its_frame(void **)
{
    int fds[2], ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(pipe(ends), 0);
    struct net_loop *loop = net_loop_create();
    struct seen a = {.loop = loop}, b = {.loop = loop, .stop_after = 2, .fd = -1};
    struct net_link *left = open_end(&a, fds[0], false), *right = open_end(&b, fds[1], true);
    assert_int_equal(net_link_send(left, 1, 1, SLICE("first"), SLICE("")), ERR_OK);
    assert_int_equal(net_link_send_fd(left, 2, 2, SLICE("with"), ends[1]), ERR_OK);
    net_loop_run(loop);
    assert_true(b.fd >= 0);
    assert_int_equal(b.fd_tag, 2); /* not the first's, although both came in one read */
    assert_int_equal(write(b.fd, "!", 1), 1);
    char c;
    assert_int_equal(read(ends[0], &c, 1), 1);
    net_link_close(&left);
    net_link_close(&right);
    close(b.fd), close(ends[0]), close(ends[1]);
    net_loop_destroy(&loop);
}

/* ---- closing and pausing from inside ---- */

struct closer {
    struct net_loop *loop;
    struct net_link *link;
    size_t n, pause_at, close_at;
    uint64_t last_tag;
    bool is_told;
};

static void frame_then_close(void *arg, struct net_link *link, struct net_frame *f)
{
    struct closer *c = arg;
    assert_int_equal(f->tag, ++c->last_tag);
    if (++c->n == c->pause_at)
        net_link_pause(link, true);
    if (c->n == c->close_at) {
        net_link_close(&c->link);
        net_loop_stop(c->loop);
    }
}

static void told(void *arg, struct net_link *)
{
    struct closer *c = arg;
    c->is_told = true;
    net_link_close(&c->link);
    net_loop_stop(c->loop);
}

static struct net_link *two_ends(struct closer *c)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    c->loop = net_loop_create();
    struct net_link_options o = {.frame_max = 1000,
                                 .queue_max = 1 << 20,
                                 .frame = frame_then_close,
                                 .closed = told,
                                 .arg = c};
    c->link = net_link_open(c->loop, fds[1], &o);
    static struct seen nobody;
    nobody.loop = c->loop;
    return open_end(&nobody, fds[0], false);
}

static void a_link_may_be_closed_by_its_own_frame(void **)
{
    struct closer c = {.close_at = 3};
    struct net_link *sender = two_ends(&c);
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(net_link_send(sender, 1, i, SLICE("x"), SLICE("")), ERR_OK);
    net_loop_run(c.loop);
    assert_int_equal(c.n, 3); /* and no frame after it */
    assert_false(c.is_told);
    net_link_close(&sender);
    net_loop_destroy(&c.loop);
}

static void go_on_reading(void *arg)
{
    struct closer *c = arg;
    assert_int_equal(c->n, 4); /* the rest waited, although it came in the same read */
    net_link_pause(c->link, false);
}

static void a_paused_link_keeps_the_rest_in_order(void **)
{
    struct closer c = {.pause_at = 4, .close_at = 10};
    struct net_link *sender = two_ends(&c);
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(net_link_send(sender, 1, i, SLICE("x"), SLICE("")), ERR_OK);
    struct net_timer *t = net_timer_create(c.loop, go_on_reading, &c);
    net_timer_set(t, MILLISECONDS(20));
    net_loop_run(c.loop);
    assert_int_equal(c.n, 10);
    net_timer_destroy(&t);
    net_link_close(&sender);
    net_loop_destroy(&c.loop);
}

static void the_end_of_the_peer_is_told_after_its_last_frame(void **)
{
    struct closer c = {};
    struct net_link *sender = two_ends(&c);
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(net_link_send(sender, 1, i, SLICE("x"), SLICE("")), ERR_OK);
    net_link_close(&sender); /* what fits leaves */
    net_loop_run(c.loop);
    assert_int_equal(c.n, 10);
    assert_true(c.is_told);
    net_loop_destroy(&c.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_from_another_thread_arrive_whole_and_in_order),
        cmocka_unit_test(a_full_queue_says_no_and_loses_nothing),
        cmocka_unit_test(nonsense_is_handed_out_as_such_and_closes_the_link),
        cmocka_unit_test(a_descriptor_travels_with_its_frame),
        cmocka_unit_test(a_link_may_be_closed_by_its_own_frame),
        cmocka_unit_test(a_paused_link_keeps_the_rest_in_order),
        cmocka_unit_test(the_end_of_the_peer_is_told_after_its_last_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
