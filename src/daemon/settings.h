/* The settings of one node: staffetta.yaml, judged by one table (settings.def).
 *
 * The result is plain data without pointers, so that it travels to the processes as a sealed
 * memory file. Scalars of the file stay text until the table gives them a type. Not here: what
 * belongs to a tenant (that lives in the store), and reading files (settings_load.h). Pure. */
#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include "base/base.h"

enum {
    SETTINGS_FILE_MAX = 256 << 10, /* bytes of staffetta.yaml */
    SETTINGS_LISTENS_MAX = 16,
    SETTINGS_NETWORKS_MAX = 32, /* entries of one list of networks */
    SETTINGS_ADDRESSES_MAX = 8, /* entries of one list of addresses */
    SETTINGS_ORIGINS_MAX = 8,   /* entries of one list of web sites */
    SETTINGS_ORIGIN_BYTES = 264,
    SETTINGS_PROBLEMS_MAX = 16, /* told at once; more are counted */
    SETTINGS_PATH_MAX = 256,
    SETTINGS_GATES_MAX = 8,
    SETTINGS_DOORS_MAX = 8,
    SETTINGS_KEYS_MAX = 64,
    SETTINGS_MESSAGE_MAX = 64 << 20, /* bytes; with our headers it must have a place in the log */
};

/* "192.0.2.0/24"; a single address has all bits. */
struct settings_network {
    uint8_t bytes[16]; /* network order; bits behind the prefix are zero */
    uint8_t n_bytes;   /* 4 or 16 */
    uint8_t prefix;    /* bits */
};
struct settings_networks {
    uint32_t n;
    struct settings_network list[SETTINGS_NETWORKS_MAX];
};

/* "127.0.0.1:53", "[::1]:53" */
struct settings_address {
    uint8_t bytes[16]; /* network order */
    uint8_t n_bytes;   /* 4 or 16; 0: none (the administration's Unix socket) */
    uint8_t zero;      /* no padding: addresses are compared as bytes */
    uint16_t port;
};
struct settings_addresses {
    uint32_t n;
    struct settings_address list[SETTINGS_ADDRESSES_MAX];
};

/* Web sites: "https://mail.example.com", lower case, terminated. */
struct settings_origins {
    uint32_t n;
    char list[SETTINGS_ORIGINS_MAX][SETTINGS_ORIGIN_BYTES];
};

enum settings_service {
    SETTINGS_SMTP = 1,
    SETTINGS_SUBMISSION,
    SETTINGS_HTTPS,
    SETTINGS_METRICS,
    SETTINGS_ADMIN, /* the Unix socket admin.socket; always the last listener */
};
enum settings_tls {
    SETTINGS_TLS_NONE,
    SETTINGS_TLS_STARTTLS,
    SETTINGS_TLS_IMPLICIT,
};
struct settings_listen {
    uint32_t line;    /* in the file, for messages; 0: not from the file */
    uint32_t service; /* enum settings_service */
    uint32_t tls;     /* enum settings_tls, decided (never "unset") */
    struct settings_address at;
    struct settings_networks proxy;   /* from these a PROXY header must come first */
    struct settings_networks xclient; /* these may use XCLIENT */
};

/* Every leaf has its row in settings.def. Sizes are bytes, times microseconds, counts counts.
 * Texts are terminated, "" when not set. */
