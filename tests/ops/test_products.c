/* tests/ops/test_products.c - operations made of matrix products: gemm, attention, loss, adapted
 * maps. */
#include "tests/ops/check.h"
#include "worker/ops/adapted.h"
#include "worker/ops/attention.h"
#include "worker/ops/gemm.h"
#include "worker/ops/loss.h"
#include <stdbool.h>

static double element(enum gemm_form form, const float *A, const float *B, int M, int N, int K,
                      int m, int n)
{
    double sum = 0;
    int k;

    for (k = 0; k < K; k++) {
        float a = form == GEMM_TN ? A[k * M + m] : A[m * K + k];
        float b = form == GEMM_NT ? B[n * K + k] : B[k * N + n];
        sum += (double)a * (double)b;
    }
    return sum;
}

static void check_product(enum gemm_form form, int M, int N, int K, float beta)
{
    float *A = random_floats((size_t)M * (size_t)K, 1),
          *B = random_floats((size_t)N * (size_t)K, 2);
    float *C = random_floats((size_t)M * (size_t)N, 3), *first = NULL;
    float *before = random_floats((size_t)M * (size_t)N, 3);
    struct matrix a = {A, form == GEMM_TN ? M : K}, b = {B, form == GEMM_NT ? K : N};
    size_t bytes = (size_t)M * (size_t)N * sizeof(float);
    int threads, m, n;

    for (threads = 1; threads <= 3; threads++) {
        struct team *team = new_team(threads);
        memcpy(C, before, bytes);
        gemm(team, form, M, N, K, 0.5f, a, b, beta, C, N);
        team_close(team);
        if (first)
            assert_memory_equal(C, first, bytes);
        else
            first = memcpy(malloc(bytes), C, bytes);
    }
    for (m = 0; m < M; m += 7)
        for (n = 0; n < N; n += 5)
            assert_close("C", (size_t)(m * N + n), (double)C[m * N + n],
                         0.5 * element(form, A, B, M, N, K, m, n) +
                             (double)beta * (double)before[m * N + n]);
    free(A), free(B), free(C), free(first), free(before);
}

static void products_are_right_and_equal_for_every_thread_count(void **state)
{
    static const int shapes[][3] = {{1, 1, 1},     {3, 5, 7},    {300, 801, 65}, {129, 40, 33},
                                    {17, 1000, 9}, {2, 300, 70}, {40, 31, 1100}, {700, 16, 530}};
    size_t i;
    int form;

    (void)state;
    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (form = GEMM_NT; form <= GEMM_TN; form++)
            for (int beta = 0; beta < 2; beta++)
                check_product((enum gemm_form)form, shapes[i][0], shapes[i][1], shapes[i][2],
                              (float)beta);
}

/* A part of a wider matrix, and fewer rows: the same bits of each row. */
static void rows_of_a_product_do_not_depend_on_its_other_rows(void **state)
{
    enum { M = 90, N = 50, K = 600, LD = 640 };
    float *A = random_floats((size_t)M * LD, 1), *B = random_floats((size_t)N * LD, 2);
    float all[M][N + 3], few[M][N + 3];
    struct team *team = new_team(2);

    (void)state;
    memset(all, 0, sizeof(all));
    gemm(team, GEMM_NT, M, N, K, 1, (struct matrix){A, LD}, (struct matrix){B, LD}, 0, all[0],
         N + 3);
    for (int first = 0, n = 4; first + n <= M; first += n, n++) {
        memset(few, 0, sizeof(few));
        gemm(team, GEMM_NT, n, N, K, 1, (struct matrix){A + first * LD, LD}, (struct matrix){B, LD},
             0, few[0], N + 3);
        assert_memory_equal(few, all[first], (size_t)n * sizeof(all[0]));
    }
    team_close(team);
    free(A), free(B);
}

struct attention_context {
    struct attention a;
    struct segments segments;
    const float *weights; /* of o */
};

