/* client/node_rate.h - the rate of float products of this machine, measured and kept.
 *
 * It is kept in the cache folder (core/paths.h) as rate-<hash>.json, by CPU model, threads and
 * build: machines that share the folder have one each. A file that is damaged, or of another
 * machine, is as if it was not there.
 */
#pragma once
#include "core/err.h"

/* 1e9 operations a second with a thread on each of cpus_allowed(). Where it is not kept, or was
 * measured on a busy machine, dash-worker measures it for about a second (worker/probe.h). */
int node_rate(double *ret_gflops, struct err *err);
