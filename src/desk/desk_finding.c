/* What a finding sets off: people are told once when it becomes worse, and once when it is over. */
#include "desk/desk_watch_int.h"

#include <stdio.h>

struct desk_watched *desk_watched(struct desk *d, enum desk_about about, uint64_t id)
{
    struct desk_watched *w = map_get(d->watch->by_about[about], KEY(id));
    if (w)
        return w;
    w = mem_new(sizeof(*w));
    w->about = about;
    w->id = id;
    list_init(&w->waiters);
    map_put(d->watch->by_about[about], KEY(id), w);
    return w;
}

struct slice desk_watched_name(const struct desk *d, const struct desk_watched *w,
                               uint64_t *ret_tenant)
{
    const struct directory_domain *domain;
    const struct directory_primary *primary;
    *ret_tenant = 0;
    switch (w->about) {
    case DESK_ABOUT_NODE:
        return slice_str(d->o.node);
    case DESK_ABOUT_DOMAIN:
        domain = directory_domain(d->directory, slice_str(w->name));
        *ret_tenant = domain ? domain->tenant : 0;
        return domain ? domain->facts.name : SLICE("");
    case DESK_ABOUT_PRIMARY:
        primary = directory_primary(d->directory, w->id);
        *ret_tenant = primary ? primary->tenant : 0;
        return primary ? primary->facts.name : SLICE("");
    }
    return SLICE("");
}

/* ---- telling --------------------------------------------------------------------------------- */

static void make_key(const struct desk_watched *w, struct slice name, enum watch_check check,
                     struct buf *ret)
{
    const char *what = watch_check_name(check);
    if (check == WATCH_SPACE || check == WATCH_FILES)
        buf_addf(ret, "disk/%s", what);
    else if (w->about == DESK_ABOUT_NODE)
        buf_addf(ret, "node/%s", what);
    else if (w->about == DESK_ABOUT_DOMAIN)
        buf_addf(ret, "domain/" SLICE_FMT "/%s", SLICE_ARG(name), what);
    else
        buf_addf(ret, "primary/%llx/%s", (unsigned long long)w->id, what);
}

/* "domain.mx"; the disk has two names that people know already. */
static void make_name(const struct desk_watched *w, enum watch_check check, bool is_over,
                      char ret[80])
{
    static const char *const abouts[] = {"node", "domain", "primary"};
    const char *what = check == WATCH_PEER_CERTIFICATE ? "certificate" : watch_check_name(check);
    if (check == WATCH_SPACE)
        (void)snprintf(ret, 80, "%s", is_over ? "disk.fine" : "disk.low");
    else
        (void)snprintf(ret, 80, "%s.%s%s", abouts[w->about], what, is_over ? ".fine" : "");
}

static const char *what_we_do(enum watch_check check)
{
    switch (check) {
    case WATCH_SPACE:
    case WATCH_FILES:
        return "Mail is taken as long as there is room.";
    case WATCH_KEPT:
    case WATCH_QUEUE:
        return "We keep it and go on trying.";
    case WATCH_HELD:
        return "We keep it.";
    case WATCH_MX:
    case WATCH_TTL:
    case WATCH_SPF:
    case WATCH_DKIM:
    case WATCH_DMARC:
    case WATCH_STS:
    case WATCH_TLSA:
    case WATCH_NS:
    case WATCH_ADDRESS:
    case WATCH_REVERSE:
    case WATCH_CERTIFICATE:
    case WATCH_PEER_CERTIFICATE:
    case WATCH_N:
        break;
    }
    return "We look again every hour.";
}

static void tell(struct desk *d, const struct desk_watched *w, const struct desk_finding *is,
                 bool is_over)
{
    SCOPED(buf_finish) struct buf key = buf_make(600), happened = buf_make(2000);
    SCOPED(buf_finish) struct buf evidence = buf_make(2000);
    const struct watch_finding *f = &is->f;
    uint64_t tenant;
    struct slice name = desk_watched_name(d, w, &tenant);
    char event[80];
    make_key(w, name, f->check, &key);
    make_name(w, f->check, is_over, event);
    buf_addf(&happened, SLICE_FMT ", %s: %s.", SLICE_ARG(name), watch_check_title(f->check),
             f->found[0] ? f->found : "nothing found");
    if (!is_over)
        buf_addf(&happened, " %s", f->why);
    buf_addf(&evidence, "found: %s\nexpected: %s", f->found, f->expected);
    /* What was never right is being set up: that wakes nobody at night. */
    bool is_alarm = f->class == WATCH_ALARM && (is->was_ok || f->check > WATCH_REVERSE);
    struct desk_report r = {.tenant = tenant,
                            .key = buf_slice(&key),
                            .class = is_over    ? EVENT_INFO
                                     : is_alarm ? EVENT_ALARM
                                                : EVENT_NOTICE,
                            .name = event,
                            .subject = name,
                            .happened = buf_slice(&happened),
                            .did = slice_str(is_over ? "" : what_we_do(f->check)),
                            .can = slice_str(is_over ? "Nothing has to be done." : f->advice),
                            .evidence = buf_slice(&evidence),
                            .by = SLICE("watch"),
                            .is_over = is_over};
    desk_report(d, &r);
}

/* ---- taking over ------------------------------------------------------------------------------
 */

static bool is_same(const struct watch_finding *a, const struct watch_finding *b)
{
    return a->class == b->class && a->number == b->number && strcmp(a->found, b->found) == 0 &&
           strcmp(a->expected, b->expected) == 0 && strcmp(a->why, b->why) == 0 &&
           strcmp(a->advice, b->advice) == 0;
}

bool desk_unfound(struct desk *d, struct desk_watched *w, enum watch_check check)
{
    struct desk_finding *is = w->by_check[check];
    if (!is || is->f.class == WATCH_UNKNOWN)
        return false;
    if (is->f.class > WATCH_OK) {
        is->f = (struct watch_finding){.check = check, .found = "it is not looked at any more"};
        tell(d, w, is, true);
    }
    mem_free(&w->by_check[check]);
    return true;
}

bool desk_found(struct desk *d, struct desk_watched *w, const struct watch_finding *f)
{
    struct desk_finding *is = w->by_check[f->check];
    bool is_new = !is;
    if (is_new) {
        is = w->by_check[f->check] = mem_new(sizeof(*is));
        is->f = *f;
        is->since = utc_now();
    }
    is->is_stale = f->class == WATCH_UNKNOWN;
    if (is->is_stale) {
        if (is->f.class == WATCH_UNKNOWN)
            is->f = *f; /* the reason may be another one */
        return false;   /* what was known before still is the best that we know */
    }
    enum watch_class old = is_new ? WATCH_UNKNOWN : is->f.class;
    bool is_changed = is_new || !is_same(&is->f, f);
    if (old != f->class)
        is->since = utc_now();
    is->f = *f;
    if (f->class == WATCH_OK && old > WATCH_OK)
        tell(d, w, is, true);
    else if (f->class > WATCH_OK && f->class != old)
        tell(d, w, is, false);
    is->was_ok = is->was_ok || f->class == WATCH_OK;
    return is_changed;
}
