/* worker/eval_main.c - `dashctl eval`: what is measured, on which data, and the figures. Files are
 * written once everything has succeeded. */
#include "core/clock.h"
#include "core/file.h"
#include "core/job/export_source.h"
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
enum { FILES_MAX = 64 };

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

enum {
    KEY_MODEL = 1,
    KEY_ADAPTER,
    KEY_DATA,
    KEY_TASK,
    KEY_WITHOUT_DIRECTIONS,
    KEY_CHECKPOINT,
    KEY_BASE,
    KEY_TEMPLATE,
    KEY_CHAT_TEMPLATE,
    KEY_MAX_TOKENS,
    KEY_NEW_TOKENS,
    KEY_LIMIT,
    KEY_DETAILS,
    KEY_THREADS,
    KEY_OUTPUT,
};

static const struct argp_option options[] = {
    {"model", KEY_MODEL, "PATH", 0,
     "a model folder or .gguf file, in place of the one that the job or the adapter names", 0},
    {"adapter", KEY_ADAPTER, "FOLDER", 0, "a PEFT adapter, in place of a job's output folder", 0},
    {"data", KEY_DATA, "FILE", 0,
     "a data file, or a pattern of them; may be given several times (default: the job's data.eval)",
     0},
    {"task", KEY_TASK, "NAME", 0,
     "loss: loss and perplexity; choice: rows with choices, answered by likelihood; answer: "
     "answers "
     "are generated and compared with the rows'; auto (default): choice where the first row has "
     "choices, else loss",
     0},
    {"without-directions", KEY_WITHOUT_DIRECTIONS, NULL, 0, "leave out the directions of LoRA-Dash",
     0},
    {"checkpoint", KEY_CHECKPOINT, NULL, 0,
     "the job's last checkpoint, even where it has written an adapter", 0},
    {"base", KEY_BASE, NULL, 0, "the model without what was trained", 0},
    {"template", KEY_TEMPLATE, "NAME", 0,
     "auto, model, plain, alpaca or chatml (default: the job's, or auto)", 0},
    {"chat-template", KEY_CHAT_TEMPLATE, "FILE", 0,
     "a chat template (default: the job's, or the model's)", 0},
    {"max-tokens", KEY_MAX_TOKENS, "N", 0,
     "longer rows are cut (default: the job's data.max_tokens, or what the model knows)", 0},
    {"new-tokens", KEY_NEW_TOKENS, "N", 0, "of a generated answer at most (default 64)", 0},
    {"limit", KEY_LIMIT, "N", 0, "only the first N examples", 0},
    {"details", KEY_DETAILS, "FILE", 0, "write a JSON line for each example", 0},
    {"threads", KEY_THREADS, "N", 0, "default: all cores", 0},
    {"output", KEY_OUTPUT, "FORMAT", 0, "text (default) or json", 0},
    {0},
};

/* ---- the command line ---- */

