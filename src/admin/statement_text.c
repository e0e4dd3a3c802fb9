/* The statement in words and columns, so that somebody who runs a company can read it: first
 * whether anything was lost, then when, who, what became of the mail, and the proof. */
#include "admin/statement_int.h"

#include <stdio.h>

enum { STEPS_SHOWN = 60, BOXES_SHOWN = 20, NUMBER_WIDTH = 12 };

/* ---- numbers ---- */

void add_count(struct buf *b, uint64_t n)
{
    char digits[30];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    for (int i = 0; i < len; i++)
        buf_addf(b, "%s%c", i > 0 && (len - i) % 3 == 0 ? "," : "", digits[i]);
}

void add_duration(struct buf *b, utc_ms ms)
{
    uint64_t sec = ms > 0 ? (uint64_t)(ms + 500) / 1000 : 0;
    unsigned long long days = sec / 86400, hours = sec / 3600 % 24, minutes = sec / 60 % 60;
    if (days)
        buf_addf(b, "%llu d %llu h", days, hours);
    else if (hours)
        buf_addf(b, "%llu h %llu min", hours, minutes);
    else if (minutes)
        buf_addf(b, "%llu min %llu s", minutes, (unsigned long long)(sec % 60));
    else
        buf_addf(b, "%llu s", (unsigned long long)sec);
}

void add_size(struct buf *b, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes / 1024;
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        n /= 1024;
    if (bytes < 1024)
        buf_addf(b, "%llu bytes", (unsigned long long)bytes);
    else
        buf_addf(b, "%.1f %s", n, units[unit]);
}

void add_words(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char sign = (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? ' ' : s.p[i];
        buf_add(b, &sign, 1);
    }
}

static void add_line(struct buf *b, const char *what, uint64_t n)
{
    SCOPED(buf_finish) struct buf count = buf_make(60);
    add_count(&count, n);
    buf_addf(b, "  %-46s%*s\n", what, NUMBER_WIDTH, buf_cstr(&count));
}

static void add_rule(struct buf *b)
{
    buf_addf(b, "  %-46s%*s\n", "", NUMBER_WIDTH, "---------");
}

/* ---- the first sentence ---- */

static bool is_over(const struct statement *s)
{
    return s->e.end_at != 0;
}

static void add_verdict(const struct statement *s, struct buf *b)
{
    uint64_t open = s->n[FATE_WAITING] + s->n[FATE_IS_HELD];
    if (!statement_is_proved(s)) {
        buf_addf(b,
                 "THE SUMS ARE NOT EQUAL. This statement proves nothing: see PROOF below. Nothing "
                 "was changed. Keep\nthe disk as it is and run `staffetta store verify` now.\n");
        return;
    }
    buf_addf(b, "Nothing was lost. ");
    add_count(b, statement_owed(s));
    buf_addf(b, " deliveries were owed to " SLICE_FMT "; what became of each of them is known,\n",
             SLICE_ARG(s->primary));
    buf_addf(b, "and the ledger, counted again, says the same.");
    if (open == 0 && is_over(s))
        buf_addf(b, " Nothing is left to do.\n");
    else if (s->n[FATE_IS_HELD] && is_over(s))
        buf_addf(b, "\nA person has to decide about what is held: `staffetta hold list`.\n");
    else
        buf_addf(b, " It is not over yet: these are the numbers of this moment.\n");
    if (s->doubles)
        buf_addf(b, "%llu may have arrived twice; each is listed under POSSIBLE DOUBLES.\n",
                 (unsigned long long)s->doubles);
}

/* ---- when ---- */

struct moment {
    const char *what;
    utc_ms t, before; /* so long after that one; 0: not said */
    const char *since;
};

static void add_moment(const struct directory_zone *zone, struct buf *b, struct moment m)
{
    if (!m.t)
        return;
    buf_addf(b, "  %-25s", m.what);
    directory_zone_add_time(zone, b, m.t);
    if (m.before && m.t >= m.before) {
        buf_addf(b, "   ");
        add_duration(b, m.t - m.before);
        buf_addf(b, " %s", m.since);
    }
    buf_addf(b, "\n");
}

