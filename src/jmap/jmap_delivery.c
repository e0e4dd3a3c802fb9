/* What became of a submission, from the rows of the messages that it became. */
#include "jmap/jmap_delivery.h"

#include "base/mail.h"

#include <stdlib.h>

enum { ROWS_MAX = 2000 }; /* a message has no more */

struct row {
    struct slice address, text, enhanced;
    uint64_t person, mailbox, primary;
    uint16_t rcpt, parent, code;
    uint32_t attempts;
    enum disposition disposition;
};
struct rows {
    struct arena *arena;
    struct row *v;
    size_t n;
    struct jmap_delivery *to; /* notices */
};

/* ---- notices ---- */

static void add_notice(struct jmap_delivery *to, uint64_t notice)
{
    for (size_t i = 0; i < to->n_notices; i++)
        if (to->notices[i] == notice)
            return;
    if (to->n_notices < JMAP_NOTICES_MAX)
        to->notices[to->n_notices++] = notice;
}

static int by_age(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

/* ---- rows ---- */

static bool keep_row(void *arg, const struct store_row *row)
{
    struct rows *all = arg;
    uint64_t notice = record_notice_in(row->last.by);
    if (notice)
        add_notice(all->to, notice);
    if (all->n == ROWS_MAX)
        return false;
    all->v[all->n++] = (struct row){.address = arena_copy(all->arena, row->facts.address),
                                    .text = arena_copy(all->arena, row->last.text),
                                    .enhanced = arena_copy(all->arena, row->last.enhanced),
                                    .person = row->facts.person,
                                    .mailbox = row->facts.mailbox,
                                    .primary = row->facts.primary,
                                    .rcpt = row->rcpt,
                                    .parent = row->facts.parent,
                                    .code = row->last.code,
                                    .attempts = row->last.attempts,
                                    .disposition = row->last.disposition};
    return true;
}

/* Of "250 2.0.0 words": up to the words. */
static size_t codes_length(const char *reply)
{
    size_t n = strcspn(reply, " ");
    return n + 1 + strcspn(reply + n + 1, " ");
}

/* The last reply of another system in one line, or ours where there was none. */
static struct slice reply_of(const struct rows *all, const struct row *row, const char *ours)
{
    const char *line = ours;
    if (row->code)
        line = arena_printf(all->arena, "%u " SLICE_FMT "%s" SLICE_FMT, row->code,
                            SLICE_ARG(row->enhanced), row->enhanced.n ? " " : "",
                            SLICE_ARG(row->text));
    else if (row->text.n)
        line = arena_printf(all->arena, "%.*s " SLICE_FMT, (int)codes_length(ours), ours,
                            SLICE_ARG(row->text));
    return slice_str(line);
}

static struct jmap_fate fate(const char *delivered, const char *reply)
{
    return (struct jmap_fate){delivered, slice_str(reply)};
}

/* In a mailbox here, by this row or by another of the same person. */
static bool is_here(const struct rows *all, const struct row *member)
{
    for (size_t i = 0; !member->mailbox && i < all->n; i++)
        if (all->v[i].mailbox && all->v[i].person == member->person)
            return true;
    return member->mailbox != 0;
}

/* Of a group's members, how many have it? */
static void count_members(const struct rows *all, const struct row *group, uint32_t *ret_n,
                          uint32_t *ret_here)
{
    *ret_n = *ret_here = 0;
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].parent == group->rcpt + 1) {
            ++*ret_n;
            *ret_here += is_here(all, &all->v[i]);
        }
}

/* Waits for its primary, or for the next try out in the world. */
static struct jmap_fate waiting_fate(const struct rows *all, const struct row *row)
{
    uint32_t n, n_here;
    count_members(all, row, &n, &n_here);
    if (row->mailbox || (n > 0 && n == n_here))
        return fate("yes", "250 2.1.5 in the mailbox here; goes on to the mail system as well");
    if (n > 0)
        return fate("queued", arena_printf(all->arena,
                                           "250 2.0.0 relayed: %u of the %u members have it in "
                                           "their mailbox here, the others read it when the mail "
                                           "system has it",
                                           n_here, n));
    if (row->primary && row->attempts == 0)
        return fate("queued", "250 2.0.0 relayed: read when the mail system of this person has it");
    return (struct jmap_fate){"queued", reply_of(all, row, "250 2.0.0 waits to be sent")};
}

enum { FATE_NOBODY = DISPOSITION_N, FATE_N };
static const struct {
    const char *delivered, *text;
} fates[FATE_N] = {
#define FATE(disposition, delivered, text) [disposition] = {delivered, text},
#include "jmap/fate.def"
#undef FATE
};

