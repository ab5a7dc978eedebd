/* core/job/evaluation_options.c - see evaluation_options.h. */
#include "core/job/evaluation_options.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MODEL = 5000,
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
    {0},
};

static int whole(struct argp_state *state, const char *option, const char *arg, long most)
{
    char *end;
    long x = strtol(arg, &end, 10);

    if (end == arg || *end || x < 1 || x > most)
        argp_error(state, "%s must be an integer from 1 to %ld, not \"%s\"", option, most, arg);
    return (int)x;
}

static char *one_of(struct argp_state *state, const char *option, char *arg,
                    const char *const *words, const char *listed)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(arg, words[i]) == 0)
            return arg;
    argp_error(state, "%s is %s, not \"%s\"", option, listed, arg);
    return NULL;
}

static void add_file(struct evaluation_options *o, char *path, struct argp_state *state)
{
    if (o->request.n_data == EVALUATION_DATA_MAX)
        argp_error(state, "--data can be given %d times: use a pattern, as \"part-*.jsonl\"",
                   EVALUATION_DATA_MAX);
    o->files[o->request.n_data++] = path;
    o->request.data = o->files;
}

static void set_source(struct evaluation_request *r, char *from, struct argp_state *state)
{
    if (r->from)
        argp_error(state, "one output folder or adapter at a time: what is \"%s\"?", from);
    r->from = from;
}

static void check_request(const struct evaluation_request *r, struct argp_state *state)
{
    const char *what = r->checkpoint ? "--checkpoint" : "--without-directions";

    if (!r->from && !r->model)
        argp_error(state, "name the output folder of a job, or give --model, with --adapter or "
                          "without");
    if (!r->from && (r->without_directions || r->checkpoint))
        argp_error(state, "%s needs the output folder of a job", what);
    if (r->base_only && (r->without_directions || r->checkpoint))
        argp_error(state, "--base leaves out all that was trained: give no %s beside it", what);
}

static error_t parse_value(int key, char *arg, struct argp_state *state)
{
    static const char *const tasks[] = {"auto", "loss", "choice", "answer", NULL};
    static const char *const templates[] = {"auto", "model", "plain", "alpaca", "chatml", NULL};
    struct evaluation_options *o = state->input;
    struct evaluation_request *r = &o->request;

    switch (key) {
    case KEY_TASK:
        r->task = one_of(state, "--task", arg, tasks, "auto, loss, choice or answer");
        return 0;
    case KEY_TEMPLATE:
        r->template_kind =
            one_of(state, "--template", arg, templates, "auto, model, plain, alpaca or chatml");
        return 0;
    case KEY_MAX_TOKENS:
        r->max_tokens = whole(state, "--max-tokens", arg, 1 << 20);
        return 0;
    case KEY_NEW_TOKENS:
        r->new_tokens = whole(state, "--new-tokens", arg, 1 << 20);
        return 0;
    case KEY_LIMIT:
        r->limit = whole(state, "--limit", arg, INT_MAX);
        return 0;
    case KEY_THREADS:
        r->threads = whole(state, "--threads", arg, 4096);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct evaluation_options *o = state->input;
    struct evaluation_request *r = &o->request;

    switch (key) {
    case KEY_MODEL:
        r->model = arg;
        break;
    case KEY_ADAPTER:
    case ARGP_KEY_ARG:
        set_source(r, arg, state);
        break;
    case KEY_DATA:
        add_file(o, arg, state);
        break;
    case KEY_WITHOUT_DIRECTIONS:
        r->without_directions = true;
        break;
    case KEY_CHECKPOINT:
        r->checkpoint = true;
        break;
    case KEY_BASE:
        r->base_only = true;
        break;
    case KEY_CHAT_TEMPLATE:
        r->chat_template = arg;
        break;
    case KEY_DETAILS:
        o->details = arg;
        break;
    case ARGP_KEY_END:
        check_request(r, state);
        break;
    default:
        return parse_value(key, arg, state);
    }
    return 0;
}

const struct argp evaluation_argp = {.options = options, .parser = parse};
