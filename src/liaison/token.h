/* What asking for tokens (XOAUTH2) needs of its process besides liaison.h. */
#ifndef LIAISON_TOKEN_H
#define LIAISON_TOKEN_H

#include "net/conn.h"

/* Once in a process, before the sandbox and before any thread. `authorities`: PEM, who may vouch
 * for an endpoint; with none of them nobody is trusted. Used in the call only. */
void liaison_token_prepare(struct slice authorities);

/* May a token be asked for there? NULL: yes; else why not, in words, counted as a refusal. */
const char *liaison_token_fault(const struct net_policy *p, const struct sockaddr_storage *address,
                                bool is_encrypted);

#endif
