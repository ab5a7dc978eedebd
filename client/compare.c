/* client/compare.c - see compare.h. A column is a job; a row is a result, or a setting that
 * differs. Texts are the users': they are made safe for the terminal before their widths are
 * counted. */
#include "client/compare.h"
#include "report/results.h"
#include "client/settings.h"
#include "client/words.h"
#include "core/utf8.h"
#include "core/duration.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_BYTES = 400, CELL_COLUMNS = 44, NAME_BYTES = 64 };

struct line {
    char title[NAME_BYTES];
    char (*cells)[CELL_BYTES]; /* (n) */
};

struct table {
    struct line *lines;
    int n, columns;
};

static struct line *add_line(struct table *t, const char *title)
{
    struct line *lines = realloc(t->lines, (size_t)(t->n + 1) * sizeof(*lines));
    struct line *line;

    if (!lines)
        return NULL;
    t->lines = lines;
    line = &lines[t->n];
    snprintf(line->title, sizeof(line->title), "%s", title);
    line->cells = calloc((size_t)t->columns, sizeof(*line->cells));
    if (!line->cells)
        return NULL;
    t->n++;
    return line;
}

static void table_free(struct table *t)
{
    int i;

    for (i = 0; i < t->n; i++)
        free(t->lines[i].cells);
    free(t->lines);
}

static void put_text(char cell[CELL_BYTES], const char *text)
{
    struct buf safe = {0};

    utf8_escape(text, UTF8_ONE_LINE, &safe);
    if (safe.len)
        snprintf(cell, CELL_BYTES, "%.*s", (int)words_cut(safe.data, CELL_COLUMNS), safe.data);
    buf_free(&safe);
}

static void put_number(char cell[CELL_BYTES], const char *format, double x)
{
    if (isfinite(x))
        snprintf(cell, CELL_BYTES, format, x);
}

enum result { STEPS, LOSS, MEAN_LOSS, EVAL_LOSS, BEST_EVAL_LOSS, TIME, SPEED, N_RESULTS };

static const char *const titles[N_RESULTS] = {
    "steps", "loss",    "mean loss (last 10)", "evaluation loss", "best evaluation",
    "time",  "tokens/s"};

static void put_result(char cell[CELL_BYTES], enum result what, const struct results *r)
{
    switch (what) {
    case STEPS:
        put_number(cell, "%.0f", r->steps);
        break;
    case LOSS:
        put_number(cell, "%.4f", r->loss);
        break;
    case MEAN_LOSS:
        put_number(cell, "%.4f", r->mean_loss);
        break;
    case EVAL_LOSS:
        put_number(cell, "%.4f", r->eval_loss);
        break;
    case BEST_EVAL_LOSS:
        if (r->best_step)
            snprintf(cell, CELL_BYTES, "%.4f (step %d)", r->best_eval_loss, r->best_step);
        break;
    case TIME:
        duration_words(r->seconds, cell, CELL_BYTES);
        break;
    default:
        put_number(cell, "%.0f", r->tokens_per_second);
        break;
    }
}

static int fill_results(struct table *t, const struct job_result *jobs, char *const *asked)
{
    struct line *head = add_line(t, ""), *name = head ? add_line(t, "name") : NULL;
    struct line *line = name ? add_line(t, "state") : NULL;
    int i, what;

    if (!line)
        return -1;
    for (i = 0; i < t->columns; i++) {
        put_text(t->lines[0].cells[i], asked[i]);
        put_text(t->lines[1].cells[i], jobs[i].name);
        put_text(t->lines[2].cells[i], jobs[i].state);
    }
    for (what = 0; what < N_RESULTS; what++) {
        line = add_line(t, titles[what]);
        for (i = 0; line && i < t->columns; i++) {
            struct results r = results_of(jobs[i].rows, jobs[i].n_rows);
            put_result(line->cells[i], (enum result)what, &r);
        }
        if (!line)
            return -1;
    }
    return 0;
}

/* The name is a line of its own, and two jobs never share an output folder. */
static bool is_shown(const struct setting *s)
{
    return setting_differs(s) && strcmp(s->key, "name") != 0 && strcmp(s->key, "output") != 0;
}

static int fill_settings(struct table *t, const struct settings *settings)
{
    int i, job;

    for (i = 0; i < settings->n; i++) {
        const struct setting *s = &settings->items[i];
        struct line *line = is_shown(s) ? add_line(t, s->key) : NULL;
        if (!line && is_shown(s))
            return -1;
        for (job = 0; line && job < t->columns; job++)
            put_text(line->cells[job], s->values[job]);
    }
    return 0;
}

