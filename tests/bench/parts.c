/* tests/bench/parts.c - what the parts of a layer cost beside its frozen products: from these
 * figures are the constants of core/job/cost_work.c.
 *
 * usage: bench_parts [HIDDEN INTERMEDIATE HEADS KEY-HEADS RANK TOKENS LENGTH]
 *
 * Prints the rate of frozen products in GFLOP/s, and of each part its rate as a share of that, or
 * the operations of such a product that fit in the time of one number. Of both the fastest of
 * some rounds counts, which take turns: other programs on the machine can only slow them down.
 */
#include "core/clock.h"
#include "core/cpus.h"
#include "core/tensor/tensor_type.h"
#include "worker/ops/adapted.h"
#include "worker/ops/attention.h"
#include "worker/ops/bf16_kernel.h"
#include "worker/ops/gated.h"
#include "worker/ops/gemm.h"
#include "worker/ops/loss.h"
#include "worker/ops/rmsnorm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, VOCAB = 32000, HEAD_ROWS = 64 };

struct bench {
    struct team *team;
    int C, F, H, G, D, r, T, L;
    float *x, *y, *w, *out, *scratch;
    int32_t *starts, *positions, *targets;
};

typedef void part_fn(struct bench *b);

static float *numbers(size_t n)
{
    float *x = malloc(n * sizeof(*x));

    for (size_t i = 0; x && i < n; i++)
        x[i] = (float)(i * 2654435761u % 1000) / 1000 - 0.5f;
    return x;
}

static void product(struct bench *b)
{
    struct weight w = weight_of_floats(b->w, b->F, b->C);

    gemm_weight(b->team, GEMM_NT, b->T, &w, 0, b->F, (struct matrix){b->x, b->C}, 0, b->y, b->F);
    gemm_weight(b->team, GEMM_NN, b->T, &w, 0, b->F, (struct matrix){b->x, b->F}, 0, b->y, b->C);
}

static void rounded(struct bench *b)
{
    struct weight w = weight_of_floats(b->w, b->F, b->C);

    w.bf16 = true;
    gemm_weight(b->team, GEMM_NT, b->T, &w, 0, b->F, (struct matrix){b->x, b->C}, 0, b->y, b->F);
    gemm_weight(b->team, GEMM_NN, b->T, &w, 0, b->F, (struct matrix){b->x, b->F}, 0, b->y, b->C);
}

static void few_rows(struct bench *b)
{
    struct weight w = weight_of_floats(b->w, b->F, b->C);

    gemm_weight(b->team, GEMM_NT, 32, &w, 0, b->F, (struct matrix){b->x, b->C}, 0, b->y, b->F);
    gemm_weight(b->team, GEMM_NN, 32, &w, 0, b->F, (struct matrix){b->x, b->F}, 0, b->y, b->C);
}

static void of_type(struct bench *b, enum tensor_type type, int block, size_t row_bytes, int rows)
{
    struct weight w = {.rows = b->F, .columns = b->C, .block = block, .n = 1};

    w.pieces[0].type = type;
    w.pieces[0].row_bytes = row_bytes;
    w.pieces[0].at = (const uint8_t *)b->out;
    gemm_weight(b->team, GEMM_NT, rows, &w, 0, b->F, (struct matrix){b->x, b->C}, 0, b->y, b->F);
    gemm_weight(b->team, GEMM_NN, rows, &w, 0, b->F, (struct matrix){b->x, b->F}, 0, b->y, b->C);
}

static void few_bf16(struct bench *b)
{
    of_type(b, TENSOR_BF16, 32, 2 * (size_t)b->C, 32);
}

static void few_q4_1(struct bench *b)
{
    of_type(b, TENSOR_Q4_1, 32, (size_t)b->C / 32 * 20, 32);
}

static void few_q4_k(struct bench *b)
{
    of_type(b, TENSOR_Q4_K, 256, (size_t)b->C / 256 * 144, 32);
}

static void down(struct bench *b)
{
    gemm(b->team, GEMM_NT, b->T, b->r, b->C, 1, (struct matrix){b->x, b->C},
         (struct matrix){b->w, b->C}, 0, b->y, b->r);
}

