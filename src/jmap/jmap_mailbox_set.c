/* Changing mailboxes (RFC 8621 section 2.5). */
#include "jmap/jmap_mailbox_int.h"

#include "mime/text.h"

/* So that all of them can be had at once, as every mail program does. */
enum { MAILBOXES_MAX = JMAP_OBJECTS_GET_MAX };

static const char *const roles[] = {"inbox",     "drafts",  "sent", "archive",    "junk", "trash",
                                    "important", "flagged", "all",  "subscribed", NULL};

/* A mailbox as it is to become, and which properties were wrong. */
struct wanted {
    struct jmap_set *s;
    struct record_mailbox m;
    json_t *error;
};

static void wrong(struct wanted *w, const char *property, const char *why)
{
    if (!w->error)
        w->error = jmap_set_error("invalidProperties", property, "%s", why);
}

/* C0, C1, line and paragraph separators: Net-Unicode has none of them (RFC 5198 section 2). */
static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i], next = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
            return true;
        if (slice_starts(slice_skip(s, i), SLICE("\xe2\x80\xa8")) ||
            slice_starts(slice_skip(s, i), SLICE("\xe2\x80\xa9")))
            return true;
    }
    return false;
}

/* In normalization form C, as Net-Unicode is: two ways to write one name are one name. */
static void take_name(struct wanted *w, const json_t *value)
{
    SCOPED(buf_finish) struct buf composed = buf_make(3 * JMAP_MAILBOX_NAME_MAX + 16);
    struct slice name = slice_of(json_string_value(value), json_string_length(value));
    if (name.n <= JMAP_MAILBOX_NAME_MAX)
        mime_utf8_compose(name, &composed);
    if (name.n > JMAP_MAILBOX_NAME_MAX || composed.n > JMAP_MAILBOX_NAME_MAX)
        jmap_count(REFUSE_JMAP_MANY, "maxSizeMailboxName", w->s->r->who);
    if (!json_is_string(value) || slice_trim(name).n == 0 || name.n > JMAP_MAILBOX_NAME_MAX ||
        composed.n > JMAP_MAILBOX_NAME_MAX) {
        wrong(w, "name", "a name is a text of 1 to 255 bytes");
        return;
    }
    if (has_control(name))
        wrong(w, "name", "a name has no control characters");
    w->m.name = arena_copy(w->s->r->arena, buf_slice(&composed));
}

static void take_parent(struct wanted *w, const json_t *value)
{
    uint64_t id = json_is_null(value) ? 0 : jmap_id_or_created(w->s->r, 'B', value);
    const struct account_mailbox *m = id ? account_mailbox(w->s->r->account, id) : NULL;
    if (!json_is_null(value) && (!m || m->is_gone))
        wrong(w, "parentId", "there is no such mailbox");
    w->m.parent = id;
}

static void take_role(struct wanted *w, const json_t *value)
{
    const char *role = json_is_null(value) ? "" : json_string_value(value);
    bool is_known = role && !role[0];
    for (size_t i = 0; role && roles[i]; i++)
        is_known |= strcmp(role, roles[i]) == 0;
    if (!is_known) {
        wrong(w, "role", "this server knows no such role");
        return;
    }
    /* Where new mail goes is not decided here: nobody else is told of it. */
    if (slice_eq(w->m.role, SLICE("inbox")) != (strcmp(role, "inbox") == 0))
        wrong(w, "role", "the inbox stays the inbox");
    w->m.role = arena_copy(w->s->r->arena, slice_str(role));
}

static void take_sort_order(struct wanted *w, const json_t *value)
{
    if (json_is_null(value)) /* the default, RFC 8620 section 5.3 */
        w->m.sort_order = 0;
    else if (!json_is_integer(value) || json_integer_value(value) < 0 ||
             json_integer_value(value) > INT32_MAX)
        wrong(w, "sortOrder", "a whole number from 0 to 2147483647");
    else
        w->m.sort_order = (uint32_t)json_integer_value(value);
}

