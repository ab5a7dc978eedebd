/* core/job/worker_memory.c - see worker_memory.h. The terms follow the allocations of
 * worker/layer_memory.c, stage.c, ops/adapted.c, ops/loss.h and core/tree.h, and are checked
 * against measured peaks by tests/bench/big-shape and tests/e2e. */
#include "core/job/worker_memory.h"
#include "core/job/decomposition.h"
#include <math.h>

/* Open MPI, libraries, stacks of threads, the tokens of a step. */
static const double PROCESS_BYTES = 20e6;
/* Of the head's logits at a time: worker/ops/loss.h. */
enum { LOGIT_ROWS = 256, LOGIT_ROWS_MIN = 16, LOGITS = 1 << 24 };
/* Of attention's blocks, at most: worker/ops/attention.c. */
enum { ATTENTION_ROWS = 96, ATTENTION_HEADS = 4, ATTENTION_QUERIES = 64 };

static int lowest_of(const struct model_config *c, const struct trainable *t)
{
    return t->n ? t->maps[0].layer : c->n_layers;
}

int worker_memory_layers(const struct model_config *c, const struct trainable *t,
                         const struct worker_share *share)
{
    int lowest = lowest_of(c, t), from = lowest > share->first ? lowest : share->first;

    return from < share->last ? share->last - from : 0;
}

/* One matrix is decomposed at a time during training; at step t, as many as there is memory
 * for. */
static double largest_decomposition(const struct trainable *t, int first_map, int last_map)
{
    double most = 0;

    for (int i = first_map; i < last_map && t->directions > 0; i++)
        most = fmax(most, decomposition_bytes(t->maps[i].rows, t->maps[i].columns));
    return most;
}

struct layer_floats { /* of a token */
    double x;         /* the layer's input */
    double any;       /* what is kept beside it of any token */
    double wanted;    /* and more of one whose output is wanted */
};

/* adapters: columns of u of a layer, on average. */
static struct layer_floats layer_floats(const struct model_config *c, double adapters)
{
    double q = c->n_heads * (double)c->head_dim, kv = c->n_kv_heads * (double)c->head_dim;
    double norms = c->qk_norm == QK_NORM_NONE ? 0 : 1;

    return (struct layer_floats){
        .x = c->hidden,
        .any = 1 + norms * (c->n_kv_heads + kv) + 2 * kv + adapters / 2,
        .wanted = 3 + c->n_heads * (1 + norms) + (2 + norms) * q + 2.0 * c->intermediate +
                  (c->post_norm ? 3.0 : 1.0) * c->hidden + adapters / 2,
    };
}

/* What the micro-batches under way keep. Layers below the lowest adapted one take turns in the
 * memory of one; those that are made again do so, too, beside their inputs. The last layer has the
 * trained rows only. */
static double activation_floats(const struct worker_limits *limits, const struct model_config *c,
                                const struct trainable *t, const struct worker_share *s,
                                double adapters)
{
    int layers = worker_memory_layers(c, t, s), kept = layers - s->n_again;
    int slots = layers > 0 ? s->stages - s->stage : 1;
    bool below = layers < s->last - s->first, has_last = s->last == c->n_layers;
    struct layer_floats f = layer_floats(c, adapters);
    double rows = kept + (below ? 1 : 0), wanted;

    wanted = has_last && kept > 0 ? rows - 1 + limits->trained : rows;
    return limits->micro_batch_tokens *
           (slots * (f.x * (s->n_again + rows + 1) + f.any * rows + f.wanted * wanted) +
            (s->n_again ? f.x + f.any + f.wanted : 0));
}

/* Memory that is reserved and never touched does not count: logits are of trained rows. */
static double logit_floats(const struct worker_limits *limits, const struct model_config *c)
{
    double rows = fmin(LOGIT_ROWS, fmax(LOGIT_ROWS_MIN, floor((double)LOGITS / c->vocab)));

    rows = fmin(rows, limits->trained * limits->micro_batch_tokens);
    return rows * c->vocab * (c->logit_cap > 0 ? 2 : 1);
}

/* Of each thread: scores of some queries of the heads that share keys, and what they are of
 * (attention_scratch() of worker/ops/attention.h). */
