/* Removing from the search, and taking the words of what was removed out of the file.
 *
 * No text is kept, so which words a removed message had is read from the index itself: all words of
 * its account pass by once, and those of removed messages get a mark in the index. The marks and
 * what they mark go when everything is merged into one segment. Free pages and the WAL still hold
 * what was there before: the first are overwritten, the second is emptied. Each step is noted in
 * the transaction that does it, so a crash goes on where it was. */
#include "store/words_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    ROWS_MAX = 4096,            /* removed messages whose words are gathered together */
    WORDS_A_SLICE = 50000,      /* that pass by */
    MARKED_A_SLICE = 100,       /* messages */
    COLUMN_BYTES_MAX = 4 << 20, /* words of one; more cannot be: see STORE_SEARCH_FIELD_MAX */
    BYTES_MAX = 64 << 20,       /* words of all that are gathered; the rest has to wait */
    TRUNCATE_WAIT_MS = 100,
    MERGE_PAGES = 256,     /* a slice */
    SCRUB_BYTES = 4 << 20, /* a slice */
    FREE_PAGES_LEFT = 16,  /* what scrubbing itself may leave */
    COLUMNS = 7,
};

/* ---- removing ---- */

static enum err remove_message(struct words_file *f, int64_t number, uint64_t message, utc_ms now,
                               struct errinfo *ei)
{
    static const enum words_sql sqls[] = {WORDS_SQL_REMOVE_NOTE, WORDS_SQL_REMOVE};
    enum err err = ERR_OK;
    for (int i = 0; i < 2 && err == ERR_OK; i++) {
        sqlite3_stmt *stmt = words_stmt(f, sqls[i]);
        bind_i64(stmt, 1, number);
        bind_u64(stmt, 2, message);
        if (i == 0)
            bind_i64(stmt, 3, now);
        err = words_run(f, sqls[i], ei);
    }
    return err;
}

static enum err number_of(struct words_file *f, uint64_t account, int64_t *ret, bool *ret_is_there,
                          struct errinfo *ei)
{
    bind_u64(words_stmt(f, WORDS_SQL_ACCOUNT_GET), 1, account);
    return words_numbers(f, WORDS_SQL_ACCOUNT_GET, ret, 1, ret_is_there, ei);
}

enum err store_search_remove(struct store_search_writer *s, uint64_t account,
                             const uint64_t *messages, size_t n, utc_ms now, struct errinfo *ei)
{
    int64_t number = 0;
    bool is_there = false;
    enum err err = words_begin(s, ei);
    if (err != ERR_OK)
        return err;
    err = number_of(&s->file, account, &number, &is_there, ei);
    for (size_t i = 0; i < n && is_there && err == ERR_OK; i++)
        err = remove_message(&s->file, number, messages[i], now, ei);
    if (err == ERR_OK)
        return words_commit(s, &s->meta, ei);
    words_abort(s);
    return err;
}

static enum err remove_all(struct words_file *f, uint64_t account, utc_ms now, struct errinfo *ei)
{
    int64_t number = 0;
    bool is_there = false;
    enum err err = number_of(f, account, &number, &is_there, ei);
    if (err != ERR_OK || !is_there)
        return err;
    sqlite3_stmt *stmt = words_stmt(f, WORDS_SQL_REMOVE_ALL_NOTE);
    bind_i64(stmt, 1, number);
    bind_i64(stmt, 2, now);
    err = words_run(f, WORDS_SQL_REMOVE_ALL_NOTE, ei);
    bind_i64(words_stmt(f, WORDS_SQL_REMOVE_ALL), 1, number);
    if (err == ERR_OK)
        err = words_run(f, WORDS_SQL_REMOVE_ALL, ei);
    bind_u64(words_stmt(f, WORDS_SQL_ACCOUNT_DELETE), 1, account);
    return err == ERR_OK ? words_run(f, WORDS_SQL_ACCOUNT_DELETE, ei) : err;
}

