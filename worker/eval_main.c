/* worker/eval_main.c - `dashctl eval`: what is measured, on which data, and the figures. Files are
 * written once everything has succeeded. */
#include "core/clock.h"
#include "core/file.h"
#include "core/job/evaluation_options.h"
#include "core/job/export_source.h"
#include "core/log.h"
#include "core/output.h"
#include "worker/eval.h"
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum eval_task { TASK_AUTO, TASK_LOSS, TASK_CHOICE, TASK_ANSWER };
static const char *const task_names[] = {"auto", "loss", "choice", "answer"};
static const char *const template_names[] = {"auto", "plain", "alpaca", "chatml", "model"};
enum { FILES_MAX = EVALUATION_DATA_MAX, NEW_TOKENS = 64 };

struct request {
    struct export_choice choice;
    const char *details;
    struct data_name files[FILES_MAX];
    struct data_names names;
    int template_kind; /* -1: not given */
    char *chat_template;
    int max_tokens; /* 0: not given */
    int task, threads, limit, new_tokens;
    bool json, base;
};

enum { KEY_OUTPUT = 1 };

static const struct argp_option options[] = {
    {"output", KEY_OUTPUT, "FORMAT", 0, "text (default) or json", 0},
    {0},
};

/* The command line. */
struct arguments {
    struct evaluation_options evaluation;
    bool json;
};

