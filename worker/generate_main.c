/* worker/generate_main.c - `dashctl generate`: the command line.
 *
 * Prompts come from the command line, from a file (--prompts; JSONL rows with the keys of a
 * training file, or one plain prompt a line), or from standard input. Where rows carry the expected
 * answer, exact matches are counted. With --chat each line of standard input is answered in turn,
 * with all that was said before it.
 */
#include "core/clock.h"
#include "core/output.h"
#include "worker/generate_answers.h"
#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STOPS_MAX = 32 };

struct request {
    struct generate_request of;
    const char *stops[STOPS_MAX];
    struct err err; /* of a prompt on the command line */
};

enum {
    KEY_MODEL = 1,
    KEY_ADAPTER,
    KEY_PROMPT,
    KEY_PROMPTS,
    KEY_TEMPLATE,
    KEY_MAX_TOKENS,
    KEY_TEMPERATURE,
    KEY_TOP_K,
    KEY_TOP_P,
    KEY_REPETITION_PENALTY,
    KEY_STOP,
    KEY_SEED,
    KEY_OUTPUT,
    KEY_THREADS,
    KEY_LIMIT,
    KEY_CHAT,
    KEY_SYSTEM,
    KEY_CHAT_TEMPLATE,
};

static const struct argp_option options[] = {
    {"model", KEY_MODEL, "PATH", 0, "a model folder or .gguf file (needed)", 0},
    {"adapter", KEY_ADAPTER, "FOLDER", 0, "a PEFT adapter: the adapter/ of a job's output", 0},
    {"prompt", KEY_PROMPT, "TEXT", 0, "a prompt; may be given several times", 0},
    {"prompts", KEY_PROMPTS, "FILE", 0,
     "prompts from a file: JSONL rows as for training, whose expected answers are compared, or a "
     "plain prompt a line; - is standard input",
     0},
    {"template", KEY_TEMPLATE, "NAME", 0,
     "auto (default), model, plain, alpaca or chatml, as data.template of a job", 0},
    {"chat-template", KEY_CHAT_TEMPLATE, "FILE", 0, "a chat template, in place of the model's", 0},
    {"chat", KEY_CHAT, NULL, 0,
     "a conversation: each line of standard input is answered; the default on a terminal where no "
     "prompt is given",
     0},
    {"system", KEY_SYSTEM, "TEXT", 0, "with --chat: what the system says first", 0},
    {"max-tokens", KEY_MAX_TOKENS, "N", 0, "new tokens at most (default 64)", 0},
    {"temperature", KEY_TEMPERATURE, "X", 0, "0 (default): always the likeliest token", 0},
    {"top-k", KEY_TOP_K, "N", 0, "with a temperature: only the N likeliest tokens", 0},
    {"top-p", KEY_TOP_P, "X", 0,
     "with a temperature: only the likeliest tokens that together have this probability", 0},
    {"repetition-penalty", KEY_REPETITION_PENALTY, "X", 0,
     "above 1: tokens that have occurred become less likely (default 1)", 0},
    {"stop", KEY_STOP, "TEXT", 0, "end an answer in front of this text; may be given several times",
     0},
    {"seed", KEY_SEED, "N", 0, "of the random numbers, with a temperature (default 0)", 0},
    {"limit", KEY_LIMIT, "N", 0, "only the first N prompts of the file", 0},
    {"threads", KEY_THREADS, "N", 0, "default: all cores", 0},
    {"output", KEY_OUTPUT, "json", 0, "a JSON object a prompt", 0},
    {0},
};

