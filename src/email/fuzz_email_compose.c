/* Any JSON as an Email to create: what is composed has clean line ends, and can be rendered. */
#include "email/email.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find_blob(void *, struct slice id, struct slice *ret)
{
    *ret = id; /* its own name is as good as any bytes */
    return id.n > 0 && id.p[0] != 'x';
}

/* CR and LF only together, lines not too long, a line end last. */
static void check_wire(struct slice m)
{
    size_t start = 0;
    for (size_t i = 0; i < m.n; i++) {
        must((m.p[i] == '\n') == (i > 0 && m.p[i - 1] == '\r'));
        must(m.p[i] != '\r' || (i + 1 < m.n && m.p[i + 1] == '\n'));
        must(m.p[i] != '\0' && i - start < 1000);
        if (m.p[i] == '\n')
            start = i + 1;
    }
    must(start == m.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct email_compose_options OPTIONS = {
        .domain = {"x.example", 9}, .now = 1, .blob = find_blob};
    json_t *create = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    if (!create)
        return 0;
    SCOPED(arena_destroy) struct arena *a = arena_create(8 << 20);
    SCOPED(buf_finish) struct buf out = buf_make(1 << 20), again = buf_make(1 << 22);
    struct slice ids[EMAIL_BLOBS_MAX];
    struct email_composed told;
    struct email_fault fault;
    (void)email_compose_blobs(create, a, ids);
    if (email_compose(create, &OPTIONS, a, &out, &told, &fault)) {
        struct email_want want;
        check_wire(buf_slice(&out));
        must(email_want_parse(create, EMAIL_CALL_GET, a, &want, NULL) != ERR_OK ||
             email_render(buf_slice(&out), SLICE(""), &want, &again, NULL) == ERR_OK);
    } else {
        json_t *error = email_fault_json(&fault);
        must(json_is_string(json_object_get(error, "type")));
        json_decref(error);
    }
    json_decref(create);
    return 0;
}
