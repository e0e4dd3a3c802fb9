/* Threads: which conversation of a person a message belongs to, derived from the index as it
 * stands.
 *
 * The key is a hash, so in a large table each new id would change a page of its own: 8 KiB written
 * for 24 bytes. New ones are therefore appended to `thread_new`, of which memory has a copy to look
 * them up in, and are merged into `thread` in the order of its pages when there are many. Where an
 * id stands makes no difference to anybody. */
#include "store/index_db_int.h"

/* ---- the ids ---- */

/* Not hash_bytes, whose seed is another in each process: the index must come out the same in
 * recovery. FNV-1a, stirred. Who makes two ids collide could as well have put one into his
 * References. Never 0. */
static uint64_t hash_id(struct slice id)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * 0x100000001b3;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93;
    h ^= h >> 32;
    return h ? h : 1;
}

/* The last id of the list, which loses it. */
static struct slice last_word(struct slice *list)
{
    *list = slice_trim(*list);
    size_t from = list->n;
    while (from > 0 && list->p[from - 1] != ' ')
        from--;
    struct slice word = slice_skip(*list, from);
    list->n = from;
    return word;
}

void index_thread_key(const struct record_fields *fields, struct index_thread_key *ret)
{
    struct slice id = slice_trim(fields->message_id);
    struct slice rest = fields->references;
    ret->own = id.n ? hash_id(id) : 0;
    ret->n_refs = 0;
    while (ret->n_refs < INDEX_THREAD_REFS) {
        struct slice word = last_word(&rest);
        if (word.n == 0)
            break;
        ret->refs[ret->n_refs++] = hash_id(word);
    }
    struct slice root = slice_trim(rest); /* the oldest always counts: clients cut the middle */
    struct slice first = slice_cut(root, ' ', &rest);
    if (first.n)
        ret->refs[INDEX_THREAD_REFS - 1] = hash_id(first);
}

/* ---- what is not merged yet ---- */

struct thread_note {
    uint64_t person, hash, thread; /* hash 0: an empty slot */
};

struct thread_notes {
    struct thread_note *slots;
    size_t cap, n; /* cap: 0 or a power of two */
};

enum { SLOTS_FIRST = 1024 };

/* Its slot, or the empty one where it would be. Persons are mixed in so that the same message to
 * everybody does not make one long run. */
static struct thread_note *slot_of(const struct thread_notes *notes, uint64_t person, uint64_t hash)
{
    size_t at = (size_t)(hash ^ person * 0x9e3779b97f4a7c15);
    for (;; at++) {
        struct thread_note *note = &notes->slots[at & (notes->cap - 1)];
        if (note->hash == 0 || (note->hash == hash && note->person == person))
            return note;
    }
}

static void grow(struct thread_notes *notes)
{
    struct thread_notes old = *notes;
    notes->cap = old.cap ? 2 * old.cap : SLOTS_FIRST;
    notes->slots = mem_new(notes->cap * sizeof(notes->slots[0]));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].hash)
            *slot_of(notes, old.slots[i].person, old.slots[i].hash) = old.slots[i];
    mem_free(&old.slots);
}

static void note(struct index *x, const struct thread_note *n)
{
    if (!x->threads)
        x->threads = mem_new(sizeof(*x->threads));
    if (2 * x->threads->n >= x->threads->cap)
        grow(x->threads);
    struct thread_note *slot = slot_of(x->threads, n->person, n->hash);
    x->threads->n += slot->hash == 0;
    *slot = *n;
}

void index_thread_forget(struct index *x)
{
    if (x->threads)
        mem_free(&x->threads->slots);
    mem_free(&x->threads);
}

enum err index_thread_load(struct index *x, struct errinfo *ei)
{
    index_thread_forget(x);
    (void)index_stmt(x, SQL_THREAD_NEW);
    for (;;) {
        bool is_row = false;
        enum err err = index_row(x, SQL_THREAD_NEW, &is_row, ei);
        if (err != ERR_OK)
            return err;
        if (!is_row)
            break;
        sqlite3_stmt *stmt = x->stmts[SQL_THREAD_NEW];
        struct thread_note n = {column_u64(stmt, 0), column_u64(stmt, 1), column_u64(stmt, 2)};
        if (n.hash)
            note(x, &n);
    }
    index_done(x, SQL_THREAD_NEW);
    return ERR_OK;
}

