/* Inside the gate: server, sessions, transactions. */
#ifndef SMTP_SMTP_INT_H
#define SMTP_SMTP_INT_H

#include "smtp/smtp.h"

#include "base/log.h"
#include "base/refuse.h"
#include "ipc/ipc.h"
#include "wire/wire.h"

enum smtp_state {
    SMTP_PROXY,    /* waits for the PROXY header */
    SMTP_HELLO,    /* greeted, waits for HELO or EHLO */
    SMTP_READY,    /* between transactions */
    SMTP_MAIL,     /* has a sender */
    SMTP_RCPT,     /* has a recipient */
    SMTP_DATA,     /* content by DATA */
    SMTP_BDAT,     /* between or in chunks */
    SMTP_ASKING,   /* waits for core about a recipient */
    SMTP_CHECKING, /* a worker looks whether the sender is who it claims to be */
    SMTP_TAKING,   /* waits for core to say that the message is safe */
    SMTP_SHAKING,  /* TLS handshake */
    SMTP_CLOSED,
    SMTP_STATE_N
};

struct smtp_rcpt {
    struct list node;
    struct slice address, orcpt; /* in the transaction's arena */
    uint8_t notify;
};

/* Everything of one message; its memory goes at one place. */
struct smtp_transaction {
    struct arena *arena;
    struct slice mail_from, envid;
    uint64_t size_bytes; /* as MAIL announced it; 0: it did not */
    uint8_t ret;
    bool is_utf8;
    struct list rcpts;
    size_t n_rcpts;
    uint64_t tenant, primary; /* of the first recipient */
    bool has_route;
    struct buf content;
    size_t counted; /* memory of it in the gate's sum */
    struct wire_data data;
    struct wire_content check;
    uint64_t chunk_left;
    bool is_last_chunk, has_chunks;
    bool is_proved;         /* the sender was found to be who it claims to be */
    struct slice results;   /* Authentication-Results of ours */
    enum refuse_id refusal; /* why the content will be refused at its end; REFUSE_N: it will not */
    struct arena *asking; /* memory of the recipient that is judged: those refused leave nothing */
    struct smtp_rcpt asked;
    mono_us began;
};

struct smtp_session {
    struct list node; /* of the server */
    struct smtp_server *server;
    const struct smtp_port *port;
    struct net_stream *stream;
    struct smtp_transaction *t;
    struct buf partial; /* the beginning of a command line */
    struct wire_lines lines;
    uint32_t slot, turn; /* the ticket: place in the table and number of the question */
    mono_us deadline;
    enum smtp_state state;
    struct wire_ip peer;      /* may change by XCLIENT; version 0: not known */
    struct wire_ip connected; /* who is connected, after PROXY; for the limits */
    char *helo;               /* NULL before HELO */
    bool is_esmtp, is_xclient, is_secure_first;
    bool is_counted;                       /* by the limiter, as `connected` */
    uint64_t tenant, primary;              /* the peer speaks for this primary; 0: a stranger */
    uint32_t facts_seen;                   /* by which facts that was found; 0: not yet */
    uint32_t n_commands, n_idle, n_errors; /* since the last accepted message */
    uint32_t n_messages;
    size_t n_left; /* bytes of input that wait, in the gate's sum */
};

struct smtp_limiter;
struct smtp_checker;
struct smtp_parser;
struct mime_list_fields;

struct smtp_server {
    struct smtp_options o;
    struct net_tls *tls;
    struct net_link *core;
    size_t core_room; /* bytes that the link takes */
    struct net_timer *tick;
    struct smtp_limiter *limiter;
    struct smtp_checker *checker; /* NULL: senders are not checked */
    struct smtp_parser *parser;
    struct list sessions;
    size_t n_sessions;
    struct smtp_session **slots; /* by ticket */
    uint32_t n_slots;
    uint32_t free_slot; /* where to look first */
    uint32_t turn;
    struct smtp_listening {
        struct smtp_server *server;
        struct net_listener *listener;
        struct smtp_port port;
    } listenings[16];
    size_t n_listenings;
    uint64_t bytes_in_flight;
    /* What core told (ipc_facts). */
    struct arena *facts_arena;
    struct ipc_facts facts;
    bool has_facts;
    uint32_t n_facts;    /* how often core told */
    struct map *known;   /* address -> struct ipc_rcpt_told, for this generation */
    struct buf answered; /* packed ipc_answer, sent at the end of the turn */
    uint32_t n_answered;
    struct net_late answer_late;
    bool is_open; /* the listeners are */
    mono_us open_at;
    bool is_stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
    mono_us stop_at;
};

/* ---- session ---- */
void smtp_session_create(struct smtp_server *s, int fd, const struct smtp_port *port,
                         const struct sockaddr_storage *peer);
