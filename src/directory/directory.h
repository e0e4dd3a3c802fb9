/* Tenants, domains, primaries, people, groups: the facts in memory, as the log says them.
 *
 * Recipients are judged by this snapshot of ours, never by asking the primary: in an emergency it
 * is not there. Fed with objects from the store, in the order of the log; decides nothing about
 * mail. Loop thread of core only. */
#ifndef DIRECTORY_DIRECTORY_H
#define DIRECTORY_DIRECTORY_H

#include "continuity/continuity.h"
#include "store/record.h"

#include "base/pack_struct_begin.h"
#include "directory/directory.def"
#include "base/pack_end.h"

enum dir_form { DIR_INLINE = 1, DIR_SECOND = 2, DIR_HOSTED = 3 };
enum dir_tls { DIR_TLS_MAY = 0, DIR_TLS_MUST = 1, DIR_TLS_VERIFY = 2, DIR_TLS_NEVER = 3 };
enum dir_mechanism { DIR_PLAIN = 0, DIR_LOGIN = 1, DIR_XOAUTH2 = 2 };
/* As enum ipc_grant; NONE: no endpoint, a secret is the token itself. */
enum dir_grant { DIR_GRANT_NONE = 0, DIR_GRANT_CLIENT, DIR_GRANT_REFRESH, DIR_GRANT_ASSERTION };
/* NEW: to be published, not used yet; RETIRED: used no more, still to be found by those who got
 * mail that it signed. */
enum dir_dkim_state { DIR_DKIM_NEW = 0, DIR_DKIM_ACTIVE = 1, DIR_DKIM_RETIRED = 2 };
enum dir_person_kind { DIR_KIND_PERSON = 0, DIR_KIND_SHARED = 1, DIR_KIND_CONTACT = 2 };

/* In memory; everything inside lives until the object changes. */
struct directory_tenant {
    uint64_t id;
    struct dir_tenant facts;
    utc_ms complete_at; /* of the last complete list of people; 0: there was none */
};
struct directory_primary {
    uint64_t id, tenant;
    struct dir_primary facts;
};
struct directory_domain {
    uint64_t id, tenant;
    struct dir_domain facts;
};
struct directory_person {
    uint64_t id, tenant;
    struct dir_person facts;
};
struct directory_group {
    uint64_t id, tenant;
    struct dir_group facts;
};

/* These carry the id of what they belong to: a primary, a tenant, two primaries, a person, two
 * domains, a tenant, a person. */
struct directory_plans {
    uint64_t primary, tenant;
    struct dir_plans facts;
};
struct directory_calendar {
    uint64_t tenant;
    struct dir_calendar facts;
};
struct directory_access {
    uint64_t primary, tenant;
    struct dir_access facts;
};
struct directory_tokens {
    uint64_t primary, tenant;
    struct dir_tokens facts;
};
struct directory_mail_login {
    uint64_t person, tenant;
    struct dir_mail_login facts;
};
enum { DIRECTORY_SELECTORS_MAX = 16 };
struct directory_selectors {
    uint64_t domain, tenant;
    struct dir_selectors facts;
};
enum { DIRECTORY_DKIM_MAX = 4 };
struct directory_dkim {
    uint64_t domain, tenant;
    struct dir_dkim facts;
};
struct directory_keeping {
    uint64_t tenant;
    struct dir_keeping facts;
};
struct directory_quota {
    uint64_t person, tenant;
    struct dir_quota facts;
};

struct directory;
struct directory *directory_create(void);
void directory_destroy(struct directory **d);

/* Take over one object as it now is (or is no more). ERR_CORRUPT: unreadable body; nothing
 * changes. Objects of other kinds are ignored. */
enum err directory_apply(struct directory *d, const struct record_object *o, struct errinfo *ei);
/* Grows with each change that could alter a judgement. */
uint64_t directory_generation(const struct directory *d);

