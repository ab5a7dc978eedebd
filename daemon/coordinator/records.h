/* daemon/coordinator/records.h - what is kept of the directions for those who look at a job (the
 * page, report.html). Nothing reads it but them.
 *
 *   spectra.json          when directions are chosen: {module: {"rank": p, "points": [indices],
 *                         "sigma", "delta", "share", "update"}} (direction_profile.h)
 *   coefficients.jsonl    after some steps, at most COEFFICIENT_ROWS: {"step": 150, "c": [[...],
 *                         ...]}, the coefficients of each module in the order of directions.json
 */
#pragma once
#include "core/job/direction_profile.h"
#include "core/job/state.h"

enum { COEFFICIENT_ROWS = 64 };

/* profiles: one a map of the layout. */
int write_spectra(const char *output, const struct state *s,
                  const struct direction_profile *profiles, struct err *err);

struct coefficients {
    int fd; /* -1: nothing is kept */
    char *path;
    int first, last, stride; /* steps; every stride-th after `first` has a row, and the last */
};

/* Of a job with directions that continues after `step`: rows past it are cut off, since they will
 * be made again. first: the step after which directions are chosen; last: of the job. */
int coefficients_open(const char *output, int step, int first, int last, struct coefficients *ret,
                      struct err *err);
/* After step s->step. */
int coefficients_add(struct coefficients *c, const struct state *s, struct err *err);
void coefficients_close(struct coefficients *c);