enum err store_search_remove_account(struct store_search_writer *s, uint64_t account, utc_ms now,
                                     struct errinfo *ei)
{
    enum err err = words_begin(s, ei);
    if (err != ERR_OK)
        return err;
    err = remove_all(&s->file, account, now, ei);
    if (err == ERR_OK)
        return words_commit(s, &s->meta, ei);
    words_abort(s);
    return err;
}

/* ---- marking the words ---- */

/* Removed messages of one account, and the words that they had: by column, each behind its length,
 * as the tokenizer reads them raw. */
struct gone {
    int64_t row;
    struct buf words[COLUMNS];
};
struct words_marking {
    struct gone *gone; /* by row */
    size_t n, bytes;
    size_t n_marked;
    int64_t number;
    char next[WORDS_TERM_MAX]; /* the word at which gathering goes on */
    size_t n_next;
    bool is_gathered;
};

static void gone_finish(struct gone *g)
{
    for (int i = 0; i < COLUMNS; i++)
        buf_finish(&g->words[i]);
}

static int compare_rows(const void *key, const void *member)
{
    int64_t row = *(const int64_t *)key;
    const struct gone *g = member;
    return row < g->row ? -1 : row > g->row;
}

static int column_of(struct slice name)
{
    static const char *const names[COLUMNS] = {"from",    "to",   "cc",   "bcc",
                                               "subject", "body", "names"};
    for (int i = 0; i < COLUMNS; i++)
        if (slice_eq(name, slice_str(names[i])))
            return i;
    return -1;
}

/* Words come sorted, so a word that a column has several times is the last one that was noted. */
static bool is_last(const struct buf *b, struct slice term)
{
    return b->n > term.n && (unsigned char)b->p[b->n - term.n - 1] == term.n &&
           memcmp(b->p + b->n - term.n, term.p, term.n) == 0;
}

static void note_word(struct words_marking *m, struct slice term, int64_t row, struct slice column)
{
    struct gone *g = bsearch(&row, m->gone, m->n, sizeof(*g), compare_rows);
    int at = column_of(column);
    if (!g || at < 0 || term.n == 0 || term.n > WORDS_TERM_MAX || is_last(&g->words[at], term))
        return;
    buf_u8(&g->words[at], (uint8_t)term.n);
    buf_adds(&g->words[at], term);
    m->bytes += term.n + 1;
    while (m->bytes > BYTES_MAX && m->n > 1) {
        g = &m->gone[--m->n];
        for (int i = 0; i < COLUMNS; i++)
            m->bytes -= g->words[i].n;
        gone_finish(g);
    }
}

/* Words pass by until enough have and another one begins. */
static bool is_slice_over(struct words_marking *m, struct slice term, size_t n_seen)
{
    bool is_same = slice_eq(term, slice_of(m->next, m->n_next));
    if (is_same || term.n > sizeof(m->next))
        return false;
    memcpy(m->next, term.p, term.n);
    m->n_next = term.n;
    return n_seen >= WORDS_A_SLICE;
}

static enum err gather_words(struct store_search_writer *s, struct words_marking *m,
                             struct errinfo *ei)
{
    struct words_tag to;
    char from[WORDS_TERM_MAX];
    memcpy(from, m->next, m->n_next);
    words_tag_set(&to, (uint64_t)m->number);
    to.bytes[WORDS_TAG_BYTES - 1]++; /* no digit of a tag lies between */
    sqlite3_stmt *stmt = words_stmt(&s->file, WORDS_SQL_WORDS_OF);
    (void)sqlite3_bind_text(stmt, 1, from, (int)m->n_next, SQLITE_STATIC);
    (void)sqlite3_bind_text(stmt, 2, to.bytes, WORDS_TAG_BYTES, SQLITE_STATIC);
    int rc = stmt ? SQLITE_ROW : sqlite3_errcode(s->file.db);
    for (size_t n = 0; rc == SQLITE_ROW; n++) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW || is_slice_over(m, column_slice(stmt, 0), n))
            break;
        note_word(m, column_slice(stmt, 0), sqlite3_column_int64(stmt, 1), column_slice(stmt, 2));
    }
    enum err err = rc == SQLITE_DONE || rc == SQLITE_ROW
                       ? ERR_OK
                       : index_db_err(ei, s->file.db, rc, words_sql_text(WORDS_SQL_WORDS_OF));
    m->is_gathered = rc == SQLITE_DONE;
    (void)sqlite3_reset(stmt);
    return err;
}

