/* tests/unit/proto/test_rank_bodies.c - bodies of messages: a right one is read, each wrong number
 * in it is refused, and no damage at all makes a reader leave the body. Bodies are of exactly their
 * length, so that a sanitizer sees any read past them. */
#include "tests/unit/support.h"
#include "proto/rank_bodies.h"
#include <limits.h>
#include <math.h>

static struct err err;

/* As many bytes as there are, and no more, in memory of their own. */
static struct buf exactly(const void *bytes, size_t len)
{
    struct buf b = {.data = malloc(len ? len : 1), .len = len, .cap = len};

    assert_non_null(b.data);
    if (len)
        memcpy(b.data, bytes, len);
    return b;
}

static struct buf seal(struct buf *b)
{
    struct buf e = exactly(b->data, b->len);

    assert_false(b->failed);
    buf_free(b);
    return e;
}

/* The words of each refusal, and that there is one. */
static void assert_refused(int rc, const char *words)
{
    assert_int_equal(rc, ERR_PEER);
    assert_contains(err.text, words);
}

/* ---- setup ---- */

enum { RANK = 4, COUNT = 5 }; /* stage 1 of replica 1 of 2 x 2 */

struct setup { /* a message in parts */
    struct rank_setup head;
    struct rank_map maps[2];
};

static struct setup right_setup(void)
{
    struct setup s;

    memset(&s, 0, sizeof(s));
    s.head.model.config.n_layers = 6;
    s.head.stage = 1, s.head.stages = 2, s.head.replica = 1, s.head.replicas = 2;
    s.head.first_layer = 3, s.head.last_layer = 6;
    s.head.threads = 2;
    s.head.n_maps = 2;
    s.maps[0] = (struct rank_map){.layer = 0, .kind = MODULE_Q, .rank = 4, .alpha = 8};
    s.maps[1] = (struct rank_map){.layer = 5, .kind = MODULE_Q, .rank = 2, .alpha = 4};
    s.head.path_len = 3, s.head.cache_len = 2;
    return s;
}

static int read_setup(const struct setup *s, const char *text, size_t len)
{
    struct rank_setup_parts parts;
    struct buf b = {0};
    struct rank_setup got;
    int rc;

    buf_append(&b, &s->head, sizeof(s->head));
    buf_append(&b, s->maps, sizeof(s->maps));
    buf_append(&b, text, len);
    b = seal(&b);
    rc = rank_setup_read(&b, RANK, COUNT, &got, &parts, &err);
    if (rc == 0) {
        assert_string_equal(parts.path, "/m0");
        assert_string_equal(parts.cache, "/c");
        assert_int_equal(got.last_layer, 6);
        assert_int_equal(parts.maps.n, 2);
        assert_int_equal(parts.maps.of[1].layer, 5);
        assert_int_equal(parts.maps.of[1].rank, 2);
        rank_setup_parts_free(&parts);
    }
    buf_free(&b);
    return rc;
}

#define SETUP(change, words)                                                                       \
    do {                                                                                           \
        struct setup s = right_setup();                                                            \
        change;                                                                                    \
        assert_refused(read_setup(&s, "/m0/c", 5), words);                                         \
    } while (0)

