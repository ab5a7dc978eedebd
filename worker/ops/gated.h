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

struct gated {
    enum activation act;
    int F;
    const float *gu; /* (T, 2F) */
    float *y;        /* (T, F); for the way back NULL where it is not needed again */
    const float *dy; /* (T, F), for the way back */
    float *dgu;      /* (T, 2F), for the way back; may be gu */
};

/* The argument of the passes is a struct gated. They do rows [first, last) and columns [column,
 * column + columns) of each half of gu: as struct gemm_then calls them. */

/* Writes y. */
void gated_forward(const void *gated, int first, int last, int column, int columns);
/* Writes dgu, and y where it is not NULL. */
void gated_backward(const void *gated, int first, int last, int column, int columns);
/* A pass over all T rows. */
void gated_run(struct team *team, void (*pass)(const void *gated, int, int, int, int),
               const struct gated *gated, int T);