static double attend_one(const struct attention_context *c, const double *qkv, int first, int t,
                         int h)
{
    const struct attention *a = &c->a;
    int ld = (a->H + 2 * a->G) * a->D, g = h / (a->H / a->G), s, d, D = a->D;
    const double *q = qkv + t * ld + h * D;
    double total = 0, sum = 0;

    for (s = a->window && t - first >= a->window ? t - a->window + 1 : first; s <= t; s++) {
        const double *k = qkv + s * ld + (a->H + g) * D, *v = k + a->G * D;
        double score = 0, value = 0;
        for (d = 0; d < D; d++) {
            score += q[d] * k[d];
            value += v[d] * (double)c->weights[(t * a->H + h) * D + d];
        }
        score *= (double)a->scale;
        score = exp(a->cap > 0 ? (double)a->cap * tanh(score / (double)a->cap) : score);
        total += score;
        sum += score * value;
    }
    return sum / total;
}

static double attention_reference(const void *arg, const double *qkv)
{
    const struct attention_context *c = arg;
    double sum = 0;
    int i, t, h;

    for (i = 0; i < c->segments.n; i++)
        for (t = c->segments.starts[i]; t < c->segments.starts[i + 1]; t++)
            for (h = 0; h < c->a.H; h++)
                sum += attend_one(c, qkv, c->segments.starts[i], t, h);
    return sum;
}

/* Attention's input as one array of all rows, and with the queries of some rows in an array of
 * their own. */
enum { A_ROWS = 1 + 6 + 5 + 150 };

static const int32_t a_starts[] = {0, 1, 7, 12, A_ROWS};

struct queries {
    int n;
    int32_t at[A_ROWS], positions[A_ROWS], starts[5];
};

/* Every row, or where some: none of the third segment, and no neighbours in the last. */
static void choose_queries(bool some, struct queries *q)
{
    q->n = 0;
    for (int i = 0; i < 4; i++) {
        q->starts[i] = q->n;
        for (int t = a_starts[i]; t < a_starts[i + 1]; t++) {
            if (some && (i == 2 || (i == 3 && t % 3)))
                continue;
            q->at[q->n] = t;
            q->positions[q->n++] = t - a_starts[i];
        }
    }
    q->starts[4] = q->n;
}

/* Rows of `columns` numbers: out (n, columns) = those of in (A_ROWS, ld), or back with the others
 * 0. */
static void gather(const struct queries *q, float *out, const float *in, int ld, int columns)
{
    for (int i = 0; i < q->n; i++)
        memcpy(out + i * columns, in + q->at[i] * ld, (size_t)columns * sizeof(float));
}

static void scatter(const struct queries *q, float *out, int ld, const float *in, int columns)
{
    for (int t = 0; t < A_ROWS; t++)
        memset(out + t * ld, 0, (size_t)columns * sizeof(float));
    for (int i = 0; i < q->n; i++)
        memcpy(out + q->at[i] * ld, in + i * columns, (size_t)columns * sizeof(float));
}

/* The last segment is longer than a block of queries. */
static void check_attention(int H, int G, int D, float scale, float cap, int window, bool some)
{
    int Q = H * D, LD = Q + 2 * G * D;
    struct team *team = new_team(2);
    float *qkv = random_floats(A_ROWS * LD, 1), *d_o = random_floats(A_ROWS * Q, 2);
    float *o = random_floats(A_ROWS * Q, 0), *lse = random_floats(A_ROWS * H, 0);
    float *q = random_floats(A_ROWS * Q, 0), *dq = random_floats(A_ROWS * Q, 4);
    float *dqkv = random_floats(A_ROWS * LD, 3); /* what was there before must not matter */
    struct queries asked;
    struct attention_context c = {{H, G, D, scale, cap, window}, {4, a_starts}, d_o};
    struct attention_rows rows = {c.segments, {4, asked.starts}, asked.positions};
    struct attention_arrays in = {qkv, qkv + Q, LD, LD};
    struct attention_arrays d = {dqkv, dqkv + Q, LD, LD};
    long stride = attention_scratch(&c.a, 150);
    float *scratch = malloc(2 * (size_t)stride * sizeof(float)), *some_d_o = d_o;
    double *x = to_double(qkv, A_ROWS * LD), sum = 0;
    int i;

    choose_queries(some, &asked);
    if (some) {
        some_d_o = random_floats(A_ROWS * Q, 2);
        gather(&asked, some_d_o, d_o, Q, Q);
        scatter(&asked, d_o, Q, some_d_o, Q);
        gather(&asked, q, qkv, LD, Q);
        in = (struct attention_arrays){q, qkv + Q, Q, LD};
        d = (struct attention_arrays){dq, dqkv + Q, Q, LD};
    }
    attention_forward(team, &c.a, o, lse, in, rows, scratch, stride);
    for (i = 0; i < asked.n * Q; i++)
        sum += (double)some_d_o[i] * (double)o[i];
    assert_close("sum", 0, sum, attention_reference(&c, x));
    attention_backward(team, &c.a, d, some_d_o, in, o, lse, rows, scratch, stride, NULL);
    if (some)
        scatter(&asked, dqkv, LD, dq, Q);
    check_gradient("dqkv", attention_reference, &c, qkv, dqkv, A_ROWS * LD, 300);
    team_close(team);
    if (some)
        free(some_d_o);
    free(qkv), free(d_o), free(o), free(lse), free(dqkv), free(scratch), free(x), free(q), free(dq);
}

