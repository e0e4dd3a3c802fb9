/* For tests of the courier: options with short times, a resolver that is a table, and waiting for
 * results, which are kept as packed copies. */
#ifndef COURIER_KIT_H
#define COURIER_KIT_H

#include "courier/courier.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kit_name {
    const char *name;
    uint16_t type;
    uint8_t status;
    const char *data; /* of one record */
    size_t n;
};

struct kit {
    struct courier_options o;
    struct courier *courier;
    const struct kit_name *names;
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct arena *arena;
    unsigned n_results;
    struct ipc_result result[64]; /* in the order they came */
    uint64_t tag[64];
};

static enum err kit_resolve(void *arg, const struct ipc_name_ask *ask, mono_us, struct arena *a,
                            struct ipc_name_told *ret)
{
    struct kit *k = arg;
    *ret = (struct ipc_name_told){.status = IPC_NAME_NO_DATA};
    for (const struct kit_name *n = k->names; n && n->name; n++) {
        if (!slice_ieq(slice_str(n->name), ask->name) || (n->type && n->type != ask->type))
            continue;
        ret->status = n->status;
        if (n->status != IPC_NAME_OK)
            break;
        struct ipc_name_record *records =
            ARENA_ARRAY(a, struct ipc_name_record, ret->n_records + 1);
        for (uint32_t i = 0; i < ret->n_records; i++)
            records[i] = ret->records[i];
        records[ret->n_records++].data = slice_of(n->data, n->n);
        ret->records = records;
    }
    return ERR_OK;
}

static void kit_done(void *arg, uint64_t tag, const struct ipc_result *result)
{
    struct kit *k = arg;
    struct buf b = buf_make(1 << 22);
    ipc_result_pack(&b, result);
    pthread_mutex_lock(&k->lock);
    struct slice copy = arena_copy(k->arena, buf_slice(&b));
    must(k->n_results < 64 && ipc_result_unpack(copy, k->arena, &k->result[k->n_results]));
    k->tag[k->n_results++] = tag;
    pthread_cond_broadcast(&k->came);
    pthread_mutex_unlock(&k->lock);
    buf_finish(&b);
}

static void kit_start(struct kit *k, struct net_tls_client *tls, mono_us timeout)
{
    *k = (struct kit){.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    k->arena = arena_create(16 << 20);
    k->o = courier_options_usual();
    k->o.threads = 6;
    k->o.per_destination = 3;
    k->o.done = kit_done;
    k->o.done_arg = k;
    k->o.network.hostname = "mx1.staffetta.example";
    k->o.network.tls = tls;
    k->o.network.resolve = kit_resolve;
    k->o.network.resolve_arg = k;
    k->o.network.timeouts = (struct courier_timeouts){
        timeout, timeout, timeout, timeout, timeout,          timeout,
        timeout, timeout, timeout, timeout, MILLISECONDS(50), SECONDS(20)};
}

static void kit_begin(struct kit *k)
{
    k->courier = courier_create(&k->o);
}

static void kit_wait(struct kit *k, unsigned n_results)
{
    pthread_mutex_lock(&k->lock);
    while (k->n_results < n_results)
        pthread_cond_wait(&k->came, &k->lock);
    pthread_mutex_unlock(&k->lock);
}

static void kit_finish(struct kit *k)
{
    courier_destroy(&k->courier);
    arena_destroy(&k->arena);
}

/* A job for a primary at a port of 127.0.0.1 (0: for the world); recipients r0@.. r1@.. */
struct kit_job {
    struct ipc_job job;
    struct ipc_host hosts[2];
    struct ipc_job_rcpt rcpts[250];
    char names[250][40];
};

static struct ipc_job *kit_job(struct kit_job *j, uint16_t port, unsigned n_rcpts)
{
    memset(j, 0, sizeof(*j));
    j->hosts[0] = (struct ipc_host){SLICE("127.0.0.1"), port};
    j->job = (struct ipc_job){.message = 77,
                              .kind = port ? IPC_JOB_PRIMARY : IPC_JOB_WORLD,
                              .destination = SLICE("there"),
                              .hosts = j->hosts,
                              .n_hosts = port != 0,
                              .mail_from = SLICE("anna@company.example"),
                              .rcpts = j->rcpts,
                              .n_rcpts = n_rcpts};
    for (unsigned i = 0; i < n_rcpts; i++) {
        snprintf(j->names[i], sizeof(j->names[i]), "r%u@there.example", i);
        j->rcpts[i].rcpt = (uint16_t)(i + 5);
        j->rcpts[i].address = slice_str(j->names[i]);
    }
    return &j->job;
}

static void kit_send(struct kit *k, uint64_t tag, const struct ipc_job *job, const char *content)
{
    struct buf b = buf_make(64 << 20);
    buf_adds(&b, slice_str(content));
    courier_job(k->courier, tag, job, &b);
    must(b.n == 0);
    buf_finish(&b);
}

#endif
