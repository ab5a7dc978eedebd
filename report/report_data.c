/* report/report_data.c - see report_data.h. A report is to be under 2 MB. Each part has a share of
 * that, and is thinned to it by rules that keep what a reader looks for: of the steps the extremes
 * (with the mean of what is left out, since a smoothed curve of extremes alone would be wrong),
 * of the directions the largest deltas, of the spectra the ends, of the coefficients every n-th
 * row, of the launches the newest.
 */
#include "report/report_data.h"
#include "report/report_directions.h"
#include "report/results.h"
#include "core/duration.h"
#include "core/utf8.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_ONE = 3000, STEPS_ALL = 9000, YAML_MAX = 64 << 10 };
enum { LAUNCHES_MOST = 50, WHY_BYTES = 250 };

int report_steps_max(int n_jobs)
{
    return n_jobs * STEPS_ONE > STEPS_ALL ? STEPS_ALL / n_jobs : STEPS_ONE;
}

/* ---- steps ---- */

/* Marks the rows to keep: of each of `buckets` runs those of the least and the greatest loss. */
static void keep_extremes(const struct step_row *rows, int n, int buckets, bool *keep)
{
    int b, i;

    for (b = 0; b < buckets; b++) {
        int from = (int)((int64_t)n * b / buckets), to = (int)((int64_t)n * (b + 1) / buckets);
        int low = from, high = from;
        for (i = from; i < to; i++) {
            low = rows[i].loss < rows[low].loss ? i : low;
            high = rows[i].loss > rows[high].loss ? i : high;
        }
        if (from < to)
            keep[low] = keep[high] = true;
    }
}

/* The first, the last, and those at a change of phase; evaluations as far as they are few. */
static void keep_marked(const struct step_row *rows, int n, int evaluations_max, bool *keep)
{
    int evaluated = 0, seen = 0, i;

    for (i = 0; i < n; i++)
        evaluated += rows[i].eval_loss > 0;
    for (i = 0; i < n; i++) {
        bool change = i == 0 || i == n - 1 || rows[i].phase != rows[i - 1].phase ||
                      rows[i].phase != rows[i + 1].phase;
        bool drawn = rows[i].eval_loss > 0 && (evaluated <= evaluations_max ||
                                               seen++ % (evaluated / evaluations_max + 1) == 0);
        if (change || drawn)
            keep[i] = true;
    }
}

enum { STEP_COLUMNS = 11 };
struct columns {
    json_t *step, *loss, *grad_norm, *learning_rate, *tokens, *seconds, *eval_loss, *phase;
    json_t *total_tokens, *total_seconds, *mean_loss;
};

static json_t *rounded(double x)
{
    return isfinite(x) ? report_number(x, 6) : json_null();
}

/* Of the rows up to one that is kept. */
struct sums {
    int64_t tokens;
    double seconds;
    double loss; /* since the row before that was kept */
    int n;       /* rows in it */
};

static void add_row(const struct columns *c, const struct step_row *row, const struct sums *sums)
{
    json_array_append_new(c->step, json_integer(row->step));
    json_array_append_new(c->loss, rounded(row->loss));
    json_array_append_new(c->grad_norm, rounded(row->grad_norm));
    json_array_append_new(c->learning_rate, rounded(row->learning_rate));
    json_array_append_new(c->tokens, json_integer(row->tokens));
    json_array_append_new(c->seconds, rounded(row->seconds));
    json_array_append_new(c->eval_loss, rounded(row->eval_loss));
    json_array_append_new(c->phase, json_string(phase_name(row->phase)));
    json_array_append_new(c->total_tokens, json_integer(sums->tokens));
    json_array_append_new(c->total_seconds, rounded(sums->seconds));
    json_array_append_new(c->mean_loss, rounded(sums->loss / sums->n));
}

static json_t *column(json_t *steps, const char *name)
{
    json_object_set_new(steps, name, json_array());
    return json_object_get(steps, name);
}

/* Whether there was memory for all of them. */
static bool are_whole(json_t *steps, int kept)
{
    const char *name;
    json_t *list;

    json_object_foreach(steps, name, list)
    {
        if (json_array_size(list) != (size_t)kept)
            return false;
    }
    return json_object_size(steps) == STEP_COLUMNS;
}

/* NULL for lack of memory. */
static json_t *make_steps(const struct step_row *rows, int n, const bool *keep)
{
    json_t *steps = json_object();
    struct columns c = {
        .step = column(steps, "step"),
        .loss = column(steps, "loss"),
        .grad_norm = column(steps, "gradNorm"),
        .learning_rate = column(steps, "learningRate"),
        .tokens = column(steps, "tokens"),
        .seconds = column(steps, "seconds"),
        .eval_loss = column(steps, "evalLoss"),
        .phase = column(steps, "phase"),
        .total_tokens = column(steps, "totalTokens"),
        .total_seconds = column(steps, "totalSeconds"),
        .mean_loss = column(steps, "meanLoss"),
    };
    struct sums sums = {0};
    int kept = 0, i;

    for (i = 0; i < n; i++) {
        sums.tokens += rows[i].tokens;
        sums.seconds += rows[i].seconds;
        sums.loss += rows[i].loss;
        sums.n++;
        if (!keep[i])
            continue;
        add_row(&c, &rows[i], &sums);
        sums.loss = sums.n = 0;
        kept++;
    }
    if (are_whole(steps, kept))
        return steps;
    json_decref(steps);
    return NULL;
}