static void attention_agrees_with_central_differences(void **state)
{
    (void)state;
    for (int some = 0; some < 2; some++) {
        check_attention(6, 2, 5, 0.447f, 0, 0, some);
        check_attention(6, 2, 5, 0.447f, 0, 4, some);   /* shorter than most segments */
        check_attention(6, 2, 5, 0.447f, 0, 140, some); /* longer than a block */
        check_attention(6, 2, 5, 1.5f, 0.8f, 0, some);
        check_attention(6, 2, 5, 1.5f, 0.8f, 7, some);
        check_attention(3, 3, 5, 0.447f, 0, 0, some); /* heads that share no keys */
        check_attention(4, 2, 40, 0.447f, 0, 9, some);
        check_attention(5, 1, 5, 0.447f, 0, 0,
                        some); /* more heads than a block has: three and two */
        check_attention(13, 1, 3, 1.5f, 0.8f, 9, some);
    }
}

/* o, lse and the gradients of three segments, two of which continue the first one. */
static void attend_with(int threads, float *o, float *lse, float *dqkv)
{
    enum { ROWS = 200, H = 7, G = 1, D = 40, LD = (H + 2 * G) * D };
    static const int32_t starts[] = {0, 150, 180, ROWS}, parents[] = {-1, 0, 0};
    int32_t positions[ROWS];
    struct team *team = new_team(threads);
    struct attention a = {H, G, D, 0.2f, 0, 0};
    struct segments segments = {3, starts, parents};
    struct attention_rows rows = {segments, segments, positions};
    float *qkv = random_floats(ROWS * LD, 1), *d_o = random_floats(ROWS * H * D, 2);
    long stride = attention_scratch(&a, 180), inherited = segments_inherited(&segments);
    float *scratch = malloc((size_t)(threads * stride) * sizeof(float));
    float *kept = malloc(attention_inherited(&a, inherited) * sizeof(float));
    struct attention_arrays in = {qkv, qkv + H * D, LD, LD}, d = {dqkv, dqkv + H * D, LD, LD};

    for (int i = 0; i < ROWS; i++)
        positions[i] = i < 180 ? i : i - 30;
    attention_forward(team, &a, o, lse, in, rows, scratch, stride);
    attention_backward(team, &a, d, d_o, in, o, lse, rows, scratch, stride, kept);
    team_close(team);
    free(qkv), free(d_o), free(scratch), free(kept);
}

static void attention_has_the_same_bits_with_any_number_of_threads(void **state)
{
    enum { O = 200 * 7 * 40, LSE = 200 * 7, DQKV = 200 * 9 * 40, ALL = O + LSE + DQKV };
    float *one = calloc(ALL, sizeof(float)), *some = calloc(ALL, sizeof(float));

    (void)state;
    attend_with(1, one, one + O, one + O + LSE);
    for (int threads = 2; threads <= 4; threads++) {
        attend_with(threads, some, some + O, some + O + LSE);
        assert_memory_equal(one, some, ALL * sizeof(float));
    }
    free(one), free(some);
}

