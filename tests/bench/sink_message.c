/* What the sink does with a message: unstuff, identify, count, record, store. */
#include "sink_int.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MAX (256U << 10)
#define RECORD_MAX (4U << 20)

static struct map *ids; /* id -> how often it came, as a pointer-sized number */
static int record_fd = -1;
static struct buf record;
static uint64_t n_stored;

void sink_message_open(void)
{
    ids = map_create();
    record = buf_make(RECORD_MAX);
    const char *path = sink_settings.record;
    if (path) {
        record_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (record_fd < 0)
            bench_die("%s: %s", path, strerror(errno));
    }
    if (sink_settings.store && mkdir(sink_settings.store, 0755) != 0 && errno != EEXIST)
        bench_die("%s: %s", sink_settings.store, strerror(errno));
}

void sink_message_close(void)
{
    map_destroy(&ids);
    buf_finish(&record);
    fd_close(&record_fd);
}

/* RFC 5321 section 4.5.2: the first dot of a line goes. In place. */
static struct slice unstuff(struct buf *message)
{
    char *to = message->p;
    const char *from = message->p, *end = message->p + message->n;
    while (from < end) {
        if (*from == '.')
            from++;
        const char *stop = memchr(from, '\n', (size_t)(end - from));
        size_t n = (size_t)((stop ? stop + 1 : end) - from);
        if (to != from)
            memmove(to, from, n);
        to += n;
        from += n;
    }
    return slice_of(message->p, (size_t)(to - message->p));
}

/* What the recorded digest covers: a relay puts headers of its own before what was sent. */
static struct slice digested(struct slice message)
{
    struct slice mark = slice_str(sink_settings.digest_from ? sink_settings.digest_from : "");
    struct slice rest = message;
    while (rest.n && !slice_starts(rest, mark))
        (void)slice_cut(rest, '\n', &rest);
    return rest;
}

/* The value of a header field, trimmed; empty when there is none. */
static struct slice header_find(struct slice message, struct slice name)
{
    struct slice rest = slice_of(message.p, message.n < HEADER_MAX ? message.n : HEADER_MAX);
    while (rest.n) {
        struct slice line = slice_cut(rest, '\n', &rest);
        if (line.n <= 1)
            break;
        if (slice_istarts(line, name))
            return slice_trim(slice_skip(line, name.n));
    }
    return slice_of(NULL, 0);
}

static void json_text(struct buf *out, struct slice s)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (c < ' ' || c >= 127)
            buf_addf(out, "\\u%04x", c); /* bytes as Latin-1: nothing is lost */
        else
            buf_addc(out, (char)c);
    }
    buf_addc(out, '"');
}

static void json_lines(struct buf *out, struct slice lines)
{
    buf_addc(out, '[');
    for (bool is_first = true; lines.n; is_first = false) {
        struct slice line = slice_cut(lines, '\n', &lines);
        if (!is_first)
            buf_addc(out, ',');
        json_text(out, line);
    }
    buf_addc(out, ']');
}

static void record_write(const struct sink_session *s, struct slice id, struct slice message,
                         const char *file)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n_digest = 0;
    struct slice part = digested(message);
    must(EVP_Digest(part.p, part.n, digest, &n_digest, EVP_sha256(), NULL) == 1);
    utc_ms now = utc_now();
    buf_clear(&record);
    buf_adds(&record, SLICE("{\"id\": "));
    json_text(&record, id);
    buf_addf(&record, ", \"size\": %zu, \"sha256\": \"", message.n);
    for (unsigned i = 0; i < n_digest; i++)
        buf_addf(&record, "%02x", digest[i]);
    buf_addf(&record, "\", \"time\": %lld.%03d, \"tls\": %s, \"from\": ", (long long)(now / 1000),
             (int)(now % 1000), s->stream.ssl ? "true" : "false");
    json_text(&record, buf_slice(&s->from));
    buf_adds(&record, SLICE(", \"rcpts\": "));
    json_lines(&record, buf_slice(&s->rcpts));
    buf_adds(&record, SLICE(", \"rcpt_params\": "));
    json_lines(&record, buf_slice(&s->rcpt_params));
    buf_adds(&record, SLICE(", \"params\": "));
    json_text(&record, buf_slice(&s->params));
    buf_adds(&record, SLICE(", \"helo\": "));
    json_text(&record, buf_slice(&s->helo));
    buf_adds(&record, SLICE(", \"xclient\": "));
    json_text(&record, buf_slice(&s->xclient));
    buf_adds(&record, SLICE(", \"file\": "));
    json_text(&record, slice_str(file));
    buf_adds(&record, SLICE("}\n"));
    must(!record.failed);
    if (write(record_fd, record.p, record.n) != (ssize_t)record.n)
        bench_die("record: %s", strerror(errno));
}

static void store_write(struct slice message, char *ret_name, size_t n_name)
{
    char path[4096];
    (void)snprintf(ret_name, n_name, "%06llu.eml", (unsigned long long)++n_stored);
    (void)snprintf(path, sizeof path, "%s/%s", sink_settings.store, ret_name);
    FILE *f = fopen(path, "wbe");
    if (!f)
        bench_die("%s: %s", path, strerror(errno));
    if (fwrite(message.p, 1, message.n, f) != message.n || fclose(f) != 0)
        bench_die("%s: %s", path, strerror(errno));
}

static void id_count(struct slice id)
{
    if (!id.n) {
        sink_counts.without_id++;
        return;
    }
    uintptr_t n = (uintptr_t)map_get(ids, id);
    (void)map_put(ids, id, (void *)(n + 1)); /* what was there is in `n` */
    if (n)
        sink_counts.duplicates++;
    else
        sink_counts.ids++;
}

static void latency_add(struct slice message)
{
    uint64_t sent;
    if (slice_u64(header_find(message, SLICE("X-Load-Sent:")), INT64_MAX, &sent))
        bench_histogram_add(&sink_latency, mono_now() - (mono_us)sent);
}

void sink_message_take(struct sink_session *s)
{
    char name[32] = "";
    bool is_kept = sink_settings.store || record_fd >= 0;
    struct slice message = is_kept ? unstuff(&s->message) : buf_slice(&s->message);
    struct slice id = header_find(message, SLICE("X-Load-Id:"));
    if (!id.n)
        id = header_find(message, SLICE("Message-ID:"));
    sink_counts.last = mono_now();
    if (sink_counts.messages++ == 0)
        sink_counts.first = sink_counts.last;
    sink_counts.bytes += message.n;
    id_count(id);
    latency_add(message);
    if (sink_settings.store)
        store_write(message, name, sizeof name);
    if (record_fd >= 0)
        record_write(s, id, message, name);
}
