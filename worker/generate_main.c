/* worker/generate_main.c - `dashctl generate`: prompts in, answers out.
 *
 * Prompts come from the command line, from a file (--prompts; JSONL rows with the keys of a
 * training file, or one plain prompt a line), or from standard input. Where rows carry the expected
 * answer, exact matches are counted. With --chat each line of standard input is answered in turn,
 * with all that was said before it.
 */
#include "core/clock.h"
#include "core/output.h"
#include "core/utf8.h"
#include "core/text/tokenizer.h"
#include "worker/answers.h"
#include "worker/generate.h"
#include "worker/generate_prompts.h"
#include <argp.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
    const char *model, *adapter, *prompts_file, *system;
    struct prompts prompts;
    struct data_options data; /* the template's */
    int threads, limit;
    bool json, chat;
    struct generate_options options;
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
    {"chat", KEY_CHAT, NULL, 0, "a conversation: each line of standard input is answered", 0},
    {"system", KEY_SYSTEM, "TEXT", 0, "with --chat: what the system says first", 0},
    {"max-tokens", KEY_MAX_TOKENS, "N", 0, "new tokens at most (default 64)", 0},
    {"temperature", KEY_TEMPERATURE, "X", 0, "0 (default): always the likeliest token", 0},
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
    if (!r->model)
        argp_error(state, "--model is missing: a model folder or .gguf file");
    if (r->prompts.n == 0 && !r->prompts_file && !r->chat)
        argp_error(state, "no prompt: give --prompt TEXT, --prompts FILE or --chat");
    if (r->chat && (r->prompts.n || r->prompts_file))
        argp_error(state, "--chat reads standard input: give no prompts beside it");
    if (r->system && !r->chat)
        argp_error(state, "--system goes with --chat");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;
    int kind;

    switch (key) {
    case KEY_MODEL:
        r->model = arg;
        break;
    case KEY_ADAPTER:
        r->adapter = arg;
        break;
    case KEY_PROMPTS:
        r->prompts_file = arg;
        break;
    case KEY_PROMPT:
    case ARGP_KEY_ARG:
        if (prompts_add_text(&r->prompts, arg, &r->err) < 0)
            argp_error(state, "%s", r->err.text);
        break;
    case KEY_TEMPLATE:
        kind = parse_template(arg);
        if (kind < 0)
            argp_error(state, "--template is auto, model, plain, alpaca or chatml, not \"%s\"",
                       arg);
        r->data.template_kind = (enum data_template)kind;
        break;
    case KEY_CHAT_TEMPLATE:
        r->data.chat_template = arg;
        break;
    case KEY_CHAT:
        r->chat = true;
        break;
    case KEY_SYSTEM:
        r->system = arg;
        break;
    case KEY_MAX_TOKENS:
        r->options.max_tokens = (int)number(state, "--max-tokens", arg, 1, 1 << 20);
        break;
    case KEY_TEMPERATURE:
        r->options.temperature = number(state, "--temperature", arg, 0, 100);
        break;
    case KEY_SEED:
        r->options.seed = (uint64_t)number(state, "--seed", arg, 0, 9007199254740992.0);
        break;
    case KEY_LIMIT:
        r->limit = (int)number(state, "--limit", arg, 1, 2147483647);
        break;
    case KEY_THREADS:
        r->threads = (int)number(state, "--threads", arg, 1, 4096);
        break;
    case KEY_OUTPUT:
        if (strcmp(arg, "json") != 0)
            argp_error(state, "--output knows json, not \"%s\"", arg);
        r->json = true;
        break;
    case ARGP_KEY_END:
        check_request(r, state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* A model may say what would act on a terminal; a file or a pipe gets it as it is. */
static void print_text(const char *before, const char *text)
{
    struct buf safe = {0};

    if (isatty(STDOUT_FILENO))
        utf8_escape(text, UTF8_KEEP_LINES, &safe);
    printf("%s%s\n", before, safe.data && !safe.failed ? safe.data : text);
    buf_free(&safe);
}

static void print_answer(const struct request *r, const struct prompt *p, const char *answer,
                         int tokens)
{
    json_t *o;

    if (!r->json) {
        if (r->prompts.n > 1)
            print_text("> ", p->text);
        print_text("", answer);
        return;
    }
    o = json_pack("{s:s, s:s, s:i, s:s?}", "prompt", p->text, "completion", answer, "tokens",
                  tokens, "expected", p->expected);
    if (o)
        json_dumpf(o, stdout, 0);
    printf("\n");
    json_decref(o);
}

struct tally {
    int expected, matched;
};

static int answer_one(const struct request *r, const struct tokenizer *tokenizer,
                      const struct prompt *p, const struct token_list *ids, struct tally *tally,
                      struct err *err)
{
    struct buf text = {0};
    int rc = tokenizer_decode(tokenizer, ids->ids, ids->n, true, &text, err);
    char *answer = rc == 0 ? buf_take(&text) : NULL;

    if (rc == 0 && !answer)
        rc = err_nomem(err, text.cap);
    if (rc == 0) {
        if (r->json)
            utf8_make_valid(answer, strlen(answer));
        print_answer(r, p, answer, ids->n);
        if (p->expected) {
            tally->expected++;
            tally->matched += answer_matches(answer, p->expected);
        }
    }
    free(answer);
    buf_free(&text);
    return rc;
}

struct answering { /* what all prompts share */
    struct generator *g;
    struct tokenizer *tokenizer;
    struct prompt_encoder *encoder;
    struct tally tally;
};

static int answer_group(const struct request *r, struct answering *a, int first, struct err *err)
{
    struct token_list prompts[GENERATE_GROUP] = {0}, answers[GENERATE_GROUP] = {0};
    const struct prompt *of = r->prompts.of + first;
    int n = r->prompts.n - first, i, rc = 0;

    n = n < GENERATE_GROUP ? n : GENERATE_GROUP;
    for (i = 0; i < n && rc == 0; i++)
        rc = prompt_encode(a->encoder, &of[i], &prompts[i], err);
    if (rc == 0)
        rc = generate(a->g, prompts, n, first, &r->options, answers, NULL, NULL, err);
    for (i = 0; i < n && rc == 0; i++)
        rc = answer_one(r, a->tokenizer, &of[i], &answers[i], &a->tally, err);
    fflush(stdout);
    for (i = 0; i < n; i++) {
        token_list_free(&prompts[i]);
        token_list_free(&answers[i]);
    }
    return rc;
}

/* ---- a conversation ---- */

static int say(json_t *messages, const char *role, const char *text, struct err *err)
{
    json_t *message = json_pack("{s:s, s:s}", "role", role, "content", text);

    if (!message)
        return err_set(err, ERR_INVALID, "the text is not UTF-8");
    return json_array_append_new(messages, message) < 0 ? err_nomem(err, strlen(text)) : 0;
}

static int answer_turn(const struct request *r, struct answering *a, struct prompt *p, long turn,
                       json_t *messages, struct err *err)
{
    struct token_list ids = {0}, answer = {0};
    struct buf text = {0};
    int rc = prompt_encode(a->encoder, p, &ids, err);

    if (rc == 0)
        rc = generate(a->g, &ids, 1, turn, &r->options, &answer, NULL, NULL, err);
    if (rc == 0)
        rc = tokenizer_decode(a->tokenizer, answer.ids, answer.n, true, &text, err);
    buf_puts(&text, "");
    if (rc == 0 && text.failed)
        rc = err_nomem(err, text.cap);
    if (rc == 0) {
        utf8_make_valid(text.data, text.len);
        print_answer(r, p, text.data, answer.n);
        fflush(stdout);
        rc = say(messages, "assistant", text.data, err);
    }
    buf_free(&text);
    token_list_free(&ids);
    token_list_free(&answer);
    return rc;
}

static int chat(const struct request *r, struct answering *a, struct err *err)
{
    json_t *messages = json_array();
    struct prompt p = {.row = json_pack("{s:O}", "messages", messages), .format = FORMAT_MESSAGES};
    bool person = !r->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    char *line = NULL;
    size_t cap = 0;
    int rc = p.row ? 0 : err_nomem(err, sizeof(json_t));

    if (rc == 0 && r->system)
        rc = say(messages, "system", r->system, err);
    for (long turn = 0; rc == 0; turn++) {
        if (person)
            fputs("> ", stdout), fflush(stdout);
        if (getline(&line, &cap, stdin) < 0)
            break;
        line[strcspn(line, "\r\n")] = '\0';
        if (!*line)
            continue;
        rc = say(messages, "user", line, err);
        p.text = line;
        if (rc == 0)
            rc = answer_turn(r, a, &p, turn, messages, err);
    }
    free(line);
    json_decref(messages);
    json_decref(p.row);
    return rc;
}

static void print_tally(const struct request *r, const struct tally *t)
{
    if (t->expected == 0)
        return;
    if (r->json)
        printf("{\"exact_match\": %d, \"of\": %d}\n", t->matched, t->expected);
    else
        printf("exact match: %d of %d (%.0f%%)\n", t->matched, t->expected,
               100.0 * t->matched / t->expected);
}

static int answer_all(struct request *r, struct err *err)
{
    struct answering a = {0};
    int i, rc = r->prompts_file ? prompts_read(&r->prompts, r->prompts_file, r->limit, err) : 0;

    if (rc == 0)
        rc = generator_open(r->model, r->adapter, r->threads, &a.g, err);
    if (rc == 0)
        rc = model_open_tokenizer(generator_model(a.g), &a.tokenizer, err);
    if (rc == 0 && !a.tokenizer)
        rc = err_set(err, ERR_INVALID, "%s has no tokenizer, so no text can be given to it",
                     r->model);
    if (rc == 0)
        rc = prompt_encoder_open(a.tokenizer, &r->data, &a.encoder, err);
    r->options.tokenizer = a.tokenizer;
    if (rc == 0 && r->chat)
        rc = chat(r, &a, err);
    for (i = 0; i < r->prompts.n && rc == 0; i += GENERATE_GROUP)
        rc = answer_group(r, &a, i, err);
    if (rc == 0)
        print_tally(r, &a.tally);
    prompt_encoder_free(a.encoder);
    tokenizer_free(a.tokenizer);
    generator_close(a.g);
    return rc;
}

int generate_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[PROMPT...]",
        .doc = "Lets a model answer prompts, with or without an adapter.",
    };
    struct request r = {.options = {.max_tokens = 64}};
    char today[16];
    struct err err;
    int rc;

    output_check_at_exit();
    r.data.date = (char *)clock_today(today);
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &r);
    rc = answer_all(&r, &err);
    if (rc < 0)
        fprintf(stderr, "generate: %s\n", err.text);
    prompts_free(&r.prompts);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
