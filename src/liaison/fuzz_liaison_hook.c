/* What a receiver of webhooks may answer: the bytes come over a real connection through curl; ours
 * must end in time, with a status and a short clean text. */
#include "liaison/hook.h"
#include "liaison/liaison_int.h"

#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct {
    int fd;
    struct slice answer;
} server;

static void *serve(void *)
{
    char request[4096];
    SCOPED(fd_close) int fd = accept(server.fd, NULL, NULL);
    if (fd < 0)
        return NULL;
    (void)recv(fd, request, sizeof(request), 0);
    (void)send(fd, server.answer.p, server.answer.n, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, request, sizeof(request), 0) > 0)
        ;
    return NULL;
}

static uint16_t listen_here(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    server.fd = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(server.fd, (struct sockaddr *)&a, size) == 0 && listen(server.fd, 8) == 0);
    must(getsockname(server.fd, (struct sockaddr *)&a, &size) == 0);
    return ntohs(a.sin_port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static uint16_t port;
    static const struct courier_network network = {.cancel_fd = -1};
    SCOPED(buf_finish) struct buf url = buf_make(100);
    pthread_t thread;
    if (port == 0) {
        liaison_hook_prepare(SLICE(""));
        port = listen_here();
    }
    server.answer = slice_of((const char *)data, n);
    must(pthread_create(&thread, NULL, serve, NULL) == 0);
    buf_addf(&url, "http://127.0.0.1:%u/", port);
    struct liaison_work w = {
        .hook = {SLICE("x.1"), buf_slice(&url), SLICE("s"), SLICE("{}"), 2000}};
    struct ipc_hooked hooked;
    SCOPED(buf_finish) struct buf answer = buf_make(1000);
    liaison_hook_kind.run(&network, &w, &answer);
    must(!answer.failed && ipc_hooked_unpack(buf_slice(&answer), NULL, &hooked));
    must(hooked.status < 1000);
    for (size_t i = 0; i < hooked.text.n; i++)
        must(hooked.text.p[i] >= ' ' && hooked.text.p[i] < 0x7f);
    must(pthread_join(thread, NULL) == 0);
    return 0;
}
