/* Threads (RFC 8621 section 3): they only consist of emails. */
#include "jmap/jmap_int.h"

static json_t *make(struct jmap_run *r, uint64_t id)
{
    size_t n = account_thread(r->account, id, NULL, 0);
    if (n == 0)
        return NULL;
    uint64_t *ids = ARENA_ARRAY(r->arena, uint64_t, n);
    json_t *list = json_array();
    (void)account_thread(r->account, id, ids, n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, jmap_id_json('M', ids[i]));
    return json_pack("{s:o, s:o}", "id", jmap_id_json('T', id), "emailIds", list);
}

static const char *const properties[] = {"id", "emailIds", NULL};
static const struct jmap_type thread = {.name = "Thread",
                                        .letter = 'T',
                                        .type = ACCOUNT_THREAD,
                                        .properties = properties,
                                        .make = make};

void jmap_thread_get(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_get(r, c, &thread);
}

void jmap_thread_changes(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_changes(r, c, &thread, NULL);
}
