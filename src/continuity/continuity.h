/* What the primary's behaviour means: its state, our reply to the sender, when to try again.
 *
 * Pure: values in, values out. The state here is as simple as "deliveries and a probe succeed or
 * fail"; the full decision (canary, silence, vantage, plans approved by people) extends
 * continuity_step without changing its shape. */
#ifndef CONTINUITY_CONTINUITY_H
#define CONTINUITY_CONTINUITY_H

#include "base/base.h"

/* ---- the state of a primary --------------------------------------------------------------- */

/* The words used everywhere: screen, API, command line, SMS, logs. */
enum continuity_state {
    STATE_STANDBY = 1,
    STATE_SUSPECT = 2,
    STATE_EMERGENCY = 3,
    STATE_RETURNING = 4,
    STATE_N = 5,
};
const char *continuity_state_name(enum continuity_state s);

enum continuity_evidence {
    EVIDENCE_NONE,    /* only time has passed */
    EVIDENCE_GOOD,    /* a delivery went well */
    EVIDENCE_GREETS,  /* a probe went well: it answers, but nothing was given to it */
    EVIDENCE_BAD,     /* it is silent, or refuses before any mail */
    EVIDENCE_REFUSES, /* it answers, but took no mail: only a delivery shows that this is over */
    EVIDENCE_SAY_EMERGENCY, /* a person decided */
    EVIDENCE_SAY_RETURN,
    EVIDENCE_DRAINED, /* nothing waits for this primary any more */
};

/* Times in seconds. */
struct continuity_plan {
    uint32_t bad_for_suspect; /* failures within `suspect_within_sec` */
    uint32_t suspect_within_sec;
    uint32_t emergency_after_sec; /* of the first failure; 0: only by hand */
    uint32_t good_for_ready;      /* good probes in a row … */
    uint32_t ready_over_sec;      /* … over at least this time */
    bool is_return_auto;          /* give back without asking */
};
extern const struct continuity_plan continuity_plan_default;

struct continuity_primary {
    enum continuity_state state;
    utc_ms since;
    utc_ms first_bad; /* of the present run of failures; 0: none */
    utc_ms last_good, last_bad;
    utc_ms good_since; /* of the present run of good ones; 0: none */
    uint32_t n_bad;    /* in a row */
    uint32_t n_good;   /* in a row */
    bool is_ready;     /* well again for long enough to give back */
    bool is_refusing;  /* it refused mail; probes do not count until a delivery went well, or it
                        * fell silent: what greets after that is a new start */
};

enum continuity_action {
    ACTION_STATE_CHANGED = 1, /* tell everybody, write it down */
    ACTION_READY = 2,         /* say that giving back is possible */
    ACTION_DRAIN = 4,         /* what waits may go now */
};

struct continuity_primary continuity_start(utc_ms now);
/* One piece of evidence (or none: time alone). Returns enum continuity_action bits. */
unsigned continuity_step(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                         const struct continuity_plan *plan);

/* May deliveries to it start now? One at a time is tried as evidence in suspect, and where only a
 * delivery can be one. */
enum continuity_way { WAY_OPEN, WAY_ONE_AT_A_TIME, WAY_CLOSED };
enum continuity_way continuity_way(const struct continuity_primary *p);

/* ---- what a reply of the next system means ------------------------------------------------ */

/* Where in the dialogue it stopped; the same numbers as the courier's phases. */
enum continuity_phase {
    AT_NAME = 1,
    AT_CONNECT,
    AT_BANNER,
    AT_EHLO,
    AT_TLS,
    AT_MAIL,
    AT_RCPT,
    AT_DATA,
    AT_DOT,
    AT_N,
};

struct continuity_reply {
    enum continuity_phase phase;
    uint16_t code;                   /* 0: none (connection, time-out) */
    uint16_t class, subject, detail; /* enhanced code; class 0: none */
};

struct continuity_asker {
    bool is_primary; /* the next system is a primary of ours (else the world) */
    bool is_waiting; /* the sender still waits for our reply (cut-through) */
    bool is_alone;   /* every recipient of the message got this same refusal */
    bool is_known;   /* we know the recipient as a person of ours */
};

enum continuity_fate {
    FATE_DELIVERED = 1, /* done; a waiting sender gets 250 */
    FATE_PASS,          /* the sender gets this very refusal; nothing is kept */
    FATE_WAIT,          /* keep and try again; a waiting sender gets 250 */
    FATE_HOLD,          /* keep, tell somebody, do nothing by ourselves; 250 */
    FATE_RETURN,        /* back to the sender with a notice (the world only) */
};
struct continuity_verdict {
    enum continuity_fate fate;
    enum continuity_evidence evidence; /* about the primary */
    bool is_about_destination; /* the whole destination should rest, not only this message */
};

/* The table of design section 3: phase x code x who asks -> what becomes of the message. */
struct continuity_verdict continuity_judge(struct continuity_reply r, struct continuity_asker a);

/* ---- when to try again --------------------------------------------------------------------- */

/* Delay before the next attempt of one message after `attempts` of them; `random` spreads it by a
 * quarter. To a primary that is known to be well: short. */
utc_ms continuity_retry_ms(uint32_t attempts, bool is_primary, uint32_t random);
/* Rest of a destination after `failures` in a row. A primary's rest ends at once when a probe says
 * that it is well. */
utc_ms continuity_rest_ms(uint32_t failures, bool is_primary, uint32_t random);
/* Mail to the world is given up after five days (RFC 5321 section 4.5.4.1); for a primary never. */
bool continuity_is_expired(utc_ms received, utc_ms now, bool is_primary);

#endif
