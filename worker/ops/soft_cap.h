/* worker/ops/soft_cap.h - tanh in f32, in plain C that compilers vectorise, and soft caps by it
 * (Bello et al. 2016, section 3.4: cap tanh(s / cap)). tanh is within 5 units in the last place
 * (tests/ops/test_rows.c).
 */
#pragma once
#include "worker/ops/exp.h"

/* Below 0.5 by the first eight terms of its series, elsewhere 1 - 2 / (e^2x + 1). */
static inline float tanh_f32(float x)
{
    float s = x * x;
    float far = 1.0f - 2.0f / (exp_f32(2.0f * x) + 1.0f);
    float near = 5.90027441e-4f;

    near = near * s - 1.45583439e-3f;
    near = near * s + 3.59212804e-3f;
    near = near * s - 8.86323553e-3f;
    near = near * s + 2.18694885e-2f;
    near = near * s - 5.39682540e-2f;
    near = near * s + 1.33333333e-1f;
    near = near * s - 3.33333333e-1f;
    near = x + x * s * near;
    return s < 0.25f ? near : far;
}

static inline float soft_cap(float s, float cap)
{
    return cap * tanh_f32(s / cap);
}

/* d capped / ds, of the capped value. */
static inline float soft_cap_slope(float capped, float cap)
{
    float t = capped / cap;

    return 1.0f - t * t;
}
