/* Which message of theirs is ours? Our trace header says it; else its Message-ID together with date
 * and sender. Several are left alone unless it is plain which one is meant. Pure. */
#include "liaison/give_int.h"

#include "mime/address.h"
#include "mime/mime.h"

enum { DATE_SLACK_MS = 1999, PARSE_BYTES = 1 << 20 };

/* "v=1; t=acme; i=abcdefghijklm; ...": is it this id? */
static bool is_traced(struct slice value, struct slice id)
{
    while (value.n > 0) {
        struct slice tag = slice_trim(slice_cut(value, ';', &value));
        if (slice_istarts(tag, SLICE("i=")) && slice_eq(slice_skip(tag, 2), id))
            return true;
    }
    return false;
}

static struct slice bare_id(struct slice id)
{
    id = slice_trim(id);
    bool has_brackets = id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>';
    return has_brackets ? slice_of(id.p + 1, id.n - 2) : id;
}

/* What a header says of itself. */
struct facts {
    struct mime_ids ids;
    struct mime_addresses from;
    struct mime_date date;
    bool has_date, is_traced;
};

static void read_facts(struct slice header, struct slice trace, struct arena *a, struct facts *ret)
{
    struct mime_walk w = mime_walk_make(header);
    struct mime_field f;
    while (mime_walk_next(&w, &f)) {
        if (slice_ieq(f.name, SLICE("Message-ID")) && ret->ids.n == 0)
            (void)mime_ids_parse(f.value, a, &ret->ids);
        else if (slice_ieq(f.name, SLICE("From")) && ret->from.n == 0)
            (void)mime_addresses_parse(f.value, a, &ret->from);
        else if (slice_ieq(f.name, SLICE("Date")) && !ret->has_date)
            ret->has_date = mime_date_parse(f.value, &ret->date) == MIME_DATE_OK;
        else if (slice_ieq(f.name, SLICE("Staffetta-Trace")) && trace.n > 0)
            ret->is_traced |= is_traced(f.value, trace);
    }
}

static bool is_from(const struct mime_addresses *from, struct slice sender)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct mime_address *v = &from->v[i];
        size_t n = v->local.n + 1 + v->domain.n;
        if (v->domain.n > 0 && sender.n == n &&
            slice_ieq(slice_of(sender.p, v->local.n), v->local) && sender.p[v->local.n] == '@' &&
            slice_ieq(slice_skip(sender, v->local.n + 1), v->domain))
            return true;
    }
    return false;
}

static enum give_match compare(const struct ipc_mailbox_op *op, const struct facts *f)
{
    if (f->is_traced)
        return GIVE_TRACED;
    struct slice id = bare_id(op->message_id);
    if (id.n == 0 || f->ids.n == 0 || !slice_eq(f->ids.v[0], id))
        return GIVE_OTHER;
    unsigned n_same = 0, n_other = 0;
    if (op->date != 0 && f->has_date) {
        uint64_t apart = op->date > f->date.at ? (uint64_t)op->date - (uint64_t)f->date.at
                                               : (uint64_t)f->date.at - (uint64_t)op->date;
        bool is_same = apart <= DATE_SLACK_MS;
        n_same += is_same;
        n_other += !is_same;
    }
    if (op->sender.n > 0 && f->from.n > 0) {
        bool is_same = is_from(&f->from, op->sender);
        n_same += is_same;
        n_other += !is_same;
    }
    return n_other == 0 ? GIVE_SURE : n_same > 0 ? GIVE_LIKELY : GIVE_DOUBTFUL;
}

enum give_match give_match(const struct ipc_mailbox_op *op, struct slice header)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(PARSE_BYTES);
    struct facts f = {};
    if (header.n > PARSE_BYTES / 16)
        return GIVE_OTHER; /* no header that we know says so much */
    read_facts(header, op->trace, a, &f);
    return compare(op, &f);
}

