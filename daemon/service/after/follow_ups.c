/* daemon/service/after/follow_ups.c - see follow_ups.h.
 *
 * A follow-up belongs to a run that asks for one; it is found by the run's id, and lives until the
 * run is deleted. advance() looks at one of them and begins the next thing that is due: a report to
 * MLflow, a command, a request. What is begun has its inputs copied, so it may end after the run is
 * gone.
 */
#include "daemon/service/after/follow_ups.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/job/job_read.h"
#include "core/json_file.h"
#include "core/log.h"
#include "daemon/service/after/command_run.h"
#include "daemon/service/after/mlflow.h"
#include "daemon/service/after/web.h"
#include "daemon/service/after/webhook.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RETRY_MS = 5000,
    RETRY_MAX_MS = 300000,
    TICK_MS = 1000,
    DAY_MS = 86400000,
    FINISH_MS = 30000,
    ERRANDS_MAX = 16,
    VARIABLES = 4
};

struct follow_up {
    struct follow_ups *all;
    struct follow_up *next;
    struct run *run; /* NULL: deleted */
    long id;
    struct job *job; /* what it asks for */
    /* what has been done; in the file */
    char run_id[MLFLOW_RUN_ID_SIZE];
    int sent_step;
    int closed, notified, called; /* the state whose end has been reported; 0: none */
    /* what is under way */
    struct command_run *command;
    bool asking; /* an errand is this one's */
    uint64_t retry_at_ms, delay_ms;
    bool given_up;
};

struct errand { /* in a thread of its own: a server may be slow, and the pool has few */
    uv_thread_t thread;
    uv_async_t done;
    struct errand *next;
    char *user; /* who asked for the job */
    struct follow_ups *all;
    struct follow_up *of;
    struct mlflow_report *report; /* NULL: a request at the end */
    char *strings[8];             /* that the report points to, or the URL and the body */
    char key[65];
    int state; /* of the run when it was begun */
    int rc;
    struct err err;
};

struct follow_ups {
    uv_loop_t *loop;
    char *state, *folder;
    struct follow_up *first;
    struct errand *errands; /* under way: one a user, so that none waits for another's server */
    int n_errands;
    uv_timer_t tick;
    bool closing;
    atomic_bool hurry; /* dashd ends: errands are to give up */
};

static void advance_all(struct follow_ups *f);

/* ---- what has been done ---- */

static char *path_of(const struct follow_ups *f, long id)
{
    char *path;

    return asprintf(&path, "%s/%ld.json", f->folder, id) < 0 ? NULL : path;
}

static void save(struct follow_up *u)
{
    char *path = path_of(u->all, u->id), *text;
    json_t *o =
        json_pack("{s:s, s:i, s:i, s:i, s:i}", "run_id", u->run_id, "sent_step", u->sent_step,
                  "closed", u->closed, "notified", u->notified, "called", u->called);
    struct err err;

    text = o ? json_dumps(o, 0) : NULL;
    if (path && text && u->run && file_write_durably(path, text, strlen(text), &err) < 0)
        log_warn("job %ld: what was sent to others is not written down: %s", u->id, err.text);
    free(text);
    free(path);
    json_decref(o);
}

/* False: nothing is known of it. */
static bool load(struct follow_up *u)
{
    char *path = path_of(u->all, u->id);
    const char *run_id;
    json_t *o = NULL;
    bool found =
        path && access(path, F_OK) == 0 && json_file_read(path, FILE_SMALL_MAX, &o, NULL) == 0;

    run_id = json_string_value(json_object_get(o, "run_id"));
    snprintf(u->run_id, sizeof(u->run_id), "%s", run_id ? run_id : "");
    u->sent_step = (int)json_integer_value(json_object_get(o, "sent_step"));
    u->closed = (int)json_integer_value(json_object_get(o, "closed"));
    u->notified = (int)json_integer_value(json_object_get(o, "notified"));
    u->called = (int)json_integer_value(json_object_get(o, "called"));
    json_decref(o);
    free(path);
    return found;
}

