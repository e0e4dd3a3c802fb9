/* A small company of one person: emails made of numbers, put into a view, and a plain model beside
 * it that is searched the slow way. */
#ifndef ACCOUNT_TEST_ACCOUNT_KIT_H
#define ACCOUNT_TEST_ACCOUNT_KIT_H

#include "account/account_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KIT_EMAILS = 400, KIT_BOXES = 6 };

struct kit {
    struct account *a;
    uint64_t modseq;
    struct account_email emails[KIT_EMAILS];
    struct record_place places[KIT_EMAILS][KIT_BOXES * 40];
    struct record_keyword keywords[KIT_EMAILS][1];
    size_t n;
    struct account_mailbox boxes[KIT_BOXES];
    unsigned seed;
};

static inline unsigned kit_random(struct kit *k, unsigned n)
{
    k->seed = k->seed * 1103515245 + 12345;
    return (k->seed >> 16) % n;
}

static inline uint64_t box_id(unsigned n)
{
    return 1000 + n;
}

static inline void kit_box(struct kit *k, unsigned n)
{
    static const char *roles[KIT_BOXES] = {"inbox", "trash", "sent", "", "", ""};
    struct account_mailbox *b = &k->boxes[n];
    b->id = box_id(n);
    b->name = slice_str(roles[n][0] ? roles[n] : "folder");
    b->role = slice_str(roles[n]);
    b->modseq = ++k->modseq;
    b->created = b->created ? b->created : b->modseq;
    account_view_mailbox(k->a, b);
}

static inline void kit_open(struct kit *k, unsigned seed)
{
    *k = (struct kit){.seed = seed, .a = account_view_create(7)};
    for (unsigned i = 0; i < KIT_BOXES; i++)
        kit_box(k, i);
}

static inline bool kit_is_in(const struct account_email *e, uint64_t box)
{
    for (uint32_t i = 0; i < e->n_places; i++)
        if (e->places[i].mailbox == box && !e->places[i].is_gone)
            return !e->is_gone;
    return false;
}

static inline void kit_put(struct kit *k, size_t n)
{
    struct account_email *e = &k->emails[n];
    e->places = k->places[n];
    e->keywords = k->keywords[n];
    account_view_email(k->a, e);
}

/* Into or out of a mailbox. */
static inline void kit_place(struct kit *k, size_t n, unsigned box, bool is_gone)
{
    struct account_email *e = &k->emails[n];
    struct record_place *p = k->places[n];
    for (uint32_t i = 0; i < e->n_places; i++)
        if (p[i].mailbox == box_id(box) && !p[i].is_gone) {
            p[i].is_gone = is_gone;
            p[i].modseq = is_gone ? k->modseq : p[i].modseq;
            return;
        }
    if (is_gone || e->n_places == KIT_BOXES * 40)
        return;
    p[e->n_places++] = (struct record_place){box_id(box), (uint32_t)k->modseq, k->modseq, 0};
}

static inline void kit_add(struct kit *k, utc_ms received, size_t thread_of, unsigned box)
{
    size_t n = k->n++;
    struct account_email *e = &k->emails[n];
    *e = (struct account_email){.message = 100 + n,
                                .thread = thread_of < n ? k->emails[thread_of].thread : 100 + n,
                                .modseq = ++k->modseq,
                                .created = k->modseq,
                                .counted = k->modseq,
                                .received = received,
                                .bytes = 10 + (uint32_t)n};
    kit_place(k, n, box, false);
    kit_put(k, n);
}

/* All leave a mailbox with one number, which it gets itself: what its removal does to emails. */
static inline void kit_empty_box(struct kit *k, unsigned box)
{
    kit_box(k, box);
    for (size_t i = 0; i < k->n; i++) {
        struct account_email *e = &k->emails[i];
        if (!kit_is_in(e, box_id(box)))
            continue;
        e->modseq = e->counted = k->modseq;
        kit_place(k, i, box, true);
        e->is_gone = true;
        for (uint32_t p = 0; p < e->n_places; p++)
            e->is_gone &= k->places[i][p].is_gone;
        kit_put(k, i);
    }
}

/* Something happens. */
static inline void kit_step(struct kit *k)
{
    unsigned what = kit_random(k, 10);
    if (k->n < 3 || (what < 4 && k->n < KIT_EMAILS)) {
        unsigned at = kit_random(k, 300), thread_of = kit_random(k, (unsigned)(2 * k->n + 1));
        kit_add(k, 1000 + at, thread_of, kit_random(k, KIT_BOXES));
        return;
    }
    size_t n = kit_random(k, (unsigned)k->n);
    struct account_email *e = &k->emails[n];
    if (kit_random(k, 12) == 0)
        kit_empty_box(k, kit_random(k, KIT_BOXES));
    if (e->is_gone)
        return;
    e->modseq = ++k->modseq;
    if (what == 4) {
        e->is_gone = true;
        e->counted = e->modseq;
        for (unsigned i = 0; i < KIT_BOXES; i++)
            kit_place(k, n, i, true);
    } else if (what < 7) {
        e->flags ^= EMAIL_SEEN;
        e->counted = e->modseq;
    } else if (what == 7) {
        e->flags ^= EMAIL_FLAGGED;
    } else if (what == 8) {
        e->n_keywords = !e->n_keywords;
        k->keywords[n][0].text = SLICE("work");
    } else {
        unsigned to = kit_random(k, KIT_BOXES);
        e->counted = e->modseq;
        for (unsigned i = 0; i < KIT_BOXES; i++)
            if (i != to && kit_random(k, 2))
                kit_place(k, n, i, true);
        kit_place(k, n, to, false);
    }
    kit_put(k, n);
}

#endif
