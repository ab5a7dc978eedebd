/* core/job/decomposition.c - see decomposition.h. */
#include "core/job/decomposition.h"

static double shorter(int rows, int columns)
{
    return rows < columns ? rows : columns;
}

double decomposition_bytes(int rows, int columns)
{
    double p = shorter(rows, columns);

    return 8 * ((double)rows * columns + 4 * p * p);
}

double decomposition_kept_bytes(int rows, int columns)
{
    double p = shorter(rows, columns);

    return 8 * p * (p + 1);
}

double decomposition_work(int rows, int columns)
{
    double p = shorter(rows, columns);

    return p * p * (p + rows + columns);
}
