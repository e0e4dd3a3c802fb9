/* See base/pack.h: after a list. */
#undef PACK_BEGIN
#undef PACK_U8
#undef PACK_U16
#undef PACK_U32
#undef PACK_U64
#undef PACK_I64
#undef PACK_TEXT
#undef PACK_LIST
#undef PACK_END
