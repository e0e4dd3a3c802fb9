/* For tests and benches of people's side of the door: the server and core's end of its link on one
 * loop in a thread of their own. Core answers by what it is told to be. */
#ifndef WEB_TEST_FAKE_CORE_H
#define WEB_TEST_FAKE_CORE_H

#include "base/log.h"
#include "base/refuse.h"
#include "ipc/ipc.h"
#include "web/web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAKE_PERSON = 7, FAKE_CALLS_MAX = 64 };
enum fake_habit { FAKE_ANSWERS, FAKE_SILENT, FAKE_DIES };

/* What the last call said, as texts. Read it only when nothing is under way. */
struct fake_call {
    uint8_t kind;
    uint32_t bytes;
    char account[256], blob[256], type[256], authorization[300], cookie[201], csrf[101],
        origin[301], from_origin[301], client[65], agent[301];
};

static struct fake {
    pthread_t thread;
    struct net_loop *loop;
    struct web_server *server;
    struct web_options options;
    struct net_link *core;
    uint16_t port;
    _Atomic enum fake_habit habit;
    _Atomic unsigned n_calls, n_of[IPC_CALL_N], n_drops, n_unwatched, n_nonsense;
    _Atomic size_t n_content; /* bytes that are with core, of all tags */
    _Atomic uint64_t refused[REFUSE_N];
    _Atomic uint64_t unwatched_tag, watch_tag;
    uint64_t silent_tag; /* loop only: of the last call that FAKE_SILENT left without an answer */
    struct fake_call last;
    struct ipc_called answer; /* for what is asked next; status 0: by its kind */
    struct slice body;        /* of that answer */
    pthread_barrier_t gate;
    atomic_bool is_stopped;
} fake;

static void fake_keep(char *to, size_t size, struct slice s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    memcpy(to, s.n ? s.p : "", n);
    to[n] = '\0';
}

static void fake_answer(uint64_t tag, struct ipc_called a, struct slice body)
{
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    a.bytes = a.bytes ? a.bytes : (uint32_t)body.n;
    ipc_called_pack(&b, &a);
    while (body.n > 0) {
        size_t n = body.n < IPC_CONTENT_MAX ? body.n : IPC_CONTENT_MAX;
        (void)!net_link_send(fake.core, IPC_T_content, tag, slice_of(body.p, n), SLICE(""));
        body = slice_skip(body, n);
    }
    (void)!net_link_send(fake.core, IPC_T_called, tag, buf_slice(&b), SLICE(""));
}

static void fake_by_kind(uint64_t tag, const struct ipc_call *q)
{
    char text[400];
    int n = snprintf(text, sizeof(text), "{\"kind\":%u,\"bytes\":%u}", q->kind, q->bytes);
    struct ipc_called a = {.status = 200, .type = SLICE("application/json")};
    struct slice body = slice_of(text, (size_t)n);
    if (q->authorization.n == 0 && q->cookie.n == 0 && q->kind != IPC_CALL_LOGIN) {
        a.status = 401;
        a.has_challenge = 1;
    } else if (q->kind == IPC_CALL_CHECK) {
        a.status = 204;
        body.n = 0;
    } else if (q->kind == IPC_CALL_WATCH) {
        a.person = FAKE_PERSON;
        body.n = 0;
        atomic_store(&fake.watch_tag, tag);
    } else if (q->kind == IPC_CALL_LOGIN) {
        a.set_cookie = SLICE("abc.123");
        a.cookie_seconds = 3600;
    } else if (q->kind == IPC_CALL_LOGOUT) {
        a.status = 204;
        a.set_cookie = SLICE("-");
        body.n = 0;
    }
    fake_answer(tag, a, body);
}

static void fake_on_call(uint64_t tag, const struct ipc_call *q)
{
    struct fake_call *l = &fake.last;
    l->kind = q->kind;
    l->bytes = q->bytes;
    fake_keep(l->account, sizeof(l->account), q->account);
    fake_keep(l->blob, sizeof(l->blob), q->blob);
    fake_keep(l->type, sizeof(l->type), q->type);
    fake_keep(l->authorization, sizeof(l->authorization), q->authorization);
    fake_keep(l->cookie, sizeof(l->cookie), q->cookie);
    fake_keep(l->csrf, sizeof(l->csrf), q->csrf);
    fake_keep(l->origin, sizeof(l->origin), q->origin);
    fake_keep(l->from_origin, sizeof(l->from_origin), q->from_origin);
    fake_keep(l->client, sizeof(l->client), q->client);
    fake_keep(l->agent, sizeof(l->agent), q->agent);
    must(q->kind > 0 && q->kind < IPC_CALL_N);
    atomic_fetch_add(&fake.n_of[q->kind], 1);
    atomic_fetch_add(&fake.n_calls, 1);
    switch (atomic_load(&fake.habit)) {
    case FAKE_ANSWERS:
        if (fake.answer.status)
            fake_answer(tag, fake.answer, fake.body);
        else
            fake_by_kind(tag, q);
        break;
    case FAKE_DIES:
        net_link_close(&fake.core);
        break;
    case FAKE_SILENT:
        fake.silent_tag = tag;
        break;
    }
}

