/* Silence: when a company that always has mail at this hour has none, somebody should look. Inward
 * it says that we are not reached, outward that its mail system may be stuck; neither is evidence
 * strong enough to decide anything. */
#include "desk/desk_state_int.h"
#include "directory/local_time.h"

#include <stdio.h>
#include <time.h>

#include "base/pack_struct_begin.h"
#include "desk/silence.def"
#include "base/pack_end.h"
#include "base/pack_write_begin.h"
#include "desk/silence.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "desk/silence.def"
#include "base/pack_end.h"

enum { WAY_IN, WAY_OUT, WAYS, LOOK_SECONDS = 60, SAVE_MS = 3600000, BASELINE_BYTES = 10000 };

struct silence {
    uint64_t tenant;
    struct continuity_silence way[WAYS];
    uint32_t n_new[WAYS]; /* since the last look */
    bool is_strange[WAYS];
    utc_ms saved;
    struct directory_zone zone;
};

static struct silence *silence_of(struct desk *d, uint64_t tenant)
{
    struct silence *s = map_get(d->silences, KEY(tenant));
    if (s)
        return s;
    s = mem_new(sizeof(*s));
    s->tenant = tenant;
    s->saved = utc_now();
    map_put(d->silences, KEY(tenant), s);
    return s;
}

void desk_silence_count(struct desk *d, uint64_t tenant, bool is_inward)
{
    if (tenant)
        silence_of(d, tenant)->n_new[is_inward ? WAY_IN : WAY_OUT]++;
}

/* ---- the company's own time ---- */

static bool is_holiday(const struct dir_calendar *c, int64_t day)
{
    time_t t = (time_t)day * 86400;
    struct tm tm;
    char text[16];
    must(gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%d", &tm) > 0);
    for (uint32_t i = 0; i < c->n_holidays; i++)
        if (slice_eq(c->holidays[i].text, slice_str(text)))
            return true;
    return false;
}

static struct silence_when when_of(struct desk *d, struct silence *s, utc_ms now)
{
    const struct directory_calendar *c = directory_calendar(d->directory, s->tenant);
    directory_zone_read(&s->zone, c ? c->facts.zone : SLICE(""));
    struct silence_when w = continuity_local(&s->zone.zone, now);
    w.is_holiday = c && is_holiday(&c->facts, continuity_local_day(&w));
    return w;
}

/* ---- telling ---- */

static void look_again(struct desk *d, uint64_t tenant)
{
    const struct directory_primary *p;
    size_t at = 0;
    while ((p = directory_next_primary(d->directory, &at)))
        if (p->tenant == tenant)
            for (size_t a = 0; a < ASPECT_N; a++)
                desk_primary(d, p->id)->turn[a].next = 0;
}

static void report(struct desk *d, const struct silence *s, int way, double expected)
{
    static const struct {
        const char *name, *happened, *can;
    } words[WAYS][2] = {
        [WAY_IN] = {{"mail.arrives", "Mail for the company arrives again.", ""},
                    {"mail.silence",
                     "No mail arrives for the company, though at this hour there always is some.",
                     "Look whether the world reaches this node: its MX records (staffetta domain "
                     "check), its network, its firewall."}},
        [WAY_OUT] = {{"mail.leaves", "The company's mail system sends mail again.", ""},
                     {"mail.silence-outward",
                      "The company's mail system sends nothing out, though at this hour it always "
                      "does.",
                      "Look at its queue, and whether it still sends through this node."}},
    };
    const struct directory_tenant *t = directory_tenant(d->directory, s->tenant);
    bool is_strange = s->is_strange[way];
    char key[60], evidence[100];
    snprintf(key, sizeof(key), "silence/%llx/%d", (unsigned long long)s->tenant, way);
    snprintf(evidence, sizeof(evidence), "about %.0f messages would have been usual since the last",
             expected);
    struct desk_report r = {
        .tenant = s->tenant,
        .key = slice_str(key),
        .class = is_strange ? EVENT_NOTICE : EVENT_INFO,
        .name = words[way][is_strange].name,
        .subject = t ? t->facts.name : SLICE("?"),
        .happened = slice_str(words[way][is_strange].happened),
        .did = is_strange ? SLICE("Its mail systems were looked at again; silence alone decides "
                                  "nothing.")
                          : SLICE(""),
        .can = slice_str(words[way][is_strange].can),
        .evidence = is_strange ? slice_str(evidence) : SLICE(""),
        .by = SLICE("silence"),
        .is_over = !is_strange,
    };
    desk_report(d, &r);
}

/* ---- remembering ---- */

struct baseline_write {
    struct store_change change;
    struct buf facts;
    struct desk *desk;
    uint64_t tenant;
};

static void forget_write(struct baseline_write *w)
{
    buf_finish(&w->facts);
    mem_free(&w);
}

static void not_saved(void *arg)
{
    struct baseline_write *w = arg;
    struct silence *s = map_get(w->desk->silences, KEY(w->tenant));
    if (s)
        s->saved = 0; /* the disk refused: with the next look */
    forget_write(w);
}

/* It is lazy: the last ones are written when the store closes, and then nobody is to be told. */
static void written(struct store_change *change, enum err err, const struct errinfo *)
{
    struct baseline_write *w = change->arg;
    if (err == ERR_OK || err == ERR_CANCELED)
        forget_write(w);
    else
        desk_post(w->desk, not_saved, w);
}

/* Not one of the changes of the administration, which wait for each other and are few: each company
 * writes its own in the same minute. */
static void write_down(struct desk *d, uint64_t tenant, utc_ms now, struct slice body)
{
    struct record_object o = {.kind = OBJECT_BASELINE,
                              .id = tenant,
                              .tenant = tenant,
                              .time = now,
                              .by = SLICE("silence"),
                              .body = body};
    struct record_objects objects = {&o, 1};
    struct baseline_write *w = mem_new(sizeof(*w));
    *w = (struct baseline_write){
        .facts = buf_make(BASELINE_BYTES + 1000), .desk = d, .tenant = tenant};
    record_objects_pack(&w->facts, &objects);
    must(!w->facts.failed);
    w->change = (struct store_change){.type = RECORD_OBJECT,
                                      .is_lazy = true,
                                      .facts = buf_slice(&w->facts),
                                      .done = written,
                                      .arg = w};
    store_submit(d->store, &w->change);
}

static void save(struct desk *d, struct silence *s, utc_ms now)
{
    struct desk_baseline_hour hours[WAYS][SILENCE_HOURS];
    struct desk_baseline_way ways[WAYS];
    struct desk_baseline all = {ways, WAYS};
    for (int w = 0; w < WAYS; w++) {
        ways[w] = (struct desk_baseline_way){hours[w], SILENCE_HOURS, s->way[w].last};
        for (int h = 0; h < SILENCE_HOURS; h++) {
            float milli = s->way[w].mean[h] * 1000;
            hours[w][h] = (struct desk_baseline_hour){milli < 4e9f ? (uint32_t)milli : UINT32_MAX,
                                                      s->way[w].n_seen[h]};
        }
    }
    SCOPED(buf_finish) struct buf body = buf_make(BASELINE_BYTES);
    desk_baseline_pack(&body, &all);
    must(!body.failed);
    s->saved = now;
    write_down(d, s->tenant, now, buf_slice(&body));
}

void desk_silence_load(struct desk *d, const struct record_object *o)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(100000);
    struct desk_baseline all;
    if (o->is_removed || !desk_baseline_unpack(o->body, a, &all) || all.n_ways != WAYS)
        return;
    struct silence *s = silence_of(d, o->id);
    for (int w = 0; w < WAYS; w++) {
        s->way[w].last = all.ways[w].last;
        for (uint32_t h = 0; h < all.ways[w].n_hours && h < SILENCE_HOURS; h++) {
            s->way[w].mean[h] = (float)all.ways[w].hours[h].mean_milli / 1000;
            uint32_t n = all.ways[w].hours[h].n_seen;
            s->way[w].n_seen[h] = (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX);
        }
    }
}

