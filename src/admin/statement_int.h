/* Rows gathered by mailbox, and the statement of an emergency: counted here, told in text and JSON
 * elsewhere. Worker threads. */
#ifndef ADMIN_STATEMENT_INT_H
#define ADMIN_STATEMENT_INT_H

#include "admin/admin_int.h"
#include "continuity/episode.h"
#include "directory/local_time.h"

/* What became of a row, as people understand it. */
enum fate {
    FATE_MEANWHILE,  /* delivered before giving back began */
    FATE_GIVEN_BACK, /* kept, then delivered */
    FATE_PASSED_ON,  /* new while giving back, and delivered */
    FATE_WAITING,
    FATE_IS_HELD,
    FATE_IS_RETURNED,
    FATE_REMOVED,
    FATE_MERGED,
    FATE_NONE, /* refused: it was never accepted */
    FATE_N,
};
const char *fate_name(enum fate f); /* "given_back": in JSON */
enum fate fate_of(const struct episode *e, const struct store_row *row);

/* ---- by mailbox ---- */

enum { BOXES_MAX = 200000 }; /* further ones are counted together */
struct box {
    uint64_t person; /* 0: nobody of ours */
    struct slice address;
    bool is_essential;
    utc_ms oldest; /* arrival */
    uint64_t n[FATE_N], n_rows, bytes;
};
struct boxes {
    struct admin_call *c;
    struct map *by;        /* person, or address in lower case -> struct box */
    struct map *essential; /* addresses of essential people */
    struct box **list;
    size_t n, cap;
};
struct boxes boxes_make(struct admin_call *c);
void boxes_finish(struct boxes *b);
void boxes_add(struct boxes *b, const struct store_row *row, enum fate fate);
/* Main addresses and who is essential; then in the order of giving back: essential ones first,
 * within these by the oldest. */
enum err boxes_sort(struct boxes *b, struct errinfo *ei);

/* ---- the statement ---- */

enum { DOUBLES_SHOWN = 50 };
/* What people did in their mailboxes here: read, answered, moved, deleted, drafted, sent. */
struct statement_did {
    uint64_t mailboxes; /* where something was given back */
    uint64_t given, already, doubtful, waiting, absent, ambiguous, refused;
    bool has_access; /* somebody said how the mailboxes are opened */
};
struct statement {
    uint64_t id;
    struct episode e;
    struct slice primary, tenant; /* names */
    struct directory_zone zone;   /* of the company: its people read the text */
    utc_ms begin, now;
    struct store_span span;
    /* counted row by row */
    uint64_t accepted, before; /* during it; waiting already when it began */
    uint64_t n[FATE_N], by[DISPOSITION_N];
    uint64_t kept, bytes, doubles, notices;
    uint64_t held_for[REFUSE_N + 1]; /* 1 + refuse_id; 0: a person */
    uint64_t last_noticed;           /* message */
    struct boxes boxes;
    struct statement_did did;
    struct store_sums ledger; /* the same interval, counted by the index */
};
/* Counts; SCOPED(statement_finish). `c->part[0]` is the episode. False: the call has failed. */
bool statement_make(struct admin_call *c, struct names *names, struct statement *ret);
void statement_finish(struct statement *s);
/* The interval and names of the episode in the path, nothing counted. SCOPED likewise. */
bool statement_find(struct admin_call *c, struct names *names, struct statement *ret);
/* Everything that was to be accounted for, and what was found. */
uint64_t statement_owed(const struct statement *s);
uint64_t statement_found(const struct statement *s);
/* All sums are the ledger's. */
bool statement_is_proved(const struct statement *s);
/* statement_mailback.c: sets `did`. */
enum err statement_count_did(struct admin_call *c, struct statement *s, struct errinfo *ei);
void statement_write_did(struct out *j, const struct statement *s);
/* For people; `doubles` are lines of their own, ready. */
void statement_text(const struct statement *s, const struct buf *doubles, struct buf *ret);

/* Bytes of strangers, without signs that could begin a line of their own. */
void add_words(struct buf *b, struct slice s);
/* "2 h 5 min", "41 s": rounded as people say it. */
void add_duration(struct buf *b, utc_ms ms);
/* "1,204" */
void add_count(struct buf *b, uint64_t n);
/* "3.4 MiB" */
void add_size(struct buf *b, uint64_t bytes);

#endif
