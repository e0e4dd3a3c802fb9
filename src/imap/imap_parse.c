/* What one response says. RFC 9051 section 7, 3501 section 7; codes: RFC 5530, 4315. */
#include "imap/imap_int.h"

struct word {
    const char *name;
    unsigned value;
};

static unsigned find_word(const struct word *words, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_ieq(name, slice_str(words[i].name)))
            return words[i].value;
    return 0;
}
#define FIND(words, name) find_word(words, sizeof(words) / sizeof((words)[0]), name)

static const struct word words[] = {
    {"OK", IMAP_OK},           {"NO", IMAP_NO},           {"BAD", IMAP_BAD},
    {"PREAUTH", IMAP_PREAUTH}, {"BYE", IMAP_BYE},         {"CAPABILITY", IMAP_CAPABILITY},
    {"LIST", IMAP_LIST},       {"SEARCH", IMAP_SEARCH},   {"ESEARCH", IMAP_SEARCH},
    {"EXISTS", IMAP_EXISTS},   {"EXPUNGE", IMAP_EXPUNGE}, {"FETCH", IMAP_FETCH},
    {"XLIST", IMAP_LIST},      {"STATUS", IMAP_STATUS},   {"NAMESPACE", IMAP_NAMESPACE},
};
static const struct word codes[] = {
    {"ALERT", IMAP_CODE_ALERT},
    {"CAPABILITY", IMAP_CODE_CAPABILITY},
    {"UIDVALIDITY", IMAP_CODE_UIDVALIDITY},
    {"UIDNEXT", IMAP_CODE_UIDNEXT},
    {"READ-ONLY", IMAP_CODE_READ_ONLY},
    {"READ-WRITE", IMAP_CODE_READ_WRITE},
    {"TRYCREATE", IMAP_CODE_TRYCREATE},
    {"APPENDUID", IMAP_CODE_APPENDUID},
    {"UNAVAILABLE", IMAP_CODE_UNAVAILABLE},
    {"AUTHENTICATIONFAILED", IMAP_CODE_AUTHENTICATIONFAILED},
    {"AUTHORIZATIONFAILED", IMAP_CODE_AUTHORIZATIONFAILED},
    {"EXPIRED", IMAP_CODE_EXPIRED},
    {"PRIVACYREQUIRED", IMAP_CODE_PRIVACYREQUIRED},
    {"CONTACTADMIN", IMAP_CODE_CONTACTADMIN},
    {"NOPERM", IMAP_CODE_NOPERM},
    {"INUSE", IMAP_CODE_INUSE},
    {"LIMIT", IMAP_CODE_LIMIT},
    {"OVERQUOTA", IMAP_CODE_OVERQUOTA},
    {"NONEXISTENT", IMAP_CODE_NONEXISTENT},
    {"PERMANENTFLAGS", IMAP_CODE_PERMANENTFLAGS},
    {"COPYUID", IMAP_CODE_COPYUID},
    {"TOOBIG", IMAP_CODE_TOOBIG},
    {"ALREADYEXISTS", IMAP_CODE_ALREADYEXISTS},
    {"CANNOT", IMAP_CODE_CANNOT},
};
static const struct word caps[] = {
    {"IMAP4rev1", IMAP_CAP_REV1},
    {"IMAP4rev2", IMAP_CAP_REV2},
    {"STARTTLS", IMAP_CAP_STARTTLS},
    {"LOGINDISABLED", IMAP_CAP_LOGINDISABLED},
    {"AUTH=PLAIN", IMAP_CAP_PLAIN},
    {"AUTH=XOAUTH2", IMAP_CAP_XOAUTH2},
    {"SASL-IR", IMAP_CAP_SASL_IR},
    {"LITERAL+", IMAP_CAP_LITERAL_PLUS},
    {"LITERAL-", IMAP_CAP_LITERAL_MINUS},
    {"UIDPLUS", IMAP_CAP_UIDPLUS},
    {"SPECIAL-USE", IMAP_CAP_SPECIAL_USE},
    {"UTF8=ACCEPT", IMAP_CAP_UTF8_ACCEPT},
    {"ESEARCH", IMAP_CAP_ESEARCH},
    {"MOVE", IMAP_CAP_MOVE},
    {"NAMESPACE", IMAP_CAP_NAMESPACE},
    {"XLIST", IMAP_CAP_XLIST},
    {"BINARY", IMAP_CAP_BINARY},
    {"APPENDLIMIT", IMAP_CAP_APPENDLIMIT},
    {"CREATE-SPECIAL-USE", IMAP_CAP_CREATE_SPECIAL_USE},
};
static const struct word attributes[] = {
    {"\\Noselect", IMAP_FOLDER_NOSELECT}, {"\\NonExistent", IMAP_FOLDER_NOSELECT},
    {"\\All", IMAP_FOLDER_ALL},           {"\\AllMail", IMAP_FOLDER_ALL},
    {"\\Archive", IMAP_FOLDER_ARCHIVE},   {"\\Drafts", IMAP_FOLDER_DRAFTS},
    {"\\Flagged", IMAP_FOLDER_FLAGGED},   {"\\Junk", IMAP_FOLDER_JUNK},
    {"\\Spam", IMAP_FOLDER_JUNK},         {"\\Sent", IMAP_FOLDER_SENT},
    {"\\Trash", IMAP_FOLDER_TRASH},
};

