/* tests/unit/coordinator/test_checkpoint.c - checkpoints: what is written is what is read, damage
 * falls back, strangers are refused; and the data order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "core/file.h"
#include "core/tensor/tensorfile.h"
#include "daemon/coordinator/checkpoint.h"
#include "daemon/coordinator/outputs.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static struct err err;
enum { ROWS = 7 };

/* The job has ten rows; the context is the hash of any of them. */
static int hash_rows(void *context, long rows, char ret_hex[33], struct err *e)
{
    (void)e;
    snprintf(ret_hex, 33, "%s", rows <= 10 ? (const char *)context : "");
    return 0;
}

static const struct state_identity identity = {"job", "data", ROWS,      "weights",
                                               100,   1,      hash_rows, "data"};

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
        struct directions *c = &w->state.chosen.of[i];
        c->indices[1] = 1 + (int)i;
        c->delta[0] = 0.5;
        c->sigma[1] = 1.5;
        *c->next_delta = 0.125 * (double)(i + 1);
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
    struct buf bytes = {0};
    int step;

    assert_int_equal(checkpoint_open(w->folder, 0, &c, &err), 0);
    for (step = first; step <= last; step++) {
        w->state.step = step;
        assert_int_equal(state_encode(&w->state, &identity, &bytes, &err), 0);
        assert_int_equal(checkpoint_submit(c, step, 0, &bytes, -1, &err), 0);
        assert_int_equal(bytes.len, 0);
    }
    assert_int_equal(checkpoint_wait(c, &err), 0);
    checkpoint_close(c);
    buf_free(&bytes);
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
    assert_int_equal(s.chosen.of[1].indices[1], 2);
    assert_true(*s.chosen.of[1].next_delta == 0.25 && s.chosen.of[0].delta[0] == 0.5);
    assert_true(s.chosen.of[0].U[3] == 11 && s.chosen.of[1].V[5] == 14);
    state_close(&s);
    close_world(&w);
}

static char *path_of(const struct world *w, int step)
{
    char *path;

    assert_true(asprintf(&path, "%s/step-%08d.checkpoint", w->folder, step) > 0);
    return path;
}

static void keep_best(struct checkpoint *c, struct world *w, int step, int best)
{
    struct buf bytes = {0};

    w->state.step = step;
    w->state.evaluations = (struct evaluations){best, 1.5 / step, 1.75, step - best, "abc"};
    assert_int_equal(state_encode(&w->state, &identity, &bytes, &err), 0);
    assert_int_equal(checkpoint_submit(c, step, best, &bytes, -1, &err), 0);
    assert_int_equal(checkpoint_wait(c, &err), 0);
    buf_free(&bytes);
}

static void list_is(const struct world *w, int n, const int *steps)
{
    struct checkpoint_list l;

    assert_int_equal(checkpoint_list(w->folder, &l, &err), 0);
    assert_int_equal(l.n, n);
    assert_memory_equal(l.steps, steps, (size_t)n * sizeof(*steps));
    free(l.steps);
}

/* That of a checkpoint which is kept is kept, too. */
static void best_of_each_is_kept(void **state)
{
    struct buf notices = {0};
    struct checkpoint *c;
    struct world w;
    struct state s;
    bool found;

    (void)state;
    open_world(&w);
    assert_int_equal(checkpoint_open(w.folder, 0, &c, &err), 0);
    for (int step = 10; step <= 14; step++)
        keep_best(c, &w, step, 11 < step ? 11 : step);
    list_is(&w, 3, (int[]){14, 13, 11});
    checkpoint_close(c);
    assert_int_equal(checkpoint_open(w.folder, 11, &c, &err), 0);
    keep_best(c, &w, 15, 15);
    list_is(&w, 3, (int[]){15, 14, 11});
    keep_best(c, &w, 16, 15);
    list_is(&w, 2, (int[]){16, 15});
    checkpoint_close(c);
    assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
    assert_int_equal(s.evaluations.best_step, 15);
    assert_int_equal(s.evaluations.without_gain, 1);
    state_close(&s);
    buf_free(&notices);
    close_world(&w);
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

/* Changes one byte of the newest file, wherever it is; the one before must be used and the damage
 * reported. */
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
        if (at >= 8 && at < 12)
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
        {"x", "", 0, "weights", 100, 1, hash_rows, "data"},
        {"job", "", 0, "weights", 100, 1, hash_rows, "x"},
        {"job", "", 0, "x", 100, 1, hash_rows, "data"},
    };
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

