/* EmailSubmission (RFC 8621 section 7): get, changes, query. What became of a message is read from
 * the ledger at that moment. Making and canceling them: jmap_submission_set.c. */
#include "jmap/jmap_submission_int.h"

#include "store/store_account.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 2000, CONDITION_DEPTH_MAX = 20 };

bool jmap_submission_read(struct jmap_run *r, uint64_t id, struct jmap_item_submission *ret)
{
    const struct account_item *item = account_item(r->account, ITEM_SUBMISSION, id);
    return item && !item->is_gone && jmap_item_submission_unpack(item->body, r->arena, ret);
}

/* ---- what became of it ---- */

struct row {
    struct slice address, text, enhanced;
    uint64_t person, mailbox, primary;
    uint16_t rcpt, parent, code;
    uint32_t attempts;
    enum disposition disposition;
};
struct rows {
    struct arena *arena;
    struct row *v;
    size_t n;
};

static bool keep_row(void *arg, const struct store_row *row)
{
    struct rows *all = arg;
    if (all->n == ROWS_MAX)
        return false;
    all->v[all->n++] = (struct row){.address = arena_copy(all->arena, row->facts.address),
                                    .text = arena_copy(all->arena, row->last.text),
                                    .enhanced = arena_copy(all->arena, row->last.enhanced),
                                    .person = row->facts.person,
                                    .mailbox = row->facts.mailbox,
                                    .primary = row->facts.primary,
                                    .rcpt = row->rcpt,
                                    .parent = row->facts.parent,
                                    .code = row->last.code,
                                    .attempts = row->last.attempts,
                                    .disposition = row->last.disposition};
    return true;
}

static json_t *status(const char *delivered, const char *reply)
{
    return json_pack("{s:o, s:s, s:s}", "smtpReply", jmap_text(slice_str(reply)), "delivered",
                     delivered, "displayed", "unknown");
}

/* The last reply of another system in one line, or ours where there was none. */
static const char *reply_of(struct rows *all, const struct row *row, const char *ours)
{
    if (row->code == 0)
        return row->text.n ? arena_printf(all->arena, "%.4s" SLICE_FMT, ours, SLICE_ARG(row->text))
                           : ours;
    return arena_printf(all->arena, "%u " SLICE_FMT "%s" SLICE_FMT, row->code,
                        SLICE_ARG(row->enhanced), row->enhanced.n ? " " : "", SLICE_ARG(row->text));
}

/* Of a group's members, how many have it in a mailbox here? */
static void count_members(const struct rows *all, const struct row *group, uint32_t *ret_n,
                          uint32_t *ret_here)
{
    *ret_n = *ret_here = 0;
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].parent == group->rcpt + 1) {
            ++*ret_n;
            *ret_here += all->v[i].mailbox != 0;
        }
}

/* Waits for its primary, or for the next try out in the world. */
static json_t *waiting_status(struct rows *all, const struct row *row)
{
    uint32_t n, n_here;
    count_members(all, row, &n, &n_here);
    if (row->mailbox || (n > 0 && n == n_here))
        return status("yes", "250 2.1.5 in the mailbox here; goes on to the mail system as well");
    if (n > 0)
        return status("queued", arena_printf(all->arena,
                                             "250 2.0.0 relayed: %u of the %u members have it in "
                                             "their mailbox here, the others read it when the mail "
                                             "system has it",
                                             n_here, n));
    if (row->primary && row->attempts == 0)
        return status("queued",
                      "250 2.0.0 relayed: read when the mail system of this person has it");
    return status("queued", reply_of(all, row, "250 2.0.0 waits to be sent"));
}

enum { FATE_NOBODY = DISPOSITION_N, FATE_N };
static const struct {
    const char *delivered, *text;
} fates[FATE_N] = {
#define FATE(disposition, delivered, text) [disposition] = {delivered, text},
#include "jmap/fate.def"
#undef FATE
};

static json_t *row_status(struct rows *all, const struct row *row)
{
    if (row->disposition == DISPOSITION_WAITING)
        return waiting_status(all, row);
    /* A system out in the world has taken it: what it did then is not known here. */
    if (row->disposition == DISPOSITION_DELIVERED)
        return status(row->mailbox || row->person || row->primary ? "yes" : "unknown",
                      reply_of(all, row, "250 2.1.5 in the mailbox here"));
    if ((unsigned)row->disposition >= DISPOSITION_N || !fates[row->disposition].text)
        return status("unknown", "250 2.0.0");
    return status(fates[row->disposition].delivered,
                  reply_of(all, row, fates[row->disposition].text));
}

