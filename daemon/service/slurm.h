/* daemon/service/slurm.h - the jobs that dashd has in Slurm: submitted, followed, cancelled.
 *
 *   submit     sbatch, the script (core/slurm/script.h) on its standard input; at most SENDING_MAX
 *              at a time
 *   follow     one squeue for all, every poll_s seconds at most; sooner after a submission, a stop
 *              or a report
 *   stop       scancel: TERM to the batch script alone while it runs, so that it ends after a
 *              checkpoint
 *   kill       scancel
 *
 * A job is known by its mark, not by its number: it is found again after a restart of dashd, after
 * an sbatch that died half-way, and when its script has submitted itself anew. What squeue no
 * longer lists, in two looks one after the other, is gone. While the controller does not answer
 * nothing is concluded: that it is away, and that it is back, is reported.
 */
#pragma once
#include "daemon/service/launch.h"
#include "core/slurm/state.h"
#include <uv.h>

struct slurm;

/* How a job looks now, reported after each look at it while it is in Slurm's hands. */
typedef void slurm_news_fn(void *arg, const struct slurm_row *row);

/* Its end, reported once: nothing of it is in Slurm any more. row->state is over; SLURM_NEVER: it
 * did not get there, and words says why, and may_pass whether another try may go better. */
struct slurm_end {
    struct slurm_row row;
    char words[500];
    bool may_pass;
};
typedef void slurm_end_fn(void *arg, const struct slurm_end *end);

struct slurm_spec {
    const char *mark;
    const char *output; /* its folder */
    bool external;      /* submitted by its user, not by dashd */
    int64_t id;         /* as last known; 0 */
    slurm_news_fn *on_news;
    slurm_end_fn *on_end;
    void *arg;
};

/* away(arg, words): the controller does not answer; NULL: it does again. */
int slurm_open(uv_loop_t *loop, int poll_s, void (*away)(void *arg, const char *words), void *arg,
               struct slurm **ret_slurm, struct err *err);
void slurm_close(struct slurm *s); /* NULL-safe; its launches have been forgotten */

/* Whether this machine has Slurm's commands. */
bool slurm_is_here(void);

/* Submits script in the environment env, both copied. The launch is one as of launch.h, and is
 * freed after on_end(). */
int slurm_submit(struct slurm *s, const struct slurm_spec *spec, const char *script,
                 char *const *env, struct launch **ret_launch, struct err *err);
/* Follows one that was submitted before, or will be. */
int slurm_follow(struct slurm *s, const struct slurm_spec *spec, struct launch **ret_launch,
                 struct err *err);

/* Something has happened that Slurm's next answer will show. */
void slurm_look_soon(struct slurm *s);