static void check_cached(float cap, int window)
{
    enum { ROWS = 23, H = 4, G = 2, D = 6, LD = (H + 2 * G) * D };
    static const int32_t starts[] = {0, ROWS};
    int32_t positions[ROWS];
    struct team *team = new_team(2);
    struct attention a = {H, G, D, 0.4f, cap, window};
    float *qkv = random_floats(ROWS * LD, 1), *o = random_floats(ROWS * H * D, 0), last[H * D];
    float keys[ROWS * G * D], values[ROWS * G * D];
    const float *key_list[] = {keys}, *value_list[] = {values};
    long stride = attention_scratch(&a, ROWS);
    float *scratch = malloc(2 * (size_t)stride * sizeof(float));
    struct attention_rows rows = {{1, starts}, {1, starts}, positions};
    struct attention_arrays in = {qkv, qkv + H * D, LD, LD};
    int len = ROWS, t, i;

    for (t = 0; t < ROWS; t++) {
        positions[t] = t;
        memcpy(keys + t * G * D, qkv + t * LD + H * D, G * D * sizeof(float));
        memcpy(values + t * G * D, qkv + t * LD + (H + G) * D, G * D * sizeof(float));
    }
    attention_forward(team, &a, o, NULL, in, rows, scratch, stride);
    attention_cached(team, &a, last, qkv + (ROWS - 1) * LD, LD, 1, key_list, value_list, &len,
                     scratch, stride);
    for (i = 0; i < H * D; i++)
        assert_close("o", (size_t)i, (double)last[i], (double)o[(ROWS - 1) * H * D + i]);
    team_close(team);
    free(qkv), free(o), free(scratch);
}

static void cached_attention_gives_the_last_row_of_the_whole(void **state)
{
    (void)state;
    check_cached(0, 0);
    check_cached(0, 5);
    check_cached(0.7f, 23);
}

/* More rows than a chunk of logits holds. */
enum { ROWS = LOSS_CHUNK + 9, V = 101, C = 13 };

struct loss_context {
    const float *w;
    const int32_t *targets;
    double scale, cap;
};

static double loss_reference(const void *arg, const double *h)
{
    const struct loss_context *c = arg;
    double sum = 0;
    int i, v, j;

    for (i = 0; i < ROWS; i++) {
        double total = 0, target = 0;
        for (v = 0; v < V; v++) {
            double logit = 0;
            for (j = 0; j < C; j++)
                logit += h[i * C + j] * (double)c->w[v * C + j];
            logit *= c->scale;
            if (c->cap > 0)
                logit = c->cap * tanh(logit / c->cap);
            total += exp(logit);
            if (v == c->targets[i])
                target = logit;
        }
        sum += log(total) - target;
    }
    return sum;
}

static double weighted_loss(const void *arg, const double *h)
{
    return 0.125 * loss_reference(arg, h);
}

static void check_loss(float scale, float cap)
{
    struct team *team = new_team(2);
    float *w = random_floats(V * C, 1), *h = random_floats(ROWS * C, 2);
    float *dh = random_floats(ROWS * C, 0), *logits = malloc(2 * LOSS_CHUNK * V * sizeof(float));
    double *hd = to_double(h, ROWS * C), loss;
    int32_t targets[ROWS];
    struct loss_context c = {w, targets, (double)scale, (double)cap};
    struct weight weight = weight_of_floats(w, V, C);
    struct head head = {&weight, V, C, scale, cap};
    int i;

    assert_int_equal(head_scratch(&head), LOSS_CHUNK * V * (cap > 0 ? 2 : 1));
    for (i = 0; i < ROWS; i++)
        targets[i] = i * 31 % V;
    loss = loss_forward_backward(team, &head, dh, h, targets, ROWS, 0.125f, logits);
    assert_close("loss", 0, loss, loss_reference(&c, hd));
    check_gradient("dh", weighted_loss, &c, h, dh, ROWS * C, 400);
    assert_true(loss == loss_forward_backward(team, &head, NULL, h, targets, ROWS, 0, logits));
    team_close(team);
    free(w), free(h), free(dh), free(logits), free(hd);
}