/* Two addresses of one person go as one: the first has the fate of both. */
static const struct row *row_of(const struct rows *all, struct slice address)
{
    const struct row *found = NULL;
    for (size_t i = 0; i < all->n && !found; i++)
        if (!all->v[i].parent && slice_ieq(all->v[i].address, address))
            found = &all->v[i];
    for (size_t i = 0; found && found->disposition == DISPOSITION_MERGED && i < all->n; i++)
        if (!all->v[i].parent && all->v[i].person == found->person &&
            all->v[i].disposition != DISPOSITION_MERGED)
            return &all->v[i];
    return found;
}

/* `*rows`: of this recipient's part, read when the first one of it is asked for. */
static json_t *rcpt_status(struct jmap_run *r, const struct jmap_item_submission *s,
                           const struct jmap_item_rcpt *rcpt, struct rows *rows)
{
    struct errinfo ei;
    if (rcpt->refusal)
        return status(fates[FATE_NOBODY].delivered, fates[FATE_NOBODY].text);
    if (rcpt->part == 0 || rcpt->part > s->n_parts)
        return status("queued", "250 2.0.0 is being sent");
    struct rows *all = &rows[rcpt->part - 1];
    if (!all->v) {
        all->arena = r->arena;
        all->v = ARENA_ARRAY(r->arena, struct row, ROWS_MAX);
        (void)!store_each_row_of(r->reader, s->parts[rcpt->part - 1].message, keep_row, all, &ei);
    }
    const struct row *row = row_of(all, rcpt->address);
    return row ? row_status(all, row) : status("queued", "250 2.0.0 is being sent");
}

static json_t *statuses(struct jmap_run *r, const struct jmap_item_submission *s)
{
    if (s->state == JMAP_PENDING || s->state == JMAP_CANCELED)
        return json_null();
    json_t *all = json_object();
    struct rows *rows = ARENA_ARRAY(r->arena, struct rows, s->n_parts + 1);
    for (uint32_t i = 0; i < s->n_rcpts; i++) {
        const struct jmap_item_rcpt *rcpt = &s->rcpts[i];
        json_object_setn_new(all, rcpt->address.p, rcpt->address.n, rcpt_status(r, s, rcpt, rows));
    }
    return all;
}

/* ---- get and changes ---- */

static const char *undo_status(const struct jmap_item_submission *s)
{
    return s->state == JMAP_PENDING ? "pending" : s->state == JMAP_CANCELED ? "canceled" : "final";
}

json_t *jmap_submission_make(struct jmap_run *r, uint64_t id)
{
    struct jmap_item_submission s;
    if (!jmap_submission_read(r, id, &s))
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:[], s:[]}", "id",
                     jmap_id_json('S', id), "identityId", jmap_id_json('I', s.identity), "emailId",
                     jmap_id_json('M', s.email), "threadId", jmap_id_json('T', s.thread),
                     "envelope", jmap_envelope_json(&s), "sendAt", jmap_utc(s.send_at),
                     "undoStatus", undo_status(&s), "deliveryStatus", statuses(r, &s), "dsnBlobIds",
                     "mdnBlobIds");
}

static uint64_t next(struct jmap_run *r, size_t *at)
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
                                               .next = next};

void jmap_submission_get(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_get(r, c, &jmap_submission_type);
}

void jmap_submission_changes(struct jmap_run *r, const struct jmap_call *c)
{
    jmap_changes(r, c, &jmap_submission_type, NULL);
}

/* ---- query ---- */

struct found {
    uint64_t id, email, thread;
    utc_ms send_at;
};

static bool is_id_list(const json_t *value)
{
    const json_t *one;
    size_t i;
    json_array_foreach(value, i, one) if (!json_is_string(one)) return false;
    return json_is_array(value);
}

