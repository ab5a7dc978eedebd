/* core/finite.c - see finite.h. The loops have no exit in the middle, so that compilers use
 * vectors. */
#include "core/finite.h"
#include <float.h>
#include <string.h>

bool floats_are_right(const void *at, size_t n, float least)
{
    const char *bytes = at;
    bool right = true;

    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, bytes + i * sizeof(x), sizeof(x));
        right &= x >= least && x <= FLT_MAX;
    }
    return right;
}

bool doubles_are_right(const void *at, size_t n, double least)
{
    const char *bytes = at;
    bool right = true;

    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, bytes + i * sizeof(x), sizeof(x));
        right &= x >= least && x <= DBL_MAX;
    }
    return right;
}