/* ---- words for people, with a code in front ----------------------------------------------------
 */

/* RFC 7889: a number, or none where each folder has its own. */
void imap_append_limit_take(struct slice number, struct imap_response *ret)
{
    uint64_t n = 0;
    if (number.n == 0 || number.p[0] < '0' || number.p[0] > '9')
        return;
    ret->has_append_limit = true;
    ret->append_limit = slice_u64(number, UINT32_MAX, &n) ? (uint32_t)n : UINT32_MAX;
}

static void parse_caps(struct slice list, struct imap_response *ret)
{
    while (list.n > 0) {
        struct slice value, cap = slice_cut(list, ' ', &list);
        ret->caps |= FIND(caps, cap);
        if (!slice_istarts(cap, SLICE("APPENDLIMIT=")))
            continue;
        (void)slice_cut(cap, '=', &value);
        imap_append_limit_take(value, ret);
        ret->caps |= IMAP_CAP_APPENDLIMIT;
    }
    /* What rev2 has in it (RFC 9051 appendix E). */
    if (ret->caps & IMAP_CAP_REV2)
        ret->caps |= IMAP_CAP_SASL_IR | IMAP_CAP_LITERAL_MINUS | IMAP_CAP_UIDPLUS |
                     IMAP_CAP_ESEARCH | IMAP_CAP_MOVE | IMAP_CAP_NAMESPACE | IMAP_CAP_SPECIAL_USE;
}

/* Numbers and lists in a code; false: not what the code promises. */
static bool parse_code_values(struct slice rest, struct imap_response *ret)
{
    struct imap_scan s = {.rest = rest};
    if (ret->code == IMAP_CODE_UIDVALIDITY || ret->code == IMAP_CODE_UIDNEXT)
        return imap_scan_number(&s, &ret->code_n[0]);
    if (ret->code == IMAP_CODE_APPENDUID)
        return imap_scan_number(&s, &ret->code_n[0]) && imap_scan_blank(&s) &&
               imap_scan_number(&s, &ret->code_n[1]);
    if (ret->code == IMAP_CODE_COPYUID) {
        if (!imap_scan_number(&s, &ret->code_n[0]) || !imap_scan_blank(&s))
            return false;
        (void)imap_scan_atom(&s);
        return imap_scan_blank(&s) && imap_scan_number(&s, &ret->code_n[1]) && s.rest.n == 0;
    }
    if (ret->code == IMAP_CODE_PERMANENTFLAGS) {
        if (!slice_starts(rest, SLICE("(")) || rest.p[rest.n - 1] != ')')
            return false;
        ret->flags = slice_of(rest.p + 1, rest.n - 2);
    }
    return true;
}

