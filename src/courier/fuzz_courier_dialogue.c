/* A server of any behaviour: byte 0 chooses the delivery, the rest is what the server says; NUL
 * ends what it says before it waits for us. */
#include "courier/courier_int.h"

#include <errno.h>
#include <sys/uio.h>

struct server {
    struct slice rest, now;
    bool is_silent; /* at the end: no answer instead of a close */
};

static ssize_t server_read(void *arg, char *p, size_t n)
{
    struct server *s = arg;
    errno = EAGAIN;
    if (s->now.n == 0)
        return s->rest.n > 0 || s->is_silent ? -1 : 0;
    n = n < s->now.n ? n : s->now.n;
    memcpy(p, s->now.p, n);
    s->now = slice_skip(s->now, n);
    return (ssize_t)n;
}

static ssize_t server_write(void *, const struct iovec *parts, int n_parts)
{
    size_t n = 0;
    for (int i = 0; i < n_parts; i++)
        n += parts[i].iov_len;
    return n > 7 ? (ssize_t)(n - n / 3) : (ssize_t)n; /* never all at once */
}

static enum err server_wait(void *arg, int, mono_us, struct errinfo *ei)
{
    struct server *s = arg;
    if (s->now.n == 0 && s->rest.n == 0 && s->is_silent)
        return err_set(ei, ERR_RETRY, "no answer in time");
    if (s->now.n == 0)
        s->now = slice_cut(s->rest, '\0', &s->rest);
    return ERR_OK;
}

static void server_close(void *)
{
}

/* What must be true of every result, whatever the server did. */
static void check(const struct courier_work *w)
{
    for (uint32_t i = 0; i < w->result.n_outcomes; i++) {
        const struct ipc_job_outcome *o = &w->result.outcomes[i];
        must(w->is_decided[i] && o->phase > 0 && o->phase < SMTP_PHASE_N);
        must(o->code == 0 || (o->code >= 200 && o->code < 600 && o->code / 100 != 3));
        must(o->code / 100 != 2 || (o->phase == SMTP_PHASE_DOT && w->result.is_sent));
        must(o->text.n > 0 || o->code > 0);
        for (size_t k = 0; k < o->text.n; k++)
            must(o->text.p[k] >= ' ' && o->text.p[k] <= '~');
    }
}

static struct courier_work *work_of(uint8_t choice)
{
    static struct ipc_job_rcpt rcpts[120];
    struct ipc_job job = {.mail_from = SLICE("a@b.example"), .rcpts = rcpts};
    job.n_rcpts = choice & 1 ? 1 : choice & 2 ? 3 : 120;
    for (uint32_t i = 0; i < job.n_rcpts; i++)
        rcpts[i].address =
            choice & 4 && i == 1 ? SLICE("\xc3\xa9@c.example") : SLICE("d@c.example");
    if (choice & 8)
        job.xclient_address = SLICE("192.0.2.1");
    struct buf content = buf_make(1000);
    buf_adds(&content, choice & 16 ? SLICE("a: b\r\n\r\n.c\r\n") : SLICE("a: \xc3\xa9\n.\n"));
    struct courier_work *w = courier_work_create(1, &job, &content);
    w->deadline = mono_now() + SECONDS(100);
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct net_transport transport = {server_read, server_write, server_wait,
                                                   server_close};
    struct courier_network net = {.hostname = "us", .timeouts = courier_timeouts_usual()};
    struct courier_target target = {.host = "them", .tls = IPC_TLS_MAY};
    struct courier_end end = {};
    if (size < 1)
        return 0;
    struct server s = {.rest = slice_of((const char *)data + 1, size - 1),
                       .is_silent = data[0] & 32};
    struct courier_peer *p = courier_peer_over(&net, net_conn_over(&transport, &s), &target,
                                               mono_now() + SECONDS(100), &end);
    must(p || end.phase > 0);
    for (int i = 0; p && !p->is_broken && i < 3; i++) {
        struct courier_work *w = work_of((uint8_t)(data[0] >> (i == 1)));
        enum courier_talk talked =
            courier_transact(p, w, data[0] & 64 ? COURIER_CHUNKING_TOGETHER : 0, &end);
        if (talked != COURIER_TALK_DONE) {
            must(talked != COURIER_TALK_STALE || !w->result.is_sent);
            p->is_broken = true;
            courier_work_decide_rest(w, &end);
        }
        check(w);
        courier_work_destroy(&w);
    }
    courier_peer_close(&p);
    return 0;
}
