/* Structured values of header fields: addresses, dates, message ids.
 *
 * Tolerant readers: what cannot be read is left out and leaves an odd bit (mime/text.h). Slices
 * point into `raw` or into the arena. RFC 5322 sections 3.3, 3.4, 3.6.4 and 4, RFC 6532. */
#ifndef MIME_ADDRESS_H
#define MIME_ADDRESS_H

#include "base/base.h"

enum {
    MIME_ADDRESSES_MAX = 1000,   /* of one list; the rest is left out, MIME_ODD_ADDRESSES */
    MIME_NAME_MAX = 256,         /* bytes of a decoded display name or group name, cut there */
    MIME_ADDRESS_PART_MAX = 512, /* bytes of a local part or a domain; longer: address left out */
    MIME_IDS_MAX = 100,          /* ids of one list: the first and the last 99 are kept */
    MIME_ID_MAX = 998            /* bytes of one id; longer ones are left out */
};

struct mime_address {
    struct slice name;   /* display name, decoded UTF-8 on one line, or the comment; or empty */
    struct slice local;  /* without quotes and escapes: quote it before writing it anywhere */
    struct slice domain; /* as written ("[192.0.2.1]" with brackets); empty if there is none */
    struct slice group;  /* name of the group it stands in, or empty */
};

/* An empty group ("undisclosed-recipients:;") is one entry with only the group set. An address
 * without a domain ("root") has only the local part. */
struct mime_addresses {
    struct mime_address *v;
    size_t n;
    bool is_cut;
};

/* Read an address list (From, To, Cc, Reply-To, Sender …) and append it to `*list`, which starts
 * as {}. Linear time. Memory: 64 bytes an address and what is decoded. Returns odd bits. */
unsigned mime_addresses_parse(struct slice raw, struct arena *a, struct mime_addresses *list);

enum mime_date_result {
    MIME_DATE_OK,
    MIME_DATE_BROKEN,    /* no date to be found */
    MIME_DATE_IMPOSSIBLE /* 31 February, 25 o'clock, a year outside 1900 to 9999 */
};
struct mime_date {
    utc_ms at;
    int zone_min; /* east of Greenwich, as written */
};
/* RFC 5322 dates with obsolete zones and years, asctime's order, missing weekday, seconds, zone
 * (then UTC), dashes between day and month, names in full. `*ret` is set only on MIME_DATE_OK. */
enum mime_date_result mime_date_parse(struct slice raw, struct mime_date *ret);

struct mime_ids {
    struct slice *v; /* without < > and without blanks inside */
    size_t n;
    bool is_cut; /* ids in the middle are missing */
};
/* Message-ID, In-Reply-To, References: what stands in < >; if there is no '<', words with an '@'.
 * Returns odd bits. */
unsigned mime_ids_parse(struct slice raw, struct arena *a, struct mime_ids *ret);

#endif
