/* core/job/cost.h - what a step of a job costs, computed from shapes: operations, seconds, bytes.
 *
 * Operations are counted as training does them (worker/layer.c, worker/ops/): nothing below the
 * lowest adapted layer is differentiated, the last layer gives all rows their keys and values and
 * the trained rows the rest, the head sees the trained rows alone, and of the weights only A and B
 * have gradients. A product of (M, K) by (K, N) has 2 M N K operations.
 *
 * Seconds are operations over the node's rate of float products, each kind of work with the share
 * of that rate that it reaches. The shares are constants, measured by tests/bench/parts.c; what a
 * plan says is checked against runs by tests/bench/planned.
 *
 *   stage      t_s = forward and backward of one micro-batch
 *   pipeline   of a replica with m micro-batches and S stages, one forward, one backward
 *              (Narayanan et al. 2019): sum t_s + (m - 1) max t_s. Where all are equal the bubble,
 *              the share in which a worker waits, is (S - 1) / (m + S - 1)
 *   step       broadcast + pipeline + gather + optimizer, one after the other
 *
 * The coordinator sends each worker its numbers and takes each worker's gradients: a star, so that
 * its own link carries replicas times the trained numbers each way.
 */
#pragma once
#include "core/job/job.h"
#include "core/job/node.h"
#include "core/job/worker_memory.h"
#include "core/job/trainable.h"
#include "core/model/model.h"
#include "core/text/dataset.h"

/* Of one step, on average. Rows here are those of a forward pass. */
struct cost_data {
    double tokens;   /* of the rows, as they are counted in tokens a second */
    double computed; /* rows */
    double trained;  /* rows that predict a trained token */
    double pairs;    /* of a query and a key that it sees, without a window */
    int micro_batches;
};
/* shared: the share that rows of a step have in common, as data_order_shared() says; rows share
 * it within a micro-batch only. */
struct cost_data cost_data_of(const struct job_training *training, const struct dataset *d,
                              double shared, const struct micro_batch_sizes *sizes);

struct cost_model { /* borrowed */
    const struct model_config *config;
    const struct trainable *trainable;
    struct cost_data data;
    struct worker_limits limits; /* its worker_bytes and threads are not looked at */
    bool bf16;                   /* training.precision */
    bool quantised; /* the weights take less than a byte each, and are expanded where they are used
                     */
};

/* Operations of a step in some layers. */
struct cost_operations {
    double forward, backward; /* of frozen maps: to the output, to the input */
    double thin;              /* with A and B, U and V, both ways */
    double attention;         /* both ways */
    double head;              /* both ways */
};
double cost_sum(const struct cost_operations *o);

/* Of layers [first, last), with the head if that is the last layer. */
struct cost_operations cost_operations(const struct cost_model *m, int first, int last);
/* Of one frozen product of that many rows and columns by `threads` threads: how many times as long
 * it takes as a large one by threads that never wait. Products are cut into tiles, which must
 * outnumber the threads. */
double cost_of_tiles(double rows, double columns, int threads, bool quantised);
/* Seconds of forward and backward of one micro-batch in the layers of a share, at a rate (1e9
 * operations a second) of that many threads. */
double cost_stage_seconds(const struct cost_model *m, const struct worker_share *share, int threads,
                          double gflops);

struct cost_pipeline {
    double seconds; /* of a replica's micro-batches */
    double bubble;  /* share of it in which a worker waits, on average */
};
struct cost_pipeline cost_pipeline(const double *stage_seconds, int stages, int micro_batches);

struct cost_shape {
    int nodes, workers_per_node, threads, stages, replicas;
    double worker_bytes; /* that each may take: layers are made again where that needs it; 0: any */
};

struct cost_step {
    double compute;                 /* seconds: of the pipeline, with its bubble */
    double bubble;                  /* share of it */
    double broadcast, gathered;     /* bytes */
    double broadcast_s, gathered_s; /* seconds */
    double optimizer;               /* seconds of the coordinator */
    double seconds;                 /* of the step */
    double tokens_per_second;
    double efficiency; /* operations / (seconds * the rate of all nodes) */
};
/* ERR_NOMEM only. The node's rate must be known. */
int cost_step(const struct cost_model *m, const struct node *node, const struct cost_shape *shape,
              struct cost_step *ret, struct err *err);

/* The shape that takes the least time among those that `nodes` nodes have memory for: workers a
 * node, threads, stages and replicas. Where the job has set stages, replicas, threads or memory,
 * they stay. ERR_INVALID where no shape has memory enough; *ret is then the one that needs least.
 */
int cost_choose(const struct cost_model *m, const struct job_parallel *parallel,
                const struct node *node, int nodes, struct cost_shape *ret, struct err *err);

/* Bytes: of the largest worker, of stages that begin at those layers, with as many layers made
 * again as the shape needs; *ret_fits: that is enough. */
double cost_worker_bytes(const struct cost_model *m, const struct cost_shape *shape,
                         const int *first, bool *ret_fits);
/* Of the memory that there is; the rest is for what is not counted. */
#define COST_MEMORY_USED 0.9
/* That each of the workers of a node may take, where the coordinator is, too: of most of the node's
 * memory, or of parallel.memory where that is less. 0: not known. */
double cost_spare_bytes(const struct job_parallel *parallel, const struct trainable *t,
                        double node_bytes, const struct cost_shape *shape);
/* Of the coordinator, which holds `data` bytes of rows. */
double cost_coordinator_bytes(const struct trainable *t, int stages, int replicas, double data);
/* Bytes of a file: a checkpoint once directions are known, and the adapter. */
double cost_checkpoint_bytes(const struct trainable *t);
double cost_adapter_bytes(const struct trainable *t);
