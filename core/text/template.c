/* core/text/template.c - see template.h. A template is a sequence of pieces, each tokenised by
 * itself and trained or not. */
#include "core/text/template.h"
#include <stdlib.h>
#include <string.h>

static const char im_start[] = "<|im_start|>", im_end[] = "<|im_end|>";

static const char alpaca_with_input[] =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n### Instruction:\n";
static const char alpaca_alone[] =
    "Below is an instruction that describes a task. Write a response "
    "that appropriately completes the request.\n\n### Instruction:\n";

static bool has_chatml(const struct tokenizer *t)
{
    return t && tokenizer_id(t, im_start) >= 0 && tokenizer_id(t, im_end) >= 0;
}

enum data_template template_choose(enum data_template wanted, enum data_format format,
                                   const struct tokenizer *t)
{
    if (wanted != TEMPLATE_AUTO)
        return wanted;
    if (format == FORMAT_MESSAGES)
        return TEMPLATE_CHATML;
    if (format == FORMAT_INSTRUCTION)
        return has_chatml(t) ? TEMPLATE_CHATML : TEMPLATE_ALPACA;
    return TEMPLATE_PLAIN;
}

int template_check(enum data_template kind, enum data_format format, const struct tokenizer *t,
                   struct err *err)
{
    bool templated = format != FORMAT_TEXT && format != FORMAT_IDS;

    if (format == FORMAT_MESSAGES && kind != TEMPLATE_CHATML)
        return err_set(err, ERR_INVALID,
                       "messages have roles, which only the template chatml can render");
    if (templated && kind == TEMPLATE_CHATML && !has_chatml(t))
        return err_set(
            err, ERR_INVALID,
            "the template chatml needs the tokens <|im_start|> and <|im_end|>, which the "
            "model's tokenizer lacks");
    if (format != FORMAT_IDS && (!templated || kind != TEMPLATE_CHATML) && tokenizer_eos(t) < 0)
        return err_set(err, ERR_INVALID,
                       "the model names no end token (eos_token_id), with which a completion ends");
    return 0;
}

struct writer {
    const struct tokenizer *t;
    struct tokenised *out;
    struct buf text; /* untrained text that waits to be tokenised as one */
    struct err *err;
};

static int label_from(struct writer *w, int first, bool trained)
{
    int rc = 0;

    for (int i = first; i < w->out->ids.n && rc == 0; i++)
        rc = token_list_push(&w->out->labels, trained ? w->out->ids.ids[i] : LABEL_NONE, w->err);
    return rc;
}

static int put_text(struct writer *w, const char *bytes, size_t len, bool trained)
{
    int first = w->out->ids.n, rc = tokenizer_encode(w->t, bytes, len, &w->out->ids, w->err);

    return rc < 0 ? rc : label_from(w, first, trained);
}

static int put_token(struct writer *w, int id, bool trained)
{
    int first = w->out->ids.n, rc = token_list_push(&w->out->ids, id, w->err);

    return rc < 0 ? rc : label_from(w, first, trained);
}

static void gather(struct writer *w, const char *text)
{
    buf_puts(&w->text, text);
}

static void gather_text(struct writer *w, const struct text *text)
{
    buf_append(&w->text, text->bytes, text->len);
}

/* Tokenises what was gathered. */
static int flush(struct writer *w)
{
    int rc = 0;

    if (w->text.failed)
        return err_nomem(w->err, w->text.len);
    if (w->text.len)
        rc = put_text(w, w->text.data, w->text.len, false);
    w->text.len = 0;
    return rc;
}

static int put_completion(struct writer *w, const struct text *completion, int end)
{
    int rc = flush(w);

    if (rc == 0)
        rc = put_text(w, completion->bytes, completion->len, true);
    return rc < 0 ? rc : put_token(w, end, true);
}

/* Instruction and input as one text, the input after `between`. */
static void gather_prompt(struct writer *w, const struct template_row *row, const char *between)
{
    gather_text(w, &row->prompt);
    if (row->input.len) {
        gather(w, between);
        gather_text(w, &row->input);
    }
}

static void gather_alpaca(struct writer *w, const struct template_row *row)
{
    gather(w, row->input.len ? alpaca_with_input : alpaca_alone);
    gather_prompt(w, row, "\n\n### Input:\n");
    gather(w, "\n\n### Response:");
}

static void gather_turn_start(struct writer *w, const char *role, size_t len)
{
    gather(w, im_start);
    buf_append(&w->text, role, len);
    gather(w, "\n");
}

