/* client/doctor/programs.c - the programs are in one folder, of one version, and start on this CPU.
 */
#include "client/doctor/command.h"
#include "client/doctor/doctor.h"
#include "core/file.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { START_MS = 20 * 1000 };

/* Why a program did not start as it should. */
static void put_reason(const struct subprocess_said *said, char *ret, size_t size)
{
    char line[500];

    command_reason(said->err[0] ? said->err : said->out, line, sizeof(line));
    if (line[0])
        snprintf(ret, size, "%s", line);
    else if (said->status >= SUBPROCESS_SIGNAL)
        snprintf(ret, size, "it ended by a signal: %s",
                 strsignal(said->status - SUBPROCESS_SIGNAL));
    else if (said->status == SUBPROCESS_LATE)
        snprintf(ret, size, "it does not end within %d s", START_MS / 1000);
    else
        snprintf(ret, size, "it exits with status %d", said->status);
}

static void report_failed_start(struct findings *f, const char *name,
                                const struct subprocess_said *said)
{
    bool other = command_is_other_cpu(said->err, said->status);
    char reason[600];

    put_reason(said, reason, sizeof(reason));
    report_finding(f, "programs", VERDICT_PROBLEM,
                   other ? COMMAND_MARCH_REMEDY
                         : "start it by hand with --version; often a library is missing",
                   "%s does not start%s: %s", name, other ? ", built for another CPU" : "", reason);
}

/* Starts a program for its version. Returns whether it starts. */
static bool ask_version(struct findings *f, const char *name, const char *path, char *ret,
                        size_t size)
{
    const char *const argv[] = {path, "--version", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = START_MS};
    struct subprocess_said said;
    bool starts;

    if (!command_run(f, "programs", "install dash again", &p, NULL, &said))
        return false;
    starts = said.status == 0;
    if (starts)
        command_last_line(said.out, ret, size);
    else
        report_failed_start(f, name, &said);
    subprocess_free(&said);
    return starts;
}

static bool check_version(struct findings *f, const char *name, const char *path)
{
    char version[200], expected[100];

    if (!ask_version(f, name, path, version, sizeof(version)))
        return false;
    snprintf(expected, sizeof(expected), "%s %s", name, DASH_VERSION);
    if (strcmp(version, expected) == 0)
        return true;
    report_finding(f, "programs", VERDICT_PROBLEM,
                   "install dash again, all of its programs from one build",
                   "%s is of another version: it prints '%s', and this is dashctl %s", name,
                   version, DASH_VERSION);
    return false;
}

/* Returns whether the program exists, starts and has our version. */
static bool check_program(struct doctor *d, const char *name)
{
    char *path = file_join(d->programs, name);
    bool well = false;

    if (path && access(path, F_OK) == 0)
        well = check_version(&d->findings, name, path);
    else
        report_finding(&d->findings, "programs", VERDICT_PROBLEM,
                       "install dash again: its four programs must be in one folder",
                       "there is no %s in %s", name, d->programs);
    free(path);
    return well;
}

void check_programs(struct doctor *d)
{
    static const char *const names[] = {"dashd", "dash-coordinator", "dash-worker"};
    bool well = true;
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        well &= check_program(d, names[i]);
    if (well)
        report_finding(&d->findings, "programs", VERDICT_OK, NULL,
                       "dashctl, dashd, dash-coordinator and dash-worker %s start", DASH_VERSION);
}
