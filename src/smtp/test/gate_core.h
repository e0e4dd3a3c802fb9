/* A gate for tests and fuzzing, and the core inside it, which answers as it is told. What the gate
 * sends that does not fit together stops the test (must). See gate_kit.h. */
#ifndef SMTP_TEST_GATE_CORE_H
#define SMTP_TEST_GATE_CORE_H

#include "smtp/smtp_int.h"
#include "smtp/test/fake_net.h"
#include "smtp/test/fake_stream.h"

enum { GATE_MESSAGES = 64, GATE_UPLOADS = 64, GATE_TEXT_MAX = 64 << 20 };

/* What core does with a question. */
enum core_way {
    CORE_ACCEPTS,
    CORE_REFUSES, /* with `refusal` */
    CORE_WAITS,   /* the question is kept in `held` */
    CORE_DIES,    /* the link is cut */
    CORE_BABBLES, /* nonsense */
    CORE_WAY_N
};

/* A message that core took, in its own memory. */
struct core_message {
    uint64_t id, tag;
    struct buf content;
    struct buf payload; /* of the take frame */
    struct arena *arena;
    struct ipc_take take; /* borrows from both */
    bool is_told, is_answered, is_written;
};

struct gate_kit {
    struct net_loop *loop;
    struct smtp_server *server;
    struct smtp_port port;
    struct smtp_limits limits;
    struct net_tls tls;
    int n_peers;
    /* core */
    enum core_way rcpt_way, take_way;
    enum refuse_id refusal;
    uint64_t generation;
    uint32_t facts_refusal; /* as in ipc_facts */
    struct ipc_network networks[4];
    uint32_t n_networks;
    struct ipc_rcpt_told told; /* the answer to welcome recipients */
    struct fake_frame held;    /* the last question that waits: type 0 for none */
    struct {
        uint64_t tag;
        struct buf content;
        bool is_used;
    } uploads[GATE_UPLOADS];
    struct core_message messages[GATE_MESSAGES];
    size_t n_messages;
    size_t n_told;     /* messages told as accepted */
    size_t n_asked;    /* questions about recipients */
    size_t n_nonsense; /* what the gate called nonsense */
    bool is_stopped;
};

static inline void core_say(struct gate_kit *k, enum ipc_type type, uint64_t tag, struct buf *b)
{
    (void)k;
    must(!b->failed);
    (void)fake_link_say((uint16_t)type, tag, buf_slice(b));
    buf_finish(b);
}

static inline void core_facts(struct gate_kit *k)
{
    struct buf b = buf_make(1 << 20);
    struct ipc_facts facts = {.generation = ++k->generation,
                              .refusal = k->facts_refusal,
                              .networks = k->networks,
                              .n_networks = k->n_networks};
    ipc_facts_pack(&b, &facts);
    core_say(k, IPC_T_facts, 0, &b);
}

static inline void core_forget_uploads(struct gate_kit *k)
{
    for (int i = 0; i < GATE_UPLOADS; i++) {
        buf_finish(&k->uploads[i].content);
        k->uploads[i].is_used = false;
    }
}

static inline void core_forget_question(struct gate_kit *k)
{
    mem_free(&k->held.payload);
    k->held.type = 0;
}

static inline void core_begin(struct gate_kit *k)
{
    core_forget_question(k);
    core_forget_uploads(k);
    smtp_server_core(k->server, 0);
    core_facts(k);
}

static inline void core_die(struct gate_kit *k)
{
    core_forget_question(k);
    fake_link_cut();
}

static inline void core_tell_rcpt(struct gate_kit *k, uint64_t tag,
                                  const struct ipc_rcpt_told *told)
{
    struct buf b = buf_make(1000);
    ipc_rcpt_told_pack(&b, told);
    core_say(k, IPC_T_rcpt_told, tag, &b);
}

static inline void core_tell_taken(struct gate_kit *k, uint64_t tag, const struct ipc_taken *taken)
{
    struct buf b = buf_make(2000);
    ipc_taken_pack(&b, taken);
    core_say(k, IPC_T_taken, tag, &b);
}

static inline void core_babble(struct gate_kit *k, uint64_t tag)
{
    struct buf b = buf_make(10);
    buf_adds(&b, SLICE("\xff\xff\xff"));
    core_say(k, IPC_T_taken, tag, &b);
}

static inline void core_hold(struct gate_kit *k, const struct fake_frame *f)
{
    core_forget_question(k);
    k->held = *f;
    k->held.payload = mem_new(f->n);
    memcpy(k->held.payload, f->payload, f->n);
}

static inline bool other_ways(struct gate_kit *k, enum core_way way, const struct fake_frame *f)
{
    switch (way) {
    case CORE_ACCEPTS:
    case CORE_REFUSES:
        return false;
    case CORE_WAITS:
        core_hold(k, f);
        return true;
    case CORE_DIES:
        core_die(k);
        return true;
    case CORE_BABBLES:
    case CORE_WAY_N:
        core_babble(k, f->tag);
        return true;
    }
    return false;
}