static struct jmap_fate row_fate(const struct rows *all, const struct row *row)
{
    if (row->disposition == DISPOSITION_WAITING)
        return waiting_fate(all, row);
    /* A system out in the world has taken it: what it did then is not known here. */
    if (row->disposition == DISPOSITION_DELIVERED)
        return (struct jmap_fate){row->mailbox || row->person || row->primary ? "yes" : "unknown",
                                  reply_of(all, row, "250 2.1.5 in the mailbox here")};
    if ((unsigned)row->disposition >= DISPOSITION_N || !fates[row->disposition].text)
        return fate("unknown", "250 2.0.0 what became of it is not known");
    return (struct jmap_fate){fates[row->disposition].delivered,
                              reply_of(all, row, fates[row->disposition].text)};
}

/* Two addresses of one person go as one: the first has the fate of both. */
static const struct row *row_of(const struct rows *all, struct slice address)
{
    const struct row *found = NULL;
    for (size_t i = 0; i < all->n && !found; i++)
        if (!all->v[i].parent && slice_ieq(all->v[i].address, address))
            found = &all->v[i];
    for (size_t i = 0; found && found->disposition == DISPOSITION_MERGED && i < all->n; i++)
        if (!all->v[i].parent && all->v[i].person == found->person &&
            all->v[i].disposition != DISPOSITION_MERGED)
            return &all->v[i];
    return found;
}

/* ---- recipients ---- */

struct reading {
    struct store_reader *reader;
    const struct jmap_item_submission *s;
    struct jmap_delivery *to;
    struct rows *parts;
    struct arena *arena;
    struct errinfo *ei;
};

static enum err read_parts(struct reading *x)
{
    x->parts = ARENA_ARRAY(x->arena, struct rows, x->s->n_parts + 1);
    for (uint32_t i = 0; i < x->s->n_parts; i++) {
        struct rows *all = &x->parts[i];
        struct row *some = mem_new(ROWS_MAX * sizeof(*some));
        *all = (struct rows){.arena = x->arena, .v = some, .to = x->to};
        enum err err = store_each_row_of(x->reader, x->s->parts[i].message, keep_row, all, x->ei);
        all->v = ARENA_ARRAY(x->arena, struct row, all->n + 1);
        memcpy(all->v, some, all->n * sizeof(*some));
        mem_free(&some);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static void read_rcpt(struct reading *x, uint32_t i)
{
    const struct jmap_item_rcpt *rcpt = &x->s->rcpts[i];
    struct jmap_fate *to = &x->to->rcpts[i];
    if (rcpt->refusal) {
        *to = fate(fates[FATE_NOBODY].delivered, fates[FATE_NOBODY].text);
        return;
    }
    const struct rows *all =
        rcpt->part > 0 && rcpt->part <= x->s->n_parts ? &x->parts[rcpt->part - 1] : NULL;
    const struct row *row = all ? row_of(all, rcpt->address) : NULL;
    *to = row ? row_fate(all, row) : fate("queued", "250 2.0.0 is being sent");
    x->to->is_settled &=
        row && row->disposition != DISPOSITION_WAITING && row->disposition != DISPOSITION_HELD;
}

static uint64_t mix(uint64_t hash, struct slice s)
{
    uint64_t pair[2] = {hash, hash_fixed(s)};
    return hash_fixed(slice_of((const char *)pair, sizeof(pair)));
}

static uint64_t digest(const struct jmap_delivery *d, uint32_t n_rcpts)
{
    uint64_t hash = mix(d->n_notices, SLICE(""));
    for (uint32_t i = 0; i < n_rcpts; i++) {
        hash = mix(hash, slice_str(d->rcpts[i].delivered));
        hash = mix(hash, d->rcpts[i].reply);
    }
    return hash ? hash : 1;
}

enum err jmap_delivery_read(struct store_reader *r, const struct jmap_item_submission *s,
                            struct arena *a, struct jmap_delivery *ret, struct errinfo *ei)
{
    *ret = (struct jmap_delivery){.rcpts = ARENA_ARRAY(a, struct jmap_fate, s->n_rcpts + 1),
                                  .notices = ARENA_ARRAY(a, uint64_t, JMAP_NOTICES_MAX),
                                  .is_settled = s->state == JMAP_FINAL};
    struct reading x = {.reader = r, .s = s, .to = ret, .arena = a, .ei = ei};
    if (s->notice)
        add_notice(ret, s->notice);
    enum err err = read_parts(&x);
    if (err != ERR_OK)
        return err;
    for (uint32_t i = 0; i < s->n_rcpts; i++)
        read_rcpt(&x, i);
    if (ret->n_notices > 1)
        qsort(ret->notices, ret->n_notices, sizeof(*ret->notices), by_age);
    ret->said = digest(ret, s->n_rcpts);
    return ERR_OK;
}
