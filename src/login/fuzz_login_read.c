/* Fuzz target: what programs and pages send to log in. */
#include "login/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of((const char *)data, size);
    struct login_form form;
    const char *why;
    if (login_read_header(s, &form))
        must(form.way != LOGIN_BY_NOTHING && form.n_secret <= LOGIN_SECRET_MAX);
    if (login_read_json(s, &form, &why))
        must(form.way != LOGIN_BY_NOTHING && form.n_address <= LOGIN_ADDRESS_MAX);
    else
        must(why != NULL && form.n_secret == 0);
    login_form_wipe(&form);
    return 0;
}