static void setup_is_checked(void **state)
{
    struct setup right = right_setup();
    struct rank_setup_parts parts;
    struct rank_setup got;
    struct buf empty = {0};

    (void)state;
    assert_ok(read_setup(&right, "/m0/c", 5), err);
    assert_refused(rank_setup_read(&empty, RANK, COUNT, &got, &parts, &err), "cut off");
    assert_refused(read_setup(&right, "/m0/", 4), "lengths");
    assert_refused(read_setup(&right, "/m0/cc", 6), "lengths");
    assert_refused(read_setup(&right,
                              "/\0"
                              "0/c",
                              5),
                   "NUL");
    assert_refused(read_setup(&right, "/m0\0c", 5), "NUL");
    SETUP((s.head.path_len = 0, s.head.cache_len = 5), "without a model");
    SETUP(s.head.path_len = UINT32_MAX, "lengths");
    SETUP(s.head.cache_len = UINT32_MAX, "lengths");
    SETUP(s.head.stage = 2, "stage 2 of 2");
    SETUP(s.head.stage = INT_MIN, "stage -2147483648 of 2");
    SETUP(s.head.stage = 0, "not rank 4");
    SETUP(s.head.stages = 0, "stage 1 of 0");
    SETUP(s.head.stages = INT_MAX, "for 4 workers");
    SETUP(s.head.replica = -1, "replica -1 of 2");
    SETUP(s.head.replica = 2, "replica 2 of 2");
    SETUP(s.head.replica = 0, "not rank 4");
    SETUP(s.head.replicas = INT_MAX, "for 4 workers");
    SETUP((s.head.stages = INT_MAX, s.head.replicas = INT_MAX), "for 4 workers");
    SETUP(s.head.first_layer = -1, "layers -1");
    SETUP(s.head.first_layer = 0, "layers 0 to 6");
    SETUP(s.head.first_layer = 6, "layers 6 to 6");
    SETUP(s.head.last_layer = 5, "to 5 of 6");
    SETUP(s.head.last_layer = 7, "to 7 of 6");
    SETUP(s.head.threads = -1, "-1 threads");
    SETUP(s.head.threads = 4097, "4097 threads");
}

static void setup_of_lora_is_checked(void **state)
{
    (void)state;
    SETUP(s.head.directions = -1, "-1 directions");
    SETUP(s.head.directions = 4097, "4097 directions");
    SETUP(s.head.scaling = 117901063, "scaling 117901063");
    SETUP(s.head.precision = 7, "precision 7");
    SETUP(s.head.dropout = 1, "dropout 1");
    SETUP(s.head.dropout = -0.5, "dropout -0.5");
    SETUP(s.head.n_maps = 0, "lengths");
    SETUP(s.head.n_maps = UINT32_MAX, "lengths");
    SETUP(s.head.model.config.n_layers = 0, "layers 3 to 6 of 0");
    SETUP(s.maps[0].rank = 0, "LoRA rank 0");
    SETUP(s.maps[1].rank = 4097, "LoRA rank 4097");
    SETUP(s.maps[0].alpha = NAN, "alpha nan");
    SETUP(s.maps[0].alpha = 0, "alpha 0");
    SETUP(s.maps[0].layer = 6, "layer 6");
    SETUP(s.maps[0].layer = -1, "layer -1");
    SETUP(s.maps[0].kind = MODULE_KINDS, "kind 9");
    SETUP(s.maps[0].kind = MODULE_QKV, "kind 3");
    SETUP(s.maps[0].zero = 1, "module 0 of 2");
    SETUP(s.maps[1].layer = 0, "module 1 of 2");
}

static void ready_is_checked(void **state)
{
    struct rank_ready ready = {{1, 2}, 3, 4}, got;
    struct buf b = exactly(&ready, sizeof(ready));

    (void)state;
    assert_ok(rank_ready_read(&b, &got, &err), err);
    assert_int_equal(got.threads, 4);
    b.len--;
    assert_refused(rank_ready_read(&b, &got, &err), "bytes to say");
    buf_free(&b);
    ready.threads = 0;
    b = exactly(&ready, sizeof(ready));
    assert_refused(rank_ready_read(&b, &got, &err), "0 threads");
    buf_free(&b);
    assert_refused(rank_ready_read(&b, &got, &err), "0 bytes");
}

/* ---- steps ---- */

enum { PARAMS = 3, VOCAB = 10 };

