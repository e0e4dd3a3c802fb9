/* Do a certificate and a key fit? Asked before they are given to the processes that use them. */
#ifndef DAEMON_TLS_CHECK_H
#define DAEMON_TLS_CHECK_H

#include "daemon/settings.h"

/* Which of the two a problem is about stands in its `line`. */
enum { TLS_CHECK_CERTIFICATE = 1, TLS_CHECK_KEY = 2 };

/* PEM texts of any content. Adds a problem for each thing that is wrong. An expired certificate is
 * not: mail goes on with it. Needs no files and no network. */
void tls_check(struct slice certificate, struct slice key, struct settings_problems *problems);

#endif
