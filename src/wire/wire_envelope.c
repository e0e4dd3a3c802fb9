/* MAIL and RCPT: RFC 5321 section 4.1.1.2 and 3, SIZE (1870), BODY (6152, 3030), SMTPUTF8 (6531),
 * RET ENVID NOTIFY ORCPT (3461, 6533), AUTH (4954). What they mean for a session is smtp's. */
#include "wire/wire_int.h"

/* ---- paths ---------------------------------------------------------------------------------- */

/* What stands between < and >, a quoted > not counted; false: not closed. */
static bool cut_brackets(struct slice *rest, struct slice *ret)
{
    bool is_quoted = false;
    for (size_t i = 1; i < rest->n; i++) {
        char c = rest->p[i];
        if (c == '"')
            is_quoted = !is_quoted;
        else if (c == '\\' && is_quoted)
            i++;
        else if (c == '>' && !is_quoted) {
            *ret = slice_of(rest->p + 1, i - 1);
            *rest = slice_skip(*rest, i + 1);
            return true;
        }
    }
    return false;
}

/* RFC 5321 appendix C: a source route is checked and ignored. */
static struct wire_verdict skip_route(struct slice *path)
{
    if (path->n == 0 || path->p[0] != '@')
        return wire_fine();
    ptrdiff_t colon = slice_find(*path, ':');
    if (colon < 0 || (size_t)colon + 1 == path->n)
        return wire_wrong(WIRE_SYNTAX, "source route without an address");
    struct slice route = slice_of(path->p, (size_t)colon);
    *path = slice_skip(*path, (size_t)colon + 1);
    for (bool is_last = false; !is_last;) {
        is_last = slice_find(route, ',') < 0;
        struct slice hop = slice_cut(route, ',', &route);
        if (hop.n == 0 || hop.p[0] != '@' ||
            wire_domain_check(slice_skip(hop, 1), true).fault != WIRE_FINE)
            return wire_wrong(WIRE_SYNTAX, "source route");
    }
    return wire_fine();
}

/* Takes "FROM:<path>" off `*args`. */
static struct wire_verdict take_path(struct slice *args, struct slice keyword, struct slice *ret)
{
    if (!slice_istarts(*args, keyword))
        return wire_wrong(WIRE_SYNTAX, "FROM: or TO: is missing");
    struct slice rest = slice_skip(*args, keyword.n);
    while (rest.n && wire_is_blank(rest.p[0])) /* not in the RFC, but frequent and harmless */
        rest = slice_skip(rest, 1);
    if (rest.n == 0)
        return wire_wrong(WIRE_SYNTAX, "the address is missing");
    if (rest.p[0] != '<') {
        /* DEVIATES: printers and old programs leave the brackets out; nothing is ambiguous. */
        *ret = wire_word(&rest);
        *args = rest;
        return wire_fine();
    }
    if (!cut_brackets(&rest, ret))
        return wire_wrong(WIRE_SYNTAX, "the address is not closed by >");
    if (rest.n && !wire_is_blank(rest.p[0]))
        return wire_wrong(WIRE_SYNTAX, "blank missing behind the address");
    if (ret->n > WIRE_PATH_MAX - 2)
        return wire_wrong(WIRE_TOO_LONG, "path over 256 bytes");
    *args = rest;
    return skip_route(ret);
}

/* ---- parameters ----------------------------------------------------------------------------- */

struct envelope {
    struct wire_mail *mail;
    struct wire_rcpt *rcpt;
    bool with_utf8;
};
typedef bool (*set_fn)(struct envelope *e, struct slice value); /* false: bad value */

static bool set_size(struct envelope *e, struct slice value)
{
    e->mail->has_size = true;
    return slice_u64(value, INT64_MAX, &e->mail->size_bytes);
}

static bool set_body(struct envelope *e, struct slice value)
{
    e->mail->has_body = true;
    if (slice_ieq(value, SLICE("7BIT")))
        e->mail->body = WIRE_BODY_7BIT;
    else if (slice_ieq(value, SLICE("8BITMIME")))
        e->mail->body = WIRE_BODY_8BITMIME;
    else if (slice_ieq(value, SLICE("BINARYMIME")))
        e->mail->body = WIRE_BODY_BINARYMIME;
    else
        return false;
    return true;
}

static bool set_smtputf8(struct envelope *e, struct slice value)
{
    e->mail->has_smtputf8 = true;
    return value.n == 0;
}

static bool set_ret(struct envelope *e, struct slice value)
{
    bool is_full = slice_ieq(value, SLICE("FULL"));
    e->mail->ret = is_full ? WIRE_RET_FULL : WIRE_RET_HDRS;
    return is_full || slice_ieq(value, SLICE("HDRS"));
}

static bool decodes_to_text(struct slice xtext)
{
    SCOPED(buf_finish) struct buf plain = buf_make(WIRE_PARAM_MAX);
    if (xtext.n > WIRE_PARAM_MAX || !wire_xtext_decode(xtext, &plain))
        return false;
    for (size_t i = 0; i < plain.n; i++)
        if (plain.p[i] != ' ' && !wire_is_graph(plain.p[i]))
            return false;
    return true;
}

bool wire_envid_valid(struct slice envid)
{
    return envid.n > 0 && envid.n <= 100 && decodes_to_text(envid);
}

static bool set_envid(struct envelope *e, struct slice value)
{
    e->mail->envid = value;
    return wire_envid_valid(value);
}

static bool set_auth(struct envelope *e, struct slice value)
{
    e->mail->has_auth = true;
    e->mail->auth = value;
    return value.n > 0 && decodes_to_text(value);
}

