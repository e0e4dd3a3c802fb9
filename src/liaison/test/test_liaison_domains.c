/* Looks at domains over a resolver of the test's own: what travels back, ceilings, stopping. */
#include "liaison/domains.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t came;
    unsigned n, n_blind;
    uint64_t last_tag;
    uint8_t class[WATCH_N];
    char found[WATCH_N][WATCH_FOUND_MAX + 1];
    char asked[300]; /* the last MX question */
    bool is_slow, is_open;
    unsigned n_not_fresh;
};

static void on_done(void *arg, uint64_t tag, const struct ipc_domain_seen *seen)
{
    struct seen *s = arg;
    pthread_mutex_lock(&s->lock);
    s->n++;
    s->n_blind += seen->is_blind;
    s->last_tag = tag;
    for (uint32_t i = 0; i < seen->n_findings; i++) {
        const struct ipc_finding *f = &seen->findings[i];
        s->class[f->check] = f->class;
        snprintf(s->found[f->check], WATCH_FOUND_MAX, SLICE_FMT, SLICE_ARG(f->found));
    }
    pthread_cond_broadcast(&s->came);
    pthread_mutex_unlock(&s->lock);
}

static void wait_for(struct seen *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    while (s->n < n)
        pthread_cond_wait(&s->came, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* Knows one MX; or answers nothing until it is opened. */
static enum err resolve(void *arg, const struct ipc_name_ask *q, mono_us, struct arena *a,
                        struct ipc_name_told *ret)
{
    struct seen *s = arg;
    static const char mx[] = "\0\12\3mx1\11staffetta\4test";
    pthread_mutex_lock(&s->lock);
    s->n_not_fresh += !q->is_fresh;
    while (s->is_slow && !s->is_open)
        pthread_cond_wait(&s->came, &s->lock);
    if (q->type == WATCH_TYPE_MX)
        snprintf(s->asked, sizeof(s->asked), SLICE_FMT, SLICE_ARG(q->name));
    pthread_mutex_unlock(&s->lock);
    *ret = (struct ipc_name_told){.status = IPC_NAME_NO_DATA};
    if (slice_eq(q->name, SLICE("dead.test")))
        return ERR_RETRY;
    if (q->type != WATCH_TYPE_MX)
        return ERR_OK;
    ret->records = arena_new(a, sizeof(*ret->records));
    ret->records[0].data = slice_of(mx, sizeof(mx));
    ret->status = IPC_NAME_OK;
    ret->n_records = 1;
    ret->ttl = 7200;
    return ERR_OK;
}

static struct liaison_domains *start(struct seen *s, unsigned threads, unsigned looks)
{
    static const struct watch_node node = {.name = {"mx1.staffetta.test", 18}};
    *s = (struct seen){.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    struct liaison_domains_options o = {.threads = threads,
                                        .looks = looks,
                                        .network = {.resolve = resolve, .resolve_arg = s},
                                        .done = on_done,
                                        .done_arg = s};
    struct liaison_domains *d = liaison_domains_create(&o);
    liaison_domains_node(d, &node);
    return d;
}

static void look(struct liaison_domains *d, uint64_t tag, const char *name)
{
    struct ipc_domain_look what = {.domain = tag, .name = slice_str(name), .form = WATCH_INLINE};
    liaison_domains_look(d, tag, &what);
}

static void a_domain_is_looked_at_freshly_and_judged(void **)
{
    struct seen s;
    struct liaison_domains *d = start(&s, 2, 10);
    look(d, 7, "rossi.test");
    wait_for(&s, 1);
    assert_int_equal(s.last_tag, 7);
    assert_int_equal(s.n_blind, 0);
    assert_int_equal(s.n_not_fresh, 0);
    assert_int_equal(s.class[WATCH_MX], WATCH_OK);
    assert_int_equal(s.class[WATCH_TTL], WATCH_NOTICE);
    assert_int_equal(s.class[WATCH_DMARC], WATCH_NOTICE);
    assert_non_null(strstr(s.found[WATCH_MX], "10 mx1.staffetta.test (this node)"));
    liaison_domains_destroy(&d);
}

static void an_empty_name_is_this_node(void **)
{
    struct seen s;
    struct liaison_domains *d = start(&s, 1, 10);
    look(d, 1, "");
    wait_for(&s, 1);
    assert_int_equal(s.class[WATCH_ADDRESS], WATCH_ALARM);
    assert_int_equal(s.class[WATCH_CERTIFICATE], WATCH_NOTICE);
    assert_int_equal(s.class[WATCH_MX], WATCH_UNKNOWN); /* not asked */
    liaison_domains_destroy(&d);
}

static void a_domain_with_umlauts_is_asked_for_as_dns_knows_it(void **)
{
    struct seen s;
    struct liaison_domains *d = start(&s, 1, 10);
    look(d, 1,
         "b\xc3\xbc"
         "cher.test");
    wait_for(&s, 1);
    assert_string_equal(s.asked, "xn--bcher-kva.test");
    liaison_domains_destroy(&d);
}

static void too_many_looks_are_answered_at_once(void **)
{
    struct seen s;
    struct liaison_domains *d = start(&s, 1, 2);
    s.is_slow = true;
    look(d, 1, "a.test");
    look(d, 2, "b.test");
    look(d, 3, "c.test");
    wait_for(&s, 1);
    assert_int_equal(s.last_tag, 3);
    assert_int_equal(s.n_blind, 1);
    pthread_mutex_lock(&s.lock);
    s.is_open = true;
    pthread_cond_broadcast(&s.came);
    pthread_mutex_unlock(&s.lock);
    wait_for(&s, 3);
    assert_int_equal(s.n_blind, 1);
    liaison_domains_destroy(&d);
}

static void who_stops_answers_what_waits(void **)
{
    struct seen s;
    struct liaison_domains *d = start(&s, 2, 100);
    for (unsigned i = 0; i < 50; i++)
        look(d, i, "a.test");
    liaison_domains_destroy(&d);
    assert_int_equal(s.n, 50);
    assert_null(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_domain_is_looked_at_freshly_and_judged),
        cmocka_unit_test(an_empty_name_is_this_node),
        cmocka_unit_test(a_domain_with_umlauts_is_asked_for_as_dns_knows_it),
        cmocka_unit_test(too_many_looks_are_answered_at_once),
        cmocka_unit_test(who_stops_answers_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
