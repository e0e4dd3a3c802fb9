/* Inside resolve: texts of settings and names, before the library sees them. */
#ifndef RESOLVE_RESOLVE_INT_H
#define RESOLVE_RESOLVE_INT_H

#include "base/base.h"

enum { RESOLVE_NAME_MAX = 254 }; /* as text, without the final dot, and NUL */

/* A name as the library wants it: ASCII, no final dot. U-labels become A-labels. False: not a name
 * that could exist. */
bool resolve_name_clean(struct slice name, char ret[RESOLVE_NAME_MAX]);
/* "192.0.2.53:5353", "[2001:db8::53]:5353" or an address alone as "address@port". */
bool resolve_server_text(struct slice text, char ret[64]);

#endif
