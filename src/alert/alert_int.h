/* Inside the room. */
#ifndef ALERT_ALERT_INT_H
#define ALERT_ALERT_INT_H

#include "alert/alert.h"

enum {
    OUTBOX_MAX = 20000,
    SENDING_MS = 60000,    /* without an answer: it was lost between our own processes */
    WRITE_WAIT_MS = 5000,  /* a disk that hangs does not keep an alarm about it back */
    WRITE_AGAIN_MS = 1000, /* after a failure */
    KEY_BYTES = 8 + 300,
};

struct incident {
    struct alert_incident shown;
    struct arena *arena; /* of what is shown */
    struct list outboxes;
    bool is_dirty;   /* not as on disk */
    uint64_t ticket; /* of its last write */
    utc_ms changed;
};
struct target {
    struct alert_target shown;
    struct arena *arena;
    uint64_t blocked_in; /* the pass in which nothing more goes to it */
};
struct outbox {
    struct alert_outbox shown;
    struct list node, pending;
    struct incident *incident;
    char answer[301];
    bool is_dirty;
    uint64_t ticket;
    utc_ms changed, sent_at;
};
struct gone { /* to be written as removed */
    struct list node;
    uint8_t kind;
    uint64_t id, tenant;
};

struct alert_book {
    struct alert_options o;
    struct map *incidents, *keys, *targets,
        *outboxes;       /* by id; keys: tenant and key -> the latest */
    struct list pending; /* struct outbox with something to say, the oldest word first */
    struct list gone;
    size_t n_open, n_closed;
    uint64_t ticket, done_ticket, pass;
    bool is_dirty, is_failing; /* the disk */
    utc_ms write_after;
    utc_ms full_told; /* when it was said that there is no room */
    uint64_t n_told, n_given_up;
};

/* ---- alert.c ---- */
void book_flush(struct alert_book *b, utc_ms now); /* write what is not as on disk */
void book_dirty(struct alert_book *b, struct incident *i);
void book_dirty_outbox(struct alert_book *b, struct outbox *x);
void book_gone(struct alert_book *b, enum object_kind kind, uint64_t id, uint64_t tenant);
bool book_is_written(const struct alert_book *b, const struct outbox *x, utc_ms now);

/* ---- incident.c ---- */
void incident_put(struct alert_book *b, struct incident *i);  /* into the maps */
void incident_drop(struct alert_book *b, struct incident *i); /* memory only */
bool incident_load(struct alert_book *b, const struct record_object *o);
/* Takes the place of what is shown; false: longer than it may be. */
bool incident_set(struct incident *i, const struct alert_incident_body *body);
const struct alert_update *incident_update(const struct incident *i, uint32_t number);
uint32_t incident_newest(const struct incident *i);

/* ---- outbox.c ---- */
void outbox_plan(struct alert_book *b, struct incident *i, utc_ms now); /* about its newest word */
bool outbox_load(struct alert_book *b, const struct record_object *o);
void outbox_drop(struct alert_book *b, struct outbox *x);  /* memory only */
void outbox_order(struct alert_book *b, struct outbox *x); /* its place among the pending */
bool outbox_is_pending(const struct outbox *x);
void outbox_pass(struct alert_book *b, utc_ms now); /* send what may go */

/* ---- compose.c ---- */
struct compose {
    const struct alert_book *book;
    const struct target *target;
    const struct incident *incident; /* NULL: a test */
    const struct outbox *outbox;
    utc_ms now;
    struct arena *arena; /* of what comes out */
};
void compose_id(const struct outbox *x, char ret[ALERT_ID_TEXT]);
struct slice compose_json(const struct compose *c, const char *id);
void compose_mail(const struct compose *c, const char *id, struct alert_sending *ret);
/* At most `max` bytes of valid UTF-8 without control characters (but line ends, if asked for). */
struct slice compose_clean(struct arena *a, struct slice s, size_t max, bool with_lines);
const char *compose_class(uint8_t class);

#endif
