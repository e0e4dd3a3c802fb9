/* Validation against a real authority: Knot serves a signed zone, one unsigned below it and one
 * whose signature cannot be right. Skipped, and said so, where Knot is not installed. */
#include "resolve/resolve.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

extern char **environ;

static const char config[] =
    "server:\n  rundir: \"%1$s\"\n  listen: 127.0.0.1@%2$u\n  udp-workers: 1\n  tcp-workers: 1\n"
    "  background-workers: 1\n"
    "database:\n  storage: \"%1$s\"\n"
    "policy:\n  - id: test\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n"
    "template:\n  - id: default\n    storage: \"%1$s\"\n    file: \"%%s.zone\"\n"
    "    zonefile-sync: -1\n    zonefile-load: whole\n    dnssec-signing: on\n"
    "    dnssec-policy: test\n"
    "zone:\n  - domain: test.\n  - domain: forged.test.\n  - domain: plain.test.\n"
    "    dnssec-signing: off\n";
static const char zone[] = "$ORIGIN test.\n$TTL 5\n@ SOA ns.test. host.test. 1 60 60 600 5\n"
                           "@ NS ns.test.\nns A 127.0.0.1\n"
                           "mail MX 10 a.mail\nmail MX 20 b.mail\n"
                           "a.mail A 127.0.0.1\na.mail AAAA ::1\n"
                           "_25._tcp.a.mail TLSA 3 1 1 (00000000000000000000000000000000\n"
                           " 00000000000000000000000000000000)\n"
                           "alias CNAME a.mail\ntext TXT \"one\" \"two\"\nnull MX 0 .\n"
                           "9.0.0.127 PTR a.mail\n"
                           "plain NS ns.plain\nns.plain A 127.0.0.1\n"
                           "forged NS ns.forged\nns.forged A 127.0.0.1\n"
                           "forged DS 1 13 2 (00000000000000000000000000000000\n"
                           " 00000000000000000000000000000000)\n";
static const char below[] = "$ORIGIN %s.test.\n$TTL 5\n@ SOA ns host 1 60 60 600 5\n@ NS ns\n"
                            "@ A 127.0.0.2\nns A 127.0.0.1\n";

struct authority {
    char folder[40];
    uint16_t port;
    pid_t pid;
    char anchors[2000];
};

static void write_file(const struct authority *k, const char *name, const char *text)
{
    char path[100];
    snprintf(path, sizeof(path), "%s/%s", k->folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static pid_t run(const struct authority *k, char *const argv[], const char *output)
{
    char path[100];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    snprintf(path, sizeof(path), "%s/%s", k->folder, output);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int failed = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? -1 : pid;
}

static void write_zones(struct authority *k)
{
    char text[4000];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_DGRAM, 0); /* a free port */
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    k->port = ntohs(a.sin_port);
    close(fd);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), config, k->folder, k->port);
    write_file(k, "knot.conf", text);
    write_file(k, "test.zone", zone);
    snprintf(text, sizeof(text), below, "plain");
    write_file(k, "plain.test.zone", text);
    snprintf(text, sizeof(text), below, "forged");
    write_file(k, "forged.test.zone", text);
#pragma GCC diagnostic pop
}

/* Until it answers a question about its zone. */
static void wait_for(const struct authority *k)
{
    static const char question[] = "\0\1\0\0\0\1\0\0\0\0\0\0\4test\0\0\6\0\1";
    char answer[600];
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(k->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ssize_t n = 0;
    for (int i = 0; i < 200 && !(n > 12 && (answer[3] & 15) == 0); i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)sendto(fd, question, sizeof(question) - 1, 0, (struct sockaddr *)&a, sizeof(a));
        if (poll(&p, 1, 30) > 0)
            n = recv(fd, answer, sizeof(answer), 0);
        else
            usleep(10000);
    }
    close(fd);
    assert_true(n > 12);
}

static void read_anchors(struct authority *k)
{
    char conf[100], path[100];
    int status = -1;
    snprintf(conf, sizeof(conf), "%s/knot.conf", k->folder);
    snprintf(path, sizeof(path), "%s/ds", k->folder);
    char tool[] = "/usr/sbin/keymgr", c[] = "-c", name[] = "test.", verb[] = "ds";
    char *argv[] = {tool, c, conf, name, verb, NULL};
    pid_t pid = run(k, argv, "ds");
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    k->anchors[fread(k->anchors, 1, sizeof(k->anchors) - 1, f)] = '\0';
    fclose(f);
    assert_non_null(strstr(k->anchors, "DS"));
}

static int start_authority(void **state)
{
    static struct authority k = {.folder = "/tmp/resolve-XXXXXX"};
    if (access("/usr/sbin/knotd", X_OK) != 0 || access("/usr/sbin/keymgr", X_OK) != 0)
        return 0;
    char conf[100], tool[] = "/usr/sbin/knotd", c[] = "-c";
    assert_non_null(mkdtemp(k.folder));
    write_zones(&k);
    snprintf(conf, sizeof(conf), "%s/knot.conf", k.folder);
    char *argv[] = {tool, c, conf, NULL};
    k.pid = run(&k, argv, "log");
    assert_true(k.pid > 0);
    wait_for(&k);
    read_anchors(&k);
    *state = &k;
    return 0;
}

static int stop_authority(void **state)
{
    struct authority *k = *state;
    if (!k)
        return 0;
    char tool[] = "/bin/rm", r[] = "-rf";
    char *argv[] = {tool, r, k->folder, NULL};
    kill(k->pid, SIGTERM);
    waitpid(k->pid, NULL, 0);
    pid_t pid;
    if (posix_spawn(&pid, tool, NULL, NULL, argv, environ) == 0)
        waitpid(pid, NULL, 0);
    return 0;
}