static void take_subscribed(struct wanted *w, const json_t *value)
{
    if (!json_is_boolean(value))
        wrong(w, "isSubscribed", "true or false");
    w->m.is_subscribed = json_is_true(value);
}

static const struct {
    const char *name;
    void (*take)(struct wanted *w, const json_t *value);
} settable[] = {
    {"name", take_name},
    {"parentId", take_parent},
    {"role", take_role},
    {"sortOrder", take_sort_order},
    {"isSubscribed", take_subscribed},
};

/* What the server sets may be given only as it is. */
static void take_all(struct wanted *w, const json_t *object, const json_t *now)
{
    const char *key;
    json_t *value, *o = (json_t *)(uintptr_t)object;
    json_object_foreach(o, key, value)
    {
        size_t i = 0, n = sizeof(settable) / sizeof(settable[0]);
        while (i < n && strcmp(settable[i].name, key) != 0)
            i++;
        if (i < n)
            settable[i].take(w, value);
        else if (!now || !json_equal(json_object_get(now, key), value))
            wrong(w, key, "the server sets this property");
    }
}

/* Steps from a mailbox up to this one; 0: it does not stand below it. */
static unsigned distance_to(const struct account *a, const struct account_mailbox *m, uint64_t id)
{
    for (unsigned n = 1; m && m->parent && n <= JMAP_MAILBOX_DEPTH_MAX; n++) {
        if (m->parent == id)
            return n;
        m = account_mailbox(a, m->parent);
    }
    return 0;
}

/* Those below it move with it. */
static unsigned height_of(const struct account *a, uint64_t id)
{
    const struct account_mailbox *m;
    unsigned height = 0;
    size_t at = 0;
    while ((m = account_next_mailbox(a, &at))) {
        unsigned n = m->is_gone ? 0 : distance_to(a, m, id);
        height = n > height ? n : height;
    }
    return height;
}

static void judge_depth(struct wanted *w)
{
    const struct account *a = w->s->r->account;
    const struct account_mailbox *now = account_mailbox(a, w->m.id), *m;
    unsigned n_above = 0;
    if (now && now->parent == w->m.parent)
        return;
    for (uint64_t up = w->m.parent; up && n_above <= JMAP_MAILBOX_DEPTH_MAX; n_above++) {
        if (up == w->m.id)
            wrong(w, "parentId", "a mailbox is not below itself");
        m = account_mailbox(a, up);
        up = m ? m->parent : 0;
    }
    if (n_above + 1 + height_of(a, w->m.id) > JMAP_MAILBOX_DEPTH_MAX && !w->error) {
        jmap_count(REFUSE_JMAP_MANY, "maxMailboxDepth", w->s->r->who);
        wrong(w, "parentId", "too many mailboxes in each other");
    }
}

/* The other mailbox that has its name at its place; NULL: none. */
static const struct account_mailbox *namesake(const struct account *a,
                                              const struct record_mailbox *of)
{
    const struct account_mailbox *m;
    size_t at = 0;
    while ((m = account_next_mailbox(a, &at)))
        if (!m->is_gone && m->id != of->id && m->parent == of->parent &&
            slice_eq(m->name, of->name))
            return m;
    return NULL;
}

/* The other mailbox that has its role; NULL: none. */
static const struct account_mailbox *role_holder(const struct account *a,
                                                 const struct record_mailbox *of)
{
    const struct account_mailbox *m = of->role.n ? account_mailbox_by_role(a, of->role) : NULL;
    return m && m->id != of->id ? m : NULL;
}

static json_t *role_is_taken(void)
{
    return jmap_set_error("invalidProperties", "role", "another mailbox has this role");
}

static json_t *name_is_taken(uint64_t by)
{
    json_t *error =
        jmap_set_error("alreadyExists", "name", "there is a mailbox with this name at this place");
    json_object_set_new(error, "existingId", jmap_id_json('B', by));
    return error;
}

