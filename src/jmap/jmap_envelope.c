/* The envelope of a submission (RFC 8621 section 7): as the client gives it, or out of the header;
 * its parameters (RFC 3461, 4865, 6152, 6531), which come without xtext here. */
#include "jmap/jmap_submission_int.h"

enum { PARAMETERS_MAX = 2000, VALUE_MAX = 500, ARGS_MAX = 8000, ORCPT_MAX = 600 };
#define HOLDFOR_MAX ((uint64_t)1 << 40) /* seconds that are read as a number */

static json_t *invalid(const char *why)
{
    return jmap_set_error("invalidProperties", "envelope", "%s", why);
}

/* No limit is silent: one that is reached is counted, whatever is said of it then. */
static bool is_short(const struct jmap_run *r, size_t n, size_t max)
{
    if (n > max)
        jmap_count(REFUSE_JMAP_SIZE, "envelope", r->who);
    return n <= max;
}

/* ---- parameters ---- */

static bool is_keyword(const char *name)
{
    for (size_t i = 0; name[i]; i++)
        if (!(name[i] >= '0' && name[i] <= '9') && name[i] != '-' &&
            !(ascii_lower(name[i]) >= 'a' && ascii_lower(name[i]) <= 'z'))
            return false;
    return name[0] != '\0';
}

/* As SMTP writes it: xtext where RFC 3461 wants it. */
static void add_value(struct buf *out, const char *name, struct slice value)
{
    struct slice rest, type = slice_cut(value, ';', &rest);
    if (slice_ieq(slice_str(name), SLICE("ENVID"))) {
        wire_xtext_add(out, value);
    } else if (slice_ieq(slice_str(name), SLICE("ORCPT")) && !slice_ieq(type, SLICE("utf-8"))) {
        buf_adds(out, type);
        buf_addc(out, ';');
        wire_xtext_add(out, rest);
    } else {
        buf_adds(out, value);
    }
}

static bool add_parameter(const struct jmap_run *r, struct buf *out, const char *name,
                          const json_t *value)
{
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    if (!is_keyword(name) || (!json_is_null(value) && !json_is_string(value)) ||
        !is_short(r, text.n, VALUE_MAX))
        return false;
    buf_addf(out, " %s", name);
    if (json_is_null(value))
        return true;
    buf_addc(out, '=');
    size_t begin = out->n;
    add_value(out, name, text);
    for (size_t i = begin; i < out->n; i++)
        if ((unsigned char)out->p[i] <= ' ' || out->p[i] == 0x7f)
            return false;
    return !out->failed && out->n > begin;
}

/* HOLDFOR and HOLDUNTIL (RFC 4865) are ours; they do not travel. */
struct hold {
    utc_ms until; /* 0: not */
    bool is_long; /* longer than anything is held here */
};

static bool take_hold(struct hold *h, const char *name, const json_t *value, bool *ret_is_good)
{
    uint64_t seconds;
    utc_ms now = utc_now(), until = 0;
    bool is_for = slice_ieq(slice_str(name), SLICE("HOLDFOR"));
    if (!is_for && !slice_ieq(slice_str(name), SLICE("HOLDUNTIL")))
        return false;
    bool is_time = is_for ? json_is_string(value) && slice_u64(slice_str(json_string_value(value)),
                                                               HOLDFOR_MAX, &seconds)
                          : jmap_utc_parse(value, &until);
    if (is_for && is_time)
        until = now + (utc_ms)seconds * 1000;
    *ret_is_good &= is_time && h->until == 0;
    h->is_long |= is_time && until > now + (utc_ms)SUBMISSION_HOLD_MAX * 1000;
    h->until = until;
    return true;
}