static void step_is_checked(void **state)
{
    const struct {
        struct rank_step step;
        float param;
        size_t more; /* bytes behind the parameters */
        const char *words;
    } cases[] = {
        {{1, 1, 0, 0, PARAMS, 0.5}, 1, sizeof(struct rank_micro), NULL},
        {{1, 0, 1, 1, PARAMS, 1}, 1, 0, NULL},
        {{0, 1, 0, 0, PARAMS, 0.5}, 1, 16, "step 0"},
        {{1, 1, 2, 0, PARAMS, 0.5}, 1, 16, "flags 2"},
        {{1, 1, 0, 255, PARAMS, 0.5}, 1, 16, "and 255"},
        {{1, 1, 0, 0, PARAMS + 1, 0.5}, 1, 16, "4 parameters"},
        {{1, 1, 0, 0, UINT32_MAX, 0.5}, 1, 16, "4294967295 parameters"},
        {{1, -1, 0, 0, PARAMS, 0.5}, 1, 16, "-1 micro-batches"},
        {{1, 2, 0, 0, PARAMS, 0.5}, 1, 16, "2 micro-batches"},
        {{1, INT_MAX, 0, 0, PARAMS, 0.5}, 1, 16, "micro-batches"},
        {{1, 1, 0, 0, PARAMS, 0}, 1, 16, "weight 0"},
        {{1, 1, 0, 0, PARAMS, 1.5}, 1, 16, "weight 1.5"},
        {{1, 1, 0, 0, PARAMS, (double)NAN}, 1, 16, "weight nan"},
        {{1, 1, 0, 0, PARAMS, 0.5}, NAN, 16, "not finite"},
        {{1, 1, 0, 0, PARAMS, 0.5}, -INFINITY, 16, "not finite"},
    };
    static const char zero[64];
    const float *params;
    struct rank_step got;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        float x[PARAMS] = {1, 2, cases[i].param};
        struct buf b = {0};
        struct rank_cursor c;
        int rc;
        buf_append(&b, &cases[i].step, sizeof(cases[i].step));
        buf_append(&b, x, sizeof(x));
        buf_append(&b, zero, cases[i].more);
        b = seal(&b);
        c = rank_cursor(&b);
        rc = rank_step_read(&c, PARAMS, &got, &params, &err);
        if (cases[i].words)
            assert_refused(rc, cases[i].words);
        else
            assert_ok(rc, err);
        b.len = sizeof(got) + sizeof(x) - 1;
        c = rank_cursor(&b);
        assert_int_equal(rank_step_read(&c, PARAMS, &got, &params, &err), ERR_PEER);
        buf_free(&b);
    }
}

struct micro { /* five tokens in two segments */
    struct rank_micro header;
    int32_t ids[5], targets[5], starts[3], rows[2];
};

static const struct micro right_micro = {
    {3, 5, 2, 2}, {0, 9, 1, 2, 3}, {-100, 9, -100, 0, -100}, {0, 2, 5}, {7, 0}};

static int read_micro(const struct micro *m, size_t len)
{
    struct buf b = exactly(m, len);
    struct rank_cursor c = rank_cursor(&b);
    struct rank_micro_view v;
    int rc = rank_micro_read(&c, VOCAB, &v, &err);

    if (rc == 0) {
        assert_int_equal(v.starts[2], 5);
        assert_int_equal(v.rows[0], 7);
        assert_ok(rank_end(&c, &err), err);
    }
    buf_free(&b);
    return rc;
}

#define MICRO(change, words)                                                                       \
    do {                                                                                           \
        struct micro m = right_micro;                                                              \
        change;                                                                                    \
        assert_refused(read_micro(&m, sizeof(m)), words);                                          \
    } while (0)

