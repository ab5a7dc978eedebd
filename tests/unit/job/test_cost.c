/* tests/unit/job/test_cost.c - what a step costs, held against counts made by hand, and against
 * what must hold of every cost: more work costs more, parts add up to the whole. */
#include "core/job/cost.h"
#include "core/job/job_check.h"
#include "core/model/shard.h"
#include "tests/unit/support.h"
#include <math.h>
#include <string.h>

/* C = 8, H = 2, G = 1, D = 4, F = 16, V = 32: q (8, 8), k and v (4, 8), o (8, 8), gate and up
 * (16, 8), down (8, 16). */
static struct model_config tiny(int layers)
{
    return (struct model_config){.n_layers = layers,
                                 .hidden = 8,
                                 .n_heads = 2,
                                 .n_kv_heads = 1,
                                 .head_dim = 4,
                                 .intermediate = 16,
                                 .vocab = 32,
                                 .pre_norm = true};
}

/* q and down of layers [first, layers), rank 2. */
static struct trainable adapt(struct trainable_map *maps, int first, int layers)
{
    struct trainable t = {.maps = maps};

    for (int layer = first; layer < layers; layer++) {
        size_t at = t.count;
        maps[t.n++] = (struct trainable_map){layer, MODULE_Q, 8, 8, 2, 4, 2, at, at + 16, at + 32};
        at += 32;
        maps[t.n++] =
            (struct trainable_map){layer, MODULE_DOWN, 8, 16, 2, 4, 2, at, at + 32, at + 48};
        t.count = at + 48;
    }
    return t;
}

static const struct cost_data some = {
    .tokens = 110, .computed = 100, .trained = 10, .pairs = 1000, .micro_batches = 4};

static void assert_close(double a, double b)
{
    assert_true(fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)));
}

/* layer, table: bytes of a layer's weights, and of the embedding and of the head. */
static struct worker_limits limits(double layer, double table)
{
    return (struct worker_limits){.micro_batches = 4,
                                  .micro_batch_tokens = 25,
                                  .row_tokens = 25,
                                  .threads = 1,
                                  .trained = 0.1,
                                  .weights = {layer, table, table}};
}

/* Layer 0 of 2 is frozen, layer 1, the last, has q and down adapted. */
static void operations_are_those_of_a_count_by_hand(void **state)
{
    struct model_config c = tiny(2);
    struct trainable_map maps[4];
    struct trainable t = adapt(maps, 1, 2);
    struct cost_model m = {&c, &t, some, limits(0, 0), false, false};
    struct cost_operations below = cost_operations(&m, 0, 1), last = cost_operations(&m, 1, 2);
    double elements = 8 * 8 + 2 * 4 * 8 + 8 * 8 + 2 * 16 * 8 + 8 * 16;

    (void)state;
    assert_close(below.forward, 2 * 100 * elements);
    assert_close(below.backward + below.thin + below.head, 0);
    assert_close(below.attention, 2 * 2 * 2 * 4 * 1000.0); /* two products, two heads of four */

    /* k and v at all 100 rows, the rest at the 10 that are trained. */
    assert_close(last.forward, 2 * (100.0 * 2 * 4 * 8 + 10.0 * (elements - 2 * 4 * 8)));
    /* Nothing below q has a gradient: the way back ends at q's output. */
    assert_close(last.backward, 2 * 10.0 * (8 * 16 + 2 * 16 * 8 + 8 * 8));
    /* q: u at 100 rows of 8, y at 10; back dy B, dB at 10, dA at 100. down: all at 10, and dx. */
    assert_close(last.thin, 2 * 2 * (100 * 8.0 + 10 * 8 + 10 * 8 + 10 * 8 + 100 * 8.0) +
                                2 * 2 * 10 * (16 + 8 + 8 + 8 + 16 + 16.0));
    assert_close(last.attention, (2 + 5) * 2 * 2 * 4 * 1000.0 * 10 / 100);
    assert_close(last.head, 4 * 10.0 * 32 * 8);
}

