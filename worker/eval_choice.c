/* worker/eval_choice.c - see eval.h: multiple choice by likelihood.
 *
 * A row is {"question" or "prompt", "choices": [...], "answer": number from 0, or the text of a
 * choice}. Each choice is a completion of the question by the data's template, without the end
 * token; its likelihood is that of the choice's tokens. As in lm-evaluation-harness, the answer is
 * the choice with the largest sum of log-likelihoods (acc), or with the largest sum per character
 * (acc_norm), and with the template plain a space stands between the two where the row has none.
 */
#include "core/text/data_files.h"
#include "core/text/row_encoder.h"
#include "core/text/rows.h"
#include "core/utf8.h"
#include "worker/eval.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICES_MAX = 64 };

struct question {
    char *file; /* borrowed */
    int line, answer, n;
    struct tokenised choices[CHOICES_MAX];
    int characters[CHOICES_MAX];
};

struct questions {
    struct question *of;
    int n, cap;
    int right, right_by_length;
};

static void question_free(struct question *q)
{
    for (int i = 0; i < q->n; i++) {
        token_list_free(&q->choices[i].ids);
        token_list_free(&q->choices[i].labels);
    }
}

/* ---- a row ---- */

static const char *text_of(const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "question"));

    return text ? text : json_string_value(json_object_get(row, "prompt"));
}

/* The number of the choice that is right; -1: the row does not say. */
static int answer_of(const json_t *row)
{
    const json_t *answer = json_object_get(row, "answer"), *choice;
    const json_t *choices = json_object_get(row, "choices");
    json_int_t number = json_integer_value(answer);
    int found = -1;
    size_t i;

    if (json_is_integer(answer))
        return number >= 0 && number < (json_int_t)json_array_size(choices) ? (int)number : -1;
    json_array_foreach(choices, i, choice)
    {
        if (!json_is_string(answer) || !json_equal(choice, answer))
            continue;
        if (found >= 0)
            return -1;
        found = (int)i;
    }
    return found;
}

/* What is wrong with a row, or NULL. */
static const char *fault_of(const json_t *row)
{
    const json_t *choices = json_object_get(row, "choices"), *choice;
    size_t i;

    if (!json_is_object(row))
        return "a row must be an object";
    if (!text_of(row))
        return "the row must have a text \"question\" or \"prompt\"";
    if (json_array_size(choices) < 2 || json_array_size(choices) > CHOICES_MAX)
        return "\"choices\" must be a list of 2 to 64 texts";
    json_array_foreach(choices, i, choice)
    {
        if (!json_string_length(choice))
            return "\"choices\" must be a list of texts, none of them empty";
    }
    if (answer_of(row) < 0)
        return "\"answer\" must be the number of a choice, counted from 0, or the text of exactly "
               "one choice";
    return NULL;
}

static bool is_blank(char c)
{
    return c && strchr(" \t\r\n", c) != NULL;
}

static json_t *row_of_choice(const char *text, const char *choice, bool plain)
{
    size_t len = strlen(text);
    bool space = plain && len > 0 && !is_blank(text[len - 1]) && !is_blank(choice[0]);

    return json_pack("{s:s, s:s+}", "prompt", text, "completion", space ? " " : "", choice);
}

/* What comes behind the choice is not part of it. */
static void cut_end(const struct tokenizer *t, struct tokenised *x)
{
    while (x->ids.n > 0) {
        int last = x->ids.n - 1;
        if (x->labels.ids[last] != LABEL_NONE && !tokenizer_is_end(t, x->ids.ids[last]))
            break;
        x->ids.n = x->labels.n = last;
    }
}

