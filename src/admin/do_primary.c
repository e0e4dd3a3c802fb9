/* Mail systems of companies: where they are, how to reach them, what they may do. */
#include "admin/admin_int.h"

#include "wire/wire.h"

#include <stdlib.h>

enum { PORT_SMTP = 25, HOST_TEXT = 280 };

static const char *const ways[] = {
    [DIR_TLS_MAY] = "may",
    [DIR_TLS_MUST] = "must",
    [DIR_TLS_VERIFY] = "verify",
    [DIR_TLS_NEVER] = "never",
};

/* ---- showing ---- */

void write_hosts(struct out *j, const struct dir_host *hosts, uint32_t n)
{
    out_array(j, "hosts");
    for (uint32_t i = 0; i < n; i++) {
        SCOPED(buf_finish) struct buf b = buf_make(HOST_TEXT);
        bool is_six = slice_find(hosts[i].name, ':') >= 0;
        buf_addf(&b, is_six ? "[" SLICE_FMT "]:%u" : SLICE_FMT ":%u", SLICE_ARG(hosts[i].name),
                 hosts[i].port);
        out_text(j, NULL, buf_slice(&b));
    }
    out_close(j);
}

static void write_primary(struct admin_call *c, const struct directory_primary *p)
{
    const struct dir_primary *f = &p->facts;
    struct out *j = &c->json;
    out_object(j, NULL);
    out_text(j, "name", f->name);
    out_text(j, "tenant", name_of_tenant(c->host, p->tenant));
    write_hosts(j, f->hosts, f->n_hosts);
    out_word(j, "tls", ways[f->tls <= DIR_TLS_NEVER ? f->tls : DIR_TLS_MAY]);
    out_text_if(j, "tls_name", f->tls_name);
    write_texts(j, "networks", f->networks, f->n_networks);
    out_truth(j, "shared", f->is_shared);
    out_text_if(j, "certificate", f->certificate);
    out_truth(j, "xclient", f->has_xclient);
    out_number_if(j, "connections", f->connections);
    write_state(c, "state", p);
    out_close(j);
}

static int by_name(const void *a, const void *b)
{
    const struct directory_primary *const *x = a, *const *y = b;
    if ((*x)->tenant != (*y)->tenant)
        return (*x)->tenant < (*y)->tenant ? -1 : 1;
    return slice_cmp((*x)->facts.name, (*y)->facts.name);
}

static const struct directory_primary **gather(struct admin_call *c, uint64_t tenant, size_t *ret_n)
{
    const struct directory *d = c->host->directory;
    const struct directory_primary *p;
    size_t n = 0, max = 0;
    for (size_t at = 0; directory_next_primary(d, &at);)
        max++;
    const struct directory_primary **all =
        ARENA_ARRAY(c->arena, const struct directory_primary *, max + 1);
    for (size_t at = 0; (p = directory_next_primary(d, &at));)
        if (tenant == 0 || p->tenant == tenant)
            all[n++] = p;
    qsort(all, n, sizeof(*all), by_name);
    *ret_n = n;
    return all;
}

static void list(struct admin_call *c, const char *key,
                 void (*write)(struct admin_call *c, const struct directory_primary *p))
{
    uint64_t tenant;
    size_t n;
    if (!call_tenant_filter(c, &tenant))
        return;
    const struct directory_primary **all = gather(c, tenant, &n);
    out_object(&c->json, NULL);
    out_array(&c->json, key);
    for (size_t i = 0; i < n; i++)
        write(c, all[i]);
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}

void do_primary_list(struct admin_call *c)
{
    list(c, "primaries", write_primary);
}

void do_primary_show(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    write_primary(c, p);
    call_done(c);
}

static void write_plain_state(struct admin_call *c, const struct directory_primary *p)
{
    write_state(c, NULL, p);
}

void do_state_list(struct admin_call *c)
{
    list(c, "states", write_plain_state);
}

/* ---- hosts and networks ---- */

/* "mail.example:25", "192.0.2.1", "[2001:db8::1]:2525". */
static bool read_host(struct slice text, uint16_t usual_port, struct dir_host *ret)
{
    uint64_t port = usual_port;
    struct slice name = text, digits = SLICE("");
    struct wire_ip ip;
    ptrdiff_t end = slice_find(text, ']');
    ptrdiff_t colon = slice_find(text, ':');
    if (text.n > 0 && text.p[0] == '[') {
        if (end < 0)
            return false;
        name = slice_of(text.p + 1, (size_t)end - 1);
        struct slice rest = slice_skip(text, (size_t)end + 1);
        if (rest.n > 0 && (rest.p[0] != ':' || rest.n == 1))
            return false;
        digits = slice_skip(rest, 1);
        if (!wire_ip_parse(name, &ip))
            return false;
    } else if (colon >= 0 && !wire_ip_parse(text, &ip)) {
        name = slice_of(text.p, (size_t)colon);
        digits = slice_skip(text, (size_t)colon + 1);
        if (digits.n == 0)
            return false;
    }
    if (digits.n > 0 && (!slice_u64(digits, 65535, &port) || port == 0))
        return false;
    if (!wire_ip_parse(name, &ip) && wire_domain_check(name, false).fault != WIRE_FINE)
        return false;
    *ret = (struct dir_host){.name = name, .port = (uint16_t)port};
    return true;
}