bool give_is_same(const struct ipc_mailbox_op *a, const struct ipc_mailbox_op *b)
{
    return (a->trace.n > 0 && slice_eq(a->trace, b->trace)) ||
           (a->message_id.n > 0 && slice_eq(a->message_id, b->message_id));
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* Those that are considered; `in`: only in this folder, GIVE_NOWHERE: in any. */
static size_t count(const struct give_set *s, enum give_match least, bool with_deleted, int in,
                    size_t *ret_first)
{
    size_t n = 0;
    for (size_t i = s->n; i-- > 0;) {
        const struct give_found *f = &s->list[i];
        if (f->match < least || (f->is_deleted && !with_deleted) ||
            (in != GIVE_NOWHERE && f->place != in))
            continue;
        *ret_first = i;
        n++;
    }
    return n;
}

static enum give_match best(const struct give_set *s)
{
    enum give_match best = GIVE_OTHER;
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].match > best)
            best = s->list[i].match;
    return best;
}

struct give_choice give_choose(const struct give_set *found, int target, int from)
{
    struct give_choice c = {.kind = GIVE_ONE};
    enum give_match least = best(found);
    if (found->n == 0)
        return (struct give_choice){.kind = GIVE_NONE};
    if (found->is_cut)
        return (struct give_choice){.kind = GIVE_MANY,
                                    .why = "there are too many that could be it"};
    if (least < GIVE_SURE)
        return (struct give_choice){.kind = GIVE_MANY,
                                    .why = "one has its Message-ID, but another date or sender"};
    size_t n = count(found, least, false, GIVE_NOWHERE, &c.at);
    if (n == 1)
        return c;
    if (n == 0) {
        c.kind = GIVE_DEAD;
        (void)count(found, least, true, GIVE_NOWHERE, &c.at);
        return c;
    }
    if (target != GIVE_NOWHERE && count(found, least, false, target, &c.at) == 1)
        return c;
    if (from != GIVE_NOWHERE && count(found, least, false, from, &c.at) == 1)
        return c;
    return (struct give_choice){.kind = GIVE_MANY, .why = "it is there more than once"};
}

/* Does one that lies there stand for the one that shall be kept with this role? */
static bool stands_for(enum imap_role there, enum imap_role role)
{
    bool is_outgoing = role == IMAP_ROLE_SENT || role == IMAP_ROLE_DRAFTS;
    if (is_outgoing)
        return there != IMAP_ROLE_INBOX && there != IMAP_ROLE_JUNK;
    return there != IMAP_ROLE_SENT;
}

struct give_choice give_choose_kept(const struct give_places *p, const struct give_set *found,
                                    int target, enum imap_role role)
{
    struct give_set kept = {.is_cut = found->is_cut};
    size_t from[GIVE_FOUND_MAX] = {};
    for (size_t i = 0; i < found->n; i++) {
        int place = found->list[i].place;
        if (place != target && !stands_for(p->list[place].role, role))
            continue;
        from[kept.n] = i;
        kept.list[kept.n++] = found->list[i];
    }
    if (kept.n == 0)
        return (struct give_choice){.kind = found->is_cut ? GIVE_MANY : GIVE_NONE,
                                    .why = "there are too many that could be it"};
    struct give_choice c = {.kind = GIVE_SOME};
    if (best(&kept) < GIVE_LIKELY)
        return (struct give_choice){.kind = GIVE_MANY,
                                    .why = "one has its Message-ID, but another date and sender"};
    enum give_match least = best(&kept) == GIVE_TRACED ? GIVE_TRACED : GIVE_LIKELY;
    size_t n = count(&kept, least, false, GIVE_NOWHERE, &c.at);
    size_t n_there = target == GIVE_NOWHERE ? 0 : count(&kept, least, false, target, &c.at);
    if (n == 0) {
        c.kind = GIVE_DEAD;
        (void)count(&kept, least, true, GIVE_NOWHERE, &c.at);
    } else if (n == 1 || n_there == 1) {
        c.kind = GIVE_ONE;
    }
    c.at = from[c.at];
    return c;
}
