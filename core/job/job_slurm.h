/* core/job/job_slurm.h - what a job asks of Slurm, checked and counted.
 *
 *   workers W    stages * replicas; where one of them is auto: as many as the nodes have room for
 *   nodes N      slurm.nodes ("4", or "2-4" where the shape is auto); else as many as W workers
 *                need
 *   a node       holds slurm.workers_per_node workers
 *
 * Where the nodes have room for it, the coordinator has the first node to itself.
 */
#pragma once
#include "core/job/job.h"
#include "core/problems.h"

/* Adds what is wrong with the slurm section of a job whose launcher is slurm. */
void job_slurm_check(const struct job *job, struct problems *problems);

/* The nodes to ask for, for that many workers (0: auto): least and most differ where slurm.nodes is
 * a range. */
void job_slurm_nodes(const struct job_slurm *slurm, int workers, int *ret_least, int *ret_most);

/* Bytes of slurm.mem, which is of a node; 0: not said. */
double job_slurm_memory(const struct job_slurm *slurm);

/* Seconds of a time limit as sbatch reads it: "90", "1:30:00", "2-12", ...; -1: it is none; 0:
 * unlimited. */
long job_slurm_seconds(const char *time);
