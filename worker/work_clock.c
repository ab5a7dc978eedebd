/* worker/work_clock.c - see work_clock.h. */
#include "worker/work_clock.h"
#include "core/clock.h"
#include <string.h>

void work_clock_start(struct work_clock *c, enum work_kind kind)
{
    *c = (struct work_clock){.now = kind, .since = clock_s()};
}

enum work_kind work_clock_turn(struct work_clock *c, enum work_kind kind)
{
    enum work_kind before;
    double now;

    if (!c)
        return kind;
    before = c->now;
    now = clock_s();
    c->seconds[before] += now - c->since;
    c->since = now;
    c->now = kind;
    return before;
}

void work_clock_take(struct work_clock *c, double ret_seconds[WORK_KINDS])
{
    work_clock_turn(c, c->now);
    memcpy(ret_seconds, c->seconds, sizeof(c->seconds));
    memset(c->seconds, 0, sizeof(c->seconds));
}
