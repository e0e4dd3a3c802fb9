/* One push: what is new is read and encrypted on a worker, the liaison sends it, its answer is
 * judged (room push). Nothing is told twice at the same time to one subscription. */
#include "desk/desk_push_int.h"

#include "desk/desk_jmap_int.h"
#include "desk/desk_login_int.h"

enum {
    WORKING_MAX = 2,   /* on workers at once: others need them, too */
    SENDING_MAX = 200, /* with the liaison at once */
    TIMEOUT_MS = 20000,
    TTL_STATE = 3 * 24 * 3600, /* seconds; after that a device asks by itself */
    TTL_CODE = 3600,
    CODES_MAX = 5, /* tries to send the code */
    AGAIN_MS = 5000,
    /* To the liaison's answer, which may be lost: more than when all of them are for one host that
     * does not answer, eight at a time. */
    ANSWER_SECONDS = 15 * 60,
};

struct pushing {
    struct worker_job job;
    uint64_t push, person;
    bool is_code, has_keys, is_mail, is_ready, is_new; /* is_new: there is something to tell */
    bool is_held; /* the account, by somebody else: nothing was found out */
    char *code;
    struct push_keys keys;
    uint32_t types;
    struct jmap_states told, now;
    struct buf body;
    mono_us deadline; /* of the liaison's answer */
};

struct desk_push_sends {
    unsigned n_working;
    struct map *sent; /* tag -> struct pushing: with the liaison */
};

static void pushing_free(struct pushing **address)
{
    struct pushing *x = *address;
    if (!x)
        return;
    if (x->code)
        login_wipe(x->code, strlen(x->code));
    mem_free(&x->code);
    login_wipe(&x->keys, sizeof(x->keys));
    buf_finish(&x->body);
    mem_free(address);
}

struct desk_push_sends *desk_push_sends_create(void)
{
    struct desk_push_sends *s = mem_new(sizeof(*s));
    s->sent = map_create();
    return s;
}

void desk_push_sends_destroy(struct desk_push_sends **address)
{
    struct desk_push_sends *s = *address;
    size_t at = 0;
    void *value;
    if (!s)
        return;
    while (map_next(s->sent, &at, NULL, &value)) {
        struct pushing *x = value;
        pushing_free(&x);
    }
    map_destroy(&s->sent);
    mem_free(address);
}

bool desk_push_has_room(const struct desk *d)
{
    const struct desk_push_sends *s = desk_push_sends(d);
    return s->n_working < WORKING_MAX && map_size(s->sent) < SENDING_MAX;
}

/* ---- on a worker ---- */

static bool write_state(struct pushing *x, struct store_reader *reader, struct buf *plain)
{
    struct account *a;
    enum err err = desk_jmap_hold(x->job.desk, reader, x->person, &a);
    x->is_held = err == ERR_RETRY;
    if (err != ERR_OK)
        return false;
    jmap_states_of(a, &x->now);
    account_let_go(&a);
    x->is_new = jmap_push_state(x->person, &x->now, &x->told, x->types, plain, &x->is_mail);
    return true;
}

static void push_work(struct worker_job *job, struct store_reader *reader)
{
    struct pushing *x = container_of(job, struct pushing, job);
    struct errinfo ei;
    SCOPED(buf_finish) struct buf plain = buf_make(PUSH_PLAIN_MAX);
    if (x->is_code) {
        jmap_push_verification(x->push, slice_str(x->code), &plain);
        x->is_new = true;
    } else if (!write_state(x, reader, &plain)) {
        return;
    }
    if (x->has_keys && x->is_new)
        x->is_ready = push_seal(&x->keys, buf_slice(&plain), &x->body, &ei) == ERR_OK;
    else
        buf_adds(&x->body, buf_slice(&plain));
    x->is_ready |= !x->has_keys || !x->is_new;
    x->is_ready &= !x->body.failed;
}

/* ---- to the liaison ---- */

static bool send(struct desk *d, const struct desk_push *p, const struct pushing *x, uint64_t tag)
{
    char topic[MESSAGE_ID_TEXT];
    message_id_text(p->id, topic);
    const struct ipc_push push = {.url = slice_str(p->url),
                                  .body = buf_slice(&x->body),
                                  .is_sealed = x->has_keys,
                                  .ttl = x->is_code ? TTL_CODE : TTL_STATE,
                                  .is_urgent = x->is_mail || x->is_code,
                                  .topic = x->is_code ? SLICE("") : slice_str(topic),
                                  .timeout_ms = TIMEOUT_MS};
    SCOPED(buf_finish) struct buf b = buf_make(IPC_FRAME_MAX);
    ipc_push_pack(&b, &push);
    return desk_send(d->liaison.link, IPC_T_push, tag, &b);
}

