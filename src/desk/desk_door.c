/* Requests that come by the door: run on the loop or on a worker, answered over the link. */
#include "desk/desk_jmap_int.h"
#include "desk/desk_submit_int.h"
#include "desk/desk_login_int.h"
#include "desk/desk_state_int.h"
#include "desk/desk_watch_int.h"

#include <stdio.h>
#include <unistd.h>

/* A door has its own ceilings, those of the settings: beyond these it is out of its mind. */
enum { REQUESTS_MAX = 10000, UPLOADS_MAX = 100000 };
#define UPLOAD_BYTES ((uint64_t)512 << 20) /* unless the settings say otherwise */
#define UPLOAD_SLACK ((uint64_t)64 << 20)  /* bodies for the administration, and a fresh setting */

struct request {
    struct worker_job job;
    struct desk *desk;
    struct peer *door;
    uint32_t turn; /* of the link: a new door did not ask */
    uint64_t tag;
    struct buf body;
    struct arena *arena;
    struct admin_request r;
    uint16_t status; /* of the answer, when a worker made it */
    char type[100];
    struct buf answer;
};

static void request_free(struct request *q)
{
    q->door->n_requests--;
    if (q->body.n) /* passwords come this way, too, and tokens go */
        login_wipe(q->body.p, q->body.n);
    buf_finish(&q->body);
    buf_finish(&q->answer);
    arena_destroy(&q->arena);
    mem_free(&q);
}

/* DESK_LINK_BYTES less a rest for what is short. */
bool desk_door_has_room(const struct peer *door, size_t bytes, struct slice who)
{
    uint64_t n = net_link_queued(door->link) + bytes;
    refuse_measure(REFUSE_DOOR_BYTES, n, who);
    return n <= refuse_limit(REFUSE_DOOR_BYTES).value;
}

bool desk_door_content(const struct peer *door, uint64_t tag, struct slice bytes)
{
    while (bytes.n > 0) {
        size_t n = bytes.n < IPC_CONTENT_MAX ? bytes.n : IPC_CONTENT_MAX;
        struct slice piece = slice_of(bytes.p, n);
        if (net_link_send(door->link, IPC_T_content, tag, piece, SLICE("")) != ERR_OK)
            return false;
        bytes = slice_skip(bytes, n);
    }
    return true;
}

static void send_answer(struct request *q, uint16_t status, const char *type, struct slice body)
{
    if (!q->door->link || q->turn != q->door->turn)
        return;
    if (!desk_door_has_room(q->door, body.n, q->r.by)) {
        (void)refuse(REFUSE_DOOR_BYTES, q->r.by);
        status = 503;
        type = "application/problem+json";
        body = SLICE(
            "{\"status\":503,\"title\":\"Too many bytes of answers are on their way. What was "
            "to be changed is changed. Look again in a few seconds.\"}");
    }
    struct ipc_response response = {
        .status = status, .type = slice_str(type), .bytes = (uint32_t)body.n};
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    ipc_response_pack(&b, &response);
    if (desk_door_content(q->door, q->tag, body))
        (void)desk_send(q->door->link, IPC_T_response, q->tag, &b);
}

static void answered_on_loop(void *arg, uint16_t status, const char *type, struct slice body)
{
    send_answer(arg, status, type, body);
    request_free(arg);
}

static void answered_on_worker(void *arg, uint16_t status, const char *type, struct slice body)
{
    struct request *q = arg;
    q->status = status;
    snprintf(q->type, sizeof(q->type), "%s", type);
    buf_adds(&q->answer, body);
}

static void request_work(struct worker_job *job, struct store_reader *reader)
{
    struct request *q = container_of(job, struct request, job);
    /* Whoever heard our 250 and asks then sees the message. */
    (void)desk_catch_up(job->desk); /* an older answer is better than none */
    if (reader)
        admin_work(job->desk->admin, reader, &q->r, answered_on_worker, q);
}

