/* What a reply means: the table of phase and code, for primaries and for the world. */
#include "continuity/continuity.h"

enum {
    ABOUT_ADDRESS = 1,
    ABOUT_MAILBOX = 2,
    ABOUT_SYSTEM = 3,
    ABOUT_ROUTING = 4,
    ABOUT_PROTOCOL = 5,
    ABOUT_CONTENT = 6,
    ABOUT_POLICY = 7
};

static struct continuity_verdict fate(enum continuity_fate f, enum continuity_evidence e,
                                      bool is_about_destination)
{
    return (struct continuity_verdict){f, e, is_about_destination};
}

/* 5xx at the dot (or at DATA) is about this message's content unless its enhanced code says that
 * it is about us, the route, the system or the protocol. A bare 552 (RFC 5321: exceeded storage) is
 * about the mailbox. */
static bool is_about_content(struct continuity_reply r)
{
    if (r.phase != AT_DATA && r.phase != AT_DOT)
        return false;
    if (r.class == 0)
        return r.phase == AT_DOT && r.code != 552;
    switch (r.subject) {
    case ABOUT_CONTENT:
        return true;
    case ABOUT_POLICY: /* 5.7.0 and 5.7.1 at the dot: a filter looked at it; the others: us */
        return r.phase == AT_DOT && (r.detail <= 1 || r.detail == 9 || r.detail >= 20);
    case ABOUT_SYSTEM: /* 5.3.4: message too big for the system */
        return r.detail == 4;
    case ABOUT_MAILBOX: /* 5.2.3: message too big for the mailbox */
        return r.detail == 3;
    case 0:
        return r.phase == AT_DOT;
    default:
        return false;
    }
}

/* A 4xx that speaks of the whole system, not of one mailbox or message. */
static bool is_about_system(struct continuity_reply r)
{
    if (r.code == 421 || r.phase < AT_MAIL)
        return true;
    return r.class && (r.subject == ABOUT_SYSTEM || r.subject == ABOUT_ROUTING);
}

static struct continuity_verdict judge_primary(struct continuity_reply r, struct continuity_asker a)
{
    if (r.code == 0 ||
        r.phase < AT_MAIL) /* silence, or a refusal before any mail: it is not well */
        return fate(FATE_WAIT, EVIDENCE_BAD, true);
    if (r.code < 500) {
        /* Busy or short of room: not dead, but it wants to be left alone for a while. */
        bool is_system = is_about_system(r);
        return fate(FATE_WAIT, is_system ? EVIDENCE_REFUSES : EVIDENCE_NONE, is_system);
    }
    if (is_about_content(r)) {
        /* It is well and does not want this message. Whoever still waits hears it from us, so that
         * no notice has to be written; after our 250 nothing is dropped or bounced. */
        if (a.is_waiting && a.is_alone)
            return fate(FATE_PASS, EVIDENCE_GOOD, false);
        return fate(FATE_HOLD, EVIDENCE_GOOD, false);
    }
    if (r.phase == AT_RCPT && !a.is_known)
        return fate(a.is_waiting && a.is_alone ? FATE_PASS : FATE_HOLD, EVIDENCE_NONE, false);
    /* 5xx about us, about relaying, at MAIL, or for somebody we know: a misconfigured primary must
     * never bounce the company's mail. */
    return fate(FATE_WAIT, EVIDENCE_REFUSES, r.phase == AT_MAIL);
}

static struct continuity_verdict judge_world(struct continuity_reply r)
{
    if (r.code == 0)
        return fate(FATE_WAIT, EVIDENCE_NONE, r.phase < AT_MAIL);
    if (r.code < 500)
        return fate(FATE_WAIT, EVIDENCE_NONE, is_about_system(r));
    return fate(FATE_RETURN, EVIDENCE_NONE, false);
}

struct continuity_verdict continuity_judge(struct continuity_reply r, struct continuity_asker a)
{
    if (r.code >= 200 && r.code < 300)
        return fate(FATE_DELIVERED, a.is_primary ? EVIDENCE_GOOD : EVIDENCE_NONE, false);
    return a.is_primary ? judge_primary(r, a) : judge_world(r);
}

/* ---- retry ---- */

static utc_ms spread(utc_ms ms, uint32_t random)
{
    return ms - ms / 8 + (utc_ms)(random % (uint32_t)(ms / 4 + 1));
}

utc_ms continuity_retry_ms(uint32_t attempts, bool is_primary, uint32_t random)
{
    static const uint32_t primary_sec[] = {10, 30, 60, 120, 300};
    static const uint32_t world_sec[] = {120, 300, 900, 1800, 3600, 7200, 14400};
    const uint32_t *plan = is_primary ? primary_sec : world_sec;
    uint32_t n =
        is_primary ? sizeof(primary_sec) / sizeof(uint32_t) : sizeof(world_sec) / sizeof(uint32_t);
    uint32_t i = attempts == 0 ? 0 : attempts - 1;
    return spread((utc_ms)plan[i < n ? i : n - 1] * 1000, random);
}

utc_ms continuity_rest_ms(uint32_t failures, bool is_primary, uint32_t random)
{
    static const uint32_t primary_ms[] = {500, 1000, 2000, 4000};
    static const uint32_t world_ms[] = {30000, 60000, 300000, 900000, 1800000};
    const uint32_t *plan = is_primary ? primary_ms : world_ms;
    uint32_t n =
        is_primary ? sizeof(primary_ms) / sizeof(uint32_t) : sizeof(world_ms) / sizeof(uint32_t);
    uint32_t i = failures == 0 ? 0 : failures - 1;
    return spread(plan[i < n ? i : n - 1], random);
}

bool continuity_is_expired(utc_ms received, utc_ms now, bool is_primary)
{
    return !is_primary && now > continuity_expires_at(received, is_primary);
}

utc_ms continuity_expires_at(utc_ms received, bool is_primary)
{
    return is_primary ? 0 : received + (utc_ms)5 * 24 * 3600 * 1000;
}
