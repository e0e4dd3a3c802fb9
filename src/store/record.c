/* Packing of log records, generated from record.def, and the names of their enums. */
#include "store/record.h"

#include "base/pack_write_begin.h"
#include "store/record.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "store/record.def"
#include "base/pack_end.h"

const char *record_type_name(uint16_t type)
{
    static const char *const names[] = {
        [RECORD_MESSAGE] = "message",   [RECORD_CHUNK] = "chunk",
        [RECORD_ATTEMPT] = "attempt",   [RECORD_RESULT] = "result",
        [RECORD_ANSWERED] = "answered", [RECORD_UNANSWERED] = "unanswered",
        [RECORD_OBJECT] = "object",     [RECORD_MAILBOX] = "mailbox",
        [RECORD_MOVED] = "moved",       [RECORD_DROPPED] = "dropped",
        [RECORD_EVENT] = "event",       [RECORD_ASIDE] = "aside",
    };
    return type > 0 && type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

const char *disposition_name(enum disposition d)
{
    static const char *const names[DISPOSITION_N] = {
        "none", "waiting", "delivered", "held", "returned", "removed", "merged", "refused",
    };
    return (unsigned)d < DISPOSITION_N ? names[d] : "unknown";
}

void message_id_text(uint64_t id, char ret[MESSAGE_ID_TEXT])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (int i = MESSAGE_ID_TEXT - 2; i >= 0; i--, id >>= 5)
        ret[i] = digits[id & 31];
    ret[MESSAGE_ID_TEXT - 1] = '\0';
}

uint64_t message_id_parse(struct slice text)
{
    uint64_t id = 0;
    if (text.n != MESSAGE_ID_TEXT - 1)
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = ascii_lower(text.p[i]);
        if (c >= 'a' && c <= 'z')
            id = id << 5 | (uint64_t)(c - 'a');
        else if (c >= '2' && c <= '7')
            id = id << 5 | (uint64_t)(c - '2' + 26);
        else
            return 0;
    }
    return id;
}
