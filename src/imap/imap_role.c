/* Folders by their names: a table and a walk over it. */
#include "imap/role.h"

static const struct imap_role_name names[] = {
#define ROLE(role, language, name) {IMAP_ROLE_##role, language, name},
#include "imap/role.def"
#undef ROLE
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

const struct imap_role_name *imap_role_find(struct slice utf8)
{
    for (size_t i = 0; i < NAMES; i++)
        if (slice_ieq(utf8, slice_str(names[i].name)))
            return &names[i];
    return NULL;
}

const char *imap_role_default(enum imap_role role, const char *language)
{
    const char *english = "INBOX";
    must(role > IMAP_ROLE_NONE && role < IMAP_ROLES);
    for (size_t i = NAMES; i-- > 0;) {
        if (names[i].role != role)
            continue;
        if (strcmp(names[i].language, "en") == 0)
            english = names[i].name;
    }
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].role == role && strcmp(names[i].language, language) == 0)
            return names[i].name;
    return english;
}

const char *imap_role_attribute(enum imap_role role)
{
    static const char *const attributes[IMAP_ROLES] = {
        [IMAP_ROLE_SENT] = "\\Sent",       [IMAP_ROLE_DRAFTS] = "\\Drafts",
        [IMAP_ROLE_TRASH] = "\\Trash",     [IMAP_ROLE_JUNK] = "\\Junk",
        [IMAP_ROLE_ARCHIVE] = "\\Archive",
    };
    must(role < IMAP_ROLES);
    return attributes[role];
}
