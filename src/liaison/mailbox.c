/* A conversation with an IMAP server: commands out, responses in, and every way in which that can
 * break off. What a server says is for people only after it was cleaned, and never with our secret
 * in it. */
#include "liaison/mailbox_int.h"

#include <stdio.h>

enum {
    COMMAND_SECONDS = 120,
    LOGOUT_SECONDS = 1,
    RESPONSES_MAX = 100000, /* to one command */
    BYTES_MAX = 32 << 20,
    PIECE_BYTES = 256 << 10, /* of a message that is written */
};

/* ---- words --------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 4, 0))) static void set_words(struct mailbox_end *end,
                                                            enum ipc_look_step step, bool is_ours,
                                                            const char *format, va_list args)
{
    *end = (struct mailbox_end){.step = step, .is_ours = is_ours};
    must(vsnprintf(end->text, sizeof(end->text), format, args) >= 0);
    for (unsigned char *c = (unsigned char *)end->text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = *c == '\n' || *c == '\r' ? ' ' : '?';
}

void mailbox_end_words(struct mailbox_end *end, enum ipc_look_step step, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_words(end, step, false, format, args);
    va_end(args);
}

void mailbox_end_ours(struct mailbox_end *end, enum ipc_look_step step, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_words(end, step, true, format, args);
    va_end(args);
}

void mailbox_break(struct mailbox *m, enum ipc_look_step step, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_words(&m->end, step, false, format, args);
    va_end(args);
    m->is_broken = true;
}

static bool contains(struct slice s, struct slice part)
{
    return part.n > 0 && s.n >= part.n && memmem(s.p, s.n, part.p, part.n) != NULL;
}

struct slice mailbox_quoted(const struct mailbox *m, struct slice text)
{
    if (contains(text, m->server->secret) || contains(text, buf_slice(&m->sasl)))
        return SLICE("(its words are left out: the secret is in them)");
    return text.n > 0 ? slice_of(text.p, text.n < 400 ? text.n : 400) : SLICE("(no reason given)");
}

void mailbox_take_caps(struct mailbox *m, const struct imap_response *p)
{
    m->caps = p->caps;
    m->append_limit = p->has_append_limit ? p->append_limit : 0;
}

void mailbox_refused(struct mailbox *m, enum ipc_look_step step, const struct imap_response *p)
{
    m->code = p->code;
    mailbox_end_words(&m->end, step, "%s was refused (%s): " SLICE_FMT, m->asked,
                      p->word == IMAP_BAD ? "BAD" : "NO", SLICE_ARG(mailbox_quoted(m, p->text)));
}

static void broke(struct mailbox *m, enum ipc_look_step step, enum err err,
                  const struct errinfo *ei)
{
    long long waited = (mono_now() - m->asked_at + 500000) / 1000000;
    if (err == ERR_RETRY)
        mailbox_break(m, step, "no answer after %s within %lld s", m->asked, waited);
    else if (err == ERR_GONE)
        mailbox_break(m, step, "the connection was closed after %s", m->asked);
    else
        mailbox_break(m, step, "after %s: %s", m->asked, ei->text);
    m->end.is_ours = err == ERR_CANCELED;
}

/* ---- reading
 * ------------------------------------------------------------------------------------- */

static bool read_response(struct mailbox *m, enum ipc_look_step step, struct imap_response *ret)
{
    struct errinfo ei = {};
    imap_reader_clear(&m->reader);
    for (;;) {
        struct slice input;
        size_t used;
        enum err err = net_conn_read(m->conn, m->until, &input, &ei);
        if (err == ERR_OK && mono_now() >= m->until)
            err = ERR_RETRY; /* bytes that never stop coming are no answer either */
        if (err != ERR_OK) {
            broke(m, step, err, &ei);
            return false;
        }
        enum imap_result result = imap_reader_feed(&m->reader, input, &used);
        net_conn_use(m->conn, used);
        m->n_bytes += used;
        if (result == IMAP_DONE)
            break;
        if (result == IMAP_ENDLESS || m->n_bytes > BYTES_MAX)
            mailbox_break(m, step, "after %s came an endless response", m->asked);
        else if (result == IMAP_NONSENSE)
            mailbox_break(m, step, "after %s came something that is no IMAP", m->asked);
        if (m->is_broken)
            return false;
    }
    if (++m->n_responses > RESPONSES_MAX || m->n_bytes > BYTES_MAX)
        mailbox_break(m, step, "after %s came responses without end", m->asked);
    else if (!imap_response_parse(&m->reader, ret))
        mailbox_break(m, step, "after %s came something that is no IMAP", m->asked);
    return !m->is_broken;
}

