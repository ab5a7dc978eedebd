/* daemon/coordinator/state_file.c - a checkpoint's bytes.
 *
 *   magic "DASHCKPT", u32 version, u32 zero, u64 length and two u64 of XXH3-128 of the payload; then the payload, a
 *   safetensors image: params, m, v (count), and once identified indices (n, k), delta, sigma (n, k), next_delta (n),
 *   U (sum of rows, k), V (sum of columns, k), maps one after the other.
 */
#include "core/tensorfile.h"
#include "daemon/coordinator/state.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char magic[8] = {'D', 'A', 'S', 'H', 'C', 'K', 'P', 'T'};
enum { VERSION = 1 };

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

static int joined_open(struct joined *j, const struct trainable *t, struct err *err)
{
    size_t n = (size_t)t->n, k = (size_t)t->directions;
    int i;

    *j = (struct joined){0};
    for (i = 0; i < t->n; i++) {
        j->rows += (size_t)t->maps[i].rows;
        j->columns += (size_t)t->maps[i].columns;
    }
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

static int encode_payload(const struct state *s, const struct state_identity *identity,
                          const struct joined *j, struct buf *out, struct err *err)
{
    int64_t count = (int64_t)s->layout->count, n = s->layout->n, k = s->layout->directions;
    char step[16];
    const char *metadata[] = {"job",        identity->job,
                              "data",       identity->data,
                              "step",       step,
                              "identified", s->identified ? "yes" : "no",
                              "weights",    identity->weights};
    struct tensor_out tensors[] = {
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

    snprintf(step, sizeof(step), "%d", s->step);
    return safetensors_encode(tensors, s->identified ? 9 : 3, metadata, 5, out, err);
}

int state_encode(const struct state *s, const struct state_identity *identity, struct buf *out,
                 struct err *err)
{
    struct joined j = {0};
    struct header h = {.version = VERSION};
    XXH128_hash_t hash;
    int rc = 0;

    if (s->identified)
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
        return err_set(err, ERR_INVALID, "%s is no checkpoint of this program", name);
    memcpy(&h, bytes, sizeof(h));
    if (h.version != VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s has version %u of the checkpoint format; this program reads %d", name,
                       h.version, VERSION);
    if (h.length != len - sizeof(h))
        return err_set(err, ERR_INVALID, "%s is cut off: %zu bytes of %zu are there", name, len,
                       (size_t)h.length + sizeof(h));
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

static int take(const struct tensorfile *f, const char *key, void *out, size_t bytes,
                const char *name, struct err *err)
{
    const struct tensor *t = tensorfile_find(f, key);

    if (!t || t->bytes != bytes)
        return err_set(err, ERR_INVALID, "%s lacks a whole tensor %s", name, key);
    memcpy(out, t->data, bytes);
    return 0;
}

static int take_chosen(struct state *s, const struct tensorfile *f, const char *name,
                       struct err *err)
{
    size_t n = (size_t)s->layout->n, k = (size_t)s->layout->directions;
    struct joined j;
    int rc = joined_open(&j, s->layout, err);

    if (rc == 0)
        rc = take(f, "indices", j.indices, n * k * sizeof(*j.indices), name, err);
    if (rc == 0)
        rc = take(f, "delta", j.delta, n * k * sizeof(*j.delta), name, err);
    if (rc == 0)
        rc = take(f, "sigma", j.sigma, n * k * sizeof(*j.sigma), name, err);
    if (rc == 0)
        rc = take(f, "next_delta", j.next_delta, n * sizeof(*j.next_delta), name, err);
    if (rc == 0)
        rc = take(f, "U", j.U, j.rows * k * sizeof(*j.U), name, err);
    if (rc == 0)
        rc = take(f, "V", j.V, j.columns * k * sizeof(*j.V), name, err);
    if (rc == 0)
        copy_chosen(&j, s, false);
    joined_close(&j);
    return rc;
}

static int take_all(struct state *s, const struct tensorfile *f, const char *name, struct err *err)
{
    size_t bytes = s->layout->count * sizeof(float);
    const char *step = tensorfile_metadata(f, "step"),
               *known = tensorfile_metadata(f, "identified");
    int rc = take(f, "params", s->params, bytes, name, err);

    if (rc == 0)
        rc = take(f, "m", s->m, bytes, name, err);
    if (rc == 0)
        rc = take(f, "v", s->v, bytes, name, err);
    s->identified = known && strcmp(known, "yes") == 0;
    if (rc == 0 && s->identified && s->chosen)
        rc = take_chosen(s, f, name, err);
    s->step = step ? atoi(step) : 0;
    return rc;
}

int state_decode(struct state *s, const struct state_identity *identity, const void *bytes,
                 size_t len, const char *name, struct err *err)
{
    struct tensorfile *f = NULL;
    int rc = check_header(bytes, len, name, err);

    if (rc < 0)
        return rc;
    rc = tensorfile_from_memory((const char *)bytes + sizeof(struct header),
                                len - sizeof(struct header), name, &f, err);
    if (rc == 0)
        rc = check_identity(f, identity, name, err);
    if (rc == 0)
        rc = take_all(s, f, name, err);
    tensorfile_close(f);
    return rc;
}
