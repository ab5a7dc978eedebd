/* core/job/trainable.h - where each trained number lies.
 *
 * All trained numbers of a job are one flat f32 vector. Adapted maps stand in order of layer, then
 * of module_kind; each contributes A (r, m), B (n, r) and, for lora-dash, c (k), in this order. The
 * layers of a stage are consecutive, so a stage's share is one slice. Gradients and Adam's moments
 * have the same layout. Before the directions are known c is 0 and its gradient is 0.
 */
#pragma once
#include "core/err.h"
#include "core/job/lora_maps.h"
#include "core/model/model.h"
#include <stddef.h>

struct trainable_map {
    int layer;
    enum module_kind kind;
    int rows, columns; /* n, m of W */
    int rank;          /* r */
    double alpha;
    double scale;   /* s of alpha and r */
    size_t a, b, c; /* offsets in the vector */
};

struct trainable {
    struct trainable_map *maps;
    int n;
    bool rslora;    /* how scale is made of alpha and r */
    int directions; /* k; 0 for plain LoRA */
    size_t count;   /* numbers in the vector */
};

/* directions: k, 0 for plain LoRA. The maps must be those of the model. */
int trainable_layout(const struct lora_maps *maps, int directions,
                     const struct model_config *config, struct trainable *ret, struct err *err);
/* The same of what a job adapts. ERR_INVALID, with the first problem, where its settings do not fit
 * the model. */
int trainable_of_job(const struct job *job, const struct model_config *config,
                     struct trainable *ret, struct err *err);
void trainable_free(struct trainable *t);

/* The maps [ret_first, ret_last) and numbers [ret_begin, ret_end) of layers [first, last). */
void trainable_slice(const struct trainable *t, int first_layer, int last_layer, int *ret_first,
                     int *ret_last, size_t *ret_begin, size_t *ret_end);
