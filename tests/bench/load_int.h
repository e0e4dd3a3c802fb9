/* The load generator's parts: settings, messages, journal, sessions, threads.
 *
 * A thread owns its sessions, its epoll and its counters; threads share only the message counter
 * and the journal. A session takes a message number, tries it until one reply decides about it,
 * and takes the next: a message whose last byte has left and whose reply never came is `unknown`,
 * one whose last byte has not left is tried again under the same id. */
#ifndef BENCH_LOAD_INT_H
#define BENCH_LOAD_INT_H

#include "bench.h"

#include <pthread.h>

#define LOAD_RCPTS_MAX 100
#define LOAD_THREADS_MAX 8
#define LOAD_LINE_MAX 1024  /* one reply line; RFC 5321 section 4.5.3.1.5 allows 512 */
#define LOAD_OUT_MAX 65536  /* the commands of one turn */
#define LOAD_OPENING_MAX 64 /* connections a thread opens at a time: backlogs are short */

struct load_settings {
    const char *to_text;
    struct bench_addr to;
    uint64_t sessions, messages, seconds, size_bytes, per_session, rate, threads, idle;
    uint64_t timeout_ms, retry_ms, retries, deadline_s, rcpt_range, seed;
    const char *from;
    const char *rcpts[LOAD_RCPTS_MAX]; /* %d stands for the message's number */
    size_t n_rcpts;
    const char *helo, *journal, *run;
    in_addr_t source_first; /* host order; 0 for none */
    uint32_t n_sources;
    bool wants_pipelining, wants_starttls, is_tls, is_lmtp, wants_digest;
    SSL_CTX *tls;
};
extern struct load_settings load_settings; /* set once, before the threads */

/* ---- load_message.c ------------------------------------------------------------------------ */

void load_message_prepare(void); /* makes the pool of lines the bodies are cut from */
/* Writes id (`<run>-<number>`) into `ret`. */
#define LOAD_ID_MAX 128
void load_message_id(uint64_t number, char ret[LOAD_ID_MAX]);
/* An address pattern with %d replaced; appended. */
void load_message_address(struct buf *out, const char *pattern, uint64_t number);
/* The bytes of one message, dots stuffed and final dot included: headers are appended to
 * `headers` (cleared first), `ret_iov` gets three pieces. */
void load_message_make(uint64_t number, mono_us sent, struct buf *headers, struct iovec ret_iov[3]);
/* SHA-256 in hex of what load_message_make gave, as it is to be stored: dots unstuffed, without the
 * final one. */
#define LOAD_DIGEST_MAX 65
void load_message_digest(const struct iovec iov[3], char ret[LOAD_DIGEST_MAX]);

/* ---- load_journal.c ------------------------------------------------------------------------ */

/* One line a message: id, word, reply code (0 for unknown), sent and reply time (seconds, three
 * decimals), and with --digest the message's SHA-256 (- for one that was not sent). Lines of one
 * loop turn are written by one write(2) to an O_APPEND file. */
struct load_journal {
    struct buf lines; /* thread only */
};
void load_journal_open(const char *path); /* NULL: no journal */
struct load_verdict {
    uint64_t number;
    const char *word;
    int code;
    utc_ms sent, replied;
    const char *digest; /* empty: not asked for, or nothing was sent */
};
void load_journal_add(struct load_journal *j, const struct load_verdict *verdict);
void load_journal_flush(struct load_journal *j);

/* ---- load_session.c ------------------------------------------------------------------------ */

enum load_state {
    LOAD_OFF,     /* no connection; rests, or ended */
    LOAD_CONNECT, /* connecting, or implicit TLS going on */
    LOAD_BANNER,
    LOAD_EHLO,
    LOAD_STARTTLS,
    LOAD_HANDSHAKE,
    LOAD_READY, /* greeted; waits for its next message */
    LOAD_MAIL,
    LOAD_RCPT,
    LOAD_DATA,
    LOAD_BODY,
    LOAD_RSET,
    LOAD_QUIT,
};

struct load_counts {
    uint64_t accepted, refused, unknown, connects, failures, bytes;
};

struct load_thread;

struct load_session {
    struct load_thread *thread;
    struct bench_stream stream;
    struct list node; /* in the thread's waiting, resting or ready list */
    mono_us since;    /* when it was put there */
    enum load_state state;
    uint32_t index;
    uint32_t n_failures; /* connections lost or refused one after the other */
    uint64_t n_done;     /* transactions on this connection */

    uint32_t generation; /* counts closed connections */

    bool offers_pipelining, offers_starttls, has_message, is_ended;
    bool is_broken;  /* sending failed; what can still be read is read */
    uint64_t number; /* of the message in hand */
    mono_us started; /* of its transaction, or when it was due */
    utc_ms sent_at;
    size_t n_rcpts_answered, n_rcpts_taken, n_dots_due;
    int refusal;     /* first code that refused sender, recipient or DATA; 0 for none */
    int dot_refusal; /* the same for the message itself */

    char digest[LOAD_DIGEST_MAX]; /* of the message in hand, once it is being sent */
    struct buf out, headers;
    struct iovec iov[4]; /* what is still to be sent */
    int n_iov, at_iov;
    char in[LOAD_LINE_MAX];
    size_t n_in;
};

void load_session_open(struct load_session *s);
void load_session_ready(struct load_session *s); /* takes a message, or QUITs, or waits */
void load_session_event(struct load_session *s, bool is_hung_up); /* the socket can move */
/* The connection is over; the message in hand is decided about or kept for the next one. */
void load_session_lose(struct load_session *s);
void load_session_close(struct load_session *s);
const char *load_state_name(enum load_state state);

/* ---- load_thread.c ------------------------------------------------------------------------- */

struct load_thread {
    pthread_t id;
    int epoll;
    uint32_t n_sessions, n_live; /* live: not ended */
    uint32_t n_opening;          /* not greeted yet */
    uint32_t n_idle;             /* in LOAD_READY */
    uint32_t n_alive;            /* idle mode: how many were left at the end */
    struct load_session *sessions;
    struct list waiting, resting, ready; /* each ordered by `since` */
    struct load_counts counts;
    struct bench_histogram latency;
    struct load_journal journal;
    mono_us first_start, last_reply;
};

/* The next message, if one is due. *ret_due: when to ask again (0: never). */
bool load_message_take(uint64_t *ret_number, mono_us *ret_due);
bool load_is_over(void); /* no further message will be given out */
void load_thread_make(struct load_thread *t, uint32_t first_session, uint32_t n_sessions);
void *load_thread_run(void *thread);
void load_thread_destroy(struct load_thread *t);
extern mono_us load_began;
/* Idle mode: how many sessions have been greeted so far, over all threads. */
extern uint32_t load_n_greeted;
extern uint32_t load_n_running; /* threads */

#endif
