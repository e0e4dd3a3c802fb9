/* What the primary's behaviour means: its state, our reply to the sender, when to try again.
 *
 * Pure: values in, values out; the same evidence in the same order gives the same state, so that
 * recorded history can be played again (`staffetta state replay`). */
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

/* What people notice when their mail is dead. A primary is well when all aspects that are watched
 * are: one that takes mail but lets nobody read is down. */
enum continuity_aspect {
    ASPECT_TAKES,   /* it takes mail: deliveries and SMTP probes */
    ASPECT_ARRIVES, /* what it took can be read: the canary */
    ASPECT_LETS_IN, /* people can log in: the log-in probe */
    ASPECT_N,
};
const char *continuity_aspect_name(enum continuity_aspect a); /* takes, arrives, lets-in */

enum continuity_evidence {
    EVIDENCE_NONE,    /* only time has passed */
    EVIDENCE_GOOD,    /* a delivery went well */
    EVIDENCE_GREETS,  /* a probe went well: it answers, but nothing was given to it */
    EVIDENCE_BAD,     /* it is silent, or refuses before any mail */
    EVIDENCE_REFUSES, /* it answers, but took no mail: only a delivery, also that of a canary which
                       * arrived, shows that this is over */
    EVIDENCE_CANARY_GOOD, /* a canary could be read in its mailbox in time */
    EVIDENCE_CANARY_BAD,
    EVIDENCE_LOGIN_GOOD,
    EVIDENCE_LOGIN_BAD,
    EVIDENCE_BLIND,  /* our own way out is broken: what fails now says nothing about anybody */
    EVIDENCE_SEEING, /* and whole again */
    EVIDENCE_CLOCK_JUMPED,    /* the clocks disagree: no automatic step until a person confirms */
    EVIDENCE_CLOCK_CONFIRMED, /* by a person */
    EVIDENCE_SAY_EMERGENCY,   /* a person decided */
    EVIDENCE_SAY_RETURN,      /* give back, ready or not */
    EVIDENCE_SAY_APPROVE,     /* give back what is ready */
    EVIDENCE_SAY_ISOLATE,     /* after an attack: nothing goes to it until it is declared clean */
    EVIDENCE_SAY_CLEAN,
    EVIDENCE_SAY_PAUSE, /* of giving back */
    EVIDENCE_SAY_RESUME,
    EVIDENCE_DRAINED, /* nothing waits for this primary any more */
    EVIDENCE_N,
};
/* "good", "canary-bad", "say-emergency" …: in histories. */
const char *continuity_evidence_name(enum continuity_evidence e);
/* EVIDENCE_N: no such word. */
enum continuity_evidence continuity_evidence_of(struct slice name);

/* What people wrote beforehand. Times in seconds. */
struct continuity_plan {
    uint32_t bad_for_suspect;    /* failures of one aspect in a row … */
    uint32_t suspect_within_sec; /* … each no further than this from the one before, or than twice
                                  * the time for which nobody had looked when the first came: an
                                  * aspect that is looked at rarely falls by rare failures */
    uint32_t tell_after_sec;     /* of the first failure: those in charge are told */
    uint32_t emergency_after_sec; /* of the first failure; 0: only by hand */
    uint32_t calm_sec; /* in standby for so long: the trouble is over, the next is a new one */
    uint32_t good_for_ready; /* good ones in a row … */
    uint32_t ready_over_sec; /* … over at least this time, of every aspect that was watched */
    bool is_return_auto;     /* give back without asking */
};
/* Design section 5: 3 failures each within 60 s, told after 120 s, emergency after 360 s, calm
 * after 300 s, ready after 10 over 300 s, give back when approved. */
extern const struct continuity_plan continuity_plan_default;

