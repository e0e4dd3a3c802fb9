/* An IMAP server of any behaviour: byte 0 chooses what we want, the rest is what the server says;
 * NUL ends what it says before it waits for us. Whatever it does: every look ends, in clean words
 * and without our secret, and says "well" only of what was there. */
#include "liaison/mailbox_int.h"

#include <errno.h>
#include <sys/uio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct server {
    struct slice rest, now;
    bool is_silent; /* at the end: no answer instead of a close */
};

static ssize_t server_read(void *arg, char *p, size_t n)
{
    struct server *s = arg;
    errno = EAGAIN;
    if (s->now.n == 0)
        return s->rest.n > 0 || s->is_silent ? -1 : 0;
    n = n < s->now.n ? n : s->now.n;
    memcpy(p, s->now.p, n);
    s->now = slice_skip(s->now, n);
    return (ssize_t)n;
}

static ssize_t server_write(void *, const struct iovec *parts, int n_parts)
{
    size_t n = 0;
    for (int i = 0; i < n_parts; i++)
        n += parts[i].iov_len;
    return n > 7 ? (ssize_t)(n - n / 3) : (ssize_t)n; /* never all at once */
}

static enum err server_wait(void *arg, int, mono_us, struct errinfo *ei)
{
    struct server *s = arg;
    if (s->now.n == 0 && s->rest.n == 0 && s->is_silent)
        return err_set(ei, ERR_RETRY, "no answer in time");
    if (s->now.n == 0)
        s->now = slice_cut(s->rest, '\0', &s->rest);
    return ERR_OK;
}

static void server_close(void *)
{
}

static void check_end(const struct mailbox_end *end)
{
    size_t n = strlen(end->text);
    must(n > 0 && end->step < IPC_STEP_N);
    for (size_t i = 0; i < n; i++)
        must(end->text[i] >= ' ' && end->text[i] <= '~');
    must(memmem(end->text, n, "sesame", 6) == NULL);
}

static void hunt(struct mailbox *m, const struct courier_network *net)
{
    struct ipc_mailbox_look look = {.token = SLICE("t"), .address = SLICE("c@d")};
    struct ipc_mailbox_seen seen = {};
    struct mailbox_canary c = {.net = net, .look = &look, .seen = &seen};
    struct mailbox_selected inbox = {.uid_next = 3};
    must(canary_init(&c, &m->end));
    m->deadline = mono_now() + MILLISECONDS(3); /* a round or two and the last pass */
    bool is_well = canary_find(&c, m, &inbox);
    must(!is_well || (seen.arrived_ms > 0 && *c.folder));
    must(is_well || m->end.text[0]);
    canary_finish(&c);
}

static void ask_for_ids(struct mailbox *m)
{
    struct ipc_message_id ids[] = {{SLICE("<a@b>")}, {SLICE("<c@d>")}, {SLICE("\xff\n")}};
    struct ipc_mailbox_fact facts[3] = {};
    struct ipc_mailbox_has has = {.ids = ids, .n_ids = 3};
    struct ipc_mailbox_has_told told = {.facts = facts, .n_facts = 3};
    must(!has_find(m, &has, &told)); /* the third cannot be asked for */
    for (int i = 0; i < 3; i++)
        must(facts[i].has <= IPC_HAS_ABSENT && (i < 2 || facts[i].has == IPC_HAS_UNSURE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct net_transport transport = {server_read, server_write, server_wait,
                                                   server_close};
    struct courier_network net = {
        .hostname = "us", .timeouts = courier_timeouts_usual(), .cancel_fd = -1};
    struct mailbox_selected inbox;
    struct mailbox_end end = {};
    utc_ms cert_until = 0;
    if (size < 1)
        return 0;
    struct server s = {.rest = slice_of((const char *)data + 1, size - 1),
                       .is_silent = data[0] & 32};
    struct ipc_server server = {.tls = data[0] & 16 ? IPC_TLS_MUST : IPC_TLS_NEVER,
                                .mechanism = data[0] & 3,
                                .user = SLICE("us\xc3\xa9r"),
                                .secret = SLICE("sesame")};
    struct mailbox *m = mailbox_over(&net, &server, net_conn_over(&transport, &s), "them",
                                     mono_now() + SECONDS(100), &cert_until, &end);
    if (!m) {
        check_end(&end);
        return 0;
    }
    bool is_open = mailbox_select(m, SLICE("INBOX"), false, &inbox);
    if (is_open && (data[0] & 4))
        hunt(m, &net);
    else if (is_open)
        ask_for_ids(m);
    if (m->end.text[0])
        check_end(&m->end);
    mailbox_close(&m);
    return 0;
}
