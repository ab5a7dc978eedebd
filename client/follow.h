/* client/follow.h - a job shown as it runs, for `watch`, `run` and `submit --watch`.
 *
 * On a terminal one line is redrawn; elsewhere each step is a line; with --output json each event
 * is one. When dashd goes away it is dialled again, with back-off, from the step after the last one
 * shown: none is shown twice, none is missed.
 */
#pragma once
#include "client/client.h"

struct follow {
    struct client *client;
    const char *id;
    int from_step;  /* 0 and 1: the first */
    bool reconnect; /* else a dashd that goes away is an error */
    bool plot;      /* on a terminal, draw the loss above the line */
    int interrupts; /* return after that many (interrupt.h), since the start of the program */
};

enum follow_end { FOLLOW_FINAL, FOLLOW_INTERRUPTED, FOLLOW_FAILED };

/* On FOLLOW_FINAL and FOLLOW_INTERRUPTED *ret_job is the job as last seen (or NULL), which the
 * caller frees (dash__v1__job__free_unpacked()). On FOLLOW_FAILED the words have been printed. */
enum follow_end follow_job(const struct follow *f, Dash__V1__Job **ret_job);

/* Prints how the job ended and returns its exit status. */
int follow_print_end(const struct client *c, const Dash__V1__Job *job);

/* What `watch` does: follows, Ctrl-C leaving the job running, prints the end; the exit status. */
int follow_to_end(struct client *c, const char *id, int from_step, bool plot);
