/* core/text/template.c - see template.h. A template is a sequence of pieces, each tokenised by
 * itself and trained or not. */
#include "core/text/template.h"
#include <stdlib.h>
#include <string.h>

static const char alpaca_with_input[] =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n### Instruction:\n";
static const char alpaca_alone[] =
    "Below is an instruction that describes a task. Write a response "
    "that appropriately completes the request.\n\n### Instruction:\n";

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
        rc = token_list_push(&w->out->labels, trained ? w->out->ids.ids[i] : LABEL_NONE, 0, w->err);
    return rc;
}

static int put_text(struct writer *w, const char *bytes, size_t len, bool trained)
{
    int first = w->out->ids.n, rc = tokenizer_encode(w->t, bytes, len, &w->out->ids, w->err);

    return rc < 0 ? rc : label_from(w, first, trained);
}

static int put_token(struct writer *w, int id, bool trained)
{
    int first = w->out->ids.n, rc = token_list_push(&w->out->ids, id, 0, w->err);

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

/* What stands left of the bar. */
static void gather_left(struct writer *w, enum data_template kind, const struct template_row *row)
{
    if (kind == TEMPLATE_ALPACA)
        gather_alpaca(w, row);
    else
        gather_prompt(w, row, "\n");
}

static int put_row(struct writer *w, enum data_template kind, const struct template_row *row)
{
    gather_left(w, kind, row);
    return put_completion(w, &row->completion, tokenizer_eos(w->t));
}

/* Puts the begin token in front of what was appended after `first`, unless the text itself spells
 * it. */
static int prefix_bos(const struct tokenizer *t, struct tokenised *out, int first, struct err *err)
{
    int n = out->ids.n - first, rc;

    if (!tokenizer_adds_bos(t) || (n > 0 && out->ids.ids[first] == tokenizer_bos(t)))
        return 0;
    rc = token_list_push(&out->ids, LABEL_NONE, 0, err);
    if (rc == 0)
        rc = token_list_push(&out->labels, LABEL_NONE, 0, err);
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

int template_prompt(const struct tokenizer *t, enum data_template kind,
                    const struct template_row *row, struct token_list *out, struct err *err)
{
    struct tokenised made = {0};
    struct writer w = {.t = t, .out = &made, .err = err};
    int rc;

    gather_left(&w, kind, row);
    rc = flush(&w);
    if (rc == 0)
        rc = prefix_bos(t, &made, 0, err);
    for (int i = 0; i < made.ids.n && rc == 0; i++)
        rc = token_list_push(out, made.ids.ids[i], 0, err);
    buf_free(&w.text);
    token_list_free(&made.ids);
    token_list_free(&made.labels);
    return rc;
}
