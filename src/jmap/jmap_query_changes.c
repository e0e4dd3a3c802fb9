/* /queryChanges of lists that are short enough to be made anew (RFC 8620 section 5.6): whatever
 * changed since then is said to have gone, and to have come where it is in the results now. */
#include "jmap/jmap_int.h"

#include <stdlib.h>

struct query_changes {
    struct jmap_run *r;
    const struct jmap_type *type;
    struct account_changes since;
    uint64_t *there; /* created and updated ones, by number */
    size_t n_there;
    json_t *removed, *added;
};

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* There may be as many of them as of results. */
static void sort_there(struct query_changes *q)
{
    const struct account_changes *since = &q->since;
    q->there = ARENA_ARRAY(q->r->arena, uint64_t, since->n_created + since->n_updated + 1);
    for (size_t i = 0; i < since->n_created; i++)
        q->there[q->n_there++] = since->created[i];
    for (size_t i = 0; i < since->n_updated; i++)
        q->there[q->n_there++] = since->updated[i];
    if (q->n_there > 1)
        qsort(q->there, q->n_there, sizeof(*q->there), by_number);
}

static bool is_changed(const struct query_changes *q, uint64_t id)
{
    return bsearch(&id, q->there, q->n_there, sizeof(id), by_number) != NULL;
}

static void remove_all(struct query_changes *q, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_array_append_new(q->removed, jmap_type_id(q->type, ids[i]));
}

static void add_all(struct query_changes *q, const uint64_t *ids, size_t n, bool moves_others)
{
    for (size_t i = 0; i < n; i++)
        if (moves_others || is_changed(q, ids[i]))
            json_array_append_new(q->added,
                                  json_pack("{s:o, s:I}", "id", jmap_type_id(q->type, ids[i]),
                                            "index", (json_int_t)i));
}

/* Of those that did not change, all may have moved: all that the old results can have had. */
static void remove_others(struct query_changes *q)
{
    size_t at = 0;
    for (uint64_t id; (id = q->type->next(q->r, &at)) != 0;)
        if (!is_changed(q, id))
            remove_all(q, &id, 1);
}

static void give_answer(struct query_changes *q, const struct jmap_call *c, uint64_t since,
                        bool want_total, size_t total)
{
    json_t *answer =
        json_pack("{s:O, s:o, s:o, s:O, s:O}", "accountId", json_object_get(c->args, "accountId"),
                  "oldQueryState", jmap_state(since), "newQueryState",
                  jmap_state_told(q->since.until), "removed", q->removed, "added", q->added);
    if (want_total)
        json_object_set_new(answer, "total", json_integer((json_int_t)total));
    jmap_answer(q->r, c, c->name, answer);
}

void jmap_query_changes(struct jmap_run *r, const struct jmap_call *c, const struct jmap_type *t,
                        const struct jmap_results *now)
{
    struct query_changes q = {.r = r, .type = t};
    uint64_t since = 0, max = UINT64_MAX;
    bool want_total = false;
    const char *up_to = NULL; /* the list is short: it is told to its end */
    if (!jmap_arg_state(r, c, "sinceQueryState", &since) ||
        !jmap_arg_unsigned(r, c, "maxChanges", &max) || !jmap_arg_text(r, c, "upToId", &up_to) ||
        !jmap_arg_bool(r, c, "calculateTotal", &want_total))
        return;
    if (account_changes(r->account, t->type, t->kind, ACCOUNT_TOLD(since), 0, r->arena, &q.since) !=
        ERR_OK) {
        jmap_refuse(r, c, "cannotCalculateChanges", "what changed since then is not known here");
        return;
    }
    bool is_any_changed = q.since.n_created + q.since.n_updated + q.since.n_destroyed > 0;
    sort_there(&q);
    q.removed = json_array();
    q.added = json_array();
    remove_all(&q, q.since.updated, q.since.n_updated);
    remove_all(&q, q.since.destroyed, q.since.n_destroyed);
    if (now->moves_others && is_any_changed)
        remove_others(&q);
    add_all(&q, now->ids, now->n, now->moves_others && is_any_changed);
    if (json_array_size(q.removed) + json_array_size(q.added) > max)
        jmap_refuse(r, c, "tooManyChanges", "ask for the list itself");
    else
        give_answer(&q, c, since, want_total, now->n);
    json_decref(q.removed);
    json_decref(q.added);
}
