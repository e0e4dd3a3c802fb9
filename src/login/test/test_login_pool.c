/* Argon2 on threads: what is right is told, what is too much is refused, and the welcome go first.
 */
#include "login/login_int.h"

#include <pthread.h>
#include <sodium.h>
#include <errno.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define TEST(name) cmocka_unit_test(name)

/* ---- hashing that takes as long as the test wants: in place of libsodium's ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_held;
    unsigned n_held;
} slow = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

int crypto_pwhash_str(char out[LOGIN_HASH_TEXT], const char *password, unsigned long long n,
                      unsigned long long opslimit, size_t memlimit)
{
    pthread_mutex_lock(&slow.lock);
    bool was_held = slow.is_held;
    slow.n_held += was_held;
    pthread_cond_broadcast(&slow.cond);
    while (slow.is_held)
        pthread_cond_wait(&slow.cond, &slow.lock);
    pthread_mutex_unlock(&slow.lock);
    if (was_held)
        return -1;
    return crypto_pwhash_str_alg(out, password, n, opslimit, memlimit, crypto_pwhash_ALG_DEFAULT);
}

static void slow_set(bool is_held)
{
    pthread_mutex_lock(&slow.lock);
    slow.is_held = is_held;
    slow.n_held = 0;
    pthread_cond_broadcast(&slow.cond);
    pthread_mutex_unlock(&slow.lock);
}

static void keep_no_hash(void *, const char *made)
{
    assert_null(made);
}

/* Until they are let go, all threads are busy. */
static void hold_all_threads(struct login_pool *p)
{
    slow_set(true);
    for (int i = 0; i < LOGIN_THREADS; i++)
        assert_true(login_pool_hash(p, SLICE("correct horse"), keep_no_hash, NULL));
    pthread_mutex_lock(&slow.lock);
    while (slow.n_held < LOGIN_THREADS)
        pthread_cond_wait(&slow.cond, &slow.lock);
    pthread_mutex_unlock(&slow.lock);
}

/* A loop of our own. */
static struct {
    pthread_mutex_t lock;
    struct {
        void (*fn)(void *);
        void *arg;
    } list[200];
    size_t n, n_run;
} posts = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void post(void *, void (*fn)(void *), void *arg)
{
    pthread_mutex_lock(&posts.lock);
    posts.list[posts.n].fn = fn;
    posts.list[posts.n++].arg = arg;
    pthread_mutex_unlock(&posts.lock);
}

static void run_until(size_t n)
{
    while (posts.n_run < n) {
        pthread_mutex_lock(&posts.lock);
        bool is_there = posts.n_run < posts.n;
        pthread_mutex_unlock(&posts.lock);
        if (is_there) {
            posts.list[posts.n_run].fn(posts.list[posts.n_run].arg);
            posts.n_run++;
        } else {
            usleep(1000);
        }
    }
}

static int reset(void **)
{
    posts.n = posts.n_run = 0;
    return 0;
}

static char hash[LOGIN_HASH_TEXT];

static void keep_hash(void *arg, const char *made)
{
    assert_null(arg);
    assert_non_null(made);
    snprintf(hash, sizeof(hash), "%s", made);
}

static int results[100];
static size_t n_results;

static void keep_result(void *arg, enum login_result result)
{
    assert_true(n_results < 100);
    results[n_results++] = (int)result;
    if (arg)
        *(size_t *)arg = n_results;
}

static struct login_check check_of(const char *text, const char *secret, bool is_welcome)
{
    struct login_check c = {.is_welcome = is_welcome, .n_secret = strlen(secret)};
    snprintf(c.hash, sizeof(c.hash), "%s", text);
    memcpy(c.secret, secret, c.n_secret);
    return c;
}

