/* Who searches finds what she changed before: a question waits, a moment, until what her account
 * was told to have is in the index of words.
 *
 * Numbers of desk_next_id are the order: an account is fresh since the number of its last change, a
 * turn of filling begins with one, and what a change brings has ids below its number. So after a
 * turn that began later the change is in, when the account was compared in it and nothing that came
 * late is left, and the upper mark has passed the number or nothing stands above the mark. */
#include "desk/desk_find_int.h"

enum { WAIT_SECONDS = 2 /* then an answer without the newest is better than none */ };

uint64_t find_begin_turn(struct finder *f)
{
    pthread_mutex_lock(&f->lock);
    uint64_t turn = desk_next_id(f->desk);
    pthread_mutex_unlock(&f->lock);
    return turn;
}

void find_end_turn(struct finder *f, uint64_t turn, bool is_all)
{
    struct store_search_marks marks;
    struct errinfo ei;
    struct slice key;
    void *value;
    size_t at = 0;
    if (f->compare.n_late > 0 || store_search_marks(f->search, &marks, &ei) != ERR_OK)
        return;
    pthread_mutex_lock(&f->lock);
    while (map_next(f->wait.fresh, &at, &key, &value)) {
        uint64_t since = (uintptr_t)value;
        if (since < turn && !map_get(f->compare.dirty_of, key) && (is_all || marks.last >= since))
            (void)map_del(f->wait.fresh, key);
    }
    pthread_cond_broadcast(&f->wait.settled);
    pthread_mutex_unlock(&f->lock);
}

bool find_is_awaited(struct finder *f)
{
    pthread_mutex_lock(&f->lock);
    bool is = f->wait.n > 0;
    pthread_mutex_unlock(&f->lock);
    return is;
}

void find_wait_changed(struct finder *f, uint64_t person)
{
    /* NOLINTNEXTLINE: a number */
    (void)map_put(f->wait.fresh, KEY(person), (void *)(uintptr_t)desk_next_id(f->desk));
}

void desk_find_wait(struct desk *d, uint64_t person, mono_us until)
{
    struct finder *f = d->finder;
    mono_us most = mono_now() + SECONDS(WAIT_SECONDS);
    if (!f)
        return;
    until = until && until < most ? until : most;
    struct timespec at = {.tv_sec = until / SECONDS(1), .tv_nsec = until % SECONDS(1) * 1000};
    int result = 0;
    pthread_mutex_lock(&f->lock);
    f->wait.n++;
    if (map_get(f->wait.fresh, KEY(person)))
        pthread_cond_signal(&f->cond);
    while (map_get(f->wait.fresh, KEY(person)) && !f->is_over && result == 0)
        result = pthread_cond_timedwait(&f->wait.settled, &f->lock, &at);
    f->wait.n--;
    pthread_mutex_unlock(&f->lock);
}

void find_wait_create(struct finder *f)
{
    pthread_condattr_t clock;
    f->wait.fresh = map_create();
    must(pthread_condattr_init(&clock) == 0);
    must(pthread_condattr_setclock(&clock, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&f->wait.settled, &clock) == 0);
    (void)pthread_condattr_destroy(&clock);
}

void find_wait_destroy(struct finder *f)
{
    map_destroy(&f->wait.fresh);
    (void)pthread_cond_destroy(&f->wait.settled);
}
