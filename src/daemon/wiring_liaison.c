/* Circuit of the liaison: what core asks -> threads that look or call -> what was seen. */
#include "daemon/child.h"

#include "base/refuse.h"
#include "daemon/outside.h"
#include "daemon/report.h"
#include "liaison/domains.h"
#include "liaison/hook.h"
#include "liaison/liaison.h"
#include "liaison/token.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { AUTHORITIES_MAX = 8 << 20 };

struct liaison_state {
    struct child *child;
    struct outside outside;
    struct liaison *liaison;
    struct liaison_domains *domains;
    struct report *report;
    struct net_link *core;
};

static void on_done(void *arg, enum ipc_type type, uint64_t tag, struct buf *answer)
{
    struct liaison_state *s = arg;
    report_send(s->report, type, tag, answer);
}

static void on_seen(void *arg, uint64_t tag, const struct ipc_domain_seen *seen)
{
    struct liaison_state *s = arg;
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    ipc_domain_seen_pack(&b, seen);
    report_send(s->report, IPC_T_domain_seen, tag, &b);
}

static void forget_core(struct liaison_state *s)
{
    report_link(s->report, NULL);
    net_link_close(&s->core);
    if (s->liaison)
        liaison_forget_contents(s->liaison);
}

static bool take_domain(struct liaison_state *s, const struct net_frame *f)
{
    struct ipc_domain_look look;
    struct arena *a = arena_create(1 << 20);
    bool is_good = ipc_domain_look_unpack(f->payload, a, &look);
    if (is_good)
        liaison_domains_look(s->domains, f->tag, &look);
    arena_destroy(&a);
    return is_good;
}

static bool take(struct liaison_state *s, const struct net_frame *f)
{
    if (f->type == IPC_T_domain_look)
        return take_domain(s, f);
    if (f->type == IPC_T_content)
        return liaison_content(s->liaison, f->tag, f->payload);
    return liaison_take(s->liaison, f->type, f->tag, f->payload);
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct liaison_state *s = arg;
    bool is_good = f->fd < 0 && take(s, f);
    if (f->fd >= 0)
        fd_close(&f->fd);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    forget_core(s);
    child_nonsense(s->child, IPC_CORE, 1, what);
}

static void on_closed(void *arg, struct net_link *)
{
    forget_core(arg);
}

static unsigned limit_of(enum refuse_id id)
{
    return (unsigned)refuse_row(id)->limit;
}

static void read_authorities(struct child *c, const char *path, bool is_wanted, struct buf *ret)
{
    SCOPED(fd_close) int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 && is_wanted)
        child_fail(c, "alerts.authorities: %s: %s; the liaison's user must be able to read it",
                   path, strerror(errno));
    char part[16384];
    for (ssize_t n; fd >= 0 && (n = read(fd, part, sizeof(part))) > 0;)
        buf_add(ret, part, (size_t)n);
    if (ret->failed)
        child_fail(c, "%s is bigger than %d MiB; that is no list of certificate authorities", path,
                   AUTHORITIES_MAX >> 20);
}

/* Who may vouch for a receiver of webhooks or pushes, or a giver of tokens: the settings' file, or
 * the system's as libcurl knows it. For the web servers of policies both: they are the world's.
 * Without the system's file none is trusted, and whoever needs one says so. */
static void prepare_web(struct child *c)
{
    const char *set = child_settings(c)->alerts.authorities;
    const char *system = curl_version_info(CURLVERSION_NOW)->cainfo;
    SCOPED(buf_finish) struct buf pem = buf_make(AUTHORITIES_MAX);
    read_authorities(c, set[0] ? set : system, set[0] != '\0', &pem);
    liaison_hook_prepare(buf_slice(&pem));
    liaison_token_prepare(buf_slice(&pem));
    liaison_push_prepare(buf_slice(&pem));
    buf_addc(&pem, '\n'); /* the file may end without one */
    if (set[0])
        read_authorities(c, system, false, &pem);
    liaison_domains_prepare(buf_slice(&pem));
}

