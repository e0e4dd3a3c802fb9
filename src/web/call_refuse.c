/* What the door refuses by itself, in words (RFC 7807), and the bytes that calls keep. */
#include "web/people_int.h"

/* The texts hold no quotes. */
static const struct {
    uint16_t status;
    enum refuse_id id;
    uint16_t retry_after; /* seconds; 0: trying again does not help */
    const char *type, *title, *detail;
    const char *limit; /* of the session object (RFC 8620 section 3.6.1); or NULL */
} rows[REFUSAL_N] = {
    [NOT_FOUND] = {404, REFUSE_WEB_REQUEST, 0, "about:blank", "Not found",
                   "There is nothing at this address. Programs begin at /.well-known/jmap."},
    [NOT_THIS_METHOD] = {405, REFUSE_WEB_REQUEST, 0, "about:blank", "Not possible here",
                         "This address does not know this method; Allow says which it knows. "
                         "Nothing was done."},
    [BAD_REQUEST] = {400, REFUSE_WEB_REQUEST, 0, "about:blank", "Not readable",
                     "A value in the address, or the length of the body, makes no sense. Nothing "
                     "was done."},
    [BAD_HOST] = {400, REFUSE_WEB_REQUEST, 0, "about:blank", "Not readable",
                  "The request does not say by which name it wants to reach us (Host). Nothing was "
                  "done."},
    [NOT_JSON] = {400, REFUSE_WEB_REQUEST, 0, "urn:ietf:params:jmap:error:notJSON", "Not JSON",
                  "The body must be JSON and say so: Content-Type: application/json. Nothing was "
                  "done."},
    [BODY_TOO_BIG] = {413, REFUSE_WEB_BODY, 0, "urn:ietf:params:jmap:error:limit", "Too big",
                      "The body is bigger than what is taken here at once (JMAP: 8 MiB). Nothing "
                      "was done. Send less in one request.",
                      "maxSizeRequest"},
    [UPLOAD_TOO_BIG] = {413, REFUSE_WEB_UPLOAD, 0, "urn:ietf:params:jmap:error:limit", "Too big",
                        "The file is bigger than 50 MiB. It was not kept. Send it in another way, "
                        "or in parts.",
                        "maxSizeUpload"},
    [HEAD_TOO_LONG] =
        {431, REFUSE_WEB_REQUEST, 0, "about:blank", "Too long",
         "The address and the headers are longer than the 7 KiB that are taken. Nothing "
         "was done."},
    [TOO_MANY_FROM_YOU] = {429, REFUSE_WEB_ADDRESS, 5, "urn:ietf:params:jmap:error:limit",
                           "Too many at once",
                           "Too many requests from your address are still without an answer. This "
                           "one was not looked at. Try again in some seconds.",
                           "maxConcurrentRequests"},
    [TOO_MUCH_FROM_YOU] =
        {429, REFUSE_WEB_BYTES_ADDRESS, 10, "about:blank", "Too much at once",
         "Too many bytes of uploads, downloads and requests from your address are "
         "on their way. If this was a change, look whether it was made, then try "
         "again when the others are through."},
    [TOO_MANY_STREAMS] = {429, REFUSE_WEB_STREAMS, 60, "about:blank", "Too many at once",
                          "Too many programs of yours wait for news already. Close one of them, or "
                          "ask for changes from time to time."},
    [TOO_BUSY] = {503, REFUSE_WEB_BUSY, 5, "about:blank", "Not now",
                  "Too much is asked at this moment. This request was not looked at. Try again in "
                  "some seconds."},
    [NO_MEMORY] = {503, REFUSE_WEB_BYTES, 10, "about:blank", "Not now",
                   "Too many large requests are on their way at this moment. If this was a change, "
                   "look whether it was made, then try again in some seconds."},
    [CORE_AWAY] =
        {503, REFUSE_WEB_CORE, 5, "about:blank", "Not now",
         "The server is starting again. If this was a change, it may or may not have been "
         "made: look, then try again in some seconds."},
    [CORE_SLOW] = {504, REFUSE_WEB_CORE, 10, "about:blank", "Took too long",
                   "There was no answer within the time that a request has. If this was a change, "
                   "it may still be made: look again in a minute. Ask for less at once."},
    [BAD_PART] = {502, REFUSE_WEB_PART, 0, "about:blank", "Not readable",
                  "This part of the message could not be decoded. The whole message can still be "
                  "downloaded."},
};