/* A checkpoint is of the rows that had been read. */
static void rows_that_were_not_read_yet_do_not_count(void **state)
{
    struct state_identity who = identity;
    struct buf bytes = {0}, notices = {0};
    struct state s;
    struct world w;
    char *path;
    bool found;

    (void)state;
    open_world(&w);
    path = path_of(&w, 2);
    w.state.step = 2;
    w.state.identified = true;
    for (who.rows = 9; who.rows <= 11; who.rows++) {
        bytes.len = 0;
        assert_int_equal(state_encode(&w.state, &who, &bytes, &err), 0);
        assert_int_equal(file_write_durably(path, bytes.data, bytes.len, &err), 0);
        assert_int_equal(load(&w, &identity, &s, &found, &notices), who.rows <= 10 ? 0 : ERR_STATE);
        state_close(&s);
    }
    assert_non_null(strstr(err.text, "other data"));
    who = identity;
    who.hash_rows = NULL; /* any data */
    assert_int_equal(load(&w, &who, &s, &found, &notices), 0);
    state_close(&s);
    free(path);
    buf_free(&bytes);
    buf_free(&notices);
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
    assert_int_equal(checkpoint_open(w.folder, 0, &c, &err), 0);
    snprintf(command, sizeof(command), "rm -r %s", w.folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(state_encode(&w.state, &identity, &bytes, &err), 0);
    assert_int_equal(checkpoint_submit(c, 1, 0, &bytes, -1, &err), 0);
    assert_int_equal(checkpoint_wait(c, &err), ERR_IO);
    assert_non_null(strstr(err.text, w.folder));
    checkpoint_close(c);
    assert_int_equal(file_make_folders(w.folder, &err), 0);
    close_world(&w);
}

/* ---- right checksums over wrong numbers ---- */

enum { HEADER = 40, HASH_AT = 24 }; /* see state_file.c */

static void seal(char *bytes, size_t len)
{
    XXH128_hash_t h = XXH3_128bits(bytes + HEADER, len - HEADER);
    uint64_t hash[2] = {h.low64, h.high64};

    memcpy(bytes + HASH_AT, hash, sizeof(hash));
}

/* Seals and writes the bytes as the checkpoint of step 2; the one of step 1 must be used, and the
 * state be whole. */
static void falls_back(struct world *w, char *bytes, size_t len, const char *what)
{
    char *path = path_of(w, 2);
    struct buf notices = {0};
    struct state s;
    bool found;

    seal(bytes, len);
    assert_int_equal(file_write_durably(path, bytes, len, &err), 0);
    if (load(w, &identity, &s, &found, &notices) < 0)
        fail_msg("%s: %s", what, err.text);
    if (!found || s.step != 1 || !s.identified || !notices.data || !strstr(notices.data, path))
        fail_msg("%s: step %d is used", what, s.step);
    if (strstr(notices.data, "checksum"))
        fail_msg("%s: %s", what, notices.data);
    assert_true(s.params[0] == 0.25f && s.chosen.of[0].indices[1] == 1);
    buf_free(&notices);
    state_close(&s);
    free(path);
}

static void right_checksum_over_wrong_words_falls_back(void **state)
{
    static const struct {
        const char *find, *put; /* of equal length */
    } cases[] = {
        {"\"step\":\"2\"", "\"step\":\"3\""},
        {"\"step\":\"2\"", "\"step\":\"x\""},
        {"\"step\":\"2\"", "\"step\":\"-\""},
        {"\"step\":\"2\"", "\"stop\":\"2\""},
        {"\"identified\":\"yes\"", "\"identified\":\"no \""},
        {"\"identified\":\"yes\"", "\"identified\":\"YES\""},
        {"\"identified\":\"yes\"", "\"identifiee\":\"yes\""},
        {"\"dtype\":\"I32\",\"shape\":[2,2]", "\"dtype\":\"F32\",\"shape\":[2,2]"},
        {"\"dtype\":\"I32\",\"shape\":[2,2]", "\"dtype\":\"I32\",\"shape\":[4,1]"},
        {"\"dtype\":\"F32\",\"shape\":[36]", "\"dtype\":\"I32\",\"shape\":[36]"},
        {"\"dtype\":\"F32\",\"shape\":[8,2]", "\"dtype\":\"F32\",\"shape\":[2,8]"},
        {"\"sigma\":{", "\"sigme\":{"},
        {"\"m\":{", "\"w\":{"},
    };
    struct world w;
    struct buf whole = {0};
    size_t i;

    (void)state;
    open_world(&w);
    save(&w, 1, 1);
    w.state.step = 2;
    assert_int_equal(state_encode(&w.state, &identity, &whole, &err), 0);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *bytes = malloc(whole.len), *at;
        assert_non_null(bytes);
        memcpy(bytes, whole.data, whole.len);
        at = memmem(bytes, whole.len, cases[i].find, strlen(cases[i].find));
        assert_non_null(at);
        memcpy(at, cases[i].put, strlen(cases[i].put));
        falls_back(&w, bytes, whole.len, cases[i].put);
        free(bytes);
    }
    buf_free(&whole);
    close_world(&w);
}

