/* core/job/job_slurm.c - see job_slurm.h. Values go to sbatch as they are, so each is checked for
 * what sbatch, a line of the script and the shell would make of it. */
#include "core/job/job_slurm.h"
#include "core/job/job_keys.h"
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "4" or "2-4". */
static bool parse_nodes(const char *text, int *ret_least, int *ret_most)
{
    long least, most;
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    least = most = strtol(text, &end, 10);
    if (*end == '-' && isdigit((unsigned char)end[1]))
        most = strtol(end + 1, &end, 10);
    if (*end || least < 1 || most < least || most > 100000)
        return false;
    *ret_least = (int)least;
    *ret_most = (int)most;
    return true;
}

static int nodes_needed(const struct job_slurm *slurm, int workers)
{
    return workers ? (workers + slurm->workers_per_node - 1) / slurm->workers_per_node : 1;
}

void job_slurm_nodes(const struct job_slurm *slurm, int workers, int *ret_least, int *ret_most)
{
    if (!slurm->nodes || !parse_nodes(slurm->nodes, ret_least, ret_most))
        *ret_least = *ret_most = nodes_needed(slurm, workers);
}

enum { TIME_PART_MAX = 1000000 };

/* Up to 4 numbers, taken apart by ':' and, after the first, '-'. */
static int split_time(const char *text, long parts[4], bool *ret_days)
{
    int n = 0;
    char *end;

    *ret_days = false;
    while (n < 4 && isdigit((unsigned char)*text)) {
        parts[n] = strtol(text, &end, 10);
        if (parts[n++] > TIME_PART_MAX)
            return 0;
        if (!*end)
            return n;
        if (*end == '-' && n == 1)
            *ret_days = true;
        else if (*end != ':')
            return 0;
        text = end + 1;
    }
    return 0;
}

long job_slurm_seconds(const char *time)
{
    static const long after_days[] = {86400, 3600, 60, 1};
    long parts[4], sum = 0;
    bool days;
    int n, i;

    if (strcasecmp(time, "unlimited") == 0 || strcasecmp(time, "infinite") == 0)
        return 0;
    n = split_time(time, parts, &days);
    if (n == 0 || (n == 4 && !days))
        return -1;
    if (!days && n == 1)
        return parts[0] * 60;
    for (i = 0; i < n; i++)
        sum += parts[i] * after_days[days ? i : 4 - n + i];
    return sum;
}

static bool is_memory(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && (!text[digits] || (strchr("KMGTkmgt", text[digits]) && !text[digits + 1]));
}

double job_slurm_memory(const struct job_slurm *slurm)
{
    const char *text = slurm->mem;
    double bytes;
    char *end;

    if (!text || !is_memory(text))
        return 0;
    bytes = strtod(text, &end);
    switch (toupper((unsigned char)*end)) {
    case 'K':
        bytes *= 1 << 10;
        break;
    case 'G':
        bytes *= 1 << 30;
        break;
    case 'T':
        bytes *= (double)(1ULL << 40);
        break;
    default: /* megabytes, as sbatch reads a bare number */
        bytes *= 1 << 20;
        break;
    }
    return bytes;
}

static bool has_control(const char *text)
{
    for (; text && *text; text++)
        if (iscntrl((unsigned char)*text))
            return true;
    return false;
}

static void add_problem(const struct job *job, const char *key, struct problems *problems,
                        const char *wants, const char *value)
{
    problems_add(problems, job->file, job_line(job, key), "%s must be %s, not \"%s\"", key, wants,
                 value);
}

/* What the batch script sets by itself, or what would start a job more than once or not at all.
 * sbatch takes a beginning of an option for the whole. */