/* ---- finding them ---- */

static struct follow_up *find(const struct follow_ups *f, long id)
{
    struct follow_up *u;

    for (u = f->first; u && u->id != id; u = u->next)
        ;
    return u;
}

static bool asks_for_any(const struct job *job)
{
    return job->tracking.mlflow || job_has_command(job) || job->notify.url;
}

/* One that is in no list. */
static void destroy(struct follow_up *u)
{
    if (u->command)
        command_run_kill(u->command);
    job_free(u->job);
    free(u);
}

static void free_follow_up(struct follow_up *u)
{
    struct follow_up **link = &u->all->first;

    while (*link != u)
        link = &(*link)->next;
    *link = u->next;
    destroy(u);
}

/* The run's text is read once; one that asks for nothing is not looked at again. */
static struct follow_up *make(struct follow_ups *f, struct run *run)
{
    struct follow_up *u = calloc(1, sizeof(*u));
    bool known;

    run->followed = true;
    if (!u)
        return NULL;
    u->all = f;
    u->id = run->row.id;
    u->run = run;
    known = load(u);
    /* A job that had ended before dashd knew of follow-ups has none. */
    if ((run_is_final(run->row.state) && !known) ||
        job_from_yaml(run->row.job_yaml, &u->job, NULL) < 0 || !asks_for_any(u->job)) {
        job_free(u->job);
        free(u);
        return NULL;
    }
    u->next = f->first;
    f->first = u;
    if (!known)
        save(u);
    return u;
}

void follow_ups_look(struct follow_ups *f, struct run *run)
{
    struct follow_up *u = run->followed ? find(f, run->row.id) : make(f, run);

    if (!u || f->closing)
        return;
    if (!run_is_final(run->row.state) && (u->closed || u->notified || u->called)) {
        u->closed = u->notified = u->called = 0; /* it was resumed: its next end is another */
        save(u);
    }
    u->given_up = false;
}

void follow_ups_forget(struct follow_ups *f, struct run *run)
{
    struct follow_up *u = find(f, run->row.id);
    char *path = path_of(f, run->row.id);

    if (path)
        unlink(path);
    free(path);
    if (!u)
        return;
    u->run = NULL;
    if (!u->asking)
        free_follow_up(u);
}

int follow_ups_check(const struct job *job, const struct caller *caller, struct err *err)
{
    if (job_has_command(job) && caller->role < ROLE_ADMIN)
        return err_set(err, ERR_DENIED,
                       "notify.command runs as dashd's user, so only admins may name one, and %s "
                       "has the role %s: use notify.url",
                       caller->name, role_name(caller->role));
    return 0;
}

/* ---- the end of a job ---- */

static char *end_text(const struct run *run)
{
    const struct run_row *row = &run->row;
    const struct step_row *last =
        run->steps.n_recent ? &run->steps.recent[run->steps.n_recent - 1] : NULL;
    char id[24], *text;
    json_t *o;

    snprintf(id, sizeof(id), "%ld", row->id);
    o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:s}", "id", id, "name", row->name,
                  "state", run_state_name(row->state), "reason", row->reason, "output", row->output,
                  "steps_done", run->steps.done, "steps_total", row->steps_total, "started_ms",
                  (json_int_t)row->started_ms, "finished_ms", (json_int_t)row->finished_ms,
                  "created_by", row->created_by);
    if (last)
        json_object_set_new(o, "loss", json_real(last->loss));
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}