static void push_finish(struct worker_job *job)
{
    struct pushing *x = container_of(job, struct pushing, job);
    struct desk *d = job->desk;
    struct desk_push *p = desk_push_find(d, x->push);
    uint64_t tag = desk_next_id(d); /* larger than any of an earlier core */
    desk_push_sends(d)->n_working--;
    if (p && x->is_ready && !x->is_new) {
        p->told = x->now;
        desk_push_wait(d, p, 0);
    } else if (p && x->is_ready && !p->is_ending && send(d, p, x, tag)) {
        x->deadline = mono_now() + SECONDS(ANSWER_SECONDS);
        (void)map_put(desk_push_sends(d)->sent, KEY(tag), x);
        return;
    } else if (p) {
        p->is_code_due |= x->is_code;
        p->is_dirty |= !x->is_code;
        desk_push_wait(d, p, MILLISECONDS(x->is_held ? NEWS_AGAIN_MS : AGAIN_MS));
    }
    pushing_free(&x);
}

void desk_push_send(struct desk *d, struct desk_push *p)
{
    struct pushing *x = mem_new(sizeof(*x));
    x->job.work = push_work;
    x->job.finish = push_finish;
    x->push = p->id;
    x->person = p->person;
    x->is_code = !p->is_verified;
    x->code = mem_str(p->code);
    x->has_keys = p->has_keys;
    x->keys = p->keys;
    x->types = p->types;
    x->told = p->told;
    x->body = buf_make(PUSH_SEALED_MAX);
    if (x->is_code)
        p->is_code_due = false;
    else
        p->is_dirty = p->is_unhurried = false; /* what changes from now on is another push */
    desk_push_sends(d)->n_working++;
    desk_work(d, &x->job);
}

/* ---- the answer ---- */

static void say_failed(const struct desk_push *p, const struct ipc_pushed *a)
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(p->id, id);
    log_event(EV_PUSH_FAILED, "subscription=%s status=%u tries=%u text=%s", id, a->status,
              p->pace.n_failed, log_text(a->text));
}

/* An address gets one request before it is confirmed (RFC 8620 section 8.6): the code goes again
 * only if nobody took it, or they asked us to come again. */
static void fail(struct desk *d, struct desk_push *p, const struct pushing *x, uint16_t status,
                 mono_us wait)
{
    p->n_codes += x->is_code;
    p->is_code_due |= x->is_code && push_may_repeat(status) && p->n_codes < CODES_MAX;
    p->is_dirty |= !x->is_code;
    desk_push_wait(d, p, wait);
}

static void judge(struct desk *d, struct desk_push *p, const struct pushing *x,
                  const struct ipc_pushed *told)
{
    const struct push_answer a = {told->status, told->is_ours, told->retry_after};
    uint16_t chance;
    mono_us wait = 0;
    random_bytes(&chance, sizeof(chance));
    enum push_verdict verdict = push_judge(&p->pace, &a, utc_now(), chance, &wait);
    if (verdict != PUSH_TOLD)
        say_failed(p, told);
    switch (verdict) {
    case PUSH_TOLD:
        if (!x->is_code)
            p->told = x->now;
        desk_push_wait(d, p, wait);
        break;
    case PUSH_LATER:
        fail(d, p, x, told->status, wait);
        break;
    case PUSH_GONE:
        p->is_busy = false;
        desk_push_end(d, p, "its address does not take pushes any more");
        break;
    }
}

bool desk_push_took(struct desk *d, const struct net_frame *f)
{
    struct ipc_pushed told;
    if (!ipc_pushed_unpack(f->payload, NULL, &told))
        return false;
    struct pushing *x = map_del(desk_push_sends(d)->sent, KEY(f->tag));
    struct desk_push *p = x ? desk_push_find(d, x->push) : NULL;
    if (p)
        judge(d, p, x, &told);
    pushing_free(&x);
    return true;
}

/* Those that should have been answered by then: whether they were sent is not known, so it may be
 * told twice. */
static void give_up(struct desk *d, mono_us then)
{
    struct desk_push_sends *s = desk_push_sends(d);
    size_t at = 0;
    struct slice key;
    void *value;
    while (map_next(s->sent, &at, &key, &value)) {
        struct pushing *x = value;
        struct desk_push *p = desk_push_find(d, x->push);
        if (x->deadline > then)
            continue;
        (void)map_del(s->sent, key);
        if (p)
            fail(d, p, x, 0, MILLISECONDS(AGAIN_MS));
        pushing_free(&x);
    }
}

void desk_push_sends_tick(struct desk *d, mono_us now)
{
    give_up(d, now);
}

void desk_push_liaison_lost(struct desk *d)
{
    if (d->pushes)
        give_up(d, INT64_MAX);
}
