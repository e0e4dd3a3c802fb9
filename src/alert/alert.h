/* Whom to tell: incidents, the targets that want to hear of them, and the outbox between.
 *
 * One trouble is one incident with many updates; each target is told in order, again and again
 * until it answers or a day is over. Everything is decided here and kept in memory; writing it
 * down, sending a webhook and sending a mail are the owner's (callbacks). Time comes as a
 * parameter. One thread. Not for: what is a trouble (who reports it decides), SMS and the order in
 * which people are called (they get their kind in alert_kind). */
#ifndef ALERT_ALERT_H
#define ALERT_ALERT_H

#include "store/record.h"

enum {
    ALERT_OPEN_MAX = 1000,  /* incidents that go on; more are only events, and that is said */
    ALERT_CLOSED_MAX = 500, /* the latest that are over; older ones are removed */
    ALERT_TARGETS_MAX = 1000,
    ALERT_UPDATES_MAX = 50,          /* of an incident; the latest are kept */
    ALERT_INCIDENT_BYTES = 48 << 10, /* of one, packed: older updates go first */
    ALERT_BODY_MAX = 64 << 10,       /* of a webhook */
    ALERT_REOPEN_MS = 30 * 60000,    /* the same trouble again within this is the same incident */
    ALERT_GIVE_UP_MS = 24 * 3600000, /* tried for so long */
    ALERT_ID_TEXT = 32,              /* of a delivery, terminated */
};

enum alert_kind {
    ALERT_WEBHOOK = 1,
    ALERT_MAIL = 2,
    ALERT_SMS = 3, /* its place only: refused in words until people have telephones */
    ALERT_KIND_N
};
const char *alert_kind_name(uint8_t kind); /* "webhook" */

#include "base/pack_struct_begin.h"
#include "alert/alert.def"
#include "base/pack_end.h"

/* What the book shows: borrowed until the book is changed. */
struct alert_incident {
    uint64_t id, tenant; /* tenant 0: of this node */
    struct alert_incident_body body;
};
struct alert_target {
    uint64_t id, tenant; /* tenant 0: hears of everything on this node */
    struct alert_target_body body;
    struct record_object object; /* without its body */
};
struct alert_outbox {
    uint64_t id, tenant;
    struct alert_outbox_body body;
    bool is_sending;
};

/* Something to say. Texts are borrowed, cut to their maxima and made valid UTF-8. */
struct alert_report {
    uint64_t tenant;
    struct slice key, name, subject;
    enum event_class class; /* INFO only joins an incident that goes on */
    struct slice happened, did, can, evidence, by;
    bool is_over;
};

/* A webhook or mail to send now. Borrowed for the call. */
struct alert_sending {
    uint64_t outbox; /* for alert_sent; 0: a test */
    uint64_t target;
    uint32_t number;          /* the newest update in it */
    const char *id;           /* the same over retries: "mhqbd7jzbf2aa.3" */
    struct slice url, secret; /* webhook */
    struct slice body;        /* webhook: JSON; mail: the whole message (RFC 5322, 7 bit) */
    struct slice address;     /* mail */
    struct slice subject, message_id, references; /* mail: as in its header */
    uint64_t tenant, message;                     /* mail: the id that it shall have */
    uint64_t replaced; /* mail: an earlier one about this; if it waits still, it need not go */
};

struct alert_taker {
    struct slice by, why;
};

struct alert_options {
    const char *node; /* our name; borrowed for good */
    void *arg;
    uint64_t (*next_id)(void *arg);
    struct slice (*tenant_name)(void *arg, uint64_t tenant); /* empty: unknown */
    /* Write these together, then alert_written with the same ticket, not within this call. In the
     * order of the calls. */
    void (*write)(void *arg, const struct record_objects *objects, uint64_t ticket);
    /* Send; then alert_sent, not within this call. False: nobody there to send; tried again. */
    bool (*send)(void *arg, enum alert_kind kind, const struct alert_sending *s);
    /* People should know: goes to the events only. */
    void (*tell)(void *arg, enum event_class class, const char *name, uint64_t tenant,
                 struct slice subject, struct slice text);
};

struct alert_book;
struct alert_book *alert_create(const struct alert_options *o);
void alert_destroy(struct alert_book **b); /* takes NULL */

/* At start, targets first, then incidents, then the outbox; and each later change of a target, when
 * it is durable. Other kinds are ignored. ERR_CORRUPT: unreadable body, nothing changed. */
enum err alert_apply(struct alert_book *b, const struct record_object *o, struct errinfo *ei);
/* After the last of them: what was being written when the program ended. `has_message`: is there a
 * message with this id? */
void alert_loaded(struct alert_book *b, bool (*has_message)(void *arg, uint64_t id), void *arg);

/* False: it joined nothing and began nothing (INFO, the end of what never began, the ceiling). */
bool alert_report(struct alert_book *b, const struct alert_report *r, utc_ms now);
/* Somebody takes care: durable when the write with `*ret_ticket` is. ERR_GONE: no such incident. */
enum err alert_take(struct alert_book *b, uint64_t incident, struct alert_taker who, utc_ms now,
                    uint64_t *ret_ticket, struct errinfo *ei);
void alert_tick(struct alert_book *b, utc_ms now); /* a few times a second */
void alert_written(struct alert_book *b, uint64_t ticket, enum err err, utc_ms now);

/* The end of a sending. */
struct alert_answer {
    bool is_there;   /* it has the word */
    bool is_refused; /* it has something against this word, others may go well */
    struct slice text;
};
void alert_sent(struct alert_book *b, uint64_t outbox, uint32_t number,
                const struct alert_answer *answer, utc_ms now);
void alert_sender_lost(struct alert_book *b, enum alert_kind kind); /* what was under way may be
                                                                     * sent again */
/* A word to see whether it arrives: calls `send` with outbox 0. The owner knows the answer. */
enum err alert_test(struct alert_book *b, uint64_t target, const char *id, utc_ms now,
                    struct errinfo *ei);

/* Looking. Walks as map_next. */
const struct alert_incident *alert_incident(const struct alert_book *b, uint64_t id);
const struct alert_incident *alert_find(const struct alert_book *b, uint64_t tenant,
                                        struct slice key); /* the latest with this key, or NULL */
const struct alert_incident *alert_next_incident(const struct alert_book *b, size_t *at);
const struct alert_target *alert_target(const struct alert_book *b, uint64_t id);
const struct alert_target *alert_target_named(const struct alert_book *b, struct slice name);
const struct alert_target *alert_next_target(const struct alert_book *b, size_t *at);
/* What its targets know. */
const struct alert_outbox *alert_next_outbox(const struct alert_book *b, uint64_t incident,
                                             size_t *at);
struct alert_figures {
    uint64_t n_open, n_waiting, n_told, n_given_up; /* the last two since the start */
};
struct alert_figures alert_figures(const struct alert_book *b);

/* "https://…", or "http://…" (which the sender allows to this machine and listed networks only):
 * host, no user, no fragment, printable ASCII. NULL: fine; else what is wrong. */
const char *alert_url_fault(struct slice url);

#endif
