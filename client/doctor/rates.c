/* client/doctor/rates.c - see rates.h. Rates are compared by thread, so that a node of which the
 * job got fewer cores is not a slow one. The median is the upper one: of two nodes the faster. */
#include "client/doctor/rates.h"
#include <stdlib.h>

enum width { ONE_THREAD, ALL_THREADS, WIDTHS };

/* What the nodes have in common. */
struct nodes {
    double median[WIDTHS]; /* GFLOP/s by thread */
    int n;
};

static const int share_of_ceiling[] = {
    [ONE_THREAD] = RATE_OF_CEILING_ONE, [ALL_THREADS] = RATE_OF_CEILING_ALL};

static bool is_measured(const struct probed_rank *r)
{
    return r->one > 0 && r->all > 0 && r->threads > 0;
}

static double rate_of(const struct probed_rank *r, enum width width)
{
    return width == ONE_THREAD ? r->one : r->all;
}

static int threads_of(const struct probed_rank *r, enum width width)
{
    return width == ONE_THREAD ? 1 : r->threads;
}

/* 0: not known. */
static double ceiling_of(const struct probed_rank *r, enum width width)
{
    return width == ONE_THREAD ? r->flop_per_cycle * r->ghz
                               : r->flop_per_cycle * r->ghz_all * r->physical_cores;
}

static const char *put_width(const struct probed_rank *r, enum width width, char *ret, size_t size)
{
    if (width == ONE_THREAD || r->threads == 1)
        snprintf(ret, size, "one thread");
    else
        snprintf(ret, size, "all %d threads", r->threads);
    return ret;
}

/* ---- the median ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* 0 if nothing was measured, or for lack of memory. */
static double median_of(const struct probed *p, enum width width)
{
    double *rates = calloc(p->n, sizeof(*rates)), median = 0;
    size_t i, n = 0;

    for (i = 0; rates && i < p->n; i++)
        if (is_measured(&p->ranks[i]))
            rates[n++] = rate_of(&p->ranks[i], width) / threads_of(&p->ranks[i], width);
    if (n > 0) {
        qsort(rates, n, sizeof(*rates), compare);
        median = rates[n / 2];
    }
    free(rates);
    return median;
}

static struct nodes summarize(const struct probed *p)
{
    struct nodes nodes = {.n = 0};
    size_t i;

    for (i = 0; i < p->n; i++)
        nodes.n += is_measured(&p->ranks[i]);
    nodes.median[ONE_THREAD] = median_of(p, ONE_THREAD);
    nodes.median[ALL_THREADS] = median_of(p, ALL_THREADS);
    return nodes;
}

/* ---- one node ---- */

/* Whether a rate reaches a share of a reference, which `of` describes: "the 96 that ... allows". */
static bool check_share(struct findings *f, const struct probed_rank *r, enum width width,
                        double reference, int percent, const char *of, const char *remedy)
{
    double rate = rate_of(r, width);
    char with[40];

    if (rate * 100 >= reference * percent)
        return true;
    report_finding(
        f, "rate", VERDICT_WARNING, remedy,
        "%s: matrices are multiplied at %.1f GFLOP/s with %s, %.0f%% of %s; expected are "
        "%d%% or more",
        r->node, rate, put_width(r, width, with, sizeof(with)), 100 * rate / reference, of,
        percent);
    return false;
}

static bool check_ceiling(struct findings *f, const struct probed_rank *r, enum width width)
{
    double ceiling = ceiling_of(r, width);
    char of[100];

    snprintf(of, sizeof(of), "the %.0f that %s at %.1f GHz allows", ceiling, r->instructions,
             width == ONE_THREAD ? r->ghz : r->ghz_all);
    return check_share(f, r, width, ceiling, share_of_ceiling[width], of,
                       "look for other programs on the node, an OpenBLAS without kernels for this "
                       "CPU, a limit of the container, and a power cap");
}

static bool check_median(struct findings *f, const struct probed_rank *r, enum width width,
                         const struct nodes *nodes)
{
    double median = nodes->median[width] * threads_of(r, width);
    char of[100];

    snprintf(of, sizeof(of), "the median of %d nodes (%.1f)", nodes->n, median);
    return check_share(f, r, width, median, RATE_OF_MEDIAN, of,
                       "look for other programs on the node, and a power cap; a job waits for its "
                       "slowest node");
}

/* The first that fails explains the others. */
static bool check_node(struct findings *f, const struct probed_rank *r, const struct nodes *nodes)
{
    return check_ceiling(f, r, ONE_THREAD) && check_ceiling(f, r, ALL_THREADS) &&
           check_median(f, r, ONE_THREAD, nodes) && check_median(f, r, ALL_THREADS, nodes);
}

/* ---- all nodes ---- */

static void report_slowest(struct findings *f, const struct probed_rank *r, int n)
{
    double ceiling = ceiling_of(r, ALL_THREADS);
    char all[60] = "", allowed[100] = "";

    if (r->threads > 1)
        snprintf(all, sizeof(all), ", %.1f with all %d", r->all, r->threads);
    if (ceiling > 0)
        snprintf(allowed, sizeof(allowed), " (%s at %.1f GHz allows %.0f)", r->instructions,
                 r->ghz_all, ceiling);
    report_finding(f, "rate", VERDICT_OK, NULL,
                   "%s%s multiplies matrices at %.1f GFLOP/s with one thread%s%s",
                   n > 1 ? "the slowest node " : "", r->node, r->one, all, allowed);
}

void check_rates(struct findings *f, const struct probed *p)
{
    const struct probed_rank *slowest = NULL;
    struct nodes nodes = summarize(p);
    bool right = true;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const struct probed_rank *r = &p->ranks[i];
        if (!is_measured(r))
            continue;
        right &= check_node(f, r, &nodes);
        if (!slowest || r->all < slowest->all)
            slowest = r;
    }
    if (right && slowest)
        report_slowest(f, slowest, nodes.n);
}
