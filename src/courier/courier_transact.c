/* One transaction: XCLIENT if wanted, MAIL, RCPT, content, and whose answer counts for whom.
 *
 * Commands go out in groups (RFC 2920): one write, then the answers in order. Groups are bounded so
 * that the answers of an honest server fit into the socket's buffers and nobody waits for each
 * other. RFC 5321 sections 3.3, 4.2, 4.5.3; 3030 (BDAT); 1870, 6152, 6531, 3461. */
#include "courier/courier_int.h"

#include <stdio.h>

#include "base/mail.h"

enum {
    GROUP_MAX = 100,            /* answers due at once */
    TOGETHER_BYTES = 128 << 10, /* content that travels with its envelope */
};

enum step_kind { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_BDAT };
struct step {
    enum step_kind kind;
    uint32_t rcpt;
};

struct transaction {
    struct courier_peer *peer;
    struct courier_work *work;
    struct courier_end *end;
    struct step steps[GROUP_MAX + 4]; /* written or to be written, not answered */
    size_t n_steps;
    size_t n_accepted;
    struct courier_end mail;    /* the answer to MAIL, if it was no */
    struct courier_end content; /* the answer to DATA, to the last BDAT or to the dot */
    bool *is_accepted;
    bool has_mail_answer, is_mail_ok, wants_content, has_final;
    bool is_cut; /* not everything was written: only a no can be an answer to the content */
};

static bool offers(const struct courier_peer *p, unsigned bit)
{
    return (p->caps.flags & bit) != 0;
}

/* ---- what the peer cannot take ------------------------------------------------------------------
 */

static bool has_utf8(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 127)
            return true;
    return false;
}

/* Judged before anything is sent. True: the message as a whole cannot go there. */
static bool judge_message(const struct courier_peer *p, const struct courier_work *w,
                          struct courier_end *end)
{
    const struct ipc_job *job = &w->job;
    /* The mark of the submission counts only if something in the message needs it. */
    bool needs_utf8 = has_utf8(job->mail_from) || ((job->flags & MESSAGE_SMTPUTF8) && w->has_8bit);
    if (needs_utf8 && !offers(p, WIRE_CAP_SMTPUTF8))
        courier_end_words(end, SMTP_PHASE_MAIL, "550 5.6.7",
                          "%.200s takes no internationalised mail (no SMTPUTF8)", p->remote);
    else if (w->has_8bit && !offers(p, WIRE_CAP_8BITMIME))
        courier_end_words(end, SMTP_PHASE_MAIL, "554 5.6.3",
                          "%.200s takes no 8-bit content (no 8BITMIME)", p->remote);
    else if (p->caps.size_bytes > 0 && w->content.n > p->caps.size_bytes)
        courier_end_words(end, SMTP_PHASE_MAIL, "552 5.3.4",
                          "the message has %zu bytes, %.200s takes %llu", w->content.n, p->remote,
                          (unsigned long long)p->caps.size_bytes);
    else
        return false;
    return true;
}

static bool judge_recipient(const struct transaction *t, uint32_t rcpt, struct courier_end *end)
{
    struct slice address = t->work->job.rcpts[rcpt].address;
    if (has_utf8(address) && !offers(t->peer, WIRE_CAP_SMTPUTF8))
        courier_end_words(end, SMTP_PHASE_RCPT, "550 5.6.7",
                          "%.200s takes no internationalised addresses (no SMTPUTF8)",
                          t->peer->remote);
    else if (t->peer->caps.rcpt_max > 0 && rcpt >= t->peer->caps.rcpt_max)
        courier_end_words(end, SMTP_PHASE_RCPT, "452 4.5.3",
                          "%.200s takes %u recipients a message; this one comes with another",
                          t->peer->remote, t->peer->caps.rcpt_max);
    else
        return false;
    return true;
}

/* ---- answers
 * -------------------------------------------------------------------------------------- */

