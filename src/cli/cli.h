/* The operator's commands: a client of the administration interface over the local socket. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* argv as in main(): argv[1] is the noun. Exit code: 0 ok, 1 failed check, 2 wrong use. */
int cli_main(int argc, char **argv);

#endif
