/* Everything that is read of a request, and what becomes a header of it: no input may leave its
 * buffer or begin a header of its own. The first byte says how to cut the rest. */
#include "web/ask_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cut_something(struct slice input)
{
    struct reader r = reader_make(input);
    struct ipc_step steps[3];
    struct slice part;
    size_t n = read_u8(&r) % 4;
    for (size_t i = 0; i < n; i++)
        steps[i] = (struct ipc_step){read_u16(&r), read_u16(&r), "bqnx"[read_u8(&r) & 3]};
    if (r.failed)
        return;
    SCOPED(buf_finish) struct buf b = buf_make(r.rest.n + 1);
    buf_adds(&b, r.rest);
    if (web_ask_cut(b.p, b.n, steps, n, &part))
        must(part.n <= b.n && (part.n == 0 || (part.p >= b.p && part.p + part.n <= b.p + b.n)));
}

static void head(struct slice text)
{
    static const struct sockaddr_storage nobody;
    struct web_people p = {.n_proxies = 1}; /* of everybody */
    SCOPED(buf_finish) struct buf b = buf_make(5000);
    p.proxies[0].n_bytes = 4;
    (void)web_ask_client(&p, text, &nobody);
    (void)web_ask_cookie_is_clean(web_ask_cookie(text, "__Host-staffetta"));
    if (web_ask_host(text, &b))
        must(b.n == text.n && !memchr(b.p, '\n', b.n));
    buf_clear(&b);
    web_ask_disposition(web_ask_type_is_harmless(text), text, &b);
    must(!b.failed);
    for (size_t i = 0; i < b.n; i++)
        must(b.p[i] >= ' ' && b.p[i] <= '~');
}

static void line(struct slice text)
{
    struct ask_path a;
    struct ask_watch w = {};
    struct slice query, path = slice_cut(text, '?', &query);
    SCOPED(buf_finish) struct buf type = buf_make(255);
    if (web_ask_route(path, &a))
        must(a.account.n <= 255 && a.blob.n <= 255);
    if (web_ask_watch(query, &w))
        must(w.ping <= ASK_PING_MOST && strlen(w.types) <= ASK_TYPES_MAX);
    if (web_ask_decode(web_ask_query(query, "accept"), &type) &&
        web_ask_type_is_valid(buf_slice(&type)))
        must(!memchr(type.p, '\r', type.n) && !memchr(type.p, '\n', type.n));
}

static void news(struct slice input)
{
    bool is_nonsense;
    char types[32];
    struct slice state, wanted = slice_cut(input, '\n', &state);
    SCOPED(buf_finish) struct buf b = buf_make(16 << 10);
    size_t n = wanted.n < sizeof(types) - 1 ? wanted.n : sizeof(types) - 1;
    if (n > 0)
        memcpy(types, wanted.p, n);
    types[n] = '\0';
    if (state.n <= 2000 && web_ask_filter(state, types, &b, &is_nonsense))
        must(!is_nonsense && !memchr(b.p, '\n', b.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    if (size == 0)
        return 0;
    switch (data[0] & 3) {
    case 0:
        cut_something(slice_skip(input, 1));
        break;
    case 1:
        head(slice_skip(input, 1));
        break;
    case 2:
        line(slice_skip(input, 1));
        break;
    default:
        news(slice_skip(input, 1));
        break;
    }
    return 0;
}