static void judge_place(struct wanted *w)
{
    judge_depth(w);
    const struct account_mailbox *other = namesake(w->s->r->account, &w->m);
    if (other && !w->error)
        w->error = name_is_taken(other->id);
    if (role_holder(w->s->r->account, &w->m) && !w->error)
        w->error = role_is_taken();
}

static json_t *write(struct jmap_set *s, struct record_mailbox *m)
{
    struct errinfo ei;
    struct jmap_commit c = {.mailboxes = m, .n_mailboxes = 1};
    enum err err = jmap_commit_now(s->r, &c, &ei);
    return err == ERR_OK ? NULL : jmap_set_err(err, &ei);
}

static size_t count(const struct account *a)
{
    const struct account_mailbox *m;
    size_t at = 0, n = 0;
    while ((m = account_next_mailbox(a, &at)))
        n += !m->is_gone;
    return n;
}

static json_t *create(struct jmap_set *s, json_t *object, uint64_t *ret_id, json_t **ret_set)
{
    struct jmap_run *r = s->r;
    struct wanted w = {.s = s,
                       .m = {.id = r->host->next_id(r->host->arg),
                             .person = r->who->person,
                             .tenant = r->who->tenant,
                             .is_subscribed = 1}};
    w.m.uid_validity = (uint32_t)(w.m.id >> 20) | 1;
    if (!json_object_get(object, "name"))
        wrong(&w, "name", "a mailbox has a name");
    take_all(&w, object, NULL);
    judge_place(&w);
    if (count(r->account) >= MAILBOXES_MAX && !w.error)
        w.error = jmap_set_error("overQuota", NULL, "at most %d mailboxes", MAILBOXES_MAX);
    if (!w.error)
        w.error = write(s, &w.m);
    if (w.error)
        return w.error;
    *ret_id = w.m.id;
    *ret_set = jmap_mailbox_make(r, w.m.id);
    jmap_leave_untold(*ret_set, object);
    return NULL;
}

static void as_it_is(const struct account_mailbox *m, const struct jmap_caller *who,
                     struct record_mailbox *ret)
{
    *ret = (struct record_mailbox){.id = m->id,
                                   .person = who->person,
                                   .tenant = who->tenant,
                                   .name = m->name,
                                   .role = m->role,
                                   .uid_validity = m->uid_validity,
                                   .parent = m->parent,
                                   .sort_order = m->sort_order,
                                   .is_subscribed = m->is_subscribed,
                                   .created = m->created};
}

/* ---- names and roles that change hands ---- */

/* Of one call. A mailbox may take the name of a sibling, or the role of another one, that gets
 * another one in the same call (RFC 8620 section 5.3: the final state has to be valid): those wait
 * until all were looked at. */
struct setting {
    bool remove_emails;
    uint64_t *gone; /* destroyed before their turn */
    size_t n_gone;
    struct record_mailbox *waiting;
    size_t n_waiting;
};

static struct record_mailbox *find_waiting(const struct setting *x, uint64_t id)
{
    for (size_t i = 0; i < x->n_waiting; i++)
        if (x->waiting[i].id == id)
            return &x->waiting[i];
    return NULL;
}

static bool is_updated(const struct jmap_set *s, const struct account_mailbox *m)
{
    const char *key;
    json_t *value;
    json_object_foreach(s->update, key, value)
    {
        if (jmap_type_id_or_created(s->r, &jmap_mailbox_type, key) == m->id)
            return true;
    }
    return false;
}

/* It keeps its place, and whoever has its name or role is updated as well. */
static bool may_wait(const struct wanted *w, const struct account_mailbox *now)
{
    const struct account_mailbox *sibling = namesake(w->s->r->account, &w->m);
    const struct account_mailbox *holder = role_holder(w->s->r->account, &w->m);
    return !w->error && now->parent == w->m.parent && (sibling || holder) &&
           (!sibling || is_updated(w->s, sibling)) && (!holder || is_updated(w->s, holder));
}