static bool judge_condition(struct jmap_run *r, const struct jmap_call *c, const json_t *f)
{
    static const char *const lists[] = {"identityIds", "emailIds", "threadIds"};
    const char *key;
    utc_ms time;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        bool is_list = false;
        for (size_t i = 0; i < 3; i++)
            is_list |= strcmp(key, lists[i]) == 0;
        bool is_time = strcmp(key, "before") == 0 || strcmp(key, "after") == 0;
        bool is_status = strcmp(key, "undoStatus") == 0;
        if (!is_list && !is_time && !is_status) {
            jmap_refuse(r, c, "unsupportedFilter",
                        "EmailSubmission/query cannot filter by \"%.60s\"", key);
            return false;
        }
        if (is_list   ? is_id_list(value)
            : is_time ? jmap_utc_parse(value, &time)
                      : json_is_string(value))
            continue;
        jmap_refuse(r, c, "invalidArguments", "the filter's `%s` has a wrong type", key);
        return false;
    }
    return true;
}

static bool judge_filter(struct jmap_run *r, const struct jmap_call *c, const json_t *f, int depth)
{
    const char *name = json_string_value(json_object_get(f, "operator"));
    const json_t *conditions = json_object_get(f, "conditions"), *one;
    size_t i;
    if (depth > CONDITION_DEPTH_MAX) {
        jmap_refuse_limit(r, c, REFUSE_JMAP_SHAPE, "unsupportedFilter",
                          "conditions stand in each other at most %d times", CONDITION_DEPTH_MAX);
        return false;
    }
    if (!json_is_object(f)) {
        jmap_refuse(r, c, "invalidArguments", "a filter is an object");
        return false;
    }
    if (!json_object_get(f, "operator"))
        return judge_condition(r, c, f);
    if (!name || !json_is_array(conditions) ||
        (strcmp(name, "AND") != 0 && strcmp(name, "OR") != 0 && strcmp(name, "NOT") != 0)) {
        jmap_refuse(r, c, "invalidArguments", "a filter operator is AND, OR or NOT");
        return false;
    }
    json_array_foreach(conditions, i, one) if (!judge_filter(r, c, one, depth + 1)) return false;
    return true;
}

static bool has_id(struct jmap_run *r, const json_t *list, char letter, uint64_t id)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) if (jmap_id_or_created(r, letter, one) == id) return true;
    return false;
}

static bool matches_condition(struct jmap_run *r, const json_t *f,
                              const struct jmap_item_submission *s)
{
    const char *key;
    utc_ms time = 0;
    json_t *value, *o = (json_t *)(uintptr_t)f;
    json_object_foreach(o, key, value)
    {
        bool is;
        if (strcmp(key, "identityIds") == 0)
            is = has_id(r, value, 'I', s->identity);
        else if (strcmp(key, "emailIds") == 0)
            is = has_id(r, value, 'M', s->email);
        else if (strcmp(key, "threadIds") == 0)
            is = has_id(r, value, 'T', s->thread);
        else if (strcmp(key, "undoStatus") == 0)
            is = strcmp(json_string_value(value), undo_status(s)) == 0;
        else if (strcmp(key, "before") == 0)
            is = jmap_utc_parse(value, &time) && s->send_at < time;
        else
            is = jmap_utc_parse(value, &time) && s->send_at >= time;
        if (!is)
            return false;
    }
    return true;
}

static bool matches(struct jmap_run *r, const json_t *f, const struct jmap_item_submission *s)
{
    const char *name = json_string_value(json_object_get(f, "operator"));
    const json_t *one;
    size_t i;
    if (!name)
        return matches_condition(r, f, s);
    bool is_decided_by = strcmp(name, "AND") != 0;
    json_array_foreach(json_object_get(f, "conditions"), i,
                       one) if (matches(r, one, s) == is_decided_by) return name[0] == 'O';
    return name[0] != 'O';
}

/* ---- their order ---- */

static _Thread_local const json_t *sorting;

static int compare(const void *x, const void *y)
{
    const struct found *a = x, *b = y;
    const json_t *one;
    size_t i;
    json_array_foreach(sorting, i, one)
    {
        const char *by = json_string_value(json_object_get(one, "property"));
        int sign = json_is_false(json_object_get(one, "isAscending")) ? -1 : 1;
        int d = by[0] == 'e'   ? (a->email > b->email) - (a->email < b->email)
                : by[0] == 't' ? (a->thread > b->thread) - (a->thread < b->thread)
                               : (a->send_at > b->send_at) - (a->send_at < b->send_at);
        if (d)
            return sign * d;
    }
    return (a->id > b->id) - (a->id < b->id);
}

