/* Giving changes back: which message and which folder is meant, by tables; whole conversations with
 * servers that follow a script, one byte at a time. */
#include "liaison/give_int.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/uio.h>

#define ID "<a@x>"
#define WHEN INT64_C(1795163415000) /* Fri, 20 Nov 2026 08:30:15 +0000 */
#define DATE "Date: Fri, 20 Nov 2026 09:30:15 +0100\r\n"

/* ---- which message? ---- */

static void each_header_is_judged(void **)
{
    static const struct {
        const char *header;
        enum give_match match;
    } cases[] = {
        {"Message-ID: <a@x>\r\n" DATE "From: Anna <anna@x>\r\n\r\n", GIVE_SURE},
        {"From: ANNA@X\r\nMESSAGE-ID:\r\n <a@x>\r\n" DATE "\r\n", GIVE_SURE},
        {"Message-ID: <a@x>\r\n\r\n", GIVE_SURE},
        {"Message-ID: <a@x>\r\nDate: soon\r\nFrom: (nobody)\r\n\r\n", GIVE_SURE},
        {"Message-ID: <a@x>\r\n" DATE "From: <bob@x>\r\n\r\n", GIVE_LIKELY},
        {"Message-ID: <a@x>\r\nDate: Fri, 20 Nov 2026 08:31 +0000\r\nFrom: anna@x\r\n\r\n",
         GIVE_LIKELY},
        {"Message-ID: <a@x>\r\nDate: Fri, 20 Nov 2026 08:31 +0000\r\nFrom: bob@x\r\n\r\n",
         GIVE_DOUBTFUL},
        {"Message-ID: <A@x>\r\n" DATE "From: anna@x\r\n\r\n", GIVE_OTHER},
        {"Message-ID: <aa@x>\r\n" DATE "From: anna@x\r\n\r\n", GIVE_OTHER},
        {DATE "From: anna@x\r\n\r\n", GIVE_OTHER},
        {"", GIVE_OTHER},
        {"Staffetta-Trace: v=1; t=acme;\r\n\ti=abcdefghijklm; d=1;\r\n\ts=x\r\n\r\n", GIVE_TRACED},
        {"Message-ID: <b@x>\r\nStaffetta-Trace: i=abcdefghijklm\r\n\r\n", GIVE_TRACED},
        {"Staffetta-Trace: v=1; t=abcdefghijklm; i=bbbbbbbbbbbbb\r\n\r\n", GIVE_OTHER},
        {"Staffetta-Trace: i=abcdefghijklmn\r\n\r\n", GIVE_OTHER},
        {"X-Staffetta-Trace: i=abcdefghijklm\r\n\r\n", GIVE_OTHER},
        {"Subject: x\r\n\r\nMessage-ID: <a@x>\r\n", GIVE_OTHER},
    };
    struct ipc_mailbox_op op = {.trace = SLICE("abcdefghijklm"),
                                .message_id = SLICE(ID),
                                .date = WHEN,
                                .sender = SLICE("anna@x")};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (give_match(&op, slice_str(cases[i].header)) != cases[i].match)
            fail_msg("%s: %d", cases[i].header, give_match(&op, slice_str(cases[i].header)));
    struct ipc_mailbox_op bare = {.message_id = SLICE("<a@x>")};
    assert_int_equal(give_match(&bare, slice_str(cases[6].header)), GIVE_SURE);
    assert_int_equal(give_match(&bare, slice_str(cases[11].header)), GIVE_OTHER);
    op.date = INT64_MIN; /* nothing overflows */
    assert_int_equal(give_match(&op, slice_str(cases[0].header)), GIVE_LIKELY);
}

/* Folders of the tables below: 0 INBOX, 1 Sent, 2 Trash, 3 Junk, 4 Kept. Found ones are written as
 * place and match: "0S" sure, "L" likely, "D" doubtful, "T" traced; "x" behind it: deleted. */
static struct give_set found_of(const char *text)
{
    struct give_set s = {};
    for (; *text; text += 2) {
        if (*text == 'x') {
            s.list[s.n - 1].is_deleted = true;
            text--;
            continue;
        }
        enum give_match match = text[1] == 'S'   ? GIVE_SURE
                                : text[1] == 'L' ? GIVE_LIKELY
                                : text[1] == 'D' ? GIVE_DOUBTFUL
                                                 : GIVE_TRACED;
        s.list[s.n++] =
            (struct give_found){.place = text[0] - '0', .uid = (uint32_t)s.n, .match = match};
    }
    return s;
}

