/* How fast changes become durable: submitters of 10 KiB (or argv[2] bytes) through submit .. done.
 *
 * Usage: bench_store_log [BYTES [SECONDS [FOLDER]]]. Each submitter has one change under way, as an
 * SMTP session has. Prints changes/s, latency, what a submit costs, syncs per change and bytes
 * written per body byte. The index is the real one. Without FOLDER one is made here and removed. */
#include "store/store.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 1 << 20, SUBMITTERS = 200 };

struct bench {
    struct store *store;
    _Atomic uint64_t n_done, next_id, submit_ns;
    uint32_t us[SAMPLES]; /* writer only */
    _Atomic bool is_over;
    _Atomic unsigned n_flying;
    size_t bytes;
    char *body;
};

struct submitter {
    struct store_change change;
    struct bench *bench;
    struct buf facts;
    mono_us since;
};

static void submit(struct submitter *s);

/* On the writer's thread: a session's next message comes at once. */
static void done(struct store_change *c, enum err err, const struct errinfo *ei)
{
    struct submitter *s = c->arg;
    struct bench *b = s->bench;
    if (err != ERR_OK) {
        fprintf(stderr, "%s: %s\n", err_name(err), ei->text);
        exit(1);
    }
    uint64_t n = atomic_fetch_add(&b->n_done, 1);
    if (n < SAMPLES)
        b->us[n] = (uint32_t)(mono_now() - s->since);
    if (atomic_load(&b->is_over))
        atomic_fetch_sub(&b->n_flying, 1);
    else
        submit(s);
}

static void submit(struct submitter *s)
{
    struct bench *b = s->bench;
    struct record_rcpt rcpt = {.address = SLICE("someone@example.org"),
                               .disposition = DISPOSITION_WAITING};
    struct record_fields fields = {.subject = SLICE("A subject of the usual length, or so"),
                                   .from_address = SLICE("sender@example.net"),
                                   .preview = SLICE("Dear all, as we said on Monday ...")};
    struct record_message m = {.id = atomic_fetch_add(&b->next_id, 1),
                               .mail_from = SLICE("sender@example.net"),
                               .rcpts = &rcpt,
                               .n_rcpts = 1,
                               .fields = &fields,
                               .n_fields = 1,
                               .bytes = (uint32_t)b->bytes};
    buf_clear(&s->facts);
    record_message_pack(&s->facts, &m);
    s->change = (struct store_change){.type = RECORD_MESSAGE, .id = m.id, .done = done, .arg = s};
    s->change.facts = buf_slice(&s->facts);
    s->change.body[0] = slice_of(b->body, b->bytes);
    s->since = mono_now();
    struct timespec from;
    struct timespec to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    store_submit(b->store, &s->change);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    atomic_fetch_add(&b->submit_ns, (uint64_t)((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec -
                                               from.tv_nsec));
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static void run(struct bench *b, unsigned n, long seconds)
{
    static struct submitter all[SUBMITTERS];
    struct store_figures before = store_figures(b->store);
    b->n_done = b->submit_ns = 0;
    b->is_over = false;
    b->n_flying = n;
    mono_us start = mono_now();
    for (unsigned i = 0; i < n; i++) {
        all[i].bench = b;
        all[i].facts = buf_make(8192);
        submit(&all[i]);
    }
    pause_ms(seconds * 1000);
    b->is_over = true;
    double took = (double)(mono_now() - start) / 1e6;
    uint64_t count = b->n_done;
    while (b->n_flying > 0)
        pause_ms(1);
    struct store_figures after = store_figures(b->store);
    size_t samples = count < SAMPLES ? (size_t)count : SAMPLES;
    qsort(b->us, samples, sizeof(b->us[0]), by_size);
    printf("%4u submitters: %8.0f changes/s  p50 %6u us  p99 %6u us  %.3f syncs/change  "
           "%.3f bytes/body byte  submit %.2f us  pool %llu  unapplied %zu\n",
           n, (double)count / took, b->us[samples / 2], b->us[samples * 99 / 100],
           (double)(after.n_syncs - before.n_syncs) / (double)b->n_done,
           (double)(after.bytes_written - before.bytes_written) /
               (double)(after.bytes_body - before.bytes_body),
           (double)b->submit_ns / 1000 / (double)b->n_done, (unsigned long long)after.n_pool,
           store_backlog(b->store).unapplied);
    for (unsigned i = 0; i < n; i++)
        buf_finish(&all[i].facts);
}

static void tell(void *, enum event_class, const char *name, const char *text)
{
    fprintf(stderr, "%s: %s\n", name, text);
}

static int remove_one(const char *path, const struct stat *, int, struct FTW *)
{
    return remove(path);
}

int main(int argc, char **argv)
{
    static const unsigned submitters[] = {1, 10, 50, 200};
    static struct bench b;
    char own[] = "bench-store-XXXXXX";
    struct errinfo ei;
    struct store_options o = {.dir = argc > 3 ? argv[3] : mkdtemp(own), .tell = tell};
    b.bytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 10240;
    b.body = mem_new(b.bytes + 1);
    random_bytes(b.body, b.bytes);
    if (!o.dir || b.bytes > STORE_INLINE_MAX || store_open(&o, &b.store, &ei) != ERR_OK) {
        fprintf(stderr, "the store cannot be opened\n");
        return 1;
    }
    b.next_id = store_recovered(b.store)->last_id + 1;
    pause_ms(3000); /* the pool fills */
    for (size_t i = 0; i < sizeof(submitters) / sizeof(submitters[0]); i++) {
        run(&b, submitters[i], argc > 2 ? strtol(argv[2], NULL, 10) : 3);
        pause_ms(1000);
    }
    store_close(&b.store);
    mem_free(&b.body);
    return argc > 3 ? 0 : nftw(own, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
