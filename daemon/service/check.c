/* daemon/service/check.c - see check.h: starts the processes and reads what they answer. */
#include "daemon/service/check.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "daemon/service/check_plan.h"
#include "daemon/service/command.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    struct checker *checker;
    struct check *next;
    struct command_group group; /* of the one process, once it runs */
    bool running;
    char *request;
    check_fn *done;
    void *arg;
};

struct checker {
    uv_loop_t *loop;
    struct check_limits limits;
    struct check *checks; /* the oldest first, the running ones among them */
    int running, waiting;
};

static void start_next(struct checker *c);

static int default_memory_mb(void)
{
    return (int)(memory_total() / 4 / (1 << 20));
}

int checker_open(uv_loop_t *loop, const struct check_limits *limits, struct checker **ret_checker,
                 struct err *err)
{
    struct checker *c = calloc(1, sizeof(*c));

    if (!c)
        return err_nomem(err, sizeof(*c));
    c->loop = loop;
    c->limits = *limits;
    if (c->limits.memory_mb == 0)
        c->limits.memory_mb = default_memory_mb();
    *ret_checker = c;
    return 0;
}

/* Takes it off the list and frees it. */
static void drop(struct check *check)
{
    struct checker *c = check->checker;
    struct check **link = &c->checks;

    while (*link != check)
        link = &(*link)->next;
    *link = check->next;
    *(check->running ? &c->running : &c->waiting) -= 1;
    free(check->request);
    free(check);
}

void check_cancel(struct check *check)
{
    struct checker *c = check->checker;

    if (check->running)
        command_kill(&check->group);
    drop(check);
    start_next(c);
}

void checker_close(struct checker *c)
{
    if (!c)
        return;
    while (c->checks) {
        if (c->checks->running)
            command_kill(&c->checks->group);
        drop(c->checks);
    }
    free(c);
}

static json_t *strings(const char *const *items, int n)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < n; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

/* NULL for lack of memory. */
static char *encode(const struct check_request *r, const struct job_roots *roots)
{
    json_t *doc = json_pack(
        "{s:s, s:s?, s:s, s:o, s:b, s:b, s:b, s:b, s:s?, s:o, s:o}", "text", r->text, "file",
        r->file, "directory", r->directory, "sets", strings(r->sets, r->n_sets), "new_output",
        r->new_output, "resume", r->resume, "has_slurm", r->has_slurm, "evaluation", r->evaluation,
        "before", r->before, "nodes", check_nodes_encode(r->nodes), "roots",
        strings(roots ? (const char *const *)roots->paths : NULL, roots ? roots->n : 0));
    char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

    json_decref(doc);
    return text;
}

static int check_texts(const struct check_request *r, struct err *err)
{
    int i;

    if (r->directory[0] != '/')
        return err_set(err, ERR_INVALID, "directory must be an absolute path, not '%.200s'",
                       r->directory);
    if (!utf8_is_valid(r->directory) || (r->file && !utf8_is_valid(r->file)))
        return err_set(err, ERR_UNSUPPORTED, "directory and file_name must be UTF-8");
    if (!utf8_is_valid(r->text))
        return err_set(err, ERR_INVALID, "the job file must be UTF-8");
    if (r->n_sets > CHECK_SETS_MAX)
        return err_set(err, ERR_INVALID, "a job has at most %d overrides, not %d", CHECK_SETS_MAX,
                       r->n_sets);
    for (i = 0; i < r->n_sets; i++)
        if (!utf8_is_valid(r->sets[i]))
            return err_set(err, ERR_INVALID, "override %d must be UTF-8", i + 1);
    return 0;
}

int check_start(struct checker *c, const struct check_request *request, check_fn *done, void *arg,
                struct check **ret_check, struct err *err)
{
    struct check *check, **last = &c->checks;
    int rc = check_texts(request, err);

    if (rc < 0)
        return rc;
    if (c->waiting >= CHECKS_WAITING)
        return err_set(err, ERR_STATE, "%d jobs wait to be checked already: try again later",
                       c->waiting);
    check = calloc(1, sizeof(*check));
    if (!check || !(check->request = encode(request, c->limits.roots))) {
        free(check);
        return err_nomem(err, strlen(request->text));
    }
    check->checker = c;
    check->done = done;
    check->arg = arg;
    while (*last)
        last = &(*last)->next;
    *last = check;
    c->waiting++;
    *ret_check = check;
    start_next(c);
    return 0;
}

static void finish(struct check *check, const struct check_result *result)
{
    struct checker *c = check->checker;
    check_fn *done = check->done;
    void *arg = check->arg;

    drop(check);
    done(arg, result);
    start_next(c);
}

static void fail(struct check *check, int code, const char *text)
{
    finish(check, &(struct check_result){.code = code, .error = text});
}

