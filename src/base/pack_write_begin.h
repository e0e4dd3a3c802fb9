/* See base/pack.h: the writing functions. */
#define PACK_BEGIN(T)                                                                              \
    void T##_pack(struct buf *b, const struct T *v)                                                \
    {                                                                                              \
        (void)b, (void)v; /* a struct without fields */
#define PACK_U8(T, f) buf_u8(b, v->f);
#define PACK_U16(T, f) buf_u16(b, v->f);
#define PACK_U32(T, f) buf_u32(b, v->f);
#define PACK_U64(T, f) buf_u64(b, v->f);
#define PACK_I64(T, f) buf_u64(b, (uint64_t)v->f);
#define PACK_TEXT(T, f, max) pack_text(b, v->f, max);
#define PACK_LIST(T, f, E, max)                                                                    \
    buf_u32(b, v->n_##f);                                                                          \
    if (v->n_##f > (max))                                                                          \
        b->failed = true;                                                                          \
    for (uint32_t i = 0; i < v->n_##f && !b->failed; i++)                                          \
        E##_pack(b, &v->f[i]);
#define PACK_END(T) }