struct seen {
    struct net_loop *loop;
    struct ipc_name_told told;
    struct arena *arena;
};

static void on_told(void *arg, uint64_t, const struct ipc_name_told *t)
{
    struct seen *s = arg;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    ipc_name_told_pack(&b, t);
    assert_true(ipc_name_told_unpack(arena_copy(s->arena, buf_slice(&b)), s->arena, &s->told));
    net_loop_stop(s->loop);
}

static void ask(const struct authority *k, const char *anchors, const char *name, uint16_t type,
                struct seen *s)
{
    char forwarder[40];
    struct resolve *r = NULL;
    struct resolve_options o = resolve_options_usual();
    snprintf(forwarder, sizeof(forwarder), "127.0.0.1:%u", k->port);
    struct slice forwarders[] = {slice_str(forwarder)}, opened[] = {SLICE("test.")};
    o.forwarders = forwarders;
    o.n_forwarders = 1;
    o.opened = opened;
    o.n_opened = 1;
    o.anchors = slice_str(anchors);
    o.told = on_told;
    o.arg = s;
    s->loop = net_loop_create();
    s->arena = arena_create(1 << 20);
    assert_int_equal(resolve_create(s->loop, &o, &r, NULL), ERR_OK);
    struct ipc_name_ask q = {slice_str(name), type};
    resolve_ask(r, 1, &q);
    net_loop_run(s->loop);
    resolve_destroy(&r);
    net_loop_destroy(&s->loop);
}

static void signed_answers_are_secure_and_forged_ones_bogus(void **state)
{
    static const struct {
        const char *name;
        uint16_t type;
        enum ipc_name_status status;
        bool is_secure;
        uint32_t n_records;
        const char *data; /* is among the records */
        size_t n_data;
    } cases[] = {
        {"mail.test", RESOLVE_MX, IPC_NAME_OK, true, 2, "\0\12\1a\4mail\4test\0", 15},
        {"null.test", RESOLVE_MX, IPC_NAME_OK, true, 1, "\0\0\0", 3},
        {"a.mail.test", RESOLVE_A, IPC_NAME_OK, true, 1, "\177\0\0\1", 4},
        {"a.mail.test", RESOLVE_AAAA, IPC_NAME_OK, true, 1, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16},
        {"alias.test", RESOLVE_A, IPC_NAME_OK, true, 1, "\177\0\0\1", 4},
        {"text.test", RESOLVE_TXT, IPC_NAME_OK, true, 1, "\3one\3two", 8},
        {"_25._tcp.a.mail.test", RESOLVE_TLSA, IPC_NAME_OK, true, 1,
         "\3\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0"
         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         35},
        {"9.0.0.127.test", RESOLVE_PTR, IPC_NAME_OK, true, 1, "\1a\4mail\4test\0", 13},
        {"text.test", RESOLVE_MX, IPC_NAME_NO_DATA, true, 0, NULL, 0},
        {"nobody.test", RESOLVE_A, IPC_NAME_NO_NAME, true, 0, NULL, 0},
        {"plain.test", RESOLVE_A, IPC_NAME_OK, false, 1, "\177\0\0\2", 4},
        {"nobody.plain.test", RESOLVE_A, IPC_NAME_NO_NAME, false, 0, NULL, 0},
        {"forged.test", RESOLVE_A, IPC_NAME_BOGUS, false, 0, NULL, 0},
    };
    const struct authority *k = *state;
    if (!k) {
        print_message("Knot is not installed: validation is not tested\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen s = {};
        bool is_there = cases[i].n_records == 0;
        ask(k, k->anchors, cases[i].name, cases[i].type, &s);
        assert_int_equal(s.told.status, cases[i].status);
        assert_int_equal(s.told.is_secure, cases[i].is_secure);
        assert_int_equal(s.told.n_records, cases[i].n_records);
        assert_int_equal(s.told.why.n > 0, cases[i].status == IPC_NAME_BOGUS);
        for (uint32_t n = 0; n < s.told.n_records; n++)
            is_there = is_there ||
                       slice_eq(s.told.records[n].data, slice_of(cases[i].data, cases[i].n_data));
        assert_true(is_there);
        arena_destroy(&s.arena);
    }
}

static void without_anchors_nothing_is_secure(void **state)
{
    const struct authority *k = *state;
    struct seen s = {};
    if (!k)
        skip();
    ask(k, "", "mail.test", RESOLVE_MX, &s);
    assert_int_equal(s.told.status, IPC_NAME_OK);
    assert_int_equal(s.told.is_secure, 0);
    assert_int_equal(s.told.n_records, 2);
    assert_in_range(s.told.ttl, 1, 5);
    arena_destroy(&s.arena);
}

static void a_wrong_anchor_makes_everything_bogus(void **state)
{
    const struct authority *k = *state;
    struct seen s = {};
    if (!k)
        skip();
    ask(k, "test. DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000\n",
        "mail.test", RESOLVE_MX, &s);
    assert_int_equal(s.told.status, IPC_NAME_BOGUS);
    assert_int_equal(s.told.n_records, 0);
    arena_destroy(&s.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_answers_are_secure_and_forged_ones_bogus),
        cmocka_unit_test(without_anchors_nothing_is_secure),
        cmocka_unit_test(a_wrong_anchor_makes_everything_bogus),
    };
    return cmocka_run_group_tests(tests, start_authority, stop_authority);
}
