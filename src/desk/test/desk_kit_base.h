/* The desk's test kit: the disk, the administration, the desk and its thread. See desk_kit.h. */
#ifndef DESK_TEST_DESK_KIT_BASE_H
#define DESK_TEST_DESK_KIT_BASE_H

#include "admin/admin.h"
#include "base/test/folder.h"
#include "base/log.h"
#include "desk/desk.h"
#include "directory/directory.h"
#include "store/store_reader.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* No program uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-const-variable"

enum {
    KIT_WAIT_MS = 5000,
    KIT_QUIET_MS = 60, /* nothing came in that time: nothing comes */
    KIT_TENANT = 1,
    KIT_PRIMARY = 2,
    KIT_DOMAIN = 3,
    KIT_ANNA = 4,
    KIT_LUCA = 5,
    KIT_GROUP = 6,
    KIT_HOSTED = 7,
    KIT_SARA = 8,
    KIT_OTHER_TENANT = 20,
    KIT_OTHER_PRIMARY = 21,
    KIT_OTHER_DOMAIN = 22,
    KIT_OTTO = 23,
    KIT_BOX_ANNA = 100,
    KIT_BOX_LUCA = 101,
    KIT_BOX_SARA = 102,
};

/* ---- syncs and the disk ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_held;  /* under lock */
    bool is_small; /* under lock: little room on the disk */
    unsigned n_waiting;
    bool has_no_room;    /* under lock: no file can grow */
    unsigned n_passes;   /* under lock: so many syncs go well before … */
    unsigned n_failures; /* under lock: … so many syncs to come fail */
    int why;             /* under lock: with this */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

/* No promise depends on them, and they are written whenever their thread comes to it. */
static bool is_of_words(int fd)
{
    char name[40], path[200] = "";
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    return readlink(name, path, sizeof(path) - 1) > 0 && strstr(path, "/search.db");
}

int fdatasync(int fd)
{
    if (is_of_words(fd))
        return 0;
    pthread_mutex_lock(&disk.lock);
    disk.n_waiting++;
    pthread_cond_broadcast(&disk.cond);
    while (disk.is_held)
        pthread_cond_wait(&disk.cond, &disk.lock);
    disk.n_waiting--;
    bool is_failing = disk.n_failures > 0 && disk.n_passes == 0;
    disk.n_failures -= is_failing;
    disk.n_passes -= disk.n_passes > 0;
    pthread_mutex_unlock(&disk.lock);
    /* These tests never lose power. */
    errno = is_failing ? disk.why : errno;
    return is_failing ? -1 : 0;
}

int posix_fallocate(int fd, off_t, off_t size)
{
    pthread_mutex_lock(&disk.lock);
    bool has_no_room = disk.has_no_room;
    pthread_mutex_unlock(&disk.lock);
    if (has_no_room)
        return ENOSPC;
    return ftruncate(fd, size) == 0 ? 0 : errno;
}

static void disk_fail_with(unsigned n, int why, bool has_no_room)
{
    pthread_mutex_lock(&disk.lock);
    disk.n_failures = n;
    disk.why = why;
    disk.has_no_room = has_no_room;
    pthread_mutex_unlock(&disk.lock);
}

static void disk_fail_after(unsigned n_passes, unsigned n, int why)
{
    pthread_mutex_lock(&disk.lock);
    disk.n_passes = n_passes;
    disk.n_failures = n;
    disk.why = why;
    pthread_mutex_unlock(&disk.lock);
}

static void disk_fail(unsigned n)
{
    disk_fail_with(n, EIO, false);
}

int statvfs(const char *, struct statvfs *ret)
{
    pthread_mutex_lock(&disk.lock);
    *ret =
        (struct statvfs){.f_bsize = 4096, .f_frsize = 4096, .f_blocks = 1000000, .f_bfree = 500000};
    ret->f_bavail = disk.is_small ? 50000 : 500000;
    pthread_mutex_unlock(&disk.lock);
    return 0;
}

