/* Looks at the DNS of domains and of this node: about every hour, and at once when somebody asks.
 * The liaison looks and judges; what it found is remembered over restarts. */
#include "desk/desk_watch_int.h"

#include <stdio.h>

#include "base/pack_struct_begin.h"
#include "desk/watch.def"
#include "base/pack_end.h"
#include "base/pack_write_begin.h"
#include "desk/watch.def"
#include "base/pack_end.h"
#include "base/pack_read_begin.h"
#include "desk/watch.def"
#include "base/pack_end.h"

enum {
    LOOKS_AT_ONCE = 8, /* by ourselves; people do not wait for these */
    WAITERS_MAX = 64,  /* people who wait for a look */
    FIRST_LOOK_SECONDS = 10,
    LOOK_SECONDS = 3300, /* and up to ten minutes more, so that not all come together */
    JITTER_SECONDS = 600,
    BLIND_SECONDS = 60,  /* no name could be resolved */
    ANSWER_SECONDS = 60, /* the liaison gives up after 25, and may have others before */
    BODY_MAX = 100000,
};

struct look_waiter {
    struct list node;
    void (*done)(void *cookie, enum err err, const char *text);
    void *cookie;
};

static mono_us random_seconds(uint32_t most)
{
    uint32_t r;
    random_bytes(&r, sizeof(r));
    return MILLISECONDS(r % (most * 1000));
}

static void answer_waiters(struct desk *d, struct desk_watched *w, enum err err, const char *text)
{
    for (struct list *node; (node = list_pop(&w->waiters));) {
        struct look_waiter *waiter = container_of(node, struct look_waiter, node);
        d->watch->n_waiters--;
        waiter->done(waiter->cookie, err, text);
        mem_free(&waiter);
    }
}

