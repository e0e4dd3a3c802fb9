/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): by the processor where it can, else by table. */
#include "base.h"

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const char *p,
                                                               size_t n)
{
    uint64_t wide = crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
    }
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
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return crc;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    crc = ~crc;
    crc = has_hardware() ? crc_hardware(crc, p, n) : crc_software(crc, p, n);
    return ~crc;
}