static void explain_death(const struct check *check, const struct command_result *r, char *text,
                          size_t size)
{
    const struct check_limits *limits = &check->checker->limits;

    if (r->too_long || r->signal == SIGXCPU)
        snprintf(text, size,
                 "the check of the job took longer than %d s and was ended: a smaller data set, or "
                 "dashd --check-time, may help",
                 limits->seconds);
    else if (r->signal == SIGBUS)
        snprintf(text, size,
                 "the check of the job was ended by signal %d (%s): a file was cut while it was "
                 "read; try again when nobody writes it",
                 r->signal, strsignal(r->signal));
    else if (r->signal)
        snprintf(text, size,
                 "the check of the job was ended by signal %d (%s); it may use %d MB of memory "
                 "(dashd --check-memory)",
                 r->signal, strsignal(r->signal), limits->memory_mb);
    else
        snprintf(text, size, "the check of the job failed (exit %d): %.400s", r->status, r->err);
}

static void fail_for_memory(struct check *check, const char *error)
{
    char text[600];

    snprintf(text, sizeof(text),
             "%.400s; the check of a job may use %d MB of memory (dashd --check-memory)", error,
             check->checker->limits.memory_mb);
    fail(check, ERR_NOMEM, text);
}

static const char *text_of(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

/* Caller frees *ret; NULL for lack of memory. */
static int read_problems(const json_t *list, struct check_problem **ret)
{
    size_t n = json_array_size(list), i;
    struct check_problem *problems = calloc(n + 1, sizeof(*problems));

    *ret = problems;
    for (i = 0; problems && i < n; i++) {
        const char *field = text_of(json_array_get(list, i), "field");
        const char *text = text_of(json_array_get(list, i), "text");
        problems[i] = (struct check_problem){field ? field : "", text ? text : ""};
    }
    return problems ? (int)n : 0;
}

/* Caller frees *ret; NULL for lack of memory. */
static int read_lines(const json_t *list, const char ***ret)
{
    size_t n = json_array_size(list), i;
    const char **texts = calloc(n + 1, sizeof(*texts));
    int kept = 0;

    *ret = texts;
    for (i = 0; texts && i < n; i++) {
        texts[kept] = json_string_value(json_array_get(list, i));
        kept += texts[kept] != NULL;
    }
    return kept;
}

static void read_result(struct check *check, const json_t *doc)
{
    struct check_result r = {.code = (int)json_integer_value(json_object_get(doc, "code")),
                             .error = text_of(doc, "error"),
                             .yaml = text_of(doc, "yaml"),
                             .output = text_of(doc, "output"),
                             .risk = text_of(doc, "risk"),
                             .memory_bytes =
                                 json_number_value(json_object_get(doc, "memory_bytes"))};
    struct check_problem *problems = NULL;
    struct job_estimate *estimates = NULL;

    r.n_problems = read_problems(json_object_get(doc, "problems"), &problems);
    r.problems = problems;
    r.n_estimates = check_estimates_decode(json_object_get(doc, "estimates"), &estimates);
    r.estimates = estimates;
    r.n_lines = read_lines(json_object_get(doc, "lines"), &r.lines);
    if (!r.lines || !problems)
        fail(check, ERR_NOMEM, "dashd is out of memory");
    else if (r.code == 0 ? !r.yaml : !r.error)
        fail(check, ERR_INTERNAL, "the check of the job returned no result");
    else if (r.code == ERR_NOMEM)
        fail_for_memory(check, r.error);
    else
        finish(check, &r);
    free(estimates);
    free(problems);
    free(r.lines);
}

static void on_end(void *arg, const struct command_result *result)
{
    struct check *check = arg;
    char text[600];
    json_t *doc;

    if (result->no_memory) {
        fail(check, ERR_NOMEM, "dashd is out of memory");
        return;
    }
    if (result->status != 0) {
        explain_death(check, result, text, sizeof(text));
        fail(check, ERR_INVALID, text);
        return;
    }
    doc = json_loads(result->out, 0, NULL);
    if (json_is_object(doc))
        read_result(check, doc);
    else
        fail(check, ERR_INTERNAL, "the check of the job returned no result");
    json_decref(doc);
}

static int run(struct check *check, struct err *err)
{
    struct checker *c = check->checker;
    char memory[16], seconds[16];
    char *argv[] = {(char *)"/proc/self/exe", (char *)"--check", memory, seconds, NULL};

    snprintf(memory, sizeof(memory), "%d", c->limits.memory_mb);
    snprintf(seconds, sizeof(seconds), "%d", c->limits.seconds);
    check->group.loop = c->loop;
    return command_start(&check->group, argv, NULL, check->request, c->limits.seconds * 1000,
                         on_end, check, err);
}

static void start_next(struct checker *c)
{
    struct check *check, *next;
    struct err err;

    for (check = c->checks; check && c->running < CHECKS_AT_ONCE; check = next) {
        next = check->next;
        if (check->running)
            continue;
        check->running = true;
        c->waiting--;
        c->running++;
        if (run(check, &err) < 0) {
            err_prefix(&err, "cannot start the check of the job");
            fail(check, err.code, err.text); /* which looks for the next */
            return;
        }
    }
}
