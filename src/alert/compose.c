/* What targets read: JSON for programs, plain mail for people (RFC 5322, 2045, 2047, 3834). */
#include "alert/alert_int.h"

#include "wire/wire.h"

#include <jansson.h>
#include <stdio.h>

enum { EARLIER_MAX = 20, LINE_MAX = 74, MAIL_MAX = 256 << 10, WORD_BYTES = 42 };

const char *compose_class(uint8_t class)
{
    static const char *const names[] = {"info", "info", "notice", "alarm"};
    return names[class <= EVENT_ALARM ? class : 0];
}

void compose_id(const struct outbox *x, char ret[ALERT_ID_TEXT])
{
    char id[MESSAGE_ID_TEXT];
    message_id_text(x->shown.id, id);
    (void)snprintf(ret, ALERT_ID_TEXT, "%s.%u", id, x->shown.body.newest);
}

/* Without a character that would be cut through. */
static struct slice cut_text(struct slice s, size_t max)
{
    if (s.n <= max)
        return s;
    size_t n = max;
    while (n > 0 && max - n < 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return slice_of(s.p, n);
}

struct slice compose_clean(struct arena *a, struct slice s, size_t max, bool with_lines)
{
    s = cut_text(s, max);
    bool is_text = wire_utf8_valid(s);
    char *p = arena_new(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_bad = c == 0x7f || (c >= 0x80 && !is_text);
        bool is_blank = c < ' ' && !(with_lines && c == '\n');
        p[i] = is_blank ? ' ' : is_bad ? '?' : (char)c;
    }
    return slice_of(p, s.n);
}

/* ---- for programs ---- */

static void put_text(json_t *j, const char *name, struct slice s)
{
    if (s.n)
        must(json_object_set_new(j, name, json_stringn(s.p, s.n)) == 0); /* it was cleaned */
}

static void put_word(json_t *j, const char *name, const char *s)
{
    put_text(j, name, slice_str(s));
}

static void put_number(json_t *j, const char *name, uint32_t n)
{
    must(json_object_set_new(j, name, json_integer(n)) == 0);
}

/* Updates that this target has not heard of before the newest one. */
static json_t *earlier(const struct compose *c, uint32_t max)
{
    const struct alert_incident_body *i = &c->incident->shown.body;
    const struct alert_outbox_body *x = &c->outbox->shown.body;
    json_t *list = json_array();
    uint32_t first = i->n_updates > max ? i->n_updates - max : 0;
    for (uint32_t k = first; k < i->n_updates; k++) {
        const struct alert_update *u = &i->updates[k];
        if (u->number <= x->told || u->number >= x->newest)
            continue;
        json_t *one = json_object();
        put_number(one, "update", u->number);
        put_word(one, "time", utc_rfc3339(u->time).s);
        put_word(one, "class", compose_class(u->class));
        put_text(one, "happened", u->happened);
        must(json_array_append_new(list, one) == 0);
    }
    return list;
}

static void put_incident(const struct compose *c, json_t *j, uint32_t max)
{
    const struct alert_incident_body *i = &c->incident->shown.body;
    const struct alert_update *u = incident_update(c->incident, c->outbox->shown.body.newest);
    char id[MESSAGE_ID_TEXT];
    message_id_text(c->incident->shown.id, id);
    put_word(j, "incident", id);
    put_word(j, "state", i->closed ? "over" : "open");
    put_text(j, "name", i->name);
    put_text(j, "subject", i->subject);
    put_text(j, "tenant",
             compose_clean(c->arena,
                           c->book->o.tenant_name(c->book->o.arg, c->incident->shown.tenant), 200,
                           false));
    put_word(j, "opened", utc_rfc3339(i->opened).s);
    put_number(j, "update", c->outbox->shown.body.newest);
    if (!u)
        return; /* fifty newer ones were only for others */
    put_word(j, "class", compose_class(u->class));
    put_word(j, "time", utc_rfc3339(u->time).s);
    put_text(j, "happened", u->happened);
    put_text(j, "did", u->did);
    put_text(j, "can", u->can);
    put_text(j, "evidence", u->evidence);
    put_text(j, "by", u->by);
    must(json_object_set_new(j, "earlier", earlier(c, max)) == 0);
}

static const char test_words[] = "This is a test of the alerts. Nothing has happened.";

static struct slice dump(const struct compose *c, const char *id, uint32_t max)
{
    json_t *j = json_object();
    must(j);
    put_word(j, "id", id);
    put_word(j, "node", c->book->o.node);
    if (c->incident) {
        put_incident(c, j, max);
    } else {
        put_word(j, "state", "test");
        put_word(j, "class", "notice");
        put_word(j, "time", utc_rfc3339(c->now).s);
        put_word(j, "happened", test_words);
    }
    char *text = arena_new(c->arena, ALERT_BODY_MAX);
    size_t n = json_dumpb(j, text, ALERT_BODY_MAX, JSON_COMPACT);
    json_decref(j);
    return slice_of(text, n);
}

struct slice compose_json(const struct compose *c, const char *id)
{
    struct slice s = dump(c, id, EARLIER_MAX);
    return s.n > 0 && s.n <= ALERT_BODY_MAX ? s : dump(c, id, 0);
}

/* ---- for people ---- */

/* Quoted-printable (RFC 2045 section 6.7): any text, lines of at most 76, seven bits. */
static void add_quoted(struct buf *b, struct slice s)
{
    size_t column = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_end = i + 1 == s.n || s.p[i + 1] == '\n';
        bool is_plain = c >= ' ' && c < 0x7f && c != '=' && !(c == ' ' && is_end);
        if (c == '\n') {
            buf_adds(b, SLICE("\r\n"));
            column = 0;
            continue;
        }
        if (column + (is_plain ? 1 : 3) > LINE_MAX) {
            buf_adds(b, SLICE("=\r\n"));
            column = 0;
        }
        if (is_plain)
            buf_addc(b, (char)c);
        else
            buf_addf(b, "=%02X", c);
        column += is_plain ? 1 : 3;
    }
}

