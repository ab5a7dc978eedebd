/* core/job/node.h - a node that a plan is made for: this machine, one of a Slurm partition, or one
 * that is only described.
 *
 *   cores=64,gib=256,gflops=3000,gbits=100
 */
#pragma once
#include "core/err.h"
#include "core/problems.h"

struct node {
    int cores;
    double bytes;  /* of memory */
    double gflops; /* 1e9 operations a second of float products, by all cores; 0: not known */
    double gbits;  /* 1e9 bits a second to another node, each way; 0: not known */
};

enum { NODES_MAX = 100000 };

/* Reads the text of a --node. Each key must be there once; all that is wrong is added to problems,
 * and ERR_INVALID returned. */
int node_parse(const char *text, struct node *ret, struct problems *problems, struct err *err);

/* Reads "1,4,16", at least one number of nodes, into ret[max]. ERR_INVALID in words. */
int node_counts_parse(const char *text, int *ret, int max, int *ret_n, struct err *err);
