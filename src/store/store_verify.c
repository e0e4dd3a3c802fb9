/* Checking a store from end to end, and making its index anew.
 *
 * Verifying writes nothing and takes no lock, so it works beside the process that has the store:
 * what that one changes meanwhile (a batch half written, a segment recycled) is looked at again
 * before it is called a problem. */
#include "store/store_int.h"
#include "store/store_search.h"

#include <fcntl.h>
#include <stdio.h>

enum {
    VERIFY_TRIES = 3,
    VERIFY_PLACES = 1 << 14, /* messages in one zone: each has more than 64 bytes there */
    VERIFY_MEMORY = 64 << 20,
    BODY_MAX = STORE_RECORD_MAX,
};

struct verify {
    struct store *s; /* a shell: paths and files, no threads */
    void (*say)(void *arg, const char *text);
    void *arg;
    unsigned n; /* problems */
};

static void problem(struct verify *v, const struct errinfo *ei)
{
    v->n++;
    if (v->say)
        v->say(v->arg, ei->text);
}

static void tell_problem(void *arg, enum event_class, const char *, const char *text)
{
    struct errinfo ei;
    (void)err_set(&ei, ERR_CORRUPT, "%s", text);
    problem(arg, &ei);
}

static enum err open_log(struct verify *v, struct errinfo *ei)
{
    struct seglog_options o = {
        .files = v->s->files,
        .dir = v->s->dir,
        .segment_bytes = STORE_SEGMENT_BYTES,
        .is_read_only = true,
        .tell = tell_problem,
        .tell_arg = v,
    };
    return seglog_open(&o, &v->s->log, ei);
}

/* The end of the log, with the index not beyond it: `applied` was read before. The process that
 * writes may be in the middle of a batch: a problem counts when it is seen again and again. */
static enum err check_end(struct verify *v, uint64_t applied, struct errinfo *ei)
{
    unsigned before = v->n;
    enum err err = ERR_OK;
    for (int i = 0; i < VERIFY_TRIES; i++) {
        seglog_close(&v->s->log);
        v->n = before; /* what opening finds, it finds again */
        err = open_log(v, ei);
        if (err == ERR_OK && !seglog_is_empty(v->s->log))
            err = seglog_find_end(v->s->log, applied, ei);
        if (err == ERR_OK)
            return ERR_OK;
    }
    return err;
}

static void check_segments(struct verify *v)
{
    size_t n;
    struct errinfo ei;
    SCOPED(mem_free) uint64_t *numbers = seglog_numbers(v->s->log, &n);
    for (size_t i = 0; i + 1 < n; i++) {
        if (seglog_check_segment(v->s->log, numbers[i], &ei) != ERR_OK &&
            seglog_is_still(v->s->log, numbers[i]))
            problem(v, &ei);
    }
}

/* ---- what the index says of the log ---- */

static void check_message(struct verify *v, const struct index_place *place, uint64_t segment)
{
    struct errinfo ei;
    for (size_t i = 0; i < place->n_extents; i++) {
        SCOPED(buf_finish) struct buf body = buf_make(BODY_MAX);
        if (place->extents[i].rec / v->s->log->segment_bytes != segment)
            continue; /* its own segment's turn */
        if (seglog_read_extent(v->s->log, place->message, &place->extents[i], &body, &ei) == ERR_OK)
            continue;
        if (seglog_is_still(v->s->log, segment)) {
            (void)err_prefix(&ei, ERR_CORRUPT, "message %llu", (unsigned long long)place->message);
            problem(v, &ei);
        }
    }
}

static enum err check_zone(struct verify *v, uint64_t from, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(VERIFY_MEMORY);
    struct index_place *places;
    size_t n = 0;
    enum err err = index_messages_in(v->s->index_path, from, from + INDEX_ZONE_BYTES, VERIFY_PLACES,
                                     a, &places, &n, ei);
    for (size_t i = 0; i < n && err == ERR_OK; i++)
        check_message(v, &places[i], from / v->s->log->segment_bytes);
    return err;
}