static void put_off(struct follow_up *u, const char *what, const char *why)
{
    int64_t ended = u->run ? u->run->row.finished_ms : 0;

    u->delay_ms = u->delay_ms ? u->delay_ms * 2 : RETRY_MS;
    if (u->delay_ms > RETRY_MAX_MS)
        u->delay_ms = RETRY_MAX_MS;
    if (u->delay_ms == RETRY_MS || u->delay_ms == RETRY_MAX_MS)
        log_warn("job %ld: %s: %s: it is tried again", u->id, what, why);
    u->retry_at_ms = uv_now(u->all->loop) + u->delay_ms;
    if (ended && clock_unix_ms() - ended > (int64_t)FOLLOW_UP_DAYS * DAY_MS) {
        u->given_up = true;
        log_error("job %ld: %s is given up, %d days after its end", u->id, what, FOLLOW_UP_DAYS);
    }
}

static void on_command_ended(void *arg, const char *words)
{
    struct follow_up *u = arg;

    u->command = NULL;
    if (words)
        log_warn("job %ld: notify.command: %s", u->id, words);
}

/* Once: a command that fails is reported, and not repeated. */
static void start_command(struct follow_up *u)
{
    const struct run_row *row = &u->run->row;
    char *variables[VARIABLES + 1] = {0}, *text = end_text(u->run), *log = NULL;
    struct command_spec spec = {.command = u->job->notify.command,
                                .variables = variables,
                                .input = text,
                                .folder = row->output};
    struct err err;
    int i, ok;

    u->called = (int)row->state;
    save(u);
    ok = asprintf(&variables[0], "DASH_JOB_ID=%ld", row->id) > 0 &&
         asprintf(&variables[1], "DASH_JOB_NAME=%s", row->name) > 0 &&
         asprintf(&variables[2], "DASH_JOB_STATE=%s", run_state_name(row->state)) > 0 &&
         asprintf(&variables[3], "DASH_JOB_OUTPUT=%s", row->output) > 0 &&
         asprintf(&log, "%s/logs/notify.log", row->output) > 0;
    spec.log = log;
    if (!ok || !text)
        log_error("job %ld: notify.command: there is no memory for it", u->id);
    else if (command_run_start(u->all->loop, &spec, on_command_ended, u, &u->command, &err) < 0)
        log_error("job %ld: notify.command: %s", u->id, err.text);
    for (i = 0; i < VARIABLES; i++)
        free(variables[i]);
    free(log);
    free(text);
}

/* ---- errands ---- */

static void free_errand(struct errand *e)
{
    size_t i;

    for (i = 0; i < sizeof(e->strings) / sizeof(e->strings[0]); i++)
        free(e->strings[i]);
    free(e->report);
    free(e->user);
    free(e);
}

static void do_errand(void *arg)
{
    struct errand *e = arg;

    e->rc = e->report ? mlflow_send(e->report, &e->err)
                      : webhook_send(e->strings[0], e->key, e->strings[1], &e->all->hurry, &e->err);
    uv_async_send(&e->done);
}

static void on_errand_closed(uv_handle_t *handle)
{
    free_errand(handle->data);
}

static void remove_errand(struct follow_ups *f, const struct errand *e)
{
    struct errand **link = &f->errands;

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    f->n_errands--;
}

/* Whether the user has an errand under way, or there is no room for one. */
static bool is_waiting(const struct follow_ups *f, const char *user)
{
    const struct errand *e;

    for (e = f->errands; e && strcmp(e->user, user) != 0; e = e->next)
        ;
    return e || f->n_errands == ERRANDS_MAX;
}

static void note_done(struct follow_up *u, const struct errand *e)
{
    const struct mlflow_report *r = e->report;

    u->delay_ms = u->retry_at_ms = 0;
    if (!r) {
        u->notified = e->state;
    } else {
        snprintf(u->run_id, sizeof(u->run_id), "%s", r->run_id);
        if (r->n)
            u->sent_step = r->steps[r->n - 1].step;
        if (r->status)
            u->closed = e->state;
    }
    save(u);
}

