/* The customer's systems, looked at from outside. So far: the probe of a primary's SMTP.
 *
 * A probe is one blocking thread: connect, greeting, EHLO, STARTTLS if wanted, MAIL FROM:<>, RSET,
 * QUIT. It sends no mail and names no recipient. What it means is core's to judge. */
#ifndef LIAISON_LIAISON_H
#define LIAISON_LIAISON_H

#include "courier/peer.h"

struct liaison;

struct liaison_options {
    unsigned threads; /* probes at once */
    unsigned probes;  /* at once, running and waiting; more are answered as not tried */
    struct courier_network network; /* copied; what it points to must outlive the liaison */
    /* Exactly once for each probe, on any thread. `observed` is borrowed. */
    void (*done)(void *arg, uint64_t tag, const struct ipc_observed *observed);
    void *done_arg;
};

struct liaison *liaison_create(const struct liaison_options *o);
void liaison_destroy(struct liaison **l); /* abandons what runs; takes NULL */

/* Any thread; does not block. `probe->timeout_ms` is for all of it, hosts are tried in order until
 * one is well. The observation: code 250 and phase MAIL when all went well; else the phase, code
 * and words of the last host that failed (code 0: no reply). */
void liaison_probe(struct liaison *l, uint64_t tag, const struct ipc_probe *probe);

#endif
