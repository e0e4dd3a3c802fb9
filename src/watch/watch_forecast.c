/* What fills up, ages or stays lying: samples over a day, and when they meet a line. */
#include "watch/watch_int.h"

enum {
    HOUR_SECONDS = 3600,
    SPAN_LEAST_SECONDS = 1200, /* less than twenty minutes show nothing */
    SAMPLES_LEAST = 8,
    YEAR_SECONDS = 366 * 86400,
    FORECAST_ALARM_SECONDS = 24 * HOUR_SECONDS,
    FORECAST_NOTICE_SECONDS = 72 * HOUR_SECONDS,
    QUEUE_NOTICE_SECONDS = HOUR_SECONDS,
    QUEUE_ALARM_SECONDS = 4 * HOUR_SECONDS,
};

/* ---- trends ---------------------------------------------------------------------------------- */

static size_t newest(const struct watch_trend *t)
{
    return (t->next + WATCH_SAMPLES - 1) % WATCH_SAMPLES;
}

void watch_trend_add(struct watch_trend *t, mono_us now, double value)
{
    if (t->n > 0 && now < t->sample[newest(t)].at + SECONDS(WATCH_SAMPLE_SECONDS))
        return;
    t->sample[t->next].at = now;
    t->sample[t->next].value = value;
    t->next = (t->next + 1) % WATCH_SAMPLES;
    t->n += t->n < WATCH_SAMPLES;
}

struct line {
    double slope; /* a second */
    double span;  /* seconds between the first and the last sample */
    size_t n;
};

/* Least squares over the samples of the last `window` seconds. */
static struct line fit(const struct watch_trend *t, mono_us now, int64_t window)
{
    double n = 0, x_sum = 0, y_sum = 0, xx_sum = 0, xy_sum = 0, first = 0;
    mono_us begin = now - SECONDS(window);
    double base = t->n ? t->sample[newest(t)].value : 0;
    for (size_t i = 0; i < t->n; i++) {
        mono_us at = t->sample[(t->next + WATCH_SAMPLES - 1 - i) % WATCH_SAMPLES].at;
        if (at < begin)
            break;
        /* Near to zero, so that no digit is lost in the squares. */
        double x = (double)(at - now) / 1e6;
        double y = t->sample[(t->next + WATCH_SAMPLES - 1 - i) % WATCH_SAMPLES].value - base;
        n++, x_sum += x, y_sum += y, xx_sum += x * x, xy_sum += x * y;
        first = x;
    }
    double spread = n * xx_sum - x_sum * x_sum;
    return (struct line){.slope = spread > 0 ? (n * xy_sum - x_sum * y_sum) / spread : 0,
                         .span = n > 0 ? -first : 0,
                         .n = (size_t)n};
}

static int64_t until(const struct line *l, double value, double floor, double noise)
{
    double distance = floor - value;
    bool is_enough = l->n >= SAMPLES_LEAST && l->span >= SPAN_LEAST_SECONDS;
    double change = l->slope * l->span;
    if (!is_enough || (change < 0 ? -change : change) < noise || l->slope == 0 ||
        (distance < 0) != (l->slope < 0))
        return -1;
    double seconds = distance / l->slope;
    return seconds < YEAR_SECONDS ? (int64_t)seconds : -1;
}

int64_t watch_trend_until(const struct watch_trend *t, mono_us now, double value, double floor,
                          double noise)
{
    struct line day = fit(t, now, 24 * HOUR_SECONDS), hour = fit(t, now, HOUR_SECONDS);
    int64_t by_day = until(&day, value, floor, noise), by_hour = until(&hour, value, floor, noise);
    if (by_day < 0)
        return by_hour;
    return by_hour >= 0 && by_hour < by_day ? by_hour : by_day;
}

/* ---- the disk -------------------------------------------------------------------------------- */

static void say_room(enum watch_check check, const struct watch_room *room, double percent,
                     struct watch_finding *ret)
{
    if (check == WATCH_SPACE)
        WATCH_SAY(ret->found, "%llu of %llu MiB are free (%.0f %%)%s%s",
                  (unsigned long long)(room->n_free >> 20),
                  (unsigned long long)(room->n_total >> 20), percent,
                  room->until_refused >= 0 ? "; at the present pace full in about " : "",
                  room->until_refused >= 0 ? watch_span(room->until_refused).s : "");
    else
        WATCH_SAY(ret->found, "%llu of %llu files are free (%.0f %%)%s%s",
                  (unsigned long long)room->n_free, (unsigned long long)room->n_total, percent,
                  room->until_refused >= 0 ? "; at the present pace full in about " : "",
                  room->until_refused >= 0 ? watch_span(room->until_refused).s : "");
}

