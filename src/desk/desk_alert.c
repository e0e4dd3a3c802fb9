/* An alert leaves: webhooks through the liaison, mail through our own queue and courier. */
#include "desk/desk_int.h"

#include <stdio.h>

enum { HOOK_TIMEOUT_MS = 10000, HOOK_LOST_SECONDS = 60, TEXT_MAX = 400 };

struct hooking {     /* a webhook without an answer */
    uint64_t outbox; /* 0: a test */
    uint32_t number;
    mono_us until;
    void (*done)(void *cookie, enum err err, const char *text);
    void *cookie;
};
struct desk_hooks {
    struct desk *desk;
    struct map *hooking; /* tag -> struct hooking */
    /* while alert_test calls back: */
    void (*test_done)(void *cookie, enum err err, const char *text);
    void *test_cookie;
};

struct desk_hooks *desk_hooks_create(struct desk *d)
{
    struct desk_hooks *h = mem_new(sizeof(*h));
    h->desk = d;
    h->hooking = map_create();
    return h;
}

void desk_hooks_destroy(struct desk_hooks **h)
{
    size_t at = 0;
    void *value;
    if (!*h)
        return;
    while (map_next((*h)->hooking, &at, NULL, &value))
        mem_free(&value); /* who waits for a test was answered by the administration's end */
    map_destroy(&(*h)->hooking);
    mem_free(h);
}

/* ---- webhooks ---- */

static bool send_hook(struct desk *d, const struct alert_sending *s)
{
    struct desk_hooks *h = d->hooks;
    struct ipc_hook hook = {.id = slice_str(s->id),
                            .url = s->url,
                            .secret = s->secret,
                            .body = s->body,
                            .timeout_ms = HOOK_TIMEOUT_MS};
    SCOPED(buf_finish) struct buf b = buf_make(IPC_FRAME_MAX);
    ipc_hook_pack(&b, &hook);
    /* Larger than any of an earlier core: answers to what that one sent may still come. */
    uint64_t tag = desk_next_id(d);
    if (!desk_send(d->liaison.link, IPC_T_hook, tag, &b))
        return false;
    struct hooking *w = mem_new(sizeof(*w));
    *w = (struct hooking){.outbox = s->outbox,
                          .number = s->number,
                          .until = mono_now() + SECONDS(HOOK_LOST_SECONDS),
                          .done = s->outbox ? NULL : h->test_done,
                          .cookie = h->test_cookie};
    map_put(h->hooking, KEY(tag), w);
    return true;
}

static void answer(struct desk *d, struct hooking *w, const struct alert_answer *a)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(a->text));
    if (w->done)
        w->done(w->cookie, a->is_there ? ERR_OK : ERR_IO, text);
    else if (w->outbox)
        alert_sent(desk_book(d), w->outbox, w->number, a, utc_now());
    mem_free(&w);
}

/* Answers that are about these very bytes; others would have the same from any word of ours. */
static bool is_about_the_word(uint16_t status)
{
    return status == 400 || status == 413 || status == 415 || status == 422;
}

bool desk_take_hooked(struct desk *d, const struct net_frame *f)
{
    struct ipc_hooked hooked;
    if (!ipc_hooked_unpack(f->payload, NULL, &hooked))
        return false;
    struct hooking *w = map_del(d->hooks->hooking, KEY(f->tag));
    struct alert_answer a = {.is_there = hooked.status >= 200 && hooked.status < 300,
                             .is_refused = is_about_the_word(hooked.status),
                             .text = hooked.text};
    if (w)
        answer(d, w, &a);
    return true;
}

static void forget(struct desk *d, mono_us until, const char *why)
{
    struct alert_answer a = {.text = slice_str(why)};
    struct slice key;
    void *value;
    for (size_t at = 0; map_next(d->hooks->hooking, &at, &key, &value);) {
        struct hooking *w = value;
        if (w->until > until)
            continue;
        uint64_t tag;
        memcpy(&tag, key.p, sizeof(tag));
        (void)map_del(d->hooks->hooking, KEY(tag));
        at = 0; /* the answer may ask again: putting ends the walk */
        if (w->done)
            answer(d, w, &a);
        else
            mem_free(&w);
    }
}

