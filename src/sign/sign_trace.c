/* The trace header: by its MAC we know again what has passed through us, so that a copy coming
 * back is not offered twice and nobody else can pretend to be us. Not a signature for others:
 * only holders of the key can check it. */
#include "sign.h"
#include "canon.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

enum { MAC_BYTES = 32, BLOCK_BYTES = 64, TEXT_BYTES = 64 + 2 * SIGN_TRACE_ID_MAX };
static_assert(SIGN_TRACE_KEY <= BLOCK_BYTES, "a longer key would have to be hashed first");

static bool is_id(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ';')
            return false;
    return s.n >= 1 && s.n <= SIGN_TRACE_ID_MAX;
}

static bool trace_is_valid(const struct sign_trace *t)
{
    return is_id(t->tenant) && is_id(t->message) && t->taken_sec >= 0;
}

/* Of a process: finding the algorithm costs more than using it. */
static EVP_MD *sha256; /* set once */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void sha256_find(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    must(sha256 != NULL);
}

/* SHA-256 of the key, mixed with `mix` and filled up to a block, and of the text behind it. */
static void keyed_digest(const uint8_t key[SIGN_TRACE_KEY], uint8_t mix, struct slice text,
                         uint8_t ret[MAC_BYTES])
{
    uint8_t bytes[BLOCK_BYTES + TEXT_BYTES];
    must(text.n <= TEXT_BYTES);
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        bytes[i] = mix ^ (i < SIGN_TRACE_KEY ? key[i] : 0);
    memcpy(bytes + BLOCK_BYTES, text.p, text.n);
    must(EVP_Digest(bytes, BLOCK_BYTES + text.n, ret, NULL, sha256, NULL) == 1);
}

/* RFC 2104. libcrypto's own looks for its algorithms each time, which takes longer than all the
 * rest of the header. */
static void hmac_sha256(const uint8_t key[SIGN_TRACE_KEY], struct slice text,
                        uint8_t ret[MAC_BYTES])
{
    uint8_t inner[MAC_BYTES];
    (void)pthread_once(&sha256_once, sha256_find);
    keyed_digest(key, 0x36, text, inner);
    keyed_digest(key, 0x5c, slice_of((const char *)inner, sizeof(inner)), ret);
}

/* Lengths stand before the ids, so that no two traces have the same bytes. */
static void trace_mac(const uint8_t key[SIGN_TRACE_KEY], const struct sign_trace *t,
                      uint8_t ret[MAC_BYTES])
{
    SCOPED(buf_finish) struct buf b = buf_make(TEXT_BYTES);
    buf_bytes(&b, SLICE("staffetta trace v1"));
    buf_bytes(&b, t->tenant);
    buf_bytes(&b, t->message);
    buf_u64(&b, (uint64_t)t->taken_sec);
    buf_u64(&b, t->primary);
    must(!b.failed);
    hmac_sha256(key, buf_slice(&b), ret);
}

enum err sign_trace_make(const uint8_t key[SIGN_TRACE_KEY], const struct sign_trace *t,
                         struct buf *out, struct errinfo *ei)
{
    if (!trace_is_valid(t))
        return err_set(ei, ERR_INVALID, "a trace id is 1 to %d printable bytes", SIGN_TRACE_ID_MAX);
    uint8_t mac[MAC_BYTES];
    trace_mac(key, t, mac);
    SCOPED(buf_finish) struct buf b = buf_make(256 + 2 * SIGN_TRACE_ID_MAX);
    buf_addf(&b,
             SIGN_TRACE_NAME ": v=1; t=" SLICE_FMT ";\r\n\ti=" SLICE_FMT ";\r\n\td=%llu; p=%llu;",
             SLICE_ARG(t->tenant), SLICE_ARG(t->message), (unsigned long long)t->taken_sec,
             (unsigned long long)t->primary);
    buf_adds(&b, SLICE("\r\n\ts="));
    sign_base64_add(&b, mac, sizeof(mac));
    buf_adds(&b, SLICE("\r\n"));
    must(!b.failed);
    char *room = buf_room(out, b.n);
    if (!room)
        return err_set(ei, ERR_FULL, "no room for the trace header");
    memcpy(room, b.p, b.n);
    return ERR_OK;
}

static struct slice tag_value(const struct sign_tags *tags, const char *name)
{
    const struct slice *value = sign_tags_get(tags, name);
    return value ? *value : SLICE("");
}

bool sign_trace_check(const uint8_t key[SIGN_TRACE_KEY], struct slice value, struct sign_trace *ret)
{
    struct sign_tags tags;
    uint64_t taken, primary;
    uint8_t claimed[MAC_BYTES], mac[MAC_BYTES];
    size_t n;
    if (value.n > 16 * 1024 || !sign_tags_parse(value, &tags) || tags.n != 6)
        return false;
    struct sign_trace t = {.tenant = tag_value(&tags, "t"), .message = tag_value(&tags, "i")};
    if (!slice_eq(tag_value(&tags, "v"), SLICE("1")) ||
        !slice_u64(tag_value(&tags, "d"), INT64_MAX, &taken) ||
        !slice_u64(tag_value(&tags, "p"), UINT64_MAX, &primary) ||
        !sign_base64_read(tag_value(&tags, "s"), claimed, sizeof(claimed), &n) || n != MAC_BYTES)
        return false;
    t.taken_sec = (int64_t)taken;
    t.primary = primary;
    if (!trace_is_valid(&t))
        return false;
    trace_mac(key, &t, mac);
    if (CRYPTO_memcmp(mac, claimed, MAC_BYTES) != 0)
        return false;
    *ret = t;
    return true;
}
