/* People's requests: who asks is found out, the request runs on a thread, the answer goes back. Not
 * for telling of changes: desk_jmap_tell.c. */
#include "desk/desk_jmap_int.h"
#include "desk/desk_login_int.h"
#include "desk/desk_parse_int.h"
#include "desk/desk_push_int.h"
#include "desk/desk_vacation_int.h"

#include <unistd.h>

enum {
    THREADS = 8,
    THREADS_A_PERSON_MAX = 2, /* most calls wait for each other: the account is held by one */
    VIEWS_BYTES_USUAL = 512 << 20,
    ADDRESSES_MAX = 500,
    MAY_NOT_MAX = 1000,
};

struct call {
    struct list node;
    struct desk *desk;
    struct peer *door;
    uint32_t turn; /* of the link */
    uint64_t tag;
    struct arena *arena;
    struct ipc_call in;
    struct buf body, out;
    struct jmap_caller who;
    struct ipc_called answer;
    struct ipc_step steps[EMAIL_BLOB_STEPS_MAX];
};

struct desk_jmap {
    struct desk *desk;
    struct jmap *jmap;
    struct account_cache *accounts;
    struct map *running; /* person -> how many calls */
    unsigned n_calls;
    size_t n_bytes; /* of their bodies */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct list waiting;    /* under lock; struct call */
    struct list on_threads; /* under lock; struct call */
    bool is_over;           /* under lock */
    pthread_t threads[THREADS];
    size_t n_threads;
    _Atomic unsigned n_alive;
};

/* ---- the answer ---- */

static void call_free(struct call *k)
{
    if (k->body.n) /* passwords come this way, too */
        login_wipe(k->body.p, k->body.n);
    buf_finish(&k->body);
    buf_finish(&k->out);
    arena_destroy(&k->arena);
    mem_free(&k);
}

/* The door that asked is still there, and no other one in its place. */
static bool has_asker(const struct call *k)
{
    return k->door->link && k->turn == k->door->turn;
}

/* Instead of bytes for which the way to the door has no room. */
static void say_no_room(struct call *k)
{
    const char *words = refuse(REFUSE_DOOR_BYTES, k->in.client)->text;
    const struct desk_login_told told = {.status = 503, .words = words, .retry_after = 5};
    buf_clear(&k->out);
    desk_login_problem(&told, &k->answer, &k->out);
}

static void send_called(struct call *k)
{
    if (!has_asker(k))
        return;
    if (k->out.n > 0 && !desk_door_has_room(k->door, k->out.n, k->in.client))
        say_no_room(k);
    k->answer.bytes = (uint32_t)k->out.n;
    SCOPED(buf_finish) struct buf b = buf_make(4096);
    ipc_called_pack(&b, &k->answer);
    if (desk_door_content(k->door, k->tag, buf_slice(&k->out)))
        (void)desk_send(k->door->link, IPC_T_called, k->tag, &b);
}

/* The end of a call. */
static void answer_call(struct call *k)
{
    k->desk->jmap->n_calls--;
    k->desk->jmap->n_bytes -= k->body.n;
    send_called(k);
    call_free(k);
}

static void finish(void *arg)
{
    struct call *k = arg;
    struct map *running = k->desk->jmap->running;
    uintptr_t n = (uintptr_t)map_del(running, KEY(k->who.person));
    if (n > 1)
        (void)map_put(running, KEY(k->who.person), (void *)(n - 1)); /* NOLINT: a number */
    answer_call(k);
}

/* Nothing has run. */
static void answer_problem(struct call *k, uint16_t status, const char *words)
{
    const struct desk_login_told told = {
        .status = status, .words = words, .retry_after = k->answer.retry_after};
    desk_login_problem(&told, &k->answer, &k->out);
    answer_call(k);
}

/* ---- on a thread ---- */

static struct slice answer_type(unsigned status)
{
    return status < 400 ? SLICE("application/json; charset=utf-8")
                        : SLICE("application/problem+json");
}

