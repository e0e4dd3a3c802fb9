/* Inside liaison: a conversation with an IMAP server, blocking, with deadlines. Whatever breaks it
 * off or is refused is in `end`, in words; after a break nothing more can be asked. */
#ifndef LIAISON_MAILBOX_INT_H
#define LIAISON_MAILBOX_INT_H

#include "imap/imap.h"
#include "liaison/liaison_int.h"

/* ---- how it ended -----------------------------------------------------------------------------
 */

enum { MAILBOX_TEXT_MAX = 600, MAILBOX_CHALLENGE_MAX = 600 };
struct mailbox_end {
    enum ipc_look_step step;
    bool is_ours;                    /* nothing of theirs was involved */
    bool is_denied;                  /* what we were given to get a token with is no good */
    char text[MAILBOX_TEXT_MAX + 1]; /* printable ASCII */
};
void mailbox_end_words(struct mailbox_end *end, enum ipc_look_step step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, when the reason is ours. */
void mailbox_end_ours(struct mailbox_end *end, enum ipc_look_step step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- the conversation (mailbox.c) --------------------------------------------------------------
 */

struct mailbox {
    const struct courier_network *net;
    const struct ipc_server *server; /* borrowed: the secret is only there and in `sasl` */
    struct net_conn *conn;
    struct imap_reader reader;
    struct imap_command command; /* the one that is being written */
    struct buf sasl;             /* wiped at the end */
    unsigned caps;
    uint32_t append_limit; /* bytes of a message; 0: not said */
    enum imap_code code;   /* of the last refusal */
    bool is_said;          /* the command may have reached them whole: it may be carried out */
    mono_us deadline;      /* of all */
    mono_us until;         /* of what was asked last */
    mono_us asked_at;
    const char *asked;             /* what that was, for words */
    uint32_t last_tag, first_open; /* commands written; the oldest that has no answer yet */
    size_t n_responses, n_bytes;   /* since the last command */
    bool is_sasl; /* it may ask for one more line, to say why it refuses: an empty one */
    char challenge[MAILBOX_CHALLENGE_MAX + 1]; /* in which it said so, base64; or empty */
    bool is_broken;
    struct mailbox_end end;
};

/* Connects to the first host that is well, greets, TLS, logs in. NULL: `*end` says why not. A
 * log-in that was refused is not tried at another host: accounts get locked. `*cert_until` is set
 * when a certificate was seen. */
struct mailbox *mailbox_open(const struct courier_network *net, const struct ipc_server *server,
                             mono_us deadline, utc_ms *cert_until, struct mailbox_end *end);
/* The same over a connection that is there; takes `take_conn`. */
struct mailbox *mailbox_over(const struct courier_network *net, const struct ipc_server *server,
                             struct net_conn *take_conn, const char *host, mono_us deadline,
                             utc_ms *cert_until, struct mailbox_end *end);
void mailbox_close(struct mailbox **m); /* LOGOUT where it is in order; takes NULL */

/* A command: begin (`asked`: its name), add to m->command, then run, or send and read. */
void mailbox_begin(struct mailbox *m, const char *asked);
/* Called for each untagged response before the tagged one. */
typedef void (*mailbox_see_fn)(void *arg, const struct imap_response *p);
/* Write it and wait for its end: IMAP_OK, IMAP_NO or IMAP_BAD (m->end has the server's words), or
 * IMAP_BYE: broken off. */
enum imap_word mailbox_run(struct mailbox *m, enum ipc_look_step step, mailbox_see_fn see,
                           void *arg);
/* Pipelining: write only; the tag is m->last_tag. No literals that wait. False: broken off. */
bool mailbox_send(struct mailbox *m, enum ipc_look_step step);
/* The next response of any kind; a tagged one is an answer to a command that has none yet, and
 * `*ret_tag` its number, else 0. False: broken off. */
bool mailbox_next(struct mailbox *m, enum ipc_look_step step, struct imap_response *ret,
                  uint32_t *ret_tag);
/* Broken off for a reason that the caller saw. */
void mailbox_break(struct mailbox *m, enum ipc_look_step step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Notes what the server says it can do. */
void mailbox_take_caps(struct mailbox *m, const struct imap_response *p);
/* The server's words as they may be shown: those that repeat our secret are not quoted. */
struct slice mailbox_quoted(const struct mailbox *m, struct slice text);
/* The server's words about a command it refused. */
void mailbox_refused(struct mailbox *m, enum ipc_look_step step, const struct imap_response *p);

/* Greeting, TLS, log-in (mailbox_login.c). False: m->end says why not. */
bool mailbox_greet(struct mailbox *m, const char *host, utc_ms *cert_until);

/* ---- folders and messages (mailbox_folder.c) ----------------------------------------------------
 */

struct mailbox_selected {
    uint32_t n_messages, uid_validity, uid_next; /* 0: not said */
};
/* False: refused or broken off. */
bool mailbox_select(struct mailbox *m, struct slice name, bool is_read_only,
                    struct mailbox_selected *ret);

enum { MAILBOX_FOLDERS_MAX = 1000 };
struct mailbox_folder {
    struct slice name; /* as on the wire */
    char delimiter;    /* 0: none */
    unsigned flags;    /* IMAP_FOLDER_ bits; JUNK also by its name */
};
struct mailbox_folders {
    struct arena *arena;
    struct mailbox_folder *list; /* without those that cannot be selected, INBOX first, then Junk */
    size_t n;
    bool is_cut; /* there are more */
};
bool mailbox_list(struct mailbox *m, struct mailbox_folders *ret);
void mailbox_folders_finish(struct mailbox_folders *f);

/* UIDs, as many as fit. */
enum { MAILBOX_UIDS_MAX = 200 };
struct mailbox_uids {
    uint32_t uid[MAILBOX_UIDS_MAX];
    size_t n;
    bool is_cut;
};
void mailbox_uids_add(struct mailbox_uids *u, struct slice set);
bool mailbox_uids_has(const struct mailbox_uids *u, uint32_t uid);
/* UID SEARCH HEADER Message-ID part [HEADER Message-ID part2]. IMAP_OK, or as mailbox_run. */
enum imap_word mailbox_search_id(struct mailbox *m, struct slice part, struct slice part2,
                                 struct mailbox_uids *ret);
/* Mark as deleted and expunge these and no others. False: `m->end` says why not. */
bool mailbox_remove(struct mailbox *m, const struct mailbox_uids *uids);

/* For people: the name decoded, printable ASCII, cut. */
void mailbox_folder_text(struct slice name, char *ret, size_t n);

/* ---- the looks
 * ----------------------------------------------------------------------------------- */

struct mailbox_canary {
    const struct courier_network *net;
    const struct ipc_mailbox_look *look;
    mono_us deadline;
    char id[400]; /* with brackets */
    struct buf body;
    struct ipc_mailbox_seen *seen; /* code, arrived_ms, smtp_cert_until are set there */
    char folder[301];
};
/* mailbox_canary.c. All: false with m->end or `*end`. */
bool canary_init(struct mailbox_canary *c,
                 struct mailbox_end *end); /* after net .. deadline, seen */
void canary_finish(struct mailbox_canary *c);
bool canary_send(struct mailbox_canary *c, struct mailbox_end *end);
/* mailbox_find.c: wait for it (INBOX is selected), read it, remove it; m->end has the words also
 * when all is well. `before`: INBOX as it was before the canary was sent. */
bool canary_find(struct mailbox_canary *c, struct mailbox *m,
                 const struct mailbox_selected *before);

/* mailbox_has.c: sets told->facts; false: m->end says why not all are sure. */
bool has_find(struct mailbox *m, const struct ipc_mailbox_has *has,
              struct ipc_mailbox_has_told *told);

#endif