static void request_finish(struct worker_job *job)
{
    struct request *q = container_of(job, struct request, job);
    if (q->status) {
        send_answer(q, q->status, q->type, buf_slice(&q->answer));
    } else {
        (void)refuse(REFUSE_NO_INDEX, q->r.by);
        send_answer(q, 503, "application/problem+json",
                    SLICE("{\"status\":503,\"title\":\"the index cannot be read\"}"));
    }
    request_free(q);
}

static void run(struct request *q)
{
    struct desk *d = q->desk;
    if (admin_place(q->r.method, q->r.path) == ADMIN_LOOP) {
        admin_loop(d->admin, &q->r, answered_on_loop, q);
        desk_late(d);
        return;
    }
    q->job.work = request_work;
    q->job.finish = request_finish;
    desk_work(d, &q->job);
}

static bool take_request(struct peer *p, struct net_frame *f)
{
    struct ipc_request in;
    struct arena *arena = arena_create(1 << 20);
    struct buf *body = map_del(p->uploads, KEY(f->tag));
    struct slice payload = arena_copy(arena, f->payload);
    p->bytes_uploading -= body ? body->n : 0;
    if (p->n_requests >= REQUESTS_MAX || !ipc_request_unpack(payload, arena, &in) ||
        in.bytes != (body ? body->n : 0) || in.bytes > ADMIN_BODY_MAX) {
        arena_destroy(&arena);
        if (body)
            buf_finish(body);
        mem_free(&body);
        return false;
    }
    struct request *q = mem_new(sizeof(*q));
    q->desk = p->desk;
    q->door = p;
    q->turn = p->turn;
    p->n_requests++;
    q->tag = f->tag;
    q->arena = arena;
    q->body = body ? *body : buf_make(1);
    q->answer = buf_make(ADMIN_ANSWER_MAX);
    mem_free(&body);
    q->r = (struct admin_request){.method = in.method,
                                  .path = in.path,
                                  .query = in.query,
                                  .body = buf_slice(&q->body),
                                  .by = in.by};
    run(q);
    return true;
}

static bool take_content(struct peer *p, struct net_frame *f)
{
    struct buf *body = map_get(p->uploads, KEY(f->tag));
    uint64_t set = p->desk->o.limits.web_bytes, max = (set ? set : UPLOAD_BYTES) + UPLOAD_SLACK;
    if (f->payload.n == 0 || f->payload.n > IPC_CONTENT_MAX ||
        p->bytes_uploading + f->payload.n > max || (!body && map_size(p->uploads) >= UPLOADS_MAX))
        return false;
    if (!body) {
        body = mem_new(sizeof(*body));
        *body = buf_make(JMAP_SIZE_UPLOAD_MAX); /* of a request: looked at when it comes */
        map_put(p->uploads, KEY(f->tag), body);
    }
    buf_adds(body, f->payload);
    p->bytes_uploading += body->failed ? 0 : f->payload.n;
    return !body->failed;
}

static bool take_call(struct peer *p, struct net_frame *f)
{
    struct buf *body = map_del(p->uploads, KEY(f->tag));
    p->bytes_uploading -= body ? body->n : 0;
    return desk_jmap_call(p, f->tag, f->payload, body);
}

/* The client of an upload is gone. */
static bool drop(struct peer *p, const struct net_frame *f)
{
    struct buf *body = map_del(p->uploads, KEY(f->tag));
    if (!body)
        return f->payload.n == 0;
    p->bytes_uploading -= body->n;
    buf_finish(body);
    mem_free(&body);
    return f->payload.n == 0;
}

static bool take_report(const struct peer *p, const struct net_frame *f)
{
    char process[24];
    snprintf(process, sizeof(process), "door/%u", p->number);
    return desk_take_report(p->desk, process, f);
}