/* Text of a header: as it is, or in encoded words that never cut a character (RFC 2047). */
static void add_header_text(struct buf *b, struct slice s)
{
    bool is_ascii = true;
    for (size_t i = 0; i < s.n; i++)
        is_ascii = is_ascii && (unsigned char)s.p[i] < 0x80;
    if (is_ascii) {
        buf_adds(b, s);
        return;
    }
    for (size_t i = 0, column = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_begin = (c & 0xc0) != 0x80;
        if (is_begin && (i == 0 || column > WORD_BYTES)) {
            buf_adds(b, i == 0 ? SLICE("=?UTF-8?Q?") : SLICE("?=\r\n =?UTF-8?Q?"));
            column = 0;
        }
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (is_plain)
            buf_addc(b, (char)c);
        else
            buf_addf(b, "=%02X", c);
        column += is_plain ? 1 : 3;
    }
    buf_adds(b, SLICE("?="));
}

static void add_part(struct buf *b, const char *title, struct slice text)
{
    if (text.n)
        buf_addf(b, "%s\n" SLICE_FMT "\n\n", title, SLICE_ARG(text));
}

static void add_earlier(struct buf *b, const struct compose *c)
{
    const struct alert_incident_body *i = &c->incident->shown.body;
    uint32_t n = 0;
    for (uint32_t k = i->n_updates; k > 0 && n < 5; k--) {
        const struct alert_update *u = &i->updates[k - 1];
        if (u->number >= c->outbox->shown.body.newest)
            continue;
        if (n++ == 0)
            buf_adds(b, SLICE("BEFORE THAT\n"));
        buf_addf(b, "%.19s UTC: " SLICE_FMT "\n", utc_rfc3339(u->time).s, SLICE_ARG(u->happened));
    }
    if (n)
        buf_addc(b, '\n');
}

static void add_incident(struct buf *b, const struct compose *c)
{
    const struct alert_incident *i = &c->incident->shown;
    const struct alert_update *u = incident_update(c->incident, c->outbox->shown.body.newest);
    struct slice tenant = c->book->o.tenant_name(c->book->o.arg, i->tenant);
    char id[MESSAGE_ID_TEXT];
    message_id_text(i->id, id);
    if (u) {
        add_part(b, "WHAT HAPPENED", u->happened);
        add_part(b, "WHAT WE DID", u->did);
        add_part(b, "WHAT YOU CAN DO", u->can);
        add_part(b, "EVIDENCE", u->evidence);
        buf_addf(b, "%s: %.19s UTC, noticed or decided by " SLICE_FMT "\n\n",
                 i->body.closed ? "Over" : "Time", utc_rfc3339(u->time).s,
                 SLICE_ARG(u->by.n ? u->by : SLICE("Staffetta")));
    }
    add_earlier(b, c);
    if (i->body.taken_by.n)
        buf_addf(b, SLICE_FMT " takes care of it.\n\n", SLICE_ARG(i->body.taken_by));
    buf_addf(b, "-- \nIncident %s on %s", id, c->book->o.node);
    if (tenant.n)
        buf_addf(b, ", " SLICE_FMT, SLICE_ARG(tenant));
    buf_addf(
        b, "\nstaffetta incident show %s\nstaffetta incident ack %s --why \"I take care of it\"\n",
        id, id);
}

