/* tests/unit/coordinator/test_packing.c - which rows a step takes, and how they are packed. */
#include "tests/unit/support.h"
#include <math.h>
#include "core/job/micro_batches.h"
#include "daemon/coordinator/packing.h"

static struct err err;

enum { DATA = 10, LONGEST = 12 };

static void fill_data(struct dataset *d, struct example *examples, int32_t *arena)
{
    int i, j;

    *d = (struct dataset){.examples = examples, .n = DATA};
    for (i = 0; i < DATA; i++) {
        int32_t *ids = arena + i * 2 * LONGEST, *labels = ids + LONGEST;
        examples[i] = (struct example){.ids = ids,
                                       .labels = labels,
                                       .n = 3 + i % 7,
                                       .n_trained = i == 4 ? 0 : 1,
                                       .line = i + 1};
        for (j = 0; j < examples[i].n; j++) {
            ids[j] = 100 * i + j;
            labels[j] = -100;
        }
        if (i != 4)
            labels[examples[i].n - 2] = 5; /* the last token is not trained: two are cut */
    }
}

static void every_pass_takes_every_row_that_trains_once(void **state)
{
    struct example examples[DATA];
    int32_t arena[DATA * 2 * LONGEST];
    struct job_training training = {.batch_size = 3, .seed = 1};
    const struct packing_rules rules = {.micro_batches = 4, .micro_batch_tokens = 512};
    struct dataset data;
    struct data_order order;
    int seen[DATA] = {0}, step, i, moved = 0;

    (void)state;
    fill_data(&data, examples, arena);
    assert_int_equal(data_order_open(&training, true, &data, &order, &err), 0);
    for (step = 1; step <= 6; step++) { /* two passes over nine rows */
        struct packed_step p;
        assert_int_equal(pack_step(&order, &rules, step, &p, &err), 0);
        assert_int_equal(p.n_micro, 2); /* a power of two, at most one a row */
        for (i = 0; i < p.n_micro; i++) {
            const struct rank_micro *m = (const struct rank_micro *)p.micro[i].data;
            const int32_t *ids = (const int32_t *)(m + 1), *starts = ids + 2 * m->T;
            const int32_t *rows = starts + m->n_segments + 1;
            int s;
            for (s = 0; s < m->n_segments; s++) {
                assert_int_equal(ids[starts[s]], 100 * rows[s]);
                assert_int_equal(starts[s + 1] - starts[s], examples[rows[s]].n - 2);
                assert_int_equal(ids[m->T + starts[s + 1] - 1], 5);
                moved += rows[s] != (step - 1) % 3 * 3;
                seen[rows[s]]++;
            }
        }
        packed_free(&p);
    }
    for (i = 0; i < DATA; i++)
        assert_int_equal(seen[i], i == 4 ? 0 : 2);
    assert_true(moved > 0);
    data_order_close(&order);
}

static void micro_batches_fall_to_replicas_in_aligned_runs(void **state)
{
    (void)state;
    assert_int_equal(packing_replica(0, 8, 2), 0);
    assert_int_equal(packing_replica(3, 8, 2), 0);
    assert_int_equal(packing_replica(4, 8, 2), 1);
    assert_int_equal(packing_replica(1, 2, 4), 1);
}

/* ---- rows that begin alike ---- */

enum { ROWS_MAX = 40, IDS_MAX = 100 };

struct rows {
    struct example examples[ROWS_MAX];
    int32_t ids[ROWS_MAX][IDS_MAX], labels[ROWS_MAX][IDS_MAX];
    struct dataset data;
};

static int draw(uint64_t *random, int below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (int)((*random >> 33) % (uint64_t)below);
}

/* Each row begins like an earlier one up to some place, or like none; what is trained begins
 * anywhere. */
static void draw_rows(struct rows *r, int n, uint64_t *random)
{
    r->data = (struct dataset){.examples = r->examples, .n = n};
    for (int i = 0; i < n; i++) {
        int length = 2 + draw(random, IDS_MAX - 2), like = i ? draw(random, i) : 0;
        int alike = i && draw(random, 4) ? draw(random, r->examples[like].n + 1) : 0;
        int half = length / 2, first = half + draw(random, length - half), trained = 0;
        for (int j = 0; j < length; j++) {
            r->ids[i][j] = j < alike ? r->ids[like][j] : draw(random, 3);
            r->labels[i][j] = j == first || (j > first && draw(random, 3)) ? r->ids[i][j] : -100;
            trained += r->labels[i][j] != -100;
        }
        r->examples[i] = (struct example){
            .ids = r->ids[i], .labels = r->labels[i], .n = length, .n_trained = trained};
    }
}

