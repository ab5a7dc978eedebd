/* worker/generate_answers.c - see generate_answers.h. A single answer is printed as it comes,
 * several, which advance together, one after another. */
#include "worker/generate_answers.h"
#include "core/utf8.h"
#include "worker/answers.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A model may say what would act on a terminal; a file or a pipe gets it as it is. */
static void print_text(const char *before, const char *text, const char *after)
{
    struct buf safe = {0};

    if (isatty(STDOUT_FILENO))
        utf8_escape(text, UTF8_KEEP_LINES, &safe);
    printf("%s%s%s", before, safe.data && !safe.failed ? safe.data : text, after);
    buf_free(&safe);
}

static void print_answer(const struct generate_request *r, const struct prompt *p,
                         const char *answer, int tokens)
{
    json_t *o;

    if (!r->json) {
        if (r->prompts.n > 1)
            print_text("> ", p->text, "\n");
        print_text("", answer, "\n");
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

struct answering { /* what all prompts share */
    struct generator *g;
    struct tokenizer *tokenizer;
    struct prompt_encoder *encoder;
    struct tally tally;
};

/* ---- an answer as it comes ---- */

static volatile sig_atomic_t interrupted; /* of a conversation on a terminal */

struct listener {
    struct stream streams[GENERATE_GROUP];
    bool live; /* the text is printed as it comes */
};

static void open_listener(const struct generate_request *r, const struct answering *a, bool live,
                          struct listener *ret)
{
    *ret = (struct listener){.live = live};
    for (int i = 0; i < GENERATE_GROUP; i++) {
        ret->streams[i].tokenizer = a->tokenizer;
        ret->streams[i].stops = r->stops;
    }
}

static void close_listener(struct listener *l)
{
    for (int i = 0; i < GENERATE_GROUP; i++)
        stream_free(&l->streams[i]);
}

static void print_new(struct stream *s, bool last)
{
    size_t len;
    const char *text = stream_take(s, last, &len);
    char *piece = strndup(text, len);

    if (piece)
        print_text("", piece, last ? "\n" : "");
    fflush(stdout);
    free(piece);
}

static int on_token(void *arg, int sequence, int32_t id, struct err *err)
{
    struct listener *l = arg;
    struct stream *s = &l->streams[sequence];
    int rc = stream_add(s, id, err);

    if (rc == 0 && l->live)
        print_new(s, false);
    return rc < 0 ? rc : s->ended || interrupted;
}

/* What was not printed as it came. *ret_text is the stream's. */
static int finish(const struct generate_request *r, const struct prompt *p, struct listener *l,
                  int i, const char **ret_text, struct err *err)
{
    struct stream *s = &l->streams[i];

    buf_puts(&s->text, "");
    if (s->text.failed)
        return err_nomem(err, s->text.cap);
    if (r->json)
        utf8_make_valid(s->text.data, s->text.len);
    if (l->live)
        print_new(s, true);
    else
        print_answer(r, p, s->text.data, s->ids.n);
    *ret_text = s->text.data;
    return 0;
}

static int answer_group(const struct generate_request *r, struct answering *a, int first,
                        struct err *err)
{
    struct token_list prompts[GENERATE_GROUP] = {0}, answers[GENERATE_GROUP] = {0};
    const struct prompt *of = r->prompts.of + first;
    int n = r->prompts.n - first, i, rc = 0;
    struct listener listener;
    const char *text;

    n = n < GENERATE_GROUP ? n : GENERATE_GROUP;
    open_listener(r, a, r->prompts.n == 1 && !r->json, &listener);
    for (i = 0; i < n && rc == 0; i++)
        rc = prompt_encode(a->encoder, &of[i], &prompts[i], err);
    if (rc == 0)
        rc = generate(a->g, prompts, n, first, &r->options, answers, on_token, &listener, err);
    for (i = 0; i < n && rc == 0; i++) {
        rc = finish(r, &of[i], &listener, i, &text, err);
        if (rc == 0 && of[i].expected) {
            a->tally.expected++;
            a->tally.matched += answer_matches(text, of[i].expected);
        }
    }
    fflush(stdout);
    close_listener(&listener);
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

static int answer_turn(const struct generate_request *r, struct answering *a, struct prompt *p,
                       long turn, json_t *messages, struct err *err)
{
    struct token_list ids = {0}, answer = {0};
    int rc = prompt_encode(a->encoder, p, &ids, err);
    struct listener listener;
    const char *text;

    open_listener(r, a, !r->json, &listener);
    if (rc == 0)
        rc = generate(a->g, &ids, 1, turn, &r->options, &answer, on_token, &listener, err);
    if (rc == 0)
        rc = finish(r, p, &listener, 0, &text, err);
    fflush(stdout);
    if (rc == 0) {
        utf8_make_valid(listener.streams[0].text.data, listener.streams[0].text.len);
        rc = say(messages, "assistant", text, err);
    }
    close_listener(&listener);
    token_list_free(&ids);
    token_list_free(&answer);
    return rc;
}

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* On a terminal Ctrl-C ends an answer, or, where the user's turn is, the conversation. */
static bool read_line(bool person, char **line, size_t *cap)
{
    interrupted = 0;
    if (person)
        fputs("> ", stdout);
    fflush(stdout);
    if (getline(line, cap, stdin) < 0) {
        if (person)
            putchar('\n');
        return false;
    }
    (*line)[strcspn(*line, "\r\n")] = '\0';
    return true;
}

static int chat(const struct generate_request *r, struct answering *a, struct err *err)
{
    json_t *messages = json_array();
    struct prompt p = {.row = json_pack("{s:O}", "messages", messages), .format = FORMAT_MESSAGES};
    bool person = !r->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    char *line = NULL;
    size_t cap = 0;
    int rc = p.row ? 0 : err_nomem(err, sizeof(json_t));

    if (rc == 0 && r->system)
        rc = say(messages, "system", r->system, err);
    if (person)
        sigaction(SIGINT, &(const struct sigaction){.sa_handler = on_interrupt}, NULL);
    for (long turn = 0; rc == 0; turn++) {
        if (!read_line(person, &line, &cap))
            break;
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

static void print_tally(const struct generate_request *r, const struct tally *t)
{
    if (t->expected == 0)
        return;
    if (r->json)
        printf("{\"exact_match\": %d, \"of\": %d}\n", t->matched, t->expected);
    else
        printf("exact match: %d of %d (%.0f%%)\n", t->matched, t->expected,
               100.0 * t->matched / t->expected);
}

int generate_answers(struct generate_request *r, struct err *err)
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
