/* proto/rank_bodies.h - the bodies of the messages between ranks, and their checks.
 *
 * A reader checks everything that can be known of a body from itself and from what the caller
 * expects: its exact length, and every count, index and size in it. It fails with ERR_PEER and
 * words that complete "rank 2 (node n7) sent a wrong message: ...". Pointers that it gives lie in
 * the body, which must outlive them.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/model/model_identity.h"
#include "core/job/direction_profile.h"
#include "core/job/directions.h"
#include "core/job/lora_maps.h"
#include <stddef.h>
#include <stdint.h>

/* Reads a body piece by piece; NULL once it is too short. */
struct rank_cursor {
    const char *at, *end;
};
struct rank_cursor rank_cursor(const struct buf *body);
const void *rank_next(struct rank_cursor *c, size_t len);
/* ERR_PEER where something is left over. */
int rank_end(const struct rank_cursor *c, struct err *err);

/* What a worker needs of its job. Followed by n_maps of struct rank_map, path_len bytes of the
 * model's path and cache_len of the cache's folder. */
struct rank_setup {
    struct model_identity model; /* on the coordinator's node */
    int directions;              /* k; 0 for plain LoRA */
    int scaling;                 /* enum job_scaling */
    int precision;               /* enum job_precision */
    double dropout;
    uint64_t seed;
    int stage, stages, replica, replicas;
    int first_layer, last_layer; /* [first, last) */
    int layers_again;            /* of them: made again for their backward pass */
    int threads;                 /* 0: share this host's cores among its workers */
    double cache_max_bytes;
    double memory_bytes; /* that it may have of its own; 0: any */
    uint32_t n_maps, path_len, cache_len;
};

struct rank_map { /* of struct lora_maps, all of the job's */
    int layer, kind, rank, zero;
    double alpha;
};

/* Fills in scaling and the lengths. cache: NULL for none. */
void rank_setup_append(struct buf *out, const struct rank_setup *setup,
                       const struct trainable *layout, const char *path, const char *cache);

struct rank_setup_parts { /* owned copies */
    struct lora_maps maps;
    char *path;
    char *cache; /* NULL: none */
};

/* rank of count: where the message arrived. The parts are set on success only. */
int rank_setup_read(const struct buf *body, int rank, int count, struct rank_setup *ret,
                    struct rank_setup_parts *ret_parts, struct err *err);
void rank_setup_parts_free(struct rank_setup_parts *parts);

struct rank_ready {
    uint64_t weights_hash[2]; /* sum over the share's tensors of their hashes: shares add up */
    uint64_t resident_bytes;
    int threads;
};

int rank_ready_read(const struct buf *body, struct rank_ready *ret, struct err *err);

struct rank_step { /* followed by the share's params (f32), then n_micro micro-batches */
    int step;
    int n_micro;      /* of this replica */
    uint8_t dash;     /* 1: directions are known, c is trained */
    uint8_t evaluate; /* 1: forward only: losses, no gradient */
    uint32_t n_params;
    double inv_trained; /* 1 / trained positions of the whole step */
};

/* What comes before the micro-batches. n_params: the share's. */
int rank_step_read(struct rank_cursor *c, size_t n_params, struct rank_step *ret,
                   const float **ret_params, struct err *err);

/* One micro-batch: packed segments, one an example, without padding. Followed by int32 ids (T),
 * int32 targets (T; -100: none), int32 starts (n_segments + 1), int32 rows (n_segments: keys of the
 * dropout masks), and, where it is a prefix tree, int32 parents (n_segments: the earlier segment
 * that it continues, -1: none; preorder). */
struct rank_micro {
    int index; /* in the whole step */
    int T;
    int n_segments;
    int n_trained;
    int is_tree; /* 0 or 1 */
};

enum { RANK_NO_TARGET = -100 };

struct rank_micro_view {
    struct rank_micro header;
    const int32_t *ids, *targets, *starts, *rows;
    const int32_t *parents; /* NULL: no segment continues another */
};

/* vocab: ids and targets are below it. */
int rank_micro_read(struct rank_cursor *c, int vocab, struct rank_micro_view *ret, struct err *err);

/* How far a worker's decompositions are; may come at any time after the first RANK_STEP or
 * RANK_IDENTIFY, and until RANK_IDENTIFIED. */
struct rank_progress {
    int done, n; /* matrices */
    double seconds_left;
    double cached_bytes; /* that this worker has added to the cache */
};

int rank_progress_read(const struct buf *body, struct rank_progress *ret, struct err *err);

/* What a worker's time goes to. */
enum work_kind {
    WORK_PRODUCTS,  /* with frozen matrices of the layers */
    WORK_ADAPTERS,  /* A, B and the directions, forward and backward */
    WORK_ATTENTION, /* between projections */
    WORK_HEAD,      /* logits, loss, and their way back */
    WORK_ROWS,      /* norms, rotation, activation, sums: what goes row by row */
    WORK_MESSAGES,  /* reading, writing and moving them */
    WORK_WAITING,   /* for other ranks */
    WORK_KINDS
};

struct rank_gradients { /* followed by n_losses doubles (last stage only), then n_params f32 */
    int step;
    int n_losses;               /* summed cross entropy of each micro-batch of the replica */
    uint32_t n_params;          /* 0: the replica had no micro-batch */
    double seconds[WORK_KINDS]; /* since the answer before */
};

/* Checks a body against what the answer must have. */
int rank_gradients_read(const struct buf *body, int step, int n_losses, size_t n_params,
                        struct rank_gradients *ret, const double **ret_losses,
                        const float **ret_gradients, struct err *err);

/* n f32 of a share, the whole body: RANK_IDENTIFY. All finite. */
int rank_params_read(const struct buf *body, size_t n, const float **ret, struct err *err);

/* One map's directions: followed by int32 indices (k), f64 delta (k), f64 sigma (k), f32 U (n, k),
 * f32 V (m, k). A RANK_IDENTIFIED body has one for each map that the worker decomposes, a
 * RANK_DIRECTIONS body for each map of the share, in rising order. */
struct rank_directions {
    int map; /* in the job's struct trainable */
    int k, rows, columns;
    double next_delta; /* the largest that was not chosen */
};

/* In a RANK_IDENTIFIED body, each map's directions are followed by its profile. */
void rank_profile_append(struct buf *b, const struct direction_profile *profile);
int rank_profile_read(struct rank_cursor *c, const struct trainable *layout, int map,
                      struct direction_profile *ret, struct err *err);

void rank_directions_append(struct buf *b, int map, const struct directions *d);
/* The directions of map `map`, which must come next. */
int rank_directions_read(struct rank_cursor *c, const struct trainable *layout, int map,
                         struct directions_view *ret, struct err *err);

struct rank_error { /* followed by a sentence */
    int code;       /* ERR_INVALID: the next launch would meet it again */
};

/* The code, or ERR_PEER; the sentence is cut to the size, and what is not UTF-8 or a control
 * character becomes '?'. */
int rank_error_read(const struct buf *body, char *ret_text, size_t size);