static void micro_batch_is_checked(void **state)
{
    size_t len;

    (void)state;
    assert_ok(read_micro(&right_micro, sizeof(right_micro)), err);
    for (len = 0; len < sizeof(right_micro); len++)
        assert_int_equal(read_micro(&right_micro, len), ERR_PEER);
    MICRO(m.header.index = -1, "micro-batch -1");
    MICRO(m.header.T = 0, "of 0 tokens");
    MICRO(m.header.T = -5, "of -5 tokens");
    MICRO(m.header.T = INT_MAX, "within");
    MICRO(m.header.T = 4, "begin and end");
    MICRO(m.header.n_segments = 0, "in 0 segments");
    MICRO(m.header.n_segments = -1, "in -1 segments");
    MICRO(m.header.n_segments = INT_MAX, "segments");
    MICRO(m.header.n_segments = 1, "begin and end");
    MICRO(m.header.is_tree = 2, "flag of a tree is 2");
    MICRO(m.header.is_tree = 1, "ends within");
    MICRO(m.header.n_trained = 0, "announces 0");
    MICRO(m.header.n_trained = 3, "announces 3");
    MICRO(m.ids[0] = -1, "token -1");
    MICRO(m.ids[4] = VOCAB, "token 10");
    MICRO(m.targets[1] = -1, "target -1");
    MICRO(m.targets[4] = VOCAB, "target 10");
    MICRO(m.targets[1] = -100, "1 targets");
    MICRO((m.targets[1] = m.targets[3] = -100, m.header.n_trained = 0), "0 targets");
    MICRO(m.starts[0] = 1, "begin and end");
    MICRO(m.starts[1] = 0, "do not rise");
    MICRO(m.starts[1] = 5, "do not rise");
    MICRO(m.starts[1] = INT_MAX, "do not rise");
    MICRO(m.starts[1] = -1, "do not rise");
    MICRO(m.starts[2] = 6, "begin and end");
    MICRO(m.rows[1] = -1, "row -1");
}

static void trees_of_segments_are_checked(void **state)
{
    static const int32_t wrong[][3] = {{0, -1, -1}, {-1, 1, -1}, {-1, 2, 0}, {-1, -2, 0},
                                       {-1, -1, 0}, {1, -1, -1}, {-1, 0, 2}};
    static const int32_t right[][3] = {{-1, -1, -1}, {-1, 0, 0}, {-1, 0, 1}, {-1, -1, 1}};
    struct tree {
        struct rank_micro header;
        int32_t ids[3], targets[3], starts[4], rows[3], parents[3];
    } m = {{0, 3, 3, 1, 1}, {1, 2, 3}, {-100, -100, 4}, {0, 1, 2, 3}, {0, 1, 2}, {0}};
    struct rank_micro_view v;

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]) + sizeof(wrong) / sizeof(wrong[0]);
         i++) {
        size_t n = sizeof(right) / sizeof(right[0]);
        struct buf b;
        struct rank_cursor c;
        memcpy(m.parents, i < n ? right[i] : wrong[i - n], sizeof(m.parents));
        b = exactly(&m, sizeof(m));
        c = rank_cursor(&b);
        if (i < n)
            assert_ok(rank_micro_read(&c, VOCAB, &v, &err), err);
        else
            assert_refused(rank_micro_read(&c, VOCAB, &v, &err), "of a micro-batch continues");
        buf_free(&b);
    }
}

static void progress_is_checked(void **state)
{
    const struct rank_progress right = {3, 8, 2.5, 1e6};
    struct rank_progress wrong, found;
    struct buf b = exactly(&right, sizeof(right));

    (void)state;
#define WRONG(change, words)                                                                       \
    wrong = right, (change), b = exactly(&wrong, sizeof(wrong)),                                   \
    assert_refused(rank_progress_read(&b, &found, &err), words), buf_free(&b)
    assert_ok(rank_progress_read(&b, &found, &err), err);
    assert_true(found.done == 3 && found.n == 8 && found.seconds_left == 2.5);
    for (b.len = 0; b.len < sizeof(right); b.len++)
        assert_int_equal(rank_progress_read(&b, &found, &err), ERR_PEER);
    buf_free(&b);
    WRONG(wrong.done = 9, "9 of 8 matrices");
    WRONG(wrong.done = -1, "-1 of 8");
    WRONG((wrong.done = -1, wrong.n = -1), "-1 of -1");
    WRONG(wrong.seconds_left = NAN, "nan s left");
    WRONG(wrong.seconds_left = -1, "-1 s left");
    WRONG(wrong.seconds_left = INFINITY, "inf s left");
    WRONG(wrong.cached_bytes = -1, "-1 bytes were added to the cache");
#undef WRONG
}

