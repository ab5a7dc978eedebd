/* worker/cpu_binding.h - on which cores a worker runs where several share a node of several
 * sockets.
 *
 * Worker i of n takes the socket i * sockets / n, as long as there are no fewer workers than
 * sockets: its weights then lie in that socket's memory, since its own threads touch them first.
 * Results do not depend on it.
 */
#pragma once
#include <stdbool.h>

/* The package (socket) of each of n_cpus, -1 for those that this process may not run on, and which
 * of n workers of this node it is. Sets wanted[cpu] for those to run on; false where there is
 * nothing to choose. */
bool cpu_binding_choose(const int *package, int n_cpus, int index, int n, bool *wanted);

/* Confines this process, and all threads that it starts, to the cores chosen. What the system does
 * not report or allow is left as it is. */
void cpu_binding_apply(int index, int n);