static void check_use(void *arg, uint64_t segment, uint64_t bytes)
{
    struct verify *v = arg;
    struct errinfo ei;
    struct segment *s;
    enum err err = seglog_pin(v->s->log, segment, &s, &ei);
    if (err == ERR_OK) {
        seglog_unpin(v->s->log, s);
        for (uint32_t at = 0; at < v->s->log->segment_bytes && err == ERR_OK;
             at += INDEX_ZONE_BYTES)
            err = check_zone(v, seglog_pos(v->s->log, segment, at), &ei);
    } else if (segment > v->s->log->current->n) {
        return; /* begun since the log was opened here */
    } else {
        err = err_set(&ei, ERR_CORRUPT, "segment %llu is missing: %llu bytes of messages are gone",
                      (unsigned long long)segment, (unsigned long long)bytes);
    }
    if (err != ERR_OK)
        problem(v, &ei);
}

static void tell_contradiction(void *arg, const char *text)
{
    struct errinfo ei;
    (void)err_set(&ei, ERR_CORRUPT, "index: %s", text);
    problem(arg, &ei);
}

static void check_index(struct verify *v, uint64_t *ret_applied)
{
    struct errinfo ei;
    unsigned n = 0, before = v->n;
    if (index_verify(v->s->index_path, ret_applied, &ei) != ERR_OK) {
        problem(v, &ei);
        return;
    }
    if (index_check(v->s->index_path, tell_contradiction, v, &n, &ei) != ERR_OK)
        problem(v, &ei);
    else if (v->n < before + n)
        v->n = before + n; /* not all of a kind are told */
}

unsigned store_verify_with(const struct store_files *files, const char *dir,
                           void (*say)(void *arg, const char *text), void *arg)
{
    struct store *s = mem_new(sizeof(*s));
    struct verify v = {.s = s, .say = say, .arg = arg};
    struct errinfo ei;
    (void)snprintf(s->dir, sizeof(s->dir), "%.900s", dir);
    store_path(s, "index/index.db", s->index_path);
    s->files = files;
    uint64_t applied = 0;
    check_index(&v, &applied);
    if (check_end(&v, applied, &ei) != ERR_OK) {
        problem(&v, &ei);
        if (s->log)
            seglog_believe_all(s->log); /* what lies behind the damage may be whole */
    }
    if (s->log && s->log->current) {
        check_segments(&v);
        if (index_segment_use(s->index_path, s->log->segment_bytes, check_use, &v, &ei) != ERR_OK)
            problem(&v, &ei);
    }
    seglog_close(&s->log);
    mem_free(&s);
    return v.n;
}

unsigned store_verify(const char *dir, void (*say)(void *arg, const char *text), void *arg)
{
    return store_verify_with(&store_files_real, dir, say, arg);
}

/* ---- making the index anew ---- */

enum err store_rebuild_with(const struct store_options *o, struct errinfo *ei)
{
    struct store *s = NULL;
    enum err err = store_open_locked(o, &s, ei);
    if (err == ERR_OK)
        err = store_index_restore(s, ei);
    /* What the words were made from may not be what the log says now. The next node that runs
     * fills it again, the newest mail first. */
    if (err == ERR_OK)
        err = store_search_drop(o->dir, ei);
    store_close(&s);
    if (err == ERR_OK) /* recovery is what fills it */
        err = store_open(o, &s, ei);
    if (err == ERR_OK && store_recovered(s)->is_damaged)
        err = err_set(ei, ERR_CORRUPT, "%s", store_recovered(s)->damage.text);
    store_close(&s);
    return err;
}

enum err store_rebuild(const char *dir, struct errinfo *ei)
{
    return store_rebuild_with(&(struct store_options){.dir = dir}, ei);
}
