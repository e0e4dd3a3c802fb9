/* Hostile records: each input is a small log (type, length, payload …) that is unpacked and applied
 * to an index in memory. Whatever comes, the ledger must balance afterwards. */
#include "store/index_db_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply_all(struct index *x, struct reader *r)
{
    for (uint64_t pos = 4096; r->rest.n > 0 && !r->failed; pos += 4096) {
        uint8_t type = read_u8(r); /* above: version 1 of it */
        struct index_record record = {
            .type = type % 128, .version = type / 128, .pos = pos, .body_pos = pos + 64};
        record.id = read_u8(r);
        record.body_bytes = read_u8(r);
        uint16_t n = read_u16(r);
        record.facts = slice_of(r->rest.p, n < r->rest.n ? n : r->rest.n);
        r->rest = slice_skip(r->rest, record.facts.n);
        enum err err = index_apply(x, &record, NULL);
        must(err == ERR_OK || err == ERR_CORRUPT);
    }
}

static void same(struct index *x, const char *one, const char *other)
{
    int64_t a = 0, b = 1;
    must(index_db_number(x->db, one, &a, NULL) == ERR_OK);
    must(index_db_number(x->db, other, &b, NULL) == ERR_OK);
    must(a == b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct index *x;
    struct reader r = reader_make(slice_of((const char *)data, size));
    must(x || index_open(":memory:", &x, NULL) == ERR_OK);
    must(index_begin(x, NULL) == ERR_OK);
    apply_all(x, &r);
    must(x->failed == ERR_OK); /* no record damages the index itself */
    same(x, "SELECT coalesce(sum(n_accepted), 0) FROM message",
         "SELECT count(*) FROM ledger WHERE NOT is_child AND disposition BETWEEN 1 AND 6");
    same(x, "SELECT coalesce(sum(n_holders), 0) FROM message",
         "SELECT (SELECT count(*) FROM email WHERE NOT is_gone)"
         " + (SELECT count(*) FROM item WHERE kind = 5 AND NOT is_gone)");
    same(x, "SELECT count(*) FROM message WHERE has_holder <> (n_holders > 0)", "SELECT 0");
    same(x,
         "SELECT count(*) FROM email e LEFT JOIN account a ON a.person = e.account"
         " WHERE e.is_changed AND (a.person IS NULL OR a.modseq < e.modseq)",
         "SELECT 0");
    same(x, "SELECT count(*) FROM ledger WHERE is_double", "SELECT count(*) FROM double");
    index_abort(x);
    return 0;
}
