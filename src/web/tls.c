/* Certificates of the listeners for people. libmicrohttpd asks at each handshake, so a new pair
 * comes into effect without closing anything; the sessions that are open have their keys already.
 * A pair that a handshake has begun with must outlive it: it is freed long after the longest. */
#include "web/people_int.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

enum { CHAIN_MAX = 16 };
#define KEEP_TIME SECONDS(300) /* a handshake has READ_TIME */

struct certificate {
    struct certificate *older;
    mono_us replaced_at;
    unsigned n_chain;
    gnutls_pcert_st chain[CHAIN_MAX];
    gnutls_privkey_t key;
};

/* TLS 1.2 and newer, forward secrecy only, no SHA-1; RFC 9325. */
const char web_tls_priorities[] =
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-SHA1:%SERVER_PRECEDENCE";

static void certificate_destroy(struct certificate **address)
{
    struct certificate *c = *address;
    if (!c)
        return;
    for (unsigned i = 0; i < c->n_chain; i++)
        gnutls_pcert_deinit(&c->chain[i]);
    if (c->key)
        gnutls_privkey_deinit(c->key);
    mem_free(address);
}

static gnutls_datum_t datum_of(struct slice s)
{
    /* The library only reads it. */
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)s.p, (unsigned)s.n};
}

static enum err read_pair(struct slice certificate, struct slice key, struct certificate *c,
                          struct errinfo *ei)
{
    gnutls_datum_t chain = datum_of(certificate), secret = datum_of(key);
    c->n_chain = CHAIN_MAX;
    int result =
        gnutls_pcert_list_import_x509_raw(c->chain, &c->n_chain, &chain, GNUTLS_X509_FMT_PEM, 0);
    if (result < 0 || c->n_chain == 0) {
        c->n_chain = 0;
        return err_set(ei, ERR_INVALID, "certificate: %s", gnutls_strerror(result));
    }
    if ((result = gnutls_privkey_init(&c->key)) >= 0)
        result = gnutls_privkey_import_x509_raw(c->key, &secret, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result < 0)
        return err_set(ei, ERR_INVALID, "key: %s", gnutls_strerror(result));
    return ERR_OK;
}

enum err web_certificate(struct web_server *s, struct slice certificate, struct slice key,
                         struct errinfo *ei)
{
    struct people *p = &s->people;
    struct certificate *fresh = mem_new(sizeof(*fresh)), *gone = NULL;
    if (read_pair(certificate, key, fresh, ei) != ERR_OK) {
        certificate_destroy(&fresh);
        return ERR_INVALID;
    }
    pthread_mutex_lock(&s->lock);
    fresh->older = p->certificate;
    if (fresh->older)
        fresh->older->replaced_at = mono_now();
    p->certificate = fresh;
    for (struct certificate *c = fresh; c->older; c = c->older)
        if (c->older->replaced_at + KEEP_TIME < mono_now()) {
            gone = c->older; /* it, and those behind it */
            c->older = NULL;
            break;
        }
    pthread_mutex_unlock(&s->lock);
    while (gone) {
        struct certificate *older = gone->older;
        certificate_destroy(&gone);
        gone = older;
    }
    return ERR_OK;
}

void web_tls_finish(struct people *p)
{
    while (p->certificate) {
        struct certificate *older = p->certificate->older;
        certificate_destroy(&p->certificate);
        p->certificate = older;
    }
}

/* HTTP thread, in a handshake. */
static int retrieve(gnutls_session_t session, const gnutls_datum_t *, int,
                    const gnutls_pk_algorithm_t *, int, gnutls_pcert_st **chain, unsigned *n,
                    gnutls_privkey_t *key)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        gnutls_session_get_ptr(session), MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct guest *g = info->socket_context;
    pthread_mutex_lock(&g->server->lock);
    struct certificate *c = g->server->people.certificate;
    pthread_mutex_unlock(&g->server->lock);
    if (!c)
        return -1;
    *chain = c->chain;
    *n = c->n_chain;
    *key = c->key;
    return 0;
}

gnutls_certificate_retrieve_function2 *web_tls_retrieve(void)
{
    return retrieve;
}
