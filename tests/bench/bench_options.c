/* Options of the test tools: one row an option, so that --help can never be wrong. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>

_Noreturn void bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "%s: ", program_invocation_short_name);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static const char *kind_text(enum bench_option_kind kind)
{
    switch (kind) {
    case BENCH_FLAG:
    case BENCH_NO:
        return "";
    case BENCH_NUMBER:
        return " N";
    case BENCH_TEXT:
    case BENCH_CALL:
        return " TEXT";
    case BENCH_PAIR:
        return " A B";
    }
    return "";
}

static _Noreturn void help(const struct bench_option *rows, size_t n_rows, const char *purpose)
{
    (void)printf("%s\n\n", purpose);
    for (size_t i = 0; i < n_rows; i++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s", rows[i].name, kind_text(rows[i].kind));
        (void)printf("  %-24s %s\n", left, rows[i].help);
    }
    exit(0);
}

static const struct bench_option *row_find(const struct bench_option *rows, size_t n_rows,
                                           const char *name)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    bench_die("unknown option %s (--help lists them)", name);
}

static void row_number(const struct bench_option *row, const char *argument)
{
    uint64_t most = row->most ? row->most : UINT64_MAX;
    if (!slice_u64(slice_str(argument), most, row->value))
        bench_die("%s wants a number of at most %llu", row->name, (unsigned long long)most);
}

void bench_options_read(const struct bench_option *rows, size_t n_rows, int argc, char **argv,
                        const char *purpose)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            help(rows, n_rows, purpose);
        const struct bench_option *row = row_find(rows, n_rows, argv[i]);
        int n_args = row->kind == BENCH_PAIR                            ? 2
                     : row->kind == BENCH_FLAG || row->kind == BENCH_NO ? 0
                                                                        : 1;
        if (i + n_args >= argc)
            bench_die("%s wants %d argument%s", row->name, n_args, n_args == 1 ? "" : "s");
        switch (row->kind) {
        case BENCH_FLAG:
            *(bool *)row->value = true;
            break;
        case BENCH_NO:
            *(bool *)row->value = false;
            break;
        case BENCH_NUMBER:
            row_number(row, argv[i + 1]);
            break;
        case BENCH_TEXT:
            *(const char **)row->value = argv[i + 1];
            break;
        case BENCH_PAIR:
            ((const char **)row->value)[0] = argv[i + 1];
            ((const char **)row->value)[1] = argv[i + 2];
            break;
        case BENCH_CALL:
            row->call(row->name, argv[i + 1]);
            break;
        }
        i += n_args;
    }
}
