/* The abilities of an SMTP server, written and read: EHLO, RFC 5321 section 4.1.1.1, and the
 * extensions that have a bit in client.h. */
#include "wire/client.h"
#include "wire/wire_int.h"

struct word {
    struct slice text;
    unsigned bit;
};
#define WORD(text, bit)                                                                            \
    {                                                                                              \
        SLICE(text), bit                                                                           \
    }
#define N_WORDS(table) (sizeof(table) / sizeof((table)[0]))

static const struct word caps_words[] = {
    WORD("PIPELINING", WIRE_CAP_PIPELINING),
    WORD("SIZE", WIRE_CAP_SIZE),
    WORD("8BITMIME", WIRE_CAP_8BITMIME),
    WORD("SMTPUTF8", WIRE_CAP_SMTPUTF8),
    WORD("CHUNKING", WIRE_CAP_CHUNKING),
    WORD("BINARYMIME", WIRE_CAP_BINARYMIME),
    WORD("ENHANCEDSTATUSCODES", WIRE_CAP_ENHANCEDSTATUSCODES),
    WORD("DSN", WIRE_CAP_DSN),
    WORD("STARTTLS", WIRE_CAP_STARTTLS),
    WORD("REQUIRETLS", WIRE_CAP_REQUIRETLS),
    WORD("AUTH", WIRE_CAP_AUTH),
    WORD("XCLIENT", WIRE_CAP_XCLIENT),
    WORD("LIMITS", WIRE_CAP_LIMITS),
    WORD("VRFY", WIRE_CAP_VRFY),
    WORD("ETRN", WIRE_CAP_ETRN),
};

static const struct word auth_words[] = {
    WORD("PLAIN", WIRE_AUTH_PLAIN),
    WORD("LOGIN", WIRE_AUTH_LOGIN),
    WORD("CRAM-MD5", WIRE_AUTH_CRAM_MD5),
    WORD("SCRAM-SHA-1", WIRE_AUTH_SCRAM_SHA_1),
    WORD("SCRAM-SHA-256", WIRE_AUTH_SCRAM_SHA_256),
    WORD("OAUTHBEARER", WIRE_AUTH_OAUTHBEARER),
    WORD("XOAUTH2", WIRE_AUTH_XOAUTH2),
    WORD("EXTERNAL", WIRE_AUTH_EXTERNAL),
};

static const struct word xclient_words[] = {
    WORD("NAME", WIRE_XATTR_NAME),         WORD("ADDR", WIRE_XATTR_ADDR),
    WORD("PORT", WIRE_XATTR_PORT),         WORD("PROTO", WIRE_XATTR_PROTO),
    WORD("HELO", WIRE_XATTR_HELO),         WORD("LOGIN", WIRE_XATTR_LOGIN),
    WORD("DESTADDR", WIRE_XATTR_DESTADDR), WORD("DESTPORT", WIRE_XATTR_DESTPORT),
};

static unsigned word_bit(struct slice text, const struct word *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_ieq(text, words[i].text))
            return words[i].bit;
    return 0;
}

static unsigned take_bits(struct slice rest, const struct word *words, size_t n)
{
    unsigned bits = 0;
    for (struct slice word = wire_word(&rest); word.n; word = wire_word(&rest))
        bits |= word_bit(word, words, n);
    return bits;
}

static void take_limits(struct slice rest, struct wire_caps *caps)
{
    for (struct slice word = wire_word(&rest); word.n; word = wire_word(&rest)) {
        uint64_t number;
        struct slice value;
        struct slice name = slice_cut(word, '=', &value);
        if (!slice_u64(value, UINT32_MAX, &number))
            continue;
        if (slice_ieq(name, SLICE("RCPTMAX")))
            caps->rcpt_max = (uint32_t)number;
        else if (slice_ieq(name, SLICE("MAILMAX")))
            caps->mail_max = (uint32_t)number;
    }
}

static void take_line(struct slice line, struct wire_caps *caps)
{
    struct slice keyword = wire_word(&line);
    unsigned bit = word_bit(keyword, caps_words, N_WORDS(caps_words));
    if (slice_istarts(keyword, SLICE("AUTH="))) { /* before RFC 2554, still written by some */
        bit = WIRE_CAP_AUTH;
        line = slice_of(keyword.p + 5, keyword.n - 5 + line.n);
    }
    caps->flags |= bit;
    if (bit == WIRE_CAP_SIZE)
        (void)slice_u64(wire_word(&line), INT64_MAX, &caps->size_bytes); /* else no limit said */
    else if (bit == WIRE_CAP_AUTH)
        caps->auth |= take_bits(line, auth_words, N_WORDS(auth_words));
    else if (bit == WIRE_CAP_XCLIENT)
        caps->xclient |= take_bits(line, xclient_words, N_WORDS(xclient_words));
    else if (bit == WIRE_CAP_LIMITS)
        take_limits(line, caps);
}

void wire_caps_parse(struct slice text, struct wire_caps *ret)
{
    struct wire_caps caps = {.flags = 0};
    (void)slice_cut(text, '\n', &text); /* the greeting */
    while (text.n)
        take_line(slice_cut(text, '\n', &text), &caps);
    *ret = caps;
}

static void add_bits(struct buf *out, unsigned bits, const struct word *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bits & words[i].bit)
            buf_addf(out, " %s", words[i].text.p);
}

void wire_caps_reply(struct buf *out, struct slice host, const struct wire_caps *caps)
{
    SCOPED(buf_finish) struct buf text = buf_make(4096);
    buf_adds(&text, host);
    for (size_t i = 0; i < N_WORDS(caps_words); i++) {
        unsigned bit = caps->flags & caps_words[i].bit;
        if (!bit)
            continue;
        buf_addf(&text, "\n%s", caps_words[i].text.p);
        if (bit == WIRE_CAP_SIZE && caps->size_bytes)
            buf_addf(&text, " %llu", (unsigned long long)caps->size_bytes);
        if (bit == WIRE_CAP_AUTH)
            add_bits(&text, caps->auth, auth_words, N_WORDS(auth_words));
        if (bit == WIRE_CAP_XCLIENT)
            add_bits(&text, caps->xclient, xclient_words, N_WORDS(xclient_words));
        if (bit == WIRE_CAP_LIMITS && caps->rcpt_max)
            buf_addf(&text, " RCPTMAX=%u", caps->rcpt_max);
        if (bit == WIRE_CAP_LIMITS && caps->mail_max)
            buf_addf(&text, " MAILMAX=%u", caps->mail_max);
    }
    must(!text.failed); /* `host` is ours and at most 255 bytes */
    wire_reply_add(out, "250", buf_slice(&text));
}