static int find(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->evaluation;
        return 0;
    case KEY_OUTPUT:
        a->json = strcmp(arg, "json") == 0;
        if (!a->json && strcmp(arg, "text") != 0)
            argp_error(state, "--output is text or json, not \"%s\"", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- progress, and an end that is asked for ---- */

static volatile sig_atomic_t asked_to_end; /* a signal handler has no other place for it */

static void on_signal(int number)
{
    (void)number;
    asked_to_end = 1;
}

static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* One line on a terminal; elsewhere a line every few seconds. */
static void show_progress(struct eval *e, long done, long total)
{
    static const double terminal_s = 0.1, pipe_s = 5;
    bool on_terminal = isatty(STDERR_FILENO);
    double now = clock_s();

    if (e->shown_s == 0)
        e->shown_s = on_terminal ? now - terminal_s : now;
    if (now - e->shown_s < (on_terminal ? terminal_s : pipe_s))
        return;
    e->shown_s = now;
    fprintf(stderr, "%s%ld of %ld examples%s", on_terminal ? "\r" : "", done, total,
            on_terminal ? "\033[K" : "\n");
}

int eval_progress(struct eval *e, long done, long total, struct err *err)
{
    if (asked_to_end)
        return err_set(err, ERR_STATE, "interrupted after %ld of %ld examples: nothing is written",
                       done, total);
    show_progress(e, done, total);
    return e->queue ? eval_queue_progress(e->queue, done, total, err) : 0;
}

int eval_detail(struct eval *e, json_t *line, struct err *err)
{
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;

    if (text) {
        buf_puts(&e->details, text);
        buf_puts(&e->details, "\n");
    }
    free(text);
    json_decref(line);
    return text && !e->details.failed ? 0 : err_nomem(err, e->details.cap);
}

int eval_figures(json_t *figures, json_t *more, struct err *err)
{
    int rc = more ? json_object_update(figures, more) : -1;

    json_decref(more);
    return rc < 0 ? err_nomem(err, sizeof(json_t)) : 0;
}

/* ---- the model and what it was trained with ---- */

/* What belongs to the request is borrowed, as is what belongs to the job. */
static struct data_options data_of(const struct request *r, const struct export_source *s,
                                   char *today)
{
    struct data_options data = {.date = today};

    if (s->job) {
        data = s->job->data;
        data.date = data.date ? data.date : today;
    } else {
        int most = model_config(s->model)->max_positions;
        data.max_tokens = most < 1 << 20 ? most : 1 << 20;
    }
    if (r->names.n)
        data.eval = r->names;
    if (r->template_kind >= 0)
        data.template_kind = (enum data_template)r->template_kind;
    if (r->chat_template)
        data.chat_template = r->chat_template;
    if (r->max_tokens)
        data.max_tokens = r->max_tokens;
    return data;
}

static int open_source(const struct request *r, struct export_source *s, struct eval *e,
                       struct err *err)
{
    if (r->choice.from)
        return export_source_open(&r->choice, s, &e->notices, &e->problems, err);
    s->step = -1;
    s->model_path = strdup(r->choice.model);
    if (!s->model_path)
        return err_nomem(err, strlen(r->choice.model));
    return model_open(r->choice.model, &s->model, &e->problems, err);
}

static int open_model(const struct request *r, struct export_source *s, struct eval *e,
                      struct err *refusal, struct err *err)
{
    struct model *model = s->model;
    int rc = model_open_tokenizer_if_usable(model, &e->tokenizer, refusal, err);

    e->refusal = refusal->code ? refusal : NULL;
    if (rc < 0)
        return rc;
    s->model = NULL; /* the generator's from here on */
    return generator_open_model(model, r->base ? NULL : s->adapter, r->threads, &e->g, err);
}

/* ---- the answer ---- */

static int describe(const struct request *r, const struct export_source *s, enum eval_task task,
                    json_t *figures, struct err *err)
{
    const char *adapter = r->base ? NULL : s->step >= 0 ? s->output : s->adapter_folder;
    json_t *o = json_pack("{s:s, s:s, s:s?}", "task", task_names[task], "model", s->model_path,
                          "adapter", adapter);

    if (o && !r->base && s->step >= 0)
        json_object_set_new(o, "checkpoint_step", json_integer(s->step));
    return o ? eval_figures(figures, o, err) : err_set(err, ERR_INVALID, "a path is not UTF-8");
}

static void print_figures(const struct request *r, json_t *figures)
{
    const char *name;
    json_t *value;
    char *text;

    if (r->json) {
        text = json_dumps(figures, JSON_REAL_PRECISION(10));
        puts(text ? text : "");
        free(text);
        return;
    }
    json_object_foreach(figures, name, value)
    {
        char label[64];
        snprintf(label, sizeof(label), "%s", name);
        for (char *c = label; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        if (json_is_string(value))
            printf("%-20s %s\n", label, json_string_value(value));
        else if (json_is_integer(value))
            printf("%-20s %lld\n", label, (long long)json_integer_value(value));
        else if (json_is_real(value))
            printf("%-20s %.6g\n", label, json_real_value(value));
    }
}

static void print_notices(const struct eval *e)
{
    const char *at = e->notices.data;

    for (const char *end; at && (end = strchr(at, '\n')); at = end + 1)
        fprintf(stderr, "notice: %.*s\n", (int)(end - at), at);
}

static int measure(const struct request *r, struct export_source *s, struct eval *e,
                   json_t *figures, struct err *err)
{
    static int (*const tasks[])(struct eval *, json_t *, struct err *) = {
        [TASK_LOSS] = eval_loss, [TASK_CHOICE] = eval_choice, [TASK_ANSWER] = eval_answer};
    int task = r->task, rc;

    if (e->files->n == 0)
        return err_set(err, ERR_INVALID, "--data is missing: a file of rows%s",
                       s->job ? ", since the job has no data.eval" : "");
    if (task == TASK_AUTO)
        task = eval_has_choices(e) ? TASK_CHOICE : TASK_LOSS;
    rc = describe(r, s, task, figures, err);
    return rc < 0 ? rc : tasks[task](e, figures, err);
}

static int evaluate(const struct request *r, struct eval *e, json_t *figures, struct err *err)
{
    struct export_source s = {0};
    struct data_options data;
    struct err refusal = {0};
    char today[16];
    int rc = open_source(r, &s, e, err);

    if (rc == 0) {
        data = data_of(r, &s, (char *)clock_today(today));
        e->data = &data;
        e->files = &data.eval;
        rc = open_model(r, &s, e, &refusal, err);
    }
    if (rc == 0)
        rc = measure(r, &s, e, figures, err);
    if (e->shown_s != 0 && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    generator_close(e->g);
    tokenizer_free(e->tokenizer);
    export_source_close(&s);
    if (rc == 0 && r->details)
        rc = file_write_durably(r->details, e->details.data ? e->details.data : "", e->details.len,
                                err);
    return rc;
}

static void print_failure(const struct eval *e, const struct err *err)
{
    char *text = e->problems.n ? problems_text(&e->problems) : NULL;

    if (text)
        fputs(text, stderr);
    fprintf(stderr, "eval: %s\n", err->text);
    free(text);
}

static void close_eval(struct eval *e, json_t *figures)
{
    json_decref(figures);
    buf_free(&e->details);
    buf_free(&e->notices);
    problems_free(&e->problems);
}

/* What the request does not say is as without it. */
static void take_request(const struct evaluation_request *q, struct request *r)
{
    *r = (struct request){
        .choice = {q->from, q->model, q->without_directions, q->checkpoint},
        .template_kind = q->template_kind ? find(q->template_kind, template_names, 5) : -1,
        .chat_template = q->chat_template,
        .max_tokens = q->max_tokens,
        .task = q->task ? find(q->task, task_names, 4) : TASK_AUTO,
        .threads = q->threads,
        .limit = q->limit,
        .new_tokens = q->new_tokens ? q->new_tokens : NEW_TOKENS,
        .base = q->base_only,
    };
    for (int i = 0; i < q->n_data; i++)
        r->files[i] = (struct data_name){q->data[i], 1};
    r->names = (struct data_names){r->files, q->n_data};
}

static void begin(const struct request *r, struct eval *e)
{
    e->limit = r->limit;
    e->new_tokens = r->new_tokens;
}

static char *reason_of(const struct eval *e, const struct err *err)
{
    char *text = e->problems.n ? problems_text(&e->problems) : NULL;

    return text ? text : strdup(err->text);
}

static int measure_queued(struct eval_queue *q, struct eval *e, json_t *figures, struct err *err)
{
    struct request r;
    int rc;

    take_request(&q->request, &r);
    begin(&r, e);
    e->wants_details = true;
    e->queue = q;
    rc = evaluate(&r, e, figures, err);
    print_notices(e);
    if (rc == 0)
        print_figures(&r, figures);
    return rc == 0 ? eval_queue_results(q, figures, &e->details, err) : rc;
}

/* dashd has started it; what is printed goes to the job's log. */
static int eval_queued(const char *output)
{
    json_t *figures = json_object();
    struct eval_queue q;
    struct eval e = {0};
    struct err err = {0};
    char *reason;
    int rc;

    log_init("eval", LOG_INFO);
    catch_signals();
    rc = eval_queue_open(output, &q, &err);
    if (rc == 0)
        rc = figures ? measure_queued(&q, &e, figures, &err) : err_nomem(&err, sizeof(json_t));
    reason = reason_of(&e, &err);
    if (rc < 0)
        log_error("%s", reason ? reason : err.text);
    eval_queue_end(&q, rc, reason ? reason : "");
    eval_queue_close(&q);
    free(reason);
    close_eval(&e, figures);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int eval_main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&evaluation_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .children = children,
        .args_doc = "[FOLDER]",
        .doc = "Measures a model on a data set. FOLDER is the output folder of a job, whose data "
               "settings are used, or that of a PEFT adapter.",
    };
    struct arguments arguments = {0};
    struct request r;
    struct eval e = {0};
    json_t *figures = json_object();
    struct err err;
    int rc;

    output_check_at_exit();
    if (argc == 3 && strcmp(argv[1], "--queued") == 0) /* as dashd starts it */
        return eval_queued(argv[2]);
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    catch_signals();
    take_request(&arguments.evaluation.request, &r);
    r.details = arguments.evaluation.details;
    r.json = arguments.json;
    begin(&r, &e);
    e.wants_details = r.details != NULL;
    rc = figures ? evaluate(&r, &e, figures, &err) : err_nomem(&err, sizeof(json_t));
    print_notices(&e);
    if (rc == 0)
        print_figures(&r, figures);
    else
        print_failure(&e, &err);
    close_eval(&e, figures);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