static void fake_on_frame(void *, struct net_link *, struct net_frame *f)
{
    struct ipc_call q;
    struct ipc_unwatch u;
    struct ipc_refusals all;
    if (f->type == IPC_T_content) {
        atomic_fetch_add(&fake.n_content, f->payload.n);
    } else if (f->type == IPC_T_call) {
        must(ipc_call_unpack(f->payload, NULL, &q));
        fake_on_call(f->tag, &q);
    } else if (f->type == IPC_T_drop) {
        atomic_fetch_add(&fake.n_drops, 1);
    } else if (f->type == IPC_T_unwatch) {
        must(ipc_unwatch_unpack(f->payload, NULL, &u) && u.person == FAKE_PERSON);
        atomic_store(&fake.unwatched_tag, f->tag);
        atomic_fetch_add(&fake.n_unwatched, 1);
    } else if (f->type == IPC_T_refusals) {
        SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
        must(ipc_refusals_unpack(f->payload, arena, &all));
        for (uint32_t i = 0; i < all.n_refusals; i++)
            atomic_fetch_add(&fake.refused[all.refusals[i].id], all.refusals[i].n);
    } else {
        must(f->type == IPC_T_highs || f->type == IPC_T_figures);
    }
}

static void fake_on_closed(void *, struct net_link *)
{
    net_link_close(&fake.core);
}

static void fake_connect(void *)
{
    int pair[2];
    const struct net_link_options options = {.frame_max = IPC_LIST_FRAME_MAX,
                                             .queue_max = 128 << 20,
                                             .frame = fake_on_frame,
                                             .closed = fake_on_closed};
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    net_link_close(&fake.core);
    fake.core = net_link_open(fake.loop, pair[0], &options);
    web_core_link(fake.server, pair[1]);
}

static void fake_nonsense(void *, const char *)
{
    atomic_fetch_add(&fake.n_nonsense, 1);
}

static int fake_listen(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1000) == 0);
    must(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    fake.port = ntohs(a.sin_port);
    return fd;
}

static const char *fake_certificate, *fake_key; /* PEM; NULL: plain HTTP */
static void *fake_shared;                       /* with other doors; NULL: there is no other */

static void *fake_run(void *)
{
    struct errinfo ei;
    fake.loop = net_loop_create();
    fake.options.certificate = slice_str(fake_certificate);
    fake.options.key = slice_str(fake_key);
    must(web_create(fake.loop, &fake.options, &fake.server, &ei) == ERR_OK);
    fake_connect(NULL);
    pthread_barrier_wait(&fake.gate);
    net_loop_run(fake.loop);
    web_destroy(&fake.server);
    net_link_close(&fake.core);
    return NULL;
}

static inline void fake_begin(const struct web_people *people)
{
    memset(&fake, 0, sizeof(fake));
    fake.options = (struct web_options){.admin_fd = -1,
                                        .metrics_fd = -1,
                                        .n_listeners = 1,
                                        .listeners[0] = {fake_listen(), fake_certificate != NULL},
                                        .nonsense = fake_nonsense,
                                        .shared = fake_shared};
    if (people)
        fake.options.people = *people;
    pthread_barrier_init(&fake.gate, NULL, 2);
    pthread_create(&fake.thread, NULL, fake_run, NULL);
    pthread_barrier_wait(&fake.gate);
}

static inline void fake_end(void)
{
    net_loop_stop(fake.loop);
    pthread_join(fake.thread, NULL);
    net_loop_destroy(&fake.loop);
    pthread_barrier_destroy(&fake.gate);
}

/* On the loop. */
static inline void fake_tell(void *state)
{
    SCOPED(buf_finish) struct buf b = buf_make(4000);
    struct ipc_changed changed = {FAKE_PERSON, slice_str(state)};
    ipc_changed_pack(&b, &changed);
    (void)!net_link_send(fake.core, IPC_T_changed, 0, buf_slice(&b), SLICE(""));
}

/* On the loop. That call was a WATCH, and is answered after all. */
static inline void fake_watch_late(void *)
{
    atomic_store(&fake.watch_tag, fake.silent_tag);
    fake_answer(fake.silent_tag, (struct ipc_called){.status = 200, .person = FAKE_PERSON},
                SLICE(""));
}

static inline void fake_unwatch(void *)
{
    SCOPED(buf_finish) struct buf b = buf_make(100);
    struct ipc_unwatch u = {FAKE_PERSON};
    ipc_unwatch_pack(&b, &u);
    (void)!net_link_send(fake.core, IPC_T_unwatch, 0, buf_slice(&b), SLICE(""));
}

#endif
