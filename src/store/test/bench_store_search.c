/* What the search costs: messages a second while filling, bytes on disk a message, and the first
 * page of hits of an account with 100,000 messages among 1,000,000 of others. Prints one line a
 * figure. Usage: bench_store_search [FOLDER [OTHERS [OWN [TEXT FILE ...]]]]; text files give the
 * words (bodies of real mail, `./dev bench search` brings them), else they are made up. */
#include "store/store_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ACCOUNTS = 1000,
    BATCH = 500,
    SMALL = 77,   /* an account like all others */
    LARGE = 5000, /* the one with 100,000 */
    WORDS_MAX = 4 << 20,
    BODY_WORDS = 120,
    ROUNDS = 21,
    PAGE = 50,
};

struct bench {
    char folder[4000], path[4096];
    char *text; /* all words, blanks between */
    uint32_t *words;
    size_t n_text, n_words;
    uint64_t seed;
};

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static void check(enum err err, const struct errinfo *ei)
{
    if (err == ERR_OK)
        return;
    (void)fprintf(stderr, "%s: %s\n", err_name(err), ei->text);
    exit(1);
}

static uint64_t step(struct bench *b)
{
    b->seed ^= b->seed << 13;
    b->seed ^= b->seed >> 7;
    b->seed ^= b->seed << 17;
    return b->seed;
}

/* ---- words ---- */

static void take_words(struct bench *b, const char *p, size_t n)
{
    bool is_in = false;
    for (size_t i = 0; i < n && b->n_words < WORDS_MAX - 1 && b->n_text < 32 << 20; i++) {
        bool is_word = (unsigned char)p[i] > ' ' && (unsigned char)p[i] < 127;
        if (is_word && !is_in)
            b->words[b->n_words++] = (uint32_t)b->n_text;
        if (is_word || is_in)
            b->text[b->n_text++] = is_word ? p[i] : ' ';
        is_in = is_word;
    }
}

static void read_file(struct bench *b, const char *path)
{
    static char p[1 << 20];
    FILE *f = fopen(path, "rb");
    if (!f)
        return;
    size_t n = fread(p, 1, sizeof(p), f);
    (void)fclose(f);
    const char *body = memmem(p, n, "\n\n", 2);
    if (body)
        take_words(b, body, n - (size_t)(body - p));
    b->text[b->n_text++] = ' ';
}

/* Zipf-like: the k-th of 30,000 words is used about 1/k as often as the first. */
static void make_words(struct bench *b)
{
    char word[32];
    for (int i = 0; i < 400000; i++) {
        double u = (double)(step(b) % 1000000 + 1) / 1e6;
        unsigned k = 1;
        for (double limit = 30000; u < 0.92 && limit > 2; u = u * 1.7, limit /= 3)
            k = (unsigned)limit;
        unsigned rank = (unsigned)(step(b) % k);
        int n = snprintf(word, sizeof(word), "%s%u ", rank % 3 ? "wor" : "ter", rank * 7919);
        take_words(b, word, (size_t)n);
    }
}

static struct slice chunk(struct bench *b, size_t n)
{
    size_t at = (size_t)(step(b) % (b->n_words - n));
    return slice_of(b->text + b->words[at], b->words[at + n] - b->words[at] - 1);
}

/* ---- filling ---- */

struct made {
    struct store_search_text texts[BATCH];
    uint64_t accounts[BATCH];
    struct buf bodies[BATCH];
    char names[BATCH][3][64];
    size_t bytes;
};

static void make(struct bench *b, struct made *m, size_t i, uint64_t id)
{
    struct store_search_text *t = &m->texts[i];
    buf_clear(&m->bodies[i]);
    for (int k = 0; k < 3; k++) {
        buf_adds(&m->bodies[i], chunk(b, BODY_WORDS / 3));
        buf_addc(&m->bodies[i], ' ');
    }
    buf_addf(&m->bodies[i], "%llx", (unsigned long long)step(b));
    (void)snprintf(m->names[i][0], 64, "Mario Rossi%llu <mario@c%llu.example>",
                   (unsigned long long)(id % 977), (unsigned long long)(id % 503));
    (void)snprintf(m->names[i][1], 64, "Anna Bianchi <anna%llu@company.example>",
                   (unsigned long long)(id % 1000));
    (void)snprintf(m->names[i][2], 64, "offer%llu.pdf", (unsigned long long)(id % 1000));
    *t = (struct store_search_text){.message = id,
                                    .accounts = &m->accounts[i],
                                    .n_accounts = 1,
                                    .from = slice_str(m->names[i][0]),
                                    .to = slice_str(m->names[i][1]),
                                    .subject = chunk(b, 6),
                                    .body = buf_slice(&m->bodies[i])};
    if (id % 7 == 0)
        t->names = slice_str(m->names[i][2]);
    m->bytes += t->from.n + t->to.n + t->subject.n + t->body.n + t->names.n;
}

