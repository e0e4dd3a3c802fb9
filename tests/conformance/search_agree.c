/* Do the room that reads what people type and the file that keeps the words agree? Whatever is
 * typed gives an expression that the file takes, and a text is found exactly when a snippet marks
 * it. Usage: search_agree [ROUNDS] */
#include "search/search.h"
#include "store/store_search.h"
#include "base/test/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXTS = 40, ACCOUNT = 1 };

static const char *const pieces[] = {
    "caf\xc3\xa9",
    "cafe",
    "CAFE\xcc\x81",
    "Stra\xc3\x9f"
    "e",
    "strasse",
    "na\xc3\xafve",
    "naive",
    "\xd0\x96\xd0\xb6",
    "\xce\xac\xce\xb1",
    "\xe4\xbd\xa0\xe5\xa5\xbd",
    "e-mail",
    "mail",
    "ma",
    "anna@a.example",
    "2026",
    "\xc3\x98l",
    "\xe2\x82\xac",
    "a\xc2\xad"
    "b",
    "\xef\xac\x81n",
    "i\xcc\x87",
    "\xc4\xb0",
    "\xc5\x81\xc3\xb3",
    "x\xe2\x80\x99s",
    "1.5",
    "_",
    "\xff",
    "\xcc\x81"
    "a",
};
static const char *const typed_only[] = {
    "-",    "\"",    "*",     " OR ", "from:", "(",      ")", ":",
    "\"\"", "NEAR(", " AND ", "+",    "^",     "{a b}:", "'",
};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))
#define TYPED_ONLY (sizeof(typed_only) / sizeof(typed_only[0]))

static uint64_t state = 0x9e3779b97f4a7c15;

static size_t pick(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

static void check(enum err err, const struct errinfo *ei, struct slice typed)
{
    if (err == ERR_OK)
        return;
    (void)fprintf(stderr, "%s: %s; typed: " SLICE_FMT "\n", err_name(err), ei->text,
                  SLICE_ARG(typed));
    exit(1);
}

static void make_text(struct buf *b)
{
    buf_clear(b);
    for (size_t n = 1 + pick(5); n > 0; n--) {
        buf_adds(b, slice_str(pieces[pick(PIECES)]));
        buf_addc(b, " .-\n"[pick(4)]);
    }
}

static void make_typed(struct buf *b, bool is_plain)
{
    buf_clear(b);
    for (size_t n = 1 + pick(is_plain ? 2 : 6); n > 0; n--) {
        if (!is_plain && pick(2))
            buf_adds(b, slice_str(typed_only[pick(TYPED_ONLY)]));
        buf_adds(b, slice_str(pieces[pick(PIECES)]));
        if (n > 1)
            buf_addc(b, is_plain ? '-' : ' ');
    }
    if (is_plain && pick(2))
        buf_addc(b, '*');
}

static size_t ask(struct store_search_reader *r, const struct search_tree *tree, struct slice typed,
                  bool ret_is_hit[TEXTS])
{
    struct store_search_hit hits[TEXTS];
    struct errinfo ei;
    size_t n = 0;
    SCOPED(buf_finish) struct buf b = buf_make(SEARCH_EXPRESSION_MAX);
    for (size_t i = 0; i < TEXTS; i++)
        ret_is_hit[i] = false;
    if (search_match_expression(tree, 0, &b) == SEARCH_COVER_NONE)
        return 0;
    struct store_search_question q = {
        .account = ACCOUNT, .expression = buf_slice(&b), .limit = TEXTS};
    check(store_search_ask(r, &q, hits, &n, &ei), &ei, typed);
    for (size_t i = 0; i < n; i++)
        ret_is_hit[hits[i].message - 1] = true;
    return n;
}

/* One word or phrase: found is marked, marked is found. */
static unsigned compare(const struct search_tree *tree, const struct buf *texts,
                        const bool is_hit[TEXTS], struct slice typed)
{
    unsigned n_odd = 0;
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    for (size_t i = 0; i < TEXTS && tree->n_nodes == 2; i++) {
        buf_clear(&b);
        bool is_marked = search_snippet(tree, SEARCH_BODY, buf_slice(&texts[i]), 0, &b);
        if (is_marked == is_hit[i])
            continue;
        n_odd++;
        (void)fprintf(stderr, "typed " SLICE_FMT ": %s in: " SLICE_FMT "\n", SLICE_ARG(typed),
                      is_marked ? "marked, not found" : "found, not marked",
                      SLICE_ARG(buf_slice(&texts[i])));
    }
    return n_odd;
}

int main(int argc, char **argv)
{
    static struct search_tree tree;
    static struct buf texts[TEXTS];
    char dir[] = "/tmp/search_agree.XXXXXX", path[80];
    struct folder folder;
    long n_rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 3000;
    struct store_search_writer *s = NULL;
    struct store_search_reader *r = NULL;
    struct errinfo ei;
    bool is_hit[TEXTS];
    unsigned n_odd = 0;
    size_t n_hits = 0;
    if (!folder_make(&folder, dir))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/index", dir);
    (void)mkdir(path, 0700);
    check(store_search_open(&(struct store_search_options){.dir = dir, .free_percent = 1}, &s, &ei),
          &ei, SLICE(""));
    check(store_search_reader_open(dir, &r, &ei), &ei, SLICE(""));
    for (uint64_t i = 0; i < TEXTS; i++) {
        uint64_t account = ACCOUNT;
        texts[i] = buf_make(1000);
        make_text(&texts[i]);
        struct store_search_text t = {
            .message = i + 1, .accounts = &account, .n_accounts = 1, .body = buf_slice(&texts[i])};
        struct store_search_batch b = {&t, 1, i + 1, i + 1};
        check(store_search_add(s, &b, &ei), &ei, SLICE(""));
    }
    SCOPED(buf_finish) struct buf typed = buf_make(10000);
    for (long i = 0; i < n_rounds; i++) {
        make_typed(&typed, i % 2 == 0);
        struct search_options options = {.is_typing = i % 3 == 0};
        search_read(buf_slice(&typed), &options, &tree);
        n_hits += ask(r, &tree, buf_slice(&typed), is_hit);
        if (i % 2 == 0)
            n_odd += compare(&tree, texts, is_hit, buf_slice(&typed));
    }
    printf("%ld questions, %zu hits, %u odd\n", n_rounds, n_hits, n_odd);
    for (size_t i = 0; i < TEXTS; i++)
        buf_finish(&texts[i]);
    store_search_reader_close(&r);
    store_search_close(&s);
    return folder_finish(&folder) && n_odd == 0 && n_hits > 0 ? 0 : 1;
}
