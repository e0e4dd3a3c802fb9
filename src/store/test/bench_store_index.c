/* What the index costs: CPU a message (covered, relayed, all for one), rows a second for the
 * queue's start, the sums, accounts and their emails, a copy. Prints one line a figure. Usage:
 * bench_store_index [FOLDER [MESSAGES [MESSAGES A TRANSACTION]]]. */
#include "store/index_int.h"
#include "store/store_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAILBOXES = 1000, MANY_MAILBOXES = 100000, BODY_BYTES = 10240 };

struct bench {
    char folder[4000], path[4096];
    struct index *x;
    uint64_t n, batch; /* messages; messages a transaction */
    uint64_t next_id, pos;
    uint32_t n_boxes, uids[MANY_MAILBOXES];
    bool is_covered, is_waiting;
    struct buf *bufs; /* packed records of one batch */
    struct index_record *records;
    size_t n_records;
};

static double seconds(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(enum err err, const struct errinfo *ei)
{
    if (err == ERR_OK)
        return;
    (void)fprintf(stderr, "%s: %s\n", err_name(err), ei->text);
    exit(1);
}

static uint64_t message_id(uint64_t number)
{
    return ((uint64_t)1790000000000 + number) << 20;
}

/* ---- records ---- */

static struct buf *add_record(struct bench *b, uint16_t type, uint64_t id)
{
    struct buf *buf = &b->bufs[b->n_records];
    buf_clear(buf);
    b->records[b->n_records++] = (struct index_record){.type = type, .id = id, .pos = b->pos};
    b->pos += 512;
    return buf;
}

static struct record_fields fields_of(uint64_t number, char ids[2][80])
{
    (void)snprintf(ids[0], 80, "<%llx.7d3a9f21@mail.customer.example>",
                   (unsigned long long)(number * 0x9e3779b97f4a7c15));
    uint64_t earlier = number > 5000 ? number - 5000 : 0;
    (void)snprintf(ids[1], 80, "<%llx.7d3a9f21@mail.customer.example>",
                   (unsigned long long)(earlier * 0x9e3779b97f4a7c15));
    return (struct record_fields){
        .subject = SLICE("Re: Offerta per la fornitura di componenti, terzo trimestre"),
        .base_subject = SLICE("Offerta per la fornitura di componenti, terzo trimestre"),
        .from_name = SLICE("Mario Rossi"),
        .from_address = SLICE("mario.rossi@customer.example"),
        .to = SLICE("Anna Bianchi <anna.bianchi@company.example>, ordini@company.example"),
        .message_id = slice_str(ids[0]),
        .references = number % 3 == 0 ? slice_str(ids[1]) : SLICE(""),
        .date = (utc_ms)1790000000000,
        .preview = SLICE("Buongiorno Anna, in allegato trova la nostra offerta aggiornata con i "
                         "prezzi per il terzo trimestre. Restiamo in attesa di un suo riscontro"),
    };
}

static void add_message(struct bench *b, uint64_t number)
{
    char ids[2][80];
    struct record_fields fields = fields_of(number, ids);
    uint64_t box = number * 7919 % b->n_boxes;
    struct record_rcpt rcpt = {
        .address = SLICE("anna.bianchi@company.example"),
        .person = box + 1,
        .primary = 1,
        .disposition = DISPOSITION_WAITING,
        .is_attempting = !b->is_waiting,
    };
    if (b->is_covered) {
        rcpt.mailbox = box + 1;
        rcpt.uid = ++b->uids[box];
        rcpt.modseq = rcpt.uid;
    }
    struct record_message m = {
        .id = message_id(number),
        .received = (utc_ms)1790000000000 + (utc_ms)number,
        .tenant = 1 + number % 10,
        .direction = DIRECTION_IN,
        .mail_from = SLICE("mario.rossi@customer.example"),
        .client = SLICE("198.51.100.23"),
        .helo = SLICE("mail.customer.example"),
        .bytes = BODY_BYTES,
        .rcpts = &rcpt,
        .n_rcpts = 1,
        .fields = &fields,
        .n_fields = 1,
    };
    struct buf *buf = add_record(b, RECORD_MESSAGE, m.id);
    record_message_pack(buf, &m);
    struct index_record *r = &b->records[b->n_records - 1];
    r->body_pos = r->pos + 32 + buf->n;
    r->body_bytes = BODY_BYTES;
    b->pos += BODY_BYTES;
}

static void add_results(struct bench *b, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++) {
        struct record_result result = {
            .message = message_id(number),
            .time = (utc_ms)1790000000100 + (utc_ms)number,
            .disposition = DISPOSITION_DELIVERED,
            .is_attempt = 1,
            .attempts = 1,
            .code = 250,
            .enhanced = SLICE("2.0.0"),
            .text = SLICE("2.0.0 Ok: queued as 4dKx3M1Zz7z9t"),
            .remote = SLICE("mail.company.example [192.0.2.10]:25"),
        };
        struct record_results results = {.results = &result, .n_results = 1};
        record_results_pack(add_record(b, RECORD_RESULT, result.message), &results);
    }
}

