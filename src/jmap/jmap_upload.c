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
    bool is_full = err == ERR_FULL || err == ERR_RETRY || err == ERR_CANCELED;
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

enum err jmap_keep_upload(const struct jmap_host *host, const struct jmap_caller *who,
                          struct slice bytes, uint64_t *ret_id, struct errinfo *ei)
{
    uint64_t id = host->next_id(host->arg);
    struct jmap_message message = {.id = id, .bytes = bytes};
    struct record_item item = {.account = who->person, .kind = ITEM_BLOB, .id = id};
    struct jmap_commit c = {.messages = &message, .n_messages = 1, .items = &item, .n_items = 1};
    *ret_id = id;
    return host->commit(host->arg, who, &c, ei);
}

unsigned jmap_upload(struct jmap *j, struct store_reader *, const struct jmap_caller *who,
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
    enum err err = jmap_keep_upload(&j->host, who, bytes, &id, &ei);
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
