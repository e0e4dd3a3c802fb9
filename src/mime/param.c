/* Values with parameters: "text/plain; charset=utf-8". RFC 2045 section 5.1, RFC 2183, RFC 2231.
 * Tolerant: missing semicolons and quotes, unquoted blanks, encoded words in values. */
#include "mime/mime_int.h"

struct cursor {
    struct slice s;
    size_t at;
    bool has_open_quote, has_open_comment; /* one never closes: none behind it does */
};

/* One "name=value" as it stands: before continuations are joined. */
struct piece {
    struct slice name; /* without the suffixes of RFC 2231 */
    int index;         /* of a continuation, or -1 */
    bool is_extended;  /* percent-encoded */
    bool is_joined;    /* its value went into the result */
    struct slice raw;  /* inside the quotes, escapes kept */
};

size_t comment_end(struct slice s, size_t at)
{
    unsigned depth = 0;
    for (size_t i = at; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return 0;
}

static void skip_cfws(struct cursor *c)
{
    while (c->at < c->s.n) {
        if (is_blank(c->s.p[c->at])) {
            c->at++;
            continue;
        }
        if (c->s.p[c->at] != '(' || c->has_open_comment)
            return;
        size_t end = comment_end(c->s, c->at);
        c->has_open_comment = end == 0;
        c->at = end ? end : c->at;
    }
}

static struct slice read_word(struct cursor *c, const char *ends)
{
    size_t start = c->at;
    while (c->at < c->s.n && !is_blank(c->s.p[c->at]) && c->s.p[c->at] &&
           !strchr(ends, c->s.p[c->at]))
        c->at++;
    return slice_from_to(c->s, start, c->at);
}

static struct slice read_main(struct cursor *c, struct arena *a)
{
    skip_cfws(c);
    struct slice first = read_word(c, ";(");
    skip_cfws(c);
    bool is_split =
        c->at < c->s.n && (c->s.p[c->at] == '/' || (first.n && first.p[first.n - 1] == '/'));
    if (!is_split)
        return first;
    if (c->s.p[c->at] == '/') {
        c->at++;
        skip_cfws(c);
    }
    struct slice second = read_word(c, ";(");
    while (first.n && first.p[first.n - 1] == '/')
        first.n--;
    bool is_sane = first.n + second.n <= 256; /* else not worth the memory */
    char *joint = is_sane ? arena_try(a, first.n + 1 + second.n) : NULL;
    if (!joint)
        return first;
    memcpy(joint, first.p, first.n);
    joint[first.n] = '/';
    memcpy(joint + first.n + 1, second.p, second.n);
    return slice_of(joint, first.n + 1 + second.n);
}

/* Does a word with a '=' follow these blanks? Then a semicolon was forgotten. */
static bool is_param_next(struct cursor *c)
{
    size_t i = c->at;
    while (i < c->s.n && is_blank(c->s.p[i]))
        i++;
    size_t start = i;
    while (i < c->s.n && !is_blank(c->s.p[i]) && c->s.p[i] != ';' && c->s.p[i] != '=')
        i++;
    return i > start && i < c->s.n && c->s.p[i] == '=';
}

static struct slice read_unquoted(struct cursor *c)
{
    size_t start = c->at;
    while (c->at < c->s.n && c->s.p[c->at] != ';') {
        if (!is_blank(c->s.p[c->at])) {
            c->at++;
            continue;
        }
        if (is_param_next(c))
            break;
        while (c->at < c->s.n && is_blank(c->s.p[c->at]))
            c->at++;
    }
    struct slice value = slice_trim(slice_from_to(c->s, start, c->at));
    if (value.n == 0 || value.p[value.n - 1] != ')')
        return value;
    for (size_t i = 1; i < value.n; i++) /* a comment behind the value, but not in "a (1).pdf" */
        if (value.p[i] == '(' && is_blank(value.p[i - 1]))
            return slice_trim(slice_of(value.p, i));
    return value;
}

static struct slice read_value(struct cursor *c)
{
    skip_cfws(c);
    if (c->at >= c->s.n || c->s.p[c->at] != '"')
        return read_unquoted(c);
    size_t start = ++c->at;
    for (size_t i = start; i < c->s.n && !c->has_open_quote; i++) {
        if (c->s.p[i] == '\\')
            i++;
        else if (c->s.p[i] == '"') {
            c->at = i + 1;
            return slice_from_to(c->s, start, i);
        }
    }
    c->has_open_quote = true;
    return read_unquoted(c);
}

/* "name", "name*", "name*3", "name*3*". */
static void split_suffixes(struct piece *p)
{
    struct slice s = p->name;
    if (s.n > 1 && s.p[s.n - 1] == '*') {
        p->is_extended = true;
        s.n--;
    }
    size_t digits = s.n;
    while (digits > 0 && s.p[digits - 1] >= '0' && s.p[digits - 1] <= '9')
        digits--;
    uint64_t index;
    if (digits > 1 && s.p[digits - 1] == '*' && slice_u64(slice_skip(s, digits), 9999, &index)) {
        p->index = (int)index;
        s.n = digits - 1;
    }
    p->name = s;
}

/* False at the end. */
static bool read_piece(struct cursor *c, struct piece *ret)
{
    while (c->at < c->s.n) {
        skip_cfws(c);
        size_t start = c->at;
        struct slice name = read_word(c, "=;");
        skip_cfws(c);
        if (name.n && c->at < c->s.n && c->s.p[c->at] == '=') {
            c->at++;
            *ret = (struct piece){.name = name, .index = -1, .raw = read_value(c)};
            split_suffixes(ret);
            return true;
        }
        if (c->at == start)
            c->at++; /* a lone '=' or ';', or a NUL */
    }
    return false;
}

/* ---- values ------------------------------------------------------------------------------ */

static bool is_simple(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || (unsigned char)s.p[i] >= 127 || s.p[i] == '\\' ||
            (s.p[i] == '=' && i + 1 < s.n && s.p[i + 1] == '?'))
            return false;
    return true;
}