static void right_checksum_over_wrong_numbers_falls_back(void **state)
{
    static const float fnan = NAN, finf = INFINITY, fless = -1;
    static const double dnan = NAN, dinf = INFINITY, dless = -1;
    static const int32_t less = -1, four = 4, zero = 0;
    static const struct {
        const char *tensor;
        size_t at; /* which element */
        const void *put;
        size_t size;
    } cases[] = {
        {"params", 3, &fnan, 4},  {"params", 35, &finf, 4},    {"m", 0, &fnan, 4},
        {"m", 35, &finf, 4},      {"v", 1, &fless, 4},         {"v", 1, &fnan, 4},
        {"v", 1, &finf, 4},       {"U", 15, &fnan, 4},         {"V", 0, &finf, 4},
        {"delta", 3, &dnan, 8},   {"delta", 0, &dless, 8},     {"sigma", 0, &dinf, 8},
        {"sigma", 3, &dless, 8},  {"next_delta", 1, &dnan, 8}, {"indices", 0, &less, 4},
        {"indices", 1, &four, 4},                           /* map 0 has directions 0 to 3 */
        {"indices", 1, &zero, 4}, {"indices", 3, &zero, 4}, /* twice */
    };
    struct world w;
    struct buf whole = {0};
    size_t i;

    (void)state;
    open_world(&w);
    save(&w, 1, 1);
    w.state.step = 2;
    assert_int_equal(state_encode(&w.state, &identity, &whole, &err), 0);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *bytes = malloc(whole.len);
        struct tensorfile *f;
        assert_non_null(bytes);
        memcpy(bytes, whole.data, whole.len);
        if (tensorfile_from_memory(bytes + HEADER, whole.len - HEADER, "test", &f, &err) < 0)
            fail_msg("%s", err.text);
        memcpy((char *)tensorfile_find(f, cases[i].tensor)->data + cases[i].at * cases[i].size,
               cases[i].put, cases[i].size);
        tensorfile_close(f);
        falls_back(&w, bytes, whole.len, cases[i].tensor);
        free(bytes);
    }
    buf_free(&whole);
    close_world(&w);
}

/* Steps that the job does not have, under whatever name, and directions where the step has none or
 * must have them. */
static void step_and_directions_fit_the_job(void **state)
{
    static const struct {
        int named, step;
        bool identified;
        int steps, prelaunch;
        bool right;
    } cases[] = {
        {2, 2, true, 2, 2, true},     {2, 2, false, 2, 3, true},   {0, 0, false, 9, 1, true},
        {2, -1, true, 100, 1, false}, {2, 2, true, 1, 1, false},   {2, 2, true, 100, 3, false},
        {2, 2, false, 100, 2, false}, {2, 1, true, 100, 1, false},
    };
    struct world w;
    size_t i;

    (void)state;
    open_world(&w);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct state_identity who = {
            "job", "data", ROWS, "weights", cases[i].steps, cases[i].prelaunch, hash_rows, "data"};
        struct buf bytes = {0}, notices = {0};
        char *path = path_of(&w, cases[i].named);
        struct state s;
        bool found;
        int rc;
        w.state.step = cases[i].step;
        w.state.identified = cases[i].identified;
        assert_int_equal(state_encode(&w.state, &who, &bytes, &err), 0);
        assert_int_equal(file_write_durably(path, bytes.data, bytes.len, &err), 0);
        rc = load(&w, &who, &s, &found, &notices);
        assert_int_equal(rc == 0 && found, cases[i].right);
        if (!cases[i].right)
            assert_int_equal(rc, ERR_INVALID);
        assert_int_equal(unlink(path), 0);
        buf_free(&bytes);
        buf_free(&notices);
        state_close(&s);
        free(path);
    }
    close_world(&w);
}

