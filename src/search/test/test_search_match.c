/* Expressions, what they cover, and judging the rest. */
#include "search/search.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void expressions_are_strings_and_our_own_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *expression;
        enum search_cover cover;
    } rows[] = {
        {"a", "((\"a\"))", SEARCH_COVER_ALL},
        {"a wor*", "((\"a\" AND \"wor*\" *))", SEARCH_COVER_ALL},
        {"subject:\"a b\"", "((subject : \"a b\"))", SEARCH_COVER_ALL},
        {"a -b -c", "((\"a\") NOT (\"b\" OR \"c\"))", SEARCH_COVER_ALL},
        {"-b", "((\"\001\") NOT (\"b\"))", SEARCH_COVER_ALL},
        {"a OR -b", "(((\"a\" OR (\"\001\" NOT (\"b\")))))", SEARCH_COVER_ALL},
        {"a OR b c", "(((\"a\" OR \"b\") AND \"c\"))", SEARCH_COVER_ALL},
        {"a is:unread", "((\"a\"))", SEARCH_COVER_PART},
        {"-a is:unread", "((\"\001\") NOT (\"a\"))", SEARCH_COVER_PART},
        {"a OR is:unread b", "((\"b\"))", SEARCH_COVER_PART},
        {"a OR is:unread", "", SEARCH_COVER_NONE},
        {"is:unread", "", SEARCH_COVER_NONE},
        {"", "", SEARCH_COVER_NONE},
        {"x\"y,NEAR(", "((\"x\"\"y,NEAR(\"))", SEARCH_COVER_ALL},
        {"\"x\001y\"", "((\"x y\"))", SEARCH_COVER_ALL},
        {"body:a*b:(c", "((body : \"a*b:(c\"))", SEARCH_COVER_ALL},
    };
    static struct search_tree tree;
    SCOPED(buf_finish) struct buf b = buf_make(SEARCH_EXPRESSION_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_clear(&b);
        search_read(slice_str(rows[i].typed), &(struct search_options){}, &tree);
        assert_int_equal(search_match_expression(&tree, 0, &b), rows[i].cover);
        assert_string_equal(buf_cstr(&b), rows[i].expression);
    }
}

/* Says yes to the nodes whose text or flag is in the list. */
struct world {
    const struct search_tree *tree;
    const char *words; /* that the message has */
    bool is_unread;
    unsigned n_asked;
};

static bool ask(void *arg, uint16_t at)
{
    struct world *w = arg;
    const struct search_node *n = &w->tree->nodes[at];
    w->n_asked++;
    if (n->kind == SEARCH_FLAG)
        return (n->flag == SEARCH_UNREAD) == w->is_unread;
    if (n->kind == SEARCH_NOT) /* a subtree about words */
        n = &w->tree->nodes[n->first];
    assert_int_equal(n->kind, SEARCH_TEXT);
    struct slice text = search_text(w->tree, n);
    return memmem(w->words, strlen(w->words), text.p, text.n) != NULL;
}

static void what_the_expression_leaves_is_judged(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *words;
        bool is_unread, is_answer;
        unsigned n_asked;
    } rows[] = {
        {"", "", false, true, 0},
        {"a b", "", false, true, 0}, /* the expression said it */
        {"a is:unread", "", true, true, 1},
        {"a is:unread", "", false, false, 1},
        {"a -is:unread", "", true, false, 1},
        {"a -is:unread", "", false, true, 1},
        {"a OR is:unread", "a", false, true, 1},
        {"a OR is:unread", "", true, true, 2},
        {"a OR is:unread", "", false, false, 2},
        {"is:unread is:read", "", true, false, 2},
    };
    static struct search_tree tree;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w = {&tree, rows[i].words, rows[i].is_unread, 0};
        search_read(slice_str(rows[i].typed), &(struct search_options){}, &tree);
        if (search_judge(&tree, ask, &w) != rows[i].is_answer || w.n_asked != rows[i].n_asked)
            fail_msg("%s, row %zu: asked %u", rows[i].typed, i, w.n_asked);
    }
}

static void words_beside_other_conditions_are_named(void **state)
{
    (void)state;
    static struct search_tree tree;
    SCOPED(buf_finish) struct buf b = buf_make(SEARCH_EXPRESSION_MAX);
    search_read(SLICE("x -y a OR is:unread OR -b"), &(struct search_options){}, &tree);
    uint16_t at = 0, node = 0;
    static const char *const expressions[] = {"\"a\"", "(\"\001\" NOT (\"b\"))"};
    for (int i = 0; i < 2; i++) {
        buf_clear(&b);
        assert_true(search_next_text(&tree, &at, &node));
        assert_int_equal(search_match_expression(&tree, node, &b), SEARCH_COVER_ALL);
        assert_string_equal(buf_cstr(&b), expressions[i]);
    }
    assert_false(search_next_text(&tree, &at, &node));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_are_strings_and_our_own_syntax),
        cmocka_unit_test(what_the_expression_leaves_is_judged),
        cmocka_unit_test(words_beside_other_conditions_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