static struct slice subject_of(const struct compose *c)
{
    if (!c->incident)
        return SLICE("[test] alerts of Staffetta");
    const struct alert_incident_body *i = &c->incident->shown.body;
    return slice_str(arena_printf(c->arena, "[%s] " SLICE_FMT " (" SLICE_FMT ")",
                                  i->closed ? "over" : compose_class(i->class),
                                  SLICE_ARG(i->subject), SLICE_ARG(i->name)));
}

/* The first mail about an incident has an id that the later ones can name without looking it up:
 * so one incident is one conversation. */
static void name_mail(const struct compose *c, const char *id, struct alert_sending *s)
{
    const char *node = c->book->o.node;
    if (!c->incident) {
        s->message_id = slice_str(arena_printf(c->arena, "<alert.%s@%s>", id, node));
        return;
    }
    char outbox[MESSAGE_ID_TEXT];
    message_id_text(c->outbox->shown.id, outbox);
    struct slice first = slice_str(arena_printf(c->arena, "<alert.%s@%s>", outbox, node));
    s->message_id = first;
    if (c->outbox->shown.body.told == 0)
        return;
    s->message_id = slice_str(arena_printf(c->arena, "<alert.%s@%s>", id, node));
    s->references = first;
}

void compose_mail(const struct compose *c, const char *id, struct alert_sending *s)
{
    SCOPED(buf_finish) struct buf b = buf_make(MAIL_MAX);
    SCOPED(buf_finish) struct buf text = buf_make(MAIL_MAX);
    name_mail(c, id, s);
    s->subject = subject_of(c);
    buf_addf(&b, "From: Staffetta <alert@%s>\r\nTo: <" SLICE_FMT ">\r\nSubject: ", c->book->o.node,
             SLICE_ARG(s->address));
    add_header_text(&b, s->subject);
    buf_addf(&b, "\r\nDate: %s\r\nMessage-ID: " SLICE_FMT "\r\n", utc_rfc5322(c->now).s,
             SLICE_ARG(s->message_id));
    if (s->references.n)
        buf_addf(&b, "In-Reply-To: " SLICE_FMT "\r\nReferences: " SLICE_FMT "\r\n",
                 SLICE_ARG(s->references), SLICE_ARG(s->references));
    buf_adds(&b, SLICE("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
    if (c->incident)
        add_incident(&text, c);
    else
        buf_addf(&text, "%s\nSent by %s, because somebody asked for it.\n", test_words,
                 c->book->o.node);
    must(!text.failed); /* all parts are bounded */
    add_quoted(&b, buf_slice(&text));
    must(!b.failed);
    s->body = arena_copy(c->arena, buf_slice(&b));
}

/* ---- addresses of webhooks ---- */

static bool is_host_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

/* "host:port", "[2001:db8::1]:8443" */
static const char *place_fault(struct slice place)
{
    struct slice port, host = slice_cut(place, ':', &port);
    uint64_t number = 1;
    if (place.n > 0 && place.p[0] == '[') {
        struct wire_ip ip;
        if (slice_find(place, ']') < 0)
            return "what stands in brackets is not an address";
        host = slice_cut(slice_skip(place, 1), ']', &port);
        if (!wire_ip_parse(host, &ip) || (port.n > 0 && port.p[0] != ':'))
            return "what stands in brackets is not an address";
        port = slice_skip(port, 1);
        host = SLICE("address");
    }
    if (port.n > 0 && (!slice_u64(port, 65535, &number) || number == 0))
        return "its port is not readable";
    for (size_t i = 0; i < host.n; i++)
        if (!is_host_letter(host.p[i]))
            return "its host is not readable";
    return host.n > 0 && host.n <= 253 ? NULL : "its host is missing";
}

const char *alert_url_fault(struct slice url)
{
    bool is_secure = slice_istarts(url, SLICE("https://"));
    if (!is_secure && !slice_istarts(url, SLICE("http://")))
        return "it must begin with https:// (or http:// inside a network that is listed in "
               "network.allow)";
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 0x7f || strchr("\"<>\\^`{|}#", url.p[i]))
            return "it has blanks or letters that must be written as %XX, or a fragment (#)";
    struct slice rest = slice_skip(url, is_secure ? 8 : 7);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    struct slice place = slice_of(rest.p, n);
    if (slice_find(place, '@') >= 0)
        return "name and password do not belong into it";
    return place_fault(place);
}
