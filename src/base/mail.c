/* Ids of messages as people see them. */
#include "base/mail.h"

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
