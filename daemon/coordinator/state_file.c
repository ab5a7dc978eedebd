/* daemon/coordinator/state_file.c - a checkpoint's bytes.
 *
 *   magic "DASHCKPT", u32 version, u32 zero, u64 length, two u64 of XXH3-128 of the payload;
 *   then the payload, a safetensors image: params, m, v (count), and once identified
 *   indices (n, k), delta, sigma (n, k), next_delta (n), U (sum of rows, k),
 *   V (sum of columns, k), maps one after the other.
 *
 * The checksum finds damage, not a wrong writer: after it every number is checked too, and only
 * then copied.
 */
#include "core/tensor/tensorfile.h"
#include "daemon/coordinator/state.h"
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char magic[8] = {'D', 'A', 'S', 'H', 'C', 'K', 'P', 'T'};
enum { VERSION = 1 };
enum { TENSORS_PLAIN = 3, TENSORS_IDENTIFIED = 9 };
enum { IMAGE_HEADER_MAX = 4096 }; /* bytes of the safetensors header: about 1000 are used */

struct header {
    char magic[8];
    uint32_t version, zero;
    uint64_t length, hash[2];
};

/* The directions of all maps, array by array, as they stand in the file. */
struct joined {
    int32_t *indices;
    double *delta, *sigma, *next_delta;
    float *U, *V;
    size_t rows, columns;
};

static void joined_size(struct joined *j, const struct trainable *t)
{
    int i;

    *j = (struct joined){0};
    for (i = 0; i < t->n; i++) {
        j->rows += (size_t)t->maps[i].rows;
        j->columns += (size_t)t->maps[i].columns;
    }
}

static int joined_open(struct joined *j, const struct trainable *t, struct err *err)
{
    size_t n = (size_t)t->n, k = (size_t)t->directions;

    joined_size(j, t);
    j->indices = malloc(n * k * sizeof(*j->indices));
    j->delta = malloc(n * k * sizeof(*j->delta));
    j->sigma = malloc(n * k * sizeof(*j->sigma));
    j->next_delta = malloc(n * sizeof(*j->next_delta));
    j->U = malloc(j->rows * k * sizeof(*j->U));
    j->V = malloc(j->columns * k * sizeof(*j->V));
    if (j->indices && j->delta && j->sigma && j->next_delta && j->U && j->V)
        return 0;
    return err_nomem(err, (j->rows + j->columns) * k * sizeof(float));
}

static void joined_close(struct joined *j)
{
    free(j->indices);
    free(j->delta);
    free(j->sigma);
    free(j->next_delta);
    free(j->U);
    free(j->V);
}

static void move(void *joined, void *own, size_t bytes, bool join)
{
    if (join)
        memcpy(joined, own, bytes);
    else
        memcpy(own, joined, bytes);
}

/* Copies between the joined arrays and each map's own. */
static void copy_chosen(struct joined *j, const struct state *s, bool join)
{
    size_t k = (size_t)s->layout->directions, row = 0, column = 0, i;

    for (i = 0; i < (size_t)s->layout->n; i++) {
        const struct trainable_map *map = &s->layout->maps[i];
        struct chosen *c = &s->chosen[i];
        size_t rows = (size_t)map->rows, columns = (size_t)map->columns;
        move(j->indices + i * k, c->indices, k * sizeof(*c->indices), join);
        move(j->delta + i * k, c->delta, k * sizeof(*c->delta), join);
        move(j->sigma + i * k, c->sigma, k * sizeof(*c->sigma), join);
        move(j->next_delta + i, &c->next_delta, sizeof(c->next_delta), join);
        move(j->U + row * k, c->U, rows * k * sizeof(*c->U), join);
        move(j->V + column * k, c->V, columns * k * sizeof(*c->V), join);
        row += rows;
        column += columns;
    }
}

/* The tensors of a checkpoint; j may be without memory where only the shapes matter. */
static int list_tensors(const struct state *s, const struct joined *j, bool identified,
                        struct tensor_out ret[TENSORS_IDENTIFIED])
{
    int64_t count = (int64_t)s->layout->count, n = s->layout->n, k = s->layout->directions;
    const struct tensor_out tensors[TENSORS_IDENTIFIED] = {
        {"params", TENSOR_F32, 1, {count}, s->params},
        {"m", TENSOR_F32, 1, {count}, s->m},
        {"v", TENSOR_F32, 1, {count}, s->v},
        {"indices", TENSOR_I32, 2, {n, k}, j->indices},
        {"delta", TENSOR_F64, 2, {n, k}, j->delta},
        {"sigma", TENSOR_F64, 2, {n, k}, j->sigma},
        {"next_delta", TENSOR_F64, 1, {n}, j->next_delta},
        {"U", TENSOR_F32, 2, {(int64_t)j->rows, k}, j->U},
        {"V", TENSOR_F32, 2, {(int64_t)j->columns, k}, j->V},
    };

