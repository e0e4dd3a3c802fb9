/* Writing and removing objects: through the host to the log, then the answer. */
#include "admin/admin_int.h"

struct put {
    struct admin_call *c;
    void (*then)(struct admin_call *c);
};

static void put_done(void *cookie, enum err err, const char *why)
{
    struct put put = *(struct put *)cookie; /* it lies in the call's arena */
    if (err != ERR_OK)
        call_fail(put.c, err, why);
    else
        put.then(put.c);
}

void call_put_all(struct admin_call *c, const struct record_objects *o,
                  const struct record_mailboxes *m, void (*then)(struct admin_call *c))
{
    struct put *put = ARENA_NEW(c->arena, struct put);
    *put = (struct put){c, then};
    c->host->put(c->host->arg, o, m, put_done, put);
}

void call_put(struct admin_call *c, const struct record_object *o,
              void (*then)(struct admin_call *c))
{
    struct record_object copy = *o;
    struct record_objects objects = {&copy, 1};
    struct record_mailboxes none = {};
    call_put_all(c, &objects, &none, then);
}

struct record_object call_object(struct admin_call *c, enum object_kind kind, uint64_t tenant,
                                 struct slice name, const struct buf *body)
{
    must(!body->failed); /* every length was checked against the schema */
    return (struct record_object){
        .kind = kind,
        .id = c->host->next_id(c->host->arg),
        .tenant = tenant,
        .time = utc_now(),
        .by = c->by,
        .name = name,
        .body = arena_copy(c->arena, buf_slice(body)),
    };
}

static void removed(struct admin_call *c)
{
    const struct removal *r = c->work;
    out_object(&c->json, NULL);
    out_text(&c->json, "removed", r->name);
    out_word(&c->json, "text", r->text);
    out_close(&c->json);
    call_done(c);
}

void call_remove(struct admin_call *c, const struct removal *r)
{
    SCOPED(buf_finish) struct buf nothing = buf_make(1);
    struct removal *copy = ARENA_NEW(c->arena, struct removal);
    *copy = *r;
    copy->name = arena_copy(c->arena, r->name);
    struct record_object o = call_object(c, r->kind, r->tenant, copy->name, &nothing);
    o.id = r->id;
    o.is_removed = 1;
    c->work = copy;
    struct record_object both[] = {o, o};
    both[1].kind = (uint8_t)r->also;
    struct record_objects objects = {both, r->also ? 2 : 1};
    struct record_mailboxes none = {};
    call_put_all(c, &objects, &none, removed);
}