static void logits_of_a_large_vocabulary_are_bounded(void **state)
{
    struct head head = {NULL, 49152, 576, 1, 0};

    (void)state;
    assert_int_equal(head_rows(&head), LOSS_CHUNK);
    head.V = 262144;
    assert_int_equal(head_rows(&head), 64);
    assert_int_equal(head_scratch(&head), LOSS_CHUNK_FLOATS);
    head.cap = 30;
    assert_int_equal(head_scratch(&head), 2 * LOSS_CHUNK_FLOATS);
    head.V = 1 << 22;
    assert_int_equal(head_rows(&head), LOSS_CHUNK_MIN);
}

static void loss_agrees_with_central_differences(void **state)
{
    (void)state;
    check_loss(1, 0);
    check_loss(0.5f, 0);
    check_loss(1, 1.5f);
    check_loss(2, 1.25f);
}

/* ---- two maps that share an input, with directions ---- */

enum { TOKENS = 21, M = 17, N0 = 11, N1 = 8, R = 3, K = 2, LDY = N0 + N1 + 2 };

static const int map_rows[2] = {N0, N1}, map_at[2] = {0, N0 + 2}, map_rank[2] = {R, R - 1};
static const float map_scale[2] = {1.5f, 0.25f};

struct map_values { /* everything the output depends on */
    float *x;       /* (TOKENS, M) */
    float *A[2], *B[2], *c[2], *U[2], *Vk[2];
    float *mask[2]; /* (TOKENS, M): factors of dropout, or NULL */
    float *dy;      /* (TOKENS, LDY) */
};

enum which { OF_X, OF_A, OF_B, OF_C };

struct adapted_context {
    const struct map_values *v;
    enum which which;
    int map;
};

#define PICK(kind, own, index)                                                                     \
    (c->which == (kind) && ((kind) == OF_X || c->map == i) ? at[index] : (double)(own)[index])

/* Row t, column n of map i's y, written out from the definition, with one of the arrays replaced by
 * `at`. */
static double adapted_y(const struct adapted_context *c, const double *at, int i, int t, int n)
{
    const struct map_values *v = c->v;
    double y = 0;
    int j, m, r = map_rank[i];

    for (j = 0; j < r; j++) {
        double u = 0;
        for (m = 0; m < M; m++)
            u += PICK(OF_X, v->x, t * M + m) * PICK(OF_A, v->A[i], j * M + m) *
                 (v->mask[i] ? (double)v->mask[i][t * M + m] : 1);
        y += (double)map_scale[i] * PICK(OF_B, v->B[i], n * r + j) * u;
    }
    for (j = 0; j < K; j++) {
        double u = 0;
        for (m = 0; m < M; m++)
            u += PICK(OF_X, v->x, t * M + m) * (double)v->Vk[i][m * K + j];
        y += (double)v->U[i][n * K + j] * PICK(OF_C, v->c[i], j) * u;
    }
    return y;
}
#undef PICK

/* sum(dy * y) */
static double adapted_reference(const void *arg, const double *at)
{
    const struct adapted_context *c = arg;
    double sum = 0;
    int t, i, n;

    for (i = 0; i < 2; i++)
        for (t = 0; t < TOKENS; t++)
            for (n = 0; n < map_rows[i]; n++)
                sum += adapted_y(c, at, i, t, n) * (double)c->v->dy[t * LDY + map_at[i] + n];
    return sum;
}

static struct map_values make_values(void)
{
    struct map_values v = {.x = random_floats(TOKENS * M, 1), .dy = random_floats(TOKENS * LDY, 2)};
    int i;

    for (i = 0; i < 2; i++) {
        uint32_t stream = 10 * (uint32_t)(i + 1);
        v.A[i] = random_floats(R * M, stream);
        v.B[i] = random_floats((size_t)R * (size_t)map_rows[i], stream + 1);
        v.c[i] = random_floats(K, stream + 2);
        v.U[i] = random_floats((size_t)K * (size_t)map_rows[i], stream + 3);
        v.Vk[i] = random_floats(K * M, stream + 4);
    }
    return v;
}

