/* Messages into the index of words, in batches: those beyond its marks, one behind the other, and
 * single ones that came into an account behind a mark. */
#include "desk/desk_find_int.h"

#include <stdlib.h>

enum {
    ACCOUNTS_MAX = 2000,   /* of one message; more come late, by comparing */
    ROW_BYTES = 256 << 10, /* of one email's lists: 200 places and 100 keywords take 40 KiB */
    MESSAGE_BYTES = 4 << 10,
};
/* What a batch keeps of each message: what one header says, one text, who has it, and who sent it.
 * Each batch begins with an empty arena, so no number of accounts, emails or words reaches its end.
 */
static_assert((long)FIND_BATCH * (FIND_HEADER_MAX + STORE_SEARCH_FIELD_MAX +
                                  ACCOUNTS_MAX * (long)sizeof(uint64_t) + MESSAGE_BYTES) <
                  FIND_ARENA_BYTES,
              "a batch fits");
static_assert((int)FIND_LATE_MAX <= (int)ACCOUNTS_MAX, "also one of those that came late");

/* ---- one message ---- */

struct holders {
    struct finder *f;
    struct store_search_text *t;
    uint64_t *accounts;
};

/* Who has it, and not only a trace of it: words of what is gone must not come in again. */
static bool has_email(struct finder *f, uint64_t account, uint64_t message)
{
    SCOPED(arena_destroy) struct arena *row = arena_create(ROW_BYTES);
    struct store_email email;
    struct errinfo ei;
    return store_get_email(f->reader, account, message, row, &email, &ei) == ERR_OK &&
           !email.is_gone;
}

static void add_account(struct holders *h, uint64_t account)
{
    if (account && h->t->n_accounts < ACCOUNTS_MAX && has_email(h->f, account, h->t->message))
        h->accounts[h->t->n_accounts++] = account;
}

static bool add_row(void *arg, const struct store_row *row)
{
    if (row->facts.mailbox)
        add_account(arg, row->facts.person);
    return true;
}

static enum err fill_text(struct finder *f, const struct record_message *m,
                          struct store_search_text *t, struct errinfo *ei)
{
    struct holders h = {f, t, ARENA_ARRAY(f->arena, uint64_t, ACCOUNTS_MAX)};
    *t = (struct store_search_text){.message = m->id, .accounts = h.accounts};
    if (m->direction == DIRECTION_PERSON && !(m->flags & MESSAGE_IS_BLOB))
        add_account(&h, message_id_parse(m->helo));
    enum err err = store_each_row_of(f->reader, m->id, add_row, &h, ei);
    if (err == ERR_CORRUPT) /* a row that is unreadable: comparing finds who has it */
        err = ERR_OK;
    return err == ERR_OK && t->n_accounts ? find_words(f, t, ei) : err;
}

/* ---- beyond the marks ---- */

struct batch {
    struct finder *f;
    struct record_message found[FIND_BATCH];
    size_t n;
};

static bool take_message(void *arg, const struct record_message *m)
{
    struct batch *b = arg;
    b->found[b->n] = *m;
    b->found[b->n++].helo = arena_copy(b->f->arena, m->helo);
    return b->n < FIND_BATCH;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct record_message *)a)->id, y = ((const struct record_message *)b)->id;
    return x < y ? -1 : x > y;
}

/* What a batch stands for: up to a mark, or from one. */
static struct store_search_batch span(const struct batch *b, struct store_search_marks marks,
                                      bool is_up)
{
    uint64_t low = b->found[0].id, high = b->found[b->n - 1].id;
    if (marks.last == 0)
        return (struct store_search_batch){.first = low, .last = high};
    return is_up ? (struct store_search_batch){.first = marks.last + 1, .last = high}
                 : (struct store_search_batch){.first = low, .last = marks.first - 1};
}

enum err find_fill(struct finder *f, bool is_up, bool *ret_did, struct errinfo *ei)
{
    struct store_search_marks marks;
    struct batch b = {.f = f};
    enum err err = store_search_marks(f->search, &marks, ei);
    if (err != ERR_OK)
        return err;
    arena_reset(f->arena);
    uint64_t first = is_up ? marks.last + 1 : 1;
    uint64_t last = is_up ? UINT64_MAX >> 1 : marks.first - 1;
    if (!is_up && marks.first <= 1)
        return ERR_OK;
    /* Nothing yet: begin with the newest. */
    struct store_interval in = {first, last, !is_up || marks.last == 0, FIND_BATCH};
    err = store_each_message(f->reader, &in, take_message, &b, ei);
    if (err != ERR_OK || b.n == 0)
        return find_index_err(err);
    qsort(b.found, b.n, sizeof(b.found[0]), by_id);
    struct store_search_text *texts = ARENA_ARRAY(f->arena, struct store_search_text, b.n);
    for (size_t i = 0; i < b.n && err == ERR_OK; i++)
        err = fill_text(f, &b.found[i], &texts[i], ei);
    struct store_search_batch batch = span(&b, marks, is_up);
    batch.texts = texts;
    batch.n = b.n;
    if (err == ERR_OK)
        err = store_search_add(f->search, &batch, ei);
    *ret_did |= err == ERR_OK;
    return err;
}

/* ---- what came late ---- */

static int by_message(const void *a, const void *b)
{
    const struct find_late *x = a, *y = b;
    if (x->message != y->message)
        return x->message < y->message ? -1 : 1;
    return x->account < y->account ? -1 : x->account > y->account;
}

/* The first FIND_BATCH messages of the list, each with all who have it; returns how many of the
 * list that is. */
static size_t gather(struct finder *f, struct store_search_text *texts, size_t *ret_n)
{
    struct find_late *late = f->compare.late;
    size_t at = 0;
    qsort(late, f->compare.n_late, sizeof(*late), by_message);
    for (*ret_n = 0; at < f->compare.n_late && *ret_n < FIND_BATCH; (*ret_n)++) {
        uint64_t *accounts = ARENA_ARRAY(f->arena, uint64_t, f->compare.n_late - at);
        struct store_search_text *t = &texts[*ret_n];
        *t = (struct store_search_text){.message = late[at].message, .accounts = accounts};
        for (; at < f->compare.n_late && late[at].message == t->message; at++)
            accounts[t->n_accounts++] = late[at].account;
    }
    return at;
}

enum err find_fill_late(struct finder *f, bool *ret_did, struct errinfo *ei)
{
    struct store_search_text texts[FIND_BATCH];
    struct store_search_batch batch = {.texts = texts};
    enum err err = ERR_OK;
    if (f->compare.n_late == 0)
        return ERR_OK;
    arena_reset(f->arena);
    size_t n = gather(f, texts, &batch.n);
    for (size_t i = 0; i < batch.n && err == ERR_OK; i++)
        err = find_words(f, &texts[i], ei);
    if (err == ERR_OK)
        err = store_search_add(f->search, &batch, ei);
    if (err == ERR_FULL) /* what must go must not wait for room */
        find_compare_again(f);
    if (err != ERR_OK)
        return err;
    f->compare.n_late -= n;
    memmove(f->compare.late, f->compare.late + n, f->compare.n_late * sizeof(f->compare.late[0]));
    *ret_did = true;
    return ERR_OK;
}
