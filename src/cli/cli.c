/* From the words of a command line to a command: which row, which values, what is missing. */
#include "cli/cli_int.h"

#include <stdio.h>
#include <stdlib.h>

static const char default_socket[] = "/run/staffetta/admin.sock";

int complain(int code, const char *format, ...)
{
    va_list args;
    fputs("staffetta: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\n", stderr);
    return code;
}

const char *cli_value(const struct cli *c, const char *flag)
{
    for (size_t i = c->n_values; i > 0; i--)
        if (strcmp(c->values[i - 1].flag->name, flag) == 0)
            return c->values[i - 1].value;
    return NULL;
}

/* ---- help ---- */

static void usage_of(const struct command *c, FILE *to)
{
    struct slice rest = slice_str(c->args);
    fprintf(to, "staffetta %s%s%s", c->noun, c->verb[0] ? " " : "", c->verb);
    while (rest.n > 0) {
        struct slice mapped, arg = slice_cut(slice_cut(rest, ' ', &rest), ':', &mapped);
        bool is_open = arg.p[0] == '[' && arg.p[arg.n - 1] != ']';
        fprintf(to, " " SLICE_FMT "%s", SLICE_ARG(arg), is_open ? "]" : "");
    }
    rest = slice_str(c->flags);
    while (rest.n > 0) {
        struct slice mark, name = slice_cut(rest, ' ', &rest);
        bool is_needed = slice_find(name, '!') >= 0;
        name = slice_cut(slice_cut(name, '!', &mark), '?', &mark);
        const struct flag *f = flag_find(name);
        fprintf(to, is_needed ? " --%s%s%s" : " [--%s%s%s]", f->name, f->value ? " " : "",
                f->value ? f->value : "");
    }
    fprintf(to, "\n    %s\n", c->summary);
}

/* "person token" belongs to "person", too. */
static bool is_of(const struct command *c, const char *noun)
{
    size_t n = strlen(noun);
    return strncmp(c->noun, noun, n) == 0 && (c->noun[n] == '\0' || c->noun[n] == ' ');
}

static int usage(const char *noun, FILE *to)
{
    for (size_t i = 0; i < n_commands; i++)
        if (!noun || is_of(&commands[i], noun))
            usage_of(&commands[i], to);
    if (!noun)
        fprintf(to,
                "\nAll take --json (the interface's own answer) and --socket PATH (or "
                "STAFFETTA_SOCKET in the\nenvironment; default %s). More: man staffetta.\n",
                default_socket);
    return to == stdout ? EXIT_FINE : EXIT_WRONG_USE;
}

static int help(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[2], "--man") == 0) {
        SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
        cli_manual(&b);
        print(&b);
        return EXIT_FINE;
    }
    return usage(argc > 2 ? argv[2] : NULL, stdout);
}

/* ---- which row ---- */

static const struct command *row_of(const char *noun, const char *verb)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].noun, noun) == 0 && strcmp(commands[i].verb, verb) == 0)
            return &commands[i];
    return NULL;
}

/* Nouns may be of two words: "person token". */
static const char *noun_of(int argc, char **argv, int *at)
{
    char both[60];
    if (*at + 1 >= argc)
        return argv[*at];
    (void)snprintf(both, sizeof(both), "%s %s", argv[*at], argv[*at + 1]);
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].noun, both) == 0) {
            ++*at;
            return commands[i].noun;
        }
    return argv[*at];
}

/* `*at` moves behind what was used. A noun alone means its list, or itself. */
static const struct command *find_command(int argc, char **argv, int *at)
{
    const char *noun = noun_of(argc, argv, at);
    const struct command *c = *at + 1 < argc ? row_of(noun, argv[*at + 1]) : NULL;
    if (c && c->verb[0]) {
        *at += 2;
        return c;
    }
    ++*at;
    c = row_of(noun, "");
    if (!c && (*at == argc || argv[*at][0] == '-'))
        c = row_of(noun, "list");
    return c;
}

static int refuse_command(int argc, char **argv, int at)
{
    int first = 1;
    const char *noun = noun_of(argc, argv, &first);
    for (size_t i = 0; i < n_commands; i++) {
        if (strcmp(commands[i].noun, noun) != 0)
            continue;
        complain(0,
                 at < argc ? "%s has no command \"%s\". Nothing was done. It has:"
                           : "%s needs one more word. Nothing was done. It has:",
                 noun, at < argc ? argv[at] : "");
        return usage(noun, stderr);
    }
    return complain(EXIT_WRONG_USE,
                    "there is no command \"%s\". Nothing was done. `staffetta help` lists all.",
                    noun);
}

/* ---- values ---- */

/* Is the flag in the row's list? */
static bool is_allowed(const struct command *row, const char *flag)
{
    struct slice rest = slice_str(row->flags), mark;
    while (rest.n > 0) {
        struct slice name =
            slice_cut(slice_cut(slice_cut(rest, ' ', &rest), '!', &mark), '?', &mark);
        if (slice_eq(name, slice_str(flag)))
            return true;
    }
    return false;
}

