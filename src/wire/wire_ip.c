/* IP addresses as text and as bytes. Reading and writing them is libc's; no socket is involved. */
#include "wire/wire_int.h"

#include <arpa/inet.h>

struct wire_ip wire_ip_make(unsigned version, const void *bytes)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct wire_ip ip = {.version = version == 4 ? 4 : 6};
    if (version == 6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        /* One client, one form: limits, lists and SPF would see two peers otherwise. */
        ip.version = 4;
        memcpy(ip.bytes, (const char *)bytes + sizeof(mapped), 4);
    } else {
        memcpy(ip.bytes, bytes, version == 4 ? 4 : 16);
    }
    return ip;
}

bool wire_ip_parse(struct slice text, struct wire_ip *ret)
{
    char copy[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];
    if (text.n == 0 || text.n >= sizeof(copy) || slice_find(text, '\0') >= 0)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    bool is_v6 = slice_find(text, ':') >= 0;
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, copy, bytes) != 1)
        return false;
    *ret = wire_ip_make(is_v6 ? 6 : 4, bytes);
    return true;
}

struct wire_ip_text wire_ip_text(struct wire_ip ip)
{
    struct wire_ip_text text = {""};
    if (ip.version == 0)
        return text;
    const char *done =
        inet_ntop(ip.version == 4 ? AF_INET : AF_INET6, ip.bytes, text.s, sizeof(text.s));
    must(done != NULL);
    return text;
}
