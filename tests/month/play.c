/* month_play: plays a month of evidence about one primary through the decision and judges it.
 *
 * From stdin, times in milliseconds:
 *     MS EVIDENCE                     ascending; the words of continuity_evidence_name
 *     # real FROM_MS UNTIL_MS WHAT    what was really broken then
 *     # glitch FROM_MS UNTIL_MS WHAT  what only looked like it
 * Quiet time is filled with a tick every two seconds. What is ready is approved at once and drained
 * ten seconds later. Each change of state is printed, the figures in the end; the exit code is 0
 * only if nothing was found wrong (1), and 2 for input that makes no sense.
 *
 * Wrong is: an emergency without a real failure, or in one that was shorter than a reboot; people
 * told of nothing; a real failure that was not suspected or not declared in time; a primary that is
 * not in standby in the end. The times for the decision run from the failure's beginning, or, where
 * nothing showed it before, from the evidence that did: three failures in a row. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "continuity/continuity.h"

enum {
    TICK_MS = 2000,
    DRAIN_MS = 10000,
    SLACK_MS = 125000, /* a canary that was sent in a window fails two minutes later */
    SUSPECT_WITHIN_MS = 120000,
    MARGIN_MS = 60000, /* for the emergency, after the plan's time */
    CLOSE_MS = 60000,  /* failures of deliveries that are evident together */
    WINDOWS_MAX = 4000,
    EVENTS_MAX = 4000000,
    LINE_MAX_BYTES = 200,
};

struct window {
    bool is_real;
    bool is_ours; /* we were blind or in doubt of the clock: nobody may be told */
    utc_ms from, until;
    char what[60];
    uint32_t n_bad[ASPECT_N]; /* in a row */
    utc_ms row[ASPECT_N];     /* first of the row */
    utc_ms last[ASPECT_N];
    utc_ms evident;             /* the third in a row; 0: never */
    utc_ms evident_first;       /* the first of that row */
    utc_ms suspected, declared; /* 0: not */
};

struct event {
    utc_ms at;
    enum continuity_evidence e;
};

struct play {
    struct continuity_plan plan;
    struct continuity_primary p;
    struct window *windows;
    size_t n_windows;
    struct event *events;
    size_t n_events, events_cap;
    utc_ms drain_at; /* 0: nothing to drain */
    bool is_refusing, is_quiet;
    unsigned n_wrong, n_told, n_emergencies, n_false;
};

/* ---- reading ---- */

static bool read_window(struct play *m, const char *line)
{
    char kind[10];
    long long from, until;
    if (m->n_windows >= WINDOWS_MAX)
        return false;
    struct window *w = &m->windows[m->n_windows];
    *w = (struct window){};
    if (sscanf(line, "# %9s %lld %lld %59[^\n]", kind, &from, &until, w->what) != 4)
        return false;
    w->is_real = strcmp(kind, "real") == 0;
    w->from = from;
    w->until = until;
    m->n_windows++;
    return (w->is_real || strcmp(kind, "glitch") == 0) && from > 0 && from < until;
}

static bool read_event(struct play *m, const char *line)
{
    char *end;
    long long at = strtoll(line, &end, 10);
    struct slice word = slice_trim(slice_str(*end == ' ' ? end : ""));
    enum continuity_evidence e = continuity_evidence_of(word);
    utc_ms before = m->n_events > 0 ? m->events[m->n_events - 1].at : 1;
    if (e == EVIDENCE_N || at < before || m->n_events >= EVENTS_MAX)
        return false;
    if (m->n_events == m->events_cap) {
        m->events_cap = m->events_cap ? 2 * m->events_cap : 4096;
        m->events = mem_resize(m->events, m->events_cap * sizeof(*m->events));
    }
    m->events[m->n_events++] = (struct event){at, e};
    return true;
}

static bool read_all(struct play *m)
{
    char line[LINE_MAX_BYTES];
    unsigned n = 0;
    m->windows = mem_new(WINDOWS_MAX * sizeof(*m->windows));
    while (fgets(line, sizeof(line), stdin)) {
        n++;
        bool is_window = strncmp(line, "# real ", 7) == 0 || strncmp(line, "# glitch ", 9) == 0;
        bool is_remark = line[0] == '#' || line[0] == '\n';
        if (is_window ? read_window(m, line) : is_remark || read_event(m, line))
            continue;
        fprintf(stderr, "line %u makes no sense: %s", n, line);
        return false;
    }
    return m->n_events > 0;
}

/* ---- what the evidence shows ---- */

static bool is_bad(enum continuity_evidence e)
{
    return e == EVIDENCE_BAD || e == EVIDENCE_REFUSES || e == EVIDENCE_CANARY_BAD ||
           e == EVIDENCE_LOGIN_BAD;
}

static bool is_good(enum continuity_evidence e)
{
    return e == EVIDENCE_GOOD || e == EVIDENCE_GREETS || e == EVIDENCE_CANARY_GOOD ||
           e == EVIDENCE_LOGIN_GOOD;
}

