/* daemon/service/follow_logs.c - see follow_logs.h. A follower knows its job by id, and finds it
 * anew each time: it may have been deleted. */
#include "daemon/service/follow_logs.h"
#include "daemon/service/job_access.h"
#include "daemon/service/outcome.h"
#include "daemon/service/runs.h"
#include "proto/dash.pb-c.h"
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_MS = 250, CHUNK = 64 << 10 };

struct follower {
    uv_timer_t timer; /* freed when it is closed */
    struct rpc_call *call;
    char id[24];
    int64_t offset; /* -1: nothing was read yet */
    size_t first;   /* bytes of the past to send at most */
};

static void free_follower(uv_handle_t *handle)
{
    free(handle->data);
}

static void end(struct follower *f, const struct err *err)
{
    struct rpc_call *call = f->call;

    rpc_set_data(call, NULL);
    uv_close((uv_handle_t *)&f->timer, free_follower);
    if (err)
        rpc_fail(call, err);
    else
        rpc_finish(call, RPC_OK, NULL);
}

static bool send_text(struct follower *f, struct buf *text)
{
    Dash__V1__FollowLogsResponse m = DASH__V1__FOLLOW_LOGS_RESPONSE__INIT;

    m.text = text->data;
    m.next_offset = (uint64_t)f->offset;
    return rpc_send(f->call, &m.base);
}

/* Sends the next of what is new, if the stream is idle. May free f. */
static void advance(struct follower *f)
{
    struct run *run = NULL;
    struct buf text = {0};
    struct err err;
    bool over;

    if (!rpc_idle(f->call))
        return;
    if (runs_find(rpc_service(f->call), f->id, &run, &err) < 0) {
        end(f, &err);
        return;
    }
    over = !run->launch && run->row.state != RUN_QUEUED && !run_is_under_way(run->row.state);
    if (outcome_read_log(run->row.output, f->offset, f->offset < 0 ? f->first : CHUNK, &text,
                         &f->offset, &err) < 0)
        end(f, &err);
    else if (text.len > 0 && !send_text(f, &text))
        end(f, (err_nomem(&err, text.len), &err));
    else if (text.len == 0 && over)
        end(f, NULL);
    buf_free(&text);
}

static void on_look(uv_timer_t *timer)
{
    advance(timer->data);
}

void follow_logs_on_follow(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__FollowLogsRequest *m = (const Dash__V1__FollowLogsRequest *)message;
    struct runs *runs = rpc_service(call);
    struct follower *f;
    struct run *run = job_access_run(call, m->id);

    if (!run)
        return;
    f = calloc(1, sizeof(*f));
    if (!f) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    f->call = call;
    f->offset = m->from_offset ? (int64_t)m->from_offset : -1;
    f->first = outcome_log_bytes(m->max_bytes);
    snprintf(f->id, sizeof(f->id), "%ld", run->row.id);
    uv_timer_init(runs->loop, &f->timer);
    f->timer.data = f;
    uv_timer_start(&f->timer, on_look, LOOK_MS, LOOK_MS);
    rpc_set_data(call, f);
    advance(f);
}

void follow_logs_on_writable(struct rpc_call *call)
{
    struct follower *f = rpc_data(call);

    if (f)
        advance(f);
}

void follow_logs_on_gone(struct rpc_call *call)
{
    struct follower *f = rpc_data(call);

    if (f)
        uv_close((uv_handle_t *)&f->timer, free_follower);
    rpc_set_data(call, NULL);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}
