/* Uploads and downloads (RFC 8620 section 6): bytes that a person keeps here for a while. */
#include "jmap/jmap_email_int.h"

#include <stdio.h>

static unsigned not_found(struct buf *out)
{
    buf_adds(out,
             SLICE("{\"type\":\"about:blank\",\"status\":404,\"detail\":\"there is no such account "
                   "or blob\"}"));
    return 404;
}

static unsigned failed(struct buf *out, const struct jmap_caller *who, enum err err,
                       const struct errinfo *ei)
{
    bool is_full = err == ERR_FULL || err == ERR_RETRY || err == ERR_CANCELED || err == ERR_EXISTS;
    unsigned status = is_full ? 503 : err == ERR_LIMIT || err == ERR_DENIED ? 413 : 500;
    if (status != 500)
        jmap_count(status == 503 ? REFUSE_JMAP_BUSY : REFUSE_JMAP_SIZE, "bytes", who);
    json_t *o = json_pack("{s:s, s:i, s:o}", "type", "about:blank", "status", (int)status, "detail",
                          jmap_text(slice_str(ei->text)));
    jmap_write(out, o);
    return status;
}

/* RFC 8620 3.6.1 and 6.1. */
static unsigned too_large(struct buf *out)
{
    json_t *o =
        json_pack("{s:s, s:i, s:s, s:s}", "type", "urn:ietf:params:jmap:error:limit", "status", 413,
                  "limit", "maxSizeUpload", "detail", "larger than an upload may be here");
    jmap_write(out, o);
    return 413;
}

static bool is_own(const struct jmap_caller *who, struct slice account)
{
    char id[JMAP_ID_TEXT];
    jmap_id('A', who->person, id);
    return slice_eq(account, slice_str(id));
}

/* ---- how long ---- */

struct kept {
    uint64_t id;
    uint32_t bytes;
};
struct keeping {
    struct kept *uploads; /* the oldest first, as their ids go */
    size_t n, cap;
    uint64_t bytes; /* of all */
};

static bool take_upload(void *arg, const struct record_item *item)
{
    struct keeping *k = arg;
    struct jmap_item_upload upload;
    if (item->is_gone || !jmap_item_upload_unpack(item->body, NULL, &upload))
        return true;
    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 16;
        k->uploads = mem_resize(k->uploads, k->cap * sizeof(k->uploads[0]));
    }
    k->uploads[k->n++] = (struct kept){item->id, upload.bytes};
    k->bytes += upload.bytes;
    return true;
}

/* An id begins with the time at which it was given, in milliseconds. */
static bool is_old(uint64_t id)
{
    return utc_now() - (utc_ms)(id >> 20) > (utc_ms)JMAP_UPLOAD_HOURS * 3600 * 1000;
}

/* How many of the oldest go so that `n` more bytes find room. */
static size_t n_to_forget(const struct keeping *k, uint64_t max, size_t n)
{
    uint64_t bytes = k->bytes;
    size_t i = 0;
    while (i < k->n &&
           (is_old(k->uploads[i].id) || bytes + n > max || k->n - i >= JMAP_UPLOADS_MAX))
        bytes -= k->uploads[i++].bytes;
    return i;
}

/* RFC 8620 section 6: uploads that nothing was made of go when they are old, or when there is no
 * room for another one. What was made of them has bytes of its own. */