/* Local parts decide: "unknown", "unsure", "other" (another primary); all others are welcome. */
static inline void core_judge_rcpt(struct gate_kit *k, const struct fake_frame *f,
                                   enum core_way way)
{
    struct ipc_rcpt_ask ask;
    must(ipc_rcpt_ask_unpack(slice_of(f->payload, f->n), NULL, &ask));
    struct ipc_rcpt_told told = k->told;
    told.generation = k->generation;
    if (way == CORE_REFUSES)
        told.refusal = 1 + k->refusal;
    else if (slice_istarts(ask.address, SLICE("unknown")))
        told.refusal = 1 + REFUSE_UNKNOWN_PERSON;
    else if (slice_istarts(ask.address, SLICE("unsure")))
        told.refusal = 1 + REFUSE_UNSURE_PERSON;
    else if (slice_istarts(ask.address, SLICE("relay")) && !ask.from_primary)
        told.refusal = 1 + REFUSE_RELAY;
    else if (slice_istarts(ask.address, SLICE("other")))
        told.primary = 22;
    core_tell_rcpt(k, f->tag, &told);
}

static inline struct buf *core_upload(struct gate_kit *k, uint64_t tag)
{
    int free = -1;
    for (int i = 0; i < GATE_UPLOADS; i++) {
        if (k->uploads[i].is_used && k->uploads[i].tag == tag)
            return &k->uploads[i].content;
        if (!k->uploads[i].is_used)
            free = i;
    }
    must(free >= 0);
    k->uploads[free].is_used = true;
    k->uploads[free].tag = tag;
    k->uploads[free].content = buf_make(GATE_TEXT_MAX);
    return &k->uploads[free].content;
}

static inline void core_upload_end(struct gate_kit *k, uint64_t tag)
{
    for (int i = 0; i < GATE_UPLOADS; i++)
        k->uploads[i].is_used = k->uploads[i].is_used && k->uploads[i].tag != tag;
}

static inline void core_message_free(struct core_message *m)
{
    buf_finish(&m->content);
    buf_finish(&m->payload);
    arena_destroy(&m->arena);
}

/* Core's own checks: what does not fit together is the gate's mistake. */
static inline struct core_message *core_keep(struct gate_kit *k, const struct fake_frame *f)
{
    if (k->n_messages == GATE_MESSAGES) { /* forget the oldest */
        core_message_free(&k->messages[0]);
        memmove(k->messages, k->messages + 1, (GATE_MESSAGES - 1) * sizeof(k->messages[0]));
        k->n_messages--;
    }
    static uint64_t last_id = 1000;
    struct core_message *m = &k->messages[k->n_messages++];
    struct buf *content = core_upload(k, f->tag);
    *m = (struct core_message){.id = ++last_id, .tag = f->tag, .content = *content};
    *content = buf_make(GATE_TEXT_MAX);
    core_upload_end(k, f->tag);
    m->payload = buf_make(f->n + 1);
    m->arena = arena_create(8 << 20);
    buf_add(&m->payload, f->payload, f->n);
    must(ipc_take_unpack(buf_slice(&m->payload), m->arena, &m->take));
    must(m->take.n_rcpts > 0 && m->take.n_fields == 1 && m->take.bytes == m->content.n);
    return m;
}

static inline void core_answer_take(struct gate_kit *k, const struct fake_frame *f,
                                    enum core_way way)
{
    if (way == CORE_REFUSES) {
        core_tell_taken(k, f->tag, &(struct ipc_taken){.refusal = 1 + k->refusal});
        return;
    }
    struct core_message *m = &k->messages[k->n_messages - 1];
    m->is_told = true;
    k->n_told++;
    core_tell_taken(k, f->tag, &(struct ipc_taken){.message = m->id});
}

static inline void core_note_answers(struct gate_kit *k, const struct fake_frame *f)
{
    struct ipc_answered all;
    struct arena *arena = arena_create(1 << 20);
    must(ipc_answered_unpack(slice_of(f->payload, f->n), arena, &all));
    for (uint32_t i = 0; i < all.n_answers; i++)
        for (size_t j = 0; j < k->n_messages; j++)
            if (k->messages[j].id == all.answers[i].message) {
                must(k->messages[j].is_told && !k->messages[j].is_answered);
                k->messages[j].is_answered = true;
                k->messages[j].is_written = all.answers[i].is_written;
            }
    arena_destroy(&arena);
}

static inline void core_hear(struct gate_kit *k, const struct fake_frame *f)
{
    must(ipc_may_send(f->type, IPC_GATE, IPC_CORE));
    if (f->type == IPC_T_rcpt_ask) {
        k->n_asked++;
        if (!other_ways(k, k->rcpt_way, f))
            core_judge_rcpt(k, f, k->rcpt_way);
    } else if (f->type == IPC_T_content) {
        must(f->n > 0 && f->n <= IPC_CONTENT_MAX);
        buf_add(core_upload(k, f->tag), f->payload, f->n);
    } else if (f->type == IPC_T_take) {
        (void)core_keep(k, f);
        if (!other_ways(k, k->take_way, f))
            core_answer_take(k, f, k->take_way);
    } else if (f->type == IPC_T_answered) {
        core_note_answers(k, f);
    } else {
        must(f->type == IPC_T_refusals || f->type == IPC_T_figures || f->type == IPC_T_highs);
    }
}

/* The held question gets its answer now. */
static inline void core_answer_held(struct gate_kit *k, enum core_way way)
{
    struct fake_frame f = k->held;
    k->held = (struct fake_frame){};
    if (f.type == IPC_T_rcpt_ask && !other_ways(k, way, &f))
        core_judge_rcpt(k, &f, way);
    else if (f.type == IPC_T_take && !other_ways(k, way, &f))
        core_answer_take(k, &f, way);
    mem_free(&f.payload);
}

#endif