    memcpy(ret, tensors, sizeof(tensors));
    return identified ? TENSORS_IDENTIFIED : TENSORS_PLAIN;
}

static int encode_payload(const struct state *s, const struct state_identity *identity,
                          const struct joined *j, struct buf *out, struct err *err)
{
    struct tensor_out tensors[TENSORS_IDENTIFIED];
    int n = list_tensors(s, j, s->identified, tensors);
    char step[16];
    const char *metadata[] = {"job",        identity->job,
                              "data",       identity->data,
                              "step",       step,
                              "identified", s->identified ? "yes" : "no",
                              "weights",    identity->weights};

    snprintf(step, sizeof(step), "%d", s->step);
    return safetensors_encode(tensors, n, metadata, 5, out, err);
}

static size_t tensor_bytes(const struct tensor_out *t)
{
    size_t bytes = t->type == TENSOR_F64 ? sizeof(double) : sizeof(float);
    int i;

    for (i = 0; i < t->n_dims; i++)
        bytes *= (size_t)t->shape[i];
    return bytes;
}

bool state_size_is_plausible(const struct trainable *layout, size_t bytes)
{
    const struct state s = {.layout = layout};
    struct tensor_out tensors[TENSORS_IDENTIFIED];
    struct joined j;
    size_t least = sizeof(struct header);
    int i;

    joined_size(&j, layout);
    list_tensors(&s, &j, true, tensors);
    for (i = 0; i < TENSORS_IDENTIFIED; i++) {
        least += tensor_bytes(&tensors[i]);
        if ((i + 1 == TENSORS_PLAIN || i + 1 == TENSORS_IDENTIFIED) && bytes > least &&
            bytes <= least + IMAGE_HEADER_MAX)
            return true;
    }
    return false;
}

/* Whether n numbers, wherever they lie, are finite and at least `least`. */
static bool floats_are_right(const void *at, size_t n, float least)
{
    const char *bytes = at;
    bool right = true;
    size_t i;

    for (i = 0; i < n; i++) {
        float x;
        memcpy(&x, bytes + i * sizeof(x), sizeof(x));
        right &= x >= least && x <= FLT_MAX;
    }
    return right;
}

static bool doubles_are_right(const void *at, size_t n, double least)
{
    const char *bytes = at;
    bool right = true;
    size_t i;

    for (i = 0; i < n; i++) {
        double x;
        memcpy(&x, bytes + i * sizeof(x), sizeof(x));
        right &= x >= least && x <= DBL_MAX;
    }
    return right;
}

/* What is written can be read back: see check_numbers(). */
static int check_vectors(const struct state *s, struct err *err)
{
    size_t n = s->layout->count;

    if (floats_are_right(s->params, n, -FLT_MAX) && floats_are_right(s->m, n, -FLT_MAX) &&
        floats_are_right(s->v, n, 0))
        return 0;
    return err_set(err, ERR_INVALID,
                   "after step %d a trained number or a moment of it is not finite; a lower "
                   "training.learning_rate or training.clip_norm may help",
                   s->step);
}

int state_encode(const struct state *s, const struct state_identity *identity, struct buf *out,
                 struct err *err)
{
    struct joined j = {0};
    struct header h = {.version = VERSION};
    XXH128_hash_t hash;
    int rc = check_vectors(s, err);

    if (rc == 0 && s->identified)
        rc = joined_open(&j, s->layout, err);
    if (rc == 0 && s->identified)
        copy_chosen(&j, s, true);
    buf_append(out, &h, sizeof(h));
    if (rc == 0)
        rc = encode_payload(s, identity, &j, out, err);
    joined_close(&j);
    if (rc < 0)
        return rc;
    if (out->failed)
        return err_nomem(err, 3 * s->layout->count * sizeof(float));
    memcpy(h.magic, magic, sizeof(magic));
    h.length = out->len - sizeof(h);
    hash = XXH3_128bits(out->data + sizeof(h), h.length);
    h.hash[0] = hash.low64;
    h.hash[1] = hash.high64;
    memcpy(out->data, &h, sizeof(h));
    return 0;
}

