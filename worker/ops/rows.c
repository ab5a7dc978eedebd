/* worker/ops/rows.c - see rows.h. Rows are cut into blocks of a fixed height: which thread takes a
 * block changes no bit. */
#include "worker/ops/rows.h"

enum { HEIGHT = 16 };

struct rows {
    void (*block)(void *arg, int first, int last);
    void *arg;
    int T;
};

static void task(void *arg, int i, int thread)
{
    const struct rows *r = arg;
    int first = i * HEIGHT, last = first + HEIGHT;

    (void)thread;
    r->block(r->arg, first, last < r->T ? last : r->T);
}

void rows_run(struct team *team, void (*block)(void *arg, int first, int last), void *arg, int T)
{
    struct rows r = {block, arg, T};

    team_run(team, task, &r, (T + HEIGHT - 1) / HEIGHT);
}
