/* worker/generate_main.c - `dashctl generate`: prompts in, answers out.
 *
 * Prompts come from the command line, from a file (--prompts; JSONL rows with the keys of a
 * training file, or one plain prompt a line), or from standard input. Where rows carry the expected
 * answer, exact matches are counted.
 */
#include "core/file.h"
#include "core/json_parse.h"
#include "core/utf8.h"
#include "core/text/tokenizer.h"
#include "core/text/template.h"
#include "worker/generate.h"
#include <argp.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct prompt {
    char *text;
    char *expected; /* or NULL */
    enum data_template kind;
};

struct request {
    const char *model, *adapter, *prompts_file;
    struct prompt *prompts;
    int n;
    enum data_template kind;
    int threads, limit;
    bool json;
    struct generate_options options;
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
    PROMPTS_MAX = 256 << 20 /* bytes of a file of prompts */
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
     "auto (default), plain, alpaca or chatml; auto is chatml for a chat model, and plain for rows "
     "with {\"prompt\"}",
     0},
    {"max-tokens", KEY_MAX_TOKENS, "N", 0, "new tokens at most (default 64)", 0},
    {"temperature", KEY_TEMPERATURE, "X", 0, "0 (default): always the likeliest token", 0},
    {"seed", KEY_SEED, "N", 0, "of the random numbers, with a temperature (default 0)", 0},
    {"limit", KEY_LIMIT, "N", 0, "only the first N prompts of the file", 0},
    {"threads", KEY_THREADS, "N", 0, "default: all cores", 0},
    {"output", KEY_OUTPUT, "json", 0, "a JSON object a prompt", 0},
    {0},
};

static int add_prompt(struct request *r, const char *text, const char *expected,
                      enum data_template kind)
{
    struct prompt *more = realloc(r->prompts, (size_t)(r->n + 1) * sizeof(*more));

    if (!more)
        return -1;
    r->prompts = more;
    more[r->n] = (struct prompt){strdup(text), expected ? strdup(expected) : NULL, kind};
    return more[r->n].text ? (r->n++, 0) : -1;
}

static int parse_template(const char *name)
{
    static const char *const names[] = {"auto", "plain", "alpaca", "chatml"};
    int i;

    for (i = 0; i < 4; i++)
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
    if (r->n == 0 && !r->prompts_file)
        argp_error(state, "no prompt: give --prompt TEXT or --prompts FILE");
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
        if (add_prompt(r, arg, NULL, TEMPLATE_AUTO) < 0)
            argp_error(state, "out of memory");
        break;
    case KEY_TEMPLATE:
        kind = parse_template(arg);
        if (kind < 0)
            argp_error(state, "--template is auto, plain, alpaca or chatml, not \"%s\"", arg);
        r->kind = (enum data_template)kind;
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

static const char *text_of(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static int add_instruction(struct request *r, const json_t *row)
{
    const char *input = text_of(row, "input");
    struct buf b = {0};
    int rc;

    buf_puts(&b, text_of(row, "instruction"));
    if (input && *input)
        buf_printf(&b, "\n%s", input);
    rc = b.failed ? -1 : add_prompt(r, b.data, text_of(row, "output"), TEMPLATE_AUTO);
    buf_free(&b);
    return rc;
}

/* A row of a training file, or a plain line. */
static int add_line(struct request *r, const char *line)
{
    json_error_t why;
    json_t *row = *line == '{' ? json_parse(line, strlen(line), 0, &why) : NULL;
    int rc;

    if (row && text_of(row, "prompt"))
        rc = add_prompt(r, text_of(row, "prompt"), text_of(row, "completion"), TEMPLATE_PLAIN);
    else if (row && text_of(row, "instruction"))
        rc = add_instruction(r, row);
    else
        rc = add_prompt(r, line, NULL, TEMPLATE_AUTO);
    json_decref(row);
    return rc;
}

static int read_prompts(struct request *r, struct err *err)
{
    char *text = NULL, *at, *end;
    size_t len;
    int rc;

    if (strcmp(r->prompts_file, "-") == 0)
        rc = file_read_stream(STDIN_FILENO, "standard input", PROMPTS_MAX, &text, &len, err);
    else
        rc = file_read(r->prompts_file, PROMPTS_MAX, &text, &len, err);

    for (at = text; rc == 0 && *at; at = end) {
        end = at + strcspn(at, "\n");
        if (*end)
            *end++ = '\0';
        if (*at && add_line(r, at) < 0)
            rc = err_nomem(err, strlen(at));
        if (r->limit && r->n >= r->limit)
            break;
    }
    free(text);
    if (rc == 0 && r->n == 0)
        rc = err_set(err, ERR_INVALID, "%s holds no prompt", r->prompts_file);
    return rc;
}

static void trim(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && strchr(" \n\t\r", text[len - 1]))
        text[--len] = '\0';
    memmove(text, text + strspn(text, " \n\t\r"), strlen(text + strspn(text, " \n\t\r")) + 1);
}

static bool matches(const struct prompt *p, char *answer)
{
    bool equal;
    char *expected = strdup(p->expected);

    if (!expected)
        return false;
    trim(expected);
    trim(answer);
    equal = strcmp(expected, answer) == 0;
    free(expected);
    return equal;
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
        if (r->n > 1)
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
        print_answer(r, p, answer, ids->n);
        if (p->expected) {
            tally->expected++;
            tally->matched += matches(p, answer);
        }
    }
    free(answer);
    buf_free(&text);
    return rc;
}