/* Rows of 4 and 6 tokens, the last 2 and 1 of which are trained, and one that trains nothing. */
static void data_are_counted_as_they_are_computed(void **state)
{
    const int32_t first[] = {-100, -100, 7, 8}, second[] = {-100, -100, -100, -100, 7, -100};
    struct example rows[] = {{.n = 4, .n_trained = 2, .labels = first},
                             {.n = 6, .n_trained = 1, .labels = second},
                             {.n = 9, .n_trained = 0}};
    const struct dataset d = {.examples = rows, .n = 3};
    const struct job_training training = {.batch_size = 2, .micro_batch_tokens = 512};
    const struct micro_batch_sizes sizes = {2, 4};
    struct cost_data all = cost_data_of(&training, &d, 0, &sizes);

    (void)state;
    assert_close(all.tokens, 10);
    assert_close(all.trained, 3);
    assert_close(all.computed, 3 + 4); /* what follows the last trained token is left out */
    assert_close(all.pairs, 6 + 10);
    assert_int_equal(all.micro_batches, 2);
    /* Each row is a micro-batch: nothing is shared. */
    assert_close(cost_data_of(&training, &d, 0.5, &sizes).computed, 7);
    rows[1].labels = NULL; /* not kept: as long as the others */
    assert_close(cost_data_of(&training, &d, 0, &sizes).computed, 3.0 * 10 / 4);
}

static void operations_of_stages_add_up(void **state)
{
    struct model_config c = tiny(7);
    struct trainable_map maps[14];
    struct trainable t = adapt(maps, 2, 7);
    struct cost_model m = {&c, &t, some, limits(0, 0), false, false};
    struct cost_operations all = cost_operations(&m, 0, 7);
    double sum = 0, seconds = 0;
    const int first[] = {0, 1, 3, 7};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct cost_operations o = cost_operations(&m, first[i], first[i + 1]);
        sum += cost_sum(&o);
        seconds +=
            cost_stage_seconds(&m, &(struct worker_share){0, 1, first[i], first[i + 1], 0}, 3, 100);
    }
    assert_close(sum, cost_sum(&all));
    assert_close(seconds, cost_stage_seconds(&m, &(struct worker_share){0, 1, 0, 7, 0}, 3, 100));
}

static double seconds_of(const struct cost_model *m, int threads, double gflops)
{
    return cost_stage_seconds(m, &(struct worker_share){0, 1, 0, m->config->n_layers, 0}, threads,
                              gflops);
}

static void more_work_takes_longer(void **state)
{
    struct model_config c = tiny(4), deeper = tiny(5), windowed = tiny(4);
    struct trainable_map maps[10];
    struct trainable t = adapt(maps, 0, 4), upper = adapt(maps + 8, 3, 4);
    struct cost_model m = {&c, &t, some, limits(0, 0), false, false}, other = m;
    double base = seconds_of(&m, 1, 100);

    (void)state;
    other.config = &deeper;
    assert_true(seconds_of(&other, 1, 100) > base);
    other = m;
    other.trainable = &upper;
    assert_true(seconds_of(&other, 1, 100) < base);
    other = m;
    other.data.computed *= 2;
    assert_true(seconds_of(&other, 1, 100) > base);
    other = m;
    other.data.trained *= 2;
    assert_true(seconds_of(&other, 1, 100) > base);
    other = m;
    other.bf16 = true;
    assert_true(seconds_of(&other, 1, 100) < base);
    other = m;
    other.quantised = true;
    assert_true(seconds_of(&other, 1, 100) > base);
    other = m;
    windowed.window = 2;
    memset(windowed.layers, LAYER_WINDOW, 4);
    other.config = &windowed;
    assert_true(seconds_of(&other, 1, 100) < base);
    assert_true(seconds_of(&m, 1, 50) > base);
}

static void tiles_must_outnumber_threads(void **state)
{
    (void)state;
    assert_true(cost_of_tiles(4096, 4096, 1, false) < 1.01);
    assert_true(cost_of_tiles(4096, 4096, 4, false) < 1.02);
    /* One tile: 64 threads are no faster than one. */
    assert_true(cost_of_tiles(8, 8, 64, false) >= 64);
    assert_true(cost_of_tiles(128, 64, 64, false) > 2 * cost_of_tiles(128, 64, 2, false));
}

