/* client/doctor/between.c - what connects the nodes with one another and with this machine: the
 * folder, the network and the ports. */
#include "client/doctor/doctor.h"
#include "client/interrupt.h"
#include <string.h>

static const double bandwidth_least = 100; /* MB/s */
enum { SEE_MS = 5000, LOOK_MS = 200 };     /* a network file system shows new files late */

/* ---- folder ---- */

/* Whether this machine sees what the rank has written. */
static bool see_file_of(const struct meeting *m, int rank)
{
    char name[32];
    int waited;

    snprintf(name, sizeof(name), "seen-%d", rank);
    for (waited = 0; !meeting_has(m, name); waited += LOOK_MS) {
        if (waited >= SEE_MS)
            return false;
        interrupt_sleep_ms(LOOK_MS);
    }
    return true;
}

static bool check_rank_folder(struct doctor *d, const struct meeting *m,
                              const struct probed_rank *rank)
{
    if (!rank->sees_folder)
        report_finding(&d->findings, "folder", VERDICT_PROBLEM, SHARED_FOLDER_REMEDY,
                       "%s does not share %s with this machine: %s", rank->node, d->folder,
                       rank->folder_trouble);
    else if (!see_file_of(m, rank->rank))
        report_finding(&d->findings, "folder", VERDICT_PROBLEM, SHARED_FOLDER_REMEDY,
                       "what %s writes into %s does not appear on this machine", rank->node,
                       d->folder);
    else
        return true;
    return false;
}

void check_folder(struct doctor *d, const struct meeting *m, const struct probed *p)
{
    bool right = true;
    size_t i;

    for (i = 0; i < p->n; i++)
        if (p->ranks[i].node[0])
            right &= check_rank_folder(d, m, &p->ranks[i]);
    if (right)
        report_finding(&d->findings, "folder", VERDICT_OK, NULL, "all nodes share %s", d->folder);
}

/* ---- network ---- */

static bool check_bandwidth(struct findings *f, const struct probed_rank *zero,
                            const struct probed_rank *rank)
{
    if (rank->bandwidth >= bandwidth_least)
        return true;
    report_finding(f, "network", VERDICT_WARNING,
                   "Open MPI may have taken a slow network: OMPI_MCA_btl_tcp_if_include names a "
                   "better one; use few stages and replicas until then",
                   "%s and %s: messages of 4 MB are sent at %.0f MB/s, a small one and its answer "
                   "take %.0f us",
                   zero->node, rank->node, rank->bandwidth, rank->round_trip_us);
    return false;
}

void check_network(struct findings *f, const struct probed *p)
{
    double slowest = 0, longest = 0;
    bool right = true;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const struct probed_rank *rank = &p->ranks[i];
        if (rank->bandwidth == 0)
            continue;
        right &= check_bandwidth(f, &p->ranks[0], rank);
        slowest = slowest == 0 || rank->bandwidth < slowest ? rank->bandwidth : slowest;
        longest = rank->round_trip_us > longest ? rank->round_trip_us : longest;
    }
    if (right && slowest > 0)
        report_finding(f, "network", VERDICT_OK, NULL,
                       "messages of 4 MB are sent at %.0f MB/s or more, a small one and its answer "
                       "take %.3g us or less",
                       slowest, longest);
}

/* ---- ports ---- */

/* Of the host in "host:port". */
static int host_len(const char *address)
{
    const char *colon = strrchr(address, ':');

    return colon ? (int)(colon - address) : 0;
}

static void report_unreachable(struct findings *f, const struct probed_rank *rank)
{
    report_finding(f, "ports", VERDICT_WARNING,
                   "nothing need be done: dashd reads the folders instead; or name an address that "
                   "nodes can reach with `dashd --reports`",
                   "%s reaches no address of this machine: a coordinator there cannot report to a "
                   "dashd here",
                   rank->node);
}

void check_ports(struct findings *f, const struct probed *p)
{
    const char *reached = "";
    bool right = true, same = true;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const struct probed_rank *rank = &p->ranks[i];
        if (!rank->node[0])
            continue;
        if (!rank->reached[0]) {
            right = false;
            report_unreachable(f, rank);
        }
        same &= !reached[0] || strcmp(reached, rank->reached) == 0;
        reached = rank->reached;
    }
    if (right)
        report_finding(f, "ports", VERDICT_OK, NULL, "the nodes reach this machine as %.*s%s",
                       host_len(reached), reached, same ? "" : " and by other addresses");
}