static void free_values(struct map_values *v)
{
    int i;

    for (i = 0; i < 2; i++)
        free(v->A[i]), free(v->B[i]), free(v->c[i]), free(v->U[i]), free(v->Vk[i]),
            free(v->mask[i]);
    free(v->x), free(v->dy);
}

static void open_group(struct adapted_group *g, const struct map_values *v)
{
    struct err err;
    int i;

    g->n = 2;
    for (i = 0; i < 2; i++)
        g->maps[i] = (struct adapted_map){.rows = map_rows[i],
                                          .r = map_rank[i],
                                          .scale = map_scale[i],
                                          .y_at = map_at[i],
                                          .module = (unsigned)i};
    assert_int_equal(group_open(g, M, K, &err), 0);
    for (i = 0; i < 2; i++) {
        group_load(g, i, v->A[i], v->B[i], v->c[i]);
        group_direct(g, i, v->U[i], v->Vk[i]);
    }
}

/* The factors that dropout multiplies x by, found by feeding it ones. */
static void find_masks(struct team *team, struct map_values *v, const struct dropout *drop)
{
    float ones[TOKENS * M];
    int i;

    for (i = 0; i < TOKENS * M; i++)
        ones[i] = 1;
    for (i = 0; i < 2; i++) {
        struct dropout d = *drop;
        d.module = (unsigned)i;
        v->mask[i] = random_floats(TOKENS * M, 0);
        dropout_forward(team, &d, v->mask[i], ones, TOKENS, M);
    }
}

/* The first `cut` columns of the output are wanted at every other row only, so that there is no
 * gradient to them at the others. 0: all are wanted. */
static int cut_output(struct map_values *v, int cut, float *y, float *some, int32_t *at,
                      struct adapted_part parts[2])
{
    int n = 0, t;

    parts[0] = (struct adapted_part){cut, LDY, TOKENS, NULL, y + cut, LDY};
    if (!cut)
        return 1;
    for (t = 0; t < TOKENS; t++) {
        if (t % 2)
            at[n++] = t;
        else
            memset(v->dy + t * LDY, 0, (size_t)cut * sizeof(float));
    }
    parts[1] = (struct adapted_part){0, cut, n, at, some, cut};
    return 2;
}

/* The terms by themselves, which in training follow on a product. */
static void add_terms(struct team *team, const struct gemm_term *terms, int n, int rows, float *C,
                      int ldc)
{
    for (int i = 0; i < n; i++)
        gemm(team, terms[i].form, rows, terms[i].columns, terms[i].K, 1, terms[i].A, terms[i].B, 1,
             C + terms[i].column, ldc);
}

static void forward(struct team *team, const struct adapted_group *g,
                    const struct adapted_part *parts, int n_parts, float *u, const float *x,
                    const struct dropout *drop, struct adapted_scratch scratch)
{
    struct gemm_term terms[GEMM_TERMS_MAX];

    group_down(team, g, u, x, TOKENS, drop, scratch);
    for (int i = 0; i < n_parts; i++) {
        int n = group_up(g, &parts[i], scratch, terms);
        add_terms(team, terms, n, parts[i].n, parts[i].y, parts[i].ldy);
    }
}

static void backward(struct team *team, const struct adapted_group *g,
                     const struct adapted_slice *grads, float *dx, const struct adapted_part *parts,
                     int n_parts, const float *u, const float *x, const struct dropout *drop,
                     struct adapted_scratch scratch)
{
    struct gemm_term terms[GEMM_TERMS_MAX];

    group_up_backward(team, g, grads, parts, n_parts, u, TOKENS, scratch);
    if (!drop)
        add_terms(team, terms, group_down_backward(g, scratch, terms), TOKENS, dx, g->columns);
    group_input_backward(team, g, grads, dx, x, TOKENS, drop, scratch);
}