static int count_characters(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int encode_choice(struct eval *e, struct row_encoder *encoder, const json_t *row, int i,
                         struct question *q, struct err *err)
{
    const char *choice =
        json_string_value(json_array_get(json_object_get(row, "choices"), (size_t)i));
    bool plain = row_encoder_template(encoder) == TEMPLATE_PLAIN;
    json_t *pair = row_of_choice(text_of(row), choice, plain);
    struct row_notes notes;
    enum row_fault fault;
    int rc = pair ? 0 : err_nomem(err, strlen(choice));

    q->n = i + 1;
    q->characters[i] = count_characters(choice);
    if (rc == 0)
        rc = row_encoder_row(encoder, pair, &q->choices[i], &notes, &fault, err);
    json_decref(pair);
    if (rc < 0)
        return rc;
    cut_end(e->tokenizer, &q->choices[i]);
    return q->choices[i].ids.n >= 2
               ? 0
               : err_set(err, ERR_INVALID, "choice %d of the row has no tokens behind a first one",
                         i);
}

static int add_row(struct eval *e, struct row_encoder *encoder, const struct row *row, char *file,
                   struct questions *all, struct err *err)
{
    const char *fault = row->fault ? row->fault : fault_of(row->value);
    struct question *q;
    int rc = 0;

    if (fault) {
        problems_add(&e->problems, file, row->line, "%s", fault);
        return 0;
    }
    if (all->n == all->cap) {
        int cap = all->cap ? 2 * all->cap : 64;
        struct question *more = realloc(all->of, (size_t)cap * sizeof(*more));
        if (!more)
            return err_nomem(err, (size_t)cap * sizeof(*more));
        all->of = more;
        all->cap = cap;
    }
    q = &all->of[all->n++];
    memset(q, 0, sizeof(*q));
    q->file = file;
    q->line = row->line;
    q->answer = answer_of(row->value);
    for (int i = 0; rc == 0 && i < (int)json_array_size(json_object_get(row->value, "choices"));
         i++)
        rc = encode_choice(e, encoder, row->value, i, q, err);
    if (rc != ERR_INVALID)
        return rc;
    problems_add(&e->problems, file, row->line, "%s", err->text);
    return 0;
}

/* ---- the files ---- */

static int read_file(struct eval *e, struct row_encoder *encoder, char *file, struct questions *all,
                     struct err *err)
{
    struct rows *rows = NULL;
    struct row row;
    int rc = rows_open(file, &rows, err);

    if (rc < 0)
        return rc;
    while (!(e->limit && all->n >= e->limit) && (rc = rows_next(rows, &row, err)) == 1) {
        rc = add_row(e, encoder, &row, file, all, err);
        json_decref(row.value);
        if (rc < 0)
            break;
    }
    if (rc < 0 && rows_failed_line(rows))
        err_prefix(err, "%s:%d", file, rows_failed_line(rows));
    else if (rc < 0)
        err_prefix(err, "%s", file);
    rows_close(rows);
    return rc < 0 ? rc : 0;
}

static int find_files(const struct eval *e, struct data_files *ret, struct problems *problems,
                      struct err *err)
{
    const char **names = calloc((size_t)e->files->n + 1, sizeof(*names));
    int rc = names ? 0 : err_nomem(err, sizeof(*names));

    for (int i = 0; rc == 0 && i < e->files->n; i++)
        names[i] = e->files->of[i].path;
    if (rc == 0)
        rc = data_files_find(names, e->files->n, ret, problems, err);
    free(names);
    return rc;
}

static int read_all(struct eval *e, const struct data_files *files, struct questions *all,
                    struct err *err)
{
    struct row_encoder *encoder = NULL;
    int rc = e->tokenizer
                 ? 0
                 : err_set(err, ERR_INVALID, "%s",
                           e->refusal ? e->refusal->text
                                      : "the model has no tokenizer, so it cannot be asked "
                                        "questions");

    if (rc == 0)
        rc = row_encoder_open(e->tokenizer, e->data, FORMAT_PROMPT, false, &encoder, err);
    for (int i = 0; rc == 0 && i < files->n; i++)
        rc = read_file(e, encoder, files->paths[i], all, err);
    row_encoder_free(encoder);
    if (rc == 0 && problems_count(&e->problems) > 0)
        rc = err_set(err, ERR_INVALID, "the data cannot be used");
    if (rc == 0 && all->n == 0)
        rc = err_set(err, ERR_INVALID, "%s has no rows", e->files->of[0].path);
    return rc;
}

bool eval_has_choices(const struct eval *e)
{
    struct problems ignored = {0};
    struct data_files files = {0};
    struct rows *rows = NULL;
    struct row row;
    struct err none;
    bool has = false;

    if (find_files(e, &files, &ignored, &none) == 0 && files.n > 0 &&
        rows_open(files.paths[0], &rows, &none) == 0 && rows_next(rows, &row, &none) == 1) {
        has = json_object_get(row.value, "choices") != NULL;
        json_decref(row.value);
    }
    rows_close(rows);
    data_files_free(&files);
    problems_free(&ignored);
    return has;
}

/* ---- the answers ---- */

static int detail(struct eval *e, const struct question *q, const struct score *scores, int best,
                  int best_by_length, struct err *err)
{
    json_t *choices = json_array();

    if (!e->wants_details) {
        json_decref(choices);
        return 0;
    }
    for (int i = 0; i < q->n; i++)
        json_array_append_new(choices, json_pack("{s:f, s:i, s:i}", "log_likelihood",
                                                 -scores[i].loss, "tokens", scores[i].tokens,
                                                 "characters", q->characters[i]));
    return eval_detail(e,
                       json_pack("{s:s, s:i, s:o, s:i, s:i, s:i}", "file", q->file, "line", q->line,
                                 "choices", choices, "answer", q->answer, "predicted", best,
                                 "predicted_by_length", best_by_length),
                       err);
}

static int answer(struct eval *e, struct scorer *scorer, const struct question *q,
                  struct questions *all, struct err *err)
{
    struct example examples[CHOICES_MAX];
    struct score scores[CHOICES_MAX];
    double most = -DBL_MAX, most_by_length = -DBL_MAX;
    int best = 0, best_by_length = 0, rc = 0;

    for (int i = 0; i < q->n; i++)
        examples[i] = (struct example){.ids = q->choices[i].ids.ids,
                                       .labels = q->choices[i].labels.ids,
                                       .n = q->choices[i].ids.n};
    for (int i = 0; rc == 0 && i < q->n;) {
        int taken = scorer_batch(examples + i, q->n - i);
        rc = scorer_run(scorer, examples + i, taken, scores + i, err);
        i += taken;
    }
    if (rc < 0)
        return err_prefix(err, "%s:%d", q->file, q->line);
    for (int i = 0; i < q->n; i++) {
        if (-scores[i].loss > most) {
            most = -scores[i].loss;
            best = i;
        }
        if (-scores[i].loss / q->characters[i] > most_by_length) {
            most_by_length = -scores[i].loss / q->characters[i];
            best_by_length = i;
        }
    }
    all->right += best == q->answer;
    all->right_by_length += best_by_length == q->answer;
    return detail(e, q, scores, best, best_by_length, err);
}

static int answer_all(struct eval *e, struct questions *all, struct err *err)
{
    struct scorer *scorer = NULL;
    int rc = scorer_open(generator_stage(e->g), &scorer, err);

    for (int i = 0; rc == 0 && i < all->n; i++) {
        rc = answer(e, scorer, &all->of[i], all, err);
        if (rc == 0)
            rc = eval_progress(e, i + 1, all->n, err);
    }
    scorer_close(scorer);
    return rc;
}

int eval_choice(struct eval *e, json_t *figures, struct err *err)
{
    struct data_files files = {0};
    struct questions all = {0};
    int rc = find_files(e, &files, &e->problems, err);

    if (rc == 0)
        rc = read_all(e, &files, &all, err);
    if (rc == 0)
        rc = answer_all(e, &all, err);
    if (rc == 0)
        rc = eval_figures(figures,
                          json_pack("{s:i, s:i, s:f, s:i, s:f}", "examples", all.n, "right",
                                    all.right, "accuracy", (double)all.right / all.n,
                                    "right_by_length", all.right_by_length, "accuracy_by_length",
                                    (double)all.right_by_length / all.n),
                          err);
    for (int i = 0; i < all.n; i++)
        question_free(&all.of[i]);
    free(all.of);
    data_files_free(&files);
    return rc;
}
