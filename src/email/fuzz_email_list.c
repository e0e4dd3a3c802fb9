/* Any bytes as a message: where lists say that what they keep is exact, the message says the same.
 */
#include "email/email.h"
#include "email/email_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_text(const json_t *value, struct slice text)
{
    return slice_eq(slice_of(json_string_value(value), json_string_length(value)), text);
}

static void check_address(const json_t *list, size_t i, struct slice name, struct slice email)
{
    const json_t *one = json_array_get(list, i);
    must(is_text(json_object_get(one, "email"), email));
    must(is_text(json_object_get(one, "name"), name));
}

static void check_to(const json_t *list, struct slice packed)
{
    struct slice name, email;
    size_t n = 0;
    while (email_list_to_next(&packed, &name, &email))
        check_address(list, n++, name, email);
    must(n == 0 || n == json_array_size(list));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char ARGS[] = "{\"properties\":[\"from\",\"to\",\"subject\",\"hasAttachment\"]}";
    SCOPED(arena_destroy) struct arena *a = arena_create(16 << 20);
    SCOPED(buf_finish)
    struct buf out = buf_make(1 << 22), to = buf_make(1000), email = buf_make(2000);
    struct slice message = slice_of((const char *)data, size);
    struct email_want want;
    struct mime_list_fields f;
    json_t *args = json_loads(ARGS, 0, NULL);
    must(email_want_parse(args, EMAIL_CALL_GET, a, &want, NULL) == ERR_OK);
    json_decref(args);
    mime_list_fields(message, NULL, a, &f);
    email_list_to_pack(&f, &to);
    buf_addf(&email, SLICE_FMT "@" SLICE_FMT, SLICE_ARG(f.from.local), SLICE_ARG(f.from.domain));
    if (f.header_state != MIME_WALK_DONE ||
        email_render(message, SLICE("Maaaaaaaaaaaab"), &want, &out, NULL) != ERR_OK)
        return 0;
    json_t *got = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    must(got);
    must(json_boolean_value(json_object_get(got, "hasAttachment")) ==
         email_list_has_attachment(&f.structure));
    if (!email_list_not_exact(&f, f.subject, f.from.name, buf_slice(&email))) {
        must(is_text(json_object_get(got, "subject"), f.subject));
        check_address(json_object_get(got, "from"), 0, f.from.name, buf_slice(&email));
    }
    check_to(json_object_get(got, "to"), buf_slice(&to));
    json_decref(got);
    return 0;
}