/* An Address object as the arguments of MAIL or RCPT. */
static bool write_args(const struct jmap_run *r, const char *keyword, const json_t *address,
                       struct buf *out, struct hold *hold)
{
    const json_t *email = json_object_get(address, "email");
    json_t *parameters = json_object_get(address, "parameters"), *value;
    const char *name;
    bool is_good = json_is_string(email) &&
                   (!parameters || json_is_null(parameters) || json_is_object(parameters));
    if (!is_good)
        return false;
    buf_addf(out, "%s:<", keyword);
    buf_add(out, json_string_value(email), json_string_length(email));
    buf_addc(out, '>');
    json_object_foreach(parameters, name, value)
    {
        if (hold && take_hold(hold, name, value, &is_good))
            continue;
        is_good &= add_parameter(r, out, name, value);
    }
    return is_good && is_short(r, out->failed, 0);
}

static json_t *read_mail_from(struct jmap_run *r, const json_t *from,
                              struct jmap_item_submission *s, utc_ms *ret_hold)
{
    SCOPED(buf_finish) struct buf args = buf_make(ARGS_MAX);
    struct wire_mail mail;
    const json_t *parameters = json_object_get(from, "parameters");
    struct hold hold = {};
    if (!json_is_object(from) || !write_args(r, "FROM", from, &args, &hold))
        return invalid("`mailFrom` has an address and parameters that SMTP knows, each once");
    if (hold.is_long) {
        jmap_count(REFUSE_JMAP_LIMIT, "maxDelayedSend", r->who);
        return jmap_set_error("invalidProperties", "envelope",
                              "a message is held for %d days at most (maxDelayedSend)",
                              SUBMISSION_HOLD_MAX / 86400);
    }
    *ret_hold = hold.until;
    struct wire_verdict v = wire_mail_parse(buf_slice(&args), &mail);
    if (v.fault != WIRE_FINE || mail.body == WIRE_BODY_BINARYMIME)
        return jmap_set_error("invalidProperties", "envelope", "`mailFrom`: %s",
                              v.fault != WIRE_FINE ? v.why : "BINARYMIME is not offered");
    if (mail.has_size && mail.size_bytes > r->who->size_max && r->who->size_max)
        return jmap_too_large(r->who);
    s->mail_from = arena_copy(r->arena, mail.from.text);
    s->envid = arena_copy(r->arena, mail.envid);
    s->ret = (uint8_t)mail.ret;
    s->flags |= mail.has_smtputf8 ? MESSAGE_SMTPUTF8 : 0;
    if (!parameters || json_object_size(parameters) == 0)
        return NULL;
    size_t n = json_dumpb(parameters, NULL, 0, JSON_COMPACT);
    char *text = arena_new(r->arena, n + 1);
    s->parameters = slice_of(text, json_dumpb(parameters, text, n, JSON_COMPACT));
    return is_short(r, s->parameters.n, PARAMETERS_MAX) ? NULL
                                                        : invalid("the parameters are too long");
}

/* ---- recipients ---- */

/* NULL, or what is said of so many. */
static json_t *judge_number(const struct jmap_run *r, size_t n)
{
    uint64_t max = refuse_limit(REFUSE_RECIPIENTS).value;
    struct slice who = r->who->n_addresses ? r->who->addresses[0] : r->who->name;
    if (max > SUBMISSION_RCPTS_MAX)
        max = SUBMISSION_RCPTS_MAX;
    refuse_measure(REFUSE_RECIPIENTS, n, who);
    if (n <= max)
        return NULL;
    json_t *error =
        jmap_set_error("tooManyRecipients", NULL, "at most %llu recipients in one message",
                       (unsigned long long)max);
    json_object_set_new(error, "maxRecipients", json_integer((json_int_t)max));
    return error;
}

