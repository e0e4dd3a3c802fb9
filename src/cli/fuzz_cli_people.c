/* Files of people: any bytes give a list or a complaint, and a list is what the interface takes. */
#include "cli/cli_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *people = people_parse("people", slice_of((const char *)data, size));
    must(!people || json_is_array(people));
    char *text = people ? json_dumps(people, JSON_COMPACT) : NULL;
    must(!people || text);
    mem_free(&text);
    json_decref(people);
    return 0;
}
