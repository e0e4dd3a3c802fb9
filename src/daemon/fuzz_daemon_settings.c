/* Any bytes as staffetta.yaml: either problems, or settings that are valid and, printed, parse to
 * the same again. */
#include "daemon/settings.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings s, again;
    static struct settings_problems problems;
    SCOPED(buf_finish) struct buf text = buf_make(1 << 20);
    if (settings_parse(slice_of((const char *)data, size), &s, &problems)) {
        must(settings_is_valid(&s));
        settings_print(&s, &text);
        must(!text.failed && settings_parse(buf_slice(&text), &again, &problems));
        for (uint32_t i = 0; i < s.n_listens; i++)
            s.listens[i].line = again.listens[i].line; /* moved by printing */
        memcpy(s.lines, again.lines, sizeof(s.lines));
        must(memcmp(&s, &again, sizeof(s)) == 0);
    } else {
        must(problems.n > 0);
        settings_problems_text(&problems, "staffetta.yaml", "Not started.", &text);
        must(!text.failed);
    }
    return 0;
}
