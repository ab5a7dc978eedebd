/* worker/eval_answer.c - see eval.h: answers that the model generates, always its likeliest token,
 * compared with those of the rows: as a whole, and where "answer" is a word of the commonsense data
 * sets, by the first such word in the text. */
#include "core/text/data_files.h"
#include "core/utf8.h"
#include "worker/answers.h"
#include "worker/eval.h"
#include "worker/generate_prompts.h"
#include <stdlib.h>
#include <string.h>

struct tally {
    int expected, matched;   /* whole answers */
    int labelled, extracted; /* words */
};

static int compare(struct eval *e, const struct prompt *p, const char *text, struct tally *t,
                   struct err *err)
{
    const char *label = json_string_value(json_object_get(p->row, "answer"));
    const char *word = label ? answer_extract(text, label) : NULL;
    bool matched = p->expected && answer_matches(text, p->expected);
    json_t *line;

    t->expected += p->expected != NULL;
    t->matched += matched;
    t->labelled += word != NULL;
    t->extracted += word && strcmp(word, label) == 0;
    if (!e->wants_details)
        return 0;
    line = json_pack("{s:s, s:s, s:s?, s:b}", "prompt", p->text, "generated", text, "expected",
                     p->expected, "exact_match", matched);
    if (line && word)
        json_object_update_new(line, json_pack("{s:s, s:s, s:b}", "answer", label, "extracted",
                                               word, "right", strcmp(word, label) == 0));
    return eval_detail(e, line, err);
}

static int take(struct eval *e, const struct prompt *p, const struct token_list *ids,
                struct tally *t, struct err *err)
{
    struct buf text = {0};
    int rc = tokenizer_decode(e->tokenizer, ids->ids, ids->n, true, &text, err);

    buf_puts(&text, "");
    if (rc == 0 && text.failed)
        rc = err_nomem(err, text.cap);
    if (rc == 0) {
        utf8_make_valid(text.data, text.len);
        rc = compare(e, p, text.data, t, err);
    }
    buf_free(&text);
    return rc;
}

static int answer_group(struct eval *e, struct prompt_encoder *encoder, const struct prompt *of,
                        int n, struct tally *t, struct err *err)
{
    const struct generate_options options = {
        .max_tokens = e->new_tokens, .sampling = sampling_default(), .tokenizer = e->tokenizer};
    struct token_list prompts[GENERATE_GROUP] = {0}, answers[GENERATE_GROUP] = {0};
    int rc = 0;

    for (int i = 0; rc == 0 && i < n; i++)
        rc = prompt_encode(encoder, &of[i], &prompts[i], err);
    if (rc == 0)
        rc = generate(e->g, prompts, n, 0, &options, answers, NULL, NULL, err);
    for (int i = 0; rc == 0 && i < n; i++)
        rc = take(e, &of[i], &answers[i], t, err);
    for (int i = 0; i < n; i++) {
        token_list_free(&prompts[i]);
        token_list_free(&answers[i]);
    }
    return rc;
}

static int answer_all(struct eval *e, const struct prompts *p, struct tally *t, struct err *err)
{
    struct prompt_encoder *encoder = NULL;
    int rc = e->tokenizer ? prompt_encoder_open(e->tokenizer, e->data, &encoder, err)
                          : err_set(err, ERR_INVALID, "%s",
                                    e->refusal ? e->refusal->text
                                               : "the model has no tokenizer, so no text can be "
                                                 "given to it");

    for (int at = 0; rc == 0 && at < p->n; at += GENERATE_GROUP) {
        int n = p->n - at < GENERATE_GROUP ? p->n - at : GENERATE_GROUP;
        rc = answer_group(e, encoder, p->of + at, n, t, err);
        if (rc == 0)
            rc = eval_progress(e, at + n, p->n, err);
    }
    prompt_encoder_free(encoder);
    return rc;
}

int eval_answer(struct eval *e, json_t *figures, struct err *err)
{
    struct prompts prompts = {0};
    struct tally t = {0};
    int rc = 0;

    for (int i = 0; rc == 0 && i < e->files->n && !(e->limit && prompts.n >= e->limit); i++)
        rc = prompts_read(&prompts, e->files->of[i].path, e->limit, err);
    if (rc == 0)
        rc = answer_all(e, &prompts, &t, err);
    if (rc == 0 && t.expected + t.labelled == 0)
        rc = err_set(err, ERR_INVALID, "no row of %s has an answer to compare with",
                     e->files->of[0].path);
    if (rc == 0)
        rc = eval_figures(figures, json_pack("{s:i}", "examples", prompts.n), err);
    if (rc == 0 && t.expected)
        rc = eval_figures(figures,
                          json_pack("{s:i, s:i, s:f}", "with_expected_text", t.expected,
                                    "exact_matches", t.matched, "exact_match",
                                    (double)t.matched / t.expected),
                          err);
    if (rc == 0 && t.labelled)
        rc =
            eval_figures(figures,
                         json_pack("{s:i, s:i, s:f}", "with_answer_word", t.labelled, "right_words",
                                   t.extracted, "accuracy", (double)t.extracted / t.labelled),
                         err);
    prompts_free(&prompts);
    return rc;
}
