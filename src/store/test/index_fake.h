/* A tiny index behind index_int.h, kept in a file of the simulated layer. For tests of the log:
 * include it in one file of a program, after files_fault.h. Commits live in memory; the file is
 * replaced at a checkpoint, so a power cut loses everything since (the log has it). */
#ifndef STORE_TEST_INDEX_FAKE_H
#define STORE_TEST_INDEX_FAKE_H

#include "store/index_int.h"

#include "files_fault.h"

enum { FAKE_MESSAGES = 512, FAKE_EXTENTS = 8, FAKE_LOOSE = 256, FAKE_INDEXES = 8 };

struct fake_message {
    uint64_t id;
    uint32_t n_extents;
    bool is_answered, is_unanswered, is_dropped;
    struct record_extent extents[FAKE_EXTENTS];
};
struct fake_loose {
    uint64_t id;
    struct record_extent extent;
};
struct fake_state {
    uint64_t applied, last_id, n_records, n_attempting, n_asides, hash;
    uint32_t n_messages, n_loose;
    struct fake_message messages[FAKE_MESSAGES];
    struct fake_loose loose[FAKE_LOOSE];
};
struct index {
    char path[FAULT_PATH];
    struct fake_state committed; /* under fake_lock */
    struct fake_state now;
    bool is_open;
};

static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static struct index *fake_indexes[FAKE_INDEXES]; /* under fake_lock: open ones */
static struct fault *fake_fault;                 /* where the files are */
/* Called for each record that is applied; what it returns instead of ERR_OK is returned. */
static enum err (*fake_on_apply)(const struct index_record *r);

static struct fake_message *fake_find(struct fake_state *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->n_messages; i++)
        if (s->messages[i].id == id)
            return &s->messages[i];
    return NULL;
}

static enum err fake_load(const char *path, struct fake_state *ret, struct errinfo *ei)
{
    const struct store_files *f = &fake_fault->files;
    memset(ret, 0, sizeof(*ret));
    int fd = f->open(f->self, path, O_RDONLY, 0);
    if (fd < 0)
        return errno == ENOENT ? ERR_GONE : err_set(ei, ERR_IO, "open %s", path);
    ssize_t got = f->pread(f->self, fd, ret, sizeof(*ret), 0);
    (void)f->close(f->self, fd);
    if (got < 0)
        return err_set(ei, ERR_IO, "read %s", path);
    return got == sizeof(*ret) ? ERR_OK : err_set(ei, ERR_CORRUPT, "%s is short", path);
}

static enum err fake_save(const char *path, const struct fake_state *s, struct errinfo *ei)
{
    const struct store_files *f = &fake_fault->files;
    char beside[FAULT_PATH];
    struct fake_state *copy = mem_new(sizeof(*copy));
    struct iovec iov = {copy, sizeof(*copy)};
    *copy = *s;
    (void)snprintf(beside, sizeof(beside), "%.100s.fake", path);
    int fd = f->open(f->self, beside, O_RDWR | O_CREAT | O_TRUNC, 0600);
    bool is_ok = fd >= 0 && f->pwritev(f->self, fd, &iov, 1, 0) == sizeof(*s) &&
                 f->fdatasync(f->self, fd) == 0;
    if (fd >= 0)
        (void)f->close(f->self, fd);
    is_ok = is_ok && f->rename(f->self, beside, path) == 0;
    *strrchr(beside, '/') = '\0';
    is_ok = is_ok && f->sync_dir(f->self, beside) == 0;
    mem_free(&copy);
    return is_ok ? ERR_OK : err_set(ei, ERR_IO, "save %s", path);
}

/* The state as committed, of an open index or of a file. */
static enum err fake_state_of(const char *path, struct fake_state *ret, struct errinfo *ei)
{
    pthread_mutex_lock(&fake_lock);
    for (int i = 0; i < FAKE_INDEXES; i++) {
        if (!fake_indexes[i] || strcmp(fake_indexes[i]->path, path) != 0)
            continue;
        *ret = fake_indexes[i]->committed;
        pthread_mutex_unlock(&fake_lock);
        return ERR_OK;
    }
    pthread_mutex_unlock(&fake_lock);
    return fake_load(path, ret, ei);
}

enum err index_open(const char *path, struct index **ret, struct errinfo *ei)
{
    struct index *x = mem_new(sizeof(*x));
    (void)snprintf(x->path, sizeof(x->path), "%s", path);
    enum err err = fake_load(path, &x->committed, ei);
    if (err == ERR_GONE)
        err = fake_save(path, &x->committed, ei);
    if (err != ERR_OK) {
        mem_free(&x);
        return err;
    }
    x->now = x->committed;
    pthread_mutex_lock(&fake_lock);
    for (int i = 0; i < FAKE_INDEXES; i++) {
        if (fake_indexes[i])
            continue;
        fake_indexes[i] = x;
        break;
    }
    pthread_mutex_unlock(&fake_lock);
    *ret = x;
    return ERR_OK;
}