static bool set_notify(struct envelope *e, struct slice value)
{
    static const struct {
        struct slice word;
        unsigned bit;
    } words[] = {{SLICE("NEVER"), WIRE_NOTIFY_NEVER},
                 {SLICE("SUCCESS"), WIRE_NOTIFY_SUCCESS},
                 {SLICE("FAILURE"), WIRE_NOTIFY_FAILURE},
                 {SLICE("DELAY"), WIRE_NOTIFY_DELAY}};
    unsigned notify = 0;
    bool is_last = false;
    while (!is_last) {
        is_last = slice_find(value, ',') < 0;
        struct slice word = slice_cut(value, ',', &value);
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
            if (slice_ieq(word, words[i].word))
                bit = words[i].bit;
        if (bit == 0)
            return false;
        notify |= bit;
    }
    e->rcpt->notify = notify;
    return !(notify & WIRE_NOTIFY_NEVER) || notify == WIRE_NOTIFY_NEVER;
}

bool wire_orcpt_valid(struct slice type, struct slice value, bool with_utf8)
{
    if (type.n == 0 || value.n == 0 || type.n + value.n >= WIRE_PARAM_MAX)
        return false;
    for (size_t i = 0; i < type.n; i++)
        if (!wire_is_alnum(type.p[i]) && type.p[i] != '-')
            return false;
    if (!slice_ieq(type, SLICE("utf-8")))
        return decodes_to_text(value);
    /* RFC 6533 section 3: xtext with \x{HEX} inside, or UTF-8 itself if SMTPUTF8 was asked for. */
    for (size_t i = 0; i < value.n; i++)
        if (!wire_is_graph(value.p[i]) && !(with_utf8 && wire_is_8bit(value.p[i])))
            return false;
    return wire_utf8_valid(value);
}

static bool set_orcpt(struct envelope *e, struct slice value)
{
    struct slice *rcpt = &e->rcpt->orcpt;
    e->rcpt->orcpt_type = slice_cut(value, ';', rcpt);
    return wire_orcpt_valid(e->rcpt->orcpt_type, *rcpt, e->with_utf8);
}

static const struct param {
    struct slice keyword;
    bool is_of_mail;
    set_fn set;
    const char *why_bad;
} params[] = {
    {SLICE("SIZE"), true, set_size, "SIZE wants a number of bytes"},
    {SLICE("BODY"), true, set_body, "BODY wants 7BIT or 8BITMIME"},
    {SLICE("SMTPUTF8"), true, set_smtputf8, "SMTPUTF8 takes no value"},
    {SLICE("RET"), true, set_ret, "RET wants FULL or HDRS"},
    {SLICE("ENVID"), true, set_envid, "ENVID wants xtext of at most 100 bytes"},
    {SLICE("AUTH"), true, set_auth, "AUTH wants xtext or <>"},
    {SLICE("NOTIFY"), false, set_notify, "NOTIFY wants NEVER, or SUCCESS, FAILURE, DELAY"},
    {SLICE("ORCPT"), false, set_orcpt, "ORCPT wants a type, a semicolon and xtext"},
};

static const struct param *param_find(struct slice keyword, bool is_of_mail)
{
    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
        if (params[i].is_of_mail == is_of_mail && slice_ieq(keyword, params[i].keyword))
            return &params[i];
    return NULL;
}

static struct wire_verdict take_params(struct slice rest, struct envelope *e)
{
    unsigned seen = 0;
    for (struct slice word = wire_word(&rest); word.n; word = wire_word(&rest)) {
        struct slice value;
        struct slice keyword = slice_cut(word, '=', &value);
        bool has_sign = keyword.n < word.n;
        if (keyword.n == 0 || (has_sign && value.n == 0))
            return wire_wrong(WIRE_SYNTAX, "a parameter is KEYWORD or KEYWORD=value");
        const struct param *param = param_find(keyword, e->mail != NULL);
        if (!param)
            return wire_wrong(WIRE_UNKNOWN_PARAM, "parameter not known");
        unsigned bit = 1u << (param - params);
        if (seen & bit)
            return wire_wrong(WIRE_DUPLICATE_PARAM, "the same parameter twice");
        seen |= bit;
        if (!param->set(e, value))
            return wire_wrong(WIRE_BAD_VALUE, param->why_bad);
    }
    return wire_fine();
}

/* ---- the two commands ----------------------------------------------------------------------- */

struct wire_verdict wire_mail_parse(struct slice args, struct wire_mail *ret)
{
    struct wire_mail mail = {.from.text = {"", 0}};
    struct envelope e = {.mail = &mail};
    struct slice path;
    struct wire_verdict v = take_path(&args, SLICE("FROM:"), &path);
    /* SMTPUTF8 stands behind the address, so the address is judged by it afterwards. */
    if (v.fault == WIRE_FINE && path.n > 0)
        v = wire_address_split(path, true, &mail.from);
    if (v.fault == WIRE_FINE)
        v = take_params(args, &e);
    if (v.fault != WIRE_FINE)
        return v;
    if (mail.from.is_utf8 && !mail.has_smtputf8)
        return wire_wrong(WIRE_NON_ASCII, "address outside ASCII needs SMTPUTF8");
    *ret = mail;
    return v;
}

struct wire_verdict wire_rcpt_parse(struct slice args, bool with_utf8, struct wire_rcpt *ret)
{
    struct wire_rcpt rcpt = {.notify = 0};
    struct envelope e = {.rcpt = &rcpt, .with_utf8 = with_utf8};
    struct slice path;
    struct wire_verdict v = take_path(&args, SLICE("TO:"), &path);
    if (v.fault == WIRE_FINE)
        v = wire_forward_split(path, with_utf8, &rcpt.to);
    if (v.fault == WIRE_FINE)
        v = take_params(args, &e);
    if (v.fault == WIRE_FINE)
        *ret = rcpt;
    return v;
}
