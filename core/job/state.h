/* core/job/state.h - everything that training has made so far, and nothing else: what a
 * checkpoint holds.
 *
 *   params, m, v   one vector each, laid out as core/job/trainable.h says
 *   step           optimizer steps applied; also the data cursor, since the data order is a
 *                  function of it
 *   directions     once identified (step >= t): never chosen again
 *   evaluations    which step is the best, where the job keeps the best
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/job/directions.h"
#include "core/job/evaluations.h"
#include "core/job/job.h"
#include "core/job/trainable.h"
#include "core/model/adapter.h"
#include <stdbool.h>
#include <stdint.h>

struct state {
    const struct trainable *layout; /* borrowed */
    int step;
    bool identified;
    float *params, *m, *v;       /* (layout->count) */
    struct direction_set chosen; /* of the layout; filled once identified; zeroed for plain LoRA */
    struct evaluations evaluations;
};

/* All zero. */
int state_open(const struct trainable *layout, struct state *ret, struct err *err);
void state_close(struct state *s);
/* A ~ U(-1/sqrt(m), 1/sqrt(m)), which is kaiming_uniform(a = sqrt 5); B = 0. Or A and B of
 * init_adapter, unless it is NULL, which must have the job's scale. */
int state_init(struct state *s, uint64_t seed, const char *init_adapter,
               const struct model_config *config, struct err *err);

/* Takes A, B, the directions and their coefficients of another job's state, which is left without
 * its directions; moments and steps begin anew. ERR_INVALID where its layout is another, or it has
 * no directions yet. `name` is for messages. */
int state_continue(struct state *s, struct state *from, const char *name, struct err *err);

/* After identification the delta [s B | U diag(c)] [A ; V^T] as a LoRA of rank r + k = alpha;
 * before it, for plain LoRA, and without directions, A and B with the job's own alpha. */
int state_adapter(const struct state *s, bool with_directions, struct adapter **ret,
                  struct err *err);

/* What a checkpoint must agree with to be this job's. */
struct state_identity {
    char job[33];        /* job_identity() */
    char data[33];       /* dataset_hash() of the rows that had been read, to be written */
    long rows;           /* how many those are */
    char weights[33];    /* sum of the tensors' hashes */
    int steps;           /* of the job: a checkpoint is of one of 0 to steps */
    int prelaunch_steps; /* the directions are known from this step on, unless the job has none */
    /* Of the first `rows` of the job's own rows; -1: all; "" where it has fewer. NULL: a checkpoint
     * of any data will do. */
    int (*hash_rows)(void *context, long rows, char ret_hex[33], struct err *err);
    void *context;
};

/* The bytes of a checkpoint: a header with version, length and XXH3-128 of the rest, then a
 * safetensors image. ERR_INVALID when a number is not finite: such a state could not be read back.
 */
int state_encode(const struct state *s, const struct state_identity *identity, struct buf *out,
                 struct err *err);
/* Replaces s, whose layout it must fit, by the checkpoint of step `step`; on failure s is as
 * before. ERR_INVALID when the bytes are damaged or a number in them is out of range, ERR_STATE
 * when they are another job's. `name` is for messages. */
int state_decode(struct state *s, const struct state_identity *identity, int step,
                 const void *bytes, size_t len, const char *name, struct err *err);
/* Whether a checkpoint of this layout can have this many bytes. */
bool state_size_is_plausible(const struct trainable *layout, size_t bytes);
