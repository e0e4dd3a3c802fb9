/* One push to an address that a client named (RFC 8620 section 7.2, RFC 8030 section 5): a POST
 * with the headers of an application server, and what the push service answered. */
#include "liaison/hook.h"

#include "liaison/liaison_int.h"
#include "liaison/web_int.h"

#include <stdio.h>

enum { TIMEOUT_MOST_MS = 60000, ANSWER_MAX = 4 << 10, TOPIC_TEXT = 33 };

static struct web_authorities authorities; /* set once, by prepare */

void liaison_push_prepare(struct slice pem)
{
    web_authorities_read(pem, &authorities);
}

/* It becomes a header. */
static bool is_topic(struct slice topic)
{
    for (size_t i = 0; i < topic.n; i++) {
        char c = ascii_lower(topic.p[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9'))
            return false;
    }
    return true;
}

/* The receivers of one push service share its host, and so its part of the threads. */
static struct slice host_of(struct slice url)
{
    struct slice host, rest = slice_skip(url, sizeof("https://") - 1);
    host = slice_cut(rest, '/', &rest);
    return host;
}

static bool unpack(struct liaison_work *w)
{
    if (!ipc_push_unpack(buf_slice(&w->payload), w->arena, &w->push) || !is_topic(w->push.topic))
        return false;
    w->primary = hash_bytes(host_of(w->push.url));
    return true;
}

static void post(const struct courier_network *network, const struct ipc_push *p,
                 struct web_answer *ret)
{
    char ttl[30], topic[TOPIC_TEXT + 10];
    const char *headers[10] = {"Content-Type: application/json", "User-Agent: Staffetta/" VERSION,
                               "Expect:", "Accept:", ttl};
    size_t n = 5;
    SCOPED(buf_finish) struct buf url = buf_make(2000);
    buf_adds(&url, p->url);
    (void)snprintf(ttl, sizeof(ttl), "TTL: %u", p->ttl);
    (void)snprintf(topic, sizeof(topic), "Topic: " SLICE_FMT, SLICE_ARG(p->topic));
    headers[n++] = p->is_urgent ? "Urgency: high" : "Urgency: normal";
    if (p->topic.n > 0)
        headers[n++] = topic;
    if (p->is_sealed)
        headers[n++] = "Content-Encoding: aes128gcm";
    struct web_request request = {.network = network,
                                  .authorities = &authorities,
                                  .rule = liaison_push_fault,
                                  .what = "push",
                                  .url = buf_cstr(&url),
                                  .deadline =
                                      mono_now() + liaison_timeout(p->timeout_ms, TIMEOUT_MOST_MS),
                                  .is_post = true,
                                  .body = p->body,
                                  .headers = headers,
                                  .answer_max = ANSWER_MAX};
    web_ask(&request, ret);
}

static void run(const struct courier_network *network, const struct liaison_work *w,
                struct buf *ret)
{
    char words[WEB_WHY_MAX + 1];
    struct web_answer answer;
    post(network, &w->push, &answer);
    if (answer.end == WEB_ANSWERED)
        web_clean(buf_slice(&answer.body), words, sizeof(words));
    const struct ipc_pushed pushed = {
        .status = answer.end == WEB_ANSWERED ? answer.status : 0,
        .is_ours = answer.end == WEB_OURS,
        .retry_after = answer.retry_after,
        .text = slice_str(answer.end == WEB_ANSWERED ? words : answer.why)};
    ipc_pushed_pack(ret, &pushed);
    buf_finish(&answer.body);
}

static void decline(const struct liaison_work *, const char *why, struct buf *ret)
{
    const struct ipc_pushed pushed = {.is_ours = 1, .text = slice_str(why)};
    ipc_pushed_pack(ret, &pushed);
}

const struct liaison_kind liaison_push_kind = {
    IPC_T_push, IPC_T_pushed, LIAISON_PUSHES, unpack, run, decline,
};
