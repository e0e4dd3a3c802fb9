/* Faults of the sink: which reply, silence or hang-up is due at which stage. */
#include "sink_int.h"

#include <stdlib.h>

struct rule {
    struct sink_fault fault;
    uint64_t every, first; /* 0: always */
    struct slice part;     /* empty: any command */
    uint64_t n_visits, n_done;
};

static struct rule rules[SINK_STAGES][SINK_RULES_MAX];
static size_t n_rules[SINK_STAGES];

static const char *const stage_names[SINK_STAGES] = {"banner", "ehlo", "mail", "rcpt",
                                                     "data",   "body", "dot",  "accepted"};

static enum sink_stage stage_find(struct slice name, const char *option)
{
    for (size_t i = 0; i < SINK_STAGES; i++) {
        if (slice_eq(name, slice_str(stage_names[i])))
            return (enum sink_stage)i;
    }
    bench_die("%s: no such stage: " SLICE_FMT, option, SLICE_ARG(name));
}

/* Reads the leading conditions; returns what follows them. */
static struct slice rule_conditions(struct rule *rule, struct slice text, const char *option)
{
    for (;;) {
        struct slice rest, value, word = slice_cut(text, ' ', &rest);
        uint64_t *number = slice_eq(word, SLICE("every"))   ? &rule->every
                           : slice_eq(word, SLICE("first")) ? &rule->first
                                                            : NULL;
        if (!number && !slice_eq(word, SLICE("for")))
            return text;
        value = slice_cut(rest, ' ', &text);
        if (!number)
            rule->part = value;
        else if (!slice_u64(value, 1000000000, number))
            bench_die("%s: a number must follow " SLICE_FMT, option, SLICE_ARG(word));
    }
}

static struct rule *rule_add(enum sink_stage stage, const char *option)
{
    if (n_rules[stage] == SINK_RULES_MAX)
        bench_die("%s: at most %d rules a stage", option, SINK_RULES_MAX);
    return &rules[stage][n_rules[stage]++];
}

void sink_fault_option_reply(const char *name, const char *argument)
{
    struct rule *rule =
        rule_add(stage_find(slice_skip(slice_str(name), strlen("--reply-")), name), name);
    struct slice reply = rule_conditions(rule, slice_str(argument), name);
    uint64_t code;
    if (reply.n < 4 || !slice_u64(slice_of(reply.p, 3), 599, &code))
        bench_die("%s wants a reply such as \"451 4.3.0 later\"", name);
    rule->fault = (struct sink_fault){SINK_REPLY, reply.p};
}

static void option_stage(const char *name, const char *argument, enum sink_fault_kind kind)
{
    struct slice rest, stage = slice_cut(slice_str(argument), ' ', &rest);
    struct rule *rule = rule_add(stage_find(stage, name), name);
    rest = rule_conditions(rule, rest, name);
    if (rest.n)
        bench_die("%s: not understood: " SLICE_FMT, name, SLICE_ARG(rest));
    rule->fault = (struct sink_fault){kind, NULL};
}

void sink_fault_option_hang(const char *name, const char *argument)
{
    option_stage(name, argument, SINK_HANG);
}

void sink_fault_option_close(const char *name, const char *argument)
{
    option_stage(name, argument, SINK_CLOSE);
}

static bool rule_applies(struct rule *rule, struct slice command)
{
    if (rule->part.n && !memmem(command.p, command.n, rule->part.p, rule->part.n))
        return false;
    rule->n_visits++;
    if (rule->every && rule->n_visits % rule->every != 0)
        return false;
    if (rule->first && rule->n_done >= rule->first)
        return false;
    rule->n_done++;
    return true;
}

const struct sink_fault *sink_fault_at(enum sink_stage stage, struct slice command)
{
    for (size_t i = 0; i < n_rules[stage]; i++) {
        if (!rule_applies(&rules[stage][i], command))
            continue;
        sink_counts.faults++;
        return &rules[stage][i].fault;
    }
    return NULL;
}