void watch_room_judge(enum watch_check check, const struct watch_room *room,
                      struct watch_finding *ret)
{
    *ret = (struct watch_finding){.check = check, .class = WATCH_OK, .number = room->until_refused};
    WATCH_SAY(ret->expected, "more than %u %% free, and more than three days to go",
              room->alarm_percent);
    if (room->n_total == 0) { /* some file systems do not count files */
        WATCH_SAY(ret->found, "the file system does not say");
        return;
    }
    double percent = 100.0 * (double)room->n_free / (double)room->n_total;
    bool is_soon = room->until_refused >= 0 && room->until_refused < FORECAST_ALARM_SECONDS;
    bool is_near = room->until_refused >= 0 && room->until_refused < FORECAST_NOTICE_SECONDS;
    say_room(check, room, percent, ret);
    if (percent < room->alarm_percent || is_soon)
        ret->class = WATCH_ALARM;
    else if (is_near)
        ret->class = WATCH_NOTICE;
    else
        return;
    WATCH_SAY(ret->why, "%s",
              check == WATCH_SPACE
                  ? "When the disk is full, new mail is asked to wait; reading and delivering go "
                    "on."
                  : "Without a free inode no file can be made, however much room there is, and "
                    "new mail is asked to wait.");
    WATCH_SAY(ret->advice, "%s",
              check == WATCH_SPACE ? "Make room or add some where node.data lies."
                                   : "Remove small files from the disk where node.data lies, or "
                                     "use a file system with more inodes.");
    if (check == WATCH_SPACE)
        WATCH_SAY(ret->why, "Below %u %% new mail is asked to wait; reading and delivering go on.",
                  room->refuse_percent);
}

/* ---- what waits ------------------------------------------------------------------------------ */

void watch_queue_judge(const struct watch_waiting *w, struct watch_finding *ret)
{
    *ret = (struct watch_finding){
        .check = WATCH_QUEUE, .class = WATCH_OK, .number = (int64_t)w->n_rows};
    WATCH_SAY(ret->expected, "at most %s while the mail system is well",
              watch_span(QUEUE_NOTICE_SECONDS).s);
    if (w->n_rows == 0)
        WATCH_SAY(ret->found, "nothing waits");
    else
        WATCH_SAY(ret->found, "%llu waiting, the oldest for %s", (unsigned long long)w->n_rows,
                  watch_span(w->age).s);
    if (w->n_rows == 0 || !w->is_well || w->age <= QUEUE_NOTICE_SECONDS)
        return;
    ret->class = w->age > QUEUE_ALARM_SECONDS ? WATCH_ALARM : WATCH_NOTICE;
    WATCH_SAY(ret->why, "The mail system looks well, and yet it does not take this mail.");
    WATCH_SAY(ret->advice, "`staffetta queue list` shows what waits and what the mail system says "
                           "to it.");
}

void watch_kept_judge(const struct watch_waiting *w, struct watch_finding *ret)
{
    *ret = (struct watch_finding){.check = WATCH_KEPT, .class = WATCH_OK, .number = w->until_full};
    WATCH_SAY(ret->expected, "room for more than three days");
    if (w->is_well || w->until_full < 0) {
        WATCH_SAY(ret->found, "%s",
                  w->is_well ? "the mail system takes its mail itself" : "room for a long time");
        return;
    }
    WATCH_SAY(ret->found, "%llu kept; at the present pace there is room for about %s",
              (unsigned long long)w->n_rows, watch_span(w->until_full).s);
    if (w->until_full >= FORECAST_NOTICE_SECONDS)
        return;
    ret->class = w->until_full < FORECAST_ALARM_SECONDS ? WATCH_ALARM : WATCH_NOTICE;
    WATCH_SAY(ret->why, "What arrives for the mail system is kept here until it is back; when the "
                        "disk is full, senders are asked to wait.");
    WATCH_SAY(ret->advice, "Repair the mail system, or add room where node.data lies.");
}

void watch_held_judge(uint64_t n_held, struct watch_finding *ret)
{
    *ret =
        (struct watch_finding){.check = WATCH_HELD, .class = WATCH_OK, .number = (int64_t)n_held};
    WATCH_SAY(ret->expected, "none");
    WATCH_SAY(ret->found, "%llu held", (unsigned long long)n_held);
    if (n_held == 0)
        return;
    ret->class = WATCH_NOTICE;
    WATCH_SAY(ret->why, "Nothing happens to held mail until a person decides.");
    WATCH_SAY(ret->advice, "`staffetta hold list` shows it; `staffetta queue release`, `return` or "
                           "`remove` decides.");
}
