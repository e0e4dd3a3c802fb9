/* For tests: makes of an index what older versions wrote for the same records, where mail only came
 * into inboxes, each with the uid that its account counted. A packed mailbox of today is one of
 * version 1 with 21 bytes behind it. */
#ifndef STORE_TEST_INDEX_OLD_H
#define STORE_TEST_INDEX_OLD_H

#define INDEX_OLD_4 "DROP TABLE mark; DROP INDEX email_gone; PRAGMA user_version = 4;"

#define INDEX_OLD_2                                                                                \
    "ALTER TABLE message RENAME COLUMN has_holder TO in_mailbox;"                                  \
    " ALTER TABLE message RENAME COLUMN n_holders TO n_entries;"                                   \
    " CREATE TABLE entry (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,"                         \
    " message INTEGER NOT NULL, modseq INTEGER NOT NULL, flags INTEGER NOT NULL,"                  \
    " thread INTEGER NOT NULL, PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;"                         \
    " INSERT INTO entry SELECT a.inbox, e.modseq, e.message, e.modseq, 0, e.thread"                \
    " FROM email e JOIN account a ON a.person = e.account;"                                        \
    " DROP TABLE account; DROP TABLE email; DROP TABLE item; DROP TABLE mark;"                     \
    " ALTER TABLE mailbox RENAME TO m; DROP INDEX mailbox_person;"                                 \
    " CREATE TABLE mailbox (id INTEGER PRIMARY KEY, person INTEGER NOT NULL,"                      \
    " tenant INTEGER NOT NULL, uid_next INTEGER NOT NULL, modseq INTEGER NOT NULL,"                \
    " facts BLOB NOT NULL); INSERT INTO mailbox SELECT id, person, tenant, 1, modseq,"             \
    " substr(facts, 1, length(facts) - 21) FROM m; DROP TABLE m; PRAGMA user_version = 2;"
#define INDEX_OLD_1                                                                                \
    INDEX_OLD_2 "INSERT OR IGNORE INTO thread SELECT * FROM thread_new; DROP TABLE thread_new;"    \
                " DROP TABLE evidence; DROP TABLE high; PRAGMA user_version = 1"

#endif
