/* Outgoing mail: each delivery is one blocking thread that tries one job once and says what came
 * of it for each recipient. Nothing is kept here: what to try, when and how often is core's.
 *
 * Not for: routes of people, retry plans, notices, signatures. RFC 5321 (client), 1870, 2034,
 * 2920, 3030, 3207, 3461, 6152, 6531, 7505; XCLIENT as Postfix documents it. */
#ifndef COURIER_COURIER_H
#define COURIER_COURIER_H

#include "courier/peer.h"

struct courier;

struct courier_ceiling {
    struct slice destination; /* as in ipc_job */
    unsigned deliveries;      /* at once */
};

/* BDAT (RFC 3030) where it is offered: no dot-stuffing. */
enum courier_chunking {
    COURIER_CHUNKING_AFTER, /* once the envelope is accepted */
    /* Together with the envelope: a round trip less. But more can be in doubt when the connection
     * breaks (is_sent), and a server that refuses the envelope must swallow the content, as the RFC
     * says, or a stranger's content becomes commands. */
    COURIER_CHUNKING_TOGETHER,
    COURIER_CHUNKING_NEVER
};

struct courier_options {
    unsigned threads;         /* deliveries at once in all; 1.. */
    unsigned per_destination; /* deliveries at once to one destination; less than `threads` */
    const struct courier_ceiling *ceilings; /* other numbers for some; copied */
    size_t n_ceilings;
    unsigned jobs;   /* at once, running and waiting; more are answered as not tried */
    mono_us idle;    /* how long a connection waits for the next job; 0: not at all */
    unsigned reuses; /* messages over one connection */
    enum courier_chunking chunking;
    struct courier_network network; /* copied; what it points to must outlive the courier */
    /* Exactly once for each job, on any thread (also from inside courier_job), never under a lock
     * of the courier. `result` is borrowed. */
    void (*done)(void *arg, uint64_t tag, const struct ipc_result *result);
    void *done_arg;
};
/* Sensible numbers; hostname, tls, resolve and done are the caller's to set. */
struct courier_options courier_options_usual(void);

/* No files, no sockets yet. After this nothing of the file system is used. */
struct courier *courier_create(const struct courier_options *o);
/* Stops at once if courier_stop was not called. Takes NULL. */
void courier_destroy(struct courier **c);

/* Deliver. `job` is copied; `take_content` is the message as it shall arrive, CRLF line ends, and
 * is the courier's from now on (left empty). Any thread; does not block.
 *
 * What the result promises, for each recipient of the job exactly one outcome:
 * - code 2xx: the peer has taken responsibility. 4xx, 5xx: its reply, or our own judgement before
 *   anything was sent (phase and text tell). 0: no reply, or not tried.
 * - is_sent: the end of the content was handed to the network. Outcomes with code 0 may have
 *   arrived then; without is_sent they certainly have not. */
void courier_job(struct courier *c, uint64_t tag, const struct ipc_job *job,
                 struct buf *take_content);

/* No job is begun any more; running ones have until `deadline`, then they are abandoned (code 0,
 * is_sent as it is). Returns when every job has had its result. The resolve function must not
 * block past the deadline that it is given. */
void courier_stop(struct courier *c, mono_us deadline);

struct courier_figures {
    uint64_t n_opened, n_reused;  /* connections opened, deliveries over one that was open */
    uint64_t n_delivered;         /* recipients with 2xx */
    uint64_t n_refused, n_failed; /* recipients with 4xx or 5xx; with code 0 */
    unsigned n_running, n_waiting, n_idle, n_threads;
};
void courier_figures(struct courier *c, struct courier_figures *ret); /* any thread */

#endif
