/* client/doctor/probed.h - what the ranks of a probe found: probe.json, as worker/probe.h describes
 * it, with its types checked.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Numbers are 0 where nothing was measured, texts are "". */
struct probed_rank {
    int rank;
    bool is_silent;   /* it did not answer rank 0; the rest may be empty */
    const char *node; /* "" if it has sent nothing */
    const char *cpu;

    bool sees_folder;
    const char *folder_trouble;

    int cores, online, allotted; /* for this process; in the node; by Slurm, 0 without */
    int threads;                 /* that a worker would have */
    int ran_on;                  /* cores on which that many threads ran; -1: not measured */
    double idle;                 /* of these cores, meanwhile */

    double one, all;          /* GFLOP/s with one thread, and with all */
    double best;              /* with all, of the fastest product */
    const char *instructions; /* "AVX2", or "" */
    int flop_per_cycle;       /* that they allow a core */
    double ghz, ghz_all;      /* the highest clock of one core, and of all */
    int physical_cores;       /* that the threads have */

    double memory_mb, memory_allotted_mb;
    const char *reached;             /* the address by which it reaches this machine */
    double round_trip_us, bandwidth; /* to rank 0; MB/s */
};

struct probed {
    struct probed_rank *ranks; /* (n), n > 0 */
    size_t n;
    json_t *doc; /* holds the texts */
};

/* Keys that are missing or null are as if nothing was measured; one of another type is an error. On
 * success the caller calls probed_free(). */
int probed_parse(const char *text, struct probed *ret, struct err *err);
void probed_free(struct probed *p);

/* How many nodes the ranks are on. */
size_t probed_count_nodes(const struct probed *p);
/* "n1", or "each of 4 nodes"; returns ret. */
const char *probed_all_nodes(const struct probed *p, char *ret, size_t size);
