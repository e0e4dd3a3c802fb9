/* What people type becomes a tree: the words, the operators in their languages, days in a zone, and
 * everything that is broken. */
#include "search/search_int.h"
#include "search_show.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

struct row {
    const char *typed, *tree;
};

/* Rome: one hour, two from 29 March to 25 October 2026, each at 01:00 UTC. */
static int32_t rome(void *arg, utc_ms t)
{
    (void)arg;
    return t >= 1774746000000 && t < 1792890000000 ? 7200 : 3600;
}

static const struct search_options still = {.now = 1793484000000, .offset = rome};

static void check_with(const struct row *rows, size_t n, const struct search_options *options)
{
    static struct search_tree tree;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 16);
    for (size_t i = 0; i < n; i++) {
        search_read(slice_str(rows[i].typed), options, &tree);
        show(&tree, &b);
        if (strcmp(buf_cstr(&b), rows[i].tree) != 0)
            fail_msg("%s: is %s, not %s", rows[i].typed, buf_cstr(&b), rows[i].tree);
        assert_false(tree.is_cut);
    }
}
#define CHECK(rows, options) check_with(rows, sizeof(rows) / sizeof((rows)[0]), options)

static void words_phrases_and_beginnings(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "and()"},
        {"  \t ", "and()"},
        {"offer", "and(any=offer)"},
        {" offer  March ", "and(any=offer any=March)"},
        {"\"offer of march\" x", "and(any=offer of march any=x)"},
        {"wor*", "and(any=wor*~)"},
        {"\"new wor\"*", "and(any=new wor~)"},
        {"e-mail", "and(any=e-mail)"},
        {"-spam", "and(not(any=spam))"},
        {"-\"a b\" c", "and(not(any=a b) any=c)"},
        {"\xe2\x80\x9esch\xc3\xb6n da\xe2\x80\x9c", "and(any=sch\xc3\xb6n da)"},
        {"\xc2\xab"
         "a b"
         "\xc2\xbb",
         "and(any=a b)"},
        {"a\xc2\xa0"
         "b",
         "and(any=a any=b)"},
        {"(a) & b!", "and(any=(a) any=b!)"},
        {"\"say \\\"hi\\\" there\" x", "and(any=say \\\"hi\\\" there any=x)"},
        {"\"a \\\\\" b", "and(any=a \\\\ any=b)"},
        {"\"a\\", "and(any=a\\)"},
        {"'offer of march' x", "and(any=offer of march any=x)"},
        {"'it\\'s mine'*", "and(any=it\\'s mine~)"},
        {"'it's mine' x", "and(any=it's mine any=x)"},
        {"l'ora dell' 'n", "and(any=l'ora any=dell' any='n)"},
        {"'' x", "and(any=x)"},
    };
    CHECK(rows, &still);
}

static void or_binds_tighter_than_a_blank(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a OR b", "and(or(any=a any=b))"},
        {"x a OR b OR -c y", "and(any=x or(any=a any=b not(any=c)) any=y)"},
        {"a ODER b", "and(or(any=a any=b))"},
        {"a OPPURE b", "and(or(any=a any=b))"},
        {"from:a OR to:b", "and(or(from=a to=b))"},
        {"a or b", "and(any=a any=or any=b)"},
        {"a \"OR\" b", "and(any=a any=OR any=b)"},
        {"OR", "and(any=OR)"},
        {"OR a", "and(any=OR any=a)"},
        {"a OR", "and(any=a any=OR)"},
        {"a OR OR b", "and(any=a or(any=OR any=b))"},
    };
    CHECK(rows, &still);
}

static void operators_take_words_and_phrases(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"from:anna to:bob cc:c bcc:d", "and(from=anna to=bob cc=c bcc=d)"},
        {"from:\"Anna Rossi\"", "and(from=Anna Rossi)"},
        {"from: anna", "and(from=anna)"},
        {"-from:anna", "and(not(from=anna))"},
        {"SUBJECT:offer body:text", "and(subject=offer body=text)"},
        {"from:anna@a.example", "and(from=anna@a.example)"},
        {"filename:*.pdf", "and(names=*.pdf)"},
        {"filename:off*", "and(names=off*~)"},
        {"in:Inbox in:\"Sent mail\"", "and(in=Inbox in=Sent mail)"},
        {"is:unread is:read is:flagged is:answered is:draft",
         "and(unread read flagged answered draft)"},
        {"has:attachment -has:attachments", "and(attachment not(attachment))"},
    };
    CHECK(rows, &still);
}

