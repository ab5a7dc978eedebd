/* worker/probe.h - `dash-worker probe`: what a job would find on its nodes, for `dashctl doctor`.
 *
 * Every rank looks at its own node and sends what it found to rank 0, which then measures messages
 * between itself and each other rank, and writes <folder>/probe.json:
 *
 *   {"ranks": [{"rank": 0, "node": "n1", "cpu": "...",
 *               "sees_folder": true, "folder_trouble": null,
 *               "cores": 4, "online": 4, "allotted": 4, "threads": 4,
 *               "memory": 16000, "memory_allotted": 2000,      MB
 *               "reached": "10.0.0.1:4000",
 *               "ran_on": 4, "idle": 0.1,         cores that threads ran on, or that were idle
 *               "one": 103.1, "all": 400.2,       GFLOP/s with one thread, and with all
 *               "best": 410.5,                    with all, of the fastest product
 *               "instructions": "AVX2",           null: not known, as are 0 below
 *               "flop_per_cycle": 32,             that they allow a core
 *               "ghz": 3.4, "ghz_all": 2.6,       the highest clock of one core, and of all
 *               "physical_cores": 4,              that the threads have
 *               "round_trip": 2.1,                us to rank 0 and back, not of rank 0
 *               "bandwidth": 4100.0}, ...]}       MB/s
 *
 * allotted and memory_allotted are Slurm's words, 0 without Slurm. With --one-machine rank 0 alone
 * has the keys from ran_on to physical_cores. A rank that did not answer is {"rank": 3, "silent":
 * true}. Besides, every rank leaves a file <folder>/seen-<rank>, to be found where the folder is
 * shared. All of it takes a few seconds.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>

enum { PROBE_ADDRESSES = 16 };

struct probe {
    const char *folder;
    const char *word; /* what <folder>/word holds, and what is said to whoever connects to an
                         address; or NULL */
    const char *addresses[PROBE_ADDRESSES + 1]; /* "host:port" of dashctl; ends with NULL */
    int n_addresses;
    bool one_machine; /* all ranks are on one: rank 0 alone measures */
    bool alone;       /* no MPI */
};

/* The program: `dash-worker probe ARGS...`. */
int probe_main(int argc, char **argv);

/* What this rank finds on its node; NULL for lack of memory. */
json_t *probe_node(const struct probe *p, int rank);

/* Multiplies float matrices for half a second each, with one thread and with all; adds the rates.
 */
int probe_rate(int threads, json_t *found, struct err *err);
/* Adds what bounds these rates: instruction set, clock, cores. */
void probe_cpu(int threads, json_t *found);

/* The first of the addresses that answers with the word within two seconds; NULL: none. */
const char *probe_reach(const char *const *addresses, const char *word);
