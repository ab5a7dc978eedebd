/* worker/identify.c - see spectrum.h: which directions training has moved most, relative to their
 * sigma.
 *
 * With e the shorter side's vectors and f = (W^T e or W e) / sigma the longer side's, u_i^T B A v_i
 * is a dot product of r numbers, (e_i^T X) . (e_i^T Y) / sigma_i, where
 *
 *   n <= m (e = u):  X = B (n, r),      Y = W A^T (n, r)
 *   n >  m (e = v):  X = W^T B (m, r),  Y = A^T   (m, r)
 */
#include "worker/spectrum.h"
#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct work {
    const struct spectrum *s;
    int n, m, p, r;
    bool wide;       /* n <= m */
    double *W;       /* (n, m) */
    double *A;       /* (r, m) */
    double *B;       /* (n, r) */
    double *eX, *eY; /* (p, r) */
    double *side;    /* (max(n, m), r) */
    double *delta;   /* (p) */
    bool *chosen;    /* (p) */
};

static void work_free(struct work *w)
{
    free(w->W);
    free(w->A);
    free(w->B);
    free(w->eX);
    free(w->eY);
    free(w->side);
    free(w->delta);
    free(w->chosen);
}

static int work_open(struct work *w, const float *W, const float *A, const float *B,
                     struct err *err)
{
    size_t n = (size_t)w->n, m = (size_t)w->m, p = (size_t)w->p, r = (size_t)w->r;

    w->W = spectrum_widen(W, n * m);
    w->A = spectrum_widen(A, r * m);
    w->B = spectrum_widen(B, n * r);
    w->eX = malloc(p * r * sizeof(double));
    w->eY = malloc(p * r * sizeof(double));
    w->side = malloc((n > m ? n : m) * r * sizeof(double));
    w->delta = malloc(p * sizeof(double));
    w->chosen = calloc(p, sizeof(bool));
    if (w->W && w->A && w->B && w->eX && w->eY && w->side && w->delta && w->chosen)
        return 0;
    return err_nomem(err, n * m * sizeof(double));
}

/* out (M, N) = a (M, K) b (K, N), each transposed on request. */
static void multiply(int M, int N, int K, const double *a, bool ta, const double *b, bool tb,
                     double *out)
{
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, M, N,
                K, 1, a, ta ? M : K, b, tb ? K : N, 0, out, N);
}

/* eX and eY: what each direction sees of B and A. Where both sides are known nothing is divided by
 * sigma. */
static void project(struct work *w)
{
    const struct spectrum *s = w->s;
    double *eB = w->wide ? w->eX : w->eY, *eA = w->wide ? w->eY : w->eX;

    /* The factor on e's own side. */
    if (w->wide)
        multiply(w->p, w->r, w->p, s->e, false, w->B, false, eB);
    else
        multiply(w->p, w->r, w->p, s->e, false, w->A, true, eB);
    /* The factor on the other side. */
    if (s->f && w->wide) {
        multiply(w->p, w->r, w->m, s->f, false, w->A, true, eA);
    } else if (s->f) {
        multiply(w->p, w->r, w->n, s->f, false, w->B, false, eA);
    } else {
        if (w->wide)
            multiply(w->n, w->r, w->m, w->W, false, w->A, true, w->side);
        else
            multiply(w->m, w->r, w->n, w->W, true, w->B, false, w->side);
        multiply(w->p, w->r, w->p, s->e, false, w->side, false, eA);
    }
}

static void score(struct work *w, double scale)
{
    const struct spectrum *s = w->s;
    double floor = 1e-6 * s->sigma[0];
    int i;

    for (i = 0; i < w->p; i++) {
        double d =
            scale * cblas_ddot(w->r, w->eX + (size_t)i * w->r, 1, w->eY + (size_t)i * w->r, 1);
        if (!s->f)
            d /= s->sigma[i];
        w->delta[i] = fabs(d) / (s->sigma[i] > floor ? s->sigma[i] : floor);
        if (!(w->delta[i] >= 0))
            w->delta[i] = 0; /* sigma_1 = 0: a zero matrix has no directions to speak of */
    }
}

