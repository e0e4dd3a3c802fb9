/* `staffetta store verify DIR` and `store rebuild DIR`: work on the data directory itself, without
 * a running node. Both become the directory's owner first, so that nothing they make is root's. */
#ifndef DAEMON_STORE_TOOL_H
#define DAEMON_STORE_TOOL_H

#include <stdbool.h>

/* Is it one of these two? Other verbs of `store` are the running node's. argv as in main(). */
bool store_tool_is_verb(int argc, char **argv);
/* Exit code: 0 good, 1 something is wrong (said in words), 2 wrong use. */
int store_tool_main(int argc, char **argv);

#endif