static enum err mark_one(struct words_file *f, const struct gone *g, struct errinfo *ei)
{
    sqlite3_stmt *stmt = words_stmt(f, WORDS_SQL_WORDS_DELETE);
    bind_i64(stmt, 1, g->row);
    for (int i = 0; i < COLUMNS; i++) {
        struct slice words = buf_slice(&g->words[i]);
        if (g->words[i].failed)
            return err_set(ei, ERR_CORRUPT, "search: a message has more words than it can have");
        (void)sqlite3_bind_text64(stmt, 2 + i, words.n ? words.p : "", words.n, SQLITE_STATIC,
                                  SQLITE_UTF8);
    }
    f->tag.is_raw = true;
    enum err err = words_run(f, WORDS_SQL_WORDS_DELETE, ei);
    f->tag.is_raw = false;
    bind_i64(words_stmt(f, WORDS_SQL_REMOVED_MARK), 1, g->row);
    return err == ERR_OK ? words_run(f, WORDS_SQL_REMOVED_MARK, ei) : err;
}

static enum err mark_slice(struct store_search_writer *s, struct words_marking *m,
                           struct errinfo *ei)
{
    size_t end = m->n - m->n_marked > MARKED_A_SLICE ? m->n_marked + MARKED_A_SLICE : m->n;
    enum err err = words_begin(s, ei);
    if (err != ERR_OK)
        return err;
    for (; m->n_marked < end && err == ERR_OK; m->n_marked++)
        err = mark_one(&s->file, &m->gone[m->n_marked], ei);
    if (err == ERR_OK)
        return words_commit(s, &s->meta, ei);
    words_abort(s);
    return err;
}

static enum err load_rows(struct words_file *f, struct words_marking *m, struct errinfo *ei)
{
    sqlite3_stmt *stmt = words_stmt(f, WORDS_SQL_REMOVED_ROWS);
    bind_i64(stmt, 1, m->number);
    bind_i64(stmt, 2, ROWS_MAX);
    int rc = stmt ? SQLITE_ROW : sqlite3_errcode(f->db);
    while (rc == SQLITE_ROW && m->n < ROWS_MAX) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        struct gone *g = &m->gone[m->n++];
        g->row = sqlite3_column_int64(stmt, 0);
        for (int i = 0; i < COLUMNS; i++)
            g->words[i] = buf_make(COLUMN_BYTES_MAX);
    }
    enum err err = rc == SQLITE_DONE || rc == SQLITE_ROW
                       ? ERR_OK
                       : index_db_err(ei, f->db, rc, words_sql_text(WORDS_SQL_REMOVED_ROWS));
    (void)sqlite3_reset(stmt);
    return err;
}

void words_marking_destroy(struct words_marking **address)
{
    struct words_marking *m = *address;
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        gone_finish(&m->gone[i]);
    mem_free(&m->gone);
    mem_free(address);
}

/* A batch of removed messages of one account; none: nothing is left to mark. */
static enum err begin_marking(struct store_search_writer *s, struct errinfo *ei)
{
    int64_t number = 0;
    bool is_there = false;
    (void)words_stmt(&s->file, WORDS_SQL_REMOVED_NUMBER);
    enum err err = words_numbers(&s->file, WORDS_SQL_REMOVED_NUMBER, &number, 1, &is_there, ei);
    if (err != ERR_OK || !is_there)
        return err;
    if (number < 0 || number >= WORDS_ACCOUNTS_MAX)
        return err_set(ei, ERR_CORRUPT, "search: number %lld is no account's", (long long)number);
    struct words_marking *m = s->marking = mem_new(sizeof(*m));
    struct words_tag from;
    words_tag_set(&from, (uint64_t)number);
    memcpy(m->next, from.bytes, WORDS_TAG_BYTES);
    m->n_next = WORDS_TAG_BYTES;
    m->number = number;
    m->gone = mem_new(ROWS_MAX * sizeof(m->gone[0]));
    return load_rows(&s->file, m, ei);
}

