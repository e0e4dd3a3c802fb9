/* The sink's parts: settings, faults, sessions, messages.
 *
 * One thread, one epoll. A session keeps one message in memory, so that --record and --store cost
 * nothing while they are not asked for. */
#ifndef BENCH_SINK_INT_H
#define BENCH_SINK_INT_H

#include "bench.h"

#define SINK_RULES_MAX 8
#define SINK_RCPTS_MAX 1000
#define SINK_LINE_MAX 4096
#define SINK_OUT_MAX (1U << 20)

/* ---- sink_fault.c: where it shall go wrong --------------------------------------------------- */

enum sink_stage {
    SINK_BANNER,
    SINK_EHLO,
    SINK_MAIL,
    SINK_RCPT,
    SINK_DATA,
    SINK_BODY,     /* the first bytes of a message have come */
    SINK_DOT,      /* a message is complete; a fault here forgets it */
    SINK_ACCEPTED, /* a message is kept; a fault here withholds the reply */
    SINK_STAGES
};

enum sink_fault_kind { SINK_REPLY, SINK_HANG, SINK_CLOSE };

struct sink_fault {
    enum sink_fault_kind kind;
    const char *text; /* SINK_REPLY: "451 4.3.0 text" */
};

/* Option handlers. TEXT is "[every K] [first N] [for PART] REPLY" or, for hang and close,
 * "STAGE [every K] [first N] [for PART]": each K-th time, only the first N times, only when the
 * command holds PART. Rules are asked in the order they were given. */
void sink_fault_option_reply(const char *name, const char *argument); /* --reply-STAGE */
void sink_fault_option_hang(const char *name, const char *argument);
void sink_fault_option_close(const char *name, const char *argument);
/* The fault due now at this stage, or NULL; counts the visit. */
const struct sink_fault *sink_fault_at(enum sink_stage stage, struct slice command);

/* ---- settings and counts --------------------------------------------------------------------- */

struct sink_settings {
    struct bench_addr listen;
    uint64_t delay_ms, size_max, message_max;
    const char *banner, *name, *record, *store, *digest_from;
    const char *certificate[2]; /* and key */
    bool is_lmtp, has_esmtp, has_pipelining, has_8bitmime, has_smtputf8, has_size, has_dsn,
        has_codes, has_xclient;
    SSL_CTX *tls;
};
extern struct sink_settings sink_settings; /* set once */

struct sink_counts {
    uint64_t connections, open, messages, ids, duplicates, without_id, bytes, faults;
    mono_us first, last; /* when the first and the last message were complete */
};
extern struct sink_counts sink_counts;
extern struct bench_histogram sink_latency; /* from X-Load-Sent to the final dot */

/* ---- sink_session.c ----------------------------------------------------------------------------
 */

struct sink_session {
    struct bench_stream stream;
    struct list node; /* in the list of all, or of the delayed */
    mono_us due;      /* of the delayed reply */

    bool has_spoken; /* the banner was due */
    bool is_greeted, has_mail, is_in_data, is_handshaking;
    bool is_hanging; /* what comes is read and thrown away */
    bool is_closing; /* over once `out` has left */
    bool is_delayed; /* nothing is read or sent before `due` */
    bool is_too_big;
    struct buf helo, from, params, xclient;
    struct buf rcpts, rcpt_params; /* one a line */
    size_t n_rcpts;
    struct buf message; /* as received, dots stuffed */
    struct buf held;    /* input that cannot be used yet */
    struct buf out;
};

struct sink_session *sink_session_create(int take_fd);
void sink_session_destroy(struct sink_session **s);
/* The socket can move, or the delay is over. False when the session is over; the caller destroys
 * it. */
bool sink_session_event(struct sink_session *s);

/* Offered by sink_main.c: puts the session among the delayed, all of which wait equally long. */
void sink_delay(struct sink_session *s);

/* ---- sink_message.c ----------------------------------------------------------------------------
 */

void sink_message_open(void);  /* opens --record, makes --store */
void sink_message_close(void); /* and forgets the ids */
/* Takes the message of a session: unstuffs it in place, counts its id, records and stores it for
 * the recipients that stand in the session. */
void sink_message_take(struct sink_session *s);

#endif
