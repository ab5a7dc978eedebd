/* client/doctor/findings.h - what the checks found, in the order in which they reported it.
 *
 * For a person a finding is a line, with its remedy below, printed at once:
 *
 *   warning  memory: n3: a job has 500 MB of 2000 MB
 *            request more in the job file (slurm.mem), or whole nodes
 *
 * With --output json it is an object of a list, printed when all checks are done:
 *
 *   {"check": "memory", "verdict": "warning", "words": "n3: a job ...", "remedy": "request ..."}
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_PROBLEM };

struct finding {
    const char *check; /* what was checked: "mpi"; borrowed */
    enum verdict verdict;
    char *words;        /* one line of UTF-8 */
    const char *remedy; /* what to do, or NULL; borrowed */
};

struct findings {
    FILE *out;
    bool json;
    struct finding *list; /* (n) */
    size_t n;
    bool failed; /* for lack of memory a finding is not in the list */
};

/* Adds a finding. check and remedy must live as long as the list; line breaks in the words become
 * blanks. */
void report_finding(struct findings *f, const char *check, enum verdict verdict, const char *remedy,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A line to stderr, which is not kept: what the command waits for. */
void report_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool findings_have_problem(const struct findings *f);
/* To be called once, after the last check. */
void findings_finish(struct findings *f);
void findings_free(struct findings *f);
