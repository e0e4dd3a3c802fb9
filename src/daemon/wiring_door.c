/* Circuit of the door: it will connect HTTP to core; the room `web` comes with the next commits. */
#include "daemon/child.h"

const struct role_wiring wiring_door = {.start = child_ready};
