/* Room on the disk, the age of what waits, certificates and software of primaries. */
#include "desk/desk_state_int.h"
#include "desk/desk_watch_int.h"

enum {
    QUEUE_SECONDS = 60,
    HELD_SECONDS = 300,
    HELD_MAX = 100000, /* more are not counted */
    FILES_REFUSE_PERCENT = 5,
    FILES_ALARM_PERCENT = 10,
    NOISE_PERMILLE = 5, /* of the whole: less in a day is no trend */
    KEPT_NOISE_BYTES = 10 << 20,
};

/* ---- the disk -------------------------------------------------------------------------------- */

static enum watch_class class_of(const struct desk_watched *w, enum watch_check check)
{
    return w->by_check[check] ? w->by_check[check]->f.class : WATCH_UNKNOWN;
}

static void look_at_room(struct desk *d, enum watch_check check, struct watch_room *room,
                         struct watch_trend **trend, mono_us now)
{
    struct watch_finding f;
    double floor = (double)room->n_total / 100 * room->refuse_percent;
    /* Good again only a little above the line, and with a little more time to go: or it would be
     * told again and again. */
    room->alarm_percent += class_of(d->watch->node, check) == WATCH_ALARM;
    if (!*trend)
        *trend = mem_new(sizeof(**trend));
    watch_trend_add(*trend, now, (double)room->n_free);
    room->until_refused = watch_trend_until(*trend, now, (double)room->n_free, floor,
                                            (double)room->n_total / 1000 * NOISE_PERMILLE);
    if (class_of(d->watch->node, check) > WATCH_OK && room->until_refused > 0)
        room->until_refused -= room->until_refused / 5;
    watch_room_judge(check, room, &f);
    (void)desk_found(d, d->watch->node, &f);
}

static void look_at_disk(struct desk *d, mono_us now)
{
    struct store_figures s = store_figures(d->store);
    struct watch_room space = {.n_free = s.disk_free_bytes,
                               .n_total = s.disk_total_bytes,
                               .refuse_percent = d->o.limits.free_percent,
                               .alarm_percent = d->o.limits.alarm_percent};
    struct watch_room files = {.n_free = s.disk_free_files,
                               .n_total = s.disk_total_files,
                               .refuse_percent = FILES_REFUSE_PERCENT,
                               .alarm_percent = FILES_ALARM_PERCENT};
    if (s.disk_total_bytes == 0)
        return; /* not looked at yet */
    look_at_room(d, WATCH_SPACE, &space, &d->watch->space, now);
    look_at_room(d, WATCH_FILES, &files, &d->watch->files, now);
}

/* ---- what waits for primaries -----------------------------------------------------------------
 */

static void note_kept(void *arg, const struct queue_kept *kept)
{
    struct desk *d = arg;
    if (directory_primary(d->directory, kept->primary))
        desk_watched(d, DESK_ABOUT_PRIMARY, kept->primary)->kept = *kept;
}

static int64_t until_full(struct desk *d, struct desk_watched *w, mono_us now)
{
    struct store_figures s = store_figures(d->store);
    double line = (double)s.disk_total_bytes / 100 * d->o.limits.free_percent;
    double room = (double)s.disk_free_bytes - line;
    if (!w->trend)
        w->trend = mem_new(sizeof(*w->trend));
    watch_trend_add(w->trend, now, (double)w->kept.bytes);
    if (room < 0)
        return 0;
    return watch_trend_until(w->trend, now, (double)w->kept.bytes, (double)w->kept.bytes + room,
                             KEPT_NOISE_BYTES);
}

static void look_at_primary(struct desk *d, struct desk_watched *w, mono_us now)
{
    const struct desk_primary *p = desk_primary(d, w->id);
    struct watch_finding f;
    bool is_well = !p || p->p.state == STATE_STANDBY;
    bool is_dead = p && (p->p.state == STATE_SUSPECT || p->p.state == STATE_EMERGENCY);
    struct watch_waiting waiting = {.is_well = is_well,
                                    .n_rows = w->kept.n_items,
                                    .age = w->kept.oldest ? (utc_now() - w->kept.oldest) / 1000 : 0,
                                    .until_full = is_dead ? until_full(d, w, now) : -1};
    if (!is_dead)
        mem_free(&w->trend);
    w->looked = utc_now();
    watch_queue_judge(&waiting, &f);
    (void)desk_found(d, w, &f);
    waiting.is_well = !is_dead;
    watch_kept_judge(&waiting, &f);
    (void)desk_found(d, w, &f);
}

