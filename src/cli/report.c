/* `staffetta state report`: the statement of an emergency for people, or each message as a line of
 * JSON. */
#include "cli/cli_int.h"

#include <stdio.h>

enum { PAGE = 1000 };

/* ---- which one ---- */

/* The newest, of the primary if one is named. */
static int newest(const struct cli *c, struct buf *id)
{
    SCOPED(buf_finish) struct buf path = buf_make(4000);
    buf_adds(&path, SLICE("/v1/episodes"));
    add_query(&path, "limit", SLICE("1"));
    if (c->args[0])
        add_query(&path, "primary", slice_str(c->args[0]));
    if (cli_value(c, "tenant"))
        add_query(&path, "tenant", slice_str(cli_value(c, "tenant")));
    SCOPED(answer_finish) struct answer a = ask(c, "GET", buf_cstr(&path), NULL);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    const json_t *first = json_array_get(json_object_get(a.json, "episodes"), 0);
    const char *found = json_string_value(json_object_get(first, "id"));
    if (!found)
        return complain(EXIT_FAILED, "There was no emergency%s%s yet: nothing to report.",
                        c->args[0] ? " of " : "", c->args[0] ? c->args[0] : "");
    buf_adds(id, slice_str(found));
    return EXIT_FINE;
}

static int find_episode(const struct cli *c, struct buf *id)
{
    if (!cli_value(c, "episode"))
        return newest(c, id);
    buf_adds(id, slice_str(cli_value(c, "episode")));
    return EXIT_FINE;
}

static void add_path(struct buf *path, const struct buf *id, const char *what)
{
    buf_adds(path, SLICE("/v1/episodes/"));
    add_escaped(path, buf_slice(id));
    buf_addf(path, "/%s", what);
}

/* ---- each message ---- */

static void print_line(const json_t *row)
{
    char *line = json_dumps(row, JSON_COMPACT);
    if (line)
        printf("%s\n", line);
    mem_free(&line);
}

static int list_messages(const struct cli *c, const struct buf *id)
{
    SCOPED(buf_finish) struct buf after = buf_make(100);
    do {
        char limit[20];
        SCOPED(buf_finish) struct buf path = buf_make(4000);
        (void)snprintf(limit, sizeof(limit), "%d", PAGE);
        add_path(&path, id, "messages");
        add_query(&path, "limit", slice_str(limit));
        if (after.n > 0)
            add_query(&path, "after", buf_slice(&after));
        SCOPED(answer_finish) struct answer a = ask(c, "GET", buf_cstr(&path), NULL);
        int code = answer_code(c, &a);
        if (code != EXIT_FINE)
            return code;
        const json_t *rows = json_object_get(a.json, "rows");
        for (size_t i = 0; i < json_array_size(rows); i++)
            print_line(json_array_get(rows, i));
        const char *next = json_string_value(json_object_get(a.json, "next"));
        buf_clear(&after);
        buf_adds(&after, slice_str(next));
    } while (after.n > 0);
    return EXIT_FINE;
}

/* ---- the statement ---- */

/* Names and reasons in it are strangers' bytes. */
static void print_lines(const json_t *lines)
{
    SCOPED(buf_finish) struct buf b = buf_make(2 << 20);
    for (size_t i = 0; i < json_array_size(lines); i++) {
        add_safe(&b, slice_str(json_string_value(json_array_get(lines, i))));
        buf_adds(&b, SLICE("\n"));
    }
    print(&b);
}

static int show_statement(const struct cli *c, const struct buf *id)
{
    SCOPED(buf_finish) struct buf path = buf_make(4000);
    add_path(&path, id, "report");
    if (cli_value(c, "limit"))
        add_query(&path, "limit", slice_str(cli_value(c, "limit")));
    SCOPED(answer_finish) struct answer a = ask(c, "GET", buf_cstr(&path), NULL);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    if (c->is_json)
        print(&a.body);
    else
        print_lines(json_object_get(a.json, "text"));
    return json_is_true(json_object_get(a.json, "proved")) ? EXIT_FINE : EXIT_FAILED;
}

int run_report(struct cli *c)
{
    SCOPED(buf_finish) struct buf id = buf_make(1000);
    int code = find_episode(c, &id);
    if (code != EXIT_FINE)
        return code;
    return cli_value(c, "messages") ? list_messages(c, &id) : show_statement(c, &id);
}
