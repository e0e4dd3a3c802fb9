/* What a request may take of core: memory, and how it is given back; time. */
#include "jmap/jmap_int.h"

enum { ARENA_MAX = 256 << 20, ROOM_BYTES = 32 << 20 };

struct arena *jmap_memory_create(void)
{
    return arena_create(ARENA_MAX);
}

void jmap_scratch_begin(struct jmap_run *r)
{
    must(!r->whole);
    r->whole = r->arena;
    r->arena = r->scratch;
}

void jmap_scratch_end(struct jmap_run *r)
{
    must(r->whole);
    r->arena = r->whole;
    r->whole = NULL;
    arena_reset(r->scratch);
}

bool jmap_has_room(const struct jmap_run *r)
{
    return arena_used(r->arena) < ROOM_BYTES;
}

bool jmap_is_late(const struct jmap_run *r)
{
    return mono_now() > r->until;
}

enum err jmap_late(struct errinfo *ei)
{
    return err_set(ei, ERR_RETRY, "this request takes too long; ask for less at once");
}

/* The library goes down as deep as the text says, and makes of three bytes a hundred; this looks at
 * each byte once and keeps nothing. */
size_t jmap_count_values(struct slice text, unsigned *ret_depth)
{
    size_t n = 1;
    unsigned depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char ch = text.p[i];
        if (in_string && ch == '\\')
            i++;
        else if (ch == '"')
            in_string = !in_string;
        if (in_string)
            continue;
        bool is_open = ch == '{' || ch == '[';
        n += is_open || ch == ',';
        depth += is_open;
        depth -= (ch == '}' || ch == ']') && depth > 0;
        deepest = depth > deepest ? depth : deepest;
    }
    *ret_depth = deepest;
    return n;
}
