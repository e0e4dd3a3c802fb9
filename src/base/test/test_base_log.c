/* The log: every line arrives, in order, soon; none blocks. */
#include "base/log.h"

#include <poll.h>
#include <signal.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { LINES = 20000, WAIT_MS = 5000 };

static int read_end;

/* Standard error is a pipe while the log runs. */
static int begin(void **state)
{
    static int kept;
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    kept = dup(STDERR_FILENO);
    read_end = ends[0];
    (void)dup2(ends[1], STDERR_FILENO);
    (void)close(ends[1]);
    *state = &kept;
    log_init("test", LOG_INFO);
    log_start();
    return 0;
}

static int end(void **state)
{
    (void)close(read_end); /* what waits goes nowhere, and log_stop comes back all the same */
    log_stop();
    (void)dup2(*(int *)*state, STDERR_FILENO);
    (void)close(*(int *)*state);
    return 0;
}

/* What there is within WAIT_MS, up to `max` bytes. */
static size_t read_some(char *p, size_t max)
{
    struct pollfd f = {.fd = read_end, .events = POLLIN};
    if (poll(&f, 1, WAIT_MS) != 1)
        return 0;
    ssize_t n = read(read_end, p, max);
    return n > 0 ? (size_t)n : 0;
}

/* How many of the lines in `b`, which loses them, are " n=NEXT" and so on. */
static unsigned count_lines(struct buf *b, unsigned next)
{
    unsigned n = 0;
    for (ptrdiff_t at; (at = slice_find(buf_slice(b), '\n')) >= 0; n++) {
        char wanted[20];
        size_t n_wanted = (size_t)snprintf(wanted, sizeof(wanted), " n=%u", next + n);
        assert_true((size_t)at > n_wanted);
        assert_memory_equal(b->p + at - n_wanted, wanted, n_wanted);
        buf_drop(b, (size_t)at + 1);
    }
    return n;
}

static void lines_arrive_while_the_log_runs_all_and_in_order(void **)
{
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    static char piece[1 << 16];
    unsigned sent = 0;
    for (unsigned next = 0; next < LINES;) {
        for (unsigned i = 0; i < 500 && sent < LINES; i++, sent++)
            log_event(EV_SMTP_ACCEPTED, "n=%u", sent); /* fewer than the ring holds */
        while (next < sent) {
            size_t n = read_some(piece, sizeof(piece));
            assert_int_not_equal(n, 0);
            buf_add(&b, piece, n);
            next += count_lines(&b, next);
        }
    }
    assert_int_equal(log_dropped(), 0);
}

static void a_log_that_nobody_reads_drops_lines_and_counts_them(void **)
{
    for (unsigned i = 0; i < LINES * 3; i++)
        log_event(EV_SMTP_ACCEPTED, "n=%u", i);
    assert_int_not_equal(log_dropped(), 0);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_arrive_while_the_log_runs_all_and_in_order),
        cmocka_unit_test(a_log_that_nobody_reads_drops_lines_and_counts_them),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
