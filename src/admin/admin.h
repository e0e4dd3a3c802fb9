/* The administration interface: requests of people and programs in, JSON out. The console, the
 * command line and automation all speak to this; docs/openapi.json is made from its table.
 *
 * Two kinds of handlers: those that look at or change what lives in core's memory run on the loop
 * and may answer later; those that only read the store's index run on a worker thread with a reader
 * of its own. Who may ask was decided before (the socket's peer, later: log-in). */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "alert/alert.h"
#include "base/refuse.h"
#include "continuity/continuity.h"
#include "directory/directory.h"
#include "queue/queue.h"
#include "store/store.h"
#include "store/store_reader.h"

enum { ADMIN_BODY_MAX = 8 << 20, ADMIN_ANSWER_MAX = 32 << 20 };

struct admin_request {
    struct slice method, path, query; /* "/v1/queue", "tenant=rossi&limit=50" (still escaped) */
    struct slice body;                /* JSON or empty */
    struct slice by;                  /* who: "uid 0 (root)" */
};

/* Owned by whoever holds it; exactly one admin_answer ends it. */
struct admin_call;

struct admin_process {
    const char *role;
    uint8_t number;
    uint32_t pid, n_restarts;
    utc_ms since;
};
/* How much of the mail search finds. */
struct admin_search {
    bool is_known;     /* false: nobody looked yet */
    bool is_whole;     /* all but what came this minute */
    unsigned percent;  /* of the time that the mail here spans; 100 when it is whole */
    utc_ms from, upto; /* what came here between the two is found; 0: nothing */
    char why[200];     /* what keeps it from going on; "": nothing does */
};
struct admin_primary_state {
    struct continuity_primary p;
    struct slice last_text; /* last evidence in words */
    struct slice aspect_text[ASPECT_N];
    utc_ms last_probe;
    uint32_t probe_ms;
    struct slice software; /* as its banner says */
    uint32_t size_max, abilities;
};
/* Giving back, from its beginning until now. */
struct admin_progress {
    uint64_t done, total;                        /* deliveries; with what came meanwhile */
    uint64_t per_second_1000, remaining_seconds; /* 0: not known */
};
struct admin_refusal {
    uint64_t n, n_ever; /* since the start; over all starts */
    utc_ms last;        /* 0: never */
    const char *who;    /* last example; NULL: none */
    /* Of a limit with a number: the value in force is there since …, before it was another. */
    utc_ms since; /* 0: not known */
    bool is_changed;
    uint64_t before; /* only if is_changed */
};
/* Does the way back work? One row each. */
enum admin_check_id {
    CHECK_CONNECT,
    CHECK_TLS,
    CHECK_SIZE,
    CHECK_TAKES,   /* mail of a stranger whose domain forbids others to send it (strict DMARC) */
    CHECK_ARRIVES, /* and it can be read */
    CHECK_LOGIN,
    CHECK_MASTER,
    CHECK_N,
};
struct admin_check {
    enum { CHECK_NOT_TRIED, CHECK_WELL, CHECK_FAILED } result;
    char text[300];
};
/* What a primary had taken since a time, looked for in its mailboxes and given again. */
struct admin_again {
    bool is_running, is_dry, is_whole; /* is_whole: it came to its end */
    utc_ms since;
    uint64_t n_found, n_looked, n_present, n_absent, n_unsure, n_given, n_gone, n_mailboxes;
    char text[300];
};
struct admin_again_order { /* borrowed for the call */
    uint64_t primary;
    utc_ms since;
    bool is_dry; /* only count */
    struct slice by, why;
};
/* A new DKIM key: what is published, and the secret (PEM). */
struct admin_key {
    struct slice record, secret;
};
/* What a person changed in the mailbox here, and what became of it in the primary's. */
enum admin_mailback_what { ADMIN_MAILBACK_SHOW, ADMIN_MAILBACK_DRY, ADMIN_MAILBACK_RETURN };
struct admin_mailback_order { /* borrowed for the call */
    uint64_t person;
    enum admin_mailback_what what;
    struct slice by, why; /* of RETURN */
};
struct admin_mailback_change {
    uint64_t message;
    const char *what;   /* "add", "move", "delete", "flags", "none" */
    const char *result; /* "waiting", "delivery", "later", "absent", "ambiguous", "refused"; of a
                         * dry run as ipc_op_result_name */
    struct slice subject, folder, text;
};
struct admin_mailback {
    utc_ms time;                            /* of the last batch; 0: none */
    bool is_dry, is_more;                   /* is_more: there are more changes than are listed */
    uint64_t n_done, n_already, n_doubtful; /* since giving back began */
    uint64_t n_waiting, n_absent, n_ambiguous, n_refused;
    struct admin_mailback_change *changes; /* what is not given back */
    size_t n_changes;
    const char *text; /* why it does not go on; NULL or "": it does, or nothing waits */
};
struct admin_figure {    /* of another process, as it reported it */
    const char *process; /* "gate/1" */
    const char *name;
    uint64_t value;
};

