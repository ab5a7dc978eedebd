/* proto/ranks.h - messages between the MPI ranks of one job. The only file that includes mpi.h is
 * ranks.c.
 *
 * Rank 0 is the coordinator, ranks 1..N are workers: worker w = replica * stages + stage is rank w
 * + 1.
 *
 *   coordinator -> worker                        worker -> coordinator
 *     RANK_SETUP       share of the model, LoRA    RANK_READY       weights' hash, memory
 *     RANK_DIRECTIONS  U_k, V_k of the share
 *     RANK_STEP        params, micro-batches       RANK_GRADIENTS   losses, summed gradient
 *     RANK_IDENTIFY    params after step t         RANK_IDENTIFIED  indices, delta, sigma, U_k, V_k
 *                                                  RANK_PROGRESS    decompositions made, now and
 *                                                                   then before these two
 *     RANK_STOP                                    RANK_ERROR       a code and a sentence, instead
 *                                                                   of any of these
 *   stage s -> s + 1: RANK_ACTIVATION (T, C)       stage s + 1 -> s: RANK_BACKWARD (T, C)
 *
 * In a probe (worker/probe.h) all ranks are dash-worker, and peers: RANK_PROBED what a rank has
 * found, to rank 0; RANK_ECHO any bytes from rank 0, and back.
 *
 * A worker keeps nothing between steps but frozen weights and directions, so that any process can
 * take its place. Sends never block: bytes are copied and sent in the background. Receives wait by
 * polling with a back-off from a yield to a fraction of a millisecond, because Open MPI's own waits
 * spin. All ranks run the same build, which ranks_open() checks, so that structs travel as they
 * are. What is in a message may still be wrong: rank_bodies.h checks it.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "proto/rank_bodies.h"
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
    RANK_PROGRESS,
};

enum { RANK_ANY = -1 };

struct ranks;

struct rank_message {
    int source;
    int tag;
    struct buf body; /* the receiver's: buf_free() */
};

/* Starts MPI, and checks that all ranks are of one build (core/build.h) and that rank 0 and only
 * rank 0 is a coordinator, or that all are peers. ERR_INVALID where they are not: every rank gets
 * the same sentence, but those other than 0 wait a moment first, since their end would end rank 0,
 * which may have to write it down. */
int ranks_open(int *argc, char ***argv, enum rank_role role, struct ranks **ret, struct err *err);
/* Waits until everything sent has left, then ends MPI. */
void ranks_close(struct ranks *r);
/* Ends all ranks of the job at once; does not return. */
void ranks_abort(struct ranks *r, int exit_code) __attribute__((noreturn));

int ranks_index(const struct ranks *r); /* this process's rank */
int ranks_count(const struct ranks *r);
/* The name of the node that a rank runs on; "?" where there is no such rank. */
const char *ranks_node(const struct ranks *r, int rank);
/* Puts "rank 2 (node n7) sent a wrong message" in front of what is wrong with it. Returns
 * err->code. */
int ranks_accuse(const struct ranks *r, int rank, struct err *err);
/* Ranks of `role` on this host, this one included: threads are shared among them. */
int ranks_neighbours(const struct ranks *r);
int ranks_neighbour_index(const struct ranks *r); /* which of them this one is, from 0 */

/* Whether the coordinator is on this host too. */
bool ranks_beside_coordinator(const struct ranks *r);

/* Moves on what is under way: MPI may pass a message on only while its sender is in a call of it. A
 * rank that computes for long after it has sent calls this now and then. While something is under
 * way it stays, for at most 20 ms and a sixteenth of the time since the rank last received or
 * stayed. */
void ranks_progress(struct ranks *r);

/* Copies len bytes and sends them to rank `to`. */
int ranks_send(struct ranks *r, int to, enum rank_tag tag, const void *bytes, size_t len,
               struct err *err);
/* Waits for a message of this source and tag; RANK_ANY matches all. */
int ranks_receive(struct ranks *r, int from, int tag, struct rank_message *ret, struct err *err);
/* As ranks_receive(), but gives up after timeout_ms: *ret_got shows which. */
int ranks_receive_for(struct ranks *r, int from, int tag, int timeout_ms, bool *ret_got,
                      struct rank_message *ret, struct err *err);
