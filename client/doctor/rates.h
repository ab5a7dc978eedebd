/* client/doctor/rates.h - how fast the nodes multiply matrices, compared with what their CPU allows
 * and with one another.
 *
 *   ceiling of one thread  = GHz * flop per cycle
 *   ceiling of all threads = GHz of all cores * flop per cycle * physical cores
 *
 * The ceiling is of the instruction set, and assumes two full units; no list says which CPU has
 * them. So a rate is too low only far below it: CPUs with one unit, or with units of half the
 * width, reach half; a good BLAS reaches 80% of that; the clock may fall by a third under AVX-512.
 * With all threads the clock falls further, and a virtual machine may hide that two of its CPUs
 * share a core. What is found below are a BLAS without kernels for the CPU, threads that share few
 * cores, a power cap, and other programs. In a virtual machine the clock is mostly the nominal one:
 * a rate may be above the ceiling.
 *
 * Nodes of one job should be equal, so the share of the median can be larger. It leaves room for
 * boost clocks, and for one measurement of half a second. A step waits for the slowest node.
 */
#pragma once
#include "client/doctor/findings.h"
#include "client/doctor/probed.h"

/* In percent; dashctl(1) names these numbers. */
enum { RATE_OF_CEILING_ONE = 20, RATE_OF_CEILING_ALL = 10, RATE_OF_MEDIAN = 70 };

/* Reports each node that is below one of these, once; if there is none, the slowest node. Nodes
 * without measurements are left out, and so are ceilings of an unknown instruction set or clock. */
void check_rates(struct findings *f, const struct probed *p);
