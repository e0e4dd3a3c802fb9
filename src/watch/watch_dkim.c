/* Are the keys published that mail of the domain is signed with (RFC 6376 section 3.6)? */
#include "watch/watch_int.h"

#include <stdio.h>

enum { RSA_BITS_GOOD = 2048, SHOWN_MAX = 64 };

/* What is at one selector. */
struct seen {
    const char *flaw; /* NULL: usable */
    struct trust_dkim_key key;
    size_t n; /* records */
};

static void read_records(const struct watch_records *r, struct arena *a, struct seen *ret)
{
    *ret = (struct seen){.flaw = "there is no key", .n = r->n};
    for (size_t i = 0; i < r->n && ret->flaw; i++) {
        struct slice text;
        if (watch_text_read(r->data[i], a, &text))
            ret->flaw = trust_dkim_key_read(text, &ret->key);
    }
}

static void describe(struct watch_finding *f, struct slice selector, const struct seen *seen)
{
    char one[WATCH_NAME_MAX];
    int n = (int)(selector.n < SHOWN_MAX ? selector.n : SHOWN_MAX);
    if (seen->flaw)
        (void)snprintf(one, sizeof(one), "%.*s: %s", n, selector.p, seen->flaw);
    else
        (void)snprintf(one, sizeof(one), "%.*s: fine (%s, %u bits%s%s)", n, selector.p,
                       seen->key.is_ed25519 ? "Ed25519" : "RSA", seen->key.bits,
                       seen->key.is_testing ? ", in testing" : "",
                       seen->n > 1 ? ", several records" : "");
    watch_join(f->found, sizeof(f->found), one);
}

static void unusable(const struct watch_look *l, struct watch_finding *f,
                     const struct watch_selector *s)
{
    f->class = WATCH_ALARM;
    WATCH_SAY(f->why, "What %s signs with that key counts as forged or unsigned.",
              s->is_ours ? "this node" : "the company's mail system");
    if (s->is_ours)
        WATCH_SAY(f->advice,
                  "Publish the key of the selector " SLICE_FMT " again:  " SLICE_FMT
                  "._domainkey." SLICE_FMT ". TXT ...",
                  SLICE_ARG(s->name), SLICE_ARG(s->name), SLICE_ARG(l->domain->name));
    else
        WATCH_SAY(
            f->advice,
            "Publish the key again, as the mail system shows it:  " SLICE_FMT
            "._domainkey." SLICE_FMT
            ". TXT ... If nothing is signed with it any more:  staffetta dkim remove " SLICE_FMT
            " " SLICE_FMT,
            SLICE_ARG(s->name), SLICE_ARG(l->domain->name), SLICE_ARG(l->domain->name),
            SLICE_ARG(s->name));
}

static void not_good(struct watch_finding *f, const struct watch_selector *s,
                     const struct seen *seen)
{
    bool is_short = !seen->key.is_ed25519 && seen->key.bits < RSA_BITS_GOOD;
    if ((!is_short && !seen->key.is_testing && seen->n < 2) || f->class >= WATCH_NOTICE)
        return;
    f->class = WATCH_NOTICE;
    if (is_short) {
        WATCH_SAY(f->why,
                  "RSA keys of less than %d bits can be broken, and some receivers do not "
                  "count them (RFC 8301 section 3.2).",
                  RSA_BITS_GOOD);
        WATCH_SAY(f->advice,
                  "Make a new key of %d bits under another selector, publish it, then sign with "
                  "it.",
                  RSA_BITS_GOOD);
    } else if (seen->key.is_testing) {
        WATCH_SAY(f->why, "The record says that the domain only tests DKIM (t=y): receivers may "
                          "ignore the signatures.");
        WATCH_SAY(f->advice, "When signing works remove t=y from the record of " SLICE_FMT ".",
                  SLICE_ARG(s->name));
    } else {
        WATCH_SAY(f->why, "There may be one record at a selector: receivers take any of them.");
        WATCH_SAY(f->advice, "Leave one record at " SLICE_FMT "._domainkey.", SLICE_ARG(s->name));
    }
}

static void judge_selector(const struct watch_look *l, struct watch_finding *f,
                           const struct watch_selector *s)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(2 * TRUST_ANSWER_MAX);
    struct watch_records r;
    struct watch_finding here = {};
    struct seen seen;
    watch_ask(l->dns, WATCH_TYPE_TXT, a, &r, SLICE_FMT "._domainkey." SLICE_FMT, SLICE_ARG(s->name),
              SLICE_ARG(l->domain->name));
    if (watch_is_unanswered(&here, &r, "a DKIM key")) {
        if (f->class == WATCH_OK) {
            f->class = WATCH_UNKNOWN;
            WATCH_SAY(f->why, "%s", here.why);
        }
        return;
    }
    read_records(&r, a, &seen);
    describe(f, s->name, &seen);
    if (!seen.flaw)
        not_good(f, s, &seen);
    else if (f->class != WATCH_ALARM)
        unusable(l, f, s);
}

void watch_judge_dkim(struct watch_look *l)
{
    const struct watch_domain *d = l->domain;
    struct watch_finding *f = watch_add(l->all, WATCH_DKIM);
    WATCH_SAY(f->expected, "a usable key at each selector");
    for (size_t i = 0; i < d->n_selectors; i++)
        judge_selector(l, f, &d->selectors[i]);
    if (d->n_selectors > 0) {
        if (f->found[0] == '\0')
            WATCH_SAY(f->found, "no answer for the keys");
        return;
    }
    f->class = WATCH_UNKNOWN;
    WATCH_SAY(f->found, "no selector is known");
    WATCH_SAY(f->why, "DNS has no list of keys: only who knows the selectors can look.");
    WATCH_SAY(f->advice,
              "Name those of the company's mail system (s= in the DKIM-Signature of a message that "
              "it sent):  staffetta dkim add " SLICE_FMT " SELECTOR",
              SLICE_ARG(d->name));
}