static bool out_of_place(struct transaction *t, enum smtp_phase phase)
{
    unsigned code = t->end->code;
    t->peer->is_broken = true;
    courier_end_words(t->end, phase, "", "an answer out of place: %u", code);
    return false;
}

static bool on_mail(struct transaction *t)
{
    if (t->end->code / 100 == 3)
        return out_of_place(t, SMTP_PHASE_MAIL);
    t->has_mail_answer = true;
    t->is_mail_ok = t->end->code / 100 == 2;
    t->peer->has_transaction = t->is_mail_ok;
    if (!t->is_mail_ok)
        t->mail = *t->end;
    return true;
}

static bool on_rcpt(struct transaction *t, uint32_t rcpt)
{
    if (!t->is_mail_ok)
        return true; /* "MAIL first": tells nothing about the recipient */
    if (t->end->code / 100 == 3)
        return out_of_place(t, SMTP_PHASE_RCPT);
    if (t->end->code / 100 == 2) {
        t->is_accepted[rcpt] = true;
        t->n_accepted++;
    } else {
        courier_work_decide(t->work, rcpt, t->end);
    }
    return true;
}

static bool on_data(struct transaction *t)
{
    if (t->end->code == 354) {
        t->wants_content = true;
        return true;
    }
    if (t->end->code < 400)
        return out_of_place(t, SMTP_PHASE_DATA);
    t->content = *t->end;
    t->has_final = true;
    return true;
}

static bool on_final(struct transaction *t)
{
    unsigned class = t->end->code / 100;
    if (class == 3 || (class == 2 && t->is_cut))
        return out_of_place(t, SMTP_PHASE_DOT);
    t->content = *t->end;
    t->has_final = true;
    return true;
}

static enum smtp_phase phase_of(enum step_kind kind)
{
    switch (kind) {
    case STEP_RSET:
    case STEP_MAIL:
        return SMTP_PHASE_MAIL;
    case STEP_RCPT:
        return SMTP_PHASE_RCPT;
    case STEP_DATA:
        return SMTP_PHASE_DATA;
    case STEP_BDAT:
        return SMTP_PHASE_DOT;
    }
    must(!"a kind of step");
    return SMTP_PHASE_MAIL;
}

static bool on_answer(struct transaction *t, struct step s)
{
    switch (s.kind) {
    case STEP_RSET:
        t->peer->has_transaction = false;
        return t->end->code / 100 == 2 || out_of_place(t, SMTP_PHASE_MAIL);
    case STEP_MAIL:
        return on_mail(t);
    case STEP_RCPT:
        return on_rcpt(t, s.rcpt);
    case STEP_DATA:
        return on_data(t);
    case STEP_BDAT:
        t->peer->has_transaction =
            t->end->code / 100 != 2; /* RFC 3030 section 2: RSET after a no */
        return on_final(t);
    }
    return false;
}

/* Reads the answers to all steps, in order. False: it broke off; *t->end says why. */
static bool read_answers(struct transaction *t, mono_us deadline)
{
    for (size_t i = 0; i < t->n_steps; i++) {
        enum smtp_phase phase = phase_of(t->steps[i].kind);
        if (!courier_peer_answer(t->peer, phase, deadline, t->end))
            return false;
        if (!on_answer(t, t->steps[i]) || t->end->code == 421)
            return false;
    }
    t->n_steps = 0;
    return true;
}

/* Writes the group, and content behind it, and reads the answers. */
static bool flush(struct transaction *t, struct slice content)
{
    enum smtp_phase phase = t->n_steps > 0 ? phase_of(t->steps[0].kind) : SMTP_PHASE_DOT;
    if (courier_peer_write(t->peer, phase, content, SLICE(""), t->work->deadline, t->end)) {
        if (content.n > 0)
            t->work->result.is_sent = 1; /* BDAT LAST with its last byte */
        return read_answers(t, t->work->deadline);
    }
    if (t->peer->is_out_of_turn)
        return false; /* whatever else is there answers none of our questions */
    /* The peer closed while we wrote: its last words may say why. */
    struct courier_end why = *t->end;
    t->is_cut = true;
    if (read_answers(t, mono_now() + SECONDS(1)) || t->end->code == 0)
        *t->end = why;
    return false;
}

