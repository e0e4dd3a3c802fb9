/* From where we look: when everything fails at once, it is us. */
#include "continuity/continuity.h"

#include <stdio.h>

enum { MANY_PRIMARIES = 5 };

bool continuity_is_blind(const struct continuity_view *v, char *why, size_t n)
{
    bool has_controls = v->n_controls > 0;
    bool is_blind = has_controls ? v->n_controls_bad >= v->n_controls
                                 : v->n_primaries >= MANY_PRIMARIES &&
                                       v->n_primaries_bad * 5 >= v->n_primaries * 4;
    if (!why || n == 0)
        return is_blind;
    if (is_blind && has_controls)
        (void)snprintf(why, n, "none of %u control hosts answers%s", v->n_controls,
                       v->is_resolver_bad ? ", and names cannot be resolved" : "");
    else if (is_blind)
        (void)snprintf(why, n, "%u of %u primaries fell silent at once%s", v->n_primaries_bad,
                       v->n_primaries, v->is_resolver_bad ? ", and names cannot be resolved" : "");
    else if (!has_controls)
        (void)snprintf(why, n, "%u of %u primaries answer; no control hosts are set",
                       v->n_primaries - v->n_primaries_bad, v->n_primaries);
    else
        (void)snprintf(why, n, "%u of %u control hosts answer", v->n_controls - v->n_controls_bad,
                       v->n_controls);
    return is_blind;
}