/* Escapes of quoted strings; a backslash before anything else stays (paths of Windows). */
static void add_unescaped(struct slice s, struct buf *ret)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == '"' || s.p[i + 1] == '\\'))
            i++;
        buf_addc(ret, s.p[i]);
    }
}

static void add_percent_decoded(struct slice s, struct buf *ret)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_escape = s.p[i] == '%' && i + 2 < s.n && hex_digit(s.p[i + 1]) >= 0 &&
                         hex_digit(s.p[i + 2]) >= 0;
        if (!is_escape) {
            buf_addc(ret, s.p[i]);
            continue;
        }
        buf_addc(ret, (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2])));
        i += 2;
    }
}

/* charset'language'text: the charset, and the text behind it. Without both marks no charset. */
static struct slice split_charset(struct slice *raw)
{
    struct slice rest, text;
    struct slice charset = slice_cut(*raw, '\'', &rest);
    if (charset.n == raw->n || slice_find(rest, '\'') < 0)
        return slice_of("", 0);
    (void)slice_cut(rest, '\'', &text); /* the language */
    *raw = text;
    return charset;
}

static struct piece *find_piece(struct piece *v, size_t n, struct slice name, int index)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].index == index && slice_ieq(v[i].name, name))
            return &v[i];
    return NULL;
}

/* Joins the pieces of one name into `ret`; the extended ones are preferred (RFC 2231, RFC 6266),
 * continued ones too. Returns the charset if one was said. */
static struct slice join(struct piece *v, size_t n, const struct piece *first, struct buf *ret)
{
    struct slice charset = slice_of("", 0);
    const struct piece *alone = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!slice_ieq(v[i].name, first->name))
            continue;
        v[i].is_joined = true;
        if (v[i].index < 0 && (!alone || (v[i].is_extended && !alone->is_extended)))
            alone = &v[i];
    }
    bool is_continued = !(alone && alone->is_extended) && find_piece(v, n, first->name, 0);
    for (int index = is_continued ? 0 : -1;; index++) {
        const struct piece *p = index < 0 ? alone : find_piece(v, n, first->name, index);
        if (!p)
            return charset;
        struct slice raw = p->raw;
        if (p->is_extended && index <= 0)
            charset = split_charset(&raw);
        if (p->is_extended)
            add_percent_decoded(raw, ret);
        else
            add_unescaped(raw, ret);
        if (index < 0)
            return charset;
    }
}