struct settings {
    struct {
        char name[256];                     /* host name, lower case */
        struct settings_networks addresses; /* we send from these; none: where the name leads */
        char data[SETTINGS_PATH_MAX];
        char user_prefix[24];
        uint64_t user_base;
    } node;
    struct {
        bool internet;
        struct settings_networks allow;
        struct settings_addresses resolver;
        char trust_anchor[SETTINGS_PATH_MAX];
    } network;
    uint32_t n_listens;
    struct settings_listen listens[SETTINGS_LISTENS_MAX + 1]; /* the file's, then SETTINGS_ADMIN */
    struct {
        char certificate[SETTINGS_PATH_MAX];
        char key[SETTINGS_PATH_MAX];
        char authorities[SETTINGS_PATH_MAX];
    } tls;
    struct {
        uint64_t message_bytes;
        uint64_t header_bytes;
        uint64_t command_line_bytes;
        uint64_t bytes_in_flight;
        uint64_t connections;
        uint64_t connections_per_address;
        uint64_t connections_per_network;
        uint64_t connections_per_minute;
        uint64_t recipients;
        uint64_t errors;
        uint64_t commands;
        uint64_t commands_without_mail;
        uint64_t messages;
        uint64_t hops;
        uint64_t time_command_us;
        uint64_t time_data_us;
        uint64_t time_message_us;
        uint64_t admin_requests;
    } limits;
    struct {
        char url[SETTINGS_ORIGIN_BYTES]; /* "": as the request says */
        struct settings_origins origins;
        struct settings_networks proxies;
        uint64_t connections;
        uint64_t connections_per_address;
        uint64_t requests;
        uint64_t requests_per_address;
        uint64_t bytes;
        uint64_t bytes_per_address;
        uint64_t streams_per_person;
        uint64_t mailbox_memory;
    } https;
    struct {
        uint64_t messages_per_minute;
        uint64_t recipients_per_hour;
        uint64_t recipients_per_day;
        uint64_t answers_per_hour;
    } sending; /* of one person */
    struct {
        uint64_t segment_bytes;
        uint64_t pool;
        uint64_t free_percent;
        uint64_t alarm_percent;
        uint64_t queue;
    } store;
    struct {
        uint64_t items;
        uint64_t per_destination;
        uint64_t per_primary;
    } queue;
    struct {
        struct settings_addresses controls;
        char control_name[256]; /* "": none */
    } continuity;
    struct {
        uint64_t count;
    } gate;
    struct {
        uint64_t count;
    } door;
    struct {
        uint64_t threads;
        uint64_t jobs;
    } courier;
    struct {
        uint32_t level; /* enum log_level */
    } log;
    struct {
        char socket[SETTINGS_PATH_MAX];
        char group[64]; /* may use the socket; "": only root and ourselves */
    } admin;
    struct {
        char authorities[SETTINGS_PATH_MAX];
    } alerts;
    uint32_t lines[SETTINGS_KEYS_MAX]; /* where each key was given: settings_line */
};

/* What is wrong with a file, in words: what, and what would be right. */
struct settings_problem {
    uint32_t line; /* 0: the file as a whole */
    char what[240];
    char advice[240];
};
struct settings_problems {
    uint32_t n;      /* in the list */
    uint32_t n_more; /* found, but no room for them */
    struct settings_problem list[SETTINGS_PROBLEMS_MAX];
};

/* Judge the text of a settings file. True: `*ret` is complete, defaults included. False: at least
 * one problem in `*ret_problems`, `*ret` is zeroed. Hostile input is fine. */
bool settings_parse(struct slice text, struct settings *ret,
                    struct settings_problems *ret_problems);

/* May these bytes be used? For settings that another process wrote: numbers in their bounds, enums
 * in range, texts terminated. */
bool settings_is_valid(const struct settings *s);

/* What a running node cannot take over (a port, the data directory ...): writes the first such key
 * ("listen") into ret and gives false; true when only reloadable keys differ. */
bool settings_may_replace(const struct settings *old, const struct settings *fresh, char ret[64]);

/* Add a problem (printf format for `what`; advice may be ""). */
void settings_problem_add(struct settings_problems *p, uint32_t line, const char *advice,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));
/* All problems as text for a person: file:line, what is wrong, what we did (`done`: "Staffetta was
 * not started."), what would be right. */
void settings_problems_text(const struct settings_problems *p, const char *file, const char *done,
                            struct buf *ret);

/* The whole file as it is in effect, each key with its value, as YAML that parses to the same. */
void settings_print(const struct settings *s, struct buf *ret);
/* docs/settings.md, and the manual page staffetta.yaml(5), from the table. */
void settings_markdown(struct buf *ret);
void settings_manual(struct buf *ret);

/* 4 or 16 bytes of an address (net_address_bytes). */
bool settings_networks_have(const struct settings_networks *list, const unsigned char *bytes,
                            size_t n_bytes);
uint32_t settings_line(const struct settings *s, const char *key); /* of "tls.key"; 0: a default */
const char *settings_service_name(uint32_t service);               /* "smtp"; "unknown" */
void settings_address_text(const struct settings_address *a, char ret[64]); /* "[::1]:53" */

#endif
