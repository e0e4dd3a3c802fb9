/* Messages of the load generator: own headers, bodies cut from one pool of random lines.
 *
 * Cutting costs no copying, so the generator takes little of the processor that it measures.
 * Bodies start at different lines, so that no server can gain by remembering them. Each message
 * has exactly the size asked for, counted as it is stored (before dots are stuffed). */
#include "load_int.h"

#include <openssl/evp.h>

#define LINE_BYTES 76 /* with CRLF */
#define STUFF_EVERY 16
#define POOL_EXTRA_LINES 1024
#define TAIL_MAX (LINE_BYTES + 1)
#define TAIL_END "\r\n.\r\n"
#define TAIL_END_BYTES (sizeof TAIL_END - 1)

static char *pool;
static size_t n_pool_lines;
static char tail[TAIL_MAX + sizeof TAIL_END]; /* letters, then the end of a message */

/* Every STUFF_EVERYth line begins with a dot and so has one byte more on the wire. */
static size_t line_offset(size_t line)
{
    return line * LINE_BYTES + (line + STUFF_EVERY - 1) / STUFF_EVERY;
}

static uint64_t random_step(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void load_message_prepare(void)
{
    uint64_t state = load_settings.seed | 1;
    n_pool_lines = load_settings.size_bytes / LINE_BYTES + POOL_EXTRA_LINES;
    pool = mem_new(line_offset(n_pool_lines));
    for (size_t i = 0; i < n_pool_lines; i++) {
        char *p = pool + line_offset(i);
        size_t at = 0;
        if (i % STUFF_EVERY == 0) {
            p[at++] = '.';
            p[at++] = '.';
        }
        size_t n = LINE_BYTES - 2 + (i % STUFF_EVERY == 0 ? 1 : 0);
        for (; at < n; at++)
            p[at] = (char)(at == 0 ? 'a' : '!' + (char)(random_step(&state) % 94));
        p[n] = '\r';
        p[n + 1] = '\n';
    }
    memset(tail, 'x', TAIL_MAX);
    memcpy(tail + TAIL_MAX, TAIL_END, TAIL_END_BYTES);
}

void load_message_id(uint64_t number, char ret[LOAD_ID_MAX])
{
    (void)snprintf(ret, LOAD_ID_MAX, "%.60s-%llu", load_settings.run, (unsigned long long)number);
}

void load_message_address(struct buf *out, const char *pattern, uint64_t number)
{
    const char *mark = strstr(pattern, "%d");
    if (!mark) {
        buf_adds(out, slice_str(pattern));
        return;
    }
    buf_add(out, pattern, (size_t)(mark - pattern));
    buf_addf(out, "%llu", (unsigned long long)(number % load_settings.rcpt_range));
    buf_adds(out, slice_str(mark + 2));
}

static void headers_make(uint64_t number, mono_us sent, struct buf *h)
{
    char id[LOAD_ID_MAX];
    load_message_id(number, id);
    buf_clear(h);
    buf_adds(h, SLICE("From: <"));
    load_message_address(h, load_settings.from, number);
    buf_adds(h, SLICE(">\r\nTo: <"));
    load_message_address(h, load_settings.rcpts[0], number);
    buf_addf(h,
             ">\r\nSubject: load %s\r\nDate: %s\r\nMessage-ID: <%s@load.test>\r\n"
             "X-Load-Id: %s\r\nX-Load-Sent: %lld\r\n\r\n",
             id, utc_rfc5322(utc_now()).s, id, id, (long long)sent);
    must(!h->failed);
}

void load_message_make(uint64_t number, mono_us sent, struct buf *headers, struct iovec ret_iov[3])
{
    headers_make(number, sent, headers);
    size_t size = (size_t)load_settings.size_bytes;
    size_t left = size > headers->n + 2 ? size - headers->n : 2;
    size_t n_lines = left / LINE_BYTES;
    size_t n_tail = left % LINE_BYTES;
    /* A tail of one byte cannot end in CRLF: it takes the last whole line with it. */
    if (n_tail == 1) {
        n_lines--;
        n_tail += LINE_BYTES;
    }
    must(n_tail <= TAIL_MAX && n_lines + POOL_EXTRA_LINES / 2 <= n_pool_lines);
    size_t first = (size_t)(number % (POOL_EXTRA_LINES / 2));
    ret_iov[0] = (struct iovec){headers->p, headers->n};
    ret_iov[1] = (struct iovec){pool + line_offset(first),
                                line_offset(first + n_lines) - line_offset(first)};
    /* Without a tail the last whole line has brought its own CRLF. */
    char *end = tail + TAIL_MAX;
    ret_iov[2] = n_tail ? (struct iovec){end - (n_tail - 2), n_tail - 2 + TAIL_END_BYTES}
                        : (struct iovec){end + 2, TAIL_END_BYTES - 2};
}

/* One piece begins with a line and only the pool's lines begin with dots: two of them for one. */
static void digest_add(EVP_MD_CTX *digest, const char *p, size_t n)
{
    const char *end = p + n;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        const char *next = stop ? stop + 1 : end;
        p += *p == '.';
        must(EVP_DigestUpdate(digest, p, (size_t)(next - p)) == 1);
        p = next;
    }
}

void load_message_digest(const struct iovec iov[3], char ret[LOAD_DIGEST_MAX])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    must(digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    digest_add(digest, iov[0].iov_base, iov[0].iov_len);
    digest_add(digest, iov[1].iov_base, iov[1].iov_len);
    digest_add(digest, iov[2].iov_base, iov[2].iov_len - strlen(".\r\n"));
    must(EVP_DigestFinal_ex(digest, bytes, &n) == 1);
    EVP_MD_CTX_free(digest);
    for (unsigned i = 0; i < n; i++)
        (void)snprintf(ret + 2 * (size_t)i, 3, "%02x", bytes[i]);
}
