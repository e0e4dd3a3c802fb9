/* Do the tables of an index say the same of each other? For `store verify`; each question is SQL
 * whose rows are contradictions. */
#include "store/index_db_int.h"

#include <stdio.h>

enum { TOLD_MAX = 5 }; /* of each kind in words */

static const struct {
    const char *what; /* and its two numbers */
    const char *sql;  /* two columns */
} questions[] = {
    {"held by another number than the accounts say: message, number",
     "SELECT m.id, m.n_holders FROM message m LEFT JOIN (SELECT id, count(*) AS n FROM"
     " (SELECT message AS id FROM email WHERE NOT is_gone UNION ALL"
     "  SELECT id FROM item WHERE kind = 5 AND NOT is_gone) GROUP BY id) h ON h.id = m.id"
     " WHERE m.n_holders <> coalesce(h.n, 0) OR m.has_holder <> (m.n_holders > 0)"},
    {"an email of a message that is not there: account, message",
     "SELECT e.account, e.message FROM email e LEFT JOIN message m ON m.id = e.message"
     " WHERE m.id IS NULL"},
    {"an email whose bytes are given up: account, message",
     "SELECT e.account, e.message FROM email e CROSS JOIN message m ON m.id = e.message"
     " WHERE NOT e.is_gone AND NOT m.is_kept"},
    {"a change of which the account does not know: account, number",
     "SELECT e.account, max(e.modseq) FROM email e LEFT JOIN account a ON a.person = e.account"
     " WHERE e.is_changed GROUP BY e.account HAVING max(e.modseq) > coalesce(a.modseq, -1)"},
    {"an email that merely came, and was changed: account, message",
     "SELECT account, message FROM email WHERE NOT is_changed"
     " AND (is_gone OR created <> 0 OR counted <> 0)"},
    {"emails that came do not count upwards: account, message",
     "SELECT account, message FROM (SELECT account, message, modseq,"
     " lag(modseq) OVER (PARTITION BY account ORDER BY message) AS before"
     " FROM email WHERE NOT is_changed) WHERE modseq <= before"},
    {"a mailbox of which the account does not know: mailbox, account",
     "SELECT b.id, b.person FROM mailbox b LEFT JOIN account a ON a.person = b.person"
     " WHERE a.person IS NULL OR a.modseq < b.modseq"},
    {"a tombstone that was purged, and is there: account, number",
     "SELECT a.person, e.modseq FROM account a CROSS JOIN email e INDEXED BY email_gone"
     " ON e.account = a.person AND e.is_gone AND e.modseq <= a.floor UNION ALL"
     " SELECT a.person, b.modseq FROM account a CROSS JOIN mailbox b"
     " ON b.person = a.person AND b.is_removed AND b.modseq <= a.floor UNION ALL"
     " SELECT a.person, i.modseq FROM account a CROSS JOIN item i"
     " ON i.account = a.person AND i.is_gone AND i.modseq <= a.floor"},
    {"an inbox that is not there: account, mailbox",
     "SELECT a.person, a.inbox FROM account a LEFT JOIN mailbox b ON b.id = a.inbox"
     " WHERE a.inbox <> 0 AND (b.id IS NULL OR b.is_removed OR b.person <> a.person)"},
};

struct check {
    sqlite3 *db;
    void (*say)(void *arg, const char *text);
    void *arg;
    unsigned n;
};

static enum err ask(struct check *c, size_t number, struct errinfo *ei)
{
    SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(c->db, questions[number].sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return index_db_err(ei, c->db, rc, questions[number].sql);
    for (unsigned told = 0; (rc = sqlite3_step(stmt)) == SQLITE_ROW; told++) {
        char text[200];
        c->n++;
        if (told >= TOLD_MAX)
            continue;
        (void)snprintf(text, sizeof(text), "%s %lld, %lld", questions[number].what,
                       (long long)sqlite3_column_int64(stmt, 0),
                       (long long)sqlite3_column_int64(stmt, 1));
        c->say(c->arg, text);
    }
    return rc == SQLITE_DONE ? ERR_OK : index_db_err(ei, c->db, rc, questions[number].sql);
}

enum err index_check(const char *path, void (*say)(void *arg, const char *text), void *arg,
                     unsigned *ret_n, struct errinfo *ei)
{
    SCOPED(index_db_close) sqlite3 *db = NULL;
    int version = 0;
    enum err err = index_db_open(path, SQLITE_OPEN_READONLY, &db, ei);
    if (err == ERR_OK)
        err = index_db_version(db, &version, ei);
    struct check c = {.db = db, .say = say, .arg = arg};
    if (err == ERR_OK && version == INDEX_VERSION)
        err = index_db_exec(db, "BEGIN", ei); /* all at one moment */
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]) && err == ERR_OK; i++)
        if (version == INDEX_VERSION)
            err = ask(&c, i, ei);
    *ret_n = c.n;
    return err;
}