static void fill(struct bench *b, struct store_search_writer *s, uint64_t n_others, uint64_t n_own)
{
    static struct made m;
    struct errinfo ei;
    uint64_t n = n_others + n_own, every = n_own ? n / n_own : n + 1, id = 1;
    double longest = 0;
    for (int i = 0; i < BATCH; i++)
        m.bodies[i] = buf_make(1 << 20);
    double begin = seconds(), in_store = 0, cpu = 0;
    while (id <= n) {
        size_t k = 0;
        uint64_t first = id;
        for (; k < BATCH && id <= n; k++, id++) {
            m.accounts[k] = id % every == 0 ? LARGE : 1 + step(b) % ACCOUNTS;
            make(b, &m, k, id);
        }
        struct store_search_batch batch = {m.texts, k, first, id - 1};
        double from = seconds(), cpu_from = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        check(store_search_add(s, &batch, &ei), &ei);
        double took = seconds() - from;
        cpu += seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_from;
        in_store += took;
        longest = took > longest ? took : longest;
        if (id % 100000 == 1)
            (void)fprintf(stderr, "%llu %.0f/s\n", (unsigned long long)(id - 1),
                          (double)id / (seconds() - begin));
    }
    struct store_search_figures figures;
    check(store_search_figures(s, &figures, &ei), &ei);
    printf("fill_per_second=%.0f fill_cpu_ms=%.3f batch_longest_ms=%.0f text_bytes=%llu "
           "disk_bytes=%llu\n",
           (double)n / in_store, cpu * 1000 / (double)n, longest * 1000,
           (unsigned long long)(m.bytes / n), (unsigned long long)(figures.file_bytes / n));
    for (int i = 0; i < BATCH; i++)
        buf_finish(&m.bodies[i]);
}

/* ---- asking ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void ask(struct store_search_reader *r, const char *what, uint64_t account,
                const char *expression)
{
    struct store_search_question q = {
        .account = account, .expression = slice_str(expression), .limit = PAGE};
    struct store_search_hit hits[PAGE];
    struct errinfo ei;
    double took[ROUNDS];
    size_t n = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double from = seconds();
        check(store_search_ask(r, &q, hits, &n, &ei), &ei);
        took[i] = seconds() - from;
    }
    double first = took[0];
    qsort(took, ROUNDS, sizeof(took[0]), compare);
    printf("ask_%s account=%s hits=%zu p50_ms=%.2f first_ms=%.2f expression=%s\n", what,
           account == LARGE ? "large" : "small", n, took[ROUNDS / 2] * 1000, first * 1000,
           expression[0] == '"' && expression[1] == 1 ? "all" : expression);
}

static void ask_all(const struct bench *b)
{
    static const char *const questions[][2] = {
        {"common", "\"the\""},     {"word", "\"linux\""},          {"two", "\"perl\" \"python\""},
        {"letter", "\"l\" *"},     {"prefix2", "\"li\" *"},        {"prefix3", "\"lin\" *"},
        {"prefix4", "\"comp\" *"}, {"prefix5", "\"inter\" *"},     {"phrase", "\"the list\""},
        {"nothing", "\"zzqqx\""},  {"from", "from : \"rossi12\""}, {"not", "\"linux\" NOT \"the\""},
        {"every", "\"\001\""},
    };
    struct store_search_reader *r = NULL;
    struct errinfo ei;
    check(store_search_reader_open(b->folder, &r, &ei), &ei);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        ask(r, questions[i][0], LARGE, questions[i][1]);
        ask(r, questions[i][0], SMALL, questions[i][1]);
    }
    store_search_reader_close(&r);
}

/* ---- erasing ---- */

static void erase(struct store_search_writer *s, uint64_t n)
{
    struct errinfo ei;
    uint64_t ids[1000];
    bool is_more = true;
    double begin = seconds(), longest = 0;
    for (uint64_t i = 0; i < 1000; i++)
        ids[i] = n - i * (n / 1000);
    for (uint64_t account = SMALL; account < SMALL + 10; account++)
        check(store_search_remove(s, account, ids, 1000, 0, &ei), &ei);
    check(store_search_remove(s, LARGE, ids, 1000, 0, &ei), &ei);
    printf("remove_ms=%.1f\n", (seconds() - begin) * 1000);
    begin = seconds();
    int n_slices = 0;
    double slow = 0;
    for (; is_more; n_slices++) {
        double from = seconds();
        check(store_search_purge(s, 1, 0, &is_more, &ei), &ei);
        double took = seconds() - from;
        slow += took > 0.1 ? took : 0;
        longest = took > longest ? took : longest;
    }
    struct store_search_figures figures;
    check(store_search_figures(s, &figures, &ei), &ei);
    printf("purge_s=%.1f slices=%d longest_ms=%.0f slower_than_100ms_s=%.1f left=%llu "
           "disk_bytes=%llu\n",
           seconds() - begin, n_slices, longest * 1000, slow, (unsigned long long)figures.n_removed,
           (unsigned long long)(figures.file_bytes / n));
}

int main(int argc, char **argv)
{
    static struct bench b = {.folder = "/tmp/bench_store_search.XXXXXX",
                             .seed = 0x9e3779b97f4a7c15};
    uint64_t n_others = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
    uint64_t n_own = argc > 3 ? strtoull(argv[3], NULL, 10) : 2000;
    struct store_search_writer *s = NULL;
    struct errinfo ei;
    if (argc > 1)
        (void)snprintf(b.folder, sizeof(b.folder), "%s", argv[1]);
    else if (!mkdtemp(b.folder))
        return 1;
    (void)snprintf(b.path, sizeof(b.path), "%s/index", b.folder);
    (void)mkdir(b.path, 0700);
    b.text = mem_new(40 << 20);
    b.words = mem_new(WORDS_MAX * sizeof(b.words[0]));
    for (int i = 4; i < argc; i++)
        read_file(&b, argv[i]);
    if (b.n_words < 1000)
        make_words(&b);
    check(store_search_open(&(struct store_search_options){.dir = b.folder, .free_percent = 1}, &s,
                            &ei),
          &ei);
    struct store_search_marks marks;
    check(store_search_marks(s, &marks, &ei), &ei);
    if (marks.last == 0)
        fill(&b, s, n_others, n_own);
    ask_all(&b);
    erase(s, n_others + n_own);
    store_search_close(&s);
    mem_free(&b.text);
    mem_free(&b.words);
    return 0;
}