static void add_answers(struct bench *b, uint64_t from, uint64_t to)
{
    struct record_ids ids = {.ids = mem_new((to - from) * sizeof(struct record_id))};
    for (uint64_t number = from; number < to; number++)
        ids.ids[ids.n_ids++].id = message_id(number);
    record_ids_pack(add_record(b, RECORD_ANSWERED, 0), &ids);
    mem_free(&ids.ids);
}

/* ---- runs ---- */

/* Bytes that this process has given to write calls. */
static double bytes_written(void)
{
    unsigned long long n = 0;
    FILE *f = fopen("/proc/self/io", "r");
    if (!f)
        return 0;
    if (fscanf(f, "rchar: %*u wchar: %llu", &n) != 1)
        n = 0;
    (void)fclose(f);
    return (double)n;
}

static double apply_batch(struct bench *b)
{
    struct errinfo ei;
    for (size_t i = 0; i < b->n_records; i++)
        b->records[i].facts = buf_slice(&b->bufs[i]);
    double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    check(index_begin(b->x, &ei), &ei);
    for (size_t i = 0; i < b->n_records; i++)
        check(index_apply(b->x, &b->records[i], &ei), &ei);
    check(index_commit(b->x, b->pos, &ei), &ei);
    b->n_records = 0;
    return seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
}

static void put_mailboxes(struct bench *b)
{
    struct record_mailboxes list = {.mailboxes = mem_new(MAILBOXES * sizeof(*list.mailboxes))};
    for (uint32_t i = 0; i < b->n_boxes; i++) {
        list.mailboxes[list.n_mailboxes++] = (struct record_mailbox){.id = i + 1,
                                                                     .person = i + 1,
                                                                     .tenant = 1,
                                                                     .name = SLICE("Inbox"),
                                                                     .role = SLICE("inbox"),
                                                                     .modseq = 1};
        if (list.n_mailboxes < MAILBOXES && i + 1 < b->n_boxes)
            continue;
        record_mailboxes_pack(add_record(b, RECORD_MAILBOX, 0), &list);
        (void)apply_batch(b);
        list.n_mailboxes = 0;
    }
    mem_free(&list.mailboxes);
}

static void open_fresh(struct bench *b)
{
    struct errinfo ei;
    char path[4200];
    const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", b->path, ends[i]);
        (void)unlink(path);
    }
    check(index_open(b->path, &b->x, &ei), &ei);
    b->pos = 4096;
    memset(b->uids, 0, sizeof(b->uids));
    put_mailboxes(b);
}

/* Messages of one batch get their results and answers in the next, as in a busy relay. */
static void run_messages(struct bench *b, const char *name)
{
    open_fresh(b);
    double cpu = 0, last = 0, start = seconds(CLOCK_MONOTONIC), written = bytes_written();
    for (uint64_t at = 0; at < b->n; at += b->batch) {
        for (uint64_t i = at; i < at + b->batch; i++)
            add_message(b, i);
        if (at && !b->is_waiting)
            add_results(b, at - b->batch, at);
        if (at)
            add_answers(b, at - b->batch, at);
        double one = apply_batch(b);
        cpu += one;
        if (at >= b->n * 9 / 10)
            last += one;
    }
    double wall = seconds(CLOCK_MONOTONIC) - start;
    struct errinfo ei;
    check(index_checkpoint(b->x, &ei), &ei);
    written = bytes_written() - written;
    struct stat st;
    (void)stat(b->path, &st);
    (void)printf("%s batch=%llu cpu=%.1f us/message (last tenth %.1f) wall=%.1f us/message "
                 "file=%lld written=%.0f bytes/message\n",
                 name, (unsigned long long)b->batch, cpu * 1e6 / (double)b->n,
                 last * 1e7 / (double)b->n, wall * 1e6 / (double)b->n,
                 (long long)st.st_size / (long long)b->n, written / (double)b->n);
}

static bool count_row(void *arg, const struct store_row *row)
{
    uint64_t *n = arg;
    *n += row->mail_from.n > 0 && row->facts.address.n > 0;
    return true;
}

