/* worker/spectrum.c - see spectrum.h: the decomposition and its cache. */
#include "worker/spectrum.h"
#include "core/file.h"
#include "core/tensor/tensorfile.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK's Fortran entry points, as OpenBLAS exports them. */
void dsyevd_(const char *job, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info);
void dgesdd_(const char *job, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
             int *iwork, int *info);

/* Below this ratio of sigmas the Gram matrix has lost half of the digits of a direction. */
static const double CONDITION_MIN = 1e-5;

static int longer(const struct spectrum *s)
{
    return s->rows > s->columns ? s->rows : s->columns;
}

double *spectrum_widen(const float *W, size_t n)
{
    double *wide = malloc(n * sizeof(*wide));
    size_t i;

    for (i = 0; wide && i < n; i++)
        wide[i] = (double)W[i];
    return wide;
}

/* Eigenvectors of the symmetric a (p, p), in place as rows, ascending eigenvalues in w. */
static int eigenvectors(double *a, double *w, int p, struct err *err)
{
    int lwork = 1 + 6 * p + 2 * p * p, liwork = 3 + 5 * p, info = 0;
    double *work = malloc((size_t)lwork * sizeof(*work));
    int *iwork = malloc((size_t)liwork * sizeof(*iwork));

    if (!work || !iwork) {
        free(work);
        free(iwork);
        return err_nomem(err, (size_t)lwork * sizeof(*work));
    }
    dsyevd_("V", "L", &p, a, &p, w, work, &lwork, iwork, &liwork, &info);
    free(work);
    free(iwork);
    return info ? err_set(err, ERR_INTERNAL, "LAPACK dsyevd ends with info %d on %d x %d", info, p,
                          p)
                : 0;
}

/* Puts rows in order of descending sigma: they come ascending. */
static void reverse_rows(double *e, int p)
{
    int i, j;

    for (i = 0; i < p / 2; i++) {
        double *a = e + (size_t)i * p, *b = e + (size_t)(p - 1 - i) * p;
        for (j = 0; j < p; j++) {
            double t = a[j];
            a[j] = b[j];
            b[j] = t;
        }
    }
}

/* sigma_i = |W^T u_i| (or |W v_i|): more digits than the square root of an eigenvalue has. */
static int measure_sigma(struct spectrum *s, const double *W, struct err *err)
{
    int p = s->p, q = longer(s), i;
    bool wide = s->rows <= s->columns;
    double *image = malloc((size_t)p * (size_t)q * sizeof(*image));

    if (!image)
        return err_nomem(err, (size_t)p * (size_t)q * sizeof(*image));
    cblas_dgemm(CblasRowMajor, CblasNoTrans, wide ? CblasNoTrans : CblasTrans, p, q, p, 1, s->e, p,
                W, s->columns, 0, image, q);
    for (i = 0; i < p; i++)
        s->sigma[i] = cblas_dnrm2(q, image + (size_t)i * q, 1);
    free(image);
    return 0;
}

static int by_gram(struct spectrum *s, const double *W, struct err *err)
{
    bool wide = s->rows <= s->columns;
    int rc;

    cblas_dgemm(CblasRowMajor, wide ? CblasNoTrans : CblasTrans, wide ? CblasTrans : CblasNoTrans,
                s->p, s->p, longer(s), 1, W, s->columns, W, s->columns, 0, s->e, s->p);
    rc = eigenvectors(s->e, s->sigma, s->p, err);
    if (rc < 0)
        return rc;
    reverse_rows(s->e, s->p);
    return measure_sigma(s, W, err);
}

/* Copies the vectors of one side out of LAPACK's column-major results. */
static void copy_side(double *out, const double *in, int p, int len, bool contiguous)
{
    int i, j;

    for (i = 0; i < p; i++)
        for (j = 0; j < len; j++)
            out[(size_t)i * len + j] = contiguous ? in[(size_t)i * len + j] : in[i + (size_t)j * p];
}

/* Column-major LAPACK sees W^T (m, n) = V Sigma U^T: its U is our V, its V^T our U^T. */
static int by_svd(struct spectrum *s, double *W, struct err *err)
{
    int n = s->rows, m = s->columns, p = s->p, info = 0, lwork = -1;
    double *v = malloc((size_t)m * (size_t)p * sizeof(*v)), best = 0, *work = NULL;
    double *ut = malloc((size_t)n * (size_t)p * sizeof(*ut));
    int *iwork = malloc(8 * (size_t)p * sizeof(*iwork));

    s->f = malloc((size_t)p * (size_t)longer(s) * sizeof(*s->f));
    if (v && ut && iwork && s->f) {
        dgesdd_("S", &m, &n, W, &m, s->sigma, v, &m, ut, &p, &best, &lwork, iwork, &info);
        lwork = (int)best;
        work = malloc((size_t)lwork * sizeof(*work));
    }
    if (work) {
        dgesdd_("S", &m, &n, W, &m, s->sigma, v, &m, ut, &p, work, &lwork, iwork, &info);
        copy_side(n <= m ? s->f : s->e, v, p, m, true);
        copy_side(n <= m ? s->e : s->f, ut, p, n, false);
    } else {
        info = err_nomem(err, (size_t)longer(s) * (size_t)p * sizeof(*v));
    }
    free(v);
    free(ut);
    free(iwork);
    free(work);
    return info > 0 ? err_set(err, ERR_INTERNAL, "LAPACK dgesdd does not converge (info %d)", info)
                    : info;
}

