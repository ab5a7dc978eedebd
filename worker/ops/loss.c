/* worker/ops/loss.c - see loss.h. Row losses are summed in double in order of rows. A product of
 * few rows spends its time on copying the weights, so a chunk is as large as memory allows. */
#include "worker/ops/loss.h"
#include "worker/ops/exp.h"
#include "worker/ops/gemm.h"
#include "worker/ops/soft_cap.h"
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct pass {
    const struct head *head;
    float *logits, *slopes; /* (chunk, V); slopes: of the caps, or NULL */
    const int32_t *targets;
    float weight;
    bool backward;
    double losses[LOSS_CHUNK];
};

int head_rows(const struct head *head)
{
    int rows = LOSS_CHUNK_FLOATS / head->V / LOSS_CHUNK_MIN * LOSS_CHUNK_MIN;

    if (rows < LOSS_CHUNK_MIN)
        return LOSS_CHUNK_MIN;
    return rows < LOSS_CHUNK ? rows : LOSS_CHUNK;
}

size_t head_scratch(const struct head *head)
{
    return (size_t)head_rows(head) * (size_t)head->V * (head->cap > 0 ? 2 : 1);
}

/* Products become logits. */
static void scale_row(const struct head *head, float *row)
{
    const struct exp_range range = exp_range();
    float cap = head->cap;
    int v;

    if (head->scale != 1)
        for (v = 0; v < head->V; v++)
            row[v] *= head->scale;
    if (!(cap > 0))
        return;
#pragma omp simd
    for (v = 0; v < head->V; v++)
        row[v] = soft_cap(row[v], cap, range);
}

static void keep_slopes(const struct head *head, float *slopes, const float *row)
{
    int v;

#pragma omp simd
    for (v = 0; v < head->V; v++)
        slopes[v] = soft_cap_slope(row[v], head->cap);
}

/* The gradient to logits becomes that to products. */
static void scale_row_back(const struct head *head, float *row, const float *slopes)
{
    int v;

    for (v = 0; slopes && v < head->V; v++)
        row[v] *= slopes[v];
    if (head->scale != 1)
        for (v = 0; v < head->V; v++)
            row[v] *= head->scale;
}

static void row_task(void *arg, int i, int thread)
{
    struct pass *p = arg;
    int V = p->head->V, v;
    float *row = p->logits + (size_t)i * (size_t)V, most, target, inv;
    float *slopes = p->slopes ? p->slopes + (size_t)i * (size_t)V : NULL;
    const struct exp_range range = exp_range();
    double sum = 0;

    (void)thread;
    scale_row(p->head, row);
    if (slopes)
        keep_slopes(p->head, slopes, row);
    most = row[0];
    target = row[p->targets[i]];
#pragma omp simd reduction(max : most)
    for (v = 0; v < V; v++)
        most = row[v] > most ? row[v] : most;
#pragma omp simd reduction(+ : sum)
    for (v = 0; v < V; v++) {
        row[v] = exp_f32(row[v] - most, range);
        sum += (double)row[v];
    }
    p->losses[i] = log(sum) + (double)most - (double)target;
    if (!p->backward)
        return;
    inv = (float)(p->weight / sum);
    for (v = 0; v < V; v++)
        row[v] *= inv;
    row[p->targets[i]] -= p->weight;
    scale_row_back(p->head, row, slopes);
}

static void multiply(struct team *team, const struct head *head, float *logits, const float *h,
                     int n)
{
    gemm_weight(team, GEMM_NT, n, head->w, 0, head->V, (struct matrix){h, head->C}, 0, logits,
                head->V);
}

double loss_forward_backward(struct team *team, const struct head *head, float *dh, const float *h,
                             const int32_t *targets, int n, float weight, float *logits)
{
    struct pass p = {.head = head, .logits = logits, .weight = weight, .backward = dh != NULL};
    double sum = 0;
    int at, i, chunk = head_rows(head);

    if (p.backward && head->cap > 0)
        p.slopes = logits + (size_t)chunk * (size_t)head->V;
    for (at = 0; at < n; at += chunk) {
        int rows = n - at < chunk ? n - at : chunk;
        multiply(team, head, logits, h + (size_t)at * head->C, rows);
        p.targets = targets + at;
        team_run(team, row_task, &p, rows);
        for (i = 0; i < rows; i++)
            sum += p.losses[i];
        if (dh)
            gemm_weight(team, GEMM_NN, rows, head->w, 0, head->V, (struct matrix){logits, head->V},
                        0, dh + (size_t)at * head->C, head->C);
    }
    return sum;
}

void loss_of_rows(struct team *team, const struct head *head, double *losses, const float *h,
                  const int32_t *targets, int n, float *logits)
{
    struct pass p = {.head = head, .logits = logits};
    int at, chunk = head_rows(head);

    for (at = 0; at < n; at += chunk) {
        int rows = n - at < chunk ? n - at : chunk;
        multiply(team, head, logits, h + (size_t)at * head->C, rows);
        p.targets = targets + at;
        team_run(team, row_task, &p, rows);
        memcpy(losses + at, p.losses, (size_t)rows * sizeof(*losses));
    }
}

struct logits {
    const struct head *head;
    float *at;
};

static void scale_task(void *arg, int i, int thread)
{
    const struct logits *l = arg;

    (void)thread;
    scale_row(l->head, l->at + (size_t)i * (size_t)l->head->V);
}

void head_forward(struct team *team, const struct head *head, float *logits, const float *h, int n)
{
    struct logits l = {head, logits};

    multiply(team, head, logits, h, n);
    team_run(team, scale_task, &l, n);
}
