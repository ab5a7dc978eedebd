/* worker/work_clock.h - what a worker's time goes to. At every moment it goes to one kind of work;
 * the clock is read where that changes. */
#pragma once
#include "proto/rank_bodies.h"

struct work_clock {
    double seconds[WORK_KINDS];
    enum work_kind now;
    double since;
};

void work_clock_start(struct work_clock *c, enum work_kind kind);
/* From now on time goes to this kind. Returns the one before. NULL: nobody asks. */
enum work_kind work_clock_turn(struct work_clock *c, enum work_kind kind);
/* Takes what was counted since it was taken before. */
void work_clock_take(struct work_clock *c, double ret_seconds[WORK_KINDS]);