static void gather_user_turn(struct writer *w, const struct template_row *row)
{
    gather_turn_start(w, "user", 4);
    gather_prompt(w, row, "\n\n");
    gather(w, im_end);
    gather(w, "\n");
    gather_turn_start(w, "assistant", 9);
}

static bool is_assistant(const struct text *role)
{
    return role->len == 9 && memcmp(role->bytes, "assistant", 9) == 0;
}

static int put_conversation(struct writer *w, const struct template_row *row)
{
    int end = tokenizer_id(w->t, im_end), rc = 0;

    for (int i = 0; i < row->n_messages && rc == 0; i++) {
        const struct template_message *m = &row->messages[i];
        if (i > 0)
            gather(w, "\n");
        gather_turn_start(w, m->role.bytes, m->role.len);
        if (is_assistant(&m->role)) {
            rc = put_completion(w, &m->content, end);
        } else {
            gather_text(w, &m->content);
            gather(w, im_end);
        }
    }
    return rc < 0 ? rc : flush(w);
}

static int put_row(struct writer *w, enum data_template kind, const struct template_row *row)
{
    int end = tokenizer_eos(w->t);

    if (row->format == FORMAT_MESSAGES)
        return put_conversation(w, row);
    if (row->format == FORMAT_TEXT)
        return put_completion(w, &row->completion, end);
    if (kind == TEMPLATE_CHATML) {
        gather_user_turn(w, row);
        end = tokenizer_id(w->t, im_end);
    } else if (kind == TEMPLATE_ALPACA) {
        gather_alpaca(w, row);
    } else {
        gather_prompt(w, row, "\n");
    }
    return put_completion(w, &row->completion, end);
}

/* Puts the begin token in front of what was appended after `first`, unless the text itself spells
 * it. */
static int prefix_bos(const struct tokenizer *t, struct tokenised *out, int first, struct err *err)
{
    int n = out->ids.n - first, rc;

    if (!tokenizer_adds_bos(t) || (n > 0 && out->ids.ids[first] == tokenizer_bos(t)))
        return 0;
    rc = token_list_push(&out->ids, LABEL_NONE, err);
    if (rc == 0)
        rc = token_list_push(&out->labels, LABEL_NONE, err);
    if (rc < 0)
        return rc;
    memmove(out->ids.ids + first + 1, out->ids.ids + first, (size_t)n * sizeof(*out->ids.ids));
    memmove(out->labels.ids + first + 1, out->labels.ids + first,
            (size_t)n * sizeof(*out->labels.ids));
    out->ids.ids[first] = tokenizer_bos(t);
    out->labels.ids[first] = LABEL_NONE;
    return 0;
}

int template_encode(const struct tokenizer *t, enum data_template kind,
                    const struct template_row *row, struct tokenised *out, struct err *err)
{
    struct writer w = {.t = t, .out = out, .err = err};
    int first = out->ids.n, rc = put_row(&w, kind, row);

    buf_free(&w.text);
    return rc < 0 ? rc : prefix_bos(t, out, first, err);
}

static void gather_lone_prompt(struct writer *w, enum data_template kind, const char *text)
{
    const struct template_row row = {.format = FORMAT_INSTRUCTION, .prompt = {text, strlen(text)}};

    if (kind == TEMPLATE_CHATML)
        gather_user_turn(w, &row);
    else if (kind == TEMPLATE_ALPACA)
        gather_alpaca(w, &row);
    else
        gather(w, text);
}

int template_prompt(const struct tokenizer *t, enum data_template kind, const char *text,
                    struct token_list *out, enum data_template *ret_kind, struct err *err)
{
    struct tokenised made = {0};
    struct writer w = {.t = t, .out = &made, .err = err};
    int rc;

    kind = template_choose(kind, FORMAT_INSTRUCTION, t);
    rc = template_check(kind, FORMAT_INSTRUCTION, t, err);
    if (rc < 0)
        return rc;
    gather_lone_prompt(&w, kind, text);
    rc = flush(&w);
    if (rc == 0)
        rc = prefix_bos(t, &made, 0, err);
    for (int i = 0; i < made.ids.n && rc == 0; i++)
        rc = token_list_push(out, made.ids.ids[i], err);
    if (rc == 0 && ret_kind)
        *ret_kind = kind;
    buf_free(&w.text);
    free(made.ids.ids);
    free(made.labels.ids);
    return rc;
}