static enum err make_room(const struct jmap_host *host, struct store_reader *reader,
                          const struct jmap_caller *who, size_t n, struct errinfo *ei)
{
    struct keeping k = {};
    uint64_t max = who->upload_bytes ? who->upload_bytes : JMAP_UPLOADS_BYTES;
    enum err err = n > max ? err_set(ei, ERR_LIMIT, "larger than all uploads together may be")
                           : store_each_item(reader, who->person, ITEM_BLOB, take_upload, &k, ei);
    size_t n_forget = err == ERR_OK ? n_to_forget(&k, max, n) : 0;
    struct record_item *gone = mem_new((n_forget + 1) * sizeof(*gone));
    for (size_t i = 0; i < n_forget; i++)
        gone[i] = (struct record_item){
            .account = who->person, .kind = ITEM_BLOB, .id = k.uploads[i].id, .is_gone = 1};
    struct jmap_commit c = {.items = gone, .n_items = n_forget};
    if (n_forget > 0)
        err = host->commit(host->arg, who, &c, ei);
    if (err == ERR_EXISTS) /* that they go is all that is wanted here */
        err = ERR_OK;
    mem_free(&gone);
    mem_free(&k.uploads);
    return err;
}

enum err jmap_keep_upload(const struct jmap_host *host, struct store_reader *reader,
                          const struct jmap_caller *who, struct slice bytes, uint64_t *ret_id,
                          struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf body = buf_make(100);
    struct jmap_item_upload upload = {.bytes = (uint32_t)bytes.n};
    enum err err = make_room(host, reader, who, bytes.n, ei);
    if (err != ERR_OK)
        return err;
    uint64_t id = host->next_id(host->arg);
    jmap_item_upload_pack(&body, &upload);
    struct jmap_message message = {.id = id, .bytes = bytes};
    struct record_item item = {
        .account = who->person, .kind = ITEM_BLOB, .id = id, .body = buf_slice(&body)};
    struct jmap_commit c = {.messages = &message, .n_messages = 1, .items = &item, .n_items = 1};
    *ret_id = id;
    return host->commit(host->arg, who, &c, ei);
}

unsigned jmap_upload(struct jmap *j, struct store_reader *reader, const struct jmap_caller *who,
                     struct slice account, struct slice type, struct slice bytes, struct buf *out)
{
    struct errinfo ei = {};
    uint64_t id;
    if (!is_own(who, account))
        return not_found(out);
    if (bytes.n > JMAP_SIZE_UPLOAD_MAX) {
        jmap_count(REFUSE_JMAP_LIMIT, "maxSizeUpload", who);
        return too_large(out);
    }
    enum err err = jmap_keep_upload(&j->host, reader, who, bytes, &id, &ei);
    if (err != ERR_OK)
        return failed(out, who, err, &ei);
    json_t *o = json_pack("{s:o, s:o, s:o, s:I}", "accountId", jmap_id_json('A', who->person),
                          "blobId", jmap_id_json('U', id), "type",
                          jmap_text(type.n ? type : SLICE("application/octet-stream")), "size",
                          (json_int_t)bytes.n);
    jmap_write(out, o);
    return 201;
}

/* Downloads do not wait for the account's other requests: the index is asked whose blob it is. */
static bool is_owned(struct store_reader *reader, const struct jmap_caller *who,
                     const struct email_blob *b)
{
    SCOPED(arena_destroy) struct arena *arena = arena_create(1 << 20);
    struct store_email email;
    struct record_item item;
    struct errinfo ei;
    if (b->kind == 'M')
        return store_get_email(reader, who->person, b->id, arena, &email, &ei) == ERR_OK &&
               !email.is_gone;
    return store_get_item(reader, who->person, ITEM_BLOB, b->id, arena, &item, &ei) == ERR_OK &&
           !item.is_gone;
}

unsigned jmap_download(struct jmap *j, struct store_reader *reader, const struct jmap_caller *who,
                       struct slice account, struct slice blob, struct email_blob *ret_steps,
                       struct buf *ret_bytes)
{
    struct errinfo ei = {};
    if (!is_own(who, account) || !email_blob_parse(blob, ret_steps) ||
        !is_owned(reader, who, ret_steps))
        return not_found(ret_bytes);
    enum err err = j->host.read(j->host.arg, reader, ret_steps->id, ret_bytes, &ei);
    if (err == ERR_OK)
        return 200;
    buf_clear(ret_bytes);
    return err == ERR_GONE ? not_found(ret_bytes) : failed(ret_bytes, who, err, &ei);
}