static int check_header(const void *bytes, size_t len, const char *name, struct err *err)
{
    struct header h;
    XXH128_hash_t hash;

    if (len < sizeof(h) || memcmp(bytes, magic, sizeof(magic)) != 0)
        return err_set(err, ERR_INVALID, "%s is not a checkpoint of this program", name);
    memcpy(&h, bytes, sizeof(h));
    if (h.version != VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s has version %u of the checkpoint format; this program reads %d", name,
                       h.version, VERSION);
    if (h.zero != 0)
        return err_set(err, ERR_INVALID, "%s is damaged: its header is wrong", name);
    if (h.length != len - sizeof(h))
        return err_set(err, ERR_INVALID,
                       "%s is cut off: its header announces %llu bytes, and %zu follow", name,
                       (unsigned long long)h.length, len - sizeof(h));
    hash = XXH3_128bits((const char *)bytes + sizeof(h), h.length);
    if (hash.low64 != h.hash[0] || hash.high64 != h.hash[1])
        return err_set(err, ERR_INVALID, "%s is damaged: its checksum is wrong", name);
    return 0;
}

static int check_identity(const struct tensorfile *f, const struct state_identity *identity,
                          const char *name, struct err *err)
{
    const struct {
        const char *key, *want, *what;
    } checks[] = {
        {"job", identity->job, "another job (its settings differ)"},
        {"data", identity->data, "other data (the rows of the training file have changed)"},
        {"weights", identity->weights, "another model (the weights have changed)"},
    };
    size_t i;

    for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        const char *have = tensorfile_metadata(f, checks[i].key);
        if (!have || strcmp(have, checks[i].want) != 0)
            return err_set(err, ERR_STATE, "%s is a checkpoint of %s", name, checks[i].what);
    }
    return 0;
}

static int wrong(const char *name, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s is damaged: %s", name, what);
}

/* The step in decimal, as it is written: no sign, no leading zero, nothing else. */
static bool step_is(const char *text, int step)
{
    char wanted[16];

    snprintf(wanted, sizeof(wanted), "%d", step);
    return text && strcmp(text, wanted) == 0;
}

/* Sets *ret_identified. */
static int check_progress(const struct state *s, const struct tensorfile *f,
                          const struct state_identity *identity, int step, const char *name,
                          bool *ret_identified, struct err *err)
{
    const char *known = tensorfile_metadata(f, "identified");
    bool identified = s->layout->directions > 0 && step >= identity->prelaunch_steps;

    if (step < 0 || step > identity->steps)
        return wrong(name, "its step is not one of the job's", err);
    if (!step_is(tensorfile_metadata(f, "step"), step))
        return wrong(name, "its step is not the one in its name", err);
    if (!known || strcmp(known, identified ? "yes" : "no") != 0)
        return wrong(name, "it has directions before they are chosen, or lacks them after", err);
    *ret_identified = identified;
    return 0;
}

static bool tensor_is(const struct tensor *t, const struct tensor_out *wanted)
{
    return t && t->type == wanted->type && t->n_dims == wanted->n_dims &&
           memcmp(t->shape, wanted->shape, (size_t)t->n_dims * sizeof(t->shape[0])) == 0 &&
           t->bytes == tensor_bytes(wanted);
}

/* Exactly the tensors that a state of this layout has. */
static int check_tensors(const struct state *s, const struct tensorfile *f, bool identified,
                         const char *name, struct err *err)
{
    struct tensor_out tensors[TENSORS_IDENTIFIED];
    struct joined j;
    int i, n;

    joined_size(&j, s->layout);
    n = list_tensors(s, &j, identified, tensors);
    for (i = 0; i < n; i++)
        if (!tensor_is(tensorfile_find(f, tensors[i].name), &tensors[i]))
            return err_set(err, ERR_INVALID,
                           "%s is damaged: tensor %s is missing, or has another type or shape",
                           name, tensors[i].name);
    if (tensorfile_count(f) != n)
        return wrong(name, "it has more tensors than a checkpoint", err);
    return 0;
}

static const void *data_of(const struct tensorfile *f, const char *key)
{
    return tensorfile_find(f, key)->data;
}

