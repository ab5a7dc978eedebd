/* core/slurm/state.c - see state.h: Slurm's words for states and reasons, in tables. A word that a
 * later Slurm may add is an end or a reason of its own, not an error. */
#include "core/slurm/state.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum slurm_state slurm_state_of(const char *name)
{
    static const struct {
        const char *name;
        enum slurm_state state;
    } states[] = {
        {"PENDING", SLURM_PENDING},
        {"REQUEUED", SLURM_PENDING},
        {"REQUEUE_FED", SLURM_PENDING},
        {"REQUEUE_HOLD", SLURM_PENDING},
        {"RESV_DEL_HOLD", SLURM_PENDING},
        {"SPECIAL_EXIT", SLURM_PENDING},
        {"CONFIGURING", SLURM_PREPARING},
        {"RUNNING", SLURM_RUNNING},
        {"SIGNALING", SLURM_RUNNING},
        {"RESIZING", SLURM_RUNNING},
        {"SUSPENDED", SLURM_SUSPENDED},
        {"STOPPED", SLURM_SUSPENDED},
        {"COMPLETING", SLURM_COMPLETING},
        {"STAGE_OUT", SLURM_COMPLETING},
        {"COMPLETED", SLURM_COMPLETED},
        {"FAILED", SLURM_FAILED},
        {"CANCELLED", SLURM_CANCELLED},
        {"TIMEOUT", SLURM_TIMEOUT},
        {"DEADLINE", SLURM_TIMEOUT},
        {"PREEMPTED", SLURM_PREEMPTED},
        {"NODE_FAIL", SLURM_NODE_FAIL},
        {"BOOT_FAIL", SLURM_NODE_FAIL},
        {"OUT_OF_MEMORY", SLURM_OUT_OF_MEMORY},
    };
    size_t i;

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(name, states[i].name) == 0)
            return states[i].state;
    return SLURM_OVER; /* REVOKED, and what a later Slurm may add */
}

bool slurm_is_over(enum slurm_state state)
{
    return state >= SLURM_COMPLETED;
}

/* Copies up to the next '|' and returns what is behind it; NULL: there is none. */
static const char *next_field(const char *at, char *to, size_t size)
{
    size_t len = at ? strcspn(at, "|\n") : 0;

    if (!at)
        return NULL;
    snprintf(to, size, "%.*s", (int)len, at);
    return at[len] == '|' ? at + len + 1 : NULL;
}

bool slurm_parse(const char *line, struct slurm_row *ret)
{
    char id[32], state[32], comment[64] = "";
    struct slurm_row row = {0};
    const char *at;
    char *end;

    at = next_field(line, id, sizeof(id));
    at = next_field(at, state, sizeof(state));
    at = next_field(at, row.reason, sizeof(row.reason));
    at = next_field(at, row.nodes, sizeof(row.nodes));
    if (!at)
        return false;
    snprintf(comment, sizeof(comment), "%.*s", (int)strcspn(at, "\n"), at);
    row.id = strtoll(id, &end, 10);
    if (end == id || *end) /* "17_3": of an array, none of ours */
        return false;
    row.state = slurm_state_of(state);
    if (strncmp(comment, "dash:", 5) == 0 && strlen(comment + 5) == SCRIPT_MARK_LEN)
        memcpy(row.mark, comment + 5, SCRIPT_MARK_LEN);
    *ret = row;
    return true;
}

static bool is_better(const struct slurm_row *a, const struct slurm_row *b)
{
    if (slurm_is_over(a->state) != slurm_is_over(b->state))
        return !slurm_is_over(a->state);
    return a->id > b->id;
}

bool slurm_find(const char *output, const char *mark, int64_t id, struct slurm_row *ret)
{
    struct slurm_row row;
    bool found = false;

    for (; output && *output; output = strchr(output, '\n'), output = output ? output + 1 : NULL) {
        if (!slurm_parse(output, &row) || (strcmp(row.mark, mark) != 0 && row.id != id))
            continue;
        if (!found || is_better(&row, ret))
            *ret = row;
        found = true;
    }
    return found;
}

/* Slurm's reasons are single words; the commonest are said in more. */
static const char *explain_reason(const char *reason)
{
    static const struct {
        const char *reason, *words;
    } reasons[] = {
        {"Resources", "for nodes to become free"},
        {"Priority", "for jobs of higher priority"},
        {"BeginTime", "for its start time"},
        {"Dependency", "for another job"},
        {"JobHeldUser", "held by its user: scontrol release"},
        {"JobHeldAdmin", "held by an administrator"},
        {"PartitionNodeLimit", "it asks for more nodes than the partition gives"},
        {"PartitionTimeLimit", "slurm.time is more than the partition allows"},
        {"PartitionDown", "the partition is down"},
        {"PartitionInactive", "the partition is inactive"},
        {"ReqNodeNotAvail", "nodes that it needs are down or reserved"},
        {"Reservation", "for its reservation"},
        {"QOSMaxJobsPerUserLimit", "for other jobs of yours to end"},
        {"AssocMaxJobsLimit", "for other jobs of your account to end"},
        {"Licenses", "for a licence"},
    };
    size_t i;

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strncmp(reason, reasons[i].reason, strlen(reasons[i].reason)) == 0)
            return reasons[i].words;
    return NULL;
}

static void describe_pending(const struct slurm_row *row, char *text, size_t size)
{
    const char *words = explain_reason(row->reason);
    long long id = row->id;

    if (!row->reason[0] || strcmp(row->reason, "None") == 0)
        snprintf(text, size, "waits in Slurm's queue as job %lld", id);
    else if (words)
        snprintf(text, size, "waits in Slurm's queue as job %lld: %s (%s)", id, words, row->reason);
    else
        snprintf(text, size, "waits in Slurm's queue as job %lld (%s)", id, row->reason);
}

void slurm_describe(const struct slurm_row *row, char *text, size_t size)
{
    long long id = row->id;

    switch (row->state) {
    case SLURM_PENDING:
        describe_pending(row, text, size);
        break;
    case SLURM_PREPARING:
        snprintf(text, size, "Slurm prepares %s for job %lld", row->nodes, id);
        break;
    case SLURM_RUNNING:
        snprintf(text, size, "on %s, as Slurm job %lld", row->nodes, id);
        break;
    case SLURM_SUSPENDED:
        snprintf(text, size, "suspended by Slurm (job %lld)", id);
        break;
    default:
        snprintf(text, size, "Slurm ends job %lld", id);
        break;
    }
}

void slurm_words(const char *said, char *text, size_t size)
{
    static const char *const prefixes[] = {"sbatch: ", "squeue: ", "scancel: ", "error: "};
    size_t used = 0, i;

    text[0] = '\0';
    while (said && *said) {
        size_t len = strcspn(said, "\n");
        for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
            if (strncmp(said, prefixes[i], strlen(prefixes[i])) == 0) {
                said += strlen(prefixes[i]);
                len -= strlen(prefixes[i]);
            }
        if (len && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%.*s", used ? "; " : "", (int)len,
                                     said);
        said += len + (said[len] == '\n');
    }
}

bool slurm_may_pass(const char *said)
{
    static const char *const passing[] = {
        "nable to contact slurm", "Socket timed out",   "Connection refused",
        "Connection timed out",   "Zero Bytes were",    "try again",
        "MaxSubmitJob",           "temporarily",        "SubmitJobs",
        "backup controller",      "Transport endpoint", "slurm_receive_msg",
    };
    size_t i;

    for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        if (strstr(said, passing[i]))
            return true;
    return false;
}
