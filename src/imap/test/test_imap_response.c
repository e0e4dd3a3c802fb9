/* Responses of servers, good and bad, whole and one byte at a time. */
#include "imap/imap.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static enum imap_result feed(struct imap_reader *r, struct slice input, size_t step, size_t *ret)
{
    size_t at = 0, used;
    imap_reader_clear(r);
    while (at < input.n && r->result == IMAP_MORE) {
        size_t n = input.n - at < step ? input.n - at : step;
        (void)imap_reader_feed(r, slice_of(input.p + at, n), &used);
        at += used;
    }
    *ret = at;
    return r->result;
}

/* What was understood, as one line of text. */
static void describe(const struct imap_response *p, char *ret, size_t n)
{
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    if (p->kind == IMAP_TAGGED)
        buf_addf(&b, "tag=" SLICE_FMT " ", SLICE_ARG(p->tag));
    buf_addf(&b, "%s", p->kind == IMAP_CONTINUE ? "+ " : "");
    buf_addf(&b, "w%d", p->word);
    if (p->number)
        buf_addf(&b, " n%u", p->number);
    if (p->code)
        buf_addf(&b, " code%d:%u,%u", p->code, p->code_n[0], p->code_n[1]);
    if (p->caps)
        buf_addf(&b, " caps%x", p->caps);
    if (p->word == IMAP_LIST)
        buf_addf(&b, " %x '%c' <" SLICE_FMT ">", p->folder, p->delimiter ? p->delimiter : '0',
                 SLICE_ARG(p->name));
    if (p->word == IMAP_SEARCH)
        buf_addf(&b, " {" SLICE_FMT "}" SLICE_FMT, SLICE_ARG(p->set), SLICE_ARG(p->for_tag));
    if (p->uid || p->has_flags)
        buf_addf(&b, " uid%u flags%d%d", p->uid, p->has_flags, p->is_deleted);
    for (size_t i = 0; i < p->n_sections; i++)
        buf_addf(&b, " [" SLICE_FMT "]<%u>=" SLICE_FMT, SLICE_ARG(p->sections[i].name),
                 p->sections[i].origin, SLICE_ARG(p->sections[i].bytes));
    if (p->text.n)
        buf_addf(&b, " \"" SLICE_FMT "\"", SLICE_ARG(p->text));
    if (p->has_append_limit)
        buf_addf(&b, " limit%u", p->append_limit);
    for (size_t i = 0; i < p->n_namespaces; i++)
        buf_addf(&b, " %d:" SLICE_FMT ":%c", p->namespaces[i].whose,
                 SLICE_ARG(p->namespaces[i].prefix),
                 p->namespaces[i].delimiter ? p->namespaces[i].delimiter : '0');
    if (p->code == IMAP_CODE_PERMANENTFLAGS) {
        struct slice flag, rest = p->flags;
        const char *before = " perm(";
        for (; imap_flags_next(&rest, &flag); before = "|")
            buf_addf(&b, "%s" SLICE_FMT, before, SLICE_ARG(flag));
        buf_addf(&b, "%s)", before[0] == '|' ? "" : before);
    }
    snprintf(ret, n, "%s", buf_cstr(&b));
}