static void end_look(struct desk *d, struct desk_watched *w, mono_us again, enum err err,
                     const char *text)
{
    d->watch->n_looking -= w->is_looking;
    w->is_looking = false;
    w->next_look = mono_now() + again;
    answer_waiters(d, w, err, text);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Names of DKIM keys that shall be published: those of the company's mail system that somebody
 * named, and ours, also before and after they sign. */
static uint32_t fill_selectors(const struct desk *d, const struct directory_domain *of,
                               struct ipc_selector ret[WATCH_SELECTORS_MAX])
{
    const struct directory_selectors *s = directory_selectors(d->directory, of->id);
    uint32_t n = 0;
    for (; s && n < s->facts.n_names && n < DIRECTORY_SELECTORS_MAX; n++)
        ret[n] = (struct ipc_selector){.name = s->facts.names[n].text};
    const struct directory_dkim *ours = directory_dkim(d->directory, of->id);
    for (uint32_t i = 0; ours && i < ours->facts.n_keys; i++)
        ret[n++] = (struct ipc_selector){.name = ours->facts.keys[i].selector, .is_ours = 1};
    return n;
}

static uint64_t hash_selectors(const struct ipc_selector *list, uint32_t n)
{
    SCOPED(buf_finish) struct buf all = buf_make(WATCH_SELECTORS_MAX * 140);
    for (uint32_t i = 0; i < n; i++)
        ipc_selector_pack(&all, &list[i]);
    return n > 0 ? hash_bytes(buf_slice(&all)) : 0;
}

static uint64_t selectors_now(const struct desk *d, const struct directory_domain *of)
{
    struct ipc_selector list[WATCH_SELECTORS_MAX];
    return hash_selectors(list, fill_selectors(d, of, list));
}

static void fill_domain(struct desk *d, struct desk_watched *w, const struct directory_domain *of,
                        struct ipc_network_text networks[64], struct ipc_domain_look *look)
{
    const struct directory_primary *p = directory_primary(d->directory, of->facts.primary);
    const struct desk_finding *ttl = w->by_check[WATCH_TTL];
    look->name = of->facts.name;
    look->form = of->facts.form;
    look->networks = networks;
    for (uint32_t i = 0; p && i < p->facts.n_networks && look->n_networks < 64; i++)
        if (p->facts.networks[i].text.n <= 64)
            networks[look->n_networks++].text = p->facts.networks[i].text;
    if (ttl && ttl->f.number > 0 && ttl->f.number <= UINT32_MAX) {
        look->ttl_known = (uint32_t)ttl->f.number;
        look->ttl_age = (utc_now() - w->ttl_at) / 1000;
    }
    look->n_selectors = fill_selectors(d, of, look->selectors);
    w->form = of->facts.form;
    w->primary = of->facts.primary;
    w->selectors = hash_selectors(look->selectors, look->n_selectors);
}

static bool send_look(struct desk *d, struct desk_watched *w, const struct directory_domain *of)
{
    struct ipc_network_text networks[64];
    struct ipc_selector selectors[WATCH_SELECTORS_MAX];
    struct ipc_domain_look look = {.domain = w->id, .selectors = selectors};
    SCOPED(buf_finish) struct buf b = buf_make(20000);
    if (of)
        fill_domain(d, w, of, networks, &look);
    ipc_domain_look_pack(&b, &look);
    if (!desk_send(d->liaison.link, IPC_T_domain_look, w->id, &b))
        return false;
    w->is_looking = true;
    w->look_until = mono_now() + SECONDS(ANSWER_SECONDS);
    d->watch->n_looking++;
    return true;
}

static_assert(DIRECTORY_SELECTORS_MAX + DIRECTORY_DKIM_MAX <= WATCH_SELECTORS_MAX,
              "all are looked at");

static const struct directory_domain *find_domain(const struct desk *d, uint64_t id)
{
    const struct directory_domain *of;
    for (size_t at = 0; (of = directory_next_domain(d->directory, &at));)
        if (of->id == id)
            return of;
    return NULL;
}

static struct desk_watched *watched_domain(struct desk *d, const struct directory_domain *of)
{
    struct desk_watched *w = desk_watched(d, DESK_ABOUT_DOMAIN, of->id);
    if (!w->name[0])
        (void)snprintf(w->name, sizeof(w->name), SLICE_FMT, SLICE_ARG(of->facts.name));
    return w;
}

void desk_watch_now(void *arg, uint64_t domain,
                    void (*done)(void *cookie, enum err err, const char *text), void *cookie)
{
    struct desk *d = arg;
    const struct directory_domain *of = find_domain(d, domain);
    if (!of || d->watch->n_waiters >= WAITERS_MAX) {
        if (of)
            (void)refuse(REFUSE_DOMAIN_LOOKS, of->facts.name);
        done(cookie, of ? ERR_LIMIT : ERR_GONE,
             of ? "too many looks at once; try again in a minute" : "there is no such domain");
        return;
    }
    struct desk_watched *w = watched_domain(d, of);
    if (!w->is_looking && !send_look(d, w, of)) {
        done(cookie, ERR_RETRY, "our probing process is starting again; try in a few seconds");
        return;
    }
    struct look_waiter *waiter = mem_new(sizeof(*waiter));
    waiter->done = done;
    waiter->cookie = cookie;
    list_append(&w->waiters, &waiter->node);
    d->watch->n_waiters++;
}

static void look_when_due(struct desk *d, struct desk_watched *w, const struct directory_domain *of,
                          mono_us now)
{
    if (!w->is_planned) {
        w->is_planned = true;
        w->next_look = now + random_seconds(FIRST_LOOK_SECONDS);
    }
    if (w->is_looking && now >= w->look_until) /* our own process forgot it */
        end_look(d, w, SECONDS(BLIND_SECONDS), ERR_RETRY,
                 "our probing process gave no answer; try again");
    bool is_changed = of && w->looked &&
                      (w->form != of->facts.form || w->primary != of->facts.primary ||
                       w->selectors != selectors_now(d, of));
    bool is_due = now >= w->next_look || is_changed;
    if (is_due && !w->is_looking && d->watch->n_looking < LOOKS_AT_ONCE)
        (void)send_look(d, w, of);
}

void desk_watch_tick(struct desk *d, mono_us now)
{
    const struct directory_domain *of;
    if (!d->liaison.link)
        return;
    look_when_due(d, d->watch->node, NULL, now);
    for (size_t at = 0; (of = directory_next_domain(d->directory, &at));)
        look_when_due(d, watched_domain(d, of), of, now);
}

/* ---- what was seen --------------------------------------------------------------------------- */

static void written(struct store_change *change, enum err, const struct errinfo *)
{
    struct buf *facts = change->arg; /* what the disk refused is looked at again in an hour */
    buf_finish(facts);
    mem_free(&facts);
    mem_free(&change);
}

static void fill_body(const struct desk_watched *w, struct desk_watch_finding list[WATCH_N],
                      struct desk_watch_body *ret)
{
    *ret = (struct desk_watch_body){.looked = w->looked, .ttl_at = w->ttl_at, .findings = list};
    for (unsigned i = 0; i < WATCH_N; i++) {
        const struct desk_finding *is = w->by_check[i];
        if (!is || is->f.class == WATCH_UNKNOWN)
            continue;
        list[ret->n_findings++] = (struct desk_watch_finding){.check = (uint8_t)i,
                                                              .class = (uint8_t)is->f.class,
                                                              .was_ok = is->was_ok,
                                                              .since = is->since,
                                                              .number = is->f.number,
                                                              .found = slice_str(is->f.found),
                                                              .expected = slice_str(is->f.expected),
                                                              .why = slice_str(is->f.why),
                                                              .advice = slice_str(is->f.advice)};
    }
}

static void write_down(struct desk *d, const struct desk_watched *w)
{
    struct desk_watch_finding list[WATCH_N];
    struct desk_watch_body body;
    SCOPED(buf_finish) struct buf packed = buf_make(BODY_MAX);
    uint64_t tenant;
    struct slice name = desk_watched_name(d, w, &tenant);
    fill_body(w, list, &body);
    desk_watch_body_pack(&packed, &body);
    struct record_object o = {.kind = OBJECT_WATCH,
                              .id = w->id,
                              .tenant = tenant,
                              .time = utc_now(),
                              .by = SLICE("watch"),
                              .name = name,
                              .body = buf_slice(&packed)};
    struct record_objects all = {&o, 1};
    struct buf *facts = mem_new(sizeof(*facts));
    struct store_change *change = mem_new(sizeof(*change));
    *facts = buf_make(2 * BODY_MAX);
    record_objects_pack(facts, &all);
    must(!packed.failed && !facts->failed);
    *change = (struct store_change){.type = RECORD_OBJECT,
                                    .is_lazy = true,
                                    .facts = buf_slice(facts),
                                    .done = written,
                                    .arg = facts};
    store_submit(d->store, change);
}

static void keep_text(char *text, size_t size, struct slice from)
{
    must(from.n < size); /* the packed maxima are those of the fields */
    if (from.n > 0)
        memcpy(text, from.p, from.n);
    text[from.n] = '\0';
}

static void take_finding(const struct ipc_finding *from, struct watch_finding *ret)
{
    *ret =
        (struct watch_finding){.check = from->check, .class = from->class, .number = from->number};
    keep_text(ret->found, sizeof(ret->found), from->found);
    keep_text(ret->expected, sizeof(ret->expected), from->expected);
    keep_text(ret->why, sizeof(ret->why), from->why);
    keep_text(ret->advice, sizeof(ret->advice), from->advice);
}

/* A TTL that is new, or that the one before must have run out for, was not from a cache. */
static void note_ttl(struct desk_watched *w, const struct watch_finding *f)
{
    const struct desk_finding *old = w->by_check[WATCH_TTL];
    if (f->check == WATCH_TTL &&
        (!old || old->f.number != f->number || utc_now() - w->ttl_at >= f->number * 1000))
        w->ttl_at = utc_now();
}

static void take_findings(struct desk *d, struct desk_watched *w,
                          const struct ipc_domain_seen *seen)
{
    bool is_changed = false;
    w->looked = utc_now();
    for (uint32_t i = 0; i < seen->n_findings; i++) {
        struct watch_finding f;
        take_finding(&seen->findings[i], &f);
        note_ttl(w, &f);
        if (f.check == WATCH_DKIM && w->selectors == 0)
            is_changed = desk_unfound(d, w, WATCH_DKIM) || is_changed;
        is_changed = desk_found(d, w, &f) || is_changed;
    }
    if (is_changed && w->about == DESK_ABOUT_DOMAIN)
        write_down(d, w);
    end_look(d, w, SECONDS(LOOK_SECONDS) + random_seconds(JITTER_SECONDS), ERR_OK, "");
}

static bool is_sane(const struct ipc_domain_seen *seen)
{
    for (uint32_t i = 0; i < seen->n_findings; i++) {
        const struct ipc_finding *f = &seen->findings[i];
        bool is_of_domain = f->check <= WATCH_NS, is_of_node = f->check <= WATCH_CERTIFICATE;
        if (f->class >= WATCH_CLASS_N || !is_of_node || is_of_domain != (seen->domain != 0))
            return false;
    }
    return true;
}

bool desk_watch_seen(struct desk *d, struct net_frame *f)
{
    struct ipc_domain_seen seen;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    if (!ipc_domain_seen_unpack(f->payload, a, &seen) || seen.domain != f->tag || !is_sane(&seen))
        return false;
    struct desk_watched *w = seen.domain
                                 ? map_get(d->watch->by_about[DESK_ABOUT_DOMAIN], KEY(seen.domain))
                                 : d->watch->node;
    if (!w || !w->is_looking)
        return true; /* too late, or the domain is gone */
    if (seen.is_blind || d->control.is_blind)
        end_look(d, w, SECONDS(BLIND_SECONDS), ERR_RETRY,
                 "no name could be resolved: look at network.resolver in the settings, and at this "
                 "node's "
                 "way out");
    else
        take_findings(d, w, &seen);
    return true;
}

void desk_watch_liaison_lost(struct desk *d)
{
    size_t at = 0;
    void *value;
    if (d->watch->node->is_looking)
        end_look(d, d->watch->node, SECONDS(1), ERR_RETRY, "");
    while (map_next(d->watch->by_about[DESK_ABOUT_DOMAIN], &at, NULL, &value)) {
        struct desk_watched *w = value;
        if (w->is_looking)
            end_look(d, w, SECONDS(1), ERR_RETRY,
                     "our probing process ended in the middle of it; try again");
    }
}

/* ---- over restarts, and for people -------------------------------------------------------------
 */

void desk_watch_start(struct desk *d)
{
    d->watch = mem_new(sizeof(*d->watch));
    for (unsigned i = 0; i < 3; i++)
        d->watch->by_about[i] = map_create();
    d->watch->node = desk_watched(d, DESK_ABOUT_NODE, 0);
}

void desk_watch_load(struct desk *d, const struct record_object *o)
{
    struct desk_watch_body body;
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    if (o->is_removed || o->id == 0 || !desk_watch_body_unpack(o->body, a, &body))
        return; /* then it is looked at anew */
    const struct directory_domain *of = directory_domain(d->directory, o->name);
    if (!of || of->id != o->id)
        return; /* there is no such domain any more */
    struct desk_watched *w = watched_domain(d, of);
    w->looked = body.looked;
    w->ttl_at = body.ttl_at;
    w->form = of->facts.form;
    w->primary = of->facts.primary;
    w->selectors = selectors_now(d, of);
    for (uint32_t i = 0; i < body.n_findings; i++) {
        const struct desk_watch_finding *from = &body.findings[i];
        if (from->check >= WATCH_N || from->class >= WATCH_CLASS_N || w->by_check[from->check])
            continue;
        struct ipc_finding f = {from->check,    from->class, from->number, from->found,
                                from->expected, from->why,   from->advice};
        struct desk_finding *is = mem_new(sizeof(*is));
        take_finding(&f, &is->f);
        is->since = from->since;
        is->was_ok = from->was_ok != 0;
        w->by_check[from->check] = is;
    }
}

static void show_finding(const struct desk_watched *w, enum watch_check check,
                         struct admin_watch *out)
{
    const struct desk_finding *is = w->by_check[check];
    out->check = watch_check_name(check);
    out->title = watch_check_title(check);
    out->class = watch_class_name(is->f.class);
    out->rank = is->f.class;
    out->found = is->f.found;
    out->expected = is->f.expected;
    out->why = is->f.why;
    out->advice = is->f.advice;
    out->number = is->f.number;
    out->since = is->since;
    out->is_stale = is->is_stale;
    out->looked = check > WATCH_CERTIFICATE ? 0 : w->looked; /* these are seen all the time */
}

static void show_watched(const struct desk *d, const struct desk_watched *w,
                         void (*each)(void *cookie, const struct admin_watch *w), void *cookie)
{
    static const char *const abouts[] = {"node", "domain", "primary"};
    struct admin_watch out = {.about = abouts[w->about]};
    out.name = desk_watched_name(d, w, &out.tenant);
    out.domain = w->about == DESK_ABOUT_DOMAIN ? w->id : 0;
    for (unsigned i = 0; i < WATCH_N && out.name.n > 0; i++)
        if (w->by_check[i]) {
            show_finding(w, i, &out);
            each(cookie, &out);
        }
}

void desk_watches(void *arg, void (*each)(void *cookie, const struct admin_watch *w), void *cookie)
{
    struct desk *d = arg;
    void *value;
    for (unsigned about = 0; about < 3; about++)
        for (size_t at = 0; map_next(d->watch->by_about[about], &at, NULL, &value);)
            show_watched(d, value, each, cookie);
}

void desk_watch_clear(struct desk *d)
{
    for (unsigned about = 0; about < 3; about++) {
        void *value;
        for (size_t at = 0; map_next(d->watch->by_about[about], &at, NULL, &value);) {
            struct desk_watched *w = value;
            for (struct list *node; (node = list_pop(&w->waiters));) {
                struct look_waiter *waiter = container_of(node, struct look_waiter, node);
                mem_free(&waiter);
            }
            for (unsigned i = 0; i < WATCH_N; i++)
                mem_free(&w->by_check[i]);
            mem_free(&w->trend);
            mem_free(&w);
        }
        map_destroy(&d->watch->by_about[about]);
    }
    mem_free(&d->watch->space);
    mem_free(&d->watch->files);
    mem_free(&d->watch);
}
