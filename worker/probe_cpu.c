/* worker/probe_cpu.c - what the instruction set and the clock of this CPU allow. A core multiplies
 * and adds (2) in as many lanes as a register has, in two units, in each cycle:
 *
 *   AVX-512  2 * 16 lanes * 2 units = 64        AVX2 with FMA  2 * 8 * 2 = 32
 *   AVX      8 lanes multiply while 8 add = 16
 *
 * Some CPUs have one unit, or units of half the width. Which ones is not asked: the reader of these
 * numbers takes them for a ceiling. What counts is what the products are compiled for.
 */
#include "core/cpu.h"
#include "worker/probe.h"
#include <sched.h>
#include <stdio.h>

struct instructions {
    const char *name; /* NULL: not known */
    int flop_per_cycle;
};

static struct instructions best_instructions(void)
{
    if (cpu_build_needs[CPU_AVX512F])
        return (struct instructions){"AVX-512", 64};
    if (cpu_build_needs[CPU_AVX2] && cpu_build_needs[CPU_FMA])
        return (struct instructions){"AVX2", 32};
    if (cpu_build_needs[CPU_AVX])
        return (struct instructions){"AVX", 16};
    return (struct instructions){NULL, 0};
}

/* A number in a file of /sys; 0: there is none. */
static double read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    double number = 0;

    if (file) {
        if (fscanf(file, "%lf", &number) != 1)
            number = 0;
        fclose(file);
    }
    return number;
}

/* Of the fastest core at this moment. In a virtual machine it is mostly the nominal clock. */
static double ghz_now(void)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    double most = 0, mhz;
    char line[512];

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "cpu MHz : %lf", &mhz) == 1 && mhz > most)
            most = mhz;
    if (file)
        fclose(file);
    return most / 1e3;
}

/* The highest clock of one core; with all cores at work, the one that is guaranteed, if the kernel
 * knows it. */
static double ghz(bool all_cores)
{
    double khz = 0;

    if (all_cores)
        khz = read_number("/sys/devices/system/cpu/cpu0/cpufreq/base_frequency");
    if (khz == 0)
        khz = read_number("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
    return khz > 0 ? khz / 1e6 : ghz_now();
}

/* The first of the CPUs that share a core with this one. */
static int first_of_core(int cpu)
{
    char path[128];
    FILE *file;
    int first;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             cpu);
    file = fopen(path, "re");
    if (!file || fscanf(file, "%d", &first) != 1)
        first = cpu;
    if (file)
        fclose(file);
    return first;
}

/* Cores, not hardware threads, that this number of threads of this process can have. */
static int physical_cores(int threads)
{
    cpu_set_t set;
    int cpu, n = 0;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return threads;
    for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) {
            int first = first_of_core(cpu);
            n += first == cpu || !CPU_ISSET(first, &set);
        }
    return n > 0 && n < threads ? n : threads;
}

void probe_cpu(int threads, json_t *found)
{
    struct instructions best = best_instructions();

    json_object_set_new(found, "instructions", best.name ? json_string(best.name) : json_null());
    json_object_set_new(found, "flop_per_cycle", json_integer(best.flop_per_cycle));
    json_object_set_new(found, "ghz", json_real(ghz(false)));
    json_object_set_new(found, "ghz_all", json_real(ghz(true)));
    json_object_set_new(found, "physical_cores", json_integer(physical_cores(threads)));
}
