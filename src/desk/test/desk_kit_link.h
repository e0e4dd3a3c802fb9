/* The desk's test kit: frames over the links, read and written with time limits. */
#ifndef DESK_TEST_DESK_KIT_LINK_H
#define DESK_TEST_DESK_KIT_LINK_H

#include "desk_kit_base.h"

/* ---- links ---- */

struct kit_link_call {
    enum ipc_role role;
    unsigned number;
    int fd;
};

static void kit_link_now(void *arg)
{
    struct kit_link_call *c = arg;
    desk_link(kit->desk, c->role, c->number, c->fd);
}

static int kit_link(enum ipc_role role, unsigned number)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct kit_link_call c = {role, number, fds[0]};
    kit_on_loop(kit_link_now, &c);
    return fds[1];
}

struct kit_frame {
    uint16_t type;
    uint64_t tag;
    struct slice payload;
    char *bytes;
};

static void kit_frame_free(struct kit_frame *f)
{
    mem_free(&f->bytes);
}

static bool kit_read(int fd, char *to, size_t n, int timeout_ms)
{
    for (size_t at = 0; at < n;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, timeout_ms) <= 0)
            return false;
        ssize_t got = read(fd, to + at, n - at);
        if (got <= 0)
            return false;
        at += (size_t)got;
        timeout_ms = KIT_WAIT_MS;
    }
    return true;
}

/* False: nothing came in that time, or the link is closed. */
static bool kit_get(int fd, struct kit_frame *ret, int timeout_ms)
{
    char head[16];
    mem_free(&ret->bytes);
    if (!kit_read(fd, head, sizeof(head), timeout_ms))
        return false;
    struct reader r = reader_make(slice_of(head, sizeof(head)));
    size_t n = read_u32(&r);
    ret->type = read_u16(&r);
    assert_int_equal(read_u16(&r), 0);
    ret->tag = read_u64(&r);
    ret->bytes = mem_new(n);
    ret->payload = slice_of(ret->bytes, n);
    assert_true(kit_read(fd, ret->bytes, n, KIT_WAIT_MS));
    return true;
}

/* The next frame of this type; others are skipped. */
static void kit_expect(int fd, enum ipc_type type, struct kit_frame *ret)
{
    do {
        if (!kit_get(fd, ret, KIT_WAIT_MS))
            fail_msg("no %s came", ipc_type_name((uint16_t)type));
    } while (ret->type != type);
}

/* A gate is also asked what is in mail, for search, whenever that comes to it. */
static bool kit_hears_questions; /* the test is about them */

/* Nothing comes, but for news of the company. */
static void kit_expect_quiet(int fd)
{
    struct kit_frame f = {0};
    while (kit_get(fd, &f, KIT_QUIET_MS))
        if (f.type != IPC_T_facts && (kit_hears_questions || !ipc_is_parse_tag(f.tag)))
            fail_msg("a %s came", ipc_type_name(f.type));
    mem_free(&f.bytes);
}

static bool kit_is_closed(int fd)
{
    char c;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, KIT_WAIT_MS) > 0)
        if (recv(fd, &c, 1, 0) <= 0)
            return true;
    return false;
}

static void kit_put_raw(int fd, uint16_t type, uint16_t n_fds, uint64_t tag, struct slice payload)
{
    SCOPED(buf_finish) struct buf b = buf_make((size_t)64 << 20);
    buf_u32(&b, (uint32_t)payload.n);
    buf_u16(&b, type);
    buf_u16(&b, n_fds);
    buf_u64(&b, tag);
    buf_adds(&b, payload);
    for (size_t at = 0; at < b.n;) {
        ssize_t n = send(fd, b.p + at, b.n - at, MSG_NOSIGNAL);
        if (n < 0)
            return; /* closed: the test sees it */
        at += (size_t)n;
    }
}

static void kit_put(int fd, enum ipc_type type, uint64_t tag, const struct buf *payload)
{
    assert_false(payload->failed);
    kit_put_raw(fd, (uint16_t)type, 0, tag, buf_slice(payload));
}

static void kit_put_content(int fd, uint64_t tag, struct slice bytes)
{
    while (bytes.n > 0) {
        size_t n = bytes.n < IPC_CONTENT_MAX ? bytes.n : IPC_CONTENT_MAX;
        kit_put_raw(fd, IPC_T_content, 0, tag, slice_of(bytes.p, n));
        bytes = slice_skip(bytes, n);
    }
}

#endif
