/* Arguments that point into earlier answers (RFC 8620 section 3.7). */
#include "jmap/jmap_int.h"

#include <stdio.h>

enum { POINTER_MAX = 500, STEPS_MAX = 20, RESULT_MAX = 100000 };

/* The first answer to that call, if it has that name. */
static json_t *answer_of(const struct jmap_run *r, const char *call, const char *name)
{
    json_t *one;
    size_t i;
    json_array_foreach(r->answers, i, one)
    {
        if (strcmp(json_string_value(json_array_get(one, 2)), call) != 0)
            continue;
        bool is_it = strcmp(json_string_value(json_array_get(one, 0)), name) == 0;
        return is_it ? json_array_get(one, 1) : NULL;
    }
    return NULL;
}

bool jmap_pointer_step(struct slice raw, char *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char ch = raw.p[i];
        if (ch == '~') {
            if (++i == raw.n || (raw.p[i] != '0' && raw.p[i] != '1'))
                return false;
            ch = raw.p[i] == '0' ? '~' : '/';
        }
        ret[n++] = ch;
    }
    ret[n] = '\0';
    return true;
}

static json_t *follow(struct jmap_run *r, json_t *from, struct slice path, int depth);

/* "*": what the rest of the path gives for each, in one flat array. Each array is a new one, and
 * stays until the call is answered: all that a request's references look at and take counts among
 * its values. */
static json_t *follow_all(struct jmap_run *r, json_t *array, struct slice rest, int depth)
{
    json_t *all = json_array(), *one;
    size_t i;
    json_array_foreach(array, i, one)
    {
        json_t *found = follow(r, one, rest, depth);
        r->n_values += 1 + json_array_size(found);
        bool is_much = json_array_size(all) + json_array_size(found) >= RESULT_MAX ||
                       r->n_values > JMAP_VALUES_MAX;
        if (is_much)
            jmap_count(REFUSE_JMAP_SHAPE, "values of result references", r->who);
        if (!found || is_much) {
            json_decref(found);
            json_decref(all);
            return NULL;
        }
        if (json_is_array(found))
            json_array_extend(all, found);
        else
            json_array_append(all, found);
        json_decref(found);
    }
    return all;
}

/* `path`: "" or "/step…". A new reference, or NULL. */
static json_t *follow(struct jmap_run *r, json_t *from, struct slice path, int depth)
{
    struct slice rest;
    char step[POINTER_MAX];
    uint64_t index;
    if (path.n == 0)
        return json_incref(from);
    if (path.p[0] != '/' || depth > STEPS_MAX)
        return NULL;
    struct slice raw = slice_cut(slice_skip(path, 1), '/', &rest);
    bool is_last = path.n == raw.n + 1;
    rest = is_last ? slice_of("", 0) : slice_skip(path, raw.n + 1);
    if (json_is_array(from) && slice_eq(raw, SLICE("*")))
        return follow_all(r, from, rest, depth + 1);
    if (raw.n >= POINTER_MAX || !jmap_pointer_step(raw, step))
        return NULL;
    json_t *next = NULL;
    if (json_is_object(from))
        next = json_object_get(from, step);
    else if (json_is_array(from) && slice_u64(raw, RESULT_MAX, &index) &&
             (raw.n == 1 || raw.p[0] != '0'))
        next = json_array_get(from, (size_t)index);
    return next ? follow(r, next, rest, depth + 1) : NULL;
}

static const char *resolve_one(struct jmap_run *r, json_t *args, const char *name,
                               const json_t *ref)
{
    const char *call = json_string_value(json_object_get(ref, "resultOf"));
    const char *method = json_string_value(json_object_get(ref, "name"));
    const char *path = json_string_value(json_object_get(ref, "path"));
    if (json_object_get(args, name + 1) || !call || !method || !path)
        return "invalidArguments";
    json_t *answer = strlen(path) < POINTER_MAX ? answer_of(r, call, method) : NULL;
    json_t *value = answer ? follow(r, answer, slice_str(path), 0) : NULL;
    if (!value)
        return "invalidResultReference";
    json_object_set_new(args, name + 1, value);
    json_object_del(args, name);
    return NULL;
}

const char *jmap_resolve(struct jmap_run *r, json_t *args)
{
    const char *name;
    json_t *value;
    void *next;
    const char *error = NULL;
    json_object_foreach_safe(args, next, name, value)
    {
        if (name[0] != '#' || error || jmap_is_late(r)) /* then the call is refused */
            continue;
        char *key = mem_str(name); /* the deletion frees the other one */
        json_t *ref = json_incref(value);
        error = resolve_one(r, args, key, ref);
        json_decref(ref);
        mem_free(&key);
    }
    return error;
}
