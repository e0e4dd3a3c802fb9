/* A resolver for tests and fuzzers whose answers are written down: one record a line,
 *     example.com TXT v=spf1 a -all
 *     example.com A 192.0.2.1
 *     mail.example.com MX mx.example.com
 *     www.example.com CNAME example.com
 *     slow.example.com TEMPFAIL
 * Fields are parted by one blank, or by tabs if the line has one (names may then hold blanks).
 * TEMPFAIL holds for the types that the name has no records of. */
#ifndef TRUST_TEST_ZONE_H
#define TRUST_TEST_ZONE_H

#include "trust/trust.h"

enum { ZONE_RECORDS_MAX = 200, ZONE_CNAME_MAX = 8 };

struct zone {
    struct slice text;
    unsigned n_asked;
};

struct zone_line {
    struct slice name, type, value;
};

static inline bool zone_next(struct slice *rest, struct zone_line *ret)
{
    while (rest->n > 0) {
        struct slice line = slice_cut(*rest, '\n', rest);
        char c = slice_find(line, '\t') >= 0 ? '\t' : ' ';
        ret->name = slice_cut(line, c, &line);
        ret->type = slice_cut(line, c, &ret->value);
        if (ret->name.n > 0)
            return true;
    }
    return false;
}

static inline struct slice zone_type_name(uint16_t type)
{
    switch (type) {
    case TRUST_DNS_A:
        return SLICE("A");
    case TRUST_DNS_AAAA:
        return SLICE("AAAA");
    case TRUST_DNS_MX:
        return SLICE("MX");
    case TRUST_DNS_PTR:
        return SLICE("PTR");
    }
    return SLICE("TXT");
}

/* The record's data as trust_dns promises it. */
static inline bool zone_value(const struct zone_line *line, struct arena *a, struct slice *ret)
{
    struct trust_ip ip;
    bool is_v6 = slice_eq(line->type, SLICE("AAAA"));
    *ret = line->value;
    if (!is_v6 && !slice_eq(line->type, SLICE("A")))
        return true;
    if (!trust_ip_parse(line->value, &ip) || ip.is_v6 != is_v6)
        return false;
    *ret = arena_copy(a, slice_of((const char *)ip.bytes, is_v6 ? 16 : 4));
    return true;
}

static inline enum trust_dns_status zone_find(struct zone *z, struct slice name, uint16_t type,
                                              struct arena *a, struct trust_answer *ret,
                                              struct slice *ret_alias)
{
    struct slice *records = ARENA_ARRAY(a, struct slice, ZONE_RECORDS_MAX);
    struct slice rest = z->text;
    struct zone_line line;
    size_t n = 0;
    enum trust_dns_status status = TRUST_DNS_NXDOMAIN;
    while (zone_next(&rest, &line)) {
        if (!slice_ieq(line.name, name))
            continue;
        if (slice_eq(line.type, SLICE("TEMPFAIL")))
            status = TRUST_DNS_TEMPFAIL;
        else if (status == TRUST_DNS_NXDOMAIN)
            status = TRUST_DNS_NODATA;
        if (slice_eq(line.type, SLICE("CNAME")))
            *ret_alias = line.value;
        if (slice_eq(line.type, zone_type_name(type)) && n < ZONE_RECORDS_MAX &&
            zone_value(&line, a, &records[n]))
            n++;
    }
    *ret = (struct trust_answer){records, n};
    return n > 0 ? TRUST_DNS_OK : status;
}

static inline enum trust_dns_status zone_ask(void *self, struct slice name, uint16_t type,
                                             struct arena *a, struct trust_answer *ret)
{
    struct zone *z = self;
    z->n_asked++;
    for (int i = 0; i < ZONE_CNAME_MAX; i++) {
        struct slice alias = {};
        enum trust_dns_status status = zone_find(z, name, type, a, ret, &alias);
        if (status == TRUST_DNS_OK || alias.n == 0)
            return status;
        name = alias;
    }
    return TRUST_DNS_TEMPFAIL;
}

static inline struct trust_dns zone_dns(struct zone *z)
{
    return (struct trust_dns){zone_ask, z};
}

#endif
