/* Inside of the search: what its files share.
 *
 * search_words.c         the tokenizer that puts an account's tag before each word
 * search_file.c          the tables, opening, statements, marks
 * store_search.c         life of the writer, adding
 * store_search_erase.c   removing, and taking the words out of the file
 * store_search_reader.c  questions */
#ifndef STORE_STORE_SEARCH_INT_H
#define STORE_STORE_SEARCH_INT_H

#include "store/index_db_int.h"
#include "store/store_search.h"

/* ---- words (search_words.c) ---- */

enum {
    SEARCH_TAG_BYTES = 4, /* 64^4 accounts of all times in one file */
    SEARCH_ACCOUNTS_MAX = 1 << 24,
    SEARCH_EVERY = 1, /* a text that begins with this byte has the word that all have */
    SEARCH_TERM_MAX = SEARCH_TAG_BYTES + STORE_SEARCH_TOKEN_MAX,
};

/* How the connection's tokenizer works from now on: whose words they are, and whether the text is
 * words at all or, raw, stored terms as they are (each behind its length in one byte). */
struct search_tag {
    char bytes[SEARCH_TAG_BYTES];
    bool is_raw;
};
void search_tag_set(struct search_tag *tag, uint64_t number);
/* `tag` must live as long as the connection. */
enum err search_words_register(sqlite3 *db, struct search_tag *tag, struct errinfo *ei);

/* ---- the file (search_file.c) ---- */

#define SEARCH_SQL(id, text) SEARCH_SQL_##id,
enum search_sql {
#include "store/store_search_sql.def"
    SEARCH_SQL_N
};
#undef SEARCH_SQL

enum search_step { /* of taking removed words out; in the file, numbers never change */
                   SEARCH_STEP_IDLE = 0,
                   SEARCH_STEP_MARK = 1, /* entries of the words' lists are marked as deleted */
                   SEARCH_STEP_MERGE =
                       2, /* everything is merged into one segment, which drops them */
                   SEARCH_STEP_SCRUB = 3,   /* free pages are overwritten */
                   SEARCH_STEP_TRUNCATE = 4 /* the WAL is emptied */
};

struct search_meta {
    uint64_t first, last; /* store_search_marks */
    int64_t low, high;    /* rows in use lie between them; low > high: none */
    enum search_step step;
};

/* Rows begin in the middle so that there is room below for what is filled downwards; the middle is
 * small so that a row number takes four bytes in each list. */
enum { SEARCH_ROW_MIDDLE = 1 << 27 };

struct search_file {
    sqlite3 *db;
    sqlite3_stmt *stmts[SEARCH_SQL_N];
    struct search_tag tag;
};

/* `flags` as for index_db_open. ERR_CORRUPT: not ours, damaged, or of another version; empty:
 * nothing was ever written into it. */
enum err search_file_open(struct search_file *f, const char *path, int flags, bool *ret_is_empty,
                          struct errinfo *ei);
void search_file_close(struct search_file *f);
enum err search_file_create_tables(struct search_file *f, struct errinfo *ei);
/* Reset and ready to be bound; NULL: binding does nothing and the step reports it. */
sqlite3_stmt *search_stmt(struct search_file *f, enum search_sql sql);
enum err search_run(struct search_file *f, enum search_sql sql, struct errinfo *ei);
/* At most one row; its first columns as numbers. `*ret_is_row` false: none, `ret` untouched. */
enum err search_numbers(struct search_file *f, enum search_sql sql, int64_t *ret, int n,
                        bool *ret_is_row, struct errinfo *ei);
enum err search_meta_get(struct search_file *f, struct search_meta *ret, struct errinfo *ei);
/* Path of the file below the store's folder. */
enum { SEARCH_PATH_MAX = 4096 };
enum err search_path(const char *dir, char ret[SEARCH_PATH_MAX], struct errinfo *ei);
const char *search_sql_text(enum search_sql sql);

/* ---- the writer (store_search.c) ---- */

struct search_marking;
void search_marking_destroy(struct search_marking **m); /* takes NULL */

struct store_search {
    struct search_file file;
    struct search_meta meta; /* as committed */
    char path[SEARCH_PATH_MAX];
    const struct store_files *files;
    unsigned free_percent;
    void (*tell)(void *arg, enum event_class class, const char *name, const char *text);
    void *tell_arg;
    int wal_pages;
    struct search_marking *marking; /* store_search_erase.c; NULL: none is under way */
    bool is_closed; /* making the file anew failed: everything fails until it works */
};

/* One transaction: begin; then commit with the new meta, or abort. */
enum err search_begin(struct store_search *s, struct errinfo *ei);
enum err search_commit(struct store_search *s, const struct search_meta *meta, struct errinfo *ei);
void search_abort(struct store_search *s);

#endif
