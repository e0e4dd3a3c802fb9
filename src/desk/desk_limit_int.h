/* Inside the desk: limits, and what processes report about them. */
#ifndef DESK_DESK_LIMIT_INT_H
#define DESK_DESK_LIMIT_INT_H

#include "net/net.h"
#include "store/store_reader.h"

struct desk;

/* A limit's value as it was seen last; more about it is in `refusals`. */
struct desk_value {
    uint64_t object, value; /* object 0: it has none yet */
    bool is_set, is_unsaved;
    utc_ms saved;
};
struct desk_high { /* the worst of an hour */
    int64_t hour;
    uint64_t value;
};

/* ---- desk_report.c: refusals, figures and highs of all processes ---- */
bool desk_is_report(uint16_t type);
/* One of them, of `process` ("gate/1"). False: nonsense. */
bool desk_take_report(struct desk *d, const char *process, const struct net_frame *f);
void desk_report_tick(struct desk *d); /* our own */
enum err desk_highs_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
void desk_resolver_frame(void *arg, struct net_link *link, struct net_frame *f);
void desk_resolver_closed(void *arg, struct net_link *link);

/* ---- desk_value.c: limits over restarts ---- */
void desk_value_load(struct desk *d, const struct record_object *o);
void desk_values_tick(struct desk *d, utc_ms now);  /* did a value change? */
void desk_values_save(struct desk *d, bool is_all); /* all: also counts whose time has not come */

/* ---- desk_limit.c: limits that begin to block ---- */
/* Before it is counted in d->refusals, after refusal_who is set. */
void desk_limit_reached(struct desk *d, uint32_t refusal, uint64_t n);
void desk_limits_tick(struct desk *d, utc_ms now);

#endif
