/* How a step of a conversation ended, in numbers and in words that are safe to show. */
#include "courier/peer.h"

#include <stdio.h>

/* What a peer says goes into logs, screens and notices: printable ASCII only. */
static void clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c == '\n')
            *c = ' ';
        else if (*c < ' ' || *c > '~')
            *c = '?';
    }
}

void courier_end_reply(struct courier_end *end, enum smtp_phase phase, const struct wire_reply *r)
{
    end->phase = phase;
    end->is_ours = false;
    end->code = (uint16_t)r->code;
    end->status = r->status;
    size_t n = r->text.n < COURIER_TEXT_MAX ? r->text.n : COURIER_TEXT_MAX;
    for (size_t i = 0; i < n; i++)
        end->text[i] = r->text.p[i] ? r->text.p[i] : '?';
    end->text[n] = '\0';
    clean(end->text);
}

void courier_end_words(struct courier_end *end, enum smtp_phase phase, const char *code,
                       const char *format, ...)
{
    uint64_t number = 0;
    *end = (struct courier_end){.phase = phase};
    if (*code) {
        must(slice_u64(slice_of(code, 3), 599, &number));
        if (code[3] == ' ')
            must(wire_status_parse(slice_str(code + 4), &end->status));
        end->code = (uint16_t)number;
    }
    va_list args;
    va_start(args, format);
    must(vsnprintf(end->text, sizeof(end->text), format, args) >= 0);
    va_end(args);
    clean(end->text);
}