struct continuity_run {
    utc_ms first_bad; /* of the present run of failures; 0: none */
    utc_ms last_good, last_bad;
    utc_ms last_look;  /* of any result, also one that counted for nothing */
    utc_ms pace_ms;    /* before the present run of failures nobody had looked for so long */
    utc_ms good_since; /* of the present run of good ones; 0: none */
    uint32_t n_bad;    /* in a row */
    uint32_t n_good;   /* in a row */
};

struct continuity_primary {
    enum continuity_state state;
    utc_ms since;
    struct continuity_run run[ASPECT_N]; /* all zero: not watched */
    /* A trouble is one or more falls (it became suspect) with less than calm_sec between them, so
     * that one that comes and goes every minute is seen as what it is. Failures that are too few
     * to be suspected are no trouble. */
    utc_ms trouble_since; /* first failure of its first fall; 0: no trouble */
    utc_ms fall_since;    /* first failure of the present fall; 0: not in one */
    utc_ms well_since;    /* end of the last fall or emergency; 0: none in this trouble */
    utc_ms ill_until;     /* what the evidence proves of the present fall */
    utc_ms ill_ms;        /* the same of the falls before it */
    uint32_t n_falls;     /* with the present one */
    utc_ms held_until;    /* until then no automatic step was allowed: nothing counts from before */
    utc_ms maintenance_from, maintenance_until; /* no automatic step between; 0: none */
    bool is_told;                               /* those in charge know of this trouble */
    bool is_ready;                              /* well again for long enough to give back */
    bool is_refusing; /* it refused mail; probes do not count until a delivery went well, or it
                       * fell silent: what greets after that is a new start */
    bool is_by_hand;  /* a person declared this emergency: only a person ends it */
    bool is_isolated, is_paused, is_blind, is_clock_doubted;
};
/* Failures in a row of the aspect that has most. */
uint32_t continuity_bad(const struct continuity_primary *p);
bool continuity_in_maintenance(const struct continuity_primary *p, utc_ms now);

enum continuity_action {
    ACTION_STATE_CHANGED = 1,  /* write it down, log it */
    ACTION_READY = 2,          /* say that giving back is possible */
    ACTION_DRAIN = 4,          /* what waits may go now */
    ACTION_TELL = 8,           /* tell those in charge of the trouble (once a trouble) */
    ACTION_CALM = 16,          /* the trouble is over for good: close its incident */
    ACTION_FLAGS_CHANGED = 32, /* told, ready, by hand, isolated, paused, clock: write it down */
};

/* What outlives a restart of ours is `state` to `since`, `trouble_since`, the maintenance and the
 * flags that ACTION_FLAGS_CHANGED speaks of: put these into a fresh one and go on. Time in which
 * nobody looked proves nothing, so a suspicion counts anew. An aspect that is watched no longer:
 * set its run to zero. */
struct continuity_primary continuity_start(utc_ms now);
/* One piece of evidence (or none: time alone; give one at least every few seconds). Returns enum
 * continuity_action bits; 0 for what a person said that makes no sense in this state.
 *
 * - Bad at this moment: some aspect failed bad_for_suspect times and was not good since. One
 *   failed canary during a reboot neither begins a suspicion nor keeps one. Whether mail is taken
 *   is looked at all the time; the other aspects are known to be ill until their last failure.
 * - While blind, failures are not counted, and on becoming blind those that nobody was told of are
 *   forgotten, and the suspicion they made with them.
 * - While blind, in doubt of the clock, or in maintenance: no automatic step forward and nobody is
 *   told; good news count. Afterwards the plan's times begin anew.
 * - Told, and emergency by itself: if bad at this moment and the present fall lasts tell_after_sec,
 *   emergency_after_sec; or the trouble does and it was ill for nine tenths of it (a good one was
 *   lost between), or fell at least three times and was ill for a quarter of it (it flaps). A
 *   reboot and its short after-effect are neither.
 * - Ready: only by what was seen since the emergency began.
 * - A failed canary while giving back closes the way until one is good again: what is given to a
 *   primary that loses mail is lost. Drained is heard only while nothing fails: say it again.
 * - By hand also makes a person's one of an emergency that began by itself.
 * - Isolated: from any state into emergency by hand; approve, return and automatic return are
 *   refused until a person says clean (which leaves the emergency as it is).
 * - Paused: giving back waits; it ends the emergency as little as anything else.
 * - Canaries and log-in probes are rare; look again after a minute when one failed, so that those
 *   in charge are told before the plan's time for the emergency is over. */
