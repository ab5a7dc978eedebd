/* core/job/state_file.c - a checkpoint's bytes.
 *
 *   magic "DASHCKPT", u32 version, u32 zero, u64 length, two u64 of XXH3-128 of the payload;
 *   then the payload, a safetensors image: params, m, v (count), and once identified
 *   indices (n, k), delta, sigma (n, k), next_delta (n), U (sum of rows, k),
 *   V (sum of columns, k), maps one after the other.
 *
 * The checksum finds damage, not a wrong writer: after it every number is checked too, and only
 * then copied.
 */
#include "core/finite.h"
#include "core/tensor/tensorfile.h"
#include "core/job/state.h"
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

/* The tensors of a checkpoint. The set may be without memory where only the shapes matter. */
static int list_tensors(const struct state *s, const struct direction_set *set, bool identified,
                        struct tensor_out ret[TENSORS_IDENTIFIED])
{
    int64_t count = (int64_t)s->layout->count, n = s->layout->n, k = s->layout->directions;
    const struct tensor_out tensors[TENSORS_IDENTIFIED] = {
        {"params", TENSOR_F32, 1, {count}, s->params},
        {"m", TENSOR_F32, 1, {count}, s->m},
        {"v", TENSOR_F32, 1, {count}, s->v},
        {"indices", TENSOR_I32, 2, {n, k}, set->indices},
        {"delta", TENSOR_F64, 2, {n, k}, set->delta},
        {"sigma", TENSOR_F64, 2, {n, k}, set->sigma},
        {"next_delta", TENSOR_F64, 1, {n}, set->next_delta},
        {"U", TENSOR_F32, 2, {(int64_t)set->rows, k}, set->U},
        {"V", TENSOR_F32, 2, {(int64_t)set->columns, k}, set->V},
    };

    memcpy(ret, tensors, sizeof(tensors));
    return identified ? TENSORS_IDENTIFIED : TENSORS_PLAIN;
}

static int encode_payload(const struct state *s, const struct state_identity *identity,
                          struct buf *out, struct err *err)
{
    struct tensor_out tensors[TENSORS_IDENTIFIED];
    int n = list_tensors(s, &s->chosen, s->identified, tensors);
    char step[16], rows[24], evaluations[EVALUATIONS_TEXT_MAX];
    const char *metadata[] = {"job",         identity->job,
                              "data",        identity->data,
                              "rows",        rows,
                              "step",        step,
                              "identified",  s->identified ? "yes" : "no",
                              "weights",     identity->weights,
                              "evaluations", evaluations};

    snprintf(step, sizeof(step), "%d", s->step);
    snprintf(rows, sizeof(rows), "%ld", identity->rows);
    evaluations_print(&s->evaluations, evaluations, sizeof(evaluations));
    return safetensors_encode(tensors, n, metadata, s->evaluations.best_step ? 7 : 6, out, err);
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
    struct direction_set set;
    size_t least = sizeof(struct header);
    int i;

    direction_set_size(&set, layout->maps, layout->n, layout->directions);
    list_tensors(&s, &set, true, tensors);
    for (i = 0; i < TENSORS_IDENTIFIED; i++) {
        least += tensor_bytes(&tensors[i]);
        if ((i + 1 == TENSORS_PLAIN || i + 1 == TENSORS_IDENTIFIED) && bytes > least &&
            bytes <= least + IMAGE_HEADER_MAX)
            return true;
    }
    return false;
}

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
    struct header h = {.version = VERSION};
    XXH128_hash_t hash;
    int rc = check_vectors(s, err);

    buf_append(out, &h, sizeof(h));
    if (rc == 0)
        rc = encode_payload(s, identity, out, err);
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

/* Of the job's rows as many as the checkpoint is of; one of an earlier version is of all. */
static int hash_of_rows(const struct tensorfile *f, const struct state_identity *identity,
                        char ret_hex[33], struct err *err)
{
    const char *text = tensorfile_metadata(f, "rows");
    char *end = NULL;
    long rows = text ? strtol(text, &end, 10) : -1;

    ret_hex[0] = '\0';
    if (text && (end == text || *end || rows < 0))
        return 0; /* equal to none */
    return identity->hash_rows(identity->context, rows, ret_hex, err);
}

