/* core/model/module_values.c - see module_values.h. A kind of which all modules agree is one
 * exception; of any other kind, each module is one that has not the common value. */
#include "core/model/module_values.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double most_frequent(double *sorted, int n)
{
    double best = 0;
    int best_n = 0;

    qsort(sorted, (size_t)n, sizeof(*sorted), by_value);
    for (int i = 0, j; i < n; i = j) {
        for (j = i; j < n && sorted[j] == sorted[i];)
            j++;
        if (j - i > best_n) {
            best = sorted[i];
            best_n = j - i;
        }
    }
    return best;
}

/* Whether all modules of a kind have one value. */
static bool is_alike(const struct module_value *values, int n, const struct module_value *of)
{
    for (int i = 0; i < n; i++)
        if (values[i].kind == of->kind && values[i].value != of->value)
            return false;
    return true;
}

static bool is_listed(const struct module_values *v, const char *name)
{
    for (int i = 0; i < v->n; i++)
        if (strcmp(v->exceptions[i].name, name) == 0)
            return true;
    return false;
}

int module_values_split(const struct module_value *values, int n, struct module_values *ret,
                        struct err *err)
{
    double *sorted = malloc((size_t)n * sizeof(*sorted));
    struct module_values v = {.exceptions = calloc((size_t)n, sizeof(*v.exceptions))};

    if (!sorted || !v.exceptions) {
        free(sorted);
        free(v.exceptions);
        return err_nomem(err, (size_t)n * sizeof(*v.exceptions));
    }
    for (int i = 0; i < n; i++)
        sorted[i] = values[i].value;
    v.common = most_frequent(sorted, n);
    free(sorted);
    for (int i = 0; i < n; i++) {
        struct module_exception *e = &v.exceptions[v.n];
        if (values[i].value == v.common)
            continue;
        if (is_alike(values, n, &values[i]))
            snprintf(e->name, sizeof(e->name), "%s", module_kind_name(values[i].kind));
        else
            module_full_name(values[i].layer, values[i].kind, e->name);
        e->value = values[i].value;
        v.n += !is_listed(&v, e->name);
    }
    *ret = v;
    return 0;
}

void module_values_free(struct module_values *v)
{
    free(v->exceptions);
    *v = (struct module_values){0};
}
