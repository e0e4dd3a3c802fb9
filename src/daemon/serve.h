/* `staffetta serve` and `staffetta settings`: the verbs that need no running node. */
#ifndef DAEMON_SERVE_H
#define DAEMON_SERVE_H

/* Both get the arguments after the verb and return the exit code: 0 ok, 1 refused, 2 wrong use. */
int serve_main(int argc, char **argv);
int settings_main(int argc, char **argv);

#endif