static void gradients_are_checked(void **state)
{
    struct {
        struct rank_gradients header;
        double losses[2];
        float gradients[3];
    } __attribute__((packed)) right = {{7, 2, 3, {0.5}}, {1, 2}, {3, 4, 5}}, wrong;
    const double *losses;
    const float *gradients;
    struct rank_gradients header;
    struct buf b = exactly(&right, sizeof(right));

    (void)state;
#define READ(step, n, p) rank_gradients_read(&b, step, n, p, &header, &losses, &gradients, &err)
    assert_ok(READ(7, 2, 3), err);
    assert_true(losses[1] == 2 && gradients[2] == 5 && header.seconds[0] == 0.5);
    assert_refused(READ(8, 2, 3), "step 7 where step 8");
    assert_refused(READ(7, 1, 3), "2 losses");
    assert_refused(READ(7, 2, 4), "3 gradients");
    for (b.len = 0; b.len < sizeof(right); b.len++)
        assert_int_equal(READ(7, 2, 3), ERR_PEER);
    buf_free(&b);
    wrong = right;
    wrong.header.n_losses = -1;
    b = exactly(&wrong, sizeof(wrong));
    assert_refused(READ(7, 2, 3), "-1 losses");
    buf_free(&b);
    b = exactly(&right, sizeof(right));
    b.data = realloc(b.data, sizeof(right) + 4);
    memset(b.data + sizeof(right), 0, 4);
    b.len += 4;
    assert_refused(READ(7, 2, 3), "bytes for 2 losses");
    buf_free(&b);
#undef READ
}

/* ---- directions ---- */

static struct trainable_map maps[] = {{0, MODULE_Q, 3, 4, 0, 0, 0}, {0, MODULE_K, 5, 2, 0, 0, 0}};
static const struct trainable layout = {maps, 2, 1, 2, 0};

struct directions_body { /* of map 0 */
    struct rank_directions header;
    int32_t indices[2];
    double delta[2], sigma[2];
    float U[6], V[8];
};

static const struct directions_body right_directions = {
    {0, 2, 3, 4, 0.25}, {2, 0}, {2, 1}, {3, 4}, {1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6, 7, 8}};

static int read_directions(const struct directions_body *d, size_t len, int map)
{
    struct buf b = exactly(d, len);
    struct rank_cursor c = rank_cursor(&b);
    struct directions_view v;
    int rc = rank_directions_read(&c, &layout, map, &v, &err);

    if (rc == 0)
        assert_true(((const float *)v.U)[5] == 6 && ((const float *)v.V)[7] == 8 && c.at == c.end);
    buf_free(&b);
    return rc;
}

#define DIRECTIONS(change, words)                                                                  \
    do {                                                                                           \
        struct directions_body d = right_directions;                                               \
        change;                                                                                    \
        assert_refused(read_directions(&d, sizeof(d), 0), words);                                  \
    } while (0)

static void directions_are_checked(void **state)
{
    size_t len;

    (void)state;
    assert_ok(read_directions(&right_directions, sizeof(right_directions), 0), err);
    assert_refused(read_directions(&right_directions, sizeof(right_directions), 1), "those of 1");
    for (len = 0; len < sizeof(right_directions); len++)
        assert_int_equal(read_directions(&right_directions, len, 0), ERR_PEER);
    DIRECTIONS(d.header.map = 1, "map 1");
    DIRECTIONS(d.header.map = -1, "map -1");
    DIRECTIONS(d.header.k = 1, "1 directions");
    DIRECTIONS(d.header.k = -1, "-1 directions");
    DIRECTIONS(d.header.rows = INT_MAX, "a 2147483647 x");
    DIRECTIONS(d.header.columns = -4, "x -4 map");
    DIRECTIONS(d.header.next_delta = NAN, "delta");
    DIRECTIONS(d.indices[0] = 3, "index");
    DIRECTIONS(d.indices[0] = -1, "index");
    DIRECTIONS(d.indices[0] = 0, "twice");
    DIRECTIONS(d.delta[1] = -1, "delta");
    DIRECTIONS(d.delta[0] = INFINITY, "delta");
    DIRECTIONS(d.sigma[0] = NAN, "sigma");
    DIRECTIONS(d.U[5] = NAN, "finite");
    DIRECTIONS(d.V[0] = INFINITY, "finite");
}

