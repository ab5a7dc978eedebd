/* client/doctor_programs.c - see doctor.h: are the programs there, of one version, and for this
 * CPU? */
#include "client/doctor.h"
#include "core/buf.h"
#include "core/file.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { START_MS = 20 * 1000 };

const char doctor_march_remedy[] =
    "build again with -DDASH_MARCH=x86-64-v3, or whatever the oldest of the CPUs in use has";

/* Lines that Slurm prints after every death, and mpirun's frames: they explain nothing. */
static bool says_something(const char *line, size_t len)
{
    return strspn(line, "- \t\r") < len && strncmp(line, "srun: ", 6) != 0 &&
           !memmem(line, len, " CANCELLED AT ", 14);
}

void doctor_last_words(const char *text, char *ret, size_t size)
{
    const char *last = "", *at, *end, *error;
    size_t len = 0;
    bool said = false;

    for (at = text; at && *at; at = *end ? end + 1 : end) {
        bool says;
        end = at + strcspn(at, "\n");
        says = says_something(at, (size_t)(end - at));
        if (end > at && (says || !said)) {
            last = at;
            len = (size_t)(end - at);
            said |= says;
        }
    }
    error = memmem(last, len, "error: ", 7);
    if (error) {
        len -= (size_t)(error + 7 - last);
        last = error + 7;
    }
    snprintf(ret, size, "%.*s", (int)(len < size ? len : size - 1), last);
}

/* dash-worker says who it is, and what to do: both are said here anyway. */
static void shorten(char *words)
{
    static const char own[] = "dash-worker: ";
    const size_t skip = sizeof(own) - 1;
    char *rest = strstr(words, ": built for another CPU");
    size_t len;

    if (rest)
        *rest = '\0';
    len = strlen(words);
    if (len >= skip && memcmp(words, own, skip) == 0)
        memmove(words, words + skip, len - skip + 1);
}

/* The first line that says something: what comes after is mostly its consequence. */
static void first_words(const char *text, char *ret, size_t size)
{
    const char *at = text;

    while (at && *at && !says_something(at, strcspn(at, "\n"))) {
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    if (at && *at)
        snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
    else
        doctor_last_words(text, ret, size);
}

/* The beginning of the line of text in which word is; NULL: it is in none. */
static const char *line_with(const char *text, const char *word)
{
    const char *at = strstr(text, word);

    while (at && at > text && at[-1] != '\n')
        at--;
    return at;
}

void doctor_rank_words(const char *log, char *ret, size_t size)
{
    const char *own;

    log = log ? log : "";
    own = line_with(log, "dash-worker: the CPU of ");
    if (!own)
        own = line_with(log, "llegal instruction");
    if (!own)
        own = line_with(log, "dash-worker: ");
    if (own)
        snprintf(ret, size, "%.*s", (int)strcspn(own, "\n"), own);
    else
        first_words(log, ret, size);
    shorten(ret);
}

bool doctor_is_other_cpu(const char *text, int status)
{
    return status == SUBPROCESS_SIGNAL + SIGILL || strstr(text, "built for another CPU") ||
           strstr(text, "llegal instruction");
}

/* Why a program that was started did not do well. */
static void print_end_of(const struct subprocess_said *said, char *ret, size_t size)
{
    char words[500];

    doctor_rank_words(said->err[0] ? said->err : said->out, words, sizeof(words));
    if (words[0])
        snprintf(ret, size, "%s", words);
    else if (said->status >= SUBPROCESS_SIGNAL)
        snprintf(ret, size, "it dies: %s", strsignal(said->status - SUBPROCESS_SIGNAL));
    else if (said->status == SUBPROCESS_LATE)
        snprintf(ret, size, "it does not come to an end");
    else
        snprintf(ret, size, "it ends with status %d", said->status);
}

/* Starts a program for its version. Returns whether all is well with it but for the version, which
 * is put into ret. */
static bool starts(struct doctor *d, const char *name, const char *path, char *ret, size_t size)
{
    const char *const argv[] = {path, "--version", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = START_MS};
    struct subprocess_said said;
    char words[600];
    struct err err;
    bool well;

    if (subprocess_run(&p, &said, &err) < 0) {
        report_finding(d, "programs", DOCTOR_PROBLEM, "install dash again", "%s", err.text);
        return false;
    }
    well = said.status == 0;
    if (well) {
        doctor_last_words(said.out, ret, size);
    } else {
        bool other = doctor_is_other_cpu(said.err, said.status);
        print_end_of(&said, words, sizeof(words));
        report_finding(d, "programs", DOCTOR_PROBLEM,
                       other ? doctor_march_remedy
                             : "start it by hand with --version; often a library is missing",
                       "%s does not start%s: %s", name, other ? ", built for another CPU" : "",
                       words);
    }
    subprocess_free(&said);
    return well;
}

/* Returns whether the program is there, starts and has our version; reports if not. */
static bool check_program(struct doctor *d, const char *name)
{
    char *path = file_join(d->programs, name), said[200], wanted[100];
    bool well = false;

    snprintf(wanted, sizeof(wanted), "%s %s", name, DASH_VERSION);
    if (!path || access(path, F_OK) < 0) {
        report_finding(d, "programs", DOCTOR_PROBLEM,
                       "install dash again: its four programs must stand side by side",
                       "there is no %s in %s", name, d->programs);
    } else if (starts(d, name, path, said, sizeof(said))) {
        well = strcmp(said, wanted) == 0;
        if (!well)
            report_finding(d, "programs", DOCTOR_PROBLEM,
                           "install dash again, all of its programs from one build",
                           "%s is of another version: it says '%s' and this is dashctl %s", name,
                           said, DASH_VERSION);
    }
    free(path);
    return well;
}

void doctor_programs(struct doctor *d)
{
    static const char *const names[] = {"dashd", "dash-coordinator", "dash-worker"};
    bool well = true;
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        well &= check_program(d, names[i]);
    if (well)
        report_finding(d, "programs", DOCTOR_OK, NULL,
                       "dashctl, dashd, dash-coordinator and dash-worker %s start", DASH_VERSION);
}