static void numbers_that_could_not_be_read_back_are_not_written(void **state)
{
    struct world w;
    struct buf bytes = {0};

    (void)state;
    open_world(&w);
    w.state.v[5] = INFINITY;
    assert_int_equal(state_encode(&w.state, &identity, &bytes, &err), ERR_INVALID);
    buf_free(&bytes);
    close_world(&w);
}

/* ---- what else may lie in the folder ---- */

static void put_file(const struct world *w, const char *name, const char *text)
{
    char *path = file_join(w->folder, name);

    assert_int_equal(file_write_durably(path, text, strlen(text), &err), 0);
    free(path);
}

static void other_names_are_not_checkpoints(void **state)
{
    static const char *const names[] = {
        "step--0000001.checkpoint",     "step-99999999999.checkpoint",
        "step-+0000009.checkpoint",     "step-9.checkpoint",
        "step-000000009.checkpoint",    "step- 0000009.checkpoint",
        "step-00000009.checkpoint.tmp", "step-00000009.checkpointx",
        "step-0000009x.checkpoint",
    };
    struct world w;
    struct state s;
    struct buf notices = {0};
    bool found;
    size_t i;

    (void)state;
    open_world(&w);
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        put_file(&w, names[i], "x");
    assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
    assert_true(!found && notices.len == 0);
    state_close(&s);
    save(&w, 3, 5);
    assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
    assert_true(found && s.step == 5 && notices.len == 0);
    state_close(&s);
    close_world(&w);
}

/* A folder, a pipe, a link to a good one, a huge and an empty file: none is read, and none hides or
 * removes the good ones. */
static void what_is_not_a_regular_file_of_the_right_size_is_passed_over(void **state)
{
    struct world w;
    struct state s;
    struct buf notices = {0};
    char *paths[5];
    bool found;
    int i;

    (void)state;
    open_world(&w);
    save(&w, 1, 2);
    for (i = 0; i < 5; i++)
        paths[i] = path_of(&w, 10 + i);
    assert_int_equal(mkdir(paths[0], 0700), 0);
    assert_int_equal(mkfifo(paths[1], 0600), 0);
    assert_int_equal(symlink("step-00000002.checkpoint", paths[2]), 0);
    put_file(&w, "step-00000013.checkpoint", "");
    assert_int_equal(truncate(paths[3], (off_t)1 << 40), 0);
    put_file(&w, "step-00000014.checkpoint", "");
    save(&w, 3, 4);
    assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
    assert_true(found && s.step == 4);
    for (i = 0; i < 5; i++) {
        assert_non_null(strstr(notices.data, paths[i]));
        free(paths[i]);
    }
    buf_free(&notices);
    state_close(&s);
    close_world(&w);
}

static void many_files_do_not_hide_the_newest(void **state)
{
    struct world w;
    struct state s;
    struct buf notices = {0};
    bool found;
    int i;

    (void)state;
    open_world(&w);
    save(&w, 99, 99);
    for (i = 0; i < 90; i++) {
        char name[40];
        snprintf(name, sizeof(name), "step-%08d.checkpoint", i);
        put_file(&w, name, "x");
    }
    assert_int_equal(load(&w, &identity, &s, &found, &notices), 0);
    assert_true(found && s.step == 99 && notices.len == 0);
    state_close(&s);
    close_world(&w);
}

static void folder_is_for_its_owner_and_its_errors_are_reported(void **state)
{
    struct world w;
    struct checkpoint *c;
    struct state s;
    struct stat st;
    struct buf notices = {0};
    char *folder, *under;
    bool found;

    (void)state;
    open_world(&w);
    folder = file_join(w.folder, "new/checkpoint");
    under = file_join(w.folder, "file");
    assert_int_equal(checkpoint_open(folder, 0, &c, &err), 0);
    checkpoint_close(c);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    put_file(&w, "file", "x");
    assert_int_equal(state_open(&w.layout, &s, &err), 0);
    assert_int_equal(checkpoint_load(under, &s, &identity, &found, &notices, &err), ERR_IO);
    state_close(&s);
    free(folder);
    free(under);
    close_world(&w);
}

