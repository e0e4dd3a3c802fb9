/* Episodes: an emergency from its first failure to its end. */
#include "desk/desk_state_int.h"

void desk_episode_note(struct desk *, const struct desk_primary *, enum continuity_state,
                       struct slice, struct slice)
{
    /* Nothing is remembered of them yet. */
}
