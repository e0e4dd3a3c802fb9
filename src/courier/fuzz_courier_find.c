/* What DNS may say about a domain: records of any content, cut at 0xff, for every question. */
#include "courier/courier_int.h"

static enum err answer(void *arg, const struct ipc_name_ask *, mono_us, struct arena *a,
                       struct ipc_name_told *ret)
{
    struct slice rest = *(const struct slice *)arg, record;
    *ret = (struct ipc_name_told){.status = IPC_NAME_OK};
    ret->records = ARENA_ARRAY(a, struct ipc_name_record, 64);
    while (rest.n > 0 && ret->n_records < 64) {
        record = slice_cut(rest, '\xff', &rest);
        ret->records[ret->n_records++].data = record;
    }
    return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    struct courier_network net = {.hostname = "us.example",
                                  .timeouts = courier_timeouts_usual(),
                                  .resolve = answer,
                                  .resolve_arg = &input};
    struct ipc_job job = {.domain = SLICE("there.example")};
    struct courier_hosts hosts;
    struct courier_addresses addresses;
    struct courier_end end = {};
    bool is_found = courier_hosts_find(&net, &job, mono_now() + SECONDS(9), &hosts, &end);
    must(is_found == (hosts.n > 0) && hosts.n <= COURIER_HOSTS_MAX);
    must(is_found || end.phase == SMTP_PHASE_NAME);
    for (size_t i = 0; i < hosts.n; i++)
        must(hosts.host[i].name[0] &&
             (i == 0 || hosts.host[i - 1].preference <= hosts.host[i].preference));
    is_found =
        courier_addresses_find(&net, "x.example", 25, mono_now() + SECONDS(9), &addresses, &end);
    must(is_found == (addresses.n > 0) && addresses.n <= COURIER_ADDRESSES_MAX);
    return 0;
}
