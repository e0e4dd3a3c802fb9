/* Ground floor: errors, slices, buffers, arenas, lists, maps, clocks.
 *
 * Everything here is plain memory: no sockets, no files, no log. Failure to allocate stops the
 * process, therefore every size that a peer controls is checked against a named _MAX first.
 * Nothing here is locked: one thread at a time unless a comment says otherwise. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- our mistakes ------------------------------------------------------------------------ */

/* Compiled in always. For our own mistakes only: never for what a peer, another process or the
 * disk can cause. Prints the place and stops the process; the supervisor restarts it. */
#define must(condition) ((condition) ? (void)0 : must_failed(#condition, __FILE__, __LINE__))
_Noreturn void must_failed(const char *condition, const char *file, int line);

/* ---- the world's refusals ---------------------------------------------------------------- */

/* Codes name the caller's next step, not the cause; the cause is the text in errinfo. */
enum [[nodiscard]] err{ERR_OK = 0,
                       ERR_RETRY,    /* try again later, nothing is wrong with the request */
                       ERR_FULL,     /* no room: disk, queue, buffer */
                       ERR_LIMIT,    /* a ceiling that somebody set */
                       ERR_GONE,     /* the thing does not exist (any more) */
                       ERR_EXISTS,   /* it exists already */
                       ERR_CONFLICT, /* somebody was quicker; look again */
                       ERR_DENIED,   /* not allowed */
                       ERR_INVALID,  /* the request makes no sense; do not repeat it */
                       ERR_CORRUPT,  /* stored data is damaged: stop touching it, tell somebody */
                       ERR_IO,       /* the device or the network failed */
                       ERR_CANCELED, /* we are stopping */
                       ERR_N};

struct errinfo {
    char text[256]; /* what happened, for a person; always terminated */
};

/* Set the text (printf format) and return `code`, so that a failure is one line:
 *     return err_set(ei, ERR_IO, "fsync %s: %s", path, strerror(errno));
 * `ei` may be NULL. */
