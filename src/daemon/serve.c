/* The verbs of serve.h: from arguments to a running supervisor, with words for whoever waits at the
 * terminal. */
#include "daemon/serve.h"

#include "daemon/prepare.h"
#include "daemon/settings_load.h"
#include "daemon/supervisor.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTINGS_PATH_USUAL "/etc/staffetta/staffetta.yaml"

static void print(FILE *to, struct buf *text)
{
    must(!text->failed);
    fputs(buf_cstr(text), to);
    fflush(to);
}

static int say_problems(const struct settings_problems *problems, const char *path,
                        const char *done)
{
    SCOPED(buf_finish) struct buf text = buf_make(64 << 10);
    settings_problems_text(problems, path, done, &text);
    print(stderr, &text);
    return 1;
}

static int wrong_use(void)
{
    fputs("usage: staffetta serve [--config FILE] [--check | --print-config]\n", stderr);
    return 2;
}

static int print_config(struct settings_loaded *loaded)
{
    SCOPED(buf_finish) struct buf text = buf_make(1 << 20);
    settings_print(loaded->settings, &text);
    settings_unload(loaded);
    print(stdout, &text);
    return 0;
}

static int run(const char *path, struct settings_loaded *loaded)
{
    struct settings_problems problems;
    struct prepared prepared;
    if (!prepare_node(loaded->settings, &prepared, &problems)) {
        settings_unload(loaded);
        return say_problems(&problems, path, "Staffetta was not started.");
    }
    const struct supervisor_options options = {.settings_path = path,
                                               .take_loaded = loaded,
                                               .take_prepared = &prepared,
                                               .times = &supervisor_times_usual};
    return supervisor_run(&options);
}

int serve_main(int argc, char **argv)
{
    const char *path = SETTINGS_PATH_USUAL;
    bool is_check = false, is_print = false;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            path = argv[++i];
        else if (strcmp(argv[i], "--check") == 0)
            is_check = true;
        else if (strcmp(argv[i], "--print-config") == 0)
            is_print = true;
        else
            return wrong_use();
    }
    if (is_check && is_print)
        return wrong_use();
    (void)umask(022); /* whatever the caller's is: what we make is as we say */
    struct settings_loaded loaded = {};
    struct settings_problems problems;
    if (!settings_load(path, &loaded, &problems))
        return say_problems(&problems, path,
                            is_check || is_print ? "The settings cannot be used."
                                                 : "Staffetta was not started.");
    if (is_print)
        return print_config(&loaded);
    if (!is_check)
        return run(path, &loaded);
    settings_unload(&loaded);
    printf("%s: the settings are good\n", path);
    return 0;
}

int settings_main(int argc, char **argv)
{
    SCOPED(buf_finish) struct buf text = buf_make(1 << 20);
    if (argc == 1 && strcmp(argv[0], "--markdown") == 0)
        settings_markdown(&text);
    else if (argc == 1 && strcmp(argv[0], "--manual") == 0)
        settings_manual(&text);
    else {
        fputs("usage: staffetta settings --markdown | --manual\n", stderr);
        return 2;
    }
    print(stdout, &text);
    return 0;
}
