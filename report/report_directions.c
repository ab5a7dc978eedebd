/* report/report_directions.c - see report_directions.h. The sizes are estimates from the number of
 * numbers: a number takes about NUMBER_BYTES with its comma. */
#include "report/report_directions.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_BYTES = 10, MODULE_BYTES = 120, POINTS_LEAST = 12, ROWS_LEAST = 10 };
enum { DIRECTIONS_BYTES = 350000, SPECTRA_BYTES = 400000, COEFFICIENTS_BYTES = 600000 };
enum { NUMBER_LISTS = 4, POINT_NUMBERS = 3 };

json_t *report_number(double x, int digits)
{
    char text[40];

    if (!isfinite(x))
        return json_null();
    snprintf(text, sizeof(text), "%.*g", digits, x);
    return json_real(strtod(text, NULL));
}

void report_note(json_t *notes, const char *fmt, ...)
{
    char text[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    json_array_append_new(notes, json_string(text));
}

static json_t *copy_number(const json_t *x, int digits)
{
    return json_is_integer(x) ? json_integer(json_integer_value(x))
                              : report_number(json_number_value(x), digits);
}

/* The first `most` numbers of a list. */
static json_t *copy_list(const json_t *list, size_t most, int digits)
{
    json_t *copy = json_array();
    size_t i;

    for (i = 0; i < most && i < json_array_size(list); i++)
        json_array_append_new(copy, copy_number(json_array_get(list, i), digits));
    return copy;
}

/* How many directions a matrix has at most. */
static size_t directions_of(const json_t *directions)
{
    const char *name;
    json_t *module;
    size_t most = 0;

    json_object_foreach((json_t *)directions, name, module)
    {
        size_t k = json_array_size(json_object_get(module, "indices"));
        most = k > most ? k : most;
    }
    return most;
}

static size_t largest_share(size_t bytes, size_t modules, size_t numbers)
{
    size_t each = modules ? bytes / modules : 0;

    return each > MODULE_BYTES ? (each - MODULE_BYTES) / (numbers * NUMBER_BYTES) : 0;
}

/* Lists begin with the largest delta, so their beginnings are what counts. */
static json_t *thin_directions(const json_t *directions, size_t k, json_t *notes)
{
    static const char *const lists[NUMBER_LISTS] = {"indices", "delta", "sigma", "coefficient"};
    json_t *all = json_object(), *module, *next;
    const char *name;
    int i;

    if (k < directions_of(directions))
        report_note(notes, "Of each matrix the %zu directions of largest delta are shown.", k);
    json_object_foreach((json_t *)directions, name, module)
    {
        json_t *copy = json_object();
        for (i = 0; i < NUMBER_LISTS; i++)
            json_object_set_new(copy, lists[i], copy_list(json_object_get(module, lists[i]), k, 5));
        next = json_object_get(module, "next_delta");
        if (json_is_number(next))
            json_object_set_new(copy, "next_delta", copy_number(next, 5));
        json_object_set_new(all, name, copy);
    }
    return all;
}

/* Every n-th of a list, and its last. */
static json_t *copy_every(const json_t *list, size_t most, int digits)
{
    size_t n = json_array_size(list), every = most && n > most ? (n + most - 1) / most : 1, i;
    json_t *copy = json_array();

    for (i = 0; i < n; i += every)
        json_array_append_new(copy, copy_number(json_array_get(list, i), digits));
    if (n && (n - 1) % every)
        json_array_append_new(copy, copy_number(json_array_get(list, n - 1), digits));
    return copy;
}

static json_t *thin_spectra(const json_t *spectra, json_t *notes)
{
    static const char *const plain[] = {"rows", "columns", "rank", "share", "update"};
    static const char *const lists[POINT_NUMBERS] = {"points", "sigma", "delta"};
    size_t most = largest_share(SPECTRA_BYTES, json_object_size(spectra), POINT_NUMBERS), i;
    json_t *all, *module;
    const char *name;

    if (most < POINTS_LEAST) {
        report_note(notes,
                    "The spectra of %zu matrices are too large for this file, and are left "
                    "out: the page of dashd shows them.",
                    json_object_size(spectra));
        return json_null();
    }
    all = json_object();
    json_object_foreach((json_t *)spectra, name, module)
    {
        json_t *copy = json_object();
        for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
            if (json_is_number(json_object_get(module, plain[i])))
                json_object_set_new(copy, plain[i],
                                    copy_number(json_object_get(module, plain[i]), 5));
        for (i = 0; i < POINT_NUMBERS; i++)
            json_object_set_new(copy, lists[i],
                                copy_every(json_object_get(module, lists[i]), most - 1, 4));
        json_object_set_new(all, name, copy);
    }
    return all;
}

static json_t *thin_row(const json_t *row, size_t k)
{
    const json_t *modules = json_object_get(row, "c");
    json_t *copy = json_array();
    size_t i;

    for (i = 0; i < json_array_size(modules); i++)
        json_array_append_new(copy, copy_list(json_array_get(modules, i), k, 4));
    return copy;
}

static json_t *thin_coefficients(const json_t *rows, size_t modules, size_t k, json_t *notes)
{
    size_t n = json_array_size(rows), row = modules * k * NUMBER_BYTES + 1, i;
    size_t most = COEFFICIENTS_BYTES / row, every = most && n > most ? (n + most - 1) / most : 1;
    json_t *step = json_array(), *c = json_array();

    if (most < ROWS_LEAST && n > most) {
        report_note(notes, "The history of the coefficients is too large for this file, and is "
                           "left out: the page of dashd shows it.");
        n = 0;
    } else if (every > 1) {
        report_note(notes, "Of the history of the coefficients one row in %zu is shown.", every);
    }
    for (i = 0; i < n; i++)
        if (i % every == 0 || i == n - 1) {
            const json_t *at = json_array_get(rows, i);
            json_array_append(step, json_object_get(at, "step"));
            json_array_append_new(c, thin_row(at, k));
        }
    return json_pack("{s:o, s:o}", "step", step, "c", c);
}

void report_add_directions(const struct job_result *job, json_t *o, json_t *notes)
{
    size_t modules = json_object_size(job->directions), k = directions_of(job->directions);
    size_t most = largest_share(DIRECTIONS_BYTES, modules, NUMBER_LISTS);

    k = k > most ? most : k;
    json_object_set_new(o, "directions",
                        modules ? thin_directions(job->directions, k, notes) : json_null());
    json_object_set_new(o, "spectra",
                        json_object_size(job->spectra) ? thin_spectra(job->spectra, notes)
                                                       : json_null());
    json_object_set_new(o, "coefficients",
                        job->coefficients && modules
                            ? thin_coefficients(job->coefficients, modules, k, notes)
                            : json_null());
}
