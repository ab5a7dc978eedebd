/* core/job/cost.c - see cost.h: from the seconds of a micro-batch to those of a step, and the shape
 * in which a step takes the fewest. */
#include "core/job/cost.h"
#include "core/model/shard.h"
#include <math.h>
#include <stdlib.h>

/* Of the coordinator, which works alone: to apply a gradient to a number, with its checks, and to
 * make a checkpoint of it. Measured on a Zen 4. */
static const double OPTIMIZER_S = 12e-9;
/* Bytes a second of messages within a node, which are copied at both ends; seconds of a message. */
static const double COPIED = 3e9, MESSAGE_S = 50e-6;
enum { ID_BYTES = 8 /* of a row, with its label */ };

/* Of what the n rows of a step have in common, (n - 1) / n need not be computed, if all begin
 * alike; where they are packed apart, r at a time, (r - 1) / r. */
static double share_kept(const struct job_training *training, int micro_batches)
{
    double n = training->batch_size, r = n / micro_batches;

    return n > 1 ? (1 - 1 / r) / (1 - 1 / n) : 1;
}

/* Sums over the rows of data that train: of those that are kept for a plan, `kept`. */
struct row_sums {
    double rows, tokens, trained;
    double kept_tokens, computed, pairs; /* of those */
};

static void add_row(struct row_sums *sums, const struct example *e)
{
    int n;

    if (e->n_trained == 0)
        return;
    sums->rows++;
    sums->tokens += e->n;
    sums->trained += e->n_trained;
    if (!e->labels)
        return;
    n = data_order_useful_rows(e);
    sums->kept_tokens += e->n;
    sums->computed += n;
    sums->pairs += n * (n + 1.0) / 2;
}

struct cost_data cost_data_of(const struct job_training *training, const struct dataset *d,
                              double shared, const struct micro_batch_sizes *sizes)
{
    struct row_sums s = {0};
    double steps, scale;

    for (long i = 0; i < d->n; i++)
        add_row(&s, &d->examples[i]);
    steps = fmax(s.rows / training->batch_size, 1);
    scale = (s.kept_tokens > 0 ? s.tokens / s.kept_tokens : 0) / steps;
    shared *= share_kept(training, sizes->n);
    return (struct cost_data){.tokens = s.tokens / steps,
                              .computed = s.computed * scale * (1 - shared),
                              .trained = s.trained / steps,
                              .pairs = s.pairs * scale * (1 - shared),
                              .micro_batches = sizes->n};
}

struct cost_pipeline cost_pipeline(const double *stage_seconds, int stages, int micro_batches)
{
    double sum = 0, most = 0;
    struct cost_pipeline p;

    for (int i = 0; i < stages; i++) {
        sum += stage_seconds[i];
        most = fmax(most, stage_seconds[i]);
    }
    p.seconds = sum + (micro_batches - 1) * most;
    p.bubble = p.seconds > 0 ? 1 - micro_batches * sum / (stages * p.seconds) : 0;
    return p;
}

/* Bytes a second between neighbouring stages: within a node where all stages of a replica are. */
static double neighbour_rate(const struct node *node, const struct cost_shape *shape)
{
    bool within = shape->nodes == 1 || shape->workers_per_node % shape->stages == 0;

    return within || node->gbits <= 0 ? COPIED : fmin(COPIED, node->gbits * 1e9 / 8);
}

/* Seconds of a star's messages: what goes to other nodes passes the coordinator's link, and all of
 * it is copied there. */
static double star_seconds(const struct node *node, const struct cost_shape *shape, double bytes)
{
    double away = 1 - 1.0 / shape->nodes;
    double link = node->gbits > 0 ? bytes * away / (node->gbits * 1e9 / 8) : 0;

    return link + bytes / COPIED + MESSAGE_S * shape->stages * shape->replicas;
}

/* The pipeline of one replica. *first has room for the bounds of the stages, *seconds for each. */
static struct cost_pipeline replica_pipeline(const struct cost_model *m, const struct node *node,
                                             const struct cost_shape *shape, int *first,
                                             double *seconds)
{
    double micro = m->data.micro_batches;
    double gflops =
        node->gflops * fmin((double)shape->threads / node->cores, 1.0 / shape->workers_per_node);
    double transfer =
        4 * m->data.computed / micro * m->config->hidden / neighbour_rate(node, shape);
    struct worker_limits limits = m->limits;

    limits.worker_bytes = shape->worker_bytes;
    limits.threads = shape->threads;
    shard_split(m->config, limits.trained, shape->stages, first);
    for (int i = 0; i < shape->stages; i++) {
        struct worker_share share = {i, shape->stages, first[i], first[i + 1], 0};
        share.n_again = worker_memory_fit(&limits, m->config, m->trainable, &share);
        seconds[i] = cost_stage_seconds(m, &share, shape->threads, gflops);
        if (shape->stages > 1) /* what it waits for, there and back */
            seconds[i] += 2 * transfer;
    }
    return cost_pipeline(seconds, shape->stages,
                         (m->data.micro_batches + shape->replicas - 1) / shape->replicas);
}