static void equal_stages_wait_as_the_formula_says(void **state)
{
    const double equal[] = {2, 2, 2, 2}, one_is_slow[] = {2, 2, 4, 2};

    (void)state;
    for (int m = 1; m <= 64; m *= 2) {
        struct cost_pipeline p = cost_pipeline(equal, 4, m);
        assert_close(p.seconds, 2.0 * (m + 4 - 1));
        assert_close(p.bubble, 3.0 / (m + 3));
        assert_close(cost_pipeline(equal, 1, m).bubble, 0);
    }
    assert_close(cost_pipeline(one_is_slow, 4, 8).seconds, 10 + 7 * 4);
    assert_true(cost_pipeline(one_is_slow, 4, 8).bubble > cost_pipeline(equal, 4, 8).bubble);
}

static void a_step_is_the_sum_of_its_parts(void **state)
{
    struct model_config c = tiny(4);
    struct trainable_map maps[8];
    struct trainable t = adapt(maps, 0, 4);
    struct cost_model m = {&c, &t, some, limits(0, 0), false, false};
    const struct node node = {4, 1e9, 10, 1};
    const struct cost_shape shape = {2, 2, 2, 2, 2}, near = {1, 4, 1, 2, 2};
    struct cost_step s, s_near;
    struct cost_operations o = cost_operations(&m, 0, 4);
    struct err err;

    (void)state;
    assert_int_equal(cost_step(&m, &node, &shape, &s, &err), 0);
    assert_close(s.seconds, s.compute + s.broadcast_s + s.gathered_s + s.optimizer);
    assert_close(s.gathered, 4.0 * (double)t.count * 2);
    assert_close(s.broadcast, s.gathered + 8 * 100.0 * 2);
    assert_close(s.tokens_per_second, 110 / s.seconds);
    assert_close(s.efficiency, cost_sum(&o) / (s.seconds * 2 * 10e9));
    assert_true(s.efficiency < 1);
    /* Half of the bytes leave the coordinator's node, at 1 Gbit/s. */
    assert_int_equal(cost_step(&m, &node, &near, &s_near, &err), 0);
    assert_close(s.gathered_s - s_near.gathered_s, s.gathered / 2 / (1e9 / 8));
}

static void a_shape_is_chosen_that_fits(void **state)
{
    struct model_config c = tiny(4);
    struct trainable_map maps[8];
    struct trainable t = adapt(maps, 0, 4);
    struct cost_model m = {&c, &t, some, limits(200e6, 10e6), false, false};
    const struct job_parallel any = {0}, three = {.stages = 3, .replicas = 1};
    struct node node = {4, 2e9, 10, 1};
    struct cost_shape shape;
    struct err err;

    (void)state;
    assert_int_equal(cost_choose(&m, &any, &node, 1, &shape, &err), 0);
    assert_int_equal(shape.stages * shape.replicas, shape.nodes * shape.workers_per_node);
    assert_true(shape.threads * shape.workers_per_node <= 4);
    /* The model takes 820 MB, of which a node has room for a part. */
    node.bytes = 560e6;
    assert_int_equal(cost_choose(&m, &any, &node, 2, &shape, &err), 0);
    assert_true(shape.stages >= 2);
    assert_int_equal(cost_choose(&m, &any, &node, 1, &shape, &err), ERR_INVALID);
    /* Three workers on four nodes: one node is idle. */
    node.bytes = 2e9;
    assert_int_equal(cost_choose(&m, &three, &node, 4, &shape, &err), 0);
    assert_int_equal(shape.nodes, 3);
    assert_int_equal(shape.stages, 3);
}

static void a_job_takes_no_more_than_its_node_has(void **state)
{
    struct trainable_map maps[2];
    struct trainable t = adapt(maps, 0, 1);
    const struct cost_shape one = {.workers_per_node = 1, .stages = 1, .replicas = 1};
    const struct job_parallel any = {0}, little = {.memory = 1e9}, much = {.memory = 1e12};
    double of_node = cost_spare_bytes(&any, &t, 4e9, &one);

    (void)state;
    assert_true(cost_spare_bytes(&little, &t, 4e9, &one) < of_node);
    assert_close(cost_spare_bytes(&much, &t, 4e9, &one), of_node);
    assert_close(cost_spare_bytes(&little, &t, 0, &one), cost_spare_bytes(&any, &t, 1e9, &one));
    assert_true(cost_spare_bytes(&any, &t, 0, &one) == 0);
}