static void check_adapted(const struct dropout *drop, int cut)
{
    struct team *team = new_team(2);
    struct map_values v = make_values();
    struct adapted_group g = {0};
    float *y = calloc(TOKENS * LDY, sizeof(float)), *dx = calloc(TOKENS * M, sizeof(float));
    float *u = random_floats(TOKENS * 2 * (R + K), 0), *s = random_floats(TOKENS * 2 * (R + K), 0);
    float dA[2][R * M], dB[2][R * N0], dc[2][K], *dropped = random_floats(TOKENS * M, 0);
    struct adapted_slice grads[2] = {{dA[0], dB[0], dc[0]}, {dA[1], dB[1], dc[1]}};
    float *some = calloc(TOKENS * LDY, sizeof(float)), some_u[2 * TOKENS * 2 * (R + K)];
    struct adapted_scratch scratch = {s, some_u, dropped};
    double sum = 0, *x = to_double(v.x, TOKENS * M);
    struct adapted_part parts[2];
    int32_t at[TOKENS];
    int i, j, n_parts = cut_output(&v, cut, y, some, at, parts);

    if (drop)
        find_masks(team, &v, drop);
    open_group(&g, &v);
    forward(team, &g, parts, n_parts, u, v.x, drop, scratch);
    for (i = 0; n_parts > 1 && i < parts[1].n; i++)
        memcpy(y + at[i] * LDY, some + i * cut, (size_t)cut * sizeof(float));
    for (i = 0; i < TOKENS * LDY; i++)
        sum += (double)y[i] * (double)v.dy[i];
    assert_close("sum", 0, sum, adapted_reference(&(struct adapted_context){&v, OF_X, 0}, x));
    parts[0].y = v.dy + cut;
    for (i = 0; n_parts > 1 && i < parts[1].n; i++)
        for (j = 0; j < cut; j++)
            some[i * cut + j] = v.dy[at[i] * LDY + j];
    backward(team, &g, grads, dx, parts, n_parts, u, v.x, drop, scratch);
    check_gradient("dx", adapted_reference, &(struct adapted_context){&v, OF_X, 0}, v.x, dx,
                   TOKENS * M, 60);
    for (i = 0; i < 2; i++) {
        size_t r = (size_t)map_rank[i];
        check_gradient("dA", adapted_reference, &(struct adapted_context){&v, OF_A, i}, v.A[i],
                       dA[i], r * M, (int)r * M);
        check_gradient("dB", adapted_reference, &(struct adapted_context){&v, OF_B, i}, v.B[i],
                       dB[i], r * (size_t)map_rows[i], 100);
        check_gradient("dc", adapted_reference, &(struct adapted_context){&v, OF_C, i}, v.c[i],
                       dc[i], K, K);
    }
    group_close(&g);
    free_values(&v);
    team_close(team);
    free(y), free(dx), free(u), free(s), free(dropped), free(x), free(some);
}

/* In one piece; cut between the maps; through the first; through the second, so that the first has
 * no rows that are wanted everywhere. */
static void check_adapted_parts(const struct dropout *drop)
{
    check_adapted(drop, 0);
    check_adapted(drop, map_at[1]);
    check_adapted(drop, map_at[0] + 3);
    check_adapted(drop, map_at[1] + 2);
}

static void adapted_maps_agree_with_central_differences(void **state)
{
    (void)state;
    check_adapted_parts(NULL);
}

static void adapted_maps_with_dropout_agree_with_central_differences(void **state)
{
    int32_t rows[TOKENS], positions[TOKENS];
    struct dropout drop = {0.3f, rng_key(1, RNG_DROPOUT), 2, 0, rows, positions};
    int t;

    (void)state;
    for (t = 0; t < TOKENS; t++) {
        rows[t] = 4;
        positions[t] = t;
    }
    check_adapted_parts(&drop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right_and_equal_for_every_thread_count),
        cmocka_unit_test(rows_of_a_product_do_not_depend_on_its_other_rows),
        cmocka_unit_test(attention_agrees_with_central_differences),
        cmocka_unit_test(attention_has_the_same_bits_with_any_number_of_threads),
        cmocka_unit_test(cached_attention_gives_the_last_row_of_the_whole),
        cmocka_unit_test(logits_of_a_large_vocabulary_are_bounded),
        cmocka_unit_test(loss_agrees_with_central_differences),
        cmocka_unit_test(adapted_maps_agree_with_central_differences),
        cmocka_unit_test(adapted_maps_with_dropout_agree_with_central_differences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