static enum continuity_aspect aspect_of(enum continuity_evidence e)
{
    if (e == EVIDENCE_CANARY_BAD || e == EVIDENCE_CANARY_GOOD)
        return ASPECT_ARRIVES;
    return e == EVIDENCE_LOGIN_BAD || e == EVIDENCE_LOGIN_GOOD ? ASPECT_LETS_IN : ASPECT_TAKES;
}

static void show_bad(struct play *m, struct window *w, enum continuity_aspect a, utc_ms now)
{
    bool is_far = a == ASPECT_TAKES && now - w->last[a] > CLOSE_MS;
    if (w->n_bad[a] == 0 || is_far) {
        w->n_bad[a] = 0;
        w->row[a] = now;
    }
    w->last[a] = now;
    if (++w->n_bad[a] < m->plan.bad_for_suspect || w->evident)
        return;
    w->evident = now;
    w->evident_first = w->row[a];
}

static void show(struct play *m, const struct event *v)
{
    enum continuity_aspect a = aspect_of(v->e);
    bool is_proof = is_good(v->e) && !(v->e == EVIDENCE_GREETS && m->is_refusing);
    if (v->e == EVIDENCE_REFUSES)
        m->is_refusing = true;
    else if (v->e == EVIDENCE_GOOD || v->e == EVIDENCE_BAD || v->e == EVIDENCE_CANARY_GOOD)
        m->is_refusing = false;
    for (size_t i = 0; i < m->n_windows; i++) {
        struct window *w = &m->windows[i];
        if (v->at < w->from || v->at > w->until)
            continue;
        w->is_ours |= v->e == EVIDENCE_BLIND || v->e == EVIDENCE_CLOCK_JUMPED;
        if (is_bad(v->e))
            show_bad(m, w, a, v->at);
        else if (is_proof)
            w->n_bad[a] = 0;
    }
}

/* ---- judging each step ---- */

static void wrong(struct play *m, utc_ms at, const char *what, const char *which)
{
    m->n_wrong++;
    printf("WRONG %s %s%s%s\n", utc_rfc3339(at).s, what, which[0] ? ": " : "", which);
}

/* The window that explains what happens now: a real one before all others. */
static struct window *explanation(struct play *m, utc_ms now)
{
    struct window *found = NULL;
    for (size_t i = 0; i < m->n_windows; i++) {
        struct window *w = &m->windows[i];
        if (now >= w->from && now <= w->until + SLACK_MS && (!found || w->is_real))
            found = w;
    }
    return found;
}

static void judge_emergency(struct play *m, utc_ms now)
{
    struct window *w = explanation(m, now);
    utc_ms shortest = (utc_ms)m->plan.emergency_after_sec * 1000 - MARGIN_MS;
    m->n_emergencies++;
    if (!w || !w->is_real) {
        m->n_false++;
        wrong(m, now, "a false emergency", w ? w->what : "nothing was planted here");
    } else if (w->until - w->from < shortest) {
        wrong(m, now, "an emergency for a short failure", w->what);
    }
}

/* A reboot that lasts is told, and rightly so. The plan counts from the first failure, which may be
 * an ordinary one of the minute before: nobody could tell them apart. */
static void judge_told(struct play *m, utc_ms now)
{
    struct window *w = explanation(m, now);
    utc_ms after = ((utc_ms)m->plan.tell_after_sec - m->plan.suspect_within_sec) * 1000;
    m->n_told++;
    if (!w || (!w->is_real && (w->is_ours || now - w->from < after)))
        wrong(m, now, "people were told of nothing", w ? w->what : "nothing was planted here");
}

static void note_states(struct play *m, utc_ms now)
{
    if (m->p.state == STATE_STANDBY)
        return;
    for (size_t i = 0; i < m->n_windows; i++) {
        struct window *w = &m->windows[i];
        if (!w->is_real || now < w->from || now > w->until + SLACK_MS)
            continue;
        if (!w->suspected)
            w->suspected = now;
        if (!w->declared && m->p.state != STATE_SUSPECT)
            w->declared = now;
    }
}

static void step(struct play *m, enum continuity_evidence e, utc_ms now)
{
    enum continuity_state old = m->p.state;
    unsigned actions = continuity_step(&m->p, e, now, &m->plan);
    if (actions & ACTION_TELL)
        judge_told(m, now);
    if (actions & ACTION_STATE_CHANGED) {
        if (!m->is_quiet)
            printf("%s %s -> %s (%s)%s\n", utc_rfc3339(now).s, continuity_state_name(old),
                   continuity_state_name(m->p.state), continuity_evidence_name(e),
                   actions & ACTION_TELL ? ", told" : "");
        if (m->p.state == STATE_EMERGENCY && old != STATE_RETURNING)
            judge_emergency(m, now);
        m->drain_at = m->p.state == STATE_RETURNING ? now + DRAIN_MS : 0;
    } else if ((actions & ACTION_TELL) && !m->is_quiet) {
        printf("%s told\n", utc_rfc3339(now).s);
    }
    note_states(m, now);
    if (actions & ACTION_READY)
        step(m, EVIDENCE_SAY_APPROVE, now);
}

