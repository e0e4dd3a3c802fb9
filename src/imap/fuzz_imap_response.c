/* A server's bytes, whole and one by one: both ways the same responses; what is taken from them
 * lies within them. Names decode and encode to themselves. */
#include "imap/imap.h"
#include "imap/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_set(struct slice set)
{
    uint32_t from, to;
    while (imap_set_next(&set, &from, &to))
        must(from > 0 && from <= to);
}

static void check_name(struct slice name)
{
    SCOPED(buf_finish) struct buf text = buf_make(4 * IMAP_RESPONSE_MAX);
    SCOPED(buf_finish) struct buf again = buf_make(4 * IMAP_RESPONSE_MAX);
    if (imap_name_decode(name, &text) && imap_name_encode(buf_slice(&text), &again)) {
        SCOPED(buf_finish) struct buf third = buf_make(4 * IMAP_RESPONSE_MAX);
        must(imap_name_decode(buf_slice(&again), &third));
        must(slice_eq(buf_slice(&third), buf_slice(&text)));
    }
}

static void check_response(struct imap_reader *r)
{
    struct imap_response p;
    if (!imap_response_parse(r, &p))
        return;
    size_t n = p.tag.n + p.text.n + p.name.n + p.set.n + p.for_tag.n;
    for (size_t i = 0; i < p.n_sections; i++)
        n += p.sections[i].name.n + p.sections[i].bytes.n;
    for (size_t i = 0; i < p.n_namespaces; i++)
        n += p.namespaces[i].prefix.n;
    n += p.flags.n;
    for (struct slice flag, rest = p.flags; imap_flags_next(&rest, &flag);)
        must(flag.n > 0 && imap_flags_has(p.flags, flag));
    must(n <= 2 * r->text.n);
    (void)imap_role_find(p.name);
    check_set(p.set);
    check_name(p.name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imap_reader whole, single;
    struct slice rest = slice_of((const char *)data, size);
    imap_reader_init(&whole);
    imap_reader_init(&single);
    for (enum imap_result result = IMAP_DONE; result == IMAP_DONE && rest.n > 0;) {
        size_t used, one, at = 0;
        imap_reader_clear(&whole);
        imap_reader_clear(&single);
        result = imap_reader_feed(&whole, rest, &used);
        while (single.result == IMAP_MORE && at < used) {
            (void)imap_reader_feed(&single, slice_of(rest.p + at, 1), &one);
            at += one;
        }
        must(single.result == result || result == IMAP_NONSENSE || result == IMAP_ENDLESS);
        must(result != IMAP_DONE ||
             (at == used && slice_eq(buf_slice(&single.text), buf_slice(&whole.text))));
        if (result == IMAP_DONE)
            check_response(&whole);
        rest = slice_skip(rest, used);
    }
    imap_reader_finish(&whole);
    imap_reader_finish(&single);
    return 0;
}