static void disk_set(bool is_held, bool is_small)
{
    pthread_mutex_lock(&disk.lock);
    disk.is_held = is_held;
    disk.is_small = is_small;
    pthread_cond_broadcast(&disk.cond);
    pthread_mutex_unlock(&disk.lock);
}

static void disk_fail_what_waits(int why)
{
    pthread_mutex_lock(&disk.lock);
    while (disk.n_waiting == 0)
        pthread_cond_wait(&disk.cond, &disk.lock);
    disk.n_failures = disk.n_waiting;
    disk.why = why;
    disk.is_held = false;
    pthread_cond_broadcast(&disk.cond);
    pthread_mutex_unlock(&disk.lock);
}

static void disk_wait_for_sync(void)
{
    pthread_mutex_lock(&disk.lock);
    while (disk.n_waiting == 0)
        pthread_cond_wait(&disk.cond, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
}

/* ---- clocks ---- */

/* Seconds, for the desk's loop only: others wait by the kernel's, and so do the loop's own timers,
 * which ask the coarse clock. */
static _Atomic time_t kit_later, kit_utc_later;
static _Thread_local bool kit_is_loop;

int clock_gettime(clockid_t id, struct timespec *ret)
{
    int failed = (int)syscall(SYS_clock_gettime, id, ret);
    if (failed == 0 && kit_is_loop && id == CLOCK_MONOTONIC)
        ret->tv_sec += kit_later;
    if (failed == 0 && kit_is_loop && (id == CLOCK_REALTIME || id == CLOCK_BOOTTIME))
        ret->tv_sec += kit_utc_later;
    return failed;
}

/* Nobody has to wait so long. Until kit_end_of_waiting. */
static void kit_let_pass(time_t seconds)
{
    kit_later += seconds;
}

/* Also by the time of day. */
static void kit_let_hours_pass(time_t hours)
{
    kit_utc_later += 3600 * hours;
    kit_later += 3600 * hours;
}

/* ---- the administration ---- */

struct admin {
    struct admin_host host;
};
static struct admin *kit_admin;

struct admin *admin_create(const struct admin_host *host)
{
    struct admin *a = mem_new(sizeof(*a));
    a->host = *host;
    kit_admin = a;
    return a;
}

void admin_destroy(struct admin **a)
{
    mem_free(a);
}

enum admin_place admin_place(struct slice, struct slice path)
{
    return slice_starts(path, SLICE("/worker")) ? ADMIN_WORKER : ADMIN_LOOP;
}

/* Says again what was asked. */
void admin_loop(struct admin *, const struct admin_request *r, admin_answer_fn *answer, void *arg)
{
    SCOPED(buf_finish) struct buf b = buf_make(ADMIN_ANSWER_MAX);
    buf_addf(&b, SLICE_FMT " " SLICE_FMT " by " SLICE_FMT ":", SLICE_ARG(r->method),
             SLICE_ARG(r->path), SLICE_ARG(r->by));
    buf_adds(&b, r->body);
    answer(arg, 200, "text/plain", buf_slice(&b));
}

void admin_work(const struct admin *, struct store_reader *reader, const struct admin_request *,
                admin_answer_fn *answer, void *arg)
{
    struct store_sums sums;
    struct errinfo ei;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    if (store_sums(reader, 0, &sums, &ei) != ERR_OK)
        return;
    buf_addf(&b, "accepted %llu", (unsigned long long)sums.accepted);
    while (b.n < 300000) /* more than one frame holds */
        buf_addc(&b, '.');
    answer(arg, 200, "text/plain", buf_slice(&b));
}

/* ---- the desk and its thread ---- */

struct kit {
    char folder[64];
    struct folder own;
    struct net_loop *loop;
    pthread_t thread;
    struct desk *desk;
    int gate, courier, liaison, door; /* our ends; -1: none */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned n_nonsense; /* under lock, with what follows */
    enum ipc_role nonsense_role;
    bool is_call_done, is_stopped;
    mono_us answer_within;
    uint64_t next_tag;
};

static struct kit *kit;
static mono_us kit_answer_within; /* of the next setup */
static uint32_t kit_again_rows;   /* of the next start */
static uint32_t kit_mailback_emails, kit_mailback_bytes;

static void *kit_run(void *)
{
    kit_is_loop = true;
    net_loop_run(kit->loop);
    return NULL;
}

struct kit_call {
    void (*fn)(void *arg);
    void *arg;
};

static void kit_call_now(void *arg)
{
    struct kit_call *c = arg;
    c->fn(c->arg);
    pthread_mutex_lock(&kit->lock);
    kit->is_call_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

/* fn(arg) on the loop; returns when it ran. */
static void kit_on_loop(void (*fn)(void *arg), void *arg)
{
    struct kit_call c = {fn, arg};
    kit->is_call_done = false;
    net_loop_post(kit->loop, kit_call_now, &c);
    pthread_mutex_lock(&kit->lock);
    while (!kit->is_call_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

static void kit_nonsense(void *, enum ipc_role role, unsigned, const char *)
{
    pthread_mutex_lock(&kit->lock);
    kit->n_nonsense++;
    kit->nonsense_role = role;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static unsigned kit_count_nonsense(void)
{
    pthread_mutex_lock(&kit->lock);
    unsigned n = kit->n_nonsense;
    pthread_mutex_unlock(&kit->lock);
    return n;
}

static void kit_await_nonsense(unsigned n)
{
    pthread_mutex_lock(&kit->lock);
    while (kit->n_nonsense < n)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

static void kit_progress(void *, unsigned)
{
}

static void kit_begin(void *)
{
    struct errinfo ei = {""};
    struct desk_options o = {.loop = kit->loop,
                             .node = "mx1.staffetta.example",
                             .data = kit->folder,
                             .segment_bytes = 4 << 20,
                             .store_pool = 1,
                             .limits.free_percent = 10,
                             .limits.alarm_percent = 20,
                             .limits.message_bytes = 20 << 20,
                             .limits.bytes_in_flight = 64 << 20,
                             .limits.queue_items = 1000,
                             .limits.per_destination = 20,
                             .limits.per_primary = 20,
                             .hops_ours = 5,
                             .again_rows = kit_again_rows,
                             .mailback_emails = kit_mailback_emails,
                             .mailback_bytes = kit_mailback_bytes,
                             .tick = MILLISECONDS(10),
                             .answer_within = kit->answer_within,
                             .nonsense = kit_nonsense,
                             .progress = kit_progress};
    if (desk_create(&o, &kit->desk, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
}

static void kit_stopped(void *)
{
    pthread_mutex_lock(&kit->lock);
    kit->is_stopped = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void kit_stop_now(void *)
{
    desk_stop(kit->desk, SECONDS(1), kit_stopped, NULL);
}

static void kit_destroy_now(void *)
{
    desk_destroy(&kit->desk);
}

static void kit_start(void)
{
    kit->loop = net_loop_create();
    kit->gate = kit->courier = kit->liaison = kit->door = -1;
    kit->is_stopped = false;
    assert_int_equal(pthread_create(&kit->thread, NULL, kit_run, NULL), 0);
    kit_on_loop(kit_begin, NULL);
}

static void kit_stop(void)
{
    kit_on_loop(kit_stop_now, NULL);
    pthread_mutex_lock(&kit->lock);
    while (!kit->is_stopped)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
    kit_on_loop(kit_destroy_now, NULL);
    net_loop_stop(kit->loop);
    assert_int_equal(pthread_join(kit->thread, NULL), 0);
    net_loop_destroy(&kit->loop);
    fd_close(&kit->gate);
    fd_close(&kit->courier);
    fd_close(&kit->liaison);
    fd_close(&kit->door);
}

#endif