static enum data_template template_of(const struct request *r, const struct prompt *p)
{
    return r->kind == TEMPLATE_AUTO ? p->kind : r->kind;
}

static int answer_group(const struct request *r, struct generator *g,
                        const struct tokenizer *tokenizer, int first, struct tally *tally,
                        struct err *err)
{
    struct token_list prompts[GENERATE_GROUP] = {0}, answers[GENERATE_GROUP] = {0};
    int n = r->n - first < GENERATE_GROUP ? r->n - first : GENERATE_GROUP, i, rc = 0;

    for (i = 0; i < n && rc == 0; i++)
        rc = template_prompt(tokenizer, template_of(r, &r->prompts[first + i]),
                             r->prompts[first + i].text, &prompts[i], NULL, err);
    if (rc == 0)
        rc = generate(g, prompts, n, first, &r->options, answers, NULL, NULL, err);
    for (i = 0; i < n && rc == 0; i++)
        rc = answer_one(r, tokenizer, &r->prompts[first + i], &answers[i], tally, err);
    fflush(stdout);
    for (i = 0; i < n; i++) {
        free(prompts[i].ids);
        free(answers[i].ids);
    }
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
    struct generator *g = NULL;
    struct tokenizer *tokenizer = NULL;
    struct tally tally = {0};
    int i, rc = r->prompts_file ? read_prompts(r, err) : 0;

    if (rc == 0)
        rc = generator_open(r->model, r->adapter, r->threads, &g, err);
    if (rc == 0)
        rc = model_open_tokenizer(generator_model(g), &tokenizer, err);
    if (rc == 0 && !tokenizer)
        rc = err_set(err, ERR_INVALID, "%s has no tokenizer, so no text can be given to it",
                     r->model);
    if (rc == 0)
        r->options.tokenizer = tokenizer;
    for (i = 0; i < r->n && rc == 0; i += GENERATE_GROUP)
        rc = answer_group(r, g, tokenizer, i, &tally, err);
    if (rc == 0)
        print_tally(r, &tally);
    tokenizer_free(tokenizer);
    generator_close(g);
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
    struct err err;
    int i, rc;

    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &r);
    rc = answer_all(&r, &err);
    if (rc < 0)
        fprintf(stderr, "generate: %s\n", err.text);
    for (i = 0; i < r.n; i++) {
        free(r.prompts[i].text);
        free(r.prompts[i].expected);
    }
    free(r.prompts);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
