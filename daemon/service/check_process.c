/* daemon/service/check_process.c - the process that checks one job; see check.h. It changes nothing
 * on disk. Its limits are set before it reads the request. */
#include "core/file.h"
#include "core/job/evaluation_request.h"
#include "core/job/job_keys.h"
#include "core/job/job_roots.h"
#include "core/job/job_read.h"
#include "core/job/job_check.h"
#include "core/json_file.h"
#include "core/job/output_check.h"
#include "core/utf8.h"
#include "daemon/service/check.h"
#include "daemon/service/check_plan.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { REQUEST_MAX = 32 << 20, FILES_MAX = 1024, WRITTEN_MAX = 1 << 20 };

static void set_limit(int what, rlim_t value)
{
    struct rlimit r;

    if (getrlimit(what, &r) < 0)
        return;
    if (r.rlim_max == RLIM_INFINITY || value < r.rlim_max)
        r.rlim_max = value;
    r.rlim_cur = r.rlim_max;
    setrlimit(what, &r);
}

/* RLIMIT_DATA: what is allocated, not the model's files, which are mapped. */
static void set_limits(long memory_mb, long seconds)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    set_limit(RLIMIT_DATA, (rlim_t)memory_mb << 20);
#else
    (void)memory_mb;
#endif
    set_limit(RLIMIT_CPU, (rlim_t)seconds);
    set_limit(RLIMIT_NOFILE, FILES_MAX);
    signal(SIGXFSZ, SIG_IGN);
    set_limit(RLIMIT_FSIZE, WRITTEN_MAX);
    set_limit(RLIMIT_CORE, 0);
}

static bool is_same_job(const struct job *a, const struct job *b)
{
    char of_a[33], of_b[33];

    job_identity(a, of_a);
    job_identity(b, of_b);
    return strcmp(of_a, of_b) == 0 && strcmp(a->output, b->output) == 0;
}

static int compare(const char *before, const struct job *now, struct problems *problems,
                   struct err *err)
{
    struct job *old = NULL;
    int rc = job_parse(before, NULL, "/", NULL, 0, &old, problems, err);

    if (rc == 0 && !is_same_job(old, now))
        rc = err_set(err, ERR_INVALID,
                     "that would be another job: a resume can change parallel, launcher, slurm, "
                     "limits, max_restarts, training.eval_every, training.keep_best and "
                     "training.early_stop_*, not what decides the numbers or the output folder");
    job_free(old);
    return rc;
}

static void check_launcher(const struct job *job, bool has_slurm, struct problems *problems)
{
    if (job->launcher == LAUNCHER_SLURM && !has_slurm)
        problems_add(problems, job->file, job_line(job, "launcher"),
                     "launcher is slurm, but the machine of this dashd has no sbatch, squeue and "
                     "scancel in its PATH");
}

struct checked {
    struct job *job;
    struct job_plan plan;
    struct problems problems;
    char *yaml, *risk, *output;
    int rc;
    struct err err;
};

