/* Writes into the store of a node that is stopped what a person did in a mailbox, for stories:
 *
 *     mailbox_deeds FOLDER ADDRESS WHAT...
 *
 * WHAT: box=ROLE:NAME, seen=ID, file=ID:NAME, trash=ID, drop=ID (an id: a Message-ID without its
 * brackets), draft=NAME:FILE, sent=NAME:FILE (into the box of that name). */
#include "directory/directory.h"
#include "store/store.h"
#include "store/store_account.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEEDS_MAX = 1000, BOXES_MAX = 50 };

static struct {
    struct store *store;
    struct store_reader *reader;
    struct arena *arena;
    const char *address;
    struct store_account account;
    struct record_mailbox boxes[BOXES_MAX];
    size_t n_boxes;
    struct slice wanted; /* a Message-ID */
    uint64_t message;
    uint64_t next_id;
} w;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void check(enum err err, const struct errinfo *ei)
{
    if (err != ERR_OK)
        die("store", ei->text);
}

static bool find_person(void *, const struct record_object *o)
{
    struct dir_person p;
    if (!dir_person_unpack(arena_copy(w.arena, o->body), w.arena, &p))
        return true;
    for (uint32_t i = 0; i < p.n_addresses; i++)
        if (slice_eq(p.addresses[i].text, slice_str(w.address)))
            w.account.person = o->id;
    return true;
}

static bool keep_box(void *, const struct record_mailbox *m)
{
    w.boxes[w.n_boxes] = *m;
    w.boxes[w.n_boxes].name = arena_copy(w.arena, m->name);
    w.boxes[w.n_boxes++].role = arena_copy(w.arena, m->role);
    return w.n_boxes < BOXES_MAX;
}

static bool find_email(void *, const struct store_email *e)
{
    struct errinfo ei;
    struct store_message m;
    check(store_get_message(w.reader, e->message, w.arena, &m, &ei), &ei);
    if (slice_eq(m.fields.message_id, w.wanted))
        w.message = e->message;
    return true;
}

static void done(struct store_change *, enum err err, const struct errinfo *ei)
{
    check(err, ei);
}

static void submit(uint16_t type, uint64_t id, struct buf *facts, struct slice body)
{
    struct store_change *c = ARENA_NEW(w.arena, struct store_change);
    must(!facts->failed);
    *c = (struct store_change){.type = type,
                               .id = id,
                               .facts = arena_copy(w.arena, buf_slice(facts)),
                               .body[0] = body,
                               .done = done};
    store_submit(w.store, c);
}

static uint64_t box_of(struct slice name)
{
    for (size_t i = 0; i < w.n_boxes; i++)
        if (slice_eq(w.boxes[i].name, name))
            return w.boxes[i].id;
    die("no such box", arena_cstr(w.arena, name));
}

static void make_box(struct slice role, struct slice name)
{
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    struct record_mailbox *m = &w.boxes[w.n_boxes++];
    *m = (struct record_mailbox){.id = ++w.next_id,
                                 .person = w.account.person,
                                 .tenant = w.account.tenant,
                                 .name = name,
                                 .role = role,
                                 .uid_validity = 1,
                                 .modseq = ++w.account.modseq,
                                 .created = w.account.modseq};
    record_mailboxes_pack(&b, &(struct record_mailboxes){m, 1});
    submit(RECORD_MAILBOX, 0, &b, SLICE(""));
}

static void put_email(struct record_email *e)
{
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    e->account = w.account.person;
    e->modseq = e->counted = ++w.account.modseq;
    for (uint32_t i = 0; i < e->n_places; i++)
        if (e->places[i].modseq == 0) {
            e->places[i].modseq = e->modseq;
            e->places[i].uid = e->places[i].uid ? e->places[i].uid : (uint32_t)e->modseq;
        }
    record_emails_pack(&b, &(struct record_emails){e, 1});
    submit(RECORD_EMAIL, 0, &b, SLICE(""));
}

/* `to` 0: where it is; is_gone: nowhere any more. */
static void change(struct slice id, uint32_t flags, uint64_t to, bool is_gone)
{
    struct errinfo ei;
    struct store_email e;
    w.wanted = id;
    w.message = 0;
    check(store_each_email(w.reader, w.account.person, 0, find_email, NULL, &ei), &ei);
    if (!w.message)
        die("no such message", arena_cstr(w.arena, id));
    check(store_get_email(w.reader, w.account.person, w.message, w.arena, &e, &ei), &ei);
    struct record_place places[3] = {};
    uint32_t n = 0;
    for (; n < e.list.n_places && n < 2; n++) {
        places[n] = e.list.places[n];
        if (!places[n].is_gone && (to || is_gone))
            places[n] = (struct record_place){
                .mailbox = places[n].mailbox, .uid = places[n].uid, .is_gone = 1};
    }
    if (to)
        places[n++].mailbox = to;
    struct record_email out = {.message = w.message,
                               .received = e.received,
                               .flags = (e.flags | flags) & EMAIL_KEYWORD_BITS,
                               .is_gone = is_gone,
                               .places = places,
                               .n_places = n};
    put_email(&out);
}

