/* Command lines: the verb, and the arguments of the small commands. MAIL and RCPT are in
 * wire_envelope.c, EHLO's host name in wire_address.c, XCLIENT in wire_xclient.c. */
#include "wire/wire_int.h"

/* In the order of enum wire_verb; HTTP has several words. */
static const char *const names[WIRE_VERB_N] = {
    "?",    "HELO", "EHLO", "MAIL", "RCPT", "DATA",     "BDAT", "RSET",    "NOOP",
    "QUIT", "VRFY", "EXPN", "HELP", "ETRN", "STARTTLS", "AUTH", "XCLIENT", "HTTP",
};
static const char *const http_words[] = {"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS"};

const char *wire_verb_name(enum wire_verb verb)
{
    must((unsigned)verb < WIRE_VERB_N);
    return names[verb];
}

static enum wire_verb verb_find(struct slice word)
{
    for (int v = WIRE_VERB_UNKNOWN + 1; v < WIRE_VERB_HTTP; v++)
        if (slice_ieq(word, slice_str(names[v])))
            return (enum wire_verb)v;
    for (size_t i = 0; i < sizeof(http_words) / sizeof(http_words[0]); i++)
        if (slice_ieq(word, slice_str(http_words[i])))
            return WIRE_VERB_HTTP;
    return WIRE_VERB_UNKNOWN;
}

static struct slice trim_blanks(struct slice s)
{
    while (s.n && wire_is_blank(s.p[0]))
        s = slice_skip(s, 1);
    while (s.n && wire_is_blank(s.p[s.n - 1])) /* RFC 5321 section 4.1.1: tolerate it */
        s.n--;
    return s;
}

struct wire_command wire_command_parse(struct slice line)
{
    size_t n = 0;
    while (n < line.n && !wire_is_blank(line.p[n]))
        n++;
    return (struct wire_command){
        .verb = verb_find(slice_of(line.p, n)),
        .args = trim_blanks(slice_skip(line, n)),
    };
}

struct wire_verdict wire_bdat_parse(struct slice args, struct wire_bdat *ret)
{
    struct slice size = wire_word(&args);
    struct slice last = wire_word(&args);
    struct wire_bdat bdat = {.is_last = last.n > 0};
    if (!slice_u64(size, INT64_MAX, &bdat.size_bytes))
        return wire_wrong(WIRE_BAD_VALUE, "size of the chunk");
    if (last.n && !slice_ieq(last, SLICE("LAST")))
        return wire_wrong(WIRE_SYNTAX, "only LAST may follow the size");
    if (wire_word(&args).n)
        return wire_wrong(WIRE_SYNTAX, "too many arguments");
    *ret = bdat;
    return wire_fine();
}

static bool is_base64(struct slice s)
{
    while (s.n && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++)
        if (!wire_is_alnum(s.p[i]) && s.p[i] != '+' && s.p[i] != '/')
            return false;
    return true;
}

struct wire_verdict wire_auth_parse(struct slice args, struct wire_auth *ret)
{
    struct wire_auth auth = {.mechanism = wire_word(&args)};
    auth.initial = wire_word(&args);
    auth.has_initial = auth.initial.n > 0;
    /* RFC 4422 section 3.1 */
    if (auth.mechanism.n == 0 || auth.mechanism.n > 20)
        return wire_wrong(WIRE_SYNTAX, "name of the mechanism");
    for (size_t i = 0; i < auth.mechanism.n; i++) {
        char c = auth.mechanism.p[i];
        if (!wire_is_alnum(c) && c != '-' && c != '_')
            return wire_wrong(WIRE_SYNTAX, "name of the mechanism");
    }
    if (!is_base64(auth.initial))
        return wire_wrong(WIRE_BAD_VALUE, "the initial response is not base64");
    if (wire_word(&args).n)
        return wire_wrong(WIRE_SYNTAX, "too many arguments");
    *ret = auth;
    return wire_fine();
}