static void fix_signs(struct spectrum *s)
{
    int i, j, q = longer(s);

    for (i = 0; i < s->p; i++) {
        double *e = s->e + (size_t)i * s->p, largest = 0;
        for (j = 0; j < s->p; j++)
            if (fabs(e[j]) > fabs(largest))
                largest = e[j];
        if (largest >= 0)
            continue;
        for (j = 0; j < s->p; j++)
            e[j] = -e[j];
        for (j = 0; s->f && j < q; j++)
            s->f[(size_t)i * q + j] = -s->f[(size_t)i * q + j];
    }
}

static int allocate(struct spectrum *s, int rows, int columns, struct err *err)
{
    size_t p = (size_t)(rows < columns ? rows : columns);

    *s = (struct spectrum){.rows = rows, .columns = columns, .p = (int)p};
    s->sigma = malloc(p * sizeof(double));
    s->e = malloc(p * p * sizeof(double));
    if (s->sigma && s->e)
        return 0;
    spectrum_free(s);
    return err_nomem(err, p * p * sizeof(double));
}

void spectrum_init(void)
{
    openblas_set_num_threads(1);
}

int spectrum_compute(const float *W, int rows, int columns, struct spectrum *ret, struct err *err)
{
    struct spectrum s;
    double *wide;
    int rc = allocate(&s, rows, columns, err);

    if (rc < 0)
        return rc;
    wide = spectrum_widen(W, (size_t)rows * (size_t)columns);
    rc = wide ? by_gram(&s, wide, err) : err_nomem(err, (size_t)rows * (size_t)columns * 8);
    if (rc == 0 && s.sigma[s.p - 1] < CONDITION_MIN * s.sigma[0])
        rc = by_svd(&s, wide, err);
    free(wide);
    if (rc < 0) {
        spectrum_free(&s);
        return rc;
    }
    fix_signs(&s);
    *ret = s;
    return 0;
}

void spectrum_free(struct spectrum *s)
{
    free(s->sigma);
    free(s->e);
    free(s->f);
    *s = (struct spectrum){0};
}

int spectrum_write(const struct spectrum *s, const char *path, struct err *err)
{
    struct tensor_out out[] = {
        {.name = "sigma", TENSOR_F64, 1, {s->p}, s->sigma},
        {.name = "e", TENSOR_F64, 2, {s->p, s->p}, s->e},
        {.name = "f", TENSOR_F64, 2, {s->p, longer(s)}, s->f},
    };
    struct buf b = {0};
    int rc = safetensors_encode(out, s->f ? 3 : 2, NULL, 0, &b, err);

    if (rc == 0)
        rc = file_write_durably(path, b.data, b.len, err);
    buf_free(&b);
    return rc;
}

/* A tensor that must be f64 of n numbers; NULL after filling in err. */
static const void *tensor_of(const struct tensorfile *file, const char *name, size_t n,
                             struct err *err)
{
    const struct tensor *t = tensorfile_find(file, name);

    if (t && t->type == TENSOR_F64 && t->bytes == n * sizeof(double))
        return t->data;
    err_set(err, ERR_INVALID, "%s is not a decomposition of this matrix", tensorfile_path(file));
    return NULL;
}

/* The file's tensors; *ret_f is NULL where only the shorter side is kept. */
static int find_tensors(const struct tensorfile *file, int rows, int columns,
                        const void **ret_sigma, const void **ret_e, const void **ret_f,
                        struct err *err)
{
    size_t p = (size_t)(rows < columns ? rows : columns);
    size_t q = (size_t)(rows < columns ? columns : rows);

    *ret_f = NULL;
    *ret_sigma = tensor_of(file, "sigma", p, err);
    *ret_e = *ret_sigma ? tensor_of(file, "e", p * p, err) : NULL;
    if (*ret_e && tensorfile_find(file, "f") && !(*ret_f = tensor_of(file, "f", p * q, err)))
        return ERR_INVALID;
    return *ret_e ? 0 : ERR_INVALID;
}

int spectrum_check(const char *path, int rows, int columns, struct err *err)
{
    const void *sigma, *e, *f;
    struct tensorfile *file = NULL;
    int rc = tensorfile_open(path, &file, err);

    if (rc == 0)
        rc = find_tensors(file, rows, columns, &sigma, &e, &f, err);
    tensorfile_close(file);
    return rc;
}

int spectrum_read(const char *path, int rows, int columns, struct spectrum *ret, struct err *err)
{
    const void *sigma, *e, *f;
    struct tensorfile *file = NULL;
    struct spectrum s = {0};
    size_t p, q;
    int rc = tensorfile_open(path, &file, err);

    if (rc == 0)
        rc = find_tensors(file, rows, columns, &sigma, &e, &f, err);
    if (rc == 0)
        rc = allocate(&s, rows, columns, err);
    if (rc != 0)
        goto out;
    p = (size_t)s.p;
    q = (size_t)longer(&s);
    memcpy(s.sigma, sigma, p * sizeof(double));
    memcpy(s.e, e, p * p * sizeof(double));
    s.f = f ? malloc(p * q * sizeof(double)) : NULL;
    if (s.f)
        memcpy(s.f, f, p * q * sizeof(double));
    else if (f)
        rc = err_nomem(err, p * q * sizeof(double));
    if (rc == 0)
        *ret = s;
    else
        spectrum_free(&s);
out:
    tensorfile_close(file);
    return rc;
}
