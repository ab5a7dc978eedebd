/* daemon/service/watch.c - see watch.h. Nothing is queued for a watcher: it knows the next step it
 * has not had, and reads it from the store when its stream can take more. */
#include "daemon/service/watch.h"
#include "daemon/service/message.h"
#include <stdlib.h>

enum { BATCH = 64 };

struct watcher {
    struct run *run;
    struct rpc_call *call;
    int next_step;
    bool events;
    int64_t last_event;          /* that it was sent */
    unsigned int events_version; /* of the run, of which all events were sent */
    unsigned int version_sent;   /* 0: nothing yet */
    bool steps_since;            /* steps were sent after the job */
    struct watcher *next, **prev;
};

static void remove_watcher(struct watcher *w)
{
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    rpc_set_data(w->call, NULL);
    free(w);
}

static bool send_job(struct watcher *w)
{
    Dash__V1__WatchJobResponse response = DASH__V1__WATCH_JOB_RESPONSE__INIT;
    struct message_job m;
    bool sent;

    message_job(w->run, &m);
    response.event_case = DASH__V1__WATCH_JOB_RESPONSE__EVENT_JOB;
    response.job = &m.job;
    w->version_sent = w->run->version;
    w->steps_since = false;
    sent = rpc_send(w->call, &response.base);
    message_job_close(&m);
    return sent;
}

static bool send_steps(struct watcher *w, const struct step_row *rows, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        Dash__V1__WatchJobResponse response = DASH__V1__WATCH_JOB_RESPONSE__INIT;
        Dash__V1__Step step;
        step_row_to_message(&rows[i], &step);
        response.event_case = DASH__V1__WATCH_JOB_RESPONSE__EVENT_STEP;
        response.step = &step;
        if (!rpc_send(w->call, &response.base))
            return false;
    }
    w->next_step = rows[n - 1].step + 1;
    w->steps_since = true;
    return true;
}

static int send_event(void *arg, const struct event_row *row, struct err *err)
{
    struct watcher *w = arg;
    Dash__V1__WatchJobResponse response = DASH__V1__WATCH_JOB_RESPONSE__INIT;
    Dash__V1__Event event;

    message_event(row, &event);
    response.event_case = DASH__V1__WATCH_JOB_RESPONSE__EVENT_HAPPENED;
    response.happened = &event;
    if (!rpc_send(w->call, &response.base))
        return err_nomem(err, sizeof(event));
    w->last_event = row->id;
    return 0;
}

/* The next events. *ret_some: there were some. */
static int send_events(struct watcher *w, bool *ret_some, struct err *err)
{
    int64_t before = w->last_event;
    int rc;

    *ret_some = false;
    if (!w->events || w->events_version == w->run->version)
        return 0;
    rc = store_read_events(w->run->runs->store, w->run->row.id, before, BATCH, send_event, w, err);
    *ret_some = w->last_event != before;
    if (rc == 0 && !*ret_some)
        w->events_version = w->run->version;
    return rc;
}

/* The call is over; what was sent stays sent, and the client can continue from there. */
static void give_up(struct watcher *w, const struct err *err)
{
    struct rpc_call *call = w->call;

    remove_watcher(w);
    rpc_fail(call, err);
}

/* Sends the next of what is new, if the stream is idle; on_writable comes when it has gone out. May
 * free w. */
static void advance(struct watcher *w)
{
    struct run *run = w->run;
    struct step_row rows[BATCH];
    struct rpc_call *call = w->call;
    bool final = run_is_final(run->row.state), sent = true, some = false;
    struct err err;
    int n = 0;

    if (!rpc_idle(call))
        return;
    err_nomem(&err, sizeof(struct message_job));
    if (w->version_sent != run->version && (!final || !w->version_sent)) {
        if (!send_job(w))
            give_up(w, &err);
        return;
    }
    if (w->next_step <= run->steps.done &&
        store_read_steps(run->runs->store, run->row.id, w->next_step, rows, BATCH, &n, &err) < 0) {
        give_up(w, &err);
        return;
    }
    if (n == 0 && send_events(w, &some, &err) < 0) {
        give_up(w, &err);
        return;
    }
    if (some)
        return;
    if (n > 0) {
        sent = send_steps(w, rows, n);
    } else if (w->version_sent != run->version || (final && w->steps_since)) {
        sent = send_job(w); /* a final one is the last word, whatever was the first */
    } else if (final) {
        remove_watcher(w);
        rpc_finish(call, RPC_OK, NULL);
    }
    if (!sent)
        give_up(w, &err);
}

int watch_add(struct run *run, struct rpc_call *call, const struct watch_from *from,
              struct err *err)
{
    struct watcher *w = calloc(1, sizeof(*w));

    if (!w)
        return err_nomem(err, sizeof(*w));
    w->run = run;
    w->call = call;
    w->next_step = from->step > 1 ? from->step : 1;
    w->events = from->events;
    w->last_event = from->after_event;
    w->next = run->watchers;
    w->prev = &run->watchers;
    if (w->next)
        w->next->prev = &w->next;
    run->watchers = w;
    rpc_set_data(call, w);
    advance(w);
    return 0;
}

void watch_wake(struct run *run)
{
    struct watcher *w, *next;

    for (w = run->watchers; w; w = next) {
        next = w->next;
        advance(w);
    }
}

void watch_end(struct run *run)
{
    struct watcher *w, *next;
    struct rpc_call *call;

    for (w = run->watchers; w; w = next) {
        next = w->next;
        call = w->call;
        remove_watcher(w);
        rpc_finish(call, RPC_NOT_FOUND, "the job was deleted");
    }
}

void watch_on_writable(struct rpc_call *call)
{
    struct watcher *w = rpc_data(call);

    if (w)
        advance(w);
}

void watch_on_gone(struct rpc_call *call)
{
    struct watcher *w = rpc_data(call);

    if (w)
        remove_watcher(w);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}
