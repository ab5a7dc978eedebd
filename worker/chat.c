/* worker/chat.c - see chat.h. Its input is looked at between two tokens, without waiting. Logits
 * are kept as they were before sampling left tokens out: the probabilities that are reported
 * are the model's own. */
#include "worker/chat.h"
#include "core/clock.h"
#include "core/output.h"
#include "core/utf8.h"
#include "worker/generate.h"
#include "worker/generate_prompts.h"
#include "worker/logprobs.h"
#include "worker/stream.h"
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STOPS_MAX = 16, LINE_MAX_BYTES = 16 << 20, DEFAULT_TOKENS = 1024 };

struct chat {
    struct generator *g;
    struct tokenizer *tokenizer;
    struct prompt_encoder *encoder;
    struct logprobs *logprobs; /* NULL: not asked for yet */
    struct buf in;             /* what has come and is not read */
    bool ended;                /* no more will */

    /* the request that is answered */
    json_int_t id;
    bool cancelled;
    int n_top; /* -1: no probabilities */
    struct stream stream;
    const char *stops[STOPS_MAX];
    json_t *pending; /* probabilities of tokens whose text is held back */
};

/* ---- lines ---- */

static int print(json_t *line, struct err *err)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    int rc = 0;

    json_decref(line);
    if (!text)
        return err_nomem(err, 64);
    if (puts(text) < 0 || fflush(stdout) != 0)
        rc = err_errno(err, "cannot answer");
    free(text);
    return rc;
}

/* Reads what there is; waits for some where `wait`. */
static int read_some(struct chat *c, bool wait, struct err *err)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    char bytes[65536];
    ssize_t n;

    if (poll(&fd, 1, wait ? -1 : 0) <= 0)
        return 0;
    n = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return err_errno(err, "cannot read requests");
    if (n == 0)
        c->ended = true;
    if (n > 0)
        buf_append(&c->in, bytes, (size_t)n);
    if (c->in.failed || c->in.len > LINE_MAX_BYTES)
        return err_set(err, ERR_INVALID, "a request is too long");
    return 0;
}

/* The next line that has come, or NULL; the caller frees it by json_decref(). *ret_len: its bytes,
 * which stay. */
static json_t *look_at_line(const struct chat *c, size_t *ret_len)
{
    char *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
    json_t *line;

    if (!end)
        return NULL;
    *ret_len = (size_t)(end + 1 - c->in.data);
    line = json_loadb(c->in.data, *ret_len, 0, NULL);
    return line ? line : json_object();
}

static void drop_line(struct chat *c, size_t len)
{
    memmove(c->in.data, c->in.data + len, c->in.len - len);
    c->in.len -= len;
}

/* Between two tokens: all that can come is that this one is wanted no more. */
static int look_for_cancel(struct chat *c, struct err *err)
{
    int rc = read_some(c, false, err);
    const json_t *id;
    json_t *line;
    size_t len;

    while (rc == 0 && (line = look_at_line(c, &len))) {
        id = json_object_get(line, "cancel");
        if (id)
            drop_line(c, len);
        c->cancelled |= id && json_integer_value(id) == c->id;
        json_decref(line);
        if (!id)
            break; /* the next request */
    }
    c->cancelled |= c->ended;
    return rc;
}

/* ---- an answer ---- */

static int print_new(struct chat *c, bool last, struct err *err)
{
    size_t len;
    const char *text = stream_take(&c->stream, last, &len);
    json_t *line;
    char *piece;

    if (len == 0 && !(last && c->pending && json_array_size(c->pending) > 0))
        return 0;
    piece = strndup(text, len);
    if (!piece)
        return err_nomem(err, len);
    utf8_make_valid(piece, len);
    line = json_pack("{s:I, s:s}", "id", c->id, "text", piece);
    free(piece);
    if (c->pending) {
        json_object_set_new(line, "logprobs", c->pending);
        c->pending = json_array();
    }
    return print(line, err);
}

static void on_logits(void *arg, int sequence, const float *logits)
{
    struct chat *c = arg;

    (void)sequence;
    if (c->n_top >= 0)
        logprobs_keep(c->logprobs, logits);
}

static int on_token(void *arg, int sequence, int32_t id, struct err *err)
{
    struct chat *c = arg;
    int rc = stream_add(&c->stream, id, err);

    (void)sequence;
    if (rc == 0 && c->n_top >= 0)
        json_array_append_new(c->pending, logprobs_of(c->logprobs, c->tokenizer, id, c->n_top));
    if (rc == 0)
        rc = print_new(c, false, err);
    if (rc == 0)
        rc = look_for_cancel(c, err);
    return rc < 0 ? rc : c->stream.ended || c->cancelled;
}

