/* staffetta(1), from the table of commands. */
#include "cli/cli_int.h"

/* Text in roff: backslashes, and no line that begins with a control. */
static void add_text(struct buf *b, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            buf_adds(b, SLICE("\\e"));
        else if (*p == '-')
            buf_adds(b, SLICE("\\-"));
        else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            buf_addf(b, "\\&%c", *p);
        else
            buf_addc(b, *p);
    }
}

static void add_flag(struct buf *b, struct slice word)
{
    struct slice mark;
    bool is_needed = slice_find(word, '!') >= 0;
    const struct flag *f = flag_find(slice_cut(slice_cut(word, '!', &mark), '?', &mark));
    buf_adds(b, is_needed ? SLICE(" \\fB\\-\\-") : SLICE(" [\\fB\\-\\-"));
    add_text(b, f->name);
    buf_adds(b, SLICE("\\fR"));
    if (f->value)
        buf_addf(b, " \\fI%s\\fR", f->value);
    if (!is_needed)
        buf_addc(b, ']');
}

static void add_command(struct buf *b, const struct command *c)
{
    struct slice rest = slice_str(c->args), mapped;
    buf_addf(b, ".TP\n\\fBstaffetta %s%s%s\\fR", c->noun, c->verb[0] ? " " : "", c->verb);
    while (rest.n > 0) {
        struct slice arg = slice_cut(slice_cut(rest, ' ', &rest), ':', &mapped);
        bool is_open = arg.p[0] == '[' && arg.p[arg.n - 1] != ']';
        buf_addf(b, " \\fI" SLICE_FMT "%s\\fR", SLICE_ARG(arg), is_open ? "]" : "");
    }
    rest = slice_str(c->flags);
    while (rest.n > 0)
        add_flag(b, slice_cut(rest, ' ', &rest));
    buf_addc(b, '\n');
    add_text(b, c->summary);
    buf_addc(b, '\n');
}

static void add_flags(struct buf *b)
{
    SCOPED(map_destroy) struct map *seen = map_create();
    for (size_t i = 0; i < n_commands; i++) {
        struct slice rest = slice_str(commands[i].flags), mark;
        while (rest.n > 0) {
            struct slice name =
                slice_cut(slice_cut(slice_cut(rest, ' ', &rest), '!', &mark), '?', &mark);
            const struct flag *f = flag_find(name);
            must(f);
            if (map_put(seen, name, seen))
                continue;
            buf_adds(b, SLICE(".TP\n\\fB\\-\\-"));
            add_text(b, f->name);
            buf_adds(b, SLICE("\\fR"));
            if (f->value)
                buf_addf(b, " \\fI%s\\fR", f->value);
            if (f->kind == FLAG_ON)
                buf_addf(b, ", \\fB\\-\\-no\\-%s\\fR", f->name);
            buf_addc(b, '\n');
            add_text(b, f->text);
            buf_addc(b, '\n');
        }
    }
}

void cli_manual(struct buf *b)
{
    buf_adds(b,
             SLICE(".\\\" Made from the table of commands: staffetta help \\-\\-man\n"
                   ".TH STAFFETTA 1 \"\" \"staffetta " VERSION "\"\n"
                   ".SH NAME\nstaffetta \\- look after the mail that keeps running\n"
                   ".SH SYNOPSIS\n\\fBstaffetta\\fR \\fINOUN\\fR [\\fIVERB\\fR] [\\fIARGUMENT\\fR] "
                   "[\\fIOPTION\\fR]...\n"
                   ".SH DESCRIPTION\nAsks the node that runs on this machine, over its local "
                   "socket. Tables "
                   "are for people;\n\\fB\\-\\-json\\fR prints the interface's own answer for "
                   "programs. Times "
                   "are local. Every change is\nwritten down with who and when.\n"
                   ".SH COMMANDS\n"));
    for (size_t i = 0; i < n_commands; i++)
        add_command(b, &commands[i]);
    buf_adds(b,
             SLICE(".SH OPTIONS\n"
                   ".TP\n\\fB\\-\\-json\\fR\nPrint the interface's own answer, as JSON.\n"
                   ".TP\n\\fB\\-\\-socket\\fR \\fIPATH\\fR\nThe node's socket. Default: "
                   "\\fI/run/staffetta/admin.sock\\fR, or what\n\\fBSTAFFETTA_SOCKET\\fR says.\n"));
    add_flags(b);
    buf_adds(
        b, SLICE(".SH EXIT STATUS\n"
                 ".TP\n\\fB0\\fR\nDone; every check is fine.\n"
                 ".TP\n\\fB1\\fR\nA check failed, nothing was found, or the request was refused.\n"
                 ".TP\n\\fB2\\fR\nWrong use: the command makes no sense; nothing was done.\n"
                 ".SH ENVIRONMENT\n"
                 ".TP\n\\fBSTAFFETTA_SOCKET\\fR\nThe node's socket.\n"
                 ".TP\n\\fBTZ\\fR\nThe zone in which times are shown.\n"
                 ".SH FILES\n"
                 ".TP\n\\fI/run/staffetta/admin.sock\\fR\nThe node's local socket. Who may connect "
                 "to it may "
                 "use every command.\n"));
}
