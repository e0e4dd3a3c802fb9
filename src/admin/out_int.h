/* Writing JSON straight into a buffer: commas, quotes and escapes are ours, the bytes are
 * anybody's. What is not UTF-8 comes out as U+FFFD, so that the document is always valid. */
#ifndef ADMIN_OUT_INT_H
#define ADMIN_OUT_INT_H

#include "base/base.h"

struct out {
    struct buf *b;
    uint64_t arrays, filled; /* a bit a level */
    unsigned depth;          /* at most 60 */
};

/* `key` is a literal of ours, and NULL inside arrays and for the outermost value. */
void out_object(struct out *j, const char *key);
void out_array(struct out *j, const char *key);
void out_close(struct out *j);
void out_text(struct out *j, const char *key, struct slice s);
void out_word(struct out *j, const char *key, const char *s);
void out_number(struct out *j, const char *key, uint64_t n);
void out_truth(struct out *j, const char *key, bool is);
void out_time(struct out *j, const char *key, utc_ms t); /* RFC 3339; 0: left out */
/* The same, left out when there is nothing to say. */
void out_text_if(struct out *j, const char *key, struct slice s);
void out_number_if(struct out *j, const char *key, uint64_t n);

#endif