static void tick(struct play *m, utc_ms now)
{
    bool is_drained = m->drain_at && now >= m->drain_at;
    step(m, is_drained ? EVIDENCE_DRAINED : EVIDENCE_NONE, now);
}

static void play(struct play *m)
{
    utc_ms now = m->events[0].at;
    m->p = continuity_start(now);
    for (size_t i = 0; i < m->n_events; i++) {
        while (m->events[i].at - now > TICK_MS)
            tick(m, now += TICK_MS);
        now = m->events[i].at;
        show(m, &m->events[i]);
        step(m, m->events[i].e, now);
        if (m->drain_at)
            tick(m, now);
    }
    for (utc_ms end = now + 2 * DRAIN_MS; now < end;)
        tick(m, now += TICK_MS);
}

/* ---- judging the whole ---- */

struct times {
    utc_ms v[WINDOWS_MAX];
    size_t n;
};

static int ascending(const void *a, const void *b)
{
    utc_ms x = *(const utc_ms *)a, y = *(const utc_ms *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *what, struct times *t)
{
    qsort(t->v, t->n, sizeof(t->v[0]), ascending);
    if (t->n > 0)
        printf("%s %zu, after seconds p50 %.1f max %.1f\n", what, t->n,
               (double)t->v[t->n / 2] / 1000, (double)t->v[t->n - 1] / 1000);
    else
        printf("%s 0\n", what);
}

static utc_ms later(utc_ms a, utc_ms b)
{
    return a > b ? a : b;
}

static void judge_real(struct play *m, const struct window *w, struct times *suspected,
                       struct times *declared, struct times *seen)
{
    utc_ms after = (utc_ms)m->plan.emergency_after_sec * 1000;
    utc_ms suspect_due = later(w->from + SUSPECT_WITHIN_MS, w->evident + TICK_MS);
    utc_ms due = later(w->from + after + MARGIN_MS, w->evident_first + after + 2 * TICK_MS);
    due = later(due, w->evident + TICK_MS);
    if (w->suspected)
        suspected->v[suspected->n++] = w->suspected - w->from;
    if (w->declared)
        declared->v[declared->n++] = w->declared - w->from;
    if (w->declared)
        seen->v[seen->n++] = w->declared - w->evident_first;
    if (!w->suspected || w->suspected > suspect_due)
        wrong(m, w->from, w->suspected ? "suspected too late" : "never suspected", w->what);
    bool is_long = after > 0 && w->until - w->from >= after + 2 * MARGIN_MS && due <= w->until;
    if (is_long && (!w->declared || w->declared > due))
        wrong(m, w->from, w->declared ? "declared too late" : "never declared", w->what);
}

static void judge_all(struct play *m)
{
    static struct times suspected, declared, seen;
    size_t n_real = 0, n_unseen = 0;
    for (size_t i = 0; i < m->n_windows; i++) {
        struct window *w = &m->windows[i];
        n_real += w->is_real;
        if (w->is_real && !w->evident)
            n_unseen++;
        else if (w->is_real)
            judge_real(m, w, &suspected, &declared, &seen);
    }
    if (n_unseen * 3 > n_real)
        wrong(m, m->events[0].at, "too many failures show in no evidence", "");
    if (m->p.state != STATE_STANDBY)
        wrong(m, m->events[m->n_events - 1].at, "not back in the end",
              continuity_state_name(m->p.state));
    printf("evidence %zu, glitches %zu, real %zu (%zu not to be seen), told %u\n", m->n_events,
           m->n_windows - n_real, n_real, n_unseen, m->n_told);
    print_times("suspected", &suspected);
    print_times("declared", &declared);
    print_times("declared, from the first of the failures seen", &seen);
    printf("emergencies %u, false %u, wrong %u\n", m->n_emergencies, m->n_false, m->n_wrong);
}

static bool options(struct play *m, int argc, char **argv)
{
    static const struct option names[] = {
        {"emergency-after", required_argument, NULL, 'e'},
        {"tell-after", required_argument, NULL, 't'},
        {"suspect-failures", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        uint64_t v = 0;
        if (c == '?' || (c != 'q' && !slice_u64(slice_str(optarg), 1000000, &v)))
            return false;
        if (c == 'e')
            m->plan.emergency_after_sec = (uint32_t)v;
        else if (c == 't')
            m->plan.tell_after_sec = (uint32_t)v;
        else if (c == 's')
            m->plan.bad_for_suspect = (uint32_t)v;
        else
            m->is_quiet = true;
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    static struct play m;
    m.plan = continuity_plan_default;
    if (!options(&m, argc, argv)) {
        fprintf(stderr, "usage: month_play [--emergency-after SEC] [--tell-after SEC] "
                        "[--suspect-failures N] [--quiet] < evidence\n");
        return 2;
    }
    bool is_read = read_all(&m);
    if (is_read) {
        play(&m);
        judge_all(&m);
    }
    mem_free(&m.events);
    mem_free(&m.windows);
    return !is_read ? 2 : m.n_wrong > 0;
}
