/* A request of anybody: "METHOD path?query\nbody". Every input gets exactly one answer, and one
 * that JSON readers can read. */
#include "test/fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body, rest, query;
    struct slice line = slice_cut(slice_of((const char *)data, size), '\n', &body);
    struct slice method = slice_cut(line, ' ', &rest);
    struct slice path = slice_cut(rest, '?', &query);
    struct admin_request q = {method, path, query, body, SLICE("uid 0 (root)")};
    struct fake_reply r = {};
    json_error_t why;
    fake_start();
    fake_company();
    fake_mail();
    if (admin_place(method, path) == ADMIN_WORKER)
        admin_work(fake.admin, &fake_reader, &q, fake_take, &r);
    else
        admin_loop(fake.admin, &q, fake_take, &r);
    must(r.n == 1);
    if (strncmp(r.type, "text/plain", 10) != 0) {
        json_t *v = json_loadb(r.body.p, r.body.n, JSON_REJECT_DUPLICATES, &why);
        must(v);
        json_decref(v);
    }
    buf_finish(&r.body);
    fake_stop();
    return 0;
}
