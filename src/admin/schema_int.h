/* What JSON we take and give: rows that check requests, make the description and test the answers.
 */
#ifndef ADMIN_SCHEMA_INT_H
#define ADMIN_SCHEMA_INT_H

#include "base/base.h"

#include <jansson.h>

enum schema_id {
    SCHEMA_NONE,
#define SCHEMA(id, name, text) SCHEMA_##id,
#define FIELD(type, name, need, max, text)
#define WORD(name, need, words, text)
#define PART(type, name, need, max, schema, text)
#define SCHEMA_END(id)
#include "admin/admin_schema.def"
#undef SCHEMA
#undef FIELD
#undef WORD
#undef PART
#undef SCHEMA_END
    SCHEMA_N
};

enum schema_type {
    TYPE_TEXT,
    TYPE_NUMBER,
    TYPE_TRUTH,
    TYPE_TIME,
    TYPE_TEXTS,
    TYPE_WORD,
    TYPE_ONE,
    TYPE_MANY
};
enum schema_need { MAY, MUST };

struct schema_field {
    const char *name, *text;
    enum schema_type type;
    enum schema_need need;
    uint64_t max;        /* bytes, value or items; 0: no ceiling of its own */
    const char *words;   /* WORD: "a|b|c" */
    enum schema_id part; /* ONE, MANY */
};
struct schema {
    const char *name, *text;
    const struct schema_field *fields;
    size_t n_fields;
};
const struct schema *schema_row(enum schema_id id); /* not SCHEMA_NONE */

enum {
    SCHEMA_DEPTH_MAX = 8,
    SCHEMA_VALUES_MAX = 1000000, /* each costs jansson about a hundred bytes */
};

/* Parse and check a body. `*ret` is the caller's (json_decref). ERR_INVALID with a text for people:
 * not JSON, too deep, unknown or missing members, wrong types, control characters, over a maximum.
 */
enum err schema_read(enum schema_id id, struct slice body, json_t **ret, struct errinfo *ei);
enum err schema_check(enum schema_id id, const json_t *value, struct errinfo *ei);
bool schema_is_word(const char *words, struct slice s); /* is it one of "a|b|c"? */

/* Members of a checked body; the default when it is left out. Borrowed from it. */
bool body_has(const json_t *body, const char *name);
struct slice body_text(const json_t *body, const char *name);
uint64_t body_number(const json_t *body, const char *name, uint64_t if_absent);
bool body_truth(const json_t *body, const char *name, bool if_absent);
const json_t *body_list(const json_t *body, const char *name, size_t *ret_n); /* NULL and 0: none */
struct slice body_item(const json_t *list, size_t i);

#endif
