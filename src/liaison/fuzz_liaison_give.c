/* Changes given back to an IMAP server of any behaviour: byte 0 chooses, the rest is what the
 * server says; NUL ends what it says before it waits for us, \xff ends a connection. Whatever it
 * does: the batch ends, every message has a result in clean words and without our secret, and a dry
 * run has sent nothing that changes anything. */
#include "liaison/give_int.h"

#include <errno.h>
#include <sys/uio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct server {
    struct slice rest, now;
    struct buf heard;
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

static ssize_t server_write(void *arg, const struct iovec *parts, int n_parts)
{
    struct server *s = arg;
    size_t n = 0;
    for (int i = 0; i < n_parts; i++) {
        buf_add(&s->heard, parts[i].iov_base, parts[i].iov_len);
        n += parts[i].iov_len;
    }
    return (ssize_t)n;
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

/* Both connections: \xff stands between what they say. */
struct both {
    struct server list[2];
    size_t n;
};

static struct mailbox *open_next(struct give *g, struct mailbox_end *end)
{
    static const struct net_transport transport = {server_read, server_write, server_wait,
                                                   server_close};
    struct both *b = g->open_arg;
    must(b->n < 2);
    return mailbox_over(g->net, &g->todo->server[0], net_conn_over(&transport, &b->list[b->n++]),
                        "them", g->deadline, &g->cert_until, end);
}

static void check_op(const struct give_op *o, bool is_dry)
{
    size_t n = strlen(o->text);
    must(o->result < IPC_OP_RESULTS && n > 0);
    for (size_t i = 0; i < n; i++)
        must((unsigned char)o->text[i] >= ' ' && o->text[i] != 0x7f);
    must(memmem(o->text, n, "sesame", 6) == NULL);
    must(!is_dry || (o->result != IPC_OP_DONE && o->result != IPC_OP_UNSURE));
    must(is_dry || o->result != IPC_OP_WOULD);
}

static void check_heard(const struct server *s, bool is_dry)
{
    static const char *const changing[] = {" APPEND ", " STORE ",  " MOVE ",    " COPY ",
                                           " CREATE ", " SELECT ", " EXPUNGE ", " SUBSCRIBE "};
    struct slice all = buf_slice(&s->heard);
    for (size_t i = 0; is_dry && all.n > 0 && i < sizeof(changing) / sizeof(changing[0]); i++)
        must(memmem(all.p, all.n, changing[i], strlen(changing[i])) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct courier_network net = {
        .hostname = "us", .timeouts = courier_timeouts_usual(), .cancel_fd = -1};
    struct ipc_folder_part path[] = {{SLICE("a/b")}, {SLICE("\xc3\xa9&")}};
    struct ipc_folder_part flags[] = {{SLICE("\\Seen")}, {SLICE("$Forwarded")}, {SLICE("\xff (")}};
    if (size < 1)
        return 0;
    struct ipc_mailbox_op base = {.trace = SLICE("abcdefghijklm"),
                                  .message_id = SLICE("<a@b>"),
                                  .date = 1,
                                  .sender = SLICE("c@d"),
                                  .flags_add = flags,
                                  .n_flags_add = 3,
                                  .folder = path,
                                  .n_folder = 2};
    struct ipc_mailbox_op ops[5] = {base, base, base, base, base};
    ops[0].what = ops[4].what = IPC_OP_APPEND;
    ops[0].role = IPC_FOLDER_SENT;
    ops[0].bytes = 6;
    ops[1].what = ops[2].what = ops[3].what = IPC_OP_SET;
    ops[1].fate = data[0] & 1 ? IPC_FATE_MOVE : IPC_FATE_STAY;
    ops[2].fate = IPC_FATE_TRASH;
    ops[3].fate = IPC_FATE_EXPUNGE;
    ops[3].message_id = ops[2].message_id = SLICE("<e@f>");
    ops[2].trace = ops[4].message_id = SLICE("");
    struct ipc_server server = {.tls = IPC_TLS_NEVER,
                                .mechanism = IPC_LOGIN_LOGIN,
                                .user = SLICE("user"),
                                .secret = SLICE("sesame")};
    struct ipc_mailbox_do todo = {.server = &server,
                                  .n_server = 1,
                                  .ops = ops + (data[0] & 2 ? 1 : 0),
                                  .n_ops = data[0] & 2 ? 4 : 5,
                                  .is_dry = data[0] & 4};
    struct slice second, said = slice_of((const char *)data + 1, size - 1);
    struct slice first = slice_cut(said, '\xff', &second);
    struct both both = {
        .list = {{.rest = first, .heard = buf_make(8 << 20), .is_silent = data[0] & 32},
                 {.rest = second, .heard = buf_make(8 << 20), .is_silent = data[0] & 32}}};
    struct give g = {.net = &net,
                     .todo = &todo,
                     .content = SLICE("a:\n\0b\n"),
                     .deadline = mono_now() + SECONDS(100),
                     .open = open_next,
                     .open_arg = &both};
    give_run(&g);
    for (size_t i = 0; i < g.n_ops; i++)
        check_op(&g.ops[i], todo.is_dry);
    for (size_t i = 0; i < 2; i++) {
        check_heard(&both.list[i], todo.is_dry);
        buf_finish(&both.list[i].heard);
    }
    give_finish(&g);
    return 0;
}