static int check_data(const struct tensorfile *f, const struct state_identity *identity,
                      const char *name, struct err *err)
{
    const char *have = tensorfile_metadata(f, "data");
    char want[33];
    int rc = identity->hash_rows ? hash_of_rows(f, identity, want, err) : 0;

    if (rc < 0 || !identity->hash_rows || (have && want[0] && strcmp(have, want) == 0))
        return rc;
    return err_set(err, ERR_STATE,
                   "%s is a checkpoint of other data (the rows of the training file have changed)",
                   name);
}

static int check_identity(const struct tensorfile *f, const struct state_identity *identity,
                          const char *name, struct err *err)
{
    const struct {
        const char *key, *want, *what;
    } checks[] = {
        {"job", identity->job, "another job (its settings differ)"},
        {"weights", identity->weights, "another model (the weights have changed)"},
    };
    size_t i;

    for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        const char *have = tensorfile_metadata(f, checks[i].key);
        if (checks[i].want[0] && (!have || strcmp(have, checks[i].want) != 0))
            return err_set(err, ERR_STATE, "%s is a checkpoint of %s", name, checks[i].what);
    }
    return check_data(f, identity, name, err);
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

/* A job that keeps no best has none. */
static int read_evaluations(const struct tensorfile *f, int step, const char *name,
                            struct evaluations *ret, struct err *err)
{
    const char *text = tensorfile_metadata(f, "evaluations");

    return !text || evaluations_parse(text, step, ret)
               ? 0
               : wrong(name, "what it says of evaluations is wrong", err);
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
    struct direction_set set;
    int i, n;

    direction_set_size(&set, s->layout->maps, s->layout->n, s->layout->directions);
    n = list_tensors(s, &set, identified, tensors);
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

static int check_vectors_read(const struct state *s, const struct tensorfile *f, const char *name,
                              struct err *err)
{
    size_t n = s->layout->count;

    if (!floats_are_right(data_of(f, "params"), n, -FLT_MAX) ||
        !floats_are_right(data_of(f, "m"), n, -FLT_MAX))
        return wrong(name, "a trained number or a moment of it is not finite", err);
    if (!floats_are_right(data_of(f, "v"), n, 0))
        return wrong(name, "a second moment is negative or not finite", err);
    return 0;
}

static void copy_tensor(const struct tensorfile *f, const char *key, void *out)
{
    const struct tensor *t = tensorfile_find(f, key);

    memcpy(out, t->data, t->bytes);
}

/* The directions, checked. Caller closes *ret. */
static int read_directions(const struct state *s, const struct tensorfile *f, const char *name,
                           struct direction_set *ret, struct err *err)
{
    int rc = direction_set_open(ret, s->layout->maps, s->layout->n, s->layout->directions, err);

    if (rc < 0)
        return rc;
    copy_tensor(f, "indices", ret->indices);
    copy_tensor(f, "delta", ret->delta);
    copy_tensor(f, "sigma", ret->sigma);
    copy_tensor(f, "next_delta", ret->next_delta);
    copy_tensor(f, "U", ret->U);
    copy_tensor(f, "V", ret->V);
    for (int i = 0; i < ret->n && rc == 0; i++) {
        const struct directions *d = &ret->of[i];
        struct directions_view v = directions_view(d);
        const char *fault = directions_fault(&v, d->k, d->rows, d->columns);
        rc = fault ? wrong(name, fault, err) : 0;
    }
    return rc;
}

/* All has been checked. What s had of directions is in set afterwards. */
static void replace(struct state *s, const struct tensorfile *f, bool identified, int step,
                    struct direction_set *set)
{
    struct direction_set old = s->chosen;

    copy_tensor(f, "params", s->params);
    copy_tensor(f, "m", s->m);
    copy_tensor(f, "v", s->v);
    if (identified) {
        s->chosen = *set;
        *set = old;
    }
    s->identified = identified;
    s->step = step;
}

int state_decode(struct state *s, const struct state_identity *identity, int step,
                 const void *bytes, size_t len, const char *name, struct err *err)
{
    struct tensorfile *f = NULL;
    struct direction_set set = {0};
    struct evaluations evaluations = {0};
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
        rc = read_evaluations(f, step, name, &evaluations, err);
    if (rc == 0)
        rc = check_tensors(s, f, identified, name, err);
    if (rc == 0)
        rc = check_vectors_read(s, f, name, err);
    if (rc == 0 && identified)
        rc = read_directions(s, f, name, &set, err);
    if (rc == 0) {
        replace(s, f, identified, step, &set);
        s->evaluations = evaluations;
    }
    direction_set_close(&set);
    tensorfile_close(f);
    return rc;
}