/* A finding about a domain, a mail system or this node. */
struct admin_watch {
    const char *about; /* "node", "domain", "primary" */
    uint64_t tenant;   /* 0: none */
    uint64_t domain;   /* its id; 0: not about a domain */
    struct slice name;
    const char *check, *title; /* "mx", "mail exchangers (MX)" */
    const char *class;         /* "unknown", "ok", "notice", "alarm" */
    unsigned rank;             /* of the class, 0 to 3 */
    const char *found, *expected, *why, *advice;
    int64_t number;
    utc_ms since;  /* of this class */
    utc_ms looked; /* 0: never */
    bool is_stale; /* the last look had no answer for it */
};

/* How somebody logs in. */
struct admin_login {
    bool has_password;
    utc_ms password_at, code_until; /* 0: there is no code */
    uint32_t n_sessions, n_apps;
};
struct admin_login_token { /* slices live until the next change */
    uint64_t id;
    bool is_session;
    struct slice name;
    utc_ms created, expires; /* expires 0: never */
    utc_ms used;             /* the day; 0: never */
};
enum admin_login_what {
    ADMIN_LOGIN_PASSWORD,     /* text: the password; empty: make one */
    ADMIN_LOGIN_CODE,         /* make a one-time code */
    ADMIN_LOGIN_TOKEN_ADD,    /* text: its name */
    ADMIN_LOGIN_TOKEN_REMOVE, /* token: its id */
    ADMIN_LOGIN_END,          /* all sessions */
};
struct admin_login_order { /* borrowed for the call */
    enum admin_login_what what;
    uint64_t person, token;
    struct slice text, by;
};

