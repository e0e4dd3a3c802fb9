/* One webhook over libcurl's easy interface: no redirects, no proxy, no files, little memory. */
#include "liaison/hook.h"

#include "liaison/liaison_int.h"
#include "net/net.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>

enum {
    TIMEOUT_MOST_MS = 60000,
    ANSWER_MAX = 4 << 10,
    HEADERS_MAX = 16 << 10,
};

static X509_STORE *authorities; /* set once, by prepare; has locks of its own */

struct call {
    const struct courier_network *network;
    const struct ipc_hook *hook;
    uint16_t status;
    char text[301];
    CURL *curl;
    struct curl_slist *headers, *resolved;
    const struct net_policy *policy;
    bool is_encrypted;
    const char *fault; /* where it may not lead */
    char answer[ANSWER_MAX];
    size_t n_answer, n_headers;
    char words[CURL_ERROR_SIZE];
};

static void say(struct call *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct call *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->text, sizeof(c->text), format, args);
    va_end(args);
}

/* ---- what curl asks while it runs ---- */

static size_t take_answer(char *bytes, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    size_t room = sizeof(c->answer) - c->n_answer;
    size_t take = size * n < room ? size * n : room;
    memcpy(c->answer + c->n_answer, bytes, take);
    c->n_answer += take;
    return take; /* less than came: it ends here, with the status that it had */
}

static size_t take_header(char *, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    c->n_headers += size * n;
    return c->n_headers <= HEADERS_MAX ? size * n : 0;
}

