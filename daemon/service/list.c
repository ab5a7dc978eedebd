/* daemon/service/list.c - see list.h. */
#include "daemon/service/list.h"
#include "daemon/service/job_access.h"
#include "daemon/service/job_filter.h"
#include "daemon/service/message.h"
#include "daemon/service/runs.h"
#include <stdlib.h>
#include <string.h>

enum { EVENTS_PAGE = 1000 };

/* The newest that pass, at most f->most of them. *ret_more: there are others. */
static size_t collect(const struct runs *runs, const struct job_filter *f, struct message_job *jobs,
                      Dash__V1__Job **pointers, bool *ret_more)
{
    size_t n = 0;
    int i;

    *ret_more = false;
    for (i = runs->n - 1; i >= 0 && !*ret_more; i--) {
        if (!job_filter_passes(f, &runs->items[i]->row))
            continue;
        *ret_more = n == f->most;
        if (*ret_more)
            break;
        message_job(runs->items[i], &jobs[n]);
        pointers[n] = &jobs[n].job;
        n++;
    }
    return n;
}

void list_on_jobs(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__ListJobsRequest *m = (const Dash__V1__ListJobsRequest *)message;
    Dash__V1__ListJobsResponse response = DASH__V1__LIST_JOBS_RESPONSE__INIT;
    struct message_job *jobs;
    struct job_filter f;
    struct err err;
    bool more;
    size_t i;

    if (job_filter_read(m, &f, &err) < 0) {
        rpc_fail(call, &err);
        return;
    }
    jobs = calloc(f.most, sizeof(*jobs));
    response.jobs = calloc(f.most, sizeof(Dash__V1__Job *));
    if (jobs && response.jobs) {
        response.n_jobs = collect(rpc_service(call), &f, jobs, response.jobs, &more);
        if (more)
            response.next_page_token = response.jobs[response.n_jobs - 1]->id;
        rpc_reply(call, &response.base);
    } else {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    }
    for (i = 0; i < response.n_jobs; i++)
        message_job_close(&jobs[i]);
    free(jobs);
    free(response.jobs);
}

struct event_list {
    Dash__V1__Event *items[EVENTS_PAGE + 1]; /* owned */
    size_t n;
};

static int keep_event(void *arg, const struct event_row *row, struct err *err)
{
    struct event_list *l = arg;
    Dash__V1__Event *e = malloc(sizeof(*e));

    if (!e)
        return err_nomem(err, sizeof(*e));
    message_event(row, e);
    e->text = strdup(row->text);
    if (!e->text) {
        free(e);
        return err_nomem(err, strlen(row->text));
    }
    l->items[l->n++] = e;
    return 0;
}

void list_on_events(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__ListEventsRequest *m = (const Dash__V1__ListEventsRequest *)message;
    Dash__V1__ListEventsResponse response = DASH__V1__LIST_EVENTS_RESPONSE__INIT;
    size_t most = m->page_size && m->page_size < EVENTS_PAGE ? m->page_size : EVENTS_PAGE, i;
    struct runs *runs = rpc_service(call);
    struct event_list *l = calloc(1, sizeof(*l));
    struct run *run = NULL;
    struct err err;
    int rc = l ? job_access_find(call, runs, m->id, &run, &err) : err_nomem(&err, sizeof(*l));

    if (rc == 0) /* one more than asked for: are there more? */
        rc = store_read_events(runs->store, run->row.id, m->after_event, (int)most + 1, keep_event,
                               l, &err);
    if (rc == 0) {
        response.more = l->n > most;
        response.n_events = response.more ? most : l->n;
        response.events = l->items;
        rpc_reply(call, &response.base);
    } else {
        rpc_fail(call, &err);
    }
    for (i = 0; l && i < l->n; i++) {
        free(l->items[i]->text);
        free(l->items[i]);
    }
    free(l);
}
