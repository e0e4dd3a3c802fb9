/* What a log record says: the typed payloads (record.def) and their enums. docs/disk-format.md. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/mail.h"
#include "base/pack.h"

enum record_type {
    RECORD_MESSAGE = 1,
    RECORD_CHUNK = 2,
    RECORD_ATTEMPT = 3,
    RECORD_RESULT = 4,
    RECORD_ANSWERED = 5,
    RECORD_UNANSWERED = 6,
    RECORD_OBJECT = 7,
    RECORD_MAILBOX = 8,
    RECORD_MOVED = 9,
    RECORD_DROPPED = 10,
    RECORD_EVENT = 11,
    RECORD_ASIDE = 12,
    RECORD_INTERRUPTED = 13,
    RECORD_EVIDENCE = 14,
    RECORD_HIGH = 15,
    RECORD_EMAIL = 16,
    RECORD_ITEM = 17,
    RECORD_PURGED = 18,
    RECORD_N,
};

/* A ledger row's fate. accepted = waiting + delivered + held + returned + removed + merged, over
 * the rows without a parent; `refused` rows were never answered positively and do not count. */
enum disposition {
    DISPOSITION_WAITING = 1,
    DISPOSITION_DELIVERED = 2,
    DISPOSITION_HELD = 3,
    DISPOSITION_RETURNED = 4,
    DISPOSITION_REMOVED = 5,
    DISPOSITION_MERGED = 6,
    DISPOSITION_REFUSED = 7,
    DISPOSITION_N = 8,
};

enum direction {
    DIRECTION_IN = 1,     /* from the world (or another tenant) to a person of ours */
    DIRECTION_OUT = 2,    /* from a primary to the world */
    DIRECTION_PERSON = 3, /* submitted by a person of ours */
    DIRECTION_NOTICE = 4, /* written by us */
};

enum object_kind {
    OBJECT_TENANT = 1,
    OBJECT_DOMAIN = 2,
    OBJECT_PRIMARY = 3,
    OBJECT_PERSON = 4,
    OBJECT_GROUP = 5,
    OBJECT_STATE = 6,    /* of a primary */
    OBJECT_SNAPSHOT = 7, /* the last complete list of people of a tenant */
    OBJECT_KEY = 8,      /* keys of this node (trace MAC) */
    OBJECT_LIMIT = 9,
    OBJECT_PLAN = 10,     /* of a primary: what people decided beforehand */
    OBJECT_CALENDAR = 11, /* of a tenant: time zone, holidays */
    OBJECT_TARGET = 12,   /* where alerts go */
    OBJECT_INCIDENT = 13,
    OBJECT_OUTBOX = 14,    /* an alert on its way to a target */
    OBJECT_WATCH = 15,     /* what is expected of a domain, and what was found last */
    OBJECT_ACCESS = 16,    /* of a primary: how its mailboxes are reached */
    OBJECT_EPISODE = 17,   /* of a primary: one emergency from its beginning to its end */
    OBJECT_BASELINE = 18,  /* of a tenant: how much mail is usual at each hour */
    OBJECT_AGAIN = 19,     /* of a primary: the last order to give again what it has lost */
    OBJECT_SELECTORS = 20, /* of a domain: of the DKIM keys of the company's mail system */
    OBJECT_DKIM = 21,      /* of a domain: the DKIM keys that we sign with */
    OBJECT_KEEPING = 22,   /* of a tenant: how long and how much mail is kept */
    OBJECT_QUOTA = 23,     /* of a person: how much mail there may be */
    OBJECT_TOKENS = 30,    /* of a primary: who gives tokens to log in to its mailboxes with */
    OBJECT_MAILLOGIN = 31, /* of a person: how their mailbox over there is opened */
};

/* Keywords of RFC 8621 section 4.1.1 and their neighbours, and what is derived. */
enum email_flags {
    EMAIL_SEEN = 1,
    EMAIL_ANSWERED = 2,
    EMAIL_FLAGGED = 4,
    EMAIL_DRAFT = 8,
    EMAIL_FORWARDED = 16,    /* $forwarded */
    EMAIL_PHISHING = 32,     /* $phishing */
    EMAIL_JUNK = 64,         /* $junk */
    EMAIL_NOTJUNK = 128,     /* $notjunk */
    EMAIL_MDNSENT = 256,     /* $mdnsent */
    EMAIL_BY_RULE = 1 << 15, /* no keyword: it went by a rule of ours, nobody deleted it */
    EMAIL_KEYWORD_BITS = 0xffff,
    EMAIL_ATTACHED = 1 << 16, /* no keyword: from the message */
};

/* What an account has beside emails and mailboxes; the numbers stay. */
enum item_kind {
    ITEM_IDENTITY = 1,
    ITEM_SUBMISSION = 2,
    ITEM_VACATION = 3,
    ITEM_PUSH = 4,
    ITEM_BLOB = 5, /* an upload: id is that of its message */
    ITEM_LOGIN = 6,
    ITEM_RETURN = 7,   /* how far it is given back to the primary */
    ITEM_ANSWERED = 8, /* whom the automatic answer went to lately: desk/answer.def */
    ITEM_GIVEN = 9,    /* as they were given back last: flags of the message, or path of the
                        * mailbox, that the id is of */
};

enum event_class { EVENT_INFO = 1, EVENT_NOTICE = 2, EVENT_ALARM = 3 };

#include "base/pack_struct_begin.h"
#include "store/record.def"
#include "base/pack_end.h"

const char *record_type_name(uint16_t type);      /* "message"; "unknown" */
uint16_t record_version(uint16_t type);           /* of the payload, as it is written today */
const char *disposition_name(enum disposition d); /* "waiting" … */

/* A row that came back says in `by` which notice told its sender: "notice 0a1b2c3d4e5f6", behind
 * who decided it where somebody did. Appends that; and the other way round (0: names none). */
void record_notice_add(struct buf *by, uint64_t notice);
uint64_t record_notice_in(struct slice by);

#endif
