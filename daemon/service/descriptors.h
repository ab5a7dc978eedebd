/* daemon/service/descriptors.h - how many files this process may have open, and a reserve of them
 * for the store and for jobs, which connections must not take. */
#pragma once
#include <stdbool.h>
#include <uv.h>

/* Raises the limit as far as it may be; once, at the start. */
void descriptors_raise(void);
/* uv_spawn(), with the limit as it was before: what other programs expect, and what sbatch hands on
 * to its jobs. */
int descriptors_spawn(uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *options);

int descriptors_limit(void);
/* What a connection with this descriptor is to do: the lowest free number tells how many are in
 * use. Connections of strangers have half of them, so that there are always some for the user's
 * own. */
enum descriptors_room { DESCRIPTORS_ROOM, DESCRIPTORS_MAKE_ROOM, DESCRIPTORS_REFUSE };
enum descriptors_room descriptors_room(int fd, bool of_stranger);
