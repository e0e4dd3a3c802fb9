/* Is the sender who it claims to be? SPF, DKIM and DMARC of strangers' mail, on worker threads.
 *
 * The verdict decides nothing about acceptance here: it becomes an Authentication-Results header
 * and the flag by which core may later send a notice to this return path (a notice to a forged one
 * would hit a stranger). So doubt, time-outs and a full queue all end in "not proved" and the mail
 * goes on. Not checked: this machine itself, and primaries, whose mail is not a stranger's. */
#include "smtp/smtp_int.h"

#include "base/mail.h"
#include "trust/trust.h"

#include <pthread.h>

enum { WORKERS = 4, SECONDS_MAX = 8, RESULTS_MAX = 2000 };

struct check {
    struct list node;
    struct smtp_checker *checker;
    uint64_t ticket;
    struct buf content; /* the session's, while we look at it */
    struct wire_ip peer;
    char *helo, *mail_from;
    mono_us deadline;
    bool is_proved;
    struct buf results;
};

struct smtp_checker {
    struct smtp_server *server;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct list jobs; /* under lock */
    struct list done; /* under lock: judged, the loop has not seen them yet */
    size_t n_jobs;    /* under lock */
    bool is_over;     /* under lock */
    bool is_posted;   /* under lock: a task of ours is on its way to the loop */
    pthread_t threads[WORKERS];
    size_t n_threads;
};

/* ---- names: from wire format to what trust wants ---- */

/* An uncompressed name as text without the final dot; the rest of the data stays in `r`. */
static bool read_name(struct reader *r, struct arena *a, struct slice *ret)
{
    char text[256];
    size_t n = 0;
    for (uint8_t len; (len = read_u8(r)) > 0;) {
        if (r->failed || len > 63 || r->rest.n < len || n + len + 1 > sizeof(text))
            return false;
        if (n > 0)
            text[n++] = '.';
        memcpy(text + n, r->rest.p, len);
        n += len;
        r->rest = slice_skip(r->rest, len);
    }
    char *copy = arena_try(a, n + 1);
    if (r->failed || !copy)
        return false;
    memcpy(copy, text, n);
    *ret = slice_of(copy, n);
    return true;
}

static bool read_strings(struct slice data, struct arena *a, struct slice *ret)
{
    char *copy = arena_try(a, data.n + 1);
    size_t n = 0;
    while (copy && data.n > 0) {
        size_t len = (unsigned char)data.p[0];
        if (len + 1 > data.n)
            return false;
        memcpy(copy + n, data.p + 1, len);
        n += len;
        data = slice_skip(data, len + 1);
    }
    *ret = slice_of(copy, n);
    return copy != NULL;
}

static bool read_record(uint16_t type, struct slice data, struct arena *a, struct slice *ret)
{
    struct reader r = reader_make(data);
    switch (type) {
    case TRUST_DNS_A:
    case TRUST_DNS_AAAA:
        *ret = data;
        return data.n == (type == TRUST_DNS_A ? 4u : 16u);
    case TRUST_DNS_MX:
        (void)read_u16(&r); /* the order does not matter to SPF */
        return read_name(&r, a, ret);
    case TRUST_DNS_PTR:
        return read_name(&r, a, ret);
    case TRUST_DNS_TXT:
        return read_strings(data, a, ret);
    default:
        return false;
    }
}

static enum trust_dns_status ask(void *self, struct slice name, uint16_t type, struct arena *a,
                                 struct trust_answer *ret)
{
    struct check *c = self;
    const struct smtp_options *o = &c->checker->server->o;
    struct ipc_name_ask question = {.name = name, .type = type};
    struct ipc_name_told told;
    if (!o->resolve || o->resolve(o->resolve_arg, &question, c->deadline, a, &told) != ERR_OK)
        return TRUST_DNS_TEMPFAIL;
    if (told.status == IPC_NAME_NO_NAME)
        return TRUST_DNS_NXDOMAIN;
    if (told.status == IPC_NAME_NO_DATA)
        return TRUST_DNS_NODATA;
    struct slice *records = arena_try(a, (told.n_records + 1) * sizeof(*records));
    if (told.status != IPC_NAME_OK || !records)
        return TRUST_DNS_TEMPFAIL;
    *ret = (struct trust_answer){.records = records};
    for (uint32_t i = 0; i < told.n_records; i++)
        if (read_record(type, told.records[i].data, a, &records[ret->n_records]))
            ret->n_records++;
    return ret->n_records ? TRUST_DNS_OK : TRUST_DNS_NODATA;
}

/* ---- workers ---- */

static void judge(struct check *c)
{
    struct trust_dns dns = {ask, c};
    struct trust_sender sender = {.peer.is_v6 = c->peer.version == 6,
                                  .helo = slice_str(c->helo),
                                  .mail_from = slice_str(c->mail_from),
                                  .receiver = slice_str(c->checker->server->o.node),
                                  .now = utc_now()};
    struct trust_verdict verdict;
    memcpy(sender.peer.bytes, c->peer.bytes, sizeof(sender.peer.bytes));
    trust_judge(&dns, &sender, buf_slice(&c->content), &verdict);
    c->is_proved = verdict.may_notify;
    trust_results_header(&verdict, sender.receiver, &c->results);
}