static int parse_template(const char *name)
{
    static const char *const names[] = {"auto", "plain", "alpaca", "chatml", "model"};
    int i;

    for (i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static double number(struct argp_state *state, const char *what, const char *arg, double lowest,
                     double highest)
{
    char *end;
    double x = strtod(arg, &end);

    if (end == arg || *end || !isfinite(x) || x < lowest || x > highest)
        argp_error(state, "%s must be a number from %g to %g, not \"%s\"", what, lowest, highest,
                   arg);
    return x;
}

static void check_request(struct request *r, struct argp_state *state)
{
    struct generate_request *of = &r->of;
    const struct sampling *how = &of->options.sampling;

    if (!of->model)
        argp_error(state, "--model is missing: a model folder or .gguf file");
    if (of->prompts.n == 0 && !of->prompts_file && !of->json && isatty(STDIN_FILENO))
        of->chat = true;
    if (of->prompts.n == 0 && !of->prompts_file && !of->chat)
        argp_error(state, "no prompt: give --prompt TEXT, --prompts FILE or --chat");
    if (of->chat && (of->prompts.n || of->prompts_file))
        argp_error(state, "--chat reads standard input: give no prompts beside it");
    if (of->system && !of->chat)
        argp_error(state, "--system goes with --chat");
    if (how->temperature == 0 && (how->top_k || how->top_p < 1))
        argp_error(state,
                   "%s needs a --temperature above 0: without one the likeliest token is "
                   "always taken",
                   how->top_k ? "--top-k" : "--top-p");
}

static error_t parse_sampling(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;
    struct sampling *how = &r->of.options.sampling;

    switch (key) {
    case KEY_TEMPERATURE:
        how->temperature = number(state, "--temperature", arg, 0, 100);
        return 0;
    case KEY_SEED:
        how->seed = (uint64_t)number(state, "--seed", arg, 0, 9007199254740992.0);
        return 0;
    case KEY_TOP_K:
        how->top_k = (int)number(state, "--top-k", arg, 1, SAMPLING_TOP_K_MAX);
        return 0;
    case KEY_TOP_P:
        how->top_p = number(state, "--top-p", arg, 1e-6, 1);
        return 0;
    case KEY_REPETITION_PENALTY:
        how->repetition_penalty = number(state, "--repetition-penalty", arg, 0.01, 100);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_number(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case KEY_MAX_TOKENS:
        r->of.options.max_tokens = (int)number(state, "--max-tokens", arg, 1, 1 << 20);
        return 0;
    case KEY_LIMIT:
        r->of.limit = (int)number(state, "--limit", arg, 1, 2147483647);
        return 0;
    case KEY_THREADS:
        r->of.threads = (int)number(state, "--threads", arg, 1, 4096);
        return 0;
    default:
        return parse_sampling(key, arg, state);
    }
}

static void add_stop(struct request *r, const char *text, struct argp_state *state)
{
    if (!*text)
        argp_error(state, "--stop must not be empty");
    if (r->of.stops.n == STOPS_MAX)
        argp_error(state, "--stop can be given %d times", STOPS_MAX);
    r->stops[r->of.stops.n++] = text;
    r->of.stops.texts = r->stops;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;
    int kind;

    switch (key) {
    case KEY_MODEL:
        r->of.model = arg;
        break;
    case KEY_ADAPTER:
        r->of.adapter = arg;
        break;
    case KEY_PROMPTS:
        r->of.prompts_file = arg;
        break;
    case KEY_PROMPT:
    case ARGP_KEY_ARG:
        if (prompts_add_text(&r->of.prompts, arg, &r->err) < 0)
            argp_error(state, "%s", r->err.text);
        break;
    case KEY_TEMPLATE:
        kind = parse_template(arg);
        if (kind < 0)
            argp_error(state, "--template is auto, model, plain, alpaca or chatml, not \"%s\"",
                       arg);
        r->of.data.template_kind = (enum data_template)kind;
        break;
    case KEY_CHAT_TEMPLATE:
        r->of.data.chat_template = arg;
        break;
    case KEY_CHAT:
        r->of.chat = true;
        break;
    case KEY_SYSTEM:
        r->of.system = arg;
        break;
    case KEY_STOP:
        add_stop(r, arg, state);
        break;
    case KEY_OUTPUT:
        if (strcmp(arg, "json") != 0)
            argp_error(state, "--output knows json, not \"%s\"", arg);
        r->of.json = true;
        break;
    case ARGP_KEY_END:
        check_request(r, state);
        break;
    default:
        return parse_number(key, arg, state);
    }
    return 0;
}

int generate_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[PROMPT...]",
        .doc = "Lets a model answer prompts, with or without an adapter.",
    };
    struct request r = {.of.options = {.max_tokens = 64, .sampling = sampling_default()}};
    char today[16];
    struct err err;
    int rc;

    output_check_at_exit();
    r.of.data.date = (char *)clock_today(today);
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &r);
    rc = generate_answers(&r.of, &err);
    if (rc < 0)
        fprintf(stderr, "generate: %s\n", err.text);
    prompts_free(&r.of.prompts);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
