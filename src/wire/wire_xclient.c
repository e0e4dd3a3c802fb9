/* XCLIENT: the attributes that Postfix documents (XCLIENT_README), both directions. Who may send it
 * is smtp's to decide. */
#include "wire/client.h"
#include "wire/wire_int.h"

static enum wire_xclient_kind special(struct slice value)
{
    if (slice_ieq(value, SLICE("[UNAVAILABLE]")))
        return WIRE_XCLIENT_UNAVAILABLE;
    if (slice_ieq(value, SLICE("[TEMPUNAVAIL]")))
        return WIRE_XCLIENT_TEMPUNAVAIL;
    return WIRE_XCLIENT_GIVEN;
}

static bool set_text(struct slice value, struct wire_xclient_text *ret)
{
    memcpy(ret->s, value.p, value.n);
    ret->s[value.n] = '\0';
    return wire_all_graph(value);
}

static bool set_ip(struct slice value, struct wire_ip *ret)
{
    if (!slice_istarts(value, SLICE("IPV6:")))
        return slice_find(value, ':') < 0 && wire_ip_parse(value, ret);
    value = slice_skip(value, 5);
    return slice_find(value, ':') >= 0 && wire_ip_parse(value, ret);
}

static bool set_port(struct slice value, uint16_t *ret)
{
    uint64_t port;
    if (!slice_u64(value, UINT16_MAX, &port))
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool set_proto(struct slice value, bool *ret)
{
    *ret = slice_ieq(value, SLICE("ESMTP"));
    return *ret || slice_ieq(value, SLICE("SMTP"));
}

/* In the order of the WIRE_XATTR_ bits. */
enum attr { NAME, ADDR, PORT, PROTO, HELO, LOGIN, DESTADDR, DESTPORT, N_ATTRS };
static const struct {
    struct slice name;
    size_t kind_at;
} attrs[N_ATTRS] = {
    {SLICE("NAME"), offsetof(struct wire_xclient, name.kind)},
    {SLICE("ADDR"), offsetof(struct wire_xclient, addr_kind)},
    {SLICE("PORT"), offsetof(struct wire_xclient, port_kind)},
    {SLICE("PROTO"), offsetof(struct wire_xclient, proto_kind)},
    {SLICE("HELO"), offsetof(struct wire_xclient, helo.kind)},
    {SLICE("LOGIN"), offsetof(struct wire_xclient, login.kind)},
    {SLICE("DESTADDR"), offsetof(struct wire_xclient, destaddr_kind)},
    {SLICE("DESTPORT"), offsetof(struct wire_xclient, destport_kind)},
};

static enum wire_xclient_kind *kind_of(struct wire_xclient *x, enum attr attr)
{
    return (enum wire_xclient_kind *)(void *)((char *)x + attrs[attr].kind_at);
}

static bool set_value(struct wire_xclient *x, enum attr attr, struct slice value)
{
    switch (attr) {
    case NAME:
        return set_text(value, &x->name);
    case ADDR:
        return set_ip(value, &x->addr);
    case PORT:
        return set_port(value, &x->port);
    case PROTO:
        return set_proto(value, &x->is_esmtp);
    case HELO:
        return set_text(value, &x->helo);
    case LOGIN:
        return set_text(value, &x->login);
    case DESTADDR:
        return set_ip(value, &x->destaddr);
    case DESTPORT:
        return set_port(value, &x->destport);
    case N_ATTRS:
        break;
    }
    return false;
}

static struct wire_verdict take_attr(struct wire_xclient *x, struct slice word)
{
    struct slice xtext;
    struct slice name = slice_cut(word, '=', &xtext);
    int attr = 0;
    while (attr < N_ATTRS && !slice_ieq(name, attrs[attr].name))
        attr++;
    if (attr == N_ATTRS)
        return wire_wrong(WIRE_UNKNOWN_PARAM, "attribute not known");
    enum wire_xclient_kind *kind = kind_of(x, (enum attr)attr);
    if (*kind != WIRE_XCLIENT_ABSENT)
        return wire_wrong(WIRE_DUPLICATE_PARAM, "the same attribute twice");
    SCOPED(buf_finish) struct buf plain = buf_make(sizeof(x->name.s) - 1);
    if (xtext.n == 0 || !wire_xtext_decode(xtext, &plain))
        return wire_wrong(WIRE_BAD_VALUE, "value of an attribute");
    if (plain.failed)
        return wire_wrong(WIRE_TOO_LONG, "value of an attribute over 255 bytes");
    *kind = special(buf_slice(&plain));
    if (*kind == WIRE_XCLIENT_GIVEN && !set_value(x, (enum attr)attr, buf_slice(&plain)))
        return wire_wrong(WIRE_BAD_VALUE, "value of an attribute");
    return wire_fine();
}

struct wire_verdict wire_xclient_parse(struct slice args, struct wire_xclient *ret)
{
    struct wire_xclient x = {.port = 0};
    struct slice word = wire_word(&args);
    if (word.n == 0)
        return wire_wrong(WIRE_SYNTAX, "attributes are missing");
    for (; word.n; word = wire_word(&args)) {
        struct wire_verdict v = take_attr(&x, word);
        if (v.fault != WIRE_FINE)
            return v;
    }
    *ret = x;
    return wire_fine();
}

/* ---- the other direction -------------------------------------------------------------------- */

static void add_text(struct buf *out, const struct wire_xclient_text *text)
{
    /* Without a value there must be a word, or the peer refuses the whole command. */
    if (text->s[0] == '\0')
        buf_adds(out, SLICE("[UNAVAILABLE]"));
    wire_xtext_add(out, slice_of(text->s, strnlen(text->s, sizeof(text->s))));
}

static void add_ip(struct buf *out, struct wire_ip ip)
{
    if (ip.version == 0)
        buf_adds(out, SLICE("[UNAVAILABLE]"));
    buf_addf(out, "%s%s", ip.version == 6 ? "IPV6:" : "", wire_ip_text(ip).s);
}

static void add_value(struct buf *out, const struct wire_xclient *x, enum attr attr)
{
    switch (attr) {
    case NAME:
        add_text(out, &x->name);
        break;
    case ADDR:
        add_ip(out, x->addr);
        break;
    case PORT:
        buf_addf(out, "%u", x->port);
        break;
    case PROTO:
        buf_addf(out, "%s", x->is_esmtp ? "ESMTP" : "SMTP");
        break;
    case HELO:
        add_text(out, &x->helo);
        break;
    case LOGIN:
        add_text(out, &x->login);
        break;
    case DESTADDR:
        add_ip(out, x->destaddr);
        break;
    case DESTPORT:
        buf_addf(out, "%u", x->destport);
        break;
    case N_ATTRS:
        break;
    }
}

void wire_xclient_add(struct buf *out, const struct wire_xclient *x, const struct wire_caps *caps)
{
    struct wire_xclient copy = *x;
    size_t before = out->n;
    for (int attr = 0; attr < N_ATTRS; attr++) {
        enum wire_xclient_kind kind = *kind_of(&copy, (enum attr)attr);
        if (kind == WIRE_XCLIENT_ABSENT || !(caps->xclient & (1u << attr)))
            continue;
        buf_addf(out, "%s%s=", out->n == before ? "XCLIENT " : " ", attrs[attr].name.p);
        if (kind == WIRE_XCLIENT_UNAVAILABLE)
            buf_adds(out, SLICE("[UNAVAILABLE]"));
        else if (kind == WIRE_XCLIENT_TEMPUNAVAIL)
            buf_adds(out, SLICE("[TEMPUNAVAIL]"));
        else
            add_value(out, &copy, (enum attr)attr);
    }
    if (out->n > before)
        buf_adds(out, SLICE("\r\n"));
}