/* Gathering is kept in memory only: after a crash, or an error, it begins anew. */
static enum err mark_some(struct store_search_writer *s, bool *ret_more, struct errinfo *ei)
{
    enum err err = s->marking ? ERR_OK : begin_marking(s, ei);
    struct words_marking *m = s->marking;
    *ret_more = m != NULL;
    if (m && err == ERR_OK)
        err = m->is_gathered ? ERR_OK : gather_words(s, m, ei);
    if (m && err == ERR_OK && m->is_gathered)
        err = mark_slice(s, m, ei);
    if (m && (err != ERR_OK || (m->is_gathered && m->n_marked == m->n)))
        words_marking_destroy(&s->marking);
    return err;
}

/* ---- merging, scrubbing ---- */

/* `pages` below 0 begins: all segments become one level; then slices until nothing changes. */
static enum err merge(struct store_search_writer *s, int pages, enum words_step next,
                      bool *ret_changed, struct errinfo *ei)
{
    struct words_meta meta = s->meta;
    enum err err = words_begin(s, ei);
    if (err != ERR_OK)
        return err;
    int before = sqlite3_total_changes(s->file.db);
    bind_i64(words_stmt(&s->file, WORDS_SQL_MERGE), 1, pages);
    err = words_run(&s->file, WORDS_SQL_MERGE, ei);
    *ret_changed = sqlite3_total_changes(s->file.db) - before >= 2; /* one is the command's own */
    if (err == ERR_OK && (pages < 0 || !*ret_changed))
        meta.step = next;
    if (err == ERR_OK)
        return words_commit(s, &meta, ei);
    words_abort(s);
    return err;
}

/* Takes free pages into a table of zeros; when there are none left, the table goes. */
static enum err scrub_slice(struct store_search_writer *s, struct words_meta *meta,
                            struct errinfo *ei)
{
    int64_t n_free = 0;
    enum err err =
        index_db_exec(s->file.db, "CREATE TABLE IF NOT EXISTS scrub (bytes BLOB NOT NULL)", ei);
    (void)words_stmt(&s->file, WORDS_SQL_FREE_PAGES);
    if (err == ERR_OK)
        err = words_numbers(&s->file, WORDS_SQL_FREE_PAGES, &n_free, 1, NULL, ei);
    if (err != ERR_OK)
        return err;
    if (n_free > FREE_PAGES_LEFT) {
        int64_t bytes = n_free * INDEX_PAGE_BYTES;
        bind_i64(words_stmt(&s->file, WORDS_SQL_SCRUB_ADD), 1,
                 bytes < SCRUB_BYTES ? bytes : SCRUB_BYTES);
        return words_run(&s->file, WORDS_SQL_SCRUB_ADD, ei);
    }
    err = index_db_exec(s->file.db, "DROP TABLE scrub", ei);
    (void)words_stmt(&s->file, WORDS_SQL_REMOVED_FORGET);
    if (err == ERR_OK)
        err = words_run(&s->file, WORDS_SQL_REMOVED_FORGET, ei);
    meta->step = WORDS_STEP_TRUNCATE;
    return err;
}

static enum err scrub(struct store_search_writer *s, struct errinfo *ei)
{
    struct words_meta meta = s->meta;
    enum err err = words_begin(s, ei);
    if (err != ERR_OK)
        return err;
    err = scrub_slice(s, &meta, ei);
    if (err == ERR_OK)
        return words_commit(s, &meta, ei);
    words_abort(s);
    return err;
}

