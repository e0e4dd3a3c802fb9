/* Which setting decides which row of the table of refusals. */
#ifndef DAEMON_LIMITS_H
#define DAEMON_LIMITS_H

#include "daemon/settings.h"

/* From now on refuse_limit in this process tells what these settings say. */
void limits_apply(const struct settings *s);

#endif
