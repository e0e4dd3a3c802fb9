/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): by the processor where it can, else bit by bit. */
#include "base.h"

#include <pthread.h>

#define POLYNOMIAL 0x82f63b78u

#if defined(__x86_64__)
#include <nmmintrin.h>

/* The processor's instruction gives its result after three cycles but takes a new word each cycle:
 * three parts of the input side by side keep it busy. A part's checksum is then moved over the
 * bytes behind it, that is multiplied by x^(8 * PART_BYTES), which is linear and so comes from a
 * table a byte. */
enum { PART_BYTES = 1024 };

static uint32_t moved[4][256]; /* set once */
static pthread_once_t moved_once = PTHREAD_ONCE_INIT;

static void moved_make(void)
{
    uint32_t of_bit[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = 1u << bit;
        for (int i = 0; i < 8 * PART_BYTES; i++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
        of_bit[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 0; value < 256; value++)
            for (int bit = 0; bit < 8; bit++)
                if (value >> bit & 1)
                    moved[byte][value] ^= of_bit[8 * byte + bit];
}

static uint32_t move(uint64_t wide)
{
    uint32_t crc = (uint32_t)wide;
    return moved[0][crc & 0xff] ^ moved[1][crc >> 8 & 0xff] ^ moved[2][crc >> 16 & 0xff] ^
           moved[3][crc >> 24];
}

static inline uint64_t word_at(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t crc_three(uint32_t crc, const char *p)
{
    uint64_t first = crc;
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < PART_BYTES; i += 8) {
        first = _mm_crc32_u64(first, word_at(p + i));
        second = _mm_crc32_u64(second, word_at(p + PART_BYTES + i));
        third = _mm_crc32_u64(third, word_at(p + 2 * PART_BYTES + i));
    }
    return move(move(first) ^ second) ^ (uint32_t)third;
}

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const char *p,
                                                               size_t n)
{
    if (n >= 3 * PART_BYTES)
        (void)pthread_once(&moved_once, moved_make);
    for (; n >= 3 * PART_BYTES; p += 3 * PART_BYTES, n -= 3 * PART_BYTES)
        crc = crc_three(crc, p);
    uint64_t wide = crc;
    for (; n >= 8; p += 8, n -= 8)
        wide = _mm_crc32_u64(wide, word_at(p));
    crc = (uint32_t)wide;
    for (; n > 0; p++, n--)
        crc = _mm_crc32_u8(crc, (unsigned char)*p);
    return crc;
}

static bool has_hardware(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_hardware(uint32_t crc, const char *, size_t)
{
    return crc;
}

static bool has_hardware(void)
{
    return false;
}
#endif

static uint32_t crc_software(uint32_t crc, const char *p, size_t n)
{
    for (; n > 0; p++, n--) {
        crc ^= (unsigned char)*p;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    }
    return crc;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    crc = ~crc;
    crc = has_hardware() ? crc_hardware(crc, p, n) : crc_software(crc, p, n);
    return ~crc;
}
