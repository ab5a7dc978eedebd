/* tests/bench/checkpoint.c - what a checkpoint after every step costs: steps with and without one,
 * in turn, in one run.
 *
 * usage: bench_checkpoint FOLDER [SECONDS_A_STEP [PAIRS]]
 *
 * The state is that of SmolLM2-135M with the design's peer setting (r 16 on q, k, v, up, down, 8
 * directions known). A step is matrix products on all cores for about as long as a real one takes;
 * the checkpoint is encoded by the step's thread and written behind the next step, as in training.
 */
#include "core/cpus.h"
#include "daemon/coordinator/checkpoint.h"
#include "worker/ops/gemm.h"
#include "worker/team.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct model_config smollm2 = {.n_layers = 30,
                                            .hidden = 576,
                                            .n_heads = 9,
                                            .n_kv_heads = 3,
                                            .head_dim = 64,
                                            .intermediate = 1536,
                                            .vocab = 49152};
static const struct state_identity identity = {"bench", "bench", 1, "bench"};

enum { SIDE = 1024 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void work(struct team *team, float *m, int products)
{
    struct matrix a = {m, SIDE}, b = {m + SIDE * SIDE, SIDE};

    while (products-- > 0)
        gemm(team, GEMM_NT, SIDE, SIDE, SIDE, 1, a, b, 0, m + 2 * SIDE * SIDE, SIDE);
}

static int save(struct checkpoint *c, struct state *s, int step, struct err *err)
{
    static struct buf bytes; /* its memory is used again, as in training */
    int rc = checkpoint_wait(c, err);

    s->step = step;
    if (rc == 0)
        rc = state_encode(s, &identity, &bytes, err);
    if (rc == 0)
        rc = checkpoint_submit(c, step, 0, &bytes, -1, err);
    return rc;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof(*x), ascending);
    return x[n / 2];
}

/* `pairs` times a step with a checkpoint and one without. An unfinished write is waited for
 * outside the clock only at the end of a pair, so that it disturbs the step that follows it, as it
 * does in training. */
static int measure(struct checkpoint *c, struct state *s, struct team *team, float *m,
                   double seconds, int pairs, struct err *err)
{
    double *with = calloc((size_t)pairs, sizeof(*with)),
           *without = calloc((size_t)pairs, sizeof(*with));
    double *ratio = calloc((size_t)pairs, sizeof(*ratio)), start = now();
    int products, i, rc = 0;

    work(team, m, 20);
    products = (int)(20 * seconds / (now() - start)) + 1;
    for (i = 0; i < pairs && rc == 0; i++) {
        start = now();
        work(team, m, products);
        without[i] = now() - start;
        start = now();
        rc = save(c, s, i + 1, err);
        work(team, m, products);
        with[i] = now() - start;
        ratio[i] = with[i] / without[i];
        if (rc == 0)
            rc = checkpoint_wait(c, err);
    }
    if (rc == 0)
        printf("%d pairs of steps: %.3f s without, %.3f s with a checkpoint (medians); ratio of "
               "pairs %.4f (median), %.4f to %.4f\n",
               pairs, median(without, pairs), median(with, pairs), median(ratio, pairs), ratio[0],
               ratio[pairs - 1]);
    free(with);
    free(without);
    free(ratio);
    return rc;
}

static void __attribute__((noreturn)) fail(const struct err *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(EXIT_FAILURE);
}

enum { DIRECTIONS = 8 };

int main(int argc, char **argv)
{
    char *targets[] = {"q_proj", "k_proj", "v_proj", "up_proj", "down_proj", NULL};
    const struct job job = {.lora = {.rank = 16, .alpha = 32, .target_modules = targets},
                            .dash = {.directions = DIRECTIONS}};
    double seconds = argc > 2 ? atof(argv[2]) : 5;
    float *m = calloc(3 * SIDE * SIDE, sizeof(*m));
    struct checkpoint *c = NULL;
    struct trainable layout;
    struct state s;
    struct team *team;
    struct err err;

    if (argc < 2 || !m) {
        err_set(&err, ERR_INVALID, "usage: bench_checkpoint FOLDER [SECONDS_A_STEP [PAIRS]]");
        fail(&err);
    }
    if (team_open(cpus_allowed(), &team, &err) < 0 ||
        trainable_of_job(&job, &smollm2, &layout, &err) < 0 || state_open(&layout, &s, &err) < 0)
        fail(&err);
    s.identified = true;
    if (checkpoint_open(argv[1], 0, &c, &err) < 0 ||
        measure(c, &s, team, m, seconds, argc > 3 ? atoi(argv[3]) : 9, &err) < 0)
        fail(&err);
    checkpoint_close(c);
    state_close(&s);
    trainable_free(&layout);
    team_close(team);
    free(m);
    return 0;
}
