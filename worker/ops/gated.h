/* worker/ops/gated.h - the gated unit of an MLP (Shazeer 2020, eq. 6).
 *
 *   y = act(g) * u;  gu (T, 2F) holds g in its first F columns, u in the rest
 *   silu(g) = g sig(g);  gelu_tanh(g) = g sig(2 sqrt(2/pi) (g + 0.044715 g^3));
 *   gelu(g) = g (1 + erf(g / sqrt 2)) / 2;  sig(x) = 1 / (1 + e^-x)
 *
 * (Hendrycks & Gimpel 2016, section 2: gelu_tanh is their approximation, since
 * (1 + tanh x) / 2 = sig(2 x).)
 */
#pragma once
#include "core/model/architecture.h"
#include "worker/team.h"

/* y (T, F) */
void gated_forward(struct team *team, enum activation act, float *y, const float *gu, int T, int F);
/* Writes dgu (T, 2F), which may be gu, given dy (T, F). */
void gated_backward(struct team *team, enum activation act, float *dgu, const float *dy,
                    const float *gu, int T, int F);
