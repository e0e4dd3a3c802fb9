/* Inside the room. */
#ifndef PUSH_PUSH_INT_H
#define PUSH_PUSH_INT_H

#include "push/push.h"

enum { PUSH_SALT = 16, PUSH_SCALAR = 32 };

/* As push_seal, with a key pair and a salt that are given, and no padding: for what RFC 8291
 * appendix A writes out. */
enum err push_seal_with(const struct push_keys *keys, const unsigned char scalar[PUSH_SCALAR],
                        const unsigned char point[PUSH_POINT], const unsigned char salt[PUSH_SALT],
                        struct slice padded, struct buf *ret, struct errinfo *ei);
/* URL-safe base64 into exactly `n` bytes. */
bool push_base64(struct slice text, unsigned char *ret, size_t n);

#endif
