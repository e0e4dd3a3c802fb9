/* Parsing for core: a stored message's bytes come in, what is in them goes back. Strangers' bytes
 * are read here, where nothing is owned; core reads only what we answer, bounded.
 *
 * One worker thread, begun with the first question, so that sessions never wait for a large
 * message. A bug that a message finds ends this process; core asks another gate once and remembers
 * (desk_parse.c). Nothing is kept of a question when its link is gone. */
#include "smtp/smtp_int.h"

#include "email/email.h"
#include "mime/mime.h"

#include <pthread.h>
#include <stdio.h>

enum {
    JOBS_MAX = 64,         /* core keeps to far fewer */
    BYTES_MAX = 512 << 20, /* of all of them, as above */
    FIELDS_ARENA = 16 << 20,
    WANT_ARENA = 4 << 20,
};

struct parse_job {
    struct list node;
    uint64_t tag;
    uint32_t turn; /* of the link to core */
    struct buf content, want;
    char blob[256];
    uint8_t what;
    /* The answer. */
    struct arena *arena;
    struct ipc_fields fields;
    struct ipc_parsed parsed;
    struct buf answer;
    struct errinfo why;
};

struct smtp_parser {
    struct smtp_server *server;
    struct map *uploads;    /* loop: tag -> struct parse_job whose bytes are coming */
    size_t n_jobs, n_bytes; /* loop: all that are here */
    uint32_t turn;          /* loop */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct list jobs, done; /* under lock */
    bool is_over;           /* under lock */
    bool is_posted;         /* under lock: a task of ours is on its way to the loop */
    bool has_thread;        /* loop */
    pthread_t thread;
};

static void job_free(struct parse_job *j)
{
    buf_finish(&j->content);
    buf_finish(&j->want);
    buf_finish(&j->answer);
    arena_destroy(&j->arena);
    mem_free(&j);
}

static void job_end(struct smtp_parser *p, struct parse_job *j)
{
    p->n_jobs--;
    p->n_bytes -= j->content.n;
    job_free(j);
}

/* ---- the worker ---- */

static struct slice content_of(const struct parse_job *j)
{
    return j->content.n ? buf_slice(&j->content) : SLICE("");
}

static void parse_fields(struct parse_job *j)
{
    struct mime_list_fields f;
    mime_list_fields(content_of(j), NULL, j->arena, &f);
    smtp_fields_fill(j->arena, &f, &j->fields);
    j->parsed.fields = &j->fields;
    j->parsed.n_fields = 1;
    j->parsed.is_done = 1;
}

static void parse_email(struct parse_job *j)
{
    struct email_want want;
    if (!email_want_unpack(buf_slice(&j->want), j->arena, &want)) {
        (void)err_set(&j->why, ERR_INVALID, "what is wanted makes no sense");
        return;
    }
    j->answer = buf_make(IPC_PARSED_MAX);
    enum err err = email_render(content_of(j), slice_str(j->blob), &want, &j->answer, &j->why);
    j->parsed.is_done = err == ERR_OK;
    j->parsed.is_too_much = err == ERR_LIMIT;
}

static void parse(struct parse_job *j)
{
    j->arena = arena_create(FIELDS_ARENA + WANT_ARENA);
    if (j->what == IPC_PARSE_FIELDS) {
        parse_fields(j);
    } else if (j->what == IPC_PARSE_EMAIL) {
        parse_email(j);
    } else {
        j->answer = buf_make(IPC_PARSED_TEXT_MAX);
        email_text(content_of(j), &j->answer);
        j->parsed.is_done = 1;
    }
    if (!j->parsed.is_done)
        buf_finish(&j->answer);
    j->parsed.bytes = (uint32_t)j->answer.n;
    j->parsed.why = slice_str(j->why.text);
}

static void parser_free(struct smtp_parser *p)
{
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->cond);
    mem_free(&p);
}

/* On the loop. What is asked by a link that is gone nobody waits for. */
static void answer(struct smtp_parser *p, struct parse_job *j)
{
    struct net_link *core = p->server->core;
    struct slice rest = buf_slice(&j->answer);
    if (!core || j->turn != p->turn)
        return;
    for (; rest.n > 0; rest = slice_skip(rest, IPC_CONTENT_MAX)) {
        struct slice piece = slice_of(rest.p, rest.n < IPC_CONTENT_MAX ? rest.n : IPC_CONTENT_MAX);
        if (net_link_send(core, IPC_T_content, j->tag, piece, SLICE("")) != ERR_OK)
            return; /* core is as good as gone: its deadline answers */
    }
    SCOPED(buf_finish) struct buf b = buf_make(1 << 16);
    ipc_parsed_pack(&b, &j->parsed);
    (void)smtp_core_send(p->server, IPC_T_parsed, j->tag, &b); /* as above */
}

