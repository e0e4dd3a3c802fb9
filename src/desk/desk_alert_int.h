/* Inside the desk: what people are told now. */
#ifndef DESK_DESK_ALERT_INT_H
#define DESK_DESK_ALERT_INT_H

#include "alert/alert.h"
#include "net/net.h"
#include "store/store_reader.h"

struct desk;

/* ---- desk_incident.c: incidents and their book ---- */

/* One trouble from its first sign to its end is one incident; reports about the same `key` are its
 * updates. All slices are borrowed for the call. */
struct desk_report {
    uint64_t tenant;        /* 0: those who run this node */
    struct slice key;       /* what it is about: "primary/1f3", "disk", "domain/rossi.example/mx" */
    enum event_class class; /* NOTICE and ALARM are sent; INFO only joins an open incident */
    const char *name;       /* event's name: "primary.emergency" */
    struct slice subject;   /* "exchange" */
    struct slice happened, did, can; /* what happened; what we did; what you can do */
    struct slice evidence;           /* what was seen, in lines; may be empty */
    struct slice by;                 /* who or what noticed or decided */
    bool is_over;                    /* this is the incident's last update */
};
void desk_report(struct desk *d, const struct desk_report *r);

struct desk_alerts; /* the book, and what is on its way */
void desk_alerts_create(struct desk *d);
/* Targets, incidents, outbox; when everything else is there. */
enum err desk_alerts_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
void desk_alerts_apply(struct desk *d, const struct record_object *o); /* a target changed */
void desk_alerts_tick(struct desk *d, utc_ms now);
void desk_alerts_destroy(struct desk *d); /* when the store is closed; memory only */
struct alert_book *desk_book(struct desk *d);
/* admin_host.incident_take. */
void desk_incident_take(void *arg, uint64_t incident, struct slice by, struct slice why,
                        void (*done)(void *cookie, enum err err, const char *why), void *cookie);

/* ---- desk_alert.c: an alert leaves ---- */

struct desk_hooks; /* webhooks that have no answer yet */
struct desk_hooks *desk_hooks_create(struct desk *d);
void desk_hooks_destroy(struct desk_hooks **h); /* takes NULL */
bool desk_alert_send(void *arg, enum alert_kind kind, const struct alert_sending *s);
bool desk_take_hooked(struct desk *d, const struct net_frame *f); /* false: nonsense */
void desk_hooks_lost(struct desk *d);                             /* the liaison died */
void desk_hooks_tick(struct desk *d);
/* A word to see whether it arrives; admin_host.alert_test. */
void desk_alert_test(void *arg, uint64_t target,
                     void (*done)(void *cookie, enum err err, const char *text), void *cookie);

#endif
