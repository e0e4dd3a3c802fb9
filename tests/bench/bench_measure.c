/* Latencies in a histogram of bounded size, CPU seconds, and the signals that end a run. */
#include "bench.h"

#include <signal.h>
#include <sys/resource.h>

volatile bool bench_is_stopping;
volatile bool bench_is_asked;
volatile bool bench_is_resetting;

/* Below STEPS a bucket is one microsecond; each doubling above has STEPS / 2 buckets of its own,
 * so the upper half of a row of STEPS is used. */
static size_t bucket_of(uint64_t v)
{
    if (v < BENCH_HISTOGRAM_STEPS)
        return (size_t)v;
    unsigned shift = 63 - (unsigned)__builtin_clzll(v) - 7;
    size_t bucket = (size_t)shift * (BENCH_HISTOGRAM_STEPS / 2) + (size_t)(v >> shift);
    size_t last = BENCH_HISTOGRAM_STEPS * BENCH_HISTOGRAM_DOUBLINGS - 1;
    return bucket < last ? bucket : last;
}

static uint64_t bucket_value(size_t bucket)
{
    if (bucket < BENCH_HISTOGRAM_STEPS)
        return bucket;
    size_t half = BENCH_HISTOGRAM_STEPS / 2;
    size_t shift = bucket / half - 1;
    return (uint64_t)(bucket - shift * half) << shift;
}

void bench_histogram_add(struct bench_histogram *h, mono_us value)
{
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    h->counts[bucket_of(v)]++;
    h->n++;
    if (v > h->most)
        h->most = v;
}

void bench_histogram_merge(struct bench_histogram *to, const struct bench_histogram *from)
{
    for (size_t i = 0; i < BENCH_HISTOGRAM_STEPS * BENCH_HISTOGRAM_DOUBLINGS; i++)
        to->counts[i] += from->counts[i];
    to->n += from->n;
    if (from->most > to->most)
        to->most = from->most;
}

double bench_histogram_ms(const struct bench_histogram *h, double share)
{
    if (h->n == 0)
        return 0;
    if (share >= 1)
        return (double)h->most / 1000;
    uint64_t rank = (uint64_t)(share * (double)h->n);
    uint64_t seen = 0;
    for (size_t i = 0; i < BENCH_HISTOGRAM_STEPS * BENCH_HISTOGRAM_DOUBLINGS; i++) {
        seen += h->counts[i];
        if (seen > rank)
            return (double)bucket_value(i) / 1000;
    }
    return (double)h->most / 1000;
}

double bench_cpu_seconds(void)
{
    struct rusage used;
    must(getrusage(RUSAGE_SELF, &used) == 0);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void signal_note(int number)
{
    if (number != SIGUSR1 && number != SIGUSR2) {
        bench_is_stopping = true;
        return;
    }
    bench_is_resetting = number == SIGUSR2 || bench_is_resetting;
    bench_is_asked = true;
}

void bench_signals_catch(void)
{
    struct sigaction note = {.sa_handler = signal_note};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    must(sigaction(SIGTERM, &note, NULL) == 0 && sigaction(SIGINT, &note, NULL) == 0);
    must(sigaction(SIGUSR1, &note, NULL) == 0 && sigaction(SIGUSR2, &note, NULL) == 0);
    must(sigaction(SIGPIPE, &ignore, NULL) == 0);
}
