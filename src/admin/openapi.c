/* The description of the interface (OpenAPI 3.0.3), from the tables. */
#include "admin/admin_int.h"

/* ---- schemas ---- */

static void write_words(struct out *j, const char *words)
{
    struct slice rest = slice_str(words);
    out_word(j, "type", "string");
    out_array(j, "enum");
    while (rest.n > 0)
        out_text(j, NULL, slice_cut(rest, '|', &rest));
    out_close(j);
}

static void write_reference(struct out *j, enum schema_id id)
{
    SCOPED(buf_finish) struct buf b = buf_make(200);
    buf_addf(&b, "#/components/schemas/%s", schema_row(id)->name);
    out_text(j, "$ref", buf_slice(&b));
}

static void write_list(struct out *j, const struct schema_field *f)
{
    out_word(j, "type", "array");
    out_object(j, "items");
    if (f->type == TYPE_MANY)
        write_reference(j, f->part);
    else
        out_word(j, "type", "string");
    out_close(j);
    out_number_if(j, "maxItems", f->max);
}

static void write_type(struct out *j, const struct schema_field *f)
{
    switch (f->type) {
    case TYPE_TEXT:
        out_word(j, "type", "string");
        out_number_if(j, "maxLength", f->max);
        break;
    case TYPE_NUMBER:
        out_word(j, "type", "integer");
        out_word(j, "format", "int64");
        out_number(j, "minimum", 0);
        out_number_if(j, "maximum", f->max);
        break;
    case TYPE_TRUTH:
        out_word(j, "type", "boolean");
        break;
    case TYPE_TIME:
        out_word(j, "type", "string");
        out_word(j, "format", "date-time");
        break;
    case TYPE_WORD:
        write_words(j, f->words);
        break;
    case TYPE_ONE: /* a reference stands alone in 3.0: the sentence goes around it */
        out_array(j, "allOf");
        out_object(j, NULL);
        write_reference(j, f->part);
        out_close(j);
        out_close(j);
        break;
    case TYPE_TEXTS:
    case TYPE_MANY:
        write_list(j, f);
        break;
    }
}

static void write_schema(struct out *j, const struct schema *s)
{
    size_t n_must = 0;
    out_object(j, s->name);
    out_word(j, "type", "object");
    out_word(j, "description", s->text);
    out_object(j, "properties");
    for (size_t i = 0; i < s->n_fields; i++) {
        out_object(j, s->fields[i].name);
        out_word(j, "description", s->fields[i].text);
        write_type(j, &s->fields[i]);
        out_close(j);
        n_must += s->fields[i].need == MUST;
    }
    out_close(j);
    if (n_must > 0) {
        out_array(j, "required");
        for (size_t i = 0; i < s->n_fields; i++)
            if (s->fields[i].need == MUST)
                out_word(j, NULL, s->fields[i].name);
        out_close(j);
    }
    out_truth(j, "additionalProperties", false);
    out_close(j);
}

/* ---- paths ---- */

static void write_param(struct out *j, struct slice name, bool is_path)
{
    const struct param *p = admin_param(name);
    must(p);
    struct schema_field f = {.type = p->type, .max = p->max, .words = p->words};
    out_object(j, NULL);
    out_text(j, "name", name);
    out_word(j, "in", is_path ? "path" : "query");
    out_truth(j, "required", is_path);
    out_word(j, "description", p->text);
    out_object(j, "schema");
    if (p->type == TYPE_TIME) /* a date alone will do */
        out_word(j, "type", "string");
    else
        write_type(j, &f);
    out_close(j);
    out_close(j);
}

static void write_params(struct out *j, const struct endpoint *e)
{
    struct slice path = slice_str(e->pattern), rest = slice_str(e->params);
    out_array(j, "parameters");
    for (ptrdiff_t at; (at = slice_find(path, '{')) >= 0;) {
        path = slice_skip(path, (size_t)at + 1);
        write_param(j, slice_cut(path, '}', &path), true);
    }
    while (rest.n > 0)
        write_param(j, slice_cut(rest, ' ', &rest), false);
    out_close(j);
}

static void write_content(struct out *j, const char *type, enum schema_id id)
{
    out_object(j, "content");
    out_object(j, type);
    out_object(j, "schema");
    if (id != SCHEMA_NONE)
        write_reference(j, id);
    else
        out_word(j, "type", strcmp(type, "text/plain") == 0 ? "string" : "object");
    out_close(j);
    out_close(j);
    out_close(j);
}

static void write_answers(struct out *j, const struct endpoint *e)
{
    bool is_text = e->run == do_metrics;
    out_object(j, "responses");
    out_object(j, e->status == 201 ? "201" : "200");
    out_word(j, "description", e->answer ? schema_row(e->answer)->text : e->summary);
    write_content(j, is_text ? "text/plain" : "application/json", e->answer);
    out_close(j);
    if (e->run == do_health) {
        out_object(j, "503");
        out_word(j, "description", "New mail is refused for the moment.");
        write_content(j, "application/json", e->answer);
        out_close(j);
    }
    out_object(j, "default");
    out_word(j, "description", schema_row(SCHEMA_PROBLEM)->text);
    write_content(j, "application/problem+json", SCHEMA_PROBLEM);
    out_close(j);
    out_close(j);
}

static void write_endpoint(struct out *j, const struct endpoint *e, const char *id)
{
    char method[10] = "";
    for (size_t i = 0; e->method[i] && i + 1 < sizeof(method); i++)
        method[i] = ascii_lower(e->method[i]);
    out_object(j, method);
    out_word(j, "operationId", id);
    out_word(j, "summary", e->summary);
    write_params(j, e);
    if (e->body != SCHEMA_NONE) {
        out_object(j, "requestBody");
        out_truth(j, "required", true);
        write_content(j, "application/json", e->body);
        out_close(j);
    }
    write_answers(j, e);
    out_close(j);
}

static void write_paths(struct out *j)
{
    static const char *const ids[] = {
#define ENDPOINT(method, path, place, handler, params, body, answer, status, summary) #handler,
#include "admin/admin_endpoint.def"
#undef ENDPOINT
    };
    out_object(j, "paths");
    for (size_t i = 0; i < admin_n_endpoints; i++) {
        bool is_first =
            i == 0 || strcmp(admin_endpoints[i].pattern, admin_endpoints[i - 1].pattern) != 0;
        if (is_first)
            out_object(j, admin_endpoints[i].pattern);
        write_endpoint(j, &admin_endpoints[i], ids[i]);
        bool is_last = i + 1 == admin_n_endpoints ||
                       strcmp(admin_endpoints[i].pattern, admin_endpoints[i + 1].pattern) != 0;
        if (is_last)
            out_close(j);
    }
    out_close(j);
}

void admin_openapi(struct buf *ret)
{
    struct out j = {.b = ret};
    out_object(&j, NULL);
    out_word(&j, "openapi", "3.0.3");
    out_object(&j, "info");
    out_word(&j, "title", "Staffetta administration");
    out_word(&j, "description",
             "Served on the node's local socket. Whoever may connect to the socket may ask; every "
             "change is written down with who and when.");
    out_word(&j, "version", VERSION);
    out_close(&j);
    write_paths(&j);
    out_object(&j, "components");
    out_object(&j, "schemas");
    for (unsigned i = SCHEMA_NONE + 1; i < SCHEMA_N; i++)
        write_schema(&j, schema_row(i));
    out_close(&j);
    out_close(&j);
    out_close(&j);
}

void do_openapi(struct admin_call *c)
{
    admin_openapi(&c->out);
    call_text(c, "application/json");
}