static int go_on(void *arg, curl_off_t, curl_off_t, curl_off_t, curl_off_t)
{
    const struct call *c = arg;
    struct pollfd p = {.fd = c->network->cancel_fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0; /* we are stopping */
}

/* The last door: whatever curl made of the URL, this is the address. */
static curl_socket_t open_socket(void *arg, curlsocktype, struct curl_sockaddr *to)
{
    struct call *c = arg;
    struct sockaddr_storage address = {};
    if (to->addrlen > sizeof(address))
        return CURL_SOCKET_BAD;
    memcpy(&address, &to->addr, to->addrlen);
    c->fault = liaison_hook_fault(c->policy, &address, c->is_encrypted);
    if (c->fault)
        return CURL_SOCKET_BAD;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* Authorities were read before the sandbox; curl would look for files. */
static CURLcode set_authorities(CURL *, void *ssl, void *)
{
    SSL_CTX_set1_cert_store(ssl, authorities);
    return CURLE_OK;
}

/* ---- before ---- */

/* Host, port and scheme as curl reads them. */
static bool read_url(struct call *c, const char *url, char host[256], uint16_t *ret_port)
{
    CURLU *u = curl_url();
    char *part = NULL, *port = NULL, *scheme = NULL;
    uint64_t number = 0;
    must(u);
    bool is_good = curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
                   curl_url_get(u, CURLUPART_HOST, &part, 0) == CURLUE_OK &&
                   curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                   curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                   strlen(part) < 256 && slice_u64(slice_str(port), 65535, &number);
    if (is_good) {
        size_t n = strlen(part);
        bool is_six = part[0] == '[' && part[n - 1] == ']';
        (void)snprintf(host, 256, "%.*s", (int)(n - 2 * is_six), part + is_six);
        c->is_encrypted = strcmp(scheme, "https") == 0;
        is_good = number > 0 && (c->is_encrypted || strcmp(scheme, "http") == 0);
        *ret_port = (uint16_t)number;
    }
    curl_free(part);
    curl_free(port);
    curl_free(scheme);
    curl_url_cleanup(u);
    if (!is_good)
        say(c, "the address of the webhook cannot be read");
    return is_good;
}

/* Our resolver says where it leads, and only addresses that are allowed are named to curl. */
static bool find(struct call *c, const char *host, uint16_t port, mono_us deadline)
{
    struct courier_addresses found;
    struct courier_end end;
    char text[64];
    const char *fault = "it has no address";
    size_t n = 0;
    if (!courier_addresses_find(c->network, host, port, deadline, &found, &end)) {
        say(c, "%.280s", end.text);
        return false;
    }
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    buf_addf(&b, "%s:%u:", host, port);
    for (size_t i = 0; i < found.n; i++) {
        const char *why = liaison_hook_fault(c->policy, &found.address[i], c->is_encrypted);
        net_address_text(&found.address[i], text);
        fault = why ? why : fault;
        if (!why)
            buf_addf(&b, n++ ? ",%s%s%s" : "%s%s%s", strchr(text, ':') ? "[" : "", text,
                     strchr(text, ':') ? "]" : "");
    }
    if (n == 0) {
        net_address_text(&found.address[0], text);
        say(c, "%.100s (%s): %s", host, text, fault);
        return false;
    }
    if (!strchr(host, ':')) /* an address needs no name */
        c->resolved = curl_slist_append(NULL, buf_cstr(&b));
    return true;
}

static void add_header(struct call *c, const char *name, const char *value)
{
    SCOPED(buf_finish) struct buf b = buf_make(1000);
    buf_addf(&b, "%s: %s", name, value);
    c->headers = curl_slist_append(c->headers, buf_cstr(&b));
    must(c->headers);
}

static void make_headers(struct call *c)
{
    const struct ipc_hook *h = c->hook;
    char signature[LIAISON_SIGNATURE_MAX], id[65];
    (void)snprintf(id, sizeof(id), SLICE_FMT, SLICE_ARG(h->id));
    liaison_hook_signature(h->secret, utc_now() / 1000, h->body, signature);
    add_header(c, "Content-Type", "application/json");
    add_header(c, "Staffetta-Id", id);
    add_header(c, "Staffetta-Signature", signature);
    add_header(c, "User-Agent", "Staffetta/" VERSION);
    c->headers = curl_slist_append(c->headers, "Expect:"); /* no wait for 100 */
    c->headers = curl_slist_append(c->headers, "Accept:");
}

static void set_up(struct call *c, const char *url, uint32_t timeout_ms)
{
    CURL *u = c->curl;
    const struct ipc_hook *h = c->hook;
    (void)curl_easy_setopt(u, CURLOPT_URL, url);
    (void)curl_easy_setopt(u, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(u, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(u, CURLOPT_PROXY, ""); /* none, whatever the environment says */
    (void)curl_easy_setopt(u, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(u, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(u, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(u, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(u, CURLOPT_BUFFERSIZE, (long)ANSWER_MAX);
    (void)curl_easy_setopt(u, CURLOPT_FORBID_REUSE, 1L);
    (void)curl_easy_setopt(u, CURLOPT_HTTPHEADER, c->headers);
    (void)curl_easy_setopt(u, CURLOPT_RESOLVE, c->resolved);
    (void)curl_easy_setopt(u, CURLOPT_POSTFIELDSIZE, (long)h->body.n);
    (void)curl_easy_setopt(u, CURLOPT_POSTFIELDS, h->body.n ? h->body.p : "");
    (void)curl_easy_setopt(u, CURLOPT_WRITEFUNCTION, take_answer);
    (void)curl_easy_setopt(u, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(u, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(u, CURLOPT_HEADERDATA, c);
    (void)curl_easy_setopt(u, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(u, CURLOPT_XFERINFOFUNCTION, go_on);
    (void)curl_easy_setopt(u, CURLOPT_XFERINFODATA, c);
    (void)curl_easy_setopt(u, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(u, CURLOPT_OPENSOCKETDATA, c);
    (void)curl_easy_setopt(u, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(u, CURLOPT_CAINFO, NULL);
    (void)curl_easy_setopt(u, CURLOPT_CAPATH, NULL);
    (void)curl_easy_setopt(u, CURLOPT_SSL_CTX_FUNCTION, set_authorities);
    (void)curl_easy_setopt(u, CURLOPT_ERRORBUFFER, c->words);
}

/* ---- after ---- */

/* A stranger's words, for a line of text. */
static size_t clean(const char *from, size_t n, char *to, size_t room)
{
    size_t out = 0;
    for (size_t i = 0; i < n && out + 1 < room; i++) {
        unsigned char b = (unsigned char)from[i];
        to[out++] = b > ' ' && b < 0x7f ? (char)b : b >= 0x7f ? '?' : ' ';
    }
    to[out] = '\0';
    return out;
}

static void judge(struct call *c, CURLcode code)
{
    long status = 0;
    char words[201];
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    /* The status counts when the header is complete, however long the rest is. */
    bool is_cut = code == CURLE_WRITE_ERROR && c->n_headers <= HEADERS_MAX;
    if (code != CURLE_OK && !is_cut) {
        const char *why = c->words[0] ? c->words : curl_easy_strerror(code);
        (void)clean(why, strlen(why), words, sizeof(words));
        say(c, "%s", c->fault ? c->fault : words);
        return;
    }
    c->status = status > 0 && status < 1000 ? (uint16_t)status : 0;
    if (status >= 300 && status < 400) {
        say(c, "%ld: it redirects, and redirects are not followed: give the final address", status);
        return;
    }
    (void)clean(c->answer, c->n_answer, words, sizeof(words));
    say(c, words[0] ? "%ld: %s" : "%ld%s", status, words);
}

static void run(struct call *c, const char *url, uint32_t timeout_ms)
{
    char host[256];
    uint16_t port;
    mono_us begun = mono_now(), deadline = begun + MILLISECONDS(timeout_ms);
    if (!read_url(c, url, host, &port) || !find(c, host, port, deadline))
        return;
    mono_us left = (deadline - mono_now()) / 1000;
    if (left <= 0) {
        say(c, "DNS took too long");
        return;
    }
    make_headers(c);
    set_up(c, url, (uint32_t)left);
    judge(c, curl_easy_perform(c->curl));
}

static struct ipc_hooked send_hook(struct call *c)
{
    static const struct net_policy only_here = {};
    uint32_t ms = (uint32_t)(liaison_timeout(c->hook->timeout_ms, TIMEOUT_MOST_MS) / 1000);
    mono_us begun = mono_now();
    SCOPED(buf_finish) struct buf url = buf_make(2000);
    buf_adds(&url, c->hook->url);
    c->policy = c->network->policy ? atomic_load(c->network->policy) : NULL;
    if (!c->policy)
        c->policy = &only_here;
    c->curl = curl_easy_init();
    must(c->curl && authorities);
    run(c, buf_cstr(&url), ms);
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->resolved);
    return (struct ipc_hooked){.status = c->status,
                               .text = slice_str(c->text),
                               .took_ms = (uint32_t)((mono_now() - begun) / 1000)};
}

/* ---- as a work ------------------------------------------------------------------------------- */

void liaison_hook_prepare(struct slice pem)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    authorities = X509_STORE_new();
    must(authorities && pem.n <= INT32_MAX);
    BIO *b = BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n);
    must(b);
    for (X509 *x; (x = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL));) {
        (void)X509_STORE_add_cert(authorities, x);
        X509_free(x);
    }
    BIO_free(b);
}

static bool unpack(struct liaison_work *w)
{
    struct slice rest;
    if (!ipc_hook_unpack(buf_slice(&w->payload), w->arena, &w->hook))
        return false;
    w->primary = hash_bytes(slice_cut(w->hook.url, '?', &rest)); /* the receiver, roughly */
    return true;
}

static void run_work(const struct courier_network *network, const struct liaison_work *w,
                     struct buf *ret)
{
    struct call *c = mem_new(sizeof(*c));
    c->network = network;
    c->hook = &w->hook;
    struct ipc_hooked hooked = send_hook(c);
    ipc_hooked_pack(ret, &hooked);
    mem_free(&c);
}

static void decline(const struct liaison_work *, const char *why, struct buf *ret)
{
    struct ipc_hooked hooked = {.text = slice_str(why)};
    ipc_hooked_pack(ret, &hooked);
}

const struct liaison_kind liaison_hook_kind = {
    IPC_T_hook, IPC_T_hooked, LIAISON_HOOKS, unpack, run_work, decline,
};
