/* client/doctor_between.c - see doctor.h: verdicts on the shared folder, network and ports. */
#include "client/doctor.h"
#include "client/interrupt.h"
#include <string.h>

static const double bandwidth_least = 100; /* MB/s */
enum { SEE_MS = 5000, LOOK_MS = 200 };     /* a network file system shows new files late */

void doctor_silent(struct doctor *d, const json_t *ranks)
{
    const json_t *rank;
    size_t i;

    json_array_foreach(ranks, i, rank) if (doctor_has(rank, "silent"))
        report_finding(d, "mpi", DOCTOR_PROBLEM,
                       "let an administrator look at Open MPI: which network it takes "
                       "(OMPI_MCA_btl_tcp_if_include names one), and firewalls between nodes",
                       "rank %d%s%s does not answer rank 0", (int)doctor_number(rank, "rank"),
                       doctor_has(rank, "node") ? " on " : "", doctor_text(rank, "node"));
}

/* Whether we see what the rank has left. */
static bool see_trace(const struct doctor_meeting *m, int rank)
{
    char name[32];
    int waited;

    snprintf(name, sizeof(name), "seen-%d", rank);
    for (waited = 0; !doctor_meeting_has(m, name); waited += LOOK_MS) {
        if (waited >= SEE_MS)
            return false;
        interrupt_sleep_ms(LOOK_MS);
    }
    return true;
}

void doctor_shared(struct doctor *d, const struct doctor_meeting *m, const json_t *ranks)
{
    static const char remedy[] =
        "name a folder on a file system that all nodes share with --folder, and put models, data "
        "and outputs there";
    const json_t *rank;
    bool right = true;
    size_t i;

    json_array_foreach(ranks, i, rank)
    {
        if (!doctor_has(rank, "node"))
            continue;
        if (!doctor_has(rank, "sees_folder"))
            report_finding(d, "folder", DOCTOR_PROBLEM, remedy, "%s does not share %s with us: %s",
                           doctor_text(rank, "node"), d->folder,
                           doctor_text(rank, "folder_trouble"));
        else if (!see_trace(m, (int)doctor_number(rank, "rank")))
            report_finding(d, "folder", DOCTOR_PROBLEM, remedy,
                           "what %s writes into %s does not appear here", doctor_text(rank, "node"),
                           d->folder);
        else
            continue;
        right = false;
    }
    if (right)
        report_finding(d, "folder", DOCTOR_OK, NULL, "all nodes share %s", d->folder);
}

void doctor_network(struct doctor *d, const json_t *ranks)
{
    double slowest = 0, longest = 0;
    const json_t *rank;
    bool right = true;
    size_t i;

    json_array_foreach(ranks, i, rank)
    {
        double bandwidth = doctor_number(rank, "bandwidth"),
               trip = doctor_number(rank, "round_trip");
        if (!doctor_has(rank, "bandwidth"))
            continue;
        slowest = slowest == 0 || bandwidth < slowest ? bandwidth : slowest;
        longest = trip > longest ? trip : longest;
        if (bandwidth >= bandwidth_least)
            continue;
        right = false;
        report_finding(
            d, "network", DOCTOR_WARNING,
            "Open MPI may have taken a slow network: OMPI_MCA_btl_tcp_if_include names a "
            "better one; use few stages and replicas until then",
            "%s and %s: messages of 4 MB travel at %.0f MB/s, one and its answer take %.0f "
            "us",
            doctor_text(json_array_get(ranks, 0), "node"), doctor_text(rank, "node"), bandwidth,
            trip);
    }
    if (right && slowest > 0)
        report_finding(
            d, "network", DOCTOR_OK, NULL,
            "messages of 4 MB travel at %.0f MB/s or more, a small one and its answer take "
            "%.3g us or less",
            slowest, longest);
}

void doctor_ports(struct doctor *d, const json_t *ranks)
{
    const char *reached = "";
    const json_t *rank;
    bool right = true, same = true;
    size_t i;

    json_array_foreach(ranks, i, rank)
    {
        const char *address = doctor_text(rank, "reached");
        if (!doctor_has(rank, "node"))
            continue;
        if (!address[0]) {
            right = false;
            report_finding(
                d, "ports", DOCTOR_WARNING,
                "nothing need be done: dashd reads the folders instead; or name an address "
                "that nodes can reach with `dashd --reports`",
                "%s reaches no address of this machine: a coordinator there cannot report "
                "to a dashd here",
                doctor_text(rank, "node"));
        }
        same &= !reached[0] || strcmp(reached, address) == 0;
        reached = address;
    }
    if (right)
        report_finding(d, "ports", DOCTOR_OK, NULL, "the nodes reach this machine as %.*s%s",
                       (int)(strrchr(reached, ':') ? strrchr(reached, ':') - reached : 0), reached,
                       same ? "" : " and by other addresses");
}
