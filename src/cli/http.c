/* One request over the node's local socket, and what a person can do when it fails. */
#include "cli/cli_int.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

enum { CONNECT_SECONDS = 5, ANSWER_SECONDS = 60 };

void answer_finish(struct answer *a)
{
    buf_finish(&a->body);
    json_decref(a->json);
    a->json = NULL;
}

static size_t take(char *bytes, size_t size, size_t n, void *arg)
{
    struct buf *b = arg;
    buf_add(b, bytes, size * n);
    return b->failed ? 0 : size * n;
}

static void say_why(const struct cli *c, CURL *curl, CURLcode code)
{
    long cause = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &cause);
    if (code == CURLE_COULDNT_CONNECT && cause == EACCES)
        complain(0,
                 "you may not use the socket %s. Nothing was done. Ask as root, or as a member "
                 "of the group that owns it (admin.group in staffetta.yaml).",
                 c->socket);
    else if (code == CURLE_COULDNT_CONNECT && cause == ECONNREFUSED)
        complain(0,
                 "nobody answers at the socket %s: the node has stopped. Nothing was done. "
                 "Start it: systemctl start staffetta",
                 c->socket);
    else if (code == CURLE_COULDNT_CONNECT)
        complain(0,
                 "there is no socket %s: no node runs here, or it has another socket. Nothing "
                 "was done. Start it (systemctl start staffetta), or say where it is: "
                 "--socket PATH",
                 c->socket);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        complain(0,
                 "there was no answer within %d seconds. If this was a change, it may still be "
                 "made: look again in a minute.",
                 ANSWER_SECONDS);
    else
        complain(0,
                 "the conversation with the node broke off: %s. If this was a change, it may or "
                 "may not have been made: look again.",
                 curl_easy_strerror(code));
}

static void set_up(const struct cli *c, CURL *curl, const char *method, const char *url,
                   struct buf *into)
{
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ANSWER_SECONDS);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, into);
}

struct answer ask(const struct cli *c, const char *method, const char *path, const json_t *body)
{
    struct answer a = {.body = buf_make(ANSWER_MAX)};
    SCOPED(buf_finish) struct buf url = buf_make(20000);
    struct curl_slist *headers = NULL;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    CURL *curl = curl_easy_init();
    must(curl);
    buf_addf(&url, "http://staffetta%s", path);
    set_up(c, curl, method, buf_cstr(&url), &a.body);
    if (text) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:");
        (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    }
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a.status);
    else
        say_why(c, curl, code);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    mem_free(&text); /* the JSON library's default allocator is the C library's */
    if (a.status)
        a.json = json_loadb(a.body.p, a.body.n, 0, NULL);
    return a;
}

int answer_code(const struct cli *c, const struct answer *a)
{
    if (a->status == 0)
        return EXIT_FAILED;
    if (a->status < 400)
        return a->json ? EXIT_FINE
                       : complain(EXIT_FAILED,
                                  "the answer is not JSON. Is %s the socket of a "
                                  "node?",
                                  c->socket);
    const char *detail = json_string_value(json_object_get(a->json, "detail"));
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    add_safe(&b, slice_str(detail));
    if (c->is_json && a->json)
        print(&a->body);
    if (detail)
        complain(0, "%s", buf_cstr(&b));
    else
        complain(0, "the node refused with status %ld and without a reason.", a->status);
    bool is_wrong_use =
        a->status == 400 || a->status == 405 || (a->status >= 413 && a->status <= 415);
    return is_wrong_use ? EXIT_WRONG_USE : EXIT_FAILED;
}
