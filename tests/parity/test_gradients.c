/* tests/parity/test_gradients.c - the gradients of a golden job's first step, by number, against
 * those of an independent implementation in double precision; through one stage and through two,
 * from the model's folder and from its GGUF if there is one.
 *
 * usage: test_gradients FOLDER...    of golden jobs
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "core/model/adapter.h"
#include "core/job/job_read.h"
#include "core/job/prefix_tree.h"
#include "core/job/worker_memory.h"
#include "core/text/dataset.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/tensor/tensorfile.h"
#include "worker/ops/attention.h"
#include "worker/ops/bf16_kernel.h"
#include "worker/spectrum.h"
#include "worker/stage.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Differences by norm that f32 leaves of double. */
static const double limit = 2e-5, loss_limit = 1e-6;

struct golden {
    const char *folder, *model; /* model: within the folder */
};

struct world {
    const struct golden *golden;
    struct job *job;
    struct model *model;
    struct trainable layout;
    struct dataset data;
    struct team *team;
    float *params, *gradient;
    int32_t *ids, *targets, *starts, *rows;
    struct batch batch;
    bool bf16; /* of stages opened from now on */
    int again; /* layers of theirs that are made again */
};

static struct err err;

/* The whole first step as one micro-batch. */
static void pack(struct world *w)
{
    int i, j, n = w->job->training.batch_size, T = 0;

    w->ids = malloc(4096 * sizeof(int32_t));
    w->targets = malloc(4096 * sizeof(int32_t));
    w->starts = calloc((size_t)n + 1, sizeof(int32_t));
    w->rows = calloc((size_t)n, sizeof(int32_t));
    for (i = 0; i < n; i++) {
        const struct example *e = &w->data.examples[i];
        for (j = 0; j + 1 < e->n; j++, T++) {
            w->ids[T] = e->ids[j];
            w->targets[T] = e->labels[j + 1];
        }
        w->starts[i + 1] = T;
    }
    assert_int_equal(batch_make(w->ids, w->targets, T, (struct segments){n, w->starts, NULL},
                                w->rows, 1, &w->batch, &err),
                     0);
}

static void load_params(struct world *w)
{
    char *init = file_join(w->golden->folder, "init");
    struct adapter *a;
    int i;

    w->params = calloc(w->layout.count, sizeof(float));
    w->gradient = calloc(w->layout.count, sizeof(float));
    assert_int_equal(adapter_read(init, model_config(w->model), &a, &err), 0);
    free(init);
    assert_int_equal(a->n, w->layout.n);
    for (i = 0; i < a->n; i++) {
        const struct trainable_map *map = &w->layout.maps[i];
        memcpy(w->params + map->a, a->maps[i].A, (map->b - map->a) * sizeof(float));
        memcpy(w->params + map->b, a->maps[i].B, (map->c - map->b) * sizeof(float));
    }
    adapter_free(a);
}

static void open_world(struct world *w, const struct golden *golden)
{
    char *job = file_join(golden->folder, "job.yaml"),
         *model = file_join(golden->folder, golden->model);
    struct problems problems = {0};
    char *text;
    size_t len;

    *w = (struct world){.golden = golden};
    assert_int_equal(file_read(job, FILE_SMALL_MAX, &text, &len, &err), 0);
    assert_int_equal(job_parse(text, "job.yaml", golden->folder, NULL, 0, &w->job, &problems, &err),
                     0);
    free(text);
    if (model_open(model, &w->model, &problems, &err) < 0)
        fail_msg("%s", problems_text(&problems));
    free(job);
    free(model);
    assert_int_equal(trainable_of_job(w->job, model_config(w->model), &w->layout, &err), 0);
    assert_int_equal(dataset_load(&(struct dataset_input){.names = &w->job->data.train,
                                                          .data = &w->job->data,
                                                          .tokenizer = NULL,
                                                          .vocab = model_config(w->model)->vocab},
                                  &w->data, &problems, &err),
                     0);
    assert_int_equal(team_open(2, &w->team, &err), 0);
    load_params(w);
    pack(w);
}

static void close_world(struct world *w)
{
    batch_free(&w->batch);
    free(w->ids), free(w->targets), free(w->starts), free(w->rows);
    free(w->params), free(w->gradient);
    team_close(w->team);
    dataset_free(&w->data);
    trainable_free(&w->layout);
    model_close(w->model);
    job_free(w->job);
}

static struct stage *new_stage(struct world *w, int first, int last)
{
    struct stage *s;

