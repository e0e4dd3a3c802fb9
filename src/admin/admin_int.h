/* Inside the room: a request on its way, the table of endpoints, what handlers use. */
#ifndef ADMIN_ADMIN_INT_H
#define ADMIN_ADMIN_INT_H

#include "admin/admin.h"
#include "admin/out_int.h"
#include "admin/schema_int.h"
#include "base/log.h"

enum {
    CALL_ARENA_MAX = 128 << 20, /* an import of 8 MiB needs about four times its size */
    CALL_PARAMS_MAX = 12,
    CALL_LIMIT_DEFAULT = 100,
    CHANGES_MAX = 64, /* that wait for their turn */
    PATH_MAX_BYTES = 2000,
    QUERY_MAX_BYTES = 8000,
};

struct admin_call;
enum call_place { CALL_LOOP, CALL_CHANGE, CALL_WORKER };

/* ---- the table --------------------------------------------------------------------------------
 */

struct endpoint {
    const char *method, *pattern;
    enum call_place place;
    void (*run)(struct admin_call *c);
    const char *params; /* of the query, by name, separated by blanks */
    enum schema_id body, answer;
    uint16_t status;
    const char *summary;
};
struct param {
    const char *name;
    enum schema_type type;
    uint64_t max;
    const char *words, *text;
};
extern const struct endpoint admin_endpoints[];
extern const size_t admin_n_endpoints;
const struct param *admin_param(struct slice name); /* NULL: there is none */

/* What a method and a path lead to. */
struct route {
    const struct endpoint *endpoint; /* NULL: see `methods` */
    char methods[40];                /* "GET, POST" that the path knows; empty: no such path */
    size_t n_parts;
    struct slice parts[2]; /* the {} of the pattern, still escaped */
};
struct route admin_route(struct slice method, struct slice path);

/* %41 -> A. False: broken escapes, bytes that are no UTF-8, control characters. */
bool admin_unescape(struct arena *a, struct slice s, bool with_plus, struct slice *ret);

/* "2026-11-21", "2026-11-21T08:30:00Z", with fractions and "+01:00" too; -1: neither. */
utc_ms admin_time(struct slice s);

/* ---- a request on its way ---------------------------------------------------------------------
 */

struct admin {
    struct admin_host host;
    struct list calls;   /* loop only: everything that is not yet answered */
    struct list changes; /* loop only: those that wait for their turn */
    size_t n_changes;
    struct admin_call *changing; /* loop only: the one whose turn it is */
    bool is_turning;             /* loop only: somebody further up gives out the turns */
};

/* The unit of work: everything it needs is in its arena, and goes with it. */
struct admin_call {
    struct list node, turn;
    struct admin *a; /* NULL on a worker */
    const struct admin_host *host;
    struct store_reader *reader; /* on a worker only */
    const struct endpoint *endpoint;
    struct arena *arena;
    struct slice part[2]; /* the {} of the path */
    const struct param *param[CALL_PARAMS_MAX];
    struct slice value[CALL_PARAMS_MAX];
    size_t n_params;
    json_t *body; /* checked; NULL: none */
    struct slice by;
    struct buf out;
    struct out json; /* writes into out */
    void *work;      /* the handler's own, in the arena */
    bool has_secret; /* body and answer are wiped */
    admin_answer_fn *answer;
    void *arg;
};

