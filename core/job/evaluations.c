/* core/job/evaluations.c - see evaluations.h. A text is right if it is what would be printed. */
#include "core/job/evaluations.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

bool evaluations_add(struct evaluations *e, int step, double loss, double least_gain)
{
    bool first = e->best_step == 0, best = isfinite(loss) && (first || loss < e->best_loss);

    if (isfinite(loss) && (first || loss < e->gain_loss - least_gain)) {
        e->gain_loss = loss;
        e->without_gain = 0;
    } else {
        e->without_gain++;
    }
    if (best) {
        e->best_step = step;
        e->best_loss = loss;
    }
    return best;
}

void evaluations_print(const struct evaluations *e, char *out, size_t size)
{
    snprintf(out, size, "%d %.17g %.17g %d %s", e->best_step, e->best_loss, e->gain_loss,
             e->without_gain, e->data);
}

bool evaluations_parse(const char *text, int step, struct evaluations *ret)
{
    struct evaluations e = {0};
    char again[EVALUATIONS_TEXT_MAX];

    if (sscanf(text, "%d %lf %lf %d %32s", &e.best_step, &e.best_loss, &e.gain_loss,
               &e.without_gain, e.data) != 5)
        return false;
    evaluations_print(&e, again, sizeof(again));
    if (strcmp(text, again) != 0 || e.best_step < 1 || e.best_step > step || e.without_gain < 0 ||
        !isfinite(e.best_loss) || !isfinite(e.gain_loss))
        return false;
    *ret = e;
    return true;
}
