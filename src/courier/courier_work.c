/* One delivery: its memory and the outcome of each recipient. */
#include "courier/courier_int.h"

enum { WORK_MAX = 8 << 20 }; /* a job of 1000 recipients with the longest outcomes is 3 MiB */

static void copy_job(struct courier_work *w, const struct ipc_job *job)
{
    SCOPED(buf_finish) struct buf packed = buf_make(IPC_LIST_FRAME_MAX);
    ipc_job_pack(&packed, job);
    must(!packed.failed); /* it came in such a frame */
    struct slice copy = arena_copy(w->arena, buf_slice(&packed));
    must(ipc_job_unpack(copy, w->arena, &w->job));
}

struct courier_work *courier_work_create(uint64_t tag, const struct ipc_job *job,
                                         struct buf *take_content)
{
    struct courier_work *w = mem_new(sizeof(*w));
    list_init(&w->node);
    w->tag = tag;
    w->arena = arena_create(WORK_MAX);
    w->content = *take_content;
    *take_content = buf_make(w->content.max);
    copy_job(w, job);

    struct wire_content c = {};
    struct slice s = buf_slice(&w->content);
    wire_content_check(&c, s);
    wire_content_end(&c);
    w->has_8bit = c.has_8bit;
    w->is_clean = wire_content_is_clean(&c) && s.n >= 2 && s.p[s.n - 1] == '\n';

    w->is_decided = ARENA_ARRAY(w->arena, bool, w->job.n_rcpts);
    w->result.message = w->job.message;
    w->result.n_outcomes = w->job.n_rcpts;
    w->result.outcomes = ARENA_ARRAY(w->arena, struct ipc_job_outcome, w->job.n_rcpts);
    for (uint32_t i = 0; i < w->job.n_rcpts; i++)
        w->result.outcomes[i].rcpt = w->job.rcpts[i].rcpt;
    return w;
}

void courier_work_destroy(struct courier_work **w)
{
    if (!*w)
        return;
    buf_finish(&(*w)->content);
    arena_destroy(&(*w)->arena);
    mem_free(w);
}

static void decide(struct courier_work *w, size_t i, const struct courier_end *end,
                   struct slice text)
{
    struct ipc_job_outcome *o = &w->result.outcomes[i];
    if (w->is_decided[i])
        return;
    w->is_decided[i] = true;
    w->n_decided++;
    o->phase = (uint8_t)end->phase;
    o->code = end->code;
    struct wire_status_text enhanced = wire_status_text(end->status);
    o->enhanced = arena_copy(w->arena, slice_str(enhanced.s));
    o->text = text;
}

void courier_work_decide(struct courier_work *w, size_t recipient, const struct courier_end *end)
{
    decide(w, recipient, end, arena_copy(w->arena, slice_str(end->text)));
}

void courier_work_decide_rest(struct courier_work *w, const struct courier_end *end)
{
    struct slice text = arena_copy(w->arena, slice_str(end->text));
    for (size_t i = 0; i < w->job.n_rcpts; i++)
        decide(w, i, end, text);
}
