/* Objects of this room as a damaged or hostile disk may hold them: the book takes them or refuses
 * them, and whatever it took can be reported to, sent and written again. */
#include "alert/alert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t next_id(void *arg)
{
    return ++*(uint64_t *)arg;
}

static struct slice tenant_name(void *, uint64_t)
{
    return SLICE("rossi");
}

static void drop(void *, const struct record_objects *, uint64_t)
{
}

static bool sent(void *, enum alert_kind, const struct alert_sending *)
{
    return true;
}

static void tell(void *, enum event_class, const char *, uint64_t, struct slice, struct slice)
{
}

/* {kind, id of one byte, length u16, body} again and again; then an update and an hour. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint64_t last = 1000;
    struct alert_options o = {"mx1.example", &last, next_id, tenant_name, drop, sent, tell};
    struct alert_book *b = alert_create(&o);
    struct reader r = reader_make(slice_of((const char *)data, n));
    struct errinfo ei;
    while (r.rest.n > 0 && !r.failed) {
        struct record_object object = {.kind = read_u8(&r), .id = read_u8(&r)};
        size_t length = read_u16(&r);
        object.body = slice_of(r.rest.p, length < r.rest.n ? length : r.rest.n);
        r.rest = slice_skip(r.rest, object.body.n);
        (void)alert_apply(b, &object, &ei);
    }
    const struct alert_incident *i;
    size_t at = 0;
    i = alert_next_incident(b, &at);
    struct alert_report report = {.class = EVENT_ALARM, .happened = SLICE("h"), .is_over = n % 2};
    if (i) {
        report.key = i->body.key;
        (void)alert_report(b, &report, 1000);
        uint64_t ticket;
        struct alert_taker luca = {SLICE("luca"), SLICE("mine")};
        (void)alert_take(b, i->id, luca, 1001, &ticket, &ei);
    }
    alert_tick(b, 20000);
    alert_tick(b, 100000000);
    alert_destroy(&b);
    return 0;
}