struct micro {
    const struct rank_micro *header;
    const int32_t *ids, *targets, *starts, *rows, *parents;
};

static struct micro micro_of(const struct buf *b)
{
    struct micro m = {.header = (const struct rank_micro *)b->data};

    m.ids = (const int32_t *)(m.header + 1);
    m.targets = m.ids + m.header->T;
    m.starts = m.targets + m.header->T;
    m.rows = m.starts + m.header->n_segments + 1;
    m.parents = m.header->is_tree ? m.rows + m.header->n_segments : NULL;
    assert_int_equal(b->len,
                     (const char *)(m.rows + m.header->n_segments * (m.header->is_tree ? 2 : 1)) -
                         b->data);
    return m;
}

static int parent_of(const struct micro *m, int i)
{
    return m->parents ? m->parents[i] : -1;
}

static bool has_children(const struct micro *m, int i)
{
    for (int j = i + 1; j < m->header->n_segments; j++)
        if (parent_of(m, j) == i)
            return true;
    return false;
}

/* The end of a path is a row: its ids and targets, from the last to the first. Returns how many. */
static int check_path(const struct micro *m, int segment, const struct example *e)
{
    int depth = 0, n;

    for (int i = segment; i >= 0; i = parent_of(m, i))
        depth += m->starts[i + 1] - m->starts[i];
    n = depth;
    for (int i = segment; i >= 0; i = parent_of(m, i))
        for (int t = m->starts[i + 1] - 1; t >= m->starts[i]; t--) {
            depth--;
            assert_int_equal(m->ids[t], e->ids[depth]);
            assert_int_equal(m->targets[t], e->labels[depth + 1]);
            assert_true(i == segment || m->targets[t] == -100);
        }
    return n;
}

/* Returns the tokens of whole rows. */
static long check_step(const struct packed_step *p, const struct rows *r, int *seen)
{
    long whole = 0, computed = 0;

    for (int k = 0; k < p->n_micro; k++) {
        struct micro m = micro_of(&p->micro[k]);
        int trained = 0;
        for (int i = 0; i < m.header->n_segments; i++) {
            if (has_children(&m, i))
                continue;
            whole += check_path(&m, i, &r->examples[m.rows[i]]);
            trained += r->examples[m.rows[i]].n_trained;
            seen[m.rows[i]]++;
        }
        assert_int_equal(trained, m.header->n_trained);
        computed += m.header->T;
    }
    assert_int_equal(computed, p->computed);
    return whole;
}

