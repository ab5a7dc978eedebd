/* worker/probe_node.c - see probe.h: what can be learned about a node without other ranks. */
#include "worker/probe.h"
#include "core/slurm/environment.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/cpus.h"
#include "core/file.h"
#include "core/memory.h"
#include "worker/team.h"
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SPIN_MS = 50, ROUNDS = 10 };

/* ---- the folder ---- */

static int compare_word(const struct probe *p, struct err *err)
{
    char *path = file_join(p->folder, "word"), *text = NULL;
    size_t len;
    int rc = path ? file_read(path, FILE_SMALL_MAX, &text, &len, err)
                  : err_nomem(err, strlen(p->folder));

    if (rc == 0 && strcmp(text, p->word) != 0)
        rc = err_set(err, ERR_INVALID, "%s is another file of this name", path);
    free(text);
    free(path);
    return rc;
}

static int leave_trace(const struct probe *p, int rank, const char *node, struct err *err)
{
    char name[32], *path;
    int rc;

    snprintf(name, sizeof(name), "seen-%d", rank);
    path = file_join(p->folder, name);
    rc = path ? file_write_durably(path, node, strlen(node), err) : err_nomem(err, strlen(name));
    free(path);
    return rc;
}

static void look_at_folder(const struct probe *p, int rank, const char *node, json_t *found)
{
    struct err err;
    int rc = p->word ? compare_word(p, &err) : 0;

    if (rc == 0)
        rc = leave_trace(p, rank, node, &err);
    json_object_set_new(found, "sees_folder", json_boolean(rc == 0));
    json_object_set_new(found, "folder_trouble", rc < 0 ? json_string(err.text) : json_null());
}

/* ---- cores ---- */

struct spin {
    atomic_bool ran[CPU_SETSIZE];
};

static void spin(void *arg, int i, int thread)
{
    struct spin *s = arg;
    double end = clock_s() + SPIN_MS / 1000.0;

    (void)i;
    (void)thread;
    do {
        int core = sched_getcpu();
        if (core >= 0 && core < CPU_SETSIZE)
            atomic_store(&s->ran[core], true);
    } while (clock_s() < end);
}

static int count_cores(struct spin *s)
{
    int i, n = 0;

    for (i = 0; i < CPU_SETSIZE; i++)
        n += atomic_load(&s->ran[i]);
    return n;
}

/* Seconds that the cores of this process have had nothing to do, since the machine started. */
static double idle_seconds(void)
{
    FILE *file = fopen("/proc/stat", "re");
    double ticks = 0;
    char line[1024];
    cpu_set_t set;

    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof(set), &set);
    while (file && fgets(line, sizeof(line), file)) {
        unsigned core;
        double idle, waiting;
        if (sscanf(line, "cpu%u %*f %*f %*f %lf %lf", &core, &idle, &waiting) == 3 &&
            core < CPU_SETSIZE && CPU_ISSET(core, &set))
            ticks += idle + waiting;
    }
    if (file)
        fclose(file);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

/* On how many cores does this number of threads run? 0: they could not be started. Where other
 * processes run, the kernel may need several rounds until each has had a core of its own. */
static int cores_of_threads(int threads)
{
    struct spin *s = calloc(1, sizeof(*s));
    struct team *team = NULL;
    struct err ignored;
    int i, n = 0;

    if (s && team_open(threads, &team, &ignored) == 0)
        for (i = 0; i < ROUNDS && n < threads; i++) {
            team_run(team, spin, s, threads);
            n = count_cores(s);
        }
    team_close(team);
    free(s);
    return n;
}

static void look_at_threads(int threads, json_t *found)
{
    double start = clock_s(), idle = idle_seconds();

    json_object_set_new(found, "ran_on", json_integer(cores_of_threads(threads)));
    idle = (idle_seconds() - idle) / (clock_s() - start);
    json_object_set_new(found, "idle", json_real(idle));
}

/* As a worker counts them. */
static void look_at_cores(json_t *found, bool measures)
{
    long allotted = environment_number("SLURM_CPUS_ON_NODE");
    int cores = cpus_allowed();
    int threads = allotted > 0 && allotted < cores ? (int)allotted : cores;

    json_object_set_new(found, "cores", json_integer(cores));
    json_object_set_new(found, "online", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(found, "allotted", json_integer(allotted));
    json_object_set_new(found, "threads", json_integer(threads));
    if (measures)
        look_at_threads(threads, found);
}

static long memory_mb(void)
{
    return (long)(memory_total() / (1 << 20));
}

/* Slurm gives a node's memory, or a CPU's. */
static long memory_allotted_mb(void)
{
    long of_node = environment_number("SLURM_MEM_PER_NODE");

    return of_node
               ? of_node
               : environment_number("SLURM_MEM_PER_CPU") * environment_number("SLURM_CPUS_ON_NODE");
}

json_t *probe_node(const struct probe *p, int rank)
{
    char node[256], cpu[128];
    const char *reached = NULL;
    json_t *found;

    environment_node(node, sizeof(node));
    cpu_model(cpu, sizeof(cpu));
    found = json_pack("{s:i, s:s, s:s}", "rank", rank, "node", node, "cpu", cpu);
    if (!found)
        return NULL;
    look_at_folder(p, rank, node, found);
    look_at_cores(found, !p->one_machine || rank == 0);
    json_object_set_new(found, "memory", json_integer(memory_mb()));
    json_object_set_new(found, "memory_allotted", json_integer(memory_allotted_mb()));
    if (p->n_addresses && p->word)
        reached = probe_reach(p->addresses, p->word);
    json_object_set_new(found, "reached", reached ? json_string(reached) : json_null());
    return found;
}
