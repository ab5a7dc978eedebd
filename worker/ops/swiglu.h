/* worker/ops/swiglu.h - the gated unit of Llama's MLP (Shazeer 2020, eq. 6).
 *
 *   y = silu(g) * u,  silu(g) = g / (1 + e^-g);  gu (T, 2F) holds g in its first F columns, u in
 *   the rest
 */
#pragma once
#include "worker/team.h"

/* y (T, F) */
void swiglu_forward(struct team *team, float *y, const float *gu, int T, int F);
/* Writes dgu (T, 2F), which may be gu, given dy (T, F). */
void swiglu_backward(struct team *team, float *dgu, const float *dy, const float *gu, int T, int F);
