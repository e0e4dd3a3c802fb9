/* Inside liaison: giving changes back into one mailbox of a primary, a batch of messages in one
 * conversation. First every folder is searched for all of them, then one after the other is made as
 * it shall be. What was decided and why is a value (give_match.c); what is asked of the server goes
 * through give_ask.c, which waits where it is told to and connects once more when it was cut off.
 *
 * Never twice: before a message is appended it is looked for; a command that may have been carried
 * out although its answer is missing is never repeated, only looked after. Never lost: what is not
 * surely so is told as such. */
#ifndef LIAISON_GIVE_INT_H
#define LIAISON_GIVE_INT_H

#include "imap/role.h"
#include "liaison/mailbox_int.h"

enum {
    GIVE_OPS_MAX = 200,
    GIVE_FOUND_MAX = 16,   /* of one message; more are ambiguous in any case */
    GIVE_FLAGS_MAX = 2000, /* bytes of flags that are looked at */
    GIVE_TEXT_MAX = 300,
    GIVE_FOLDER_MAX = 600,
    GIVE_NAME_MAX = 1000, /* of a folder on the wire */
    GIVE_NOWHERE = -1,
    /* Of one op its folder may have to be made, and once more when somebody removed it. */
    GIVE_PLACES_MAX = MAILBOX_FOLDERS_MAX + 2 * GIVE_OPS_MAX,
};

/* ---- folders (give_place.c) ------------------------------------------------------------------ */

struct give_place {
    struct slice name; /* as on the wire */
    struct slice path; /* decoded, for people and for names */
    char delimiter;
    unsigned flags; /* IMAP_FOLDER_ bits */
    enum imap_role role;
    const struct imap_role_name *row; /* how it was known; NULL: the server said so, or INBOX */
    uint32_t uid_validity;
    bool is_unsearched;     /* it could not be; `why` */
    bool is_known;          /* `permanent` is what the server keeps there */
    struct slice permanent; /* flags */
    char why[GIVE_TEXT_MAX + 1];
};
struct give_places {
    struct arena *arena; /* all names and flags */
    struct give_place *list;
    size_t n;
    struct slice prefix; /* of the person's own folders, as on the wire */
    char delimiter;
    bool has_namespace;   /* the server said so */
    bool is_utf8;         /* names go as they are (rev2 only) */
    const char *language; /* of most folders that were known by name */
    bool is_cut;
};

/* A folder that is wanted: one that is there, or its name. */
struct give_target {
    int at; /* GIVE_NOWHERE: to be made */
    char name[GIVE_NAME_MAX + 1], path[GIVE_FOLDER_MAX + 1];
    enum imap_role role;
};
/* Pure. `list` without folders of other persons; prefix: of NAMESPACE, or empty. Sets what each one
 * is for. */
void give_places_judge(struct give_places *p);
/* Pure. False: no such name can be said (`path` is set). */
bool give_place_find(const struct give_places *p, uint8_t role, const struct ipc_folder_part *path,
                     uint32_t n_path, struct give_target *ret);

/* ---- which message is it? (give_match.c, pure) -------------------------------------------------
 */

enum give_match {
    GIVE_OTHER,    /* another message */
    GIVE_DOUBTFUL, /* its Message-ID, but neither date nor sender are the same */
    GIVE_LIKELY,   /* its Message-ID, and date or sender; something rewrote the other */
    GIVE_SURE,     /* its Message-ID, and nothing known speaks against it */
    GIVE_TRACED,   /* our trace header with its id */
};
/* `header`: fields as they are; what a hostile server gives. */
enum give_match give_match(const struct ipc_mailbox_op *op, struct slice header);
bool give_is_same(const struct ipc_mailbox_op *a, const struct ipc_mailbox_op *b);

struct give_found {
    int place;
    uint32_t uid;
    enum give_match match;
    bool has_flags, is_deleted;
    struct slice flags;
};
struct give_set {
    struct give_found list[GIVE_FOUND_MAX];
    size_t n;
    bool is_cut; /* there are more */
};
enum give_choice_kind {
    GIVE_NONE, /* it is not there */
    GIVE_ONE,
    GIVE_SOME, /* APPEND: it is there more than once, which counts as there */
    GIVE_MANY, /* which one cannot be told */
    GIVE_DEAD, /* there, but marked as deleted over there */
};
struct give_choice {
    enum give_choice_kind kind;
    size_t at;       /* ONE, SOME, DEAD: in the set */
    const char *why; /* MANY */
};
/* SET: which of those that were found is meant? `target`, `from`: folders, GIVE_NOWHERE: none. */
struct give_choice give_choose(const struct give_set *found, int target, int from);
/* APPEND into `target`: is it there? The copy that a person got of mail to oneself is not the one
 * in Sent, and the other way round. */
