/* See base/pack.h: the structs and the prototypes. */
#define PACK_BEGIN(T) struct T {
#define PACK_U8(T, f) uint8_t f;
#define PACK_U16(T, f) uint16_t f;
#define PACK_U32(T, f) uint32_t f;
#define PACK_U64(T, f) uint64_t f;
#define PACK_I64(T, f) int64_t f;
#define PACK_TEXT(T, f, max) struct slice f;
#define PACK_LIST(T, f, E, max)                                                                    \
    struct E *f;                                                                                   \
    uint32_t n_##f;
#define PACK_END(T)                                                                                \
    }                                                                                              \
    ;                                                                                              \
    void T##_pack(struct buf *b, const struct T *v);                                               \
    bool T##_read(struct reader *r, struct arena *a, struct T *v);                                 \
    bool T##_unpack(struct slice s, struct arena *a, struct T *ret);