static json_t *thin_steps(const struct step_row *rows, int n, int max, json_t *missing)
{
    bool *keep = calloc((size_t)n + 1, sizeof(*keep));
    json_t *steps;
    int kept = 0, i;

    if (!keep)
        return NULL;
    if (n <= max)
        memset(keep, true, (size_t)n);
    else
        keep_extremes(rows, n, max / 3, keep);
    keep_marked(rows, n, max / 3, keep);
    for (i = 0; i < n; i++)
        kept += keep[i];
    if (kept < n)
        report_note(missing,
                    "Charts show %d of %d steps, those of the least and the greatest loss "
                    "of each stretch among them.",
                    kept, n);
    steps = make_steps(rows, n, keep);
    free(keep);
    return steps;
}

/* ---- words and numbers ---- */

static void add_fact(json_t *facts, const char *name, const char *text)
{
    json_array_append_new(facts, json_pack("[s, s]", name, text));
}

static void add_number_fact(json_t *facts, const char *name, const char *format, double x)
{
    char text[64];

    if (!isfinite(x))
        return;
    snprintf(text, sizeof(text), format, x);
    add_fact(facts, name, text);
}

static json_t *make_facts(const struct job_result *job, const struct results *r)
{
    json_t *facts = json_array();
    char text[64];

    if (job->id)
        add_fact(facts, "Job", job->id);
    if (job->state[0])
        add_fact(facts, "State", job->state);
    add_number_fact(facts, "Steps", "%.0f", r->steps);
    add_number_fact(facts, "Loss of the last step", "%.4f", r->loss);
    add_number_fact(facts, "Mean of the last 10", "%.4f", r->mean_loss);
    add_number_fact(facts, "Evaluation", "%.4f", r->eval_loss);
    if (r->best_step) {
        snprintf(text, sizeof(text), "%.4f at step %d", r->best_eval_loss, r->best_step);
        add_fact(facts, "Best evaluation", text);
    }
    duration_words(r->seconds, text, sizeof(text));
    add_fact(facts, "Time of the steps", text);
    add_number_fact(facts, "Speed", "%.0f tokens/s", r->tokens_per_second);
    add_number_fact(facts, "Tokens", "%.0f", (double)r->tokens);
    add_number_fact(facts, "Trained tokens", "%.0f", (double)r->trained_tokens);
    return facts;
}

static json_t *make_results(const struct results *r)
{
    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:i, s:o, s:o}", "steps", r->steps, "loss",
                     rounded(r->loss), "meanLoss", rounded(r->mean_loss), "evalLoss",
                     rounded(r->eval_loss), "bestEvalLoss", rounded(r->best_eval_loss), "bestStep",
                     r->best_step, "seconds", rounded(r->seconds), "tokensPerSecond",
                     rounded(r->tokens_per_second));
}

static json_t *yaml_text(const char *yaml, json_t *missing)
{
    size_t len = strlen(yaml);

    if (len <= YAML_MAX)
        return json_string(yaml);
    report_note(missing, "The job file has %zu bytes and is left out.", len);
    return json_string("");
}

/* Of the newest that continue from a checkpoint. */
static json_t *thin_launches(const json_t *launches)
{
    size_t n = json_array_size(launches), i = n > LAUNCHES_MOST ? n - LAUNCHES_MOST : 0;
    json_t *copy = json_array();

    for (; i < n; i++) {
        const json_t *launch = json_array_get(launches, i);
        const char *why = json_string_value(json_object_get(launch, "why"));
        json_array_append_new(
            copy, json_pack("{s:O, s:O, s:o}", "launch", json_object_get(launch, "launch"),
                            "after_step", json_object_get(launch, "after_step"), "why",
                            why ? json_stringn(why, utf8_fit(why, WHY_BYTES)) : json_string("")));
    }
    return copy;
}

json_t *report_job(const struct job_result *job, int n_jobs)
{
    struct results results = results_of(job->rows, job->n_rows);
    json_t *missing = json_array(), *o;

    if (!job->n_rows)
        report_note(missing, "The job has no steps yet.");
    o = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", job->name, "state", job->state,
                  "facts", make_facts(job, &results), "yaml", yaml_text(job->yaml, missing),
                  "steps", thin_steps(job->rows, job->n_rows, report_steps_max(n_jobs), missing),
                  "results", make_results(&results), "launches", thin_launches(job->launches));
    if (o && n_jobs == 1)
        report_add_directions(job, o, missing);
    if (json_object_set_new(o, "missing", missing) < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}
