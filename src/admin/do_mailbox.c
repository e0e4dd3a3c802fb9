/* What people did in their continuity mailboxes, and how far it is given back. */
#include "admin/admin_int.h"

#include <stdio.h>

struct asking {
    struct admin_call *c;
    struct slice address;
    enum admin_mailback_what what;
};

static void write_changes(struct out *j, const struct admin_mailback *m)
{
    out_array(j, "changes");
    for (size_t i = 0; i < m->n_changes; i++) {
        const struct admin_mailback_change *change = &m->changes[i];
        char id[MESSAGE_ID_TEXT];
        message_id_text(change->message, id);
        out_object(j, NULL);
        out_word(j, "message", id);
        out_text_if(j, "subject", change->subject);
        out_word(j, "what", change->what);
        out_word(j, "result", change->result);
        out_text_if(j, "folder", change->folder);
        out_text_if(j, "text", change->text);
        out_close(j);
    }
    out_close(j);
}

static void say(const struct asking *a, const struct admin_mailback *m, char *text, size_t n)
{
    bool is_stopped = m->text && m->text[0];
    if (m->n_waiting > 0 && is_stopped)
        (void)snprintf(text, n, "%llu changes wait: %s.", (unsigned long long)m->n_waiting,
                       m->text);
    else if (m->is_dry)
        (void)snprintf(text, n, "Nothing was changed. `staffetta mailbox return` does it.");
    else if (a->what == ADMIN_MAILBACK_RETURN)
        (void)snprintf(text, n,
                       "It is given back now, also what had failed before: `staffetta "
                       "mailbox show` says what became of it.");
    else if (m->n_waiting > 0)
        (void)snprintf(text, n, "%llu changes wait for their turn.",
                       (unsigned long long)m->n_waiting);
    else if (m->n_absent + m->n_ambiguous + m->n_refused > 0)
        (void)snprintf(text, n,
                       "What is listed could not be given back. Look at it over there, or "
                       "try again: staffetta mailbox return.");
    else
        (void)snprintf(text, n, "Nothing waits.");
}

static void told(void *cookie, enum err err, const struct admin_mailback *m, const char *why)
{
    struct asking a = *(struct asking *)cookie; /* it lies in the call's arena */
    struct out *j = &a.c->json;
    char text[400];
    if (err == ERR_CONFLICT || err == ERR_GONE) {
        call_refuse(a.c, err == ERR_GONE ? 404 : 409, "Nothing was done: %s.", why);
        return;
    }
    if (err != ERR_OK) {
        call_fail(a.c, err, why);
        return;
    }
    say(&a, m, text, sizeof(text));
    out_object(j, NULL);
    out_text(j, "address", a.address);
    out_truth(j, "dry_run", m->is_dry);
    out_time(j, "time", m->time);
    out_number(j, "given", m->n_done);
    out_number(j, "already", m->n_already);
    out_number(j, "doubtful", m->n_doubtful);
    out_number(j, "waiting", m->n_waiting);
    out_number(j, "absent", m->n_absent);
    out_number(j, "ambiguous", m->n_ambiguous);
    out_number(j, "refused", m->n_refused);
    out_truth(j, "more", m->is_more);
    write_changes(j, m);
    out_word(j, "text", text);
    out_close(j);
    call_done(a.c);
}

static void ask(struct admin_call *c, enum admin_mailback_what what)
{
    const struct directory_person *p = call_person(c, NULL);
    if (!p)
        return;
    struct asking *a = ARENA_NEW(c->arena, struct asking);
    *a = (struct asking){c, arena_copy(c->arena, p->facts.addresses[0].text), what};
    struct admin_mailback_order order = {.person = p->id,
                                         .what = what,
                                         .by = c->by,
                                         .why = c->body ? slice_trim(body_text(c->body, "why"))
                                                        : SLICE("")};
    c->host->mailback(c->host->arg, &order, told, a);
}

void do_mailbox_show(struct admin_call *c)
{
    ask(c, ADMIN_MAILBACK_SHOW);
}

void do_mailbox_return(struct admin_call *c)
{
    ask(c, body_truth(c->body, "dry_run", false) ? ADMIN_MAILBACK_DRY : ADMIN_MAILBACK_RETURN);
}