/* Which command does a tag name? 0: none that waits for an answer. */
static uint32_t tag_number(const struct mailbox *m, struct slice tag)
{
    uint64_t n;
    if (tag.n < 2 || tag.p[0] != 's' || !slice_u64(slice_skip(tag, 1), UINT32_MAX, &n))
        return 0;
    return n >= m->first_open && n <= m->last_tag ? (uint32_t)n : 0;
}

bool mailbox_next(struct mailbox *m, enum ipc_look_step step, struct imap_response *ret,
                  uint32_t *ret_tag)
{
    *ret_tag = 0;
    if (m->is_broken || !read_response(m, step, ret))
        return false;
    if (ret->kind == IMAP_UNTAGGED && ret->word == IMAP_BYE) {
        mailbox_break(m, step, "the server said goodbye after %s: " SLICE_FMT, m->asked,
                      SLICE_ARG(mailbox_quoted(m, ret->text)));
        return false;
    }
    if (ret->kind != IMAP_TAGGED)
        return true;
    *ret_tag = tag_number(m, ret->tag);
    if (*ret_tag == 0)
        mailbox_break(m, step, "after %s came the answer to a command that we did not give",
                      m->asked);
    return *ret_tag > 0;
}

/* ---- commands
 * ------------------------------------------------------------------------------------ */

void mailbox_begin(struct mailbox *m, const char *asked)
{
    char tag[IMAP_TAG_MAX];
    m->asked = asked;
    (void)snprintf(tag, sizeof(tag), "s%u", ++m->last_tag);
    imap_command_begin(&m->command, slice_str(tag), m->caps);
}

static bool write_part(struct mailbox *m, enum ipc_look_step step, struct slice part)
{
    struct errinfo ei = {};
    if (m->is_broken)
        return false;
    enum err err = net_conn_write(m->conn, &part, 1, m->until, &ei);
    if (err != ERR_OK)
        broke(m, step, err, &ei);
    return err == ERR_OK;
}

static void finish_command(struct mailbox *m, enum ipc_look_step step)
{
    mono_us most = mono_now() + SECONDS(COMMAND_SECONDS);
    imap_command_end(&m->command);
    m->asked_at = mono_now();
    m->until = m->deadline < most ? m->deadline : most;
    m->n_responses = m->n_bytes = 0;
    m->code = IMAP_CODE_NONE;
    m->is_said = false;
    if (m->command.failed && !m->is_broken) {
        mailbox_break(m, step, "%s cannot be said in IMAP", m->asked);
        m->end.is_ours = true;
    }
}

bool mailbox_send(struct mailbox *m, enum ipc_look_step step)
{
    finish_command(m, step);
    must(m->is_broken || m->command.n_waits == 0);
    return write_part(m, step, buf_slice(&m->command.out));
}

/* Until the server asks for more (IMAP_OK) or has had enough (as mailbox_run). */
static enum imap_word wait_for_more(struct mailbox *m, enum ipc_look_step step)
{
    struct imap_response p;
    uint32_t tag;
    while (mailbox_next(m, step, &p, &tag)) {
        if (p.kind == IMAP_CONTINUE)
            return IMAP_OK;
        if (tag == 0)
            continue;
        m->first_open = tag + 1;
        if (p.word == IMAP_OK) {
            mailbox_break(m, step, "%s was answered before it was complete", m->asked);
            break;
        }
        mailbox_refused(m, step, &p);
        return p.word;
    }
    return IMAP_BYE;
}

