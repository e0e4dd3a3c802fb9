/* EmailSubmission (RFC 8621 section 7): get and changes. What became of a message is read from the
 * ledger at that moment (jmap_delivery.c). Making and canceling them: jmap_submission_set.c;
 * queries: jmap_submission_query.c. */
#include "jmap/jmap_submission_int.h"

#include "jmap/jmap_delivery.h"

bool jmap_submission_read(struct jmap_run *r, uint64_t id, struct jmap_item_submission *ret)
{
    const struct account_item *item = account_item(r->account, ITEM_SUBMISSION, id);
    return item && !item->is_gone && jmap_item_submission_unpack(item->body, r->arena, ret);
}

/* ---- what became of it ---- */

static json_t *statuses(const struct jmap_item_submission *s, const struct jmap_delivery *d)
{
    json_t *all = json_object();
    for (uint32_t i = 0; i < s->n_rcpts; i++)
        json_object_setn_new(all, s->rcpts[i].address.p, s->rcpts[i].address.n,
                             json_pack("{s:o, s:s, s:s}", "smtpReply", jmap_text(d->rcpts[i].reply),
                                       "delivered", d->rcpts[i].delivered, "displayed", "unknown"));
    return all;
}

/* Those that came into this account. */
static json_t *notices(struct jmap_run *r, const struct jmap_delivery *d)
{
    json_t *all = json_array();
    for (size_t i = 0; i < d->n_notices; i++)
        if (account_email(r->account, d->notices[i]))
            json_array_append_new(all, jmap_id_json('M', d->notices[i]));
    return all;
}

/* ---- get and changes ---- */

const char *jmap_undo_status(const struct jmap_item_submission *s)
{
    return s->state == JMAP_PENDING ? "pending" : s->state == JMAP_CANCELED ? "canceled" : "final";
}

json_t *jmap_submission_make(struct jmap_run *r, uint64_t id)
{
    struct jmap_item_submission s;
    struct jmap_delivery d = {};
    struct errinfo ei;
    if (!jmap_submission_read(r, id, &s))
        return NULL;
    bool was_begun = s.state == JMAP_GOING || s.state == JMAP_FINAL;
    if (was_begun && jmap_delivery_read(r->reader, &s, r->arena, &d, &ei) != ERR_OK)
        was_begun = false;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:[]}", "id", jmap_id_json('S', id),
        "identityId", jmap_id_json('I', s.identity), "emailId", jmap_id_json('M', s.email),
        "threadId", jmap_id_json('T', s.thread), "envelope", jmap_envelope_json(&s), "sendAt",
        jmap_utc(s.send_at), "undoStatus", jmap_undo_status(&s), "deliveryStatus",
        was_begun ? statuses(&s, &d) : json_null(), "dsnBlobIds", notices(r, &d), "mdnBlobIds");
}

uint64_t jmap_submission_next(struct jmap_run *r, size_t *at)
{
    const struct account_item *item;
    while ((item = account_next_item(r->account, ITEM_SUBMISSION, at)))
        if (!item->is_gone)
            return item->id;
    return 0;
}

static const char *const properties[] = {"id",         "identityId", "emailId",    "threadId",
                                         "envelope",   "sendAt",     "undoStatus", "deliveryStatus",
                                         "dsnBlobIds", "mdnBlobIds", NULL};
const struct jmap_type jmap_submission_type = {.name = "EmailSubmission",
                                               .letter = 'S',
                                               .type = ACCOUNT_ITEM,
                                               .kind = ITEM_SUBMISSION,
                                               .properties = properties,
                                               .make = jmap_submission_make,
                                               .next = jmap_submission_next};

void jmap_submission_get(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_get(r, c, &jmap_submission_type);
}

void jmap_submission_changes(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_changes(r, c, &jmap_submission_type, NULL);
}
