/* Which senders may not know that we have their mail: messages whose record is applied, but neither
 * `answered` nor `unanswered` for them.
 *
 * Nearly every message passes through here and leaves within milliseconds, so the ids live in
 * memory and are written as one blob with the commit, instead of one row in and one out a
 * message. */
#include "store/index_db_int.h"

/* Place of the first id that is not smaller. */
static size_t place_of(const struct index *x, uint64_t message)
{
    size_t from = 0, to = x->n_unanswered;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (x->unanswered[middle] < message)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static void take_out(struct index *x, size_t at)
{
    x->n_unanswered--;
    memmove(x->unanswered + at, x->unanswered + at + 1,
            (x->n_unanswered - at) * sizeof(x->unanswered[0]));
    x->is_unanswered_changed = true;
}

static enum err mark(struct index *x, uint64_t message, int *ret_n, struct errinfo *ei)
{
    bind_u64(index_stmt(x, SQL_UNANSWERED_ADD), 1, message);
    return index_run(x, SQL_UNANSWERED_ADD, ret_n, ei);
}

enum err index_answer_begin(struct index *x, uint64_t message, struct errinfo *ei)
{
    enum err err = ERR_OK;
    if (!x->unanswered)
        x->unanswered = mem_new(INDEX_UNANSWERED_MAX * sizeof(x->unanswered[0]));
    if (x->n_unanswered == INDEX_UNANSWERED_MAX) {
        /* More than there can be sessions: somebody forgets to say. The oldest are taken for
         * unanswered; a late `answered` still corrects that. */
        err = mark(x, x->unanswered[0], NULL, ei);
        take_out(x, 0);
    }
    size_t at = place_of(x, message);
    memmove(x->unanswered + at + 1, x->unanswered + at,
            (x->n_unanswered - at) * sizeof(x->unanswered[0]));
    x->unanswered[at] = message;
    x->n_unanswered++;
    x->is_unanswered_changed = true;
    return err;
}

static enum err answer_end(struct index *x, uint64_t message, bool is_answered, struct errinfo *ei)
{
    size_t at = place_of(x, message);
    bool is_new = at < x->n_unanswered && x->unanswered[at] == message;
    if (is_new)
        take_out(x, at);
    if (is_new && is_answered)
        return ERR_OK;
    int n = 0;
    enum err err;
    if (is_answered) {
        bind_u64(index_stmt(x, SQL_UNANSWERED_DEL), 1, message);
        err = index_run(x, SQL_UNANSWERED_DEL, &n, ei);
    } else {
        err = mark(x, message, &n, ei);
    }
    if (n == 0)
        x->n_odd++;
    return err;
}

enum err index_apply_answers(struct index *x, const struct index_record *r, struct errinfo *ei)
{
    struct record_ids ids = {};
    if (!record_ids_unpack(r->facts, x->arena, &ids))
        return index_unreadable(r, ei);
    for (uint32_t i = 0; i < ids.n_ids; i++) {
        enum err err = answer_end(x, ids.ids[i].id, r->type == RECORD_ANSWERED, ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

void index_answer_pack(const struct index *x, struct buf *b)
{
    for (size_t i = 0; i < x->n_unanswered; i++)
        buf_u64(b, x->unanswered[i]);
}

void index_answer_load(struct index *x, struct slice packed)
{
    struct reader r = reader_make(packed);
    x->n_unanswered = 0;
    if (packed.n && !x->unanswered)
        x->unanswered = mem_new(INDEX_UNANSWERED_MAX * sizeof(x->unanswered[0]));
    while (r.rest.n >= sizeof(uint64_t) && x->n_unanswered < INDEX_UNANSWERED_MAX)
        x->unanswered[x->n_unanswered++] = read_u64(&r);
}

enum err index_unanswered(struct index *x, struct arena *a, struct record_ids *ret,
                          struct errinfo *)
{
    struct record_id *ids = ARENA_ARRAY(a, struct record_id, x->n_unanswered);
    for (size_t i = 0; i < x->n_unanswered; i++)
        ids[i].id = x->unanswered[i];
    *ret = (struct record_ids){.ids = ids, .n_ids = (uint32_t)x->n_unanswered};
    return ERR_OK;
}
