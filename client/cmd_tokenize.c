/* client/cmd_tokenize.c - dashctl tokenize: texts to the ids that training sees, and ids back to
 * texts. */
#include "client/client.h"
#include "client/tokenize_chat.h"
#include "core/file.h"
#include "core/text/tokenizer.h"
#include "core/text/unpack.h"
#include "core/utf8.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_MAX = 1 << 30 };
enum {
    KEY_MODEL = 1,
    KEY_TOKENIZER,
    KEY_RAW,
    KEY_DECODE,
    KEY_CHAT,
    KEY_IDS,
    KEY_MASK,
    KEY_CHAT_TEMPLATE,
    KEY_PROMPT,
    KEY_TOOLS,
    KEY_SET,
    KEY_DATE,
};

struct request {
    struct client *client;
    const char *model, *tokenizer, *file; /* file NULL: standard input */
    bool raw, decode, many, chat;
    struct tokenize_chat talk;
};

static const struct argp_option options[] = {
    {"model", KEY_MODEL, "PATH", 0, "a model folder or .gguf file, whose tokenizer is used", 0},
    {"tokenizer", KEY_TOKENIZER, "FILE", 0,
     "a tokenizer alone: a .gguf file, tokenizer.json, tokenizer.model or vocab.json", 0},
    {"null", '0', NULL, 0, "several texts, each ended by a NUL byte", 0},
    {"raw", KEY_RAW, NULL, 0, "no special tokens: none are added, or recognised in the text", 0},
    {"decode", KEY_DECODE, NULL, 0, "lines of ids to texts", 0},
    {NULL, 0, NULL, 0, "Conversations, a line of JSON each:", 1},
    {"chat", KEY_CHAT, NULL, 0,
     "print them as the model's chat template does; a line is a list of messages, or a row of data",
     1},
    {"ids", KEY_IDS, NULL, 0, "print their token ids instead", 1},
    {"mask", KEY_MASK, NULL, 0, "print 1 for each token that is trained, else 0", 1},
    {"chat-template", KEY_CHAT_TEMPLATE, "FILE", 0, "the template, in place of the model's", 1},
    {"generation-prompt", KEY_PROMPT, NULL, 0, "end with what asks the model for an answer", 1},
    {"tools", KEY_TOOLS, "FILE", 0, "a JSON list of tools", 1},
    {"set", KEY_SET, "KEY=JSON", 0, "a further variable of the template", 1},
    {"date", KEY_DATE, "DATE", 0, "what strftime_now() prints, in place of today", 1},
    {0},
};

static error_t parse_chat(int key, char *arg, struct argp_state *state, struct request *r)
{
    struct err err;

    switch (key) {
    case KEY_CHAT:
        break;
    case KEY_IDS:
        r->talk.ids = true;
        break;
    case KEY_MASK:
        r->talk.mask = true;
        break;
    case KEY_CHAT_TEMPLATE:
        r->talk.template_file = arg;
        break;
    case KEY_PROMPT:
        r->talk.prompt = true;
        break;
    case KEY_TOOLS:
        r->talk.tools_file = arg;
        break;
    case KEY_SET:
        if (tokenize_chat_set(&r->talk, arg, &err) < 0)
            argp_error(state, "%s", err.text);
        break;
    case KEY_DATE:
        r->talk.date = arg;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    r->chat = true;
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = r->client;
        break;
    case KEY_MODEL:
        r->model = arg;
        break;
    case KEY_TOKENIZER:
        r->tokenizer = arg;
        break;
    case '0':
        r->many = true;
        break;
    case KEY_RAW:
        r->raw = true;
        break;
    case KEY_DECODE:
        r->decode = true;
        break;
    default:
        return parse_chat(key, arg, state, r);
    case ARGP_KEY_ARG:
        if (r->file)
            return ARGP_ERR_UNKNOWN;
        r->file = arg;
        break;
    case ARGP_KEY_END:
        if (!r->model == !r->tokenizer)
            argp_error(state, "give --model PATH or --tokenizer FILE");
        if (r->chat && (r->raw || r->decode))
            argp_error(state, "--chat does not go with --raw or --decode");
        break;
    }
    return 0;
}

static const char *name_of(const struct request *r)
{
    return r->file ? r->file : "standard input";
}

static int read_input(const struct request *r, char **ret, size_t *ret_len, struct err *err)
{
    if (r->file && r->chat)
        return unpack_file(r->file, INPUT_MAX, ret, ret_len, err);
    if (r->file)
        return file_read(r->file, INPUT_MAX, ret, ret_len, err);
    return file_read_stream(STDIN_FILENO, name_of(r), INPUT_MAX, ret, ret_len, err);
}

/* The ids with the special tokens that the model expects around a text. */
static int encode(const struct request *r, const struct tokenizer *t, const char *text, size_t len,
                  struct token_list *ids, struct err *err)
{
    int rc = 0;