struct give_choice give_choose_kept(const struct give_places *p, const struct give_set *found,
                                    int target, enum imap_role role);

/* ---- a batch ------------------------------------------------------------------------------- */

struct give_op {
    const struct ipc_mailbox_op *op;
    struct slice content;
    struct give_set found;
    bool is_unsearched; /* the server could not search for it everywhere; `text` */
    bool is_changed;    /* something was done, or may have been: later ones look again */
    enum ipc_op_result_kind result;
    uint32_t uid;
    char folder[GIVE_FOLDER_MAX + 1], text[GIVE_TEXT_MAX + 1];
};
struct give {
    const struct courier_network *net;
    const struct ipc_mailbox_do *todo;
    struct slice content;
    mono_us deadline;
    struct mailbox *(*open)(struct give *g, struct mailbox_end *end); /* g->open_arg is its own */
    void *open_arg;
    mono_us pause; /* before the first repetition; doubles */
    utc_ms cert_until;

    /* inside */
    struct mailbox *m; /* NULL: not connected */
    unsigned n_opened;
    struct mailbox_end end;
    bool is_over;  /* nothing more is asked; `end` says why */
    bool is_full;  /* no message more is taken */
    bool was_said; /* the last question broke off when it was out */
    struct give_places places;
    int selected; /* folder, GIVE_NOWHERE */
    bool is_selected_rw;
    struct give_op *ops;
    size_t n_ops;
};
/* give.c. All of it; afterwards every op has its result. */
void give_run(struct give *g);
void give_finish(struct give *g);
void give_told(const struct give *g, struct ipc_mailbox_did *ret, struct ipc_op_result *results);

/* Results in words; folders by place. */
void give_settle(struct give_op *o, enum ipc_op_result_kind result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void give_settle_at(const struct give *g, struct give_op *o, int place, uint32_t uid);
/* No more is possible (give_ask said BYE): was anything changed? */
void give_settle_broken(const struct give *g, struct give_op *o);
/* More words to a result. */
void give_note(struct give_op *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- asking (give_ask.c) --------------------------------------------------------------------- */

/* One question, which may be asked again after a pause or over a new connection: it selects its
 * folder itself. IMAP_OK, NO, BAD, or BYE: broken off (g->m->end). */
typedef enum imap_word (*give_ask_fn)(struct give *g, void *arg);
/* IMAP_OK; NO, BAD: refused, g->end has the words; BYE: no more is possible (g->is_over), or
 * `*ret_is_unsure` (may be NULL: the question may be repeated without harm): the connection broke
 * when the command was out; then there may be a new connection, or g->is_over. */
enum imap_word give_ask(struct give *g, give_ask_fn ask, void *arg, bool *ret_is_unsure);
enum imap_word give_select(struct give *g, int place, bool is_rw);
bool give_connect(struct give *g); /* first, or once more; false: g->is_over */

/* give_place.c */
bool give_places_load(struct give *g); /* false: g->is_over */
/* Makes it; `target->at` is it then. IMAP_OK or as give_ask. */
enum imap_word give_place_make(struct give *g, struct give_target *target);

/* give_find.c: look for these ops in all folders; sets `found`. False: g->is_over. */
bool give_find(struct give *g, struct give_op *const *ops, size_t n);
/* In one more folder; adds to `found`. */
bool give_find_in(struct give *g, struct give_op *o, int place);

/* give_append.c, give_set.c */
void give_append(struct give *g, struct give_op *o);
void give_set(struct give *g, struct give_op *o);
/* Its flags, and its place where `t` has a name. Settles it. */
void give_change(struct give *g, struct give_op *o, const struct give_found *found,
                 struct give_target *t);
/* Sets flags of the one that was found, as far as they are not so. False: refused or broken off,
 * settled. `*ret_is_changed`: something had to be set. */
bool give_flags(struct give *g, struct give_op *o, const struct give_found *f,
                bool *ret_is_changed);
/* Writes into `out` "(\Seen $x)" of those that can be kept in `place`; the others go into the
 * words. */
void give_flags_list(const struct give *g, struct give_op *o, int place,
                     const struct ipc_folder_part *flags, uint32_t n, struct buf *out);

#endif
