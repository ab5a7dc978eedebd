/* daemon/service/run_launch.c - see run_launch.h. The queue is not kept: it is the rows that are
 * QUEUED, by priority and by the time at which they were. */
#include "daemon/service/run_launch.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/job/job_read.h"
#include "core/job/job_roots.h"
#include "core/log.h"
#include "core/random.h"
#include "daemon/service/launch_local.h"
#include "daemon/service/outcome.h"
#include "daemon/service/results.h"
#include "daemon/service/run_end.h"
#include "daemon/service/run_evaluation.h"
#include "daemon/service/run_memory.h"
#include "daemon/service/run_report.h"
#include "daemon/service/run_slurm.h"
#include "proto/contact.h"
#include "proto/dash.pb-c.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GATE_LASTS_MS = 10000 };

/* Where the coordinator finds this dashd; again whenever that may have changed. */
static int write_contact(const struct run *run, struct err *err)
{
    const struct runs_options *o = &run->runs->options;
    char job[24], *path = file_join(run->row.output, CONTACT_FILE);
    struct contact contact = {.job = job, .token = (char *)run->row.token};
    int rc, i;

    if (!path)
        return err_nomem(err, strlen(run->row.output));
    snprintf(job, sizeof(job), "%ld", run->row.id);
    if (!run->row.slurm)
        contact.addresses[contact.n++] = o->server;
    if (run->row.slurm)
        contact.certificate = o->reports_certificate;
    for (i = 0; run->row.slurm && o->node_addresses && o->node_addresses[i] &&
                contact.n < CONTACT_ADDRESSES;
         i++)
        contact.addresses[contact.n++] = o->node_addresses[i];
    if (run->row.death_reason[0] && run->row.death_step == run->steps.done) {
        contact.died = run->row.death_reason;
        contact.died_at = run->row.death_step;
    }
    rc = contact_write(path, &contact, err);
    free(path);
    return rc;
}

static int prepare_output(const struct run *run, struct err *err)
{
    int rc = 0;

    if (run->row.kind == RUN_EVALUATION)
        return run_evaluation_prepare(run, err);
    if (run->row.restore_step)
        rc = results_cut_checkpoints(run->row.output, run->row.restore_step, err);
    if (rc == 0)
        rc = script_prepare(run->row.output, run->row.job_yaml, run->row.mark, err);
    return rc == 0 ? write_contact(run, err) : rc;
}

/* STARTING, with a token of its own. */
static int commit_starting(struct run *run, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    next.launch++;
    next.pid = 0;
    next.slurm_job = 0;
    next.started_ms = clock_unix_ms();
    next.log_offset = outcome_log_size(next.output);
    next.not_before_ms = 0;
    next.phase = 0;
    run->decomposition = (struct run_decomposition){0};
    run->interrupting = false;
    memcpy(next.boot_id, run->runs->boot_id, sizeof(next.boot_id));
    rc = random_hex(next.token, sizeof(next.token) / 2, err);
    if (rc == 0)
        rc = script_make_mark(next.mark, err);
    if (rc == 0)
        rc = run_transit(run, &next, RUN_LAUNCHED, "", err);
    if (rc == 0)
        run_totals_add_wait(&run->runs->totals,
                            (double)(run->row.started_ms - run->row.queued_ms) / 1000);
    if (rc == 0 && run->row.kind == RUN_EVALUATION)
        run->steps.done = 0; /* it measures anew */
    return rc;
}

/* mpirun would report it too, at length. */
static int check_programs(const char *folder, struct err *err)
{
    static const char *const names[] = {"dash-coordinator", "dash-worker"};
    int rc = 0;
    size_t i;

    for (i = 0; i < 2 && rc == 0; i++) {
        char *path = file_join(folder, names[i]);
        if (!path)
            return err_nomem(err, strlen(folder));
        if (access(path, X_OK) < 0)
            rc = err_errno(err, "%s cannot be run", path);
        free(path);
    }
    return rc;
}

/* Caller frees; NULL for lack of memory. */
static char *host_name(void)
{
    char name[HOST_NAME_MAX + 1] = "";

    if (gethostname(name, sizeof(name) - 1) < 0)
        strcpy(name, "localhost");
    return strdup(name);
}

static int start_here(struct run *run, struct err *err)
{
    struct runs *r = run->runs;
    struct run_row next = run->row;
    struct local_spec spec = {
        .output = run->row.output,
        .programs = r->options.programs,
        .mark = run->row.mark,
        .workers = run->row.workers,
        .evaluation = run->row.kind == RUN_EVALUATION,
    };
    int rc;

    next.nodes = host_name();
    if (!next.nodes)
        return err_nomem(err, HOST_NAME_MAX);
    rc = local_start(r->loop, &spec, run_on_launch_end, run, &run->launch, &next.pid,
                     &next.pid_start, err);
    if (rc == 0)
        run_memory_begin(run, next.pid);
    if (rc == 0 && run_save(run, &next, err) == 0) {
        local_go(run->launch);
        runs_arm(r); /* the tick looks at evaluations */
        return 0;
    }
    free(next.nodes);
    if (rc == 0) { /* never through the gate: to the queue again */
        run_log_once(run, "cannot be started now", err);
        run->interrupting = true;
        launch_kill(run->launch);
    }
    return rc;
}

