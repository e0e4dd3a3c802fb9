/* Names of checks and classes, and texts of findings. */
#include "watch/watch_int.h"

#include <stdio.h>

static const struct {
    const char *name, *title;
} checks[WATCH_N] = {
    [WATCH_MX] = {"mx", "mail exchangers (MX)"},
    [WATCH_TTL] = {"ttl", "time to switch (TTL of the MX)"},
    [WATCH_SPF] = {"spf", "SPF"},
    [WATCH_DKIM] = {"dkim", "DKIM keys"},
    [WATCH_DMARC] = {"dmarc", "DMARC"},
    [WATCH_STS] = {"mta-sts", "MTA-STS"},
    [WATCH_TLSA] = {"tlsa", "DANE (TLSA)"},
    [WATCH_NS] = {"ns", "name servers (NS)"},
    [WATCH_ADDRESS] = {"address", "address of this node"},
    [WATCH_REVERSE] = {"reverse", "reverse name of this node"},
    [WATCH_CERTIFICATE] = {"certificate", "certificate of this node"},
    [WATCH_SPACE] = {"space", "room on the disk"},
    [WATCH_FILES] = {"files", "files on the disk (inodes)"},
    [WATCH_HELD] = {"held", "mail that is held"},
    [WATCH_QUEUE] = {"queue", "age of what waits"},
    [WATCH_KEPT] = {"kept", "room for what is kept"},
    [WATCH_PEER_CERTIFICATE] = {"primary-certificate", "certificate of the mail system"},
};

const char *watch_check_name(enum watch_check c)
{
    return checks[c].name;
}

const char *watch_check_title(enum watch_check c)
{
    return checks[c].title;
}

const char *watch_class_name(enum watch_class c)
{
    static const char *const names[WATCH_CLASS_N] = {"unknown", "ok", "notice", "alarm"};
    return names[c];
}

struct watch_finding *watch_add(struct watch_findings *all, enum watch_check check)
{
    must(all->n < WATCH_LOOK_MAX);
    struct watch_finding *f = &all->list[all->n++];
    *f = (struct watch_finding){.check = check, .class = WATCH_OK};
    return f;
}

static void make_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

void watch_say(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, size, format, arguments);
    va_end(arguments);
    make_printable(text);
}

void watch_join(char *text, size_t size, const char *more)
{
    static const char full[] = " ...";
    size_t n = strlen(text), n_more = strlen(more);
    if (n >= sizeof(full) && strcmp(text + n - strlen(full), full) == 0)
        return;
    if (n + n_more + 2 + sizeof(full) < size)
        (void)snprintf(text + n, size - n, "%s%s", n ? ", " : "", more);
    else if (n + sizeof(full) <= size)
        (void)snprintf(text + n, size - n, "%s", full);
    make_printable(text);
}

bool watch_is_unanswered(struct watch_finding *f, const struct watch_records *r, const char *what)
{
    if (r->status != WATCH_ANSWER_NONE && r->status != WATCH_ANSWER_BOGUS)
        return false;
    f->class = WATCH_UNKNOWN;
    if (r->status == WATCH_ANSWER_BOGUS) {
        WATCH_SAY(f->found, "the answer for %s is wrongly signed", what);
        WATCH_SAY(f->why, "An answer whose DNSSEC signature does not fit is forged or broken: we "
                          "do not use it, and other validating servers do not either.");
        WATCH_SAY(f->advice, "Ask whoever runs the zone to check its DNSSEC signatures.");
        return true;
    }
    WATCH_SAY(f->found, "no answer for %s", what);
    WATCH_SAY(f->why, "Our resolver got no answer, so nothing is known.");
    return true;
}

struct watch_span_text watch_span(int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *one, *many;
    } units[] = {{86400, "day", "days"}, {3600, "hour", "hours"}, {60, "minute", "minutes"}};
    struct watch_span_text t;
    size_t i = 0;
    if (seconds < 0)
        seconds = 0;
    /* 36 hours say more than one day. */
    while (i < 2 && seconds < 2 * units[i].seconds)
        i++;
    int64_t n = (seconds + units[i].seconds / 2) / units[i].seconds;
    if (i == 2 && n == 0)
        (void)snprintf(t.s, sizeof(t.s), "%lld seconds", (long long)seconds);
    else
        (void)snprintf(t.s, sizeof(t.s), "%lld %s", (long long)n,
                       n == 1 ? units[i].one : units[i].many);
    return t;
}

/* ---- greetings ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "Postfix", "(Debian/GNU)"; but not "Sun," and "Nov". */
static bool is_plain_word(struct slice word)
{
    static const char calendar[] = "MonTueWedThuFriSatSunJanFebMarAprMayJunJulAugSepOctNovDec";
    size_t n_letters = 0;
    for (size_t i = 0; i < word.n; i++) {
        n_letters += is_letter(word.p[i]);
        if (is_digit(word.p[i]))
            return false;
    }
    for (size_t i = 0; n_letters == 3 && i + 3 < sizeof(calendar); i += 3)
        if (slice_istarts(word, slice_of(calendar + i, 3)))
            return false;
    return n_letters > 0;
}

/* "4.96", "v3.7.6,": digits with a dot between them; no colon, no long numbers. */
static bool is_version(struct slice word)
{
    size_t n_dots = 0, n_digits = 0, n_letters = 0;
    for (size_t i = 0; i < word.n; i++) {
        bool is_inside = i > 0 && i + 1 < word.n && is_digit(word.p[i - 1]);
        n_dots += word.p[i] == '.' && is_inside && is_digit(word.p[i + 1]);
        n_digits = is_digit(word.p[i]) ? n_digits + 1 : 0;
        n_letters += is_letter(word.p[i]);
        if (word.p[i] == ':' || n_digits > 6)
            return false;
    }
    return n_dots > 0 && n_letters < 10;
}

void watch_software(struct slice greeting, char ret[WATCH_SOFTWARE_MAX + 1])
{
    size_t n = 0;
    ret[0] = '\0';
    while (greeting.n > 0) {
        struct slice word = slice_cut(greeting, ' ', &greeting);
        bool is_kept = is_plain_word(word) || is_version(word);
        if (!is_kept || n + word.n + 2 > WATCH_SOFTWARE_MAX)
            continue;
        (void)snprintf(ret + n, WATCH_SOFTWARE_MAX + 1 - n, "%s" SLICE_FMT, n ? " " : "",
                       SLICE_ARG(word));
        n = strlen(ret);
    }
    make_printable(ret);
}
