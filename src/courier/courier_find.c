/* Finding a mail server: hosts of a job, mail exchangers of a domain, addresses of a host.
 * RFC 5321 section 5.1, RFC 7505 (null MX). What DNS says is hostile: bounded and checked. */
#include "courier/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "net/net.h"

enum { TYPE_A = 1, TYPE_MX = 15, TYPE_AAAA = 28 };

static uint32_t random_below(uint32_t n)
{
    uint32_t r;
    random_bytes(&r, sizeof(r));
    return r % n;
}

/* Ask; false: no usable answer came, and `*end` says why. */
static bool ask(const struct courier_network *net, const char *name, uint16_t type,
                mono_us deadline, struct arena *a, struct ipc_name_told *ret,
                struct courier_end *end)
{
    struct ipc_name_ask question = {.name = slice_str(name), .type = type};
    mono_us until = mono_now() + net->timeouts.name;
    struct ipc_name_told told = {};
    enum err err =
        net->resolve(net->resolve_arg, &question, until < deadline ? until : deadline, a, &told);
    if (err == ERR_OK && told.status == IPC_NAME_BOGUS)
        courier_end_words(end, SMTP_PHASE_NAME, "",
                          "the answer of DNS for %s is forged or wrongly signed: " SLICE_FMT, name,
                          SLICE_ARG(told.why));
    else if (err != ERR_OK || told.status == IPC_NAME_FAILED)
        courier_end_words(end, SMTP_PHASE_NAME, "", "no answer of DNS for %s%s" SLICE_FMT, name,
                          told.why.n ? ": " : "", SLICE_ARG(told.why));
    else {
        *ret = told;
        return true;
    }
    end->is_ours = err != ERR_OK || told.status == IPC_NAME_FAILED;
    return false;
}

/* A name in wire format, alone in `s`, as text. False: not a host name. The root gives "". */
static bool name_of_wire(struct slice s, char ret[256])
{
    size_t n = 0;
    for (;;) {
        if (s.n == 0)
            return false;
        size_t label = (unsigned char)s.p[0];
        s = slice_skip(s, 1);
        if (label == 0)
            break;
        if (label > 63 || label > s.n || n + label + 2 > 255)
            return false;
        if (n > 0)
            ret[n++] = '.';
        for (size_t i = 0; i < label; i++) {
            char c = s.p[i];
            bool is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_';
            if (!is_good)
                return false; /* also no dots inside labels */
            ret[n++] = ascii_lower(c);
        }
        s = slice_skip(s, label);
    }
    ret[n] = '\0';
    return s.n == 0;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static void hosts_add(struct courier_hosts *h, const char *name, uint16_t port, uint16_t preference)
{
    size_t at = h->n;
    while (at > 0 && h->host[at - 1].preference > preference)
        at--;
    if (at == COURIER_HOSTS_MAX)
        return; /* further ones are less wanted than all that we have */
    size_t n_move = (h->n < COURIER_HOSTS_MAX ? h->n : COURIER_HOSTS_MAX - 1) - at;
    memmove(&h->host[at + 1], &h->host[at], n_move * sizeof(h->host[0]));
    (void)snprintf(h->host[at].name, sizeof(h->host[at].name), "%s", name);
    h->host[at].port = port;
    h->host[at].preference = preference;
    if (h->n < COURIER_HOSTS_MAX)
        h->n++;
}

/* Equal preferences share the load (RFC 5321 section 5.1). */
static void hosts_shuffle(struct courier_hosts *h)
{
    for (size_t from = 0, to; from < h->n; from = to) {
        for (to = from; to < h->n && h->host[to].preference == h->host[from].preference; to++)
            ;
        for (size_t left = to - from; left > 1; left--) {
            size_t a = from + left - 1, b = from + random_below((uint32_t)left);
            typeof(h->host[0]) keep = h->host[a];
            h->host[a] = h->host[b];
            h->host[b] = keep;
        }
    }
}

/* If we are one of the exchangers, those that are not better would only bring it back to us. */
static bool hosts_cut_at_us(struct courier_hosts *h, const char *hostname)
{
    for (size_t i = 0; i < h->n; i++) {
        if (!slice_ieq(slice_str(h->host[i].name), slice_str(hostname)))
            continue;
        while (i > 0 && h->host[i - 1].preference == h->host[i].preference)
            i--;
        h->n = i;
        return true;
    }
    return false;
}

static bool hosts_of_mx(const struct courier_network *net, const char *domain,
                        const struct ipc_name_told *told, struct courier_hosts *ret,
                        struct courier_end *end)
{
    bool has_root = false;
    for (uint32_t i = 0; i < told->n_records; i++) {
        struct slice data = told->records[i].data;
        char name[256];
        if (data.n < 3 || !name_of_wire(slice_skip(data, 2), name))
            continue;
        uint16_t preference = (uint16_t)((unsigned char)data.p[0] << 8 | (unsigned char)data.p[1]);
        if (name[0] == '\0')
            has_root = true;
        else
            hosts_add(ret, name, net->world_port, preference);
    }
    if (hosts_cut_at_us(ret, net->hostname) && ret->n == 0) {
        courier_end_words(end, SMTP_PHASE_NAME, "554 5.4.6",
                          "mail for %s would come back to us: we are its best mail exchanger",
                          domain);
        return false;
    }
    if (ret->n == 0 && has_root)
        courier_end_words(end, SMTP_PHASE_NAME, "556 5.1.10", "%s takes no mail (null MX)", domain);
    else if (ret->n == 0)
        courier_end_words(end, SMTP_PHASE_NAME, "550 5.4.4",
                          "no mail exchanger of %s has a usable name", domain);
    hosts_shuffle(ret);
    return ret->n > 0;
}

static bool hosts_of_domain(const struct courier_network *net, const char *domain, mono_us deadline,
                            struct courier_hosts *ret, struct courier_end *end)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(COURIER_NAME_BYTES);
    struct ipc_name_told told;
    if (!ask(net, domain, TYPE_MX, deadline, a, &told, end))
        return false;
    if (told.status == IPC_NAME_NO_NAME) {
        courier_end_words(end, SMTP_PHASE_NAME, "550 5.1.2", "the domain %s does not exist",
                          domain);
        return false;
    }
    if (told.status == IPC_NAME_OK)
        return hosts_of_mx(net, domain, &told, ret, end);
    hosts_add(ret, domain, net->world_port, 0); /* no MX: the domain itself */
    return true;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" without the brackets: RFC 5321 section 4.1.3. */
static bool host_of_literal(struct slice inside, char ret[256])
{
    struct wire_ip ip;
    if (slice_istarts(inside, SLICE("IPv6:")))
        inside = slice_skip(inside, 5);
    if (!wire_ip_parse(inside, &ip))
        return false;
    (void)snprintf(ret, 256, "%s", wire_ip_text(ip).s);
    return true;
}

bool courier_hosts_find(const struct courier_network *net, const struct ipc_job *job,
                        mono_us deadline, struct courier_hosts *ret, struct courier_end *end)
{
    char name[256];
    struct slice d = job->domain;
    *ret = (struct courier_hosts){};
    for (uint32_t i = 0; i < job->n_hosts; i++) {
        (void)snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(job->hosts[i].name));
        hosts_add(ret, name, job->hosts[i].port, (uint16_t)i);
    }
    if (job->n_hosts > 0)
        return true;
    ret->is_world = true;
    if (d.n >= 2 && d.p[0] == '[' && d.p[d.n - 1] == ']') {
        if (host_of_literal(slice_of(d.p + 1, d.n - 2), name)) {
            hosts_add(ret, name, net->world_port, 0);
            return true;
        }
        d.n = 0; /* no other kind of literal leads anywhere */
    }
    if (d.n == 0 || slice_find(d, '\0') >= 0) {
        courier_end_words(end, SMTP_PHASE_NAME, "550 5.1.2", "the domain has no usable name");
        return false;
    }
    (void)snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(d));
    return hosts_of_domain(net, name, deadline, ret, end);
}

