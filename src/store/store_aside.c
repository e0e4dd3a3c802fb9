/* Records at which recovery ended: noting where it is, and setting them aside.
 *
 * A record that kills the process while it is applied would keep the store closed for ever. So
 * recovery leaves a note on the disk before it begins; when it finds such a note at its start, it
 * notes each record before applying it, and one at which it ended twice is copied to aside/ and
 * skipped. The note is a file of one sector, overwritten in place. */
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { NOTE_BYTES = 40, NOTE_FILE_MAX = 512 };

static void aside_path(const struct store *s, uint64_t pos, char ret[STORE_PATH])
{
    char name[64];
    (void)snprintf(name, sizeof(name), "aside/%016llx.rec", (unsigned long long)pos);
    store_path(s, name, ret);
}

bool store_note_read(struct store *s, struct recovery_note *ret)
{
    char path[STORE_PATH];
    unsigned long long pos;
    unsigned deaths, crc;
    struct errinfo ei;
    SCOPED(buf_finish) struct buf b = buf_make(NOTE_FILE_MAX);
    store_path(s, "recovering", path);
    if (small_read(s->files, path, &b, &ei) != ERR_OK)
        return false;
    *ret = (struct recovery_note){};
    /* A torn note counts as one without a place: recovery ended, nobody knows where. */
    if (sscanf(buf_cstr(&b), "%16llx %8x %8x", &pos, &deaths, &crc) == 3 &&
        crc == crc32c(0, b.p, 26))
        *ret = (struct recovery_note){pos, deaths};
    return true;
}

enum err store_note_write(struct store *s, const struct recovery_note *note, struct errinfo *ei)
{
    char path[STORE_PATH];
    char text[NOTE_BYTES];
    const struct store_files *f = s->files;
    store_path(s, "recovering", path);
    (void)snprintf(text, sizeof(text), "%016llx %08x ", (unsigned long long)note->pos,
                   note->deaths);
    (void)snprintf(text + 26, sizeof(text) - 26, "%08x\n", crc32c(0, text, 26));
    struct iovec iov = {text, strlen(text)};
    int fd = f->open(f->self, path, O_RDWR, 0600);
    if (fd < 0) /* the first one: durable with its name */
        return small_write(f, path, slice_str(text), ei);
    errno = EIO; /* for a short write */
    bool is_written = f->pwritev(f->self, fd, &iov, 1, 0) == (ssize_t)iov.iov_len &&
                      f->fdatasync(f->self, fd) == 0;
    int why = errno;
    (void)f->close(f->self, fd); /* synced or given up */
    return is_written ? ERR_OK
                      : err_set(ei, seglog_error(why), "write %s: %s", path, strerror(why));
}

enum err store_note_clear(struct store *s, struct errinfo *ei)
{
    char path[STORE_PATH];
    store_path(s, "recovering", path);
    return small_remove(s->files, path, ei);
}

bool store_is_aside(struct store *s, uint64_t pos)
{
    char path[STORE_PATH];
    aside_path(s, pos, path);
    int fd = s->files->open(s->files->self, path, O_RDONLY, 0);
    if (fd >= 0)
        (void)s->files->close(s->files->self, fd); /* only looked */
    return fd >= 0;
}

enum err store_put_aside(struct store *s, uint64_t pos, const char *why, struct errinfo *ei)
{
    char path[STORE_PATH];
    SCOPED(buf_finish) struct buf b = buf_make(SEGLOG_RECORD_HEAD + STORE_RECORD_MAX);
    aside_path(s, pos, path);
    enum err err = seglog_copy_record(s->log, pos, &b, ei);
    if (err == ERR_OK)
        err = small_write(s->files, path, buf_slice(&b), ei);
    store_tell(s, EVENT_ALARM, "store.aside",
               "the record at position %llu cannot be applied (%s); it is kept in %s and skipped",
               (unsigned long long)pos, why, path);
    return err;
}

void store_aside_facts(uint16_t type, uint64_t id, uint64_t pos, const char *why, struct buf *ret)
{
    struct record_aside facts = {.pos = pos, .type = type, .id = id, .why = slice_str(why)};
    record_aside_pack(ret, &facts);
}
