/* Any bytes as a message, everything wanted of it: what comes out is JSON, and blob ids in it lead
 * into the message. The first byte chooses how much room there is. */
#include "email/email.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const json_t *list, struct slice message)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *id = json_object_get(json_array_get(list, i), "blobId");
        const json_t *n = json_object_get(json_array_get(list, i), "size");
        struct email_blob blob;
        SCOPED(buf_finish) struct buf bytes = buf_make(message.n + 1);
        must(email_blob_parse(slice_str(json_string_value(id)), &blob));
        must(email_blob_decode(message, blob.steps, blob.n_steps, &bytes) == ERR_OK);
        must(json_integer_value(n) == (json_int_t)bytes.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char ARGS[] =
        "{\"fetchAllBodyValues\":true,\"maxBodyValueBytes\":50,\"properties\":[\"headers\","
        "\"header:a:asURLs:all\",\"header:a:asText\",\"header:To:asGroupedAddresses\",\"from\","
        "\"references\",\"sentAt\",\"bodyStructure\",\"textBody\",\"htmlBody\",\"attachments\","
        "\"hasAttachment\",\"preview\",\"bodyValues\"],\"bodyProperties\":[\"headers\",\"partId\","
        "\"blobId\",\"size\",\"name\",\"type\",\"charset\",\"disposition\",\"cid\",\"language\","
        "\"location\",\"subParts\",\"header:a:asAddresses:all\"]}";
    SCOPED(arena_destroy) struct arena *a = arena_create(1 << 20);
    SCOPED(buf_finish) struct buf out = buf_make(size && data[0] < 64 ? data[0] * 64 + 1 : 1 << 22);
    struct slice message = slice_of((const char *)data, size);
    struct email_want want;
    json_t *args = json_loads(ARGS, 0, NULL);
    must(email_want_parse(args, EMAIL_CALL_GET, a, &want, NULL) == ERR_OK);
    json_decref(args);
    if (email_render(message, SLICE("Maaaaaaaaaaaab"), &want, &out, NULL) != ERR_OK)
        return 0;
    json_t *got = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    must(got);
    check_parts(json_object_get(got, "textBody"), message);
    check_parts(json_object_get(got, "attachments"), message);
    json_decref(got);
    SCOPED(buf_finish) struct buf text = buf_make(1000);
    email_text(message, &text);
    return 0;
}
