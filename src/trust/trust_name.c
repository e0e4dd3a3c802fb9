/* Domain names and addresses as text, and questions about them. */
#include "trust_int.h"

#include <arpa/inet.h>

bool trust_name_is_valid(struct slice name)
{
    size_t label = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '\0')
            return false;
        if (name.p[i] != '.')
            label++;
        else if (label == 0)
            return false;
        else
            label = 0;
        if (label > 63)
            return false;
    }
    return label > 0 && name.n <= TRUST_NAME_MAX;
}

struct slice trust_name_trim(struct slice name)
{
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    return name;
}

bool trust_name_is_below(struct slice name, struct slice tail)
{
    if (tail.n == 0 || name.n < tail.n)
        return false;
    if (name.n > tail.n && name.p[name.n - tail.n - 1] != '.')
        return false;
    return slice_ieq(slice_skip(name, name.n - tail.n), tail);
}

size_t trust_name_labels(struct slice name)
{
    size_t n = name.n > 0 ? 1 : 0;
    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == '.' ? 1 : 0;
    return n;
}

struct slice trust_name_parent(struct slice name)
{
    struct slice rest;
    (void)slice_cut(name, '.', &rest);
    return rest;
}

struct slice trust_path_domain(struct slice mail_from)
{
    for (size_t i = mail_from.n; i > 0; i--)
        if (mail_from.p[i - 1] == '@')
            return trust_name_trim(slice_skip(mail_from, i));
    return SLICE("");
}

bool trust_ip_read(struct slice text, bool is_v6, struct trust_ip *ret)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(copy) || slice_find(text, '\0') >= 0)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    struct trust_ip ip = {.is_v6 = is_v6};
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, copy, ip.bytes) != 1)
        return false;
    *ret = ip;
    return true;
}

bool trust_ip_parse(struct slice text, struct trust_ip *ret)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct trust_ip ip;
    if (trust_ip_read(text, false, ret))
        return true;
    if (!trust_ip_read(text, true, &ip))
        return false;
    *ret = ip;
    if (memcmp(ip.bytes, mapped, sizeof(mapped)) == 0) {
        *ret = (struct trust_ip){};
        memcpy(ret->bytes, ip.bytes + sizeof(mapped), 4);
    }
    return true;
}

enum trust_dns_status trust_ask(const struct trust_dns *dns, struct slice name, uint16_t type,
                                struct arena *a, struct trust_answer *ret)
{
    name = trust_name_trim(name);
    if (!trust_name_is_valid(name))
        return TRUST_DNS_NXDOMAIN;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] >= 0x80)
            return TRUST_DNS_NXDOMAIN;
    struct trust_answer answer = {};
    enum trust_dns_status status = dns->ask(dns->self, name, type, a, &answer);
    if (status == TRUST_DNS_OK && answer.n_records == 0)
        return TRUST_DNS_NODATA;
    if (status == TRUST_DNS_OK)
        *ret = answer;
    return status;
}
