/* core/model/shard.c - see shard.h. Layers cost the same, so a split is decided by how many the
 * last stage has beside the head. */
#include "core/model/shard.h"

double shard_layer_elements(const struct model_config *config)
{
    double sum = 0;
    int kind, rows, columns;

    for (kind = 0; kind < MODULE_KINDS; kind++) {
        if (!model_has_module(config, kind))
            continue;
        model_module_shape(config, kind, &rows, &columns);
        sum += (double)rows * columns;
    }
    return sum;
}

/* Cost, in layers, of the dearest stage when the last holds `last` layers. */
static double dearest(int n_layers, int stages, int last, double head)
{
    int rest = n_layers - last, others = stages - 1;
    double widest = others ? (rest + others - 1) / others : 0;

    return widest > last + head ? widest : last + head;
}

void shard_split(const struct model_config *config, double trained_fraction, int stages,
                 int *ret_first)
{
    int L = config->n_layers, others = stages - 1, last, best = L - others, i;
    double head =
        trained_fraction * config->vocab * (double)config->hidden / shard_layer_elements(config);

    if (others == 0)
        best = L;
    for (last = best; others > 0 && last >= 1; last--)
        if (dearest(L, stages, last, head) <= dearest(L, stages, best, head))
            best = last;
    ret_first[0] = 0;
    for (i = 0; i < others; i++)
        ret_first[i + 1] = ret_first[i] + (L - best) / others + (i < (L - best) % others);
    ret_first[stages] = L;
}
