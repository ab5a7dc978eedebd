/* daemon/service/restart.h - whether a job whose launch has died is launched again: a decision, and
 * nothing that acts.
 *
 *   got on since the last death          the count begins anew
 *   the same words at the same step      REPEATS: another try would end there too
 *   max_restarts deaths without progress SPENT
 *   else                                 AGAIN, after a delay that doubles with each death
 *
 * A signal from outside (somebody's kill -9, the out-of-memory killer) says nothing about the step
 * it met: it is counted, but never taken for a repetition.
 */
#pragma once
#include "daemon/service/store.h"

enum restart_verdict { RESTART_AGAIN, RESTART_REPEATS, RESTART_SPENT };

/* *ret_deaths: deaths without progress, this one included. */
enum restart_verdict restart_judge(const struct run_row *row, int steps_done, const char *reason,
                                   bool from_outside, int *ret_deaths);

/* first_ms, doubled for each further death, at most RESTART_DELAY_MAX_MS. */
enum { RESTART_DELAY_MAX_MS = 60000 };
int64_t restart_delay_ms(int deaths, int first_ms);
