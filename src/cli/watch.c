/* `staffetta watch show`, `staffetta domain check`: findings in words, one after the other. */
#include "cli/cli_int.h"

#include <stdio.h>

static void show_findings(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *class = json_string_value(json_object_get(one, "class"));
        bool is_known = class && strcmp(class, "unknown") != 0; /* it says by itself why not */
        bool is_stale = is_known && json_is_true(json_object_get(one, "stale"));
        if (i > 0)
            printf("\n");
        show_lines("Check=title|Verdict=class|About=name|Since=since@|Found=found|"
                   "Expected=expected|Why=why|Do=advice",
                   one);
        if (is_stale)
            printf("The last look had no answer for this.\n");
    }
}

int run_watch(struct cli *c)
{
    SCOPED(buf_finish) struct buf path = buf_make(4000);
    json_t *none = NULL;
    if (!request_build(c, &path, &none))
        return EXIT_WRONG_USE;
    SCOPED(answer_finish) struct answer a = ask(c, c->command->method, buf_cstr(&path), none);
    json_decref(none);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    const json_t *list = json_object_get(a.json, "watches");
    const json_t *ok = json_object_get(a.json, "ok");
    if (c->is_json)
        print(&a.body);
    else if (json_array_size(list) == 0)
        printf("Nothing is watched by that name, or it was not looked at yet. `staffetta watch "
               "list` shows all.\n");
    else
        show_findings(list);
    return json_is_false(ok) || json_array_size(list) == 0 ? EXIT_FAILED : EXIT_FINE;
}
