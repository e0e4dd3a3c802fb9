/* Circuit of the resolver: questions of gates, courier and liaison -> libunbound -> answers. */
#include "daemon/child.h"
#include "daemon/report.h"

#include "resolve/resolve.h"

enum { ASKERS_MAX = 24 };

/* The root's trust anchors as IANA publishes them (KSK-2017, KSK-2024). Only with the internet at
 * hand: a closed network has no signed root to begin from, and everything in it would look forged.
 */
static const char root_anchors[] =
    ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"
    ". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16\n";

struct asker {
    struct resolver_state *state;
    struct net_link *link;
    enum ipc_role role;
    unsigned number;
    uint32_t turn;
};

struct open_question {
    struct asker *asker;
    uint32_t turn; /* of the link that asked */
    uint64_t tag;  /* the asker's */
};

struct resolver_state {
    struct child *child;
    struct report *report;
    struct net_link *core;
    struct resolve *resolve;
    struct asker askers[ASKERS_MAX];
    size_t n_askers;
    struct map *open; /* our tag -> struct open_question */
    uint64_t last_tag;
};

static void on_told(void *arg, uint64_t tag, const struct ipc_name_told *told)
{
    struct resolver_state *s = arg;
    struct open_question *q = map_del(s->open, KEY(tag));
    if (q && q->asker->link && q->asker->turn == q->turn) {
        SCOPED(buf_finish) struct buf b = buf_make(IPC_LIST_FRAME_MAX);
        ipc_name_told_pack(&b, told);
        if (!b.failed)
            (void)!net_link_send(q->asker->link, IPC_T_name_told, q->tag, buf_slice(&b), SLICE(""));
    }
    mem_free(&q);
}

static void forget(struct asker *a)
{
    net_link_close(&a->link);
    a->turn++;
}

/* From the root down means servers of strangers: nothing leaves by accident. */
static bool is_shut(const struct resolver_state *s)
{
    const struct settings *settings = child_settings(s->child);
    return !settings->network.internet && settings->network.resolver.n == 0;
}

static bool take_ask(struct asker *a, const struct net_frame *f)
{
    struct resolver_state *s = a->state;
    struct ipc_name_ask ask;
    if (!ipc_name_ask_unpack(f->payload, NULL, &ask))
        return false;
    struct open_question *q = mem_new(sizeof(*q));
    *q = (struct open_question){a, a->turn, f->tag};
    uint64_t tag = ++s->last_tag;
    map_put(s->open, KEY(tag), q);
    if (is_shut(s)) {
        struct ipc_name_told told = {
            .status = IPC_NAME_FAILED,
            .why = SLICE("network.internet is false, and network.resolver names nobody")};
        on_told(s, tag, &told);
    } else {
        resolve_ask(s->resolve, tag, &ask);
    }
    return true;
}

static void on_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct asker *a = arg;
    bool is_good = f->fd < 0 && f->type == IPC_T_name_ask && take_ask(a, f);
    if (f->fd >= 0)
        fd_close(&f->fd);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    forget(a);
    child_nonsense(a->state->child, a->role, a->number, what);
}

static void on_closed(void *arg, struct net_link *)
{
    forget(arg);
}

/* ---- core hears how often we refused, and says nothing ---- */

static void forget_core(struct resolver_state *s)
{
    report_link(s->report, NULL);
    net_link_close(&s->core);
}

static void on_core_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct resolver_state *s = arg;
    const char *what = ipc_type_name(f->type);
    if (f->fd >= 0)
        fd_close(&f->fd);
    forget_core(s);
    child_nonsense(s->child, IPC_CORE, 1, what);
}

static void on_core_closed(void *arg, struct net_link *)
{
    forget_core(arg);
}

static void link_core(struct resolver_state *s, int fd)
{
    struct net_link_options o = {.frame_max = 4096,
                                 .queue_max = 16 << 20,
                                 .frame = on_core_frame,
                                 .closed = on_core_closed,
                                 .arg = s};
    forget_core(s);
    s->core = net_link_open(child_loop(s->child), fd, &o);
    report_link(s->report, s->core);
}

static void resolver_start(struct child *c)
{
    struct resolver_state *s = mem_new(sizeof(*s));
    const struct settings *settings = child_settings(c);
    static char texts[SETTINGS_ADDRESSES_MAX][64];
    struct slice forwarders[SETTINGS_ADDRESSES_MAX];
    static const struct slice opened[] = {{"test.", 5}};
    struct errinfo ei;
    s->child = c;
    s->open = map_create();
    s->report = report_create(child_loop(c), NULL, NULL);
    child_set_state(c, s);
    for (uint32_t i = 0; i < settings->network.resolver.n; i++) {
        settings_address_text(&settings->network.resolver.list[i], texts[i]);
        forwarders[i] = slice_str(texts[i]);
    }
    struct resolve_options o = resolve_options_usual();
    o.forwarders = forwarders;
    o.n_forwarders = settings->network.resolver.n;
    o.anchors = child_file(c, CHILD_TRUST_ANCHOR);
    if (o.anchors.n == 0 && settings->network.internet)
        o.anchors = slice_str(root_anchors);
    o.opened = opened;
    o.n_opened = 1;
    o.told = on_told;
    o.arg = s;
    if (resolve_create(child_loop(c), &o, &s->resolve, &ei) != ERR_OK)
        child_fail(c,
                   "Names cannot be resolved: %s. Look at network.resolver and "
                   "network.trust_anchor in the settings.",
                   ei.text);
    child_ready(c);
}

static void resolver_linked(struct child *c, enum ipc_role peer, unsigned number, int fd)
{
    struct resolver_state *s = child_state(c);
    struct asker *a = NULL;
    if (peer == IPC_CORE) {
        link_core(s, fd);
        return;
    }
    for (size_t i = 0; i < s->n_askers; i++)
        if (s->askers[i].role == peer && s->askers[i].number == number)
            a = &s->askers[i];
    if (!a && s->n_askers < ASKERS_MAX)
        a = &s->askers[s->n_askers++];
    if (!a) {
        fd_close(&fd);
        return;
    }
    forget(a);
    *a = (struct asker){.state = s, .role = peer, .number = number, .turn = a->turn};
    struct net_link_options o = {
        .frame_max = 4096, .queue_max = 16 << 20, .frame = on_frame, .closed = on_closed, .arg = a};
    a->link = net_link_open(child_loop(c), fd, &o);
}

const struct role_wiring wiring_resolver = {
    .start = resolver_start,
    .linked = resolver_linked,
};