static void on_errand_done(uv_async_t *done)
{
    struct errand *e = done->data;
    struct follow_ups *f = e->all;
    struct follow_up *u = e->of;

    uv_thread_join(&e->thread);
    remove_errand(f, e);
    u->asking = false;
    if (e->rc == 0) {
        note_done(u, e);
    } else {
        if (e->report && e->report->run_id[0] && !u->run_id[0]) {
            snprintf(u->run_id, sizeof(u->run_id), "%s", e->report->run_id);
            save(u);
        }
        put_off(u, e->report ? "tracking.mlflow" : "notify.url", e->err.text);
    }
    uv_close((uv_handle_t *)&e->done, on_errand_closed);
    if (!u->run)
        free_follow_up(u);
    if (!f->closing)
        advance_all(f);
}

static void move_to_end(struct follow_up *u)
{
    struct follow_up **link = &u->all->first;

    while (*link != u)
        link = &(*link)->next;
    *link = u->next;
    while (*link)
        link = &(*link)->next;
    *link = u;
    u->next = NULL;
}

/* Takes over e. */
static void begin_errand(struct follow_up *u, struct errand *e)
{
    struct follow_ups *f = u->all;

    e->all = f;
    e->of = u;
    e->state = (int)u->run->row.state;
    e->done.data = e;
    e->user = strdup(u->run->row.created_by);
    move_to_end(u); /* the others' turn comes first next time */
    if (!e->user || uv_async_init(f->loop, &e->done, on_errand_done) < 0) {
        free_errand(e);
        put_off(u, "a request", "out of memory");
        return;
    }
    if (uv_thread_create(&e->thread, do_errand, e) < 0) {
        uv_close((uv_handle_t *)&e->done, on_errand_closed);
        put_off(u, "a request", "there is no thread for it");
        return;
    }
    e->next = f->errands;
    f->errands = e;
    f->n_errands++;
    u->asking = true;
}

static void begin_webhook(struct follow_up *u)
{
    struct errand *e = calloc(1, sizeof(*e));
    struct err err;

    if (!e)
        return;
    e->strings[0] = strdup(u->job->notify.url);
    e->strings[1] = end_text(u->run);
    if (!e->strings[0] || !e->strings[1] || webhook_key(u->all->state, e->key, &err) < 0) {
        free_errand(e);
        put_off(u, "notify.url", "its text or its key cannot be made");
        return;
    }
    begin_errand(u, e);
}

/* The steps that are to be sent; how the run ended, where these are the last. */
static int fill_report(const struct follow_up *u, struct mlflow_report *r, struct err *err)
{
    const struct run_row *row = &u->run->row;
    int rc = store_read_steps(u->run->runs->store, u->id, u->sent_step + 1, r->steps, MLFLOW_STEPS,
                              &r->n, err);

    snprintf(r->run_id, sizeof(r->run_id), "%s", u->run_id);
    r->started_ms = row->started_ms ? row->started_ms : row->created_ms;
    r->ended_ms = row->finished_ms ? row->finished_ms : clock_unix_ms();
    if (rc == 0 && run_is_final(row->state) &&
        (r->n ? r->steps[r->n - 1].step : u->sent_step) >= u->run->steps.done)
        r->status = row->state == RUN_SUCCEEDED ? "FINISHED"
                    : row->state == RUN_FAILED  ? "FAILED"
                                                : "KILLED";
    return rc;
}

static void begin_mlflow(struct follow_up *u)
{
    struct errand *e = calloc(1, sizeof(*e));
    const struct job_tracking *t = &u->job->tracking;
    struct err err = {0};
    int i;

    if (!e)
        return;
    e->report = calloc(1, sizeof(*e->report));
    if (!e->report || fill_report(u, e->report, &err) < 0) {
        free_errand(e);
        put_off(u, "tracking.mlflow", err.code ? err.text : "out of memory");
        return;
    }
    if (!e->report->n && !e->report->status) { /* nothing is due */
        free_errand(e);
        return;
    }
    e->report->stop = &u->all->hurry;
    e->report->server = e->strings[0] = strdup(t->mlflow);
    e->report->experiment = e->strings[1] = strdup(t->experiment ? t->experiment : "dash");
    e->report->name = e->strings[2] = strdup(u->run->row.name);
    e->report->output = e->strings[3] = strdup(u->run->row.output);
    e->report->yaml = e->strings[4] = strdup(u->run->row.job_yaml);
    if (asprintf(&e->strings[5], "%ld", u->id) < 0)
        e->strings[5] = NULL;
    e->report->job = e->strings[5];
    for (i = 0; i < 6 && e->strings[i]; i++)
        ;
    if (i == 6)
        begin_errand(u, e);
    else
        free_errand(e);
}

