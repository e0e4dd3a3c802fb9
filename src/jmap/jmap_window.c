/* The part of a query's results that is asked for (RFC 8620 section 5.5). */
#include "jmap/jmap_int.h"

bool jmap_window_args(struct jmap_run *r, const struct jmap_call *c, struct jmap_window *ret)
{
    uint64_t limit = ret->limit;
    if (!jmap_arg_int(r, c, "position", &ret->position) ||
        !jmap_arg_text(r, c, "anchor", &ret->anchor) ||
        !jmap_arg_int(r, c, "anchorOffset", &ret->anchor_offset) ||
        !jmap_arg_unsigned(r, c, "limit", &limit) ||
        !jmap_arg_bool(r, c, "calculateTotal", &ret->want_total))
        return false;
    ret->is_cut = limit > ret->limit || !json_is_integer(json_object_get(c->args, "limit"));
    if (limit < ret->limit)
        ret->limit = limit;
    return true;
}

bool jmap_window_find(struct jmap_run *r, const struct jmap_call *c, const struct jmap_window *w,
                      char letter, const uint64_t *ids, size_t n, size_t *ret_from)
{
    int64_t from = w->position;
    if (w->anchor) {
        uint64_t anchor = 0;
        json_t *text = json_string(w->anchor);
        anchor = jmap_id_or_created(r, letter, text);
        json_decref(text);
        size_t at = 0;
        while (at < n && ids[at] != anchor)
            at++;
        if (at == n) {
            jmap_refuse(r, c, "anchorNotFound", NULL);
            return false;
        }
        from = (int64_t)at + w->anchor_offset;
    } else if (from < 0) {
        from += (int64_t)n;
    }
    from = from < 0 ? 0 : from;
    *ret_from = (uint64_t)from < n ? (size_t)from : n;
    return true;
}

json_t *jmap_window_answer(const struct jmap_run *, const struct jmap_call *c,
                           const struct jmap_window *w, uint64_t state, bool can_changes,
                           uint64_t position, json_t *ids, uint64_t total)
{
    json_t *o =
        json_pack("{s:O, s:o, s:b, s:I, s:o}", "accountId", json_object_get(c->args, "accountId"),
                  "queryState", jmap_state(state), "canCalculateChanges", can_changes, "position",
                  (json_int_t)position, "ids", ids);
    if (w->want_total)
        json_object_set_new(o, "total", json_integer((json_int_t)total));
    if (w->is_cut && w->limit < JMAP_NO_LIMIT)
        json_object_set_new(o, "limit", json_integer((json_int_t)w->limit));
    return o;
}
