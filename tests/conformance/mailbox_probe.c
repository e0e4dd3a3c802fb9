/* The room `liaison` for the stories with a real mail server; not a tool for operators.
 *     mailbox_probe login|canary|has|probe NAME=VALUE...
 * with imap=ADDRESS:PORT smtp=ADDRESS:PORT tls=may|must|verify|never implicit=1 tls_name= ca=FILE
 * mechanism=plain|login|xoauth2 user= act_as= secret= address= token= timeout_ms= id=... (many).
 * Writes the answer as "name value" lines. */
#include "liaison/liaison.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDS_MAX = 500 };

struct probe {
    struct ipc_host imap, smtp;
    struct ipc_server server;
    struct ipc_mailbox_look look;
    struct ipc_message_id ids[IDS_MAX];
    uint32_t n_ids;
    const char *ca;
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool is_done;
};

static void print(const char *name, struct slice text)
{
    printf("%s " SLICE_FMT "\n", name, SLICE_ARG(text));
}

static void print_seen(const struct ipc_mailbox_seen *s)
{
    printf("step %s\nis_well %d\nis_ours %d\ncode %d\ntook_ms %u\narrived_ms %u\n",
           ipc_look_step_name(s->step), s->is_well, s->is_ours, s->code, s->took_ms, s->arrived_ms);
    printf("cert_until %lld\nsmtp_cert_until %lld\n", (long long)s->cert_until,
           (long long)s->smtp_cert_until);
    print("text", s->text);
    print("folder", s->folder);
}

static void print_told(const struct ipc_mailbox_has_told *t)
{
    printf("step %s\nis_well %d\nis_ours %d\nn_folders %u\ntook_ms %u\nhas ",
           ipc_look_step_name(t->step), t->is_well, t->is_ours, t->n_folders, t->took_ms);
    for (uint32_t i = 0; i < t->n_facts; i++)
        putchar("ufa"[t->facts[i].has]);
    putchar('\n');
    print("text", t->text);
}

static void print_observed(const struct ipc_observed *o)
{
    printf("phase %s\ncode %d\ncert_until %lld\n", smtp_phase_name(o->phase), o->code,
           (long long)o->cert_until);
    print("text", o->text);
}

static void on_done(void *arg, enum ipc_type type, uint64_t, struct buf *answer)
{
    struct probe *p = arg;
    struct arena *a = arena_create(1 << 20);
    struct ipc_mailbox_seen seen;
    struct ipc_mailbox_has_told told;
    struct ipc_observed observed;
    if (type == IPC_T_mailbox_seen && ipc_mailbox_seen_unpack(buf_slice(answer), a, &seen))
        print_seen(&seen);
    else if (type == IPC_T_mailbox_has_told &&
             ipc_mailbox_has_told_unpack(buf_slice(answer), a, &told))
        print_told(&told);
    else if (type == IPC_T_observed && ipc_observed_unpack(buf_slice(answer), a, &observed))
        print_observed(&observed);
    arena_destroy(&a);
    pthread_mutex_lock(&p->lock);
    p->is_done = true;
    pthread_cond_signal(&p->came);
    pthread_mutex_unlock(&p->lock);
}

static enum err no_names(void *, const struct ipc_name_ask *, mono_us, struct arena *,
                         struct ipc_name_told *)
{
    return ERR_RETRY;
}

/* ---- arguments ---- */

static unsigned one_of(struct slice value, const char *const *words)
{
    for (unsigned i = 0; words[i]; i++)
        if (slice_eq(value, slice_str(words[i])))
            return i;
    fprintf(stderr, "mailbox_probe: " SLICE_FMT "?\n", SLICE_ARG(value));
    exit(2);
}

static struct ipc_host host_of(struct slice value)
{
    struct slice port;
    struct ipc_host host = {.name = slice_cut(value, ':', &port)};
    host.port = (uint16_t)strtoul(port.p, NULL, 10);
    return host;
}