void index_close(struct index **x)
{
    struct errinfo ei;
    if (!*x)
        return;
    (void)fake_save((*x)->path, &(*x)->committed, &ei);
    pthread_mutex_lock(&fake_lock);
    for (int i = 0; i < FAKE_INDEXES; i++)
        if (fake_indexes[i] == *x)
            fake_indexes[i] = NULL;
    pthread_mutex_unlock(&fake_lock);
    mem_free(x);
}

int index_old_version(const struct index *)
{
    return 0;
}

enum err index_check(const char *, void (*)(void *arg, const char *text), void *, unsigned *ret_n,
                     struct errinfo *)
{
    *ret_n = 0;
    return ERR_OK;
}

uint64_t index_applied(const struct index *x)
{
    return x->committed.applied;
}

uint64_t index_last_id(const struct index *x)
{
    return x->committed.last_id;
}

enum err index_unfinished(struct index *x, struct index_unfinished *ret, struct errinfo *)
{
    ret->n_attempting = x->committed.n_attempting;
    ret->n_loose = x->committed.n_loose;
    return ERR_OK;
}

enum err index_begin(struct index *x, struct errinfo *)
{
    must(!x->is_open);
    x->is_open = true;
    return ERR_OK;
}

enum err index_commit(struct index *x, uint64_t applied, struct errinfo *)
{
    must(x->is_open && applied >= x->committed.applied);
    x->is_open = false;
    x->now.applied = applied;
    pthread_mutex_lock(&fake_lock);
    x->committed = x->now;
    pthread_mutex_unlock(&fake_lock);
    return ERR_OK;
}

void index_abort(struct index *x)
{
    x->now = x->committed;
    x->is_open = false;
}

static void fake_apply_message(struct fake_state *s, const struct index_record *r,
                               const struct record_message *m)
{
    must(!fake_find(s, m->id) && s->n_messages < FAKE_MESSAGES && m->n_chunks < FAKE_EXTENTS);
    struct fake_message *f = &s->messages[s->n_messages++];
    memset(f, 0, sizeof(*f));
    f->id = m->id;
    for (uint32_t i = 0; i < m->n_chunks; i++)
        f->extents[f->n_extents++] = m->chunks[i];
    if (r->body_bytes > 0)
        f->extents[f->n_extents++] = (struct record_extent){r->pos, r->body_pos, r->body_bytes};
    for (uint32_t i = 0; i < s->n_loose;)
        if (s->loose[i].id == m->id)
            s->loose[i] = s->loose[--s->n_loose];
        else
            i++;
}

static void fake_apply_ids(struct fake_state *s, uint16_t type, const struct record_ids *ids)
{
    for (uint32_t i = 0; i < ids->n_ids; i++) {
        struct fake_message *m = fake_find(s, ids->ids[i].id);
        must(m);
        m->is_answered |= type == RECORD_ANSWERED;
        m->is_unanswered |= type == RECORD_UNANSWERED;
        m->is_dropped |= type == RECORD_DROPPED;
    }
}

static void fake_apply_moved(struct fake_state *s, const struct record_moved *m)
{
    struct fake_message *f = fake_find(s, m->message);
    must(f && m->n_extents <= FAKE_EXTENTS);
    memset(f->extents, 0, sizeof(f->extents));
    f->n_extents = m->n_extents;
    for (uint32_t i = 0; i < m->n_extents; i++)
        f->extents[i] = m->extents[i];
    for (uint32_t i = 0; i < s->n_loose;)
        if (s->loose[i].id == m->message)
            s->loose[i] = s->loose[--s->n_loose];
        else
            i++;
}

enum err index_apply(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(16 << 20);
    struct fake_state *s = &x->now;
    struct record_message message;
    struct record_ids ids;
    struct record_moved moved;
    must(x->is_open && r->pos >= x->committed.applied);
    enum err err = fake_on_apply ? fake_on_apply(r) : ERR_OK;
    if (err != ERR_OK)
        return err_set(ei, err, "told to refuse");
    s->n_records++;
    s->hash = (s->hash ^ r->pos) * 0x100000001b3u;
    s->hash = (s->hash ^ crc32c(r->type, r->facts.p, r->facts.n)) * 0x100000001b3u;
    s->last_id = r->id > s->last_id ? r->id : s->last_id;
    if (r->type == RECORD_MESSAGE) {
        if (!record_message_unpack(r->facts, a, &message))
            return err_set(ei, ERR_CORRUPT, "message at %llu", (unsigned long long)r->pos);
        fake_apply_message(s, r, &message);
    } else if (r->type == RECORD_CHUNK) {
        must(s->n_loose < FAKE_LOOSE);
        s->loose[s->n_loose++] = (struct fake_loose){r->id, {r->pos, r->body_pos, r->body_bytes}};
    } else if (r->type == RECORD_ANSWERED || r->type == RECORD_UNANSWERED ||
               r->type == RECORD_DROPPED) {
        must(record_ids_unpack(r->facts, a, &ids));
        fake_apply_ids(s, r->type, &ids);
    } else if (r->type == RECORD_MOVED) {
        must(record_moved_unpack(r->facts, a, &moved));
        fake_apply_moved(s, &moved);
    } else if (r->type == RECORD_ATTEMPT) {
        s->n_attempting++;
    } else if (r->type == RECORD_INTERRUPTED) {
        s->n_loose = 0;
        s->n_attempting = 0;
    } else if (r->type == RECORD_ASIDE) {
        s->n_asides++;
    }
    return ERR_OK;
}

