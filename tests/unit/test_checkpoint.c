/* tests/unit/test_checkpoint.c - checkpoints: what is written is what is read, damage falls back, strangers are refused; and the data order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "core/file.h"
#include "daemon/coordinator/checkpoint.h"
#include "daemon/coordinator/order.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct err err;
static const struct state_identity identity = {"job", "data", "weights"};

struct world {
    struct trainable_map maps[2];
    struct trainable layout;
    struct state state;
    char folder[40];
};

static void open_world(struct world *w)
{
    size_t i;

    *w = (struct world){.maps = {{0, MODULE_Q, 5, 4, 0, 8, 18}, {0, MODULE_K, 3, 4, 20, 28, 34}},
                        .folder = "/tmp/checkpoint-test-XXXXXX"};
    w->layout = (struct trainable){w->maps, 2, 2, 2, 36};
    assert_non_null(mkdtemp(w->folder));
    assert_int_equal(state_open(&w->layout, &w->state, &err), 0);
    for (i = 0; i < w->layout.count; i++) {
        w->state.params[i] = (float)i + 0.25f;
        w->state.m[i] = (float)i * 2;
        w->state.v[i] = (float)i * 3;
    }
    for (i = 0; i < 2; i++) {
        struct chosen *c = &w->state.chosen[i];
        c->indices[1] = 7 + (int)i;
        c->delta[0] = 0.5;
        c->sigma[1] = 1.5;
        c->next_delta = 0.125 * (double)(i + 1);
        c->U[3] = 11;
        c->V[5] = 13 + (float)i;
    }
    w->state.identified = true;
}

static void close_world(struct world *w)
{
    char command[80];

    snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    state_close(&w->state);
}

static void save(struct world *w, int first, int last)
{
    struct checkpoint *c;
    int step;

    assert_int_equal(checkpoint_open(w->folder, &c, &err), 0);
    for (step = first; step <= last; step++) {
        struct buf bytes = {0};
        w->state.step = step;
        assert_int_equal(state_encode(&w->state, &identity, &bytes, &err), 0);
        assert_int_equal(checkpoint_submit(c, step, &bytes, -1, &err), 0);
        buf_free(&bytes);
    }
    assert_int_equal(checkpoint_wait(c, &err), 0);
    checkpoint_close(c);
}

static int load(struct world *w, const struct state_identity *who, struct state *ret, bool *found,
                struct buf *notices)
{
    *found = false;
    assert_int_equal(state_open(&w->layout, ret, &err), 0);
    return checkpoint_load(w->folder, ret, who, found, notices, &err);
}

static void what_is_saved_is_what_is_loaded(void **state)
{
    struct world w;
    struct state s;
    struct buf notices = {0};
    bool found;
    size_t bytes;

    (void)state;
    open_world(&w);
    save(&w, 1, 5);
    assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
    bytes = w.layout.count * sizeof(float);
    assert_true(found && s.identified && s.step == 5 && notices.len == 0);
    assert_memory_equal(s.params, w.state.params, bytes);
    assert_memory_equal(s.m, w.state.m, bytes);
    assert_memory_equal(s.v, w.state.v, bytes);
    assert_int_equal(s.chosen[1].indices[1], 8);
    assert_true(s.chosen[1].next_delta == 0.25 && s.chosen[0].delta[0] == 0.5);
    assert_true(s.chosen[0].U[3] == 11 && s.chosen[1].V[5] == 14);
    state_close(&s);
    close_world(&w);
}

static char *path_of(const struct world *w, int step)
{
    char *path;

    assert_true(asprintf(&path, "%s/step-%08d.checkpoint", w->folder, step) > 0);
    return path;
}

static void two_are_kept(void **state)
{
    struct world w;
    int step;

    (void)state;
    open_world(&w);
    save(&w, 1, 4);
    for (step = 1; step <= 4; step++) {
        char *path = path_of(&w, step);
        assert_int_equal(access(path, F_OK) == 0, step >= 3);
        free(path);
    }
    close_world(&w);
}

/* Changes one byte of the newest file, wherever it is; the one before must be used and the damage told. */
static void any_damaged_byte_falls_back_to_the_one_before(void **state)
{
    struct world w;
    char *path, *bytes;
    size_t len, at;

    (void)state;
    open_world(&w);
    save(&w, 1, 2);
    path = path_of(&w, 2);
    assert_int_equal(file_read(path, 1 << 30, &bytes, &len, &err), 0);
    for (at = 0; at < len; at += at < 64 ? 1 : 37) {
        struct state s;
        struct buf notices = {0};
        bool found;
        if (at >= 8 && at < 16)
            continue; /* the version: refused, not damaged */
        bytes[at] ^= 0x10;
        assert_int_equal(file_write_durably(path, bytes, len, &err), 0);
        bytes[at] ^= 0x10;
        assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
        assert_true(found && s.step == 1);
        assert_non_null(strstr(notices.data, path));
        buf_free(&notices);
        state_close(&s);
    }
    free(bytes);
    free(path);
    close_world(&w);
}

