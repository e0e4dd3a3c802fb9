/* Blobs: the bytes behind messages, their parts, and uploads. */
#include "jmap/jmap_email_int.h"

#include "store/store_account.h"

enum { LINE_MAX = 998 }; /* RFC 5322 section 2.1.1 */

static bool is_mine(struct jmap_run *r, const struct email_blob *b)
{
    struct record_item item;
    struct errinfo ei;
    if (b->kind == 'M') {
        const struct account_email *e = account_email(r->account, b->id);
        return e && !e->is_gone;
    }
    return store_get_item(r->reader, r->who->person, ITEM_BLOB, b->id, r->arena, &item, &ei) ==
               ERR_OK &&
           !item.is_gone;
}

const char *jmap_blob_id(const struct jmap_run *r, const char *id)
{
    const char *created =
        id[0] == '#' ? json_string_value(json_object_get(r->created, id + 1)) : NULL;
    return created ? created : id;
}

enum err jmap_blob_read(struct jmap_run *r, const char *id, struct buf *ret, struct errinfo *ei)
{
    struct email_blob b;
    if (!email_blob_parse(slice_str(jmap_blob_id(r, id)), &b) || !is_mine(r, &b))
        return err_set(ei, ERR_GONE, "there is no such blob");
    if (b.n_steps == 0)
        return r->host->read(r->host->arg, r->reader, b.id, ret, ei);
    SCOPED(buf_finish) struct buf whole = buf_make(STORE_MESSAGE_MAX);
    enum err err = r->host->read(r->host->arg, r->reader, b.id, &whole, ei);
    if (err == ERR_OK)
        err = email_blob_decode(buf_slice(&whole), b.steps, b.n_steps, ret);
    return err == ERR_GONE ? err_set(ei, err, "there is no such part") : err;
}

bool jmap_blob_is_message(struct slice bytes)
{
    size_t i = 0;
    while (i < bytes.n && i < LINE_MAX && bytes.p[i] > ' ' && bytes.p[i] < 127 && bytes.p[i] != ':')
        i++;
    return i > 0 && i < bytes.n && bytes.p[i] == ':';
}