static void download(struct call *k, struct store_reader *reader)
{
    struct email_blob blob = {};
    k->answer.status = (uint16_t)jmap_download(k->desk->jmap->jmap, reader, &k->who, k->in.account,
                                               k->in.blob, &blob, &k->out);
    if (k->answer.status != 200)
        return;
    for (size_t i = 0; i < blob.n_steps; i++)
        k->steps[i] = (struct ipc_step){.offset = blob.steps[i].offset,
                                        .bytes = blob.steps[i].len,
                                        .encoding = (uint8_t)blob.steps[i].encoding};
    k->answer.steps = k->steps;
    k->answer.n_steps = (uint32_t)blob.n_steps;
    k->answer.type = SLICE("");
}

static void run(struct call *k, struct store_reader *reader)
{
    struct jmap *jmap = k->desk->jmap->jmap;
    struct slice body = k->body.n ? buf_slice(&k->body) : SLICE("");
    unsigned status = 503;
    if (!reader) {
        (void)refuse(REFUSE_NO_INDEX, SLICE("jmap"));
        buf_adds(&k->out, SLICE("{\"status\":503,\"detail\":\"the index cannot be read\"}"));
        k->answer.status = 503;
        return;
    }
    /* Whoever heard a 250 or an answer of ours before sees what it was about. */
    if (k->in.kind != IPC_CALL_API) /* which does so when it has the account */
        (void)desk_catch_up(k->desk);
    switch ((enum ipc_call_kind)k->in.kind) {
    case IPC_CALL_SESSION:
        status = jmap_session(jmap, &k->who, &k->out);
        break;
    case IPC_CALL_API:
        status = jmap_api(jmap, reader, &k->who, body, &k->out);
        break;
    case IPC_CALL_UPLOAD:
        status = jmap_upload(jmap, reader, &k->who, k->in.account, k->in.type, body, &k->out);
        break;
    case IPC_CALL_DOWNLOAD:
        download(k, reader);
        status = k->answer.status;
        break;
    case IPC_CALL_WATCH:
    case IPC_CALL_LOGIN:
    case IPC_CALL_LOGOUT:
    case IPC_CALL_CHECK:
    case IPC_CALL_N:
        must(!"a call for a thread");
    }
    k->answer.status = (uint16_t)status;
    if (k->in.kind != IPC_CALL_DOWNLOAD || status != 200)
        k->answer.type = answer_type(status);
}

/* Under lock: as many calls of this person run as may. */
static bool has_enough(const struct desk_jmap *j, uint64_t person)
{
    unsigned n = 0;
    LIST_FOREACH (node, &j->on_threads)
        n += container_of(node, struct call, node)->who.person == person;
    return n >= THREADS_A_PERSON_MAX;
}

/* Under lock: the one that has waited longest among those that may run. One person's calls, slow
 * or many, never take the threads of all others. At the end nobody is spared. */
static struct call *first_ready(const struct desk_jmap *j)
{
    LIST_FOREACH (node, &j->waiting) {
        struct call *k = container_of(node, struct call, node);
        if (j->is_over || !has_enough(j, k->who.person))
            return k;
    }
    return NULL;
}

/* NULL: it is over. */
static struct call *next_call(struct desk_jmap *j)
{
    struct call *k;
    pthread_mutex_lock(&j->lock);
    while (!(k = first_ready(j)) && !j->is_over)
        pthread_cond_wait(&j->cond, &j->lock);
    if (k) {
        list_remove(&k->node);
        list_append(&j->on_threads, &k->node);
    }
    pthread_mutex_unlock(&j->lock);
    return k;
}

/* It has run: another one of the same person may be ready now. */
static void leave_thread(struct desk_jmap *j, struct call *k)
{
    pthread_mutex_lock(&j->lock);
    list_remove(&k->node);
    pthread_cond_signal(&j->cond);
    pthread_mutex_unlock(&j->lock);
}

static void *work_on(void *arg)
{
    struct desk_jmap *j = arg;
    struct store_reader *reader = NULL;
    struct errinfo ei;
    for (struct call *k; (k = next_call(j));) {
        if (!reader && store_reader_open(j->desk->o.data, &reader, &ei) != ERR_OK)
            log_event(EV_STORE_TROUBLE, "what=\"the index cannot be read\" why=%s",
                      log_text(slice_str(ei.text)));
        run(k, reader);
        leave_thread(j, k);
        desk_post(j->desk, finish, k);
    }
    desk_jmap_search_close();
    store_reader_close(&reader);
    j->n_alive--;
    return NULL;
}

/* ---- who asks ---- */

