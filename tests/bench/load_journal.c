/* The counting sender's memory. A line is written only after its reply was read, so the file
 * never claims more than the server said; it is written before the next message's reply is
 * waited for, so a killed generator forgets at most one turn of its loop. */
#include "load_int.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LINES_MAX (1U << 20)

static int journal_fd = -1;

void load_journal_open(const char *path)
{
    if (!path)
        return;
    journal_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (journal_fd < 0)
        bench_die("%s: %s", path, strerror(errno));
}

void load_journal_add(struct load_journal *j, const struct load_verdict *v)
{
    if (journal_fd < 0)
        return;
    char id[LOAD_ID_MAX];
    load_message_id(v->number, id);
    if (j->lines.n + 512 > LINES_MAX)
        load_journal_flush(j);
    buf_addf(&j->lines, "%s %s %d %lld.%03d %lld.%03d", id, v->word, v->code,
             (long long)(v->sent / 1000), (int)(v->sent % 1000), (long long)(v->replied / 1000),
             (int)(v->replied % 1000));
    if (load_settings.wants_digest)
        buf_addf(&j->lines, " %s", v->digest[0] ? v->digest : "-");
    buf_addc(&j->lines, '\n');
}

void load_journal_flush(struct load_journal *j)
{
    size_t at = 0;
    must(!j->lines.failed);
    while (at < j->lines.n) {
        ssize_t n = write(journal_fd, j->lines.p + at, j->lines.n - at);
        if (n < 0 && errno != EINTR)
            bench_die("journal: %s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&j->lines);
}
