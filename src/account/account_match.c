/* Does an email match a filter (RFC 8621 section 4.4.1)?
 *
 * What is asked about threads is found out once for each thread and keyword, and kept while the
 * question is answered: however long a thread is, nobody goes through it for each of its emails. */
#include "account/account_int.h"

enum { FACTS_BYTES_MAX = 32 << 20 };

bool account_is_in(const struct account_email *e, uint64_t mailbox)
{
    for (uint32_t i = 0; i < e->n_places; i++)
        if (e->places[i].mailbox == mailbox && !e->places[i].is_gone)
            return true;
    return false;
}

static bool has_id(const uint64_t *ids, size_t n, uint64_t id)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ids[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && ids[low] == id;
}

static bool is_in_another(const struct account_email *e, const uint64_t *ids, size_t n)
{
    for (uint32_t i = 0; i < e->n_places; i++)
        if (!e->places[i].is_gone && !has_id(ids, n, e->places[i].mailbox))
            return true;
    return false;
}

static const struct flag_name {
    struct slice name;
    uint32_t flag;
} flag_names[] = {
#define EMAIL_FLAG(id, flag, keyword) {SLICE(keyword), flag},
#include "account/email_flag.def"
#undef EMAIL_FLAG
};

uint32_t account_flag(struct slice keyword)
{
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
        if (slice_ieq(flag_names[i].name, keyword))
            return flag_names[i].flag;
    return 0;
}

bool account_has_keyword(const struct account_email *e, struct slice keyword)
{
    uint32_t flag = account_flag(keyword);
    if (flag)
        return e->flags & flag;
    for (uint32_t i = 0; i < e->n_keywords; i++)
        if (slice_ieq(e->keywords[i].text, keyword))
            return true;
    return false;
}

/* ---- keywords in threads ---- */

/* The number of a keyword that is asked for; a new one if it is the first time. */
static size_t number_of(struct account_match *m, struct slice keyword)
{
    for (size_t i = 0; i < m->n_keywords; i++)
        if (slice_ieq(m->keywords[i], keyword))
            return i;
    m->keywords = mem_grow(m->keywords, m->n_keywords, &m->cap_keywords, sizeof(struct slice));
    m->keywords[m->n_keywords] = keyword;
    return m->n_keywords++;
}

/* A copy in which conditions about threads name their keyword by its number. */
static struct account_filter *number_all(struct account_match *m, const struct account_filter *f,
                                         size_t n, struct arena *arena)
{
    struct account_filter *copy = ARENA_ARRAY(arena, struct account_filter, n + 1);
    for (size_t i = 0; i < n; i++) {
        copy[i] = f[i];
        if (f[i].n_parts)
            copy[i].parts = number_all(m, f[i].parts, f[i].n_parts, arena);
        if (f[i].test == ACCOUNT_ALL_IN_THREAD_HAVE || f[i].test == ACCOUNT_SOME_IN_THREAD_HAVE ||
            f[i].test == ACCOUNT_NONE_IN_THREAD_HAVE)
            copy[i].number = number_of(m, f[i].keyword);
    }
    return copy;
}

enum err account_match_init(struct account_match *m, const struct account *a,
                            const struct account_query *q, struct arena *arena, struct errinfo *ei)
{
    *m = (struct account_match){.a = a, .q = q};
    if (q->filter)
        m->filter = number_all(m, q->filter, 1, arena);
    m->sort_numbers = ARENA_ARRAY(arena, size_t, q->n_sorts + 1);
    for (size_t i = 0; i < q->n_sorts; i++)
        if (q->sorts[i].by == ACCOUNT_BY_ALL_IN_THREAD_HAVE ||
            q->sorts[i].by == ACCOUNT_BY_SOME_IN_THREAD_HAVE)
            m->sort_numbers[i] = number_of(m, q->sorts[i].keyword);
    m->n_threads = map_size(a->threads);
    if (m->n_keywords * m->n_threads > FACTS_BYTES_MAX)
        return err_set(ei, ERR_LIMIT, "too many keywords in threads are asked for at once");
    if (m->n_keywords)
        m->facts = mem_new(m->n_keywords * m->n_threads);
    return ERR_OK;
}

void account_match_finish(struct account_match *m)
{
    mem_free(&m->keywords);
    mem_free(&m->facts);
}

static uint8_t look_at(const struct account_thread *t, struct slice keyword)
{
    uint8_t facts = ACCOUNT_THREAD_KNOWN | ACCOUNT_THREAD_ALL;
    for (size_t i = 0; i < t->n; i++) {
        const struct account_email *e = &t->members[i]->e;
        if (e->is_gone)
            continue;
        if (account_has_keyword(e, keyword))
            facts |= ACCOUNT_THREAD_SOME;
        else
            facts &= (uint8_t)~ACCOUNT_THREAD_ALL;
    }
    return facts;
}

unsigned account_thread_has(const struct account_match *m, uint64_t keyword, uint64_t thread)
{
    const struct account_thread *t = account_thread_of(m->a, thread);
    uint8_t *facts = &m->facts[keyword * m->n_threads + t->number];
    if (!*facts)
        *facts = look_at(t, m->keywords[keyword]);
    return *facts;
}

/* ---- all conditions ---- */

static bool matches_parts(const struct account_match *m, const struct account_filter *f,
                          const struct account_email *e)
{
    bool is_wanted = f->test == ACCOUNT_OR; /* one such part decides; NOT: one that matches */
    bool is_decided_by = f->test != ACCOUNT_AND;
    for (size_t i = 0; i < f->n_parts; i++)
        if (account_matches(m, &f->parts[i], e) == is_decided_by)
            return is_wanted;
    return !is_wanted;
}

bool account_matches(const struct account_match *m, const struct account_filter *f,
                     const struct account_email *e)
{
    switch (f->test) {
    case ACCOUNT_AND:
    case ACCOUNT_OR:
    case ACCOUNT_NOT:
        return matches_parts(m, f, e);
    case ACCOUNT_ALL:
        return true;
    case ACCOUNT_IN_MAILBOX:
        return account_is_in(e, f->number);
    case ACCOUNT_IN_MAILBOX_OTHER_THAN:
        return is_in_another(e, f->ids, f->n_ids);
    case ACCOUNT_BEFORE:
        return e->received < f->time;
    case ACCOUNT_AFTER:
        return e->received >= f->time;
    case ACCOUNT_MIN_SIZE:
        return e->bytes >= f->number;
    case ACCOUNT_MAX_SIZE:
        return e->bytes < f->number;
    case ACCOUNT_ALL_IN_THREAD_HAVE:
        return account_thread_has(m, f->number, e->thread) & ACCOUNT_THREAD_ALL;
    case ACCOUNT_SOME_IN_THREAD_HAVE:
        return account_thread_has(m, f->number, e->thread) & ACCOUNT_THREAD_SOME;
    case ACCOUNT_NONE_IN_THREAD_HAVE:
        return !(account_thread_has(m, f->number, e->thread) & ACCOUNT_THREAD_SOME);
    case ACCOUNT_HAS:
        return account_has_keyword(e, f->keyword);
    case ACCOUNT_HAS_NOT:
        return !account_has_keyword(e, f->keyword);
    case ACCOUNT_HAS_ATTACHMENT:
        return !!(e->flags & EMAIL_ATTACHED) == !!f->number;
    case ACCOUNT_ONE_OF:
        return has_id(f->ids, f->n_ids, e->message);
    }
    return false;
}
