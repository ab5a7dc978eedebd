/* proto/step_row.c - see step_row.h. Written by hand, since its bytes must be the same everywhere;
 * read by jansson, and checked field by field. */
#include "proto/step_row.h"
#include "proto/dash.pb-c.h"
#include <float.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>

void step_row_print(const struct step_row *row, struct buf *out)
{
    buf_printf(out,
               "{\"step\": %d, \"loss\": %.10g, \"grad_norm\": %.10g, \"learning_rate\": %.10g, "
               "\"tokens\": %" PRId64 ", \"trained_tokens\": %" PRId64,
               row->step, row->loss, row->grad_norm, row->learning_rate, row->tokens,
               row->trained_tokens);
    if (row->computed_tokens > 0)
        buf_printf(out, ", \"computed_tokens\": %" PRId64, row->computed_tokens);
    buf_printf(out, ", \"seconds\": %.4f, \"phase\": \"%s\"", row->seconds, phase_name(row->phase));
    if (row->eval_loss > 0 && isfinite(row->eval_loss))
        buf_printf(out, ", \"eval_loss\": %.10g", row->eval_loss);
    buf_puts(out, row->best ? ", \"best\": true}\n" : "}\n");
}

/* A finite number of at least `least`; sets *wrong where the row has another value. */
static double number_of(const json_t *o, const char *key, double least, bool *wrong)
{
    const json_t *value = json_object_get(o, key);
    double number = json_number_value(value);

    *wrong |= !json_is_number(value) || !(number >= least) || !isfinite(number);
    return number;
}

static int64_t integer_of(const json_t *o, const char *key, int64_t most, bool *wrong)
{
    const json_t *value = json_object_get(o, key);
    int64_t number = json_integer_value(value);

    *wrong |= !json_is_integer(value) || number < 0 || number > most;
    return *wrong ? 0 : number;
}

static bool is_possible(const struct step_row *row)
{
    return row->step > 0 && phase_name(row->phase)[0] && row->tokens >= 0 &&
           row->trained_tokens >= 0 && row->trained_tokens <= row->tokens && row->seconds >= 0;
}

bool step_row_parse(const char *line, size_t len, struct step_row *ret)
{
    json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    bool wrong = !json_is_object(o);

    *ret = (struct step_row){
        .step = (int)integer_of(o, "step", INT_MAX, &wrong),
        .loss = number_of(o, "loss", -DBL_MAX, &wrong),
        .grad_norm = number_of(o, "grad_norm", 0, &wrong),
        .learning_rate = number_of(o, "learning_rate", 0, &wrong),
        .tokens = integer_of(o, "tokens", INT64_MAX, &wrong),
        .trained_tokens = integer_of(o, "trained_tokens", INT64_MAX, &wrong),
        .seconds = number_of(o, "seconds", 0, &wrong),
        .phase = phase_by_name(json_string_value(json_object_get(o, "phase"))),
    };
    if (json_object_get(o, "computed_tokens"))
        ret->computed_tokens = integer_of(o, "computed_tokens", INT64_MAX, &wrong);
    if (json_object_get(o, "eval_loss"))
        ret->eval_loss = number_of(o, "eval_loss", -DBL_MAX, &wrong);
    ret->best = json_is_true(json_object_get(o, "best"));
    json_decref(o);
    return !wrong && is_possible(ret);
}

void step_row_to_message(const struct step_row *row, Dash__V1__Step *ret)
{
    dash__v1__step__init(ret);
    ret->step = (uint32_t)row->step;
    ret->loss = row->loss;
    ret->grad_norm = row->grad_norm;
    ret->learning_rate = row->learning_rate;
    ret->tokens = (uint64_t)row->tokens;
    ret->trained_tokens = (uint64_t)row->trained_tokens;
    ret->seconds = row->seconds;
    ret->phase = (Dash__V1__Phase)row->phase;
    ret->eval_loss = row->eval_loss;
    ret->checkpoint_seconds = row->checkpoint_seconds;
}

bool step_row_from_message(const Dash__V1__Step *m, struct step_row *ret)
{
    *ret = (struct step_row){
        .step = (int)m->step,
        .loss = m->loss,
        .grad_norm = m->grad_norm,
        .learning_rate = m->learning_rate,
        .tokens = (int64_t)m->tokens,
        .trained_tokens = (int64_t)m->trained_tokens,
        .seconds = m->seconds,
        .phase = (int)m->phase,
        .eval_loss = m->eval_loss,
        .checkpoint_seconds = m->checkpoint_seconds,
    };
    return is_possible(ret);
}
