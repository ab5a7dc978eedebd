/* worker/team.h - a fixed team of threads that shares out numbered tasks.
 *
 * Work is cut into tasks by shape alone, and each task writes memory of its own, so results do not
 * depend on how many threads there are or which of them takes a task. The caller works too. A
 * waiting thread spins for a few microseconds (a step is thousands of short task lists), then
 * sleeps.
 */
#pragma once
#include "core/err.h"

struct team;

/* n_threads >= 1 counts the caller. */
int team_open(int n_threads, struct team **ret_team, struct err *err);
void team_close(struct team *team); /* NULL-safe */
int team_threads(const struct team *team);

/* Calls task(arg, i, thread) once for each i in [0, n_tasks), thread in [0, team_threads()), and
 * returns when all are done. Called from one thread at a time. */
void team_run(struct team *team, void (*task)(void *arg, int i, int thread), void *arg,
              int n_tasks);
