/* core/slurm/script.h - the batch script that trains a job under Slurm, with or without a dashd.
 *
 * It is written to be read, and to stand alone: it places one coordinator and W workers on the
 * nodes that it was given, starts them by srun (pmix) or mpirun, launches them again when one dies,
 * and asks Slurm to queue it again before the time limit. It knows of the job only its output
 * folder, which script_prepare() makes:
 *
 *   <output>/job.yaml      the job with all its defaults
 *   <output>/logs/job.log  what Slurm, the script and the programs say
 *   <output>/logs/runs     how far the last run came, and how many came no further
 *   <output>/logs/launch   the mark of the newest submission: an older script that finds another
 *                          there ends
 *
 * The mark is also the Slurm job's comment, "dash:<mark>": dashd finds its jobs by it.
 *
 * What a user writes reaches a shell in single quotes only, and sbatch in the double quotes of its
 * #SBATCH lines.
 */
#pragma once
#include "core/job/job.h"

enum { SCRIPT_MARK_LEN = 16 };

/* Makes a mark: 16 hex digits that no other has. */
int script_make_mark(char ret_mark[SCRIPT_MARK_LEN + 1], struct err *err);

/* Makes the folder, job.yaml, logs/ and logs/launch; removes what an earlier launch left to be
 * read. */
int script_prepare(const char *output, const char *job_yaml, const char *mark, struct err *err);

/* The environment in which the script is to be submitted: this process's, without what would speak
 * for another Slurm job or against what the script says. slurm NULL: that in which Slurm is asked.
 * Caller frees the array only; NULL for lack of memory. */
char **script_environment(const struct job_slurm *slurm);

/* The script. programs: absolute path of the folder of dash-coordinator and dash-worker, on the
 * nodes. Caller frees; NULL for lack of memory. */
char *script_text(const struct job *job, const char *programs, const char *mark);