/* Text to one line of UTF-8 in the arena. */
static unsigned finish_value(struct slice charset, struct slice bytes, size_t max, struct arena *a,
                             struct slice *ret)
{
    SCOPED(buf_finish) struct buf utf8 = buf_make(max);
    unsigned odd = 0;
    if (charset.n) {
        odd = mime_charset_decode(charset, bytes, &utf8);
        for (size_t i = 0; i < utf8.n; i++)
            if ((unsigned char)utf8.p[i] < ' ' || utf8.p[i] == 127)
                utf8.p[i] = ' ';
    } else {
        odd = mime_header_text(bytes, &utf8);
    }
    if (!arena_try_copy(a, buf_slice(&utf8), ret))
        odd |= MIME_ODD_MEMORY;
    return odd;
}

/* A boundary is bytes to compare, not text: no encoded words, no charset, only unfolded. */
static unsigned finish_boundary(struct buf *bytes, size_t max, struct arena *a, struct slice *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes->n; i++)
        if (bytes->p[i] != '\r' && bytes->p[i] != '\n')
            bytes->p[n++] = bytes->p[i];
    struct slice boundary = slice_trim(slice_of(bytes->p, n));
    boundary.n = boundary.n < max ? boundary.n : max;
    return arena_try_copy(a, boundary, ret) ? 0 : MIME_ODD_MEMORY;
}

static unsigned finish_param(struct piece *v, size_t n, struct piece *first, size_t max,
                             struct arena *a, struct slice *ret)
{
    bool is_alone = first->index < 0 && !first->is_extended;
    for (size_t i = 0; is_alone && i < n; i++)
        is_alone = &v[i] == first || !slice_ieq(v[i].name, first->name);
    if (is_alone && first->raw.n <= max && is_simple(first->raw)) {
        *ret = slice_trim(first->raw);
        return 0;
    }
    size_t all = 1;
    for (size_t i = 0; i < n; i++)
        all += v[i].raw.n;
    SCOPED(buf_finish) struct buf bytes = buf_make(all);
    struct slice charset = join(v, n, first, &bytes);
    if (slice_ieq(first->name, SLICE("boundary")))
        return finish_boundary(&bytes, max, a, ret);
    return finish_value(charset, buf_slice(&bytes), max, a, ret);
}

/* At most MIME_PARAMS_MAX of them; MIME_ODD_PARAMS if there are more. */
static unsigned read_pieces(struct slice raw, struct arena *a, struct piece *v, size_t *ret_n,
                            struct slice *ret_main)
{
    struct cursor c = {.s = raw};
    struct piece extra;
    size_t n = 0;
    *ret_main = read_main(&c, a);
    while (n < MIME_PARAMS_MAX && read_piece(&c, &v[n]))
        n++;
    *ret_n = n;
    return n == MIME_PARAMS_MAX && read_piece(&c, &extra) ? MIME_ODD_PARAMS : 0;
}

unsigned params_pick(struct slice raw, struct arena *a, struct param_wish *wishes, size_t n_wishes,
                     struct slice *ret_main)
{
    struct piece pieces[MIME_PARAMS_MAX];
    size_t n;
    unsigned odd = read_pieces(raw, a, pieces, &n, ret_main);
    for (size_t w = 0; w < n_wishes; w++) {
        struct slice name = slice_str(wishes[w].name);
        for (size_t i = 0; i < n; i++) {
            if (!slice_ieq(pieces[i].name, name))
                continue;
            odd |= finish_param(pieces, n, &pieces[i], wishes[w].max, a, &wishes[w].value);
            break;
        }
    }
    return odd;
}

void mime_params_parse(struct slice raw, struct arena *a, struct mime_params *ret)
{
    struct piece pieces[MIME_PARAMS_MAX];
    size_t n;
    *ret = (struct mime_params){0};
    ret->odd = read_pieces(raw, a, pieces, &n, &ret->value);
    if (n == 0)
        return;
    ret->v = arena_try(a, n * sizeof(*ret->v));
    if (!ret->v) {
        ret->odd |= MIME_ODD_MEMORY;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].is_joined)
            continue;
        struct mime_param *param = &ret->v[ret->n++];
        param->name = pieces[i].name;
        ret->odd |= finish_param(pieces, n, &pieces[i], MIME_PARAM_VALUE_MAX, a, &param->value);
    }
}

struct slice mime_params_get(const struct mime_params *params, struct slice name)
{
    for (size_t i = 0; i < params->n; i++)
        if (slice_ieq(params->v[i].name, name))
            return params->v[i].value;
    return slice_of("", 0);
}
