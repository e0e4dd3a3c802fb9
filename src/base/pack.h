/* Structs that travel (ipc messages, log records), from one readable list.
 *
 * A list is a .def file of
 *     PACK_BEGIN(name)
 *     PACK_U64(name, field)               also U8 U16 U32 I64
 *     PACK_TEXT(name, field, max)         bytes, at most `max`: struct slice
 *     PACK_LIST(name, field, part, max)   struct part *field and n_field; `part` stands before
 *     PACK_END(name)
 * and yields struct name, name_pack() and name_unpack(). A header includes the list between
 * pack_struct_begin.h and pack_struct_end.h, one .c file includes it with pack_write_* and
 * pack_read_*.
 *
 *     void name_pack(struct buf *b, const struct name *v);
 *         appends; over-long fields make the buffer fail.
 *     bool name_unpack(struct slice s, struct arena *a, struct name *ret);
 *         false: nonsense (short, long, over a maximum). Slices borrow from `s`, lists from `a`. */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include "base/base.h"

void pack_text(struct buf *b, struct slice s, size_t max);
/* Memory for `n` parts of `size` bytes, NULL and r->failed when there are more than `max` or more
 * than the rest of the input could hold (each part is at least one byte). */
void *read_list(struct reader *r, struct arena *a, uint32_t n, size_t size, size_t max);

#endif