void smtp_session_end(struct smtp_session *x); /* closes; frees at once, what was written leaves */
void smtp_session_enter(struct smtp_session *x, enum smtp_state state);
const char *smtp_state_name(enum smtp_state state);
void smtp_reply(struct smtp_session *x, const char *code, struct slice text);
/* The row's reply, counted. 421 and 521 end the session after it. */
void smtp_refuse(struct smtp_session *x, enum refuse_id id);
/* How near this peer came to a limit: refuse_measure, with its address. */
void smtp_measure(const struct smtp_session *x, enum refuse_id id, uint64_t value);
/* What this gate has of a ceiling that gates share evenly, as if all had as much. */
static inline uint64_t smtp_over_gates(const struct smtp_limits *l, uint64_t value)
{
    return value * (l->gates ? l->gates : 1);
}
void smtp_refuse_text(struct smtp_session *x, enum refuse_id id, const char *text);
/* After an asynchronous answer: read on. */
void smtp_session_resume(struct smtp_session *x);
/* A ticket for a question to core or to a worker; all earlier ones are void, so that an answer that
 * comes too late never meets another question. */
uint64_t smtp_session_ticket(struct smtp_session *x);
/* Who waits for the answer to this question; NULL: nobody any more. */
struct smtp_session *smtp_session_find(struct smtp_server *s, uint64_t ticket);
struct slice smtp_peer_text(const struct smtp_session *x); /* valid until the next call */
/* Does the peer speak for a primary? Found out anew after smtp_session_doubt and new facts. */
void smtp_session_identify(struct smtp_session *x);
void smtp_session_doubt(struct smtp_session *x);

/* ---- commands ---- */
void smtp_command(struct smtp_session *x, struct slice line);
void smtp_cmd_mail(struct smtp_session *x, struct slice args);
void smtp_cmd_rcpt(struct smtp_session *x, struct slice args);
void smtp_cmd_data(struct smtp_session *x, struct slice args);
void smtp_cmd_bdat(struct smtp_session *x, struct slice args);
void smtp_cmd_xclient(struct smtp_session *x, struct slice args);
void smtp_known_clear(struct smtp_server *s); /* forget the cached routes */
void smtp_rcpt_told(struct smtp_session *x, const struct ipc_rcpt_told *told);

/* ---- transaction and content ---- */
void smtp_transaction_create(struct smtp_session *x);
void smtp_transaction_destroy(struct smtp_session *x);
/* Content bytes in state DATA or BDAT; returns how many were used. */
size_t smtp_content(struct smtp_session *x, struct slice bytes);
void smtp_refuse_content(struct smtp_session *x, enum refuse_id id); /* and the transaction ends */

/* ---- hand-over ---- */
/* The content is whole: parse it, hand it to core, wait. */
void smtp_message_hand_over(struct smtp_session *x);
void smtp_taken(struct smtp_session *x, const struct ipc_taken *taken);

/* ---- smtp_check.c: is the sender who it claims to be ---- */
struct smtp_checker *smtp_checker_create(struct smtp_server *s);
void smtp_checker_destroy(struct smtp_checker **checker);
/* True: a worker has the content now; smtp_message_hand_over follows when it is done. */
bool smtp_check_begin(struct smtp_session *x);

/* ---- smtp_parse.c: core's questions about the bytes of stored messages ---- */
struct smtp_parser *smtp_parser_create(struct smtp_server *s);
void smtp_parser_destroy(struct smtp_parser **parser);
/* Frames of core; false: nonsense. */
bool smtp_parse_content(struct smtp_parser *p, const struct net_frame *f);
bool smtp_parse_ask(struct smtp_parser *p, const struct net_frame *f);
void smtp_parse_core_lost(struct smtp_parser *p); /* nobody waits for answers any more */
/* What lists show of a message, as it travels; also smtp_hand_over.c's. Borrows from both. */
void smtp_fields_fill(struct arena *a, const struct mime_list_fields *f, struct ipc_fields *ret);

/* ---- core ---- */
void smtp_core_lost(struct smtp_server *s);
bool smtp_core_send(struct smtp_server *s, enum ipc_type type, uint64_t tag, struct buf *payload);
void smtp_answered(struct smtp_server *s, uint64_t message,
                   bool is_written); /* tell core at the end of the turn */

/* ---- limits over all gates ---- */
struct smtp_limiter *smtp_limiter_create(void *shared, unsigned gate);
void smtp_limiter_destroy(struct smtp_limiter **l);
/* REFUSE_N: welcome, and counted; otherwise the refusal. A peer of version 0 counts for the gate
 * only (a proxy, before it said for whom it speaks). */
enum refuse_id smtp_limiter_enter(struct smtp_limiter *l, const struct smtp_limits *limits,
                                  struct wire_ip peer, mono_us now);
void smtp_limiter_leave(struct smtp_limiter *l, struct wire_ip peer);

#endif
