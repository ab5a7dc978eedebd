/* daemon/service/slurm.c - see slurm.h. One list of jobs, looked up by mark in each answer of
 * squeue; a look that began before a submission says nothing of it, so looks are numbered. */
#include "daemon/service/slurm.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/log.h"
#include "core/paths.h"
#include "daemon/service/command.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SENDING_MAX = 4,
    SOON_MS = 1000, /* from an event to the look at it, and between two looks at the least */
    TIMEOUT_MS = 60 * 1000, /* an unreachable controller holds squeue up for 18 s and more */
    SBATCH_MS = 120 * 1000,
    LINGER_MS =
        180 * 1000, /* a job that has ended leaves its nodes in that time, or is cancelled */
    LOOKS_TO_BE_GONE = 2
};

enum stage { WAITS, SENDING, SENT };

struct slurm_job {
    struct launch base; /* first */
    struct slurm *slurm;
    struct slurm_job *next;
    enum stage stage;
    char mark[SCRIPT_MARK_LEN + 1];
    char *output, *script, **env;
    bool external;
    int64_t id;
    enum slurm_state state; /* as last seen; SLURM_NEVER: not yet */
    unsigned long sent_at;  /* looks begun when it was: an older one says nothing of it */
    int missing;            /* looks one after the other that did not show it */
    bool stop_wanted;       /* as soon as its id is known */
    bool forgotten;         /* while sbatch runs: freed when it has ended */
    char refusal[500];
    slurm_news_fn *on_news;
    slurm_end_fn *on_end;
    void *arg;
};

struct slurm {
    char **env;               /* of squeue and scancel; the strings are environ's */
    uv_timer_t *timer, *send; /* the next look; submissions that wait */
    struct slurm_job *jobs;
    int poll_ms, pause_ms;
    unsigned long looks; /* begun */
    bool looking, away;
    int sending; /* submissions under way */
    struct command_group commands;
    void (*on_away)(void *arg, const char *words);
    void *away_arg;
};

static void look(uv_timer_t *timer);
static void send_next(struct slurm *s);

static const struct launch_ops slurm_ops;

/* ---- the table ---- */

static void free_job(struct slurm_job *j)
{
    int i;

    for (i = 0; j->env && j->env[i]; i++)
        free(j->env[i]);
    free(j->env);
    free(j->script);
    free(j->output);
    free(j);
}

static void remove_job(struct slurm_job *j)
{
    struct slurm_job **link = &j->slurm->jobs;

    while (*link && *link != j)
        link = &(*link)->next;
    if (j->stage == SENDING) {
        j->forgotten = true;
        return;
    }
    if (*link)
        *link = j->next;
    free_job(j);
}

static void forget(struct launch *launch)
{
    remove_job((struct slurm_job *)launch);
}

static void end_job(struct slurm_job *j, const struct slurm_end *end)
{
    slurm_end_fn *on_end = j->on_end;
    void *arg = j->arg;

    remove_job(j);
    on_end(arg, end);
}

static void end_unsubmitted(struct slurm_job *j, const char *words, bool may_pass)
{
    struct slurm_end end = {.row = {.state = SLURM_NEVER}, .may_pass = may_pass};

    snprintf(end.words, sizeof(end.words), "%.499s", words);
    end_job(j, &end);
}

/* ---- scancel ---- */

static void on_cancelled(void *arg, const struct command_result *result)
{
    struct slurm *s = arg;
    char words[300];

    slurm_words(result->err, words, sizeof(words));
    if (result->status != 0)
        log_warn("scancel: %s", words[0] ? words : "it failed");
    slurm_look_soon(s);
}

static void cancel(struct slurm_job *j, bool gently)
{
    char id[24];
    char *whole[] = {"scancel", id, NULL};
    char *gentle[] = {"scancel", "--batch", "--signal=TERM", id, NULL};
    struct err err;

    snprintf(id, sizeof(id), "%lld", (long long)j->id);
    if (command_start(&j->slurm->commands, gently ? gentle : whole, j->slurm->env, NULL, TIMEOUT_MS,
                      on_cancelled, j->slurm, &err) < 0)
        log_warn("%s", err.text);
}

/* A script that is submitted later finds that its turn is over. */
static void withdraw(const struct slurm_job *j)
{
    char *path = file_join(j->output, "logs/launch");
    struct err err;

    if (path && file_write_durably(path, "cancelled\n", 10, &err) < 0)
        log_warn("%s", err.text);
    free(path);
}

static void stop(struct launch *launch)
{
    struct slurm_job *j = (struct slurm_job *)launch;

    j->stop_wanted = true;
    if (j->id)
        cancel(j, j->state == SLURM_RUNNING);
    else if (j->external || j->stage == WAITS)
        withdraw(j);
    slurm_look_soon(j->slurm);
}

