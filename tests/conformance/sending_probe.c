/* Sends as a person of a small company through a whole desk, and writes what the courier is given,
 * for sending_judge.py. Usage: sending_probe FOLDER MESSAGE...
 *
 *     FOLDER/sf1r, FOLDER/sf1e    the records of the two keys that sign
 *     FOLDER/0, FOLDER/1 …        each message as it goes to the world */
#include "../../src/desk/test/desk_kit_submit.h"

static void write_file(const char *folder, const char *name, struct slice bytes)
{
    char path[500];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
    fd_close(&fd);
}

static char *read_file(const char *path)
{
    char *text = mem_new(1 << 20);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && read(fd, text, (1 << 20) - 1) >= 0);
    fd_close(&fd);
    return text;
}

static void send_one(const char *folder, unsigned number, const char *path)
{
    char name[16], *mail = read_file(path);
    struct sub s = {.rcpts = {"one@world.test"}, .mail = mail};
    struct kit_job j;
    put(&s);
    kit_job(&j);
    snprintf(name, sizeof(name), "%u", number);
    write_file(folder, name, buf_slice(&j.content));
    kit_result(&j, kit_good);
    kit_job_free(&j);
    await_state(&s, JMAP_FINAL);
    mem_free(&mail);
}

int main(int argc, char **argv)
{
    struct buf records[2] = {buf_make(1000), buf_make(1000)};
    must(argc > 2 && kit_setup(NULL) == 0);
    kit_found((struct kit_company){0});
    put_keys("11", records); /* active */
    write_file(argv[1], "sf1r", buf_slice(&records[0]));
    write_file(argv[1], "sf1e", buf_slice(&records[1]));
    for (int i = 2; i < argc; i++)
        send_one(argv[1], (unsigned)i - 2, argv[i]);
    buf_finish(&records[0]);
    buf_finish(&records[1]);
    arena_destroy(&seen_arena);
    return kit_teardown(NULL);
}