    assert_int_equal(stage_open(w->job->lora.dropout, w->job->training.seed, w->model, &w->layout,
                                first, last, w->team, &s, &err),
                     0);
    if (w->bf16)
        stage_use_bf16(s);
    stage_make_again(s, w->again < last - first ? w->again : last - first);
    stage_load(s, w->params + s->begin);
    assert_int_equal(stage_fit(s, &w->batch, 1, &err), 0);
    return s;
}

/* Forward and backward of the step, cut into stages after layer `cut` (0: one stage). Returns the
 * mean loss. */
static double run_step(struct world *w, int cut)
{
    int layers = model_config(w->model)->n_layers;
    struct stage_pass pass = {1, true};
    struct stage_slot low = {0}, high = {0};
    struct stage *first = cut ? new_stage(w, 0, cut) : NULL, *last = new_stage(w, cut, layers);
    double loss;

    assert_int_equal(slot_fit(last, &high, &w->batch, &err), 0);
    if (first) {
        assert_int_equal(slot_fit(first, &low, &w->batch, &err), 0);
        stage_forward(first, &low, &w->batch, &pass, NULL);
    }
    stage_forward(last, &high, &w->batch, &pass, low.y);
    assert_int_equal(
        stage_loss(last, &high, &w->batch, 1.0f / (float)w->batch.trained.n, &loss, &err), 0);
    stage_backward(last, &high, &w->batch, &pass, high.y, w->gradient + last->begin);
    if (first)
        stage_backward(first, &low, &w->batch, &pass, high.y, w->gradient + first->begin);
    slot_free(&low);
    slot_free(&high);
    stage_close(first);
    stage_close(last);
    return loss / w->batch.trained.n;
}

/* By norm; where the job starts at B = 0 the gradient of A is exactly 0. */
static bool close_by_norm(const float *got, const struct tensor *want)
{
    size_t n = (size_t)tensor_elements(want), i;
    float *x = malloc(n * sizeof(*x));
    double square = 0, difference = 0;

    assert_int_equal(tensor_read_f32(want, 0, want->shape[0], x, &err), 0);
    for (i = 0; i < n; i++) {
        square += (double)x[i] * (double)x[i];
        difference += ((double)got[i] - (double)x[i]) * ((double)got[i] - (double)x[i]);
    }
    free(x);
    return sqrt(difference) <= limit * sqrt(square);
}

static void compare_gradients(const struct world *w)
{
    char *path = file_join(w->golden->folder, "expected/grads_step1.safetensors");
    struct tensorfile *f;
    char name[160];
    int i;

    assert_int_equal(tensorfile_open(path, &f, &err), 0);
    free(path);
    assert_int_equal(tensorfile_count(f), 2 * w->layout.n);
    for (i = 0; i < w->layout.n; i++) {
        size_t len;
        module_full_name(w->layout.maps[i].layer, w->layout.maps[i].kind, name);
        len = strlen(name);
        strcpy(name + len, ".A");
        assert_true(close_by_norm(w->gradient + w->layout.maps[i].a, tensorfile_find(f, name)));
        strcpy(name + len, ".B");
        assert_true(close_by_norm(w->gradient + w->layout.maps[i].b, tensorfile_find(f, name)));
    }
    tensorfile_close(f);
}

static double expected_loss(const struct golden *golden)
{
    char *path = file_join(golden->folder, "expected/trace.json");
    json_t *root;
    double loss;

    assert_int_equal(json_file_read(path, FILE_SMALL_MAX, &root, &err), 0);
    loss = json_number_value(
        json_object_get(json_array_get(json_object_get(root, "trace"), 0), "loss"));
    json_decref(root);
    free(path);
    return loss;
}

static void one_stage_gives_the_golden_gradients(void **state)
{
    struct world w;

    open_world(&w, *state);
    assert_true(fabs(run_step(&w, 0) / expected_loss(w.golden) - 1) < loss_limit);
    compare_gradients(&w);
    close_world(&w);
}

static void two_stages_give_the_golden_gradients(void **state)
{
    struct world w;

    open_world(&w, *state);
    run_step(&w, model_config(w.model)->n_layers - 1);
    compare_gradients(&w);
    close_world(&w);
}

/* ---- layers that are made again ---- */

