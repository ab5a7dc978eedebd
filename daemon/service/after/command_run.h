/* daemon/service/after/command_run.h - a command and its arguments, run once without a shell, with
 * a text on its standard input. What it prints goes to a file. After COMMAND_MAX_S it is killed. */
#pragma once
#include "core/err.h"
#include <uv.h>

enum { COMMAND_MAX_S = 60 };

struct command_run;

/* words: of how it ended, NULL where with status 0. The run is gone then. */
typedef void command_run_fn(void *arg, const char *words);

struct command_spec {
    char *const *command;             /* and its arguments */
    char *const *variables;           /* "NAME=value", beside dashd's own; NULL-terminated */
    const char *input, *folder, *log; /* text; where it runs; path, is appended to */
};

int command_run_start(uv_loop_t *loop, const struct command_spec *spec, command_run_fn *ended,
                      void *arg, struct command_run **ret, struct err *err);
/* Kills it, with what it has started; ended() is not called. */
void command_run_kill(struct command_run *c);