static const char *choice_text(const struct give_choice *c)
{
    static const char *const kinds[] = {"none", "0", "some", "many", "dead"};
    static char one[2];
    one[0] = (char)('0' + c->at);
    return c->kind == GIVE_ONE ? one : kinds[c->kind];
}

static void each_choice_is_made_or_left(void **)
{
    static const struct {
        const char *found;
        int target, from;
        const char *expected;
    } cases[] = {
        {"", -1, -1, "none"},       {"0S", -1, -1, "0"},      {"0L", -1, -1, "many"},
        {"0D", -1, -1, "many"},     {"0S1S", -1, -1, "many"}, {"0S1T", -1, -1, "1"},
        {"0L1S", -1, -1, "1"},      {"0S1S", 1, -1, "1"},     {"0S1S", -1, 0, "0"},
        {"0S1S", 2, 0, "0"},        {"0S1S", 1, 0, "1"},      {"0S0S1S", 0, 1, "2"},
        {"0S0S", 0, 0, "many"},     {"0Sx1S", -1, -1, "1"},   {"0Sx", -1, -1, "dead"},
        {"0Tx1S", -1, -1, "dead"}, /* ours was deleted; the other is another copy */
        {"0Sx1Sx", -1, -1, "dead"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct give_set s = found_of(cases[i].found);
        struct give_choice c = give_choose(&s, cases[i].target, cases[i].from);
        if (strcmp(choice_text(&c), cases[i].expected) != 0)
            fail_msg("%s %d %d: %s", cases[i].found, cases[i].target, cases[i].from,
                     choice_text(&c));
        assert_true(c.kind != GIVE_MANY || c.why);
    }
    struct give_set cut = found_of("0S");
    cut.is_cut = true;
    assert_int_equal(give_choose(&cut, -1, -1).kind, GIVE_MANY);
}

static void what_is_kept_already_is_not_put_there_again(void **)
{
    static const struct {
        const char *found;
        int target;
        enum imap_role role;
        const char *expected;
    } cases[] = {
        {"", 1, IMAP_ROLE_SENT, "none"},    {"1S", 1, IMAP_ROLE_SENT, "0"},
        {"1L", 1, IMAP_ROLE_SENT, "0"}, /* rewritten by the server */
        {"1D", 1, IMAP_ROLE_SENT, "many"},  {"0S", 1, IMAP_ROLE_SENT, "none"}, /* mail to oneself */
        {"3S", 1, IMAP_ROLE_SENT, "none"},  {"0S1S", 1, IMAP_ROLE_SENT, "1"},
        {"2S", 1, IMAP_ROLE_SENT, "0"}, /* somebody threw it away */
        {"4S", 1, IMAP_ROLE_SENT, "0"},     {"1S1S", 1, IMAP_ROLE_SENT, "some"},
        {"1S4S", 1, IMAP_ROLE_SENT, "0"},   {"1Sx", 1, IMAP_ROLE_SENT, "dead"},
        {"1S", 0, IMAP_ROLE_INBOX, "none"}, /* the one that was sent */
        {"1S", 4, IMAP_ROLE_NONE, "none"},  {"0S", 4, IMAP_ROLE_NONE, "0"},
        {"0S", -1, IMAP_ROLE_ARCHIVE, "0"}, {"1S4T", 1, IMAP_ROLE_SENT, "1"},
    };
    struct give_place list[] = {{.role = IMAP_ROLE_INBOX},
                                {.role = IMAP_ROLE_SENT},
                                {.role = IMAP_ROLE_TRASH},
                                {.role = IMAP_ROLE_JUNK},
                                {.role = IMAP_ROLE_NONE}};
    struct give_places p = {.list = list, .n = 5};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct give_set s = found_of(cases[i].found);
        struct give_choice c = give_choose_kept(&p, &s, cases[i].target, cases[i].role);
        if (strcmp(choice_text(&c), cases[i].expected) != 0)
            fail_msg("%s %d: %s", cases[i].found, cases[i].target, choice_text(&c));
    }
}

/* ---- which folder? ---- */