static void layers_made_again_give_the_same_bits(void **state)
{
    struct world w;
    size_t bytes;
    float *kept;
    int layers;

    open_world(&w, *state);
    layers = model_config(w.model)->n_layers;
    bytes = w.layout.count * sizeof(float);
    kept = malloc(bytes);
    run_step(&w, 0);
    memcpy(kept, w.gradient, bytes);
    for (w.again = 1; w.again <= layers; w.again++) {
        memset(w.gradient, 0, bytes);
        run_step(&w, w.again == 1 ? layers - 1 : 0);
        assert_memory_equal(w.gradient, kept, bytes);
    }
    free(kept);
    close_world(&w);
}

/* What one stage keeps of the forward pass, by the worker's own count and by the plan's. */
static void plan_knows_what_a_slot_takes(void **state)
{
    struct world w;
    const struct model_config *c;

    open_world(&w, *state);
    c = model_config(w.model);
    for (w.again = 0; w.again <= c->n_layers; w.again += c->n_layers) {
        struct worker_limits limits = {.micro_batch_tokens = w.batch.T,
                                       .trained = (double)w.batch.trained.n / w.batch.T};
        struct worker_share share = {0, 1, 0, c->n_layers, w.again};
        struct worker_memory planned;
        struct stage_slot slot = {0};
        struct stage *s = new_stage(&w, 0, c->n_layers);
        assert_int_equal(slot_fit(s, &slot, &w.batch, &err), 0);
        worker_memory_of(&limits, c, &w.layout, &share, &planned);
        if (fabs(planned.activations / (4.0 * (double)(slot.floats + s->again.floats)) - 1) > 0.05)
            fail_msg("%.0f bytes planned, %zu taken", planned.activations,
                     4 * (slot.floats + s->again.floats));
        slot_free(&slot);
        stage_close(s);
    }
    close_world(&w);
}

/* What attention takes of every thread, by the worker's own count and by the plan's. */
static void plan_knows_what_attention_takes(void **state)
{
    enum { GROUPS_MAX = 17, THREADS = 3, ROW = 1000, ROUNDED_UP = 16 };
    static const struct worker_share share = {0, 1, 0, 1, 0};
    static const struct trainable none;

    (void)state;
    for (int group = 1; group <= GROUPS_MAX; group++) {
        const struct model_config c = {
            .n_layers = 1, .hidden = 64, .n_heads = 2 * group, .n_kv_heads = 2, .head_dim = 32};
        const struct attention a = {c.n_heads, c.n_kv_heads, c.head_dim, 1, 0, 0};
        struct worker_limits limits = {.micro_batch_tokens = ROW, .row_tokens = ROW};
        struct worker_memory without, with;
        double took, planned;
        worker_memory_of(&limits, &c, &none, &share, &without);
        limits.threads = THREADS;
        worker_memory_of(&limits, &c, &none, &share, &with);
        planned = (with.scratch - without.scratch) / (4 * THREADS);
        took = (double)attention_scratch(&a, ROW);
        if (planned > took || planned < took * ROW / (ROW + ROUNDED_UP))
            fail_msg("%d heads: %.0f floats planned, %.0f taken", group, planned, took);
    }
}

/* ---- in bf16 ---- */

