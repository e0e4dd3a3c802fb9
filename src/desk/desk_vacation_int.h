/* Inside the desk: the automatic answer of who is away (RFC 8621 section 8, RFC 3834). */
#ifndef DESK_DESK_VACATION_INT_H
#define DESK_DESK_VACATION_INT_H

#include "desk/desk_submit_int.h"

#include "wire/dsn.h"

#include <jansson.h>

#include "base/pack_struct_begin.h"
#include "desk/answer.def"
#include "base/pack_end.h"

enum { DESK_ANSWER_DAYS = 7, DESK_ANSWERED_ID = 1, DESK_ANSWERED_MAX = 2000 };

/* ---- desk_answer.c: may this be answered, and how; pure ---- */

/* Who is away, and who wrote. Slices are borrowed. */
struct desk_answer {
    struct slice name, address;    /* of the person: as she was written to */
    const struct slice *addresses; /* all of hers */
    size_t n_addresses;
    struct slice sender; /* the return path: the answer goes there */
    const struct jmap_item_vacation *vacation;
    enum wire_language language; /* where she left no words */
    struct slice message_id;     /* of the answer, without <> */
};
/* The properties of the message that the other two want to know, as a gate gives them. */
extern const char *const desk_answer_properties[]; /* NULL at the end */
/* RFC 3834 section 2: not to machines, lists, or where she is not named herself. */
bool desk_is_answerable(const struct desk_answer *a, const json_t *message);
/* Appends the whole message. False: it cannot be made. `ret_subject`: in the arena. */
bool desk_answer_compose(const struct desk_answer *a, const json_t *message, utc_ms now,
                         struct arena *arena, struct buf *ret, struct slice *ret_subject);
/* Is this an address that answers never go to? */
bool desk_is_machine(struct slice address);
/* Notes that this sender gets an answer now. ERR_EXISTS: she has had one in these days; ERR_LIMIT:
 * so have too many others. Who is older is taken out. */
enum err desk_answered_note(struct desk_answers *all, struct slice sender, utc_ms now,
                            struct arena *a);

/* ---- desk_vacation.c ---- */
void desk_vacations_create(struct desk *d);
enum err desk_vacations_load(struct desk *d, struct store_reader *reader, struct errinfo *ei);
void desk_vacations_clear(struct desk *d); /* memory only */
/* What a person has said about it, or said anew. */
void desk_vacation_said(struct desk *d, const struct record_item *item);
/* This message is durable: whoever of its recipients is away may answer. */
void desk_vacation_see(struct desk *d, const struct record_message *m, struct queue_body *body);
/* Does this person's own mail system answer for her? */
bool desk_has_other_answers(struct desk *d, const struct directory_person *p);

#endif
