/* How much of the mail is in the index of words. A large node fills a new one for hours; until then
 * a search finds what is in, and JMAP has no word for that: so those who run the node can see it.
 */
#include "desk/desk_find_int.h"

#include <stdio.h>

enum {
    LATE_SECONDS = 60, /* what came since then may still be on its way */
    TOLD_PERCENT = 10, /* a line in the log for so much */
};

static utc_ms time_of(uint64_t message)
{
    return (utc_ms)(message >> 20);
}

static bool take_id(void *arg, const struct record_message *m)
{
    *(uint64_t *)arg = m->id;
    return false;
}

/* 0: there is none. */
static enum err first_from(struct finder *f, uint64_t from, uint64_t *ret, struct errinfo *ei)
{
    struct store_interval in = {from, UINT64_MAX >> 1, false, 1};
    *ret = 0;
    return store_each_message(f->reader, &in, take_id, ret, ei);
}

static unsigned percent_of(utc_ms oldest, const struct admin_search *s)
{
    if (s->is_whole)
        return 100;
    if (s->from == 0 || s->upto <= oldest || s->from <= oldest)
        return s->from ? 99 : 0;
    return (unsigned)((s->upto - s->from) * 99 / (s->upto - oldest));
}

static enum err look(struct finder *f, struct admin_search *ret, struct errinfo *ei)
{
    struct store_search_marks marks;
    uint64_t oldest = 0, waiting = 0;
    utc_ms late = utc_now() - LATE_SECONDS * 1000;
    enum err err = store_search_marks(f->search, &marks, ei);
    if (err == ERR_OK)
        err = first_from(f, 1, &oldest, ei);
    if (err == ERR_OK)
        err = first_from(f, marks.last + 1, &waiting, ei);
    if (err != ERR_OK)
        return err;
    bool is_bottom =
        oldest == 0 || time_of(oldest) > late || (marks.first && marks.first <= oldest);
    ret->is_whole = is_bottom && (waiting == 0 || time_of(waiting) > late);
    ret->from = time_of(marks.first);
    ret->upto = time_of(marks.last);
    ret->percent = percent_of(time_of(oldest), ret);
    return ERR_OK;
}

/* While it is not whole the log says how far it is, and then that it is. */
static void tell(const struct admin_search *before, const struct admin_search *now)
{
    bool is_new = !before->is_known || before->is_whole;
    if (now->is_whole && !is_new)
        log_event(EV_SEARCH_FILLED, "from=%s", utc_rfc3339(now->from).s);
    else if (!now->is_whole &&
             (is_new || now->percent / TOLD_PERCENT != before->percent / TOLD_PERCENT))
        log_event(EV_SEARCH_FILLING, "percent=%u from=%s upto=%s", now->percent,
                  utc_rfc3339(now->from).s, utc_rfc3339(now->upto).s);
}

void find_show_progress(struct finder *f)
{
    struct admin_search now = {.is_known = true};
    struct errinfo ei;
    if (f->reader && f->search && look(f, &now, &ei) != ERR_OK)
        now = (struct admin_search){.is_known = true};
    if (!now.is_whole)
        (void)snprintf(now.why, sizeof(now.why), "%s", f->trouble);
    pthread_mutex_lock(&f->lock);
    struct admin_search before = f->shown;
    f->shown = now;
    pthread_mutex_unlock(&f->lock);
    tell(&before, &now);
}

void desk_find_progress(struct desk *d, struct admin_search *ret)
{
    struct finder *f = d->finder;
    *ret = (struct admin_search){};
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    *ret = f->shown;
    pthread_mutex_unlock(&f->lock);
}
