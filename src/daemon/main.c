/* The program: `serve` is the node, everything else is the command line. */
#include "cli/cli.h"
#include "daemon/child.h"
#include "daemon/serve.h"
#include "daemon/store_tool.h"

#include <stdio.h>

/* What runs without a node comes first; then the commands that talk to one. */
static int help(int argc, char **argv)
{
    if (argc > 2)
        return cli_main(argc, argv);
    fputs("staffetta serve [--config FILE]        run a node in the foreground\n"
          "staffetta serve --check                judge the settings and say what is wrong\n"
          "staffetta serve --print-config         show the settings in effect\n"
          "staffetta settings --markdown          all settings, as a page\n"
          "staffetta store verify DIR             check everything in a data directory\n"
          "staffetta store rebuild DIR            make its index anew; the node must be stopped\n"
          "staffetta version\n"
          "\n",
          stdout);
    char verb[] = "help";
    char *words[] = {argv[0], verb, NULL};
    return cli_main(2, words);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "help";
    if (strcmp(verb, "--child") == 0)
        return child_main(argc, argv);
    if (strcmp(verb, "serve") == 0)
        return serve_main(argc - 2, argv + 2);
    if (strcmp(verb, "settings") == 0)
        return settings_main(argc - 2, argv + 2);
    if (store_tool_is_verb(argc, argv))
        return store_tool_main(argc, argv);
    if (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0)
        return puts("staffetta " VERSION) < 0;
    if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0)
        return help(argc, argv);
    return cli_main(argc, argv);
}
