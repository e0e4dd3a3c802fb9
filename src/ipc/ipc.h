/* The typed messages between our processes. The list is ipc.def; the bytes travel over net's
 * links. Pure packing: no sockets here. */
#ifndef IPC_IPC_H
#define IPC_IPC_H

#include "base/pack.h"

enum {
    IPC_CONTENT_MAX = 256 << 10,          /* bytes of one content frame */
    IPC_FRAME_MAX = IPC_CONTENT_MAX + 64, /* or of a large list: */
    IPC_LIST_FRAME_MAX = 4 << 20,
};

enum ipc_role {
    IPC_SUPERVISOR = 1,
    IPC_GATE = 2,
    IPC_DOOR = 4,
    IPC_CORE = 8,
    IPC_COURIER = 16,
    IPC_LIAISON = 32,
    IPC_RESOLVER = 64,
};
const char *ipc_role_name(enum ipc_role role); /* "gate"; "unknown" */

#define IPC_MESSAGE(name, from, to) IPC_T_##name,
enum ipc_type {
    IPC_T_NONE = 0,
#include "ipc/ipc.def"
    IPC_T_N
};
#undef IPC_MESSAGE

enum ipc_settings_kind {
    IPC_SETTINGS_CERTIFICATE = 1,
    IPC_SETTINGS_KEY,
    IPC_SETTINGS_TRUST_ANCHOR,
    IPC_SETTINGS_SETTINGS,
};
enum ipc_ability {
    IPC_NO_8BITMIME = 1,
    IPC_NO_SMTPUTF8 = 2,
    IPC_NO_DSN = 4,
    IPC_ABILITIES_KNOWN = 128
};
enum ipc_job_kind { IPC_JOB_PRIMARY = 1, IPC_JOB_WORLD = 2 };
enum ipc_tls { IPC_TLS_MAY = 0, IPC_TLS_MUST = 1, IPC_TLS_VERIFY = 2, IPC_TLS_NEVER = 3 };
/* Where a conversation with a mail server ended. */
enum smtp_phase {
    SMTP_PHASE_NONE = 0, /* not tried, for a reason of ours: says nothing about the destination */
    SMTP_PHASE_NAME = 1, /* resolving the destination */
    SMTP_PHASE_CONNECT,
    SMTP_PHASE_BANNER,
    SMTP_PHASE_EHLO,
    SMTP_PHASE_TLS,
    SMTP_PHASE_MAIL,
    SMTP_PHASE_RCPT,
    SMTP_PHASE_DATA,
    SMTP_PHASE_DOT,
    SMTP_PHASE_N
};
const char *smtp_phase_name(uint8_t phase);
enum ipc_login {
    IPC_LOGIN_ANY = 0, /* what the server offers: PLAIN, else LOGIN */
    IPC_LOGIN_PLAIN = 1,
    IPC_LOGIN_LOGIN = 2,   /* the command LOGIN */
    IPC_LOGIN_XOAUTH2 = 3, /* with a token */
};
enum ipc_grant {
    IPC_GRANT_CLIENT = 1,    /* RFC 6749 section 4.4: an application that may open all mailboxes */
    IPC_GRANT_REFRESH = 2,   /* section 6: a person agreed once */
    IPC_GRANT_ASSERTION = 3, /* RFC 7523: a service account in the name of the mailbox's owner */
    IPC_GRANTS
};
/* What is asked over HTTPS. */
enum ipc_call_kind {
    IPC_CALL_SESSION = 1,
    IPC_CALL_API,
    IPC_CALL_UPLOAD,
    IPC_CALL_DOWNLOAD,
    IPC_CALL_WATCH, /* an event stream: answered with the person; then `changed` comes */
    IPC_CALL_LOGIN, /* body: {"address", "password" or "code"}; sets the cookie */
    IPC_CALL_LOGOUT,
    IPC_CALL_CHECK, /* before a large body comes: is this somebody? 204, or the refusal */
    IPC_CALL_N
};
enum ipc_look { IPC_LOOK_LOGIN = 1, IPC_LOOK_CANARY = 2 };
/* Where a look into a mailbox ended, in the order in which things are done. */
enum ipc_look_step {
    IPC_STEP_NONE = 0, /* not tried, for a reason of ours */
    IPC_STEP_NAME,     /* resolving the IMAP server */
    IPC_STEP_CONNECT,
    IPC_STEP_GREETING,
    IPC_STEP_TLS,
    IPC_STEP_LOGIN,
    IPC_STEP_SELECT, /* opening the INBOX (or a folder), listing folders */
    IPC_STEP_SEND,   /* the canary by SMTP, all of it */
    IPC_STEP_SEARCH, /* it did not turn up, or searching failed */
    IPC_STEP_FETCH,  /* it is there but cannot be read, or is not what was sent */
    IPC_STEP_PUT,    /* changing: appending, flags, moving, removing, making a folder */
    IPC_STEP_N
};
const char *ipc_look_step_name(uint8_t step); /* "search"; "unknown" */
enum ipc_has {
    IPC_HAS_UNSURE = 0, /* not all folders could be searched for it */
    IPC_HAS_FOUND = 1,
    IPC_HAS_ABSENT = 2,
};
enum ipc_parse_what {
    IPC_PARSE_FIELDS = 1, /* what lists show */
    IPC_PARSE_EMAIL = 2,  /* properties of a JMAP Email, as JSON */
    IPC_PARSE_TEXT = 3,   /* words for the search index */
};
enum {
    IPC_PARSED_MAX = 16 << 20,       /* bytes of an answer */
    IPC_PARSED_TEXT_MAX = 512 << 10, /* to TEXT: what search keeps; the gate cuts the rest */
};
/* What mailbox_do asks for one message. */
enum ipc_op {
    /* It shall be in that folder with these flags. There already: only flags; but what shall be in
     * SENT or TRASH and lies in DRAFTS, where it went before, is moved. */
    IPC_OP_APPEND = 1,
    IPC_OP_SET = 2, /* it is there: change its flags, and its place */
};
enum ipc_folder_role {
    IPC_FOLDER_NONE = 0,
    IPC_FOLDER_INBOX,
    IPC_FOLDER_SENT,
    IPC_FOLDER_DRAFTS,
    IPC_FOLDER_TRASH,
    IPC_FOLDER_JUNK,
    IPC_FOLDER_ARCHIVE,
    IPC_FOLDER_ROLES
};
enum ipc_fate {
    IPC_FATE_STAY = 0,
    IPC_FATE_MOVE,    /* to role or folder */
    IPC_FATE_TRASH,   /* into the folder for that */
    IPC_FATE_EXPUNGE, /* for good */
};
enum ipc_op_result_kind {
    IPC_OP_NOT_TRIED = 0, /* nothing was changed; ask again later */
    IPC_OP_DONE,
    IPC_OP_ALREADY,   /* it was there, or was so (flags that lacked were set: the text says) */
    IPC_OP_WOULD,     /* dry run: it would be done */
    IPC_OP_ABSENT,    /* SET: no such message, in no folder */
    IPC_OP_AMBIGUOUS, /* several that could be it, or one that is not surely it: left alone */
    IPC_OP_REFUSED,   /* the server says no, and will again */
    IPC_OP_UNSURE,    /* the connection was lost after the command went out: it may have happened.
                       * Asking again is safe: it is looked for first */
    IPC_OP_RESULTS
};
const char *ipc_op_result_name(uint8_t result); /* "done"; "unknown" */
enum { IPC_OP_CONTENT_MAX = 64 << 20 };         /* of all APPENDs of one mailbox_do */
enum ipc_name_status {
    IPC_NAME_OK = 1,
    IPC_NAME_NO_NAME = 2, /* NXDOMAIN */
    IPC_NAME_NO_DATA = 3,
    IPC_NAME_BOGUS = 4,  /* DNSSEC says forged: as unusable as no answer */
    IPC_NAME_FAILED = 5, /* no usable answer in time */
};

#define IPC_PARTS
#include "base/pack_struct_begin.h"
#include "ipc/ipc.def"
#include "base/pack_end.h"
#undef IPC_PARTS

/* Content goes both ways between a gate and core: a session's tag ends in its place in a table, one
 * of core's questions in what is no place. */
static inline bool ipc_is_parse_tag(uint64_t tag)
{
    return (uint32_t)tag == UINT32_MAX;
}

const char *ipc_type_name(uint16_t type);
/* May `from` send this type to `to`? The first check on arrival. */
bool ipc_may_send(uint16_t type, enum ipc_role from, enum ipc_role to);

/* Takes this process's highs (refuse_take_highs) and packs them as a `highs`; false: there is
 * nothing to tell. Once a second, one thread. */
bool ipc_take_highs(mono_us now, struct buf *ret);

#endif
