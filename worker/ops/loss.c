/* worker/ops/loss.c - see loss.h. Row losses are summed in double in order of rows. */
#include "worker/ops/loss.h"
#include "worker/ops/exp.h"
#include "worker/ops/gemm.h"
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

struct pass {
    float *logits;
    const int32_t *targets;
    int V;
    float weight;
    bool backward;
    double losses[LOSS_CHUNK];
};

static void row_task(void *arg, int i, int thread)
{
    struct pass *p = arg;
    float *row = p->logits + (size_t)i * p->V, most = row[0], target = row[p->targets[i]], inv;
    double sum = 0;
    int v;

    (void)thread;
#pragma omp simd reduction(max : most)
    for (v = 0; v < p->V; v++)
        most = row[v] > most ? row[v] : most;
#pragma omp simd reduction(+ : sum)
    for (v = 0; v < p->V; v++) {
        row[v] = exp_f32(row[v] - most);
        sum += (double)row[v];
    }
    p->losses[i] = log(sum) + (double)most - (double)target;
    if (!p->backward)
        return;
    inv = (float)(p->weight / sum);
    for (v = 0; v < p->V; v++)
        row[v] *= inv;
    row[p->targets[i]] -= p->weight;
}

double loss_forward_backward(struct team *team, const struct head *head, float *dh, const float *h,
                             const int32_t *targets, int n, float weight, float *logits)
{
    struct pass p = {.logits = logits, .V = head->V, .weight = weight, .backward = dh != NULL};
    struct matrix w = {head->w, head->C};
    double sum = 0;
    int at, i;

    for (at = 0; at < n; at += LOSS_CHUNK) {
        int rows = n - at < LOSS_CHUNK ? n - at : LOSS_CHUNK;
        head_forward(team, head, logits, h + (size_t)at * head->C, rows);
        p.targets = targets + at;
        team_run(team, row_task, &p, rows);
        for (i = 0; i < rows; i++)
            sum += p.losses[i];
        if (dh)
            gemm(team, GEMM_NN, rows, head->C, head->V, 1, (struct matrix){logits, head->V}, w, 0,
                 dh + (size_t)at * head->C, head->C);
    }
    return sum;
}

void head_forward(struct team *team, const struct head *head, float *logits, const float *h, int n)
{
    gemm(team, GEMM_NT, n, head->V, head->C, 1, (struct matrix){h, head->C},
         (struct matrix){head->w, head->C}, 0, logits, head->V);
}