static double attention_floats(const struct worker_limits *limits, const struct model_config *c)
{
    int group = c->n_heads / c->n_kv_heads, sets = (group + ATTENTION_HEADS - 1) / ATTENTION_HEADS;
    double rows = 0;

    for (int n = (group + sets - 1) / sets, left = group; left > 0; left -= n) {
        int heads = left < n ? left : n;
        rows = fmax(rows, heads * fmin(floor((double)ATTENTION_ROWS / heads), ATTENTION_QUERIES));
    }
    return limits->threads * rows * (2.0 * limits->row_tokens + 3.0 * c->head_dim);
}

static double scratch_floats(const struct worker_limits *limits, const struct model_config *c,
                             bool is_last, double adapters)
{
    double q = c->n_heads * (double)c->head_dim, kv = c->n_kv_heads * (double)c->head_dim;
    double C = c->hidden, F = c->intermediate, T = limits->micro_batch_tokens;
    double floats = T * (4 * C + F + fmax(F, q) + fmax(2 * F, q + 2 * kv) + adapters) +
                    attention_floats(limits, c);

    if (limits->bf16) /* as they are rounded, in half the bytes */
        floats += T * fmax(fmax(C, q), fmax(2 * F, q + 2 * kv)) / 2;
    if (is_last)
        floats += logit_floats(limits, c) + 2 * limits->trained * T * C;
    return floats;
}

/* Adapters as factors; the numbers and the answer of a step as messages; the sums of a binary tree
 * over micro-batches. */
static double trained_floats(const struct worker_limits *limits, const struct trainable *t,
                             int first_map, int last_map, double slice)
{
    double factors = 0, sums = 1 + floor(log2(fmax(1, limits->micro_batches)));

    for (int i = first_map; i < last_map; i++)
        factors += (double)(t->maps[i].rank + t->directions) *
                   ((double)t->maps[i].rows + t->maps[i].columns);
    return factors + slice * (sums + 2);
}

static double widths(const struct trainable *t, int first_map, int last_map)
{
    double sum = 0;

    for (int i = first_map; i < last_map; i++)
        sum += t->maps[i].rank + t->directions;
    return sum;
}

struct worker_limits worker_limits(const struct model *model, const struct micro_batch_sizes *sizes,
                                   double trained, const struct worker_room *room,
                                   enum job_precision precision)
{
    return (struct worker_limits){.micro_batches = sizes->n,
                                  .micro_batch_tokens = sizes->longest,
                                  .row_tokens = sizes->row,
                                  .threads = room->threads,
                                  .trained = trained,
                                  .weights = model_memory(model),
                                  .worker_bytes = room->bytes,
                                  .bf16 = precision == PRECISION_BF16};
}

void worker_memory_of(const struct worker_limits *limits, const struct model_config *c,
                      const struct trainable *t, const struct worker_share *s,
                      struct worker_memory *ret)
{
    bool is_first = s->stage == 0, is_last = s->stage == s->stages - 1;
    int layers = s->last - s->first, first_map, last_map;
    double adapters;
    size_t begin, end;

    trainable_slice(t, s->first, s->last, &first_map, &last_map, &begin, &end);
    adapters = widths(t, first_map, last_map) / layers;
    *ret = (struct worker_memory){
        .weights = limits->weights.layer * layers + (is_last ? limits->weights.head : 0) +
                   (is_first || (is_last && c->tied) ? limits->weights.embedding : 0),
        .trained = 4 * trained_floats(limits, t, first_map, last_map, (double)(end - begin)),
        .activations = 4 * activation_floats(limits, c, t, s, adapters),
        .scratch = 4 * scratch_floats(limits, c, is_last, adapters),
        .decomposition = largest_decomposition(t, first_map, last_map),
        .process = PROCESS_BYTES,
    };
}

double worker_memory_sum(const struct worker_memory *m)
{
    return m->weights + m->trained + m->activations + m->scratch + m->decomposition + m->process;
}

int worker_memory_fit(const struct worker_limits *limits, const struct model_config *c,
                      const struct trainable *t, const struct worker_share *share)
{
    struct worker_share s = *share;
    int most = worker_memory_layers(c, t, share);

    for (s.n_again = 0; s.n_again <= most; s.n_again++) {
        struct worker_memory m;
        worker_memory_of(limits, c, t, &s, &m);
        if (limits->worker_bytes <= 0 || worker_memory_sum(&m) <= limits->worker_bytes)
            return s.n_again;
    }
    return -1;
}

bool worker_memory_choose(const struct worker_limits *limits, const struct model_config *c,
                          const struct trainable *t, struct worker_share *share)
{
    int n = worker_memory_fit(limits, c, t, share);

    share->n_again = n < 0 ? worker_memory_layers(c, t, share) : n;
    return n >= 0;
}
