/* Commands that are more than one request and one table. */
#include "cli/cli_int.h"

#include <stdio.h>
#include <unistd.h>

int run_raw(struct cli *c)
{
    SCOPED(answer_finish) struct answer a = ask(c, c->command->method, c->command->path, NULL);
    int code = answer_code(c, &a);
    if (code == EXIT_FINE)
        print(&a.body);
    return code;
}

/* ID or ID/RCPT. */
int run_order(struct cli *c)
{
    struct slice rcpt, id = slice_cut(slice_str(c->args[0]), '/', &rcpt);
    SCOPED(buf_finish) struct buf path = buf_make(2000);
    uint64_t number = 0;
    bool has_rcpt = id.n < strlen(c->args[0]);
    if (id.n == 0 || (has_rcpt && !slice_u64(rcpt, 65534, &number)))
        return complain(EXIT_WRONG_USE,
                        "\"%s\" is not ID or ID/RCPT. Nothing was done. `staffetta "
                        "queue list` shows both.",
                        c->args[0]);
    buf_adds(&path, SLICE("/v1/queue/"));
    add_escaped(&path, id);
    buf_adds(&path, SLICE("/order"));
    json_t *body = json_pack("{s:s#, s:s}", "order", c->command->fixed + strlen("order="),
                             (int)strlen(c->command->verb), "why", cli_value(c, "why"));
    if (!body)
        return complain(EXIT_WRONG_USE, "the reason is not UTF-8. Nothing was done.");
    if (has_rcpt)
        (void)json_object_set_new(body, "rcpt", json_integer((json_int_t)number));
    SCOPED(answer_finish) struct answer a = ask(c, "POST", buf_cstr(&path), body);
    json_decref(body);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    if (c->is_json)
        print(&a.body);
    else
        show(c->command->view, a.json);
    const json_t *rows = json_object_get(a.json, "rows");
    bool is_all =
        json_array_size(rows) == (size_t)json_integer_value(json_object_get(a.json, "done"));
    return is_all ? EXIT_FINE : EXIT_FAILED;
}

int run_queue_show(struct cli *c)
{
    SCOPED(buf_finish) struct buf path = buf_make(2000);
    json_t *none = NULL;
    if (!request_build(c, &path, &none))
        return EXIT_WRONG_USE;
    SCOPED(answer_finish) struct answer a = ask(c, "GET", buf_cstr(&path), NULL);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    if (c->is_json) {
        print(&a.body);
        return EXIT_FINE;
    }
    show_message(a.json);
    buf_adds(&path, SLICE("/why"));
    SCOPED(answer_finish) struct answer why = ask(c, "GET", buf_cstr(&path), NULL);
    if (why.status == 200 && json_is_true(json_object_get(why.json, "waiting"))) {
        printf("\n");
        show_lines("Waits because=text", why.json);
    }
    return EXIT_FINE;
}

int run_trace(struct cli *c)
{
    SCOPED(buf_finish) struct buf path = buf_make(20000);
    json_t *none = NULL;
    if (!request_build(c, &path, &none))
        return EXIT_WRONG_USE;
    SCOPED(answer_finish) struct answer a = ask(c, "GET", buf_cstr(&path), NULL);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    const json_t *messages = json_object_get(a.json, "messages");
    if (c->is_json) {
        print(&a.body);
    } else if (json_array_size(messages) == 0) {
        printf("No message was found. Try a part of the subject, only the domain, or more time.\n");
    } else {
        for (size_t i = 0; i < json_array_size(messages); i++) {
            if (i > 0)
                printf("\n%s\n\n", "----");
            show_message(json_array_get(messages, i));
        }
        if (json_is_true(json_object_get(a.json, "more")))
            printf("\nThere are more: use --limit, or a shorter time.\n");
    }
    return json_array_size(messages) > 0 ? EXIT_FINE : EXIT_FAILED;
}

/* ---- import ---- */

/* Without --tenant: the company, if there is only one. The caller's; NULL: said why. */
static json_t *company(const struct cli *c)
{
    const char *name = cli_value(c, "tenant");
    if (name)
        return json_string(name);
    SCOPED(answer_finish) struct answer a = ask(c, "GET", "/v1/tenants", NULL);
    if (answer_code(c, &a) != EXIT_FINE)
        return NULL;
    const json_t *all = json_object_get(a.json, "tenants");
    if (json_array_size(all) == 1)
        return json_incref(json_object_get(json_array_get(all, 0), "name"));
    complain(0, "there are %zu companies: say which one with --tenant NAME. Nothing was done.",
             json_array_size(all));
    return NULL;
}

int run_import(struct cli *c)
{
    json_t *persons = people_read(c->args[0]);
    json_t *tenant = persons ? company(c) : NULL;
    if (!tenant) {
        json_decref(persons);
        return persons ? EXIT_FAILED : EXIT_WRONG_USE;
    }
    json_t *body =
        json_pack("{s:o, s:o, s:b, s:b}", "tenant", tenant, "persons", persons, "complete",
                  cli_value(c, "complete") != NULL, "force", cli_value(c, "force") != NULL);
    must(body);
    SCOPED(answer_finish) struct answer a = ask(c, "POST", c->command->path, body);
    json_decref(body);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    if (c->is_json)
        print(&a.body);
    else
        show(c->command->view, a.json);
    return EXIT_FINE;
}

/* ---- giving again ---- */

enum { LOOK_AGAIN_US = 500000 };

static int give_again(struct cli *c, struct buf *path, const json_t *body)
{
    SCOPED(answer_finish) struct answer a = ask(c, "POST", buf_cstr(path), body);
    int code = answer_code(c, &a);
    while (code == EXIT_FINE && json_is_true(json_object_get(a.json, "running"))) {
        if (!c->is_json)
            fprintf(stderr, "\r%lld of %lld looked for ",
                    (long long)json_integer_value(json_object_get(a.json, "looked")),
                    (long long)json_integer_value(json_object_get(a.json, "found")));
        (void)usleep(LOOK_AGAIN_US);
        answer_finish(&a);
        a = ask(c, "GET", buf_cstr(path), NULL);
        code = answer_code(c, &a);
    }
    if (code != EXIT_FINE)
        return code;
    if (!c->is_json)
        fprintf(stderr, "\n");
    if (c->is_json)
        print(&a.body);
    else
        show(&view_again, a.json);
    bool is_whole = json_is_true(json_object_get(a.json, "whole")) &&
                    json_integer_value(json_object_get(a.json, "unsure")) == 0 &&
                    json_integer_value(json_object_get(a.json, "gone")) == 0;
    return is_whole ? EXIT_FINE : EXIT_FAILED;
}

int run_return(struct cli *c)
{
    SCOPED(buf_finish) struct buf path = buf_make(2000);
    SCOPED(buf_finish) struct buf again = buf_make(2000);
    json_t *body = NULL;
    if (!cli_value(c, "since"))
        return run_plain(c);
    if (!request_build(c, &path, &body))
        return EXIT_WRONG_USE;
    /* Beside /return there is /again. */
    struct slice all = buf_slice(&path), head = all;
    while (head.n > 0 && !slice_starts(slice_skip(all, head.n), SLICE("/return")))
        head.n--;
    buf_adds(&again, head);
    buf_adds(&again, SLICE("/again"));
    buf_adds(&again, slice_skip(all, head.n + strlen("/return")));
    int code = give_again(c, &again, body);
    json_decref(body);
    return code;
}
