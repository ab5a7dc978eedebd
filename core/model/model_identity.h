/* core/model/model_identity.h - whether two nodes see the same model under the same path.
 *
 * An identity is taken from an open model, without reading all of a large one: all facts of its
 * description, the names, types, shapes and sizes of its tensors and files, and its weights: every
 * byte up to MODEL_WHOLE_MAX in all, above that blocks spread evenly over each tensor. Times are
 * not part of it, since copies on local disks differ in them. Structs of one build may be sent as
 * they are.
 */
#pragma once
#include "core/model/model.h"
#include <stddef.h>

enum { MODEL_WHOLE_MAX = 256 << 20, MODEL_BLOCK = 4096, MODEL_BLOCKS = 64 /* of a tensor */ };

struct model_identity {
    struct model_config config;
    uint64_t tensors[2]; /* XXH3-128 of names, types, shapes and sizes */
    uint64_t weights[2]; /* XXH3-128 of the weights, or of blocks of them */
};

int model_identify(const struct model *model, struct model_identity *ret, struct err *err);

/* What the model `there` has and the one `here` has not: "has 6 layers there but 8"; false where
 * they are the same. Any bytes may be in `here`. */
bool model_identity_differs(const struct model_identity *there, const struct model_identity *here,
                            char *ret_text, size_t size);
