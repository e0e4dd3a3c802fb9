/* Does the way back work? Tried before the emergency, and in words for each make. */
#include "admin/admin_int.h"

enum make {
#define MAKE(id, word, name) MAKE_##id,
#include "admin/profile.def"
#undef MAKE
    MAKE_N,
};

static const struct {
    const char *word, *name;
} makes[MAKE_N] = {
#define MAKE(id, word, name) {word, name},
#include "admin/profile.def"
#undef MAKE
};

static const char *const advice[MAKE_N][CHECK_N] = {
#define ADVICE(make, check, text) [MAKE_##make][CHECK_##check] = text,
#include "admin/profile.def"
#undef ADVICE
};

static const char *const names[CHECK_N] = {
    "connect", "tls", "size", "takes", "arrives", "log-in", "master",
};

/* What its greeting looks like, when nobody said; MAKE_N: unknown. */
static enum make guess(struct slice software)
{
    static const struct {
        const char *part;
        enum make make;
    } parts[] = {
        {"outlook.com", MAKE_ONLINE}, {"Microsoft", MAKE_EXCHANGE}, {"google", MAKE_GOOGLE},
        {"gsmtp", MAKE_GOOGLE},       {"Zimbra", MAKE_ZIMBRA},      {"Postfix", MAKE_POSTFIX},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        for (size_t at = 0; at < software.n; at++)
            if (slice_starts(slice_skip(software, at), slice_str(parts[i].part)))
                return parts[i].make;
    return MAKE_N;
}

struct asked {
    struct admin_call *c;
    uint64_t primary;
    enum make make;
};

static void write_check(struct out *j, enum make make, enum admin_check_id id,
                        const struct admin_check *row)
{
    static const char *const results[] = {
        [CHECK_NOT_TRIED] = "not tried", [CHECK_WELL] = "ok", [CHECK_FAILED] = "FAIL"};
    out_object(j, NULL);
    out_word(j, "check", names[id]);
    out_word(j, "result", results[row->result]);
    out_word(j, "text", row->text[0] ? row->text : "an earlier check failed");
    if (row->result == CHECK_FAILED && make < MAKE_N && advice[make][id])
        out_word(j, "advice", advice[make][id]);
    out_close(j);
}

static void checked(void *cookie, enum err err, const struct admin_check rows[CHECK_N])
{
    struct asked a = *(struct asked *)cookie; /* it lies in the call's arena */
    struct admin_call *c = a.c;
    const struct directory_primary *p = directory_primary(c->host->directory, a.primary);
    struct admin_primary_state s = {};
    const struct admin_check *failed = NULL;
    if (err != ERR_OK || !p) {
        call_fail(c, err != ERR_OK ? err : ERR_GONE, "the mail system could not be looked at");
        return;
    }
    (void)c->host->state(c->host->arg, a.primary, &s);
    enum make make = a.make < MAKE_N ? a.make : guess(s.software);
    for (size_t i = CHECK_N; i > 0; i--)
        if (rows[i - 1].result == CHECK_FAILED)
            failed = &rows[i - 1];
    out_object(&c->json, NULL);
    out_text(&c->json, "primary", p->facts.name);
    out_text(&c->json, "tenant", name_of_tenant(c->host, p->tenant));
    out_truth(&c->json, "ok", !failed);
    out_word(&c->json, "text", failed ? failed->text : "Everything that was tried works.");
    out_word(&c->json, "make", make < MAKE_N ? makes[make].name : "unknown: say --make for advice");
    out_array(&c->json, "checks");
    for (enum admin_check_id i = 0; i < CHECK_N; i++)
        write_check(&c->json, make, i, &rows[i]);
    out_close(&c->json);
    out_close(&c->json);
    call_done(c);
}

void do_primary_check(struct admin_call *c)
{
    const struct directory_primary *p = call_path_primary(c);
    if (!p)
        return;
    struct slice word = call_param(c, "make"), from = call_param(c, "sender");
    struct asked *a = ARENA_NEW(c->arena, struct asked);
    *a = (struct asked){c, p->id, MAKE_N};
    for (enum make i = 0; i < MAKE_N; i++)
        if (slice_eq(word, slice_str(makes[i].word)))
            a->make = i;
    /* Its domain publishes "nobody may send in my name" and belongs to documentation (RFC 2606). */
    c->host->check(c->host->arg, p->id, from.n ? from : SLICE("staffetta-check@example.com"),
                   checked, a);
}