/* ---- which is next ---- */

static bool mlflow_is_due(const struct follow_up *u)
{
    const struct run *run = u->run;

    if (!u->job->tracking.mlflow || u->closed == (int)run->row.state)
        return false;
    return run_is_final(run->row.state) ||
           (run->steps.done > u->sent_step && run_is_under_way(run->row.state));
}

static void advance(struct follow_up *u)
{
    bool final = u->run && run_is_final(u->run->row.state);
    int state = final ? (int)u->run->row.state : 0;

    if (!u->run || u->given_up)
        return;
    if (final && job_has_command(u->job) && u->called != state && !u->command)
        start_command(u);
    if (u->asking || uv_now(u->all->loop) < u->retry_at_ms ||
        is_waiting(u->all, u->run->row.created_by))
        return;
    if (final && u->job->notify.url && u->notified != state)
        begin_webhook(u);
    else if (mlflow_is_due(u))
        begin_mlflow(u);
}

static void advance_all(struct follow_ups *f)
{
    struct follow_up *u, *next;

    for (u = f->first; u; u = next) {
        next = u->next;
        advance(u);
    }
}

static void on_tick(uv_timer_t *timer)
{
    advance_all(timer->data);
}

int follow_ups_open(uv_loop_t *loop, const char *state, struct follow_ups **ret, struct err *err)
{
    struct follow_ups *f = calloc(1, sizeof(*f));
    int rc;

    if (!f)
        return err_nomem(err, sizeof(*f));
    web_init();
    f->loop = loop;
    f->state = strdup(state);
    f->folder = file_join(state, "follow-ups");
    uv_timer_init(loop, &f->tick);
    f->tick.data = f;
    rc = f->state && f->folder ? file_make_folders(f->folder, err) : err_nomem(err, strlen(state));
    if (rc < 0) {
        follow_ups_close(f);
        return rc;
    }
    uv_timer_start(&f->tick, on_tick, TICK_MS, TICK_MS);
    *ret = f;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct follow_ups *f = handle->data;
    struct follow_up *u, *next;

    for (u = f->first; u; u = next) {
        next = u->next;
        destroy(u);
    }
    free(f->state);
    free(f->folder);
    free(f);
}

static bool is_busy(const struct follow_ups *f)
{
    const struct follow_up *u;

    for (u = f->first; u && !u->command; u = u->next)
        ;
    return f->errands || u;
}

/* What is due and does not fail is done now, within half a minute: the next dashd may be far off,
 * or, after `dashctl run`, there is none. */
static void finish(struct follow_ups *f)
{
    uint64_t until = uv_now(f->loop) + FINISH_MS;

    do {
        advance_all(f);
        if (is_busy(f))
            uv_run(f->loop, UV_RUN_ONCE);
    } while (is_busy(f) && uv_now(f->loop) < until);
}

/* The loop runs until the errands that are under way, whose threads have f, give up. What they have
 * done until then is written down: their runs are still there. */
void follow_ups_close(struct follow_ups *f)
{
    struct follow_up *u;

    if (!f)
        return;
    finish(f);
    f->closing = true;
    for (u = f->first; u; u = u->next) {
        if (u->command)
            command_run_kill(u->command);
        u->command = NULL;
    }
    uv_timer_stop(&f->tick); /* nothing new is begun */
    atomic_store(&f->hurry, true);
    while (f->errands)
        uv_run(f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&f->tick, on_closed);
}
