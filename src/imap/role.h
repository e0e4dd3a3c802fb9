/* What a folder is for, told by its name, where a server does not say so itself (RFC 6154). The
 * names are those that servers and mail programs give in many languages: role.def. Pure. */
#ifndef IMAP_ROLE_H
#define IMAP_ROLE_H

#include "base/base.h"

enum imap_role {
    IMAP_ROLE_NONE,
    IMAP_ROLE_INBOX,
    IMAP_ROLE_SENT,
    IMAP_ROLE_DRAFTS,
    IMAP_ROLE_TRASH,
    IMAP_ROLE_JUNK,
    IMAP_ROLE_ARCHIVE,
    IMAP_ROLES
};

struct imap_role_name {
    enum imap_role role;
    const char *language; /* "de" */
    const char *name;     /* UTF-8 */
};
/* The row of a name, NULL: none. `utf8`: one level of a path, decoded; the case of ASCII letters
 * does not count. Of two rows the lower address is the more usual name. Static. */
const struct imap_role_name *imap_role_find(struct slice utf8);
/* What a server of that language calls it first; English where that is not known. Not for NONE. */
const char *imap_role_default(enum imap_role role, const char *language);
/* "\Sent" (RFC 6154); NULL for NONE and INBOX. */
const char *imap_role_attribute(enum imap_role role);

#endif
