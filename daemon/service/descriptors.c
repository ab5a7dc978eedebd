/* daemon/service/descriptors.c - see descriptors.h. Limits are the process's, and so is what is
 * kept here. */
#include "daemon/service/descriptors.h"
#include <limits.h>
#include <sys/resource.h>

enum { RESERVE_MAX = 256, UNLIMITED = 1 << 20 };

static int limit_before;

static int soft_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur > UNLIMITED)
        return UNLIMITED;
    return (int)r.rlim_cur;
}

static void set_soft_limit(rlim_t limit)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return;
    r.rlim_cur = limit < r.rlim_max ? limit : r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

void descriptors_raise(void)
{
    limit_before = soft_limit();
    set_soft_limit(RLIM_INFINITY);
}

int descriptors_spawn(uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *options)
{
    int limit = soft_limit(), rc;

    if (limit_before)
        set_soft_limit((rlim_t)limit_before);
    rc = uv_spawn(loop, process, options);
    set_soft_limit((rlim_t)limit);
    return rc;
}

int descriptors_limit(void)
{
    return soft_limit();
}

enum descriptors_room descriptors_room(int fd, bool of_stranger)
{
    int limit = soft_limit(), reserve = limit / 4 < RESERVE_MAX ? limit / 4 : RESERVE_MAX;
    int most = of_stranger ? limit / 2 - reserve / 2 : limit - reserve;

    if (fd < most)
        return DESCRIPTORS_ROOM;
    return fd < most + reserve / 2 ? DESCRIPTORS_MAKE_ROOM : DESCRIPTORS_REFUSE;
}
