/* Packing of log records, generated from record.def, and the names of their enums. */
#include "store/record.h"

#include "base/mail.h"

#include "base/pack_write_begin.h"
#include "store/record.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "store/record.def"
#include "base/pack_end.h"

const char *record_type_name(uint16_t type)
{
    static const char *const names[] = {
        [RECORD_MESSAGE] = "message",
        [RECORD_CHUNK] = "chunk",
        [RECORD_ATTEMPT] = "attempt",
        [RECORD_RESULT] = "result",
        [RECORD_ANSWERED] = "answered",
        [RECORD_UNANSWERED] = "unanswered",
        [RECORD_OBJECT] = "object",
        [RECORD_MAILBOX] = "mailbox",
        [RECORD_MOVED] = "moved",
        [RECORD_DROPPED] = "dropped",
        [RECORD_EVENT] = "event",
        [RECORD_ASIDE] = "aside",
        [RECORD_INTERRUPTED] = "interrupted",
        [RECORD_EVIDENCE] = "evidence",
        [RECORD_HIGH] = "high",
        [RECORD_EMAIL] = "email",
        [RECORD_ITEM] = "item",
        [RECORD_PURGED] = "purged",
    };
    return type > 0 && type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

uint16_t record_version(uint16_t type)
{
    return type == RECORD_MAILBOX || type == RECORD_DROPPED || type == RECORD_PURGED ? 2 : 1;
}

const char *disposition_name(enum disposition d)
{
    static const char *const names[DISPOSITION_N] = {
        "none", "waiting", "delivered", "held", "returned", "removed", "merged", "refused",
    };
    return (unsigned)d < DISPOSITION_N ? names[d] : "unknown";
}

#define NOTICE "notice "

void record_notice_add(struct buf *by, uint64_t notice)
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(notice, id);
    buf_addf(by, "%s" NOTICE "%s", by->n ? ", " : "", id);
}

uint64_t record_notice_in(struct slice by)
{
    size_t n = MESSAGE_ID_TEXT - 1, before = sizeof(NOTICE) - 1;
    if (by.n < before + n || !slice_eq(slice_of(by.p + by.n - n - before, before), SLICE(NOTICE)))
        return 0;
    return message_id_parse(slice_skip(by, by.n - n));
}