static const char *owner_of(const char *option)
{
    static const struct {
        const char *option, *owner;
    } taken[] = {
        {"--account", "slurm.account"},
        {"--array", NULL},
        {"--clusters", NULL},
        {"--comment", NULL},
        {"--constraint", "slurm.constraint"},
        {"--cpus-per-task", "slurm.cpus_per_task"},
        {"--error", NULL},
        {"--export", NULL},
        {"--hold", NULL},
        {"--job-name", "name"},
        {"--mem", "slurm.mem"},
        {"--no-requeue", NULL},
        {"--nodes", "slurm.nodes"},
        {"--ntasks", "slurm.nodes and slurm.workers_per_node"},
        {"--ntasks-per-node", "slurm.workers_per_node"},
        {"--open-mode", NULL},
        {"--output", NULL},
        {"--parsable", NULL},
        {"--partition", "slurm.partition"},
        {"--qos", "slurm.qos"},
        {"--requeue", NULL},
        {"--signal", "slurm.grace_seconds"},
        {"--test-only", NULL},
        {"--time", "slurm.time"},
        {"--wait", NULL},
        {"--wrap", NULL},
    };
    size_t len = strcspn(option, "="), i;

    for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strncmp(taken[i].option, option, len) == 0)
            return taken[i].owner ? taken[i].owner : "";
    return NULL;
}

static void check_extra(const struct job *job, const char *option, struct problems *problems)
{
    const char *owner = owner_of(option);
    int line = job_line(job, "slurm.extra");

    if (strncmp(option, "--", 2) != 0 || !isalpha((unsigned char)option[2]) ||
        strcspn(option, " #\"'\\") < strcspn(option, "=") || has_control(option))
        add_problem(job, "slurm.extra", problems,
                    "options of sbatch in their long form, such as \"--exclusive\"", option);
    else if (owner && *owner)
        problems_add(problems, job->file, line, "slurm.extra: %s is set by %s", option, owner);
    else if (owner)
        problems_add(problems, job->file, line,
                     "slurm.extra: %s is not yours to set: the batch script needs it as it is",
                     option);
}

static void check_texts(const struct job *job, struct problems *problems)
{
    const struct job_slurm *s = &job->slurm;
    const struct {
        const char *key, *value;
    } texts[] = {
        {"slurm.partition", s->partition},   {"slurm.account", s->account}, {"slurm.qos", s->qos},
        {"slurm.constraint", s->constraint}, {"output", job->output},
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (has_control(texts[i].value))
            problems_add(problems, job->file, job_line(job, texts[i].key),
                         "%s holds a line break or another control character, which Slurm rejects",
                         texts[i].key);
    for (i = 0; s->extra && s->extra[i]; i++)
        check_extra(job, s->extra[i], problems);
}

static void check_time(const struct job *job, struct problems *problems)
{
    const struct job_slurm *s = &job->slurm;
    long seconds = s->time ? job_slurm_seconds(s->time) : 0;

    if (seconds < 0)
        add_problem(job, "slurm.time", problems,
                    "minutes, hours:minutes:seconds or days-hours:minutes:seconds", s->time);
    else if (seconds > 0 && seconds <= s->grace_seconds)
        problems_add(problems, job->file, job_line(job, "slurm.time"),
                     "slurm.time is %ld s but slurm.grace_seconds, when the job is to end before "
                     "its limit, is %d: nothing would be left to train in",
                     seconds, s->grace_seconds);
}

static void check_shape(const struct job *job, struct problems *problems)
{
    int workers = job_workers(&job->parallel), per_node = job->slurm.workers_per_node, least, most,
        needed;
    int line = job_line(job, "slurm.nodes");

    if (job->slurm.nodes && !parse_nodes(job->slurm.nodes, &least, &most)) {
        add_problem(job, "slurm.nodes", problems, "a number of nodes, or a range such as 2-4",
                    job->slurm.nodes);
        return;
    }
    if (!workers || !job->slurm.nodes)
        return;
    needed = nodes_needed(&job->slurm, workers);
    if (least != most)
        problems_add(problems, job->file, line,
                     "slurm.nodes is a range, but %d stages x %d replicas are %d workers whatever "
                     "the nodes: make parallel.stages and parallel.replicas auto",
                     job->parallel.stages, job->parallel.replicas, workers);
    else if (least < needed || least > needed + 1)
        problems_add(problems, job->file, line,
                     "slurm.nodes is %d, but %d workers (stages x replicas) with "
                     "slurm.workers_per_node %d need %d nodes, or %d with one for the coordinator "
                     "alone",
                     least, workers, per_node, needed, needed + 1);
}

void job_slurm_check(const struct job *job, struct problems *problems)
{
    check_texts(job, problems);
    check_time(job, problems);
    check_shape(job, problems);
    if (job->slurm.mem && !is_memory(job->slurm.mem))
        add_problem(job, "slurm.mem", problems, "memory of a node, such as 64G", job->slurm.mem);
}