static void add_step(struct transaction *t, enum step_kind kind, uint32_t rcpt)
{
    must(t->n_steps < GROUP_MAX + 4);
    t->steps[t->n_steps++] = (struct step){kind, rcpt};
}

/* ---- envelope
 * --------------------------------------------------------------------------------------- */

static bool add_mail(struct transaction *t)
{
    const struct ipc_job *job = &t->work->job;
    struct wire_mail mail = {
        .from.text = job->mail_from,
        .size_bytes = t->work->content.n,
        .has_size = true,
        .has_body = t->work->has_8bit,
        .body = WIRE_BODY_8BITMIME,
        .has_smtputf8 = (job->flags & MESSAGE_SMTPUTF8) || has_utf8(job->mail_from),
        .ret = job->ret <= WIRE_RET_HDRS ? (enum wire_ret)job->ret : WIRE_RET_NONE,
        .envid = job->envid,
    };
    for (uint32_t i = 0; i < job->n_rcpts && !mail.has_smtputf8; i++)
        mail.has_smtputf8 = has_utf8(job->rcpts[i].address);
    if (t->peer->has_transaction) {
        buf_adds(&t->peer->out, SLICE("RSET\r\n"));
        add_step(t, STEP_RSET, 0);
    }
    struct wire_verdict v = wire_mail_add(&t->peer->out, &mail, &t->peer->caps);
    if (v.fault != WIRE_FINE) {
        courier_end_words(t->end, SMTP_PHASE_MAIL, "501 5.1.7", "the sender cannot be sent: %s",
                          v.why);
        return false;
    }
    add_step(t, STEP_MAIL, 0);
    return true;
}

/* False: decided without asking the peer. */
static bool add_rcpt(struct transaction *t, uint32_t i)
{
    const struct ipc_job_rcpt *r = &t->work->job.rcpts[i];
    struct courier_end end;
    struct slice value;
    struct slice type = slice_cut(r->orcpt, ';', &value);
    struct wire_rcpt rcpt = {.to.text = r->address, .notify = r->notify};
    if (value.n > 0) {
        rcpt.orcpt_type = type;
        rcpt.orcpt = value;
    }
    bool is_out = judge_recipient(t, i, &end);
    if (!is_out) {
        struct wire_verdict v = wire_rcpt_add(&t->peer->out, &rcpt, &t->peer->caps);
        is_out = v.fault != WIRE_FINE;
        if (is_out)
            courier_end_words(&end, SMTP_PHASE_RCPT, "501 5.1.3",
                              "the recipient cannot be sent: %s", v.why);
    }
    if (is_out)
        courier_work_decide(t->work, i, &end);
    else
        add_step(t, STEP_RCPT, i);
    return !is_out;
}

/* MAIL and all RCPT; with pipelining the last group is left for the content to join. */
static bool send_envelope(struct transaction *t)
{
    bool pipelines = offers(t->peer, WIRE_CAP_PIPELINING);
    if (!pipelines && !flush(t, SLICE("")))
        return false;
    for (uint32_t i = 0; i < t->work->job.n_rcpts; i++) {
        if (t->has_mail_answer && !t->is_mail_ok)
            return true;
        if (!add_rcpt(t, i))
            continue;
        if ((!pipelines || t->n_steps >= GROUP_MAX) && !flush(t, SLICE("")))
            return false;
    }
    if (t->work->n_decided == t->work->job.n_rcpts) {
        t->n_steps = 0; /* nobody is left: what was not written yet is not needed */
        buf_clear(&t->peer->out);
    }
    return true;
}