static enum err set_step(struct store_search_writer *s, enum words_step step, struct errinfo *ei)
{
    struct words_meta meta = s->meta;
    meta.step = step;
    enum err err = words_begin(s, ei);
    return err == ERR_OK ? words_commit(s, &meta, ei) : err;
}

/* Noted as done only behind it, which puts one small transaction into the empty WAL. A reader in
 * the middle of a question holds it up; the next call tries again. */
static enum err truncate_wal(struct store_search_writer *s, bool *ret_more, struct errinfo *ei)
{
    (void)sqlite3_busy_timeout(s->file.db, TRUNCATE_WAIT_MS);
    int rc = sqlite3_wal_checkpoint_v2(s->file.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(s->file.db, INDEX_BUSY_MS);
    *ret_more = false;
    if ((rc & 0xff) == SQLITE_BUSY)
        return ERR_OK;
    if (rc != SQLITE_OK)
        return index_db_err(ei, s->file.db, rc, "empty the WAL");
    return set_step(s, WORDS_STEP_IDLE, ei);
}

static enum err is_due(struct store_search_writer *s, utc_ms now, int64_t wait_ms, bool *ret,
                       struct errinfo *ei)
{
    int64_t v[2];
    (void)words_stmt(&s->file, WORDS_SQL_REMOVED_OLDEST);
    enum err err = words_numbers(&s->file, WORDS_SQL_REMOVED_OLDEST, v, 2, NULL, ei);
    *ret = err == ERR_OK && v[1] > 0 && now - v[0] >= wait_ms;
    return err;
}

enum err store_search_purge(struct store_search_writer *s, utc_ms now, int64_t wait_ms,
                            bool *ret_more, struct errinfo *ei)
{
    bool is_on = false;
    enum err err = words_ready(s, ei);
    *ret_more = true;
    if (err != ERR_OK)
        return err;
    switch (s->meta.step) {
    case WORDS_STEP_IDLE:
        err = is_due(s, now, wait_ms, &is_on, ei);
        *ret_more = is_on;
        return err == ERR_OK && is_on ? set_step(s, WORDS_STEP_MARK, ei) : err;
    case WORDS_STEP_MARK:
        err = mark_some(s, &is_on, ei);
        if (err != ERR_OK || is_on)
            return err;
        return merge(s, -MERGE_PAGES, WORDS_STEP_MERGE, &is_on, ei);
    case WORDS_STEP_MERGE:
        return merge(s, MERGE_PAGES, WORDS_STEP_SCRUB, &is_on, ei);
    case WORDS_STEP_SCRUB:
        return scrub(s, ei);
    case WORDS_STEP_TRUNCATE:
        return truncate_wal(s, ret_more, ei);
    }
    return ERR_OK;
}

/* ---- figures ---- */

enum err store_search_figures(struct store_search_writer *s, struct store_search_figures *ret,
                              struct errinfo *ei)
{
    int64_t removed[2], n = 0;
    struct stat st;
    char wal[WORDS_PATH_MAX + 8];
    enum err err = words_ready(s, ei);
    if (err != ERR_OK)
        return err;
    (void)words_stmt(&s->file, WORDS_SQL_REMOVED_OLDEST);
    err = words_numbers(&s->file, WORDS_SQL_REMOVED_OLDEST, removed, 2, NULL, ei);
    (void)words_stmt(&s->file, WORDS_SQL_ENTRIES);
    if (err == ERR_OK)
        err = words_numbers(&s->file, WORDS_SQL_ENTRIES, &n, 1, NULL, ei);
    if (err != ERR_OK)
        return err;
    *ret = (struct store_search_figures){
        .n_entries = (uint64_t)n, .n_removed = (uint64_t)removed[1], .removed_at = removed[0]};
    (void)snprintf(wal, sizeof(wal), "%s-wal", s->path);
    ret->file_bytes += stat(s->path, &st) == 0 ? (uint64_t)st.st_size : 0;
    ret->file_bytes += stat(wal, &st) == 0 ? (uint64_t)st.st_size : 0;
    return ERR_OK;
}
