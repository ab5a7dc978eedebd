/* client/private_dashd.h - a dashd of our own, for `dashctl run`: in a temporary folder that goes
 * with it.
 *
 * It ends when we do, however we do (its parent's death is a signal to it), and its job with it. It
 * is in a session of its own: a Ctrl-C at the terminal is ours to interpret.
 */
#pragma once
#include "core/err.h"
#include <sys/types.h>

struct private_dashd {
    pid_t pid;
    char folder[100];
    char address[128];
    int terminations; /* signals sent */
};

/* Starts it and waits until it serves. Call before any other thread is there. */
int private_dashd_start(struct private_dashd *d, struct err *err);
/* A first SIGTERM has it stop its job after a checkpoint, a second one at once. */
void private_dashd_terminate(struct private_dashd *d);
/* Prints its log to stderr: it has ended when it should not have. */
void private_dashd_explain(const struct private_dashd *d);
/* Waits for its end, killing it at last, and removes its folder. */
void private_dashd_end(struct private_dashd *d);
