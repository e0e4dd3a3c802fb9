/* A clock that jumps: what was decided by the time of day would be nonsense. Until a person says
 * that it is right, no automatic step is taken, nothing expires, nothing goes back to a sender. */
#include "desk/desk_state_int.h"

#include <stdio.h>
#include <time.h>

enum {
    JUMP_MS = 30000,    /* between two looks, which are less than a second apart */
    BEHIND_MS = 120000, /* the log knows a later time than the clock at the start */
};

static mono_us steady_now(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_BOOTTIME, &t) == 0);
    return (mono_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void doubt(struct desk *d, const char *text)
{
    struct desk_report r = {
        .key = SLICE("clock"),
        .class = EVENT_ALARM,
        .name = "clock.jumped",
        .subject = SLICE("clock"),
        .happened = slice_str(text),
        .did = SLICE("No automatic step is taken, nothing expires and nothing is returned to a "
                     "sender until a person confirms the clock; mail is taken and passed on."),
        .can = SLICE("Look at the clock and at its time service; when the time is right: "
                     "staffetta clock confirm --why \"...\"."),
        .by = SLICE("core"),
    };
    bool is_new = !d->clock.is_doubted;
    d->clock.is_doubted = true;
    (void)snprintf(d->clock.text, sizeof(d->clock.text), "%s", text);
    queue_doubt_clock(d->queue, true);
    if (is_new)
        desk_report(d, &r);
    desk_step_all(d, EVIDENCE_CLOCK_JUMPED, slice_str(text), SLICE("clock"));
}

void desk_clock_look(struct desk *d)
{
    utc_ms utc = utc_now();
    mono_us steady = steady_now();
    utc_ms jump = (utc - d->clock.utc) - (steady - d->clock.steady) / 1000;
    bool is_first = d->clock.utc == 0;
    d->clock.utc = utc;
    d->clock.steady = steady;
    if (is_first || (jump < JUMP_MS && jump > -JUMP_MS))
        return;
    char text[200];
    (void)snprintf(text, sizeof(text), "The clock was set %s by %lld seconds.",
                   jump > 0 ? "forward" : "back", (long long)((jump > 0 ? jump : -jump) / 1000));
    doubt(d, text);
}

void desk_clock_start(struct desk *d, utc_ms last_seen)
{
    desk_clock_look(d);
    utc_ms behind = last_seen - d->clock.utc;
    if (behind < BEHIND_MS)
        return;
    char text[200];
    (void)snprintf(text, sizeof(text),
                   "At the start the clock is %lld seconds before the last thing that was written.",
                   (long long)(behind / 1000));
    doubt(d, text);
}

bool desk_clock_is_doubted(void *arg, struct slice *ret_text)
{
    struct desk *d = arg;
    *ret_text = d->clock.text[0] ? slice_str(d->clock.text)
                                 : SLICE("The clock runs as it should since the start.");
    return d->clock.is_doubted;
}

void desk_clock_confirm(struct desk *d, struct slice by, struct slice why)
{
    struct desk_report r = {
        .key = SLICE("clock"),
        .class = EVENT_NOTICE,
        .name = "clock.confirmed",
        .subject = SLICE("clock"),
        .happened = why,
        .did = SLICE("Automatic steps are allowed again."),
        .by = by,
        .is_over = true,
    };
    d->clock.is_doubted = false;
    queue_doubt_clock(d->queue, false);
    desk_report(d, &r);
    desk_step_all(d, EVIDENCE_CLOCK_CONFIRMED, why, by);
}