static void a_password_is_known_again_by_its_hash(void **)
{
    struct login_pool *p = login_pool_create(post, NULL);
    n_results = 0;
    assert_true(login_pool_hash(p, SLICE("correct horse"), keep_hash, NULL));
    run_until(1);
    assert_memory_equal(hash, "$argon2id$v=19$m=65536,", 23);
    struct login_check right = check_of(hash, "correct horse", false),
                       wrong = check_of(hash, "correct Horse", false);
    assert_true(login_pool_check(p, &right, keep_result, NULL));
    run_until(2);
    assert_true(login_pool_check(p, &wrong, keep_result, NULL));
    run_until(3);
    assert_int_equal(results[0], LOGIN_MATCHES);
    assert_int_equal(results[1], LOGIN_DIFFERS);
    login_pool_destroy(&p);
}

/* A hash that cannot be read is refused at once: quick enough to fill lines with. */
static void only_so_many_wait_and_the_welcome_go_first(void **)
{
    struct login_pool *p = login_pool_create(post, NULL);
    size_t n_taken = 0, at_welcome = 0, at_last = 0;
    struct login_check quick = check_of("nonsense", "x", false),
                       welcome = check_of("nonsense", "x", true);
    n_results = 0;
    hold_all_threads(p);
    while (
        n_taken < 2 * LOGIN_LINE_MAX &&
        login_pool_check(p, &quick, keep_result, n_taken == LOGIN_LINE_MAX - 1 ? &at_last : NULL))
        n_taken++;
    assert_int_equal(n_taken, LOGIN_LINE_MAX);
    assert_true(login_pool_check(p, &welcome, keep_result, &at_welcome));
    slow_set(false);
    run_until(LOGIN_THREADS + LOGIN_LINE_MAX + 1);
    assert_in_range(at_welcome, 1, LOGIN_THREADS); /* two threads may finish in either order */
    assert_true(at_last >= LOGIN_LINE_MAX);
    login_pool_destroy(&p);
}

static void *let_go_later(void *)
{
    usleep(200000);
    slow_set(false);
    return NULL;
}

static void whoever_waits_when_it_ends_is_told_so(void **)
{
    struct login_pool *p = login_pool_create(post, NULL);
    struct login_check quick = check_of("nonsense", "x", false);
    pthread_t later;
    n_results = 0;
    hold_all_threads(p);
    assert_true(login_pool_check(p, &quick, keep_result, NULL));
    assert_int_equal(pthread_create(&later, NULL, let_go_later, NULL), 0);
    login_pool_destroy(&p);
    assert_int_equal(pthread_join(later, NULL), 0);
    assert_int_equal(n_results, 1);
    assert_int_equal(results[0], LOGIN_NOT_TRIED);
    run_until(LOGIN_THREADS); /* those that ran were posted */
}

/* Or the time would tell which addresses exist. */
static void nobodys_password_is_as_much_work_as_anybodys(void **)
{
    struct login *l = login_create();
    struct login_ask ask = {.way = LOGIN_BY_PASSWORD,
                            .address = SLICE("nobody@example.test"),
                            .secret = SLICE("x"),
                            .client = SLICE("192.0.2.1")};
    struct login_told told;
    struct login_check c;
    login_judge(l, &ask, &told, &c);
    assert_int_equal(told.verdict, LOGIN_CHECK);
    assert_int_equal(crypto_pwhash_str_needs_rehash(c.hash, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                                    crypto_pwhash_MEMLIMIT_INTERACTIVE),
                     0);
    errno = 0;
    assert_int_equal(crypto_pwhash_str_verify(c.hash, "x", 1), -1);
    assert_int_equal(errno, EINVAL); /* it was computed and differs; else it was not computed */
    login_destroy(&l);
}

int main(void)
{
    login_before_sandbox();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_password_is_known_again_by_its_hash, reset),
        cmocka_unit_test_setup(only_so_many_wait_and_the_welcome_go_first, reset),
        cmocka_unit_test_setup(whoever_waits_when_it_ends_is_told_so, reset),
        TEST(nobodys_password_is_as_much_work_as_anybodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
