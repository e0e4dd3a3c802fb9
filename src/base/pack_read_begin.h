/* See base/pack.h: the reading functions. */
#define PACK_BEGIN(T)                                                                              \
    bool T##_unpack(struct slice s, struct arena *a, struct T *ret)                                \
    {                                                                                              \
        struct reader r = reader_make(s);                                                          \
        return T##_read(&r, a, ret) && r.rest.n == 0;                                              \
    }                                                                                              \
    bool T##_read(struct reader *r, struct arena *a, struct T *v)                                  \
    {                                                                                              \
        (void)a, (void)v; /* a struct without lists, or without fields */
#define PACK_U8(T, f) v->f = read_u8(r);
#define PACK_U16(T, f) v->f = read_u16(r);
#define PACK_U32(T, f) v->f = read_u32(r);
#define PACK_U64(T, f) v->f = read_u64(r);
#define PACK_I64(T, f) v->f = (int64_t)read_u64(r);
#define PACK_TEXT(T, f, max) v->f = read_bytes(r, max);
#define PACK_LIST(T, f, E, max)                                                                    \
    v->n_##f = read_u32(r);                                                                        \
    v->f = read_list(r, a, v->n_##f, sizeof(struct E), max);                                       \
    if (!v->f)                                                                                     \
        v->n_##f = 0;                                                                              \
    for (uint32_t i = 0; i < v->n_##f && !r->failed; i++)                                          \
        (void)E##_read(r, a, &v->f[i]);
#define PACK_END(T)                                                                                \
    return !r->failed;                                                                             \
    }