/* ---- time ---- */

static void look(struct desk *d, struct silence *s, utc_ms now)
{
    struct silence_when when = when_of(d, s, now);
    for (int w = 0; w < WAYS; w++) {
        double expected;
        continuity_silence_count(&s->way[w], &when, now, s->n_new[w]);
        s->n_new[w] = 0;
        bool is_strange =
            continuity_silence_judge(&s->way[w], &when, now, &expected) == SILENCE_STRANGE;
        if (is_strange == s->is_strange[w])
            continue;
        s->is_strange[w] = is_strange;
        report(d, s, w, expected);
        if (is_strange)
            look_again(d, s->tenant);
    }
    if (now < s->saved || now - s->saved > SAVE_MS) /* a clock may have been set back */
        save(d, s, now);
}

/* While we are blind, or the clock may be wrong, every silence is ours. */
void desk_silence_tick(struct desk *d, mono_us now)
{
    if (now < d->next_silence || d->control.is_blind || d->clock.is_doubted)
        return;
    d->next_silence = now + SECONDS(LOOK_SECONDS);
    size_t at = 0;
    void *value;
    while (map_next(d->silences, &at, NULL, &value)) {
        struct silence *s = value;
        if (directory_tenant(d->directory, s->tenant)) /* else it was removed */
            look(d, s, utc_now());
    }
}

void desk_silence_clear(struct desk *d)
{
    size_t at = 0;
    void *value;
    while (map_next(d->silences, &at, NULL, &value)) {
        struct silence *s = value;
        directory_zone_finish(&s->zone);
        mem_free(&s);
    }
    map_destroy(&d->silences);
}