/* False: no address, or parameters that make no sense. The same address twice counts once. */
static bool add_rcpt(struct jmap_run *r, struct jmap_item_submission *s, struct slice args)
{
    struct wire_rcpt rcpt;
    if (wire_rcpt_parse(args, true, &rcpt).fault != WIRE_FINE || rcpt.to.domain.n == 0)
        return false;
    for (uint32_t i = 0; i < s->n_rcpts; i++)
        if (slice_ieq(s->rcpts[i].address, rcpt.to.text))
            return true;
    SCOPED(buf_finish) struct buf orcpt = buf_make(ORCPT_MAX);
    if (rcpt.orcpt.n) {
        buf_adds(&orcpt, rcpt.orcpt_type);
        buf_addc(&orcpt, ';');
        buf_adds(&orcpt, rcpt.orcpt);
    }
    if (!is_short(r, orcpt.failed, 0))
        return false;
    s->flags |= rcpt.to.is_utf8 ? MESSAGE_SMTPUTF8 : 0;
    s->rcpts[s->n_rcpts++] =
        (struct jmap_item_rcpt){.address = arena_copy(r->arena, rcpt.to.text),
                                .orcpt = arena_copy(r->arena, buf_slice(&orcpt)),
                                .notify = (uint8_t)rcpt.notify};
    return true;
}

static json_t *judge_rcpts(const struct jmap_item_submission *s, json_t *invalid_ones)
{
    if (json_array_size(invalid_ones) > 0) {
        json_t *error = jmap_set_error("invalidRecipients", NULL,
                                       "these are no addresses that mail can be sent to");
        json_object_set_new(error, "invalidRecipients", invalid_ones);
        return error;
    }
    json_decref(invalid_ones);
    return s->n_rcpts ? NULL
                      : jmap_set_error("noRecipients", NULL, "nobody is named who should get it");
}

static json_t *read_rcpts(struct jmap_run *r, const json_t *list, struct jmap_item_submission *s)
{
    const json_t *one;
    size_t i;
    if (!json_is_array(list))
        return invalid("`rcptTo` is a list of addresses");
    json_t *error = judge_number(r, json_array_size(list));
    if (error)
        return error;
    json_t *bad = json_array();
    s->rcpts = ARENA_ARRAY(r->arena, struct jmap_item_rcpt, json_array_size(list) + 1);
    json_array_foreach(list, i, one)
    {
        SCOPED(buf_finish) struct buf args = buf_make(ARGS_MAX);
        const json_t *email = json_object_get(one, "email");
        if (write_args(r, "TO", one, &args, NULL) && add_rcpt(r, s, buf_slice(&args)))
            continue;
        json_array_append_new(bad, json_is_string(email) ? json_incref((json_t *)(uintptr_t)email)
                                                         : json_string(""));
    }
    return judge_rcpts(s, bad);
}

json_t *jmap_envelope_read(struct jmap_run *r, const json_t *envelope,
                           struct jmap_item_submission *s, utc_ms *ret_hold)
{
    *ret_hold = 0;
    if (!json_is_object(envelope))
        return invalid("an envelope has `mailFrom` and `rcptTo`");
    json_t *error = read_mail_from(r, json_object_get(envelope, "mailFrom"), s, ret_hold);
    if (!error && !jmap_is_own_address(r->who, s->mail_from))
        error = jmap_set_error("forbiddenMailFrom", NULL,
                               "the return path is not among the addresses that this person has");
    return error ? error : read_rcpts(r, json_object_get(envelope, "rcptTo"), s);
}

/* ---- out of the header ---- */

static json_t *derive_rcpts(struct jmap_run *r, const json_t *header,
                            struct jmap_item_submission *s)
{
    static const char *const names[] = {"to", "cc", "bcc"};
    size_t n = 0, i;
    const json_t *one;
    for (size_t k = 0; k < 3; k++)
        n += json_array_size(json_object_get(header, names[k]));
    json_t *error = judge_number(r, n);
    if (error)
        return error;
    json_t *bad = json_array();
    s->rcpts = ARENA_ARRAY(r->arena, struct jmap_item_rcpt, n + 1);
    for (size_t k = 0; k < 3; k++)
        json_array_foreach(json_object_get(header, names[k]), i, one)
        {
            SCOPED(buf_finish) struct buf args = buf_make(ARGS_MAX);
            const json_t *email = json_object_get(one, "email");
            buf_adds(&args, SLICE("TO:<"));
            buf_add(&args, json_string_value(email), json_string_length(email));
            buf_addc(&args, '>');
            if (!add_rcpt(r, s, buf_slice(&args)))
                json_array_append(bad, (json_t *)(uintptr_t)email);
        }
    return judge_rcpts(s, bad);
}

