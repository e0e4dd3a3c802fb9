/* The operator's commands: a client of the administration interface over its local socket.
 *
 * A table says which command is which request and how its answer looks to a person; --json prints
 * the interface's own JSON. The manual page comes from the same table. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/base.h"

/* argv as in main(): argv[1] is the noun. Exit code: 0 ok, 1 a check failed or the request was
 * refused, 2 wrong use. Writes to standard output and standard error. */
int cli_main(int argc, char **argv);

/* The manual page staffetta(1), in man(7) markup. */
void cli_manual(struct buf *ret);

#endif
