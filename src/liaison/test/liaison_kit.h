/* A liaison for tests: it is asked one message at a time, answers are kept as they came. */
#ifndef LIAISON_TEST_KIT_H
#define LIAISON_TEST_KIT_H

#include "liaison/liaison.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "courier/test/fake_server.h"

struct kit {
    struct liaison *l;
    struct net_tls_client *tls;
    enum ipc_name_status resolver; /* its answer to everything; 0: no answer at all */
    struct arena *arena;
    pthread_mutex_t lock;
    pthread_cond_t came;
    unsigned n;
    struct {
        enum ipc_type type;
        uint64_t tag;
        struct slice payload; /* in the arena */
    } answer[40];
};

static void kit_done(void *arg, enum ipc_type type, uint64_t tag, struct buf *answer)
{
    struct kit *k = arg;
    pthread_mutex_lock(&k->lock);
    must(k->n < 40);
    k->answer[k->n].type = type;
    k->answer[k->n].tag = tag;
    k->answer[k->n++].payload = arena_copy(k->arena, buf_slice(answer));
    pthread_cond_broadcast(&k->came);
    pthread_mutex_unlock(&k->lock);
}

static enum err kit_resolve(void *arg, const struct ipc_name_ask *, mono_us, struct arena *,
                            struct ipc_name_told *ret)
{
    struct kit *k = arg;
    *ret = (struct ipc_name_told){.status = (uint8_t)k->resolver};
    return k->resolver ? ERR_OK : ERR_RETRY;
}

/* `ca`: what TLS trusts, may be empty. `works`: ceiling of each lane. */
static inline void kit_start(struct kit *k, struct slice ca, unsigned works)
{
    *k = (struct kit){.lock = PTHREAD_MUTEX_INITIALIZER,
                      .came = PTHREAD_COND_INITIALIZER,
                      .resolver = IPC_NAME_NO_NAME,
                      .arena = arena_create(16 << 20)};
    assert_int_equal(net_tls_client_create(ca, &k->tls, NULL), ERR_OK);
    struct liaison_options o = {
        .lane = {{4, works, 4}, {4, works, 2}, {2, works, 2}, {1, 1, 1}, {4, works, 2}, {1, 1, 1}},
        .network = {.hostname = "probe.example",
                    .tls = k->tls,
                    .timeouts = courier_timeouts_usual(),
                    .resolve = kit_resolve,
                    .resolve_arg = k},
        .done = kit_done,
        .done_arg = k,
    };
    k->l = liaison_create(&o);
}

static inline void kit_stop(struct kit *k)
{
    liaison_destroy(&k->l);
    net_tls_client_destroy(&k->tls);
    arena_destroy(&k->arena);
}

static inline void kit_wait(struct kit *k, unsigned n)
{
    pthread_mutex_lock(&k->lock);
    while (k->n < n)
        pthread_cond_wait(&k->came, &k->lock);
    pthread_mutex_unlock(&k->lock);
}

static inline unsigned kit_count(struct kit *k)
{
    pthread_mutex_lock(&k->lock);
    unsigned n = k->n;
    pthread_mutex_unlock(&k->lock);
    return n;
}

/* Ask and wait: KIT_ASK(k, control, &question, &answer, controlled). */
#define KIT_SEND(k, name, tag, question)                                                           \
    do {                                                                                           \
        struct buf kit_b = buf_make(IPC_LIST_FRAME_MAX);                                           \
        ipc_##name##_pack(&kit_b, question);                                                       \
        assert_false(kit_b.failed);                                                                \
        assert_true(liaison_take((k)->l, IPC_T_##name, tag, buf_slice(&kit_b)));                   \
        buf_finish(&kit_b);                                                                        \
    } while (0)
#define KIT_ASK(k, name, question, answer_name, ret)                                               \
    do {                                                                                           \
        unsigned kit_n = kit_count(k);                                                             \
        KIT_SEND(k, name, 77, question);                                                           \
        kit_wait(k, kit_n + 1);                                                                    \
        assert_int_equal((k)->answer[kit_n].type, IPC_T_##answer_name);                            \
        assert_int_equal((k)->answer[kit_n].tag, 77);                                              \
        assert_true(ipc_##answer_name##_unpack((k)->answer[kit_n].payload, (k)->arena, ret));      \
    } while (0)

static inline bool kit_says(struct slice text, const char *words)
{
    return memmem(text.p ? text.p : "", text.n, words, strlen(words)) != NULL;
}

#endif