enum err index_checkpoint(struct index *x, struct errinfo *ei)
{
    return fake_save(x->path, &x->committed, ei);
}

enum err index_copy(const char *from, const char *path, uint64_t *ret_applied, struct errinfo *ei)
{
    struct fake_state *s = mem_new(sizeof(*s));
    enum err err = fake_state_of(from, s, ei);
    if (err == ERR_OK)
        err = fake_save(path, s, ei);
    if (err == ERR_OK)
        *ret_applied = s->applied;
    mem_free(&s);
    return err;
}

enum err index_verify(const char *path, uint64_t *ret_applied, struct errinfo *ei)
{
    struct fake_state *s = mem_new(sizeof(*s));
    enum err err = fake_state_of(path, s, ei);
    *ret_applied = s->applied;
    mem_free(&s);
    return err;
}

enum err index_dump(const char *path, void (*line)(void *arg, struct slice text), void *arg,
                    struct errinfo *ei)
{
    char text[100];
    struct fake_state *s = mem_new(sizeof(*s));
    enum err err = fake_state_of(path, s, ei);
    for (uint32_t i = 0; i < s->n_messages; i++) {
        const struct fake_message *m = &s->messages[i];
        (void)snprintf(text, sizeof(text), "%llu %u %llu %d%d%d", (unsigned long long)m->id,
                       m->n_extents, (unsigned long long)m->extents[0].rec, m->is_answered,
                       m->is_unanswered, m->is_dropped);
        line(arg, slice_str(text));
    }
    (void)snprintf(text, sizeof(text), "%llu %llx %u", (unsigned long long)s->n_records,
                   (unsigned long long)s->hash, s->n_loose);
    line(arg, slice_str(text));
    mem_free(&s);
    return err;
}

enum err index_unanswered(struct index *x, struct arena *a, struct record_ids *ret,
                          struct errinfo *)
{
    ret->ids = ARENA_ARRAY(a, struct record_id, FAKE_MESSAGES);
    ret->n_ids = 0;
    for (uint32_t i = 0; i < x->committed.n_messages; i++) {
        const struct fake_message *m = &x->committed.messages[i];
        if (!m->is_answered && !m->is_unanswered)
            ret->ids[ret->n_ids++].id = m->id;
    }
    return ERR_OK;
}

enum err index_segment_use(const char *path, uint32_t segment_bytes,
                           void (*each)(void *arg, uint64_t segment, uint64_t bytes), void *arg,
                           struct errinfo *ei)
{
    struct fake_state *s = mem_new(sizeof(*s));
    enum err err = fake_state_of(path, s, ei);
    for (uint32_t i = 0; i < s->n_messages && err == ERR_OK; i++)
        for (uint32_t k = 0; k < s->messages[i].n_extents && !s->messages[i].is_dropped; k++)
            each(arg, s->messages[i].extents[k].rec / segment_bytes,
                 s->messages[i].extents[k].bytes);
    for (uint32_t i = 0; i < s->n_loose && err == ERR_OK; i++)
        each(arg, s->loose[i].extent.rec / segment_bytes, s->loose[i].extent.bytes);
    mem_free(&s);
    return err;
}

enum err index_messages_in(const char *path, uint64_t from_pos, uint64_t to_pos, size_t max,
                           struct arena *a, struct index_place **ret, size_t *ret_n,
                           struct errinfo *ei)
{
    struct fake_state *s = mem_new(sizeof(*s));
    enum err err = fake_state_of(path, s, ei);
    *ret = ARENA_ARRAY(a, struct index_place, max);
    *ret_n = 0;
    for (uint32_t i = 0; i < s->n_messages && err == ERR_OK && *ret_n < max; i++) {
        const struct fake_message *m = &s->messages[i];
        bool is_in = false;
        for (uint32_t k = 0; k < m->n_extents; k++)
            is_in |= m->extents[k].rec >= from_pos && m->extents[k].rec < to_pos;
        if (!is_in || m->is_dropped)
            continue;
        struct index_place *p = &(*ret)[(*ret_n)++];
        p->message = m->id;
        p->n_extents = m->n_extents;
        p->extents = ARENA_ARRAY(a, struct record_extent, m->n_extents);
        memcpy(p->extents, m->extents, m->n_extents * sizeof(*p->extents));
    }
    mem_free(&s);
    return err;
}

#endif