/* A pass over n rows. */
static void check_pass(const struct rows *r, int n, int batch_size, uint64_t seed, long *whole,
                       long *shared)
{
    const struct packing_rules rules = {4, 512, true};
    const struct job_training training = {.seed = seed, .batch_size = batch_size};
    int seen[ROWS_MAX] = {0};
    struct data_order order;

    assert_ok(data_order_open(&training, true, &r->data, &order, &err), err);
    for (int step = 1; step <= (n + batch_size - 1) / batch_size; step++) {
        struct packed_step p;
        long all;
        assert_ok(pack_step(&order, &rules, step, &p, &err), err);
        all = check_step(&p, r, seen);
        assert_true(p.computed <= all);
        *whole += all;
        *shared += all - p.computed;
        packed_free(&p);
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(seen[i], 1);
    data_order_close(&order);
}

static void trees_hold_every_row_whole(void **state)
{
    static struct rows r;
    uint64_t random = 5;
    long whole = 0, shared = 0;

    (void)state;
    for (int round = 0; round < 400; round++) {
        int n = 1 + draw(&random, ROWS_MAX), batch_size = 1 + draw(&random, n);
        draw_rows(&r, n, &random);
        check_pass(&r, n, batch_size, (uint64_t)round, &whole, &shared);
    }
    assert_true(shared > whole / 20);
}

/* Twelve rows of 40 ids, 20 of them the same, in a step: what is computed once in each run. */
static void a_beginning_is_computed_once_in_a_micro_batch(void **state)
{
    static struct rows r;
    struct job_training training = {.batch_size = 12, .seed = 1};
    struct data_order order;
    struct packed_step p;

    (void)state;
    r.data = (struct dataset){.examples = r.examples, .n = 12};
    for (int i = 0; i < 12; i++) {
        for (int j = 0; j < 41; j++) {
            r.ids[i][j] = j < 20 ? j : 100 * i + j;
            r.labels[i][j] = j < 30 ? -100 : r.ids[i][j];
        }
        r.examples[i] =
            (struct example){.ids = r.ids[i], .labels = r.labels[i], .n = 41, .n_trained = 11};
    }
    for (int share = 0; share < 2; share++) {
        const struct packing_rules rules = {4, 65, share};
        double part;
        assert_ok(data_order_open(&training, true, &r.data, &order, &err), err);
        assert_ok(pack_step(&order, &rules, 1, &p, &err), err);
        assert_int_equal(p.n_micro, share ? 4 : 8);
        assert_int_equal(p.computed, share ? 12 * 20 + 4 * 20 : 12 * 40);
        assert_ok(data_order_shared(&order, 3, &part, &err), err);
        assert_true(fabs(part - 11.0 * 20 / (12 * 40)) < 1e-12);
        packed_free(&p);
        data_order_close(&order);
    }
}

/* Where rows have nothing in common, sharing changes nothing. */
static void rows_that_share_nothing_keep_their_order(void **state)
{
    struct example examples[DATA];
    int32_t arena[DATA * 2 * LONGEST];
    struct job_training training = {.batch_size = 4, .seed = 1};
    struct dataset data;
    struct data_order orders[2];
    struct packed_step p[2];

    (void)state;
    fill_data(&data, examples, arena);
    for (int share = 0; share < 2; share++) {
        const struct packing_rules rules = {4, 8, share};
        assert_ok(data_order_open(&training, true, &data, &orders[share], &err), err);
        assert_ok(pack_step(&orders[share], &rules, 1, &p[share], &err), err);
    }
    assert_int_equal(p[0].n_micro, p[1].n_micro);
    for (int i = 0; i < p[0].n_micro; i++) {
        assert_int_equal(p[0].micro[i].len, p[1].micro[i].len);
        assert_memory_equal(p[0].micro[i].data, p[1].micro[i].data, p[0].micro[i].len);
    }
    for (int share = 0; share < 2; share++) {
        packed_free(&p[share]);
        data_order_close(&orders[share]);
    }
}

/* Rows of all lengths, with the fewest tokens and the most, with and without beginnings in common.
 */
static void no_micro_batch_is_larger_than_the_most(void **state)
{
    static struct rows r;
    struct job_training training = {.seed = 1};
    uint64_t random = 7;

    (void)state;
    for (int round = 0; round < 200; round++) {
        const struct packing_rules rules = {1 << round % 4, 1 + (round * 37) % 300, round & 1};
        struct micro_batch_sizes sizes;
        struct data_order order;
        int n = 1 + round % ROWS_MAX, longest = 0;
        draw_rows(&r, n, &random);
        training.batch_size = 1 + round % n;
        for (int i = 0; i < n; i++)
            longest = r.examples[i].n > longest ? r.examples[i].n : longest;
        if (data_order_open(&training, true, &r.data, &order, &err) < 0)
            continue; /* nothing is trained */
        assert_ok(micro_batches_look(&order, &rules, 8, LOOK_AT_ALL, &sizes, &err), err);
        assert_in_range(sizes.longest, 1, micro_batches_most(&rules, longest));
        data_order_close(&order);
    }
    assert_int_equal(micro_batches_most(&(struct packing_rules){1, 1, false}, INT_MAX), INT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pass_takes_every_row_that_trains_once),
        cmocka_unit_test(micro_batches_fall_to_replicas_in_aligned_runs),
        cmocka_unit_test(trees_hold_every_row_whole),
        cmocka_unit_test(a_beginning_is_computed_once_in_a_micro_batch),
        cmocka_unit_test(rows_that_share_nothing_keep_their_order),
        cmocka_unit_test(no_micro_batch_is_larger_than_the_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
