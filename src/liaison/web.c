/* One HTTP request over libcurl's easy interface. */
#include "liaison/web_int.h"

#include "net/net.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>

enum { HEADERS_MAX = 16 << 10, PART_MAX = 16 << 10 };

struct call {
    const struct web_request *q;
    struct web_answer *a;
    CURL *curl;
    struct curl_slist *headers, *resolved;
    const struct net_policy *policy;
    bool is_encrypted;
    const char *fault; /* where it may not lead */
    size_t n_headers;
    char words[CURL_ERROR_SIZE];
};

static void fail(struct call *c, enum web_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fail(struct call *c, enum web_end end, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->a->why, sizeof(c->a->why), format, args);
    va_end(args);
    c->a->end = end;
}

void web_clean(struct slice from, char *to, size_t room)
{
    size_t out = 0;
    for (size_t i = 0; i < from.n && out + 1 < room; i++) {
        unsigned char b = (unsigned char)from.p[i];
        to[out++] = b > ' ' && b < 0x7f ? (char)b : b >= 0x7f ? '?' : ' ';
    }
    to[out] = '\0';
}

/* ---- what curl asks while it runs ------------------------------------------------------------ */

static size_t take_answer(char *bytes, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    struct buf *body = &c->a->body;
    size_t room = c->q->answer_max - body->n;
    size_t take = size * n < room ? size * n : room;
    buf_add(body, bytes, take);
    c->a->is_cut = take < size * n;
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
    struct pollfd p = {.fd = c->q->network->cancel_fd, .events = POLLIN};
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
    c->fault = c->q->rule(c->policy, &address, c->is_encrypted);
    if (c->fault)
        return CURL_SOCKET_BAD;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* Authorities were read before the sandbox; curl would look for files. */
static CURLcode set_authorities(CURL *, void *ssl, void *arg)
{
    const struct call *c = arg;
    SSL_CTX_set1_cert_store(ssl, c->q->authorities->store);
    return CURLE_OK;
}

/* ---- before ---------------------------------------------------------------------------------- */

/* Host, port and scheme as curl reads them. */
static bool read_url(struct call *c, char host[256], uint16_t *ret_port)
{
    CURLU *u = curl_url();
    char *part = NULL, *port = NULL, *scheme = NULL;
    uint64_t number = 0;
    must(u);
    bool is_good = curl_url_set(u, CURLUPART_URL, c->q->url, CURLU_DISALLOW_USER) == CURLUE_OK &&
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
        fail(c, WEB_FAILED, "the address of the %s cannot be read", c->q->what);
    return is_good;
}

/* Our resolver says where it leads, and only addresses that are allowed are named to curl. */
static bool find(struct call *c, const char *host, uint16_t port)
{
    struct courier_addresses found;
    struct courier_end end;
    char text[64];
    const char *fault = NULL;
    size_t n = 0;
    if (!courier_addresses_find(c->q->network, host, port, c->q->deadline, &found, &end)) {
        fail(c, end.is_ours ? WEB_OURS : WEB_FAILED, "%.280s", end.text);
        return false;
    }
    SCOPED(buf_finish) struct buf b = buf_make(2000);
    buf_addf(&b, "%s:%u:", host, port);
    for (size_t i = 0; i < found.n; i++) {
        const char *why = c->q->rule(c->policy, &found.address[i], c->is_encrypted);
        net_address_text(&found.address[i], text);
        fault = why ? why : fault;
        if (!why)
            buf_addf(&b, n++ ? ",%s%s%s" : "%s%s%s", strchr(text, ':') ? "[" : "", text,
                     strchr(text, ':') ? "]" : "");
    }
    if (n == 0) {
        bool is_nowhere = net_policy_where(c->policy, &found.address[0]) == NET_NOWHERE;
        net_address_text(&found.address[0], text);
        fail(c, is_nowhere ? WEB_FAILED : WEB_OURS, "%.100s (%s): %s", host, text, fault);
        return false;
    }
    if (!strchr(host, ':')) /* an address needs no name */
        c->resolved = curl_slist_append(NULL, buf_cstr(&b));
    return true;
}

static void set_up(struct call *c, long timeout_ms)
{
    CURL *u = c->curl;
    const struct web_request *q = c->q;
    for (size_t i = 0; q->headers[i]; i++) {
        c->headers = curl_slist_append(c->headers, q->headers[i]);
        must(c->headers);
    }
    (void)curl_easy_setopt(u, CURLOPT_URL, q->url);
    (void)curl_easy_setopt(u, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(u, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(u, CURLOPT_PROXY, ""); /* none, whatever the environment says */
    (void)curl_easy_setopt(u, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(u, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(u, CURLOPT_TIMEOUT_MS, timeout_ms);
    (void)curl_easy_setopt(u, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    (void)curl_easy_setopt(u, CURLOPT_BUFFERSIZE, (long)PART_MAX);
    (void)curl_easy_setopt(u, CURLOPT_FORBID_REUSE, 1L);
    (void)curl_easy_setopt(u, CURLOPT_HTTPHEADER, c->headers);
    (void)curl_easy_setopt(u, CURLOPT_RESOLVE, c->resolved);
    if (q->is_post) {
        (void)curl_easy_setopt(u, CURLOPT_POSTFIELDSIZE, (long)q->body.n);
        (void)curl_easy_setopt(u, CURLOPT_POSTFIELDS, q->body.n ? q->body.p : "");
    }
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
    (void)curl_easy_setopt(u, CURLOPT_SSL_CTX_DATA, c);
    (void)curl_easy_setopt(u, CURLOPT_ERRORBUFFER, c->words);
}

/* ---- after ----------------------------------------------------------------------------------- */

/* No way out, no descriptor, not allowed by our own system: nobody was asked. */
static bool is_our_failure(const struct call *c, CURLcode code)
{
    long number = 0;
    (void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &number);
    bool is_local = number == ENETUNREACH || number == ENETDOWN || number == EADDRNOTAVAIL ||
                    number == EMFILE || number == ENFILE || number == ENOBUFS || number == EACCES ||
                    number == EPERM;
    bool has_nobody =
        code == CURLE_PEER_FAILED_VERIFICATION && c->is_encrypted && c->q->authorities->n == 0;
    return c->fault || has_nobody || code == CURLE_ABORTED_BY_CALLBACK ||
           code == CURLE_OUT_OF_MEMORY || (code == CURLE_COULDNT_CONNECT && is_local);
}

static void judge(struct call *c, CURLcode code)
{
    long status = 0;
    const char *type = NULL;
    char words[WEB_WHY_MAX - 90];
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
    /* The status counts when the header is complete, however long the rest is. */
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && c->n_headers <= HEADERS_MAX)) {
        web_clean(slice_str(c->words[0] ? c->words : curl_easy_strerror(code)), words,
                  sizeof(words));
        fail(c, is_our_failure(c, code) ? WEB_OURS : WEB_FAILED, "%s", c->fault ? c->fault : words);
        return;
    }
    curl_off_t wait = 0;
    (void)curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &wait);
    c->a->retry_after = wait > 0 && wait <= UINT32_MAX ? (uint32_t)wait : 0;
    c->a->end = WEB_ANSWERED;
    c->a->status = status > 0 && status < 1000 ? (uint16_t)status : 0;
    web_clean(slice_str(type), c->a->type, sizeof(c->a->type));
}

static void run(struct call *c)
{
    char host[256];
    uint16_t port;
    if (!read_url(c, host, &port) || !find(c, host, port))
        return;
    mono_us left = (c->q->deadline - mono_now()) / 1000;
    if (left <= 0) {
        fail(c, WEB_OURS, "DNS took too long");
        return;
    }
    set_up(c, (long)left);
    judge(c, curl_easy_perform(c->curl));
}

/* Until somebody has said it: only this machine. */
static const struct net_policy *policy_now(const struct courier_network *n)
{
    static const struct net_policy only_here = {};
    const struct net_policy *said = n->policy ? atomic_load(n->policy) : NULL;
    return said ? said : &only_here;
}

void web_ask(const struct web_request *q, struct web_answer *ret)
{
    struct call *c = mem_new(sizeof(*c));
    *ret = (struct web_answer){.body = buf_make(q->answer_max)};
    c->q = q;
    c->a = ret;
    c->policy = policy_now(q->network);
    c->curl = curl_easy_init();
    must(c->curl && q->authorities->store);
    run(c);
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->resolved);
    mem_free(&c);
}

void web_authorities_read(struct slice pem, struct web_authorities *ret)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    X509_STORE_free(ret->store);
    *ret = (struct web_authorities){.store = X509_STORE_new()};
    must(ret->store && pem.n <= INT32_MAX);
    BIO *b = BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n);
    must(b);
    for (X509 *x; (x = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL)); ret->n++) {
        (void)X509_STORE_add_cert(ret->store, x);
        X509_free(x);
    }
    BIO_free(b);
}