static void operators_have_names_in_five_languages(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"da:anna a:bob ccn:c oggetto:offerta \xc3\xa8:non-letto con:allegato",
         "and(from=anna to=bob bcc=c subject=offerta unread attachment)"},
        {"von:anna an:bob Betreff:Angebot ist:ungelesen mit:Anh\xc3\xa4nge Gr\xc3\xb6\xc3\x9f"
         "er:1k",
         "and(from=anna to=bob subject=Angebot unread attachment size 1025..)"},
        {"de:anna \xc3\x80:bob objet:offre est:\"non lu\" avec:pi\xc3\xa8"
         "ce-jointe dans:Archives",
         "and(from=anna to=bob subject=offre unread attachment in=Archives)"},
        {"de:anna para:bob asunto:oferta est\xc3\xa1:le\xc3\xad"
         "do tiene:adjunto",
         "and(from=anna to=bob subject=oferta read attachment)"},
        {"prima:2026 dopo:2025", "and(date ..1767222000000 date 1735686000000..)"},
        {"il:oggi am:gestern", "and(date 1793487600000..1793574000000"
                               " date 1793401200000..1793487600000)"},
    };
    struct search_options now = still;
    now.now = 1793520000000; /* 1 November 2026, 8:00 UTC */
    CHECK(rows, &now);
}

static void days_begin_at_the_local_midnight(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"before:2026-11-01", "and(date ..1793487600000)"},
        {"after:2026-11-01", "and(date 1793487600000..)"},
        {"on:2026-11-01", "and(date 1793487600000..1793574000000)"},
        {"on:1.11.2026", "and(date 1793487600000..1793574000000)"},
        {"on:01/11/26", "and(date 1793487600000..1793574000000)"},
        {"on:2026-10-25", "and(date 1792879200000..1792969200000)"}, /* 25 hours */
        {"on:2026-03-29", "and(date 1774738800000..1774821600000)"}, /* 23 hours */
        {"on:2026-12", "and(date 1796079600000..1798758000000)"},
        {"on:2024-02-29", "and(date 1709161200000..1709247600000)"},
    };
    CHECK(rows, &still);
    static const struct row utc[] = {{"on:2026-11-01", "and(date 1793491200000..1793577600000)"},
                                     {"on:1969-12-31", "and(date -86400000..0)"}};
    CHECK(utc, &(struct search_options){});
}

static void sizes_have_units(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"larger:10", "and(size 11..)"},
        {"larger:10k smaller:1M", "and(size 10241.. size ..1048576)"},
        {"larger:1,5MB", "and(size 1572865..)"},
        {"smaller:0.5GiB", "and(size ..536870912)"},
        {"smaller:3ko", "and(size ..3072)"},
    };
    CHECK(rows, &still);
}

static void what_makes_no_sense_is_read_as_words(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"from:", "and(any=from:)"},
        {"from:\"\"", "and(any=from:\"\")"},
        {"x from: ", "and(any=x any=from:)"},
        {"http://a.example", "and(any=http://a.example)"},
        {"12:30", "and(any=12:30)"},
        {":x", "and(any=:x)"},
        {"is:nonsense", "and(any=is:nonsense)"},
        {"has:nothing", "and(any=has:nothing)"},
        {"before:tomorrow", "and(any=before:tomorrow)"},
        {"on:2026-13-01", "and(any=on:2026-13-01)"},
        {"on:2026-02-29", "and(any=on:2026-02-29)"},
        {"on:31.4.2026", "and(any=on:31.4.2026)"},
        {"on:1-2.2026", "and(any=on:1-2.2026)"},
        {"on:1.2", "and(any=on:1.2)"},
        {"larger:big", "and(any=larger:big)"},
        {"larger:5x", "and(any=larger:5x)"},
        {"larger:99999999999999", "and(any=larger:99999999999999)"},
        {"\"open phrase", "and(any=open phrase)"},
        {"from:\"open phrase", "and(from=open phrase)"},
        {"- -- * \"\" \"!\" ...", "and()"},
        {"--x", "and(not(any=-x))"},
        {"a\"b c\"", "and(any=a\"b any=c\")"},
    };
    CHECK(rows, &still);
}

static void the_last_word_may_be_unfinished(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"offer mar", "and(any=offer any=mar~)"},
        {"offer mar ", "and(any=offer any=mar)"},
        {"m", "and(any=m)"},
        {"\xc3\xa9", "and(any=\xc3\xa9)"},
        {"\xc3\xa9t", "and(any=\xc3\xa9t~)"},
        {"from:an", "and(from=an~)"},
        {"\"new off", "and(any=new off~)"},
        {"\"new off\"", "and(any=new off)"},
        {"-spa", "and(not(any=spa~))"},
        {"mar.", "and(any=mar.)"},
        {"is:unread", "and(unread)"},
    };
    struct search_options typing = still;
    typing.is_typing = true;
    CHECK(rows, &typing);
}

