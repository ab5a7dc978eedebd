/* core/model/shard.h - which layers a pipeline stage holds.
 *
 * All layers of a Llama cost the same; the last stage also carries the final norm, lm_head and
 * loss, whose cost counts in proportion to the positions that are trained. The split minimises the
 * cost of the dearest stage, of equal ones with the fewest layers at the end; the embedding's
 * look-up costs nothing worth counting.
 */
#pragma once
#include "core/model/model.h"

/* Writes stages + 1 bounds: stage i holds layers [ret_first[i], ret_first[i + 1]). 1 <= stages <=
 * n_layers; trained_fraction is trained positions / all positions. */
void shard_split(const struct model_config *config, double trained_fraction, int stages,
                 int *ret_first);

/* Matrix elements of one layer. */
double shard_layer_elements(const struct model_config *config);
