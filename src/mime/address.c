/* Address lists. RFC 5322 sections 3.4 and 4.4, RFC 6532, RFC 2047 section 5 (3).
 * Each item of a list is looked at twice: once to find where it ends and what it is, once to take
 * it apart. Quotes and comments that never close are found out once for the whole list. */
#include "mime/mime_int.h"

enum { NONE = -1 };

struct list_reader {
    struct slice s;
    size_t at;
    size_t open_quote, open_comment; /* where one never closes: from there on none is one */
    bool is_in_group, is_group_empty;
    struct slice group;
    struct arena *a;
    struct buf scratch, text; /* raw words, decoded words */
    unsigned odd;
};

/* An item up to its ',' or ';' or, for a group's name, its ':'. */
struct item {
    size_t start, end;
    size_t name_end;       /* the first '<' */
    ptrdiff_t open, close; /* what the address stands between: '<' or a route's ':', '>'; or NONE */
    char ended_by;         /* ',', ';', ':', or 0 for the end of the list or a missing comma */
    bool has_at;
};

/* Characters that mean something somewhere in a list; runs of the others are taken at once. */
static const bool IS_SPECIAL[256] = {
    ['"'] = true, ['('] = true, ['['] = true,  ['\\'] = true, ['<'] = true,
    ['>'] = true, ['@'] = true, [':'] = true,  [';'] = true,  [','] = true,
    ['.'] = true, [' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true,
};

static size_t plain_end(struct slice s, size_t at, size_t end)
{
    while (at < end && !IS_SPECIAL[(unsigned char)s.p[at]])
        at++;
    return at;
}

/* Behind the closing quote of the string at s[at], or 0. */
static size_t quote_end(struct slice s, size_t at)
{
    for (size_t i = at + 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

/* Behind the domain literal at s[at], or 0: it may not hold what ends an address. */
static size_t literal_end(struct slice s, size_t at)
{
    for (size_t i = at + 1; i < s.n; i++) {
        if (s.p[i] == ']')
            return i + 1;
        if (s.p[i] == '[' || s.p[i] == ',' || s.p[i] == '>' || s.p[i] == '<' || s.p[i] == '@')
            return 0;
    }
    return 0;
}

/* Steps over a quoted string, comment, literal or escape at `at`; returns `at` if none is there. */
static size_t skip_opaque(struct list_reader *r, size_t at)
{
    size_t end = 0;
    switch (r->s.p[at]) {
    case '"':
        if (at < r->open_quote && !(end = quote_end(r->s, at)))
            r->open_quote = at;
        break;
    case '(':
        if (at < r->open_comment && !(end = comment_end(r->s, at)))
            r->open_comment = at;
        break;
    case '[':
        end = literal_end(r->s, at);
        break;
    case '\\':
        end = at + 2 < r->s.n ? at + 2 : r->s.n;
        break;
    default:
        break;
    }
    return end ? end : at;
}

static bool is_route(struct slice s, size_t open)
{
    size_t at = open + 1;
    while (at < s.n && is_blank(s.p[at]))
        at++;
    return at < s.n && s.p[at] == '@';
}

/* Looks at one character that may end the item; true if it does. */
static bool item_ends(struct list_reader *r, struct item *it, size_t at, bool *is_route_open)
{
    bool is_in_angle = it->open != NONE && it->close == NONE;
    switch (r->s.p[at]) {
    case '<':
        if (it->close != NONE)
            return true; /* a comma was forgotten */
        if (it->open == NONE)
            it->name_end = at;
        it->open = (ptrdiff_t)at;
        *is_route_open = is_route(r->s, at);
        return false;
    case '>':
        if (is_in_angle)
            it->close = (ptrdiff_t)at;
        return false;
    case '@':
        it->has_at = true;
        return false;
    case ':':
        if (is_in_angle && *is_route_open) {
            *is_route_open = false;
            it->open = (ptrdiff_t)at; /* the route before it says nothing today */
        }
        it->ended_by = ':';
        return it->open == NONE && !it->has_at;
    case ',':
        it->ended_by = ',';
        return !(is_in_angle && *is_route_open);
    case ';':
        it->ended_by = ';';
        return true;
    default:
        return false;
    }
}

static struct item item_find(struct list_reader *r)
{
    struct item it = {.start = r->at, .open = NONE, .close = NONE};
    bool is_route_open = false;
    size_t at = r->at;
    while ((at = plain_end(r->s, at, r->s.n)) < r->s.n) {
        size_t behind = skip_opaque(r, at);
        if (behind > at) {
            at = behind;
            continue;
        }
        it.ended_by = 0;
        if (item_ends(r, &it, at, &is_route_open)) {
            it.end = at;
            r->at = at + (it.ended_by != 0);
            return it;
        }
        at++;
    }
    it.ended_by = 0;
    it.end = r->at = at;
    return it;
}

/* ---- display names ----------------------------------------------------------------------- */

static void add_quoted(struct slice inside, struct buf *ret)
{
    for (size_t i = 0; i < inside.n; i++) {
        if (inside.p[i] == '\\' && i + 1 < inside.n)
            i++;
        if (inside.p[i] != '\r' && inside.p[i] != '\n')
            buf_addc(ret, inside.p[i]);
    }
}

static void add_blank(struct buf *b)
{
    if (b->n && b->p[b->n - 1] != ' ')
        buf_addc(b, ' ');
}

/* Decodes what is in `scratch` into the arena, at most MIME_NAME_MAX bytes. */
static struct slice finish_name(struct list_reader *r)
{
    struct slice name = slice_of("", 0);
    if (r->scratch.n == 0)
        return name;
    buf_clear(&r->text);
    r->odd |= mime_header_text(buf_slice(&r->scratch), &r->text);
    if (!arena_try_copy(r->a, buf_slice(&r->text), &name))
        r->odd |= MIME_ODD_MEMORY;
    return name;
}

/* A phrase: words and quoted strings, comments left out. */
static struct slice read_phrase(struct list_reader *r, size_t at, size_t end)
{
    buf_clear(&r->scratch);
    while (at < end) {
        size_t run = plain_end(r->s, at, end);
        buf_add(&r->scratch, r->s.p + at, run - at);
        if ((at = run) == end)
            break;
        char c = r->s.p[at];
        size_t behind = c == '"' || c == '(' ? skip_opaque(r, at) : at;
        if (behind > end)
            behind = at;
        if (behind > at && c == '"') {
            add_quoted(slice_from_to(r->s, at + 1, behind - 1), &r->scratch);
        } else if (behind > at || is_blank(c)) {
            add_blank(&r->scratch);
        } else {
            at += c == '\\' && at + 1 < end;
            buf_addc(&r->scratch, r->s.p[at]);
        }
        at = behind > at ? behind : at + 1;
    }
    return finish_name(r);
}

/* The first comment of an item is the name where no other is given: "a@b (Name)". */
static struct slice read_comment(struct list_reader *r, size_t at, size_t end)
{
    while ((at = plain_end(r->s, at, end)) < end) {
        size_t behind = skip_opaque(r, at);
        if (behind > at && behind <= end && r->s.p[at] == '(') {
            buf_clear(&r->scratch);
            add_quoted(slice_from_to(r->s, at + 1, behind - 1), &r->scratch);
            return finish_name(r);
        }
        at = behind > at ? behind : at + 1;
    }
    return slice_of("", 0);
}

/* ---- addresses --------------------------------------------------------------------------- */

/* An address as it is gathered in `scratch`. */
struct spec {
    size_t at, end;    /* where it stands in the list */
    size_t words_end;  /* what is before was no part of it but words of a name; or 0 */
    ptrdiff_t at_sign; /* in scratch, or NONE */
    bool is_bare;      /* not in < >: words before it are a name */
    bool is_after_dot; /* the last thing was a dot or an @, so a blank does not end a word */
    bool is_after_blank;
};

static void spec_blank(struct spec *p)
{
    p->is_after_blank = true;
}

/* Before a character of a word; false if the address ended before it. */
static bool spec_word(struct list_reader *r, struct spec *p)
{
    bool is_new_word = p->is_after_blank && r->scratch.n && !p->is_after_dot;
    p->is_after_blank = p->is_after_dot = false;
    if (!is_new_word)
        return true;
    if (p->at_sign != NONE)
        return false;
    if (p->is_bare) {
        buf_clear(&r->scratch);
        p->words_end = p->at;
    } else {
        buf_addc(&r->scratch, ' ');
    }
    return true;
}

/* Takes what stands at p->at; false at the end of the address. */
static bool spec_step(struct list_reader *r, struct spec *p)
{
    char c = r->s.p[p->at];
    size_t behind = skip_opaque(r, p->at);
    if (behind > p->end)
        behind = p->at;
    bool is_opaque = behind > p->at;
    if (is_blank(c) || (is_opaque && c == '(')) {
        spec_blank(p);
    } else if (c == '@' || c == '.') {
        if (c == '@')
            p->at_sign = (ptrdiff_t)r->scratch.n;
        buf_addc(&r->scratch, c);
        p->is_after_dot = true;
        p->is_after_blank = false;
    } else if (!spec_word(r, p)) {
        return false;
    } else if (is_opaque && c == '"') {
        add_quoted(slice_from_to(r->s, p->at + 1, behind - 1), &r->scratch);
    } else if (is_opaque && c == '\\') {
        buf_add(&r->scratch, r->s.p + p->at + 1, behind - p->at - 1);
    } else if (is_opaque) {
        buf_add(&r->scratch, r->s.p + p->at, behind - p->at);
    } else {
        behind = plain_end(r->s, p->at + 1, p->end);
        buf_add(&r->scratch, r->s.p + p->at, behind - p->at);
    }
    p->at = behind > p->at ? behind : p->at + 1;
    return true;
}

static bool is_address_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return s.n <= MIME_ADDRESS_PART_MAX && mime_utf8_is_valid(s);
}

/* Local part and domain of what stands in the list from p->at on; they stay empty if there is
 * nothing or it is no text. */
static void read_spec(struct list_reader *r, struct spec *p, struct mime_address *ret)
{
    buf_clear(&r->scratch);
    while (p->at < p->end && spec_step(r, p))
        continue;
    struct slice all = slice_of(r->scratch.p, r->scratch.n);
    struct slice local = all, domain = slice_of("", 0);
    if (p->at_sign != NONE) {
        local = slice_of(all.p, (size_t)p->at_sign);
        domain = slice_skip(all, (size_t)p->at_sign + 1);
    }
    if (!is_address_text(local) || !is_address_text(domain)) {
        r->odd |= MIME_ODD_ADDRESS;
        return;
    }
    if (!arena_try_copy(r->a, local, &ret->local) || !arena_try_copy(r->a, domain, &ret->domain))
        r->odd |= MIME_ODD_MEMORY;
}

static bool is_something(const struct mime_address *m)
{
    return m->name.n || m->local.n || m->domain.n;
}

static void item_read(struct list_reader *r, const struct item *it, struct mime_address *ret)
{
    bool is_bare = it->open == NONE;
    struct spec p = {.at = it->start, .end = it->end, .at_sign = NONE, .is_bare = is_bare};
    *ret = (struct mime_address){.group = r->group};
    if (!is_bare) {
        p.at = (size_t)it->open + 1;
        p.end = it->close != NONE ? (size_t)it->close : it->end;
        ret->name = read_phrase(r, it->start, it->name_end);
    }
    read_spec(r, &p, ret);
    if (is_bare && p.words_end && p.at_sign == NONE) {
        ret->local = slice_of("", 0); /* words without an address: "Undisclosed recipients" */
        ret->name = read_phrase(r, it->start, it->end);
        r->odd |= MIME_ODD_ADDRESS;
    } else if (is_bare && p.words_end) {
        ret->name = read_phrase(r, it->start, p.words_end);
    }
    if (ret->name.n == 0 && ret->local.n)
        ret->name = read_comment(r, it->start, it->end);
    if (ret->local.n == 0 && is_something(ret))
        r->odd |= MIME_ODD_ADDRESS;
}

static void list_add(struct list_reader *r, const struct mime_address *m,
                     struct mime_addresses *list)
{
    if (list->n == MIME_ADDRESSES_MAX) {
        list->is_cut = true;
        r->odd |= MIME_ODD_ADDRESSES;
        return;
    }
    struct mime_address *slot = array_slot(r->a, &list->v, list->n, sizeof(*m));
    if (!slot) {
        list->is_cut = true;
        r->odd |= MIME_ODD_MEMORY;
        return;
    }
    *slot = *m;
    list->n++;
}

static void group_begin(struct list_reader *r, const struct item *it)
{
    r->group = read_phrase(r, it->start, it->end);
    r->is_in_group = r->is_group_empty = true;
}

static void group_end(struct list_reader *r, struct mime_addresses *list)
{
    if (r->is_in_group && r->is_group_empty && r->group.n)
        list_add(r, &(struct mime_address){.group = r->group}, list);
    r->is_in_group = false;
    r->group = slice_of("", 0);
}

unsigned mime_addresses_parse(struct slice raw, struct arena *a, struct mime_addresses *list)
{
    struct list_reader r = {
        .s = slice_trim(raw), .a = a, .open_quote = SIZE_MAX, .open_comment = SIZE_MAX};
    r.scratch = buf_make(r.s.n + 1);
    r.text = buf_make(MIME_NAME_MAX);
    while (r.at < r.s.n && !list->is_cut) {
        struct item it = item_find(&r);
        if (it.ended_by == ':') {
            group_end(&r, list);
            group_begin(&r, &it);
            continue;
        }
        struct mime_address m;
        item_read(&r, &it, &m);
        if (is_something(&m)) {
            r.is_group_empty = false;
            list_add(&r, &m, list);
        }
        if (it.ended_by == ';')
            group_end(&r, list);
    }
    group_end(&r, list);
    buf_finish(&r.scratch);
    buf_finish(&r.text);
    return r.odd;
}