static void look_at_queue(struct desk *d, mono_us now)
{
    const struct directory_primary *p;
    for (size_t at = 0; (p = directory_next_primary(d->directory, &at));)
        desk_watched(d, DESK_ABOUT_PRIMARY, p->id)->kept = (struct queue_kept){};
    queue_each_kept(d->queue, note_kept, d);
    for (size_t at = 0; (p = directory_next_primary(d->directory, &at));)
        look_at_primary(d, desk_watched(d, DESK_ABOUT_PRIMARY, p->id), now);
}

/* ---- what is held ------------------------------------------------------------------------------
 */

struct held_job {
    struct worker_job job;
    uint64_t n;
    bool is_counted;
};

static bool count_row(void *arg, const struct store_row *)
{
    ++*(uint64_t *)arg;
    return true;
}

static void count_work(struct worker_job *job, struct store_reader *reader)
{
    struct held_job *h = container_of(job, struct held_job, job);
    struct store_row_filter held = {.disposition = DISPOSITION_HELD, .limit = HELD_MAX};
    struct errinfo ei;
    h->is_counted = reader && store_each_row(reader, &held, count_row, &h->n, &ei) == ERR_OK;
}

static void count_finish(struct worker_job *job)
{
    struct held_job *h = container_of(job, struct held_job, job);
    struct desk *d = job->desk;
    struct watch_finding f;
    d->watch->is_counting_held = false;
    if (h->is_counted) {
        watch_held_judge(h->n, &f);
        (void)desk_found(d, d->watch->node, &f);
    }
    mem_free(&h);
}

static void count_held(struct desk *d)
{
    struct held_job *h = mem_new(sizeof(*h));
    h->job.work = count_work;
    h->job.finish = count_finish;
    d->watch->is_counting_held = true;
    desk_work(d, &h->job);
}

void desk_room_tick(struct desk *d, mono_us now)
{
    look_at_disk(d, now);
    if (now >= d->watch->next_queue) {
        d->watch->next_queue = now + SECONDS(QUEUE_SECONDS);
        look_at_queue(d, now);
    }
    if (now >= d->watch->next_held && !d->watch->is_counting_held && !d->is_stopping) {
        d->watch->next_held = now + SECONDS(HELD_SECONDS);
        count_held(d);
    }
}

/* ---- a primary's greeting and certificate ------------------------------------------------------
 */

static void tell_software(struct desk *d, uint64_t primary, const char *old, const char *software)
{
    const struct directory_primary *p = directory_primary(d->directory, primary);
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    if (!p)
        return;
    buf_addf(&text,
             SLICE_FMT " greets differently: \"%s\" before, \"%s\" now. If its software was "
                       "changed, that is all; if not, look what answers there.",
             SLICE_ARG(p->facts.name), old, software);
    desk_event(d, EVENT_INFO, "primary.software", p->tenant, p->facts.name, buf_slice(&text),
               SLICE("probe"));
}

void desk_watch_primary(struct desk *d, uint64_t primary, struct slice old_software,
                        struct slice software, utc_ms certificate_until)
{
    char old[WATCH_SOFTWARE_MAX + 1], now[WATCH_SOFTWARE_MAX + 1];
    struct watch_finding f;
    watch_software(old_software, old);
    watch_software(software, now);
    if (old_software.n > 0 && strcmp(old, now) != 0)
        tell_software(d, primary, old, now);
    if (certificate_until == 0)
        return;
    watch_certificate_judge(WATCH_PEER_CERTIFICATE, "of the mail system", certificate_until,
                            utc_now(), &f);
    (void)desk_found(d, desk_watched(d, DESK_ABOUT_PRIMARY, primary), &f);
}
