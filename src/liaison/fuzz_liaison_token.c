/* What a token endpoint may answer: never more than a token of bounded size, clean words, and not
 * our secret in them. */
#include "liaison/token_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct ipc_token_source source = {.grant = IPC_GRANT_REFRESH,
                                                   .client_secret = SLICE("s3cr3t")};
    struct token_answer a;
    if (n < 1)
        return 0;
    token_answer_init(&a);
    struct slice body = slice_of((const char *)data + 1, n - 1);
    bool has_token = token_read(&source, SLICE("r3fr3sh"), data[0] & 1 ? 200 : 400, body, &a);
    must(has_token == (a.token.n > 0) && a.token.n <= TOKEN_MAX && !a.token.failed);
    must(has_token || (a.end.text[0] && !strstr(a.end.text, "s3cr3t")));
    must(has_token || !strstr(a.end.text, "r3fr3sh"));
    token_answer_finish(&a);
    return 0;
}
