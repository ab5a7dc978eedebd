/* core/job/lora_maps.h - the linear maps of a model that a job adapts, each with its LoRA rank and
 * alpha: what the section lora of a job means for one model, as PEFT reads the same settings.
 */
#pragma once
#include "core/err.h"
#include "core/job/job.h"
#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/problems.h"

struct lora_map {
    int layer;
    enum module_kind kind;
    int rank; /* r */
    double alpha;
};

struct lora_maps {
    struct lora_map *of; /* in order of layer, then of kind; owned */
    int n;
    enum job_scaling scaling; /* of all */
};

/* What lora means for the model. Problems, each with the key that it concerns: a name, a layer or a
 * pattern that matches nothing (file and lines of the job may be absent). ERR_INVALID then. */
int lora_maps_choose(const struct job *job, const struct model_config *config,
                     struct lora_maps *ret, struct problems *problems, struct err *err);
/* Those of an adapter. */
int lora_maps_of_adapter(const struct adapter *a, struct lora_maps *ret, struct err *err);
void lora_maps_free(struct lora_maps *maps);

/* The index of a map, or -1. */
int lora_maps_find(const struct lora_maps *maps, int layer, enum module_kind kind);
