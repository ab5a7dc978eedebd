/* worker/stage.h - a pipeline stage: consecutive layers, with the embedding if it is the first and
 * the head if it is the last. Memory of a micro-batch under way is a slot; 1F1B keeps as many as
 * there are stages after this one, plus one.
 *
 * What nobody asks for is not computed: the last layer gives the trained rows alone, and no
 * gradient goes below the lowest adapted layer of the model, where nothing is kept either.
 *
 * Where memory is short, of some of the layers that have a backward pass (the lowest) only the
 * input is kept; what else their backward pass needs is made again just before it, in memory that
 * they share, by the same operations in the same order: to the same bits (Chen et al. 2016,
 * arXiv 1604.06174).
 */
#pragma once
#include "core/err.h"
#include "core/job/job.h"
#include "core/model/model.h"
#include "core/job/trainable.h"
#include "worker/batch.h"
#include "worker/layer.h"
#include "worker/ops/loss.h"
#include "worker/team.h"

struct stage_slot {
    float *memory;
    size_t floats;
    struct layer_acts *acts; /* a layer each */
    float *y;                /* (T, C): the stage's output, the last's of its rows only; later the
                                gradient to it */
};

struct stage {
    struct team *team;
    double dropout;
    uint64_t seed; /* of dropout */
    const struct trainable *trainable;
    struct model_config config;
    int first, last; /* layers [first, last) */
    int lowest;      /* layer of the model that has an adapter; n_layers where none has */
    bool is_first, is_last;
    int n_again; /* layers that are made again: [max(first, lowest), + n_again) */
    struct {     /* what is kept of the one that was made last */
        float *memory;
        size_t floats;
        const struct stage_slot *slot; /* of its micro-batch; NULL: of none */
        int layer;
    } again;
    size_t begin, end; /* the stage's slice of the trained vector */
    int map_first, map_last;
    struct layer_shape shape;
    struct layer *layers;
    struct weight embedding; /* (V, C); first stage, or tied last */
    struct weight untied;    /* (V, C); last stage, where the head is not the embedding */
    float *final_norm_w;     /* (C), owned; last stage */
    struct layer_scratch scratch;
    float *logits; /* scratch of head_scratch() floats, owned; last stage */
    float *normed; /* of the trained rows: normalised, their gradients, rstd; owned */
    size_t normed_floats;
    struct work_clock clock;
    void (*between_layers)(void *context); /* NULL: nothing; called often during a pass */
    void *context;
    uint64_t hash[2]; /* sum over the stage's tensors of XXH3-128(tensor's f32 bytes, place) */
};

/* Reads the weights of layers [first, last); ERR_INVALID where the model has no such layers. seed
 * is that of dropout. trainable and team must outlive the stage. */
int stage_open(double dropout, uint64_t seed, const struct model *model,
               const struct trainable *trainable, int first, int last, struct team *team,
               struct stage **ret_stage, struct err *err);
void stage_close(struct stage *s); /* NULL-safe */

/* Has products with frozen matrices round their factors to bf16. */
void stage_use_bf16(struct stage *s);

/* Has the lowest n layers that have a backward pass made again for it. */
void stage_make_again(struct stage *s, int n);

/* Takes the slice [begin, end) of the trained vector. */
void stage_load(struct stage *s, const float *slice);
/* Takes the directions of map `index` of the job: U (n, k), V (m, k). */
void stage_direct(struct stage *s, int index, const float *U, const float *V);

struct stage_pass { /* what a pass needs to know beside the batch */
    int step;
    bool train; /* dropout is on, a backward pass follows */
};

/* Makes the scratch large enough for any of the batches of a step; once before its passes. */
int stage_fit(struct stage *s, const struct batch *batches, int n, struct err *err);
/* Makes a slot large enough for a batch. */
int slot_fit(struct stage *s, struct stage_slot *slot, const struct batch *batch, struct err *err);
void slot_free(struct stage_slot *slot);

/* Whether the stage has a backward pass, and whether the stage before it has one, too. */
bool stage_has_backward(const struct stage *s);
bool stage_passes_gradient(const struct stage *s);

/* x (T, C) is the output of the stage before; ignored by the first. Result in slot->y. */
void stage_forward(struct stage *s, struct stage_slot *slot, const struct batch *batch,
                   const struct stage_pass *pass, const float *x);
/* Last stage: *ret_loss is the summed loss. Where weight is not 0 slot->y becomes the gradient of
 * weight * loss, of the rows that it has. */
int stage_loss(struct stage *s, struct stage_slot *slot, const struct batch *batch, float weight,
               double *ret_loss, struct err *err);
/* Last stage: the losses of the trained rows (batch->trained.n) one by one. */
int stage_losses(struct stage *s, const struct stage_slot *slot, const struct batch *batch,
                 double *losses, struct err *err);
/* d (T, C): gradient to slot->y in; to the stage's input out, where stage_passes_gradient().
 * Writes every number of grads, laid out as the slice. */
void stage_backward(struct stage *s, struct stage_slot *slot, const struct batch *batch,
                    const struct stage_pass *pass, float *d, float *grads);

/* The head and the norm before it, of the last stage. */
struct head stage_head(const struct stage *s);
struct rmsnorm stage_final_norm(const struct stage *s);

/* Looks up rows of the embedding, scaled. */
void stage_embed(const struct stage *s, const int32_t *ids, int T, float *x);
