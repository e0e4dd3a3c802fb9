/* What is told of changes (RFC 8620 section 7.1): states of all types, or of those that somebody
 * wants and does not know yet. */
#include "jmap/jmap_int.h"

/* The order is that of struct jmap_states. */
static const struct {
    const char *name;
    enum account_type type;
    enum item_kind kind;
} types[] = {
    {"Email", ACCOUNT_EMAIL, 0},
    {"Thread", ACCOUNT_THREAD, 0},
    {"Mailbox", ACCOUNT_MAILBOX, 0},
    {"Identity", ACCOUNT_ITEM, ITEM_IDENTITY},
    {"EmailSubmission", ACCOUNT_ITEM, ITEM_SUBMISSION},
    {"VacationResponse", ACCOUNT_ITEM, ITEM_VACATION},
    {"Quota", ACCOUNT_THREAD, 0},        /* as jmap_quota.c says */
    {"EmailDelivery", ACCOUNT_EMAIL, 0}, /* only of what came */
};
static_assert(sizeof(types) / sizeof(types[0]) == JMAP_PUSHED_TYPES, "one state each");
enum { DELIVERY = 7 };

void jmap_states_of(const struct account *a, struct jmap_states *ret)
{
    for (size_t i = 0; i < JMAP_PUSHED_TYPES; i++)
        ret->of[i] =
            i == DELIVERY ? account_delivered(a) : account_state(a, types[i].type, types[i].kind);
}

uint32_t jmap_pushed_type(struct slice name)
{
    for (size_t i = 0; i < JMAP_PUSHED_TYPES; i++)
        if (slice_eq(name, slice_str(types[i].name)))
            return 1u << i;
    return 0;
}

static void write_change(uint64_t person, json_t *take_states, struct buf *out)
{
    char id[JMAP_ID_TEXT];
    jmap_id('A', person, id);
    jmap_write(out,
               json_pack("{s:s, s:{s:o}}", "@type", "StateChange", "changed", id, take_states));
}

bool jmap_push_state(uint64_t person, const struct jmap_states *now, const struct jmap_states *told,
                     uint32_t wanted, struct buf *out, bool *ret_is_mail)
{
    json_t *states = json_object();
    *ret_is_mail = false;
    for (size_t i = 0; i < JMAP_PUSHED_TYPES; i++) {
        if (!(wanted & 1u << i) || now->of[i] == told->of[i])
            continue;
        json_object_set_new(states, types[i].name, jmap_state(now->of[i]));
        *ret_is_mail |= i == DELIVERY && wanted != JMAP_PUSHED_ALL;
    }
    bool is_any = json_object_size(states) > 0;
    if (is_any)
        write_change(person, states, out);
    else
        json_decref(states);
    return is_any;
}

void jmap_state_change(uint64_t person, const struct account *a, struct buf *out)
{
    struct jmap_states now;
    json_t *states = json_object();
    jmap_states_of(a, &now);
    for (size_t i = 0; i < JMAP_PUSHED_TYPES; i++)
        json_object_set_new(states, types[i].name, jmap_state(now.of[i]));
    write_change(person, states, out);
}

void jmap_push_verification(uint64_t subscription, struct slice code, struct buf *out)
{
    jmap_write(out,
               json_pack("{s:s, s:o, s:o}", "@type", "PushVerification", "pushSubscriptionId",
                         jmap_id_json('P', subscription), "verificationCode", jmap_text(code)));
}
