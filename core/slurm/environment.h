/* core/slurm/environment.h - what the environment of a process says of the Slurm job, and the
 * launch of MPI, that it belongs to. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* The name of this node: Slurm's, where Slurm started the process (nodes may share a host), else
 * the host's; "?" where there is none. */
void environment_node(char *ret, size_t size);
/* An integer above 0 that Slurm has set, such as SLURM_CPUS_ON_NODE; else 0. */
long environment_number(const char *name);
/* Whether a "NAME=value" ties its process to a job of Slurm's or a launch of MPI's, which programs
 * that belong to another must not inherit. */
bool environment_is_of_job(const char *variable);