static const char *text_of(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

static bool is_true(const json_t *doc, const char *key)
{
    return json_is_true(json_object_get(doc, key));
}

static enum job_output output_of(const json_t *request)
{
    if (!is_true(request, "new_output"))
        return JOB_OUTPUT_ANY;
    return is_true(request, "resume") ? JOB_OUTPUT_RESUMED : JOB_OUTPUT_NEW;
}

static int read_roots(const json_t *request, struct job_roots *ret, struct err *err)
{
    const json_t *list = json_object_get(request, "roots");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
        rc = job_roots_add(ret, json_string_value(json_array_get(list, i)), err);
    return rc;
}

/* Nothing that a job names is read before it is known to be in an allowed folder. */
static void check_roots(const json_t *request, const char *const *sets, int n_sets,
                        struct checked *c)
{
    struct job_roots roots = {0};

    c->rc = read_roots(request, &roots, &c->err);
    if (c->rc == 0 && roots.n)
        c->rc =
            job_parse(text_of(request, "text"), text_of(request, "file"),
                      text_of(request, "directory"), sets, n_sets, &c->job, &c->problems, &c->err);
    if (c->rc == 0 && c->job)
        job_roots_check(c->job, &roots, &c->problems);
    if (c->rc == 0 && problems_count(&c->problems) > 0)
        c->rc = err_set(&c->err, ERR_INVALID, "the job cannot run");
    job_roots_free(&roots);
    if (c->rc == 0) {
        job_free(c->job);
        c->job = NULL;
    }
}

static void check(const json_t *request, const char *const *sets, int n_sets, struct checked *c)
{
    const char *before = text_of(request, "before");
    struct job_plan_nodes nodes;

    check_roots(request, sets, n_sets, c);
    if (c->rc < 0)
        return;
    c->rc = job_validate(text_of(request, "text"), text_of(request, "file"),
                         text_of(request, "directory"), sets, n_sets, output_of(request), &c->job,
                         &c->plan, &c->problems, &c->err);
    if (c->job)
        check_launcher(c->job, is_true(request, "has_slurm"), &c->problems);
    if (c->rc == 0 && c->job && before)
        c->rc = compare(before, c->job, &c->problems, &c->err);
    if (c->rc == 0 && problems_count(&c->problems) > 0)
        c->rc = err_set(&c->err, ERR_INVALID, "the job cannot run");
    if (c->rc == 0 && check_nodes_decode(json_object_get(request, "nodes"), &nodes))
        c->rc = job_plan_cost(c->job, &nodes, &c->plan, &c->err);
    if (c->rc == 0 && !(c->yaml = job_to_yaml(c->job)))
        c->rc = err_nomem(&c->err, 0);
    if (c->rc == 0)
        c->risk = output_risk(c->job);
    if (c->job && c->job->output)
        c->output = strdup(c->job->output);
}

static void look_at_evaluation(const struct evaluation_request *request, struct checked *c)
{
    struct evaluation_plan plan = {0};

    c->rc = evaluation_request_look(request, &plan, &c->problems, &c->err);
    if (c->rc == 0) {
        c->plan.memory_bytes = plan.memory_bytes;
        job_plan_add(&c->plan, "%s", plan.line);
        c->yaml = evaluation_request_print(request);
    }
    if (c->rc == 0 && !c->yaml)
        c->rc = err_nomem(&c->err, 0);
    evaluation_plan_free(&plan);
}

static void check_evaluation(const json_t *request, struct checked *c)
{
    struct evaluation_request evaluation = {0};
    struct job_roots roots = {0};

    c->rc = evaluation_request_parse(text_of(request, "text"), &evaluation, &c->err);
    if (c->rc == 0)
        c->rc = read_roots(request, &roots, &c->err);
    if (c->rc == 0)
        c->rc = evaluation_request_check_roots(&evaluation, &roots, &c->problems, &c->err);
    if (c->rc == 0 && problems_count(&c->problems) > 0)
        c->rc = err_set(&c->err, ERR_INVALID, "the evaluation cannot run");
    if (c->rc == 0)
        look_at_evaluation(&evaluation, c);
    c->output = evaluation.output;
    evaluation.output = NULL;
    job_roots_free(&roots);
    evaluation_request_free(&evaluation);
}

static const char *const *sets_of(const json_t *request, int *ret_n)
{
    const json_t *list = json_object_get(request, "sets");
    size_t n = json_array_size(list), i;
    const char **sets = calloc(n + 1, sizeof(*sets));

    for (i = 0; sets && i < n; i++)
        sets[i] = json_string_value(json_array_get(list, i));
    *ret_n = sets ? (int)n : 0;
    return sets;
}

static char *error_text(const struct checked *c)
{
    char *text = c->rc == ERR_INVALID && c->problems.n ? problems_text(&c->problems) : NULL;
    size_t len = text ? strlen(text) : 0;

    if (len && text[len - 1] == '\n')
        text[len - 1] = '\0';
    return text ? text : strdup(c->err.text);
}

/* A path or a name may hold bytes that JSON cannot. */
static json_t *string_of(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    json_t *value;

    if (!copy)
        return json_null();
    utf8_make_valid(copy, strlen(copy));
    value = json_string(copy);
    free(copy);
    return value;
}

/* What is wrong with the job itself begins with its key; with a file that it names, the key is that
 * of the file. */
static void find_field(const struct job *job, const struct problem *p, char field[JOB_KEY_BYTES])
{
    size_t model = job && job->model ? strlen(job->model) : 0;

    job_key_of_sentence(p->text, field);
    if (field[0] || !job || !p->file || strcmp(p->file, job->file ? job->file : "") == 0)
        return;
    snprintf(field, JOB_KEY_BYTES, "%s",
             model && strncmp(p->file, job->model, model) == 0 ? "model" : "data");
}

static json_t *problems_of(const struct checked *c)
{
    json_t *list = json_array();
    char field[JOB_KEY_BYTES];
    int i;

    for (i = 0; c->rc == ERR_INVALID && i < c->problems.n; i++) {
        const struct problem *p = &c->problems.items[i];
        find_field(c->job, p, field);
        json_array_append_new(list,
                              json_pack("{s:s, s:o}", "field", field, "text", string_of(p->text)));
    }
    return list;
}

static int answer(const struct checked *c)
{
    char *error = c->rc < 0 ? error_text(c) : NULL;
    json_t *lines = json_array(), *doc;
    int i, status;

    for (i = 0; i < c->plan.n_lines; i++)
        json_array_append_new(lines, string_of(c->plan.lines[i]));
    if (c->risk)
        json_array_append_new(lines, json_sprintf("warning: %s", c->risk));
    doc = json_pack("{s:i, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "code", c->rc, "memory_bytes",
                    c->plan.memory_bytes, "error", string_of(error), "problems", problems_of(c),
                    "yaml", string_of(c->yaml), "output", string_of(c->output), "risk",
                    string_of(c->risk), "lines", lines, "estimates",
                    check_estimates_encode(c->plan.estimates, c->plan.n_estimates));
    status = doc && json_dumpf(doc, stdout, JSON_COMPACT) == 0 && fflush(stdout) == 0 ? 0 : 1;
    json_decref(doc);
    free(error);
    return status;
}

int check_process(int argc, char **argv)
{
    char *text = NULL;
    json_t *request = NULL;
    struct checked c = {0};
    const char *const *sets;
    int n_sets, status;
    size_t len;

    if (argc != 2)
        return 2;
    set_limits(atol(argv[0]), atol(argv[1]));
    if (file_read_stream(STDIN_FILENO, "the request", REQUEST_MAX, &text, &len, &c.err) < 0 ||
        json_file_parse(text, len, "the request", &request, &c.err) < 0) {
        fprintf(stderr, "%s\n", c.err.text);
        return 1;
    }
    sets = sets_of(request, &n_sets);
    if (is_true(request, "evaluation"))
        check_evaluation(request, &c);
    else
        check(request, sets, n_sets, &c);
    status = answer(&c);
    free((void *)sets);
    free(text);
    free(c.yaml);
    free(c.risk);
    free(c.output);
    job_plan_free(&c.plan);
    job_free(c.job);
    problems_free(&c.problems);
    json_decref(request);
    return status;
}