static void kill_job(struct launch *launch)
{
    struct slurm_job *j = (struct slurm_job *)launch;

    j->stop_wanted = true;
    if (j->id)
        cancel(j, false);
}

static const struct launch_ops slurm_ops = {stop, kill_job, forget, LINGER_MS};

/* ---- squeue ---- */

static void arm(struct slurm *s, int ms)
{
    if (!s->looking && s->jobs)
        uv_timer_start(s->timer, look, (uint64_t)ms, 0);
}

void slurm_look_soon(struct slurm *s)
{
    bool waits = uv_is_active((uv_handle_t *)s->timer);

    s->pause_ms = SOON_MS;
    if (!waits || uv_timer_get_due_in(s->timer) > SOON_MS)
        arm(s, SOON_MS);
}

static void found(struct slurm_job *j, const struct slurm_row *row)
{
    struct slurm_end end = {.row = *row};
    bool first = !j->id;

    j->missing = 0;
    j->id = row->id;
    j->state = row->state;
    if (slurm_is_over(row->state)) {
        end_job(j, &end);
        return;
    }
    if (first && j->stop_wanted)
        cancel(j, row->state == SLURM_RUNNING);
    j->on_news(j->arg, row);
}

static void not_found(struct slurm_job *j)
{
    struct slurm_end end = {.row = {.id = j->id, .state = SLURM_GONE}};

    if (j->external && !j->id) {
        if (j->stop_wanted)
            end_unsubmitted(j, "", true);
        return;
    }
    if (++j->missing < LOOKS_TO_BE_GONE)
        return;
    if (j->id)
        end_job(j, &end);
    else
        end_unsubmitted(j, j->refusal, true);
}

static void parse_list(struct slurm *s, const char *list, unsigned long number)
{
    struct slurm_job *j, *next;
    struct slurm_row row;

    for (j = s->jobs; j; j = next) {
        next = j->next;
        if (j->stage != SENT || j->sent_at >= number)
            continue;
        if (slurm_find(list, j->mark, j->id, &row))
            found(j, &row);
        else
            not_found(j);
    }
}

static bool any_missing(const struct slurm *s)
{
    const struct slurm_job *j;

    for (j = s->jobs; j; j = j->next)
        if (j->missing > 0)
            return true;
    return false;
}

static void report_away(struct slurm *s, const char *said)
{
    char words[300];

    slurm_words(said, words, sizeof(words));
    if (!s->away)
        s->on_away(s->away_arg, words[0] ? words : "squeue failed");
    s->away = true;
}

static void on_list(void *arg, const struct command_result *result)
{
    struct slurm *s = arg;

    s->looking = false;
    if (result->status != 0) {
        report_away(s, result->err);
    } else {
        if (s->away)
            s->on_away(s->away_arg, NULL);
        s->away = false;
        parse_list(s, result->out, s->looks);
    }
    arm(s, any_missing(s) ? SOON_MS : s->pause_ms);
    s->pause_ms = s->pause_ms * 3 / 2 < s->poll_ms ? s->pause_ms * 3 / 2 : s->poll_ms;
}

static void look(uv_timer_t *timer)
{
    struct slurm *s = timer->data;
    char uid[24];
    char *argv[] = {"squeue",   "--noheader", "--all", "--states=all", "--user", uid,
                    "--format", SLURM_FORMAT, NULL};
    struct err err;

    snprintf(uid, sizeof(uid), "%ld", (long)geteuid());
    s->looks++;
    if (command_start(&s->commands, argv, s->env, NULL, TIMEOUT_MS, on_list, s, &err) < 0) {
        report_away(s, err.text);
        uv_timer_start(s->timer, look, (uint64_t)s->poll_ms, 0);
        return;
    }
    s->looking = true;
}

/* ---- sbatch ---- */

static void now_sent(struct slurm_job *j)
{
    j->stage = SENT;
    j->sent_at = j->slurm->looks;
    slurm_look_soon(j->slurm);
}

static void on_sent(void *arg, const struct command_result *result)
{
    struct slurm_job *j = arg;
    struct slurm *s = j->slurm;

    s->sending--;
    j->stage = SENT;
    if (j->forgotten) {
        remove_job(j);
    } else if (result->status == 0) {
        j->id = strtoll(result->out, NULL, 10); /* "17" or "17;cluster" */
        if (j->id && j->stop_wanted)
            cancel(j, false);
        now_sent(j);
    } else {
        slurm_words(result->err, j->refusal, sizeof(j->refusal));
        if (slurm_may_pass(result->err) || result->status == COMMAND_KILLED)
            now_sent(j); /* it may have got through all the same */
        else
            end_unsubmitted(j, j->refusal[0] ? j->refusal : "sbatch failed", false);
    }
    send_next(s);
}

