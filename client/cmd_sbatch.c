/* client/cmd_sbatch.c - dashctl sbatch JOB.YAML: a batch script that trains the job under Slurm by
 * itself.
 *
 * Where a dashd answers, it checks the job, keeps it among its own and writes the script (the job
 * then reports to it); else all of that but the keeping is done here. The script goes to standard
 * output, or with --submit to sbatch.
 */
#include "client/job_file.h"
#include "core/job/job_read.h"
#include "client/printable.h"
#include "client/subprocess.h"
#include "core/slurm/script.h"
#include "core/job/job_check.h"
#include "core/job/output_check.h"
#include "core/paths.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SBATCH_TIMEOUT_MS = 120 * 1000 };

struct sbatch {
    struct job_file file;
    bool submit;
    struct job *job; /* as checked */
    char *script;
    char id[24]; /* dashd's, or "" */
};

static const struct argp_option options[] = {
    {"submit", 's', NULL, 0, "Submit the script with sbatch instead of printing it", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct sbatch *s = state->input;

    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &s->file;
        return 0;
    case 's':
        s->submit = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int write_script(struct sbatch *s, struct err *err)
{
    char mark[SCRIPT_MARK_LEN + 1], *programs = NULL, *yaml = job_to_yaml(s->job);
    int rc = yaml ? script_make_mark(mark, err) : err_nomem(err, 0);

    if (rc == 0)
        rc = paths_programs(&programs, err);
    if (rc == 0)
        rc = script_prepare(s->job->output, yaml, mark, err);
    if (rc == 0 && !(s->script = script_text(s->job, programs, mark)))
        rc = err_nomem(err, 0);
    free(programs);
    free(yaml);
    return rc;
}

static int check(struct sbatch *s, struct problems *problems, struct err *err)
{
    const struct job_file *f = &s->file;
    struct job_plan plan = {0};
    int rc = job_validate(f->text, f->path, f->directory, (const char *const *)f->sets.items,
                          f->sets.n, f->resume ? JOB_OUTPUT_RESUMED : JOB_OUTPUT_NEW, &s->job,
                          &plan, problems, err);
    char *risk = rc == 0 ? output_risk(s->job) : NULL;

    if (risk)
        fprintf(stderr, "dashctl: warning: %s\n", risk);
    free(risk);
    job_plan_free(&plan);
    return rc;
}

static int make_here(struct sbatch *s)
{
    struct problems problems = {0};
    struct err err;
    int rc = check(s, &problems, &err), status = EXIT_OK;

    if (rc == 0)
        rc = write_script(s, &err);
    if (rc < 0)
        status = client_fail_problems(&problems, &err);
    problems_free(&problems);
    return status;
}

static int parse_again(struct sbatch *s, const char *yaml)
{
    struct problems problems = {0};
    struct err err;
    int rc = job_parse(yaml, NULL, "/", NULL, 0, &s->job, &problems, &err), status = EXIT_OK;

    if (rc < 0)
        status = client_fail_problems(&problems, &err);
    problems_free(&problems);
    return status;
}

static int ask_dashd(struct client *c, struct sbatch *s)
{
    Dash__V1__CreateJobResponse *response = NULL;
    int status = job_file_create(c, &s->file, &response);

    if (status != 0)
        return status;
    snprintf(s->id, sizeof(s->id), "%s", response->job->id);
    s->script = strdup(response->batch_script);
    status =
        s->script ? parse_again(s, response->job->job_yaml) : client_fail_with("out of memory");
    dash__v1__create_job_response__free_unpacked(response, NULL);
    return status;
}

/* The script in a file, whose name replaces the XXXXXX of path. */
static int write_temporary(const char *script, char *path, struct err *err)
{
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    bool written = file && fputs(script, file) >= 0;

    if (file && fclose(file) == 0 && written)
        return 0;
    err_errno(err, "cannot pass the script to sbatch: %s", path);
    if (fd >= 0)
        unlink(path);
    return ERR_IO;
}

/* sbatch keeps a copy of the script. Its answer is a line: "17", or "17;cluster" where there are
 * several. */
static int run_sbatch(const struct sbatch *s, const char *path, char *answer, size_t size,
                      struct err *err)
{
    const char *const argv[] = {"sbatch", "--parsable", path, NULL};
    char **env = script_environment(&s->job->slurm);
    const struct subprocess p = {.argv = argv, .env = env, .timeout_ms = SBATCH_TIMEOUT_MS};
    struct subprocess_said said;
    int rc = env ? subprocess_run(&p, &said, err) : err_nomem(err, 0);

    free(env);
    if (rc < 0)
        return rc;
    printable_print(stderr, said.err);
    snprintf(answer, size, "%.*s", (int)strcspn(said.out, ";\n"), said.out);
    if (said.status != 0)
        rc = err_set(err, ERR_PEER, "sbatch failed");
    subprocess_free(&said);
    return rc;
}

static int submit(const struct sbatch *s, char *answer, size_t size, struct err *err)
{
    char path[] = "/tmp/dash-sbatch-XXXXXX";
    int rc = write_temporary(s->script, path, err);

    if (rc < 0)
        return rc;
    rc = run_sbatch(s, path, answer, size, err);
    unlink(path);
    return rc;
}

static void print_json(const struct sbatch *s, const char *slurm_job)
{
    json_t *doc = json_pack("{s:s, s:s}", "slurm_job", slurm_job, "output", s->job->output);

    if (doc && s->id[0])
        json_object_set_new(doc, "id", json_string(s->id));
    if (doc)
        json_dumpf(doc, stdout, JSON_COMPACT);
    puts("");
    json_decref(doc);
}

/* dashd is not to wait for a job that does not come. */
static int give_up(struct client *c, const struct sbatch *s, const struct err *why)
{
    Dash__V1__CancelJobRequest request = DASH__V1__CANCEL_JOB_REQUEST__INIT;
    Dash__V1__CancelJobResponse *response = NULL;
    struct err err;

    if (!s->id[0]) {
        err_set(&err, ERR_PEER, "%.900s: fix it, and try again with --resume", why->text);
        return client_fail(&err);
    }
    request.id = (char *)s->id;
    if (client_call(c, "CancelJob", &request.base, &dash__v1__cancel_job_response__descriptor,
                    CALL_TIMEOUT_MS, &response) == 0)
        dash__v1__cancel_job_response__free_unpacked(response, NULL);
    err_set(&err, ERR_PEER,
            "%.800s, and dashd's job %s is cancelled: correct it by `dashctl "
            "resume %s --set slurm.KEY=VALUE`",
            why->text, s->id, s->id);
    return client_fail(&err);
}

static int deliver(struct client *c, const struct sbatch *s)
{
    char slurm_job[64];
    struct err err;

    if (!s->submit) {
        fputs(s->script, stdout);
        fprintf(stderr, "the output folder %s is ready: submit the script with sbatch\n",
                s->job->output);
    } else if (submit(s, slurm_job, sizeof(slurm_job), &err) < 0) {
        return give_up(c, s, &err);
    } else if (c->json) {
        print_json(s, slurm_job);
        return EXIT_OK;
    } else {
        printf("job %s is Slurm job %s\n  output: %s\n", s->job->name, slurm_job, s->job->output);
    }
    if (s->id[0])
        fprintf(stderr, "it reports to dashd as job %s: `dashctl watch %s` shows its progress\n",
                s->id, s->id);
    return EXIT_OK;
}

int cmd_sbatch(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_file_resume_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {.options = options,
                                .parser = parse,
                                .args_doc = "JOB.YAML",
                                .doc = "Checks a job and writes a batch script that trains it "
                                       "under Slurm: it needs no dashd, queues "
                                       "itself again before its time limit and continues from its "
                                       "checkpoint. With a dashd reachable "
                                       "it also reports there.",
                                .children = children};
    static char launcher[] = "launcher=slurm";
    struct sbatch s = {.file = {.client = c, .batch = true}};
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &s);
    sets_add(&s.file.sets, launcher, NULL);
    status = job_file_read(&s.file);
    if (status == 0)
        status = client_has_dashd(c) ? ask_dashd(c, &s) : make_here(&s);
    if (status == 0)
        status = deliver(c, &s);
    job_file_free(&s.file);
    job_free(s.job);
    free(s.script);
    return status;
}