static int take_flag(struct cli *c, int argc, char **argv, int *at)
{
    const char *word = argv[(*at)++] + 2;
    struct slice value, name = slice_cut(slice_str(word), '=', &value);
    bool has_value = slice_find(slice_str(word), '=') >= 0;
    bool is_off = slice_starts(name, SLICE("no-"));
    const struct flag *f = flag_find(name);
    if (!f && is_off)
        f = flag_find(slice_skip(name, 3));
    else
        is_off = false;
    if (!f || !is_allowed(c->command, f->name) || (is_off && f->kind != FLAG_ON)) {
        complain(0, "--%s is not known here. Nothing was done. This is how:", word);
        usage_of(c->command, stderr);
        return EXIT_WRONG_USE;
    }
    if (!f->value && has_value)
        return complain(EXIT_WRONG_USE, "--%s takes no value. Nothing was done.", f->name);
    if (f->value && !has_value && *at == argc)
        return complain(EXIT_WRONG_USE, "--%s needs a value: --%s %s. Nothing was done.", f->name,
                        f->name, f->value);
    if (c->n_values == VALUES_MAX)
        return complain(EXIT_WRONG_USE, "more than %d options. Nothing was done.", VALUES_MAX);
    c->values[c->n_values].flag = f;
    c->values[c->n_values].is_off = is_off;
    c->values[c->n_values++].value = !f->value ? "" : has_value ? value.p : argv[(*at)++];
    return EXIT_FINE;
}

static size_t count_words(const char *list)
{
    struct slice rest = slice_str(list);
    size_t n = 0;
    for (; rest.n > 0; n++)
        (void)slice_cut(rest, ' ', &rest);
    return n;
}

static int check_given(const struct cli *c, size_t n_args)
{
    struct slice rest = slice_str(c->command->args), mark;
    for (size_t i = 0; rest.n > 0; i++) {
        struct slice arg = slice_cut(slice_cut(rest, ' ', &rest), ':', &mark);
        if (i >= n_args && arg.p[0] != '[') {
            complain(0, SLICE_FMT " is missing. Nothing was done. This is how:", SLICE_ARG(arg));
            usage_of(c->command, stderr);
            return EXIT_WRONG_USE;
        }
    }
    rest = slice_str(c->command->flags);
    while (rest.n > 0) {
        struct slice word = slice_cut(rest, ' ', &rest);
        const struct flag *f = flag_find(slice_cut(word, '!', &mark));
        if (slice_find(word, '!') >= 0 && !cli_value(c, f->name)) {
            complain(0, "--%s %s is missing. Nothing was done. This is how:", f->name, f->value);
            usage_of(c->command, stderr);
            return EXIT_WRONG_USE;
        }
    }
    return EXIT_FINE;
}

/* --json and --socket may stand anywhere. */
static int take_words(struct cli *c, int argc, char **argv, int at)
{
    size_t n_args = 0, max = count_words(c->command->args);
    bool only_args = false;
    while (at < argc) {
        const char *word = argv[at];
        int code = EXIT_FINE;
        if (only_args || word[0] != '-' || !word[1]) {
            if (n_args == max)
                return complain(EXIT_WRONG_USE,
                                "\"%s\" is one word too many. Nothing was done. `staffetta help "
                                "%s` shows how.",
                                word, c->command->noun);
            c->args[n_args++] = word;
            at++;
        } else if (strcmp(word, "--") == 0) {
            only_args = true;
            at++;
        } else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            usage_of(c->command, stdout);
            return -1;
        } else if (word[1] != '-') {
            return complain(EXIT_WRONG_USE, "%s is not known here. Nothing was done.", word);
        } else {
            code = take_flag(c, argc, argv, &at);
        }
        if (code != EXIT_FINE)
            return code;
    }
    return check_given(c, n_args);
}

/* Takes the options that every command has out of the line. */
static int take_common(struct cli *c, int *argc, char **argv)
{
    int n = 0;
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            c->is_json = true;
        } else if (strcmp(argv[i], "--socket") == 0 && i + 1 < *argc) {
            c->socket = argv[++i];
        } else if (strncmp(argv[i], "--socket=", 9) == 0) {
            c->socket = argv[i] + 9;
        } else if (strcmp(argv[i], "--socket") == 0) {
            return complain(EXIT_WRONG_USE, "--socket needs a path. Nothing was done.");
        } else {
            argv[n++] = argv[i];
        }
    }
    *argc = n;
    return EXIT_FINE;
}

/* ---- the plain way ---- */

int run_plain(struct cli *c)
{
    SCOPED(buf_finish) struct buf path = buf_make(20000);
    json_t *body = NULL;
    if (!request_build(c, &path, &body))
        return EXIT_WRONG_USE;
    SCOPED(answer_finish) struct answer a = ask(c, c->command->method, buf_cstr(&path), body);
    json_decref(body);
    int code = answer_code(c, &a);
    if (code != EXIT_FINE)
        return code;
    const struct view *v = c->command->view;
    if (c->is_json)
        print(&a.body);
    else
        show(v, a.json);
    if (v->must_be_true && !json_is_true(json_object_get(a.json, v->must_be_true)))
        return EXIT_FAILED;
    return EXIT_FINE;
}

int cli_main(int argc, char **argv)
{
    struct cli c = {.socket = getenv("STAFFETTA_SOCKET")};
    char **words = mem_new(sizeof(*words) * (size_t)(argc + 1));
    memcpy(words, argv, sizeof(*words) * (size_t)argc);
    int at = 1;
    int code = take_common(&c, &argc, words);
    if (!c.socket || !c.socket[0])
        c.socket = default_socket;
    if (code == EXIT_FINE && (argc < 2 || strcmp(words[1], "help") == 0)) {
        code = argc < 2 ? usage(NULL, stderr) : help(argc, words);
    } else if (code == EXIT_FINE) {
        c.command = find_command(argc, words, &at);
        code = c.command ? take_words(&c, argc, words, at) : refuse_command(argc, words, at);
        if (c.command && code == EXIT_FINE)
            code = c.command->run ? c.command->run(&c) : run_plain(&c);
    }
    mem_free(&words);
    return code < 0 ? EXIT_FINE : code;
}