static int largest(const struct work *w)
{
    int i, best = -1;

    for (i = 0; i < w->p; i++)
        if (!w->chosen[i] && (best < 0 || w->delta[i] > w->delta[best]))
            best = i;
    return best;
}

/* Direction i as column j of the short side's and the long side's matrix, (., k) each. */
static void write_pair(const struct work *w, int i, int j, int k, float *e_out, float *f_out)
{
    const struct spectrum *s = w->s;
    const double *e = s->e + (size_t)i * s->p;
    int q = w->wide ? w->m : w->n, a, b;

    for (a = 0; a < s->p; a++)
        e_out[(size_t)a * k + j] = (float)e[a];
    for (b = 0; b < q; b++) {
        double sum = 0;
        for (a = 0; !s->f && a < s->p; a++)
            sum += e[a] * (w->wide ? w->W[(size_t)a * w->m + b] : w->W[(size_t)b * w->m + a]);
        f_out[(size_t)b * k + j] = (float)(s->f ? s->f[(size_t)i * q + b] : sum / s->sigma[i]);
    }
}

static void choose(struct work *w, struct directions *d)
{
    int j, k = d->k;

    for (j = 0; j < k; j++) {
        int i = largest(w);
        assert(i >= 0); /* k is at most p */
        w->chosen[i] = true;
        d->indices[j] = i;
        d->delta[j] = w->delta[i];
        d->sigma[j] = w->s->sigma[i];
        write_pair(w, i, j, k, w->wide ? d->U : d->V, w->wide ? d->V : d->U);
    }
    *d->next_delta = largest(w) < 0 ? 0 : w->delta[largest(w)];
}

/* ||scale B A||_F^2 = scale^2 sum((B^T B) * (A A^T)). */
static double update_square(const struct work *w, double scale, double *bb, double *aa)
{
    double sum = 0;
    int i;

    multiply(w->r, w->r, w->n, w->B, true, w->B, false, bb);
    multiply(w->r, w->r, w->m, w->A, false, w->A, true, aa);
    for (i = 0; i < w->r * w->r; i++)
        sum += bb[i] * aa[i];
    return scale * scale * (sum > 0 ? sum : 0);
}

/* What the chosen ones have of it; delta is relative to sigma, or to its floor. */
static double chosen_square(const struct work *w)
{
    double floor = 1e-6 * w->s->sigma[0], sum = 0;
    int i;

    for (i = 0; i < w->p; i++) {
        double d = w->delta[i] * (w->s->sigma[i] > floor ? w->s->sigma[i] : floor);
        sum += w->chosen[i] ? d * d : 0;
    }
    return sum;
}

static int profile(const struct work *w, double scale, struct direction_profile *ret,
                   struct err *err)
{
    size_t bytes = (size_t)w->r * (size_t)w->r * sizeof(double);
    double *bb = malloc(bytes), *aa = malloc(bytes), square;
    int i;

    if (!bb || !aa) {
        free(bb);
        free(aa);
        return err_nomem(err, bytes);
    }
    square = update_square(w, scale, bb, aa);
    *ret = (struct direction_profile){.p = w->p, .update = sqrt(square)};
    ret->share = square > 0 ? chosen_square(w) / square : 0;
    ret->n = direction_profile_points(w->p, ret->index);
    for (i = 0; i < ret->n; i++) {
        ret->sigma[i] = (float)w->s->sigma[ret->index[i]];
        ret->delta[i] = (float)w->delta[ret->index[i]];
    }
    free(bb);
    free(aa);
    return 0;
}

int spectrum_identify(const struct spectrum *s, const float *W, const float *A, const float *B,
                      int r, double scale, struct directions *ret,
                      struct direction_profile *ret_profile, struct err *err)
{
    struct work w = {
        .s = s, .n = s->rows, .m = s->columns, .p = s->p, .r = r, .wide = s->rows <= s->columns};
    int rc = work_open(&w, W, A, B, err);

    if (rc == 0) {
        project(&w);
        score(&w, scale);
        choose(&w, ret);
    }
    if (rc == 0 && ret_profile)
        rc = profile(&w, scale, ret_profile, err);
    work_free(&w);
    return rc;
}
