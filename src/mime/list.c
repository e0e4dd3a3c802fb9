/* The fields that a list of mail shows, in one walk over the header and one over the structure. */
#include "mime/mime_int.h"

/* What the walk has seen. */
struct listing {
    struct slice message;
    const struct mime_names *cut;
    struct arena *a;
    struct mime_list_fields *ret;
    bool is_short; /* spans are missing */
    unsigned seen; /* bits by row of FIELDS */
    struct buf text;
};

static bool reads_otherwise(struct slice raw, struct slice text)
{
    SCOPED(buf_finish) struct buf strict = buf_make(MIME_SUBJECT_MAX);
    (void)mime_header_text_strict(raw, &strict); /* the best that can be read */
    return !slice_eq(buf_slice(&strict), text);
}

static void take_subject(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_header_text(value, &l->text);
    if (reads_otherwise(value, buf_slice(&l->text)))
        l->ret->odd |= MIME_ODD_LENIENT;
    if (!arena_try_copy(l->a, buf_slice(&l->text), &l->ret->subject))
        l->ret->odd |= MIME_ODD_MEMORY;
    l->ret->base_subject = mime_subject_base(l->ret->subject, &l->ret->is_reply);
}

static void take_date(struct listing *l, struct slice value)
{
    struct mime_date date;
    if (mime_date_parse(value, &date) != MIME_DATE_OK) {
        l->ret->odd |= MIME_ODD_DATE;
        return;
    }
    l->ret->has_date = true;
    l->ret->date = date.at;
    l->ret->date_zone_min = date.zone_min;
}

static void take_message_id(struct listing *l, struct slice value)
{
    struct slice id = id_first(value);
    if (id.n <= MIME_ID_MAX && !id_clean(id, l->a, &l->ret->message_id))
        l->ret->odd |= MIME_ODD_MEMORY;
}

static void take_in_reply_to(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_ids_parse(value, l->a, &l->ret->in_reply_to);
}

static void take_references(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_ids_parse(value, l->a, &l->ret->references);
}

static void take_received(struct listing *l, struct slice value)
{
    (void)value; /* only counted */
    l->ret->n_received++;
}

static void take_from(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_addresses_parse(value, l->a, &l->ret->all_from);
}

static void take_sender(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_addresses_parse(value, l->a, &l->ret->sender);
}

static void take_reply_to(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_addresses_parse(value, l->a, &l->ret->reply_to);
}

static void take_to(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_addresses_parse(value, l->a, &l->ret->to);
}

static void take_cc(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_addresses_parse(value, l->a, &l->ret->cc);
}

static void take_bcc(struct listing *l, struct slice value)
{
    l->ret->odd |= mime_addresses_parse(value, l->a, &l->ret->bcc);
}

static const struct {
    struct slice name;
    void (*take)(struct listing *l, struct slice value);
    bool is_single;  /* of several the first counts (RFC 5322 section 3.6 allows one) */
    bool is_telling; /* more than one is worth an odd bit */
} FIELDS[] = {
    {{"Received", 8}, take_received, false, false},
    {{"From", 4}, take_from, false, true},
    {{"To", 2}, take_to, false, true},
    {{"Cc", 2}, take_cc, false, false},
    {{"Bcc", 3}, take_bcc, false, false},
    {{"Date", 4}, take_date, true, true},
    {{"Subject", 7}, take_subject, true, true},
    {{"Sender", 6}, take_sender, true, false},
    {{"Reply-To", 8}, take_reply_to, false, false},
    {{"Message-ID", 10}, take_message_id, true, true},
    {{"In-Reply-To", 11}, take_in_reply_to, true, false},
    {{"References", 10}, take_references, true, false},
};

static void take_field(struct listing *l, const struct mime_field *f)
{
    for (size_t i = 0; i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++) {
        if (!is_name(f->name, FIELDS[i].name))
            continue;
        bool is_again = l->seen & 1u << i;
        l->seen |= 1u << i;
        if (is_again && FIELDS[i].is_telling)
            l->ret->odd |= MIME_ODD_DUPLICATE;
        if (!is_again || !FIELDS[i].is_single)
            FIELDS[i].take(l, f->value);
        return;
    }
}

/* False if there was no room: a walk that misses spans must not look complete. */
static bool take_span(struct listing *l, const struct mime_field *f)
{
    const struct mime_names *cut = l->cut;
    for (size_t i = 0; i < cut->n; i++) {
        if (!is_name(f->name, cut->v[i]))
            continue;
        struct mime_spans *spans = &l->ret->spans;
        struct mime_span *slot = array_slot(l->a, &spans->v, spans->n, sizeof(*slot));
        if (!slot)
            return false;
        *slot = (struct mime_span){.offset = f->offset, .len = f->len};
        spans->n++;
        break;
    }
    return true;
}

static void see_field(void *arg, const struct mime_field *f)
{
    struct listing *l = arg;
    take_field(l, f);
    if (!l->cut || take_span(l, f))
        return;
    l->ret->odd |= MIME_ODD_MEMORY;
    l->is_short = true;
}

/* The first author with an address: names before it ("Your Bank, x <x@evil>") are no author. */
static void take_first_author(struct mime_list_fields *ret)
{
    const struct mime_addresses *all = &ret->all_from;
    size_t i = 0;
    while (i < all->n && all->v[i].domain.n == 0)
        i++;
    if (all->n)
        ret->from = all->v[i < all->n ? i : 0];
}

static void take_preview(struct listing *l)
{
    struct mime_list_fields *ret = l->ret;
    SCOPED(buf_finish) struct buf preview = buf_make(MIME_PREVIEW_MAX);
    ret->odd |= mime_preview(l->message, &ret->structure, &preview);
    if (!arena_try_copy(l->a, buf_slice(&preview), &ret->preview))
        ret->odd |= MIME_ODD_MEMORY;
}

void mime_list_fields(struct slice message, const struct mime_names *cut, struct arena *a,
                      struct mime_list_fields *ret)
{
    *ret = (struct mime_list_fields){.size = message.n};
    struct listing l = {
        .message = message, .cut = cut, .a = a, .ret = ret, .text = buf_make(MIME_SUBJECT_MAX)};
    ret->header_state = structure_parse(message, a, see_field, &l, &ret->structure);
    if (l.is_short)
        ret->header_state = MIME_WALK_TOO_MANY;
    take_first_author(ret);
    take_preview(&l);
    ret->odd |= ret->structure.odd;
    buf_finish(&l.text);
}
