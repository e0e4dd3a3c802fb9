/* Bodies of items: packing, and writing one. */
#include "jmap/jmap_item.h"

#include "jmap/jmap_int.h"

#include "base/pack_write_begin.h"
#include "jmap/jmap_item.def"
#include "base/pack_end.h"

#include "base/pack_read_begin.h"
#include "jmap/jmap_item.def"
#include "base/pack_end.h"

enum err jmap_item_put(struct jmap_run *r, enum item_kind kind, uint64_t id, const struct buf *body,
                       struct errinfo *ei)
{
    const struct account_item *was = account_item(r->account, kind, id);
    struct record_item item = {.account = r->who->person,
                               .kind = kind,
                               .id = id,
                               .created = was && !was->is_gone ? was->created : 0,
                               .is_gone = body == NULL,
                               .body = body ? buf_slice(body) : SLICE("")};
    struct jmap_commit c = {.items = &item, .n_items = 1};
    if (body && body->failed)
        return err_set(ei, ERR_LIMIT, "larger than can be kept");
    return jmap_commit_now(r, &c, ei);
}
