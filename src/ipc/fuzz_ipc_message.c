/* Every message between our processes, from hostile bytes: what is understood packs into the very
 * same bytes again. The first byte chooses the message. */
#include "ipc/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACK_U8(T, f)
#define PACK_U16(T, f)
#define PACK_U32(T, f)
#define PACK_U64(T, f)
#define PACK_I64(T, f)
#define PACK_TEXT(T, f, max)
#define PACK_LIST(T, f, E, max)

#define IPC_PARTS
#define PACK_BEGIN(T)                                                                              \
    static void try_##T(struct slice s, struct arena *a, struct buf *b)                            \
    {                                                                                              \
        struct T v;                                                                                \
        if (!T##_unpack(s, a, &v))                                                                 \
            return;                                                                                \
        T##_pack(b, &v);                                                                           \
        must(!b->failed && slice_eq(buf_slice(b), s));                                             \
    }
#define PACK_END(T)
#include "ipc/ipc.def"
#undef PACK_BEGIN

static void (*const tries[])(struct slice s, struct arena *a, struct buf *b) = {
#define PACK_BEGIN(T) try_##T,
#include "ipc/ipc.def"
};
#undef IPC_PARTS

enum { TRIES = sizeof(tries) / sizeof(tries[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > IPC_LIST_FRAME_MAX)
        return 0;
    struct arena *a = arena_create(64 << 20);
    SCOPED(buf_finish) struct buf b = buf_make(2 * IPC_LIST_FRAME_MAX);
    tries[data[0] % TRIES](slice_of((const char *)data + 1, size - 1), a, &b);
    arena_destroy(&a);
    return 0;
}
