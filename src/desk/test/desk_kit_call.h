/* The desk's test kit: people who ask through a door. */
#ifndef DESK_TEST_DESK_KIT_CALL_H
#define DESK_TEST_DESK_KIT_CALL_H

#include "desk/desk_login_int.h"
#include "desk_kit.h"

static const char kit_nothing[] = "{\"using\":[],\"methodCalls\":[]}";

/* ---- log-ins, as the administration makes them ---- */

struct kit_login {
    struct admin_login_order order;
    char text[200];
    bool is_done; /* under kit->lock */
};

static void kit_login_told(void *cookie, enum err err, const char *text)
{
    struct kit_login *o = cookie;
    must(err == ERR_OK);
    snprintf(o->text, sizeof(o->text), "%s", text);
    pthread_mutex_lock(&kit->lock);
    o->is_done = true;
    pthread_cond_broadcast(&kit->cond);
    pthread_mutex_unlock(&kit->lock);
}

static void kit_login_now(void *arg)
{
    struct kit_login *o = arg;
    desk_login_order(kit->desk, &o->order, kit_login_told, o);
}

static void kit_login(struct kit_login *o)
{
    o->order.by = SLICE("luca");
    kit_on_loop(kit_login_now, o);
    pthread_mutex_lock(&kit->lock);
    while (!o->is_done)
        pthread_cond_wait(&kit->cond, &kit->lock);
    pthread_mutex_unlock(&kit->lock);
}

/* A new token of hers, as the Authorization header's value. */
static void kit_token(uint64_t person, char ret[200])
{
    struct kit_login o = {
        .order = {.what = ADMIN_LOGIN_TOKEN_ADD, .person = person, .text = SLICE("Phone")}};
    kit_login(&o);
    must(snprintf(ret, 200, "Bearer %s", o.text) < 200);
}

/* ---- calls ---- */

static void kit_call(uint64_t tag, enum ipc_call_kind kind, const char *authorization,
                     struct slice body)
{
    struct ipc_call call = {.kind = (uint8_t)kind,
                            .authorization = slice_str(authorization),
                            .client = SLICE("192.0.2.7"),
                            .origin = SLICE("https://mail.example.test"),
                            .bytes = (uint32_t)body.n};
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    ipc_call_pack(&b, &call);
    kit_put_content(kit->door, tag, body);
    kit_put(kit->door, IPC_T_call, tag, &b);
}

/* How many bytes of content come before the next frame of this type. */
static size_t kit_answer_bytes(enum ipc_type type, struct kit_frame *ret)
{
    size_t n = 0;
    do {
        if (!kit_get(kit->door, ret, KIT_WAIT_MS))
            fail_msg("no %s came", ipc_type_name((uint16_t)type));
        n += ret->type == IPC_T_content ? ret->payload.n : 0;
    } while (ret->type != type);
    return n;
}

/* The next answer; whose it is. What `ret` points to is gone. */
static uint64_t kit_called(struct ipc_called *ret)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(100000);
    struct kit_frame f = {};
    kit_expect(kit->door, IPC_T_called, &f);
    assert_true(ipc_called_unpack(f.payload, a, ret));
    uint64_t tag = f.tag;
    kit_frame_free(&f);
    return tag;
}

#endif