/* Paths led to allowed folders when the job was submitted; links may have changed. */
static int check_roots(const struct run *run, struct err *err)
{
    const struct job_roots *roots = run->runs->options.check.roots;
    struct problems problems = {0};
    struct job *job = NULL;
    int rc = 0;

    if (run->row.kind == RUN_EVALUATION)
        return run_evaluation_check_roots(run, err);
    if (roots && roots->n)
        rc = job_from_yaml(run->row.job_yaml, &job, err);
    if (rc == 0 && job)
        job_roots_check(job, roots, &problems);
    if (problems.n)
        rc = err_set(err, ERR_INVALID, "%s", problems.items[0].text);
    problems_free(&problems);
    job_free(job);
    return rc;
}

static int start_launch(struct run *run, struct err *err)
{
    int rc = check_programs(run->runs->options.programs, err);

    if (rc == 0)
        rc = check_roots(run, err);
    if (rc == 0)
        rc = prepare_output(run, err);
    if (rc < 0)
        return rc;
    return run->row.slurm ? run_start_slurm(run, err) : start_here(run, err);
}

static void start_run(struct run *run)
{
    struct err err;
    int rc;

    rc = commit_starting(run, &err);
    if (rc < 0) {
        run_log_once(run, "cannot be started now", &err);
        runs_arm(run->runs); /* it is in the queue still */
        return;
    }
    rc = start_launch(run, &err);
    if (rc == ERR_STATE && uv_now(run->runs->loop) < run->gate_until_ms)
        run_end(run, RUN_UNSTARTED, NULL);
    else if (rc < 0)
        run_end(run, RUN_BROKE, strdup(err.text));
}

/* It keeps its place while it waits out the delay of a restart. */
static bool is_restarting(const struct run *run)
{
    return run->row.state == RUN_QUEUED && run->row.not_before_ms > clock_unix_ms();
}

/* It takes a place on this machine. */
static bool is_here(const struct run *run)
{
    return !run->row.slurm &&
           (is_restarting(run) || run->launch || run_is_under_way(run->row.state));
}

static int count_launches(const struct runs *r)
{
    int n = 0, i;

    for (i = 0; i < r->n; i++)
        n += is_here(r->items[i]);
    return n;
}

/* What those here take, by their plans. */
static double memory_taken(const struct runs *r)
{
    double sum = 0;
    int i;

    for (i = 0; i < r->n; i++)
        if (is_here(r->items[i]))
            sum += (double)r->items[i]->row.memory_bytes;
    return sum;
}

/* Two jobs that swap are slower than one after the other. One alone is started whatever it needs:
 * its user has seen the plan. */
static bool has_memory(const struct run *run)
{
    const struct runs *r = run->runs;

    return run->row.slurm || count_launches(r) == 0 ||
           memory_taken(r) + (double)run->row.memory_bytes <= r->options.memory_bytes;
}

/* Why it does not start, where its user looks. */
static void note_memory(struct run *run)
{
    const struct runs *r = run->runs;
    struct run_row next = run->row;
    char text[200];

    snprintf(text, sizeof(text),
             "waits for memory: it needs about %.0f MB, and what runs may take %.0f of %.0f MB",
             (double)run->row.memory_bytes / 1e6, memory_taken(r) / 1e6,
             r->options.memory_bytes / 1e6);
    if (strcmp(run->row.reason, text) == 0 || !(next.reason = strdup(text)))
        return;
    if (run_save(run, &next, NULL) < 0)
        free(next.reason);
}

/* The first in the queue whose last launch is over and for which there is room: Slurm has
 * always. */
static struct run *first_in_queue(struct runs *r, bool room)
{
    int64_t now = clock_unix_ms();
    struct run *first = NULL;
    int i;

    for (i = 0; i < r->n; i++) {
        struct run *run = r->items[i];
        if (run->row.state == RUN_QUEUED && !run->launch && run->ending.kind == ENDING_NONE &&
            (room || run->row.slurm) && run->row.not_before_ms <= now &&
            (!first || run_is_before(&run->row, &first->row)))
            first = run;
    }
    return first;
}

/* The first, but for one that waits for memory: nothing smaller overtakes it here, so that it does
 * not wait forever. */
static struct run *next_in_queue(struct runs *r)
{
    struct run *first = first_in_queue(r, count_launches(r) < r->options.max_running);

    if (!first || has_memory(first))
        return first;
    note_memory(first);
    return first_in_queue(r, false);
}

