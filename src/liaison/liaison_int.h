/* Inside liaison: the works, each a function that blocks for at most its deadline. */
#ifndef LIAISON_LIAISON_INT_H
#define LIAISON_LIAISON_INT_H

#include "liaison/liaison.h"

#include <stdatomic.h>

struct liaison_tokens;

/* What a work asks, in memory of its own. */
struct liaison_work {
    struct list node;
    uint64_t tag;
    const struct liaison_kind *kind;
    uint64_t primary;
    struct buf content;            /* messages that came before it, mailbox_do only */
    uint64_t content_bytes;        /* what it must have */
    bool may_lack_content;         /* or none */
    struct liaison_tokens *tokens; /* of the liaison; NULL: it has none */
    atomic_size_t *all_bytes;      /* of all contents of the liaison; NULL: it has none */
    struct buf payload;            /* wiped at the end: it may hold a secret */
    struct arena *arena;           /* lists that the payload unpacks into */
    union {
        struct ipc_probe probe;
        struct ipc_mailbox_look look;
        struct ipc_mailbox_has has;
        struct ipc_mailbox_do todo;
        struct ipc_control control;
        struct ipc_hook hook;
        struct ipc_push push;
    };
};

/* One row a message that asks. */
struct liaison_kind {
    enum ipc_type type, answer_type;
    enum liaison_lane lane;
    bool (*unpack)(struct liaison_work *w); /* also sets w->primary */
    void (*run)(const struct courier_network *net, const struct liaison_work *w, struct buf *ret);
    /* The answer when it is not done at all: `why` is a reason of ours. */
    void (*decline)(const struct liaison_work *w, const char *why, struct buf *ret);
};

extern const struct liaison_kind liaison_probe_kind;   /* liaison_look.c */
extern const struct liaison_kind liaison_look_kind;    /* mailbox_look.c */
extern const struct liaison_kind liaison_has_kind;     /* mailbox_has.c */
extern const struct liaison_kind liaison_do_kind;      /* give.c */
extern const struct liaison_kind liaison_control_kind; /* liaison_control.c */
extern const struct liaison_kind liaison_hook_kind;    /* hook_send.c */
extern const struct liaison_kind liaison_push_kind;    /* push_send.c */

/* liaison_content.c: contents that wait for their mailbox_do, by tag. */
struct liaison_contents;
struct liaison_contents *liaison_contents_create(void);
void liaison_contents_destroy(struct liaison_contents **c);
bool liaison_contents_add(struct liaison_contents *c, uint64_t tag, struct slice bytes);
void liaison_contents_forget(struct liaison_contents *c);
/* Hands over what came for this work. False: not what it says. `*ret_has_room`: all of it was kept.
 */
bool liaison_contents_take(struct liaison_contents *c, struct liaison_work *w, bool *ret_has_room);

/* `ms` within what is sensible: at least 100 ms, at most `most_ms`. */
mono_us liaison_timeout(uint32_t ms, uint32_t most_ms);
/* `n` with no step longer than `timeout`. */
struct courier_network liaison_hurried(const struct courier_network *n, mono_us timeout);

#endif
