/* core/job/direction_profile.c - see direction_profile.h. */
#include "core/job/direction_profile.h"
#include <math.h>
#include <stddef.h>

int direction_profile_points(int p, int32_t ret_index[PROFILE_POINTS])
{
    int n = 0, rest = PROFILE_POINTS - PROFILE_ALL, i;

    for (i = 0; i < p && i < PROFILE_ALL; i++)
        ret_index[n++] = i;
    for (i = 1; i <= rest && n < p; i++) {
        double at = PROFILE_ALL * pow((double)(p - 1) / PROFILE_ALL, (double)i / rest);
        int32_t index = (int32_t)floor(at + 0.5);
        if (index > ret_index[n - 1] && index < p)
            ret_index[n++] = index;
    }
    return n;
}

const char *direction_profile_fault(const struct direction_profile *d, int p)
{
    int i;

    if (d->p != p || d->n < 1 || d->n > PROFILE_POINTS)
        return "a profile of another size";
    if (!isfinite(d->share) || !isfinite(d->update) || d->share < 0 || d->update < 0)
        return "a profile with an impossible share";
    for (i = 0; i < d->n; i++)
        if (!isfinite(d->sigma[i]) || !isfinite(d->delta[i]) || d->index[i] < 0 ||
            d->index[i] >= p || (i && d->index[i] <= d->index[i - 1]))
            return "a profile with an impossible point";
    return NULL;
}
