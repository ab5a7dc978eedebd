/* daemon/service/command.h - a short-lived program whose words are of interest: sbatch, squeue,
 * scancel.
 *
 * No shell is involved. What it says is kept up to a limit; one that takes too long is killed and
 * counts as failed.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <uv.h>

enum { COMMAND_KILLED = -1 };

struct command_result {
    int status; /* exit status; COMMAND_KILLED: by a signal, or for taking too long */
    int signal; /* that ended it, or 0 */
    bool too_long;
    bool no_memory;  /* for what it said */
    const char *out; /* its standard output and error, NUL-terminated */
    const char *err;
};

/* Commands under way, of one owner; zero-initialised. */
struct command_group {
    uv_loop_t *loop;
    struct command *first;
};

typedef void command_fn(void *arg, const struct command_result *result);

/* Starts argv[0], found in PATH, with this environment (NULL: ours) and standard input (NULL: none;
 * copied). done is called once, later; after a failure it is not. */
int command_start(struct command_group *group, char *const *argv, char **env, const char *input,
                  int timeout_ms, command_fn *done, void *arg, struct err *err);

/* Forgets all of the group: nothing more is reported. Those without input are killed; one that was
 * given some, and may have done its work with it, continues. */
void command_abandon(struct command_group *group);
/* Kills all of the group, with what they have started, and forgets them. */
void command_kill(struct command_group *group);
