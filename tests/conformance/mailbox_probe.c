/* The room `liaison` for the stories with a real mail server; not a tool for operators.
 *     mailbox_probe login|canary|has|probe|do NAME=VALUE...
 * with imap=ADDRESS:PORT smtp=ADDRESS:PORT tls=may|must|verify|never implicit=1 tls_name= ca=FILE
 * mechanism=plain|login|xoauth2 user= act_as= secret= address= token= timeout_ms= id=... (many).
 * do: dry=1, and for each message op=append|set, then what belongs to it: trace= message_id= date=
 * sender= role= folder=A/B from_role= from=A/B add=FLAG,FLAG remove= fate= internal= file=.
 * Writes the answer as "name value" lines; of do one "op RESULT UID FOLDER<TAB>words" each. */
#include "liaison/liaison.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDS_MAX = 500, OPS_MAX = 200, PARTS_MAX = 32 };

struct one_op {
    struct ipc_folder_part folder[PARTS_MAX], from[PARTS_MAX], add[PARTS_MAX], remove[PARTS_MAX];
};

struct probe {
    struct ipc_host imap, smtp;
    struct ipc_server server;
    struct ipc_mailbox_look look;
    struct ipc_message_id ids[IDS_MAX];
    uint32_t n_ids;
    struct ipc_mailbox_op ops[OPS_MAX];
    struct one_op parts[OPS_MAX];
    struct ipc_mailbox_do todo;
    struct buf content;
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

static void print_did(const struct ipc_mailbox_did *d)
{
    printf("step %s\nis_ours %d\ntook_ms %u\n", ipc_look_step_name(d->step), d->is_ours,
           d->took_ms);
    print("text", d->text);
    for (uint32_t i = 0; i < d->n_results; i++) {
        const struct ipc_op_result *r = &d->results[i];
        printf("op %s %u " SLICE_FMT "\t" SLICE_FMT "\n", ipc_op_result_name(r->result), r->uid,
               SLICE_ARG(r->folder), SLICE_ARG(r->text));
    }
}

static void on_done(void *arg, enum ipc_type type, uint64_t, struct buf *answer)
{
    struct probe *p = arg;
    struct arena *a = arena_create(1 << 20);
    struct ipc_mailbox_seen seen;
    struct ipc_mailbox_has_told told;
    struct ipc_observed observed;
    struct ipc_mailbox_did did;
    if (type == IPC_T_mailbox_seen && ipc_mailbox_seen_unpack(buf_slice(answer), a, &seen))
        print_seen(&seen);
    else if (type == IPC_T_mailbox_has_told &&
             ipc_mailbox_has_told_unpack(buf_slice(answer), a, &told))
        print_told(&told);
    else if (type == IPC_T_observed && ipc_observed_unpack(buf_slice(answer), a, &observed))
        print_observed(&observed);
    else if (type == IPC_T_mailbox_did && ipc_mailbox_did_unpack(buf_slice(answer), a, &did))
        print_did(&did);
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

/* ---- arguments of `do` ---- */

static uint32_t split(struct slice value, char at, struct ipc_folder_part *ret)
{
    uint32_t n = 0;
    while (value.n > 0 && n < PARTS_MAX)
        ret[n++].text = slice_cut(value, at, &value);
    return n;
}

static void add_file(struct probe *p, struct ipc_mailbox_op *op, const char *path)
{
    FILE *f = fopen(path, "rb");
    must(f);
    char part[65536];
    for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0; op->bytes += (uint32_t)n)
        buf_add(&p->content, part, n);
    fclose(f);
}

/* False: not a word of `do`. */
static bool take_op(struct probe *p, struct slice name, struct slice value)
{
    static const char *const names[] = {
        "op",   "trace", "message_id", "date", "sender",   "role", "folder", "from_role",
        "from", "add",   "remove",     "fate", "internal", "file", "dry",    NULL};
    static const char *const whats[] = {"none", "append", "set", NULL};
    static const char *const roles[] = {"none",  "inbox", "sent",    "drafts",
                                        "trash", "junk",  "archive", NULL};
    static const char *const fates[] = {"stay", "move", "trash", "expunge", NULL};
    unsigned at = 0;
    while (names[at] && !slice_eq(name, slice_str(names[at])))
        at++;
    if (at == 0) {
        must(p->todo.n_ops < OPS_MAX);
        p->ops[p->todo.n_ops++].what = (uint8_t)one_of(value, whats);
        return true;
    }
    if (at == 14)
        p->todo.is_dry = 1;
    if (!names[at] || at == 14)
        return names[at] != NULL;
    must(p->todo.n_ops > 0);
    struct ipc_mailbox_op *op = &p->ops[p->todo.n_ops - 1];
    struct one_op *parts = &p->parts[p->todo.n_ops - 1];
    switch (at) {
    case 1:
        op->trace = value;
        break;
    case 2:
        op->message_id = value;
        break;
    case 3:
        op->date = strtoll(value.p, NULL, 10);
        break;
    case 4:
        op->sender = value;
        break;
    case 5:
        op->role = (uint8_t)one_of(value, roles);
        break;
    case 6:
        op->n_folder = split(value, '/', op->folder = parts->folder);
        break;
    case 7:
        op->from_role = (uint8_t)one_of(value, roles);
        break;
    case 8:
        op->n_from_folder = split(value, '/', op->from_folder = parts->from);
        break;
    case 9:
        op->n_flags_add = split(value, ',', op->flags_add = parts->add);
        break;
    case 10:
        op->n_flags_remove = split(value, ',', op->flags_remove = parts->remove);
        break;
    case 11:
        op->fate = (uint8_t)one_of(value, fates);
        break;
    case 12:
        op->internal_date = strtoll(value.p, NULL, 10);
        break;
    case 13:
        add_file(p, op, value.p);
        break;
    }
    return true;
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
    else if (!take_op(p, name, value))
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
    if (strcmp(verb, "do") == 0) {
        p->todo.timeout_ms = l->timeout_ms;
        p->todo.server = &p->server;
        p->todo.n_server = 1;
        p->todo.ops = p->ops;
        ipc_mailbox_do_pack(out, &p->todo);
        return IPC_T_mailbox_do;
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
                             .look.timeout_ms = 20000,
                             .content = {.max = IPC_OP_CONTENT_MAX}};
    if (n_args < 2)
        return 2;
    for (int i = 2; i < n_args; i++)
        take_argument(&p, args[i]);
    struct net_tls_client *tls = make_tls(p.ca);
    struct liaison_options o = {.network = {.hostname = "gate.example.test",
                                            .tls = tls,
                                            .timeouts = courier_timeouts_usual(),
                                            .resolve = no_names},
                                .done = on_done,
                                .done_arg = &p};
    for (size_t i = 0; i < LIAISON_LANES; i++)
        o.lane[i].threads = o.lane[i].works = o.lane[i].per_primary = 1;
    struct liaison *l = liaison_create(&o);
    SCOPED(buf_finish) struct buf question = buf_make(IPC_LIST_FRAME_MAX);
    enum ipc_type type = pack(&p, args[1], &question);
    for (struct slice rest = buf_slice(&p.content); rest.n > 0;) {
        size_t n = rest.n < IPC_CONTENT_MAX ? rest.n : IPC_CONTENT_MAX;
        must(liaison_content(l, 1, slice_of(rest.p, n)));
        rest = slice_skip(rest, n);
    }
    must(!question.failed && liaison_take(l, (uint16_t)type, 1, buf_slice(&question)));
    pthread_mutex_lock(&p.lock);
    while (!p.is_done)
        pthread_cond_wait(&p.came, &p.lock);
    pthread_mutex_unlock(&p.lock);
    liaison_destroy(&l);
    net_tls_client_destroy(&tls);
    return 0;
}