void desk_door_frame(void *arg, struct net_link *, struct net_frame *f)
{
    struct peer *p = arg;
    struct desk *d = p->desk;
    bool is_good = f->fd < 0 && ipc_may_send(f->type, IPC_DOOR, IPC_CORE);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (is_good && f->type == IPC_T_content)
        is_good = take_content(p, f);
    else if (is_good && f->type == IPC_T_request)
        is_good = take_request(p, f);
    else if (is_good && f->type == IPC_T_call)
        is_good = take_call(p, f);
    else if (is_good && f->type == IPC_T_drop)
        is_good = drop(p, f);
    else if (is_good && f->type == IPC_T_unwatch)
        is_good = desk_jmap_unwatch(p, f->tag, f->payload);
    else if (is_good && desk_is_report(f->type))
        is_good = take_report(p, f);
    if (is_good)
        return;
    const char *what = ipc_type_name(f->type);
    desk_door_closed(p, NULL);
    desk_peer_nonsense(d, IPC_DOOR, p->number, what);
}

void desk_door_closed(void *arg, struct net_link *)
{
    struct peer *p = arg;
    size_t at = 0;
    void *value;
    net_link_close(&p->link);
    p->turn++;
    p->bytes_uploading = 0;
    while (map_next(p->uploads, &at, NULL, &value)) {
        struct buf *body = value;
        buf_finish(body);
        mem_free(&body);
    }
    map_destroy(&p->uploads);
    p->uploads = map_create();
    desk_jmap_door_lost(p);
}

/* ---- what the administration may use ---- */

static uint64_t host_next_id(void *arg)
{
    return desk_next_id(arg);
}

static size_t host_processes(void *arg, struct admin_process *ret, size_t max)
{
    struct desk *d = arg;
    size_t n = 0;
    for (; n < d->n_processes && n < max; n++) {
        const struct ipc_process *p = &d->processes[n];
        ret[n] = (struct admin_process){ipc_role_name(p->role), p->number, p->pid, p->n_restarts,
                                        p->since};
    }
    return n;
}

static void host_refusals(void *arg, struct admin_refusal ret[REFUSE_N])
{
    struct desk *d = arg;
    memcpy(ret, d->refusals, sizeof(d->refusals));
}

static size_t host_figures(void *arg, struct admin_figure *ret, size_t max)
{
    struct desk *d = arg;
    size_t n = 0;
    for (; n < d->n_figures && n < max; n++)
        ret[n] =
            (struct admin_figure){d->figures[n].process, d->figures[n].name, d->figures[n].value};
    return n;
}

static uint32_t host_closed_for(void *arg)
{
    return ((struct desk *)arg)->closed_for;
}

static uint32_t host_disk_alarm_percent(void *arg)
{
    return ((struct desk *)arg)->o.limits.alarm_percent;
}

static void host_search(void *arg, struct admin_search *ret)
{
    desk_find_progress(arg, ret);
}

void desk_host(struct desk *d, struct admin_host *ret)
{
    *ret = (struct admin_host){
        .arg = d,
        .node = d->o.node,
        .version = VERSION,
        .directory = d->directory,
        .queue = d->queue,
        .store = d->store,
        .started = d->started,
        .next_id = host_next_id,
        .put = desk_put,
        .decide = desk_decide,
        .maintain = desk_maintain,
        .is_clock_doubted = desk_clock_is_doubted,
        .order = desk_order,
        .check = desk_check,
        .again = desk_again,
        .again_stop = desk_again_stop,
        .again_state = desk_again_state,
        .mailback = desk_mailback,
        .look = desk_watch_now,
        .watches = desk_watches,
        .make_keys = desk_make_keys,
        .state = desk_state,
        .progress = desk_progress,
        .processes = host_processes,
        .refusals = host_refusals,
        .figures = host_figures,
        .closed_for = host_closed_for,
        .disk_alarm_percent = host_disk_alarm_percent,
        .search = host_search,
        .alerts = desk_book(d),
        .incident_take = desk_incident_take,
        .alert_test = desk_alert_test,
        .login = desk_login_order,
        .login_state = desk_login_state,
        .login_next_token = desk_login_next_token,
    };
}