static double cosine(const float *a, const float *b, size_t n)
{
    double aa = 0, bb = 0, ab = 0;

    for (size_t i = 0; i < n; i++) {
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
        ab += (double)a[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static void bf16_turns_the_gradients_little(void **state)
{
    struct world w;
    float *f32;
    double loss;

    if (!bf16_is_possible())
        return;
    open_world(&w, *state);
    loss = run_step(&w, 0);
    f32 = malloc(w.layout.count * sizeof(float));
    memcpy(f32, w.gradient, w.layout.count * sizeof(float));
    w.bf16 = true;
    assert_true(fabs(run_step(&w, 0) / loss - 1) < 0.01);
    assert_true(memcmp(f32, w.gradient, w.layout.count * sizeof(float)) != 0);
    if (cosine(f32, w.gradient, w.layout.count) < 0.999)
        fail_msg("the cosine is %.6f", cosine(f32, w.gradient, w.layout.count));
    free(f32);
    close_world(&w);
}

/* ---- rows that begin alike ---- */

enum { ALIKE = 7, COMMON = 11, MORE = 9, LONGEST = 60 };

struct alike {
    int32_t ids[ALIKE][LONGEST], targets[ALIKE][LONGEST];
    struct prefix_row rows[ALIKE];
    int shared[ALIKE];
};

/* Row i begins with the ids of all, every other with more that those have in common, and continues
 * by itself. */
static int kind_of(int i, int j)
{
    if (j < COMMON)
        return 0;
    return j < COMMON + MORE && i % 2 ? 1 : i + 2;
}

static void make_alike(struct alike *a, int vocab)
{
    for (int i = 0; i < ALIKE; i++) {
        int n = 30 + 4 * i, first = COMMON + MORE + i % 3;
        for (int j = 0; j < n; j++)
            a->ids[i][j] = (7 * kind_of(i, j) + 13 * j * j + 5) % vocab;
        for (int j = 0; j < n; j++)
            a->targets[i][j] = j >= first && j % 2 ? a->ids[i][j + 1 < n ? j + 1 : 0] : NO_TARGET;
        a->rows[i] = (struct prefix_row){a->ids[i], n, first - 1, i};
    }
    prefix_sort(a->rows, ALIKE, a->shared);
}

/* The rows as a tree, or each whole. */
static void pack_alike(struct world *w, struct alike *a, bool tree)
{
    struct prefix_node nodes[2 * ALIKE];
    static int32_t starts[2 * ALIKE + 1], parents[2 * ALIKE], rows[2 * ALIKE];
    int nothing[ALIKE] = {0}, T = 0;
    int n = prefix_tree(a->rows, tree ? a->shared : nothing, 0, ALIKE, nodes);

    for (int i = 0; i < n; i++) {
        int row = a->rows[nodes[i].of].row;
        for (int j = nodes[i].begin; j < nodes[i].end; j++, T++) {
            w->ids[T] = a->ids[row][j];
            w->targets[T] = a->targets[row][j];
        }
        starts[i + 1] = T;
        parents[i] = nodes[i].parent;
        rows[i] = row;
    }
    assert_int_equal(n, tree ? ALIKE + 2 : ALIKE);
    batch_free(&w->batch);
    assert_int_equal(batch_make(w->ids, w->targets, T,
                                (struct segments){n, starts, tree ? parents : NULL}, rows, 1,
                                &w->batch, &err),
                     0);
}

static void compare_vectors(const float *got, const float *want, size_t n)
{
    double square = 0, difference = 0;

    for (size_t i = 0; i < n; i++) {
        square += (double)want[i] * (double)want[i];
        difference += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    }
    assert_true(square > 0);
    assert_true(sqrt(difference) <= limit * sqrt(square));
}

static void shared_beginnings_give_the_gradients_of_whole_rows(void **state)
{
    struct world w;
    struct alike a;
    float *whole;
    double loss;
    int layers;

    open_world(&w, *state);
    layers = model_config(w.model)->n_layers;
    if (prefix_hindrance(w.job, model_config(w.model))) {
        close_world(&w);
        return;
    }
    make_alike(&a, model_config(w.model)->vocab);
    pack_alike(&w, &a, false);
    loss = run_step(&w, 0);
    whole = malloc(w.layout.count * sizeof(float));
    memcpy(whole, w.gradient, w.layout.count * sizeof(float));
    for (int cut = 0; cut < layers; cut += layers - 1) {
        memset(w.gradient, 0, w.layout.count * sizeof(float));
        pack_alike(&w, &a, true);
        assert_true(fabs(run_step(&w, cut) / loss - 1) < loss_limit);
        compare_vectors(w.gradient, whole, w.layout.count);
    }
    free(whole);
    close_world(&w);
}

/* Of a model in one form. */
static int test_form(const char *folder, const char *model)
{
    struct golden golden = {folder, model};
    char *path = file_join(folder, model);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(one_stage_gives_the_golden_gradients, &golden),
        cmocka_unit_test_prestate(two_stages_give_the_golden_gradients, &golden),
        cmocka_unit_test_prestate(layers_made_again_give_the_same_bits, &golden),
        cmocka_unit_test_prestate(plan_knows_what_a_slot_takes, &golden),
        cmocka_unit_test(plan_knows_what_attention_takes),
        cmocka_unit_test_prestate(bf16_turns_the_gradients_little, &golden),
        cmocka_unit_test_prestate(shared_beginnings_give_the_gradients_of_whole_rows, &golden),
    };
    bool is_there = access(path, F_OK) == 0;

    free(path);
    if (!is_there)
        return 0;
    printf("%s/%s\n", folder, model);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A GGUF with other expected numbers is left to families.py. */
static bool has_other_numbers(const char *folder)
{
    char *path = file_join(folder, "expected_gguf");
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;

    spectrum_init();
    for (int i = 1; i < argc; i++) {
        failed += test_form(argv[i], "model");
        if (!has_other_numbers(argv[i]))
            failed += test_form(argv[i], "model.gguf");
    }
    return failed != 0;
}