static void parse_code(struct slice inside, struct imap_response *ret)
{
    struct slice rest, name = slice_cut(inside, ' ', &rest);
    enum imap_code code = (enum imap_code)FIND(codes, name);
    ret->code = code == IMAP_CODE_NONE ? IMAP_CODE_OTHER : code;
    if (code == IMAP_CODE_CAPABILITY)
        parse_caps(rest, ret);
    else if (!parse_code_values(rest, ret))
        ret->code = IMAP_CODE_OTHER;
}

static bool parse_status(struct imap_scan *s, struct imap_response *ret)
{
    ret->text = s->rest;
    if (!slice_starts(s->rest, SLICE("[")))
        return true;
    ptrdiff_t close = slice_find(s->rest, ']');
    if (close < 0)
        return true; /* words that begin with a bracket */
    parse_code(slice_of(s->rest.p + 1, (size_t)close - 1), ret);
    ret->text = slice_trim(slice_skip(s->rest, (size_t)close + 1));
    return true;
}

/* ---- lists and numbers -------------------------------------------------------------------------
 */

static bool parse_list(struct imap_scan *s, struct imap_response *ret)
{
    struct slice delimiter;
    bool is_nil;
    if (!imap_scan_char(s, '('))
        return false;
    while ((void)imap_scan_blank(s), !imap_scan_char(s, ')')) {
        struct slice attribute = imap_scan_atom(s);
        if (attribute.n == 0)
            return false;
        ret->folder |= FIND(attributes, attribute);
    }
    if (!imap_scan_blank(s) || !imap_scan_string(s, &delimiter, &is_nil) ||
        (!is_nil && delimiter.n != 1) || !imap_scan_blank(s))
        return false;
    ret->delimiter = is_nil ? '\0' : delimiter.p[0];
    /* An unquoted name may have brackets in it. */
    bool is_bare = s->rest.n > 0 && s->rest.p[0] != '"' && s->rest.p[0] != '{';
    if (is_bare) {
        struct slice rest;
        ret->name = slice_cut(s->rest, ' ', &rest);
    } else if (!imap_scan_string(s, &ret->name, &is_nil)) {
        return false;
    }
    return ret->name.n > 0 || !is_bare; /* what follows is of no use to us */
}

bool imap_set_next(struct slice *set, uint32_t *ret_from, uint32_t *ret_to)
{
    struct imap_scan s = {.rest = *set};
    while (imap_scan_char(&s, ' ') || imap_scan_char(&s, ','))
        ;
    uint32_t from, to;
    if (!imap_scan_number(&s, &from))
        return false;
    to = from;
    if (imap_scan_char(&s, ':') && !imap_scan_number(&s, &to))
        return false;
    *set = s.rest;
    *ret_from = from < to ? from : to;
    *ret_to = from < to ? to : from;
    return true;
}

/* Is it numbers to the end? Zero is none. */
static bool is_set(struct slice set)
{
    uint32_t from, to;
    while (imap_set_next(&set, &from, &to))
        if (from == 0)
            return false;
    return slice_trim(set).n == 0;
}

/* "1 2 3", behind them with CONDSTORE "(MODSEQ 5)". */
static bool parse_search(struct imap_scan *s, struct imap_response *ret)
{
    struct slice rest;
    ret->set = slice_trim(slice_cut(s->rest, '(', &rest));
    return is_set(ret->set);
}