void desk_hooks_lost(struct desk *d)
{
    forget(d, INT64_MAX, "our sending process ended in the middle of it");
    alert_sender_lost(desk_book(d), ALERT_WEBHOOK);
}

/* The book notices by itself what has no answer; here only people who wait. */
void desk_hooks_tick(struct desk *d)
{
    if (map_size(d->hooks->hooking) > 0)
        forget(d, mono_now(), "our sending process gave no answer");
}

/* ---- mail ---- */

struct mailing {
    struct desk *desk;
    uint64_t outbox, message;
    uint32_t number;
    void (*done)(void *cookie, enum err err, const char *text);
    void *cookie;
};

static void mail_kept(void *arg, enum err err)
{
    struct mailing *m = arg;
    char id[MESSAGE_ID_TEXT], text[200];
    message_id_text(m->message, id);
    if (err == ERR_OK)
        snprintf(text, sizeof(text), "in our own queue as %s; `staffetta trace %s` follows it", id,
                 id);
    else
        snprintf(text, sizeof(text), "it could not be written: %s", err_name(err));
    struct alert_answer a = {.is_there = err == ERR_OK, .text = slice_str(text)};
    if (m->done)
        m->done(m->cookie, err, text);
    else
        alert_sent(desk_book(m->desk), m->outbox, m->number, &a, utc_now());
    mem_free(&m);
}

/* Ids as lists keep them: without their brackets. */
static struct slice bare(struct slice id)
{
    return id.n > 2 ? slice_of(id.p + 1, id.n - 2) : SLICE("");
}

static void withdrawn(void *, enum err, const char *)
{
    /* If it was not there to be withdrawn, it has been delivered: the conversation goes on. */
}

static bool send_mail(struct desk *d, const struct alert_sending *s)
{
    struct mailing *m = mem_new(sizeof(*m));
    *m = (struct mailing){
        .desk = d, .outbox = s->outbox, .message = s->message, .number = s->number};
    if (!s->outbox) {
        m->done = d->hooks->test_done;
        m->cookie = d->hooks->test_cookie;
    }
    /* What waits still says less than this one, which repeats it. */
    if (s->replaced)
        desk_order(d, QUEUE_REMOVE, s->replaced, 0, SLICE("alert"),
                   SLICE("a newer word about the same incident takes its place"), withdrawn, NULL);
    struct desk_own own = {.id = s->message,
                           .tenant = s->tenant,
                           .to = s->address,
                           .raw = s->body,
                           .subject = s->subject,
                           .message_id = bare(s->message_id),
                           .references = bare(s->references),
                           .done = mail_kept,
                           .arg = m};
    desk_accept_own(d, &own);
    return true;
}

bool desk_alert_send(void *arg, enum alert_kind kind, const struct alert_sending *s)
{
    struct desk *d = arg;
    switch (kind) {
    case ALERT_WEBHOOK:
        return send_hook(d, s);
    case ALERT_MAIL:
        return !d->is_stopping && send_mail(d, s);
    case ALERT_SMS: /* refused when it is added */
    case ALERT_KIND_N:
        break;
    }
    return false;
}

void desk_alert_test(void *arg, uint64_t target,
                     void (*done)(void *cookie, enum err err, const char *text), void *cookie)
{
    struct desk *d = arg;
    struct errinfo ei = {""};
    char id[ALERT_ID_TEXT], number[MESSAGE_ID_TEXT];
    message_id_text(desk_next_id(d), number);
    snprintf(id, sizeof(id), "test.%s", number);
    d->hooks->test_done = done;
    d->hooks->test_cookie = cookie;
    enum err err = alert_test(desk_book(d), target, id, utc_now(), &ei);
    d->hooks->test_done = NULL;
    if (err != ERR_OK)
        done(cookie, err, ei.text);
}