static void cut_off_newest_falls_back_and_nothing_left_is_an_error(void **state)
{
    struct world w;
    struct state s;
    struct buf notices = {0};
    char *first, *second;
    bool found;

    (void)state;
    open_world(&w);
    save(&w, 1, 2);
    first = path_of(&w, 1);
    second = path_of(&w, 2);
    assert_int_equal(truncate(second, 100), 0);
    assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
    assert_int_equal(s.step, 1);
    state_close(&s);
    assert_int_equal(truncate(first, 0), 0);
    assert_true(load(&w, &identity, &s, &found, &notices) < 0);
    state_close(&s);
    buf_free(&notices);
    free(first), free(second);
    close_world(&w);
}

static void strangers_are_refused_in_words(void **state)
{
    const struct state_identity others[] = {
        {"x", "data", "weights"}, {"job", "x", "weights"}, {"job", "data", "x"}};
    static const char *const words[] = {"another job", "other data", "another model"};
    struct world w;
    int i;

    (void)state;
    open_world(&w);
    save(&w, 1, 2);
    for (i = 0; i < 3; i++) {
        struct state s;
        struct buf notices = {0};
        bool found;
        assert_int_equal(load(&w, &others[i], &s, &found, &notices), ERR_STATE);
        assert_non_null(strstr(err.text, words[i]));
        buf_free(&notices);
        state_close(&s);
    }
    close_world(&w);
}

static void folder_that_cannot_be_written_is_named(void **state)
{
    struct world w;
    struct checkpoint *c;
    struct buf bytes = {0};
    char command[80];

    (void)state;
    open_world(&w);
    assert_int_equal(checkpoint_open(w.folder, &c, &err), 0);
    snprintf(command, sizeof(command), "rm -r %s", w.folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(state_encode(&w.state, &identity, &bytes, &err), 0);
    assert_int_equal(checkpoint_submit(c, 1, &bytes, -1, &err), 0);
    assert_int_equal(checkpoint_wait(c, &err), ERR_IO);
    assert_non_null(strstr(err.text, w.folder));
    checkpoint_close(c);
    assert_int_equal(file_make_folders(w.folder, &err), 0);
    close_world(&w);
}

/* ---- data order ---- */

enum { DATA = 10, LONGEST = 12 };

static void fill_data(struct dataset *d, struct example *examples, int32_t *arena)
{
    int i, j;

    *d = (struct dataset){.examples = examples, .n = DATA};
    for (i = 0; i < DATA; i++) {
        int32_t *ids = arena + i * 2 * LONGEST, *labels = ids + LONGEST;
        examples[i] = (struct example){ids, labels, 3 + i % 7, i == 4 ? 0 : 1, i + 1};
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
    struct job job = {
        .batch_size = 3, .micro_batch_tokens = 512, .data = {.shuffle = true}, .seed = 1};
    struct dataset data;
    struct order order;
    int seen[DATA] = {0}, step, i, moved = 0;

    (void)state;
    fill_data(&data, examples, arena);
    assert_int_equal(order_open(&job, &data, &order, &err), 0);
    for (step = 1; step <= 6; step++) { /* two passes over nine rows */
        struct packed_step p;
        assert_int_equal(order_pack_step(&order, step, &p, &err), 0);
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
    order_close(&order);
}

static void micro_batches_fall_to_replicas_in_aligned_runs(void **state)
{
    (void)state;
    assert_int_equal(order_replica(0, 8, 2), 0);
    assert_int_equal(order_replica(3, 8, 2), 0);
    assert_int_equal(order_replica(4, 8, 2), 1);
    assert_int_equal(order_replica(1, 2, 4), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_what_is_loaded),
        cmocka_unit_test(two_are_kept),
        cmocka_unit_test(any_damaged_byte_falls_back_to_the_one_before),
        cmocka_unit_test(cut_off_newest_falls_back_and_nothing_left_is_an_error),
        cmocka_unit_test(strangers_are_refused_in_words),
        cmocka_unit_test(folder_that_cannot_be_written_is_named),
        cmocka_unit_test(every_pass_takes_every_row_that_trains_once),
        cmocka_unit_test(micro_batches_fall_to_replicas_in_aligned_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