static void check_free(struct check *c)
{
    buf_finish(&c->content);
    buf_finish(&c->results);
    mem_free(&c->helo);
    mem_free(&c->mail_from);
    mem_free(&c);
}

static void check_free_all(struct list *checks)
{
    for (struct list *node; (node = list_pop(checks));)
        check_free(container_of(node, struct check, node));
}

static void checker_free(struct smtp_checker *k)
{
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->cond);
    mem_free(&k);
}

/* On the loop: the session goes on, if it is still there. */
static void go_on(struct check *c)
{
    struct smtp_session *x = smtp_session_find(c->checker->server, c->ticket);
    if (!x || x->state != SMTP_CHECKING)
        return;
    struct smtp_transaction *t = x->t;
    t->content = c->content;
    c->content = buf_make(1);
    t->is_proved = c->is_proved;
    if (!c->results.failed)
        t->results = arena_copy(t->arena, buf_slice(&c->results));
    smtp_message_hand_over(x);
    smtp_session_resume(x);
}

static void on_done(void *arg)
{
    struct smtp_checker *k = arg;
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&k->lock);
    for (struct list *node; (node = list_pop(&k->done));)
        list_append(&done, node);
    k->is_posted = false;
    bool is_over = k->is_over;
    pthread_mutex_unlock(&k->lock);
    if (is_over) {
        checker_free(k); /* destroyed while we were on our way; it was left to us */
        return;
    }
    LIST_FOREACH (node, &done)
        go_on(container_of(node, struct check, node));
    check_free_all(&done);
}

static void post_done(struct smtp_checker *k, struct check *c)
{
    pthread_mutex_lock(&k->lock);
    list_append(&k->done, &c->node);
    bool must_post = !k->is_posted;
    k->is_posted = true;
    pthread_mutex_unlock(&k->lock);
    if (must_post)
        net_loop_post(k->server->o.loop, on_done, k);
}

static struct check *next_check(struct smtp_checker *k)
{
    pthread_mutex_lock(&k->lock);
    while (list_empty(&k->jobs) && !k->is_over)
        pthread_cond_wait(&k->cond, &k->lock);
    struct list *node = k->is_over ? NULL : list_pop(&k->jobs);
    k->n_jobs -= node != NULL;
    pthread_mutex_unlock(&k->lock);
    return node ? container_of(node, struct check, node) : NULL;
}

static void *work(void *arg)
{
    struct smtp_checker *k = arg;
    for (struct check *c; (c = next_check(k));) {
        judge(c);
        post_done(k, c);
    }
    return NULL;
}

/* ---- the face to the sessions ---- */

struct smtp_checker *smtp_checker_create(struct smtp_server *s)
{
    struct smtp_checker *k = mem_new(sizeof(*k));
    k->server = s;
    list_init(&k->jobs);
    list_init(&k->done);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->cond, NULL);
    for (; k->n_threads < WORKERS; k->n_threads++)
        must(pthread_create(&k->threads[k->n_threads], NULL, work, k) == 0);
    return k;
}

void smtp_checker_destroy(struct smtp_checker **checker)
{
    struct smtp_checker *k = *checker;
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    k->is_over = true;
    pthread_cond_broadcast(&k->cond);
    pthread_mutex_unlock(&k->lock);
    while (k->n_threads > 0)
        pthread_join(k->threads[--k->n_threads], NULL);
    check_free_all(&k->jobs);
    check_free_all(&k->done);
    *checker = NULL;
    if (!k->is_posted) /* no other thread is left */
        checker_free(k);
}

static bool is_loopback(struct wire_ip ip)
{
    static const uint8_t six[16] = {[15] = 1};
    return ip.version == 4 ? ip.bytes[0] == 127 : memcmp(ip.bytes, six, sizeof(six)) == 0;
}

static char *text_of(struct slice s)
{
    char *text = mem_new(s.n + 1);
    if (s.n)
        memcpy(text, s.p, s.n);
    return text;
}

bool smtp_check_begin(struct smtp_session *x)
{
    struct smtp_server *s = x->server;
    struct smtp_checker *k = s->checker;
    if (!k || x->primary || x->peer.version == 0 || is_loopback(x->peer))
        return false;
    struct check *c = mem_new(sizeof(*c));
    c->checker = k;
    c->ticket = smtp_session_ticket(x);
    c->peer = x->peer;
    c->helo = text_of(slice_str(x->helo));
    c->mail_from = text_of(x->t->mail_from);
    c->deadline = mono_now() + SECONDS(SECONDS_MAX);
    c->results = buf_make(RESULTS_MAX);
    pthread_mutex_lock(&k->lock);
    size_t n_jobs = k->n_jobs + 1;
    bool has_room = n_jobs <= refuse_row(REFUSE_CHECKS)->limit;
    if (has_room) {
        c->content = x->t->content;
        x->t->content = buf_make(1);
        list_append(&k->jobs, &c->node);
        k->n_jobs++;
        pthread_cond_signal(&k->cond);
    }
    pthread_mutex_unlock(&k->lock);
    smtp_measure(x, REFUSE_CHECKS, n_jobs);
    if (has_room) {
        smtp_session_enter(x, SMTP_CHECKING);
        return true;
    }
    (void)refuse(REFUSE_CHECKS, smtp_peer_text(x));
    check_free(c); /* as good as no answer: not proved */
    return false;
}
