/* Snippets: what is marked, what is escaped, where a text is cut (RFC 8621 section 5). */
#include "search/search.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static const char *snippet(const char *typed, enum search_field field, const char *text, size_t max,
                           struct buf *b)
{
    static struct search_tree tree;
    buf_clear(b);
    search_read(slice_str(typed), &(struct search_options){}, &tree);
    bool is_there = search_snippet(&tree, field, slice_str(text), max, b);
    assert_int_equal(is_there, b->n > 0);
    return buf_cstr(b);
}

static void what_was_looked_for_is_marked(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *text, *html;
    } rows[] = {
        {"offer", "the Offer of march", "the <mark>Offer</mark> of march"},
        {"offer", "offers", ""},
        {"off*", "Offers, off", "<mark>Offers</mark>, <mark>off</mark>"},
        {"cafe", "Caf\xc3\xa9 cafe\xcc\x81", "<mark>Caf\xc3\xa9</mark> <mark>cafe\xcc\x81</mark>"},
        {"caf\xc3\xa9", "CAFE", "<mark>CAFE</mark>"},
        {"\"of march\"", "of of March", "of <mark>of March</mark>"},
        {"\"of march\"", "of, march", "<mark>of, march</mark>"},
        {"\"of mar\"*", "of marching", "<mark>of marching</mark>"},
        {"\"of ma\"*", "off march", ""},
        {"a \"a b\"", "a b a", "<mark>a b</mark> <mark>a</mark>"},
        {"a -b", "a b", "<mark>a</mark> b"},
        {"from:a", "a", ""},
        {"subject:a OR is:unread", "a", "<mark>a</mark>"},
        {"b", "<b> & \"b\" 'x'",
         "&lt;<mark>b</mark>&gt; &amp; &quot;<mark>b</mark>&quot; &#39;x&#39;"},
        {"a", "a \xff\xc3 z\r\n\t y", "<mark>a</mark> \xef\xbf\xbd\xef\xbf\xbd z y"},
        {"mark", "<mark>", "&lt;<mark>mark</mark>&gt;"},
        {"", "a", ""},
    };
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(snippet(rows[i].typed, SEARCH_SUBJECT, rows[i].text, 0, &b),
                            rows[i].html);
}

static void a_preview_shows_where_most_is(void **state)
{
    (void)state;
    SCOPED(buf_finish) struct buf text = buf_make(100000);
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    for (int i = 0; i < 200; i++)
        buf_adds(&text, i == 20    ? SLICE("red ")
                        : i == 150 ? SLICE("red blue ")
                                   : SLICE("w\xc3\xb6rd "));
    const char *html = snippet("blue red", SEARCH_BODY, buf_cstr(&text), 255, &b);
    assert_non_null(strstr(html, "w\xc3\xb6rd <mark>red</mark> <mark>blue</mark> w\xc3\xb6rd"));
    assert_true(strlen(html) <= 255 && strlen(html) > 240);
    assert_true(strncmp(html, "w\xc3\xb6rd ", 6) == 0);
}

static void a_preview_is_cut_between_characters_at_every_length(void **state)
{
    (void)state;
    SCOPED(buf_finish) struct buf text = buf_make(10000);
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    for (int i = 0; i < 40; i++)
        buf_adds(&text, i % 7 == 3 ? SLICE("x\xe2\x82\xac ") : SLICE("&\xf0\x9f\x98\x80 "));
    for (size_t max = 64; max <= 255; max++) {
        const char *html = snippet("x", SEARCH_BODY, buf_cstr(&text), max, &b);
        size_t n = strlen(html), n_open = 0, n_close = 0;
        assert_in_range(n, max - 30, max);
        for (const char *p = html; (p = strstr(p, "<mark>")); p++)
            n_open++;
        for (const char *p = html; (p = strstr(p, "</mark>")); p++)
            n_close++;
        assert_true(n_open >= 1 && n_open == n_close);
        assert_null(strstr(html, "\xef\xbf\xbd"));
        assert_null(strstr(html, "& "));
    }
}

static void a_word_longer_than_the_preview_is_cut_inside_of_its_mark(void **state)
{
    (void)state;
    char text[400];
    SCOPED(buf_finish) struct buf b = buf_make(10000);
    memset(text, 'x', 399);
    text[399] = '\0';
    const char *html = snippet("xxx*", SEARCH_BODY, text, 64, &b);
    assert_int_equal(strlen(html), 64);
    assert_true(strncmp(html, "<mark>xxx", 9) == 0);
    assert_string_equal(html + 64 - 9, "xx</mark>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_looked_for_is_marked),
        cmocka_unit_test(a_preview_shows_where_most_is),
        cmocka_unit_test(a_preview_is_cut_between_characters_at_every_length),
        cmocka_unit_test(a_word_longer_than_the_preview_is_cut_inside_of_its_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