unsigned continuity_step(struct continuity_primary *p, enum continuity_evidence e, utc_ms now,
                         const struct continuity_plan *plan);

/* May deliveries to it start now? One at a time is tried as evidence in suspect, and where only a
 * delivery can be one. Isolated, paused, or suspected of losing what it takes: closed. */
enum continuity_way { WAY_OPEN, WAY_ONE_AT_A_TIME, WAY_CLOSED };
enum continuity_way continuity_way(const struct continuity_primary *p);

/* ---- from where we look -------------------------------------------------------------------- */

struct continuity_view {
    uint32_t n_controls, n_controls_bad;   /* hosts outside that should answer always */
    uint32_t n_primaries, n_primaries_bad; /* that fail without any reply at this moment */
    bool is_resolver_bad;
};
/* Is it us? All controls fail; or, without controls, four fifths of at least five primaries fail
 * at once; the resolver alone makes nobody blind (failures at the name count against nobody
 * anyway). `why` (may be NULL) gets words for people. */
bool continuity_is_blind(const struct continuity_view *v, char *why, size_t n);

/* ---- silence ------------------------------------------------------------------------------- */

/* Messages by hour of the tenant's week, as a baseline that is learnt: an hour without any mail is
 * only strange where there always is some. Times are the tenant's own (zone.h makes them); holidays
 * are judged as Sundays and not learnt, nor is an hour that was not whole: one in which we began,
 * that we missed, or that the zone's change made longer or shorter. */
enum { SILENCE_HOURS = 7 * 24, SILENCE_LEARNING_WEEKS = 3 };
struct continuity_silence {
    float mean[SILENCE_HOURS];      /* messages in that hour, exponentially weighted */
    uint16_t n_seen[SILENCE_HOURS]; /* times that hour was counted */
    int64_t hour;                   /* local hours since the epoch, the one being counted */
    utc_ms hour_began;              /* for us; 0: nothing was counted yet */
    utc_ms since;                   /* `expected` is complete until here */
    utc_ms last;                    /* last message; 0: none */
    float expected;                 /* messages that would have been usual after `last` */
    uint32_t n;                     /* messages in this hour */
    bool is_holiday;                /* this hour */
};
enum silence_verdict { SILENCE_LEARNING, SILENCE_NORMAL, SILENCE_STRANGE };
struct silence_when {
    int64_t local_hour; /* floor((utc + offset) / 1 h) */
    uint8_t weekday;    /* 0 Monday … 6 Sunday */
    uint8_t hour;       /* 0 … 23 */
    bool is_holiday;
};
/* `n` messages passed, or with 0 time did: say so every few minutes. Out of order (up to three
 * hours) is counted into the present hour. All zero is a good start. */
void continuity_silence_count(struct continuity_silence *s, const struct silence_when *w,
                              utc_ms now, uint32_t n);
/* Strange: by the baseline the chance of not one message since `last` is below one in 10,000
 * (Poisson; hours in which less than one is usual, or that are still learning, add nothing).
 * Time in which we were away ourselves is not silence.
 * `ret_expected` (may be NULL): messages that would have been usual since then. */
enum silence_verdict continuity_silence_judge(const struct continuity_silence *s,
                                              const struct silence_when *w, utc_ms now,
                                              double *ret_expected);

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
utc_ms continuity_expires_at(utc_ms received, bool is_primary); /* 0: never */

#endif