static void take_number(struct probe *p, struct slice name, struct slice value)
{
    static const char *const tls[] = {"may", "must", "verify", "never", NULL};
    static const char *const mechanisms[] = {"any", "plain", "login", "xoauth2", NULL};
    if (slice_eq(name, SLICE("imap")))
        p->imap = host_of(value);
    else if (slice_eq(name, SLICE("smtp")))
        p->smtp = host_of(value);
    else if (slice_eq(name, SLICE("tls")))
        p->server.tls = p->look.smtp_tls = (uint8_t)one_of(value, tls);
    else if (slice_eq(name, SLICE("mechanism")))
        p->server.mechanism = (uint8_t)one_of(value, mechanisms);
    else if (slice_eq(name, SLICE("implicit")))
        p->server.is_implicit = 1;
    else if (slice_eq(name, SLICE("timeout_ms")))
        p->look.timeout_ms = (uint32_t)strtoul(value.p, NULL, 10);
    else if (slice_eq(name, SLICE("ca")))
        p->ca = value.p;
    else
        one_of(name, (const char *const[]){NULL});
}

static void take_argument(struct probe *p, const char *argument)
{
    struct slice value, name = slice_cut(slice_str(argument), '=', &value);
    static const char *const texts[] = {"user", "act_as", "secret", "address", "token", "tls_name"};
    struct slice *const places[] = {&p->server.user,  &p->server.act_as, &p->server.secret,
                                    &p->look.address, &p->look.token,    &p->server.tls_name};
    if (slice_eq(name, SLICE("id"))) {
        must(p->n_ids < IDS_MAX);
        p->ids[p->n_ids++].id = value;
        return;
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (slice_eq(name, slice_str(texts[i]))) {
            *places[i] = value;
            return;
        }
    take_number(p, name, value);
}

/* ---- asking ---- */

static enum ipc_type pack(struct probe *p, const char *verb, struct buf *out)
{
    struct ipc_mailbox_look *l = &p->look;
    p->server.hosts = &p->imap;
    p->server.n_hosts = 1;
    l->smtp_tls_name = p->server.tls_name;
    if (strcmp(verb, "probe") == 0) {
        struct ipc_probe probe = {.hosts = &p->smtp,
                                  .n_hosts = 1,
                                  .tls = l->smtp_tls,
                                  .tls_name = l->smtp_tls_name,
                                  .timeout_ms = l->timeout_ms};
        ipc_probe_pack(out, &probe);
        return IPC_T_probe;
    }
    if (strcmp(verb, "has") == 0) {
        struct ipc_mailbox_has has = {.timeout_ms = l->timeout_ms,
                                      .server = &p->server,
                                      .n_server = 1,
                                      .ids = p->ids,
                                      .n_ids = p->n_ids};
        ipc_mailbox_has_pack(out, &has);
        return IPC_T_mailbox_has;
    }
    l->what = strcmp(verb, "canary") == 0 ? IPC_LOOK_CANARY : IPC_LOOK_LOGIN;
    l->server = &p->server;
    l->smtp_hosts = &p->smtp;
    l->n_server = l->n_smtp_hosts = 1;
    ipc_mailbox_look_pack(out, l);
    return IPC_T_mailbox_look;
}

static struct net_tls_client *make_tls(const char *ca)
{
    struct net_tls_client *tls;
    struct errinfo ei;
    char text[16384];
    FILE *f = ca ? fopen(ca, "rb") : NULL;
    size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
    if (f)
        fclose(f);
    must(net_tls_client_create(slice_of(text, n), &tls, &ei) == ERR_OK);
    return tls;
}

int main(int n_args, char **args)
{
    static struct probe p = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .came = PTHREAD_COND_INITIALIZER,
                             .look.timeout_ms = 20000};
    if (n_args < 2)
        return 2;
    for (int i = 2; i < n_args; i++)
        take_argument(&p, args[i]);
    struct net_tls_client *tls = make_tls(p.ca);
    struct liaison_options o = {.lane = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
                                .network = {.hostname = "gate.example.test",
                                            .tls = tls,
                                            .timeouts = courier_timeouts_usual(),
                                            .resolve = no_names},
                                .done = on_done,
                                .done_arg = &p};
    struct liaison *l = liaison_create(&o);
    SCOPED(buf_finish) struct buf question = buf_make(IPC_LIST_FRAME_MAX);
    enum ipc_type type = pack(&p, args[1], &question);
    must(!question.failed && liaison_take(l, (uint16_t)type, 1, buf_slice(&question)));
    pthread_mutex_lock(&p.lock);
    while (!p.is_done)
        pthread_cond_wait(&p.came, &p.lock);
    pthread_mutex_unlock(&p.lock);
    liaison_destroy(&l);
    net_tls_client_destroy(&tls);
    return 0;
}
