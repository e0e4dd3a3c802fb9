/* The tokenizer of the search: SQLite's unicode61 without accents, and before each word the tag of
 * the account. So one table holds all accounts, and the words of one lie together in it: nobody
 * else's can be found, and none of them is read for a question, not even for the beginning of a
 * word. Words are cut at STORE_SEARCH_TOKEN_MAX: nobody types the rest of a line of base64. */
#include "store/words_int.h"

enum { TAG_DIGIT_BITS = 6, TAG_FIRST = '0' };

void words_tag_set(struct words_tag *tag, uint64_t number)
{
    must(number < WORDS_ACCOUNTS_MAX);
    for (int i = WORDS_TAG_BYTES - 1; i >= 0; i--, number >>= TAG_DIGIT_BITS)
        tag->bytes[i] = (char)(TAG_FIRST + (number & ((1 << TAG_DIGIT_BITS) - 1)));
    tag->is_raw = false;
}

/* One a connection, as SQLite keeps it. */
struct words {
    fts5_tokenizer inner;
    void *inner_arg;
    struct words_tag *tag;
};

/* One a table. */
struct tokenizer {
    struct words *words;
    Fts5Tokenizer *inner;
};

typedef int token_fn(void *arg, int flags, const char *p, int n, int from, int to);

/* One call of tokenize. */
struct tagging {
    const struct words_tag *tag;
    void *arg;
    token_fn *token;
    int skipped; /* bytes of the text before what the inner one sees */
};

static int create(void *arg, const char **, int, Fts5Tokenizer **ret)
{
    static const char *options[] = {"remove_diacritics", "2"};
    struct words *words = arg;
    struct tokenizer *t = mem_new(sizeof(*t));
    t->words = words;
    int rc = words->inner.xCreate(words->inner_arg, options, 2, &t->inner);
    if (rc != SQLITE_OK)
        mem_free(&t);
    else
        *ret = (Fts5Tokenizer *)(void *)t;
    return rc;
}

static void delete (Fts5Tokenizer *tokenizer)
{
    struct tokenizer *t = (struct tokenizer *)(void *)tokenizer;
    t->words->inner.xDelete(t->inner);
    mem_free(&t);
}

static int cut(const char *p, int n)
{
    if (n <= STORE_SEARCH_TOKEN_MAX)
        return n;
    n = STORE_SEARCH_TOKEN_MAX;
    while (n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static int give(void *arg, int flags, const char *p, int n, int from, int to)
{
    const struct tagging *t = arg;
    char term[WORDS_TERM_MAX];
    n = cut(p, n);
    memcpy(term, t->tag->bytes, WORDS_TAG_BYTES);
    memcpy(term + WORDS_TAG_BYTES, p, (size_t)n);
    return t->token(t->arg, flags, term, WORDS_TAG_BYTES + n, from + t->skipped, to + t->skipped);
}

static int give_raw(const struct tagging *t, const char *p, int n)
{
    int rc = SQLITE_OK;
    for (int at = 0; at < n && rc == SQLITE_OK;) {
        int size = (unsigned char)p[at++];
        must(size > 0 && size <= n - at);
        rc = t->token(t->arg, 0, p + at, size, at, at + size);
        at += size;
    }
    return rc;
}

static int tokenize(Fts5Tokenizer *tokenizer, void *arg, int flags, const char *p, int n,
                    token_fn *token)
{
    struct tokenizer *t = (struct tokenizer *)(void *)tokenizer;
    struct tagging tagging = {.tag = t->words->tag, .arg = arg, .token = token};
    if (n <= 0)
        return SQLITE_OK;
    if (t->words->tag->is_raw)
        return give_raw(&tagging, p, n);
    if (p[0] == WORDS_EVERY) {
        int rc = token(arg, 0, tagging.tag->bytes, WORDS_TAG_BYTES, 0, 1);
        if (rc != SQLITE_OK)
            return rc;
        tagging.skipped = 1;
    }
    return t->words->inner.xTokenize(t->inner, &tagging, flags, p + tagging.skipped,
                                     n - tagging.skipped, give);
}

static void forget(void *arg)
{
    mem_free(&arg);
}

static fts5_api *api_of(sqlite3 *db)
{
    SCOPED(index_db_finalize) sqlite3_stmt *stmt = NULL;
    fts5_api *api = NULL;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &stmt, NULL) != SQLITE_OK)
        return NULL;
    (void)sqlite3_bind_pointer(stmt, 1, &api, "fts5_api_ptr", NULL);
    (void)sqlite3_step(stmt); /* what it is for is `api` */
    return api;
}

enum err words_register(sqlite3 *db, struct words_tag *tag, struct errinfo *ei)
{
    static fts5_tokenizer ours = {create, delete, tokenize};
    fts5_api *api = api_of(db);
    if (!api)
        return err_set(ei, ERR_INVALID, "this SQLite was built without FTS5");
    struct words *words = mem_new(sizeof(*words));
    words->tag = tag;
    int rc = api->xFindTokenizer(api, "unicode61", &words->inner_arg, &words->inner);
    if (rc == SQLITE_OK)
        return api->xCreateTokenizer(api, "staffetta", words, &ours, forget) == SQLITE_OK
                   ? ERR_OK
                   : err_set(ei, ERR_INVALID, "SQLite does not take our tokenizer");
    mem_free(&words);
    return err_set(ei, ERR_INVALID, "this SQLite has no tokenizer unicode61");
}
