/* Orders of emails (RFC 8621 section 4.4.2). */
#include "account/account_int.h"

#include "email/email_list.h"
#include "search/search.h"

enum { WORD_MAX = 120 }; /* bytes that decide an order */

/* ---- words, read from the index once ---- */

static struct slice beginning(struct slice s)
{
    return slice_of(s.p, s.n < WORD_MAX ? s.n : WORD_MAX);
}

static struct slice put(char **at, struct slice s)
{
    struct slice kept = slice_of(*at, s.n);
    memcpy(*at, s.p ? s.p : "", s.n);
    *at += s.n;
    return kept;
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
    struct slice from = beginning(f->from_name.n ? f->from_name : f->from_address);
    struct slice to = beginning(email_list_to_first(f->to));
    struct slice subject = beginning(f->base_subject);
    size_t n = sizeof(*e->words) + from.n + to.n + subject.n;
    struct sort_words *w = mem_new(n);
    w->bytes = n;
    char *at = (char *)(w + 1);
    w->from = put(&at, from);
    w->to = put(&at, to);
    w->subject = put(&at, subject);
    w->sent = f->date;
    e->words = w;
    a->bytes += account_block(n);
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

static int compare_bytes(struct slice a, struct slice b, bool any_case)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)(any_case ? ascii_lower(a.p[i]) : a.p[i]);
        unsigned char y = (unsigned char)(any_case ? ascii_lower(b.p[i]) : b.p[i]);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return compare_u64(a.n, b.n);
}

/* The digits at the beginning, without zeros that do not count. */
static struct slice number_of(struct slice s)
{
    size_t n = 0, zeros = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    while (zeros + 1 < n && s.p[zeros] == '0')
        zeros++;
    return slice_of(s.p + zeros, n - zeros);
}

/* RFC 4790 section 9.1: what begins with no digit is larger than all that does. */
static int compare_numbers(struct slice a, struct slice b)
{
    struct slice x = number_of(a), y = number_of(b);
    if (x.n == 0 || y.n == 0 || x.n != y.n)
        return x.n == 0 || y.n == 0 ? (x.n == 0) - (y.n == 0) : compare_u64(x.n, y.n);
    return compare_bytes(x, y, false);
}

int account_collate(enum account_collation by, struct slice a, struct slice b)
{
    switch (by) {
    case ACCOUNT_FOR_PEOPLE:
        return search_compare(a, b);
    case ACCOUNT_ASCII_CASEMAP:
        return compare_bytes(a, b, true);
    case ACCOUNT_ASCII_NUMERIC:
        return compare_numbers(a, b);
    case ACCOUNT_OCTET:
        break;
    }
    return compare_bytes(a, b, false);
}

static int compare_text(const struct account_entry *x, const struct account_entry *y,
                        const struct account_sort *s)
{
    if (!x->words || !y->words)
        return (x->words != NULL) - (y->words != NULL);
    if (s->by == ACCOUNT_BY_FROM)
        return account_collate(s->collation, x->words->from, y->words->from);
    if (s->by == ACCOUNT_BY_TO)
        return account_collate(s->collation, x->words->to, y->words->to);
    if (s->by == ACCOUNT_BY_SUBJECT)
        return account_collate(s->collation, x->words->subject, y->words->subject);
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
        return compare_text(x, y, s);
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