static void liaison_before_sandbox(struct child *c)
{
    struct liaison_state *s = mem_new(sizeof(*s));
    s->child = c;
    child_set_state(c, s);
    outside_prepare(c, &s->outside);
    prepare_web(c);
}

/* Who we are, as the settings and our certificate say. */
static void tell_node(struct liaison_state *s)
{
    const struct settings *settings = child_settings(s->child);
    struct watch_node node = {.name = slice_str(settings->node.name)};
    for (uint32_t i = 0; i < settings->node.addresses.n && i < WATCH_ADDRESSES_MAX; i++) {
        const struct settings_network *from = &settings->node.addresses.list[i];
        struct wire_ip *ip = &node.addresses[node.n_addresses++];
        ip->version = from->n_bytes == 4 ? 4 : 6;
        memcpy(ip->bytes, from->bytes, from->n_bytes);
    }
    struct slice pem = child_file(s->child, CHILD_CERTIFICATE);
    if (watch_certificate_read(pem, &node.certificate))
        node.certificate.vouched = liaison_domains_vouched(pem);
    liaison_domains_node(s->domains, &node);
}

static void liaison_start(struct child *c)
{
    struct liaison_state *s = child_state(c);
    s->outside.names = names_create(c);
    s->outside.network.resolve = names_ask;
    s->outside.network.resolve_arg = s->outside.names;
    s->report = report_create(child_loop(c), NULL, NULL);
    struct liaison_options o = {
        .lane = {[LIAISON_PROBES] = {32, limit_of(REFUSE_PROBES), 2},
                 [LIAISON_MAILBOXES] = {32, limit_of(REFUSE_LOOKS), 4},
                 [LIAISON_CONTROLS] = {2, limit_of(REFUSE_CONTROLS), limit_of(REFUSE_CONTROLS)},
                 [LIAISON_HOOKS] = {8, limit_of(REFUSE_HOOKS), 2},
                 [LIAISON_RETURNS] = {16, limit_of(REFUSE_RETURNS), 1},
                 [LIAISON_PUSHES] = {16, limit_of(REFUSE_PUSHES), 8}},
        .network = s->outside.network,
        .done = on_done,
        .done_arg = s,
    };
    s->liaison = liaison_create(&o);
    struct liaison_domains_options domains = {.threads = 12, /* some stay for people who wait */
                                              .looks = limit_of(REFUSE_DOMAIN_LOOKS),
                                              .network = s->outside.network,
                                              .done = on_seen,
                                              .done_arg = s};
    s->domains = liaison_domains_create(&domains);
    tell_node(s);
    child_ready(c);
}

static void liaison_linked(struct child *c, enum ipc_role peer, unsigned, int fd)
{
    struct liaison_state *s = child_state(c);
    struct net_link_options o = {.frame_max = IPC_LIST_FRAME_MAX,
                                 .queue_max = 16 << 20,
                                 .frame = on_frame,
                                 .closed = on_closed,
                                 .arg = s};
    if (peer == IPC_RESOLVER) {
        names_link(s->outside.names, fd);
    } else if (peer == IPC_CORE) {
        forget_core(s);
        s->core = net_link_open(child_loop(c), fd, &o);
        report_link(s->report, s->core);
    } else {
        fd_close(&fd);
    }
}

static void liaison_stop(struct child *c)
{
    struct liaison_state *s = child_state(c);
    names_cancel(s->outside.names);
    liaison_destroy(&s->liaison);
    liaison_domains_destroy(&s->domains);
    child_done(c);
}

static void liaison_settings_changed(struct child *c)
{
    struct liaison_state *s = child_state(c);
    outside_reload(c, &s->outside);
    tell_node(s);
}

const struct role_wiring wiring_liaison = {
    .before_sandbox = liaison_before_sandbox,
    .start = liaison_start,
    .linked = liaison_linked,
    .stop = liaison_stop,
    .settings_changed = liaison_settings_changed,
};