static void add_times(const struct statement *s, struct buf *b)
{
    const struct episode *e = &s->e;
    const char *from = e->first_bad ? "after the first failure" : "after it was declared";
    const struct moment moments[] = {
        {"First failure", e->first_bad, 0, ""},
        {"Suspected", e->suspect_at, s->begin, from},
        {"Emergency", e->emergency_at, e->first_bad ? s->begin : 0, from},
        {"Well again", e->ready_at, s->begin, from},
        {"Giving back began", e->return_at, s->begin, from},
        {"End", e->end_at, e->return_at, "after giving back began"},
    };
    buf_addf(b, "\nWHEN (%s)\n", s->zone.name);
    if (!e->first_bad)
        buf_addf(b, "  %-25s%s\n", "First failure", "none was seen: a person was first");
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++)
        add_moment(&s->zone, b, moments[i]);
    if (e->end_at)
        buf_addf(b, "  %-25s", "All in all");
    else
        buf_addf(b, "  %-25s", "Until now");
    add_duration(b, (e->end_at ? e->end_at : s->now) - s->begin);
    if (e->giving_ms > 0 && e->n_given > 0) {
        buf_addf(b, ", of these giving back for ");
        add_duration(b, e->giving_ms);
    }
    buf_addf(b, "\n");
    if (e->n_deaths)
        buf_addf(b, "  It failed again in the middle of giving back: %u times.\n", e->n_deaths);
}

/* ---- who ---- */

static const char *step_words(const struct episode_step *step)
{
    switch ((enum episode_kind)step->kind) {
    case EPISODE_SUSPECTED:
        return "suspected";
    case EPISODE_EMERGENCY:
        return step->flags & EPISODE_IS_BY_HAND ? "emergency declared" : "emergency";
    case EPISODE_DIED:
        return "failed again";
    case EPISODE_READY:
        return "well again";
    case EPISODE_RETURNING:
        return "giving back";
    case EPISODE_ENDED:
        return "over";
    case EPISODE_ISOLATED:
        return "isolated";
    case EPISODE_CLEAN:
        return "declared clean";
    case EPISODE_PAUSED:
        return "paused";
    case EPISODE_RESUMED:
        return "resumed";
    case EPISODE_TOLD:
        return "people were told";
    case EPISODE_NOTED:
    case EPISODE_KIND_N:
        break;
    }
    return "decided";
}

static void add_steps(const struct statement *s, struct buf *b)
{
    const struct episode *e = &s->e;
    buf_addf(b, "\nWHO DECIDED WHAT, AND WHY\n");
    for (uint32_t i = 0; i < e->n_steps && i < STEPS_SHOWN; i++) {
        const struct episode_step *step = &e->steps[i];
        buf_addf(b, "  ");
        directory_zone_add_time(&s->zone, b, step->time);
        buf_addf(b, "  %-20s", step_words(step));
        add_words(b, step->by);
        buf_addf(b, "%s", step->why.n ? ": " : "");
        add_words(b, step->why);
        buf_addf(b, "\n");
    }
    uint32_t n_more = e->n_left_out + (e->n_steps > STEPS_SHOWN ? e->n_steps - STEPS_SHOWN : 0);
    if (n_more)
        buf_addf(b, "  … and %u more: `staffetta events` has all of them.\n", n_more);
}

/* ---- what became of the mail ---- */

static void add_reasons(const struct statement *s, struct buf *b)
{
    for (uint32_t i = 0; i <= REFUSE_N; i++) {
        if (!s->held_for[i])
            continue;
        buf_addf(b, "      of these ");
        add_count(b, s->held_for[i]);
        buf_addf(b, ": %s\n", i ? refuse_row(i - 1)->text : "a person held it");
    }
}

static void add_mail(const struct statement *s, struct buf *b)
{
    buf_addf(b, "\nTHE MAIL (one for each recipient; ");
    add_size(b, s->bytes);
    buf_addf(b, ")\n");
    add_line(b, "Accepted while it lasted", s->accepted);
    add_line(b, "Waited already when it began", s->before);
    add_rule(b);
    add_line(b, "Owed to " /* the name stands above */ "the mail system", statement_owed(s));
    buf_addf(b, "\n");
    add_line(b, "Delivered before giving back began", s->n[FATE_MEANWHILE]);
    add_line(b, "Given back", s->n[FATE_GIVEN_BACK]);
    add_line(b, "New while giving back, and passed on", s->n[FATE_PASSED_ON]);
    add_line(b, "Still waiting", s->n[FATE_WAITING]);
    add_line(b, "Held until a person decides", s->n[FATE_IS_HELD]);
    add_reasons(s, b);
    add_line(b, "Returned to the sender", s->n[FATE_IS_RETURNED]);
    if (s->notices)
        buf_addf(b, "      with %llu %s to senders\n", (unsigned long long)s->notices,
                 s->notices == 1 ? "notice" : "notices");
    add_line(b, "Removed by a person or rule", s->n[FATE_REMOVED]);
    add_line(b, "Merged: another address of the same mailbox", s->n[FATE_MERGED]);
    add_rule(b);
    add_line(b, "Found", statement_found(s));
    buf_addf(b, "\n");
    add_line(b, s->e.return_at ? "Kept here when giving back began" : "Kept here now", s->kept);
}

/* ---- the proof ---- */

