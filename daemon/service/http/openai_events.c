/* daemon/service/http/openai_events.c - GET jobs/ID/events: what happened to a job, and its steps
 * as events of the type "metrics", newest first.
 *
 * Two lists of the store are merged, both read backwards from where the page begins: events by
 * their numbers, and steps, each of which knows the last event before it. So an id is a place in
 * both, which what happens meanwhile does not move, and a page costs as much as it shows.
 *
 *   "ftevent-12"     event 12 of the store
 *   "ftevent-7-100"  step 100 of job 7
 */
#include "daemon/service/http/openai.h"
#include "proto/phase.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_A_PAGE = 20, EVENTS_MAX = 100 };

/* What is older: events and steps with lesser numbers. */
struct place {
    int64_t event;
    int step;
};

/* The newest that are older than a place, one more than a page has. */
struct older {
    json_t *events; /* as they are answered */
    int64_t ids[EVENTS_MAX + 1];
    int n_events;
    struct step_at steps[EVENTS_MAX + 1];
    int n_steps;
};

/* ---- where a page begins ---- */

static int place_of_event(const struct run *run, int64_t event, struct place *ret, struct err *err)
{
    ret->event = event;
    return store_find_steps_before(run->runs->store, run->row.id, event, &ret->step, err);
}

/* A step that is gone, since it will be repeated, leaves its place to the one before. */
static int place_of_step(const struct run *run, int step, struct place *ret, struct err *err)
{
    struct step_at at = {0};
    int n = 0, rc = store_read_steps_back(run->runs->store, run->row.id, step + 1, &at, 1, &n, err);

    *ret = (struct place){n ? at.after_event + 1 : INT64_MAX, step};
    return rc;
}

static int read_place(const struct run *run, const char *after, struct place *ret, struct err *err)
{
    long long event;
    long job;
    int step, end = 0;

    *ret = (struct place){INT64_MAX, INT_MAX};
    if (!after || !after[0])
        return 0;
    if (sscanf(after, "ftevent-%ld-%d%n", &job, &step, &end) == 2 && !after[end] &&
        job == run->row.id && step > 0 && step < INT_MAX)
        return place_of_step(run, step, ret, err);
    if (sscanf(after, "ftevent-%lld%n", &event, &end) == 1 && !after[end] && event > 0)
        return place_of_event(run, event, ret, err);
    return err_set(err, ERR_INVALID, "after must be the id of an event of this job");
}

/* ---- events ---- */

static json_t *event_json(const char *id, int64_t at_ms, const char *level, const char *message)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s}", "object", "fine_tuning.job.event", "id", id,
                     "created_at", (json_int_t)(at_ms / 1000), "level", level, "message", message);
}

static int take_event(void *arg, const struct event_row *event, struct err *err)
{
    struct older *o = arg;
    char id[40], text[80];
    json_t *json;

    snprintf(id, sizeof(id), "ftevent-%lld", (long long)event->id);
    if (event->kind == EVENT_PHASE)
        snprintf(text, sizeof(text), "The phase is %s", phase_name(event->phase));
    else
        snprintf(text, sizeof(text), "The job is %s", openai_status(event->state));
    json = event_json(id, event->at_ms, event->state == RUN_FAILED ? "error" : "info",
                      event->text && event->text[0] ? event->text : text);
    if (!json || json_object_set_new(json, "type", json_string("message")) < 0 ||
        json_object_set_new(json, "data", json_object()) < 0 ||
        json_array_append(o->events, json) < 0) {
        json_decref(json);
        return err_nomem(err, sizeof(json_t));
    }
    json_decref(json);
    o->ids[o->n_events++] = event->id;
    return 0;
}

static json_t *real_or_none(double x)
{
    return isfinite(x) && x > 0 ? json_real(x) : NULL;
}

static json_t *metrics_json(const struct run *run, const struct step_at *at)
{
    const struct step_row *row = &at->row;
    char id[60], text[160];
    json_t *json;
    int n;

    snprintf(id, sizeof(id), "ftevent-%ld-%d", run->row.id, row->step);
    n = snprintf(text, sizeof(text), "Step %d/%d: training loss=%.4g", row->step,
                 run->row.steps_total, row->loss);
    if (row->eval_loss > 0)
        snprintf(text + n, sizeof(text) - (size_t)n, ", validation loss=%.4g", row->eval_loss);
    json = event_json(id, at->at_ms, "info", text);
    json_object_set_new(json, "type", json_string("metrics"));
    json_object_set_new(
        json, "data",
        json_pack("{s:i, s:i, s:o*, s:o*, s:o*, s:o*}", "step", row->step, "total_steps",
                  run->row.steps_total, "train_loss", real_or_none(row->loss), "valid_loss",
                  real_or_none(row->eval_loss), "learning_rate", real_or_none(row->learning_rate),
                  "grad_norm", real_or_none(row->grad_norm)));
    return json;
}

/* ---- a page ---- */

static int read_older(const struct run *run, const struct place *place, int limit, struct older *o,
                      struct err *err)
{
    int rc = store_read_events_back(run->runs->store, run->row.id, place->event, limit + 1,
                                    take_event, o, err);

    if (rc == 0)
        rc = store_read_steps_back(run->runs->store, run->row.id, place->step, o->steps, limit + 1,
                                   &o->n_steps, err);
    return rc;
}

/* The newest first. *ret_more: there are others behind them. */
static json_t *merge(const struct run *run, const struct older *o, int limit, bool *ret_more)
{
    json_t *page = json_array();
    int e = 0, s = 0;

    while (e + s < limit && (e < o->n_events || s < o->n_steps)) {
        bool is_step = s < o->n_steps && (e == o->n_events || o->steps[s].after_event >= o->ids[e]);
        if (is_step)
            json_array_append_new(page, metrics_json(run, &o->steps[s++]));
        else
            json_array_append(page, json_array_get(o->events, (size_t)e++));
    }
    *ret_more = e < o->n_events || s < o->n_steps;
    return page;
}

void openai_on_events(struct http_request *r, const struct run *run)
{
    struct older *o = calloc(1, sizeof(*o));
    struct openai_page page;
    struct place place;
    json_t *data;
    struct err err;
    bool more;
    int rc;

    if (!o || !(o->events = json_array())) {
        openai_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    } else if (openai_read_page(r, EVENTS_A_PAGE, EVENTS_MAX, &page)) {
        rc = read_place(run, page.after, &place, &err);
        if (rc == ERR_INVALID)
            openai_refuse(r, "after", "%s", err.text);
        else if (rc < 0 || read_older(run, &place, page.limit, o, &err) < 0)
            openai_fail(r, rpc_status_of(&err), err.text);
        else {
            data = merge(run, o, page.limit, &more);
            openai_reply_page(r, data, more);
        }
    }
    if (o)
        json_decref(o->events);
    free(o);
}