/* Copies of what the directory says now: it changes while the request runs. */
static bool fill_caller(struct call *k, const struct desk_login_told *w)
{
    struct desk *d = k->desk;
    const struct directory_person *p = directory_person(d->directory, w->person);
    if (!p)
        return false;
    uint32_t n = p->facts.n_addresses < ADDRESSES_MAX ? p->facts.n_addresses : ADDRESSES_MAX;
    struct slice *addresses = ARENA_ARRAY(k->arena, struct slice, n + 1);
    for (uint32_t i = 0; i < n; i++)
        addresses[i] = arena_copy(k->arena, p->facts.addresses[i].text);
    SCOPED(buf_finish) struct buf may_not = buf_make(MAY_NOT_MAX);
    bool may_send = desk_may_send(d, p, &may_not);
    k->who = (struct jmap_caller){.person = p->id,
                                  .tenant = p->tenant,
                                  .name = arena_copy(k->arena, p->facts.name),
                                  .addresses = addresses,
                                  .n_addresses = n,
                                  .quota_bytes = directory_quota(d->directory, p),
                                  .size_max = d->o.limits.message_bytes,
                                  .may_send = may_send,
                                  .has_other_answers = desk_has_other_answers(d, p),
                                  .may_not = arena_copy(k->arena, buf_slice(&may_not)),
                                  .origin = k->in.origin,
                                  .login = w->login,
                                  .is_login_timed = desk_push_is_timed(d, p->id, w->login)};
    return true;
}

static bool is_above(enum refuse_id id, uint64_t n, struct slice who)
{
    refuse_measure(id, n, who);
    return n > refuse_limit(id).value;
}

/* One may have more than JMAP_CONCURRENT_REQUESTS: browsers open several pages. */
static bool begin_running(struct desk_jmap *j, const struct call *k)
{
    uintptr_t n = (uintptr_t)map_get(j->running, KEY(k->who.person)) + 1;
    if (is_above(REFUSE_JMAP_PERSON, n, k->who.name))
        return false;
    (void)map_put(j->running, KEY(k->who.person), (void *)n); /* NOLINT: a number */
    return true;
}

static void watch(struct call *k)
{
    if (has_asker(k)) /* else nobody would ever take it back */
        desk_jmap_watch(k->door, k->tag, k->who.person);
    k->answer.person = k->who.person;
    k->answer.status = 200;
    answer_call(k);
}

static void refuse_call(struct call *k, const struct desk_login_told *told)
{
    desk_login_problem(told, &k->answer, &k->out);
    answer_call(k);
}

static void identified(void *arg, const struct desk_login_told *told)
{
    struct call *k = arg;
    struct desk_jmap *j = k->desk->jmap;
    if (told->status != 200) {
        refuse_call(k, told);
        return;
    }
    if (!fill_caller(k, told)) {
        answer_problem(k, 401, "this person is not here any more");
        return;
    }
    if (k->in.kind == IPC_CALL_WATCH) {
        watch(k);
        return;
    }
    if (k->in.kind == IPC_CALL_CHECK) {
        k->answer.status = 204;
        answer_call(k);
        return;
    }
    if (!begin_running(j, k)) {
        k->answer.retry_after = 1;
        answer_problem(k, 429, refuse(REFUSE_JMAP_PERSON, k->who.name)->text);
        return;
    }
    pthread_mutex_lock(&j->lock);
    list_append(&j->waiting, &k->node);
    pthread_cond_signal(&j->cond);
    pthread_mutex_unlock(&j->lock);
}

/* ---- logging in and out ---- */

static void logged_in(void *arg, const struct ipc_called *called, struct slice body)
{
    struct call *k = arg;
    k->answer = *called; /* borrowed until this returns, which is long enough */
    buf_adds(&k->out, body);
    answer_call(k);
}

/* A few hundred uploads are more than there is memory: what waits has a ceiling in bytes, too. */
static bool is_full(const struct call *k)
{
    return k->body.n > 0 && is_above(REFUSE_JMAP_BYTES, k->desk->jmap->n_bytes, k->in.client);
}

static void answer_later(struct call *k, enum refuse_id why)
{
    k->answer.retry_after = 5;
    answer_problem(k, 503, refuse(why, k->in.client)->text);
}

