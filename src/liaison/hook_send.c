/* One webhook: a request that is signed, and what its receiver answered. */
#include "liaison/hook.h"

#include "liaison/liaison_int.h"
#include "liaison/web_int.h"

#include <stdio.h>

enum { TIMEOUT_MOST_MS = 60000, ANSWER_MAX = 4 << 10 };

static struct web_authorities authorities; /* set once, by prepare */

static void add_header(struct buf *b, const char *name, const char *value)
{
    buf_addf(b, "%s: %s", name, value);
    must(!b->failed);
}

static void say(const struct web_answer *a, char text[WEB_WHY_MAX + 1])
{
    char words[201];
    if (a->end != WEB_ANSWERED) {
        (void)snprintf(text, WEB_WHY_MAX + 1, "%s", a->why);
        return;
    }
    if (a->status >= 300 && a->status < 400) {
        (void)snprintf(text, WEB_WHY_MAX + 1,
                       "%u: it redirects, and redirects are not followed: give the final address",
                       a->status);
        return;
    }
    web_clean(buf_slice(&a->body), words, sizeof(words));
    (void)snprintf(text, WEB_WHY_MAX + 1, words[0] ? "%u: %s" : "%u%s", a->status, words);
}

static uint16_t send_hook(const struct courier_network *network, const struct ipc_hook *h,
                          mono_us deadline, char text[WEB_WHY_MAX + 1])
{
    char sum[LIAISON_SIGNATURE_MAX], id_text[65];
    struct web_answer answer;
    SCOPED(buf_finish) struct buf url = buf_make(2000);
    SCOPED(buf_finish) struct buf id = buf_make(200), signature = buf_make(200);
    buf_adds(&url, h->url);
    (void)snprintf(id_text, sizeof(id_text), SLICE_FMT, SLICE_ARG(h->id));
    liaison_hook_signature(h->secret, utc_now() / 1000, h->body, sum);
    add_header(&id, "Staffetta-Id", id_text);
    add_header(&signature, "Staffetta-Signature", sum);
    const char *headers[] = {"Content-Type: application/json",
                             buf_cstr(&id),
                             buf_cstr(&signature),
                             "User-Agent: Staffetta/" VERSION,
                             "Expect:", /* no wait for 100 */
                             "Accept:",
                             NULL};
    struct web_request request = {.network = network,
                                  .authorities = &authorities,
                                  .rule = liaison_hook_fault,
                                  .what = "webhook",
                                  .url = buf_cstr(&url),
                                  .deadline = deadline,
                                  .is_post = true,
                                  .body = h->body,
                                  .headers = headers,
                                  .answer_max = ANSWER_MAX};
    web_ask(&request, &answer);
    say(&answer, text);
    buf_finish(&answer.body);
    return answer.status;
}

/* ---- as a work ------------------------------------------------------------------------------- */

void liaison_hook_prepare(struct slice pem)
{
    web_authorities_read(pem, &authorities);
}

static bool unpack(struct liaison_work *w)
{
    struct slice rest;
    if (!ipc_hook_unpack(buf_slice(&w->payload), w->arena, &w->hook))
        return false;
    w->primary = hash_bytes(slice_cut(w->hook.url, '?', &rest)); /* the receiver, roughly */
    return true;
}

static void run(const struct courier_network *network, const struct liaison_work *w,
                struct buf *ret)
{
    char text[WEB_WHY_MAX + 1];
    mono_us begun = mono_now();
    mono_us deadline = begun + liaison_timeout(w->hook.timeout_ms, TIMEOUT_MOST_MS);
    struct ipc_hooked hooked = {.status = send_hook(network, &w->hook, deadline, text),
                                .text = slice_str(text),
                                .took_ms = (uint32_t)((mono_now() - begun) / 1000)};
    ipc_hooked_pack(ret, &hooked);
}

static void decline(const struct liaison_work *, const char *why, struct buf *ret)
{
    struct ipc_hooked hooked = {.text = slice_str(why)};
    ipc_hooked_pack(ret, &hooked);
}

const struct liaison_kind liaison_hook_kind = {
    IPC_T_hook, IPC_T_hooked, LIAISON_HOOKS, unpack, run, decline,
};
