/* core/slurm/state.h - what squeue and sbatch say, understood; and nothing that acts.
 *
 * squeue is asked for `%i|%T|%r|%N|%k` (id, state, reason, nodes, comment), a line a job. A job of
 * ours has the comment "dash:<mark>".
 */
#pragma once
#include "core/slurm/script.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLURM_FORMAT "%i|%T|%r|%N|%k"

enum slurm_state {
    SLURM_PENDING,
    SLURM_PREPARING, /* nodes boot, or are configured */
    SLURM_RUNNING,
    SLURM_SUSPENDED,
    SLURM_COMPLETING, /* how it ends is not known yet */
    /* over: */
    SLURM_COMPLETED,
    SLURM_FAILED,
    SLURM_CANCELLED,
    SLURM_TIMEOUT,
    SLURM_PREEMPTED,
    SLURM_NODE_FAIL,
    SLURM_OUT_OF_MEMORY,
    SLURM_OVER, /* otherwise */
    SLURM_GONE, /* no longer in squeue's list */
    SLURM_NEVER /* never was in it: sbatch did not get through */
};

struct slurm_row {
    int64_t id;
    enum slurm_state state;
    char reason[64];
    char nodes[200];
    char mark[SCRIPT_MARK_LEN + 1]; /* "": none of ours */
};

/* By the name that squeue prints; SLURM_OVER where it is not known. */
enum slurm_state slurm_state_of(const char *name);
bool slurm_is_over(enum slurm_state state);

/* Parses one line; false where it is none. */
bool slurm_parse(const char *line, struct slurm_row *ret);

/* The row of a job in squeue's output, by its mark or, where a site rewrites comments, its id (0:
 * not known): one that is not over before one that is, else the newest. False: none. */
bool slurm_find(const char *output, const char *mark, int64_t id, struct slurm_row *ret);

/* "waits in Slurm's queue as job 17: for nodes to become free (Resources)" */
void slurm_describe(const struct slurm_row *row, char *text, size_t size);

/* What a failed command says, in one line, without Slurm's prefixes. */
void slurm_words(const char *said, char *text, size_t size);
/* Whether the command may succeed later: the controller is away, or a limit on the number of jobs
 * is reached. */
bool slurm_may_pass(const char *said);