/* The last eighth of all is for small ones: people log in and read on while others move files. So
 * they do at an address which has its part. */
enum refusal web_call_room(const struct call *c, uint64_t n)
{
    const struct web_server *s = c->server;
    const struct web_people *is = &s->people.is;
    size_t max = is->n_bytes_max ? is->n_bytes_max : (size_t)512 << 20;
    size_t max_each = is->n_bytes_per_address ? is->n_bytes_per_address : (size_t)128 << 20;
    bool is_small = c->n_held + n <= SMALL_BYTES;
    uint64_t n_all = web_share_total(s->share, SHARE_BYTES, s->people.n_held) + n;
    uint64_t n_each = web_share_count(c->kib) * 1024 + n;
    if (!is_small) {
        n_all += max / 8;
        refuse_measure(REFUSE_WEB_BYTES_ADDRESS, n_each, slice_str(c->client));
    }
    refuse_measure(REFUSE_WEB_BYTES, n_all, slice_str(c->client));
    if (!is_small && n_each > max_each)
        return TOO_MUCH_FROM_YOU;
    return n_all > max ? NO_MEMORY : NOT_REFUSED;
}

static uint32_t kib_of(size_t n)
{
    return (uint32_t)((n + 1023) / 1024);
}

static void set_held(struct call *c, size_t n)
{
    struct web_server *s = c->server;
    s->people.n_held += n - c->n_held;
    (void)web_share_total(s->share, SHARE_BYTES, s->people.n_held);
    if (c->kib)
        web_share_move(s->share, c->kib, kib_of(c->n_held), kib_of(n));
    c->n_held = n;
}

void web_call_hold(struct call *c, size_t n)
{
    set_held(c, c->n_held + n);
}

void web_call_release(struct call *c, size_t n)
{
    must(n <= c->n_held);
    set_held(c, c->n_held - n);
}

const char *web_refusal_allow(const struct ask_route *route)
{
    if (route->method == ASK_POST)
        return route->has_cors ? "POST, OPTIONS" : "POST";
    if (route->call == IPC_CALL_WATCH)
        return "GET, OPTIONS"; /* the head of what never ends says nothing */
    return route->has_cors ? "GET, HEAD, OPTIONS" : "GET, HEAD";
}

/* The answer is ours; what there was of another goes. */
void web_call_refuse(struct call *c, enum refusal why)
{
    must(why > NOT_REFUSED && why < REFUSAL_N);
    (void)refuse(c->server->is_stopping && why == CORE_AWAY ? REFUSE_STOPPING : rows[why].id,
                 slice_str(c->client));
    web_call_release(c, c->answer.n);
    buf_finish(&c->answer);
    c->answer = buf_make(2000);
    buf_addf(&c->answer, "{\"type\":\"%s\",\"status\":%u,\"title\":\"%s\",\"detail\":\"%s\"",
             rows[why].type, rows[why].status, rows[why].title, rows[why].detail);
    if (rows[why].limit)
        buf_addf(&c->answer, ",\"limit\":\"%s\"", rows[why].limit);
    buf_addc(&c->answer, '}');
    web_call_hold(c, c->answer.n);
    c->status = rows[why].status;
    c->retry_after = rows[why].retry_after;
    c->has_challenge = false;
    c->n_steps = 0;
    mem_free(&c->cookie);
    mem_free(&c->type);
    c->type = mem_str("application/problem+json");
    c->refused = why;
}
