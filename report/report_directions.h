/* report/report_directions.h - the files about directions, thinned to the size of a report. */
#pragma once
#include "report/job_result.h"

/* A number with that many significant digits at most. */
json_t *report_number(double x, int digits);
/* Adds a sentence to an array. */
void report_note(json_t *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets "directions", "spectra" and "coefficients" of the object; null where there is no such file,
 * or where even the thinnest form would be too large, which a sentence says. */
void report_add_directions(const struct job_result *job, json_t *o, json_t *notes);