static void each_folder_is_found_or_named(void **)
{
    static const struct {
        const char *folders; /* as on the wire, with '|' between; "=" and a bit behind it */
        char delimiter;
        const char *prefix;
        uint8_t role;
        const char *path; /* levels with '|' */
        const char *name; /* on the wire */
        bool is_there;
    } cases[] = {
        {"INBOX|Sent|Sent Items", '/', NULL, IPC_FOLDER_SENT, "", "Sent", true},
        {"INBOX|Sent Items|Sent", '/', NULL, IPC_FOLDER_SENT, "", "Sent", true},
        {"INBOX|Sent|Out=S", '/', NULL, IPC_FOLDER_SENT, "", "Out", true},
        {"INBOX|Projects/Sent", '/', NULL, IPC_FOLDER_SENT, "", "Sent", false},
        {"INBOX|[Gmail]/Sent Mail", '/', NULL, IPC_FOLDER_SENT, "", "[Gmail]/Sent Mail", true},
        {"INBOX|[Gmail]/x=A", '/', NULL, IPC_FOLDER_ARCHIVE, "", "[Gmail]/x", true},
        {"INBOX|Entw&APw-rfe", '/', NULL, IPC_FOLDER_DRAFTS, "", "Entw&APw-rfe", true},
        {"INBOX|Entw&APw-rfe", '/', NULL, IPC_FOLDER_SENT, "", "Gesendete Elemente", false},
        {"INBOX|INBOX.Sent", '.', NULL, IPC_FOLDER_SENT, "", "INBOX.Sent", true},
        {"INBOX|INBOX.Sent", '.', NULL, IPC_FOLDER_TRASH, "", "INBOX.Trash", false},
        {"INBOX|INBOX.Sent|x", '.', NULL, IPC_FOLDER_TRASH, "", "Trash", false},
        {"INBOX", '.', "INBOX.", IPC_FOLDER_TRASH, "", "INBOX.Trash", false},
        {"INBOX", '.', NULL, IPC_FOLDER_TRASH, "", "Trash", false},
        {"inbox", '/', NULL, IPC_FOLDER_INBOX, "", "inbox", true},
        {"INBOX|a/b", '/', NULL, IPC_FOLDER_NONE, "a|b", "a/b", true},
        {"INBOX|A/B", '/', NULL, IPC_FOLDER_NONE, "a|b", "A/B", true},
        {"INBOX", '/', NULL, IPC_FOLDER_NONE, "a|b/c", "a/b_c", false},
        {"INBOX", '/', NULL, IPC_FOLDER_NONE,
         "K\xc3\xbc"
         "che & Bad",
         "K&APw-che &- Bad", false},
        {"INBOX", '.', "INBOX.", IPC_FOLDER_NONE, "Inbox|x", "Inbox.x", false},
        {"INBOX", '.', "INBOX.", IPC_FOLDER_NONE, "x", "INBOX.x", false},
        {"INBOX", 0, NULL, IPC_FOLDER_NONE, "a|b", "a-b", false},
        {"INBOX", '/', NULL, IPC_FOLDER_NONE, "a|\xff", NULL, false},
        {"INBOX", '/', NULL, IPC_FOLDER_NONE, "", NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct give_place list[10] = {};
        struct buf text[10];
        struct ipc_folder_part path[5];
        struct give_places p = {.list = list};
        struct give_target t;
        for (struct slice rest = slice_str(cases[i].folders); rest.n > 0; p.n++) {
            struct slice bit, name = slice_cut(slice_cut(rest, '|', &rest), '=', &bit);
            text[p.n] = buf_make(200);
            assert_true(imap_name_decode(name, &text[p.n]));
            list[p.n] = (struct give_place){.name = name,
                                            .path = buf_slice(&text[p.n]),
                                            .delimiter = cases[i].delimiter,
                                            .flags = bit.n == 0        ? 0
                                                     : bit.p[0] == 'S' ? IMAP_FOLDER_SENT
                                                                       : IMAP_FOLDER_ALL};
        }
        p.has_namespace = cases[i].prefix != NULL;
        p.prefix = slice_str(cases[i].prefix);
        give_places_judge(&p);
        uint32_t n_path = 0;
        for (struct slice rest = slice_str(cases[i].path); rest.n > 0;)
            path[n_path++].text = slice_cut(rest, '|', &rest);
        bool is_named = give_place_find(&p, cases[i].role, path, n_path, &t);
        assert_int_equal(is_named, cases[i].name != NULL);
        if (is_named &&
            (strcmp(t.name, cases[i].name) != 0 || (t.at != GIVE_NOWHERE) != cases[i].is_there))
            fail_msg("case %zu: %s, %d", i, t.name, t.at);
        for (size_t k = 0; k < p.n; k++)
            buf_finish(&text[k]);
    }
}

/* ---- conversations ---- */

/* Steps as those of courier's fake server: ">" is said, "<" is what must come; "!" a lost
 * connection. Everything comes and goes one byte at a time. */
struct script {
    const char *at;
    struct buf line; /* of ours, not complete yet */
    size_t n_said;   /* of the step */
    bool is_cr;
    char fault[400];
};

static bool starts(const struct script *s, char c)
{
    return *s->at == c && !s->fault[0];
}

static void next_step(struct script *s)
{
    s->at += strcspn(s->at, "|");
    s->at += *s->at == '|';
}

/* Over what was said to the end. */
static void settle(struct script *s)
{
    while (*s->at == '>' && (s->at[1 + s->n_said] == '|' || !s->at[1 + s->n_said])) {
        s->n_said = 0;
        next_step(s);
    }
}

static ssize_t script_read(void *arg, char *p, size_t)
{
    struct script *s = arg;
    settle(s);
    errno = EAGAIN;
    if (*s->at != '>')
        return s->fault[0] || *s->at == '!' || !*s->at ? 0 : -1;
    char c = s->at[1 + s->n_said];
    s->is_cr = c == '\n' && !s->is_cr;
    s->n_said += !s->is_cr;
    *p = s->is_cr ? '\r' : c;
    return 1;
}

static void take_line(struct script *s)
{
    struct slice want = {};
    settle(s);
    if (*s->at == '!')
        return; /* gone: it is lost */
    if (!starts(s, '<')) {
        (void)snprintf(s->fault, sizeof(s->fault), "not expected: %.300s", buf_cstr(&s->line));
        return;
    }
    want = slice_of(s->at + 1, strcspn(s->at + 1, "|"));
    if (!slice_starts(buf_slice(&s->line), want))
        (void)snprintf(s->fault, sizeof(s->fault), SLICE_FMT " expected, came %.200s",
                       SLICE_ARG(want), buf_cstr(&s->line));
    next_step(s);
}

static ssize_t script_write(void *arg, const struct iovec *parts, int)
{
    struct script *s = arg;
    char c = *(const char *)parts[0].iov_base;
    buf_addc(&s->line, c);
    if (c == '\n') {
        take_line(s);
        buf_clear(&s->line);
    }
    return 1;
}

static enum err script_wait(void *, int, mono_us, struct errinfo *)
{
    return ERR_OK;
}

static void script_close(void *)
{
}

static const struct net_transport over_script = {script_read, script_write, script_wait,
                                                 script_close};

struct scripts {
    struct script *list;
    size_t n, at;
};

static struct mailbox *open_script(struct give *g, struct mailbox_end *end)
{
    struct scripts *s = g->open_arg;
    if (s->at == s->n) {
        mailbox_end_words(end, IPC_STEP_CONNECT, "nobody there");
        return NULL;
    }
    struct net_conn *conn = net_conn_over(&over_script, &s->list[s->at++]);
    return mailbox_over(g->net, &g->todo->server[0], conn, "them", g->deadline, &g->cert_until,
                        end);
}

#define HELLO(caps)                                                                                \
    ">* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\n|<s1 AUTHENTICATE PLAIN AHUAcHc=|>"       \
    "s1 OK [CAPABILITY IMAP4rev1 " caps "] in\n|"
#define LISTED(tag)                                                                                \
    "<" tag " LIST \"\" \"*\"|>* LIST () \"/\" INBOX\n* LIST () \"/\" Sent\n" tag " OK x\n|"
#define OPENED(tag, verb, name)                                                                    \
    "<" tag " " verb " \"" name "\"|>* OK [UIDVALIDITY 7] x\n* OK [PERMANENTFLAGS (\\Seen)] "      \
    "x\n" tag " OK x\n|"
#define SEARCHED(tag, set)                                                                         \
    "<" tag " UID SEARCH HEADER Message-ID \"" ID "\"|>* SEARCH" set "\n" tag " OK x\n|"
#define FETCHED(tag, uid, flags)                                                                   \
    "<" tag " UID FETCH " uid " (UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM "         \
    "STAFFETTA-TRACE)])|>* 1 FETCH (UID " uid " FLAGS (" flags ") BODY[HEADER.FIELDS (X)] "        \
    "{19}\nMessage-ID: " ID "\n)\n" tag " OK x\n|"
#define BYE(tag) "<" tag " LOGOUT|>* BYE x\n" tag " OK x\n|"
#define NOTHING(first, second, third, fourth)                                                      \
    OPENED(first, "EXAMINE", "INBOX")                                                              \
    SEARCHED(second, "") OPENED(third, "EXAMINE", "Sent") SEARCHED(fourth, "")
#define APPEND_1                                                                                   \
    "<s8 APPEND \"Sent\" (\\Seen) \"20-Nov-2026 08:30:15 +0000\" {8}|>+ go\n|<a: b\r|<\r|<\r|"

#define DRAFTS_LISTED                                                                              \
    "<s2 LIST \"\" \"*\"|>* LIST () \"/\" INBOX\n* LIST () \"/\" Drafts\n"                         \
    "* LIST () \"/\" Sent\ns2 OK x\n|"
#define NO_HIT(first, second, name) OPENED(first, "EXAMINE", name) SEARCHED(second, "")
#define DRAFT_OPENED                                                                               \
    "<s10 SELECT \"Drafts\"|>* OK [UIDVALIDITY 7] x\n* OK [PERMANENTFLAGS (\\Seen \\Draft)] "      \
    "x\ns10 OK x\n|"

struct talk_case {
    const char *scripts[2];
    struct ipc_mailbox_op op;
    bool is_dry;
    enum ipc_op_result_kind result;
    uint32_t uid;
    const char *folder, *text;
};

static void check_talk(const struct talk_case *c)
{
    struct script list[2] = {{.at = c->scripts[0], .line = buf_make(10000)},
                             {.at = c->scripts[1], .line = buf_make(10000)}};
    struct scripts scripts = {list, c->scripts[1] ? 2 : 1, 0};
    struct ipc_server server = {.tls = IPC_TLS_NEVER, .user = SLICE("u"), .secret = SLICE("pw")};
    struct ipc_folder_part seen = {SLICE("\\Seen")};
    struct ipc_mailbox_op op = c->op;
    op.message_id = SLICE(ID);
    op.flags_add = &seen;
    op.n_flags_add = 1;
    op.internal_date = WHEN;
    op.bytes = 8;
    struct courier_network net = {.cancel_fd = -1, .timeouts = courier_timeouts_usual()};
    struct ipc_mailbox_do todo = {
        .server = &server, .n_server = 1, .ops = &op, .n_ops = 1, .is_dry = c->is_dry};
    struct give g = {.net = &net,
                     .todo = &todo,
                     .content = SLICE("a: b\r\n\r\n"),
                     .deadline = mono_now() + SECONDS(20),
                     .open = open_script,
                     .open_arg = &scripts};
    give_run(&g);
    const struct give_op *o = &g.ops[0];
    if (o->result != c->result || o->uid != c->uid || strcmp(o->folder, c->folder) != 0 ||
        !strstr(o->text, c->text) || list[0].fault[0] || list[1].fault[0])
        fail_msg("%s\n%s\n-> %s %u %s: %s\n(%s%s)", c->scripts[0],
                 c->scripts[1] ? c->scripts[1] : "", ipc_op_result_name((uint8_t)o->result), o->uid,
                 o->folder, o->text, list[0].fault, list[1].fault);
    give_finish(&g);
    buf_finish(&list[0].line);
    buf_finish(&list[1].line);
}

#define APPEND .op = {.what = IPC_OP_APPEND, .role = IPC_FOLDER_SENT}
#define SET .op = {.what = IPC_OP_SET}

static void each_conversation_ends_in_what_is_so(void **)
{
    static const struct talk_case cases[] = {
        {{HELLO("UIDPLUS") LISTED("s2") NOTHING("s3", "s4", "s5", "s6")
              OPENED("s7", "SELECT", "Sent") APPEND_1 ">s8 OK [APPENDUID 7 12] x\n|" BYE("s9")},
         APPEND,
         .result = IPC_OP_DONE,
         .uid = 12,
         .folder = "Sent",
         .text = "it was put there"},
        /* without UIDPLUS it is looked for */
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6") OPENED("s7", "SELECT", "Sent")
              APPEND_1 ">s8 OK x\n|" OPENED("s9", "EXAMINE", "Sent") SEARCHED("s10", " 3")
                  FETCHED("s11", "3", "\\Seen") BYE("s12")},
         APPEND,
         .result = IPC_OP_DONE,
         .uid = 3,
         .folder = "Sent",
         .text = ""},
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6") OPENED("s7", "SELECT", "Sent")
              APPEND_1 ">s8 OK x\n|" OPENED("s9", "EXAMINE", "Sent") SEARCHED("s10", "")
                  BYE("s11")},
         APPEND,
         .result = IPC_OP_DONE,
         .folder = "Sent",
         .text = "cannot be seen there yet"},
        /* there: with and without its flag */
        {{HELLO("UIDPLUS") LISTED("s2") OPENED("s3", "EXAMINE", "INBOX") SEARCHED("s4", "") OPENED(
             "s5", "EXAMINE", "Sent") SEARCHED("s6", " 3") FETCHED("s7", "3", "\\Seen") BYE("s8")},
         APPEND,
         .result = IPC_OP_ALREADY,
         .uid = 3,
         .folder = "Sent",
         .text = "it was there"},
        {{HELLO("UIDPLUS") LISTED("s2") OPENED("s3", "EXAMINE", "INBOX") SEARCHED("s4", "")
              OPENED("s5", "EXAMINE", "Sent") SEARCHED("s6", " 3") FETCHED("s7", "3", "x")
                  OPENED("s8", "SELECT",
                         "Sent") "<s9 UID STORE 3 +FLAGS.SILENT (\\Seen)|>s9 OK x\n|" BYE("s10")},
         APPEND,
         .result = IPC_OP_ALREADY,
         .uid = 3,
         .folder = "Sent",
         .text = "flags were set"},
        /* it lies there as the draft that it was: sent since */
        {{HELLO("UIDPLUS MOVE") DRAFTS_LISTED NO_HIT("s3", "s4", "INBOX")
              OPENED("s5", "EXAMINE", "Drafts") SEARCHED("s6", " 3")
                  FETCHED("s7", "3", "\\Draft \\Seen") NO_HIT("s8", "s9", "Sent") DRAFT_OPENED
          "<s11 UID STORE 3 -FLAGS.SILENT (\\Draft)|>s11 OK x\n|"
          "<s12 UID MOVE 3 \"Sent\"|>* OK [COPYUID 7 3 8] x\n"
          "s12 OK x\n|" BYE("s13")},
         APPEND,
         .result = IPC_OP_DONE,
         .uid = 8,
         .folder = "Sent",
         .text = "it was moved"},
        {{HELLO("UIDPLUS MOVE") DRAFTS_LISTED NO_HIT("s3", "s4", "INBOX")
              OPENED("s5", "EXAMINE", "Drafts") SEARCHED("s6", " 3")
                  FETCHED("s7", "3", "\\Draft \\Seen") NO_HIT("s8", "s9", "Sent") BYE("s10")},
         APPEND,
         .is_dry = true,
         .result = IPC_OP_WOULD,
         .folder = "Sent",
         .text = "it would be moved"},
        /* in Drafts still */
        {{HELLO("UIDPLUS MOVE") DRAFTS_LISTED NO_HIT("s3", "s4", "INBOX")
              OPENED("s5", "EXAMINE", "Drafts") SEARCHED("s6", " 3")
                  FETCHED("s7", "3", "\\Draft \\Seen") NO_HIT("s8", "s9", "Sent") BYE("s10")},
         .op = {.what = IPC_OP_APPEND, .role = IPC_FOLDER_DRAFTS},
         .result = IPC_OP_ALREADY,
         .uid = 3,
         .folder = "Drafts",
         .text = "it was there"},
        /* a hit that is none: a search that matches too much */
        {{HELLO("UIDPLUS") LISTED("s2") OPENED("s3", "EXAMINE", "INBOX") SEARCHED("s4", "")
              OPENED("s5", "EXAMINE", "Sent") SEARCHED(
                  "s6", " 3") "<s7 UID FETCH 3|>* 1 FETCH (UID 3 BODY[] \"\")\n"
                              "* 2 FETCH (UID 4 BODY[] {19}\nMessage-ID: " ID
                              "\n)\ns7 OK x\n|" OPENED(
                                  "s8", "SELECT",
                                  "Sent") "<s9 APPEND|>s9 NO [TOOBIG] too big\n|" BYE("s10")},
         APPEND,
         .result = IPC_OP_REFUSED,
         .folder = "",
         .text = "too big"},
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6") BYE("s7")},
         APPEND,
         .is_dry = true,
         .result = IPC_OP_WOULD,
         .folder = "Sent",
         .text = "would be put there"},
        /* lost before it was all there: put there once more, over another connection */
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6")
              OPENED("s7", "SELECT", "Sent") "<s8 APPEND|!",
          HELLO("UIDPLUS") "<s2 APPEND|>+ go\n|<a: b|<\r|<\r|>s2 OK [APPENDUID 7 4] x\n|" BYE(
              "s3")},
         APPEND,
         .result = IPC_OP_DONE,
         .uid = 4,
         .folder = "Sent",
         .text = "it was put there"},
        /* lost behind it: looked after, never repeated */
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6") OPENED("s7", "SELECT", "Sent")
              APPEND_1 "!",
          HELLO("") OPENED("s2", "EXAMINE", "Sent") SEARCHED("s3", " 9") FETCHED("s4", "9", "")
              BYE("s5")},
         APPEND,
         .result = IPC_OP_DONE,
         .uid = 9,
         .folder = "Sent",
         .text = "lost, but it is there"},
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6") OPENED("s7", "SELECT", "Sent")
              APPEND_1 "!",
          HELLO("") OPENED("s2", "EXAMINE", "Sent") SEARCHED("s3", "") BYE("s4")},
         APPEND,
         .result = IPC_OP_UNSURE,
         .folder = "Sent",
         .text = "cannot be seen"},
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6") OPENED("s7", "SELECT", "Sent")
              APPEND_1 ">* BYE [UNAVAILABLE] x\n|!"},
         APPEND,
         .result = IPC_OP_UNSURE,
         .folder = "Sent",
         .text = "goodbye"},
        /* nonsense in place of an answer */
        {{HELLO("") LISTED("s2") "<s3|>220 smtp\n|!", HELLO("") "<s2 EXAMINE|!"},
         APPEND,
         .result = IPC_OP_NOT_TRIED,
         .folder = "",
         .text = "closed"},
        {{HELLO("") "<s2|>s2 NO no\n|" BYE("s3")},
         APPEND,
         .result = IPC_OP_NOT_TRIED,
         .folder = "",
         .text = "LIST was refused"},
        /* a folder that cannot be searched: not where it shall be put */
        {{HELLO("") LISTED("s2") OPENED("s3", "EXAMINE", "INBOX")
              SEARCHED("s4", "") "<s5|>s5 NO [NOPERM] not yours\n|" BYE("s6")},
         APPEND,
         .result = IPC_OP_NOT_TRIED,
         .folder = "",
         .text = "not yours"},
        {{HELLO("") LISTED("s2") OPENED("s3", "EXAMINE", "INBOX")
              SEARCHED("s4", "") "<s5|>s5 NO [NOPERM] not yours\n|" BYE("s6")},
         SET,
         .result = IPC_OP_NOT_TRIED,
         .folder = "",
         .text = "not yours"},
        {{HELLO("") LISTED("s2") NOTHING("s3", "s4", "s5", "s6") BYE("s7")},
         SET,
         .result = IPC_OP_ABSENT,
         .folder = "",
         .text = "no folder"},
        /* a folder that was made anew between looking and doing */
        {{HELLO("") LISTED("s2") OPENED("s3", "EXAMINE", "INBOX") SEARCHED("s4", " 5")
              FETCHED("s5", "5", "") OPENED("s6", "EXAMINE", "Sent") SEARCHED(
                  "s7", "") "<s8 SELECT \"INBOX\"|>* OK [UIDVALIDITY 8] x\ns8 OK x\n|" BYE("s9")},
         SET,
         .result = IPC_OP_REFUSED,
         .uid = 5,
         .folder = "INBOX",
         .text = "made anew"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_talk(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_header_is_judged),
        cmocka_unit_test(each_choice_is_made_or_left),
        cmocka_unit_test(what_is_kept_already_is_not_put_there_again),
        cmocka_unit_test(each_folder_is_found_or_named),
        cmocka_unit_test(each_conversation_ends_in_what_is_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
