/* The command line; its commands come with the administration interface. */
#include "cli/cli.h"

#include <stdio.h>

int cli_main(int argc, char **argv)
{
    fprintf(stderr, "staffetta: unknown command \"%s\"; see staffetta help\n",
            argc > 1 ? argv[1] : "");
    return 2;
}