static void begin(struct call *k)
{
    struct desk *d = k->desk;
    d->jmap->n_calls++;
    d->jmap->n_bytes += k->body.n;
    if (d->is_stopping) {
        answer_later(k, REFUSE_STOPPING);
    } else if (is_above(REFUSE_JMAP_CALLS, d->jmap->n_calls, k->in.client)) { /* waiting, running */
        answer_later(k, REFUSE_JMAP_CALLS);
    } else if (is_full(k)) {
        answer_later(k, REFUSE_JMAP_BYTES);
    } else if (k->in.kind == IPC_CALL_LOGIN || k->in.kind == IPC_CALL_LOGOUT) {
        desk_login(d, &k->in, k->body.n ? buf_slice(&k->body) : SLICE(""), logged_in, k);
    } else {
        desk_login_who(d, &k->in, identified, k);
    }
}

/* ---- frames of the door ---- */

bool desk_jmap_call(struct peer *door, uint64_t tag, struct slice payload, struct buf *take_body)
{
    struct call *k = mem_new(sizeof(*k));
    *k = (struct call){.desk = door->desk,
                       .door = door,
                       .turn = door->turn,
                       .tag = tag,
                       .arena = arena_create(1 << 20)};
    list_init(&k->node);
    k->body = take_body ? *take_body : buf_make(1);
    k->out = buf_make(STORE_MESSAGE_MAX);
    mem_free(&take_body);
    if (!ipc_call_unpack(arena_copy(k->arena, payload), k->arena, &k->in) || k->in.kind == 0 ||
        k->in.kind >= IPC_CALL_N || k->in.bytes != k->body.n) {
        call_free(k);
        return false;
    }
    begin(k);
    return true;
}

struct account_cache *desk_jmap_accounts(struct desk *d)
{
    return d->jmap->accounts;
}

/* ---- beginning and end ---- */

static size_t views_bytes(const struct desk *d)
{
    return d->o.limits.mailbox_bytes ? d->o.limits.mailbox_bytes : VIEWS_BYTES_USUAL;
}

void desk_jmap_limits(struct desk *d)
{
    account_cache_limit(d->jmap->accounts, views_bytes(d));
}

void desk_jmap_create(struct desk *d)
{
    struct desk_jmap *j = mem_new(sizeof(*j));
    struct jmap_host host;
    j->desk = d;
    desk_jmap_host(d, &host);
    j->accounts = account_cache_create(views_bytes(d));
    j->jmap = jmap_create(&host, j->accounts);
    j->running = map_create();
    list_init(&j->waiting);
    list_init(&j->on_threads);
    must(pthread_mutex_init(&j->lock, NULL) == 0);
    must(pthread_cond_init(&j->cond, NULL) == 0);
    d->jmap = j;
    j->n_alive = THREADS;
    for (; j->n_threads < THREADS; j->n_threads++)
        must(pthread_create(&j->threads[j->n_threads], NULL, work_on, j) == 0);
}

bool desk_jmap_is_idle(const struct desk *d)
{
    return d->jmap->n_calls == 0;
}

/* Threads wait for what the loop does: it is turned until the last one has ended. */
void desk_turn_until(struct desk *d, _Atomic unsigned *n_alive)
{
    while (*n_alive > 0) {
        (void)net_loop_settle(d->o.loop);
        desk_parse_clear(d); /* no gate answers any more */
        usleep(1000);
    }
}

void desk_jmap_stop(struct desk *d)
{
    struct desk_jmap *j = d->jmap;
    pthread_mutex_lock(&j->lock);
    j->is_over = true;
    pthread_cond_broadcast(&j->cond);
    pthread_mutex_unlock(&j->lock);
    desk_turn_until(d, &j->n_alive);
    while (j->n_threads > 0)
        pthread_join(j->threads[--j->n_threads], NULL);
}

void desk_jmap_destroy(struct desk *d)
{
    struct desk_jmap *j = d->jmap;
    if (!j)
        return;
    map_destroy(&j->running);
    for (struct list *node; (node = list_pop(&j->waiting));)
        call_free(container_of(node, struct call, node));
    jmap_destroy(&j->jmap);
    account_cache_destroy(&j->accounts);
    (void)pthread_cond_destroy(&j->cond);
    (void)pthread_mutex_destroy(&j->lock);
    mem_free(&d->jmap);
}