static void send_one(struct slurm *s, struct slurm_job *j)
{
    char *argv[] = {"sbatch", "--parsable", NULL};
    struct err err;

    if (command_start(&s->commands, argv, j->env, j->script, SBATCH_MS, on_sent, j, &err) < 0) {
        end_unsubmitted(j, err.text, true);
        return;
    }
    j->stage = SENDING;
    s->sending++;
}

/* The one that has waited longest is the last of the list. */
static void send_next(struct slurm *s)
{
    struct slurm_job *j, *oldest;

    do {
        oldest = NULL;
        for (j = s->jobs; j; j = j->next)
            if (j->stage == WAITS)
                oldest = j;
        if (oldest && oldest->stop_wanted)
            end_unsubmitted(oldest, "", true);
        else if (oldest && s->sending < SENDING_MAX)
            send_one(s, oldest);
        else
            return;
    } while (oldest);
}

static void on_send_timer(uv_timer_t *timer)
{
    send_next(timer->data);
}

/* ---- opening and closing ---- */

static char **copy_env(char *const *env)
{
    char **copy;
    int n = 0, i;

    while (env[n])
        n++;
    copy = calloc((size_t)n + 1, sizeof(*copy));
    for (i = 0; copy && i < n; i++)
        copy[i] = strdup(env[i]);
    return copy;
}

static struct slurm_job *add_job(struct slurm *s, const struct slurm_spec *spec)
{
    struct slurm_job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->base.ops = &slurm_ops;
    j->slurm = s;
    snprintf(j->mark, sizeof(j->mark), "%s", spec->mark);
    j->output = strdup(spec->output);
    j->external = spec->external;
    j->id = spec->id;
    j->state = SLURM_NEVER;
    j->on_news = spec->on_news;
    j->on_end = spec->on_end;
    j->arg = spec->arg;
    if (!j->output) {
        free(j);
        return NULL;
    }
    j->next = s->jobs;
    s->jobs = j;
    return j;
}

int slurm_submit(struct slurm *s, const struct slurm_spec *spec, const char *script,
                 char *const *env, struct launch **ret_launch, struct err *err)
{
    struct slurm_job *j = add_job(s, spec);

    if (!j)
        return err_nomem(err, sizeof(*j));
    j->stage = WAITS;
    j->script = strdup(script);
    j->env = copy_env(env);
    if (!j->script || !j->env) {
        remove_job(j);
        return err_nomem(err, strlen(script));
    }
    uv_timer_start(s->send, on_send_timer, 0, 0); /* an end is not reported within this call */
    *ret_launch = &j->base;
    return 0;
}

int slurm_follow(struct slurm *s, const struct slurm_spec *spec, struct launch **ret_launch,
                 struct err *err)
{
    struct slurm_job *j = add_job(s, spec);

    if (!j)
        return err_nomem(err, sizeof(*j));
    now_sent(j);
    *ret_launch = &j->base;
    return 0;
}

bool slurm_is_here(void)
{
    return paths_has_program("sbatch") && paths_has_program("squeue") &&
           paths_has_program("scancel");
}

int slurm_open(uv_loop_t *loop, int poll_s, void (*away)(void *arg, const char *words), void *arg,
               struct slurm **ret_slurm, struct err *err)
{
    struct slurm *s = calloc(1, sizeof(*s));

    if (s) {
        s->timer = calloc(1, sizeof(*s->timer));
        s->send = calloc(1, sizeof(*s->send));
        s->env = script_environment(NULL);
    }
    if (!s || !s->timer || !s->send || !s->env) {
        if (s) {
            free(s->timer);
            free(s->send);
            free(s->env);
        }
        free(s);
        return err_nomem(err, sizeof(*s));
    }
    s->commands.loop = loop;
    s->poll_ms = poll_s * 1000;
    s->pause_ms = SOON_MS;
    s->on_away = away;
    s->away_arg = arg;
    uv_timer_init(loop, s->timer);
    uv_timer_init(loop, s->send);
    s->timer->data = s->send->data = s;
    *ret_slurm = s;
    return 0;
}

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

void slurm_close(struct slurm *s)
{
    struct slurm_job *j, *next;

    if (!s)
        return;
    uv_close((uv_handle_t *)s->timer, free_timer);
    uv_close((uv_handle_t *)s->send, free_timer);
    command_abandon(&s->commands);
    for (j = s->jobs; j; j = next) {
        next = j->next;
        free_job(j);
    }
    free(s->env);
    free(s);
}
