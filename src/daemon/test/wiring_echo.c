/* Wirings for the supervisor's test: every process opens its links and answers each frame with its
 * own pid; the gate takes commands, one line a connection, on its listener. */
#include "daemon/child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS_MAX = 32, CONTROL = 3 };

struct peer {
    enum ipc_role role;
    unsigned number;
    struct net_link *link;
};

static struct {
    struct child *c;
    struct peer peers[PEERS_MAX];
    struct net_timer *later;
    int asker; /* the connection whose question is under way to a peer */
    bool never_stops, is_stopping;
} me = {.asker = -1};

static unsigned count_links(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < PEERS_MAX; i++)
        n += me.peers[i].link != NULL;
    return n;
}

static void answer(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void answer(int fd, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
    (void)close(fd);
}

/* ---- links: a question is a frame of type 1, its answer one of type 2 ---- */

static void on_frame(void *, struct net_link *link, struct net_frame *f)
{
    char text[64];
    if (f->type == 1) {
        int n = snprintf(text, sizeof(text), "%d %u", (int)getpid(), count_links());
        (void)!net_link_send(link, 2, f->tag, slice_of(text, (size_t)n), SLICE(""));
    } else if (me.asker >= 0) {
        answer(me.asker, SLICE_FMT "\n", SLICE_ARG(f->payload));
        me.asker = -1;
    }
}

static void on_closed(void *arg, struct net_link *)
{
    struct peer *p = arg;
    net_link_close(&p->link);
}

static struct peer *find_peer(enum ipc_role role, unsigned number)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (me.peers[i].role == role && me.peers[i].number == number)
            return &me.peers[i];
    return NULL;
}

static void linked(struct child *c, enum ipc_role role, unsigned number, int fd)
{
    struct peer *p = find_peer(role, number);
    for (size_t i = 0; !p && i < PEERS_MAX; i++)
        if (me.peers[i].role == 0)
            p = &me.peers[i];
    must(p);
    net_link_close(&p->link);
    p->role = role;
    p->number = number;
    const struct net_link_options o = {
        .frame_max = 100, .queue_max = 1000, .frame = on_frame, .closed = on_closed, .arg = p};
    p->link = net_link_open(child_loop(c), fd, &o);
}

/* ---- the gate's commands ---- */

static void ask_peer(const char *name, int fd)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *p = &me.peers[i];
        if (!p->link || strcmp(ipc_role_name(p->role), name) != 0)
            continue;
        me.asker = fd;
        (void)!net_link_send(p->link, 1, 0, SLICE(""), SLICE(""));
        return;
    }
    answer(fd, "away\n");
}

static void tell_on(struct child *c, const char *name)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (me.peers[i].link && strcmp(ipc_role_name(me.peers[i].role), name) == 0) {
            net_link_close(&me.peers[i].link);
            child_nonsense(c, me.peers[i].role, me.peers[i].number, "a test says so");
        }
}

static void obey(struct child *c, char *line, int fd)
{
    if (strncmp(line, "ask ", 4) == 0) {
        ask_peer(line + 4, fd);
        return;
    }
    if (strncmp(line, "tell ", 5) == 0)
        tell_on(c, line + 5);
    if (strcmp(line, "babble") == 0)
        (void)!write(CONTROL, "this is no frame, it is only babble", 35);
    if (strcmp(line, "flood") == 0)
        for (int i = 0; i < 1000; i++)
            child_progress(c, 50, "a flood");
    if (strcmp(line, "stay") == 0)
        me.never_stops = true;
    if (strcmp(line, "leave") == 0)
        child_done(c);
    unsigned *shared = child_shared(c);
    answer(fd, "pid=%d hops=%u certificate=%zu key=%zu shared=%u stopping=%d\n", (int)getpid(),
           (unsigned)child_settings(c)->limits.hops, child_file(c, CHILD_CERTIFICATE).n,
           child_file(c, CHILD_KEY).n, ++*shared, me.is_stopping);
}

static void on_peer(void *arg, int fd, const struct sockaddr_storage *)
{
    char line[64];
    size_t n = 0;
    /* A test's client writes its line at once. */
    for (int tries = 0; tries < 1000 && (n == 0 || line[n - 1] != '\n'); tries++) {
        ssize_t got = recv(fd, line + n, sizeof(line) - n, 0);
        if (got > 0)
            n += (size_t)got;
        else
            usleep(1000);
    }
    must(n > 0);
    line[n - 1] = '\0';
    obey(arg, line, fd);
}

/* ---- lives ---- */

static void gate_start(struct child *c)
{
    for (size_t i = 0; i < child_n_listeners(c); i++)
        (void)net_listener_create(child_loop(c), child_listener(c, i).fd, on_peer, c);
    child_ready(c);
}

static void stop(struct child *c)
{
    me.is_stopping = true;
    if (!me.never_stops)
        child_done(c);
}

static void core_start(struct child *c)
{
    if (strcmp(child_settings(c)->node.name, "refused.example.com") == 0)
        child_fail(c, "%0250d the store is from a newer version; start that one", 0);
    child_progress(c, 40, "replaying the log");
    child_ready(c);
}

static void ready_now(void *arg)
{
    child_ready(arg);
}

/* The slow one: nobody may be called ready before it. */
static void liaison_start(struct child *c)
{
    me.later = net_timer_create(child_loop(c), ready_now, c);
    net_timer_set(me.later, MILLISECONDS(150));
}

const struct role_wiring wiring_gate = {.start = gate_start, .linked = linked, .stop = stop};
const struct role_wiring wiring_door = {.start = child_ready, .linked = linked};
const struct role_wiring wiring_core = {.start = core_start, .linked = linked};
const struct role_wiring wiring_courier = {.start = child_ready, .linked = linked};
const struct role_wiring wiring_liaison = {.start = liaison_start, .linked = linked};
const struct role_wiring wiring_resolver = {.start = child_ready, .linked = linked};