int cost_step(const struct cost_model *m, const struct node *node, const struct cost_shape *shape,
              struct cost_step *ret, struct err *err)
{
    int *first = calloc((size_t)shape->stages + 1, sizeof(*first));
    double *seconds = calloc((size_t)shape->stages, sizeof(*seconds));
    double numbers = 4.0 * (double)m->trainable->count * shape->replicas;
    struct cost_operations o = cost_operations(m, 0, m->config->n_layers);
    struct cost_pipeline p;
    struct cost_step s;

    if (!first || !seconds) {
        free(first);
        free(seconds);
        return err_nomem(err, (size_t)shape->stages * sizeof(*seconds));
    }
    p = replica_pipeline(m, node, shape, first, seconds);
    free(first);
    free(seconds);
    s = (struct cost_step){.compute = p.seconds, .bubble = p.bubble, .gathered = numbers};
    s.broadcast = numbers + ID_BYTES * m->data.computed * shape->stages;
    s.broadcast_s = star_seconds(node, shape, s.broadcast);
    s.gathered_s = star_seconds(node, shape, s.gathered);
    s.optimizer = OPTIMIZER_S * (double)m->trainable->count;
    s.seconds = s.compute + s.broadcast_s + s.gathered_s + s.optimizer;
    s.tokens_per_second = m->data.tokens / s.seconds;
    s.efficiency = cost_sum(&o) / (s.seconds * shape->nodes * node->gflops * 1e9);
    *ret = s;
    return 0;
}

/* ---- the shape ---- */

struct search {
    const struct cost_model *m;
    const struct job_parallel *parallel;
    const struct node *node;
    int *first;
    bool fits;     /* the best so far does */
    double figure; /* its seconds, or the bytes of its largest worker */
    struct cost_shape best;
};

static bool is_allowed(const struct search *s, const struct cost_shape *shape)
{
    const struct job_parallel *p = s->parallel;

    return (!p->stages || p->stages == shape->stages) &&
           (!p->replicas || p->replicas == shape->replicas);
}

static int consider(struct search *s, struct cost_shape *shape, struct err *err)
{
    struct cost_step step;
    double bytes;
    bool fits;
    int rc;

    if (!is_allowed(s, shape))
        return 0;
    shape->worker_bytes = cost_spare_bytes(s->parallel, s->m->trainable, s->node->bytes, shape);
    shard_split(s->m->config, s->m->limits.trained, shape->stages, s->first);
    bytes = cost_worker_bytes(s->m, shape, s->first, &fits);
    rc = cost_step(s->m, s->node, shape, &step, err);
    if (rc < 0 || (s->fits && !fits))
        return rc;
    if (s->figure == 0 || (fits && !s->fits) || (fits ? step.seconds : bytes) < s->figure) {
        s->best = *shape;
        s->figure = fits ? step.seconds : bytes;
        s->fits = fits;
    }
    return 0;
}

/* All ways to make stages and replicas, a power of two, of the workers of that many nodes: those
 * may be more than an int holds. */
static int consider_workers(struct search *s, int nodes, int per_node, struct err *err)
{
    long workers = (long)nodes * per_node, layers = s->m->config->n_layers;
    struct cost_shape shape = {.nodes = nodes, .workers_per_node = per_node};
    int most = s->m->data.micro_batches, rc = 0;

    if (s->parallel->replicas > most) /* the job says so */
        most = s->parallel->replicas;
    shape.threads = s->parallel->threads ? s->parallel->threads : s->node->cores / per_node;
    for (long replicas = 1; replicas <= most && rc == 0; replicas *= 2) {
        if (workers % replicas != 0 || workers / replicas > layers)
            continue;
        shape.replicas = (int)replicas;
        shape.stages = (int)(workers / replicas);
        rc = consider(s, &shape, err);
    }
    return rc;
}

int cost_choose(const struct cost_model *m, const struct job_parallel *parallel,
                const struct node *node, int nodes, struct cost_shape *ret, struct err *err)
{
    struct search s = {.m = m, .parallel = parallel, .node = node};
    int rc = 0;

    s.first = calloc((size_t)m->config->n_layers + 1, sizeof(*s.first));
    if (!s.first)
        return err_nomem(err, (size_t)m->config->n_layers * sizeof(*s.first));
    for (int used = nodes; used > 0 && rc == 0 && s.figure == 0; used--)
        for (int per_node = 1; per_node <= node->cores && rc == 0; per_node *= 2)
            rc = consider_workers(&s, used, per_node, err);
    free(s.first);
    if (rc < 0)
        return rc;
    *ret = s.best;
    if (s.figure == 0)
        return err_set(err, ERR_INVALID,
                       "no number of workers on %d nodes can be %d stages times %d replicas "
                       "(0: any)",
                       nodes, parallel->stages, parallel->replicas);
    if (!s.fits)
        return err_set(err, ERR_INVALID,
                       "a worker needs %.0f MB even as 1 of %d stages: more than a node has for it",
                       s.figure / 1e6, s.best.stages);
    return 0;
}