static double number_or(const json_t *request, const char *key, double otherwise)
{
    const json_t *value = json_object_get(request, key);

    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static void begin(struct chat *c, const json_t *request, struct generate_options *o)
{
    const json_t *stops = json_object_get(request, "stop");
    size_t i;

    c->id = json_integer_value(json_object_get(request, "id"));
    c->cancelled = false;
    c->n_top = (int)number_or(request, "logprobs", -1);
    c->pending = c->n_top >= 0 ? json_array() : NULL;
    c->stream = (struct stream){.tokenizer = c->tokenizer, .stops = {c->stops, 0}};
    for (i = 0; i < json_array_size(stops) && i < STOPS_MAX; i++) {
        const char *text = json_string_value(json_array_get(stops, i));
        if (text && *text)
            c->stops[c->stream.stops.n++] = text;
    }
    *o = (struct generate_options){.max_tokens = (int)number_or(request, "max_tokens", 0),
                                   .sampling = sampling_default(),
                                   .tokenizer = c->tokenizer,
                                   .on_logits = on_logits};
    o->sampling.temperature = number_or(request, "temperature", 1);
    o->sampling.top_p = number_or(request, "top_p", 1);
    o->sampling.seed = (uint64_t)json_integer_value(json_object_get(request, "seed"));
}

/* As many tokens as the model has positions for. */
static bool fit_tokens(const struct chat *c, int n_prompt, struct generate_options *o)
{
    int room = generator_stage(c->g)->config.max_positions - n_prompt;

    if (o->max_tokens <= 0)
        o->max_tokens = DEFAULT_TOKENS;
    o->max_tokens = o->max_tokens < room ? o->max_tokens : room;
    return room > 0;
}

static int refuse(struct chat *c, const char *why, bool too_long, struct err *err)
{
    return print(json_pack("{s:I, s:s, s:b}", "id", c->id, "error", why, "too_long", too_long),
                 err);
}

static int print_end(struct chat *c, int n_prompt, int n_answer, int most, struct err *err)
{
    const char *how = c->cancelled                           ? "cancelled"
                      : !c->stream.ended && n_answer >= most ? "length"
                                                             : "stop";
    int rc = print_new(c, true, err);

    return rc < 0 ? rc
                  : print(json_pack("{s:I, s:s, s:i, s:i}", "id", c->id, "end", how,
                                    "prompt_tokens", n_prompt, "tokens", n_answer),
                          err);
}

/* A request that is wrong is refused, and the next one is read. */
static int answer(struct chat *c, json_t *request, struct err *err)
{
    struct prompt p = {.format = FORMAT_MESSAGES};
    struct token_list ids = {0}, said = {0};
    struct generate_options options;
    bool too_long = false;
    struct err why;
    int rc = 0, refused;

    begin(c, request, &options);
    p.row = json_pack("{s:O?}", "messages", json_object_get(request, "messages"));
    if (c->n_top >= 0 && !c->logprobs)
        rc = logprobs_open(generator_stage(c->g)->config.vocab, &c->logprobs, err);
    if (rc == 0) {
        refused = prompt_encode(c->encoder, &p, &ids, &why);
        too_long = refused == 0 && !fit_tokens(c, ids.n, &options);
        if (too_long)
            refused =
                err_set(&why, ERR_INVALID, "the conversation is longer than the model's context");
        if (refused == 0)
            refused = generate(c->g, &ids, 1, 0, &options, &said, on_token, c, &why);
        rc = refused < 0 ? refuse(c, why.text, too_long, err)
                         : print_end(c, ids.n, said.n, options.max_tokens, err);
    }
    json_decref(p.row);
    json_decref(c->pending);
    c->pending = NULL;
    stream_free(&c->stream);
    token_list_free(&ids);
    token_list_free(&said);
    return rc;
}

static int serve(struct chat *c, struct err *err)
{
    json_t *line;
    size_t len;
    int rc = print(json_pack("{s:b, s:i}", "ready", 1, "positions",
                             generator_stage(c->g)->config.max_positions),
                   err);

    while (rc == 0 && !c->ended) {
        line = look_at_line(c, &len);
        if (line)
            drop_line(c, len);
        else
            rc = read_some(c, true, err);
        if (json_object_get(line, "messages"))
            rc = answer(c, line, err);
        json_decref(line);
    }
    return rc;
}

/* ---- the program ---- */

struct chat_options {
    const char *model, *adapter;
    struct data_options data;
    int threads;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct chat_options *o = state->input;

    switch (key) {
    case 'm':
        o->model = arg;
        return 0;
    case 'a':
        o->adapter = arg;
        return 0;
    case 't':
        o->threads = atoi(arg);
        return 0;
    case ARGP_KEY_END:
        if (!o->model)
            argp_error(state, "--model is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int open_chat(struct chat *c, const struct chat_options *o, struct err *err)
{
    int rc = generator_open(o->model, o->adapter, o->threads, &c->g, err);

    if (rc == 0)
        rc = model_open_tokenizer(generator_model(c->g), &c->tokenizer, err);
    if (rc == 0 && !c->tokenizer)
        rc = err_set(err, ERR_INVALID, "%s has no tokenizer, so no text can be given to it",
                     o->model);
    return rc == 0 ? prompt_encoder_open(c->tokenizer, &o->data, &c->encoder, err) : rc;
}

int chat_main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"model", 'm', "PATH", 0, "a model folder or .gguf file (needed)", 0},
        {"adapter", 'a', "FOLDER", 0, "a PEFT adapter", 0},
        {"threads", 't', "N", 0, "default: all cores", 0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Answers conversations for dashd: JSON lines on standard input and output."};
    struct chat_options o = {0};
    struct chat c = {0};
    char today[16];
    struct err err;
    int rc;

    output_check_at_exit();
    o.data.date = (char *)clock_today(today);
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    rc = open_chat(&c, &o, &err);
    if (rc == 0)
        rc = serve(&c, &err);
    else
        print(json_pack("{s:b, s:s}", "ready", 0, "error", err.text), NULL);
    if (rc < 0)
        fprintf(stderr, "chat: %s\n", err.text);
    logprobs_close(c.logprobs);
    prompt_encoder_free(c.encoder);
    tokenizer_free(c.tokenizer);
    generator_close(c.g);
    buf_free(&c.in);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