static void extend(struct mailbox *m)
{
    mono_us most = mono_now() + SECONDS(COMMAND_SECONDS);
    m->until = m->deadline < most ? m->deadline : most;
}

/* `rest` of the command with the content at `content_at` of the whole in between. A piece at a time
 * with a deadline of its own; before the last one goes out they cannot have it all. */
static bool write_rest(struct mailbox *m, enum ipc_look_step step, struct slice rest, size_t at)
{
    struct slice content = m->command.content;
    if (content.n == 0) {
        m->is_said = write_part(m, step, rest); /* on an error the last byte was not sent */
        return m->is_said;
    }
    must(m->command.content_at >= at);
    struct slice head = slice_of(rest.p, m->command.content_at - at);
    struct slice tail = slice_skip(rest, head.n);
    if (head.n > 0 && !write_part(m, step, head))
        return false;
    for (; content.n > PIECE_BYTES; content = slice_skip(content, PIECE_BYTES)) {
        extend(m);
        if (!write_part(m, step, slice_of(content.p, PIECE_BYTES)))
            return false;
    }
    extend(m);
    m->is_said = true; /* some take a message whose line end is missing */
    if (!write_part(m, step, content) || !write_part(m, step, tail))
        return false;
    extend(m);
    return true;
}

static enum imap_word write_command(struct mailbox *m, enum ipc_look_step step)
{
    struct slice rest = buf_slice(&m->command.out);
    size_t at = 0;
    for (size_t i = 0; i < m->command.n_waits; i++) {
        struct slice part = slice_of(rest.p, m->command.waits[i] - at);
        enum imap_word word = write_part(m, step, part) ? wait_for_more(m, step) : IMAP_BYE;
        if (word != IMAP_OK)
            return word;
        rest = slice_skip(rest, part.n);
        at = m->command.waits[i];
    }
    return write_rest(m, step, rest, at) ? IMAP_OK : IMAP_BYE;
}

/* The server wants more than the command had. */
static bool give_more(struct mailbox *m, enum ipc_look_step step, struct slice said)
{
    if (m->is_sasl && said.n <= MAILBOX_CHALLENGE_MAX)
        (void)snprintf(m->challenge, sizeof(m->challenge), SLICE_FMT, SLICE_ARG(said));
    if (m->is_sasl)
        return write_part(m, step, SLICE("\r\n"));
    mailbox_break(m, step, "the server wants more of %s than there is", m->asked);
    return false;
}

enum imap_word mailbox_run(struct mailbox *m, enum ipc_look_step step, mailbox_see_fn see,
                           void *arg)
{
    struct imap_response p;
    uint32_t tag;
    finish_command(m, step);
    m->first_open = m->last_tag;
    enum imap_word word = m->is_broken ? IMAP_BYE : write_command(m, step);
    if (word != IMAP_OK)
        return word;
    while (mailbox_next(m, step, &p, &tag)) {
        if (p.kind == IMAP_UNTAGGED && see)
            see(arg, &p);
        if (p.kind == IMAP_CONTINUE && !give_more(m, step, p.text))
            break;
        if (tag == 0)
            continue;
        m->first_open = tag + 1;
        if (p.word != IMAP_OK)
            mailbox_refused(m, step, &p);
        else if (p.code == IMAP_CODE_CAPABILITY)
            mailbox_take_caps(m, &p);
        if (see)
            see(arg, &p);
        return p.word;
    }
    return IMAP_BYE;
}

/* ---- opening and closing
 * ------------------------------------------------------------------------- */