/* "(TAG "A1") UID COUNT 2 ALL 4:5" */
static bool parse_esearch(struct imap_scan *s, struct imap_response *ret)
{
    bool is_nil;
    (void)imap_scan_blank(s);
    if (imap_scan_char(s, '(')) {
        struct slice tag = imap_scan_atom(s);
        if (!slice_ieq(tag, SLICE("TAG")) || !imap_scan_blank(s) ||
            !imap_scan_string(s, &ret->for_tag, &is_nil) || !imap_scan_char(s, ')'))
            return false;
    }
    while (imap_scan_blank(s)) {
        struct slice name = imap_scan_atom(s);
        if (slice_ieq(name, SLICE("UID")) || name.n == 0)
            continue;
        (void)imap_scan_blank(s);
        if (slice_ieq(name, SLICE("ALL"))) {
            ret->set = imap_scan_atom(s);
            if (!is_set(ret->set))
                return false;
        } else if (!imap_scan_skip(s)) {
            return false;
        }
    }
    return s->rest.n == 0;
}

/* ---- a response ---------------------------------------------------------------------------------
 */

static bool is_status(enum imap_word word)
{
    return word >= IMAP_OK && word <= IMAP_BYE;
}

static bool parse_tagged(struct imap_scan *s, struct imap_response *ret)
{
    ret->kind = IMAP_TAGGED;
    ret->tag = imap_scan_atom(s);
    if (ret->tag.n == 0 || ret->tag.n > IMAP_TAG_MAX || !imap_scan_blank(s))
        return false;
    ret->word = (enum imap_word)FIND(words, imap_scan_atom(s));
    (void)imap_scan_blank(s);
    bool is_end = ret->word == IMAP_OK || ret->word == IMAP_NO || ret->word == IMAP_BAD;
    return is_end && parse_status(s, ret);
}

static bool parse_untagged(struct imap_scan *s, struct imap_response *ret)
{
    bool has_number = imap_scan_number(s, &ret->number) && imap_scan_blank(s);
    struct slice name = imap_scan_atom(s);
    ret->word = (enum imap_word)FIND(words, name);
    bool wants_number = ret->word >= IMAP_EXISTS && ret->word <= IMAP_FETCH;
    if (name.n == 0 || (ret->word != IMAP_OTHER && has_number != wants_number))
        return false;
    (void)imap_scan_blank(s);
    if (is_status(ret->word))
        return parse_status(s, ret);
    if (ret->word == IMAP_CAPABILITY)
        parse_caps(s->rest, ret);
    else if (ret->word == IMAP_NAMESPACE)
        return imap_namespace_parse(s, ret);
    else if (ret->word == IMAP_STATUS)
        return imap_status_parse(s, ret);
    else if (ret->word == IMAP_LIST)
        return parse_list(s, ret);
    else if (ret->word == IMAP_SEARCH)
        return slice_ieq(name, SLICE("SEARCH")) ? parse_search(s, ret) : parse_esearch(s, ret);
    else if (ret->word == IMAP_FETCH)
        return ret->number > 0 && imap_fetch_parse(s, ret);
    return true;
}

bool imap_response_parse(struct imap_reader *r, struct imap_response *ret)
{
    must(r->result == IMAP_DONE);
    *ret = (struct imap_response){};
    buf_clear(&r->scratch);
    buf_reserve(&r->scratch, r->text.n); /* so that strings in it stay where they are */
    struct imap_scan s = {.rest = buf_slice(&r->text), .scratch = &r->scratch};
    while (s.rest.n > 0 && (s.rest.p[s.rest.n - 1] == '\n' || s.rest.p[s.rest.n - 1] == '\r'))
        s.rest.n--;
    if (imap_scan_char(&s, '+')) {
        ret->kind = IMAP_CONTINUE;
        (void)imap_scan_blank(&s);
        ret->text = s.rest;
        return true;
    }
    if (!slice_starts(s.rest, SLICE("* ")))
        return parse_tagged(&s, ret);
    s.rest = slice_skip(s.rest, 2);
    return parse_untagged(&s, ret);
}