/* ---- content
 * ------------------------------------------------------------------------------------------ */

static bool is_hopeless(const struct transaction *t)
{
    return t->n_steps == 0 && t->n_accepted == 0; /* all answers are here, nobody is left */
}

static bool send_bdat(struct transaction *t, bool is_together)
{
    struct slice content = buf_slice(&t->work->content);
    bool is_small = content.n <= TOGETHER_BYTES;
    if (t->n_steps > 0 && !(is_together && is_small) && !flush(t, SLICE("")))
        return false;
    if (is_hopeless(t))
        return true;
    buf_addf(&t->peer->out, "BDAT %zu LAST\r\n", content.n);
    add_step(t, STEP_BDAT, 0);
    return flush(t, content);
}

/* The end of data, by itself or behind the content. */
static bool send_dot(struct transaction *t, struct slice content, struct slice tail)
{
    bool is_sent =
        courier_peer_write(t->peer, SMTP_PHASE_DOT, content, tail, t->work->deadline, t->end);
    struct courier_end why = *t->end;
    if (!is_sent && t->peer->is_out_of_turn)
        return false;
    t->is_cut = !is_sent;
    if (is_sent && content.n > 0)
        t->work->result.is_sent = 1;
    mono_us until = is_sent ? t->work->deadline : mono_now() + SECONDS(1);
    if (courier_peer_answer(t->peer, SMTP_PHASE_DOT, until, t->end)) {
        t->peer->has_transaction = false; /* RFC 5321 section 4.1.1.4: whatever the answer is */
        return on_final(t);
    }
    if (!is_sent)
        *t->end = why;
    return false;
}

/* The content as DATA wants it: as it is if no line begins with a dot and all line ends are right
 * (the usual message is not copied), else dot-stuffed and mended. */
static bool send_stuffed(struct transaction *t)
{
    struct slice content = buf_slice(&t->work->content);
    bool has_dot = slice_starts(content, SLICE(".")) ||
                   (content.n > 0 && memmem(content.p, content.n, "\n.", 2) != NULL);
    if (t->work->is_clean && !has_dot)
        return send_dot(t, content, SLICE(".\r\n"));
    struct wire_stuff stuff = {};
    SCOPED(buf_finish) struct buf stuffed = buf_make(content.n * 2 + 16);
    wire_stuff_feed(&stuff, content, &stuffed);
    wire_stuff_end(&stuff, &stuffed);
    must(!stuffed.failed);
    return send_dot(t, buf_slice(&stuffed), SLICE(""));
}

static bool send_data(struct transaction *t)
{
    if (is_hopeless(t))
        return true;
    buf_adds(&t->peer->out, SLICE("DATA\r\n"));
    add_step(t, STEP_DATA, 0);
    if (!flush(t, SLICE("")))
        return false;
    if (!t->wants_content)
        return true;
    if (t->n_accepted == 0) {
        /* RFC 2920 section 3.1: it waits for content although it has no recipient. */
        return send_dot(t, SLICE(""), SLICE(".\r\n"));
    }
    return send_stuffed(t);
}

/* ---- the whole
 * -------------------------------------------------------------------------------------------- */

/* After XCLIENT the server is in its first state again and judges whoever says EHLO by the given
 * address: our own name beside a stranger's address would look forged. */
static const char *name_after_xclient(const struct courier_peer *p, struct courier_work *w)
{
    struct slice helo = w->job.xclient_helo;
    bool is_name = helo.n > 0 && helo.n <= 255;
    for (size_t i = 0; is_name && i < helo.n; i++)
        is_name = helo.p[i] > ' ' && helo.p[i] < 0x7f;
    return is_name ? arena_cstr(w->arena, helo) : p->net->hostname;
}

