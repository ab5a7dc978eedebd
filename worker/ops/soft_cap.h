/* worker/ops/soft_cap.h - tanh in f32, in plain C that compilers vectorise, and soft caps by it
 * (Bello et al. 2016, section 3.4: cap tanh(s / cap)). tanh is within 5 units in the last place
 * (tests/ops/test_rows.c).
 */
#pragma once
#include "worker/ops/exp.h"

/* (e^2x - 1) / (e^2x + 1), with nothing lost where e^2x is near 1. */
static inline float tanh_f32(float x, struct exp_range range)
{
    struct exp_parts e = exp_parts(2.0f * x, range);
    float less_1 = e.power * e.q + (e.power - 1.0f);

    return less_1 / (less_1 + 2.0f);
}

static inline float soft_cap(float s, float cap, struct exp_range range)
{
    return cap * tanh_f32(s / cap, range);
}

/* d capped / ds, of the capped value. */
static inline float soft_cap_slope(float capped, float cap)
{
    float t = capped / cap;

    return 1.0f - t * t;
}
