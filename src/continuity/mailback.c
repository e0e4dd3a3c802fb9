/* The item of a mailbox that is given back, packed. */
#include "continuity/mailback.h"

#include "base/pack_write_begin.h"
#include "continuity/mailback.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "continuity/mailback.def"
#include "base/pack_end.h"
