/* Inside of the search: what its files share.
 *
 * words_token.c         the tokenizer that puts an account's tag before each word
 * words_path.c          where the file is
 * words_file.c          the tables, opening, statements, marks
 * store_search.c         life of the writer, adding
 * store_search_erase.c   removing, and taking the words out of the file
 * store_search_compare.c what is in it
 * store_search_reader.c  questions */
#ifndef STORE_WORDS_INT_H
#define STORE_WORDS_INT_H

#include "store/index_db_int.h"
#include "store/store_search.h"

/* ---- words (words_token.c) ---- */

enum {
    WORDS_TAG_BYTES = 4, /* 64^4 accounts of all times in one file */
    WORDS_ACCOUNTS_MAX = 1 << 24,
    WORDS_EVERY = 1, /* a text that begins with this byte has the word that all have */
    WORDS_TERM_MAX = WORDS_TAG_BYTES + STORE_SEARCH_TOKEN_MAX,
};

/* How the connection's tokenizer works from now on: whose words they are, and whether the text is
 * words at all or, raw, stored terms as they are (each behind its length in one byte). */
struct words_tag {
    char bytes[WORDS_TAG_BYTES];
    bool is_raw;
};
void words_tag_set(struct words_tag *tag, uint64_t number);
/* `tag` must live as long as the connection. */
enum err words_register(sqlite3 *db, struct words_tag *tag, struct errinfo *ei);

/* ---- the file (words_file.c) ---- */

#define WORDS_SQL(id, text) WORDS_SQL_##id,
enum words_sql {
#include "store/words_sql.def"
    WORDS_SQL_N
};
#undef WORDS_SQL

enum words_step { /* of taking removed words out; in the file, numbers never change */
                  WORDS_STEP_IDLE = 0,
                  WORDS_STEP_MARK = 1, /* entries of the words' lists are marked as deleted */
                  WORDS_STEP_MERGE =
                      2, /* everything is merged into one segment, which drops them */
                  WORDS_STEP_SCRUB = 3,   /* free pages are overwritten */
                  WORDS_STEP_TRUNCATE = 4 /* the WAL is emptied */
};

struct words_meta {
    uint64_t first, last; /* store_search_marks */
    int64_t low, high;    /* rows in use lie between them; low > high: none */
    enum words_step step;
};

/* Rows begin in the middle so that there is room below for what is filled downwards; the middle is
 * small so that a row number takes four bytes in each list. */
enum { WORDS_ROW_MIDDLE = 1 << 27 };

struct words_file {
    sqlite3 *db;
    sqlite3_stmt *stmts[WORDS_SQL_N];
    struct words_tag tag;
};

/* `flags` as for index_db_open. ERR_CORRUPT: not ours, damaged, or of another version; empty:
 * nothing was ever written into it. */
enum err words_file_open(struct words_file *f, const char *path, int flags, bool *ret_is_empty,
                         struct errinfo *ei);
void words_file_close(struct words_file *f);
enum err words_file_create_tables(struct words_file *f, struct errinfo *ei);
/* Reset and ready to be bound; NULL: binding does nothing and the step reports it. */
sqlite3_stmt *words_stmt(struct words_file *f, enum words_sql sql);
enum err words_run(struct words_file *f, enum words_sql sql, struct errinfo *ei);
/* At most one row; its first columns as numbers. `*ret_is_row` false: none, `ret` untouched. */
enum err words_numbers(struct words_file *f, enum words_sql sql, int64_t *ret, int n,
                       bool *ret_is_row, struct errinfo *ei);
enum err words_meta_get(struct words_file *f, struct words_meta *ret, struct errinfo *ei);
const char *words_sql_text(enum words_sql sql);

/* ---- its path (words_path.c) ---- */

enum { WORDS_PATH_MAX = 4096 };
/* Below the store's folder. */
enum err words_path(const char *dir, char ret[WORDS_PATH_MAX], struct errinfo *ei);
/* With what SQLite has put beside it. None there: good. */
enum err words_remove(const char *file, struct errinfo *ei);

/* ---- the writer (store_search.c) ---- */

struct words_marking;
void words_marking_destroy(struct words_marking **m); /* takes NULL */

struct store_search_writer {
    struct words_file file;
    struct words_meta meta; /* as committed */
    char path[WORDS_PATH_MAX];
    const struct store_files *files;
    unsigned free_percent;
    void (*tell)(void *arg, enum event_class class, const char *name, const char *text);
    void *tell_arg;
    int wal_pages;
    struct words_marking *marking; /* store_search_erase.c; NULL: none is under way */
    bool is_closed;                /* making the file anew failed: words_ready tries again */
};

/* The file is open: whatever is asked of the writer begins with it, so that one that could not be
 * made anew (a full disk, say) is there again with the first question after that has passed. */
enum err words_ready(struct store_search_writer *s, struct errinfo *ei);
/* One transaction: begin; then commit with the new meta, or abort. */
enum err words_begin(struct store_search_writer *s, struct errinfo *ei);
enum err words_commit(struct store_search_writer *s, const struct words_meta *meta,
                      struct errinfo *ei);
void words_abort(struct store_search_writer *s);

#endif