/* k different numbers of [0, n). */
static bool indices_are_right(const char *at, int k, int n)
{
    int32_t x, y;
    int i, j;

    for (i = 0; i < k; i++) {
        memcpy(&x, at + (size_t)i * sizeof(x), sizeof(x));
        if (x < 0 || x >= n)
            return false;
        for (j = 0; j < i; j++) {
            memcpy(&y, at + (size_t)j * sizeof(y), sizeof(y));
            if (x == y)
                return false;
        }
    }
    return true;
}

static int check_directions(const struct state *s, const struct tensorfile *f, const char *name,
                            struct err *err)
{
    size_t n = (size_t)s->layout->n, k = (size_t)s->layout->directions;
    const char *indices = data_of(f, "indices");
    struct joined j;
    size_t i;

    joined_size(&j, s->layout);
    for (i = 0; i < n; i++) {
        const struct trainable_map *map = &s->layout->maps[i];
        int smaller = map->rows < map->columns ? map->rows : map->columns;
        if (!indices_are_right(indices + i * k * sizeof(int32_t), (int)k, smaller))
            return wrong(name, "an index of a direction is out of range or is there twice", err);
    }
    if (!doubles_are_right(data_of(f, "delta"), n * k, 0) ||
        !doubles_are_right(data_of(f, "sigma"), n * k, 0) ||
        !doubles_are_right(data_of(f, "next_delta"), n, 0))
        return wrong(name, "a delta or sigma is negative or not finite", err);
    if (!floats_are_right(data_of(f, "U"), j.rows * k, -FLT_MAX) ||
        !floats_are_right(data_of(f, "V"), j.columns * k, -FLT_MAX))
        return wrong(name, "a number of a direction is not finite", err);
    return 0;
}

static int check_numbers(const struct state *s, const struct tensorfile *f, bool identified,
                         const char *name, struct err *err)
{
    size_t n = s->layout->count;

    if (!floats_are_right(data_of(f, "params"), n, -FLT_MAX) ||
        !floats_are_right(data_of(f, "m"), n, -FLT_MAX))
        return wrong(name, "a trained number or a moment of it is not finite", err);
    if (!floats_are_right(data_of(f, "v"), n, 0))
        return wrong(name, "a second moment is negative or not finite", err);
    return identified ? check_directions(s, f, name, err) : 0;
}

static void copy_tensor(const struct tensorfile *f, const char *key, void *out)
{
    const struct tensor *t = tensorfile_find(f, key);

    memcpy(out, t->data, t->bytes);
}

/* All has been checked. */
static int take_all(struct state *s, const struct tensorfile *f, bool identified, struct err *err)
{
    struct joined j = {0};
    int rc = identified ? joined_open(&j, s->layout, err) : 0;

    if (rc == 0 && identified) {
        copy_tensor(f, "indices", j.indices);
        copy_tensor(f, "delta", j.delta);
        copy_tensor(f, "sigma", j.sigma);
        copy_tensor(f, "next_delta", j.next_delta);
        copy_tensor(f, "U", j.U);
        copy_tensor(f, "V", j.V);
        copy_chosen(&j, s, false);
    }
    joined_close(&j);
    if (rc < 0)
        return rc;
    copy_tensor(f, "params", s->params);
    copy_tensor(f, "m", s->m);
    copy_tensor(f, "v", s->v);
    return 0;
}

int state_decode(struct state *s, const struct state_identity *identity, int step,
                 const void *bytes, size_t len, const char *name, struct err *err)
{
    struct tensorfile *f = NULL;
    bool identified = false;
    int rc = check_header(bytes, len, name, err);

    if (rc < 0)
        return rc;
    rc = tensorfile_from_memory((const char *)bytes + sizeof(struct header),
                                len - sizeof(struct header), name, &f, err);
    if (rc == 0)
        rc = check_identity(f, identity, name, err);
    if (rc == 0)
        rc = check_progress(s, f, identity, step, name, &identified, err);
    if (rc == 0)
        rc = check_tensors(s, f, identified, name, err);
    if (rc == 0)
        rc = check_numbers(s, f, identified, name, err);
    if (rc == 0)
        rc = take_all(s, f, identified, err);
    tensorfile_close(f);
    if (rc < 0)
        return rc;
    s->identified = identified;
    s->step = step;
    return 0;
}