static bool is_same(struct slice a, struct slice b)
{
    SCOPED(buf_finish) struct buf key = buf_make(600), other = buf_make(600);
    return wire_address_key(a, &key).fault == WIRE_FINE &&
           wire_address_key(b, &other).fault == WIRE_FINE &&
           slice_eq(buf_slice(&key), buf_slice(&other));
}

json_t *jmap_envelope_derive(struct jmap_run *r, const json_t *header,
                             const struct jmap_item_identity *identity,
                             struct jmap_item_submission *s)
{
    const json_t *list = json_object_get(header, "sender");
    if (json_array_size(list) == 0)
        list = json_object_get(header, "from");
    const json_t *email = json_object_get(json_array_get(list, 0), "email");
    struct slice from = slice_of(json_string_value(email), json_string_length(email));
    /* RFC 8621 section 7: where the identity does not allow it, the identity's own. */
    s->mail_from = arena_copy(r->arena, is_same(from, identity->email) ? from : identity->email);
    if (!jmap_is_own_address(r->who, s->mail_from))
        return jmap_set_error("forbiddenMailFrom", NULL,
                              "the identity's address is not among those of this person any more");
    return derive_rcpts(r, header, s);
}

/* ---- as the client sees it ---- */

static json_t *notify_json(uint8_t notify)
{
    static const struct {
        uint8_t bit;
        const char *word;
    } words[] = {{WIRE_NOTIFY_NEVER, "NEVER"},
                 {WIRE_NOTIFY_SUCCESS, "SUCCESS"},
                 {WIRE_NOTIFY_FAILURE, "FAILURE"},
                 {WIRE_NOTIFY_DELAY, "DELAY"}};
    SCOPED(buf_finish) struct buf b = buf_make(60);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (notify & words[i].bit)
            buf_addf(&b, "%s%s", b.n ? "," : "", words[i].word);
    return jmap_text(buf_slice(&b));
}

static json_t *orcpt_json(struct slice orcpt)
{
    SCOPED(buf_finish) struct buf b = buf_make(700);
    struct slice rest, type = slice_cut(orcpt, ';', &rest);
    if (slice_ieq(type, SLICE("utf-8")))
        return jmap_text(orcpt);
    buf_adds(&b, type);
    buf_addc(&b, ';');
    (void)wire_xtext_decode(rest, &b); /* it was judged when it came */
    return jmap_text(buf_slice(&b));
}

static json_t *rcpt_json(const struct jmap_item_rcpt *rcpt)
{
    json_t *parameters = rcpt->notify || rcpt->orcpt.n ? json_object() : json_null();
    if (rcpt->notify)
        json_object_set_new(parameters, "NOTIFY", notify_json(rcpt->notify));
    if (rcpt->orcpt.n)
        json_object_set_new(parameters, "ORCPT", orcpt_json(rcpt->orcpt));
    return json_pack("{s:o, s:o}", "email", jmap_text(rcpt->address), "parameters", parameters);
}

json_t *jmap_envelope_json(const struct jmap_item_submission *s)
{
    json_t *rcpts = json_array();
    json_t *parameters =
        s->parameters.n ? json_loadb(s->parameters.p, s->parameters.n, 0, NULL) : NULL;
    for (uint32_t i = 0; i < s->n_rcpts; i++)
        json_array_append_new(rcpts, rcpt_json(&s->rcpts[i]));
    return json_pack("{s:{s:o, s:o}, s:o}", "mailFrom", "email", jmap_text(s->mail_from),
                     "parameters", parameters ? parameters : json_null(), "rcptTo", rcpts);
}
