/* daemon/service/http/metrics_memory.c - see metrics_memory.h. */
#include "daemon/service/http/metrics_memory.h"
#include "core/file.h"
#include "daemon/service/launch_local.h"
#include "daemon/service/procs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS_MAX = 256 };

struct job_memory {
    long id, session;
    char mark[LOCAL_MARK_BYTES];
    double coordinator, workers; /* bytes */
};

struct memory_look {
    uv_work_t work;
    struct metrics_memory *of;    /* NULL: closed */
    struct http_request *request; /* NULL: its client has gone */
    void (*done)(struct http_request *r);
    int n;
    struct job_memory jobs[];
};

bool metrics_resident(long pid, char name[32], double *ret_bytes)
{
    char path[64], *text = NULL;
    const char *at;
    size_t len;
    bool ok;

    snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    if (file_read(path, FILE_SMALL_MAX, &text, &len, NULL) < 0)
        return false;
    at = strstr(text, "\nVmRSS:");
    ok = at && sscanf(text, "Name: %31s", name) == 1;
    if (ok)
        *ret_bytes = strtod(at + 7, NULL) * 1024;
    free(text);
    return ok;
}

/* ---- in the pool ---- */

static void measure(struct job_memory *job)
{
    long pids[RANKS_MAX];
    char name[32];
    double bytes;
    int n = procs_of_session(job->session, job->mark, NULL, pids, RANKS_MAX), i;

    for (i = 0; i < n; i++)
        if (metrics_resident(pids[i], name, &bytes)) {
            job->coordinator += strncmp(name, "dash-coord", 10) == 0 ? bytes : 0;
            job->workers += strncmp(name, "dash-worker", 11) == 0 ? bytes : 0;
        }
}

static void measure_all(uv_work_t *work)
{
    struct memory_look *look = work->data;
    int i;

    for (i = 0; i < look->n; i++)
        measure(&look->jobs[i]);
}

/* ---- on the loop ---- */

static void on_measured(uv_work_t *work, int status)
{
    struct memory_look *look = work->data;
    struct metrics_memory *m = look->of;
    struct http_request *r = look->request;

    (void)status;
    if (!m) {
        free(look);
        return;
    }
    free(m->last);
    m->last = look;
    m->now = NULL;
    m->taken_ms = uv_now(work->loop);
    look->request = NULL;
    if (r)
        look->done(r);
}

static bool is_here(const struct run *run)
{
    return run_is_under_way(run->row.state) && run->row.pid > 0 && !run->row.slurm;
}

static struct memory_look *make_look(const struct runs *runs)
{
    struct memory_look *look;
    int n = 0, i;

    for (i = 0; i < runs->n; i++)
        n += is_here(runs->items[i]);
    look = calloc(1, sizeof(*look) + (size_t)n * sizeof(look->jobs[0]));
    for (i = 0; look && i < runs->n; i++) {
        const struct run_row *row = &runs->items[i]->row;
        if (!is_here(runs->items[i]))
            continue;
        look->jobs[look->n].id = row->id;
        look->jobs[look->n].session = row->pid;
        local_mark(row->mark, look->jobs[look->n++].mark);
    }
    return look;
}

bool metrics_memory_look(struct metrics_memory *m, const struct runs *runs, struct http_request *r,
                         void (*done)(struct http_request *r))
{
    struct memory_look *look;

    if (m->now || (m->last && uv_now(runs->loop) - m->taken_ms < METRICS_MEMORY_MS))
        return false;
    look = make_look(runs);
    if (!look)
        return false;
    look->of = m;
    look->request = r;
    look->done = done;
    look->work.data = look;
    if (uv_queue_work(runs->loop, &look->work, measure_all, on_measured) < 0) {
        free(look);
        return false;
    }
    m->now = look;
    return true;
}

void metrics_memory_gone(struct metrics_memory *m, const struct http_request *r)
{
    if (m->now && m->now->request == r)
        m->now->request = NULL;
}

void metrics_memory_put(const struct metrics_memory *m, struct buf *b)
{
    int i;

    for (i = 0; m->last && i < m->last->n; i++) {
        const struct job_memory *job = &m->last->jobs[i];
        buf_printf(b, "dash_resident_memory_bytes{job=\"%ld\",process=\"coordinator\"} %.17g\n",
                   job->id, job->coordinator);
        buf_printf(b, "dash_resident_memory_bytes{job=\"%ld\",process=\"workers\"} %.17g\n",
                   job->id, job->workers);
    }
}

void metrics_memory_close(struct metrics_memory *m)
{
    if (m->now)
        m->now->of = NULL;
    free(m->last);
    *m = (struct metrics_memory){0};
}
