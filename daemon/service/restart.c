/* daemon/service/restart.c - see restart.h. A pure function of the row and of this death. */
#include "daemon/service/restart.h"
#include <string.h>

enum restart_verdict restart_judge(const struct run_row *row, int steps_done, const char *reason,
                                   bool from_outside, int *ret_deaths)
{
    bool got_on = steps_done > row->death_step;
    int before = got_on ? 0 : row->deaths;

    *ret_deaths = before + 1;
    if (before > 0 && !from_outside && strcmp(reason, row->death_reason) == 0)
        return RESTART_REPEATS;
    return before >= row->max_restarts ? RESTART_SPENT : RESTART_AGAIN;
}

int64_t restart_delay_ms(int deaths, int first_ms)
{
    int64_t delay = first_ms;

    while (--deaths > 0 && delay < RESTART_DELAY_MAX_MS)
        delay *= 2;
    return delay < RESTART_DELAY_MAX_MS ? delay : RESTART_DELAY_MAX_MS;
}
