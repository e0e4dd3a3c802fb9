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

static const struct meaning {
    uint16_t subject, detail;
    const char *text;
} meanings[] = {
    {1, 0, "something is wrong with the address"},
    {1, 1, "there is no such mailbox"},
    {1, 2, "there is no such mail system"},
    {1, 3, "the address is not written correctly"},
    {1, 4, "the address is ambiguous"},
    {1, 6, "the mailbox has moved"},
    {1, 7, "the sender's address is not written correctly"},
    {1, 8, "the sender's address is not valid"},
    {1, 10, "the domain accepts no mail"},
    {2, 0, "the mailbox has a problem"},
    {2, 1, "the mailbox is disabled"},
    {2, 2, "the mailbox is full"},
    {2, 3, "the message is too big for this mailbox"},
    {2, 4, "the mailing list has a problem"},
    {3, 0, "the mail system has a problem"},
    {3, 1, "the mail system is full"},
    {3, 2, "the mail system accepts no mail at this time"},
    {3, 4, "the message is too big for the mail system"},
    {4, 0, "the way to the mail system has a problem"},
    {4, 1, "the mail system did not answer"},
    {4, 2, "the connection broke"},
    {4, 3, "a directory that the delivery needs did not answer"},
    {4, 4, "there is no way to the mail system"},
    {4, 5, "the mail system is too busy"},
    {4, 6, "the message went in circles"},
    {4, 7, "the time for delivery ran out"},
    {5, 0, "the two mail systems did not understand each other"},
    {5, 3, "there were too many recipients"},
    {6, 0, "the content of the message was not accepted"},
    {6, 1, "the kind of content is not accepted"},
    {6, 3, "the mail system cannot convert the message"},
    {6, 7, "the mail system does not accept addresses outside ASCII"},
    {7, 0, "the mail system refused the message by its rules"},
    {7, 1, "the mail system did not accept the message from this sender"},
    {7, 2, "the sender may not write to this mailing list"},
    {7, 8, "the log-in failed"},
    {7, 20, "the signature of the message (DKIM) is missing or not valid"},
    {7, 23, "the sender check (SPF) failed"},
    {7, 24, "the sender check (SPF) failed"},
    {7, 25, "the name of the sending server could not be confirmed"},
    {7, 26, "the message failed the sender checks (SPF, DKIM)"},
};

const char *wire_status_meaning(struct wire_status status)
{
    const char *of_subject = "it could not be said why";
    if (status.class == 0)
        return of_subject;
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        const struct meaning *m = &meanings[i];
        if (m->subject == status.subject && m->detail == status.detail)
            return m->text;
        if (m->subject == status.subject && m->detail == 0)
            of_subject = m->text;
    }
    return of_subject;
}