bool runs_any_launch(const struct runs *r)
{
    int i;

    for (i = 0; i < r->n; i++)
        if (r->items[i]->launch)
            return true;
    return false;
}

void runs_schedule(struct runs *r)
{
    struct run *run;

    while (!r->stopping && (run = next_in_queue(r))) {
        start_run(run);
        if (run->row.state == RUN_QUEUED)
            return; /* the store refuses: runs_tick() tries again */
    }
}

static const char *why_to_stop(const struct run *run)
{
    if (run->interrupting)
        return "dashd stops its jobs";
    return run->row.stop == STOP_PAUSE ? "paused" : "cancelled";
}

void run_ask_to_stop(struct run *run)
{
    Dash__V1__CoordinatorCommand command = DASH__V1__COORDINATOR_COMMAND__INIT;
    Dash__V1__Stop stop = DASH__V1__STOP__INIT;

    if (!run->launch)
        return;
    if (run->report && !run->stop_sent) {
        stop.reason = (char *)why_to_stop(run);
        command.command_case = DASH__V1__COORDINATOR_COMMAND__COMMAND_STOP;
        command.stop = &stop;
        run->stop_sent = true;
        if (!rpc_send(run->report, &command.base))
            run_drop_report(run, "dashd is out of memory"); /* reported at its next Hello */
    } else if (!run->report && !run->kill_at_ms) {
        launch_stop(run->launch);
    }
    if (!run->kill_at_ms)
        run_set_deadline(run, (uint64_t)run->runs->options.stop_grace_s * 1000);
}

/* dashd died between the commit of STARTING and that of the pid. */
static void end_at_gate(struct run *run)
{
    run->gate_until_ms = uv_now(run->runs->loop) + GATE_LASTS_MS;
    run_end(run, RUN_UNSTARTED, NULL);
}

/* What follows where a launch of an earlier dashd is found. */
static void continue_to_its_end(struct run *run)
{
    if (run->launch && run->row.stop)
        run_ask_to_stop(run);
    else if (run->launch && !run_is_under_way(run->row.state))
        run_set_deadline(run, (uint64_t)run->launch->ops->linger_ms);
}

static int adopt_evaluation(struct run *run, struct err *err)
{
    int rc = run_evaluation_look(run, err);

    if (rc == 0)
        continue_to_its_end(run);
    return rc;
}

int run_adopt(struct run *run, struct err *err)
{
    struct run_row *row = &run->row;
    bool same_boot = strcmp(row->boot_id, run->runs->boot_id) == 0;
    struct err late;
    int rc = 0;

    if (row->slurm)
        rc = run_adopt_slurm(run, err);
    else if (row->pid)
        rc = local_adopt(run->runs->loop, row->pid, row->pid_start, same_boot, row->mark,
                         run_on_launch_end, run, &run->launch, err);
    else if (row->state == RUN_STARTING || row->state == RUN_RUNNING)
        end_at_gate(run);
    if (rc < 0)
        return rc;
    if (row->kind == RUN_EVALUATION)
        return adopt_evaluation(run, err);
    if (run->launch && write_contact(run, &late) < 0)
        run_log_once(run, "may not find this dashd", &late);
    continue_to_its_end(run);
    return 0;
}

void runs_notify_stopped(struct runs *r)
{
    void (*done)(void *arg) = r->on_stopped;

    r->on_stopped = NULL;
    uv_timer_stop(r->tick);
    done(r->on_stopped_arg);
}

static bool is_measuring(const struct run *run)
{
    return run->row.kind == RUN_EVALUATION && run->launch && run_is_under_way(run->row.state);
}

void runs_tick(uv_timer_t *timer)
{
    struct runs *r = timer->data;
    bool wanted;
    int i;

    if (r->groups_left)
        r->groups_left = run_memory_sweep(r);
    wanted = r->groups_left;
    for (i = 0; i < r->n; i++) {
        struct run *run = r->items[i];
        if (run->ending.kind != ENDING_NONE)
            run_commit_end(run);
        if (run->kill_at_ms && run->launch && uv_now(r->loop) >= run->kill_at_ms) {
            log_warn("job %ld does not end: it is killed", run->row.id);
            launch_kill(run->launch);
            run->kill_at_ms += (uint64_t)run->launch->ops->linger_ms;
        }
        if (is_measuring(run))
            run_evaluation_look(run, NULL); /* what is not saved now is at the next tick */
        wanted = wanted || is_measuring(run) || run->ending.kind != ENDING_NONE ||
                 run->kill_at_ms || is_restarting(run);
    }
    runs_schedule(r);
    if (r->on_stopped && !runs_any_launch(r)) {
        runs_notify_stopped(r);
        return;
    }
    wanted = wanted || (!r->stopping && next_in_queue(r));
    if (!wanted)
        uv_timer_stop(r->tick);
}
