/* Any bytes as a request of somebody who is logged in, to a real account: the answer is JSON, and a
 * problem document or as many answers as RFC 8620 section 3.4 allows. The account is made anew now
 * and then, and is what earlier inputs made of it otherwise. */
#include "jmap/test/jmap_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS_AN_ACCOUNT = 500 };

static const char LETTER[] = "From: a@outside.test\r\nTo: anna@example.test\r\nSubject: hello\r\n"
                             "Message-ID: <1@outside.test>\r\n\r\nDear Anna\r\n";

/* Something to read: a letter in the inbox. */
static void begin(struct kit *k)
{
    char blob[64], import[300];
    unsigned status;
    kit_open(k);
    k->anna.may_send = true;
    k->anna.quota_bytes = 1 << 20;
    buf_clear(&k->out);
    status = jmap_upload(k->jmap, k->reader, &k->anna, slice_str(kit_account(&k->anna)),
                         SLICE("message/rfc822"), slice_str(LETTER), &k->out);
    json_t *upload = json_loadb(k->out.p, k->out.n, 0, NULL);
    must(status == 201 && upload);
    snprintf(blob, sizeof(blob), "%s", kit_text(upload, "blobId"));
    json_decref(upload);
    snprintf(import, sizeof(import),
             "'emails':{'a':{'blobId':'%s','mailboxIds':{'Baaaaaaaaaaade':true}}}", blob);
    json_t *imported = kit_call(k, "Email/import", import);
    must(json_object_size(json_object_get(imported, "created")) == 1);
    json_decref(imported);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kit k;
    static unsigned n;
    if (n++ % INPUTS_AN_ACCOUNT == 0) {
        if (k.jmap)
            kit_close(&k);
        begin(&k);
    }
    buf_clear(&k.out);
    unsigned status =
        jmap_api(k.jmap, k.reader, &k.anna, slice_of((const char *)data, size), &k.out);
    must(!k.out.failed && (status == 200 || (status >= 400 && status < 600)));
    json_t *answer = json_loadb(k.out.p, k.out.n, JSON_REJECT_DUPLICATES, NULL);
    must(json_is_object(answer));
    must((status == 200) == json_is_array(json_object_get(answer, "methodResponses")));
    json_decref(answer);
    return 0;
}