static void run_reading(struct bench *b)
{
    struct errinfo ei;
    struct store_reader *r = NULL;
    check(store_reader_open(b->folder, &r, &ei), &ei);
    uint64_t n = 0;
    double start = seconds(CLOCK_MONOTONIC);
    check(store_each_row(r, &(struct store_row_filter){}, count_row, &n, &ei), &ei);
    double took = seconds(CLOCK_MONOTONIC) - start;
    (void)printf("each_row rows=%llu %.0f rows/s\n", (unsigned long long)n, (double)n / took);
    struct store_sums sums;
    start = seconds(CLOCK_MONOTONIC);
    check(store_sums(r, 0, &sums, &ei), &ei);
    took = seconds(CLOCK_MONOTONIC) - start;
    (void)printf(
        "sums accepted=%llu waiting=%llu delivered=%llu %.3f s for a million\n",
        (unsigned long long)sums.accepted, (unsigned long long)sums.by[DISPOSITION_WAITING],
        (unsigned long long)sums.by[DISPOSITION_DELIVERED], took * 1e6 / (double)sums.accepted);
    store_reader_close(&r);
}

static bool count_account(void *arg, const struct store_account *a)
{
    *(uint64_t *)arg += a->modseq > 0 && a->inbox > 0;
    return true;
}

static bool count_email(void *arg, const struct store_email *e)
{
    *(uint64_t *)arg += e->list.n_places;
    return true;
}

static void run_accounts(struct bench *b)
{
    struct errinfo ei;
    struct store_reader *r = NULL;
    uint64_t n = 0;
    check(store_reader_open(b->folder, &r, &ei), &ei);
    double start = seconds(CLOCK_MONOTONIC);
    check(store_each_account(r, count_account, &n, &ei), &ei);
    (void)printf("each_account accounts=%llu %.3f s\n", (unsigned long long)n,
                 seconds(CLOCK_MONOTONIC) - start);
    for (int i = 0; i < 2; i++) {
        n = 0;
        start = seconds(CLOCK_MONOTONIC);
        check(store_each_email(r, 1, i ? b->uids[0] - 10 : 0, count_email, &n, &ei), &ei);
        (void)printf("each_email%s emails=%llu %.4f s\n", i ? " of the last ten" : "",
                     (unsigned long long)n, seconds(CLOCK_MONOTONIC) - start);
    }
    store_reader_close(&r);
}

static void run_copy(struct bench *b)
{
    struct errinfo ei;
    char path[4200];
    uint64_t applied = 0;
    (void)snprintf(path, sizeof(path), "%s/copy.db", b->folder);
    double start = seconds(CLOCK_MONOTONIC);
    check(index_copy(b->path, path, &applied, &ei), &ei);
    (void)printf("copy and verify %.2f s\n", seconds(CLOCK_MONOTONIC) - start);
    (void)unlink(path);
}

static void run_all(struct bench *b)
{
    static const struct {
        const char *name;
        bool is_covered, is_waiting;
        uint32_t n_boxes;
    } runs[] = {{"covered", true, false, MAILBOXES},
                {"relayed", false, false, MAILBOXES},
                {"waiting", true, true, MAILBOXES},
                {"one account", true, false, 1},
                {"many accounts", true, false, MANY_MAILBOXES}};
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        b->is_covered = runs[i].is_covered;
        b->is_waiting = runs[i].is_waiting;
        b->n_boxes = runs[i].n_boxes;
        run_messages(b, runs[i].name);
        run_reading(b);
        if (b->is_waiting)
            run_copy(b);
        if (b->n_boxes != MAILBOXES)
            run_accounts(b);
        index_close(&b->x);
    }
}

int main(int argc, char **argv)
{
    static struct bench b;
    (void)snprintf(b.folder, sizeof(b.folder), "%s", argc > 1 ? argv[1] : "bench_store_index.data");
    (void)snprintf(b.path, sizeof(b.path), "%s/index", b.folder);
    (void)mkdir(b.folder, 0700);
    (void)mkdir(b.path, 0700);
    (void)snprintf(b.path, sizeof(b.path), "%s/index/index.db", b.folder);
    b.n = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    b.batch = argc > 3 ? strtoull(argv[3], NULL, 10) : 250;
    size_t n_records = b.batch * 2 + 1;
    b.bufs = mem_new(n_records * sizeof(struct buf));
    b.records = mem_new(n_records * sizeof(struct index_record));
    for (size_t i = 0; i < n_records; i++)
        b.bufs[i] = buf_make(1 << 20);
    run_all(&b);
    return 0;
}
