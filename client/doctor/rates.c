/* client/doctor/rates.c - see rates.h. A node that deviates has a line of its own; where none does,
 * the slowest stands for all. */
#include "client/doctor/rates.h"

static const double rate_least = 0.5; /* of what the CPU should give */

static bool check_rate(struct findings *f, const struct probed_rank *rank, double rate,
                       double expected, const char *with)
{
    if (rate >= rate_least * expected)
        return true;
    report_finding(f, "rate", VERDICT_WARNING,
                   "are there other jobs on the node? an OpenBLAS without this CPU's kernels? a "
                   "power cap?",
                   "%s: matrices are multiplied at %.0f GFLOP/s with %s; this CPU should give "
                   "about %.0f",
                   rank->node, rate, with, expected);
    return false;
}

static void report_slowest(struct findings *f, const struct probed_rank *rank, bool is_alone)
{
    char all[100] = "";

    if (rank->threads > 1)
        snprintf(all, sizeof(all), ", %.0f with all %d (about %.0f)", rank->all, rank->threads,
                 rank->all_expected);
    report_finding(
        f, "rate", VERDICT_OK, NULL,
        "%s multiplies matrices at %.0f GFLOP/s with one thread (should be about %.0f)%s",
        is_alone ? rank->node : "the slowest node", rank->one, rank->one_expected, all);
}

void check_rates(struct findings *f, const struct probed *p)
{
    const struct probed_rank *slowest = NULL;
    bool right = true;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const struct probed_rank *rank = &p->ranks[i];
        if (rank->one == 0)
            continue;
        right &= check_rate(f, rank, rank->one, rank->one_expected, "one thread");
        right &= check_rate(f, rank, rank->all, rank->all_expected, "all threads");
        if (!slowest || rank->all < slowest->all)
            slowest = rank;
    }
    if (right && slowest)
        report_slowest(f, slowest, p->n == 1);
}