static const struct {
    const char *input, *expected; /* NULL: nonsense */
} cases[] = {
    {"* OK hello\r\n", "w1 \"hello\""},
    {"* ok hello\n", "w1 \"hello\""},
    {"* OK\r\n", "w1"},
    {"* BYE [UNAVAILABLE] gone {5}\r\n", "w5 code10:0,0 \"gone {5}\""},
    {"* NO [ALERT] disk [full]\r\n", "w2 code2:0,0 \"disk [full]\""},
    {"* OK [unclosed text\r\n", "w1 \"[unclosed text\""},
    {"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN X] hi\r\n", "w1 code3:0,0 caps15 \"hi\""},
    {"* CAPABILITY IMAP4rev2 LOGINDISABLED\r\n", "w6 caps774a"},
    {"a1 OK [READ-WRITE] Select\r\n", "tag=a1 w1 code7:0,0 \"Select\""},
    {"a1 NO [AUTHENTICATIONFAILED] no\r\n", "tag=a1 w2 code11:0,0 \"no\""},
    {"a2 OK [APPENDUID 38505 3955] done\r\n", "tag=a2 w1 code9:38505,3955 \"done\""},
    {"a2 OK [APPENDUID x] done\r\n", "tag=a2 w1 code1:0,0 \"done\""},
    {"* OK [UIDNEXT 4294967295] x\r\n", "w1 code5:4294967295,0 \"x\""},
    {"* OK [UIDNEXT 4294967296] x\r\n", "w1 code1:0,0 \"x\""},
    {"+ \r\n", "+ w0"},
    {"+\r\n", "+ w0"},
    {"+ idling {7}\r\n", "+ w0 \"idling {7}\""},
    {"* 3 EXISTS\r\n", "w9 n3"},
    {"* 3 EXPUNGE\r\n", "w10 n3"},
    {"* 0 RECENT\r\n", "w0"},
    {"* FLAGS (\\Seen)\r\n", "w0"},
    {"* STATUS \"x\" (MESSAGES {1}\r\n1)\r\n", "w13"},
    {"* STATUS \"x\" (MESSAGES 3 APPENDLIMIT 257)\r\n", "w13 limit257"},
    {"* STATUS x (APPENDLIMIT NIL)\r\n", "w13"},
    {"* CAPABILITY IMAP4rev1 APPENDLIMIT=99 MOVE\r\n", "w6 caps22001 limit99"},
    {"* CAPABILITY APPENDLIMIT XLIST BINARY\r\n", "w6 caps38000"},
    {"* CAPABILITY APPENDLIMIT=99999999999999999999\r\n", "w6 caps20000 limit4294967295"},
    {"* XLIST (\\HasNoChildren \\Spam) \"/\" Werbung\r\n", "w7 20 '/' <Werbung>"},
    {"* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"#shared.\" \".\")(\"p/\" NIL \"X\" (\"y\")))\r\n",
     "w12 0:INBOX.:. 2:#shared.:. 2:p/:0"},
    {"* NAMESPACE NIL NIL NIL\r\n", "w12"},
    {"* OK [PERMANENTFLAGS (\\Seen $x \\*)] y\r\n", "w1 code21:0,0 \"y\" perm(\\Seen|$x|\\*)"},
    {"* OK [PERMANENTFLAGS ()] y\r\n", "w1 code21:0,0 \"y\" perm()"},
    {"* OK [PERMANENTFLAGS] y\r\n", "w1 code1:0,0 \"y\""},
    {"a2 OK [COPYUID 7 304 3956] done\r\n", "tag=a2 w1 code22:7,3956 \"done\""},
    {"a2 OK [COPYUID 7 304:305 3956:3957] done\r\n", "tag=a2 w1 code1:7,3956 \"done\""},
    {"a2 NO [TOOBIG] no\r\n", "tag=a2 w2 code23:0,0 \"no\""},
    {"* LIST (\\HasNoChildren \\Junk) \"/\" \"Spam \\\"x\\\\\"\r\n", "w7 20 '/' <Spam \"x\\>"},
    {"* LIST () NIL INBOX\r\n", "w7 0 '0' <INBOX>"},
    {"* LIST (\\NonExistent) \".\" a[b]c\r\n", "w7 1 '.' <a[b]c>"},
    {"* LIST () \"/\" {5}\r\nab\r\nc\r\n", "w7 0 '/' <ab\r\nc>"},
    {"* LIST () \"/\" \"x\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n", "w7 0 '/' <x>"},
    {"* SEARCH\r\n", "w8 {}"},
    {"* SEARCH 1 22 333\r\n", "w8 {1 22 333}"},
    {"* SEARCH 1 (MODSEQ 917162500)\r\n", "w8 {1}"},
    {"* ESEARCH (TAG \"a9\") UID COUNT 3 ALL 4:5,9\r\n", "w8 {4:5,9}a9"},
    {"* ESEARCH (TAG \"a9\") UID\r\n", "w8 {}a9"},
    {"* ESEARCH\r\n", "w8 {}"},
    {"* 4 FETCH (UID 9 FLAGS (\\Seen \\DELETED $x[1]))\r\n", "w11 n4 uid9 flags11"},
    {"* 4 FETCH (BODY[TEXT]<0> {3}\r\na\r\n UID 9)\r\n", "w11 n4 uid9 flags00 [TEXT]<0>=a\r\n"},
    {"* 4 FETCH (BODY[HEADER.FIELDS (\"MESSAGE-ID\")] {0}\r\n)\r\n",
     "w11 n4 [HEADER.FIELDS (\"MESSAGE-ID\")]<0>="},
    {"* 4 FETCH (BODY[] NIL RFC822.SIZE 7 ENVELOPE (NIL \"a\" ((\"b\" NIL {1}\r\n)))) UID 2)\r\n",
     "w11 n4 uid2 flags00 []<0>="},
    {"* 4 FETCH (BODY[1.2] \"q\\\"\" BODY[2] ~{2}\r\nzz)\r\n", "w11 n4 [1.2]<0>=q\" [2]<0>=zz"},
    {"* 4 FETCH ()\r\n", "w11 n4"},
    /* nonsense */
    {"\r\n", NULL},
    {"*\r\n", NULL},
    {"hello\r\n", NULL},
    {"a1 FETCH\r\n", NULL},
    {"a1 BYE x\r\n", NULL},
    {"220 mx.example ESMTP\r\n", NULL},
    {"* 0 FETCH (UID 1)\r\n", NULL},
    {"* FETCH (UID 1)\r\n", NULL},
    {"* 3 SEARCH 4\r\n", NULL},
    {"* 4 FETCH (UID 0)\r\n", NULL},
    {"* 4 FETCH (UID 4294967296)\r\n", NULL},
    {"* 4 FETCH (UID 1\r\n", NULL},
    {"* 4 FETCH UID 1\r\n", NULL},
    {"* 4 FETCH (BODY[ {3}\r\n]x)\r\n", NULL},
    {"* 4 FETCH (X \"open)\r\n", NULL},
    {"* SEARCH 1 x\r\n", NULL},
    {"* SEARCH 0\r\n", NULL},
    {"* SEARCH 1:*\r\n", NULL},
    {"* LIST () \"//\" a\r\n", NULL},
    {"* LIST () \"/\"\r\n", NULL},
    {"* LIST \"/\" a\r\n", NULL},
    {"* NAMESPACE NIL NIL\r\n", NULL},
    {"* NAMESPACE ((\"a\" \"//\")) NIL NIL\r\n", NULL},
    {"* NAMESPACE ((NIL NIL)) NIL NIL\r\n", NULL},
    {"* NAMESPACE ((\"a\" \".\") NIL NIL\r\n", NULL},
    {"* STATUS x MESSAGES\r\n", NULL},
    {"* STATUS x (MESSAGES\r\n", NULL},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static void each_response_is_understood_whole_and_in_pieces(void **)
{
    struct imap_reader r;
    char text[2000];
    imap_reader_init(&r);
    for (size_t i = 0; i < CASES; i++)
        for (size_t step = 1; step < 2000; step *= 7) {
            SCOPED(buf_finish) struct buf input = buf_make(10000);
            struct imap_response p;
            size_t used;
            buf_adds(&input, slice_str(cases[i].input));
            buf_adds(&input, SLICE("* OK next\r\n"));
            assert_int_equal(feed(&r, buf_slice(&input), step, &used), IMAP_DONE);
            if (strcmp(cases[i].input, "* 4 FETCH (UID 1\r\n") != 0)
                assert_int_equal(used, strlen(cases[i].input));
            bool is_good = imap_response_parse(&r, &p);
            if (is_good != (cases[i].expected != NULL))
                fail_msg("case %zu: %s", i, cases[i].input);
            if (!is_good)
                continue;
            describe(&p, text, sizeof(text));
            assert_string_equal(text, cases[i].expected);
            assert_true(imap_response_parse(&r, &p)); /* may be repeated */
        }
    imap_reader_finish(&r);
}

static void what_has_no_end_is_cut_off(void **)
{
    static char filler[1000];
    static const struct {
        const char *begin;
        enum imap_result result;
    } ends[] = {
        {"* OK ", IMAP_ENDLESS},
        {"* 1 FETCH (BODY[] {262145}\r\n", IMAP_ENDLESS},
        {"* 1 FETCH (BODY[] {99999999999999999999}\r\n", IMAP_ENDLESS},
        {"* 1 FETCH (BODY[] {200000}\r\n", IMAP_ENDLESS}, /* and then a line */
        {"* OK \0", IMAP_NONSENSE},
    };
    struct imap_reader r;
    imap_reader_init(&r);
    memset(filler, 'x', sizeof(filler));
    for (size_t i = 0; i < 4; i++) {
        size_t used, n = 0;
        imap_reader_clear(&r);
        (void)imap_reader_feed(&r, slice_str(ends[i].begin), &used);
        while (r.result == IMAP_MORE && n < 2 * IMAP_RESPONSE_MAX) {
            (void)imap_reader_feed(&r, slice_of(filler, sizeof(filler)), &used);
            n += used;
        }
        assert_int_equal(r.result, ends[i].result);
        assert_true(r.text.n <= IMAP_RESPONSE_MAX);
        (void)imap_reader_feed(&r, SLICE("* OK\r\n"), &used);
        assert_int_equal(used, 0);
    }
    size_t used;
    assert_int_equal(feed(&r, slice_of("* OK \0\r\n", 8), 100, &used), IMAP_NONSENSE);
    assert_int_equal(feed(&r, slice_of("* OK \0\r\n", 8), 1, &used), IMAP_NONSENSE);
    imap_reader_finish(&r);
}

static void deep_lists_are_stepped_over_or_refused_without_recursion(void **)
{
    struct imap_reader r;
    struct imap_response p;
    size_t used;
    imap_reader_init(&r);
    for (int depth = IMAP_DEPTH_MAX; depth <= 100000; depth += 100000 - IMAP_DEPTH_MAX) {
        SCOPED(buf_finish) struct buf b = buf_make(IMAP_RESPONSE_MAX);
        buf_adds(&b, SLICE("* 1 FETCH (X "));
        for (int i = 0; i < depth; i++)
            buf_addc(&b, '(');
        for (int i = 0; i < depth; i++)
            buf_addc(&b, ')');
        buf_adds(&b, SLICE(" UID 5)\r\n"));
        assert_int_equal(feed(&r, buf_slice(&b), 100000, &used), IMAP_DONE);
        assert_int_equal(imap_response_parse(&r, &p), depth == IMAP_DEPTH_MAX);
    }
    imap_reader_finish(&r);
}

static void sets_are_walked(void **)
{
    struct slice set = SLICE("3 5:7,9,4:2");
    static const uint32_t expected[][2] = {{3, 3}, {5, 7}, {9, 9}, {2, 4}};
    uint32_t from, to;
    for (size_t i = 0; i < 4; i++) {
        assert_true(imap_set_next(&set, &from, &to));
        assert_int_equal(from, expected[i][0]);
        assert_int_equal(to, expected[i][1]);
    }
    assert_false(imap_set_next(&set, &from, &to));
}

static void flags_are_told_apart(void **)
{
    struct imap_reader r;
    struct imap_response p;
    size_t used;
    imap_reader_init(&r);
    struct slice input = SLICE("* 4 FETCH (UID 9 FLAGS (\\Seen  $Forwarded x[1]) MODSEQ (3))\r\n");
    assert_int_equal(feed(&r, input, 1, &used), IMAP_DONE);
    assert_true(imap_response_parse(&r, &p));
    assert_true(imap_flags_has(p.flags, SLICE("\\SEEN")));
    assert_true(imap_flags_has(p.flags, SLICE("$forwarded")));
    assert_true(imap_flags_has(p.flags, SLICE("x[1]")));
    assert_false(imap_flags_has(p.flags, SLICE("x")));
    assert_false(imap_flags_has(p.flags, SLICE("MODSEQ")));
    imap_reader_finish(&r);
}

static void more_sections_than_are_kept_do_no_harm(void **)
{
    struct imap_reader r;
    struct imap_response p;
    size_t used;
    imap_reader_init(&r);
    struct slice input =
        SLICE("* 1 FETCH (BODY[1] a BODY[2] b BODY[3] c BODY[4] d BODY[5] e UID 3)\r\n");
    assert_int_equal(feed(&r, input, 1000, &used), IMAP_DONE);
    assert_true(imap_response_parse(&r, &p));
    assert_int_equal(p.n_sections, IMAP_SECTIONS_MAX);
    assert_int_equal(p.uid, 3);
    imap_reader_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_response_is_understood_whole_and_in_pieces),
        cmocka_unit_test(what_has_no_end_is_cut_off),
        cmocka_unit_test(deep_lists_are_stepped_over_or_refused_without_recursion),
        cmocka_unit_test(sets_are_walked),
        cmocka_unit_test(flags_are_told_apart),
        cmocka_unit_test(more_sections_than_are_kept_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
