/* The writer of the search: its life, and adding the text of messages.
 *
 * The file is worth nothing that could not be made again, so whatever is wrong with it is answered
 * by an empty one. It is never synced but by checkpoints: a power cut takes the last transactions
 * back together with the marks that stand for them. */
#include "store/words_int.h"

#include "store/store_files.h"

#include <errno.h>
#include <stdio.h>

enum {
    WAL_BYTES = 64 << 20,
    WAL_PAGES = WAL_BYTES / INDEX_PAGE_BYTES,
    CACHE_KIB = 32 << 10,
};

/* ---- life ---- */

static int note_wal(void *arg, sqlite3 *, const char *, int n_pages)
{
    struct store_search_writer *s = arg;
    s->wal_pages = n_pages;
    return SQLITE_OK;
}

/* secure_delete = FAST: what a page that is written anyhow held before is overwritten; free pages
 * are scrubbed by the purge. */
static enum err configure(struct store_search_writer *s, struct errinfo *ei)
{
    char sql[400];
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                   " PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d;"
                   " PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;"
                   " PRAGMA secure_delete = FAST",
                   INDEX_PAGE_BYTES, WAL_BYTES * 2, CACHE_KIB);
    return index_db_exec(s->file.db, sql, ei);
}

static enum err prepare(struct store_search_writer *s, bool is_empty, struct errinfo *ei)
{
    enum err err = configure(s, ei);
    if (err == ERR_OK && is_empty)
        err = words_file_create_tables(&s->file, ei);
    if (err == ERR_OK)
        err = index_db_exec(s->file.db,
                            "CREATE VIRTUAL TABLE temp.instance USING"
                            " fts5vocab(main, word, instance)",
                            ei);
    if (err == ERR_OK)
        err = words_meta_get(&s->file, &s->meta, ei);
    /* After the pragmas: wal_autocheckpoint = 0 takes the hook away. */
    (void)sqlite3_wal_hook(s->file.db, note_wal, s);
    return err;
}

static enum err open_file(struct store_search_writer *s, bool *ret_is_empty, struct errinfo *ei)
{
    enum err err = words_file_open(&s->file, s->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                   ret_is_empty, ei);
    if (err == ERR_OK)
        err = prepare(s, *ret_is_empty, ei);
    if (err != ERR_OK)
        words_file_close(&s->file);
    s->is_closed = err != ERR_OK;
    return err;
}

static enum err make_anew(struct store_search_writer *s, const char *why, struct errinfo *ei)
{
    char text[400];
    bool is_empty = false;
    words_marking_destroy(&s->marking);
    words_file_close(&s->file);
    s->is_closed = true;
    enum err err = words_remove(s->path, ei);
    if (err == ERR_OK)
        err = open_file(s, &is_empty, ei);
    if (err != ERR_OK)
        return err_prefix(ei, err, "make the search file anew");
    (void)snprintf(text, sizeof(text),
                   "the search file was made anew: %.200s. Mail is not touched by this; searching"
                   " finds older mail again as the file fills",
                   why);
    if (s->tell)
        s->tell(s->tell_arg, EVENT_NOTICE, "search.anew", text);
    return ERR_OK;
}

enum err store_search_open(const struct store_search_options *options,
                           struct store_search_writer **ret, struct errinfo *ei)
{
    struct store_search_writer *s = mem_new(sizeof(*s));
    struct errinfo why = {};
    bool is_empty = false;
    s->files = options->files ? options->files : &store_files_real;
    s->free_percent = options->free_percent ? options->free_percent : STORE_SEARCH_FREE_PERCENT;
    s->tell = options->tell;
    s->tell_arg = options->tell_arg;
    s->is_closed = true;
    enum err err = words_path(options->dir, s->path, &why);
    if (err == ERR_OK)
        err = open_file(s, &is_empty, &why);
    if (err == ERR_CORRUPT)
        err = make_anew(s, why.text, &why);
    if (err != ERR_OK) {
        store_search_close(&s);
        return err_set(ei, err, "%s", why.text);
    }
    *ret = s;
    return ERR_OK;
}

enum err store_search_rebuild(struct store_search_writer *s, struct errinfo *ei)
{
    return make_anew(s, "this was asked for", ei);
}

