/* The author's domain: the one thing DMARC needs of an address list (RFC 5322 section 3.4). Reads
 * what readers would show, so it is lenient about display names and strict about how many domains
 * there are. Not an address parser for any other use. */
#include "trust_int.h"

enum { COMMENT_DEPTH_MAX = 50 };

struct from_reader {
    struct slice s;
    size_t at;
};

/* Steps over "..." or (...) with escapes; to the end if it is never closed. */
static void skip_quoted(struct from_reader *r, char open, char close)
{
    int depth = 0;
    while (r->at < r->s.n) {
        char c = r->s.p[r->at++];
        if (c == '\\' && r->at < r->s.n)
            r->at++;
        else if (c == close && (open == close ? depth > 0 : --depth == 0))
            return;
        else if (c == open && depth < COMMENT_DEPTH_MAX)
            depth++;
    }
}

static void skip_blanks_and_comments(struct from_reader *r)
{
    while (r->at < r->s.n) {
        if (sign_is_blank(r->s.p[r->at]))
            r->at++;
        else if (r->s.p[r->at] == '(')
            skip_quoted(r, '(', ')');
        else
            return;
    }
}

/* After '@': the domain up to whatever cannot be in one. */
static struct slice read_domain(struct from_reader *r)
{
    skip_blanks_and_comments(r);
    size_t from = r->at;
    while (r->at < r->s.n && !sign_is_blank(r->s.p[r->at]) && r->s.p[r->at] != '\0' &&
           !strchr("<>,;:@()\"", r->s.p[r->at]))
        r->at++;
    return trust_name_trim(slice_of(r->s.p + from, r->at - from));
}

/* The domain of the next mailbox: that in <> if there are any, otherwise the last one before the
 * comma. False at the end. Empty: a mailbox without a domain. */
static bool next_mailbox(struct from_reader *r, struct slice *ret)
{
    bool is_closed = false;
    *ret = (struct slice){};
    skip_blanks_and_comments(r);
    if (r->at >= r->s.n)
        return false;
    while (r->at < r->s.n) {
        char c = r->s.p[r->at];
        if (c == '"') {
            skip_quoted(r, '"', '"');
            continue;
        }
        if (c == '(') {
            skip_quoted(r, '(', ')');
            continue;
        }
        r->at++;
        if (c == ',' || c == ';')
            return true;
        if (c == '<' && !is_closed)
            *ret = (struct slice){}; /* what came before was a display name */
        if (c == '>')
            is_closed = true;
        if (c == '@') {
            struct slice domain = read_domain(r);
            if (!is_closed)
                *ret = domain;
        }
    }
    return true;
}

/* All mailboxes of one field have the same domain. */
static bool one_domain(struct slice value, struct slice *ret)
{
    struct from_reader r = {value, 0};
    struct slice found = {}, domain;
    while (next_mailbox(&r, &domain)) {
        if (domain.n == 0)
            continue; /* an empty group, a comma too many */
        if (found.n > 0 && !slice_ieq(found, domain))
            return false;
        found = domain;
    }
    if (!trust_name_is_valid(found))
        return false;
    *ret = found;
    return true;
}

bool trust_author_domain(const struct sign_message *m, struct slice *ret)
{
    const struct sign_field *from = NULL;
    for (size_t i = 0; i < m->n_fields; i++) {
        if (!sign_field_is(&m->fields[i], SLICE("From")))
            continue;
        if (from)
            return false;
        from = &m->fields[i];
    }
    return from && one_domain(from->value, ret);
}
