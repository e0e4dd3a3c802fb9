/* The words of one message, for the index of words: its addresses, subject and names of attachments
 * as a gate gives them to JMAP, and what it finds in the text. */
#include "desk/desk_find_int.h"

#include "ipc/ipc.h"

enum {
    PEOPLE_MAX = STORE_SEARCH_FIELD_MAX,
    STUCK_SECONDS = 600,
};
static_assert((int)IPC_PARSED_TEXT_MAX <= (int)STORE_SEARCH_FIELD_MAX, "a gate's words fit");

/* These members of all in a list, one behind the other, as far as search keeps them. */
static struct slice texts_of(const struct finder *f, const json_t *object, const char *name,
                             const char *const *members)
{
    SCOPED(buf_finish) struct buf b = buf_make(PEOPLE_MAX);
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(object, name), i, one)
    {
        for (const char *const *m = members; *m; m++) {
            const json_t *value = json_object_get(one, *m);
            if (b.n + json_string_length(value) + 1 > PEOPLE_MAX)
                continue;
            buf_add(&b, json_string_value(value), json_string_length(value));
            buf_addc(&b, ' ');
        }
    }
    return b.n ? arena_copy(f->arena, buf_slice(&b)) : SLICE("");
}

static enum err read_header(struct finder *f, struct slice bytes, const struct email_want *want,
                            struct store_search_text *t, struct errinfo *ei)
{
    static const char *const person[] = {"name", "email", NULL}, *const part[] = {"name", NULL};
    SCOPED(buf_finish) struct buf text = buf_make(FIND_HEADER_MAX);
    enum err err = f->host.render(f->host.arg, bytes, SLICE(""), want, &text, ei);
    if (err != ERR_OK)
        return err;
    json_t *o = json_loadb(text.p, text.n, 0, NULL);
    t->from = texts_of(f, o, "from", person);
    t->to = texts_of(f, o, "to", person);
    t->cc = texts_of(f, o, "cc", person);
    t->bcc = texts_of(f, o, "bcc", person);
    t->names = texts_of(f, o, "attachments", part);
    const json_t *subject = json_object_get(o, "subject");
    t->subject =
        arena_copy(f->arena, slice_of(json_string_value(subject), json_string_length(subject)));
    json_decref(o);
    return ERR_OK;
}

static enum err read_text(struct finder *f, struct slice bytes, struct store_search_text *t,
                          struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf words = buf_make(IPC_PARSED_TEXT_MAX);
    enum err err = desk_parse_text(f->desk, bytes, &words, ei);
    if (err == ERR_OK && words.n)
        t->body = arena_copy(f->arena, buf_slice(&words));
    return err;
}

/* ERR_LIMIT is a gate's last word about a message (desk_parse_int.h), as ERR_CORRUPT and
 * ERR_INVALID are. */
static bool passes(enum err err)
{
    return err == ERR_RETRY || err == ERR_CANCELED || err == ERR_FULL || err == ERR_IO;
}

/* One message alone must not hold up all others for ever, whatever is with it. */
static bool is_stuck(struct finder *f, uint64_t message)
{
    mono_us now = mono_now();
    if (f->words.stuck != message) {
        f->words.stuck = message;
        f->words.stuck_since = now;
    }
    return now > f->words.stuck_since + SECONDS(STUCK_SECONDS);
}

enum err find_words(struct finder *f, struct store_search_text *t, struct errinfo *ei)
{
    SCOPED(buf_finish) struct buf bytes = buf_make(STORE_MESSAGE_MAX);
    enum err err = f->host.read(f->host.arg, f->reader, t->message, &bytes, ei);
    if (err == ERR_OK) {
        err = read_header(f, buf_slice(&bytes), &f->words.all, t, ei);
        if (err == ERR_LIMIT) /* a million recipients, say: without them */
            err = read_header(f, buf_slice(&bytes), &f->words.less, t, ei);
        if (!passes(err)) /* the text of an odd header may be read all the same */
            err = read_text(f, buf_slice(&bytes), t, ei);
    }
    return passes(err) && (err == ERR_CANCELED || !is_stuck(f, t->message)) ? err : ERR_OK;
}

/* ---- life ---- */

static void make_want(struct finder *f, json_t *args, struct email_want *ret)
{
    struct errinfo ei;
    must(email_want_parse(args, EMAIL_CALL_GET, f->words.kept, ret, &ei) == ERR_OK);
    json_decref(args);
}

void find_words_create(struct finder *f)
{
    f->words.kept = arena_create(64 << 10);
    make_want(f,
              json_pack("{s:[s, s, s, s, s, s], s:[s]}", "properties", "from", "to", "cc", "bcc",
                        "subject", "attachments", "bodyProperties", "name"),
              &f->words.all);
    make_want(f, json_pack("{s:[s, s]}", "properties", "from", "subject"), &f->words.less);
}

void find_words_destroy(struct finder *f)
{
    arena_destroy(&f->words.kept);
}
