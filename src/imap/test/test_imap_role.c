/* What folders are for, by their names. */
#include "imap/role.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void names_of_many_languages_are_known(void **)
{
    static const struct {
        const char *name;
        enum imap_role role;
        const char *language;
    } cases[] = {
        {"Sent", IMAP_ROLE_SENT, "en"},
        {"SENT ITEMS", IMAP_ROLE_SENT, "en"},
        {"Gesendete Elemente", IMAP_ROLE_SENT, "de"},
        {"Entw\xc3\xbcrfe", IMAP_ROLE_DRAFTS, "de"},
        {"\xc3\x89l\xc3\xa9ments supprim\xc3\xa9s", IMAP_ROLE_TRASH, "fr"},
        {"Correo no deseado", IMAP_ROLE_JUNK, "es"},
        {"Archivio", IMAP_ROLE_ARCHIVE, "it"},
        {"Itens Enviados", IMAP_ROLE_SENT, "pt"},
        {"Verzonden items", IMAP_ROLE_SENT, "nl"},
        {"Kosz", IMAP_ROLE_TRASH, "pl"},
        {"Invoices", IMAP_ROLE_NONE, ""},
        {"", IMAP_ROLE_NONE, ""},
        {"Sent ", IMAP_ROLE_NONE, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct imap_role_name *row = imap_role_find(slice_str(cases[i].name));
        assert_int_equal(row ? row->role : IMAP_ROLE_NONE, cases[i].role);
        if (row)
            assert_string_equal(row->language, cases[i].language);
    }
}

static void a_missing_folder_gets_the_name_of_its_language(void **)
{
    assert_string_equal(imap_role_default(IMAP_ROLE_SENT, "en"), "Sent");
    assert_string_equal(imap_role_default(IMAP_ROLE_SENT, "de"), "Gesendete Elemente");
    assert_string_equal(imap_role_default(IMAP_ROLE_SENT, "xx"), "Sent");
    assert_string_equal(imap_role_default(IMAP_ROLE_INBOX, "de"), "INBOX");
    assert_string_equal(imap_role_default(IMAP_ROLE_TRASH, ""), "Trash");
}

static void every_language_has_a_name_for_every_role(void **)
{
    static const char *const languages[] = {"en", "it", "de", "fr", "es", "pt", "nl", "pl",
                                            "cs", "sk", "hu", "ro", "sv", "da", "nb", "fi",
                                            "ru", "uk", "tr", "el", "ja", "zh", "ko"};
    for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++)
        for (unsigned role = IMAP_ROLE_SENT; role < IMAP_ROLES; role++) {
            const char *name = imap_role_default((enum imap_role)role, languages[i]);
            const struct imap_role_name *row = imap_role_find(slice_str(name));
            assert_int_equal(row->role, role); /* no name stands for two roles */
            assert_true(i == 0 || strcmp(languages[i], "fr") == 0 ||
                        strcmp(name, imap_role_default((enum imap_role)role, "en")) != 0);
            assert_non_null(imap_role_attribute((enum imap_role)role));
        }
    assert_null(imap_role_attribute(IMAP_ROLE_INBOX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_many_languages_are_known),
        cmocka_unit_test(a_missing_folder_gets_the_name_of_its_language),
        cmocka_unit_test(every_language_has_a_name_for_every_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