static int find(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static int whole(struct argp_state *state, const char *option, const char *arg, long most)
{
    char *end;
    long x = strtol(arg, &end, 10);

    if (end == arg || *end || x < 1 || x > most)
        argp_error(state, "%s must be an integer from 1 to %ld, not \"%s\"", option, most, arg);
    return (int)x;
}

static void add_file(struct request *r, char *path, struct argp_state *state)
{
    if (r->names.n == FILES_MAX)
        argp_error(state, "--data can be given %d times: use a pattern, as \"part-*.jsonl\"",
                   FILES_MAX);
    r->files[r->names.n++] = (struct data_name){path, 1};
    r->names.of = r->files;
}

static void set_source(struct request *r, const char *from, struct argp_state *state)
{
    if (r->choice.from)
        argp_error(state, "one output folder or adapter at a time: what is \"%s\"?", from);
    r->choice.from = from;
}

static void check_request(const struct request *r, struct argp_state *state)
{
    if (!r->choice.from && !r->choice.model)
        argp_error(state, "name the output folder of a job, or give --model, with --adapter or "
                          "without");
    if (!r->choice.from && (r->choice.lora_only || r->choice.checkpoint))
        argp_error(state, "%s needs the output folder of a job",
                   r->choice.checkpoint ? "--checkpoint" : "--without-directions");
    if (r->base && (r->choice.lora_only || r->choice.checkpoint))
        argp_error(state, "--base leaves out all that was trained: give no %s beside it",
                   r->choice.checkpoint ? "--checkpoint" : "--without-directions");
}

static error_t parse_number(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case KEY_MAX_TOKENS:
        r->max_tokens = whole(state, "--max-tokens", arg, 1 << 20);
        return 0;
    case KEY_NEW_TOKENS:
        r->new_tokens = whole(state, "--new-tokens", arg, 1 << 20);
        return 0;
    case KEY_LIMIT:
        r->limit = whole(state, "--limit", arg, 2147483647);
        return 0;
    case KEY_THREADS:
        r->threads = whole(state, "--threads", arg, 4096);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_name(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case KEY_TASK:
        r->task = find(arg, task_names, 4);
        if (r->task < 0)
            argp_error(state, "--task is auto, loss, choice or answer, not \"%s\"", arg);
        return 0;
    case KEY_TEMPLATE:
        r->template_kind = find(arg, template_names, 5);
        if (r->template_kind < 0)
            argp_error(state, "--template is auto, model, plain, alpaca or chatml, not \"%s\"",
                       arg);
        return 0;
    case KEY_OUTPUT:
        r->json = strcmp(arg, "json") == 0;
        if (!r->json && strcmp(arg, "text") != 0)
            argp_error(state, "--output is text or json, not \"%s\"", arg);
        return 0;
    default:
        return parse_number(key, arg, state);
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case KEY_MODEL:
        r->choice.model = arg;
        break;
    case KEY_ADAPTER:
    case ARGP_KEY_ARG:
        set_source(r, arg, state);
        break;
    case KEY_DATA:
        add_file(r, arg, state);
        break;
    case KEY_WITHOUT_DIRECTIONS:
        r->choice.lora_only = true;
        break;
    case KEY_CHECKPOINT:
        r->choice.checkpoint = true;
        break;
    case KEY_BASE:
        r->base = true;
        break;
    case KEY_CHAT_TEMPLATE:
        r->chat_template = arg;
        break;
    case KEY_DETAILS:
        r->details = arg;
        break;
    case ARGP_KEY_END:
        check_request(r, state);
        break;
    default:
        return parse_name(key, arg, state);
    }
    return 0;
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
int eval_progress(struct eval *e, long done, long total, struct err *err)
{
    static const double terminal_s = 0.1, pipe_s = 5;
    bool on_terminal = isatty(STDERR_FILENO);
    double now = clock_s();

    if (asked_to_end)
        return err_set(err, ERR_STATE, "interrupted after %ld of %ld examples: nothing is written",
                       done, total);
    if (e->shown_s == 0)
        e->shown_s = on_terminal ? now - terminal_s : now;
    if (now - e->shown_s < (on_terminal ? terminal_s : pipe_s))
        return 0;
    e->shown_s = now;
    fprintf(stderr, "%s%ld of %ld examples%s", on_terminal ? "\r" : "", done, total,
            on_terminal ? "\033[K" : "\n");
    return 0;
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

int eval_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[FOLDER]",
        .doc = "Measures a model on a data set. FOLDER is the output folder of a job, whose data "
               "settings are used, or that of a PEFT adapter.",
    };
    struct request r = {.template_kind = -1, .new_tokens = 64};
    struct eval e = {0};
    json_t *figures = json_object();
    struct err err;
    int rc;

    output_check_at_exit();
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &r);
    catch_signals();
    e.limit = r.limit;
    e.new_tokens = r.new_tokens;
    e.wants_details = r.details != NULL;
    rc = figures ? evaluate(&r, &e, figures, &err) : err_nomem(&err, sizeof(json_t));
    print_notices(&e);
    if (rc == 0)
        print_figures(&r, figures);
    else
        print_failure(&e, &err);
    json_decref(figures);
    buf_free(&e.details);
    buf_free(&e.notices);
    problems_free(&e.problems);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