/* What the host (desk) lends to the handlers. All on the loop, except as_text fields. */
struct admin_host {
    void *arg;
    const char *node, *version;
    struct directory *directory;
    struct queue *queue;
    struct store *store;
    utc_ms started;
    uint64_t (*next_id)(void *arg); /* for new objects */
    /* The callbacks `done` may be called from within the call or later, once, on the loop; never
     * after admin_destroy. */
    /* Write objects and mailboxes (packed copies are made), apply them to the directory when
     * durable, wait until the index shows them, then done(cookie, err, why) on the loop. One change
     * at a time: ERR_CONFLICT at once while another is under way is never given; they queue up
     * (bounded: ERR_LIMIT). Admin itself has only one under way at a time, of at most 2000 objects
     * and 12000 mailboxes, about 1 MiB each when packed: an import comes in such portions. */
    void (*put)(void *arg, const struct record_objects *objects,
                const struct record_mailboxes *mailboxes,
                void (*done)(void *cookie, enum err err, const char *why), void *cookie);
    /* A person decides about a primary: one of EVIDENCE_SAY_…; or, with primary 0, about the clock:
     * EVIDENCE_CLOCK_CONFIRMED. Written as
     * state and event before done. */
    void (*decide)(void *arg, uint64_t primary, enum continuity_evidence what, struct slice by,
                   struct slice why, void (*done)(void *cookie, enum err err, const char *why),
                   void *cookie);
    /* Failures are expected between the two times. Written as state and event before done. */
    void (*maintain)(void *arg, uint64_t primary, utc_ms from, utc_ms until, struct slice by,
                     struct slice why, void (*done)(void *cookie, enum err err, const char *why),
                     void *cookie);
    bool (*is_clock_doubted)(void *arg,
                             struct slice *ret_text); /* text lives until the next call */
    /* An order about one row; the row is read by the host (fresh), then queue_order. ERR_GONE: the
     * message has no such row (and none with a larger number). */
    void (*order)(void *arg, enum queue_order what, uint64_t message, uint16_t rcpt,
                  struct slice by, struct slice why,
                  void (*done)(void *cookie, enum err err, const char *why), void *cookie);
    /* Try every part of the way back; `from`: the stranger of CHECK_TAKES. May take two minutes. */
    void (*check)(void *arg, uint64_t primary, struct slice from,
                  void (*done)(void *cookie, enum err err, const struct admin_check rows[CHECK_N]),
                  void *cookie);
    /* Look at the DNS of a domain now. ERR_RETRY: could not be looked at; the text says why. */
    void (*look)(void *arg, uint64_t domain,
                 void (*done)(void *cookie, enum err err, const char *text), void *cookie);
    /* Make a DKIM key of each kind: RSA, Ed25519. May take a second. `keys` is borrowed. */
    void (*make_keys)(void *arg,
                      void (*done)(void *cookie, enum err err, const char *why,
                                   const struct admin_key keys[2]),
                      void *cookie);
    /* Every finding there is, in no order; borrowed for the call. */
    void (*watches)(void *arg, void (*each)(void *cookie, const struct admin_watch *w),
                    void *cookie);
    /* Give again what the primary has lost since then; done when the order is durable: then it
     * goes on by itself, also after a start. ERR_CONFLICT: not now; the text says why. */
    void (*again)(void *arg, const struct admin_again_order *order,
                  void (*done)(void *cookie, enum err err, const char *why), void *cookie);
    /* End it where it is: its primary, by, why. */
    void (*again_stop)(void *arg, const struct admin_again_order *order,
                       void (*done)(void *cookie, enum err err, const char *why), void *cookie);
    bool (*again_state)(void *arg, uint64_t primary, struct admin_again *ret); /* false: never */
    /* What a person did here and the primary's mailbox lacks: shown, tried, or given back now. The
     * answer is borrowed for the call. ERR_GONE: no mailbox that is given back; ERR_CONFLICT: not
     * now, the text says why; ERR_RETRY, ERR_LIMIT. */
    void (*mailback)(void *arg, const struct admin_mailback_order *order,
                     void (*done)(void *cookie, enum err err, const struct admin_mailback *told,
                                  const char *why),
                     void *cookie);
    bool (*state)(void *arg, uint64_t primary, struct admin_primary_state *ret);
    /* False: nothing is being given back to it. */
    bool (*progress)(void *arg, uint64_t primary, struct admin_progress *ret);
    size_t (*processes)(void *arg, struct admin_process *ret, size_t max);
    void (*refusals)(void *arg, struct admin_refusal ret[REFUSE_N]);
    size_t (*figures)(void *arg, struct admin_figure *ret, size_t max);
    /* 1 + refuse_id when no new mail is taken at the moment; 0: open. */
    uint32_t (*closed_for)(void *arg);
    uint32_t (*disk_alarm_percent)(void *arg); /* less than this free: those in charge are told */
    void (*search)(void *arg, struct admin_search *ret);
    const struct alert_book *alerts;
    /* A person takes care of an incident; done when that is durable. ERR_GONE: no such incident. */
    void (*incident_take)(void *arg, uint64_t incident, struct slice by, struct slice why,
                          void (*done)(void *cookie, enum err err, const char *why), void *cookie);
    /* Send a word to this target now; done says what it answered. ERR_GONE: no such target. */
    void (*alert_test)(void *arg, uint64_t target,
                       void (*done)(void *cookie, enum err err, const char *text), void *cookie);
    /* Change how she logs in; done when it is durable. `text`: after an error why; else the secret
     * that was made, for this once; "": none was made. ERR_INVALID: she cannot log in, or that is
     * no password. */
    void (*login)(void *arg, const struct admin_login_order *order,
                  void (*done)(void *cookie, enum err err, const char *text), void *cookie);
    struct admin_login (*login_state)(void *arg, uint64_t person);
    /* Walks as map_next. */
    bool (*login_next_token)(void *arg, uint64_t person, size_t *at, struct admin_login_token *ret);
};

struct admin;
struct admin *admin_create(const struct admin_host *host); /* copies *host */
/* Requests that wait are answered with 503 first. Takes NULL. */
void admin_destroy(struct admin **a);

/* Where does this request run? Unknown paths run on the loop and get 404, wrong methods 405. */
enum admin_place { ADMIN_LOOP, ADMIN_WORKER };
enum admin_place admin_place(struct slice method, struct slice path);

/* The answer: called once, on the thread that runs the handler (later ones: the loop). `body` is
 * borrowed for the call. */
typedef void admin_answer_fn(void *arg, uint16_t status, const char *type, struct slice body);

/* On the loop. The request's slices are borrowed for the call; what must last is copied. */
void admin_loop(struct admin *a, const struct admin_request *r, admin_answer_fn *answer, void *arg);
/* On a worker thread: only the reader and constant tables are touched, and of the store what any
 * thread may call (store_snapshot, store_figures). `a` may be shared. Always answers within the
 * call. */
void admin_work(const struct admin *a, struct store_reader *reader, const struct admin_request *r,
                admin_answer_fn *answer, void *arg);

/* The OpenAPI 3 document of the table. */
void admin_openapi(struct buf *ret);

#endif