    ids->n = 0;
    if (r->raw)
        return tokenizer_encode_raw(t, text, len, ids, err);
    if (tokenizer_adds_bos(t))
        rc = token_list_push(ids, tokenizer_bos(t), 0, err);
    if (rc == 0)
        rc = tokenizer_encode(t, text, len, ids, err);
    if (rc == 0 && tokenizer_behind(t) >= 0)
        rc = token_list_push(ids, tokenizer_behind(t), 0, err);
    return rc;
}

static void print_ids(const struct request *r, const struct token_list *ids)
{
    const char *between = r->client->json ? ", " : " ";

    if (r->client->json)
        printf("{\"ids\": [");
    for (int i = 0; i < ids->n; i++)
        printf("%s%d", i ? between : "", ids->ids[i]);
    printf(r->client->json ? "]}\n" : "\n");
}

/* Each text of the input, which is one text unless they are ended by NUL. */
static int encode_all(const struct request *r, const struct tokenizer *t, const char *text,
                      size_t len, struct err *err)
{
    const char *at = text, *end = text + len;
    struct token_list ids = {0};
    int rc = 0;

    for (long n = 1; rc == 0 && (at < end || (n == 1 && !r->many)); n++) {
        const char *nul = r->many ? memchr(at, '\0', (size_t)(end - at)) : NULL;
        size_t text_len = (size_t)((nul ? nul : end) - at);
        rc = encode(r, t, at, text_len, &ids, err);
        if (rc == 0)
            print_ids(r, &ids);
        else if (r->many)
            err_prefix(err, "%s: text %ld", name_of(r), n);
        else
            err_prefix(err, "%s", name_of(r));
        at = nul ? nul + 1 : end;
    }
    token_list_free(&ids);
    return rc;
}

static int parse_ids(const struct request *r, char *line, long number, struct token_list *ids,
                     struct err *err)
{
    int rc = 0;

    ids->n = 0;
    for (char *end; rc == 0; line = end) {
        long long id;
        line += strspn(line, " \t\r,[]");
        if (!*line)
            return 0;
        id = strtoll(line, &end, 10);
        if (end == line || id < INT32_MIN || id > INT32_MAX)
            return err_set(err, ERR_INVALID, "%s:%ld: '%.20s' is not a token id", name_of(r),
                           number, line);
        rc = token_list_push(ids, (int32_t)id, 0, err);
    }
    return rc;
}

static int print_text(const struct request *r, struct buf *text, struct err *err)
{
    json_t *o;

    if (!r->client->json) {
        fwrite(text->data, 1, text->len, stdout);
        putchar(r->many ? '\0' : '\n');
        return 0;
    }
    utf8_make_valid(text->data, text->len);
    o = json_pack("{s:s%}", "text", text->data, text->len);
    if (!o || json_dumpf(o, stdout, JSON_ENSURE_ASCII) < 0) {
        json_decref(o);
        return err_nomem(err, text->len);
    }
    putchar('\n');
    json_decref(o);
    return 0;
}

static int decode_all(const struct request *r, const struct tokenizer *t, char *lines,
                      struct err *err)
{
    struct token_list ids = {0};
    struct buf text = {0};
    int rc = 0;
    long number = 1;

    for (char *at = lines, *end; *at && rc == 0; at = end, number++) {
        end = at + strcspn(at, "\n");
        if (*end)
            *end++ = '\0';
        text.len = 0;
        buf_puts(&text, "");
        rc = parse_ids(r, at, number, &ids, err);
        if (rc == 0 && (rc = tokenizer_decode(t, ids.ids, ids.n, r->raw, &text, err)) < 0)
            err_prefix(err, "%s:%ld", name_of(r), number);
        if (rc == 0)
            rc = print_text(r, &text, err);
    }
    buf_free(&text);
    token_list_free(&ids);
    return rc;
}

static int run(const struct request *r, struct err *err)
{
    struct tokenizer *t = NULL;
    char *input = NULL;
    size_t len = 0;
    int rc = tokenizer_from_path(r->model ? r->model : r->tokenizer, &t, err);

    if (rc == 0)
        rc = read_input(r, &input, &len, err);
    if (rc == 0 && r->chat)
        rc = tokenize_chat(&r->talk, t, input, len, name_of(r), err);
    else if (rc == 0)
        rc = r->decode ? decode_all(r, t, input, err) : encode_all(r, t, input, len, err);
    tokenizer_free(t);
    free(input);
    return rc;
}

int cmd_tokenize(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "[FILE]",
        .doc = "Prints the token ids of a text, which is FILE or standard input.",
        .children = children,
    };
    struct request r = {.client = c};
    struct err err;

    int rc;

    argp_parse(&parser, argc, argv, 0, NULL, &r);
    r.talk.json = c->json;
    r.talk.nul = r.many;
    rc = run(&r, &err);
    json_decref(r.talk.variables);
    return rc < 0 ? client_fail(&err) : EXIT_OK;
}
