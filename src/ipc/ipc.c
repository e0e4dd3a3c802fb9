/* Packing of ipc messages, generated from ipc.def, and who may say what. */
#include "ipc/ipc.h"

#include "base/refuse.h"

#define IPC_PARTS
#include "base/pack_write_begin.h"
#include "ipc/ipc.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "ipc/ipc.def"
#include "base/pack_end.h"
#undef IPC_PARTS

enum {
    SUPERVISOR = IPC_SUPERVISOR,
    GATE = IPC_GATE,
    DOOR = IPC_DOOR,
    CORE = IPC_CORE,
    COURIER = IPC_COURIER,
    LIAISON = IPC_LIAISON,
    RESOLVER = IPC_RESOLVER,
};

static const struct {
    const char *name;
    unsigned from, to;
} messages[IPC_T_N] = {
#define IPC_MESSAGE(name, from, to) [IPC_T_##name] = {#name, from, to},
#include "ipc/ipc.def"
#undef IPC_MESSAGE
};

const char *ipc_type_name(uint16_t type)
{
    return type > 0 && type < IPC_T_N ? messages[type].name : "unknown";
}

bool ipc_may_send(uint16_t type, enum ipc_role from, enum ipc_role to)
{
    if (type == 0 || type >= IPC_T_N)
        return false;
    return (messages[type].from & (unsigned)from) && (messages[type].to & (unsigned)to);
}

const char *ipc_role_name(enum ipc_role role)
{
    switch (role) {
    case IPC_SUPERVISOR:
        return "supervisor";
    case IPC_GATE:
        return "gate";
    case IPC_DOOR:
        return "door";
    case IPC_CORE:
        return "core";
    case IPC_COURIER:
        return "courier";
    case IPC_LIAISON:
        return "liaison";
    case IPC_RESOLVER:
        return "resolver";
    }
    return "unknown";
}

const char *smtp_phase_name(uint8_t phase)
{
    static const char *const names[SMTP_PHASE_N] = {
        "nowhere", "name", "connect", "banner", "ehlo", "tls", "mail", "rcpt", "data", "dot",
    };
    return phase < SMTP_PHASE_N ? names[phase] : "unknown";
}

const char *ipc_look_step_name(uint8_t step)
{
    static const char *const names[IPC_STEP_N] = {
        "nowhere", "name", "connect", "greeting", "tls", "login",
        "select",  "send", "search",  "fetch",    "put",
    };
    return step < IPC_STEP_N ? names[step] : "unknown";
}

const char *ipc_op_result_name(uint8_t result)
{
    static const char *const names[IPC_OP_RESULTS] = {
        "not-tried", "done", "already", "would", "absent", "ambiguous", "refused", "unsure",
    };
    return result < IPC_OP_RESULTS ? names[result] : "unknown";
}

bool ipc_take_highs(mono_us now, struct buf *ret)
{
    static struct refuse_high highs[REFUSE_N]; /* one thread */
    struct ipc_high list[REFUSE_N];
    struct ipc_highs all = {.highs = list};
    if (!refuse_take_highs(now, highs))
        return false;
    for (uint32_t i = 0; i < REFUSE_N; i++)
        if (highs[i].is_known)
            list[all.n_highs++] = (struct ipc_high){i, highs[i].value, slice_str(highs[i].who)};
    ipc_highs_pack(ret, &all);
    return true;
}