static void add_equal(struct buf *b, const char *what, uint64_t here, uint64_t there)
{
    SCOPED(buf_finish) struct buf left = buf_make(60), right = buf_make(60);
    add_count(&left, here);
    add_count(&right, there);
    buf_addf(b, "  %-24s%*s%*s   %s\n", what, NUMBER_WIDTH, buf_cstr(&left), NUMBER_WIDTH,
             buf_cstr(&right), here == there ? "equal" : "NOT EQUAL");
}

static void add_proof(const struct statement *s, struct buf *b)
{
    buf_addf(b,
             "\nPROOF\n  The left numbers were counted message by message for this statement. The "
             "right ones are the\n  ledger's: what was accepted from the messages themselves, the "
             "fates from its own index.\n\n");
    buf_addf(b, "  %-24s%*s%*s\n", "", NUMBER_WIDTH, "statement", NUMBER_WIDTH, "ledger");
    add_equal(b, "Accepted", s->accepted, s->ledger.accepted);
    for (int d = DISPOSITION_WAITING; d < DISPOSITION_REFUSED; d++) {
        char name[20];
        (void)snprintf(name, sizeof(name), "%s", disposition_name(d));
        name[0] = (char)(name[0] - ('a' - 'A'));
        add_equal(b, name, s->by[d], s->ledger.by[d]);
    }
    add_equal(b, "Owed and found", statement_owed(s), statement_found(s));
}

/* ---- what people did ---- */

static void add_did(const struct statement *s, struct buf *b)
{
    const struct statement_did *did = &s->did;
    uint64_t n =
        did->given + did->already + did->waiting + did->absent + did->ambiguous + did->refused;
    if (n == 0)
        return;
    buf_addf(b, "\nWHAT PEOPLE DID HERE (read, answered, moved, deleted, drafted, sent)\n");
    add_line(b, "Mailboxes it was given back to", did->mailboxes);
    add_line(b, "Changes given back", did->given);
    add_line(b, "Were so already", did->already);
    add_line(b, "Not there: the message is missing", did->absent);
    add_line(b, "Ambiguous: left alone", did->ambiguous);
    add_line(b, "Refused", did->refused);
    add_line(b, "Waiting", did->waiting);
    if (did->doubtful)
        buf_addf(b,
                 "  %llu were on their way when a process ended; they were looked for before "
                 "they went again.\n",
                 (unsigned long long)did->doubtful);
    if (did->waiting && !did->has_access)
        buf_addf(b, "  They wait for a log-in that opens the mailboxes: staffetta access set.\n");
    buf_addf(b, "  Mailbox by mailbox: staffetta mailbox show ADDRESS\n");
}

/* ---- mailbox by mailbox ---- */

static uint64_t box_open(const struct box *box)
{
    return box->n[FATE_WAITING] + box->n[FATE_IS_HELD];
}

static void add_boxes(const struct statement *s, struct buf *b)
{
    const struct boxes *all = &s->boxes;
    buf_addf(b, "\nBY MAILBOX (essential ones first, marked *)\n");
    buf_addf(b, "  %-46s%9s%9s%9s%9s\n", "", "all", "given", "open", "else");
    for (size_t i = 0; i < all->n && i < BOXES_SHOWN; i++) {
        const struct box *box = all->list[i];
        unsigned long long given = box->n[FATE_GIVEN_BACK], open = box_open(box), n = box->n_rows;
        SCOPED(buf_finish) struct buf address = buf_make(500);
        buf_addf(&address, "%s", box->is_essential ? "* " : "");
        add_words(&address, box->address);
        buf_addf(b, "  %-46.45s%9llu%9llu%9llu%9llu\n", buf_cstr(&address), n, given, open,
                 n - given - open);
    }
    if (all->n > BOXES_SHOWN)
        buf_addf(b, "  … and %zu more: --json has them all.\n", all->n - BOXES_SHOWN);
}

void statement_text(const struct statement *s, const struct buf *doubles, struct buf *ret)
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(s->id, id);
    buf_addf(ret, "STATEMENT: the emergency of " SLICE_FMT " (" SLICE_FMT "), episode %s\n\n",
             SLICE_ARG(s->primary), SLICE_ARG(s->tenant), id);
    add_verdict(s, ret);
    add_times(s, ret);
    add_steps(s, ret);
    add_mail(s, ret);
    add_proof(s, ret);
    if (s->doubles) {
        buf_addf(ret, "\nPOSSIBLE DOUBLES (the connection or a process broke before the answer was "
                      "seen)\n");
        buf_add(ret, doubles->p, doubles->n);
    }
    add_did(s, ret);
    add_boxes(s, ret);
    buf_addf(ret, "\nEach message and its fate: staffetta state report --episode %s --messages\n",
             id);
}
