/* When to push again: what works goes on, what fails waits longer and longer, and what is gone or
 * has failed for days ends. */
#include "push/push.h"

enum {
    INTERVAL_LEAST = 1, /* seconds between two pushes of one subscription */
    INTERVAL_MOST = 15 * 60,
    AGAIN_LEAST = 5,
    AGAIN_MOST = 30 * 60,
    ASKED_MOST = 6 * 3600, /* of what Retry-After may ask */
    FAILING_MOST_MS = 3 * 24 * 3600 * 1000,
};

static mono_us spread(uint32_t seconds, uint16_t chance)
{
    return SECONDS(seconds) + MILLISECONDS((uint64_t)seconds * 250 * chance / UINT16_MAX);
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t backoff(uint32_t n_failed)
{
    uint32_t seconds = AGAIN_LEAST;
    while (n_failed-- > 1 && seconds < AGAIN_MOST)
        seconds *= 2;
    return least_of(seconds, AGAIN_MOST);
}

static enum push_verdict told(struct push_pace *p, mono_us *ret_wait)
{
    p->n_failed = 0;
    p->failing_since = 0;
    p->interval_sec /= 2;
    if (p->interval_sec < INTERVAL_LEAST)
        p->interval_sec = INTERVAL_LEAST;
    *ret_wait = SECONDS(p->interval_sec);
    return PUSH_TOLD;
}

bool push_may_repeat(uint16_t status)
{
    return status == 0 || status == 429 || status == 503;
}

enum push_verdict push_judge(struct push_pace *p, const struct push_answer *a, utc_ms now,
                             uint16_t chance, mono_us *ret_wait)
{
    if (!a->is_ours && a->status >= 200 && a->status < 300)
        return told(p, ret_wait);
    if (!a->is_ours && (a->status == 404 || a->status == 410))
        return PUSH_GONE; /* RFC 8030 sections 5 and 7.3 */
    if (a->is_ours)
        p->failing_since = 0; /* of such days nothing is known of them */
    else if (p->failing_since == 0 || p->failing_since > now)
        p->failing_since = now;
    if (!a->is_ours && now - p->failing_since >= FAILING_MOST_MS)
        return PUSH_GONE;
    if (p->n_failed < UINT16_MAX)
        p->n_failed++;
    uint32_t seconds = backoff(p->n_failed), asked = least_of(a->retry_after, ASKED_MOST);
    if (!a->is_ours && a->status == 429) { /* RFC 8620 section 7.2: less often from now on */
        uint32_t most = p->interval_sec ? p->interval_sec : INTERVAL_LEAST;
        p->interval_sec = least_of(4 * most, INTERVAL_MOST);
        seconds = seconds > p->interval_sec ? seconds : p->interval_sec;
    }
    *ret_wait = spread(seconds > asked ? seconds : asked, chance);
    return PUSH_LATER;
}
