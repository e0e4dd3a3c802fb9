/* Setting somebody's password. It is never a word of the command line, where every user of the
 * machine could read it. */
#include "cli/cli_int.h"

#include <stdio.h>
#include <termios.h>
#include <unistd.h>

enum { LINE_BYTES = 400 };

/* A line without its end. */
static bool read_line(char ret[LINE_BYTES])
{
    if (!fgets(ret, LINE_BYTES, stdin))
        return false;
    size_t n = strlen(ret);
    bool is_whole = n > 0 && ret[n - 1] == '\n';
    while (n > 0 && (ret[n - 1] == '\n' || ret[n - 1] == '\r'))
        ret[--n] = '\0';
    return is_whole || feof(stdin);
}

/* Not shown while it is typed. Keys that would end the program are typed, too: it must not end with
 * a terminal that shows nothing. */
static bool read_hidden(const char *prompt, char ret[LINE_BYTES])
{
    struct termios old, hidden;
    if (tcgetattr(STDIN_FILENO, &old) != 0)
        return false;
    hidden = old;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    fprintf(stderr, "%s: ", prompt);
    bool is_good = read_line(ret);
    fprintf(stderr, "\n");
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
    return is_good && !strchr(ret, 3 /* ^C */);
}

static bool read_twice(char ret[LINE_BYTES])
{
    char again[LINE_BYTES];
    bool is_good = read_hidden("New password", ret) && read_hidden("Again", again);
    if (is_good && strcmp(ret, again) != 0) {
        complain(0, "the two are not the same. Nothing was changed.");
        is_good = false;
    } else if (!is_good) {
        complain(0, "no password was read. Nothing was changed.");
    }
    explicit_bzero(again, sizeof(again));
    return is_good;
}

static bool read_password(char ret[LINE_BYTES])
{
    ret[0] = '\0';
    if (isatty(STDIN_FILENO))
        return read_twice(ret);
    if (read_line(ret) && ret[0])
        return true;
    complain(0, "standard input holds no password. Nothing was changed. Give one line, or "
                "--generate.");
    return false;
}

int run_password(struct cli *c)
{
    char password[LINE_BYTES];
    SCOPED(buf_finish) struct buf path = buf_make(2000);
    json_t *body = NULL;
    if (!request_build(c, &path, &body))
        return EXIT_WRONG_USE;
    if (!cli_value(c, "generate")) {
        json_decref(body);
        bool is_read = read_password(password);
        body = is_read ? json_pack("{s:s}", "password", password) : NULL;
        explicit_bzero(password, sizeof(password));
        if (is_read && !body)
            complain(0, "the password is not UTF-8. Nothing was changed.");
        if (!body)
            return EXIT_WRONG_USE;
    }
    SCOPED(answer_finish) struct answer a = ask(c, "POST", buf_cstr(&path), body);
    json_decref(body);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    if (c->is_json)
        print(&a.body);
    else
        show(c->command->view, a.json);
    return EXIT_FINE;
}
