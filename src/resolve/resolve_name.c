/* Names and server addresses, checked before the library sees them. RFC 1035 section 2.3.4, RFC
 * 5891 (IDNA 2008). */
#include "resolve/resolve_int.h"

#include <idn2.h>
#include <stdio.h>
#include <sys/socket.h>

#include "net/net.h"

enum { LABEL_MAX = 63, ASK_MAX = 255 };

/* Whatever is printable may stand in a label (SPF macros make odd ones); a backslash would be an
 * escape to the library. */
static bool is_name(struct slice s)
{
    if (s.n == 0 || s.n >= RESOLVE_NAME_MAX)
        return false;
    for (size_t i = 0, label = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '\\')
            return false;
        bool is_dot = s.p[i] == '.';
        if (is_dot ? label == 0 : label == LABEL_MAX)
            return false;
        label = is_dot ? 0 : label + 1;
    }
    return s.p[s.n - 1] != '.';
}

static bool has_high_bytes(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 127)
            return true;
    return false;
}

static bool ascii_of(struct slice name, char ret[RESOLVE_NAME_MAX])
{
    char text[ASK_MAX + 1];
    char *ascii = NULL;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    if (strlen(text) != name.n ||
        idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return false;
    bool is_good = is_name(slice_str(ascii));
    if (is_good)
        (void)snprintf(ret, RESOLVE_NAME_MAX, "%s", ascii);
    idn2_free(ascii);
    return is_good;
}

bool resolve_name_clean(struct slice name, char ret[RESOLVE_NAME_MAX])
{
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > ASK_MAX)
        return false;
    if (has_high_bytes(name))
        return ascii_of(name, ret);
    if (!is_name(name))
        return false;
    (void)snprintf(ret, RESOLVE_NAME_MAX, "%.*s", (int)name.n, name.p);
    return true;
}

bool resolve_server_text(struct slice text, char ret[64])
{
    struct sockaddr_storage address;
    struct slice host = text, port = SLICE("53");
    uint64_t number;
    if (slice_starts(text, SLICE("["))) {
        host = slice_cut(slice_skip(text, 1), ']', &port);
        if (host.n + 2 == text.n)
            port = SLICE("53");
        else if (slice_starts(port, SLICE(":")))
            port = slice_skip(port, 1);
        else
            return false;
    } else if (!net_address_parse(text, 0, &address)) {
        host = slice_cut(text, ':', &port);
    }
    if (!net_address_parse(host, 0, &address) || !slice_u64(port, 65535, &number) || number == 0)
        return false;
    char plain[64];
    net_address_text(&address, plain);
    (void)snprintf(ret, 64, "%.46s@%u", plain, (unsigned)number);
    return true;
}
