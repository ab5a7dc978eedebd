/* daemon/service/descriptors.c - see descriptors.h. Limits are the process's, and so is what is
 * kept here. */
#include "daemon/service/descriptors.h"
#include <limits.h>
#include <sys/resource.h>

enum { RESERVE_MAX = 256, UNLIMITED = 1 << 20 };

static int limit_before;
static int limit; /* 0: not asked for yet */

/* Asked for once: each connection is compared with it. */
static int soft_limit(void)
{
    struct rlimit r;

    if (!limit)
        limit = getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur > UNLIMITED ? UNLIMITED
                                                                           : (int)r.rlim_cur;
    return limit;
}

static void set_soft_limit(rlim_t to)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return;
    r.rlim_cur = to < r.rlim_max ? to : r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    limit = 0;
}

void descriptors_raise(void)
{
    limit_before = soft_limit();
    set_soft_limit(RLIM_INFINITY);
}

/* This process keeps its limit, which it needs for the pipes: the child's is set from outside,
 * before it has done anything of note. */
int descriptors_spawn(uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *options)
{
    struct rlimit r;
    int rc = uv_spawn(loop, process, options);

    if (rc == 0 && limit_before && getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = (rlim_t)limit_before;
        prlimit(uv_process_get_pid(process), RLIMIT_NOFILE, &r, NULL);
    }
    return rc;
}

int descriptors_limit(void)
{
    return soft_limit();
}

static int reserve(void)
{
    int quarter = soft_limit() / 4;

    return quarter < RESERVE_MAX ? quarter : RESERVE_MAX;
}

int descriptors_connections(int descriptors_each)
{
    return (soft_limit() - reserve()) / 2 / descriptors_each;
}

bool descriptors_allow(int fd)
{
    return fd < soft_limit() - reserve() / 2;
}
