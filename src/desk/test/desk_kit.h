/* A desk on a real store in a folder of its own; the test plays gate, courier, liaison, door and
 * administration over socket pairs. The desk's loop has a thread; the test's thread reads and
 * writes frames with time limits. Syncs can be held up, and the disk can be made small. For tests:
 * include it in one file of a program. */
#ifndef DESK_TEST_DESK_KIT_H
#define DESK_TEST_DESK_KIT_H

#include "desk_kit_base.h"
#include "desk_kit_company.h"
#include "desk_kit_link.h"
#include "desk_kit_mail.h"

/* ---- the ledger, as the index shows it ---- */

struct kit_rows {
    struct store_row rows[32];
    char address[32][100], text[32][300];
    size_t n;
};

static bool kit_keep_row(void *arg, const struct store_row *row)
{
    struct kit_rows *all = arg;
    assert_true(all->n < 32);
    size_t k = all->n++;
    all->rows[k] = *row;
    snprintf(all->address[k], sizeof(all->address[k]), SLICE_FMT, SLICE_ARG(row->facts.address));
    snprintf(all->text[k], sizeof(all->text[k]), SLICE_FMT, SLICE_ARG(row->last.text));
    return true;
}

static struct store_reader *kit_reader(void)
{
    struct store_reader *reader;
    struct errinfo ei = {""};
    if (store_reader_open(kit->folder, &reader, &ei) != ERR_OK)
        fail_msg("%s", ei.text);
    return reader;
}

static void kit_rows_of(uint64_t message, struct kit_rows *ret)
{
    struct store_reader *reader = kit_reader();
    struct errinfo ei;
    ret->n = 0;
    assert_int_equal(store_each_row_of(reader, message, kit_keep_row, ret, &ei), ERR_OK);
    store_reader_close(&reader);
}

/* Waits until the row has this disposition and no attempt is open. */
static void kit_await(uint64_t message, uint16_t rcpt, enum disposition want)
{
    struct kit_rows all;
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    do {
        kit_rows_of(message, &all);
        for (size_t i = 0; i < all.n; i++)
            if (all.rows[i].rcpt == rcpt && all.rows[i].last.disposition == want &&
                !all.rows[i].is_attempting)
                return;
        usleep(5000);
    } while (mono_now() < until);
    fail_msg("the row never was %s", disposition_name(want));
}

static bool kit_is_answered(uint64_t message)
{
    struct store_reader *reader = kit_reader();
    struct arena *a = arena_create(1 << 20);
    struct store_message m;
    struct errinfo ei;
    assert_int_equal(store_get_message(reader, message, a, &m, &ei), ERR_OK);
    bool is_answered = m.is_answered;
    arena_destroy(&a);
    store_reader_close(&reader);
    return is_answered;
}

static bool kit_find_event(void *arg, uint64_t, const struct record_event *e)
{
    const char **name = arg;
    if (!slice_eq(e->name, slice_str(*name)))
        return true;
    *name = NULL;
    return false;
}

static bool kit_has_event(const char *name)
{
    struct store_reader *reader = kit_reader();
    struct errinfo ei;
    assert_int_equal(store_each_event(reader, 0, 0, 0, kit_find_event, &name, &ei), ERR_OK);
    store_reader_close(&reader);
    return !name;
}

static void kit_await_event(const char *name)
{
    mono_us until = mono_now() + MILLISECONDS(KIT_WAIT_MS);
    while (!kit_has_event(name)) {
        if (mono_now() > until)
            fail_msg("no event %s", name);
        usleep(5000);
    }
}

/* accepted = the sum of what became of it. */
static void kit_check_sums(void)
{
    struct store_reader *reader = kit_reader();
    struct store_sums sums;
    struct errinfo ei;
    assert_int_equal(store_sums(reader, 0, &sums, &ei), ERR_OK);
    uint64_t all = 0;
    for (int i = DISPOSITION_WAITING; i <= DISPOSITION_MERGED; i++)
        all += sums.by[i];
    assert_int_equal(all, sums.accepted);
    store_reader_close(&reader);
}

/* ---- life ---- */

static int kit_setup(void **)
{
    kit = mem_new(sizeof(*kit));
    pthread_mutex_init(&kit->lock, NULL);
    pthread_cond_init(&kit->cond, NULL);
    kit->answer_within = kit_answer_within;
    kit_later = kit_utc_later = 0;
    snprintf(kit->folder, sizeof(kit->folder), "/tmp/desk-XXXXXX");
    assert_true(folder_make(&kit->own, kit->folder));
    log_init("test", LOG_ERROR);
    disk_set(false, false);
    kit_start();
    kit->gate = kit_link(IPC_GATE, 1);
    kit->courier = kit_link(IPC_COURIER, 1);
    return 0;
}

static int kit_teardown(void **)
{
    kit_stop();
    assert_true(folder_finish(&kit->own));
    pthread_cond_destroy(&kit->cond);
    pthread_mutex_destroy(&kit->lock);
    mem_free(&kit);
    return 0;
}

/* The program ends and begins again. */
static void kit_restart(void)
{
    kit_stop();
    kit_start();
    kit->gate = kit_link(IPC_GATE, 1);
    kit->courier = kit_link(IPC_COURIER, 1);
}

#endif
