/* daemon/service/run_launch.h - when a run is launched, and how it is stopped.
 *
 * A launch:  commit STARTING -> make the folder, start the process at its gate -> commit its pid ->
 * open the gate. Whatever dies between two of these leaves a row from which run_adopt() continues:
 *
 *   STARTING, no pid        nothing runs: to the queue again. A process may still stand at the
 *                           gate, and hold the folder's lock until it notices: a folder found
 *                           locked is tried again
 *   a pid                   watched until it ends, whatever the state
 *   a pid that has gone     its outcome counts; STARTING without one never got past the gate, or
 *                           died at once: to the queue again
 */
#pragma once
#include "daemon/service/run_table.h"

/* Launches what may be launched now. */
void runs_schedule(struct runs *r);
/* Looks after deadlines, ends that wait for the store and a queue that may move; rests when there
 * are none. timer->data is the runs. */
void runs_tick(uv_timer_t *timer);
/* Takes up a run again that an earlier dashd left. */
int run_adopt(struct run *run, struct err *err);
/* Asks a run to stop, by whatever way there is; it is killed if it takes too long. */
void run_ask_to_stop(struct run *run);
/* True while anything runs. */
bool runs_any_launch(const struct runs *r);
/* Calls what waits for the last launch to be over. */
void runs_notify_stopped(struct runs *r);
