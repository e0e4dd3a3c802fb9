/* Orders of emails (RFC 8621 section 4.4.2). */
#include "account/account_int.h"

#include "email/email_list.h"

enum { WORD_MAX = 120 }; /* bytes that decide an order */

/* ---- words, read from the index once ---- */

/* ASCII letters in one case; others by their bytes, which is the order of code points. */
static char *fold(char *at, struct slice s)
{
    for (size_t i = 0; i < s.n && i < WORD_MAX; i++)
        *at++ = ascii_lower(s.p[i]);
    *at++ = '\0';
    return at;
}

static size_t room(struct slice s)
{
    return (s.n < WORD_MAX ? s.n : WORD_MAX) + 1;
}

struct reading {
    struct account *a;
    mono_us until;
    bool is_late;
};

static bool take_words(void *arg, uint64_t message, const struct record_fields *f)
{
    struct reading *reading = arg;
    struct account *a = reading->a;
    struct account_entry *e = account_entry(a, message);
    if (!e || e->words)
        return true;
    reading->is_late = reading->until && mono_now() > reading->until;
    if (reading->is_late)
        return false;
    struct slice from = f->from_name.n ? f->from_name : f->from_address;
    struct slice to = email_list_to_first(f->to);
    size_t n = sizeof(*e->words) + room(from) + room(to) + room(f->base_subject);
    struct sort_words *w = mem_new(n);
    w->from = (char *)(w + 1);
    w->to = fold(w->from, from);
    w->subject = fold(w->to, to);
    (void)fold(w->subject, f->base_subject);
    w->sent = f->date;
    e->words = w;
    a->bytes += n;
    return true;
}

enum err account_sort_words(struct account *a, struct store_reader *reader, mono_us until,
                            struct errinfo *ei)
{
    struct reading reading = {.a = a, .until = until};
    uint64_t *ids = mem_new((a->n_by_id + 1) * sizeof(*ids));
    size_t n = 0;
    for (size_t i = 0; i < a->n_by_id; i++)
        if (!a->by_id[i]->words && !a->by_id[i]->e.is_gone)
            ids[n++] = a->by_id[i]->e.message;
    enum err err =
        n ? store_each_fields(reader, a->person, ids, n, take_words, &reading, ei) : ERR_OK;
    mem_free(&ids);
    if (err == ERR_OK && reading.is_late)
        return err_set(ei, ERR_RETRY, "putting so many emails in order takes too long");
    return err;
}

/* ---- comparing ---- */

static int compare_u64(uint64_t x, uint64_t y)
{
    return x < y ? -1 : x > y;
}

static int compare_text(const struct account_entry *x, const struct account_entry *y,
                        enum account_sort_by by)
{
    if (!x->words || !y->words)
        return (x->words != NULL) - (y->words != NULL);
    if (by == ACCOUNT_BY_FROM)
        return strcmp(x->words->from, y->words->from);
    if (by == ACCOUNT_BY_TO)
        return strcmp(x->words->to, y->words->to);
    if (by == ACCOUNT_BY_SUBJECT)
        return strcmp(x->words->subject, y->words->subject);
    return x->words->sent < y->words->sent ? -1 : x->words->sent > y->words->sent;
}

static int compare_threads(const struct account_match *m, size_t sort,
                           const struct account_entry *x, const struct account_entry *y)
{
    unsigned bit = m->q->sorts[sort].by == ACCOUNT_BY_ALL_IN_THREAD_HAVE ? ACCOUNT_THREAD_ALL
                                                                         : ACCOUNT_THREAD_SOME;
    bool has_x = account_thread_has(m, m->sort_numbers[sort], x->e.thread) & bit;
    bool has_y = account_thread_has(m, m->sort_numbers[sort], y->e.thread) & bit;
    return has_x - has_y;
}

static int compare_by(const struct account_match *m, size_t sort, const struct account_entry *x,
                      const struct account_entry *y)
{
    const struct account_sort *s = &m->q->sorts[sort];
    switch (s->by) {
    case ACCOUNT_BY_RECEIVED:
        return x->e.received < y->e.received ? -1 : x->e.received > y->e.received;
    case ACCOUNT_BY_SIZE:
        return compare_u64(x->e.bytes, y->e.bytes);
    case ACCOUNT_BY_FROM:
    case ACCOUNT_BY_TO:
    case ACCOUNT_BY_SUBJECT:
    case ACCOUNT_BY_SENT:
        return compare_text(x, y, s->by);
    case ACCOUNT_BY_HAS_KEYWORD:
        return account_has_keyword(&x->e, s->keyword) - account_has_keyword(&y->e, s->keyword);
    case ACCOUNT_BY_ALL_IN_THREAD_HAVE:
    case ACCOUNT_BY_SOME_IN_THREAD_HAVE:
        return compare_threads(m, sort, x, y);
    }
    return 0;
}

int account_compare(const struct account_match *m, const struct account_entry *x,
                    const struct account_entry *y)
{
    for (size_t i = 0; i < m->q->n_sorts; i++) {
        int c = compare_by(m, i, x, y);
        if (c)
            return m->q->sorts[i].is_ascending ? c : -c;
    }
    if (x->e.received != y->e.received)
        return x->e.received > y->e.received ? -1 : 1;
    return compare_u64(y->e.message, x->e.message);
}