struct mailbox *mailbox_over(const struct courier_network *net, const struct ipc_server *server,
                             struct net_conn *take_conn, const char *host, mono_us deadline,
                             utc_ms *cert_until, struct mailbox_end *end)
{
    struct mailbox *m = mem_new(sizeof(*m));
    m->net = net;
    m->server = server;
    m->conn = take_conn;
    m->deadline = deadline;
    m->first_open = 1;
    m->sasl = buf_make(IMAP_COMMAND_MAX);
    imap_reader_init(&m->reader);
    imap_command_init(&m->command);
    if (!mailbox_greet(m, host, cert_until)) {
        *end = m->end;
        mailbox_close(&m);
    }
    return m;
}

static struct mailbox *open_address(const struct courier_network *net,
                                    const struct ipc_server *server, const struct courier_target *t,
                                    mono_us deadline, utc_ms *cert_until, struct mailbox_end *end)
{
    struct courier_end why;
    struct net_conn *conn = NULL;
    if (courier_dial(net, t, deadline, &conn, &why))
        return mailbox_over(net, server, conn, t->host, deadline, cert_until, end);
    mailbox_end_words(end, IPC_STEP_CONNECT, "%s", why.text);
    end->is_ours = why.is_ours;
    return NULL;
}

static struct mailbox *open_host(const struct courier_network *net, const struct ipc_server *server,
                                 const struct ipc_host *host, mono_us deadline, utc_ms *cert_until,
                                 struct mailbox_end *end)
{
    struct courier_addresses found;
    struct courier_end why;
    char name[256];
    struct mailbox *m = NULL;
    (void)snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(host->name));
    if (!courier_addresses_find(net, name, host->port, deadline, &found, &why)) {
        mailbox_end_words(end, IPC_STEP_NAME, "%s", why.text);
        end->is_ours = why.is_ours;
        return NULL;
    }
    for (size_t i = 0; i < found.n && !m; i++) {
        mono_us now = mono_now(), share = (deadline - now) / (mono_us)(found.n - i);
        struct courier_target t = {.host = name, .address = found.address[i]};
        if (i > 0 && (share <= 0 || end->step == IPC_STEP_LOGIN))
            break;
        m = open_address(net, server, &t, now + share, cert_until, end);
    }
    return m;
}

struct mailbox *mailbox_open(const struct courier_network *net, const struct ipc_server *server,
                             mono_us deadline, utc_ms *cert_until, struct mailbox_end *end)
{
    struct mailbox *m = NULL;
    mailbox_end_ours(end, IPC_STEP_NAME, "the primary has no IMAP host");
    for (uint32_t i = 0; i < server->n_hosts && !m; i++) {
        struct mailbox_end why;
        mono_us now = mono_now(), share = (deadline - now) / (mono_us)(server->n_hosts - i);
        if (i > 0 && (share <= 0 || end->step == IPC_STEP_LOGIN))
            break;
        m = open_host(net, server, &server->hosts[i], now + share, cert_until, &why);
        if (!m && (end->is_ours || !why.is_ours))
            *end = why; /* what says something about them is worth more */
    }
    if (m)
        m->deadline = deadline;
    return m;
}

static void say_goodbye(struct mailbox *m)
{
    struct imap_response p;
    uint32_t tag;
    mono_us most = mono_now() + SECONDS(LOGOUT_SECONDS);
    if (m->deadline > most)
        m->deadline = most; /* politeness; nobody depends on the answer */
    mailbox_begin(m, "LOGOUT");
    imap_command_add(&m->command, "LOGOUT");
    m->first_open = m->last_tag;
    if (!mailbox_send(m, IPC_STEP_NONE))
        return;
    while (mailbox_next(m, IPC_STEP_NONE, &p, &tag) && tag == 0)
        ;
}

void mailbox_close(struct mailbox **mailbox)
{
    struct mailbox *m = *mailbox;
    if (!m)
        return;
    if (!m->is_broken)
        say_goodbye(m);
    net_conn_close(&m->conn);
    imap_reader_finish(&m->reader);
    imap_command_finish(&m->command);
    if (m->sasl.p)
        explicit_bzero(m->sasl.p, m->sasl.cap);
    buf_finish(&m->sasl);
    mem_free(mailbox);
}
