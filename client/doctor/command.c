/* client/doctor/command.c - see command.h. Which line explains most is a matter of experience with
 * Slurm and Open MPI: both print many lines after the one that matters. */
#include "client/doctor/command.h"
#include "core/slurm/script.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool command_run(struct findings *f, const char *check, const char *remedy,
                 const struct subprocess *p, const struct job_slurm *slurm,
                 struct subprocess_said *ret_said)
{
    struct subprocess with_env = *p;
    char **env = slurm ? script_environment(slurm) : NULL;
    struct err err;
    int rc;

    with_env.env = env;
    rc = env || !slurm ? subprocess_run(&with_env, ret_said, &err) : err_nomem(&err, 0);
    free(env);
    if (rc < 0)
        report_finding(f, check, VERDICT_PROBLEM, remedy, "%s", err.text);
    return rc == 0;
}

/* What Slurm prints after every death, and the frames of mpirun's messages, explain nothing. */
static bool explains(const char *line, size_t len)
{
    return strspn(line, "- \t\r") < len && strncmp(line, "srun: ", 6) != 0 &&
           !memmem(line, len, " CANCELLED AT ", 14);
}

void command_last_line(const char *text, char *ret, size_t size)
{
    const char *last = "", *at, *end, *error;
    size_t len = 0;
    bool found = false;

    for (at = text; at && *at; at = *end ? end + 1 : end) {
        bool useful;
        end = at + strcspn(at, "\n");
        useful = explains(at, (size_t)(end - at));
        if (end > at && (useful || !found)) {
            last = at;
            len = (size_t)(end - at);
            found |= useful;
        }
    }
    error = memmem(last, len, "error: ", 7);
    if (error) {
        len -= (size_t)(error + 7 - last);
        last = error + 7;
    }
    snprintf(ret, size, "%.*s", (int)(len < size ? len : size - 1), last);
}

/* The name of dash-worker and its advice are in the finding anyway. */
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

/* The first line that explains something: what follows is mostly its consequence. */
static void first_line(const char *text, char *ret, size_t size)
{
    const char *at = text;

    while (at && *at && !explains(at, strcspn(at, "\n"))) {
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    if (at && *at)
        snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
    else
        command_last_line(text, ret, size);
}

/* The beginning of the line of text in which word is; NULL: it is in none. */
static const char *line_with(const char *text, const char *word)
{
    const char *at = strstr(text, word);

    while (at && at > text && at[-1] != '\n')
        at--;
    return at;
}

void command_reason(const char *log, char *ret, size_t size)
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
        first_line(log, ret, size);
    shorten(ret);
}

bool command_is_other_cpu(const char *text, int status)
{
    return status == SUBPROCESS_SIGNAL + SIGILL || strstr(text, "built for another CPU") ||
           strstr(text, "llegal instruction");
}
