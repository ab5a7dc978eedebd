/* daemon/service/watch_list.c - see watch_list.h. A page is made anew at each look, from the newest
 * job on, and compared with what was sent: both are by falling ids. */
#include "daemon/service/watch_list.h"
#include "daemon/service/job_filter.h"
#include "daemon/service/message.h"
#include "proto/dash.pb-c.h"
#include <stdlib.h>
#include <string.h>

/* What a job was like when it was sent. */
struct sent {
    long id;
    unsigned int version;
    int steps;
};

struct list_watcher {
    struct rpc_call *call;
    struct job_filter filter;
    struct sent *sent; /* (filter.most), by falling ids */
    size_t n_sent;
    bool more;
    int running, queued; /* as they were sent; -1: nothing yet */
    struct list_watcher *next, **prev;
};

struct list_watchers {
    struct runs *runs;
    uv_timer_t timer; /* of the next look */
    struct list_watcher *first;
};

/* What a message is made of. */
struct news {
    struct sent *page; /* (most) */
    size_t n_page;
    bool more;
    struct message_job *jobs; /* (most) that are new or have changed */
    Dash__V1__Job **pointers;
    size_t n_jobs;
    char (*ids)[24]; /* (most) that have left the page */
    char **gone;
    size_t n_gone;
};

static void remove_watcher(struct list_watcher *w)
{
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    rpc_set_data(w->call, NULL);
    free(w->sent);
    free(w);
}

static void free_news(struct news *n)
{
    size_t i;

    for (i = 0; i < n->n_jobs; i++)
        message_job_close(&n->jobs[i]);
    free(n->page);
    free(n->jobs);
    free(n->pointers);
    free(n->ids);
    free(n->gone);
}

/* Room for `most` jobs. */
static bool make_news(size_t most, struct news *n)
{
    *n = (struct news){.page = calloc(most + 1, sizeof(*n->page)),
                       .jobs = calloc(most + 1, sizeof(*n->jobs)),
                       .pointers = calloc(most + 1, sizeof(Dash__V1__Job *)),
                       .ids = calloc(most + 1, sizeof(*n->ids)),
                       .gone = calloc(most + 1, sizeof(char *))};
    return n->page && n->jobs && n->pointers && n->ids && n->gone;
}

static void add_gone(struct news *n, long id)
{
    snprintf(n->ids[n->n_gone], sizeof(n->ids[0]), "%ld", id);
    n->gone[n->n_gone] = n->ids[n->n_gone];
    n->n_gone++;
}

static bool is_same(const struct sent *a, const struct sent *b)
{
    return a->version == b->version && a->steps == b->steps;
}

/* The next job of the page, by falling ids. *at: what was sent of those after the one before. */
static void compare_next(const struct list_watcher *w, const struct run *run, size_t *at,
                         struct news *n)
{
    struct sent now = {run->row.id, run->version, run->steps.done};
    bool known;

    while (*at < w->n_sent && w->sent[*at].id > now.id)
        add_gone(n, w->sent[(*at)++].id);
    known = *at < w->n_sent && w->sent[*at].id == now.id;
    if (!known || !is_same(&w->sent[*at], &now)) {
        message_job(run, &n->jobs[n->n_jobs]);
        n->pointers[n->n_jobs] = &n->jobs[n->n_jobs].job;
        n->n_jobs++;
    }
    *at += known;
    n->page[n->n_page++] = now;
}

static void compare(const struct list_watcher *w, const struct runs *runs, struct news *n)
{
    size_t at = 0;
    int i;

    for (i = runs->n - 1; i >= 0 && !n->more; i--) {
        if (!job_filter_passes(&w->filter, &runs->items[i]->row))
            continue;
        n->more = n->n_page == w->filter.most;
        if (!n->more)
            compare_next(w, runs->items[i], &at, n);
    }
    while (at < w->n_sent)
        add_gone(n, w->sent[at++].id);
}

static bool send_news(struct list_watcher *w, const struct runs *runs, struct news *n)
{
    Dash__V1__WatchJobsResponse response = DASH__V1__WATCH_JOBS_RESPONSE__INIT;
    int running = runs_count(runs, false), queued = runs_count(runs, true);

    if (!n->n_jobs && !n->n_gone && n->more == w->more && running == w->running &&
        queued == w->queued)
        return true;
    response.jobs = n->pointers;
    response.n_jobs = n->n_jobs;
    response.gone = n->gone;
    response.n_gone = n->n_gone;
    response.more = w->more = n->more;
    response.running = (uint32_t)(w->running = running);
    response.queued = (uint32_t)(w->queued = queued);
    free(w->sent);
    w->sent = n->page;
    w->n_sent = n->n_page;
    n->page = NULL;
    return rpc_send(w->call, &response.base);
}

/* May free w. */
static void look(struct list_watcher *w, const struct runs *runs)
{
    struct rpc_call *call = w->call;
    struct news n;
    bool ok;

    if (!rpc_idle(call))
        return; /* when it is, watch_list_on_writable() */
    ok = make_news(w->filter.most, &n);
    if (ok) {
        compare(w, runs, &n);
        ok = send_news(w, runs, &n);
    }
    free_news(&n);
    if (!ok) {
        remove_watcher(w);
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    }
}

static void look_at_all(uv_timer_t *timer)
{
    const struct list_watchers *l = timer->data;
    struct list_watcher *w, *next;

    for (w = l->first; w; w = next) {
        next = w->next;
        look(w, l->runs);
    }
}

void watch_list_wake(struct runs *runs)
{
    struct list_watchers *l = runs->list_watchers;

    if (l && l->first && !uv_is_active((uv_handle_t *)&l->timer))
        uv_timer_start(&l->timer, look_at_all, WATCH_LIST_MS, 0);
}

void watch_list_on_watch(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__WatchJobsRequest *m = (const Dash__V1__WatchJobsRequest *)message;
    static const Dash__V1__ListJobsRequest all = DASH__V1__LIST_JOBS_REQUEST__INIT;
    struct runs *runs = rpc_service(call);
    struct list_watchers *l = runs->list_watchers;
    struct list_watcher *w = calloc(1, sizeof(*w));
    struct err err;
    int rc = w ? job_filter_read(m->jobs ? m->jobs : &all, &w->filter, &err)
               : err_nomem(&err, sizeof(*w));

    if (rc == 0 && w->filter.before)
        rc = err_set(&err, ERR_INVALID, "page_token: only the first page can be watched");
    if (rc < 0) {
        free(w);
        rpc_fail(call, &err);
        return;
    }
    w->call = call;
    w->running = w->queued = -1;
    w->next = l->first;
    w->prev = &l->first;
    if (w->next)
        w->next->prev = &w->next;
    l->first = w;
    rpc_set_data(call, w);
    look(w, runs);
}

void watch_list_on_writable(struct rpc_call *call)
{
    if (rpc_data(call)) /* what has happened meanwhile */
        watch_list_wake(rpc_service(call));
}

void watch_list_on_gone(struct rpc_call *call)
{
    struct list_watcher *w = rpc_data(call);

    if (w)
        remove_watcher(w);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

int watch_list_open(struct runs *runs, struct err *err)
{
    struct list_watchers *l = calloc(1, sizeof(*l));

    if (!l)
        return err_nomem(err, sizeof(*l));
    l->runs = runs;
    uv_timer_init(runs->loop, &l->timer);
    l->timer.data = l;
    runs->list_watchers = l;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void watch_list_close(struct runs *runs)
{
    if (runs->list_watchers)
        uv_close((uv_handle_t *)&runs->list_watchers->timer, on_closed);
    runs->list_watchers = NULL;
}
