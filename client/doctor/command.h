/* client/doctor/command.h - running a program, and the one line of its output that explains most.
 */
#pragma once
#include "client/doctor/findings.h"
#include "client/subprocess.h"
#include "core/job/job.h"

/* Runs a program, with `slurm` in the environment for submitting a job with these settings, from
 * which what belongs to another job is removed (core/slurm/script.h); with NULL in our own. Returns
 * whether it was started; if not it has reported why, as `check` with `remedy`. The caller frees
 * *ret_said with subprocess_free(). */
bool command_run(struct findings *f, const char *check, const char *remedy,
                 const struct subprocess *p, const struct job_slurm *slurm,
                 struct subprocess_said *ret_said);

/* The last line that explains something, without its "sbatch: error: "; at most size - 1 bytes. */
void command_last_line(const char *text, char *ret, size_t size);
/* The line that explains most in the output of ranks and of what started them: one of a rank, else
 * the first. text may be NULL. */
void command_reason(const char *text, char *ret, size_t size);
/* Whether a program failed for an instruction that its CPU does not have. */
bool command_is_other_cpu(const char *text, int status);

/* What to do then. */
#define COMMAND_MARCH_REMEDY                                                                       \
    "build again with -DDASH_MARCH=x86-64-v3, or what the oldest of the CPUs in use supports"
/* What to do if a command of Slurm is not found. */
#define COMMAND_SLURM_REMEDY "load the module of Slurm, or set PATH"