static void up(struct bench *b)
{
    gemm(b->team, GEMM_NT, b->T, b->C, b->r, 1, (struct matrix){b->x, b->r},
         (struct matrix){b->w, b->r}, 1, b->out, b->C);
}

static void up_back(struct bench *b)
{
    gemm(b->team, GEMM_NN, b->T, b->r, b->C, 1, (struct matrix){b->x, b->C},
         (struct matrix){b->w, b->r}, 0, b->y, b->r);
}

static void dB(struct bench *b)
{
    gemm(b->team, GEMM_TN, b->C, b->r, b->T, 1, (struct matrix){b->x, b->C},
         (struct matrix){b->w, b->r}, 0, b->y, b->r);
}

static void dA(struct bench *b)
{
    gemm(b->team, GEMM_TN, b->r, b->C, b->T, 1, (struct matrix){b->w, b->r},
         (struct matrix){b->x, b->C}, 0, b->y, b->C);
}

static void dx(struct bench *b)
{
    gemm(b->team, GEMM_NN, b->T, b->C, b->r, 1, (struct matrix){b->x, b->r},
         (struct matrix){b->w, b->C}, 1, b->out, b->C);
}

static struct attention attention_of(const struct bench *b)
{
    return (struct attention){b->H, b->G, b->D, 0.1f, 0, 0};
}

static struct attention_rows rows_of(const struct bench *b)
{
    struct segments s = {b->T / b->L, b->starts, NULL};

    return (struct attention_rows){s, s, b->positions};
}

static void attention_there(struct bench *b)
{
    struct attention a = attention_of(b);
    int N = (b->H + 2 * b->G) * b->D;
    struct attention_arrays in = {b->x, b->x + b->H * b->D, N, N};

    attention_forward(b->team, &a, b->y, b->out, in, rows_of(b), b->scratch,
                      attention_scratch(&a, b->L));
}

static void attention_back(struct bench *b)
{
    struct attention a = attention_of(b);
    int N = (b->H + 2 * b->G) * b->D;
    struct attention_arrays in = {b->x, b->x + b->H * b->D, N, N};
    struct attention_arrays d = {b->w, b->w + b->H * b->D, N, N};

    attention_backward(b->team, &a, d, b->y, in, b->y, b->out, rows_of(b), b->scratch,
                       attention_scratch(&a, b->L), b->scratch);
}

static void gated_there(struct bench *b)
{
    struct gated gated = {ACTIVATION_SILU, b->F, b->x, b->y, NULL, NULL};

    gated_run(b->team, gated_forward, &gated, b->T);
}

static void gated_back(struct bench *b)
{
    struct gated gated = {ACTIVATION_SILU, b->F, b->x, NULL, b->y, b->out};

    gated_run(b->team, gated_backward, &gated, b->T);
}

static void norm_there(struct bench *b)
{
    struct rmsnorm n = {b->w, b->C, 1e-5f};

    rmsnorm_forward(b->team, &n, b->y, b->out, b->x, b->T);
}

static void norm_back(struct bench *b)
{
    struct rmsnorm n = {b->w, b->C, 1e-5f};

    rmsnorm_backward(b->team, &n, b->y, b->w, b->x, b->out, b->T);
}

static void copy(struct bench *b)
{
    memcpy(b->y, b->x, (size_t)b->T * (size_t)b->C * sizeof(float));
}

static void head(struct bench *b)
{
    struct weight w = weight_of_floats(b->w, VOCAB, b->C);
    struct head h = {&w, VOCAB, b->C, 1, 0};

    loss_forward_backward(b->team, &h, b->y, b->x, b->targets, HEAD_ROWS, 1, b->out);
}

static double seconds_of(struct bench *b, part_fn *f)
{
    double start = clock_s(), s;
    int n = 0;

    do {
        f(b);
        n++;
        s = clock_s() - start;
    } while (s < 0.03);
    return s / n;
}