/* In one transaction with what brought them: there is no moment at which an id is in neither. */
enum err index_thread_commit(struct index *x, struct errinfo *ei)
{
    static const enum index_sql sqls[] = {SQL_THREAD_MERGE, SQL_THREAD_NEW_CLEAR};
    if (!x->threads || x->threads->n < INDEX_THREAD_MERGE)
        return ERR_OK;
    for (size_t i = 0; i < sizeof(sqls) / sizeof(sqls[0]); i++) {
        (void)index_stmt(x, sqls[i]);
        enum err err = index_run(x, sqls[i], NULL, ei);
        if (err != ERR_OK)
            return err;
    }
    index_thread_forget(x); /* abort reads them again */
    return ERR_OK;
}

/* ---- looking up ---- */

/* 0: not known. */
static enum err get_thread(struct index *x, uint64_t person, uint64_t hash, uint64_t *ret,
                           struct errinfo *ei)
{
    *ret = x->threads ? slot_of(x->threads, person, hash)->thread : 0;
    if (*ret)
        return ERR_OK;
    sqlite3_stmt *stmt = index_stmt(x, SQL_THREAD_GET);
    bind_u64(stmt, 1, person);
    bind_u64(stmt, 2, hash);
    bool is_row = false;
    enum err err = index_row(x, SQL_THREAD_GET, &is_row, ei);
    if (err != ERR_OK)
        return err;
    if (is_row)
        *ret = column_u64(stmt, 0);
    index_done(x, SQL_THREAD_GET);
    return ERR_OK;
}

/* What is known stays. */
static enum err put_thread(struct index *x, uint64_t person, uint64_t hash, uint64_t thread,
                           bool *ret_is_new, struct errinfo *ei)
{
    uint64_t known = 0;
    enum err err = get_thread(x, person, hash, &known, ei);
    if (ret_is_new)
        *ret_is_new = err == ERR_OK && known == 0;
    if (err != ERR_OK || known)
        return err;
    sqlite3_stmt *stmt = index_stmt(x, SQL_THREAD_ADD);
    bind_u64(stmt, 1, person);
    bind_u64(stmt, 2, hash);
    bind_u64(stmt, 3, thread);
    err = index_run(x, SQL_THREAD_ADD, NULL, ei);
    if (err == ERR_OK)
        note(x, &(struct thread_note){person, hash, thread});
    return err;
}

/* The nearest message that is referred to and known decides; ids that are not known yet are noted,
 * so that a message that comes late, or a second answer to one that never comes, finds the same
 * thread. A new thread has the number of its first message. */
enum err index_thread_find(struct index *x, uint64_t message, uint64_t person,
                           const struct index_thread_key *key, uint64_t *ret, struct errinfo *ei)
{
    uint64_t thread = 0;
    size_t n_unknown = 0;
    enum err err = ERR_OK;
    for (; n_unknown < key->n_refs && thread == 0; n_unknown += thread == 0) {
        err = get_thread(x, person, key->refs[n_unknown], &thread, ei);
        if (err != ERR_OK)
            return err;
    }
    if (thread == 0 && key->own && key->n_refs) {
        err = get_thread(x, person, key->own, &thread, ei);
        if (err != ERR_OK)
            return err;
    }
    *ret = thread ? thread : message;
    for (size_t i = 0; i < n_unknown && err == ERR_OK; i++)
        err = put_thread(x, person, key->refs[i], *ret, NULL, ei);
    bool is_new = true;
    if (err == ERR_OK && key->own)
        err = put_thread(x, person, key->own, *ret, &is_new, ei);
    if (err != ERR_OK || is_new || key->n_refs)
        return err;
    /* Refers to nothing, but its own id is known: somebody answered it before it came. */
    return get_thread(x, person, key->own, ret, ei);
}
