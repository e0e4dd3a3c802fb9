/* Messages as src/email sees and writes them, for a judge in Python.
 *
 *     email_dump render FILE...     one line of JSON each: what Email/get gives
 *     email_dump compose            JSON of Email/set's create on each line of standard input; the
 *                                   message, its length before it; a blob's id is its bytes in hex
 */
#include "email/email.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 8 << 20 };

static const char ARGS[] =
    "{\"properties\":[\"subject\",\"from\",\"to\",\"sentAt\",\"messageId\",\"textBody\","
    "\"htmlBody\",\"attachments\",\"bodyStructure\",\"bodyValues\",\"hasAttachment\"],"
    "\"bodyProperties\":[\"partId\",\"blobId\",\"type\",\"name\",\"subParts\",\"size\"],"
    "\"fetchAllBodyValues\":true}";

static int render(const char *path, const struct email_want *want)
{
    SCOPED(buf_finish) struct buf in = buf_make(FILE_MAX), out = buf_make(4 * FILE_MAX);
    struct errinfo ei = {""};
    FILE *f = fopen(path, "rb");
    if (!f)
        return 1;
    in.n = fread(buf_room(&in, FILE_MAX), 1, FILE_MAX, f);
    (void)fclose(f); /* only read */
    if (email_render(buf_slice(&in), SLICE("Maaaaaaaaaaaab"), want, &out, &ei) != ERR_OK) {
        fprintf(stderr, "%s: %s\n", path, ei.text);
        return 1;
    }
    printf("%s\n", buf_cstr(&out));
    return 0;
}

static bool from_hex(void *arg, struct slice id, struct slice *ret)
{
    char *bytes = arena_new(arg, id.n);
    for (size_t i = 0; i + 1 < id.n; i += 2)
        bytes[i / 2] = (char)strtol((char[]){id.p[i], id.p[i + 1], 0}, NULL, 16);
    *ret = slice_of(bytes, id.n / 2);
    return true;
}

static int compose(const char *line)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(16 << 20);
    SCOPED(buf_finish) struct buf out = buf_make(FILE_MAX);
    struct email_compose_options o = {
        .domain = SLICE("node.example"), .now = 1795297207000, .blob = from_hex, .arg = a};
    struct email_composed told;
    struct email_fault fault;
    json_t *create = json_loads(line, 0, NULL);
    bool is_good = create && email_compose(create, &o, a, &out, &told, &fault);
    if (!is_good) {
        fprintf(stderr, "%.300s: %s\n", line, create ? fault.description : "no JSON");
        json_decref(create);
        return 1;
    }
    json_decref(create);
    printf("%zu\n", out.n);
    return fwrite(out.p, 1, out.n, stdout) == out.n ? 0 : 1;
}

int main(int argc, char **argv)
{
    static char line[1 << 20];
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct email_want want;
    json_t *args = json_loads(ARGS, 0, NULL);
    must(email_want_parse(args, EMAIL_CALL_GET, a, &want, NULL) == ERR_OK);
    json_decref(args);
    int bad = argc < 2;
    for (int i = 2; i < argc; i++)
        bad |= render(argv[i], &want);
    while (argc == 2 && fgets(line, sizeof(line), stdin))
        bad |= compose(line);
    return bad;
}
