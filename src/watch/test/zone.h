/* A resolver for tests whose answers are written down, one record a line:
 *     rossi.test MX 10 mx1.staffetta.test
 *     rossi.test TXT v=spf1 -all
 *     _25._tcp.mx1.staffetta.test TLSA 3 1 1 <hex>
 *     ns.rossi.test A 192.0.2.1
 * Special lines: "NAME NONE" (nobody answers), "NAME BOGUS", "NAME TTL 77", "NAME SECURE". */
#ifndef WATCH_TEST_ZONE_H
#define WATCH_TEST_ZONE_H

#include "watch/watch.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

struct zone {
    const char *text;
    bool is_dead; /* nobody answers anything */
    unsigned n_asked;
    /* What every page answers; text NULL: as `fetch` and `why` say. */
    const char *page;
    enum watch_fetch fetch;
    const char *why;
    char got[300]; /* the page that was asked for last, "host/path" */
};

static inline void zone_put_name(struct buf *b, struct slice name)
{
    while (name.n > 0) {
        struct slice label = slice_cut(name, '.', &name);
        buf_u8(b, (uint8_t)label.n);
        buf_adds(b, label);
    }
    buf_u8(b, 0);
}

static inline void zone_put_strings(struct buf *b, struct slice text)
{
    do {
        size_t n = text.n < 255 ? text.n : 255;
        buf_u8(b, (uint8_t)n);
        buf_add(b, text.p, n);
        text = slice_skip(text, n);
    } while (text.n > 0);
}

static inline void zone_put_tlsa(struct buf *b, struct slice value)
{
    for (int i = 0; i < 3; i++) {
        uint64_t n;
        assert_true(slice_u64(slice_cut(value, ' ', &value), 255, &n));
        buf_u8(b, (uint8_t)n);
    }
    for (; value.n >= 2; value = slice_skip(value, 2)) {
        char two[3] = {value.p[0], value.p[1], '\0'};
        buf_u8(b, (uint8_t)strtoul(two, NULL, 16));
    }
}

static inline void zone_put(struct buf *b, uint16_t type, struct slice value)
{
    struct wire_ip ip;
    uint64_t n;
    switch (type) {
    case WATCH_TYPE_A:
    case WATCH_TYPE_AAAA:
        assert_true(wire_ip_parse(value, &ip));
        buf_add(b, ip.bytes, type == WATCH_TYPE_A ? 4 : 16);
        return;
    case WATCH_TYPE_MX:
        assert_true(slice_u64(slice_cut(value, ' ', &value), 65535, &n));
        buf_u8(b, (uint8_t)(n >> 8));
        buf_u8(b, (uint8_t)n);
        zone_put_name(b, slice_eq(value, SLICE(".")) ? SLICE("") : value);
        return;
    case WATCH_TYPE_TXT:
        zone_put_strings(b, value);
        return;
    case WATCH_TYPE_TLSA:
        zone_put_tlsa(b, value);
        return;
    default:
        zone_put_name(b, value);
    }
}

static inline const char *zone_type(uint16_t type)
{
    switch (type) {
    case WATCH_TYPE_A:
        return "A";
    case WATCH_TYPE_NS:
        return "NS";
    case WATCH_TYPE_PTR:
        return "PTR";
    case WATCH_TYPE_MX:
        return "MX";
    case WATCH_TYPE_AAAA:
        return "AAAA";
    case WATCH_TYPE_TLSA:
        return "TLSA";
    default:
        return "TXT";
    }
}

static inline void zone_ask(void *self, struct slice name, uint16_t type, struct arena *a,
                            struct watch_records *ret)
{
    struct zone *z = self;
    struct slice rest = slice_str(z->text), *data = ARENA_ARRAY(a, struct slice, 100);
    z->n_asked++;
    *ret = (struct watch_records){.status = WATCH_ANSWER_NO_NAME, .ttl = 300, .data = data};
    while (rest.n > 0) {
        struct slice value, line = slice_cut(rest, '\n', &rest);
        if (!slice_ieq(slice_cut(line, ' ', &line), name))
            continue;
        struct slice kind = slice_cut(line, ' ', &value);
        if (ret->status == WATCH_ANSWER_NO_NAME)
            ret->status = WATCH_ANSWER_NO_DATA;
        if (slice_eq(kind, SLICE("NONE")))
            ret->status = WATCH_ANSWER_NONE;
        if (slice_eq(kind, SLICE("BOGUS")))
            ret->status = WATCH_ANSWER_BOGUS;
        uint64_t ttl;
        if (slice_eq(kind, SLICE("TTL")) && slice_u64(slice_trim(value), UINT32_MAX, &ttl))
            ret->ttl = (uint32_t)ttl;
        ret->is_secure = ret->is_secure || slice_eq(kind, SLICE("SECURE"));
        if (!slice_eq(kind, slice_str(zone_type(type))))
            continue;
        SCOPED(buf_finish) struct buf b = buf_make(70000);
        zone_put(&b, type, value);
        assert_true(ret->n < 100);
        data[ret->n++] = arena_copy(a, buf_slice(&b));
        ret->status = WATCH_ANSWER_OK;
    }
    if (z->is_dead)
        *ret = (struct watch_records){.status = WATCH_ANSWER_NONE};
}

static inline void zone_get(void *self, const char *host, const char *path, struct arena *,
                            struct watch_page *ret)
{
    struct zone *z = self;
    (void)snprintf(z->got, sizeof(z->got), "%s/%s", host, path);
    *ret = (struct watch_page){.status = z->page ? WATCH_FETCH_OK : z->fetch,
                               .text = slice_str(z->page)};
    (void)snprintf(ret->why, sizeof(ret->why), "%s", z->why ? z->why : "");
}

static inline struct watch_outside zone_outside(struct zone *z)
{
    return (struct watch_outside){{zone_ask, z}, {zone_get, z}};
}

static inline const struct watch_finding *zone_finding(const struct watch_findings *all,
                                                       enum watch_check check)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->list[i].check == check)
            return &all->list[i];
    return NULL;
}

/* Expected: "class" and a part of found, why or advice ("" is in all). */
static inline void zone_expect(const char *row, const struct watch_findings *all,
                               enum watch_check check, enum watch_class class, const char *part)
{
    const struct watch_finding *f = zone_finding(all, check);
    if (!f)
        fail_msg("%s: no finding about %s", row, watch_check_name(check));
    else if (f->class != class ||
             (!strstr(f->found, part) && !strstr(f->why, part) && !strstr(f->advice, part)))
        fail_msg("%s: %s is %s, expected %s with \"%s\":\n%s\n%s\n%s\n%s", row,
                 watch_check_name(check), watch_class_name(f->class), watch_class_name(class), part,
                 f->found, f->expected, f->why, f->advice);
}

#endif
