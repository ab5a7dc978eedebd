/* daemon/service/run.c - see run.h. 0 in the table: the event cannot happen in that state. */
#include "daemon/service/run.h"

static const char *const state_names[RUN_STATES] = {
    [RUN_QUEUED] = "QUEUED",       [RUN_STARTING] = "STARTING", [RUN_RUNNING] = "RUNNING",
    [RUN_SUCCEEDED] = "SUCCEEDED", [RUN_FAILED] = "FAILED",     [RUN_CANCELLED] = "CANCELLED",
    [RUN_PAUSED] = "PAUSED",
};

static const char *const event_words[RUN_EVENTS] = {
    [RUN_LAUNCHED] = "be launched",
    [RUN_FIRST_REPORT] = "report",
    [RUN_ADAPTER_WRITTEN] = "succeed",
    [RUN_STOPPED] = "stop",
    [RUN_BROKE] = "fail",
    [RUN_RANK_DIED] = "be queued again",
    [RUN_UNSTARTED] = "be queued again",
    [RUN_INTERRUPTED] = "be queued again",
    [RUN_REQUEUED] = "be in Slurm's queue again",
    [RUN_CANCEL] = "be cancelled",
    [RUN_PAUSE] = "be paused",
    [RUN_HELD] = "be paused",
    [RUN_RESUME] = "be resumed",
};

static const enum run_state table[RUN_STATES][RUN_EVENTS] = {
    [RUN_QUEUED] =
        {
            [RUN_LAUNCHED] = RUN_STARTING,
            [RUN_CANCEL] = RUN_CANCELLED,
            [RUN_PAUSE] = RUN_PAUSED,
            [RUN_RANK_DIED] = RUN_QUEUED,
            [RUN_UNSTARTED] = RUN_QUEUED,
            [RUN_INTERRUPTED] = RUN_QUEUED,
        },
    [RUN_STARTING] =
        {
            [RUN_FIRST_REPORT] = RUN_RUNNING,
            [RUN_ADAPTER_WRITTEN] = RUN_SUCCEEDED,
            [RUN_STOPPED] = RUN_CANCELLED,
            [RUN_BROKE] = RUN_FAILED,
            [RUN_RANK_DIED] = RUN_QUEUED,
            [RUN_UNSTARTED] = RUN_QUEUED,
            [RUN_INTERRUPTED] = RUN_QUEUED,
            [RUN_REQUEUED] = RUN_STARTING,
            [RUN_CANCEL] = RUN_STARTING,
            [RUN_PAUSE] = RUN_STARTING,
            [RUN_HELD] = RUN_PAUSED,
        },
    [RUN_RUNNING] =
        {
            [RUN_FIRST_REPORT] = RUN_RUNNING,
            [RUN_ADAPTER_WRITTEN] = RUN_SUCCEEDED,
            [RUN_STOPPED] = RUN_CANCELLED,
            [RUN_BROKE] = RUN_FAILED,
            [RUN_RANK_DIED] = RUN_QUEUED,
            [RUN_UNSTARTED] = RUN_QUEUED,
            [RUN_INTERRUPTED] = RUN_QUEUED,
            [RUN_REQUEUED] = RUN_STARTING,
            [RUN_CANCEL] = RUN_RUNNING,
            [RUN_PAUSE] = RUN_RUNNING,
            [RUN_HELD] = RUN_PAUSED,
        },
    [RUN_SUCCEEDED] = {[RUN_ADAPTER_WRITTEN] = RUN_SUCCEEDED},
    [RUN_FAILED] = {[RUN_BROKE] = RUN_FAILED, [RUN_RESUME] = RUN_QUEUED},
    [RUN_CANCELLED] = {[RUN_STOPPED] = RUN_CANCELLED, [RUN_RESUME] = RUN_QUEUED},
    [RUN_PAUSED] =
        {
            [RUN_HELD] = RUN_PAUSED,
            [RUN_CANCEL] = RUN_CANCELLED,
            [RUN_RESUME] = RUN_QUEUED,
        },
};

int run_apply(enum run_state state, enum run_event event, enum run_state *ret_state,
              struct err *err)
{
    enum run_state next = table[state][event];

    if (!next)
        return err_set(err, ERR_STATE, "a job that is %s cannot %s", state_names[state],
                       event_words[event]);
    *ret_state = next;
    return 0;
}

bool run_is_final(enum run_state state)
{
    return state == RUN_SUCCEEDED || state == RUN_FAILED || state == RUN_CANCELLED;
}

bool run_is_under_way(enum run_state state)
{
    return state == RUN_STARTING || state == RUN_RUNNING;
}

const char *run_state_name(enum run_state state)
{
    return state_names[state];
}
