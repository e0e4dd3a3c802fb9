/* Our MAIL and RCPT lines, client side. The envelope comes from another process, so it is checked
 * here again: nothing in it can end the line and begin a command of its own. */
#include "wire/client.h"
#include "wire/wire_int.h"

static bool offers(const struct wire_caps *caps, unsigned bit)
{
    return (caps->flags & bit) != 0;
}

static struct wire_verdict mail_check(const struct wire_mail *mail, const struct wire_caps *caps)
{
    struct wire_address from;
    if (mail->envid.n && !wire_envid_valid(mail->envid))
        return wire_wrong(WIRE_BAD_VALUE, "ENVID");
    if (mail->has_auth && (mail->auth.n == 0 || mail->auth.n > WIRE_PARAM_MAX ||
                           !wire_xtext_decode(mail->auth, NULL)))
        return wire_wrong(WIRE_BAD_VALUE, "AUTH");
    if (mail->from.text.n == 0)
        return wire_fine();
    return wire_address_split(mail->from.text,
                              mail->has_smtputf8 && offers(caps, WIRE_CAP_SMTPUTF8), &from);
}

static void add_body(struct buf *out, const struct wire_mail *mail, const struct wire_caps *caps)
{
    if (!mail->has_body)
        return;
    if (mail->body == WIRE_BODY_7BIT && offers(caps, WIRE_CAP_8BITMIME))
        buf_adds(out, SLICE(" BODY=7BIT"));
    if (mail->body == WIRE_BODY_8BITMIME && offers(caps, WIRE_CAP_8BITMIME))
        buf_adds(out, SLICE(" BODY=8BITMIME"));
    if (mail->body == WIRE_BODY_BINARYMIME && offers(caps, WIRE_CAP_BINARYMIME))
        buf_adds(out, SLICE(" BODY=BINARYMIME"));
}

struct wire_verdict wire_mail_add(struct buf *out, const struct wire_mail *mail,
                                  const struct wire_caps *caps)
{
    struct wire_verdict v = mail_check(mail, caps);
    if (v.fault != WIRE_FINE)
        return v;
    buf_adds(out, SLICE("MAIL FROM:<"));
    buf_adds(out, mail->from.text);
    buf_addc(out, '>');
    if (mail->has_size && offers(caps, WIRE_CAP_SIZE))
        buf_addf(out, " SIZE=%llu", (unsigned long long)mail->size_bytes);
    add_body(out, mail, caps);
    if (mail->has_smtputf8 && offers(caps, WIRE_CAP_SMTPUTF8))
        buf_adds(out, SLICE(" SMTPUTF8"));
    if (mail->ret != WIRE_RET_NONE && offers(caps, WIRE_CAP_DSN))
        buf_adds(out, mail->ret == WIRE_RET_FULL ? SLICE(" RET=FULL") : SLICE(" RET=HDRS"));
    if (mail->envid.n && offers(caps, WIRE_CAP_DSN)) {
        buf_adds(out, SLICE(" ENVID="));
        buf_adds(out, mail->envid);
    }
    if (mail->has_auth && offers(caps, WIRE_CAP_AUTH)) {
        buf_adds(out, SLICE(" AUTH="));
        buf_adds(out, mail->auth);
    }
    buf_adds(out, SLICE("\r\n"));
    return v;
}

static void add_notify(struct buf *out, unsigned notify)
{
    static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const char *before = " NOTIFY=";
    for (unsigned i = 0; i < 4; i++) {
        if (!(notify & (1u << i)))
            continue;
        buf_addf(out, "%s%s", before, words[i]);
        before = ",";
    }
}

struct wire_verdict wire_rcpt_add(struct buf *out, const struct wire_rcpt *rcpt,
                                  const struct wire_caps *caps)
{
    struct wire_address to;
    bool with_utf8 = offers(caps, WIRE_CAP_SMTPUTF8);
    bool has_never = (rcpt->notify & WIRE_NOTIFY_NEVER) != 0;
    if (rcpt->notify > 15 || (has_never && rcpt->notify != WIRE_NOTIFY_NEVER))
        return wire_wrong(WIRE_BAD_VALUE, "NOTIFY");
    if (rcpt->orcpt_type.n && !wire_orcpt_valid(rcpt->orcpt_type, rcpt->orcpt, true))
        return wire_wrong(WIRE_BAD_VALUE, "ORCPT");
    struct wire_verdict v = wire_forward_split(rcpt->to.text, with_utf8, &to);
    if (v.fault != WIRE_FINE)
        return v;
    buf_adds(out, SLICE("RCPT TO:<"));
    buf_adds(out, rcpt->to.text);
    buf_addc(out, '>');
    if (offers(caps, WIRE_CAP_DSN)) {
        add_notify(out, rcpt->notify);
        /* Its 8-bit form needs SMTPUTF8 there; the delivery does not need it. */
        if (rcpt->orcpt_type.n && wire_orcpt_valid(rcpt->orcpt_type, rcpt->orcpt, with_utf8)) {
            buf_adds(out, SLICE(" ORCPT="));
            buf_adds(out, rcpt->orcpt_type);
            buf_addc(out, ';');
            buf_adds(out, rcpt->orcpt);
        }
    }
    buf_adds(out, SLICE("\r\n"));
    return v;
}
