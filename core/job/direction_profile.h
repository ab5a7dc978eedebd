/* core/job/direction_profile.h - what is kept of all directions of a matrix when some are chosen,
 * for people who look at it: its spectrum, thinned, and how much of the update the chosen ones
 * have. Nothing is computed from it.
 */
#pragma once
#include <stdint.h>

enum { PROFILE_POINTS = 96, PROFILE_ALL = 32 /* of the largest singular values, each */ };

struct direction_profile {
    int32_t n;                     /* points */
    int32_t p;                     /* singular values: min(rows, columns) */
    double share;                  /* sum over the chosen i of (u_i^T dW v_i)^2 / ||dW||_F^2 */
    double update;                 /* ||dW||_F */
    int32_t index[PROFILE_POINTS]; /* (n) rising */
    float sigma[PROFILE_POINTS], delta[PROFILE_POINTS]; /* (n) */
};

/* Which of p singular values are points: the first PROFILE_ALL, then evenly by their logarithm, and
 * the last. Returns how many. */
int direction_profile_points(int p, int32_t ret_index[PROFILE_POINTS]);
/* What is wrong with it, for a matrix with p singular values; NULL where nothing is. */
const char *direction_profile_fault(const struct direction_profile *d, int p);
