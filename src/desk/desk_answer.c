/* The automatic answer of who is away: to whom it may go and what it says (RFC 3834). Pure. When,
 * and that it is one in so many days: desk_vacation.c. */
#include "desk/desk_vacation_int.h"

#include "email/email.h"

#include "base/pack_write_begin.h"
#include "desk/answer.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "desk/answer.def"
#include "base/pack_end.h"

#include <stdio.h>

enum { DAY_MS = 86400000, SUBJECT_MAX = 500, REFERENCES_MAX = 20, ADDRESS_MAX = 400 };

const char *const desk_answer_properties[] = {"headers",   "to",         "cc", "subject",
                                              "messageId", "references", NULL};

static struct slice text_of(const json_t *value)
{
    return slice_of(json_string_value(value), json_string_length(value));
}

/* ---- to whom ---- */

static bool ends(struct slice s, struct slice with)
{
    return s.n >= with.n && slice_ieq(slice_skip(s, s.n - with.n), with);
}

static bool begins(struct slice s, struct slice with)
{
    return s.n >= with.n && slice_ieq(slice_of(s.p, with.n), with);
}

bool desk_is_machine(struct slice address)
{
    static const struct {
        const char *word;
        bool is_whole, is_begin;
    } words[] = {
        {"mailer-daemon", true, false}, {"postmaster", true, false},
        {"noreply", false, true},       {"no-reply", false, true},
        {"no_reply", false, true},      {"donotreply", false, true},
        {"do-not-reply", false, true},  {"do_not_reply", false, true},
        {"listserv", true, false},      {"majordomo", true, false},
        {"owner-", false, true},        {"bounce", false, true},
        {"-request", false, false},     {"-owner", false, false},
        {"-bounces", false, false},     {"-noreply", false, false},
        {"-no-reply", false, false},    {"notifications", true, false},
    };
    struct slice rest, local = slice_cut(address, '@', &rest);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct slice word = slice_str(words[i].word);
        if (words[i].is_whole   ? slice_ieq(local, word)
            : words[i].is_begin ? begins(local, word)
                                : ends(local, word))
            return true;
    }
    return address.n == 0 || rest.n == 0;
}

static bool is_own(const struct desk_answer *a, struct slice address)
{
    bool is = slice_ieq(a->address, address);
    for (size_t i = 0; i < a->n_addresses && !is; i++)
        is = slice_ieq(a->addresses[i], address);
    return is;
}

static bool is_named(const struct desk_answer *a, const json_t *list)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i,
                       one) if (is_own(a, text_of(json_object_get(one, "email")))) return true;
    return false;
}

/* Up to ';' or a comment, without blanks: "no (why)" is no. */
static struct slice word_of(struct slice value)
{
    struct slice rest;
    return slice_trim(slice_cut(slice_cut(value, ';', &rest), '(', &rest));
}

/* A field that says: no person wrote this, or none wants an answer. */
static bool forbids(struct slice name, struct slice value)
{
    static const struct {
        const char *name;
        const char *values; /* one of these forbids; NULL: any; "!no": any but this */
    } fields[] = {
        {"Auto-Submitted", "!no"},
        {"Precedence", "bulk list junk auto_reply"},
        {"X-Auto-Response-Suppress", "!none"},
        {"X-Autoreply", NULL},
        {"X-Autorespond", NULL},
        {"X-Loop", NULL},
        {"Feedback-ID", NULL},
        {"X-Spam-Flag", "yes"},
        {"Mailing-List", NULL},
    };
    if (begins(name, SLICE("List-")))
        return true;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!slice_ieq(name, slice_str(fields[i].name)))
            continue;
        struct slice word = word_of(value), rest = slice_str(fields[i].values);
        if (!fields[i].values)
            return true;
        if (rest.p[0] == '!')
            return !slice_ieq(word, slice_skip(rest, 1));
        for (struct slice one; rest.n > 0;) {
            one = slice_cut(rest, ' ', &rest);
            if (slice_ieq(word, one))
                return true;
        }
    }
    return slice_ieq(name, SLICE("Content-Type")) &&
           begins(word_of(value), SLICE("multipart/report"));
}

bool desk_is_answerable(const struct desk_answer *a, const json_t *message)
{
    const json_t *one, *headers = json_object_get(message, "headers");
    size_t i;
    if (desk_is_machine(a->sender) || is_own(a, a->sender) || !json_is_array(headers))
        return false;
    json_array_foreach(headers, i,
                       one) if (forbids(text_of(json_object_get(one, "name")),
                                        text_of(json_object_get(one, "value")))) return false;
    return is_named(a, json_object_get(message, "to")) ||
           is_named(a, json_object_get(message, "cc"));
}

/* ---- once in so many days ---- */

static uint64_t hash_of(struct slice sender)
{
    char lower[ADDRESS_MAX];
    size_t n = sender.n < sizeof(lower) ? sender.n : sizeof(lower);
    for (size_t i = 0; i < n; i++)
        lower[i] = ascii_lower(sender.p[i]);
    return hash_fixed(slice_of(lower, n));
}