/* Each of these ends the call: it is gone afterwards. */
void call_done(struct admin_call *c);                    /* the document in c->json */
void call_text(struct admin_call *c, const char *type);  /* the bytes in c->out */
void call_status(struct admin_call *c, uint16_t status); /* the document, with another status */
/* A problem: what happened, what we did, what the asker can do. */
void call_refuse(struct admin_call *c, uint16_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void call_fail(struct admin_call *c, enum err err, const char *why);

/* Parameters of the query; checked. */
struct slice call_param(const struct admin_call *c, const char *name); /* empty: not given */
uint32_t call_limit(const struct admin_call *c);
utc_ms call_time(const struct admin_call *c, const char *name); /* 0: not given */

/* ---- finding things (loop): NULL or false means that the call has been refused ------------------
 */

const struct directory_tenant *call_tenant(struct admin_call *c, struct slice name);
/* tenant 0: any, refused when two companies use the name. */
const struct directory_primary *call_primary(struct admin_call *c, uint64_t tenant,
                                             struct slice name);
/* By the path's {primary} and the query's tenant. */
const struct directory_primary *call_path_primary(struct admin_call *c);
const struct directory_domain *call_path_domain(struct admin_call *c);
/* The query's tenant: its id, 0 when not given. */
bool call_tenant_filter(struct admin_call *c, uint64_t *ret);
/* The body's "hosts" into the arena; left out: *ret stays. False: refused. */
bool read_hosts(struct admin_call *c, uint16_t usual_port, struct dir_host **ret, uint32_t *ret_n);
bool call_key(struct admin_call *c, struct slice address, struct slice *ret);
/* Who has the address in the path, and that address as it is looked up (may be NULL). NULL:
 * refused. */
const struct directory_person *call_person(struct admin_call *c, struct slice *ret_key);
/* The domain of a canonical address; only of ours. */
const struct directory_domain *call_domain_of(struct admin_call *c, struct slice key);
bool call_message(struct admin_call *c, uint64_t *ret); /* the path's {message}; worker too */
struct slice name_of_tenant(const struct admin_host *h, uint64_t id);
struct slice name_of_primary(const struct admin_host *h, uint64_t id);

/* The canonical form of an address, in the arena; empty: `why` says what is wrong with it. */
struct slice key_of(struct arena *a, struct slice address, const char **ret_why);
/* The domain of a canonical address. */
struct slice key_domain(struct slice key);

/* ---- changing things ---------------------------------------------------------------------------
 */

/* An object by and for this call; `body` is packed already, and copied into the arena. */
struct record_object call_object(struct admin_call *c, enum object_kind kind, uint64_t tenant,
                                 struct slice name, const struct buf *body);
/* Write one object, then call `then` (which ends the call); refuses by itself on errors. */
void call_put(struct admin_call *c, const struct record_object *o,
              void (*then)(struct admin_call *c));
void call_put_all(struct admin_call *c, const struct record_objects *o,
                  const struct record_mailboxes *m, void (*then)(struct admin_call *c));
/* Remove an object and answer with its name and what that means. Copied, but for `text`. */
struct removal {
    enum object_kind kind;
    uint64_t id, tenant;
    struct slice name;
    const char *text;
    unsigned also; /* enum object_kind of a second object with the same id; 0: none */
};
void call_remove(struct admin_call *c, const struct removal *r);

/* ---- writing things ----------------------------------------------------------------------------
 */

void write_state(struct admin_call *c, const char *key, const struct directory_primary *p);
void write_domain(struct admin_call *c, const struct directory_domain *d);
void write_hosts(struct out *j, const struct dir_host *hosts, uint32_t n);
void write_queue_figures(struct admin_call *c, const char *key);
void write_store_figures(struct admin_call *c, const char *key);
void write_health(struct admin_call *c); /* the members open, reason, text */
void write_texts(struct out *j, const char *key, const struct dir_text *list, size_t n);
void write_person(struct admin_call *c, const struct dir_person *p, struct slice tenant,
                  struct slice primary);

/* Names of companies and mail systems as the index knows them (worker). */
struct names {
    struct map *tenants, *primaries; /* id -> its name and company, in the call's arena */
    struct map *zones;               /* company -> the name of its time zone; NULL: not loaded */
};
void names_finish(struct names *n);                           /* takes a zeroed one */
bool names_load(struct admin_call *c, struct names *ret);     /* false: the call has failed */
bool names_load_zones(struct admin_call *c, struct names *n); /* likewise */
/* "Europe/Rome", or "UTC"; after names_load_zones. */
struct slice names_zone(const struct names *n, uint64_t tenant);
struct slice names_tenant(const struct names *n, uint64_t id);
struct slice names_primary(const struct names *n, uint64_t id);
uint64_t names_tenant_of(const struct names *n, uint64_t primary); /* 0: unknown */
/* The id of the tenant (or the primary) that the query names; false: refused. */
bool names_filter_tenant(struct admin_call *c, const struct names *n, uint64_t *ret);
bool names_find_primary(struct admin_call *c, const struct names *n, uint64_t tenant,
                        struct slice name, uint64_t *ret);
bool names_filter_primary(struct admin_call *c, const struct names *n, uint64_t tenant,
                          uint64_t *ret);

/* `fate`: a word of the statement about an emergency; NULL: none. */
void write_row(struct out *j, const struct names *n, const struct store_row *row, const char *fate);
/* A whole message; ERR_GONE there is none. After an error the document is of no use. */
enum err write_message(struct admin_call *c, const struct names *n, uint64_t id,
                       struct errinfo *ei);

#define ENDPOINT(method, path, place, handler, params, body, answer, status, summary)              \
    void do_##handler(struct admin_call *c);
#include "admin/admin_endpoint.def"
#undef ENDPOINT

#endif
