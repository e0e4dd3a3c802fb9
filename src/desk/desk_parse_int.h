/* Asking a gate what is in a message: core never parses strangers' bytes itself. Loop only. */
#ifndef DESK_DESK_PARSE_INT_H
#define DESK_DESK_PARSE_INT_H

#include "base/base.h"
#include "ipc/ipc.h"

struct desk;
struct gate;
struct net_frame;
struct queue_body;
struct desk_parses;

struct desk_parsed {
    enum err err;    /* ERR_OK, or: ERR_LIMIT what is wanted is too much for this message, at any
                      * time; ERR_RETRY no gate could say in time; ERR_CORRUPT gates die of it;
                      * ERR_INVALID the question    makes no sense; ERR_CANCELED we are stopping */
    const char *why; /* in words; "" on ERR_OK */
    const struct ipc_fields *fields; /* FIELDS; what a gate says: bounded, not true */
    struct slice bytes; /* EMAIL: should be JSON; TEXT: should be UTF-8; both unchecked */
};
typedef void desk_parsed_fn(void *arg, const struct desk_parsed *parsed);

struct desk_parse_ask {
    enum ipc_parse_what what;
    struct slice want;       /* EMAIL: email_want_pack; copied */
    struct slice blob;       /* EMAIL: blob id of the bytes; copied */
    uint64_t message;        /* whose bytes these are, to remember what gates die of; 0: nobody's */
    uint64_t tenant;         /* whose it is, for the event */
    struct queue_body *body; /* counted while the question is open */
    desk_parsed_fn *done; /* on the loop, once, never within desk_parse; what it gets is borrowed */
    void *arg;
};

/* Ask a gate; an answer comes within 10 seconds. If the gate dies or babbles another one is asked,
 * once and alone; then the message is not asked about again for an hour, and people are told.
 * Not ERR_OK: `done` does not come. ERR_RETRY: too many questions, or bytes, at once (counted);
 * ERR_CORRUPT: two gates died of this message. */
enum err desk_parse(struct desk *d, const struct desk_parse_ask *ask, struct errinfo *ei);

void desk_parse_create(struct desk *d);
void desk_parse_tick(struct desk *d, mono_us now);
void desk_parse_gate_up(struct desk *d); /* somebody may be asked now */
void desk_parse_gate_lost(struct gate *g);
void desk_parse_clear(struct desk *d); /* all questions end with ERR_CANCELED */
/* Frames of a gate; false: nonsense. */
bool desk_parse_content(struct gate *g, const struct net_frame *f);
bool desk_parse_told(struct gate *g, const struct net_frame *f);

#endif