enum err desk_answered_note(struct desk_answers *all, struct slice sender, utc_ms now,
                            struct arena *a)
{
    uint64_t hash = hash_of(sender);
    struct desk_answered *list = ARENA_ARRAY(a, struct desk_answered, all->n_list + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < all->n_list; i++) {
        /* A clock that was put back: what seems to come counts as just now. */
        if (now - all->list[i].at >= (utc_ms)DESK_ANSWER_DAYS * DAY_MS)
            continue;
        if (all->list[i].sender == hash)
            return ERR_EXISTS;
        list[n++] = all->list[i];
    }
    if (n == DESK_ANSWERED_MAX)
        return ERR_LIMIT;
    list[n++] = (struct desk_answered){hash, now};
    *all = (struct desk_answers){list, n};
    return ERR_OK;
}

/* ---- what ---- */

static const struct {
    const char *subject, *text;
} usual[WIRE_LANGUAGE_N] = {
    [WIRE_EN] = {"Automatic reply", "I am away at the moment and will read your message later.\n"},
    [WIRE_IT] = {"Risposta automatica",
                 "In questo momento sono assente e leggerò il tuo messaggio più tardi.\n"},
    [WIRE_DE] = {"Automatische Antwort",
                 "Ich bin zurzeit nicht da und lese Ihre Nachricht später.\n"},
    [WIRE_FR] = {"Réponse automatique",
                 "Je suis absent en ce moment et je lirai votre message plus tard.\n"},
    [WIRE_ES] = {"Respuesta automática",
                 "En este momento estoy ausente y leeré su mensaje más tarde.\n"},
};

static struct slice subject_of(const struct desk_answer *a, const json_t *message,
                               struct arena *arena)
{
    struct slice was = text_of(json_object_get(message, "subject"));
    if (a->vacation->subject.n)
        return a->vacation->subject;
    if (was.n > SUBJECT_MAX)
        was.n = 0; /* not in the middle of a character */
    return slice_str(arena_printf(arena, "%s%s" SLICE_FMT, usual[a->language].subject,
                                  was.n ? ": " : "", SLICE_ARG(was)));
}

/* RFC 3834 section 3.1.6: of the same conversation. */
static void add_conversation(json_t *create, const json_t *message)
{
    const json_t *id = json_array_get(json_object_get(message, "messageId"), 0);
    const json_t *before = json_object_get(message, "references"), *one;
    size_t i, n = json_array_size(before);
    if (!json_is_string(id))
        return;
    json_t *references = json_array();
    json_array_foreach(before, i, one) if (i == 0 || n - i < REFERENCES_MAX)
        json_array_append(references, (json_t *)(uintptr_t)one);
    json_array_append(references, (json_t *)(uintptr_t)id);
    json_object_set_new(create, "references", references);
    json_object_set_new(create, "inReplyTo", json_pack("[O]", id));
}

static json_t *string_of(struct slice s)
{
    json_t *text = json_stringn(s.p, s.n);
    return text ? text : json_string("");
}

static void add_body(json_t *create, const char *list, const char *type, struct slice text)
{
    json_t *values = json_object_get(create, "bodyValues");
    json_object_set_new(values, list, json_pack("{s:o}", "value", string_of(text)));
    json_object_set_new(create, list, json_pack("[{s:s, s:s}]", "partId", list, "type", type));
}

static json_t *describe(const struct desk_answer *a, const json_t *message, struct slice subject)
{
    const struct jmap_item_vacation *v = a->vacation;
    json_t *create =
        json_pack("{s:[{s:o, s:o}], s:[{s:o}], s:o, s:[o], s:s, s:{}}", "from", "name",
                  a->name.n ? string_of(a->name) : json_null(), "email", string_of(a->address),
                  "to", "email", string_of(a->sender), "subject", string_of(subject), "messageId",
                  string_of(a->message_id), "header:Auto-Submitted", " auto-replied", "bodyValues");
    add_conversation(create, message);
    if (v->text.n || !v->html.n)
        add_body(create, "textBody", "text/plain",
                 v->text.n ? v->text : slice_str(usual[a->language].text));
    if (v->html.n)
        add_body(create, "htmlBody", "text/html", v->html);
    return create;
}

static bool no_blob(void *, struct slice, struct slice *)
{
    return false;
}

bool desk_answer_compose(const struct desk_answer *a, const json_t *message, utc_ms now,
                         struct arena *arena, struct buf *ret, struct slice *ret_subject)
{
    struct email_composed told;
    struct email_fault *fault = ARENA_NEW(arena, struct email_fault);
    struct email_compose_options o = {.domain = SLICE("localhost"), .now = now, .blob = no_blob};
    struct slice subject = subject_of(a, message, arena);
    json_t *create = describe(a, message, subject);
    bool is_made = create && email_compose(create, &o, arena, ret, &told, fault);
    json_decref(create);
    *ret_subject = subject;
    /* Whether the next system takes more than ASCII is not known; an address needs it at most. */
    return is_made && !ret->failed && !told.needs_utf8 && !told.has_8bit;
}