static void let_wait(struct setting *x, struct jmap_run *r, const struct record_mailbox *m)
{
    struct record_mailbox *all = ARENA_ARRAY(r->arena, struct record_mailbox, x->n_waiting + 1);
    for (size_t i = 0; i < x->n_waiting; i++)
        all[i] = x->waiting[i];
    struct record_mailbox *own = &all[x->n_waiting++];
    *own = *m; /* the view may move while it waits */
    own->name = arena_copy(r->arena, m->name);
    own->role = arena_copy(r->arena, m->role);
    x->waiting = all;
}

/* In the end its name or role would be another one's, too: why it is refused; NULL: it is not. */
static json_t *still_taken(const struct setting *x, const struct account *a,
                           const struct record_mailbox *of)
{
    const struct account_mailbox *m;
    size_t at = 0;
    while ((m = account_next_mailbox(a, &at))) {
        const struct record_mailbox *then = find_waiting(x, m->id);
        if (m->is_gone || m->id == of->id)
            continue;
        if (m->parent == of->parent && slice_eq(then ? then->name : m->name, of->name))
            return name_is_taken(m->id);
        if (of->role.n && slice_eq(then ? then->role : m->role, of->role))
            return role_is_taken();
    }
    return NULL;
}

static void refuse_waiting(struct setting *x, size_t i, json_t *done, json_t *not_done,
                           json_t *take_error)
{
    char id[JMAP_ID_TEXT];
    jmap_id('B', x->waiting[i].id, id);
    (void)json_object_del(done, id);
    json_object_set_new(not_done, id, take_error);
    x->waiting[i] = x->waiting[--x->n_waiting];
}

/* One that is refused keeps its name and role, which another one may have wanted: all are judged
 * anew. */
static void flush(struct jmap_set *s, json_t *done, json_t *not_done)
{
    struct setting *x = s->arg;
    struct errinfo ei;
    for (size_t i = 0; i < x->n_waiting;) {
        json_t *error = still_taken(x, s->r->account, &x->waiting[i]);
        if (error)
            refuse_waiting(x, i, done, not_done, error);
        i = error ? 0 : i + 1;
    }
    struct jmap_commit c = {.mailboxes = x->waiting, .n_mailboxes = x->n_waiting};
    enum err err = x->n_waiting ? jmap_commit_now(s->r, &c, &ei) : ERR_OK;
    while (x->n_waiting > 0 && err != ERR_OK)
        refuse_waiting(x, 0, done, not_done, jmap_set_err(err, &ei));
    x->n_waiting = 0;
}

static json_t *update(struct jmap_set *s, uint64_t id, json_t *patch, json_t **ret_set)
{
    struct jmap_run *r = s->r;
    const struct account_mailbox *m = account_mailbox(r->account, id);
    if (!m || m->is_gone)
        return jmap_set_error("notFound", NULL, "there is no such mailbox");
    struct wanted w = {.s = s};
    as_it_is(m, r->who, &w.m);
    json_t *now = jmap_mailbox_make(r, id);
    json_t *then = json_deep_copy(now);
    w.error = jmap_patch(then, patch);
    if (!w.error)
        take_all(&w, then, now);
    bool is_same = json_equal(now, then), is_waiting = may_wait(&w, m);
    if (is_waiting)
        let_wait(s->arg, r, &w.m);
    else if (!w.error)
        judge_place(&w);
    json_decref(now);
    json_decref(then);
    if (!w.error && !is_same && !is_waiting)
        w.error = write(s, &w.m);
    struct slice asked = slice_str(json_string_value(json_object_get(patch, "name")));
    if (!w.error && asked.n && !slice_eq(asked, w.m.name))
        *ret_set = json_pack("{s:o}", "name", jmap_text(w.m.name));
    return w.error;
}

static bool is_listed(const struct jmap_set *s, uint64_t id)
{
    const json_t *one;
    size_t i;
    json_array_foreach(s->destroy, i,
                       one) if (jmap_type_id_or_created(s->r, &jmap_mailbox_type,
                                                        json_string_value(one)) == id) return true;
    return false;
}