static bool judge_sort(struct jmap_run *r, const struct jmap_call *c, const json_t *sort)
{
    static const char *const known[] = {"emailId", "threadId", "sentAt", "sendAt"};
    const json_t *one;
    size_t i;
    if (sort && !json_is_array(sort)) {
        jmap_refuse(r, c, "invalidArguments", "`sort` is a list");
        return false;
    }
    json_array_foreach(sort, i, one)
    {
        const char *by = json_string_value(json_object_get(one, "property"));
        const json_t *up = json_object_get(one, "isAscending");
        enum account_collation collation;
        bool is_known = false;
        for (size_t k = 0;
             by && jmap_collation(one, &collation) && k < sizeof(known) / sizeof(known[0]); k++)
            is_known |= strcmp(by, known[k]) == 0;
        if (is_known && (!up || json_is_boolean(up)))
            continue;
        jmap_refuse(r, c, is_known || !by ? "invalidArguments" : "unsupportedSort",
                    "EmailSubmission/query cannot sort like that");
        return false;
    }
    return true;
}

static const json_t *given(const struct jmap_call *c, const char *name)
{
    const json_t *value = json_object_get(c->args, name);
    return json_is_null(value) ? NULL : value;
}

static size_t find(struct jmap_run *r, const struct jmap_call *c, struct found **ret)
{
    const json_t *filter = given(c, "filter");
    size_t n = 0, at = 0, n_items = 0;
    while (next(r, &at))
        n_items++;
    *ret = ARENA_ARRAY(r->arena, struct found, n_items + 1);
    at = 0;
    for (uint64_t id; (id = next(r, &at)) != 0;) {
        struct jmap_item_submission s;
        jmap_scratch_begin(r);
        if (jmap_submission_read(r, id, &s) && (!filter || matches(r, filter, &s)))
            (*ret)[n++] = (struct found){id, s.email, s.thread, s.send_at};
        jmap_scratch_end(r);
    }
    sorting = given(c, "sort");
    if (n > 1)
        qsort(*ret, n, sizeof(**ret), compare);
    return n;
}

static bool judge_query(struct jmap_run *r, const struct jmap_call *c, const char *const *names)
{
    const json_t *filter = given(c, "filter");
    return jmap_arg_account(r, c) && jmap_arg_names(r, c, names) &&
           (!filter || judge_filter(r, c, filter, 0)) && judge_sort(r, c, given(c, "sort"));
}

static uint64_t *find_ids(struct jmap_run *r, const struct jmap_call *c, size_t *ret_n)
{
    struct found *found;
    *ret_n = find(r, c, &found);
    uint64_t *ids = ARENA_ARRAY(r->arena, uint64_t, *ret_n + 1);
    for (size_t i = 0; i < *ret_n; i++)
        ids[i] = found[i].id;
    return ids;
}

void jmap_submission_query(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId", "filter",         "sort",
                                        "position",  "anchor",         "anchorOffset",
                                        "limit",     "calculateTotal", NULL};
    struct jmap_window w = {.limit = JMAP_NO_LIMIT};
    size_t from, n;
    if (!judge_query(r, c, names) || !jmap_window_args(r, c, &w))
        return;
    const uint64_t *ids = find_ids(r, c, &n);
    if (!jmap_window_find(r, c, &w, 'S', ids, n, &from))
        return;
    json_t *list = json_array();
    for (size_t i = from; i < n && i - from < w.limit; i++)
        json_array_append_new(list, jmap_id_json('S', ids[i]));
    jmap_answer(r, c, c->name,
                jmap_window_answer(r, c, &w, jmap_type_state(r, &jmap_submission_type), true, from,
                                   list, n));
}

void jmap_submission_query_changes(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const names[] = {"accountId",  "filter", "sort",           "sinceQueryState",
                                        "maxChanges", "upToId", "calculateTotal", NULL};
    struct jmap_results now = {};
    if (!judge_query(r, c, names))
        return;
    now.ids = find_ids(r, c, &now.n);
    jmap_query_changes(r, c, &jmap_submission_type, &now);
}
