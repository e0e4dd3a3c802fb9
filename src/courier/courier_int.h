/* Inside courier: a conversation's insides and one delivery's state. */
#ifndef COURIER_COURIER_INT_H
#define COURIER_COURIER_INT_H

#include "courier/courier.h"

/* ---- a conversation (courier_peer.c) -------------------------------------------------------- */

enum {
    COURIER_OUT_MAX = 256 << 10, /* commands of one group: 100 recipients of 1 KiB at most */
    COURIER_REMOTE_MAX = 300,
};

struct courier_peer {
    const struct courier_network *net;
    struct net_conn *conn;
    struct wire_reply reply;
    struct wire_caps caps;
    struct buf out;                      /* commands of the group that is being built */
    char remote[COURIER_REMOTE_MAX + 1]; /* "mx.example.com[192.0.2.1]:25" */
    char banner[201];
    char xclient[400];    /* whom the peer thinks it talks to, if not us */
    unsigned n_messages;  /* transactions so far */
    bool is_broken;       /* out of step or closed: not even QUIT */
    bool is_out_of_turn;  /* spoke unasked: nothing it says counts as an answer any more */
    bool has_transaction; /* open at the peer: RSET before the next MAIL */
};

/* A conversation over a connection that is there: greeting, EHLO, STARTTLS. Takes `take_conn`. */
struct courier_peer *courier_peer_over(const struct courier_network *net,
                                       struct net_conn *take_conn,
                                       const struct courier_target *target, mono_us deadline,
                                       struct courier_end *end);
/* Write what p->out holds, then `content` (may be empty), then `tail`; p->out is empty after. Each
 * block of the content has its own deadline. Fails at once if the peer talks out of turn. */
bool courier_peer_write(struct courier_peer *p, enum smtp_phase phase, struct slice content,
                        struct slice tail, mono_us deadline, struct courier_end *end);
/* Wait for one reply; it is in p->reply then, and `*end` says it too. */
bool courier_peer_answer(struct courier_peer *p, enum smtp_phase phase, mono_us deadline,
                         struct courier_end *end);
/* EHLO as `name`, or HELO where that is not known; sets the abilities. */
bool courier_peer_hello(struct courier_peer *p, const char *name, mono_us deadline,
                        struct courier_end *end);
mono_us courier_timeout(const struct courier_network *net, enum smtp_phase phase);

/* ---- one delivery -----------------------------------------------------------------------------
 */

struct courier_work {
    struct list node; /* of the destination's queue; pool's, under its lock */
    uint64_t tag;
    struct arena *arena; /* owns all below but the content */
    struct ipc_job job;
    struct buf content;
    mono_us deadline; /* set when it begins */
    bool has_8bit;    /* content: has bytes over 127 */
    bool is_clean;    /* content: every line ends in CRLF, the last one too, and there is no NUL */
    struct ipc_result result;
    bool *is_decided; /* one for each recipient */
    size_t n_decided;
};

struct courier_work *courier_work_create(uint64_t tag, const struct ipc_job *job,
                                         struct buf *take_content);
void courier_work_destroy(struct courier_work **w);
/* The outcome of one recipient; the first word counts. `recipient`: place in the job's list. */
void courier_work_decide(struct courier_work *w, size_t recipient, const struct courier_end *end);
void courier_work_decide_rest(struct courier_work *w, const struct courier_end *end);

/* What a transaction did to the conversation. */
enum courier_talk {
    COURIER_TALK_DONE, /* every recipient is decided; the peer may be asked again unless broken */
    COURIER_TALK_LOST, /* it broke off: `*end` is for the recipients that are not decided */
    COURIER_TALK_STALE /* it broke off before any answer to MAIL: as if it had not begun */
};
enum courier_talk courier_transact(struct courier_peer *p, struct courier_work *w,
                                   enum courier_chunking chunking, struct courier_end *end);

/* Try the job once: over `*peer` if that is still good for it, else over a new connection. Decides
 * every recipient. On return `*peer` is a conversation that may be used again, or NULL. */
struct courier_tries {
    unsigned n_opened;
    bool is_reused;
};
struct courier_tries courier_deliver(const struct courier_options *o, struct courier_work *w,
                                     struct courier_peer **peer);

#endif
