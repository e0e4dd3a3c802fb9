/* The supervisor with real processes (this very program again, wiring_echo.c inside): deaths,
 * silence, nonsense, stopping, readiness, reload. */
#include "base/test/folder.h"
#include "base/test/run.h"
#include "daemon/child.h"
#include "daemon/supervisor.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { PATIENCE_MS = 8000, LINKS_OF_CORE = 5 /* gate, door, courier, liaison, resolver */ };

static const struct supervisor_times quick = {
    .ping = MILLISECONDS(40),
    .stuck = MILLISECONDS(600),
    .start = SECONDS(5),
    .start_core = SECONDS(5),
    .again_least = MILLISECONDS(60),
    .again_most = MILLISECONDS(240),
    .again_forget = SECONDS(60),
    .stop = {MILLISECONDS(300), MILLISECONDS(300), MILLISECONDS(300), MILLISECONDS(300),
             MILLISECONDS(300), MILLISECONDS(300)},
};
static const char *const names[] = {"gate", "door", "core", "courier", "liaison", "resolver"};

static struct {
    char folder[64], yaml[100], log[100], socket[100];
    struct folder own;
    uint16_t port;
    int notify;
    pid_t pid;
    mono_us started;
} node;

/* ---- a node ---- */

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void write_settings(const char *name, uint16_t port, const char *more)
{
    FILE *f = fopen(node.yaml, "we");
    assert_non_null(f);
    fprintf(f,
            "node: {name: %s, data: %s/data}\n"
            "listen: [{for: smtp, at: 127.0.0.1:%u}]\n"
            "admin: {socket: %s}\n"
            "gate: {count: 1}\n"
            "door: {count: 1}\n%s",
            name, node.folder, port, node.socket, more);
    assert_int_equal(fclose(f), 0);
}

/* A socket on which the node says that it is ready, at a path or an abstract name. */
static void listen_for_notices(bool is_abstract)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char name[100];
    snprintf(name, sizeof(name), "%s/notify", node.folder);
    (void)unlink(name);
    if (is_abstract)
        snprintf(name, sizeof(name), "@staffetta-test-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "1000000", 1);
    memcpy(a.sun_path, name, strlen(name));
    if (is_abstract)
        a.sun_path[0] = '\0';
    node.notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(node.notify, (struct sockaddr *)&a,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
}

static _Noreturn void be_node(const struct supervisor_times *times)
{
    struct settings_loaded loaded = {};
    struct prepared prepared;
    struct settings_problems problems = {};
    int log = open(node.log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    (void)dup2(log, STDERR_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    if (!settings_load(node.yaml, &loaded, &problems) ||
        !prepare_node(loaded.settings, &prepared, &problems)) {
        fprintf(stderr, "%s: %s\n", problems.list[0].what, problems.list[0].advice);
        _exit(99);
    }
    _exit(supervisor_run(&(struct supervisor_options){.settings_path = node.yaml,
                                                      .take_loaded = &loaded,
                                                      .take_prepared = &prepared,
                                                      .times = times}));
}

/* Waits for a notice with `text` in it; false after the patience. */
static bool hear(const char *text)
{
    char notice[600];
    struct pollfd p = {.fd = node.notify, .events = POLLIN};
    for (mono_us end = mono_now() + MILLISECONDS(PATIENCE_MS); mono_now() < end;) {
        if (poll(&p, 1, 50) != 1)
            continue;
        ssize_t n = recv(node.notify, notice, sizeof(notice) - 1, MSG_DONTWAIT);
        notice[n > 0 ? n : 0] = '\0';
        if (strstr(notice, text))
            return true;
    }
    return false;
}

static void start_node_as(const char *name, const struct supervisor_times *times)
{
    node.port = free_port();
    write_settings(name, node.port, "");
    listen_for_notices(false);
    node.started = mono_now();
    node.pid = fork();
    assert_true(node.pid >= 0);
    if (node.pid == 0)
        be_node(times);
}

static void start_node(void)
{
    start_node_as("mx.example.com", &quick);
    assert_true(hear("READY=1"));
}

static int end_of_node(void)
{
    int status = -1;
    assert_int_equal(waitpid(node.pid, &status, 0), node.pid);
    close(node.notify);
    node.pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int stop_node(void)
{
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    return end_of_node();
}

/* ---- looking at it ---- */

static bool is_role(pid_t pid, const char *role)
{
    char path[64], line[200] = "";
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
    if (f)
        fclose(f);
    for (size_t i = 0; i + 1 < n; i++)
        if (line[i] == '\0')
            line[i] = ' ';
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "--child %s ", role);
    return strstr(line, wanted) != NULL;
}

static pid_t parent_of(pid_t pid, char *ret_state)
{
    char path[64], line[300] = "";
    int parent = -1;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof(line), f) && strrchr(line, ')'))
        (void)sscanf(strrchr(line, ')'), ") %c %d", ret_state, &parent);
    if (f)
        fclose(f);
    return parent;
}

static pid_t pid_of(const char *role)
{
    pid_t found = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char state = '?';
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 0 && parent_of(pid, &state) == node.pid && state != 'Z' && is_role(pid, role))
            found = pid;
    }
    closedir(d);
    return found;
}

