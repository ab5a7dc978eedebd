/* daemon/service/descriptors.h - how many files this process may have open, and a reserve of them
 * for the store and for jobs, which connections must not take. */
#pragma once
#include <stdbool.h>
#include <uv.h>

/* Raises the limit as far as it may be; once, at the start. */
void descriptors_raise(void);
/* uv_spawn() of a program that gets the limit as it was before: what programs expect, and what
 * sbatch hands on to its jobs. */
int descriptors_spawn(uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *options);

int descriptors_limit(void);
/* How many connections a server may have, each with descriptors_each descriptors: half of what is
 * not in reserve, since there are two servers. */
int descriptors_connections(int descriptors_each);
/* Whether a connection may have this descriptor: the lowest free number shows how many are used. */
bool descriptors_allow(int fd);