static void print(struct bench *b, const char *name, part_fn *f, double operations, double count)
{
    double part = 0, whole = 0, rate;

    f(b);
    for (int i = 0; i < ROUNDS; i++) {
        double of_product = seconds_of(b, product), of_part = seconds_of(b, f);
        whole = i == 0 || of_product < whole ? of_product : whole;
        part = i == 0 || of_part < part ? of_part : part;
    }
    rate = 4.0 * b->T * b->F * b->C / whole;
    if (operations > 0)
        printf("%-18s %5.2f of the product's rate\n", name, operations / part / rate);
    else
        printf("%-18s %5.1f operations a number\n", name, part * rate / count);
}

static void run(struct bench *b)
{
    double CT = (double)b->C * b->T, thin = 2.0 * CT * b->r, D = b->D;
    double pairs = (double)b->T * (b->L + 1) / 2 * b->H, best = 0;

    for (int i = 0; i < ROUNDS; i++) {
        double rate = 4.0 * b->T * b->F * b->C / seconds_of(b, product) / 1e9;
        best = rate > best ? rate : best;
    }
    printf("product %.1f GFLOP/s\n", best);
    if (bf16_is_possible())
        print(b, "product in bf16", rounded, 2 * 2 * CT * b->F, 1);
    print(b, "32 rows", few_rows, 4.0 * 32 * b->F * b->C, 1);
    print(b, "32 rows, BF16", few_bf16, 4.0 * 32 * b->F * b->C, 1);
    print(b, "32 rows, Q4_1", few_q4_1, 4.0 * 32 * b->F * b->C, 1);
    if (b->C % 256 == 0)
        print(b, "32 rows, Q4_K", few_q4_k, 4.0 * 32 * b->F * b->C, 1);
    print(b, "x A^T", down, thin, 1);
    print(b, "u B^T", up, thin, 1);
    print(b, "dy B", up_back, thin, 1);
    print(b, "dB", dB, thin, 1);
    print(b, "dA", dA, thin, 1);
    print(b, "du A", dx, thin, 1);
    print(b, "attention", attention_there, 4 * D * pairs, 1);
    print(b, "attention back", attention_back, 10 * D * pairs, 1);
    print(b, "gated", gated_there, 0, (double)b->T * b->F);
    print(b, "gated back", gated_back, 0, (double)b->T * b->F);
    print(b, "norm", norm_there, 0, CT);
    print(b, "norm back", norm_back, 0, CT);
    print(b, "copy", copy, 0, CT);
    print(b, "head", head, 4.0 * HEAD_ROWS * VOCAB * b->C, 1);
}

int main(int argc, char **argv)
{
    int v[7] = {576, 1536, 9, 3, 16, 512, 128}, i;
    struct bench b = {0};
    int all = cpus_allowed();
    size_t n;
    struct attention a;
    struct err err;

    for (i = 0; i < 7 && i + 1 < argc; i++)
        v[i] = atoi(argv[i + 1]);
    b = (struct bench){.C = v[0],
                       .F = v[1],
                       .H = v[2],
                       .G = v[3],
                       .D = v[0] / v[2],
                       .r = v[4],
                       .T = v[5],
                       .L = v[6]};
    n = (size_t)b.T * (size_t)(3 * b.F);
    n = n > (size_t)VOCAB * (size_t)b.C ? n : (size_t)VOCAB * (size_t)b.C;
    b.x = numbers(n), b.y = numbers(n), b.w = numbers(n);
    b.out = calloc(n + (size_t)HEAD_ROWS * VOCAB, sizeof(float));
    a = attention_of(&b);
    b.scratch = calloc((size_t)attention_scratch(&a, b.L) * (size_t)all + 1, sizeof(float));
    b.starts = calloc((size_t)b.T + 1, sizeof(*b.starts));
    b.positions = calloc((size_t)b.T + 1, sizeof(*b.positions));
    b.targets = calloc(HEAD_ROWS, sizeof(*b.targets));
    if (team_open(all, &b.team, &err) < 0)
        return 1;
    for (i = 0; i <= b.T / b.L; i++)
        b.starts[i] = i * b.L;
    for (i = 0; i < b.T; i++)
        b.positions[i] = i % b.L;
    run(&b);
    team_close(b.team);
    return 0;
}
