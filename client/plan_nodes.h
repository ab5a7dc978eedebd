/* client/plan_nodes.h - the nodes that `dashctl plan` is for: those of --node, of the job's Slurm
 * partition, or this machine.
 */
#pragma once
#include "client/job_file.h"
#include "core/job/job_check.h"

struct plan_nodes {
    const char *node, *counts; /* --node and --nodes, or NULL */
    struct job_plan_nodes found;
    char origin[300]; /* of found */
};

/* Fills found for a job file that was read. Where a rate cannot be learned found has none, and its
 * origin says why. Returns EXIT_OK, or prints words and returns EXIT_USAGE where --node or --nodes
 * cannot be used. */
int plan_nodes_find(struct client *c, const struct job_file *f, struct plan_nodes *n);

/* Reads what `sinfo -h -N -o "%P %c %m"` prints: of the nodes of the partition, or of the default
 * one where it is NULL, the least cores and the least memory. Returns whether there are any. */
bool plan_nodes_read_sinfo(const char *text, const char *partition, struct node *ret);