const struct directory_tenant *directory_tenant(const struct directory *d, uint64_t id);
const struct directory_primary *directory_primary(const struct directory *d, uint64_t id);
const struct directory_person *directory_person(const struct directory *d, uint64_t id);
const struct directory_domain *directory_domain(const struct directory *d, struct slice name);
const struct directory_group *directory_group(const struct directory *d, struct slice address);
/* Who has exactly this address (canonical), as main one or as alias; no rule of the domain counts.
 */
const struct directory_person *directory_person_at(const struct directory *d, struct slice address);
/* NULL: nobody wrote one. */
const struct directory_plans *directory_plans(const struct directory *d, uint64_t primary);
const struct directory_calendar *directory_calendar(const struct directory *d, uint64_t tenant);
const struct directory_access *directory_access(const struct directory *d, uint64_t primary);
const struct directory_tokens *directory_tokens(const struct directory *d, uint64_t primary);
const struct directory_mail_login *directory_mail_login(const struct directory *d, uint64_t person);
/* Can everybody's mailbox there be opened: by a master user, or by an application's token? */
bool directory_opens_all(const struct dir_access *access, const struct dir_tokens *tokens);
const struct directory_selectors *directory_selectors(const struct directory *d, uint64_t domain);
const struct directory_dkim *directory_dkim(const struct directory *d, uint64_t domain);
/* As long as nobody wrote one: 90 days, a year for essential people, for ever what nobody else has.
 */
const struct dir_keeping *directory_keeping(const struct directory *d, uint64_t tenant);
/* Bytes that this person's mailbox may have: the own quota, or the tenant's; 0: any. */
uint64_t directory_quota(const struct directory *d, const struct directory_person *p);
const struct directory_quota *directory_own_quota(const struct directory *d, uint64_t person);
/* The version in force; NULL: none was ever approved. */
const struct dir_plan *directory_plan(const struct directory *d, uint64_t primary);
/* The part of it that decides about the state; NULL: the built-in one. */
struct continuity_plan directory_continuity(const struct dir_plan *p);

/* By what people call it; tenant 0: any. NULL when there is none. */
uint64_t directory_find(const struct directory *d, enum object_kind kind, uint64_t tenant,
                        struct slice name);

/* Walk over all of a kind, in no order: *at starts at 0; NULL at the end. */
const struct directory_tenant *directory_next_tenant(const struct directory *d, size_t *at);
const struct directory_primary *directory_next_primary(const struct directory *d, size_t *at);
const struct directory_domain *directory_next_domain(const struct directory *d, size_t *at);
const struct directory_person *directory_next_person(const struct directory *d, size_t *at);
const struct directory_group *directory_next_group(const struct directory *d, size_t *at);

enum directory_verdict {
    DIRECTORY_KNOWN,
    DIRECTORY_UNKNOWN,  /* not in a complete list: refuse for good */
    DIRECTORY_UNSURE,   /* perhaps our list is old: ask to come again */
    DIRECTORY_NOT_OURS, /* no domain of ours */
};
struct directory_route {
    const struct directory_domain *domain;
    const struct directory_person *person; /* NULL: a group, or postmaster without an owner */
    const struct directory_group *group;
    uint64_t primary; /* where it goes; 0: nowhere (hosted) */
};
/* `key` is the canonical address (wire_address_key); "postmaster" without a domain belongs to
 * `default_domain`. Plus addresses, catch-all, postmaster and abuse as the domain says.
 * Unknown is said only from a complete list that is newer than the first time somebody tried this
 * address (remembered in memory, bounded); before that: unsure. */
enum directory_verdict directory_judge(struct directory *d, struct slice key, utc_ms now,
                                       struct directory_route *ret);

/* "192.0.2.0/24" or an address: 4 or 16 bytes into ret, their number returned; 0: nonsense. */
size_t directory_network(struct slice text, unsigned char ret[16], uint8_t *ret_prefix);

#endif
