/* proto/ranks.h - messages between the MPI ranks of one job. The only file that includes mpi.h is ranks.c.
 *
 * Rank 0 is the coordinator, ranks 1..N are workers: worker w = replica * stages + stage is rank w + 1.
 *
 *   coordinator -> worker                        worker -> coordinator
 *     RANK_SETUP       job, share of the model     RANK_READY       weights' hash, memory
 *     RANK_DIRECTIONS  U_k, V_k of the share
 *     RANK_STEP        params, micro-batches       RANK_GRADIENTS   losses, summed gradient
 *     RANK_IDENTIFY    params after step t         RANK_IDENTIFIED  indices, delta, sigma, U_k, V_k
 *     RANK_STOP                                    RANK_ERROR       a sentence, instead of any of these
 *   stage s -> s + 1: RANK_ACTIVATION (T, C)       stage s + 1 -> s: RANK_BACKWARD (T, C)
 *
 * In a probe (worker/probe.h) all ranks are dash-worker, and peers: RANK_PROBED what a rank has found, to rank 0; RANK_ECHO
 * any bytes from rank 0, and back.
 *
 * A worker keeps nothing between steps but frozen weights and directions, so that any process can
 * take its place. Sends never block: bytes are copied and sent in the background. Receives wait by
 * polling with a back-off from a yield to a fraction of a millisecond, because Open MPI's own waits
 * spin. All ranks run the same build, so that structs travel as they are.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rank_role { RANK_COORDINATOR, RANK_WORKER, RANK_PEER };

enum rank_tag {
    RANK_SETUP = 1,
    RANK_DIRECTIONS,
    RANK_STEP,
    RANK_IDENTIFY,
    RANK_STOP,
    RANK_READY,
    RANK_GRADIENTS,
    RANK_IDENTIFIED,
    RANK_ERROR,
    RANK_ACTIVATION,
    RANK_BACKWARD,
    RANK_PROBED,
    RANK_ECHO,
};

enum { RANK_ANY = -1 };

struct ranks;

struct rank_message {
    int source;
    int tag;
    struct buf body; /* the receiver's: buf_free() */
};

/* Starts MPI, and checks that rank 0 and only rank 0 is a coordinator, or that all are peers. */
int ranks_open(int *argc, char ***argv, enum rank_role role, struct ranks **ret, struct err *err);
/* Waits until everything sent has left, then ends MPI. */
void ranks_close(struct ranks *r);
/* Ends all ranks of the job at once; does not return. */
void ranks_abort(struct ranks *r, int exit_code) __attribute__((noreturn));

int ranks_index(const struct ranks *r); /* this process's rank */
int ranks_count(const struct ranks *r);
/* Ranks of `role` on this host, this one included: threads are shared among them. */
int ranks_neighbours(const struct ranks *r);
int ranks_neighbour_index(const struct ranks *r); /* which of them this one is, from 0 */

/* Whether the coordinator is on this host too. */
bool ranks_beside_coordinator(const struct ranks *r);

/* Copies len bytes and sends them to rank `to`. */
int ranks_send(struct ranks *r, int to, enum rank_tag tag, const void *bytes, size_t len,
               struct err *err);
/* Waits for a message of this source and tag; RANK_ANY matches all. */
int ranks_receive(struct ranks *r, int from, int tag, struct rank_message *ret, struct err *err);
/* As ranks_receive(), but gives up after timeout_ms: *ret_got tells. */
int ranks_receive_for(struct ranks *r, int from, int tag, int timeout_ms, bool *ret_got,
                      struct rank_message *ret, struct err *err);

/* ---- bodies ---- */

struct rank_setup { /* followed by job_len bytes of job YAML and cache_len of the cache's folder */
    int stage, stages, replica, replicas;
    int first_layer, last_layer; /* [first, last) */
    int threads;                 /* 0: share this host's cores among its workers */
    uint32_t job_len, cache_len;
};

struct rank_ready {
    uint64_t weights_hash[2]; /* sum over the share's tensors of their hashes: shares add up */
    uint64_t resident_bytes;
    int threads;
};

struct rank_step { /* followed by the share's params (f32), then n_micro micro-batches */
    int step;
    int n_micro;        /* of this replica */
    bool dash;          /* directions are known: c is trained */
    bool evaluate;      /* forward only: losses, no gradient */
    uint32_t n_params;  /* of the share; 0 when evaluating with params the worker has */
    double inv_trained; /* 1 / trained positions of the whole step */
};

/* One micro-batch: packed segments, one an example, without padding. Followed by int32 ids (T), int32
 * targets (T; -100: none), int32 starts (n_segments + 1), int32 rows (n_segments: keys of the dropout masks). */
struct rank_micro {
    int index; /* in the whole step */
    int T;
    int n_segments;
    int n_trained;
};

struct rank_gradients { /* followed by n_losses doubles (last stage only), then n_params f32 */
    int step;
    int n_losses;      /* summed cross entropy of each micro-batch of the replica */
    uint32_t n_params; /* 0: the replica had no micro-batch */
    double busy_seconds;
};

/* One map's directions: followed by int32 indices (k), f64 delta (k), f64 sigma (k), f32 U (n, k), f32 V (m, k). A
 * RANK_IDENTIFIED body is any number of these; a RANK_DIRECTIONS body has one for each map of the share. */
struct rank_directions {
    int map; /* in the job's struct trainable */
    int k, rows, columns;
    double next_delta; /* the largest that was not chosen */
};

/* Reads a body piece by piece; NULL once it is too short. */
struct rank_cursor {
    const char *at, *end;
};
const void *rank_take(struct rank_cursor *c, size_t len);