static void parameters_are_checked(void **state)
{
    const float right[] = {1, 2}, wrong[] = {1, INFINITY};
    const float *got;
    struct buf b = exactly(right, sizeof(right)), nothing = {0};

    (void)state;
    assert_ok(rank_params_read(&b, 2, &got, &err), err);
    assert_ok(rank_params_read(&nothing, 0, &got, &err), err);
    assert_refused(rank_params_read(&b, 1, &got, &err), "8 bytes for 1 ");
    assert_refused(rank_params_read(&b, 3, &got, &err), "8 bytes for 3 ");
    buf_free(&b);
    b = exactly(wrong, sizeof(wrong));
    assert_refused(rank_params_read(&b, 2, &got, &err), "finite");
    buf_free(&b);
}

/* ---- sentences ---- */

static int read_error(int code, const char *text, size_t len, char *ret, size_t size)
{
    struct rank_error e = {code};
    struct buf b = {0};
    int rc;

    buf_append(&b, &e, sizeof(e));
    buf_append(&b, text, len);
    b = seal(&b);
    rc = rank_error_read(&b, ret, size);
    buf_free(&b);
    return rc;
}

static void sentence_of_a_rank_is_text(void **state)
{
    struct buf b = exactly("abc", 3);
    char text[8];

    (void)state;
    assert_int_equal(read_error(ERR_INVALID, "caf\xc3\xa9", 5, text, sizeof(text)), ERR_INVALID);
    assert_string_equal(text, "caf\xc3\xa9");
    assert_int_equal(read_error(ERR_IO, "a\0b\n", 4, text, sizeof(text)), ERR_PEER);
    assert_string_equal(text, "a?b?");
    assert_int_equal(read_error(12345,
                                "a\xff"
                                "b",
                                3, text, sizeof(text)),
                     ERR_PEER);
    assert_string_equal(text, "a?b");
    assert_int_equal(read_error(0, "123456\xc3\xa9", 8, text, sizeof(text)), ERR_PEER);
    assert_string_equal(text, "123456");
    assert_int_equal(rank_error_read(&b, text, sizeof(text)), ERR_PEER);
    assert_string_equal(text, "");
    buf_free(&b);
}

/* ---- any damage ---- */

static void no_damage_makes_a_reader_leave_the_body(void **state)
{
    uint64_t random = 7;
    int i;

    (void)state;
    for (i = 0; i < DAMAGES; i++) {
        struct buf b = {.len = sizeof(right_micro)};
        struct rank_micro_view micro;
        struct directions_view directions;
        struct rank_cursor c;
        b.data = damaged_copy((const char *)&right_micro, b.len, b.len, &random);
        c = rank_cursor(&b);
        (void)rank_micro_read(&c, VOCAB, &micro, &err);
        free(b.data);
        b.len = sizeof(right_directions);
        b.data = damaged_copy((const char *)&right_directions, b.len, b.len, &random);
        c = rank_cursor(&b);
        (void)rank_directions_read(&c, &layout, 0, &directions, &err);
        free(b.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setup_is_checked),
        cmocka_unit_test(setup_of_lora_is_checked),
        cmocka_unit_test(ready_is_checked),
        cmocka_unit_test(step_is_checked),
        cmocka_unit_test(micro_batch_is_checked),
        cmocka_unit_test(trees_of_segments_are_checked),
        cmocka_unit_test(progress_is_checked),
        cmocka_unit_test(gradients_are_checked),
        cmocka_unit_test(directions_are_checked),
        cmocka_unit_test(parameters_are_checked),
        cmocka_unit_test(sentence_of_a_rank_is_text),
        cmocka_unit_test(no_damage_makes_a_reader_leave_the_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
