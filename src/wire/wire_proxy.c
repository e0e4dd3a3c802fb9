/* The PROXY protocol of HAProxy, versions 1 and 2 (proxy-protocol.txt). From whom it may be taken
 * is smtp's and web's to decide: whoever may send it says who the client is. */
#include "wire/wire_int.h"

#define V1_MAX 107 /* bytes of a line with CRLF, section 2.1 */
#define V2_HEAD 16

static const struct slice v2_signature = {"\r\n\r\n\0\r\nQUIT\n", 12};
static const struct slice v1_signature = {"PROXY ", 6};

/* Is `input` the beginning of `signature`, or the other way round? */
static bool fits(struct slice input, struct slice signature)
{
    size_t n = input.n < signature.n ? input.n : signature.n;
    return slice_starts(input, slice_of(signature.p, n));
}

static bool take_port(struct slice word, uint16_t *ret)
{
    uint64_t port;
    bool has_zero = word.n > 1 && word.p[0] == '0';
    if (has_zero || !slice_u64(word, UINT16_MAX, &port))
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool take_address(struct slice word, bool is_v6, struct wire_ip *ret)
{
    return (slice_find(word, ':') >= 0) == is_v6 && wire_ip_parse(word, ret);
}

static bool v1_line(struct slice line, struct wire_proxy *ret)
{
    struct slice words[6];
    size_t n = 0;
    bool is_last = false;
    line = slice_skip(line, v1_signature.n);
    if (slice_starts(line, SLICE("UNKNOWN")))
        return line.n == 7 || line.p[7] == ' ';
    while (!is_last && n < 6) {
        is_last = slice_find(line, ' ') < 0;
        words[n++] = slice_cut(line, ' ', &line);
    }
    if (!is_last || n != 5)
        return false;
    bool is_v6 = slice_eq(words[0], SLICE("TCP6"));
    if (!is_v6 && !slice_eq(words[0], SLICE("TCP4")))
        return false;
    ret->has_addresses = true;
    return take_address(words[1], is_v6, &ret->source) &&
           take_address(words[2], is_v6, &ret->destination) &&
           take_port(words[3], &ret->source_port) && take_port(words[4], &ret->destination_port);
}

static enum wire_proxy_result v1_parse(struct slice input, struct wire_proxy *ret, size_t *ret_used)
{
    struct wire_proxy proxy = {.source_port = 0};
    struct slice head = slice_of(input.p, input.n < V1_MAX ? input.n : V1_MAX);
    ptrdiff_t lf = slice_find(head, '\n');
    if (lf < 0)
        return head.n < V1_MAX ? WIRE_PROXY_MORE : WIRE_PROXY_BAD;
    if (head.p[lf - 1] != '\r' || !v1_line(slice_of(head.p, (size_t)lf - 1), &proxy))
        return WIRE_PROXY_BAD;
    *ret = proxy;
    *ret_used = (size_t)lf + 1;
    return WIRE_PROXY_DONE;
}

static uint16_t read_be16(const char *p)
{
    return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

/* Addresses of a PROXY command; false: a family or transport that cannot be right here. */
static bool v2_addresses(unsigned char family, struct slice block, struct wire_proxy *ret)
{
    size_t ip_n = family == 0x21 ? 16 : 4;
    if (family == 0x00 || family == 0x31) /* not said, or a Unix socket */
        return true;
    if ((family != 0x11 && family != 0x21) || block.n < 2 * ip_n + 4)
        return false;
    unsigned version = family == 0x21 ? 6 : 4;
    ret->has_addresses = true;
    ret->source = wire_ip_make(version, block.p);
    ret->destination = wire_ip_make(version, block.p + ip_n);
    ret->source_port = read_be16(block.p + 2 * ip_n);
    ret->destination_port = read_be16(block.p + 2 * ip_n + 2);
    return true;
}

static enum wire_proxy_result v2_parse(struct slice input, struct wire_proxy *ret, size_t *ret_used)
{
    struct wire_proxy proxy = {.source_port = 0};
    if (input.n < V2_HEAD)
        return WIRE_PROXY_MORE;
    unsigned char command = (unsigned char)input.p[12];
    unsigned char family = (unsigned char)input.p[13];
    size_t n = V2_HEAD + (size_t)read_be16(input.p + 14);
    if ((command != 0x20 && command != 0x21) || n > WIRE_PROXY_MAX)
        return WIRE_PROXY_BAD;
    if (input.n < n)
        return WIRE_PROXY_MORE;
    struct slice block = slice_of(input.p + V2_HEAD, n - V2_HEAD);
    if (command == 0x21 && !v2_addresses(family, block, &proxy))
        return WIRE_PROXY_BAD;
    *ret = proxy;
    *ret_used = n;
    return WIRE_PROXY_DONE;
}

enum wire_proxy_result wire_proxy_parse(struct slice input, struct wire_proxy *ret,
                                        size_t *ret_used)
{
    if (fits(input, v1_signature))
        return input.n < v1_signature.n ? WIRE_PROXY_MORE : v1_parse(input, ret, ret_used);
    if (fits(input, v2_signature))
        return input.n < v2_signature.n ? WIRE_PROXY_MORE : v2_parse(input, ret, ret_used);
    return WIRE_PROXY_BAD;
}