static void print_lines(const struct table *t, int from, int to, int title_width, const int *widths)
{
    int i, job, last;

    for (i = from; i < to; i++) {
        const struct line *l = &t->lines[i];
        for (last = t->columns - 1; last >= 0 && !l->cells[last][0]; last--)
            ;
        printf("%s%*s", l->title, last < 0 ? 0 : title_width - words_columns(l->title) + 2, "");
        for (job = 0; job <= last; job++)
            printf("%s%*s", l->cells[job],
                   job == last ? 0 : widths[job] - words_columns(l->cells[job]) + 2, "");
        putchar('\n');
    }
}

static void print_table(const struct table *t, int n_results)
{
    int *widths = calloc((size_t)t->columns, sizeof(int)), title_width = 0, i, job;

    if (!widths)
        return;
    for (i = 0; i < t->n; i++) {
        int width = words_columns(t->lines[i].title);
        title_width = width > title_width ? width : title_width;
        for (job = 0; job < t->columns; job++) {
            width = words_columns(t->lines[i].cells[job]);
            widths[job] = width > widths[job] ? width : widths[job];
        }
    }
    print_lines(t, 0, n_results, title_width, widths);
    printf("\n%s\n", t->n > n_results ? "settings that differ:" : "no setting differs");
    print_lines(t, n_results, t->n, title_width, widths);
    free(widths);
}

/* ---- JSON ---- */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *job_object(const struct job_result *job, const char *asked)
{
    struct results r = results_of(job->rows, job->n_rows);

    return json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:I, s:I}", "job",
                     asked, "name", job->name, "state", job->state, "steps", r.steps, "loss",
                     number(r.loss), "mean_loss", number(r.mean_loss), "eval_loss",
                     number(r.eval_loss), "best_eval_loss", number(r.best_eval_loss), "best_step",
                     r.best_step, "seconds", number(r.seconds), "tokens_per_second",
                     number(r.tokens_per_second), "tokens", (json_int_t)r.tokens, "trained_tokens",
                     (json_int_t)r.trained_tokens);
}

static json_t *setting_object(const struct setting *s)
{
    json_t *values = json_array();
    int i;

    for (i = 0; i < s->n; i++)
        json_array_append_new(values, json_string(s->values[i]));
    return json_pack("{s:s, s:o}", "key", s->key, "values", values);
}

static int print_json(const struct job_result *jobs, char *const *asked, int n,
                      const struct settings *settings, struct err *err)
{
    json_t *list = json_array(), *differ = json_array(), *all;
    char *text;
    int i;

    for (i = 0; i < n; i++)
        json_array_append_new(list, job_object(&jobs[i], asked[i]));
    for (i = 0; i < settings->n; i++)
        if (is_shown(&settings->items[i]))
            json_array_append_new(differ, setting_object(&settings->items[i]));
    all = json_pack("{s:o, s:o}", "jobs", list, "settings", differ);
    text = all ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) : NULL;
    if (text)
        printf("%s\n", text);
    json_decref(all);
    free(text);
    return text ? 0 : err_nomem(err, 1);
}

static int print_text(const struct job_result *jobs, char *const *asked, int n,
                      const struct settings *settings, struct err *err)
{
    struct table t = {.columns = n};
    int rc = fill_results(&t, jobs, asked), n_results = t.n;

    if (rc == 0)
        rc = fill_settings(&t, settings);
    if (rc == 0)
        print_table(&t, n_results);
    table_free(&t);
    return rc < 0 ? err_nomem(err, CELL_BYTES) : 0;
}

int compare_print(const struct job_result *jobs, char *const *asked, int n, bool json,
                  struct err *err)
{
    const char **yamls = calloc((size_t)n, sizeof(*yamls));
    struct settings settings = {0};
    int rc = yamls ? 0 : err_nomem(err, (size_t)n), i;

    for (i = 0; rc == 0 && i < n; i++)
        yamls[i] = jobs[i].yaml;
    if (rc == 0)
        rc = settings_read(yamls, n, &settings, err);
    if (rc == 0)
        rc = json ? print_json(jobs, asked, n, &settings, err)
                  : print_text(jobs, asked, n, &settings, err);
    settings_free(&settings);
    free(yamls);
    return rc;
}