static struct slice file_of(struct slice path)
{
    static char room[1 << 20];
    FILE *f = fopen(arena_cstr(w.arena, path), "rb");
    if (!f)
        die("cannot read", arena_cstr(w.arena, path));
    size_t n = fread(room, 1, sizeof(room), f);
    (void)fclose(f);
    return arena_copy(w.arena, slice_of(room, n));
}

static struct slice field_of(struct slice message, const char *name)
{
    struct slice rest = message, line;
    while ((line = slice_cut(rest, '\n', &rest)).n > 1)
        if (slice_starts(line, slice_str(name)))
            return slice_trim(slice_skip(line, strlen(name)));
    return SLICE("");
}

static struct slice in_brackets(struct slice s)
{
    ptrdiff_t from = slice_find(s, '<'), to = slice_find(s, '>');
    return from >= 0 && to > from ? slice_of(s.p + from + 1, (size_t)(to - from - 1)) : s;
}

static void write_message(struct slice box, struct slice path, uint32_t flags)
{
    SCOPED(buf_finish) struct buf b = buf_make(100000);
    struct slice raw = file_of(path);
    utc_ms now = utc_now();
    struct record_fields fields = {.subject = field_of(raw, "Subject:"),
                                   .from_address = in_brackets(field_of(raw, "From:")),
                                   .message_id = in_brackets(field_of(raw, "Message-ID:")),
                                   .date = 0};
    struct record_message m = {.id = ++w.next_id,
                               .received = now,
                               .tenant = w.account.tenant,
                               .direction = DIRECTION_PERSON,
                               .bytes = (uint32_t)raw.n,
                               .fields = &fields,
                               .n_fields = 1};
    record_message_pack(&b, &m);
    submit(RECORD_MESSAGE, m.id, &b, raw);
    struct record_place place = {.mailbox = box_of(box)};
    struct record_email e = {
        .message = m.id, .received = now, .flags = flags, .places = &place, .n_places = 1};
    put_email(&e);
}

static void deed(struct slice word)
{
    struct slice value, first, second, what = slice_cut(word, '=', &value);
    first = slice_cut(value, ':', &second);
    if (slice_eq(what, SLICE("box")))
        make_box(first, second);
    else if (slice_eq(what, SLICE("seen")))
        change(first, EMAIL_SEEN, 0, false);
    else if (slice_eq(what, SLICE("file")))
        change(first, EMAIL_SEEN, box_of(second), false);
    else if (slice_eq(what, SLICE("trash")))
        change(first, 0, box_of(SLICE("Trash")), false);
    else if (slice_eq(what, SLICE("drop")))
        change(first, 0, 0, true);
    else if (slice_eq(what, SLICE("draft")))
        write_message(first, second, EMAIL_DRAFT | EMAIL_SEEN);
    else if (slice_eq(what, SLICE("sent")))
        write_message(first, second, EMAIL_SEEN);
    else
        die("no such deed", arena_cstr(w.arena, word));
}

int main(int argc, char **argv)
{
    struct errinfo ei;
    if (argc < 4)
        die("mailbox_deeds", "FOLDER ADDRESS WHAT...");
    struct store_options o = {.dir = argv[1], .segment_bytes = 4 << 20, .n_pool = 1};
    w.arena = arena_create(64 << 20);
    w.address = argv[2];
    w.next_id = (uint64_t)utc_now() << 20;
    check(store_open(&o, &w.store, &ei), &ei);
    check(store_reader_open(argv[1], &w.reader, &ei), &ei);
    check(store_each_object(w.reader, OBJECT_PERSON, find_person, NULL, &ei), &ei);
    check(store_get_account(w.reader, w.account.person, &w.account, &ei), &ei);
    check(store_each_mailbox_of(w.reader, w.account.person, keep_box, NULL, &ei), &ei);
    for (int i = 3; i < argc; i++)
        deed(slice_str(argv[i]));
    store_close(&w.store);
    store_reader_close(&w.reader);
    arena_destroy(&w.arena);
    return 0;
}