/* ---- addresses ---------------------------------------------------------------------------------
 */

static void address_make(struct slice bytes, uint16_t port, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (bytes.n == 4) {
        struct sockaddr_in *four = (struct sockaddr_in *)ret;
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        memcpy(&four->sin_addr, bytes.p, 4);
    } else {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        memcpy(&six->sin6_addr, bytes.p, 16);
    }
}

static void take_addresses(const struct ipc_name_told *told, size_t bytes, uint16_t port,
                           struct courier_addresses *ret)
{
    *ret = (struct courier_addresses){};
    for (uint32_t i = 0; i < told->n_records && ret->n < COURIER_ADDRESSES_MAX / 2; i++)
        if (told->records[i].data.n == bytes)
            address_make(told->records[i].data, port, &ret->address[ret->n++]);
}

/* Both kinds in turn, so that one broken kind costs one wait and not four. */
static void mix(const struct courier_addresses *six, const struct courier_addresses *four,
                struct courier_addresses *ret)
{
    *ret = (struct courier_addresses){};
    for (size_t i = 0; i < COURIER_ADDRESSES_MAX / 2; i++) {
        if (i < six->n)
            ret->address[ret->n++] = six->address[i];
        if (i < four->n)
            ret->address[ret->n++] = four->address[i];
    }
}

bool courier_addresses_find(const struct courier_network *net, const char *host, uint16_t port,
                            mono_us deadline, struct courier_addresses *ret,
                            struct courier_end *end)
{
    struct courier_addresses six = {}, four = {};
    struct ipc_name_told told;
    *ret = (struct courier_addresses){};
    if (net_address_parse(slice_str(host), port, &ret->address[0])) {
        ret->n = 1;
        return true;
    }
    SCOPED(arena_destroy) struct arena *a = arena_create(COURIER_NAME_BYTES);
    bool has_six = ask(net, host, TYPE_AAAA, deadline, a, &told, end);
    if (has_six)
        take_addresses(&told, 16, port, &six);
    arena_reset(a);
    bool has_four = ask(net, host, TYPE_A, deadline, a, &told, end);
    if (has_four)
        take_addresses(&told, 4, port, &four);
    mix(&six, &four, ret);
    if (ret->n == 0 && has_six && has_four)
        courier_end_words(end, SMTP_PHASE_NAME, "550 5.4.4", "%s has no address", host);
    return ret->n > 0;
}
