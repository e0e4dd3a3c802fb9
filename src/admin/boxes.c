/* Rows by mailbox, in the order in which they are given back (worker). */
#include "admin/statement_int.h"

#include <stdlib.h>

struct boxes boxes_make(struct admin_call *c)
{
    return (struct boxes){.c = c, .by = map_create(), .essential = map_create()};
}

void boxes_finish(struct boxes *b)
{
    for (size_t i = 0; i < b->n; i++)
        mem_free(&b->list[i]);
    mem_free(&b->list);
    map_destroy(&b->by);
    map_destroy(&b->essential);
}

static struct box *add_box(struct boxes *b, uint64_t person, struct slice address)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 64;
        b->list = mem_resize(b->list, b->cap * sizeof(struct box *));
    }
    struct box *box = mem_new(sizeof(*box) + address.n);
    if (address.n)
        memcpy(box + 1, address.p, address.n);
    box->person = person;
    box->address = slice_of((char *)(box + 1), address.n);
    b->list[b->n++] = box;
    return box;
}

/* Two addresses of a person are one mailbox; who is nobody of ours is an address. */
static struct box *box_of(struct boxes *b, const struct store_row *row)
{
    char lower[400];
    struct slice key = slice_of((const char *)&row->facts.person, sizeof(row->facts.person));
    if (!row->facts.person) {
        size_t n = row->facts.address.n < sizeof(lower) ? row->facts.address.n : sizeof(lower);
        for (size_t i = 0; i < n; i++)
            lower[i] = ascii_lower(row->facts.address.p[i]);
        key = slice_of(lower, n);
    }
    struct box *box = map_get(b->by, key);
    if (box)
        return box;
    if (b->n >= BOXES_MAX)
        return b->list[BOXES_MAX - 1];
    box = b->n == BOXES_MAX - 1 ? add_box(b, 0, SLICE("all others"))
                                : add_box(b, row->facts.person, row->facts.address);
    map_put(b->by, key, box);
    return box;
}

void boxes_add(struct boxes *b, const struct store_row *row, enum fate fate)
{
    struct box *box = box_of(b, row);
    box->n[fate]++;
    box->n_rows++;
    box->bytes += row->bytes;
    if (!box->oldest || row->received < box->oldest)
        box->oldest = row->received;
}

/* ---- who they are ---- */

static bool know_person(void *arg, const struct record_object *o)
{
    struct boxes *b = arg;
    struct box *box = map_get(b->by, KEY(o->id));
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    struct dir_person p;
    if (!dir_person_unpack(o->body, a, &p) || !p.is_essential)
        return true;
    if (box)
        box->is_essential = true;
    for (uint32_t i = 0; i < p.n_addresses; i++)
        map_put(b->essential, p.addresses[i].text, b);
    return true;
}

/* Mail for a group goes first when that of one of its members does. */
static bool know_group(void *arg, const struct record_object *o)
{
    struct boxes *b = arg;
    SCOPED(arena_destroy) struct arena *a = arena_create(4 << 20);
    struct dir_group g;
    bool is_essential = false;
    if (!dir_group_unpack(o->body, a, &g))
        return true;
    for (uint32_t i = 0; i < g.n_members && !is_essential; i++)
        is_essential = map_get(b->essential, g.members[i].text) != NULL;
    for (uint32_t i = 0; i < g.n_addresses && is_essential; i++) {
        struct box *box = map_get(b->by, g.addresses[i].text);
        if (box)
            box->is_essential = true;
    }
    return true;
}

static int compare(const void *left, const void *right)
{
    const struct box *a = *(struct box *const *)left, *b = *(struct box *const *)right;
    if (a->is_essential != b->is_essential)
        return a->is_essential ? -1 : 1;
    return a->oldest < b->oldest ? -1 : a->oldest > b->oldest;
}

enum err boxes_sort(struct boxes *b, struct errinfo *ei)
{
    enum err err = store_each_object(b->c->reader, OBJECT_PERSON, know_person, b, ei);
    if (err == ERR_OK)
        err = store_each_object(b->c->reader, OBJECT_GROUP, know_group, b, ei);
    if (err == ERR_OK && b->n > 1)
        qsort(b->list, b->n, sizeof(struct box *), compare);
    return err;
}