enum err err_set(struct errinfo *ei, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Put "prefix: " before the text that is there; returns `code`. */
enum err err_prefix(struct errinfo *ei, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *err_name(enum err code);

/* ---- scope clean-up ---------------------------------------------------------------------- */

/* SCOPED(buf_finish) struct buf b = buf_make(1024); the function gets the address at scope end. */
#define SCOPED(destructor) __attribute__((cleanup(destructor)))
void fd_close(int *fd); /* closes if >= 0 and sets -1 */

/* ---- slices: bytes from outside ---------------------------------------------------------- */

/* Borrowed bytes, not terminated. `p` may be NULL only when `n` is 0. */
struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)((s).n > 4096 ? 4096 : (s).n), ((s).p ? (s).p : "")

static inline struct slice slice_of(const char *p, size_t n)
{
    return (struct slice){p, n};
}
struct slice slice_str(const char *text); /* of a C string; NULL gives the empty slice */
bool slice_eq(struct slice a, struct slice b);
bool slice_ieq(struct slice a, struct slice b); /* ASCII letters only, no locale */
int slice_cmp(struct slice a, struct slice b);  /* bytes, shorter first */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_istarts(struct slice s, struct slice prefix);
struct slice slice_skip(struct slice s, size_t n); /* without the first n (at most all) bytes */
struct slice slice_trim(struct slice s);           /* without SP, TAB, CR, LF at both ends */
/* Cut at the first `c`: returns what is before, `*rest` gets what is after (empty if none). */
struct slice slice_cut(struct slice s, char c, struct slice *rest);
ptrdiff_t slice_find(struct slice s, char c); /* index or -1 */
/* Decimal digits only, the whole slice, no sign; false on anything else or over `max`. */
bool slice_u64(struct slice s, uint64_t max, uint64_t *ret);
char ascii_lower(char c);

/* ---- buffers: bytes that we build -------------------------------------------------------- */

/* Grows up to `max` bytes; past that nothing is written and `failed` sticks, so a builder writes
 * ten fields and checks once. Owns its memory. */
struct buf {
    char *p;
    size_t n, cap, max;
    bool failed;
};

struct buf buf_make(size_t max); /* no memory yet; max >= 1 */
void buf_finish(struct buf *b);  /* frees; the buffer may be used again (empty) */
void buf_clear(struct buf *b);   /* n = 0, failed = false, memory kept */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, struct slice s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *buf_room(struct buf *b, size_t n);   /* n writable bytes at the end, or NULL and failed */
void buf_reserve(struct buf *b, size_t n); /* memory for n bytes in all, within the ceiling */
void buf_drop(struct buf *b, size_t n);    /* remove the first n bytes */
const char *buf_cstr(struct buf *b); /* terminated; "" if failed; valid until the next change */
struct slice buf_slice(const struct buf *b);

/* Little-endian numbers and length-prefixed bytes, for disk and ipc records. */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_bytes(struct buf *b, struct slice s); /* u32 length, then the bytes */

/* Reading them back: `failed` sticks when the input is too short; then zeros come out. */
struct reader {
    struct slice rest;
    bool failed;
};
struct reader reader_make(struct slice s);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
struct slice read_bytes(struct reader *r, size_t max); /* borrowed from the input; longer fails */

/* ---- arenas: all memory of one unit of work ---------------------------------------------- */

/* Freed as a whole. `max` is the ceiling over all chunks; past it arena_try gives NULL and
 * arena_new stops the process. Under ASan freed chunks are poisoned by free itself. */
struct arena;
struct arena *arena_create(size_t max);
void arena_destroy(struct arena **a);       /* takes NULL */
void arena_reset(struct arena *a);          /* forget everything, keep one chunk */
void *arena_new(struct arena *a, size_t n); /* zeroed, aligned to 16 */
void *arena_try(struct arena *a, size_t n); /* the same, or NULL at the ceiling */
size_t arena_used(const struct arena *a);
struct slice arena_copy(struct arena *a, struct slice s);
char *arena_cstr(struct arena *a, struct slice s); /* terminated copy; NUL bytes inside stay */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define ARENA_NEW(arena, type) ((type *)arena_new((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_new((arena), sizeof(type) * (size_t)(n)))

/* Heap memory outside an arena; never NULL. mem_free takes the address and nulls it. */
void *mem_new(size_t n); /* zeroed */
void *mem_resize(void *p, size_t n);
/* Room for one more in an array of `n` that has memory for *cap: its (new) address. */
void *mem_grow(void *array, size_t n, size_t *cap, size_t size);
char *mem_str(const char *text);
void mem_free(void *address_of_pointer);

/* ---- lists ------------------------------------------------------------------------------- */

/* Intrusive, circular, doubly linked. A node outside any list points to itself. */
struct list {
    struct list *prev, *next;
};
void list_init(struct list *l);
bool list_empty(const struct list *l);
void list_append(struct list *head, struct list *node);
void list_prepend(struct list *head, struct list *node);
void list_remove(struct list *node);      /* and points it to itself: removing twice is harmless */
struct list *list_pop(struct list *head); /* first node or NULL */
#define container_of(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
#define LIST_FOREACH(it, head)                                                                     \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

/* ---- maps -------------------------------------------------------------------------------- */

/* Bytes -> pointer, open addressing, keyed hash (a peer cannot choose collisions). Keys are
 * copied. Values are borrowed; NULL is no value. */
struct map;
struct map *map_create(void);
void map_destroy(struct map **m); /* values are the caller's */
void *map_get(const struct map *m, struct slice key);
void *map_put(struct map *m, struct slice key, void *value); /* returns what was there, or NULL */
void *map_del(struct map *m, struct slice key);              /* returns what was there, or NULL */
size_t map_size(const struct map *m);
/* Walk in no order: start with *at = 0; false at the end. What is deleted meanwhile does not come
 * any more, and the walk goes on; putting ends it. */
bool map_next(const struct map *m, size_t *at, struct slice *ret_key, void **ret_value);
#define KEY(number) slice_of((const char *)&(number), sizeof(number))

uint64_t hash_bytes(struct slice s); /* keyed by a random seed of this process */
uint64_t hash_fixed(struct slice s); /* the same in every program, for what is kept; FNV-1a */

/* ---- clocks ------------------------------------------------------------------------------ */

typedef int64_t mono_us; /* microseconds of the monotonic clock: intervals and deadlines */
typedef int64_t utc_ms;  /* milliseconds since 1970: dates */

mono_us mono_now(void);
utc_ms utc_now(void);
#define SECONDS(n) ((mono_us)(n)*1000000)
#define MILLISECONDS(n) ((mono_us)(n)*1000)

struct utc_text {
    char s[32];
};
struct utc_text utc_rfc3339(utc_ms t); /* 2026-11-21T21:40:00.123Z */
struct utc_text utc_rfc5322(utc_ms t); /* Sat, 21 Nov 2026 21:40:00 +0000 */

/* ---- random, digests --------------------------------------------------------------------- */

void random_bytes(void *p, size_t n);                   /* getrandom; usable inside every sandbox */
uint32_t crc32c(uint32_t crc, const void *p, size_t n); /* Castagnoli; start with 0, chainable */
void base32_text(const void *p, size_t n, char *ret);   /* lower case a-z2-7, terminated, no pad */

#endif