static void a_tree_keeps_its_bounds(void **state)
{
    (void)state;
    static struct search_tree tree;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 20);
    for (int i = 0; i < 200; i++)
        buf_addf(&b, "w%d ", i);
    search_read(buf_slice(&b), &still, &tree);
    assert_true(tree.is_cut);
    assert_int_equal(tree.n_nodes, SEARCH_NODES_MAX);
    buf_clear(&b);
    for (int i = 0; i < 98; i++)
        buf_addf(&b, "w%d ", i);
    buf_adds(&b, SLICE("a OR b")); /* needs three, one is left: all of it goes */
    search_read(buf_slice(&b), &still, &tree);
    assert_true(tree.is_cut);
    assert_int_equal(tree.n_nodes, 99);
    buf_clear(&b);
    for (int i = 0; i < 300; i++)
        buf_adds(&b, SLICE("a OR "));
    search_read(buf_slice(&b), &still, &tree);
    assert_true(tree.is_cut);
    assert_int_equal(tree.n_nodes, 1);
    buf_clear(&b);
    for (int i = 0; i < 5000; i++)
        buf_addc(&b, 'x');
    search_read(buf_slice(&b), &still, &tree);
    assert_true(tree.is_cut);
    assert_int_equal(tree.n_text, SEARCH_TEXT_MAX);
}

static void trees_are_built_by_hand(void **state)
{
    (void)state;
    static struct search_tree tree;
    SCOPED(buf_finish) struct buf b = buf_make(1 << 16);
    search_begin(&tree, SEARCH_OR);
    uint16_t all = search_add_words(&tree, 0, SEARCH_SUBJECT, SLICE("a \"b c\" from:d* !"));
    assert_int_not_equal(all, SEARCH_NONE);
    uint16_t not = search_add(&tree, 0, SEARCH_NOT);
    (void)search_add_range(&tree, not, SEARCH_SIZE, 1, 2);
    (void)search_add_mailbox(&tree, not, SLICE("x"));
    show(&tree, &b);
    assert_string_equal(buf_cstr(&b),
                        "or(and(subject=a subject=b c subject=from:d*~) not(size 1..2 in=x))");
    uint16_t at = 0;
    for (int i = 0; i < SEARCH_DEPTH_MAX; i++)
        at = search_add(&tree, at, SEARCH_AND);
    assert_int_not_equal(at, SEARCH_NONE);
    assert_false(tree.is_cut);
    assert_int_equal(search_add(&tree, at, SEARCH_AND), SEARCH_NONE);
    assert_true(tree.is_cut);
    assert_int_equal(search_add_flag(&tree, SEARCH_NONE, SEARCH_READ), SEARCH_NONE);
}

static void no_operator_has_the_name_of_another(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= NAME_SMALLER; i++) {
        struct slice rest = slice_str(search_name_list((enum search_name)i));
        while (rest.n > 0) {
            struct slice name = slice_cut(rest, ' ', &rest);
            for (unsigned k = 0; k <= NAME_SMALLER && name.n > 0; k++)
                if (search_is_named(name, (enum search_name)k) != (k == i))
                    fail_msg(SLICE_FMT " is also another", SLICE_ARG(name));
        }
    }
}

static void names_are_the_same_whatever_their_case_and_accents(void **state)
{
    (void)state;
    assert_true(search_is_same(SLICE("Entw\xc3\xbcrfe"), SLICE("ENTWU\xcc\x88RFE")));
    assert_true(search_compare(SLICE("\xc3\x89toile"), SLICE("etoile")) == 0);
    assert_true(search_compare(SLICE("\xc3\xa9t\xc3\xa9"), SLICE("Fall")) < 0);
    assert_true(search_compare(SLICE("zu"), SLICE("\xc3\x9c"
                                                  "ber")) > 0);
    assert_true(search_compare(SLICE("e\xcc\x81"), SLICE("\xc3\x89")) == 0);
    assert_true(search_compare(SLICE("\xd0\x91"), SLICE("\xd0\xb0")) > 0); /* B, a */
    assert_true(search_compare(SLICE("a"), SLICE("a b")) < 0);
    assert_true(search_compare(SLICE("a\0b"), SLICE("a")) > 0);
    assert_true(search_compare(SLICE("\xff"), SLICE("")) > 0);
    assert_true(search_is_same(SLICE("Sent  mail"), SLICE("sent-mail")));
    assert_false(search_is_same(SLICE("Sent"), SLICE("Sent mail")));
    assert_false(search_is_same(SLICE("a"), SLICE("")));
    assert_true(search_is_same(SLICE("\xd0\x96"), SLICE("\xd0\xb6"))); /* Zhe */
    assert_false(search_is_same(SLICE("\xff"), SLICE("y")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_phrases_and_beginnings),
        cmocka_unit_test(or_binds_tighter_than_a_blank),
        cmocka_unit_test(operators_take_words_and_phrases),
        cmocka_unit_test(operators_have_names_in_five_languages),
        cmocka_unit_test(days_begin_at_the_local_midnight),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(what_makes_no_sense_is_read_as_words),
        cmocka_unit_test(the_last_word_may_be_unfinished),
        cmocka_unit_test(a_tree_keeps_its_bounds),
        cmocka_unit_test(trees_are_built_by_hand),
        cmocka_unit_test(no_operator_has_the_name_of_another),
        cmocka_unit_test(names_are_the_same_whatever_their_case_and_accents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
