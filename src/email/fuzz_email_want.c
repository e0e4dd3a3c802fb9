/* Any JSON as the arguments of Email/get, and any bytes as what travels: what is taken travels
 * unchanged. */
#include "email/email.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_travel(const struct email_want *want, struct arena *a)
{
    SCOPED(buf_finish) struct buf packed = buf_make(EMAIL_WANT_BYTES_MAX);
    SCOPED(buf_finish) struct buf again = buf_make(EMAIL_WANT_BYTES_MAX);
    struct email_want other;
    email_want_pack(&packed, want);
    must(!packed.failed && email_want_unpack(buf_slice(&packed), a, &other));
    email_want_pack(&again, &other);
    must(slice_eq(buf_slice(&packed), buf_slice(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SCOPED(arena_destroy) struct arena *a = arena_create(4 << 20);
    struct email_want want;
    if (email_want_unpack(slice_of((const char *)data, size), a, &want))
        check_travel(&want, a);
    json_t *args = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    struct errinfo ei = {.text = ""};
    enum err err = email_want_parse(args, EMAIL_CALL_PARSE, a, &want, &ei);
    must(err == ERR_OK || ei.text[0]);
    if (err == ERR_OK)
        check_travel(&want, a);
    json_decref(args);
    return 0;
}