static void on_done(void *arg)
{
    struct smtp_parser *p = arg;
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&p->lock);
    for (struct list *node; (node = list_pop(&p->done));)
        list_append(&done, node);
    p->is_posted = false;
    bool is_over = p->is_over;
    pthread_mutex_unlock(&p->lock);
    if (is_over) {
        parser_free(p); /* destroyed while we were on our way; it was left to us */
        return;
    }
    for (struct list *node; (node = list_pop(&done));) {
        struct parse_job *j = container_of(node, struct parse_job, node);
        answer(p, j);
        job_end(p, j);
    }
}

static struct parse_job *next_job(struct smtp_parser *p)
{
    pthread_mutex_lock(&p->lock);
    while (list_empty(&p->jobs) && !p->is_over)
        pthread_cond_wait(&p->cond, &p->lock);
    struct list *node = p->is_over ? NULL : list_pop(&p->jobs);
    pthread_mutex_unlock(&p->lock);
    return node ? container_of(node, struct parse_job, node) : NULL;
}

static void *work(void *arg)
{
    struct smtp_parser *p = arg;
    for (struct parse_job *j; (j = next_job(p));) {
        parse(j);
        pthread_mutex_lock(&p->lock);
        list_append(&p->done, &j->node);
        bool must_post = !p->is_posted;
        p->is_posted = true;
        pthread_mutex_unlock(&p->lock);
        if (must_post)
            net_loop_post(p->server->o.loop, on_done, p);
    }
    return NULL;
}

/* ---- what core sends ---- */

/* The job of this tag; NULL: core asks for more than it may. */
static struct parse_job *job_of(struct smtp_parser *p, uint64_t tag)
{
    struct parse_job *j = map_get(p->uploads, KEY(tag));
    if (j)
        return j;
    if (p->n_jobs >= JOBS_MAX)
        return NULL;
    j = mem_new(sizeof(*j));
    j->tag = tag;
    j->turn = p->turn;
    j->content = buf_make(BYTES_MAX);
    list_init(&j->node);
    p->n_jobs++;
    map_put(p->uploads, KEY(tag), j);
    return j;
}

bool smtp_parse_content(struct smtp_parser *p, const struct net_frame *f)
{
    if (!ipc_is_parse_tag(f->tag) || f->payload.n == 0 || f->payload.n > IPC_CONTENT_MAX ||
        p->n_bytes + f->payload.n > BYTES_MAX)
        return false;
    struct parse_job *j = job_of(p, f->tag);
    if (!j)
        return false;
    buf_adds(&j->content, f->payload);
    p->n_bytes += f->payload.n;
    return true;
}

bool smtp_parse_ask(struct smtp_parser *p, const struct net_frame *f)
{
    struct ipc_parse ask;
    if (!ipc_is_parse_tag(f->tag) || !ipc_parse_unpack(f->payload, NULL, &ask) ||
        ask.what < IPC_PARSE_FIELDS || ask.what > IPC_PARSE_TEXT)
        return false;
    struct parse_job *j = job_of(p, f->tag);
    if (!j || j->content.n != ask.bytes)
        return false;
    j->what = ask.what;
    j->want = buf_make(ask.want.n + 1);
    buf_adds(&j->want, ask.want);
    snprintf(j->blob, sizeof(j->blob), SLICE_FMT, SLICE_ARG(ask.blob));
    map_del(p->uploads, KEY(f->tag));
    pthread_mutex_lock(&p->lock);
    list_append(&p->jobs, &j->node);
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
    if (!p->has_thread)
        must(pthread_create(&p->thread, NULL, work, p) == 0);
    p->has_thread = true;
    return true;
}

void smtp_parse_core_lost(struct smtp_parser *p)
{
    size_t at = 0;
    void *value;
    while (map_next(p->uploads, &at, NULL, &value))
        job_end(p, value);
    map_destroy(&p->uploads);
    p->uploads = map_create();
    p->turn++;
    struct list left;
    list_init(&left);
    pthread_mutex_lock(&p->lock);
    for (struct list *node; (node = list_pop(&p->jobs));)
        list_append(&left, node);
    pthread_mutex_unlock(&p->lock);
    for (struct list *node; (node = list_pop(&left));)
        job_end(p, container_of(node, struct parse_job, node));
}

/* ---- life ---- */

struct smtp_parser *smtp_parser_create(struct smtp_server *s)
{
    struct smtp_parser *p = mem_new(sizeof(*p));
    p->server = s;
    p->uploads = map_create();
    list_init(&p->jobs);
    list_init(&p->done);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->cond, NULL);
    return p;
}

void smtp_parser_destroy(struct smtp_parser **parser)
{
    struct smtp_parser *p = *parser;
    if (!p)
        return;
    smtp_parse_core_lost(p);
    pthread_mutex_lock(&p->lock);
    p->is_over = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
    if (p->has_thread)
        pthread_join(p->thread, NULL); /* a second at most, says email_render */
    for (struct list *node; (node = list_pop(&p->done));)
        job_end(p, container_of(node, struct parse_job, node));
    map_destroy(&p->uploads);
    *parser = NULL;
    if (!p->is_posted) /* no other thread is left */
        parser_free(p);
}
