/* Counts of mailboxes (RFC 8621 section 2).
 *
 * A thread counts once for each mailbox that one of its emails is in. It is unread there when one
 * of its emails that would be shown has neither $seen nor $draft; emails that are only in the trash
 * are not shown elsewhere, and emails that are not in the trash are not shown there. */
#include "account/account_int.h"

static bool is_unread(const struct account_email *e)
{
    return !(e->flags & (EMAIL_SEEN | EMAIL_DRAFT));
}

static void add(uint32_t *count, int by)
{
    *count = (uint32_t)((int64_t)*count + by);
}

void account_count_email(struct account *a, const struct account_email *e, int by)
{
    for (uint32_t i = 0; i < e->n_places && !e->is_gone; i++) {
        struct mailbox_entry *m =
            e->places[i].is_gone ? NULL : account_mailbox_entry(a, e->places[i].mailbox);
        if (!m)
            continue;
        add(&m->m.n_emails, by);
        add(&m->m.n_unread, is_unread(e) ? by : 0);
    }
}

/* Marks the mailboxes an email is in; is there one that is the trash, one that is another? */
static void mark(struct account *a, const struct account_email *e, bool *ret_trash, bool *ret_other)
{
    *ret_trash = *ret_other = false;
    for (uint32_t i = 0; i < e->n_places; i++) {
        struct mailbox_entry *m =
            e->places[i].is_gone ? NULL : account_mailbox_entry(a, e->places[i].mailbox);
        if (!m)
            continue;
        if (!m->is_touched) {
            a->touched =
                mem_grow(a->touched, a->n_touched, &a->cap_touched, sizeof(struct mailbox_entry *));
            a->touched[a->n_touched++] = m;
            m->is_touched = true;
        }
        *(m->m.id == a->trash ? ret_trash : ret_other) = true;
    }
}

void account_count_thread(struct account *a, const struct account_thread *t, int by)
{
    bool is_unread_in_trash = false, is_unread_elsewhere = false;
    for (size_t i = 0; i < t->n; i++) {
        const struct account_email *e = &t->members[i]->e;
        bool in_trash, in_other;
        if (e->is_gone)
            continue;
        mark(a, e, &in_trash, &in_other);
        is_unread_in_trash |= in_trash && is_unread(e);
        is_unread_elsewhere |= in_other && is_unread(e);
    }
    while (a->n_touched > 0) {
        struct mailbox_entry *m = a->touched[--a->n_touched];
        m->is_touched = false;
        add(&m->m.n_threads, by);
        if (m->m.id == a->trash ? is_unread_in_trash : is_unread_elsewhere)
            add(&m->m.n_unread_threads, by);
    }
}

void account_count_all(struct account *a)
{
    size_t at = 0;
    void *value;
    while (a->n_taken_out > 0) /* they are counted with all others */
        a->taken_out[--a->n_taken_out]->is_taken_out = false;
    for (size_t i = 0; i < a->n_mailboxes; i++) {
        struct account_mailbox *m = &a->mailboxes[i]->m;
        m->n_emails = m->n_unread = m->n_threads = m->n_unread_threads = 0;
    }
    for (size_t i = 0; i < a->n_by_received; i++)
        account_count_email(a, &a->by_received[i]->e, 1);
    while (map_next(a->threads, &at, NULL, &value))
        account_count_thread(a, value, 1);
}