static pid_t wait_for_another(const char *role, pid_t old)
{
    for (mono_us end = mono_now() + MILLISECONDS(PATIENCE_MS); mono_now() < end; usleep(2000)) {
        pid_t pid = pid_of(role);
        if (pid != 0 && pid != old)
            return pid;
    }
    fail_msg("no new %s", role);
    return 0;
}

static bool log_has(const char *text)
{
    static char all[1 << 20];
    FILE *f = fopen(node.log, "re");
    assert_non_null(f);
    size_t n = fread(all, 1, sizeof(all) - 1, f);
    fclose(f);
    all[n] = '\0';
    return strstr(all, text) != NULL;
}

static void wait_for_log(const char *text)
{
    mono_us end = mono_now() + MILLISECONDS(PATIENCE_MS);
    while (!log_has(text) && mono_now() < end)
        usleep(5000);
    if (!log_has(text))
        fail_msg("not in the log: %s", text);
}

/* One command to the gate; "" when it did not answer. */
static const char *tell_gate(const char *command)
{
    static char reply[200];
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(node.port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    char line[64];
    int n = snprintf(line, sizeof(line), "%s\n", command);
    assert_int_equal(send(fd, line, (size_t)n, MSG_NOSIGNAL), n);
    ssize_t got = recv(fd, reply, sizeof(reply) - 1, 0);
    reply[got > 0 ? got : 0] = '\0';
    close(fd);
    return reply;
}

static unsigned figure(const char *reply, const char *name)
{
    const char *at = strstr(reply, name);
    return at ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

/* The core answers over the gate's link, and has all its own links. */
static void wait_for_all_links(void)
{
    int pid = 0;
    unsigned links = 0;
    for (mono_us end = mono_now() + MILLISECONDS(PATIENCE_MS); mono_now() < end; usleep(2000)) {
        pid = 0, links = 0;
        (void)sscanf(tell_gate("ask core"), "%d %u", &pid, &links);
        if (pid == pid_of("core") && links == LINKS_OF_CORE)
            return;
    }
    fail_msg("core %d has %u links", pid, links);
}

/* ---- readiness ---- */

static void readiness_is_told_when_the_slowest_is_ready(void **)
{
    start_node_as("mx.example.com", &quick);
    assert_true(hear("core \"replaying the log\" 40 %"));
    assert_true(hear("READY=1"));
    assert_true(mono_now() - node.started >= MILLISECONDS(140)); /* the liaison's */
    assert_true(hear("WATCHDOG=1"));
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    assert_true(hear("STOPPING=1"));
    assert_int_equal(end_of_node(), 0);
}

static void readiness_is_told_over_an_abstract_socket_too(void **)
{
    node.port = free_port();
    write_settings("mx.example.com", node.port, "");
    listen_for_notices(true);
    node.pid = fork();
    if (node.pid == 0)
        be_node(&quick);
    assert_true(hear("READY=1"));
    assert_int_equal(stop_node(), 0);
}

static void a_start_that_a_process_refuses_ends_with_its_reason(void **)
{
    start_node_as("refused.example.com", &quick);
    assert_int_equal(end_of_node(), 1);
    assert_true(log_has("the store is from a newer version; start that one"));
    assert_true(log_has("staffetta=\"not started\""));
}

/* ---- deaths ---- */

static void each_killed_process_comes_back_with_new_links(void **)
{
    start_node();
    wait_for_all_links();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pid_t others[6], old = pid_of(names[i]);
        for (size_t k = 0; k < 6; k++)
            others[k] = pid_of(names[k]);
        assert_int_equal(kill(old, SIGKILL), 0);
        (void)wait_for_another(names[i], old);
        wait_for_all_links();
        for (size_t k = 0; k < 6; k++)
            if (k != i)
                assert_int_equal(pid_of(names[k]), others[k]);
    }
    assert_int_equal(stop_node(), 0);
}

static void who_dies_again_and_again_is_started_later_and_later(void **)
{
    mono_us waits[5];
    start_node();
    for (size_t i = 0; i < 5; i++) {
        pid_t old = pid_of("courier");
        mono_us from = mono_now();
        assert_int_equal(kill(old, SIGKILL), 0);
        (void)wait_for_another("courier", old);
        waits[i] = mono_now() - from;
    }
    static const int wanted_ms[] = {0, 60, 120, 240, 240};
    for (size_t i = 0; i < 5; i++) /* timers may be a little early: the loop's clock is coarse */
        assert_true(waits[i] >= MILLISECONDS(wanted_ms[i] - 10));
    assert_true(waits[0] < waits[4]);
    assert_int_equal(stop_node(), 0);
}

static void memory_shared_by_a_role_survives_a_death(void **)
{
    start_node();
    assert_int_equal(figure(tell_gate("hello"), "shared="), 1);
    pid_t old = pid_of("gate");
    assert_int_equal(kill(old, SIGKILL), 0);
    (void)wait_for_another("gate", old);
    assert_int_equal(figure(tell_gate("hello"), "shared="), 2);
    assert_int_equal(stop_node(), 0);
}

static void nobody_outlives_the_supervisor(void **)
{
    pid_t pids[6];
    start_node();
    for (size_t i = 0; i < 6; i++)
        pids[i] = pid_of(names[i]);
    assert_int_equal(kill(node.pid, SIGKILL), 0);
    assert_int_equal(end_of_node(), -SIGKILL);
    for (size_t i = 0; i < 6; i++) {
        mono_us end = mono_now() + MILLISECONDS(PATIENCE_MS);
        while (is_role(pids[i], names[i]) && mono_now() < end)
            usleep(2000);
        assert_false(is_role(pids[i], names[i]));
    }
}

/* ---- silence and nonsense ---- */

static void a_process_that_is_stuck_is_killed_and_started_again(void **)
{
    start_node();
    pid_t old = pid_of("resolver");
    assert_int_equal(kill(old, SIGSTOP), 0);
    (void)wait_for_another("resolver", old);
    wait_for_log("process.stuck process=resolver");
    assert_int_equal(stop_node(), 0);
}

static void who_sends_nonsense_to_another_is_started_again(void **)
{
    start_node();
    wait_for_all_links();
    pid_t gate = pid_of("gate"), resolver = pid_of("resolver");
    (void)tell_gate("tell resolver");
    (void)wait_for_another("resolver", resolver);
    assert_int_equal(pid_of("gate"), gate);
    assert_int_equal(stop_node(), 0);
}

static void the_core_cannot_be_shot_down_by_who_tells_on_it(void **)
{
    start_node();
    wait_for_all_links();
    pid_t gate = pid_of("gate"), core = pid_of("core");
    (void)tell_gate("tell core");
    (void)wait_for_another("gate", gate);
    wait_for_all_links();
    assert_int_equal(pid_of("core"), core);
    assert_int_equal(stop_node(), 0);
}

static void who_tells_twice_in_a_minute_is_started_again_too(void **)
{
    start_node();
    wait_for_all_links();
    pid_t gate = pid_of("gate"), resolver = pid_of("resolver");
    (void)tell_gate("tell resolver");
    resolver = wait_for_another("resolver", resolver);
    for (int i = 0; i < 1000 && figure(tell_gate("ask resolver"), "") != (unsigned)resolver; i++)
        usleep(2000);
    (void)tell_gate("tell resolver");
    (void)wait_for_another("resolver", resolver);
    (void)wait_for_another("gate", gate);
    assert_int_equal(stop_node(), 0);
}

static void who_babbles_at_the_supervisor_is_started_again(void **)
{
    start_node();
    pid_t gate = pid_of("gate"), core = pid_of("core");
    (void)tell_gate("babble");
    gate = wait_for_another("gate", gate);
    (void)tell_gate("flood");
    (void)wait_for_another("gate", gate);
    wait_for_all_links();
    assert_int_equal(pid_of("core"), core);
    assert_int_equal(stop_node(), 0);
}

/* ---- stopping ---- */

static void stopping_goes_from_the_gates_to_the_resolver(void **)
{
    static const char *const order[] = {"gate/1",  "door/1", "courier",
                                        "liaison", "core",   "resolver"};
    char text[1 << 16], wanted[64];
    start_node();
    assert_int_equal(access(node.socket, F_OK), 0);
    assert_int_equal(stop_node(), 0);
    assert_int_equal(access(node.socket, F_OK), -1);
    FILE *f = fopen(node.log, "re");
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    const char *at = text;
    for (size_t i = 0; i < 6; i++) {
        snprintf(wanted, sizeof(wanted), "process.stop process=%s\n", order[i]);
        at = strstr(at, wanted);
        assert_non_null(at);
    }
    assert_non_null(strstr(at, "stopped exit=0"));
}

static void who_does_not_stop_is_killed_at_the_deadline(void **)
{
    start_node();
    (void)tell_gate("stay");
    mono_us from = mono_now();
    assert_int_equal(stop_node(), 0);
    assert_true(mono_now() - from >= MILLISECONDS(280)); /* the loop's clock is coarse */
    assert_true(mono_now() - from < MILLISECONDS(3000));
    wait_for_log("process.killed process=gate/1");
}

static void a_second_signal_kills_at_once(void **)
{
    struct supervisor_times patient = quick;
    patient.stop[0] = SECONDS(60);
    start_node_as("mx.example.com", &patient);
    assert_true(hear("READY=1"));
    (void)tell_gate("stay");
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    assert_true(hear("STOPPING=1"));
    mono_us from = mono_now();
    assert_int_equal(stop_node(), 0);
    assert_true(mono_now() - from < SECONDS(10));
}

/* The supervisor stands still while the gate leaves, and then hears the second signal before it
 * hears of that end: signals of one descriptor come with the lowest number first. */
static void who_left_before_its_kill_came_is_not_called_dead(void **)
{
    struct supervisor_times patient = quick;
    char state = '?';
    patient.stop[0] = SECONDS(60);
    start_node_as("mx.example.com", &patient);
    assert_true(hear("READY=1"));
    (void)tell_gate("stay");
    pid_t gate = pid_of("gate");
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    while (figure(tell_gate("hello"), "stopping=") == 0)
        usleep(2000);
    assert_int_equal(kill(node.pid, SIGSTOP), 0);
    (void)tell_gate("leave");
    while (parent_of(gate, &state) == node.pid && state != 'Z')
        usleep(2000);
    assert_int_equal(kill(node.pid, SIGTERM), 0);
    assert_int_equal(kill(node.pid, SIGCONT), 0);
    assert_int_equal(end_of_node(), 0);
    assert_true(log_has("process.killed process=gate/1"));
    assert_true(log_has("process.stop process=gate/1"));
    assert_false(log_has("process.died process=gate/1"));
}

/* ---- reload ---- */

static void reload(void)
{
    assert_int_equal(kill(node.pid, SIGHUP), 0);
    assert_true(hear("RELOADING=1"));
    assert_true(hear("READY=1"));
}

static void good_settings_come_into_effect_by_sighup(void **)
{
    start_node();
    assert_int_equal(figure(tell_gate("hello"), "hops="), 50);
    pid_t gate = pid_of("gate");
    write_settings("mx.example.com", node.port, "limits: {hops: 33}\n");
    reload();
    wait_for_log("settings.changed");
    for (int i = 0; i < 500 && figure(tell_gate("hello"), "hops=") != 33; i++)
        usleep(2000);
    assert_int_equal(figure(tell_gate("hello"), "hops="), 33);
    assert_int_equal(pid_of("gate"), gate);
    assert_int_equal(kill(gate, SIGKILL), 0); /* and a new process has them as well */
    (void)wait_for_another("gate", gate);
    assert_int_equal(figure(tell_gate("hello"), "hops="), 33);
    assert_int_equal(stop_node(), 0);
}

static void wrong_settings_leave_the_old_ones_in_effect(void **)
{
    start_node();
    write_settings("mx.example.com", node.port, "limits: {hops: 33, hop: 5}\n");
    reload();
    wait_for_log("unknown key \\x22limits.hop\\x22");
    wait_for_log("the old settings stay in effect");
    write_settings("mx.example.com", (uint16_t)(node.port + 1), "limits: {hops: 33}\n");
    reload();
    wait_for_log("listen cannot change while running");
    assert_int_equal(figure(tell_gate("hello"), "hops="), 50);
    assert_int_equal(stop_node(), 0);
}

static void certificate_and_key_are_swapped_by_sighup(void **)
{
    char key[100], crt[100], more[300];
    start_node();
    assert_int_equal(figure(tell_gate("hello"), "certificate="), 0);
    pid_t gate = pid_of("gate");
    snprintf(key, sizeof(key), "%s/key.pem", node.folder);
    snprintf(crt, sizeof(crt), "%s/crt.pem", node.folder);
    const char *const openssl[] = {
        "openssl", "req", "-x509",   "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mx.example.com",
        "-days",   "2",   "-keyout", key,       "-out",     crt,      NULL};
    assert_int_equal(run_program("/dev/null", openssl), 0);
    snprintf(more, sizeof(more), "tls: {certificate: %s, key: %s}\n", crt, key);
    write_settings("mx.example.com", node.port, more);
    /* The listener had no TLS: it must say so itself now, or the change would be a listener's. */
    FILE *f = fopen(node.yaml, "re");
    char text[2000];
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    char *end = strstr(text, "}]");
    assert_non_null(end);
    *end = '\0';
    f = fopen(node.yaml, "we");
    fprintf(f, "%s, tls: none}]%s", text, end + 2);
    fclose(f);
    reload();
    wait_for_log("settings.changed");
    const char *reply = "";
    for (int i = 0; i < 500 && figure(reply, "key=") == 0; i++)
        reply = tell_gate("hello");
    assert_true(figure(reply, "certificate=") > 500);
    assert_true(figure(reply, "key=") > 500);
    assert_int_equal(pid_of("gate"), gate);
    assert_int_equal(stop_node(), 0);
}

/* ---- the surroundings ---- */

static int set_up(void **)
{
    snprintf(node.folder, sizeof(node.folder), "/tmp/staffetta-supervisor-XXXXXX");
    if (!folder_make(&node.own, node.folder) || chmod(node.folder, 0755) != 0)
        return -1;
    snprintf(node.yaml, sizeof(node.yaml), "%s/staffetta.yaml", node.folder);
    snprintf(node.log, sizeof(node.log), "%s/log", node.folder);
    snprintf(node.socket, sizeof(node.socket), "%s/admin.sock", node.folder);
    return 0;
}

static int tear_down(void **)
{
    if (node.pid > 0)
        (void)kill(node.pid, SIGKILL);
    return folder_finish(&node.own) ? 0 : -1;
}

/* A test that failed half-way must not leave its node to the next one. */
static int after_each(void **)
{
    if (node.pid > 0) {
        (void)kill(node.pid, SIGKILL);
        (void)end_of_node();
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return child_main(argc, argv);
#define TEST(fn) cmocka_unit_test_teardown(fn, after_each)
    const struct CMUnitTest tests[] = {
        TEST(readiness_is_told_when_the_slowest_is_ready),
        TEST(readiness_is_told_over_an_abstract_socket_too),
        TEST(a_start_that_a_process_refuses_ends_with_its_reason),
        TEST(each_killed_process_comes_back_with_new_links),
        TEST(who_dies_again_and_again_is_started_later_and_later),
        TEST(memory_shared_by_a_role_survives_a_death),
        TEST(nobody_outlives_the_supervisor),
        TEST(a_process_that_is_stuck_is_killed_and_started_again),
        TEST(who_sends_nonsense_to_another_is_started_again),
        TEST(the_core_cannot_be_shot_down_by_who_tells_on_it),
        TEST(who_tells_twice_in_a_minute_is_started_again_too),
        TEST(who_babbles_at_the_supervisor_is_started_again),
        TEST(stopping_goes_from_the_gates_to_the_resolver),
        TEST(who_does_not_stop_is_killed_at_the_deadline),
        TEST(a_second_signal_kills_at_once),
        TEST(who_left_before_its_kill_came_is_not_called_dead),
        TEST(good_settings_come_into_effect_by_sighup),
        TEST(wrong_settings_leave_the_old_ones_in_effect),
        TEST(certificate_and_key_are_swapped_by_sighup),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
