/* Inside the desk: what is watched, and what was found. */
#ifndef DESK_DESK_WATCH_INT_H
#define DESK_DESK_WATCH_INT_H

#include "desk/desk_int.h"

#include "watch/watch.h"

/* What is found out about a domain, a primary or this node. */
enum desk_about { DESK_ABOUT_NODE, DESK_ABOUT_DOMAIN, DESK_ABOUT_PRIMARY };
struct desk_finding {
    struct watch_finding f;
    utc_ms since;  /* of this class */
    bool was_ok;   /* at any time: what never was is being set up, and wakes nobody */
    bool is_stale; /* the last look had no answer for it */
};
struct desk_watched {
    enum desk_about about;
    uint64_t id;                            /* of the domain or primary; 0: this node */
    char name[256];                         /* of a domain: names do not change */
    struct desk_finding *by_check[WATCH_N]; /* NULL: not looked at yet */
    utc_ms looked;                          /* 0: never */
    mono_us next_look;
    mono_us look_until; /* an answer that comes later does not come */
    bool is_looking, is_planned;
    utc_ms ttl_at;             /* when the TTL of the MX was seen freshly */
    uint8_t form;              /* of the domain when it was looked at */
    uint64_t primary;          /* the same */
    uint64_t selectors;        /* the same: a hash; 0: there were none */
    struct list waiters;       /* struct look_waiter: people who asked for a look */
    struct watch_trend *trend; /* of what is kept for a primary that is not well */
    struct queue_kept kept;
};

/* All of it. */
struct desk_watch {
    struct map *by_about[3]; /* by desk_about: id -> struct desk_watched */
    struct desk_watched *node;
    unsigned n_looking, n_waiters;
    struct watch_trend *space, *files; /* of the disk */
    mono_us next_queue, next_held;
    bool is_counting_held;
};

/* ---- desk_watch.c: looks at the DNS of domains ---- */
void desk_watch_start(struct desk *d); /* before objects are loaded */
void desk_watch_load(struct desk *d, const struct record_object *o);
void desk_watch_tick(struct desk *d, mono_us now);         /* once a second */
bool desk_watch_seen(struct desk *d, struct net_frame *f); /* false: nonsense */
void desk_watch_liaison_lost(struct desk *d);
void desk_watch_clear(struct desk *d); /* memory only */
/* Look at this domain now. */
void desk_watch_now(void *arg, uint64_t domain,
                    void (*done)(void *cookie, enum err err, const char *text), void *cookie);
void desk_watches(void *arg, void (*each)(void *cookie, const struct admin_watch *w), void *cookie);

/* ---- desk_finding.c: what a finding sets off ---- */
struct desk_watched *desk_watched(struct desk *d, enum desk_about about, uint64_t id);
/* Takes a finding over; tells people when it became worse or well again. True: it changed. */
bool desk_found(struct desk *d, struct desk_watched *w, const struct watch_finding *f);
/* There is nothing to look at any more: what was found is forgotten, who was told hears it. True:
 * there was something. */
bool desk_unfound(struct desk *d, struct desk_watched *w, enum watch_check check);
/* What it is called, and whose it is; empty: it is not there any more. Borrowed. */
struct slice desk_watched_name(const struct desk *d, const struct desk_watched *w,
                               uint64_t *ret_tenant);

/* ---- desk_room.c: disk, queue, certificates ---- */
void desk_room_tick(struct desk *d, mono_us now); /* once a second */
/* A probe saw the primary's greeting, and perhaps the end of its certificate (0: not). */
void desk_watch_primary(struct desk *d, uint64_t primary, struct slice old_software,
                        struct slice software, utc_ms certificate_until);

#endif