static void more_workers_than_an_int_holds_are_too_many(void **state)
{
    static const int cores[] = {16384, 32768, 65536};
    struct model_config c = tiny(4);
    struct trainable_map maps[8];
    struct trainable t = adapt(maps, 0, 4);
    struct cost_model m = {&c, &t, some, limits(200e6, 10e6), false, false};
    const struct job_parallel any = {0};
    struct cost_shape shape;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cores) / sizeof(cores[0]); i++) {
        const struct node node = {cores[i], 64e9, 1000, 100};
        assert_int_equal(cost_choose(&m, &any, &node, 100000, &shape, &err), 0);
        assert_true(shape.stages <= m.config->n_layers);
        assert_true(shape.replicas <= m.data.micro_batches);
    }
}

static void bytes_of_files_follow_from_shapes(void **state)
{
    struct trainable_map maps[2];
    struct trainable t = adapt(maps, 0, 1);

    (void)state;
    assert_close(cost_checkpoint_bytes(&t), 12.0 * (double)t.count);
    assert_close(cost_adapter_bytes(&t), 4.0 * 2 * (16 + 24));
    assert_true(cost_coordinator_bytes(&t, 1, 2, 0) > cost_coordinator_bytes(&t, 1, 1, 0));
}

/* ---- nodes ---- */

static int parse(const char *text, struct node *ret, int *ret_problems)
{
    struct problems problems = {0};
    struct err err;
    int rc = node_parse(text, ret, &problems, &err);

    *ret_problems = problems_count(&problems);
    problems_free(&problems);
    return rc;
}

static void a_node_is_read(void **state)
{
    struct node n = {0};
    int problems;

    (void)state;
    assert_int_equal(parse("gbits=2.5,cores=64,gib=256,gflops=3000", &n, &problems), 0);
    assert_int_equal(n.cores, 64);
    assert_close(n.bytes, 256.0 * (1 << 30));
    assert_close(n.gflops, 3000);
    assert_close(n.gbits, 2.5);
}

static void every_fault_of_a_node_is_a_problem(void **state)
{
    static const struct {
        const char *text;
        int problems;
    } bad[] = {
        {"", 4},
        {"cores", 4},
        {"cores=64", 3},
        {"cores=6.5,gib=1,gflops=1,gbits=1", 1},
        {"cores=0,gib=-1,gflops=nan,gbits=inf", 4},
        {"cores=1,gib=1,gflops=1,gbits=", 1},
        {"cores=1,gib=1,gflops=1,gbits=1,cores=2", 1},
        {"cores=1,gib=1,gflops=1,gbits=1,speed=2", 1},
        {"cores=1x,memory=3,gflops=1,gbits=1", 3},
        {"cores=11111111111111111111111111111111111111111,gib=1,gflops=1,gbits=1", 1},
    };
    struct node n;
    int problems;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(bad[i].text, &n, &problems), ERR_INVALID);
        assert_int_equal(problems, bad[i].problems);
    }
}

static void numbers_of_nodes_are_read(void **state)
{
    static const char *const bad[] = {"", "0", "-1", "1,", "1,,2", "x", "1,2x", "100001", "1 2"};
    int counts[3], n;
    struct err err;

    (void)state;
    assert_int_equal(node_counts_parse("1,16,64", counts, 3, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_int_equal(counts[1], 16);
    assert_int_equal(node_counts_parse("1,2,3,4", counts, 3, &n, &err), ERR_INVALID);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(node_counts_parse(bad[i], counts, 3, &n, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_are_those_of_a_count_by_hand),
        cmocka_unit_test(data_are_counted_as_they_are_computed),
        cmocka_unit_test(operations_of_stages_add_up),
        cmocka_unit_test(more_work_takes_longer),
        cmocka_unit_test(tiles_must_outnumber_threads),
        cmocka_unit_test(equal_stages_wait_as_the_formula_says),
        cmocka_unit_test(a_step_is_the_sum_of_its_parts),
        cmocka_unit_test(a_shape_is_chosen_that_fits),
        cmocka_unit_test(a_job_takes_no_more_than_its_node_has),
        cmocka_unit_test(more_workers_than_an_int_holds_are_too_many),
        cmocka_unit_test(bytes_of_files_follow_from_shapes),
        cmocka_unit_test(a_node_is_read),
        cmocka_unit_test(every_fault_of_a_node_is_a_problem),
        cmocka_unit_test(numbers_of_nodes_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