static bool went_before(const struct setting *x, uint64_t id)
{
    for (size_t i = 0; i < x->n_gone; i++)
        if (x->gone[i] == id)
            return true;
    return false;
}

static json_t *destroy(struct jmap_set *s, uint64_t id);

/* Those below it that the same call destroys go first, whatever the order of the list. */
static json_t *destroy_below(struct jmap_set *s, uint64_t id)
{
    struct setting *x = s->arg;
    const struct account_mailbox *below;
    size_t at = 0;
    while ((below = account_next_mailbox(s->r->account, &at))) {
        if (below->is_gone || below->parent != id)
            continue;
        uint64_t child = below->id;
        json_t *error = is_listed(s, child) ? destroy(s, child) : json_null();
        if (error) {
            json_decref(error);
            return jmap_set_error("mailboxHasChild", NULL, "there are mailboxes below this one");
        }
        if (!x->gone)
            x->gone = ARENA_ARRAY(s->r->arena, uint64_t, JMAP_OBJECTS_SET_MAX);
        x->gone[x->n_gone++] = child;
        at = 0; /* they are others after each write */
    }
    return NULL;
}

static json_t *destroy(struct jmap_set *s, uint64_t id)
{
    struct jmap_run *r = s->r;
    const struct setting *x = s->arg;
    const struct account_mailbox *m = account_mailbox(r->account, id);
    struct record_mailbox gone;
    if (m && m->is_gone && went_before(x, id))
        return NULL;
    if (!m || m->is_gone)
        return jmap_set_error("notFound", NULL, "there is no such mailbox");
    if (slice_eq(m->role, SLICE("inbox")))
        return jmap_set_error("forbidden", NULL, "new mail arrives in the inbox: it stays");
    json_t *error = destroy_below(s, id);
    if (error)
        return error;
    m = account_mailbox(r->account, id);
    if (m->n_emails && !x->remove_emails)
        return jmap_set_error("mailboxHasEmail", NULL, "there are emails in it");
    as_it_is(m, r->who, &gone);
    gone.is_removed = 1;
    return write(s, &gone);
}

void jmap_mailbox_set(struct jmap_run *r, const struct jmap_call *c)
{
    static const char *const more[] = {"onDestroyRemoveEmails", NULL};
    struct setting x = {};
    const struct jmap_setter setter = {.type = &jmap_mailbox_type,
                                       .more_args = more,
                                       .create = create,
                                       .update = update,
                                       .destroy = destroy,
                                       .flush = flush,
                                       .arg = &x};
    if (jmap_arg_bool(r, c, "onDestroyRemoveEmails", &x.remove_emails))
        (void)jmap_set_run(r, c, &setter);
}

/* ---- those that everybody has ---- */

enum err jmap_mailbox_provide(struct jmap_run *r, struct errinfo *ei)
{
    static const struct {
        struct slice role, name;
        uint32_t order;
    } rows[] = {{SLICE("drafts"), SLICE("Drafts"), 2},
                {SLICE("sent"), SLICE("Sent"), 3},
                {SLICE("archive"), SLICE("Archive"), 4},
                {SLICE("junk"), SLICE("Junk"), 5},
                {SLICE("trash"), SLICE("Trash"), 6}};
    struct record_mailbox missing[sizeof(rows) / sizeof(rows[0])];
    struct jmap_commit c = {.mailboxes = missing};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (account_mailbox_by_role(r->account, rows[i].role))
            continue;
        uint64_t id = r->host->next_id(r->host->arg);
        missing[c.n_mailboxes++] = (struct record_mailbox){.id = id,
                                                           .person = r->who->person,
                                                           .tenant = r->who->tenant,
                                                           .name = rows[i].name,
                                                           .role = rows[i].role,
                                                           .uid_validity = (uint32_t)(id >> 20) | 1,
                                                           .sort_order = rows[i].order,
                                                           .is_subscribed = 1};
    }
    return c.n_mailboxes ? jmap_commit_now(r, &c, ei) : ERR_OK;
}
