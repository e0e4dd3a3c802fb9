/* The limits in force, as people see them: values of the settings, in the units of the table of
 * refusals. Not what enforces them: each room gets its numbers from its wiring. */
#include "daemon/limits.h"

#include "base/refuse.h"
#include "daemon/settings_int.h"

static const struct {
    enum refuse_id id;
    const char *key;
} decided[] = {
    {REFUSE_CONN_ADDRESS, "limits.connections_per_address"},
    {REFUSE_CONN_NETWORK, "limits.connections_per_network"},
    {REFUSE_CONN_TOTAL, "limits.connections"},
    {REFUSE_CONN_RATE, "limits.connections_per_minute"},
    {REFUSE_ERRORS, "limits.errors"},
    {REFUSE_COMMANDS, "limits.commands"},
    {REFUSE_IDLE_COMMANDS, "limits.commands_without_mail"},
    {REFUSE_MESSAGES, "limits.messages"},
    {REFUSE_TIMEOUT, "limits.time_command"},
    {REFUSE_LINE, "limits.command_line"},
    {REFUSE_RECIPIENTS, "limits.recipients"},
    {REFUSE_TOO_BIG, "limits.message"},
    {REFUSE_HEADER_SIZE, "limits.header"},
    {REFUSE_LOOP, "limits.hops"},
    {REFUSE_BYTES_IN_FLIGHT, "limits.bytes_in_flight"},
    {REFUSE_SENDING_MINUTE, "sending.messages_per_minute"},
    {REFUSE_SENDING_HOUR, "sending.recipients_per_hour"},
    {REFUSE_SENDING_DAY, "sending.recipients_per_day"},
    {REFUSE_ANSWERS_HOUR, "sending.answers_per_hour"},
    {REFUSE_DISK_LOW, "store.free_percent"},
    {REFUSE_STORE_BUSY, "store.queue"},
    {REFUSE_QUEUE_FULL, "queue.items"},
    {REFUSE_DESTINATION_BUSY, "queue.per_destination"},
    {REFUSE_PRIMARY_BUSY, "queue.per_primary"},
    {REFUSE_COURIER_JOBS, "courier.jobs"},
    {REFUSE_ADMIN_BUSY, "limits.admin_requests"},
    {REFUSE_WEB_CONN_TOTAL, "https.connections"},
    {REFUSE_WEB_CONN_ADDRESS, "https.connections_per_address"},
    {REFUSE_WEB_BUSY, "https.requests"},
    {REFUSE_WEB_ADDRESS, "https.requests_per_address"},
    {REFUSE_WEB_BYTES, "https.bytes"},
    {REFUSE_WEB_BYTES_ADDRESS, "https.bytes_per_address"},
    {REFUSE_WEB_STREAMS, "https.streams_per_person"},
};

void limits_apply(const struct settings *s)
{
    for (size_t i = 0; i < sizeof(decided) / sizeof(decided[0]); i++) {
        const struct settings_row *row = settings_row_of(decided[i].key);
        uint64_t value;
        must(row && row->size == sizeof(value));
        memcpy(&value, settings_field_of(s, row), sizeof(value));
        if (row->type == SETTINGS_TIME)
            value /= SECONDS(1); /* the table counts seconds */
        refuse_set_limit(decided[i].id,
                         (struct refuse_limit){value, row->key, settings_line(s, row->key) > 0});
    }
}