bool read_hosts(struct admin_call *c, uint16_t usual_port, struct dir_host **ret, uint32_t *ret_n)
{
    size_t n;
    const json_t *texts = body_list(c->body, "hosts", &n);
    if (!texts)
        return true;
    *ret = ARENA_ARRAY(c->arena, struct dir_host, n + 1);
    *ret_n = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        if (!read_host(body_item(texts, i), usual_port, &(*ret)[i])) {
            call_refuse(c, 400,
                        "%s is not a host to reach. Nothing was changed. Write it as "
                        "mail.rossi.example:25, 192.0.2.1:25 or [2001:db8::1]:25.",
                        log_text(body_item(texts, i)));
            return false;
        }
    if (n > 0)
        return true;
    call_refuse(c, 400,
                "\"hosts\" is empty: a mail system must be somewhere. Nothing was "
                "changed.");
    return false;
}

static bool do_overlap(struct slice a, struct slice b)
{
    unsigned char x[16], y[16];
    uint8_t prefix_x = 0, prefix_y = 0;
    size_t n = directory_network(a, x, &prefix_x);
    if (n == 0 || n != directory_network(b, y, &prefix_y))
        return false;
    unsigned bits = prefix_x < prefix_y ? prefix_x : prefix_y;
    if (memcmp(x, y, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || (x[bits / 8] ^ y[bits / 8]) >> (8 - rest) == 0;
}

/* An address alone proves who speaks only if it belongs to that company alone. */
static bool is_ours_alone(struct admin_call *c, uint64_t tenant, struct slice network)
{
    const struct directory *d = c->host->directory;
    const struct directory_primary *p;
    for (size_t at = 0; (p = directory_next_primary(d, &at));) {
        if (p->tenant == tenant || p->facts.is_shared)
            continue;
        for (uint32_t i = 0; i < p->facts.n_networks; i++) {
            if (!do_overlap(network, p->facts.networks[i].text))
                continue;
            call_refuse(c, 409,
                        "The network %s overlaps with %s of another company's mail system %s. "
                        "Nothing was changed. If both send from there, mark it \"shared\" and "
                        "give the \"certificate\" that proves who it is.",
                        log_text(network), log_text(p->facts.networks[i].text),
                        log_text(p->facts.name));
            return false;
        }
    }
    return true;
}

static bool read_networks(struct admin_call *c, struct dir_primary *f)
{
    size_t n;
    unsigned char bytes[16];
    uint8_t prefix;
    const json_t *texts = body_list(c->body, "networks", &n);
    if (!texts)
        return true;
    f->networks = ARENA_ARRAY(c->arena, struct dir_text, n + 1);
    f->n_networks = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        f->networks[i].text = body_item(texts, i);
        if (directory_network(f->networks[i].text, bytes, &prefix) == 0) {
            call_refuse(c, 400,
                        "%s is not a network. Nothing was changed. Write it as "
                        "192.0.2.0/24, 192.0.2.1 or 2001:db8::/32.",
                        log_text(f->networks[i].text));
            return false;
        }
    }
    return true;
}

static bool check_proof(struct admin_call *c, uint64_t tenant, const struct dir_primary *f)
{
    for (size_t i = 0; i < f->certificate.n; i++)
        if (slice_find(SLICE("0123456789abcdefABCDEF"), f->certificate.p[i]) < 0 ||
            f->certificate.n != 64) {
            call_refuse(c, 400,
                        "\"certificate\" must be a SHA-256: 64 hexadecimal digits, as "
                        "`openssl x509 -fingerprint -sha256` shows without its colons. "
                        "Nothing was changed.");
            return false;
        }
    if (f->is_shared && f->certificate.n == 0) {
        call_refuse(c, 400,
                    "Others send from these networks too, so the address alone proves "
                    "nothing: \"certificate\" is missing. Nothing was changed.");
        return false;
    }
    for (uint32_t i = 0; i < f->n_networks && !f->is_shared; i++)
        if (!is_ours_alone(c, tenant, f->networks[i].text))
            return false;
    return true;
}

/* ---- adding and changing ---- */

static bool read_tls(struct admin_call *c, struct dir_primary *f)
{
    struct slice way = body_text(c->body, "tls");
    for (uint8_t i = 0; i <= DIR_TLS_NEVER; i++)
        if (slice_eq(way, slice_str(ways[i])))
            f->tls = i;
    if (!body_has(c->body, "tls_name"))
        return true;
    f->tls_name = body_text(c->body, "tls_name");
    if (f->tls_name.n == 0 || wire_domain_check(f->tls_name, false).fault == WIRE_FINE)
        return true;
    call_refuse(c, 400, "%s is not a host name (\"tls_name\"). Nothing was changed.",
                log_text(f->tls_name));
    return false;
}

static bool read_facts(struct admin_call *c, uint64_t tenant, struct dir_primary *f)
{
    if (body_has(c->body, "certificate"))
        f->certificate = body_text(c->body, "certificate");
    f->is_shared = body_truth(c->body, "shared", f->is_shared);
    f->has_xclient = body_truth(c->body, "xclient", f->has_xclient);
    f->connections = (uint16_t)body_number(c->body, "connections", f->connections);
    return read_hosts(c, PORT_SMTP, &f->hosts, &f->n_hosts) && read_networks(c, f) &&
           read_tls(c, f) && check_proof(c, tenant, f);
}

static void written(struct admin_call *c)
{
    const uint64_t *id = c->work;
    const struct directory_primary *p = directory_primary(c->host->directory, *id);
    must(p); /* just written, and changes take turns */
    write_primary(c, p);
    call_done(c);
}

static void put(struct admin_call *c, uint64_t id, uint64_t tenant, const struct dir_primary *f)
{
    SCOPED(buf_finish) struct buf body = buf_make(64000);
    dir_primary_pack(&body, f);
    struct record_object o = call_object(c, OBJECT_PRIMARY, tenant, f->name, &body);
    if (id)
        o.id = id;
    uint64_t *work = ARENA_NEW(c->arena, uint64_t);
    *work = o.id;
    c->work = work;
    call_put(c, &o, written);
}

void do_primary_add(struct admin_call *c)
{
    struct dir_primary f = {.name = body_text(c->body, "name")};
    const struct directory_tenant *t = call_tenant(c, body_text(c->body, "tenant"));
    if (!t)
        return;
    if (slice_trim(f.name).n != f.name.n || f.name.n == 0) {
        call_refuse(c, 400,
                    "A mail system needs a name without blanks at its ends. Nothing was "
                    "changed.");
        return;
    }
    if (directory_find(c->host->directory, OBJECT_PRIMARY, t->id, f.name)) {
        call_refuse(c, 409,
                    "This company has a mail system %s already. Nothing was changed. "
                    "`staffetta primary set` changes it.",
                    log_text(f.name));
        return;
    }
    if (read_facts(c, t->id, &f))
        put(c, 0, t->id, &f);
}

void do_primary_set(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    struct dir_primary f = p->facts;
    if (read_facts(c, p->tenant, &f)) {
        f.name = arena_copy(c->arena, f.name); /* the object it is borrowed from goes away */
        put(c, p->id, p->tenant, &f);
    }
}

/* ---- removing ---- */

/* What still goes to it, in the name of somebody; empty: nothing. */
static struct slice user_of(const struct admin_host *h, uint64_t primary, bool *ret_is_domain)
{
    const struct directory_domain *d;
    const struct directory_person *p;
    for (size_t at = 0; (d = directory_next_domain(h->directory, &at));)
        if (d->facts.primary == primary) {
            *ret_is_domain = true;
            return d->facts.name;
        }
    for (size_t at = 0; (p = directory_next_person(h->directory, &at));)
        if (p->facts.primary == primary)
            return p->facts.addresses[0].text;
    return SLICE("");
}

/* Mail is never left behind for a system that nobody knows any more, and never sent to another one
 * than it was accepted for without a person's word. */
static bool may_remove(struct admin_call *c, const struct directory_primary *p)
{
    bool is_domain = false;
    struct slice user = user_of(c->host, p->id, &is_domain);
    uint64_t n = queue_waiting_for(c->host->queue, p->id);
    if (user.n > 0) {
        call_refuse(c, 409,
                    "Mail for %s goes to it. Nothing was changed. Give it another mail system "
                    "first: `staffetta %s set %s --primary NAME`.",
                    log_text(user), is_domain ? "domain" : "person", log_text(user));
        return false;
    }
    if (n > 0)
        call_refuse(c, 409,
                    "%llu %s for it. Nothing was changed. `staffetta queue list --primary %s` "
                    "shows what: wait until it is delivered, or return or remove each with "
                    "`staffetta queue return` or `remove`. Has the mail system only moved? "
                    "`staffetta primary set %s --host HOST:PORT` sends all of it there.",
                    (unsigned long long)n, n == 1 ? "delivery waits" : "deliveries wait",
                    log_text(p->facts.name), log_text(p->facts.name));
    return n == 0;
}

void do_primary_remove(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p || !may_remove(c, p))
        return;
    call_remove(c, &(struct removal){OBJECT_PRIMARY, p->id, p->tenant, p->facts.name,
                                     "It is not asked or given mail any more. What the ledger says "
                                     "about it stays."});
}
