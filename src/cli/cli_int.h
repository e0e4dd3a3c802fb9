/* Inside the room: the table of commands, one request and its answer, how answers look. */
#ifndef CLI_CLI_INT_H
#define CLI_CLI_INT_H

#include "cli/cli.h"

#include <jansson.h>

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_WRONG_USE = 2 };
enum { ARGS_MAX = 3, VALUES_MAX = 64, ANSWER_MAX = 40 << 20, FILE_MAX = 8 << 20 };

/* ---- the table --------------------------------------------------------------------------------
 */

enum flag_kind {
    FLAG_TEXT,
    FLAG_SECRET, /* "-": read from standard input, where other users of the machine see nothing */
    FLAG_NUMBER,
    FLAG_TIME, /* 2h, 3d, a date: becomes RFC 3339 */
    FLAG_LIST, /* may be repeated */
    FLAG_ON,   /* without value; --no-NAME says false */
    FLAG_OFF,  /* without value: says false */
};
struct flag {
    const char *name, *value, *member; /* "--NAME VALUE" sets that member or parameter */
    enum flag_kind kind;
    const char *text;
};
const struct flag *flag_find(struct slice name); /* without dashes; NULL: none */

/* How an answer looks: a list of lines, then tables. Both are "Title=member" joined by '|'; a
 * member may be "a.b"; an end of '@' is a time, '#' a size in bytes. */
struct table {
    const char *title, *member, *columns, *if_empty;
};
struct view {
    const char *lines;
    struct table tables[3];
    const char *must_be_true; /* a member: exit code 1 when it is false */
};

struct cli;
struct command {
    const char *noun, *verb; /* verb "": the noun alone */
    /* "NAME:name [WHAT:what]": the place {NAME} in the path, or the member or parameter `name`. */
    const char *args;
    const char *method, *path;
    const char *fixed; /* "order=hold": always sent */
    const char *flags; /* names; "!" must be given, "?" goes into the query whatever the method */
    const struct view *view;
    int (*run)(struct cli *c); /* NULL: the request that the row describes */
    const char *summary;
};
extern const struct command commands[];
extern const size_t n_commands;
extern const struct view view_again; /* of giving again, for run_return */

/* ---- one run ------------------------------------------------------------------------------------
 */

struct cli {
    const char *socket;
    bool is_json;
    const struct command *command;
    const char *args[ARGS_MAX]; /* as given; NULL: not given */
    struct {
        const struct flag *flag;
        const char *value;
        bool is_off;
    } values[VALUES_MAX];
    size_t n_values;
};
const char *cli_value(const struct cli *c, const char *flag); /* the last one; NULL: not given */

/* What is wrong, to standard error: "staffetta: ...". Returns `code`. */
int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct answer {
    long status; /* 0: there was none; it has been said why */
    struct buf body;
    json_t *json; /* NULL: not JSON */
};
void answer_finish(struct answer *a);
/* `body` may be NULL. */
struct answer ask(const struct cli *c, const char *method, const char *path, const json_t *body);
/* Refused: prints why (with --json the document too) and returns the exit code; EXIT_FINE: go on.
 */
int answer_code(const struct cli *c, const struct answer *a);

/* The row's request: path with query, and body (NULL: none; the caller's). */
bool request_build(const struct cli *c, struct buf *path, json_t **ret_body);
void add_escaped(struct buf *b, struct slice s); /* %41 */
void add_query(struct buf *path, const char *name, struct slice value);
/* "2h" (ago), "+2h" (from now), "08:30", "2026-11-21": RFC 3339 of UTC into ret; what has a zone
 * stays. */
bool time_parse(const char *text, utc_ms now, char ret[40]);

/* ---- showing
 * ------------------------------------------------------------------------------------- */

void show(const struct view *v, const json_t *answer);
void show_message(const json_t *message);
/* `zone`: of rows that name none; NULL: the reader's own time. */
void show_table(const struct table *t, const json_t *list, const char *zone);
void show_lines(const char *lines, const json_t *object);
/* Bytes of strangers on a terminal: no controls, no marks that turn the writing direction. */
void add_safe(struct buf *b, struct slice s);
const json_t *member_at(const json_t *object, struct slice path); /* "a.b" */
void print(const struct buf *b);

/* ---- commands with a way of their own
 * ------------------------------------------------------------ */

int run_order(struct cli *c);
int run_queue_show(struct cli *c);
int run_trace(struct cli *c);
int run_import(struct cli *c);
int run_check(struct cli *c);
int run_watch(struct cli *c);
int run_report(struct cli *c);
int run_return(struct cli *c);
int run_password(struct cli *c);
int run_raw(struct cli *c);
int run_plain(struct cli *c);

/* The list of people in a file, as the interface takes it; NULL: it has been said why. */
json_t *people_read(const char *file);
json_t *people_parse(const char *file, struct slice text); /* CSV or JSON */

#endif