void store_search_close(struct store_search_writer **address)
{
    struct store_search_writer *s = *address;
    if (!s)
        return;
    if (s->file.db) /* failing is no matter: the WAL has everything */
        (void)sqlite3_wal_checkpoint_v2(s->file.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    words_marking_destroy(&s->marking);
    words_file_close(&s->file);
    mem_free(address);
}

enum err words_ready(struct store_search_writer *s, struct errinfo *ei)
{
    bool is_empty = false;
    return s->is_closed ? open_file(s, &is_empty, ei) : ERR_OK;
}

enum err store_search_marks(struct store_search_writer *s, struct store_search_marks *ret,
                            struct errinfo *ei)
{
    enum err err = words_ready(s, ei);
    if (err == ERR_OK)
        *ret = (struct store_search_marks){s->meta.first, s->meta.last};
    return err;
}

/* ---- transactions ---- */

enum err words_begin(struct store_search_writer *s, struct errinfo *ei)
{
    enum err err = words_ready(s, ei);
    if (err != ERR_OK)
        return err;
    (void)words_stmt(&s->file, WORDS_SQL_BEGIN);
    return words_run(&s->file, WORDS_SQL_BEGIN, ei);
}

static enum err put_meta(struct words_file *f, const struct words_meta *meta, struct errinfo *ei)
{
    sqlite3_stmt *stmt = words_stmt(f, WORDS_SQL_META_SET);
    bind_u64(stmt, 1, meta->first);
    bind_u64(stmt, 2, meta->last);
    bind_i64(stmt, 3, meta->low);
    bind_i64(stmt, 4, meta->high);
    bind_i64(stmt, 5, meta->step);
    return words_run(f, WORDS_SQL_META_SET, ei);
}

enum err words_commit(struct store_search_writer *s, const struct words_meta *meta,
                      struct errinfo *ei)
{
    enum err err = put_meta(&s->file, meta, ei);
    (void)words_stmt(&s->file, WORDS_SQL_COMMIT);
    if (err == ERR_OK)
        err = words_run(&s->file, WORDS_SQL_COMMIT, ei);
    if (err != ERR_OK) {
        words_abort(s);
        return err;
    }
    s->meta = *meta;
    /* Failing changes nothing: it is tried again after the next one. */
    if (s->wal_pages >= WAL_PAGES)
        (void)sqlite3_wal_checkpoint_v2(s->file.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return ERR_OK;
}

void words_abort(struct store_search_writer *s)
{
    for (int i = 0; i < WORDS_SQL_N; i++)
        (void)sqlite3_reset(s->file.stmts[i]);
    (void)words_stmt(&s->file, WORDS_SQL_ROLLBACK);
    if (!sqlite3_get_autocommit(s->file.db)) /* SQLite may have rolled back by itself */
        (void)words_run(&s->file, WORDS_SQL_ROLLBACK, NULL);
}

/* ---- adding ---- */

/* Search must never take the room that mail needs: it stops long before mail does. */
static enum err check_room(const struct store_search_writer *s, struct errinfo *ei)
{
    uint64_t n_free = 0, total = 0;
    char folder[WORDS_PATH_MAX];
    int n = (int)(strrchr(s->path, '/') - s->path);
    (void)snprintf(folder, sizeof(folder), "%.*s", n, s->path);
    if (s->files->free_space(s->files->self, folder, &n_free, &total) != 0)
        return err_set(ei, ERR_IO, "room on the disk of %s: %s", folder, strerror(errno));
    if (n_free >= total / 100 * s->free_percent)
        return ERR_OK;
    return err_set(ei, ERR_FULL,
                   "search waits: less than %u %% of the disk is free, and mail comes first",
                   s->free_percent);
}

static bool is_in_order(const struct store_search_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        uint64_t id = b->texts[i].message;
        if (id == 0 || id > INT64_MAX || (i > 0 && id <= b->texts[i - 1].message))
            return false;
        if (b->last != 0 && (id < b->first || id > b->last))
            return false;
    }
    return true;
}

/* Where the batch goes: above or below of what is there; the marks as they will be. */
static bool place(const struct store_search_batch *b, struct words_meta *m, bool *ret_is_below)
{
    *ret_is_below = false;
    if (!is_in_order(b))
        return false;
    if (b->first == 0 && b->last == 0)
        return true;
    if (b->first == 0 || b->first > b->last || b->last >= INT64_MAX)
        return false;
    if (m->last == 0) {
        m->first = b->first;
        m->last = b->last;
        return true;
    }
    if (b->first <= m->last + 1 && b->last >= m->last) {
        m->last = b->last;
        m->first = b->first < m->first ? b->first : m->first;
        return true;
    }
    *ret_is_below = b->last + 1 >= m->first && b->first <= m->first;
    m->first = *ret_is_below ? b->first : m->first;
    return *ret_is_below;
}

static struct slice bounded(struct slice s)
{
    return slice_of(s.p, s.n < STORE_SEARCH_FIELD_MAX ? s.n : STORE_SEARCH_FIELD_MAX);
}

static void bind_text(sqlite3_stmt *stmt, int at, struct slice s)
{
    (void)sqlite3_bind_text64(stmt, at, s.n ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

static enum err number_of(struct words_file *f, uint64_t account, bool is_late, int64_t *ret,
                          struct errinfo *ei)
{
    int64_t v[2];
    bool is_there = false;
    bind_u64(words_stmt(f, WORDS_SQL_ACCOUNT_GET), 1, account);
    enum err err = words_numbers(f, WORDS_SQL_ACCOUNT_GET, v, 2, &is_there, ei);
    if (err == ERR_OK && !is_there) {
        bind_u64(words_stmt(f, WORDS_SQL_ACCOUNT_ADD), 1, account);
        err = words_numbers(f, WORDS_SQL_ACCOUNT_ADD, v, 1, NULL, ei);
        v[1] = 0;
    }
    if (err == ERR_OK && is_late && !v[1]) {
        bind_u64(words_stmt(f, WORDS_SQL_ACCOUNT_LATE), 1, account);
        err = words_run(f, WORDS_SQL_ACCOUNT_LATE, ei);
    }
    if (err == ERR_OK && (v[0] < 0 || v[0] >= WORDS_ACCOUNTS_MAX))
        return err_set(ei, ERR_CORRUPT, "search: no more numbers for accounts");
    if (err == ERR_OK)
        *ret = v[0];
    return err;
}

struct adding {
    struct store_search_writer *s;
    struct buf names; /* with the byte in front that makes the word all have */
    int64_t row;      /* the next */
    bool is_late;
};

static enum err add_entry(struct adding *a, int64_t number, const struct store_search_text *t,
                          struct errinfo *ei)
{
    const struct slice fields[] = {t->from, t->to, t->cc, t->bcc, t->subject, t->body};
    struct words_file *f = &a->s->file;
    sqlite3_stmt *stmt = words_stmt(f, WORDS_SQL_ENTRY_ADD);
    bind_i64(stmt, 1, a->row);
    bind_i64(stmt, 2, number);
    bind_u64(stmt, 3, t->message);
    enum err err = words_run(f, WORDS_SQL_ENTRY_ADD, ei);
    if (err != ERR_OK)
        return err;
    words_tag_set(&f->tag, (uint64_t)number);
    stmt = words_stmt(f, WORDS_SQL_WORDS_ADD);
    bind_i64(stmt, 1, a->row);
    for (int i = 0; i < 6; i++)
        bind_text(stmt, 2 + i, bounded(fields[i]));
    bind_text(stmt, 8, buf_slice(&a->names));
    a->row++;
    return words_run(f, WORDS_SQL_WORDS_ADD, ei);
}

static enum err add_text(struct adding *a, const struct store_search_text *t, struct errinfo *ei)
{
    buf_clear(&a->names);
    buf_addc(&a->names, WORDS_EVERY);
    buf_adds(&a->names, bounded(t->names));
    for (size_t i = 0; i < t->n_accounts; i++) {
        int64_t number = 0, row = 0;
        bool is_there = false;
        enum err err = number_of(&a->s->file, t->accounts[i], a->is_late, &number, ei);
        if (err != ERR_OK)
            return err;
        sqlite3_stmt *stmt = words_stmt(&a->s->file, WORDS_SQL_ENTRY_HAS);
        bind_i64(stmt, 1, number);
        bind_u64(stmt, 2, t->message);
        err = words_numbers(&a->s->file, WORDS_SQL_ENTRY_HAS, &row, 1, &is_there, ei);
        if (err == ERR_OK && !is_there)
            err = add_entry(a, number, t, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* Rows ascend within a transaction, also below: FTS5 gathers only those in memory. */
static enum err add_all(struct store_search_writer *s, const struct store_search_batch *b,
                        bool is_below, struct words_meta *m, struct errinfo *ei)
{
    int64_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += (int64_t)b->texts[i].n_accounts;
    struct adding a = {.s = s,
                       .names = buf_make(STORE_SEARCH_FIELD_MAX + 1),
                       .row = is_below ? m->low - n : m->high + 1,
                       .is_late = b->last == 0};
    if (is_below)
        m->low = a.row;
    enum err err = ERR_OK;
    for (size_t i = 0; i < b->n && err == ERR_OK; i++)
        err = add_text(&a, &b->texts[i], ei);
    if (!is_below)
        m->high = a.row - 1;
    buf_finish(&a.names);
    return err;
}

enum err store_search_add(struct store_search_writer *s, const struct store_search_batch *batch,
                          struct errinfo *ei)
{
    bool is_below = false;
    enum err err = words_ready(s, ei);
    struct words_meta meta = s->meta;
    if (err == ERR_OK && !place(batch, &meta, &is_below))
        return err_set(ei, ERR_INVALID, "search: messages %llu to %llu are not next to what is in",
                       (unsigned long long)batch->first, (unsigned long long)batch->last);
    if (err == ERR_OK)
        err = check_room(s, ei);
    if (err == ERR_OK)
        err = words_begin(s, ei);
    if (err != ERR_OK)
        return err;
    err = add_all(s, batch, is_below, &meta, ei);
    if (err == ERR_OK)
        return words_commit(s, &meta, ei);
    words_abort(s);
    return err;
}
