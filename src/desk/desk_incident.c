/* Incidents: what people are told now. */
#include "desk/desk_int.h"

void desk_report(struct desk *d, const struct desk_report *r)
{
    SCOPED(buf_finish) struct buf text = buf_make(4000);
    buf_addf(&text, SLICE_FMT, SLICE_ARG(r->happened));
    if (r->did.n)
        buf_addf(&text, " " SLICE_FMT, SLICE_ARG(r->did));
    if (r->can.n)
        buf_addf(&text, " " SLICE_FMT, SLICE_ARG(r->can));
    desk_event(d, r->class, r->name, r->tenant, r->subject, buf_slice(&text), r->by);
}
