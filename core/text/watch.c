/* core/text/watch.c - a look at the clock costs more than a step: it is taken every few thousand
 * steps.
 */
#include "core/text/watch.h"
#include "core/clock.h"

enum { TEXT_NS = 2000000000, BYTE_NS = 1000 };
enum { CHECK_AFTER = 4096 }; /* steps between looks at the clock */

void watch_start(struct watch *w, size_t text_len)
{
    *w = (struct watch){.until_ns = clock_thread_ns() + TEXT_NS + (int64_t)text_len * BYTE_NS};
}

bool watch_is_late(struct watch *w, size_t work)
{
    w->work += work;
    if (w->work < CHECK_AFTER)
        return false;
    w->work = 0;
    return clock_thread_ns() > w->until_ns;
}

double watch_seconds(size_t text_len)
{
    return TEXT_NS * 1e-9 + (double)text_len * BYTE_NS * 1e-9;
}
