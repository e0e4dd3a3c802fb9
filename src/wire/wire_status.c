/* Enhanced status codes: RFC 3463 and the registry that grew from it (RFC 5248). */
#include "wire/dsn.h"
#include "wire/wire_int.h"

#include <stdio.h>

bool wire_status_parse(struct slice s, struct wire_status *ret)
{
    struct slice subject, detail;
    struct slice class = slice_cut(s, '.', &subject);
    uint64_t a, b, c;
    subject = slice_cut(subject, '.', &detail);
    if (class.n != 1 || subject.n > 3 || detail.n > 3)
        return false;
    if (!slice_u64(class, 5, &a) || !slice_u64(subject, 999, &b) || !slice_u64(detail, 999, &c))
        return false;
    if (a != 2 && a != 4 && a != 5)
        return false;
    *ret = (struct wire_status){(uint8_t)a, (uint16_t)b, (uint16_t)c};
    return true;
}

struct wire_status_text wire_status_text(struct wire_status status)
{
    struct wire_status_text text = {""};
    if (status.class)
        snprintf(text.s, sizeof(text.s), "%u.%u.%u", status.class % 10u, status.subject % 1000u,
                 status.detail % 1000u);
    return text;
}

enum wire_about wire_status_about(struct wire_status status)
{
    static const enum wire_about abouts[] = {
        WIRE_ABOUT_OTHER,   WIRE_ABOUT_ADDRESS,  WIRE_ABOUT_MAILBOX, WIRE_ABOUT_SYSTEM,
        WIRE_ABOUT_NETWORK, WIRE_ABOUT_PROTOCOL, WIRE_ABOUT_CONTENT, WIRE_ABOUT_POLICY,
    };
    bool is_known = status.class && status.subject < sizeof(abouts) / sizeof(abouts[0]);
    return is_known ? abouts[status.subject] : WIRE_ABOUT_OTHER;
}
