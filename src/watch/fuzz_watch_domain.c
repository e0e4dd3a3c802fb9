/* DNS answers and pages of a stranger: each question takes the next piece of the input. A look must
 * end, within its ceilings, with printable texts. */
#include "watch/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { QUESTIONS_MAX = 4000 };

struct stranger {
    struct slice rest;
    unsigned n_asked;
};

/* A byte of status, a byte of count, then records with a byte of length each. */
static void answer(void *self, struct slice, uint16_t, struct arena *a, struct watch_records *ret)
{
    struct stranger *s = self;
    struct reader r = reader_make(s->rest);
    unsigned status = read_u8(&r) % 5, n = status == WATCH_ANSWER_OK ? read_u8(&r) % 20 : 0;
    struct slice *list = arena_try(a, (n + 1) * sizeof(*list));
    must(list && ++s->n_asked < QUESTIONS_MAX);
    *ret = (struct watch_records){.status = r.failed ? WATCH_ANSWER_NO_DATA : status,
                                  .is_secure = n & 1,
                                  .ttl = n * 100,
                                  .data = list};
    for (; ret->n < n && !r.failed; ret->n++) {
        size_t bytes = read_u8(&r);
        list[ret->n] = slice_of(r.rest.p, bytes < r.rest.n ? bytes : r.rest.n);
        r.rest = slice_skip(r.rest, bytes);
    }
    s->rest = r.rest;
}

/* A byte of status, then half of what is left. */
static void get(void *self, const char *, const char *, struct arena *, struct watch_page *ret)
{
    struct stranger *s = self;
    struct reader r = reader_make(s->rest);
    *ret = (struct watch_page){.status = read_u8(&r) % 3, .why = "no"};
    ret->text = slice_of(r.rest.p, r.rest.n / 2);
    s->rest = slice_skip(r.rest, r.rest.n / 2);
}

static void check_text(const char *text, size_t max)
{
    must(strnlen(text, max + 1) <= max);
    for (; *text; text++)
        must(*text >= ' ' && *text <= '~');
}

static void check(const struct watch_findings *all)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct watch_finding *f = &all->list[i];
        must(f->check < WATCH_N && f->class < WATCH_CLASS_N);
        check_text(f->found, WATCH_FOUND_MAX);
        check_text(f->expected, WATCH_TEXT_MAX);
        check_text(f->why, WATCH_TEXT_MAX);
        check_text(f->advice, WATCH_ADVICE_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice networks[] = {{"192.0.2.0/24", 12}, {"2001:db8::/32", 13}};
    static const struct watch_selector selectors[] = {{{"one", 3}, true}};
    struct watch_node node = {.name = SLICE("mx1.staffetta.example")};
    struct watch_domain domain = {.name = SLICE("mail.rossi.example"),
                                  .form = 1 + size % 3,
                                  .networks = networks,
                                  .n_networks = 2,
                                  .selectors = selectors,
                                  .n_selectors = 1};
    struct stranger s = {.rest = slice_of((const char *)data, size)};
    struct watch_outside outside = {{answer, &s}, {get, &s}};
    struct watch_findings all;
    watch_look_domain(&outside, &node, &domain, 1700000000000, &all);
    check(&all);
    watch_look_node(&outside.dns, &node, 1700000000000, &all);
    check(&all);
    return 0;
}