/* Before MAIL: tell the primary whose mail it is. It then greets and lists its abilities anew. */
static bool send_xclient(struct courier_peer *p, struct courier_work *w, struct courier_end *end)
{
    struct wire_xclient x = {};
    struct slice helo = w->job.xclient_helo;
    if (w->job.xclient_address.n == 0 || !offers(p, WIRE_CAP_XCLIENT) ||
        !wire_ip_parse(w->job.xclient_address, &x.addr))
        return true;
    char who[sizeof(p->xclient)];
    (void)snprintf(who, sizeof(who), "%s %.255s", wire_ip_text(x.addr).s,
                   arena_cstr(w->arena, helo));
    if (slice_eq(slice_str(who), slice_str(p->xclient)))
        return true;
    x.addr_kind = WIRE_XCLIENT_GIVEN;
    if (helo.n > 0 && helo.n < sizeof(x.helo.s)) {
        x.helo.kind = WIRE_XCLIENT_GIVEN;
        memcpy(x.helo.s, helo.p, helo.n);
    }
    buf_clear(&p->out);
    wire_xclient_add(&p->out, &x, &p->caps);
    if (p->out.n == 0)
        return true;
    if (!courier_peer_write(p, SMTP_PHASE_MAIL, SLICE(""), SLICE(""), w->deadline, end) ||
        !courier_peer_answer(p, SMTP_PHASE_MAIL, w->deadline, end))
        return false;
    if (end->code != 220) {
        p->caps.flags &= ~(unsigned)WIRE_CAP_XCLIENT; /* offered, but not to us */
        return !p->is_broken;                         /* the mail is worth more than the trace */
    }
    (void)snprintf(p->xclient, sizeof(p->xclient), "%s", who);
    p->has_transaction = false;
    if (courier_peer_hello(p, name_after_xclient(p, w), w->deadline, end))
        return true;
    p->is_broken = true; /* whoever greets us and then refuses EHLO is of no more use */
    return false;
}

static enum courier_talk conclude(struct transaction *t, bool is_whole)
{
    struct courier_work *w = t->work;
    for (uint32_t i = 0; i < w->job.n_rcpts && t->has_final; i++)
        if (t->is_accepted[i])
            courier_work_decide(w, i, &t->content);
    if (t->has_mail_answer && t->mail.code == 421) {
        w->result.is_sent = 0; /* it left before there was a transaction: nothing can be there */
        return COURIER_TALK_STALE;
    }
    if (t->has_mail_answer && !t->is_mail_ok)
        courier_work_decide_rest(w, &t->mail);
    if (w->n_decided == w->job.n_rcpts)
        return COURIER_TALK_DONE;
    must(!is_whole);
    bool is_stale = !t->has_mail_answer && !w->result.is_sent;
    return is_stale ? COURIER_TALK_STALE : COURIER_TALK_LOST;
}

enum courier_talk courier_transact(struct courier_peer *p, struct courier_work *w,
                                   enum courier_chunking chunking, struct courier_end *end)
{
    struct transaction t = {.peer = p, .work = w, .end = end};
    if (!send_xclient(p, w, end))
        return COURIER_TALK_STALE;
    if (judge_message(p, w, end)) {
        courier_work_decide_rest(w, end);
        return COURIER_TALK_DONE;
    }
    p->n_messages++;
    buf_clear(&p->out);
    t.is_accepted = ARENA_ARRAY(w->arena, bool, w->job.n_rcpts);
    if (!add_mail(&t)) {
        courier_work_decide_rest(w, end);
        return COURIER_TALK_DONE;
    }
    bool is_whole = send_envelope(&t);
    if (is_whole && (!t.has_mail_answer || t.is_mail_ok)) {
        bool has_bdat =
            offers(p, WIRE_CAP_CHUNKING) && chunking != COURIER_CHUNKING_NEVER && w->is_clean;
        is_whole = has_bdat ? send_bdat(&t, chunking == COURIER_CHUNKING_TOGETHER) : send_data(&t);
    }
    return conclude(&t, is_whole);
}