/* ---- metrics ---- */

#define ROW(step, rest)                                                                            \
    "{\"step\": " step ", \"loss\": 2.5, \"grad_norm\": 1, \"learning_rate\": 0.1, "               \
    "\"tokens\": 9, \"trained_tokens\": 3, \"seconds\": 0.5, \"phase\": \"dash\"" rest "}\n"

static void rows_with_wrong_numbers_end_the_history(void **state)
{
    static const struct {
        const char *text;
        int kept;
    } cases[] = {
        {ROW("1", "") ROW("2", ", \"eval_loss\": 1.5") ROW("3", ""), 3},
        {ROW("1", "") ROW("2", "") "{\"step\": 3", 2},
        {ROW("-1", ""), 0},
        {ROW("4294967297", ""), 0},
        {ROW("1.0", ""), 0},
        {ROW("1", ", \"eval_loss\": \"low\""), 0},
        {ROW("1", ", \"loss\": 1"), 0},
        {"[1]\n", 0},
        {"{\"step\": 1}\n", 0},
    };
    struct world w;
    char *path, *text;
    size_t i, len;

    (void)state;
    open_world(&w);
    path = file_join(w.folder, "metrics.jsonl");
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct step_row *rows, row = {.step = 4, .loss = 1, .tokens = 2, .phase = 3};
        struct metrics m;
        int n;
        put_file(&w, "metrics.jsonl", cases[i].text);
        assert_int_equal(metrics_open(w.folder, 3, &m, &rows, &n, &err), 0);
        assert_int_equal(n, cases[i].kept);
        assert_int_equal(metrics_add(&m, &row, &err), 0);
        metrics_close(&m);
        free(rows);
        assert_int_equal(file_read(path, 1 << 30, &text, &len, &err), 0);
        assert_memory_equal(text, cases[i].text, n ? 100 : 0);
        assert_non_null(strstr(text, "{\"step\": 4, "));
        free(text);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    {
        struct step_row *rows;
        struct metrics m;
        int n;
        assert_int_equal(metrics_open(w.folder, 3, &m, &rows, &n, &err), ERR_INVALID);
    }
    free(path);
    close_world(&w);
}

/* The file may grow by a part of the row only, as on a disk that is nearly full. */
static void row_that_is_written_in_part_is_an_error(void **state)
{
    struct step_row *rows, row = {.step = 1, .loss = 1, .phase = 3};
    struct rlimit before, small = {.rlim_cur = 40};
    struct world w;
    struct metrics m;
    int n;

    (void)state;
    open_world(&w);
    assert_int_equal(metrics_open(w.folder, 0, &m, &rows, &n, &err), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    n = metrics_add(&m, &row, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(n, ERR_IO);
    metrics_close(&m);
    free(rows);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_what_is_loaded),
        cmocka_unit_test(two_are_kept),
        cmocka_unit_test(best_of_each_is_kept),
        cmocka_unit_test(any_damaged_byte_falls_back_to_the_one_before),
        cmocka_unit_test(cut_off_newest_falls_back_and_nothing_left_is_an_error),
        cmocka_unit_test(strangers_are_refused_in_words),
        cmocka_unit_test(rows_that_were_not_read_yet_do_not_count),
        cmocka_unit_test(folder_that_cannot_be_written_is_named),
        cmocka_unit_test(right_checksum_over_wrong_words_falls_back),
        cmocka_unit_test(right_checksum_over_wrong_numbers_falls_back),
        cmocka_unit_test(step_and_directions_fit_the_job),
        cmocka_unit_test(numbers_that_could_not_be_read_back_are_not_written),
        cmocka_unit_test(other_names_are_not_checkpoints),
        cmocka_unit_test(what_is_not_a_regular_file_of_the_right_size_is_passed_over),
        cmocka_unit_test(many_files_do_not_hide_the_newest),
        cmocka_unit_test(folder_is_for_its_owner_and_its_errors_are_reported),
        cmocka_unit_test(rows_with_wrong_numbers_end_the_history),
        cmocka_unit_test(row_that_is_written_in_part_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
